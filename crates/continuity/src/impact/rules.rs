//! What a loss leads to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::graph::Graph;
use super::types::{Back, Copy, Data, Loss, Move, NodeIx, Outcome, Source, Stop, Why};

/// A node, by how much its loss alone harms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// Which.
    pub node: NodeIx,
    /// The harm of losing it.
    pub harm: u64,
    /// How many activities stop.
    pub activities: u32,
    /// How many of them do not come back by anything that is known.
    pub never: u32,
    /// How many miss an objective.
    pub missed: u32,
}

/// Questions put to one graph. Its memory is used again from question to question,
/// and a question costs what it reaches, not what the graph holds.
#[derive(Debug)]
pub struct Study<'g> {
    graph: &'g Graph,
    /// How long it takes to notice and to decide, before the first restore begins.
    react_seconds: u64,
    /// The present question; what carries another number is from an earlier one.
    question: u32,
    state: Vec<(u32, State)>,
    missing: Vec<(u32, u32)>,
    /// Everything stopped, in the order in which it stopped.
    stopped: Vec<NodeIx>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    lost: bool,
    back: Option<Back>,
    moved: bool,
    loss: Option<Loss>,
    /// Needs and container that are not yet back.
    waits: u32,
}

/// What stands still or moves, as the second look at the clock needs it.
struct Restored {
    moves: BTreeMap<NodeIx, Result<Move, Why>>,
}

impl<'g> Study<'g> {
    /// A study of the graph, with the time that detecting and deciding took.
    pub fn new(graph: &'g Graph, react_seconds: u64) -> Self {
        Study {
            graph,
            react_seconds,
            question: 0,
            state: vec![(0, State::default()); graph.len()],
            missing: vec![(0, 0); graph.needs_count()],
            stopped: Vec::new(),
        }
    }

    /// Every node that stops an activity when it alone is lost, worst first.
    pub fn single_points(&mut self) -> Vec<Rank> {
        let nodes: Vec<_> = self.graph.nodes().map(|(ix, _)| ix).collect();
        let mut ranks: Vec<_> = nodes.into_iter().filter_map(|ix| self.rank(ix)).collect();
        ranks.sort_by_key(|rank| (Reverse(rank.harm), Reverse(rank.activities), rank.node));
        ranks
    }

    fn rank(&mut self, node: NodeIx) -> Option<Rank> {
        let outcome = self.lose(&[node]);
        let count = |wanted: &dyn Fn(&&Stop) -> bool| outcome.activities.iter().filter(wanted).count() as u32;
        (!outcome.activities.is_empty()).then(|| Rank {
            node,
            harm: outcome.harm,
            activities: outcome.activities.len() as u32,
            never: count(&|stop| matches!(stop.back, Back::Never(_))),
            missed: count(&|stop| stop.rto_missed || stop.rpo_missed || stop.mtpd_missed),
        })
    }

    /// What the loss of these, all at one moment, leads to.
    pub fn lose(&mut self, failed: &[NodeIx]) -> Outcome {
        self.question += 1;
        self.stopped.clear();
        self.mark_lost(failed);
        self.spread();
        self.wait_for(&Restored { moves: BTreeMap::new() });
        let restored = self.restore();
        if !restored.moves.is_empty() {
            self.wait_for(&restored);
        }
        self.count_losses(&restored);
        self.outcome(failed, restored)
    }

    fn state(&self, ix: NodeIx) -> Option<&State> {
        let (question, state) = &self.state[ix.at()];
        (*question == self.question).then_some(state)
    }

    fn state_mut(&mut self, ix: NodeIx) -> &mut State {
        &mut self.state[ix.at()].1
    }

    /// Notes that a node has stopped; false where it had before.
    fn stop(&mut self, ix: NodeIx, lost: bool) -> bool {
        if self.state(ix).is_some() {
            return false;
        }
        self.state[ix.at()] = (self.question, State { lost, ..State::default() });
        self.stopped.push(ix);
        true
    }

    /// The failed and all that stands in them.
    fn mark_lost(&mut self, failed: &[NodeIx]) {
        let graph = self.graph;
        let mut way = failed.to_vec();
        while let Some(ix) = way.pop() {
            if self.stop(ix, true) {
                way.extend(graph.holds(ix));
            }
        }
    }

    /// All that stops because something stopped: what stands in it, and what needs
    /// more than is left.
    fn spread(&mut self) {
        let graph = self.graph;
        let mut next = 0;
        while let Some(ix) = self.stopped.get(next).copied() {
            next += 1;
            for held in graph.holds(ix) {
                self.stop(*held, false);
            }
            for (need, owner, spare) in graph.named_by(ix) {
                let (question, missing) = &mut self.missing[need];
                *missing = if *question == self.question { *missing + 1 } else { 1 };
                *question = self.question;
                if *missing > spare {
                    self.stop(owner, false);
                }
            }
        }
    }

