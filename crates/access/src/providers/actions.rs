//! Setting a tenant's identity providers up.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Relation, Tx, keys};
use serde::{Deserialize, Serialize};

use super::{Domain, Provider, ProviderId, ProviderState, Settings, absent, client, rules, sealed_for, sign_in, store};
use crate::prepared::Prepared;
use crate::secret::Secret;
use crate::tenants::{self, Tenant};
use crate::{Removed, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &CREATE,
    &LIST,
    &GET,
    &UPDATE,
    &SET_SECRET,
    &CONFIRM_DOMAIN,
    &REMOVE,
    &sign_in::BEGIN,
    &sign_in::OPEN,
    &sign_in::CONNECT,
    &sign_in::CONNECTED,
    &sign_in::COMPLETE,
    &sign_in::DISCONNECT,
];

/// The kind, in audit and policies.
pub const KIND: &str = "identityProvider";

/// A provider that is to be set up.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewProvider {
    /// Whose; the acting tenant's where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// What people read on the button.
    pub name: String,
    /// Its issuer, exactly as its discovery document says it.
    pub issuer: String,
    /// As whom the platform is known there.
    pub client_id: String,
    /// The mail domains of its people.
    #[serde(default)]
    pub domains: Vec<String>,
    /// What else is settled about it.
    #[serde(default)]
    pub settings: Settings,
}

/// A provider whose document was read.
#[derive(Debug)]
pub struct Looked {
    input: NewProvider,
    issuer: String,
}

/// Sets an identity provider up.
pub static CREATE: Prepared<NewProvider, Looked, Provider> = Prepared {
    name: "identityProvider.create",
    summary: "Sets an identity provider (OpenID Connect) of a tenant up, once its discovery document reads. It is off until it has its client's secret and is switched on.",
    effect: Effect::Create,
    prepare: |gate, cx, input| {
        // Nobody has us ask an address who may not set a provider up.
        gate.check_allowed(cx, "identityProvider.create")?;
        let tenant = input.tenant.unwrap_or(cx.tenant());
        if !matches!(cx.relation(tenant), Relation::Own | Relation::Below) {
            return Err(tenants::store::absent(tenant));
        }
        let client = client::installed(gate)?;
        let issuer = client.issuer(&input.issuer)?;
        client.look(tenant, &issuer, gate.now()).map_err(|e| e.at("issuer"))?;
        Ok(Looked { input, issuer })
    },
    run: |tx, Looked { input, issuer }| {
        let tenant = place(tx, "identityProvider.create", input.tenant)?;
        rules::settings(&input.settings, tx.cx().roles(), tenant.kind)?;
        let domains = rules::domains(&input.domains)?;
        if store::list(tx, tenant.id)?.len() >= limits::PROVIDERS_PER_TENANT_MAX {
            let message =
                format!("an organisation has at most {} identity providers", limits::PROVIDERS_PER_TENANT_MAX);
            return Err(Error::exhausted("provider.too_many", message));
        }
        let client_id = text::name(&input.client_id, "client_id")?;
        let provider = Provider {
            id: ProviderId::fresh(tx.ids(), tx.now),
            tenant: tenant.id,
            name: text::name(&input.name, "name")?,
            issuer: issuer.clone(),
            client_id,
            redirect: String::new(),
            has_secret: false,
            settings: input.settings.clone(),
            domains: Vec::new(),
            // Who comes in, and as what, is looked at before anybody does.
            state: ProviderState::Off,
            revision: 1,
            created_at: tx.now,
        };
        store::insert(tx, &provider)?;
        store::set_domains(tx, provider.id, &domains)?;
        tx.about(KIND, &provider.id.to_string(), 0);
        stored(tx, provider.id)
    },
};

fn place(tx: &mut Tx<'_>, action: &str, wanted: Option<TenantId>) -> Result<Tenant> {
    let here = tx.cx().tenant();
    let tenant = tenants::store::load(tx, wanted.unwrap_or(here))?;
    let (id, owner) = (tenant.id.to_string(), tenant.id);
    Ok(tx.grant(action, "tenant", &id, owner, Class::Internal, tenant)?.into_inner())
}

/// A provider that the actor may use so.
fn load(tx: &mut Tx<'_>, action: &str, id: ProviderId) -> Result<Provider> {
    let provider = store::find(tx, id)?.ok_or_else(|| absent(id))?;
    let owner = provider.tenant;
    Ok(tx.grant(action, KIND, &id.to_string(), owner, Class::Internal, provider)?.into_inner())
}

/// A provider as it is shown: with the address that it must send people back to.
fn shown(tx: &Tx<'_>, mut provider: Provider) -> Provider {
    let client = tx.installed::<client::Client>();
    provider.redirect = client.map(|client| client.redirect(provider.id)).unwrap_or_default();
    provider
}

/// A provider as it was just written.
fn stored(tx: &mut Tx<'_>, id: ProviderId) -> Result<Provider> {
    let provider = store::find(tx, id)?.ok_or_else(|| absent(id))?;
    Ok(shown(tx, provider))
}

/// Whose providers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProvidersOf {
    /// Of which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// The providers of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Providers {
    /// All of them.
    pub items: Vec<Provider>,
}

