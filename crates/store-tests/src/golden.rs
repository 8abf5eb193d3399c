//! The runs that golden data of a format's version tells of.

use std::{collections::BTreeMap, fs, path::Path};

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, Commit, Failure, FailureKind, Kind, Manifest, Message, MessageKey, NewMessage, Note, Open,
    OperationId, Origin, Outcome, Record, RecordId, Retain, RunId, RunInfo, Snapshot, Span, Store,
};

/// The text of a golden file. With `MILEPOST_GOLDEN` set it becomes `now` first: the version that introduces a format writes
/// its file so.
pub fn text(file: &Path, now: &str) -> String {
    if std::env::var_os("MILEPOST_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, now).unwrap();
    }
    fs::read_to_string(file).unwrap()
}

fn full() -> RunId {
    RunId::from_static("full *{}")
}

/// Writes a run with something in every part, a draft, and a failed one, into a store whose clock stands still and whose ids
/// are drawn from a seed.
pub async fn write(store: &impl Store) {
    let info = RunInfo::named("job").label("a", "b").parent(RunId::from_static("parent")).meta("meta");
    let open =
        Open::create(OperationId(1), info, Manifest::of(b"input")).owner(milepost_core::Owner::new("owner"));
    let opened = store.open(&full(), open.clone()).await.unwrap();
    let blob = Blob::of("blob");
    let record = milepost_core::NewRecord::new(Kind::from_static("kind"), "body");
    let named = record.clone().id(RecordId::from_static("id")).blob(blob.name);
    let note = Note::new(1, Some(2), "note").unwrap();
    let first = Commit::new(full(), opened.fence, OperationId(2), 1).record(named).record(record).blob(blob);
    store.commit(first.snapshot(Snapshot::new(1, "one")).note(note).advances()).await.unwrap();
    let second = Commit::new(full(), opened.fence, OperationId(3), 2);
    store.commit(second.snapshot(Snapshot::new(2, "two")).trim(1)).await.unwrap();
    for (number, key) in [(4, "a"), (5, "b")] {
        let (key, kind) = (MessageKey::from_static(key), Kind::from_static("kind"));
        store.send(&full(), NewMessage::new(OperationId(number), key, kind, "message")).await.unwrap();
    }
    store.commit(Commit::new(full(), opened.fence, OperationId(6), 3).take(1)).await.unwrap();

    let draft = open.clone().origin(Origin { cursor: 40, lineage: None });
    store.open(&RunId::from_static("draft"), Open { id: OperationId(7), ..draft }).await.unwrap();
    let run = RunId::from_static("failed");
    let opened = store.open(&run, Open { id: OperationId(8), ..open }).await.unwrap();
    let outcome = Outcome::Failed { failure: Failure::new(FailureKind::Poison, "why") };
    store
        .commit(Commit::new(run, opened.fence, OperationId(9), 1).finish(outcome, Retain::Delete))
        .await
        .unwrap();
}

/// All that can be read of them, in words.
pub async fn read(store: &impl Store) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let heads: Vec<milepost_core::Head> =
        store.list(milepost_core::Query::all()).try_collect().await.unwrap();
    for head in heads {
        let meta = String::from_utf8_lossy(&head.info.meta).into_owned();
        told.insert(format!("head of {}", head.run), format!("{head:?} {meta}"));
    }
    let run = full();
    let records: Vec<Record> = store.stream(&run, Span::after(1)).try_collect().await.unwrap();
    told.insert("records".into(), format!("{:?} {:?}", records, records[0].body.to_vec()));
    let messages: Vec<Message> = store.inbox(&run, Span::all()).try_collect().await.unwrap();
    told.insert("messages".into(), format!("{messages:?}"));
    let snapshot = store.snapshot(&run, At::OrBefore(1)).await.unwrap().unwrap();
    told.insert("snapshot".into(), format!("{snapshot:?} {:?}", snapshot.body.to_vec()));
    let blob = store.blob(&run, &Blob::of("blob").name).await.unwrap();
    told.insert("blob".into(), format!("{:?}", blob.map(|body| body.to_vec())));
    assert_eq!(told.len(), 7, "{told:?}");
    told
}
