//! What would grow for ever is cut back. How long things are kept is in
//! `base::limits` and in `docs/reference/retention.md`.

use std::time::Duration;

use base::time::{Timestamp, from_micros, micros};
use base::{Result, limits};
use db::Conn;
use durable::Registry;
use gate::Gate;

const EVERY: Duration = Duration::from_secs(3_600);

/// Adds the reconcilers that cut back.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .reconciler("sweep.facts", EVERY, |gate| {
            in_batches(gate, limits::FACTS_DAYS, |conn, before| {
                gate::facts::forget(conn, before).map(|n| usize::try_from(n).unwrap_or(0))
            })
        })
        .reconciler("sweep.flows", EVERY, |gate| in_batches(gate, limits::FLOW_RUNS_DAYS, durable::flows::forget))
}

/// Batch after batch, each a transaction of its own: nobody waits long for the writer.
fn in_batches(gate: &Gate, days: i64, batch: fn(&mut Conn<'_>, Timestamp) -> Result<usize>) -> Result<()> {
    let before = from_micros(micros(gate.now()) - days * 24 * 3_600 * 1_000_000)?;
    while gate.db().write(move |conn| batch(conn, before))? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
