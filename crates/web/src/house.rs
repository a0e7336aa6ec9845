//! What all handlers share.

use std::ops::Deref;
use std::sync::Arc;

use base::Result;
use gate::{Cx, Gate};

use crate::Authenticator;

/// What an operator can set about HTTP.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The address under which callers reach this site, for example
    /// `https://cloud.example.tw`; empty for paths without one.
    pub site: String,
}

/// The state of every router of the house. Cheap to clone.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    gate: Gate,
    door: Box<dyn Authenticator>,
    settings: Settings,
}

impl Web {
    /// Over a gate, with the one who knows accounts.
    pub fn new(gate: Gate, door: impl Authenticator, mut settings: Settings) -> Self {
        settings.site.truncate(settings.site.trim_end_matches('/').len());
        Web(Arc::new(Inner { gate, door: Box::new(door), settings }))
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

    /// Whether this actor may ask once more now.
    pub(crate) fn admit(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }
}
