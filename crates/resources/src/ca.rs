//! Our own certificate authority: it signs the agents' entrance and the agents.
//!
//! One ECDSA P-256 key, kept in a file that only the server's user may read.
//! What a certificate says is decided and remembered in the database first
//! ([`crate::hosts::Certified`]); signing adds nothing, so that signing again
//! after a lost answer gives a certificate that says the same.
//!
//! **Invariants.** Of a request only the key is taken, and only after the
//! request proved to hold it; subject, validity and uses are ours. A host's
//! certificate cannot sign another, nor stand for a server.
//!
//! Not here: whether a certificate is still good (`door`).

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::SERVER_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey, PublicKeyData as _, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::hosts::{Certified, sha256};

const KEY_FILE: &str = "agents-ca.key";
const CERTIFICATE_FILE: &str = "agents-ca.pem";
/// The authority's own certificate is valid for ten years.
const AUTHORITY_DAYS: i64 = 3_652;
/// A certificate of the entrance is made at start and again in time.
const SERVER_DAYS: i64 = 90;

/// The authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
}

/// A certificate signing request that proved to hold its key.
pub struct Request {
    key: PublicKey,
    /// SHA-256 of the key.
    pub key_sha256: String,
}

/// A certificate for the entrance, with its key.
pub struct ServerCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// When it should be made anew.
    pub renew_at: Timestamp,
}

fn broken(e: rcgen::Error) -> Error {
    Error::bug("authority.signing", "a certificate could not be made").because(e)
}

fn days(from: Timestamp, days: i64) -> Result<Timestamp> {
    Timestamp::from_second(from.as_second() + days * 86_400)
        .map_err(|e| Error::bug("authority.validity", "a validity is out of range").because(e))
}

fn date(at: Timestamp) -> Result<time::OffsetDateTime> {
    time::OffsetDateTime::from_unix_timestamp(at.as_second())
        .map_err(|e| Error::bug("authority.validity", "a validity is out of range").because(e))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Yunwei");
    name.push(DnType::CommonName, common);
    name
}

/// Parameters that every certificate of ours has; extensions are added by the caller.
fn params(common: &str, from: Timestamp, until: Timestamp) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common);
    params.not_before = date(from)?;
    params.not_after = date(until)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn serial(bytes: &[u8]) -> SerialNumber {
    // Positive and at most 20 bytes, as RFC 5280 wants it.
    SerialNumber::from_slice(bytes)
}

