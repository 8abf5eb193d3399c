//! From a relative step to the call that it comes to where a history stands.

use std::time::Duration;

use milepost_core::{
    At, Blob, Bytes, Commit, Cursor, Delete, Digest, Failure, FailureKind, Fence, Head, INFO_LIMIT,
    Incarnation, Kind, LeaseChange, Manifest, MessageKey, NOTE_LIMIT, NewMessage, NewRecord, Note, Open,
    OperationId, Order, Origin, Outcome, Owner, Query, RecordId, Renew, Retain, RunId, RunInfo, Snapshot,
    Span, Takeover, Timestamp, Token, Wake,
};
use milepost_store_memory::{Mint, Write};

use super::{
    ask::Ask,
    model::Model,
    step::{
        Act, By, Change, CommitPlan, Filter, Guard, Keep, Life, ListBy, OpenPlan, Pass, Pick, Place,
        SpanPlan, Step, Text, Ttl,
    },
};

/// The mint of an open whose answer nobody has seen.
pub(crate) const UNKNOWN: Mint = Mint { incarnation: Incarnation(0), token: Token(0) };

/// What was asked of a run, and seen of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Every fence that was ever its newest.
    pub(crate) fences: Vec<Fence>,
    /// Every write.
    pub(crate) sent: Vec<Ask>,
}

/// Where a history stands.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) model: &'a Model,
    pub(crate) runs: &'a [RunId],
    /// What the ids of all runs begin with.
    pub(crate) prefix: &'a str,
    pub(crate) known: &'a [Known],
    pub(crate) now: Timestamp,
    /// Whether the clock can be moved.
    pub(crate) exact: bool,
    /// A lease that outlasts the case.
    pub(crate) long: Duration,
}

/// The label that every second life of a run has.
pub(crate) const LABEL: (&str, &str) = ("kind", "odd");

