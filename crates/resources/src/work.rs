//! Reconcilers: they take no input, compare what is with what should be, act.
//!
//! Each looks first without a transaction of its own and acts through the gate,
//! one thing at a time, so that the audit log says what was set right.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::id::{HostId, RunId, TenantId};
use base::time::{Timestamp, micros};
use base::{Result, limits};
use db::args;
use gate::{Action, Cx, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::intents::{self, Intent};
use crate::{IntentId, capacity, claims, hosts};

/// What a reconciler found to be set right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Repair {
    /// A host has not been heard of for too long.
    HostSilent {
        /// The host.
        host: HostId,
    },
    /// A machine was seen to be gone and still holds something.
    MachineGone {
        /// The machine.
        machine: IntentId,
    },
    /// A reservation has no machine, and the run that asked for it is over.
    ReservationAbandoned {
        /// The machine that never was.
        machine: IntentId,
    },
    /// A claim has no machine.
    ClaimAbandoned {
        /// The machine that is not.
        machine: IntentId,
    },
    /// More or less of a host is for sale than should be.
    SupplyDiffers {
        /// The host.
        host: HostId,
    },
}

/// Sets one thing right. Looks again itself: what was found may have settled.
pub static RECONCILE: Action<Repair, ()> = Action {
    name: "resource.reconcile",
    summary: "Sets right what differs from what should be among hosts and reservations.",
    effect: Effect::Change,
    run: |tx, repair| match repair {
        Repair::HostSilent { host } => hosts::silent(tx, *host),
        Repair::MachineGone { machine } => match intents::get(tx, machine)? {
            Some(intent) if seen_gone(&intent) => capacity::gone(tx, machine.as_str(), &intent.service, intent.tenant),
            _ => Ok(()),
        },
        Repair::ReservationAbandoned { machine } => match capacity::of(tx, machine.as_str())? {
            Some(held)
                if held.state == capacity::State::Held
                    && intents::get(tx, machine)?.is_none()
                    && is_over(tx, held.run)? =>
            {
                capacity::let_go(tx, machine.as_str())
            }
            _ => Ok(()),
        },
        Repair::ClaimAbandoned { machine } => {
            let living = intents::get(tx, machine)?.is_some_and(|intent| intent.freed_at.is_none());
            let held = capacity::of(tx, machine.as_str())?.is_some_and(|held| held.state != capacity::State::Released);
            if living || held { Ok(()) } else { claims::release(tx, machine.as_str()).map(drop) }
        }
        Repair::SupplyDiffers { host } => hosts::supply(tx, *host).map(drop),
    },
};

fn seen_gone(intent: &Intent) -> bool {
    let absent =
        |seen: &drivers::wire::Observation| seen.state == drivers::wire::MachineState::Absent && seen.converged;
    intent.desired.is_none() && intent.freed_at.is_none() && intent.current().is_some_and(absent)
}

/// Whether nobody will come for a reservation. One without a run is somebody's until they free it.
fn is_over(tx: &mut Tx<'_>, run: Option<RunId>) -> Result<bool> {
    run.map_or(Ok(false), |run| durable::flows::is_over(tx, run))
}

fn repair(gate: &Gate, repair: Repair, tenant: TenantId) -> Result<()> {
    tracing::info!(?repair, "setting right");
    gate.run(&Cx::system("resources", tenant), &RECONCILE, repair)
}

/// Hosts that have not been heard of: what runs there is unknown from now on.
/// `listening` says since when they could have been heard: while no server ran,
/// it was not they who were silent, and an order that comes with the server's
/// first breath still finds them.
///
/// # Errors
/// Those of the database.
pub fn silence(gate: &Gate, listening: Timestamp) -> Result<()> {
    let before = micros(gate.now()) - limits::HOST_SILENCE_SECONDS * 1_000_000;
    if before < micros(listening) {
        return Ok(());
    }
    let silent = gate.db().read(move |conn| {
        conn.query(
            "SELECT id, tenant FROM hosts WHERE reachable = 1 AND seen_at < $1 AND state <> 'retired' LIMIT $2",
            args![before, limits::PAGE_MAX],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    })?;
    silent.into_iter().try_for_each(|(host, tenant)| repair(gate, Repair::HostSilent { host }, tenant))
}

/// Machines that were seen to be gone and are not freed. The sight frees them by itself; this is the net below.
///
/// # Errors
/// Those of the database.
pub fn gone(gate: &Gate) -> Result<()> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page = gate.db().read(move |conn| intents::going(conn, &from))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id.to_string();
        for intent in page.iter().filter(|intent| seen_gone(intent)) {
            repair(gate, Repair::MachineGone { machine: intent.id.clone() }, intent.tenant)?;
        }
    }
}

