//! Runs whose log continues another one's.

use crate::areas::prelude::*;

cases! { open:
    /// An origin makes a draft: its log continues behind the origin's cursor, and its lineage is kept.
    a_draft_continues_the_log_of_its_origin [Log, Snapshots],
    /// Reading a draft below its origin is `Trimmed`, with the first record that it can have.
    below_its_origin_a_draft_is_trimmed [Log, Snapshots],
    /// A draft is never due, also when its lease has run out; only `Over` takes it.
    a_draft_is_never_due [Snapshots],
    /// The commit whose snapshot stands at the origin ends the draft; its due is its lease's end from then on.
    the_snapshot_at_its_origin_ends_a_draft [Snapshots],
    /// The commit that ends a draft may let go of it, too: it is due as its wake says.
    the_end_of_a_draft_may_release_it [Snapshots],
    /// An origin at 0 makes a draft like any other, whose log begins at 1.
    an_origin_at_0_makes_a_draft [Snapshots],
    /// A log may begin at 2^52, and not behind it.
    an_origin_past_the_limit_is_invalid [Log, Snapshots],
    /// A snapshot behind the origin leaves the draft a draft.
    another_snapshot_ends_no_draft [Log, Snapshots],
    /// Without `Snapshots` an origin is `Unsupported`, and nothing is created.
    an_origin_is_unsupported [not Snapshots],
}

/// The origin of the drafts of these cases.
fn origin(ctx: &Context) -> Origin {
    let lineage = Lineage { run: ctx.run("source"), incarnation: ctx.ids().incarnation(), cursor: 40 };
    Origin { cursor: 40, lineage: Some(lineage) }
}

async fn a_draft_continues_the_log_of_its_origin(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let origin = origin(ctx);
    let opened = ctx.a.open(&run, ctx.creating().origin(origin.clone())).await?;
    expect_eq("cursor and first", (opened.head.cursor, opened.head.first), (40, 41))?;
    let mut driver = Driver::of(&opened);
    ctx.commit_records(&mut driver, 3).await?;
    let image = ctx.image(&run).await?;
    if ctx.capabilities.supports_tail_stream() {
        let cursors: Vec<_> = image.records.iter().map(|record| record.cursor).collect();
        expect_eq("the cursors of its records", cursors, vec![41, 42, 43])?;
    }
    let head = ctx.head(&run).await?;
    expect_eq("its origin", &head.origin, &Some(origin))?;
    expect("it is a draft", head.draft, &head)
}

async fn below_its_origin_a_draft_is_trimmed(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let opened = ctx.a.open(&run, ctx.creating().origin(origin(ctx))).await?;
    ctx.commit_records(&mut Driver::of(&opened), 1).await?;
    let trimmed = Refusal::Trimmed { first: 41 };
    refused_as("a stream from the start", collect(ctx.b.stream(&run, Span::all())).await, trimmed.clone())?;
    if ctx.capabilities.supports_tail_stream() {
        let below = collect(ctx.b.stream(&run, Span::after(39))).await;
        refused_as("a stream from one below", below, trimmed)?;
        let records = collect(ctx.b.stream(&run, Span::after(40))).await?;
        expect_eq("how many records follow the origin", records.len(), 1)?;
    }
    Ok(())
}

async fn a_draft_is_never_due(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let open = ctx.creating().ttl(ctx.brief()).origin(origin(ctx));
    let draft = ctx.a.open(&run, open).await?;
    expect_eq("its due while it is driven", draft.head.due, None)?;
    ctx.expire().await;
    expect_eq("its due after its lease", ctx.head(&run).await?.due, None)?;
    ctx.unchanged(&run, async {
        refused("an open of a draft", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)
    })
    .await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(draft.fence)).await?;
    expect(
        "Over takes it, and it stays a draft",
        opened.head.draft && opened.head.due.is_none(),
        &opened.head,
    )
}

