//! Every statement about subscriptions and deliveries.

use std::collections::HashMap;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Result, limits};
use db::{Conn, args};
use gate::{RecordFact, Tx};

use super::actions::{Delivery, Subscription};

pub(super) fn subscribe(tx: &mut Tx<'_>, new: &Subscription, secret: &str) -> Result<()> {
    let actor = tx.cx().actor().to_string();
    tx.execute(
        "INSERT INTO hub_subscriptions (id, tenant, api, callback, query, secret, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![new.id, new.tenant, new.api, new.callback, new.query, secret, actor, new.created],
    )?;
    db::words::begin(tx, "hub", new.tenant, &new.id, &[&new.callback])
}

const SUBSCRIPTION: &str = "id, tenant, api, callback, query, created_at, gone_at";

fn subscription(row: &db::Row) -> Result<Subscription> {
    Ok(Subscription {
        id: row.get(0)?,
        tenant: row.get(1)?,
        api: row.get(2)?,
        callback: row.get(3)?,
        query: row.get(4)?,
        created: row.get(5)?,
        gone: row.get(6)?,
    })
}

pub(super) fn find(tx: &mut Tx<'_>, id: &str) -> Result<Option<Subscription>> {
    tx.query_opt(&format!("SELECT {SUBSCRIPTION} FROM hub_subscriptions WHERE id = $1"), args![id], subscription)
}

pub(super) fn of_tenant(tx: &mut Tx<'_>, tenant: TenantId, after: &str) -> Result<Vec<Subscription>> {
    tx.query(
        &format!(
            "SELECT {SUBSCRIPTION} FROM hub_subscriptions WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT {}",
            limits::PAGE_MAX
        ),
        args![tenant, after],
        subscription,
    )
}

pub(super) fn count(tx: &mut Tx<'_>, tenant: TenantId, api: &str) -> Result<u32> {
    tx.query_one("SELECT COUNT(*) FROM hub_subscriptions WHERE tenant = $1 AND api = $2", args![tenant, api], |row| {
        row.get(0)
    })
}

/// Removes a subscription; what still waits for it is given up.
pub(super) fn unsubscribe(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute("UPDATE hub_deliveries SET state = 'dead', failure = 'unsubscribed' WHERE subscription = $1 AND state = 'waiting'", args![id])?;
    tx.execute("DELETE FROM hub_subscriptions WHERE id = $1", args![id])?;
    db::words::forget(tx, id)
}

