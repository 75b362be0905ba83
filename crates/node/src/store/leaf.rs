//! Values as the authenticated store keeps them: one length byte, then the value padded with zeros to 96 bytes.
//!
//! Invariant: a leaf has one byte form; a length above the bound or a padding byte other than zero is refused.

use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use freehold_crypto::STATE_VALUE_BYTES_MAX;

/// A value of the state tree, at most [`STATE_VALUE_BYTES_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    length: u8,
    bytes: [u8; STATE_VALUE_BYTES_MAX],
}

impl Leaf {
    /// The leaf that holds `value`; `None` when the value is too long.
    pub(super) fn new(value: &[u8]) -> Option<Self> {
        let mut bytes = [0; STATE_VALUE_BYTES_MAX];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { length: value.len() as u8, bytes })
    }

    /// The value.
    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[..self.length.into()]
    }
}

impl FixedSize for Leaf {
    const SIZE: usize = 1 + STATE_VALUE_BYTES_MAX;
}

impl Write for Leaf {
    fn write(&self, out: &mut impl BufMut) {
        out.put_u8(self.length);
        out.put_slice(&self.bytes);
    }
}

impl Read for Leaf {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let length = u8::read(input)?;
        let bytes = <[u8; STATE_VALUE_BYTES_MAX]>::read(input)?;
        if !bytes.get(length.into()..).is_some_and(|padding| padding.iter().all(|byte| *byte == 0)) {
            return Err(CodecError::Invalid("leaf", "length or padding"));
        }
        Ok(Self { length, bytes })
    }
}
