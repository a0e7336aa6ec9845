//! Requests that may be repeated: the answer to a POST with `Idempotency-Key`
//! is kept with the change that it answers.
//!
//! Invariants:
//! - key and answer are written in the transaction of the change
//!   ([`once`]); the table's primary key lets one of two rivals through, and
//!   the other one reads its answer;
//! - a key belongs to one actor in one tenant at one route;
//! - a secret is never kept: a repeated request that was answered with one is
//!   refused, and says so.
//!
//! A request that failed keeps nothing and may be repeated under its key. One
//! that needs a second person and asked for one ([`crate::second`]) keeps that.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Error, Result, limits};
use db::args;
use gate::Tx;

use crate::body;
use crate::reply::json_text;

/// The header that a key comes in.
pub(crate) const HEADER: &str = "idempotency-key";

/// A key as it came, with what it was sent for.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    key: String,
    route: String,
    digest: [u8; 32],
}

impl Key {
    /// Reads the header, where there is one.
    ///
    /// # Errors
    /// `Invalid` where it is empty, too long or not plain text.
    pub fn read(headers: &HeaderMap, route: &str, digest: [u8; 32]) -> Result<Option<Key>> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let key = value.to_str().unwrap_or("");
        if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_MAX {
            let message =
                format!("Idempotency-Key must be 1 to {} visible ASCII characters", limits::IDEMPOTENCY_KEY_MAX);
            return Err(Error::invalid("idempotency.key", message).at("Idempotency-Key"));
        }
        Ok(Some(Key { key: key.to_owned(), route: route.to_owned(), digest }))
    }
}

/// An answer that can be given twice.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    /// What was made.
    pub kind: String,
    pub id: String,
    /// Its revision, 0 where it has none.
    pub revision: i64,
    pub location: Option<String>,
    pub body: String,
    /// Whether the body holds a secret, which is shown once and not kept.
    pub secret: bool,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response =
            if status == StatusCode::NO_CONTENT { status.into_response() } else { json_text(status, self.body) };
        let headers = response.headers_mut();
        if let Some(location) = self.location.and_then(|l| HeaderValue::from_str(&l).ok()) {
            headers.insert(header::LOCATION, location);
        }
        body::tag(headers, self.revision);
        response
    }
}

/// Runs `work` unless this key was answered before; then gives that answer.
///
/// # Errors
/// `Dangling`-like 422 (`idempotency.reused`) where the key came with another
/// body; `Conflict` where the answer held a secret; those of `work`.
pub(crate) fn once(
    tx: &mut Tx<'_>,
    key: Option<&Key>,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Answer>,
) -> Result<Answer> {
    let Some(key) = key else { return work(tx) };
    let (tenant, actor, now) = (tx.cx().tenant(), tx.cx().actor().to_string(), tx.now);
    let expires = base::time::micros(now) + limits::IDEMPOTENCY_HOURS * 3_600_000_000;
    tx.execute(
        "DELETE FROM idempotency WHERE tenant = $1 AND actor = $2 AND route = $3 AND key = $4 AND expires_at <= $5",
        args![tenant, actor, key.route, key.key, base::time::micros(now)],
    )?;
    let claimed = tx.execute(
        "INSERT INTO idempotency (tenant, actor, route, key, input_hash, expires_at, status, kind, id, revision, location, body)
         VALUES ($1, $2, $3, $4, $5, $6, 0, '', '', 0, NULL, NULL) ON CONFLICT DO NOTHING",
        args![tenant, actor, key.route, key.key, key.digest, expires],
    )?;
    if claimed == 0 {
        return again(tx, key, &actor);
    }
    let answer = work(tx)?;
    let kept = (!answer.secret).then_some(answer.body.as_str());
    tx.execute(
        "UPDATE idempotency SET status = $5, kind = $6, id = $7, revision = $8, location = $9, body = $10
         WHERE tenant = $1 AND actor = $2 AND route = $3 AND key = $4",
        args![
            tenant,
            actor,
            key.route,
            key.key,
            i64::from(answer.status),
            answer.kind,
            answer.id,
            answer.revision,
            answer.location,
            kept
        ],
    )?;
    Ok(answer)
}

fn again(tx: &mut Tx<'_>, key: &Key, actor: &str) -> Result<Answer> {
    let tenant = tx.cx().tenant();
    let (hash, answer) = tx.query_one(
        "SELECT input_hash, status, kind, id, revision, location, body FROM idempotency
         WHERE tenant = $1 AND actor = $2 AND route = $3 AND key = $4",
        args![tenant, actor, key.route, key.key],
        |row| {
            let hash: Vec<u8> = row.get(0)?;
            let status = u16::try_from(row.get::<i64>(1)?).unwrap_or(200);
            let body: Option<String> = row.get(6)?;
            let answer = Answer {
                status,
                kind: row.get(2)?,
                id: row.get(3)?,
                revision: row.get(4)?,
                location: row.get(5)?,
                secret: body.is_none(),
                body: body.unwrap_or_default(),
            };
            Ok((hash, answer))
        },
    )?;
    if hash != key.digest {
        let message = "this Idempotency-Key was used for another request; take a new one";
        return Err(Error::new(base::Kind::Dangling, "idempotency.reused", message).at("Idempotency-Key"));
    }
    if answer.secret {
        let message =
            format!("this request was done and made {}; its answer held a secret, which is shown once", answer.id);
        return Err(Error::conflict("idempotency.secret_shown", message).at("Idempotency-Key"));
    }
    tx.answers_again();
    Ok(answer)
}
