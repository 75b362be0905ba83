//! The CBOR of attestation documents (RFC 8949), strictly: shortest lengths, no tags, no floats, no indefinite strings.
//!
//! Invariant: reading never allocates more than it was given, and never recurses.

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

/// Items of a list or map: counted, or ended by a break as the Nitro hypervisor writes its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Known(usize),
    UntilBreak,
}

/// Reads from front to back; `None` for anything that is not of the asked form.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes exactly these bytes.
    pub(super) fn exactly(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    /// Major type and argument, in the shortest form.
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = self.take(1)?[0];
        let (size, least) = match first & 0x1f {
            argument @ 0..=23 => return Some((first >> 5, u64::from(argument))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return None,
        };
        let argument = self.take(size)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        (argument >= least).then_some((first >> 5, argument))
    }

    fn sized(&mut self, kind: u8) -> Option<usize> {
        let (major, argument) = self.head()?;
        (major == kind).then(|| usize::try_from(argument).ok())?
    }

    /// An unsigned integer.
    pub(super) fn unsigned(&mut self) -> Option<u64> {
        let (major, argument) = self.head()?;
        (major == 0).then_some(argument)
    }

    /// A byte string of at most `bound` bytes.
    pub(super) fn bytes(&mut self, bound: usize) -> Option<&'a [u8]> {
        let length = self.sized(BYTES)?;
        (length <= bound).then(|| self.take(length))?
    }

    /// A text of at most `bound` bytes.
    pub(super) fn text(&mut self, bound: usize) -> Option<&'a str> {
        let length = self.sized(TEXT)?;
        let text = (length <= bound).then(|| self.take(length))??;
        core::str::from_utf8(text).ok()
    }

    /// A byte string of at most `bound` bytes, or null.
    pub(super) fn bytes_or_null(&mut self, bound: usize) -> Option<Option<&'a [u8]>> {
        if self.exactly(&[NULL]).is_some() {
            return Some(None);
        }
        self.bytes(bound).map(Some)
    }

    /// The head of a list of known length, at most `bound`.
    pub(super) fn list(&mut self, bound: usize) -> Option<usize> {
        self.sized(LIST).filter(|count| *count <= bound)
    }

    /// The head of a map.
    pub(super) fn map(&mut self) -> Option<Count> {
        if self.exactly(&[MAP << 5 | 0x1f]).is_some() {
            return Some(Count::UntilBreak);
        }
        self.sized(MAP).map(Count::Known)
    }

    /// Whether the `index`th item of a map or list follows; takes the break that ends it.
    pub(super) fn has_item(&mut self, count: Count, index: usize) -> bool {
        match count {
            Count::Known(count) => index < count,
            Count::UntilBreak => self.exactly(&[BREAK]).is_none(),
        }
    }
}

/// Appends the head of a byte string in its shortest form.
pub(super) fn write_bytes_head(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=23 => out.push(BYTES << 5 | length as u8),
        24..=0xff => out.extend([BYTES << 5 | 24, length as u8]),
        _ => {
            // Documents are below 64 KiB.
            out.push(BYTES << 5 | 25);
            out.extend((length as u16).to_be_bytes());
        }
    }
}

/// SHA-256 of what a COSE signature signs.
pub(super) fn digest(signed: &[u8]) -> Digest {
    Digest(Sha256::digest(signed).into())
}

#[cfg(test)]
mod tests;
