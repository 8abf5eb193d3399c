//! Snapshots, and the trims that they allow.

pub(crate) mod keep;
pub(crate) mod trim;

use crate::areas::prelude::*;

/// A snapshot whose body tells its cursor.
fn state(cursor: Cursor) -> Snapshot {
    Snapshot::new(cursor, format!("state {cursor}"))
}

/// A run with so many records.
async fn logged(ctx: &Context, label: &str, records: u64) -> Verdict<Driver> {
    let mut driver = ctx.create(&ctx.run(label)).await?;
    ctx.commit_records(&mut driver, records).await?;
    Ok(driver)
}

/// Commits these snapshots, one a commit.
async fn keep(ctx: &Context, driver: &mut Driver, cursors: &[Cursor]) -> Verdict {
    for cursor in cursors {
        ctx.commit(driver, |commit| commit.snapshot(state(*cursor))).await?;
    }
    Ok(())
}

/// The cursors of the newest two snapshots, as the head tells them.
async fn told(ctx: &Context, driver: &Driver) -> Verdict<Vec<Cursor>> {
    Ok(ctx.head(&driver.run).await?.snapshots)
}
