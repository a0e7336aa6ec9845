//! Leases: one holder at a time for work that any server may do.
//!
//! Each time a lease changes hands its fence grows. Work that must not be done
//! by a holder who lost it without noticing (a process that slept, a clock that
//! stepped) checks the fence in the transaction of its effect: [`check`].

use std::time::Duration;

use base::time::{Timestamp, from_micros, micros};
use base::{Error, Result};
use db::{Conn, args};

/// A lease that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What for.
    pub name: String,
    /// Whose.
    pub holder: String,
    /// Grows with each change of hands.
    pub fence: i64,
    /// Until when, by the clock of the house.
    pub until: Timestamp,
}

/// Takes the lease, or prolongs it where `holder` has it already. `None` where
/// somebody else holds it. One that ends further off than it can was given
/// before the clock was set back, and counts no more.
///
/// # Errors
/// Those of the database.
pub fn take(conn: &mut Conn<'_>, name: &str, holder: &str, now: Timestamp, term: Duration) -> Result<Option<Lease>> {
    let length = i64::try_from(term.as_micros()).unwrap_or(i64::MAX);
    let until = from_micros(micros(now).saturating_add(length))?;
    let furthest = micros(now).saturating_add(length.saturating_mul(2));
    let fence = conn.query_opt(
        "INSERT INTO leases (name, holder, fence, until) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET
            fence = CASE WHEN leases.holder = $2 THEN leases.fence ELSE leases.fence + 1 END, holder = $2, until = $3
         WHERE leases.holder = $2 OR leases.until <= $4 OR leases.until > $5
         RETURNING fence",
        args![name, holder, until, now, furthest],
        |row| row.get(0),
    )?;
    Ok(fence.map(|fence| Lease { name: name.to_owned(), holder: holder.to_owned(), fence, until }))
}

/// Sees to it that the lease is still the caller's, in the transaction of what it protects.
///
/// # Errors
/// `Conflict` (`lease.lost`).
pub fn check(conn: &mut Conn<'_>, lease: &Lease) -> Result<()> {
    let held: Option<i64> = conn.query_opt(
        "SELECT fence FROM leases WHERE name = $1 AND holder = $2",
        args![lease.name, lease.holder],
        |row| row.get(0),
    )?;
    if held != Some(lease.fence) {
        return Err(Error::conflict("lease.lost", format!("the lease on {} went to another server", lease.name)));
    }
    Ok(())
}

/// Gives the lease back early.
///
/// # Errors
/// Those of the database.
pub fn release(conn: &mut Conn<'_>, lease: &Lease) -> Result<()> {
    conn.execute(
        "UPDATE leases SET until = 0 WHERE name = $1 AND holder = $2 AND fence = $3",
        args![lease.name, lease.holder, lease.fence],
    )?;
    Ok(())
}

/// Frees the leases of holders whose name is like that (SQL's `LIKE`), but for one: of processes that are gone.
///
/// # Errors
/// Those of the database.
pub fn release_of(conn: &mut Conn<'_>, like: &str, but: &str) -> Result<()> {
    conn.execute("UPDATE leases SET until = 0 WHERE holder LIKE $1 AND holder <> $2", args![like, but]).map(drop)
}

/// Frees every lease. For the start of a server that has the database to itself:
/// whoever held one is gone.
///
/// # Errors
/// Those of the database.
pub fn release_all(conn: &mut Conn<'_>) -> Result<()> {
    conn.execute("UPDATE leases SET until = 0", &[]).map(drop)
}
