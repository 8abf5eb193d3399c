//! How this program came to the kit: what starts it again as a second process, and what replays one case of it.

use std::{env, ffi::OsString, path::Path, thread};

/// How this program came to the kit.
#[derive(Clone, Default, Debug)]
pub(crate) enum Entry {
    /// By [`crate::main`], or by nothing yet.
    #[default]
    Main,
    /// By [`crate::check`], with these arguments.
    Check(Vec<OsString>),
}

impl Entry {
    /// By [`crate::check`], called on this thread. Under libtest a test's thread bears its name, and the program comes
    /// here again when it is asked for that test alone.
    pub(crate) fn check() -> Self {
        let own = || env::args_os().skip(1).collect();
        let current = thread::current();
        Self::Check(match current.name() {
            Some(test) if test != "main" => {
                ["--exact", "--nocapture", test].into_iter().map(OsString::from).collect()
            }
            _ => own(),
        })
    }

    /// What the program is started with to come here again.
    pub(crate) fn arguments(&self) -> &[OsString] {
        match self {
            Entry::Main => &[],
            Entry::Check(arguments) => arguments,
        }
    }

    /// What runs this one case again.
    pub(crate) fn replay(&self, id: &str) -> String {
        match self {
            Entry::Check(_) => format!("milepost_conformance::check(&harness, {id:?})"),
            Entry::Main => {
                let package = env::var("CARGO_PKG_NAME").map_or(String::new(), |name| format!(" -p {name}"));
                format!("cargo test{package} --test {} -- --exact {id}", target())
            }
        }
    }
}

/// The name of the test target that this program is, without the hash that cargo puts behind it.
fn target() -> String {
    let program = env::current_exe().unwrap_or_default();
    let stem = program.file_stem().map(Path::new).unwrap_or(Path::new("conformance")).to_string_lossy();
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            name.to_owned()
        }
        _ => stem.into_owned(),
    }
}
