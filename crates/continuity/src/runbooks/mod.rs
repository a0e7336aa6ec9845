//! Runbooks: what to do, step by step, so that somebody who never did it can. A step may begin
//! something here (a drill, a restore: each a flow) and says what shows that it is done.
//!
//! Every edit is a version, and every version stays to be read. [`draft`] writes the first of a
//! service from what the platform knows of it.

pub mod draft;
pub mod sharing;

use std::collections::BTreeSet;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backups::text;
use crate::drills::plans;
use crate::plan::{steps, words};
use crate::{DrillPlanId, RunbookId};

/// The kind of a runbook, in audit and policies.
pub const KIND: &str = "runbook";
/// Most steps of one.
pub const STEPS_MAX: usize = 100;

/// What a step begins here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub enum Begins {
    /// A drill of that plan.
    Drill {
        /// The plan.
        plan: DrillPlanId,
    },
    /// A restore of that service.
    Restore {
        /// The service.
        service: String,
    },
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// What is done.
    pub text: String,
    /// Who does it.
    #[serde(default)]
    pub who: String,
    /// How long it takes.
    #[serde(default)]
    pub minutes: Option<u32>,
    /// What shows that it is done.
    #[serde(default)]
    pub shows: String,
    /// What it begins here.
    #[serde(default)]
    pub begins: Option<Begins>,
}

/// What a runbook says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contents {
    /// What it is called.
    pub title: String,
    /// The service that it brings back, if it is about one.
    #[serde(default)]
    pub service: Option<String>,
    /// When to use it.
    #[serde(default)]
    pub purpose: String,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

/// A version of a runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runbook {
    /// Its id.
    pub id: RunbookId,
    /// Whose.
    pub tenant: TenantId,
    /// Counts its edits from 1.
    pub version: i64,
    /// Whether this is the newest.
    pub is_newest: bool,
    /// What it says.
    #[serde(flatten)]
    pub contents: Contents,
    /// What was changed, as whoever changed it says.
    pub note: String,
    /// The account that wrote this version.
    pub changed_by: String,
    /// When.
    #[schemars(with = "String")]
    pub changed_at: Timestamp,
    /// Since when it is used no more.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// From which version on the operator's staff may read it; absent where they may not.
    pub shared_from: Option<i64>,
    /// Whose, by name.
    pub tenant_name: String,
}

const SELECT: &str =
    "SELECT r.id, r.tenant, v.version, r.version, v.body, v.note, v.changed_by, v.changed_at, r.ended_at, r.shared_from,
         COALESCE((SELECT t.name FROM tenants t WHERE t.id = r.tenant), '')
     FROM runbooks r JOIN runbook_versions v ON v.runbook = r.id";

fn read(row: &Row) -> Result<Runbook> {
    let version: i64 = row.get(2)?;
    Ok(Runbook {
        id: row.get(0)?,
        tenant: row.get(1)?,
        version,
        is_newest: version == row.get::<i64>(3)?,
        contents: serde_json::from_str(row.text(4)?)
            .map_err(|e| Error::bug("runbook.damaged", "a stored runbook does not read").because(e))?,
        note: row.get(5)?,
        changed_by: row.get(6)?,
        changed_at: row.get(7)?,
        ended_at: row.get(8)?,
        shared_from: row.get(9)?,
        tenant_name: row.get(10)?,
    })
}

/// The newest version of each runbook of a tenant that is in use, by title.
pub(crate) fn all(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Runbook>> {
    let sql = format!(
        "{SELECT} AND v.version = r.version WHERE r.tenant = $1 AND r.ended_at IS NULL ORDER BY r.title, r.id LIMIT $2"
    );
    conn.query(&sql, args![tenant, limits::PAGE_MAX], read)
}

/// The services of a tenant that a runbook is about.
pub(crate) fn services(conn: &mut Conn<'_>, tenant: TenantId) -> Result<BTreeSet<String>> {
    let sql = "SELECT service FROM runbooks WHERE tenant = $1 AND ended_at IS NULL AND service IS NOT NULL";
    Ok(conn.query(sql, args![tenant], |row| row.get(0))?.into_iter().collect())
}

/// A runbook, in a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprint {
    /// The runbook.
    pub id: RunbookId,
    /// Its title.
    pub title: String,
    /// Which version of it.
    pub version: i64,
    /// SHA-256 of what it says, in hexadecimal.
    pub sha256: String,
}

