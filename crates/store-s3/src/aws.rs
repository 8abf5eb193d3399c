//! What the SDK of Amazon does beside the driver: its whole chain of credentials, and a bucket that is made.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sdk_s3::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use milepost_core::{Clock, Error, ErrorKind, Result, SystemClock, Timestamp};
use object_store::{CredentialProvider, aws::AwsCredential};
use tokio::sync::Mutex;

use crate::error::config;

/// Credentials that end within so many microseconds are asked for anew.
const ENDS_SOON: i64 = 5 * 60 * 1_000_000;

/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// Reads the environment, the profile files, and whatever they name: a process, a login, a role, the machine.
pub(crate) async fn load(region: Option<String>) -> SdkConfig {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    match region {
        Some(region) => loader.region(Region::new(region)),
        None => loader,
    }
    .load()
    .await
}

/// The chain's credentials for the driver, kept until shortly before they end.
pub(crate) struct Chain {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
    clock: SystemClock,
}

struct Kept {
    credential: Arc<AwsCredential>,
    ends: Option<Timestamp>,
}

impl Chain {
    /// `None` if the chain is empty: the driver then uses its own.
    pub(crate) fn of(config: &SdkConfig) -> Option<Self> {
        let provider = config.credentials_provider()?;
        Some(Self { provider, kept: Mutex::default(), clock: SystemClock::default() })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    /// Whoever asks while they are fetched waits for the same ones.
    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(Kept { credential, ends }) = &*kept
            && ends.is_none_or(|ends| ends.0 - now.0 > ENDS_SOON)
        {
            return Ok(credential.clone());
        }
        let found = self.provider.provide_credentials().await.map_err(|error| {
            object_store::Error::Unauthenticated { path: "credentials".to_owned(), source: Box::new(error) }
        })?;
        let credential = Arc::new(credential(&found));
        *kept = Some(Kept { credential: credential.clone(), ends: found.expiry().and_then(timestamp) });
        Ok(credential)
    }
}

fn credential(found: &Credentials) -> AwsCredential {
    AwsCredential {
        key_id: found.access_key_id().to_owned(),
        secret_key: found.secret_access_key().to_owned(),
        token: found.session_token().map(str::to_owned),
    }
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok().map(Timestamp)
}

/// A bucket, and how its service is asked about it.
pub(crate) struct Bucket<'a> {
    pub(crate) name: &'a str,
    pub(crate) endpoint: Option<&'a str>,
    /// Given ones go before those of the chain: the key's id, the secret, the session's token.
    pub(crate) given: Option<(&'a str, &'a str, Option<&'a str>)>,
}

impl Bucket<'_> {
    /// Makes the bucket if it is not there, in the region of `sdk`.
    ///
    /// # Errors
    ///
    /// `Config` for a name that belongs to somebody else or is none, `Denied`, `Unavailable`.
    pub(crate) async fn ensure(&self, sdk: &SdkConfig) -> Result<()> {
        let mut builder = Builder::from(sdk).force_path_style(self.endpoint.is_some());
        if let Some(endpoint) = self.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        if let Some((id, secret, token)) = self.given {
            let token = token.map(str::to_owned);
            builder = builder.credentials_provider(Credentials::new(id, secret, token, None, "url"));
        }
        if sdk.region().is_none() {
            builder = builder.region(Region::from_static(FIRST_REGION));
        }
        let region = sdk.region().map_or(FIRST_REGION, Region::as_ref);
        let client = Client::from_conf(builder.build());
        if client.head_bucket().bucket(self.name).send().await.is_ok() {
            return Ok(());
        }
        let place = (region != FIRST_REGION).then(|| {
            let region = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        let create = client.create_bucket().bucket(self.name).set_create_bucket_configuration(place);
        match create.send().await {
            Ok(_) => Ok(()),
            // Another process was quicker.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(refused(self.name, &error)),
        }
    }
}

/// What the service says, by its code. Its texts are left out: they may repeat what was signed.
fn refused<E: ProvideErrorMetadata, R>(name: &str, error: &SdkError<E, R>) -> Error {
    match error.code() {
        Some("BucketAlreadyExists") => {
            config(format!("the bucket {name} belongs to somebody else: names are unique in the whole world"))
        }
        Some("InvalidBucketName") => config(format!("{name} is no name for a bucket")),
        Some("IllegalLocationConstraintException" | "InvalidLocationConstraint") => {
            config("the service has no such region: check region")
        }
        Some(_) => Error::new(
            ErrorKind::Denied,
            "the bucket is not there and may not be made with these credentials: make it first, or check them",
        ),
        None => Error::new(
            ErrorKind::Unavailable,
            "the service that should make the bucket cannot be reached, or no credentials for it are found",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::provider::future::ProvideCredentials as Provided;

    use super::*;

    /// Gives others each time, which end after so many seconds from now.
    #[derive(Debug)]
    struct Counting(AtomicU64, i64);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let ends = SystemClock::default().now().0 + self.1 * 1_000_000;
            let ends = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(ends as u64);
            Provided::ready(Ok(Credentials::new(format!("key-{number}"), "secret", None, Some(ends), "test")))
        }
    }

    async fn asked_twice(lasting: i64) -> [String; 2] {
        let provider = SharedCredentialsProvider::new(Counting(AtomicU64::new(0), lasting));
        let config = SdkConfig::builder().credentials_provider(provider).build();
        let chain = Chain::of(&config).unwrap();
        let first = chain.get_credential().await.unwrap().key_id.clone();
        [first, chain.get_credential().await.unwrap().key_id.clone()]
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_end() {
        assert_eq!(asked_twice(3600).await, ["key-0", "key-0"]);
        assert_eq!(asked_twice(299).await, ["key-0", "key-1"]);
    }

    #[tokio::test]
    async fn no_secret_is_shown() {
        let provider = SharedCredentialsProvider::new(Credentials::new("id", "sesame", None, None, "test"));
        let config = SdkConfig::builder().credentials_provider(provider).build();
        assert!(!format!("{:?}", Chain::of(&config).unwrap()).contains("sesame"));
    }
}
