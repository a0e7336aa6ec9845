//! The use cases as values.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::{Error, Result, limits};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{Entry, Kind, Needs, Said, Thing};
use super::{Inventory, KIND, View, read, rules, store, whose};
use crate::InventoryId;

/// Which things.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListInventory {
    /// Whose; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those with this in their name or key.
    pub text: Option<String>,
    /// Continue after this id.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of an inventory.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryPage {
    /// The things, by id.
    pub items: Vec<Thing>,
    /// How many there are of each kind, whatever was asked for.
    pub counts: BTreeMap<String, usize>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}

/// Lists an inventory.
pub static LIST: Action<ListInventory, InventoryPage> = Action {
    name: "inventory.list",
    summary: "Lists what a tenant does and what that depends on: known by the platform, and added by people.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "inventory.list", input.tenant)?;
        let (there, _) = read(tx, view)?;
        let mut counts = BTreeMap::new();
        there.things.iter().for_each(|one| *counts.entry(one.kind.word().to_owned()).or_default() += 1);
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX) as usize;
        let mut items = there.things;
        items.retain(|one| wanted(input, one));
        items.sort_by(|a, b| a.id.cmp(&b.id));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(InventoryPage { items, counts, next })
    },
};

fn wanted(input: &ListInventory, one: &Thing) -> bool {
    let text = input.text.as_deref().unwrap_or_default().to_lowercase();
    input.kind.is_none_or(|kind| kind == one.kind)
        && input.after.as_ref().is_none_or(|after| one.id > *after)
        && (text.is_empty() || one.name.to_lowercase().contains(&text) || one.key.to_lowercase().contains(&text))
}

/// Which thing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThingRef {
    /// Its id, or its key.
    pub id: String,
    /// In whose inventory; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// A thing, with what is around it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThingDetail {
    /// The thing.
    #[serde(flatten)]
    pub thing: Thing,
    /// What needs it, or stands in it.
    pub needed_by: Vec<String>,
    /// What all those are called that are named here, by id.
    pub names: BTreeMap<String, String>,
}

fn detail(there: &Inventory, id: &str) -> Result<ThingDetail> {
    let thing = there.require(id)?.clone();
    let needed_by: Vec<String> = there.above(&thing.id).map(|one| one.id.clone()).collect();
    let members = thing.needs.iter().flat_map(|need| &need.of).chain(&thing.within).chain(&needed_by);
    let names = members.map(|id| (id.clone(), there.name(id).to_owned())).collect();
    Ok(ThingDetail { names, needed_by, thing })
}

/// Shows a thing.
pub static GET: Action<ThingRef, ThingDetail> = Action {
    name: "inventory.get",
    summary: "Shows a thing in an inventory: what it needs, what it stands in, and what needs it.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "inventory.get", input.tenant)?;
        detail(&read(tx, view)?.0, &input.id)
    },
};

/// A thing to be added.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewThing {
    /// In whose inventory; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// What it is; not one that the platform knows by itself (service, host, backup place).
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// The name of its row in the firm's own lists; its id where absent.
    #[serde(default)]
    pub key: Option<String>,
    /// What it stands in: an id, or a key.
    #[serde(default)]
    pub within: Option<String>,
    /// What must run for it to run: all of these.
    #[serde(default)]
    pub needs: Vec<Needs>,
    /// What is said of it.
    #[serde(flatten)]
    pub said: Said,
}

/// Adds a thing.
pub static ADD: Action<NewThing, ThingDetail> = Action {
    name: "inventory.add",
    summary: "Adds an activity, a supplier, a route, a person … to an inventory.",
    effect: Effect::Create,
    run: |tx, input| {
        let view = whose(tx, "inventory.add", input.tenant)?;
        let (there, _) = read(tx, view)?;
        let id = InventoryId::fresh(tx.ids(), tx.now).to_string();
        let entry = Entry {
            key: input.key.as_deref().map_or_else(|| id.clone(), |key| key.trim().to_owned()),
            id,
            known: false,
            kind: input.kind,
            name: input.name.trim().to_owned(),
            within: input.within.clone(),
            said: trimmed(&input.said),
            revision: 0,
        };
        write(tx, view, &there, entry, Some(&input.needs))
    },
};

