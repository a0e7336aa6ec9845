//! From an inventory and what was measured to the engine's graph.

use std::collections::{BTreeMap, BTreeSet};

use base::time::Timestamp;
use base::{Result, limits};
use gate::Tx;
use resources::capacity;
use resources::placement::Demand;

use super::store;
use crate::bia::{self, Assessment, HarmScale};
use crate::impact::{Activity, Copy, Data, Graph, Harm, Host, Kind, Need, Node, NodeIx, Source};
use crate::inventory::{self, Inventory, Known, Thing, View};
use crate::recoveries;

/// A graph with the things that its nodes are.
pub(super) struct Loaded {
    pub graph: Graph,
    /// The inventory; its things are the first nodes, in their order.
    pub there: Inventory,
    /// Hosts and sites that are not a part of the inventory, but that something may be restored to.
    pub beyond: Vec<Thing>,
    /// The unit of harm.
    pub unit: String,
    pub react: React,
}

/// How long it takes until the first restore begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct React {
    /// In seconds, altogether.
    pub seconds: u64,
    /// What drills measured of it; nothing where nothing was drilled.
    pub measured: Option<u64>,
}

impl Loaded {
    /// The node of a thing.
    pub fn node(&self, id: &str) -> Result<NodeIx> {
        let id = self.there.require(id)?.id.clone();
        Ok(NodeIx(self.there.at(&id).unwrap_or_default() as u32))
    }

    /// Whether a node is a part of the inventory.
    pub fn in_sight(&self, ix: NodeIx) -> bool {
        (ix.0 as usize) < self.there.things.len()
    }

    /// The thing of a node.
    pub fn thing(&self, ix: NodeIx) -> &Thing {
        let (at, count) = (ix.0 as usize, self.there.things.len());
        if at < count { &self.there.things[at] } else { &self.beyond[at - count] }
    }
}

/// What was measured, and what is free.
struct Figures {
    speeds: BTreeMap<String, u64>,
    copies: BTreeMap<String, Vec<(crate::BackupPlaceId, Timestamp)>>,
    sizes: BTreeMap<String, u64>,
    made_from: BTreeMap<String, String>,
    free: BTreeMap<String, Demand>,
    now: Timestamp,
}

