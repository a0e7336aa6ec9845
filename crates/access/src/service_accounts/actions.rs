//! Making service accounts, saying who answers for them, and their keys.

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{Program, ServiceAccount, absent, answers, shown, store};
use crate::accounts::{self, Account, AccountKind, AccountState};
use crate::roles::{self, Role};
use crate::tenants::{self, Tenant};
use crate::text::{self, Email};
use crate::tokens::actions::{CreateToken, NewToken, make};
use crate::tokens::{self, Token, TokenId};
use crate::{Fact, Page, reach};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CREATE, &LIST, &GET, &UPDATE, &CREATE_KEY, &ROTATE_KEY];

/// The kind, in audit and policies.
pub const KIND: &str = "serviceAccount";

/// A program that is to have an account.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewServiceAccount {
    /// The tenant that it belongs to; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// What the program is called.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub purpose: String,
    /// Who answers for it; oneself where it is left out.
    #[serde(default)]
    pub responsible: Option<AccountId>,
    /// Its roles, at least one.
    pub roles: Vec<String>,
    /// Whether keys of it can be made for sensitive actions.
    #[serde(default)]
    pub sensitive: bool,
}

/// Makes a service account.
pub static CREATE: Action<NewServiceAccount, ServiceAccount> = Action {
    name: "serviceAccount.create",
    summary: "Makes an account for a program, with roles and somebody who answers for it; never with a role above one's own.",
    effect: Effect::Create,
    run: |tx, input| {
        let home = place(tx, "serviceAccount.create", input.tenant)?;
        if store::count(tx, home.id)? >= limits::SERVICE_ACCOUNTS_MAX {
            let message = format!("an organisation has at most {} service accounts", limits::SERVICE_ACCOUNTS_MAX);
            return Err(Error::exhausted("service_account.too_many", message));
        }
        let granted = granted(tx, &home, &input.roles)?;
        let responsible = responsible(tx, &home, input.responsible)?;
        let now = tx.now;
        let account = Account {
            id: AccountId::fresh(tx.ids(), now),
            home: home.id,
            kind: AccountKind::Service,
            email: String::new(),
            name: text::name(&input.name, "name")?,
            locale: home.locale.clone(),
            state: AccountState::Active,
            created_at: now,
            signed_in_at: None,
        };
        // No address is spelled like that: nobody signs in with it, and no mail goes there.
        let email = Email { shown: String::new(), key: format!("service:{}", account.id) };
        accounts::store::insert(tx, &account, &email)?;
        let by = tx.cx().actor().to_string();
        for role in granted {
            roles::store::insert(tx, account.id, home.id, role, &by, now)?;
        }
        let purpose = purpose(&input.purpose)?;
        let program = Program { account: account.id, purpose, responsible, sensitive: input.sensitive };
        store::insert(tx, &program)?;
        tx.about(KIND, &account.id.to_string(), 0);
        tx.fact(Fact::AccountJoined { account: account.id.to_string() }, home.id)?;
        shown(tx, program, account)
    },
};

/// The tenant in which something is to be done with its service accounts.
fn place(tx: &mut Tx<'_>, action: &str, wanted: Option<TenantId>) -> Result<Tenant> {
    let here = tx.cx().tenant();
    let tenant = tenants::store::load(tx, wanted.unwrap_or(here))?;
    let (id, owner) = (tenant.id.to_string(), tenant.id);
    Ok(tx.grant(action, "tenant", &id, owner, Class::Personal, tenant)?.into_inner())
}

/// The roles that a new one gets: each fitting, none above those of whoever makes it.
fn granted(tx: &Tx<'_>, home: &Tenant, wanted: &[String]) -> Result<Vec<&'static str>> {
    if wanted.is_empty() {
        return Err(Error::invalid("service_account.roles", "a service account has at least one role").at("roles"));
    }
    let mut granted = Vec::with_capacity(wanted.len());
    for name in wanted {
        let role = roles::rules::role_for(name, home.kind).map_err(|e| e.at("roles"))?;
        roles::rules::may_grant(tx.cx().roles(), role)?;
        granted.push(role.name);
    }
    Ok(granted)
}

/// Who is to answer for it: oneself where nobody is named.
fn responsible(tx: &mut Tx<'_>, home: &Tenant, named: Option<AccountId>) -> Result<AccountId> {
    let wrong = || {
        Error::invalid(
            "service_account.responsible",
            "who answers for a service account is a person who may work and has a role in the organisation; name one",
        )
        .at("responsible")
    };
    let person = named.or(tx.cx().account()).ok_or_else(wrong)?;
    if answers(tx, person, home)? { Ok(person) } else { Err(wrong()) }
}

fn purpose(text: &str) -> Result<String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let fits =
        text.chars().nth(limits::PURPOSE_CHARS_MAX).is_none() && !text.chars().any(|c| c.is_control() && c != '\n');
    if fits {
        return Ok(text.to_owned());
    }
    let message = format!("say it in at most {} characters that can be shown", limits::PURPOSE_CHARS_MAX);
    Err(Error::invalid("service_account.purpose", message).at("purpose"))
}

