//! How an object is written, version 1:
//!
//! ```text
//! header   8 bytes: "TMNV", version 1, chunk size as a power of two (16), two zeros
//! chunk    65536 bytes of plain text, encrypted, and 16 bytes of tag; the last one is shorter, or empty
//! ```
//!
//! AES-256-GCM in the STREAM construction (<https://eprint.iacr.org/2015/189>): the nonce is 7 zeros, the chunk's number
//! and whether it is the last, so that no chunk can be moved, left out or cut off unseen. The zeros are safe because a
//! key encrypts one object. Header and segment id are authenticated with every chunk: no object passes for another.

use std::ops::Range;

use aead_stream::{NewStream as _, StreamBE32, StreamPrimitive as _};
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::Payload;
use temoin_core::id::SegmentId;
use zeroize::Zeroizing;

/// Plain bytes in a chunk.
pub const CHUNK: usize = 1 << 16;
/// What authentication adds to a chunk.
const TAG: usize = 16;
/// The first bytes of every object.
pub const HEADER: [u8; 8] = [b'T', b'M', b'N', b'V', 1, 16, 0, 0];

/// 256 bits that wipe themselves.
pub type Key = Zeroizing<[u8; 32]>;

/// Encrypts and decrypts the chunks of one object.
pub struct Cipher {
    stream: StreamBE32<Aes256Gcm>,
    /// Header and segment id.
    bound: [u8; 24],
}

impl Cipher {
    /// For this object.
    pub fn new(key: &Key, id: SegmentId) -> Self {
        let mut bound = [0; 24];
        bound[..8].copy_from_slice(&HEADER);
        bound[8..].copy_from_slice(id.0.as_bytes());
        let stream = StreamBE32::new((&**key).into(), &[0; 7].into());
        Self { stream, bound }
    }

    /// Encrypts a chunk; `None` where the object has more chunks than the format can number.
    pub fn seal(&self, number: u64, last: bool, plain: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: plain, aad: &self.bound };
        self.stream.encrypt(u32::try_from(number).ok()?, last, payload).ok()
    }

    /// Decrypts a chunk; `None` where it is not the one that stood here.
    pub fn open(&self, number: u64, last: bool, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: stored, aad: &self.bound };
        self.stream.decrypt(u32::try_from(number).ok()?, last, payload).ok().map(Zeroizing::new)
    }
}

/// Bytes stored for so many plain bytes; `None` where no object can be so long.
pub fn cipher_len(plain: u64) -> Option<u64> {
    let tags = chunks(plain).checked_mul(TAG as u64)?;
    plain.checked_add(tags)?.checked_add(HEADER.len() as u64)
}

/// An empty object has one chunk, an empty one.
fn chunks(plain: u64) -> u64 {
    plain.div_ceil(CHUNK as u64).max(1)
}

/// A range of plain bytes, and the stored bytes that hold it.
pub struct Span {
    wanted: Range<u64>,
    first: u64,
    last_of_object: u64,
    /// Whole chunks.
    pub stored: Range<u64>,
}

impl Span {
    /// `None` where nothing of the range is in an object of so many plain bytes.
    pub fn of(range: Range<u64>, plain: u64) -> Option<Self> {
        let wanted = range.start..range.end.min(plain);
        if wanted.is_empty() {
            return None;
        }
        let (chunk, stored_chunk) = (CHUNK as u64, (CHUNK + TAG) as u64);
        let (first, last) = (wanted.start / chunk, (wanted.end - 1) / chunk);
        let header = HEADER.len() as u64;
        let end = (header + (last + 1) * stored_chunk).min(cipher_len(plain)?);
        Some(Self {
            wanted,
            first,
            last_of_object: chunks(plain) - 1,
            stored: header + first * stored_chunk..end,
        })
    }

    /// Decrypts the stored bytes and cuts out what was wanted; `None` where a chunk does not open.
    pub fn open(&self, cipher: &Cipher, stored: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(stored.len()));
        for (chunk, number) in stored.chunks(CHUNK + TAG).zip(self.first..) {
            plain.extend_from_slice(&cipher.open(number, number == self.last_of_object, chunk)?);
        }
        let start = self.first * CHUNK as u64;
        let from = usize::try_from(self.wanted.start - start).ok()?;
        let until = usize::try_from(self.wanted.end - start).ok()?;
        plain.get(from..until).map(<[u8]>::to_vec)
    }
}
