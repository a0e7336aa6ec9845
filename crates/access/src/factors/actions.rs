//! Enrolling and removing second factors, and bringing somebody back who has lost theirs.

use base::id::AccountId;
use base::time::{Timestamp, micros};
use base::{Error, Result, hex, limits};
use gate::keys;
use gate::{Action, AnyAction, Effect, Strength, Tx};
use serde::{Deserialize, Serialize};

use super::{Factor, FactorId, FactorKind, open, recovery, sealed_for, store, totp};
use crate::accounts;
use crate::mail::{self, Errand};
use crate::notices::{Notice, Spoken};
use crate::roles::actions::Nothing;
use crate::secret::{self, Secret};
use crate::sessions::actions::{current, oneself};
use crate::{reach, sessions, tenants, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&LIST, &ENROL, &ACTIVATE, &REMOVE, &RESET, &RENEW];

/// What somebody has besides the password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Factors {
    /// The factors that were confirmed.
    pub factors: Vec<Factor>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u32,
}

/// Lists one's own second factors.
pub static LIST: Action<Nothing, Factors> = Action {
    name: "factor.list",
    summary: "Lists one's own second factors, and how many recovery codes are left.",
    effect: Effect::Read,
    run: |tx, _| {
        let account = oneself(tx)?;
        Ok(Factors { factors: store::of_account(tx, account)?, recovery_codes_left: store::codes_left(tx, account)? })
    },
};

/// A factor that is to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EnrolFactor {
    /// What to call it, for example `Phone`; a name is made where it is left out.
    #[serde(default)]
    pub name: Option<String>,
}

/// What an authenticator app needs. The secret is shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Enrolment {
    /// The factor; it opens nothing until `factor.activate`.
    pub factor: Factor,
    /// The secret in base 32, for typing in.
    pub secret: String,
    /// The same as `otpauth://…`, for a QR code.
    pub uri: String,
}

/// Begins to enrol an authenticator app for oneself.
pub static ENROL: Action<EnrolFactor, Enrolment> = Action {
    name: "factor.enrol",
    summary: "Begins to enrol an authenticator app for oneself; its secret is shown this once, and it counts once a code was right.",
    effect: Effect::Create,
    run: |tx, input| {
        let own = oneself(tx)?;
        let account = accounts::store::load(tx, own)?;
        let name = text::name(input.name.as_deref().unwrap_or("Authenticator"), "name")?;
        ensure_room(tx, account.id)?;
        let bytes = secret::random()?;
        let bytes = &bytes[..totp::SECRET_BYTES];
        let (id, now) = (FactorId::fresh(tx.ids(), tx.now), tx.now);
        let factor = Factor {
            id,
            account: account.id,
            kind: FactorKind::Totp,
            name,
            created_at: now,
            active_at: None,
            used_at: None,
        };
        let sealed = keys::installed(tx)?.seal(sealed_for(&id.to_string()), &hex::encode(bytes))?;
        store::delete_pending(tx, account.id)?;
        store::insert(tx, &factor, &sealed)?;
        touch(tx, id);
        let operator = tx.operator()?;
        let issuer = tenants::store::load(tx, operator)?.name;
        let secret = totp::base32(bytes);
        let uri = totp::uri(&issuer, &account.email, &secret);
        Ok(Enrolment { factor, secret, uri })
    },
};

/// The first code of a new factor.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ActivateFactor {
    /// Which.
    pub factor: FactorId,
    /// What the app shows now.
    pub code: Secret,
}

/// A factor that counts from now on.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Activated {
    /// The factor.
    pub factor: Factor,
    /// The recovery codes, shown this once; empty where there is a set already.
    pub recovery_codes: Vec<String>,
}

