//! Reading a run back: the newest state and the program's own records after it, by what the store offers.

use bytes::Bytes;
use futures_util::StreamExt;
use milepost_core::{At, Cursor, Error, ErrorKind, Head, Kind, Record, Result, Snapshot, Span, Store};
use tracing::warn;

use crate::{
    chain::Chain,
    delta::{Patch, Replay},
    engine::STATE_KIND,
    envelope::{Envelope, STATE_LIMIT},
    policy::{Track, weight},
};

/// A run as it was read back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restore {
    /// The newest saved state.
    pub(crate) state: Option<Bytes>,
    /// As of which cursor it stands.
    pub(crate) state_cursor: Cursor,
    /// The program's own records after it.
    pub(crate) records: Vec<Record>,
    /// The digest of the whole log.
    pub(crate) chain: Chain,
    /// What reading it cost.
    pub(crate) track: Track,
}

/// The snapshot that a replay starts from.
struct Base {
    cursor: Cursor,
    bytes: usize,
    envelope: Envelope,
}

/// Reads the run of `head` back as of `until`, which is the head's cursor or an older one.
///
/// What is read follows what the store offers: snapshot and tail, the whole log, or the snapshot alone. A snapshot that
/// cannot be decoded falls back to the one before it, or to a log that is whole from 1; if there is neither, its error
/// is returned, never an older state. No other error of the store falls back.
pub(crate) async fn restore(store: &dyn Store, head: &Head, codec: u8, until: Cursor) -> Result<Restore> {
    let capabilities = store.capabilities();
    let found = if capabilities.supports_snapshots()
        && (capabilities.supports_tail_stream() || !capabilities.supports_log())
    {
        find_base(store, head, codec, until).await?
    } else {
        Found::default()
    };
    replay_from(found, store, head, codec, until).await
}

/// Reads the run of `head` back from its log alone, which must be whole from 1.
pub(crate) async fn replay(store: &dyn Store, head: &Head, codec: u8, until: Cursor) -> Result<Restore> {
    replay_from(Found::default(), store, head, codec, until).await
}

async fn replay_from(
    found: Found,
    store: &dyn Store,
    head: &Head,
    codec: u8,
    until: Cursor,
) -> Result<Restore> {
    let mut replay = Replaying::start(found, head, codec);
    if store.capabilities().supports_log() && replay.cursor < until {
        replay.log(store, head, until).await?;
    }
    replay.finish(until)
}

/// What came of looking for a snapshot.
#[derive(Default)]
struct Found {
    base: Option<Base>,
    /// Whether a newer one was passed over because it cannot be used.
    fell_back: bool,
}

/// The newest snapshot up to `until` that can be decoded.
async fn find_base(store: &dyn Store, head: &Head, codec: u8, until: Cursor) -> Result<Found> {
    let history = store.capabilities().supports_history();
    let mut at = match head.snapshots.first() {
        Some(newest) if until < head.cursor && until < *newest => At::OrBefore(until),
        _ => At::Latest,
    };
    let mut first_error = None;
    while at == At::Latest || history {
        let bound = if let At::OrBefore(bound) = at { bound } else { Cursor::MAX };
        let (error, cursor) = match store.snapshot(&head.run, at).await {
            Ok(None) => break,
            Ok(Some(snapshot)) => match read_base(&snapshot, head, codec) {
                Ok(base) => return Ok(Found { base: Some(base), fell_back: first_error.is_some() }),
                Err(error) => (error, Some(snapshot.cursor).filter(|cursor| *cursor <= bound.min(until))),
            },
            Err(error) if error.kind() == ErrorKind::Corrupt => (error, None),
            Err(error) => return Err(error),
        };
        // One that does not say where it stands is the newest that the head lists up to the bound.
        let listed = || head.snapshots.iter().copied().find(|cursor| *cursor <= bound);
        let cursor = cursor.or_else(listed);
        warn!(run = %head.run, %error, "a snapshot cannot be used; falling back");
        first_error.get_or_insert(error);
        // Lower with each turn, so this ends.
        match cursor.and_then(|cursor| cursor.min(bound).checked_sub(1)) {
            Some(older) => at = At::OrBefore(older.min(until)),
            None => break,
        }
    }
    match first_error {
        Some(error) if head.first > 1 || !store.capabilities().supports_log() => Err(error),
        error => Ok(Found { base: None, fell_back: error.is_some() }),
    }
}

