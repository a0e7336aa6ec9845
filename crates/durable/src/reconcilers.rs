//! Reconcilers: named, periodic, without input, run by one server at a time.

use std::time::Duration;

use base::time::Timestamp;
use base::{Error, Result};
use db::args;
use gate::{Action, AnyAction, Effect, Gate, lease};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::flows::Failure;
use crate::flows::advance::later;
use crate::{Nothing, Workshop, workshop};

/// Longest that one look may take before another server may look too.
const TERM: Duration = Duration::from_secs(600);

/// Runs a reconciler, if it is due and no other server is at it.
pub(crate) fn perform(gate: &Gate, workshop: &Workshop, name: &'static str) -> Result<()> {
    let Some(reconciler) = workshop.registry.reconcilers.get(name) else { return Ok(()) };
    let (now, every, holder) = (gate.now(), reconciler.every, workshop.server.clone());
    let lease = gate.db().write(move |conn| {
        let last: Option<Timestamp> =
            conn.query_opt("SELECT last_run_at FROM reconcilers WHERE name = $1", args![name], |row| row.get(0))?;
        match last {
            // Another server has just looked. A clock that was set back must not stop us.
            Some(last) if later(last, every.mul_f64(0.9)) > now && last <= now => Ok(None),
            _ => lease::take(conn, &format!("reconciler:{name}"), &holder, now, TERM),
        }
    })?;
    let Some(lease) = lease else { return Ok(()) };
    let guarded = std::panic::AssertUnwindSafe(|| (reconciler.work)(gate));
    let result = std::panic::catch_unwind(guarded)
        .unwrap_or_else(|_| Err(Error::bug("reconciler.panic", "a reconciler stopped on a broken invariant")));
    if let Err(e) = &result {
        tracing::warn!(reconciler = name, error = ?e, "a reconciler failed; it will look again");
    }
    let failure = result.err().map(|e| serde_json::to_string(&Failure::of(&e, "")).unwrap_or_default());
    gate.db().write(move |conn| {
        conn.execute(
            "INSERT INTO reconcilers (name, last_run_at, failure) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET last_run_at = $2, failure = $3",
            args![name, now, failure],
        )?;
        lease::release(conn, &lease)
    })
}

/// A reconciler as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciler {
    /// Its name.
    pub name: String,
    /// How often it looks.
    pub every_seconds: u64,
    /// When it last looked.
    #[schemars(with = "Option<String>")]
    pub last_run: Option<Timestamp>,
    /// What it ran into then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// All reconcilers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reconcilers {
    /// By name.
    pub items: Vec<Reconciler>,
}

/// Lists.
pub static LIST: Action<Nothing, Reconcilers> = Action {
    name: "reconciler.list",
    summary: "Lists the reconcilers, when each last looked and what it ran into.",
    effect: Effect::Read,
    run: |tx, _| {
        let workshop = workshop(tx)?;
        let rows: Vec<(String, Timestamp, Option<Json>)> =
            tx.query("SELECT name, last_run_at, failure FROM reconcilers", &[], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let item = |(name, reconciler): (&&'static str, &crate::registry::Reconciler)| {
            let row = rows.iter().find(|(other, _, _)| other == *name);
            let failure = row.and_then(|(_, _, failure)| serde_json::from_value(failure.clone()?).ok());
            Reconciler {
                name: (*name).to_owned(),
                every_seconds: reconciler.every.as_secs(),
                last_run: row.map(|(_, at, _)| *at),
                failure,
            }
        };
        Ok(Reconcilers { items: workshop.registry.reconcilers.iter().map(item).collect() })
    },
};

/// The actions of reconcilers.
pub static ACTIONS: &[&dyn AnyAction] = &[&LIST];
