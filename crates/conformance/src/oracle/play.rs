//! Playing a history: every step is put to the store and to the model, and their answers are compared.

use std::{collections::HashSet, sync::Arc, time::Duration};

use milepost_core::{
    At, Capability, CapabilitySet, Delete, Head, Incarnation, Manifest, Open, RunId, RunInfo, Span, Store,
    Timestamp, Token,
};
use milepost_layers::{Fate, FaultPlan, Faults};
use milepost_store_memory::{Mint, Write};
use tokio::task::JoinHandle;

use super::{
    ahead::Ahead,
    alike::alike,
    ask::{Ask, Told},
    label::labels,
    model::Model,
    resolve::{Known, Standing},
    step::{Act, Pass, Step, Way},
};
use crate::{Context, Verdict, areas::moves::abandoned};

/// How many runs a history has.
pub(crate) const RUNS: usize = 3;
/// After how many steps all that can be read of a run is compared.
const LOOK: usize = 12;
/// How many handles a case replaces at most.
const HANDLES: usize = 24;

/// Where the store's time stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    /// It is the kit's clock.
    Exact,
    /// It is a clock of the store's own, and was here when the case began. Nothing runs out during a case.
    Still(Timestamp),
}

impl Time {
    /// The time of a case: asked of the store, where it has its own.
    pub(crate) async fn of(ctx: &Context) -> Verdict<Self> {
        if ctx.now().is_some() {
            return Ok(Time::Exact);
        }
        let run = ctx.run("clock");
        let open = Open::create(ctx.id(), RunInfo::named("clock"), Manifest::of(b"clock"));
        let at = ctx.a.open(&run, open.ttl(ctx.long())).await?.head.at;
        ctx.a.delete(&run, Delete::Any).await?;
        Ok(Time::Still(at))
    }
}

/// The first step at which store and model went apart.
#[derive(Debug)]
pub(crate) struct Apart {
    /// What had been done, one line each.
    pub(crate) lines: Vec<String>,
    /// What was asked then.
    pub(crate) asked: String,
    /// What the model answers.
    pub(crate) model: String,
    /// What the store answered.
    pub(crate) store: String,
}

/// A write on its way.
#[derive(Debug)]
struct Held {
    ask: Ask,
    faults: Faults<Arc<dyn Store>>,
    task: JoinHandle<Told>,
}

/// A history that is being played.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    ctx: &'a Context,
    time: Time,
    runs: Vec<RunId>,
    prefix: String,
    pub(crate) model: Model,
    known: Vec<Known>,
    handles: [Arc<dyn Store>; 2],
    held: Vec<Held>,
    tokens: HashSet<Token>,
    lives: HashSet<Incarnation>,
    lines: Vec<String>,
    steps: usize,
}

type Played<T = ()> = Result<T, Box<Apart>>;

impl<'a> Player<'a> {
    /// A history of runs that no other history has; `number` tells them apart.
    pub(crate) fn new(ctx: &'a Context, time: Time, number: u64) -> Self {
        let prefix = format!("h{number}r");
        Self {
            ctx,
            time,
            runs: (0..RUNS).map(|run| ctx.run(&format!("{prefix}{run}"))).collect(),
            prefix,
            model: Model::new(ctx.capabilities),
            known: vec![Known::default(); RUNS],
            handles: [ctx.a.clone(), ctx.b.clone()],
            held: Vec::new(),
            tokens: HashSet::new(),
            lives: HashSet::new(),
            lines: Vec::new(),
            steps: 0,
        }
    }

    /// The store's now, as far as the model knows it.
    pub(crate) fn now(&self) -> Timestamp {
        match self.time {
            Time::Exact => self.ctx.now().unwrap_or_default(),
            Time::Still(at) => at,
        }
    }