    /// When each of the stopped is back: the nearest moment first, each node when
    /// the last of what it needs is there (Knuth's generalisation of Dijkstra's
    /// algorithm to and-or graphs, 1977; `k` of `n` is the `k`-th to arrive).
    fn wait_for(&mut self, restored: &Restored) {
        let graph = self.graph;
        let mut arrivals = BinaryHeap::new();
        // How many members each need still wants: those that run already are there.
        let mut wanted = BTreeMap::new();
        for ix in self.stopped.clone() {
            let waits = self.first_waits(ix, restored, &mut wanted);
            let state = self.state_mut(ix);
            (state.back, state.waits) = (None, waits);
            if waits == 0
                && let Some(base) = self.base(ix, restored)
            {
                arrivals.push(Reverse((base.saturating_add(graph.node(ix).start_seconds), ix)));
            }
        }
        while let Some(Reverse((now, ix))) = arrivals.pop() {
            self.state_mut(ix).back = Some(Back::At(now));
            let mut ready = Vec::new();
            for held in graph.holds(ix) {
                if !self.state(*held).is_some_and(|state| state.moved) {
                    ready.push(*held);
                }
            }
            for (need, owner, _) in graph.named_by(ix) {
                if let Some(left) = wanted.get_mut(&need) {
                    *left -= 1u32;
                    if *left == 0 {
                        wanted.remove(&need);
                        ready.push(owner);
                    }
                }
            }
            for owner in ready {
                let state = self.state_mut(owner);
                state.waits -= 1;
                if state.waits == 0
                    && let Some(base) = self.base(owner, restored)
                {
                    let moment = base.max(now).saturating_add(graph.node(owner).start_seconds);
                    arrivals.push(Reverse((moment, owner)));
                }
            }
        }
        self.name_reasons(restored);
    }

    /// How many of a stopped node's needs, and its container, are not there at first.
    fn first_waits(&mut self, ix: NodeIx, restored: &Restored, wanted: &mut BTreeMap<usize, u32>) -> u32 {
        let graph = self.graph;
        let moved = matches!(restored.moves.get(&ix), Some(Ok(_)));
        self.state_mut(ix).moved = moved;
        let mut waits = 0;
        for (number, need) in graph.needs_of(ix).zip(&graph.node(ix).needs) {
            let (question, missing) = self.missing[number];
            let missing = if question == self.question { missing } else { 0 };
            let running = need.of.len() as u32 - missing;
            if let Some(left) = need.at_least.checked_sub(running).filter(|left| *left > 0) {
                wanted.insert(number, left);
                waits += 1;
            }
        }
        // What is restored elsewhere no longer waits for the place where it stood.
        let container = graph.node(ix).within.filter(|within| !moved && self.state(*within).is_some());
        waits + u32::from(container.is_some())
    }

    /// The moment at which a node itself could start, whatever it needs; nothing
    /// where it does not come back by itself.
    fn base(&self, ix: NodeIx, restored: &Restored) -> Option<u64> {
        if let Some(Ok(one)) = restored.moves.get(&ix) {
            return Some(one.end_seconds);
        }
        let node = self.graph.node(ix);
        match self.state(ix).is_some_and(|state| state.lost) {
            false => Some(0),
            // Its disks are gone: repairing the place does not bring them back.
            true if node.data.is_some() => None,
            true => node.repair_seconds,
        }
    }

    /// Why each of those that are never back is not: a reason of its own, then what
    /// it needs; who is left waits in a circle.
    fn name_reasons(&mut self, restored: &Restored) {
        let graph = self.graph;
        let pending: Vec<_> = self.stopped.iter().copied().filter(|ix| self.is_pending(*ix)).collect();
        let mut way = Vec::new();
        for ix in &pending {
            if self.base(*ix, restored).is_none() {
                let why = match restored.moves.get(ix) {
                    Some(Err(why)) => *why,
                    _ => Why::NoRepair,
                };
                self.state_mut(*ix).back = Some(Back::Never(why));
                way.push(*ix);
            }
        }
        let mut gone = BTreeMap::new();
        while let Some(ix) = way.pop() {
            let mut reached: Vec<_> = graph.holds(ix).to_vec();
            for (need, owner, spare) in graph.named_by(ix) {
                let missing = gone.entry(need).or_insert(0u32);
                *missing += 1;
                if *missing > spare {
                    reached.push(owner);
                }
            }
            for owner in reached {
                if self.is_pending(owner) {
                    self.state_mut(owner).back = Some(Back::Never(Why::Needs));
                    way.push(owner);
                }
            }
        }
        for ix in pending {
            self.state_mut(ix).back.get_or_insert(Back::Never(Why::Circular));
        }
    }

