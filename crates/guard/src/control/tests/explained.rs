//! Explanations, order, memory, clocks.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_a_ticket_explains_never_raises(subjects in 1u32..600, hour in 0i64..24, day in 0i64..7, foreign: bool) {
        let mut desk = Desk::settled(4);
        let tenant = if foreign { STRANGER } else { CUSTOMER };
        desk.ticket("CHG-7", open(tenant));
        desk.ordinary();
        desk.looks(ANNA, day * DAY + hour * HOUR, subjects, |look| {
            (look.tenant, look.action, look.reason) = (tenant, "bill.get", "night on call, CHG-7.".to_owned());
        });
        let week = desk.end();
        prop_assert_eq!(&week.findings, &[]);
        prop_assert_eq!(week.explained, u64::from(subjects));
    }

    #[test]
    fn the_order_of_a_weeks_entries_does_not_matter(seed: u64, subjects in 5u32..120) {
        let write = || {
            let mut desk = Desk::settled(4);
            desk.ordinary();
            desk.looks(ANNA, DAY + 2 * HOUR, subjects, |_| ());
            desk.looks(AccountId(2), 2 * DAY + 9 * HOUR, subjects, |look| look.tenant = STRANGER);
            for n in 0..20 {
                desk.write(AccountId(3), DAY + n * HOUR, "one").reason = "INC-0".to_owned();
                desk.write(CALLER, DAY + n * 2 * HOUR, "one").doing = Doing::Change;
                let address = if n % 2 == 0 { "10.1.0.9" } else { "10.4.0.9" };
                desk.write(AccountId(4), 2 * DAY + n * HOUR, "two").address = Some(address.parse().unwrap());
            }
            desk
        };
        let (mut there, mut mixed) = (write(), write());
        let mut state = seed | 1;
        mixed.written.sort_by_cached_key(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 17
        });
        let (there, mixed) = (there.end(), mixed.end());
        prop_assert_eq!(there.findings, mixed.findings);
        prop_assert_eq!(there.figures, mixed.figures);
    }
}

#[test]
fn more_subjects_score_more() {
    let score = |subjects| {
        let mut desk = Desk::settled(4);
        desk.ordinary();
        desk.looks(ANNA, DAY + 10 * HOUR, subjects, |_| ());
        let week = desk.end();
        week.findings.iter().find(|finding| finding.kind == Kind::Repeated).map(|finding| finding.score)
    };
    assert_eq!(score(2), None);
    let scores: Vec<f64> = [40, 41, 60, 90, 150, 240].map(|subjects| score(subjects).unwrap()).to_vec();
    assert!(scores.windows(2).all(|two| two[0] < two[1]), "{scores:?}");
}

#[test]
fn nobody_explains_themself_and_only_an_open_ticket_about_that_tenant_explains() {
    let ended = Ticket { until: Some(monday(1)), ..open(CUSTOMER) };
    let later = Ticket { from: monday(40), ..open(CUSTOMER) };
    let own = Ticket { opened_by: Some(ANNA), ..open(CUSTOMER) };
    let tickets = [("INC-1", own), ("INC-2", open(STRANGER)), ("INC-3", ended), ("INC-4", later)];
    for reason in ["INC-1", "INC-2", "INC-3", "INC-4", "INC-5 that there never was", "because"] {
        let mut desk = Desk::settled(4);
        tickets.iter().for_each(|(name, ticket)| desk.ticket(name, *ticket));
        desk.ordinary();
        desk.looks(ANNA, DAY + 10 * HOUR, 60, |look| look.reason = reason.to_owned());
        assert_eq!(kinds(&desk.end()), [(Kind::Repeated, ANNA)], "{reason}");
    }
    // Of another's ticket the same is normal.
    let mut desk = Desk::settled(4);
    desk.ticket("INC-1", Ticket { opened_by: Some(AccountId(2)), ..own });
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 60, |look| look.reason = "INC-1".to_owned());
    assert_eq!(desk.end().findings, []);
}

#[test]
fn a_customers_own_act_explains_looking_at_the_same_object_for_a_day() {
    for (after, expected) in [(3 * HOUR, 0), (25 * HOUR, 1), (-HOUR, 1)] {
        let mut desk = Desk::settled(4);
        desk.ordinary();
        for n in 0..60 {
            let object = format!("called-{n}");
            desk.write(CALLER, DAY + 9 * HOUR, &object).doing = Doing::Change;
            desk.write(ANNA, DAY + 9 * HOUR + after, &object);
        }
        assert_eq!(desk.end().findings.len(), expected, "{after}");
    }
}

