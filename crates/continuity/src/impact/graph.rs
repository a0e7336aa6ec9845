//! The graph of what depends on what, checked once and laid out for many questions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use base::limits::{IMPACT_NEEDS_MAX, IMPACT_NODES_MAX};
use base::{Error, Result};

use super::types::{Node, NodeIx};

/// Nodes, checked, with the way back from each to those that need it.
#[derive(Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    /// First need of each node in the numbering of all needs, and one past the last.
    needs: Vec<u32>,
    /// Whose need it is.
    owner: Vec<NodeIx>,
    /// The needs that name a node.
    named_by: Rows<u32>,
    /// What stands in a node.
    holds: Rows<NodeIx>,
    /// The hosts of each pool.
    pools: Rows<NodeIx>,
    /// The tightest objective of all that depends on a node, itself included.
    rto: Vec<Option<u64>>,
    rpo: Vec<Option<u64>>,
}

/// A list for each number, in one piece of memory.
#[derive(Debug)]
struct Rows<T> {
    start: Vec<u32>,
    items: Vec<T>,
}

impl<T: std::marker::Copy> Rows<T> {
    fn of(count: usize, pairs: &[(usize, T)]) -> Self {
        let mut start = vec![0u32; count + 1];
        pairs.iter().for_each(|(row, _)| start[row + 1] += 1);
        for row in 0..count {
            start[row + 1] += start[row];
        }
        let mut sorted: Vec<_> = pairs.to_vec();
        sorted.sort_by_key(|(row, _)| *row);
        Rows { start, items: sorted.into_iter().map(|(_, item)| item).collect() }
    }

