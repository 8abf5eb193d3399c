//! Creating an object once: a create that looks before it judges.
//!
//! "It exists" proves nothing: after a lost reply a retry finds our own object, and some places say it for a conflict with
//! nothing stored. Each object has a token that no other has, so what is read back decides: our bytes have won, other bytes
//! have lost to them, and nothing at all means to try again.

use std::time::Duration;

use bytes::Bytes;
use milepost_core::{Clock, Error, ErrorKind, Result, SystemClock};

use crate::{error::in_doubt, objects::Objects};

/// So often a create is tried when the place cannot be reached, or says what it does not hold to.
const TRIES: u32 = 4;

/// Waited for before the first repetition, and doubled for each that follows.
const PAUSE: Duration = Duration::from_millis(40);

/// What stands under the name now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Created {
    Ours,
    Theirs(Bytes),
}

/// A pause that differs from process to process, in real time whatever the store's clock says.
pub(crate) async fn pause(attempt: u32, bits: u128) {
    let jitter = (bits % 1000) as u32;
    SystemClock::default().sleep(PAUSE * 2u32.pow(attempt) * (500 + jitter) / 1000).await;
}

/// Creates the object `name`, whose bytes no other create ever has.
///
/// # Errors
///
/// What the place says last. `Applied::Maybe` once a create may have reached it.
pub(crate) async fn create(objects: &dyn Objects, name: &str, body: &Bytes, bits: u128) -> Result<Created> {
    let mut last: Option<Error> = None;
    let mut reached = false;
    for attempt in 0..TRIES {
        if attempt > 0 {
            pause(attempt - 1, bits).await;
        }
        match objects.create(name, body.clone()).await {
            Ok(true) => return Ok(Created::Ours),
            Ok(false) => reached = true,
            // Nothing was sent, or it was refused.
            Err(error) if error.applied().is_some() => {
                if !error.kind().is_transient() {
                    return Err(if reached { in_doubt(error) } else { error });
                }
                last = Some(error);
                continue;
            }
            Err(error) => {
                reached = true;
                last = Some(error);
            }
        }
        match objects.get(name).await {
            Ok(Some(found)) if found == *body => return Ok(Created::Ours),
            Ok(Some(found)) => return Ok(Created::Theirs(found)),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| {
        Error::new(ErrorKind::Busy, "the object store says that an object exists, and shows none; try again")
    });
    Err(if reached { in_doubt(error) } else { error })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use milepost_core::Applied;

    use super::*;
    use crate::objects::{Folders, Listed, Memory};

    /// What becomes of a create.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Fate {
        Passes,
        /// It is done, and its reply is lost.
        LosesReply,
        /// It is lost on its way.
        IsLost,
        /// The place says that the object exists, and has not put it.
        Lies,
    }

    #[derive(Debug, Default)]
    struct Lossy {
        inner: Memory,
        fates: Mutex<Vec<Fate>>,
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Unavailable, "lost")
    }

    #[async_trait]
    impl Objects for Lossy {
        async fn create(&self, name: &str, body: Bytes) -> Result<bool> {
            let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Passes);
            match fate {
                Fate::Passes => self.inner.create(name, body).await,
                Fate::LosesReply => self.inner.create(name, body).await.and(Err(lost())),
                Fate::IsLost => Err(lost()),
                Fate::Lies => Ok(false),
            }
        }

        async fn put(&self, name: &str, body: Bytes) -> Result<()> {
            self.inner.put(name, body).await
        }

        async fn get(&self, name: &str) -> Result<Option<Bytes>> {
            self.inner.get(name).await
        }

        async fn list(&self, prefix: &str, until: Option<&str>, most: usize) -> Result<Vec<Listed>> {
            self.inner.list(prefix, until, most).await
        }

        async fn folders(&self, folder: &str, begin: &str, page: Option<String>) -> Result<Folders> {
            self.inner.folders(folder, begin, page).await
        }

        async fn delete(&self, names: Vec<String>) -> Result<()> {
            self.inner.delete(names).await
        }
    }

    async fn created(fates: &[Fate], before: Option<&'static str>) -> Result<Created> {
        let lossy = Lossy { fates: Mutex::new(fates.iter().rev().copied().collect()), ..Lossy::default() };
        if let Some(before) = before {
            lossy.put("a", before.into()).await?;
        }
        create(&lossy, "a", &"ours".into(), 0).await
    }

    #[tokio::test]
    async fn what_is_read_back_decides() {
        use Fate::{IsLost, Lies, LosesReply, Passes};
        for fates in [&[Passes][..], &[LosesReply], &[IsLost], &[Lies], &[IsLost, Lies, LosesReply]] {
            assert_eq!(created(fates, None).await.unwrap(), Created::Ours, "{fates:?}");
            let theirs = Created::Theirs("theirs".into());
            assert_eq!(created(fates, Some("theirs")).await.unwrap(), theirs, "{fates:?}");
        }
    }

    #[tokio::test]
    async fn what_nobody_can_tell_is_said_to_be_so() {
        let error = created(&[Fate::IsLost; 4], None).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Some(Applied::Maybe)));
        let error = created(&[Fate::Lies; 4], None).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Busy, Some(Applied::Maybe)));
    }
}
