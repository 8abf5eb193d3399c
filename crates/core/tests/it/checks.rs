//! What needs no store is refused before one is asked.

use std::time::Duration;

use milepost_core::{
    At, Blob, Capabilities, Capability, Commit, Durability, Error, ErrorKind, Failure, FailureKind, Fence,
    INFO_LIMIT, Incarnation, Kind, Limits, Manifest, MessageKey, NOTE_LIMIT, NewMessage, NewRecord, Note,
    Open, OperationId, Outcome, Query, Refusal, Renew, Result, Retain, RunId, RunInfo, Snapshot, Span, Token,
};

const LIMITS: Limits =
    Limits { record: 10, commit: 25, snapshot: 12, blob: 14, run_id: 3, ..Limits::DEFAULT };
const OFFERED: Capabilities = Capabilities::all(Durability::Process).limits(LIMITS);
const FENCE: Fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };

fn commit() -> Commit {
    Commit::new(RunId::from_static("run"), FENCE, OperationId(1), 1)
}

fn record(size: usize) -> NewRecord {
    NewRecord::new(Kind::from_static("k"), vec![0; size])
}

fn completed(size: usize) -> Outcome {
    Outcome::Completed { output: vec![0; size].into() }
}

fn failed(size: usize) -> Outcome {
    Outcome::Failed { failure: Failure::new(FailureKind::Error, "x".repeat(size)) }
}

fn kind(result: Result<()>) -> Option<ErrorKind> {
    result.err().as_ref().map(Error::kind)
}

fn lacks(result: Result<()>, capability: Capability) -> bool {
    result.expect_err("it is refused").refusal() == Some(&Refusal::Unsupported { capability })
}

#[test]
fn each_body_may_be_as_large_as_its_limit_and_no_larger() {
    let at = |size: usize| {
        [
            (size, 10, commit().record(record(size))),
            (size, 14, commit().blob(Blob::of(vec![0; size]))),
            (size, 12, commit().snapshot(Snapshot::new(0, vec![0; size]))),
            (size, 10, commit().finish(completed(size), Retain::Keep)),
            (size, 10, commit().finish(failed(size), Retain::Keep)),
        ]
    };
    for (size, limit, commit) in (1..16).flat_map(at) {
        let expected = (size > limit).then_some(ErrorKind::TooLarge);
        assert_eq!(kind(commit.check(&OFFERED)), expected, "{size} of {limit}: {commit:?}");
    }
}

#[test]
fn bodies_of_every_sort_count_towards_the_commit() {
    let full = [
        commit().record(record(10)).record(record(10)).record(record(5)),
        commit().blob(Blob::of(vec![0; 14])).record(record(10)).record(record(1)),
        commit().snapshot(Snapshot::new(0, vec![0; 12])).record(record(10)).record(record(3)),
        commit().finish(completed(9), Retain::Keep).record(record(10)).record(record(6)),
        commit().finish(failed(8), Retain::Keep).snapshot(Snapshot::new(0, vec![0; 12])).record(record(5)),
        commit().blob(Blob::of(vec![0; 14])).blob(Blob::of(vec![1; 11])),
    ];
    for commit in full {
        assert_eq!(kind(commit.check(&OFFERED)), None, "{commit:?}");
        let over = commit.record(record(1));
        assert_eq!(kind(over.check(&OFFERED)), Some(ErrorKind::TooLarge), "{over:?}");
    }
}

#[test]
fn too_large_says_what_and_how_much() {
    let told = commit().record(record(11)).check(&OFFERED).unwrap_err().to_string();
    assert_eq!(told, "a record has 11 bytes, this store takes at most 10");
}

#[test]
fn a_run_id_may_be_as_long_as_the_store_takes() {
    let long = RunId::from_static("long");
    let message =
        || NewMessage::new(OperationId(1), MessageKey::from_static("m"), Kind::from_static("k"), vec![0; 10]);
    let create = || Open::create(OperationId(1), RunInfo::named("n"), Manifest::of(b""));
    for (run, expected) in [(RunId::from_static("run"), None), (long, Some(ErrorKind::TooLarge))] {
        assert_eq!(kind(create().check(&run, &OFFERED)), expected);
        assert_eq!(kind(message().check(&run, &OFFERED)), expected);
        assert_eq!(kind(Commit::new(run, FENCE, OperationId(1), 1).check(&OFFERED)), expected);
    }
    let large = NewMessage { body: vec![0; 11].into(), ..message() };
    assert_eq!(kind(large.check(&RunId::from_static("run"), &OFFERED)), Some(ErrorKind::TooLarge));
    assert!(lacks(
        message().check(&RunId::from_static("run"), &OFFERED.without(Capability::Inbox)),
        Capability::Inbox
    ));
}

