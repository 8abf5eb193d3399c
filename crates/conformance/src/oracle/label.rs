//! What was seen in an answer, by the names of [`super::cover::PAIRS`].

use milepost_core::{Clash, Commit, Head, LeaseChange, Order, Outcome, Query, Refusal, Sent, Span, Status};
use milepost_store_memory::{Answer, Write};

use super::ask::{Ask, Told};

/// Names, put together at compile time for each operation that has the refusal.
macro_rules! refusals {
    ($operation:literal, $refusal:expr, $before:expr) => {{
        let before: Option<&Head> = $before;
        match $refusal {
            Refusal::NotFound if before.is_none() => concat!($operation, ": NotFound, no run"),
            Refusal::NotFound => concat!($operation, ": NotFound, another life"),
            Refusal::Fenced { .. } => match before {
                Some(head) if head.lease.is_none() && head.outcome.is_none() => {
                    concat!($operation, ": Fenced, released")
                }
                _ => concat!($operation, ": Fenced by a newer one"),
            },
            Refusal::Finished { .. } => concat!($operation, ": Finished"),
            Refusal::Unsupported { .. } => concat!($operation, ": Unsupported"),
            Refusal::Trimmed { .. } => concat!($operation, ": Trimmed"),
            Refusal::IdReused => concat!($operation, ": IdReused"),
            Refusal::Conflict { clash, .. } => match clash {
                Clash::Version => concat!($operation, ": Conflict, Version"),
                Clash::NotWaiting(_) => concat!($operation, ": Conflict, NotWaiting"),
                Clash::MissingBlob(_) => concat!($operation, ": Conflict, MissingBlob"),
                Clash::SnapshotCursor(_) => concat!($operation, ": Conflict, SnapshotCursor"),
                Clash::Trim(_) => concat!($operation, ": Conflict, Trim"),
                Clash::NotFinished => concat!($operation, ": Conflict, NotFinished"),
                Clash::Driven => concat!($operation, ": Conflict, Driven"),
                _ => "",
            },
            _ => "",
        }
    }};
}

macro_rules! failed {
    ($operation:literal, $told:expr, $before:expr) => {
        match $told {
            Told::Refused(refusal) => refusals!($operation, &**refusal, $before),
            Told::Failed(milepost_core::ErrorKind::Invalid) => concat!($operation, ": Invalid"),
            Told::Failed(_) => concat!($operation, ": TooLarge"),
            _ => "",
        }
    };
}

/// The names of what a stream has shown.
macro_rules! read {
    ($operation:literal, $items:literal, $part:expr, $span:expr, $waits:expr) => {{
        let (part, span): (Part, &Span) = ($part, $span);
        let name = |forward, reverse| if span.reverse { reverse } else { forward };
        let mut seen = vec![];
        seen.extend((part.count == 0).then_some(concat!($operation, ": nothing")));
        seen.extend((part.count > 1).then_some(name(
            concat!($operation, ": ", $items),
            concat!($operation, ": ", $items, ", newest first"),
        )));
        seen.extend(part.after.then_some(name(
            concat!($operation, ": ", $items, " after the first ones"),
            concat!($operation, ": ", $items, " after the first ones, newest first"),
        )));
        seen.extend(part.until.then_some(name(
            concat!($operation, ": ", $items, " until the last ones"),
            concat!($operation, ": ", $items, " until the last ones, newest first"),
        )));
        seen.extend(part.cut.then_some(name(
            concat!($operation, ": ", $items, " up to a limit"),
            concat!($operation, ": ", $items, " up to a limit, newest first"),
        )));
        seen.extend((span.follow && $waits).then_some(concat!($operation, ": followed")));
        let ended = span.follow && !$waits && part.count > 0;
        seen.extend(ended.then_some(concat!($operation, ": followed to its end")));
        seen
    }};
}

/// Which part of all there is a stream has shown.
struct Part {
    count: usize,
    /// Something stands before it, and its span says so.
    after: bool,
    /// Something stands behind it, and its span says so.
    until: bool,
    /// Its limit ended it before its span did.
    cut: bool,
}

