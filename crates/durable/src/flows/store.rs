//! Every SQL statement about flows.

use base::id::{RunId, TenantId};
use base::time::Timestamp;
use base::{Result, limits};
use db::records::Scope;
use db::{Conn, Row, Value, args};
use serde_json::Value as Json;

use super::types::{Decision, Event, Failure, JournalEvent, Phase, Run, State};
use crate::step::Subject;

const COLUMNS: &str = "id, flow, version, tenant, requested_by, subject_kind, subject_id, input, state, backward, past_return, step, phase, attempt, \
     step_since, note, wait_key, due_at, fence, claimed_by, failure, events, created_at, updated_at";

fn read(row: &Row) -> Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        flow: row.get(1)?,
        version: row.get(2)?,
        subject: Subject { tenant: row.get(3)?, kind: row.get(5)?, id: row.get(6)? },
        requested_by: row.get(4)?,
        input: row.get(7)?,
        state: State::read(&row.get::<String>(8)?)?,
        backward: row.get(9)?,
        past_return: row.get(10)?,
        step: row.get(11)?,
        phase: Phase::read(&row.get::<String>(12)?)?,
        attempt: row.get(13)?,
        step_since: row.get(14)?,
        note: row.get(15)?,
        wait_key: row.get(16)?,
        due: row.get(17)?,
        fence: row.get(18)?,
        claimed_by: row.get(19)?,
        failure: row.get::<Option<Json>>(20)?.and_then(|failure| serde_json::from_value::<Failure>(failure).ok()),
        events: row.get(21)?,
        created: row.get(22)?,
        updated: row.get(23)?,
    })
}

pub(super) fn insert(conn: &mut Conn<'_>, run: &Run) -> Result<()> {
    conn.execute(
        "INSERT INTO flow_runs (id, flow, version, tenant, requested_by, subject_kind, subject_id, input, state, backward, past_return, step, phase,
            attempt, due_at, fence, events, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10, 0, $11, 0, 0, $11, $11)",
        args![
            run.id,
            run.flow,
            run.version,
            run.subject.tenant,
            run.requested_by,
            run.subject.kind,
            run.subject.id,
            run.input,
            run.state.word(),
            run.phase.word(),
            run.created
        ],
    )?;
    Ok(())
}

pub(super) fn load(conn: &mut Conn<'_>, id: RunId) -> Result<Option<Run>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM flow_runs WHERE id = $1"), args![id], read)
}

pub(super) fn save(conn: &mut Conn<'_>, run: &Run) -> Result<()> {
    let failure = run.failure.as_ref().map(|failure| serde_json::to_string(failure).unwrap_or_default());
    conn.execute(
        "UPDATE flow_runs SET state = $2, backward = $3, past_return = $4, step = $5, phase = $6, attempt = $7, step_since = $8, note = $9,
            wait_key = $10, due_at = $11, fence = $12, claimed_by = $13, failure = $14, events = $15, updated_at = $16
         WHERE id = $1",
        args![
            run.id,
            run.state.word(),
            run.backward,
            run.past_return,
            run.step,
            run.phase.word(),
            run.attempt,
            run.step_since,
            run.note,
            run.wait_key,
            run.due,
            run.fence,
            run.claimed_by,
            failure,
            run.events,
            run.updated
        ],
    )?;
    Ok(())
}

/// Prolongs the claim of a call that is still at work.
pub(crate) fn prolong(conn: &mut Conn<'_>, id: RunId, fence: i64, until: Timestamp) -> Result<bool> {
    let changed = conn.execute(
        "UPDATE flow_runs SET due_at = $3 WHERE id = $1 AND fence = $2 AND phase = 'outside' AND claimed_by IS NOT NULL",
        args![id, fence, until],
    )?;
    Ok(changed > 0)
}

/// A call ended because its process does: whoever is there next asks again, at once.
pub(crate) fn release(conn: &mut Conn<'_>, id: RunId, fence: i64, now: Timestamp) -> Result<u64> {
    conn.execute(
        "UPDATE flow_runs SET due_at = $3, claimed_by = NULL WHERE id = $1 AND fence = $2 AND phase = 'outside'",
        args![id, fence, now],
    )
}

