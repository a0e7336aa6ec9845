//! Exercises: people try the plan, at a table or for real, and write down what they saw.
//!
//! ```text
//!   planned ─conclude─► passed │ notPassed        planned ─cancel─► cancelled
//! ```
//!
//! **Invariants** (tests: `plan::tests`)
//! - a technical or full exercise is passed only with drills of that week that passed: saying so is not
//!   enough;
//! - nobody observes what they carry out, and a finding is an observer's only where they observed.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backups::text;
use crate::drills::runs::{self, DrillRun};
use crate::plan::findings::{self, Finding, NewFinding, Source};
use crate::plan::{Nothing, steps, words};
use crate::{DrillRunId, ExerciseId};

/// The kind of an exercise, in audit and policies.
pub const KIND: &str = "exercise";
/// Most participants, and most drills, of one.
const LIST_MAX: usize = 100;
/// How far a drill may lie from its exercise, in seconds: a week.
const DRILL_SECONDS_MAX: i64 = 7 * 86_400;

/// How it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// At a table: what would we do?
    TableTop,
    /// Step by step, at the places where it would happen.
    WalkThrough,
    /// Services are really brought back.
    Technical,
    /// All of it, as if it had happened.
    Full,
}

impl Mode {
    /// Whether drills must have shown it.
    pub fn is_for_real(self) -> bool {
        matches!(self, Mode::Technical | Mode::Full)
    }
}

/// How an exercise stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is still to come.
    Planned,
    /// What was to be shown was shown.
    Passed,
    /// It was not.
    NotPassed,
    /// It was not held.
    Cancelled,
}

impl State {
    const ALL: [State; 4] = [State::Planned, State::Passed, State::NotPassed, State::Cancelled];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Passed => "passed",
            State::NotPassed => "notPassed",
            State::Cancelled => "cancelled",
        }
    }
}

/// What is tried, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// What it is called.
    pub name: String,
    /// How.
    pub mode: Mode,
    /// What has happened, in the play.
    pub scenario: String,
    /// Who leads it.
    pub lead: String,
    /// Who takes part.
    #[serde(default)]
    pub participants: Vec<String>,
    /// Who is to watch: independent, so nobody who leads it or takes part.
    #[serde(default)]
    pub observers: Vec<String>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// When it was held.
    #[schemars(with = "String")]
    pub held_at: Timestamp,
    /// What happened, as it was written down.
    pub record: String,
    /// The drills that were part of it.
    pub drills: Vec<DrillRunId>,
    /// Who watched it, and neither led it nor took part.
    #[serde(default)]
    pub observers: Vec<String>,
    /// The account that wrote it down.
    pub recorded_by: String,
}

/// An exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exercise {
    /// Its id.
    pub id: ExerciseId,
    /// Whose.
    pub tenant: TenantId,
    /// How it stands.
    pub state: State,
    /// When it is to be held.
    #[schemars(with = "String")]
    pub planned_at: Timestamp,
    /// Its time has passed and nobody has said what came of it.
    pub overdue: bool,
    /// What is tried.
    #[serde(flatten)]
    pub terms: Terms,
    /// What was seen.
    pub outcome: Option<Outcome>,
}

const SELECT: &str = "SELECT id, tenant, state, planned_at, body, outcome FROM exercises";

fn damaged() -> Error {
    Error::bug("exercise.damaged", "a stored exercise does not read")
}

fn read(row: &Row, now: Timestamp) -> Result<Exercise> {
    let word = row.text(2)?;
    let state = State::ALL.into_iter().find(|known| known.word() == word).ok_or_else(damaged)?;
    let (planned_at, outcome): (Timestamp, Option<String>) = (row.get(3)?, row.get(5)?);
    let outcome = outcome.map(|text| serde_json::from_str(&text).map_err(|e| damaged().because(e))).transpose()?;
    Ok(Exercise {
        id: row.get(0)?,
        tenant: row.get(1)?,
        state,
        planned_at,
        overdue: state == State::Planned && planned_at < now,
        terms: serde_json::from_str(row.text(4)?).map_err(|e| damaged().because(e))?,
        outcome,
    })
}

