//! Reading and verifying ID tokens: OpenID Connect Core 1.0, section 3.1.3.7; RFC 7515, 7517, 7518.
//!
//! Pure functions. What is expected is given; what comes back is what the provider says of somebody. Nothing in
//! a token says how it is to be verified: the algorithms are ours ([`Algorithm`]), the keys those that the
//! provider's own document names, and a key that the token brings along or points to is not looked at.

use base::time::Timestamp;
use base::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 32 << 10;
/// How far two clocks may be apart, in seconds.
pub(super) const SKEW_SECONDS: i64 = 60;
/// How long ago a token may have been made, in seconds: it comes right after the sign-in.
const AGE_SECONDS_MAX: i64 = 600;
/// Longest name that a provider has for somebody, in bytes; the standard's.
const SUBJECT_BYTES_MAX: usize = 255;

/// The code of the refusal where no key has the identifier that a token names: there may be newer keys.
pub(super) const KEY_UNKNOWN: &str = "provider.key_unknown";

/// The signatures that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

impl Algorithm {
    fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        }
    }
}

/// The keys of a provider, as its document gives them (RFC 7517); those of other sorts are passed over.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Keys {
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

impl Key {
    /// Whether it is for signatures of that algorithm.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let sort = match algorithm {
            Algorithm::Rs256 => self.kty == "RSA",
            Algorithm::Es256 => self.kty == "EC" && self.crv == "P-256",
        };
        sort && self.r#use.as_deref().is_none_or(|one| one == "sig")
            && self.alg.as_deref().is_none_or(|one| one == algorithm.word())
    }

    fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            Algorithm::Rs256 => {
                let (Some(n), Some(e)) = (decoded(&self.n), decoded(&self.e)) else { return false };
                RsaPublicKeyComponents { n: &n, e: &e }
                    .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
                    .is_ok()
            }
            Algorithm::Es256 => {
                let (Some(x), Some(y)) = (decoded(&self.x), decoded(&self.y)) else { return false };
                if x.len() != 32 || y.len() != 32 {
                    return false;
                }
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
        }
    }
}

/// For whom, from whom and for which sign-in a token has to be.
#[derive(Debug, Clone)]
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client: &'a str,
    pub nonce: &'a str,
    pub now: Timestamp,
}

/// What a provider says of somebody.
#[derive(Debug, Clone)]
pub(crate) struct Claims(Map<String, Json>);

fn refused(why: &str) -> Error {
    Error::unauthenticated("provider.token", format!("what the identity provider sent does not count: {why}"))
}

/// Base 64 as RFC 7515 has it: no padding, no spaces, no bits left over.
fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// What whoever reads must understand; we understand nothing of the sort.
    #[serde(default)]
    crit: Option<Json>,
}

