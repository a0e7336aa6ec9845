//! Making a host as the server wants it, and telling what is there.
//!
//! **What.** The agent without its surroundings: it takes intents from a [`ControlPlane`], makes a
//! [`Hypervisor`](crate::hypervisor::Hypervisor) so, keeps what it must not forget in a [`Store`], and
//! reports. The binary `yunwei-agent` joins it to libvirt and HTTPS; tests and benchmarks join it to
//! the in-memory hypervisor and the server in one process.
//!
//! ```text
//!   ControlPlane ──intents──► Book ──pass──► decide ──► prepare · start · stop · remove ─┐
//!        ▲                     │  ▲                                                      │
//!        └──────reports────────┘  └──────────────── look, observe ◄──────────────────────┘
//! ```
//!
//! One *pass* over a machine: look, note what is there (its lives), decide one step, take it, look
//! again. Passes of one machine never overlap; those of different machines do. There is no other
//! way to act, so a crash anywhere is followed by a pass that begins with looking.
//!
//! Beside that, tasks are done by a [`Worker`](crate::tasks::Worker): each once, whatever is lost or repeated.
//!
//! **Invariants** (held by `tests.rs`: random intents, faults and crashes).
//! - A generation is on disk before anything is done for it and before it is reported.
//! - The agent never goes back to an older generation; a machine that is absent at generation *n* is
//!   not made again below *n* + 1, whatever comes late.
//! - Calls that may or may not have worked are resolved by looking, never by assuming.
//! - A life is reported until the server has acknowledged it; its sequence has no gaps.
//! - Nothing without an intent is ever stopped or removed; it is reported as an orphan.
//! - What came of a task is on disk before it is told, and stays there until the server asks no more.
//! - Without the server everything stays as it is, and lives go on being recorded.
//!
//! **Not here.** How a machine is made (`hypervisor`), who orders one (the server).

mod board;
mod book;
mod decide;
mod loss;
mod pass;
mod queue;
mod record;
mod run;
mod store;

#[cfg(test)]
mod tests;

pub use run::{Agent, Stop};
pub use store::Store;

use std::{io::Write, path::Path, time::Duration};

use base::{Error, Result};

use crate::wire::{
    ConsoleTail, FileTaken, ImageRef, IntentId, Intents, RecoveryAccess, RecoveryId, Report, ReportAnswer, TaskId,
};

/// The server, as an agent sees it.
///
/// A border with two real implementations: HTTPS with client certificates (crate `agent`), and the
/// server itself in the same process.
pub trait ControlPlane: Send + Sync + 'static {
    /// What the server wants of this host: everything (`after` 0), or what changed since; waits up to
    /// `wait` for something to say.
    ///
    /// # Errors
    /// Any: the agent goes on with what it has and asks again.
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents>;

    /// Tells the server what is there. `Ok` means that it is stored.
    ///
    /// # Errors
    /// Any: the same will be told again.
    fn report(&self, report: &Report) -> Result<ReportAnswer>;

    /// Hands over the end of a console that was asked for.
    ///
    /// # Errors
    /// Any: the server asks again.
    fn console(&self, tail: &ConsoleTail) -> Result<()>;

    /// Copies an image's bytes from `offset` on.
    ///
    /// # Errors
    /// `NotFound` where the server has no such image; `Unavailable` and `Uncertain` may pass.
    fn image(&self, image: &ImageRef, offset: u64, into: &mut dyn Write) -> Result<()>;

    /// What opens the repositories of an open task: a JSON array, as the vault reads it. It holds
    /// secrets: not to be kept.
    ///
    /// # Errors
    /// `NotFound` where the task is not open any more; any other may pass.
    fn access(&self, task: &TaskId) -> Result<serde_json::Value>;

    /// What a disk of a machine is recovered from. It holds secrets: not to be kept.
    ///
    /// # Errors
    /// `NotFound` where no such disk is wanted here; any other may pass.
    fn recover(&self, machine: &IntentId, recovery: &RecoveryId, disk: &str) -> Result<RecoveryAccess>;

    /// Hands over the file that an open task of this host was to fetch: all of it is stored when
    /// this returns.
    ///
    /// # Errors
    /// `NotFound` where the task is not open any more; `Exhausted` where there is no room; any other may pass.
    fn hand_over(&self, task: &TaskId, file: &Path) -> Result<FileTaken> {
        let _ = (task, file);
        Err(Error::unavailable("task.no_files", "no files are taken here"))
    }

    /// The agent stops: a waiting call may return at once.
    fn hang_up(&self) {}
}

/// How an agent works. The default is right for a host; tests turn it up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Machines worked on at the same time.
    pub workers: usize,
    /// Tasks done at the same time.
    pub tasks: usize,
    /// Machines probed at the same time.
    pub probers: usize,
    /// How long one poll for intents may wait.
    pub poll_wait: Duration,
    /// How often the hypervisor is asked what runs. Ends of lives are known to this accuracy.
    pub watch_every: Duration,
    /// How often every machine gets a pass, changed or not.
    pub resync_every: Duration,
    /// How often running machines are reported although nothing happened: sets how old the server's
    /// knowledge of a life may be.
    pub report_every: Duration,
    /// How often the host itself is reported.
    pub host_every: Duration,
    /// How long a guest is given to shut down before its power is taken away.
    pub grace: Duration,
    /// How long an agent that starts waits for the server's first word before it touches machines by
    /// what it knew before: on a host that comes back, a machine may have been replaced meanwhile.
    pub first_word: Duration,
    /// The least pause after something did not work; doubles up to `retry_max`.
    pub retry_min: Duration,
    /// The greatest pause after something did not work.
    pub retry_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 4,
            tasks: 2,
            probers: 8,
            poll_wait: Duration::from_secs(25),
            watch_every: Duration::from_secs(1),
            resync_every: Duration::from_secs(60),
            report_every: Duration::from_secs(10),
            host_every: Duration::from_secs(300),
            grace: Duration::from_secs(20),
            first_word: Duration::from_secs(60),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The pause after the `tries`-th failure in a row.
    fn pause(&self, tries: u32) -> Duration {
        self.retry_min.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.retry_max)
    }
}