/// A page of service accounts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListServiceAccounts {
    /// Of which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The last identifier of the page before.
    #[serde(default)]
    pub after: Option<AccountId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Lists the service accounts of a tenant.
pub static LIST: Action<ListServiceAccounts, Page<ServiceAccount>> = Action {
    name: "serviceAccount.list",
    summary: "Lists the service accounts of a tenant, with who answers for each.",
    effect: Effect::Read,
    run: |tx, input| {
        let home = place(tx, "serviceAccount.list", input.tenant)?;
        let limit = Page::<ServiceAccount>::limit(input.limit);
        let mut found = Vec::new();
        for program in store::list(tx, home.id, input.after, limit + 1)? {
            let account = accounts::store::load(tx, program.account)?;
            found.push(shown(tx, program, account)?);
        }
        Ok(Page::cut(found, limit, |one| one.account.id.to_string()))
    },
};

/// Which service account.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServiceAccountRef {
    /// Its identifier.
    pub account: AccountId,
}

/// A service account and its keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServiceAccountKeys {
    /// The account.
    #[serde(flatten)]
    pub service: ServiceAccount,
    /// Its keys that were not revoked, the newest first.
    pub keys: Vec<Token>,
}

/// Reads a service account.
pub static GET: Action<ServiceAccountRef, ServiceAccountKeys> = Action {
    name: "serviceAccount.get",
    summary: "Reads a service account and its keys: what each is for, when it ends, when and from where it was last used.",
    effect: Effect::Read,
    run: |tx, input| {
        let (program, account) = load(tx, "serviceAccount.get", input.account)?;
        let service = shown(tx, program, account)?;
        let keys = tokens::store::of_account(tx, input.account, limits::PAGE_MAX as usize)?;
        Ok(ServiceAccountKeys { service, keys })
    },
};

/// A service account that the actor may use so.
fn load(tx: &mut Tx<'_>, action: &str, id: AccountId) -> Result<(Program, Account)> {
    let program = store::find(tx, id)?.ok_or_else(|| absent(id))?;
    let account = accounts::store::load(tx, id)?;
    let owner = account.home;
    let account = tx.grant(action, KIND, &id.to_string(), owner, Class::Personal, account)?.into_inner();
    Ok((program, account))
}

/// [`load`] for a change: not of one that has left.
fn load_to_change(tx: &mut Tx<'_>, action: &str, id: AccountId) -> Result<(Program, Account)> {
    let (program, account) = load(tx, action, id)?;
    match account.state {
        AccountState::Left => Err(Error::conflict("account.left", "that account has left")),
        _ => Ok((program, account)),
    }
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateServiceAccount {
    /// Which.
    pub account: AccountId,
    /// The new name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub purpose: Option<String>,
    /// Who answers for it from now on.
    #[serde(default)]
    pub responsible: Option<AccountId>,
    /// Whether its keys can be for sensitive actions; where they no longer can, those that are do nothing such.
    #[serde(default)]
    pub sensitive: Option<bool>,
}

/// Changes a service account.
pub static UPDATE: Action<UpdateServiceAccount, ServiceAccount> = Action {
    name: "serviceAccount.update",
    summary: "Changes what a service account is called, what it is for, who answers for it, and whether its keys can be for sensitive actions.",
    effect: Effect::Change,
    run: |tx, input| {
        let (mut program, mut account) = load_to_change(tx, "serviceAccount.update", input.account)?;
        if let Some(name) = &input.name {
            account.name = text::name(name, "name")?;
            accounts::store::update(tx, &account)?;
        }
        if let Some(text) = &input.purpose {
            program.purpose = purpose(text)?;
        }
        if let Some(person) = input.responsible {
            let home = tenants::store::load(tx, account.home)?;
            program.responsible = responsible(tx, &home, Some(person))?;
        }
        program.sensitive = input.sensitive.unwrap_or(program.sensitive);
        store::update(tx, &program)?;
        reach::changed(tx);
        shown(tx, program, account)
    },
};

/// What a new key of a service account is to be.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreateKey {
    /// Whose key.
    pub account: AccountId,
    /// What this key is for.
    pub name: String,
    /// After how many days it stops working; 90 where it is left out, or fewer where the sign-in rules say so.
    #[serde(default)]
    pub days: Option<u32>,
    /// The scopes that it is for, at least one: an action (`service.reboot`), what reads a thing
    /// (`service:read`), all that is done with it (`service:write`), or `*:read` and `*:write`.
    pub scopes: Vec<String>,
    /// The networks it is used from, such as `192.0.2.0/24`; anywhere where it is left out.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Whether it is for sensitive actions too; only where its account is.
    #[serde(default)]
    pub sensitive: bool,
}

