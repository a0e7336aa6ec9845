//! The second step: a code after the password, and again before sensitive actions.
//!
//! Guesses are counted per account here, whatever address they come from: who guesses codes has
//! shown the password or a session, so that no stranger can make the person wait. A million codes
//! and three that are right at a time leave an attacker with the password one chance in some three
//! thousand a day, of which the account's owner sees each day's refusals.

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result};
use gate::{Effect, Strength, Tx};
use serde::{Deserialize, Serialize};

use super::actions::{SignedIn, active, begin, current};
use super::sign_ins::{self, First};
use super::{SessionId, store};
use crate::factors::passkeys::{self, Bound, Purpose};
use crate::passwords::attempts::{self, Once, Subjects};
use crate::passwords::hashing;
use crate::prepared::Prepared;
use crate::secret::Secret;
use crate::{accounts, factors, providers, reach};

/// The code after the password.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfirmSession {
    /// The ticket that `session.open` gave.
    pub ticket: Secret,
    /// What the authenticator app shows, a recovery code, or a passkey's answer (`AuthenticationResponseJSON`, as
    /// text) to a challenge of `session.passkey_challenge` for this ticket.
    pub code: Secret,
}

/// A sign-in whose attempt was counted.
#[derive(Debug)]
pub struct Confirming {
    input: ConfirmSession,
    subjects: Subjects,
    /// Whether the log says already that it was refused: a transaction may run again.
    logged: Once,
}

fn wrong_code() -> Error {
    Error::unauthenticated("factor.code_wrong", "that code is not right, or was used already; wait for the next one")
        .at("code")
}

/// Signs in after the password, with a code.
pub static CONFIRM: Prepared<ConfirmSession, Confirming, SignedIn> = Prepared {
    name: "session.confirm",
    summary: "Signs in with a second factor, after the password: with the ticket of session.open and a code.",
    effect: Effect::Create,
    prepare: |gate, cx, input| {
        let (ticket, now) = (input.ticket.clone(), gate.now());
        let account = gate.db().read(move |conn| sign_ins::find(conn, &ticket, now))?.account;
        let subjects = Subjects::of_codes(account, cx);
        attempts::admit(gate, &subjects).inspect_err(|_| attempts::log(cx.address(), "too many codes"))?;
        Ok(Confirming { input, subjects, logged: Once::default() })
    },
    run: |tx, confirming| {
        let now = tx.now;
        let waiting = sign_ins::find(tx, &confirming.input.ticket, now)?;
        let account = active(accounts::store::load(tx, waiting.account)?)?;
        // What a provider said counts no longer than what connects the account with one that is on.
        if waiting.first == First::Provider && !providers::vouches(tx, account.id)? {
            return Err(sign_ins::over());
        }
        tx.touch("account", &account.id.to_string(), account.home, 0);
        let bound = Bound::ticket(&confirming.input.ticket);
        let taken = factors::take(tx, account.id, confirming.input.code.reveal(), &bound)
            .inspect_err(|error| passkeys::log_refusal(&confirming.logged, tx.cx(), error))?;
        let Some(strength) = taken else {
            confirming.logged.log(tx.cx(), "wrong code");
            return Err(wrong_code());
        };
        if !sign_ins::end(tx, &confirming.input.ticket)? {
            return Err(sign_ins::over());
        }
        attempts::forgive(tx, &confirming.subjects)?;
        let strength = match waiting.first {
            First::Password => strength,
            First::Provider => Strength::ProviderFactor,
        };
        begin(tx, account, &waiting.user_agent, strength)
    },
};

/// A fresh proof for the current session.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepUp {
    /// What the authenticator app shows, a recovery code, or a passkey's answer (as text) to a challenge of
    /// `session.passkey_challenge` in this session: where the account has a second factor.
    #[serde(default)]
    pub code: Option<Secret>,
    /// The password: where it has none.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// A session that has shown anew who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SteppedUp {
    /// Which.
    pub session: SessionId,
    /// How strongly.
    pub strength: Strength,
    /// When.
    #[schemars(with = "String")]
    pub proven_at: Timestamp,
}

