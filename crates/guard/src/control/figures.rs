//! What is counted of one person's accounts, and what of it stands out.

use std::collections::VecDeque;

use base::id::{AccountId, TenantId};
use serde::Serialize;

use super::rules::{self, Baseline};
use super::sketch::{Hashes, Sketch};
use super::types::{Evidence, Kind, Why};

/// Weeks that make up the own baseline.
pub(super) const PAST_WEEKS: usize = 8;
/// Weeks over which slow harvesting is counted.
pub(super) const HARVEST_WEEKS: usize = 4;
/// Weeks of one's own, in which one did anything, before they are a baseline.
const OWN_LEAST: usize = 3;
/// Peers before they are a baseline, the account itself among them: half of them being odd would not move it.
const PEERS_LEAST: usize = 4;
/// Subjects that are counted exactly in a week, and in a day.
pub(super) const WEEK_KEPT: usize = 512;
const DAY_KEPT: usize = 256;
/// Subjects that are counted exactly of what is odd by itself.
const ODD_KEPT: usize = 128;
/// Entries that a finding names.
const EVIDENCE_MAX: usize = 20;
/// Networks that a service account is remembered to come from, and that it may come from anew in a week.
const NETWORKS_KEPT: usize = 32;
/// Tenants that an account is remembered to have worked for with a reason.
const TENANTS_KEPT: usize = 64;
/// People at whose place a key was used that a finding names.
const BESIDE_KEPT: usize = 4;

/// What was counted of an account in a week, explained look-ups left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Different hours in which the subject was looked up that was looked up most often.
    pub again: u32,
    /// Subjects on the fullest day.
    pub burst: u32,
    /// Subjects outside role or assignments.
    pub outside: u32,
    /// Subjects at unusual hours.
    pub hours: u32,
    /// Subjects within four weeks, this one the last.
    pub harvest: u32,
    /// Subjects for which a service account's key was in a person's hands.
    pub hands: u32,
    /// Subjects in the week.
    pub subjects: u32,
    /// Impossible travels.
    pub travels: u32,
    /// Requests, within eight weeks, that one and the same other person agreed to: of those the most.
    pub paired: u32,
    /// What the explanations took away: look-ups, not subjects.
    pub explained: u32,
}

/// What is compared with baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Again,
    Burst,
    Outside,
    Hours,
    Harvest,
    Hands,
}

impl Measure {
    pub const ALL: [Measure; 6] =
        [Measure::Again, Measure::Burst, Measure::Outside, Measure::Hours, Measure::Harvest, Measure::Hands];

    fn kind(self) -> Kind {
        match self {
            Measure::Again | Measure::Burst => Kind::Repeated,
            Measure::Outside => Kind::Outside,
            Measure::Hours => Kind::Hours,
            Measure::Harvest => Kind::Harvest,
            Measure::Hands => Kind::Service,
        }
    }

    /// How many spreads above what is usual are too many. Iglewicz and Hoaglin take 3.5; every account being looked at
    /// every week, what spreads most by itself needs more, and what hardly ever comes twice needs less.
    fn limit(self) -> f64 {
        match self {
            Measure::Again => 3.2,
            Measure::Harvest => 3.5,
            Measure::Burst | Measure::Outside | Measure::Hours | Measure::Hands => 4.0,
        }
    }

    /// Whether it is odd by itself, so that none of it is what is usual where nobody knows better. Hours are only
    /// where peers say which are usual: one who works little has done so at few hours.
    fn is_odd_by_itself(self, knows_role: bool) -> bool {
        matches!(self, Measure::Outside | Measure::Hands) || (self == Measure::Hours && knows_role)
    }

    pub fn of(self, figures: &Figures) -> u32 {
        match self {
            Measure::Again => figures.again,
            Measure::Burst => figures.burst,
            Measure::Outside => figures.outside,
            Measure::Hours => figures.hours,
            Measure::Harvest => figures.harvest,
            Measure::Hands => figures.hands,
        }
    }
}

