//! Histories of concurrent clients of one run, recorded and checked for linearizability.

use std::sync::{Arc, Mutex, PoisonError};

use milepost_layers::{FaultPlan, Faults};

use crate::{Failure, History, Recorded, areas::prelude::*};

cases! { concurrency:
    /// Every history of opens, commits, deletions and reads of one run is linearizable.
    histories_of_one_run_are_linearizable [],
    /// The same where one client is the owner and the others take over, at most one in between.
    histories_of_takeovers_are_linearizable [],
    /// The same with messages, and wakes by them.
    histories_with_messages_are_linearizable [Inbox],
    /// The same with everything that can be read of a run while it is written.
    histories_of_readers_are_linearizable [],
    /// The same where answers are lost and writes are sent again: one whose answer was lost has happened, once, or not.
    histories_with_lost_answers_are_linearizable [],
    /// The same where half of the clients are another process.
    histories_of_two_processes_are_linearizable [processes],
}

/// How many clients a history has.
const CLIENTS: usize = 4;
/// How much each of them asks.
const OPERATIONS: usize = 6;
/// How many histories are recorded, where the backend is quick enough.
const HISTORIES: u32 = 150;

/// What the clients of a history do: how often, of 16 times, each thing; what is left are renewals and heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) create: u64,
    pub(super) take_over: u64,
    pub(super) commit: u64,
    pub(super) delete: u64,
    pub(super) send: u64,
    pub(super) read: u64,
    /// How many of a hundred writes lose their answers or are lost.
    pub(super) lost: u64,
}

pub(super) const MIX: Mix = Mix { create: 3, take_over: 2, commit: 5, delete: 3, send: 0, read: 0, lost: 0 };

/// What the clients of one history know together.
#[derive(Debug)]
struct World {
    run: RunId,
    offered: Capabilities,
    mix: Mix,
    ttl: Duration,
    known: Mutex<Known>,
}

/// What was seen of the run last, whoever saw it.
#[derive(Clone, Debug, Default)]
struct Known {
    fence: Option<Fence>,
    version: Version,
    cursor: Cursor,
    commit: Option<Commit>,
}

/// What a client asks.
#[derive(Clone, Debug)]
enum Ask {
    Open(Open),
    Commit(Commit),
    Renew(Renew),
    Send(NewMessage),
    Delete(Delete),
    Head,
    Snapshot,
    Stream(Span),
    Inbox(Span),
    Blobs,
}

async fn histories_of_one_run_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, MIX).await
}

async fn histories_of_takeovers_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, Mix { create: 1, take_over: 5, commit: 8, delete: 0, ..MIX }).await
}

async fn histories_with_messages_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, Mix { create: 2, take_over: 3, delete: 1, send: 4, ..MIX }).await
}

async fn histories_of_readers_are_linearizable(ctx: &Context) -> Verdict {
    let send = if ctx.capabilities.supports_inbox() { 2 } else { 0 };
    check(ctx, Mix { create: 2, take_over: 1, delete: 1, send, read: 6 - send / 2, ..MIX }).await
}

async fn histories_with_lost_answers_are_linearizable(ctx: &Context) -> Verdict {
    let send = if ctx.capabilities.supports_inbox() { 2 } else { 0 };
    check(ctx, Mix { create: 2, take_over: 3, delete: 1, send, read: 1, lost: 35, ..MIX }).await
}

async fn histories_of_two_processes_are_linearizable(ctx: &Context) -> Verdict {
    let second = ctx.process().await?;
    let send = if ctx.capabilities.supports_inbox() { 2 } else { 0 };
    check(&ctx.with_other(second.store), Mix { create: 2, take_over: 3, delete: 1, send, read: 1, ..MIX })
        .await
}

/// Records histories and looks for the order of each.
async fn check(ctx: &Context, mix: Mix) -> Verdict {
    let (mut histories, mut undecided) = (0, 0);
    for round in ctx.rounds(HISTORIES) {
        undecided += one(ctx, mix, round).await?;
        histories += 1;
    }
    decided(histories, undecided)
}

