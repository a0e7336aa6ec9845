//! How often one may guess: counted per account and address, per address, and per account and per
//! organisation from wherever, with waits that double. The counts are rows, so a restart forgives nothing.
//!
//! | counted | free | longest wait | counts |
//! |---|---|---|---|
//! | account and address | 5 | 15 minutes | always |
//! | address | 30 | 15 minutes | always |
//! | account, from wherever | 50 | 15 minutes | not from a [network](super::networks) from which that account has signed in lately |
//! | organisation, from wherever | 300 | a minute | the same |
//! | address, on the way to an identity provider | 300 | a minute | always |
//!
//! What is free is free each day: the counts sink by it, evenly, and rise little further than to where the wait is the
//! longest. So a busy organisation's slips of the hand never add up, and after an attack the door opens within hours.
//!
//! A stranger's guesses make the stranger's address wait, not the account: the person signs in from where
//! they usually do undisturbed, however many addresses the stranger has. An organisation is the domain of a
//! mail address, known here or not: what is answered says nothing about who has an account.
//!
//! Not here: codes of second factors, which only who has the password can use up, are counted per account
//! whatever the network ([`Subjects::of_codes`]).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
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

fn account_text(email_key: &str) -> String {
    format!("sign-in of an account\n{email_key}")
}

impl Subjects {
    /// For `what` of an account that is known by `key`, from where `cx` comes.
    pub(crate) fn new(what: &str, key: &str, cx: &Cx) -> Self {
        let network = network(cx);
        let address = Subject::new(&format!("{what}\n{network}"), limits::ATTEMPTS_PER_ADDRESS);
        Subjects(vec![Subject::own(&format!("{what}\n{network}\n{key}")), address])
    }

    /// For signing in with a mail address and a password: also counted from wherever, unless the account with that
    /// address has signed in from there lately.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn of_address(gate: &Gate, email_key: &str, cx: &Cx) -> Result<Self> {
        let mut subjects = Subjects::new("sign-in", email_key, cx);
        if !networks::is_known(gate, email_key, cx)? {
            let domain = email_key.rsplit_once('@').map_or("", |(_, domain)| domain);
            let account = Subject::new(&account_text(email_key), limits::ATTEMPTS_PER_ACCOUNT);
            let many =
                Subject::new(&format!("sign-in of an organisation\n{domain}"), limits::ATTEMPTS_PER_ORGANISATION);
            let wait_seconds_max = limits::ATTEMPTS_ORGANISATION_WAIT_SECONDS_MAX;
            subjects.0.extend([account, Subject { wait_seconds_max, ..many }]);
        }
        Ok(subjects)
    }

    /// For signing in at an identity provider: where from. Whoever it will be is not known yet, and what is guessed
    /// there is the provider's to count.
    pub(crate) fn at_providers(cx: &Cx) -> Self {
        let address = Subject::new(&format!("at a provider\n{}", network(cx)), limits::ATTEMPTS_AT_PROVIDERS);
        Subjects(vec![Subject { wait_seconds_max: limits::ATTEMPTS_ORGANISATION_WAIT_SECONDS_MAX, ..address }])
    }

    /// For codes of an account, from wherever: who tries them has shown the password before.
    pub(crate) fn of_codes(account: AccountId, cx: &Cx) -> Self {
        let address = Subject::new(&format!("code\n{}", network(cx)), limits::ATTEMPTS_PER_ADDRESS);
        Subjects(vec![Subject::own(&format!("code\n{account}")), address])
    }
}

/// Doublings of a second to the longest wait that there is.
const LONGEST: i64 = 10;

/// How long to wait after the `number`th attempt, when `free` are, and `most` is the longest wait.
pub(crate) fn wait_seconds(number: i64, free: i64, most: i64) -> i64 {
    if number < free {
        return 0;
    }
    (1i64 << (number - free).min(LONGEST)).min(most)
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
        let mut counts = Vec::with_capacity(subjects.0.len());
        for subject in &subjects.0 {
            counts.push(made(conn, subject, now)?);
        }
        subjects.0.iter().zip(counts).try_for_each(|(subject, made)| count(conn, subject, made, now))
    })
}

/// Attempts that have not been forgotten, as of an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Made {
    pub(crate) number: i64,
    /// In microseconds: until then all that had to be was forgotten.
    pub(crate) at: i64,
}

