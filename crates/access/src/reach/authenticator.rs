//! From a token or a cookie to a context, in a microsecond.
//!
//! What a secret stands for is remembered under its hash, together with the
//! generation of the house's rights at the moment before it was read. Every
//! change of rights moves the generation on, so a remembered answer that is
//! older is not used. Two parties could meet here, a reader that is about to
//! remember and a writer that changes rights: the reader notes the generation
//! *before* it reads, so if the writer commits in between, the note is old.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use base::id::TenantId;
use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use db::Conn;
use futures_util::future::BoxFuture;
use gate::{Catalogue, Cx, Gate};

use super::{generation, idle_end, in_person, is_alive, standing, through_token};
use crate::passwords::attempts;
use crate::secret::{self, Of};
use crate::sessions::{self, SessionId, cookie};
use crate::{sign_in_rules, tokens};

/// In which tenant a request is to act.
pub const TENANT_HEADER: &str = "x-yunwei-tenant";
/// The secret of a session's forms, sent along by scripts.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Uses are noted in the database at most so often, in microseconds.
const NOTED_EVERY: i64 = 60_000_000;

/// Turns API tokens and session cookies into contexts. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    gate: Gate,
    known: RwLock<HashMap<Key, Known>>,
}

type Key = ([u8; 32], Option<TenantId>);

#[derive(Clone)]
struct Known {
    generation: u64,
    read_at: i64,
    ends: i64,
    visitor: Visitor,
}

/// Somebody whose secret was right.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The context in which they act; give it the request with [`Cx::for_request`].
    pub cx: Cx,
    /// Their session, where they came with a cookie.
    pub session: Option<SessionId>,
    csrf: Arc<str>,
}

impl Visitor {
    /// What this session's forms and scripts send along; empty for API tokens,
    /// which no browser sends by itself.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Checks what a form or a script sent along with a change.
    ///
    /// # Errors
    /// `Forbidden` (`session.csrf`).
    pub fn check_csrf(&self, sent: Option<&str>) -> Result<()> {
        if self.session.is_none() || sent.is_some_and(|sent| secret::equal(sent, &self.csrf)) {
            return Ok(());
        }
        Err(Error::forbidden("session.csrf", "this form is from another session; load the page again and repeat it"))
    }
}

/// The refusal of a token that is none.
const UNKNOWN: &str = "token.unknown";

fn unknown_token() -> Error {
    Error::unauthenticated(UNKNOWN, "that API token is not known here; make one on the page of your account")
}

fn no_session() -> Error {
    Error::unauthenticated("session.over", "the session is over; sign in again")
}

/// Reads the value of `X-Yunwei-Tenant`: in which tenant the request is to act.
///
/// # Errors
/// `Invalid` where it is not a tenant's identifier.
pub fn wanted_tenant(header: Option<&str>) -> Result<Option<TenantId>> {
    header.map(|text| text.trim().parse::<TenantId>()).transpose().map_err(|e| e.at("X-Yunwei-Tenant"))
}

impl Authenticator {
    /// One that remembers what it has looked up through `gate`'s database.
    pub fn new(gate: Gate) -> Self {
        Authenticator(Arc::new(Inner { gate, known: RwLock::default() }))
    }

    /// The context of somebody who has shown nothing.
    ///
    /// # Errors
    /// `NotFound` (`operator.absent`) before the operator was set up.
    pub fn nobody(&self) -> Result<Cx> {
        self.0.gate.operator().map(Cx::nobody)
    }

    /// Who sent this API token, acting in the token's tenant or in `wanted`.
    ///
    /// # Errors
    /// `Unauthenticated` for unknown, expired and revoked tokens and closed
    /// accounts, `Forbidden` where there is no role in `wanted`.
    pub async fn bearer(&self, token: &str, wanted: Option<TenantId>) -> Result<Visitor> {
        self.visitor(Of::Token, token, wanted, None).await
    }

