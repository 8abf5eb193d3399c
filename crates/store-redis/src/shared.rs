//! What one task makes and everybody shares: a connection, a cluster's map.
//!
//! Nothing is locked while it is made, so a caller that is polled once and then left alone, without being dropped, keeps it
//! from nobody.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{FutureExt, future};
use redis::{ErrorKind, RedisError, RedisResult};

/// A value that is made when it is asked for, and kept until somebody gives it up.
pub(crate) struct Shared<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    value: Option<Arc<T>>,
    making: Option<Making<T>>,
}

/// The task that makes a value, for all that wait for it.
type Making<T> = future::Shared<future::BoxFuture<'static, RedisResult<Arc<T>>>>;

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { value: None, making: None })))
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// The value, if there is one.
    pub(crate) fn value(&self) -> Option<Arc<T>> {
        lock(&self.0).value.clone()
    }

    /// A value that is not `old`: the present one, or the one that somebody makes already, or else what `make` does. Until
    /// that has succeeded, the old one stays.
    pub(crate) async fn other_than<F>(
        &self,
        old: Option<&Arc<T>>,
        make: impl FnOnce() -> F,
    ) -> RedisResult<Arc<T>>
    where
        F: Future<Output = RedisResult<T>> + Send + 'static,
    {
        let making = {
            let mut state = lock(&self.0);
            if let Some(value) =
                state.value.as_ref().filter(|value| old.is_none_or(|old| !Arc::ptr_eq(old, value)))
            {
                return Ok(value.clone());
            }
            state.making.get_or_insert_with(|| begin(self.0.clone(), make())).clone()
        };
        let made = making.clone().await;
        if made.is_err() {
            // A task that a runtime took down with itself could not do this.
            lock(&self.0).making.take_if(|now| now.ptr_eq(&making));
        }
        made
    }

    /// Gives a value up, if it is still the present one.
    pub(crate) fn give_up(&self, value: &Arc<T>) {
        lock(&self.0).value.take_if(|now| Arc::ptr_eq(now, value));
    }

    /// Gives up whatever there is.
    pub(crate) fn clear(&self) {
        lock(&self.0).value = None;
    }
}

/// Starts the task. Its caller holds the lock, so that it ends after it was noted.
fn begin<T: Send + Sync + 'static>(
    state: Arc<Mutex<State<T>>>,
    make: impl Future<Output = RedisResult<T>> + Send + 'static,
) -> Making<T> {
    let task = tokio::spawn(async move {
        let made = make.await.map(Arc::new);
        let mut state = lock(&state);
        state.making = None;
        if let Ok(made) = &made {
            state.value = Some(made.clone());
        }
        made
    });
    let ended = |_| Err(RedisError::from((ErrorKind::Io, "the task that connects was ended")));
    task.map(move |made| made.unwrap_or_else(ended)).boxed().shared()
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::atomic::AtomicU32, sync::atomic::Ordering};

    use super::*;

    fn fails() -> RedisError {
        RedisError::from((ErrorKind::Io, "refused"))
    }

    #[tokio::test]
    async fn who_is_polled_once_and_left_alone_keeps_it_from_nobody() {
        let shared = Shared::default();
        let made = AtomicU32::new(0);
        let make = || {
            let number = made.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::task::yield_now().await;
                Ok(number)
            }
        };
        let mut left_alone = Box::pin(shared.other_than(None, make));
        assert!(futures_util::poll!(&mut left_alone).is_pending());
        assert_eq!(*shared.other_than(None, make).await.unwrap(), 0, "the one that is made already");
        assert_eq!(*left_alone.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_old_one_stays_until_another_is_made() {
        let shared = Shared::default();
        let old = shared.other_than(None, || async { Ok(1) }).await.unwrap();
        assert!(shared.other_than(Some(&old), || async { Err(fails()) }).await.is_err());
        assert!(Arc::ptr_eq(&shared.value().unwrap(), &old));
        assert_eq!(*shared.other_than(Some(&old), || async { Ok(2) }).await.unwrap(), 2);
        assert_eq!(
            *shared.other_than(Some(&old), || async { Ok(3) }).await.unwrap(),
            2,
            "it is another already"
        );
        shared.give_up(&old);
        assert!(shared.value().is_some(), "it is not the present one any more");
        shared.clear();
        assert!(shared.value().is_none());
    }

    #[test]
    fn a_runtime_that_goes_down_with_the_task_is_no_end() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shared = Shared::<u32>::default();
        runtime().block_on(async {
            let mut waits = Box::pin(shared.other_than(None, pending));
            assert!(futures_util::poll!(&mut waits).is_pending());
        });
        runtime().block_on(async {
            assert!(shared.other_than(None, || async { Ok(1) }).await.is_err(), "its task is gone");
            assert_eq!(*shared.other_than(None, || async { Ok(2) }).await.unwrap(), 2);
        });
    }
}
