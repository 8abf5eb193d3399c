//! Reading what a run has saved without driving it.

use bytes::Bytes;
use milepost_core::{Cursor, Error, ErrorKind, Head, Refusal, Result, RunId, Store};
use serde::de::DeserializeOwned;

use crate::{codec::Codec, restore::restore};

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
    let head = head(store, run).await?;
    let until = cursor.unwrap_or(head.cursor).min(head.cursor);
    let restored = restore(store, &head, C::ID, until).await?;
    restored.state.map(|state: Bytes| codec.decode(&state)).transpose()
}

/// Reads a run's whole log and compares what it says of itself, end to end: every record is there, every state record
/// carries the digest of the log before it, every patch applies, and the newest state has its checksum. Returns how many
/// records were read.
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
    let restored = crate::restore::replay(store, &head, C::ID, head.cursor).await?;
    match restored.records.last().map_or(restored.state_cursor, |record| record.cursor) {
        last if last <= head.cursor => Ok(head.cursor),
        last => {
            Err(Error::new(ErrorKind::Corrupt, format!("record {last} lies past the head {}", head.cursor)))
        }
    }
}
