//! What happens, in words.

use std::time::Duration;

use milepost::{BoxError, ErrorKind, RunId, Runner, run::Happened};

use crate::{Options, Published};

/// Says what happens to a run.
pub(crate) fn tell(run: &RunId, happened: &Happened) {
    let said = match happened {
        Happened::Opened { epoch: 1, .. } => "begins".into(),
        Happened::Opened { epoch, cursor } => {
            format!("goes on, as its owner number {epoch}; {cursor} records are in its log")
        }
        Happened::PhaseBegan { phase, .. } => format!("enters the phase {phase:?}"),
        Happened::PhaseSkipped { phase } => format!("has finished the phase {phase:?} before, and skips it"),
        Happened::StepBegan { step, attempt: 0 } => format!("{step}: begun"),
        Happened::StepBegan { step, attempt } => format!("{step}: tried again, attempt {}", attempt + 1),
        Happened::StepFailed { step, message, .. } => format!("{step}: failed, {message}"),
        Happened::StepDone { step, .. } => format!("{step}: done, and never done again"),
        Happened::StepReplayed { step } => format!("{step}: answered from the log"),
        Happened::Ended(ended) => format!("{ended}"),
        _ => return,
    };
    println!("  {:<26}  {said}", run.as_str());
}

/// Runs the pipeline here. If the process before this one died on a server's store, its lease has to run out first.
pub(crate) async fn patiently(
    runner: &Runner,
    run: &RunId,
    options: &Options,
) -> Result<Published, BoxError> {
    loop {
        match runner.run(run.clone(), "pipeline", &options.chapters).await {
            Err(error) if error.kind() == ErrorKind::LeaseHeld => {
                println!("  {run}  is still leased to a process that may be dead; looking again soon");
                tokio::time::sleep((options.ttl / 4).max(Duration::from_millis(20))).await;
            }
            other => return Ok(other?),
        }
    }
}