fn granted(tx: &mut Tx<'_>, action: &str, id: ExerciseId) -> Result<Exercise> {
    let now = tx.now;
    let found = tx.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], |row| read(row, now))?;
    let found = found.ok_or_else(|| Error::not_found("exercise.not_found", format!("there is no exercise {id}")))?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// How many exercises of a tenant have passed since then.
pub(crate) fn passed_since(conn: &mut Conn<'_>, tenant: TenantId, since: Timestamp) -> Result<usize> {
    let sql = "SELECT COUNT(*) FROM exercises WHERE tenant = $1 AND state = 'passed' AND planned_at >= $2";
    conn.query_one(sql, args![tenant, since], |row| Ok(usize::try_from(row.get::<i64>(0)?).unwrap_or(0)))
}

fn checked(terms: &Terms) -> Result<Terms> {
    if terms.participants.len() > LIST_MAX {
        return Err(Error::invalid("exercise.participants", format!("at most {LIST_MAX} take part")).at("participants"));
    }
    let participants = terms.participants.iter().map(|name| words::named(name, "participants"));
    let mut checked = Terms {
        name: words::named(&terms.name, "name")?,
        mode: terms.mode,
        scenario: words::told(&terms.scenario, "scenario")?,
        lead: words::named(&terms.lead, "lead")?,
        participants: participants.collect::<Result<_>>()?,
        observers: Vec::new(),
    };
    checked.observers = independent(&checked, &terms.observers)?;
    Ok(checked)
}

/// Whether two names are one person's, as far as names tell.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// Names of people who watch: nobody who leads it or takes part. Pure.
///
/// # Errors
/// `Invalid` (`exercise.observer_takes_part`, `exercise.participants`).
fn independent(terms: &Terms, observers: &[String]) -> Result<Vec<String>> {
    if observers.len() > LIST_MAX {
        return Err(Error::invalid("exercise.participants", format!("at most {LIST_MAX} observe")).at("observers"));
    }
    let observers: Vec<String> = observers.iter().map(|name| words::named(name, "observers")).collect::<Result<_>>()?;
    let carries_out = |name: &String| terms.participants.iter().chain([&terms.lead]).any(|other| is_same(name, other));
    match observers.iter().find(|name| carries_out(name)) {
        Some(name) => {
            let message = format!("{name} leads the exercise or takes part: somebody else observes it");
            Err(Error::invalid("exercise.observer_takes_part", message).at("observers"))
        }
        None => Ok(observers),
    }
}

/// Who observed an exercise, once it was held.
pub(crate) fn observers(conn: &mut Conn<'_>, id: &str) -> Result<Vec<String>> {
    let sql = "SELECT outcome FROM exercises WHERE id = $1";
    let outcome: Option<Option<String>> = conn.query_opt(sql, args![id], |row| row.get(0))?;
    let read = |text: String| serde_json::from_str::<Outcome>(&text).map_err(|e| damaged().because(e));
    Ok(outcome.flatten().map(read).transpose()?.map(|outcome| outcome.observers).unwrap_or_default())
}

/// Whoever found something, where that was an observer. Pure.
///
/// # Errors
/// `Invalid` (`finding.observer`) where they did not observe.
pub(crate) fn observed(observers: &[String], by: Option<&String>) -> Result<Option<String>> {
    let Some(name) = by.filter(|name| !name.trim().is_empty()) else { return Ok(None) };
    let found = observers.iter().find(|known| is_same(known, name)).cloned();
    let message = format!("{name} did not observe it: name one of its observers, or nobody");
    found.map(Some).ok_or_else(|| Error::invalid("finding.observer", message).at("observedBy"))
}

/// An exercise to be held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewExercise {
    /// When.
    #[schemars(with = "String")]
    pub planned_at: Timestamp,
    /// What is tried.
    #[serde(flatten)]
    pub terms: Terms,
}

