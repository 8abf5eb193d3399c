//! Stores behind a server that can be killed: an honest one passes, and each broken one fails the case that is named for
//! it.

mod client;
mod disk;

use std::time::Duration;

use client::Client;
use disk::Server;
use milepost_conformance::{CaseReport, Harness, Outcome, Scope, Tuning, check, harness};
use milepost_core::{Error, ErrorKind, Result};

/// What every handle is connected with, and nobody must be shown.
const SECRET: &str = "correct-horse-battery-staple";

/// What is wrong with a server, or with those who talk to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    /// Nothing.
    None,
    /// The newest entries of the log were acknowledged before they were on disk.
    NewestAreLost,
    /// One entry from the middle of the log is lost.
    OneIsLost,
    /// Messages are not on disk.
    MessagesAreLost,
    /// Takeovers are not on disk.
    TakeoversAreLost,
    /// What remembers a commit's id is not on disk: what is sent again is new.
    CommitIdsAreLost,
    /// A commit that was under way when the server died is done twice.
    UnderWayIsDoneTwice,
    /// While the server is down, reads are answered from what was read before.
    ReadsAnswerAfterDeath,
    /// While the server is down, nothing is there.
    EmptyWhileDown,
    /// While the server is down, writes are acknowledged, and forgotten.
    WritesAreTakenWhileDown,
    /// While the server is down, calls wait for ever.
    HangsWhileDown,
    /// An error of a server that is down does not say whether the write has happened.
    ErrorsDoNotSayApplied,
    /// An error of a server that is down is not for trying again.
    ErrorsAreFinal,
    /// A stream whose server dies ends as if that were all.
    StreamsEndSilently,
    /// A stream whose server dies leaves a hole and goes on.
    StreamsGoOn,
    /// A handle never comes back.
    HandlesStayDead,
    /// Nobody can connect to a server that was started again.
    NobodyConnectsAgain,
    /// Connecting succeeds, and works, while the server is down.
    ConnectsToNothing,
    /// An error of a server that is down shows what it was connected with.
    ErrorsShowTheSecret,
    /// A handle shows what it was connected with.
    HandlesShowTheSecret,
    /// An error on the way shows what it was connected with as its cause.
    CausesShowTheSecret,
}

/// Each flaw, and the case that must catch it.
const CAUGHT: [(Flaw, &str); 20] = [
    (Flaw::NewestAreLost, "crash/a-killed-server-keeps-what-it-acknowledged"),
    (Flaw::OneIsLost, "crash/a-killed-server-keeps-what-it-acknowledged"),
    (Flaw::MessagesAreLost, "crash/a-killed-server-keeps-the-messages-it-acknowledged"),
    (Flaw::TakeoversAreLost, "crash/a-killed-server-keeps-its-fences"),
    (Flaw::CommitIdsAreLost, "crash/a-killed-server-keeps-what-it-acknowledged"),
    (Flaw::UnderWayIsDoneTwice, "crash/a-killed-server-keeps-what-it-acknowledged"),
    (Flaw::ReadsAnswerAfterDeath, "errors/reads-fail-while-the-server-is-down"),
    (Flaw::EmptyWhileDown, "errors/reads-fail-while-the-server-is-down"),
    (Flaw::WritesAreTakenWhileDown, "errors/writes-fail-honestly-while-the-server-is-down"),
    (Flaw::HangsWhileDown, "errors/writes-fail-honestly-while-the-server-is-down"),
    (Flaw::ErrorsDoNotSayApplied, "errors/writes-fail-honestly-while-the-server-is-down"),
    (Flaw::ErrorsAreFinal, "errors/nobody-connects-while-the-server-is-down"),
    (Flaw::StreamsEndSilently, "errors/a-stream-whose-server-dies-ends-with-the-error"),
    (Flaw::StreamsGoOn, "errors/a-stream-whose-server-dies-ends-with-the-error"),
    (Flaw::HandlesStayDead, "errors/writes-fail-honestly-while-the-server-is-down"),
    (Flaw::NobodyConnectsAgain, "errors/nobody-connects-while-the-server-is-down"),
    (Flaw::ConnectsToNothing, "errors/nobody-connects-while-the-server-is-down"),
    (Flaw::ErrorsShowTheSecret, "errors/no-secret-is-shown-while-the-server-is-down"),
    (Flaw::HandlesShowTheSecret, "errors/no-secret-is-shown"),
    (Flaw::CausesShowTheSecret, "errors/no-secret-is-shown-while-the-server-is-down"),
];

