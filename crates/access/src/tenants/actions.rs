//! What can be done with tenants.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Granted, Object, Tx};
use serde::{Deserialize, Serialize};

use super::{Tenant, TenantKind, TenantState, store};
use crate::accounts::NewPerson;
use crate::{Fact, Page, invitations, reach, roles, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CREATE, &LIST, &GET, &UPDATE, &SUSPEND, &RESUME];

/// What a new tenant is to be.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreateTenant {
    /// What it becomes a customer or a part of; the acting tenant where it is left out.
    #[serde(default)]
    pub parent: Option<TenantId>,
    /// Its name.
    pub name: String,
    /// Its language, `zh-TW` or `en`; the parent's where it is left out.
    #[serde(default)]
    pub locale: Option<String>,
    /// Its IANA time zone; the parent's where it is left out.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Who is invited as its first owner.
    #[serde(default)]
    pub owner: Option<NewPerson>,
}

/// Makes a customer below the operator, or a department below a customer.
pub static CREATE: Action<CreateTenant, Tenant> = Action {
    name: "tenant.create",
    summary: "Makes a customer below the operator, or a department below a customer, and invites its first owner.",
    effect: Effect::Create,
    run: |tx, input| {
        let parent = inside(tx, "tenant.create", input.parent.unwrap_or(tx.cx().tenant()))?;
        if parent.path.len() >= limits::TENANT_DEPTH_MAX {
            return Err(Error::exhausted(
                "tenant.too_deep",
                format!("departments can be nested {} deep", limits::TENANT_DEPTH_MAX),
            ));
        }
        if parent.kind != TenantKind::Operator
            && store::subtree_size(tx, parent.path.get(..2).unwrap_or_default())? >= limits::SUBTREE_MAX
        {
            return Err(Error::exhausted(
                "tenant.too_many",
                format!("an organisation has at most {} departments", limits::SUBTREE_MAX - 1),
            ));
        }
        let id = TenantId::fresh(tx.ids(), tx.now);
        let tenant = Tenant {
            id,
            parent: Some(parent.id),
            kind: store::kind_below(parent.kind),
            name: text::name(&input.name, "name")?,
            locale: input.locale.as_deref().map_or(Ok(parent.locale.clone()), text::locale)?,
            time_zone: input.time_zone.as_deref().map_or(Ok(parent.time_zone.clone()), text::time_zone)?,
            state: TenantState::Active,
            created_at: tx.now,
            path: parent.path.iter().copied().chain([id]).collect(),
        };
        store::insert(tx, &tenant)?;
        reach::changed(tx);
        tx.fact(Fact::TenantCreated { tenant: id.to_string() }, id)?;
        if let Some(owner) = &input.owner {
            invitations::make(tx, &tenant, owner, &[roles::OWNER.to_owned()])?;
            // Whom somebody may not invite alone they do not bring in as the owner of something new either.
            let (kind, id) = ("tenant".to_owned(), parent.id.to_string());
            tx.amounts_to("account.invite", Object { kind, id, tenant: Some(parent.id), revision: 0 });
        }
        Ok(tenant)
    },
};

/// Which tenant.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantRef {
    /// Its identifier.
    pub tenant: TenantId,
}

/// A page of tenants.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListTenants {
    /// Below which tenant; the acting one where it is left out.
    #[serde(default)]
    pub parent: Option<TenantId>,
    /// Only those whose names have words that begin so; at most a handful, the closest first.
    #[serde(default)]
    pub search: Option<String>,
    /// The last identifier of the page before.
    #[serde(default)]
    pub after: Option<TenantId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Lists the customers of the operator, or the departments of a customer.
pub static LIST: Action<ListTenants, Page<Tenant>> = Action {
    name: "tenant.list",
    summary: "Lists the customers of the operator, or all departments of a customer.",
    effect: Effect::Read,
    run: |tx, input| {
        let parent = inside(tx, "tenant.list", input.parent.unwrap_or(tx.cx().tenant()))?;
        if let Some(text) = &input.search {
            let found = store::search(tx, &parent, text, limits::SEARCH_MAX)?;
            return Ok(Page { items: found, next: None });
        }
        let limit = Page::<Tenant>::limit(input.limit);
        let found = store::below(tx, &parent.path, parent.kind != TenantKind::Operator, input.after, limit + 1)?;
        Ok(Page::cut(found, limit, |tenant| tenant.id.to_string()))
    },
};