    /// Whose browser sent this session cookie, acting in the chosen tenant or in `wanted`.
    ///
    /// # Errors
    /// `Unauthenticated` where the session is over or the account closed,
    /// `Forbidden` where there is no role in `wanted`.
    pub async fn session(&self, cookie: &str, wanted: Option<TenantId>) -> Result<Visitor> {
        self.visitor(Of::Session, cookie, wanted, None).await
    }

    async fn visitor(&self, of: Of, text: &str, wanted: Option<TenantId>, from: Option<IpAddr>) -> Result<Visitor> {
        let key = key(of, text, wanted)?;
        let now = self.0.gate.now();
        if let Some(visitor) = self.remembered(&key, now) {
            return Ok(visitor);
        }
        let generation = generation();
        let ((hash, wanted), gate) = (key, self.0.gate.clone());
        let look = move |conn: &mut Conn<'_>| look_up(conn, gate.catalogue(), of, &hash, wanted, now, generation);
        let (known, noted) = self.0.gate.db().read_async(look).await?;
        Ok(self.remember(key, known, noted, now, from))
    }

    /// [`Authenticator::bearer`] and [`Authenticator::session`] for threads that may wait.
    ///
    /// # Errors
    /// As theirs.
    pub fn recognise(&self, secret: &str, wanted: Option<TenantId>) -> Result<Visitor> {
        let of = if secret.starts_with("yws_") { Of::Session } else { Of::Token };
        let key = key(of, secret, wanted)?;
        let now = self.0.gate.now();
        if let Some(visitor) = self.remembered(&key, now) {
            return Ok(visitor);
        }
        let generation = generation();
        let ((hash, wanted), gate) = (key, self.0.gate.clone());
        let look = move |conn: &mut Conn<'_>| look_up(conn, gate.catalogue(), of, &hash, wanted, now, generation);
        let (known, noted) = self.0.gate.db().read(look)?;
        Ok(self.remember(key, known, noted, now, None))
    }

    fn remembered(&self, key: &Key, now: Timestamp) -> Option<Visitor> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(key)?;
        let now = micros(now);
        // A clock that was set back makes what is remembered look younger than it is.
        let fresh = (0..limits::STANDING_AGE_MS_MAX * 1_000).contains(&(now - known.read_at));
        (fresh && now < known.ends && known.generation == generation()).then(|| known.visitor.clone())
    }

    fn remember(&self, key: Key, known: Known, noted: Noted, now: Timestamp, from: Option<IpAddr>) -> Visitor {
        let visitor = known.visitor.clone();
        // From where a key is refused anyway is on the audit log, and is no use of it.
        let admitted = visitor.cx.bounds().is_none_or(|bounds| bounds.admits(from));
        {
            let mut all = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= limits::STANDINGS_CACHED_MAX {
                all.clear();
            }
            all.insert(key, known);
        }
        let forget = |result: Result<()>| {
            if let Err(e) = result {
                tracing::debug!(error = ?e, "the use of a token or session was not noted");
            }
        };
        match noted {
            Noted::Lately => {}
            Noted::Token(id) if admitted => {
                self.0.gate.db().submit(move |conn| tokens::store::touch(conn, id, now, from), forget);
            }
            Noted::Token(_) => {}
            Noted::Session(id) => self.0.gate.db().submit(move |conn| sessions::store::touch(conn, id, now), forget),
        }
        visitor
    }
}

