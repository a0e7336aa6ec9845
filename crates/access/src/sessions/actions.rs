//! Signing in and out, and looking at where one is signed in.

use std::time::Duration;

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate::{Action, AnyAction, Effect, Strength, Tx};
use serde::{Deserialize, Serialize};

use super::confirm::{CONFIRM, STEP_UP};
use super::sign_ins::{self, First};
use super::{Session, SessionId, store};
use crate::accounts::{self, Account, AccountState};
use crate::passwords::attempts::{self, Subjects};
use crate::passwords::{hashing, networks};
use crate::prepared::Prepared;
use crate::reach::{self, Place};
use crate::roles::actions::Nothing;
use crate::secret::{self, Of, Secret};
use crate::{Fact, Removed, factors, providers, sign_in_rules, tenants, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&OPEN, &CONFIRM, &STEP_UP, &CLOSE, &LIST, &CLOSE_ALL, &ACT_IN, &DESCRIBE];

/// Who signs in.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OpenSession {
    /// The mail address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// What the browser says of itself; filled in by the server.
    #[serde(default)]
    pub user_agent: String,
}

/// A session that was just opened. The two secrets are shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignedIn {
    /// The session's identifier.
    pub session: SessionId,
    /// The value of the cookie.
    pub secret: String,
    /// What forms and scripts send along (`X-CSRF-Token`).
    pub csrf: String,
    /// Who has signed in.
    pub account: Account,
    /// When it ends in any case.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// What came of a right password.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Opened {
    /// A session: the account has no second factor.
    SignedIn(Box<SignedIn>),
    /// A code is to come.
    FactorNeeded(FactorNeeded),
}

/// A sign-in that waits for its second factor. Nothing can be asked for with it but `session.confirm`.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FactorNeeded {
    /// What to send to `session.confirm` with the code; shown this once.
    pub ticket: String,
    /// When it is too late.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

impl Opened {
    /// The session, where no second factor is to come.
    pub fn signed_in(self) -> Option<SignedIn> {
        match self {
            Opened::SignedIn(signed_in) => Some(*signed_in),
            Opened::FactorNeeded(_) => None,
        }
    }
}

/// What was found out about a sign-in before its transaction.
#[derive(Debug)]
pub struct Attempt {
    account: Option<AccountId>,
    subjects: Subjects,
    user_agent: String,
}

/// One answer for a wrong password, an unknown address and an account without a password.
fn refused() -> Error {
    Error::unauthenticated("session.refused", "the mail address or the password is not right")
}

/// Signs in with mail address and password, or begins to.
pub static OPEN: Prepared<OpenSession, Attempt, Opened> = Prepared {
    name: "session.open",
    summary: "Signs in with mail address and password; where the account has a second factor, gives a ticket for session.confirm.",
    effect: Effect::Create,
    prepare: |gate, cx, input| {
        // An address that cannot be one is tried like any other.
        let key = text::email(&input.email).map_or_else(|_| String::new(), |email| email.key);
        let subjects = Subjects::of_address(gate, &key, cx)?;
        attempts::admit(gate, &subjects).inspect_err(|_| attempts::log(cx.address(), "too many attempts"))?;
        let found = gate.db().read(move |conn| {
            let Some(account) = accounts::store::by_email(conn, &key)? else { return Ok(None) };
            Ok(accounts::store::password(conn, account.id)?.map(|password| (account.id, password)))
        })?;
        let right = hashing::verify(input.password.reveal(), found.as_ref().map(|(_, password)| password.as_str()))?;
        if !right {
            attempts::log(cx.address(), "wrong address or password");
        }
        Ok(Attempt { account: found.filter(|_| right).map(|(id, _)| id), subjects, user_agent: input.user_agent })
    },
    run: |tx, attempt| {
        let account = active(accounts::store::load(tx, attempt.account.ok_or_else(refused)?)?)?;
        attempts::forgive(tx, &attempt.subjects)?;
        // Told only to who knows the password.
        providers::keep_to_provider(tx, account.id)?;
        if factors::store::has_active(tx, account.id)? {
            let user_agent = text::shown(&attempt.user_agent, limits::NAME_CHARS_MAX);
            let now = tx.now;
            let (ticket, expires_at) = sign_ins::begin(tx, account.id, First::Password, &user_agent, now)?;
            tx.touch("account", &account.id.to_string(), account.home, 0);
            return Ok(Opened::FactorNeeded(FactorNeeded { ticket, expires_at }));
        }
        begin(tx, account, &attempt.user_agent, Strength::Password).map(Box::new).map(Opened::SignedIn)
    },
};

/// Only who is active signs in; told only to somebody who knows the password.
pub(crate) fn active(account: Account) -> Result<Account> {
    match account.state {
        AccountState::Active => Ok(account),
        AccountState::Suspended => Err(Error::forbidden(
            "account.suspended",
            "this account is suspended; ask an administrator of your organisation",
        )),
        AccountState::Left => Err(refused()),
    }
}

/// A fresh session. Whatever the browser was signed in as before ends.
pub(crate) fn begin(tx: &mut Tx<'_>, account: Account, user_agent: &str, strength: Strength) -> Result<SignedIn> {
    let now = tx.now;
    begin_proven(tx, account, user_agent, strength, now)
}

