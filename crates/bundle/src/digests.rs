//! SHA-256 as OCI writes it: of bytes and of files, and in text.

use std::io::{self, Read};

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// 64 lower-case hex digits, and nothing else.
pub(crate) fn parse(text: &str) -> Option<Digest> {
    let good = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 64 && text.bytes().all(good) { text.parse().ok() } else { None }
}

/// Digest of bytes.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Reads to the end, passes each piece on, and gives digest and length. It stops behind `bytes_max`: the length is then
/// above it.
pub(crate) fn copy(
    from: &mut impl Read,
    bytes_max: u64,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut length = 0u64;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut piece)?;
        length += u64::try_from(count).unwrap_or(u64::MAX);
        if count == 0 || length > bytes_max {
            return Ok((Digest(hasher.finalize().into()), length));
        }
        hasher.update(&piece[..count]);
        to(&piece[..count])?;
    }
}
