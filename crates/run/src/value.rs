//! What steps return, as it stands in the log: small values inline, large ones as blobs that the record names.

use std::fmt;

use bytes::Bytes;
use milepost_core::{Blob, Digest, Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::canonical::to_json;

/// A value in the log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stored {
    /// Here.
    Json(Box<RawValue>),
    /// In the blob of this name, as JSON.
    Blob(#[serde(serialize_with = "write_digest", deserialize_with = "read_digest")] Digest),
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Values are the user's data and do not belong into logs.
            Stored::Json(json) => write!(f, "{} B", json.get().len()),
            Stored::Blob(name) => write!(f, "blob {name}"),
        }
    }
}

pub(crate) fn write_digest<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

pub(crate) fn read_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let hex = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    hex.parse().map_err(serde::de::Error::custom)
}

/// A value on its way into the log, with the blob that carries it if it is large.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) value: Stored,
    pub(crate) blob: Option<Blob>,
}

impl Encoded {
    /// Encodes a value; one whose JSON is longer than `inline` bytes leaves the log for a blob.
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T, inline: usize) -> Result<Self> {
        Ok(Self::of_json(to_json(value)?, inline))
    }

    pub(crate) fn of_json(json: Box<RawValue>, inline: usize) -> Self {
        if json.get().len() <= inline {
            return Self { value: Stored::Json(json), blob: None };
        }
        let blob = Blob::of(Bytes::from(String::from(Box::<str>::from(json))));
        Self { value: Stored::Blob(blob.name), blob: Some(blob) }
    }
}

impl Encoded {
    /// The JSON that it stands for.
    pub(crate) fn json(&self) -> &[u8] {
        match (&self.blob, &self.value) {
            (Some(blob), _) => &blob.body,
            (None, Stored::Json(json)) => json.get().as_bytes(),
            // A value that was stored before carries no blob, and nobody asks it for its bytes.
            (None, Stored::Blob(_)) => b"",
        }
    }

    /// Splits it into what the event names and what the commit carries.
    pub(crate) fn split(self) -> (Stored, Vec<Blob>) {
        (self.value, self.blob.into_iter().collect())
    }
}

/// Decodes a value of JSON.
pub(crate) fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let type_name = std::any::type_name::<T>();
        Error::new(ErrorKind::Undecodable, format!("it is no {type_name}: {error}"))
    })
}
