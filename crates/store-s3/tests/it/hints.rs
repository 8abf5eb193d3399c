//! Hints of what is due: whoever is killed between a hint and its entry neither hides a due run nor invents one.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{Clock, Query, Renew, Store, Wake};
use milepost_store_s3::S3Store;

use crate::support::{Driver, Folder, record, run};

const MINUTE: Duration = Duration::from_secs(60);

async fn due(store: &S3Store) -> Vec<String> {
    let heads: Vec<milepost_core::Head> = store.list(Query::interrupted()).try_collect().await.unwrap();
    heads.into_iter().map(|head| head.run.to_string()).collect()
}

#[tokio::test]
async fn a_hint_whose_entry_never_came_invents_nothing_and_goes() {
    let folder = Folder::new();
    let store = folder.store().await;
    let driver = Driver::create(&store, "driven").await;
    let minute = folder.clock.now().0 as u64 / 60_000_000;
    let digits = |id: &str| crate::run::digits(&run(id));
    // Killed before the entry of a release, of a creation, and of a run that was never heard of again.
    folder.put(&format!("due/{minute:012x}/{}-{:08x}-{:016x}", digits("driven"), 1, 2), b"");
    folder.put(&format!("due/{minute:012x}/{}-{:08x}-{:016x}", digits("nobody"), 1, 1), b"");
    assert_eq!(due(&store).await, [""; 0]);
    // For as long as the entry may still come, its hint stays; then it goes, and the run keeps one that is not late.
    assert_eq!(folder.hints().len(), 3);
    store.renew(&driver.run, Renew::new(driver.fence, MINUTE * 20)).await.unwrap();
    folder.clock.advance(MINUTE * 10);
    assert_eq!(due(&store).await, [""; 0]);
    assert_eq!(folder.hints().len(), 1, "{:?}", folder.hints());
    folder.clock.advance(MINUTE * 11);
    assert_eq!(due(&store).await, ["driven"]);
}

#[tokio::test]
async fn an_entry_behind_its_hint_is_found_whoever_refiles_in_between() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut driver = Driver::create(&store, "released").await;
    store.renew(&driver.run, Renew::new(driver.fence, MINUTE * 60)).await.unwrap();
    // The first hint is past, and is filed anew for the lease's end.
    folder.clock.advance(MINUTE * 5);
    assert_eq!(due(&store).await, [""; 0]);
    assert_eq!(folder.hints().len(), 1);
    // Due much earlier than that hint says: another is filed before it becomes true.
    driver.commit(driver.next().record(record("x")).release(Wake::at(folder.clock.now() + MINUTE * 3))).await;
    assert_eq!(folder.hints().len(), 2);
    folder.clock.advance(MINUTE * 3);
    assert_eq!(due(&store).await, ["released"]);
    folder.clock.advance(MINUTE * 30);
    assert_eq!(due(&store).await, ["released"], "as long as nobody takes it");
}

#[tokio::test]
async fn one_who_is_killed_between_the_new_hint_and_the_removal_of_the_old_one_hides_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    let driver = Driver::create(&store, "refiled").await;
    let old = folder.hints();
    store.renew(&driver.run, Renew::new(driver.fence, MINUTE * 30)).await.unwrap();
    folder.clock.advance(MINUTE * 5);
    due(&store).await;
    let new = folder.hints();
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
    folder.put(&old[0], b"");
    folder.clock.advance(MINUTE * 26);
    assert_eq!(due(&store).await, ["refiled"]);
}

#[tokio::test]
async fn renewals_file_no_hints_and_what_has_ended_keeps_none() {
    let folder = Folder::new();
    let store = folder.store().await;
    let driver = Driver::create(&store, "renewed").await;
    for _ in 0..20 {
        folder.clock.advance(MINUTE / 2);
        store.renew(&driver.run, Renew::new(driver.fence, MINUTE)).await.unwrap();
    }
    assert_eq!(folder.hints().len(), 1);
    store.delete(&driver.run, milepost_core::Delete::Any).await.unwrap();
    folder.clock.advance(MINUTE * 2);
    assert_eq!(due(&store).await, [""; 0]);
    assert_eq!(folder.hints(), [""; 0]);
}

#[tokio::test]
async fn a_lost_hint_is_the_one_thing_that_hides_a_run_from_recovery_and_from_nothing_else() {
    let folder = Folder::new();
    let store = folder.store().await;
    Driver::create(&store, "hidden").await;
    for hint in folder.hints() {
        folder.remove(&hint);
    }
    folder.clock.advance(MINUTE * 2);
    assert_eq!(due(&store).await, [""; 0]);
    let all: Vec<milepost_core::Head> = store.list(Query::all()).try_collect().await.unwrap();
    assert_eq!(all.len(), 1);
}