/// Plans an exercise, for an action that has checked that it may.
pub(crate) fn plan(tx: &mut Tx<'_>, tenant: TenantId, input: &NewExercise) -> Result<ExerciseId> {
    let terms = checked(&input.terms)?;
    let body = text(&terms)?;
    let (id, now) = (ExerciseId::fresh(tx.ids(), tx.now), tx.now);
    tx.touch(KIND, &id.to_string(), tenant, 0);
    tx.execute(
        "INSERT INTO exercises (id, tenant, state, planned_at, body, created_at) VALUES ($1, $2, 'planned', $3, $4, $5)",
        args![id, tenant, input.planned_at, body, now],
    )?;
    db::words::begin(tx, KIND, tenant, &id.to_string(), &[&terms.name])?;
    Ok(id)
}

/// Plans an exercise.
pub static CREATE: Action<NewExercise, Exercise> = Action {
    name: "exercise.create",
    summary: "Plans an exercise: what is tried, how, by whom, when.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = tx.cx().tenant();
        let id = plan(tx, tenant, input)?;
        granted(tx, "exercise.create", id)
    },
};

/// Exercises, at most a page.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExercisePage {
    /// The exercises, the latest first.
    pub items: Vec<Exercise>,
}

/// A tenant's exercises, the latest first.
pub(crate) fn all(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Exercise>> {
    let now = tx.now;
    let sql = format!("{SELECT} WHERE tenant = $1 ORDER BY planned_at DESC, id DESC LIMIT $2");
    tx.query(&sql, args![tenant, limits::PAGE_MAX], |row| read(row, now))
}

/// Lists exercises.
pub static LIST: Action<Nothing, ExercisePage> = Action {
    name: "exercise.list",
    summary: "Lists exercises, the latest first.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = steps::own(tx, "exercise.list")?;
        Ok(ExercisePage { items: all(tx, tenant)? })
    },
};

/// Which exercise.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExerciseRef {
    /// Its id.
    pub id: ExerciseId,
}

/// An exercise with what it found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExerciseDetail {
    /// The exercise.
    #[serde(flatten)]
    pub exercise: Exercise,
    /// What it found.
    pub findings: Vec<Finding>,
}

fn detail(tx: &mut Tx<'_>, action: &str, id: ExerciseId) -> Result<ExerciseDetail> {
    let exercise = granted(tx, action, id)?;
    let now = tx.now;
    Ok(ExerciseDetail { exercise, findings: findings::of(tx, &id.to_string(), now)? })
}

/// Shows an exercise.
pub static GET: Action<ExerciseRef, ExerciseDetail> = Action {
    name: "exercise.get",
    summary: "Shows an exercise, what was seen, and what it found.",
    effect: Effect::Read,
    run: |tx, input| detail(tx, "exercise.get", input.id),
};

fn still_planned(exercise: &Exercise) -> Result<()> {
    match exercise.state {
        State::Planned => Ok(()),
        state => Err(Error::conflict("exercise.over", format!("the exercise is {} already", state.word()))),
    }
}

/// An exercise, as it is to be held from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeExercise {
    /// Which.
    pub id: ExerciseId,
    /// When and what.
    #[serde(flatten)]
    pub exercise: NewExercise,
}

/// Changes an exercise that is still to come.
pub static UPDATE: Action<ChangeExercise, ExerciseDetail> = Action {
    name: "exercise.update",
    summary: "Changes an exercise that is still to come.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "exercise.update", input.id)?;
        still_planned(&found)?;
        let terms = checked(&input.exercise.terms)?;
        let body = text(&terms)?;
        let sql = "UPDATE exercises SET planned_at = $2, body = $3 WHERE id = $1";
        tx.execute(sql, args![input.id, input.exercise.planned_at, body])?;
        db::words::keep(tx, KIND, found.tenant, &input.id.to_string(), &[&terms.name])?;
        detail(tx, "exercise.update", input.id)
    },
};

/// Calls an exercise off.
pub static CANCEL: Action<ExerciseRef, ExerciseDetail> = Action {
    name: "exercise.cancel",
    summary: "Calls an exercise off that is still to come.",
    effect: Effect::Change,
    run: |tx, input| {
        still_planned(&granted(tx, "exercise.cancel", input.id)?)?;
        tx.execute("UPDATE exercises SET state = 'cancelled' WHERE id = $1", args![input.id])?;
        detail(tx, "exercise.cancel", input.id)
    },
};