/// Confirms a factor by its first code.
pub static ACTIVATE: Action<ActivateFactor, Activated> = Action {
    name: "factor.activate",
    summary: "Confirms a new second factor by the code that it shows; with the first come recovery codes, shown this once.",
    effect: Effect::Change,
    run: |tx, input| {
        let own = oneself(tx)?;
        let account = accounts::store::load(tx, own)?;
        let now = tx.now;
        let (mut factor, sealed) = store::pending(tx, account.id, input.factor)?
            .filter(|(factor, _)| is_waiting(factor, now))
            .ok_or_else(|| absent(input.factor))?;
        let secret = open(&*keys::installed(tx)?, factor.id, &sealed)?;
        let step = totp::typed(input.code.reveal()).and_then(|code| totp::matching(&secret, &code, now, 0));
        let step = step.ok_or_else(|| {
            Error::invalid(
                "factor.code_wrong",
                "that is not the code that the app shows now; see that the clock of the device is right, and try the next",
            )
            .at("code")
        })?;
        if !store::activate(tx, factor.id, step, now)? {
            return Err(absent(input.factor));
        }
        (factor.active_at, factor.used_at) = (Some(now), Some(now));
        let codes = first_codes(tx, account.id)?;
        if let Some(session) = current(tx) {
            sessions::store::prove(tx, session, Strength::Code, now)?;
        }
        reach::changed(tx);
        touch(tx, factor.id);
        tell(tx, account.id, &added(&factor.name))?;
        Ok(Activated { factor, recovery_codes: codes })
    },
};

fn is_waiting(factor: &Factor, now: Timestamp) -> bool {
    micros(now) - micros(factor.created_at) < limits::ENROLMENT_SECONDS * 1_000_000
}

/// Which factor.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FactorRef {
    /// Its identifier.
    pub factor: FactorId,
}

/// Removes one of one's own factors; with the last one the recovery codes go.
pub static REMOVE: Action<FactorRef, Factors> = Action {
    name: "factor.remove",
    summary: "Removes one of one's own second factors; with the last one the recovery codes go, too.",
    effect: Effect::Delete,
    run: |tx, input| {
        let account = oneself(tx)?;
        touch(tx, input.factor);
        let before = store::of_account(tx, account)?;
        let gone = before.iter().find(|factor| factor.id == input.factor).ok_or_else(|| absent(input.factor))?;
        store::delete(tx, account, gone.id)?;
        if before.len() == 1 {
            store::delete_all(tx, account)?;
        }
        reach::changed(tx);
        tell(tx, account, &removed(&gone.name))?;
        Ok(Factors { factors: store::of_account(tx, account)?, recovery_codes_left: store::codes_left(tx, account)? })
    },
};

/// A new set of recovery codes.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryCodes {
    /// Shown this once; each works once.
    pub recovery_codes: Vec<String>,
}

/// Makes a new set of recovery codes for oneself; the old ones are void.
pub static RENEW: Action<Nothing, RecoveryCodes> = Action {
    name: "recoveryCode.renew",
    summary: "Makes a new set of recovery codes for oneself, shown this once; those of the old set are void.",
    effect: Effect::Change,
    run: |tx, _| {
        let account = oneself(tx)?;
        if !store::has_active(tx, account)? {
            return Err(Error::conflict("factor.none", "recovery codes stand in for a second factor; enrol one first"));
        }
        let tenant = tx.cx().tenant();
        tx.touch("account", &account.to_string(), tenant, 0);
        tell(tx, account, &renewed())?;
        Ok(RecoveryCodes { recovery_codes: new_codes(tx, account)? })
    },
};

/// Whose factors are to go, and why.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResetFactors {
    /// Whose.
    pub account: AccountId,
    /// How one knows that it is this person who asks; the person is told.
    pub reason: String,
}

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FactorsReset {
    /// Whose.
    pub account: AccountId,
    /// How many sessions were ended by it.
    pub sessions_closed: u64,
}

/// Takes all second factors from somebody who has lost them: who may manage the account does it.
pub static RESET: Action<ResetFactors, FactorsReset> = Action {
    name: "factor.reset",
    summary: "Takes all second factors and recovery codes from an account whose home is here, with a reason; ends its sessions and tells the person.",
    effect: Effect::Delete,
    run: |tx, input| {
        let account = accounts::actions::load_at_home(tx, "factor.reset", input.account)?.into_inner();
        if tx.cx().account() == Some(account.id) {
            return Err(Error::conflict(
                "factor.own",
                "one does not reset one's own factors: remove them, or ask another administrator",
            ));
        }
        let reason = input.reason.trim();
        if reason.is_empty() || reason.chars().count() > limits::NAME_CHARS_MAX {
            return Err(Error::invalid(
                "reason.missing",
                format!("say in up to {} characters how you know that it is this person", limits::NAME_CHARS_MAX),
            )
            .at("reason"));
        }
        let reason = text::shown(reason, limits::NAME_CHARS_MAX);
        if store::delete_all(tx, account.id)? == 0 {
            return Err(Error::conflict("factor.none", "this account has no second factor"));
        }
        let sessions_closed = sessions::store::delete_all(tx, account.id, None)?;
        reach::changed(tx);
        tell(tx, account.id, &was_reset(&reason))?;
        Ok(FactorsReset { account: account.id, sessions_closed })
    },
};

