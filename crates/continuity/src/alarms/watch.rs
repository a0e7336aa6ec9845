//! What raises and clears alarms: facts as they happen, and a look at the clock.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use access::notices::{self, Notice, Spoken};
use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use drivers::wire::Problem;
use durable::Registry;
use gate::{Action, Cx, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{is_unusual, overdue_from};
use super::{Alarm, Cause, Wrong, clear, raise, store, words};
use crate::backups::places::BackupPlace;
use crate::backups::points::{self, RecoveryPoint, State};
use crate::backups::policies;
use crate::backups::work::problem;
use crate::control_plane;
use crate::drills::runs::{self, DrillRun};

/// How long something must be wrong before people get a mail: what passes by itself is not worth one.
const TELL_AFTER: Duration = Duration::from_secs(60);
/// Who is told, in their tenant.
const ROLES: [&str; 3] = ["owner", "administrator", "operations"];
/// What the control plane is called as an object.
const CONTROL_PLANE: (&str, &str) = ("controlPlane", "controlPlane");
/// The kind of a place that the audit log is shipped to.
const AUDIT_PLACE: &str = guard::shipping::KIND;

fn service_wrong<'a>(point: &'a RecoveryPoint, cause: Cause, problem: drivers::wire::Problem) -> Wrong<'a> {
    Wrong { tenant: point.tenant, kind: "service", id: &point.service, cause, problem }
}

/// A point was closed: what it says of its service.
///
/// # Errors
/// Those of the database.
pub fn backed_up(tx: &mut Tx<'_>, point: &str) -> Result<()> {
    let point = points::load(tx, point.parse()?)?;
    // An older one that was looked at again says nothing of how the service is kept now.
    if crate::backups::store::newest_closed(tx, &point.service)?.is_some_and(|newest| newest > point.id) {
        return Ok(());
    }
    let service = point.service.as_str();
    let told = || point.problem.clone().unwrap_or_else(|| problem("backup.incomplete", "not every copy is there"));
    match point.state {
        State::Failed | State::Lost => return raise(tx, &service_wrong(&point, Cause::BackupFailed, told())),
        State::Degraded => {
            clear(tx, "service", service, &[Cause::BackupFailed, Cause::BackupOverdue])?;
            raise(tx, &service_wrong(&point, Cause::BackupDegraded, told()))?;
        }
        State::Available => {
            clear(tx, "service", service, &[Cause::BackupFailed, Cause::BackupDegraded, Cause::BackupOverdue])?;
        }
        State::Taking | State::Expired => return Ok(()),
    }
    unusual(tx, &point)
}

/// Whether far more has changed than ever.
fn unusual(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<()> {
    let changes = store::changes(tx, &point.service, point.id)?;
    let Some(((newest, now), before)) = changes.split_first() else { return Ok(()) };
    let before: Vec<_> = before.iter().map(|(_, change)| *change).collect();
    match is_unusual(*now, &before) {
        Some(median) if *newest == point.id => {
            let message =
                format!("{} of {} bytes are new in {}; usually it is {median}", now.added, now.bytes, point.id);
            raise(tx, &service_wrong(point, Cause::BackupUnusual, problem("backup.unusual", message)))
        }
        _ => Ok(()),
    }
}

/// A drill has ended.
///
/// # Errors
/// Those of the database.
pub fn drilled(tx: &mut Tx<'_>, run: &str, passed: bool) -> Result<()> {
    let run: DrillRun = runs::load(tx, run.parse()?)?;
    let plan = run.plan.to_string();
    if passed {
        return clear(tx, "drillPlan", &plan, &[Cause::DrillFailed]);
    }
    let message = format!("drill {} of {} is {}", run.number, run.body.plan_name, run.state.word());
    let found = problem("drill.failed", message);
    raise(tx, &Wrong { tenant: run.tenant, kind: "drillPlan", id: &plan, cause: Cause::DrillFailed, problem: found })
}

/// A service is not backed up any more: nothing is wrong with its backups.
///
/// # Errors
/// Those of the database.
pub fn protection_ended(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    clear(
        tx,
        "service",
        service,
        &[Cause::BackupFailed, Cause::BackupDegraded, Cause::BackupOverdue, Cause::BackupUnusual],
    )
}

/// A plan is drilled no more.
///
/// # Errors
/// Those of the database.
pub(crate) fn plan_ended(tx: &mut Tx<'_>, plan: crate::DrillPlanId) -> Result<()> {
    clear(tx, "drillPlan", &plan.to_string(), &[Cause::DrillFailed])
}

/// Whether a place that is said to keep copies lets whoever wrote them remove or change them.
pub(crate) fn place(tx: &mut Tx<'_>, place: &BackupPlace, is_open: bool) -> Result<()> {
    let (kind, id, cause) = ("backupPlace", place.id.to_string(), Cause::PlaceNotImmutable);
    if !is_open {
        return clear(tx, kind, &id, &[cause]);
    }
    let message = format!("{} let a host remove or change what it had written there", place.name);
    let problem = problem("place.not_immutable", message);
    raise(tx, &Wrong { tenant: place.tenant, kind, id: &id, cause, problem })
}

/// What is wrong with the platform's own copies; nothing: all that are kept are whole.
pub(crate) fn control_plane(tx: &mut Tx<'_>, found: Option<Problem>) -> Result<()> {
    let (kind, id) = CONTROL_PLANE;
    let Some(problem) = found else { return clear(tx, kind, id, &[Cause::ControlPlaneDegraded]) };
    let tenant = tx.operator()?;
    raise(tx, &Wrong { tenant, kind, id, cause: Cause::ControlPlaneDegraded, problem })
}

/// What a look at the clock finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Seen {
    /// A service has had no new point for too long.
    Overdue {
        /// The service.
        service: String,
        /// The instant of its newest one, or since when it is protected.
        #[schemars(with = "String")]
        since: Timestamp,
    },
    /// The platform's own copies are too old, or are not any more.
    ControlPlane {
        /// The instant of the newest one where that is too old.
        #[schemars(with = "Option<String>")]
        late_since: Option<Timestamp>,
    },
    /// The audit log has not been shipped to a place for too long, or is again.
    AuditPlace {
        /// The place.
        place: String,
        /// Since when it lacks something, where that is too long.
        #[schemars(with = "Option<String>")]
        late_since: Option<Timestamp>,
    },
    /// Alarms are there that nobody was told of.
    Untold,
}

