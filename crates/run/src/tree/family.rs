//! All children of a run, and its books, as its log tells of them.

use std::{collections::HashMap, sync::Arc};

use milepost_core::{Cursor, Error, ErrorKind, Result, RunId};

use super::{
    budget::Ledger,
    kept::{ChildEnd, Identity},
};
use crate::{event::Event, place::Place};

/// The children of a run and its books. Read from its log, and kept up while the run is driven.
#[derive(Debug, Default)]
pub(crate) struct Family {
    /// In the order in which they were begun.
    members: Vec<Member>,
    places: HashMap<Place, usize>,
    /// Whom a key stands for.
    keys: HashMap<String, usize>,
    pub(crate) ledger: Ledger,
}

/// A child.
#[derive(Debug)]
pub(crate) struct Member {
    at: Place,
    pub(crate) identity: Identity,
    grant: Option<u64>,
    pub(crate) restarts: u32,
    pub(crate) end: Option<Arc<ChildEnd>>,
}

/// What a key that is asked for stands for.
#[derive(Debug)]
pub(crate) enum Known {
    New,
    /// The same, and this is how it ended.
    Ended(Arc<ChildEnd>),
    /// The same, and it has not ended.
    Live,
    /// Another one.
    Other(Identity),
}

impl Family {
    /// Takes in the next event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`]: a child ends that is not under way.
    pub(crate) fn read(&mut self, event: &Event, cursor: Cursor) -> Result<()> {
        match event {
            Event::ChildBegan { at, child, grant } => self.begin(at, child, *grant),
            Event::ChildRestarted { at, .. } => {
                if let Some(member) = self.member(at) {
                    member.restarts += 1;
                }
            }
            Event::ChildSettled { at, end, used } => {
                self.settle(at, end, *used).map_err(|error| {
                    Error::new(error.kind(), format!("record {cursor}: {error}")).with_source(error)
                })?;
            }
            Event::Spent { what, units, .. } => self.ledger.spend(what, *units),
            _ => {}
        }
        Ok(())
    }

    fn member(&mut self, at: &Place) -> Option<&mut Member> {
        self.places.get(at).map(|index| &mut self.members[*index])
    }

    /// A child is begun, with a slice.
    pub(crate) fn begin(&mut self, at: &Place, identity: &Identity, grant: Option<u64>) {
        if let Some(units) = grant {
            self.ledger.restore(at, units);
        }
        let index = self.members.len();
        self.places.insert(at.clone(), index);
        self.keys.entry(identity.key.clone()).or_insert(index);
        let (at, identity) = (at.clone(), identity.clone());
        self.members.push(Member { at, identity, grant, restarts: 0, end: None });
    }

    /// A child has ended, and used so much.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`]: it is not under way.
    pub(crate) fn settle(&mut self, at: &Place, end: &Arc<ChildEnd>, used: Option<u64>) -> Result<()> {
        let member = self.member(at).filter(|member| member.end.is_none()).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("a child ends at {at} that is not under way"))
        })?;
        member.end = Some(end.clone());
        let (slice, key) = (member.grant.is_some(), member.identity.key.clone());
        if end.is_refusal() && self.keys.get(&key) == self.places.get(at) {
            self.keys.remove(&key);
        }
        if slice { self.ledger.reconcile(at, used).map(drop) } else { Ok(()) }
    }

    /// A child that had ended is tried again.
    pub(crate) fn reopen(&mut self, at: &Place) {
        if let Some(member) = self.member(at) {
            member.end = None;
            self.ledger.reopen(at);
        }
    }

    pub(crate) fn look(&self, identity: &Identity) -> Known {
        let Some(member) = self.keys.get(&identity.key).map(|index| &self.members[*index]) else {
            return Known::New;
        };
        match &member.end {
            _ if !member.identity.is_asked_for_by(identity) => Known::Other(member.identity.clone()),
            Some(end) => Known::Ended(end.clone()),
            None => Known::Live,
        }
    }

    /// The children that have not ended.
    pub(crate) fn live(&self) -> Vec<(Place, RunId)> {
        let live = self.members.iter().filter(|member| member.end.is_none());
        live.map(|member| (member.at.clone(), member.identity.run.clone())).collect()
    }

    /// Those that are or were runs, each once.
    pub(crate) fn runs(self) -> impl Iterator<Item = Member> {
        let mut seen = std::collections::HashSet::new();
        let is_run = |member: &Member| !member.end.as_ref().is_some_and(|end| end.is_refusal());
        self.members
            .into_iter()
            .filter(move |member| is_run(member) && seen.insert(member.identity.run.clone()))
    }
}