fn part_of(span: &Span, count: usize, first: u64, newest: u64) -> Part {
    let until = span.until.unwrap_or(u64::MAX).min(newest);
    let within = (until + 1).saturating_sub(span.after.max(first - 1) + 1);
    Part {
        count,
        after: count > 0 && span.after >= first,
        until: count > 0 && until < newest,
        cut: count > 0 && span.limit == Some(count as u64) && (count as u64) < within,
    }
}

/// What is seen in the answer `told` to `ask`, on a run that was `before` and is `after`.
pub(crate) fn labels(
    ask: &Ask,
    told: &Told,
    before: Option<&Head>,
    after: Option<&Head>,
    waits: bool,
) -> Vec<&'static str> {
    match ask {
        Ask::Write(_, write) => match (&**write, told) {
            (Write::Open(open, _), Told::Answer(_)) => vec![match (before, after) {
                (None, Some(head)) if head.draft => "open: created a draft",
                (None, _) => "open: created",
                (Some(before), Some(after)) if before.fence == after.fence => "open: repeated",
                (Some(before), _) if before.outcome.is_some() => "open: reopened a failed run",
                (Some(before), _) if before.lease.is_none() => "open: resumed a released run",
                (Some(before), _) if before.due.is_some_and(|due| due <= before.at) => {
                    "open: took a dead lease over"
                }
                _ if open.takeover != milepost_core::Takeover::IfDue => "open: took a live lease over",
                _ => "",
            }],
            (Write::Open(..), Told::Refused(refusal)) => vec![refused_open(refusal, before)],
            (Write::Open(..), told) => vec![failed!("open", told, before)],
            (Write::Commit(commit), told) => committed(commit, told, before, after),
            (Write::Renew(_), Told::Answer(_)) => {
                let until = |head: Option<&Head>| head.and_then(|head| Some(head.lease.as_ref()?.until));
                let renewed =
                    if until(before) == until(after) { "renew: never shortens" } else { "renew: extended" };
                vec!["renew: Ok", renewed]
            }
            (Write::Renew(renew), told) => match before {
                Some(head) if is_forged(head, renew.fence) => vec!["renew: Fenced, another token"],
                _ => vec![failed!("renew", told, before)],
            },
            (Write::Send(_), Told::Answer(answer)) => sent(answer, before, after),
            (Write::Send(_), told) => vec![failed!("send", told, before)],
            (Write::Delete(_), Told::Answer(_)) => vec![match before {
                None => "delete: no run",
                Some(head) if head.outcome.is_some() => "delete: a finished run",
                Some(head) if head.lease.is_none() => "delete: a released run",
                Some(_) => "delete: a driven run",
            }],
            (Write::Delete(_), told) => vec![failed!("delete", told, before)],
        },
        Ask::Many(_) => many(told),
        Ask::Head(_) => vec![match told {
            Told::Head(Some(head)) => match head.status() {
                Status::Running => "head: running",
                Status::Waiting => "head: waiting",
                Status::Interrupted => "head: interrupted",
                Status::Completed => "head: completed",
                Status::Failed => "head: failed",
            },
            _ => "head: none",
        }],
        Ask::Snapshot(_, at) => vec![match told {
            Told::Snapshot(None) => "snapshot: none",
            Told::Snapshot(Some(_)) if *at == milepost_core::At::Latest => "snapshot: the newest",
            Told::Snapshot(Some(_)) => "snapshot: at or before",
            told => failed!("snapshot", told, before),
        }],
        Ask::Stream(_, span) => match (told, before) {
            (Told::Records(records), Some(head)) => {
                let seen = part_of(span, records.len(), head.first, head.cursor);
                read!("stream", "records", seen, span, waits)
            }
            (told, before) => vec![failed!("stream", told, before)],
        },
        Ask::Inbox(_, span) => match (told, before) {
            (Told::Messages(messages), Some(head)) => {
                let seen = part_of(span, messages.len(), 1, head.newest_message);
                read!("inbox", "messages", seen, span, waits)
            }
            (told, before) => vec![failed!("inbox", told, before)],
        },
        Ask::Blob(..) => vec![match told {
            Told::Blob(Some(_)) => "blob: found",
            Told::Blob(None) => "blob: none",
            told => failed!("blob", told, before),
        }],
        Ask::Blobs(_) => vec![match told {
            Told::Blobs(blobs) if blobs.is_empty() => "blobs: nothing",
            Told::Blobs(_) => "blobs: some",
            told => failed!("blobs", told, before),
        }],
        Ask::List(query) => listed(query, told),
    }
}

