use std::collections::BTreeSet;

use super::*;

fn small(seed: u64) -> Plan {
    Plan { seed, people: 60, weeks: 8, looks_a_day: 8.0, planted: 3 }
}

#[test]
fn the_same_plan_makes_the_same_log_and_another_seed_another() {
    let log = |seed| {
        let mut firm = Firm::new(small(seed));
        (0..3).flat_map(|_| firm.next_week().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(log(5), log(5));
    assert_ne!(log(5), log(6));
}

#[test]
fn entries_come_in_order_and_every_week_has_its_own() {
    let mut firm = Firm::new(small(7));
    let mut places = 0;
    for week in 0..8 {
        let (start, end) = (firm.start_of(week), firm.start_of(week + 1));
        let entries = firm.next_week().unwrap();
        assert!(entries.len() > 1_000);
        assert!(entries.windows(2).all(|two| two[0].at <= two[1].at && two[0].place + 1 == two[1].place));
        assert!(entries.iter().all(|entry| (start..end).contains(&entry.at)));
        assert_eq!(entries[0].place, places);
        places += entries.len() as u64;
    }
    assert!(firm.next_week().is_none());
}

#[test]
fn each_kind_is_planted_at_each_strength_by_different_people() {
    let firm = Firm::new(small(9));
    for kind in Abuse::ALL {
        let strengths: BTreeSet<u32> =
            firm.planted.iter().filter(|one| one.kind == kind).map(|one| one.strength).collect();
        assert_eq!(strengths.len(), 3, "{kind:?}");
    }
    let who: Vec<AccountId> = firm.planted.iter().flat_map(|one| one.accounts.iter().copied()).collect();
    assert_eq!(who.iter().collect::<BTreeSet<_>>().len(), who.len());
}

#[test]
fn what_was_found_is_held_against_what_was_planted() {
    let planted =
        Planted { kind: Abuse::Hours, strength: 1, accounts: vec![AccountId(7)], from_week: 5, until_week: 6 };
    let found = |kind: &str, account, week| Found {
        kind: kind.to_owned(),
        accounts: vec![AccountId(account)],
        from_week: week,
        week,
        to: Some(AccountId(1)),
    };
    let score = Score::of(
        std::slice::from_ref(&planted),
        &[found("hours", 7, 5), found("outside", 7, 5), found("hours", 8, 6)],
    );
    assert_eq!((score.recall_of(None), score.missed.len()), (1.0, 0));
    assert_eq!(score.precision["hours"], (2, 1));
    assert_eq!((score.reports, score.false_reports, score.wrong.len()), (2, 1, 1));
    let late = Score::of(&[planted], &[found("hours", 7, 6), found("travel", 7, 5)]);
    assert_eq!((late.recall_of(Some(Abuse::Hours)), late.recall_of(Some(Abuse::Pair))), (0.0, 1.0));
}
