//! How a host becomes known, and how it stays so.

use base::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostReport;

/// A host asks to be let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrolRequest {
    /// The version of the protocol that the agent speaks.
    pub protocol: u32,
    /// The secret part of the one-time token ([`EnrolToken::secret`](super::EnrolToken)).
    pub secret: String,
    /// A certificate signing request (PKCS#10, PEM). Its subject is ignored: the server names the
    /// host. The key never leaves the host. Sending the same request with the same token again
    /// within the token's life gives the same host: the answer may have been lost.
    pub csr_pem: String,
    /// What the host is.
    pub host: HostReport,
}

/// The server lets a host in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrolAnswer {
    /// The host's id.
    pub host_id: String,
    /// The client certificate and what leads from it to the CA, PEM, leaf first.
    pub certificate_pem: String,
    /// The CA's certificate, PEM.
    pub ca_pem: String,
    /// When the certificate runs out. The agent renews it after two thirds of its life.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// A host asks for a new certificate, by means of the present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewRequest {
    /// A certificate signing request for a new key (PKCS#10, PEM).
    pub csr_pem: String,
}

/// A new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewAnswer {
    /// The client certificate and what leads from it to the CA, PEM, leaf first.
    pub certificate_pem: String,
    /// The CA's certificates, PEM: more than one while the CA is being replaced.
    pub ca_pem: String,
    /// When the certificate runs out.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}
