//! Places in a bucket: a prefix for each.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
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
fn bucket(url: &Url) -> anyhow::Result<Box<dyn ObjectStore>> {
    let name = url.host_str().context("the URL names no bucket")?;
    let bucket = match url.scheme() {
        "gs" => google(url, name),
        "az" => azure(url, name),
        _ => amazon(url, name),
    };
    bucket.context("the driver does not take these settings")
}

fn get<'a>(url: &'a Url, name: &str) -> Option<Cow<'a, str>> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn is_on(url: &Url, name: &str) -> Option<bool> {
    get(url, name).map(|value| value == "1")
}

fn options(url: &Url) -> ClientOptions {
    ClientOptions::new().with_allow_http(is_on(url, "allow_http").unwrap_or(false))
}

fn amazon(url: &Url, name: &str) -> object_store::Result<Box<dyn ObjectStore>> {
    let endpoint = get(url, "endpoint");
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(name)
        .with_client_options(options(url))
        .with_virtual_hosted_style_request(is_on(url, "virtual_hosted").unwrap_or(endpoint.is_none()));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = get(url, "region") {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (get(url, "access_key_id"), get(url, "secret_access_key")) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    if let Some(token) = get(url, "session_token") {
        builder = builder.with_token(token);
    }
    Ok(Box::new(builder.build()?))
}

fn google(url: &Url, name: &str) -> object_store::Result<Box<dyn ObjectStore>> {
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(name).with_client_options(options(url));
    if let Some(file) = get(url, "service_account") {
        builder = builder.with_service_account_path(file);
    }
    if let Some(endpoint) = get(url, "endpoint") {
        builder = builder.with_base_url(&endpoint);
    }
    Ok(Box::new(builder.build()?))
}

fn azure(url: &Url, name: &str) -> object_store::Result<Box<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(name)
        .with_allow_http(is_on(url, "allow_http").unwrap_or(false))
        .with_client_options(options(url));
    if let Some(account) = get(url, "account") {
        builder = builder.with_account(account);
    }
    if let Some(key) = get(url, "access_key") {
        builder = builder.with_access_key(key);
    }
    if let Some(endpoint) = get(url, "endpoint") {
        builder = builder.with_endpoint(endpoint.into_owned());
    }
    Ok(Box::new(builder.build()?))
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
