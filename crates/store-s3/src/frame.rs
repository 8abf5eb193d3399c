//! How an object's bytes are laid out: a version, a checksum, a payload.
//!
//! Byte 0 is the version of the format, bytes 1 to 16 are the checksum, the rest is the payload. The checksum covers the
//! object's name, the version and the payload, so that a flipped bit, a cut end and an object at another one's place are
//! all told. It stands at this place in every version: what is newer is told apart from what is damaged.

use bytes::Bytes;
use milepost_core::{Checksum, Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::corrupt;

/// The format that is written, and the newest that is read.
pub(crate) const VERSION: u8 = 1;

const HEADER: usize = 17;

fn checksum(name: &str, version: u8, payload: &[u8]) -> Checksum {
    Checksum::of_parts(name, &[&[version], payload])
}

/// The bytes of the object `name` that holds `payload` as it is.
pub(crate) fn wrap(name: &str, payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(VERSION);
    bytes.extend(checksum(name, VERSION, payload).0);
    bytes.extend(payload);
    bytes.into()
}

/// What the object `name` holds.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] for bytes that were not written there, [`ErrorKind::Undecodable`] for those of a newer version.
pub(crate) fn unwrap(name: &str, bytes: &Bytes) -> Result<Bytes> {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else { return Err(corrupt()) };
    let version = header[0];
    if header[1..] != checksum(name, version, payload).0 {
        return Err(corrupt());
    }
    if version != VERSION {
        return Err(Error::new(
            ErrorKind::Undecodable,
            format!("an object has format {version}, this program reads {VERSION}; use a newer one"),
        ));
    }
    Ok(bytes.slice(HEADER..))
}

/// The bytes of the object `name` that holds `value`.
pub(crate) fn encode<T: Serialize>(name: &str, value: &T) -> Result<Bytes> {
    let payload = postcard::to_stdvec(value).map_err(|error| {
        Error::new(ErrorKind::Other, "a value cannot be encoded").with_source(error.to_string())
    })?;
    Ok(wrap(name, &payload))
}

/// What was encoded into the object `name`.
///
/// # Errors
///
/// As [`unwrap`].
pub(crate) fn decode<T: DeserializeOwned>(name: &str, bytes: &Bytes) -> Result<T> {
    let payload = unwrap(name, bytes)?;
    let (value, rest) = postcard::take_from_bytes(&payload).map_err(|_| corrupt())?;
    if rest.is_empty() { Ok(value) } else { Err(corrupt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_and_a_changed_name_are_told() {
        let bytes = encode("run/a", &(1u64, "body")).unwrap();
        assert_eq!(decode::<(u64, String)>("run/a", &bytes).unwrap(), (1, "body".to_owned()));
        assert_eq!(decode::<(u64, String)>("run/b", &bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let error = decode::<(u64, String)>("run/a", &changed.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
        }
        assert_eq!(unwrap("run/a", &bytes.slice(..9)).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_newer_version_is_not_called_damage() {
        let mut newer = vec![2];
        newer.extend(checksum("run/a", 2, b"x").0);
        newer.extend(b"x");
        assert_eq!(unwrap("run/a", &newer.into()).unwrap_err().kind(), ErrorKind::Undecodable);
    }
}
