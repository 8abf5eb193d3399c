//! Writes that know the type of their answer: what a backend that keeps [`Image`]s applies.

use milepost_core::{
    Capabilities, Commit, Committed, Delete, NewMessage, Open, Opened, Operation, Refusal, Renew, Result,
    RunId, Sent, Timestamp,
};

use crate::{Image, Mint, apply};

/// A write to one run, with the type of its answer.
///
/// The requests are the contract's own: `(Open, Mint)`, [`Commit`], [`Renew`], [`NewMessage`] and [`Delete`]. A backend
/// over a map with compare-and-set needs one function for all five of them: read the image, apply the request, put the
/// image back if nobody else has, or start over.
///
/// ```
/// use milepost_core::{Capabilities, Commit, Durability, OperationId, Result, RunId, Timestamp};
/// use milepost_store_memory::{Image, Request};
///
/// /// A whole store of one run, but for where the image is kept.
/// fn write<R: Request>(image: &mut Option<Image>, run: &RunId, request: R, now: Timestamp) -> Result<R::Answer> {
///     let offered = Capabilities::all(Durability::Process);
///     request.check(run, &offered)?; // before any trip
///     request.apply(image, run, &offered, now)
/// }
/// # use milepost_core::{Incarnation, Manifest, Open, RunInfo, Token};
/// # use milepost_store_memory::Mint;
/// # let (run, mut image) = (RunId::new("import")?, None);
/// # let open = Open::create(OperationId(1), RunInfo::named("import"), Manifest::of(b"orders.csv"));
/// # let mint = Mint { incarnation: Incarnation(7), token: Token(7) };
///
/// let opened = write(&mut image, &run, (open, mint), Timestamp(0))?;
/// let commit = Commit::new(run.clone(), opened.fence, OperationId(2), opened.head.version);
/// let committed = write(&mut image, &run, commit, Timestamp(1))?;
/// assert_eq!(committed.version, 2);
/// # Ok::<(), milepost_core::Error>(())
/// ```
pub trait Request: Clone + Send + Sync + 'static {
    /// What it is answered with.
    type Answer: Send;

    /// For the context of errors.
    const OPERATION: Operation;

    /// Refuses what no store of these capabilities may take: to be called before any trip to the backend.
    ///
    /// # Errors
    ///
    /// Those of the request's own `check` in `milepost-core`.
    fn check(&self, run: &RunId, capabilities: &Capabilities) -> Result<()>;

    /// Applies it to the image of its run; `None` is a run that does not exist. Pure, and a refusal leaves the image as
    /// it was. An image that is equal to the one before needs no write.
    ///
    /// # Errors
    ///
    /// Those that [`milepost_core::Store`] documents for the operation, in its order.
    fn apply(
        self,
        image: &mut Option<Image>,
        run: &RunId,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Result<Self::Answer>;
}

/// The image of a run that must be there.
fn there(image: &mut Option<Image>) -> Result<&mut Image> {
    image.as_mut().ok_or_else(|| Refusal::NotFound.into())
}

impl Request for (Open, Mint) {
    type Answer = Opened;
    const OPERATION: Operation = Operation::Open;

    fn check(&self, run: &RunId, capabilities: &Capabilities) -> Result<()> {
        self.0.check(run, capabilities)
    }

    fn apply(
        self,
        image: &mut Option<Image>,
        run: &RunId,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Result<Opened> {
        self.check(run, capabilities)?;
        apply::open(image, run, self.0, self.1, capabilities, now)
    }
}

impl Request for Commit {
    type Answer = Committed;
    const OPERATION: Operation = Operation::Commit;

    fn check(&self, _: &RunId, capabilities: &Capabilities) -> Result<()> {
        Commit::check(self, capabilities)
    }

    fn apply(
        self,
        image: &mut Option<Image>,
        _: &RunId,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Result<Committed> {
        Commit::check(&self, capabilities)?;
        apply::commit(there(image)?, self, capabilities, now)
    }
}

impl Request for Renew {
    type Answer = ();
    const OPERATION: Operation = Operation::Renew;

    fn check(&self, _: &RunId, _: &Capabilities) -> Result<()> {
        Renew::check(self)
    }

    fn apply(
        self,
        image: &mut Option<Image>,
        _: &RunId,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Result<()> {
        Renew::check(&self)?;
        apply::renew(there(image)?, self, capabilities, now)
    }
}

impl Request for NewMessage {
    type Answer = Sent;
    const OPERATION: Operation = Operation::Send;

    fn check(&self, run: &RunId, capabilities: &Capabilities) -> Result<()> {
        NewMessage::check(self, run, capabilities)
    }

    fn apply(
        self,
        image: &mut Option<Image>,
        run: &RunId,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Result<Sent> {
        NewMessage::check(&self, run, capabilities)?;
        apply::send(there(image)?, self, now)
    }
}

impl Request for Delete {
    type Answer = bool;
    const OPERATION: Operation = Operation::Delete;

    fn check(&self, _: &RunId, _: &Capabilities) -> Result<()> {
        Ok(())
    }

    fn apply(self, image: &mut Option<Image>, _: &RunId, _: &Capabilities, now: Timestamp) -> Result<bool> {
        apply::delete(image, self, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use milepost_core::{
        Capability, Durability, ErrorKind, Fence, Incarnation, Kind, Limits, Manifest, MessageKey, NewRecord,
        OperationId, RunInfo, Token,
    };

    use super::*;

    #[test]
    fn each_request_is_refused_without_its_run_for_what_no_store_takes() {
        let capabilities = Capabilities::all(Durability::Process)
            .limits(Limits { record: 2, ..Limits::DEFAULT })
            .without(Capability::Inbox);
        let run = RunId::from_static("run");
        let fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
        let kind = Kind::from_static("test");
        let open = Open::create(OperationId(1), RunInfo::named("test"), Manifest::of(b"test"));
        let mint = Mint { incarnation: fence.incarnation, token: fence.token };
        let commit = Commit::new(run.clone(), fence, OperationId(2), 1);
        let renew = Renew::new(fence, Duration::ZERO);
        let message = NewMessage::new(OperationId(3), MessageKey::new("key").unwrap(), kind.clone(), "");
        for (checked, refused) in [
            ((open.ttl(Duration::ZERO), mint).check(&run, &capabilities), ErrorKind::Invalid),
            (
                Request::check(&commit.record(NewRecord::new(kind, "abc")), &run, &capabilities),
                ErrorKind::TooLarge,
            ),
            (Request::check(&renew, &run, &capabilities), ErrorKind::Invalid),
            (Request::check(&message, &run, &capabilities), ErrorKind::Unsupported),
        ] {
            assert_eq!(checked.unwrap_err().kind(), refused);
        }
        Request::check(&Delete::Any, &run, &capabilities).unwrap();
    }
}
