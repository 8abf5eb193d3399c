//! Creating, resuming and taking over.

use super::prelude::*;

cases! { open:
    /// A run is created with cursor 0, version 1 and epoch 1, and no part of it but its head.
    creates_with_cursor_0_version_1_epoch_1 [],
    /// A begun run is known before its first commit, and every handle reads the same head.
    begun_but_empty_is_known [],
    /// A begun run that holds no record streams nothing, without an error; one that is not there is `NotFound`.
    begun_but_empty_streams_nothing [Log],
    /// `Create` refuses a run that exists, whoever drives it, and changes nothing.
    create_refuses_a_run_that_exists [],
    /// `Resume` of a run that is not there is `NotFound` and creates nothing.
    resume_of_an_unknown_run_creates_nothing [],
    /// A mode that may create needs info and manifest, and without them creates nothing.
    creating_needs_info_and_manifest [],
    /// The info of a run may have 16 KiB; one byte more is `TooLarge`, and nothing is created.
    info_has_a_limit [],
    /// Each open raises epoch and version, and mints a token that no other open had.
    each_open_raises_epoch_and_version [],
    /// Info and origin of an open are ignored when the run exists; it keeps what it was created with.
    info_of_an_existing_run_stays [],
    /// Info is kept as it was told: labels, parent, meta, empty strings and any Unicode.
    info_round_trips [],
    /// The same manifest resumes a run.
    the_same_manifest_resumes [],
    /// An open without a manifest asks nothing and resumes whatever the run was asked to do.
    no_manifest_resumes [],
    /// Another manifest is refused while the run is driven, before its lease is looked at.
    another_manifest_is_refused_of_a_live_run [],
    /// Another manifest is refused once the run is due.
    another_manifest_is_refused_of_an_interrupted_run [],
    /// A note is what the head shows of a run, until another one replaces it.
    a_note_is_shown_by_the_head [],
    /// A note is what a listing shows of a running run.
    a_note_is_shown_by_a_listing [List],

    /// A live lease is refused to everyone, the same owner name included, with its owner and the time that it has left.
    a_live_lease_is_refused_to_everyone [],
    /// After the lease has run out the same owner gets a new epoch.
    after_expiry_the_same_owner_gets_a_new_epoch [],
    /// `Over(fence)` takes a live lease while that is the newest fence.
    over_the_newest_fence_takes_a_live_lease [],
    /// `Over` an older fence is treated as `IfDue`: it takes no live lease.
    over_an_older_fence_takes_no_live_lease [],
    /// `Over` an older fence is treated as `IfDue`: it takes a run that is due.
    over_an_older_fence_takes_a_due_run [],
    /// Of racing `Over` one and the same fence exactly one succeeds.
    of_16_racing_overs_one_wins [],
    /// Of racing creators exactly one succeeds; every other is told `AlreadyExists`.
    of_16_racing_creators_one_wins [],
    /// Of racing openers that create or resume exactly one gets the lease; every other is told who holds it.
    of_16_racing_openers_one_wins [],
    /// Of racing takeovers of a due run exactly one succeeds.
    of_16_racing_takeovers_one_wins [],

    /// The same open id again, with nothing opened or committed since, answers the same fence and changes nothing.
    the_same_open_id_answers_the_same_fence [],
    /// The answer to a repeated open id is the same from every handle and says again whether the run was created.
    the_same_open_id_answers_on_every_handle [],
    /// Of one open sent 16 times at once every answer is the same fence, and the run was opened once.
    one_open_sent_16_times_at_once_opens_once [],
    /// After a commit a repeated open id is an open like any other.
    the_same_open_id_after_a_commit_is_refused [],
    /// After another open a repeated open id is an open like any other.
    the_same_open_id_after_another_open_is_refused [],

    /// A completed run answers its outcome to everyone, asked to reopen it or not, and stays as it is.
    a_completed_run_answers_its_outcome [],
    /// A failed run is reopened only when that is asked for.
    a_failed_run_is_reopened_only_when_asked [],
    /// A finished run is first a run that exists, then one of a manifest, and only then one that has finished.
    refusals_of_a_finished_run_come_in_order [],

    /// A lapse is the takeover of a lease that was never released: run out or taken `Over`, not let go.
    lapses_count_unreleased_takeovers_only [],
    /// Lapses are forgotten by a commit that advances; an intent, a renewal and a note keep them.
    lapses_are_reset_by_work_that_advances [],

    /// An origin makes a draft: its log continues behind the origin's cursor, and its lineage is kept.
    a_draft_continues_the_log_of_its_origin [Log, Snapshots],
    /// Reading a draft below its origin is `Trimmed`, with the first record that it can have.
    below_its_origin_a_draft_is_trimmed [Log, Snapshots],
    /// A draft is never due, also when its lease has run out; only `Over` takes it.
    a_draft_is_never_due [Snapshots],
    /// The commit whose snapshot stands at the origin ends the draft; its due is its lease's end from then on.
    the_snapshot_at_its_origin_ends_a_draft [Snapshots],
    /// A snapshot behind the origin leaves the draft a draft.
    another_snapshot_ends_no_draft [Log, Snapshots],
    /// Without `Snapshots` an origin is `Unsupported`, and nothing is created.
    an_origin_is_unsupported [not Snapshots],
}

