//! Which folder is indexed.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The true path of the folder to index: the one that was asked for, or else the crate sources that cargo has
/// unpacked in the user's own cargo home. Thousands of real files that every Rust programmer has at hand.
///
/// # Errors
///
/// If it is no folder that can be read; the text says what to do.
pub(crate) fn resolve(asked: Option<&Path>) -> Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => crate_sources()?,
    };
    match folder.canonicalize() {
        Ok(path) if path.is_dir() => {
            path.read_dir().with_context(|| format!("cannot read the folder {}", folder.display()))?;
            Ok(path)
        }
        Ok(_) => bail!("{} is a file, not a folder", folder.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && asked.is_none() => bail!(
            "there are no crate sources in your cargo home: {} does not exist\n\
             Name a folder to index (`cargo run --release --example index -- FOLDER`),\n\
             or let cargo download the sources of a project first (`cargo fetch`).",
            folder.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no folder {}", folder.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot reach the folder {}", folder.display())),
    }
}

/// `registry/src` in `$CARGO_HOME`, which defaults to `~/.cargo`.
fn crate_sources() -> Result<PathBuf> {
    let home = match std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir()
            .context("neither CARGO_HOME nor a home directory is set: name the folder to index")?
            .join(".cargo"),
    };
    Ok(home.join("registry").join("src"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_none_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refusal = |path: &Path| resolve(Some(path)).unwrap_err().to_string();
        assert_eq!(refusal(&file), format!("{} is a file, not a folder", file.display()));
        let gone = folder.path().join("gone");
        assert_eq!(refusal(&gone), format!("there is no folder {}", gone.display()));
    }
}
