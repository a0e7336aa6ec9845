//! Signing in at a provider, and connecting an account with one.

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Kind, Result, limits};
use db::Conn;
use gate::keys::Keys;
use gate::{Action, Cx, Effect, Gate, Strength, Tx};
use serde::{Deserialize, Serialize};

use super::client::{self, Came};
use super::jwt::Claims;
use super::store::{self, Binding};
use super::{Errand, Provider, ProviderId, absent, over, rules, sealed_for};
use crate::accounts::{self, Account, AccountKind, AccountState};
use crate::passwords::attempts::{self, Subjects};
use crate::prepared::Prepared;
use crate::roles::actions::Nothing;
use crate::secret::{self, Of, Secret};
use crate::sessions::SessionId;
use crate::sessions::actions::{FactorNeeded, Opened, SignedIn, active, begin_proven, oneself};
use crate::sessions::sign_ins::{self, First};
use crate::{Fact, Removed, factors, reach, roles, service_accounts, sign_in_rules, tenants, text};

/// Where somebody wants to sign in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BeginAtProvider {
    /// At which provider.
    #[serde(default)]
    pub provider: Option<ProviderId>,
    /// Instead: at the one to which the domain of this mail address leads.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether they are to show anew there who they are, whatever the provider remembers of them: for what wants to
    /// know that it is they. Not looked at where an account is connected.
    #[serde(default)]
    pub anew: bool,
}

/// A way to a provider, for one browser.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AtProvider {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps meanwhile, to be sent with what comes back; shown this once.
    pub ticket: String,
    /// What people read of the provider.
    pub name: String,
    /// When it is too late.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// A way that was found, and what its browser will keep.
#[derive(Debug)]
pub struct Way {
    provider: Provider,
    url: String,
    ticket: String,
    hash: [u8; 32],
}

/// One answer for a provider that is not there, one that is off, and an address that leads to none.
fn nowhere() -> Error {
    Error::not_found("provider.none", "no identity provider is set up for that; sign in with your password")
}

/// What people read of a provider with which they sign in; nothing where there is none, or it is off. Whoever has its
/// identifier is told as much by [`BEGIN`].
///
/// # Errors
/// Those of the database.
pub async fn name_of(gate: &Gate, provider: ProviderId) -> Result<Option<String>> {
    let found = gate.db().read_async(move |conn| usable(conn, provider)).await?;
    Ok(found.map(|provider| provider.name))
}

/// A provider at which people can sign in: it is on, and its organisation is not closed.
fn usable(conn: &mut Conn<'_>, id: ProviderId) -> Result<Option<Provider>> {
    let Some(provider) = store::find(conn, id)?.filter(store::is_active) else { return Ok(None) };
    let path = tenants::store::load(conn, provider.tenant)?.path;
    Ok(tenants::store::closed(conn, &path)?.is_none().then_some(provider))
}

fn find(gate: &Gate, input: &BeginAtProvider) -> Result<Provider> {
    let (id, email) = (input.provider, input.email.clone());
    let found = gate.db().read(move |conn| {
        let id = match (id, email.as_deref().and_then(rules::domain_of)) {
            (Some(id), _) => Some(id),
            (None, Some(domain)) => store::of_domain(conn, &domain)?,
            (None, None) => None,
        };
        id.map_or(Ok(None), |id| usable(conn, id))
    })?;
    found.ok_or_else(nowhere)
}

fn way(gate: &Gate, provider: Provider, of: Of) -> Result<Way> {
    let (ticket, _) = secret::mint(of)?;
    let errand = Errand(ticket.clone());
    let url = client::installed(gate)?.sign_in_url(&provider, &errand, of == Of::Anew, gate.now())?;
    Ok(Way { provider, url, ticket, hash: errand.hash() })
}

