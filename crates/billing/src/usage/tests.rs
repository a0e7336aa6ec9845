use base::time::{Timestamp, micros};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{Basis, LifeEnd, LifeSeen, Meter, Metered, Sizes, Stretch, Terms, pieces};
use crate::rating::Calendar;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn meter(started: &str, ended: Option<&str>, changes: &[&str]) -> Meter {
    let mut terms = vec![Terms { version: 1, from: at(started), sizes: Sizes::new(), prices: vec![] }];
    for (n, change) in changes.iter().enumerate() {
        terms.push(Terms { version: n as i64 + 2, from: at(change), sizes: Sizes::new(), prices: vec![] });
    }
    Meter {
        id: "mtr_1".into(),
        account: "bac_1".into(),
        tenant: base::id::TenantId(2),
        product: "prd_1".into(),
        service: "svc_1".into(),
        name: "web".into(),
        started: at(started),
        ended: ended.map(at),
        machines: vec![Metered { intent: "int_1".into(), from: None, until: None }],
        terms,
    }
}

fn life(started: &str, ran_seconds: i64) -> LifeSeen {
    LifeSeen {
        machine: "int_1".into(),
        life: 1,
        started: at(started),
        started_certain: true,
        last_seen: at(started),
        ran_us: ran_seconds * 1_000_000,
        end: None,
        vcpus: 2,
        memory_mib: 512,
    }
}

#[test]
fn a_machine_counts_only_while_it_serves() {
    let mut meter = meter("2026-07-01T00:00:00Z", None, &[]);
    let span = |from: &str, until: &str| -> Vec<i64> {
        let machines = vec![Metered { intent: "int_1".into(), from: Some(at(from)), until: Some(at(until)) }];
        let meter = Meter { machines, ..meter.clone() };
        // It ran for an hour from noon on, and nobody stopped it when another one took its place.
        let stretch = Stretch::of_life(&life("2026-07-01T12:00:00Z", 3_600));
        let found = pieces(&meter, &stretch, 0, at("2026-07-02T00:00:00Z"), &taipei()).unwrap();
        found.iter().map(|piece| (piece.until_us - piece.from_us) / 1_000_000).collect()
    };
    assert_eq!(span("2026-07-01T00:00:00Z", "2026-07-01T12:10:00Z"), [600]);
    assert_eq!(span("2026-07-01T12:50:00Z", "2026-07-01T14:00:00Z"), [600]);
    assert!(span("2026-07-01T13:00:00Z", "2026-07-01T14:00:00Z").is_empty());
    meter.ended = Some(at("2026-07-01T12:05:00Z"));
    assert_eq!(meter.span("int_1").1, meter.ended);
}

fn taipei() -> Calendar {
    Calendar::of("Asia/Taipei").unwrap()
}

#[test]
fn a_life_is_cut_at_months_and_terms_and_not_counted_before_activation() {
    let meter = meter("2026-07-19T02:00:00Z", None, &["2026-07-25T00:00:00Z"]);
    // Began ten minutes before activation, ran for 20 days.
    let stretch = Stretch::of_life(&life("2026-07-19T01:50:00Z", 20 * 86_400));
    let found = pieces(&meter, &stretch, 0, at("2026-09-01T00:00:00Z"), &taipei()).unwrap();
    let shown: Vec<(String, String, i64, &str)> =
        found.iter().map(|p| (p.from.to_string(), p.until.to_string(), p.version, p.month.as_str())).collect();
    let expected = [
        ("2026-07-19T02:00:00Z", "2026-07-25T00:00:00Z", 1, "2026-07"),
        ("2026-07-25T00:00:00Z", "2026-07-31T16:00:00Z", 2, "2026-07"),
        ("2026-07-31T16:00:00Z", "2026-08-08T01:50:00Z", 2, "2026-08"),
    ];
    let expected: Vec<_> = expected.iter().map(|(f, u, v, m)| ((*f).to_owned(), (*u).to_owned(), *v, *m)).collect();
    assert_eq!(shown, expected);
    assert_eq!(found[0].sizes["memory"], "0.5".parse().unwrap());
}

