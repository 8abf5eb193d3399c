//! How values read: in errors, logs and reports. No body is ever printed.

use std::error::Error as _;

use milepost_core::{
    Applied, Bytes, Capabilities, Capability, CapabilitySet, Checksum, Digest, Durability, Error, ErrorKind,
    Failure, FailureKind, Kind, Manifest, Message, MessageKey, NewMessage, NewRecord, Operation, OperationId,
    Outcome, Owner, RunId, RunInfo, Status, Timestamp,
};

#[test]
fn names_read_as_they_are_stored() {
    let names = Capability::ALL.map(|capability| capability.to_string());
    let expected = [
        "Log",
        "TailStream",
        "Snapshots",
        "History",
        "RecordIds",
        "Inbox",
        "Blobs",
        "List",
        "Follow",
        "BatchCommit",
    ];
    assert_eq!(names, expected);
    let durability = [Durability::Process, Durability::Buffered, Durability::Fsync, Durability::Replicated];
    assert_eq!(durability.map(|level| level.to_string()), ["process", "buffered", "fsync", "replicated"]);
    assert!(durability.is_sorted());
    let status = [Status::Running, Status::Waiting, Status::Interrupted, Status::Completed, Status::Failed];
    let expected = ["running", "waiting", "interrupted", "completed", "failed"];
    assert_eq!(status.map(|status| status.to_string()), expected);
    for kind in FailureKind::ALL {
        assert_eq!(FailureKind::from_name(&kind.to_string()), Some(kind));
    }
    let timed_out = Failure::new(FailureKind::TimedOut, "after 5 s");
    assert_eq!(timed_out.to_string(), "timed-out: after 5 s");
    assert_eq!(Owner::new("host 1").to_string(), "host 1");
}

#[test]
fn a_set_of_capabilities_is_a_list_of_their_names() {
    let set = CapabilitySet::NONE.with(Capability::Follow).with(Capability::Log).with(Capability::Log);
    assert_eq!(format!("{set:?}"), "{Log, Follow}");
    assert_eq!(Vec::from(set), [Capability::Log, Capability::Follow]);
    assert_eq!(CapabilitySet::from(Vec::from(set)), set);
    let offered = Capabilities { set, ..Capabilities::new(Durability::Process) };
    assert!(offered.supports_log() && offered.supports_follow() && !offered.supports_list());
}

#[test]
fn digests_read_as_hexadecimal_digits() {
    const EMPTY: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"; // BLAKE3 of nothing
    assert_eq!(Digest::of(b"").to_string(), EMPTY);
    assert_eq!(format!("{:?}", Digest::of(b"")), EMPTY);
    assert_eq!(Manifest::of(b"").to_string(), EMPTY);
    assert_eq!(format!("{:?}", Checksum([0xab; 16])), "ab".repeat(16));
}

#[test]
fn bodies_are_told_by_their_size_alone() {
    const SECRET: &str = "hunter2-hunter2";
    let key = MessageKey::from_static("key");
    let sent = NewMessage::new(OperationId(1), key.clone(), Kind::from_static("kind"), SECRET);
    let body = Bytes::from_static(SECRET.as_bytes());
    let waiting = Message {
        number: 1,
        id: OperationId(1),
        key,
        kind: Kind::from_static("kind"),
        body: body.clone(),
        at: Timestamp(0),
    };
    for told in [
        format!("{sent:?}"),
        format!("{waiting:?}"),
        format!("{:?}", NewRecord::new(Kind::from_static("kind"), SECRET)),
        format!("{:?}", Outcome::Completed { output: body }),
    ] {
        assert!(!told.contains("hunter2") && told.contains("15"), "{told}");
    }
}

#[test]
fn an_error_tells_where_it_occurred() {
    let run = RunId::from_static("r");
    let told = |backend: Option<&'static str>, run: Option<&RunId>| {
        let error = Error::new(ErrorKind::Busy, "locked");
        let error = match backend {
            Some(backend) => error.during(backend, Operation::Commit, run),
            None => error,
        };
        (error.to_string(), error.run().cloned())
    };
    assert_eq!(told(None, None), ("locked".to_owned(), None));
    assert_eq!(told(Some("sqlite"), None), ("sqlite commit: locked".to_owned(), None));
    let expected = ("sqlite commit of run \"r\": locked".to_owned(), Some(run.clone()));
    assert_eq!(told(Some("sqlite"), Some(&run)), expected);
}

#[test]
fn an_error_keeps_its_source_out_of_its_line_and_in_its_debug() {
    let error = Error::new(ErrorKind::Unavailable, "nobody answers")
        .with_source(std::io::Error::other("reset by peer"))
        .with_applied(Applied::Maybe);
    assert_eq!(error.to_string(), "nobody answers");
    assert_eq!(error.source().unwrap().to_string(), "reset by peer");
    let told = format!("{error:?}");
    for part in ["Unavailable", "nobody answers", "Maybe", "reset by peer"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[test]
fn an_info_is_built_part_by_part() {
    let info =
        RunInfo::named("import").label("team", "data").label("env", "eu").parent(RunId::from_static("p"));
    assert_eq!(info.name, "import");
    assert_eq!(info.labels.len(), 2);
    assert_eq!(info.labels["team"], "data");
    assert_eq!(info.parent, Some(RunId::from_static("p")));
}
