//! What a resume reads, by what the store offers: each row of the table, with counted calls.

use super::*;

cases! { checkpointer:
    /// With `Snapshots` and `TailStream` a resume takes the newest snapshot and only the records after its cursor.
    a_resume_takes_snapshot_and_tail [Log, TailStream, Snapshots],
    /// With `Snapshots` and `Log`, and no `TailStream`, a resume takes one full stream and leaves the snapshot unread.
    without_tail_stream_a_resume_takes_one_full_stream [Log, Snapshots],
    /// With `Log` only a resume replays it in full.
    without_snapshots_a_resume_replays_the_log [Log],
    /// With `Snapshots` only a resume takes the newest snapshot alone, and every save writes one, whatever the policy.
    without_a_log_every_save_writes_a_snapshot [Snapshots],
    /// With `Snapshots` only an append is `Unsupported`, and the run goes on.
    without_a_log_an_append_is_unsupported [Snapshots],
    /// A store without `List` cannot say what is interrupted: `Unsupported`, without asking it.
    without_list_nothing_is_said_to_be_interrupted [],
    /// Records with ids on a store without `RecordIds` are `Unsupported` before any effect, and spoil nothing else.
    without_record_ids_an_id_is_unsupported [Log],
    /// `Keep::Trim` trims with each new snapshot what the second-newest covers, and the run is resumed by the rest.
    trim_keeps_what_two_snapshots_need [Log, TailStream, Snapshots],
    /// `Keep::All` trims nothing: each state that was persisted can be read again.
    keep_all_trims_nothing [Log, Snapshots],
}

/// Saves 1 to 6, with a record of the program's own after each and snapshots with the saves 2 and 4; ends at cursor 12
/// with snapshots at 3 and 7.
async fn history(ctx: &Context, run: &RunId, lacking: &[Capability]) -> Verdict {
    let store = Reduced::over(&ctx.a, lacking);
    let mut driver = drive(ctx, &over(ctx, store).snapshots(SnapshotPolicy::Manual), run).await?;
    for step in 1..=6 {
        match step {
            2 | 4 => driver.checkpoint(state(step)).await.map(drop),
            _ => driver.save(state(step)).await.map(drop),
        }?;
        driver.append(vec![record(step)]).await?;
    }
    driver.release(Wake::now()).await?;
    Ok(())
}

/// Resumes by another handle that lacks as much, and compares what was called and read.
async fn reads(
    ctx: &Context,
    run: &RunId,
    lacking: &[Capability],
    calls: &[Operation],
    records: usize,
) -> Verdict {
    let store = Counted::over(Reduced::over(&ctx.b, lacking));
    let mut driver = drive(ctx, &over(ctx, store.clone()), run).await?;
    expect_eq("what was called", store.calls(), calls)?;
    expect_eq("how many records were read", store.records(), records)?;
    let restored = restored(&mut *driver)?;
    expect_eq("state and cursor", (restored.state, restored.cursor), (Some(state(6)), 11))?;
    let bodies: Vec<_> = restored.records.into_iter().map(|record| record.body).collect();
    expect_eq("the records after it", bodies, [record(6).body])?;
    expect_eq("what is given a second time", driver.restored(), None)?;
    expect_eq("the next save", driver.save(state(7)).await?, Saved::Persisted { cursor: 13 })?;
    driver.release(Wake::now()).await?;
    expect_eq("the newest state", newest(ctx, run).await?, Some(7))
}

async fn a_resume_takes_snapshot_and_tail(ctx: &Context) -> Verdict {
    let calls = [Operation::Open, Operation::Snapshot, Operation::Stream];
    for (label, lacking) in [("all", &[][..]), ("two", &[Capability::History])] {
        let run = ctx.run(label);
        history(ctx, &run, lacking).await?;
        reads(ctx, &run, lacking, &calls, 5).await?;
    }
    Ok(())
}

async fn without_tail_stream_a_resume_takes_one_full_stream(ctx: &Context) -> Verdict {
    let (run, lacking) = (ctx.run("run"), [Capability::TailStream]);
    history(ctx, &run, &lacking).await?;
    expect_eq("the snapshots that nobody reads", ctx.head(&run).await?.snapshots, [7, 3])?;
    reads(ctx, &run, &lacking, &[Operation::Open, Operation::Stream], 12).await
}

async fn without_snapshots_a_resume_replays_the_log(ctx: &Context) -> Verdict {
    for (label, lacking) in
        [("tail", &[Capability::Snapshots][..]), ("log", &[Capability::Snapshots, Capability::TailStream])]
    {
        let run = ctx.run(label);
        history(ctx, &run, lacking).await?;
        reads(ctx, &run, lacking, &[Operation::Open, Operation::Stream], 12).await?;
    }
    Ok(())
}

/// What a store with snapshots alone does not have.
const NO_LOG: [Capability; 2] = [Capability::Log, Capability::TailStream];