/// Fails if too many histories were too tangled to be judged.
pub(super) fn decided(histories: usize, undecided: usize) -> Verdict {
    expect(
        "the search comes to an end for most histories",
        undecided * 10 <= histories,
        (undecided, histories),
    )
}

/// Records one history and looks for its order; how many runs the search gave up on.
pub(super) async fn one(ctx: &Context, mix: Mix, round: u32) -> Verdict<usize> {
    let seed = ctx.ids().bits() as u64;
    let world = Arc::new(World {
        run: ctx.run(&format!("h{round}")),
        offered: ctx.capabilities,
        mix,
        ttl: ctx.long(),
        known: Mutex::default(),
    });
    let history = History::new();
    let answers = ctx
        .race(CLIENTS, |client, store| {
            let (world, ids) = (world.clone(), SeededIds::new(seed ^ client as u64));
            let lost = mix.lost as f64 / 100.0;
            let plan = FaultPlan::seeded(seed ^ client as u64).ack_lost(lost * 0.6).lost(lost * 0.4);
            let store = history.record(Faults::new(store, plan));
            async move { world.client(&store, &ids).await }
        })
        .await?;
    answers.into_iter().collect::<Verdict>()?;
    // What stands in the end belongs to the history.
    history.record(ctx.b.clone()).head(&world.run).await?;
    let checked = history.check(&ctx.capabilities).map_err(|failure| failure.seeded(seed))?;
    expect_eq("the runs of a history", checked.runs, 1)?;
    ctx.a.delete(&world.run, Delete::Any).await?;
    Ok(checked.undecided)
}

impl World {
    /// Asks this and that.
    async fn client(&self, store: &Recorded<Faults<Arc<dyn Store>>>, ids: &SeededIds) -> Verdict {
        for _ in 0..OPERATIONS {
            let ask = self.draw(ids);
            // A write whose answer was lost is sent again, most often.
            while self.ask(store, ask.clone()).await? == Some(Applied::Maybe) && !ids.bits().is_multiple_of(4)
            {
            }
        }
        Ok(())
    }

