//! What a firm's people and programs leave in an audit log, week by week, with abuse planted in it.
//!
//! For trying log control (`guard::control`). The same plan always makes the same log. It is a firm that
//! serves customers: teams with a lead, four roles, shifts, tickets, calls, programs, holidays, busy days, work from
//! home, trips between offices; and what looks like abuse and is none: nights on call, a weekend's
//! migration, a campaign of the whole service desk, people who are new, programs that move. Each planted abuse
//! is labelled, and mixed with its account's ordinary work.
//!
//! | file | what |
//! |---|---|
//! | `chance.rs` | chance that comes out the same each time |
//! | `firm.rs` | who is who |
//! | `work.rs` | an ordinary week |
//! | `abuse.rs` | what is planted |
//! | `score.rs` | how much of it was found |

mod abuse;
mod chance;
mod firm;
mod score;
#[cfg(test)]
mod tests;
mod work;

use std::net::IpAddr;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;

pub use firm::{Assignment, Firm, Member, OFFICES, Office, Ticket};
pub use score::{Found, Score};

/// How large a firm, and how much abuse.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Another seed is another firm.
    pub seed: u64,
    /// People, leads included.
    pub people: u32,
    /// Weeks; abuse begins in the fifth.
    pub weeks: u32,
    /// Look-ups that a person makes on a working day, on average.
    pub looks_a_day: f64,
    /// Abuses of each kind, a third of each strength.
    pub planted: u32,
}

impl Default for Plan {
    /// A firm of 150 people over 12 weeks, with six abuses of each kind.
    fn default() -> Self {
        Plan { seed: 1, people: 150, weeks: 12, looks_a_day: 22.0, planted: 6 }
    }
}

/// What kind of thing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Somebody's data was looked at.
    Look,
    /// Something was changed.
    Change,
    /// A second person was asked.
    Ask,
    /// A second person agreed.
    Agree,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub place: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub account: AccountId,
    /// What kind of thing was done.
    pub deed: Deed,
    /// What was done.
    pub action: &'static str,
    /// To which object.
    pub object: String,
    /// Whose that is.
    pub tenant: TenantId,
    /// Where the request came from.
    pub address: IpAddr,
    /// Why, in the actor's words; often nothing.
    pub reason: String,
}

/// Kinds of abuse, by the words under which they should be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abuse {
    /// One subject again and again, or very many in a day.
    Repeated,
    /// Outside role or assignments.
    Outside,
    /// At night.
    Hours,
    /// A few more each day, for four weeks.
    Harvest,
    /// A program's key in a person's hands.
    Service,
    /// An account in two places at once.
    Travel,
    /// Two who agree to all that the other asks for.
    Pair,
}

impl Abuse {
    /// Every kind.
    pub const ALL: [Abuse; 7] =
        [Abuse::Repeated, Abuse::Outside, Abuse::Hours, Abuse::Harvest, Abuse::Service, Abuse::Travel, Abuse::Pair];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Abuse::Repeated => "repeated",
            Abuse::Outside => "outside",
            Abuse::Hours => "hours",
            Abuse::Harvest => "harvest",
            Abuse::Service => "service",
            Abuse::Travel => "travel",
            Abuse::Pair => "pair",
        }
    }
}

/// An abuse that was planted.
#[derive(Debug, Clone, PartialEq)]
pub struct Planted {
    /// Its kind.
    pub kind: Abuse,
    /// From 1, hardly above what is ordinary, to 3.
    pub strength: u32,
    /// Whose accounts.
    pub accounts: Vec<AccountId>,
    /// Its first week.
    pub from_week: u32,
    /// The week after its last.
    pub until_week: u32,
}
