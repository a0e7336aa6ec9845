//! What an inventory is, out of what the platform knows and what people say. Pure.

use std::collections::{BTreeMap, BTreeSet};

use base::id::TenantId;
use base::{Error, Result, limits};

use super::types::{Entry, Kind, Known, Needs, Said, Stated, Thing};

/// Longest time that can be said, in seconds: ten years.
const SECONDS_MAX: u64 = 10 * 366 * 86_400;

/// Kinds that people add; the others the platform knows by itself.
pub const ADDED: [Kind; 13] = [
    Kind::Activity,
    Kind::Outside,
    Kind::Resource,
    Kind::Rack,
    Kind::Site,
    Kind::Power,
    Kind::Cooling,
    Kind::FireProtection,
    Kind::Route,
    Kind::Supplier,
    Kind::Material,
    Kind::Logistics,
    Kind::Person,
];

/// Kinds that other things stand in.
const HOLDING: [Kind; 4] = [Kind::Site, Kind::Rack, Kind::Host, Kind::Resource];

fn thing(tenant: TenantId, kind: Kind, id: &str, name: &str) -> Thing {
    Thing {
        id: id.to_owned(),
        key: id.to_owned(),
        kind,
        name: name.to_owned(),
        tenant,
        known: true,
        within: None,
        stands_in: None,
        needs: Vec::new(),
        said: Said::default(),
        revision: 0,
    }
}

/// Whose inventory it is, and whether all hosts and sites are a part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub tenant: TenantId,
    pub operator: bool,
}

/// What the platform knows, as an inventory. A tenant's has those hosts and sites that its own
/// machines and copies are on, and no other.
pub(crate) fn things(known: &Known, view: View) -> Vec<Thing> {
    let mut all = services(known);
    all.extend(known.machines.iter().map(|machine| Thing {
        within: Some(machine.host.clone()),
        ..thing(machine.tenant, Kind::Resource, &machine.id, &machine.name)
    }));
    all.extend(known.places.iter().map(|place| Thing {
        within: place.host.clone().or_else(|| place.site.clone()),
        ..thing(view.tenant, Kind::BackupPlace, &place.id.to_string(), &place.name)
    }));
    let mut concerned: BTreeSet<String> = all.iter().filter_map(|one| one.within.clone()).collect();
    for host in known.hosts.iter().filter(|host| view.operator || concerned.contains(&host.id)).collect::<Vec<_>>() {
        concerned.insert(host.site.clone());
        let within = Some(host.site.clone());
        all.push(Thing { within, ..thing(view.tenant, Kind::Host, &host.id, &host.name) });
    }
    let sites = known.sites.iter().filter(|(id, _)| view.operator || concerned.contains(id));
    all.extend(sites.map(|(id, name)| thing(view.tenant, Kind::Site, id, name)));
    all.iter_mut().for_each(|one| one.stands_in.clone_from(&one.within));
    all
}

fn services(known: &Known) -> Vec<Thing> {
    let mut machines: BTreeMap<&str, Vec<Needs>> = BTreeMap::new();
    for machine in &known.machines {
        machines.entry(&machine.service).or_default().push(Needs::one(&machine.id));
    }
    let there: BTreeSet<&str> = known.services.iter().map(|service| service.id.as_str()).collect();
    let of = |service: &super::types::Served| {
        let relied = service.relies_on.iter().filter(|id| there.contains(id.as_str()) && **id != service.id);
        let own = machines.get(service.id.as_str()).cloned().unwrap_or_default();
        Thing {
            needs: own.into_iter().chain(relied.map(Needs::one)).collect(),
            ..thing(service.tenant, Kind::Service, &service.id, &service.name)
        }
    };
    known.services.iter().map(of).collect()
}

/// Adds what people say. What it speaks of and is there no more is left out: an inventory never
/// needs what has gone.
pub(super) fn complete(mut all: Vec<Thing>, view: View, entries: Vec<Entry>, stated: Vec<Stated>) -> Vec<Thing> {
    let (said, added): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.known);
    let said: BTreeMap<String, Entry> = said.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
    all.extend(added.into_iter().map(|entry| of_entry(entry, view.tenant)));
    let wanted: BTreeMap<String, String> = all
        .iter()
        .filter_map(|one| {
            let said = said.get(&one.id).and_then(|entry| entry.within.clone());
            Some((one.id.clone(), said.or_else(|| one.within.clone())?))
        })
        .collect();
    for one in &mut all {
        if let Some(entry) = said.get(&one.id) {
            (one.said, one.revision) = (entry.said.clone(), entry.revision);
            one.within = stands(&wanted, one.within.take(), entry.within.clone());
        }
    }
    let there: BTreeSet<String> = all.iter().map(|one| one.id.clone()).collect();
    let mut sets: BTreeMap<String, Vec<Needs>> = BTreeMap::new();
    for (node, mut needs) in stated {
        needs.of.retain(|member| there.contains(member));
        needs.at_least = needs.at_least.min(needs.of.len() as u32);
        if !needs.of.is_empty() {
            sets.entry(node).or_default().push(needs);
        }
    }
    for one in &mut all {
        one.within = one.within.take().filter(|within| there.contains(within));
        let stated = sets.remove(&one.id).unwrap_or_default();
        // Where people say how many of a service's own machines suffice, that counts.
        one.needs.retain(|known| !stated.iter().any(|set| known.of.iter().all(|member| set.of.contains(member))));
        one.needs.extend(stated);
    }
    all
}

