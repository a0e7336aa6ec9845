//! Versions: the plan as it stood when somebody asked for it to be approved, frozen, under a hash;
//! approved by another account. What is changed afterwards is a draft until it is asked for again.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Actor, Effect, Tx};
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Nothing, contacts, steps, words};
use crate::drills::plans::{self, ListPlans};
use crate::drills::rules::Objectives;
use crate::evidence::canonical::canonical;
use crate::{ContactId, DrillPlanId, runbooks};

/// The kind of a version, in audit and policies.
pub const KIND: &str = "planVersion";

/// How a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Somebody has asked.
    Waiting,
    /// Somebody else has said yes.
    Approved,
    /// Somebody else has said no, or it was asked anew.
    Declined,
}

impl State {
    const ALL: [State; 3] = [State::Waiting, State::Approved, State::Declined];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Approved => "approved",
            State::Declined => "declined",
        }
    }
}

/// A frozen state of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Whose plan.
    pub tenant: TenantId,
    /// Counts from 1.
    pub number: i64,
    /// SHA-256 of the frozen plan in canonical JSON (RFC 8785), in hexadecimal.
    pub digest: String,
    /// What changed, as whoever asked says.
    pub note: String,
    /// How it stands.
    pub state: State,
    /// The account that asked.
    pub asked_by: String,
    /// When.
    #[schemars(with = "String")]
    pub asked_at: Timestamp,
    /// The account that decided.
    pub decided_by: Option<String>,
    /// When.
    #[schemars(with = "Option<String>")]
    pub decided_at: Option<Timestamp>,
    /// Why, where they said.
    pub reason: String,
}

const COLUMNS: &str = "tenant, number, digest, note, state, asked_by, asked_at, decided_by, decided_at, reason";

fn damaged() -> Error {
    Error::bug("planVersion.damaged", "a stored version does not read")
}

fn read(row: &Row) -> Result<Version> {
    let state = row.text(4)?;
    Ok(Version {
        tenant: row.get(0)?,
        number: row.get(1)?,
        digest: row.get(2)?,
        note: row.get(3)?,
        state: State::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?,
        asked_by: row.get(5)?,
        asked_at: row.get(6)?,
        decided_by: row.get(7)?,
        decided_at: row.get(8)?,
        reason: row.get(9)?,
    })
}

/// The newest version of a state.
pub(crate) fn newest(conn: &mut Conn<'_>, tenant: TenantId, state: State) -> Result<Option<Version>> {
    let sql =
        format!("SELECT {COLUMNS} FROM plan_versions WHERE tenant = $1 AND state = $2 ORDER BY number DESC LIMIT 1");
    conn.query_opt(&sql, args![tenant, state.word()], read)
}

/// What a version says. It holds no telephone and no address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// The nine steps.
    pub steps: Vec<FrozenStep>,
    /// The team.
    pub team: Vec<FrozenMember>,
    /// What is promised.
    pub drill_plans: Vec<FrozenPlan>,
    /// By what services are brought back.
    pub runbooks: Vec<runbooks::Fingerprint>,
}

/// A step in a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenStep {
    /// Which step.
    pub number: i64,
    /// Who sees to it.
    pub owner: String,
    /// By when.
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// How far it was.
    pub state: steps::State,
    /// What was said.
    pub text: String,
}

/// Somebody of the team in a version, by what they do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenMember {
    /// The contact.
    pub id: ContactId,
    /// What they do.
    pub duty: String,
    /// Who does it in their place.
    pub deputy: Option<ContactId>,
    /// Who calls them.
    pub called_by: Option<ContactId>,
}

/// A drill plan in a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenPlan {
    /// The plan.
    pub id: DrillPlanId,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: i64,
    /// What it promised then, whoever said so: a plan that follows the impact analysis changes with it.
    pub objectives: Option<Objectives>,
}

/// The plan as it stands now in its one form, and its hash.
pub(crate) fn frozen(tx: &mut Tx<'_>, tenant: TenantId) -> Result<(String, String)> {
    let step = |said: steps::Said| FrozenStep {
        number: said.number,
        owner: said.owner,
        due_at: said.due_at,
        state: said.state,
        text: said.text,
    };
    let member = |one: contacts::Contact| FrozenMember {
        id: one.id,
        duty: one.duty,
        deputy: one.deputy,
        called_by: one.called_by,
    };
    let list = ListPlans { tenant: Some(tenant), ..ListPlans::default() };
    let mut drill_plans = Vec::new();
    for plan in (plans::LIST.run)(tx, &list)?.items {
        let objectives = plans::promised(tx, tenant, &plan.terms).ok().map(|promised| promised.objectives);
        drill_plans.push(FrozenPlan { id: plan.id, name: plan.name, revision: plan.revision, objectives });
    }
    let frozen = Frozen {
        steps: steps::all(tx, tenant)?.into_iter().map(step).collect(),
        team: contacts::all(tx, tenant)?.into_iter().map(member).collect(),
        drill_plans,
        runbooks: runbooks::fingerprints(tx, tenant)?,
    };
    let value = serde_json::to_value(frozen).map_err(|e| damaged().because(e))?;
    let body = canonical(&value)?;
    let hash = base::hex::encode(digest(&SHA256, body.as_bytes()).as_ref());
    Ok((body, hash))
}

