//! The other half of the law: undeclared means `Unsupported`, before any effect.

use crate::areas::prelude::*;

cases! { capabilities:
    /// Without `Log` a commit with a record is `Unsupported`, and so is streaming.
    without_log_there_are_no_records [not Log],
    /// Without `TailStream` a stream after a cursor is `Unsupported`; a whole one works.
    without_tail_stream_only_whole_logs_stream [Log, not TailStream],
    /// Without `Snapshots` a commit with a snapshot or a trim is `Unsupported`, and so is reading one.
    without_snapshots_there_is_none [not Snapshots],
    /// Without `History` an older snapshot is `Unsupported`; the newest is read.
    without_history_only_the_newest_is_read [Snapshots, not History],
    /// Without `RecordIds` a record with an id is `Unsupported`; one without is appended.
    without_record_ids_records_have_none [Log, not RecordIds],
    /// Without `Inbox` sending, reading, taking and waiting for a message are `Unsupported`; waiting for an instant works.
    without_inbox_nobody_sends [not Inbox],
    /// Without `Blobs` carrying, naming, dropping and reading one are `Unsupported`.
    without_blobs_there_is_none [not Blobs],
    /// Without `List` a listing is `Unsupported`, whatever it asks for.
    without_list_nothing_is_listed [not List],
    /// Without `Follow` a following stream of a log is `Unsupported`; one that ends works.
    without_follow_a_log_is_not_followed [Log, not Follow],
    /// Without `Follow` a following stream of an inbox is `Unsupported`; one that ends works.
    without_follow_an_inbox_is_not_followed [Inbox, not Follow],
    /// Without `BatchCommit` a batch of commits works all the same, one by one.
    without_batch_commit_a_batch_goes_one_by_one [not BatchCommit],
}

fn unsupported(capability: Capability) -> Refusal {
    Refusal::Unsupported { capability }
}

/// Each of these parts makes a commit `Unsupported`: one that would hold, one at another version, one of a dead fence,
/// one of a run that is not there, and one of a batch.
async fn expect_no_commit(ctx: &Context, capability: Capability, parts: &[fn(Commit) -> Commit]) -> Verdict {
    let run = ctx.run("driven");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for (number, part) in parts.iter().enumerate() {
            let next = || part(ctx.next(&driver).advances().note(Note::default()));
            let elsewhere = Fence { token: Token(!driver.fence.token.0), ..driver.fence };
            for commit in [
                next(),
                Commit { expect: driver.version + 7, ..next() },
                Commit { fence: elsewhere, ..next() },
                Commit { run: ctx.run("unknown"), ..next() },
            ] {
                let what = format!("a commit with part {number}");
                refused_as(&what, ctx.a.commit(commit.clone()).await, unsupported(capability))?;
                for answer in ctx.b.commit_many(vec![commit]).await {
                    refused_as(&format!("a batch of {what}"), answer, unsupported(capability))?;
                }
            }
        }
        Ok(())
    })
    .await?;
    expect_eq("the head of the run that is not there", ctx.b.head(&ctx.run("unknown")).await?, None)?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn without_log_there_are_no_records(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("logless"), ctx.run("unknown"));
    ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for run in [&run, &none] {
            for span in [Span::all(), Span::after(1), Span::all().limit(0), Span::all().reverse()] {
                let what = format!("the stream of {span:?}");
                refused_as(&what, collect(ctx.a.stream(run, span)).await, unsupported(Capability::Log))?;
            }
        }
        Ok(())
    })
    .await?;
    let parts: [fn(Commit) -> Commit; 1] = [|commit| commit.record(record(1))];
    expect_no_commit(ctx, Capability::Log, &parts).await
}

async fn without_tail_stream_only_whole_logs_stream(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("tailless"), ctx.run("unknown"));
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    for run in [&run, &none] {
        for span in [Span::after(1), Span::after(3), Span::after(9).limit(0), Span::after(u64::MAX)] {
            let what = format!("the stream of {span:?}");
            refused_as(&what, collect(ctx.a.stream(run, span)).await, unsupported(Capability::TailStream))?;
        }
    }
    expect_eq("how many records a whole one gives", collect(ctx.b.stream(&run, Span::all())).await?.len(), 3)
}

async fn without_snapshots_there_is_none(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("bare"), ctx.run("unknown"));
    ctx.create(&run).await?;
    for run in [&run, &none] {
        for at in [At::Latest, At::OrBefore(0)] {
            let answer = ctx.a.snapshot(run, at).await;
            refused_as("reading a snapshot", answer, unsupported(Capability::Snapshots))?;
        }
    }
    let parts: [fn(Commit) -> Commit; 3] = [
        |commit| commit.snapshot(Snapshot::new(0, "state")),
        |commit| commit.trim(0),
        |commit| commit.snapshot(Snapshot::new(9, "state")).trim(9),
    ];
    expect_no_commit(ctx, Capability::Snapshots, &parts).await
}

async fn without_history_only_the_newest_is_read(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("forgetful"), ctx.run("unknown"));
    let mut driver = ctx.create(&run).await?;
    let state = Snapshot::new(0, "state");
    let kept = state.clone();
    ctx.commit(&mut driver, |commit| commit.snapshot(kept)).await?;
    for run in [&run, &none] {
        for cursor in [0, 1, u64::MAX] {
            let answer = ctx.a.snapshot(run, At::OrBefore(cursor)).await;
            refused_as("an older snapshot", answer, unsupported(Capability::History))?;
        }
    }
    expect_eq("the newest", ctx.b.snapshot(&run, At::Latest).await?, Some(state))
}

