//! The nine steps: what they are (a data file, in our own words), and what a tenant says of them.

use std::sync::LazyLock;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::links::{self, Link};
use super::{Nothing, versions, words};

/// The kind of a step, in audit and policies.
pub const KIND: &str = "planStep";
/// How many there are.
pub const STEPS: i64 = 9;

/// In both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Both {
    /// English.
    pub en: String,
    /// Traditional Chinese.
    pub zh: String,
}

/// A part of plan–do–check–act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Think.
    Plan,
    /// Prepare.
    Do,
    /// Try.
    Check,
    /// Improve.
    Act,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// From 1 to 9.
    pub number: i64,
    /// Which part of plan–do–check–act.
    pub phase: Phase,
    /// Clauses of ISO 22301:2019, by number.
    pub clauses: Vec<String>,
    /// What it is called.
    pub title: Both,
    /// What is to be done, in our words.
    pub text: Both,
}

static DEFINITIONS: LazyLock<std::result::Result<Vec<Definition>, String>> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../plan/steps.yaml")).map_err(|e| e.to_string()));

/// The nine, in order.
///
/// # Errors
/// `Bug` where the data file that came with the program does not read.
pub fn definitions() -> Result<&'static [Definition]> {
    DEFINITIONS.as_deref().map_err(|e| Error::bug("plan.steps", format!("the nine steps do not read: {e}")))
}

/// How far a tenant says that a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nobody has begun.
    #[default]
    NotStarted,
    /// Somebody has.
    InProgress,
    /// It is done, somebody says.
    Done,
}

impl State {
    /// All of them, in order.
    pub const ALL: [State; 3] = [State::NotStarted, State::InProgress, State::Done];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::NotStarted => "notStarted",
            State::InProgress => "inProgress",
            State::Done => "done",
        }
    }
}

/// What a tenant says of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Which step.
    pub number: i64,
    /// Who sees to it.
    pub owner: String,
    /// By when.
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// How far it is.
    pub state: State,
    /// What is said, in plain paragraphs.
    pub text: String,
    /// Counts its changes; 0 where nobody has said anything.
    pub revision: i64,
}

impl Said {
    fn nothing(number: i64) -> Said {
        Said { number, owner: String::new(), due_at: None, state: State::NotStarted, text: String::new(), revision: 0 }
    }
}

/// A step as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What it is.
    #[serde(flatten)]
    pub definition: Definition,
    /// Who sees to it; empty: nobody.
    pub owner: String,
    /// By when.
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// How far the tenant says that it is.
    pub state: State,
    /// What the tenant says.
    pub own_text: String,
    /// Counts its changes.
    pub revision: i64,
    /// Its time has passed and it is not done.
    pub overdue: bool,
    /// It says *done*, and something that it is held against fails.
    pub contradicted: bool,
    /// What is really there.
    pub links: Vec<Link>,
}

/// The plan as it stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Whose.
    pub tenant: TenantId,
    /// The nine steps.
    pub steps: Vec<Step>,
    /// The version in force, if any was approved.
    pub approved: Option<versions::Version>,
    /// The one that waits for an approval.
    pub waiting: Option<versions::Version>,
    /// Whether the plan differs by now from what was approved; also where nothing was.
    pub is_draft: bool,
}

fn read(row: &Row) -> Result<Said> {
    let state = row.text(3)?;
    let damaged = || Error::bug("plan.damaged", "a stored step does not read");
    Ok(Said {
        number: row.get(0)?,
        owner: row.get(1)?,
        due_at: row.get(2)?,
        state: State::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?,
        text: row.get(4)?,
        revision: row.get(5)?,
    })
}

