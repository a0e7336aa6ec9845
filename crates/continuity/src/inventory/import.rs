//! Import and export: an inventory as two tables, one of things and one of what needs what.

use std::collections::{BTreeMap, BTreeSet};

use base::id::TenantId;
use base::{Error, Result};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actions::{expect_few, expect_room};
use super::csv::{self, DEPENDENCIES, NODES, Table};
use super::types::{Entry, Kind, Needs, Said, Thing};
use super::{Inventory, KIND, View, read, rules, store, whose};
use crate::InventoryId;

/// Tables to be read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ImportInventory {
    /// In whose inventory; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
    /// The table of things: `ref,kind,name,within,repair,start,importance,likelihood,owner,note`.
    pub nodes: String,
    /// The table of dependencies: `node,needs,set,at_least`.
    pub dependencies: String,
}

/// What a line leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LineChange {
    /// It cannot be.
    Wrong,
    /// Something is added.
    Add,
    /// Something is changed.
    Change,
    /// It is so already.
    Same,
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportLine {
    /// `nodes` or `dependencies`.
    pub file: &'static str,
    /// The number of the line.
    pub line: usize,
    /// Which thing it is about.
    pub about: String,
    /// What it leads to.
    pub change: LineChange,
    /// Why it cannot be.
    pub problem: Option<String>,
    /// The code of that.
    pub code: Option<String>,
}

/// What an import does, line by line.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Every line of both tables.
    pub lines: Vec<ImportLine>,
    /// How many things are added.
    pub added: usize,
    /// How many are changed, or need other things than before.
    pub changed: usize,
    /// How many lines cannot be. While there is one, nothing is written.
    pub wrong: usize,
}

/// Says what an import would do.
pub static PREVIEW: Action<ImportInventory, Imported> = Action {
    name: "inventory.preview",
    summary: "Says line by line what an import would do to an inventory; does nothing.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "inventory.preview", input.tenant)?;
        Ok(plan(tx, view, input)?.report)
    },
};

/// Imports tables: all of it or nothing.
pub static IMPORT: Action<ImportInventory, Imported> = Action {
    name: "inventory.import",
    summary: "Imports things and dependencies from tables, all or nothing. The second time it changes nothing.",
    effect: Effect::Change,
    run: |tx, input| {
        let view = whose(tx, "inventory.import", input.tenant)?;
        let plan = plan(tx, view, input)?;
        if let Some(first) = plan.report.lines.iter().find(|line| line.change == LineChange::Wrong) {
            let why = first.problem.as_deref().unwrap_or_default();
            let message = format!(
                "{} lines cannot be imported, so nothing was; {} line {}: {why}",
                plan.report.wrong, first.file, first.line
            );
            return Err(Error::invalid("inventory.import", message).at(first.file));
        }
        tx.about(KIND, "import", 0);
        plan.entries.iter().try_for_each(|entry| store::put(tx, view.tenant, entry))?;
        plan.needs.iter().try_for_each(|(node, needs)| store::put_needs(tx, view.tenant, node, needs))?;
        expect_room(tx, view)?;
        Ok(plan.report)
    },
};

/// Whose tables.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ExportInventory {
    /// Whose; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
}

/// An inventory as tables.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tables {
    /// The table of things.
    pub nodes: String,
    /// The table of dependencies that people stated.
    pub dependencies: String,
}

/// Writes an inventory as tables.
pub static EXPORT: Action<ExportInventory, Tables> = Action {
    name: "inventory.export",
    summary: "Writes an inventory as two tables that an import reads.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "inventory.export", input.tenant)?;
        let (there, _) = read(tx, view)?;
        let key = |id: &str| there.find(id).map_or_else(|| id.to_owned(), |one| one.key.clone());
        Ok(Tables { nodes: csv::nodes(&there.things, key), dependencies: csv::dependencies(&there.things, key) })
    },
};

/// What is to be written, and what is said of it.
struct Plan {
    entries: Vec<Entry>,
    needs: Vec<(String, Vec<Needs>)>,
    report: Imported,
}

fn plan(tx: &mut Tx<'_>, view: View, input: &ImportInventory) -> Result<Plan> {
    let nodes = Table::read(&input.nodes, &NODES, 1).map_err(|e| e.at("nodes"))?;
    let dependencies = Table::read(&input.dependencies, &DEPENDENCIES, 2).map_err(|e| e.at("dependencies"))?;
    // Before anything is looked up: what can never fit is not judged line by line.
    expect_few(nodes.lines.len(), dependencies.lines.len())?;
    let (there, _) = read(tx, view)?;
    let mut lines = Lines::default();
    let drafts = drafts(tx, &there, &nodes, &mut lines);
    let next = Inventory::new(planned(&there, &drafts, view.tenant));
    let mut entries = Vec::new();
    for (at, mut entry) in drafts {
        match rules::check_entry(&next, &entry) {
            Err(e) => lines.wrong(at, &e),
            Ok(()) => {
                entry.within = next.said_within(&entry);
                let now = there.find(&entry.id);
                lines.set(at, now.map_or(LineChange::Add, |now| changed(!is_said(now, &entry))));
                entries.extend((lines.of(at) != LineChange::Same).then_some(entry));
            }
        }
    }
    let needs = needs(&there, &next, &dependencies, &mut lines);
    Ok(Plan { report: lines.report(&entries, &needs), entries, needs })
}

