//! Approvals between the same two people.
//!
//! Who agrees to one's requests is held against who agrees to those of one's team-mates: those who answer to the same
//! person, since colleagues and leads of one's own are whom one asks. How improbable so many would be is a binomial
//! tail; that the favour is returned is a second, independent one.

use std::collections::{HashMap, VecDeque};

use base::id::AccountId;

use super::figures::PAST_WEEKS;
use super::rules;
use super::types::{Evidence, Why};

/// Requests that wait to be agreed to; further ones are not followed.
const WAITING_MAX: usize = 1 << 16;
/// Pairs of one week.
const PAIRS_MAX: usize = 1 << 16;
/// How long a request is followed, in microseconds: a week, and they wait for three days.
const WAITING_MICROS: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// Agreements before two people are anything to look at.
const AGREED_MIN: u32 = 5;
/// −log₁₀ of the probability, over all pairs of the team, beyond which it is too improbable.
const SURPRISE_LIMIT: f64 = 3.0;
/// Entries that are kept as evidence of a pair and week.
const EVIDENCE_MAX: usize = 10;

#[derive(Debug, Clone, Default)]
struct Agreed {
    times: u32,
    entries: Vec<u64>,
}

/// Requester and approver, by number.
type Pair = (u32, u32);

/// Approvals of the last weeks.
#[derive(Default)]
pub(super) struct Pairs {
    /// Who asked for what waits, and when.
    waiting: HashMap<u64, (u32, i64)>,
    weeks: VecDeque<HashMap<Pair, Agreed>>,
}

/// Two people whose approvals stand out.
#[derive(Debug)]
pub(super) struct Found {
    pub requester: u32,
    pub approver: u32,
    pub score: f64,
    pub why: Why,
    pub evidence: Evidence,
}

/// What a team's approvals come to.
#[derive(Default)]
struct Team {
    agreed: u32,
    by_approver: HashMap<u32, u32>,
    by_requester: HashMap<u32, u32>,
    pairs: u32,
}

impl Pairs {
    pub fn begin(&mut self) {
        self.weeks.push_back(HashMap::new());
        if self.weeks.len() > PAST_WEEKS {
            self.weeks.pop_front();
        }
    }

