//! A store that does nothing and finds nothing.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::*;

/// Declares everything and does none of it.
#[derive(Debug)]
pub(crate) struct Idle;

fn nothing<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Other, "this store does nothing").with_applied(Applied::No))
}

#[async_trait]
impl Store for Idle {
    fn capabilities(&self) -> Capabilities {
        Capabilities::all(Durability::Replicated)
    }

    async fn open(&self, _: &RunId, _: Open) -> Result<Opened> {
        nothing()
    }

    async fn commit(&self, _: Commit) -> Result<Committed> {
        nothing()
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        commits.iter().map(|_| nothing()).collect()
    }

    async fn renew(&self, _: &RunId, _: Renew) -> Result<()> {
        nothing()
    }

    async fn send(&self, _: &RunId, _: NewMessage) -> Result<Sent> {
        nothing()
    }

    async fn delete(&self, _: &RunId, _: Delete) -> Result<bool> {
        Ok(false)
    }

    async fn head(&self, _: &RunId) -> Result<Option<Head>> {
        Ok(None)
    }

    async fn snapshot(&self, _: &RunId, _: At) -> Result<Option<Snapshot>> {
        Ok(None)
    }

    fn stream(&self, _: &RunId, _: Span) -> BoxStream<'static, Result<Record>> {
        stream::empty().boxed()
    }

    fn inbox(&self, _: &RunId, _: Span) -> BoxStream<'static, Result<Message>> {
        stream::empty().boxed()
    }

    async fn blob(&self, _: &RunId, _: &Digest) -> Result<Option<Bytes>> {
        Ok(None)
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
