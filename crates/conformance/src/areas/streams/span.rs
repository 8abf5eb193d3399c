//! Which records a span gives.

use super::{are_whole, cursors};
use crate::areas::prelude::*;

cases! { streams:
    /// A stream gives a run's records in the order of their cursors, as they were written and with their time.
    gives_the_records_as_written [Log],
    /// A record keeps its id and the blobs that it names, in their order.
    gives_ids_and_blobs [Log, RecordIds, Blobs],
    /// Until, limit and reverse choose the same records from the start whatever the page, a hint.
    every_bound_from_the_start [Log],
    /// After, until, limit and reverse choose the same records whatever the page; at the head or past it there are none.
    every_bound_after_a_cursor [Log, TailStream],
    /// 10,000 records stream in pages, whole and in order, forward and backward.
    ten_thousand_records_stream_in_order [Log],
    /// Streaming a long log from its middle gives the rest of it, whole and in order.
    ten_thousand_records_stream_from_their_middle [Log, TailStream],
    /// Large records stream as whole as small ones.
    large_records_stream_whole [Log],
    /// A stream of one run gives no other's records, whatever their names have in common.
    a_stream_gives_no_other_runs_records [Log],
    /// Below what was trimmed a stream is `Trimmed`, with the first retained record, also if its limit or order would
    /// have kept it from there.
    below_the_trimmed_is_trimmed [Log, Snapshots],
    /// A trimmed log streams from its first retained record on.
    a_trimmed_log_streams_from_its_first [Log, TailStream, Snapshots],
    /// A stream of a trimmed log that asks for nothing gets nothing, without an error.
    an_empty_span_is_never_trimmed [Log, TailStream, Snapshots],
}

async fn gives_the_records_as_written(ctx: &Context) -> Verdict {
    let run = ctx.run("log");
    let mut driver = ctx.create(&run).await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut written = Vec::new();
    for (kind, body) in [("one", every_byte), ("two \u{1f600}", vec![]), ("one", vec![0]), ("x", b"x".into())]
    {
        written.push(NewRecord::new(Kind::new(kind)?, body));
    }
    let (first, rest) = written.split_at(1);
    let before = ctx.head(&run).await?.at;
    ctx.commit(&mut driver, |commit| commit.records(first.to_vec())).await?;
    ctx.pass(Duration::from_millis(2)).await;
    ctx.commit(&mut driver, |commit| commit.records(rest.to_vec())).await?;
    let after = ctx.head(&run).await?.at;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        let read = collect(store.stream(&run, Span::all())).await?;
        let times: Vec<_> = read.iter().map(|record| record.at).collect();
        let wanted: Vec<_> = written
            .iter()
            .cloned()
            .zip(1..)
            .zip(&times)
            .map(|((record, cursor), at)| record.at(cursor, *at))
            .collect();
        expect_eq("the records", &read, &wanted)?;
        let within = times[0] >= before && times[0] < times[1] && times[3] <= after;
        expect("each commit has its time", within && times[1] == times[3], (before, &times, after))?;
    }
    Ok(())
}

async fn gives_ids_and_blobs(ctx: &Context) -> Verdict {
    let run = ctx.run("log");
    let mut driver = ctx.create(&run).await?;
    let (one, another) = (Blob::of("one"), Blob::of("another"));
    let records = [
        record(1).id(RecordId::from_static("an id")),
        record(2).blob(one.name).blob(another.name),
        record(3)
            .blob(another.name)
            .blob(one.name)
            .blob(another.name)
            .id(RecordId::from_static("'*\u{1f600}")),
    ];
    let appended = records.to_vec();
    ctx.commit(&mut driver, |commit| commit.records(appended).blob(one).blob(another)).await?;
    let read = collect(ctx.b.stream(&run, Span::all())).await?;
    let told = read.into_iter().map(|record| (record.id, record.blobs)).collect::<Vec<_>>();
    let wanted = records.into_iter().map(|record| (record.id, record.blobs)).collect::<Vec<_>>();
    expect_eq("ids and blobs", told, wanted)
}