async fn creates_with_cursor_0_version_1_epoch_1(ctx: &Context) -> Verdict {
    let run = ctx.run("created");
    expect_eq("the head before it", ctx.a.head(&run).await?, None)?;
    let opened = ctx.a.open(&run, ctx.creating()).await?;
    let head = &opened.head;
    expect("an open that creates says so", opened.created, &opened)?;
    expect_eq("version, cursor, first", (head.version, head.cursor, head.first), (1, 0, 1))?;
    expect_eq("the fence's epoch", opened.fence.epoch, 1)?;
    expect_eq("the head's fence", head.fence, opened.fence)?;
    expect_eq("the head's run", &head.run, &run)?;
    expect_eq("lapses, newest message", (head.lapses, head.newest_message), (0, 0))?;
    expect_eq("the head's sizes", head.sizes, Sizes::default())?;
    let nothing_else = head.snapshots.is_empty()
        && head.note.is_none()
        && head.origin.is_none()
        && !head.draft
        && head.outcome.is_none()
        && head.delete_after.is_none();
    expect("a created run has nothing else", nothing_else, head)?;
    expect_eq("its status", head.status(), Status::Running)?;
    expect_eq("its due, against its lease's end", head.due, head.lease.as_ref().map(|lease| lease.until))?;
    expect("it was created by now", head.created_at <= head.at, head)
}

async fn begun_but_empty_is_known(ctx: &Context) -> Verdict {
    let run = ctx.run("begun");
    expect_eq("the head before it", ctx.b.head(&run).await?, None)?;
    let opened = ctx.a.open(&run, ctx.creating()).await?;
    let read = ctx.image(&run).await?;
    let told = Head { at: Timestamp::default(), ..opened.head };
    expect_eq("the head read by another handle, against the one of the open", read.head, Some(told))?;
    let reopened = ctx.reopen().await?;
    let head = reopened.head(&run).await?;
    expect_eq("the version read after a reopen", head.map(|head| head.version), Some(1))
}

async fn begun_but_empty_streams_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("begun");
    let unknown = collect(ctx.b.stream(&run, Span::all())).await;
    refused_as("a stream of a run that is not there", unknown, Refusal::NotFound)?;
    ctx.create(&run).await?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    expect_eq("the records of a begun run", records, vec![])
}

async fn create_refuses_a_run_that_exists(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    ctx.create_briefly(&run).await?;
    ctx.unchanged(&run, async {
        refused_as("Create of a driven run", ctx.b.open(&run, ctx.creating()).await, Refusal::AlreadyExists)
    })
    .await?;
    ctx.expire().await;
    ctx.unchanged(&run, async {
        refused_as("Create of a due run", ctx.b.open(&run, ctx.creating()).await, Refusal::AlreadyExists)
    })
    .await
}

