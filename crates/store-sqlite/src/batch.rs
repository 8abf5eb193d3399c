//! Several commits in one message to the writer, which makes them one transaction.

use std::collections::HashMap;

use milepost_core::{Applied, Commit, Committed, Error, ErrorKind, Operation, Result};

use crate::{
    SqliteStore,
    error::BACKEND,
    job::Request,
    store::{committed, lost, receive},
};

/// Gives each commit its own verdict, in the order of the commits.
pub(crate) async fn commit_many(store: &SqliteStore, commits: Vec<Commit>) -> Vec<Result<Committed>> {
    let mut seen = HashMap::new();
    for commit in &commits {
        *seen.entry(commit.run.clone()).or_insert(0usize) += 1;
    }
    let mut runs = Vec::with_capacity(commits.len());
    let mut refused = Vec::with_capacity(commits.len());
    let mut requests = Vec::with_capacity(commits.len());
    for commit in commits {
        runs.push(commit.run.clone());
        let once = seen.get(&commit.run) == Some(&1);
        let check = if once { commit.check(store.offered()) } else { Err(twice()) };
        refused.push(check.err());
        if let Some(None) = refused.last() {
            let digest = commit.digest();
            requests.push(Request::Commit(commit, digest));
        }
    }
    let answers = match store.queue(requests).await {
        Ok(answers) => Ok(receive(answers).await),
        Err(error) => Err(error.with_applied(Applied::No)),
    };
    let mut answers = answers.map(Vec::into_iter);
    let answer = |refused: Option<Error>| match (refused, &mut answers) {
        (Some(error), _) => Err(error.with_applied(Applied::No)),
        (None, Ok(answers)) => answers.next().unwrap_or_else(|| Err(lost())).map(committed),
        (None, Err(error)) => Err(error.repeat()),
    };
    let during = |(error, run): (Result<Committed>, _)| {
        error.map_err(|error| error.during(BACKEND, Operation::Commit, Some(run)))
    };
    refused.into_iter().map(answer).zip(&runs).map(during).collect()
}

fn twice() -> Error {
    Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits")
}
