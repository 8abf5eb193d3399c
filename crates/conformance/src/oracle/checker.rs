//! Is there one order of the operations that explains every answer?
//!
//! A history is linearizable if its operations can be put into an order in which each stands at a moment between its
//! call and its answer, and in which the reference model answers as the store did (Herlihy and Wing 1990). The search
//! tries every operation that may come next, and remembers which sets of operations have led to which state in vain
//! (Wing and Gong 1993, with Lowe's memory of configurations, 2017). An operation that changes nothing and is answered
//! as it was is put there at once: where it may stand now, putting it later helps nobody.

use std::{collections::HashMap, sync::Arc};

use milepost_core::{Capabilities, Fence, Head, Incarnation, Refusal, RunId, Timestamp, Token};
use milepost_store_memory::{Answer, Mint, Write};

use super::{
    alike::alike,
    ask::{Ask, Told},
    history::Operation,
    model::Model,
};

/// What came of the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// There is an order.
    Order,
    /// There is none; the longest beginning of one explains so many operations.
    Nothing { longest: usize },
    /// The search became too long.
    GivenUp,
}

/// The model's clock stands still: no lease of a history runs out.
const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// After how many tries the search gives up.
const PATIENCE: usize = 100_000;

/// Which operations stand in the order already.
type Done = Box<[u64]>;

/// A beginning of an order, and how it can go on.
struct Stage {
    done: Done,
    /// How many operations with an answer it explains.
    explains: usize,
    next: Vec<(usize, Arc<Model>)>,
}

/// The search over the history of one run.
struct Search<'a> {
    history: &'a [Operation],
    /// Every fence that an answer shows.
    shown: Vec<Fence>,
    /// Where the search has been.
    been: HashMap<Done, Vec<Arc<Model>>>,
}

/// Looks for an order that explains `history`, the operations of one run in the order of their calls, which begins
/// without the run.
pub(crate) fn linearize(offered: &Capabilities, history: &[Operation]) -> Found {
    let mut search = Search { history, shown: shown(history), been: HashMap::new() };
    let answered = history.iter().filter(|operation| operation.told != Told::Lost).count();
    let begin = Arc::new(Model::new(*offered));
    let done = vec![0; history.len().div_ceil(64)].into_boxed_slice();
    let mut stages = vec![search.stage(done, 0, begin)];
    let (mut longest, mut tries) = (0, 0);
    while let Some(stage) = stages.last_mut() {
        longest = longest.max(stage.explains);
        if stage.explains == answered {
            return Found::Order;
        }
        let Some((index, model)) = stage.next.pop() else {
            stages.pop();
            continue;
        };
        tries += 1;
        if tries > PATIENCE {
            return Found::GivenUp;
        }
        let mut done = stage.done.clone();
        done[index / 64] |= 1 << (index % 64);
        let explains = stage.explains + usize::from(history[index].told != Told::Lost);
        if search.is_new(&done, &model) {
            stages.push(search.stage(done, explains, model));
        }
    }
    Found::Nothing { longest }
}

