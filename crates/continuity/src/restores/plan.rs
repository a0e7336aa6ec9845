//! What a restore would do: shown before it is asked for, and looked at again when it runs.

use base::id::HostId;
use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::Consistency;
use gate::Tx;
use provisioning::services::SERVICE;
use resources::capacity;
use resources::intents::{self, Intent};
use resources::placement::Policy;
use resources::{hosts, places as sites};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ask;
use crate::recoveries::{self, Choice, Wanted, rules};
use crate::{BackupPlaceId, RecoveryPointId};

/// A machine that would be made.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMachine {
    /// What people call it.
    pub name: String,
    /// The machine that was saved.
    pub machine: String,
    /// Where it would stand.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Bytes of its disks.
    pub bytes: u64,
    /// What was done so that its disks are of one instant.
    pub consistency: Consistency,
}

/// What a restore would do, as things stand.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The service.
    pub service: String,
    /// Whether the machines would stand beside it, or else serve it.
    pub beside: bool,
    /// From which point.
    pub point: RecoveryPointId,
    /// The instant that it is of: what was written since is lost.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// How long ago that is.
    pub loses_seconds: i64,
    /// From the copy at which place.
    pub place: BackupPlaceId,
    /// That place's name.
    pub place_name: String,
    /// How many bytes.
    pub bytes: u64,
    /// How long that takes from there, by what was measured; nothing where nothing was yet.
    pub estimated_seconds: Option<f64>,
    /// The machines that would be made.
    pub machines: Vec<PlannedMachine>,
    /// The machines that would go, with their disks.
    pub removes: Vec<String>,
    /// Whether the service answers at this moment: replacing it wants `evenIfAlive`.
    pub alive: bool,
}

/// A choice with a host for each of its machines.
pub(super) struct Placed {
    pub choice: Choice,
    pub hosts: Vec<HostId>,
    pub serving: Vec<Intent>,
}

/// What the request means: which copy, and where to. The hosts that the service stands on count as lost
/// with it; where nothing is left without them, those that are still heard of will do.
pub(super) fn placed(tx: &mut Tx<'_>, ask: &Ask) -> Result<Placed> {
    let serving = there(tx, &ask.id)?;
    let own = own_hosts(&serving, ask.host);
    let silent = silent(tx, &own)?;
    match placed_without(tx, ask, &serving, &own) {
        Err(e) if silent.len() < own.len() && !e.kind().is_transient() => {
            placed_without(tx, ask, &serving, &silent).map_err(|_| e)
        }
        other => other,
    }
}

/// The first copy, in the order of nearness, from which the machines have somewhere to go.
fn placed_without(tx: &mut Tx<'_>, ask: &Ask, serving: &[Intent], lost: &[HostId]) -> Result<Placed> {
    let wanted = Wanted {
        service: ask.id.clone(),
        point: ask.point,
        place: ask.place,
        not_after: ask.not_after,
        onto: ask.host,
        without_hosts: lost.to_vec(),
        ..Wanted::default()
    };
    let mut nowhere = None;
    for choice in recoveries::choices(tx, &wanted)? {
        let policy = Policy { not_on: lost.to_vec(), ..policy(tx, ask, choice.host, serving)? };
        let asks = asks(tx, &choice, &policy)?;
        match capacity::preview(tx, &asks) {
            Ok(hosts) => return Ok(Placed { choice, hosts, serving: serving.to_vec() }),
            Err(e) if e.code() == "capacity.none_fits" => nowhere = nowhere.or(Some((choice, e))),
            Err(e) => return Err(e),
        }
    }
    let told = |(choice, e): (Choice, Error)| {
        let bound = choice.host.map(|host| format!(" (the copy is a directory of host {host})")).unwrap_or_default();
        let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
        let without = if lost.is_empty() { String::new() } else { format!(", {} left out", lost.join(", ")) };
        let message = format!("{}{without}{bound}; name a host or a site to go to", e.message());
        Error::exhausted("restore.nowhere", message)
    };
    Err(nowhere.map_or_else(|| Error::bug("restore.choice", "there was no choice"), told))
}

/// The hosts that a service stands on, but for the one that it was asked to stand on again.
fn own_hosts(serving: &[Intent], asked: Option<HostId>) -> Vec<HostId> {
    let mut own: Vec<HostId> = serving.iter().map(|machine| machine.host).collect();
    own.sort_unstable();
    own.dedup();
    own.retain(|host| Some(*host) != asked);
    own
}

