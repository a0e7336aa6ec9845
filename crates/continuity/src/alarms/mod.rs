//! Alarms: what is wrong with copies, drills and the audit log's shipping until somebody sees to it, in the words of TM Forum's
//! alarm management (TMF642).
//!
//! ```text
//!   raised ──(the same again: counted)──► raised ──(what was wrong is right)──► cleared
//!     ├──(a minute later, where it still is)──► its people get a mail
//!     └──(somebody says: I see to it)──► acknowledged
//! ```
//!
//! | cause | raised | cleared |
//! |---|---|---|
//! | `backupFailed`, `backupDegraded` | a point closes so | the next one is whole |
//! | `backupOverdue` | two runs of the schedule without a point that something can be restored from | there is one |
//! | `backupUnusual` | far more changed than ever since the point before ([`rules::is_unusual`]) | a person says that it is as it should be |
//! | `drillFailed` | a drill shows a miss, or cannot be made | the plan's next drill passes |
//! | `placeNotImmutable` | a place that is said to keep copies let a host remove or change one | it refuses |
//! | `controlPlaneDegraded` | the platform's newest copies are not whole, or older ones were lost | all are whole |
//! | `controlPlaneOverdue` | the platform's own copies are late | there is one |
//! | `auditShippingBehind` | a place lacks what was signed of the audit log for longer than its limit, or has more than the log | it has it all, or is shipped to no more |
//!
//! **Invariants** (tests: `tests.rs`)
//! - one thing is wrong once: a second time counts, and mails nobody again;
//! - what is right again is cleared by whatever sees that, never by somebody's word: but for
//!   `backupUnusual`, which only a person can judge;
//! - while a service has an unusual point, none of its points is let go.
//!
//! **Not here.** How a mail leaves the house (`access::mail`), alarms of hosts and services.

pub mod actions;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod words;

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use drivers::wire::Problem;
use gate::{AnyAction, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use watch::{backed_up, drilled, protection_ended, register};
pub(crate) use watch::{control_plane, place, plan_ended};

use crate::AlarmId;

/// The kind of an alarm, in audit and policies.
pub const KIND: &str = "alarm";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[&actions::LIST, &actions::ACKNOWLEDGE, &actions::CLEAR, &watch::WATCH];

/// Why there is an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// Nothing can be restored from the newest point.
    BackupFailed,
    /// The newest point lacks copies.
    BackupDegraded,
    /// There is no new point for too long.
    BackupOverdue,
    /// Far more changed than ever: as after encryption by an intruder.
    BackupUnusual,
    /// The last drill did not show what is promised.
    DrillFailed,
    /// A place that is said to keep copies lets whoever wrote them remove or change them.
    PlaceNotImmutable,
    /// Copies of the platform itself are missing or damaged.
    ControlPlaneDegraded,
    /// The platform's own copies are too old.
    ControlPlaneOverdue,
    /// A place off the host lacks what was signed of the audit log, for longer than its limit.
    AuditShippingBehind,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 9] = [
        Cause::BackupFailed,
        Cause::BackupDegraded,
        Cause::BackupOverdue,
        Cause::BackupUnusual,
        Cause::DrillFailed,
        Cause::PlaceNotImmutable,
        Cause::ControlPlaneDegraded,
        Cause::ControlPlaneOverdue,
        Cause::AuditShippingBehind,
    ];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Cause::BackupFailed => "backupFailed",
            Cause::BackupDegraded => "backupDegraded",
            Cause::BackupOverdue => "backupOverdue",
            Cause::BackupUnusual => "backupUnusual",
            Cause::DrillFailed => "drillFailed",
            Cause::PlaceNotImmutable => "placeNotImmutable",
            Cause::ControlPlaneDegraded => "controlPlaneDegraded",
            Cause::ControlPlaneOverdue => "controlPlaneOverdue",
            Cause::AuditShippingBehind => "auditShippingBehind",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Cause::BackupOverdue | Cause::ControlPlaneOverdue | Cause::AuditShippingBehind => Severity::Critical,
            Cause::BackupFailed
            | Cause::BackupUnusual
            | Cause::DrillFailed
            | Cause::PlaceNotImmutable
            | Cause::ControlPlaneDegraded => Severity::Major,
            Cause::BackupDegraded => Severity::Minor,
        }
    }
}

/// How bad something is (X.733).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// What is promised cannot be kept now.
    Critical,
    /// It will not be kept unless somebody acts.
    Major,
    /// It is weaker than it should be.
    Minor,
}

impl Severity {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Major => "major",
            Severity::Minor => "minor",
        }
    }
}

/// What an alarm is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alarmed {
    /// `service`, `drillPlan`, `backupPlace`, `controlPlane` or `auditPlace`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Something that somebody must see to.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is about.
    pub alarmed_object: Alarmed,
    /// Why.
    pub probable_cause: Cause,
    /// How bad it is.
    pub perceived_severity: Severity,
    /// What was found last.
    pub specific_problem: Problem,
    /// What to do about it, in English.
    pub proposed_repaired_action: String,
    /// How often it was found.
    pub times: i64,
    /// Since when.
    #[schemars(with = "String")]
    pub alarm_raised_time: Timestamp,
    /// When it was found last.
    #[schemars(with = "String")]
    pub alarm_changed_time: Timestamp,
    /// Who sees to it.
    pub ack_user: Option<String>,
    /// Since when.
    #[schemars(with = "Option<String>")]
    pub ack_time: Option<Timestamp>,
    /// What they said.
    pub note: String,
    /// When it was right again.
    #[schemars(with = "Option<String>")]
    pub alarm_cleared_time: Option<Timestamp>,
    /// Who said so, or the platform.
    pub clear_user: Option<String>,
}

/// What is wrong with what.
#[derive(Debug, Clone)]
pub(crate) struct Wrong<'a> {
    pub tenant: TenantId,
    pub kind: &'a str,
    pub id: &'a str,
    pub cause: Cause,
    pub problem: Problem,
}

/// It is wrong: raised, or counted where it is known already.
pub(crate) fn raise(tx: &mut Tx<'_>, wrong: &Wrong<'_>) -> Result<()> {
    store::raise(tx, wrong)
}

/// It is right again.
pub(crate) fn clear(tx: &mut Tx<'_>, kind: &str, id: &str, causes: &[Cause]) -> Result<()> {
    causes.iter().try_for_each(|cause| store::clear(tx, kind, id, *cause, "system"))
}

/// Whether a service's points must stay: somebody has to say first whether its data is its own.
pub(crate) fn holds_points(conn: &mut db::Conn<'_>, service: &str) -> Result<bool> {
    store::is_open(conn, "service", service, Cause::BackupUnusual)
}
