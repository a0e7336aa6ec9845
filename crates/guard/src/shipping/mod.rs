//! Shipping: the audit log leaves the host while it is written.
//!
//! Whoever has the server has its database and the key that signs. What was shipped before is out of their
//! reach, and contradicts every history that they write instead (`yunwei audit verify --against`).
//!
//! ```text
//!   checkpoint signed ─► due ─► next piece ─► sent ─► remembered ─► …until the place has it all
//!                         ▲                    └─ failed: later, with growing waits
//!                         └──────────────────────────┘     and an alarm when it is behind for too long
//! ```
//!
//! | state | means |
//! |---|---|
//! | `waiting` | nothing was shipped there yet, and nothing failed |
//! | `current` | the last try succeeded |
//! | `failing` | the last try failed; it is tried again |
//! | `behind` | something that was signed longer ago than the place's limit is not there, or it has more than the log |
//!
//! **Invariants** (tests: `tests.rs`)
//! - a piece is remembered after it was sent: a crash between the two sends it again, and skips nothing;
//! - every piece carries the newest signed head, so that a backlog of entries holds no head up;
//! - no place waits for another, and the sequencer waits for none;
//! - personal data is not shipped: what was erased here must not live on there.
//!
//! Not here: the tree and its heads (`gate::audit`), alarms (`continuity::alarms`).

pub mod actions;
mod bucket;
mod directory;
pub(crate) mod store;
mod syslog;
#[cfg(test)]
mod tests;
mod work;

use std::path::Path;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Db, Location};
use gate::AnyAction;
use gate::audit::{Kept, Shipment, VerifyingKey};
use gate::keys::{For, Keys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use web::hub::Hub;

use crate::AuditPlaceId;
pub use work::Shipper;

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &actions::CREATE,
    &actions::LIST,
    &actions::GET,
    &actions::UPDATE,
    &actions::SET_CREDENTIAL,
    &actions::SHIP,
    &actions::REMOVE,
];

/// The kind, in audit and policies.
pub const KIND: &str = "auditPlace";

/// Where the log is shipped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Target {
    /// A directory that another host's disk is mounted at. Each piece is a new file; none is changed.
    Directory {
        /// From the root of the server's file system.
        path: String,
    },
    /// A syslog server (RFC 5424) over TLS (RFC 5425).
    Syslog {
        /// Its host and port: `log.example.com:6514`.
        address: String,
        /// The authority that its certificate must come from (PEM).
        authority: String,
    },
    /// S3-compatible object storage, best with a default retention on the bucket.
    Bucket {
        /// Its address: `https://s3.example.com`.
        endpoint: String,
        /// The bucket, which must be there.
        bucket: String,
        /// Where in it; nothing: at its root.
        #[serde(default)]
        prefix: String,
        /// The region, in the provider's words.
        region: String,
        /// Whether the bucket is a part of the host's name, as AWS wants it.
        #[serde(default)]
        virtual_hosted: bool,
        /// The authority that its certificate must come from (PEM); none: one that browsers trust.
        #[serde(default)]
        authority: Option<String>,
    },
    /// A program that listens for webhooks, signed as Standard Webhooks has it.
    Webhook {
        /// Its address.
        url: String,
    },
}

impl Target {
    /// Entries in one piece.
    fn entries_max(&self) -> usize {
        match self {
            // A request's body has its limit at the other side too.
            Target::Webhook { .. } => limits::SHIPPED_TO_WEBHOOK_MAX,
            _ => limits::SHIPPED_ENTRIES_MAX,
        }
    }
}

/// How it is with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nothing was shipped there yet, and nothing failed.
    Waiting,
    /// The last try succeeded.
    Current,
    /// The last try failed; it is tried again.
    Failing,
    /// Something that was signed longer ago than the place's limit is not there; or it has more than the
    /// log, which was cut then.
    Behind,
}

impl State {
    /// The word that people and programs read.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Current => "current",
            State::Failing => "failing",
            State::Behind => "behind",
        }
    }
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A code, for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A place that the audit log is shipped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPlace {
    /// Its id.
    pub id: AuditPlaceId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Whether entries go there too, and not the signed heads alone.
    pub entries: bool,
    /// How often it is shipped to, in seconds, where there is something new.
    pub every_seconds: i64,
    /// How long it may be behind before there is an alarm, in seconds.
    pub behind_seconds: i64,
    /// How it is with it.
    pub state: State,
    /// How many entries lie there, or are covered by the newest head there.
    pub shipped: i64,
    /// When it was shipped to last.
    #[schemars(with = "Option<String>")]
    pub shipped_at: Option<Timestamp>,
    /// When the first head was signed that it has not; none: it has all.
    #[schemars(with = "Option<String>")]
    pub behind_since: Option<Timestamp>,
    /// Tries that failed since the last that did not.
    pub attempts: i64,
    /// When it is tried next, if there is something new.
    #[schemars(with = "String")]
    pub next_at: Timestamp,
    /// What went wrong last; none where nothing did.
    pub problem: Option<Problem>,
    /// Whether what lets one in there was set.
    pub has_credential: bool,
    /// Counts its changes.
    pub revision: i64,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub(crate) tenant: TenantId,
    /// Whether it has more than the log: that was cut, or an older copy of it was brought back.
    #[serde(skip)]
    pub(crate) is_ahead: bool,
    #[serde(skip)]
    sealed: Option<(String, String)>,
}

