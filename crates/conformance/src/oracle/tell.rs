//! How calls and answers are told, one line each.

use std::fmt::{self, Write as _};

use milepost_core::{Commit, Fence, Head, LeaseChange, Open, Refusal, RunId, Takeover};
use milepost_store_memory::{Answer, Write};

use super::ask::{Ask, Told};

/// A run's id without what makes it unlike those of all other cases.
struct Short<'a>(&'a RunId);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().split('-').next().unwrap_or_default())
    }
}

/// A fence by its life's first digits, its epoch and its token's first digits.
struct Brief(Fence);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fence { incarnation, epoch, token } = self.0;
        write!(f, "{:04x}.{epoch}.{:04x}", (incarnation.0 >> 112) as u16, (token.0 >> 48) as u16)
    }
}

fn opening(open: &Open) -> String {
    let mut text = format!("{:?}, id {:x}, ttl {:?}", open.mode, open.id.0 as u64, open.ttl);
    match open.takeover {
        Takeover::IfDue => {}
        Takeover::Over(fence) => _ = write!(text, ", over {}", Brief(fence)),
    }
    if open.reopen_failed {
        text.push_str(", reopen_failed");
    }
    if let Some(manifest) = open.manifest {
        _ = write!(text, ", manifest {:.4}", manifest.to_string());
    }
    if let Some(origin) = &open.origin {
        _ = write!(text, ", origin {}", origin.cursor);
    }
    text
}

fn committing(commit: &Commit) -> String {
    let mut text =
        format!("id {:x}, fence {}, expect {}", commit.id.0 as u64, Brief(commit.fence), commit.expect);
    let records: Vec<_> = commit
        .records
        .iter()
        .map(|record| {
            let id = record.id.as_ref().map_or(String::new(), |id| format!(" {id}"));
            let blobs: String = record
                .blobs
                .iter()
                .map(|name| format!(" names {name:.4}", name = name.to_string()))
                .collect();
            format!("{} B{id}{blobs}", record.body.len())
        })
        .collect();
    if !records.is_empty() {
        _ = write!(text, ", records [{}]", records.join(", "));
    }
    for blob in &commit.blobs {
        _ = write!(text, ", blob {:.4} of {} B", blob.name.to_string(), blob.body.len());
    }
    for name in &commit.drop_blobs {
        _ = write!(text, ", drop blob {:.4}", name.to_string());
    }
    if let Some(snapshot) = &commit.snapshot {
        _ = write!(text, ", snapshot at {}", snapshot.cursor);
    }
    if let Some(through) = commit.trim {
        _ = write!(text, ", trim through {through}");
    }
    if !commit.take.is_empty() {
        _ = write!(text, ", take {:?}", commit.take);
    }
    if let Some(note) = &commit.note {
        _ = write!(text, ", note {:.20?}", note.text);
    }
    if commit.advances {
        text.push_str(", advances");
    }
    if commit.lease != LeaseChange::Keep {
        _ = write!(text, ", {:?}", commit.lease);
    }
    if let Some(finish) = &commit.finish {
        _ = write!(text, ", {:?}, {:?}", finish.outcome, finish.retain);
    }
    text
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Write(run, write) => {
                let run = Short(run);
                match &**write {
                    Write::Open(open, _) => write!(f, "open {run}: {}", opening(open)),
                    Write::Commit(commit) => write!(f, "commit {run}: {}", committing(commit)),
                    Write::Renew(renew) => {
                        let note = if renew.note.is_some() { ", a note" } else { "" };
                        write!(f, "renew {run}: fence {}, ttl {:?}{note}", Brief(renew.fence), renew.ttl)
                    }
                    Write::Send(message) => {
                        let (key, kind, size) = (&message.key, &message.kind, message.body.len());
                        write!(f, "send {run}: key {key:?}, kind {kind:?}, {size} B, ")?;
                        match message.incarnation {
                            Some(incarnation) => write!(f, "for life {:04x}", (incarnation.0 >> 112) as u16),
                            None => f.write_str("for any life"),
                        }
                    }
                    Write::Delete(guard) => write!(f, "delete {run}: {guard:?}"),
                }
            }
            Ask::Many(commits) => {
                write!(f, "commit_many")?;
                commits
                    .iter()
                    .try_for_each(|commit| write!(f, " ({}: {})", Short(&commit.run), committing(commit)))
            }
            Ask::Head(run) => write!(f, "head {}", Short(run)),
            Ask::Snapshot(run, at) => write!(f, "snapshot {}: {at:?}", Short(run)),
            Ask::Stream(run, span) => write!(f, "stream {}: {span:?}", Short(run)),
            Ask::Inbox(run, span) => write!(f, "inbox {}: {span:?}", Short(run)),
            Ask::Blob(run, name) => write!(f, "blob {}: {:.4}", Short(run), name.to_string()),
            Ask::Blobs(run) => write!(f, "blobs {}", Short(run)),
            Ask::List(query) => write!(f, "list {query:?}"),
        }
    }
}

