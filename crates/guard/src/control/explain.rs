//! Explanations: why a look-up is normal. D. Fabbri and K. LeFevre, "Explanation-based auditing", PVLDB 5(1) 2011,
//! found 94 % of the accesses of a hospital explained by what else was known; what is left is little enough to count.

use std::collections::HashMap;

use base::id::{AccountId, TenantId};
use base::time::micros;

use super::types::Known;

/// How long after a customer's own act somebody may look at the same object on their account.
const CALL_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// How long after its end a ticket still explains: what was done is written down and looked over.
const TICKET_AFTER_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Objects that customers acted on lately that are remembered.
const CALLS_MAX: usize = 1 << 18;
/// Words of a reason that are looked up.
const WORDS_MAX: usize = 32;

/// Why a look-up is normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explanation {
    /// It names a ticket about that tenant, open then, that somebody else opened.
    Ticket,
    /// The customer's own people did something to the same object within the day before.
    Call,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    tenant: Option<TenantId>,
    opened_by: Option<AccountId>,
    from: i64,
    until: i64,
}

/// What explains look-ups in the week that is looked at.
#[derive(Default)]
pub(super) struct Explanations {
    tickets: Vec<Open>,
    by_name: HashMap<String, u32>,
    assigned: HashMap<(AccountId, TenantId), Vec<(i64, i64)>>,
    /// When a customer's own people acted on an object last.
    calls: HashMap<u64, i64>,
}

impl Explanations {
    /// Takes in what is known. Accounts are those that people are counted under.
    pub fn begin(&mut self, known: &Known) {
        let person = |account: AccountId| known.accounts.get(&account).map_or(account, |found| found.person);
        self.tickets.clear();
        self.by_name.clear();
        for (name, ticket) in &known.tickets {
            self.by_name.insert(name.clone(), self.tickets.len() as u32);
            self.tickets.push(Open {
                tenant: ticket.tenant,
                opened_by: ticket.opened_by.map(person),
                from: micros(ticket.from),
                until: ticket.until.map_or(i64::MAX, |until| micros(until).saturating_add(TICKET_AFTER_MICROS)),
            });
        }
        self.assigned.clear();
        for one in &known.assignments {
            let times = (micros(one.from), one.until.map_or(i64::MAX, micros));
            self.assigned.entry((person(one.account), one.tenant)).or_default().push(times);
        }
    }

    /// The number of the first ticket that a reason names, of those that are known.
    pub fn ticket(&self, reason: &str) -> Option<u32> {
        if reason.is_empty() || self.by_name.is_empty() {
            return None;
        }
        let words = reason.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '#' | '/')));
        let numbered = words.filter(|word| word.bytes().any(|b| b.is_ascii_digit()));
        numbered.take(WORDS_MAX).find_map(|word| self.by_name.get(word).copied())
    }

    /// Whether the account is assigned to the tenant then.
    pub fn is_assigned(&self, person: AccountId, tenant: TenantId, at: i64) -> bool {
        let times = self.assigned.get(&(person, tenant));
        times.is_some_and(|times| times.iter().any(|(from, until)| (*from..*until).contains(&at)))
    }

    /// Why it is normal, if anything says so.
    pub fn find(
        &self,
        person: AccountId,
        ticket: Option<u32>,
        tenant: TenantId,
        subject: Option<u64>,
        at: i64,
    ) -> Option<Explanation> {
        let ticket = ticket.and_then(|number| self.tickets.get(number as usize));
        let by_ticket = ticket.is_some_and(|open| {
            open.opened_by != Some(person)
                && open.tenant.is_none_or(|of| of == tenant)
                && (open.from..open.until).contains(&at)
        });
        if by_ticket {
            return Some(Explanation::Ticket);
        }
        let called = subject.and_then(|subject| self.calls.get(&subject));
        called.is_some_and(|then| (0..CALL_MICROS).contains(&(at - then))).then_some(Explanation::Call)
    }

    /// A customer's own people acted on an object of theirs.
    pub fn called(&mut self, subject: u64, at: i64) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.retain(|_, then| at - *then < CALL_MICROS);
        }
        if self.calls.len() < CALLS_MAX || self.calls.contains_key(&subject) {
            self.calls.insert(subject, at);
        }
    }

    /// Forgets acts that explain nothing any more.
    pub fn forget_before(&mut self, at: i64) {
        self.calls.retain(|_, then| at - *then < CALL_MICROS);
    }

    /// Memory that grows with the log, in bytes.
    pub fn bytes(&self) -> usize {
        self.calls.capacity() * size_of::<(u64, i64, u64)>()
    }
}
