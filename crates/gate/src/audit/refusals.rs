//! Refusals as they were recorded, found by the request that was refused or by their place in the log.
//!
//! Not here: who may be told of one (`access::permissions`).

use std::net::IpAddr;

use base::Result;
use base::time::{Timestamp, from_micros};
use db::{Conn, Row, Value};

use super::leaf::Private;
use super::store;

/// How the outcome of a refusal begins; its code follows.
const REFUSED: &str = "refused:";

/// How a refusal is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// By the request in which it happened.
    Request(&'a str),
    /// By its place in the log.
    Index(i64),
}

/// A refusal, as its entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the log, once it has one.
    pub index: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// In which tenant they acted.
    pub tenant: String,
    /// Whose the object is; the acting tenant where nothing was touched.
    pub object_tenant: String,
    /// What they asked for.
    pub action: String,
    /// Kind of the object; empty where nothing was touched.
    pub object_kind: String,
    /// Which object.
    pub object_id: String,
    /// The error's code.
    pub code: String,
    /// Session or token.
    pub session: String,
    /// How they had shown who they are; empty for those who had not.
    pub strength: String,
    /// The request's identifier.
    pub request: String,
    /// Where the request came from, where that was not erased.
    pub address: Option<IpAddr>,
}

/// Those of that name, the newest first, at most `most` of them. Does not wait for the tree: an entry is
/// found as soon as it is durable.
///
/// # Errors
/// Those of the database.
pub fn refusals(conn: &mut Conn<'_>, named: Named<'_>, most: usize) -> Result<Vec<Refusal>> {
    let (which, value) = match named {
        // Said so that the index of refusals alone serves it.
        Named::Request(request) => ("e.request = $1 AND e.outcome <> 'done'", Value::Text(request.to_owned().into())),
        Named::Index(index) => ("e.leaf_index = $1 AND e.outcome <> 'done'", Value::Int(index)),
    };
    let (columns, from) = (store::COLUMNS, store::FROM);
    let sql = format!("SELECT {columns} FROM {from} WHERE {which} ORDER BY e.seq DESC LIMIT {most}");
    conn.query(&sql, &[value], read)
}

fn read(row: &Row) -> Result<Refusal> {
    let index: Option<i64> = row.get(18)?;
    let stored = store::read(row)?;
    let private: Option<Private> = stored.private.and_then(|(_, body)| serde_json::from_str(&body).ok());
    let leaf = stored.leaf;
    Ok(Refusal {
        index,
        at: from_micros(leaf.at)?,
        code: leaf.outcome.strip_prefix(REFUSED).unwrap_or(&leaf.outcome).to_owned(),
        actor: leaf.actor,
        tenant: leaf.tenant,
        object_tenant: leaf.object_tenant,
        action: leaf.action,
        object_kind: leaf.object_kind,
        object_id: leaf.object_id,
        session: leaf.session,
        strength: leaf.strength,
        request: leaf.request,
        address: private.and_then(|private| private.address).and_then(|address| address.parse().ok()),
    })
}