fn begin_way(tx: &mut Tx<'_>, way: &Way, bound: &str) -> Result<AtProvider> {
    let now = tx.now;
    let expires_at = store::begin(tx, &way.hash, way.provider.id, bound, now)?;
    let (url, ticket, name) = (way.url.clone(), way.ticket.clone(), way.provider.name.clone());
    Ok(AtProvider { url, ticket, name, expires_at })
}

/// For what a sign-in by nobody yet is bound.
const NOBODY: &str = "";

/// Begins to sign in at a provider.
pub static BEGIN: Prepared<BeginAtProvider, Way, AtProvider> = Prepared {
    name: "session.begin_provider",
    summary: "Begins to sign in at an identity provider: by its identifier, or by the domain of a mail address. Says nothing of whether there is an account.",
    // A row that is gone in ten minutes and that nobody asks after: no entry of the audit log.
    effect: Effect::Report,
    prepare: |gate, cx, input| {
        attempts::admit(gate, &Subjects::at_providers(cx))?;
        let provider = find(gate, &input)?;
        way(gate, provider, if input.anew { Of::Anew } else { Of::AtProvider })
    },
    run: |tx, way| begin_way(tx, way, NOBODY),
};

/// What came back from a provider.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CameBack {
    /// From which provider: the one that the address names to which the browser came back.
    pub provider: ProviderId,
    /// What the browser kept.
    pub ticket: Secret,
    /// `state`, as it came.
    pub state: Secret,
    /// `code`, as it came.
    pub code: Secret,
    /// `iss`, where it came (RFC 9207).
    #[serde(default)]
    pub iss: Option<String>,
    /// What the browser says of itself; filled in by the server.
    #[serde(default)]
    pub user_agent: String,
}

/// What a provider said of somebody.
#[derive(Debug)]
pub struct Said {
    provider: ProviderId,
    claims: Claims,
    user_agent: String,
}

/// Asks the provider about whoever came back, for what was begun for `bound`. That is used up first: who sends it again
/// and again asks the provider once.
fn said(gate: &Gate, input: CameBack, of: Of, bound: String) -> Result<Said> {
    let errand = Errand::of(&input.ticket, of)?;
    if !secret::equal(input.state.reveal(), &errand.state()) {
        return Err(over());
    }
    let (hash, now, from) = (errand.hash(), gate.now(), input.provider);
    let begun = gate.db().write(move |conn| store::end(conn, &hash, &bound, now))?;
    let (id, began_at) = begun.ok_or_else(over)?;
    // Each has an address of its own to send people back to, and knows no other: what came to another one is another
    // provider's, and is sent to none.
    if id != from {
        return Err(client::mixed_up());
    }
    let (provider, sealed) = gate.db().read(move |conn| {
        let provider = usable(conn, id)?.ok_or_else(nowhere)?;
        Ok((provider, store::secret(conn, id)?))
    })?;
    let secret = opened(gate, &provider, &sealed)?;
    let came = Came { code: input.code.reveal(), issuer: input.iss.as_deref() };
    let claims = client::installed(gate)?.claims(&provider, &secret, &came, &errand, now)?;
    rules::within_domains(&provider, &claims)?;
    if of == Of::Anew {
        rules::shown_since(&claims, began_at)?;
    }
    Ok(Said { provider: provider.id, claims, user_agent: input.user_agent })
}

fn opened(gate: &Gate, provider: &Provider, sealed: &str) -> Result<String> {
    if sealed.is_empty() {
        return Ok(String::new());
    }
    let keys = gate.installed::<Keys>();
    let keys = keys.ok_or_else(|| Error::bug("master.absent", "no master key was installed in this gate"))?;
    keys.unseal(sealed_for(&provider.id.to_string()), sealed)
}

/// The provider, once more: nothing was settled otherwise meanwhile.
fn still(tx: &mut Tx<'_>, said: &Said) -> Result<Provider> {
    usable(tx, said.provider)?.ok_or_else(nowhere)
}