fn changed(changed: bool) -> LineChange {
    if changed { LineChange::Change } else { LineChange::Same }
}

/// Whether that is said of a thing already.
fn is_said(now: &Thing, entry: &Entry) -> bool {
    let within = now.within.as_ref().filter(|_| now.within != now.stands_in);
    now.said == entry.said
        && within == entry.within.as_ref()
        && (now.known || (now.name == entry.name && now.key == entry.key))
}

/// The lines of both tables, as they are judged.
#[derive(Default)]
struct Lines(Vec<ImportLine>);

impl Lines {
    fn begin(&mut self, file: &'static str, line: usize, about: &str) -> usize {
        let about = about.chars().take(80).collect();
        self.0.push(ImportLine { file, line, about, change: LineChange::Same, problem: None, code: None });
        self.0.len() - 1
    }

    fn of(&self, at: usize) -> LineChange {
        self.0[at].change
    }

    fn set(&mut self, at: usize, change: LineChange) {
        self.0[at].change = change;
    }

    fn wrong(&mut self, at: usize, error: &Error) {
        let line = &mut self.0[at];
        line.change = LineChange::Wrong;
        let place = error.attribute().map(|name| format!("{name}: ")).unwrap_or_default();
        line.problem = Some(format!("{place}{}", error.message()));
        line.code = Some(error.code().to_owned());
    }

    fn report(self, entries: &[Entry], needs: &[(String, Vec<Needs>)]) -> Imported {
        let count = |wanted| self.0.iter().filter(|line| line.change == wanted).count();
        let added: BTreeSet<&str> =
            entries.iter().filter(|one| !one.known && one.revision == 0).map(|one| one.id.as_str()).collect();
        let touched: BTreeSet<&str> =
            entries.iter().map(|one| one.id.as_str()).chain(needs.iter().map(|(id, _)| id.as_str())).collect();
        Imported {
            added: added.len(),
            changed: touched.difference(&added).count(),
            wrong: count(LineChange::Wrong),
            lines: self.0,
        }
    }
}

/// The rows of the table of things, each with its place among the lines.
fn drafts(tx: &mut Tx<'_>, there: &Inventory, table: &Table, lines: &mut Lines) -> Vec<(usize, Entry)> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for (number, cells) in &table.lines {
        let name = table.cell(cells, "ref").unwrap_or_default();
        let at = lines.begin("nodes", *number, name);
        let twice = !seen.insert(there.find(name).map_or(name, |one| one.id.as_str()).to_owned());
        match draft(tx, there, table, cells) {
            _ if twice => lines.wrong(at, &Error::invalid("inventory.twice", format!("{name} is there twice"))),
            Ok(entry) => all.push((at, entry)),
            Err(e) => lines.wrong(at, &e),
        }
    }
    all
}

fn draft(tx: &mut Tx<'_>, there: &Inventory, table: &Table, cells: &[String]) -> Result<Entry> {
    let name = table.cell(cells, "ref").unwrap_or_default();
    if name.is_empty() {
        return Err(Error::invalid("inventory.ref", "a line needs a name of its own in the column `ref`"));
    }
    let now = there.find(name);
    let cell = |name: &str| table.cell(cells, name);
    let text = |name: &str, or: &str| cell(name).unwrap_or(or).to_owned();
    let word = text("kind", now.map_or("", |now| now.kind.word()));
    let kind = Kind::of(&word).ok_or_else(|| {
        let known = rules::ADDED.map(Kind::word).join(", ");
        Error::invalid("inventory.kind", format!("`{word}` is no kind; the kinds are {known}")).at("kind")
    })?;
    if let Some(now) = now.filter(|now| now.kind != kind) {
        let message = format!("it is a {}, and stays one: give another thing a name of its own", now.kind.word());
        return Err(Error::invalid("inventory.kind", message).at("kind"));
    }
    let before = now.map(|now| now.said.clone()).unwrap_or_default();
    let said_within = now.and_then(|now| now.within.clone().filter(|_| now.within != now.stands_in));
    Ok(Entry {
        id: now.map_or_else(|| InventoryId::fresh(tx.ids(), tx.now).to_string(), |now| now.id.clone()),
        key: now.map_or_else(|| name.to_owned(), |now| now.key.clone()),
        known: now.is_some_and(|now| now.known),
        kind,
        name: match now {
            Some(now) if now.known => now.name.clone(),
            _ => text("name", now.map_or("", |now| &now.name)),
        },
        within: cell("within").map_or(said_within, |name| Some(name.to_owned()).filter(|name| !name.is_empty())),
        said: Said {
            repair_seconds: span(cell("repair"), before.repair_seconds).map_err(|e| e.at("repair"))?,
            start_seconds: span(cell("start"), before.start_seconds).map_err(|e| e.at("start"))?,
            importance: from_1_to_5("importance", cell("importance"), before.importance)?,
            likelihood: from_1_to_5("likelihood", cell("likelihood"), before.likelihood)?,
            owner: text("owner", &before.owner),
            note: text("note", &before.note),
        },
        revision: now.map_or(0, |now| now.revision),
    })
}

