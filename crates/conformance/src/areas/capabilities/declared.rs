//! One half of the law: what is declared is constant, sane, and works.

use crate::areas::prelude::*;

cases! { capabilities:
    /// What a store offers is one value: constant for a handle, whatever happens to its runs, and the same on each.
    they_are_constant_over_handles_and_time [],
    /// A store has `Log` or `Snapshots` or both, so that a run can be resumed from it.
    a_run_can_be_resumed_from_it [],
    /// The predicates say what the set says, and the value is the same after it was written and read as text.
    predicates_agree_with_the_set [],
    /// A store takes run ids as long as it declares, which nothing shortens or folds.
    run_ids_are_as_long_as_declared [],
    /// A lease that is shorter than the store's shortest is raised to it, and every other one lasts as long as asked.
    the_shortest_lease_is_as_declared [],
    /// Record ids are remembered for a window of at least 4,096, over commits and over a takeover.
    at_least_4096_record_ids_are_remembered [Log, RecordIds],
    /// Message keys are remembered for a window of at least 65,536.
    at_least_65536_message_keys_are_declared [Inbox],
    /// A batch of commits of different runs gives each its own answer, in order.
    a_batch_answers_each_in_order [BatchCommit],
    /// What a commit may carry at once holds at once: every capability that is declared, in one commit.
    every_declared_part_holds_in_one_commit [],
}

async fn they_are_constant_over_handles_and_time(ctx: &Context) -> Verdict {
    let offered = ctx.capabilities;
    let reopened = ctx.reopen().await?;
    let same = |when: &str| {
        for (name, store) in [("a", &ctx.a), ("b", &ctx.b), ("reopened", &reopened)] {
            expect_eq(&format!("what handle {name} offers {when}"), store.capabilities(), offered)?;
        }
        Ok::<_, crate::Failure>(())
    };
    same("at first")?;
    let run = ctx.run("constant");
    let mut driver = ctx.create(&run).await?;
    same("after an open")?;
    ctx.complete(&mut driver).await?;
    same("after an outcome")?;
    refused("an open of a finished run", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::Finished)?;
    same("after a refusal")?;
    reopened.close().await?;
    expect_eq("what a closed handle offers", reopened.capabilities(), offered)
}

async fn a_run_can_be_resumed_from_it(ctx: &Context) -> Verdict {
    let offered = ctx.capabilities;
    expect("it has Log or Snapshots", offered.supports_log() || offered.supports_snapshots(), offered)?;
    let run = ctx.run("resumed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| {
        let commit = commit.release(Wake::now());
        if offered.supports_log() {
            commit.record(record(1))
        } else {
            commit.snapshot(Snapshot::new(0, "state"))
        }
    })
    .await?;
    ctx.resume(&run).await?;
    if offered.supports_log() {
        let records = collect(ctx.b.stream(&run, Span::all())).await?;
        return expect_eq("what it is resumed from", records.len(), 1);
    }
    let snapshot = ctx.b.snapshot(&run, At::Latest).await?;
    expect_eq("what it is resumed from", snapshot, Some(Snapshot::new(0, "state")))
}

async fn predicates_agree_with_the_set(ctx: &Context) -> Verdict {
    let offered = ctx.capabilities;
    for (capability, says) in [
        (Capability::Log, offered.supports_log()),
        (Capability::TailStream, offered.supports_tail_stream()),
        (Capability::Snapshots, offered.supports_snapshots()),
        (Capability::History, offered.supports_history()),
        (Capability::RecordIds, offered.supports_record_ids()),
        (Capability::Inbox, offered.supports_inbox()),
        (Capability::Blobs, offered.supports_blobs()),
        (Capability::List, offered.supports_list()),
        (Capability::Follow, offered.supports_follow()),
        (Capability::BatchCommit, offered.supports_batch_commit()),
    ] {
        let (held, required) = (offered.set.contains(capability), offered.require(capability).is_ok());
        expect_eq(&format!("what is said of {capability}"), (says, required), (held, held))?;
    }
    let text = serde_json::to_string(&offered)
        .map_err(|error| crate::Failure::new("the capabilities as text", "JSON", error.to_string()))?;
    let read = serde_json::from_str::<Capabilities>(&text).ok();
    expect_eq("the value read back", read, Some(offered))?;
    // Said is one thing, done another: the parts that are declared are taken by a run that is really there.
    let run = ctx.run("said");
    ctx.create(&run).await?;
    let streams = collect(ctx.b.stream(&run, Span::all())).await.is_ok();
    expect_eq("whether it streams, as it says", streams, offered.supports_log())?;
    let snapshots = ctx.b.snapshot(&run, At::Latest).await.is_ok();
    expect_eq("whether it has snapshots, as it says", snapshots, offered.supports_snapshots())?;
    let tells = ctx.b.head(&ctx.run("another")).await?;
    expect_eq("the head of another run", tells, None)
}

