//! Large values that records name instead of carrying them.

use crate::areas::prelude::*;

cases! { blobs:
    /// A blob is read by its name, whatever its bytes; of a name that the run does not hold there is none.
    a_blob_is_read_by_its_name [Blobs],
    /// A blob is stored once a run: a second one of its name is ignored, and the first body stays.
    a_blob_is_stored_once [Blobs],
    /// Blobs are enumerated by their names, with their sizes, and the head tells their size.
    blobs_are_enumerated_by_name [Blobs],
    /// A record names a blob of its own commit, or one that was stored before.
    a_record_names_a_carried_or_a_stored_blob [Log, Blobs],
    /// A record that names a blob which is neither carried nor stored is a `Conflict` about it; nothing of its commit
    /// holds.
    a_missing_blob_is_refused [Log, Blobs],
    /// A record cannot name a blob that its own commit drops.
    a_blob_dropped_by_the_same_commit_is_missing [Log, Blobs],
    /// A blob is dropped on request, others stay; dropping one that is not there is ignored.
    a_blob_is_dropped_on_request [Blobs],
    /// A blob that a record names is dropped on request like any other; the record stays and still names it.
    a_named_blob_is_dropped_and_its_record_stays [Log, Blobs],
    /// A blob that was dropped can be stored again, with another body.
    a_dropped_blob_can_be_stored_again [Blobs],
    /// A commit carries or drops a blob once, and not both.
    carrying_and_dropping_a_blob_is_invalid [Blobs],
    /// A commit that is refused stores no blob and drops none.
    a_refused_commit_stores_and_drops_no_blob [Blobs],
    /// The name of a blob is its author's: a store takes a body whose digest it is not.
    a_store_does_not_judge_names [Blobs],
    /// Names that share all but their last byte, or all but their first, name different blobs.
    names_that_are_nearly_alike_stay_apart [Blobs],
    /// A run's blobs are its own: another run neither sees them nor names them nor drops them.
    each_run_has_its_own_blobs [Log, Blobs],
    /// Blobs live through takeover, release and outcome, and die with their run.
    blobs_die_with_their_run [Blobs],
    /// A trim of the records that name a blob leaves the blob.
    blobs_survive_a_trim [Log, Snapshots, Blobs],
    /// Many blobs are enumerated whole.
    many_blobs_are_enumerated_whole [Blobs],
    /// Reading the blobs of a run that is not there is `NotFound`.
    the_blobs_of_no_run_are_not_found [Blobs],
}

/// What the other handle enumerates: names and sizes.
async fn enumerated(ctx: &Context, run: &RunId) -> Verdict<Vec<(Digest, u64)>> {
    let infos = collect(ctx.b.blobs(run)).await?;
    Ok(infos.into_iter().map(|info| (info.name, info.size)).collect())
}

/// What an enumeration of these blobs gives.
fn by_name(blobs: &[Blob]) -> Vec<(Digest, u64)> {
    let mut infos: Vec<_> = blobs.iter().map(|blob| (blob.name, blob.body.len() as u64)).collect();
    infos.sort_unstable();
    infos
}

async fn a_blob_is_read_by_its_name(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let limits = ctx.capabilities.limits;
    let size = usize::try_from(limits.blob.min(limits.commit / 4).min(1 << 20)).unwrap_or(1 << 20);
    let large: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let blobs = [vec![], vec![0], every_byte, large].map(Blob::of);
    let carried = blobs.clone();
    expect_eq("before it is stored", ctx.b.blob(&run, &blobs[0].name).await?, None)?;
    ctx.commit(&mut driver, |commit| carried.into_iter().fold(commit, Commit::blob)).await?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        for blob in &blobs {
            expect_eq("the blob", store.blob(&run, &blob.name).await?.as_ref(), Some(&blob.body))?;
        }
        expect_eq("of another name", store.blob(&run, &Digest::of(b"another")).await?, None)?;
    }
    Ok(())
}

