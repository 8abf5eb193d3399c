//! A batch that its caller drives, as long as nobody else depends on it.
//!
//! In the caller's own task a lone commit costs no other task and no wake between threads. But a caller may drop its
//! future, or keep it and never poll it again, and others may wait for its end. So the work can be handed over to a task
//! at any moment: by the caller when it goes, and by whoever comes to wait.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The work, to be driven by whoever holds it.
pub(super) struct Flight {
    runtime: Handle,
    seat: Mutex<Seat>,
}

struct Seat {
    /// `None` once it is done or handed over.
    work: Option<Work>,
    /// Whom to tell of a handing over.
    caller: Option<Waker>,
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

impl Flight {
    pub(super) fn new(work: Work, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { runtime, seat: Mutex::new(Seat { work: Some(work), caller: None }) })
    }

    /// Lets a task go on with the work. Not under the queue's lock, which the work takes when it ends.
    pub(super) fn hand_over(&self) {
        let (work, caller) = {
            let mut seat = self.seat();
            (seat.work.take(), seat.caller.take())
        };
        if let Some(work) = work {
            self.runtime.spawn(work);
        }
        if let Some(caller) = caller {
            caller.wake();
        }
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The caller at the wheel: ready when the work is done or a task has it.
pub(super) struct Driving(pub(super) Arc<Flight>);

impl Future for Driving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut seat = self.0.seat();
        // Out of the seat while it is polled, so that a panic leaves nothing behind that could be polled again.
        let Some(mut work) = seat.work.take() else { return Poll::Ready(()) };
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        seat.work = Some(work);
        match &mut seat.caller {
            Some(caller) => caller.clone_from(context.waker()),
            caller => *caller = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.hand_over();
    }
}
