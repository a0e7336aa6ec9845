//! The agent protocol: what the server and the agent on a host say to each other.
//!
//! **What.** Plain data, shared by both ends. The server writes *intents* (what should be on a
//! host); the agent makes the host so and answers with *observations* (what is there). Beside them
//! stand *tasks*: finite things such as a backup, each done once, whatever is lost or repeated.
//! Neither end gives orders: a message that is lost, repeated or late changes nothing in the long run.
//!
//! ```text
//!   server                                   agent
//!     │  ◄── POST enrol    token, CSR          │   server-authenticated TLS, pinned by the token
//!     │  ──► certificate, CA, host             │
//!     │  ◄── GET  intents?after=&wait=25       │   mutual TLS from here on
//!     │  ──► the full set, then changes        │
//!     │  ◄── GET  images/{sha256}              │
//!     │  ◄── POST observations                 │   states, lives, orphans, the host itself
//!     │  ◄── POST console                      │   only when the intents answer asked for it
//!     │  ◄── GET  tasks/{id}/access            │   what opens the repositories of a task, just before it
//!     │  ◄── PUT  tasks/{id}/file              │   the file that a task was to fetch
//!     │  ◄── POST renew    CSR                 │   before the certificate runs out
//! ```
//!
//! **Invariants.**
//! - An intent's generation only grows. The agent never goes back to an older one, whatever order
//!   messages arrive in (`converge` holds this; its property tests show it).
//! - A life is named by `(intent, seq)`; receiving it again changes nothing
//!   ([`Life::absorb`] is how both ends merge two accounts of one life).
//! - Unknown fields and unknown words of an enumeration are tolerated; what the agent cannot do it
//!   reports as failed, it does not guess.
//! - Identifiers end up in file and domain names on the host, so their alphabet is checked while
//!   they are read ([`IntentId`], [`Sha256`], [`Mac`]).
//!
//! **Not here.** How the host is made so (`converge`), what makes a machine (`hypervisor`), the
//! server's side of the routes (`resources`).

mod data;
mod drill;
mod enrol;
mod host;
mod intent;
mod look;
mod name;
mod observation;
mod task;
mod token;

#[cfg(test)]
mod tests;

pub use data::{DataRestored, DataSource, DataTaken, DataTarget, DatabaseServer, LogSpan};
pub use drill::{DRILLED, DataDrilled, Marker, drilled_database};
pub use enrol::{EnrolAnswer, EnrolRequest, RenewAnswer, RenewRequest};
pub use host::{Accelerator, HostReport};
pub use intent::{
    Check, CloudInit, ConsoleRequest, Desired, DiskSource, DiskSpec, Filesystem, Forward, ImageFormat, ImageRef,
    Intent, Intents, MachineSpec, NetworkSpec, Power, Transport, address_of,
};
pub use look::{SavedItem, SavedKind};
pub use name::{IntentId, Mac, RecoveryId, Sha256, TaskId};
pub use observation::{
    CheckResult, ConsoleTail, Life, LifeEnd, MachineState, Observation, Orphan, Problem, Recovered, Recovering, Report,
    ReportAnswer, SHUT_DOWN_INSIDE,
};
pub use task::{
    Consistency, DiskCopy, FileTaken, HostTask, Outcome, ReadShare, RecoveryAccess, TaskProgress, TaskReport,
    TaskState, Work,
};
pub use token::EnrolToken;

/// The version of this protocol. It changes only when an older peer would misunderstand; additions
/// do not change it. A peer that speaks another version is refused with `agent.protocol_unsupported`.
pub const PROTOCOL: u32 = 1;

/// The name that the server's agent endpoint proves with its certificate, whatever address it is
/// reached at: moving the server to another address needs no new certificate and no new enrolment.
/// Agents send it as SNI and verify against it.
pub const SERVER_NAME: &str = "agents.yunwei.internal";

/// Paths of the agent endpoint.
pub mod path {
    /// `POST`: [`EnrolRequest`](super::EnrolRequest) → [`EnrolAnswer`](super::EnrolAnswer).
    /// The only path that is served without a client certificate.
    pub const ENROL: &str = "/agent/v1/enrol";
    /// `GET ?after=<cursor>&wait=<seconds>`: [`Intents`](super::Intents). With `after=0`, or with a
    /// cursor that the server does not know, the full set; else what changed after it, as soon as
    /// there is something, at the latest after `wait` seconds.
    pub const INTENTS: &str = "/agent/v1/intents";
    /// `POST`: [`Report`](super::Report) → [`ReportAnswer`](super::ReportAnswer).
    pub const OBSERVATIONS: &str = "/agent/v1/observations";
    /// `GET {IMAGES}/{sha256}`: the image's bytes. `Range: bytes=N-` is honoured where possible.
    pub const IMAGES: &str = "/agent/v1/images";
    /// `POST`: [`RenewRequest`](super::RenewRequest) → [`RenewAnswer`](super::RenewAnswer).
    pub const RENEW: &str = "/agent/v1/renew";
    /// `POST`: [`ConsoleTail`](super::ConsoleTail) → 204.
    pub const CONSOLE: &str = "/agent/v1/console";
    /// `GET {TASKS}/{id}/access`: a JSON array of what opens the repositories that an open task of this
    /// host works on. It holds secrets: kept nowhere.
    ///
    /// `PUT {TASKS}/{id}/file`: the bytes of the file that an open task of this host was to fetch,
    /// [`FileTaken`](super::FileTaken) once they are all there.
    pub const TASKS: &str = "/agent/v1/tasks";
    /// `GET {RECOVERIES}/{recovery}/access?machine=&disk=`: [`RecoveryAccess`](super::RecoveryAccess),
    /// for a disk that is wanted on this host. It holds secrets: kept nowhere.
    pub const RECOVERIES: &str = "/agent/v1/recoveries";
}