/// Tries every span over a log of five with these lower bounds.
async fn every_bound(ctx: &Context, lower: &[Cursor]) -> Verdict {
    let run = ctx.run("log");
    let mut driver = ctx.create(&run).await?;
    expect_eq("an empty log", collect(ctx.b.stream(&run, Span::all())).await?, vec![])?;
    ctx.commit_records(&mut driver, 2).await?;
    ctx.commit_records(&mut driver, 3).await?;
    let uppers = [None, Some(0), Some(1), Some(2), Some(4), Some(5), Some(6), Some(u64::MAX)];
    let mut count = 0;
    for after in lower.iter().copied() {
        for until in uppers {
            for limit in [None, Some(0), Some(1), Some(2), Some(5), Some(1 << 32), Some(u64::MAX)] {
                for (reverse, page) in [
                    (false, None),
                    (true, None),
                    (false, Some(1)),
                    (true, Some(1)),
                    (false, Some(2)),
                    (true, Some(0)),
                ] {
                    let span = Span { after, until, limit, reverse, page, ..Span::all() };
                    let store = if count % 2 == 0 { &ctx.a } else { &ctx.b };
                    let records = collect(store.stream(&run, span)).await?;
                    expect_eq(&format!("the cursors of {span:?}"), cursors(&records), chosen(&span))?;
                    expect("each record is as it was written", are_whole(&records), span)?;
                    count += 1;
                }
            }
        }
    }
    Ok(())
}

