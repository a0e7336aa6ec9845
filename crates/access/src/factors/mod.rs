//! Second factors: what somebody shows besides the password, or, of passkeys, instead of it.
//!
//! ```text
//!   enrolled ──right code──▶ active ──(removed · reset · account left)──▶ deleted
//!       └──(an hour · another one enrolled)──▶ deleted
//! ```
//!
//! A passkey is a key pair of which we have the public half ([`passkeys`]).
//! An authenticator app shares a secret with us and computes a code of it every thirty seconds
//! (`totp`). With the first factor come ten recovery codes for the day on which it is lost
//! (`recovery`). The secret must be readable, or nothing could be compared with it; so it lies in
//! the database sealed with the master key beside it ([`gate::keys`]).
//!
//! Invariants (`tests`):
//! - a code opens once: its step is written down in the transaction that takes it, and no step
//!   before it opens any more, whoever asks at the same moment and whatever restarts;
//! - a recovery code opens once: it is deleted in the transaction that takes it;
//! - a factor that was never confirmed opens nothing and is asked for nowhere.
//!
//! Not here: signing in with one (`sessions`), which actions want one (`sensitive`).

pub mod actions;
pub mod passkeys;
pub(crate) mod recovery;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod totp;

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result, hex};
use gate::keys::{self, For, Keys};
use gate::{Strength, Tx};
use serde::{Deserialize, Serialize};

use crate::words::words;
use passkeys::Bound;

base::ids! {
    /// A second factor.
    pub struct FactorId = "fac";
}
db::id_columns!(FactorId);

words! {
    /// What a factor is.
    pub enum FactorKind {
        /// An authenticator app with time-based one-time codes (RFC 6238).
        Totp = "totp",
        /// A passkey or security key (W3C Web Authentication).
        Passkey = "passkey",
    }
}

/// A second factor, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Factor {
    /// The identifier.
    pub id: FactorId,
    /// Whose.
    pub account: AccountId,
    /// What it is.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: String,
    /// When it was enrolled.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it was confirmed by a right code; before that it opens nothing.
    #[schemars(with = "Option<String>")]
    pub active_at: Option<Timestamp>,
    /// When it was last used.
    #[schemars(with = "Option<String>")]
    pub used_at: Option<Timestamp>,
}

/// What the secret of a factor is sealed for.
fn sealed_for(id: &str) -> For<'_> {
    For { row: id, purpose: "totp" }
}

fn open(keys: &Keys, id: FactorId, sealed: &str) -> Result<Vec<u8>> {
    let text = keys.unseal(sealed_for(&id.to_string()), sealed)?;
    hex::decode(&text).ok_or_else(|| Error::bug("factor.secret", "the secret of a factor does not read"))
}

/// Takes what the account's owner showed in the place of a code: one of an authenticator, a recovery
/// code, or a passkey's answer to a challenge that was drawn for `bound`; if it is right and was not
/// taken before. Whoever calls has counted the attempt.
///
/// # Errors
/// Those of the database and of the master key; of a passkey, as [`passkeys::take`].
pub(crate) fn take(tx: &mut Tx<'_>, account: AccountId, typed: &str, bound: &Bound) -> Result<Option<Strength>> {
    let now = tx.now;
    if passkeys::is_answer(typed) {
        return passkeys::second(tx, account, typed, bound).map(Some);
    }
    if let Some(code) = recovery::typed(typed) {
        let right = store::spend(tx, account, &recovery::hash(account, &code))?;
        return Ok(right.then_some(Strength::Recovery));
    }
    let Some(digits) = totp::typed(typed) else { return Ok(None) };
    let keys = keys::installed(tx)?;
    for held in store::active(tx, account)? {
        let secret = open(&keys, held.id, &held.sealed)?;
        if let Some(step) = totp::matching(&secret, &digits, now, held.used_step)
            && store::use_step(tx, held.id, step, now)?
        {
            return Ok(Some(Strength::Code));
        }
    }
    Ok(None)
}
