//! How a follower learns that its run has changed: from a write of its own handle at once, from other processes by a
//! notification of the server, or by looking again where the server cannot notify.
//!
//! Notifications cost the writers something, so they are asked for: whoever follows a run says so in its row, for a while at a
//! time, and only while somebody follows does this handle hold a connection that listens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use milepost_core::{Clock, RunId, SystemClock};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;

/// The runs that are followed through one handle and its clones.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    state: Mutex<State>,
    /// The listening connection may have nothing more to do.
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    runs: HashMap<RunId, Arc<Notify>>,
    /// A task tends the listening connection.
    tended: bool,
    /// That connection listens.
    listening: bool,
}

impl Followers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Wakes who follows a run.
    pub(crate) fn notify(&self, run: &RunId) {
        if let Some(changed) = self.state().runs.get(run) {
            changed.notify_waiters();
        }
    }

    /// Wakes everybody: something may have been missed, or the store closes.
    pub(crate) fn notify_all(&self) {
        self.state().runs.values().for_each(|changed| changed.notify_waiters());
        self.idle.notify_one();
    }

    /// Begins to listen, unless somebody does.
    pub(crate) fn listen(self: &Arc<Self>, options: &PgConnectOptions, channel: String) {
        let mut state = self.state();
        if !state.tended && !state.runs.is_empty() {
            state.tended = true;
            tokio::spawn(tend(self.clone(), options.clone(), channel));
        }
    }

    /// Whether nobody follows any more; the task ends then, and the next follower starts another one.
    fn is_over(&self) -> bool {
        let mut state = self.state();
        let over = state.runs.is_empty();
        if over {
            (state.tended, state.listening) = (false, false);
        }
        over
    }

    fn is_untended(&self) {
        let mut state = self.state();
        (state.tended, state.listening) = (false, false);
    }
}

/// Listens until nobody follows, or the connection cannot be had: then followers look again now and then, and the next one
/// that waits tries anew.
async fn tend(followers: Arc<Followers>, options: PgConnectOptions, channel: String) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options);
    if let Ok(mut listener) = PgListener::connect_with(&pool).await
        && listener.listen(&channel).await.is_ok()
    {
        followers.state().listening = true;
        followers.notify_all();
        while !followers.is_over() {
            let heard = std::pin::pin!(listener.try_recv());
            let idle = std::pin::pin!(followers.idle.notified());
            match futures_util::future::select(heard, idle).await {
                futures_util::future::Either::Left((Ok(Some(notification)), _)) => {
                    if let Some(run) = run_of(notification.payload()) {
                        followers.notify(&run);
                    }
                }
                // The connection was made again; what was told meanwhile is lost.
                futures_util::future::Either::Left((Ok(None), _)) => followers.notify_all(),
                futures_util::future::Either::Left((Err(_), _)) => break,
                futures_util::future::Either::Right(_) => {}
            }
        }
    }
    followers.is_untended();
    pool.close().await;
}

/// The run that a notification names, in hexadecimal digits.
fn run_of(payload: &str) -> Option<RunId> {
    let digit = |at: usize| u8::from_str_radix(payload.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..payload.len()).step_by(2).map(digit).collect();
    RunId::new(String::from_utf8(bytes?).ok()?).ok()
}

/// One follower of one run.
pub(crate) struct Follower {
    followers: Arc<Followers>,
    run: RunId,
    changed: Arc<Notify>,
    clock: SystemClock,
    pause: Duration,
    /// Until when the row says that somebody follows, by this process's clock.
    registered: Duration,
}

impl Follower {
    /// Other processes' commits are seen after 25 ms where there were some just now, and 250 ms where it is quiet.
    const SHORTEST: Duration = Duration::from_millis(25);
    const LONGEST: Duration = Duration::from_millis(250);
    /// Where the server notifies, a look now and then covers a notification that was lost.
    const LISTENING: Duration = Duration::from_secs(1);

    /// How long the row says that somebody follows, and when it is told again.
    pub(crate) const TOLD_FOR: Duration = Duration::from_secs(60);
    const TOLD_AGAIN: Duration = Duration::from_secs(20);

    pub(crate) fn new(followers: &Arc<Followers>, run: &RunId) -> Self {
        let changed = followers.state().runs.entry(run.clone()).or_default().clone();
        Self {
            followers: followers.clone(),
            run: run.clone(),
            changed,
            clock: SystemClock::default(),
            pause: Self::SHORTEST,
            registered: Duration::ZERO,
        }
    }

    /// What must be held while looking, so that a change after the look is not missed.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// Whether the row is to be told now that somebody follows.
    pub(crate) fn is_to_register(&mut self) -> bool {
        let now = self.clock.elapsed();
        let due = now >= self.registered;
        if due {
            self.registered = now + Self::TOLD_AGAIN;
        }
        due
    }

    /// The look found something.
    pub(crate) fn found(&mut self) {
        self.pause = Self::SHORTEST;
    }

    /// Waits until it is worth looking again. Real time, whatever the server's clock says.
    pub(crate) async fn wait(&mut self, changed: impl Future<Output = ()>) {
        let pause = if self.followers.state().listening { Self::LISTENING } else { self.pause };
        self.pause = (self.pause * 2).min(Self::LONGEST);
        futures_util::future::select(std::pin::pin!(changed), self.clock.sleep(pause)).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.followers.state();
        // The map's own and this one's.
        if Arc::strong_count(&self.changed) <= 2 {
            state.runs.remove(&self.run);
        }
        if state.runs.is_empty() {
            self.followers.idle.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_names_its_run() {
        assert_eq!(run_of("72c3a9").unwrap().as_str(), "ré");
        for nonsense in ["", "7", "zz", "ff", "7é"] {
            assert_eq!(run_of(nonsense), None, "{nonsense}");
        }
    }
}