async fn resume_of_an_unknown_run_creates_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    refused_as("Resume of an unknown run", ctx.a.open(&run, ctx.resuming()).await, Refusal::NotFound)?;
    for store in [&ctx.a, &ctx.b] {
        expect_eq("the head after it", store.head(&run).await?, None)?;
    }
    let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
    let opened = ctx.b.open(&run, open).await?;
    expect("CreateOrResume creates it then", opened.created && opened.fence.epoch == 1, &opened)
}

async fn creating_needs_info_and_manifest(ctx: &Context) -> Verdict {
    let run = ctx.run("nameless");
    for mode in [Mode::Create, Mode::CreateOrResume] {
        for open in [Open { info: None, ..ctx.creating() }, Open { manifest: None, ..ctx.creating() }] {
            let open = Open { mode, ..open };
            refused("an open that cannot create", ctx.a.open(&run, open).await, ErrorKind::Invalid)?;
        }
    }
    let open = ctx.creating().ttl(Duration::ZERO);
    refused("an open for no time at all", ctx.a.open(&run, open).await, ErrorKind::Invalid)?;
    expect_eq("the head after the refusals", ctx.b.head(&run).await?, None)
}

async fn info_has_a_limit(ctx: &Context) -> Verdict {
    let run = ctx.run("large");
    let with_meta = |size: usize| {
        let info = RunInfo::named("case").meta(vec![7; size - "case".len()]);
        Open { info: Some(info), ..ctx.creating() }
    };
    let over = ctx.a.open(&run, with_meta(INFO_LIMIT + 1)).await;
    refused("info of one byte too many", over, ErrorKind::TooLarge)?;
    expect_eq("the head after it", ctx.b.head(&run).await?, None)?;
    let open = with_meta(INFO_LIMIT);
    let info = open.info.clone();
    ctx.a.open(&run, open).await?;
    expect_eq("info of the limit's size", Some(ctx.head(&run).await?.info), info)
}

async fn each_open_raises_epoch_and_version(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut fence = ctx.create(&run).await?.fence;
    for number in 2..=5 {
        let opened = ctx.b.open(&run, ctx.resuming().over(fence)).await?;
        let numbers = (opened.fence.epoch, opened.head.version, opened.head.cursor);
        expect_eq("epoch, version, cursor", numbers, (number, number, 0))?;
        expect("a resume creates nothing", !opened.created, &opened)?;
        expect_eq("the incarnation", opened.fence.incarnation, fence.incarnation)?;
        expect("the token is a new one", opened.fence.token != fence.token, opened.fence)?;
        fence = opened.fence;
    }
    expect_eq("the fence that another handle reads", ctx.head(&run).await?.fence, fence)?;
    let missed_one = Commit::new(run.clone(), fence, ctx.id(), 4);
    let head = clashed("a commit that missed an open", ctx.a.commit(missed_one).await, Clash::Version)?;
    expect_eq("the version that it is told", head.version, 5)
}

async fn info_of_an_existing_run_stays(ctx: &Context) -> Verdict {
    let run = ctx.run("told");
    let driver = ctx.create(&run).await?;
    let before = ctx.head(&run).await?;
    let mut open = Open { mode: Mode::CreateOrResume, ..ctx.creating().over(driver.fence) };
    open.info = Some(RunInfo::named("another").label("a", "b"));
    if ctx.capabilities.supports_snapshots() {
        open = open.origin(Origin { cursor: 7, lineage: None });
    }
    let opened = ctx.b.open(&run, open).await?;
    expect("it is resumed, not created", !opened.created, &opened)?;
    let head = opened.head;
    expect_eq("its info", &head.info, &before.info)?;
    expect_eq("its creation", head.created_at, before.created_at)?;
    expect("it is no draft", !head.draft && head.origin.is_none() && head.first == 1, &head)
}

