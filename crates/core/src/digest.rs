//! Digests: BLAKE3 over bytes that both sides can compute.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// A 256-bit BLAKE3 digest. Names a blob; compares commits and manifests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads the 64 hexadecimal digits that `Display` writes.
    fn from_str(hex: &str) -> Result<Self, Error> {
        let hash = blake3::Hash::from_hex(hex)
            .map_err(|_| Error::new(ErrorKind::Invalid, "a digest is written as 64 hexadecimal digits"))?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// Digest of what a run was asked to do. Resuming a run with another one is refused.
///
/// Held by: `open/the-same-manifest-resumes`, `open/another-manifest-is-refused-*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Manifest(pub Digest);

impl Manifest {
    /// The manifest of a canonical encoding of the run's identity and input.
    pub fn of(canonical: &[u8]) -> Self {
        Self(Digest::of(canonical))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Feeds values into a hash so that no two different sequences of values give the same bytes: every part of variable
/// length goes behind its length, every choice behind a tag.
pub(crate) struct Canonical(blake3::Hasher);

impl Canonical {
    /// Starts a digest for one `purpose`, which separates it from every other use of the hash.
    pub(crate) fn new(purpose: &str) -> Self {
        let mut this = Self(blake3::Hasher::new());
        this.bytes(purpose.as_bytes());
        this
    }

    pub(crate) fn number(&mut self, number: impl Into<u128>) -> &mut Self {
        self.0.update(&number.into().to_le_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, feed: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.number(u8::from(value.is_some()));
        if let Some(value) = value {
            feed(self, value);
        }
        self
    }

    pub(crate) fn list<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut feed: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.number(values.len() as u64);
        values.for_each(|value| feed(self, value));
        self
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes() {
        let digest = Digest::of(b"milepost");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("abc".parse::<Digest>().is_err());
    }

    #[test]
    fn neighbouring_parts_do_not_run_into_each_other() {
        let of = |parts: &[&[u8]]| {
            let mut canonical = Canonical::new("test");
            for part in parts {
                canonical.bytes(part);
            }
            canonical.digest()
        };
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"", b"a"]), of(&[b"a", b""]));
    }
}
