//! Runs: what was restored from where, what was measured, what it came to.
//!
//! ```text
//!   running ──► passed | failed | impossible | stopped      one at a time of each plan
//! ```

use base::id::{HostId, RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use durable::{Subject, flows};
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::databases::{self, Database};
use super::detection::Detection;
use super::order::Placed;
use super::plans::{self, DrillPlan, Scenario, Terms, listed};
use super::platform::{self, Platform};
use super::rules::{self, Control, Ends, Failure, Found, Measured, Miss, Objectives, Phase, Verdict};
use super::scope::Scope;
use super::{DRILL, KIND};
use crate::backups::text;
use crate::control_plane::brought::Brought;
use crate::plan::versions::{self, Approval};
use crate::{BackupPlaceId, DrillPlanId, DrillRunId, RecoveryId, RecoveryPointId, RepositoryId};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is on its way.
    Running,
    /// Everything that the plan promises was seen.
    Passed,
    /// Something was not.
    Failed,
    /// Nothing was left to restore from or to restore on.
    Impossible,
    /// Somebody stopped it before it was over: it says nothing, neither good nor bad.
    Stopped,
}

impl State {
    const ALL: [State; 5] = [State::Running, State::Passed, State::Failed, State::Impossible, State::Stopped];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Passed => "passed",
            State::Failed => "failed",
            State::Impossible => "impossible",
            State::Stopped => "stopped",
        }
    }
}

impl From<Verdict> for State {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => State::Passed,
            Verdict::Failed => State::Failed,
            Verdict::Impossible => State::Impossible,
            Verdict::Stopped => State::Stopped,
        }
    }
}

/// A disk that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Its name.
    pub disk: String,
    /// Its bytes.
    pub bytes: u64,
    /// How long fetching them took.
    pub milliseconds: u64,
    /// How long hashing them took.
    pub verify_milliseconds: u64,
    /// Digest over what came back, as hashed where it came to.
    pub digest: String,
}

/// A machine that was made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The machine that was saved.
    pub saved: String,
    /// Its snapshot in the repository.
    pub snapshot: String,
    /// The machine that was made of it, for the drill alone.
    pub made: Option<String>,
    /// Where.
    pub host: Option<HostId>,
    /// Its disks, once they are there.
    pub disks: Vec<Disk>,
    /// How long its own loss went unseen, where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_milliseconds: Option<u64>,
    /// The host's task that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_task: Option<String>,
}

/// One service in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// How many come one after the other before it can, from 1.
    pub wave: u32,
    /// Those that must answer before it begins to come back, by id.
    pub after: Vec<String>,
    /// The recovery point.
    pub point: Option<RecoveryPointId>,
    /// The instant that it is of.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// The place whose copy served.
    pub place: Option<BackupPlaceId>,
    /// Its name.
    pub place_name: Option<String>,
    /// The repository there.
    pub repository: Option<RepositoryId>,
    /// The recovery.
    pub recovery: Option<RecoveryId>,
    /// Its machines.
    pub machines: Vec<Machine>,
    /// Where a database was dropped: that, instead of machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// Where the platform itself was lost: that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// When each phase ended.
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub ends: Ends,
    /// How long each took.
    pub phases: Vec<Measured>,
    /// From the incident until it answered.
    pub rto_milliseconds: Option<u64>,
    /// The newest record inside the restored data.
    #[schemars(with = "Option<String>")]
    pub newest_record: Option<Timestamp>,
    /// Its age at the incident.
    pub rpo_milliseconds: Option<u64>,
    /// Why it is not known.
    pub record_problem: Option<String>,
    /// Whether the data is what the same point gave before; unknown until looked at.
    pub data_is_same: Option<bool>,
    /// The host's task by which its repository is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
}

impl Restored {
    pub(crate) fn new(placed: Placed) -> Self {
        let Placed { service, name, wave, after } = placed;
        Restored {
            service,
            name,
            wave,
            after,
            point: None,
            taken_at: None,
            place: None,
            place_name: None,
            repository: None,
            recovery: None,
            machines: Vec::new(),
            database: None,
            platform: None,
            ends: Ends::new(),
            phases: Vec::new(),
            rto_milliseconds: None,
            newest_record: None,
            rpo_milliseconds: None,
            record_problem: None,
            data_is_same: None,
            task: None,
        }
    }

