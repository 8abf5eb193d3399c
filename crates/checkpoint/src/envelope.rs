//! The envelope around every stored state.
//!
//! # The stored form, version 1
//!
//! It is kept for ever: the golden bytes in the tests hold it still.
//!
//! ```text
//! offset  bytes
//!      0      4  magic "MPST"
//!      4      1  version, 1
//!      5      1  codec of the state (0 bytes, 1 compact, 2 JSON, from 128 on the program's own)
//!      6      1  flags: 1 patch, 2 compressed (zstd); sealed (4) is reserved
//!      7      1  zero
//!      8      8  length of the decoded state, little-endian
//!     16     16  checksum of the decoded state: the first half of its BLAKE3 hash
//!     32     16  digest of the log before the record, or up to the snapshot
//!     48      …  the state, or a patch that builds it from the state before (see `delta`)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use milepost_core::{Error, ErrorKind, Result};

use crate::chain::{Chain, checksum};

const MAGIC: &[u8; 4] = b"MPST";
const VERSION: u8 = 1;
const HEADER: usize = 48;
const PATCH: u8 = 1;
const COMPRESSED: u8 = 2;

/// The fastest level that zstd's manual recommends for general use; a state is written often and read seldom.
const LEVEL: i32 = 1;

/// Below this a compression saves less than it costs.
const WORTH_COMPRESSING: usize = 512;

/// The most bytes that a decoded state may have: a corrupt length must not exhaust the memory.
pub(crate) const STATE_LIMIT: u64 = 1 << 34;

/// What stands in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) codec: u8,
    /// Of the decoded state.
    pub(crate) len: u64,
    /// Of the decoded state.
    pub(crate) checksum: [u8; 16],
    pub(crate) chain: Chain,
    /// Whether `payload` is a patch on the state before.
    pub(crate) patch: bool,
    pub(crate) payload: Bytes,
}

fn undecodable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Undecodable, message)
}

impl Envelope {
    /// The envelope of a whole state.
    pub(crate) fn whole(codec: u8, state: &Bytes, checksum: [u8; 16], chain: Chain) -> Self {
        Self { codec, len: state.len() as u64, checksum, chain, patch: false, payload: state.clone() }
    }

