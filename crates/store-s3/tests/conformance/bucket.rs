//! The hooks of a bucket, beside the store and by the driver alone.

use std::time::Duration;

use milepost_conformance::{Harness, Part, Scope, Tuning};
use milepost_core::{Error, ErrorKind, Result, RunId};
use milepost_store_s3::S3Config;
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path};

use crate::run;

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, format!("the hook cannot do it: {error}"))
}

/// The URL of the scope's server. Whoever connects first writes it down, so that a second process finds the same one.
pub(crate) fn url(scope: &Scope, start: impl FnOnce() -> Result<String>) -> Result<String> {
    let file = scope.dir()?.join("server");
    if let Ok(url) = std::fs::read_to_string(&file) {
        return Ok(url);
    }
    let url = start()?;
    std::fs::write(&file, &url).map_err(failed)?;
    Ok(url)
}

pub(crate) fn config(scope: &Scope, url: &str) -> Result<S3Config> {
    let config = S3Config::from_url(url)?.prefix(scope.name())?;
    // So few that bases are read and written by the cases, too.
    Ok(config.prepare_on_connect(true).base_after(8).poll(Duration::from_millis(25)))
}

/// The bucket of a URL without the store.
pub(crate) fn raw(url: &str) -> Result<impl ObjectStore> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let bucket = base.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    let of = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_endpoint(of("endpoint"))
        .with_region(of("region"))
        .with_access_key_id(of("access_key_id"))
        .with_secret_access_key(of("secret_access_key"))
        .with_allow_http(true)
        .build()
        .map_err(failed)
}

async fn parts(url: String, scope: Scope, run: RunId) -> Result<Vec<Part>> {
    use futures_util::TryStreamExt;

    run::freed(config(&scope, &url)?, &scope, &run).await?;
    let folder = Path::from(format!("{}/run/{}", scope.name(), run::digits(&run)));
    let found = raw(&url)?.list(Some(&folder)).try_collect::<Vec<_>>().await.map_err(failed)?;
    Ok(run::parts(found.into_iter().map(|object| (object.location.to_string(), object.size)).collect()))
}

/// Removes the objects of a scope. A server of its own goes by itself.
async fn clear(url: fn(&Scope) -> Result<String>, scope: Scope) -> Result<()> {
    use futures_util::{StreamExt, TryStreamExt};

    if scope.own_server() {
        return Ok(());
    }
    let bucket = raw(&url(&scope)?)?;
    let found = bucket.list(Some(&Path::from(scope.name()))).map_ok(|object| object.location).boxed();
    bucket.delete_stream(found).try_for_each(|_| async { Ok(()) }).await.map_err(failed)
}

/// With the hooks that look at a bucket and change it; `url` gives that of a scope.
pub(crate) fn hooked(harness: Harness, url: fn(&Scope) -> Result<String>) -> Harness {
    harness
        .with_clock()
        .with_processes()
        .with_parts(move |scope, run| async move { parts(url(&scope)?, scope, run).await })
        .with_flip(move |scope, part, byte| async move {
            let (bucket, path) = (raw(&url(&scope)?)?, Path::from(part.name));
            let found = bucket.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
            let mut bytes = found.to_vec();
            bytes[byte as usize] ^= 1;
            bucket.put(&path, bytes.into()).await.map(drop).map_err(failed)
        })
        .with_removal(move |scope, part| async move {
            raw(&url(&scope)?)?.delete(&Path::from(part.name)).await.map_err(failed)
        })
        .with_teardown(move |scope| clear(url, scope))
        .with_tuning(patient())
}

/// A request takes a millisecond: fewer runs and rounds tell as much.
fn patient() -> Tuning {
    let mut tuning = Tuning::default();
    tuning.runs = 300;
    tuning.rounds = 30;
    tuning.timeout = Duration::from_secs(90);
    tuning.reopening = Duration::from_millis(300);
    tuning
}