/// Who approved a drill plan as it is: the version of the continuity plan that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The number of the version.
    pub version: i64,
    /// Its digest.
    pub digest: String,
    /// The account that approved it.
    pub by: String,
    /// When.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// The approval of a drill plan at a revision, by the version in force; `None` where that has it otherwise.
pub(crate) fn approval(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    plan: DrillPlanId,
    revision: i64,
) -> Result<Option<Approval>> {
    let Some(version) = newest(tx, tenant, State::Approved)? else { return Ok(None) };
    let says: Frozen = body(tx, tenant, version.number)?;
    let has = says.drill_plans.iter().any(|one| one.id == plan && one.revision == revision);
    let by = version.decided_by.unwrap_or_default();
    Ok(has.then_some(Approval { version: version.number, digest: version.digest, by, at: version.decided_at }))
}

/// Asks for an approval.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AskApproval {
    /// What changed, for whoever decides.
    pub note: String,
}

/// Freezes the plan and asks somebody else to approve it.
pub static ASK: Action<AskApproval, Version> = Action {
    name: "planVersion.create",
    summary: "Freezes the plan as it stands and asks for it to be approved, by another account. Takes the place of one that waits.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = steps::own(tx, "planVersion.create")?;
        let note = words::prose(&input.note, "note")?;
        let (body, hash) = frozen(tx, tenant)?;
        if newest(tx, tenant, State::Approved)?.is_some_and(|version| version.digest == hash) {
            let message = "the plan is as it was approved: there is nothing to approve";
            return Err(Error::conflict("planVersion.unchanged", message));
        }
        let number = "SELECT COALESCE(MAX(number), 0) + 1 FROM plan_versions WHERE tenant = $1";
        let number: i64 = tx.query_one(number, args![tenant], |row| row.get(0))?;
        tx.about(KIND, &number.to_string(), 0);
        let (now, by) = (tx.now, tx.cx().actor().to_string());
        tx.execute(
            "UPDATE plan_versions SET state = 'declined', decided_by = $2, decided_at = $3, reason = $2 WHERE tenant = $1 AND state = 'waiting'",
            args![tenant, format!("version {number}"), now],
        )?;
        tx.execute(
            "INSERT INTO plan_versions (tenant, number, body, digest, note, state, asked_by, asked_at, reason)
             VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, '')",
            args![tenant, number, body, hash, note, by, now],
        )?;
        load(tx, tenant, number)
    },
};

fn load(conn: &mut Conn<'_>, tenant: TenantId, number: i64) -> Result<Version> {
    let sql = format!("SELECT {COLUMNS} FROM plan_versions WHERE tenant = $1 AND number = $2");
    let unknown = || Error::not_found("planVersion.not_found", format!("the plan has no version {number}"));
    conn.query_opt(&sql, args![tenant, number], read)?.ok_or_else(unknown)
}

/// Yes or no.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decide {
    /// Which version.
    pub number: i64,
    /// Whether it is in force from now on.
    pub approve: bool,
    /// Why; wanted where it is not.
    #[serde(default)]
    pub reason: String,
}

/// Whether this account may decide about that version.
fn decidable(version: &Version, actor: &Actor) -> Result<()> {
    if version.state != State::Waiting {
        return Err(Error::conflict("planVersion.decided", "that version does not wait for a decision any more"));
    }
    match actor {
        Actor::Account(account) if account.to_string() != version.asked_by => Ok(()),
        Actor::Account(_) => {
            let message = "you have asked for this version to be approved: another account decides about it";
            Err(Error::forbidden("planVersion.own", message))
        }
        _ => Err(Error::forbidden("planVersion.person", "a plan is approved by a person's account")),
    }
}