    /// Whether instants are compared to the microsecond.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.time, Time::Exact)
    }

    /// What the store declares.
    pub(crate) fn offered(&self) -> CapabilitySet {
        self.ctx.capabilities.set
    }

    /// How many writes are on their way.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            model: &self.model,
            runs: &self.runs,
            prefix: &self.prefix,
            known: &self.known,
            now: self.now(),
            exact: self.is_exact(),
            long: self.ctx.long(),
        }
    }

    /// The history, to go on in thought.
    pub(crate) fn ahead(&self) -> Ahead<'_> {
        Ahead::of(&self.standing())
    }

    /// Plays a step; tells what was seen.
    pub(crate) async fn step(&mut self, step: &Step) -> Played<Vec<&'static str>> {
        self.steps += 1;
        let number = self.steps;
        match &step.act {
            Act::Pass(pass) => self.pass(step.run, *pass).await,
            Act::Reopen => self.reopen(step.handle).await?,
            Act::Thaw if self.held.is_empty() => {}
            Act::Thaw => return self.thaw().await,
            _ => {
                let Some(ask) = self.standing().ask(step) else { return Ok(Vec::new()) };
                let seen = self.go(step, ask).await?;
                if number.is_multiple_of(LOOK) {
                    self.look(step.run, 1 - step.handle).await?;
                }
                return Ok(seen);
            }
        }
        Ok(Vec::new())
    }

    /// Ends the history: what is on its way arrives, and both handles read what the model holds.
    pub(crate) async fn end(&mut self) -> Played {
        while !self.held.is_empty() {
            self.thaw().await?;
        }
        for run in 0..RUNS {
            self.look(run, run % 2).await?;
            self.look(run, 1 - run % 2).await?;
        }
        Ok(())
    }

    /// Leaves nothing behind, also of a history that failed.
    pub(crate) async fn leave(&mut self) {
        for held in self.held.drain(..) {
            held.faults.thaw();
            // How it ends does not matter any more.
            let _ = held.task.await;
        }
        for run in &self.runs {
            // One that cannot be deleted is in nobody's way.
            let _ = self.ctx.a.delete(run, Delete::Any).await;
        }
    }

    async fn pass(&mut self, run: usize, pass: Pass) {
        let duration = match pass {
            Pass::For(duration) | Pass::Ago(duration) => duration,
            Pass::ToDue(off) => {
                let due = self.standing().due(run);
                Timestamp(due.0.saturating_add(off)).since(self.now()).min(Duration::from_secs(86_400))
            }
        };
        if self.is_exact() {
            self.lines.push(format!("{duration:?} pass"));
            self.ctx.pass(duration).await;
        }
    }

    async fn reopen(&mut self, handle: usize) -> Played {
        if self.ctx.reopened() >= HANDLES {
            return Ok(());
        }
        self.lines.push(format!("handle {} is opened anew", ["a", "b"][handle]));
        match self.ctx.reopen().await {
            Ok(store) => self.handles[handle] = store,
            Err(failure) => return Err(self.apart("a new handle", "one", &failure)),
        }
        Ok(())
    }

    /// Puts a call to the store the way that the step says.
    async fn go(&mut self, step: &Step, ask: Ask) -> Played<Vec<&'static str>> {
        if let Ask::Write(..) = &ask {
            self.known[step.run].sent.push(ask.clone());
        }
        let handle = self.handles[step.handle].clone();
        let name = ["a", "b"][step.handle];
        match step.way {
            Way::Stalled => {
                self.lines.push(format!("{name}: {ask} … is held on its way"));
                self.hold(handle, ask).await;
                Ok(Vec::new())
            }
            // One that is refused where it stands could hold later, and a dropped one may arrive later.
            Way::Dropped(polls) if matches!(self.model.would(&ask, self.now()).0, Told::Answer(_)) => {
                let first = abandoned(polls, ask.clone().put(&*handle, None)).await;
                if let Some(told) = first {
                    return self.compare(name, step.handle, ask, told).await;
                }
                let told = ask.clone().put(&*handle, None).await;
                self.settle(name, &ask, told, "was dropped under way, sent again").map(|()| Vec::new())
            }
            Way::Through(fate) if fate != Fate::Done => {
                let faults = Faults::new(handle, FaultPlan::none().at(1, fate));
                let told = ask.clone().put(&faults, None).await;
                self.lose(name, step.handle, &ask, fate, told).await.map(|()| Vec::new())
            }
            Way::Through(_) | Way::Dropped(_) => {
                let (expected, _) = self.model.would(&ask, self.now());
                let told = ask.clone().put(&*handle, self.model.waiting(&ask, &expected)).await;
                self.compare(name, step.handle, ask, told).await
            }
        }
    }

    async fn hold(&mut self, handle: Arc<dyn Store>, ask: Ask) {
        let faults = Faults::new(handle, FaultPlan::none().stall_at(1));
        let (way, sent) = (faults.clone(), ask.clone());
        let task = tokio::spawn(async move { sent.put(&way, None).await });
        faults.stalled().await;
        self.held.push(Held { ask, faults, task });
    }

    /// The write that was held longest arrives.
    async fn thaw(&mut self) -> Played<Vec<&'static str>> {
        let Held { ask, faults, task } = self.held.remove(0);
        faults.thaw();
        let told = task.await.unwrap_or_else(|error| Told::Broken(error.to_string()));
        self.compare("thawed", 0, ask, told).await
    }

    /// The answer of the store must be the model's.
    async fn compare(
        &mut self,
        name: &str,
        handle: usize,
        ask: Ask,
        told: Told,
    ) -> Played<Vec<&'static str>> {
        let ask = ask.minted(&told);
        let now = self.now();
        let heads: Vec<_> =
            touched(&ask).into_iter().map(|run| (run.clone(), self.model.head(run, now))).collect();
        let expected = self.model.answer(&ask, now);
        if !alike(&ask, &told, &expected, self.is_exact()) {
            return Err(self.differ(&format!("{name}: {ask}"), &expected, &told));
        }
        let head =
            |run: &RunId| heads.iter().find(|(touched, _)| touched == run).and_then(|(_, head)| head.clone());
        let was = ask
            .run()
            .and_then(|run| head(run).or_else(|| reads(&ask).then(|| self.model.head(run, now)).flatten()));
        let is = ask.run().and_then(|run| self.model.head(run, now));
        let waits = self.model.waiting(&ask, &told).is_some();
        let seen = labels(&ask, &expected, was.as_ref(), is.as_ref(), waits);
        self.lines.push(format!("{name}: {ask} = {told}"));
        for (run, was) in heads {
            self.learn(&run, was.as_ref())?;
            self.glance(&run, 1 - handle).await?;
        }
        Ok(seen)
    }

    /// Keeps what the model's head shows, once store and model have agreed on it.
    fn learn(&mut self, run: &RunId, was: Option<&Head>) -> Played {
        let Some(is) = self.model.head(run, self.now()) else { return Ok(()) };
        if was.is_some_and(|was| was.fence == is.fence) {
            return Ok(());
        }
        let index = self.runs.iter().position(|known| known == run).unwrap_or_default();
        self.known[index].fences.push(is.fence);
        let life = was.is_some_and(|was| was.fence.incarnation == is.fence.incarnation);
        if !self.tokens.insert(is.fence.token) {
            return Err(self.apart(
                "the token of a new fence",
                "one that no other fence has",
                &is.fence.token,
            ));
        }
        if !life && !self.lives.insert(is.fence.incarnation) {
            return Err(self.apart("a new life", "an incarnation of its own", &is.fence.incarnation));
        }
        Ok(())
    }

    /// The other handle must read the model's head.
    async fn glance(&mut self, run: &RunId, handle: usize) -> Played {
        self.read(Ask::Head(run.clone()), handle).await.map(drop)
    }

    async fn read(&mut self, ask: Ask, handle: usize) -> Played<Told> {
        let (expected, _) = self.model.would(&ask, self.now());
        let told = ask.clone().put(&*self.handles[handle], None).await;
        if alike(&ask, &told, &expected, self.is_exact()) {
            return Ok(expected);
        }
        Err(self.differ(&format!("{}: {ask}", ["a", "b"][handle]), &expected, &told))
    }

    /// A write that was lost: done or not, the model is told both, and the other handle reads which.
    async fn lose(&mut self, name: &str, handle: usize, ask: &Ask, fate: Fate, told: Told) -> Played {
        let reported = match fate {
            Fate::Refused => Told::Unreached,
            _ => Told::Lost,
        };
        if told != reported {
            return Err(self.differ(&format!("{name}: {ask} ({fate})"), &reported, &told));
        }
        let Some(run) = ask.run().cloned() else { return Ok(()) };
        let read = Ask::Head(run.clone()).put(&*self.handles[1 - handle], None).await;
        let (now, was) = (self.now(), self.model.head(&run, self.now()));
        let mut done = self.model.clone();
        done.answer(&shown_by(ask, &read), now);
        let possible = if fate.happens() { done } else { self.model.clone() };
        let (expected, _) = possible.would(&Ask::Head(run.clone()), now);
        if !alike(ask, &read, &expected, self.is_exact()) {
            let asked = format!("the head after {name}: {ask} ({fate})");
            return Err(self.differ(&asked, &expected, &read));
        }
        self.model = possible;
        self.lines.push(format!("{name}: {ask} … {fate}"));
        self.learn(&run, was.as_ref())
    }

    /// A write that nobody knows the end of was sent again: it had happened, or it had not; the answer must be the
    /// model's for one of the two.
    fn settle(&mut self, name: &str, ask: &Ask, told: Told, how: &str) -> Played {
        let now = self.now();
        let mut done = self.model.clone();
        done.answer(ask, now);
        let mut answers = Vec::new();
        for mut possible in [self.model.clone(), done] {
            let answer = possible.answer(ask, now);
            if alike(ask, &told, &answer, self.is_exact()) {
                self.model = possible;
                self.lines.push(format!("{name}: {ask} … {how} = {told}"));
                return Ok(());
            }
            answers.push(answer.to_string());
        }
        let model = answers.join(" (if it had not happened), or (if it had) ");
        Err(self.apart_as(format!("{name}: {ask}, which {how}"), model, told.to_string()))
    }

    /// Everything that can be read of a run must be what the model holds.
    async fn look(&mut self, run: usize, handle: usize) -> Played {
        let run = self.runs[run].clone();
        let (log, tail) =
            (self.offered().contains(Capability::Log), self.offered().contains(Capability::TailStream));
        let (snapshots, history) =
            (self.offered().contains(Capability::Snapshots), self.offered().contains(Capability::History));
        let (inbox, blobs) =
            (self.offered().contains(Capability::Inbox), self.offered().contains(Capability::Blobs));
        self.glance(&run, handle).await?;
        let Some(head) = self.model.head(&run, self.now()) else { return Ok(()) };
        if log && (head.first <= 1 || tail) {
            self.read(Ask::Stream(run.clone(), Span::after(head.first - 1)), handle).await?;
        }
        let mut at = At::Latest;
        while snapshots
            && let Told::Snapshot(Some(kept)) = self.read(Ask::Snapshot(run.clone(), at), handle).await?
        {
            match kept.cursor.checked_sub(1).filter(|_| history) {
                Some(older) => at = At::OrBefore(older),
                None => break,
            }
        }
        if inbox {
            self.read(Ask::Inbox(run.clone(), Span::all()), handle).await?;
        }
        if blobs && let Told::Blobs(infos) = self.read(Ask::Blobs(run.clone()), handle).await? {
            for info in infos {
                self.read(Ask::Blob(run.clone(), info.name), handle).await?;
            }
        }
        Ok(())
    }

    fn differ(&mut self, asked: &str, model: &Told, store: &Told) -> Box<Apart> {
        let (mut expected, mut came) = (model.to_string(), store.to_string());
        if expected == came {
            (expected, came) = (format!("{model:?}"), format!("{store:?}"));
        }
        self.apart_as(asked.to_owned(), expected, came)
    }

    fn apart(&mut self, asked: &str, model: &str, store: &dyn std::fmt::Display) -> Box<Apart> {
        self.apart_as(asked.to_owned(), model.to_owned(), store.to_string())
    }

    fn apart_as(&mut self, asked: String, model: String, store: String) -> Box<Apart> {
        Box::new(Apart { lines: std::mem::take(&mut self.lines), asked, model, store })
    }
}

fn reads(ask: &Ask) -> bool {
    !matches!(ask, Ask::Write(..) | Ask::Many(_))
}

/// The runs that a call may change.
fn touched(ask: &Ask) -> Vec<&RunId> {
    let mut runs: Vec<&RunId> = match ask {
        Ask::Write(run, _) => vec![run],
        Ask::Many(commits) => commits.iter().map(|commit| &commit.run).collect(),
        _ => vec![],
    };
    runs.sort();
    runs.dedup();
    runs
}

/// The open with the mint that a head shows which was read after it.
fn shown_by(ask: &Ask, read: &Told) -> Ask {
    let mut ask = ask.clone();
    if let (Ask::Write(_, write), Told::Head(Some(head))) = (&mut ask, read)
        && let Write::Open(_, mint) = &mut **write
    {
        *mint = Mint { incarnation: head.fence.incarnation, token: head.fence.token };
    }
    ask
}
