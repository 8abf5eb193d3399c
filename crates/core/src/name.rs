//! Names that users choose: validated once, at the edge, and opaque bytes from then on.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::{Error, ErrorKind};

/// What every name holds to: `1..=limit` bytes of UTF-8, any characters but NUL.
fn validate(what: &str, name: &str, limit: usize) -> Result<(), Error> {
    let problem = match name.len() {
        0 => format!("a {what} must not be empty"),
        len if len > limit => format!("a {what} has at most {limit} bytes, this one has {len}"),
        _ if name.contains('\0') => format!("a {what} must not contain a NUL byte"),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Invalid, problem))
}

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// The most bytes that such a name may have.
            pub const LIMIT: usize = $limit;

            #[doc = concat!("Checks `name` and keeps it as a ", $what, ".")]
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Invalid`] when it is empty, too long, or holds a NUL byte.
            pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
                let name = name.as_ref();
                validate($what, name, $limit)?;
                Ok(Self(name.into()))
            }

            /// Keeps a literal of the program itself.
            ///
            /// # Panics
            ///
            /// When the literal is not a valid name: a mistake in the program, found by its first test.
            pub fn from_static(name: &'static str) -> Self {
                match Self::new(name) {
                    Ok(name) => name,
                    Err(error) => panic!("{error}: {name:?}"),
                }
            }

            /// The name as it was given, byte for byte.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $Name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $Name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $Name {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $Name {
            type Error = Error;

            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl From<$Name> for String {
            fn from(name: $Name) -> Self {
                name.0.as_ref().into()
            }
        }
    };
}

name! {
    /// Names a run: 1 to 255 bytes of UTF-8, any characters but NUL.
    ///
    /// Compared byte for byte: names that differ only by case or by Unicode normal form are different runs. Adapters
    /// encode it where their backend is pickier, and never use it as a pattern.
    ///
    /// ```
    /// use milepost_core::RunId;
    ///
    /// assert_eq!(RunId::new("orders/2026 *")?.as_str(), "orders/2026 *");
    /// assert!(RunId::new("").is_err());
    /// assert!(RunId::new("x".repeat(256)).is_err());
    /// # Ok::<(), milepost_core::Error>(())
    /// ```
    ///
    /// Held by: `ids/*`, `capabilities/run-ids-are-as-long-as-declared`.
    RunId, "run id", 255
}
name! {
    /// Names a record within its run, so that appending it twice is refused ([`crate::Refusal::Duplicate`]).
    ///
    /// Held by: `commit/a-repeated-record-id-is-refused-with-the-first-cursor`, `commit/a-record-id-*`,
    /// `ids/odd-record-ids-stay-apart`.
    RecordId, "record id", 255
}
name! {
    /// Names a message within its run's inbox: the first message of a key wins.
    ///
    /// Held by: `inbox/keys-that-differ-at-all-stay-apart`, `inbox/keys-are-remembered-behind-many-others`.
    MessageKey, "message key", 255
}
name! {
    /// Says what a record or a message is, in the words of whoever wrote it; stores never interpret it.
    ///
    /// Held by: `commit/kinds-round-trip`, `ids/the-longest-names-come-back`.
    Kind, "kind", 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_their_bytes() {
        for (name, valid) in [
            ("a", true),
            (" * ?[a]{x}%_'\";--:/..//\n\u{202e}", true),
            (&"é".repeat(127), true),
            (&"é".repeat(128), false),
            ("", false),
            ("a\0b", false),
        ] {
            assert_eq!(RunId::new(name).is_ok(), valid, "{name:?}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_when_it_is_read() {
        use serde::{Deserialize, de::IntoDeserializer, de::value::Error as Plain};
        let read =
            |name: &str| Kind::deserialize(IntoDeserializer::<Plain>::into_deserializer(name.to_owned()));
        assert_eq!(read("state").unwrap(), Kind::from_static("state"));
        assert!(read("").is_err());
    }
}
