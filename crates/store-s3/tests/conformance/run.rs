//! What the hooks of every place have in common.

use std::{sync::Arc, time::Duration};

use milepost_conformance::{Part, Scope};
use milepost_core::{Clock, ManualClock, Result, RunId};
use milepost_store_s3::S3Config;

/// How a run's id stands in the names of its objects.
pub(crate) fn digits(run: &RunId) -> String {
    run.as_str().bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets a minute pass for a run that was deleted, after which its names are free: the store waits for that, and the kit
/// looks at once. A run that is there is left as it is.
pub(crate) async fn freed(config: S3Config, scope: &Scope, run: &RunId) -> Result<()> {
    use milepost_core::Store;

    let later = Arc::new(ManualClock::new(scope.clock().now() + Duration::from_secs(61)));
    let store = config.clock(later).connect().await?;
    if store.head(run).await.is_ok_and(|head| head.is_none()) {
        store.sweep(run).await?;
    }
    store.close().await
}

/// The objects of a run. The newest entry is counted and not damaged: a log that lost it is the log that it was before,
/// and nothing that is written with one request can tell them apart.
pub(crate) fn parts(mut found: Vec<(String, u64)>) -> Vec<Part> {
    found.sort();
    let newest = found.iter().position(|(name, _)| !name.ends_with("-base") && !name.contains("-p"));
    let part = |(index, (name, size)): (usize, (String, u64))| {
        let part = Part::new(name, size);
        if Some(index) == newest { part.unguarded() } else { part }
    };
    found.into_iter().enumerate().map(part).collect()
}
