//! Objects of a service: S3, Google Cloud Storage, Azure.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use milepost_core::{Applied, Error, ErrorKind, Result, Timestamp};
use object_store::{
    Error as Driver, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    WriteMultipart,
    client::{HttpError, HttpErrorKind},
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path,
};

use crate::{
    create::pause,
    error::config,
    objects::{Folders, Listed, Objects, ServerTime, http::Unwell},
};

/// A body that is larger goes in pieces.
const WHOLE: usize = 5 << 20;

/// The pieces, and how many of them are under way at once.
const PIECE: usize = 5 << 20;
const PIECES: usize = 4;

/// How often a request that changes nothing when it is repeated is made at most.
const TRIES: u32 = 4;

/// The driver's two sides of a bucket.
#[derive(Clone)]
pub(crate) struct Client {
    store: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
}

impl Client {
    pub(crate) fn of<S: ObjectStore + PaginatedListStore>(built: object_store::Result<S>) -> Result<Self> {
        // Its text may show what it was given.
        let store = built.map_err(|_| {
            config("the driver does not take these settings: check the URL and the environment")
        })?;
        let store = Arc::new(store);
        Ok(Self { store: store.clone(), pages: store })
    }
}

pub(crate) struct Remote {
    client: Client,
    /// Empty, or with a slash at its end.
    prefix: String,
    time: Arc<ServerTime>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The first error of its type among an error's causes.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What the driver says, by its codes.
fn kind(error: &Driver) -> (ErrorKind, &'static str) {
    match error {
        Driver::NotFound { .. } => unwell(StatusCode::NOT_FOUND),
        Driver::PermissionDenied { .. } => unwell(StatusCode::FORBIDDEN),
        Driver::Unauthenticated { .. } => unwell(StatusCode::UNAUTHORIZED),
        Driver::NotImplemented { .. } | Driver::NotSupported { .. } => {
            (ErrorKind::Config, "the service does not know a request that this store needs")
        }
        _ => {
            if let Some(Unwell(status)) = cause::<Unwell>(error) {
                return unwell(*status);
            }
            match cause::<HttpError>(error).map(HttpError::kind) {
                Some(HttpErrorKind::Timeout) => (ErrorKind::TimedOut, "the service did not answer in time"),
                Some(_) => (
                    ErrorKind::Unavailable,
                    "the service cannot be reached: check that it is there, and the endpoint",
                ),
                None => (ErrorKind::Other, "the service reports an error"),
            }
        }
    }
}

fn unwell(status: StatusCode) -> (ErrorKind, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, "the object or its bucket is not there"),
        StatusCode::FORBIDDEN => (
            ErrorKind::Denied,
            "the service refuses the key or its rights: check those of the URL and the bucket's policy",
        ),
        StatusCode::UNAUTHORIZED => {
            (ErrorKind::Denied, "the service knows no such user: check the credentials")
        }
        StatusCode::NOT_IMPLEMENTED => {
            (ErrorKind::Config, "the service does not know a request that this store needs")
        }
        StatusCode::INSUFFICIENT_STORAGE => (ErrorKind::Full, "the service has no room left"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (ErrorKind::Busy, "the service asks to be asked less often; try again a little later")
        }
        _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            (ErrorKind::Unavailable, "the service reports an error of its own; try again a little later")
        }
        _ => (ErrorKind::Other, "the service reports an error"),
    }
}

fn from_driver(error: Driver) -> Error {
    let (kind, message) = kind(&error);
    let reached = !matches!(cause::<HttpError>(&error).map(HttpError::kind), Some(HttpErrorKind::Connect));
    let refused = matches!(kind, ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Config);
    let error = Error::new(kind, message).with_source(shown(&error));
    // What was refused, and what was never sent, has not happened.
    if refused || !reached { error.with_applied(Applied::No) } else { error }
}

/// The driver's text without what a service may repeat of a request: signatures and keys stand in the body of an answer.
fn shown(error: &Driver) -> String {
    let text = error.to_string();
    let end = text.find(['<', '{']).unwrap_or(text.len());
    text[..end].trim_end_matches([' ', ':', '-']).to_owned()
}

