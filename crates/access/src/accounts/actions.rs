//! What can be done with accounts.

use base::id::{AccountId, TenantId};
use base::{Error, Result, limits};
use db::Class;
use db::records::Scope;
use gate::{Action, AnyAction, Effect, Granted, Relation, Tx};
use serde::{Deserialize, Serialize};

use super::{Account, AccountState, Member, store};
use crate::{Fact, Page, Removed, providers, reach, roles, service_accounts, sessions, tenants, text, tokens};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&LIST, &GET, &UPDATE, &SUSPEND, &RESUME, &REMOVE];

/// A page of members.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListAccounts {
    /// Of which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// Instead: those at home in any tenant in sight whose names or mail addresses
    /// have words that begin so; at most a handful, the closest first.
    #[serde(default)]
    pub search: Option<String>,
    /// The last identifier of the page before.
    #[serde(default)]
    pub after: Option<AccountId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Lists those who hold a role in a tenant.
pub static LIST: Action<ListAccounts, Page<Member>> = Action {
    name: "account.list",
    summary: "Lists those who hold a role in a tenant, with their roles there.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = input.tenant.unwrap_or(tx.cx().tenant());
        let owner = tenants::store::load(tx, tenant)?.id;
        tx.grant("account.list", "tenant", &tenant.to_string(), owner, Class::Personal, ())?;
        if let Some(text) = &input.search {
            return search(tx, text);
        }
        let limit = Page::<Member>::limit(input.limit);
        let accounts = store::members(tx, tenant, input.after, limit + 1)?;
        let mut found = Vec::with_capacity(accounts.len());
        for account in accounts {
            let roles = roles::store::held(tx, account.id, tenant)?;
            found.push(Member { account, roles });
        }
        Ok(Page::cut(found, limit, |member| member.account.id.to_string()))
    },
};

/// People in sight, each granted one by one: their accounts are personal data.
fn search(tx: &mut Tx<'_>, text: &str) -> Result<Page<Member>> {
    let homes = match tx.cx().scope() {
        Scope::All => None,
        Scope::Tenants { own, .. } => Some(own.clone()),
    };
    let mut items = Vec::new();
    for account in store::search(tx, homes.as_deref(), text, limits::SEARCH_MAX)? {
        let (id, home) = (account.id.to_string(), account.home);
        let account = tx.grant("account.list", "account", &id, home, Class::Personal, account)?.into_inner();
        let roles = roles::store::held(tx, account.id, home)?;
        items.push(Member { account, roles });
    }
    Ok(Page { items, next: None })
}

/// Which account.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AccountRef {
    /// Its identifier.
    pub account: AccountId,
}

/// Reads an account: one's own, or that of a member.
pub static GET: Action<AccountRef, Member> = Action {
    name: "account.get",
    summary: "Reads an account, one's own or a member's, with its roles in the acting tenant.",
    effect: Effect::Read,
    run: |tx, input| {
        let account = load(tx, "account.get", input.account)?.into_inner();
        let here = tx.cx().tenant();
        let roles = roles::store::held(tx, account.id, here)?;
        Ok(Member { account, roles })
    },
};

/// What is to be changed; what is left out stays.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateAccount {
    /// Which account.
    pub account: AccountId,
    /// The new name.
    #[serde(default)]
    pub name: Option<String>,
    /// The new language.
    #[serde(default)]
    pub locale: Option<String>,
}

/// Changes somebody's name or language.
pub static UPDATE: Action<UpdateAccount, Account> = Action {
    name: "account.update",
    summary: "Changes the name or language of an account: one's own, or one whose home is here.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut account = load_at_home(tx, "account.update", input.account)?.into_inner();
        if let Some(name) = &input.name {
            account.name = text::name(name, "name")?;
        }
        if let Some(locale) = &input.locale {
            account.locale = text::locale(locale)?;
        }
        store::update(tx, &account)?;
        Ok(account)
    },
};

/// Keeps somebody out until they are resumed; ends their sessions.
pub static SUSPEND: Action<AccountRef, Account> = Action {
    name: "account.suspend",
    summary: "Keeps somebody and their tokens out until they are resumed, and ends their sessions.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut account = load_at_home(tx, "account.suspend", input.account)?.into_inner();
        if tx.cx().account() == Some(account.id) {
            return Err(Error::conflict("account.own", "one cannot suspend oneself"));
        }
        if account.state == AccountState::Active {
            // Before the change: who is suspended keeps nothing alive.
            for (tenant, role) in roles::store::of_account(tx, account.id)? {
                roles::store::keep_one(tx, tenant, &role, account.id)?;
            }
            account.state = AccountState::Suspended;
            store::update(tx, &account)?;
            sessions::store::delete_all(tx, account.id, None)?;
            reach::changed(tx);
            service_accounts::tell_without_owner(tx, account.id)?;
            tx.fact(Fact::AccountSuspended { account: account.id.to_string() }, account.home)?;
        }
        Ok(account)
    },
};

