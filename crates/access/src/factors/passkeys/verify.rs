//! Reading and verifying what a browser says of an authenticator: W3C Web Authentication, level 3,
//! sections 7.1 and 7.2, without attestation.
//!
//! Pure functions. What is expected (challenge, relying party, public key) is given; what comes back
//! is what was shown. Not here: whose credential it is, whether its counter went on, whether the
//! challenge is still open (`super`).

use base::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use super::RelyingParty;
use super::cbor::{self, Value};

/// Algorithms that are taken, in the order in which they are asked for: ES256, EdDSA, RS256 (COSE, RFC 9053).
pub(super) const ALGORITHMS: [i64; 3] = [-7, -8, -257];

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const MAY_BE_BACKED_UP: u8 = 0x08;
const IS_BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Longest identifier of a credential, in bytes; the standard's.
pub(super) const CREDENTIAL_BYTES_MAX: usize = 1_023;
/// Longest public key, in bytes: an RSA key of 8,192 bits.
const KEY_BYTES_MAX: usize = 1_100;
/// Longest part of an answer, as it is sent.
const PART_CHARS_MAX: usize = 16 << 10;

/// What a browser gives of a new credential (`PublicKeyCredential.toJSON`).
#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    response: Attestation,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attestation {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
}

/// What a browser gives of a credential that is used.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    id: String,
    response: Assertion,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    /// Whose the authenticator says it is, where it knows that by itself.
    #[serde(default)]
    user_handle: Option<String>,
}

/// What the browser itself says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// A new credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct New {
    /// Its identifier, chosen by the authenticator.
    pub id: Vec<u8>,
    /// Its public key, as COSE writes it.
    pub key: Vec<u8>,
    /// How often it was used, where it counts.
    pub counter: u32,
}

/// What was shown by using one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// As in [`New`].
    pub counter: u32,
    /// Whether the authenticator made sure who used it: by a PIN, a finger, a face.
    pub verified: bool,
}

fn malformed(why: &str) -> Error {
    Error::invalid("passkey.malformed", format!("what the authenticator sent does not read: {why}"))
}

/// It reads, and is not what was asked for.
fn refused(why: &str) -> Error {
    Error::unauthenticated("passkey.refused", format!("this passkey's answer does not count: {why}"))
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    if text.len() > PART_CHARS_MAX {
        return Err(malformed("a part of it is too long"));
    }
    // Some libraries pad.
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| malformed("a part of it is not base64url"))
}

impl Registration {
    pub(super) fn read(text: &str) -> Result<Registration> {
        serde_json::from_str(text).map_err(|_| malformed("it is not a credential's JSON"))
    }

    /// The challenge that it says it answers.
    pub(super) fn challenge(&self) -> Result<Vec<u8>> {
        challenge(&self.response.client_data)
    }

    /// The new credential, if it was made here, now, for this relying party.
    ///
    /// # Errors
    /// `Invalid` (`passkey.malformed`), `Unauthenticated` (`passkey.refused`).
    pub(super) fn verify(&self, party: &RelyingParty, expected: &[u8]) -> Result<New> {
        check_client(&self.response.client_data, "webauthn.create", party, expected)?;
        let object = decoded(&self.response.attestation_object)?;
        let object = cbor::whole(&object)?;
        let bytes = object.named("authData").and_then(Value::bytes).ok_or_else(|| malformed("its data is missing"))?;
        let statement = object.named("attStmt").ok_or_else(|| malformed("its statement is missing"))?;
        match object.named("fmt").and_then(Value::text) {
            Some("none") if *statement == Value::Map(vec![]) => {}
            Some("none") => return Err(malformed("it says that it states nothing, and states something")),
            // A maker's statement, which nobody asked for, is not believed and does no harm.
            Some(_) => {}
            None => return Err(malformed("the form of its statement is missing")),
        }
        let data = Data::read(bytes)?;
        data.check(party)?;
        let (id, key) = data.credential.ok_or_else(|| malformed("there is no credential in it"))?;
        Key::read(&key)?;
        Ok(New { id, key, counter: data.counter })
    }
}

impl Answer {
    pub(super) fn read(text: &str) -> Result<Answer> {
        serde_json::from_str(text).map_err(|_| malformed("it is not a credential's JSON"))
    }

    pub(super) fn challenge(&self) -> Result<Vec<u8>> {
        challenge(&self.response.client_data)
    }

    /// Which credential it says was used.
    pub(super) fn credential(&self) -> Result<Vec<u8>> {
        let id = decoded(&self.id)?;
        match id.len() {
            1..=CREDENTIAL_BYTES_MAX => Ok(id),
            _ => Err(malformed("the credential's identifier is not one")),
        }
    }