impl web::Authenticator for Authenticator {
    fn authenticate<'r>(&'r self, asking: web::Asking<'r>) -> BoxFuture<'r, Result<Cx>> {
        Box::pin(async move {
            let text = |name: &str| asking.headers.get(name).and_then(|value| value.to_str().ok());
            let wanted = wanted_tenant(text(TENANT_HEADER))?;
            if let Some(token) = web::bearer(asking.headers) {
                let found = self.visitor(Of::Token, token, wanted, asking.address).await.map(|visitor| visitor.cx);
                // Not one that was revoked or has expired: a program of one's own may not have heard of it yet.
                return found.inspect_err(|e| {
                    if e.code() == UNKNOWN {
                        attempts::log(asking.address, "unknown token");
                    }
                });
            }
            let Some(cookie) = text("cookie").and_then(|header| cookie::read(header, asking.secure)) else {
                return self.nobody();
            };
            let visitor = match self.session(cookie, wanted).await {
                Ok(visitor) => visitor,
                // A cookie that has run out shows nothing, and must not stand in the way of signing in.
                Err(e) if e.code() == "session.over" => return self.nobody(),
                Err(e) => return Err(e),
            };
            if !asking.method.is_safe() {
                if !web::same_origin(asking.headers) {
                    return Err(Error::forbidden("session.csrf", "a page of another site sent this"));
                }
                visitor.check_csrf(text(CSRF_HEADER))?;
            }
            Ok(visitor.cx)
        })
    }
}

/// Whether the use is to be written down.
enum Noted {
    Lately,
    Token(tokens::TokenId),
    Session(SessionId),
}

fn key(of: Of, text: &str, wanted: Option<TenantId>) -> Result<Key> {
    if secret::looks_like(of, text) {
        return Ok((secret::hash(text), wanted));
    }
    Err(match of {
        Of::Session => no_session(),
        _ => unknown_token(),
    })
}

fn look_up(
    conn: &mut Conn<'_>,
    catalogue: &Catalogue,
    of: Of,
    hash: &[u8; 32],
    wanted: Option<TenantId>,
    now: Timestamp,
    generation: u64,
) -> Result<(Known, Noted)> {
    match of {
        Of::Session => look_up_session(conn, hash, wanted, now, generation),
        _ => look_up_token(conn, catalogue, hash, wanted, now, generation),
    }
}

fn look_up_token(
    conn: &mut Conn<'_>,
    catalogue: &Catalogue,
    hash: &[u8; 32],
    wanted: Option<TenantId>,
    now: Timestamp,
    generation: u64,
) -> Result<(Known, Noted)> {
    let token = tokens::store::by_hash(conn, hash)?.ok_or_else(unknown_token)?;
    // Whoever holds the secret may know what has become of it.
    token.check_in_force(now)?;
    let cx = through_token(conn, catalogue, &token, wanted)?;
    let visitor = Visitor { cx, session: None, csrf: "".into() };
    let ends = token.expires_at.map_or(i64::MAX, micros);
    let noted = if token.used_at.is_some_and(|at| micros(now) - micros(at) < NOTED_EVERY) {
        Noted::Lately
    } else {
        Noted::Token(token.id)
    };
    Ok((Known { generation, read_at: micros(now), ends, visitor }, noted))
}

fn look_up_session(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    wanted: Option<TenantId>,
    now: Timestamp,
    generation: u64,
) -> Result<(Known, Noted)> {
    let (session, csrf) = sessions::store::by_hash(conn, hash)?.ok_or_else(no_session)?;
    let asked = sign_in_rules::of_account(conn, session.account)?;
    if !is_alive(&session, &asked.limits, now) {
        return Err(no_session());
    }
    let standing = match standing(conn, session.account, wanted.or(session.acting), None) {
        // The tenant chosen earlier is out of reach by now: back to where the account belongs.
        Err(e) if wanted.is_none() && session.acting.is_some() && e.kind() == base::Kind::Forbidden => {
            standing(conn, session.account, None, None)?
        }
        other => other?,
    };
    let cx = in_person(conn, session.account, standing, &asked, (session.strength, session.proven_at))?
        .in_session(session.id.to_string());
    let visitor = Visitor { cx, session: Some(session.id), csrf: URL_SAFE_NO_PAD.encode(csrf).into() };
    let noted =
        if micros(now) - micros(session.seen_at) < NOTED_EVERY { Noted::Lately } else { Noted::Session(session.id) };
    Ok((Known { generation, read_at: micros(now), ends: idle_end(&session, &asked.limits), visitor }, noted))
}