/// Which runbooks there are, in which versions, saying what: under hashes.
pub(crate) fn fingerprints(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Fingerprint>> {
    let sql = "SELECT r.id, v.title, v.version, v.body FROM runbooks r JOIN runbook_versions v ON v.runbook = r.id AND v.version = r.version
         WHERE r.tenant = $1 AND r.ended_at IS NULL ORDER BY r.id";
    conn.query(sql, args![tenant], |row| {
        let sha256 = base::hex::encode(digest(&SHA256, row.text(3)?.as_bytes()).as_ref());
        Ok(Fingerprint { id: row.get(0)?, title: row.get(1)?, version: row.get(2)?, sha256 })
    })
}

fn granted(tx: &mut Tx<'_>, action: &str, id: RunbookId, version: Option<i64>) -> Result<Runbook> {
    let sql = format!("{SELECT} AND v.version = COALESCE($2, r.version) WHERE r.id = $1");
    let found = tx.query_opt(&sql, args![id, version], read)?;
    let found = found
        .ok_or_else(|| Error::not_found("runbook.not_found", format!("there is no runbook {id} of that version")))?;
    if sharing::reads(tx, action, &found)? {
        return Ok(found);
    }
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

fn step(input: &Step) -> Result<Step> {
    Ok(Step {
        text: words::told(&input.text, "steps.text")?,
        who: words::line(&input.who, "steps.who")?,
        minutes: input.minutes,
        shows: words::prose(&input.shows, "steps.shows")?,
        begins: input.begins.clone(),
    })
}

/// What was typed, as it is kept; whatever it names is the tenant's own.
fn checked(tx: &mut Tx<'_>, action: &str, tenant: TenantId, input: &Contents) -> Result<Contents> {
    if input.steps.is_empty() || input.steps.len() > STEPS_MAX {
        return Err(Error::invalid("runbook.steps", format!("a runbook has from 1 to {STEPS_MAX} steps")).at("steps"));
    }
    let steps: Vec<Step> = input.steps.iter().map(step).collect::<Result<_>>()?;
    let begun = steps.iter().filter_map(|step| step.begins.as_ref());
    for begins in begun.cloned().collect::<Vec<_>>() {
        let owner = match begins {
            Begins::Drill { plan } => plans::granted(tx, action, plan)?.tenant,
            Begins::Restore { service } => tx.load_for(action, &SERVICE, &service)?.tenant,
        };
        owned(owner, tenant)?;
    }
    if let Some(service) = &input.service {
        owned(tx.load_for(action, &SERVICE, service)?.tenant, tenant)?;
    }
    Ok(Contents {
        title: words::named(&input.title, "title")?,
        service: input.service.clone(),
        purpose: words::prose(&input.purpose, "purpose")?,
        steps,
    })
}

fn owned(owner: TenantId, tenant: TenantId) -> Result<()> {
    let message = "a runbook names services and drill plans of its own tenant only";
    if owner == tenant { Ok(()) } else { Err(Error::invalid("runbook.elsewhere", message).at("steps")) }
}

fn keep(tx: &mut Tx<'_>, id: RunbookId, version: i64, contents: &Contents, note: &str) -> Result<()> {
    let (now, by, body) = (tx.now, tx.cx().actor().to_string(), text(contents)?);
    tx.execute(
        "INSERT INTO runbook_versions (runbook, version, title, body, note, changed_by, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![id, version, contents.title, body, note, by, now],
    )
    .map(drop)
}

/// Makes a runbook, for an action that has checked that it may.
pub(crate) fn make(tx: &mut Tx<'_>, action: &str, tenant: TenantId, input: &Contents) -> Result<RunbookId> {
    let id = RunbookId::fresh(tx.ids(), tx.now);
    tx.touch(KIND, &id.to_string(), tenant, 1);
    let contents = checked(tx, action, tenant, input)?;
    tx.execute(
        "INSERT INTO runbooks (id, tenant, title, service, version) VALUES ($1, $2, $3, $4, 1)",
        args![id, tenant, contents.title, contents.service],
    )?;
    db::words::begin(tx, KIND, tenant, &id.to_string(), &[&contents.title])?;
    keep(tx, id, 1, &contents, "")?;
    Ok(id)
}

/// Makes a runbook.
pub static CREATE: Action<Contents, Runbook> = Action {
    name: "runbook.create",
    summary: "Makes a runbook: what to do, step by step.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = tx.cx().tenant();
        let id = make(tx, "runbook.create", tenant, input)?;
        granted(tx, "runbook.create", id, None)
    },
};

/// Which runbooks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListRunbooks {
    /// Only those about this service.
    pub service: Option<String>,
    /// Instead of the operator's own, those that its customers have shared with it.
    pub shared: bool,
}