    /// A phase has ended now. The first time counts.
    pub(crate) fn ended(&mut self, phase: Phase, at: Timestamp) {
        self.ends.entry(phase).or_insert(at);
    }

    fn reckon(&mut self, incident: Timestamp, detection: &Detection) {
        self.phases = rules::phases(incident, &self.ends, detection);
        self.rto_milliseconds = rules::rto(incident, &self.ends, detection);
        self.rpo_milliseconds = self.newest_record.map(|newest| rules::rpo(incident, newest));
    }

    fn found(&self, detection: &Detection) -> Found {
        Found {
            service: self.service.clone(),
            answered: self.answered(),
            rto_milliseconds: self.rto_milliseconds,
            detection_problem: detection.problem().map(str::to_owned),
            rpo_milliseconds: self.rpo_milliseconds,
            record_problem: self.record_problem.clone(),
            data_is_same: self.data_is_same == Some(true),
        }
    }

    /// The host that restores it, once that is known.
    pub(crate) fn host(&self) -> Option<HostId> {
        let database = self.database.as_ref().and_then(|database| database.host);
        database.or_else(|| self.machines.first().and_then(|machine| machine.host))
    }

    /// The snapshots that it is restored from.
    pub(crate) fn snapshots(&self) -> Vec<&String> {
        let machines = self.machines.iter().map(|machine| &machine.snapshot);
        machines.chain(self.database.iter().flat_map(Database::snapshots)).collect()
    }

    fn answered(&self) -> bool {
        self.ends.contains_key(&Phase::Boot)
    }

    /// Whether everything came back as it was, however long it took.
    pub(crate) fn is_right(&self) -> bool {
        self.answered() && self.newest_record.is_some() && self.data_is_same == Some(true)
    }
}

/// Who stopped a run before it was over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Who.
    pub by: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: String,
}

/// What a run is about and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// The plan's name when it began.
    pub plan_name: String,
    /// The plan's revision when it began.
    pub plan_revision: i64,
    /// Who had set the plan up so.
    pub planned_by: String,
    /// Who had approved it so, in which version of the continuity plan; absent where nobody had.
    #[serde(default)]
    pub approved: Option<Approval>,
    /// What the plan said when it began.
    pub terms: Terms,
    /// The activities of the impact analysis that its objectives came from; none where the plan said them.
    #[serde(default)]
    pub objectives_because: Vec<String>,
    /// What was taken after this instant is bad.
    #[schemars(with = "Option<String>")]
    pub bad_after: Option<Timestamp>,
    /// How its loss comes to be known, and how long that takes.
    #[serde(default)]
    pub detection: Detection,
    /// The services, in the order in which they come back: each after those that it waits for.
    pub services: Vec<Restored>,
    /// Services that rely on each other in a circle, by name: each such group comes back side by side.
    #[serde(default)]
    pub circles: Vec<Vec<String>>,
    /// The negative control.
    pub control: Control,
    /// The host's task that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control_task: Option<String>,
    /// Who stopped it.
    #[serde(default)]
    pub stopped: Option<Stopped>,
    /// What ended the run before its end.
    pub failure: Option<Failure>,
    /// What it did not see kept.
    pub misses: Vec<Miss>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillRun {
    /// Its id.
    pub id: DrillRunId,
    /// The plan.
    pub plan: DrillPlanId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Counts the plan's runs from 1.
    pub number: i64,
    /// How it stands.
    pub state: State,
    /// The instant of the incident that is played: of its being known, where `detection` says how long that
    /// takes.
    #[schemars(with = "String")]
    pub incident_at: Timestamp,
    /// When it was over.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// Who began it.
    pub started_by: String,
    /// Whether a person did, or else the schedule.
    pub by_hand: bool,
    /// The flow that carries it out.
    pub flow: Option<RunId>,
    /// Whether there is signed evidence of it.
    pub has_evidence: bool,
    /// What it is about and what it found.
    #[serde(flatten)]
    pub body: Body,
}

impl DrillRun {
    /// The worst of its services: when the last one answered, if all did.
    pub fn rto_milliseconds(&self) -> Option<u64> {
        let all: Option<Vec<u64>> = self.body.services.iter().map(|one| one.rto_milliseconds).collect();
        all.and_then(|all| all.into_iter().max())
    }

