//! The engine against a brute force that looks at everything, again and again,
//! until nothing changes.

use proptest::prelude::*;
use resources::placement::Demand;

use super::*;

const REACT: u64 = 60;

fn node(kind: Kind) -> Node {
    Node::new(kind)
}

fn needs(of: &[u32]) -> Vec<Need> {
    of.iter().map(|member| Need { at_least: 1, of: vec![NodeIx(*member)] }).collect()
}

fn demand(vcpu: i64) -> Demand {
    Demand { vcpu, memory_mib: 0, disk_mib: 0 }
}

fn host(free: i64) -> Node {
    let restores = Source { lanes: 1, bytes_per_second: Some(100) };
    Node { host: Some(Host { pool: 0, free: demand(free), restores }), source: Some(restores), ..node(Kind::Host) }
}

fn machine(within: u32, copies: &[(u32, u64)]) -> Node {
    let copies =
        copies.iter().map(|(place, age)| Copy { place: NodeIx(*place), age_seconds: *age, only: None }).collect();
    let data = Data { demand: demand(1), pool: 0, bytes: 1_000, copies };
    Node { within: Some(NodeIx(within)), start_seconds: 5, data: Some(data), ..node(Kind::Resource) }
}

fn activity(of: &[u32], rto: u64, rpo: u64) -> Node {
    let harm = vec![Harm { after_seconds: 0, amount: 1 }, Harm { after_seconds: rto, amount: 10 }];
    let objectives = Activity { harm, rto_seconds: Some(rto), rpo_seconds: Some(rpo), mtpd_seconds: Some(rto * 2) };
    Node { needs: needs(of), activity: Some(objectives), ..node(Kind::Activity) }
}

fn lose(nodes: Vec<Node>, failed: u32) -> Outcome {
    let graph = Graph::new(nodes).unwrap();
    Study::new(&graph, REACT).lose(&[NodeIx(failed)])
}

#[test]
fn a_lost_host_has_its_machine_restored_on_another_from_the_freshest_copy() {
    // Two hosts, a machine on the first, copies on both, an activity.
    let nodes = vec![host(4), host(4), machine(0, &[(0, 10), (1, 300)]), activity(&[2], 3_600, 600)];
    let outcome = lose(nodes, 0);
    let restored = outcome.moves[0];
    assert_eq!((restored.from, restored.to), (NodeIx(1), NodeIx(1)), "the fresher copy went with its host");
    assert_eq!((restored.start_seconds, restored.end_seconds, restored.age_seconds), (REACT, 70, 300));
    let stop = outcome.activities[0];
    assert_eq!((stop.back, stop.loss, stop.harm), (Back::At(75), Some(Loss::Seconds(300)), 1));
    assert!(!stop.rto_missed && !stop.rpo_missed && !stop.mtpd_missed);
}

#[test]
fn a_machine_whose_every_copy_went_with_it_never_comes_back() {
    let outcome = lose(vec![host(4), host(4), machine(0, &[(0, 10)]), activity(&[2], 3_600, 600)], 0);
    assert_eq!(outcome.stopped[1], (NodeIx(2), Back::Never(Why::NoCopy)));
    assert_eq!(outcome.losses, [(NodeIx(2), Loss::All)]);
    let stop = outcome.activities[0];
    assert_eq!((stop.back, stop.harm), (Back::Never(Why::Needs), 10));
    assert!(stop.rto_missed && stop.rpo_missed && stop.mtpd_missed);
}

#[test]
fn room_is_arithmetic_and_the_urgent_come_first() {
    // Room for one of two machines: the one that the one-hour activity needs.
    let nodes = vec![
        host(0),
        host(1),
        machine(0, &[(1, 0)]),
        machine(0, &[(1, 0)]),
        activity(&[2], 86_400, 600),
        activity(&[3], 3_600, 600),
    ];
    let outcome = lose(nodes, 0);
    assert_eq!(outcome.moves.iter().map(|one| one.node).collect::<Vec<_>>(), [NodeIx(3)]);
    assert_eq!(outcome.stopped[1], (NodeIx(2), Back::Never(Why::NoRoom)));
    assert_eq!(outcome.losses, [(NodeIx(2), Loss::Seconds(0)), (NodeIx(3), Loss::Seconds(0))]);
}

