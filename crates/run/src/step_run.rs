//! A step, while it is awaited.

use futures_util::future::{Either, select};
use milepost_core::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Effect, FailureCause, Happened, Step, StepError,
    activity::Busy,
    doubt::{Answer, answer_key},
    error::{describe, is_shutdown},
    event::Event,
    history::{Entry, StepState},
    inbox::{ANSWER, value_of},
    run::Core,
    stop::Halt,
    value::{Encoded, decode},
};

/// What is to be done next for a step.
enum Next<T> {
    /// Make this attempt.
    Attempt(u32),
    /// Make it at this instant.
    Pause(u32, Timestamp),
    /// Wait for the answer whether this attempt has happened.
    Doubt(u32),
    /// Nothing: the handler gets this.
    Ready(Result<T, StepError>),
}

/// How an attempt came to its end.
enum Attempted<T> {
    Done(T, Encoded),
    Failed(FailureCause, String),
    /// It may have happened.
    Unknown,
}

impl<T: Serialize + DeserializeOwned + Send> Step<'_, T> {
    pub(crate) async fn execute(mut self) -> Result<T, StepError> {
        let core = self.run.core().clone();
        let mut busy = core.activity.begin();
        let mut next = self.recorded(&core, &mut busy).await;
        loop {
            next = match next {
                Next::Ready(result) => return result,
                Next::Pause(attempt, until) => {
                    busy.park(Some(until));
                    core.clock.sleep_until(until).await;
                    busy.unpark();
                    Next::Attempt(attempt)
                }
                Next::Attempt(attempt) => self.attempt(&core, &mut busy, attempt).await,
                Next::Doubt(attempt) => self.doubt(&core, &mut busy, attempt).await,
            }
        }
    }

    /// What the log has of it.
    async fn recorded(&mut self, core: &Core, busy: &mut Busy<'_>) -> Next<T> {
        let step = match self.entry.take() {
            None => return Next::Attempt(0),
            Some(Entry::Step(step)) if step.name == self.name => step,
            Some(other) => {
                core.diverge(&self.place, &self.asked(), &other);
                return core.over(busy).await;
            }
        };
        match step.state.clone() {
            StepState::Done(value) => {
                core.observers.tell(&core.id, || Happened::StepReplayed { step: self.name.clone() });
                Next::Ready(Ok(core.recall(busy, &self.place, &self.asked(), &value).await))
            }
            StepState::Failed(cause, message) => Next::Ready(Err(step.error(cause, message))),
            StepState::Began if step.once => Next::Doubt(step.attempt),
            StepState::Began | StepState::Released => Next::Attempt(step.attempt + 1),
            StepState::Retrying(until) => Next::Pause(step.attempt + 1, until),
        }
    }

    fn asked(&self) -> String {
        format!("step {:?}", self.name)
    }

    async fn attempt(&mut self, core: &Core, busy: &mut Busy<'_>, attempt: u32) -> Next<T> {
        core.admit(busy).await;
        let (at, step, once) = (self.place.clone(), self.name.clone(), self.once);
        let began = Event::StepBegan { at: at.clone(), step: step.clone(), attempt, once };
        core.log.write_entry(core.log.entry(&[began])).await;
        core.observers.tell(&core.id, || Happened::StepBegan { step: step.clone(), attempt });

        match self.perform(core, busy, attempt).await {
            Attempted::Unknown => Next::Doubt(attempt),
            Attempted::Done(result, encoded) => {
                let (value, blobs) = encoded.split();
                let done = Event::StepDone { at, attempt, value };
                core.log.write_entry(core.log.entry(&[done]).blobs(blobs)).await;
                core.observers.tell(&core.id, || Happened::StepDone { step, attempt });
                Next::Ready(Ok(result))
            }
            Attempted::Failed(cause, message) => {
                let pause = self.retry.pause(attempt);
                self.failed(core, attempt, cause, message, pause.map(|pause| core.clock.now() + pause)).await
            }
        }
    }

    async fn failed(
        &mut self,
        core: &Core,
        attempt: u32,
        cause: FailureCause,
        message: String,
        retry_at: Option<Timestamp>,
    ) -> Next<T> {
        let at = self.place.clone();
        let failed = Event::StepFailed { at, attempt, cause, message: message.clone(), retry_at };
        core.log.write_entry(core.log.entry(&[failed])).await;
        let step = self.name.clone();
        core.observers.tell(&core.id, || Happened::StepFailed {
            step: step.clone(),
            attempt,
            message: message.clone(),
            retry_at,
        });
        match retry_at {
            Some(until) => Next::Pause(attempt + 1, until),
            None => Next::Ready(Err(StepError { step, cause, message, attempts: attempt + 1 })),
        }
    }

    /// Runs the body once.
    async fn perform(&mut self, core: &Core, busy: &mut Busy<'_>, attempt: u32) -> Attempted<T> {
        let effect = Effect::new(&core.id, core.log.fence(), &self.name, &self.place, attempt);
        let body = (self.body)(effect);
        let returned = match self.timeout {
            None => body.await,
            Some(timeout) => match select(body, std::pin::pin!(core.clock.sleep(timeout))).await {
                Either::Left((returned, _)) => returned,
                Either::Right(_) if self.once => return Attempted::Unknown,
                Either::Right(_) => {
                    return Attempted::Failed(
                        FailureCause::TimedOut,
                        format!("it took longer than {timeout:?}"),
                    );
                }
            },
        };
        match returned {
            Ok(value) => match core.encode(&value) {
                Ok((value, encoded)) => Attempted::Done(value, encoded),
                Err(error) => {
                    Attempted::Failed(FailureCause::Error, format!("its result cannot be recorded: {error}"))
                }
            },
            Err(error) if is_shutdown(&*error) => {
                core.stop.halt(Halt::Released);
                core.over(busy).await
            }
            Err(error) => Attempted::Failed(FailureCause::Error, describe(&*error)),
        }
    }

    /// Waits for the answer whether an attempt has happened.
    async fn doubt(&mut self, core: &Core, busy: &mut Busy<'_>, attempt: u32) -> Next<T> {
        core.observers.tell(&core.id, || Happened::InDoubt { step: self.name.clone() });
        let doubt = core.doubt(&format!("step {:?} at {}, attempt {attempt}", self.name, self.place));
        busy.park(None);
        let message = core.inbox.wait(ANSWER, &answer_key(&self.place, attempt)).await;
        busy.unpark();
        drop(doubt);
        core.admit(busy).await;
        let answer = value_of(&message)
            .and_then(|json| serde_json::from_str::<Answer>(json.get()).map_err(|error| error.to_string()));
        let given_up = |message: String| (FailureCause::GivenUp, message);
        let (cause, reason) = match answer {
            Ok(Answer::Retry) => {
                let released = Event::StepReleased { at: self.place.clone(), attempt };
                core.log.write_entry(core.log.entry(&[released]).take(message.number)).await;
                return Next::Attempt(attempt + 1);
            }
            Ok(Answer::Adopt(json)) => match decode::<T>(json.get().as_bytes()) {
                Ok(result) => {
                    let (value, blobs) = Encoded::of_json(json, core.inline()).split();
                    let done = Event::StepDone { at: self.place.clone(), attempt, value };
                    core.log.write_entry(core.log.entry(&[done]).blobs(blobs).take(message.number)).await;
                    return Next::Ready(Ok(result));
                }
                Err(error) => given_up(format!("the result that was to be adopted does not fit: {error}")),
            },
            Ok(Answer::GiveUp(reason)) => given_up(reason),
            Err(error) => given_up(format!("the answer cannot be read: {error}")),
        };
        let at = self.place.clone();
        let failed = Event::StepFailed { at, attempt, cause, message: reason.clone(), retry_at: None };
        core.log.write_entry(core.log.entry(&[failed]).take(message.number)).await;
        let step = self.name.clone();
        Next::Ready(Err(StepError { step, cause, message: reason, attempts: attempt + 1 }))
    }
}
