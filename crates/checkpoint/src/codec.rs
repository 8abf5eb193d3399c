//! How state becomes bytes: chosen by the program, never by what is stored.

use std::fmt;

use bytes::Bytes;
use milepost_core::{Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Encodes and decodes state.
///
/// The id stands in every envelope, so that a program with another codec gets a typed error and not nonsense. Ids below
/// 128 are Milepost's own.
pub trait Codec: fmt::Debug + Clone + Send + Sync + 'static {
    /// What the envelope says of it.
    const ID: u8;

    /// Encodes a state.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the state has no form in this codec.
    fn encode<T: Serialize>(&self, state: &T) -> Result<Bytes>;

    /// Decodes a state.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`] when the bytes are no state of this type.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T>;
}

/// The id of states that are saved as bytes.
pub(crate) const RAW: u8 = 0;

/// A compact binary form ([postcard](https://postcard.jamesmunns.com/wire-format)): small and fast, and tied to the
/// order of a type's fields. The default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compact;

/// JSON: readable, and forgiving when fields come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Json;

fn unencodable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Invalid, "the state has no form in this codec").with_source(error)
}

fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Undecodable, "the stored state is none of this type; was the type changed?")
        .with_source(error)
}

impl Codec for Compact {
    const ID: u8 = 1;

    fn encode<T: Serialize>(&self, state: &T) -> Result<Bytes> {
        postcard::to_stdvec(state).map(Bytes::from).map_err(unencodable)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        postcard::from_bytes(bytes).map_err(undecodable)
    }
}

impl Codec for Json {
    const ID: u8 = 2;

    fn encode<T: Serialize>(&self, state: &T) -> Result<Bytes> {
        serde_json::to_vec(state).map(Bytes::from).map_err(unencodable)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(undecodable)
    }
}