/// Who listens at an API of a tenant: subscription and query.
pub(super) fn listeners(tx: &mut Tx<'_>, tenant: TenantId, api: &str) -> Result<Vec<(String, String)>> {
    tx.query(
        "SELECT id, query FROM hub_subscriptions WHERE tenant = $1 AND api = $2 AND gone_at IS NULL",
        args![tenant, api],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

pub(super) fn enqueue(tx: &mut Tx<'_>, subscription: &str, event: &str, fact: &RecordFact) -> Result<()> {
    let now = tx.now;
    let id = tx.ids().text("evt", now);
    tx.execute(
        "INSERT INTO hub_deliveries (id, subscription, tenant, event, kind, record, revision, at, state, attempts, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', 0, $8)",
        args![id, subscription, fact.tenant, event, fact.kind, fact.id, fact.revision, now],
    )?;
    Ok(())
}

/// A delivery that is due.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub id: String,
    pub tenant: TenantId,
    pub event: String,
    pub kind: String,
    pub record: String,
    pub revision: i64,
    pub at: Timestamp,
    pub attempts: i64,
    pub subscription: String,
    pub callback: String,
    pub secret: String,
}

/// Whether anything is due; keeps an idle worker from writing.
pub(super) fn any_due(conn: &mut Conn<'_>, now: Timestamp) -> Result<bool> {
    let found: Option<i64> = conn.query_opt(
        "SELECT 1 FROM hub_deliveries WHERE state = 'waiting' AND due_at <= $1 LIMIT 1",
        args![now],
        |row| row.get(0),
    )?;
    Ok(found.is_some())
}

/// Takes at most `most` of what is due, for `until`: another worker takes it again
/// if this one dies. `busy` says how many of a tenant's are on their way already.
pub(super) fn claim(
    conn: &mut Conn<'_>,
    now: Timestamp,
    until: Timestamp,
    most: usize,
    busy: &HashMap<TenantId, usize>,
) -> Result<Vec<Waiting>> {
    let mut due = conn.query(
        &format!(
            "SELECT d.id, d.tenant, d.event, d.kind, d.record, d.revision, d.at, d.attempts, s.id, s.callback, s.secret
             FROM (SELECT w.*, ROW_NUMBER() OVER (PARTITION BY w.tenant ORDER BY w.due_at) AS turn FROM hub_deliveries w
                   WHERE w.state = 'waiting' AND w.due_at <= $1) d
             JOIN hub_subscriptions s ON s.id = d.subscription
             WHERE d.turn <= {} ORDER BY d.turn, d.due_at",
            limits::DELIVERIES_OF_TENANT_MAX
        ),
        args![now],
        |row| {
            Ok(Waiting {
                id: row.get(0)?,
                tenant: row.get(1)?,
                event: row.get(2)?,
                kind: row.get(3)?,
                record: row.get(4)?,
                revision: row.get(5)?,
                at: row.get(6)?,
                attempts: row.get(7)?,
                subscription: row.get(8)?,
                callback: row.get(9)?,
                secret: row.get(10)?,
            })
        },
    )?;
    let mut of = busy.clone();
    due.retain(|delivery| {
        let number = of.entry(delivery.tenant).or_default();
        *number += 1;
        *number <= limits::DELIVERIES_OF_TENANT_MAX
    });
    due.truncate(most);
    for delivery in &due {
        conn.execute(
            "UPDATE hub_deliveries SET due_at = $2, attempts = attempts + 1 WHERE id = $1",
            args![delivery.id, until],
        )?;
    }
    Ok(due)
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Done,
    Later(Timestamp, String),
    Dead(String),
    /// The other side says that it is gone for good.
    Gone,
}

pub(super) fn settle(conn: &mut Conn<'_>, delivery: &Waiting, outcome: &Outcome, now: Timestamp) -> Result<()> {
    let (state, due, failure) = match outcome {
        Outcome::Done => ("done", now, ""),
        Outcome::Later(at, why) => ("waiting", *at, why.as_str()),
        Outcome::Dead(why) => ("dead", now, why.as_str()),
        Outcome::Gone => ("dead", now, "410: the subscription was ended by the other side"),
    };
    // Only what still waits: an unsubscription meanwhile has the last word.
    conn.execute(
        "UPDATE hub_deliveries SET state = $2, due_at = $3, failure = $4 WHERE id = $1 AND state = 'waiting'",
        args![delivery.id, state, due, failure],
    )?;
    if *outcome == Outcome::Gone {
        conn.execute(
            "UPDATE hub_subscriptions SET gone_at = $2 WHERE id = $1 AND gone_at IS NULL",
            args![delivery.subscription, now],
        )?;
        conn.execute(
            "UPDATE hub_deliveries SET state = 'dead', failure = 'the subscription was ended by the other side' WHERE subscription = $1 AND state = 'waiting'",
            args![delivery.subscription],
        )?;
    }
    Ok(())
}

pub(super) fn deliveries(tx: &mut Tx<'_>, subscription: &str, state: &str, after: &str) -> Result<Vec<Delivery>> {
    tx.query(
        &format!(
            "SELECT id, event, kind, record, revision, at, state, attempts, due_at, failure FROM hub_deliveries
             WHERE subscription = $1 AND ($2 = '' OR state = $2) AND id > $3 ORDER BY id LIMIT {}",
            limits::PAGE_MAX
        ),
        args![subscription, state, after],
        |row| {
            Ok(Delivery {
                id: row.get(0)?,
                event: row.get(1)?,
                kind: row.get(2)?,
                record: row.get(3)?,
                revision: row.get(4)?,
                at: row.get(5)?,
                state: row.get(6)?,
                attempts: row.get(7)?,
                due: row.get(8)?,
                failure: row.get(9)?,
            })
        },
    )
}

/// Sends a dead delivery again, from its first attempt.
pub(super) fn retry(tx: &mut Tx<'_>, subscription: &str, id: &str) -> Result<u64> {
    let now = tx.now;
    tx.execute(
        "UPDATE hub_deliveries SET state = 'waiting', attempts = 0, due_at = $3, failure = '' WHERE id = $1 AND subscription = $2 AND state = 'dead'",
        args![id, subscription, now],
    )
}
