//! The border to whatever runs machines on a host.
//!
//! **What.** [`Hypervisor`]: make a machine's parts ready, start and stop it, take it away, look at
//! it, read its console, see whether it answers. Two implementations: libvirt (crate `agent`, the
//! only one that links it) and [`memory`], which can delay, fail, time out after having succeeded,
//! and lie.
//!
//! **Contract.**
//! - Every verb may be repeated, and says what it found rather than what it assumes: `prepare` on a
//!   prepared machine, `start` on a running one, `stop` on a stopped one, `remove` on nothing all
//!   succeed and change nothing.
//! - An error of kind `Uncertain` means that the effect may have happened or may yet happen. The
//!   caller looks. `Unavailable` means that nothing was done and that it may work later; `Invalid`
//!   that it never will with this specification.
//! - `list` and `look` report only what carries this platform's own mark. Nothing else on the host is
//!   ever touched.
//! - The verbs of one machine are never called at the same time; those of different machines are.
//!
//! **Not here.** When to do what (`converge`), what was seen over time (`converge::record`).

pub mod memory;

#[cfg(test)]
mod tests;

use std::time::Duration;

use base::{Result, time::Timestamp};

use crate::wire::{DiskSource, HostReport, IntentId, MachineSpec, Power, Recovered, Recovering};

/// Something that runs machines on this host.
pub trait Hypervisor: Send + Sync + 'static {
    /// What this host is and can do.
    ///
    /// # Errors
    /// `Unavailable` where the hypervisor does not answer.
    fn host(&self) -> Result<HostReport>;

    /// Makes everything that the machine needs to start: images fetched and verified, disks, network
    /// ports, seed, definition. Disks that exist are kept with what they hold (and grown where the
    /// specification grew and the machine does not run). A machine that runs goes on as it is; the
    /// new definition counts from its next start.
    ///
    /// # Errors
    /// `Invalid`: can never be made like this. `Unavailable`, `Exhausted`: may work later.
    /// `Uncertain`: look.
    fn prepare(&self, id: &IntentId, generation: u64, spec: &MachineSpec) -> Result<()>;

    /// Starts a prepared machine, or lets a paused one go on.
    ///
    /// # Errors
    /// `NotFound` where it is not prepared; else as for [`prepare`](Self::prepare).
    fn start(&self, id: &IntentId) -> Result<()>;

    /// Stops a machine: asks the guest, and after `grace` takes its power away. `grace` of zero does
    /// not ask.
    ///
    /// # Errors
    /// `Unavailable`, `Uncertain`.
    fn stop(&self, id: &IntentId, grace: Duration) -> Result<()>;

    /// Ends a machine's run as a crash would: at once, from the side, its disks left as they are. Nobody is
    /// told; whoever watches it must see.
    ///
    /// # Errors
    /// `NotFound` where it does not run; `Unavailable`, `Uncertain`.
    fn crash(&self, id: &IntentId) -> Result<()>;

    /// Takes away the machine and everything that was made for it, disks included. What runs is
    /// stopped without asking.
    ///
    /// # Errors
    /// `Unavailable`, `Uncertain`. After `Ok`, [`look`](Self::look) answers `None`.
    fn remove(&self, id: &IntentId) -> Result<()>;

    /// What there is of one machine; `None` if there is nothing at all, not even a file.
    ///
    /// # Errors
    /// `Unavailable`, `Uncertain`: nothing is known.
    fn look(&self, id: &IntentId) -> Result<Option<Found>>;

    /// Everything of ours, leftovers included.
    ///
    /// # Errors
    /// `Unavailable`, `Uncertain`: nothing is known.
    fn list(&self) -> Result<Vec<Found>>;

    /// The end of a machine's console, at most `bytes_max`.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    fn console(&self, id: &IntentId, bytes_max: u32) -> Result<Console>;

    /// Tries the machine's check, for at most `patience`. Within it, tries as often as is sensible
    /// for a machine that is just coming up.
    fn check(&self, id: &IntentId, spec: &MachineSpec, patience: Duration) -> Answer;

    /// Waits until something changed by itself, for at most `patience`, and names it. An empty
    /// answer says nothing: the caller looks at everything now and then in any case.
    fn changes(&self, patience: Duration) -> Vec<IntentId>;
}

