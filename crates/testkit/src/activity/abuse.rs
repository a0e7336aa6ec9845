//! What is planted: seven kinds at three strengths, each by somebody else, beside their ordinary work.

use super::firm::{DAY, Firm, ROLES, SUBJECTS};
use super::work::{Look, approval, desk, home, is_staff};
use super::{Abuse, Entry, Planted};

/// The first week in which there is abuse: before, nobody knows yet what is usual.
const FIRST_WEEK: u32 = 4;
const HOUR: f64 = 3_600.0;

/// Chooses who, and when.
pub(super) fn plan(firm: &mut Firm) {
    let mut free: Vec<usize> =
        (0..firm.members.len()).filter(|n| is_staff(firm, *n) && firm.members[*n].joined == 0).collect();
    let mut programs: Vec<usize> = (0..firm.members.len()).filter(|n| firm.members[*n].is_service).collect();
    for nth in 0..firm.plan.planted {
        for kind in Abuse::ALL {
            let lasts = if matches!(kind, Abuse::Harvest | Abuse::Pair) { 4 } else { 1 };
            let last = firm.plan.weeks.saturating_sub(lasts).max(FIRST_WEEK);
            let from_week = FIRST_WEEK + firm.chance.below((last - FIRST_WEEK + 1) as usize) as u32;
            let Some(who) = choose(firm, kind, &mut free, &mut programs) else { continue };
            let accounts = who.iter().map(|member| firm.members[*member].account).collect();
            let until_week = (from_week + lasts).min(firm.plan.weeks);
            firm.planted.push(Planted { kind, strength: 1 + nth % 3, accounts, from_week, until_week });
        }
    }
}

fn choose(firm: &mut Firm, kind: Abuse, free: &mut Vec<usize>, programs: &mut Vec<usize>) -> Option<Vec<usize>> {
    let able = |firm: &Firm, member: usize| match kind {
        // Where the role has a night shift, nights are nothing unusual.
        Abuse::Hours => firm.members[member].role != "desk",
        Abuse::Pair => matches!(firm.members[member].role, "engineer" | "billing"),
        _ => true,
    };
    let fit: Vec<usize> = free.iter().copied().filter(|member| able(firm, *member)).collect();
    if fit.is_empty() {
        return None;
    }
    let first = *firm.chance.of(&fit);
    let mut who = vec![first];
    match kind {
        Abuse::Service => {
            if programs.is_empty() {
                return None;
            }
            who.insert(0, programs.remove(firm.chance.below(programs.len())));
        }
        Abuse::Pair => {
            let mates: Vec<usize> = fit
                .iter()
                .copied()
                .filter(|mate| *mate != first && firm.members[*mate].team == firm.members[first].team)
                .collect();
            if mates.is_empty() {
                return None;
            }
            who.push(*firm.chance.of(&mates));
        }
        _ => {}
    }
    free.retain(|member| !who.contains(member));
    Some(who)
}

/// Adds what is planted in the week that is made.
pub(super) fn week(firm: &mut Firm, out: &mut Vec<Entry>) {
    let now: Vec<(usize, Planted)> = firm.planted.iter().cloned().enumerate().collect();
    for (nth, planted) in now {
        if !(planted.from_week..planted.until_week).contains(&firm.week) {
            continue;
        }
        let who: Vec<usize> = planted
            .accounts
            .iter()
            .filter_map(|account| firm.members.iter().position(|member| member.account == *account))
            .collect();
        let strength = planted.strength as usize - 1;
        match planted.kind {
            Abuse::Repeated if nth % 2 == 0 => again(firm, out, who[0], strength),
            Abuse::Repeated => burst(firm, out, who[0], strength),
            Abuse::Outside => outside(firm, out, who[0], strength, nth % 2 == 0),
            Abuse::Hours => hours(firm, out, who[0], strength),
            Abuse::Harvest => harvest(firm, out, who[0], strength),
            Abuse::Service => key(firm, out, (who[0], who[1]), strength),
            Abuse::Travel => travel(firm, out, who[0], strength),
            Abuse::Pair => pair(firm, out, (who[0], who[1]), strength, planted.until_week - planted.from_week),
        }
    }
}

/// What some write who have no reason: a ticket that there never was.
fn pretext(firm: &mut Firm) -> &'static str {
    if firm.chance.happens(0.3) { "INC-99999" } else { "" }
}

/// A working day of the week and a second of its hours for somebody.
fn working_second(firm: &mut Firm, member: usize, day: usize) -> i64 {
    let begins = firm.members[member].begins;
    firm.second_of(firm.week) + day as i64 * DAY + (begins + firm.chance.between(0.0, 8.4 * HOUR)) as i64
}

fn own_customer(firm: &mut Firm, member: usize) -> usize {
    let customers = firm.members[member].customers.clone();
    *firm.chance.of(&customers)
}

/// One subject, on most days, in many different hours.
fn again(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize) {
    let (customer, subject) = (own_customer(firm, member), firm.chance.below(SUBJECTS));
    let (address, action) = (home(member), firm.actions_of(member)[0]);
    for nth in 0..[12, 20, 35][strength] {
        // One after another, so that each falls into an hour of its own.
        let begins = firm.members[member].begins as i64;
        let second = firm.second_of(firm.week) + (nth % 5) * DAY + begins + (nth / 5) * 3_700;
        let reason = pretext(firm);
        firm.look(out, &Look { member, second, action, customer, subject, address, reason });
    }
}

