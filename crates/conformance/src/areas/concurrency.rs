//! Many at once: nothing lost, nothing twice, and one order that explains every answer.

pub(crate) mod lasting;
pub(crate) mod linear;
pub(crate) mod many;
pub(crate) mod outsiders;
pub(crate) mod owners;

use std::fmt::Debug;

use super::prelude::*;
use crate::duel::Bout;

/// As what two writes that meet find their run.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// Nobody has created it.
    Unknown,
    /// Under a live lease.
    Driven,
    /// Let go of, and due.
    Due,
    /// Failed.
    Failed,
    /// Under a live lease, with a message in its inbox.
    Told,
}

impl Before {
    async fn stand(self, ctx: &Context, run: RunId) -> Verdict<Driver> {
        if let Before::Unknown = self {
            let nobody = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
            return Ok(Driver { run, fence: nobody, version: 0, cursor: 0 });
        }
        let mut driver = ctx.create(&run).await?;
        match self {
            Before::Due => {
                ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
            }
            Before::Failed => {
                let failure = Failure::new(FailureKind::Error, "no");
                let outcome = Outcome::Failed { failure };
                ctx.commit(&mut driver, |commit| commit.finish(outcome, Retain::Keep)).await?;
            }
            Before::Told => {
                ctx.a.send(&run, ctx.message("told", "before")).await?;
            }
            Before::Unknown | Before::Driven => {}
        }
        Ok(driver)
    }
}

/// How many bouts are fought before it is known how long they take.
const FEW: u32 = 16;
/// How many are fought at most where a write takes longer than this: the longer it takes, the more room there is in it.
const LESS: (u32, Duration) = (64, Duration::from_micros(100));

/// Lets two writes of one run meet in many bouts, each on a run of its own, for a small part of the case's time; `judge`
/// gets the two answers and what stands then.
async fn meet<L, R>(
    ctx: &Context,
    before: Before,
    bout: impl Fn(&Driver) -> Bout<L, R>,
    judge: impl Fn(&Driver, Result<&L>, Result<&R>, &Image) -> Verdict,
) -> Verdict
where
    L: Debug + Send + 'static,
    R: Debug + Send + 'static,
{
    let (clock, enough) = (SystemClock::default(), ctx.tuning().part(40));
    let (mut fought, mut next) = (0, FEW);
    while next > 0 {
        let (mut drivers, mut bouts) = (Vec::new(), Vec::new());
        for number in fought..fought + next {
            let driver = before.stand(ctx, ctx.run(&format!("met{number}"))).await?;
            bouts.push(bout(&driver));
            drivers.push(driver);
        }
        let (answers, least) = ctx.duel(bouts).await?;
        for (driver, answers) in drivers.into_iter().zip(answers) {
            let stands = image(&*ctx.untraced[1], &driver.run).await?;
            let (left, right) = (answers.0.as_ref(), answers.1.as_ref());
            let judged = judge(&driver, left.map_err(Error::repeat), right.map_err(Error::repeat), &stands);
            judged.inspect_err(|_| ctx.tell_bout(&driver.run, &answers))?;
            if stands.head.is_none() {
                begins_anew(ctx, &driver.run).await?;
            }
        }
        fought += next;
        // As many as the rest of the time allows, in a row: two threads that have found a processor each should keep it.
        let one = clock.elapsed() / fought;
        let left = enough.saturating_sub(clock.elapsed()).as_nanos() / one.as_nanos().max(1);
        let rounds = ctx.tuning().rounds / 3 * 2;
        let most = if least > LESS.1 { rounds.min(LESS.0) } else { rounds }.saturating_sub(fought);
        next = u32::try_from(left).unwrap_or(most).min(most);
    }
    Ok(())
}

/// A run that was deleted has left nothing to the next one of its name.
async fn begins_anew(ctx: &Context, run: &RunId) -> Verdict {
    let new = ctx.create(run).await?;
    expect_eq("version and cursor of a new life", (new.version, new.cursor), (1, 0))?;
    let Image { head: _, records, snapshots, messages, blobs } = image(&*ctx.untraced[0], run).await?;
    let left = records.len() + snapshots.len() + messages.len() + blobs.len();
    expect_eq("what a new life finds of the old one", left, 0)
}

/// What must be there once a bout is over.
#[track_caller]
fn head(image: &Image) -> Verdict<&Head> {
    image.head.as_ref().ok_or_else(|| crate::Failure::new("the run after the bout", "a head", "None"))
}