/// Lets a suspended account in again.
pub static RESUME: Action<AccountRef, Account> = Action {
    name: "account.resume",
    summary: "Lets a suspended account in again.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut account = load_at_home(tx, "account.resume", input.account)?.into_inner();
        if account.state == AccountState::Suspended {
            account.state = AccountState::Active;
            store::update(tx, &account)?;
            reach::changed(tx);
            tx.fact(Fact::AccountResumed { account: account.id.to_string() }, account.home)?;
        }
        Ok(account)
    },
};

/// Who is to go from where.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemoveAccount {
    /// Who.
    pub account: AccountId,
    /// From which tenant and all below it; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// Ends somebody's part in a tenant: roles and tokens at once; where nothing is
/// left to them anywhere, they have left, and sessions and password go too.
pub static REMOVE: Action<RemoveAccount, Removed> = Action {
    name: "account.remove",
    summary: "Ends somebody's part in a tenant and all below it: roles, tokens, what connects them with its identity providers and, where no role is left anywhere, sessions and password.",
    effect: Effect::Delete,
    run: |tx, input| {
        let here = tx.cx().tenant();
        let tenant = tenants::store::load(tx, input.tenant.unwrap_or(here))?;
        tx.touch("account", &input.account.to_string(), tenant.id, 0);
        tx.grant("account.remove", "tenant", &tenant.id.to_string(), tenant.id, Class::Personal, ())?;
        let subtree = tenants::store::subtree(tx, &tenant.path)?;
        let grants = roles::store::of_account(tx, input.account)?;
        let (going, staying): (Vec<_>, Vec<_>) = grants.into_iter().partition(|(at, _)| subtree.contains(at));
        // Somebody at home here who has no role left anywhere is removed like the others.
        let left_over = staying.is_empty() && is_at_home(tx, input.account, &subtree)?;
        if going.is_empty() && !left_over {
            return Err(store::absent(input.account));
        }
        for (at, name) in &going {
            if let Some(role) = roles::Role::find(name) {
                roles::rules::may_grant(tx.cx().roles(), role)?;
            }
            roles::store::keep_one(tx, *at, name, input.account)?;
        }
        let mut account = store::load(tx, input.account)?;
        for (at, name) in &going {
            roles::store::delete(tx, account.id, *at, name)?;
        }
        let now = tx.now;
        tokens::store::revoke_in(tx, account.id, &subtree, now)?;
        sessions::store::stop_acting_in(tx, account.id, &subtree)?;
        providers::store::shut_out(tx, account.id, &subtree, now)?;
        if staying.is_empty() {
            store::leave(tx, &mut account, now)?;
        }
        reach::changed(tx);
        service_accounts::tell_without_owner(tx, account.id)?;
        tx.fact(Fact::AccountRemoved { account: account.id.to_string(), left: staying.is_empty() }, tenant.id)?;
        Ok(Removed { left: staying.is_empty() })
    },
};

/// Whether an account that has not left is at home in one of the tenants.
fn is_at_home(tx: &mut Tx<'_>, account: AccountId, tenants: &[TenantId]) -> Result<bool> {
    let account = store::find(tx, account)?;
    Ok(account.is_some_and(|account| account.state != AccountState::Left && tenants.contains(&account.home)))
}

/// Reads an account for `action`: one's own, or one with a role in a tenant in
/// sight. Other people's accounts are personal data.
pub(crate) fn load(tx: &mut Tx<'_>, action: &str, id: AccountId) -> Result<Granted<Account>> {
    let account = store::load(tx, id)?;
    let (owner, class) = if tx.cx().account() == Some(id) {
        (tx.cx().tenant(), Class::Internal)
    } else {
        (seen_through(tx, &account)?, Class::Personal)
    };
    tx.grant(action, "account", &id.to_string(), owner, class, account)
}

/// The tenant through which somebody is in the actor's sight: the acting one if
/// they have a role there, else another in reach, else their home.
fn seen_through(tx: &mut Tx<'_>, account: &Account) -> Result<TenantId> {
    let places = roles::store::of_account(tx, account.id)?;
    let near = |relation: Relation| {
        places.iter().map(|(tenant, _)| *tenant).find(|tenant| tx.cx().relation(*tenant) == relation)
    };
    Ok(near(Relation::Own).or_else(|| near(Relation::Below)).unwrap_or(account.home))
}

/// Reads an account for a change that concerns it everywhere: only its home may.
pub(crate) fn load_at_home(tx: &mut Tx<'_>, action: &str, id: AccountId) -> Result<Granted<Account>> {
    let account = load(tx, action, id)?;
    let at_home = matches!(tx.cx().relation(account.home), Relation::Own | Relation::Below);
    if !at_home && tx.cx().account() != Some(id) {
        return Err(Error::forbidden(
            "account.not_at_home",
            "this account belongs to another organisation; you can only end its part in yours",
        ));
    }
    if account.state == AccountState::Left {
        return Err(Error::conflict("account.left", "that account has left"));
    }
    Ok(account)
}
