//! Passkeys and security keys (W3C Web Authentication): a key pair in a device or in a keeper of
//! passwords, whose public half lies here.
//!
//! ```text
//!   challenge ──▶ browser and authenticator ──▶ answer ──(right, once)──▶ factor · session · proof
//!       └──(five minutes)──▶ gone
//! ```
//!
//! With the password one is a second factor. Where the authenticator makes sure itself who uses it
//! (a PIN, a finger, a face: *user verification*) it is both, and signs in alone.
//!
//! Invariants (`tests`, both databases):
//! - a challenge opens once, for what it was drawn for: its row is deleted in the transaction that
//!   takes it, and names the session, or the sign-in, in which it was asked for;
//! - an answer counts only for our own site: both the origin that the browser saw and the relying
//!   party that the authenticator saw must be ours ([`RelyingParty`]);
//! - a credential that has counted further than it says now was copied: it is refused, on the record;
//! - only a verified use signs in alone, and keeps a session proven that was opened so.
//!
//! Not here: what a browser shows (`portal`), which actions want a fresh proof (`sensitive`).

pub mod actions;
mod cbor;
mod party;
pub(crate) mod store;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use base::id::AccountId;
use base::{Error, Result, hex};
use gate::{Cx, Gate, Strength, Tx};

use crate::passwords::attempts::Once;
use crate::secret::{self, Secret};
use verify::Answer;

pub use party::RelyingParty;

/// What a challenge was drawn for: an answer to another is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new credential of whoever is in this session.
    Enrol,
    /// Signing in with it alone.
    SignIn,
    /// Signing in after the password.
    Confirm,
    /// A fresh proof in a session.
    StepUp,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::Enrol => "enrol",
            Purpose::SignIn => "signIn",
            Purpose::Confirm => "confirm",
            Purpose::StepUp => "stepUp",
        }
    }
}

/// A challenge's purpose, and the session or sign-in that it belongs to; empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    purpose: Purpose,
    to: String,
}

impl Bound {
    /// To a session.
    pub(crate) fn session(purpose: Purpose, id: impl ToString) -> Bound {
        Bound { purpose, to: id.to_string() }
    }

    /// To a sign-in that waits for its second factor.
    pub(crate) fn ticket(ticket: &Secret) -> Bound {
        Bound { purpose: Purpose::Confirm, to: hex::encode(&secret::hash(ticket.reveal())) }
    }

    /// To nobody yet.
    pub(crate) fn nobody() -> Bound {
        Bound { purpose: Purpose::SignIn, to: String::new() }
    }
}

/// Says which site passkeys are for; without it they are not offered.
pub fn install(gate: &Gate, site: &str) {
    match RelyingParty::of(site) {
        Some(party) => gate.install(Arc::new(party)),
        None => tracing::info!(site, "passkeys are not offered: they need a name and https (--public-url)"),
    }
}

fn party(tx: &Tx<'_>) -> Result<Arc<RelyingParty>> {
    tx.installed().ok_or_else(|| {
        Error::conflict(
            "passkey.no_name",
            "passkeys belong to a name and want https: start the server with --public-url https://…",
        )
    })
}

/// Whether what somebody sent in the place of a code is a passkey's answer.
pub(crate) fn is_answer(typed: &str) -> bool {
    typed.trim_start().starts_with('{')
}

/// What was shown by a passkey.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Whose it is.
    pub account: AccountId,
    /// Whether the authenticator made sure who used it.
    pub verified: bool,
}

/// Takes a passkey's answer to a challenge that was drawn for `bound`; of this account, where it is
/// known already.
///
/// # Errors
/// `Invalid` (`passkey.malformed`), `Unauthenticated` (`passkey.refused`, `passkey.copied`): one
/// answer for what is unknown, somebody else's, answered before or past its time.
pub(crate) fn take(tx: &mut Tx<'_>, account: Option<AccountId>, typed: &str, bound: &Bound) -> Result<Taken> {
    let (party, now) = (party(tx)?, tx.now);
    let answer = Answer::read(typed)?;
    let challenge = answer.challenge()?;
    if !store::take(tx, &challenge, bound, now)? {
        return Err(refused());
    }
    let kept = store::find(tx, &answer.credential()?)?;
    let kept = kept.filter(|kept| account.is_none_or(|account| account == kept.account)).ok_or_else(refused)?;
    let shown = answer.verify(&party, &challenge, &kept.key, &kept.account.to_string())?;
    if !store::count(tx, kept.factor, shown.counter, now)? {
        let owner = tx.cx().tenant();
        tx.touch("factor", &kept.factor.to_string(), owner, 0);
        tracing::warn!(factor = %kept.factor, "a passkey counts backwards: it was copied");
        return Err(Error::unauthenticated(
            "passkey.copied",
            "this passkey has been used elsewhere since: it may have been copied, and opens nothing; remove it and enrol another",
        ));
    }
    Ok(Taken { account: kept.account, verified: shown.verified })
}

/// [`take`] as a second factor: what it amounts to beside the password, or in a session.
///
/// # Errors
/// As [`take`]; `passkey.refused` where a session that a passkey alone opened is not proven as well.
pub(crate) fn second(tx: &mut Tx<'_>, account: AccountId, typed: &str, bound: &Bound) -> Result<Strength> {
    let taken = take(tx, Some(account), typed, bound)?;
    let alone = bound.purpose == Purpose::StepUp && tx.cx().proof().is_some_and(|p| p.strength == Strength::Passkey);
    match (alone, taken.verified) {
        (true, false) => Err(refused()),
        (true, true) => Ok(Strength::Passkey),
        (false, _) => Ok(Strength::Key),
    }
}

/// Writes into the log that a passkey did not count; what went wrong otherwise is nobody's guess.
pub(crate) fn log_refusal(logged: &Once, cx: &Cx, error: &Error) {
    if matches!(error.code(), "passkey.refused" | "passkey.copied") {
        logged.log(cx, "wrong passkey");
    }
}

fn refused() -> Error {
    Error::unauthenticated(
        "passkey.refused",
        "this passkey is not known here, or its answer came too late or twice; try again",
    )
}
