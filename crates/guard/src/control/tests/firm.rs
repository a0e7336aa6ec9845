//! Whole firms with planted abuse: how much is found, and how much is reported that nobody did.
//!
//! No limit was chosen by looking at these firms: they were set before any of them was made.

use testkit::activity::{Abuse, Deed, Entry, Firm, Found, OFFICES, Plan, Score};

use super::*;

fn settings() -> Settings {
    let place = |office: &testkit::activity::Office| Place {
        name: office.name.to_owned(),
        networks: vec![office.network.parse().unwrap()],
        latitude: office.at.0,
        longitude: office.at.1,
    };
    Settings { utc_offset_seconds: 8 * 3_600, places: OFFICES.iter().map(place).collect(), ..Settings::default() }
}

/// What the platform knows of a firm.
fn known(firm: &Firm) -> Known {
    let accounts = firm.members.iter().map(|one| {
        let (tenant, role, answers_to) = (one.tenant, one.role.to_owned(), one.answers_to);
        let sort = if one.is_service { Sort::Service } else { Sort::Person };
        (one.account, Account { sort, person: one.account, tenant, role, answers_to })
    });
    let assignments = firm.assignments.iter().map(|one| {
        let (account, tenant, from) = (one.account, one.tenant, one.from);
        Assignment { account, tenant, from, until: None }
    });
    let tickets = firm.tickets.iter().map(|one| {
        (one.id.clone(), Ticket { tenant: one.tenant, opened_by: None, from: one.from, until: Some(one.until) })
    });
    Known { accounts: accounts.collect(), assignments: assignments.collect(), tickets: tickets.collect() }
}

fn activity(entry: &Entry) -> Activity<'_> {
    Activity {
        entry: entry.place,
        at: entry.at,
        account: entry.account,
        doing: match entry.deed {
            Deed::Look => Doing::Look,
            Deed::Change => Doing::Change,
            Deed::Ask => Doing::Ask,
            Deed::Agree => Doing::Agree,
        },
        action: entry.action,
        object: &entry.object,
        tenant: entry.tenant,
        refused: false,
        address: Some(entry.address),
        reason: &entry.reason,
    }
}

/// Works through a firm's weeks and gives what its reports held.
fn run(plan: Plan) -> Score {
    let (mut firm, mut control, mut found) = (Firm::new(plan), Control::new(settings()), Vec::new());
    for week in 0.. {
        let start = firm.start_of(week);
        let Some(entries) = firm.next_week() else { break };
        let known = known(&firm);
        control.begin(&known, start);
        entries.iter().for_each(|entry| control.see(&activity(entry)));
        let seen = control.end();
        assert_eq!((seen.entries, seen.strays, seen.unwatched), (entries.len() as u64, 0, 0));
        for report in reports(&known, seen.findings) {
            assert!(report.findings.len() <= FINDINGS_IN_REPORT_MAX);
            for finding in report.findings {
                assert!(finding.about().all(|one| Some(one) != report.to));
                let weeks = (micros(finding.until) - micros(finding.since)) / (7 * DAY * 1_000_000);
                found.push(Found {
                    kind: finding.kind.word().to_owned(),
                    accounts: finding.about().collect(),
                    from_week: (week + 1).saturating_sub(weeks as u32),
                    week,
                    to: report.to,
                });
            }
        }
    }
    Score::of(&firm.planted, &found)
}

fn show(score: &Score) -> String {
    let kinds = Abuse::ALL.map(|kind| {
        format!("{} {:.2} ({:.2})", kind.word(), score.recall_of(Some(kind)), score.precision_of(Some(kind)))
    });
    let missed: Vec<String> = score.missed.iter().map(|one| format!("{} {}", one.kind.word(), one.strength)).collect();
    format!(
        "found, and in brackets the part of the findings that is true: {}; all {:.2} ({:.2}); {} of {} reports false; missed: {missed:?}",
        kinds.join(", "),
        score.recall_of(None),
        score.precision_of(None),
        score.false_reports,
        score.reports
    )
}

#[test]
fn nine_of_ten_planted_abuses_of_each_kind_are_in_a_report_and_few_reports_are_false() {
    let mut all = Score::default();
    let firms = 4;
    for seed in 101..101 + firms {
        let score = run(Plan { seed, ..Plan::default() });
        eprintln!("seed {seed}: {}", show(&score));
        all.add(score);
    }
    eprintln!("all: {}", show(&all));
    for kind in Abuse::ALL {
        assert!(all.recall_of(Some(kind)) >= 0.9, "{kind:?}: {}", show(&all));
    }
    // Sixteen people answer for others, twelve weeks.
    let weeks_of_people = firms as u32 * 16 * 12;
    assert!(all.false_reports * 20 <= weeks_of_people, "{}", show(&all));
}

#[test]
fn where_nothing_is_planted_almost_nothing_is_reported() {
    let score = run(Plan { seed: 201, planted: 0, ..Plan::default() });
    eprintln!("{}", show(&score));
    assert!(score.false_reports * 20 <= 16 * 12, "{}", show(&score));
}
