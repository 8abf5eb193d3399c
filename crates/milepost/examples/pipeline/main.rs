//! A pipeline in three phases: chapters are fetched side by side, with retries; each is read by a child run of its own; what
//! they found is published once.
//!
//! ```sh
//! cargo run --example pipeline                   # in the SQLite file runs.db
//! cargo run --example pipeline -- --store URL    # in any other store
//! ```
//!
//! Kill it at any moment, with -9 too, and start it again: it says what it skips and where it goes on.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is an example")]

#[path = "../common/deadly.rs"]
mod deadly;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/receiver.rs"]
mod receiver;
mod tell;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use milepost::{BoxError, Retry, Run, RunId, Runner, Timestamp, run::Settings};
use serde::{Deserialize, Serialize};

use self::receiver::{Receiver, ask};

/// Reads a book, chapter by chapter.
#[derive(Parser, Clone, Debug)]
#[command(name = "pipeline", max_term_width = 100)]
struct Options {
    /// Where the runs are kept
    #[arg(long, value_name = "URL", default_value = "sqlite:runs.db")]
    store: String,
    /// The name of the run: with the same one it goes on, with a new one it begins
    #[arg(long, default_value = "book")]
    name: String,
    /// How many chapters the book has
    #[arg(long, default_value_t = 6)]
    chapters: u32,
    /// How long the work on a chapter takes
    #[arg(long, default_value = "300ms", value_parser = humantime::parse_duration)]
    pace: Duration,
    /// How long the runs of a process that died on another machine stay its own
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// Writes what came out, as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// The port of a receiver that is there already
    #[arg(long)]
    receiver: Option<u16>,
}

/// What the pipeline gives.
#[derive(Debug, Serialize, Deserialize)]
struct Published {
    at: Timestamp,
    chapters: Vec<Chapter>,
    receipt: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Chapter {
    words: usize,
    longest: String,
    receipt: String,
}

/// The world outside: where it is, and how slow.
#[derive(Clone, Copy)]
struct World {
    port: u16,
    pace: Duration,
}

/// The pipeline's handler.
async fn pipeline(run: Run, chapters: u32, world: World) -> Result<Published, BoxError> {
    let texts: Vec<String> = run
        .phase("fetch", |run| async move {
            let texts = run.map(1..=chapters, 3, u32::to_string, |run, n| async move {
                // The source is shaky: every third chapter takes two attempts.
                let fetch = run.effect(format!("chapter {n}"), |effect| fetch(n, effect.attempt(), world));
                fetch.retry(Retry::times(4).base(Duration::from_millis(20))).await
            });
            texts.await
        })
        .await?;
    let chapters: Vec<Chapter> = run
        .phase("read", |run| async move {
            let numbered = texts.into_iter().zip(1u32..);
            let chapters = run.map(
                numbered,
                3,
                |(_, n)| n.to_string(),
                |run, (text, n)| async move {
                    // A run of its own: it goes on wherever it is recovered, and is asked for once.
                    run.child::<Chapter>(format!("chapter {n}"), "chapter", &(n, text)).await
                },
            );
            chapters.await
        })
        .await?;
    let at = run.now();
    let words: usize = chapters.iter().map(|chapter| chapter.words).sum();
    let receipt = run
        .phase("publish", |run| async move {
            let publish = run.effect("publish", |effect| async move {
                ask(world.port, effect.key(), &format!("publish {words} words")).await
            });
            publish.await
        })
        .await?;
    Ok(Published { at, chapters, receipt })
}

/// The handler of a chapter.
async fn chapter(run: Run, (n, text): (u32, String), world: World) -> Result<Chapter, BoxError> {
    let words = run.step("count", || async { Ok::<_, BoxError>(text.split(' ').count()) }).await?;
    let longest = run.step("longest word", || async {
        tokio::time::sleep(world.pace).await;
        let longest = text.split(' ').max_by_key(|word| word.len()).ok_or("no words")?;
        Ok::<_, BoxError>(longest.to_owned())
    });
    let longest = longest.await?;
    let file = run.effect("file", |effect| {
        let what = format!("chapter {n}: {words} words");
        async move { ask(world.port, effect.key(), &what).await }
    });
    let receipt = file.await?;
    Ok(Chapter { words, longest, receipt })
}

/// Where the chapters come from.
async fn fetch(n: u32, attempt: u32, world: World) -> Result<String, BoxError> {
    tokio::time::sleep(world.pace).await;
    if n.is_multiple_of(3) && attempt == 0 {
        return Err("the line was cut".into());
    }
    const WORDS: [&str; 7] = ["whale", "harpooneer", "sea", "Nantucket", "ship", "albatross", "oil"];
    let words = (0..20 + n).map(|word| WORDS[((n * 7 + word * word) % 7) as usize]);
    Ok(words.collect::<Vec<_>>().join(" "))
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::ending(read(Options::parse()).await)
}

async fn read(options: Options) -> Result<(), BoxError> {
    milepost::prepare(&options.store).await?;
    let store = deadly::deadly(milepost::connect(&options.store).await?)?;
    let own = Receiver::default();
    let port = match options.receiver {
        Some(port) => port,
        None => own.listen().await?,
    };
    let world = World { port, pace: options.pace };
    let settings = Settings::default().ttl(options.ttl).poison_after(1000);
    let runner = Runner::new(store)
        .settings(settings)
        .observe(tell::tell)
        .handler("pipeline", move |run, chapters| pipeline(run, chapters, world))
        .handler("chapter", move |run, input| chapter(run, input, world));

    let run = RunId::new(options.name.as_str())?;
    let published: Published = tell::patiently(&runner, &run, &options).await?;
    println!("\n{}\n", runner.tree(&run).await?);
    for (chapter, n) in published.chapters.iter().zip(1..) {
        println!("chapter {n}: {} words, the longest is {:?}", chapter.words, chapter.longest);
    }
    if options.receiver.is_none() {
        let (done, again) = own.count();
        println!("This time the receiver did {done} things, and was asked for {again} of them again.");
    }
    println!("Published: {}. Start it again, and it says the same without any work.", published.receipt);
    if let Some(file) = &options.report {
        std::fs::write(file, serde_json::to_vec_pretty(&published)?)?;
    }
    runner.store().close().await?;
    Ok(())
}
