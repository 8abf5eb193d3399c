use async_trait::async_trait;
use futures_util::{StreamExt, future, stream};
use milepost_core::*;

/// A store in which nothing is written yet.
#[derive(Clone, Debug)]
pub struct AcmeStore;

fn not_yet<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Other, "not written yet").with_applied(Applied::No))
}

fn no_stream<T: Send + 'static>() -> BoxStream<'static, Result<T>> {
    stream::once(future::ready(not_yet())).boxed()
}

#[async_trait]
impl Store for AcmeStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Durability::Process).with(Capability::Log)
    }

    async fn open(&self, _run: &RunId, _open: Open) -> Result<Opened> {
        not_yet()
    }

    async fn commit(&self, _commit: Commit) -> Result<Committed> {
        not_yet()
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        commits.iter().map(|_| not_yet()).collect()
    }

    async fn renew(&self, _run: &RunId, _renew: Renew) -> Result<()> {
        not_yet()
    }

    async fn send(&self, _run: &RunId, _message: NewMessage) -> Result<Sent> {
        not_yet()
    }

    async fn delete(&self, _run: &RunId, _guard: Delete) -> Result<bool> {
        not_yet()
    }

    async fn head(&self, _run: &RunId) -> Result<Option<Head>> {
        not_yet()
    }

    async fn snapshot(&self, _run: &RunId, _at: At) -> Result<Option<Snapshot>> {
        not_yet()
    }

    fn stream(&self, _run: &RunId, _span: Span) -> BoxStream<'static, Result<Record>> {
        no_stream()
    }

    fn inbox(&self, _run: &RunId, _span: Span) -> BoxStream<'static, Result<Message>> {
        no_stream()
    }

    async fn blob(&self, _run: &RunId, _name: &Digest) -> Result<Option<Bytes>> {
        not_yet()
    }

    fn blobs(&self, _run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        no_stream()
    }

    fn list(&self, _query: Query) -> BoxStream<'static, Result<Head>> {
        no_stream()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