/// Acts on what was seen.
pub static WATCH: Action<Seen, ()> = Action {
    name: "alarm.watch",
    summary: "Raises alarms for backups that are late, and tells people of alarms.",
    effect: Effect::Change,
    run: |tx, seen| match seen {
        Seen::Overdue { service, since } => overdue(tx, service, *since),
        Seen::ControlPlane { late_since: None } => {
            clear(tx, CONTROL_PLANE.0, CONTROL_PLANE.1, &[Cause::ControlPlaneOverdue])
        }
        Seen::ControlPlane { late_since: Some(since) } => {
            let found = problem("backup.overdue", format!("there is no new copy of the platform since {since}"));
            let (tenant, (kind, id)) = (tx.operator()?, CONTROL_PLANE);
            raise(tx, &Wrong { tenant, kind, id, cause: Cause::ControlPlaneOverdue, problem: found })
        }
        Seen::AuditPlace { place, late_since: None } => clear(tx, AUDIT_PLACE, place, &[Cause::AuditShippingBehind]),
        Seen::AuditPlace { place, late_since: Some(since) } => {
            let found =
                problem("shipping.behind", format!("what was signed of the audit log since {since} is not there"));
            let tenant = tx.operator()?;
            raise(
                tx,
                &Wrong { tenant, kind: AUDIT_PLACE, id: place, cause: Cause::AuditShippingBehind, problem: found },
            )
        }
        Seen::Untold => tell(tx),
    },
};

fn overdue(tx: &mut Tx<'_>, service: &str, since: Timestamp) -> Result<()> {
    let Some(known) = crate::backups::store::protection(tx, service)? else { return Ok(()) };
    let found = problem("backup.overdue", format!("there is no new recovery point since {since}"));
    raise(
        tx,
        &Wrong { tenant: known.tenant, kind: "service", id: service, cause: Cause::BackupOverdue, problem: found },
    )
}

/// One mail to each person, whatever number of alarms: a tenant's people hear of their own, the
/// operator's of all.
fn tell(tx: &mut Tx<'_>) -> Result<()> {
    let (before, operator) = (tx.now - TELL_AFTER, tx.operator()?);
    let untold = store::untold(tx, before)?;
    let mut to: BTreeMap<TenantId, Vec<&Alarm>> = BTreeMap::new();
    for alarm in &untold {
        to.entry(operator).or_default().push(alarm);
        if alarm.tenant != operator {
            to.entry(alarm.tenant).or_default().push(alarm);
        }
    }
    for (tenant, alarms) in to {
        let spoken = |zh| {
            let (title, text) = words::letter(&alarms, zh);
            Spoken { title, text }
        };
        let notice = Notice { en: spoken(false), zh: spoken(true), path: "/alarms".to_owned() };
        notices::tell(tx, tenant, &ROLES, &notice)?;
    }
    untold.iter().try_for_each(|alarm| store::told(tx, alarm.id))
}