/// Whether `fence` has the newest epoch of this life, and another token.
fn is_forged(head: &Head, fence: milepost_core::Fence) -> bool {
    let (now, then) = (head.fence, fence);
    let driven = head.lease.is_some();
    driven && now.incarnation == then.incarnation && now.epoch == then.epoch && now.token != then.token
}

fn refused_open(refusal: &Refusal, before: Option<&Head>) -> &'static str {
    match refusal {
        Refusal::NotFound => "open: NotFound",
        Refusal::AlreadyExists => "open: AlreadyExists",
        Refusal::ManifestMismatch { .. } => "open: ManifestMismatch",
        Refusal::LeaseHeld { owner: Some(_), .. } if before.is_some_and(|head| head.draft) => {
            "open: LeaseHeld by the owner of a draft"
        }
        Refusal::LeaseHeld { owner: Some(_), .. } => "open: LeaseHeld by an owner",
        Refusal::LeaseHeld { expires_in: Some(_), .. } => "open: LeaseHeld until an instant",
        Refusal::LeaseHeld { .. } => "open: LeaseHeld until a message",
        other => refusals!("open", other, before),
    }
}

fn committed(commit: &Commit, told: &Told, before: Option<&Head>, after: Option<&Head>) -> Vec<&'static str> {
    match (told, before, after) {
        (Told::Answer(answer), Some(before), Some(after)) => match &**answer {
            Answer::Committed(committed) if committed.replayed => vec![
                "commit: replayed",
                match before {
                    head if head.fence != commit.fence => "commit: replayed after a takeover",
                    head if head.outcome.is_some() => "commit: replayed after its outcome",
                    head if head.lease.is_none() => "commit: replayed after its release",
                    _ => "",
                },
            ],
            _ => held(commit, before, after),
        },
        (Told::Refused(refusal), Some(head), _) => vec![match &**refusal {
            Refusal::Fenced { .. } if is_forged(head, commit.fence) => "commit: Fenced, another token",
            Refusal::Duplicate { cursor } if *cursor > head.cursor => "commit: Duplicate within",
            Refusal::Duplicate { .. } => "commit: Duplicate of the run's",
            refusal => refusals!("commit", refusal, Some(head)),
        }],
        (told, before, _) => vec![failed!("commit", told, before)],
    }
}

