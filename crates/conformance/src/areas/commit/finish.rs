//! The last commit: a run's outcome, and what becomes of it.

use crate::areas::prelude::*;

cases! { commit:
    /// An outcome ends the run: no lease, no due, and the fence stays the newest.
    an_outcome_ends_the_run [],
    /// Every kind of failure comes back, with its message.
    every_failure_comes_back [],
    /// Retention counts from the store's time of the commit: kept, kept for a time, or deletable at once.
    retention_counts_from_the_commit [clock],
    /// The parts that come with an outcome are part of the run.
    an_outcome_comes_with_its_commit [Log],
    /// A commit after its lease has run out may still end the run.
    an_outcome_after_the_lease_holds [],
    /// Reopened and failed again, a run shows its newest outcome alone.
    a_reopened_run_may_end_in_another_way [],
}

fn failed(kind: FailureKind, message: &str) -> Outcome {
    Outcome::Failed { failure: Failure::new(kind, message) }
}

async fn an_outcome_ends_the_run(ctx: &Context) -> Verdict {
    let outcomes = [
        (Outcome::Completed { output: Bytes::from_static(b"out") }, Status::Completed),
        (failed(FailureKind::Error, "it did not work"), Status::Failed),
    ];
    for (number, (outcome, status)) in outcomes.into_iter().enumerate() {
        let run = ctx.run(&format!("ended{number}"));
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
        let head = ctx.head(&run).await?;
        expect_eq("its status", head.status(), status)?;
        expect_eq("its outcome", head.outcome, Some(outcome))?;
        expect_eq("lease, due, delete_after", (head.lease, head.due, head.delete_after), (None, None, None))?;
        expect_eq("its fence and version", (head.fence, head.version), (driver.fence, 2))?;
    }
    Ok(())
}

async fn every_failure_comes_back(ctx: &Context) -> Verdict {
    for kind in FailureKind::ALL {
        for message in ["", "line one\nline \u{1f600} 'two'\t\\"] {
            let run = ctx.run(&format!("{kind}{}", message.len()));
            let mut driver = ctx.create(&run).await?;
            let outcome = failed(kind, message);
            ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
            expect_eq("its outcome", ctx.head(&run).await?.outcome, Some(outcome))?;
        }
    }
    Ok(())
}

async fn retention_counts_from_the_commit(ctx: &Context) -> Verdict {
    let hour = Duration::from_secs(3_600);
    for (number, retain) in
        [Retain::Keep, Retain::KeepFor(hour), Retain::KeepFor(Duration::ZERO), Retain::Delete]
            .iter()
            .enumerate()
    {
        let run = ctx.run(&format!("kept{number}"));
        let mut driver = ctx.create(&run).await?;
        ctx.pass(Duration::from_secs(1)).await;
        let now = ctx.head(&run).await?.at;
        let outcome = failed(FailureKind::Operator, "enough");
        ctx.commit(&mut driver, |commit| commit.finish(outcome, *retain)).await?;
        ctx.pass(Duration::from_secs(1)).await;
        let want = [None, Some(now + hour), Some(now), Some(now)][number];
        expect_eq("from when on it may be deleted", ctx.head(&run).await?.delete_after, want)?;
    }
    let run = ctx.run("for-ever");
    let mut driver = ctx.create(&run).await?;
    let outcome = failed(FailureKind::Operator, "enough");
    ctx.commit(&mut driver, |commit| commit.finish(outcome, Retain::KeepFor(Duration::MAX))).await?;
    let head = ctx.head(&run).await?;
    let far = head.delete_after.is_none_or(|after| after > head.at + hour * 24 * 365_000);
    expect("kept for ever, it may not be deleted in a thousand years", far, head.delete_after)
}

async fn an_outcome_comes_with_its_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("last");
    let mut driver = ctx.create(&run).await?;
    let offered = ctx.capabilities.supports_snapshots();
    let state = offered.then(|| Snapshot::new(2, "the last state"));
    let note = Note { done: 9, total: Some(9), text: "done".into() };
    let outcome = Outcome::Completed { output: Bytes::from_static(b"out") };
    ctx.commit(&mut driver, |commit| Commit {
        snapshot: state.clone(),
        ..commit.records([record(1), record(2)]).note(note.clone()).finish(outcome.clone(), Retain::Keep)
    })
    .await?;
    let image = ctx.image(&run).await?;
    let bodies: Vec<_> = image.records.into_iter().map(|record| record.body).collect();
    expect_eq("the records", bodies, vec![record(1).body, record(2).body])?;
    expect_eq("the snapshot", image.snapshots.first(), state.as_ref())?;
    let head = ctx.head(&run).await?;
    expect_eq("outcome, cursor, note", (head.outcome, head.cursor, head.note), (Some(outcome), 2, Some(note)))
}

async fn an_outcome_after_the_lease_holds(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut driver = ctx.create_briefly(&run).await?;
    ctx.expire().await;
    let outcome = Outcome::Completed { output: Bytes::new() };
    ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("outcome and due", (head.outcome, head.due), (Some(outcome), None))
}

async fn a_reopened_run_may_end_in_another_way(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    let first = failed(FailureKind::Poison, "thrice");
    ctx.commit(&mut driver, |commit| commit.finish(first, Retain::Delete)).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().reopen_failed()).await?);
    let second = Outcome::Completed { output: Bytes::from_static(b"in the end") };
    ctx.commit(&mut driver, |commit| commit.finish(second.clone(), Retain::Keep)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its outcome", (head.outcome, head.delete_after), (Some(second.clone()), None))?;
    let reopened = ctx.a.open(&run, ctx.resuming().reopen_failed()).await;
    refused_as("a completed run is not reopened", reopened, Refusal::Finished { outcome: second })
}
