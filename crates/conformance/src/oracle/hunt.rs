//! The hunt for a difference between a store and the model: history after history, until everything has been seen.

use std::env;

use milepost_core::{Clock, SystemClock};
use milepost_layers::Fate;

use super::{
    ahead::Ahead,
    cover::Coverage,
    draw::{Drawer, Focus},
    play::{Apart, Player, Time},
    random::Random,
    shrink::{OutOfTime, shrink},
    step::{Act, Step, Way},
};
use crate::{Context, Failure, Verdict};

/// The environment variable that gives the seed of random histories, as a failure prints it.
pub const SEED_VARIABLE: &str = "MILEPOST_SEED";

/// The environment variable that says how many random histories a case plays.
pub const ROUNDS_VARIABLE: &str = "MILEPOST_ROUNDS";

/// How many histories are played when all has been seen earlier.
const LEAST: u32 = 10;
/// How many are played for what has not been seen.
const MOST: u32 = 60;
/// How many steps a history has.
const STEPS: usize = 50;
/// Among how many steps one is looked for that shows something new ...
const CHOICE: u32 = 16;
/// ... and among how many paths, if no step does ...
const PATHS: u32 = 8;
/// ... of how many steps.
const DEPTH: usize = 4;

/// Plays histories about `focus` until every answer has been seen that the store's capabilities admit.
pub(crate) async fn hunt(ctx: &Context, focus: &Focus) -> Verdict {
    let seed = seed(ctx)?;
    let random = Random::new(seed);
    let time = Time::of(ctx).await?;
    let mut seen = Coverage::new(focus, &ctx.capabilities, matches!(time, Time::Exact));
    let rounds = number(ROUNDS_VARIABLE)?.map(|rounds| u32::try_from(rounds).unwrap_or(u32::MAX));
    let (least, most) = (rounds.unwrap_or(LEAST), rounds.unwrap_or(MOST));
    let mut plays = 0;
    for round in ctx.rounds_until_seen(most) {
        if round >= least && seen.is_complete() {
            break;
        }
        plays += 1;
        let mut steps = Vec::new();
        let mut player = Player::new(ctx, time, plays);
        let played = play(&mut player, focus, &random, &mut seen, &mut steps).await;
        player.leave().await;
        if let Err(apart) = played {
            return Err(told(ctx, time, seed, plays, steps, *apart).await);
        }
    }
    let missing: Vec<_> = seen.missing().collect();
    // Re-opened there are fewer histories, and all has been looked for without that.
    if missing.is_empty() || ctx.is_reopened() {
        return Ok(());
    }
    Err(Failure::new(
        format!("what {plays} random histories of {STEPS} steps have shown (seed {seed:#018x})"),
        "every answer that the store's capabilities admit (a slow backend needs a longer Tuning::timeout)",
        format!("never seen: {}; seen:{seen}", missing.join(" · ")),
    ))
}

/// Draws and plays a history.
async fn play(
    player: &mut Player<'_>,
    focus: &Focus,
    random: &Random,
    seen: &mut Coverage,
    steps: &mut Vec<Step>,
) -> Result<(), Box<Apart>> {
    const DONE: Way = Way::Through(Fate::Done);
    while steps.len() < STEPS {
        for step in next(player, focus, random, seen) {
            let handle = step.handle;
            steps.push(step);
            let labels = player.step(&steps[steps.len() - 1]).await?;
            seen.saw(&labels);
            if random.percent(focus.reopened) {
                steps.push(Step { handle, run: 0, nonce: 0, way: DONE, act: Act::Reopen });
                player.step(&steps[steps.len() - 1]).await?;
            }
        }
    }
    player.end().await
}

/// The next step, or the next few: most often what shows something new, if chance finds it.
fn next(player: &Player<'_>, focus: &Focus, random: &Random, seen: &Coverage) -> Vec<Step> {
    let mut ahead = player.ahead();
    let draw = |ahead: &Ahead<'_>, held: usize| {
        let (offered, exact, heads) = (player.offered(), player.is_exact(), ahead.heads());
        Drawer { random, focus, offered, exact, heads: &heads, held }.step()
    };
    let first = draw(&ahead, player.held());
    if seen.is_complete() || random.percent(25) {
        return vec![first];
    }
    for _ in 0..CHOICE {
        let step = Step { way: Way::Through(Fate::Done), ..draw(&ahead, 0) };
        if seen.is_news(&ahead.foresee(&step)) {
            return vec![step];
        }
    }
    let begin = ahead.clone();
    for _ in 0..PATHS {
        let mut path = Vec::new();
        for _ in 0..DEPTH {
            path.push(Step { way: Way::Through(Fate::Done), ..draw(&ahead, 0) });
            if seen.is_news(&ahead.step(&path[path.len() - 1])) {
                return path;
            }
        }
        ahead = begin.clone();
    }
    vec![first]
}

/// Tells a failure by the shortest history that shows it.
async fn told(
    ctx: &Context,
    time: Time,
    seed: u64,
    mut plays: u64,
    steps: Vec<Step>,
    apart: Apart,
) -> Failure {
    let (clock, enough) = (SystemClock::default(), ctx.tuning().part(4));
    let long = steps.len();
    let (steps, apart) = {
        let again = |steps: Vec<Step>| {
            plays += 1;
            let (number, late) = (plays, clock.elapsed() > enough);
            async move {
                if late {
                    return Err(OutOfTime);
                }
                Ok(replay(ctx, time, number, &steps).await.err().map(|apart| *apart))
            }
        };
        shrink(steps, apart, again).await
    };
    let lines = (1..).zip(&apart.lines).map(|(number, line)| format!("\n  {number:3}. {line}"));
    let last = apart.lines.len() + 1;
    Failure::new(
        format!(
            "a random history of {long} steps, made short: {} steps\n            (seed {seed:#018x}; to play it again, \
             set {SEED_VARIABLE}={seed:#x} and run this case with --exact){}\n  {last:3}. {}",
            steps.len(),
            lines.collect::<String>(),
            apart.asked,
        ),
        format!("the reference model answers: {}", apart.model),
        apart.store,
    )
}

/// Plays a history that is known.
async fn replay(ctx: &Context, time: Time, number: u64, steps: &[Step]) -> Result<(), Box<Apart>> {
    let mut player = Player::new(ctx, time, number);
    let played = async {
        for step in steps {
            player.step(step).await?;
        }
        player.end().await
    };
    let played = played.await;
    player.leave().await;
    played
}

/// The seed of a case: the one that is asked for, or always the same.
fn seed(ctx: &Context) -> Verdict<u64> {
    Ok(number(SEED_VARIABLE)?.unwrap_or_else(|| ctx.ids().bits() as u64))
}

/// A number from the environment, decimal or hexadecimal.
fn number(variable: &str) -> Verdict<Option<u64>> {
    let Ok(text) = env::var(variable) else { return Ok(None) };
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(Some).map_err(|_| Failure::new(variable, "a number, such as 7 or 0x2a", text))
}