#[test]
fn restores_queue_for_lanes() {
    let machines = (0..3).map(|_| machine(0, &[(1, 0)]));
    let nodes: Vec<_> = [host(0), host(9)].into_iter().chain(machines).collect();
    let ends: Vec<_> = lose(nodes, 0).moves.iter().map(|one| one.end_seconds).collect();
    assert_eq!(ends, [70, 80, 90]);
}

#[test]
fn what_was_never_measured_is_not_promised() {
    let mut target = host(4);
    target.host.as_mut().unwrap().restores.bytes_per_second = None;
    let outcome = lose(vec![host(4), target, machine(0, &[(1, 0)])], 0);
    assert_eq!(outcome.stopped[1], (NodeIx(2), Back::Never(Why::NotMeasured)));
}

#[test]
fn a_copy_in_a_directory_is_restored_onto_its_own_host_only() {
    let nodes = |free| {
        let mut nodes = vec![host(4), host(free), host(9), machine(0, &[(1, 0)])];
        nodes[3].data.as_mut().unwrap().copies[0].only = Some(NodeIx(1));
        nodes
    };
    assert_eq!(lose(nodes(1), 0).moves[0].to, NodeIx(1));
    assert_eq!(lose(nodes(0), 0).stopped[1], (NodeIx(3), Back::Never(Why::NoRoom)));
}

#[test]
fn of_two_feeds_one_is_enough() {
    let feed = || Node { repair_seconds: Some(7_200), ..node(Kind::Power) };
    let either = vec![Need { at_least: 1, of: vec![NodeIx(0), NodeIx(1)] }];
    let fed = Node { needs: either, start_seconds: 30, ..node(Kind::Host) };
    let graph = Graph::new(vec![feed(), feed(), fed, activity(&[2], 60, 60)]).unwrap();
    let mut study = Study::new(&graph, REACT);
    assert!(study.lose(&[NodeIx(0)]).activities.is_empty());
    let both = study.lose(&[NodeIx(0), NodeIx(1)]);
    assert_eq!(both.activities[0].back, Back::At(7_230));
    assert_eq!(study.single_points().iter().map(|rank| rank.node).collect::<Vec<_>>(), [NodeIx(2), NodeIx(3)]);
}

#[test]
fn a_standstill_is_waited_for_unless_the_objective_would_be_missed() {
    let site = |repair| {
        vec![
            Node { repair_seconds: Some(repair), ..node(Kind::Power) },
            Node { needs: needs(&[0]), ..host(4) },
            host(4),
            machine(1, &[(2, 300)]),
            activity(&[3], 3_600, 600),
        ]
    };
    let short = lose(site(600), 0);
    assert_eq!((short.moves.len(), short.activities[0].back, short.activities[0].loss), (0, Back::At(605), None));
    let long = lose(site(90_000), 0);
    assert_eq!((long.moves.len(), long.activities[0].back), (1, Back::At(75)));
    assert_eq!(long.activities[0].loss, Some(Loss::Seconds(300)), "what moves goes back to its copy");
}

#[test]
fn two_that_wait_for_each_other_are_named_a_circle() {
    let nodes = vec![
        Node { repair_seconds: Some(60), ..node(Kind::Power) },
        Node { needs: needs(&[0, 2]), ..node(Kind::Service) },
        Node { needs: needs(&[1]), ..node(Kind::Service) },
    ];
    let outcome = lose(nodes, 0);
    assert_eq!(outcome.stopped[1].1, Back::Never(Why::Circular));
    assert_eq!(outcome.stopped[2].1, Back::Never(Why::Circular));
}

