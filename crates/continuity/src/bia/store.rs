//! Every SQL statement of business impact analysis.

use base::id::TenantId;
use base::{Error, Result};
use db::{Conn, args};
use gate::Tx;
use serde::de::DeserializeOwned;

use super::types::{Assess, Assessment, HarmScale, SetScale};
use crate::backups::text;

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| Error::bug("assessment.damaged", "a stored assessment does not read").because(e))
}

pub(super) fn scale(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Option<HarmScale>> {
    let sql = "SELECT unit, levels, intolerable, revision FROM harm_scales WHERE tenant = $1";
    conn.query_opt(sql, args![tenant], |row| {
        let intolerable: u32 = row.get(2)?;
        Ok(HarmScale {
            unit: row.get(0)?,
            levels: json(row.text(1)?)?,
            intolerable: intolerable as usize,
            revision: row.get(3)?,
        })
    })
}

pub(super) fn put_scale(tx: &mut Tx<'_>, tenant: TenantId, scale: &SetScale) -> Result<()> {
    let (now, by, levels) = (tx.now, tx.cx().actor().to_string(), text(&scale.levels)?);
    tx.execute(
        "INSERT INTO harm_scales (tenant, unit, levels, intolerable, revision, changed_by, changed_at) VALUES ($1, $2, $3, $4, 1, $5, $6)
         ON CONFLICT (tenant) DO UPDATE SET unit = excluded.unit, levels = excluded.levels, intolerable = excluded.intolerable,
            revision = harm_scales.revision + 1, changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        args![tenant, scale.unit, levels, scale.intolerable, by, now],
    )
    .map(drop)
}

/// The assessments of a tenant, without what follows from them.
pub(super) fn assessments(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Assessment>> {
    let sql = "SELECT activity, harm, rto_seconds, rpo_seconds, minimum, assessed_by, assessed_on, review_by, revision
         FROM impact_assessments WHERE tenant = $1 ORDER BY activity";
    conn.query(sql, args![tenant], |row| {
        Ok(Assessment {
            activity: row.get(0)?,
            harm: json(row.text(1)?)?,
            mtpd_seconds: None,
            rto_seconds: row.get(2)?,
            rpo_seconds: row.get(3)?,
            minimum: row.get(4)?,
            assessed_by: row.get(5)?,
            assessed_on: row.get(6)?,
            review_by: row.get(7)?,
            review_overdue: false,
            revision: row.get(8)?,
        })
    })
}

pub(super) fn put(tx: &mut Tx<'_>, tenant: TenantId, activity: &str, one: &Assess) -> Result<()> {
    let (now, by, harm) = (tx.now, tx.cx().actor().to_string(), text(&one.harm)?);
    let (minimum, assessed_by) = (one.minimum.trim(), one.assessed_by.trim());
    tx.execute(
        "INSERT INTO impact_assessments (tenant, activity, harm, rto_seconds, rpo_seconds, minimum, assessed_by, assessed_on, review_by, revision, changed_by, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11)
         ON CONFLICT (tenant, activity) DO UPDATE SET harm = excluded.harm, rto_seconds = excluded.rto_seconds, rpo_seconds = excluded.rpo_seconds,
            minimum = excluded.minimum, assessed_by = excluded.assessed_by, assessed_on = excluded.assessed_on, review_by = excluded.review_by,
            revision = impact_assessments.revision + 1, changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        args![
            tenant,
            activity,
            harm,
            one.rto_seconds,
            one.rpo_seconds,
            minimum,
            assessed_by,
            one.assessed_on,
            one.review_by,
            by,
            now
        ],
    )
    .map(drop)
}

pub(super) fn remove(tx: &mut Tx<'_>, tenant: TenantId, activity: &str) -> Result<()> {
    let sql = "DELETE FROM impact_assessments WHERE tenant = $1 AND activity = $2";
    tx.execute(sql, args![tenant, activity]).map(drop)
}
