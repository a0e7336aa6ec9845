//! What has run out is deleted: answers kept for repeats, notifications that ended.
//!
//! A few rows at a time, each time in a transaction of its own: nobody waits
//! behind a day's worth of them.

use std::time::Duration;

use base::Result;
use base::time::Timestamp;
use db::args;
use gate::Gate;

/// Rows that one transaction deletes.
const BATCH: u64 = 1_000;
/// How long notifications that ended can be looked at.
const NOTIFICATIONS_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);

const ANSWERS: &str = "DELETE FROM idempotency WHERE (tenant, actor, route, key) IN
     (SELECT tenant, actor, route, key FROM idempotency WHERE expires_at <= $1 LIMIT $2)";
const SENT: &str = "DELETE FROM hub_deliveries WHERE id IN
     (SELECT id FROM hub_deliveries WHERE state = 'done' AND due_at <= $1 LIMIT $2)";
const GIVEN_UP: &str = "DELETE FROM hub_deliveries WHERE id IN
     (SELECT id FROM hub_deliveries WHERE state = 'dead' AND due_at <= $1 LIMIT $2)";

/// Deletes what has run out. Not an action: nobody decides anything.
///
/// # Errors
/// Those of the database.
pub fn sweep(gate: &Gate) -> Result<()> {
    let now = gate.now();
    delete(gate, ANSWERS, now)?;
    delete(gate, SENT, now - NOTIFICATIONS_KEPT)?;
    delete(gate, GIVEN_UP, now - NOTIFICATIONS_KEPT)
}

fn delete(gate: &Gate, sql: &'static str, until: Timestamp) -> Result<()> {
    while gate.db().write(move |conn| conn.execute(sql, args![until, BATCH]))? == BATCH {}
    Ok(())
}
