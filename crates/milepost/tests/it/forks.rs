//! Forks on each backend: what is before the cursor is shared and not done again, the source is as it was and may go, and a
//! fork that its maker has left half made is never found as due, and is gone on with.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStreamExt;
use milepost::{
    BoxError, Delete, Head, Query, Run, RunId, Runner, Store,
    run::{Ended, Settings},
};
use milepost_layers::{FaultPlan, Faults};

use crate::matrix::{Backend, on_every_backend};

type Work<T> = Result<T, BoxError>;
type Tally = Arc<Mutex<BTreeMap<String, usize>>>;

/// Larger than what stands in the log itself.
const LARGE: usize = 500;

/// Three steps, a value that leaves the log, a draw, and a last step.
fn runner(store: impl Store, tally: &Tally) -> Runner {
    let tally = tally.clone();
    let settings = Settings::default().inline(50).ttl(Duration::from_millis(400));
    Runner::new(store).settings(settings).handler("work", move |run: Run, (): ()| {
        let tally = tally.clone();
        let did = move |what: String| {
            *tally.lock().unwrap().entry(what).or_default() += 1;
            Work::Ok(())
        };
        async move {
            for n in 0..3 {
                run.step("step", || async { did(format!("step {n}")) }).await?;
            }
            let large = run.step("large", || async { Work::Ok("x".repeat(LARGE)) }).await?;
            let drawn = run.random();
            run.step("last", || async { did("last".into()) }).await?;
            Work::Ok((large.len(), drawn))
        }
    })
}

type Output = (usize, u64);

fn id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

/// A run that has completed, from which forks are made.
struct Forked {
    store: Arc<dyn Store>,
    tally: Tally,
    plain: Runner,
    source: Output,
    before: Head,
}

async fn forked(backend: &Backend, folder: &Path, name: &str) -> Forked {
    let url = backend.apart(folder, name);
    milepost::prepare(&url).await.unwrap();
    let store = milepost::connect(&url).await.unwrap();
    let tally = Tally::default();
    let plain = runner(store.clone(), &tally);
    let source = plain.start(id("s"), "work", &()).await.unwrap().output().await.unwrap();
    let before = store.head(&id("s")).await.unwrap().unwrap();
    Forked { store, tally, plain, source, before }
}

#[tokio::main]
async fn forks(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let Forked { store, tally, plain, source, before } = forked(backend, folder.path(), "forks").await;

    let at_end = plain.fork(&id("s"), before.cursor, id("whole")).await.unwrap();
    assert_eq!(at_end.output::<Output>().await.unwrap(), source);
    assert_eq!(tally.lock().unwrap()["last"], 1, "all of it is shared");
    let anew: Output = plain.fork(&id("s"), 0, id("anew")).await.unwrap().output().await.unwrap();
    assert!(anew.0 == LARGE && anew.1 != source.1, "{anew:?}");
    assert_eq!(tally.lock().unwrap()["last"], 2);
    let lineage = store.head(&id("whole")).await.unwrap().unwrap().origin.unwrap().lineage.unwrap();
    let wanted = (id("s"), before.fence.incarnation, before.cursor);
    assert_eq!((lineage.run, lineage.incarnation, lineage.cursor), wanted);

    let many = plain.forks(&id("s"), before.cursor, (0..6).map(|n| id(&format!("f{n}"))), 3).await;
    assert!(many.iter().all(|ended| *ended.as_ref().unwrap() == Ended::Completed), "{many:?}");
    let after = store.head(&id("s")).await.unwrap().unwrap();
    assert_eq!((before.version, before.cursor), (after.version, after.cursor), "the source is as it was");
    assert!(store.delete(&id("s"), Delete::Any).await.unwrap());
    let again: Output = plain.resume(&id("whole")).await.unwrap().output().await.unwrap();
    assert_eq!(again, source, "a fork does not need its source any more, large values included");
    store.close().await.unwrap();
}

#[tokio::main]
async fn half_made(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let Forked { store, tally, plain, source, before } = forked(backend, folder.path(), "half").await;
    for write in 1..=2 {
        let fork = id(&format!("half {write}"));
        let faults = Faults::new(store.clone(), FaultPlan::none().die_after(write));
        let (dying, source_id) = (runner(faults, &tally), id("s"));
        let work = dying.fork(&source_id, before.cursor, fork.clone());
        assert!(tokio::time::timeout(Duration::from_millis(700), work).await.is_err());
        let head = store.head(&fork).await.unwrap().unwrap();
        assert!(head.draft && head.due.is_none(), "{head:?}");
        let due: Vec<_> = store.list(Query::interrupted()).try_collect::<Vec<_>>().await.unwrap();
        assert!(due.iter().all(|due| due.run != fork), "a draft is nobody's to recover");
        let output: Output = plain.fork(&id("s"), before.cursor, fork).await.unwrap().output().await.unwrap();
        assert_eq!(output, source);
    }
    store.close().await.unwrap();
}

on_every_backend! {
    sqlite: forks_on_sqlite,
    postgres: forks_on_postgres,
    redis: forks_on_redis,
    folder: forks_in_a_folder,
    forks
}

on_every_backend! {
    sqlite: half_made_forks_on_sqlite,
    postgres: half_made_forks_on_postgres,
    redis: half_made_forks_on_redis,
    folder: half_made_forks_in_a_folder,
    half_made
}

#[cfg(feature = "s3")]
#[test]
fn forks_on_s3() {
    let url = milepost_servers::s3().unwrap().url().to_owned();
    forks(&Backend { url: Some(url), stride: 10 });
}
