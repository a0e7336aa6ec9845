//! How often one may guess: counted per account and address, and per address,
//! with waits that double. The counts are rows, so a restart forgives nothing.
//!
//! A stranger's guesses make the stranger's address wait, not the account: the
//! person signs in from elsewhere undisturbed. (Guesses spread over very many
//! addresses are met by what the password must be, and by second factors: codes
//! are counted per account, which only who has the password can use up.)

use std::time::Duration;

use base::address::household;
use base::id::AccountId;
use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use db::{Conn, args};
use gate::{Cx, Gate};

use crate::secret;

/// Who is being tried and where from, as hashes: the rows name nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subjects {
    pair: [u8; 32],
    address: [u8; 32],
}

impl Subjects {
    /// For `what` (`sign-in`, `reset`) of the account with that address, from where `cx` comes.
    pub(crate) fn new(what: &str, email_key: &str, cx: &Cx) -> Self {
        let network = cx.address().map_or_else(|| "here".to_owned(), |address| household(address).to_string());
        Subjects {
            pair: secret::hash(&format!("{what}\n{network}\n{email_key}")),
            address: secret::hash(&format!("{what}\n{network}")),
        }
    }

    /// For codes of an account, from wherever: who tries them has shown the password before.
    pub(crate) fn of_codes(account: AccountId, cx: &Cx) -> Self {
        let network = cx.address().map_or_else(|| "here".to_owned(), |address| household(address).to_string());
        Subjects { pair: secret::hash(&format!("code\n{account}")), address: secret::hash(&format!("code\n{network}")) }
    }
}

/// How long to wait after the `number`th attempt, when `free` are.
pub(crate) fn wait_seconds(number: i64, free: i64) -> i64 {
    if number < free {
        return 0;
    }
    let doublings = u32::try_from((number - free).min(30)).unwrap_or(30);
    (1i64 << doublings).min(limits::ATTEMPTS_WAIT_SECONDS_MAX)
}

/// Counts an attempt before it is made.
///
/// # Errors
/// `Throttled` saying when to try again; such an attempt is not counted.
pub(crate) fn admit(gate: &Gate, subjects: &Subjects) -> Result<()> {
    let (now, subjects) = (gate.now(), subjects.clone());
    gate.db().write(move |conn| {
        conn.execute(
            "DELETE FROM attempts WHERE last_at < $1",
            args![micros(now) - limits::ATTEMPTS_KEPT_SECONDS * 1_000_000],
        )?;
        let mut numbers = [0; 2];
        for (number, subject) in numbers.iter_mut().zip([&subjects.pair, &subjects.address]) {
            let found = conn.query_opt(
                "SELECT number, closed_until FROM attempts WHERE subject = $1",
                args![subject],
                |row| Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?)),
            )?;
            let (made, closed) = found.unwrap_or((0, Timestamp::UNIX_EPOCH));
            if closed > now {
                let wait = Duration::from_micros(u64::try_from(micros(closed) - micros(now)).unwrap_or(0));
                let shown = wait.as_secs() + 1;
                return Err(Error::throttled(
                    "attempts.too_many",
                    format!("too many attempts; try again in {shown} seconds"),
                )
                .retry_after(Duration::from_secs(shown)));
            }
            *number = made + 1;
        }
        let [pair, address] = numbers;
        count(conn, &subjects.pair, pair, limits::ATTEMPTS_PER_PAIR, now)?;
        count(conn, &subjects.address, address, limits::ATTEMPTS_PER_ADDRESS, now)
    })
}

fn count(conn: &mut Conn<'_>, subject: &[u8; 32], number: i64, free: i64, now: Timestamp) -> Result<()> {
    let closed = micros(now) + wait_seconds(number, free) * 1_000_000;
    conn.execute(
        "INSERT INTO attempts (subject, number, last_at, closed_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subject) DO UPDATE SET number = excluded.number, last_at = excluded.last_at, closed_until = excluded.closed_until",
        args![subject, number, now, closed],
    )?;
    Ok(())
}

/// Forgets the attempts of somebody who turned out to be the right person. The
/// address keeps its other attempts: an own account must not buy more guesses.
pub(crate) fn forgive(conn: &mut Conn<'_>, subjects: &Subjects) -> Result<()> {
    conn.execute("DELETE FROM attempts WHERE subject = $1", args![subjects.pair])?;
    conn.execute(
        "UPDATE attempts SET number = number - 1, closed_until = 0 WHERE subject = $1 AND number > 0",
        args![subjects.address],
    )?;
    Ok(())
}
