//! Canonical CBOR, as Sapphire's clients and `SUBCALL` speak it (`spec/sapphire.md` §1; RFC 7049 §3.9).
//!
//! Read strictly: shortest lengths and integers, map keys in order (shorter first, then by bytes) and once each,
//! nothing of indefinite length, nothing left over; depth and number of items are bounded. Only what those formats use
//! is here: no floats, tags, negative numbers or `undefined`, and map keys are texts. It is no codec of our own formats.
//! Invariant: `CborValue::read(b) == Ok(v)` implies `v.to_vec() == b`.

use thiserror::Error;

/// Deepest nesting of arrays and maps.
pub const CBOR_DEPTH_MAX: usize = 16;
/// Most items in one document, those in arrays and maps counted, map keys too.
pub const CBOR_ITEMS_MAX: usize = 4_096;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// Why bytes are no canonical CBOR, or not the value that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CborError {
    /// The input ended inside an item.
    #[error("input ends inside an item")]
    Truncated,
    /// Bytes were left over behind the document.
    #[error("bytes left over after the document")]
    Trailing,
    /// An integer or a length was not in its shortest form.
    #[error("an integer or length is not in its shortest form")]
    NotShortest,
    /// An item of indefinite length.
    #[error("an item has no definite length")]
    Indefinite,
    /// Map keys out of order, or one twice.
    #[error("map keys are out of order or stand twice")]
    KeyOrder,
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// An item that these formats do not use: its first byte.
    #[error("items that begin with byte {0:#04x} are not used")]
    Unsupported(u8),
    /// Nested deeper than [`CBOR_DEPTH_MAX`].
    #[error("nested too deep")]
    TooDeep,
    /// More items than [`CBOR_ITEMS_MAX`].
    #[error("too many items")]
    TooMany,
    /// A value of another type or length than expected.
    #[error("a value has not the expected type or length")]
    Type,
    /// A field is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field that is not known.
    #[error("a field is not known")]
    UnknownField,
}

