//! Changing a password, and setting a new one by a mailed link.

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result};
use db::Conn;
use gate::{AnyAction, Effect, Fresh, Gate, Tx};
use serde::{Deserialize, Serialize};

use super::attempts::{self, Subjects};
use super::{hashing, networks, strength};
use crate::accounts::{self, Account, AccountState};
use crate::invitations::actions::LinkToken;
use crate::mail::{self, Errand, links};
use crate::prepared::Prepared;
use crate::secret::Secret;
use crate::{Fact, providers, reach, sessions, sign_in_rules, text, tokens};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CHANGE, &REQUEST_RESET, &RESET];

/// A new password for oneself.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChangePassword {
    /// The present one; left out where there is none yet.
    #[serde(default)]
    pub current: Option<Secret>,
    /// The new one.
    pub password: Secret,
}

/// A password that has been checked and hashed, for an account.
#[derive(Debug)]
pub struct Hashed {
    account: AccountId,
    phc: String,
    /// What was kept before, as it was when the present one was tried.
    before: Option<String>,
    subjects: Subjects,
}

/// Done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PasswordSet {
    /// Whose password it is.
    pub account: AccountId,
    /// How many sessions were ended by it.
    pub sessions_closed: u64,
}

/// Refuses a password that is one of the last ones, as many as the rules that the account meets say.
fn not_used_before(gate: &Gate, account: AccountId, password: &Secret) -> Result<()> {
    let last = gate.db().read(move |conn| {
        let many = sign_in_rules::of_account(conn, account)?.limits.password_history;
        let mut last = sign_in_rules::store::former(conn, account, many.saturating_sub(1))?;
        if many > 0 {
            last.extend(accounts::store::password(conn, account)?);
        }
        Ok(last)
    })?;
    for kept in &last {
        if hashing::verify(password.reveal(), Some(kept))? {
            return Err(Error::invalid("password.used_before", "you have used that password before; choose another")
                .at("password"));
        }
    }
    Ok(())
}

/// Sets a new password, and keeps the one before as far as a rule asks that it is not used again.
fn replace(tx: &mut Tx<'_>, account: AccountId, phc: &str) -> Result<()> {
    let now = tx.now;
    let many = sign_in_rules::of_account(tx, account)?.limits.password_history;
    if many > 1
        && let Some(before) = accounts::store::password(tx, account)?
    {
        sign_in_rules::store::keep_former(tx, account, &before, many - 1, now)?;
    }
    accounts::store::set_password(tx, account, phc, now)
}

/// Changes one's own password; ends all other sessions.
pub static CHANGE: Prepared<ChangePassword, Hashed, PasswordSet> = Prepared {
    name: "password.change",
    summary: "Changes one's own password and ends one's other sessions. A first one is set by who has shown lately who they are.",
    effect: Effect::Change,
    prepare: |gate, cx, input| {
        let id = cx.account().ok_or_else(|| Error::unauthenticated("session.required", "sign in to do this"))?;
        let by = cx.clone();
        let (account, before, narrow) = gate.db().read(move |conn| {
            let account = accounts::store::load(conn, id)?;
            let narrow = tokens::is_narrow(conn, &by, account.home)?;
            Ok((account, accounts::store::password(conn, id)?, narrow))
        })?;
        let subjects = Subjects::new("change", &id.to_string(), cx);
        // Who signs in with a password has all roles of the account, everywhere; a token for less must not get them.
        if before.is_none() && narrow {
            return Err(Error::forbidden(
                "password.limited_token",
                "this token is limited to some of your roles or to one organisation; a first password is set with one that is not",
            ));
        }
        // Somebody at a session that was left open must not make it an account of theirs.
        if before.is_none() && !cx.proof().is_some_and(|proof| proof.is_fresh(Fresh::Always, gate.now())) {
            return Err(gate::step_up_wanted(CHANGE.name));
        }
        if let Some(kept) = &before {
            attempts::admit(gate, &subjects)?;
            let tried = input.current.as_ref().map_or("", Secret::reveal);
            if !hashing::verify(tried, Some(kept))? {
                return Err(Error::invalid("password.wrong", "the present password is not right").at("current"));
            }
        }
        strength::check(input.password.reveal(), &[&account.email, &account.name])?;
        not_used_before(gate, id, &input.password)?;
        Ok(Hashed { account: id, phc: hashing::hash(input.password.reveal())?, before, subjects })
    },
    run: |tx, hashed| {
        if accounts::store::password(tx, hashed.account)? != hashed.before {
            return Err(Error::contended("password.changed", "the password has been changed meanwhile; try again"));
        }
        attempts::forgive(tx, &hashed.subjects)?;
        replace(tx, hashed.account, &hashed.phc)?;
        let here = tx.cx().session().and_then(|text| text.parse().ok());
        let sessions_closed = sessions::store::delete_all(tx, hashed.account, here)?;
        links::delete_all(tx, links::RESET, &hashed.account.to_string())?;
        reach::changed(tx);
        let tenant = tx.cx().tenant();
        tx.touch("account", &hashed.account.to_string(), tenant, 0);
        tx.fact(Fact::PasswordChanged { account: hashed.account.to_string() }, tenant)?;
        mail::ask(tx, &Errand::PasswordChanged { account: hashed.account })?;
        Ok(PasswordSet { account: hashed.account, sessions_closed })
    },
};

