//! A look at a run and everything below it, from the logs and the heads.

use std::fmt;

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use milepost_core::{Head, Note, Outcome, Refusal, Result, RunId, Span, Status};

use super::{
    budget::Budget,
    family::{Family, Member},
};
use crate::{Runner, event::Event, meta::Meta};

/// How many children of one run are looked at side by side.
const AT_ONCE: usize = 16;

/// A run and everything below it, made by [`Runner::tree`]. Shown, it is a picture.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Tree {
    /// The run.
    pub run: RunId,
    /// Under which key its parent knows it; `None` for the one that was asked for.
    pub key: Option<String>,
    /// Its handler.
    pub name: String,
    /// How it stands; `None` where there is no such run: its parent died before it could make it, or it was deleted.
    pub status: Option<Status>,
    /// What its failure says.
    pub failure: Option<String>,
    /// How its parent has it: it has settled.
    pub settled: bool,
    /// How far it says it is.
    pub note: Option<Note>,
    /// How often its parent has reopened it.
    pub restarts: u32,
    /// How it stands with its budget, if it has any.
    pub budget: Option<Budget>,
    /// The runs that it began, in that order.
    pub children: Vec<Tree>,
}

impl Tree {
    /// How many of the runs below this one have this status.
    pub fn count(&self, status: Status) -> usize {
        let below = |child: &Tree| usize::from(child.status == Some(status)) + child.count(status);
        self.children.iter().map(below).sum()
    }

    /// How many runs are below this one.
    pub fn size(&self) -> usize {
        self.children.iter().map(|child| 1 + child.size()).sum()
    }
}

impl Runner {
    /// Looks at a run and everything that it began. Reads every log of the tree; each run is as it was when it was read.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Corrupt` for a log in which a child ends that was never begun, or a slice of a budget is closed twice;
    /// those of reading.
    pub async fn tree(&self, run: &RunId) -> Result<Tree> {
        let head = self.store().head(run).await?.ok_or(Refusal::NotFound)?;
        self.below(head, None, 0, false).await
    }

    fn below(
        &self,
        head: Head,
        key: Option<String>,
        restarts: u32,
        settled: bool,
    ) -> BoxFuture<'_, Result<Tree>> {
        Box::pin(async move {
            let meta = Meta::of(&head)?;
            let family = self.family(&head, meta.budget).await?;
            let budget = meta.budget.map(|_| family.ledger.read());
            let children = stream::iter(family.runs()).map(|member| self.child(member)).buffered(AT_ONCE);
            let children = children.try_collect().await?;
            let failure = match &head.outcome {
                Some(Outcome::Failed { failure }) => Some(failure.message.clone()),
                _ => None,
            };
            Ok(Tree {
                status: Some(head.status()),
                budget,
                name: head.info.name,
                run: head.run,
                note: head.note,
                key,
                failure,
                settled,
                restarts,
                children,
            })
        })
    }

    async fn child(&self, member: Member) -> Result<Tree> {
        let Member { identity, restarts, end, .. } = member;
        let settled = end.is_some();
        match self.store().head(&identity.run).await? {
            Some(head) => self.below(head, Some(identity.key), restarts, settled).await,
            None => Ok(Tree {
                run: identity.run,
                key: Some(identity.key),
                name: identity.name,
                status: None,
                failure: None,
                settled,
                note: None,
                restarts,
                budget: None,
                children: Vec::new(),
            }),
        }
    }

    /// What a log tells of the children and the books.
    async fn family(&self, head: &Head, granted: Option<u64>) -> Result<Family> {
        let mut family = Family::default();
        family.ledger.grant(granted);
        let span = Span::all().until(head.cursor).incarnation(head.fence.incarnation);
        let mut records = self.store().stream(&head.run, span);
        while let Some(record) = records.try_next().await? {
            match Event::read(&record)? {
                Some((_, Event::Reopened { forgotten })) => {
                    forgotten.iter().for_each(|at| family.reopen(at));
                }
                Some((_, event)) => family.read(&event, record.cursor)?,
                None => {}
            }
        }
        Ok(family)
    }
}

impl fmt::Display for Tree {
    /// The run on a line of its own, and each run below it on one, under lines that lead to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line(f)?;
        self.branches(f, "")
    }
}

impl Tree {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) if *key == self.name => f.write_str(key)?,
            Some(key) => write!(f, "{key} ({})", self.name)?,
            None => write!(f, "{} ({})", self.run, self.name)?,
        }
        match (self.status, self.settled) {
            (Some(status), _) => write!(f, "  {status}")?,
            (None, true) => f.write_str("  ended, and deleted")?,
            (None, false) => f.write_str("  not made yet")?,
        }
        if let Some(failure) = &self.failure {
            write!(f, ": {}", failure.lines().next().unwrap_or_default())?;
        }
        match &self.note {
            Some(Note { done, total: Some(total), text }) => write!(f, "  {done}/{total} {text}")?,
            Some(note) => write!(f, "  {} {}", note.done, note.text)?,
            None => {}
        }
        match self.restarts {
            0 => {}
            1 => f.write_str("  reopened once")?,
            times => write!(f, "  reopened {times} times")?,
        }
        if let Some(budget) = &self.budget {
            budget_line(f, budget)?;
        }
        Ok(())
    }

    fn branches(&self, f: &mut fmt::Formatter<'_>, lead: &str) -> fmt::Result {
        let last = self.children.len().saturating_sub(1);
        for (index, child) in self.children.iter().enumerate() {
            let (turn, down) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            write!(f, "\n{lead}{turn}")?;
            child.line(f)?;
            child.branches(f, &format!("{lead}{down}"))?;
        }
        Ok(())
    }
}

fn budget_line(f: &mut fmt::Formatter<'_>, budget: &Budget) -> fmt::Result {
    write!(f, "  used {}", budget.spent)?;
    if let Some(granted) = budget.granted {
        write!(f, " of {granted}")?;
    }
    if budget.reserved > 0 {
        write!(f, ", {} with its children", budget.reserved)?;
    }
    match budget.gaps.len() {
        0 => Ok(()),
        gaps => write!(f, ", and {gaps} times nobody knows how much"),
    }
}
