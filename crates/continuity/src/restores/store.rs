//! Rows of restores.

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use drivers::wire::Problem;
use gate::Tx;
use provisioning::fulfilment::Claimed;
use serde::de::DeserializeOwned;

use super::{Restore, RestoredMachine, State};
use crate::backups::text;
use crate::{RecoveryId, RestoreId};

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::bug("restore.damaged", "a stored restore does not read").because(e))
}

const SELECT: &str = "SELECT s.id, s.tenant, s.service, s.beside, s.wish, s.state, s.problem, s.recovery, s.requested_at, s.answered_at, s.closed_at, s.keep_until,
     r.point, r.place, p.name, q.taken_at FROM restores s LEFT JOIN recoveries r ON r.id = s.recovery
     LEFT JOIN backup_places p ON p.id = r.place LEFT JOIN recovery_points q ON q.id = r.point";

fn read(row: &Row) -> Result<Restore> {
    let (wish, state, problem): (String, String, Option<String>) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let known = State::ALL.into_iter().find(|known| known.word() == state);
    Ok(Restore {
        id: row.get(0)?,
        tenant: row.get(1)?,
        service: row.get(2)?,
        beside: row.get(3)?,
        wish: json(&wish)?,
        state: known.ok_or_else(|| Error::bug("restore.damaged", "a stored restore does not read"))?,
        problem: problem.as_deref().map(json).transpose()?,
        recovery: row.get(7)?,
        requested_at: row.get(8)?,
        answered_at: row.get(9)?,
        closed_at: row.get(10)?,
        keep_until: row.get(11)?,
        point: row.get(12)?,
        place: row.get(13)?,
        place_name: row.get(14)?,
        taken_at: row.get(15)?,
        machines: Vec::new(),
    })
}

fn complete(conn: &mut Conn<'_>, mut one: Restore) -> Result<Restore> {
    let sql = "SELECT machine, made, host, claimed FROM restore_machines WHERE restore = $1 ORDER BY machine";
    one.machines = conn.query(sql, args![one.id], |row| {
        let claimed: Option<String> = row.get(3)?;
        let claimed: Option<Claimed> = claimed.as_deref().map(json).transpose()?;
        let url = claimed.as_ref().map(|claimed| claimed.url.clone()).unwrap_or_default();
        Ok(RestoredMachine { machine: row.get(0)?, made: row.get(1)?, host: row.get(2)?, url, claimed })
    })?;
    Ok(one)
}

pub(super) fn load(conn: &mut Conn<'_>, id: RestoreId) -> Result<Option<Restore>> {
    let found = conn.query_opt(&format!("{SELECT} WHERE s.id = $1"), args![id], read)?;
    found.map(|found| complete(conn, found)).transpose()
}

/// Restores of a service, newest first.
pub(super) fn of_service(conn: &mut Conn<'_>, service: &str, limit: u32) -> Result<Vec<Restore>> {
    let sql = format!("{SELECT} WHERE s.service = $1 ORDER BY s.id DESC LIMIT $2");
    let found = conn.query(&sql, args![service, limit.min(limits::PAGE_MAX)], read)?;
    found.into_iter().map(|one| complete(conn, one)).collect()
}

/// The restore of a service that is on its way.
pub(super) fn running(conn: &mut Conn<'_>, service: &str) -> Result<Option<RestoreId>> {
    let sql = "SELECT id FROM restores WHERE service = $1 AND state = 'running'";
    conn.query_opt(sql, args![service], |row| row.get(0))
}

pub(super) fn insert(tx: &mut Tx<'_>, one: &Restore) -> Result<()> {
    let wish = text(&one.wish)?;
    tx.execute(
        "INSERT INTO restores (id, tenant, service, beside, wish, state, requested_at) VALUES ($1, $2, $3, $4, $5, 'running', $6)",
        args![one.id, one.tenant, one.service, one.beside, wish, one.requested_at],
    )
    .map(drop)
}

pub(super) fn set_recovery(tx: &mut Tx<'_>, id: RestoreId, recovery: RecoveryId) -> Result<()> {
    tx.execute("UPDATE restores SET recovery = $2 WHERE id = $1", args![id, recovery]).map(drop)
}

pub(super) fn add_machine(tx: &mut Tx<'_>, id: RestoreId, machine: &str, made: &str) -> Result<()> {
    let sql = "INSERT INTO restore_machines (restore, machine, made) VALUES ($1, $2, $3)";
    tx.execute(sql, args![id, machine, made]).map(drop)
}

pub(super) fn set_host(tx: &mut Tx<'_>, id: RestoreId, machine: &str, host: HostId) -> Result<()> {
    let sql = "UPDATE restore_machines SET host = $3 WHERE restore = $1 AND machine = $2";
    tx.execute(sql, args![id, machine, host]).map(drop)
}

pub(super) fn set_claimed(tx: &mut Tx<'_>, id: RestoreId, machine: &str, claimed: &Claimed) -> Result<()> {
    let sql = "UPDATE restore_machines SET claimed = $3 WHERE restore = $1 AND machine = $2";
    tx.execute(sql, args![id, machine, text(claimed)?]).map(drop)
}

/// Its machines answered: what stands beside is kept for as long as was asked for, from now on.
pub(super) fn answered(tx: &mut Tx<'_>, one: &Restore) -> Result<()> {
    let now = tx.now;
    let until = one.beside.then(|| now + one.wish.keep());
    let sql = "UPDATE restores SET answered_at = $2, closed_at = $2, keep_until = $3, state = 'done' WHERE id = $1 AND state = 'running'";
    tx.execute(sql, args![one.id, now, until]).map(drop)
}

/// What stands beside is kept until then.
pub(super) fn keep(tx: &mut Tx<'_>, id: RestoreId, until: Timestamp) -> Result<()> {
    tx.execute("UPDATE restores SET keep_until = $2 WHERE id = $1", args![id, until]).map(drop)
}

/// What has stood beside its service for as long as it was asked for, at most a page.
pub(super) fn over(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<(RestoreId, TenantId)>> {
    let sql = "SELECT id, tenant FROM restores WHERE state = 'done' AND keep_until <= $1 ORDER BY keep_until LIMIT $2";
    conn.query(sql, args![now, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The service is being ended, and what stands beside it.
pub(super) fn released(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE restores SET closed_at = $2, state = 'ended' WHERE service = $1 AND state = 'done' AND keep_until IS NOT NULL";
    tx.execute(sql, args![service, now]).map(drop)
}

/// It came to nothing. Says whether it was still on its way.
pub(super) fn failed(tx: &mut Tx<'_>, id: RestoreId, problem: &Problem) -> Result<bool> {
    let (now, problem) = (tx.now, text(problem)?);
    let sql = "UPDATE restores SET closed_at = $2, state = 'failed', problem = $3 WHERE id = $1 AND state = 'running'";
    Ok(tx.execute(sql, args![id, now, problem])? > 0)
}

/// What stood beside is not wanted any more.
pub(super) fn ended(tx: &mut Tx<'_>, id: RestoreId) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE restores SET closed_at = $2, state = 'ended' WHERE id = $1 AND state = 'done'";
    tx.execute(sql, args![id, now]).map(drop)
}
