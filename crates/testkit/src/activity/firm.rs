//! Who is who: teams of one role with a lead, a director, programs, customers with their own people.

use std::net::{IpAddr, Ipv4Addr};

use base::id::{AccountId, TenantId};
use base::time::{Timestamp, from_micros};

use super::chance::Chance;
use super::{Entry, Plan, Planted, abuse, work};

/// The Monday on which every firm begins, at midnight in Taipei, in seconds: 2026-03-02T00:00+08:00.
const START_SECONDS: i64 = 1_772_380_800;
pub(super) const DAY: i64 = 86_400;
const TEAM: usize = 10;
/// Subjects of each customer.
pub(super) const SUBJECTS: usize = 400;

/// What a role looks up, the most frequent first, and how many customers one of it works for.
pub(super) const ROLES: [(&str, &[&str], usize); 4] = [
    ("desk", &["individual.get", "individual.get", "organization.get", "serviceInventory.get"], 14),
    ("engineer", &["serviceInventory.get", "machine.get", "machine.get", "individual.get"], 7),
    ("billing", &["bill.get", "billingAccount.get", "bill.get", "individual.get"], 10),
    ("sales", &["organization.get", "productOrder.get", "individual.get"], 8),
];

/// An account.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub account: AccountId,
    /// Its home.
    pub tenant: TenantId,
    /// Its role.
    pub role: &'static str,
    /// Whether it is a program's.
    pub is_service: bool,
    /// Who answers for it.
    pub answers_to: Option<AccountId>,
    pub(super) team: usize,
    /// How much it does, beside others of its role.
    pub(super) pace: f64,
    /// The part of its look-ups that nothing explains.
    pub(super) unexplained: f64,
    /// When its day begins, in seconds.
    pub(super) begins: f64,
    pub(super) office: usize,
    /// The week in which it joined.
    pub(super) joined: u32,
    /// Customers, by number.
    pub(super) customers: Vec<usize>,
}

/// An office, as the tenant would name it.
#[derive(Debug, Clone, Copy)]
pub struct Office {
    /// Its name.
    pub name: &'static str,
    /// Its network.
    pub network: &'static str,
    /// Degrees north and east.
    pub at: (f64, f64),
}

/// The firm's offices. The first two are where people work.
pub const OFFICES: [Office; 4] = [
    Office { name: "Taipei", network: "10.1.0.0/16", at: (25.03, 121.56) },
    Office { name: "Kaohsiung", network: "10.2.0.0/16", at: (22.63, 120.30) },
    Office { name: "Tokyo", network: "10.3.0.0/16", at: (35.68, 139.69) },
    Office { name: "Frankfurt", network: "10.4.0.0/16", at: (50.11, 8.68) },
];

/// That somebody works for a customer.
#[derive(Debug, Clone, Copy)]
pub struct Assignment {
    /// Who.
    pub account: AccountId,
    /// For whom.
    pub tenant: TenantId,
    /// From then on.
    pub from: Timestamp,
}

/// A ticket.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its identifier, as reasons name it.
    pub id: String,
    /// About whose things; none: anybody's.
    pub tenant: Option<TenantId>,
    /// Open from then …
    pub from: Timestamp,
    /// … until then.
    pub until: Timestamp,
}

/// A firm, with what it has done so far.
pub struct Firm {
    /// What it was made from.
    pub plan: Plan,
    /// Who is there, customers' people and programs too.
    pub members: Vec<Member>,
    /// Who works for whom.
    pub assignments: Vec<Assignment>,
    /// Tickets that were opened so far; the old ones are forgotten.
    pub tickets: Vec<Ticket>,
    /// What was planted.
    pub planted: Vec<Planted>,
    pub(super) chance: Chance,
    pub(super) customers: Vec<TenantId>,
    /// Members that are a customer's own people: of the customer of that number, by its place.
    pub(super) callers: Vec<usize>,
    pub(super) week: u32,
    pub(super) entries: u64,
    /// What a night shift does after the week's end.
    pub(super) later: Vec<Entry>,
    pub(super) ticket_number: u32,
    pub(super) approval_number: u32,
}

pub(super) fn instant(second: i64) -> Timestamp {
    from_micros(second * 1_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn address(a: u8, b: u8, number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, (number / 250) as u8, (number % 250 + 1) as u8))
}

