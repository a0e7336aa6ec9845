//! The little CBOR (RFC 8949) that authenticators write: CTAP2's canonical form, read strictly.
//!
//! Integers, byte and text strings, arrays, maps, booleans and null, each of definite length and in
//! its shortest form. Everything else is refused: an authenticator has no use for it, and somebody
//! who attacks has.

use base::{Error, Result};

/// Deepest nesting that is read.
const DEPTH_MAX: u8 = 8;
/// Most members of an array or a map.
const MEMBERS_MAX: u64 = 64;

/// A value, borrowed from what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'b> {
    Int(i64),
    Bytes(&'b [u8]),
    Text(&'b str),
    Array(Vec<Value<'b>>),
    Map(Vec<(Value<'b>, Value<'b>)>),
    Bool(bool),
    Null,
}

impl<'b> Value<'b> {
    /// What a map has under a text.
    pub(super) fn named(&self, name: &str) -> Option<&Value<'b>> {
        self.member(|key| matches!(key, Value::Text(text) if *text == name))
    }

    /// What a map has under a number.
    pub(super) fn numbered(&self, number: i64) -> Option<&Value<'b>> {
        self.member(|key| matches!(key, Value::Int(n) if *n == number))
    }

    fn member(&self, is: impl Fn(&Value<'b>) -> bool) -> Option<&Value<'b>> {
        let Value::Map(members) = self else { return None };
        members.iter().find(|(key, _)| is(key)).map(|(_, value)| value)
    }

    pub(super) fn bytes(&self) -> Option<&'b [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'b str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn damaged(why: &str) -> Error {
    Error::invalid("passkey.malformed", format!("what the authenticator sent does not read: {why}"))
}

/// Reads the first value; gives what lies behind it as well.
///
/// # Errors
/// `Invalid` (`passkey.malformed`) for anything but the canonical form.
pub(super) fn first(bytes: &[u8]) -> Result<(Value<'_>, &[u8])> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    Ok((value, reader.rest))
}

/// Reads a value behind which nothing lies.
///
/// # Errors
/// As [`first`].
pub(super) fn whole(bytes: &[u8]) -> Result<Value<'_>> {
    match first(bytes)? {
        (value, []) => Ok(value),
        _ => Err(damaged("there is something behind its end")),
    }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, number: u64) -> Result<&'b [u8]> {
        let number = usize::try_from(number).map_err(|_| damaged("it is too long"))?;
        let (taken, rest) = self.rest.split_at_checked(number).ok_or_else(|| damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The major type and its number, which must be written as short as it can be.
    fn head(&mut self) -> Result<(u8, u64)> {
        let [first] = self.take(1)? else { return Err(damaged("it ends too early")) };
        let (major, short) = (first >> 5, first & 0x1f);
        let width = match short {
            0..24 => return Ok((major, u64::from(short))),
            24..28 => 1_u64 << (short - 24),
            _ => return Err(damaged("a length is not given")),
        };
        let number = self.take(width)?.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let least = match width {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if number < least {
            return Err(damaged("a number is longer than it need be"));
        }
        Ok((major, number))
    }

    fn value(&mut self, depth: u8) -> Result<Value<'b>> {
        if depth > DEPTH_MAX {
            return Err(damaged("it is nested too deeply"));
        }
        let (major, number) = self.head()?;
        let int = |number: u64| i64::try_from(number).map_err(|_| damaged("a number is too large"));
        Ok(match major {
            0 => Value::Int(int(number)?),
            1 => Value::Int(-1 - int(number)?),
            2 => Value::Bytes(self.take(number)?),
            3 => Value::Text(std::str::from_utf8(self.take(number)?).map_err(|_| damaged("a text is not UTF-8"))?),
            4 => Value::Array((0..members(number)?).map(|_| self.value(depth + 1)).collect::<Result<_>>()?),
            5 => Value::Map(self.map(members(number)?, depth)?),
            7 if number == 20 || number == 21 => Value::Bool(number == 21),
            7 if number == 22 => Value::Null,
            _ => return Err(damaged("there is something in it that authenticators do not write")),
        })
    }

    fn map(&mut self, number: u64, depth: u8) -> Result<Vec<(Value<'b>, Value<'b>)>> {
        let mut members: Vec<(Value<'b>, Value<'b>)> = Vec::new();
        for _ in 0..number {
            let key = self.value(depth + 1)?;
            if members.iter().any(|(known, _)| *known == key) {
                return Err(damaged("a map has a key twice"));
            }
            members.push((key, self.value(depth + 1)?));
        }
        Ok(members)
    }
}

fn members(number: u64) -> Result<u64> {
    match number {
        0..=MEMBERS_MAX => Ok(number),
        _ => Err(damaged("it has too many members")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_standard_writes_is_read() {
        // From RFC 8949, appendix A.
        assert_eq!(whole(&[0x18, 0x64]).unwrap(), Value::Int(100));
        assert_eq!(whole(&[0x39, 0x03, 0xe7]).unwrap(), Value::Int(-1000));
        assert_eq!(whole(&[0x44, 1, 2, 3, 4]).unwrap(), Value::Bytes(&[1, 2, 3, 4]));
        assert_eq!(whole(&[0x62, 0xc3, 0xbc]).unwrap(), Value::Text("ü"));
        let map = [0xa2, 0x61, 0x61, 0x01, 0x61, 0x62, 0x82, 0x02, 0x03];
        let map = whole(&map).unwrap();
        assert_eq!(map.named("a").and_then(Value::int), Some(1));
        assert_eq!(map.named("b"), Some(&Value::Array(vec![Value::Int(2), Value::Int(3)])));
        assert_eq!((whole(&[0xf5]).unwrap(), whole(&[0xf6]).unwrap()), (Value::Bool(true), Value::Null));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let deep = [0x81; 40];
        for bytes in [
            &[0x18, 0x17][..],               // 23 in two bytes
            &[0x19, 0x00, 0xff],             // 255 in three
            &[0x5f, 0x41, 0x01, 0xff],       // a string of indefinite length
            &[0xbf, 0xff],                   // a map of indefinite length
            &[0xa2, 0x01, 0x02, 0x01, 0x03], // a key twice
            &[0xf9, 0x3c, 0x00],             // a floating-point number
            &[0xc0, 0x60],                   // a tag
            &[0x01, 0x01],                   // something behind its end
            &[0x62, 0xc3, 0x28],             // not UTF-8
            &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x9a, 0x00, 0x01, 0x00, 0x00],
            &deep,
            &[],
        ] {
            assert_eq!(whole(bytes).unwrap_err().code(), "passkey.malformed", "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = whole(&bytes);
        }
    }
}
