//! Waiting for an instant.

use milepost_core::Timestamp;

use crate::{
    Run,
    event::{Event, Waited},
    history::{Entry, Wait},
};

/// Waits for the recorded instant, or, where none is recorded, for the one that `instant` makes of now.
pub(crate) async fn wait(run: &Run, instant: impl FnOnce(Timestamp) -> Timestamp) {
    let (at, entry) = run.arrive();
    let core = run.core();
    let mut busy = core.activity.begin();
    let until = match entry {
        Some(Entry::Wait(Wait { on: Waited::Time, done: Some(_), .. })) => return,
        Some(Entry::Wait(Wait { on: Waited::Time, until: Some(until), .. })) => until,
        None => {
            core.admit(&mut busy).await;
            let until = instant(core.clock.now());
            let began =
                Event::WaitBegan { at: at.clone(), on: Waited::Time, until: Some(until), default: None };
            core.log.write_entry(core.log.entry(&[began])).await;
            until
        }
        Some(other) => {
            core.diverge(&at, "a wait for an instant", &other);
            return core.over(&mut busy).await;
        }
    };
    busy.park(Some(until));
    core.clock.sleep_until(until).await;
    busy.unpark();
    core.admit(&mut busy).await;
    core.log.write_entry(core.log.entry(&[Event::WaitDone { at, value: None }])).await;
}
