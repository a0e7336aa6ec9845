//! Orphans: machines with our mark that no intent explains.
//!
//! An agent leaves them alone and reports them. A person decides: [`ADOPT`]
//! gives one an intent, [`REMOVE`] wants it away. Both write an intent of the
//! orphan's name above the generation of its mark, so that the agent takes it up.

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, args};
use drivers::wire::{IntentId, MachineSpec, Orphan};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capacity::{self, Ask};
use crate::placement::{Demand, Policy};
use crate::{Fact, hosts, intents, inventory};

/// An orphan on its host.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundOrphan {
    /// The host.
    pub host: HostId,
    /// What its agent says of it.
    pub orphan: Orphan,
    /// Since when it is known.
    #[schemars(with = "String")]
    pub first_at: Timestamp,
    /// When it was last reported.
    #[schemars(with = "String")]
    pub seen_at: Timestamp,
}

/// Replaces what is known of a host's orphans.
pub(crate) fn reported(tx: &mut Tx<'_>, host: HostId, found: &[Orphan]) -> Result<()> {
    let known: Vec<String> = tx.query("SELECT id FROM orphans WHERE host = $1", args![host], |row| row.get(0))?;
    let now = tx.now;
    let mut fresh = false;
    let mut kept: Vec<&str> = Vec::new();
    for orphan in found.iter().take(limits::REPORT_OBSERVATIONS_MAX) {
        // The agent may not have heard of a living intent yet; then it is none.
        let explained =
            intents::get(tx, &orphan.id)?.is_some_and(|intent| intent.host == host && intent.freed_at.is_none());
        if explained {
            continue;
        }
        fresh |= !known.iter().any(|id| id == orphan.id.as_str());
        kept.push(orphan.id.as_str());
        let text = serde_json::to_string(orphan)
            .map_err(|e| Error::bug("orphan.text", "an orphan cannot be written").because(e))?;
        tx.execute(
            "INSERT INTO orphans (host, id, orphan, first_at, seen_at) VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (host, id) DO UPDATE SET orphan = $3, seen_at = $4",
            args![host, orphan.id.as_str(), text, now],
        )?;
    }
    for id in known.iter().filter(|id| !kept.contains(&id.as_str())) {
        tx.execute("DELETE FROM orphans WHERE host = $1 AND id = $2", args![host, id])?;
    }
    if fresh {
        let tenant = hosts::load(tx, host)?.tenant;
        tx.fact(Fact::OrphansObserved { host: host.to_string() }, tenant)?;
    }
    Ok(())
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListOrphans {
    /// Only on this host.
    pub host: Option<HostId>,
}

/// The orphans on the operator's hosts, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanPage {
    /// The orphans.
    pub items: Vec<FoundOrphan>,
}

/// Lists orphans.
pub static LIST: Action<ListOrphans, OrphanPage> = Action {
    name: "orphan.list",
    summary: "Lists machines with our mark that no intent explains.",
    effect: Effect::Read,
    run: |tx, input| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            "SELECT o.host, o.orphan, o.first_at, o.seen_at FROM orphans o JOIN hosts h ON h.id = o.host
             WHERE h.tenant = $1 AND o.host = COALESCE($2, o.host) ORDER BY o.host, o.id LIMIT $3",
            args![operator, input.host, limits::PAGE_MAX],
            |row| {
                Ok(FoundOrphan {
                    host: row.get(0)?,
                    orphan: parse(&row.get::<String>(1)?)?,
                    first_at: row.get(2)?,
                    seen_at: row.get(3)?,
                })
            },
        )?;
        Ok(OrphanPage { items })
    },
};

fn parse(text: &str) -> Result<Orphan> {
    serde_json::from_str(text).map_err(|e| Error::bug("orphan.damaged", "a stored orphan does not read").because(e))
}

/// Which orphan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveOrphan {
    /// The host.
    pub host: HostId,
    /// The orphan.
    pub id: IntentId,
}

/// An orphan that a service is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptOrphan {
    /// The host.
    pub host: HostId,
    /// The orphan.
    pub id: IntentId,
    /// Whose machine it is from now on.
    pub tenant: TenantId,
    /// The service that it is part of from now on.
    pub service: String,
    /// What it should be from now on.
    pub specification: MachineSpec,
}