async fn a_blob_is_stored_once(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of("the first body");
    let (again, other) = (blob.clone(), Blob { name: blob.name, body: "another, longer body".into() });
    for carried in [blob.clone(), again, other] {
        ctx.commit(&mut driver, |commit| commit.blob(carried)).await?;
        expect_eq("its body", ctx.b.blob(&run, &blob.name).await?.as_ref(), Some(&blob.body))?;
        expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(std::slice::from_ref(&blob)))?;
        expect_eq("their size", ctx.head(&run).await?.sizes.blobs, blob.body.len() as u64)?;
    }
    Ok(())
}

async fn blobs_are_enumerated_by_name(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    expect_eq("the blobs of a begun run", enumerated(ctx, &run).await?, vec![])?;
    let blobs: Vec<_> = (0..5).map(|size| Blob::of("x".repeat(size))).collect();
    for blob in blobs.clone() {
        ctx.commit(&mut driver, |commit| commit.blob(blob)).await?;
    }
    expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(&blobs))?;
    expect_eq("their size", ctx.head(&run).await?.sizes.blobs, 10)
}

async fn a_record_names_a_carried_or_a_stored_blob(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let (one, another) = (Blob::of("one"), Blob::of("another"));
    let first = one.clone();
    ctx.commit(&mut driver, |commit| commit.record(record(1).blob(one.name)).blob(first)).await?;
    ctx.commit(&mut driver, |commit| commit.record(record(2).blob(one.name))).await?;
    let second = another.clone();
    let both = record(3).blob(another.name).blob(one.name);
    ctx.commit(&mut driver, |commit| commit.record(both).blob(second)).await?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    let named: Vec<_> = records.into_iter().map(|record| record.blobs).collect();
    expect_eq("the names", named, vec![vec![one.name], vec![one.name], vec![another.name, one.name]])
}

async fn a_missing_blob_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let (stored, carried, missing) = (Blob::of("stored"), Blob::of("carried"), Digest::of(b"missing"));
    let first = stored.clone();
    ctx.commit(&mut driver, |commit| commit.blob(first)).await?;
    ctx.unchanged(&run, async {
        for records in [
            vec![record(1).blob(missing)],
            vec![record(1), record(2).blob(stored.name).blob(missing)],
            vec![record(1).blob(carried.name), record(2).blob(missing)],
        ] {
            let commit = ctx.next(&driver).records(records).blob(carried.clone());
            let answer = ctx.a.commit(commit).await;
            clashed("a record that names a missing blob", answer, Clash::MissingBlob(missing))?;
        }
        Ok(())
    })
    .await
}

async fn a_blob_dropped_by_the_same_commit_is_missing(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of("stored");
    let (name, stored) = (blob.name, blob.clone());
    ctx.commit(&mut driver, |commit| commit.blob(stored)).await?;
    ctx.unchanged(&run, async {
        let dropping = ctx.next(&driver).record(record(1).blob(name)).drop_blob(name);
        clashed("naming what is dropped", ctx.a.commit(dropping).await, Clash::MissingBlob(name))
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.drop_blob(name)).await?;
    ctx.unchanged(&run, async {
        let late = ctx.next(&driver).record(record(1).blob(name));
        clashed("naming what was dropped", ctx.a.commit(late).await, Clash::MissingBlob(name))
    })
    .await
    .map(drop)
}

async fn a_blob_is_dropped_on_request(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let (kept, dropped) = (Blob::of("kept"), Blob::of("dropped, as was asked"));
    let carried = [kept.clone(), dropped.clone()];
    ctx.commit(&mut driver, |commit| carried.into_iter().fold(commit, Commit::blob)).await?;
    ctx.commit(&mut driver, |commit| commit.drop_blob(Digest::of(b"unknown")).drop_blob(dropped.name))
        .await?;
    expect_eq("the dropped one", ctx.b.blob(&run, &dropped.name).await?, None)?;
    expect_eq("the kept one", ctx.b.blob(&run, &kept.name).await?.as_ref(), Some(&kept.body))?;
    expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(std::slice::from_ref(&kept)))?;
    expect_eq("their size", ctx.head(&run).await?.sizes.blobs, kept.body.len() as u64)?;
    ctx.commit(&mut driver, |commit| commit.drop_blob(dropped.name)).await.map(drop)
}