    /// What a client asks next.
    fn draw(&self, ids: &SeededIds) -> Ask {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bits = ids.bits();
        let (mut pick, more) = ((bits & 15) as u64, (bits >> 4) as u64);
        let mut is = |weight: u64| {
            let is = pick < weight;
            pick = pick.wrapping_sub(weight);
            is
        };
        let Mix { create, take_over, commit, delete, send, read, .. } = self.mix;
        let fence = known.fence.unwrap_or(Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) });
        if is(create) {
            return self.open(ids, [Mode::Create, Mode::CreateOrResume][more as usize % 2], None);
        }
        if is(take_over) {
            return self.open(ids, [Mode::Resume, Mode::CreateOrResume][more as usize % 2], Some(fence));
        }
        if is(commit) {
            return Ask::Commit(self.commit(ids, fence, &known, more));
        }
        if is(delete) {
            return Ask::Delete(match more % 4 {
                0 => Delete::Finished(fence.incarnation),
                1 => Delete::NotDriven(fence.incarnation),
                _ => Delete::Any,
            });
        }
        if is(send) {
            let (key, body) = (more % 5, more / 5 % 4 / 3);
            let key = MessageKey::new(format!("key {key}")).expect("the key is short");
            let message =
                NewMessage::new(ids.operation(), key, Kind::from_static("signal"), vec![body as u8]);
            return Ask::Send(message);
        }
        if is(read) {
            return self.read(more);
        }
        match more % 3 {
            0 => Ask::Renew(Renew::new(fence, self.ttl)),
            _ => Ask::Head,
        }
    }

    /// A read that the store offers.
    fn read(&self, more: u64) -> Ask {
        let offered = &self.offered;
        let span = [Span::all(), Span::all().reverse(), Span::all().limit(3)][more as usize / 4 % 3];
        match more % 4 {
            0 | 1 if offered.supports_log() => Ask::Stream(span),
            2 if offered.supports_inbox() => Ask::Inbox(span),
            3 if offered.supports_blobs() && more.is_multiple_of(3) => Ask::Blobs,
            _ if offered.supports_snapshots() => Ask::Snapshot,
            _ => Ask::Head,
        }
    }

    fn open(&self, ids: &SeededIds, mode: Mode, over: Option<Fence>) -> Ask {
        let open = Open::create(ids.operation(), RunInfo::named("case"), Manifest::of(b"case"));
        let open = Open { mode, ..open.ttl(self.ttl).reopen_failed() };
        Ask::Open(over.map_or(open.clone(), |fence| open.over(fence)))
    }

    fn commit(&self, ids: &SeededIds, fence: Fence, known: &Known, more: u64) -> Commit {
        if let Some(commit) = known.commit.clone().filter(|_| more.is_multiple_of(8)) {
            return commit;
        }
        let mut commit = Commit::new(self.run.clone(), fence, ids.operation(), known.version);
        let mut end = known.cursor;
        if self.offered.supports_log() && !more.is_multiple_of(3) {
            commit = commit.records((0..1 + more % 2).map(|index| record(more % 1000 + index)));
            end += commit.records.len() as u64;
        }
        commit.advances = more.is_multiple_of(5);
        if self.mix.read > 0 {
            if self.offered.supports_snapshots() && (more / 3).is_multiple_of(3) {
                commit = commit.snapshot(Snapshot::new(end, format!("the state of {}", more % 1000)));
            }
            if self.offered.supports_blobs() && (more / 9).is_multiple_of(5) {
                commit = commit.blob(Blob::of(format!("blob {}", more / 45 % 3)));
            }
        }
        let failure = milepost_core::Failure::new(FailureKind::Error, "no");
        match more / 8 % 12 {
            0 => commit.finish(Outcome::Completed { output: Bytes::new() }, Retain::Keep),
            1 => commit.finish(Outcome::Failed { failure }, Retain::Delete),
            2 | 3 => commit.release(Wake::now()),
            4 | 5 if self.mix.send > 0 => commit.release(Wake::message(more % 4)),
            // A stream is read page by page: with a take or a trim between two pages it tells of no single instant.
            6 if self.mix.send > 0 && self.mix.read == 0 => commit.take(1 + more % 3),
            _ => commit,
        }
    }

    /// Asks the store; tells what is known of a write that failed.
    async fn ask(&self, store: &dyn Store, ask: Ask) -> Verdict<Option<Applied>> {
        let run = &self.run;
        let failed = match ask {
            Ask::Open(open) => store.open(run, open).await.map(|opened| self.learn(&opened.head)),
            Ask::Commit(commit) => store.commit(commit.clone()).await.map(|held| self.held(held, commit)),
            Ask::Renew(renew) => store.renew(run, renew).await,
            Ask::Send(message) => store.send(run, message).await.map(drop),
            Ask::Delete(guard) => store.delete(run, guard).await.map(drop),
            Ask::Head => store.head(run).await.map(|head| head.iter().for_each(|head| self.learn(head))),
            Ask::Snapshot => store.snapshot(run, At::Latest).await.map(drop),
            Ask::Stream(span) => collect(store.stream(run, span)).await.map(drop),
            Ask::Inbox(span) => collect(store.inbox(run, span)).await.map(drop),
            Ask::Blobs => collect(store.blobs(run)).await.map(drop),
        };
        let Err(error) = failed else { return Ok(None) };
        match error.refusal() {
            Some(Refusal::Conflict { head, .. }) => self.learn(head),
            Some(_) => {}
            None if error.kind() == ErrorKind::TimedOut && error.backend() == Some("faults") => {}
            None => return Err(Failure::from(error)),
        }
        Ok(error.applied())
    }

    /// Keeps what a head shows of the run, for the next who asks.
    fn learn(&self, head: &Head) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.fence, known.version, known.cursor) = (Some(head.fence), head.version, head.cursor);
    }

    /// Keeps what a commit has come to.
    fn held(&self, held: Committed, commit: Commit) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.version, known.cursor, known.commit) = (held.version, held.cursor, Some(commit));
    }
}