#[test]
fn every_part_of_the_info_counts() {
    assert_eq!(INFO_LIMIT, 16_384);
    let full = |info: RunInfo| {
        let open = |meta: usize| {
            let info = info.clone().meta(vec![0; meta]);
            let open = Open::create(OperationId(1), info, Manifest::of(b""));
            kind(open.check(&RunId::from_static("run"), &OFFERED))
        };
        (0..INFO_LIMIT + 2).rfind(|meta| open(*meta).is_none())
    };
    assert_eq!(full(RunInfo::named("12345")), Some(INFO_LIMIT - 5));
    assert_eq!(full(RunInfo::named("1").parent(RunId::from_static("23"))), Some(INFO_LIMIT - 3));
    assert_eq!(full(RunInfo::named("1").label("23", "456")), Some(INFO_LIMIT - 6));
    assert_eq!(full(RunInfo::named("1").label("2", "3").label("4", "")), Some(INFO_LIMIT - 4));
}

#[test]
fn a_note_has_less_than_a_kibibyte() {
    assert_eq!(NOTE_LIMIT, 1_024);
    for (size, expected) in [(0, None), (1_023, None), (1_024, Some(ErrorKind::TooLarge))] {
        let text = "x".repeat(size);
        assert_eq!(kind(Note::new(0, None, text.clone()).map(drop)), expected, "{size}");
        let note = Note { text, ..Note::default() };
        assert_eq!(kind(Renew::new(FENCE, Duration::from_secs(1)).note(note.clone()).check()), expected);
        assert_eq!(kind(commit().note(note).check(&OFFERED)), expected);
    }
}

#[test]
fn a_lease_lasts_longer_than_nothing() {
    assert_eq!(kind(Renew::new(FENCE, Duration::ZERO).check()), Some(ErrorKind::Invalid));
    assert_eq!(kind(Renew::new(FENCE, Duration::from_nanos(1)).check()), None);
    assert_eq!(kind(commit().extend(Duration::from_nanos(1)).check(&OFFERED)), None);
}

#[test]
fn spans_ask_for_what_they_need() {
    use Capability::{Follow, Inbox, Log, TailStream};
    let everything = [
        Span::all(),
        Span::after(1),
        Span::all().follow(),
        Span::all().reverse(),
        Span::after(1).follow().limit(1),
    ];
    for span in everything {
        assert_eq!(kind(span.check_log(&OFFERED)), None, "{span:?}");
        assert_eq!(kind(span.check_inbox(&OFFERED)), None, "{span:?}");
        assert!(lacks(span.check_log(&OFFERED.without(Log)), Log));
        assert!(lacks(span.check_inbox(&OFFERED.without(Inbox)), Inbox));
        assert_eq!(kind(span.check_log(&OFFERED.without(Inbox))), None);
        assert_eq!(kind(span.check_inbox(&OFFERED.without(Log).without(TailStream))), None);
    }
    let tailless = OFFERED.without(TailStream);
    assert_eq!(kind(Span::all().check_log(&tailless)), None);
    assert!(lacks(Span::after(1).check_log(&tailless), TailStream));
    let followless = OFFERED.without(Follow);
    for span in [Span::all().follow(), Span::after(1).follow()] {
        assert!(lacks(span.check_log(&followless), Follow));
        assert!(lacks(span.check_inbox(&followless), Follow));
    }
    assert_eq!(kind(Span::all().reverse().check_log(&followless)), None);
    let backward = Span::all().reverse().follow();
    assert_eq!(kind(backward.check_log(&OFFERED)), Some(ErrorKind::Invalid));
    assert_eq!(kind(backward.check_inbox(&OFFERED)), Some(ErrorKind::Invalid));
}

#[test]
fn snapshots_and_listings_ask_for_what_they_need() {
    use Capability::{History, List, Snapshots};
    for at in [At::Latest, At::OrBefore(1)] {
        assert_eq!(kind(at.check(&OFFERED)), None);
        assert!(lacks(at.check(&OFFERED.without(Snapshots)), Snapshots));
    }
    assert_eq!(kind(At::Latest.check(&OFFERED.without(History))), None);
    assert!(lacks(At::OrBefore(1).check(&OFFERED.without(History)), History));
    assert_eq!(kind(Query::all().check(&OFFERED)), None);
    assert!(lacks(Query::all().check(&OFFERED.without(List)), List));
}

#[test]
fn a_name_may_be_as_long_as_its_limit() {
    let longest = "x".repeat(RunId::LIMIT);
    assert_eq!(RunId::new(&longest).unwrap().as_str(), longest);
    let told = RunId::new(longest + "y").unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid);
    assert!(told.to_string().contains("at most 255 bytes, this one has 256"), "{told}");
}

#[test]
fn limits_are_what_their_documentation_says() {
    assert_eq!((Limits::DEFAULT.record, Limits::DEFAULT.commit), (67_108_864, 268_435_456));
    assert_eq!((Limits::DEFAULT.snapshot, Limits::DEFAULT.blob), (268_435_456, 268_435_456));
    assert_eq!(Limits::default(), Limits::DEFAULT);
}
