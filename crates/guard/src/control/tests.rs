//! Small logs, each made for what is tried. Whole firms: `tests/firm.rs`; reports: `tests/reports.rs`.

mod explained;
mod firm;
mod kinds;
mod reports;

use std::net::IpAddr;

use base::id::{AccountId, TenantId};
use base::time::{Timestamp, from_micros, micros};
use gate::Effect;
use gate::audit::{Leaf, Private};

use super::*;

const OPERATOR: TenantId = TenantId(1);
const CUSTOMER: TenantId = TenantId(100);
const STRANGER: TenantId = TenantId(101);
const LEAD: AccountId = AccountId(10);
const DIRECTOR: AccountId = AccountId(11);
const CALLER: AccountId = AccountId(12);
const PROGRAM: AccountId = AccountId(13);
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The six of a team, of whom the first is the one that things are tried with.
fn team() -> impl Iterator<Item = AccountId> {
    (1..=6).map(AccountId)
}

const ANNA: AccountId = AccountId(1);

/// A team of six, its lead, a director, a customer's caller and a program; a log that is written by hand.
struct Desk {
    control: Control,
    known: Known,
    week: i64,
    entry: u64,
    /// Entries of the week that is being written.
    written: Vec<Written>,
}

#[derive(Clone)]
struct Written {
    entry: u64,
    /// Since the week began.
    second: i64,
    account: AccountId,
    doing: Doing,
    action: &'static str,
    object: String,
    tenant: TenantId,
    address: Option<IpAddr>,
    reason: String,
}

fn account(id: AccountId, role: &str, tenant: TenantId, answers_to: Option<AccountId>) -> (AccountId, Account) {
    (id, Account { sort: Sort::Person, person: id, tenant, role: role.to_owned(), answers_to })
}

/// The Monday of a week, UTC.
fn monday(week: i64) -> Timestamp {
    // 2026-03-02.
    from_micros((1_772_409_600 + week * 7 * DAY) * 1_000_000).unwrap()
}

fn settings() -> Settings {
    let place = |name: &str, network: &str, latitude, longitude| Place {
        name: name.to_owned(),
        networks: vec![network.parse().unwrap()],
        latitude,
        longitude,
    };
    Settings {
        places: vec![place("Taipei", "10.1.0.0/16", 25.03, 121.56), place("Frankfurt", "10.4.0.0/16", 50.11, 8.68)],
        ..Settings::default()
    }
}

impl Desk {
    fn new() -> Desk {
        let mut known = Known::default();
        known.accounts.extend(team().map(|id| account(id, "desk", OPERATOR, Some(LEAD))));
        known.accounts.extend([
            account(LEAD, "lead", OPERATOR, Some(DIRECTOR)),
            account(DIRECTOR, "director", OPERATOR, None),
            account(CALLER, "user", CUSTOMER, None),
        ]);
        let (id, program) = account(PROGRAM, "program", OPERATOR, Some(LEAD));
        known.accounts.insert(id, Account { sort: Sort::Service, ..program });
        let assigned = |account| Assignment { account, tenant: CUSTOMER, from: monday(-1), until: None };
        known.assignments.extend(team().map(assigned));
        Desk { control: Control::new(settings()), known, week: 0, entry: 0, written: Vec::new() }
    }

    fn write(&mut self, account: AccountId, second: i64, object: &str) -> &mut Written {
        self.entry += 1;
        self.written.push(Written {
            entry: self.entry,
            second,
            account,
            doing: Doing::Look,
            action: "individual.get",
            object: object.to_owned(),
            tenant: CUSTOMER,
            address: None,
            reason: String::new(),
        });
        self.written.last_mut().unwrap()
    }

    /// Looks at so many different subjects, one each minute from then on.
    fn looks(&mut self, account: AccountId, second: i64, subjects: u32, with: impl Fn(&mut Written)) {
        for n in 0..subjects {
            let object = format!("{account}-{}-{second}-{n}", self.week);
            with(self.write(account, second + i64::from(n % 50) * 60, &object));
        }
    }

    /// What everybody does in a week: some look-ups a day without a reason, more and less of them.
    fn ordinary(&mut self) {
        for (n, account) in (0u32..).zip(team()) {
            for day in 0..5 {
                self.looks(account, day * DAY + 9 * HOUR, 3 + (n + day as u32) % 3, |_| ());
                self.looks(account, day * DAY + 14 * HOUR, 2 + (n * 3 + day as u32) % 2, |_| ());
            }
        }
    }

