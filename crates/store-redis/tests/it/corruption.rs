//! Damaged and lost data: the truth, or an error that says so; never other data and never less.

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, ErrorKind, Kind, Message, MessageKey, NewMessage, Outcome, Record, RecordId, Result, Retain,
    RunId, Snapshot, Span, Store,
};
use milepost_store_redis::RedisStore;

use crate::support::{Driver, Raw, World, operation, record, run};

/// All that can be read of a run, in words; equal words are equal data.
async fn told(store: &RedisStore, run: &RunId) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let Some(mut head) = store.head(run).await? else { return Ok(Vec::new()) };
    head.at = milepost_core::Timestamp::default();
    let outcome = match &head.outcome {
        Some(Outcome::Completed { output }) => format!("{output:x}"),
        other => format!("{other:?}"),
    };
    told.push(format!("{head:?} {:x} {outcome}", head.info.meta));
    let records: Vec<Record> = store.stream(run, Span::all()).try_collect().await?;
    told.extend(records.iter().map(|record| format!("{record:?} {:x}", record.body)));
    let messages: Vec<Message> = store.inbox(run, Span::all()).try_collect().await?;
    told.extend(messages.iter().map(|message| format!("{message:?} {:x}", message.body)));
    for at in [At::Latest, At::OrBefore(1)] {
        told.push(format!(
            "{:?}",
            store.snapshot(run, at).await?.map(|found| (found.cursor, found.body.to_vec()))
        ));
    }
    let blobs: Vec<_> = store.blobs(run).try_collect().await?;
    for info in blobs {
        told.push(format!("{info:?} {:?}", store.blob(run, &info.name).await?.map(|body| body.to_vec())));
    }
    Ok(told)
}

async fn filled(store: &RedisStore, id: &str) -> Driver {
    let mut driver = Driver::create(store, id).await;
    let blob = Blob::of("blob");
    let one = record("one").id(RecordId::from_static("id")).blob(blob.name);
    driver.commit(driver.next().record(one).blob(blob).snapshot(Snapshot::new(1, "state 1"))).await;
    driver.commit(driver.next().record(record("two")).snapshot(Snapshot::new(2, "state 2"))).await;
    for key in ["first", "second"] {
        let message =
            NewMessage::new(operation(), MessageKey::from_static(key), Kind::from_static("kind"), key);
        store.send(&driver.run, message).await.unwrap();
    }
    let outcome = Outcome::Completed { output: "output".into() };
    driver.commit(driver.next().finish(outcome, Retain::Keep)).await;
    driver
}

async fn run_keys(raw: &mut Raw, id: &str) -> Vec<Vec<u8>> {
    let end = format!(":{id}");
    raw.keys()
        .await
        .into_iter()
        .filter(|key| key.ends_with(end.as_bytes()) && key.starts_with(b"{"))
        .collect()
}

/// Fails unless what is read is the truth or an error that tells of the damage.
async fn judge(store: &RedisStore, run: &RunId, truth: &[String], damage: &str) -> bool {
    match told(store, run).await {
        Ok(now) => {
            assert_eq!(now, truth, "{damage}");
            false
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Newer), "{damage}: {error:?}");
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_anywhere_is_told() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let driver = filled(&store, "flipped").await;
    let truth = told(&store, &driver.run).await.unwrap();
    let (mut flips, mut seen) = (0, 0);
    for key in run_keys(&mut raw, "flipped").await {
        let kind = raw.kind(&key).await;
        let fields: Vec<Vec<u8>> =
            if kind == "hash" { raw.ask(&[b"HKEYS", &key]).await } else { vec![Vec::new()] };
        for field in fields {
            let value: Vec<u8> = match kind.as_str() {
                "string" => raw.ask(&[b"GET", &key]).await,
                "hash" => raw.ask(&[b"HGET", &key, &field]).await,
                _ => continue,
            };
            for place in 0..value.len() {
                let mut damaged = value.clone();
                damaged[place] ^= 1 << (place % 8);
                put(&mut raw, &kind, &key, &field, &damaged).await;
                let letter = String::from_utf8_lossy(&key).into_owned();
                flips += 1;
                seen +=
                    usize::from(judge(&store, &driver.run, &truth, &format!("{letter} at {place}")).await);
            }
            put(&mut raw, &kind, &key, &field, &value).await;
        }
    }
    assert_eq!(told(&store, &driver.run).await.unwrap(), truth);
    // Record ids and message keys are read by writes only.
    assert!(seen * 4 > flips * 3, "{seen} of {flips}");
}

async fn put(raw: &mut Raw, kind: &str, key: &[u8], field: &[u8], value: &[u8]) {
    if kind == "string" {
        let () = raw.ask(&[b"SET", key, value]).await;
    } else {
        let _: i64 = raw.ask(&[b"HSET", key, field, value]).await;
    }
}

