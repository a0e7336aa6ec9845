//! Sign-ins whose first step is done, by a password or an identity provider, and whose second factor is still
//! to come.
//!
//! Each is 256 random bits of its own, kept as their hash, for ten minutes. It stands for nothing
//! but the account whose code may now be tried: no request can be made with it.

use std::time::Duration;

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, args};

use crate::secret::{self, Of, Secret};
use crate::words::words;

/// One answer for what is unknown, used and past its time.
pub(crate) fn over() -> Error {
    Error::unauthenticated(
        "session.sign_in_over",
        "this sign-in took too long, or is done; begin again with the password",
    )
}

words! {
    /// What the first step was.
    pub enum First {
        /// A password.
        Password = "password",
        /// What an identity provider said.
        Provider = "provider",
    }
}

/// Begins one; what is given back is shown this once, with its end.
pub(crate) fn begin(
    conn: &mut Conn<'_>,
    account: AccountId,
    first: First,
    user_agent: &str,
    now: Timestamp,
) -> Result<(String, Timestamp)> {
    let (ticket, hash) = secret::mint(Of::SignIn)?;
    let until = now + Duration::from_secs(limits::SIGN_IN_SECONDS.unsigned_abs());
    conn.execute("DELETE FROM sign_ins WHERE expires_at <= $1", args![now])?;
    let kept = limits::SIGN_INS_PER_ACCOUNT_MAX - 1;
    conn.execute(
        &format!("DELETE FROM sign_ins WHERE account = $1 AND hash NOT IN (SELECT hash FROM sign_ins WHERE account = $1 ORDER BY created_at DESC LIMIT {kept})"),
        args![account],
    )?;
    conn.execute(
        "INSERT INTO sign_ins (hash, account, first, user_agent, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        args![hash, account, first, user_agent, now, until],
    )?;
    Ok((ticket, until))
}

/// A sign-in that waits for its second factor.
pub(crate) struct Waiting {
    pub account: AccountId,
    pub first: First,
    /// What the browser said of itself.
    pub user_agent: String,
}

/// Whose it is, and how it began.
pub(crate) fn find(conn: &mut Conn<'_>, ticket: &Secret, now: Timestamp) -> Result<Waiting> {
    if !secret::looks_like(Of::SignIn, ticket.reveal()) {
        return Err(over());
    }
    let found = conn.query_opt(
        "SELECT account, first, user_agent FROM sign_ins WHERE hash = $1 AND expires_at > $2",
        args![secret::hash(ticket.reveal()), now],
        |row| Ok(Waiting { account: row.get(0)?, first: row.get(1)?, user_agent: row.get(2)? }),
    )?;
    found.ok_or_else(over)
}

/// Ends one; false where another did so at the same moment.
pub(crate) fn end(conn: &mut Conn<'_>, ticket: &Secret) -> Result<bool> {
    Ok(conn.execute("DELETE FROM sign_ins WHERE hash = $1", args![secret::hash(ticket.reveal())])? == 1)
}

/// Ends all of an account: its password was changed, or it may not sign in any more.
pub(crate) fn end_all(conn: &mut Conn<'_>, account: AccountId) -> Result<()> {
    conn.execute("DELETE FROM sign_ins WHERE account = $1", args![account])?;
    Ok(())
}