async fn a_named_blob_is_dropped_and_its_record_stays(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of("named by a record");
    let (name, carried) = (blob.name, blob.clone());
    let naming = |commit: Commit| commit.records([record(1).blob(name), record(2)]).blob(carried);
    ctx.commit(&mut driver, naming).await?;
    let before = collect(ctx.b.stream(&run, Span::all())).await?;
    expect_eq("what the first record names", before.first().map(|record| &*record.blobs), Some(&[name][..]))?;
    ctx.commit(&mut driver, |commit| commit.drop_blob(name)).await?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        expect_eq("the dropped one", store.blob(&run, &name).await?, None)?;
        expect_eq("the records", collect(store.stream(&run, Span::all())).await?, before.clone())?;
    }
    expect_eq("the blobs", enumerated(ctx, &run).await?, vec![])?;
    expect_eq("their size", ctx.head(&run).await?.sizes.blobs, 0)?;
    let again = blob.clone();
    ctx.commit(&mut driver, |commit| commit.blob(again)).await?;
    expect_eq("what they name once it is stored again", ctx.b.blob(&run, &name).await?, Some(blob.body))
}

async fn a_dropped_blob_can_be_stored_again(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let first = Blob::of("first");
    let second = Blob { name: first.name, body: "second, under the same name".into() };
    let name = first.name;
    ctx.commit(&mut driver, |commit| commit.blob(first)).await?;
    ctx.commit(&mut driver, |commit| commit.drop_blob(name)).await?;
    let carried = second.clone();
    ctx.commit(&mut driver, |commit| commit.blob(carried)).await?;
    expect_eq("its body", ctx.b.blob(&run, &name).await?.as_ref(), Some(&second.body))?;
    expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(&[second]))
}

async fn names_that_are_nearly_alike_stay_apart(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let first = Blob::of("first");
    let near = [31, 16, 8, 0].map(|place| {
        let mut name = first.name;
        name.0[place] ^= 1;
        Blob { name, body: format!("another at {place}").into() }
    });
    let carried = first.clone();
    ctx.commit(&mut driver, |commit| commit.blob(carried)).await?;
    for blob in &near {
        expect_eq("a blob of a name nearby", ctx.b.blob(&run, &blob.name).await?, None)?;
    }
    for blob in near.clone() {
        ctx.commit(&mut driver, |commit| commit.blob(blob)).await?;
    }
    let name = near[0].name;
    ctx.commit(&mut driver, |commit| commit.drop_blob(name)).await?;
    let [_, rest @ ..] = near;
    let stay: Vec<_> = [first].into_iter().chain(rest).collect();
    for blob in &stay {
        expect_eq("its body", ctx.b.blob(&run, &blob.name).await?.as_ref(), Some(&blob.body))?;
    }
    expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(&stay))
}

async fn carrying_and_dropping_a_blob_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let driver = ctx.create(&run).await?;
    let blob = Blob::of("x");
    let name = blob.name;
    ctx.unchanged(&run, async {
        for commit in [
            ctx.next(&driver).blob(blob.clone()).drop_blob(name),
            ctx.next(&driver).blob(blob.clone()).blob(blob.clone()),
            ctx.next(&driver).drop_blob(name).drop_blob(name),
        ] {
            refused("a blob named twice", ctx.a.commit(commit).await, ErrorKind::Invalid)?;
        }
        Ok(())
    })
    .await
}

async fn a_refused_commit_stores_and_drops_no_blob(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let old = ctx.create(&run).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    let (stored, new) = (Blob::of("stored"), Blob::of("new"));
    let first = stored.clone();
    ctx.commit(&mut driver, |commit| commit.blob(first)).await?;
    ctx.unchanged(&run, async {
        let late = Commit { expect: driver.version - 1, ..ctx.next(&driver) };
        let late = late.blob(new.clone()).drop_blob(stored.name);
        clashed("at an old version", ctx.a.commit(late).await, Clash::Version)?;
        let dead = Driver { version: driver.version, ..old };
        let dead = ctx.next(&dead).blob(new.clone()).drop_blob(stored.name);
        refused_as("by an older fence", ctx.a.commit(dead).await, Refusal::Fenced { current: driver.fence })
    })
    .await
}