    /// The worst of its services: the oldest of their newest records, if all are known.
    pub fn rpo_milliseconds(&self) -> Option<u64> {
        let all: Option<Vec<u64>> = self.body.services.iter().map(|one| one.rpo_milliseconds).collect();
        all.and_then(|all| all.into_iter().max())
    }

    /// What was promised when it began. Every run has it; without it nothing would pass.
    pub fn objectives(&self) -> Objectives {
        self.body.terms.objectives.unwrap_or(Objectives { rto_seconds: 0, rpo_seconds: 0 })
    }

    /// What it comes to. Who stopped it wanted to know no more: what was measured until then is kept and not judged.
    pub(crate) fn judge(&self, reached: Phase) -> (Verdict, Vec<Miss>) {
        if self.body.stopped.is_some() {
            return (Verdict::Stopped, Vec::new());
        }
        let detection = &self.body.detection;
        let found: Vec<Found> = self.body.services.iter().map(|one| one.found(detection)).collect();
        let failure = self.body.failure.as_ref().map(|failure| (failure, reached));
        rules::judge(self.objectives(), &found, &self.body.control, failure)
    }
}

const SELECT: &str = "SELECT id, plan, tenant, number, state, incident_at, ended_at, started_by, by_hand, flow, body, evidence IS NOT NULL FROM drill_runs";

fn damaged() -> Error {
    Error::bug("drill.damaged", "a stored run does not read")
}

fn read(row: &Row) -> Result<DrillRun> {
    let state = row.text(4)?;
    Ok(DrillRun {
        id: row.get(0)?,
        plan: row.get(1)?,
        tenant: row.get(2)?,
        number: row.get(3)?,
        state: State::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?,
        incident_at: row.get(5)?,
        ended_at: row.get(6)?,
        started_by: row.get(7)?,
        by_hand: row.get(8)?,
        flow: row.get(9)?,
        body: serde_json::from_str(row.text(10)?).map_err(|e| damaged().because(e))?,
        has_evidence: row.get(11)?,
    })
}

/// The run of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(conn: &mut Conn<'_>, id: DrillRunId) -> Result<DrillRun> {
    let found = conn.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("drill.not_found", format!("there is no drill {id}")))
}

/// Keeps what a run has found by now.
pub(crate) fn save(tx: &mut Tx<'_>, run: &mut DrillRun) -> Result<()> {
    let (incident, detection) = (run.incident_at, run.body.detection.clone());
    run.body.services.iter_mut().for_each(|one| one.reckon(incident, &detection));
    let body = text(&run.body)?;
    tx.execute("UPDATE drill_runs SET body = $2 WHERE id = $1", args![run.id, body]).map(drop)
}

/// Ends a run, with its evidence.
pub(crate) fn close(tx: &mut Tx<'_>, run: &mut DrillRun, evidence: &str) -> Result<()> {
    save(tx, run)?;
    tx.execute(
        "UPDATE drill_runs SET state = $2, ended_at = $3, evidence = $4 WHERE id = $1",
        args![run.id, run.state.word(), run.ended_at, evidence],
    )
    .map(drop)
}

/// The signed evidence of a run that has ended.
pub(crate) fn evidence(conn: &mut Conn<'_>, id: DrillRunId) -> Result<Option<Json>> {
    let sql = "SELECT evidence FROM drill_runs WHERE id = $1";
    let found: Option<Option<String>> = conn.query_opt(sql, args![id], |row| row.get(0))?;
    found.flatten().map(|text| serde_json::from_str(&text).map_err(|e| damaged().because(e))).transpose()
}

