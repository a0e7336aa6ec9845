//! Every SQL statement about approvals, rules, and who is one person.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::{Cx, Strength};
use serde_json::Value as Json;

use super::{About, Approval, ApprovalId, Problem, State, approvable};

const SELECT: &str =
    "SELECT a.id, a.tenant, a.action, a.amounts_to, a.object_kind, a.object_id, a.object_tenant, a.revision,
     a.input, a.seen, a.hash, a.requester, r.name, a.reason, a.state, a.created_at, a.expires_at, a.decided_by, d.name,
     a.decided_at, a.note, a.problem, a.result
     FROM approvals a JOIN accounts r ON r.id = a.requester LEFT JOIN accounts d ON d.id = a.decided_by";

fn json(text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(|e| Error::bug("approval.damaged", "a stored approval is not JSON").because(e))
}

fn read(row: &Row) -> Result<Approval> {
    let (input, seen): (String, String) = (row.get(8)?, row.get(9)?);
    let hash: Vec<u8> = row.get(10)?;
    let (problem, result): (Option<String>, Option<String>) = (row.get(21)?, row.get(22)?);
    let amounts_to: String = row.get(3)?;
    let seen = json(&seen)?;
    let problem = problem.map(|text| {
        let (code, message) = text.split_once(' ').unwrap_or((&text, ""));
        Problem { code: code.to_owned(), message: message.to_owned() }
    });
    Ok(Approval {
        id: row.get(0)?,
        tenant: row.get(1)?,
        action: row.get(2)?,
        summary: approvable::words(&amounts_to).0.to_owned(),
        amounts_to,
        object: About { kind: row.get(4)?, id: row.get(5)?, tenant: row.get(6)?, revision: row.get(7)? },
        object_name: seen.get("name").and_then(Json::as_str).map(str::to_owned),
        input: json(&input)?,
        seen,
        digest: base::hex::encode(&hash),
        requester: row.get(11)?,
        requester_name: row.get(12)?,
        reason: row.get(13)?,
        state: row.get(14)?,
        created_at: row.get(15)?,
        expires_at: row.get(16)?,
        decided_by: row.get(17)?,
        decided_by_name: row.get(18)?,
        decided_at: row.get(19)?,
        note: row.get(20)?,
        problem,
        result: result.as_deref().map(json).transpose()?,
    })
}

/// The same as it stands at an instant.
fn at(mut approval: Approval, now: Timestamp) -> Approval {
    if approval.state == State::Waiting && approval.expires_at <= now {
        approval.state = State::Expired;
    }
    approval
}

pub(super) fn load(conn: &mut Conn<'_>, id: ApprovalId, now: Timestamp) -> Result<Approval> {
    let found = conn.query_opt(&format!("{SELECT} WHERE a.id = $1"), args![id], read)?;
    let absent = || Error::not_found("approval.not_found", format!("there is no approval {id}"));
    found.map(|found| at(found, now)).ok_or_else(absent)
}

/// With what whoever asked came, as it was then: the session may have ended since.
#[derive(Debug)]
pub(super) struct CameWith {
    /// Their session or token.
    pub session: String,
    /// How strongly they had shown who they are.
    pub strength: Option<Strength>,
    /// The roles that they had.
    pub roles: Vec<String>,
}

impl CameWith {
    /// What a context came with.
    pub(super) fn of(cx: &Cx) -> CameWith {
        CameWith {
            session: cx.session().unwrap_or_default().to_owned(),
            strength: cx.proof().map(|proof| proof.strength),
            roles: cx.roles().iter().cloned().collect(),
        }
    }
}

