//! What can be said to a run, and asked of it, from outside: by any process, whoever drives it.

use futures_util::TryStreamExt;
use milepost_core::{
    Error, ErrorKind, Incarnation, Kind, MessageKey, NewMessage, Outcome, Refusal, Result, RunId, Sent, Span,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Answer, Effect, InDoubt, Runner, SignalToken,
    canonical::to_json,
    doubt::answer_key,
    event::Event,
    history::History,
    inbox::{ANSWER, Body, CANCEL, CANCEL_KEY, SIGNAL},
    open::ask,
    signal::key_of,
    value::decode,
};

impl Runner {
    /// Sends what a run waits for, or will wait for, under this name. The first one wins: the same again is
    /// [`Sent::Repeated`], another one [`Sent::Conflicting`], and both change nothing.
    ///
    /// # Errors
    ///
    /// Those of [`milepost_core::Store::send`]; `Invalid` for a value without a form in JSON or a name that is too long.
    pub async fn signal<T: Serialize + ?Sized>(&self, run: &RunId, name: &str, value: &T) -> Result<Sent> {
        self.say(run, key_of(name)?, SIGNAL, &to_json(value)?, None).await
    }

    /// Answers the wait that a token names. The first answer wins; the same again is fine.
    ///
    /// # Errors
    ///
    /// `Conflict`, naming the wait, when it was answered before with something else; else as [`Runner::signal`].
    pub async fn wake<T: Serialize + ?Sized>(&self, token: &SignalToken, value: &T) -> Result<Sent> {
        let key = key_of(token.signal())?;
        let incarnation = Some(token.incarnation());
        match self.say(token.run(), key, SIGNAL, &to_json(value)?, incarnation).await? {
            Sent::Conflicting { number } => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the wait for {:?} of run {} was answered before, by message {number}",
                    token.signal(),
                    token.run()
                ),
            )),
            sent => Ok(sent),
        }
    }

    /// Asks for the end of a run, durably: whoever drives it drops its handler at once, and a run that waits is woken for
    /// it; it then fails as cancelled. The first request wins, and its reason stays; asking the same again is asking how it
    /// stands.
    ///
    /// # Errors
    ///
    /// Those of [`milepost_core::Store::send`]: `Finished` when the run has ended.
    pub async fn cancel(&self, run: &RunId, reason: &str) -> Result<Sent> {
        self.say(run, MessageKey::from_static(CANCEL_KEY), CANCEL, reason, None).await
    }

    /// Answers a step in doubt; the first answer wins.
    ///
    /// # Errors
    ///
    /// As [`Runner::signal`].
    pub async fn answer(&self, run: &RunId, step: &InDoubt, answer: &Answer) -> Result<Sent> {
        let key = MessageKey::new(answer_key(&step.place, step.attempt))?;
        self.say(run, key, ANSWER, answer, None).await
    }

    /// The steps of a run that may have happened and wait for an answer, in the order of their places. Reads the run's log.
    ///
    /// A step that is under way right now in the process that drives the run is among them: whether it has happened is not
    /// known yet.
    ///
    /// # Errors
    ///
    /// Those of reading the log.
    pub async fn in_doubt(&self, run: &RunId) -> Result<Vec<InDoubt>> {
        let head = self.store().head(run).await?.ok_or(Refusal::NotFound)?;
        let mut history = History::default();
        let mut began = std::collections::HashMap::new();
        let mut records = self.store().stream(run, Span::all().incarnation(head.fence.incarnation));
        while let Some(record) = records.try_next().await? {
            history.read(&record)?;
            if let Some((_, Event::StepBegan { at, .. })) = Event::read(&record)? {
                began.insert(at, record.at);
            }
        }
        let doubted = history.in_doubt().into_iter().map(|(place, step)| InDoubt {
            key: Effect::new(run, head.fence, &step.name, &place, step.attempt).key().into(),
            step: step.name,
            attempt: step.attempt,
            began: began.get(&place).copied().unwrap_or_default(),
            place,
        });
        Ok(doubted.collect())
    }

    /// Waits for a run's output, whoever drives it.
    ///
    /// # Errors
    ///
    /// `Finished`: it has failed. `NotFound`. `Undecodable`: the output is no `T`. Those of reading the run.
    pub async fn output<T: DeserializeOwned>(&self, run: &RunId) -> Result<T> {
        loop {
            let head = self.store().head(run).await?.ok_or(Refusal::NotFound)?;
            match head.outcome {
                Some(Outcome::Completed { output }) => return decode(&output),
                Some(outcome) => return Err(Refusal::Finished { outcome }.into()),
                None if self.store().capabilities().supports_follow() => {
                    let span = Span::after(head.cursor).follow().incarnation(head.fence.incarnation);
                    let mut records = self.store().stream(run, span);
                    while records.try_next().await?.is_some() {}
                }
                None => self.shared().means.clock.sleep(self.shared().settings.poll).await,
            }
        }
    }

    async fn say<T: Serialize + ?Sized>(
        &self,
        run: &RunId,
        key: MessageKey,
        kind: &'static str,
        value: &T,
        incarnation: Option<Incarnation>,
    ) -> Result<Sent> {
        let means = &self.shared().means;
        let body = serde_json::to_vec(&Body::new(value))
            .map_err(|error| Error::new(ErrorKind::Invalid, format!("it has no form in JSON: {error}")))?;
        let mut message = NewMessage::new(means.ids.operation(), key, Kind::from_static(kind), body);
        message.incarnation = incarnation;
        ask(means, || means.store.send(run, message.clone())).await
    }
}
