//! The links in mails: a hash, what it is for, and until when.

use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, args};

use crate::secret::{self, Of, Secret};

pub(crate) const INVITATION: &str = "invitation";
pub(crate) const RESET: &str = "reset";

/// One answer for links that are unknown, used or past their time.
pub(crate) fn void() -> Error {
    Error::not_found("link.void", "this link has been used or is past its time; ask for a new one")
}

pub(crate) fn insert(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    purpose: &str,
    subject: &str,
    until: Timestamp,
) -> Result<()> {
    conn.execute(
        "INSERT INTO mail_links (hash, purpose, subject, expires_at) VALUES ($1, $2, $3, $4)",
        args![hash, purpose, subject, until],
    )?;
    Ok(())
}

/// What a link is about; it stays good until [`delete_all`].
pub(crate) fn open(conn: &mut Conn<'_>, purpose: &str, token: &Secret, now: Timestamp) -> Result<String> {
    if !secret::looks_like(Of::Link, token.reveal()) {
        return Err(void());
    }
    let hash = secret::hash(token.reveal());
    let found = conn.query_opt(
        "SELECT subject FROM mail_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3",
        args![hash, purpose, now],
        |row| row.get(0),
    )?;
    found.ok_or_else(void)
}

/// Uses up every link about something.
pub(crate) fn delete_all(conn: &mut Conn<'_>, purpose: &str, subject: &str) -> Result<()> {
    conn.execute("DELETE FROM mail_links WHERE purpose = $1 AND subject = $2", args![purpose, subject])?;
    Ok(())
}
