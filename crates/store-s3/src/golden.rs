//! The format of version 1, which is read for ever: the file was written by the version that introduced it.

use std::{fmt::Write, fs, path::PathBuf, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, Commit, Failure, FailureKind, Fence, Incarnation, Kind, Lease, Lineage, Manifest, ManualClock,
    Message, MessageKey, NewMessage, NewRecord, Note, Open, OperationId, Origin, Outcome, Owner, Process,
    Record, RecordId, Renew, Retain, RunId, RunInfo, SeededIds, Snapshot, Span, Store, Timestamp, Token,
    Wake,
};

use crate::{
    S3Config, S3Store,
    config::Place,
    entry::{self, Body, Deed, Entry, Part},
    frame,
    objects::Memory,
};

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1.txt")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Every object, one a line: its name and its bytes.
fn dump(place: &Memory) -> String {
    place.objects().iter().fold(String::new(), |mut text, (name, bytes)| {
        writeln!(text, "{name} {}", hex(bytes)).unwrap();
        text
    })
}

fn load(text: &str) -> Memory {
    let place = Memory::default();
    for line in text.lines() {
        let (name, digits) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        place.objects().insert(name.to_owned(), bytes.into());
    }
    place
}

async fn connect(place: &Arc<Memory>) -> S3Store {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)));
    let config = S3Config::at(Place::Given(place.clone()), Duration::from_secs(1)).clock(clock);
    config.base_after(5).prepare_on_connect(true).ids(Arc::new(SeededIds::new(7))).connect().await.unwrap()
}

/// What those runs leave out: a holder, and a body that stands apart.
fn rare() -> Entry {
    let holder = Process { boot: "boot".into(), namespace: "pid".into(), pid: 7, start: 8 };
    let fence = Fence { incarnation: Incarnation(1), epoch: 2, token: Token(3) };
    let lease = Lease { owner: Owner::new("owner"), until: Timestamp(4) };
    let open = entry::Open { id: OperationId(5), fence, lease, holder: Some(holder) };
    Entry { token: 6, at: Timestamp(7), hint: Some(8), deed: Deed::Open(Box::new(open)) }
}

fn apart() -> entry::Record {
    let body = Body::Apart(Part { epoch: 1, token: 2, size: 3 });
    entry::Record { kind: Kind::from_static("k"), id: None, blobs: vec![], body }
}

fn full() -> RunId {
    RunId::from_static("full *{}")
}

fn open(id: u128) -> Open {
    let info = RunInfo::named("job").label("a", "b").parent(RunId::from_static("parent")).meta("meta");
    let open = Open::create(OperationId(id), info, Manifest::of(b"input"));
    open.owner(Owner::new("owner")).ttl(Duration::from_secs(60))
}

