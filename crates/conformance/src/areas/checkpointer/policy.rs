//! When snapshots are written.

use std::num::NonZeroU64;

use super::*;

cases! { checkpointer:
    /// The policy `Never` writes no snapshot, also when a checkpoint is asked for.
    never_writes_no_snapshot [Log, Snapshots],
    /// The policy `Manual` writes a snapshot with a checkpoint that is asked for, and no other.
    manual_writes_with_a_checkpoint_alone [Log, Snapshots],
    /// The policy `OnComplete` writes a snapshot with the completion.
    on_complete_writes_with_the_completion [Log, Snapshots],
    /// The policy `EveryCheckpoint` writes a snapshot with each state that is persisted.
    every_checkpoint_writes_with_each_state [Log, Snapshots],
    /// The policy `EveryNCheckpoints` counts what this handle has persisted; what falls due with an append goes with the
    /// next save.
    every_n_checkpoints_counts_them [Log, Snapshots],
    /// The policy `AfterRecords` counts the records since the last snapshot.
    after_records_counts_the_tail [Log, Snapshots],
    /// The policy `Amortized` writes a snapshot when snapshot and tail weigh more than twice the state.
    amortized_writes_when_the_tail_outweighs [Log, Snapshots],
    /// After a resume `Amortized` goes on where it was: what is stored already counts.
    amortized_goes_on_after_a_resume [Log, TailStream, Snapshots],
    /// No snapshot is written twice right after a resume: the last one's cursor is seeded.
    none_is_written_right_after_a_resume [Log, Snapshots],
    /// A policy on a store without snapshots is inert.
    a_policy_without_snapshots_is_inert [Log],
    /// A snapshot that a checkpoint writes covers the program's own records before it.
    a_checkpoint_covers_the_records_before_it [Log, Snapshots],
}

const TWO: NonZeroU64 = NonZeroU64::new(2).expect("is not zero");
const THREE: NonZeroU64 = NonZeroU64::new(3).expect("is not zero");

/// What a run does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Save,
    Append,
    Checkpoint,
    Complete,
}

/// Ends at cursor 9: an append writes two records, the checkpoint stands at 7.
const SCRIPT: [Step; 9] = {
    use Step::{Append, Checkpoint, Complete, Save};
    [Save, Save, Append, Save, Save, Checkpoint, Save, Save, Complete]
};

/// Does the steps, with a state at each that no other has, and tells at which cursors the store has new snapshots.
async fn points(
    ctx: &Context,
    run: &RunId,
    driver: &mut dyn Checkpointer,
    steps: &[Step],
) -> Verdict<Vec<Cursor>> {
    let mut points = Vec::new();
    let mut last = ctx.head(run).await?.snapshots;
    for step in steps {
        let next = state(driver.cursor() + 1);
        match step {
            Step::Save => driver.save(next).await.map(drop),
            Step::Append => driver.append(vec![record(1), record(2)]).await.map(drop),
            Step::Checkpoint => driver.checkpoint(next).await.map(drop),
            Step::Complete => driver.complete(Bytes::from_static(b"output")).await,
        }?;
        let kept = ctx.head(run).await?.snapshots;
        if kept.first() != last.first() {
            points.extend(kept.first());
        }
        last = kept;
    }
    Ok(points)
}

/// The script, under a policy.
async fn scripted(ctx: &Context, label: &str, policy: SnapshotPolicy, expected: &[Cursor]) -> Verdict {
    let run = ctx.run(label);
    let mut driver = drive(ctx, &checkpoints(ctx).snapshots(policy), &run).await?;
    let points = points(ctx, &run, &mut *driver, &SCRIPT).await?;
    expect_eq("the cursors of the snapshots", points, expected)?;
    expect_eq("the cursor of the run", ctx.head(&run).await?.cursor, 9)?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(9))
}

async fn never_writes_no_snapshot(ctx: &Context) -> Verdict {
    scripted(ctx, "run", SnapshotPolicy::Never, &[]).await
}

async fn manual_writes_with_a_checkpoint_alone(ctx: &Context) -> Verdict {
    scripted(ctx, "run", SnapshotPolicy::Manual, &[7]).await
}

async fn on_complete_writes_with_the_completion(ctx: &Context) -> Verdict {
    scripted(ctx, "run", SnapshotPolicy::OnComplete, &[7, 9]).await
}

async fn every_checkpoint_writes_with_each_state(ctx: &Context) -> Verdict {
    scripted(ctx, "run", SnapshotPolicy::EveryCheckpoint, &[1, 2, 5, 6, 7, 8, 9]).await
}

async fn every_n_checkpoints_counts_them(ctx: &Context) -> Verdict {
    scripted(ctx, "run", SnapshotPolicy::EveryNCheckpoints(TWO), &[2, 5, 7, 9]).await
}

async fn after_records_counts_the_tail(ctx: &Context) -> Verdict {
    scripted(ctx, "two", SnapshotPolicy::AfterRecords(TWO), &[2, 5, 7, 9]).await?;
    scripted(ctx, "three", SnapshotPolicy::AfterRecords(THREE), &[5, 7]).await
}

/// What reading a record costs beside its bytes, and the smallest state that is worth a snapshot: as the policy has it.
const OVERHEAD: u64 = 64;
const LIGHT: u64 = 64 << 10;

/// A state of which eight are due for a snapshot.
const LARGE: usize = 16 << 10;

