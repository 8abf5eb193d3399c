//! The examples as child processes, built beside this test from the sources as they are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

/// An example's program. It is built with the features of this test, so that `test-all` compiles nothing twice.
pub(crate) fn program(name: &str) -> PathBuf {
    static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--examples"]).stdin(Stdio::null());
        // What cargo says of this test: builds that look at it would be made anew.
        for (name, _) in std::env::vars_os() {
            let says = |start: &str| name.to_str().is_some_and(|name| name.starts_with(start));
            if says("CARGO_PKG_") || says("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        if cfg!(feature = "azure") {
            build.args(["--workspace", "--all-features"]);
        } else {
            let chosen = [
                ("memory", cfg!(feature = "memory")),
                ("postgres", cfg!(feature = "postgres")),
                ("redis", cfg!(feature = "redis")),
                ("folder", cfg!(feature = "folder")),
            ];
            let chosen: Vec<_> = chosen.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
            build.args(["--package", "milepost", "--features", &chosen.join(",")]);
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.unwrap().success(), "the examples do not build");
        profile.join("examples")
    });
    PROGRAMS.join(name)
}
