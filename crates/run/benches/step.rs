//! What a step costs on a store that costs next to nothing: `cargo bench -p milepost-run`.

#![expect(clippy::print_stdout, reason = "it is a benchmark")]

use std::time::Duration;

use milepost_core::{Clock, RunId, SystemClock};
use milepost_run::{BoxError, Run, Runner};
use milepost_store_memory::MemoryStore;

const STEPS: u32 = 10_000;

async fn steps(run: Run, steps: u32) -> Result<u32, BoxError> {
    let mut sum = 0u32;
    for n in 0..steps {
        sum = sum.wrapping_add(run.step("step", || async { Ok::<_, BoxError>(n) }).await?);
    }
    Ok(sum)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let clock = SystemClock::default();
    for round in 0..3 {
        let store = MemoryStore::new();
        let runner = Runner::new(store).handler("steps", steps);
        let run = RunId::from_static("bench");
        let began = clock.elapsed();
        let output = runtime
            .block_on(async { runner.run::<_, u32>(run.clone(), "steps", &STEPS).await.expect("it runs") });
        let took = clock.elapsed() - began;
        println!("round {round}: {STEPS} steps, {:.2} µs a step (sum {output})", per_step(took));
    }
}

fn per_step(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(STEPS)
}
