//! Stored parts that are gone.

use super::*;

cases! { corruption:
    /// A stored part that is gone is `Corrupt`, or the whole run is `NotFound`: never less data.
    a_part_that_is_gone_is_told [removal] once "each reading has a handle of its own already",
    /// A resume of a run of which a part is gone gives the newest state or an error: never an older state, never none.
    a_resume_without_a_part_is_true_or_told [removal] once "each reading has a handle of its own already",
}

/// Removes from `run` the part at `place` of its list; what it was.
async fn removed(ctx: &Context, run: &RunId, place: usize) -> Verdict<Option<Part>> {
    let Some(part) = guarded(ctx, run).await?.into_iter().nth(place) else { return Ok(None) };
    ctx.remove(&part).await?;
    let left = ctx.parts(run).await?;
    expect("a part that was removed is not listed", !left.contains(&part), (&part, left.len()))?;
    Ok(Some(part))
}

/// For as long as a run has one more part, and the case has time: how many there were is known then.
const MOST: u32 = 100;

async fn a_part_that_is_gone_is_told(ctx: &Context) -> Verdict {
    let mut told = 0;
    for place in ctx.rounds(MOST) {
        let run = ctx.run(&format!("without-{place}"));
        let furnished = furnished(ctx, &run).await?;
        let Some(part) = removed(ctx, &run, place as usize).await? else { break };
        let store = ctx.connect_anew().await?;
        if read(&*store, &furnished, &format!("{} removed", part.name)).await? == Read::Told {
            told += 1;
        }
        store.close().await?;
    }
    let what = "how many of the parts that are gone were told; none, if the hook removes nothing that the store reads";
    expect(what, told > 0, told)
}

async fn a_resume_without_a_part_is_true_or_told(ctx: &Context) -> Verdict {
    let mut told = 0;
    for place in ctx.rounds(MOST) {
        let run = ctx.run(&format!("without-{place}"));
        let newest = checkpointed(ctx, &run).await?;
        let Some(part) = removed(ctx, &run, place as usize).await? else { break };
        let store = ctx.connect_anew().await?;
        if resumed(&*store, &run, newest, &format!("{} removed", part.name)).await? == Read::Told {
            told += 1;
        }
        store.close().await?;
    }
    let what = "how many of the parts that are gone were told; none, if the hook removes nothing that the store reads";
    expect(what, told > 0, told)
}
