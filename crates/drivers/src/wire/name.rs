//! Names that travel from the server into paths, XML and commands on a host: checked as they are read.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Declares a text newtype whose content is checked on every way in.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!("must match {}", $pattern))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

checked_text!(
    /// The name of an intent: the server's id of the resource. It becomes part of file names and of
    /// the domain's name on the host, so only letters, digits, `_` and `-` are let in.
    IntentId,
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    is_name
);

checked_text!(
    /// The name of a host task. It becomes part of file names on the host, so only letters, digits,
    /// `_` and `-` are let in.
    TaskId,
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    is_name
);

checked_text!(
    /// The name of what a machine's disks are recovered from.
    RecoveryId,
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    is_name
);

checked_text!(
    /// A SHA-256 digest as 64 lower-case hexadecimal digits.
    Sha256,
    "^[0-9a-f]{64}$",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

checked_text!(
    /// An Ethernet address of one station: lower-case hexadecimal with colons, never multicast.
    Mac,
    "^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$",
    |text| {
        let octets: Vec<&str> = text.split(':').collect();
        octets.len() == 6
            && octets.iter().all(|o| {
                o.len() == 2 && o.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
            && u8::from_str_radix(octets[0], 16).is_ok_and(|first| first & 1 == 0)
    }
);

impl Mac {
    /// The station address of a machine's interface number `at` where none was given: from QEMU's own
    /// range, always the same for the same intent.
    pub fn derived(id: &IntentId, at: usize) -> Self {
        let text = format!("{id}/{at}");
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let tail: Vec<String> = digest.as_ref().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("52:54:00:{}", tail.join(":")))
    }
}