/// What a tenant says of all nine.
pub(crate) fn all(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Said>> {
    let sql = "SELECT number, owner, due_at, state, text, revision FROM plan_steps WHERE tenant = $1 ORDER BY number";
    let said = conn.query(sql, args![tenant], read)?;
    let of = |number| said.iter().find(|one| one.number == number).cloned();
    Ok((1..=STEPS).map(|number| of(number).unwrap_or_else(|| Said::nothing(number))).collect())
}

fn shown(definition: &Definition, said: Said, links: Vec<Link>, now: Timestamp) -> Step {
    let done = said.state == State::Done;
    Step {
        definition: definition.clone(),
        owner: said.owner,
        due_at: said.due_at,
        state: said.state,
        own_text: said.text,
        revision: said.revision,
        overdue: !done && said.due_at.is_some_and(|due| due < now),
        contradicted: done && links.iter().any(Link::fails),
        links,
    }
}

/// The acting tenant's plan.
pub(crate) fn plan(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Plan> {
    let said = all(tx, tenant)?;
    let seen = links::gather(tx, tenant, &said)?;
    let now = tx.now;
    let zipped = definitions()?.iter().zip(said).zip(seen);
    let steps = zipped.map(|((definition, said), links)| shown(definition, said, links, now)).collect();
    let approved = versions::newest(tx, tenant, versions::State::Approved)?;
    let waiting = versions::newest(tx, tenant, versions::State::Waiting)?;
    let (_, digest) = versions::frozen(tx, tenant)?;
    let is_draft = approved.as_ref().is_none_or(|version| version.digest != digest);
    Ok(Plan { tenant, steps, approved, waiting, is_draft })
}

/// The acting tenant, where the actor may do `action` with its own plan.
pub(crate) fn own(tx: &mut Tx<'_>, action: &str) -> Result<TenantId> {
    let tenant = tx.cx().tenant();
    tx.grant(action, "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
    Ok(tenant)
}

/// Shows the plan.
pub static GET: Action<Nothing, Plan> = Action {
    name: "plan.get",
    summary: "Shows the continuity plan: nine steps with owner, date and state, each beside what is really there.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = own(tx, "plan.get")?;
        plan(tx, tenant)
    },
};

/// What changes of a step.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeStep {
    /// Which, from 1 to 9.
    pub number: i64,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Who sees to it.
    #[serde(default)]
    pub owner: Option<String>,
    /// By when.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// It has no date any more.
    #[serde(default)]
    pub no_date: bool,
    /// How far it is.
    #[serde(default)]
    pub state: Option<State>,
    /// What is said.
    #[serde(default)]
    pub text: Option<String>,
}

fn stale(asked: Option<i64>, now: i64) -> Result<()> {
    match asked.is_some_and(|asked| asked != now) {
        true => Err(Error::stale("planStep.stale", format!("the step is at revision {now} by now"))),
        false => Ok(()),
    }
}

/// What is said of a step after a change.
fn changed(mut said: Said, change: &ChangeStep) -> Result<Said> {
    if let Some(owner) = &change.owner {
        said.owner = words::line(owner, "owner")?;
    }
    if let Some(text) = &change.text {
        said.text = words::prose(text, "text")?;
    }
    said.due_at = change.due_at.or(said.due_at.filter(|_| !change.no_date));
    said.state = change.state.unwrap_or(said.state);
    if said.state != State::NotStarted && said.owner.is_empty() {
        let message = "a step that somebody works on has an owner: name them";
        return Err(Error::invalid("planStep.owner", message).at("owner"));
    }
    Ok(said)
}

/// Writes what is said of a step: its next revision.
pub(crate) fn say(tx: &mut Tx<'_>, tenant: TenantId, said: &Said) -> Result<()> {
    let (now, by) = (tx.now, tx.cx().actor().to_string());
    tx.execute(
        "INSERT INTO plan_steps (tenant, number, owner, due_at, state, text, revision, changed_by, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)
         ON CONFLICT (tenant, number) DO UPDATE SET owner = excluded.owner, due_at = excluded.due_at, state = excluded.state,
             text = excluded.text, revision = plan_steps.revision + 1, changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        args![tenant, said.number, said.owner, said.due_at, said.state.word(), said.text, by, now],
    )
    .map(drop)
}

/// Changes a step. What it is held against is not looked up: that is much to read inside a write.
pub static UPDATE: Action<ChangeStep, Said> = Action {
    name: "planStep.update",
    summary: "Changes a step's owner, date, state or text. What was approved stays as it was approved.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = tx.cx().tenant();
        tx.grant("planStep.update", KIND, &input.number.to_string(), tenant, Class::Internal, ())?;
        let unknown = || Error::not_found("planStep.not_found", format!("there is no step {}", input.number));
        let said = all(tx, tenant)?.into_iter().find(|said| said.number == input.number).ok_or_else(unknown)?;
        stale(input.revision, said.revision)?;
        let said = Said { revision: said.revision + 1, ..changed(said, input)? };
        say(tx, tenant, &said)?;
        Ok(said)
    },
};