/// [`begin`] for somebody who showed who they are at that instant, at a provider that remembered it.
pub(crate) fn begin_proven(
    tx: &mut Tx<'_>,
    account: Account,
    user_agent: &str,
    strength: Strength,
    proven_at: Timestamp,
) -> Result<SignedIn> {
    let now = tx.now;
    if let (Some(before), Some(owner)) = (current(tx), tx.cx().account()) {
        store::delete(tx, owner, before)?;
        reach::changed(tx);
    }
    store::make_room(tx, account.id, now)?;
    let (secret, hash) = secret::mint(Of::Session)?;
    let csrf = secret::random()?;
    let session = Session {
        id: SessionId::fresh(tx.ids(), now),
        account: account.id,
        acting: None,
        address: tx.cx().address().map(|a| a.to_string()).unwrap_or_default(),
        user_agent: text::shown(user_agent, limits::NAME_CHARS_MAX),
        created_at: now,
        seen_at: now,
        expires_at: now + Duration::from_secs(limits::SESSION_SECONDS_MAX.unsigned_abs()),
        strength,
        proven_at,
        current: true,
    };
    store::insert(tx, &session, &hash, &csrf)?;
    networks::note(tx, account.id)?;
    accounts::store::signed_in(tx, account.id, now)?;
    tx.touch("session", &session.id.to_string(), account.home, 0);
    tx.fact(Fact::SessionOpened { session: session.id.to_string() }, account.home)?;
    Ok(SignedIn {
        session: session.id,
        secret,
        csrf: URL_SAFE_NO_PAD.encode(csrf),
        account,
        expires_at: session.expires_at,
    })
}

/// The session in which the actor acts, if it is one.
pub(crate) fn current(tx: &Tx<'_>) -> Option<SessionId> {
    tx.cx().session().and_then(|text| text.parse().ok())
}

/// The account that acts; every action below is about oneself.
pub(crate) fn oneself(tx: &Tx<'_>) -> Result<AccountId> {
    tx.cx().account().ok_or_else(|| Error::unauthenticated("session.required", "sign in to do this"))
}

/// Which session.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CloseSession {
    /// Its identifier; the current one where it is left out.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// Signs out.
pub static CLOSE: Action<CloseSession, Removed> = Action {
    name: "session.close",
    summary: "Ends one of one's own sessions; the current one where none is named.",
    effect: Effect::Delete,
    run: |tx, input| {
        let account = oneself(tx)?;
        let id = input
            .session
            .or_else(|| current(tx))
            .ok_or_else(|| Error::invalid("session.unnamed", "which session is to end?").at("session"))?;
        let tenant = tx.cx().tenant();
        tx.touch("session", &id.to_string(), tenant, 0);
        if !store::delete(tx, account, id)? {
            return Err(Error::not_found("session.not_found", format!("there is no session {id}")));
        }
        reach::changed(tx);
        Ok(Removed { left: false })
    },
};

/// Lists where one is signed in.
pub static LIST: Action<Nothing, Vec<Session>> = Action {
    name: "session.list",
    summary: "Lists where one is signed in, the newest first.",
    effect: Effect::Read,
    run: |tx, _| {
        let (account, here, now) = (oneself(tx)?, current(tx), tx.now);
        let mut found = store::of_account(tx, account)?;
        let held = sign_in_rules::of_account(tx, account)?.limits;
        found.retain(|session| reach::is_alive(session, &held, now));
        found.iter_mut().for_each(|session| session.current = Some(session.id) == here);
        Ok(found)
    },
};

/// Signs out everywhere.
pub static CLOSE_ALL: Action<Nothing, Closed> = Action {
    name: "session.close_all",
    summary: "Ends all of one's own sessions but the current one.",
    effect: Effect::Delete,
    run: |tx, _| {
        let (account, here) = (oneself(tx)?, current(tx));
        let closed = store::delete_all(tx, account, here)?;
        reach::changed(tx);
        Ok(Closed { closed })
    },
};

/// How many sessions ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Closed {
    /// How many.
    pub closed: u64,
}

/// Chooses the tenant in which the current session acts from now on.
pub static ACT_IN: Action<tenants::actions::TenantRef, Place> = Action {
    name: "session.act_in",
    summary: "Chooses the tenant in which the current session acts from now on.",
    effect: Effect::Change,
    run: |tx, input| {
        let account = oneself(tx)?;
        let standing = reach::standing(tx, account, Some(input.tenant), None)?;
        let session = current(tx).ok_or_else(|| {
            Error::conflict("session.none", "a token acts where it was made; send X-Yunwei-Tenant to act elsewhere")
        })?;
        store::set_acting(tx, session, input.tenant)?;
        reach::changed(tx);
        tx.touch("tenant", &input.tenant.to_string(), input.tenant, 0);
        let tenant = tenants::store::load(tx, input.tenant)?;
        Ok(Place {
            tenant: tenant.id,
            name: tenant.name,
            kind: tenant.kind,
            roles: standing.roles.into_iter().collect(),
        })
    },
};

/// Who acts, where, as what, and where else they may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WhoAmI {
    /// Who.
    pub account: Account,
    /// Where, and with which roles.
    pub acting: Place,
    /// The tenants in which they may act; the first hundred by name.
    pub places: Vec<Place>,
    /// Whether they may act in every customer's tenant.
    pub reaches_customers: bool,
}

/// Says who acts, in which tenant, with which roles, and where else they may act.
pub static DESCRIBE: Action<Nothing, WhoAmI> = Action {
    name: "session.describe",
    summary: "Says who acts, in which tenant, with which roles, and where else they may act.",
    effect: Effect::Read,
    run: |tx, _| {
        let account = oneself(tx)?;
        let account = accounts::store::load(tx, account)?;
        let tenant = tx.cx().tenant();
        let here = tenants::store::load(tx, tenant)?;
        let acting = Place {
            tenant: here.id,
            name: here.name,
            kind: here.kind,
            roles: tx.cx().roles().iter().cloned().collect(),
        };
        let (places, reaches_customers) = reach::places(tx, account.id)?;
        Ok(WhoAmI { account, acting, places, reaches_customers })
    },
};
