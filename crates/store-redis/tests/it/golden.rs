//! The format of version 1, which is read for ever: the file was written by the version that introduced it.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, sync::Arc};

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, Commit, Failure, FailureKind, Kind, Manifest, ManualClock, Message, MessageKey, NewMessage,
    Note, Open, OperationId, Origin, Outcome, Record, RecordId, Retain, RunId, RunInfo, SeededIds, Snapshot,
    Span, Store, Timestamp,
};
use milepost_servers::{Redis, Server};
use milepost_store_redis::RedisConfig;

use crate::support::{Raw, World};

const PREFIX: &str = "golden";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1.txt")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Every key, one a line: its type, its name and what it holds.
async fn dump(raw: &mut Raw) -> String {
    let mut text = String::new();
    for key in raw.keys().await {
        let kind = raw.kind(&key).await;
        let held: Vec<Vec<u8>> = match kind.as_str() {
            "string" => raw.ask(&[b"MGET", &key]).await,
            "hash" => raw.ask(&[b"HGETALL", &key]).await,
            _ => raw.ask(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]).await,
        };
        let mut pairs: Vec<Vec<String>> =
            held.chunks(2).map(|pair| pair.iter().map(|part| hex(part)).collect()).collect();
        pairs.sort();
        let held: Vec<String> = pairs.iter().map(|pair| pair.join(" ")).collect();
        writeln!(text, "{kind} {} {}", hex(&key), held.join(" ")).unwrap();
    }
    text
}

async fn load(raw: &mut Raw, text: &str) {
    for line in text.lines() {
        let mut words = line.split(' ');
        let (kind, key) = (words.next().unwrap(), bytes(words.next().unwrap()));
        let held: Vec<Vec<u8>> = words.map(bytes).collect();
        match kind {
            "string" => raw.ask::<()>(&[b"SET", &key, &held[0]]).await,
            "hash" => {
                for pair in held.chunks(2) {
                    let _: i64 = raw.ask(&[b"HSET", &key, &pair[0], &pair[1]]).await;
                }
            }
            _ => {
                for pair in held.chunks(2) {
                    let _: i64 = raw.ask(&[b"ZADD", &key, &pair[1], &pair[0]]).await;
                }
            }
        }
    }
}

fn config(url: &str) -> RedisConfig {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)));
    let config = RedisConfig::from_url(url).unwrap().prefix(PREFIX).unwrap();
    config.prepare_on_connect(true).clock(clock).ids(Arc::new(SeededIds::new(7)))
}

fn full() -> RunId {
    RunId::from_static("full *{}")
}

/// A run with something in every part, a draft, and a failed one.
async fn write(url: &str) {
    let store = config(url).connect().await.unwrap();
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

/// What stands in the golden data, in words.
async fn read(url: &str) -> BTreeMap<String, String> {
    let store = config(url).connect().await.unwrap();
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
    told
}

#[tokio::test]
async fn data_of_version_1_is_read_and_written_as_ever() {
    let (written, loaded) = (Redis::start().unwrap(), Redis::start().unwrap());
    let raw = |server: &Redis| World { url: server.url(), prefix: PREFIX.to_owned() };
    write(&written.url()).await;
    let now = dump(&mut raw(&written).raw().await).await;
    if std::env::var_os("MILEPOST_GOLDEN").is_some() {
        fs::create_dir_all(file().parent().unwrap()).unwrap();
        fs::write(file(), &now).unwrap();
    }
    let golden = fs::read_to_string(file()).unwrap();
    load(&mut raw(&loaded).raw().await, &golden).await;
    let told = read(&loaded.url()).await;
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(told, read(&written.url()).await);
    assert_eq!(now, golden, "what is written has changed: that is another version");
}