fn read_base(snapshot: &Snapshot, head: &Head, codec: u8) -> Result<Base> {
    if snapshot.cursor > head.cursor {
        return Err(Error::new(ErrorKind::Corrupt, "the snapshot is ahead of the log"));
    }
    let envelope = Envelope::decode(&snapshot.body)?;
    envelope.check_codec(codec)?;
    if envelope.patch {
        return Err(Error::new(ErrorKind::Undecodable, "the snapshot holds a patch, not a state"));
    }
    envelope.verify(&envelope.payload)?;
    Ok(Base { cursor: snapshot.cursor, bytes: snapshot.body.len(), envelope })
}

/// A replay in progress.
struct Replaying {
    codec: u8,
    state: Option<Replay>,
    /// The newest state record's or the base's, for the checksum at the end.
    newest: Option<Envelope>,
    cursor: Cursor,
    result: Restore,
}

impl Replaying {
    fn start(found: Found, head: &Head, codec: u8) -> Self {
        let Found { base, fell_back } = found;
        // A snapshot that cannot be used counts for nothing: the next trim has to keep the one that can.
        let usable = base.as_ref().map(|base| base.cursor);
        let newest = if fell_back { usable } else { head.snapshots.first().copied() };
        let second = newest.and_then(|newest| head.snapshots.iter().copied().find(|cursor| *cursor < newest));
        let track = Track { newest, second, ..Track::default() };
        let mut result = Restore { track, ..Restore::default() };
        let mut cursor = 0;
        let mut newest = None;
        if let Some(base) = base {
            cursor = base.cursor;
            result.state_cursor = base.cursor;
            result.chain = base.envelope.chain;
            result.track.base_weight = base.bytes as u64;
            newest = Some(base.envelope);
        }
        let state = newest.as_ref().map(|envelope| Replay::new(envelope.payload.clone()));
        Self { codec, state, newest, cursor, result }
    }

    /// Replays the log behind the base up to `until`.
    async fn log(&mut self, store: &dyn Store, head: &Head, until: Cursor) -> Result<()> {
        let span = Span::after(self.cursor).until(until).incarnation(head.fence.incarnation);
        let mut records = store.stream(&head.run, span);
        while let Some(record) = records.next().await {
            self.record(record?)?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<()> {
        if record.cursor != self.cursor + 1 {
            let message = format!("record {} follows record {}", record.cursor, self.cursor);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let at = |error: Error| {
            let kind = error.kind();
            Error::new(kind, format!("record {}: {error}", record.cursor))
        };
        if record.kind.as_str() == STATE_KIND {
            self.state_record(&record).map_err(at)?;
        }
        self.cursor = record.cursor;
        // What stands before an unread snapshot is no tail of it.
        if self.result.track.newest.is_none_or(|newest| newest < record.cursor) {
            self.result.track.tail_weight += weight(record.body.len());
        }
        self.result.chain = self.result.chain.link(&record.kind, record.id.as_ref(), &record.body);
        if record.kind.as_str() != STATE_KIND {
            self.result.records.push(record);
        }
        Ok(())
    }

    fn state_record(&mut self, record: &Record) -> Result<()> {
        let envelope = Envelope::decode(&record.body)?;
        envelope.check_codec(self.codec)?;
        if envelope.chain != self.result.chain {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the log before it is not the one that it was appended to",
            ));
        }
        if envelope.patch {
            let broken =
                |error| Error::new(ErrorKind::Corrupt, "the patch cannot be applied").with_source(error);
            let state = self.state.as_mut().ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "it is a patch, and there is no state before it")
            })?;
            let limit = usize::try_from(envelope.len.min(STATE_LIMIT)).unwrap_or(usize::MAX);
            let patch = Patch::decode(envelope.payload.clone(), limit).map_err(broken)?;
            state.apply(patch).map_err(broken)?;
        } else {
            self.state = Some(Replay::new(envelope.payload.clone()));
        }
        self.result.state_cursor = record.cursor;
        self.result.records.clear();
        self.newest = Some(envelope);
        Ok(())
    }

    /// Checks that the log was read to its end and that the state is the one that was saved.
    ///
    /// Only the last state's checksum is compared: a patch that went wrong anywhere in the chain fails it too, and
    /// comparing each would cost the length of the chain times the state.
    fn finish(mut self, until: Cursor) -> Result<Restore> {
        if self.cursor < until {
            let message = format!("the log ends at record {}, its head says {until}", self.cursor);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.result.state = self.state.take().map(Replay::finish);
        if let (Some(state), Some(envelope)) = (&self.result.state, &self.newest) {
            envelope.verify(state)?;
        }
        Ok(self.result)
    }
}

/// Whether the program may append records of this kind.
pub(crate) fn is_reserved(kind: &Kind) -> bool {
    kind.as_str().starts_with("milepost/")
}