/// What there is of a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The intent that its mark names.
    pub id: IntentId,
    /// The generation that its mark names.
    pub generation: u64,
    /// Its name at the hypervisor.
    pub domain: String,
    /// Whether all its parts are there, so that it could start.
    pub complete: bool,
    /// Digest of the specification it was last prepared from ([`spec_digest`]).
    pub digest: String,
    /// Whether it runs.
    pub activity: Activity,
    /// Virtual processors, of the running machine if it runs.
    pub vcpus: u32,
    /// Memory in MiB, of the running machine if it runs.
    pub memory_mib: u64,
    /// Size of its console log.
    pub console_bytes: u64,
    /// The disks that were made from a snapshot.
    pub recovered: Vec<Recovered>,
    /// The disks that come back from a snapshot just now.
    pub recovering: Vec<Recovering>,
}

impl Found {
    /// Whether it has a life at present.
    pub fn lives(&self) -> bool {
        matches!(self.activity, Activity::Running { .. } | Activity::Paused { .. })
    }

    /// The same in the words of the protocol.
    pub fn power(&self) -> Power {
        if self.lives() { Power::Running } else { Power::Stopped }
    }
}

/// Whether a machine runs, and which of its runs it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs.
    Running {
        /// This run.
        run: Run,
    },
    /// It has a life but stands still, for instance because the disk is full.
    Paused {
        /// This run.
        run: Run,
        /// Why.
        reason: String,
    },
    /// It does not run.
    Stopped {
        /// How the last run ended, as far as the hypervisor can tell.
        how: Stopped,
    },
}

impl Activity {
    /// The present run.
    pub fn run(&self) -> Option<&Run> {
        match self {
            Activity::Running { run } | Activity::Paused { run, .. } => Some(run),
            Activity::Stopped { .. } => None,
        }
    }
}

/// One run of a machine, from start to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Names the run: another start has another name, also after the host was restarted.
    pub name: String,
    /// When it began, where the hypervisor or the host can still tell.
    pub began: Option<Began>,
}

/// When a run began, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// By the host's clock.
    pub at: Timestamp,
    /// By the steady clock since the host was started, in milliseconds.
    pub steady_ms: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stopped {
    /// It never ran.
    Never,
    /// The guest shut itself down in good order.
    Shutdown,
    /// Its power was taken away, by us or by somebody at the host.
    Destroyed,
    /// It died.
    Crashed,
    /// Nobody knows.
    Unknown,
}

/// The end of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether there was more before them.
    pub truncated: bool,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the machine answered as it should.
    pub ok: bool,
    /// For people.
    pub detail: String,
    /// What the second path of the check answered.
    pub body: Option<String>,
}

/// A digest over everything in a specification that takes a new start to change: two
/// specifications with the same digest make the same machine.
pub fn spec_digest(spec: &MachineSpec) -> String {
    let mut counted = spec.clone();
    counted.name.clear();
    counted.power = Power::default();
    counted.reboot_token = None;
    counted.check = None;
    for disk in &mut counted.disks {
        // Where else an image may be had, and what it is called, makes no other disk.
        let image = match &mut disk.source {
            DiskSource::Image { image } => Some(image),
            DiskSource::Recovery { boot, .. } => boot.as_mut(),
            DiskSource::Blank { .. } | DiskSource::Unknown => None,
        };
        if let Some(image) = image {
            image.url = None;
            image.name.clear();
        }
    }
    let text = serde_json::to_string(&counted).unwrap_or_default();
    base::hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}