fn span(cell: Option<&str>, before: Option<u64>) -> Result<Option<u64>> {
    match cell {
        None => Ok(before),
        Some("") => Ok(None),
        Some(text) => csv::seconds(text).map(Some),
    }
}

fn from_1_to_5(what: &'static str, cell: Option<&str>, before: Option<u8>) -> Result<Option<u8>> {
    match cell {
        None => Ok(before),
        Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let code = if what == "likelihood" { "inventory.likelihood" } else { "inventory.importance" };
            Error::invalid(code, format!("{what} is a number from 1 to 5")).at(what)
        }),
    }
}

/// The inventory as it would be, for names to be found in; a place that is not there stays out of it.
fn planned(there: &Inventory, drafts: &[(usize, Entry)], tenant: TenantId) -> Vec<Thing> {
    let mut next: BTreeMap<String, Thing> = there.things.iter().map(|one| (one.id.clone(), one.clone())).collect();
    for (_, entry) in drafts {
        let one = next.entry(entry.id.clone()).or_insert_with(|| rules::of_entry(entry.clone(), tenant));
        (one.name, one.kind) = (entry.name.clone(), entry.kind);
    }
    let named = Inventory::new(next.values().cloned().collect());
    for (_, entry) in drafts {
        let place = entry.within.as_ref().and_then(|within| named.find(within)).map(|place| place.id.clone());
        if let Some(one) = next.get_mut(&entry.id) {
            one.within = place.or_else(|| one.stands_in.clone());
        }
    }
    next.into_values().collect()
}

/// All that the nodes of the table of dependencies need from now on, where that is not so already.
fn needs(there: &Inventory, next: &Inventory, table: &Table, lines: &mut Lines) -> Vec<(String, Vec<Needs>)> {
    // node → set → (the least, members); a need that stands alone is a set of its own.
    let mut nodes: BTreeMap<String, BTreeMap<String, (u32, Vec<String>)>> = BTreeMap::new();
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, cells) in &table.lines {
        let cell = |name: &str| table.cell(cells, name).unwrap_or_default();
        let at = lines.begin("dependencies", *number, cell("node"));
        let read = || -> Result<(String, String, String, u32)> {
            let node = next.require(cell("node")).map_err(|e| e.at("node"))?.id.clone();
            let member = next.require(cell("needs")).map_err(|e| e.at("needs"))?.id.clone();
            let least = Some(cell("at_least")).filter(|text| !text.is_empty()).map_or(Ok(1), str::parse);
            let least = least.map_err(|_| Error::invalid("inventory.at_least", "a number").at("at_least"))?;
            let set = Some(cell("set")).filter(|set| !set.is_empty()).map_or(format!("\0{member}"), str::to_owned);
            Ok((node, member, set, least))
        };
        match read() {
            Err(e) => lines.wrong(at, &e),
            Ok((node, member, set, least)) => {
                places.entry(node.clone()).or_default().push(at);
                let (known, members) = nodes.entry(node).or_default().entry(set).or_insert_with(|| (least, Vec::new()));
                if *known != least {
                    let message = "all lines of a set say the same at_least";
                    lines.wrong(at, &Error::invalid("inventory.at_least", message));
                }
                members.push(member);
            }
        }
    }
    let mut all = Vec::new();
    for (node, sets) in nodes {
        let of = |(at_least, of): (u32, Vec<String>)| Needs { at_least, of, known: false };
        let stated: Vec<Needs> = sets.into_values().map(of).collect();
        let places = places.remove(&node).unwrap_or_default();
        match rules::check_needs(next, &node, &stated) {
            Err(e) => places.iter().for_each(|at| lines.wrong(*at, &e)),
            Ok(stated) if same(there, &node, &stated) => {}
            Ok(stated) => {
                let change = if there.find(&node).is_some() { LineChange::Change } else { LineChange::Add };
                for at in places.into_iter().filter(|at| lines.of(*at) != LineChange::Wrong).collect::<Vec<_>>() {
                    lines.set(at, change);
                }
                all.push((node, stated));
            }
        }
    }
    all
}

/// Whether a thing needs that already, in whatever order.
fn same(there: &Inventory, node: &str, stated: &[Needs]) -> bool {
    let sets = |needs: Vec<&Needs>| -> BTreeSet<(u32, BTreeSet<String>)> {
        needs.into_iter().map(|need| (need.at_least, need.of.iter().cloned().collect())).collect()
    };
    let now = there.find(node).map(|one| one.needs.iter().filter(|need| !need.known).collect()).unwrap_or_default();
    sets(now) == sets(stated.iter().collect())
}