#[test]
fn nothing_is_counted_beyond_what_is_known_the_limit_or_the_end() {
    let calendar = taipei();
    let stretch = Stretch::of_life(&life("2026-07-19T02:00:00Z", 100));
    for (ended, done, until, seconds) in [
        (None, 0, "2026-07-19T03:00:00Z", 100),
        (None, 40_000_000, "2026-07-19T03:00:00Z", 60),
        (None, 0, "2026-07-19T02:00:30Z", 30),
        (Some("2026-07-19T02:00:10Z"), 0, "2026-07-19T03:00:00Z", 10),
        (None, 100_000_000, "2026-07-19T03:00:00Z", 0),
        (None, 0, "2026-07-19T01:00:00Z", 0),
    ] {
        let meter = meter("2026-07-19T02:00:00Z", ended, &[]);
        let found = pieces(&meter, &stretch, done, at(until), &calendar).unwrap();
        assert_eq!(
            found.iter().map(|p| p.until_us - p.from_us).sum::<i64>(),
            seconds * 1_000_000,
            "{ended:?} {done} {until}"
        );
    }
}

#[test]
fn processors_and_memory_of_a_service_with_machines_do_not_count_while_it_is_only_held() {
    let mut meter = meter("2026-07-19T02:00:00Z", None, &[]);
    meter.terms[0].sizes =
        [("vcpu", 2), ("memory", 4), ("disk", 40)].map(|(n, s)| (n.to_owned(), Decimal::from(s))).into();
    let now = at("2026-07-19T03:00:00Z");
    let held = |meter: &Meter| {
        let found = pieces(meter, &Stretch::of_holding(meter, now), 0, now, &taipei()).unwrap();
        found[0].sizes.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(held(&meter), ["disk"]);
    meter.machines.clear();
    assert_eq!(held(&meter), ["disk", "memory", "running", "vcpu"]);
}

fn any_life() -> impl Strategy<Value = LifeSeen> {
    let end = prop::option::of((0i64..5_000, any::<bool>()));
    (0i64..1_000, any::<bool>(), 0i64..5_000, 0i64..5_000, end, 1i64..3).prop_map(
        |(start, certain, seen, ran, end, vcpus)| {
            let base = micros(at("2026-07-19T00:00:00Z"));
            let instant = |seconds: i64| base::time::from_micros(base + seconds * 1_000_000).unwrap();
            LifeSeen {
                machine: "int_1".into(),
                life: 1,
                started: instant(start),
                started_certain: certain,
                last_seen: instant(seen),
                ran_us: ran * 1_000_000,
                end: end.map(|(at, certain)| LifeEnd { at: instant(at), certain }),
                vcpus,
                memory_mib: 512 * vcpus,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_known_of_a_life_does_not_depend_on_the_order_in_which_it_was_told(
        accounts in prop::collection::vec(any_life(), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let merge = |list: &mut dyn Iterator<Item = &LifeSeen>| {
            let first = list.next().unwrap().clone();
            list.fold(first, |mut known, seen| { known.absorb(seen); known })
        };
        let straight = merge(&mut accounts.iter());
        prop_assert_eq!(&straight, &merge(&mut accounts.iter().rev()));
        // In any order, with repetitions, as long as each was told once.
        let again = order.iter().map(|index| index.get(&accounts)).chain(accounts.iter());
        prop_assert_eq!(&straight, &merge(&mut again.collect::<Vec<_>>().into_iter()));
    }

    #[test]
    fn wherever_it_is_settled_a_life_is_covered_once_without_gaps(
        ran in 1i64..(70 * 86_400),
        early in 0i64..7_200,
        settlements in prop::collection::vec(0i64..(80 * 86_400), 0..6),
    ) {
        let meter = meter("2026-07-01T00:00:00Z", None, &["2026-07-15T12:34:56.789012Z"]);
        let start = micros(meter.started) - early * 1_000_000;
        let calendar = taipei();
        let mut seen = life("2026-07-01T00:00:00Z", 0);
        seen.started = base::time::from_micros(start).unwrap();
        let mut settlements = settlements;
        settlements.sort_unstable();
        settlements.push(90 * 86_400);
        let (mut covered, mut done) = (0, 0);
        for moment in settlements {
            // Known by then: as much as had passed, at most the whole.
            seen.ran_us = seen.ran_us.max(ran.min(moment + early) * 1_000_000);
            let until = base::time::from_micros(micros(meter.started) + moment * 1_000_000).unwrap();
            for piece in pieces(&meter, &Stretch::of_life(&seen), done, until, &calendar).unwrap() {
                prop_assert!(done == 0 || piece.from_us == done, "no gap, no overlap");
                prop_assert_eq!(&calendar.month(piece.from).unwrap().label, &piece.month);
                prop_assert_eq!(micros(piece.until) - micros(piece.from), piece.until_us - piece.from_us);
                prop_assert_eq!(piece.basis, Basis::Run);
                covered += piece.until_us - piece.from_us;
                done = piece.until_us;
            }
        }
        prop_assert_eq!(covered, ((ran - early).max(0)) * 1_000_000);
    }
}
