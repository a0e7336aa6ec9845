//! The rule of a tenant, and which accounts it says are one person's.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use db::records::Scope;
use gate::{Action, Actor, Cx, Effect, Object, Tx};
use serde::{Deserialize, Serialize};

use super::approvable::{APPROVABLE, Approvable, WEAKEN};
use super::people::{self, People};
use super::{guard, store};
use crate::notices::{self, Notice, Spoken};
use crate::roles::actions::Nothing;
use crate::roles::{ADMINISTRATOR, OWNER, ROLES};
use crate::tenants::TenantKind;
use crate::{accounts, tenants};

/// An action that can need a second person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ruled {
    /// `noun.verb`.
    pub action: String,
    /// What it does.
    pub summary: String,
    /// Whether this tenant's own rule names it.
    pub on: bool,
    /// Whether a tenant above says so already.
    pub from_above: bool,
    /// Whether one should begin with it.
    pub usual: bool,
    /// Whether nobody's role in this tenant does it, but its provider's staff can.
    pub by_provider: bool,
    /// How many persons could do it here now, by their roles.
    pub able: usize,
}

/// Two accounts of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SamePerson {
    /// One of them.
    pub account: AccountId,
    /// What it is called.
    pub name: String,
    /// The other.
    pub other: AccountId,
    /// What that is called.
    pub other_name: String,
    /// When it was taken back; it counts for a day still.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
}

/// What needs a second person in a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Whose rule.
    pub tenant: TenantId,
    /// Everything that can need one.
    pub actions: Vec<Ruled>,
    /// Accounts that this tenant says are one person's; shown to those who may say so, or read the audit log.
    pub same_persons: Vec<SamePerson>,
    /// How long a role is held before it counts for approving, in hours.
    pub settling_hours: i64,
}

fn granted(tx: &mut Tx<'_>, action: &str) -> Result<TenantId> {
    let tenant = tx.cx().tenant();
    tx.grant(action, "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
    Ok(tenant)
}

fn shown(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Rule> {
    let own = store::rule(tx, tenant)?;
    let mut above = Vec::new();
    for governing in guard::governing(tx)?.into_iter().filter(|other| *other != tenant) {
        above.extend(store::rule(tx, governing)?);
    }
    let people = People::of(tx, tenant, false)?;
    let (kind, everybody) = (tenants::store::load(tx, tenant)?.kind, everybody(tx, tenant)?);
    let ruled = |known: &Approvable| Ruled {
        action: known.action.to_owned(),
        summary: known.en.to_owned(),
        on: own.iter().any(|action| action == known.action),
        from_above: above.iter().any(|action| action == known.action),
        usual: known.usual,
        by_provider: !tx.would_allow(&everybody, known.action),
        able: people.persons(tx, known.action),
    };
    let fitting = APPROVABLE.iter().filter(|known| known.fits(kind == TenantKind::Operator));
    let actions = fitting.map(ruled).collect();
    let since = people::settled_by(tx);
    let mut same_persons = Vec::new();
    // Names of people, who they are besides: for those who say so, and those who check it.
    let cx = tx.cx().clone();
    let may_know = ["person.link", "audit.list"].iter().any(|action| tx.would_allow(&cx, action));
    let links = if may_know { store::links(tx, tenant, since)? } else { Vec::new() };
    for (account, other, ended_at) in links {
        let (one, two) = (accounts::store::load(tx, account)?, accounts::store::load(tx, other)?);
        same_persons.push(SamePerson { account, name: one.name, other, other_name: two.name, ended_at });
    }
    Ok(Rule { tenant, actions, same_persons, settling_hours: limits::APPROVAL_SETTLING_SECONDS / 3_600 })
}

/// Somebody with all roles that can be held in a tenant.
fn everybody(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Cx> {
    let kind = tenants::store::load(tx, tenant)?.kind;
    let roles = ROLES.iter().filter(|role| role.fits(kind)).map(|role| role.name.to_owned()).collect();
    let scope = Scope::Tenants { own: vec![tenant], above: vec![] };
    Ok(Cx::new(Actor::Account(AccountId(0)), tenant, scope, roles))
}

/// Shows what needs a second person.
pub static GET_RULE: Action<Nothing, Rule> = Action {
    name: "approval.rule",
    summary: "Shows which actions need a second person here, and how many persons could do each.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = granted(tx, "approval.rule")?;
        shown(tx, tenant)
    },
};

/// What is to need a second person: all of it; what is left out needs none any more.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRule {
    /// The actions, by name.
    pub actions: Vec<String>,
}

/// Sets what needs a second person.
pub static SET_RULE: Action<SetRule, Rule> = Action {
    name: "approval.set_rule",
    summary: "Sets which actions need a second person here and below. To need one for less than before needs a second person itself.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = granted(tx, "approval.set_rule")?;
        let mut wanted = input.actions.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let operator = tenants::store::load(tx, tenant)?.kind == TenantKind::Operator;
        let fits = |action: &&String| Approvable::find(action).is_some_and(|one| one.fits(operator));
        if let Some(strange) = wanted.iter().find(|action| !fits(action)) {
            let shown: String = strange.chars().take(60).collect();
            let message = format!("`{}` is no action that can need a second person here", shown.escape_debug());
            return Err(Error::invalid("approval.not_approvable", message).at("actions"));
        }
        let before = store::rule(tx, tenant)?;
        let people = People::of(tx, tenant, false)?;
        for action in wanted.iter().filter(|action| !before.contains(action)) {
            expect_two(tx, &people, action)?;
        }
        if before.iter().any(|action| !wanted.contains(action)) {
            weakens(tx, tenant);
        }
        let (now, by) = (tx.now, tx.cx().actor().to_string());
        store::set_rule(tx, tenant, &wanted, &by, now)?;
        if before != wanted {
            tell(tx, tenant)?;
        }
        shown(tx, tenant)
    },
};