pub(super) fn of_entry(entry: Entry, tenant: TenantId) -> Thing {
    Thing {
        id: entry.id,
        key: entry.key,
        kind: entry.kind,
        name: entry.name,
        tenant,
        known: false,
        within: entry.within,
        stands_in: None,
        needs: Vec::new(),
        said: entry.said,
        revision: entry.revision,
    }
}

/// Where a known thing stands: where people say, if that leads to what is known.
fn stands(wanted: &BTreeMap<String, String>, known: Option<String>, said: Option<String>) -> Option<String> {
    match (known, said) {
        (Some(known), Some(said)) if !leads(&said, &known, |id| wanted.get(id).map(String::as_str)) => Some(known),
        (known, said) => said.or(known),
    }
}

/// Whether what stands in `from` stands, whatever lies between, in `to`.
pub(super) fn leads<'a>(from: &'a str, to: &str, within: impl Fn(&str) -> Option<&'a str>) -> bool {
    let (mut at, mut seen) = (Some(from), BTreeSet::new());
    while let Some(id) = at.filter(|id| seen.insert(*id)) {
        if id == to {
            return true;
        }
        at = within(id);
    }
    false
}

/// An inventory, with the way from names to things.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub things: Vec<Thing>,
    by_name: BTreeMap<String, usize>,
}

impl Inventory {
    pub fn new(things: Vec<Thing>) -> Self {
        // Ids after keys: no key hides an id.
        let keys = things.iter().enumerate().map(|(at, one)| (one.key.clone(), at));
        let ids = things.iter().enumerate().map(|(at, one)| (one.id.clone(), at));
        let by_name = keys.chain(ids).collect();
        Inventory { things, by_name }
    }

    /// The place of a thing, by its id or its key.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A thing, by its id or its key.
    pub fn find(&self, name: &str) -> Option<&Thing> {
        self.things.get(self.at(name)?)
    }

    /// A thing that must be there, by its id or its key.
    pub fn require(&self, name: &str) -> Result<&Thing> {
        let shown: String = name.chars().take(80).collect();
        self.find(name).ok_or_else(|| {
            Error::not_found("inventory.not_found", format!("there is nothing called {shown} in the inventory"))
        })
    }

    /// Where people say that a thing stands, by id; nothing where the platform knows just that.
    pub fn said_within(&self, entry: &Entry) -> Option<String> {
        let place = self.find(entry.within.as_deref()?)?;
        let known = self.find(&entry.id).and_then(|one| one.stands_in.as_deref());
        (known != Some(place.id.as_str())).then(|| place.id.clone())
    }

    /// What people call a thing.
    pub fn name<'n>(&'n self, id: &'n str) -> &'n str {
        self.find(id).map_or(id, |one| &one.name)
    }

    /// Those that name this one in a need, or stand in it.
    pub fn above(&self, id: &str) -> impl Iterator<Item = &Thing> {
        self.things.iter().filter(move |one| {
            one.within.as_deref() == Some(id) || one.needs.iter().any(|need| need.of.iter().any(|member| member == id))
        })
    }
}

fn invalid(code: &'static str, at: &str, message: impl Into<String>) -> Error {
    Error::invalid(code, message.into()).at(at.to_owned())
}

/// A line of text that people write.
fn line(text: &str, at: &'static str, least: usize) -> Result<()> {
    let chars = text.chars().count();
    if chars < least || chars > limits::NAME_CHARS_MAX || text.chars().any(char::is_control) || text.trim() != text {
        let message = format!("{least} to {} characters, none of them a control character", limits::NAME_CHARS_MAX);
        return Err(invalid("inventory.text", at, message));
    }
    Ok(())
}

/// Whether what is said of a thing can be.
pub(super) fn check_said(said: &Said) -> Result<()> {
    for (seconds, at) in [(said.repair_seconds, "repairSeconds"), (said.start_seconds, "startSeconds")] {
        if seconds.is_some_and(|seconds| seconds > SECONDS_MAX) {
            return Err(invalid("inventory.seconds", at, "nobody waits for longer than ten years"));
        }
    }
    if said.importance.is_some_and(|importance| !(1..=5).contains(&importance)) {
        return Err(invalid("inventory.importance", "importance", "importance is from 1 to 5, the most important"));
    }
    if said.likelihood.is_some_and(|likelihood| !(1..=5).contains(&likelihood)) {
        let message = "likelihood is from 1, hardly ever, to 5, to be expected within a year";
        return Err(invalid("inventory.likelihood", "likelihood", message));
    }
    line(&said.owner, "owner", 0)?;
    if said.note.len() > limits::REASON_BYTES_MAX || said.note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(invalid("inventory.text", "note", format!("at most {} bytes", limits::REASON_BYTES_MAX)));
    }
    Ok(())
}

