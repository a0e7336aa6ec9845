//! The analysis: a week of the log, entry by entry.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;

use base::address::household;
use base::id::{AccountId, TenantId};
use base::time::{Timestamp, from_micros, micros};

use super::explain::{Explanation, Explanations};
use super::figures::{
    ACTIONS_MAX, Figures, Group, HARVEST_WEEKS, Measure, PAST_WEEKS, Person, Sighting, Travel, widened,
};
use super::pairs::Pairs;
use super::rules;
use super::types::{Activity, Doing, Evidence, Finding, Kind, Known, Settings, Sort, Week, Why};

/// People and programs that are watched.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Entries that are put in order of time before they are looked at. Of a week with more, each such stretch is.
pub const ENTRIES_SORTED_MAX: usize = 1 << 20;
/// Addresses whose network and place are remembered; emptied when full.
const ADDRESSES_MAX: usize = 1 << 16;
/// Networks and days of people that programs' keys are held against.
const BESIDE_MAX: usize = 1 << 18;
/// Places nearer to each other than this are one, in kilometres: addresses are not known more exactly.
const KILOMETRES_MIN: f64 = 100.0;
/// Faster counts as this many times too fast.
const SPEED_SCORE_MAX: f64 = 10.0;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const NO_PLACE: u8 = u8::MAX;

/// An entry, as it waits to be put in order.
#[derive(Clone, Copy)]
struct Row {
    tenant: TenantId,
    at: i64,
    entry: u64,
    subject: u64,
    /// 0: none.
    network: u64,
    person: u32,
    ticket: Option<u32>,
    action: u16,
    place: u8,
    doing: Doing,
    refused: bool,
    is_stray: bool,
}

/// The analysis, with what it remembers from week to week.
pub struct Control {
    settings: Settings,
    /// Kilometres between places, row by row.
    distances: Vec<f64>,
    by_account: HashMap<AccountId, u32>,
    people: Vec<Person>,
    answers_to: Vec<Option<AccountId>>,
    groups: Vec<Group>,
    explanations: Explanations,
    pairs: Pairs,
    actions: HashMap<Box<str>, u16>,
    addresses: HashMap<IpAddr, (u64, u8)>,
    /// Who of the people was in a network on a day of the week.
    beside: HashMap<(u64, u8), u32>,
    rows: Vec<Row>,
    start: Timestamp,
    day: u8,
    week: Week,
}