async fn info_round_trips(ctx: &Context) -> Verdict {
    let infos = [
        RunInfo::default(),
        RunInfo::named("").label("", ""),
        RunInfo::named("Ω ничего 👩‍👩‍👧 \u{202e}\n\t'\"\\;--%_*").label("clé", "værdi").label("a.b[0]", "$.x"),
        RunInfo::named("child").parent(ctx.run("parent")).meta((0..=255).collect::<Vec<u8>>()),
    ];
    for (number, info) in infos.into_iter().enumerate() {
        let run = ctx.run(&format!("info{number}"));
        let open = Open { info: Some(info.clone()), ..ctx.creating() };
        expect_eq("the info that the open answers", &ctx.a.open(&run, open).await?.head.info, &info)?;
        expect_eq("the info that another handle reads", &ctx.head(&run).await?.info, &info)?;
    }
    Ok(())
}

async fn the_same_manifest_resumes(ctx: &Context) -> Verdict {
    let run = ctx.run("asked");
    ctx.create_briefly(&run).await?;
    for mode in [Mode::Resume, Mode::CreateOrResume] {
        let open = Open { mode, ..ctx.creating().ttl(ctx.brief()) };
        let opened = ctx.open_due(&run, open).await?;
        expect("it is resumed, not created", !opened.created && opened.fence.epoch > 1, &opened)?;
        expect_eq("its manifest", opened.head.manifest, Manifest::of(b"case"))?;
    }
    Ok(())
}

async fn no_manifest_resumes(ctx: &Context) -> Verdict {
    let run = ctx.run("asked");
    let driver = ctx.create(&run).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect("the new fence supersedes the old one", opened.fence.supersedes(driver.fence), opened.fence)?;
    expect_eq("its manifest", opened.head.manifest, Manifest::of(b"case"))
}

/// Opens `run` with another manifest, in both modes that may meet an existing run.
async fn other_manifests_are_refused(ctx: &Context, run: &RunId) -> Verdict {
    let (stored, given) = (Manifest::of(b"case"), Manifest::of(b"another"));
    for mode in [Mode::Resume, Mode::CreateOrResume] {
        let open = Open { mode, ..ctx.creating().manifest(given) };
        let mismatch = Refusal::ManifestMismatch { stored, given };
        refused_as("an open with another manifest", ctx.b.open(run, open).await, mismatch)?;
    }
    Ok(())
}

async fn another_manifest_is_refused_of_a_live_run(ctx: &Context) -> Verdict {
    let run = ctx.run("asked");
    ctx.create(&run).await?;
    ctx.unchanged(&run, other_manifests_are_refused(ctx, &run)).await
}

async fn another_manifest_is_refused_of_an_interrupted_run(ctx: &Context) -> Verdict {
    let run = ctx.run("asked");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    ctx.unchanged(&run, other_manifests_are_refused(ctx, &run)).await
}

async fn a_note_is_shown_by_the_head(ctx: &Context) -> Verdict {
    let run = ctx.run("noted");
    let mut driver = ctx.create(&run).await?;
    let first = Note::new(1, Some(3), "one of three: ✓")?;
    ctx.commit(&mut driver, |commit| commit.note(first.clone())).await?;
    expect_eq("the note of a commit", ctx.head(&run).await?.note, Some(first.clone()))?;
    ctx.commit(&mut driver, |commit| commit).await?;
    expect_eq("the note after a commit without one", ctx.head(&run).await?.note, Some(first))?;
    let second = Note::new(2, None, "")?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long()).note(second.clone())).await?;
    expect_eq("the note of a renewal", ctx.head(&run).await?.note, Some(second))
}