impl Ca {
    /// Opens the authority in `folder`, or makes it there the first time.
    ///
    /// # Errors
    /// `Unavailable` (`authority.unusable`) where the files cannot be read or
    /// written, are not a key and its certificate, or others may read the key.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self> {
        let (key_file, certificate_file) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
        let unusable = |path: &Path| {
            let path = path.display().to_string();
            move |e: std::io::Error| {
                Error::unavailable("authority.unusable", format!("cannot use {path}: {e}")).because(e)
            }
        };
        if !key_file.exists() {
            fs::create_dir_all(folder).map_err(unusable(folder))?;
            let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(broken)?;
            let certificate = Self::self_sign(&key, now)?;
            write_private(&certificate_file, &certificate, 0o644).map_err(unusable(&certificate_file))?;
            // The key last: where it is there, the certificate is there too.
            write_private(&key_file, &key.serialize_pem(), 0o600).map_err(unusable(&key_file))?;
        }
        guard(&key_file).map_err(unusable(&key_file))?;
        let key = fs::read_to_string(&key_file).map_err(unusable(&key_file))?;
        let certificate_pem = fs::read_to_string(&certificate_file).map_err(unusable(&certificate_file))?;
        let damaged = |path: &Path, e: &dyn std::fmt::Display| {
            Error::unavailable(
                "authority.unusable",
                format!("{} is damaged ({e}); restore it from a copy", path.display()),
            )
        };
        let key = KeyPair::from_pem(&key).map_err(|e| damaged(&key_file, &e))?;
        let certificate = der(&certificate_pem).ok_or_else(|| damaged(&certificate_file, &"no certificate in it"))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|e| damaged(&certificate_file, &e))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged(&certificate_file, &"it is not of the key beside it"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| damaged(&certificate_file, &e))?;
        Ok(Ca { issuer, certificate_pem, certificate })
    }

    fn self_sign(key: &KeyPair, now: Timestamp) -> Result<String> {
        let mut params = params("Yunwei agents CA", now, days(now, AUTHORITY_DAYS)?)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number =
            Some(serial(&ring::digest::digest(&ring::digest::SHA256, key.public_key_raw()).as_ref()[..15]));
        params.use_authority_key_identifier_extension = false;
        Ok(params.self_signed(key).map_err(broken)?.pem())
    }

    /// The authority's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate's DER form: what tokens carry.
    pub fn fingerprint(&self) -> String {
        sha256(&self.certificate)
    }

    /// Reads a request and checks that it holds its key.
    ///
    /// # Errors
    /// `Invalid` (`csr.malformed`, `csr.signature`, `csr.key`).
    pub fn read_request(pem: &str) -> Result<Request> {
        let malformed = |e: &dyn std::fmt::Display| {
            Error::invalid("csr.malformed", format!("this is not a PKCS#10 request: {e}")).at("csrPem")
        };
        if pem.len() > 16 << 10 || !pem.contains("CERTIFICATE REQUEST") {
            return Err(malformed(&"too long, or another kind of document"));
        }
        let request = CertificateSigningRequestParams::from_pem(pem).map_err(|e| match e {
            rcgen::Error::InvalidCertificationRequestSignature => {
                Error::invalid("csr.signature", "the request is not signed with the key that it names").at("csrPem")
            }
            other => malformed(&other),
        })?;
        let key = request.public_key;
        let strong = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
        if !strong.contains(&key.algorithm()) {
            return Err(Error::invalid("csr.key", "the key must be ECDSA P-256, ECDSA P-384 or Ed25519").at("csrPem"));
        }
        let key_sha256 = sha256(&key.subject_public_key_info());
        Ok(Request { key, key_sha256 })
    }

    /// Signs a host's certificate, PEM.
    ///
    /// # Errors
    /// `Bug` where it cannot be made.
    pub fn sign_host(&self, request: &Request, certified: &Certified) -> Result<String> {
        let mut params = params(&certified.host.to_string(), certified.not_before, certified.not_after)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let bytes = base::hex::decode(&certified.serial)
            .ok_or_else(|| Error::bug("authority.serial", "a serial number is not hexadecimal"))?;
        params.serial_number = Some(serial(&bytes));
        Ok(params.signed_by(&request.key, &self.issuer).map_err(broken)?.pem())
    }

    /// A fresh certificate and key for the entrance.
    ///
    /// # Errors
    /// `Bug` where it cannot be made.
    pub fn server(&self, now: Timestamp) -> Result<ServerCertificate> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(broken)?;
        let from = days(now, -1)?;
        let mut params = params(SERVER_NAME, from, days(now, SERVER_DAYS)?)?;
        params.is_ca = IsCa::ExplicitNoCa;
        let dns = SERVER_NAME.try_into().map_err(broken)?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(dns)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number =
            Some(serial(&ring::digest::digest(&ring::digest::SHA256, key.public_key_raw()).as_ref()[..15]));
        let leaf = params.signed_by(&key, &self.issuer).map_err(broken)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        Ok(ServerCertificate {
            chain,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            renew_at: days(now, SERVER_DAYS * 2 / 3)?,
        })
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// The first certificate of a PEM text.
fn der(pem: &str) -> Option<CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// The leaf of a PEM chain, DER.
pub(crate) fn leaf(pem: &str) -> Result<Vec<u8>> {
    der(pem)
        .map(|leaf| leaf.to_vec())
        .ok_or_else(|| Error::bug("authority.leaf", "a certificate of ours does not read"))
}

/// Who a client certificate is of: the host in its subject and its serial
/// number. Only for certificates that the TLS layer has verified.
///
/// # Errors
/// `Unauthenticated` where it is not one of ours.
pub fn holder(certificate: &[u8]) -> Result<(base::id::HostId, String)> {
    let not_ours = || Error::unauthenticated("agent.certificate", "the client certificate does not name a host");
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| not_ours())?;
    let common = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).ok_or_else(not_ours)?;
    let host = common.parse().map_err(|_| not_ours())?;
    let bytes = parsed.raw_serial();
    let bytes = bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    let digits = base::hex::encode(bytes);
    Ok((host, format!("{digits:0>32}")))
}

fn write_private(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}

/// The key is nobody else's to read.
fn guard(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(std::io::Error::other(format!("others may read it (mode {:o}); chmod 600 it", mode & 0o777)));
    }
    Ok(())
}

/// Gives the entrance's certificate to each handshake, and makes a new one in time.
pub struct Resolver {
    ca: Arc<Ca>,
    clock: base::time::Clock,
    current: std::sync::Mutex<(Timestamp, Arc<rustls::sign::CertifiedKey>)>,
}

impl Resolver {
    /// A resolver with its first certificate.
    ///
    /// # Errors
    /// As [`Ca::server`].
    pub fn new(ca: Arc<Ca>, clock: base::time::Clock) -> Result<Self> {
        let first = Self::make(&ca, clock.now())?;
        Ok(Resolver { ca, clock, current: std::sync::Mutex::new(first) })
    }

    fn make(ca: &Ca, now: Timestamp) -> Result<(Timestamp, Arc<rustls::sign::CertifiedKey>)> {
        let made = ca.server(now)?;
        let key = rustls::crypto::ring::sign::any_supported_type(&made.key)
            .map_err(|e| Error::bug("authority.key", "a key does not load").because(e))?;
        Ok((made.renew_at, Arc::new(rustls::sign::CertifiedKey::new(made.chain, key))))
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl rustls::server::ResolvesServerCert for Resolver {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.clock.now() >= current.0 {
            match Self::make(&self.ca, self.clock.now()) {
                Ok(next) => *current = next,
                Err(e) => tracing::error!(error = ?e, "the agents' entrance could not renew its certificate"),
            }
        }
        Some(current.1.clone())
    }
}
