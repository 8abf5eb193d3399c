//! The main job as a child process: what a test needs to start it, watch it, kill it and read what it left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::example::program;

/// A run of the job in a folder of its own.
pub(crate) struct Job {
    pub(crate) place: PathBuf,
    input: PathBuf,
}

impl Job {
    pub(crate) fn new(place: &Path, input: &Path) -> Self {
        fs::create_dir_all(place).unwrap();
        Self { place: place.to_owned(), input: input.to_owned() }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.place.join("journal")
    }

    /// Starts it, as a user would in this folder.
    pub(crate) fn start(&self) -> Child {
        Command::new(program("index"))
            .arg(&self.input)
            .args(["--throttle", "10ms", "--report", "report.json", "--journal", "journal"])
            .current_dir(&self.place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Lets it come to its end; gives what it said.
    pub(crate) fn finish(&self) -> (ExitStatus, String) {
        let output = self.start().wait_with_output().unwrap();
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn report(&self) -> Vec<u8> {
        fs::read(self.place.join("report.json")).unwrap()
    }

    pub(crate) fn journal_lines(&self) -> usize {
        fs::read(self.journal()).map_or(0, |journal| journal.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Waits until the journal has so many lines; `false` if the child has ended before.
    pub(crate) fn reaches(&self, child: &mut Child, lines: usize) -> bool {
        while self.journal_lines() < lines {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(1));
        }
        true
    }

    /// What the journal of a finished run proves or disproves.
    pub(crate) fn audit(&self) -> Audit {
        let journal = fs::read_to_string(self.journal()).unwrap();
        let digested: BTreeSet<&str> =
            journal.lines().filter_map(|line| line.strip_prefix("digested ")).collect();
        let place: BTreeMap<&str, usize> =
            digested.iter().enumerate().map(|(index, path)| (*path, index)).collect();
        let (mut done, mut cursor) = (0, 0);
        let mut audit =
            Audit { files: digested.len(), acknowledged: 0, repeated: Vec::new(), set_back: Vec::new() };
        for line in journal.lines() {
            if let Some(path) = line.strip_prefix("digested ") {
                if place[path] < done {
                    audit.repeated.push(path.to_owned());
                }
                continue;
            }
            let numbers: Vec<u64> = line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
            if numbers[0] < cursor || (numbers[1] as usize) < done {
                audit.set_back.push(line.to_owned());
            }
            (cursor, done) = (numbers[0], numbers[1] as usize);
            audit.acknowledged = done;
        }
        audit
    }
}

/// What a journal says.
#[derive(Debug)]
pub(crate) struct Audit {
    /// How many files were digested at all.
    pub(crate) files: usize,
    /// How many of them the last acknowledgement covers.
    pub(crate) acknowledged: usize,
    /// Files that were digested again after an acknowledged checkpoint had covered them.
    pub(crate) repeated: Vec<String>,
    /// Acknowledgements that fell behind an earlier one.
    pub(crate) set_back: Vec<String>,
}
