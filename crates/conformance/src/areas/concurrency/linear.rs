//! Histories of concurrent clients of one run, recorded and checked for linearizability.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use milepost_store_memory::{Answer, Mint, Write};

use super::{
    checker::linearize,
    history::{Ask, Operation, Told},
};
use crate::{Failure, areas::prelude::*};

cases! { concurrency:
    /// Every history of opens, commits, deletions and reads of one run is linearizable.
    histories_of_one_run_are_linearizable [],
    /// The same where one client is the owner and the others take over, at most one in between.
    histories_of_takeovers_are_linearizable [],
    /// The same with messages, and wakes by them.
    histories_with_messages_are_linearizable [Inbox],
}

/// How many clients a history has.
const CLIENTS: usize = 4;
/// How much each of them asks.
const OPERATIONS: usize = 6;
/// How many histories are recorded, where the backend is quick enough.
const HISTORIES: u32 = 150;

/// What the clients of a history do: how often, of 16 times, each thing.
#[derive(Clone, Copy, Debug)]
struct Mix {
    create: u64,
    take_over: u64,
    commit: u64,
    delete: u64,
    send: u64,
}

/// What the clients of one history know together.
#[derive(Debug)]
struct World {
    run: RunId,
    log: bool,
    mix: Mix,
    ttl: Duration,
    /// Counts the moments at which something was asked or answered.
    moments: AtomicU64,
    known: Mutex<Known>,
    history: Mutex<Vec<Operation>>,
}

/// What was seen of the run last, whoever saw it.
#[derive(Clone, Debug, Default)]
struct Known {
    fence: Option<Fence>,
    version: Version,
    commit: Option<Commit>,
}

async fn histories_of_one_run_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, Mix { create: 3, take_over: 2, commit: 5, delete: 3, send: 0 }).await
}

async fn histories_of_takeovers_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, Mix { create: 1, take_over: 5, commit: 8, delete: 0, send: 0 }).await
}

async fn histories_with_messages_are_linearizable(ctx: &Context) -> Verdict {
    check(ctx, Mix { create: 2, take_over: 3, commit: 5, delete: 1, send: 4 }).await
}

/// Records histories and looks for the order of each.
async fn check(ctx: &Context, mix: Mix) -> Verdict {
    for round in ctx.rounds(HISTORIES) {
        let seed = ctx.ids().bits() as u64;
        let world = Arc::new(World {
            run: ctx.run(&format!("h{round}")),
            log: ctx.capabilities.supports_log(),
            mix,
            ttl: ctx.long(),
            moments: AtomicU64::new(0),
            known: Mutex::default(),
            history: Mutex::default(),
        });
        let answers = ctx
            .race(CLIENTS, |client, store| {
                let (world, ids) = (world.clone(), SeededIds::new(seed ^ client as u64));
                async move {
                    for _ in 0..OPERATIONS {
                        let ask = world.draw(&ids);
                        world.ask(&*store, client, ask).await?;
                    }
                    Ok(())
                }
            })
            .await?;
        answers.into_iter().collect::<Verdict>()?;
        // What stands in the end belongs to the history.
        world.ask(&*ctx.b, CLIENTS, Ask::Head).await?;
        let history = std::mem::take(&mut *world.history.lock().unwrap_or_else(PoisonError::into_inner));
        judge(ctx, &world.run, history, seed)?;
        ctx.a.delete(&world.run, Delete::Any).await?;
    }
    Ok(())
}

/// There must be an order of `history` that explains it, and no token or life may be minted twice.
fn judge(ctx: &Context, run: &RunId, mut history: Vec<Operation>, seed: u64) -> Verdict {
    history.sort_by_key(|operation| operation.invoked);
    let minted = || {
        history.iter().filter_map(|operation| match (&operation.ask, &operation.told) {
            (Ask::Write(Write::Open(open, _)), Told::Answer(answer)) => match &**answer {
                Answer::Opened(opened) => Some((open.id, opened)),
                _ => None,
            },
            _ => None,
        })
    };
    for (id, opened) in minted() {
        let twice = minted().find(|(other, rival)| *other != id && rival.fence.token == opened.fence.token);
        expect("each open has a token of its own", twice.is_none(), (opened, twice))?;
    }
    let Err(longest) = linearize(run, &ctx.capabilities, &history) else {
        return Ok(());
    };
    let lines: Vec<_> = history.iter().map(|operation| format!("\n  {operation}")).collect();
    Err(Failure::new(
        format!("a history of {CLIENTS} clients and a last reader (seed {seed:#018x}; [called … answered])"),
        "one order of its operations in which the reference model answers as the store did",
        format!("the longest order explains {longest} of {}:{}", history.len(), lines.concat()),
    ))
}

