//! What the run loop costs by itself: on a store that costs next to nothing.

use std::error::Error;

use milepost::{BoxError, MemoryStore, Run, RunId, Runner};

use crate::{
    row::Row,
    timing::{median, now},
};

const STEPS: u32 = 10_000;

/// Steps that do nothing, one after another: each is two commits.
async fn steps(run: Run, steps: u32) -> Result<u32, BoxError> {
    let mut sum = 0u32;
    for n in 0..steps {
        sum = sum.wrapping_add(run.step("step", || async { Ok::<_, BoxError>(n) }).await?);
    }
    Ok(sum)
}

/// Median of several runs; the first one warms up.
pub(crate) async fn rows(turns: usize) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for turn in 0..=turns {
        let runner = Runner::new(MemoryStore::new()).handler("steps", steps);
        let began = now();
        runner.run::<_, u32>(RunId::from_static("bench"), "steps", &STEPS).await?;
        if turn > 0 {
            figures.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(STEPS));
        }
    }
    Ok(vec![Row::figure("memory", "a step of the run loop", median(figures), "µs").budget("<= 20")])
}
