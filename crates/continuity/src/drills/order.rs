//! In which order services come back that rely on each other. Pure: no clock, no database.
//!
//! ```text
//!   wave 1: database   queue        nothing before them
//!   wave 2: shop ──► database       mail ──► queue
//!   wave 3: portal ──► shop
//! ```
//!
//! A service waits for those that it relies on and for nobody else: `mail` does not wait for the
//! database, though it stands in the second wave. Services that rely on each other in a circle are one
//! group: none of them waits for another, all wait for what any of them relies on.

use std::collections::{BTreeMap, BTreeSet};

/// A service that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub service: String,
    /// What people call it.
    pub name: String,
    /// How fast the impact analysis wants it back, in seconds.
    pub rto_seconds: Option<u64>,
}

/// A service with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub service: String,
    /// What people call it.
    pub name: String,
    /// How many come one after the other before it can, from 1.
    pub wave: u32,
    /// Those that must answer before it begins, by id.
    pub after: Vec<String>,
}

/// Who relies on whom, by id.
pub type Relies = BTreeMap<String, BTreeSet<String>>;

/// An order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Every service once, each after all those that it waits for.
    pub placed: Vec<Placed>,
    /// Groups that rely on each other in a circle, by name.
    pub circles: Vec<Vec<String>>,
}

/// One after the other, as they are named.
pub fn as_given(members: &[Member]) -> Order {
    let mut placed: Vec<Placed> = Vec::with_capacity(members.len());
    for (wave, member) in (1..).zip(members) {
        let after = placed.last().map(|before: &Placed| before.service.clone()).into_iter().collect();
        placed.push(Placed { service: member.service.clone(), name: member.name.clone(), wave, after });
    }
    Order { placed, circles: Vec::new() }
}

/// What they rely on first; of those that could come at once, what must be back soonest, then by name.
pub fn by_dependencies(members: &[Member], relies: &Relies) -> Order {
    let at: BTreeMap<&str, usize> = (0..).zip(members).map(|(n, member)| (member.service.as_str(), n)).collect();
    let named = |member: &Member| relies.get(&member.service).into_iter().flatten();
    let direct: Vec<BTreeSet<usize>> =
        members.iter().map(|member| named(member).filter_map(|id| at.get(id.as_str()).copied()).collect()).collect();
    let reach: Vec<BTreeSet<usize>> = (0..members.len()).map(|from| reached(&direct, from)).collect();
    // What relies on itself through others, with those others.
    let circle = |n: usize| -> BTreeSet<usize> {
        reach[n].iter().copied().filter(|other| reach[*other].contains(&n)).chain([n]).collect()
    };
    let circles: Vec<BTreeSet<usize>> = (0..members.len()).map(circle).collect();
    let before: Vec<BTreeSet<usize>> = reach.iter().zip(&circles).map(|(all, own)| all - own).collect();
    let waves = waves(&before);
    let after = |n: usize| {
        let wanted: BTreeSet<usize> = circles[n].iter().flat_map(|one| &direct[*one]).copied().collect();
        wanted.intersection(&before[n]).map(|other| members[*other].service.clone()).collect()
    };
    let mut order: Vec<usize> = (0..members.len()).collect();
    let key = |member: &Member| (member.rto_seconds.unwrap_or(u64::MAX), member.name.clone(), member.service.clone());
    order.sort_by_cached_key(|n| (waves[*n], key(&members[*n])));
    let placed = order.iter().map(|n| Placed {
        service: members[*n].service.clone(),
        name: members[*n].name.clone(),
        wave: waves[*n],
        after: after(*n),
    });
    let distinct: BTreeSet<&BTreeSet<usize>> = circles.iter().filter(|circle| circle.len() > 1).collect();
    let names = |circle: &BTreeSet<usize>| {
        let mut names: Vec<String> = circle.iter().map(|n| members[*n].name.clone()).collect();
        names.sort();
        names
    };
    Order { placed: placed.collect(), circles: distinct.into_iter().map(names).collect() }
}

/// Everything that a service relies on, whatever lies between; itself where it stands in a circle.
fn reached(direct: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let (mut seen, mut way) = (BTreeSet::new(), vec![from]);
    while let Some(at) = way.pop() {
        way.extend(direct[at].iter().copied().filter(|next| seen.insert(*next)));
    }
    seen
}

