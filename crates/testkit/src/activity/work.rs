//! An ordinary week, and what looks like abuse in it and is none.

use std::net::IpAddr;

use base::id::TenantId;

use super::firm::{DAY, Firm, ROLES, SUBJECTS, Ticket, address, instant};
use super::{Deed, Entry};

/// Days of the firm's life on which almost nobody works.
const HOLIDAYS: [i64; 3] = [18, 33, 61];
/// The week of a migration, by one team, and the week of a campaign, by the whole service desk.
const MIGRATION_WEEK: u32 = 7;
const CAMPAIGN_WEEK: u32 = 8;
const HOUR: f64 = 3_600.0;

/// Where one works from on a day.
#[derive(Clone, Copy)]
enum Whence {
    Office(usize),
    Home,
}

/// What somebody looks at, and why.
pub(super) struct Look<'a> {
    pub member: usize,
    pub second: i64,
    pub action: &'static str,
    pub customer: usize,
    pub subject: usize,
    pub address: IpAddr,
    pub reason: &'a str,
}

/// The object of a customer's subject.
pub(super) fn object(tenant: TenantId, subject: usize) -> String {
    format!("ind_{:06}{:020}", tenant.0, subject)
}

/// Where somebody's desk is in an office.
pub(super) fn desk(member: usize, office: usize) -> IpAddr {
    address(10, office as u8 + 1, member)
}

/// Where somebody's home is, which is no place that the tenant knows.
pub(super) fn home(member: usize) -> IpAddr {
    address(203, 0, member)
}

impl Firm {
    pub(super) fn look(&self, out: &mut Vec<Entry>, look: &Look<'_>) {
        let tenant = self.customers[look.customer];
        out.push(Entry {
            place: 0,
            at: instant(look.second),
            account: self.members[look.member].account,
            deed: Deed::Look,
            action: look.action,
            object: object(tenant, look.subject),
            tenant,
            address: look.address,
            reason: look.reason.to_owned(),
        });
    }

    pub(super) fn ticket(&mut self, tenant: Option<TenantId>, second: i64, days: i64) -> String {
        self.ticket_number += 1;
        let id = format!("INC-{}", self.ticket_number);
        let (from, until) = (instant(second - 3_600), instant(second + days * DAY));
        self.tickets.push(Ticket { id: id.clone(), tenant, from, until });
        id
    }

    pub(super) fn actions_of(&self, member: usize) -> &'static [&'static str] {
        let found = ROLES.iter().find(|(role, ..)| *role == self.members[member].role);
        found.map_or(&["organization.get", "productOrder.get", "bill.get", "individual.get"], |(_, actions, _)| actions)
    }

    /// Whether somebody of the staff works on that day of the firm's life, for which one needs no reason.
    fn works(&mut self, member: usize, day: i64) -> bool {
        let one = &self.members[member];
        let (is_desk, begins) = (one.role == "desk", one.joined);
        if self.week < begins {
            return false;
        }
        let (weekend, off) = (day % 7 >= 5, HOLIDAYS.contains(&day));
        // The desk works every day, each of it five of seven.
        let rests = if is_desk { (day as usize + member * 3) % 7 < 2 } else { weekend || off };
        !rests && !self.chance.happens(0.04)
    }
}

pub(super) fn week(firm: &mut Firm, out: &mut Vec<Entry>) {
    let staff: Vec<usize> = (0..firm.members.len()).filter(|n| is_staff(firm, *n)).collect();
    let mut trips = vec![None; firm.members.len()];
    for day in 0..7 {
        let day_of_firm = i64::from(firm.week) * 7 + day;
        let start = firm.second_of(firm.week) + day * DAY;
        let busy: Vec<f64> = ROLES.iter().map(|_| if firm.chance.happens(0.1) { 1.6 } else { 1.0 }).collect();
        for member in &staff {
            if firm.works(*member, day_of_firm) {
                let from = whence(firm, &mut trips[*member], *member, day);
                let role = ROLES.iter().position(|(role, ..)| *role == firm.members[*member].role);
                working_day(firm, out, *member, start, role.map_or(1.0, |role| busy[role]), from);
            }
        }
        on_call(firm, out, &staff, start);
        calls_of_customers(firm, out, start);
        programs(firm, out, start);
    }
    if firm.week == MIGRATION_WEEK {
        migration(firm, out, &staff);
    }
}

pub(super) fn is_staff(firm: &Firm, member: usize) -> bool {
    let one = &firm.members[member];
    !one.is_service && one.role != "user" && one.role != "director"
}

