//! The canonical codec (`spec/encoding.md`): one byte string for one value.
//!
//! Fields stand in declared order; integers are big-endian with fixed width; byte strings and lists carry a `u32`
//! length; options are one byte, 0 or 1. There are no floats and no maps, and bytes left over are refused. A document
//! (a value that travels or is hashed alone) opens with a version byte; [`Canonical::to_canonical`] writes it.
//! Invariant: `from_canonical(b) == Ok(v)` implies `v.to_canonical() == b`.

use thiserror::Error;

/// Longest byte string or list that any value may carry: 4 MiB, above the payload bound of 2 MiB.
pub const LENGTH_MAX: usize = 4 * 1024 * 1024;

/// Version byte that every document opens with.
pub const VERSION: u8 = 1;

/// Why bytes are not the canonical form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ended inside a field.
    #[error("input ends inside a field")]
    Truncated,
    /// Bytes were left over behind the last field.
    #[error("bytes left over after the last field")]
    Trailing,
    /// A length is above its bound.
    #[error("a length of {length} is above the bound of {bound}")]
    TooLong {
        /// Length that was read.
        length: usize,
        /// Bound that applies.
        bound: usize,
    },
    /// The version byte is not one this code knows.
    #[error("unknown format version {0}")]
    Version(u8),
    /// A tag, option or boolean byte has no meaning.
    #[error("byte {0} is no valid tag here")]
    Tag(u8),
    /// A text field is not UTF-8.
    #[error("a text field is not UTF-8")]
    Utf8,
}

/// Reads canonical bytes from front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// A `u32` length, refused above `bound`.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], [`CodecError::TooLong`].
    pub fn length(&mut self, bound: usize) -> Result<usize, CodecError> {
        let length = u32::read(self)? as usize;
        if length > bound { Err(CodecError::TooLong { length, bound }) } else { Ok(length) }
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`CodecError::Trailing`].
    pub const fn finish(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}

/// A value with exactly one canonical byte form.
pub trait Canonical: Sized {
    /// Appends the value's fields to `out`.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads the value's fields.
    ///
    /// # Errors
    /// Any [`CodecError`] but [`CodecError::Trailing`].
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError>;

    /// The document: version byte, then the fields.
    fn to_canonical(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.write(&mut out);
        out
    }

    /// Reads a whole document.
    ///
    /// # Errors
    /// Any [`CodecError`]; leftover bytes are refused.
    fn from_canonical(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        match u8::read(&mut reader)? {
            VERSION => {}
            other => return Err(CodecError::Version(other)),
        }
        let value = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

macro_rules! canonical_integer {
    ($($type:ty),*) => {$(
        impl Canonical for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(reader.take(size_of::<$type>())?);
                Ok(Self::from_be_bytes(bytes))
            }
        }
    )*};
}
canonical_integer!(u8, u16, u32, u64, u128);

impl Canonical for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(CodecError::Tag(other)),
        }
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(reader.take(N)?);
        Ok(bytes)
    }
}

impl Canonical for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self.as_bytes());
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bytes = read_bytes(reader, LENGTH_MAX)?;
        Self::from_utf8(bytes).map_err(|_| CodecError::Utf8)
    }
}

/// A byte string: `u32` length, then the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Blob(pub Vec<u8>);

impl Canonical for Blob {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, &self.0);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        read_bytes(reader, LENGTH_MAX).map(Self)
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(out, self.len());
        for item in self {
            item.write(out);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = reader.length(LENGTH_MAX)?;
        // Every item takes a byte at least, so a hostile count runs out of input before it runs out of memory.
        let mut items = Self::new();
        for _ in 0..count {
            if reader.rest.is_empty() {
                return Err(CodecError::Truncated);
            }
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.write(out);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(if bool::read(reader)? { Some(T::read(reader)?) } else { None })
    }
}

/// Appends a `u32` length.
///
/// # Panics
/// When the length does not fit `u32`: every list of ours is bounded far below.
pub fn write_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("lists and byte strings are bounded below 2^32");
    length.write(out);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn read_bytes(reader: &mut Reader<'_>, bound: usize) -> Result<Vec<u8>, CodecError> {
    let length = reader.length(bound)?;
    Ok(reader.take(length)?.to_vec())
}

/// Declares a struct whose canonical form is its fields in order.
#[macro_export]
macro_rules! canonical_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }
        impl $crate::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::Canonical::write(&self.$field, out);)*
            }
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::CodecError> {
                Ok(Self { $($field: $crate::Canonical::read(reader)?),* })
            }
        }
    };
}

/// Declares a field-less enum whose canonical form is one tag byte.
#[macro_export]
macro_rules! canonical_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $tag:literal),* $(,)? }) => {
        $(#[$meta])*
        #[repr(u8)]
        pub enum $name { $($(#[$variant_meta])* $variant = $tag),* }
        impl $crate::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::CodecError> {
                match <u8 as $crate::Canonical>::read(reader)? {
                    $($tag => Ok(Self::$variant),)*
                    other => Err($crate::CodecError::Tag(other)),
                }
            }
        }
    };
}
