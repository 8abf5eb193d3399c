//! A step of a history. What it means is relative to where the history stands ("the newest fence", "an older one", "past
//! the end"), so that any part of a history is one too, and a failing one can be made short.

use std::time::Duration;

use milepost_core::{FailureKind, Mode, Status};
use milepost_layers::Fate;

/// One step.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    /// By which of the two handles.
    pub(crate) handle: usize,
    /// Of which run.
    pub(crate) run: usize,
    /// Makes the ids and bodies of this step its own.
    pub(crate) nonce: u64,
    /// What becomes of it, if it is a write.
    pub(crate) way: Way,
    /// What is done.
    pub(crate) act: Act,
}

/// What becomes of a write.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Way {
    /// It happens or not, and its author is told or not.
    Through(Fate),
    /// It is held on its way to the store until a [`Act::Thaw`].
    Stalled,
    /// Its future is dropped after so many polls; then it is sent again.
    Dropped(u32),
}

/// What is done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Act {
    Open(OpenPlan),
    Commit(CommitPlan),
    /// Commits of several runs; the run that is named twice gets both refused.
    Many(Vec<(usize, CommitPlan)>),
    Renew {
        by: By,
        ttl: Ttl,
        note: Text,
    },
    Send {
        key: u64,
        body: u64,
        life: Option<Life>,
        long: bool,
    },
    Delete(Guard),
    /// An earlier write of the run once more, word for word.
    Again {
        back: usize,
    },
    Head,
    Snapshot(Place),
    Stream(SpanPlan),
    Inbox(SpanPlan),
    Blob(u64),
    Blobs,
    List(Filter),
    /// Time passes.
    Pass(Pass),
    /// A handle is replaced by a new one.
    Reopen,
    /// The stalled write that has waited longest goes on.
    Thaw,
}

/// Whose right.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum By {
    Newest,
    /// One of the same life that has been replaced.
    Older(usize),
    OtherToken,
    NextEpoch,
    OtherLife,
}

/// Which life of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Life {
    This,
    Other,
}

/// How long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Ttl {
    /// Nothing: `Invalid`.
    Zero,
    /// Where the clock can be moved: so long. Otherwise long.
    Short(Duration),
    /// Longer than the case.
    Long,
}

/// A note, or a text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Text {
    None,
    Short,
    /// More than a store takes: `TooLarge`.
    Long,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct OpenPlan {
    pub(crate) mode: Mode,
    /// Without info and manifest.
    pub(crate) bare: bool,
    pub(crate) other_manifest: bool,
    pub(crate) big: bool,
    pub(crate) over: Option<By>,
    pub(crate) reopen_failed: bool,
    pub(crate) origin: Option<u64>,
    pub(crate) ttl: Ttl,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CommitPlan {
    pub(crate) by: By,
    /// Added to the run's version.
    pub(crate) expect: i64,
    /// The id of the run's newest commit.
    pub(crate) reused: bool,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) blobs: Vec<u64>,
    pub(crate) drops: Vec<u64>,
    pub(crate) snapshot: Option<Place>,
    pub(crate) trim: Option<Place>,
    pub(crate) take: Vec<Pick>,
    pub(crate) note: Text,
    pub(crate) advances: bool,
    pub(crate) lease: Change,
    pub(crate) finish: Option<(Option<FailureKind>, Keep)>,
}

