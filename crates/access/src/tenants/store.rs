//! Every SQL statement about tenants.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::{Conn, Row, args};

use super::{Tenant, TenantKind, TenantState};

const COLUMNS: &str = "id, parent, path, kind, name, locale, time_zone, state, created_at";

fn read(row: &Row) -> Result<Tenant> {
    let path: String = row.get(2)?;
    Ok(Tenant {
        id: row.get(0)?,
        parent: row.get(1)?,
        path: path.split_terminator('/').map(str::parse).collect::<Result<_>>()?,
        kind: row.get(3)?,
        name: row.get(4)?,
        locale: row.get(5)?,
        time_zone: row.get(6)?,
        state: row.get(7)?,
        created_at: row.get(8)?,
    })
}

fn path_text(path: &[TenantId]) -> String {
    path.iter().map(|id| format!("{id}/")).collect()
}

/// The half-open range of paths that lie at and below `path`: `0` follows `/` in ASCII.
pub(crate) fn range(path: &[TenantId]) -> (String, String) {
    let from = path_text(path);
    let mut to = from.clone();
    to.pop();
    to.push('0');
    (from, to)
}

pub(crate) fn find(conn: &mut Conn<'_>, id: TenantId) -> Result<Option<Tenant>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM tenants WHERE id = $1"), args![id], read)
}

pub(crate) fn load(conn: &mut Conn<'_>, id: TenantId) -> Result<Tenant> {
    find(conn, id)?.ok_or_else(|| absent(id))
}

/// The answer for a tenant that is not there, and for one that is nobody's business.
pub(crate) fn absent(id: TenantId) -> Error {
    Error::not_found("tenant.not_found", format!("there is no tenant {id}"))
}

pub(crate) fn operator(conn: &mut Conn<'_>) -> Result<Option<TenantId>> {
    conn.query_opt("SELECT id FROM tenants WHERE kind = 'operator'", &[], |row| row.get(0))
}

pub(crate) fn insert(conn: &mut Conn<'_>, tenant: &Tenant) -> Result<()> {
    conn.execute(
        &format!("INSERT INTO tenants ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
        args![
            tenant.id,
            tenant.parent,
            path_text(&tenant.path),
            tenant.kind,
            tenant.name,
            tenant.locale,
            tenant.time_zone,
            tenant.state,
            tenant.created_at
        ],
    )?;
    keep_words(conn, tenant)
}

fn keep_words(conn: &mut Conn<'_>, tenant: &Tenant) -> Result<()> {
    db::words::keep(conn, "tenant", tenant.id, &tenant.id.to_string(), &[&tenant.name])
}

/// Those below `parent` whose names have words that begin like those of `text`: of the operator its
/// customers, of a customer all its departments.
pub(crate) fn search(conn: &mut Conn<'_>, parent: &Tenant, text: &str, limit: usize) -> Result<Vec<Tenant>> {
    // The operator's customers stand among all their departments: more are looked at than shown.
    const AMONG: usize = 20;
    let own = match parent.kind {
        TenantKind::Operator => None,
        _ => Some(subtree(conn, &parent.path)?),
    };
    // Itself is one of what is found.
    let most = if own.is_some() { limit + 1 } else { limit * AMONG };
    let mut found = Vec::new();
    for id in db::words::find(conn, "tenant", own.as_deref(), text, most)? {
        let shown = |one: &Tenant| one.id != parent.id && (own.is_some() || one.parent == Some(parent.id));
        found.extend(find(conn, id.parse()?)?.filter(shown));
    }
    found.truncate(limit);
    Ok(found)
}

pub(crate) fn update(conn: &mut Conn<'_>, tenant: &Tenant) -> Result<()> {
    conn.execute(
        "UPDATE tenants SET name = $2, locale = $3, time_zone = $4, state = $5 WHERE id = $1",
        args![tenant.id, tenant.name, tenant.locale, tenant.time_zone, tenant.state],
    )?;
    keep_words(conn, tenant)
}

/// The tenant and everything below it, itself first; bounded.
pub(crate) fn subtree(conn: &mut Conn<'_>, path: &[TenantId]) -> Result<Vec<TenantId>> {
    let (from, to) = range(path);
    let sql =
        format!("SELECT id FROM tenants WHERE path >= $1 AND path < $2 ORDER BY path LIMIT {}", limits::SUBTREE_MAX);
    conn.query(&sql, args![from, to], |row| row.get(0))
}

/// How many there are at and below `path`.
pub(crate) fn subtree_size(conn: &mut Conn<'_>, path: &[TenantId]) -> Result<usize> {
    let (from, to) = range(path);
    let number: i64 =
        conn.query_one("SELECT COUNT(*) FROM tenants WHERE path >= $1 AND path < $2", args![from, to], |row| {
            row.get(0)
        })?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// A page of what lies below `path`: the children alone, or everything.
pub(crate) fn below(
    conn: &mut Conn<'_>,
    path: &[TenantId],
    deep: bool,
    after: Option<TenantId>,
    limit: u32,
) -> Result<Vec<Tenant>> {
    let Some(id) = path.last() else { return Ok(Vec::new()) };
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    if deep {
        let (from, to) = range(path);
        let sql = format!(
            "SELECT {COLUMNS} FROM tenants WHERE path > $1 AND path < $2 AND id > $3 ORDER BY id LIMIT {limit}"
        );
        return conn.query(&sql, args![from, to, after], read);
    }
    conn.query(
        &format!("SELECT {COLUMNS} FROM tenants WHERE parent = $1 AND id > $2 ORDER BY id LIMIT {limit}"),
        args![id, after],
        read,
    )
}

/// Those of `path` whose people may not work.
pub(crate) fn closed(conn: &mut Conn<'_>, path: &[TenantId]) -> Result<Option<TenantState>> {
    for id in path {
        let state: Option<TenantState> =
            conn.query_opt("SELECT state FROM tenants WHERE id = $1", args![id], |row| row.get(0))?;
        if let Some(state) = state.filter(|state| *state != TenantState::Active) {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// What a tenant below one of that kind is.
pub(crate) fn kind_below(kind: TenantKind) -> TenantKind {
    match kind {
        TenantKind::Operator => TenantKind::Customer,
        TenantKind::Customer | TenantKind::Department => TenantKind::Department,
    }
}
