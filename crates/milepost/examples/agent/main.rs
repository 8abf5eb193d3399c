//! An agent that calls tools, killed with -9 in the middle of a tool call, and resumed by another process.
//!
//! ```sh
//! cargo run --example agent                                 # in a SQLite file of its own, with a scripted model
//! cargo run --example agent -- --store sqlite:agent.db      # in any store that `milepost::connect` takes and processes share
//! OPENAI_API_KEY=… cargo run --example agent                # with a real model; also OPENAI_BASE_URL, OPENAI_MODEL
//! ```
//!
//! `agent.rs` is the agent. The rest is a stage for it: this file starts and kills its processes, `world.rs` is what it
//! reaches out for, `server.rs` what answers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is an example")]

mod agent;
#[path = "../common/ending.rs"]
mod ending;
mod server;
mod world;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use clap::Parser;
use milepost::{
    BoxError, ErrorKind, Ids, RunId, Runner, SystemIds,
    run::{Happened, Settings, chat::Transcript},
};

use crate::{agent::QUESTION, server::Server, world::World};

/// An agent that calls tools, killed with -9 in the middle of a tool call, and resumed by another process.
#[derive(Parser)]
struct Options {
    /// Where the run is kept: a URL as `milepost::connect` takes it; by default a SQLite file in a temporary folder.
    #[arg(long)]
    store: Option<String>,
    /// Be one of the processes: drive this run.
    #[arg(long, hide = true, requires_all = ["model", "shop", "store"])]
    drive: Option<String>,
    #[arg(long, hide = true)]
    model: Option<String>,
    #[arg(long, hide = true)]
    shop: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::ending(take_part(Options::parse()).await)
}

/// As the one that shows it all, or as one of its processes.
async fn take_part(options: Options) -> Result<(), BoxError> {
    if let (Some(run), Some(model), Some(shop), Some(url)) =
        (&options.drive, &options.model, &options.shop, &options.store)
    {
        return drive(url, RunId::new(run)?, World::new(model.clone(), shop.clone())?).await;
    }
    match options.store {
        Some(url) => {
            milepost::prepare(&url).await?;
            show(&url)
        }
        None => {
            let folder = tempfile::tempdir()?;
            show(&format!("sqlite:{}/agent.db", folder.path().display()))
        }
    }
}

/// What each process does: it begins the run, or goes on with it.
async fn drive(url: &str, run: RunId, world: World) -> Result<(), BoxError> {
    let (world, failed) = (Arc::new(world), AtomicBool::new(false));
    let runner = Runner::new(milepost::connect(url).await?)
        .settings(Settings::default().ttl(Duration::from_secs(2)))
        .observe(move |_, happened| tell(happened, &failed))
        .handler("agent", move |run, question| agent::agent(run, question, world.clone()));
    let chat: Transcript = loop {
        match runner.run(run.clone(), "agent", QUESTION).await {
            // On a server the lease of a process that was killed runs out after its time.
            Err(error) if error.kind() == ErrorKind::LeaseHeld => {
                tokio::time::sleep(Duration::from_millis(200)).await
            }
            other => break other?,
        }
    };
    println!("TRANSCRIPT {}", serde_json::to_string(&chat)?);
    Ok(())
}

/// Says what happens to the run, a line each. A step that has failed in this process is tried again; any other that had begun
/// is one that a process died of.
fn tell(happened: &Happened, failed: &AtomicBool) {
    match happened {
        Happened::Opened { epoch: 1, .. } => println!("begins the run"),
        Happened::Opened { epoch, cursor } => {
            println!("takes the run over (its owner number {epoch}) and reads its {cursor} records");
        }
        Happened::StepReplayed { step } => println!("{step}: answered from the log, not done again"),
        Happened::StepBegan { step, attempt: 0 } if step == "model" => println!("model: is asked"),
        Happened::StepBegan { step, attempt: 0 } => println!("{step}: is called"),
        Happened::StepBegan { step, attempt } if failed.swap(false, Ordering::Relaxed) => {
            println!("{step}: is tried again, attempt {attempt}, with the same key");
        }
        Happened::StepBegan { step, attempt } => {
            println!(
                "{step}: had begun, and nobody knows how it ended: attempt {attempt}, with the same key"
            );
        }
        Happened::StepDone { step, .. } => println!("{step}: done, and durable"),
        Happened::StepFailed { step, message, .. } => {
            failed.store(true, Ordering::Relaxed);
            println!("{step}: failed: {message}");
        }
        Happened::Ended(ended) => println!("the run: {ended}"),
        _ => {}
    }
}

fn show(url: &str) -> Result<(), BoxError> {
    let (silent, ordered) = mpsc::channel();
    let server = Server::start(Some(silent))?;
    let model = match env::var_os("OPENAI_API_KEY") {
        Some(_) => env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com/v1".into()),
        None => format!("{}/v1", server.address),
    };
    let run = format!("agent-{:08x}", SystemIds.bits() as u32);
    let process = || {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--store", url, "--drive", &run, "--model", &model, "--shop", &server.address]);
        command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()
    };
    println!("Run {run} asks: {QUESTION}");

    println!("\nThe first process");
    let mut first = process()?;
    let said = lines(&mut first);
    // It is in the middle of an order, or it has ended without one.
    let mut killed = false;
    while !killed && first.try_wait()?.is_none() {
        killed = ordered.recv_timeout(Duration::from_millis(50)).is_ok();
    }
    if killed {
        first.kill()?;
        first.wait()?;
    }
    said.for_each(|line| println!("  {}", shortened(&line)));
    println!(
        "{}",
        if killed {
            "  … and is killed with -9 in the middle of that call: the shop has the order."
        } else {
            "  … ordered nothing."
        }
    );

    println!("\nThe second process");
    let mut second = process()?;
    let mut transcript = None;
    for line in lines(&mut second) {
        match line.strip_prefix("TRANSCRIPT ") {
            Some(json) => transcript = Some(serde_json::from_str::<Transcript>(json)?),
            None => println!("  {line}"),
        }
    }
    if !second.wait()?.success() {
        return Err("the second process failed".into());
    }
    conclude(transcript.ok_or("the second process gave no transcript")?, &server)
}

fn conclude(mut transcript: Transcript, server: &Server) -> Result<(), BoxError> {
    println!("\nThe transcript");
    for message in transcript.iter() {
        println!("  {:9} {}", format!("{:?}", message.role).to_lowercase(), message.text());
        for call in &message.tool_calls {
            println!("  {:9} calls {}({}) as {}", "", call.name(), call.function.arguments, call.id);
        }
    }
    if !transcript.repair(|_| false).is_empty() {
        return Err("the transcript is none that a chat API takes".into());
    }
    println!("\nIt is valid: every tool call has its one answer.");
    println!("\nThe shop's orders");
    for order in server.orders().values() {
        println!("  order {}, asked for {} times: {}", order.number, order.requests.len(), order.requests[0]);
    }
    Ok(())
}

fn shortened(line: &str) -> &str {
    if line.starts_with("TRANSCRIPT ") { "it has the transcript" } else { line }
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let said = child.stdout.take().map(BufReader::new);
    said.into_iter().flat_map(|said| said.lines().map_while(Result::ok))
}