impl Control {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let places = &settings.places[..settings.places.len().min(usize::from(NO_PLACE))];
        let point = |n: usize| (places[n].latitude, places[n].longitude);
        let pairs = (0..places.len()).flat_map(|a| (0..places.len()).map(move |b| (a, b)));
        let distances = pairs.map(|(a, b)| rules::kilometres(point(a), point(b))).collect();
        Control {
            distances,
            settings,
            by_account: HashMap::new(),
            people: Vec::new(),
            answers_to: Vec::new(),
            groups: Vec::new(),
            explanations: Explanations::default(),
            pairs: Pairs::default(),
            actions: HashMap::new(),
            addresses: HashMap::new(),
            beside: HashMap::new(),
            rows: Vec::new(),
            start: Timestamp::UNIX_EPOCH,
            day: 0,
            week: Week::default(),
        }
    }

    /// Begins the week that starts then, with what the platform knows beside the log.
    pub fn begin(&mut self, known: &Known, start: Timestamp) {
        (self.start, self.day, self.week) = (start, 0, Week::default());
        self.explanations.begin(known);
        self.explanations.forget_before(micros(start));
        self.pairs.begin();
        self.pairs.forget_before(micros(start));
        self.beside.clear();
        self.meet(known);
        self.learn_groups();
    }

    /// Takes over who is who.
    fn meet(&mut self, known: &Known) {
        // Whoever is not known any more has no peers, and nobody answers for them.
        for person in &mut self.people {
            (person.group, person.is_assigned) = (None, false);
        }
        self.answers_to.fill(None);
        // In order, so that the same log always gives the same numbers.
        let mut accounts: Vec<AccountId> = known.accounts.keys().copied().collect();
        accounts.sort_unstable();
        let mut groups: HashMap<(TenantId, &str), u32> = HashMap::new();
        for account in accounts {
            let person = known.accounts.get(&account).map_or(account, |found| found.person);
            let Some(number) = self.number(person) else { continue };
            self.by_account.insert(account, number);
            let Some(about) = known.accounts.get(&person).or_else(|| known.accounts.get(&account)) else { continue };
            let (next, is_service) = (groups.len() as u32, about.sort == Sort::Service);
            let group = (!is_service).then(|| *groups.entry((about.tenant, about.role.as_str())).or_insert(next));
            let one = &mut self.people[number as usize];
            (one.is_service, one.home, one.group) = (is_service, Some(about.tenant), group);
            self.answers_to[number as usize] = about.answers_to;
        }
        self.groups.resize_with(groups.len(), Group::default);
        for assignment in &known.assignments {
            if let Some(number) = self.by_account.get(&assignment.account) {
                self.people[*number as usize].is_assigned = true;
            }
        }
    }

    /// Learns from the weeks that are over what each group, and each person, usually does.
    fn learn_groups(&mut self) {
        self.groups.iter_mut().for_each(Group::begin);
        for person in &self.people {
            if let Some(group) = person.group.and_then(|group| self.groups.get_mut(group as usize)) {
                group.learn(person);
            }
        }
        for person in &mut self.people {
            let group = person.group.and_then(|group| self.groups.get(group as usize)).filter(|group| group.is_known());
            person.expect(group);
        }
    }

    /// The number of whoever this account is counted under.
    fn number(&mut self, account: AccountId) -> Option<u32> {
        if let Some(number) = self.by_account.get(&account) {
            return Some(*number);
        }
        if self.people.len() >= ACCOUNTS_MAX {
            return None;
        }
        let number = self.people.len() as u32;
        self.people.push(Person::new(account));
        self.answers_to.push(None);
        self.by_account.insert(account, number);
        Some(number)
    }

    /// Looks at an entry.
    pub fn see(&mut self, activity: &Activity<'_>) {
        let Some(person) = self.number(activity.account) else {
            self.week.unwatched += 1;
            return;
        };
        self.week.entries += 1;
        let (at, start) = (micros(activity.at), micros(self.start));
        let is_stray = !(start..start + WEEK).contains(&at);
        self.week.strays += u64::from(is_stray);
        let (network, place) = activity.address.map_or((0, NO_PLACE), |address| self.place(address));
        let row = Row {
            tenant: activity.tenant,
            at: at.clamp(start, start + WEEK - 1),
            entry: activity.entry,
            subject: self.subject(activity),
            network,
            person,
            ticket: self.explanations.ticket(activity.reason),
            action: self.action(activity.action),
            place,
            doing: activity.doing,
            refused: activity.refused,
            is_stray,
        };
        self.rows.push(row);
        if self.rows.len() >= ENTRIES_SORTED_MAX {
            self.settle();
        }
    }

    /// What was acted on, as a number. What is about no object, a list, is one subject for each tenant and action.
    fn subject(&self, activity: &Activity<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.settings.seed);
        if activity.object.is_empty() {
            hasher.write_u128(activity.tenant.0);
            hasher.write(activity.action.as_bytes());
        } else {
            hasher.write(activity.object.as_bytes());
        }
        hasher.finish()
    }

    fn action(&mut self, name: &str) -> u16 {
        if let Some(number) = self.actions.get(name) {
            return *number;
        }
        let number = self.actions.len().min(ACTIONS_MAX) as u16;
        if usize::from(number) < ACTIONS_MAX {
            self.actions.insert(name.into(), number);
        }
        number
    }

    /// The network of an address, and the place that it belongs to.
    fn place(&mut self, address: IpAddr) -> (u64, u8) {
        if let Some(found) = self.addresses.get(&address) {
            return *found;
        }
        let holds = |place: &super::Place| place.networks.iter().any(|network| network.contains(address));
        let place = self.settings.places.iter().take(usize::from(NO_PLACE)).position(holds);
        let mut hasher = DefaultHasher::new();
        match household(address) {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits()),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
        }
        let found = (hasher.finish().max(1), place.map_or(NO_PLACE, |place| place as u8));
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.clear();
        }
        self.addresses.insert(address, found);
        found
    }

    /// Puts what waits in order of time and looks at it.
    fn settle(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|row| (row.at, row.entry));
        self.meet_people(&rows);
        for row in &rows {
            let day = ((row.at - micros(self.start)) / DAY) as u8;
            if day != self.day {
                self.day = day;
                self.explanations.forget_before(row.at);
            }
            self.weigh(row);
        }
        rows.clear();
        self.rows = rows;
    }

    /// In which networks people are, before it is looked at whose keys are used there.
    fn meet_people(&mut self, rows: &[Row]) {
        for row in rows {
            let day = ((row.at - micros(self.start)) / DAY) as u8;
            let person = &mut self.people[row.person as usize];
            if person.is_service || row.network == 0 || person.marked == (row.network, day) {
                continue;
            }
            person.marked = (row.network, day);
            if self.beside.len() < BESIDE_MAX {
                let first = self.beside.entry((row.network, day)).or_insert(row.person);
                *first = (*first).min(row.person);
            }
        }
    }

    fn weigh(&mut self, row: &Row) {
        let person = &mut self.people[row.person as usize];
        person.is_active = true;
        let is_own = person.home == Some(row.tenant);
        let subject = (!is_own).then_some(row.subject);
        let explanation = self.explanations.find(person.id, row.ticket, row.tenant, subject, row.at);
        self.week.explained += u64::from(explanation.is_some());
        if person.is_service {
            let beside = self.beside.get(&(row.network, self.day)).copied();
            return weigh_key(person, row, explanation, beside);
        }
        match row.doing {
            Doing::Ask if !row.refused => self.pairs.asked(row.subject, row.person, row.at),
            Doing::Agree if !row.refused => self.pairs.agreed(row.subject, row.person, row.entry),
            _ => {}
        }
        if is_own && !row.refused {
            self.explanations.called(row.subject, row.at);
        }
        if !row.is_stray {
            sight(person, row, &self.distances, &self.settings);
        }
        let (hour, slot) = self.settings.hour(row.at);
        if explanation.is_none() && !row.is_stray {
            person.slots |= 1 << slot;
            if person.usual_slots >> slot & 1 == 0 {
                person.odd_hours.see(row.subject, row.entry, hour);
            }
        }
        if row.doing == Doing::Look {
            person.actions.set(row.action);
            match explanation {
                Some(why) => person.looked_with_reason(row.tenant, why == Explanation::Ticket),
                None => {
                    person.look(self.day, row.subject, row.entry, hour);
                    let is_foreign = person.is_assigned
                        && !is_own
                        && !person.has_worked_for(row.tenant)
                        && !self.explanations.is_assigned(person.id, row.tenant, row.at);
                    if is_foreign || (person.knows_role && !person.usual_actions.has(row.action)) {
                        person.look_outside(is_foreign, row.subject, row.entry, hour);
                    }
                }
            }
        }
    }

    /// Ends the week: what stands out in it. It is a part of the baselines from now on.
    pub fn end(&mut self) -> Week {
        self.settle();
        let mut all: Vec<(usize, Figures)> = Vec::new();
        let paired = self.pairs.most();
        for (number, person) in self.people.iter_mut().enumerate() {
            let paired = paired.get(&(number as u32)).copied().unwrap_or(0);
            let figures = Figures { paired, ..person.figures() };
            if !person.is_active {
                continue;
            }
            if let Some(group) = person.group.and_then(|group| self.groups.get_mut(group as usize)) {
                group.add(figures);
            }
            all.push((number, figures));
        }
        let baselines: Vec<_> = self.groups.iter().map(Group::baselines).collect();
        let mut findings = self.pairs_found();
        for (number, figures) in &all {
            let person = &self.people[*number];
            let peers = person.group.and_then(|group| baselines.get(group as usize)).copied().unwrap_or_default();
            findings.extend(self.judge(person, figures, peers));
        }
        findings.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.account, a.kind).cmp(&(b.account, b.kind))));
        let mut week = std::mem::take(&mut self.week);
        week.findings = findings;
        week.figures = all.iter().map(|(number, figures)| (self.people[*number].id, *figures)).collect();
        let mut figures = all.into_iter().peekable();
        for (number, person) in self.people.iter_mut().enumerate() {
            let own = figures.next_if(|(of, _)| *of == number).map_or(Figures::default(), |(_, own)| own);
            person.turn(own);
        }
        week
    }

    /// What stands out of one person: of each kind what does the most.
    fn judge(&self, person: &Person, figures: &Figures, peers: [Option<rules::Baseline>; 6]) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        for (measure, peers) in Measure::ALL.into_iter().zip(peers) {
            if person.is_service != (measure == Measure::Hands) {
                continue;
            }
            let Some((score, usual)) = person.stands_out(measure, figures, peers, self.settings.strictness) else {
                continue;
            };
            let (kind, why, evidence) = person.explain_finding(measure, figures, usual);
            let weeks = if kind == Kind::Harvest { HARVEST_WEEKS } else { 1 };
            let with = person.beside.iter().map(|one| self.people[*one as usize].id).collect();
            let finding = self.finding(kind, (person.id, with), weeks, score, why, evidence);
            match found.last_mut().filter(|last| last.kind == kind) {
                Some(last) if last.score >= score => {}
                Some(last) => *last = finding,
                None => found.push(finding),
            }
        }
        found.extend(self.travelled(person));
        found
    }

    fn travelled(&self, person: &Person) -> Option<Finding> {
        let travel = person.travel?;
        let name = |sighting: Sighting| {
            self.settings.places.get(usize::from(sighting.place)).map_or(String::new(), |place| place.name.clone())
        };
        let why = Why::Travel {
            from: name(travel.from),
            to: name(travel.to),
            kilometres: travel.kilometres.round() as u32,
            minutes: ((travel.to.at - travel.from.at) / (60 * SECOND)) as u32,
            times: travel.times,
        };
        let evidence =
            Evidence { entries: vec![travel.from.entry, travel.to.entry], total: 2 * u64::from(travel.times) };
        let score = travel.speed_kmh / self.settings.speed_kmh_max;
        Some(self.finding(Kind::Travel, (person.id, Vec::new()), 1, score.min(SPEED_SCORE_MAX), why, evidence))
    }

    fn pairs_found(&self) -> Vec<Finding> {
        let answers_to = |number: u32| self.answers_to.get(number as usize).copied().flatten();
        let found = self.pairs.find(answers_to, self.settings.strictness);
        let id = |number: u32| self.people[number as usize].id;
        let finding = |pair: super::pairs::Found| {
            let about = (id(pair.requester), vec![id(pair.approver)]);
            self.finding(Kind::Pair, about, PAST_WEEKS, pair.score, pair.why, pair.evidence)
        };
        found.into_iter().map(finding).collect()
    }

    /// A finding about so many weeks, this one the last.
    fn finding(
        &self,
        kind: Kind,
        (account, with): (AccountId, Vec<AccountId>),
        weeks: usize,
        score: f64,
        why: Why,
        evidence: Evidence,
    ) -> Finding {
        let end = micros(self.start) + WEEK;
        let since = from_micros(end - weeks as i64 * WEEK).unwrap_or(self.start);
        let until = from_micros(end).unwrap_or(self.start);
        Finding { kind, account, with, since, until, score, why, evidence }
    }

    /// Memory that it holds and that grows with what it sees, in bytes, give or take what maps need beside their
    /// entries.
    pub fn bytes(&self) -> usize {
        self.people.iter().map(Person::bytes).sum::<usize>()
            + self.by_account.capacity() * size_of::<(AccountId, u32)>()
            + self.addresses.capacity() * size_of::<(IpAddr, u64, u8)>()
            + self.beside.capacity() * size_of::<((u64, u8), u32)>()
            + self.rows.capacity() * size_of::<Row>()
            + self.explanations.bytes()
            + self.pairs.bytes()
    }
}