/// Those of some hosts that are not heard of.
fn silent(tx: &mut Tx<'_>, among: &[HostId]) -> Result<Vec<HostId>> {
    let mut silent = Vec::new();
    for host in among {
        if !hosts::load(tx, *host)?.reachable {
            silent.push(*host);
        }
    }
    Ok(silent)
}

/// The machines of a service that can be brought back.
pub(super) fn there(tx: &mut Tx<'_>, service: &str) -> Result<Vec<Intent>> {
    let record = tx.peek(&SERVICE, service)?;
    if !matches!(record.state.as_deref(), Some("active" | "inactive")) {
        let state = record.state.as_deref().unwrap_or("unknown");
        return Err(Error::conflict(
            "service.not_there",
            format!("the service is {state}: there is nothing to bring back"),
        ));
    }
    let serving = intents::of_service(tx, service)?;
    if serving.is_empty() {
        let message = "the service has no machine of its own; bring back the customer-facing service";
        return Err(Error::conflict("service.no_machine", message));
    }
    if serving.iter().all(|machine| machine.desired.is_none()) {
        let message = "the service is being ended: there is nothing to bring back";
        return Err(Error::conflict("service.not_there", message));
    }
    Ok(serving)
}

/// What the machines of a choice would ask of hosts, under the names of those that were saved.
fn asks(tx: &mut Tx<'_>, choice: &Choice, policy: &Policy) -> Result<Vec<capacity::Ask>> {
    let mut all = Vec::with_capacity(choice.machines.len());
    for saved in &choice.machines {
        let apart = capacity::apart(tx, &saved.machine)?;
        all.push(capacity::Ask {
            machine: saved.machine.parse().map_err(|e: String| Error::bug("machine.id", e))?,
            tenant: choice.tenant,
            service: choice.service.clone(),
            run: None,
            demand: rules::demand(saved),
            policy: Policy { apart, ..policy.clone() },
        });
    }
    Ok(all)
}

/// Where they may stand: on the host or at the site that was asked for; otherwise at the service's
/// own site, and rather on no host that it stands on now.
pub(super) fn policy(tx: &mut Tx<'_>, ask: &Ask, only: Option<HostId>, serving: &[Intent]) -> Result<Policy> {
    let only = ask.host.or(only);
    let site = match (only, ask.site, serving.first()) {
        (Some(_), _, _) => None,
        (None, Some(asked), _) => Some(asked),
        (None, None, Some(first)) => {
            let pool = hosts::load(tx, first.host)?.pool;
            Some(sites::pool(tx, pool)?.site)
        }
        (None, None, None) => None,
    };
    Ok(Policy { only, site, rather_not_on: own_hosts(serving, ask.host), ..Policy::default() })
}

/// The plan of a request.
pub(super) fn plan(tx: &mut Tx<'_>, ask: &Ask) -> Result<Plan> {
    let Placed { choice, hosts: placed, serving } = placed(tx, ask)?;
    let mut machines = Vec::with_capacity(placed.len());
    for (saved, host) in choice.machines.iter().zip(&placed) {
        machines.push(PlannedMachine {
            name: saved.spec.name.clone(),
            machine: saved.machine.clone(),
            host: *host,
            host_name: hosts::load(tx, *host)?.name,
            bytes: saved.bytes,
            consistency: saved.consistency,
        });
    }
    let removes = serving.iter().filter(|machine| !ask.beside && machine.desired.is_some());
    Ok(Plan {
        service: choice.service,
        beside: ask.beside,
        point: choice.point,
        taken_at: choice.taken_at,
        loses_seconds: tx.now.duration_since(choice.taken_at).as_secs().max(0),
        place: choice.place,
        place_name: choice.place_name,
        bytes: choice.bytes,
        estimated_seconds: choice.estimated_seconds,
        machines,
        removes: removes.map(|machine| machine.id.to_string()).collect(),
        alive: is_alive(&serving),
    })
}

/// Whether a service answers at this moment.
pub(super) fn is_alive(serving: &[Intent]) -> bool {
    serving.iter().any(|machine| machine.reachable && machine.answers())
}