/// Whether the account may have one factor more.
pub(super) fn ensure_room(tx: &mut Tx<'_>, account: AccountId) -> Result<()> {
    if store::of_account(tx, account)?.len() < limits::FACTORS_PER_ACCOUNT_MAX {
        return Ok(());
    }
    let message =
        format!("an account has at most {} second factors; remove one first", limits::FACTORS_PER_ACCOUNT_MAX);
    Err(Error::exhausted("factor.too_many", message))
}

/// The recovery codes that come with the first factor; none where there is a set already.
pub(super) fn first_codes(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<String>> {
    match store::codes_left(tx, account)? {
        0 => new_codes(tx, account),
        _ => Ok(Vec::new()),
    }
}

fn new_codes(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<String>> {
    let codes = recovery::fresh()?;
    let hashes: Vec<[u8; 32]> =
        codes.iter().filter_map(|code| recovery::typed(code)).map(|code| recovery::hash(account, &code)).collect();
    store::set_codes(tx, account, &hashes)?;
    Ok(codes)
}

fn absent(id: FactorId) -> Error {
    Error::not_found("factor.not_found", format!("there is no second factor {id}, or it waited too long for its code"))
}

pub(super) fn touch(tx: &mut Tx<'_>, id: FactorId) {
    let tenant = tx.cx().tenant();
    tx.touch("factor", &id.to_string(), tenant, 0);
}

/// Tells somebody by mail what became of their factors: who did not do it themselves should know.
pub(super) fn tell(tx: &mut Tx<'_>, account: AccountId, notice: &Notice) -> Result<()> {
    mail::ask(tx, &Errand::Notice { account, notice: notice.clone() })
}

fn notice(en: (&str, String), zh: (&str, String)) -> Notice {
    let spoken = |(title, text): (&str, String)| Spoken { title: title.to_owned(), text };
    Notice { en: spoken(en), zh: spoken(zh), path: "/account/factors".to_owned() }
}

const NOT_ME_EN: &str = "If it was not you, change your password at once and tell your administrator.";
const NOT_ME_ZH: &str = "若不是您本人所為，請立即更換密碼並通知您的管理員。";

pub(super) fn added(name: &str) -> Notice {
    notice(
        (
            "Your account has a second factor",
            format!("“{name}” was added to your account: signing in asks for it from now on.\n\n{NOT_ME_EN}"),
        ),
        ("您的帳號已加上兩步驟驗證", format!("「{name}」已加入您的帳號，今後登入時需要它。\n\n{NOT_ME_ZH}")),
    )
}

fn removed(name: &str) -> Notice {
    notice(
        (
            "A second factor was removed from your account",
            format!("“{name}” was removed from your account.\n\n{NOT_ME_EN}"),
        ),
        ("您帳號的驗證方式已移除", format!("「{name}」已從您的帳號移除。\n\n{NOT_ME_ZH}")),
    )
}

fn renewed() -> Notice {
    notice(
        (
            "Your recovery codes were made anew",
            format!("New recovery codes were made for your account; the old ones are void.\n\n{NOT_ME_EN}"),
        ),
        ("您的復原碼已重新產生", format!("您的帳號有了新的復原碼，舊的已全部失效。\n\n{NOT_ME_ZH}")),
    )
}

fn was_reset(reason: &str) -> Notice {
    notice(
        (
            "Your second factors were reset",
            format!(
                "An administrator has taken the second factors and recovery codes from your account and ended your sessions. The reason given: {reason}\n\nIf you did not ask for it, tell your administrator at once."
            ),
        ),
        (
            "您的兩步驟驗證已重設",
            format!(
                "管理員已移除您帳號的驗證方式與復原碼，並結束您的所有登入。所填的原因：{reason}\n\n若您並未要求，請立即通知您的管理員。"
            ),
        ),
    )
}
