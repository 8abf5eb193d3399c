//! Everything that can be read of a run, as one value: "refused, unchanged" is one comparison.

use std::fmt::Debug;

use futures_util::TryStreamExt;
use milepost_core::{
    At, BlobInfo, BoxStream, Bytes, Capabilities, Error, ErrorKind, Head, Message, Record, Result, RunId,
    Snapshot, Span, Store, Timestamp,
};

use crate::{
    Verdict,
    expect::{Failure, expect_eq},
};

/// What can be read of a run.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Image {
    /// Its head, without the instant at which it was read; `None` for a run that is not there.
    pub(crate) head: Option<Head>,
    /// Its retained records.
    pub(crate) records: Vec<Record>,
    /// Its kept snapshots, newest first: all of them with `History`, otherwise the newest.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The messages that wait.
    pub(crate) messages: Vec<Message>,
    /// Its blobs.
    pub(crate) blobs: Vec<(BlobInfo, Option<Bytes>)>,
}

impl Image {
    /// Both must show the same run; the failure names the part in which they differ.
    #[track_caller]
    pub(crate) fn same_as(&self, now: &Self) -> Verdict {
        expect_eq("the head after a refusal, against the one before", &now.head, &self.head)?;
        expect_eq("the records after a refusal, against those before", &now.records, &self.records)?;
        expect_eq("the snapshots after a refusal, against those before", &now.snapshots, &self.snapshots)?;
        expect_eq("the inbox after a refusal, against the one before", &now.messages, &self.messages)?;
        expect_eq("the blobs after a refusal, against those before", &now.blobs, &self.blobs)
    }
}

/// More than any case puts into a stream. A broken one may never end, and must fail its case, not the kit.
const ENDLESS: usize = 200_000;

/// Everything that a stream gives.
pub(crate) async fn collect<T: Debug>(mut stream: BoxStream<'static, Result<T>>) -> Result<Vec<T>> {
    let mut items = Vec::new();
    while let Some(item) = next(&mut stream).await? {
        items.push(item);
        if items.len() > ENDLESS {
            return Err(Error::new(ErrorKind::Other, "the stream went on where it had to end"));
        }
    }
    Ok(items)
}

/// The next of what a stream gives; `None` at its end. Lets a case's timeout strike between two of them, also when the
/// store never waits for anything.
pub(crate) async fn next<T>(stream: &mut BoxStream<'static, Result<T>>) -> Result<Option<T>> {
    tokio::task::consume_budget().await;
    stream.try_next().await
}

/// Reads all that `store` offers of a run that nobody writes to at the moment.
pub(crate) async fn image(store: &dyn Store, run: &RunId) -> Verdict<Image> {
    let offered = store.capabilities();
    let empty = Image { head: None, records: vec![], snapshots: vec![], messages: vec![], blobs: vec![] };
    let Some(head) = store.head(run).await? else {
        return Ok(empty);
    };
    let mut blobs = Vec::new();
    if offered.supports_blobs() {
        for info in collect(store.blobs(run)).await? {
            blobs.push((info, store.blob(run, &info.name).await?));
        }
    }
    Ok(Image {
        records: records(store, run, &head, &offered).await?,
        snapshots: snapshots(store, run, &offered).await?,
        messages: if offered.supports_inbox() {
            collect(store.inbox(run, Span::all())).await?
        } else {
            vec![]
        },
        blobs,
        head: Some(Head { at: Timestamp::default(), ..head }),
    })
}

/// The retained records. A trimmed log of a store without `TailStream` cannot be read at all.
async fn records(
    store: &dyn Store,
    run: &RunId,
    head: &Head,
    offered: &Capabilities,
) -> Result<Vec<Record>, Failure> {
    let readable = offered.supports_log() && (head.first <= 1 || offered.supports_tail_stream());
    if !readable {
        return Ok(vec![]);
    }
    Ok(collect(store.stream(run, Span::after(head.first.saturating_sub(1)))).await?)
}

async fn snapshots(store: &dyn Store, run: &RunId, offered: &Capabilities) -> Result<Vec<Snapshot>, Error> {
    let mut kept = Vec::new();
    let mut at = At::Latest;
    while offered.supports_snapshots()
        && let Some(snapshot) = store.snapshot(run, at).await?
    {
        // A broken store may give the same one for ever.
        let older_than_last = kept.last().is_none_or(|last: &Snapshot| snapshot.cursor < last.cursor);
        let goes_on = older_than_last && offered.supports_history();
        let older = snapshot.cursor.checked_sub(1).filter(|_| goes_on);
        kept.push(snapshot);
        match older {
            Some(cursor) => at = At::OrBefore(cursor),
            None => break,
        }
    }
    Ok(kept)
}