/// Approves or declines a version.
pub static DECIDE: Action<Decide, Version> = Action {
    name: "planVersion.decide",
    summary: "Approves a version of the plan, or declines it. Never by the account that asked.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = tx.cx().tenant();
        tx.grant("planVersion.decide", KIND, &input.number.to_string(), tenant, Class::Internal, ())?;
        decidable(&load(tx, tenant, input.number)?, tx.cx().actor())?;
        let reason =
            if input.approve { words::prose(&input.reason, "reason") } else { words::told(&input.reason, "reason") }?;
        let state = if input.approve { State::Approved } else { State::Declined };
        let (now, by) = (tx.now, tx.cx().actor().to_string());
        tx.execute(
            "UPDATE plan_versions SET state = $3, decided_by = $4, decided_at = $5, reason = $6 WHERE tenant = $1 AND number = $2",
            args![tenant, input.number, state.word(), by, now, reason],
        )?;
        load(tx, tenant, input.number)
    },
};

/// Versions, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VersionPage {
    /// The versions.
    pub items: Vec<Version>,
}

/// Lists versions.
pub static LIST: Action<Nothing, VersionPage> = Action {
    name: "planVersion.list",
    summary: "Lists the versions of the plan: who asked, who decided, and when.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = steps::own(tx, "planVersion.list")?;
        let sql = format!("SELECT {COLUMNS} FROM plan_versions WHERE tenant = $1 ORDER BY number DESC LIMIT $2");
        Ok(VersionPage { items: tx.query(&sql, args![tenant, limits::PAGE_MAX], read)? })
    },
};

/// Something that is said otherwise in one version than in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Where: `steps.3.owner`, `team.cont_….duty`.
    pub at: String,
    /// What it was; absent where it was not there.
    pub was: Option<String>,
    /// What it is; absent where it is not there any more.
    pub is: Option<String>,
}

/// Every value of a document by where it stands; entries of lists by their number or id.
fn leaves(json: &Json, at: &str, into: &mut BTreeMap<String, String>) {
    let below = |part: &str| if at.is_empty() { part.to_owned() } else { format!("{at}.{part}") };
    match json {
        Json::Null => {}
        Json::Object(members) => members.iter().for_each(|(name, value)| leaves(value, &below(name), into)),
        Json::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                let own = item.get("id").or_else(|| item.get("number"));
                let name = own
                    .map_or_else(|| n.to_string(), |own| own.as_str().map_or_else(|| own.to_string(), str::to_owned));
                leaves(item, &below(&name), into);
            }
        }
        Json::String(text) => drop(into.insert(at.to_owned(), text.clone())),
        other => drop(into.insert(at.to_owned(), other.to_string())),
    }
}

/// What differs between two frozen plans.
pub fn differences(was: &Json, is: &Json) -> Vec<Difference> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves(was, "", &mut before);
    leaves(is, "", &mut after);
    let mut all: Vec<Difference> = Vec::new();
    for at in before.keys().chain(after.keys().filter(|at| !before.contains_key(*at))) {
        let (was, is) = (before.get(at), after.get(at));
        if was != is {
            all.push(Difference { at: at.clone(), was: was.cloned(), is: is.cloned() });
        }
    }
    all.sort_by(|one, other| one.at.cmp(&other.at));
    all
}

/// Which version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionRef {
    /// Its number.
    pub number: i64,
}

/// A version with what it says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionDetail {
    /// Its head.
    #[serde(flatten)]
    pub version: Version,
    /// The frozen plan.
    pub plan: Frozen,
    /// The version that it is held against: the one approved before it.
    pub since: Option<i64>,
    /// What differs from that one.
    pub differences: Vec<Difference>,
}

fn body<T: DeserializeOwned>(conn: &mut Conn<'_>, tenant: TenantId, number: i64) -> Result<T> {
    let sql = "SELECT body FROM plan_versions WHERE tenant = $1 AND number = $2";
    let text: String = conn.query_one(sql, args![tenant, number], |row| row.get(0))?;
    serde_json::from_str(&text).map_err(|e| damaged().because(e))
}

/// Shows a version.
pub static GET: Action<VersionRef, VersionDetail> = Action {
    name: "planVersion.get",
    summary: "Shows a version of the plan: what it says, and what differs from the one approved before it.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = steps::own(tx, "planVersion.get")?;
        let version = load(tx, tenant, input.number)?;
        let sql = "SELECT MAX(number) FROM plan_versions WHERE tenant = $1 AND number < $2 AND state = 'approved'";
        let since: Option<i64> = tx.query_one(sql, args![tenant, input.number], |row| row.get(0))?;
        let before = since.map(|since| body(tx, tenant, since)).transpose()?;
        let now: Json = body(tx, tenant, input.number)?;
        let differences = before.map(|before| differences(&before, &now)).unwrap_or_default();
        let plan = body(tx, tenant, input.number)?;
        Ok(VersionDetail { version, plan, since, differences })
    },
};
