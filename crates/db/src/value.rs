//! Values on their way into and out of SQL.

use std::borrow::Cow;

use base::{Error, Result};

/// One cell: the four kinds that both engines store alike.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// BIGINT; booleans are 0 and 1, instants are microseconds.
    Int(i64),
    /// TEXT; also JSON documents and exact decimals.
    Text(Cow<'a, str>),
    /// BYTEA.
    Bytes(Cow<'a, [u8]>),
}

/// What can be handed to a statement. See [`crate::args!`].
pub trait AsValue {
    /// The cell.
    fn as_value(&self) -> Value<'_>;
}

/// What can be read out of a row.
pub trait FromValue: Sized {
    /// Reads the cell; `None` where the kind of value does not fit.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

/// Parameters for a statement: `args![id, tenant, &body]` are `$1`, `$2`, `$3`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::AsValue::as_value(&$value)),*] as &[$crate::Value<'_>] };
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl AsValue for $t {
            fn as_value(&self) -> Value<'_> { Value::Int(*self as i64) }
        }
        impl FromValue for $t {
            fn from_value(value: Value<'_>) -> Option<Self> {
                match value { Value::Int(n) => n.try_into().ok(), _ => None }
            }
        }
    )*};
}
integers!(i64, i32, u32, u16, u8);

macro_rules! ids {
    ($($t:ty),*) => {$(
        impl AsValue for $t {
            fn as_value(&self) -> Value<'_> { Value::Text(Cow::Owned(self.to_string())) }
        }
        impl FromValue for $t {
            fn from_value(value: Value<'_>) -> Option<Self> {
                match value { Value::Text(text) => text.parse().ok(), _ => None }
            }
        }
    )*};
}
ids!(base::id::TenantId, base::id::AccountId, base::id::HostId, base::id::RunId);

/// Lets further identifier types (made by `base::ids!`) go in and out of SQL.
#[macro_export]
macro_rules! id_columns {
    ($($t:ty),* $(,)?) => {$(
        impl $crate::AsValue for $t {
            fn as_value(&self) -> $crate::Value<'_> { $crate::Value::Text(std::borrow::Cow::Owned(self.to_string())) }
        }
        impl $crate::FromValue for $t {
            fn from_value(value: $crate::Value<'_>) -> Option<Self> {
                match value { $crate::Value::Text(text) => text.parse().ok(), _ => None }
            }
        }
    )*};
}

/// `u64` goes in only where it fits; larger numbers are our own mistake.
impl AsValue for u64 {
    fn as_value(&self) -> Value<'_> {
        Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}
impl FromValue for u64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(n) => n.try_into().ok(),
            _ => None,
        }
    }
}
impl AsValue for usize {
    fn as_value(&self) -> Value<'_> {
        Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}
impl AsValue for bool {
    fn as_value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}
impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(n) => Some(n != 0),
            _ => None,
        }
    }
}
impl AsValue for str {
    fn as_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}
impl AsValue for String {
    fn as_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}
impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}
impl AsValue for [u8] {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(Cow::Borrowed(self))
    }
}
impl<const N: usize> AsValue for [u8; N] {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(Cow::Borrowed(self))
    }
}
impl AsValue for Vec<u8> {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(Cow::Borrowed(self))
    }
}
impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.into_owned()),
            _ => None,
        }
    }
}
impl AsValue for base::time::Timestamp {
    fn as_value(&self) -> Value<'_> {
        Value::Int(base::time::micros(*self))
    }
}
impl FromValue for base::time::Timestamp {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(n) => base::time::from_micros(n).ok(),
            _ => None,
        }
    }
}
/// JSON is stored as text.
impl AsValue for serde_json::Value {
    fn as_value(&self) -> Value<'_> {
        Value::Text(Cow::Owned(self.to_string()))
    }
}
impl FromValue for serde_json::Value {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }
}
impl<T: AsValue + ?Sized> AsValue for &T {
    fn as_value(&self) -> Value<'_> {
        (**self).as_value()
    }
}
impl<T: AsValue> AsValue for Option<T> {
    fn as_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, AsValue::as_value)
    }
}
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}
impl AsValue for Value<'_> {
    fn as_value(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Int(n) => Value::Int(*n),
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
        }
    }
}

/// The error for a cell that is not what the code expects: a damaged row or a wrong statement.
pub(crate) fn mismatch(column: usize) -> Error {
    Error::bug("db.column", format!("column {column} does not hold what was expected"))
}

pub(crate) fn read<T: FromValue>(value: Value<'_>, column: usize) -> Result<T> {
    T::from_value(value).ok_or_else(|| mismatch(column))
}