/// Very many in a day.
fn burst(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize) {
    let (customer, day) = (own_customer(firm, member), firm.chance.below(5));
    let (address, actions) = (home(member), firm.actions_of(member));
    for _ in 0..[25, 50, 130][strength] {
        let (second, subject) = (working_second(firm, member, day), firm.chance.below(SUBJECTS));
        let (action, reason) = (*firm.chance.of(actions), pretext(firm));
        firm.look(out, &Look { member, second, action, customer, subject, address, reason });
    }
}

/// Of a customer of somebody else's, or in another role's way.
fn outside(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize, of_customer: bool) {
    let own = firm.members[member].customers.clone();
    let others: Vec<usize> = (0..firm.customers.len()).filter(|customer| !own.contains(customer)).collect();
    let mine = firm.actions_of(member);
    let foreign: Vec<&'static str> = ROLES
        .iter()
        .flat_map(|(_, actions, _)| actions.iter().copied())
        .filter(|action| !mine.contains(action))
        .collect();
    let is_lead = firm.members[member].role == "lead";
    let customer = if of_customer || is_lead { *firm.chance.of(&others) } else { *firm.chance.of(&own) };
    let address = home(member);
    for _ in 0..[10, 20, 50][strength] {
        let day = firm.chance.below(5);
        let (second, subject) = (working_second(firm, member, day), firm.chance.below(SUBJECTS));
        let action = if of_customer || is_lead { *firm.chance.of(mine) } else { *firm.chance.of(&foreign) };
        let reason = pretext(firm);
        firm.look(out, &Look { member, second, action, customer, subject, address, reason });
    }
}

/// At night, on some nights.
fn hours(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize) {
    let (address, actions) = (home(member), firm.actions_of(member));
    for nth in 0..[10, 20, 45][strength] {
        let night = firm.second_of(firm.week) + (1 + nth % (2 + strength as i64)) * DAY;
        let second = night + (firm.chance.between(1.0, 4.0) * HOUR) as i64;
        let (customer, subject) = (own_customer(firm, member), firm.chance.below(SUBJECTS));
        let (action, reason) = (*firm.chance.of(actions), pretext(firm));
        firm.look(out, &Look { member, second, action, customer, subject, address, reason });
    }
}

/// Some more on each working day.
fn harvest(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize) {
    let (address, actions) = (home(member), firm.actions_of(member));
    for day in 0..5 {
        for _ in 0..[6, 10, 20][strength] {
            let (customer, subject) = (own_customer(firm, member), firm.chance.below(SUBJECTS));
            let second = working_second(firm, member, day);
            let (action, reason) = (*firm.chance.of(actions), pretext(firm));
            firm.look(out, &Look { member, second, action, customer, subject, address, reason });
        }
    }
}

/// A program's key, used by hand where its thief sits.
fn key(firm: &mut Firm, out: &mut Vec<Entry>, (program, thief): (usize, usize), strength: usize) {
    let (address, day) = (desk(thief, firm.members[thief].office), firm.chance.below(5));
    let action = ROLES[firm.chance.below(ROLES.len())].1[0];
    // They are at work there, as themself.
    let (customer, subject) = (own_customer(firm, thief), firm.chance.below(SUBJECTS));
    let second = firm.second_of(firm.week) + day as i64 * DAY + firm.members[thief].begins as i64;
    let own = firm.actions_of(thief)[0];
    firm.look(out, &Look { member: thief, second, action: own, customer, subject, address, reason: "" });
    for _ in 0..[10, 20, 40][strength] {
        let (customer, subject) = (firm.chance.below(firm.customers.len()), firm.chance.below(SUBJECTS));
        let second = working_second(firm, thief, day);
        firm.look(out, &Look { member: program, second, action, customer, subject, address, reason: "" });
    }
}

/// The account works in its office, and an hour and a half later in Frankfurt.
fn travel(firm: &mut Firm, out: &mut Vec<Entry>, member: usize, strength: usize) {
    let office = firm.members[member].office;
    for nth in 0..[1, 2, 4][strength] {
        let noon = firm.second_of(firm.week) + nth * DAY + firm.members[member].begins as i64 + 2 * 3_600;
        let gap = [5_400, 3_600, 1_200][strength];
        for (place, second) in [(office, noon), (3, noon + gap)] {
            let (customer, subject) = (own_customer(firm, member), firm.chance.below(SUBJECTS));
            let (action, address) = (firm.actions_of(member)[0], desk(member, place));
            firm.look(out, &Look { member, second, action, customer, subject, address, reason: "" });
        }
    }
}

/// All that the one asks for the other agrees to, and, the stronger, the other way round too.
fn pair(firm: &mut Firm, out: &mut Vec<Entry>, (one, other): (usize, usize), strength: usize, weeks: u32) {
    let times = [12, 16, 20][strength] / weeks.max(1);
    for nth in 0..times {
        let second = working_second(firm, one, nth as usize % 5);
        let who = if strength > 0 && nth % 3 == 2 { (other, one) } else { (one, other) };
        let from = home(who.0);
        approval(firm, out, who, second, from);
    }
}
