//! Nouns: one struct each, the same for row, value and JSON.

use base::id::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::impact::Kind;

/// One thing in an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thing {
    /// Its id: the platform's own where the platform knows it, `inv_…` where somebody added it.
    pub id: String,
    /// The name of its row in the firm's own lists; the id where there is none.
    pub key: String,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// Whose it is: in the operator's inventory, the customer of a service.
    pub tenant: TenantId,
    /// Whether the platform knows of it by itself.
    pub known: bool,
    /// What it stands in: lost with it, stopped with it.
    pub within: Option<String>,
    /// What the platform knows that it stands in, whatever people say.
    #[serde(skip)]
    pub(crate) stands_in: Option<String>,
    /// What must run for it to run: all of these.
    pub needs: Vec<Needs>,
    /// What is said of it.
    #[serde(flatten)]
    pub said: Said,
    /// Counts what people changed of it; 0 where nobody did.
    pub revision: i64,
}

impl Thing {
    /// Whether people say of something that the platform knows that it stands in another place there.
    pub fn is_placed(&self) -> bool {
        self.within != self.stands_in
    }
}

/// So many of these must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Needs {
    /// How many.
    pub at_least: u32,
    /// Of which: ids, or keys.
    pub of: Vec<String>,
    /// Whether the platform knows this by itself.
    #[serde(default, skip_deserializing)]
    pub known: bool,
}

impl Needs {
    /// This one alone.
    pub fn one(id: impl Into<String>) -> Needs {
        Needs { at_least: 1, of: vec![id.into()], known: true }
    }
}

/// What only people can say of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// How long until it is there again after a loss, in seconds; nothing where nobody can say.
    pub repair_seconds: Option<u64>,
    /// How long it takes to start once all that it needs is there, in seconds.
    pub start_seconds: Option<u64>,
    /// How important it is, from 1 to 5, the most important.
    pub importance: Option<u8>,
    /// How likely its loss is, from 1 (hardly ever) to 5 (to be expected within a year); nothing where
    /// nobody judged it.
    pub likelihood: Option<u8>,
    /// Who answers for it.
    pub owner: String,
    /// Anything else.
    pub note: String,
}

/// What people added, or said of a thing that the platform knows: a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: String,
    pub key: String,
    pub known: bool,
    pub kind: Kind,
    pub name: String,
    pub within: Option<String>,
    pub said: Said,
    pub revision: i64,
}

/// A set of needs as people stated it: whose, and which.
pub(crate) type Stated = (String, Needs);

/// A machine as the loader of a study wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub id: String,
    pub service: String,
    pub tenant: TenantId,
    pub host: String,
    pub name: String,
    /// What it holds of its host.
    pub demand: resources::placement::Demand,
    /// How long it took to answer when it was started last.
    pub boot_seconds: Option<u64>,
}

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostSeen {
    pub id: String,
    pub name: String,
    pub site: String,
    /// Whether it takes machines: active, and heard of.
    pub takes: bool,
}

/// A place where copies lie.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlaceSeen {
    pub id: crate::BackupPlaceId,
    pub name: String,
    /// The host that alone reaches it, where it is a directory.
    pub only: Option<String>,
    /// The host that it is lost with, where that is one of ours.
    pub host: Option<String>,
    /// The site that it is at, where it is at one of ours.
    pub site: Option<String>,
}

/// Everything that a tenant's inventory is made of, read at once.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub services: Vec<Served>,
    pub machines: Vec<Machine>,
    /// All hosts: the inventory has those that are the tenant's business, a study restores onto any.
    pub hosts: Vec<HostSeen>,
    /// (id, name)
    pub sites: Vec<(String, String)>,
    pub places: Vec<PlaceSeen>,
}

/// A service, with the services that it relies on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Served {
    pub id: String,
    pub tenant: TenantId,
    pub name: String,
    pub relies_on: Vec<String>,
}
