//! Who may do what, as a table for people: worked out by asking the policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base::Result;
use base::id::{AccountId, HostId, TenantId};
use db::Class;
use db::records::Scope;
use gate::{Actor, Cx, Policies, Relation};

use super::POLICIES;
use crate::roles::ROLES;

/// The actions that the policies speak of.
pub fn named_actions() -> BTreeSet<String> {
    POLICIES.split("Action::\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// What one sort of actor may do with one action.
fn cell(policies: &Policies, cx: &Cx, action: &str) -> &'static str {
    let may = |class, relation| policies.decide(cx, action, "object", class, relation).is_ok();
    if policies.decide(cx, action, "tenant", Class::Internal, Relation::Own).is_err() {
        return "";
    }
    match (may(Class::Personal, Relation::Own), may(Class::Internal, Relation::Below)) {
        (true, true) => "●",
        (true, false) => "◐",
        (false, _) => "○",
    }
}

/// The reference page: role by action.
///
/// # Errors
/// `Invalid` where the policies have a fault.
pub fn table() -> Result<String> {
    let names: Vec<String> = named_actions().into_iter().collect();
    let policies = Policies::parse(POLICIES, &names)?;
    let here = TenantId(1);
    let actor = |actor: Actor, roles: &[&str]| {
        Cx::new(actor, here, Scope::All, roles.iter().map(|r| (*r).to_owned()).collect())
    };
    let mut columns: Vec<(&str, Cx)> =
        vec![("nobody", actor(Actor::Nobody, &[])), ("signed in", actor(Actor::Account(AccountId(1)), &[]))];
    columns.extend(ROLES.iter().map(|role| (role.name, actor(Actor::Account(AccountId(1)), &[role.name]))));
    columns.push(("agent", actor(Actor::Agent(HostId(1)), &[])));
    columns.push(("system", actor(Actor::System("worker"), &[])));

    let mut out = String::from(HEAD);
    let mut by_noun: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in &names {
        by_noun.entry(name.split('.').next().unwrap_or_default()).or_default().push(name);
    }
    let _ = writeln!(out, "| action | {} |", columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | "));
    let _ = writeln!(out, "|---|{}", ":-:|".repeat(columns.len()));
    for name in by_noun.into_values().flatten() {
        let cells: Vec<&str> = columns.iter().map(|(_, cx)| cell(&policies, cx, name)).collect();
        let _ = writeln!(out, "| `{name}` | {} |", cells.join(" | "));
    }
    out.push_str("\n## Roles\n\n| role | held in | what for |\n|---|---|---|\n");
    for role in ROLES {
        let held = if role.operator { "the operator" } else { "customers and departments" };
        let _ = writeln!(out, "| `{}` | {held} | {} |", role.name, role.summary);
    }
    Ok(out)
}

const HEAD: &str = "# Who may do what

Worked out from `crates/access/policies/*.cedar`; do not edit. To write it anew after a
change of policies: `YUNWEI_WRITE_DOCS=1 cargo test -p access permissions_page`.

- ● in the tenant one acts in and below it, other people's personal data included
- ◐ the same, but only in the tenant itself
- ○ only what is not other people's personal data; for accounts, tokens and sessions: one's own
- empty: refused

A role in a customer holds in its departments, too. The operator's staff see and act inside
customers' tenants only with `support`, and the customer sees who they are (`reach.list`).

Which people, service accounts and tokens can do one of these now, and why somebody was refused:
[find out why, and who](../how-to/find-out-why-and-who.md).

";
