//! What the agent found on its host.

use base::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostReport, IntentId, Power, RecoveryId, TaskReport};

/// A batch of news from one host. Safe to send again: states carry a revision, lives a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of the protocol that the agent speaks.
    pub protocol: u32,
    /// The host's clock when this was sent: beside its own, the server sees how far they differ.
    #[schemars(with = "String")]
    pub sent_at: Timestamp,
    /// The host itself, when the agent starts, when something changed, and now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostReport>,
    /// The machines. An empty batch is a sign of life.
    #[serde(default)]
    pub observations: Vec<Observation>,
    /// Everything at the hypervisor that carries our mark and that the agent knows no intent for.
    /// `None`: nothing to say this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<Vec<Orphan>>,
    /// How tasks go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReport>,
}

/// The server's receipt. Status 200 means that the whole batch is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportAnswer {
    /// Intents in the batch that the server has never heard of, or that belong to another host. The
    /// agent keeps the machines as they are and reports them as orphans.
    #[serde(default)]
    pub unknown: Vec<IntentId>,
}

/// One intent as the agent sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The intent.
    pub id: IntentId,
    /// The generation that the agent holds: it has stored it and works on it. Where the server's is
    /// lower (it was restored from a copy), the server must go above this one.
    pub generation: u64,
    /// Grows with every observation of this intent on this host, over restarts too. Lower or equal
    /// to what the server holds: old news, already stored.
    pub revision: u64,
    /// What is there.
    pub state: MachineState,
    /// Whether what is there is what this generation wants. The check is not part of it.
    pub converged: bool,
    /// Since when it is in this state.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Whether it runs; `None` when the hypervisor cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// The reboot token that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_token: Option<String>,
    /// Lives that the server has not acknowledged in their present form.
    #[serde(default)]
    pub lives: Vec<Life>,
    /// The last answer of the check in the present life; `None` before the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckResult>,
    /// The disks that were made from a snapshot, and how that went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<Recovered>,
    /// The disks that come back from a snapshot just now, and how far they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovering: Vec<Recovering>,
    /// How many bytes of console there are to ask for.
    #[serde(default)]
    pub console_bytes: u64,
    /// Why it is not as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The host's clock when this was seen.
    #[schemars(with = "String")]
    pub observed_at: Timestamp,
}

/// What is there.
///
/// ```text
///   absent ──► creating ──► running ◄──► stopped
///                 │            │ └─► crashed ──► running   (started again, with growing pauses)
///                 └─► failed   │
///   absent ◄── deleting ◄──────┘ from every state
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MachineState {
    /// Nothing: no domain, no disk.
    Absent,
    /// Being made: image, disks, seed, domain.
    Creating,
    /// It runs.
    Running,
    /// It is there and does not run, as wanted or because somebody stopped it from inside.
    Stopped,
    /// It ended without having been asked to (the hypervisor's process died, the guest panicked).
    Crashed,
    /// It cannot be made or started as specified; `problem` says why. Tried again only where the
    /// problem may pass.
    Failed,
    /// Being taken away.
    Deleting,
    /// The hypervisor cannot be asked; what was known before may have changed.
    #[serde(other)]
    Unknown,
}

/// One unbroken stretch of a machine running: the truth that metering is made from.
///
/// A reboot from inside the guest does not end a life; a stop, a crash, or a reboot that takes the
/// hypervisor's process down does. Times come from looking at the domain, not from orders given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// Counts a machine's lives from 1, without gaps.
    pub seq: u64,
    /// When it began, by the host's clock.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// Whether the agent or the hypervisor saw it begin. `false`: it was found running, and
    /// `started_at` is when it was found; it may have begun earlier.
    pub started_certain: bool,
    /// When it was last seen running, by the host's clock.
    #[schemars(with = "String")]
    pub last_seen_at: Timestamp,
    /// How long it has certainly run, in milliseconds, by a clock that nobody can set. It does not
    /// follow clock steps as `started_at` and `last_seen_at` do; meter from this.
    pub ran_ms: u64,
    /// How it ended; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<LifeEnd>,
    /// Virtual processors it ran with.
    pub vcpus: u32,
    /// Memory it ran with, in MiB.
    pub memory_mib: u64,
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifeEnd {
    /// When, by the host's clock. Never before `last_seen_at`.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether the end was seen. `false`: it ended at some time between `last_seen_at` and `at`,
    /// while nobody looked (the agent was down, the host was down).
    pub certain: bool,
    /// A word for people: `stopped`, `shutdown`, `crashed`, `destroyed`, `lost`.
    pub reason: String,
}

