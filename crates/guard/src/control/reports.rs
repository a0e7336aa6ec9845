//! Who gets which findings: one report a week for each responsible person, and never about themself.

use std::collections::BTreeMap;

use base::id::AccountId;

use super::types::{Finding, Known};

/// Findings in one report; what stands out less is counted only.
pub const FINDINGS_IN_REPORT_MAX: usize = 10;
/// How far up somebody is looked for who is not concerned.
const STEPS_MAX: usize = 16;

/// A week's findings for one responsible person.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// To whom; none where nobody stands above those concerned, which is for whoever reads the audit log.
    pub to: Option<AccountId>,
    /// What stands out, the most first.
    pub findings: Vec<Finding>,
    /// Findings that stand out less and had no room.
    pub left_off: usize,
}

/// Makes the reports of a week. A finding goes to the nearest person above the account whom it is not about; those of
/// a manager so go to who stands above them.
pub fn reports(known: &Known, findings: Vec<Finding>) -> Vec<Report> {
    let mut by_person: BTreeMap<Option<AccountId>, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        by_person.entry(responsible(known, &finding)).or_default().push(finding);
    }
    let report = |(to, mut findings): (Option<AccountId>, Vec<Finding>)| {
        findings.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.account, a.kind).cmp(&(b.account, b.kind))));
        let left_off = findings.len().saturating_sub(FINDINGS_IN_REPORT_MAX);
        findings.truncate(FINDINGS_IN_REPORT_MAX);
        Report { to, findings, left_off }
    };
    by_person.into_iter().map(report).collect()
}

/// Compares people, not accounts: who has two cannot be told of one of them by the other. An account that answers
/// to a program, to itself or in a circle ends with nobody.
fn responsible(known: &Known, finding: &Finding) -> Option<AccountId> {
    let person = |account: AccountId| known.accounts.get(&account).map_or(account, |found| found.person);
    let about: Vec<AccountId> = finding.about().map(person).collect();
    let mut at = finding.account;
    for _ in 0..STEPS_MAX {
        at = known.accounts.get(&at)?.answers_to?;
        if !about.contains(&person(at)) {
            return Some(at);
        }
    }
    None
}
