//! Standard Webhooks: the secret and the signature.
//! See <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use base::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::hmac;
use ring::rand::SecureRandom as _;

const PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// A fresh secret, `whsec_` and 32 random bytes in base 64.
///
/// # Errors
/// `Unavailable` where the machine has no randomness.
pub fn fresh_secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::unavailable("random.none", "the machine gives no random numbers"))?;
    Ok(format!("{PREFIX}{}", BASE64.encode(bytes)))
}

/// The value of `webhook-signature`: `v1,` and HMAC-SHA256 of `id.timestamp.body`.
///
/// # Errors
/// `Bug` where the secret is none of ours.
pub fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> Result<String> {
    let key = secret.strip_prefix(PREFIX).and_then(|text| BASE64.decode(text).ok());
    let key = key.ok_or_else(|| Error::bug("hub.secret", "a stored secret does not read"))?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", BASE64.encode(tag)))
}