async fn run_ids_are_as_long_as_declared(ctx: &Context) -> Verdict {
    let limit = usize::try_from(ctx.capabilities.limits.run_id).unwrap_or(usize::MAX);
    let name = ctx.run("long");
    expect("a run id may have a few dozen bytes", limit > name.as_str().len(), limit)?;
    let long = |size: usize, last: char| {
        RunId::new(format!("{name}{}{last}", "x".repeat(size - name.as_str().len() - 1)))
    };
    let size = limit.min(RunId::LIMIT);
    let (one, another) = (long(size, 'a')?, long(size, 'b')?);
    ctx.create(&one).await?;
    expect_eq("the head of one that differs in its last byte", ctx.b.head(&another).await?, None)?;
    expect_eq("the head's run", ctx.head(&one).await?.run, one)?;
    ctx.create(&another).await?;
    if limit < RunId::LIMIT {
        let over = long(limit + 1, 'a')?;
        refused("an id that is longer", ctx.a.open(&over, ctx.creating()).await, ErrorKind::TooLarge)?;
    }
    expect("it takes ids of 255 bytes, or says that its backend is narrower", limit <= RunId::LIMIT, limit)
}

async fn the_shortest_lease_is_as_declared(ctx: &Context) -> Verdict {
    let shortest = ctx.capabilities.limits.min_ttl;
    let run = ctx.run("leased");
    let long = shortest.max(Open::DEFAULT_TTL) * 3;
    for (number, ttl) in [Duration::from_micros(1), shortest, long].into_iter().enumerate() {
        let run = RunId::new(format!("{run}-{number}"))?;
        let open = ctx.creating().ttl(ttl.max(Duration::from_micros(1)));
        let head = ctx.a.open(&run, open).await?.head;
        let until = head.lease.as_ref().map(|lease| lease.until);
        let lasts = until.map(|until| until.since(head.at));
        let asked = ttl.max(shortest);
        // A store may tell its time in coarser steps, and read it twice.
        let close = lasts
            .is_some_and(|lasts| lasts + ctx.tuning().slack >= asked && lasts <= asked + ctx.tuning().slack);
        expect(&format!("a lease of {ttl:?} lasts {asked:?}"), close, lasts)?;
    }
    Ok(())
}

async fn at_least_4096_record_ids_are_remembered(ctx: &Context) -> Verdict {
    let window = ctx.capabilities.limits.record_ids;
    expect("the window has at least 4,096", window >= 4_096, window)?;
    let run = ctx.run("named");
    let mut driver = ctx.create(&run).await?;
    let named = |number: u64| Ok::<_, Error>(record(number).id(RecordId::new(format!("id {number}"))?));
    for part in 0..8 {
        let records = (part * 512 + 1..=part * 512 + 512).map(named).collect::<Result<Vec<_>>>()?;
        ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    }
    let driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?);
    ctx.unchanged(&run, async {
        for number in [1, 2, 512, 513, 4_096] {
            let again = ctx.a.commit(ctx.next(&driver).record(named(number)?)).await;
            refused_as(&format!("id {number} again"), again, Refusal::Duplicate { cursor: number })?;
        }
        Ok(())
    })
    .await
}

