//! Plans: what is brought back when what is lost, how fast, with how little loss, how often.
//! A tenant's; each change is a revision, and a run keeps the terms that it began with.

use std::collections::BTreeSet;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args, records};
use gate::{Action, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::corrective;
use super::databases::{self, LostDatabase};
use super::platform;
use super::rules::Objectives;
use super::scope::Scope;
use crate::backups::schedule::Schedule;
use crate::backups::{places, text};
use crate::{BackupPlaceId, DrillPlanId, alarms, bia};

/// The kind of a plan, in audit and policies.
pub const KIND: &str = "drillPlan";
/// Longest objective, in seconds: a year.
const OBJECTIVE_SECONDS_MAX: u64 = 366 * 86_400;
/// How long a corrective action has unless its plan says otherwise, in days.
const ACTION_DAYS: u32 = 14;

/// What is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Scenario {
    /// The machine and its disks.
    MachineLost,
    /// The host with everything on it, copies too.
    HostLost,
    /// The site with all its hosts, copies there too.
    SiteLost,
    /// Everything is encrypted, and was for some time before anybody noticed: what was taken since then is bad.
    Ransomware {
        /// For how long before the incident, in seconds.
        unnoticed_seconds: u64,
    },
    /// The machine, and one place of copies.
    BackupServerLost {
        /// The place.
        place: BackupPlaceId,
    },
    /// Databases were dropped; machines are as they were. Only for services that the plan names.
    DatabaseLost {
        /// Which, from 1 to 20; at least one of each service.
        databases: Vec<LostDatabase>,
    },
    /// The server itself with its data directory and its database. Only for the scope `controlPlane`.
    ControlPlaneLost,
}

impl Scenario {
    /// The word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Scenario::MachineLost => "machineLost",
            Scenario::HostLost => "hostLost",
            Scenario::SiteLost => "siteLost",
            Scenario::Ransomware { .. } => "ransomware",
            Scenario::BackupServerLost { .. } => "backupServerLost",
            Scenario::DatabaseLost { .. } => "databaseLost",
            Scenario::ControlPlaneLost => "controlPlaneLost",
        }
    }
}

/// Where a restored service tells of its newest record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordAt {
    /// The path that is asked for, at the port of the machine's own check.
    #[serde(default = "path")]
    pub path: String,
    /// Where in the JSON that answers (RFC 6901): seconds or milliseconds since 1970, or RFC 3339. It must
    /// be of what was restored: not of what the restored machine has written since.
    #[serde(default = "pointer")]
    pub pointer: String,
}

fn path() -> String {
    "/status.json".to_owned()
}

fn pointer() -> String {
    "/lastSecondBeforeBoot".to_owned()
}

impl Default for RecordAt {
    fn default() -> Self {
        RecordAt { path: path(), pointer: pointer() }
    }
}

/// What a plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// What comes back.
    pub scope: Scope,
    /// What is lost.
    pub scenario: Scenario,
    /// The place whose copy must serve; any that is left where absent.
    #[serde(default)]
    pub place: Option<BackupPlaceId>,
    /// What is promised; where absent, what the impact analysis says when a run begins.
    #[serde(default)]
    pub objectives: Option<Objectives>,
    /// When it is drilled by itself; only by hand where absent.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Every so many runs also restore from a copy that was damaged on purpose, which must fail; 0 for never.
    #[serde(default)]
    pub negative_every: u32,
    /// Who sees to what it finds: a name or an address.
    pub owner: String,
    /// Where the newest record is read.
    #[serde(default)]
    pub record: RecordAt,
    /// How long a corrective action has, in days.
    #[serde(default = "action_days")]
    pub action_days: u32,
}

fn action_days() -> u32 {
    ACTION_DAYS
}

pub(super) fn invalid(code: &str, message: impl Into<String>, at: &str) -> Error {
    Error::invalid(code.to_owned(), message.into()).at(at.to_owned())
}

