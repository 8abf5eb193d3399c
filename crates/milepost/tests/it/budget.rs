//! What a run costs in the SQLite file, in pages.

use milepost::{Begin, Checkpoints, Ids, Manifest, RunId, RunInfo, SeededIds, Started, Store};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

/// Bytes that go into the codec as one piece: without optimization, one by one would take a minute.
#[derive(Default)]
struct Noise(Vec<u8>);

impl Serialize for Noise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Noise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}

/// The bytes of the pages that are in use, once the write-ahead log is copied and cut.
async fn bytes_in_use(file: &std::path::Path) -> i64 {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    let mut figures = Vec::new();
    for pragma in ["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"] {
        figures.push(sqlx::query_scalar::<_, i64>(pragma).fetch_one(&mut connection).await.unwrap());
    }
    (figures[0] - figures[1]) * figures[2]
}

#[tokio::test]
async fn a_thousand_saves_of_a_kibibyte_more_take_at_most_three_mebibytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = milepost::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let begin = Begin::new(RunId::from_static("growth"), RunInfo::named("test"), Manifest::of(b"test"));
    let begun = Checkpoints::new(store.clone()).begin_state(begin, Noise::default).await.unwrap();
    let Started::Driving(mut run) = begun else { panic!("the run is new") };
    let ids = SeededIds::new(1);
    for _ in 0..1_000 {
        run.update(|state| (0..64).for_each(|_| state.0.extend(ids.bits().to_le_bytes()))).await.unwrap();
    }
    run.flush().await.unwrap();
    assert_eq!(store.head(&RunId::from_static("growth")).await.unwrap().unwrap().cursor, 1_000);
    store.close().await.unwrap();
    let bytes = bytes_in_use(&file).await;
    assert!(bytes <= 3 << 20, "{bytes} bytes of pages");
    assert!(bytes >= 1 << 20, "{bytes} bytes of pages cannot hold a megabyte of random numbers");
}