/// The orphan, its host's tenant, after the decision.
fn granted(tx: &mut Tx<'_>, action: &str, host: HostId, id: &IntentId) -> Result<Orphan> {
    let owner = hosts::load(tx, host)?.tenant;
    tx.grant(action, "host", &host.to_string(), owner, Class::Internal, ())?;
    let text: Option<String> =
        tx.query_opt("SELECT orphan FROM orphans WHERE host = $1 AND id = $2", args![host, id.as_str()], |row| {
            row.get(0)
        })?;
    let text =
        text.ok_or_else(|| Error::not_found("orphan.not_found", format!("host {host} reports no orphan {id}")))?;
    if intents::get(tx, id)?.is_some_and(|intent| intent.host != host && intent.freed_at.is_none()) {
        return Err(Error::conflict(
            "orphan.elsewhere",
            format!("machine {id} lives on another host; wait until it is gone there"),
        ));
    }
    parse(&text)
}

/// Writes the intent itself, above what the orphan's mark says.
fn take_up(
    tx: &mut Tx<'_>,
    orphan: &Orphan,
    host: HostId,
    desired: Option<&MachineSpec>,
    tenant: TenantId,
    service: &str,
) -> Result<()> {
    let generation = orphan
        .generation
        .checked_add(1)
        .ok_or_else(|| Error::invalid("orphan.generation", "the orphan's generation is out of range"))?;
    let text = desired.map(serde_json::to_string).transpose();
    let text = text.map_err(|e| Error::bug("intent.specification", "a specification cannot be written").because(e))?;
    // What goes serves nothing.
    let standing = if desired.is_some() { "serving" } else { "replaced" };
    let (feed, now) = (intents::next_feed(tx, host)?, tx.now);
    tx.execute(
        "INSERT INTO intents (id, host, kind, generation, desired, tenant, service, feed, observed_generation, observed_revision, resource, created_at, changed_at, standing)
         VALUES ($1, $2, 'machine', $3, $4, $5, $6, $7, 0, 0, '', $8, $8, $9)
         ON CONFLICT (id) DO UPDATE SET standing = $9, host = $2, desired = $4, tenant = $5, service = $6, feed = $7, observed = NULL, observed_generation = 0,
            observed_revision = 0, freed_at = NULL, changed_at = $8,
            generation = CASE WHEN intents.generation >= $3 THEN intents.generation + 1 ELSE $3 END",
        args![orphan.id.as_str(), host, generation, text, tenant, service, feed, now, standing],
    )?;
    tx.execute("DELETE FROM orphans WHERE host = $1 AND id = $2", args![host, orphan.id.as_str()]).map(drop)
}

/// Wants an orphan away.
pub static REMOVE: Action<RemoveOrphan, ()> = Action {
    name: "orphan.remove",
    summary: "Has a host's agent remove a machine that no intent explains, its disks included.",
    effect: Effect::Delete,
    run: |tx, input| {
        let orphan = granted(tx, "orphan.remove", input.host, &input.id)?;
        let (tenant, service) = match intents::get(tx, &input.id)? {
            Some(known) => (known.tenant, known.service),
            None => (tx.cx().tenant(), String::new()),
        };
        take_up(tx, &orphan, input.host, None, tenant, &service)
    },
};

/// Gives an orphan to a service.
pub static ADOPT: Action<AdoptOrphan, ()> = Action {
    name: "orphan.adopt",
    summary: "Makes a machine that no intent explains part of a service, with the capacity that it takes.",
    effect: Effect::Create,
    run: |tx, input| {
        let orphan = granted(tx, "orphan.adopt", input.host, &input.id)?;
        input.specification.check()?;
        let ask = Ask {
            machine: input.id.clone(),
            tenant: input.tenant,
            service: input.service.clone(),
            run: None,
            demand: Demand::of_machine(&input.specification),
            policy: Policy { only: Some(input.host), ..Policy::default() },
        };
        capacity::reserve(tx, &ask)?;
        take_up(tx, &orphan, input.host, Some(&input.specification), input.tenant, &input.service)?;
        inventory::machine_adopted(tx, &input.id)
    },
};