async fn without_a_log_every_save_writes_a_snapshot(ctx: &Context) -> Verdict {
    for (label, policy) in [
        ("never", SnapshotPolicy::Never),
        ("manual", SnapshotPolicy::Manual),
        ("complete", SnapshotPolicy::OnComplete),
        ("amortized", SnapshotPolicy::Amortized),
    ] {
        let run = ctx.run(label);
        let without = || Reduced::over(&ctx.b, &NO_LOG);
        let mut driver = drive(ctx, &over(ctx, without()).snapshots(policy), &run).await?;
        for step in 1..=4 {
            let saved = driver.save(state(step)).await?;
            expect_eq("a save", saved, Saved::Persisted { cursor: 0 })?;
            let stored: Option<u64> = state_at(&without(), &run, None, Raw).await?;
            expect_eq(&format!("what is stored under {policy:?}"), stored, Some(step))?;
            expect_eq("a save of the same", driver.save(state(step)).await?, Saved::Unchanged)?;
        }
        driver.release(Wake::now()).await?;
        let store = Counted::over(without());
        let mut driver = drive(ctx, &over(ctx, store.clone()).snapshots(policy), &run).await?;
        expect_eq("what was called", store.calls(), [Operation::Open, Operation::Snapshot])?;
        let found = restored(&mut *driver)?;
        expect_eq("what it starts from", found.state, Some(state(4)))?;
        driver.complete(Bytes::new()).await?;
        expect_eq("its status", ctx.head(&run).await?.status(), Status::Completed)?;
        expect_eq("what verify says", verify(&without(), &run, Raw).await?, 0)?;
    }
    Ok(())
}

async fn without_a_log_an_append_is_unsupported(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let store = || Reduced::over(&ctx.a, &NO_LOG);
    let mut driver = drive(ctx, &over(ctx, store()), &run).await?;
    driver.save(state(1)).await?;
    ctx.unchanged(&run, async {
        let unsupported = Refusal::Unsupported { capability: Capability::Log };
        refused_as("an append", driver.append(vec![record(1)]).await, unsupported)
    })
    .await?;
    driver.save(state(2)).await?;
    let stored: Option<u64> = state_at(&store(), &run, None, Raw).await?;
    expect_eq("the newest state", stored, Some(2))
}

async fn without_list_nothing_is_said_to_be_interrupted(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    drive(ctx, &checkpoints(ctx), &run).await?.release(Wake::now()).await?;
    let store = Counted::over(Reduced::over(&ctx.b, &[Capability::List]));
    let factory = ctx.checkpointers(over(ctx, store.clone()));
    let unsupported = Refusal::Unsupported { capability: Capability::List };
    refused_as("what is interrupted", collect(factory.interrupted()).await, unsupported)?;
    expect_eq("what was called", store.calls(), [])?;
    driven(factory.resume(&run).await?)?.save(state(1)).await?;
    expect_eq("the newest state once it is resumed", newest(ctx, &run).await?, Some(1))
}

async fn without_record_ids_an_id_is_unsupported(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let store = Reduced::over(&ctx.a, &[Capability::RecordIds]);
    let mut driver = drive(ctx, &over(ctx, store), &run).await?;
    let named = record(1).id(RecordId::from_static("first"));
    ctx.unchanged(&run, async {
        let unsupported = Refusal::Unsupported { capability: Capability::RecordIds };
        refused_as("an append with an id", driver.append(vec![record(0), named]).await, unsupported)
    })
    .await?;
    expect_eq("an append without", driver.append(vec![record(2)]).await?, 1)?;
    expect_eq("the records", own_records(ctx, &run).await?, [record(2).body])
}

async fn trim_keeps_what_two_snapshots_need(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let policy = SnapshotPolicy::AfterRecords(std::num::NonZeroU64::new(3).expect("is not zero"));
    let trimming = checkpoints(ctx).snapshots(policy).keep(Keep::Trim);
    let mut driver = drive(ctx, &trimming, &run).await?;
    for step in 1..=10 {
        driver.save(state(step)).await?;
        let head = ctx.head(&run).await?;
        let second = head.snapshots.get(1).copied().unwrap_or(0);
        expect_eq("the oldest retained record", head.first, second + 1)?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(step))?;
    }
    expect_eq("the snapshots", ctx.head(&run).await?.snapshots, [9, 6])?;
    driver.release(Wake::now()).await?;
    let mut driver = drive(ctx, &over(ctx, ctx.b.clone()).snapshots(policy).keep(Keep::Trim), &run).await?;
    expect_eq("what it starts from", restored(&mut *driver)?.state, Some(state(10)))?;
    for step in 11..=12 {
        driver.save(state(step)).await?;
    }
    let head = ctx.head(&run).await?;
    expect_eq("snapshots and first record after a resume", (head.snapshots, head.first), (vec![12, 9], 10))?;
    let gone = verify(&*ctx.b, &run, Raw).await;
    refused_as("verify of a trimmed log", gone, Refusal::Trimmed { first: 10 })
}

async fn keep_all_trims_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx).snapshots(SnapshotPolicy::EveryCheckpoint), &run).await?;
    for step in 1..=5 {
        driver.save(state(step)).await?;
    }
    expect_eq("the oldest retained record", ctx.head(&run).await?.first, 1)?;
    for step in 1..=5 {
        let stored: Option<u64> = state_at(&*ctx.b, &run, Some(step), Raw).await?;
        expect_eq("a state of the past", stored, Some(step))?;
    }
    Ok(())
}