impl World {
    /// What a client asks next.
    fn draw(&self, ids: &SeededIds) -> Ask {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bits = ids.bits();
        let (pick, more) = ((bits & 15) as u64, (bits >> 4) as u64);
        let Mix { create, take_over, commit, delete, send } = self.mix;
        let fence = known.fence.unwrap_or(Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) });
        let mut bound = create;
        if pick < bound {
            return self.open(ids, [Mode::Create, Mode::CreateOrResume][more as usize % 2], None);
        }
        bound += take_over;
        if pick < bound {
            return self.open(ids, [Mode::Resume, Mode::CreateOrResume][more as usize % 2], Some(fence));
        }
        bound += commit;
        if pick < bound {
            return Ask::Write(Write::Commit(self.commit(ids, fence, known, more)));
        }
        bound += delete;
        if pick < bound {
            return Ask::Write(Write::Delete(match more % 4 {
                0 => Delete::Finished(fence.incarnation),
                1 => Delete::NotDriven(fence.incarnation),
                _ => Delete::Any,
            }));
        }
        bound += send;
        if pick < bound {
            let (key, body) = (more % 5, more / 5 % 4 / 3);
            let key = MessageKey::new(format!("key {key}")).expect("the key is short");
            let message =
                NewMessage::new(ids.operation(), key, Kind::from_static("signal"), vec![body as u8]);
            return Ask::Write(Write::Send(message));
        }
        match more % 3 {
            0 => Ask::Write(Write::Renew(Renew::new(fence, self.ttl))),
            _ => Ask::Head,
        }
    }

    fn open(&self, ids: &SeededIds, mode: Mode, over: Option<Fence>) -> Ask {
        let open = Open::create(ids.operation(), RunInfo::named("case"), Manifest::of(b"case"));
        let open = Open { mode, ..open.ttl(self.ttl).reopen_failed() };
        let open = over.map_or(open.clone(), |fence| open.over(fence));
        // What a refusal never shows: no open of the model is refused and keeps them.
        let unknown = Mint { incarnation: ids.incarnation(), token: ids.token() };
        Ask::Write(Write::Open(open, unknown))
    }

    fn commit(&self, ids: &SeededIds, fence: Fence, known: Known, more: u64) -> Commit {
        if let Some(commit) = known.commit.filter(|_| more.is_multiple_of(8)) {
            return commit;
        }
        let mut commit = Commit::new(self.run.clone(), fence, ids.operation(), known.version);
        if self.log && !more.is_multiple_of(3) {
            commit = commit.record(record(more));
        }
        commit.advances = more.is_multiple_of(5);
        let failure = milepost_core::Failure::new(FailureKind::Error, "no");
        match more / 8 % 12 {
            0 => commit.finish(Outcome::Completed { output: Bytes::new() }, Retain::Keep),
            1 => commit.finish(Outcome::Failed { failure }, Retain::Delete),
            2 | 3 => commit.release(Wake::now()),
            4 | 5 if self.mix.send > 0 => commit.release(Wake::message(more % 4)),
            6 if self.mix.send > 0 => commit.take(1 + more % 3),
            _ => commit,
        }
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Asks the store, and writes down what came.
    async fn ask(&self, store: &dyn Store, client: usize, ask: Ask) -> Verdict {
        let invoked = self.moment();
        let answer = self.send(store, ask.clone()).await;
        let answered = self.moment();
        let told = match answer {
            Ok(told) => told,
            Err(error) => match error.refusal() {
                Some(refusal) => Told::Refused(refusal.clone()),
                None => return Err(error.into()),
            },
        };
        self.learn(&ask, &told);
        let operation = Operation { client, invoked, answered, ask, told };
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
        Ok(())
    }

    async fn send(&self, store: &dyn Store, ask: Ask) -> Result<Told> {
        let answer = match ask {
            Ask::Head => return Ok(Told::Head(store.head(&self.run).await?.map(Box::new))),
            Ask::Write(Write::Open(open, _)) => Answer::Opened(Box::new(store.open(&self.run, open).await?)),
            Ask::Write(Write::Commit(commit)) => Answer::Committed(store.commit(commit).await?),
            Ask::Write(Write::Renew(renew)) => {
                store.renew(&self.run, renew).await?;
                Answer::Renewed
            }
            Ask::Write(Write::Send(message)) => Answer::Sent(store.send(&self.run, message).await?),
            Ask::Write(Write::Delete(guard)) => Answer::Deleted(store.delete(&self.run, guard).await?),
        };
        Ok(Told::Answer(Box::new(answer)))
    }

    /// Keeps what an answer shows of the run, for the next who asks.
    fn learn(&self, ask: &Ask, told: &Told) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let head = match told {
            Told::Head(Some(head)) | Told::Refused(Refusal::Conflict { head, .. }) => head,
            Told::Answer(answer) => match (&**answer, ask) {
                (Answer::Opened(opened), _) => &opened.head,
                (Answer::Committed(committed), Ask::Write(Write::Commit(commit))) => {
                    known.version = committed.version;
                    known.commit = Some(commit.clone());
                    return;
                }
                _ => return,
            },
            _ => return,
        };
        (known.fence, known.version) = (Some(head.fence), head.version);
    }
}
