//! Work side by side: branches, each with its own place, so that the order in which they take turns does not matter.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Run;

impl Run {
    /// A branch of this run under `key`, for a future that goes on beside others (`tokio::join!` and the like). What is
    /// asked for in the branch is told apart from everything outside of it by the key, whichever comes first.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// # async fn left(run: Run) -> Result<u32, BoxError> { Ok(1) }
    /// # async fn right(run: Run) -> Result<u32, BoxError> { Ok(2) }
    /// async fn handler(run: Run, _: ()) -> Result<u32, BoxError> {
    ///     let (left, right) = tokio::try_join!(left(run.branch("left")), right(run.branch("right")))?;
    ///     Ok(left + right)
    /// }
    /// ```
    pub fn branch(&self, key: impl AsRef<str>) -> Run {
        let (place, entry) = self.arrive();
        self.branch_at(&place, entry, key.as_ref())
    }

    fn branch_at(&self, place: &crate::place::Place, entry: Option<super::Entry>, key: &str) -> Run {
        match entry {
            None | Some(super::Entry::Branch(_)) => {}
            Some(other) => self.core.diverge(place, &format!("branch {key:?}"), &other),
        }
        Run::in_scope(self.core.clone(), place.branch(key))
    }

    /// Does `work` for each item, at most `at_once` of them side by side, each in a branch under the item's key; gives what
    /// they return in the order of the items, or the first error, with which the others are dropped.
    ///
    /// The keys are the items' own, so that a list that comes in another order after a crash is still the same work.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// # async fn fetch(url: &str) -> Result<usize, BoxError> { Ok(url.len()) }
    /// async fn handler(run: Run, urls: Vec<String>) -> Result<usize, BoxError> {
    ///     let sizes = run.map(urls, 8, |url| url.clone(), |run, url| async move {
    ///         run.step("fetch", || fetch(&url)).retries(3).await
    ///     });
    ///     Ok(sizes.await?.iter().sum())
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// When two items have one key, or `at_once` is 0.
    pub async fn map<I, T, E, F>(
        &self,
        items: impl IntoIterator<Item = I>,
        at_once: usize,
        key: impl Fn(&I) -> String,
        mut work: impl FnMut(Run, I) -> F,
    ) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        assert!(at_once > 0, "nothing is ever done with none at once");
        let (place, entry) = self.arrive();
        let group = self.branch_at(&place, entry, "");
        let mut keys = HashSet::new();
        let futures: Vec<_> = items
            .into_iter()
            .map(|item| {
                let key = key(&item);
                let scope = place.branch(&key);
                assert!(keys.insert(key), "two items of one map have one key");
                work(Run::in_scope(group.core.clone(), scope), item)
            })
            .collect();
        stream::iter(futures).buffered(at_once).try_collect().await
    }
}