impl Life {
    /// Takes in another account of the same life: what was seen longer wins, an end is final.
    /// Commutative and idempotent, so lost, repeated and reordered reports do no harm.
    pub fn absorb(&mut self, other: &Life) {
        if other.started_certain && !self.started_certain {
            self.started_at = other.started_at;
            self.started_certain = true;
        } else if other.started_certain == self.started_certain {
            self.started_at = self.started_at.min(other.started_at);
        }
        self.last_seen_at = self.last_seen_at.max(other.last_seen_at);
        self.ran_ms = self.ran_ms.max(other.ran_ms);
        match (&self.end, &other.end) {
            (None, Some(_)) => self.end.clone_from(&other.end),
            (Some(mine), Some(theirs))
                if (theirs.certain, theirs.at, &theirs.reason) > (mine.certain, mine.at, &mine.reason) =>
            {
                self.end.clone_from(&other.end);
            }
            _ => {}
        }
    }
}

/// The last answer of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Whether the machine answered as it should.
    pub ok: bool,
    /// The life that was probed.
    pub life: u64,
    /// When the machine first answered in this life; `None` while it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Timestamp>,
    /// From the start of this life to its first answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<u64>,
    /// What the last try saw, for people: `200`, `connection refused`.
    pub detail: String,
    /// What the second path of the check answered, at most [`limits::CHECK_BODY_BYTES_MAX`](base::limits) of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// When the last try was.
    #[schemars(with = "String")]
    pub checked_at: Timestamp,
}

/// A disk that comes back from a snapshot just now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovering {
    /// The disk's name within its machine.
    pub disk: String,
    /// What it is recovered from.
    pub recovery: RecoveryId,
    /// Bytes that are there. As many as come: they are being hashed.
    pub done: u64,
    /// Bytes that come.
    pub total: u64,
    /// Seconds since it began.
    pub seconds: f64,
}

/// A disk that was made from a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// The disk's name within its machine.
    pub disk: String,
    /// What it was recovered from.
    pub recovery: RecoveryId,
    /// Bytes that came back.
    pub bytes: u64,
    /// Seconds until the data was there.
    pub seconds: f64,
    /// Seconds that hashing it took.
    pub verify_seconds: f64,
    /// Digest over what came back, as hashed on this host.
    pub digest: String,
}

/// The code of a machine that was shut down from inside and is left so until it is wanted to run anew.
pub const SHUT_DOWN_INSIDE: &str = "machine.shut_down_inside";

/// Why something is not as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A word for programs, such as `image.digest_mismatch`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Whether the agent keeps trying. `false`: only another generation can help.
    pub retrying: bool,
}

/// Something of ours at the hypervisor that no known intent explains. The agent leaves it alone;
/// the server decides, by an intent of that name: absent removes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The intent that its mark names.
    pub id: IntentId,
    /// The generation that its mark names.
    pub generation: u64,
    /// Its name at the hypervisor.
    pub domain: String,
    /// Whether it runs.
    pub power: Power,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// The end of a machine's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleTail {
    /// The machine.
    pub id: IntentId,
    /// The request that this answers.
    pub request: String,
    /// When it was read.
    #[schemars(with = "String")]
    pub captured_at: Timestamp,
    /// The text; bytes that are not UTF-8 are replaced, control characters are left in: escape
    /// them before showing.
    pub text: String,
    /// Whether there was more before it.
    pub truncated: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
