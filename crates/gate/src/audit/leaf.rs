//! Leaves: the canonical bytes of an entry, and the commitment to its personal data.

use base::{Error, Result, hex};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::sha256;

/// What an entry says, exactly as it goes into the tree: this struct as compact
/// JSON in this order of members. Version 1 of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leaf {
    /// Version of the format: 1.
    pub v: u32,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// In which tenant they acted.
    pub tenant: String,
    /// Whose the object is.
    pub object_tenant: String,
    /// What they did.
    pub action: String,
    /// Kind of the object; empty where nothing was touched.
    pub object_kind: String,
    /// Which object.
    pub object_id: String,
    /// The object's revision.
    pub revision: i64,
    /// `done`, or `refused:` and the error's code.
    pub outcome: String,
    /// Session or token; empty where there was none.
    pub session: String,
    /// How the account had shown who it is: `password`, `password+code`, `provider`, `token` …; empty for those who are no account.
    pub strength: String,
    /// The request's identifier.
    pub request: String,
    /// SHA-256 of the input as JSON, in hexadecimal.
    pub input: String,
    /// Salted commitment to the personal data, in hexadecimal; empty where there was none.
    pub private: String,
}

impl Leaf {
    /// The bytes that are hashed.
    ///
    /// # Errors
    /// Never in practice: all members are text and numbers.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::bug("audit.leaf", "a leaf cannot be written as JSON").because(e))
    }
}

/// Personal data of an entry, kept beside the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Private {
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Private {
    pub(super) fn is_empty(&self) -> bool {
        self.address.is_none() && self.reason.is_empty()
    }

    pub(super) fn text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::bug("audit.private", "personal data cannot be written as JSON").because(e))
    }
}

/// 32 random bytes: without them the erased text could be found again by guessing.
pub(super) fn salt() -> Result<[u8; 32]> {
    let mut salt = [0; 32];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| Error::unavailable("random.absent", "the system gives no random numbers"))?;
    Ok(salt)
}

/// SHA-256(salt ‖ text).
pub(super) fn commitment(salt: &[u8], body: &str) -> [u8; 32] {
    sha256(&[salt, body.as_bytes()].concat())
}

pub(super) fn hexed(bytes: Option<&[u8]>) -> String {
    bytes.map(hex::encode).unwrap_or_default()
}
