//! Stored bytes that have changed.

use super::*;

cases! { corruption:
    /// A stored byte that has changed is `Corrupt`, or harmless: never other data, and never less.
    a_changed_byte_is_told_or_harmless [flip] once "each reading has a handle of its own already",
    /// A resume from bytes that have changed gives the newest state or an error: never an older state.
    a_resume_from_changed_bytes_is_true_or_told [flip] once "each reading has a handle of its own already",
}

/// How many bytes are tried, where the backend is quick enough.
const FLIPS: u32 = 700;
/// In a larger part so many bytes are tried, evenly spread.
const SAMPLES: u64 = 96;
/// So many are read with one handle.
const A_HANDLE: u32 = 16;

/// Which bytes of which parts: first one of each, then another of each, so that a slow backend has tried a bit of all.
fn places(parts: &[Part]) -> impl Iterator<Item = (&Part, u64)> {
    let most = parts.iter().map(|part| part.size.min(SAMPLES)).max().unwrap_or(0);
    (0..most).flat_map(move |turn| {
        parts.iter().filter_map(move |part| {
            let samples = part.size.min(SAMPLES);
            // Not from the beginning on, but all over the part.
            let turn = (turn * 37 + 11) % SAMPLES;
            (turn < samples).then(|| (part, turn * part.size / samples))
        })
    })
}

/// Flips byte after byte of `run`, reads by `read`, and flips it back.
async fn flipped<R>(
    ctx: &Context,
    run: &RunId,
    read: impl Fn(std::sync::Arc<dyn Store>, String) -> R,
) -> Verdict
where
    R: Future<Output = Verdict<Read>>,
{
    let parts = guarded(ctx, run).await?;
    let (mut held, mut told) = (0, 0);
    let mut store = ctx.connect_anew().await?;
    for (round, (part, byte)) in ctx.rounds(FLIPS).zip(places(&parts)) {
        if !ctx.flip(part, byte).await? {
            continue;
        }
        if round % A_HANDLE == 0 {
            store.close().await?;
            store = ctx.connect_anew().await?;
        }
        held += 1;
        let damage = format!("byte {byte} of {} of {} changed", part.size, part.name);
        if read(store.clone(), damage).await? == Read::Told {
            told += 1;
        }
        expect("what was flipped is flipped back", ctx.flip(part, byte).await?, part)?;
    }
    store.close().await?;
    let what =
        "how many of the changed bytes were told; none, if the hook changes nothing that the store reads";
    expect(what, held > 0 && told > 0, format!("{told} of {held}"))
}

async fn a_changed_byte_is_told_or_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("flipped");
    let furnished = furnished(ctx, &run).await?;
    let furnished = &furnished;
    flipped(ctx, &run, |store, damage| async move { read(&*store, furnished, &damage).await }).await?;
    let store = ctx.connect_anew().await?;
    let undone = read(&*store, furnished, "all bytes as they were").await?;
    store.close().await?;
    expect_eq("what is read when every byte is as it was", undone, Read::True)
}

async fn a_resume_from_changed_bytes_is_true_or_told(ctx: &Context) -> Verdict {
    let run = &ctx.run("resumed");
    let newest = checkpointed(ctx, run).await?;
    flipped(ctx, run, |store, damage| async move { resumed(&*store, run, newest, &damage).await }).await?;
    expect_eq(
        "the state when every byte is as it was",
        resumed(&*ctx.b, run, newest, "all bytes as they were").await?,
        Read::True,
    )
}
