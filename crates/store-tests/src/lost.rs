//! Lost replies and lost requests.

use milepost_core::{Applied, Commit, ErrorKind, Result, Store};
use milepost_servers::Proxy;

use crate::{create, operation, record, run};

/// Sends the same again until it is answered by other than a lost connection.
pub async fn settled<T, W: Future<Output = Result<T>>>(mut send: impl FnMut() -> W) -> T {
    for _ in 0..5 {
        match send().await {
            Ok(done) => return done,
            Err(error) => {
                assert!(error.kind().is_transient(), "{error:?}");
                assert!(error.applied().is_some(), "{error:?}");
            }
        }
    }
    panic!("it was lost five times over");
}

/// A server that takes no connection any more has surely not written, and takes the same write when it is back.
pub async fn refused(store: &impl Store, proxy: &Proxy) {
    let opened = store.open(&run("cut"), create()).await.unwrap();
    let commit = Commit::new(run("cut"), opened.fence, operation(), 1).record(record("x"));
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    // The first may have been on its way; from then on the connection itself is refused.
    let mut told = Vec::new();
    for _ in 0..3 {
        let error = store.commit(commit.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        told.push(error.applied());
    }
    assert_eq!(told.last(), Some(&Some(Applied::No)), "{told:?}");
    proxy.refuse(false).unwrap();
    assert_eq!(store.commit(commit).await.unwrap().version, 2);
}

/// A server that falls silent has perhaps written, and is timed out. The store should be set to wait shortly.
pub async fn silent(store: &impl Store, proxy: &Proxy) {
    let opened = store.open(&run("silent"), create()).await.unwrap();
    let commit = Commit::new(run("silent"), opened.fence, operation(), 1).record(record("x"));
    proxy.silence(true);
    let error = store.commit(commit.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::TimedOut, Some(Applied::Maybe)), "{error:?}");
    proxy.silence(false);
    proxy.cut().unwrap();
    settled(|| store.commit(commit.clone())).await;
    assert_eq!(store.head(&run("silent")).await.unwrap().unwrap().version, 2);
}
