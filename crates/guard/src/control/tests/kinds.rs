//! Each kind by itself, and what is nearest to it and is none.

use super::*;

fn only(week: &Week) -> &Finding {
    assert_eq!(week.findings.len(), 1, "{:?}", week.findings);
    &week.findings[0]
}

#[test]
fn one_subject_again_and_again() {
    let mut desk = Desk::settled(4);
    desk.ordinary();
    for n in 0..24 {
        desk.write(ANNA, (n % 5) * DAY + (9 + n / 5) * HOUR, "the neighbour");
    }
    let week = desk.end();
    let finding = only(&week);
    assert_eq!((finding.kind, &finding.why), (Kind::Repeated, &Why::Again { times: 24, usual: 1 }));
    assert_eq!((finding.since, finding.until), (monday(4), monday(5)));
    // Reloading a page for a morning is looking once or twice.
    desk.ordinary();
    for n in 0..120 {
        desk.write(ANNA, DAY + 10 * HOUR + n * 60, "the case");
    }
    assert_eq!(desk.end().findings, []);
}

#[test]
fn very_many_in_a_day() {
    let mut desk = Desk::settled(4);
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 90, |_| ());
    let week = desk.end();
    let finding = only(&week);
    assert!(matches!(finding.why, Why::Burst { subjects: 90..=99, usual: 5..=8 }), "{:?}", finding.why);
    assert_eq!(finding.evidence.entries.len(), 20);
    assert!(finding.evidence.total >= 90);
}

#[test]
fn a_stranger_and_what_nobody_in_the_role_does() {
    let mut desk = Desk::settled(4);
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 5, |look| look.tenant = STRANGER);
    assert_eq!(desk.end().findings, [], "a mistake");
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 12, |look| look.tenant = STRANGER);
    assert_eq!(only(&desk.end()).why, Why::OutsideAssignments { subjects: 12 });
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 12, |look| look.action = "bill.get");
    assert_eq!(only(&desk.end()).why, Why::OutsideRole { subjects: 12 });
    // For whom one worked with a ticket, one may look again.
    desk.ticket("INC-9", open(STRANGER));
    desk.ordinary();
    desk.write(ANNA, DAY, "it").reason = "INC-9".to_owned();
    desk.written.last_mut().unwrap().tenant = STRANGER;
    desk.looks(ANNA, DAY + 10 * HOUR, 12, |look| look.tenant = STRANGER);
    assert_eq!(desk.end().findings, []);
}

#[test]
fn an_assignment_ends() {
    let mut desk = Desk::settled(4);
    desk.known.assignments.push(Assignment {
        account: ANNA,
        tenant: STRANGER,
        from: monday(4),
        until: Some(monday(5)),
    });
    for expected in [0, 1] {
        desk.ordinary();
        desk.looks(ANNA, DAY + 10 * HOUR, 12, |look| look.tenant = STRANGER);
        assert_eq!(desk.end().findings.len(), expected);
    }
}

#[test]
fn at_night_but_not_an_hour_late_and_not_where_the_role_has_a_night_shift() {
    let mut desk = Desk::settled(4);
    desk.ordinary();
    desk.looks(ANNA, DAY + 15 * HOUR, 12, |_| ());
    assert_eq!(desk.end().findings, [], "an hour late");
    desk.ordinary();
    desk.looks(ANNA, DAY + 3 * HOUR, 12, |_| ());
    assert_eq!(only(&desk.end()).why, Why::Hours { subjects: 12 });
    desk.ordinary();
    desk.looks(ANNA, 5 * DAY + 10 * HOUR, 12, |_| ());
    assert_eq!(only(&desk.end()).kind, Kind::Hours, "a Saturday");
    let mut desk = Desk::settled(0);
    for _ in 0..4 {
        desk.ordinary();
        [2, 3].into_iter().for_each(|id| desk.looks(AccountId(id), DAY + 3 * HOUR, 3, |_| ()));
        desk.end();
    }
    desk.ordinary();
    desk.looks(ANNA, DAY + 3 * HOUR, 12, |_| ());
    assert_eq!(desk.end().findings, []);
}

#[test]
fn a_few_more_each_day() {
    let mut desk = Desk::settled(6);
    let mut found = Vec::new();
    for _ in 0..4 {
        desk.ordinary();
        (0..5).for_each(|day| desk.looks(ANNA, day * DAY + 10 * HOUR, 12, |_| ()));
        found = desk.end().findings;
    }
    let finding = found.iter().find(|finding| finding.kind == Kind::Harvest).unwrap();
    assert!(matches!(finding.why, Why::Harvest { subjects: 350..=375, usual: 110..=135 }), "{:?}", finding.why);
    assert_eq!((finding.since, finding.until), (monday(6), monday(10)));
    // It is over: nothing is said again of what was told.
    desk.ordinary();
    desk.end();
    desk.ordinary();
    assert!(desk.end().findings.iter().all(|finding| finding.kind != Kind::Harvest));
}

fn program(desk: &mut Desk, host: &str) {
    for hour in 0..7 * 24 {
        let object = format!("p{}-{hour}", desk.week);
        let written = desk.write(PROGRAM, hour * HOUR, &object);
        written.address = Some(host.parse().unwrap());
    }
}

