//! The examples as child processes, built beside this test from the sources as they are.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, LazyLock, Mutex},
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

/// Does what it is told once for each key, and remembers who asked for what.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    asked: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = receiver.asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                // A caller that was killed has sent nothing, or does not hear the answer.
                if BufReader::new(&stream).read_line(&mut line).is_err() || !line.ends_with('\n') {
                    continue;
                }
                let (key, what) = line.trim().split_once(' ').unwrap();
                let mut asked = asked.lock().unwrap();
                asked.entry(key.into()).or_default().push(what.into());
                let _ = writeln!(stream, "done: {what}");
            }
        });
        receiver
    }

    /// What it has done, once for each key; nothing was asked for under two keys, and no key stands for two things.
    pub(crate) fn done(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let mut done = Vec::new();
        for (key, whats) in &*asked {
            assert!(whats.iter().all(|what| *what == whats[0]), "{key} stands for {whats:?}");
            done.push(whats[0].clone());
        }
        done.sort();
        done
    }
}
