//! How a path is written down: one line of text from which the exact path can be had back.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path below the indexed folder, as it stands in the state, in the report and in the journal.
///
/// Names of files are bytes, and JSON, a terminal and a journal of lines are text. So the parts of a path are
/// joined by `/`, and what is not plain text is escaped, without loss:
///
/// - a backslash is `\\`;
/// - a control character (a line feed, an escape) and a byte that is not UTF-8 is `\xNN`, two hex digits a byte.
///
/// Everything else stands for itself. Paths are ordered by the bytes of this text, which for all paths without
/// an escape is the byte order of the path.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(transparent)]
pub(crate) struct RelPath(String);

impl RelPath {
    /// Writes `path` down. `None` where the platform's names are not bytes and this one is not Unicode.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        let mut text = String::new();
        for part in path {
            if !text.is_empty() {
                text.push('/');
            }
            escape(bytes_of(part)?, &mut text);
        }
        Some(Self(text))
    }

    /// The written form.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path that was written down.
    pub(crate) fn to_path(&self) -> PathBuf {
        path_from(unescape(&self.0))
    }
}

fn escape(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str(r"\\"),
                c if c.is_control() => escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), text),
                c => text.push(c),
            }
        }
        escape_bytes(chunk.invalid(), text);
    }
}

fn escape_bytes(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push_str(&format!(r"\x{byte:02x}"));
    }
}

/// The inverse of [`escape`]. A text that `escape` did not write stands for itself where it makes no sense.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let hex = rest.strip_prefix('x').and_then(|rest| rest.get(..2));
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(b'\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(unix)]
fn bytes_of(part: &std::ffi::OsStr) -> Option<&[u8]> {
    Some(std::os::unix::ffi::OsStrExt::as_bytes(part))
}

#[cfg(unix)]
fn path_from(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

#[cfg(not(unix))]
fn bytes_of(part: &std::ffi::OsStr) -> Option<&[u8]> {
    part.to_str().map(str::as_bytes)
}

#[cfg(not(unix))]
fn path_from(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: impl AsRef<Path>) -> String {
        RelPath::new(path.as_ref()).unwrap().0
    }

    #[test]
    fn plain_names_stand_for_themselves() {
        assert_eq!(written("src/größe 1.rs"), "src/größe 1.rs");
    }

    #[cfg(unix)]
    #[test]
    fn any_name_is_one_line_and_comes_back() {
        use std::os::unix::ffi::OsStrExt;
        let table: [(&[u8], &str); 6] = [
            (b"a\\b", r"a\\b"),
            (b"a\\x41", r"a\\x41"),
            (b"line\nfeed/\x1b[31m", r"line\x0afeed/\x1b[31m"),
            (b"\xff\xfe.rs", r"\xff\xfe.rs"),
            ("nel\u{85}".as_bytes(), r"nel\xc2\x85"),
            (b"\\\\/\\", r"\\\\/\\"),
        ];
        for (bytes, text) in table {
            let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
            let rel = RelPath::new(path).unwrap();
            assert_eq!(rel.as_str(), text);
            assert_eq!(rel.to_path(), path);
        }
    }

    #[test]
    fn a_text_that_was_never_written_here_does_not_panic() {
        for text in [r"\", r"\x", r"\x4", r"\xzz", r"\xé", r"a\b", r"\x+1"] {
            RelPath(text.to_owned()).to_path();
        }
    }
}
