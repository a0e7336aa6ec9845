//! Log control: ten million entries analysed, beside only reading them; and how much planted abuse is found, beside an
//! isolation forest over the same figures (`control.py`).

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::time::{from_micros, micros};
use guard::control::{
    Account, Activity, Assignment, Control, Doing, Figures, Known, Place, Settings, Sort, Ticket, reports,
};
use testkit::activity::{Abuse, Deed, Entry, Firm, Found, OFFICES, Plan, Score};

use crate::figures::report;
use crate::process::{processor_time, resident_mib};

const ENTRIES: u64 = 10_000_000;
/// Firms that no limit was chosen by looking at.
const SEEDS: std::ops::Range<u64> = 301..307;
const WEEK_MICROS: i64 = 7 * 86_400 * 1_000_000;

pub fn run() {
    speed();
    quality();
}

fn settings() -> Settings {
    let place = |office: &testkit::activity::Office| Place {
        name: office.name.to_owned(),
        networks: vec![office.network.parse().unwrap()],
        latitude: office.at.0,
        longitude: office.at.1,
    };
    Settings { utc_offset_seconds: 8 * 3_600, places: OFFICES.iter().map(place).collect(), ..Settings::default() }
}

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

/// Writes entries as a log has them: texts with their lengths, numbers as they are.
fn written(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    for entry in entries {
        out.extend(entry.place.to_le_bytes());
        out.extend(micros(entry.at).to_le_bytes());
        out.push(match entry.deed {
            Deed::Look => 0,
            Deed::Change => 1,
            Deed::Ask => 2,
            Deed::Agree => 3,
        });
        text(&mut out, &entry.account.to_string());
        text(&mut out, &entry.tenant.to_string());
        text(&mut out, entry.action);
        text(&mut out, &entry.object);
        text(&mut out, &entry.address.to_string());
        text(&mut out, &entry.reason);
    }
    out
}

/// Reads them again, one by one: what any analysis must do at the least.
fn read(mut bytes: &[u8], mut each: impl FnMut(&Activity<'_>)) {
    fn number<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number
    }
    fn text<'b>(bytes: &mut &'b [u8]) -> &'b str {
        let length = u32::from_le_bytes(number(bytes, 4).try_into().unwrap()) as usize;
        std::str::from_utf8(number(bytes, length)).unwrap()
    }
    while !bytes.is_empty() {
        let entry = u64::from_le_bytes(number(&mut bytes, 8).try_into().unwrap());
        let at = i64::from_le_bytes(number(&mut bytes, 8).try_into().unwrap());
        let doing = [Doing::Look, Doing::Change, Doing::Ask, Doing::Agree][usize::from(number(&mut bytes, 1)[0])];
        let account: AccountId = text(&mut bytes).parse().unwrap();
        let tenant: TenantId = text(&mut bytes).parse().unwrap();
        let (action, object) = (text(&mut bytes), text(&mut bytes));
        let address = text(&mut bytes).parse().ok();
        let reason = text(&mut bytes);
        let at = from_micros(at).unwrap();
        each(&Activity { entry, at, account, doing, action, object, tenant, refused: false, address, reason });
    }
}

/// A large firm, until it has written ten million entries. Times are the processor's: one thread does all of it, and other
/// work on the machine is not counted.
fn speed() {
    let plan = Plan { seed: 300, people: 1_500, weeks: 60, looks_a_day: 90.0, planted: 30 };
    let (mut firm, mut control) = (Firm::new(plan), Control::new(settings()));
    let (mut reading, mut analysing, mut entries) = (Duration::ZERO, Duration::ZERO, 0);
    let used = || processor_time(std::process::id());
    let (mut findings, mut explained, mut held, mut week) = (0, 0, 0, 0);
    while entries < ENTRIES {
        let start = firm.start_of(week);
        let mut made = firm.next_week().unwrap();
        made.truncate((ENTRIES - entries) as usize);
        let (bytes, known) = (written(&made), known(&firm));
        entries += made.len() as u64;
        drop(made);
        let began = used();
        let mut sum = 0u64;
        read(&bytes, |activity| sum = sum.wrapping_add(black_box(activity).entry));
        black_box(sum);
        reading += used() - began;
        let began = used();
        control.begin(&known, start);
        read(&bytes, |activity| control.see(activity));
        held = held.max(control.bytes());
        let seen = control.end();
        analysing += used() - began;
        findings += seen.findings.len();
        explained += seen.explained;
        week += 1;
    }
    println!(
        "{entries} entries of {} accounts over {week} weeks: {:.2} s of one core, {:.2} s of it reading them; {} % explained, {findings} findings",
        firm.members.len(),
        analysing.as_secs_f64(),
        reading.as_secs_f64(),
        explained * 100 / entries,
    );
    println!(
        "memory of the analysis {:.0} MiB; of this program, which holds a week of the log too, {:.0} MiB",
        held as f64 / f64::from(1 << 20),
        resident_mib(std::process::id())
    );
    let rate = |took: Duration| entries as f64 / took.as_secs_f64();
    report("entries analysed, one core", rate(analysing), "/s", "of only reading them", rate(reading));
}

