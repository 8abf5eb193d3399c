//! Bodies are bytes: what was given comes back, whatever it is.

use crate::areas::{moves::WHOLE, prelude::*};

cases! { commit:
    /// Empty bodies, NUL bytes, all 256 byte values, what looks like text of any format, and 1 MiB come back as records.
    bodies_of_records_are_bytes [Log],
    /// The same as snapshots.
    bodies_of_snapshots_are_bytes [Snapshots],
    /// The same as blobs.
    bodies_of_blobs_are_bytes [Blobs],
    /// The same as outputs.
    bodies_of_outputs_are_bytes [],
    /// A body that is part of a larger buffer is stored as that part, and stays when the buffer is used again.
    a_body_is_its_own_part_of_a_buffer [Log],
    /// Kinds come back as they were given, up to their limit.
    kinds_round_trip [Log],
    /// Equal records are as many records.
    equal_records_are_as_many_records [Log],
}

/// Bodies that a backend may take for something else, none larger than `limit`.
fn bodies(ctx: &Context, limit: u64) -> Vec<Bytes> {
    let mega: Vec<u8> = (0..1u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let limit = usize::try_from(limit.min(ctx.capabilities.limits.commit)).unwrap_or(usize::MAX);
    [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"a\0b\0\0"),
        (0..=255).collect::<Vec<u8>>().into(),
        (0..=255).rev().collect::<Vec<u8>>().into(),
        Bytes::from_static(b"\xff\xfe\xc0\x80\xed\xa0\x80"),
        Bytes::from_static("\u{1f469}\u{200d}\u{1f467} \u{202e} e\u{301}".as_bytes()),
        Bytes::from_static(b"{\"a\": [1, null], \"\\u0000\": 1e999}"),
        Bytes::from_static(b"'); DROP TABLE run; -- \\x00 $1 ? :a"),
        Bytes::from_static(b"\r\n\r\n*3\r\n$3\r\nDEL\r\n"),
        Bytes::from_static(b"   "),
        Bytes::from_static(b"-1"),
        mega.into(),
    ]
    .into_iter()
    .map(|body| body.slice(..body.len().min(limit)))
    .collect()
}

async fn bodies_of_records_are_bytes(ctx: &Context) -> Verdict {
    let run = ctx.run("bytes");
    let mut driver = ctx.create(&run).await?;
    let bodies = bodies(ctx, ctx.capabilities.limits.record);
    let records = bodies.iter().map(|body| NewRecord::new(Kind::from_static("bytes"), body.clone()));
    for record in records.clone() {
        ctx.commit(&mut driver, |commit| commit.record(record)).await?;
    }
    let small = bodies.len() - 1;
    ctx.commit(&mut driver, |commit| commit.records(records.take(small))).await?;
    let read: Vec<_> = ctx.image(&run).await?.records.into_iter().map(|record| record.body).collect();
    let want: Vec<_> = bodies.iter().chain(&bodies[..small]).cloned().collect();
    expect_eq("how many bodies there are", read.len(), want.len())?;
    for (read, want) in read.into_iter().zip(want) {
        expect("a body comes back", read == want, (want, read))?;
    }
    Ok(())
}

async fn bodies_of_snapshots_are_bytes(ctx: &Context) -> Verdict {
    let run = ctx.run("bytes");
    let mut driver = ctx.create(&run).await?;
    for body in bodies(ctx, ctx.capabilities.limits.snapshot) {
        let snapshot = Snapshot::new(0, body);
        ctx.commit(&mut driver, |commit| commit.snapshot(snapshot.clone())).await?;
        let read = ctx.b.snapshot(&run, At::Latest).await?;
        expect("a snapshot comes back", read.as_ref() == Some(&snapshot), (&snapshot, &read))?;
        let size = ctx.head(&run).await?.sizes.snapshots;
        expect_eq("its size in the head", size, snapshot.body.len() as u64)?;
    }
    Ok(())
}

async fn bodies_of_blobs_are_bytes(ctx: &Context) -> Verdict {
    let run = ctx.run("bytes");
    let mut driver = ctx.create(&run).await?;
    let mut size = 0;
    for (number, body) in bodies(ctx, ctx.capabilities.limits.blob).into_iter().enumerate() {
        let blob = Blob { name: Digest::of(&[number as u8]), body };
        ctx.commit(&mut driver, |commit| commit.blob(blob.clone())).await?;
        let read = ctx.b.blob(&run, &blob.name).await?;
        expect("a blob comes back", read.as_ref() == Some(&blob.body), (&blob, &read))?;
        size += blob.body.len() as u64;
        expect_eq("the size of all in the head", ctx.head(&run).await?.sizes.blobs, size)?;
    }
    Ok(())
}

async fn bodies_of_outputs_are_bytes(ctx: &Context) -> Verdict {
    for (number, output) in bodies(ctx, ctx.capabilities.limits.record).into_iter().enumerate() {
        let run = ctx.run(&format!("output{number}"));
        let mut driver = ctx.create(&run).await?;
        let outcome = Outcome::Completed { output };
        ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
        let read = ctx.head(&run).await?.outcome;
        expect("an output comes back", read.as_ref() == Some(&outcome), (&outcome, &read))?;
        let opened = ctx.b.open(&run, ctx.resuming()).await;
        refused_as("an open of it", opened, Refusal::Finished { outcome })?;
    }
    Ok(())
}

async fn a_body_is_its_own_part_of_a_buffer(ctx: &Context) -> Verdict {
    let run = ctx.run("parts");
    let mut driver = ctx.create(&run).await?;
    let buffer = Bytes::from("one two three ".repeat(50));
    let parts = [buffer.slice(0..3), buffer.slice(4..7), buffer.slice(8..13)];
    let kind = Kind::from_static("part");
    let records = parts.map(|part| NewRecord::new(kind.clone(), part));
    ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    let mut bytes = Vec::from(buffer);
    bytes.fill(b'!');
    drop(bytes);
    let read: Vec<_> = ctx.image(&run).await?.records.into_iter().map(|record| record.body).collect();
    expect("the parts come back", read == ["one", "two", "three"], &read)?;
    expect_eq("their size in the head", ctx.head(&run).await?.sizes.records, 11)
}

async fn kinds_round_trip(ctx: &Context) -> Verdict {
    let run = ctx.run("kinds");
    let mut driver = ctx.create(&run).await?;
    let longest = "k".repeat(Kind::LIMIT);
    let kinds = ["k", "K", " k ", "é", "e\u{301}", "a.b/c:d", "'\"\\%_", "\u{1f600}\n", "null", &longest];
    let kinds = kinds.iter().map(Kind::new).collect::<Result<Vec<_>>>()?;
    let records = kinds.iter().map(|kind| NewRecord::new(kind.clone(), ""));
    ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    let read: Vec<_> = ctx.image(&run).await?.records.into_iter().map(|record| record.kind).collect();
    expect_eq("the kinds of the records", read, kinds)
}

async fn equal_records_are_as_many_records(ctx: &Context) -> Verdict {
    let run = ctx.run("equal");
    let mut driver = ctx.create(&run).await?;
    let equal = vec![record(7); WHOLE as usize];
    for _ in 0..2 {
        ctx.commit(&mut driver, |commit| commit.records(equal.clone())).await?;
    }
    let read: Vec<_> = ctx.image(&run).await?.records.into_iter().map(|found| found.body).collect();
    expect_eq("the bodies of all records", read, vec![record(7).body; 2 * WHOLE as usize])
}