async fn a_store_does_not_judge_names(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    for name in [Digest([0; 32]), Digest([255; 32]), Digest::of(b"the plain bytes")] {
        let sealed = Blob { name, body: "sealed by a layer".into() };
        let carried = sealed.clone();
        ctx.commit(&mut driver, |commit| commit.blob(carried)).await?;
        expect_eq("its body", ctx.b.blob(&run, &name).await?, Some(sealed.body))?;
    }
    expect_eq("how many there are", enumerated(ctx, &run).await?.len(), 3)
}

async fn each_run_has_its_own_blobs(ctx: &Context) -> Verdict {
    let (one, another) = (ctx.run("one"), ctx.run("one-more"));
    let mut first = ctx.create(&one).await?;
    let mut second = ctx.create(&another).await?;
    let blob = Blob::of("of one");
    let (name, carried) = (blob.name, blob.clone());
    ctx.commit(&mut first, |commit| commit.blob(carried)).await?;
    expect_eq("seen by the other", ctx.b.blob(&another, &name).await?, None)?;
    expect_eq("enumerated by the other", enumerated(ctx, &another).await?, vec![])?;
    let named = ctx.a.commit(ctx.next(&second).record(record(1).blob(name))).await;
    clashed("named by the other", named, Clash::MissingBlob(name))?;
    let own = Blob { name, body: "of another".into() };
    let carried = own.clone();
    ctx.commit(&mut second, |commit| commit.blob(carried)).await?;
    expect_eq("the other's", ctx.b.blob(&another, &name).await?, Some(own.body))?;
    ctx.commit(&mut second, |commit| commit.drop_blob(name)).await?;
    expect_eq("the first one's", ctx.b.blob(&one, &name).await?, Some(blob.body))
}

async fn blobs_die_with_their_run(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of("living");
    let (name, carried) = (blob.name, blob.clone());
    ctx.commit(&mut driver, |commit| commit.blob(carried)).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let mut driver = ctx.resume(&run).await?;
    ctx.complete(&mut driver).await?;
    expect_eq("after its outcome", ctx.b.blob(&run, &name).await?, Some(blob.body))?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    refused_as("of a deleted run", ctx.b.blob(&run, &name).await, Refusal::NotFound)?;
    ctx.create(&run).await?;
    expect_eq("of its next life", ctx.b.blob(&run, &name).await?, None)?;
    expect_eq("the blobs of its next life", enumerated(ctx, &run).await?, vec![])?;
    expect_eq("their size", ctx.head(&run).await?.sizes.blobs, 0)
}

async fn blobs_survive_a_trim(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of("named by a record");
    let (name, carried) = (blob.name, blob.clone());
    ctx.commit(&mut driver, |commit| {
        commit.record(record(1).blob(name)).record(record(2)).blob(carried).snapshot(Snapshot::new(1, ""))
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(2, "")).trim(1)).await?;
    expect_eq("its first record", ctx.head(&run).await?.first, 2)?;
    expect_eq("the blob", ctx.b.blob(&run, &name).await?, Some(blob.body))?;
    ctx.commit(&mut driver, |commit| commit.record(record(3).blob(name))).await.map(drop)
}

async fn many_blobs_are_enumerated_whole(ctx: &Context) -> Verdict {
    let run = ctx.run("blobs");
    let mut driver = ctx.create(&run).await?;
    let blobs: Vec<_> = (0..1_500).map(|number| Blob::of(format!("blob {number}"))).collect();
    for part in blobs.chunks(500) {
        let part = part.to_vec();
        ctx.commit(&mut driver, |commit| part.into_iter().fold(commit, Commit::blob)).await?;
    }
    expect_eq("the blobs", enumerated(ctx, &run).await?, by_name(&blobs))
}

async fn the_blobs_of_no_run_are_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    let name = Digest::of(b"x");
    refused_as("a blob", ctx.a.blob(&run, &name).await, Refusal::NotFound)?;
    refused_as("the blobs", collect(ctx.a.blobs(&run)).await, Refusal::NotFound)?;
    ctx.create(&run).await?;
    expect_eq("the blobs once it is there", enumerated(ctx, &run).await?, vec![])
}