impl Standing<'_> {
    /// The call; `None` when the step is none, or nothing has been done yet that it could be about.
    pub(crate) fn ask(&self, step: &Step) -> Option<Ask> {
        let run = &self.runs[step.run];
        let write = |write| Some(Ask::Write(run.clone(), Box::new(write)));
        match &step.act {
            Act::Open(plan) => write(Write::Open(self.open(step, plan), UNKNOWN)),
            Act::Commit(plan) => write(Write::Commit(self.commit(step.run, step.nonce, plan))),
            Act::Many(plans) => {
                let commits = (0..).zip(plans);
                let commit = |(index, (run, plan)): (u64, &(usize, _))| {
                    self.commit(*run, step.nonce ^ index << 8, plan)
                };
                Some(Ask::Many(commits.map(commit).collect()))
            }
            Act::Renew { by, ttl, note } => {
                let renew = Renew::new(self.fence(step.run, *by), self.ttl(*ttl));
                write(Write::Renew(Renew { note: note_of(step.nonce, *note), ..renew }))
            }
            Act::Send { key, body, life, long } => {
                write(Write::Send(self.message(step, *key, *body, *life, *long)))
            }
            Act::Delete(guard) => write(Write::Delete(match guard {
                Guard::Any => Delete::Any,
                Guard::Finished(life) => Delete::Finished(self.life(step.run, *life)),
                Guard::NotDriven(life) => Delete::NotDriven(self.life(step.run, *life)),
            })),
            Act::Again { back } => {
                let sent = &self.known[step.run].sent;
                sent.len().checked_sub(1 + back % sent.len().max(1)).map(|index| sent[index].clone())
            }
            Act::Head => Some(Ask::Head(run.clone())),
            Act::Snapshot(Place::Past(_)) => Some(Ask::Snapshot(run.clone(), At::Latest)),
            Act::Snapshot(place) => {
                Some(Ask::Snapshot(run.clone(), At::OrBefore(self.place(step.run, *place, 0))))
            }
            Act::Stream(plan) => {
                Some(Ask::Stream(run.clone(), self.span(step.run, plan, |head| head.cursor)))
            }
            Act::Inbox(plan) => {
                Some(Ask::Inbox(run.clone(), self.span(step.run, plan, |head| head.newest_message)))
            }
            Act::Blob(number) => Some(Ask::Blob(run.clone(), name_of(*number))),
            Act::Blobs => Some(Ask::Blobs(run.clone())),
            Act::List(filter) => Some(Ask::List(self.query(step.run, filter))),
            Act::Pass(_) | Act::Reopen | Act::Thaw => None,
        }
    }

    fn head(&self, run: usize) -> Option<Head> {
        self.model.head(&self.runs[run], self.now)
    }

    fn newest_fence(&self, run: usize) -> Fence {
        let known = || self.known[run].fences.last().copied();
        let nobodys = Fence { incarnation: Incarnation(run as u128 + 1), epoch: 1, token: Token(1) };
        self.head(run).map(|head| head.fence).or_else(known).unwrap_or(nobodys)
    }

    fn fence(&self, run: usize, by: By) -> Fence {
        let newest = self.newest_fence(run);
        let known = self.known[run].fences.iter().rev();
        match by {
            By::Newest => newest,
            By::Older(back) => {
                let older: Vec<_> = known.filter(|fence| newest.supersedes(**fence)).collect();
                let fence = older.get(back % older.len().max(1));
                fence.map_or(Fence { epoch: newest.epoch - 1, ..newest }, |fence| **fence)
            }
            By::OtherToken => Fence { token: Token(newest.token.0 ^ 1), ..newest },
            By::NextEpoch => Fence { epoch: newest.epoch + 1, ..newest },
            By::OtherLife => {
                let other = known.copied().find(|fence| fence.incarnation != newest.incarnation);
                other.unwrap_or(Fence { incarnation: Incarnation(newest.incarnation.0 ^ 1), ..newest })
            }
        }
    }

    fn life(&self, run: usize, life: Life) -> Incarnation {
        let by = if life == Life::This { By::Newest } else { By::OtherLife };
        self.fence(run, by).incarnation
    }

    fn ttl(&self, ttl: Ttl) -> Duration {
        match ttl {
            Ttl::Zero => Duration::ZERO,
            Ttl::Short(ttl) if self.exact => ttl,
            Ttl::Short(_) | Ttl::Long => self.long,
        }
    }

    fn open(&self, step: &Step, plan: &OpenPlan) -> Open {
        let mut info = RunInfo::named(format!("handler-{}", step.run % 2));
        if step.nonce.is_multiple_of(2) {
            info = info.label(LABEL.0, LABEL.1).label("step", step.nonce.to_string());
        }
        if step.run > 0 {
            info = info.parent(self.runs[0].clone());
        }
        if plan.big {
            info = info.meta(vec![0; INFO_LIMIT + 1]);
        }
        let manifest = Manifest::of(if plan.other_manifest { b"other" } else { b"asked" });
        Open {
            id: id_of(step.nonce),
            mode: plan.mode,
            info: (!plan.bare).then_some(info),
            manifest: (!plan.bare).then_some(manifest),
            origin: plan.origin.map(|cursor| Origin { cursor, lineage: None }),
            owner: Owner::new(format!("owner-{}", step.nonce % 3)),
            ttl: self.ttl(plan.ttl),
            takeover: plan.over.map_or(Takeover::IfDue, |by| Takeover::Over(self.fence(step.run, by))),
            reopen_failed: plan.reopen_failed,
        }
    }

    fn commit(&self, run: usize, nonce: u64, plan: &CommitPlan) -> Commit {
        let head = self.head(run);
        let version = head.as_ref().map_or(1, |head| head.version);
        let last = self.known[run].sent.iter().rev().find_map(|ask| match ask {
            Ask::Write(_, write) => match &**write {
                Write::Commit(commit) => Some(commit.id),
                _ => None,
            },
            _ => None,
        });
        let id = last.filter(|_| plan.reused).unwrap_or(id_of(nonce));
        let expect = version.saturating_add_signed(plan.expect);
        let mut commit = Commit::new(self.runs[run].clone(), self.fence(run, plan.by), id, expect);
        commit.records = (0..)
            .zip(&plan.records)
            .map(|(index, plan)| {
                let mut body = format!("{nonce:x} {index} ").into_bytes();
                body.resize(plan.size, nonce as u8);
                NewRecord {
                    kind: Kind::from_static(["entry", "step"][index % 2]),
                    body: body.into(),
                    id: plan.id.and_then(|id| RecordId::new(format!("id-{id}")).ok()),
                    blobs: plan.blob.map(name_of).into_iter().collect(),
                }
            })
            .collect();
        // The body is not always the one that the name is of: a layer may have encrypted it.
        let body = |number: u64| Bytes::from(format!("blob {number} {}", nonce % 2));
        commit.blobs =
            plan.blobs.iter().map(|number| Blob { name: name_of(*number), body: body(*number) }).collect();
        commit.drop_blobs = plan.drops.iter().map(|number| name_of(*number)).collect();
        let count = plan.records.len() as u64;
        commit.snapshot = plan
            .snapshot
            .map(|place| Snapshot::new(self.place(run, place, count), format!("the state of {nonce:x}")));
        commit.trim = plan.trim.map(|place| self.place(run, place, count));
        commit.take = plan.take.iter().map(|pick| self.message_number(run, *pick)).collect();
        commit.note = note_of(nonce, plan.note);
        commit.advances = plan.advances;
        commit.lease = self.change(run, plan.lease);
        if let Some((failure, keep)) = plan.finish {
            let retain = match keep {
                Keep::Ever => Retain::Keep,
                Keep::No => Retain::Delete,
                Keep::For(duration) => Retain::KeepFor(if self.exact { duration } else { self.long }),
            };
            return commit.finish(outcome_of(nonce, failure), retain);
        }
        commit
    }

    fn place(&self, run: usize, place: Place, appended: u64) -> Cursor {
        let head = self.head(run);
        let end = head.as_ref().map_or(0, |head| head.cursor) + appended;
        match place {
            Place::Back(back) => end.saturating_sub(back),
            Place::Past(past) => end + past,
            Place::Snapshot(index, off) => {
                let cursor = head.and_then(|head| head.snapshots.get(index).copied()).unwrap_or(end);
                cursor.saturating_add_signed(off)
            }
            Place::Origin => head.and_then(|head| head.origin).map_or(0, |origin| origin.cursor),
        }
    }

    fn message_number(&self, run: usize, pick: Pick) -> u64 {
        let newest = self.head(run).map_or(0, |head| head.newest_message);
        let image = self.model.image(&self.runs[run]);
        let waiting = image.and_then(|image| image.inbox(&Span::all(), usize::MAX).ok()).unwrap_or_default();
        match pick {
            Pick::Waiting(index) => {
                waiting.get(index).map_or(newest + 1 + index as u64, |message| message.number)
            }
            Pick::Future => newest + 3,
            Pick::First => 1,
        }
    }

    fn change(&self, run: usize, change: Change) -> LeaseChange {
        let newest = self.head(run).map_or(0, |head| head.newest_message);
        let at = |after: Duration| self.now + if self.exact { after } else { self.long };
        LeaseChange::Release(match change {
            Change::Keep => return LeaseChange::Keep,
            Change::Extend(ttl) => return LeaseChange::Extend(self.ttl(ttl)),
            Change::Now => Wake::now(),
            Change::At(after) => Wake::at(at(after)),
            Change::Message(off) => Wake::message(newest.saturating_add_signed(off)),
            Change::Either(after, off) => Wake::message(newest.saturating_add_signed(off)).or_at(at(after)),
            Change::Never => Wake { at: None, after: None },
        })
    }

    fn message(&self, step: &Step, key: u64, body: u64, life: Option<Life>, long: bool) -> NewMessage {
        let key = MessageKey::new(format!("key {key}")).expect("the key is short");
        let kind = Kind::from_static(["signal", "other"][usize::from(body == 2)]);
        let body = if long { Bytes::from(vec![0; LONG]) } else { Bytes::from(format!("body {body}")) };
        let message = NewMessage::new(id_of(step.nonce), key, kind, body);
        NewMessage { incarnation: life.map(|life| self.life(step.run, life)), ..message }
    }

    fn span(&self, run: usize, plan: &SpanPlan, newest: impl Fn(&Head) -> u64) -> Span {
        let newest = self.head(run).map_or(0, |head| newest(&head));
        let place = |place: Place| match place {
            Place::Back(back) => newest.saturating_sub(back),
            Place::Past(past) => newest + past,
            other => self.place(run, other, 0),
        };
        Span {
            after: plan.after.map_or(0, place),
            until: plan.until.map(place),
            limit: plan.limit,
            reverse: plan.reverse,
            follow: plan.follow,
            page: plan.page,
            incarnation: plan.life.map(|life| self.life(run, life)),
        }
    }

    /// The instant of a listing. Where the clock stands still only instants far away are sure.
    fn instant(&self, run: usize, pass: Pass) -> Timestamp {
        const FAR: Duration = Duration::from_secs(86_400);
        match pass {
            Pass::Ago(_) if !self.exact => self.now - FAR,
            Pass::For(_) | Pass::ToDue(_) if !self.exact => self.now + FAR,
            Pass::For(duration) => self.now + duration,
            Pass::Ago(duration) => self.now - duration,
            Pass::ToDue(off) => Timestamp(self.due(run).0.saturating_add(off)),
        }
    }

    /// When a run is due; now, if nothing says when.
    pub(crate) fn due(&self, run: usize) -> Timestamp {
        self.head(run).and_then(|head| head.due).unwrap_or(self.now)
    }

    fn query(&self, run: usize, filter: &Filter) -> Query {
        let mut query = Query { id_prefix: Some(self.prefix.to_owned()), ..Query::all() };
        match filter.by {
            ListBy::All => {}
            ListBy::Status(status) => query.status = Some(status),
            ListBy::Due(pass) => query.due_by = Some(self.instant(run, pass)),
            ListBy::Name => query.name = Some(format!("handler-{}", run % 2)),
            ListBy::Label => query.labels = vec![(LABEL.0.to_owned(), LABEL.1.to_owned())],
            ListBy::Parent => query.parent = Some(self.runs[0].clone()),
            ListBy::Failure(kind) => query.failure = Some(kind),
            ListBy::Idle(pass) => query.idle_since = Some(self.instant(run, pass)),
            ListBy::Expired => query.expired = true,
        }
        // Which of them are the newest, the model knows only by the kit's clock.
        let newest_first = filter.newest_first && (self.exact || filter.limit.is_none());
        query.order = if newest_first { Order::NewestFirst } else { Order::Id };
        (query.limit, query.page) = (filter.limit, filter.page);
        query
    }
}

/// A message's body that is longer than a small store takes.
pub(crate) const LONG: usize = 256 << 10;

fn id_of(nonce: u64) -> OperationId {
    OperationId(1 << 100 | u128::from(nonce))
}

fn name_of(number: u64) -> Digest {
    Digest::of(format!("blob {number}").as_bytes())
}

fn note_of(nonce: u64, text: Text) -> Option<Note> {
    let note = |text| Some(Note { done: nonce % 100, total: nonce.is_multiple_of(3).then_some(100), text });
    match text {
        Text::None => None,
        Text::Short => note(format!("note {nonce:x}")),
        Text::Long => note("n".repeat(NOTE_LIMIT)),
    }
}

fn outcome_of(nonce: u64, failure: Option<FailureKind>) -> Outcome {
    match failure {
        None => Outcome::Completed { output: Bytes::from(format!("output {nonce:x}")) },
        Some(kind) => Outcome::Failed { failure: Failure::new(kind, format!("failed {nonce:x}")) },
    }
}