#[test]
fn a_campaign_of_all_and_somebody_new_are_normal() {
    let mut desk = Desk::settled(6);
    desk.ordinary();
    for account in team() {
        (0..5).for_each(|day| desk.looks(account, day * DAY + 10 * HOUR, 30, |_| ()));
    }
    assert_eq!(desk.end().findings, []);
    let new = AccountId(7);
    let (id, one) = account(new, "desk", OPERATOR, Some(LEAD));
    desk.known.accounts.insert(id, one);
    desk.known.assignments.push(Assignment { account: new, tenant: CUSTOMER, from: monday(0), until: None });
    desk.ordinary();
    (0..5).for_each(|day| desk.looks(new, day * DAY + 10 * HOUR, 7, |_| ()));
    assert_eq!(desk.end().findings, []);
}

/// Somebody with power over the log's contents: subjects, addresses, reasons and accounts without end, clocks that
/// jump, nothing in the fields.
#[test]
fn memory_stays_bounded_whatever_the_log_holds() {
    let mut desk = Desk::settled(4);
    desk.ticket("INC-1", open(CUSTOMER));
    let long = "x-1 ".repeat(500);
    desk.control.begin(&desk.known, monday(4));
    let start = micros(monday(4));
    let accounts: u64 = 3_000;
    for n in 0..2_000_000u64 {
        let object = n.to_string();
        let step = match n % 1_000 {
            0 => 400 * 365 * DAY,
            1 => -20 * 365 * DAY,
            n => n as i64 * 600,
        };
        let actor = if n % 4 == 0 { AccountId(u128::from(1_000 + n % accounts)) } else { ANNA };
        desk.control.see(&Activity {
            entry: n,
            at: from_micros(start + step * 1_000_000).unwrap(),
            account: actor,
            doing: [Doing::Look, Doing::Change, Doing::Ask, Doing::Agree][(n / 4 % 4) as usize],
            action: if n % 5 == 0 { "" } else { "individual.get" },
            object: if n % 7 == 0 { "" } else { &object },
            tenant: if n % 3 == 0 { STRANGER } else { OPERATOR },
            refused: n % 11 == 0,
            address: (n % 13 != 0).then(|| IpAddr::from((u128::from(n) << 64).to_be_bytes())),
            reason: if n % 20_000 == 0 { &long } else { "" },
        });
    }
    // A stretch of entries, a quarter of a million each of networks, calls and requests, and what is kept of accounts.
    let most = (80 + 3 * 32) * (1 << 20) + (accounts as usize + 20) * 64 * 1_024;
    assert!(desk.control.bytes() < most, "{} of {most}", desk.control.bytes());
    let week = desk.control.end();
    assert_eq!((week.entries, week.strays, week.unwatched), (2_000_000, 4_000, 0));
    let anna = week.findings.iter().find(|finding| finding.account == ANNA && finding.kind == Kind::Repeated).unwrap();
    assert!(anna.evidence.entries.len() <= 20 && anna.evidence.total > 10_000, "{:?}", anna.evidence);
    desk.control.begin(&desk.known, monday(5));
    assert_eq!(desk.control.end().entries, 0);
}

#[test]
fn a_clock_that_jumps_is_counted_and_held_against_nobodys_hours_or_travel() {
    let mut desk = Desk::settled(4);
    desk.ordinary();
    for n in 0..40 {
        let address = if n % 2 == 0 { "10.1.0.9" } else { "10.4.0.9" };
        let object = format!("o{n}");
        desk.write(ANNA, if n % 2 == 0 { -900 * DAY } else { 900 * DAY + n }, &object).address =
            Some(address.parse().unwrap());
    }
    let week = desk.end();
    assert_eq!(week.strays, 40);
    assert!(week.findings.iter().all(|finding| finding.kind == Kind::Repeated), "{:?}", week.findings);
    // An entry at the very edges of the calendar is one like others.
    desk.control.begin(&desk.known, monday(5));
    for at in [Timestamp::MIN, Timestamp::MAX] {
        let (doing, tenant) = (Doing::Look, CUSTOMER);
        let activity = Activity {
            entry: 1,
            at,
            account: ANNA,
            doing,
            action: "",
            object: "",
            tenant,
            refused: false,
            address: None,
            reason: "",
        };
        desk.control.see(&activity);
    }
    assert_eq!(desk.control.end().strays, 2);
}