/// The parts of a head in which histories differ.
fn summary(f: &mut fmt::Formatter<'_>, head: &Head) -> fmt::Result {
    let Head { version, cursor, first, snapshots, lapses, newest_message, sizes, .. } = head;
    write!(
        f,
        "{}, fence {}, version {version}, records {first}..={cursor}",
        head.status(),
        Brief(head.fence)
    )?;
    if head.draft {
        f.write_str(", a draft")?;
    }
    if !snapshots.is_empty() {
        write!(f, ", snapshots {snapshots:?}")?;
    }
    if *lapses > 0 {
        write!(f, ", lapses {lapses}")?;
    }
    if *newest_message > 0 {
        write!(f, ", messages up to {newest_message}")?;
    }
    let (records, states, blobs, messages) = (sizes.records, sizes.snapshots, sizes.blobs, sizes.messages);
    write!(f, ", {records}+{states}+{blobs}+{messages} B")?;
    if let Some(due) = head.due {
        write!(f, ", due in {} µs", due.0.saturating_sub(head.at.0))?;
    }
    if let Some(lease) = &head.lease {
        write!(f, ", {} until {} µs", lease.owner, lease.until.0.saturating_sub(head.at.0))?;
    }
    if let Some(after) = head.delete_after {
        write!(f, ", to delete in {} µs", after.0.saturating_sub(head.at.0))?;
    }
    head.note.as_ref().map_or(Ok(()), |note| write!(f, ", {:?}", note.text))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Head(None) => f.write_str("no run"),
            Told::Head(Some(head)) => summary(f, head),
            Told::Heads(heads) => heads.iter().try_for_each(|head| {
                write!(f, "({}: ", Short(&head.run))?;
                summary(f, head)?;
                f.write_str(") ")
            }),
            Told::Answer(answer) => match &**answer {
                Answer::Opened(opened) => {
                    f.write_str(if opened.created { "created: " } else { "opened: " })?;
                    summary(f, &opened.head)?;
                    if opened.fence == opened.head.fence {
                        Ok(())
                    } else {
                        write!(f, ", but fence {}", Brief(opened.fence))
                    }
                }
                Answer::Committed(committed) => {
                    let replayed = if committed.replayed { ", replayed" } else { "" };
                    write!(f, "version {}, cursor {}{replayed}", committed.version, committed.cursor)
                }
                other => write!(f, "{other:?}"),
            },
            Told::Many(answers) => answers.iter().try_for_each(|answer| write!(f, "({answer}) ")),
            Told::Refused(refusal) => match &**refusal {
                Refusal::Conflict { head, clash } => {
                    write!(f, "Conflict, {clash:?}: ")?;
                    summary(f, head)
                }
                Refusal::Fenced { current } => write!(f, "Fenced by {}", Brief(*current)),
                other => write!(f, "{other:?}"),
            },
            Told::Failed(kind) => write!(f, "{kind:?}"),
            Told::Lost => f.write_str("no answer"),
            Told::Unreached => f.write_str("not reached"),
            Told::Broken(text) => f.write_str(text),
            Told::Snapshot(snapshot) => write!(f, "{snapshot:?}"),
            Told::Records(records) => write!(f, "{records:?}"),
            Told::Messages(messages) => write!(f, "{messages:?}"),
            Told::Blob(body) => write!(f, "{body:?}"),
            Told::Blobs(blobs) => write!(f, "{blobs:?}"),
        }
    }
}