#[test]
fn objectives_are_inherited_from_the_most_urgent() {
    let graph = Graph::new(vec![host(4), machine(0, &[]), activity(&[1], 3_600, 60), activity(&[1], 60, 600)]).unwrap();
    assert_eq!((graph.rto(NodeIx(0)), graph.rpo(NodeIx(0))), (Some(60), Some(60)));
}

#[test]
fn graphs_that_make_no_sense_are_refused_by_name() {
    let refused = |nodes: Vec<Node>| Graph::new(nodes).unwrap_err().code().to_string();
    assert_eq!(refused(vec![Node { within: Some(NodeIx(7)), ..node(Kind::Host) }]), "impact.dangling");
    let ring = [1, 0].map(|within| Node { within: Some(NodeIx(within)), ..node(Kind::Host) });
    assert_eq!(refused(ring.to_vec()), "impact.within");
    let none = vec![Need { at_least: 0, of: vec![NodeIx(0)] }];
    assert_eq!(refused(vec![Node { needs: none, ..node(Kind::Host) }]), "impact.need");
    let twice = vec![Need { at_least: 1, of: vec![NodeIx(0), NodeIx(0)] }];
    assert_eq!(refused(vec![Node { needs: twice, ..node(Kind::Host) }]), "impact.need");
    let lanes = Some(Source { lanes: 0, bytes_per_second: None });
    assert_eq!(refused(vec![Node { source: lanes, ..node(Kind::Site) }]), "impact.lanes");
}

// The brute force.

/// Every node that stands still, by looking at all nodes until nothing changes.
fn standing(graph: &Graph, failed: &[NodeIx]) -> (Vec<bool>, Vec<bool>) {
    let (mut lost, mut still) = (vec![false; graph.len()], vec![false; graph.len()]);
    failed.iter().for_each(|ix| lost[ix.0 as usize] = true);
    loop {
        let before = (lost.clone(), still.clone());
        for (ix, node) in graph.nodes() {
            let at = ix.0 as usize;
            lost[at] |= node.within.is_some_and(|within| lost[within.0 as usize]);
            let short = |need: &Need| {
                (need.of.iter().filter(|member| !still[member.0 as usize]).count() as u32) < need.at_least
            };
            still[at] |=
                lost[at] || node.within.is_some_and(|within| still[within.0 as usize]) || node.needs.iter().any(short);
        }
        if before == (lost.clone(), still.clone()) {
            return (lost, still);
        }
    }
}

/// When everything is back, given what is restored where; `None` is never.
fn returns(graph: &Graph, lost: &[bool], still: &[bool], moves: &[Move]) -> Vec<Option<u64>> {
    let mut back: Vec<_> = still.iter().map(|still| (!still).then_some(0)).collect();
    for _ in 0..=graph.len() {
        for (ix, node) in graph.nodes() {
            let at = ix.0 as usize;
            if !still[at] {
                continue;
            }
            let moved = moves.iter().find(|one| one.node == ix);
            let own = match (moved, lost[at]) {
                (Some(one), _) => Some(one.end_seconds),
                (None, true) if node.data.is_some() => None,
                (None, true) => node.repair_seconds,
                (None, false) => Some(0),
            };
            let place = match node.within {
                Some(within) if moved.is_none() => back[within.0 as usize],
                _ => Some(0),
            };
            let met = node.needs.iter().map(|need| {
                let mut arrivals: Vec<_> = need.of.iter().filter_map(|member| back[member.0 as usize]).collect();
                arrivals.sort_unstable();
                arrivals.get(need.at_least as usize - 1).copied()
            });
            let all: Option<Vec<_>> = met.chain([own, place]).collect();
            back[at] = all.map(|all| all.into_iter().max().unwrap_or(0) + node.start_seconds);
        }
    }
    back
}