impl CommitPlan {
    /// An empty commit that holds.
    pub(crate) fn empty() -> Self {
        Self {
            by: By::Newest,
            expect: 0,
            reused: false,
            records: vec![],
            blobs: vec![],
            drops: vec![],
            snapshot: None,
            trim: None,
            take: vec![],
            note: Text::None,
            advances: false,
            lease: Change::Keep,
            finish: None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RecordPlan {
    pub(crate) size: usize,
    pub(crate) id: Option<u64>,
    pub(crate) blob: Option<u64>,
}

/// A cursor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Place {
    /// So far below the end.
    Back(u64),
    /// So far past the end.
    Past(u64),
    /// At the n-th newest snapshot, counted from 0, and so much above or below it.
    Snapshot(usize, i64),
    Origin,
}

/// A message to take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pick {
    /// The n-th that waits.
    Waiting(usize),
    /// One that has not been sent.
    Future,
    /// The first ever.
    First,
}

/// A change of the lease.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Change {
    Keep,
    Extend(Ttl),
    /// Due at once.
    Now,
    /// Due in so long.
    At(Duration),
    /// Due with a message so far above the newest.
    Message(i64),
    /// Whichever comes first.
    Either(Duration, i64),
    /// A release that nothing can wake: `Invalid`.
    Never,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Keep {
    For(Duration),
    Ever,
    No,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Guard {
    Finished(Life),
    NotDriven(Life),
    Any,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SpanPlan {
    pub(crate) after: Option<Place>,
    pub(crate) until: Option<Place>,
    pub(crate) limit: Option<u64>,
    pub(crate) reverse: bool,
    pub(crate) follow: bool,
    pub(crate) page: Option<u32>,
    pub(crate) life: Option<Life>,
}

/// What a listing asks for; its page is 1 to 3 runs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Filter {
    pub(crate) by: ListBy,
    pub(crate) newest_first: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) page: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum ListBy {
    All,
    Status(Status),
    Due(Pass),
    Name,
    Label,
    Parent,
    Failure(FailureKind),
    Idle(Pass),
    Expired,
}

/// An instant, or a time that passes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pass {
    /// So long.
    For(Duration),
    /// Up to when the step's run is due, and so many microseconds more or less.
    ToDue(i64),
    /// So long ago.
    Ago(Duration),
}

impl Step {
    /// The same with less to it, for a history that is made short.
    pub(crate) fn simpler(&self) -> Vec<Step> {
        let mut simpler = Vec::new();
        let mut with = |change: &dyn Fn(&mut Step)| {
            let mut step = self.clone();
            change(&mut step);
            if step != *self {
                simpler.push(step);
            }
        };
        with(&|step| step.way = Way::Through(Fate::Done));
        with(&|step| step.handle = 0);
        with(&|step| step.run = 0);
        with(&|step| {
            if let Act::Commit(plan) = &mut step.act {
                *plan = CommitPlan::empty();
            }
        });
        for part in 0..CommitPlan::PARTS {
            with(&|step| match &mut step.act {
                Act::Commit(plan) => plan.drop_part(part),
                Act::Many(plans) => plans.iter_mut().for_each(|(_, plan)| plan.drop_part(part)),
                _ => {}
            });
        }
        with(&|step| {
            if let Act::Many(plans) = &mut step.act {
                plans.truncate(1);
            }
        });
        for part in 0..4 {
            with(&|step| match &mut step.act {
                Act::Open(plan) if part == 0 => plan.origin = None,
                Act::Open(plan) if part == 1 => plan.over = None,
                Act::Open(plan) if part == 2 => plan.reopen_failed = false,
                Act::Open(plan) => plan.ttl = Ttl::Long,
                Act::Stream(span) | Act::Inbox(span) if part == 0 => span.page = None,
                Act::Stream(span) | Act::Inbox(span) if part == 1 => span.after = None,
                Act::Stream(span) | Act::Inbox(span) if part == 2 => span.until = None,
                Act::Stream(span) | Act::Inbox(span) => span.limit = None,
                _ => {}
            });
        }
        simpler
    }
}

impl CommitPlan {
    /// How many parts it has.
    const PARTS: usize = 11;

    fn drop_part(&mut self, part: usize) {
        let none = Self::empty();
        match part {
            0 => self.records = none.records,
            1 => self.records.truncate(1),
            2 => self.blobs = none.blobs,
            3 => self.drops = none.drops,
            4 => self.snapshot = none.snapshot,
            5 => self.trim = none.trim,
            6 => self.take = none.take,
            7 => self.note = none.note,
            8 => self.advances = false,
            9 => self.lease = none.lease,
            _ => self.finish = none.finish,
        }
    }
}