/// A run with something in every part and a base in its midst, a draft, a failed one, one that waits, one that is gone.
async fn write(place: &Arc<Memory>) {
    let store = connect(place).await;
    let opened = store.open(&full(), open(1)).await.unwrap();
    let (small, large) = (Blob::of("blob"), Blob::of("another blob"));
    let record = NewRecord::new(Kind::from_static("kind"), "body");
    let named = record.clone().id(RecordId::from_static("id")).blob(small.name);
    let note = Note::new(1, Some(2), "note").unwrap();
    let next = |id, version| Commit::new(full(), opened.fence, OperationId(id), version);
    let first = next(2, 1).record(named).record(record.clone()).blob(small).blob(large.clone());
    store.commit(first.snapshot(Snapshot::new(1, "one")).note(note).advances()).await.unwrap();
    store.commit(next(3, 2).snapshot(Snapshot::new(2, "two")).trim(1)).await.unwrap();
    for (number, key) in [(4, "a"), (5, "b")] {
        let (key, kind) = (MessageKey::from_static(key), Kind::from_static("kind"));
        store.send(&full(), NewMessage::new(OperationId(number), key, kind, "message")).await.unwrap();
    }
    store.renew(&full(), Renew::new(opened.fence, Duration::from_secs(90))).await.unwrap();
    let last = next(6, 3).take(1).drop_blob(large.name).record(record).extend(Duration::from_secs(99));
    store.commit(last).await.unwrap();

    let lineage = Lineage { run: full(), incarnation: opened.fence.incarnation, cursor: 40 };
    let draft = open(7).origin(Origin { cursor: 40, lineage: Some(lineage) });
    store.open(&RunId::from_static("draft"), draft).await.unwrap();
    let run = RunId::from_static("failed");
    let opened = store.open(&run, open(8)).await.unwrap();
    let outcome = Outcome::Failed { failure: Failure::new(FailureKind::Poison, "why") };
    store
        .commit(Commit::new(run, opened.fence, OperationId(9), 1).finish(outcome, Retain::Delete))
        .await
        .unwrap();
    let run = RunId::from_static("waiting");
    let opened = store.open(&run, open(10)).await.unwrap();
    let wake = Wake::message(0).or_at(Timestamp(1_800_000_600_000_000));
    let released = Commit::new(run.clone(), opened.fence, OperationId(11), 1).release(wake);
    store.commit(released).await.unwrap();
    let again = Open::resume(OperationId(12)).owner(Owner::new("next")).over(opened.fence);
    store.open(&run, again).await.unwrap();
    let run = RunId::from_static("gone");
    store.open(&run, open(13)).await.unwrap();
    store.delete(&run, milepost_core::Delete::Any).await.unwrap();
}

/// What stands in the golden data, in words.
async fn read(place: &Arc<Memory>) -> Vec<String> {
    let store = connect(place).await;
    let heads: Vec<milepost_core::Head> =
        store.list(milepost_core::Query::all()).try_collect().await.unwrap();
    let mut told: Vec<String> = heads.iter().map(|head| format!("{head:?}")).collect();
    let records: Vec<Record> = store.stream(&full(), Span::after(1)).try_collect().await.unwrap();
    told.push(format!("{records:?} {:?}", records[0].body.to_vec()));
    let messages: Vec<Message> = store.inbox(&full(), Span::all()).try_collect().await.unwrap();
    told.push(format!("{messages:?}"));
    for cursor in [1, 2] {
        let snapshot = store.snapshot(&full(), At::OrBefore(cursor)).await.unwrap().unwrap();
        told.push(format!("{snapshot:?} {:?}", snapshot.body.to_vec()));
    }
    let blob = store.blob(&full(), &Blob::of("blob").name).await.unwrap().unwrap();
    told.push(format!("{:?}", blob.to_vec()));
    told
}

#[tokio::test]
async fn data_of_version_1_is_read_and_written_as_ever() {
    let written = Arc::new(Memory::default());
    write(&written).await;
    for (name, bytes) in [
        ("rare/open", frame::encode("rare/open", &rare()).unwrap()),
        ("rare/record", frame::encode("rare/record", &apart()).unwrap()),
    ] {
        written.objects().insert(name.to_owned(), bytes);
    }
    let now = dump(&written);
    if std::env::var_os("MILEPOST_GOLDEN").is_some() {
        fs::create_dir_all(file().parent().unwrap()).unwrap();
        fs::write(file(), &now).unwrap();
    }
    let golden = fs::read_to_string(file()).unwrap();
    let loaded = Arc::new(load(&golden));
    let told = read(&loaded).await;
    assert_eq!(told.len(), 9, "{told:?}");
    assert_eq!(told, read(&written).await);
    let object = |name: &str| loaded.objects()[name].clone();
    assert_eq!(frame::decode::<Entry>("rare/open", &object("rare/open")).unwrap(), rare());
    assert_eq!(frame::decode::<entry::Record>("rare/record", &object("rare/record")).unwrap(), apart());
    assert_eq!(now, golden, "what is written has changed: that is another version");
}