/// Whether the restores could all be done as said, and none could have been done
/// earlier when its turn came.
fn check_moves(graph: &Graph, lost: &[bool], still: &[bool], waits: &[Option<u64>], outcome: &Outcome) {
    let urgency = |ix: NodeIx| (graph.rto(ix).unwrap_or(u64::MAX), ix);
    assert!(outcome.moves.is_sorted_by_key(|one| urgency(one.node)), "the urgent come first");
    let wanted = graph.nodes().filter(|(ix, node)| {
        let at = ix.0 as usize;
        let place = node.within.is_some_and(|within| still[within.0 as usize]);
        let late = graph.rto(*ix).is_some_and(|rto| waits[at].is_none_or(|back| back > rto));
        node.data.is_some() && still[at] && (lost[at] || (place && late))
    });
    let mut turn: Vec<_> = wanted.map(|(ix, _)| ix).collect();
    turn.sort_by_key(|ix| urgency(*ix));
    let mut done: Vec<Move> = Vec::new();
    for ix in turn {
        let data = graph.node(ix).data.as_ref().unwrap();
        let mut options = Vec::new();
        for copy in data.copies.iter().filter(|copy| !lost[copy.place.0 as usize]) {
            let Some(readable) = waits[copy.place.0 as usize] else { continue };
            for (to, target) in graph.nodes().filter(|(to, _)| !still[to.0 as usize]) {
                let Some(room) = target.host.as_ref().filter(|room| room.pool == data.pool) else { continue };
                if copy.only.is_some_and(|only| only != to) {
                    continue;
                }
                let used: i64 = done
                    .iter()
                    .filter(|one| one.to == to)
                    .map(|one| graph.node(one.node).data.as_ref().unwrap().demand.vcpu)
                    .sum();
                let left = room.free.vcpu - used;
                let source = graph.node(copy.place).source;
                let speeds = source.and_then(|source| source.bytes_per_second).zip(room.restores.bytes_per_second);
                if left < data.demand.vcpu {
                    continue;
                }
                let Some((out, onto)) = speeds else { continue };
                let free = |mut ends: Vec<u64>, lanes: u32| {
                    ends.sort_unstable_by(|a, b| b.cmp(a));
                    ends.get(lanes as usize - 1).copied().unwrap_or(0)
                };
                let of = |from: bool| {
                    let here = done.iter().filter(|one| if from { one.from == copy.place } else { one.to == to });
                    here.map(|one| one.end_seconds).collect()
                };
                let start = free(of(true), source.unwrap().lanes)
                    .max(free(of(false), room.restores.lanes))
                    .max(readable)
                    .max(REACT);
                let end = start + data.bytes.div_ceil(out.min(onto));
                options.push((copy.age_seconds, end, left, to, copy.place, start));
            }
        }
        let best = options.into_iter().min().map(|(age_seconds, end_seconds, _, to, from, start_seconds)| Move {
            node: ix,
            from,
            to,
            start_seconds,
            end_seconds,
            age_seconds,
        });
        assert_eq!(outcome.moves.iter().find(|one| one.node == ix).copied(), best, "the restore of {ix:?}");
        done.extend(best);
    }
    assert_eq!(done.len(), outcome.moves.len());
}

fn any_source() -> impl Strategy<Value = Source> {
    (1u32..3, prop_oneof![Just(None), (1u64..200).prop_map(Some)])
        .prop_map(|(lanes, bytes_per_second)| Source { lanes, bytes_per_second })
}

