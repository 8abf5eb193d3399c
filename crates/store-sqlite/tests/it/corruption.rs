//! Bytes that changed and rows that are gone: `Corrupt` or the truth, never other data and never less.

use std::fs;

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, BlobInfo, Bytes, Error, ErrorKind, Head, Kind, Message, MessageKey, NewMessage, Query, Record,
    RecordId, Snapshot, Span, Store,
};
use milepost_store_sqlite::SqliteStore;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::support::{Driver, World, operation, record, run};

/// Everything that can be read of run `a`. Its heads were read at different times.
#[derive(Debug)]
struct Read {
    head: Result<Option<Head>, Error>,
    records: Result<Vec<Record>, Error>,
    newest: Result<Option<Snapshot>, Error>,
    older: Result<Option<Snapshot>, Error>,
    blob: Result<Option<Bytes>, Error>,
    blobs: Result<Vec<BlobInfo>, Error>,
    messages: Result<Vec<Message>, Error>,
}

impl Read {
    async fn all(store: &SqliteStore) -> Self {
        let run = run("a");
        Self {
            head: store.head(&run).await,
            records: store.stream(&run, Span::all()).try_collect().await,
            newest: store.snapshot(&run, At::Latest).await,
            older: store.snapshot(&run, At::OrBefore(2)).await,
            blob: store.blob(&run, &blob().name).await,
            blobs: store.blobs(&run).try_collect().await,
            messages: store.inbox(&run, Span::all()).try_collect().await,
        }
    }

    /// Asserts that each part is the truth, `Corrupt`, or that the whole run is not to be found.
    fn assert_true_or_told(self, truth: &Read, context: &str) {
        fn check<T: PartialEq + std::fmt::Debug>(
            read: Result<T, Error>,
            truth: &Result<T, Error>,
            context: &str,
        ) {
            match read {
                Ok(read) => assert_eq!(&read, truth.as_ref().unwrap(), "{context}"),
                Err(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound),
                        "{context}: {error:?}"
                    );
                }
            }
        }
        let still = |head: &Result<Option<Head>, Error>| {
            let mut head = head.as_ref().unwrap().clone().unwrap();
            (head.at, head.due) = (milepost_core::Timestamp(0), None);
            head
        };
        match &self.head {
            Ok(Some(_)) => assert_eq!(still(&self.head), still(&truth.head), "{context}"),
            Ok(None) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error:?}"),
        }
        check(self.records, &truth.records, context);
        check(self.newest, &truth.newest, context);
        check(self.older, &truth.older, context);
        check(self.blob, &truth.blob, context);
        check(self.blobs, &truth.blobs, context);
        check(self.messages, &truth.messages, context);
    }
}

fn blob() -> Blob {
    Blob::of("the body of the blob, forty bytes long...")
}

/// A closed database with one of everything, and what is read from it.
async fn written(world: &World) -> Read {
    let store = world.store().await;
    let mut driver = Driver::create(&store, "a").await;
    for n in 1..=4u64 {
        let commit = driver
            .next()
            .record(
                record(format!("the body of record {n}, forty bytes long"))
                    .id(RecordId::new(n.to_string()).unwrap()),
            )
            .snapshot(Snapshot::new(n, format!("the body of snapshot {n}, forty bytes")));
        driver.commit(commit).await;
    }
    let commit = driver.next().blob(blob());
    driver.commit(commit).await;
    let key = MessageKey::from_static("key");
    let message = NewMessage::new(
        operation(),
        key,
        Kind::from_static("signal"),
        "the body of the message, forty bytes",
    );
    store.send(&run("a"), message).await.unwrap();
    let read = Read::all(&store).await;
    store.close().await.unwrap();
    read
}

async fn read_with_flipped(world: &World, bytes: &[u8], offset: usize, truth: &Read) {
    let mut flipped = bytes.to_vec();
    flipped[offset] ^= 0x11;
    read_damaged(world, &flipped, truth, &format!("offset {offset}")).await;
}

