//! How a host becomes known to its server.
//!
//! The token carries the fingerprint of the server's CA. The agent looks at the server's certificates
//! first, finds the CA among them by that fingerprint, and sends the secret only over a connection that this CA vouches for.
//! The key is on disk before its request is sent: an answer that is lost is asked for again with the
//! same key, and the server knows it for the same host.

use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::time::Clock;
use base::{Error, Result};
use base64::Engine as _;
use drivers::wire::{EnrolAnswer, EnrolRequest, EnrolToken, HostReport, PROTOCOL, SERVER_NAME, path};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::client::{Fixed, address, connect, post};
use crate::files;
use crate::identity::{self, Identity};

/// Enrols this host.
///
/// # Errors
/// `Conflict` where it is enrolled already, `Forbidden` where the server is not the one that the token
/// means, and whatever the server answers.
pub fn enrol(data: &Path, server: &str, token: &EnrolToken, host: HostReport) -> Result<Identity> {
    if data.join("identity.json").exists() {
        let message = "this host is enrolled already; give it another data directory, or remove identity.json";
        return Err(Error::conflict("agent.already_enrolled", message));
    }
    let (base, resolver) = address(server)?;
    let ca = pinned_ca(&resolver, token)?;
    let ca_pem = pem(&ca);
    let key_path = data.join("enrolling-key.pem");
    let key_pem = match files::read(&key_path)? {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => {
            let (key_pem, _) = identity::fresh_key(&host.hostname)?;
            files::write_private(&key_path, key_pem.as_bytes())?;
            key_pem
        }
    };
    let csr_pem = identity::request_for(&key_pem, &host.hostname)?;
    let agent = connect(resolver, &ca_pem, None)?;
    let request = EnrolRequest { protocol: PROTOCOL, secret: token.secret.clone(), csr_pem, host };
    let answer: EnrolAnswer = post(&agent, &format!("{base}{}", path::ENROL), &request)?;
    let platform = token.ca_sha256.as_str().chars().take(16).collect();
    let identity = Identity {
        server: server.to_owned(),
        host_id: answer.host_id,
        key_pem,
        certificate_pem: answer.certificate_pem,
        ca_pem: answer.ca_pem,
        platform,
        issued_at: Clock::System.now(),
        expires_at: answer.expires_at,
    };
    identity.store(data)?;
    files::remove_file(&key_path).map_err(|e| files::failed("remove", &key_path, e))?;
    Ok(identity)
}

/// The server's CA, found by its fingerprint among the certificates that the server shows.
fn pinned_ca(server: &Fixed, token: &EnrolToken) -> Result<CertificateDer<'static>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pin = Arc::new(Pin { token: token.clone(), provider: provider.clone(), found: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::bug("agent.tls_unusable", "TLS cannot be set up").because(e))?
        .dangerous()
        .with_custom_certificate_verifier(pin.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(SERVER_NAME)
        .map_err(|e| Error::bug("agent.server_name", "the server's name is malformed").because(e))?;
    let unreached = |e: std::io::Error| {
        Error::unavailable("server.unreachable", format!("the server cannot be reached: {e}")).because(e)
    };
    let mut stream = TcpStream::connect((server.host.as_str(), server.port)).map_err(unreached)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(unreached)?;
    stream.set_write_timeout(Some(Duration::from_secs(10))).map_err(unreached)?;
    let mut tls = ClientConnection::new(Arc::new(config), name)
        .map_err(|e| Error::bug("agent.tls_unusable", "TLS cannot be set up").because(e))?;
    let mut outcome = Ok(());
    while tls.is_handshaking() && outcome.is_ok() {
        outcome = tls.complete_io(&mut stream).map(drop);
    }
    let found = pin.found.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (found, outcome) {
        (Some(ca), _) => Ok(ca),
        (None, Err(e)) if e.kind() != std::io::ErrorKind::InvalidData => Err(unreached(e)),
        (None, _) => {
            let message = "the server is not the one that the token was made for; nothing was sent to it";
            Err(Error::forbidden("agent.wrong_server", message))
        }
    }
}

/// Accepts a server whose certificate leads to the CA of the token's fingerprint, and keeps that CA.
#[derive(Debug)]
struct Pin {
    token: EnrolToken,
    provider: Arc<rustls::crypto::CryptoProvider>,
    found: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_ca = |certificate: &&CertificateDer<'_>| {
            let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
            base::hex::encode(digest.as_ref()) == self.token.ca_sha256.as_str()
        };
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let ca = chain.iter().find(is_ca).ok_or_else(unknown)?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?;
        let verified = verifier.verify_server_cert(leaf, chain, name, ocsp, now)?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(ca);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// PEM as RFC 7468 wants it: 64 characters a line.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
