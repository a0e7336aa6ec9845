//! Impact: every single failure of a firm of 10,000 things, beside the least that
//! any answer must do, which is to walk to all that a failure reaches; and the same
//! question put to a whole inventory in a database.

use std::hint::black_box;
use std::time::Instant;

use crate::figures::report;
use base::id::{Ids, TenantId};
use base::time::Clock;
use continuity::impact::{Activity, Copy, Data, Graph, Harm, Host, Kind, Need, Node, NodeIx, Source, Study};
use continuity::inventory::import::{IMPORT, ImportInventory};
use continuity::studies::{RANK, actions::RankAsk};
use gate::{Catalogue, Cx, Gate};
use resources::placement::Demand;

const SITES: u32 = 4;
const RACKS: u32 = 10;
const HOSTS: u32 = 10;
const MACHINES: u32 = 20;
const SERVICES: u32 = 1_000;
const ACTIVITIES: u32 = 400;

pub fn run() {
    let graph = Graph::new(firm()).unwrap();
    let began = Instant::now();
    let ranks = black_box(Study::new(&graph, 300).single_points());
    let took = began.elapsed().as_secs_f64();
    println!(
        "{} nodes, {} of them stop an activity when lost alone: {took:.3} s on one core",
        graph.len(),
        ranks.len()
    );
    let walked = walk_all(&graph);
    let nodes = graph.len() as f64;
    report("single failures answered", nodes / took, "/s", "of walking to all that they reach", nodes / walked);
    inventory();
}

/// An inventory of 10,000 things: imported, and every single loss ranked from the database.
fn inventory() {
    let (_, db, _keep) = db::testing::sqlite();
    let tenant = TenantId(1);
    db.write(move |conn| {
        conn.execute("INSERT INTO tenants (id, parent, path) VALUES ($1, NULL, 'o/')", db::args![tenant])
    })
    .unwrap();
    let catalogue = Catalogue::default().actions(continuity::inventory::ACTIONS).actions(continuity::studies::ACTIONS);
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    let policies = format!("permit(principal, action in [{}], resource);", names.join(", "));
    let gate = Gate::new(db, Clock::System, Ids::default(), &policies, catalogue).unwrap();
    let cx = Cx::system("bench", tenant);
    let began = Instant::now();
    let done = gate.run(&cx, &IMPORT, tables()).unwrap();
    println!("{} things imported with what they need: {:.3} s", done.added, began.elapsed().as_secs_f64());
    let began = Instant::now();
    let ranking = gate.run(&cx, &RANK, RankAsk::default()).unwrap();
    let took = began.elapsed().as_secs_f64();
    println!(
        "{} things read from the database, {} of them ranked: {took:.3} s on one core",
        ranking.tried, ranking.total
    );
}

/// Sites with racks with machines; services of three machines, of which two must run; activities.
fn tables() -> ImportInventory {
    let mut nodes = String::from("ref,kind,name,within,repair\n");
    let mut needs = String::from("node,needs,set,at_least\n");
    let (machines, services) = (8_890, 600);
    (0..10).for_each(|n| nodes.push_str(&format!("site-{n},site,Site {n},,2d\n")));
    (0..100).for_each(|n| nodes.push_str(&format!("rack-{n},rack,Rack {n},site-{},1d\n", n % 10)));
    (0..machines).for_each(|n| nodes.push_str(&format!("m-{n},resource,Machine {n},rack-{},4h\n", n % 100)));
    for n in 0..services {
        nodes.push_str(&format!("s-{n},outside,Service {n},,\n"));
        (0..3).for_each(|of| needs.push_str(&format!("s-{n},m-{},a,2\n", (n * 13 + of * 2_741) % machines)));
    }
    for n in 0..400 {
        nodes.push_str(&format!("a-{n},activity,Activity {n},,\n"));
        (0..4).for_each(|of| needs.push_str(&format!("a-{n},s-{},,\n", (n * 7 + of * 151) % services)));
    }
    ImportInventory { tenant: None, nodes, dependencies: needs }
}

