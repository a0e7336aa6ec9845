//! HTTP as places need it: TLS that is checked, and nobody waited for without end.

use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};

use crate::fault;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may stand still.
const STILL: Duration = Duration::from_secs(60);
/// How long one file may take on its way there.
const SEND: Duration = Duration::from_secs(1_800);

/// A client that trusts one authority (PEM), or else those that browsers trust.
pub(super) fn agent(authority: Option<&str>) -> Result<Agent> {
    let roots = match authority {
        None => RootCerts::WebPki,
        Some(pem) => RootCerts::new_with_certs(&certificates(pem)?),
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_connect(Some(CONNECT))
        .timeout_send_body(Some(SEND))
        .timeout_recv_response(Some(STILL))
        .timeout_per_read(Some(STILL))
        .max_idle_age(Duration::from_secs(base::limits::IDLE_SECONDS_MAX))
        .user_agent(concat!("yunwei-vault/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(Agent::new_with_config(config))
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>> {
    let found: Vec<_> = ureq::tls::parse_pem(pem.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(fault::error(fault::REQUEST_INVALID, "the repository's authority holds no certificate"));
    }
    Ok(found)
}

/// Whether it was time that ran out.
pub(super) fn was_slow(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(kind) => !matches!(kind, ureq::Timeout::Connect | ureq::Timeout::Resolve),
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// An exchange that did not come about.
pub(super) fn unreached(error: &ureq::Error, what: &str) -> Error {
    if was_slow(error) {
        let message = format!("{what}: {error}; the repository answers too slowly: look at its server and the network");
        return fault::error(fault::REPOSITORY_SLOW, message);
    }
    let message = format!("{what}: {error}; the repository cannot be reached: look at its server and the network");
    fault::error(fault::REPOSITORY_UNREACHABLE, message)
}
