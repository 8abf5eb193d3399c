//! Nothing is left behind.

use std::collections::HashSet;

use super::{full, is_gone};
use crate::areas::{
    moves::{completed, holds_whole, whole},
    prelude::*,
};

cases! { deletion:
    /// Nothing of a deleted run can be read, by any handle.
    nothing_is_left_to_read [],
    /// Who still holds something of a deleted run gets `NotFound` for it, also for the replay of its newest commit.
    who_comes_later_is_told_not_found [],
    /// A recreated run begins at cursor 0, version 1, epoch 1 and no lapses, in a new life.
    a_recreated_run_begins_anew [],
    /// A recreated run holds nothing of the old one: no record, snapshot, blob, message, note or label.
    a_recreated_run_holds_nothing_of_the_old_one [],
    /// What belongs to an old life is refused in the new one with `NotFound`, unchanged.
    what_belongs_to_the_old_life_is_refused [],
    /// Ids of records are forgotten with their run.
    record_ids_are_forgotten [Log, RecordIds],
    /// Keys of messages are forgotten with their run, and numbers begin at 1.
    message_keys_are_forgotten [Inbox],
    /// Blobs are forgotten with their run: a record that names one is refused, and the same name gets its new body.
    blobs_are_forgotten [Log, Blobs],
    /// The ids of its opens and commits are forgotten with it: sent again, they are no replays.
    operation_ids_are_forgotten [],
    /// The wake of a deleted run wakes nobody.
    wakes_are_forgotten [Inbox],
    /// Other runs stay as they are, its children too.
    other_runs_stay [],
    /// A deleted run is listed no more, under nothing that it was; recreated it is listed as what it is now.
    it_is_listed_no_more [List],
    /// Each of many lives has an incarnation of its own.
    each_life_has_its_own_incarnation [],
}

async fn nothing_is_left_to_read(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    full(ctx, &run).await?;
    expect_eq("the answer", ctx.a.delete(&run, Delete::Any).await?, true)?;
    is_gone(ctx, &run).await?;
    let reopened = ctx.reopen().await?;
    expect_eq("its head for a new handle", reopened.head(&run).await?, None)
}

async fn who_comes_later_is_told_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let driver = full(ctx, &run).await?;
    let commit = whole(ctx, &driver);
    let committed = ctx.a.commit(commit.clone()).await?;
    let behind = Driver { version: committed.version, cursor: committed.cursor, ..driver.clone() };
    ctx.b.delete(&run, Delete::Any).await?;
    let commits = [commit.clone(), ctx.next(&behind), ctx.next(&driver), whole(ctx, &behind)];
    for store in [&ctx.a, &ctx.b] {
        for commit in &commits {
            refused_as("a commit", store.commit(commit.clone()).await, Refusal::NotFound)?;
        }
        for answer in store.commit_many(commits[..1].to_vec()).await {
            refused_as("a commit of a batch", answer, Refusal::NotFound)?;
        }
        let renewed = store.renew(&run, Renew::new(driver.fence, ctx.long())).await;
        refused_as("a renewal", renewed, Refusal::NotFound)?;
        for open in [ctx.resuming(), ctx.resuming().over(driver.fence), ctx.resuming().reopen_failed()] {
            refused_as("an open", store.open(&run, open).await, Refusal::NotFound)?;
        }
        if ctx.capabilities.supports_inbox() {
            for message in [
                ctx.message("taken", "the message taken"),
                ctx.message("new", "").incarnation(driver.fence.incarnation),
            ] {
                refused_as("a message", store.send(&run, message).await, Refusal::NotFound)?;
            }
        }
    }
    is_gone(ctx, &run).await
}

async fn a_recreated_run_begins_anew(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let mut driver = full(ctx, &run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::KeepFor(ctx.long()))).await?;
    ctx.a.delete(&run, Delete::Finished(driver.fence.incarnation)).await?;
    let info = RunInfo::named("another").label("life", "second");
    let open = Open::create(ctx.id(), info.clone(), Manifest::of(b"another")).ttl(ctx.long());
    let opened = ctx.b.open(&run, open).await?;
    expect("it was created", opened.created, opened.created)?;
    expect("in another life", opened.fence.incarnation != driver.fence.incarnation, opened.fence)?;
    for head in [&opened.head, &ctx.head(&run).await?] {
        let told = (head.version, head.cursor, head.first, head.fence.epoch, head.lapses);
        expect_eq("version, cursor, first, epoch, lapses", told, (1, 0, 1, 1, 0))?;
        expect_eq("its sizes", head.sizes, Sizes::default())?;
        expect("no snapshots", head.snapshots.is_empty(), &head.snapshots)?;
        expect_eq("newest message and note", (head.newest_message, &head.note), (0, &None))?;
        expect_eq("its outcome and its end", (&head.outcome, head.delete_after), (&None, None))?;
        expect_eq("info and manifest", (&head.info, head.manifest), (&info, Manifest::of(b"another")))?;
        expect_eq("its status", head.status(), Status::Running)?;
    }
    Ok(())
}