impl Terms {
    /// What can be said without looking anything up.
    fn check(&self) -> Result<()> {
        self.scope.check()?;
        platform::check(self)?;
        if let Scenario::DatabaseLost { databases } = &self.scenario {
            databases::check(databases, &self.scope)?;
        }
        let within = |seconds: u64| (1..=OBJECTIVE_SECONDS_MAX).contains(&seconds);
        if self.objectives.is_some_and(|own| !within(own.rto_seconds) || !within(own.rpo_seconds)) {
            return Err(invalid("drillPlan.objectives", "an objective is from a second to a year", "objectives"));
        }
        if matches!(self.scenario, Scenario::Ransomware { unnoticed_seconds } if unnoticed_seconds > OBJECTIVE_SECONDS_MAX)
        {
            return Err(invalid("drillPlan.scenario", "nothing stays unnoticed for longer than a year", "scenario"));
        }
        if matches!(self.scenario, Scenario::BackupServerLost { place } if Some(place) == self.place) {
            return Err(invalid("drillPlan.scenario", "the place that is lost cannot be the one that serves", "place"));
        }
        self.schedule.as_ref().map_or(Ok(()), Schedule::check)?;
        let owner = self.owner.trim();
        if owner.is_empty() || owner.len() > limits::TEXT_INDEXED_MAX || owner.chars().any(char::is_control) {
            return Err(invalid("drillPlan.owner", "somebody must see to what a drill finds: name them", "owner"));
        }
        if !(1..=366).contains(&self.action_days) {
            return Err(invalid("drillPlan.action_days", "a corrective action has from 1 to 366 days", "actionDays"));
        }
        let clean = |text: &str| text.len() <= limits::TEXT_INDEXED_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        let RecordAt { path, pointer } = &self.record;
        let pointed = (pointer.is_empty() || pointer.starts_with('/')) && pointer.len() <= limits::TEXT_INDEXED_MAX;
        if !path.starts_with('/') || !clean(path) || !pointed {
            let message = "the newest record needs a path such as /status.json and a JSON pointer such as /newest";
            return Err(invalid("drillPlan.record", message, "record"));
        }
        Ok(())
    }

    /// Whether everything that it names is there; says whose services they are.
    fn whose(&self, tx: &mut Tx<'_>, action: &str) -> Result<TenantId> {
        let tenant = self.scope.whose(tx, action)?;
        if let Scenario::DatabaseLost { databases } = &self.scenario {
            let services = self.scope.services(tx)?;
            databases::belong(tx, databases, tenant, &services)?;
            databases::permit(tx, action, &self.scenario)?;
        }
        let lost = match &self.scenario {
            Scenario::BackupServerLost { place } => Some(*place),
            _ => None,
        };
        for place in self.place.iter().chain(&lost) {
            if places::load(tx, *place).is_err() {
                let message = format!("there is no place for copies {place}");
                return Err(Error::dangling("backupPlace.absent", message).at("place"));
            }
        }
        Ok(tenant)
    }
}

/// What is promised of a plan, and because of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised {
    /// The promise.
    pub objectives: Objectives,
    /// The activities that it comes from; none where the plan itself says it.
    pub because: Vec<String>,
}

/// What is promised at this moment: by the plan itself, or the strictest that any of its services
/// inherits from the activities that depend on it (ISO 22301, 8.2.2).
///
/// # Errors
/// `Conflict` (`drillPlan.no_objectives`) where neither says anything; as [`Scope::services`].
pub(crate) fn promised(tx: &mut Tx<'_>, tenant: TenantId, terms: &Terms) -> Result<Promised> {
    if let Some(objectives) = terms.objectives {
        return Ok(Promised { objectives, because: Vec::new() });
    }
    let services = terms.scope.services(tx)?;
    let inherited = bia::objectives_of(tx, tenant, &services)?;
    let rto = inherited.values().filter_map(|one| one.rto_seconds).min();
    let rpo = inherited.values().filter_map(|one| one.rpo_seconds).min();
    let Some((rto_seconds, rpo_seconds)) = rto.zip(rpo) else {
        let message = "the impact analysis does not say how fast these services must be back and how much may be lost; assess the activities that need them, or say it in the plan";
        return Err(Error::conflict("drillPlan.no_objectives", message).at("objectives"));
    };
    let because: BTreeSet<String> =
        inherited.values().flat_map(|one| &one.because).map(|activity| activity.name.clone()).collect();
    Ok(Promised { objectives: Objectives { rto_seconds, rpo_seconds }, because: because.into_iter().collect() })
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillPlan {
    /// Its id.
    pub id: DrillPlanId,
    /// Whose services it is about.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: i64,
    /// What it says.
    #[serde(flatten)]
    pub terms: Terms,
    /// When it runs next by itself.
    #[schemars(with = "Option<String>")]
    pub next_due: Option<Timestamp>,
    /// Who made or changed it last.
    pub changed_by: String,
    /// When.
    #[schemars(with = "String")]
    pub changed_at: Timestamp,
    /// Since when it is drilled no more.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
}

const SELECT: &str =
    "SELECT id, tenant, name, revision, body, next_due, changed_by, changed_at, ended_at FROM drill_plans";

fn read(row: &Row) -> Result<DrillPlan> {
    Ok(DrillPlan {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        revision: row.get(3)?,
        terms: serde_json::from_str(row.text(4)?)
            .map_err(|e| Error::bug("drillPlan.damaged", "a stored plan does not read").because(e))?,
        next_due: row.get(5)?,
        changed_by: row.get(6)?,
        changed_at: row.get(7)?,
        ended_at: row.get(8)?,
    })
}

/// The plan of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(conn: &mut Conn<'_>, id: DrillPlanId) -> Result<DrillPlan> {
    let found = conn.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("drillPlan.not_found", format!("there is no drill plan {id}")))
}

