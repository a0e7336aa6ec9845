//! Reviews: somebody has looked at the whole plan, says what came of it, and when it is due again.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::{self, NewFinding};
use super::{Nothing, steps, words};
use crate::ReviewId;

/// The kind of a review, in audit and policies.
pub const KIND: &str = "planReview";

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// Whose plan.
    pub tenant: TenantId,
    /// When it was held.
    #[schemars(with = "String")]
    pub held_at: Timestamp,
    /// By whom: names.
    pub held_by: String,
    /// What came of it.
    pub conclusion: String,
    /// When the next is due.
    #[schemars(with = "String")]
    pub next_due: Timestamp,
    /// The account that wrote it down.
    pub recorded_by: String,
}

const SELECT: &str = "SELECT id, tenant, held_at, held_by, conclusion, next_due, recorded_by FROM plan_reviews WHERE tenant = $1 ORDER BY held_at DESC, id DESC LIMIT $2";

fn read(row: &Row) -> Result<Review> {
    Ok(Review {
        id: row.get(0)?,
        tenant: row.get(1)?,
        held_at: row.get(2)?,
        held_by: row.get(3)?,
        conclusion: row.get(4)?,
        next_due: row.get(5)?,
        recorded_by: row.get(6)?,
    })
}

/// The newest review of a tenant's plan.
pub(crate) fn newest(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Option<Review>> {
    conn.query_opt(SELECT, args![tenant, 1], read)
}

/// A review that was held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewReview {
    /// When; now where absent.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub held_at: Option<Timestamp>,
    /// By whom: names.
    pub held_by: String,
    /// What came of it.
    pub conclusion: String,
    /// When the next is due.
    #[schemars(with = "String")]
    pub next_due: Timestamp,
    /// What was found.
    #[serde(default)]
    pub findings: Vec<NewFinding>,
}

/// Writes a review down.
pub static RECORD: Action<NewReview, Review> = Action {
    name: "planReview.create",
    summary: "Writes down a review of the plan: by whom, what came of it, what was found, when it is due again.",
    effect: Effect::Create,
    run: |tx, input| {
        tx.require("planReview.create")?;
        let held_at = input.held_at.unwrap_or(tx.now);
        if held_at > tx.now || input.next_due <= held_at {
            let message = "a review lies in the past, and the next one after it";
            return Err(Error::invalid("planReview.dates", message).at("nextDue"));
        }
        let (id, tenant, by) = (ReviewId::fresh(tx.ids(), tx.now), tx.cx().tenant(), tx.cx().actor().to_string());
        let (held_by, conclusion) =
            (words::named(&input.held_by, "heldBy")?, words::told(&input.conclusion, "conclusion")?);
        tx.grant("planReview.create", KIND, &id.to_string(), tenant, Class::Internal, ())?;
        tx.execute(
            "INSERT INTO plan_reviews (id, tenant, held_at, held_by, conclusion, next_due, recorded_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args![id, tenant, held_at, held_by, conclusion, input.next_due, by],
        )?;
        for finding in &input.findings {
            // A review has no observers.
            let finding = &NewFinding { observed_by: None, ..finding.clone() };
            findings::note(tx, tenant, findings::Source::PlanReview, &id.to_string(), finding)?;
        }
        let made = newest(tx, tenant)?;
        made.ok_or_else(|| Error::bug("planReview.absent", "a review that was written is not there"))
    },
};

/// Reviews, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReviewPage {
    /// The reviews.
    pub items: Vec<Review>,
}

/// Lists reviews.
pub static LIST: Action<Nothing, ReviewPage> = Action {
    name: "planReview.list",
    summary: "Lists reviews of the plan, the newest first.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = steps::own(tx, "planReview.list")?;
        Ok(ReviewPage { items: tx.query(SELECT, args![tenant, limits::PAGE_MAX], read)? })
    },
};