/// Mostly one's own office, at times from home, now and then some days in another office, with time to get there.
fn whence(firm: &mut Firm, trip: &mut Option<(i64, usize)>, member: usize, day: i64) -> Whence {
    let own = firm.members[member].office;
    match *trip {
        Some((until, office)) if day <= until => return Whence::Office(office),
        _ => {}
    }
    if firm.chance.happens(0.012) {
        *trip = Some((day + 2, if firm.chance.happens(0.6) { 1 - own } else { 2 }));
    }
    // One travels today and is there tomorrow.
    if trip.is_some_and(|(until, _)| until == day + 2) || firm.chance.happens(0.15) {
        Whence::Home
    } else {
        Whence::Office(own)
    }
}

/// Cases: mostly with a ticket, some after a call, some with nothing that explains them.
fn working_day(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, start: i64, busy: f64, from: Whence) {
    let (pace, begins, role) = {
        let one = &firm.members[member];
        (one.pace, one.begins, one.role)
    };
    let is_new = firm.members[member].joined > 0 && firm.week < firm.members[member].joined + 3;
    let campaign = firm.week == CAMPAIGN_WEEK && role == "desk";
    let unexplained = match (campaign, is_new) {
        (true, _) => 0.5,
        (_, true) => 0.25,
        _ => firm.members[member].unexplained,
    };
    let mean = firm.plan.looks_a_day * pace * busy * if campaign { 1.5 } else { 1.0 };
    let mut left = i64::from(firm.chance.poisson(mean));
    let late = if firm.chance.happens(0.08) { firm.chance.between(0.5, 2.0) } else { 0.0 };
    let mut last: Option<(usize, String)> = None;
    let from = match from {
        Whence::Office(office) => desk(member, office),
        Whence::Home => home(member),
    };
    while left > 0 {
        let at = start + (begins + firm.chance.between(0.0, (8.5 + late) * HOUR)) as i64;
        let draw = firm.chance.unit();
        let mut customer = customer_of(firm, member);
        let (mut reason, mut called) = (String::new(), false);
        if draw >= unexplained + 0.1 {
            match last.take().filter(|_| firm.chance.happens(0.4)) {
                Some((before, id)) => (customer, reason) = (before, id),
                None => {
                    let tenant = firm.customers[customer];
                    // What comes of it is looked at for a day or two.
                    reason = format!("{}: customer asked", firm.ticket(Some(tenant), at.min(start), 3));
                }
            }
            last = Some((customer, reason.clone()));
        } else if draw >= unexplained {
            called = true;
        } else if firm.chance.happens(0.02) {
            // A mistake: a customer of somebody else's.
            customer = firm.chance.below(firm.customers.len());
        }
        left -= case(firm, out, (member, customer, at), from, &reason, called);
    }
    approvals(firm, out, member, start, from);
}

fn customer_of(firm: &mut Firm, member: usize) -> usize {
    let customers = &firm.members[member].customers;
    match customers.len() {
        0 => 0,
        n => customers[firm.chance.below(n)],
    }
}

/// One to some subjects, each looked at once or some times within an hour and a half. Gives the number of look-ups.
fn case(
    firm: &mut Firm,
    out: &mut Vec<Entry>,
    (member, customer, at): (usize, usize, i64),
    from: IpAddr,
    reason: &str,
    called: bool,
) -> i64 {
    let (subjects, actions) = (1 + firm.chance.poisson(0.5), firm.actions_of(member));
    let mut looks = 0;
    for _ in 0..subjects {
        let subject = firm.chance.below(SUBJECTS);
        if called {
            let second = at - firm.chance.between(60.0, 3_600.0) as i64;
            customer_acts(firm, out, customer, subject, second);
        }
        for _ in 0..1 + firm.chance.poisson(0.7) {
            let second = at + firm.chance.between(0.0, 1.5 * HOUR) as i64;
            let action = *firm.chance.of(actions);
            firm.look(out, &Look { member, second, action, customer, subject, address: from, reason });
            looks += 1;
        }
    }
    looks
}

fn customer_acts(firm: &mut Firm, out: &mut Vec<Entry>, customer: usize, subject: usize, second: i64) {
    let (caller, tenant) = (firm.callers[customer], firm.customers[customer]);
    out.push(Entry {
        place: 0,
        at: instant(second),
        account: firm.members[caller].account,
        deed: Deed::Change,
        action: "individual.update",
        object: object(tenant, subject),
        tenant,
        address: address(198, 51, caller),
        reason: String::new(),
    });
}

/// Customers' people do things of their own, at all hours of the day.
fn calls_of_customers(firm: &mut Firm, out: &mut Vec<Entry>, start: i64) {
    for customer in 0..firm.customers.len() {
        for _ in 0..firm.chance.poisson(1.5) {
            let second = start + (firm.chance.between(8.0, 22.0) * HOUR) as i64;
            let subject = firm.chance.below(SUBJECTS);
            customer_acts(firm, out, customer, subject, second);
        }
    }
}