    /// Ends the week.
    fn end(&mut self) -> Week {
        self.control.begin(&self.known, monday(self.week));
        self.see();
        self.week += 1;
        self.control.end()
    }

    fn see(&mut self) {
        let start = micros(monday(self.week));
        for written in std::mem::take(&mut self.written) {
            self.control.see(&Activity {
                entry: written.entry,
                at: from_micros(start + written.second * 1_000_000).unwrap(),
                account: written.account,
                doing: written.doing,
                action: written.action,
                object: &written.object,
                tenant: written.tenant,
                refused: false,
                address: written.address,
                reason: &written.reason,
            });
        }
    }

    /// So many ordinary weeks, in which nothing stands out.
    fn settled(weeks: u32) -> Desk {
        let mut desk = Desk::new();
        for _ in 0..weeks {
            desk.ordinary();
            let week = desk.end();
            assert_eq!(week.findings, [], "an ordinary week");
        }
        desk
    }

    fn ticket(&mut self, name: &str, ticket: Ticket) {
        self.known.tickets.insert(name.to_owned(), ticket);
    }
}

fn open(tenant: TenantId) -> Ticket {
    Ticket { tenant: Some(tenant), opened_by: None, from: monday(0), until: None }
}

fn kinds(week: &Week) -> Vec<(Kind, AccountId)> {
    week.findings.iter().map(|finding| (finding.kind, finding.account)).collect()
}

#[test]
fn an_entry_of_the_log_is_read_as_it_is_there() {
    let leaf = Leaf {
        v: 1,
        at: micros(monday(0)),
        actor: ANNA.to_string(),
        tenant: OPERATOR.to_string(),
        object_tenant: CUSTOMER.to_string(),
        action: "individual.get".to_owned(),
        object_kind: "individual".to_owned(),
        object_id: "ind_1".to_owned(),
        revision: 3,
        outcome: "refused:individual.not_found".to_owned(),
        session: String::new(),
        strength: "password+code".to_owned(),
        request: String::new(),
        input: String::new(),
        private: String::new(),
    };
    let private = Private { address: Some("10.1.2.3".to_owned()), reason: "INC-1".to_owned() };
    let read = Activity::of(7, &leaf, Some(&private), Effect::Read).unwrap();
    assert_eq!((read.entry, read.at, read.account, read.doing), (7, monday(0), ANNA, Doing::Look));
    assert_eq!((read.object, read.tenant, read.refused, read.reason), ("ind_1", CUSTOMER, true, "INC-1"));
    assert_eq!(read.address, Some("10.1.2.3".parse().unwrap()));
    let erased = Activity::of(7, &leaf, None, Effect::Change).unwrap();
    assert_eq!((erased.address, erased.reason, erased.doing), (None, "", Doing::Change));
    for actor in ["nobody", "system:shipping", "hst_00000000000000000000000001", ""] {
        let other = Leaf { actor: actor.to_owned(), ..leaf.clone() };
        assert_eq!(Activity::of(7, &other, None, Effect::Read), None, "{actor}");
    }
    assert_eq!(Doing::of("approval.request", Effect::Create), Doing::Ask);
    assert_eq!(Doing::of("approval.approve", Effect::Change), Doing::Agree);
}

#[test]
fn every_finding_says_why_in_both_languages() {
    let whys = [
        Why::Again { times: 30, usual: 3 },
        Why::Burst { subjects: 200, usual: 5 },
        Why::OutsideAssignments { subjects: 12 },
        Why::OutsideRole { subjects: 12 },
        Why::Hours { subjects: 12 },
        Why::Harvest { subjects: 1_200, usual: 40 },
        Why::Hands { subjects: 12, beside_person: true },
        Why::Hands { subjects: 12, beside_person: false },
        Why::Travel { from: "A".into(), to: "B".into(), kilometres: 9_000, minutes: 12, times: 2 },
        Why::Pair { agreed: 12, asked: 14, others_percent: 8, returned: 0 },
    ];
    for why in whys {
        let code = serde_json::to_value(&why).unwrap()["code"].as_str().unwrap().to_owned();
        let (en, zh) = (why.en(), why.zh_tw());
        assert!(
            en.ends_with('.') && ["12", "30", "200", "9000"].iter().any(|figure| en.contains(figure)),
            "{code}: {en}"
        );
        assert!(zh.ends_with('。') && zh.chars().count() > 15, "{code}: {zh}");
    }
}
