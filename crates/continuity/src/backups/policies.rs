//! Policies: what is backed up when, where to, and for how long. The operator's; each change is
//! a revision, and a recovery point keeps the one that it was taken by.

use std::collections::BTreeSet;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::places::{self, name, taken};
use super::retention::{self, Retention, Verdict};
use super::schedule::Schedule;
use super::{points, store};
use crate::{BackupPlaceId, BackupPolicyId};

/// Most places of one policy.
pub const PLACES_MAX: usize = 8;

/// What is backed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// All disks of each machine, at one instant.
    #[default]
    MachineDisks,
    /// The service's data sets: files and databases.
    DataSets,
    /// Both.
    Everything,
}

impl What {
    pub(crate) fn machines(self) -> bool {
        self != What::DataSets
    }

    pub(crate) fn data_sets(self) -> bool {
        self != What::MachineDisks
    }
}

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// What is backed up.
    pub what: What,
    /// When.
    pub schedule: Schedule,
    /// How many points are kept.
    pub retention: Retention,
    /// Where copies go: the first is written by the host, the others are copied from it. Two at the least.
    pub places: Vec<BackupPlaceId>,
    /// How long what no point holds any more stays recoverable at its place, in hours, 49 at the least.
    #[serde(default = "delay")]
    pub prune_delay_hours: u32,
    /// Whether customers may choose it for services of theirs that have none.
    #[serde(default)]
    pub offered: bool,
}

fn delay() -> u32 {
    72
}

impl Terms {
    /// How long what no point holds any more stays, in hours; never so short that a backup that runs beside a
    /// prune could lose what it counts on.
    pub(crate) fn grace_hours(&self) -> u32 {
        self.prune_delay_hours.max(limits::PRUNE_DELAY_HOURS_MIN)
    }

