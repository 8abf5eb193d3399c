//! `commit_many` for stores that have nothing better.

use std::collections::HashSet;

use milepost_core::{Applied, Commit, Committed, Error, ErrorKind, Operation, Result, RunId, Store};

/// Commits one after another: [`Store::commit_many`] of a store without
/// [`BatchCommit`](milepost_core::Capability::BatchCommit). A run that occurs twice is `Invalid` for each of its commits,
/// said in the name of `backend`.
pub async fn one_by_one<S: Store + ?Sized>(
    store: &S,
    backend: &'static str,
    commits: Vec<Commit>,
) -> Vec<Result<Committed>> {
    let mut seen = HashSet::new();
    let twice = commits.iter().filter(|commit| !seen.insert(&commit.run));
    let twice: HashSet<RunId> = twice.map(|commit| commit.run.clone()).collect();
    let mut answers = Vec::with_capacity(commits.len());
    for commit in commits {
        answers.push(if twice.contains(&commit.run) {
            let error = Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits");
            Err(error.with_applied(Applied::No).during(backend, Operation::Commit, Some(&commit.run)))
        } else {
            store.commit(commit).await
        });
    }
    answers
}