/// Makes a key of a service account.
pub static CREATE_KEY: Action<CreateKey, NewToken> = Action {
    name: "serviceAccount.create_key",
    summary: "Makes a key of a service account for some scopes, and networks where wanted; its secret is shown this once.",
    effect: Effect::Create,
    run: |tx, input| {
        let (program, account) = load_to_use(tx, "serviceAccount.create_key", input.account)?;
        if input.sensitive && !program.sensitive {
            return Err(not_sensitive());
        }
        make(tx, account.id, account.home, &wanted(input))
    },
};

fn wanted(input: &CreateKey) -> CreateToken {
    CreateToken {
        name: input.name.clone(),
        days: input.days,
        roles: None,
        scopes: Some(input.scopes.clone()),
        networks: input.networks.clone(),
        sensitive: input.sensitive,
        account: None,
    }
}

fn not_sensitive() -> Error {
    Error::invalid(
        "service_account.not_sensitive",
        "this service account is not for sensitive actions; change that first (serviceAccount.update)",
    )
    .at("sensitive")
}

/// [`load`] for a key of it: whoever sees the key can do all that it can, so none of its roles is above their own.
fn load_to_use(tx: &mut Tx<'_>, action: &str, id: AccountId) -> Result<(Program, Account)> {
    let (program, account) = load_to_change(tx, action, id)?;
    if account.state == AccountState::Suspended {
        return Err(Error::conflict("service_account.suspended", "this service account is suspended; resume it first"));
    }
    for (_, name) in roles::store::of_account(tx, id)? {
        if let Some(role) = Role::find(&name) {
            roles::rules::may_grant(tx.cx().roles(), role)?;
        }
    }
    Ok((program, account))
}

/// Which key is to be replaced.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotateKey {
    /// The key.
    pub token: TokenId,
    /// After how many days the new one stops working; 90 where it is left out, or fewer where the sign-in
    /// rules say so.
    #[serde(default)]
    pub days: Option<u32>,
    /// How long the old one works beside it, in hours; 24 where it is left out, 0 ends it at once, 168 at most.
    #[serde(default)]
    pub overlap_hours: Option<u32>,
}

/// Replaces a key by a new one for the same, and lets both work for a while.
pub static ROTATE_KEY: Action<RotateKey, NewToken> = Action {
    name: "serviceAccount.rotate_key",
    summary: "Replaces a key of a service account by a new one for the same; the old one works beside it for some hours.",
    effect: Effect::Create,
    run: |tx, input| {
        let absent = || Error::not_found("token.not_found", format!("there is no token {}", input.token));
        let old = tokens::store::find(tx, input.token)?.ok_or_else(absent)?;
        let (program, account) = match load_to_use(tx, "serviceAccount.rotate_key", old.account) {
            // A person's token, and somebody else's key, are not there.
            Err(e) if e.code() == "serviceAccount.not_found" => return Err(absent()),
            other => other?,
        };
        let hours = input.overlap_hours.unwrap_or(limits::KEY_OVERLAP_HOURS_DEFAULT);
        if hours > limits::KEY_OVERLAP_HOURS_MAX {
            let message =
                format!("two keys work beside each other for at most {} hours", limits::KEY_OVERLAP_HOURS_MAX);
            return Err(Error::invalid("token.overlap", message).at("overlap_hours"));
        }
        if !old.is_in_force(tx.now) || old.replaced_by.is_some() {
            let message = "that key has ended, or was replaced already; make a new one";
            return Err(Error::conflict("token.not_in_force", message));
        }
        let made = make(
            tx,
            account.id,
            account.home,
            &CreateToken {
                name: old.name.clone(),
                days: input.days,
                scopes: old.scopes.clone(),
                networks: old.networks.clone(),
                sensitive: old.sensitive && program.sensitive,
                ..CreateToken::default()
            },
        )?;
        // Made with a token that is for fewer networks, the successor would be for those: a program elsewhere would stop.
        if made.token.networks != old.networks {
            let message =
                "the token that you came with is used from fewer networks than this key; rotate it with another";
            return Err(Error::invalid("token.networks", message).at("networks"));
        }
        let until = tx.now + Duration::from_secs(u64::from(hours) * 3_600);
        if !tokens::store::replace(tx, old.id, made.token.id, until)? {
            return Err(Error::contended("token.changed", "that key has been changed meanwhile; look again"));
        }
        reach::changed(tx);
        Ok(made)
    },
};
