//! The examples `pipeline` and `recover`, killed with -9 at each of their durable writes in turn: what comes out is the same
//! to the byte, no finished step runs again, nothing happens twice at a receiver that honours the keys, and no two drive one
//! run at once.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output, Stdio},
};

use milepost_layers::Death;
use milepost_servers::Receiver;
use serde_json::Value;

use crate::{
    example::program,
    matrix::{Backend, audit, each_death, named, on_every_backend, text},
};

fn run(example: &str, arguments: &[&str], variable: &str, dies: Option<Death>) -> Output {
    let mut command = Command::new(program(example));
    command.args(arguments).stdin(Stdio::null());
    if let Some(dies) = dies {
        command.env(variable, dies.to_string());
    }
    command.output().unwrap()
}

#[test]
fn what_fails_is_told_in_words() {
    for example in ["pipeline", "recover", "agent"] {
        let output = run(example, &["--store", "nowhere:"], "unused", None);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{example}");
        assert!(
            failed.starts_with("error: ") && failed.contains("the known ones are"),
            "{example}: {failed}"
        );
    }
}

/// What a pipeline published, apart from when.
fn published(report: &Path) -> (Value, Vec<u8>) {
    let bytes = std::fs::read(report).unwrap();
    let mut published: Value = serde_json::from_slice(&bytes).unwrap();
    published.as_object_mut().unwrap().remove("at");
    (published, bytes)
}

fn pipeline_matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = |name: &str, receiver: &Receiver, dies: Option<Death>| {
        let (url, port) = (backend.url(folder.path(), name), receiver.port().to_string());
        let report = folder.path().join(format!("{name}.json"));
        let arguments =
            ["--store", &url, "--name", name, "--chapters", "3", "--pace", "0ms", "--ttl", "400ms"];
        let arguments =
            [&arguments[..], &["--receiver", &port, "--report", report.to_str().unwrap()]].concat();
        (run("pipeline", &arguments, "MILEPOST_EXAMPLE_DIES", dies), report, url)
    };
    let prefix = format!("p{:08x}", milepost::Ids::bits(&milepost::SystemIds) as u32);
    let undisturbed = Receiver::start().unwrap();
    let (output, report, _) = pipeline(&format!("{prefix}-undisturbed"), &undisturbed, None);
    assert!(output.status.success(), "{}", text(&output));
    let expected = published(&report).0;

    let deaths = each_death(backend, |death| {
        let name = named(&prefix, death);
        let receiver = Receiver::start().unwrap();
        let (first, ..) = pipeline(&name, &receiver, Some(death));
        let survived = first.status.success();
        let (second, report, url) = pipeline(&name, &receiver, None);
        let said = format!("{death}: {}\n{}", text(&first), text(&second));
        assert!(second.status.success(), "{said}");
        let (published, bytes) = self::published(&report);
        assert_eq!(published, expected, "{said}");
        assert_eq!(receiver.done(), undisturbed.done(), "{said}");
        audit(&url, &name, &said);
        // Once it has ended, another process says the same to the byte.
        assert!(pipeline(&name, &receiver, None).0.status.success());
        assert_eq!(std::fs::read(&report).unwrap(), bytes, "{said}");
        survived
    });
    assert!(deaths > 80 / backend.stride, "{deaths} deaths are fewer than the pipeline has writes");
}

fn recover_matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let recover = |name: &str, variable: &str, dies: Option<Death>| {
        let url = backend.apart(folder.path(), name);
        let report = folder.path().join(format!("{name}.json"));
        let arguments = ["--store", &url, "--name", name, "--runs", "2", "--parcels", "2", "--workers", "1"];
        let more = ["--kills", "0", "--pace", "1ms", "--ttl", "400ms", "--report", report.to_str().unwrap()];
        (run("recover", &[&arguments[..], &more].concat(), variable, dies), report, url)
    };
    let prefix = format!("r{:08x}", milepost::Ids::bits(&milepost::SystemIds) as u32);
    for (who, variable, least) in
        [("worker", "MILEPOST_EXAMPLE_WORKER_DIES", 10), ("supervisor", "MILEPOST_EXAMPLE_DIES", 4)]
    {
        let deaths = each_death(backend, |death| {
            let name = named(&format!("{prefix}-{who}"), death);
            let (mut output, report, url) = recover(&name, variable, Some(death));
            // A worker that dies is replaced; a supervisor has to be started again.
            let survived = output.status.success() && !text(&output).contains("has died");
            if who == "supervisor" && !survived {
                output = recover(&name, variable, None).0;
            }
            let said = format!("the {who} dies {death}: {}", text(&output));
            assert!(output.status.success(), "{said}");
            let report: BTreeMap<String, Value> =
                serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
            let expected = (0..2).map(|number| {
                let run = format!("{name}-{number:03}");
                let receipts: Vec<_> =
                    (1..=2).map(|parcel| format!("done: parcel {parcel} of {run}")).collect();
                (run, serde_json::json!({ "receipts": receipts }))
            });
            assert_eq!(report, expected.collect(), "{said}");
            if who == "worker" {
                assert!(said.contains("The receiver has 4 parcels."), "{said}");
            }
            audit(&url, &name, &said);
            survived
        });
        assert!(
            deaths >= 2 * least / backend.stride,
            "{deaths} deaths of the {who} are fewer than it has writes"
        );
    }
}

on_every_backend!(
    sqlite: a_pipeline_killed_at_every_write_publishes_the_same_on_sqlite,
    postgres: a_pipeline_killed_at_every_write_publishes_the_same_on_postgres,
    redis: a_pipeline_killed_at_every_tenth_write_publishes_the_same_on_redis,
    folder: a_pipeline_killed_at_every_tenth_write_publishes_the_same_in_a_folder,
    pipeline_matrix
);

on_every_backend!(
    sqlite: workers_killed_at_every_write_deliver_the_same_on_sqlite,
    postgres: workers_killed_at_every_write_deliver_the_same_on_postgres,
    redis: workers_killed_at_every_tenth_write_deliver_the_same_on_redis,
    folder: workers_killed_at_every_tenth_write_deliver_the_same_in_a_folder,
    recover_matrix
);

/// As a newcomer starts it, with real kills.
#[test]
fn three_workers_share_runs_while_they_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/recover.db", folder.path().display());
    let arguments =
        ["--store", &url, "--runs", "20", "--parcels", "5", "--kills", "6", "--pace", "40ms", "--ttl", "2s"];
    let output = run("recover", &arguments, "MILEPOST_EXAMPLE_DIES", None);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("All 20 runs have completed"), "{said}");
    assert!(said.contains("The receiver has 100 parcels."), "{said}");
    assert!(said.matches("is killed with -9").count() > 1, "{said}");
}