/// The parts of a commit that holds.
fn held(commit: &Commit, before: &Head, after: &Head) -> Vec<&'static str> {
    let mut seen = vec!["commit: held"];
    let mut part = |there: bool, label| seen.extend(there.then_some(label));
    part(!commit.records.is_empty(), "commit: held with records");
    part(commit.records.iter().any(|record| record.id.is_some()), "commit: held with record ids");
    part(!commit.blobs.is_empty(), "commit: held with blobs");
    part(
        commit.records.iter().any(|record| !record.blobs.is_empty()),
        "commit: held with a blob that a record names",
    );
    part(after.sizes.blobs < before.sizes.blobs, "commit: held and dropped a blob");
    if let Some(snapshot) = &commit.snapshot {
        let kept = after.snapshots.contains(&snapshot.cursor);
        part(kept, "commit: held with a snapshot");
        part(!kept, "commit: held and dropped its old snapshot");
    }
    part(before.draft && !after.draft, "commit: held and ended a draft");
    part(after.first > before.first, "commit: held and trimmed");
    part(!commit.take.is_empty(), "commit: held and took a message");
    part(commit.note.is_some(), "commit: held with a note");
    part(before.lapses > 0 && commit.advances, "commit: held and reset the lapses");
    let until = |head: &Head| head.lease.as_ref().map(|lease| lease.until);
    if let LeaseChange::Extend(_) = commit.lease {
        part(until(after) > until(before), "commit: held and extended the lease");
    }
    if let LeaseChange::Release(wake) = commit.lease {
        let due = after.due.is_some_and(|due| due <= after.at);
        let woken = wake.after.is_some_and(|seen| seen < after.newest_message);
        part(due && wake.after.is_none(), "commit: held and released, due at once");
        part(!due && after.due.is_some(), "commit: held and released until an instant");
        part(after.due.is_none(), "commit: held and released until a message");
        part(woken, "commit: held and released, woken by a message already");
    }
    match &after.outcome {
        Some(Outcome::Completed { .. }) => part(true, "commit: held and completed"),
        Some(Outcome::Failed { .. }) => part(true, "commit: held and failed"),
        None => {}
    }
    part(until(before).is_some_and(|until| until <= before.at), "commit: held though the lease had run out");
    seen
}

fn many(told: &Told) -> Vec<&'static str> {
    let Told::Many(answers) = told else { return vec![] };
    let held = answers.iter().filter(|answer| matches!(answer, Told::Answer(_))).count();
    let twice = answers.iter().filter(|answer| matches!(answer, Told::Failed(_))).count();
    let mut seen = vec![];
    seen.extend((held == answers.len() && held > 1).then_some("commit_many: all held"));
    seen.extend((held > 0 && held < answers.len()).then_some("commit_many: one held, one did not"));
    seen.extend((held > 0 && twice > 1).then_some("commit_many: a run twice"));
    seen
}

fn sent(answer: &Answer, before: Option<&Head>, after: Option<&Head>) -> Vec<&'static str> {
    let Answer::Sent(sent) = answer else { return vec![] };
    let due = |head: Option<&Head>| head.and_then(|head| head.due);
    let finished = before.is_some_and(|head| head.outcome.is_some());
    match sent {
        Sent::Accepted { .. } if due(before) != due(after) => {
            vec!["send: Accepted", "send: Accepted, and woke the run"]
        }
        Sent::Accepted { .. } if before.is_some_and(|head| head.lease.is_none()) => {
            vec!["send: Accepted", "send: Accepted, and did not wake the run"]
        }
        Sent::Accepted { .. } => vec!["send: Accepted"],
        Sent::Repeated { .. } if finished => vec!["send: Repeated", "send: Repeated after the outcome"],
        Sent::Repeated { .. } => vec!["send: Repeated"],
        Sent::Conflicting { .. } => vec!["send: Conflicting"],
    }
}

fn listed(query: &Query, told: &Told) -> Vec<&'static str> {
    let Told::Heads(heads) = told else { return vec![failed!("list", told, None)] };
    if heads.is_empty() {
        return vec!["list: nothing"];
    }
    let by = match query {
        Query { status: Some(_), .. } => "list: by status",
        Query { due_by: Some(_), .. } => "list: by due",
        Query { name: Some(_), .. } => "list: by name",
        Query { labels, .. } if !labels.is_empty() => "list: by label",
        Query { parent: Some(_), .. } => "list: by parent",
        Query { failure: Some(_), .. } => "list: by failure",
        Query { idle_since: Some(_), .. } => "list: by idleness",
        Query { expired: true, .. } => "list: expired",
        _ => "list: every run",
    };
    let mut seen = vec![by];
    seen.extend((query.order == Order::NewestFirst && heads.len() > 1).then_some("list: the newest first"));
    seen.extend((query.limit == Some(heads.len() as u64)).then_some("list: cut at a limit"));
    seen
}
