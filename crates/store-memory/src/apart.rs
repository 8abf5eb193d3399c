//! Pages of a stream, fetched by tasks of their own.

use std::{
    future::{Future, pending},
    panic::resume_unwind,
};

use tokio_util::task::AbortOnDropHandle;

/// Does what a stream does for its next page in a task of its own, on the Tokio runtime that polls it.
///
/// A page holds something while it is fetched: a connection, a place in a queue, what a handle knows of a run. A reader
/// that looks elsewhere in the middle of it, and neither polls its stream nor drops it, would keep that from everybody: of
/// several streams in a `select!` all but one are left so while its body runs. A task goes on by itself. It is aborted when the
/// stream is dropped.
///
/// ```
/// use milepost_store_memory::{apart, paged};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milepost_core::Result<()> {
/// # use futures_util::TryStreamExt;
/// let numbers = paged(0, |page| apart(async move { Ok((page < 2).then_some((vec![page], page + 1))) }));
/// assert_eq!(numbers.try_collect::<Vec<_>>().await?, [0, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// As `work` does, and outside of a Tokio runtime.
pub async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes down, and the reader with it.
            Err(_) => pending().await,
        },
    }
}