    /// What was shown, if the credential with that key, of that user, was used here, now, for this
    /// relying party.
    ///
    /// # Errors
    /// `Invalid` (`passkey.malformed`), `Unauthenticated` (`passkey.refused`).
    pub(super) fn verify(&self, party: &RelyingParty, expected: &[u8], key: &[u8], user: &str) -> Result<Shown> {
        if let Some(handle) = self.response.user_handle.as_deref().filter(|handle| !handle.is_empty())
            && decoded(handle)? != user.as_bytes()
        {
            return Err(refused("it is somebody else's"));
        }
        let client = check_client(&self.response.client_data, "webauthn.get", party, expected)?;
        let mut signed = decoded(&self.response.authenticator_data)?;
        let data = Data::read(&signed)?;
        data.check(party)?;
        signed.extend_from_slice(digest(&SHA256, &client).as_ref());
        if !Key::read(key)?.verifies(&signed, &decoded(&self.response.signature)?) {
            return Err(refused("its signature is not right"));
        }
        Ok(Shown { counter: data.counter, verified: data.is(VERIFIED) })
    }
}

fn client_data(text: &str) -> Result<(Vec<u8>, ClientData)> {
    let bytes = decoded(text)?;
    let read = serde_json::from_slice(&bytes).map_err(|_| malformed("the browser's part is not JSON"))?;
    Ok((bytes, read))
}

fn challenge(text: &str) -> Result<Vec<u8>> {
    decoded(&client_data(text)?.1.challenge)
}

/// The browser's part, if it is about this ceremony, here.
fn check_client(text: &str, ceremony: &str, party: &RelyingParty, expected: &[u8]) -> Result<Vec<u8>> {
    let (bytes, client) = client_data(text)?;
    if client.r#type != ceremony {
        return Err(refused("it was made for something else"));
    }
    if decoded(&client.challenge)? != expected {
        return Err(refused("it answers another challenge"));
    }
    if client.origin != party.origin || client.cross_origin {
        return Err(refused("it was made for another site"));
    }
    Ok(bytes)
}

/// What the authenticator itself says.
#[derive(Debug)]
struct Data {
    party: [u8; 32],
    flags: u8,
    counter: u32,
    credential: Option<(Vec<u8>, Vec<u8>)>,
}

impl Data {
    fn read(bytes: &[u8]) -> Result<Data> {
        let short = || malformed("the authenticator's part ends too early");
        let (party, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let ([flags], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
        let (counter, mut rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let mut credential = None;
        if flags & HAS_CREDENTIAL != 0 {
            // The model of the authenticator, which nobody asked for.
            let (_, behind) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let (length, behind) = behind.split_first_chunk::<2>().ok_or_else(short)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if !(1..=CREDENTIAL_BYTES_MAX).contains(&length) {
                return Err(malformed("the credential's identifier is not one"));
            }
            let (id, behind) = behind.split_at_checked(length).ok_or_else(short)?;
            let (_, after) = cbor::first(behind)?;
            let key = behind.get(..behind.len() - after.len()).ok_or_else(short)?;
            if key.len() > KEY_BYTES_MAX {
                return Err(malformed("the key is too long"));
            }
            credential = Some((id.to_vec(), key.to_vec()));
            rest = after;
        }
        if flags & HAS_EXTENSIONS != 0 {
            (_, rest) = cbor::first(rest)?;
        }
        if !rest.is_empty() {
            return Err(malformed("there is something behind the authenticator's part"));
        }
        Ok(Data { party: *party, flags: *flags, counter: u32::from_be_bytes(*counter), credential })
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn check(&self, party: &RelyingParty) -> Result<()> {
        if self.party != *digest(&SHA256, party.id.as_bytes()).as_ref() {
            return Err(refused("it is a credential of another site"));
        }
        if !self.is(PRESENT) {
            return Err(refused("nobody was there to use it"));
        }
        if self.is(IS_BACKED_UP) && !self.is(MAY_BE_BACKED_UP) {
            return Err(refused("it says that what cannot be copied was copied"));
        }
        Ok(())
    }
}

/// A public key, as it was read out of COSE.
#[derive(Debug)]
enum Key<'k> {
    Es256 { x: &'k [u8], y: &'k [u8] },
    Ed25519(&'k [u8]),
    Rs256 { n: &'k [u8], e: &'k [u8] },
}

impl<'k> Key<'k> {
    fn read(bytes: &'k [u8]) -> Result<Key<'k>> {
        let unknown = || malformed("its key is of no kind that was asked for");
        let map = cbor::whole(bytes)?;
        let number = |label| map.numbered(label).and_then(Value::int);
        let part = |label| map.numbered(label).and_then(Value::bytes);
        match (number(1), number(3)) {
            (Some(2), Some(-7)) if number(-1) == Some(1) => {
                let (x, y) = (part(-2), part(-3));
                let sized = |part: Option<&'k [u8]>| part.filter(|part| part.len() == 32).ok_or_else(unknown);
                Ok(Key::Es256 { x: sized(x)?, y: sized(y)? })
            }
            (Some(1), Some(-8)) if number(-1) == Some(6) => {
                Ok(Key::Ed25519(part(-2).filter(|part| part.len() == 32).ok_or_else(unknown)?))
            }
            (Some(3), Some(-257)) => {
                Ok(Key::Rs256 { n: part(-1).ok_or_else(unknown)?, e: part(-2).ok_or_else(unknown)? })
            }
            _ => Err(unknown()),
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Es256 { x, y } => {
                let point = [&[0x04][..], x, y].concat();
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point);
                key.verify(message, signature).is_ok()
            }
            Key::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).is_ok(),
            Key::Rs256 { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}
