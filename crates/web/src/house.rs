//! What all handlers share.

use std::ops::Deref;
use std::sync::Arc;

use base::limits;
use gate::Gate;

use crate::limit::Limits;
use crate::{Authenticator, Metrics, Network};

/// What an operator can set about HTTP.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address under which callers reach this site, for example
    /// `https://cloud.example.tw`; empty for paths without one.
    pub site: String,
    /// The proxies whose word about where a request comes from is believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests a second that one address may make; 0 for no limit.
    pub address_rate: u32,
    /// Requests a second that one token, session or account may make; 0 for no limit.
    pub actor_rate: u32,
    /// Routes whose bodies are files: these may take their time, and see to it
    /// themselves that something comes.
    pub uploads: &'static [&'static str],
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            site: String::new(),
            trusted_proxies: Vec::new(),
            address_rate: limits::ADDRESS_REQUESTS_PER_SECOND,
            actor_rate: limits::ACTOR_REQUESTS_PER_SECOND,
            uploads: &[],
        }
    }
}

/// The state of every router of the house. Cheap to clone.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    gate: Gate,
    door: Box<dyn Authenticator>,
    settings: Settings,
    limits: Limits,
    metrics: Metrics,
}

impl Web {
    /// Over a gate, with the one who knows accounts.
    pub fn new(gate: Gate, door: impl Authenticator, mut settings: Settings) -> Self {
        settings.site.truncate(settings.site.trim_end_matches('/').len());
        let limits = Limits::new(settings.address_rate, settings.actor_rate);
        Web(Arc::new(Inner { gate, door: Box::new(door), settings, limits, metrics: Metrics::default() }))
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Who finds out who is asking.
    pub fn door(&self) -> &dyn Authenticator {
        self.0.door.deref()
    }

    /// The site's own address, without a slash at its end; may be empty.
    pub fn site(&self) -> &str {
        &self.0.settings.site
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What is measured.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }
}