/// Begins a run of a plan, in the transaction of what asks for it. The incident is now.
///
/// # Errors
/// `Conflict` where one is on its way (`drill.running`) or the plan has ended (`drillPlan.ended`); as
/// [`plans::promised`].
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    plan: &DrillPlan,
    by_hand: bool,
    bad_after: Option<Timestamp>,
) -> Result<DrillRun> {
    if plan.ended_at.is_some() {
        return Err(Error::conflict("drillPlan.ended", "the plan has ended; make another one"));
    }
    if running(tx, plan.id)?.is_some() {
        let message = "a drill of this plan is on its way just now; wait for it";
        return Err(Error::conflict("drill.running", message));
    }
    let sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM drill_runs WHERE plan = $1";
    let number: i64 = tx.query_one(sql, args![plan.id], |row| row.get(0))?;
    // What a control had found is put right by a control alone.
    let wanted = super::corrective::wants_control(tx, plan.id)?;
    let due = wanted || rules::control_is_due(plan.terms.negative_every, number) || left_control(tx, plan.id, number)?;
    let promised = plans::promised(tx, plan.tenant, &plan.terms)?;
    // What stands at a site now is what this run is about, whatever comes or goes while it lasts.
    let services = plan.terms.scope.services(tx)?;
    let order = plan.terms.scope.order(tx, plan.tenant, &services)?;
    let services = order.placed.into_iter().map(Restored::new).collect();
    let services = databases::instead(tx, &plan.terms.scenario, services)?;
    let services = platform::instead(&plan.terms.scope, services);
    let body = Body {
        plan_name: plan.name.clone(),
        plan_revision: plan.revision,
        planned_by: plan.changed_by.clone(),
        approved: versions::approval(tx, plan.tenant, plan.id, plan.revision)?,
        terms: Terms { objectives: Some(promised.objectives), ..plan.terms.clone() },
        objectives_because: promised.because,
        bad_after: bad_after.or_else(|| unnoticed_since(&plan.terms.scenario, tx.now)),
        detection: Detection::of(&plan.terms.scenario),
        services,
        circles: order.circles,
        control: if due { Control::Due } else { Control::NotDue },
        control_task: None,
        stopped: None,
        failure: None,
        misses: Vec::new(),
    };
    let (id, now, by) = (DrillRunId::fresh(tx.ids(), tx.now), tx.now, tx.cx().actor().to_string());
    let body = text(&body)?;
    tx.execute(
        "INSERT INTO drill_runs (id, plan, tenant, number, state, incident_at, started_by, by_hand, body)
         VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8)",
        args![id, plan.id, plan.tenant, number, now, by, by_hand, body],
    )?;
    let input = serde_json::json!({ "run": id });
    let name = if plan.terms.scope == Scope::ControlPlane { platform::FLOW } else { DRILL };
    let flow = flows::start(tx, name, input, Subject::new(KIND, id.to_string(), plan.tenant))?;
    tx.execute("UPDATE drill_runs SET flow = $2 WHERE id = $1", args![id, flow])?;
    load(tx, id)
}

/// Whether the run before was stopped before the control was made whose turn it was; or just as it came to the
/// worst there is, a damaged copy that restores without complaint: a stop does not make that unseen.
fn left_control(tx: &mut Tx<'_>, plan: DrillPlanId, number: i64) -> Result<bool> {
    let before = number - 1;
    let sql = format!("{SELECT} WHERE plan = $1 AND number = $2 AND state = 'stopped'");
    let stopped = tx.query_opt(&sql, args![plan, before], read)?;
    Ok(stopped.is_some_and(|run| matches!(run.body.control, Control::NotMade { .. } | Control::DamageMissed)))
}

fn unnoticed_since(scenario: &Scenario, incident: Timestamp) -> Option<Timestamp> {
    match scenario {
        Scenario::Ransomware { unnoticed_seconds } => {
            Some(incident - std::time::Duration::from_secs(*unnoticed_seconds))
        }
        _ => None,
    }
}

/// The run of a plan that is on its way.
pub(crate) fn running(conn: &mut Conn<'_>, plan: DrillPlanId) -> Result<Option<DrillRunId>> {
    let sql = "SELECT id FROM drill_runs WHERE plan = $1 AND state = 'running'";
    conn.query_opt(sql, args![plan], |row| row.get(0))
}

/// Which plan, and since when everything is bad.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartDrill {
    /// The plan.
    pub id: DrillPlanId,
    /// What was taken after this instant is bad; as the plan's scenario says unless said otherwise.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub bad_after: Option<Timestamp>,
    /// For the control plane: shares of the master key and the recovery kit, from the people who keep them.
    #[serde(default)]
    pub brought: Option<Brought>,
}