/// Whoever looks after the tenant hears of it, whoever it was.
fn tell(tx: &mut Tx<'_>, tenant: TenantId) -> Result<()> {
    let notice = Notice {
        en: Spoken {
            title: "What needs a second person was changed".to_owned(),
            text: "The two-person rule of your organisation was changed. Look at what it says now; who changed it is on the audit log.".to_owned(),
        },
        zh: Spoken {
            title: "雙人規則已變更".to_owned(),
            text: "您組織的雙人規則已變更。請看看現在的內容；是誰變更的，記在稽核紀錄裡。".to_owned(),
        },
        path: "/approvals/rule".to_owned(),
    };
    notices::tell(tx, tenant, &[OWNER, ADMINISTRATOR], &notice)
}

/// Nobody shuts themselves out: there must be a second person before one is needed.
fn expect_two(tx: &Tx<'_>, people: &People, action: &str) -> Result<()> {
    if people.persons(tx, action) >= 2 {
        return Ok(());
    }
    let message = format!("only one person here may do {action}; give a second one a role for it first");
    Err(Error::conflict("approval.nobody_else", message).at("actions"))
}

fn weakens(tx: &mut Tx<'_>, tenant: TenantId) {
    let object = Object { kind: "tenant".to_owned(), id: tenant.to_string(), tenant: Some(tenant), revision: 0 };
    tx.amounts_to(WEAKEN, object);
}

fn person(tx: &Tx<'_>) -> Result<AccountId> {
    let nobody = || Error::forbidden("approval.person", "only an account asks and decides");
    tx.cx().account().ok_or_else(nobody)
}

/// Two accounts.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TwoAccounts {
    /// One of them.
    pub account: AccountId,
    /// The other.
    pub other: AccountId,
}

/// Both in one order, both in the actor's sight.
fn both(tx: &mut Tx<'_>, action: &str, input: &TwoAccounts) -> Result<(AccountId, AccountId)> {
    if input.account == input.other {
        return Err(Error::invalid("person.same", "that is one account; name two").at("other"));
    }
    for account in [input.account, input.other] {
        accounts::actions::load(tx, action, account)?;
    }
    Ok((input.account.min(input.other), input.account.max(input.other)))
}

/// Says that two accounts are one person's.
pub static LINK: Action<TwoAccounts, Rule> = Action {
    name: "person.link",
    summary: "Says that two accounts are one person's: neither approves here what the other asks for.",
    effect: Effect::Change,
    run: |tx, input| {
        let (tenant, by) = (granted(tx, "person.link")?, person(tx)?);
        let (pair, now) = (both(tx, "person.link", input)?, tx.now);
        store::link(tx, tenant, pair, by, now)?;
        shown(tx, tenant)
    },
};

/// Takes that back.
pub static UNLINK: Action<TwoAccounts, Rule> = Action {
    name: "person.unlink",
    summary: "Takes back that two accounts are one person's. Needs a second person where there is a rule, and counts after a day.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = granted(tx, "person.unlink")?;
        let (pair, now) = (both(tx, "person.unlink", input)?, tx.now);
        if !store::unlink(tx, tenant, pair, now)? {
            let message = "nobody says here that these are one person's";
            return Err(Error::not_found("person.not_linked", message));
        }
        if is_ruled(tx, tenant)? {
            weakens(tx, tenant);
        }
        shown(tx, tenant)
    },
};

/// Whether anything needs a second person in a tenant or anywhere below it: what it says of persons holds there.
fn is_ruled(tx: &mut Tx<'_>, tenant: TenantId) -> Result<bool> {
    let path = tenants::store::load(tx, tenant)?.path;
    for above in &path {
        if !store::rule(tx, *above)?.is_empty() {
            return Ok(true);
        }
    }
    let (from, to) = tenants::store::range(&path);
    store::any_rule(tx, (&from, &to))
}
