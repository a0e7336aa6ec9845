//! Secrets on their way in and out: drawn here, shown once, kept as a hash.

use base::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// A secret that somebody sent us: a password, the token of a link.
///
/// It is never written out again: it serialises, and shows itself in logs, as
/// `***`, so that neither the audit log's hash of an input nor a stored request
/// can be used to guess it.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps what was sent.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("***")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "password", "maxLength": 1024 })
    }
}

/// What a fresh secret begins with, so that people and scanners recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Token,
    Session,
    SignIn,
    Link,
    /// A sign-in that is at an identity provider.
    AtProvider,
    /// The same for somebody who is to show anew there who they are.
    Anew,
    /// An account that is being connected with an identity provider.
    Connecting,
}

impl Of {
    fn prefix(self) -> &'static str {
        match self {
            Of::Token => "ywt_",
            Of::Session => "yws_",
            Of::SignIn => "ywi_",
            Of::Link => "ywl_",
            Of::AtProvider => "ywo_",
            Of::Anew => "ywa_",
            Of::Connecting => "ywc_",
        }
    }
}

/// 256 bits nobody can guess.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::bug("secret.random", "the system gives no random numbers"))?;
    Ok(bytes)
}

/// A fresh secret and the hash that is kept of it.
pub(crate) fn mint(of: Of) -> Result<(String, [u8; 32])> {
    let text = format!("{}{}", of.prefix(), URL_SAFE_NO_PAD.encode(random()?));
    let hash = hash(&text);
    Ok((text, hash))
}

/// Whether a text can be a secret of that sort at all; anything else is refused
/// before it costs a look-up.
pub(crate) fn looks_like(of: Of, text: &str) -> bool {
    text.strip_prefix(of.prefix()).is_some_and(|rest| {
        rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// SHA-256. Enough for secrets of 256 random bits; passwords go through Argon2.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
    out
}

/// Compares without telling by its time how much of the two agrees.
pub(crate) fn equal(one: &str, other: &str) -> bool {
    hash(one) == hash(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new("correct horse battery staple");
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()), "*** \"***\"");
    }

    #[test]
    fn minted_secrets_are_recognised_and_others_are_not() {
        let (text, kept) = mint(Of::Token).unwrap();
        assert!(looks_like(Of::Token, &text) && !looks_like(Of::Session, &text));
        assert_eq!(hash(&text), kept);
        for wrong in ["", "ywt_", "ywt_short", &format!("{text}x"), &text.replace("ywt_", "ywt_\u{e9}")] {
            assert!(!looks_like(Of::Token, wrong), "{wrong}");
        }
    }
}
