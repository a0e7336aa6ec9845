//! Control: what in the audit log a person who answers for others should look at.
//!
//! A week of the log at a time, in one pass and in bounded memory. What has an explanation is normal and
//! counts for nothing; what is left is held against what the account did before and what others in its
//! role do, in numbers of distinct subjects. What stands out is a *finding*, with its entries as
//! evidence; each responsible person gets one report a week, never about themself.
//!
//! ```text
//!  begin(who is who) ► see, see, see … ► end ► findings ─ reports ─► who answers for the account
//!        ▲                                └─ the week becomes part of the baselines
//!        └──────────────────────────────────┘
//! ```
//!
//! | part | what |
//! |---|---|
//! | [`Activity`] | an entry of the log, as far as it matters here |
//! | [`Known`] | what the platform knows beside the log: accounts, roles, assignments, tickets |
//! | [`Control`] | the analysis |
//! | [`reports`] | who gets which findings |
//! | `sketch` | counting distinct subjects in bounded memory |
//! | `rules` | the statistics, each with its source |
//!
//! **Invariants** (tests: `tests/`)
//! - what a ticket or a customer's own act explains never raises a finding by itself;
//! - nobody explains themself: a ticket that the account opened explains nothing of what it does;
//! - in which order the entries of a week come does not matter, up to [`ENTRIES_SORTED_MAX`] of them;
//! - more distinct subjects never score less, as far as they are counted exactly;
//! - memory is bounded by accounts, not by entries, subjects or addresses, whatever the log holds;
//! - no report is addressed to somebody whom one of its findings is about.
//!
//! Not here: the log (`gate::audit`); reading it week by week, keeping reports and what people judge of them.

mod explain;
mod figures;
mod pairs;
mod reports;
mod rules;
mod sketch;
#[cfg(test)]
mod tests;
mod types;
mod watch;
mod words;

pub use figures::Figures;
pub use reports::{FINDINGS_IN_REPORT_MAX, Report, reports};
pub use types::{
    Account, Activity, Assignment, Doing, Evidence, Finding, Kind, Known, Place, Settings, Sort, Ticket, Week, Why,
};
pub use watch::{ACCOUNTS_MAX, Control, ENTRIES_SORTED_MAX};
