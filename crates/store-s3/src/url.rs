//! Reading the URL of a place.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use milepost_core::{Error, Result};

use crate::error::config;

/// The kind of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    S3,
    Gcs,
    Azure,
    File,
}

impl Kind {
    const ALL: [(&'static str, Kind); 4] =
        [("s3", Kind::S3), ("gs", Kind::Gcs), ("az", Kind::Azure), ("file", Kind::File)];

    pub(crate) fn scheme(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(scheme, _)| scheme)
    }

    /// Whether this crate was built with what it takes.
    #[cfg(feature = "remote")]
    pub(crate) fn is_on(self) -> bool {
        match self {
            Kind::S3 => cfg!(feature = "s3"),
            Kind::Gcs => cfg!(feature = "gcs"),
            Kind::Azure => cfg!(feature = "azure"),
            Kind::File => true,
        }
    }

    pub(crate) fn is_off(self) -> Error {
        let feature = match self {
            Kind::S3 => "s3",
            Kind::Gcs => "gcs",
            Kind::Azure => "azure",
            Kind::File => "folder",
        };
        config(format!(
            "{}: needs the feature {feature:?} of the crate milepost, which is off",
            self.scheme()
        ))
    }
}

/// A URL in its parts; parameters are taken out of it one by one.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: Kind,
    authority: String,
    path: String,
    parameters: BTreeMap<String, String>,
    taken: Vec<&'static str>,
}

fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| config("a % in the URL stands before two hexadecimal digits"))?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| config("the URL does not decode to UTF-8"))
}

impl Parsed {
    pub(crate) fn of(url: &str) -> Result<Self> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let begins = || config("a URL of this store begins with s3://, gs://, az:// or file:///");
        let (scheme, rest) = base.split_once("://").ok_or_else(begins)?;
        let (_, kind) = Kind::ALL.iter().find(|(known, _)| *known == scheme).ok_or_else(begins)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| config(format!("the parameter {pair:?} has no value")))?;
            if parameters.insert(name.to_owned(), decoded(value)?).is_some() {
                return Err(config(format!("the parameter {name:?} stands in the URL twice")));
            }
        }
        Ok(Self {
            kind: *kind,
            authority: authority.to_owned(),
            path: path.to_owned(),
            parameters,
            taken: Vec::new(),
        })
    }

    /// The folder of `file:///folder`.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        if !self.authority.is_empty() || self.path.is_empty() {
            return Err(config(
                "a folder is written as file:///folder, with three slashes and its whole path",
            ));
        }
        Ok(PathBuf::from(format!("/{}", decoded(&self.path)?)))
    }

    /// The bucket and the prefix of every other URL.
    #[cfg(feature = "remote")]
    pub(crate) fn bucket(&self) -> Result<(String, String)> {
        if self.authority.is_empty() || self.authority.contains(['@', ':']) {
            return Err(config(format!(
                "a bucket is written as {0}://bucket/prefix; endpoint and keys are parameters",
                self.kind.scheme()
            )));
        }
        let prefix = self.path.trim_end_matches('/');
        if !prefix.is_empty() {
            check_prefix(prefix)?;
        }
        Ok((self.authority.clone(), prefix.to_owned()))
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Option<String> {
        self.taken.push(name);
        self.parameters.remove(name)
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("1") => Ok(Some(true)),
            Some("0") => Ok(Some(false)),
            Some(_) => Err(config(format!("{name} takes 1 or 0"))),
        }
    }

    pub(crate) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let millis = match value.strip_suffix("ms") {
            Some(millis) => millis.parse::<u64>().ok(),
            None => {
                value.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()?.checked_mul(1000))
            }
        };
        let millis = millis.filter(|millis| *millis > 0);
        millis
            .map(|millis| Some(Duration::from_millis(millis)))
            .ok_or_else(|| config(format!("{name} takes a duration such as 500ms or 5s")))
    }

    /// Refuses parameters that nobody has taken.
    pub(crate) fn nothing_left(self) -> Result<()> {
        let Some(name) = self.parameters.keys().next() else { return Ok(()) };
        let known = self.taken.join(", ");
        Err(config(format!("unknown parameter {name:?}; those of {}:// are {known}", self.kind.scheme())))
    }
}

/// Whether objects may stand below this.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    if prefix.len() <= 400 && prefix.split('/').all(plain) {
        return Ok(());
    }
    Err(config("a prefix has letters, digits, _, - and . between its slashes, and at most 400 bytes"))
}

#[cfg(test)]
mod tests {
    use milepost_core::ErrorKind;

    use super::*;
    use crate::S3Config;

    #[test]
    fn what_is_wrong_is_refused_and_told() {
        for (url, says) in [
            ("folder", "begins with s3://"),
            ("ftp://host/x", "begins with s3://"),
            ("file://folder", "three slashes"),
            ("file:///", "three slashes"),
            ("file:///a?polls=1s", "unknown parameter \"polls\"; those of file:// are prepare, poll"),
            ("file:///a?poll=fast", "poll takes a duration"),
            ("file:///a?poll=0s", "poll takes a duration"),
            ("file:///a?prepare=yes", "prepare takes 1 or 0"),
            ("file:///a?poll", "has no value"),
            ("file:///a?poll=1s&poll=2s", "twice"),
            ("file:///a?poll=%5", "two hexadecimal digits"),
        ] {
            let error = S3Config::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn a_folder_is_read_with_its_spaces() {
        let parsed = Parsed::of("file:///a%20b/c?poll=2s").unwrap();
        assert_eq!(parsed.folder().unwrap(), PathBuf::from("/a b/c"));
        assert!(check_prefix("jobs/2026_a-b.c").is_ok());
        for prefix in ["", "/a", "a//b", "a/../b", "a b", "ä"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
