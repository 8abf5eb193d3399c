//! Proves any Milepost store: one table of cases, a test main, a report.
//!
//! A backend implements [`milepost_core::Store`]. What the trait's documentation promises, this kit tries: every
//! sentence of the contract has its cases, each with a stable name, a place of its own in the backend, and two handles
//! on the same data.
//!
//! # As a test target
//!
//! Five lines make every case a test of your crate:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! # use milepost_store_memory::MemoryStore as Acme;
//! use milepost_conformance::harness;
//!
//! fn main() -> std::process::ExitCode {
//!     milepost_conformance::main(harness("acme", |scope| async move { Ok(scope.shared(Acme::new).handle()) }))
//! }
//! ```
//!
//! ```text
//! cargo test --test conformance                      # all of it
//! cargo test --test conformance -- open/             # an area
//! cargo test --test conformance -- --list            # the names
//! cargo nextest run --test conformance               # a process a case
//! MILEPOST_REPORT=report.json cargo test --test conformance
//! ```
//!
//! # What to connect to
//!
//! The closure is called at least twice for each case with the same [`Scope`]. Two handles of one scope share their
//! data; those of different scopes must not see each other:
//!
//! | backend | use |
//! |---|---|
//! | a server | [`Scope::name`] as schema, key prefix or database |
//! | files | [`Scope::dir`], removed when the case is over |
//! | the handle holds the data itself | [`Scope::shared`], one value a scope |
//!
//! A store whose clock can be given is built with [`Scope::clock`], and the harness says so with
//! [`Harness::with_clock`]: then leases run out at once instead of in real time, and the cases that test instants to
//! the microsecond apply too. A slow server gets another [`Tuning`].
//!
//! # What else a harness may supply
//!
//! Each hook stands for itself. What its absence leaves unproven is told at the end of a run and in the report.
//!
//! | hook | supplied by | what the kit does with it |
//! |---|---|---|
//! | a clock | [`Harness::with_clock`], [`Harness::with_server_clock`] | moves time instead of waiting |
//! | a second process | [`Harness::with_processes`] | starts this program again, stops it, thaws it, kills it with -9 |
//! | what is stored | [`Harness::with_parts`] | counts what a deletion leaves behind |
//! | a changed byte | [`Harness::with_flip`] | byte after byte, reading everything each time |
//! | a lost part | [`Harness::with_removal`] | part after part |
//! | the server | [`Harness::with_server`] | kills it under load and starts it again |
//! | a secret | [`Harness::with_secret`] | looks for it in what is shown |
//!
//! Besides, [`Harness::with_teardown`] removes what a case has stored on a server that others use, too.
//!
//! # Twice
//!
//! Each case is tried a second time with a re-open between any two operations of a handle: `reopened/open/…`. Whatever a
//! store keeps in a handle, and ought to keep in the backend, is lost then. From a handle's 24th operation on, every
//! eleventh is enough, races have fewer rounds, and [`Tuning::reopening`] bounds the time that it takes. `--skip reopened/`
//! leaves all of that out.
//!
//! # When a case fails
//!
//! It says what the contract says, what was looked at, what was expected, what came, what tries just this case again, and
//! the last steps that led there:
//!
//! ```text
//! contract:   Of racing openers exactly one succeeds.
//! looked at:  16 racing creators
//! expected:   one winner of 16
//! came:       2 winners
//! at:         crates/conformance/src/areas/open.rs:249:5
//! replay:     cargo test -p acme --test conformance -- --exact open/of-racing-creators-one-wins
//! what was done (seed 0x8f2b61c09d3a7e45):
//!   1. a.open("raced-mp_…_3", Create, ttl 40s, IfDue) = epoch 1, version 1
//!   …
//! ```
//!
//! The *contract* line is the sentence that the case enforces; the documentation of `milepost-core` has it in its place,
//! with the case's name behind *Held by*. Of long values that differ the first difference is pointed at, and a call that
//! never came back stands below the steps as one without an answer.
//!
//! # When a case does not apply
//!
//! A case needs what it needs: a capability that the store declares, or one that it does not (the law is tested both
//! ways), or a hook. Where that is not so the case is *not applicable*, shown as ignored with the
//! reason. Nothing is skipped silently, and a backend that cannot be reached fails every case.
//!
//! # Random histories
//!
//! The cases of the area `differential` play random histories on the store and on the reference model at once, until
//! every answer of the contract has been seen that the store's capabilities admit. One that fails is made short before it
//! is told, with the seed that plays it again; more rounds look longer:
//!
//! ```text
//! MILEPOST_SEED=0x2a cargo test --test conformance -- --exact differential/commits-answer-as-the-model-does
//! MILEPOST_ROUNDS=1000 cargo test --test conformance -- differential/
//! ```
//!
//! What concurrent clients do, in a soak test of your own for example, is written down and checked by [`History`].
//!
//! # As a function
//!
//! [`check`] runs the same cases and gives a [`Report`], for a command line or a table in a README.
//! In a checkout of Milepost, `cargo xtask conformance URL` does so for any URL that `connect` takes.

mod areas;
mod case;
mod check;
mod context;
mod duel;
mod entry;
mod expect;
mod harness;
mod hooked;
mod hooks;
mod image;
mod oracle;
mod reopening;
mod report;
mod run;
mod scope;
mod table;
mod test_main;
mod trace;
mod trial;
mod worker;
mod wrapped;

/// The README's blocks, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Those of the workspace's README, which show the kit too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;

pub use case::{Case, Need};
pub use check::check;
pub use context::Context;
pub use expect::{Failure, Verdict};
pub use harness::{Harness, Tuning, harness};
pub use hooks::{Hook, Part};
pub use oracle::{Checked, History, ROUNDS_VARIABLE, Recorded, SEED_VARIABLE};
pub use report::{CaseReport, Outcome, Report, Unproven};
pub use scope::Scope;
pub use table::cases;
pub use test_main::{REPORT_VARIABLE, main};
pub use worker::worker;
