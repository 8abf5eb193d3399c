//! A durable index of a folder of source code.
//!
//! ```text
//! cargo run --release --example index -- [FOLDER]
//! ```
//!
//! A long job on real input, as a program that uses Milepost would be written: it scans a folder, digests every
//! file and reports what it found, and it can be killed at any moment and started again without doing acknowledged
//! work twice. The job is a value and a loop: [`state`] says what is to be done next and takes what was done,
//! [`job`] does it, and between the two stands [`checkpoints`], the only module that knows of durability.

mod checkpoints;
mod console;
mod digest;
mod folder;
mod job;
mod journal;
mod language;
mod options;
mod path;
mod pipeline;
mod progress;
mod render;
mod report;
mod scan;
mod state;
mod stop;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::job::Ended;
use crate::options::Options;
use crate::stop::Stop;

#[tokio::main]
async fn main() -> ExitCode {
    match index(&Options::parse()).await {
        Ok(Ended::Reported) => ExitCode::SUCCESS,
        Ok(Ended::Stopped(signal)) => ExitCode::from(signal.exit_code()),
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn index(options: &Options) -> Result<Ended> {
    let stop = Stop::listen().context("cannot listen for signals")?;
    job::run(options, stop).await
}
