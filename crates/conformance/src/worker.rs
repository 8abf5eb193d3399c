//! The second process: this very program, started again, doing to the same scope what it is told on its standard input.
//!
//! One line of JSON a request, one or more lines an answer. What else the program prints does not matter, because each
//! answer stands behind a mark.

mod process;
mod remote;
mod wire;

use std::{
    collections::HashMap,
    env,
    io::{self, BufRead, Write},
    process::exit,
    sync::Arc,
};

use futures_util::StreamExt;
use milepost_core::{BoxStream, Clock, Error, Result, Store};
use serde::Serialize;
use tokio::task::AbortHandle;

use self::wire::{Ask, Fault, MARK, Reply, Request};
use crate::{Harness, Scope, run::runtime};

pub(crate) use process::Process;
pub(crate) use remote::Remote;

/// Names the harness whose second process a program is.
const VARIABLE: &str = "MILEPOST_CONFORMANCE_WORKER";

/// What a program calls first that does other things before [`crate::main`] or [`crate::check`]: does nothing, unless the
/// kit has started this program as a second process of `harness` ([`Harness::with_processes`]). Then it does what it is
/// told, and the program ends in here.
///
/// ```no_run
/// # use milepost_store_memory::MemoryStore as Acme;
/// use milepost_conformance::{check, harness, worker};
///
/// let acme = harness("acme", |scope| async move { Ok(Acme::new()) }).with_processes();
/// worker(&acme);
/// println!("a long introduction");
/// println!("{}", check(&acme, "").to_markdown());
/// ```
pub fn worker(harness: &Harness) {
    if env::var_os(VARIABLE).is_some_and(|name| name == harness.name()) {
        serve(harness);
        exit(0);
    }
}

/// Whether this program is a second process, of whatever harness.
pub(crate) fn is_second() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Answers until the input ends, which it does with the first process at the latest.
fn serve(harness: &Harness) {
    let mut lines = io::stdin().lock().lines();
    let Some(Ok(attachment)) = lines.next() else { return };
    let Ok(attachment) = serde_json::from_str(&attachment) else { return };
    let scope = Scope::attached(attachment);
    let store = match runtime().block_on(harness.connect(&scope)) {
        Ok(store) => store,
        Err(error) => return say(0, Err(Fault::of(&error))),
    };
    say(0, told(&Ok(store.capabilities())));
    let mut streams: HashMap<u64, AbortHandle> = HashMap::new();
    for line in lines.map_while(io::Result::ok) {
        let Ok(Request { id, now, ask }) = serde_json::from_str(&line) else { return };
        let clock = scope.clock();
        clock.advance(now.since(clock.now()));
        if let Ask::Drop(stream) = ask {
            if let Some(stream) = streams.remove(&stream) {
                stream.abort();
            }
            continue;
        }
        let task = runtime().spawn(answer(store.clone(), id, ask));
        streams.insert(id, task.abort_handle());
    }
}

/// Does what was asked and says what came of it.
async fn answer(store: Arc<dyn Store>, id: u64, ask: Ask) {
    let reply = match ask {
        Ask::Open(run, open) => told(&store.open(&run, *open).await),
        Ask::Commit(commit) => told(&store.commit(*commit).await),
        Ask::CommitMany(commits) => {
            let answers = store.commit_many(commits).await;
            let answers: Vec<_> =
                answers.into_iter().map(|answer| answer.map_err(|error| Fault::of(&error))).collect();
            told(&Ok(answers))
        }
        Ask::Renew(run, renew) => told(&store.renew(&run, *renew).await),
        Ask::Send(run, message) => told(&store.send(&run, message).await),
        Ask::Delete(run, guard) => told(&store.delete(&run, guard).await),
        Ask::Head(run) => told(&store.head(&run).await),
        Ask::Snapshot(run, at) => told(&store.snapshot(&run, at).await),
        Ask::Blob(run, name) => told(&store.blob(&run, &name).await),
        Ask::Close => told(&store.close().await),
        Ask::Stream(run, span) => return flow(id, store.stream(&run, span)).await,
        Ask::Inbox(run, span) => return flow(id, store.inbox(&run, span)).await,
        Ask::Blobs(run) => return flow(id, store.blobs(&run)).await,
        Ask::List(query) => return flow(id, store.list(*query)).await,
        Ask::Drop(_) => return,
    };
    say(id, reply);
}

/// Says each item of a stream, and its end.
async fn flow<T: Serialize>(id: u64, mut stream: BoxStream<'static, Result<T>>) {
    while let Some(item) = stream.next().await {
        say(id, told(&item));
    }
    say(id, Ok(None));
}

fn told<T: Serialize>(answer: &Result<T>) -> Result<Option<String>, Box<Fault>> {
    match answer {
        Ok(value) => serde_json::to_string(value)
            .map(Some)
            .map_err(|error| Fault::of(&Error::new(milepost_core::ErrorKind::Other, error.to_string()))),
        Err(error) => Err(Fault::of(error)),
    }
}

fn say(id: u64, told: Result<Option<String>, Box<Fault>>) {
    let reply = serde_json::to_string(&Reply { id, told }).expect("a reply holds nothing that JSON cannot");
    let mut out = io::stdout().lock();
    // Who does not listen any more has ended.
    let _ = writeln!(out, "{MARK}{reply}").and_then(|()| out.flush());
}