async fn read_damaged(world: &World, bytes: &[u8], truth: &Read, context: &str) {
    fs::write(world.path(), bytes).unwrap();
    for beside in ["runs.db-wal", "runs.db-shm"] {
        let _ = fs::remove_file(world.folder.path().join(beside));
    }
    match world.config().connect().await {
        Ok(store) => {
            Read::all(&store).await.assert_true_or_told(truth, context);
            let _: Result<Vec<Head>, Error> = store.list(Query::all()).try_collect().await;
            store.close().await.unwrap();
        }
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Config | ErrorKind::Newer),
            "{context}: {error:?}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flipped_byte_of_a_stored_body_is_told() {
    let world = World::new();
    let truth = written(&world).await;
    let bytes = fs::read(world.path()).unwrap();
    let mut bodies = 0;
    for body in bytes.windows(12).enumerate().filter(|(_, window)| window.starts_with(b"the body of ")) {
        bodies += 1;
        for offset in body.0..body.0 + 36 {
            read_with_flipped(&world, &bytes, offset, &truth).await;
        }
    }
    assert!(
        bodies >= 10,
        "4 records, 4 snapshots, a blob and a message are in the file, {bodies} were found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere_is_told_or_harmless() {
    let world = World::new();
    let truth = written(&world).await;
    let bytes = fs::read(world.path()).unwrap();
    // Most of the file is empty; where it is not, every third byte.
    let used = (0..bytes.len()).filter(|offset| bytes[*offset] != 0).step_by(3);
    for offset in used {
        read_with_flipped(&world, &bytes, offset, &truth).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_short_is_told_or_whole_all_the_same() {
    let world = World::new();
    let truth = written(&world).await;
    let bytes = fs::read(world.path()).unwrap();
    for missing in [1, 2, 20, 60, 200, 1000, 4095, 4096, 5000, 20_000] {
        read_damaged(&world, &bytes[..bytes.len() - missing], &truth, &format!("{missing} bytes cut")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_is_told() {
    for (sql, what) in [
        ("DELETE FROM record WHERE cursor = 1", "records"),
        ("DELETE FROM record WHERE cursor = 2", "records"),
        ("DELETE FROM record WHERE cursor = 4", "records"),
        ("DELETE FROM record", "records"),
        ("UPDATE record SET cursor = 6 - cursor WHERE cursor IN (2, 4)", "records"),
        ("DELETE FROM snapshot WHERE cursor = 4", "newest"),
        ("DELETE FROM snapshot WHERE cursor = 2", "older"),
        ("DELETE FROM snapshot", "newest"),
        ("DELETE FROM blob", "blob"),
        ("DELETE FROM blob", "blobs"),
        ("DELETE FROM message", "messages"),
        ("DELETE FROM info", "head"),
        ("UPDATE run SET cursor = 3", "records"),
        ("UPDATE run SET version = version + 1", "head"),
        ("UPDATE run SET id = 'a', incarnation = zeroblob(16)", "head"),
        ("UPDATE info SET name = 'another'", "head"),
    ] {
        let world = World::new();
        written(&world).await;
        let mut connection = SqliteConnectOptions::new().filename(world.path()).connect().await.unwrap();
        let sql_of_a_swap = sql.contains("6 - cursor");
        if sql_of_a_swap {
            sqlx::raw_sql("DROP INDEX record_place").execute(&mut connection).await.unwrap();
        }
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        if sql_of_a_swap {
            let again = "CREATE UNIQUE INDEX record_place ON record (run, cursor)";
            sqlx::raw_sql(again).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let store = world.store().await;
        let read = Read::all(&store).await;
        let error = match what {
            "records" => read.records.err(),
            "newest" => read.newest.err(),
            "older" => read.older.err(),
            "blob" => read.blob.err(),
            "blobs" => read.blobs.err(),
            "messages" => read.messages.err(),
            _ => read.head.err(),
        };
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Corrupt), "{sql}: {what}");
    }
}