/// Signs in with what a provider said.
pub static OPEN: Prepared<CameBack, Said, Opened> = Prepared {
    name: "session.open_provider",
    summary: "Signs in with what came back from an identity provider; where the account has a second factor here that the provider's does not stand for, gives a ticket for session.confirm.",
    effect: Effect::Create,
    prepare: |gate, _, input| {
        let anew = secret::looks_like(Of::Anew, input.ticket.reveal());
        said(gate, input, if anew { Of::Anew } else { Of::AtProvider }, NOBODY.to_owned())
    },
    run: |tx, said| {
        let provider = still(tx, said)?;
        let account = active(known_or_made(tx, &provider, &said.claims)?)?;
        let (now, subjects) = (tx.now, Subjects::at_providers(tx.cx()));
        attempts::forgive(tx, &subjects)?;
        store::used(tx, provider.id, said.claims.subject(), now)?;
        let two = rules::says_two_factors(&provider.settings, &said.claims)
            && sign_in_rules::of_account(tx, account.id)?.provider_factors;
        if !two && factors::store::has_active(tx, account.id)? {
            let user_agent = text::shown(&said.user_agent, limits::NAME_CHARS_MAX);
            let (ticket, expires_at) = sign_ins::begin(tx, account.id, First::Provider, &user_agent, now)?;
            tx.touch("account", &account.id.to_string(), account.home, 0);
            return Ok(Opened::FactorNeeded(FactorNeeded { ticket, expires_at }));
        }
        let strength = if two { Strength::ProviderFactor } else { Strength::Provider };
        // Somebody whom the provider remembers has shown nothing lately; and where it does not say when they did,
        // they never have.
        let shown_at = said.claims.shown_at().map_or(Timestamp::UNIX_EPOCH, |at| at.min(now));
        let signed_in: SignedIn = begin_proven(tx, account, &said.user_agent, strength, shown_at)?;
        Ok(Opened::SignedIn(Box::new(signed_in)))
    },
};

/// The account that the provider knows by that name, or a new one.
fn known_or_made(tx: &mut Tx<'_>, provider: &Provider, claims: &Claims) -> Result<Account> {
    match store::binding(tx, provider.id, claims.subject())? {
        Some(binding) => {
            let account = accounts::store::load(tx, binding.account)?;
            if binding.made && account.state == AccountState::Active {
                give_roles(tx, provider, &account, claims)?;
            }
            Ok(account)
        }
        None => make(tx, provider, claims),
    }
}

/// An account for somebody who comes first. Never one that is there already: an address is no proof to us.
fn make(tx: &mut Tx<'_>, provider: &Provider, claims: &Claims) -> Result<Account> {
    let unknown = || {
        Error::forbidden(
            "provider.no_account",
            "nobody here is connected with that sign-in: sign in with your password and connect it under “Your account”, or ask an administrator of your organisation",
        )
    };
    if store::is_shut_out(tx, provider.id, claims.subject())? {
        return Err(Error::forbidden(
            "provider.removed",
            "you were removed from this organisation; an administrator there can invite you again, and you connect your account with this sign-in then",
        ));
    }
    let address = rules::address_to_make(provider, claims).filter(|_| provider.settings.makes_accounts);
    let email = text::email(address.ok_or_else(unknown)?)?;
    if accounts::store::by_email(tx, &email.key)?.is_some() {
        return Err(unknown());
    }
    let home = tenants::store::load(tx, provider.tenant)?;
    let now = tx.now;
    let name = claims.text("name").and_then(|name| text::name(name, "name").ok());
    let account = Account {
        id: AccountId::fresh(tx.ids(), now),
        home: home.id,
        kind: AccountKind::Person,
        name: name.unwrap_or_else(|| email.shown.clone()),
        email: email.shown.clone(),
        locale: home.locale,
        state: AccountState::Active,
        created_at: now,
        signed_in_at: None,
    };
    accounts::store::insert(tx, &account, &email)?;
    store::bind(tx, provider.id, claims.subject(), Binding { account: account.id, made: true }, now)?;
    give_roles(tx, provider, &account, claims)?;
    if roles::store::of_account(tx, account.id)?.is_empty() {
        return Err(Error::forbidden(
            "provider.no_role",
            "your identity provider gives you no role here; ask an administrator of your organisation",
        ));
    }
    tx.fact(Fact::AccountJoined { account: account.id.to_string() }, home.id)?;
    Ok(account)
}

