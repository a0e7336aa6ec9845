//! What was measured, as studies read it.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, args};
use serde::Deserialize;

use crate::BackupPlaceId;
use crate::drills::rules::{Measured, Phase};

/// How many of the last drills say how long deciding takes.
const DRILLS: i64 = 20;

/// The condition that a row is of that tenant; of any where none is named.
fn of(column: &str, whose: Option<TenantId>) -> String {
    match whose {
        Some(_) => format!("{column} = $1"),
        None => "$1 = ''".to_owned(),
    }
}

fn named(whose: Option<TenantId>) -> String {
    whose.map(|tenant| tenant.to_string()).unwrap_or_default()
}

/// The newest good copy of each machine at each place: the instant that it is of.
pub(super) fn copies(
    conn: &mut Conn<'_>,
    whose: Option<TenantId>,
) -> Result<BTreeMap<String, Vec<(BackupPlaceId, Timestamp)>>> {
    let sql = format!(
        "SELECT c.part, r.place, MAX(p.taken_at) FROM recovery_points p JOIN recovery_copies c ON c.point = p.id
         JOIN backup_repositories r ON r.id = c.repository
         WHERE {} AND p.state IN ('available', 'degraded') AND p.taken_at IS NOT NULL AND c.state = 'verified'
         GROUP BY c.part, r.place ORDER BY c.part, r.place",
        of("p.tenant", whose)
    );
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    conn.each(&sql, args![named(whose)], |row| {
        all.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?));
        Ok(())
    })?;
    Ok(all)
}

#[derive(Deserialize)]
struct Taken {
    disks: Vec<Sized>,
}
#[derive(Deserialize)]
struct Sized {
    bytes: u64,
}

/// Bytes of each machine's disks in the newest point of its service.
pub(super) fn sizes(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<BTreeMap<String, u64>> {
    let mine = of("q.tenant", whose);
    let sql = format!(
        "SELECT m.part, m.taken FROM recovery_parts m WHERE m.kind = 'machine' AND m.taken IS NOT NULL AND m.point IN
         (SELECT MAX(q.id) FROM recovery_points q WHERE {mine} AND q.state IN ('available', 'degraded') GROUP BY q.service)"
    );
    let all = conn.query(&sql, args![named(whose)], |row| {
        let taken: Taken = serde_json::from_str(row.text(1)?)
            .map_err(|e| Error::bug("recoveryPoint.damaged", "a stored recovery point does not read").because(e))?;
        Ok((row.get::<String>(0)?, taken.disks.iter().map(|disk| disk.bytes).sum()))
    })?;
    Ok(all.into_iter().collect())
}

/// The machine that each machine was made again from: its copies are of that one until the next point.
pub(super) fn made_from(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<BTreeMap<String, String>> {
    let sql = format!(
        "SELECT m.made, m.machine FROM restores s JOIN restore_machines m ON m.restore = s.id WHERE {} AND s.state = 'done'",
        of("s.tenant", whose)
    );
    Ok(conn.query(&sql, args![named(whose)], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

#[derive(Deserialize)]
struct Run {
    services: Vec<Came>,
}
#[derive(Deserialize)]
struct Came {
    phases: Vec<Measured>,
}

/// How long the last drills took to choose a copy, to reserve a host and to fetch the key, at the
/// worst, in seconds; nothing where nothing was drilled.
pub(super) fn deciding(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<Option<u64>> {
    let sql = format!(
        "SELECT body FROM drill_runs WHERE {} AND state IN ('passed', 'failed') ORDER BY id DESC LIMIT $2",
        of("tenant", whose)
    );
    let runs =
        conn.query(&sql, args![named(whose), DRILLS], |row| Ok(serde_json::from_str::<Run>(row.text(0)?).ok()))?;
    let decides = |phase: Phase| matches!(phase, Phase::Decide | Phase::Reserve | Phase::Key);
    let of = |came: &Came| {
        let each: Option<Vec<u64>> =
            came.phases.iter().filter(|one| decides(one.phase)).map(|one| one.milliseconds).collect();
        each.filter(|each| !each.is_empty()).map(|each| each.iter().sum::<u64>().div_ceil(1_000))
    };
    Ok(runs.iter().flatten().flat_map(|run| &run.services).filter_map(of).max())
}