async fn a_note_is_shown_by_a_listing(ctx: &Context) -> Verdict {
    let run = ctx.run("noted");
    let mut driver = ctx.create(&run).await?;
    let note = Note::new(5, Some(9), "five")?;
    ctx.commit(&mut driver, |commit| commit.note(note.clone())).await?;
    let query = Query { id_prefix: Some(run.to_string()), ..Query::all() };
    let listed = collect(ctx.b.list(query)).await?;
    let notes: Vec<_> = listed.into_iter().map(|head| head.note).collect();
    expect_eq("the notes that a listing shows", notes, vec![Some(note)])
}

async fn a_live_lease_is_refused_to_everyone(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let owner = Owner::new("the owner");
    ctx.a.open(&run, ctx.creating().owner(owner.clone())).await?;
    ctx.unchanged(&run, async {
        for (store, name, mode) in [
            (&ctx.a, "the owner", Mode::Resume),
            (&ctx.b, "the owner", Mode::CreateOrResume),
            (&ctx.b, "another", Mode::Resume),
        ] {
            let open = Open { mode, ..ctx.creating().owner(Owner::new(name)) };
            let error =
                refused("an open of a driven run", store.open(&run, open).await, ErrorKind::LeaseHeld)?;
            let told = matches!(
                error.refusal(),
                Some(Refusal::LeaseHeld { owner: Some(holder), expires_in: Some(left) })
                    if *holder == owner && !left.is_zero() && *left <= ctx.long()
            );
            expect("it tells the owner and the time left", told, &error)?;
        }
        Ok(())
    })
    .await
}

async fn after_expiry_the_same_owner_gets_a_new_epoch(ctx: &Context) -> Verdict {
    let run = ctx.run("expired");
    let owner = Owner::new("the owner");
    let first = ctx.a.open(&run, ctx.creating().owner(owner.clone()).ttl(ctx.brief())).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let second = ctx.open_due(&run, ctx.resuming().owner(owner.clone())).await?;
    expect("the new fence supersedes the old one", second.fence.supersedes(first.fence), second.fence)?;
    expect_eq("epoch and version", (second.fence.epoch, second.head.version), (2, 2))?;
    expect_eq("the lease's owner", second.head.lease.as_ref().map(|lease| &lease.owner), Some(&owner))
}

async fn over_the_newest_fence_takes_a_live_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create(&run).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(old.fence).owner(Owner::new("successor"))).await?;
    expect("the new fence supersedes the old one", opened.fence.supersedes(old.fence), opened.fence)?;
    let owner = opened.head.lease.as_ref().map(|lease| lease.owner.as_str());
    expect_eq("the lease's owner", owner, Some("successor"))?;
    let late = ctx.a.commit(ctx.next(&old)).await;
    refused_as("a commit of the old owner", late, Refusal::Fenced { current: opened.fence })
}

async fn over_an_older_fence_takes_no_live_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create(&run).await?.fence;
    let new = ctx.b.open(&run, ctx.resuming().over(old)).await?.fence;
    ctx.unchanged(&run, async {
        for stale in [
            old,
            Fence { token: Token(!new.token.0), ..new },
            Fence { incarnation: ctx.ids().incarnation(), ..new },
        ] {
            let answer = ctx.a.open(&run, ctx.resuming().over(stale)).await;
            refused("Over a fence that is not the newest", answer, ErrorKind::LeaseHeld)?;
        }
        Ok(())
    })
    .await
}

async fn over_an_older_fence_takes_a_due_run(ctx: &Context) -> Verdict {
    let run = ctx.run("due");
    let old = ctx.create(&run).await?.fence;
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().over(old)).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(old)).await?;
    expect_eq("its epoch", opened.fence.epoch, 3)
}

async fn of_16_racing_overs_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let fence = ctx.create(&run).await?.fence;
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), ctx.resuming().over(fence));
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing Overs", answers, ErrorKind::LeaseHeld)?;
    let head = ctx.head(&run).await?;
    expect_eq("the run's fence and version", (head.fence, head.version), (winner.fence, 2))
}

