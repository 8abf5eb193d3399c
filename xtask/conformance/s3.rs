//! Places in a bucket: a prefix for each.

use std::collections::BTreeSet;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore};
use tokio::runtime::Builder;
use url::Url;

/// Removes the objects below the prefixes that these URLs name, which are of one bucket.
///
/// No store does that, and none should: it asks nobody what it removes. Here every prefix ends with the name of a scope,
/// which this run of the kit has drawn for itself.
pub(crate) fn remove(urls: &BTreeSet<String>) -> anyhow::Result<()> {
    let Some(first) = urls.first() else { return Ok(()) };
    let bucket = bucket(&parsed(first)?)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for url in urls {
            let prefix = Path::from(parsed(url)?.path());
            let found = bucket.list(Some(&prefix)).map_ok(|object| object.location).boxed();
            let gone = bucket.delete_stream(found).try_for_each(|_| async { Ok(()) }).await;
            gone.with_context(|| format!("cannot remove the objects below {prefix}"))?;
        }
        Ok(())
    })
}

/// A parameter's `+` is no blank.
fn parsed(url: &str) -> anyhow::Result<Url> {
    Url::parse(&url.replace('+', "%2B")).context("the URL is none")
}

/// The bucket, by the same parameters as the store's own, and the environment where they are silent.
fn bucket(url: &Url) -> anyhow::Result<AmazonS3> {
    let name = url.host_str().context("the URL names no bucket")?;
    let get = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value);
    let is_on = |name: &str| get(name).map(|value| value == "1");
    let endpoint = get("endpoint");
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(name)
        .with_client_options(ClientOptions::new().with_allow_http(is_on("allow_http").unwrap_or(false)))
        .with_virtual_hosted_style_request(is_on("virtual_hosted").unwrap_or(endpoint.is_none()));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = get("region") {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (get("access_key_id"), get("secret_access_key")) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    if let Some(token) = get("session_token") {
        builder = builder.with_token(token);
    }
    builder.build().context("the driver does not take these settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_keeps_its_signs() {
        let url = parsed("s3://b/jobs/mp_1?secret_access_key=a+b%2Fc").unwrap();
        let (_, secret) = url.query_pairs().next().unwrap();
        assert_eq!((secret.as_ref(), url.path()), ("a+b/c", "/jobs/mp_1"));
    }
}
