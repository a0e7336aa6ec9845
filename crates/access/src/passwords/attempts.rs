//! How often one may guess: counted per account and address, per address, and per account and per
//! organisation from wherever, with waits that double. The counts are rows, so a restart forgives nothing.
//!
//! | counted | free | longest wait | counts |
//! |---|---|---|---|
//! | account and address | 5 | 15 minutes | always |
//! | address | 30 | 15 minutes | always |
//! | account, from wherever | 50 | 15 minutes | not from a [network](super::networks) from which that account has signed in lately |
//! | organisation, from wherever | 300 | a minute | the same |
//!
//! A stranger's guesses make the stranger's address wait, not the account: the person signs in from where
//! they usually do undisturbed, however many addresses the stranger has. An organisation is the domain of a
//! mail address, known here or not: what is answered says nothing about who has an account.
//!
//! Not here: codes of second factors, which only who has the password can use up, are counted per account
//! whatever the network ([`Subjects::of_codes`]).

use std::net::IpAddr;
use std::time::Duration;

use base::address::household;
use base::id::AccountId;
use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use db::{Conn, args};
use gate::{Cx, Gate};

use super::networks;
use crate::secret;

/// What an attempt is counted as, from the narrowest to the widest; as hashes, so that the rows name nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subjects(Vec<Subject>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subject {
    hash: [u8; 32],
    /// Attempts that cost no wait.
    free: i64,
    wait_seconds_max: i64,
    /// Whether success forgives all of it, and not only the attempt that succeeded.
    forgiven: bool,
}

/// From where a context comes, as attempts are counted.
fn network(cx: &Cx) -> String {
    cx.address().map_or_else(|| "here".to_owned(), |address| household(address).to_string())
}

impl Subject {
    fn new(text: &str, free: i64) -> Subject {
        let hash = secret::hash(text);
        Subject { hash, free, wait_seconds_max: limits::ATTEMPTS_WAIT_SECONDS_MAX, forgiven: false }
    }

    /// For one account, which is theirs whose attempt succeeds.
    fn own(text: &str) -> Subject {
        Subject { forgiven: true, ..Subject::new(text, limits::ATTEMPTS_PER_PAIR) }
    }
}

fn account_text(what: &str, email_key: &str) -> String {
    format!("{what} of an account\n{email_key}")
}

impl Subjects {
    /// For `what` of an account that is known by `key`, from where `cx` comes.
    pub(crate) fn new(what: &str, key: &str, cx: &Cx) -> Self {
        let network = network(cx);
        let address = Subject::new(&format!("{what}\n{network}"), limits::ATTEMPTS_PER_ADDRESS);
        Subjects(vec![Subject::own(&format!("{what}\n{network}\n{key}")), address])
    }

    /// For `what` (`sign-in`, `reset`) by anybody who names a mail address: also counted from wherever, unless
    /// the account with that address has signed in from there lately.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn of_address(gate: &Gate, what: &str, email_key: &str, cx: &Cx) -> Result<Self> {
        let mut subjects = Subjects::new(what, email_key, cx);
        if !networks::is_known(gate, email_key, cx)? {
            let domain = email_key.rsplit_once('@').map_or("", |(_, domain)| domain);
            let account = Subject::new(&account_text(what, email_key), limits::ATTEMPTS_PER_ACCOUNT);
            let many = Subject::new(&format!("{what} of an organisation\n{domain}"), limits::ATTEMPTS_PER_ORGANISATION);
            let wait_seconds_max = limits::ATTEMPTS_ORGANISATION_WAIT_SECONDS_MAX;
            subjects.0.extend([account, Subject { wait_seconds_max, ..many }]);
        }
        Ok(subjects)
    }

    /// For codes of an account, from wherever: who tries them has shown the password before.
    pub(crate) fn of_codes(account: AccountId, cx: &Cx) -> Self {
        let address = Subject::new(&format!("code\n{}", network(cx)), limits::ATTEMPTS_PER_ADDRESS);
        Subjects(vec![Subject::own(&format!("code\n{account}")), address])
    }
}

/// How long to wait after the `number`th attempt, when `free` are, and `most` is the longest wait.
pub(crate) fn wait_seconds(number: i64, free: i64, most: i64) -> i64 {
    if number < free {
        return 0;
    }
    let doublings = u32::try_from((number - free).min(30)).unwrap_or(30);
    (1i64 << doublings).min(most)
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
        let mut numbers = Vec::with_capacity(subjects.0.len());
        for subject in &subjects.0 {
            numbers.push(made(conn, subject, now)? + 1);
        }
        subjects.0.iter().zip(numbers).try_for_each(|(subject, number)| count(conn, subject, number, now))
    })
}

/// How many attempts there were.
fn made(conn: &mut Conn<'_>, subject: &Subject, now: Timestamp) -> Result<i64> {
    let sql = "SELECT number, closed_until FROM attempts WHERE subject = $1";
    let found = conn.query_opt(sql, args![subject.hash], |row| Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?)))?;
    let (made, closed) = found.unwrap_or((0, Timestamp::UNIX_EPOCH));
    if closed <= now {
        return Ok(made);
    }
    let wait = Duration::from_micros(u64::try_from(micros(closed) - micros(now)).unwrap_or(0));
    let shown = wait.as_secs() + 1;
    let message = format!("too many attempts; try again in {shown} seconds");
    Err(Error::throttled("attempts.too_many", message).retry_after(Duration::from_secs(shown)))
}

fn count(conn: &mut Conn<'_>, subject: &Subject, number: i64, now: Timestamp) -> Result<()> {
    let closed = micros(now) + wait_seconds(number, subject.free, subject.wait_seconds_max) * 1_000_000;
    conn.execute(
        "INSERT INTO attempts (subject, number, last_at, closed_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subject) DO UPDATE SET number = excluded.number, last_at = excluded.last_at, closed_until = excluded.closed_until",
        args![subject.hash, number, now, closed],
    )?;
    Ok(())
}

/// Forgets the attempts of somebody who turned out to be the right person. What counts others' attempts, too,
/// keeps those: an own account, or the owner's own sign-in, must not buy more guesses.
pub(crate) fn forgive(conn: &mut Conn<'_>, subjects: &Subjects) -> Result<()> {
    for subject in &subjects.0 {
        let sql = match subject.forgiven {
            true => "DELETE FROM attempts WHERE subject = $1",
            false => "UPDATE attempts SET number = number - 1, closed_until = 0 WHERE subject = $1 AND number > 0",
        };
        conn.execute(sql, args![subject.hash])?;
    }
    Ok(())
}

/// Forgets what was tried of an account from wherever: its owner has set another password by mail.
pub(crate) fn begin_anew(conn: &mut Conn<'_>, email_key: &str) -> Result<()> {
    let subject = secret::hash(&account_text("sign-in", email_key));
    conn.execute("DELETE FROM attempts WHERE subject = $1", args![subject]).map(drop)
}

/// Writes a refusal into the log, in the form that the filter in `deploy/fail2ban` reads: what was refused, and
/// where it came from. Nothing in it was chosen by whoever was refused.
pub(crate) fn log(from: Option<IpAddr>, why: &'static str) {
    match from {
        Some(address) => tracing::warn!(target: "yunwei::door", %address, "sign-in refused: {why}"),
        None => tracing::warn!(target: "yunwei::door", "sign-in refused: {why}"),
    }
}
