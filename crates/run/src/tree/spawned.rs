//! Children that were begun, and the order in which they end.

use std::{fmt, marker::PhantomData, pin::pin, sync::Arc};

use futures_util::future::select_all;
use milepost_core::RunId;
use serde::de::DeserializeOwned;

use super::{
    child::{ChildError, asked},
    kept::ChildEnd,
    watch::{Spec, Watch},
};
use crate::run::Core;

/// A child that was begun, made by [`Child::spawn`](crate::Child::spawn). Dropped, it goes on; when its parent ends, it is
/// cancelled.
pub struct Spawned<T> {
    core: Arc<Core>,
    spec: Spec,
    watch: Watch,
    output: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("key", &self.key()).field("run", self.run()).finish_non_exhaustive()
    }
}

impl<T> Spawned<T> {
    pub(super) fn new(core: Arc<Core>, spec: Spec, watch: Watch) -> Self {
        Self { core, spec, watch, output: PhantomData }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.spec.identity.key
    }

    /// Which run it is.
    pub fn run(&self) -> &RunId {
        &self.spec.identity.run
    }
}

impl<T: DeserializeOwned> Spawned<T> {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It gave no output, or was refused.
    pub async fn join(mut self) -> Result<T, ChildError> {
        let end = match self.watch.recorded() {
            Some((_, end)) => end,
            None => {
                let ending = self.watch.ended(&self.core, &self.spec).await;
                self.watch.settle(&self.core, &self.spec, ending).await
            }
        };
        self.give(end).await
    }

    async fn give(self, end: Arc<ChildEnd>) -> Result<T, ChildError> {
        let identity = self.spec.identity;
        match &*end {
            ChildEnd::Completed(value) => {
                let mut busy = self.core.activity.begin();
                Ok(self.core.recall(&mut busy, &self.spec.at, &asked(&identity), value).await)
            }
            ChildEnd::Failed { cause, message } => {
                let (cause, message) = (*cause, message.clone());
                Err(ChildError { key: identity.key, run: identity.run, cause, message })
            }
        }
    }
}

/// Children side by side, taken as they end.
///
/// Who ends first depends on time alone, so the order is recorded, and after a crash they come in the same one.
///
/// ```
/// # use milepost_run::{BoxError, Children, Run};
/// async fn first_quotes(run: Run, shops: Vec<String>) -> Result<Vec<u64>, BoxError> {
///     let mut children = Children::new();
///     for shop in shops {
///         children.push(run.child::<u64>(&shop, "quote", &shop).spawn().await);
///     }
///     let mut quotes = Vec::new();
///     while let Some((_shop, quote)) = children.next().await {
///         quotes.extend(quote.ok());
///         if quotes.len() == 3 {
///             break; // the others are cancelled when this run ends
///         }
///     }
///     Ok(quotes)
/// }
/// ```
#[derive(Debug)]
pub struct Children<T> {
    waiting: Vec<Spawned<T>>,
}

impl<T> Default for Children<T> {
    fn default() -> Self {
        Self { waiting: Vec::new() }
    }
}

impl<T> Children<T> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, child: Spawned<T>) {
        self.waiting.push(child);
    }

    /// How many have not been taken.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all have been taken.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T: DeserializeOwned> Children<T> {
    /// The next one that ends, with its key; `None` when all have been taken.
    pub async fn next(&mut self) -> Option<(String, Result<T, ChildError>)> {
        // Those whose end is recorded come first, in the order of the records; it is the order in which they came then.
        let recorded = self.waiting.iter().enumerate();
        let recorded = recorded.filter_map(|(index, child)| Some((child.watch.recorded()?.0, index))).min();
        let (index, end) = match recorded {
            Some((_, index)) => (index, self.waiting[index].watch.recorded()?.1),
            None if self.waiting.is_empty() => return None,
            None => self.settle_first().await,
        };
        let child = self.waiting.remove(index);
        let key = child.key().to_owned();
        Some((key, child.give(end).await))
    }

    async fn settle_first(&mut self) -> (usize, Arc<ChildEnd>) {
        let watches =
            self.waiting.iter_mut().map(|child| Box::pin(child.watch.ended(&child.core, &child.spec)));
        // The others have kept what they saw, and see it again.
        let (ending, index, _) = pin!(select_all(watches)).await;
        let child = &mut self.waiting[index];
        let end = child.watch.settle(&child.core, &child.spec, ending).await;
        (index, end)
    }
}
