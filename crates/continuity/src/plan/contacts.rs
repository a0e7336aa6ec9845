//! The team: who has which duty, who stands in for them, and who calls whom. Personal data.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::{Error, Result};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Nothing, words};
use crate::ContactId;

/// The kind, in audit and policies.
pub const KIND: &str = "contact";
/// Most people of one plan.
pub const CONTACTS_MAX: usize = 500;

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// What they do when something has happened.
    #[serde(default)]
    pub duty: String,
    /// Where they can be called: one number or several.
    #[serde(default)]
    pub phone: String,
    /// Where they can be written to.
    #[serde(default)]
    pub email: String,
    /// Who stands in for them.
    #[serde(default)]
    pub deputy: Option<ContactId>,
    /// Who calls them; nobody: they begin.
    #[serde(default)]
    pub called_by: Option<ContactId>,
}

/// Somebody of the team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Their id.
    pub id: ContactId,
    /// Whose team.
    pub tenant: TenantId,
    /// Their name.
    pub name: String,
    /// What they do.
    pub duty: String,
    /// Where they can be called.
    pub phone: String,
    /// Where they can be written to.
    pub email: String,
    /// Who stands in for them.
    pub deputy: Option<ContactId>,
    /// Who calls them.
    pub called_by: Option<ContactId>,
}

const SELECT: &str = "SELECT id, tenant, name, duty, phone, email, deputy, called_by FROM plan_contacts";

fn read(row: &Row) -> Result<Contact> {
    Ok(Contact {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        duty: row.get(3)?,
        phone: row.get(4)?,
        email: row.get(5)?,
        deputy: row.get(6)?,
        called_by: row.get(7)?,
    })
}

/// Everybody of a tenant's team, in the order in which they were added.
pub(crate) fn all(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Contact>> {
    conn.query(&format!("{SELECT} WHERE tenant = $1 ORDER BY id LIMIT $2"), args![tenant, CONTACTS_MAX], read)
}

/// Somebody in the tree of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// How far from those who begin: 0 for these.
    pub depth: u32,
    /// Who is called.
    #[serde(flatten)]
    pub contact: Contact,
    /// What their deputy is called.
    pub deputy_name: Option<String>,
}

/// The tree of calls, written down: everybody after whoever calls them.
pub fn tree(contacts: &[Contact]) -> Vec<Call> {
    let mut below: BTreeMap<Option<ContactId>, Vec<&Contact>> = BTreeMap::new();
    for contact in contacts {
        below.entry(contact.called_by).or_default().push(contact);
    }
    let mut waiting: Vec<(u32, &Contact)> = Vec::new();
    let push = |waiting: &mut Vec<_>, depth, by| {
        waiting.extend(below.get(&by).into_iter().flatten().rev().map(|contact| (depth, *contact)));
    };
    push(&mut waiting, 0, None);
    let mut calls = Vec::with_capacity(contacts.len());
    while let Some((depth, contact)) = waiting.pop() {
        let deputy = contacts.iter().find(|other| Some(other.id) == contact.deputy);
        calls.push(Call { depth, contact: contact.clone(), deputy_name: deputy.map(|deputy| deputy.name.clone()) });
        push(&mut waiting, depth + 1, Some(contact.id));
    }
    calls
}

/// Whether `id`, called by `by`, would in the end call itself.
pub fn circles(contacts: &[Contact], id: ContactId, by: Option<ContactId>) -> bool {
    let callers: BTreeMap<ContactId, Option<ContactId>> = contacts.iter().map(|one| (one.id, one.called_by)).collect();
    let mut at = by;
    for _ in 0..=contacts.len() {
        match at {
            None => return false,
            Some(caller) if caller == id => return true,
            Some(caller) => at = callers.get(&caller).copied().flatten(),
        }
    }
    true
}

/// What was typed, as it is kept.
fn checked(input: &Person) -> Result<Person> {
    let person = Person {
        name: words::named(&input.name, "name")?,
        duty: words::line(&input.duty, "duty")?,
        phone: words::line(&input.phone, "phone")?,
        email: words::line(&input.email, "email")?,
        ..input.clone()
    };
    if person.phone.is_empty() && person.email.is_empty() {
        let message = "somebody who cannot be reached cannot be called: a telephone number or a mail address";
        return Err(Error::invalid("contact.unreachable", message).at("phone"));
    }
    Ok(person)
}

/// Whether the people it names are there and the tree stays one.
fn fits(contacts: &[Contact], id: ContactId, person: &Person) -> Result<()> {
    for (named, at) in [(person.deputy, "deputy"), (person.called_by, "calledBy")] {
        if named.is_some_and(|named| named != id && !contacts.iter().any(|contact| contact.id == named)) {
            return Err(Error::dangling("contact.absent", "there is nobody of that id in the team").at(at));
        }
    }
    if person.deputy == Some(id) {
        return Err(Error::invalid("contact.own_deputy", "nobody stands in for themselves").at("deputy"));
    }
    if circles(contacts, id, person.called_by) {
        let message = "the calls would go round in a circle: they are called by somebody whom they call";
        return Err(Error::invalid("contact.circle", message).at("calledBy"));
    }
    Ok(())
}