impl Search<'_> {
    /// Whether the search comes here for the first time.
    fn is_new(&mut self, done: &Done, model: &Arc<Model>) -> bool {
        let models = self.been.entry(done.clone()).or_default();
        let new = !models.contains(model);
        if new {
            models.push(model.clone());
        }
        new
    }

    /// How the order can go on; the likeliest last, where it is taken from.
    fn stage(&self, done: Done, explains: usize, model: Arc<Model>) -> Stage {
        let left = || {
            let open = |(index, _): &(usize, &Operation)| done[index / 64] & (1 << (index % 64)) == 0;
            self.history.iter().enumerate().filter(open)
        };
        // What was called after another one had been answered does not stand before it.
        let first_answer = left().map(|(_, operation)| operation.answered).min().unwrap_or(u64::MAX);
        let mut next = Vec::new();
        for (index, operation) in left().filter(|(_, operation)| operation.invoked < first_answer) {
            for ask in self.possible(operation, &model) {
                let mut after = Model::clone(&model);
                let told = after.answer(&ask, NOW);
                let unchanged = after == *model;
                if operation.told == Told::Lost {
                    // One that changes nothing may as well never have happened.
                    next.extend((!unchanged).then(|| (index, Arc::new(after))));
                } else if alike(&ask, &operation.told, &told, false) {
                    if unchanged {
                        next = vec![(index, model.clone())];
                        return Stage { done, explains, next };
                    }
                    next.push((index, Arc::new(after)));
                }
            }
        }
        // First those with an answer, in the order of their calls; a lost one only when nothing else goes on.
        next.sort_by_key(|(index, _)| {
            let operation = &self.history[*index];
            (operation.told != Told::Lost, std::cmp::Reverse(operation.invoked))
        });
        Stage { done, explains, next }
    }

    /// What the operation may have been: an open whose answer was lost may have drawn any bits that were seen later, or
    /// some that nobody ever saw.
    fn possible(&self, operation: &Operation, model: &Model) -> Vec<Ask> {
        let ask = operation.ask.minted(&operation.told);
        let Ask::Write(run, write) = &ask else { return vec![ask] };
        let Write::Open(open, _) = &**write else { return vec![ask] };
        if operation.told != Told::Lost {
            return vec![ask];
        }
        let head = model.head(run, NOW);
        let fits = |fence: &&Fence| match &head {
            Some(head) => fence.supersedes(head.fence) && fence.epoch == head.fence.epoch + 1,
            None => fence.epoch == 1,
        };
        let unseen = Mint { incarnation: Incarnation(open.id.0), token: Token(open.id.0 as u64) };
        let seen = self.shown.iter().filter(fits);
        let mints = seen.map(|fence| Mint { incarnation: fence.incarnation, token: fence.token });
        let opening = |mint| Ask::Write(RunId::clone(run), Box::new(Write::Open(open.clone(), mint)));
        mints.chain([unseen]).map(opening).collect()
    }
}

/// Every fence that an answer shows.
fn shown(history: &[Operation]) -> Vec<Fence> {
    let of_head = |head: &Head| head.fence;
    let mut shown: Vec<Fence> = history
        .iter()
        .filter_map(|operation| match &operation.told {
            Told::Head(head) => head.as_deref().map(of_head),
            Told::Answer(answer) => match &**answer {
                Answer::Opened(opened) => Some(opened.fence),
                _ => None,
            },
            Told::Refused(refusal) => match &**refusal {
                Refusal::Fenced { current } => Some(*current),
                Refusal::Conflict { head, .. } => Some(head.fence),
                _ => None,
            },
            _ => None,
        })
        .collect();
    shown.sort_by_key(|fence| (fence.incarnation, fence.epoch, fence.token));
    shown.dedup();
    shown
}

#[cfg(test)]
mod tests {
    use milepost_core::{Commit, Committed, Durability, Manifest, Open, OperationId, RunInfo};

    use super::*;

    const MINT: Mint = Mint { incarnation: Incarnation(7), token: Token(7) };
    const OFFERED: Capabilities = Capabilities::all(Durability::Process);

    fn operation(invoked: u64, answered: u64, ask: &Ask, told: Told) -> Operation {
        Operation { client: 0, invoked, answered, ask: ask.clone(), told }
    }

    fn write(write: Write) -> Ask {
        Ask::Write(RunId::from_static("r"), Box::new(write))
    }

    /// An open and a commit, the model's answers to them, and what a head told before and after each.
    fn answered() -> ([Ask; 2], [Told; 2], [Told; 3]) {
        let fence = Fence { incarnation: MINT.incarnation, epoch: 1, token: MINT.token };
        let open = Open::create(OperationId(1), RunInfo::named("n"), Manifest::of(b""));
        let commit = Commit::new(RunId::from_static("r"), fence, OperationId(2), 1);
        let asks = [write(Write::Open(open, MINT)), write(Write::Commit(commit))];
        let mut model = Model::new(OFFERED);
        let mut head = |ask: Option<&Ask>| {
            let told = ask.map(|ask| model.answer(ask, Timestamp(5)));
            (told, model.answer(&Ask::Head(RunId::from_static("r")), Timestamp(5)))
        };
        let ((_, none), (opened, first), (held, second)) =
            (head(None), head(Some(&asks[0])), head(Some(&asks[1])));
        (asks.clone(), [opened.unwrap(), held.unwrap()], [none, first, second])
    }

