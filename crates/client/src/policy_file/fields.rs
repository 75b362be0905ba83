//! How values of policies stand in TOML: numbers (or `0x…` where they are masks), hex, names, lists, tables.

use freehold_primitives::{Digest, PlatformFamily, Register};
use toml::{Table, Value};

use super::{ANY, PolicyFileError};

/// A value in a policy file.
pub(super) trait Field: Sized {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError>;
    fn write(&self) -> Value;
    /// What stands for a name that is not given in a record.
    fn absent() -> Option<Self> {
        None
    }
    /// Lays a value over what is there.
    fn overlay(&mut self, value: &Value, at: &str) -> Result<(), PolicyFileError> {
        *self = Self::read(value, at)?;
        Ok(())
    }
}

/// A table that is laid over defaults name by name.
pub(super) trait Section {
    fn overlay(&mut self, value: &Value, at: &str) -> Result<(), PolicyFileError>;
    fn table(&self) -> Table;
}

pub(super) fn wrong<T>(at: &str, expected: &'static str) -> Result<T, PolicyFileError> {
    Err(PolicyFileError::Value { at: at.to_owned(), expected })
}

pub(super) fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
                let number = match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    Value::String(text) => text.strip_prefix("0x").and_then(|digits| Self::from_str_radix(digits, 16).ok()),
                    _ => None,
                };
                number.map_or_else(|| wrong(at, "a number in range, or its digits in hex behind 0x"), Ok)
            }
            fn write(&self) -> Value {
                i64::try_from(*self).map_or_else(|_| Value::String(format!("{self:#x}")), Value::Integer)
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

impl Field for bool {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
        value.as_bool().map_or_else(|| wrong(at, "true or false"), Ok)
    }
    fn write(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Field for String {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
        value.as_str().map_or_else(|| wrong(at, "text"), |text| Ok(text.to_owned()))
    }
    fn write(&self) -> Value {
        Value::String(self.clone())
    }
}

impl<const N: usize> Field for [u8; N] {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
        let bytes = value.as_str().and_then(|text| hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or_else(|| wrong(at, "hex of the right length"), Ok)
    }
    fn write(&self) -> Value {
        Value::String(hex::encode(self))
    }
}

macro_rules! bytes {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
                Field::read(value, at).map(Self)
            }
            fn write(&self) -> Value {
                Field::write(&self.0)
            }
        }
    )*};
}
bytes!(Digest, Register, PlatformFamily);

impl<T: Field> Field for Option<T> {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
        if value.as_str() == Some(ANY) { Ok(None) } else { T::read(value, at).map(Some) }
    }
    fn write(&self) -> Value {
        self.as_ref().map_or_else(|| ANY.into(), T::write)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
        let Some(list) = value.as_array() else { return wrong(at, "a list") };
        list.iter().enumerate().map(|(index, item)| T::read(item, &format!("{at}[{index}]"))).collect()
    }
    fn write(&self) -> Value {
        Value::Array(self.iter().map(T::write).collect())
    }
}