#[test]
fn a_programs_key_in_a_persons_hands_and_a_program_that_moved() {
    let mut desk = Desk::new();
    for host in ["10.200.0.1", "10.200.0.1", "10.201.0.1", "10.201.0.1"] {
        desk.ordinary();
        program(&mut desk, host);
        assert_eq!(desk.end().findings, [], "{host}");
    }
    let at_home: IpAddr = "203.0.113.7".parse().unwrap();
    desk.ordinary();
    program(&mut desk, "10.201.0.1");
    desk.write(ANNA, DAY + 11 * HOUR, "own").address = Some(at_home);
    desk.looks(PROGRAM, DAY + 10 * HOUR, 15, |look| look.address = Some(at_home));
    let week = desk.end();
    let finding = only(&week);
    assert_eq!((finding.kind, finding.account, &finding.with[..]), (Kind::Service, PROGRAM, &[ANNA][..]));
    assert_eq!(finding.why, Why::Hands { subjects: 15, beside_person: true });
    // From where nobody is, and for what it never did.
    desk.ordinary();
    program(&mut desk, "10.201.0.1");
    desk.looks(PROGRAM, DAY + 10 * HOUR, 15, |look| {
        (look.address, look.action) = (Some("198.51.100.1".parse().unwrap()), "bill.get");
    });
    assert_eq!(only(&desk.end()).why, Why::Hands { subjects: 15, beside_person: false });
}

#[test]
fn in_two_places_at_once_and_a_flight() {
    for (gap, expected) in [(HOUR, 1), (14 * HOUR, 0)] {
        let mut desk = Desk::settled(4);
        desk.ordinary();
        desk.write(ANNA, DAY + 9 * HOUR, "a").address = Some("10.1.0.9".parse().unwrap());
        desk.write(ANNA, DAY + 9 * HOUR + gap, "b").address = Some("10.4.0.9".parse().unwrap());
        // A network that is no place of the tenant's says nothing.
        desk.write(ANNA, DAY + 9 * HOUR + gap + 60, "c").address = Some("203.0.113.1".parse().unwrap());
        let week = desk.end();
        assert_eq!(kinds(&week).iter().filter(|(kind, _)| *kind == Kind::Travel).count(), expected);
        if let Some(finding) = week.findings.iter().find(|finding| finding.kind == Kind::Travel) {
            let Why::Travel { from, to, kilometres: 9_300..=9_450, minutes: 60, times: 1 } = &finding.why else {
                panic!("{:?}", finding.why)
            };
            assert_eq!((from.as_str(), to.as_str()), ("Taipei", "Frankfurt"));
            assert_eq!((finding.evidence.entries.len(), finding.score), (2, 10.0));
        }
    }
}

fn approval(desk: &mut Desk, second: i64, requester: u128, approver: u128) {
    let object = format!("apv-{}-{}", desk.week, desk.entry);
    for (account, second, doing) in [(requester, second, Doing::Ask), (approver, second + 600, Doing::Agree)] {
        let written = desk.write(AccountId(account), second, &object);
        (written.doing, written.tenant) = (doing, OPERATOR);
    }
}

#[test]
fn approvals_between_the_same_two() {
    let mut desk = Desk::settled(4);
    let mut found = Vec::new();
    for _ in 0..4 {
        desk.ordinary();
        for day in 0..5 {
            // Four ask everybody in turn; the first two each other.
            for (requester, others) in
                [(3, [4, 5, 6, 1, 2]), (4, [5, 6, 3, 1, 2]), (5, [6, 3, 4, 1, 2]), (6, [3, 4, 5, 1, 2])]
            {
                approval(&mut desk, day * DAY + 10 * HOUR, requester, others[day as usize]);
            }
            approval(&mut desk, day * DAY + 12 * HOUR, 1, 2);
            approval(&mut desk, day * DAY + 13 * HOUR, 2, if day % 2 == 0 { 1 } else { 5 });
        }
        found = desk.end().findings;
    }
    let pairs: Vec<&Finding> = found.iter().filter(|finding| finding.kind == Kind::Pair).collect();
    assert_eq!(pairs.len(), 1, "{found:?}");
    assert_eq!((pairs[0].account, &pairs[0].with[..]), (ANNA, &[AccountId(2)][..]));
    assert!(matches!(pairs[0].why, Why::Pair { agreed: 20, asked: 20, returned: 12, .. }), "{:?}", pairs[0].why);
}

#[test]
fn where_only_one_can_agree_it_is_always_the_same() {
    let mut desk = Desk::settled(4);
    for _ in 0..4 {
        desk.ordinary();
        for day in 0..5 {
            approval(&mut desk, day * DAY + 10 * HOUR, 1, LEAD.0);
            approval(&mut desk, day * DAY + 11 * HOUR, 2, LEAD.0);
        }
        assert_eq!(desk.end().findings, []);
    }
}

#[test]
fn accounts_of_one_person_are_counted_together() {
    let mut desk = Desk::settled(4);
    let second = AccountId(21);
    let (id, one) = account(second, "desk", OPERATOR, Some(LEAD));
    desk.known.accounts.insert(id, Account { person: ANNA, ..one });
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 6, |look| look.tenant = STRANGER);
    assert_eq!(desk.end().findings, [], "six are too few");
    desk.ordinary();
    desk.looks(ANNA, DAY + 10 * HOUR, 6, |look| look.tenant = STRANGER);
    desk.looks(second, DAY + 10 * HOUR, 6, |look| look.tenant = STRANGER);
    assert_eq!(kinds(&desk.end()), [(Kind::Outside, ANNA)]);
}