impl Made {
    /// What is left of it at `now`, where `free` are forgotten evenly in the time that attempts are kept.
    pub(crate) fn left(self, free: i64, now: i64) -> Made {
        let each = limits::ATTEMPTS_KEPT_SECONDS * 1_000_000 / free;
        let forgotten = (now - self.at).max(0) / each;
        // Of what is on its way to be forgotten nothing is lost by looking: the instant moves by whole ones.
        match self.number - forgotten {
            left if left > 0 => Made { number: left, at: self.at + forgotten * each },
            _ => Made { number: 0, at: now },
        }
    }
}

/// How many attempts there were.
fn made(conn: &mut Conn<'_>, subject: &Subject, now: Timestamp) -> Result<Made> {
    let sql = "SELECT number, last_at, closed_until FROM attempts WHERE subject = $1";
    let found = conn.query_opt(sql, args![subject.hash], |row| {
        Ok((Made { number: row.get(0)?, at: row.get(1)? }, row.get::<Timestamp>(2)?))
    })?;
    let (made, closed) = found.unwrap_or((Made { number: 0, at: micros(now) }, Timestamp::UNIX_EPOCH));
    if closed <= now {
        return Ok(made.left(subject.free, micros(now)));
    }
    let wait = Duration::from_micros(u64::try_from(micros(closed) - micros(now)).unwrap_or(0));
    let shown = wait.as_secs() + 1;
    let message = format!("too many attempts; try again in {shown} seconds");
    Err(Error::throttled("attempts.too_many", message).retry_after(Duration::from_secs(shown)))
}

fn count(conn: &mut Conn<'_>, subject: &Subject, made: Made, now: Timestamp) -> Result<()> {
    // Beyond the longest wait there is nothing to count.
    let number = made.number.min(subject.free + LONGEST) + 1;
    let closed = micros(now) + wait_seconds(number, subject.free, subject.wait_seconds_max) * 1_000_000;
    close(conn, &subject.hash, Made { number, ..made }, closed)
}

fn close(conn: &mut Conn<'_>, subject: &[u8; 32], made: Made, until: i64) -> Result<()> {
    conn.execute(
        "INSERT INTO attempts (subject, number, last_at, closed_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subject) DO UPDATE SET number = excluded.number, last_at = excluded.last_at, closed_until = excluded.closed_until",
        args![subject, made.number, made.at, until],
    )
    .map(drop)
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

/// Forgets what was tried of an account from wherever, and that it was mailed a link: its owner has set another
/// password by that.
pub(crate) fn begin_anew(conn: &mut Conn<'_>, account: AccountId, email_key: &str) -> Result<()> {
    let subjects = (secret::hash(&account_text(email_key)), mailed_subject(account));
    conn.execute("DELETE FROM attempts WHERE subject IN ($1, $2)", args![subjects.0, subjects.1]).map(drop)
}

fn mailed_subject(account: AccountId) -> [u8; 32] {
    secret::hash(&format!("reset mailed to\n{account}"))
}

/// Whether an account was mailed a link for a new password a short while ago.
pub(crate) fn was_mailed(conn: &mut Conn<'_>, account: AccountId, now: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM attempts WHERE subject = $1 AND closed_until > $2";
    Ok(conn.query_opt(sql, args![mailed_subject(account), now], |row| row.get::<i64>(0))?.is_some())
}

/// Keeps that one was mailed.
pub(crate) fn mailed(conn: &mut Conn<'_>, account: AccountId, now: Timestamp) -> Result<()> {
    let until = micros(now) + limits::RESET_MAILED_EVERY_SECONDS * 1_000_000;
    close(conn, &mailed_subject(account), Made { number: 1, at: micros(now) }, until)
}

/// Writes a refusal into the log, in the form that the filter in `deploy/fail2ban` reads: what was refused, and
/// where it came from. Nothing in it was chosen by whoever was refused.
pub(crate) fn log(from: Option<IpAddr>, why: &'static str) {
    match from {
        Some(address) => tracing::warn!(target: "yunwei::door", %address, "sign-in refused: {why}"),
        None => tracing::warn!(target: "yunwei::door", "sign-in refused: {why}"),
    }
}

/// Tells the log of a refusal once, though a transaction may run more than once.
#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

impl Once {
    /// [`log`], the first time.
    pub(crate) fn log(&self, cx: &Cx, why: &'static str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            log(cx.address(), why);
        }
    }
}