async fn of_16_racing_creators_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let answers = ctx
        .race(16, |index, store| {
            let (run, open) = (run.clone(), ctx.creating().owner(Owner::new(format!("racer {index}"))));
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing creators", answers, ErrorKind::AlreadyExists)?;
    let head = ctx.head(&run).await?;
    expect_eq("the run's fence and version", (head.fence, head.version), (winner.fence, 1))?;
    expect_eq("the run's lease", head.lease, winner.head.lease)
}

async fn of_16_racing_openers_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), Open { mode: Mode::CreateOrResume, ..ctx.creating() });
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing openers", answers, ErrorKind::LeaseHeld)?;
    expect("the winner created the run", winner.created, &winner)?;
    expect_eq("the run's fence", ctx.head(&run).await?.fence, winner.fence)
}

async fn of_16_racing_takeovers_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    ctx.create_briefly(&run).await?;
    ctx.expire().await;
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), ctx.resuming());
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing takeovers", answers, ErrorKind::LeaseHeld)?;
    let head = ctx.head(&run).await?;
    expect_eq("fence, version, lapses", (head.fence, head.version, head.lapses), (winner.fence, 2, 1))
}

async fn the_same_open_id_answers_the_same_fence(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-twice");
    let created = ctx.creating();
    let first = ctx.a.open(&run, created.clone()).await?;
    let again = ctx.unchanged(&run, async { Ok(ctx.a.open(&run, created).await?) }).await?;
    expect_eq("the fence of the repeated open", again.fence, first.fence)?;
    expect_eq("its version and lease", (again.head.version, &again.head.lease), (1, &first.head.lease))?;
    let resumed = ctx.resuming().over(first.fence);
    let second = ctx.a.open(&run, resumed.clone()).await?;
    expect("the takeover has a fence of its own", second.fence.supersedes(first.fence), second.fence)?;
    ctx.pass(Duration::from_millis(2)).await;
    let again = ctx.unchanged(&run, async { Ok(ctx.a.open(&run, resumed).await?) }).await?;
    expect_eq("the fence of the repeated takeover", again.fence, second.fence)?;
    expect_eq("its lapses", again.head.lapses, second.head.lapses)
}

async fn the_same_open_id_answers_on_every_handle(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-twice");
    let created = ctx.creating();
    let first = ctx.a.open(&run, created.clone()).await?;
    let reopened = ctx.reopen().await?;
    for store in [&ctx.b, &reopened] {
        let again = store.open(&run, created.clone()).await?;
        expect_eq("fence and created", (again.fence, again.created), (first.fence, true))?;
    }
    let resumed = ctx.resuming().over(first.fence);
    let second = ctx.a.open(&run, resumed.clone()).await?;
    let again = reopened.open(&run, resumed).await?;
    expect_eq("fence and created", (again.fence, again.created), (second.fence, false))
}

async fn one_open_sent_16_times_at_once_opens_once(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-often");
    let open = ctx.creating();
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), open.clone());
            async move { store.open(&run, open).await }
        })
        .await?;
    let head = ctx.head(&run).await?;
    expect_eq("version and epoch", (head.version, head.fence.epoch), (1, 1))?;
    for answer in answers {
        let opened = answer?;
        expect_eq("fence and created", (opened.fence, opened.created), (head.fence, true))?;
    }
    let another = ctx.b.open(&run, ctx.resuming()).await;
    refused("an open with another id", another, ErrorKind::LeaseHeld).map(drop)
}

async fn the_same_open_id_after_a_commit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("went-on");
    let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
    let mut driver = Driver::of(&ctx.a.open(&run, open.clone()).await?);
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    ctx.unchanged(&run, async {
        refused("the repeated open", ctx.b.open(&run, open).await, ErrorKind::LeaseHeld)
    })
    .await
    .map(drop)
}

