//! Odd texts and bodies in every place that takes one.

use super::{ALIKE, ODD};
use crate::areas::prelude::*;

cases! { ids:
    /// Names, labels, parents, meta and owners come back as they were given, byte for byte.
    odd_infos_come_back [],
    /// Notes come back as they were given.
    odd_notes_come_back [],
    /// Messages of failures and outputs come back as they were given.
    odd_outcomes_come_back [],
    /// Kinds, record ids and bodies of records come back as they were given.
    odd_records_come_back [Log],
    /// Record ids that look alike are different ids; each is refused a second time.
    odd_record_ids_stay_apart [Log, RecordIds],
    /// Keys, kinds and bodies of messages come back as they were given.
    odd_messages_come_back [Inbox],
    /// Keys of messages that look alike are different keys; each is known a second time.
    odd_message_keys_stay_apart [Inbox],
    /// Bodies of snapshots and blobs come back as they were given, of each byte and of none.
    odd_states_come_back [Snapshots],
    /// Bodies of blobs come back as they were given.
    odd_blobs_come_back [Blobs],
    /// Names of 255 bytes work, in every place that takes one.
    the_longest_names_come_back [],
}

/// Every odd text, the empty one, and one with a NUL: for places that take any text.
fn texts() -> impl Iterator<Item = String> {
    let more = ["", "\0", "a\0b", "\0\0"].map(String::from);
    let long = [" ".repeat(700), "'\"%\\\n".repeat(100), "\u{1f600}".repeat(200)];
    names().map(String::from).chain(more).chain(long)
}

/// Every odd text that may be a name.
fn names() -> impl Iterator<Item = &'static str> {
    ODD.iter().chain(ALIKE.iter().copied().flatten()).copied()
}

/// Bodies that some encoding somewhere does not take.
fn bodies() -> Vec<Bytes> {
    let every: Vec<u8> = (0..=255).collect();
    let mut bodies: Vec<Bytes> = texts().map(Bytes::from).collect();
    bodies.extend((0..=255).map(|byte| Bytes::from(vec![byte])));
    for odd in [
        &b"\xff\xfe"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\x00\x00\x00\x00",
        b"\\x6162",
        b"{\"$oid\":\"0\"}",
        b"\r\n\r\n",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
    ] {
        bodies.push(Bytes::copy_from_slice(odd));
    }
    bodies.extend([every.clone(), every.into_iter().rev().collect()].map(Bytes::from));
    bodies
}