/// What is said of a thing from now on, all of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutThing {
    /// The thing: its id, or its key.
    pub id: String,
    /// In whose inventory; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its name; what the platform knows keeps its own.
    #[serde(default)]
    pub name: Option<String>,
    /// The name of its row in the firm's own lists.
    #[serde(default)]
    pub key: Option<String>,
    /// What it stands in; where the platform knows that, something that stands there.
    #[serde(default)]
    pub within: Option<String>,
    /// What must run for it to run, as people say; as it is where absent.
    #[serde(default)]
    pub needs: Option<Vec<Needs>>,
    /// What is said of it.
    #[serde(flatten)]
    pub said: Said,
}

/// Says of a thing what only people can.
pub static PUT: Action<PutThing, ThingDetail> = Action {
    name: "inventory.update",
    summary: "Sets what people say of a thing: where it stands, what it needs, repair time, importance, likelihood, owner.",
    effect: Effect::Change,
    run: |tx, input| {
        let view = whose(tx, "inventory.update", input.tenant)?;
        let (there, _) = read(tx, view)?;
        let found = there.require(&input.id)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("it is at revision {} by now", found.revision);
            return Err(Error::stale("inventory.stale", message));
        }
        let own = |said: &Option<String>, now: &str| match said {
            Some(said) if !found.known => said.trim().to_owned(),
            _ => now.to_owned(),
        };
        let entry = Entry {
            id: found.id.clone(),
            key: own(&input.key, &found.key),
            known: found.known,
            kind: found.kind,
            name: own(&input.name, &found.name),
            within: input.within.clone(),
            said: trimmed(&input.said),
            revision: found.revision,
        };
        write(tx, view, &there, entry, input.needs.as_deref())
    },
};

fn trimmed(said: &Said) -> Said {
    Said { owner: said.owner.trim().to_owned(), note: said.note.trim().replace('\r', ""), ..said.clone() }
}

/// Checks and writes a row and, where they are named, its needs.
fn write(
    tx: &mut Tx<'_>,
    view: View,
    there: &Inventory,
    mut entry: Entry,
    needs: Option<&[Needs]>,
) -> Result<ThingDetail> {
    rules::check_entry(there, &entry)?;
    entry.within = there.said_within(&entry);
    let needs = needs.map(|needs| rules::check_needs(there, &entry.id, needs)).transpose()?;
    tx.about(KIND, &entry.id, entry.revision + 1);
    store::put(tx, view.tenant, &entry)?;
    if let Some(needs) = needs {
        store::put_needs(tx, view.tenant, &entry.id, &needs)?;
    }
    expect_room(tx, view)?;
    detail(&read(tx, view)?.0, &entry.id)
}

/// Whether an inventory is not larger than one may be, after something was written.
pub(super) fn expect_room(tx: &mut Tx<'_>, view: View) -> Result<()> {
    let (entries, members) = store::sizes(tx, view.tenant)?;
    expect_few(entries, members)
}

/// An inventory has a bound, and so has what is read of one.
pub(super) fn expect_few(entries: usize, members: usize) -> Result<()> {
    if entries <= limits::INVENTORY_ENTRIES_MAX && members <= limits::INVENTORY_MEMBERS_MAX {
        return Ok(());
    }
    let message = format!(
        "an inventory holds at most {} entries of people, which need at most {} things altogether",
        limits::INVENTORY_ENTRIES_MAX,
        limits::INVENTORY_MEMBERS_MAX
    );
    Err(Error::exhausted("inventory.full", message))
}

/// Removes what somebody added, or what people said of a thing that the platform knows.
pub static REMOVE: Action<ThingRef, Thing> = Action {
    name: "inventory.remove",
    summary: "Removes what was added to an inventory, or what people said of a thing that the platform knows.",
    effect: Effect::Delete,
    run: |tx, input| {
        let view = whose(tx, "inventory.remove", input.tenant)?;
        let (there, _) = read(tx, view)?;
        let found = there.require(&input.id)?.clone();
        let above: Vec<&str> = there.above(&found.id).map(|one| one.name.as_str()).collect();
        if !found.known && !above.is_empty() {
            let named = above.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let message = format!("{} of others name it: {named}; change those first", above.len());
            return Err(Error::conflict("inventory.needed", message));
        }
        tx.about(KIND, &found.id, found.revision);
        store::remove(tx, view.tenant, &found.id)?;
        crate::bia::forget(tx, view.tenant, &found.id)?;
        Ok(found)
    },
};