/// What came of an exercise.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conclude {
    /// Which.
    pub id: ExerciseId,
    /// When it was held; now where absent.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub held_at: Option<Timestamp>,
    /// What happened.
    pub record: String,
    /// Whether what was to be shown was shown.
    pub passed: bool,
    /// The drills that were part of it.
    #[serde(default)]
    pub drills: Vec<DrillRunId>,
    /// Who observed it; those who were to where absent.
    #[serde(default)]
    pub observers: Option<Vec<String>>,
    /// What was found.
    #[serde(default)]
    pub findings: Vec<NewFinding>,
}

/// Whether an exercise may be called passed. Pure.
///
/// # Errors
/// `Conflict` where its drills do not show it.
pub fn may_pass(mode: Mode, held_at: Timestamp, drills: &[DrillRun]) -> Result<()> {
    let refused = |code: &'static str, message: String| Err(Error::conflict(code, message).at("drills"));
    if mode.is_for_real() && drills.is_empty() {
        let message =
            "a technical or full exercise passes with drills that passed: name them, or say that it did not pass";
        return refused("exercise.not_proven", message.to_owned());
    }
    for drill in drills {
        if drill.state != runs::State::Passed {
            return refused("exercise.drill_not_passed", format!("the drill {} is {}", drill.id, drill.state.word()));
        }
        if held_at.duration_since(drill.incident_at).as_secs().abs() > DRILL_SECONDS_MAX {
            return refused("exercise.drill_of_another_week", format!("the drill {} is of another week", drill.id));
        }
    }
    Ok(())
}

/// The drills that were named, all of the exercise's own tenant.
fn named(tx: &mut Tx<'_>, tenant: TenantId, ids: &[DrillRunId]) -> Result<Vec<DrillRun>> {
    let mut drills = Vec::with_capacity(ids.len().min(LIST_MAX));
    for id in ids.iter().take(LIST_MAX) {
        let found = runs::load(tx, *id).ok().filter(|run| run.tenant == tenant);
        drills.push(
            found.ok_or_else(|| Error::dangling("drill.absent", format!("there is no drill {id}")).at("drills"))?,
        );
    }
    Ok(drills)
}

/// Writes down what came of an exercise.
pub static CONCLUDE: Action<Conclude, ExerciseDetail> = Action {
    name: "exercise.conclude",
    summary: "Writes down what came of an exercise. A technical or full one passes only with drills that passed.",
    effect: Effect::Change,
    run: |tx, input| {
        let exercise = granted(tx, "exercise.conclude", input.id)?;
        still_planned(&exercise)?;
        let held_at = input.held_at.unwrap_or(tx.now);
        if held_at > tx.now {
            return Err(Error::invalid("exercise.held_at", "an exercise is over when it was held").at("heldAt"));
        }
        let drills = named(tx, exercise.tenant, &input.drills)?;
        if input.passed {
            may_pass(exercise.terms.mode, held_at, &drills)?;
        }
        let observers = independent(&exercise.terms, input.observers.as_ref().unwrap_or(&exercise.terms.observers))?;
        let outcome = Outcome {
            observers: observers.clone(),
            held_at,
            record: words::told(&input.record, "record")?,
            drills: drills.iter().map(|drill| drill.id).collect(),
            recorded_by: tx.cx().actor().to_string(),
        };
        let (state, outcome) = (if input.passed { State::Passed } else { State::NotPassed }, text(&outcome)?);
        let sql = "UPDATE exercises SET state = $2, outcome = $3, planned_at = $4 WHERE id = $1";
        tx.execute(sql, args![input.id, state.word(), outcome, held_at])?;
        for finding in &input.findings {
            let by = observed(&observers, finding.observed_by.as_ref())?;
            let finding = &NewFinding { observed_by: by, ..finding.clone() };
            findings::note(tx, exercise.tenant, Source::Exercise, &input.id.to_string(), finding)?;
        }
        detail(tx, "exercise.conclude", input.id)
    },
};
