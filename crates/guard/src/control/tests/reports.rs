//! Who gets what.

use super::*;

fn finding(account: AccountId, with: &[AccountId], score: f64) -> Finding {
    Finding {
        kind: Kind::Hours,
        account,
        with: with.to_vec(),
        since: monday(0),
        until: monday(1),
        score,
        why: Why::Hours { subjects: 9 },
        evidence: Evidence::default(),
    }
}

fn told(known: &Known, finding: Finding) -> Option<AccountId> {
    let made = reports(known, vec![finding]);
    assert_eq!((made.len(), made[0].findings.len()), (1, 1));
    made[0].to
}

#[test]
fn whoever_answers_for_the_account_is_told_and_of_a_lead_whoever_is_above() {
    let mut known = Desk::new().known;
    assert_eq!(told(&known, finding(ANNA, &[], 1.0)), Some(LEAD));
    assert_eq!(told(&known, finding(LEAD, &[], 1.0)), Some(DIRECTOR));
    assert_eq!(told(&known, finding(DIRECTOR, &[], 1.0)), None);
    assert_eq!(told(&known, finding(AccountId(999), &[], 1.0)), None);
    // A lead is not told of what they themself are a part of: as the other of a pair, or beside a program.
    assert_eq!(told(&known, finding(ANNA, &[LEAD], 1.0)), Some(DIRECTOR));
    assert_eq!(told(&known, finding(PROGRAM, &[LEAD], 1.0)), Some(DIRECTOR));
    // Nor by another account of theirs.
    let second = AccountId(22);
    let (id, one) = account(second, "lead", OPERATOR, Some(DIRECTOR));
    known.accounts.insert(id, Account { person: LEAD, ..one });
    known.accounts.get_mut(&ANNA).unwrap().answers_to = Some(second);
    assert_eq!(told(&known, finding(ANNA, &[], 1.0)), Some(second));
    assert_eq!(told(&known, finding(ANNA, &[LEAD], 1.0)), Some(DIRECTOR));
}

#[test]
fn who_answers_to_themself_or_in_a_circle_is_a_matter_for_nobody_of_theirs() {
    let mut known = Desk::new().known;
    known.accounts.get_mut(&LEAD).unwrap().answers_to = Some(LEAD);
    assert_eq!(told(&known, finding(LEAD, &[], 1.0)), None);
    known.accounts.get_mut(&LEAD).unwrap().answers_to = Some(DIRECTOR);
    known.accounts.get_mut(&DIRECTOR).unwrap().answers_to = Some(LEAD);
    assert_eq!(told(&known, finding(LEAD, &[DIRECTOR], 1.0)), None);
}

#[test]
fn one_report_each_with_what_stands_out_most() {
    let known = Desk::new().known;
    let all = (1..=15).map(|n| finding(AccountId(1 + n % 6), &[], 1.0 + n as f64)).chain([finding(LEAD, &[], 1.0)]);
    let made = reports(&known, all.collect());
    assert_eq!(made.iter().map(|report| report.to).collect::<Vec<_>>(), [Some(LEAD), Some(DIRECTOR)]);
    let scores: Vec<f64> = made[0].findings.iter().map(|finding| finding.score).collect();
    assert_eq!((scores.len(), made[0].left_off), (FINDINGS_IN_REPORT_MAX, 5));
    assert!(scores[0] == 16.0 && scores.windows(2).all(|two| two[0] >= two[1]), "{scores:?}");
}
