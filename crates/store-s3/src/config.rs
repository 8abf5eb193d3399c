//! Where the objects are and how they are used: builder methods, or a URL.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use milepost_core::{
    Capabilities, Capability, Clock, Durability, Error, ErrorKind, Ids, Limits, Operation, Result, SystemIds,
};
use serde::{Deserialize, Serialize};

use crate::{
    S3Store,
    create::{Created, create},
    error::config,
    frame,
    layout::FORMAT,
    objects::{Folder, Objects},
    probe::probe,
    state::{MESSAGE_KEYS, RECORD_IDS},
    url::{Kind, Parsed},
};

/// The shortest lease where clocks may differ.
const MIN_TTL: Duration = Duration::from_secs(60);

/// Where the objects are and how they are used.
///
/// ```
/// use milepost_store_s3::S3Config;
///
/// let config = S3Config::from_url("file:///var/lib/jobs?poll=50ms")?;
/// assert!(S3Config::from_url("file:///var/lib/jobs?pol=50ms").is_err());
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Clone)]
pub struct S3Config {
    pub(crate) place: Place,
    prepare: bool,
    /// Who follows looks again after so long a time.
    pub(crate) poll: Duration,
    /// A base is written after so many entries.
    pub(crate) base_after: u64,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// Where the objects are.
#[derive(Clone)]
pub(crate) enum Place {
    Folder(PathBuf),
    #[cfg(feature = "remote")]
    Remote(crate::remote::Address),
    #[cfg(test)]
    Given(Arc<dyn Objects>),
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("S3Config");
        match &self.place {
            Place::Folder(folder) => shown.field("folder", folder),
            #[cfg(feature = "remote")]
            Place::Remote(address) => shown.field("address", address),
            #[cfg(test)]
            Place::Given(objects) => shown.field("objects", objects),
        };
        shown.field("poll", &self.poll).finish_non_exhaustive()
    }
}

/// What the object `format` holds: enough to know that the place is one of ours.
#[derive(Serialize, Deserialize)]
struct Format {
    token: u128,
}