/// What an account did in a week, for the other detector.
struct Row {
    firm: u64,
    week: u32,
    account: AccountId,
    figures: Figures,
}

fn quality() {
    let (mut all, mut rows, mut planted, mut flagged) = (Score::default(), Vec::new(), Vec::new(), 0);
    for seed in SEEDS {
        let mut firm = Firm::new(Plan { seed, ..Plan::default() });
        let (mut control, mut found, mut week) = (Control::new(settings()), Vec::new(), 0);
        loop {
            let start = firm.start_of(week);
            let Some(entries) = firm.next_week() else { break };
            let known = known(&firm);
            let bytes = written(&entries);
            control.begin(&known, start);
            read(&bytes, |activity| control.see(activity));
            let seen = control.end();
            rows.extend(seen.figures.into_iter().map(|(account, figures)| Row { firm: seed, week, account, figures }));
            for report in reports(&known, seen.findings) {
                for finding in report.findings {
                    let weeks = ((micros(finding.until) - micros(finding.since)) / WEEK_MICROS) as u32;
                    found.push(Found {
                        kind: finding.kind.word().to_owned(),
                        accounts: finding.about().collect(),
                        from_week: (week + 1).saturating_sub(weeks),
                        week,
                        to: report.to,
                    });
                }
            }
            week += 1;
        }
        flagged += found.len();
        all.add(Score::of(&firm.planted, &found));
        planted.extend(firm.planted.iter().map(|one| (seed, one.clone())));
    }
    println!(
        "\nabuse planted in {} firms that no limit was chosen by, one report for each manager and week:",
        SEEDS.end - SEEDS.start
    );
    println!("{:<10} {:>6} {:>10}", "kind", "found", "precision");
    for kind in Abuse::ALL {
        let (found, precise) = (all.recall_of(Some(kind)), all.precision_of(Some(kind)));
        println!("{:<10} {:>5.0} % {:>8.0} %", kind.word(), found * 100.0, precise * 100.0);
    }
    let (found, precise) = (all.recall_of(None), all.precision_of(None));
    println!("{:<10} {:>5.0} % {:>8.0} %   {} findings", "all", found * 100.0, precise * 100.0, flagged);
    println!("{} of {} reports hold nothing true", all.false_reports, all.reports);
    rival(&rows, &planted, flagged);
}

/// Asks the isolation forest for as many account-weeks as ours reported findings.
fn rival(rows: &[Row], planted: &[(u64, testkit::activity::Planted)], flagged: usize) {
    let folder = std::env::temp_dir().join(format!("yunwei-control-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut text =
        "firm,week,account,again,burst,outside,hours,harvest,hands,subjects,travels,paired,explained\n".to_owned();
    for Row { firm, week, account, figures } in rows {
        let Figures { again, burst, outside, hours, harvest, hands, subjects, travels, paired, explained } = figures;
        writeln!(
            text,
            "{firm},{week},{account},{again},{burst},{outside},{hours},{harvest},{hands},{subjects},{travels},{paired},{explained}"
        )
        .unwrap();
    }
    std::fs::write(folder.join("figures.csv"), text).unwrap();
    let mut text = "firm,kind,accounts,from_week,until_week\n".to_owned();
    for (firm, one) in planted {
        let accounts: Vec<String> = one.accounts.iter().map(AccountId::to_string).collect();
        let (kind, from, until) = (one.kind.word(), one.from_week, one.until_week);
        writeln!(text, "{firm},{kind},{},{from},{until}", accounts.join(" ")).unwrap();
    }
    std::fs::write(folder.join("planted.csv"), text).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/control");
    println!("\nan isolation forest (pyod) over the same figures, its {flagged} oddest accounts and weeks:");
    let status = Command::new(script).arg(&folder).arg(flagged.to_string()).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) if status.code() == Some(75) => println!("skipped: pyod cannot be installed here (see above)"),
        other => println!("failed: {other:?}"),
    }
    let _ = std::fs::remove_dir_all(folder);
}
