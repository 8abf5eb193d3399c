//! Three workers share 50 runs, while one of them is killed again and again.
//!
//! ```sh
//! cargo run --example recover              # in a SQLite file of its own
//! cargo run --example recover -- URL       # in any store that `milepost::connect` takes and processes can share
//! ```

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::{
    collections::HashMap,
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::TryStreamExt;
use milepost::{
    BoxError, Head, Ids, Query, Run, RunId, Runner, Span, Status, Store, SystemIds, run::Settings,
    shutdown_signal,
};
use tokio::time::sleep;

const RUNS: usize = 50;
const STEPS: u32 = 8;
const WORKERS: usize = 3;

/// What each run does: eight parcels, one after another, each a step of a tenth of a second.
async fn deliver(run: Run, parcels: u32) -> Result<u32, BoxError> {
    let mut delivered = 0;
    for _ in 0..parcels {
        delivered += run
            .step("deliver", || async {
                sleep(Duration::from_millis(100)).await;
                Ok::<_, BoxError>(1)
            })
            .await?;
        run.note(delivered.into(), Some(parcels.into()), "parcels");
    }
    Ok(delivered)
}

async fn runner(url: &str) -> Result<Runner, BoxError> {
    let store = milepost::connect(url).await?;
    // Short leases, so that on a server, too, the runs of a dead worker are soon due. Few runs at once, so that there is
    // something left to share.
    let settings =
        Settings::default().ttl(Duration::from_secs(2)).poll(Duration::from_millis(200)).concurrency(6);
    Ok(Runner::new(store).settings(settings).handler("deliver", deliver))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--worker", url] => {
            runner(url).await?.serve(shutdown_signal()?).await;
            Ok(())
        }
        [url] => {
            milepost::prepare(url).await?;
            show(url).await
        }
        _ => {
            let folder = tempfile::tempdir()?;
            show(&format!("sqlite:{}/recover.db", folder.path().display())).await
        }
    }
}

fn worker(url: &str) -> Result<Child, BoxError> {
    let me = env::current_exe()?;
    Ok(Command::new(me).args(["--worker", url]).stdin(Stdio::null()).spawn()?)
}

async fn show(url: &str) -> Result<(), BoxError> {
    // A prefix of its own, so that runs of an earlier time are not counted.
    let prefix = format!("deliver-{:08x}-", SystemIds.bits() as u32);
    let runner = runner(url).await?;
    println!("{WORKERS} workers are started; each drives up to 6 runs at once, whatever is due.");
    let mut workers = (0..WORKERS).map(|_| worker(url)).collect::<Result<Vec<_>, _>>()?;
    println!("{RUNS} runs of {STEPS} steps are begun, and left to them.");
    let submitter = runner.clone();
    for number in 0..RUNS {
        submitter.start(RunId::new(format!("{prefix}{number:02}"))?, "deliver", &STEPS).await?;
    }
    // This process lets go of them all: whoever comes first takes them over.
    submitter.stop().await;

    let mut kills = 0;
    loop {
        sleep(Duration::from_millis(500)).await;
        let heads = heads(&runner, &prefix).await?;
        let count = |status| heads.iter().filter(|head| head.status() == status).count();
        println!(
            "  {:2} of {RUNS} completed, {:2} running, {:2} due",
            count(Status::Completed),
            count(Status::Running),
            count(Status::Interrupted)
        );
        if count(Status::Completed) == RUNS {
            break;
        }
        if kills < 10 {
            let victim = kills % WORKERS;
            let pid = workers[victim].id();
            workers[victim].kill()?;
            workers[victim].wait()?;
            workers[victim] = worker(url)?;
            kills += 1;
            println!("  worker {pid} is killed with -9 in the middle of its work; another one is started");
        }
    }
    for worker in &mut workers {
        worker.kill()?;
        worker.wait()?;
    }
    audit(&runner, &prefix, kills).await
}

async fn heads(runner: &Runner, prefix: &str) -> Result<Vec<Head>, BoxError> {
    let query = Query { id_prefix: Some(prefix.into()), ..Query::all() };
    Ok(runner.store().list(query).try_collect().await?)
}

/// Reads every log, and counts.
async fn audit(runner: &Runner, prefix: &str, kills: usize) -> Result<(), BoxError> {
    let (mut takeovers, mut repeated) = (0, 0);
    for head in heads(runner, prefix).await? {
        takeovers += head.fence.epoch - 1;
        let (mut epoch, mut began) = (0, HashMap::<String, u32>::new());
        let mut records = runner.store().stream(&head.run, Span::all());
        while let Some(record) = records.try_next().await? {
            let body: serde_json::Value = serde_json::from_slice(&record.body)?;
            let writer = body["epoch"].as_u64().unwrap_or_default();
            assert!(writer >= epoch, "run {}: an older owner wrote after a newer one", head.run);
            epoch = writer;
            let event = &body["event"];
            let at = |event: &serde_json::Value| event["at"].as_str().unwrap_or_default().to_owned();
            if event["step-began"].is_object() {
                *began.entry(at(&event["step-began"])).or_default() += 1;
            } else if event["step-done"].is_object() {
                // A step that is begun after it was done would be missing here.
                repeated += began.remove(&at(&event["step-done"])).unwrap_or_default() - 1;
            }
        }
        assert!(began.is_empty(), "run {}: a finished step was begun again", head.run);
        assert_eq!(runner.output::<u32>(&head.run).await?, STEPS);
    }
    println!("All {RUNS} runs have completed, after {kills} kills and {takeovers} takeovers.");
    println!(
        "No finished step ran again, and no two workers drove one run: the epochs in every log only grow."
    );
    println!("{repeated} steps were under way when their worker died, and were tried again by another.");
    Ok(())
}