    fn check(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.schedule.check()?;
        self.retention.check()?;
        let distinct: BTreeSet<_> = self.places.iter().collect();
        if self.places.len() < 2 || self.places.len() > PLACES_MAX || distinct.len() != self.places.len() {
            let message = format!("a policy names from 2 to {PLACES_MAX} places, each once: one copy is none");
            return Err(Error::invalid("policy.places", message).at("places"));
        }
        if self.prune_delay_hours < limits::PRUNE_DELAY_HOURS_MIN || self.prune_delay_hours > 24 * 366 {
            let message = format!(
                "the delay is from {} hours to a year: a prune and a backup beside it may each take a day, and what the backup counts on must not be removed meanwhile",
                limits::PRUNE_DELAY_HOURS_MIN
            );
            return Err(Error::invalid("policy.prune_delay", message).at("pruneDelayHours"));
        }
        let here = tx.cx().tenant();
        for id in &self.places {
            let Some(place) = places::load(tx, *id).ok().filter(|place| place.tenant == here) else {
                let message = format!("there is no place for copies {id}");
                return Err(Error::dangling("backupPlace.absent", message).at("places"));
            };
            // Whoever chooses it may have machines on any host.
            if self.offered && place.location.host().is_some() {
                let message = format!(
                    "{} is a directory of one host: an offered policy names places that every host reaches",
                    place.name
                );
                return Err(Error::invalid("policy.offered_places", message).at("offered"));
            }
        }
        Ok(())
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicy {
    /// Its id.
    pub id: BackupPolicyId,
    /// Its name.
    pub name: String,
    /// Which revision this is.
    pub revision: i64,
    /// What it says.
    #[serde(flatten)]
    pub terms: Terms,
    /// When this revision was made.
    #[schemars(with = "String")]
    pub changed_at: Timestamp,
    #[serde(skip)]
    pub(crate) tenant: TenantId,
}

const SELECT: &str = "SELECT p.id, p.name, r.revision, r.body, r.made_at, p.tenant FROM backup_policies p JOIN backup_policy_revisions r ON r.policy = p.id";

fn read(row: &Row) -> Result<BackupPolicy> {
    let body: String = row.get(3)?;
    Ok(BackupPolicy {
        id: row.get(0)?,
        name: row.get(1)?,
        revision: row.get(2)?,
        terms: serde_json::from_str(&body)
            .map_err(|e| Error::bug("policy.damaged", "a stored policy does not read").because(e))?,
        changed_at: row.get(4)?,
        tenant: row.get(5)?,
    })
}

/// The policy of that id as it is now.
///
/// # Errors
/// `NotFound`.
pub fn load(conn: &mut Conn<'_>, id: BackupPolicyId) -> Result<BackupPolicy> {
    let sql = format!("{SELECT} AND r.revision = p.revision WHERE p.id = $1");
    let found = conn.query_opt(&sql, args![id], read)?;
    found.ok_or_else(|| Error::not_found("backupPolicy.not_found", format!("there is no backup policy {id}")))
}

/// The policy as it was at a revision.
pub(crate) fn at(conn: &mut Conn<'_>, id: BackupPolicyId, revision: i64) -> Result<BackupPolicy> {
    let sql = format!("{SELECT} WHERE p.id = $1 AND r.revision = $2");
    let found = conn.query_opt(&sql, args![id, revision], read)?;
    found.ok_or_else(|| Error::bug("policy.lost", format!("policy {id} has no revision {revision}")))
}

/// The operator's policy of that id.
///
/// # Errors
/// `Dangling` (`backupPolicy.absent`).
pub(crate) fn operators(tx: &mut Tx<'_>, id: BackupPolicyId) -> Result<BackupPolicy> {
    let operator = tx.operator()?;
    let found = load(tx, id).ok().filter(|policy| policy.tenant == operator);
    found.ok_or_else(|| Error::dangling("backupPolicy.absent", format!("there is no backup policy {id}")).at("policy"))
}

/// The operator's policies as they are now, at most a page.
pub(crate) fn all(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<BackupPolicy>> {
    let sql = format!("{SELECT} AND r.revision = p.revision WHERE p.tenant = $1 ORDER BY p.id LIMIT $2");
    tx.query(&sql, args![tenant, limits::PAGE_MAX], read)
}

/// The policy of that name of the operator.
pub(crate) fn named(tx: &mut Tx<'_>, name: &str) -> Result<Option<BackupPolicy>> {
    let operator = tx.operator()?;
    let sql = format!("{SELECT} AND r.revision = p.revision WHERE p.tenant = $1 AND p.name = $2");
    tx.query_opt(&sql, args![operator, name], read)
}

fn granted(tx: &mut Tx<'_>, action: &str, id: BackupPolicyId) -> Result<BackupPolicy> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, "backupPolicy", &id.to_string(), tenant, Class::Internal, found).map(gate::Granted::into_inner)
}

/// A policy to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPolicy {
    /// Its name; a service specification's characteristic `backupPolicy` means it.
    pub name: String,
    /// What is backed up; all disks of each machine unless said otherwise.
    #[serde(default)]
    pub what: What,
    /// When.
    pub schedule: Schedule,
    /// How many points are kept; all of them unless said otherwise.
    #[serde(default)]
    pub retention: Retention,
    /// Where copies go: the first is written by the host, the others are copied from it. Two at the least.
    pub places: Vec<BackupPlaceId>,
    /// How long what no point holds any more stays recoverable at its place, in hours, 49 at the least: longer
    /// than a prune and a backup beside it may take. 72 unless said otherwise.
    #[serde(default = "delay")]
    pub prune_delay_hours: u32,
    /// Whether customers may choose it for services of theirs that have none; not unless said.
    #[serde(default)]
    pub offered: bool,
}

impl NewPolicy {
    fn terms(&self) -> Terms {
        Terms {
            what: self.what,
            schedule: self.schedule.clone(),
            retention: self.retention,
            places: self.places.clone(),
            prune_delay_hours: self.prune_delay_hours,
            offered: self.offered,
        }
    }
}

fn write(tx: &mut Tx<'_>, id: BackupPolicyId, revision: i64, terms: &Terms) -> Result<()> {
    let (now, body, by) = (tx.now, super::text(terms)?, tx.cx().actor().to_string());
    tx.execute(
        "INSERT INTO backup_policy_revisions (policy, revision, body, made_by, made_at) VALUES ($1, $2, $3, $4, $5)",
        args![id, revision, body, by, now],
    )
    .map(drop)
}

/// Makes a policy.
pub static CREATE: Action<NewPolicy, BackupPolicy> = Action {
    name: "backupPolicy.create",
    summary: "Makes a backup policy: what, when, where to, how long.",
    effect: Effect::Create,
    run: |tx, input| {
        name(&input.name)?;
        let terms = input.terms();
        terms.check(tx)?;
        let (id, now, tenant) = (BackupPolicyId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        tx.touch("backupPolicy", &id.to_string(), tenant, 1);
        tx.execute(
            "INSERT INTO backup_policies (id, tenant, name, revision, created_at) VALUES ($1, $2, $3, 1, $4)",
            args![id, tenant, input.name, now],
        )
        .map_err(taken("backupPolicy.name_taken", &input.name))?;
        db::words::begin(tx, "backupPolicy", tenant, &id.to_string(), &[&input.name])?;
        write(tx, id, 1, &terms)?;
        load(tx, id)
    },
};

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPolicies {}

/// All policies, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyPage {
    /// The policies.
    pub items: Vec<BackupPolicy>,
}

/// Lists policies.
pub static LIST: Action<ListPolicies, PolicyPage> = Action {
    name: "backupPolicy.list",
    summary: "Lists backup policies.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = tx.cx().tenant();
        Ok(PolicyPage { items: all(tx, tenant)? })
    },
};

/// Which policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRef {
    /// Its id.
    pub id: BackupPolicyId,
}

