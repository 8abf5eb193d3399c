//! The job from its beginning to its end: what comes after what.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use indicatif::{HumanBytes, HumanCount};
use tokio::task::spawn_blocking;

use crate::checkpoints::{Begun, Checkpoints};
use crate::console::{self, Look};
use crate::folder;
use crate::journal::Journal;
use crate::options::Options;
use crate::pipeline::Workers;
use crate::progress::Progress;
use crate::render::render;
use crate::report::Report;
use crate::scan::scan;
use crate::state::{Next, State, Work};
use crate::stop::{Signal, Stop};

/// How the job ended, if not with an error.
#[derive(Debug)]
pub(crate) enum Ended {
    Reported,
    /// It was asked to stop, and can be started again.
    Stopped(Signal),
}

/// Does what is left of the job and says what came out.
///
/// # Errors
///
/// What keeps the job from its work: no folder, no store, no place for the report. A file that cannot be read does
/// not; it is part of the report.
pub(crate) async fn run(options: &Options, mut stop: Stop) -> Result<Ended> {
    let root = folder::resolve(options.folder.as_deref())?;
    check_report_place(options.report.as_deref())?;
    let journal = Arc::new(open_journal(options.journal.as_deref())?);
    console::note(&format!("indexing {}", root.display()));
    let mut checkpoints = match Checkpoints::begin(options, &root, Arc::clone(&journal), &mut stop).await? {
        Begun::Driving(checkpoints) => checkpoints,
        Begun::Finished(report) => return present(&report, options),
        Begun::Stopped(signal) => {
            console::note("stopped while it waited for the run");
            return Ok(Ended::Stopped(signal));
        }
    };
    loop {
        let stopped = match checkpoints.state().next() {
            Next::Scan => scan_folder(&mut checkpoints, &root, options.ours(), &mut stop).await?,
            Next::Digest { first } => {
                digest_files(&mut checkpoints, &root, first, &journal, &mut stop).await?
            }
            Next::Report => break,
        };
        if let Some(signal) = stopped {
            let (done, all) = (checkpoints.state().done(), checkpoints.state().found().files.len());
            checkpoints.release().await?;
            console::note(&match all {
                0 => "stopped before the scan was done".to_owned(),
                _ => format!(
                    "stopped: {} of {} files are done",
                    HumanCount(done as u64),
                    HumanCount(all as u64)
                ),
            });
            return Ok(Ended::Stopped(signal));
        }
    }
    let report = Report::of(checkpoints.state());
    checkpoints.complete(&report).await?;
    present(&report, options)
}

/// Phase one. A scan that is stopped leaves nothing behind.
async fn scan_folder(
    checkpoints: &mut Checkpoints,
    root: &Path,
    ours: Vec<PathBuf>,
    stop: &mut Stop,
) -> Result<Option<Signal>> {
    let progress = Progress::scan();
    let scanning = {
        let (root, stop, progress) = (root.to_owned(), stop.clone(), progress.clone());
        move || {
            scan(&root, &ours, |files| {
                progress.files(files);
                stop.asked().is_none()
            })
        }
    };
    let found = spawn_blocking(scanning).await?;
    let took = progress.finish();
    let Some(found) = found else { return Ok(Some(stop.wait().await)) };
    let (files, bytes) = (found.files.len(), found.files.iter().map(|file| file.length).sum());
    checkpoints.update(|state| state.record(Work::Scanned(found))).await?;
    say("scanned", files, bytes, took);
    Ok(None)
}

/// Phase two, from the file at `first` on.
async fn digest_files(
    checkpoints: &mut Checkpoints,
    root: &Path,
    first: usize,
    journal: &Arc<Journal>,
    stop: &mut Stop,
) -> Result<Option<Signal>> {
    let files = Arc::clone(&checkpoints.state().found().files);
    let done: u64 = files[..first].iter().map(|file| file.length).sum();
    let left: u64 = files[first..].iter().map(|file| file.length).sum();
    let progress = Progress::digest(files.len(), done + left, done);
    progress.files(first);
    let all = files.len();
    let workers = Workers {
        root: root.to_owned(),
        files,
        journal: Arc::clone(journal),
        progress: progress.clone(),
        stop: stop.clone(),
    };
    let outcome = record_all(checkpoints, workers, first, &progress, stop).await;
    let took = progress.finish();
    let stopped = outcome?;
    if stopped.is_none() {
        say("digested", all - first, left, took);
    }
    Ok(stopped)
}

/// Puts the results into the state as they come, until there are no more or the job is asked to stop.
async fn record_all(
    checkpoints: &mut Checkpoints,
    workers: Workers,
    first: usize,
    progress: &Progress,
    stop: &mut Stop,
) -> Result<Option<Signal>> {
    let mut results = pin!(workers.start(first));
    loop {
        let result = tokio::select! {
            biased;
            signal = stop.wait() => return Ok(Some(signal)),
            result = results.next() => result,
        };
        match result {
            Some(work) => {
                let work = work.context("cannot write the journal")?;
                checkpoints.update(|state: &mut State| state.record(work)).await?;
                progress.files(checkpoints.state().done());
            }
            // The workers have seen the signal before this loop did.
            None => return Ok(stop.asked()),
        }
    }
}

fn say(what: &str, files: usize, bytes: u64, took: Duration) {
    let noun = if files == 1 { "file" } else { "files" };
    let files = HumanCount(files as u64);
    let took = match took.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    };
    console::note(&format!("{what} {files} {noun}, {}, in {took}", HumanBytes(bytes)));
}

/// Prints the report and writes it where it was asked for.
fn present(report: &Report, options: &Options) -> Result<Ended> {
    if let Some(file) = &options.report {
        report.write(file).with_context(|| format!("cannot write the report to {}", file.display()))?;
    }
    console::note("");
    console::print(&render(report, Look::of_stdout())).context("cannot print the report")?;
    if let Some(file) = &options.report {
        console::note(&format!("\nthe report is in {}", file.display()));
    }
    Ok(Ended::Reported)
}

fn open_journal(file: Option<&Path>) -> Result<Journal> {
    let named = || format!("cannot open the journal {}", file.unwrap_or(Path::new("")).display());
    Journal::open(file).with_context(named)
}

/// Better now than after an hour of work.
fn check_report_place(report: Option<&Path>) -> Result<()> {
    let Some(report) = report else { return Ok(()) };
    ensure!(!report.is_dir(), "cannot write the report to {}: it is a folder", report.display());
    let folder = match report.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    ensure!(folder.is_dir(), "cannot write the report to {}: its folder does not exist", report.display());
    Ok(())
}