/// Whether a row that people add can be; the rest of the inventory is as it is there.
pub(super) fn check_entry(there: &Inventory, entry: &Entry) -> Result<()> {
    check_said(&entry.said)?;
    if !entry.known {
        line(&entry.name, "name", 1)?;
        line(&entry.key, "key", 1)?;
        if !ADDED.contains(&entry.kind) {
            let message = format!("the platform knows each {} by itself: none is added by hand", entry.kind.word());
            return Err(invalid("inventory.kind", "kind", message));
        }
        if there.find(&entry.key).is_some_and(|other| other.id != entry.id) {
            let message = format!("another thing in the inventory has the key {}", entry.key);
            return Err(Error::conflict("inventory.key_taken", message).at("key"));
        }
        if entry.revision == 0 && is_the_platforms(&entry.key) {
            let message = format!(
                "{} is a name that the platform gives, and nothing in the inventory is called so; leave it out, or give it a name of its own",
                entry.key
            );
            return Err(Error::dangling("inventory.absent", message).at("key"));
        }
    }
    match &entry.within {
        None => Ok(()),
        Some(within) => check_within(there, entry, within),
    }
}

/// Whether that is how the platform names a service, a machine, a host …: what was so named in an older
/// table and has gone must not come back as something that people added.
fn is_the_platforms(key: &str) -> bool {
    let prefix = key.rsplit_once('_').map(|(prefix, _)| prefix);
    prefix.is_some_and(|prefix| prefix != crate::InventoryId::PREFIX && base::id::parse(prefix, key).is_some())
}

fn check_within(there: &Inventory, entry: &Entry, within: &str) -> Result<()> {
    let Some(place) = there.find(within) else {
        return Err(Error::dangling("inventory.absent", format!("there is no {within} to stand in")).at("within"));
    };
    if !HOLDING.contains(&place.kind) {
        let message = "things stand in a site, a rack, a host or a machine; what else they depend on, they need";
        return Err(invalid("inventory.within_kind", "within", message));
    }
    // The way up from where it is to stand; only that is walked, however much there is.
    let up = |id: &str| match id == entry.id {
        true => Some(place.id.as_str()),
        false => there.find(id).and_then(|one| one.within.as_deref()),
    };
    if leads(&place.id, &entry.id, up) {
        return Err(invalid(
            "inventory.within_circle",
            "within",
            "a thing cannot stand in itself, whatever lies between",
        ));
    }
    // What stood in a rack stands where the rack stands: the known place stays at the end of the way.
    let known = there.find(&entry.id).and_then(|one| one.stands_in.as_deref());
    match known.filter(|known| !leads(&place.id, known, up)) {
        Some(known) => {
            let message = format!("it is known to stand in {}: {} must stand there too", there.name(known), place.name);
            Err(invalid("inventory.within_known", "within", message))
        }
        None => Ok(()),
    }
}

/// The needs of a thing with ids for names, where they can be.
pub(super) fn check_needs(there: &Inventory, of: &str, needs: &[Needs]) -> Result<Vec<Needs>> {
    if needs.len() > limits::INVENTORY_NEEDS_MAX {
        let message = format!("a thing has at most {} needs", limits::INVENTORY_NEEDS_MAX);
        return Err(invalid("inventory.needs", "needs", message));
    }
    needs
        .iter()
        .enumerate()
        .map(|(n, need)| check_need(there, of, need).map_err(|e| e.at(format!("needs.{n}"))))
        .collect()
}

fn check_need(there: &Inventory, of: &str, need: &Needs) -> Result<Needs> {
    let mut members = BTreeSet::new();
    for name in &need.of {
        let Some(member) = there.find(name) else {
            return Err(Error::dangling("inventory.absent", format!("there is no {name} to need")));
        };
        if member.id == of {
            return Err(Error::invalid("inventory.itself", "a thing does not need itself"));
        }
        if !members.insert(member.id.clone()) {
            return Err(Error::invalid("inventory.twice", format!("{name} is named twice in one need")));
        }
    }
    let count = members.len();
    if count == 0 || count > limits::INVENTORY_NEEDS_MAX || need.at_least == 0 || need.at_least as usize > count {
        let message = format!("a need wants at least one and at most all of its {count} members");
        return Err(Error::invalid("inventory.at_least", message));
    }
    Ok(Needs { at_least: need.at_least, of: members.into_iter().collect(), known: false })
}
