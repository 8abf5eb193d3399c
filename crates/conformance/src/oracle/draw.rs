//! Drawing the next step: by chance, but with an eye to what a run can be asked where it stands, so that every answer
//! of the contract is given often.

use std::time::Duration;

use milepost_core::{Capability, CapabilitySet, FailureKind, Head, Mode, Status};
use milepost_layers::Fate;

use super::{
    random::Random,
    step::{
        Act, By, Change, CommitPlan, Filter, Guard, Keep, Life, ListBy, OpenPlan, Pass, Pick, Place,
        RecordPlan, SpanPlan, Step, Text, Ttl, Way,
    },
};

/// A kind of step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Deed {
    Open,
    Commit,
    Many,
    Renew,
    Send,
    Delete,
    Again,
    Head,
    Snapshot,
    Stream,
    Inbox,
    Blob,
    List,
    Pass,
}

/// What a history is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    /// How often each kind of step comes.
    pub(crate) mix: &'static [(u64, Deed)],
    /// How many of a hundred writes are lost, one way or another.
    pub(crate) lost: u64,
    /// How many are held on their way.
    pub(crate) stalled: u64,
    /// How many steps are followed by a new handle.
    pub(crate) reopened: u64,
    /// What must be seen: all pairs whose operation begins with one of these.
    pub(crate) wants: &'static [&'static str],
}

/// Draws steps.
#[derive(Debug)]
pub(crate) struct Drawer<'a> {
    pub(crate) random: &'a Random,
    pub(crate) focus: &'a Focus,
    pub(crate) offered: CapabilitySet,
    /// Whether the clock can be moved.
    pub(crate) exact: bool,
    /// The head of each run.
    pub(crate) heads: &'a [Option<Head>],
    /// How many writes are held.
    pub(crate) held: usize,
}

