//! Who can do this: the accounts and tokens that could begin an action now, through which role, given where.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, Bounds, Cx, Effect, Fresh, Relation, Thing, Tx, Verb};
use serde::{Deserialize, Serialize};

use super::people;
use crate::accounts::{self, AccountKind};
use crate::approvals::guard::REQUIRED;
use crate::providers::ProviderId;
use crate::reach::{self, Standing};
use crate::tenants::{self, Tenant, TenantKind};
use crate::tokens::{self, TokenId};
use crate::words::words;
use crate::{factors, roles, sign_in_rules};

words! {
    /// Where a role was given that holds in a tenant.
    pub enum Given {
        /// There.
        Direct = "direct",
        /// In a tenant above it.
        Above = "above",
        /// At the operator, whose staff with `support` act in its customers' tenants.
        Support = "support",
    }

    /// What is asked of a sign-in beside that there is one.
    pub enum SignIn {
        /// Nothing.
        Any = "any",
        /// The password (or what signed them in) shown again, lately.
        Again = "again",
        /// The second factor, shown lately.
        Factor = "factor",
        /// A second factor has to be enrolled first.
        Enrol = "enrol",
    }

    /// Whether a second person would be asked for.
    pub enum SecondPerson {
        /// No.
        No = "no",
        /// Yes.
        Yes = "yes",
        /// That depends on what it turns out to do: an order can end a service.
        Depends = "depends",
    }
}

/// What is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskHolders {
    /// The action, by name.
    pub action: String,
    /// In which tenant; the object's, or the acting one, where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// On what: the identifier of a record, such as a service or an order.
    #[serde(default)]
    pub object: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<AccountId>,
    /// How many; 100 at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A role that permits it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Through {
    /// The role.
    pub role: String,
    /// The tenant in which it was given.
    pub tenant: TenantId,
    /// How that stands to the tenant that was asked about.
    pub given: Given,
    /// Whether an identity provider gives it, by its groups or to everybody who comes by it.
    pub by_provider: bool,
}

/// A token that could do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenHolder {
    /// Which.
    pub id: TokenId,
    /// What it is for, where it was made in a tenant in sight.
    pub name: Option<String>,
    /// The networks that it is used from; none where that may be anywhere.
    pub networks: Vec<String>,
    /// When it stops working.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
}

/// Somebody who can do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The account.
    pub account: AccountId,
    /// What it is called.
    pub name: String,
    /// A person's, or a program's.
    pub kind: AccountKind,
    /// Whether the account's roles permit it. A program does it with one of its tokens, and where there is none not at all.
    pub by_role: bool,
    /// The roles that permit it by themselves. None where everybody may who has any role there.
    pub through: Vec<Through>,
    /// What is asked of a person's sign-in.
    pub sign_in: SignIn,
    /// Whether a second person would be asked for.
    pub second_person: SecondPerson,
    /// Its tokens that could do it.
    pub tokens: Vec<TokenHolder>,
}

/// Who can do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    /// The action.
    pub action: String,
    /// What it does, in a sentence.
    pub title: String,
    /// In which tenant.
    pub tenant: TenantId,
    /// What that is called.
    pub tenant_name: String,
    /// Whether everybody may who has any role there.
    pub everybody: bool,
    /// Those who can, by identifier.
    pub items: Vec<Holder>,
    /// What to send as `after` for the next page; nothing on the last. A page can be empty and have one behind it.
    pub next: Option<AccountId>,
}

/// Lists who can do something.
pub static HOLDERS: Action<AskHolders, Holders> = Action {
    name: "permission.holders",
    summary: "Lists who can do an action in a tenant: people, service accounts and tokens, through which roles, and what more is asked of them.",
    effect: Effect::Read,
    run: |tx, input| {
        let title = tx.catalogue().title(&input.action).ok_or_else(|| unknown_action(tx, &input.action))?;
        let object = object(tx, input)?;
        let wanted = object.as_ref().map(|one| one.owner).or(input.tenant).unwrap_or(tx.cx().tenant());
        let tenant = tenants::store::load(tx, wanted)?;
        let (id, owner) = (tenant.id.to_string(), tenant.id);
        let tenant = tx.grant("permission.holders", "tenant", &id, owner, Class::Personal, tenant)?.into_inner();
        let asked = Asked { action: &input.action, tenant: &tenant, object: object.as_ref() };
        let (items, next) = page(tx, &asked, input)?;
        let nobodys = Cx::new(gate::Actor::Account(AccountId(0)), tenant.id, asked.scope(), Default::default());
        Ok(Holders {
            everybody: tx.would_allow_on(&nobodys, &input.action, asked.thing()),
            action: input.action.clone(),
            title,
            tenant: tenant.id,
            tenant_name: tenant.name.clone(),
            items,
            next,
        })
    },
};

