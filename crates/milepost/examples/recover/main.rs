//! Three workers share 50 runs, while one of them is killed again and again.
//!
//! ```sh
//! cargo run --example recover                    # in a SQLite file of its own
//! cargo run --example recover -- --store URL     # in any store that processes can share
//! ```
//!
//! Each run delivers parcels, one after another, to a receiver outside. A worker that dies leaves its runs to the others,
//! which go on with the parcel that was under way.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is an example")]

mod audit;
#[path = "../common/deadly.rs"]
mod deadly;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/receiver.rs"]
mod receiver;
mod workers;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use futures_util::TryStreamExt;
use milepost::{
    BoxError, ErrorKind, Head, Ids, Query, Run, RunId, Runner, Shutdown, Status, SystemIds, run::Settings,
    shutdown_signal,
};
use serde::{Deserialize, Serialize};

use self::{receiver::Receiver, workers::Workers};

/// Lets workers share runs, and kills them.
#[derive(Parser, Clone, Debug)]
#[command(name = "recover", max_term_width = 100)]
struct Options {
    /// Where the runs are kept [default: a SQLite file that is gone afterwards]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How many runs there are
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// How many parcels each of them delivers
    #[arg(long, default_value_t = 8)]
    parcels: u32,
    /// How many workers share them
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// How often one of them is killed
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// How long a parcel takes
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    pace: Duration,
    /// How long the runs of a worker that died on another machine stay its own
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// What the names of the runs begin with; with the same one it goes on where it was [default: a new one each time]
    #[arg(long)]
    name: Option<String>,
    /// Writes what the runs gave, as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// For the workers: the receiver's port
    #[arg(long, hide = true)]
    worker: Option<u16>,
}

/// What a run gives.
#[derive(Debug, Serialize, Deserialize)]
struct Delivered {
    receipts: Vec<String>,
}

/// What each run does.
async fn deliver(run: Run, parcels: u32, port: u16, pace: Duration) -> Result<Delivered, BoxError> {
    let mut receipts = Vec::new();
    for parcel in 1..=parcels {
        let what = format!("parcel {parcel} of {}", run.id());
        let receipt = run.effect("deliver", |effect| {
            let what = what.clone();
            async move {
                tokio::time::sleep(pace).await;
                // Under this key the receiver takes the parcel once, also if we die before we hear of it.
                receiver::ask(port, effect.key(), &what).await
            }
        });
        receipts.push(receipt.await?);
        run.note(parcel.into(), Some(parcels.into()), "parcels");
    }
    Ok(Delivered { receipts })
}

async fn connect(options: &Options, url: &str) -> Result<Runner, BoxError> {
    let store = deadly::deadly(milepost::connect(url).await?)?;
    // Few runs at once, so that there is something left to share.
    let poll = (options.ttl / 10).max(Duration::from_millis(20));
    let settings = Settings::default().ttl(options.ttl).poll(poll).concurrency(4).poison_after(1000);
    Ok(Runner::new(store).settings(settings))
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::ending(take_part(Options::parse()).await)
}

/// As the one that shows it all, or as one of its workers.
async fn take_part(options: Options) -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let own = format!("sqlite:{}/recover.db", folder.path().display());
    let url = options.store.clone().unwrap_or(own);
    match options.worker {
        Some(port) => {
            let pace = options.pace;
            let runner = connect(&options, &url).await?;
            let runner = runner.handler("deliver", move |run, parcels| deliver(run, parcels, port, pace));
            let shutdown = shutdown_signal()?;
            workers::stop_with_parent(shutdown.clone());
            runner.serve(shutdown).await;
            runner.store().close().await?;
            Ok(())
        }
        None => {
            milepost::prepare(&url).await?;
            show(&options, &url).await
        }
    }
}

async fn show(options: &Options, url: &str) -> Result<(), BoxError> {
    let Options { runs, parcels, workers, kills, .. } = *options;
    let name = options.name.clone().unwrap_or_else(|| format!("deliver-{:08x}", SystemIds.bits() as u32));
    let receiver = Receiver::default();
    let port = receiver.listen().await?;
    let runner = connect(options, url).await?;

    println!("{runs} runs are begun: {parcels} parcels each. This process only begins them.");
    begin(&runner, &name, options).await?;
    println!("{workers} workers are started. Each drives up to 4 runs at once, whatever is due.");
    let mut workers = Workers::start(options, url, port)?;
    let mut killed = 0;
    loop {
        tokio::time::sleep((options.pace * 5).max(Duration::from_millis(20))).await;
        for pid in workers.replace_the_dead()? {
            println!("  worker {pid} has died; another one is started");
        }
        let heads = heads(&runner, &name).await?;
        let count = |status| heads.iter().filter(|head| head.status() == status).count();
        let (completed, running, due) =
            (count(Status::Completed), count(Status::Running), count(Status::Interrupted));
        println!("  {completed:3} of {runs} completed, {running:3} running, {due:3} due");
        if count(Status::Failed) > 0 {
            return Err("a run has failed".into());
        }
        if completed == runs {
            break;
        }
        if killed < kills {
            let pid = workers.kill(killed)?;
            killed += 1;
            println!("  worker {pid} is killed with -9 in the middle of its work; another one is started");
        }
    }
    drop(workers);
    audit::audit(&runner, &heads(&runner, &name).await?, options, &receiver).await?;
    runner.store().close().await?;
    Ok(())
}

/// Sees to it that every run is there, and lets go of it.
async fn begin(runner: &Runner, name: &str, options: &Options) -> Result<(), BoxError> {
    // Whoever says `Shutdown` lets go of the run: it is due at once.
    let submitter =
        runner.clone().handler("deliver", |_: Run, _: u32| async { Err::<Delivered, _>(Shutdown) });
    for number in 0..options.runs {
        let run = RunId::new(format!("{name}-{number:03}"))?;
        match submitter.start(run, "deliver", &options.parcels).or_resume().await {
            Ok(handle) => drop(handle.ended().await),
            // A worker has it.
            Err(error) if error.kind() == ErrorKind::LeaseHeld => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn heads(runner: &Runner, name: &str) -> Result<Vec<Head>, BoxError> {
    let query = Query { id_prefix: Some(format!("{name}-")), ..Query::all() };
    let mut heads: Vec<Head> = runner.store().list(query).try_collect().await?;
    heads.sort_by(|one, other| one.run.cmp(&other.run));
    Ok(heads)
}