async fn odd_infos_come_back(ctx: &Context) -> Verdict {
    let owners = texts().map(Owner::new);
    for (number, (text, owner)) in texts().zip(owners).enumerate() {
        let run = ctx.run(&number.to_string());
        let mut info =
            RunInfo::named(&text).label(&text, &text).label(format!("{text}x"), "").meta(text.clone());
        info.parent = RunId::new(&text).ok();
        let open = Open { info: Some(info.clone()), ..ctx.creating().owner(owner.clone()) };
        let opened = ctx.a.open(&run, open).await?;
        for head in [&opened.head, &ctx.head(&run).await?] {
            expect_eq(&format!("the info of a run named {text:?}"), &head.info, &info)?;
            let holder = head.lease.as_ref().map(|lease| &lease.owner);
            expect_eq("its owner", holder, Some(&owner))?;
        }
        let held = refused("a second open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
        let told =
            matches!(held.refusal(), Some(Refusal::LeaseHeld { owner: Some(told), .. }) if *told == owner);
        expect("it tells the owner", told, held)?;
    }
    let (run, mut info) = (ctx.run("all"), RunInfo::named("all of them"));
    for (number, text) in names().enumerate() {
        info = info.label(text, number.to_string());
    }
    ctx.a.open(&run, Open { info: Some(info.clone()), ..ctx.creating() }).await?;
    expect_eq("a run with every odd label", ctx.head(&run).await?.info, info)
}

async fn odd_notes_come_back(ctx: &Context) -> Verdict {
    let run = ctx.run("noted");
    let mut driver = ctx.create(&run).await?;
    for (done, text) in
        [0, 1, u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1].into_iter().cycle().zip(texts())
    {
        let note = Note::new(done, Some(done), text)?;
        ctx.commit(&mut driver, |commit| commit.note(note.clone())).await?;
        expect_eq("the note of a commit", ctx.head(&run).await?.note.as_ref(), Some(&note))?;
        let note = Note { total: None, ..note };
        ctx.b.renew(&run, Renew::new(driver.fence, ctx.long()).note(note.clone())).await?;
        expect_eq("the note of a renewal", ctx.head(&run).await?.note, Some(note))?;
    }
    Ok(())
}

async fn odd_outcomes_come_back(ctx: &Context) -> Verdict {
    let failed = texts().map(|message| {
        let failure = milepost_core::Failure::new(FailureKind::Error, message);
        Outcome::Failed { failure }
    });
    let completed = bodies().into_iter().step_by(5).map(|output| Outcome::Completed { output });
    for (number, outcome) in failed.chain(completed).enumerate() {
        let run = ctx.run(&number.to_string());
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
        expect_eq("the outcome", ctx.head(&run).await?.outcome.as_ref(), Some(&outcome))?;
        let finished = ctx.b.open(&run, ctx.resuming()).await;
        refused_as("an open", finished, Refusal::Finished { outcome })?;
    }
    Ok(())
}

async fn odd_records_come_back(ctx: &Context) -> Verdict {
    let run = ctx.run("recorded");
    let mut driver = ctx.create(&run).await?;
    let mut want: Vec<NewRecord> = Vec::new();
    for (number, body) in bodies().into_iter().enumerate() {
        let kind = names().nth(number % names().count()).map_or(Ok(Kind::from_static("kind")), Kind::new)?;
        want.push(NewRecord::new(kind, body));
    }
    if ctx.capabilities.supports_record_ids() {
        let mut named: Vec<_> = names().collect();
        named.sort_unstable();
        named.dedup();
        for (record, id) in want.iter_mut().zip(named) {
            record.id = Some(RecordId::new(id)?);
        }
    }
    for few in want.chunks(40) {
        ctx.commit(&mut driver, |commit| commit.records(few.iter().cloned())).await?;
    }
    for store in [&ctx.a, &ctx.b] {
        let got = collect(store.stream(&run, Span::all())).await?;
        expect_eq("how many came", got.len(), want.len())?;
        for (got, new) in got.into_iter().zip(&want) {
            let (cursor, at) = (got.cursor, got.at);
            expect_eq("a record", got, new.clone().at(cursor, at))?;
        }
    }
    Ok(())
}

async fn odd_record_ids_stay_apart(ctx: &Context) -> Verdict {
    let run = ctx.run("recorded");
    let mut driver = ctx.create(&run).await?;
    let mut ids: Vec<_> = names().collect();
    ids.sort_unstable();
    ids.dedup();
    for id in &ids {
        let record = record(driver.cursor + 1).id(RecordId::new(id)?);
        ctx.commit(&mut driver, |commit| commit.record(record)).await?;
    }
    for (id, cursor) in ids.iter().zip(1..) {
        let again = ctx.b.commit(ctx.next(&driver).record(record(0).id(RecordId::new(id)?))).await;
        refused_as(&format!("the id {id:?} again"), again, Refusal::Duplicate { cursor })?;
    }
    Ok(())
}

async fn odd_messages_come_back(ctx: &Context) -> Verdict {
    let run = ctx.run("told");
    ctx.create(&run).await?;
    let (mut keys, bodies) = (names().collect::<Vec<_>>(), bodies());
    keys.sort_unstable();
    keys.dedup();
    let mut want = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let text = keys[number as usize % keys.len()];
        let key = keys.get(number as usize).map_or(number.to_string(), |key| (*key).to_owned());
        let message = NewMessage::new(ctx.id(), MessageKey::new(format!("{key} "))?, Kind::new(text)?, body);
        let sent = ctx.a.send(&run, message.clone()).await?;
        expect_eq(&format!("the answer to the key {key:?}"), sent, Sent::Accepted { number })?;
        want.push(message);
    }
    let got = collect(ctx.b.inbox(&run, Span::all())).await?;
    expect_eq("how many wait", got.len(), want.len())?;
    for (got, new) in got.into_iter().zip(want) {
        let Message { number, at, id, key, kind, body } = got;
        let told = NewMessage { id, key, kind, body, incarnation: None };
        expect_eq(&format!("message {number} of {at:?}"), told, new)?;
    }
    Ok(())
}