/// Makes the runs that wait for `key` due.
pub(super) fn wake(conn: &mut Conn<'_>, key: &str, now: Timestamp) -> Result<Vec<(RunId, TenantId)>> {
    conn.query(
        "UPDATE flow_runs SET wait_key = NULL, phase = 'woken', due_at = $2, updated_at = $2 WHERE wait_key = $1 RETURNING id, tenant",
        args![key, now],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

pub(crate) fn due(conn: &mut Conn<'_>, now: Timestamp, most: usize) -> Result<Vec<(RunId, TenantId)>> {
    conn.query(
        "SELECT id, tenant FROM flow_runs WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        args![now, most],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// When the next run is due.
pub(crate) fn next_due(conn: &mut Conn<'_>) -> Result<Option<Timestamp>> {
    conn.query_one("SELECT MIN(due_at) FROM flow_runs WHERE due_at IS NOT NULL", &[], |row| row.get(0))
}

/// What calls of earlier processes left behind is asked again at once: of those whose name is like that, but for one.
pub(crate) fn release_claims(conn: &mut Conn<'_>, now: Timestamp, of: &str, but: &str) -> Result<u64> {
    conn.execute(
        "UPDATE flow_runs SET due_at = $1, claimed_by = NULL WHERE phase = 'outside' AND claimed_by LIKE $2 AND claimed_by <> $3",
        args![now, of, but],
    )
}

/// Runs that were put off before the clock was set back are looked at now.
pub(crate) fn look_again(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64> {
    conn.execute(
        "UPDATE flow_runs SET due_at = $1 WHERE due_at > $1 AND updated_at > $1 AND claimed_by IS NULL",
        args![now],
    )
}

/// A batch of runs that ended before then. Ids are made in the order of time,
/// so the oldest of each state come first and the look is short.
pub(crate) fn ended_before(conn: &mut Conn<'_>, before: Timestamp) -> Result<Vec<RunId>> {
    let mut found = Vec::new();
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        let oldest = conn.query(
            "SELECT id, updated_at FROM flow_runs WHERE state = $1 ORDER BY id LIMIT $2",
            args![state.word(), limits::SWEEP_BATCH_MAX],
            |row| Ok((row.get::<RunId>(0)?, row.get::<Timestamp>(1)?)),
        )?;
        found.extend(oldest.into_iter().filter(|(_, at)| *at < before).map(|(id, _)| id));
    }
    Ok(found)
}

pub(crate) fn delete(conn: &mut Conn<'_>, run: RunId) -> Result<()> {
    conn.execute("DELETE FROM flow_journal WHERE run = $1", args![run])?;
    conn.execute("DELETE FROM flow_decisions WHERE run = $1", args![run])?;
    conn.execute("DELETE FROM flow_runs WHERE id = $1", args![run]).map(drop)
}

pub(crate) fn journal(conn: &mut Conn<'_>, run: RunId) -> Result<Vec<JournalEvent>> {
    conn.query(
        "SELECT seq, at, step, event, attempt, detail FROM flow_journal WHERE run = $1 ORDER BY seq",
        args![run],
        |row| {
            Ok(JournalEvent {
                seq: row.get(0)?,
                at: row.get(1)?,
                step: row.get(2)?,
                event: Event::read(&row.get::<String>(3)?)?,
                attempt: row.get(4)?,
                detail: row.get(5)?,
            })
        },
    )
}

pub(super) fn append(conn: &mut Conn<'_>, run: RunId, event: &JournalEvent) -> Result<()> {
    conn.execute(
        "INSERT INTO flow_journal (run, seq, at, step, event, attempt, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![run, event.seq, event.at, event.step, event.event.word(), event.attempt, event.detail],
    )?;
    Ok(())
}

pub(super) fn decide(conn: &mut Conn<'_>, run: &Run, decision: &Decision) -> Result<()> {
    conn.execute(
        "INSERT INTO flow_decisions (run, seq, at, actor, verb, step, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![run.id, run.events, decision.at, decision.actor, decision.verb, decision.step, decision.reason],
    )?;
    Ok(())
}

pub(super) fn decisions(conn: &mut Conn<'_>, run: RunId) -> Result<Vec<Decision>> {
    conn.query(
        "SELECT at, actor, verb, step, reason FROM flow_decisions WHERE run = $1 ORDER BY seq, at",
        args![run],
        |row| {
            Ok(Decision {
                at: row.get(0)?,
                actor: row.get(1)?,
                verb: row.get(2)?,
                step: row.get(3)?,
                reason: row.get(4)?,
            })
        },
    )
}

/// What a list of runs is narrowed to.
#[derive(Debug, Default)]
pub(super) struct Filter<'f> {
    pub state: Option<State>,
    pub flow: Option<&'f str>,
    pub subject: Option<&'f str>,
    pub after: Option<RunId>,
}

/// Newest first.
pub(super) fn list(conn: &mut Conn<'_>, scope: &Scope, filter: &Filter<'_>, most: u32) -> Result<Vec<Run>> {
    let mut sql = format!("SELECT {COLUMNS} FROM flow_runs WHERE 1 = 1");
    let mut values: Vec<Value<'_>> = Vec::new();
    let mut and = |condition: &str, value: Value<'static>| {
        values.push(value);
        sql.push_str(&format!(" AND {condition} ${}", values.len()));
    };
    let text = |text: &str| Value::Text(text.to_owned().into());
    if let Some(state) = filter.state {
        and("state =", text(state.word()));
    }
    if let Some(flow) = filter.flow {
        and("flow =", text(flow));
    }
    if let Some(subject) = filter.subject {
        and("subject_id =", text(subject));
    }
    if let Some(after) = filter.after {
        and("id <", text(&after.to_string()));
    }
    if let Scope::Tenants { own, .. } = scope {
        let first = values.len() + 1;
        values.extend(own.iter().map(|tenant| Value::Text(tenant.to_string().into())));
        let marks: Vec<String> = (first..=values.len()).map(|n| format!("${n}")).collect();
        sql.push_str(&if marks.is_empty() {
            " AND 1 = 0".to_owned()
        } else {
            format!(" AND tenant IN ({})", marks.join(", "))
        });
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {most}"));
    conn.query(&sql, &values, read)
}

pub(super) fn of_subject(conn: &mut Conn<'_>, kind: &str, id: &str, most: usize) -> Result<Vec<Run>> {
    conn.query(
        &format!("SELECT {COLUMNS} FROM flow_runs WHERE subject_kind = $1 AND subject_id = $2 ORDER BY id LIMIT $3"),
        args![kind, id, most],
        read,
    )
}

pub(crate) fn definition(conn: &mut Conn<'_>, name: &str, version: u32) -> Result<Option<String>> {
    conn.query_opt("SELECT body FROM flow_definitions WHERE name = $1 AND version = $2", args![name, version], |row| {
        row.get(0)
    })
}

pub(super) fn newest_version(conn: &mut Conn<'_>, name: &str) -> Result<Option<u32>> {
    conn.query_opt(
        "SELECT version FROM flow_definitions WHERE name = $1 ORDER BY version DESC LIMIT 1",
        args![name],
        |row| row.get(0),
    )
}

pub(super) fn insert_definition(
    conn: &mut Conn<'_>,
    name: &str,
    version: u32,
    body: &str,
    now: Timestamp,
    by: &str,
) -> Result<()> {
    conn.execute(
        "INSERT INTO flow_definitions (name, version, body, created_at, created_by) VALUES ($1, $2, $3, $4, $5)",
        args![name, version, body, now, by],
    )?;
    Ok(())
}

pub(super) type DefinitionRow = (String, u32, Timestamp, String, String);

/// Name, version, when, by whom, body; the newest version of each.
pub(super) fn definitions(conn: &mut Conn<'_>) -> Result<Vec<DefinitionRow>> {
    conn.query(
        "SELECT name, version, created_at, created_by, body FROM flow_definitions d
         WHERE version = (SELECT MAX(version) FROM flow_definitions n WHERE n.name = d.name) ORDER BY name",
        &[],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
    )
}