/// Sites with two feeds and two routes, racks, hosts, machines with two copies
/// elsewhere; services of three machines of which two must run; activities.
fn firm() -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut add = |node: Node| {
        nodes.push(node);
        NodeIx(nodes.len() as u32 - 1)
    };
    let repaired = |kind, hours: u64| Node { repair_seconds: Some(hours * 3_600), ..Node::new(kind) };
    let measured = |lanes| Source { lanes, bytes_per_second: Some(200_000_000) };
    let mut hosts = Vec::new();
    for _ in 0..SITES {
        let pair = |add: &mut dyn FnMut(Node) -> NodeIx, kind| Need {
            at_least: 1,
            of: vec![add(repaired(kind, 8)), add(repaired(kind, 8))],
        };
        let needs = vec![pair(&mut add, Kind::Power), pair(&mut add, Kind::Route), pair(&mut add, Kind::Cooling)];
        let site = add(Node { needs, source: Some(measured(8)), ..Node::new(Kind::Site) });
        for _ in 0..RACKS {
            let rack = add(Node { within: Some(site), ..repaired(Kind::Rack, 48) });
            for _ in 0..HOSTS {
                let free = Demand { vcpu: 16, memory_mib: 65_536, disk_mib: 1 << 20 };
                let host = Host { pool: 0, free, restores: measured(2) };
                hosts.push((site, add(Node { within: Some(rack), host: Some(host), ..repaired(Kind::Host, 24) })));
            }
        }
    }
    let sites: Vec<_> = hosts.iter().step_by((RACKS * HOSTS) as usize).map(|(site, _)| *site).collect();
    let mut machines = Vec::new();
    for (number, (site, host)) in hosts.iter().enumerate() {
        for _ in 0..MACHINES {
            let others: Vec<_> = sites.iter().filter(|other| *other != site).collect();
            let copies = [0, 1].map(|next| Copy {
                place: *others[(number + next) % others.len()],
                age_seconds: 3_600,
                only: None,
            });
            let demand = Demand { vcpu: 2, memory_mib: 4_096, disk_mib: 20_480 };
            let data = Data { demand, pool: 0, bytes: 20 << 30, copies: copies.to_vec() };
            let machine =
                Node { within: Some(*host), start_seconds: 30, data: Some(data), ..Node::new(Kind::Resource) };
            machines.push(add(machine));
        }
    }
    let pick = |from: &[NodeIx], seed: u32, count: u32| -> Vec<NodeIx> {
        let mut of: Vec<_> = (0..count).map(|n| from[((seed * 7 + n * 2_741) as usize) % from.len()]).collect();
        of.sort_unstable();
        of.dedup();
        of
    };
    let mut services = Vec::new();
    for number in 0..SERVICES {
        let of = pick(&machines, number, 3);
        let needs = vec![Need { at_least: (of.len() as u32 - 1).max(1), of }];
        services.push(add(Node { needs, start_seconds: 10, ..Node::new(Kind::Service) }));
    }
    for number in 0..ACTIVITIES {
        let all = pick(&services, number, 4).into_iter().map(|service| Need { at_least: 1, of: vec![service] });
        let hours = 1 + u64::from(number) % 24;
        let harm = vec![Harm { after_seconds: 0, amount: 1 }, Harm { after_seconds: hours * 3_600, amount: 100 }];
        let activity = Activity {
            harm,
            rto_seconds: Some(hours * 3_600),
            rpo_seconds: Some(86_400),
            mtpd_seconds: Some(hours * 7_200),
        };
        add(Node { needs: all.collect(), activity: Some(activity), ..Node::new(Kind::Activity) });
    }
    nodes
}

/// Seconds to walk, from every node, to all that stands in it or names it.
fn walk_all(graph: &Graph) -> f64 {
    let mut above: Vec<Vec<u32>> = vec![Vec::new(); graph.len()];
    for (ix, node) in graph.nodes() {
        let below = node.needs.iter().flat_map(|need| need.of.iter().copied()).chain(node.within);
        below.for_each(|below| above[below.0 as usize].push(ix.0));
    }
    let began = Instant::now();
    let mut seen = vec![0u32; graph.len()];
    let (mut way, mut reached) = (Vec::new(), 0u64);
    for start in 0..graph.len() as u32 {
        way.push(start);
        while let Some(at) = way.pop() {
            if std::mem::replace(&mut seen[at as usize], start + 1) != start + 1 {
                reached += 1;
                way.extend(&above[at as usize]);
            }
        }
    }
    black_box(reached);
    began.elapsed().as_secs_f64()
}
