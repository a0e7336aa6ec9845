//! Identifiers: a prefix that says what is meant, and a UUIDv7 (RFC 9562) in
//! Crockford's base 32, so that ids sort by the time they were made.

use std::sync::Mutex;

use crate::time::Timestamp;
use crate::{Error, Result};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;
/// The place of each letter in the alphabet, and for the others [`NO_LETTER`]: logs are read by the million.
const PLACES: [u8; 256] = {
    let mut places = [NO_LETTER; 256];
    let mut place = 0;
    while place < ALPHABET.len() {
        places[ALPHABET[place] as usize] = place as u8;
        place += 1;
    }
    places
};
const NO_LETTER: u8 = u8::MAX;

/// Writes `prefix_` and the 26 digits of `value`.
pub fn format(prefix: &str, value: u128) -> String {
    let mut out = String::with_capacity(prefix.len() + 1 + DIGITS);
    out.push_str(prefix);
    out.push('_');
    for place in (0..DIGITS).rev() {
        out.push(char::from(ALPHABET[((value >> (5 * place)) & 31) as usize]));
    }
    out
}

/// Reads what [`format`] wrote; `None` for anything else.
pub fn parse(prefix: &str, text: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    if digits.len() != DIGITS || digits[0] > b'7' {
        return None;
    }
    digits.iter().try_fold(0u128, |value, digit| match PLACES[usize::from(*digit)] {
        NO_LETTER => None,
        place => Some((value << 5) | u128::from(place)),
    })
}

/// Where fresh identifiers come from.
pub struct Ids {
    state: Mutex<State>,
}

struct State {
    millis: u64,
    counter: u128,
    seed: Option<u128>,
}

impl Default for Ids {
    fn default() -> Self {
        Ids { state: Mutex::new(State { millis: 0, counter: 0, seed: None }) }
    }
}

impl Ids {
    /// A source that always gives the same ids for the same calls, for tests.
    pub fn seeded(seed: u64) -> Self {
        Ids { state: Mutex::new(State { millis: 0, counter: 0, seed: Some(u128::from(seed)) }) }
    }

    /// The next value: time in its top 48 bits, never smaller than the one before it.
    pub fn next(&self, now: Timestamp) -> u128 {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        if millis > state.millis || state.counter == 0 {
            state.millis = state.millis.max(millis);
            state.counter = state.random() >> 1;
        } else {
            // Within one millisecond count upwards by a random stride: sorted, still not guessable.
            state.counter = state.counter.wrapping_add(1 + (state.random() >> 44)) & ((1 << 74) - 1);
        }
        let random = state.counter;
        (u128::from(state.millis) << 80) | (7 << 76) | ((random >> 62) << 64) | (2 << 62) | (random & ((1 << 62) - 1))
    }

    /// The next identifier with `prefix`.
    pub fn text(&self, prefix: &str, now: Timestamp) -> String {
        format(prefix, self.next(now))
    }
}

impl State {
    /// 74 random bits.
    fn random(&mut self) -> u128 {
        if let Some(seed) = &mut self.seed {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            return (*seed >> 20) & ((1 << 74) - 1);
        }
        u128::from_be_bytes(*uuid::Uuid::new_v4().as_bytes()) & ((1 << 74) - 1)
    }
}

/// The error for an identifier that cannot be one.
pub fn malformed(prefix: &str, text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::invalid("id.malformed", format!("`{shown}` is not an identifier of the form {prefix}_…"))
}

/// Reads an identifier with `prefix`.
///
/// # Errors
/// `Invalid` (`id.malformed`).
pub fn require(prefix: &str, text: &str) -> Result<u128> {
    parse(prefix, text).ok_or_else(|| malformed(prefix, text))
}

/// Declares identifier types: `ids! { /// A tenant. pub struct TenantId = "ten"; }`.
///
/// Each is a `Copy` newtype over the 128 bits, ordered by the time it was made,
/// shown, parsed, serialised and described in schemas as its text form.
#[macro_export]
macro_rules! ids {
    ($($(#[$doc:meta])* pub struct $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// What its text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh one.
            pub fn fresh(ids: &$crate::id::Ids, now: $crate::time::Timestamp) -> Self {
                $name(ids.next(now))
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::id::format($prefix, self.0))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::Error;
            fn from_str(text: &str) -> $crate::Result<Self> {
                $crate::id::require($prefix, text).map($name)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$"),
                })
            }
        }
    )*};
}

ids! {
    /// A node of the tenant tree: the operator, a customer, a department.
    pub struct TenantId = "ten";
    /// Somebody or something that signs in.
    pub struct AccountId = "acc";
    /// A host that runs an agent.
    pub struct HostId = "hst";
    /// One run of a flow.
    pub struct RunId = "run";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_sort_by_time() {
        let ids = Ids::default();
        let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let made: Vec<TenantId> = (0..10_000).map(|_| TenantId::fresh(&ids, now)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1] && pair[0].to_string() < pair[1].to_string()));
        assert_eq!(made[7].to_string().parse::<TenantId>().unwrap(), made[7]);
        let uuid = uuid::Uuid::from_u128(made[3].0);
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn a_wrong_prefix_length_or_letter_is_refused() {
        for text in [
            "",
            "ten_",
            "acc_01arz3ndektsv4rrffq69g5fav",
            "ten_01arz3ndektsv4rrffq69g5fau",
            "ten_81arz3ndektsv4rrffq69g5fav",
        ] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
    }
}
