//! Corrective actions: what a drill found, who sees to it, by when.
//!
//! ```text
//!   a miss ──► open ──(the same miss again: counted)──► open ──(a run of the same plan passes)──► closed
//!                                                         └──(its plan or service is no more)──► withdrawn
//! ```
//!
//! Nobody closes one by saying so: only a drill that passes does. What no drill can close any more is
//! withdrawn, and stays to be read as that.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Row, args};
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plans::listed;
use super::rules::{CONTROL_NOT_MADE, CONTROL_PASSED, Control, Miss};
use super::runs::DrillRun;
use super::scope::Scope;
use super::{Fact, plans};
use crate::{CorrectiveActionId, DrillPlanId, DrillRunId};

/// The kind of an action, in audit and policies.
pub const KIND: &str = "correctiveAction";

/// Something that must be put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CorrectiveAction {
    /// Its id.
    pub id: CorrectiveActionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The plan that found it.
    pub plan: DrillPlanId,
    /// The plan's name.
    pub plan_name: String,
    /// The service; absent where it is of the whole run.
    pub service: Option<String>,
    /// What was missed, for programs.
    pub code: String,
    /// What was missed, as the last run said it.
    pub message: String,
    /// Who sees to it.
    pub owner: String,
    /// By when.
    #[schemars(with = "String")]
    pub due_at: Timestamp,
    /// Whether it is still to be done.
    pub open: bool,
    /// Whether it was given up with its plan or its service: nothing shows that it was put right.
    pub withdrawn: bool,
    /// Whether its time has passed and it is open.
    pub overdue: bool,
    /// The run that found it first.
    pub found_by: DrillRunId,
    /// The run that found it last.
    pub last_found_by: DrillRunId,
    /// How many runs found it.
    pub times: i64,
    /// The run that passed and so closed it.
    pub closed_by: Option<DrillRunId>,
    /// When it was opened.
    #[schemars(with = "String")]
    pub opened_at: Timestamp,
    /// When it was closed.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT c.id, c.tenant, c.plan, p.name, c.service, c.code, c.message, c.owner, c.due_at, c.state, c.found_by, c.last_found_by, c.times, c.closed_by, c.opened_at, c.closed_at
     FROM corrective_actions c JOIN drill_plans p ON p.id = c.plan";

fn read(row: &Row, now: Timestamp) -> Result<CorrectiveAction> {
    let (service, due_at): (String, Timestamp) = (row.get(4)?, row.get(8)?);
    let (open, withdrawn) = (row.text(9)? == "open", row.text(9)? == "withdrawn");
    Ok(CorrectiveAction {
        id: row.get(0)?,
        tenant: row.get(1)?,
        plan: row.get(2)?,
        plan_name: row.get(3)?,
        service: Some(service).filter(|service| !service.is_empty()),
        code: row.get(5)?,
        message: row.get(6)?,
        owner: row.get(7)?,
        due_at,
        open,
        withdrawn,
        overdue: open && due_at < now,
        found_by: row.get(10)?,
        last_found_by: row.get(11)?,
        times: row.get(12)?,
        closed_by: row.get(13)?,
        opened_at: row.get(14)?,
        closed_at: row.get(15)?,
    })
}

/// Opens an action for a miss; the same one that is open already is counted.
pub(crate) fn found(tx: &mut Tx<'_>, run: &DrillRun, miss: &Miss) -> Result<()> {
    let service = miss.service.clone().unwrap_or_default();
    let again = tx.execute(
        "UPDATE corrective_actions SET last_found_by = $4, message = $5, times = times + 1
         WHERE plan = $1 AND service = $2 AND code = $3 AND state = 'open' AND last_found_by <> $4",
        args![run.plan, service, miss.code, run.id, miss.message],
    )?;
    let known = tx.query_opt(
        "SELECT id FROM corrective_actions WHERE plan = $1 AND service = $2 AND code = $3 AND state = 'open'",
        args![run.plan, service, miss.code],
        |row| row.get::<CorrectiveActionId>(0),
    )?;
    if let Some(known) = known {
        if again > 0 {
            db::words::keep(tx, KIND, run.tenant, &known.to_string(), &[&miss.message])?;
        }
        return Ok(());
    }
    let (id, now) = (CorrectiveActionId::fresh(tx.ids(), tx.now), tx.now);
    // The plan's of now: whoever took it over since the run began sees to it.
    let plan = plans::load(tx, run.plan)?;
    let is_gone = match (&plan.terms.scope, &miss.service) {
        (Scope::Services { services, .. }, Some(service)) => !services.contains(service),
        _ => false,
    };
    if plan.ended_at.is_some() || is_gone {
        return Ok(());
    }
    let owner = plan.terms.owner;
    let days = u64::from(run.body.terms.action_days);
    let due = now + std::time::Duration::from_secs(days * 86_400);
    tx.execute(
        "INSERT INTO corrective_actions (id, tenant, plan, service, code, message, owner, due_at, state, found_by, last_found_by, times, opened_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $9, 1, $10)",
        args![id, run.tenant, run.plan, service, miss.code, miss.message, owner, due, run.id, now],
    )?;
    db::words::begin(tx, KIND, run.tenant, &id.to_string(), &[&miss.message])?;
    tx.fact(Fact::CorrectiveActionOpened { action: id.to_string() }, run.tenant)
}

/// What only a run with a negative control can put right.
const CONTROLS: [&str; 2] = [CONTROL_PASSED, CONTROL_NOT_MADE];