/// Lists the identity providers of a tenant.
pub static LIST: Action<ProvidersOf, Providers> = Action {
    name: "identityProvider.list",
    summary: "Lists the identity providers of a tenant, each with the address that it must send people back to.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = place(tx, "identityProvider.list", input.tenant)?;
        let items = store::list(tx, tenant.id)?;
        Ok(Providers { items: items.into_iter().map(|one| shown(tx, one)).collect() })
    },
};

/// Which provider.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProviderRef {
    /// The identifier.
    pub provider: ProviderId,
}

/// Reads an identity provider.
pub static GET: Action<ProviderRef, Provider> = Action {
    name: "identityProvider.get",
    summary: "Reads an identity provider, without its client's secret.",
    effect: Effect::Read,
    run: |tx, input| {
        let provider = load(tx, "identityProvider.get", input.provider)?;
        Ok(shown(tx, provider))
    },
};

/// What is to be changed; what is left out stays, but for the settings, which are given as a whole.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateProvider {
    /// Which.
    pub provider: ProviderId,
    /// What people read on the button.
    #[serde(default)]
    pub name: Option<String>,
    /// The mail domains of its people; those that stay keep their confirmation.
    #[serde(default)]
    pub domains: Option<Vec<String>>,
    /// What else is settled about it.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// Whether people sign in with it.
    #[serde(default)]
    pub state: Option<ProviderState>,
    /// The revision that the change was made on: of two who change it at once, the second is told.
    #[serde(default)]
    pub revision: Option<i64>,
}

/// Changes an identity provider.
pub static UPDATE: Action<UpdateProvider, Provider> = Action {
    name: "identityProvider.update",
    summary: "Changes an identity provider: domains, whose accounts it makes, which roles its groups give, whether passwords stay; or switches it off.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut provider = load(tx, "identityProvider.update", input.provider)?;
        if input.revision.is_some_and(|revision| revision != provider.revision) {
            let message = format!("the provider is at revision {} by now; look at it again", provider.revision);
            return Err(Error::stale("identityProvider.stale", message));
        }
        if let Some(name) = &input.name {
            provider.name = text::name(name, "name")?;
        }
        if let Some(settings) = &input.settings {
            let tenant = tenants::store::load(tx, provider.tenant)?;
            rules::settings(settings, tx.cx().roles(), tenant.kind)?;
            provider.settings = settings.clone();
        }
        provider.state = input.state.unwrap_or(provider.state);
        store::update(tx, &provider)?;
        if let Some(domains) = &input.domains {
            store::set_domains(tx, provider.id, &rules::domains(domains)?)?;
        }
        stored(tx, provider.id)
    },
};

/// The client's secret.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SetSecret {
    /// Of which provider.
    pub provider: ProviderId,
    /// The secret, as the provider gave it; empty for a client that has none.
    pub secret: Secret,
}

/// Sets the client's secret.
pub static SET_SECRET: Action<SetSecret, Provider> = Action {
    name: "identityProvider.set_secret",
    summary: "Sets the client's secret of an identity provider; it is kept sealed and never shown.",
    effect: Effect::Change,
    run: |tx, input| {
        let provider = load(tx, "identityProvider.set_secret", input.provider)?;
        let secret = input.secret.reveal();
        if secret.len() > limits::CLIENT_SECRET_BYTES_MAX || secret.chars().any(char::is_control) {
            let message = "that is no client secret: it is too long, or has characters that cannot be typed";
            return Err(Error::invalid("provider.secret", message).at("secret"));
        }
        let sealed = match secret.is_empty() {
            true => String::new(),
            false => keys::installed(tx)?.seal(sealed_for(&provider.id.to_string()), secret)?,
        };
        store::set_secret(tx, provider.id, &sealed)?;
        stored(tx, provider.id)
    },
};

/// A domain of a provider.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DomainOf {
    /// Of which provider.
    pub provider: ProviderId,
    /// The domain.
    pub domain: String,
}

/// Confirms that a mail domain is a tenant's.
pub static CONFIRM_DOMAIN: Action<DomainOf, Domain> = Action {
    name: "identityProvider.confirm_domain",
    summary: "Confirms, as the operator, that a mail domain is the tenant's: its addresses lead to the provider from then on, which may make accounts for them.",
    effect: Effect::Change,
    run: |tx, input| {
        let provider = load(tx, "identityProvider.confirm_domain", input.provider)?;
        let domain = input.domain.trim().to_ascii_lowercase();
        let (by, now) = (tx.cx().actor().to_string(), tx.now);
        if !store::confirm(tx, provider.id, &domain, &by, now)? {
            let message = "that provider does not name the domain; its organisation adds it first";
            return Err(Error::not_found("provider.domain_unknown", message).at("domain"));
        }
        Ok(Domain { domain, confirmed_at: Some(now) })
    },
};

/// Removes an identity provider.
pub static REMOVE: Action<ProviderRef, Removed> = Action {
    name: "identityProvider.remove",
    summary: "Removes an identity provider, what connects accounts with it, and the roles that it gave; the accounts stay.",
    effect: Effect::Delete,
    run: |tx, input| {
        let provider = load(tx, "identityProvider.remove", input.provider)?;
        sign_in::take_roles(tx, &provider)?;
        store::remove(tx, provider.id)?;
        Ok(Removed { left: false })
    },
};
