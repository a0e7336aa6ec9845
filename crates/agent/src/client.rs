//! The server over HTTPS, with certificates on both sides.
//!
//! The server proves one fixed name ([`SERVER_NAME`]) whatever address it is reached at; the address
//! comes from the identity. Nothing is sent to a server that does not prove it.

use std::io::{Read as _, Write};
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base::error::Kind;
use base::time::Clock;
use base::{Error, Result, limits};
use drivers::converge::ControlPlane;
use drivers::wire::{
    ConsoleTail, FileTaken, ImageRef, IntentId, Intents, RecoveryAccess, RecoveryId, RenewAnswer, RenewRequest, Report,
    ReportAnswer, SERVER_NAME, TaskId, path,
};
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::identity::{self, Identity};

/// How long one exchange may take, beside the time the server was asked to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is read: intents of a whole host.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// The server, as this host reaches it.
pub struct Client {
    data: PathBuf,
    clock: Clock,
    state: RwLock<State>,
}

struct State {
    identity: Identity,
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// A client for an enrolled host.
    ///
    /// # Errors
    /// `Conflict` where the identity cannot be used.
    pub fn new(data: PathBuf, identity: Identity) -> Result<Self> {
        let state = RwLock::new(State::new(identity)?);
        Ok(Self { data, clock: Clock::System, state })
    }

    /// How long until the certificate should be replaced; zero: now.
    pub fn due_in(&self) -> Duration {
        let left = self.state().identity.renew_at().duration_since(self.clock.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO)
    }

    /// Replaces the certificate, with a new key.
    ///
    /// # Errors
    /// As the server answers; the old certificate stays in use.
    pub fn renew(&self) -> Result<()> {
        let mut identity = self.state().identity.clone();
        let (key_pem, csr_pem) = identity::fresh_key(&identity.host_id)?;
        let answer: RenewAnswer = self.post(path::RENEW, &RenewRequest { csr_pem })?;
        identity.key_pem = key_pem;
        identity.certificate_pem = answer.certificate_pem;
        identity.ca_pem = answer.ca_pem;
        identity.issued_at = self.clock.now();
        identity.expires_at = answer.expires_at;
        let state = State::new(identity)?;
        state.identity.store(&self.data)?;
        *self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = state;
        Ok(())
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn reach(&self) -> (ureq::Agent, String) {
        let state = self.state();
        (state.agent.clone(), state.base.clone())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (agent, base) = self.reach();
        let request = agent.get(format!("{base}{path}")).config().timeout_global(Some(PATIENCE)).build();
        read(request.call().map_err(|e| unreached(e, false))?)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl serde::Serialize) -> Result<T> {
        let (agent, base) = self.reach();
        post(&agent, &format!("{base}{path}"), body)
    }
}

impl State {
    fn new(identity: Identity) -> Result<Self> {
        let (base, resolver) = address(&identity.server)?;
        let agent = connect(resolver, &identity.ca_pem, Some((&identity.certificate_pem, &identity.key_pem)))?;
        Ok(Self { identity, agent, base })
    }
}

impl ControlPlane for Client {
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents> {
        let (agent, base) = self.reach();
        let url = format!("{base}{}?after={after}&wait={}", path::INTENTS, wait.as_secs());
        let request = agent.get(&url).config().timeout_global(Some(wait + PATIENCE)).build();
        read(request.call().map_err(|e| unreached(e, false))?)
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        self.post(path::OBSERVATIONS, report)
    }

    fn console(&self, tail: &ConsoleTail) -> Result<()> {
        let (agent, base) = self.reach();
        let request = agent.post(format!("{base}{}", path::CONSOLE)).config().timeout_global(Some(PATIENCE)).build();
        let response = request.send_json(tail).map_err(|e| unreached(e, true))?;
        if response.status().is_success() { Ok(()) } else { Err(refused(response)) }
    }

    fn access(&self, task: &TaskId) -> Result<serde_json::Value> {
        self.get(&format!("{}/{task}/access", path::TASKS))
    }

    fn hand_over(&self, task: &TaskId, file: &Path) -> Result<FileTaken> {
        let (agent, base) = self.reach();
        let file = std::fs::File::open(file).map_err(|e| crate::files::failed("read", file, e))?;
        // No limit on the whole: only on standing still.
        let request = agent.put(format!("{base}{}/{task}/file", path::TASKS)).config();
        let request = request.timeout_recv_response(Some(PATIENCE)).timeout_per_write(Some(PATIENCE)).build();
        read(request.send(file).map_err(|e| unreached(e, true))?)
    }

    fn recover(&self, machine: &IntentId, recovery: &RecoveryId, disk: &str) -> Result<RecoveryAccess> {
        self.get(&format!("{}/{recovery}/access?machine={machine}&disk={disk}", path::RECOVERIES))
    }