    /// An open from 0 to 10, a commit from 20 to 30, and a head that was read from `invoked` to `answered`.
    fn linearizable(invoked: u64, answered_at: u64, seen: usize) -> bool {
        let ([open, commit], [opened, held], heads) = answered();
        let head = Ask::Head(RunId::from_static("r"));
        let mut history = [
            operation(0, 10, &open, opened),
            operation(20, 30, &commit, held),
            operation(invoked, answered_at, &head, heads[seen].clone()),
        ];
        history.sort_by_key(|operation| operation.invoked);
        linearize(&OFFERED, &history) == Found::Order
    }

    #[test]
    fn a_head_tells_a_state_of_its_own_time() {
        for (invoked, answered_at, seen) in [
            // Beside the open: before or after it, but not after the commit.
            (1, 9, [true, true, false]),
            // Between the two.
            (11, 19, [false, true, false]),
            // Beside the commit.
            (21, 29, [false, true, true]),
            // After both.
            (31, 32, [false, false, true]),
            // Beside both.
            (1, 31, [true, true, true]),
        ] {
            for (seen, legal) in seen.into_iter().enumerate() {
                assert_eq!(linearizable(invoked, answered_at, seen), legal, "{invoked} {answered_at} {seen}");
            }
        }
    }

    #[test]
    fn two_winners_have_no_order() {
        let ([open, commit], [opened, held], _) = answered();
        let Ask::Write(_, ours) = &commit else { panic!("a commit is a write") };
        let Write::Commit(ours) = &**ours else { panic!("the second is the commit") };
        let rival = write(Write::Commit(Commit { id: OperationId(3), ..ours.clone() }));
        let history = [
            operation(0, 1, &open, opened),
            operation(2, 5, &commit, held.clone()),
            operation(3, 6, &rival, held),
        ];
        assert_eq!(linearize(&OFFERED, &history), Found::Nothing { longest: 2 });
    }

    #[test]
    fn a_write_whose_answer_was_lost_stands_anywhere_later_or_nowhere() {
        let ([open, commit], [opened, held], heads) = answered();
        let head = Ask::Head(RunId::from_static("r"));
        let read = |at: u64, seen: usize| operation(at, at + 1, &head, heads[seen].clone());
        // The commit is sent at 20 and never answered.
        for (reads, legal) in [
            (vec![read(30, 1), read(40, 1)], true),
            (vec![read(30, 1), read(40, 2)], true),
            (vec![read(30, 2), read(40, 2)], true),
            (vec![read(30, 2), read(40, 1)], false),
        ] {
            let mut history =
                vec![operation(0, 10, &open, opened.clone()), operation(20, u64::MAX, &commit, Told::Lost)];
            history.extend(reads.clone());
            assert_eq!(linearize(&OFFERED, &history) == Found::Order, legal, "{reads:?}");
        }
        let replayed =
            Told::Answer(Box::new(Answer::Committed(Committed { version: 2, cursor: 0, replayed: true })));
        let history = |retried: Told| {
            [
                operation(0, 10, &open, opened.clone()),
                operation(20, u64::MAX, &commit, Told::Lost),
                operation(30, 40, &commit, retried),
            ]
        };
        assert_eq!(linearize(&OFFERED, &history(replayed)), Found::Order, "it had happened");
        assert_eq!(linearize(&OFFERED, &history(held)), Found::Order, "it had not");
    }

    #[test]
    fn an_open_whose_answer_was_lost_is_known_by_its_fence() {
        let ([open, _], [opened, _], heads) = answered();
        let head = Ask::Head(RunId::from_static("r"));
        let lost = operation(0, u64::MAX, &open, Told::Lost);
        let read = operation(5, 6, &head, heads[1].clone());
        assert_eq!(linearize(&OFFERED, &[lost.clone(), read.clone()]), Found::Order);
        assert_eq!(linearize(&OFFERED, &[lost, read, operation(7, 8, &open, opened)]), Found::Order);
    }
}