/// Gives an account that was made for a provider the roles that follow from what it says, and takes those that
/// it gave before and no longer does. What people gave it stays.
fn give_roles(tx: &mut Tx<'_>, provider: &Provider, account: &Account, claims: &Claims) -> Result<()> {
    let wanted = rules::roles_for(&provider.settings, claims);
    let (by, now, tenant) = (provider.id.to_string(), tx.now, provider.tenant);
    let held = roles::store::held(tx, account.id, tenant)?;
    let given = store::given(tx, account.id, tenant, &by)?;
    for role in wanted.iter().filter(|role| !held.contains(role)) {
        roles::store::insert(tx, account.id, tenant, role, &by, now)?;
        tx.fact(Fact::RoleGranted { account: account.id.to_string(), role: role.clone() }, tenant)?;
    }
    let mut going = given.iter().filter(|role| !wanted.contains(*role)).peekable();
    let any = going.peek().is_some();
    going.try_for_each(|role| take_role(tx, provider, account.id, role))?;
    if any {
        service_accounts::tell_without_owner(tx, account.id)?;
    }
    // One who has none any more is let in, to nothing: refused, they would keep what they had for their tokens.
    reach::changed(tx);
    Ok(())
}

/// Takes a role back that a provider gave. The last owner stays one, whatever a provider says: people settle who is
/// next.
fn take_role(tx: &mut Tx<'_>, provider: &Provider, account: AccountId, role: &str) -> Result<()> {
    match roles::store::keep_one(tx, provider.tenant, role, account) {
        Ok(()) => {}
        Err(e) if e.kind() == Kind::Conflict => return Ok(()),
        Err(e) => return Err(e),
    }
    roles::store::delete(tx, account, provider.tenant, role)?;
    tx.fact(Fact::RoleRevoked { account: account.to_string(), role: role.to_owned() }, provider.tenant)
}

/// Takes all roles back that a provider gave: it goes, and nobody would say any more who still has them.
pub(super) fn take_roles(tx: &mut Tx<'_>, provider: &Provider) -> Result<()> {
    for (account, role) in store::given_by(tx, provider)? {
        take_role(tx, provider, account, &role)?;
        service_accounts::tell_without_owner(tx, account)?;
    }
    reach::changed(tx);
    Ok(())
}

/// The account and the session of whoever connects: a person, by hand.
fn connecting(cx: &Cx) -> Result<(AccountId, String)> {
    let account = cx.account().ok_or_else(|| Error::unauthenticated("session.required", "sign in to do this"))?;
    match cx.session().filter(|text| text.parse::<SessionId>().is_ok()) {
        Some(session) => Ok((account, session.to_owned())),
        None => Err(Error::conflict("provider.by_hand", "an account is connected by its person, signed in to it")),
    }
}

/// Begins to connect one's account with a provider of its home, or above that.
pub static CONNECT: Prepared<BeginAtProvider, (Way, String), AtProvider> = Prepared {
    name: "identityLink.begin",
    summary: "Begins to connect one's own account with an identity provider of the organisation that answers for it.",
    effect: Effect::Report,
    prepare: |gate, cx, input| {
        let (account, session) = connecting(cx)?;
        let provider = find(gate, &input)?;
        let tenant = provider.tenant;
        let answers = gate.db().read(move |conn| {
            let home = accounts::store::load(conn, account)?.home;
            Ok(tenants::store::load(conn, home)?.path.contains(&tenant))
        })?;
        if !answers {
            return Err(nowhere());
        }
        Ok((way(gate, provider, Of::Connecting)?, session))
    },
    run: |tx, (way, session)| begin_way(tx, way, session),
};