    /// The stored form, compressed where that makes it smaller.
    pub(crate) fn encode(&self) -> Bytes {
        let compressed = compress(&self.payload);
        let payload = compressed.as_deref().unwrap_or(&self.payload);
        let mut bytes = BytesMut::with_capacity(HEADER + payload.len());
        bytes.put_slice(MAGIC);
        bytes.put_u8(VERSION);
        bytes.put_u8(self.codec);
        bytes.put_u8(if self.patch { PATCH } else { 0 } | if compressed.is_some() { COMPRESSED } else { 0 });
        bytes.put_u8(0);
        bytes.put_u64_le(self.len);
        bytes.put_slice(&self.checksum);
        bytes.put_slice(&self.chain.0);
        bytes.put_slice(payload);
        bytes.freeze()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`]: foreign bytes, a newer version, unknown flags, a compression that does not unpack.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self> {
        let Some(header) = bytes.first_chunk::<HEADER>().filter(|header| header.starts_with(MAGIC)) else {
            return Err(undecodable("these bytes are no state that Milepost has saved"));
        };
        let [.., version, codec, flags, zero] = *header.first_chunk::<8>().expect("a header is longer");
        if version != VERSION {
            return Err(undecodable(format!(
                "the state was saved in version {version} of the format, this program knows version {VERSION}"
            )));
        }
        if flags & !(PATCH | COMPRESSED) != 0 || zero != 0 {
            return Err(undecodable("the state was saved with options that this program does not know"));
        }
        let half = |at: usize| <[u8; 16]>::try_from(&header[at..at + 16]).expect("16 bytes of the header");
        let len = u64::from_le_bytes(*header[8..].first_chunk().expect("8 bytes of the header"));
        let payload = bytes.slice(HEADER..);
        let payload = if flags & COMPRESSED == 0 { payload } else { decompress(&payload, len)? };
        let patch = flags & PATCH != 0;
        Ok(Self { codec, len, checksum: half(16), chain: Chain(half(32)), patch, payload })
    }

    /// Refuses a state that another codec has encoded.
    pub(crate) fn check_codec(&self, codec: u8) -> Result<()> {
        if self.codec == codec {
            return Ok(());
        }
        let stored = self.codec;
        Err(undecodable(format!("the state was saved by codec {stored}, this program reads codec {codec}")))
    }

    /// Refuses a decoded state that is not the one that was saved.
    pub(crate) fn verify(&self, state: &[u8]) -> Result<()> {
        if state.len() as u64 == self.len && checksum(state) == self.checksum {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "the state does not have the checksum with which it was saved"))
    }
}

fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() < WORTH_COMPRESSING {
        return None;
    }
    let compressed = zstd::bulk::compress(payload, LEVEL).ok()?;
    (compressed.len() < payload.len() - payload.len() / 16).then_some(compressed)
}

/// Unpacks a payload. A patch may be somewhat longer than the state that it builds, never by much.
fn decompress(payload: &[u8], len: u64) -> Result<Bytes> {
    let limit =
        usize::try_from(len.min(STATE_LIMIT)).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(1 << 16);
    let declared = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten();
    let capacity = declared.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= limit);
    let capacity = capacity.ok_or_else(|| undecodable("the compressed state does not say its length"))?;
    let plain = zstd::bulk::decompress(payload, capacity)
        .map_err(|error| undecodable("the compressed state does not unpack").with_source(error))?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(payload: &'static [u8], patch: bool) -> Envelope {
        let state = Bytes::from_static(b"the state");
        let whole = Envelope::whole(1, &state, checksum(&state), Chain([7; 16]));
        Envelope { patch, payload: Bytes::from_static(payload), ..whole }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn version_1_is_what_it_was() {
        let header = "4d505354 01 01 00 00 0900000000000000 08efa6b54d1ef18b38c3f7cf0fa6ab75 07070707070707070707070707070707";
        let golden = format!("{}{}", header.replace(' ', ""), hex(b"the state"));
        let stored = envelope(b"the state", false).encode();
        assert_eq!(hex(&stored), golden);
        assert_eq!(Envelope::decode(&stored).unwrap(), envelope(b"the state", false));
    }

    #[test]
    fn what_compresses_is_compressed_and_comes_back() {
        static LONG: [u8; 4096] = [b'a'; 4096];
        for patch in [false, true] {
            let plain = envelope(&LONG, patch);
            let stored = plain.encode();
            assert!(stored.len() < 200, "{}", stored.len());
            assert_eq!(Envelope::decode(&stored).unwrap(), plain);
        }
    }

    #[test]
    fn what_hardly_compresses_is_stored_as_it_is() {
        let mut noise = vec![0; 4096];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for repeated in [0, 100] {
            let payload = Bytes::from([&noise[..], &vec![b'a'; repeated]].concat());
            let plain = Envelope { payload: payload.clone(), ..envelope(b"", false) };
            let stored = plain.encode();
            assert_eq!(stored[HEADER..], payload, "{repeated} bytes repeated");
            assert_eq!(Envelope::decode(&stored).unwrap(), plain);
        }
    }

    #[test]
    fn foreign_newer_and_torn_bytes_are_told_apart_from_data() {
        let stored = envelope(b"the state", false).encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = stored.to_vec();
            bytes[at] = byte;
            Bytes::from(bytes)
        };
        for (bytes, says) in [
            (Bytes::new(), "no state"),
            (
                Bytes::from_static(b"{\"json\": true, \"and\": \"long enough to hold a whole header\"}"),
                "no state",
            ),
            (stored.slice(..HEADER - 1), "no state"),
            (with(4, 2), "version 2"),
            (with(6, 0x80), "options"),
            (with(6, 0x04), "options"),
            (with(7, 1), "options"),
            (with(6, COMPRESSED), "compressed"),
        ] {
            let error = Envelope::decode(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Undecodable);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn another_state_fails_the_checksum() {
        let envelope = envelope(b"the state", false);
        assert!(envelope.verify(b"the state").is_ok());
        assert_eq!(envelope.verify(b"the stale").unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(envelope.check_codec(2).unwrap_err().kind(), ErrorKind::Undecodable);
    }
}