async fn a_recreated_run_holds_nothing_of_the_old_one(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    full(ctx, &run).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    let mut driver = ctx.create(&run).await?;
    for store in [&ctx.a, &ctx.b] {
        let image = image(&**store, &run).await?;
        let empty = Image {
            head: image.head.clone(),
            records: vec![],
            snapshots: vec![],
            messages: vec![],
            blobs: vec![],
        };
        expect_eq("all that can be read of it", image, empty)?;
    }
    // The same commit as the first of the old life: the same cursors, record ids and names of blobs.
    let commit = Commit { note: None, ..whole(ctx, &driver) };
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    let image = ctx.image(&run).await?;
    holds_whole(&image, &commit)?;
    let counts = (image.records.len(), image.snapshots.len(), image.blobs.len());
    let snapshots = usize::from(commit.snapshot.is_some());
    expect_eq("records, snapshots, blobs", counts, (commit.records.len(), snapshots, commit.blobs.len()))
}

async fn what_belongs_to_the_old_life_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let old = full(ctx, &run).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    let new = full(ctx, &run).await?;
    expect_eq("both are as far", (new.version, new.cursor), (old.version, old.cursor))?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let commit = Commit { fence: old.fence, ..whole(ctx, &new) };
            refused_as("a commit", store.commit(commit).await, Refusal::NotFound)?;
            let mixed = Fence { incarnation: old.fence.incarnation, ..new.fence };
            let commit = Commit { fence: mixed, ..whole(ctx, &new) };
            refused_as("a commit by a mixed fence", store.commit(commit).await, Refusal::NotFound)?;
            let renewed = store.renew(&run, Renew::new(old.fence, ctx.long())).await;
            refused_as("a renewal", renewed, Refusal::NotFound)?;
            let over = store.open(&run, ctx.resuming().over(old.fence)).await;
            refused("an open Over the old fence", over, ErrorKind::LeaseHeld)?;
            let span = Span::all().incarnation(old.fence.incarnation);
            if ctx.capabilities.supports_log() {
                refused_as("its records", collect(store.stream(&run, span)).await, Refusal::NotFound)?;
            }
            if ctx.capabilities.supports_inbox() {
                refused_as("its inbox", collect(store.inbox(&run, span)).await, Refusal::NotFound)?;
                let message = ctx.message("new", "").incarnation(old.fence.incarnation);
                refused_as("a message", store.send(&run, message).await, Refusal::NotFound)?;
            }
        }
        Ok(())
    })
    .await
}