    fn row(&self, row: usize) -> &[T] {
        match (self.start.get(row), self.start.get(row + 1)) {
            (Some(from), Some(to)) => &self.items[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

impl Graph {
    /// Checks the nodes and lays them out.
    ///
    /// # Errors
    /// `impact.too_large`, `impact.dangling` (a name that leads nowhere),
    /// `impact.need` (no member, one twice, or more wanted than there are),
    /// `impact.within` (a node that stands in itself), `impact.pool`, `impact.lanes`.
    pub fn new(nodes: Vec<Node>) -> Result<Graph> {
        if nodes.len() > IMPACT_NODES_MAX {
            return Err(Error::invalid("impact.too_large", format!("a study takes at most {IMPACT_NODES_MAX} nodes")));
        }
        for (index, node) in nodes.iter().enumerate() {
            check(node, nodes.len()).map_err(|error| error.at(format!("nodes.{index}")))?;
        }
        check_within(&nodes)?;
        let (mut needs, mut owner, mut named) = (vec![0u32], Vec::new(), Vec::new());
        for (index, node) in nodes.iter().enumerate() {
            for need in &node.needs {
                named.extend(need.of.iter().map(|member| (member.at(), owner.len() as u32)));
                owner.push(NodeIx(index as u32));
            }
            needs.push(owner.len() as u32);
        }
        if named.len() > IMPACT_NEEDS_MAX {
            return Err(Error::invalid("impact.too_large", format!("a study takes at most {IMPACT_NEEDS_MAX} needs")));
        }
        let held: Vec<_> = indexed(&nodes).filter_map(|(ix, node)| Some((node.within?.at(), ix))).collect();
        let hosts: Vec<_> =
            indexed(&nodes).filter_map(|(ix, node)| Some((node.host.as_ref()?.pool as usize, ix))).collect();
        let pools = hosts.iter().map(|(pool, _)| pool + 1).max().unwrap_or(0);
        let mut graph = Graph {
            named_by: Rows::of(nodes.len(), &named),
            holds: Rows::of(nodes.len(), &held),
            pools: Rows::of(pools, &hosts),
            rto: Vec::new(),
            rpo: Vec::new(),
            nodes,
            needs,
            owner,
        };
        graph.rto = graph.rolled_down(|activity| activity.rto_seconds);
        graph.rpo = graph.rolled_down(|activity| activity.rpo_seconds);
        Ok(graph)
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node.
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.at()]
    }

    /// All nodes with their places.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        indexed(&self.nodes)
    }

    /// The tightest recovery time objective of all activities that depend on the
    /// node, in seconds: what a one-hour activity uses inherits one hour.
    pub fn rto(&self, ix: NodeIx) -> Option<u64> {
        self.rto[ix.at()]
    }

    /// The tightest recovery point objective of all activities that depend on it.
    pub fn rpo(&self, ix: NodeIx) -> Option<u64> {
        self.rpo[ix.at()]
    }

    pub(super) fn needs_count(&self) -> usize {
        self.owner.len()
    }

    /// The numbers of a node's needs.
    pub(super) fn needs_of(&self, ix: NodeIx) -> std::ops::Range<usize> {
        self.needs[ix.at()] as usize..self.needs[ix.at() + 1] as usize
    }

    /// The needs that name a node, each with the node whose it is and how many of
    /// its members may be missing.
    pub(super) fn named_by(&self, ix: NodeIx) -> impl Iterator<Item = (usize, NodeIx, u32)> {
        self.named_by.row(ix.at()).iter().map(|need| {
            let owner = self.owner[*need as usize];
            let need_at = *need as usize - self.needs[owner.at()] as usize;
            let need_of = &self.nodes[owner.at()].needs[need_at];
            (*need as usize, owner, need_of.of.len() as u32 - need_of.at_least)
        })
    }

    pub(super) fn holds(&self, ix: NodeIx) -> &[NodeIx] {
        self.holds.row(ix.at())
    }

    pub(super) fn pool(&self, pool: u32) -> &[NodeIx] {
        self.pools.row(pool as usize)
    }

    /// The least value of all activities above each node: nearest value first, so
    /// that every node is settled once.
    fn rolled_down(&self, value: impl Fn(&super::Activity) -> Option<u64>) -> Vec<Option<u64>> {
        let mut settled = vec![None; self.nodes.len()];
        let mut queue: BinaryHeap<_> = indexed(&self.nodes)
            .filter_map(|(ix, node)| Some(Reverse((node.activity.as_ref().and_then(&value)?, ix))))
            .collect();
        while let Some(Reverse((seconds, ix))) = queue.pop() {
            if settled[ix.at()].is_some() {
                continue;
            }
            settled[ix.at()] = Some(seconds);
            let node = &self.nodes[ix.at()];
            let below = node.needs.iter().flat_map(|need| need.of.iter().copied()).chain(node.within);
            queue.extend(below.filter(|below| settled[below.at()].is_none()).map(|below| Reverse((seconds, below))));
        }
        settled
    }
}

fn indexed(nodes: &[Node]) -> impl Iterator<Item = (NodeIx, &Node)> {
    nodes.iter().enumerate().map(|(index, node)| (NodeIx(index as u32), node))
}

fn check(node: &Node, count: usize) -> Result<()> {
    let copies =
        node.data.iter().flat_map(|data| data.copies.iter().flat_map(|copy| copy.only.into_iter().chain([copy.place])));
    let named = node.needs.iter().flat_map(|need| need.of.iter().copied());
    if let Some(lost) = node.within.into_iter().chain(named).chain(copies).find(|ix| ix.at() >= count) {
        return Err(Error::dangling("impact.dangling", format!("there is no node {}", lost.0)));
    }
    for need in &node.needs {
        let mut members = need.of.clone();
        members.sort_unstable();
        members.dedup();
        if members.len() != need.of.len() || need.at_least == 0 || need.at_least as usize > members.len() {
            let message = "a need names each member once and wants at least one and at most all of them";
            return Err(Error::invalid("impact.need", message));
        }
    }
    let pools = node.data.iter().map(|data| data.pool).chain(node.host.iter().map(|host| host.pool));
    if pools.into_iter().any(|pool| pool as usize >= IMPACT_NODES_MAX) {
        return Err(Error::invalid("impact.pool", format!("pools are numbered from 0 to {}", IMPACT_NODES_MAX - 1)));
    }
    let lanes = node.source.iter().chain(node.host.iter().map(|host| &host.restores)).any(|source| source.lanes == 0);
    if lanes {
        return Err(Error::invalid("impact.lanes", "a place restores at least one thing at a time"));
    }
    Ok(())
}

/// No node stands in itself, whatever lies between.
fn check_within(nodes: &[Node]) -> Result<()> {
    // 0: not looked at, 1: on the way from the present start, 2: known to end.
    let mut seen = vec![0u8; nodes.len()];
    for start in 0..nodes.len() {
        let (mut at, mut way) = (Some(start), Vec::new());
        while let Some(index) = at.filter(|index| seen[*index] != 2) {
            if seen[index] == 1 {
                return Err(Error::invalid("impact.within", "a node stands in itself").at(format!("nodes.{index}")));
            }
            seen[index] = 1;
            way.push(index);
            at = nodes[index].within.map(NodeIx::at);
        }
        way.into_iter().for_each(|index| seen[index] = 2);
    }
    Ok(())
}