impl Remote {
    pub(crate) fn new(client: Client, prefix: &str, time: Arc<ServerTime>) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { client, prefix, time }
    }

    /// Of our characters none is changed.
    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    fn listed(&self, found: &ObjectMeta) -> Option<Listed> {
        let name = found.location.as_ref().strip_prefix(&self.prefix)?;
        let modified = Timestamp(found.last_modified.timestamp_micros());
        Some(Listed { name: name.to_owned(), size: found.size, modified })
    }

    /// Repeats what may be repeated while the service cannot be reached.
    async fn again<T, F>(&self, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut attempt = 0;
        loop {
            let error = match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => from_driver(error),
            };
            attempt += 1;
            if attempt == TRIES || !error.kind().is_transient() {
                return Err(error);
            }
            pause(attempt - 1, u128::from(attempt) * 377).await;
        }
    }

    async fn put_whole(&self, path: &Path, body: &Bytes) -> Result<()> {
        let put = || async {
            let options = PutOptions::from(PutMode::Overwrite);
            self.client.store.put_opts(path, PutPayload::from_bytes(body.clone()), options).await
        };
        self.again(put).await.map(drop)
    }

    async fn put_pieces(&self, path: &Path, body: Bytes) -> Result<()> {
        let upload = self.again(|| self.client.store.put_multipart(path)).await?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let mut rest = body;
        while !rest.is_empty() {
            if let Err(error) = write.wait_for_capacity(PIECES).await {
                // What was sent so far costs money until it is told to go.
                let _ = write.abort().await;
                return Err(from_driver(error));
            }
            write.put(rest.split_to(rest.len().min(PIECE)));
        }
        write.finish().await.map(drop).map_err(from_driver)
    }
}

#[async_trait]
impl Objects for Remote {
    async fn create(&self, name: &str, body: Bytes) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        match self.client.store.put_opts(&self.path(name), PutPayload::from_bytes(body), options).await {
            Ok(_) => Ok(true),
            Err(Driver::AlreadyExists { .. } | Driver::Precondition { .. } | Driver::NotModified { .. }) => {
                Ok(false)
            }
            Err(error) => Err(from_driver(error)),
        }
    }

    async fn put(&self, name: &str, body: Bytes) -> Result<()> {
        let path = self.path(name);
        if body.len() <= WHOLE {
            return self.put_whole(&path, &body).await;
        }
        let put = self.put_pieces(&path, body.clone()).await;
        if put.as_ref().is_err_and(|error| error.kind().is_transient()) {
            return self.put_pieces(&path, body).await;
        }
        put
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.path(name);
        let got = self.again(|| async { self.client.store.get(&path).await?.bytes().await }).await;
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str, until: Option<&str>, most: usize) -> Result<Vec<Listed>> {
        let path = self.path(prefix.trim_end_matches('/'));
        let list = || async {
            let mut found = Vec::new();
            let mut objects = self.client.store.list(Some(&path));
            while found.len() < most
                && let Some(object) = objects.try_next().await?
            {
                let Some(listed) = self.listed(&object) else { continue };
                if until.is_some_and(|until| *listed.name > *until) {
                    break;
                }
                found.push(listed);
            }
            Ok(found)
        };
        let mut found = self.again(list).await?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    async fn folders(&self, folder: &str, begin: &str, page: Option<String>) -> Result<Folders> {
        let prefix = format!("{}{folder}{begin}", self.prefix);
        let list = || {
            let options = PaginatedListOptions {
                delimiter: Some("/".into()),
                page_token: page.clone(),
                ..PaginatedListOptions::default()
            };
            self.client.pages.list_paginated(Some(&prefix), options)
        };
        let found = self.again(list).await?;
        let names = found.result.common_prefixes.iter().filter_map(|path| path.filename()).map(str::to_owned);
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(Folders { names, next: found.page_token })
    }

    async fn delete(&self, names: Vec<String>) -> Result<()> {
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect();
        let delete = || async {
            let each = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
            let mut gone = self.client.store.delete_stream(each);
            while let Some(one) = gone.next().await {
                match one {
                    Ok(_) | Err(Driver::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        self.again(delete).await
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.time.now())
    }

    fn behind(&self) -> Duration {
        self.time.behind()
    }
}
