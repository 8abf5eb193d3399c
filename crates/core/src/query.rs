//! What to read, and the guard of a deletion.

use serde::{Deserialize, Serialize};

use crate::{Cursor, FailureKind, Head, Incarnation, Outcome, RunId, Status, Timestamp};

/// Which snapshot.
///
/// Held by: `snapshots/the-newest-wins`, `snapshots/the-newest-not-newer-than-a-cursor`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum At {
    /// The newest.
    Latest,
    /// The newest that is not newer than this cursor; needs [`crate::Capability::History`].
    OrBefore(Cursor),
}

/// Which part of a log or an inbox, and how it is read.
///
/// ```
/// use milepost_core::Span;
///
/// let everything = Span::all();
/// let tail = Span::after(41).limit(100);
/// assert_eq!((everything.after, tail.after, tail.limit), (0, 41, Some(100)));
/// ```
///
/// Held by: `streams/every-bound-*`, `streams/an-empty-span-is-never-trimmed`, `streams/following-*`,
/// `inbox/every-span-gives-what-waits-in-it`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Span {
    /// Only what comes after this position; `0` means everything.
    pub after: Cursor,
    /// Only up to this position, inclusive.
    pub until: Option<Cursor>,
    /// At most so many.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
    /// Stay at the end and wait for more, over releases and takeovers, until the run has finished; needs
    /// [`crate::Capability::Follow`] and goes forward only.
    pub follow: bool,
    /// How many to fetch in a trip: a hint that never changes the result.
    pub page: Option<u32>,
    /// Only of this life of the run: another one ends the stream with [`crate::Refusal::NotFound`].
    pub incarnation: Option<Incarnation>,
}

impl Span {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Everything after a position.
    pub fn after(after: Cursor) -> Self {
        Self { after, ..Self::default() }
    }

    /// Only up to `until`, inclusive.
    pub fn until(mut self, until: Cursor) -> Self {
        self.until = Some(until);
        self
    }

    /// At most `limit`.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Newest first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Waits for more at the end.
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Fetches `page` at a time.
    pub fn page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Only of this life of the run.
    pub fn incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = Some(incarnation);
        self
    }
}

/// In which order runs are listed.
///
/// Held by: `listing/newest-first-is-by-creation`, `ids/odd-ids-are-listed-by-their-bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Order {
    /// By the bytes of their ids.
    #[default]
    Id,
    /// The newest first, by when they were created; equal ones by their ids.
    NewestFirst,
}

/// Which runs. Everything that is set must hold.
///
/// A listing is cut at its first page's now, which is what "due", "expired" and statuses are judged by; every run that
/// matches throughout is returned exactly once.
///
/// Held by: `listing/*`, `ids/an-odd-prefix-is-no-pattern`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Query {
    /// Doing this.
    pub status: Option<Status>,
    /// Not finished, and due at this instant or before.
    pub due_by: Option<Timestamp>,
    /// For this handler.
    pub name: Option<String>,
    /// With these labels, each with this value.
    pub labels: Vec<(String, String)>,
    /// Spawned by this run.
    pub parent: Option<RunId>,
    /// With an id that begins so, byte for byte.
    pub id_prefix: Option<String>,
    /// Failed for this reason.
    pub failure: Option<FailureKind>,
    /// Not opened or committed to since this instant.
    pub idle_since: Option<Timestamp>,
    /// Only finished runs whose time to be deleted has come.
    pub expired: bool,
    /// In which order.
    pub order: Order,
    /// At most so many.
    pub limit: Option<u64>,
    /// How many to fetch in a trip: a hint that never changes the result.
    pub page: Option<u32>,
}

impl Query {
    /// Every run.
    pub fn all() -> Self {
        Self::default()
    }

    /// Runs that anyone may take over now.
    pub fn interrupted() -> Self {
        Self { status: Some(Status::Interrupted), ..Self::default() }
    }

    /// Runs that may be deleted now.
    pub fn expired() -> Self {
        Self { expired: true, ..Self::default() }
    }

    /// Whether the run of `head` is one of them, judged at `head.at`. What a backend cannot ask its indexes for, it
    /// asks this.
    pub fn matches(&self, head: &Head) -> bool {
        let open = head.outcome.is_none();
        let failure = match &head.outcome {
            Some(Outcome::Failed { failure }) => Some(failure.kind),
            _ => None,
        };
        self.status.is_none_or(|status| head.status() == status)
            && self.due_by.is_none_or(|by| open && head.due.is_some_and(|due| due <= by))
            && self.name.as_ref().is_none_or(|name| *name == head.info.name)
            && self.labels.iter().all(|(key, value)| head.info.labels.get(key) == Some(value))
            && self.parent.as_ref().is_none_or(|parent| head.info.parent.as_ref() == Some(parent))
            && self.id_prefix.as_ref().is_none_or(|prefix| head.run.as_str().starts_with(prefix.as_str()))
            && self.failure.is_none_or(|kind| failure == Some(kind))
            && self.idle_since.is_none_or(|since| head.updated_at <= since)
            && (!self.expired || !open && head.delete_after.is_some_and(|after| after <= head.at))
    }
}

/// What must hold for a deletion, checked in the same atomic step.
///
/// Held by: `deletion/finished-*`, `deletion/not-driven-*`, `deletion/any-removes-whatever-is-there`,
/// `deletion/guards-refuse-another-life`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Delete {
    /// This life of the run, and it has finished (retention); [`crate::Clash::NotFinished`] otherwise.
    Finished(Incarnation),
    /// This life of the run, and nobody's lease on it is valid, whatever else it is: [`crate::Clash::Driven`] while one
    /// ends later than now, unless its holder is known to be gone.
    NotDriven(Incarnation),
    /// Whatever bears the id. A deletion under this guard whose future is dropped may land late, on the run's next life;
    /// the others cannot.
    Any,
}