    fn image(&self, image: &ImageRef, offset: u64, into: &mut dyn Write) -> Result<()> {
        let (agent, base) = self.reach();
        let mut request = agent.get(format!("{base}{}/{}", path::IMAGES, image.sha256));
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        // No limit on the whole, which may take hours: only on standing still.
        let config = request.config().timeout_recv_response(Some(PATIENCE)).timeout_per_read(Some(PATIENCE));
        let response = config.build().call().map_err(|e| unreached(e, false))?;
        if !response.status().is_success() {
            return Err(refused(response));
        }
        let partial = response.status().as_u16() == 206;
        let mut body = response.into_body().into_with_config().limit(image.bytes.saturating_add(1)).reader();
        if !partial && offset > 0 {
            // The server begins again: pass over what is here already.
            let skipped = std::io::copy(&mut (&mut body).take(offset), &mut std::io::sink()).map_err(cut_off)?;
            if skipped < offset {
                return Ok(());
            }
        }
        std::io::copy(&mut body, into).map(drop).map_err(cut_off)
    }
}

fn cut_off(e: std::io::Error) -> Error {
    Error::unavailable("image.cut_off", format!("the image's download was cut off: {e}")).because(e)
}

/// Sends a body and reads the answer.
///
/// # Errors
/// As the server answers, or `Unavailable` and `Uncertain` where it does not.
pub fn post<T: DeserializeOwned>(agent: &ureq::Agent, url: &str, body: &impl serde::Serialize) -> Result<T> {
    let request = agent.post(url).config().timeout_global(Some(PATIENCE)).build();
    read(request.send_json(body).map_err(|e| unreached(e, true))?)
}

/// An HTTPS client that trusts one CA and goes to one address.
///
/// # Errors
/// `Conflict` where certificates or key cannot be read.
pub fn connect(resolver: Fixed, ca_pem: &str, own: Option<(&str, &str)>) -> Result<ureq::Agent> {
    let certificates = |pem: &str| -> Result<Vec<Certificate<'static>>> {
        let items = ureq::tls::parse_pem(pem.as_bytes()).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        });
        items.collect::<Result<_, _>>().map_err(|e| {
            Error::conflict("agent.identity_damaged", "a certificate cannot be read: enrol again").because(e)
        })
    };
    let own = match own {
        Some((certificate, key)) => {
            let key = PrivateKey::from_pem(key.as_bytes()).map_err(|e| {
                Error::conflict("agent.identity_damaged", "the key cannot be read: enrol again").because(e)
            })?;
            Some(ClientCert::new_with_certs(&certificates(certificate)?, key))
        }
        None => None,
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certificates(ca_pem)?))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_connect(Some(Duration::from_secs(10)))
        .max_idle_age(Duration::from_secs(limits::IDLE_SECONDS_MAX))
        .user_agent(concat!("yunwei-agent/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(ureq::Agent::with_parts(config, DefaultConnector::default(), resolver))
}

/// Takes `https://host:port` apart: the base of all URLs, and where it leads.
///
/// # Errors
/// `Invalid` where it is not such an address.
pub fn address(server: &str) -> Result<(String, Fixed)> {
    let malformed = || Error::invalid("agent.server_malformed", "the server is written https://HOST:PORT").at("server");
    let rest = server.strip_prefix("https://").ok_or_else(malformed)?.trim_end_matches('/');
    let (host, port) = rest.rsplit_once(':').ok_or_else(malformed)?;
    let port: u16 = port.parse().map_err(|_| malformed())?;
    if host.is_empty() || rest.contains(['/', '?', '@', ' ']) {
        return Err(malformed());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((format!("https://{SERVER_NAME}:{port}"), Fixed { host, port }))
}

/// Resolves the fixed name to the server's address, each time anew.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Resolver for Fixed {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for address in (self.host.as_str(), self.port).to_socket_addrs()?.take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

fn read<T: DeserializeOwned>(mut response: ureq::http::Response<ureq::Body>) -> Result<T> {
    if !response.status().is_success() {
        return Err(refused(response));
    }
    response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json().map_err(|e| {
        Error::unavailable("server.unreadable", format!("the server's answer cannot be read: {e}")).because(e)
    })
}

/// What a refusal means, with the server's own code where it gives one.
fn refused(mut response: ureq::http::Response<ureq::Body>) -> Error {
    #[derive(serde::Deserialize)]
    struct Said {
        code: Option<String>,
        message: Option<String>,
        reason: Option<String>,
        detail: Option<String>,
    }
    let status = response.status().as_u16();
    let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut text = String::new();
    let _ = response.body_mut().as_reader().take(16 << 10).read_to_string(&mut text);
    let said: Option<Said> = serde_json::from_str(&text).ok();
    let code = said.as_ref().and_then(|said| said.code.clone()).unwrap_or_else(|| format!("server.status_{status}"));
    let words = said.and_then(|said| said.message.or(said.reason).or(said.detail));
    let message = words.unwrap_or_else(|| format!("the server answered {status}"));
    let kind = match status {
        400 | 422 => Kind::Invalid,
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        410 | 412 => Kind::Stale,
        429 => Kind::Throttled,
        _ => Kind::Unavailable,
    };
    let error = Error::new(kind, code, message);
    match wait {
        Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
        None => error,
    }
}

/// No answer. What was sent may have arrived.
fn unreached(e: ureq::Error, changes: bool) -> Error {
    let message = format!("the server cannot be reached: {e}");
    let never_left = matches!(e, ureq::Error::ConnectionFailed | ureq::Error::HostNotFound);
    if changes && !never_left {
        Error::uncertain("server.no_answer", message).because(e)
    } else {
        Error::unavailable("server.unreachable", message).because(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_address_is_taken_apart_and_nonsense_refused() {
        let (base, fixed) = address("https://[::1]:8443/").unwrap();
        assert_eq!((base, fixed.host, fixed.port), (format!("https://{SERVER_NAME}:8443"), "::1".into(), 8443));
        for bad in
            ["http://host:1", "https://host", "host:1", "https://:1", "https://a@b:1", "https://h:1/x", "https://h:x"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