/// A value; byte strings and texts are borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CborValue<'a> {
    /// An unsigned integer.
    Unsigned(u64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text.
    Text(&'a str),
    /// An array.
    Array(Vec<Self>),
    /// A map; made by [`CborValue::map`], which keeps the order of keys.
    Map(CborMap<'a>),
    /// `false` or `true`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A map with keys in canonical order, once each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CborMap<'a>(Vec<(&'a str, CborValue<'a>)>);

impl<'a> CborValue<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    /// Any [`CborError`] but [`CborError::Type`], [`CborError::Missing`] and [`CborError::UnknownField`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, CborError> {
        let mut reader = CborReader { rest: bytes, items: 0 };
        let value = reader.value(0)?;
        if reader.rest.is_empty() { Ok(value) } else { Err(CborError::Trailing) }
    }

    /// The document.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// A map of these fields, put in order.
    ///
    /// # Panics
    /// When a key stands twice: keys are constants of the code, or come from an ordered map.
    pub fn map(fields: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by(|(a, _), (b, _)| key_order(a).cmp(&key_order(b)));
        assert!(fields.windows(2).all(|pair| pair[0].0 != pair[1].0), "a key stands in a map once");
        Self::Map(CborMap(fields))
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub const fn unsigned(&self) -> Result<u64, CborError> {
        if let Self::Unsigned(value) = self { Ok(*value) } else { Err(CborError::Type) }
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub const fn bytes(&self) -> Result<&'a [u8], CborError> {
        if let Self::Bytes(bytes) = self { Ok(*bytes) } else { Err(CborError::Type) }
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub fn array_of<const N: usize>(&self) -> Result<[u8; N], CborError> {
        self.bytes()?.try_into().map_err(|_| CborError::Type)
    }

    /// An amount: a big-endian byte string of at most 16 bytes, with or without leading zeros.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub fn amount(&self) -> Result<u128, CborError> {
        match self.bytes()? {
            bytes if bytes.len() <= 16 => Ok(bytes.iter().fold(0, |value, byte| (value << 8) | u128::from(*byte))),
            _ => Err(CborError::Type),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub const fn text(&self) -> Result<&'a str, CborError> {
        if let Self::Text(text) = self { Ok(*text) } else { Err(CborError::Type) }
    }

    /// Whether it is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The fields of a map, to be taken one by one.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub fn into_fields(self) -> Result<CborMap<'a>, CborError> {
        if let Self::Map(fields) = self { Ok(fields) } else { Err(CborError::Type) }
    }

    /// The items of an array.
    ///
    /// # Errors
    /// [`CborError::Type`].
    pub fn into_items(self) -> Result<Vec<Self>, CborError> {
        if let Self::Array(items) = self { Ok(items) } else { Err(CborError::Type) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned(value) => write_head(out, UNSIGNED, *value),
            Self::Bytes(bytes) => {
                write_head(out, BYTES, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => write_text(out, text),
            Self::Array(items) => {
                write_head(out, ARRAY, items.len() as u64);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(CborMap(fields)) => {
                write_head(out, MAP, fields.len() as u64);
                for (key, value) in fields {
                    write_text(out, key);
                    value.write(out);
                }
            }
            Self::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
            Self::Null => out.push(NULL),
        }
    }
}

impl<'a> CborMap<'a> {
    /// Takes a field that must be there.
    ///
    /// # Errors
    /// [`CborError::Missing`].
    pub fn required(&mut self, key: &'static str) -> Result<CborValue<'a>, CborError> {
        self.optional(key).ok_or(CborError::Missing(key))
    }

    /// Takes a field that may be missing.
    pub fn optional(&mut self, key: &str) -> Option<CborValue<'a>> {
        let at = self.0.iter().position(|(name, _)| *name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Checks that every field was taken.
    ///
    /// # Errors
    /// [`CborError::UnknownField`].
    pub const fn finish(&self) -> Result<(), CborError> {
        if self.0.is_empty() { Ok(()) } else { Err(CborError::UnknownField) }
    }

    /// Keys and values, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &CborValue<'a>)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }
}

/// Canonical order: shorter keys first, then by bytes.
const fn key_order(key: &str) -> (usize, &[u8]) {
    (key.len(), key.as_bytes())
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Major type and argument in the shortest form.
fn write_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xff => out.extend([major | 24, argument as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend((argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(argument.to_be_bytes());
        }
    }
}

struct CborReader<'a> {
    rest: &'a [u8],
    items: usize,
}

impl<'a> CborReader<'a> {
    fn value(&mut self, depth: usize) -> Result<CborValue<'a>, CborError> {
        self.count()?;
        let first = self.take(1)?[0];
        match first {
            FALSE => return Ok(CborValue::Bool(false)),
            TRUE => return Ok(CborValue::Bool(true)),
            NULL => return Ok(CborValue::Null),
            _ => {}
        }
        match first >> 5 {
            UNSIGNED => Ok(CborValue::Unsigned(self.argument(first)?)),
            BYTES => Ok(CborValue::Bytes(self.counted(first)?)),
            TEXT => Ok(CborValue::Text(self.text(first)?)),
            ARRAY => self.array(first, depth),
            MAP => self.map(first, depth),
            _ => Err(CborError::Unsupported(first)),
        }
    }

    fn array(&mut self, first: u8, depth: usize) -> Result<CborValue<'a>, CborError> {
        let count = self.nested(first, depth)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(CborValue::Array(items))
    }

    fn map(&mut self, first: u8, depth: usize) -> Result<CborValue<'a>, CborError> {
        let count = self.nested(first, depth)?;
        let mut fields: Vec<(&str, CborValue<'a>)> = Vec::new();
        for _ in 0..count {
            self.count()?;
            let first = self.take(1)?[0];
            if first >> 5 != TEXT {
                return Err(CborError::Unsupported(first));
            }
            let key = self.text(first)?;
            if fields.last().is_some_and(|(last, _)| key_order(last) >= key_order(key)) {
                return Err(CborError::KeyOrder);
            }
            fields.push((key, self.value(depth + 1)?));
        }
        Ok(CborValue::Map(CborMap(fields)))
    }

    /// Number of items of an array or a map; a count that the input cannot hold runs out of input, not of memory.
    fn nested(&mut self, first: u8, depth: usize) -> Result<u64, CborError> {
        if depth >= CBOR_DEPTH_MAX {
            return Err(CborError::TooDeep);
        }
        self.argument(first)
    }

    fn text(&mut self, first: u8) -> Result<&'a str, CborError> {
        core::str::from_utf8(self.counted(first)?).map_err(|_| CborError::Utf8)
    }

    fn counted(&mut self, first: u8) -> Result<&'a [u8], CborError> {
        let length = self.argument(first)?;
        self.take(usize::try_from(length).map_err(|_| CborError::Truncated)?)
    }

    fn argument(&mut self, first: u8) -> Result<u64, CborError> {
        let (width, least) = match first & 0x1f {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            31 => return Err(CborError::Indefinite),
            _ => return Err(CborError::Unsupported(first)),
        };
        let argument = self.take(width)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        if argument < least { Err(CborError::NotShortest) } else { Ok(argument) }
    }

    fn count(&mut self) -> Result<(), CborError> {
        self.items += 1;
        if self.items > CBOR_ITEMS_MAX { Err(CborError::TooMany) } else { Ok(()) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(CborError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }
}

#[cfg(test)]
mod tests;