/// Verifies a token and gives what it says.
///
/// # Errors
/// `Unauthenticated`: `provider.token`, and [`KEY_UNKNOWN`] where another key may do.
pub(super) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Claims> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(refused("the token is too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { return Err(refused("it is no signed token")) };
    let header = decoded(head).and_then(|bytes| serde_json::from_slice::<Header>(&bytes).ok());
    let header = header.ok_or_else(|| refused("its header does not read"))?;
    if header.crit.is_some() {
        return Err(refused("it wants to be read in a way that is not known here"));
    }
    let algorithm =
        Algorithm::named(&header.alg).ok_or_else(|| refused("it is signed neither with RS256 nor with ES256"))?;
    let signature = decoded(signature).ok_or_else(|| refused("its signature does not read"))?;
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let key = chosen(keys, &header, algorithm)?;
    if !key.verifies(algorithm, signed.as_bytes(), &signature) {
        return Err(refused("its signature is not that of the provider"));
    }
    let claims = decoded(body).and_then(|bytes| serde_json::from_slice::<Map<String, Json>>(&bytes).ok());
    let claims = Claims(claims.ok_or_else(|| refused("its content does not read"))?);
    check(&claims, expected)?;
    Ok(claims)
}

/// The key that a token names; where it names none, the only one that fits.
fn chosen<'k>(keys: &'k Keys, header: &Header, algorithm: Algorithm) -> Result<&'k Key> {
    let mut fitting = keys.keys.iter().filter(|key| key.fits(algorithm));
    match &header.kid {
        Some(kid) => fitting.find(|key| key.kid.as_ref() == Some(kid)).ok_or_else(|| {
            Error::unauthenticated(KEY_UNKNOWN, "the identity provider's key that signed this is not among its keys")
        }),
        None => match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(refused("the provider has no key for it")),
            (Some(_), Some(_)) => Err(refused("it does not say which of the provider's keys signed it")),
        },
    }
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<()> {
    let now = expected.now.as_second();
    if claims.text("iss") != Some(expected.issuer) {
        return Err(refused("it is from another issuer"));
    }
    let audience = claims.list("aud");
    if !audience.contains(&expected.client) {
        return Err(refused("it is for another client"));
    }
    let party = claims.0.get("azp");
    if party.is_some_and(|party| party.as_str() != Some(expected.client)) || (audience.len() > 1 && party.is_none()) {
        return Err(refused("it was given to another client"));
    }
    let ends = claims.number("exp").ok_or_else(|| refused("it does not say when it ends"))?;
    if now >= ends.saturating_add(SKEW_SECONDS) {
        return Err(refused("it has ended"));
    }
    let made = claims.number("iat").ok_or_else(|| refused("it does not say when it was made"))?;
    if made > now.saturating_add(SKEW_SECONDS) {
        return Err(refused("it was made in the future; the clocks differ"));
    }
    if now.saturating_sub(made) > AGE_SECONDS_MAX {
        return Err(refused("it was made too long ago"));
    }
    if claims.0.contains_key("nbf")
        && claims.number("nbf").is_none_or(|begins| begins > now.saturating_add(SKEW_SECONDS))
    {
        return Err(refused("it does not count yet"));
    }
    if claims.text("nonce") != Some(expected.nonce) {
        return Err(refused("it was made for another sign-in"));
    }
    let subject = claims.text("sub").unwrap_or_default();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
        return Err(refused("it does not say of whom it speaks"));
    }
    Ok(())
}

impl Claims {
    /// The provider's own name for them.
    pub(crate) fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Json::as_str)
    }

    /// A whole number; providers write times with a fraction, too.
    fn number(&self, claim: &str) -> Option<i64> {
        let value = self.0.get(claim)?;
        value.as_i64().or_else(|| value.to_string().split('.').next()?.parse().ok())
    }

    /// A list of texts, or one text as a list of one.
    pub(crate) fn list(&self, claim: &str) -> Vec<&str> {
        match self.0.get(claim) {
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The mail address, where the provider says that it is theirs.
    pub(crate) fn verified_email(&self) -> Option<&str> {
        let verified = matches!(self.0.get("email_verified"), Some(Json::Bool(true)))
            || self.text("email_verified") == Some("true");
        self.text("email").filter(|_| verified)
    }

    /// Whether the token leaves out what may be said at the UserInfo endpoint alone.
    pub(super) fn lacks(&self, groups: &str) -> bool {
        let without = |claim: &str| !claim.is_empty() && !self.0.contains_key(claim);
        ["email", "email_verified", groups].into_iter().any(without)
    }

    /// With what the UserInfo endpoint says, where the token says nothing: the token is signed. A mail address and
    /// whether it is verified belong together.
    ///
    /// # Errors
    /// `Unauthenticated` (`provider.token`) where that is about somebody else (OpenID Connect Core 1.0, section 5.3.2).
    pub(super) fn completed(mut self, more: Map<String, Json>, groups: &str) -> Result<Claims> {
        if more.get("sub").and_then(Json::as_str) != Some(self.subject()) {
            return Err(refused("what it says of somebody is about somebody else"));
        }
        let same_address = self.0.get("email").is_none_or(|email| more.get("email") == Some(email));
        let wanted = |claim: &str| match claim {
            "email" | "email_verified" => same_address,
            claim => claim == "name" || (claim == groups && !groups.is_empty()),
        };
        for (claim, value) in more.into_iter().filter(|(claim, _)| wanted(claim)) {
            self.0.entry(claim).or_insert(value);
        }
        Ok(self)
    }

    /// When they last showed there who they are.
    pub(crate) fn shown_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.number("auth_time")?).ok()
    }
}

#[cfg(test)]
impl Claims {
    pub(crate) fn made(json: Json) -> Claims {
        Claims(json.as_object().cloned().unwrap_or_default())
    }
}