    fn is_pending(&self, ix: NodeIx) -> bool {
        self.state(ix).is_some_and(|state| state.back.is_none())
    }

    /// Restores what is lost, and what would be back too late where it stands, in
    /// the order of urgency: the tightest inherited objective first.
    fn restore(&self) -> Restored {
        let graph = self.graph;
        let mut urgent: Vec<_> = self.stopped.iter().copied().filter(|ix| self.should_move(*ix)).collect();
        urgent.sort_by_key(|ix| (graph.rto(*ix).unwrap_or(u64::MAX), *ix));
        let mut yard = Yard::default();
        let moves = urgent.into_iter().map(|ix| (ix, self.place(ix, &mut yard)));
        // A machine that only waits goes on waiting where it cannot be moved.
        let kept = moves.filter(|(ix, placed)| placed.is_ok() || self.state(*ix).is_some_and(|state| state.lost));
        Restored { moves: kept.collect() }
    }

    fn should_move(&self, ix: NodeIx) -> bool {
        let (Some(state), true) = (self.state(ix), self.graph.node(ix).data.is_some()) else { return false };
        let late = |objective| state.back.is_none_or(|back| back > Back::At(objective));
        // Only the loss or standstill of its own place is cured by another place.
        let place = self.graph.node(ix).within.is_some_and(|within| self.state(within).is_some());
        state.lost || (place && self.graph.rto(ix).is_some_and(late))
    }

    /// The freshest copy that can be read, onto the host where it is there first;
    /// of equals, the host that it leaves the least room on.
    fn place(&self, ix: NodeIx, yard: &mut Yard) -> Result<Move, Why> {
        let Some(data) = &self.graph.node(ix).data else { return Err(Why::NoCopy) };
        let copies = self.readable(data);
        if copies.is_empty() {
            return Err(Why::NoCopy);
        }
        let free = |host: &NodeIx| yard.free(self.graph, *host);
        let room: Vec<_> =
            self.graph.pool(data.pool).iter().copied().filter(|host| self.state(*host).is_none()).collect();
        let room: Vec<_> = room.into_iter().filter(|host| fits(data, free(host))).collect();
        if room.is_empty() {
            return Err(Why::NoRoom);
        }
        let best = copies
            .iter()
            .flat_map(|(copy, readable)| room.iter().map(move |host| (copy, *readable, *host)))
            .filter(|(copy, _, host)| copy.only.is_none_or(|only| only == *host));
        let mut best = best.peekable();
        if best.peek().is_none() {
            return Err(Why::NoRoom);
        }
        let best = best.filter_map(|(copy, readable, host)| {
            let (start, end) = self.restore_time(data, copy.place, readable, host, yard)?;
            let left: i64 = yard.free(self.graph, host).iter().sum();
            Some((copy.age_seconds, end, left, host, copy.place, start))
        });
        let best = best.min().ok_or(Why::NotMeasured)?;
        let (age_seconds, end_seconds, _, to, from, start_seconds) = best;
        yard.take(self.graph, data, from, to, end_seconds);
        Ok(Move { node: ix, from, to, start_seconds, end_seconds, age_seconds })
    }