pub(super) fn came_with(conn: &mut Conn<'_>, id: ApprovalId) -> Result<CameWith> {
    let sql = "SELECT session, strength, roles FROM approvals WHERE id = $1";
    let (session, strength, roles): (String, Option<Strength>, String) =
        conn.query_one(sql, args![id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let roles = serde_json::from_str(&roles)
        .map_err(|e| Error::bug("approval.damaged", "stored roles are not JSON").because(e))?;
    Ok(CameWith { session, strength, roles })
}

pub(super) fn insert(conn: &mut Conn<'_>, made: &Approval, hash: &[u8; 32], with: &CameWith) -> Result<()> {
    let object = &made.object;
    let roles = serde_json::to_string(&with.roles)
        .map_err(|e| Error::bug("approval.roles", "roles cannot be written as JSON").because(e))?;
    conn.execute(
        "INSERT INTO approvals (id, tenant, action, amounts_to, input, object_kind, object_id, object_tenant, revision, seen, hash,
         requester, session, strength, roles, reason, state, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'waiting', $17, $18)",
        args![
            made.id,
            made.tenant,
            made.action,
            made.amounts_to,
            made.input.to_string(),
            object.kind,
            object.id,
            object.tenant,
            object.revision,
            made.seen.to_string(),
            hash,
            made.requester,
            with.session,
            with.strength,
            roles,
            made.reason,
            made.created_at,
            made.expires_at
        ],
    )
    .map(drop)
}

/// Takes an approval out of waiting: whoever comes second finds it taken.
pub(super) fn settle(
    conn: &mut Conn<'_>,
    id: ApprovalId,
    state: State,
    by: AccountId,
    note: &str,
    now: Timestamp,
) -> Result<()> {
    let taken = conn.execute(
        "UPDATE approvals SET state = $2, decided_by = $3, note = $4, decided_at = $5
         WHERE id = $1 AND state = 'waiting' AND expires_at > $5",
        args![id, state, by, note, now],
    )?;
    if taken == 1 { Ok(()) } else { Err(not_waiting(load(conn, id, now)?.state)) }
}

pub(super) fn not_waiting(state: State) -> Error {
    let (code, message) = match state {
        State::Expired => ("approval.expired", "this request is past its time; ask anew".to_owned()),
        other => ("approval.not_waiting", format!("this request is {} already", other.word())),
    };
    Error::conflict(code, message)
}

/// Notes what came of what was approved, in the same transaction.
pub(super) fn finish(conn: &mut Conn<'_>, id: ApprovalId, end: std::result::Result<Json, Problem>) -> Result<()> {
    let (state, problem, result) = match end {
        Ok(result) => {
            let text = result.to_string();
            (State::Done, None, Some(text).filter(|text| text.len() <= limits::APPROVAL_RESULT_BYTES_MAX))
        }
        Err(problem) => (State::Failed, Some(format!("{} {}", problem.code, problem.message)), None),
    };
    conn.execute(
        "UPDATE approvals SET state = $2, problem = $3, result = $4 WHERE id = $1",
        args![id, state, problem, result],
    )
    .map(drop)
}

pub(super) fn waiting_of(conn: &mut Conn<'_>, requester: AccountId, now: Timestamp) -> Result<u64> {
    conn.query_one(
        "SELECT COUNT(*) FROM approvals WHERE requester = $1 AND state = 'waiting' AND expires_at > $2",
        args![requester, now],
        |row| row.get(0),
    )
}

/// How many requests an account has made since an instant, whatever became of them.
pub(super) fn asked_since(conn: &mut Conn<'_>, requester: AccountId, since: Timestamp) -> Result<u64> {
    conn.query_one(
        "SELECT COUNT(*) FROM approvals WHERE requester = $1 AND created_at > $2",
        args![requester, since],
        |row| row.get(0),
    )
}

/// What waits for somebody in the range of the tenant tree: what is to be done in `own` comes before what is
/// to be done below it, so that no customer's requests hide the operator's; of each the longest first.
pub(super) fn waiting(
    conn: &mut Conn<'_>,
    own: TenantId,
    (from, to): (&str, &str),
    now: Timestamp,
) -> Result<Vec<Approval>> {
    conn.query(
        &format!(
            "{SELECT} JOIN tenants t ON t.id = a.tenant
             WHERE a.state = 'waiting' AND a.expires_at > $3 AND t.path >= $1 AND t.path < $2
             ORDER BY CASE WHEN a.tenant = $5 THEN 0 ELSE 1 END, a.expires_at, a.id LIMIT $4"
        ),
        args![from, to, now, limits::APPROVALS_WAITING_SHOWN_MAX, own],
        read,
    )
}

/// What an account asked for, the newest first.
pub(super) fn of_requester(conn: &mut Conn<'_>, requester: AccountId, now: Timestamp) -> Result<Vec<Approval>> {
    let sql = format!("{SELECT} WHERE a.requester = $1 ORDER BY a.id DESC LIMIT $2");
    let found = conn.query(&sql, args![requester, limits::PAGE_MAX], read)?;
    Ok(found.into_iter().map(|one| at(one, now)).collect())
}

/// What was asked for in the range of the tenant tree, the newest first.
pub(super) fn of_range(conn: &mut Conn<'_>, (from, to): (&str, &str), now: Timestamp) -> Result<Vec<Approval>> {
    let sql = format!(
        "{SELECT} JOIN tenants t ON t.id = a.tenant WHERE t.path >= $1 AND t.path < $2 ORDER BY a.id DESC LIMIT $3"
    );
    let found = conn.query(&sql, args![from, to, limits::PAGE_MAX], read)?;
    Ok(found.into_iter().map(|one| at(one, now)).collect())
}

/// The actions that a tenant's own rule names.
pub(super) fn rule(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<String>> {
    conn.query("SELECT action FROM approval_rules WHERE tenant = $1 ORDER BY action", args![tenant], |row| row.get(0))
}

pub(super) fn set_rule(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    actions: &[String],
    by: &str,
    now: Timestamp,
) -> Result<()> {
    conn.execute("DELETE FROM approval_rules WHERE tenant = $1", args![tenant])?;
    for action in actions {
        conn.execute(
            "INSERT INTO approval_rules (tenant, action, set_by, set_at) VALUES ($1, $2, $3, $4)",
            args![tenant, action, by, now],
        )?;
    }
    Ok(())
}

/// The accounts that a tenant says are one person, of which it has not been saying otherwise since before `since`.
pub(super) fn links(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    since: Timestamp,
) -> Result<Vec<(AccountId, AccountId, Option<Timestamp>)>> {
    conn.query(
        "SELECT one, other, ended_at FROM same_persons WHERE tenant = $1 AND (ended_at IS NULL OR ended_at > $2) ORDER BY one, other LIMIT $3",
        args![tenant, since, limits::SAME_PERSONS_MAX],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// The same as accounts and their mail addresses.
pub(super) fn linked_addresses(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    since: Timestamp,
) -> Result<Vec<[(AccountId, String); 2]>> {
    conn.query(
        "SELECT s.one, a.email, s.other, b.email FROM same_persons s
         JOIN accounts a ON a.id = s.one JOIN accounts b ON b.id = s.other
         WHERE s.tenant = $1 AND (s.ended_at IS NULL OR s.ended_at > $2) ORDER BY s.one, s.other LIMIT $3",
        args![tenant, since, limits::SAME_PERSONS_MAX],
        |row| Ok([(row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)]),
    )
}

pub(super) fn link(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    (one, other): (AccountId, AccountId),
    by: AccountId,
    now: Timestamp,
) -> Result<()> {
    let known: u64 =
        conn.query_one("SELECT COUNT(*) FROM same_persons WHERE tenant = $1", args![tenant], |row| row.get(0))?;
    if known >= u64::from(limits::SAME_PERSONS_MAX) {
        let message = format!("an organisation says so of at most {} accounts", limits::SAME_PERSONS_MAX);
        return Err(Error::exhausted("person.too_many", message));
    }
    conn.execute(
        "INSERT INTO same_persons (tenant, one, other, declared_by, declared_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant, one, other) DO UPDATE SET ended_at = NULL",
        args![tenant, one, other, by, now],
    )
    .map(drop)
}

/// Takes back that two accounts are one person; false where nobody said so.
pub(super) fn unlink(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    (one, other): (AccountId, AccountId),
    now: Timestamp,
) -> Result<bool> {
    let sql =
        "UPDATE same_persons SET ended_at = $4 WHERE tenant = $1 AND one = $2 AND other = $3 AND ended_at IS NULL";
    Ok(conn.execute(sql, args![tenant, one, other, now])? == 1)
}

/// The people who hold any role in one of the tenants and may work.
pub(super) fn candidates(conn: &mut Conn<'_>, path: &[TenantId]) -> Result<Vec<AccountId>> {
    let mut found: Vec<AccountId> = Vec::new();
    for tenant in path {
        found.extend(conn.query(
            "SELECT DISTINCT g.account FROM role_grants g JOIN accounts a ON a.id = g.account AND a.state = 'active' AND a.kind = 'person'
             WHERE g.tenant = $1 ORDER BY g.account LIMIT $2",
            args![*tenant, limits::APPROVERS_LOOKED_AT_MAX],
            |row| row.get::<AccountId>(0),
        )?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether any tenant of the range has a rule.
pub(super) fn any_rule(conn: &mut Conn<'_>, (from, to): (&str, &str)) -> Result<bool> {
    let sql =
        "SELECT COUNT(*) FROM approval_rules r JOIN tenants t ON t.id = r.tenant WHERE t.path >= $1 AND t.path < $2";
    let found: u64 = conn.query_one(sql, args![from, to], |row| row.get(0))?;
    Ok(found > 0)
}