/// Shows a policy.
pub static GET: Action<PolicyRef, BackupPolicy> = Action {
    name: "backupPolicy.get",
    summary: "Shows a backup policy as it is now.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "backupPolicy.get", input.id),
};

/// What changes of a policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePolicy {
    /// The policy.
    pub id: BackupPolicyId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// What is backed up from the next run on.
    #[serde(default)]
    pub what: Option<What>,
    /// When, from now on.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// How many points are kept from now on. Preview it first: it judges the points that are there, too.
    #[serde(default)]
    pub retention: Option<Retention>,
    /// Where copies go from the next run on.
    #[serde(default)]
    pub places: Option<Vec<BackupPlaceId>>,
    /// How long what no point holds any more stays recoverable, in hours, 49 at the least.
    #[serde(default)]
    pub prune_delay_hours: Option<u32>,
    /// Whether customers may choose it from now on. Services that have it keep it.
    #[serde(default)]
    pub offered: Option<bool>,
}

/// Changes a policy: its next revision.
pub static UPDATE: Action<ChangePolicy, BackupPolicy> = Action {
    name: "backupPolicy.update",
    summary: "Changes a backup policy; what it said before is kept as a revision.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "backupPolicy.update", input.id)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("the policy is at revision {} by now", found.revision);
            return Err(Error::stale("backupPolicy.stale", message));
        }
        let called = input.name.as_ref().unwrap_or(&found.name);
        name(called)?;
        let terms = Terms {
            what: input.what.unwrap_or(found.terms.what),
            schedule: input.schedule.clone().unwrap_or_else(|| found.terms.schedule.clone()),
            retention: input.retention.unwrap_or(found.terms.retention),
            places: input.places.clone().unwrap_or_else(|| found.terms.places.clone()),
            prune_delay_hours: input.prune_delay_hours.unwrap_or(found.terms.prune_delay_hours),
            offered: input.offered.unwrap_or(found.terms.offered),
        };
        terms.check(tx)?;
        let platforms = crate::control_plane::is_kept_by(tx, input.id)?;
        if platforms {
            crate::control_plane::check_places(tx, &terms.places)?;
        }
        tx.execute(
            "UPDATE backup_policies SET name = $2, revision = $3 WHERE id = $1",
            args![input.id, called, found.revision + 1],
        )
        .map_err(taken("backupPolicy.name_taken", called))?;
        db::words::keep(tx, "backupPolicy", found.tenant, &input.id.to_string(), &[called])?;
        write(tx, input.id, found.revision + 1, &terms)?;
        if terms.schedule != found.terms.schedule {
            store::reschedule(tx, input.id, &terms.schedule)?;
            if platforms {
                crate::control_plane::reschedule(tx, &terms.schedule)?;
            }
        }
        load(tx, input.id)
    },
};

