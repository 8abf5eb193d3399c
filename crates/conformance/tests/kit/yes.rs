//! A store that says yes to everything and keeps none of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::*;

/// Answers what its caller hopes to hear.
#[derive(Debug)]
pub(crate) struct Yes;

const FENCE: Fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

/// A plausible head of any run.
fn head(run: &RunId) -> Head {
    let until = NOW + Open::DEFAULT_TTL;
    Head {
        run: run.clone(),
        info: RunInfo { name: "case".into(), parent: None, labels: BTreeMap::new(), meta: Bytes::new() },
        manifest: Manifest::of(b"case"),
        version: 1,
        cursor: 0,
        first: 1,
        snapshots: vec![],
        fence: FENCE,
        lease: Some(Lease { owner: Owner::default(), until }),
        due: Some(until),
        lapses: 0,
        newest_message: 0,
        note: None,
        created_at: NOW,
        updated_at: NOW,
        sizes: Sizes::default(),
        origin: None,
        draft: false,
        outcome: None,
        delete_after: None,
        at: NOW,
    }
}

fn committed(commit: &Commit) -> Committed {
    Committed { version: commit.expect + 1, cursor: commit.records.len() as u64, replayed: false }
}

#[async_trait]
impl Store for Yes {
    fn capabilities(&self) -> Capabilities {
        Capabilities::all(Durability::Replicated)
    }

    async fn open(&self, run: &RunId, _: Open) -> Result<Opened> {
        Ok(Opened { fence: FENCE, head: head(run), created: true })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        Ok(committed(&commit))
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        commits.iter().map(|commit| Ok(committed(commit))).collect()
    }

    async fn renew(&self, _: &RunId, _: Renew) -> Result<()> {
        Ok(())
    }

    async fn send(&self, _: &RunId, _: NewMessage) -> Result<Sent> {
        Ok(Sent::Accepted { number: 1 })
    }

    async fn delete(&self, _: &RunId, _: Delete) -> Result<bool> {
        Ok(true)
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        Ok(Some(head(run)))
    }

    async fn snapshot(&self, _: &RunId, _: At) -> Result<Option<Snapshot>> {
        Ok(Some(Snapshot::new(0, "")))
    }

    fn stream(&self, _: &RunId, _: Span) -> BoxStream<'static, Result<Record>> {
        stream::empty().boxed()
    }

    fn inbox(&self, _: &RunId, _: Span) -> BoxStream<'static, Result<Message>> {
        stream::empty().boxed()
    }

    async fn blob(&self, _: &RunId, _: &Digest) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::new()))
    }

    fn blobs(&self, _: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        stream::empty().boxed()
    }

    fn list(&self, _: Query) -> BoxStream<'static, Result<Head>> {
        stream::empty().boxed()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