/// What a span chooses of a log of five.
fn chosen(span: &Span) -> Vec<Cursor> {
    let within = |cursor: &Cursor| *cursor > span.after && span.until.is_none_or(|until| *cursor <= until);
    let mut chosen: Vec<_> = (1..=5).filter(within).collect();
    if span.reverse {
        chosen.reverse();
    }
    chosen.truncate(span.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    chosen
}

async fn every_bound_from_the_start(ctx: &Context) -> Verdict {
    every_bound(ctx, &[0]).await
}

async fn every_bound_after_a_cursor(ctx: &Context) -> Verdict {
    every_bound(ctx, &[1, 2, 4, 5, 6, u64::MAX - 1, u64::MAX]).await
}

/// A run with 10,000 records.
async fn long_log(ctx: &Context) -> Verdict<RunId> {
    let run = ctx.run("long-log");
    let mut driver = ctx.create(&run).await?;
    for _ in 0..10 {
        ctx.commit_records(&mut driver, 1_000).await?;
    }
    Ok(run)
}

/// Reads a span page by page, holding one record at a time, and checks that it gives `wanted`.
async fn expect_long(
    ctx: &Context,
    run: &RunId,
    span: Span,
    wanted: impl Iterator<Item = Cursor>,
) -> Verdict {
    let mut stream = ctx.b.stream(run, span);
    for cursor in wanted {
        let record = next(&mut stream).await?;
        let whole = record
            .as_ref()
            .is_some_and(|record| record.cursor == cursor && are_whole(std::slice::from_ref(record)));
        expect(&format!("record {cursor} comes next, whole, of {span:?}"), whole, record)?;
    }
    expect_eq("what comes after the last", next(&mut stream).await?, None)
}

async fn ten_thousand_records_stream_in_order(ctx: &Context) -> Verdict {
    let run = long_log(ctx).await?;
    expect_long(ctx, &run, Span::all(), 1..=10_000).await?;
    expect_long(ctx, &run, Span::all().page(100).limit(5_001), 1..=5_001).await?;
    expect_long(ctx, &run, Span::all().page(u32::MAX).until(9_999), 1..=9_999).await?;
    expect_long(ctx, &run, Span::all().reverse().page(300), (1..=10_000).rev()).await
}

async fn ten_thousand_records_stream_from_their_middle(ctx: &Context) -> Verdict {
    let run = long_log(ctx).await?;
    expect_long(ctx, &run, Span::after(5_000), 5_001..=10_000).await?;
    expect_long(ctx, &run, Span::after(9_998).page(1), 9_999..=10_000).await?;
    expect_long(ctx, &run, Span::after(1_000).until(3_000).reverse().page(64), (1_001..=3_000).rev()).await?;
    expect_long(ctx, &run, Span::after(10_000), std::iter::empty()).await
}

async fn large_records_stream_whole(ctx: &Context) -> Verdict {
    let run = ctx.run("log");
    let mut driver = ctx.create(&run).await?;
    let size = usize::try_from(ctx.capabilities.limits.record.min(1 << 20)).unwrap_or(1 << 20);
    let body = |cursor: u64| -> Vec<u8> { (0..size as u64).map(|at| (at * cursor % 251) as u8).collect() };
    for cursor in 1..=8 {
        let large = NewRecord::new(Kind::from_static("large"), body(cursor));
        ctx.commit(&mut driver, |commit| commit.record(large)).await?;
    }
    let mut stream = ctx.b.stream(&run, Span::all());
    for cursor in 1..=8 {
        let record = next(&mut stream).await?;
        let whole =
            record.as_ref().is_some_and(|record| record.cursor == cursor && record.body == body(cursor));
        expect(&format!("record {cursor} comes next, whole"), whole, record)?;
    }
    expect_eq("the size of the records", ctx.head(&run).await?.sizes.records, 8 * size as u64)
}

async fn a_stream_gives_no_other_runs_records(ctx: &Context) -> Verdict {
    let name = ctx.run("log");
    let mut drivers = Vec::new();
    for suffix in ["", "0", "/", "%", "_", "*", " ", ":1"] {
        drivers.push(ctx.create(&RunId::new(format!("{name}{suffix}"))?).await?);
    }
    for round in 0..3 {
        for (number, driver) in drivers.iter_mut().enumerate() {
            let own = NewRecord::new(Kind::from_static("own"), format!("{number} {round}"));
            ctx.commit(driver, |commit| commit.record(own)).await?;
        }
    }
    for (number, driver) in drivers.iter().enumerate() {
        let records = collect(ctx.b.stream(&driver.run, Span::all())).await?;
        let bodies: Vec<_> = records.into_iter().map(|record| record.body).collect();
        let wanted: Vec<_> = (0..3).map(|round| Bytes::from(format!("{number} {round}"))).collect();
        expect_eq(&format!("the records of {}", driver.run), bodies, wanted)?;
    }
    Ok(())
}

/// A run with the records 1 to 10 of which those up to 6 were trimmed.
async fn trimmed_log(ctx: &Context) -> Verdict<RunId> {
    let run = ctx.run("trimmed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 10).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(6, "6"))).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(8, "8")).trim(6)).await?;
    expect_eq("its first record", ctx.head(&run).await?.first, 7)?;
    Ok(run)
}

async fn below_the_trimmed_is_trimmed(ctx: &Context) -> Verdict {
    let run = trimmed_log(ctx).await?;
    let mut spans = vec![
        Span::all(),
        Span::all().limit(1),
        Span::all().until(3),
        Span::all().until(6),
        Span::all().reverse(),
        Span::all().reverse().limit(1).page(1),
    ];
    if ctx.capabilities.supports_tail_stream() {
        spans.extend([Span::after(1), Span::after(5), Span::after(5).until(6), Span::after(5).reverse()]);
    }
    if ctx.capabilities.supports_follow() {
        spans.push(Span::all().follow());
    }
    for span in spans {
        let read = collect(ctx.b.stream(&run, span)).await;
        refused_as(&format!("the stream of {span:?}"), read, Refusal::Trimmed { first: 7 })?;
    }
    Ok(())
}

async fn a_trimmed_log_streams_from_its_first(ctx: &Context) -> Verdict {
    let run = trimmed_log(ctx).await?;
    for (span, wanted) in [
        (Span::after(6), vec![7, 8, 9, 10]),
        (Span::after(6).until(7), vec![7]),
        (Span::after(6).page(1).reverse(), vec![10, 9, 8, 7]),
        (Span::after(8), vec![9, 10]),
        (Span::after(10), vec![]),
        (Span::after(11), vec![]),
    ] {
        for store in [&ctx.a, &ctx.b] {
            let records = collect(store.stream(&run, span)).await?;
            expect_eq(&format!("the cursors of {span:?}"), cursors(&records), wanted.clone())?;
            expect("each record is as it was written", are_whole(&records), span)?;
        }
    }
    Ok(())
}

async fn an_empty_span_is_never_trimmed(ctx: &Context) -> Verdict {
    let run = trimmed_log(ctx).await?;
    for span in [
        Span::all().limit(0),
        Span::all().until(0),
        Span::after(3).until(3),
        Span::after(3).until(2).reverse(),
        Span::after(2).limit(0),
        Span::after(7).until(4),
    ] {
        let records = collect(ctx.b.stream(&run, span)).await?;
        expect_eq(&format!("the records of {span:?}"), records, vec![])?;
    }
    Ok(())
}
