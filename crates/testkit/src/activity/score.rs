//! How much of what was planted was found, and what was found that nobody planted.

use std::collections::{BTreeMap, BTreeSet};

use base::id::AccountId;

use super::{Abuse, Planted};

/// Something that was found, in a report to somebody.
#[derive(Debug, Clone)]
pub struct Found {
    /// Under which word.
    pub kind: String,
    /// Whom it is about.
    pub accounts: Vec<AccountId>,
    /// The first week that was looked at for it.
    pub from_week: u32,
    /// The week in which it was reported.
    pub week: u32,
    /// To whom.
    pub to: Option<AccountId>,
}

impl Found {
    fn concerns(&self, planted: &Planted) -> bool {
        let overlap = self.from_week < planted.until_week && planted.from_week <= self.week;
        overlap && planted.accounts.iter().any(|account| self.accounts.contains(account))
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// By kind: how many were planted, and how many found under that word.
    pub recall: BTreeMap<&'static str, (u32, u32)>,
    /// By word: how many findings there were, and how many concern somebody with planted abuse at that time.
    pub precision: BTreeMap<String, (u32, u32)>,
    /// Reports in which nothing is true, by recipient and week.
    pub false_reports: u32,
    /// Reports.
    pub reports: u32,
    /// What was not found.
    pub missed: Vec<Planted>,
    /// Findings about nobody who did anything.
    pub wrong: Vec<Found>,
}

impl Score {
    /// Holds what was found against what was planted.
    pub fn of(planted: &[Planted], found: &[Found]) -> Score {
        let mut score = Score::default();
        for one in planted {
            let is_found = found.iter().any(|finding| finding.kind == one.kind.word() && finding.concerns(one));
            let (all, seen) = score.recall.entry(one.kind.word()).or_default();
            *all += 1;
            *seen += u32::from(is_found);
            if !is_found {
                score.missed.push(one.clone());
            }
        }
        let (mut reports, mut with_truth) = (BTreeSet::new(), BTreeSet::new());
        for finding in found {
            let is_true = planted.iter().any(|one| finding.concerns(one));
            let (all, right) = score.precision.entry(finding.kind.clone()).or_default();
            *all += 1;
            *right += u32::from(is_true);
            reports.insert((finding.to, finding.week));
            if is_true {
                with_truth.insert((finding.to, finding.week));
            } else {
                score.wrong.push(finding.clone());
            }
        }
        score.reports = reports.len() as u32;
        score.false_reports = (reports.len() - with_truth.len()) as u32;
        score
    }

    /// Takes another firm's in.
    pub fn add(&mut self, other: Score) {
        for (kind, (all, seen)) in other.recall {
            let own = self.recall.entry(kind).or_default();
            *own = (own.0 + all, own.1 + seen);
        }
        for (kind, (all, right)) in other.precision {
            let own = self.precision.entry(kind).or_default();
            *own = (own.0 + all, own.1 + right);
        }
        self.reports += other.reports;
        self.false_reports += other.false_reports;
        self.missed.extend(other.missed);
        self.wrong.extend(other.wrong);
    }

    /// The part of the planted abuses of a kind that was found; of all where none is named. 1 where none was planted.
    pub fn recall_of(&self, kind: Option<Abuse>) -> f64 {
        let of = self.recall.iter().filter(|(word, _)| kind.is_none_or(|kind| kind.word() == **word));
        part(of.map(|(_, counts)| *counts))
    }

    /// The part of the findings of a word that concern abuse; of all where none is named. 1 where there are none.
    pub fn precision_of(&self, kind: Option<Abuse>) -> f64 {
        let of = self.precision.iter().filter(|(word, _)| kind.is_none_or(|kind| kind.word() == word.as_str()));
        part(of.map(|(_, counts)| *counts))
    }
}

fn part(counts: impl Iterator<Item = (u32, u32)>) -> f64 {
    let (all, some) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if all == 0 { 1.0 } else { f64::from(some) / f64::from(all) }
}
