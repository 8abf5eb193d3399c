//! Reading what a run has saved without driving it.

use bytes::Bytes;
use milepost_core::{Cursor, Error, Head, Refusal, Result, RunId, Store};
use serde::de::DeserializeOwned;

use crate::{
    codec::Codec,
    restore::{replay, restore},
};

async fn head(store: &dyn Store, run: &RunId) -> Result<Head> {
    store.head(run).await?.ok_or_else(|| Error::from(Refusal::NotFound))
}

/// The state of a run as of a cursor (the newest at or before it), or the newest one; `None` if none was saved by then.
/// It takes no lease and changes nothing.
///
/// # Errors
///
/// Those of reading the run; [`Refusal::Trimmed`] when the history of that cursor is gone; `Undecodable` when the state
/// is none of a `T`.
pub async fn state_at<T: DeserializeOwned, C: Codec>(
    store: &dyn Store,
    run: &RunId,
    cursor: Option<Cursor>,
    codec: C,
) -> Result<Option<T>> {
    let mut head = self::head(store, run).await?;
    loop {
        let until = cursor.unwrap_or(head.cursor).min(head.cursor);
        let error = match restore(store, &head, C::ID, until).await {
            Ok(restored) => {
                return restored.state.map(|state: Bytes| codec.decode(&state)).transpose();
            }
            Err(error) => error,
        };
        // Its owner may have gone on meanwhile: a snapshot that is newer than the head, records that were trimmed.
        let now = self::head(store, run).await?;
        if now.version == head.version && now.fence.incarnation == head.fence.incarnation {
            return Err(error);
        }
        head = now;
    }
}

/// Reads a run's whole log and compares what it says of itself, end to end: every record is there, every state record
/// carries the digest of the log before it, every patch applies, and the newest state has its checksum. What the program
/// itself has appended after the newest state record is counted, and for its content the store's own checksums stand.
/// Returns how many records were read.
///
/// # Errors
///
/// `Corrupt` with the place; [`Refusal::Trimmed`] when the log does not begin at 1 and cannot be checked to its end.
pub async fn verify<C: Codec>(store: &dyn Store, run: &RunId, _codec: C) -> Result<u64> {
    let head = head(store, run).await?;
    if !store.capabilities().supports_log() {
        restore(store, &head, C::ID, head.cursor).await?;
        return Ok(0);
    }
    if head.first > 1 {
        return Err(Error::from(Refusal::Trimmed { first: head.first }));
    }
    replay(store, &head, C::ID, head.cursor).await?;
    Ok(head.cursor)
}