/// Hours of the day, of working days and of weekends: 48 bits.
pub(super) type Slots = u64;
/// Actions that are told apart. Further ones share a number that is never held against anybody.
pub(super) const ACTIONS_MAX: usize = 511;

/// Actions by their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Actions([u64; 8]);

impl Actions {
    pub fn has(&self, action: u16) -> bool {
        usize::from(action) >= ACTIONS_MAX || self.0[usize::from(action) / 64] >> (action % 64) & 1 == 1
    }

    pub fn set(&mut self, action: u16) {
        if usize::from(action) < ACTIONS_MAX {
            self.0[usize::from(action) / 64] |= 1 << (action % 64);
        }
    }

    pub fn add(&mut self, others: &Actions) {
        self.0.iter_mut().zip(others.0).for_each(|(own, other)| *own |= other);
    }

    /// Those that are in at least two of them.
    fn in_two<'a>(all: impl Iterator<Item = &'a Actions>) -> Actions {
        let (mut once, mut twice) = (Actions::default(), Actions::default());
        for one in all {
            for word in 0..8 {
                twice.0[word] |= once.0[word] & one.0[word];
                once.0[word] |= one.0[word];
            }
        }
        twice
    }
}

/// A week that is over.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub figures: Figures,
    /// When it did anything that nothing explains: hours in which one works without needing a reason.
    pub slots: Slots,
    /// Whether it was known then which hours are usual.
    pub knew_hours: bool,
    pub actions: Actions,
}

/// Where an account was seen last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    pub place: u8,
    pub at: i64,
    pub entry: u64,
}

/// The fastest impossible travel of a week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Travel {
    pub from: Sighting,
    pub to: Sighting,
    pub kilometres: f64,
    pub speed_kmh: f64,
    pub times: u32,
}

/// One person, or one program, with all of its accounts.
pub(super) struct Person {
    pub id: AccountId,
    pub is_service: bool,
    /// Its group of peers.
    pub group: Option<u32>,
    /// Its home.
    pub home: Option<TenantId>,
    /// Whether it has assignments that look-ups can be held against.
    pub is_assigned: bool,

    pub is_active: bool,
    pub explained: u32,
    pub week: Sketch,
    today: Sketch,
    day: u8,
    burst: u32,
    burst_entries: Vec<u64>,
    outside: Sketch,
    /// Look-ups outside: of tenants that it does not work for, and in ways that its role does not.
    outside_of: (u32, u32),
    pub odd_hours: Sketch,
    pub hands: Sketch,
    pub beside: Vec<u32>,
    pub slots: Slots,
    pub actions: Actions,
    pub travel: Option<Travel>,
    pub seen_at: Option<Sighting>,

    pub past: VecDeque<Past>,
    months: VecDeque<Hashes>,
    /// Tenants for which it worked with a reason, the latest last.
    tenants: VecDeque<TenantId>,
    networks: VecDeque<u64>,
    new_networks: Vec<u64>,
    /// The network and day that it was noted down for last.
    pub marked: (u64, u8),
    pub usual_slots: Slots,
    pub usual_actions: Actions,
    /// Whether it is known what its role does.
    pub knows_role: bool,
}

impl Person {
    pub fn new(id: AccountId) -> Self {
        Person {
            id,
            is_service: false,
            group: None,
            home: None,
            is_assigned: false,
            is_active: false,
            explained: 0,
            week: Sketch::new(WEEK_KEPT),
            today: Sketch::new(DAY_KEPT),
            day: 0,
            burst: 0,
            burst_entries: Vec::new(),
            outside: Sketch::new(ODD_KEPT),
            outside_of: (0, 0),
            odd_hours: Sketch::new(ODD_KEPT),
            hands: Sketch::new(ODD_KEPT),
            beside: Vec::new(),
            slots: 0,
            actions: Actions::default(),
            travel: None,
            seen_at: None,
            past: VecDeque::new(),
            months: VecDeque::new(),
            tenants: VecDeque::new(),
            networks: VecDeque::new(),
            new_networks: Vec::new(),
            marked: (0, 0),
            usual_slots: Slots::MAX,
            usual_actions: Actions::default(),
            knows_role: false,
        }
    }

