//! Enrolling a passkey, and the challenges that are answered with one.

use base::id::AccountId;
use base::{Error, Result, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate::{Action, AnyAction, Effect, Strength, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verify::{ALGORITHMS, Registration};
use super::{Bound, Purpose, RelyingParty, party, refused, store};
use crate::factors::actions::{Activated, added, ensure_room, first_codes, tell, touch};
use crate::factors::{self, Factor, FactorId, FactorKind};
use crate::passwords::attempts::Once;
use crate::prepared::Prepared;
use crate::secret::{self, Secret};
use crate::sessions::actions::{SignedIn, active, begin, current, oneself};
use crate::{accounts, reach, sessions, tenants, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&ENROL, &REGISTER, &CHALLENGE, &OPEN];

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn fresh_challenge(tx: &mut Tx<'_>, bound: &Bound) -> Result<String> {
    let (challenge, now) = (secret::random()?, tx.now);
    store::keep(tx, &challenge, bound, now)?;
    Ok(encoded(&challenge))
}

/// Names a credential (`PublicKeyCredentialDescriptor`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyDescriptor")]
pub struct Named {
    /// Its identifier, base64url.
    pub id: String,
    /// Always `public-key`.
    pub r#type: String,
}

fn named(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<Named>> {
    let all = store::of_account(tx, account)?;
    Ok(all.iter().map(|id| Named { id: encoded(id), r#type: "public-key".to_owned() }).collect())
}

/// Nothing to say: who enrols is who is signed in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolPasskey {}

/// The relying party, as browsers are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyParty")]
pub struct Party {
    /// The name that credentials are held to.
    pub id: String,
    /// The operator's name, for people.
    pub name: String,
}

/// Whose credential it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyUser")]
pub struct User {
    /// The account's identifier as bytes, base64url.
    pub id: String,
    /// The mail address.
    pub name: String,
    /// What the person is called.
    pub display_name: String,
}

/// A kind of key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyParameter")]
pub struct Parameter {
    /// Always `public-key`.
    pub r#type: String,
    /// COSE's number of the algorithm.
    pub alg: i64,
}

/// What the authenticator should be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeySelection")]
pub struct Selection {
    /// Whether it should know the account by itself.
    pub resident_key: String,
    /// Whether it should make sure who uses it.
    pub user_verification: String,
}

/// What a browser needs to make a credential (`PublicKeyCredentialCreationOptionsJSON`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyCreation")]
pub struct Creation {
    /// For whom.
    pub rp: Party,
    /// Whose.
    pub user: User,
    /// What is to be answered, base64url; once, within five minutes, in this session.
    pub challenge: String,
    /// Kinds of key that are taken, the dearest first.
    pub pub_key_cred_params: Vec<Parameter>,
    /// Those that are enrolled already.
    pub exclude_credentials: Vec<Named>,
    /// What the authenticator should be like.
    pub authenticator_selection: Selection,
    /// Always `none`: who made the authenticator is not asked.
    pub attestation: String,
    /// How long the browser may wait, in milliseconds.
    pub timeout: i64,
}

fn in_session(tx: &Tx<'_>, purpose: Purpose) -> Result<Bound> {
    let session = current(tx).ok_or_else(|| {
        Error::conflict("session.none", "only somebody who is signed in by hand enrols and shows a passkey")
    })?;
    Ok(Bound::session(purpose, session))
}

/// Begins to enrol a passkey for oneself.
pub static ENROL: Action<EnrolPasskey, Creation> = Action {
    name: "factor.enrol_passkey",
    summary: "Begins to enrol a passkey or security key for oneself: what the browser needs to make one.",
    effect: Effect::Create,
    run: |tx, _| {
        let (own, party) = (oneself(tx)?, party(tx)?);
        let bound = in_session(tx, Purpose::Enrol)?;
        let account = accounts::store::load(tx, own)?;
        ensure_room(tx, own)?;
        let operator = tx.operator()?;
        let name = tenants::store::load(tx, operator)?.name;
        let tenant = tx.cx().tenant();
        tx.touch("account", &own.to_string(), tenant, 0);
        Ok(Creation {
            rp: Party { id: party.id.clone(), name },
            user: User { id: encoded(own.to_string().as_bytes()), name: account.email, display_name: account.name },
            challenge: fresh_challenge(tx, &bound)?,
            pub_key_cred_params: ALGORITHMS.map(|alg| Parameter { r#type: "public-key".to_owned(), alg }).to_vec(),
            exclude_credentials: named(tx, own)?,
            authenticator_selection: Selection {
                resident_key: "preferred".to_owned(),
                user_verification: "preferred".to_owned(),
            },
            attestation: "none".to_owned(),
            timeout: limits::PASSKEY_SECONDS * 1_000,
        })
    },
};

/// A credential that was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterPasskey {
    /// What to call it, for example `Laptop`; a name is made where it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// What the browser gave (`RegistrationResponseJSON`), as text.
    pub credential: String,
}

/// Takes the passkey that a browser made.
pub static REGISTER: Action<RegisterPasskey, Activated> = Action {
    name: "factor.register_passkey",
    summary: "Takes the passkey that a browser made for oneself; it counts from now on. With the first factor come recovery codes, shown this once.",
    effect: Effect::Create,
    run: |tx, input| {
        let (own, party, now) = (oneself(tx)?, party(tx)?, tx.now);
        let bound = in_session(tx, Purpose::Enrol)?;
        let name = text::name(input.name.as_deref().unwrap_or("Passkey"), "name")?;
        ensure_room(tx, own)?;
        let answer = Registration::read(&input.credential)?;
        let challenge = answer.challenge()?;
        if !store::take(tx, &challenge, &bound, now)? {
            return Err(wrong_here(refused()));
        }
        let new = answer.verify(&party, &challenge).map_err(wrong_here)?;
        let id = FactorId::fresh(tx.ids(), now);
        let factor = Factor {
            id,
            account: own,
            kind: FactorKind::Passkey,
            name,
            created_at: now,
            active_at: Some(now),
            used_at: Some(now),
        };
        // What opens it lies in the authenticator; there is nothing to seal.
        factors::store::insert(tx, &factor, "")?;
        store::insert(tx, id, own, &new.id, &new.key, new.counter)?;
        let recovery_codes = first_codes(tx, own)?;
        if let Some(session) = current(tx) {
            let alone = tx.cx().proof().is_some_and(|proof| proof.strength == Strength::Passkey);
            // A session that a passkey alone opened stays proven as strongly as it was.
            if !alone {
                sessions::store::prove(tx, session, Strength::Key, now)?;
            }
        }
        reach::changed(tx);
        touch(tx, id);
        tell(tx, own, &added(&factor.name))?;
        Ok(Activated { factor, recovery_codes })
    },
};

/// Who is signed in stays so: what is wrong is what was sent.
fn wrong_here(error: Error) -> Error {
    match error.code() {
        "passkey.refused" => Error::forbidden("passkey.refused", error.message().to_owned()),
        _ => error,
    }
}

/// What a challenge is for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskPasskey {
    /// The ticket of `session.open`, where the password was shown. Without one: for a fresh proof, where
    /// one is signed in, else for signing in with a passkey alone.
    #[serde(default)]
    pub ticket: Option<Secret>,
    /// For signing in anew, though one is signed in.
    #[serde(default)]
    pub anew: bool,
}

/// What a browser needs to use a credential (`PublicKeyCredentialRequestOptionsJSON`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyRequest")]
pub struct Request {
    /// The name that credentials are held to.
    pub rp_id: String,
    /// What is to be answered, base64url; once, within five minutes.
    pub challenge: String,
    /// Which will do; empty where the person chooses among those that the browser knows.
    pub allow_credentials: Vec<Named>,
    /// Whether the authenticator makes sure who uses it: `required` or `preferred`.
    pub user_verification: String,
    /// How long the browser may wait, in milliseconds.
    pub timeout: i64,
}

/// Draws a challenge to be answered with a passkey.
pub static CHALLENGE: Action<AskPasskey, Request> = Action {
    name: "session.passkey_challenge",
    summary: "Draws a challenge for a passkey: for signing in with it alone, after the password (with the ticket), or for a fresh proof.",
    // A row that is gone in five minutes and that nobody asks after: no entry of the audit log.
    effect: Effect::Report,
    run: |tx, input| {
        let (party, now) = (party(tx)?, tx.now);
        let own = tx.cx().account().filter(|_| !input.anew);
        let (bound, account) = match (&input.ticket, own) {
            (Some(ticket), _) => (Bound::ticket(ticket), Some(sessions::sign_ins::find(tx, ticket, now)?.account)),
            (None, Some(account)) => (in_session(tx, Purpose::StepUp)?, Some(account)),
            (None, None) => (Bound::nobody(), None),
        };
        request(tx, &party, &bound, account)
    },
};

fn request(tx: &mut Tx<'_>, party: &RelyingParty, bound: &Bound, account: Option<AccountId>) -> Result<Request> {
    let allowed = account.map(|account| named(tx, account)).transpose()?;
    if allowed.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::conflict("passkey.none", "this account has no passkey; use a code, or a recovery code"));
    }
    let alone = allowed.is_none() || tx.cx().proof().is_some_and(|proof| proof.strength == Strength::Passkey);
    Ok(Request {
        rp_id: party.id.clone(),
        challenge: fresh_challenge(tx, bound)?,
        allow_credentials: allowed.unwrap_or_default(),
        user_verification: if alone { "required" } else { "preferred" }.to_owned(),
        timeout: limits::PASSKEY_SECONDS * 1_000,
    })
}

/// A passkey's answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OpenWithPasskey {
    /// What the browser gave (`AuthenticationResponseJSON`), as text.
    pub credential: String,
    /// What the browser says of itself; filled in by the server.
    #[serde(default)]
    pub user_agent: String,
}

/// An answer, and whether the log was told that it does not count.
#[derive(Debug)]
pub struct Opening {
    input: OpenWithPasskey,
    logged: Once,
}

/// Signs in with a passkey alone.
pub static OPEN: Prepared<OpenWithPasskey, Opening, SignedIn> = Prepared {
    name: "session.open_passkey",
    summary: "Signs in with a passkey alone, where the authenticator made sure who used it.",
    effect: Effect::Create,
    prepare: |_, _, input| Ok(Opening { input, logged: Once::default() }),
    run: |tx, Opening { input, logged }| {
        let taken = super::take(tx, None, &input.credential, &Bound::nobody())
            .inspect_err(|error| super::log_refusal(logged, tx.cx(), error))?;
        let account = accounts::store::load(tx, taken.account)?;
        tx.touch("account", &account.id.to_string(), account.home, 0);
        if !taken.verified {
            return Err(refused()).inspect_err(|error| super::log_refusal(logged, tx.cx(), error));
        }
        let account = active(account)?;
        begin(tx, account, &input.user_agent, Strength::Passkey)
    },
};