/// Who has forgotten their password.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestReset {
    /// The mail address.
    pub email: String,
}

/// The same for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Requested {
    /// If there is an account with that address, a mail is on its way.
    pub accepted: bool,
}

/// Has a link mailed to set a new password. The answer and the work are the
/// same whether there is such an account or not: either way a job is written,
/// for the account or for one that does not exist.
pub static REQUEST_RESET: Prepared<RequestReset, String, Requested> = Prepared {
    name: "password.request_reset",
    summary: "Has a link mailed to set a new password, if there is an account with that address; the answer is always the same.",
    effect: Effect::Create,
    prepare: |gate, cx, input| {
        let key = text::email(&input.email)?.key;
        // From each address only: were it counted from wherever, a stranger could close this way out as well. How
        // many mails come of it is bounded where they are made.
        attempts::admit(gate, &Subjects::new("reset", &key, cx))?;
        Ok(key)
    },
    run: |tx, key| {
        let found = accounts::store::by_email(tx, key)?.filter(|account| account.state == AccountState::Active);
        let decoy = AccountId::fresh(tx.ids(), tx.now);
        mail::ask(tx, &Errand::Reset { account: found.map_or(decoy, |account| account.id) })?;
        Ok(Requested { accepted: true })
    },
};

/// A new password by a mailed link.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResetPassword {
    /// What stands behind `token=` in the link.
    pub token: Secret,
    /// The new password.
    pub password: Secret,
}

/// A link and a hashed password.
#[derive(Debug)]
pub struct Reset {
    link: LinkToken,
    phc: String,
}

/// The account behind a link.
fn behind(conn: &mut Conn<'_>, token: &Secret, now: Timestamp) -> Result<Account> {
    let id: AccountId = links::open(conn, links::RESET, token, now)?.parse()?;
    accounts::store::find(conn, id)?.filter(|account| account.state == AccountState::Active).ok_or_else(links::void)
}

/// Sets a new password by a mailed link; ends all sessions.
pub static RESET: Prepared<ResetPassword, Reset, PasswordSet> = Prepared {
    name: "password.reset",
    summary: "Sets a new password by a mailed link, once, and ends all sessions of the account.",
    effect: Effect::Change,
    prepare: |gate, _, input| {
        let (token, now) = (input.token.clone(), gate.now());
        let account = gate.db().read(move |conn| {
            let account = behind(conn, &token, now)?;
            // It would be a way in beside the one that the organisation wants.
            providers::keep_to_provider(conn, account.id)?;
            Ok(account)
        })?;
        strength::check(input.password.reveal(), &[&account.email, &account.name])?;
        not_used_before(gate, account.id, &input.password)?;
        Ok(Reset { link: LinkToken { token: input.token }, phc: hashing::hash(input.password.reveal())? })
    },
    run: |tx, reset| {
        let now = tx.now;
        let account = behind(tx, &reset.link.token, now)?;
        providers::keep_to_provider(tx, account.id)?;
        links::delete_all(tx, links::RESET, &account.id.to_string())?;
        replace(tx, account.id, &reset.phc)?;
        // Who can read the mails of the account is at home here; guesses from elsewhere begin anew.
        networks::note(tx, account.id)?;
        attempts::begin_anew(tx, account.id, &text::email(&account.email)?.key)?;
        let sessions_closed = sessions::store::delete_all(tx, account.id, None)?;
        reach::changed(tx);
        tx.touch("account", &account.id.to_string(), account.home, 0);
        tx.fact(Fact::PasswordChanged { account: account.id.to_string() }, account.home)?;
        mail::ask(tx, &Errand::PasswordChanged { account: account.id })?;
        Ok(PasswordSet { account: account.id, sessions_closed })
    },
};