/// An account's part at a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Connection {
    /// The provider.
    pub provider: ProviderId,
    /// What people read of it.
    pub name: String,
    /// Since when the account is connected with it; nothing where it could be.
    #[schemars(with = "Option<String>")]
    pub bound_at: Option<Timestamp>,
    /// When somebody last signed in so.
    #[schemars(with = "Option<String>")]
    pub used_at: Option<Timestamp>,
}

/// Who is signed in stays so, whatever a provider said.
fn here(error: Error) -> Error {
    match error.kind() {
        Kind::Unauthenticated => Error::conflict(error.code().to_owned(), error.message().to_owned()),
        _ => error,
    }
}

/// Connects one's account with what a provider said.
pub static COMPLETE: Prepared<CameBack, Said, Connection> = Prepared {
    name: "identityLink.complete",
    summary: "Connects one's own account with what came back from an identity provider, in the session in which that was begun.",
    effect: Effect::Create,
    prepare: |gate, cx, input| {
        let (_, session) = connecting(cx)?;
        said(gate, input, Of::Connecting, session).map_err(here)
    },
    run: |tx, said| {
        let account = oneself(tx)?;
        let provider = still(tx, said)?;
        let now = tx.now;
        store::bind(tx, provider.id, said.claims.subject(), Binding { account, made: false }, now)?;
        store::let_in_again(tx, provider.id, said.claims.subject())?;
        tx.touch("account", &account.to_string(), provider.tenant, 0);
        Ok(Connection { provider: provider.id, name: provider.name, bound_at: Some(now), used_at: None })
    },
};

/// Lists the providers that one's account is connected with, or could be.
pub static CONNECTED: Action<Nothing, Vec<Connection>> = Action {
    name: "identityLink.list",
    summary: "Lists the identity providers that one's own account is connected with, and those it could be.",
    effect: Effect::Read,
    run: |tx, _| {
        let own = oneself(tx)?;
        let home = accounts::store::load(tx, own)?.home;
        let mut found = Vec::new();
        for tenant in tenants::store::load(tx, home)?.path {
            for provider in store::list(tx, tenant)? {
                let connected = store::connected(tx, provider.id, own)?;
                if connected.is_none() && !store::is_active(&provider) {
                    continue;
                }
                let (bound_at, used_at) = connected.map_or((None, None), |one| (Some(one.bound_at), one.used_at));
                found.push(Connection { provider: provider.id, name: provider.name, bound_at, used_at });
            }
        }
        Ok(found)
    },
};

/// Ends what connects one's account with a provider.
pub static DISCONNECT: Action<super::actions::ProviderRef, Removed> = Action {
    name: "identityLink.remove",
    summary: "Ends what connects one's own account with an identity provider; not where that made the account, or wants no passwords beside it.",
    effect: Effect::Delete,
    run: |tx, input| {
        let own = oneself(tx)?;
        let provider = store::find(tx, input.provider)?.ok_or_else(|| absent(input.provider))?;
        let Some(connected) = store::connected(tx, provider.id, own)? else { return Err(absent(provider.id)) };
        // The organisation says by it who its people are, and in what way they come in: none of them ends that alone.
        if connected.made || (store::is_active(&provider) && !provider.settings.passwords) {
            let message =
                format!("your organisation wants you to sign in with {}; ask an administrator", provider.name);
            return Err(Error::conflict("provider.kept", message));
        }
        if accounts::store::password(tx, own)?.is_none() {
            let message = "you sign in with nothing else; set a password first, by “Forgotten your password?”";
            return Err(Error::conflict("provider.only_way", message));
        }
        if !store::unbind(tx, provider.id, own)? {
            return Err(absent(input.provider));
        }
        let home = tx.cx().tenant();
        tx.touch("account", &own.to_string(), home, 0);
        Ok(Removed { left: false })
    },
};
