//! What stores keep and compare across versions of this crate: it stays as it is for ever.

use std::time::Duration;

use milepost_core::{
    Blob, Bytes, Commit, Digest, Failure, FailureKind, Fence, Ids, Incarnation, Kind, NewRecord, Note,
    OperationId, Outcome, RecordId, Retain, RunId, SeededIds, Snapshot, SystemIds, Timestamp, Token, Wake,
};

fn empty() -> Commit {
    let fence = Fence { incarnation: Incarnation(7), epoch: 3, token: Token(9) };
    Commit::new(RunId::from_static("run"), fence, OperationId(1), 5)
}

fn record() -> NewRecord {
    NewRecord::new(Kind::from_static("kind"), "body")
}

/// Commits that differ in one thing, each; the first is [`empty`].
fn all_different() -> Vec<Commit> {
    let completed =
        |output: &'static str| Outcome::Completed { output: Bytes::from_static(output.as_bytes()) };
    let failed = |kind, message: &str| Outcome::Failed { failure: Failure::new(kind, message) };
    let note = |done, total, text: &str| Note::new(done, total, text).expect("a short text");
    let name = |text: &[u8]| Digest::of(text);
    vec![
        empty(),
        Commit { run: RunId::from_static("other"), ..empty() },
        Commit { expect: 6, ..empty() },
        empty().record(record()),
        empty().record(record()).record(record()),
        empty().record(NewRecord::new(Kind::from_static("other"), "body")),
        empty().record(NewRecord::new(Kind::from_static("kind"), "other")),
        empty().record(record().id(RecordId::from_static("a"))),
        empty().record(record().id(RecordId::from_static("b"))),
        empty().record(record().blob(name(b"a"))),
        empty().record(record().blob(name(b"b"))),
        empty().blob(Blob::of("a")),
        empty().blob(Blob { body: Bytes::from_static(b"b"), ..Blob::of("a") }),
        empty().snapshot(Snapshot::new(1, "a")),
        empty().snapshot(Snapshot::new(2, "a")),
        empty().snapshot(Snapshot::new(1, "b")),
        empty().trim(1),
        empty().trim(2),
        empty().drop_blob(name(b"a")),
        empty().drop_blob(name(b"b")),
        empty().take(1),
        empty().take(2),
        empty().note(note(1, None, "text")),
        empty().note(note(2, None, "text")),
        empty().note(note(1, Some(1), "text")),
        empty().note(note(1, Some(2), "text")),
        empty().note(note(1, None, "other")),
        empty().advances(),
        empty().extend(Duration::from_secs(1)),
        empty().extend(Duration::from_secs(2)),
        empty().release(Wake::at(Timestamp(1))),
        empty().release(Wake::at(Timestamp(2))),
        empty().release(Wake::message(1)),
        empty().release(Wake::message(2)),
        empty().release(Wake::message(2).or_at(Timestamp(1))),
        empty().finish(completed("a"), Retain::Keep),
        empty().finish(completed("b"), Retain::Keep),
        empty().finish(failed(FailureKind::Error, "a"), Retain::Keep),
        empty().finish(failed(FailureKind::Error, "b"), Retain::Keep),
        empty().finish(failed(FailureKind::Poison, "a"), Retain::Keep),
        empty().finish(completed("a"), Retain::Delete),
        empty().finish(completed("a"), Retain::KeepFor(Duration::from_secs(1))),
        empty().finish(completed("a"), Retain::KeepFor(Duration::from_secs(2))),
    ]
}

#[test]
fn whatever_a_commit_asks_for_is_in_its_digest() {
    let commits = all_different();
    for (index, commit) in commits.iter().enumerate() {
        let twin = commits[..index].iter().position(|other| other.digest() == commit.digest());
        assert_eq!(twin, None, "{commit:?}");
    }
}

#[test]
fn who_sends_a_commit_under_which_name_is_not() {
    let successor = Fence { incarnation: Incarnation(8), epoch: 4, token: Token(1) };
    assert_eq!(Commit { fence: successor, id: OperationId(2), ..empty() }.digest(), empty().digest());
}

const EMPTY: &str = "d1623a7b435f8be39ef1afa24d2df640d0d25bb77fc17ba5176081951f1f1322";
const ALL: &str = "5ce85653cbd2ff11000ad6df3f7930fdabc37c446b946e9fcc20b535aba5170d";

#[test]
fn the_digest_of_a_commit_never_changes() {
    let mut all = String::new();
    for commit in all_different() {
        all.push_str(&commit.digest().to_string());
    }
    assert_eq!(empty().digest().to_string(), EMPTY);
    assert_eq!(Digest::of(all.as_bytes()).to_string(), ALL);
}

/// The first outputs of SplitMix64 for the seed 1234567, as its authors publish them.
#[test]
fn seeded_ids_are_split_mix_64() {
    let ids = SeededIds::new(1_234_567);
    let halves = |bits: u128| [(bits >> 64) as u64, bits as u64];
    assert_eq!(halves(ids.bits()), [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    assert_eq!(halves(ids.bits()), [9_817_491_932_198_370_423, 4_593_380_528_125_082_431]);
}

#[test]
fn no_two_random_ids_are_alike() {
    assert_ne!(SystemIds.bits(), SystemIds.bits());
    assert_ne!(SystemIds.token(), SystemIds.token());
}