async fn odd_message_keys_stay_apart(ctx: &Context) -> Verdict {
    let run = ctx.run("told");
    ctx.create(&run).await?;
    let mut keys: Vec<_> = names().collect();
    keys.sort_unstable();
    keys.dedup();
    for (number, key) in (1..).zip(&keys) {
        let sent = ctx.a.send(&run, ctx.message(key, *key)).await?;
        expect_eq(&format!("the key {key:?}"), sent, Sent::Accepted { number })?;
    }
    for (number, key) in (1..).zip(&keys) {
        let sent = ctx.b.send(&run, ctx.message(key, *key)).await?;
        expect_eq(&format!("the key {key:?} again"), sent, Sent::Repeated { number })?;
        let sent = ctx.b.send(&run, ctx.message(key, "other")).await?;
        expect_eq(&format!("the key {key:?} with another body"), sent, Sent::Conflicting { number })?;
    }
    Ok(())
}

async fn odd_states_come_back(ctx: &Context) -> Verdict {
    let run = ctx.run("saved");
    let mut driver = ctx.create(&run).await?;
    for body in bodies() {
        let snapshot = Snapshot::new(driver.cursor, body);
        ctx.commit(&mut driver, |commit| commit.snapshot(snapshot.clone())).await?;
        expect_eq("the snapshot", ctx.b.snapshot(&run, At::Latest).await?, Some(snapshot))?;
    }
    Ok(())
}

async fn odd_blobs_come_back(ctx: &Context) -> Verdict {
    let run = ctx.run("large");
    let mut driver = ctx.create(&run).await?;
    let mut blobs: Vec<_> = bodies().into_iter().map(Blob::of).collect();
    blobs.sort_by_key(|blob| blob.name);
    blobs.dedup_by_key(|blob| blob.name);
    for few in blobs.chunks(40) {
        ctx.commit(&mut driver, |commit| few.iter().cloned().fold(commit, Commit::blob)).await?;
    }
    for Blob { name, body } in &blobs {
        expect_eq("the body of a blob", ctx.b.blob(&run, name).await?.as_ref(), Some(body))?;
    }
    let got: Vec<_> = collect(ctx.b.blobs(&run)).await?.iter().map(|info| (info.name, info.size)).collect();
    let want: Vec<_> = blobs.iter().map(|blob| (blob.name, blob.body.len() as u64)).collect();
    expect_eq("every blob, by name", got, want)
}

async fn the_longest_names_come_back(ctx: &Context) -> Verdict {
    let long = |fill: &str, limit: usize| fill.repeat(limit / fill.len());
    let run = ctx.run("long");
    let mut driver = ctx.create(&run).await?;
    for fill in ["x", "%", "'", "\u{1f600}", "\u{7ff}"] {
        let (kind, name) = (Kind::new(long(fill, Kind::LIMIT))?, long(fill, RecordId::LIMIT));
        if ctx.capabilities.supports_log() {
            let mut record = NewRecord::new(kind.clone(), "body");
            if ctx.capabilities.supports_record_ids() {
                record.id = Some(RecordId::new(&name)?);
            }
            ctx.commit(&mut driver, |commit| commit.record(record.clone())).await?;
            let got = ctx.image(&run).await?.records.pop();
            expect_eq("kind and id", got.map(|got| (got.kind, got.id)), Some((kind.clone(), record.id)))?;
        }
        if ctx.capabilities.supports_inbox() {
            let message = NewMessage::new(ctx.id(), MessageKey::new(&name)?, kind.clone(), "body");
            ctx.a.send(&run, message.clone()).await?;
            let got = ctx.image(&run).await?.messages.pop();
            expect_eq("key and kind", got.map(|got| (got.key, got.kind)), Some((message.key, kind)))?;
        }
        let note = Note::new(0, None, long(fill, NOTE_LIMIT - 1))?;
        ctx.commit(&mut driver, |commit| commit.note(note.clone())).await?;
        expect_eq("the note", ctx.head(&run).await?.note, Some(note))?;
    }
    Ok(())
}