    /// A look-up that nothing explains.
    pub fn look(&mut self, day: u8, subject: u64, entry: u64, hour: u32) {
        self.week.see(subject, entry, hour);
        if day != self.day {
            self.end_day();
            self.day = day;
        }
        self.today.see(subject, entry, hour);
    }

    fn end_day(&mut self) {
        let subjects = self.today.distinct();
        if subjects > self.burst {
            self.burst = subjects;
            self.burst_entries = self.today.entries(EVIDENCE_MAX);
        }
        self.today.clear();
    }

    /// A look-up that nothing explains, of a tenant that it does not work for or in a way that its role does not.
    pub fn look_outside(&mut self, is_foreign: bool, subject: u64, entry: u64, hour: u32) {
        let of = if is_foreign { &mut self.outside_of.0 } else { &mut self.outside_of.1 };
        *of = of.saturating_add(1);
        self.outside.see(subject, entry, hour);
    }

    /// A look-up that something explains; a ticket shows that it works for the tenant.
    pub fn looked_with_reason(&mut self, tenant: TenantId, by_ticket: bool) {
        self.explained = self.explained.saturating_add(1);
        if by_ticket && self.tenants.back() != Some(&tenant) {
            self.tenants.retain(|known| *known != tenant);
            self.tenants.push_back(tenant);
            if self.tenants.len() > TENANTS_KEPT {
                self.tenants.pop_front();
            }
        }
    }

    pub fn has_worked_for(&self, tenant: TenantId) -> bool {
        self.tenants.contains(&tenant)
    }

    /// Whether it came from this network in a week that is over, and no person did when it was new.
    pub fn is_accustomed(&self, network: u64) -> bool {
        self.networks.contains(&network)
    }

    /// It came from a network that it is not accustomed to, and nobody else was there.
    pub fn came_anew(&mut self, network: u64) {
        if !self.new_networks.contains(&network) && self.new_networks.len() < NETWORKS_KEPT {
            self.new_networks.push(network);
        }
    }

    /// Its key was used where this person was working.
    pub fn was_beside(&mut self, person: u32) {
        if !self.beside.contains(&person) && self.beside.len() < BESIDE_KEPT {
            self.beside.push(person);
        }
    }

    pub fn did_before(&self, action: u16) -> bool {
        self.past.iter().any(|past| past.actions.has(action))
    }

    /// Hours at which it did something in two of its weeks.
    pub fn own_slots(&self) -> Slots {
        let (mut once, mut twice) = (0, 0);
        for past in &self.past {
            twice |= once & past.slots;
            once |= past.slots;
        }
        twice
    }

    /// What it looked up in two of its weeks.
    pub fn own_actions(&self) -> Actions {
        Actions::in_two(self.past.iter().map(|past| &past.actions))
    }

    pub fn has_own_baseline(&self) -> bool {
        self.past.len() >= OWN_LEAST
    }

    /// Closes the week's counting.
    pub fn figures(&mut self) -> Figures {
        self.end_day();
        let hashes = self.week.hashes();
        let harvest = Hashes::union(self.months.iter().chain([&hashes]), WEEK_KEPT);
        self.months.push_back(hashes);
        if self.months.len() >= HARVEST_WEEKS {
            self.months.pop_front();
        }
        Figures {
            again: self.week.most_often().map_or(0, |item| item.times),
            burst: self.burst,
            outside: self.outside.distinct(),
            hours: self.odd_hours.distinct(),
            harvest,
            hands: self.hands.distinct(),
            subjects: self.week.distinct(),
            travels: self.travel.map_or(0, |travel| travel.times),
            paired: 0,
            explained: self.explained,
        }
    }

