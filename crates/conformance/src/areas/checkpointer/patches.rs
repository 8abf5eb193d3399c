//! Differences: what is read is what was saved, and what is stored is what has changed.

use super::*;

cases! { checkpointer:
    /// Random edits of random states: what is read at every cut equals what was saved there.
    random_edits_read_back_at_every_cut [Log],
    /// The same over resumes: the next handle goes on patching what the last one has stored.
    random_edits_over_resumes [],
    /// A small edit of a large state is stored small.
    a_small_edit_of_a_large_state_is_stored_small [Log],
    /// A run whose state grows is stored in what it has grown by, and resumed from it.
    a_growing_state_is_stored_linearly [Log],
}

/// An edit as programs make them, of up to a quarter of the state.
fn edit(dice: &Dice<'_>, state: &mut Vec<u8>) {
    let at = dice.below(state.len() + 1);
    let span = dice.below(state.len() / 4 + 16);
    let end = (at + span).min(state.len());
    match dice.below(9) {
        0 => drop(state.splice(at..at, dice.bytes(span))),
        1 => drop(state.drain(at..end)),
        2 => drop(state.splice(at..end, dice.bytes(end - at))),
        3 => state.extend(dice.bytes(span)),
        4 => state.truncate(at),
        5 => state.rotate_left(at),
        6 => state[at..end].fill(0),
        7 => {
            let copy = state[at..end].to_vec();
            state.extend(copy);
        }
        _ => *state = dice.bytes(dice.below(4096)),
    }
    state.truncate(room(dice.0, 64 << 10));
}

/// With snapshots among the records, so that cuts are read from both.
fn mixed(ctx: &Context, store: impl Store) -> Checkpoints {
    over(ctx, store)
        .snapshots(SnapshotPolicy::AfterRecords(std::num::NonZeroU64::new(5).expect("is not zero")))
}

async fn random_edits_read_back_at_every_cut(ctx: &Context) -> Verdict {
    let dice = Dice(ctx);
    for round in ctx.rounds(12) {
        let run = ctx.run(&format!("round-{round}"));
        let mut handle = started(mixed(ctx, ctx.a.clone()).begin_state(begin(&run), Vec::new).await?)?;
        let mut expected: Vec<Option<Vec<u8>>> = vec![None];
        let first = dice.bytes(dice.below(room(ctx, 8192)));
        handle.update(|state| *state = first).await?;
        expected.push(Some(handle.state().clone()));
        for _ in 0..14 {
            if let Saved::Persisted { .. } = handle.update(|state| edit(&dice, state)).await? {
                expected.push(Some(handle.state().clone()));
            }
        }
        expect_eq("the cursor", handle.cursor(), expected.len() as u64 - 1)?;
        for (cut, saved) in (0..).zip(&expected) {
            let read: Option<Vec<u8>> = state_at(&*ctx.b, &run, Some(cut), Compact).await?;
            let sizes = (saved.as_ref().map(Vec::len), read.as_ref().map(Vec::len));
            expect(&format!("the state at {cut} is what was saved"), read == *saved, sizes)?;
        }
        expect_eq("what verify says", verify(&*ctx.b, &run, Compact).await?, handle.cursor())?;
    }
    Ok(())
}

async fn random_edits_over_resumes(ctx: &Context) -> Verdict {
    let (run, dice) = (ctx.run("run"), Dice(ctx));
    let mut expected = Vec::new();
    for round in ctx.rounds(10) {
        let store = if round % 2 == 0 { &ctx.a } else { &ctx.b };
        let mut handle = started(mixed(ctx, store.clone()).begin_state(begin(&run), Vec::new).await?)?;
        let sizes = (handle.state().len(), expected.len());
        expect("it starts from the newest state", *handle.state() == expected, sizes)?;
        for _ in 0..3 {
            handle.update(|state| edit(&dice, state)).await?;
        }
        expected = handle.state().clone();
        handle.release(Wake::now()).await?;
    }
    let stored: Option<Vec<u8>> = state_at(&*ctx.b, &run, None, Compact).await?;
    expect("the newest state is there", stored.as_ref() == Some(&expected), expected.len())
}

async fn a_small_edit_of_a_large_state_is_stored_small(ctx: &Context) -> Verdict {
    let (run, dice) = (ctx.run("run"), Dice(ctx));
    let mut handle =
        started(checkpoints(ctx).begin_state(begin(&run), || dice.bytes(room(ctx, 256 << 10))).await?)?;
    handle.flush().await?;
    for _ in 0..5 {
        let before = ctx.head(&run).await?.sizes;
        let at = dice.below(handle.state().len());
        handle.update(|state| state[at] ^= 0x55).await?;
        handle.update(|state| drop(state.splice(at..at, *b"inserted"))).await?;
        let after = ctx.head(&run).await?.sizes;
        let grown = after.records - before.records;
        expect("two small edits take less than 512 bytes", grown < 512, (before, after))?;
        expect_eq("the bytes of snapshots", after.snapshots, before.snapshots)?;
    }
    let stored: Option<Vec<u8>> = state_at(&*ctx.b, &run, None, Compact).await?;
    expect("the newest state is there", stored.as_ref() == Some(handle.state()), handle.cursor())
}

async fn a_growing_state_is_stored_linearly(ctx: &Context) -> Verdict {
    const SAVES: u64 = 48;
    let bytes = room(ctx, 192 << 10) as u64 / SAVES;
    let (run, dice) = (ctx.run("run"), Dice(ctx));
    let mut handle = started(checkpoints(ctx).begin_state(begin(&run), Vec::<u8>::new).await?)?;
    for _ in 0..SAVES {
        handle.update(|state| state.extend(dice.bytes(bytes as usize))).await?;
    }
    let sizes = ctx.head(&run).await?.sizes;
    let grown = SAVES * bytes;
    expect("the records take what the state has grown by", sizes.records < grown + SAVES * 200, sizes)?;
    expect("the snapshots take no more than the records", sizes.snapshots <= sizes.records, sizes)?;
    let last = handle.state().clone();
    handle.release(Wake::now()).await?;
    let handle = started(over(ctx, ctx.b.clone()).begin_state(begin(&run), Vec::<u8>::new).await?)?;
    expect("a resume starts from the newest state", *handle.state() == last, handle.cursor())
}