fn figures(tx: &mut Tx<'_>, view: View, known: &Known) -> Result<Figures> {
    let whose = (!view.operator).then_some(view.tenant);
    let mut speeds = BTreeMap::new();
    for place in &known.places {
        let speed = recoveries::speed(tx, place.id)?;
        speeds.extend(speed.map(|speed| (place.id.to_string(), whole(speed))));
    }
    let free = capacity::fill_of_all(tx)?;
    Ok(Figures {
        speeds,
        copies: store::copies(tx, whose)?,
        sizes: store::sizes(tx, whose)?,
        made_from: store::made_from(tx, whose)?,
        free: free.into_iter().map(|(host, fill)| (host.to_string(), fill.free)).collect(),
        now: tx.now,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a speed is a positive estimate")]
fn whole(speed: f64) -> u64 {
    (speed as u64).max(1)
}

/// Everything that a study of a tenant's inventory wants. Restores begin when a silent host is
/// noticed, when people have decided, which takes `decide` seconds, and when a copy and a host are
/// chosen, for which drills say how long it takes.
pub(super) fn load(tx: &mut Tx<'_>, view: View, decide: u64) -> Result<Loaded> {
    let (there, known) = inventory::read(tx, view)?;
    let figures = figures(tx, view, &known)?;
    let (assessed, scale) = (bia::assessed(tx, view.tenant)?, bia::scale(tx, view.tenant)?);
    let measured = store::deciding(tx, (!view.operator).then_some(view.tenant))?;
    let noticed = u64::try_from(limits::HOST_SILENCE_SECONDS).unwrap_or_default();
    let beyond = beyond(&there, &known, view);
    let nodes = nodes(&there, &beyond, &known, &figures, &assessed, &scale);
    let seconds = noticed.saturating_add(measured.unwrap_or(0)).saturating_add(decide);
    Ok(Loaded { graph: Graph::new(nodes)?, there, beyond, unit: scale.unit, react: React { seconds, measured } })
}

/// Hosts that something may be restored to and that are not a part of the inventory, with their sites.
fn beyond(there: &Inventory, known: &Known, view: View) -> Vec<Thing> {
    let everything = inventory::things(known, View { operator: true, ..view });
    let wanted: BTreeSet<String> = known.hosts.iter().filter(|host| host.takes).map(|host| host.id.clone()).collect();
    let stand: BTreeSet<String> = known.hosts.iter().map(|host| host.site.clone()).collect();
    let missing = |one: &Thing| {
        there.find(&one.id).is_none() && (wanted.contains(&one.id) || one.kind == Kind::Site && stand.contains(&one.id))
    };
    everything.into_iter().filter(missing).collect()
}

fn nodes(
    there: &Inventory,
    beyond: &[Thing],
    known: &Known,
    figures: &Figures,
    assessed: &BTreeMap<String, Assessment>,
    scale: &HarmScale,
) -> Vec<Node> {
    let ids = there.things.iter().chain(beyond).map(|one| one.id.as_str()).enumerate();
    let places: BTreeMap<&str, NodeIx> = ids.map(|(at, id)| (id, NodeIx(at as u32))).collect();
    let at = |id: &str| places.get(id).copied();
    let need = |need: &inventory::Needs| Need {
        at_least: need.at_least,
        of: need.of.iter().filter_map(|id| at(id)).collect(),
    };
    let mut nodes: Vec<Node> = there
        .things
        .iter()
        .chain(beyond)
        .map(|one| Node {
            within: one.within.as_deref().and_then(at),
            needs: one.needs.iter().map(need).collect(),
            repair_seconds: one.said.repair_seconds,
            start_seconds: one.said.start_seconds.unwrap_or(0),
            ..Node::new(one.kind)
        })
        .collect();
    for host in known.hosts.iter().filter(|host| host.takes) {
        let free = figures.free.get(&host.id).copied().unwrap_or_default();
        // What is measured is a restore from end to end: the speed of a place has that of hosts in it.
        let restores = Source { lanes: 1, bytes_per_second: Some(u64::MAX) };
        if let Some(ix) = at(&host.id) {
            nodes[ix.0 as usize].host = Some(Host { pool: 0, free, restores });
        }
    }
    for place in &known.places {
        let id = place.id.to_string();
        if let Some(ix) = at(&id) {
            // One restore at a time was measured; two of them would share it.
            let bytes_per_second = figures.speeds.get(&id).copied();
            nodes[ix.0 as usize].source = Some(Source { lanes: 1, bytes_per_second });
        }
    }
    for machine in &known.machines {
        if let Some(ix) = at(&machine.id) {
            let node = &mut nodes[ix.0 as usize];
            let said = there.find(&machine.id).and_then(|one| one.said.start_seconds);
            node.start_seconds = said.or(machine.boot_seconds).unwrap_or(0);
            node.data = Some(data(&machine.id, machine.demand, known, figures, &at));
        }
    }
    activities(&mut nodes, there, assessed, scale);
    nodes
}

fn data(machine: &str, demand: Demand, known: &Known, figures: &Figures, at: &impl Fn(&str) -> Option<NodeIx>) -> Data {
    let saved = saved_as(machine, figures);
    let copy = |(place, taken): &(crate::BackupPlaceId, Timestamp)| {
        let seen = known.places.iter().find(|one| one.id == *place)?;
        let age = figures.now.duration_since(*taken).as_secs();
        let only = match &seen.only {
            Some(host) => Some(at(host)?),
            None => None,
        };
        Some(Copy { place: at(&place.to_string())?, age_seconds: u64::try_from(age).unwrap_or(0), only })
    };
    Data {
        demand,
        pool: 0,
        bytes: figures.sizes.get(saved).copied().unwrap_or(0),
        copies: figures.copies.get(saved).into_iter().flatten().filter_map(copy).collect(),
    }
}

/// The machine that copies of this one are of: itself, or that which it was made again from.
fn saved_as<'f>(machine: &'f str, figures: &'f Figures) -> &'f str {
    let (mut at, mut seen) = (machine, BTreeSet::new());
    while !figures.copies.contains_key(at) && seen.insert(at) {
        match figures.made_from.get(at) {
            Some(before) => at = before,
            None => return machine,
        }
    }
    at
}

/// What harms when it stops: activities, and services that no activity needs.
fn activities(nodes: &mut [Node], there: &Inventory, assessed: &BTreeMap<String, Assessment>, scale: &HarmScale) {
    let mut needed = vec![false; nodes.len()];
    let mut way: Vec<usize> = (0..there.things.len()).filter(|at| nodes[*at].kind == Kind::Activity).collect();
    while let Some(at) = way.pop() {
        if !std::mem::replace(&mut needed[at], true) {
            way.extend(nodes[at].needs.iter().flat_map(|need| &need.of).map(|ix| ix.0 as usize));
        }
    }
    for (at, one) in there.things.iter().enumerate() {
        nodes[at].activity = match one.kind {
            Kind::Activity => Some(assessed.get(&one.id).map(|one| harmed(one, scale)).unwrap_or_default()),
            Kind::Service if !needed[at] => Some(Activity::default()),
            _ => None,
        };
    }
}

fn harmed(one: &Assessment, scale: &HarmScale) -> Activity {
    let step = |step: &bia::HarmAt| Harm { after_seconds: step.after_seconds, amount: scale.amount(step.level) };
    Activity {
        harm: one.harm.iter().map(step).collect(),
        rto_seconds: one.rto_seconds,
        rpo_seconds: one.rpo_seconds,
        mtpd_seconds: one.mtpd_seconds,
    }
}