    pub fn asked(&mut self, approval: u64, requester: u32, at: i64) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(approval, (requester, at));
        }
    }

    pub fn agreed(&mut self, approval: u64, approver: u32, entry: u64) {
        let (Some((requester, _)), Some(week)) = (self.waiting.remove(&approval), self.weeks.back_mut()) else {
            return;
        };
        if requester == approver || (week.len() >= PAIRS_MAX && !week.contains_key(&(requester, approver))) {
            return;
        }
        let pair = week.entry((requester, approver)).or_default();
        pair.times = pair.times.saturating_add(1);
        if pair.entries.len() < EVIDENCE_MAX {
            pair.entries.push(entry);
        }
    }

    pub fn forget_before(&mut self, at: i64) {
        self.waiting.retain(|_, (_, asked)| at - *asked < WAITING_MICROS);
    }

    /// How many requests of each that the same other person agreed to, at the most.
    pub fn most(&self) -> HashMap<u32, u32> {
        let mut most = HashMap::new();
        for ((requester, _), times) in self.all() {
            let known = most.entry(requester).or_insert(0);
            *known = times.max(*known);
        }
        most
    }

    fn all(&self) -> HashMap<Pair, u32> {
        let mut all: HashMap<Pair, u32> = HashMap::new();
        for (pair, agreed) in self.weeks.iter().flatten() {
            *all.entry(*pair).or_default() += agreed.times;
        }
        all
    }

    /// Pairs that stand out, and had anything to do with each other this week. `answers_to` says to whom somebody
    /// answers: who answers to the same is of one team, and who answers to nobody is of none.
    pub fn find(&self, answers_to: impl Fn(u32) -> Option<AccountId>, strictness: f64) -> Vec<Found> {
        let all = self.all();
        let mut teams: HashMap<AccountId, Team> = HashMap::new();
        for ((requester, approver), times) in &all {
            let Some(lead) = answers_to(*requester) else { continue };
            let team = teams.entry(lead).or_default();
            team.agreed += times;
            *team.by_approver.entry(*approver).or_default() += times;
            *team.by_requester.entry(*requester).or_default() += times;
            team.pairs += 1;
        }
        let surprise = |requester: u32, approver: u32| -> Option<(f64, f64, u32)> {
            let team = teams.get(&answers_to(requester)?)?;
            let times = all.get(&(requester, approver)).copied().unwrap_or(0);
            let asked = team.by_requester.get(&requester).copied().unwrap_or(0);
            let (share, surprise) = team.surprise(requester, approver, times, asked);
            Some((surprise, share, asked))
        };
        let Some(this_week) = self.weeks.back() else { return Vec::new() };
        let mut found = Vec::new();
        for (requester, approver) in this_week.keys().copied() {
            let times = all.get(&(requester, approver)).copied().unwrap_or(0);
            let returned = all.get(&(approver, requester)).copied().unwrap_or(0);
            // Of two who return favours, the one who has more agreed to is the one told of.
            let other_is_told_of =
                (returned, approver) > (times, requester) && this_week.contains_key(&(approver, requester));
            if times < AGREED_MIN || other_is_told_of {
                continue;
            }
            let Some((one_way, share, asked)) = surprise(requester, approver) else { continue };
            let back = surprise(approver, requester).map_or(0.0, |(surprise, ..)| surprise);
            let pairs = answers_to(requester).and_then(|lead| teams.get(&lead)).map_or(1, |team| team.pairs.max(1));
            let score = (one_way + back - f64::from(pairs).log10()) / (SURPRISE_LIMIT * strictness);
            if score < 1.0 {
                continue;
            }
            let others_percent = (share * 100.0).round() as u32;
            let why = Why::Pair { agreed: times, asked, others_percent, returned };
            let total = u64::from(times + returned);
            found.push(Found {
                requester,
                approver,
                score,
                why,
                evidence: Evidence { entries: self.entries(requester, approver), total },
            });
        }
        found.sort_by(|a, b| {
            b.score.total_cmp(&a.score).then((a.requester, a.approver).cmp(&(b.requester, b.approver)))
        });
        found
    }

    fn entries(&self, requester: u32, approver: u32) -> Vec<u64> {
        let both = [(requester, approver), (approver, requester)];
        let weeks = self.weeks.iter().rev().flat_map(|week| both.iter().filter_map(|pair| week.get(pair)));
        let mut entries: Vec<u64> =
            weeks.flat_map(|agreed| agreed.entries.iter().copied()).take(2 * EVIDENCE_MAX).collect();
        entries.sort_unstable();
        entries
    }

    /// Memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let of_week = |week: &HashMap<Pair, Agreed>| {
            week.capacity() * size_of::<(Pair, Agreed, u64)>()
                + week.values().map(|agreed| agreed.entries.capacity() * size_of::<u64>()).sum::<usize>()
        };
        self.waiting.capacity() * size_of::<(u64, u32, i64, u64)>() + self.weeks.iter().map(of_week).sum::<usize>()
    }
}

impl Team {
    /// The part of the others' requests that the approver agreed to, and how improbable `times` of `asked` are then.
    /// One is added to every approver (Laplace), so that little being known of the others makes nothing improbable.
    fn surprise(&self, requester: u32, approver: u32, times: u32, asked: u32) -> (f64, f64) {
        let able = self.by_approver.keys().filter(|one| **one != requester).count() as u32;
        let others = self.agreed - asked;
        let by_approver = self.by_approver.get(&approver).copied().unwrap_or(0).saturating_sub(times);
        let share = f64::from(by_approver + 1) / f64::from(others + able.max(1));
        (share.min(1.0), rules::binomial_surprise(asked, times, share.min(1.0)))
    }
}