    /// Copies whose place is not lost and comes back, each with that moment.
    fn readable<'d>(&self, data: &'d Data) -> Vec<(&'d Copy, u64)> {
        let moment = |place: NodeIx| match self.state(place) {
            None => Some(0),
            Some(state) if state.lost => None,
            Some(state) => match state.back {
                Some(Back::At(seconds)) => Some(seconds),
                _ => None,
            },
        };
        data.copies.iter().filter_map(|copy| Some((copy, moment(copy.place)?))).collect()
    }

    /// What is missing of lost data that nobody restores: the copies are there.
    fn left_of(&self, data: &Data) -> Loss {
        let whole = data.copies.iter().filter(|copy| !self.state(copy.place).is_some_and(|state| state.lost));
        whole.map(|copy| Loss::Seconds(copy.age_seconds)).min().unwrap_or(Loss::All)
    }

    /// From when until when a restore from here to there runs; nothing where a speed
    /// was never measured.
    fn restore_time(&self, data: &Data, from: NodeIx, readable: u64, to: NodeIx, yard: &Yard) -> Option<(u64, u64)> {
        let source = self.graph.node(from).source?;
        let target = self.graph.node(to).host.as_ref()?.restores;
        let speed = source.bytes_per_second?.min(target.bytes_per_second?);
        let lanes = yard.lane(from, Way::Out, source).max(yard.lane(to, Way::Onto, target));
        let start = self.react_seconds.max(readable).max(lanes);
        Some((start, start.saturating_add(data.bytes.div_ceil(speed.max(1)))))
    }

    /// What of each node's data is gone: its own, or that of anything stopped which
    /// it needs.
    fn count_losses(&mut self, restored: &Restored) {
        let graph = self.graph;
        let mut way = Vec::new();
        for ix in self.stopped.clone() {
            let state = self.state(ix).copied().unwrap_or_default();
            let loss = match (restored.moves.get(&ix), &graph.node(ix).data) {
                (Some(Ok(one)), _) => Some(Loss::Seconds(one.age_seconds)),
                (_, Some(data)) if state.lost && data.bytes > 0 => Some(self.left_of(data)),
                _ => None,
            };
            if loss.is_some() {
                self.state_mut(ix).loss = loss;
                way.push(ix);
            }
        }
        while let Some(ix) = way.pop() {
            let loss = self.state(ix).and_then(|state| state.loss);
            let above: Vec<_> = graph.named_by(ix).map(|(_, owner, _)| owner).collect();
            for owner in above {
                if self.state(owner).is_some_and(|state| state.loss < loss) {
                    self.state_mut(owner).loss = loss;
                    way.push(owner);
                }
            }
        }
    }

    fn outcome(&self, failed: &[NodeIx], restored: Restored) -> Outcome {
        let graph = self.graph;
        let back = |ix: NodeIx| self.state(ix).and_then(|state| state.back).unwrap_or(Back::Never(Why::Circular));
        let mut stopped: Vec<_> = self.stopped.iter().map(|ix| (*ix, back(*ix))).collect();
        stopped.sort_unstable();
        let activities: Vec<_> = stopped.iter().filter_map(|(ix, back)| self.stop_of(*ix, *back)).collect();
        let own_loss = |ix: &NodeIx| graph.node(*ix).data.as_ref().and(self.state(*ix)?.loss).map(|loss| (*ix, loss));
        let losses = stopped.iter().filter_map(|(ix, _)| own_loss(ix)).collect();
        let mut moves: Vec<_> = restored.moves.into_values().filter_map(Result::ok).collect();
        moves.sort_by_key(|one| (graph.rto(one.node).unwrap_or(u64::MAX), one.node));
        let harm = activities.iter().fold(0u64, |sum, stop| sum.saturating_add(stop.harm));
        Outcome { failed: failed.to_vec(), stopped, moves, losses, activities, harm }
    }

    fn stop_of(&self, ix: NodeIx, back: Back) -> Option<Stop> {
        let activity = self.graph.node(ix).activity.as_ref()?;
        let loss = self.state(ix)?.loss;
        let later = |objective: Option<u64>| objective.is_some_and(|seconds| back > Back::At(seconds));
        Some(Stop {
            activity: ix,
            back,
            loss,
            harm: activity.harm_until(back),
            rto_missed: later(activity.rto_seconds),
            mtpd_missed: later(activity.mtpd_seconds),
            rpo_missed: activity.rpo_seconds.is_some_and(|seconds| loss > Some(Loss::Seconds(seconds))),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Out,
    Onto,
}

/// What the restores of one question have taken so far.
#[derive(Default)]
struct Yard {
    taken: BTreeMap<NodeIx, [i64; 3]>,
    /// When each lane is free again: out of a place, and onto a host.
    lanes: BTreeMap<(NodeIx, Way), Vec<u64>>,
}

impl Yard {
    fn free(&self, graph: &Graph, host: NodeIx) -> [i64; 3] {
        let free = graph.node(host).host.as_ref().map_or([0; 3], |host| host.free.amounts());
        let taken = self.taken.get(&host).copied().unwrap_or_default();
        std::array::from_fn(|dimension| free[dimension].saturating_sub(taken[dimension]))
    }

    /// The moment at which a lane of the place is free.
    fn lane(&self, place: NodeIx, way: Way, source: Source) -> u64 {
        match self.lanes.get(&(place, way)) {
            Some(lanes) if lanes.len() >= source.lanes as usize => lanes.iter().min().copied().unwrap_or(0),
            _ => 0,
        }
    }

    fn take(&mut self, graph: &Graph, data: &Data, from: NodeIx, to: NodeIx, end: u64) {
        let taken = self.taken.entry(to).or_default();
        taken.iter_mut().zip(data.demand.amounts()).for_each(|(taken, amount)| *taken = taken.saturating_add(amount));
        let target = graph.node(to).host.as_ref().map(|host| host.restores);
        for (place, way, source) in [(from, Way::Out, graph.node(from).source), (to, Way::Onto, target)] {
            let lanes = self.lanes.entry((place, way)).or_default();
            if lanes.len() < source.map_or(0, |source| source.lanes as usize) {
                lanes.push(end);
            } else if let Some(first) = lanes.iter_mut().min() {
                *first = end;
            }
        }
    }
}

fn fits(data: &Data, free: [i64; 3]) -> bool {
    data.demand.amounts().iter().zip(free).all(|(wanted, free)| *wanted <= free)
}
