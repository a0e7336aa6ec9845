//! Every SQL statement about announcements.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::search::Hit;

use super::actions::KIND;
use super::{Announcement, AnnouncementId, Audience, Receipt, Received, TenantReceipt};
use crate::tenants;

const SELECT: &str = "SELECT n.id, n.tenant, n.audience, n.title, n.text, n.made_by, n.made_at, n.ended_at,
     (SELECT COUNT(*) FROM announcement_readers r WHERE r.announcement = n.id),
     (SELECT COUNT(*) FROM announcement_readers r WHERE r.announcement = n.id AND r.read_at IS NOT NULL)
     FROM announcements n";

fn read(row: &Row) -> Result<Announcement> {
    Ok(Announcement {
        id: row.get(0)?,
        tenant: row.get(1)?,
        audience: row.get(2)?,
        title: row.get(3)?,
        text: row.get(4)?,
        made_by: row.get(5)?,
        made_at: row.get(6)?,
        ended_at: row.get(7)?,
        told: row.get(8)?,
        read: row.get(9)?,
    })
}

pub(crate) fn load(conn: &mut Conn<'_>, id: AnnouncementId) -> Result<Announcement> {
    let found = conn.query_opt(&format!("{SELECT} WHERE n.id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("announcement.not_found", format!("there is no announcement {id}")))
}

pub(super) fn of_tenant(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Announcement>> {
    let sql = format!("{SELECT} WHERE n.tenant = $1 ORDER BY n.id DESC LIMIT $2");
    conn.query(&sql, args![tenant, limits::ANNOUNCEMENTS_SHOWN_MAX], read)
}

pub(super) fn insert(conn: &mut Conn<'_>, made: &Announcement) -> Result<()> {
    conn.execute(
        "INSERT INTO announcements (id, tenant, audience, title, text, made_by, made_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![made.id, made.tenant, made.audience, made.title, made.text, made.made_by, made.made_at],
    )?;
    db::words::begin(conn, KIND, made.tenant, &made.id.to_string(), &[&made.title])
}

/// The one of that identifier as a search shows it: to those of the tenant `own`, and to `told` where
/// it was addressed to them and is still said.
pub(crate) fn shown(
    conn: &mut Conn<'_>,
    id: &str,
    own: Option<TenantId>,
    told: Option<AccountId>,
) -> Result<Option<Hit>> {
    let sql = "SELECT n.id, n.tenant, n.title, CASE WHEN n.ended_at IS NULL THEN 'active' ELSE 'ended' END
         FROM announcements n WHERE n.id = $1 AND (n.tenant = $2 OR (n.ended_at IS NULL AND EXISTS
             (SELECT 1 FROM announcement_readers r WHERE r.announcement = n.id AND r.account = $3)))";
    let (own, told) = (own.map(|id| id.to_string()), told.map(|id| id.to_string()));
    conn.query_opt(sql, args![id, own.unwrap_or_default(), told.unwrap_or_default()], |row| {
        Ok(Hit {
            id: row.get(0)?,
            tenant: row.get(1)?,
            name: row.get(2)?,
            state: row.get(3)?,
            about: String::new(),
            category: String::new(),
        })
    })
}

/// Who is told: everybody who may work and has a role in the tenant or below it; of the operator,
/// its own people alone, or its customers' alone.
pub(super) fn addressed(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    audience: Audience,
) -> Result<Vec<(AccountId, TenantId)>> {
    let (from, to) = tenants::store::range(&tenants::store::load(conn, tenant)?.path);
    // Of the operator, everything is below: its own people are those who have a part in itself.
    let staff_alone = audience == Audience::Own && is_operator(conn, tenant)?;
    conn.query(
        "SELECT g.account, MIN(g.tenant) FROM role_grants g
         JOIN accounts a ON a.id = g.account AND a.state = 'active' AND a.kind = 'person'
         JOIN tenants t ON t.id = g.tenant
         WHERE t.path >= $1 AND t.path < $2 AND ($3 = 1 OR t.kind <> 'operator') AND ($4 = 1 OR t.kind = 'operator')
         GROUP BY g.account ORDER BY g.account LIMIT $5",
        args![from, to, audience == Audience::Own, !staff_alone, limits::ANNOUNCEMENT_READERS_MAX + 1],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

pub(super) fn is_operator(conn: &mut Conn<'_>, tenant: TenantId) -> Result<bool> {
    Ok(tenants::store::operator(conn)? == Some(tenant))
}

pub(super) fn address(conn: &mut Conn<'_>, id: AnnouncementId, account: AccountId, tenant: TenantId) -> Result<()> {
    let sql = "INSERT INTO announcement_readers (announcement, account, tenant) VALUES ($1, $2, $3)";
    conn.execute(sql, args![id, account, tenant]).map(drop)
}

/// What is addressed to somebody and still shown, the newest first.
pub(super) fn inbox(conn: &mut Conn<'_>, account: AccountId, unread: bool) -> Result<Vec<Received>> {
    // Written out, so that the index of what is unread is used: every page asks for it.
    let only = if unread { "AND r.read_at IS NULL" } else { "" };
    conn.query(
        &format!(
            "SELECT n.id, t.name, n.title, n.text, n.made_at, r.read_at FROM announcement_readers r
             JOIN announcements n ON n.id = r.announcement JOIN tenants t ON t.id = n.tenant
             WHERE r.account = $1 {only} AND n.ended_at IS NULL ORDER BY r.announcement DESC LIMIT $2"
        ),
        args![account, limits::ANNOUNCEMENTS_SHOWN_MAX],
        |row| {
            Ok(Received {
                id: row.get(0)?,
                from: row.get(1)?,
                title: row.get(2)?,
                text: row.get(3)?,
                made_at: row.get(4)?,
                read_at: row.get(5)?,
            })
        },
    )
}

/// Notes that somebody has read it, the first time; says whether it is addressed to them.
pub(super) fn mark(conn: &mut Conn<'_>, id: AnnouncementId, account: AccountId, at: Timestamp) -> Result<bool> {
    let sql =
        "UPDATE announcement_readers SET read_at = COALESCE(read_at, $3) WHERE announcement = $1 AND account = $2";
    Ok(conn.execute(sql, args![id, account, at])? > 0)
}

pub(super) fn end(conn: &mut Conn<'_>, id: AnnouncementId, at: Timestamp) -> Result<()> {
    let sql = "UPDATE announcements SET ended_at = COALESCE(ended_at, $2) WHERE id = $1";
    conn.execute(sql, args![id, at]).map(drop)
}

/// Who was told, by name, those first who have not read it.
pub(super) fn people(conn: &mut Conn<'_>, id: AnnouncementId) -> Result<Vec<Receipt>> {
    conn.query(
        "SELECT a.name, r.read_at FROM announcement_readers r JOIN accounts a ON a.id = r.account
         WHERE r.announcement = $1 ORDER BY CASE WHEN r.read_at IS NULL THEN 0 ELSE 1 END, a.name, a.id LIMIT $2",
        args![id, limits::PAGE_MAX],
        |row| Ok(Receipt { name: row.get(0)?, read_at: row.get(1)? }),
    )
}

/// Whose people were told, by number.
pub(super) fn tenants(conn: &mut Conn<'_>, id: AnnouncementId) -> Result<Vec<TenantReceipt>> {
    conn.query(
        "SELECT t.name, COUNT(*), SUM(CASE WHEN r.read_at IS NULL THEN 0 ELSE 1 END) FROM announcement_readers r
         JOIN tenants t ON t.id = r.tenant WHERE r.announcement = $1 GROUP BY t.id, t.name ORDER BY t.name, t.id LIMIT $2",
        args![id, limits::PAGE_MAX],
        |row| Ok(TenantReceipt { name: row.get(0)?, told: row.get(1)?, read: row.get(2)? }),
    )
}