impl S3Config {
    /// A local folder, which is made if it is missing.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self::at(Place::Folder(folder.into()), Duration::from_millis(25))
    }

    pub(crate) fn at(place: Place, poll: Duration) -> Self {
        Self { place, prepare: false, poll, base_after: 64, clock: None, ids: Arc::new(SystemIds) }
    }

    /// Reads `s3://bucket/prefix?…`, `gs://bucket/prefix?…`, `az://container/prefix?…` or `file:///folder?…`.
    ///
    /// | parameter | of | values | default |
    /// |---|---|---|---|
    /// | `prepare` | all | `1`, `0`: whether the place is made ready if it is not | `0` |
    /// | `poll` | all | a duration such as `500ms`, `5s`: how often who follows looks for what others wrote | `1s`, `25ms` for a folder |
    /// | `timeout` | all but `file` | how long an answer is waited for | `10s` |
    /// | `endpoint` | all but `file` | where the service is, such as `http://localhost:9000` | the provider's |
    /// | `allow_http` | all but `file` | `1`, `0`: whether the endpoint may be without TLS | `0` |
    /// | `region` | `s3` | | `AWS_REGION`, `us-east-1` |
    /// | `access_key_id`, `secret_access_key`, `session_token` | `s3` | | the environment and the machine's role |
    /// | `create_bucket` | `s3` | `1`, `0`: whether the bucket is made if it is not there; needs the feature `aws` | `0` |
    /// | `virtual_hosted` | `s3` | `1`, `0`: whether the bucket is part of the host's name | `0` with an endpoint |
    /// | `service_account` | `gs` | the path of a key file | the environment and the machine's role |
    /// | `account`, `access_key` | `az` | | the environment and the machine's role |
    ///
    /// Values are percent-decoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: another scheme, one whose feature is off, an unknown parameter, a value that is none.
    pub fn from_url(url: &str) -> Result<Self> {
        Self::parse(url).map_err(|error| error.during("s3", Operation::Connect, None))
    }

    fn parse(url: &str) -> Result<Self> {
        let mut parsed = Parsed::of(url)?;
        let prepare = parsed.flag("prepare")?.unwrap_or(false);
        let poll = parsed.duration("poll")?;
        let place = match parsed.kind {
            Kind::File => Place::Folder(parsed.folder()?),
            #[cfg(feature = "remote")]
            kind => Place::Remote(crate::remote::Address::from_url(kind, &mut parsed)?),
            #[cfg(not(feature = "remote"))]
            kind => return Err(kind.is_off()),
        };
        parsed.nothing_left()?;
        let usual = if matches!(place, Place::Folder(_)) { 25 } else { 1000 };
        let config = Self::at(place, poll.unwrap_or(Duration::from_millis(usual)));
        Ok(config.prepare_on_connect(prepare))
    }

    /// Makes the place ready when it is connected to; a folder always is. The same as `prepare=1` in a URL.
    pub fn prepare_on_connect(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// How often who follows looks for what others wrote.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// After how many entries of a run everything that they come to is written as one object, 64 if nobody says: more of
    /// them cost less to write and more to read.
    pub fn base_after(mut self, entries: u64) -> Self {
        self.base_after = entries.max(1);
        self
    }

    /// Judges leases by `clock`; by default by the clock of the service, which each of its answers tells, or by this
    /// machine's for a folder. Elapsed time is its, too.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Draws incarnations and tokens from `ids`; by default the operating system's.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Puts the objects below `prefix`, within what the URL names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: characters other than letters, digits, `_`, `-`, `.` and `/`, or a part that is empty or `..`.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        crate::url::check_prefix(prefix)?;
        match &mut self.place {
            Place::Folder(folder) => folder.extend(prefix.split('/')),
            #[cfg(feature = "remote")]
            Place::Remote(address) => address.push(prefix),
            #[cfg(test)]
            Place::Given(_) => {}
        }
        Ok(self)
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    pub(crate) fn backend(&self) -> &'static str {
        match &self.place {
            Place::Folder(_) => "folder",
            #[cfg(feature = "remote")]
            Place::Remote(address) => address.backend(),
            #[cfg(test)]
            Place::Given(_) => "memory",
        }
    }

    /// Everything but `BatchCommit`: many commits are as many creates, side by side.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let min_ttl = if self.is_embedded() { Limits::DEFAULT.min_ttl } else { MIN_TTL };
        let durability = match &self.place {
            Place::Folder(_) => Durability::Fsync,
            #[cfg(feature = "remote")]
            Place::Remote(address) => address.durability(),
            #[cfg(test)]
            Place::Given(_) => Durability::Process,
        };
        Capabilities::all(durability).without(Capability::BatchCommit).limits(Limits {
            min_ttl,
            record_ids: RECORD_IDS as u64,
            message_keys: MESSAGE_KEYS as u64,
            ..Limits::DEFAULT
        })
    }

    async fn objects(&self) -> Result<(Arc<dyn Objects>, String)> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = Folder::new(folder.clone()).await?;
                let system = folder.file_system();
                Ok((Arc::new(folder), format!("file system {system}")))
            }
            #[cfg(feature = "remote")]
            Place::Remote(address) => Ok((Arc::new(address.connect().await?), address.service())),
            #[cfg(test)]
            Place::Given(objects) => Ok((objects.clone(), format!("{:p}", Arc::as_ptr(objects)))),
        }
    }

    /// The store. The first time that a process connects to a service, it tries whether conditional creates hold there,
    /// with some 20 requests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotPrepared`]: nobody has prepared the place. [`ErrorKind::Config`]: there is no such bucket, or the
    /// service does not keep conditional creates. [`ErrorKind::Denied`], [`ErrorKind::Unavailable`] and the other kinds
    /// of what it says.
    pub async fn connect(self) -> Result<S3Store> {
        let backend = self.backend();
        self.connected().await.map_err(|error| error.during(backend, Operation::Connect, None))
    }

    async fn connected(self) -> Result<S3Store> {
        let (objects, service) = self.objects().await?;
        if self.prepare || self.is_embedded() {
            self.make_ready(&*objects, service).await?;
        } else {
            match objects.get(FORMAT).await? {
                Some(bytes) => read_format(&bytes)?,
                None => return Err(self.not_ready(&*objects).await),
            }
            probe(&*objects, service, &*self.ids).await?;
        }
        Ok(S3Store::new(self, objects))
    }

    /// Makes the place ready: idempotent, and safe from any number of processes at once. The bucket must be there.
    ///
    /// # Errors
    ///
    /// As [`S3Config::connect`], but for `NotPrepared`.
    pub async fn prepare(self) -> Result<()> {
        let backend = self.backend();
        let prepared = async {
            let (objects, service) = self.objects().await?;
            self.make_ready(&*objects, service).await
        };
        prepared.await.map_err(|error: Error| error.during(backend, Operation::Prepare, None))
    }

    async fn make_ready(&self, objects: &dyn Objects, service: String) -> Result<()> {
        if let Some(bytes) = objects.get(FORMAT).await? {
            read_format(&bytes)?;
            return probe(objects, service, &*self.ids).await;
        }
        self.bucket_is_there(objects).await?;
        probe(objects, service, &*self.ids).await?;
        let token = self.ids.bits();
        let bytes = frame::encode(FORMAT, &Format { token })?;
        match create(objects, FORMAT, &bytes, token).await? {
            Created::Ours => Ok(()),
            Created::Theirs(theirs) => read_format(&theirs),
        }
    }

    /// Why there is no object `format`.
    async fn not_ready(&self, objects: &dyn Objects) -> Error {
        match self.bucket_is_there(objects).await {
            Ok(()) => Error::new(
                ErrorKind::NotPrepared,
                "the place has not been prepared: call milepost::prepare(url) once, or add prepare=1 to the URL",
            ),
            Err(error) => error,
        }
    }

    async fn bucket_is_there(&self, objects: &dyn Objects) -> Result<()> {
        let missing = "there is no such bucket, or it may not be listed: check the name, or make it first";
        match objects.list("probe/", None, 1).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(config(missing).with_source(error)),
            Err(error) => Err(error),
        }
    }
}

/// Refuses a place that a newer version has made ready.
fn read_format(bytes: &Bytes) -> Result<()> {
    match frame::decode::<Format>(FORMAT, bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Undecodable => Err(Error::new(
            ErrorKind::Newer,
            "the place was prepared by a newer version of this library; use that one",
        )
        .with_source(error)),
        Err(error) => Err(error),
    }
}
