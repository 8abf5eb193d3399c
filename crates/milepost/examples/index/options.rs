//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Indexes a folder of source code, durably.
///
/// Scans FOLDER, digests every file (BLAKE3, lines, words, bytes) and reports totals per language, the largest files
/// and the duplicates. The job checkpoints as it goes: kill it at any moment, with -9 too, start it again with the
/// same arguments, and it goes on where it was. A run that has finished answers from its stored outcome.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "index",
    max_term_width = 100,
    after_help = "\
Every regular file below FOLDER is indexed, hidden ones too; symbolic links are not followed. A file with a NUL \
byte in its first 8 KiB counts as binary: its bytes, but no lines or words."
)]
pub(crate) struct Options {
    /// The folder to index [default: the crate sources in your own cargo home]
    pub(crate) folder: Option<PathBuf>,

    /// Where the checkpoints are kept
    #[arg(long, value_name = "URL", default_value = "sqlite:milepost.db")]
    pub(crate) store: String,

    /// The name of the run: one store can hold many
    #[arg(long, value_name = "NAME", default_value = "index")]
    pub(crate) run: String,

    /// The shortest time between two checkpoints, such as 1s; 0 saves after every file
    ///
    /// A kill takes at most the work of this time and what was being worked on.
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = humantime::parse_duration)]
    pub(crate) throttle: Duration,

    /// Delete the run first and start over
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Write the report as JSON, too
    ///
    /// It depends on the indexed files alone, byte for byte, however often the job was interrupted.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,

    /// Append a line for each digested path and each acknowledged checkpoint
    ///
    /// With it anyone can check that no file was digested again once its checkpoint was acknowledged.
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
}

impl Options {
    /// The files that the job itself writes while it runs, as [`scan`](crate::scan::scan) is to leave them out:
    /// an index that counted its own database would never come out the same twice.
    pub(crate) fn ours(&self) -> Vec<PathBuf> {
        let mut ours: Vec<PathBuf> = self.report.iter().chain(&self.journal).cloned().collect();
        if let Some(database) = self.store.strip_prefix("sqlite:") {
            let database = database.split('?').next().unwrap_or_default();
            let database = database.strip_prefix("//").unwrap_or(database);
            ours.extend(
                ["", "-wal", "-shm", "-journal"].map(|end| PathBuf::from(format!("{database}{end}"))),
            );
        }
        // The scan meets them under the true path of their folder. One that is not there holds nothing to leave out.
        let folder = |file: &PathBuf| std::path::absolute(file).ok()?.parent()?.canonicalize().ok();
        ours.iter().filter_map(|file| Some(folder(file)?.join(file.file_name()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["index"], arguments].concat()).unwrap()
    }

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_defaults_need_no_argument() {
        let options = options(&[]);
        assert_eq!((options.store.as_str(), options.run.as_str()), ("sqlite:milepost.db", "index"));
        assert_eq!((options.folder, options.throttle), (None, Duration::from_millis(200)));
    }

    #[test]
    fn the_throttle_is_a_duration() {
        let table = [("0", 0), ("0s", 0), ("200ms", 200), ("1s", 1000), ("1m 30s", 90_000)];
        for (text, millis) in table {
            assert_eq!(options(&["--throttle", text]).throttle, Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "fast", "-1s"] {
            assert!(
                Options::try_parse_from(["index".to_owned(), format!("--throttle={text}")]).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_job_knows_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let store = format!("sqlite:{}?synchronous=normal", file("a.db"));
        let ours = options(&["--store", &store, "--report", &file("r.json"), "--journal", &file("j")]).ours();
        let names: Vec<_> =
            ours.iter().map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["r.json", "j", "a.db", "a.db-wal", "a.db-shm", "a.db-journal"]);
        assert_eq!(options(&["--store", "memory:"]).ours(), [] as [PathBuf; 0]);
    }
}
