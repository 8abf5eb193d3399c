//! Pages of a stream, fetched by tasks of their own.

use std::{
    future::{Future, pending},
    panic::resume_unwind,
};

use tokio_util::task::AbortOnDropHandle;

/// Does what a stream does for its next page. It holds what a handle knows of a run, or its place in the queue for that; a
/// reader that looks elsewhere in the middle of it, and does not drop the stream, keeps it from nobody. Dropped with the stream.
pub(crate) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes down, and the reader with it.
            Err(_) => pending().await,
        },
    }
}