/// Which service under which rules.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// The service.
    pub id: String,
    /// The rules to try; those of its policy unless said otherwise.
    #[serde(default)]
    pub retention: Option<Retention>,
}

/// What would stay and what would go.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Previewed {
    /// The rules that were tried.
    pub retention: Retention,
    /// Whether anything would be let go now; not so while the newest good point is not there in every place.
    pub lets_go: bool,
    /// Each point, newest first, with the rules that keep it. None: it would go.
    pub items: Vec<Verdict>,
}

/// Shows what a retention would let go, without letting anything go.
pub static PREVIEW: Action<Preview, Previewed> = Action {
    name: "protection.preview",
    summary: "Shows which recovery points of a service rules of retention would keep, and which would go.",
    effect: Effect::Read,
    run: |tx, input| {
        points::service(tx, "protection.preview", &input.id)?;
        let policy = store::protection(tx, &input.id)?.map(|known| load(tx, known.policy)).transpose()?;
        let policy = policy.ok_or_else(|| super::unprotected(&input.id))?;
        let retention = input.retention.unwrap_or(policy.terms.retention);
        retention.check()?;
        let judged = store::judged(tx, &input.id)?;
        let items = retention::keep(&judged, &retention, &policy.terms.schedule.zone());
        Ok(Previewed { retention, lets_go: store::may_let_go(tx, &judged, &policy)?, items })
    },
};

/// Which policy under which rules.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewPolicy {
    /// The policy.
    pub id: BackupPolicyId,
    /// The rules to try; its own unless said otherwise.
    #[serde(default)]
    pub retention: Option<Retention>,
    /// The time zone whose days count; the policy's own unless said otherwise.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Continue after this service.
    #[serde(default)]
    pub after: Option<String>,
}

/// What rules would do to the points of one service.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePreview {
    /// The service.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whether anything would be let go now; not so while the newest good point is not there in every place.
    pub lets_go: bool,
    /// How many points would stay.
    pub keeps: u32,
    /// The points that would go, newest first.
    pub goes: Vec<Verdict>,
}

/// What rules would do to a policy's services.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPreviewed {
    /// The rules that were tried.
    pub retention: Retention,
    /// Its services, by their ids.
    pub items: Vec<ServicePreview>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// How many services are previewed at once: each reads all its points.
const PREVIEWED: u32 = 50;

/// Shows what other rules would let go of everything that has the policy.
pub static PREVIEW_ALL: Action<PreviewPolicy, PolicyPreviewed> = Action {
    name: "backupPolicy.preview",
    summary: "Shows which recovery points of a policy's services its rules of retention, or others, would let go.",
    effect: Effect::Read,
    run: |tx, input| {
        let policy = granted(tx, "backupPolicy.preview", input.id)?;
        let retention = input.retention.unwrap_or(policy.terms.retention);
        retention.check()?;
        let own = &policy.terms.schedule;
        let zone =
            Schedule { time_zone: input.time_zone.clone().unwrap_or_else(|| own.time_zone.clone()), ..own.clone() };
        zone.check()?;
        let after = input.after.as_deref().unwrap_or_default();
        let services = store::services_of(tx, policy.id, after, PREVIEWED)?;
        let mut items = Vec::with_capacity(services.len());
        for (service, tenant) in services {
            let judged = store::judged(tx, &service)?;
            let verdicts = retention::keep(&judged, &retention, &zone.zone());
            let all = verdicts.len();
            let goes: Vec<Verdict> = verdicts.into_iter().filter(Verdict::goes).collect();
            let keeps = u32::try_from(all - goes.len()).unwrap_or(u32::MAX);
            items.push(ServicePreview {
                lets_go: store::may_let_go(tx, &judged, &policy)?,
                service,
                tenant,
                keeps,
                goes,
            });
        }
        let next = items.last().map(|last| last.service.clone()).filter(|_| items.len() >= PREVIEWED as usize);
        Ok(PolicyPreviewed { retention, items, next })
    },
};