#[tokio::test]
async fn a_lost_key_is_told() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let letters: Vec<char> = {
        filled(&store, "letters").await;
        let keys = run_keys(&mut raw, "letters").await;
        keys.iter()
            .map(|key| char::from(key[key.iter().position(|byte| *byte == b'}').unwrap() + 1]))
            .collect()
    };
    for letter in letters {
        let id = format!("lost-{letter}");
        let driver = filled(&store, &id).await;
        let truth = told(&store, &driver.run).await.unwrap();
        let key = run_keys(&mut raw, &id).await;
        let key = key.iter().find(|key| key.windows(2).any(|pair| pair == [b'}', letter as u8])).unwrap();
        let _: i64 = raw.ask(&[b"DEL", key]).await;
        let told = judge(&store, &driver.run, &truth, &id).await;
        assert_eq!(
            told,
            !matches!(letter, 'd' | 'k'),
            "the loss of {letter}: only writes ask for it, or reads do"
        );
    }
}

#[tokio::test]
async fn a_lost_entry_is_told() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    for letter in ["r", "s", "t", "b", "e", "m", "n"] {
        let id = format!("entry-{letter}");
        let driver = filled(&store, &id).await;
        let truth = told(&store, &driver.run).await.unwrap();
        let keys = run_keys(&mut raw, &id).await;
        let mark = format!("}}{letter}:");
        let key = keys.iter().find(|key| String::from_utf8_lossy(key).contains(&mark)).unwrap();
        if raw.kind(key).await == "hash" {
            let fields: Vec<Vec<u8>> = raw.ask(&[b"HKEYS", key]).await;
            let _: i64 = raw.ask(&[b"HDEL", key, &fields[0]]).await;
        } else {
            let _: i64 = raw.ask(&[b"ZREMRANGEBYRANK", key, b"0", b"0"]).await;
        }
        assert!(
            judge(&store, &driver.run, &truth, &id).await,
            "an entry of {letter} is gone and nobody says so"
        );
    }
}

#[tokio::test]
async fn lost_ids_and_keys_are_told_to_who_would_repeat_them() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let mut driver = Driver::create(&store, "ids").await;
    driver.commit(driver.next().record(record("x").id(RecordId::from_static("once")))).await;
    let message =
        || NewMessage::new(operation(), MessageKey::from_static("k"), Kind::from_static("m"), "body");
    store.send(&driver.run, message()).await.unwrap();
    for key in run_keys(&mut raw, "ids").await {
        if ["}d:", "}k:"].iter().any(|mark| String::from_utf8_lossy(&key).contains(mark)) {
            let _: i64 = raw.ask(&[b"DEL", &key]).await;
        }
    }
    let again = driver.next().record(record("x").id(RecordId::from_static("once")));
    assert_eq!(store.commit(again).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.send(&driver.run, message()).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn swapped_values_are_told() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let (one, two) = (filled(&store, "one").await, filled(&store, "two").await);
    let truth = told(&store, &one.run).await.unwrap();
    let (of_one, of_two) = (run_keys(&mut raw, "one").await, run_keys(&mut raw, "two").await);
    let mut told_of = 0;
    for (own, other) in of_one.iter().zip(&of_two) {
        let kept: Vec<u8> = raw.ask(&[b"DUMP", own]).await;
        let foreign: Vec<u8> = raw.ask(&[b"DUMP", other]).await;
        let () = raw.ask(&[b"RESTORE", own, b"0", &foreign, b"REPLACE"]).await;
        told_of += u32::from(judge(&store, &one.run, &truth, &String::from_utf8_lossy(own)).await);
        let () = raw.ask(&[b"RESTORE", own, b"0", &kept, b"REPLACE"]).await;
    }
    // The same numbers and names stand in both runs' indexes, and two more are read by writes only.
    assert_eq!(told_of as usize, of_one.len() - 5, "of {of_one:?}");
    assert_ne!(one.fence.incarnation, two.fence.incarnation);
}

#[tokio::test]
async fn a_damaged_run_takes_no_writes_and_can_be_deleted() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let driver = Driver::create(&store, "damaged").await;
    let row = run_keys(&mut raw, "damaged").await;
    let row = row.iter().find(|key| String::from_utf8_lossy(key).contains("}r:")).unwrap();
    let _: i64 = raw.ask(&[b"HSET", row, b"r", &[0xff; 148]]).await;
    assert_eq!(store.commit(driver.next()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let listed: Result<Vec<_>> = store.list(milepost_core::Query::all()).try_collect().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(store.delete(&driver.run, milepost_core::Delete::Any).await.unwrap());
    assert!(store.head(&run("damaged")).await.unwrap().is_none());
}
