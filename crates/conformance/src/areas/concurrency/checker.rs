//! Is there one order of the operations that explains every answer?
//!
//! A history is linearizable if its operations can be put into an order in which each stands at a moment between its
//! call and its answer, and in which the reference model answers as the store did (Herlihy and Wing 1990). The search
//! tries every operation that may come next, and remembers which sets of operations have led to which state in vain
//! (Wing and Gong 1993, with Lowe's memory of configurations, 2017).

use std::collections::HashMap;

use milepost_store_memory::{Answer, Image, Mint, Write, apply};

use super::history::{Ask, Operation, Told, same};
use crate::areas::prelude::*;

/// The search over one history.
struct Search<'a> {
    run: &'a RunId,
    offered: &'a Capabilities,
    history: &'a [Operation],
    /// Which states the model was in after which operations, and the rest found no order.
    vain: HashMap<u64, Vec<Option<Image>>>,
    /// The longest order that was found.
    longest: usize,
}

/// Looks for an order that explains `history`, which begins without the run; `Err` tells how many operations the
/// longest order explains.
///
/// # Panics
///
/// When the history has more than 64 operations.
pub(crate) fn linearize(
    run: &RunId,
    offered: &Capabilities,
    history: &[Operation],
) -> std::result::Result<(), usize> {
    assert!(history.len() <= 64, "a set of operations is kept in 64 bits");
    let mut search = Search { run, offered, history, vain: HashMap::new(), longest: 0 };
    if search.explains(0, &None) { Ok(()) } else { Err(search.longest) }
}

impl Search<'_> {
    /// Whether the operations that are not in `done` can follow the state `image`.
    fn explains(&mut self, done: u64, image: &Option<Image>) -> bool {
        let count = done.count_ones() as usize;
        self.longest = self.longest.max(count);
        if count == self.history.len() {
            return true;
        }
        if self.vain.get(&done).is_some_and(|states| states.contains(image)) {
            return false;
        }
        let left = || (0..).zip(self.history).filter(move |(index, _)| done & (1 << index) == 0);
        // What was called after another one had been answered does not stand before it.
        let first_answer = left().map(|(_, operation)| operation.answered).min().unwrap_or(u64::MAX);
        let next: Vec<(u64, usize)> = left()
            .filter(|(_, operation)| operation.invoked < first_answer)
            .map(|(index, _)| (done | 1 << index, index))
            .collect();
        for (done, index) in next {
            let mut image = image.clone();
            let operation = &self.history[index];
            if same(&self.model(&mut image, operation), &operation.told) && self.explains(done, &image) {
                return true;
            }
        }
        self.vain.entry(done).or_default().push(image.clone());
        false
    }

    /// What the model answers.
    fn model(&self, image: &mut Option<Image>, operation: &Operation) -> Told {
        // The model's clock stands still: no lease of a history runs out.
        const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
        let write = match &operation.ask {
            Ask::Head => return Told::Head(image.as_ref().map(|image| Box::new(image.head(NOW)))),
            Ask::Write(Write::Open(open, unknown)) => {
                Write::Open(open.clone(), shown(&operation.told, *unknown))
            }
            Ask::Write(write) => write.clone(),
        };
        match apply(image, self.run, write, self.offered, NOW) {
            Ok(answer) => Told::Answer(Box::new(answer)),
            Err(error) => match error.refusal() {
                Some(refusal) => Told::Refused(refusal.clone()),
                None => unreachable!("the clients ask nothing that is invalid: {error}"),
            },
        }
    }
}

/// The random bits that the store drew for an open, as its answer shows them.
fn shown(told: &Told, unknown: Mint) -> Mint {
    match told {
        Told::Answer(answer) => match &**answer {
            Answer::Opened(opened) => {
                Mint { incarnation: opened.fence.incarnation, token: opened.fence.token }
            }
            _ => unknown,
        },
        _ => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "r";
    const MINT: Mint = Mint { incarnation: Incarnation(7), token: Token(7) };
    const OFFERED: Capabilities = Capabilities::all(Durability::Process);

    fn operation(invoked: u64, answered: u64, ask: Ask, told: Told) -> Operation {
        Operation { client: 0, invoked, answered, ask, told }
    }

    /// The model's own answers to an open and a commit, and what a head told before and after each of them.
    fn answered() -> (Vec<(Ask, Told)>, Vec<Option<Head>>) {
        let (run, now) = (RunId::from_static(RUN), Timestamp(5));
        let (mut image, mut heads, mut pairs) = (None, vec![None], vec![]);
        let open = Open::create(OperationId(1), RunInfo::named("n"), Manifest::of(b""));
        let fence = Fence { incarnation: MINT.incarnation, epoch: 1, token: MINT.token };
        let commit = Commit::new(run.clone(), fence, OperationId(2), 1);
        for write in [Write::Open(open, MINT), Write::Commit(commit)] {
            let answer = apply(&mut image, &run, write.clone(), &OFFERED, now).unwrap();
            pairs.push((Ask::Write(write), Told::Answer(Box::new(answer))));
            heads.push(image.as_ref().map(|image: &Image| image.head(now)));
        }
        (pairs, heads)
    }

    /// An open from 0 to 10, a commit from 20 to 30, and a head that was read from `invoked` to `answered`.
    fn linearizable(invoked: u64, answered_at: u64, seen: usize) -> bool {
        let (pairs, heads) = answered();
        let times = [(0, 10), (20, 30)];
        let mut history: Vec<_> = pairs
            .into_iter()
            .zip(times)
            .map(|((ask, told), (from, to))| operation(from, to, ask, told))
            .collect();
        let told = Told::Head(heads[seen].clone().map(Box::new));
        history.push(operation(invoked, answered_at, Ask::Head, told));
        linearize(&RunId::from_static(RUN), &OFFERED, &history).is_ok()
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
        let (mut pairs, _) = answered();
        let Some((Ask::Write(Write::Commit(commit)), _)) = pairs.pop() else { panic!("the commit is last") };
        let (ask, told) = pairs.remove(0);
        let won = |version| {
            Told::Answer(Box::new(Answer::Committed(Committed { version, cursor: 0, replayed: false })))
        };
        let rival = Commit { id: OperationId(3), ..commit.clone() };
        let history = [
            operation(0, 1, ask, told),
            operation(2, 5, Ask::Write(Write::Commit(commit)), won(2)),
            operation(3, 6, Ask::Write(Write::Commit(rival)), won(2)),
        ];
        assert_eq!(linearize(&RunId::from_static(RUN), &OFFERED, &history), Err(2));
    }
}