/// The plan, where the actor may use it so.
pub(crate) fn granted(tx: &mut Tx<'_>, action: &str, id: DrillPlanId) -> Result<DrillPlan> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// When a plan is drilled next.
fn next(tx: &Tx<'_>, id: DrillPlanId, terms: &Terms) -> Result<Option<Timestamp>> {
    terms.schedule.as_ref().map(|schedule| schedule.next(tx.now, &id.to_string())).transpose()
}

/// Sets when a plan is drilled next.
pub(crate) fn reschedule(tx: &mut Tx<'_>, plan: &DrillPlan) -> Result<()> {
    let due = next(tx, plan.id, &plan.terms)?;
    tx.execute("UPDATE drill_plans SET next_due = $2 WHERE id = $1", args![plan.id, due]).map(drop)
}

/// Plans that are due, the longest waiting first.
pub(crate) fn due(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<(DrillPlanId, TenantId)>> {
    let sql = "SELECT id, tenant FROM drill_plans WHERE ended_at IS NULL AND next_due <= $1 ORDER BY next_due LIMIT $2";
    conn.query(sql, args![now, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn named(name: &str) -> Result<()> {
    let name = name.trim();
    if name.is_empty() || name.len() > limits::TEXT_INDEXED_MAX || name.chars().any(char::is_control) {
        return Err(invalid("drillPlan.name", "a plan needs a name without control characters", "name"));
    }
    Ok(())
}

/// A plan to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewPlan {
    /// Its name.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub terms: Terms,
}

/// Makes a plan.
pub static CREATE: Action<NewPlan, DrillPlan> = Action {
    name: "drillPlan.create",
    summary: "Makes a drill plan: what comes back when what is lost, how fast, how often.",
    effect: Effect::Create,
    run: |tx, input| {
        named(&input.name)?;
        input.terms.check()?;
        let tenant = input.terms.whose(tx, "drillPlan.create")?;
        promised(tx, tenant, &input.terms)?;
        let (id, now, by) = (DrillPlanId::fresh(tx.ids(), tx.now), tx.now, tx.cx().actor().to_string());
        let (body, due) = (text(&input.terms)?, next(tx, id, &input.terms)?);
        tx.touch(KIND, &id.to_string(), tenant, 1);
        tx.execute(
            "INSERT INTO drill_plans (id, tenant, name, revision, body, next_due, changed_by, changed_at, created_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $7)",
            args![id, tenant, input.name.trim(), body, due, by, now],
        )?;
        db::words::begin(tx, KIND, tenant, &id.to_string(), &[input.name.trim()])?;
        load(tx, id)
    },
};

/// Which plans.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListPlans {
    /// Whose; those of the acting tenant unless said otherwise. The operator sees everybody's.
    pub tenant: Option<TenantId>,
    /// Only plans with this service.
    pub service: Option<String>,
    /// Also those that have ended.
    pub ended: bool,
}

/// Plans, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanPage {
    /// The plans.
    pub items: Vec<DrillPlan>,
}

/// Whose a list is: the tenant's that was named, else the acting one's; whoever sees everybody sees everybody's.
pub(crate) fn listed(tx: &mut Tx<'_>, action: &str, named: Option<TenantId>) -> Result<Option<TenantId>> {
    let tenant = named.unwrap_or(tx.cx().tenant());
    tx.grant(action, "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
    let everybody = named.is_none() && *tx.cx().scope() == records::Scope::All;
    Ok((!everybody).then_some(tenant))
}

/// Lists plans.
pub static LIST: Action<ListPlans, PlanPage> = Action {
    name: "drillPlan.list",
    summary: "Lists drill plans.",
    effect: Effect::Read,
    run: |tx, input| {
        let whose = listed(tx, "drillPlan.list", input.tenant)?;
        let sql = format!(
            "{SELECT} WHERE tenant = COALESCE($1, tenant) AND ($2 = 1 OR ended_at IS NULL) ORDER BY id DESC LIMIT $3"
        );
        let mut items = tx.query(&sql, args![whose, input.ended, limits::PAGE_MAX], read)?;
        if let Some(service) = &input.service {
            let mut with = Vec::with_capacity(items.len());
            for plan in items {
                if plan.terms.scope.has(tx, service)? {
                    with.push(plan);
                }
            }
            items = with;
        }
        Ok(PlanPage { items })
    },
};

/// Which plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRef {
    /// Its id.
    pub id: DrillPlanId,
}

/// Shows a plan.
pub static GET: Action<PlanRef, DrillPlan> = Action {
    name: "drillPlan.get",
    summary: "Shows a drill plan as it is now.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "drillPlan.get", input.id),
};

/// A plan's new terms.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePlan {
    /// The plan.
    pub id: DrillPlanId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// What is promised from now on.
    #[serde(default)]
    pub objectives: Option<Objectives>,
    /// When it is drilled from now on.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// How often with a negative control.
    #[serde(default)]
    pub negative_every: Option<u32>,
    /// Who sees to what it finds.
    #[serde(default)]
    pub owner: Option<String>,
    /// Where the newest record is read.
    #[serde(default)]
    pub record: Option<RecordAt>,
}

/// Changes a plan: its next revision. What is lost and what comes back stays: that is another plan.
pub static UPDATE: Action<ChangePlan, DrillPlan> = Action {
    name: "drillPlan.update",
    summary: "Changes a drill plan's objectives, schedule, owner or record; its runs keep what they began with.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut found = granted(tx, "drillPlan.update", input.id)?;
        // Who gives a plan another date has it run.
        databases::permit(tx, "drillPlan.update", &found.terms.scenario)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("the plan is at revision {} by now", found.revision);
            return Err(Error::stale("drillPlan.stale", message));
        }
        let terms = &mut found.terms;
        if let Some(objectives) = input.objectives {
            terms.objectives = Some(objectives);
        }
        terms.schedule = input.schedule.clone().or(terms.schedule.take());
        terms.negative_every = input.negative_every.unwrap_or(terms.negative_every);
        if let Some(owner) = &input.owner {
            terms.owner.clone_from(owner);
        }
        if let Some(record) = &input.record {
            terms.record = record.clone();
        }
        let name = input.name.as_ref().unwrap_or(&found.name);
        named(name)?;
        terms.check()?;
        let (now, by) = (tx.now, tx.cx().actor().to_string());
        let (body, due) = (text(&found.terms)?, next(tx, found.id, &found.terms)?);
        tx.execute(
            "UPDATE drill_plans SET name = $2, revision = revision + 1, body = $3, next_due = $4, changed_by = $5, changed_at = $6 WHERE id = $1",
            args![input.id, name.trim(), body, due, by, now],
        )?;
        db::words::keep(tx, KIND, found.tenant, &input.id.to_string(), &[name.trim()])?;
        load(tx, input.id)
    },
};

