//! Findings of reviews and exercises: what is to be put right, by whom, by when; closed with a note.
//! What drills find are corrective actions (`drills::corrective`), which only a passing drill closes.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{steps, words};
use crate::{FindingId, exercises};

/// The kind of a finding, in audit and policies.
pub const KIND: &str = "finding";

/// What found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A review of the plan.
    PlanReview,
    /// An exercise.
    Exercise,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Source::PlanReview => "planReview",
            Source::Exercise => "exercise",
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// Whose.
    pub tenant: TenantId,
    /// What sort of thing found it.
    pub source: Source,
    /// Which review or exercise.
    pub source_id: String,
    /// What was found.
    pub text: String,
    /// The independent observer who found it; absent where somebody else did.
    pub observed_by: Option<String>,
    /// Who puts it right.
    pub owner: String,
    /// By when.
    #[schemars(with = "String")]
    pub due_at: Timestamp,
    /// Whether it is still to be done.
    pub open: bool,
    /// Whether its time has passed and it is open.
    pub overdue: bool,
    /// What was done about it.
    pub note: String,
    /// The account that closed it.
    pub closed_by: Option<String>,
    /// When it was found.
    #[schemars(with = "String")]
    pub opened_at: Timestamp,
    /// When it was closed.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT id, tenant, source_kind, source_id, text, owner, due_at, note, closed_by, opened_at, closed_at, observed_by FROM plan_findings";

fn read(row: &Row, now: Timestamp) -> Result<Finding> {
    let (due_at, closed_at): (Timestamp, Option<Timestamp>) = (row.get(6)?, row.get(10)?);
    let open = closed_at.is_none();
    Ok(Finding {
        id: row.get(0)?,
        tenant: row.get(1)?,
        source: if row.text(2)? == Source::Exercise.word() { Source::Exercise } else { Source::PlanReview },
        source_id: row.get(3)?,
        text: row.get(4)?,
        owner: row.get(5)?,
        due_at,
        open,
        overdue: open && due_at < now,
        note: row.get(7)?,
        closed_by: row.get(8)?,
        opened_at: row.get(9)?,
        closed_at,
        observed_by: row.get(11)?,
    })
}

/// A tenant's open findings, by when they are due.
pub(crate) fn open(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Finding>> {
    let now = tx.now;
    let sql = format!("{SELECT} WHERE tenant = $1 AND closed_at IS NULL ORDER BY due_at, id LIMIT $2");
    tx.query(&sql, args![tenant, limits::PAGE_MAX], |row| read(row, now))
}

/// What one review or exercise found.
pub(crate) fn of(conn: &mut Conn<'_>, source: &str, now: Timestamp) -> Result<Vec<Finding>> {
    let sql = format!("{SELECT} WHERE source_id = $1 ORDER BY id LIMIT $2");
    conn.query(&sql, args![source, limits::PAGE_MAX], |row| read(row, now))
}

/// Something that was found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFinding {
    /// What.
    pub text: String,
    /// Who puts it right.
    pub owner: String,
    /// By when.
    #[schemars(with = "String")]
    pub due_at: Timestamp,
    /// Which of an exercise's observers found it.
    #[serde(default)]
    pub observed_by: Option<String>,
}

/// Writes a finding down, for an action that has checked that it may.
pub(crate) fn note(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    source: Source,
    of: &str,
    input: &NewFinding,
) -> Result<FindingId> {
    let (text, owner) = (words::told(&input.text, "text")?, words::named(&input.owner, "owner")?);
    let (id, now) = (FindingId::fresh(tx.ids(), tx.now), tx.now);
    tx.execute(
        "INSERT INTO plan_findings (id, tenant, source_kind, source_id, text, owner, due_at, note, opened_at, observed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $9)",
        args![id, tenant, source.word(), of, text, owner, input.due_at, now, input.observed_by],
    )?;
    db::words::begin(tx, KIND, tenant, &id.to_string(), &[&text])?;
    Ok(id)
}

/// A finding of something that was recorded before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddFinding {
    /// The review or exercise.
    pub source: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: NewFinding,
}

/// What the source of a finding is, and whose.
fn found_by(tx: &mut Tx<'_>, source: &str) -> Result<(Source, TenantId)> {
    for (kind, sql) in [
        (Source::PlanReview, "SELECT tenant FROM plan_reviews WHERE id = $1"),
        (Source::Exercise, "SELECT tenant FROM exercises WHERE id = $1"),
    ] {
        if let Some(tenant) = tx.query_opt(sql, args![source], |row| row.get(0))? {
            return Ok((kind, tenant));
        }
    }
    Err(Error::not_found("finding.source", format!("there is no review or exercise {source}")).at("source"))
}

/// Adds a finding.
pub static ADD: Action<AddFinding, Finding> = Action {
    name: "finding.create",
    summary: "Adds a finding to a review or an exercise, with an owner and a date.",
    effect: Effect::Create,
    run: |tx, input| {
        let (kind, tenant) = found_by(tx, &input.source)?;
        tx.grant("finding.create", kind.word(), &input.source, tenant, Class::Internal, ())?;
        // A review has no observers.
        let observers = match kind {
            Source::Exercise => exercises::observers(tx, &input.source)?,
            Source::PlanReview => Vec::new(),
        };
        let observed_by = exercises::observed(&observers, input.finding.observed_by.as_ref())?;
        let finding = NewFinding { observed_by, ..input.finding.clone() };
        let id = note(tx, tenant, kind, &input.source, &finding)?;
        granted(tx, "finding.create", id)
    },
};

fn granted(tx: &mut Tx<'_>, action: &str, id: FindingId) -> Result<Finding> {
    let now = tx.now;
    let found = tx.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], |row| read(row, now))?;
    let found = found.ok_or_else(|| Error::not_found("finding.not_found", format!("there is no finding {id}")))?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// What was done about a finding.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseFinding {
    /// Which.
    pub id: FindingId,
    /// What was done.
    pub note: String,
}

/// Closes a finding.
pub static CLOSE: Action<CloseFinding, Finding> = Action {
    name: "finding.close",
    summary: "Closes a finding, saying what was done about it.",
    effect: Effect::Change,
    run: |tx, input| {
        if !granted(tx, "finding.close", input.id)?.open {
            return Err(Error::conflict("finding.closed", "the finding is closed already"));
        }
        let note = words::told(&input.note, "note")?;
        let (now, by) = (tx.now, tx.cx().actor().to_string());
        let sql = "UPDATE plan_findings SET note = $2, closed_by = $3, closed_at = $4 WHERE id = $1";
        tx.execute(sql, args![input.id, note, by, now])?;
        granted(tx, "finding.close", input.id)
    },
};

/// Which findings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListFindings {
    /// Also those that are closed.
    pub closed: bool,
}

/// Findings, at most a page.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FindingPage {
    /// Open ones first, by when they are due.
    pub items: Vec<Finding>,
}

/// Lists findings.
pub static LIST: Action<ListFindings, FindingPage> = Action {
    name: "finding.list",
    summary: "Lists what reviews and exercises found, with owner and date.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = steps::own(tx, "finding.list")?;
        let mut items = open(tx, tenant)?;
        if input.closed {
            let now = tx.now;
            let sql =
                format!("{SELECT} WHERE tenant = $1 AND closed_at IS NOT NULL ORDER BY closed_at DESC, id LIMIT $2");
            items.extend(tx.query(&sql, args![tenant, limits::PAGE_MAX], |row| read(row, now))?);
        }
        Ok(FindingPage { items })
    },
};
