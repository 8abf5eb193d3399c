//! The guarded SQL write, against a real database: the second effect and the older owner's are refused.

use std::sync::{Arc, Mutex};

use milepost_run::{Effect, SqlGuard};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

use crate::support::{Run, World, *};

on_every_store! { the_second_effect_and_an_older_owners_are_refused }

async fn fence(pool: &SqlitePool, guard: &SqlGuard) -> u64 {
    let query = sqlx::query(SqlGuard::FENCE).bind(&guard.incarnation).bind(guard.epoch);
    query.execute(pool).await.unwrap().rows_affected()
}

async fn once(pool: &SqlitePool, guard: &SqlGuard) -> u64 {
    sqlx::query(SqlGuard::ONCE).bind(&guard.key).execute(pool).await.unwrap().rows_affected()
}

async fn the_second_effect_and_an_older_owners_are_refused(world: &World) {
    let effects = Arc::<Mutex<Vec<Effect>>>::default();
    let tally = Tally::default();
    let (kept, seen) = (effects.clone(), tally.clone());
    let work = move |runner: Runner| {
        let (kept, seen) = (kept.clone(), seen.clone());
        runner.handler("work", move |run: Run, (): ()| {
            let (kept, tally) = (kept.clone(), seen.clone());
            async move {
                run.effect("write", |effect| {
                    kept.lock().unwrap().push(effect.clone());
                    tally.add("began");
                    async move {
                        if effect.attempt() == 0 {
                            std::future::pending::<()>().await;
                        }
                        Work::Ok(())
                    }
                })
                .await?;
                Work::Ok(())
            }
        })
    };
    world.die_in(&work, "r", &tally).await;
    work(world.runner()).resume(&id("r")).await.unwrap().output::<()>().await.unwrap();

    let effects = effects.lock().unwrap().clone();
    let [older, newer] = effects.try_into().unwrap();
    assert_eq!(older.headers()[0], newer.headers()[0], "one idempotency key");
    assert_eq!(
        (&*older.headers()[3].1, &*newer.headers()[3].1),
        ("1", "2"),
        "the epoch tells the owners apart"
    );

    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    for table in SqlGuard::CREATE {
        sqlx::query(table).execute(&pool).await.unwrap();
    }
    assert_eq!(fence(&pool, &older.sql()).await, 1);
    assert_eq!(fence(&pool, &newer.sql()).await, 1);
    assert_eq!(fence(&pool, &newer.sql()).await, 1, "the newest may write as often as it likes");
    assert_eq!(fence(&pool, &older.sql()).await, 0, "an owner that was thought dead");
    assert_eq!(once(&pool, &newer.sql()).await, 1);
    assert_eq!(once(&pool, &older.sql()).await, 0, "the same effect, whoever tries it");
}