/// Whether a plan waits for a negative control to be made as it should.
pub(crate) fn wants_control(tx: &mut Tx<'_>, plan: DrillPlanId) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM corrective_actions WHERE plan = $1 AND state = 'open' AND code IN ($2, $3)";
    let [passed, not_made] = CONTROLS;
    Ok(tx.query_one(sql, args![plan, passed, not_made], |row| row.get::<i64>(0))? > 0)
}

/// A run has passed: what its plan had found is put right.
pub(crate) fn passed(tx: &mut Tx<'_>, run: &DrillRun) -> Result<()> {
    let sql = "SELECT id, code, service FROM corrective_actions WHERE plan = $1 AND state = 'open' ORDER BY id";
    let open: Vec<(CorrectiveActionId, String, String)> =
        tx.query(sql, args![run.plan], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    // A run without a control says nothing of what a control had found.
    let controlled = matches!(run.body.control, Control::DamageFound { .. });
    let now = tx.now;
    for (id, code, service) in open {
        // Nor does one that did not bring a service back say anything of it.
        if !service.is_empty() && !run.body.services.iter().any(|one| one.service == service) {
            continue;
        }
        if !controlled && CONTROLS.contains(&code.as_str()) {
            continue;
        }
        tx.execute(
            "UPDATE corrective_actions SET state = 'closed', closed_by = $2, closed_at = $3 WHERE id = $1",
            args![id, run.id, now],
        )?;
        tx.fact(Fact::CorrectiveActionClosed { action: id.to_string() }, run.tenant)?;
    }
    Ok(())
}

/// A plan has ended, or goes on without a service: no run will close what is open of it.
pub(crate) fn withdraw(tx: &mut Tx<'_>, plan: DrillPlanId, service: Option<&str>) -> Result<()> {
    let sql = "SELECT id, tenant FROM corrective_actions
         WHERE plan = $1 AND service = COALESCE($2, service) AND state = 'open' ORDER BY id";
    let open: Vec<(CorrectiveActionId, TenantId)> =
        tx.query(sql, args![plan, service], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let now = tx.now;
    for (id, tenant) in open {
        let sql = "UPDATE corrective_actions SET state = 'withdrawn', closed_at = $2 WHERE id = $1";
        tx.execute(sql, args![id, now])?;
        tx.fact(Fact::CorrectiveActionWithdrawn { action: id.to_string() }, tenant)?;
    }
    Ok(())
}

/// Which actions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListActions {
    /// Whose; those of the acting tenant unless said otherwise. The operator sees everybody's.
    pub tenant: Option<TenantId>,
    /// Only of this plan.
    pub plan: Option<DrillPlanId>,
    /// Also those that are closed or withdrawn.
    pub closed: bool,
}

/// Actions, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ActionPage {
    /// The actions: open ones first, by when they are due.
    pub items: Vec<CorrectiveAction>,
}

/// Lists corrective actions.
pub static LIST: Action<ListActions, ActionPage> = Action {
    name: "correctiveAction.list",
    summary: "Lists corrective actions that drills have opened, with owner and date.",
    effect: Effect::Read,
    run: |tx, input| {
        let whose = listed(tx, "correctiveAction.list", input.tenant)?;
        let now = tx.now;
        let sql = format!(
            "{SELECT} WHERE c.tenant = COALESCE($1, c.tenant) AND c.plan = COALESCE($2, c.plan) AND ($3 = 1 OR c.state = 'open')
             ORDER BY CASE c.state WHEN 'open' THEN 0 ELSE 1 END, c.due_at, c.id LIMIT $4"
        );
        let items = tx.query(&sql, args![whose, input.plan, input.closed, limits::PAGE_MAX], |row| read(row, now))?;
        Ok(ActionPage { items })
    },
};

/// What changes of an action.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeAction {
    /// Its id.
    pub id: CorrectiveActionId,
    /// Who sees to it from now on.
    #[serde(default)]
    pub owner: Option<String>,
    /// By when.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
}

/// Gives a corrective action to somebody else, or more time.
pub static UPDATE: Action<ChangeAction, CorrectiveAction> = Action {
    name: "correctiveAction.update",
    summary: "Changes who sees to a corrective action and by when. Only a passing drill closes it.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = load(tx, input.id)?;
        let tenant = found.tenant;
        let found = tx
            .grant("correctiveAction.update", KIND, &input.id.to_string(), tenant, Class::Internal, found)
            .map(Granted::into_inner)?;
        if !found.open {
            let message = "the action is open no more: a drill has passed since, or its plan or service has ended";
            return Err(Error::conflict("correctiveAction.closed", message));
        }
        let owner = input.owner.as_deref().map_or(found.owner.as_str(), str::trim);
        if owner.is_empty() || owner.len() > limits::TEXT_INDEXED_MAX || owner.chars().any(char::is_control) {
            return Err(Error::invalid("correctiveAction.owner", "somebody must see to it: name them").at("owner"));
        }
        let due = input.due_at.unwrap_or(found.due_at);
        let sql = "UPDATE corrective_actions SET owner = $2, due_at = $3 WHERE id = $1";
        tx.execute(sql, args![input.id, owner, due])?;
        load(tx, input.id)
    },
};

fn load(tx: &mut Tx<'_>, id: CorrectiveActionId) -> Result<CorrectiveAction> {
    let now = tx.now;
    let found = tx.query_opt(&format!("{SELECT} WHERE c.id = $1"), args![id], |row| read(row, now))?;
    found.ok_or_else(|| Error::not_found("correctiveAction.not_found", format!("there is no corrective action {id}")))
}