/// The answer for a name that is none, with those that are near it.
fn unknown_action(tx: &Tx<'_>, name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    let noun = name.split('.').next().unwrap_or_default();
    let near = tx.catalogue().within(&format!("{noun}:write"));
    let near = near.into_iter().take(30).collect::<Vec<_>>().join(", ");
    let help =
        if near.is_empty() { "the page of permissions lists them".to_owned() } else { format!("there are {near}") };
    Error::invalid("permission.unknown_action", format!("`{}` is no action; {help}", shown.escape_debug())).at("action")
}

/// A record that is asked about.
struct Object {
    kind: &'static str,
    id: String,
    owner: TenantId,
    class: Class,
}

/// The record of that identifier, where it may be seen.
fn object(tx: &mut Tx<'_>, input: &AskHolders) -> Result<Option<Object>> {
    let Some(id) = &input.object else { return Ok(None) };
    let shown: String = id.chars().take(60).collect();
    let prefix = id.split('_').next().unwrap_or_default();
    let kinds = tx.catalogue().all_kinds();
    let kind = kinds.iter().find(|kind| kind.prefix == prefix).copied().ok_or_else(|| {
        let message =
            format!("`{}` is no record; ask about a service, an order, a bill or another record", shown.escape_debug());
        Error::invalid("permission.unknown_object", message).at("object")
    })?;
    let record = tx.load(kind, Verb::Get, id)?;
    if input.tenant.is_some_and(|tenant| tenant != record.tenant) {
        let message = "that object is another tenant's; leave the tenant out";
        return Err(Error::invalid("permission.other_tenant", message).at("tenant"));
    }
    Ok(Some(Object { kind: kind.name, id: record.id.clone(), owner: record.tenant, class: record.class }))
}

/// What is asked of each account.
struct Asked<'a> {
    action: &'a str,
    tenant: &'a Tenant,
    object: Option<&'a Object>,
}

impl Asked<'_> {
    fn thing(&self) -> Option<Thing<'_>> {
        self.object.map(|one| Thing { kind: one.kind, id: &one.id, owner: one.owner, class: one.class })
    }

    fn scope(&self) -> db::records::Scope {
        db::records::Scope::Tenants { own: vec![self.tenant.id], above: vec![] }
    }
}

/// One page, and where the next begins.
fn page(tx: &mut Tx<'_>, asked: &Asked<'_>, input: &AskHolders) -> Result<(Vec<Holder>, Option<AccountId>)> {
    let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, 100) as usize;
    let most = limits::HOLDERS_LOOKED_AT_MAX;
    let candidates = people::candidates(tx, asked.tenant, |_| true, input.after, most)?;
    let full = candidates.len() == most;
    let (last, mut items) = (candidates.last().copied(), Vec::new());
    for account in candidates {
        items.extend(holder(tx, asked, account)?);
        if items.len() == limit {
            return Ok((items, (last != Some(account) || full).then_some(account)));
        }
    }
    Ok((items, last.filter(|_| full)))
}

/// The account, if it or one of its tokens could do it now.
fn holder(tx: &mut Tx<'_>, asked: &Asked<'_>, account: AccountId) -> Result<Option<Holder>> {
    let Some(found) = accounts::store::find(tx, account)? else { return Ok(None) };
    let Some(standing) = reach::known(reach::standing(tx, account, Some(asked.tenant.id), None))? else {
        return Ok(None);
    };
    let cx = people::context(account, standing.clone());
    let bounds = (found.kind == AccountKind::Service).then(|| Bounds::new(tx.catalogue(), None, Vec::new(), true));
    let cx = bounds.map_or(cx.clone(), |bounds| cx.bounded(bounds));
    let by_role = tx.would_allow_on(&cx, asked.action, asked.thing());
    let tokens = able_tokens(tx, asked, account)?;
    if !by_role && tokens.is_empty() {
        return Ok(None);
    }
    Ok(Some(Holder {
        account,
        through: through(tx, asked, &cx, &standing)?,
        sign_in: sign_in(tx, asked.action, account)?,
        second_person: second_person(tx, asked, &cx),
        name: found.name,
        kind: found.kind,
        by_role,
        tokens,
    }))
}