fn any_node(count: u32) -> impl Strategy<Value = Node> {
    let ix = move || (0..count).prop_map(NodeIx);
    let need = proptest::collection::btree_set(ix(), 1..4)
        .prop_flat_map(|of| (1..=of.len() as u32, Just(of.into_iter().collect::<Vec<_>>())))
        .prop_map(|(at_least, of)| Need { at_least, of });
    let copy = (ix(), 0u64..500, proptest::option::weighted(0.2, ix())).prop_map(|(place, age_seconds, only)| Copy {
        place,
        age_seconds,
        only,
    });
    let copies = proptest::collection::vec(copy, 0..4);
    let data = (1i64..3, 0u32..2, 0u64..5_000, copies).prop_map(|(vcpu, pool, bytes, copies)| Data {
        demand: demand(vcpu),
        pool,
        bytes,
        copies,
    });
    let room =
        (0u32..2, 0i64..6, any_source()).prop_map(|(pool, free, restores)| Host { pool, free: demand(free), restores });
    let objectives = (0u64..500, 0u64..500, 1u64..9).prop_map(|(rto, rpo, amount)| Activity {
        harm: vec![Harm { after_seconds: 0, amount }, Harm { after_seconds: rto, amount: amount * 10 }],
        rto_seconds: Some(rto),
        rpo_seconds: Some(rpo),
        mtpd_seconds: Some(rto * 2),
    });
    let shape = (
        // Mostly few needs, so that not everything falls at once.
        proptest::option::weighted(0.4, ix()),
        proptest::collection::vec(need, 0..3),
        proptest::option::of(0u64..1_000),
        0u64..20,
    );
    let rest = (
        proptest::option::weighted(0.4, data),
        proptest::option::weighted(0.4, room),
        proptest::option::weighted(0.7, any_source()),
        proptest::option::weighted(0.3, objectives),
    );
    (shape, rest).prop_map(|((within, needs, repair_seconds, start_seconds), (data, host, source, activity))| Node {
        kind: Kind::Resource,
        within,
        needs,
        repair_seconds,
        start_seconds,
        data,
        host,
        source,
        activity,
    })
}

fn any_graph() -> impl Strategy<Value = Vec<Node>> {
    (2u32..14).prop_flat_map(|count| proptest::collection::vec(any_node(count), count as usize)).prop_map(
        |mut nodes| {
            for (at, node) in nodes.iter_mut().enumerate() {
                // What contains comes before: containers make no ring.
                node.within = node.within.filter(|within| (within.0 as usize) < at);
            }
            nodes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_brute_force(nodes in any_graph(), picks in proptest::collection::vec(any::<u32>(), 1..3)) {
        let graph = Graph::new(nodes).unwrap();
        let mut study = Study::new(&graph, REACT);
        // A question before it leaves nothing behind.
        study.lose(&[NodeIx(0)]);
        let failed: Vec<_> = picks.iter().map(|pick| NodeIx(pick % graph.len() as u32)).collect();
        let outcome = study.lose(&failed);

        let (lost, still) = standing(&graph, &failed);
        let stopped: Vec<_> = outcome.stopped.iter().map(|(ix, _)| *ix).collect();
        let expected: Vec<_> = graph.nodes().map(|(ix, _)| ix).filter(|ix| still[ix.0 as usize]).collect();
        prop_assert_eq!(stopped, expected);

        let waits = returns(&graph, &lost, &still, &[]);
        check_moves(&graph, &lost, &still, &waits, &outcome);

        let back = returns(&graph, &lost, &still, &outcome.moves);
        for (ix, moment) in &outcome.stopped {
            let said = match moment { Back::At(seconds) => Some(*seconds), Back::Never(_) => None };
            prop_assert_eq!(said, back[ix.0 as usize], "the return of {:?}", ix);
        }
        let harm: u64 = outcome.activities.iter().map(|stop| stop.harm).sum();
        prop_assert_eq!(harm, outcome.harm);
    }

    #[test]
    fn more_lost_is_never_less_stopped(nodes in any_graph(), pick in any::<u32>(), other in any::<u32>()) {
        let graph = Graph::new(nodes).unwrap();
        let mut study = Study::new(&graph, REACT);
        let count = graph.len() as u32;
        let one = study.lose(&[NodeIx(pick % count)]);
        let two = study.lose(&[NodeIx(pick % count), NodeIx(other % count)]);
        let stopped: Vec<_> = two.stopped.iter().map(|(ix, _)| *ix).collect();
        prop_assert!(one.stopped.iter().all(|(ix, _)| stopped.contains(ix)));
    }
}