/// Reads a tenant's entry in the tree.
pub static GET: Action<TenantRef, Tenant> = Action {
    name: "tenant.get",
    summary: "Reads a tenant's entry in the tree.",
    effect: Effect::Read,
    run: |tx, input| load(tx, "tenant.get", input.tenant).map(Granted::into_inner),
};

/// What is to be changed; what is left out stays.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateTenant {
    /// Which tenant.
    pub tenant: TenantId,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its new language.
    #[serde(default)]
    pub locale: Option<String>,
    /// Its new time zone.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// Changes a tenant's name, language or time zone.
pub static UPDATE: Action<UpdateTenant, Tenant> = Action {
    name: "tenant.update",
    summary: "Changes a tenant's name, language or time zone.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut tenant = load(tx, "tenant.update", input.tenant)?.into_inner();
        if let Some(name) = &input.name {
            tenant.name = text::name(name, "name")?;
        }
        if let Some(locale) = &input.locale {
            tenant.locale = text::locale(locale)?;
        }
        if let Some(zone) = &input.time_zone {
            tenant.time_zone = text::time_zone(zone)?;
        }
        store::update(tx, &tenant)?;
        tx.fact(Fact::TenantChanged { tenant: tenant.id.to_string() }, tenant.id)?;
        Ok(tenant)
    },
};

/// Keeps a tenant's people out until it is resumed.
pub static SUSPEND: Action<TenantRef, Tenant> = Action {
    name: "tenant.suspend",
    summary: "Keeps a tenant's people and programs out until it is resumed; its services keep running.",
    effect: Effect::Change,
    run: |tx, input| set_state(tx, "tenant.suspend", input.tenant, TenantState::Suspended),
};

/// Lets a suspended tenant's people in again.
pub static RESUME: Action<TenantRef, Tenant> = Action {
    name: "tenant.resume",
    summary: "Lets a suspended tenant's people in again.",
    effect: Effect::Change,
    run: |tx, input| set_state(tx, "tenant.resume", input.tenant, TenantState::Active),
};

fn set_state(tx: &mut Tx<'_>, action: &str, id: TenantId, state: TenantState) -> Result<Tenant> {
    let mut tenant = load(tx, action, id)?.into_inner();
    if tenant.id == tx.cx().tenant() {
        return Err(Error::conflict("tenant.own", "one cannot suspend or resume the tenant that one acts in"));
    }
    if tenant.state == TenantState::Left {
        return Err(Error::conflict("tenant.left", "that tenant has left"));
    }
    if tenant.state != state {
        tenant.state = state;
        store::update(tx, &tenant)?;
        reach::changed(tx);
        let id = tenant.id.to_string();
        tx.fact(
            if state == TenantState::Active {
                Fact::TenantResumed { tenant: id }
            } else {
                Fact::TenantSuspended { tenant: id }
            },
            tenant.id,
        )?;
    }
    Ok(tenant)
}

/// Reads a tenant's entry for `action`. A parent deals with its children's
/// entries as with its own, whether or not its people may look inside them.
pub(crate) fn load(tx: &mut Tx<'_>, action: &str, id: TenantId) -> Result<Granted<Tenant>> {
    let tenant = store::load(tx, id)?;
    let owner = if tenant.parent == Some(tx.cx().tenant()) { tx.cx().tenant() } else { tenant.id };
    grant(tx, action, owner, tenant)
}

/// Reads a tenant for an `action` inside it: what is below it is its own business.
fn inside(tx: &mut Tx<'_>, action: &str, id: TenantId) -> Result<Granted<Tenant>> {
    let tenant = store::load(tx, id)?;
    grant(tx, action, tenant.id, tenant)
}

fn grant(tx: &mut Tx<'_>, action: &str, owner: TenantId, tenant: Tenant) -> Result<Granted<Tenant>> {
    // What the operator is called is no secret to those below it.
    let class = if tenant.kind == TenantKind::Operator { Class::Public } else { Class::Internal };
    tx.grant(action, "tenant", &tenant.id.to_string(), owner, class, tenant)
}
