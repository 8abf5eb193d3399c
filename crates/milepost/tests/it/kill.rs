//! The main job, killed again and again, comes to the same report and repeats nothing that was acknowledged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::Duration,
};

use milepost::{Ids, SeededIds};

use crate::job::Job;

const KILLS: usize = 20;

/// Real input: the sources of the crates that this workspace was built from, as many as give the job something to do
/// in a debug build.
fn input(place: &Path) -> PathBuf {
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
    let sources = home.join("registry/src");
    assert!(sources.is_dir(), "{} is missing: `cargo fetch` makes it", sources.display());
    let input = place.join("sources");
    fs::create_dir(&input).unwrap();
    let mut files = 0;
    let mut folders = vec![sources];
    while let (Some(folder), true) = (folders.pop(), files < 3_000) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().unwrap().len() < 200_000 {
                fs::hard_link(
                    entry.path(),
                    input.join(format!("{files:05}-{}", entry.file_name().display())),
                )
                .or_else(|_| fs::copy(entry.path(), input.join(format!("{files:05}"))).map(drop))
                .unwrap();
                files += 1;
            }
        }
    }
    input
}

fn seed() -> u64 {
    let given = std::env::var("MILEPOST_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| milepost::SystemIds.bits() as u64)
}

#[test]
fn killed_twenty_times_at_random_it_reports_the_same_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let input = input(folder.path());
    let undisturbed = Job::new(&folder.path().join("undisturbed"), &input);
    let (status, said) = undisturbed.finish();
    assert!(status.success(), "{said}");
    let lines = undisturbed.journal_lines();

    let seed = seed();
    let said = format!("MILEPOST_SEED={seed} replays the moments of the kills");
    let random = SeededIds::new(seed);
    let job = Job::new(&folder.path().join("killed"), &input);
    let mut in_the_middle = 0;
    for kill in 0..KILLS {
        let mut child = job.start();
        // Every fourth one early in its life, whatever it does then; the others after so much more work.
        if kill % 4 == 0 {
            sleep(Duration::from_millis(random.bits() as u64 % 60));
        } else {
            let more = 1 + random.bits() as usize % (lines / KILLS);
            if job.reaches(&mut child, job.journal_lines() + more) {
                in_the_middle += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(in_the_middle >= KILLS / 2, "only {in_the_middle} kills came in the middle of the work; {said}");

    let (status, last) = job.finish();
    assert!(status.success(), "{last}; {said}");
    assert!(last.contains("resumed at checkpoint"), "it went on at once: {last}; {said}");
    let audit = job.audit();
    assert!(
        audit.repeated.is_empty(),
        "digested again after their acknowledgement: {:?}; {said}",
        audit.repeated
    );
    assert!(audit.set_back.is_empty(), "acknowledgements fell back: {:?}; {said}", audit.set_back);
    assert_eq!(audit.acknowledged, audit.files, "{said}");
    assert!(job.report() == undisturbed.report(), "the reports differ; {said}");

    let (status, said) = job.finish();
    assert!(status.success(), "{said}");
    assert!(said.contains("has finished"), "a finished run answers from its outcome: {said}");
    assert_eq!(job.audit().files, audit.files, "and does no work");
}

#[test]
fn asked_to_stop_it_saves_what_the_throttle_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let input = input(folder.path());
    let job = Job::new(&folder.path().join("stopped"), &input);
    let mut child = job.start();
    assert!(job.reaches(&mut child, 100), "the job ended too early to be stopped");
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged = job.audit().acknowledged;
    assert!(acknowledged > 0);

    let (status, said) = job.finish();
    assert!(status.success(), "{said}");
    assert!(said.contains("resumed at checkpoint"), "{said}");
    let audit = job.audit();
    assert!(audit.repeated.is_empty(), "{:?}", audit.repeated);
}
