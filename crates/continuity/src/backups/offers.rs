//! Policies that the operator offers: who owns a service chooses one of them where it has none.
//!
//! Only where it has none: another policy's rules judge the points that are there, so whoever may change
//! it may also let them go; nor where it had another, whose points are still there. Changing and ending stay with the operator ([`protections::SET`],
//! [`protections::END`]).

use base::{Error, Result};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::points::service;
use super::policies::{self, BackupPolicy, What};
use super::protections::{self, Protect, Protected};
use super::retention::Retention;
use super::schedule::Schedule;
use super::store;
use crate::BackupPolicyId;

/// A policy as those see it who may choose it: without the places, which are the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedPolicy {
    /// Its id.
    pub id: BackupPolicyId,
    /// Its name.
    pub name: String,
    /// What is backed up.
    pub what: What,
    /// When.
    pub schedule: Schedule,
    /// How many points are kept.
    pub retention: Retention,
    /// In how many places copies are kept.
    pub copies: u32,
}

impl OfferedPolicy {
    fn of(policy: BackupPolicy) -> Self {
        let BackupPolicy { id, name, terms, .. } = policy;
        let copies = u32::try_from(terms.places.len()).unwrap_or(u32::MAX);
        OfferedPolicy { id, name, what: terms.what, schedule: terms.schedule, retention: terms.retention, copies }
    }
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListOffered {}

/// The offered policies.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfferedPage {
    /// The policies.
    pub items: Vec<OfferedPolicy>,
}

/// Lists what is offered.
pub static LIST: Action<ListOffered, OfferedPage> = Action {
    name: "backupPolicy.list_offered",
    summary: "Lists the backup policies that the operator offers: whose service has none may choose one.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.operator()?;
        let offered = policies::all(tx, operator)?.into_iter().filter(|policy| policy.terms.offered);
        Ok(OfferedPage { items: offered.map(OfferedPolicy::of).collect() })
    },
};

/// The policy of that id, where it is offered.
///
/// # Errors
/// `Dangling` (`backupPolicy.absent`), the same for one that there is not and one that is not offered.
pub(crate) fn find(tx: &mut Tx<'_>, id: BackupPolicyId) -> Result<BackupPolicy> {
    let found = policies::operators(tx, id).ok().filter(|policy| policy.terms.offered);
    let message = || format!("no backup policy {id} is offered; backupPolicy.list_offered names those that are");
    found.ok_or_else(|| Error::dangling("backupPolicy.absent", message()).at("policy"))
}

/// Chooses a policy.
pub static CHOOSE: Action<Protect, Protected> = Action {
    name: "protection.choose",
    summary: "Attaches a policy that the operator offers to a service that has none.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = service(tx, "protection.choose", &input.id)?.tenant;
        protections::has_something(tx, &input.id)?;
        let policy = find(tx, input.policy)?;
        only_judge(tx, &input.id, policy.id)?;
        protections::attach(tx, &input.id, tenant, &policy)?;
        protections::protected(tx, &input.id)
    },
};

/// The points that are there are not to be judged by other rules than those that they were taken under.
fn only_judge(tx: &mut Tx<'_>, service: &str, chosen: BackupPolicyId) -> Result<()> {
    let other = store::judge(tx, service)?.is_some_and(|known| known != chosen);
    let message = match store::protection(tx, service)? {
        Some(_) if other => "the service is backed up by another policy already; ask the operator to change it",
        None if other && store::taking(tx, service)?.is_some() | !store::judged(tx, service)?.is_empty() => {
            "the service was backed up by another policy, and what that kept is still there: under other rules it could go; ask the operator to attach one"
        }
        _ => return Ok(()),
    };
    Err(Error::conflict("protection.there", message))
}
