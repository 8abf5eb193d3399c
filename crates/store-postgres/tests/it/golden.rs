//! The format of version 1, which is read for ever: the file was written by the version that introduced it.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, Commit, Failure, FailureKind, Kind, Manifest, Message, MessageKey, NewMessage, Note, Open,
    OperationId, Origin, Outcome, Record, RecordId, Retain, RunId, RunInfo, SeededIds, Snapshot, Span, Store,
};
use milepost_servers::{Postgres, Server};
use milepost_store_postgres::PostgresConfig;

use crate::support::{Raw, World};

const SCHEMA: &str = "golden";

const TABLES: [&str; 10] =
    ["run", "cold", "info", "outcome", "record", "record_id", "snapshot", "blob", "message", "message_key"];

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1.txt")
}

fn config(url: &str) -> PostgresConfig {
    let config = PostgresConfig::from_url(url).unwrap().schema(SCHEMA).unwrap();
    config.prepare_on_connect(true).ids(Arc::new(SeededIds::new(7)))
}

/// A server whose schema has a clock that stands still.
async fn start() -> (Postgres, Raw) {
    let server = Postgres::start().unwrap();
    let mut raw = World { url: server.url(), schema: SCHEMA.to_owned() }.raw().await;
    raw.run(
        "CREATE SCHEMA {s}; CREATE FUNCTION {s}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS \
         $$ SELECT 1800000000000000::bigint $$",
    )
    .await;
    (server, raw)
}

/// Every row, one a line: its table, and the row as PostgreSQL writes it.
async fn dump(raw: &mut Raw) -> String {
    let mut text = String::new();
    for table in TABLES {
        let sql = format!("SELECT '{table} ' || t::text FROM {{s}}.{table} t ORDER BY t");
        for row in raw.ask::<String>(&sql).await {
            text.push_str(&row);
            text.push('\n');
        }
    }
    text
}

async fn load(raw: &mut Raw, text: &str) {
    for line in text.lines() {
        let (table, row) = line.split_once(' ').unwrap();
        let row = row.replace('\'', "''");
        raw.run(&format!("INSERT INTO {{s}}.{table} SELECT ('{row}'::{{s}}.{table}).*")).await;
    }
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
    let ((written, mut from), (loaded, mut to)) = (start().await, start().await);
    write(&written.url()).await;
    let now = dump(&mut from).await;
    if std::env::var_os("MILEPOST_GOLDEN").is_some() {
        fs::create_dir_all(file().parent().unwrap()).unwrap();
        fs::write(file(), &now).unwrap();
    }
    let golden = fs::read_to_string(file()).unwrap();
    config(&loaded.url()).prepare().await.unwrap();
    load(&mut to, &golden).await;
    let told = read(&loaded.url()).await;
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(told, read(&written.url()).await);
    assert_eq!(now, golden, "what is written has changed: that is another version");
}