async fn record_ids_are_forgotten(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let with_id = || record(1).id(RecordId::from_static("once"));
    for _ in 0..3 {
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.record(with_id())).await?;
        let again = ctx.a.commit(ctx.next(&driver).record(with_id())).await;
        refused_as("within a life", again, Refusal::Duplicate { cursor: 1 })?;
        ctx.a.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn message_keys_are_forgotten(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    for life in 0..3 {
        let mut driver = ctx.create(&run).await?;
        for (key, number) in [("taken", 1), ("waits", 2)] {
            let sent = ctx.b.send(&run, ctx.message(key, format!("of life {life}"))).await?;
            expect_eq("the first of its key in this life", sent, Sent::Accepted { number })?;
        }
        ctx.commit(&mut driver, |commit| commit.take(1)).await?;
        let bodies: Vec<_> =
            ctx.image(&run).await?.messages.into_iter().map(|message| message.body).collect();
        expect_eq("what waits", bodies, vec![format!("of life {life}")])?;
        ctx.a.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn blobs_are_forgotten(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let name = Digest::of(b"a name of its own");
    for body in ["the first body", "another"] {
        let mut driver = ctx.create(&run).await?;
        let missing = ctx.a.commit(ctx.next(&driver).record(record(1).blob(name))).await;
        clashed("a record that names a blob of no life of this run", missing, Clash::MissingBlob(name))?;
        expect_eq("a blob that is not there", ctx.b.blob(&run, &name).await?, None)?;
        let blob = Blob { name, body: body.into() };
        ctx.commit(&mut driver, |commit| commit.blob(blob).record(record(1).blob(name))).await?;
        expect_eq("its body", ctx.b.blob(&run, &name).await?, Some(body.into()))?;
        ctx.a.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn operation_ids_are_forgotten(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let (open, id) = (ctx.creating(), ctx.id());
    let mut lives = HashSet::new();
    for done in [1, 1, 2] {
        let opened = ctx.a.open(&run, open.clone()).await?;
        expect("it was created", opened.created, opened.created)?;
        expect("the life is a new one", lives.insert(opened.fence.incarnation), opened.fence)?;
        let note = Note { done, ..Note::default() };
        let commit = Commit { id, ..ctx.next(&Driver::of(&opened)) }.note(note);
        let committed = ctx.a.commit(commit).await?;
        expect_eq("the answer", committed, Committed { version: 2, cursor: 0, replayed: false })?;
        ctx.b.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn wakes_are_forgotten(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + ctx.long() * 10;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    ctx.b.send(&run, ctx.message("1", "")).await?;
    let head = ctx.head(&run).await?;
    expect_eq("due and status", (head.due, head.status()), (Some(at), Status::Waiting))
}

async fn other_runs_stay(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let others = [ctx.run("another"), RunId::new(format!("{run}/child"))?, RunId::new(format!("{run}0"))?];
    full(ctx, &run).await?;
    let mut before = Vec::new();
    for other in &others {
        full(ctx, other).await?;
        before.push(ctx.image(other).await?);
    }
    let child = ctx.run("child");
    let open = Open { info: Some(RunInfo::named("case").parent(run.clone())), ..ctx.creating() };
    ctx.a.open(&child, open).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    for (other, before) in others.iter().zip(&before) {
        before.same_as(&ctx.image(other).await?)?;
    }
    expect_eq("its child's parent", ctx.head(&child).await?.info.parent, Some(run))
}

async fn it_is_listed_no_more(ctx: &Context) -> Verdict {
    let (run, parent) = (ctx.run("deleted"), ctx.run("parent"));
    let failure = milepost_core::Failure::new(FailureKind::Operator, "enough");
    let info = RunInfo::named("import").label("tenant", "x").parent(parent.clone());
    let mut driver = Driver::of(&ctx.a.open(&run, Open { info: Some(info), ..ctx.creating() }).await?);
    ctx.commit(&mut driver, |commit| commit.finish(Outcome::Failed { failure }, Retain::Delete)).await?;
    let queries = [
        Query { status: Some(Status::Failed), ..Query::all() },
        Query { name: Some("import".into()), ..Query::all() },
        Query { labels: vec![("tenant".into(), "x".into())], ..Query::all() },
        Query { parent: Some(parent), ..Query::all() },
        Query { failure: Some(FailureKind::Operator), ..Query::all() },
        Query::expired(),
    ];
    for gone in [false, true, true] {
        for query in &queries {
            let listed = collect(ctx.b.list(query.clone())).await?.len();
            expect_eq(&format!("how many {query:?} gives"), listed, usize::from(!gone))?;
        }
        // Deleted, then created again as something else.
        if !ctx.a.delete(&run, Delete::Finished(driver.fence.incarnation)).await? {
            ctx.create(&run).await?;
            break;
        }
    }
    for query in &queries {
        expect_eq(&format!("what {query:?} gives"), collect(ctx.b.list(query.clone())).await?, vec![])?;
    }
    let running = Query { status: Some(Status::Running), name: Some("case".into()), ..Query::all() };
    expect_eq("what it is now", collect(ctx.b.list(running)).await?.len(), 1)
}

async fn each_life_has_its_own_incarnation(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    let (mut lives, mut tokens) = (HashSet::new(), HashSet::new());
    for _ in ctx.rounds(50) {
        let opened = ctx.a.open(&run, ctx.creating()).await?;
        expect("its incarnation is new", lives.insert(opened.fence.incarnation), opened.fence)?;
        expect("its token is new", tokens.insert(opened.fence.token), opened.fence)?;
        expect_eq("its epoch", opened.fence.epoch, 1)?;
        expect_eq("the deletion", ctx.b.delete(&run, Delete::Any).await?, true)?;
    }
    Ok(())
}
