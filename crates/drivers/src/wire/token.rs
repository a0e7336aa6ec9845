//! The one-time token that lets a host in.

use std::{fmt, str::FromStr};

use super::Sha256;

/// What an operator copies to a new host: a secret for the server, and the fingerprint of the
/// server's CA for the host, so that each knows the other before any certificate exists.
///
/// Text form: `ywe1_<secret>_<fingerprint>`, the secret in letters and digits.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolToken {
    /// The secret. The server keeps only its digest.
    pub secret: String,
    /// SHA-256 of the CA certificate's DER form.
    pub ca_sha256: Sha256,
}

impl EnrolToken {
    /// The least length of a secret: 20 letters and digits carry more than 100 bits.
    pub const SECRET_LEN_MIN: usize = 20;
    /// The greatest length of a secret.
    pub const SECRET_LEN_MAX: usize = 128;
    const PREFIX: &str = "ywe1";
}

impl fmt::Display for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", Self::PREFIX, self.secret, self.ca_sha256)
    }
}

impl fmt::Debug for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_…_{}", Self::PREFIX, self.ca_sha256)
    }
}

impl FromStr for EnrolToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split('_');
        let (Some(Self::PREFIX), Some(secret), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("an enrolment token looks like ywe1_SECRET_FINGERPRINT".to_owned());
        };
        if !(Self::SECRET_LEN_MIN..=Self::SECRET_LEN_MAX).contains(&secret.len())
            || !secret.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err("the token's secret part is damaged".to_owned());
        }
        let ca_sha256 = fingerprint.parse().map_err(|_| "the token's fingerprint part is damaged".to_owned())?;
        Ok(Self { secret: secret.to_owned(), ca_sha256 })
    }
}
