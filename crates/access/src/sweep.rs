//! What has run out is deleted: sessions, sign-ins half done, factors that
//! were never confirmed, links in mails, counts of attempts.
//!
//! Nothing depends on it being done in time: what has run out is refused
//! whether or not its row is still there. It keeps the tables small and holds
//! no personal data (addresses, browsers) longer than it is needed.

use base::time::micros;
use base::{Result, limits};
use db::args;
use gate::Gate;

use crate::passwords::networks;

/// Deletes what has run out. Not an action: nobody decides anything.
///
/// # Errors
/// Those of the database.
pub fn sweep(gate: &Gate) -> Result<()> {
    let now = micros(gate.now());
    gate.db().write(move |conn| {
        let unused = now - limits::SESSION_IDLE_SECONDS * 1_000_000;
        conn.execute("DELETE FROM sessions WHERE expires_at <= $1 OR seen_at <= $2", args![now, unused])?;
        conn.execute("DELETE FROM mail_links WHERE expires_at <= $1", args![now])?;
        conn.execute("DELETE FROM sign_ins WHERE expires_at <= $1", args![now])?;
        conn.execute("DELETE FROM provider_sign_ins WHERE expires_at <= $1", args![now])?;
        networks::sweep(conn, now)?;
        let unconfirmed = now - limits::ENROLMENT_SECONDS * 1_000_000;
        conn.execute("DELETE FROM factors WHERE active_at IS NULL AND created_at <= $1", args![unconfirmed])?;
        conn.execute(
            "DELETE FROM attempts WHERE last_at < $1",
            args![now - limits::ATTEMPTS_KEPT_SECONDS * 1_000_000],
        )?;
        Ok(())
    })
}