/// Saves states of which each is wholly new, and foretells each snapshot from what the store holds.
async fn foretold(ctx: &Context, run: &RunId, driver: &mut dyn Checkpointer, saves: usize) -> Verdict<usize> {
    let dice = Dice(ctx);
    let mut points = 0;
    // Where states have to be smaller, it takes as many more of them.
    let room = room(ctx, LARGE);
    for _ in 0..saves * LARGE / room {
        let before = ctx.head(run).await?;
        let base = before.snapshots.first().copied().unwrap_or(0);
        let bytes = Bytes::from(dice.bytes(room));
        let size = bytes.len() as u64;
        driver.save(bytes).await?;
        let records = collect(ctx.b.stream(run, Span::all())).await?;
        let tail: u64 = records
            .iter()
            .filter(|record| record.cursor > base)
            .map(|record| record.body.len() as u64 + OVERHEAD)
            .sum();
        let snapshot = match base {
            0 => 0,
            // One snapshot of incompressible bytes is as large as the next.
            _ => ctx.b.snapshot(run, At::Latest).await?.map_or(0, |snapshot| snapshot.body.len() as u64),
        };
        let due = snapshot + tail > 2 * size.max(LIGHT);
        let head = ctx.head(run).await?;
        let written = head.snapshots.first() == Some(&head.cursor);
        expect_eq("whether a snapshot is written", (head.cursor, written), (before.cursor + 1, due))?;
        points += usize::from(written);
    }
    Ok(points)
}

async fn amortized_writes_when_the_tail_outweighs(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    let points = foretold(ctx, &run, &mut *driver, 24).await?;
    expect("24 saves write two snapshots and more", points >= 2, points)
}

async fn amortized_goes_on_after_a_resume(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut points = 0;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
        points += foretold(ctx, &run, &mut *driver, 7).await?;
        driver.release(Wake::now()).await?;
    }
    expect("21 saves write two snapshots and more", points >= 2, points)
}

async fn none_is_written_right_after_a_resume(ctx: &Context) -> Verdict {
    for (label, policy, expected) in [
        ("never", SnapshotPolicy::Never, vec![]),
        ("manual", SnapshotPolicy::Manual, vec![]),
        ("n", SnapshotPolicy::EveryNCheckpoints(THREE), vec![7]),
        ("after", SnapshotPolicy::AfterRecords(THREE), vec![6]),
        ("amortized", SnapshotPolicy::Amortized, vec![]),
    ] {
        let run = ctx.run(label);
        let mut driver = drive(ctx, &checkpoints(ctx).snapshots(policy), &run).await?;
        points(ctx, &run, &mut *driver, &[Step::Save; 4]).await?;
        let kept = ctx.head(&run).await?.snapshots;
        driver.release(Wake::now()).await?;
        let mut driver = drive(ctx, &over(ctx, ctx.b.clone()).snapshots(policy), &run).await?;
        expect_eq("the restored state", restored(&mut *driver)?.state, Some(state(4)))?;
        expect_eq("the snapshots after release and resume", ctx.head(&run).await?.snapshots, kept)?;
        let points = points(ctx, &run, &mut *driver, &[Step::Save; 3]).await?;
        expect_eq(&format!("the snapshots of the saves 5 to 7 under {policy:?}"), points, expected)?;
    }
    let run = ctx.run("every");
    let every = checkpoints(ctx).snapshots(SnapshotPolicy::EveryCheckpoint);
    let mut driver = drive(ctx, &every, &run).await?;
    driver.save(state(1)).await?;
    driver.release(Wake::now()).await?;
    let mut driver = drive(ctx, &every, &run).await?;
    ctx.unchanged(&run, async {
        expect_eq("a save of the restored state", driver.save(state(1)).await?, Saved::Unchanged)?;
        expect_eq("a checkpoint of it", driver.checkpoint(state(1)).await?, 1)
    })
    .await
}

async fn a_policy_without_snapshots_is_inert(ctx: &Context) -> Verdict {
    for (label, policy) in [
        ("never", SnapshotPolicy::Never),
        ("manual", SnapshotPolicy::Manual),
        ("complete", SnapshotPolicy::OnComplete),
        ("every", SnapshotPolicy::EveryCheckpoint),
        ("n", SnapshotPolicy::EveryNCheckpoints(TWO)),
        ("after", SnapshotPolicy::AfterRecords(THREE)),
        ("amortized", SnapshotPolicy::Amortized),
    ] {
        let run = ctx.run(label);
        let store = Reduced::over(&ctx.a, &[Capability::Snapshots]);
        let mut driver = drive(ctx, &over(ctx, store).snapshots(policy).keep(Keep::Trim), &run).await?;
        let points = points(ctx, &run, &mut *driver, &SCRIPT).await?;
        expect_eq(&format!("the snapshots under {policy:?}"), points, [0; 0])?;
        let head = ctx.head(&run).await?;
        expect_eq("its first record and its cursor", (head.first, head.cursor), (1, 9))?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(9))?;
    }
    Ok(())
}

async fn a_checkpoint_covers_the_records_before_it(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx).snapshots(SnapshotPolicy::Manual), &run).await?;
    driver.save(state(1)).await?;
    driver.append(vec![record(1)]).await?;
    // The state is what it was; that it covers the record has to be said, to a replay of the log as well.
    let at = driver.checkpoint(state(1)).await?;
    driver.append(vec![record(2)]).await?;
    expect_eq("the snapshots", ctx.head(&run).await?.snapshots, [at])?;
    driver.release(Wake::now()).await?;
    for lacking in [&[][..], &[Capability::Snapshots]] {
        let mut driver = drive(ctx, &over(ctx, Reduced::over(&ctx.b, lacking)), &run).await?;
        let Restored { state: found, cursor, records } = restored(&mut *driver)?;
        expect_eq("state and cursor", (found, cursor), (Some(state(1)), at))?;
        let bodies: Vec<_> = records.into_iter().map(|record| record.body).collect();
        expect_eq("the records after it", bodies, [record(2).body])?;
        driver.release(Wake::now()).await?;
    }
    Ok(())
}