/// Reservations and claims whose machine never was, or is no more.
///
/// # Errors
/// Those of the database.
pub fn abandoned(gate: &Gate) -> Result<()> {
    let reservations: Vec<(String, TenantId)> = gate.db().read(|conn| {
        conn.query(
            "SELECT r.machine, r.tenant FROM reservations r WHERE r.state = 'held' AND r.run IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = r.machine) ORDER BY r.machine LIMIT $1",
            args![limits::PAGE_MAX],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    })?;
    for (machine, tenant) in parse(reservations) {
        repair(gate, Repair::ReservationAbandoned { machine }, tenant)?;
    }
    let claims: Vec<(String, TenantId)> = gate.db().read(|conn| {
        conn.query(
            "SELECT DISTINCT c.machine, c.tenant FROM claims c
             WHERE NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = c.machine AND i.freed_at IS NULL)
               AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.machine = c.machine AND r.state <> 'released')
               AND NOT EXISTS (SELECT 1 FROM subnets s WHERE s.id = c.machine)
             ORDER BY c.machine LIMIT $1",
            args![limits::PAGE_MAX],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    })?;
    for (machine, tenant) in parse(claims) {
        repair(gate, Repair::ClaimAbandoned { machine }, tenant)?;
    }
    Ok(())
}

fn parse(rows: Vec<(String, TenantId)>) -> impl Iterator<Item = (IntentId, TenantId)> {
    rows.into_iter().filter_map(|(machine, tenant)| Some((machine.parse().ok()?, tenant)))
}

/// Hosts of which more or less is for sale than should be: a factor was lowered while machines were there.
///
/// # Errors
/// Those of the database.
pub fn supply(gate: &Gate) -> Result<()> {
    let hosts: Vec<(HostId, TenantId)> = gate.db().read(|conn| {
        conn.query("SELECT id, tenant FROM hosts ORDER BY id LIMIT $1", args![limits::HOSTS_PLACED_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    })?;
    for (host, tenant) in hosts {
        let settled = gate.db().read(move |conn| {
            let (target, fill) = (hosts::target(conn, host)?, capacity::fill(conn, host)?);
            let stuck = |n: usize| fill.total.amounts()[n] > target.amounts()[n] && fill.free.amounts()[n] == 0;
            Ok((0..3).all(|n| fill.total.amounts()[n] == target.amounts()[n] || stuck(n)))
        })?;
        if !settled {
            repair(gate, Repair::SupplyDiffers { host }, tenant)?;
        }
    }
    Ok(())
}

/// Agents that do not renew their certificates: said loudly while there is time.
///
/// # Errors
/// Those of the database.
pub fn certificates(gate: &Gate) -> Result<()> {
    let soon = micros(gate.now()) + 5 * 86_400 * 1_000_000;
    let late: Vec<(HostId, i64)> = gate.db().read(move |conn| {
        conn.query(
            "SELECT h.id, MAX(c.not_after) FROM hosts h JOIN host_certificates c ON c.host = h.id AND c.revoked_at IS NULL
             WHERE h.state <> 'retired' GROUP BY h.id HAVING MAX(c.not_after) < $1 LIMIT $2",
            args![soon, limits::PAGE_MAX],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    })?;
    for (host, until) in late {
        tracing::warn!(%host, until = %base::time::from_micros(until)?, "an agent does not renew its certificate; look at it before it runs out");
    }
    Ok(())
}

/// The ledger, counted again.
///
/// # Errors
/// Those of the database.
pub fn ledger(gate: &Gate) -> Result<()> {
    for fault in gate.db().read(ledger::audit)? {
        tracing::error!(account = fault.kept.id, ?fault, "a ledger account does not follow from its transfers");
    }
    Ok(())
}

/// Since when hosts could have been heard: since the last time that nobody looked for a while, be it
/// that the database was away, the machine slept, or its clock was set.
fn listening(ears: &mut Option<Ears>, now: Timestamp) -> Timestamp {
    const DEAF_MICROS: i64 = 60_000_000;
    let since = match ears {
        Some(ears) if (0..DEAF_MICROS).contains(&(micros(now) - micros(ears.looked))) => ears.since,
        _ => now,
    };
    *ears = Some(Ears { since, looked: now });
    since
}

/// Since when this server has listened, and when it looked last.
struct Ears {
    since: Timestamp,
    looked: Timestamp,
}

/// Registers the room's reconcilers.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    let seconds = Duration::from_secs;
    let ears = Mutex::new(None);
    registry
        .reconciler("resources.silence", seconds(limits::HOST_SILENCE_LOOK_SECONDS), move |gate| {
            silence(gate, listening(&mut ears.lock().unwrap_or_else(PoisonError::into_inner), gate.now()))
        })
        .reconciler("resources.gone", seconds(60), gone)
        .reconciler("resources.abandoned", seconds(300), abandoned)
        .reconciler("resources.supply", seconds(120), supply)
        .reconciler("resources.certificates", seconds(3_600), certificates)
        .reconciler("resources.ledger", seconds(86_400), ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_did_not_listen_for_a_while_has_heard_nobody_since() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut ears = None;
        let begun = at("2026-07-01T00:00:00Z");
        assert_eq!(listening(&mut ears, begun), begun);
        assert_eq!(listening(&mut ears, at("2026-07-01T00:00:15Z")), begun);
        // The database was away, or the machine slept.
        let back = at("2026-07-01T00:05:00Z");
        assert_eq!(listening(&mut ears, back), back);
        // The clock was set back.
        let earlier = at("2026-06-30T23:00:00Z");
        assert_eq!(listening(&mut ears, earlier), earlier);
    }
}
