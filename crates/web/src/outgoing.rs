//! Requests that go out to addresses which others chose: webhooks, identity providers.
//!
//! Such an address is looked at as an attacker's ([`crate::hub::address`]): nothing goes to loopback or private
//! addresses unless the operator allows it, names are resolved once, and the connection is made to the very
//! addresses that were checked. No redirects, no proxy; time and size have limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use base::{Error, Kind, Result, limits};
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::hub::address;

/// Who sends such requests. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    private: bool,
    authorities: Arc<[u8]>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, no longer than was asked for.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// `private`: whether loopback and private addresses are allowed. `authorities`: certificates (PEM) to trust
    /// instead of the usual ones; empty for those.
    pub fn new(private: bool, authorities: &[u8]) -> Self {
        Outgoing { private, authorities: authorities.into() }
    }

    /// Whether loopback and private addresses are allowed.
    pub fn allows_private(&self) -> bool {
        self.private
    }

    /// Reads an address, whatever its name leads to.
    ///
    /// # Errors
    /// `Invalid` (`hub.callback`) where it is none or is not allowed.
    pub fn read(&self, url: &str) -> Result<Uri> {
        address::read(url, self.private)
    }

    /// GET of at most `most` bytes, with an `Authorization` where there is one. Blocks.
    ///
    /// # Errors
    /// As [`Outgoing::read`]; `Forbidden` (`hub.address`) for an address that is not allowed; `Unavailable` where
    /// there is no answer or a longer one.
    pub fn get(&self, url: &str, authorization: Option<&str>, most: u64) -> Result<Answer> {
        let uri = self.read(url)?;
        let agent = self.agent(address::resolve(&uri, self.private)?)?;
        let mut request = agent.get(uri).header("accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        answer(request.call(), most)
    }

    /// POST of a form, with an `Authorization` where there is one; as [`Outgoing::get`]. Blocks.
    ///
    /// # Errors
    /// As [`Outgoing::get`].
    pub fn post_form(&self, url: &str, authorization: Option<&str>, form: &str, most: u64) -> Result<Answer> {
        let uri = self.read(url)?;
        let agent = self.agent(address::resolve(&uri, self.private)?)?;
        let mut request = agent
            .post(uri)
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        answer(request.send(form), most)
    }

    /// A client for one attempt that connects to these addresses and nowhere else.
    pub(crate) fn agent(&self, found: Vec<SocketAddr>) -> Result<Agent> {
        let mut tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::WebPki)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        if !self.authorities.is_empty() {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(self.authorities()?)));
        }
        let limit = Some(Duration::from_secs(limits::DELIVERY_SECONDS_MAX));
        let config = Config::builder()
            .tls_config(tls.build())
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(16 << 10)
            .timeout_global(limit)
            .user_agent("Yunwei")
            .build();
        Ok(Agent::with_parts(config, DefaultConnector::default(), Pinned(found)))
    }

    fn authorities(&self) -> Result<Vec<Certificate<'static>>> {
        let mut all = Vec::new();
        for item in ureq::tls::parse_pem(&self.authorities) {
            match item {
                Ok(PemItem::Certificate(certificate)) => all.push(certificate),
                Ok(_) => {}
                Err(e) => {
                    return Err(Error::invalid("hub.authorities", "the trusted certificates do not read").because(e));
                }
            }
        }
        Ok(all)
    }
}

fn answer(answer: std::result::Result<axum::http::Response<ureq::Body>, ureq::Error>, most: u64) -> Result<Answer> {
    let silent = |e: ureq::Error| Error::new(Kind::Unavailable, "hub.no_answer", e.to_string()).because(e);
    let mut answer = answer.map_err(silent)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(most).read_to_vec().map_err(silent)?;
    Ok(Answer { status, body })
}

/// Answers every question with the addresses that were checked.
#[derive(Debug)]
struct Pinned(Vec<SocketAddr>);

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found: ResolvedSocketAddrs = ArrayVec::from_fn(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        self.0.iter().take(16).for_each(|at| found.push(*at));
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}