    /// Lets the week become part of the baseline, and begins another.
    pub fn turn(&mut self, figures: Figures) {
        if self.is_active {
            let knew_hours = self.usual_slots != Slots::MAX;
            self.past.push_back(Past { figures, slots: self.slots, knew_hours, actions: self.actions });
            if self.past.len() > PAST_WEEKS {
                self.past.pop_front();
            }
        }
        for network in std::mem::take(&mut self.new_networks) {
            self.networks.push_back(network);
            if self.networks.len() > NETWORKS_KEPT {
                self.networks.pop_front();
            }
        }
        for sketch in [&mut self.week, &mut self.today, &mut self.outside, &mut self.odd_hours, &mut self.hands] {
            sketch.clear();
        }
        (self.is_active, self.explained, self.day, self.burst) = (false, 0, 0, 0);
        (self.outside_of, self.slots, self.actions, self.travel) = ((0, 0), 0, Actions::default(), None);
        self.marked = (0, 0);
        self.burst_entries.clear();
        self.beside.clear();
    }

    /// The past of a measure; of what is counted over four weeks only what shares none with the present.
    fn own(&self, measure: Measure) -> Option<Baseline> {
        let skipped = if measure == Measure::Harvest { HARVEST_WEEKS - 1 } else { 0 };
        let judged = self.past.iter().rev().skip(skipped).filter(|past| measure != Measure::Hours || past.knew_hours);
        let values = judged.map(|past| measure.of(&past.figures));
        Baseline::of(values, OWN_LEAST)
    }

    /// How many times over its limit a measure is, and what would have been usual; `None` where it is within.
    pub fn stands_out(
        &self,
        measure: Measure,
        figures: &Figures,
        peers: Option<Baseline>,
        strictness: f64,
    ) -> Option<(f64, u32)> {
        let value = measure.of(figures);
        if measure == Measure::Harvest && !self.is_slow(figures) {
            return None;
        }
        let own = self.own(measure);
        let (own, peers) = match (own, peers) {
            (None, None) if measure.is_odd_by_itself(self.knows_role) => (None, Some(Baseline::never())),
            both => both,
        };
        let z = rules::both(own.map(|own| own.z(value)), peers.map(|peers| peers.z(value)))?;
        let score = z / (measure.limit() * strictness);
        let usual = peers.or(own).map_or(0, |usual| rules::count_at(usual.middle));
        (score >= 1.0).then_some((score, usual))
    }

    /// Whether what was looked up within four weeks is spread over them, and still goes on: what came in one day is
    /// a burst, and what ended was told of when it went on.
    fn is_slow(&self, figures: &Figures) -> bool {
        let recent = self.past.iter().rev().take(HARVEST_WEEKS - 1).map(|past| past.figures.burst);
        let fullest = recent.chain([figures.burst]).max().unwrap_or(0);
        fullest.saturating_mul(2) <= figures.harvest && figures.subjects.saturating_mul(6) >= figures.harvest
    }

    /// What stands out in words' figures, and the entries that show it.
    pub fn explain_finding(&self, measure: Measure, figures: &Figures, usual: u32) -> (Kind, Why, Evidence) {
        let of = |sketch: &Sketch| Evidence { entries: sketch.entries(EVIDENCE_MAX), total: sketch.distinct().into() };
        let (why, evidence) = match measure {
            Measure::Again => {
                let item = self.week.most_often();
                let mut entries: Vec<u64> = item.map_or(Vec::new(), |item| vec![item.first, item.last]);
                entries.dedup();
                (Why::Again { times: figures.again, usual }, Evidence { entries, total: figures.again.into() })
            }
            Measure::Burst => {
                let entries = self.burst_entries.clone();
                (Why::Burst { subjects: figures.burst, usual }, Evidence { entries, total: figures.burst.into() })
            }
            Measure::Outside => {
                let subjects = figures.outside;
                let (foreign, unusual) = self.outside_of;
                let why = if foreign >= unusual {
                    Why::OutsideAssignments { subjects }
                } else {
                    Why::OutsideRole { subjects }
                };
                (why, of(&self.outside))
            }
            Measure::Hours => (Why::Hours { subjects: figures.hours }, of(&self.odd_hours)),
            Measure::Harvest => (Why::Harvest { subjects: figures.harvest, usual }, of(&self.week)),
            Measure::Hands => {
                let beside_person = !self.beside.is_empty();
                (Why::Hands { subjects: figures.hands, beside_person }, of(&self.hands))
            }
        };
        (measure.kind(), why, evidence)
    }

