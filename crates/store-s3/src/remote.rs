//! Where a service is, and with what it is asked.

use std::{fmt, sync::Arc, time::Duration};

use milepost_core::{Durability, Result};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::{
    error::config,
    objects::{Client, Remote, ServerTime, Timed},
    url::{Kind, Parsed},
};

/// How long an answer is waited for when nobody says.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A bucket of a service, and how it is used.
#[derive(Clone)]
pub(crate) struct Address {
    kind: Kind,
    bucket: String,
    /// What the names of all objects begin with; empty, or without a slash at its end.
    prefix: String,
    endpoint: Option<String>,
    allow_http: bool,
    timeout: Duration,
    access: Access,
    #[cfg(feature = "aws")]
    create_bucket: bool,
}

/// With what the service is asked. What is not given comes from the environment.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) region: Option<String>,
    pub(crate) virtual_hosted: Option<bool>,
    /// The name of a key or an account, which is no secret.
    pub(crate) id: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) token: Option<String>,
    /// The path of a file with a key.
    pub(crate) file: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("kind", &self.kind)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Address {
    pub(crate) fn from_url(kind: Kind, parsed: &mut Parsed) -> Result<Self> {
        if !kind.is_on() {
            return Err(kind.is_off());
        }
        let (bucket, prefix) = parsed.bucket()?;
        let mut access = Access::default();
        match kind {
            Kind::S3 => {
                access.region = parsed.take("region");
                access.virtual_hosted = parsed.flag("virtual_hosted")?;
                access.id = parsed.take("access_key_id");
                access.secret = parsed.take("secret_access_key");
                access.token = parsed.take("session_token");
                if access.id.is_some() != access.secret.is_some() {
                    return Err(config("access_key_id and secret_access_key go together"));
                }
            }
            Kind::Gcs => access.file = parsed.take("service_account"),
            Kind::Azure => {
                access.id = parsed.take("account");
                access.secret = parsed.take("access_key");
            }
            Kind::File => {}
        }
        let endpoint = parsed.take("endpoint");
        let allow_http = parsed.flag("allow_http")?.unwrap_or(false);
        let plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        if plain && !allow_http {
            return Err(config("the endpoint is without TLS: use https://, or add allow_http=1 to the URL"));
        }
        let timeout = parsed.duration("timeout")?.unwrap_or(TIMEOUT);
        let create_bucket = kind == Kind::S3 && parsed.flag("create_bucket")?.unwrap_or(false);
        if create_bucket && cfg!(not(feature = "aws")) {
            return Err(config(
                "create_bucket=1 needs the feature \"aws\": enable it, or make the bucket first",
            ));
        }
        Ok(Self {
            kind,
            bucket,
            prefix,
            endpoint,
            allow_http,
            timeout,
            access,
            #[cfg(feature = "aws")]
            create_bucket,
        })
    }

    pub(crate) fn push(&mut self, prefix: &str) {
        if !self.prefix.is_empty() {
            self.prefix.push('/');
        }
        self.prefix.push_str(prefix);
    }

    pub(crate) fn backend(&self) -> &'static str {
        match self.kind {
            Kind::S3 => "s3",
            Kind::Gcs => "gcs",
            Kind::Azure => "azure",
            Kind::File => "folder",
        }
    }

    /// What tells the service from others.
    pub(crate) fn service(&self) -> String {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        format!("{}://{} at {endpoint}", self.kind.scheme(), self.bucket)
    }

    /// The providers keep several copies; what stands at another endpoint is known to have stored it, and no more.
    pub(crate) fn durability(&self) -> Durability {
        if self.endpoint.is_none() { Durability::Replicated } else { Durability::Fsync }
    }

    pub(crate) async fn connect(&self) -> Result<Remote> {
        // Another provider that the program has installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let time = Arc::new(ServerTime::default());
        let client = self.client(Timed::new(time.clone())).await?;
        Ok(Remote::new(client, &self.prefix, time))
    }

    fn options(&self) -> ClientOptions {
        let connect = self.timeout.min(Duration::from_secs(5));
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_timeout(self.timeout)
            .with_connect_timeout(connect)
    }

    /// Repeating is this crate's own job: it looks before it judges.
    fn no_retries(&self) -> RetryConfig {
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: self.timeout }
    }

    async fn client(&self, timed: Timed) -> Result<Client> {
        match self.kind {
            #[cfg(feature = "s3")]
            Kind::S3 => self.s3(timed).await,
            #[cfg(feature = "gcs")]
            Kind::Gcs => self.gcs(timed),
            #[cfg(feature = "azure")]
            Kind::Azure => self.azure(timed),
            kind => Err(kind.is_off()),
        }
    }

    #[cfg(feature = "s3")]
    async fn s3(&self, timed: Timed) -> Result<Client> {
        use object_store::aws::{AmazonS3Builder, S3ConditionalPut};

        let Access { region, virtual_hosted, id, secret, token, .. } = &self.access;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_allow_http(self.allow_http)
            .with_client_options(self.options())
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_virtual_hosted_style_request(virtual_hosted.unwrap_or(self.endpoint.is_none()))
            .with_http_connector(timed)
            .with_retry(self.no_retries());
        #[cfg(feature = "aws")]
        if id.is_none() || self.create_bucket {
            builder = self.sdk(builder).await?;
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(id), Some(secret)) = (id, secret) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        Client::of(builder.build())
    }

    /// What the SDK knows and does: the region, the credentials unless the URL has some, and the bucket if it is to be made.
    #[cfg(feature = "aws")]
    async fn sdk(
        &self,
        mut builder: object_store::aws::AmazonS3Builder,
    ) -> Result<object_store::aws::AmazonS3Builder> {
        let Access { region, id, secret, token, .. } = &self.access;
        let sdk = crate::aws::load(region.clone()).await;
        if self.create_bucket {
            let given =
                id.as_deref().zip(secret.as_deref()).map(|(id, secret)| (id, secret, token.as_deref()));
            let bucket = crate::aws::Bucket { name: &self.bucket, endpoint: self.endpoint.as_deref(), given };
            bucket.ensure(&sdk).await?;
        }
        if let Some(region) = sdk.region() {
            builder = builder.with_region(region.as_ref());
        }
        Ok(match crate::aws::Chain::of(&sdk) {
            Some(chain) if id.is_none() => builder.with_credentials(Arc::new(chain)),
            _ => builder,
        })
    }

    #[cfg(feature = "gcs")]
    fn gcs(&self, timed: Timed) -> Result<Client> {
        let mut builder = object_store::gcp::GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&self.bucket)
            .with_client_options(self.options())
            .with_http_connector(timed)
            .with_retry(self.no_retries());
        if let Some(file) = &self.access.file {
            builder = builder.with_service_account_path(file);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        Client::of(builder.build())
    }

    #[cfg(feature = "azure")]
    fn azure(&self, timed: Timed) -> Result<Client> {
        let mut builder = object_store::azure::MicrosoftAzureBuilder::from_env()
            .with_container_name(&self.bucket)
            .with_allow_http(self.allow_http)
            .with_client_options(self.options())
            .with_http_connector(timed)
            .with_retry(self.no_retries());
        if let Some(account) = &self.access.id {
            builder = builder.with_account(account);
        }
        if let Some(key) = &self.access.secret {
            builder = builder.with_access_key(key);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        Client::of(builder.build())
    }
}
