//! Creating a run, resuming it, and what it was told.

use crate::areas::prelude::*;

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
    /// `Resume` of a run that is not there creates nothing, also when it brings what a creation would need.
    resume_with_an_info_creates_nothing [],
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

async fn resume_with_an_info_creates_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    for store in [&ctx.a, &ctx.b] {
        let open = Open { mode: Mode::Resume, ..ctx.creating() };
        refused_as("Resume of an unknown run", store.open(&run, open).await, Refusal::NotFound)?;
        expect_eq("the head after it", store.head(&run).await?, None)?;
    }
    Ok(())
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