    /// Memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let sketches = [&self.week, &self.today, &self.outside, &self.odd_hours, &self.hands];
        size_of::<Person>()
            + sketches.iter().map(|sketch| sketch.bytes()).sum::<usize>()
            + self.months.iter().map(Hashes::bytes).sum::<usize>()
            + self.past.capacity() * size_of::<Past>()
            + self.tenants.capacity() * size_of::<TenantId>()
            + (self.networks.capacity() + self.new_networks.capacity()) * size_of::<u64>()
    }
}

/// What is usual among peers: accounts with one role in one tenant.
#[derive(Default)]
pub(super) struct Group {
    /// Figures of those who did anything this week.
    figures: Vec<Figures>,
    slots: Vec<u32>,
    actions: Vec<u32>,
    members: u32,
}

impl Group {
    /// Forgets, before a week begins.
    pub fn begin(&mut self) {
        self.figures.clear();
        self.slots = vec![0; 48];
        self.actions = vec![0; ACTIONS_MAX];
        self.members = 0;
    }

    /// A member's weeks that are over, the last four of them.
    pub fn learn(&mut self, person: &Person) {
        let recent: Vec<&Past> = person.past.iter().rev().take(HARVEST_WEEKS).collect();
        if recent.is_empty() {
            return;
        }
        self.members += 1;
        for (slot, count) in self.slots.iter_mut().enumerate() {
            *count += u32::from(recent.iter().any(|past| past.slots >> slot & 1 == 1));
        }
        for (action, count) in (0u16..).zip(&mut self.actions) {
            *count += u32::from(recent.iter().any(|past| past.actions.has(action)));
        }
    }

    /// Whether enough is known of what its members do.
    pub fn is_known(&self) -> bool {
        self.members as usize >= PEERS_LEAST
    }

    /// Two of them do it, and one in ten.
    fn is_usual(&self, count: u32) -> bool {
        count >= 2 && count * 10 >= self.members
    }

    pub fn usual_slots(&self) -> Slots {
        let usual = (0u32..).zip(&self.slots).filter(|(_, count)| self.is_usual(**count));
        usual.fold(0, |slots, (slot, _)| slots | 1 << slot)
    }

    pub fn usual_actions(&self) -> Actions {
        let mut actions = Actions::default();
        let usual = (0u16..).zip(&self.actions).filter(|(_, count)| self.is_usual(**count));
        usual.for_each(|(action, _)| actions.set(action));
        actions
    }

    pub fn add(&mut self, figures: Figures) {
        self.figures.push(figures);
    }

    pub fn baselines(&self) -> [Option<Baseline>; 6] {
        Measure::ALL.map(|measure| Baseline::of(self.figures.iter().map(|one| measure.of(one)), PEERS_LEAST))
    }
}

/// With an hour before and an hour after, round the clock of working days and of weekends each.
pub(super) fn widened(slots: Slots) -> Slots {
    const DAY: u64 = (1 << 24) - 1;
    let round = |day: u64| (day | day << 1 | day >> 1 | day >> 23 | day << 23) & DAY;
    round(slots & DAY) | round(slots >> 24 & DAY) << 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_before_and_after_goes_round_midnight_and_not_into_the_weekend() {
        assert_eq!(widened(1), 0b11 | 1 << 23);
        assert_eq!(widened(1 << 23), 1 << 23 | 1 << 22 | 1);
        assert_eq!(widened(1 << 24), 0b11 << 24 | 1 << 47);
    }
}
