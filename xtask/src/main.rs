//! `cargo xtask`: the automation of this workspace.
//!
//! Every command is a file: [`test_all`] runs the steps of [`steps`], [`matrix`] keeps the README's table,
//! [`mod@bench`] renders the budgets. All of them start other programs through [`command`], which leaves nothing behind.

mod against;
mod bench;
mod command;
mod conformance;
mod console;
mod interrupt;
mod matrix;
mod package;
mod programs;
mod report;
mod servers;
mod steps;
mod stopwatch;
mod summary;
mod tally;
mod test_all;
mod up;
mod words;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use console::Console;

/// The automation of the Milepost workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove everything: format, lints, tests, documentation, conformance of every backend, packages
    TestAll(test_all::Args),
    /// Run the conformance kit against whatever a URL names
    Conformance(against::Args),
    /// Write the README's capability matrix from what the conformance kit reports
    Matrix(matrix::Args),
    /// Start servers to test against, print their URLs, and stop them at Ctrl-C
    Up {
        /// Which ones; all of the usual ones, if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Measure the budgets beside the raw drivers and flag those that are missed
    Bench {
        /// Write the rows to this file, as a JSON list of {backend, row, value, unit, floor, ratio}
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Fewer repetitions: to see that it works, not for figures to quote
        #[arg(long)]
        quick: bool,
        /// Measure only this: sqlite, postgres, redis, objects, states or steps; may be given more than once
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new();
    match run(cli, &console) {
        Ok(_) if interrupt::requested() => ExitCode::from(130),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console.error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command; `false` says that it ran and found something wrong.
fn run(cli: Cli, console: &Console) -> anyhow::Result<bool> {
    interrupt::install()?;
    match cli.command {
        None => {
            console.line(&Cli::command().render_help().to_string());
            Ok(true)
        }
        Some(Command::TestAll(args)) => test_all::run(console, &args),
        Some(Command::Conformance(args)) => against::run(console, &args),
        Some(Command::Matrix(args)) => matrix::run(console, &args),
        Some(Command::Up { names }) => up::run(console, &names),
        Some(Command::Bench { json, quick, only }) => bench::run(console, json.as_deref(), quick, &only),
    }
}
