//! The store over a local folder, held to the contract.

mod run;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use milepost_conformance::{Part, Scope, Tuning, harness};
use milepost_core::{Error, ErrorKind, Result, RunId};
use milepost_store_s3::S3Config;

fn root(scope: &Scope) -> Result<PathBuf> {
    Ok(scope.dir()?.join("runs"))
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Other, "the hook cannot get at the file").with_source(error)
}

fn config(scope: &Scope) -> Result<S3Config> {
    // So few that bases are read and written by the cases, too.
    Ok(S3Config::folder(root(scope)?).base_after(8))
}

/// Every file below a folder, with its length.
fn walk(folder: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), found)?;
        } else {
            found.push((entry.path().to_string_lossy().into_owned(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

async fn parts(scope: Scope, run: RunId) -> Result<Vec<Part>> {
    run::freed(config(&scope)?, &scope, &run).await?;
    let mut found = Vec::new();
    let folder = root(&scope)?.join("run").join(run::digits(&run));
    match walk(&folder, &mut found) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(()) => Ok(run::parts(found)),
    }
}

/// Every entry is synchronized with its folder: fewer runs and rounds tell as much.
fn patient() -> Tuning {
    let mut tuning = Tuning::default();
    tuning.runs = 1_000;
    tuning.rounds = 100;
    tuning.timeout = Duration::from_secs(180);
    tuning
}

fn main() -> std::process::ExitCode {
    let folder =
        harness("folder", |scope| async move { config(&scope)?.clock(scope.clock()).connect().await })
            .with_clock()
            .with_processes()
            .with_parts(parts)
            .with_flip(|_, part, byte| async move {
                let mut bytes = fs::read(&part.name).map_err(failed)?;
                bytes[byte as usize] ^= 1;
                fs::write(&part.name, bytes).map_err(failed)
            })
            .with_removal(|_, part| async move { fs::remove_file(part.name).map_err(failed) })
            .embedded()
            .with_tuning(patient());
    milepost_conformance::main(folder)
}
