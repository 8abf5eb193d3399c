//! Phase two, one file of it: what its content is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::state::{Digest, Digested, Text};

/// How much of a file is in memory at a time.
const CHUNK: usize = 64 * 1024;

/// A file with a NUL byte in this many first bytes is binary. Git decides it this way, so it is what one expects.
const PROBE: usize = 8 * 1024;

/// Reads the file at `path` to its end, in memory that does not grow with it.
///
/// `read` hears the length of each chunk and answers whether to go on; `Ok(None)` if it said no.
///
/// # Errors
///
/// Whatever the system says: it has vanished since the scan, it may not be read, the disk is broken.
pub(crate) fn digest(path: &Path, read: impl FnMut(u64) -> bool) -> io::Result<Option<Digested>> {
    digest_from(File::open(path)?, read)
}

fn digest_from(mut source: impl Read, mut read: impl FnMut(u64) -> bool) -> io::Result<Option<Digested>> {
    let mut hasher = blake3::Hasher::new();
    let mut counter = Counter::default();
    let mut bytes = 0;
    let mut buffer = vec![0; CHUNK];
    let mut binary = false;
    loop {
        let filled = fill(&mut source, &mut buffer)?;
        let chunk = &buffer[..filled];
        if bytes == 0 {
            binary = chunk[..filled.min(PROBE)].contains(&0);
        }
        bytes += filled as u64;
        hasher.update(chunk);
        if !binary {
            counter.count(chunk);
        }
        if !read(filled as u64) {
            return Ok(None);
        }
        if filled < CHUNK {
            let text = (!binary).then(|| counter.finish());
            return Ok(Some(Digested { digest: Digest(*hasher.finalize().as_bytes()), bytes, text }));
        }
    }
}

/// Reads until the buffer is full or the file ends: what is binary must not hang on how the reads are cut.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Counts lines and words over chunks that are cut anywhere.
///
/// A line ends with a line feed; a last line without one counts, as in an editor. A word is a run of bytes that are
/// not white space of ASCII.
#[derive(Default)]
struct Counter {
    lines: u64,
    words: u64,
    in_word: bool,
    in_line: bool,
}

impl Counter {
    fn count(&mut self, chunk: &[u8]) {
        for byte in chunk {
            // `is_ascii_whitespace` leaves the vertical tab out, which `wc` and C take for white space.
            let in_word = !(byte.is_ascii_whitespace() || *byte == 0x0b);
            self.words += u64::from(in_word && !self.in_word);
            self.lines += u64::from(*byte == b'\n');
            self.in_word = in_word;
        }
        if let Some(last) = chunk.last() {
            self.in_line = *last != b'\n';
        }
    }

    fn finish(&self) -> Text {
        Text { lines: self.lines + u64::from(self.in_line), words: self.words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives one byte at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (take, rest) = self.0.split_at(self.0.len().min(1));
            buffer[..take.len()].copy_from_slice(take);
            self.0 = rest;
            Ok(take.len())
        }
    }

    fn of(content: &[u8]) -> Digested {
        digest_from(content, |_| true).unwrap().unwrap()
    }

    #[test]
    fn lines_and_words_are_counted_as_an_editor_does() {
        let table: [(&str, u64, u64); 9] = [
            ("", 0, 0),
            ("\n", 1, 0),
            ("one", 1, 1),
            ("one\n", 1, 1),
            ("one\ntwo", 2, 2),
            ("\n\n", 2, 0),
            ("  a\tb \r\n c\x0bd ", 2, 4),
            ("größe über alles", 1, 3),
            ("fn main() {}\n", 1, 3),
        ];
        for (content, lines, words) in table {
            assert_eq!(of(content.as_bytes()).text, Some(Text { lines, words }), "{content:?}");
        }
    }

    #[test]
    fn the_digest_is_blake3_and_chunks_do_not_show() {
        let content = "some words \n".repeat(30_000).into_bytes();
        let whole = of(&content);
        assert_eq!(whole.digest.0, *blake3::hash(&content).as_bytes());
        assert_eq!(whole.bytes, 360_000);
        assert_eq!(whole.text, Some(Text { lines: 30_000, words: 60_000 }));
        assert_eq!(digest_from(Dribble(&content), |_| true).unwrap(), Some(whole));
    }

    #[test]
    fn a_nul_byte_near_the_start_makes_it_binary() {
        let with_nul_at = |at: usize| {
            let mut content = vec![b'a'; 200_000];
            content[at] = 0;
            of(&content).text.is_none()
        };
        assert_eq!([0, PROBE - 1, PROBE, 150_000].map(with_nul_at), [true, true, false, false]);
    }

    #[test]
    fn a_big_file_can_be_left_in_the_middle() {
        let mut chunks = 0;
        let stopped = digest_from(io::repeat(b'a'), |_| {
            chunks += 1;
            chunks < 3
        });
        assert_eq!((stopped.unwrap(), chunks), (None, 3));
    }

    #[test]
    fn what_has_vanished_or_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(digest(folder.path(), |_| true).is_err());
        let error = digest(&folder.path().join("gone"), |_| true).unwrap_err();
        assert_eq!(crate::scan::reason(&error), "vanished while the job ran");
    }
}