async fn without_record_ids_records_have_none(ctx: &Context) -> Verdict {
    let parts: [fn(Commit) -> Commit; 2] = [
        |commit| commit.record(record(1).id(RecordId::from_static("id"))),
        |commit| commit.record(record(1)).record(record(2).id(RecordId::from_static("id"))),
    ];
    expect_no_commit(ctx, Capability::RecordIds, &parts).await?;
    let mut driver = ctx.create(&ctx.run("nameless")).await?;
    ctx.commit_records(&mut driver, 2).await.map(drop)
}

async fn without_inbox_nobody_sends(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("deaf"), ctx.run("unknown"));
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for run in [&run, &none] {
            let sent = ctx.b.send(run, ctx.message("key", "content")).await;
            refused_as("a message", sent, unsupported(Capability::Inbox))?;
            let read = collect(ctx.b.inbox(run, Span::all())).await;
            refused_as("reading the inbox", read, unsupported(Capability::Inbox))?;
        }
        Ok(())
    })
    .await?;
    let parts: [fn(Commit) -> Commit; 3] = [
        |commit| commit.take(1),
        |commit| commit.release(Wake::message(0)),
        |commit| commit.release(Wake::message(0).or_at(Timestamp(0))),
    ];
    expect_no_commit(ctx, Capability::Inbox, &parts).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    expect_eq("its status after a release", ctx.head(&run).await?.status(), Status::Interrupted)
}

async fn without_blobs_there_is_none(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("blobless"), ctx.run("unknown"));
    ctx.create(&run).await?;
    for run in [&run, &none] {
        let read = ctx.a.blob(run, &Digest::of(b"x")).await;
        refused_as("reading a blob", read, unsupported(Capability::Blobs))?;
        let enumerated = collect(ctx.a.blobs(run)).await;
        refused_as("enumerating blobs", enumerated, unsupported(Capability::Blobs))?;
    }
    let mut parts: Vec<fn(Commit) -> Commit> =
        vec![|commit| commit.blob(Blob::of("x")), |commit| commit.drop_blob(Digest::of(b"x"))];
    if ctx.capabilities.supports_log() {
        parts.push(|commit| commit.record(record(1).blob(Digest::of(b"x"))));
    }
    expect_no_commit(ctx, Capability::Blobs, &parts).await
}

async fn without_list_nothing_is_listed(ctx: &Context) -> Verdict {
    let run = ctx.run("unlisted");
    ctx.create(&run).await?;
    let prefix = Query { id_prefix: Some(run.to_string()), ..Query::all() };
    for query in [Query::all(), Query::interrupted(), Query { limit: Some(0), ..Query::all() }, prefix] {
        let what = format!("{query:?}");
        refused_as(&what, collect(ctx.b.list(query)).await, unsupported(Capability::List))?;
    }
    expect_eq("its status by its name", ctx.head(&run).await?.status(), Status::Running)
}

async fn without_follow_a_log_is_not_followed(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("unfollowed"), ctx.run("unknown"));
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    for run in [&run, &none] {
        for span in [Span::all(), Span::all().limit(1), Span::all().until(1)] {
            let followed = collect(ctx.a.stream(run, span.follow())).await;
            refused_as("following the log", followed, unsupported(Capability::Follow))?;
        }
    }
    expect_eq("how many records there are", collect(ctx.b.stream(&run, Span::all())).await?.len(), 2)
}

async fn without_follow_an_inbox_is_not_followed(ctx: &Context) -> Verdict {
    let (run, none) = (ctx.run("unfollowed"), ctx.run("unknown"));
    ctx.create(&run).await?;
    ctx.a.send(&run, ctx.message("key", "content")).await?;
    for run in [&run, &none] {
        for span in [Span::all(), Span::all().limit(1), Span::all().until(1)] {
            let followed = collect(ctx.a.inbox(run, span.follow())).await;
            refused_as("following the inbox", followed, unsupported(Capability::Follow))?;
        }
    }
    expect_eq("how many messages wait", collect(ctx.b.inbox(&run, Span::all())).await?.len(), 1)
}

async fn without_batch_commit_a_batch_goes_one_by_one(ctx: &Context) -> Verdict {
    let mut drivers = Vec::new();
    for label in ["one", "two", "three"] {
        drivers.push(ctx.create(&ctx.run(label)).await?);
    }
    let mut commits: Vec<_> = drivers.iter().map(|driver| ctx.next(driver).advances()).collect();
    commits[1].expect += 1;
    let mut answers = ctx.a.commit_many(commits).await;
    expect_eq("how many answers there are", answers.len(), 3)?;
    clashed("the second one", answers.remove(1), Clash::Version)?;
    for answer in answers {
        expect_eq("the others", answer?, Committed { version: 2, cursor: 0, replayed: false })?;
    }
    for (driver, version) in drivers.iter().zip([2, 1, 2]) {
        expect_eq("the version afterwards", ctx.head(&driver.run).await?.version, version)?;
    }
    Ok(())
}