/// Engineers and billing ask now and then; whom, depends on who is near and on habit.
fn approvals(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, start: i64, from: IpAddr) {
    let asks = matches!(firm.members[member].role, "engineer" | "billing") && firm.chance.happens(0.3);
    if !asks {
        return;
    }
    let team = firm.members[member].team;
    let mates: Vec<usize> = (0..firm.members.len())
        .filter(|n| firm.members[*n].team == team && *n != member && is_staff(firm, *n))
        .collect();
    let liked = |mate: usize| 0.5 + (mate * 7 % 5) as f64 * 0.3 + ((mate * 31 + member * 17) % 4) as f64 * 0.3;
    let weights: Vec<f64> =
        mates.iter().map(|mate| if firm.members[*mate].role == "lead" { 4.0 } else { liked(*mate) }).collect();
    let mut left = firm.chance.between(0.0, weights.iter().sum());
    for (mate, weight) in mates.iter().zip(&weights) {
        left -= weight;
        if left <= 0.0 {
            let second = start + (firm.members[member].begins + firm.chance.between(0.0, 7.0 * HOUR)) as i64;
            return approval(firm, out, (member, *mate), second, from);
        }
    }
}

pub(super) fn approval(
    firm: &mut Firm,
    out: &mut Vec<Entry>,
    (requester, approver): (usize, usize),
    second: i64,
    from: IpAddr,
) {
    firm.approval_number += 1;
    let (object, tenant) = (format!("apv_{:026}", firm.approval_number), firm.members[requester].tenant);
    let agreed = second + firm.chance.between(300.0, 3_000.0) as i64;
    for (member, at, deed, action, address) in [
        (requester, second, Deed::Ask, "approval.request", from),
        (approver, agreed, Deed::Agree, "approval.approve", home(approver)),
    ] {
        out.push(Entry {
            place: 0,
            at: instant(at),
            account: firm.members[member].account,
            deed,
            action,
            object: object.clone(),
            tenant,
            address,
            reason: String::new(),
        });
    }
}

/// Each team has somebody on call; a night in five something happens, and has a ticket.
fn on_call(firm: &mut Firm, out: &mut Vec<Entry>, staff: &[usize], start: i64) {
    let teams = firm.members[*staff.last().unwrap_or(&0)].team + 1;
    for team in 0..teams {
        if !firm.chance.happens(0.2) {
            continue;
        }
        let of_team: Vec<usize> = staff
            .iter()
            .copied()
            .filter(|n| firm.members[*n].team == team && firm.members[*n].joined <= firm.week)
            .collect();
        if of_team.is_empty() {
            continue;
        }
        let member = *firm.chance.of(&of_team);
        let at = start + (firm.chance.between(0.5, 4.0) * HOUR) as i64;
        let customer = customer_of(firm, member);
        let tenant = firm.customers[customer];
        let reason = format!("on call, {}", firm.ticket(Some(tenant), at, 1));
        let from = home(member);
        for _ in 0..2 + firm.chance.below(6) {
            case(firm, out, (member, customer, at), from, &reason, false);
        }
    }
}

/// A team moves a customer over a weekend, day and night, under one ticket for everything.
fn migration(firm: &mut Firm, out: &mut Vec<Entry>, staff: &[usize]) {
    let start = firm.second_of(firm.week) + 5 * DAY;
    let reason = format!("migration {}", firm.ticket(None, start, 3));
    let team: Vec<usize> =
        staff.iter().copied().filter(|n| firm.members[*n].team == 1 && firm.members[*n].joined <= firm.week).collect();
    for member in team {
        for _ in 0..60 {
            let at = start + firm.chance.between(0.0, 44.0 * HOUR) as i64;
            let customer = firm.chance.below(firm.customers.len());
            case(firm, out, (member, customer, at), home(member), &reason, false);
        }
    }
}

/// Programs go over subjects every hour, each in its own way, from its own host. Some move to another host.
fn programs(firm: &mut Firm, out: &mut Vec<Entry>, start: i64) {
    let all: Vec<usize> = (0..firm.members.len()).filter(|n| firm.members[*n].is_service).collect();
    for (nth, member) in all.into_iter().enumerate() {
        let moved = nth % 4 == 3 && firm.week >= 6;
        let host = address(10, if moved { 201 } else { 200 }, nth);
        let (_, actions, _) = ROLES[nth % ROLES.len()];
        for hour in 0..24 {
            for _ in 0..firm.chance.poisson(4.0) {
                let second = start + hour * 3_600 + firm.chance.below(600) as i64;
                let (customer, subject) = (firm.chance.below(firm.customers.len()), firm.chance.below(SUBJECTS));
                let look = Look { member, second, action: actions[0], customer, subject, address: host, reason: "" };
                firm.look(out, &look);
            }
        }
    }
}