/// The scope's server. It stands in this process, and yet handles have nothing of it but a connection.
fn server(scope: &Scope, flaw: Flaw) -> Server {
    scope.shared(|| Server::start(scope.clock(), flaw))
}

fn served(flaw: Flaw) -> Harness {
    let mut tuning = Tuning::default();
    // Only what hangs is waited for to the end; the others have the time of a machine that is busy.
    if flaw == Flaw::HangsWhileDown {
        tuning.timeout = Duration::from_secs(4);
    }
    harness("served", move |scope| async move { Client::connect(server(&scope, flaw)) })
        .with_clock()
        .with_server(
            move |scope| async move { died(server(&scope, flaw).kill()) },
            move |scope| async move { died(server(&scope, flaw).restart().await) },
        )
        .with_secret(SECRET)
        .with_tuning(tuning)
}

fn died(done: bool) -> Result<()> {
    let told = || Error::new(ErrorKind::Config, "the server was not as the kit left it");
    done.then_some(()).ok_or_else(told)
}

fn tried(flaw: Flaw, case: &str) -> CaseReport {
    let report = check(&served(flaw), case);
    report.cases.into_iter().find(|report| report.id == case).expect("the kit has the case")
}

#[test]
fn an_honest_server_passes_every_case() {
    let report = check(&served(Flaw::None), "");
    assert!(report.is_passed(), "{}", super::failures(&report));
    let missing: Vec<_> = report.unproven.iter().map(|unproven| unproven.hook.as_str()).collect();
    assert!(!missing.contains(&"server") && !missing.contains(&"secret"), "{missing:?}");
}

#[test]
fn every_broken_server_is_caught_by_its_case() {
    let mut survivors = Vec::new();
    for (flaw, case) in CAUGHT {
        let report = tried(flaw, case);
        let reason = report.reason.unwrap_or_default();
        let in_time = flaw == Flaw::HangsWhileDown || !reason.contains("timed out:");
        if report.outcome != Outcome::Failed || !in_time {
            survivors.push(format!("{flaw:?}: {case} {}: {reason}", report.outcome.as_str()));
        }
        let good = tried(Flaw::None, case);
        assert_eq!(good.outcome, Outcome::Passed, "{case}: {:?}", good.reason);
    }
    assert_eq!(survivors, [""; 0], "these servers are broken, and their cases passed");
}

#[test]
fn below_fsync_a_suffix_may_be_lost() {
    let buffered = |flaw| {
        harness("buffered", move |scope| async move {
            Client::connect(scope.shared(|| Server::buffered(scope.clock(), flaw)))
        })
        .with_clock()
        .with_server(
            move |scope| async move { died(server(&scope, flaw).kill()) },
            move |scope| async move { died(server(&scope, flaw).restart().await) },
        )
    };
    let case = "crash/a-killed-server-keeps-what-it-acknowledged";
    let tried = |flaw| check(&buffered(flaw), case).cases.remove(0);
    let lost = tried(Flaw::NewestAreLost);
    assert_eq!(lost.outcome, Outcome::Passed, "a suffix may be lost: {:?}", lost.reason);
    assert_eq!(tried(Flaw::CommitIdsAreLost).outcome, Outcome::Failed, "what is there is as it was");
}