/// From what comes before each service to the wave in which it can begin. What comes before another
/// has less before it: so each is reckoned after those that it needs.
fn waves(before: &[BTreeSet<usize>]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by_key(|n| before[*n].len());
    let mut waves = vec![1; before.len()];
    for n in order {
        waves[n] = before[n].iter().map(|other| waves[*other] + 1).max().unwrap_or(1);
    }
    waves
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(name: &str, rto_seconds: Option<u64>) -> Member {
        Member { service: format!("svc_{name}"), name: name.to_owned(), rto_seconds }
    }

    fn relies(edges: &[(&str, &str)]) -> Relies {
        let mut all = Relies::new();
        for (who, on) in edges {
            all.entry(format!("svc_{who}")).or_default().insert(format!("svc_{on}"));
        }
        all
    }

    fn told(order: &Order) -> Vec<(u32, &str)> {
        order.placed.iter().map(|one| (one.wave, one.name.as_str())).collect()
    }

    #[test]
    fn what_is_relied_on_comes_first_and_the_urgent_before_the_rest() {
        let members = [
            member("shop", Some(60)),
            member("mail", None),
            member("db", None),
            member("b", Some(9)),
            member("a", Some(9)),
        ];
        let order = by_dependencies(&members, &relies(&[("shop", "db"), ("mail", "gone"), ("mail", "b")]));
        assert_eq!(told(&order), [(1, "a"), (1, "b"), (1, "db"), (2, "shop"), (2, "mail")]);
        let after: Vec<_> = order.placed.iter().map(|one| one.after.clone()).collect();
        assert_eq!(after, [vec![], vec![], vec![], vec!["svc_db".to_owned()], vec!["svc_b".to_owned()]]);
        assert_eq!(order.circles, Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_circle_is_one_group_that_waits_for_what_any_of_it_relies_on() {
        let members = ["c", "b", "a", "db", "web"].map(|name| member(name, None));
        let order =
            by_dependencies(&members, &relies(&[("a", "b"), ("b", "c"), ("c", "a"), ("b", "db"), ("web", "a")]));
        assert_eq!(told(&order), [(1, "db"), (2, "a"), (2, "b"), (2, "c"), (3, "web")]);
        assert_eq!(order.circles, [["a", "b", "c"]]);
        for one in &order.placed[1..4] {
            assert_eq!(one.after, ["svc_db"], "{}", one.name);
        }
    }

    #[test]
    fn as_given_each_waits_for_the_one_before() {
        let order = as_given(&["z", "a"].map(|name| member(name, None)));
        assert_eq!(told(&order), [(1, "z"), (2, "a")]);
        assert_eq!(order.placed[1].after, ["svc_z"]);
        assert_eq!(as_given(&[]), Order::default());
    }

    /// The waves by hand: round after round, whatever has nothing left to wait for comes.
    fn naive(count: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<u32> {
        let mut path = vec![vec![false; count]; count];
        edges.iter().for_each(|(a, b)| path[*a][*b] = true);
        for via in 0..count {
            for a in 0..count {
                for b in 0..count {
                    path[a][b] |= path[a][via] && path[via][b];
                }
            }
        }
        let (mut waves, mut round) = (vec![0; count], 1);
        while waves.contains(&0) {
            let ready = |n: usize| (0..count).all(|other| !path[n][other] || path[other][n] || waves[other] != 0);
            let now: Vec<usize> = (0..count).filter(|n| waves[*n] == 0 && ready(*n)).collect();
            now.into_iter().for_each(|n| waves[n] = round);
            round += 1;
        }
        waves
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_naive_topological_sort(
            count in 0..12_usize, pairs in proptest::collection::btree_set((0..12_usize, 0..12_usize), 0..40),
            rtos in proptest::collection::vec(proptest::option::of(0..4_u64), 12),
        ) {
            let members: Vec<Member> = (0..count).map(|n| member(&n.to_string(), rtos[n])).collect();
            let edges: BTreeSet<(usize, usize)> = pairs.into_iter().filter(|(a, b)| *a < count && *b < count && a != b).collect();
            let mut all = Relies::new();
            for (a, b) in &edges {
                all.entry(format!("svc_{a}")).or_default().insert(format!("svc_{b}"));
            }
            let order = by_dependencies(&members, &all);
            prop_assert_eq!(order.placed.len(), count);
            let wanted = naive(count, &edges);
            let mut done = BTreeSet::new();
            for one in &order.placed {
                let n: usize = one.name.parse().unwrap();
                prop_assert_eq!(one.wave, wanted[n]);
                prop_assert!(one.after.iter().all(|id| done.contains(id)), "{} waits for what comes later", one.name);
                done.insert(one.service.clone());
            }
            // Whoever is named relies, unless both stand in one circle, and everybody else is waited for by somebody.
            for (a, b) in &edges {
                let (a, b) = (&members[*a], &members[*b]);
                let one = order.placed.iter().find(|one| one.service == a.service).unwrap();
                let circle = order.circles.iter().any(|circle| circle.contains(&a.name) && circle.contains(&b.name));
                prop_assert_eq!(one.after.contains(&b.service), !circle);
            }
            let keys: Vec<_> = order.placed.iter().map(|one| {
                let rto = rtos[one.name.parse::<usize>().unwrap()].unwrap_or(u64::MAX);
                (one.wave, rto, one.name.clone())
            }).collect();
            prop_assert!(keys.is_sorted(), "{:?}", keys);
        }
    }
}