impl Firm {
    /// Founds one.
    pub fn new(plan: Plan) -> Firm {
        let mut chance = Chance::new(plan.seed);
        let operator = TenantId(1);
        let customers: Vec<TenantId> =
            (0..plan.people.max(40) as usize / 2).map(|n| TenantId(1_000 + n as u128)).collect();
        let mut firm = Firm {
            plan,
            members: vec![member(&mut chance, 0, operator, "director", None, usize::MAX)],
            assignments: Vec::new(),
            tickets: Vec::new(),
            planted: Vec::new(),
            customers,
            callers: Vec::new(),
            chance,
            week: 0,
            entries: 0,
            later: Vec::new(),
            ticket_number: 20_000,
            approval_number: 0,
        };
        firm.staff(operator);
        firm.programs(operator);
        firm.callers();
        abuse::plan(&mut firm);
        firm
    }

    fn staff(&mut self, operator: TenantId) {
        let director = self.members[0].account;
        let mut lead = director;
        for n in 1..self.plan.people as usize {
            let (team, is_lead) = ((n - 1) / TEAM, (n - 1) % TEAM == 0);
            let (role, _, works_for) = ROLES[team % ROLES.len()];
            let (role, answers_to) = if is_lead { ("lead", director) } else { (role, lead) };
            let mut one = member(&mut self.chance, n, operator, role, Some(answers_to), team);
            if is_lead {
                lead = one.account;
                one.pace *= 0.4;
            }
            // A third of the service desk works evenings and nights.
            if role == "desk" {
                one.begins = [8.0, 8.5, 8.0, 8.5, 14.5, 22.5][n % 6] * 3_600.0;
            }
            if !is_lead && self.chance.happens(0.04) {
                one.joined = 4 + self.chance.below(self.plan.weeks.saturating_sub(6) as usize) as u32;
            }
            while one.customers.len() < works_for {
                let customer = self.chance.below(self.customers.len());
                if !one.customers.contains(&customer) {
                    one.customers.push(customer);
                }
            }
            let from = instant(START_SECONDS - DAY);
            let tenants = one.customers.iter().map(|customer| self.customers[*customer]);
            self.assignments.extend(tenants.map(|tenant| Assignment { account: one.account, tenant, from }));
            self.members.push(one);
        }
    }

    fn programs(&mut self, operator: TenantId) {
        let leads: Vec<AccountId> =
            self.members.iter().filter(|member| member.role == "lead").map(|member| member.account).collect();
        for n in 0..(self.plan.people as usize / 10).max(self.plan.planted as usize + 2) {
            let answers_to = leads.get(n % leads.len().max(1)).copied();
            let mut one = member(&mut self.chance, 50_000 + n, operator, "program", answers_to, usize::MAX);
            one.is_service = true;
            self.members.push(one);
        }
    }

    /// Customers' own people, who act on their own things and call.
    fn callers(&mut self) {
        for n in 0..self.customers.len() {
            let one = member(&mut self.chance, 60_000 + n, self.customers[n], "user", None, usize::MAX);
            self.callers.push(self.members.len());
            self.members.push(one);
        }
    }

    /// When a week begins.
    pub fn start_of(&self, week: u32) -> Timestamp {
        instant(self.second_of(week))
    }

    pub(super) fn second_of(&self, week: u32) -> i64 {
        START_SECONDS + i64::from(week) * 7 * DAY
    }

    /// The next week's entries, in order of time; none after the last.
    pub fn next_week(&mut self) -> Option<Vec<Entry>> {
        if self.week >= self.plan.weeks {
            return None;
        }
        let start = self.second_of(self.week);
        self.tickets.retain(|ticket| ticket.until.as_second() > start - 7 * DAY);
        let mut entries = std::mem::take(&mut self.later);
        work::week(self, &mut entries);
        abuse::week(self, &mut entries);
        entries.sort_by_key(|entry| entry.at);
        let end = self.start_of(self.week + 1);
        self.later = entries.split_off(entries.partition_point(|entry| entry.at < end));
        for entry in &mut entries {
            entry.place = self.entries;
            self.entries += 1;
        }
        self.week += 1;
        Some(entries)
    }
}

fn member(
    chance: &mut Chance,
    number: usize,
    tenant: TenantId,
    role: &'static str,
    answers_to: Option<AccountId>,
    team: usize,
) -> Member {
    Member {
        account: AccountId(10_000 + number as u128),
        tenant,
        role,
        is_service: false,
        answers_to,
        team,
        pace: chance.factor(0.22),
        unexplained: chance.between(0.08, 0.18),
        begins: chance.between(8.0, 9.5) * 3_600.0,
        office: usize::from(chance.happens(0.3)),
        joined: 0,
        customers: Vec::new(),
    }
}
