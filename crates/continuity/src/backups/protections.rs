//! Protection: which service is backed up by which policy, and how well.
//!
//! Attached by hand, or by the catalog: a service whose characteristic `backupPolicy` is the name
//! of a policy gets it when it becomes active. It ends with the service; its points stay.

use std::time::Duration;

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, limits};
use db::Class;
use gate::{Action, Effect, Tx};
use provisioning::services::SERVICE;
use resources::{hosts, intents, places as sites};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::digits::{self, Digit, Immutable, Original, Seen};
use super::places::{self, Immutability};
use super::points::{CopyState, PartKind, RecoveryCopy, RecoveryPoint, ServiceRef, service};
use super::policies::{self, BackupPolicy};
use super::store::Proven;
use super::{Fact, points, repositories, store};
use crate::BackupPolicyId;
use crate::datasets;

/// The characteristic of a service that names its policy.
pub const CHARACTERISTIC: &str = "backupPolicy";

/// A service and its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Protection {
    /// The service.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The policy.
    pub policy: BackupPolicyId,
    /// When the next recovery point is due.
    #[schemars(with = "String")]
    pub next_due: Timestamp,
    /// Since when.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

/// How a service is protected.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Protected {
    /// The service.
    pub service: String,
    /// The policy; none: it is not backed up.
    pub policy: Option<BackupPolicy>,
    /// The names of the policy's places, in their order.
    pub place_names: Vec<String>,
    /// When the next recovery point is due.
    #[schemars(with = "Option<String>")]
    pub next_due: Option<Timestamp>,
    /// The point that is being taken.
    pub taking: Option<crate::RecoveryPointId>,
    /// The newest point that something can be restored from.
    pub newest: Option<RecoveryPoint>,
    /// How much would be lost now, in seconds: the age of that point.
    pub age_seconds: Option<i64>,
    /// 3-2-1-1-0, digit by digit, of that point.
    pub digits: Vec<Digit>,
    /// When something of the service was last brought back from a copy and was right.
    #[schemars(with = "Option<String>")]
    pub proven_at: Option<Timestamp>,
}

/// For how long a restore that was right, or a refusal to remove anything, speaks for its place: a quarter of a
/// year and a day.
const PROVEN_FOR: Duration = Duration::from_secs(93 * 86_400);

/// The copies of a point as the rule sees them: one for each place, whole where each part's is.
fn seen(tx: &mut Tx<'_>, point: &RecoveryPoint, proven: &[Proven]) -> Result<Vec<Seen>> {
    let since = tx.now - PROVEN_FOR;
    let mut all: Vec<Seen> = Vec::new();
    let Some(first) = point.parts.first() else { return Ok(all) };
    for of_first in &first.copies {
        let place = places::load(tx, of_first.place)?;
        let same: Vec<_> = point.copies().filter(|copy| copy.place == of_first.place).collect();
        let faulty = |state| matches!(state, CopyState::Damaged | CopyState::Missing);
        let whole = same.len() == point.parts.len() && same.iter().all(|copy| copy.state == CopyState::Verified);
        let proven = |copy: &&RecoveryCopy| {
            let part = point.part(&copy.part).filter(|part| part.kind == PartKind::DataSet);
            let of = part.map(|part| part.part.as_str()).unwrap_or_default();
            proven
                .iter()
                .find(|proven| proven.repository == copy.repository && proven.part == of)
                .map(|proven| proven.at)
        };
        let drilled = same.iter().map(proven).min().flatten().filter(|at| *at >= since);
        let guarded = repositories::guarded_at(tx, of_first.repository)?.is_some_and(|at| at >= since);
        let there = places::out_of_reach(tx, &place)?.is_none();
        all.push(Seen {
            medium: place.medium(),
            site: place.site,
            immutable: match place.immutability {
                Immutability::None => Immutable::No,
                _ if repositories::has_yielded(tx, of_first.repository)? => Immutable::No,
                _ if guarded => Immutable::Seen,
                _ => Immutable::Said,
            },
            verified: whole && there,
            faulty: same.iter().any(|copy| faulty(copy.state)),
            drilled_at: drilled.filter(|_| whole),
            place: place.name,
        });
    }
    Ok(all)
}

/// Where the service's own data is, while its host is heard of.
fn original(tx: &mut Tx<'_>, service: &str) -> Result<Option<Original>> {
    let there = intents::of_service(tx, service)?;
    let Some(machine) = there.into_iter().find(|machine| machine.desired.is_some() && machine.reachable) else {
        return Ok(None);
    };
    let pool = hosts::load(tx, machine.host)?.pool;
    let site = sites::pool(tx, pool)?.site.to_string();
    Ok(Some(Original { medium: places::medium_of(machine.host), site }))
}