/// A proof whose attempt was counted.
#[derive(Debug)]
pub struct Stepping {
    account: AccountId,
    session: SessionId,
    /// The code, or that the password was right.
    shown: Shown,
    subjects: Subjects,
}

#[derive(Debug)]
enum Shown {
    Code(Secret),
    Password(bool),
}

fn no_session() -> Error {
    Error::conflict("session.none", "only a session shows anew who it is; a token does what it was made for")
}

/// Shows anew who one is, so that sensitive actions are open for ten minutes.
pub static STEP_UP: Prepared<StepUp, Stepping, SteppedUp> = Prepared {
    name: "session.step_up",
    summary: "Shows anew who one is, with a code or, where the account has no second factor, the password; opens sensitive actions for ten minutes. Who has neither signs in anew at an identity provider (session.begin_provider with anew).",
    effect: Effect::Change,
    prepare: |gate, cx, input| {
        let account = cx.account().ok_or_else(|| Error::unauthenticated("session.required", "sign in to do this"))?;
        let session = cx.session().and_then(|text| text.parse().ok()).ok_or_else(no_session)?;
        let (has_factor, kept) = gate.db().read(move |conn| {
            Ok((factors::store::has_active(conn, account)?, accounts::store::password(conn, account)?))
        })?;
        let subjects = match has_factor {
            true => Subjects::of_codes(account, cx),
            false => Subjects::new("step-up", &account.to_string(), cx),
        };
        attempts::admit(gate, &subjects)?;
        let shown = match has_factor {
            true => Shown::Code(input.code.unwrap_or_default()),
            false => {
                let typed = input.password.unwrap_or_default();
                Shown::Password(hashing::verify(typed.reveal(), kept.as_deref())?)
            }
        };
        Ok(Stepping { account, session, shown, subjects })
    },
    run: |tx, stepping| {
        let (account, now) = (stepping.account, tx.now);
        let strength = shown(tx, account, &stepping.shown, &Bound::session(Purpose::StepUp, stepping.session))?;
        attempts::forgive(tx, &stepping.subjects)?;
        if current(tx) != Some(stepping.session) {
            return Err(no_session());
        }
        store::prove(tx, stepping.session, strength, now)?;
        reach::changed(tx);
        let tenant = tx.cx().tenant();
        tx.touch("session", &stepping.session.to_string(), tenant, 0);
        Ok(SteppedUp { session: stepping.session, strength, proven_at: now })
    },
};

/// Who is signed in stays so, whatever a passkey said; and it is on the record.
fn here(error: Error) -> Error {
    match error.code() {
        "passkey.refused" => Error::forbidden("passkey.refused", error.message().to_owned()).at("code"),
        "passkey.copied" => Error::forbidden("passkey.copied", error.message().to_owned()).at("code"),
        _ => error,
    }
}

/// What was shown counts as; a factor may have come since it was looked for.
fn shown(tx: &mut Tx<'_>, account: AccountId, shown: &Shown, bound: &Bound) -> Result<Strength> {
    // Refused, and so on the record: somebody sits at a session that may not be theirs.
    let refused = |code: &'static str, words: &str, at: &str| Err(Error::forbidden(code, words).at(at));
    match shown {
        Shown::Password(true) if !factors::store::has_active(tx, account)? => Ok(Strength::Password),
        Shown::Password(_) => refused("password.wrong", "the present password is not right", "password"),
        Shown::Code(code) => match factors::take(tx, account, code.reveal(), bound).map_err(here)? {
            Some(strength) => Ok(strength),
            None => refused(
                "factor.code_wrong",
                "that code is not right, or was used already; wait for the next one",
                "code",
            ),
        },
    }
}