impl AuditPlace {
    fn judge(&mut self, now: Timestamp) {
        let late = self.behind_since.is_some_and(|since| now.duration_since(since).as_secs() > self.behind_seconds);
        let late = late || self.is_ahead;
        self.state = match (late, self.attempts, self.shipped_at) {
            (true, ..) => State::Behind,
            (false, 1.., _) => State::Failing,
            (false, _, None) => State::Waiting,
            (false, _, Some(_)) => State::Current,
        };
    }

    /// What lets one in: its name and its secret.
    fn secret(&self, keys: &Keys) -> Result<(String, String)> {
        let Some((name, sealed)) = &self.sealed else {
            let message = "the place has no credential; set one (`yunwei audit places credential`)";
            return Err(Error::conflict("shipping.credential_absent", message));
        };
        let row = self.id.to_string();
        Ok((name.clone(), keys.unseal(For { row: &row, purpose: "audit" }, sealed)?))
    }
}

/// Places that have been behind for longer than their limit, each with since when.
///
/// # Errors
/// Those of the database.
pub fn late(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<(AuditPlaceId, Timestamp)>> {
    let mut all = store::all(conn, now)?;
    all.retain(|place| place.state == State::Behind);
    Ok(all.into_iter().filter_map(|place| Some((place.id, place.behind_since.or(place.shipped_at)?))).collect())
}

/// What ships to a place.
#[derive(Clone)]
pub(crate) struct Courier {
    pub hub: Hub,
    pub keys: Keys,
    pub key: VerifyingKey,
}

impl Courier {
    /// Sends a piece; it is there when this returns, as far as the place can say so.
    fn send(&self, place: &AuditPlace, piece: &Shipment, now: Timestamp) -> Result<()> {
        match &place.target {
            Target::Directory { path } => directory::put(Path::new(path), piece, &self.key),
            Target::Syslog { address, authority } => syslog::send(address, authority, piece, now),
            Target::Bucket { .. } => bucket::open(place, &self.keys)?.put(piece, &self.key),
            Target::Webhook { url } => {
                let (_, secret) = place.secret(&self.keys)?;
                self.hub.post(url, &secret, &piece.name(), &webhook(piece, &self.key, now), now)
            }
        }
    }
}

fn webhook(piece: &Shipment, key: &VerifyingKey, now: Timestamp) -> String {
    let entry = |(index, leaf): (u64, &String)| json!({ "index": index, "leaf": leaf });
    let entries: Vec<_> = (piece.from..).zip(&piece.leaves).map(entry).collect();
    let (from, to) = (piece.from, piece.to);
    json!({
        "type": "audit.checkpoint",
        "timestamp": now.to_string(),
        "log": { "key": key.text(), "from": from, "to": to },
        "checkpoint": piece.note,
        "entries": entries,
    })
    .to_string()
}

/// What lies at the place of that name, for verification: read with what the data directory has.
///
/// # Errors
/// `NotFound` where there is no such place, `Conflict` (`shipping.unreadable`) where the place takes and
/// never gives back; those of the place.
pub fn kept_at(location: &Location, keys: &Path, name: &str) -> Result<Kept> {
    let (db, wanted) = (Db::open_read_only(location)?, name.to_owned());
    let place = db.read(move |conn| store::by_name(conn, &wanted))?.ok_or_else(|| {
        let message = format!("{name} is neither a file nor a directory here, nor a place that the log is shipped to");
        Error::not_found("auditPlace.not_found", message)
    })?;
    match &place.target {
        Target::Directory { path } => Kept::at(Path::new(path)),
        Target::Bucket { .. } => bucket::open(&place, &Keys::open(keys)?)?.kept(),
        Target::Syslog { .. } | Target::Webhook { .. } => {
            let message = "a syslog server and a webhook give nothing back: name the file in which the other side kept what it was sent";
            Err(Error::conflict("shipping.unreadable", message))
        }
    }
}
