//! Measures the budgets of the design: `cargo xtask bench` runs it and shows what is missed.
//!
//! Rates are ratios to the raw driver doing the least possible work: both sides take turns in one process, so that a
//! machine that slows down slows both, and the median of the turns' ratios is reported.

#![expect(clippy::print_stderr, reason = "it says what it is measuring")]
#![allow(missing_docs, reason = "a program")]

#[cfg(feature = "s3")]
mod objects;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod row;
mod sqlite;
mod state;
mod steps;
mod timing;

use std::{error::Error, fs, path::PathBuf};

use clap::Parser;
use row::Row;

/// Measures the budgets.
#[derive(Parser)]
struct Options {
    /// Where the rows are written, as a JSON list
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fewer turns: a glance, not a measurement
    #[arg(long)]
    quick: bool,
    /// Only these; all, if none is named
    #[arg(long, value_parser = ["sqlite", "postgres", "redis", "objects", "states", "steps"])]
    only: Vec<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let turns = if options.quick { 3 } else { 9 };
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut rows: Vec<Row> = Vec::new();
    let many = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wanted("sqlite") {
        eprintln!("SQLite against its raw driver, {turns} turns …");
        rows.extend(many.block_on(many.spawn(sqlite::rows(turns)))?.map_err(|error| error.to_string())?);
    }
    #[cfg(feature = "postgres")]
    if wanted("postgres") {
        eprintln!("PostgreSQL against raw INSERTs, {turns} turns …");
        rows.extend(many.block_on(many.spawn(postgres::rows(turns)))?.map_err(|error| error.to_string())?);
    }
    #[cfg(feature = "redis")]
    if wanted("redis") {
        eprintln!("Redis against a raw script, {turns} turns …");
        rows.extend(many.block_on(many.spawn(redis::rows(turns)))?.map_err(|error| error.to_string())?);
    }
    #[cfg(feature = "s3")]
    if wanted("objects") {
        eprintln!("an object store by its requests, and a folder against raw files, {turns} turns …");
        rows.extend(many.block_on(many.spawn(objects::rows(turns)))?.map_err(|error| error.to_string())?);
    }
    drop(many);
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if wanted("states") {
        eprintln!("states: growth, scattered edits, resume …");
        rows.extend(one.block_on(state::rows(options.quick))?);
    }
    if wanted("steps") {
        eprintln!("the run loop, {turns} turns …");
        rows.extend(one.block_on(steps::rows(turns))?);
    }
    let json = serde_json::to_string_pretty(&rows)?;
    match options.json {
        Some(file) => fs::write(file, json)?,
        None => eprintln!("{json}"),
    }
    Ok(())
}