async fn the_snapshot_at_its_origin_ends_a_draft(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let opened = ctx.a.open(&run, ctx.creating().origin(origin(ctx))).await?;
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(40, "the state at 40"))).await?;
    let head = ctx.head(&run).await?;
    expect("it is no draft any more", !head.draft, &head)?;
    expect_eq("its due, against its lease's end", head.due, head.lease.as_ref().map(|lease| lease.until))?;
    expect_eq("its snapshots", &head.snapshots, &vec![40])?;
    let snapshot = ctx.b.snapshot(&run, At::Latest).await?;
    expect_eq("the snapshot", snapshot, Some(Snapshot::new(40, "the state at 40")))
}

async fn the_end_of_a_draft_may_release_it(ctx: &Context) -> Verdict {
    for (label, wake) in [("now", Wake::now()), ("far", Wake::at(Timestamp(4_000_000_000_000_000)))] {
        let run = ctx.run(label);
        let opened = ctx.a.open(&run, ctx.creating().origin(origin(ctx))).await?;
        let state = Snapshot::new(40, "the state at 40");
        ctx.commit(&mut Driver::of(&opened), |commit| commit.snapshot(state).release(wake)).await?;
        let head = ctx.head(&run).await?;
        expect("nobody drives it, and it is no draft", !head.draft && head.lease.is_none(), &head)?;
        let due = wake.at.unwrap_or(head.updated_at).max(head.updated_at);
        expect_eq("its due", head.due, Some(due))?;
    }
    Ok(())
}

async fn an_origin_at_0_makes_a_draft(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let origin = Origin { cursor: 0, lineage: None };
    let open = ctx.creating().ttl(ctx.brief()).origin(origin.clone());
    let opened = ctx.a.open(&run, open).await?;
    let mut driver = Driver::of(&opened);
    for expired in [false, true] {
        if expired {
            ctx.expire().await;
        }
        let head = ctx.head(&run).await?;
        expect_eq(
            "origin, draft, due",
            (&head.origin, head.draft, head.due),
            (&Some(origin.clone()), true, None),
        )?;
    }
    refused("an open of a draft", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(0, "the input")).release(Wake::now()))
        .await?;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let mut driver = ctx.resume(&run).await?;
    if ctx.capabilities.supports_log() {
        ctx.commit_records(&mut driver, 1).await?;
    }
    Ok(())
}

async fn an_origin_past_the_limit_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("far");
    let origin = |cursor| ctx.creating().origin(Origin { cursor, lineage: None });
    for cursor in [Origin::LIMIT + 1, u64::MAX] {
        refused("an origin past the limit", ctx.a.open(&run, origin(cursor)).await, ErrorKind::Invalid)?;
        expect_eq("the head after it", ctx.b.head(&run).await?, None)?;
    }
    let mut driver = Driver::of(&ctx.a.open(&run, origin(Origin::LIMIT)).await?);
    ctx.commit_records(&mut driver, 2).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(Origin::LIMIT, "the state"))).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let head = ctx.head(&run).await?;
    let told = (head.cursor, head.first, head.snapshots);
    expect_eq("cursor, first, snapshots", told, (Origin::LIMIT + 3, Origin::LIMIT + 1, vec![Origin::LIMIT]))?;
    if ctx.capabilities.supports_tail_stream() {
        let records = collect(ctx.b.stream(&run, Span::after(Origin::LIMIT + 1))).await?;
        let cursors: Vec<_> = records.iter().map(|record| record.cursor - Origin::LIMIT).collect();
        expect_eq("the cursors past the limit", cursors, vec![2, 3])?;
    }
    Ok(())
}

async fn another_snapshot_ends_no_draft(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let opened = ctx.a.open(&run, ctx.creating().origin(origin(ctx))).await?;
    let mut driver = Driver::of(&opened);
    let later = Snapshot::new(41, "the state at 41");
    ctx.commit(&mut driver, |commit| commit.record(record(41)).snapshot(later)).await?;
    let head = ctx.head(&run).await?;
    expect("it is still a draft", head.draft && head.due.is_none(), &head)
}

async fn an_origin_is_unsupported(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let unsupported = Refusal::Unsupported { capability: Capability::Snapshots };
    let answer = ctx.a.open(&run, ctx.creating().origin(Origin { cursor: 0, lineage: None })).await;
    refused_as("an open with an origin", answer, unsupported)?;
    expect_eq("the head after it", ctx.b.head(&run).await?, None)
}