/// Who is called.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    /// Everybody, each after whoever calls them.
    pub items: Vec<Call>,
}

fn team(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Team> {
    Ok(Team { items: tree(&all(tx, tenant)?) })
}

fn own(tx: &mut Tx<'_>, action: &str) -> Result<TenantId> {
    let tenant = tx.cx().tenant();
    tx.grant(action, KIND, "", tenant, Class::Personal, ())?;
    Ok(tenant)
}

/// Lists the team.
pub static LIST: Action<Nothing, Team> = Action {
    name: "contact.list",
    summary: "Lists the team: duties, deputies, telephones, and who calls whom.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = own(tx, "contact.list")?;
        team(tx, tenant)
    },
};

/// Adds somebody, for an action that has checked that it may.
pub(crate) fn add(tx: &mut Tx<'_>, tenant: TenantId, input: &Person) -> Result<ContactId> {
    let person = checked(input)?;
    let contacts = all(tx, tenant)?;
    if contacts.len() >= CONTACTS_MAX {
        return Err(Error::exhausted("contact.too_many", format!("a team has at most {CONTACTS_MAX} people")));
    }
    let id = ContactId::fresh(tx.ids(), tx.now);
    fits(&contacts, id, &person)?;
    tx.touch(KIND, &id.to_string(), tenant, 0);
    tx.execute(
        "INSERT INTO plan_contacts (id, tenant, name, duty, phone, email, deputy, called_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![id, tenant, person.name, person.duty, person.phone, person.email, person.deputy, person.called_by],
    )?;
    db::words::begin(tx, KIND, tenant, &id.to_string(), &[&person.name, &person.duty])?;
    Ok(id)
}

/// Adds somebody.
pub static CREATE: Action<Person, Contact> = Action {
    name: "contact.create",
    summary: "Adds somebody to the team.",
    effect: Effect::Create,
    run: |tx, input| {
        tx.require("contact.create")?;
        let tenant = tx.cx().tenant();
        let id = add(tx, tenant, input)?;
        granted(tx, "contact.create", id)
    },
};

/// Somebody, as they are from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePerson {
    /// Who.
    pub id: ContactId,
    /// What is known of them.
    #[serde(flatten)]
    pub person: Person,
}

fn granted(tx: &mut Tx<'_>, action: &str, id: ContactId) -> Result<Contact> {
    let found = tx.query_opt(&format!("{SELECT} WHERE id = $1"), args![id], read)?;
    let found = found.ok_or_else(|| Error::not_found("contact.not_found", format!("there is no contact {id}")))?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Personal, found).map(Granted::into_inner)
}

/// Changes somebody.
pub static UPDATE: Action<ChangePerson, Contact> = Action {
    name: "contact.update",
    summary: "Says anew what somebody of the team does, where they are reached, and who calls them.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = granted(tx, "contact.update", input.id)?.tenant;
        let person = checked(&input.person)?;
        fits(&all(tx, tenant)?, input.id, &person)?;
        tx.execute(
            "UPDATE plan_contacts SET name = $2, duty = $3, phone = $4, email = $5, deputy = $6, called_by = $7 WHERE id = $1",
            args![input.id, person.name, person.duty, person.phone, person.email, person.deputy, person.called_by],
        )?;
        db::words::keep(tx, KIND, tenant, &input.id.to_string(), &[&person.name, &person.duty])?;
        granted(tx, "contact.update", input.id)
    },
};

/// Who.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactRef {
    /// Their id.
    pub id: ContactId,
}

/// Shows somebody of the team.
pub static GET: Action<ContactRef, Contact> = Action {
    name: "contact.get",
    summary: "Shows somebody of the team: their duty, how they are reached, whom they call.",
    effect: Effect::Read,
    run: |tx, input| {
        let (found, own) = (granted(tx, "contact.get", input.id)?, tx.cx().tenant());
        // As a list of them is: of those of the tenant that one acts in.
        let none = || Error::not_found("contact.not_found", format!("there is no contact {}", input.id));
        Some(found).filter(|found| found.tenant == own).ok_or_else(none)
    },
};

/// Removes somebody and everything that is known of them; nothing of the others is told.
pub static REMOVE: Action<ContactRef, Nothing> = Action {
    name: "contact.remove",
    summary: "Removes somebody from the team, with everything known of them. Whom they called, their caller calls now.",
    effect: Effect::Delete,
    run: |tx, input| {
        let gone = granted(tx, "contact.remove", input.id)?;
        let moved = "UPDATE plan_contacts SET called_by = $2 WHERE tenant = $3 AND called_by = $1";
        tx.execute(moved, args![gone.id, gone.called_by, gone.tenant])?;
        tx.execute(
            "UPDATE plan_contacts SET deputy = NULL WHERE tenant = $2 AND deputy = $1",
            args![gone.id, gone.tenant],
        )?;
        tx.execute("DELETE FROM plan_contacts WHERE id = $1", args![gone.id])?;
        db::words::forget(tx, &gone.id.to_string())?;
        Ok(Nothing {})
    },
};
