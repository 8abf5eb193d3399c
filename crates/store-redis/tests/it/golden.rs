//! The format of version 1, which is read for ever: the file was written by the version that introduced it.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use milepost_core::{ManualClock, SeededIds, Timestamp};
use milepost_servers::{Redis, Server};
use milepost_store_redis::{RedisConfig, RedisStore};
use milepost_store_tests::golden;

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

async fn connect(url: &str) -> RedisStore {
    config(url).connect().await.unwrap()
}

#[tokio::test]
async fn data_of_version_1_is_read_and_written_as_ever() {
    let (written, loaded) = (Redis::start().unwrap(), Redis::start().unwrap());
    let raw = |server: &Redis| World { url: server.url(), prefix: PREFIX.to_owned() };
    let store = connect(&written.url()).await;
    golden::write(&store).await;
    let now = dump(&mut raw(&written).raw().await).await;
    let text = golden::text(&file(), &now);
    load(&mut raw(&loaded).raw().await, &text).await;
    assert_eq!(golden::read(&connect(&loaded.url()).await).await, golden::read(&store).await);
    assert_eq!(now, text, "what is written has changed: that is another version");
}
