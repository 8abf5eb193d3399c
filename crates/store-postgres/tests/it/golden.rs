//! The format of version 1, which is read for ever: the file was written by the version that introduced it.

use std::{path::PathBuf, sync::Arc};

use milepost_core::SeededIds;
use milepost_servers::{Postgres, Server};
use milepost_store_postgres::{PostgresConfig, PostgresStore};
use milepost_store_tests::golden;

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

async fn connect(url: &str) -> PostgresStore {
    config(url).connect().await.unwrap()
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

#[tokio::test]
async fn data_of_version_1_is_read_and_written_as_ever() {
    let ((written, mut from), (loaded, mut to)) = (start().await, start().await);
    let store = connect(&written.url()).await;
    golden::write(&store).await;
    let now = dump(&mut from).await;
    let text = golden::text(&file(), &now);
    config(&loaded.url()).prepare().await.unwrap();
    load(&mut to, &text).await;
    assert_eq!(golden::read(&connect(&loaded.url()).await).await, golden::read(&store).await);
    assert_eq!(now, text, "what is written has changed: that is another version");
}