async fn the_same_open_id_after_another_open_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("taken-over");
    let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
    let first = ctx.a.open(&run, open.clone()).await?;
    ctx.b.open(&run, ctx.resuming().over(first.fence)).await?;
    ctx.unchanged(&run, async {
        refused("the repeated open", ctx.a.open(&run, open).await, ErrorKind::LeaseHeld)
    })
    .await
    .map(drop)
}

fn completed() -> Outcome {
    Outcome::Completed { output: "the output \0 \u{1f600}".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { failure: Failure::new(FailureKind::TimedOut, "too slow") }
}

async fn a_completed_run_answers_its_outcome(ctx: &Context) -> Verdict {
    let run = ctx.run("completed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::Keep)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its outcome", &head.outcome, &Some(completed()))?;
    expect_eq("its lease and its due", (&head.lease, head.due), (&None, None))?;
    ctx.unchanged(&run, async {
        let create_or_resume = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
        for open in [
            ctx.resuming(),
            create_or_resume,
            ctx.resuming().over(driver.fence),
            ctx.resuming().reopen_failed(),
        ] {
            let finished = Refusal::Finished { outcome: completed() };
            refused_as("an open of a completed run", ctx.b.open(&run, open).await, finished)?;
        }
        Ok(())
    })
    .await
}

async fn a_failed_run_is_reopened_only_when_asked(ctx: &Context) -> Verdict {
    let run = ctx.run("failed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(failed(), Retain::Delete)).await?;
    expect("it may be deleted", ctx.head(&run).await?.delete_after.is_some(), ())?;
    ctx.unchanged(&run, async {
        let finished = Refusal::Finished { outcome: failed() };
        refused_as("an open of a failed run", ctx.b.open(&run, ctx.resuming()).await, finished)
    })
    .await?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    expect_eq("epoch and version", (opened.fence.epoch, opened.head.version), (2, 3))?;
    let head = ctx.head(&run).await?;
    expect_eq("its outcome and when it may be deleted", (&head.outcome, head.delete_after), (&None, None))?;
    expect_eq("its lapses and its status", (head.lapses, head.status()), (0, Status::Running))
}

async fn refusals_of_a_finished_run_come_in_order(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(failed(), Retain::Keep)).await?;
    ctx.unchanged(&run, async {
        let (stored, given) = (Manifest::of(b"case"), Manifest::of(b"another"));
        let create = ctx.creating().manifest(given).reopen_failed();
        refused_as("Create", ctx.a.open(&run, create).await, Refusal::AlreadyExists)?;
        let resume = ctx.resuming().manifest(given).reopen_failed();
        let mismatch = Refusal::ManifestMismatch { stored, given };
        refused_as("another manifest", ctx.a.open(&run, resume).await, mismatch)
    })
    .await
}

async fn lapses_count_unreleased_takeovers_only(ctx: &Context) -> Verdict {
    let run = ctx.run("lapsing");
    ctx.create_briefly(&run).await?;
    let expired = ctx.open_due(&run, ctx.resuming()).await?;
    expect_eq("lapses after a lease that ran out", expired.head.lapses, 1)?;
    let taken = ctx.b.open(&run, ctx.resuming().over(expired.fence)).await?;
    expect_eq("lapses after a lease that was taken", taken.head.lapses, 2)?;
    let mut driver = Driver::of(&taken);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let released = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("lapses after a lease that was let go", released.head.lapses, 2)
}

async fn lapses_are_reset_by_work_that_advances(ctx: &Context) -> Verdict {
    let run = ctx.run("lapsing");
    let first = ctx.create(&run).await?;
    let opened = ctx.a.open(&run, ctx.resuming().over(first.fence)).await?;
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.note(Note::default())).await?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?;
    if ctx.capabilities.supports_log() {
        ctx.commit_records(&mut driver, 1).await?;
    }
    expect_eq("lapses after a note, a renewal and an intent", ctx.head(&run).await?.lapses, 1)?;
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    expect_eq("lapses after a commit that advances", ctx.head(&run).await?.lapses, 0)
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
