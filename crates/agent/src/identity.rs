//! Who this host is to its server: one file, replaced as a whole, readable by its owner alone.

use std::path::Path;

use base::time::Timestamp;
use base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::files;

/// The host's identity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Where the server listens for agents, `https://host:port`.
    pub server: String,
    /// The host's id at the server.
    pub host_id: String,
    /// The private key, PEM. Made here; never leaves this file.
    pub key_pem: String,
    /// The certificate and what leads from it to the CA, PEM.
    pub certificate_pem: String,
    /// The server's CA, PEM.
    pub ca_pem: String,
    /// Names the platform: begins the fingerprint of the CA that the host was enrolled with.
    pub platform: String,
    /// When the certificate was received.
    pub issued_at: Timestamp,
    /// When it runs out.
    pub expires_at: Timestamp,
}

impl Identity {
    /// Reads the identity below `data`.
    ///
    /// # Errors
    /// `Conflict` where the host is not enrolled.
    pub fn load(data: &Path) -> Result<Self> {
        let path = data.join("identity.json");
        let bytes = files::read(&path)?.ok_or_else(|| {
            Error::conflict("agent.not_enrolled", format!("this host is not enrolled ({} is missing)", path.display()))
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::conflict("agent.identity_damaged", "identity.json is damaged: enrol again").because(e))
    }

    /// Writes the identity below `data`.
    ///
    /// # Errors
    /// Where the disk does not let it.
    pub fn store(&self, data: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::bug("agent.identity_unwritable", "the identity cannot be written").because(e))?;
        files::write_private(&data.join("identity.json"), &bytes)
    }

    /// When to ask for another certificate: after two thirds of this one's life.
    pub fn renew_at(&self) -> Timestamp {
        let life = self.expires_at.as_second().saturating_sub(self.issued_at.as_second());
        Timestamp::from_second(self.issued_at.as_second().saturating_add(life / 3 * 2)).unwrap_or(self.issued_at)
    }
}

/// A fresh key and the request for its certificate, both PEM.
///
/// # Errors
/// `Bug` where the key cannot be made.
pub fn fresh_key(name: &str) -> Result<(String, String)> {
    let key = rcgen::KeyPair::generate().map_err(unusable)?;
    let request = request(&key, name)?;
    Ok((key.serialize_pem(), request))
}

/// The request for a certificate of a key that is there.
///
/// # Errors
/// `Conflict` where the key cannot be read.
pub fn request_for(key_pem: &str, name: &str) -> Result<String> {
    request(&rcgen::KeyPair::from_pem(key_pem).map_err(unusable)?, name)
}

fn request(key: &rcgen::KeyPair, name: &str) -> Result<String> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.serialize_request(key).and_then(|request| request.pem()).map_err(unusable)
}

fn unusable(e: rcgen::Error) -> Error {
    Error::conflict("agent.key_unusable", "the host's key cannot be made or read").because(e)
}