async fn at_least_65536_message_keys_are_declared(ctx: &Context) -> Verdict {
    let window = ctx.capabilities.limits.message_keys;
    expect("the window has at least 65,536", window >= 65_536, window)?;
    let run = ctx.run("keyed");
    ctx.create(&run).await?;
    for number in 1..=3 {
        let sent = ctx.a.send(&run, ctx.message(format!("{number}"), "")).await?;
        expect_eq("a new key", sent, Sent::Accepted { number })?;
    }
    let again = ctx.b.send(&run, ctx.message("1", "")).await?;
    expect_eq("a key in the window", again, Sent::Repeated { number: 1 })
}

async fn a_batch_answers_each_in_order(ctx: &Context) -> Verdict {
    let mut drivers = Vec::new();
    for number in 0..20 {
        let mut driver = ctx.create(&ctx.run(&format!("batched-{number}"))).await?;
        for _ in 0..number % 4 {
            ctx.commit(&mut driver, |commit| commit).await?;
        }
        drivers.push(driver);
    }
    let mut commits: Vec<_> = drivers.iter().map(|driver| ctx.next(driver).advances()).collect();
    commits[7].expect += 1;
    commits[11].run = ctx.run("unknown");
    let answers = ctx.b.commit_many(commits).await;
    expect_eq("how many answers there are", answers.len(), 20)?;
    for (number, (driver, answer)) in drivers.iter().zip(answers).enumerate() {
        match number {
            7 => drop(clashed("the one at another version", answer, Clash::Version)?),
            11 => refused_as("the one of an unknown run", answer, Refusal::NotFound)?,
            _ => expect_eq(&format!("answer {number}"), answer?.version, driver.version + 1)?,
        }
    }
    for (number, driver) in drivers.iter().enumerate() {
        let raised = u64::from(number != 7 && number != 11);
        let version = ctx.head(&driver.run).await?.version;
        expect_eq(&format!("the version of run {number}"), version, driver.version + raised)?;
    }
    Ok(())
}

async fn every_declared_part_holds_in_one_commit(ctx: &Context) -> Verdict {
    let offered = ctx.capabilities;
    let run = ctx.run("whole");
    let mut driver = ctx.create(&run).await?;
    if offered.supports_inbox() {
        ctx.b.send(&run, ctx.message("key", "content")).await?;
    }
    let blob = Blob::of("a blob");
    let mut appended = record(1);
    if offered.supports_record_ids() {
        appended = appended.id(RecordId::from_static("id"));
    }
    if offered.supports_blobs() {
        appended = appended.blob(blob.name);
    }
    let state = Snapshot::new(u64::from(offered.supports_log()), "state");
    let note = Note::new(1, Some(1), "done")?;
    let outcome = Outcome::Completed { output: "output".into() };
    ctx.commit(&mut driver, |mut commit| {
        if offered.supports_log() {
            commit = commit.record(appended.clone());
        }
        if offered.supports_blobs() {
            commit = commit.blob(blob.clone());
        }
        if offered.supports_snapshots() {
            commit = commit.snapshot(state.clone()).trim(0);
        }
        if offered.supports_inbox() {
            commit = commit.take(1);
        }
        commit.note(note.clone()).advances().finish(outcome.clone(), Retain::Keep)
    })
    .await?;
    let image = ctx.image(&run).await?;
    let records = image.records.iter().map(|record| (record.id.clone(), record.blobs.clone()));
    let wanted = offered.supports_log().then_some((appended.id, appended.blobs));
    expect_eq("records", records.collect::<Vec<_>>(), Vec::from_iter(wanted))?;
    expect_eq("snapshots", image.snapshots, Vec::from_iter(offered.supports_snapshots().then_some(state)))?;
    expect_eq("messages", image.messages, vec![])?;
    let blobs: Vec<_> = image.blobs.into_iter().filter_map(|(_, body)| body).collect();
    expect_eq("blobs", blobs, Vec::from_iter(offered.supports_blobs().then_some(blob.body)))?;
    let head = ctx.head(&run).await?;
    expect_eq("note and outcome", (head.note, head.outcome), (Some(note), Some(outcome)))
}