/// A program's key: whether it is in a person's hands. Where its own network is it may do what it likes; from a new
/// one, with people in it or for something new, it is not the program that moved.
fn weigh_key(person: &mut Person, row: &Row, explanation: Option<Explanation>, beside: Option<u32>) {
    person.actions.set(row.action);
    if row.network == 0 || person.is_accustomed(row.network) || explanation == Some(Explanation::Ticket) {
        return;
    }
    if person.past.is_empty() || (beside.is_none() && person.did_before(row.action)) {
        return person.came_anew(row.network);
    }
    person.hands.see(row.subject, row.entry, (row.at / HOUR) as u32);
    if let Some(beside) = beside {
        person.was_beside(beside);
    }
}

/// Where a person was seen: too far from where they were before?
fn sight(person: &mut Person, row: &Row, distances: &[f64], settings: &Settings) {
    if row.place == NO_PLACE {
        return;
    }
    let to = Sighting { place: row.place, at: row.at, entry: row.entry };
    let Some(from) = person.seen_at.replace(to).filter(|from| from.place != to.place && from.at <= to.at) else {
        return;
    };
    let places = settings.places.len().min(usize::from(NO_PLACE));
    let kilometres = distances.get(usize::from(from.place) * places + usize::from(to.place)).copied().unwrap_or(0.0);
    // Within one second nobody travels at all: no division by nothing.
    let speed_kmh = kilometres * HOUR as f64 / (to.at - from.at).max(SECOND) as f64;
    let is_impossible = kilometres >= KILOMETRES_MIN && speed_kmh > settings.speed_kmh_max;
    if !is_impossible {
        return;
    }
    let times = person.travel.map_or(0, |travel| travel.times) + 1;
    let fastest = person.travel.filter(|travel| travel.speed_kmh >= speed_kmh);
    person.travel = Some(Travel { times, ..fastest.unwrap_or(Travel { from, to, kilometres, speed_kmh, times }) });
}

impl Settings {
    /// The hour since 1970 and, of the 48 of working days and weekends, which hour of the day it is.
    fn hour(&self, at: i64) -> (u32, u32) {
        let hours = (at + i64::from(self.utc_offset_seconds) * SECOND).div_euclid(HOUR);
        // 1970-01-01 was a Thursday; Saturday and Sunday are 5 and 6 from Monday.
        let weekday = (hours.div_euclid(24) + 3).rem_euclid(7);
        (hours as u32, hours.rem_euclid(24) as u32 + if weekday >= 5 { 24 } else { 0 })
    }
}

impl Person {
    /// Sets what is usual for the week that begins.
    fn expect(&mut self, group: Option<&Group>) {
        let own = self.has_own_baseline().then(|| self.own_slots());
        self.usual_slots = match (own, group) {
            (None, None) => u64::MAX,
            (own, group) => widened(own.unwrap_or(0) | group.map_or(0, Group::usual_slots)),
        };
        self.knows_role = group.is_some();
        self.usual_actions = self.own_actions();
        if let Some(group) = group {
            self.usual_actions.add(&group.usual_actions());
        }
    }
}
