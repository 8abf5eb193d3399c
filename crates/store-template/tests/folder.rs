//! The template over a folder, held to the contract with every hook that a folder can have: as a function, where the other
//! target is a program.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use milepost_conformance::{Harness, Part, Scope, Tuning, check, harness};
use milepost_core::{Error, ErrorKind, Result};
use milepost_store_template::{FolderKv, TemplateConfig};

fn runs(scope: &Scope) -> Result<PathBuf> {
    Ok(scope.dir()?.join("runs"))
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Other, "the hook cannot get at the file").with_source(error)
}

fn folder() -> Harness {
    harness("template over a folder", |scope| async move {
        let kv = FolderKv::new(runs(&scope)?)?;
        TemplateConfig::new(Arc::new(kv)).clock(scope.clock()).connect().await
    })
    .with_clock()
    .with_processes()
    .with_parts(|scope, run| async move {
        let name: String = run.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
        let file = fs::metadata(runs(&scope)?.join(&name));
        Ok(file.map(|file| Part::new(name, file.len())).into_iter().collect())
    })
    .with_flip(|scope, part, byte| async move {
        let path = runs(&scope)?.join(part.name);
        let mut value = fs::read(&path).map_err(failed)?;
        value[byte as usize] ^= 1;
        fs::write(path, value).map_err(failed)
    })
    .with_removal(|scope, part| async move { fs::remove_file(runs(&scope)?.join(part.name)).map_err(failed) })
    .embedded()
    .with_tuning(patient())
}

/// A file a run, each synchronized with its folder, beside whatever else the disk has to do: a thousand runs tell what
/// ten thousand would, and take as long as they take.
fn patient() -> Tuning {
    let mut tuning = Tuning::default();
    tuning.runs = 1_000;
    tuning.timeout = Duration::from_secs(120);
    tuning
}

#[test]
fn it_keeps_the_contract_over_a_folder() {
    let report = check(&folder(), "");
    assert!(report.is_passed(), "{}", report.to_markdown());
}