pub(super) fn protected(tx: &mut Tx<'_>, service: &str) -> Result<Protected> {
    let known = store::protection(tx, service)?;
    let policy = known.as_ref().map(|known| policies::load(tx, known.policy)).transpose()?;
    let mut place_names = Vec::new();
    for place in policy.iter().flat_map(|policy| policy.terms.places.clone()).collect::<Vec<_>>() {
        place_names.push(places::load(tx, place)?.name);
    }
    let newest = store::newest(tx, service)?.map(|id| points::load(tx, id)).transpose()?;
    let proven = store::proven(tx, service)?;
    let copies = newest.as_ref().map(|point| seen(tx, point, &proven)).transpose()?.unwrap_or_default();
    let original = original(tx, service)?;
    let age = newest.as_ref().and_then(|point| point.taken_at).map(|at| tx.now.duration_since(at).as_secs());
    Ok(Protected {
        service: service.to_owned(),
        place_names,
        next_due: known.map(|known| known.next_due),
        taking: store::taking(tx, service)?,
        age_seconds: age,
        digits: digits::digits(original.as_ref(), &copies),
        proven_at: proven.iter().map(|proven| proven.at).max(),
        newest,
        policy,
    })
}

/// Shows how a service is protected.
pub static GET: Action<ServiceRef, Protected> = Action {
    name: "protection.get",
    summary: "Shows how a service is protected: policy, newest recovery point, 3-2-1-1-0 from evidence.",
    effect: Effect::Read,
    run: |tx, input| {
        service(tx, "protection.get", &input.id)?;
        protected(tx, &input.id)
    },
};

/// Which service by which policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protect {
    /// The service; a customer-facing one.
    pub id: String,
    /// The policy.
    pub policy: BackupPolicyId,
}

/// Protects a service.
pub static SET: Action<Protect, Protected> = Action {
    name: "protection.set",
    summary: "Attaches a backup policy to a service, or another one than it had.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = service(tx, "protection.set", &input.id)?;
        has_something(tx, &input.id)?;
        let policy = policies::operators(tx, input.policy)?;
        let tenant = found.tenant;
        attach(tx, &input.id, tenant, &policy)?;
        protected(tx, &input.id)
    },
};

/// Whether a service has anything that could be backed up.
pub(super) fn has_something(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let bare = intents::of_service(tx, service)?.is_empty();
    if bare && datasets::of_service(tx, service)?.is_empty() {
        let message = "the service has no machine and no data set of its own; protect the customer-facing service";
        return Err(Error::conflict("service.no_machine", message));
    }
    Ok(())
}

pub(super) fn attach(tx: &mut Tx<'_>, service: &str, tenant: TenantId, policy: &BackupPolicy) -> Result<()> {
    let known = store::protection(tx, service)?;
    if known.is_some_and(|known| known.policy == policy.id) {
        return Ok(());
    }
    let due = policy.terms.schedule.next(tx.now, service)?;
    store::protect(tx, service, tenant, policy.id, due)?;
    tx.fact(Fact::ServiceProtected { service: service.to_owned() }, tenant)
}

/// Protects no more; what was taken stays.
pub static END: Action<ServiceRef, Protected> = Action {
    name: "protection.end",
    summary: "Takes no further recovery points of a service. Those that are there stay.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = service(tx, "protection.end", &input.id)?;
        let tenant = found.tenant;
        end(tx, &input.id, tenant)?;
        protected(tx, &input.id)
    },
};

fn end(tx: &mut Tx<'_>, service: &str, tenant: TenantId) -> Result<()> {
    if store::unprotect(tx, service)? {
        tx.fact(Fact::ProtectionEnded { service: service.to_owned() }, tenant)?;
    }
    Ok(())
}

/// A service has become active: its specification may name a policy.
///
/// # Errors
/// Those of the database.
pub fn activated(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let record = tx.peek(&SERVICE, service)?;
    let list = record.body.get("serviceCharacteristic").and_then(Json::as_array);
    let named = |one: &&Json| one.get("name").and_then(Json::as_str) == Some(CHARACTERISTIC);
    let wanted = list.and_then(|list| list.iter().find(named)?.get("value")?.as_str()).filter(|name| !name.is_empty());
    let Some(wanted) = wanted.map(str::to_owned) else { return Ok(()) };
    let tenant = record.tenant;
    match policies::named(tx, &wanted)? {
        Some(policy) => attach(tx, service, tenant, &policy),
        // The service runs all the same: that nobody backs it up is shown on it, and said here.
        None => {
            tracing::error!(service, policy = wanted, "a service wants a backup policy that there is not");
            Ok(())
        }
    }
}

/// A service has ended.
///
/// # Errors
/// Those of the database.
pub fn terminated(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    match store::protection(tx, service)? {
        Some(known) => end(tx, service, known.tenant),
        None => Ok(()),
    }
}

/// Whose protections.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListProtections {
    /// Whose; those of the acting tenant unless said otherwise.
    pub tenant: Option<TenantId>,
    /// Continue after this service.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of protections.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProtectionPage {
    /// The protections, by service.
    pub items: Vec<Protection>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// Lists a tenant's protected services.
pub static LIST: Action<ListProtections, ProtectionPage> = Action {
    name: "protection.list",
    summary: "Lists a tenant's services that are backed up.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = input.tenant.unwrap_or(tx.cx().tenant());
        tx.grant("protection.list", "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let items = store::protections(tx, tenant, input.after.as_deref().unwrap_or_default(), limit)?;
        let next = items.last().map(|last| last.service.clone()).filter(|_| items.len() >= limit as usize);
        Ok(ProtectionPage { items, next })
    },
};
