//! Reading the log.

pub(crate) mod follow;
pub(crate) mod life;
pub(crate) mod racing;
pub(crate) mod span;

use milepost_core::{Cursor, Record};

/// The cursors of records.
fn cursors(records: &[Record]) -> Vec<Cursor> {
    records.iter().map(|record| record.cursor).collect()
}

/// Whether each record has the body that [`crate::context::record`] gave it.
fn are_whole(records: &[Record]) -> bool {
    records.iter().all(|record| record.body == format!("record {}", record.cursor))
}
