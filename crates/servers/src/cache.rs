//! What is fetched once a machine, outside of every clone.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::Context;

/// The folder for it: the CI's cache, as `.ci/run` takes it, or the user's, or the temporary folder where there is no
/// user.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = named("CI_CACHE_DIR").filter(|folder| folder.is_dir()).or_else(|| named("XDG_CACHE_HOME"));
    let base = base.or_else(|| named("HOME").map(|home| home.join(".cache")));
    let folder = base.unwrap_or_else(env::temp_dir).join("milepost");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Waits until no other process fetches `what`, and holds the place until the file is dropped.
pub(crate) fn lock(what: &str) -> anyhow::Result<File> {
    let path = folder()?.join(format!("{what}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