/// Ends a plan: it is drilled no more, and what it found stays to be read.
pub static END: Action<PlanRef, DrillPlan> = Action {
    name: "drillPlan.end",
    summary: "Ends a drill plan. Its runs and their evidence stay; its open corrective actions are withdrawn, since no run can close them any more.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "drillPlan.end", input.id)?;
        end(tx, input.id)?;
        load(tx, input.id)
    },
};

fn end(tx: &mut Tx<'_>, id: DrillPlanId) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE drill_plans SET ended_at = COALESCE(ended_at, $2), next_due = NULL WHERE id = $1";
    tx.execute(sql, args![id, now])?;
    alarms::plan_ended(tx, id)?;
    corrective::withdraw(tx, id, None)
}

/// A service is no more: plans go on without it, and end where it was the only one that they name. A
/// plan of a site goes on in any case: what stands there is looked up when it runs. The reaction to
/// provisioning's `ServiceTerminated`.
///
/// # Errors
/// Those of the database.
pub fn service_terminated(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let tenant = tx.peek(&SERVICE, service)?.tenant;
    let sql = format!("{SELECT} WHERE tenant = $1 AND ended_at IS NULL ORDER BY id");
    let open = tx.query(&sql, args![tenant], read)?;
    for mut plan in open {
        let services = match &mut plan.terms.scope {
            Scope::ControlPlane => continue,
            Scope::Site { .. } => {
                corrective::withdraw(tx, plan.id, Some(service))?;
                continue;
            }
            Scope::Services { services, .. } if services.iter().any(|one| one == service) => services,
            Scope::Services { .. } => continue,
        };
        services.retain(|one| one != service);
        if services.is_empty() {
            end(tx, plan.id)?;
            continue;
        }
        databases::without(tx, &mut plan.terms.scenario, service)?;
        let (now, by, body) = (tx.now, tx.cx().actor().to_string(), text(&plan.terms)?);
        let sql =
            "UPDATE drill_plans SET revision = revision + 1, body = $2, changed_by = $3, changed_at = $4 WHERE id = $1";
        tx.execute(sql, args![plan.id, body, by, now])?;
        corrective::withdraw(tx, plan.id, Some(service))?;
    }
    Ok(())
}