fn see(gate: &Gate, seen: Seen, tenant: TenantId) -> Result<()> {
    gate.run(&Cx::system("continuity", tenant), &WATCH, seen)
}

/// Looks for what is late.
///
/// # Errors
/// Those of the database.
pub(super) fn look(gate: &Gate) -> Result<()> {
    // An installation without an operator has nothing to watch.
    let Ok(operator) = gate.operator() else { return Ok(()) };
    let mut after = String::new();
    loop {
        let (from, now) = (after.clone(), gate.now());
        let (last, late) = gate.db().read(move |conn| late(conn, &from, now))?;
        for (service, tenant, since) in late {
            see(gate, Seen::Overdue { service, since }, tenant)?;
        }
        let Some(last) = last else { break };
        after = last;
    }
    let now = gate.now();
    if let Some(late_since) = gate.db().read(move |conn| control_plane_changed(conn, now))? {
        see(gate, Seen::ControlPlane { late_since }, operator)?;
    }
    Ok(())
}

/// Services and their tenants, with since when they have no new point.
type Late = Vec<(String, TenantId, Timestamp)>;

/// Of a page of protected services, those that are late and not known to be; and where to go on.
fn late(conn: &mut db::Conn<'_>, after: &str, now: Timestamp) -> Result<(Option<String>, Late)> {
    let page = store::kept_until(conn, after)?;
    let last = page.last().map(|(service, ..)| service.clone());
    let mut schedules = BTreeMap::new();
    let mut late = Vec::new();
    for (service, tenant, policy, since) in page {
        let schedule = match schedules.entry(policy) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(policies::load(conn, policy)?.terms.schedule),
        };
        let is_late = overdue_from(schedule, &service, since)? <= now;
        if is_late && !store::is_open(conn, "service", &service, Cause::BackupOverdue)? {
            late.push((service, tenant, since));
        }
    }
    Ok((last, late))
}

/// Whether it is to be said of the platform's own copies that they are late, or are not any more.
#[expect(clippy::option_option, reason = "nothing to say, or what to say: late since then, or not late")]
fn control_plane_changed(conn: &mut db::Conn<'_>, now: Timestamp) -> Result<Option<Option<Timestamp>>> {
    let known = store::is_open(conn, CONTROL_PLANE.0, CONTROL_PLANE.1, Cause::ControlPlaneOverdue)?;
    let since = control_plane::kept_until(conn)?;
    let late = match since {
        Some((policy, since)) => {
            let schedule = policies::load(conn, policy)?.terms.schedule;
            (overdue_from(&schedule, CONTROL_PLANE.1, since)? <= now).then_some(since)
        }
        None => None,
    };
    Ok((late.is_some() != known).then_some(late))
}

/// Looks whether the audit log leaves the house.
///
/// # Errors
/// Those of the database.
pub(super) fn look_at_shipping(gate: &Gate) -> Result<()> {
    let Ok(operator) = gate.operator() else { return Ok(()) };
    let now = gate.now();
    let (late, known) =
        gate.db().read(move |conn| Ok((guard::shipping::late(conn, now)?, store::open_about(conn, AUDIT_PLACE)?)))?;
    let late: BTreeMap<String, Timestamp> = late.into_iter().map(|(place, since)| (place.to_string(), since)).collect();
    for (place, since) in late.iter().filter(|(place, _)| !known.contains(place)) {
        see(gate, Seen::AuditPlace { place: place.clone(), late_since: Some(*since) }, operator)?;
    }
    for place in known.into_iter().filter(|place| !late.contains_key(place)) {
        see(gate, Seen::AuditPlace { place, late_since: None }, operator)?;
    }
    Ok(())
}

/// Looks for alarms that nobody was told of.
pub(super) fn look_for_untold(gate: &Gate) -> Result<()> {
    let before = gate.now() - TELL_AFTER;
    let found = gate.db().read(move |conn| store::untold(conn, before))?;
    match found.is_empty() {
        true => Ok(()),
        false => see(gate, Seen::Untold, gate.operator()?),
    }
}

/// Adds the reconcilers.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .reconciler("alarms.late", Duration::from_secs(300), look)
        .reconciler("alarms.shipping", Duration::from_secs(30), look_at_shipping)
        .reconciler("alarms.tell", Duration::from_secs(30), look_for_untold)
}