/// Runbooks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunbookPage {
    /// The newest version of each, by title; or, of one, its versions.
    pub items: Vec<Runbook>,
}

/// Lists runbooks.
pub static LIST: Action<ListRunbooks, RunbookPage> = Action {
    name: "runbook.list",
    summary: "Lists runbooks that are in use, each in its newest version: the tenant's own, or those shared with the operator.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = steps::own(tx, "runbook.list")?;
        let mut items = if input.shared { sharing::with_operator(tx, tenant)? } else { all(tx, tenant)? };
        items.retain(|one| input.service.is_none() || one.contents.service == input.service);
        Ok(RunbookPage { items })
    },
};

/// Which runbook, in which version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunbookRef {
    /// Its id.
    pub id: RunbookId,
    /// Which version; the newest where absent.
    #[serde(default)]
    pub version: Option<i64>,
}

/// Shows a runbook.
pub static GET: Action<RunbookRef, Runbook> = Action {
    name: "runbook.get",
    summary: "Shows a runbook, in its newest or an earlier version.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "runbook.get", input.id, input.version),
};

/// Shows all versions of a runbook.
pub static VERSIONS: Action<RunbookRef, RunbookPage> = Action {
    name: "runbook.versions",
    summary: "Shows every version of a runbook, the newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        let newest = granted(tx, "runbook.versions", input.id, None)?;
        let sql = format!("{SELECT} WHERE r.id = $1 ORDER BY v.version DESC LIMIT $2");
        let mut items = tx.query(&sql, args![input.id, limits::PAGE_MAX], read)?;
        // With whom it was shared sees what it says since then.
        let shared = sharing::reads(tx, "runbook.versions", &newest)?;
        items.retain(|one| !shared || sharing::is_open(one));
        Ok(RunbookPage { items })
    },
};

/// A runbook as it says from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRunbook {
    /// Which.
    pub id: RunbookId,
    /// The version that the change was made on.
    #[serde(default)]
    pub version: Option<i64>,
    /// What was changed.
    #[serde(default)]
    pub note: String,
    /// What it says.
    #[serde(flatten)]
    pub contents: Contents,
}

fn in_use(found: &Runbook) -> Result<()> {
    match found.ended_at {
        None => Ok(()),
        Some(_) => Err(Error::conflict("runbook.ended", "the runbook is not used any more; make another one")),
    }
}

/// Changes a runbook: its next version.
pub static UPDATE: Action<ChangeRunbook, Runbook> = Action {
    name: "runbook.update",
    summary: "Changes a runbook: its next version. Those before it stay to be read.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "runbook.update", input.id, None)?;
        in_use(&found)?;
        if input.version.is_some_and(|version| version != found.version) {
            return Err(Error::stale("runbook.stale", format!("the runbook is at version {} by now", found.version)));
        }
        let contents = checked(tx, "runbook.update", found.tenant, &input.contents)?;
        let (version, note) = (found.version + 1, words::line(&input.note, "note")?);
        keep(tx, input.id, version, &contents, &note)?;
        tx.execute(
            "UPDATE runbooks SET title = $2, service = $3, version = $4 WHERE id = $1",
            args![input.id, contents.title, contents.service, version],
        )?;
        db::words::keep(tx, KIND, found.tenant, &input.id.to_string(), &[&contents.title])?;
        granted(tx, "runbook.update", input.id, None)
    },
};

/// Uses a runbook no more.
pub static END: Action<RunbookRef, Runbook> = Action {
    name: "runbook.end",
    summary: "Uses a runbook no more. Its versions stay to be read.",
    effect: Effect::Change,
    run: |tx, input| {
        in_use(&granted(tx, "runbook.end", input.id, None)?)?;
        let now = tx.now;
        tx.execute("UPDATE runbooks SET ended_at = $2 WHERE id = $1", args![input.id, now])?;
        granted(tx, "runbook.end", input.id, None)
    },
};