/// The tokens of an account that are in force and could do it, from where they may be used.
fn able_tokens(tx: &mut Tx<'_>, asked: &Asked<'_>, account: AccountId) -> Result<Vec<TokenHolder>> {
    let most = usize::try_from(limits::TOKENS_PER_ACCOUNT_MAX).unwrap_or(usize::MAX);
    let (now, catalogue, mut able) = (tx.now, tx.catalogue(), Vec::new());
    for token in tokens::store::of_account(tx, account, most)? {
        if !token.is_in_force(now) {
            continue;
        }
        let came = reach::through_token(tx, catalogue, &token, Some(asked.tenant.id));
        let Some(cx) = reach::known(came)? else { continue };
        let anywhere = cx.bounds().cloned().map(Bounds::anywhere);
        let cx = anywhere.map_or(cx.clone(), |bounds| cx.bounded(bounds));
        if tx.would_allow_on(&cx, asked.action, asked.thing()) && tx.would_prove(&cx, asked.action) {
            let sees = matches!(tx.cx().relation(token.tenant), Relation::Own | Relation::Below);
            able.push(TokenHolder {
                id: token.id,
                name: sees.then_some(token.name),
                networks: token.networks,
                expires_at: token.expires_at,
            });
        }
    }
    Ok(able)
}

/// The roles of an account that permit it by themselves, and where each was given.
fn through(tx: &mut Tx<'_>, asked: &Asked<'_>, cx: &Cx, standing: &Standing) -> Result<Vec<Through>> {
    let Some(account) = cx.account() else { return Ok(Vec::new()) };
    let path = &asked.tenant.path;
    let mut found = Vec::new();
    for (tenant, role, by) in roles::store::granted(tx, account)? {
        if !path.contains(&tenant) || !standing.roles.contains(&role) {
            continue;
        }
        let alone = Cx::new(cx.actor().clone(), standing.tenant, standing.scope.clone(), [role.clone()].into());
        if !tx.would_allow_on(&alone, asked.action, asked.thing()) {
            continue;
        }
        let operators = path.first() == Some(&tenant) && asked.tenant.kind != TenantKind::Operator;
        let given = match (tenant == asked.tenant.id, operators) {
            (true, _) => Given::Direct,
            (false, true) => Given::Support,
            (false, false) => Given::Above,
        };
        found.push(Through { role, tenant, given, by_provider: by.parse::<ProviderId>().is_ok() });
    }
    Ok(found)
}

/// What a person's sign-in has to have shown.
fn sign_in(tx: &mut Tx<'_>, action: &str, account: AccountId) -> Result<SignIn> {
    if !tx.catalogue().is_open_to_unenrolled(action) && sign_in_rules::must_enrol(tx, account, None)? {
        return Ok(SignIn::Enrol);
    }
    Ok(match (tx.catalogue().wants_fresh(action), factors::store::has_active(tx, account)?) {
        (None, _) | (Some(Fresh::Factor), false) => SignIn::Any,
        (Some(_), true) => SignIn::Factor,
        (Some(Fresh::Always), false) => SignIn::Again,
    })
}

/// Whether a second person would be asked for, as far as that follows from the action's name.
fn second_person(tx: &mut Tx<'_>, asked: &Asked<'_>, cx: &Cx) -> SecondPerson {
    let Some(guard) = tx.catalogue().guard().filter(|guard| guard.can_ask(asked.action)) else {
        return SecondPerson::No;
    };
    match tx.would_guard(cx, asked.action, asked.thing()) {
        Err(e) if e.code() == REQUIRED => SecondPerson::Yes,
        _ if (guard.knows)(asked.action) => SecondPerson::No,
        _ => SecondPerson::Depends,
    }
}
