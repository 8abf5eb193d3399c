//! The one table of cases.

use crate::{
    Case,
    areas::{
        blobs, capabilities, checkpointer, commit, concurrency, corruption, crash, deletion, differential,
        errors, fencing, ids, inbox, leases, listing, lost_ack, open, schema, snapshots, streams,
    },
};

/// Every area, in the order in which they build on each other.
const AREAS: &[&[Case]] = &[
    // open
    open::create::CASES,
    open::takeover::CASES,
    open::again::CASES,
    open::draft::CASES,
    // commit
    commit::log::CASES,
    commit::atomic::CASES,
    commit::verdicts::CASES,
    commit::refused::CASES,
    commit::ids::CASES,
    commit::bodies::CASES,
    commit::limits::CASES,
    commit::many::CASES,
    commit::finish::CASES,
    commit::every::CASES,
    // fencing
    fencing::stale::CASES,
    fencing::dead::CASES,
    fencing::race::CASES,
    // leases
    leases::end::CASES,
    leases::renew::CASES,
    leases::release::CASES,
    // lost acknowledgements
    lost_ack::again::CASES,
    lost_ack::still::CASES,
    lost_ack::reused::CASES,
    lost_ack::dropped::CASES,
    // inbox
    inbox::send::CASES,
    inbox::take::CASES,
    inbox::wait::CASES,
    inbox::wake::CASES,
    inbox::read::CASES,
    // streams
    streams::span::CASES,
    streams::life::CASES,
    streams::racing::CASES,
    streams::follow::CASES,
    // snapshots
    snapshots::keep::CASES,
    snapshots::trim::CASES,
    // blobs
    blobs::CASES,
    // listing
    listing::status::CASES,
    listing::settled::CASES,
    listing::filters::CASES,
    listing::pages::CASES,
    listing::recover::CASES,
    // deletion
    deletion::guards::CASES,
    deletion::gone::CASES,
    deletion::race::CASES,
    // ids
    ids::runs::CASES,
    ids::values::CASES,
    ids::filters::CASES,
    // concurrency
    concurrency::many::CASES,
    concurrency::owners::CASES,
    concurrency::outsiders::CASES,
    concurrency::linear::CASES,
    concurrency::lasting::CASES,
    // differential
    differential::CASES,
    // capabilities
    capabilities::declared::CASES,
    capabilities::undeclared::CASES,
    capabilities::closed::CASES,
    // crash
    crash::killed::CASES,
    crash::stopped::CASES,
    crash::together::CASES,
    crash::server::CASES,
    // corruption
    corruption::counted::CASES,
    corruption::flipped::CASES,
    corruption::removed::CASES,
    // schema
    schema::CASES,
    // errors
    errors::CASES,
    // checkpointer
    checkpointer::throttle::CASES,
    checkpointer::policy::CASES,
    checkpointer::degrade::CASES,
    checkpointer::resume::CASES,
    checkpointer::fallback::CASES,
    checkpointer::ends::CASES,
    checkpointer::modes::CASES,
    checkpointer::codec::CASES,
    checkpointer::handles::CASES,
    checkpointer::lease::CASES,
    checkpointer::recover::CASES,
    checkpointer::patches::CASES,
    checkpointer::chain::CASES,
    checkpointer::faults::CASES,
];

/// Every case there is. `main`, `check` and the documents read this list, and there is no other.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    AREAS.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_its_own_name_and_says_what_it_enforces() {
        let mut seen = HashSet::new();
        for case in cases() {
            assert!(seen.insert(case.id()), "{} is there twice", case.id());
            assert!(case.doc().ends_with('.'), "the doc of {} is a sentence", case.id());
            assert!(case.id().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/')));
        }
    }
}
