//! The reference model of many runs: its images, and what it answers.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use milepost_core::{
    Capabilities, Capability, Commit, Error, ErrorKind, Head, Order, Query, Refusal, Result, RunId, Span,
    Timestamp,
};
use milepost_store_memory::{Image, Write, apply};

use super::ask::{Ask, Told};

/// What a store that is as it should be holds, and answers.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Model {
    offered: Capabilities,
    runs: BTreeMap<RunId, Image>,
}

impl Model {
    /// Without runs, offering what the backend offers.
    pub(crate) fn new(offered: Capabilities) -> Self {
        Self { offered, runs: BTreeMap::new() }
    }

    /// What it holds of a run.
    pub(crate) fn image(&self, run: &RunId) -> Option<&Image> {
        self.runs.get(run)
    }

    /// A run's head.
    pub(crate) fn head(&self, run: &RunId, now: Timestamp) -> Option<Head> {
        self.image(run).map(|image| image.head(now))
    }

    /// What it answers at `now`; a write changes it.
    pub(crate) fn answer(&mut self, ask: &Ask, now: Timestamp) -> Told {
        match ask {
            Ask::Write(run, write) => self.write(run, Write::clone(write), now),
            Ask::Many(commits) => Told::Many(self.many(commits, now)),
            read => self.read(read, now),
        }
    }

    /// What it would answer at `now`.
    pub(crate) fn would(&self, ask: &Ask, now: Timestamp) -> (Told, Self) {
        let runs: BTreeSet<&RunId> = match ask {
            Ask::Write(run, _) => BTreeSet::from([run]),
            Ask::Many(commits) => commits.iter().map(|commit| &commit.run).collect(),
            read => return (self.read(read, now), Self::new(self.offered)),
        };
        let held = runs.into_iter().filter_map(|run| Some((run.clone(), self.runs.get(run)?.clone())));
        let mut after = Self { offered: self.offered, runs: held.collect() };
        (after.answer(ask, now), after)
    }

    fn write(&mut self, run: &RunId, write: Write, now: Timestamp) -> Told {
        let mut slot = self.runs.remove(run);
        let answer = apply(&mut slot, run, write, &self.offered, now);
        if let Some(image) = slot {
            self.runs.insert(run.clone(), image);
        }
        match answer {
            Ok(answer) => Told::Answer(Box::new(answer)),
            Err(error) => Told::failure(&error),
        }
    }

    fn many(&mut self, commits: &[Commit], now: Timestamp) -> Vec<Told> {
        let count = |run: &RunId| commits.iter().filter(|commit| commit.run == *run).count();
        let answer = |commit: &Commit| match count(&commit.run) {
            1 => self.write(&commit.run, Write::Commit(commit.clone()), now),
            _ => Told::Failed(ErrorKind::Invalid),
        };
        commits.iter().map(answer).collect()
    }

    fn read(&self, ask: &Ask, now: Timestamp) -> Told {
        let told = match ask {
            Ask::Head(run) => Ok(Told::Head(self.head(run, now).map(Box::new))),
            Ask::Snapshot(run, at) => {
                at.check(&self.offered).and_then(|()| Ok(Told::Snapshot(self.known(run)?.snapshot(*at))))
            }
            Ask::Stream(run, span) => span
                .check_log(&self.offered)
                .and_then(|()| Ok(Told::Records(self.known(run)?.records(span, usize::MAX)?))),
            Ask::Inbox(run, span) => span
                .check_inbox(&self.offered)
                .and_then(|()| Ok(Told::Messages(self.known(run)?.inbox(span, usize::MAX)?))),
            Ask::Blob(run, name) => self.blobs(run).map(|image| Told::Blob(image.blob(name))),
            Ask::Blobs(run) => self.blobs(run).map(|image| Told::Blobs(image.blobs())),
            Ask::List(query) => query.check(&self.offered).map(|()| Told::Heads(self.list(query, now))),
            Ask::Write(..) | Ask::Many(_) => Err(Error::new(ErrorKind::Other, "a write is no read")),
        };
        told.unwrap_or_else(|error| Told::failure(&error))
    }

    fn known(&self, run: &RunId) -> Result<&Image> {
        Ok(self.runs.get(run).ok_or(Refusal::NotFound)?)
    }

    fn blobs(&self, run: &RunId) -> Result<&Image> {
        self.offered.require(Capability::Blobs)?;
        self.known(run)
    }

    fn list(&self, query: &Query, now: Timestamp) -> Vec<Head> {
        let heads = self.runs.values().map(|image| image.head(now));
        let mut heads: Vec<_> = heads.filter(|head| query.matches(head)).collect();
        if query.order == Order::NewestFirst {
            heads.sort_by_key(|head| (Reverse(head.created_at), head.run.clone()));
        }
        heads.truncate(query.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
        heads
    }

    /// Of a stream that follows: after how many items it waits for more; `None` if it ends.
    pub(crate) fn waiting(&self, ask: &Ask, told: &Told) -> Option<usize> {
        let (run, span, newest): (_, &Span, fn(&Head) -> u64) = match ask {
            Ask::Stream(run, span) => (run, span, |head| head.cursor),
            Ask::Inbox(run, span) => (run, span, |head| head.newest_message),
            _ => return None,
        };
        let given = match told {
            Told::Records(records) => records.len(),
            Told::Messages(messages) => messages.len(),
            _ => return None,
        };
        let head = self.head(run, Timestamp::default())?;
        let full = span.limit.is_some_and(|limit| given as u64 >= limit);
        let ended = span.until.is_some_and(|until| until <= newest(&head).max(span.after));
        (span.follow && !full && !ended && head.outcome.is_none()).then_some(given)
    }
}