/// Drills a plan now.
pub static RUN: Action<StartDrill, DrillRun> = Action {
    name: "drill.run",
    summary: "Drills a plan now: restores its services beside the real ones, measures, and takes them away again.",
    effect: Effect::Create,
    run: |tx, input| {
        let plan = plans::granted(tx, "drill.run", input.id)?;
        databases::permit(tx, "drill.run", &plan.terms.scenario)?;
        if input.bad_after.is_some_and(|after| after > tx.now) {
            let message = "what will be taken in the future cannot be bad yet";
            return Err(Error::invalid("drill.bad_after", message).at("badAfter"));
        }
        let mut run = begin(tx, &plan, true, input.bad_after)?;
        if let Some(brought) = &input.brought {
            platform::witness(tx, plan.id, &mut run, brought)?;
        }
        Ok(run)
    },
};

/// Which runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListDrills {
    /// Whose; those of the acting tenant unless said otherwise. The operator sees everybody's.
    pub tenant: Option<TenantId>,
    /// Only of this plan.
    pub plan: Option<DrillPlanId>,
    /// Continue after this id; from the newest to the oldest.
    pub after: Option<DrillRunId>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of runs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillPage {
    /// The runs, newest first.
    pub items: Vec<DrillRun>,
    /// Where to go on; absent at the end.
    pub next: Option<DrillRunId>,
}

/// Lists runs.
pub static LIST: Action<ListDrills, DrillPage> = Action {
    name: "drill.list",
    summary: "Lists drills with what they measured, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        let whose = listed(tx, "drill.list", input.tenant)?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let before = input.after.map_or_else(|| "e".to_owned(), |after| after.to_string());
        let sql = format!(
            "{SELECT} WHERE tenant = COALESCE($1, tenant) AND plan = COALESCE($2, plan) AND id < $3 ORDER BY id DESC LIMIT $4"
        );
        let items = tx.query(&sql, args![whose, input.plan, before, limit], read)?;
        let next = items.last().map(|run| run.id).filter(|_| items.len() >= limit as usize);
        Ok(DrillPage { items, next })
    },
};

/// Which run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillRef {
    /// Its id.
    pub id: DrillRunId,
}

/// The run, where the actor may use it so.
pub(crate) fn granted(tx: &mut Tx<'_>, action: &str, id: DrillRunId) -> Result<DrillRun> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// Shows a run.
pub static GET: Action<DrillRef, DrillRun> = Action {
    name: "drill.get",
    summary: "Shows a drill: each phase of each service, beside what was promised.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "drill.get", input.id),
};

/// Which run is stopped, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopDrill {
    /// Its id.
    pub id: DrillRunId,
    /// Why. It is kept with the run and in its evidence.
    pub reason: String,
}

/// Whether a run has failed and is only being taken back.
fn has_failed(conn: &mut Conn<'_>, run: &DrillRun) -> Result<bool> {
    let flows = flows::of_subject(conn, KIND, &run.id.to_string())?;
    Ok(flows.iter().any(|flow| Some(flow.id) == run.flow && flow.is_turned_round() && flow.failure.is_some()))
}

/// Stops a run.
pub static STOP: Action<StopDrill, DrillRun> = Action {
    name: "drill.stop",
    summary: "Stops a drill that is on its way: what was made for it is taken away, and it has neither passed nor failed.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut run = granted(tx, "drill.stop", input.id)?;
        let reason = input.reason.trim();
        if reason.is_empty() || reason.len() > limits::REASON_BYTES_MAX || reason.chars().any(char::is_control) {
            let message = format!("say why in one line of at most {} bytes; it is kept", limits::REASON_BYTES_MAX);
            return Err(Error::invalid("reason.missing", message).at("reason"));
        }
        let over = || Error::conflict("drill.over", "the drill is over: there is nothing to be stopped");
        let flow = run.flow.filter(|_| run.state == State::Running).ok_or_else(over)?;
        if run.body.stopped.is_none() {
            // What it has met already is not undone by stopping it.
            if has_failed(tx, &run)? {
                let message = "the drill has failed, and what it made is being taken away: wait for its report";
                return Err(Error::conflict("drill.over", message));
            }
            let (by, at) = (tx.cx().actor().to_string(), tx.now);
            run.body.stopped = Some(Stopped { by, at, reason: reason.to_owned() });
            save(tx, &mut run)?;
        }
        match flows::unwind(tx, flow, reason) {
            // Whoever is at it looks for that, and takes back itself what it has begun.
            Err(e) if e.code() == "flow.calling" => {}
            Err(e) if matches!(e.code(), "flow.past_return" | "flow.ended") => return Err(over()),
            other => other?,
        }
        load(tx, run.id)
    },
};