impl Drawer<'_> {
    /// The next step.
    pub(crate) fn step(&self) -> Step {
        let random = self.random;
        let run = random.below(self.heads.len() as u64) as usize;
        let act = if self.held > 0 && random.percent(20) { Act::Thaw } else { self.act(run) };
        let (nonce, way) = (random.bits() >> 16, self.way(&act));
        Step { handle: random.below(2) as usize, run, nonce, way, act }
    }

    fn way(&self, act: &Act) -> Way {
        let random = self.random;
        match act {
            Act::Open(_)
            | Act::Commit(_)
            | Act::Renew { .. }
            | Act::Send { .. }
            | Act::Delete(_)
            | Act::Again { .. } => {}
            _ => return Way::Through(Fate::Done),
        }
        if self.held < 3 && random.percent(self.focus.stalled) {
            return Way::Stalled;
        }
        if !random.percent(self.focus.lost) {
            return Way::Through(Fate::Done);
        }
        match act {
            // Only these may land late, when they were dropped, and change nothing then.
            Act::Commit(_) | Act::Send { life: Some(_), .. } if random.percent(30) => {
                Way::Dropped(1 + random.below(12) as u32)
            }
            _ => Way::Through(random.pick(&[Fate::AckLost, Fate::AckLost, Fate::Lost, Fate::Refused])),
        }
    }

    fn act(&self, run: usize) -> Act {
        let random = self.random;
        match &self.heads[run] {
            None if random.percent(60) => return Act::Open(self.creation()),
            Some(head) if head.outcome.is_some() => match random.below(12) {
                0 => return Act::Delete(Guard::Finished(Life::This)),
                1 | 2 => return Act::Open(OpenPlan { reopen_failed: true, ..self.resumption() }),
                _ => {}
            },
            Some(head) if head.lease.is_none() && random.percent(25) => return Act::Open(self.resumption()),
            _ => {}
        }
        match random.weighted(self.focus.mix) {
            Deed::Open if self.heads[run].is_none() => Act::Open(self.creation()),
            Deed::Open => Act::Open(self.resumption()),
            Deed::Commit => Act::Commit(self.commit()),
            Deed::Many => Act::Many(self.many()),
            Deed::Renew => Act::Renew { by: self.by(), ttl: self.ttl(), note: self.text() },
            Deed::Send => Act::Send {
                key: random.below(5),
                body: random.below(3),
                life: random.pick(&[None, None, Some(Life::This), Some(Life::This), Some(Life::Other)]),
                long: random.percent(4),
            },
            Deed::Delete => Act::Delete(random.weighted(&[
                (3, Guard::Finished(Life::This)),
                (3, Guard::NotDriven(Life::This)),
                (1, Guard::Finished(Life::Other)),
                (1, Guard::NotDriven(Life::Other)),
                (2, Guard::Any),
            ])),
            Deed::Again => Act::Again { back: random.weighted(&[(6, 0), (2, 1), (1, 2), (1, 5)]) },
            Deed::Head => Act::Head,
            Deed::Snapshot => Act::Snapshot(self.place()),
            Deed::Stream => {
                let tail = if self.offered.contains(Capability::TailStream) { 55 } else { 5 };
                Act::Stream(self.span(tail))
            }
            Deed::Inbox => Act::Inbox(self.span(55)),
            Deed::Blob if random.percent(30) => Act::Blobs,
            Deed::Blob => Act::Blob(random.below(5)),
            Deed::List => Act::List(self.filter()),
            Deed::Pass if self.exact => Act::Pass(self.pass()),
            Deed::Pass => Act::Head,
        }
    }

    /// Something that needs `capability`: where it is not offered too, now and then.
    fn needs(&self, capability: Capability, percent: u64) -> bool {
        self.random.percent(if self.offered.contains(capability) { percent } else { 2 })
    }

    fn some<T>(&self, percent: u64, draw: impl FnOnce() -> T) -> Option<T> {
        self.random.percent(percent).then(draw)
    }

    fn creation(&self) -> OpenPlan {
        let random = self.random;
        OpenPlan {
            mode: random.weighted(&[(5, Mode::Create), (4, Mode::CreateOrResume), (1, Mode::Resume)]),
            bare: random.percent(5),
            other_manifest: random.percent(10),
            big: random.percent(3),
            over: None,
            reopen_failed: false,
            origin: self.needs(Capability::Snapshots, 20).then(|| random.below(4)),
            ttl: self.ttl(),
        }
    }

    fn resumption(&self) -> OpenPlan {
        let random = self.random;
        let mode = random.weighted(&[(2, Mode::Create), (5, Mode::CreateOrResume), (9, Mode::Resume)]);
        OpenPlan {
            mode,
            bare: mode == Mode::Resume && random.percent(70),
            other_manifest: random.percent(12),
            big: random.percent(2),
            over: self
                .some(60, || random.weighted(&[(8, By::Newest), (2, By::Older(0)), (1, By::OtherToken)])),
            reopen_failed: random.percent(40),
            origin: self.needs(Capability::Snapshots, 5).then(|| random.below(4)),
            ttl: self.ttl(),
        }
    }

    fn by(&self) -> By {
        let back = self.random.below(3) as usize;
        self.random.weighted(&[
            (26, By::Newest),
            (3, By::Older(back)),
            (1, By::OtherToken),
            (1, By::NextEpoch),
            (1, By::OtherLife),
        ])
    }

    fn ttl(&self) -> Ttl {
        let short = self.random.pick(&[1, 1_000, 500_000, 5_000_000, 30_000_000]);
        let short = Ttl::Short(Duration::from_micros(short));
        self.random.weighted(&[(1, Ttl::Zero), (12, short), (16, Ttl::Long)])
    }

    fn text(&self) -> Text {
        self.random.weighted(&[(20, Text::None), (8, Text::Short), (1, Text::Long)])
    }

    fn commit(&self) -> CommitPlan {
        let random = self.random;
        let blob = |_| random.below(5);
        let mut plan = CommitPlan {
            by: self.by(),
            expect: random.weighted(&[(24, 0), (1, -1), (1, 1)]),
            reused: random.percent(4),
            records: Vec::new(),
            blobs: if self.needs(Capability::Blobs, 25) {
                (0..=random.below(2)).map(blob).collect()
            } else {
                vec![]
            },
            drops: if self.needs(Capability::Blobs, 12) {
                (0..=random.below(2)).map(blob).collect()
            } else {
                vec![]
            },
            snapshot: self.needs(Capability::Snapshots, 40).then(|| self.place()),
            trim: self.needs(Capability::Snapshots, 22).then(|| self.trim()),
            take: vec![],
            note: self.text(),
            advances: random.percent(20),
            lease: self.change(),
            finish: None,
        };
        // One that is both carried and dropped, or twice, is invalid; too often it would be.
        if random.percent(90) {
            plan.blobs.dedup();
            plan.drops.dedup();
            plan.drops.retain(|number| !plan.blobs.contains(number));
        }
        if self.needs(Capability::Log, 65) {
            plan.records = (0..=random.below(4)).map(|_| self.record(&plan)).collect();
        }
        if self.needs(Capability::Inbox, 20) {
            let pick = |_| {
                random.weighted(&[
                    (6, Pick::Waiting(0)),
                    (3, Pick::Waiting(1)),
                    (1, Pick::Future),
                    (1, Pick::First),
                ])
            };
            plan.take = (0..=random.below(2)).map(pick).collect();
            if random.percent(90) {
                plan.take.dedup();
            }
        }
        if random.percent(12) {
            plan.finish = Some((self.some(60, || random.pick(&FailureKind::ALL)), self.keep()));
            if random.percent(85) {
                plan.lease = Change::Keep;
            }
        }
        plan
    }

    fn record(&self, plan: &CommitPlan) -> RecordPlan {
        let random = self.random;
        let carried = plan.blobs.first().copied().filter(|_| random.percent(75));
        RecordPlan {
            size: random.weighted(&[(2, 0), (12, 12), (2, 300), (1, 5_000)]),
            id: self.needs(Capability::RecordIds, 20).then(|| random.below(24)),
            blob: self.needs(Capability::Blobs, 15).then(|| carried.unwrap_or(random.below(5))),
        }
    }

    fn keep(&self) -> Keep {
        let short = Keep::For(Duration::from_secs(self.random.below(20)));
        self.random.weighted(&[(2, Keep::Ever), (2, short), (3, Keep::No)])
    }

    fn change(&self) -> Change {
        let random = self.random;
        let after = Duration::from_micros(random.pick(&[0, 1, 1_000, 5_000_000, 60_000_000]));
        let off = random.pick(&[-1, 0, 0, 0, 1]);
        if !random.percent(24) {
            return Change::Keep;
        }
        if random.percent(25) {
            return Change::Extend(self.ttl());
        }
        if !self.needs(Capability::Inbox, 55) {
            return random.weighted(&[(5, Change::Now), (5, Change::At(after)), (1, Change::Never)]);
        }
        random.weighted(&[(2, Change::Message(off)), (1, Change::Either(after, off))])
    }

    fn many(&self) -> Vec<(usize, CommitPlan)> {
        let runs = 0..self.heads.len();
        let mut many: Vec<_> = runs.map(|run| (run, self.commit())).collect();
        if self.random.percent(30) {
            many.remove(self.random.below(many.len() as u64) as usize);
        }
        if self.random.percent(20) {
            many.push((self.random.below(self.heads.len() as u64) as usize, self.commit()));
        }
        many
    }

    fn place(&self) -> Place {
        let back = self.random.below(6);
        self.random.weighted(&[
            (8, Place::Back(0)),
            (4, Place::Back(back)),
            (1, Place::Past(1)),
            (2, Place::Snapshot(0, 0)),
            (1, Place::Snapshot(0, -1)),
            (1, Place::Snapshot(1, 0)),
            (2, Place::Origin),
        ])
    }

    fn trim(&self) -> Place {
        self.random.weighted(&[
            (8, Place::Snapshot(1, 0)),
            (4, Place::Snapshot(0, 0)),
            (1, Place::Snapshot(1, -1)),
            (1, Place::Snapshot(1, 1)),
            (1, Place::Back(0)),
            (1, Place::Origin),
        ])
    }

    /// A span that begins somewhere above 0 so many times of a hundred.
    fn span(&self, tail: u64) -> SpanPlan {
        let random = self.random;
        SpanPlan {
            after: self.some(tail, || self.bound()),
            until: self.some(30, || self.bound()),
            limit: self.some(25, || random.below(5)),
            reverse: random.percent(25),
            follow: self.needs(Capability::Follow, 15),
            page: self.some(60, || 1 + random.below(3) as u32),
            life: random.pick(&[None, None, None, Some(Life::This), Some(Life::Other)]),
        }
    }

    fn bound(&self) -> Place {
        let back = self.random.below(5);
        self.random.weighted(&[(9, Place::Back(back)), (2, Place::Past(back)), (1, Place::Snapshot(1, 0))])
    }

    fn filter(&self) -> Filter {
        let random = self.random;
        let status =
            [Status::Running, Status::Waiting, Status::Interrupted, Status::Completed, Status::Failed];
        let by = random.below(12);
        let by = match by {
            0 => ListBy::All,
            1 | 2 => ListBy::Status(random.pick(&status)),
            3 | 10 | 11 => ListBy::Due(self.pass()),
            4 => ListBy::Name,
            5 => ListBy::Label,
            6 => ListBy::Parent,
            7 => ListBy::Failure(random.pick(&FailureKind::ALL)),
            8 => ListBy::Idle(self.pass()),
            _ => ListBy::Expired,
        };
        Filter {
            by,
            newest_first: random.percent(30),
            limit: self.some(25, || random.below(3)),
            page: self.some(60, || 1 + random.below(2) as u32),
        }
    }

    fn pass(&self) -> Pass {
        let duration = Duration::from_micros(self.random.pick(&[1, 1_000, 5_000_000, 40_000_000]));
        let off = self.random.pick(&[-1, 0, 0, 1]);
        self.random.weighted(&[(3, Pass::For(duration)), (4, Pass::ToDue(off)), (1, Pass::Ago(duration))])
    }
}
