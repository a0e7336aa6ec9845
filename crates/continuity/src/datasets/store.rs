//! Rows of data sets and of their restores.

use base::id::{HostId, TenantId};
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use drivers::wire::{DataSource, Problem};
use gate::Tx;

use super::restores::{DataRestore, State, kept_until};
use super::{DataSet, KIND, NewDataSet};
use crate::backups::places::taken;
use crate::backups::text;
use crate::{DataRestoreId, DataSetId};

fn damaged(what: &str) -> Error {
    Error::bug("dataSet.damaged", format!("a stored {what} does not read"))
}

fn stored<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| damaged(what).because(e))
}

const SELECT: &str = "SELECT d.id, d.name, d.service, d.tenant, d.host, h.name, d.source, d.password, d.revision, d.created_at, d.ended_at
     FROM data_sets d JOIN hosts h ON h.id = d.host";

fn read(row: &Row) -> Result<DataSet> {
    let password: Option<String> = row.get(7)?;
    Ok(DataSet {
        id: row.get(0)?,
        name: row.get(1)?,
        service: row.get(2)?,
        tenant: row.get(3)?,
        host: row.get(4)?,
        host_name: row.get(5)?,
        source: stored("data set", row.text(6)?)?,
        has_password: password.is_some(),
        password,
        revision: row.get(8)?,
        created_at: row.get(9)?,
        ended_at: row.get(10)?,
    })
}

pub(super) fn load(conn: &mut Conn<'_>, id: DataSetId) -> Result<Option<DataSet>> {
    conn.query_opt(&format!("{SELECT} WHERE d.id = $1"), args![id], read)
}

pub(super) fn of_service(conn: &mut Conn<'_>, service: &str, ended: bool) -> Result<Vec<DataSet>> {
    let sql =
        format!("{SELECT} WHERE d.service = $1 AND ($2 = 1 OR d.ended_at IS NULL) ORDER BY d.name, d.id LIMIT $3");
    conn.query(&sql, args![service, ended, limits::PAGE_MAX], read)
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: DataSetId,
    tenant: TenantId,
    new: &NewDataSet,
    password: Option<&str>,
) -> Result<()> {
    let (now, source) = (tx.now, text(&new.source)?);
    tx.execute(
        "INSERT INTO data_sets (id, tenant, service, host, name, source, password, revision, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)",
        args![id, tenant, new.id, new.host, new.name, source, password, now],
    )
    .map_err(taken("dataSet.name_taken", &new.name))?;
    db::words::begin(tx, KIND, tenant, &id.to_string(), &[&new.name])
}

pub(super) fn update(
    tx: &mut Tx<'_>,
    (id, tenant): (DataSetId, TenantId),
    name: &str,
    host: HostId,
    source: &DataSource,
    password: Option<&str>,
) -> Result<()> {
    let source = text(source)?;
    let sql =
        "UPDATE data_sets SET name = $2, host = $3, source = $4, password = $5, revision = revision + 1 WHERE id = $1";
    tx.execute(sql, args![id, name, host, source, password]).map_err(taken("dataSet.name_taken", name))?;
    db::words::keep(tx, KIND, tenant, &id.to_string(), &[name])
}

/// Its password is not needed any more.
pub(super) fn forget_password(tx: &mut Tx<'_>, id: DataSetId) -> Result<()> {
    tx.execute("UPDATE data_sets SET password = NULL WHERE id = $1 AND ended_at IS NOT NULL", args![id]).map(drop)
}

pub(super) fn end(tx: &mut Tx<'_>, id: DataSetId) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE data_sets SET ended_at = $2, revision = revision + 1 WHERE id = $1 AND ended_at IS NULL";
    tx.execute(sql, args![id, now]).map(drop)
}

// Restores.

const RESTORE: &str = "SELECT r.id, r.tenant, r.service, r.point, r.data_set, s.name, r.place, p.name, r.repository, r.host, h.name, r.target, r.task,
        r.state, r.restored, r.problem, r.requested_at, r.closed_at, r.logs_of
     FROM data_restores r JOIN data_sets s ON s.id = r.data_set JOIN backup_places p ON p.id = r.place JOIN hosts h ON h.id = r.host";

fn read_restore(row: &Row) -> Result<DataRestore> {
    let (restored, problem): (Option<String>, Option<String>) = (row.get(14)?, row.get(15)?);
    let (to, requested_at) = (stored("target", row.text(11)?)?, row.get(16)?);
    let state = State::read(row.text(13)?).ok_or_else(|| damaged("restore"))?;
    Ok(DataRestore {
        kept_until: kept_until(&to, state, requested_at),
        id: row.get(0)?,
        tenant: row.get(1)?,
        service: row.get(2)?,
        point: row.get(3)?,
        data_set: row.get(4)?,
        name: row.get(5)?,
        place: row.get(6)?,
        place_name: row.get(7)?,
        repository: row.get(8)?,
        host: row.get(9)?,
        host_name: row.get(10)?,
        to,
        task: row.get(12)?,
        state,
        restored: restored.map(|text| stored("restore", &text)).transpose()?,
        problem: problem.map(|text| stored("problem", &text)).transpose()?,
        requested_at: row.get(16)?,
        closed_at: row.get(17)?,
        logs_of: row.get(18)?,
    })
}

pub(super) fn insert_restore(tx: &mut Tx<'_>, one: &DataRestore) -> Result<()> {
    let target = text(&one.to)?;
    tx.execute(
        "INSERT INTO data_restores (id, tenant, service, point, data_set, place, repository, host, target, task, state, requested_at, logs_of)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'running', $11, $12)",
        args![
            one.id,
            one.tenant,
            one.service,
            one.point,
            one.data_set,
            one.place,
            one.repository,
            one.host,
            target,
            one.task,
            one.requested_at,
            one.logs_of
        ],
    )
    .map(drop)
}

pub(super) fn restore(conn: &mut Conn<'_>, id: DataRestoreId) -> Result<Option<DataRestore>> {
    conn.query_opt(&format!("{RESTORE} WHERE r.id = $1"), args![id], read_restore)
}

pub(super) fn restores(conn: &mut Conn<'_>, service: &str, limit: u32) -> Result<Vec<DataRestore>> {
    let sql = format!("{RESTORE} WHERE r.service = $1 ORDER BY r.id DESC LIMIT $2");
    conn.query(&sql, args![service, limit], read_restore)
}

pub(super) fn running(conn: &mut Conn<'_>, set: DataSetId) -> Result<bool> {
    let sql = "SELECT id FROM data_restores WHERE data_set = $1 AND state = 'running' LIMIT 1";
    Ok(conn.query_opt(sql, args![set], |row| row.get::<DataRestoreId>(0))?.is_some())
}

pub(super) fn close_restore(
    tx: &mut Tx<'_>,
    id: DataRestoreId,
    state: State,
    restored: Option<&drivers::wire::DataRestored>,
    problem: Option<&Problem>,
) -> Result<()> {
    let (now, restored, problem) = (tx.now, restored.map(text).transpose()?, problem.map(text).transpose()?);
    tx.execute(
        "UPDATE data_restores SET state = $2, restored = $3, problem = $4, closed_at = $5 WHERE id = $1 AND state = 'running'",
        args![id, state.word(), restored, problem, now],
    )
    .map(drop)
}
