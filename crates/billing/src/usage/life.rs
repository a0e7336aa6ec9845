//! Lives of machines, as far as they are known by now.

use base::time::Timestamp;

/// One account of a life: an unbroken stretch of a machine running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeSeen {
    /// The machine's intent.
    pub machine: String,
    /// Which of its lives, counted from 1.
    pub life: i64,
    /// When it began, by the host's clock.
    pub started: Timestamp,
    /// Whether its beginning was seen.
    pub started_certain: bool,
    /// When it was last seen running.
    pub last_seen: Timestamp,
    /// How long it has certainly run, in microseconds, by a clock that nobody can set.
    pub ran_us: i64,
    /// How it ended.
    pub end: Option<LifeEnd>,
    /// Virtual processors that it ran with.
    pub vcpus: i64,
    /// Memory that it ran with, in MiB.
    pub memory_mib: i64,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeEnd {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// Whether somebody saw it; else it ended at some time since it was last seen.
    pub certain: bool,
}

impl LifeSeen {
    /// Takes in another account of the same life. Commutative and idempotent, so
    /// that repeated, late and reordered reports do no harm: lengths only grow,
    /// a seen beginning replaces a guessed one, a seen end a guessed one.
    pub fn absorb(&mut self, other: &LifeSeen) {
        self.started = match (self.started_certain, other.started_certain) {
            (false, true) => other.started,
            (true, false) => self.started,
            _ => self.started.min(other.started),
        };
        self.started_certain |= other.started_certain;
        self.last_seen = self.last_seen.max(other.last_seen);
        self.ran_us = self.ran_us.max(other.ran_us);
        self.end = match (self.end, other.end) {
            (Some(mine), Some(theirs)) => {
                Some(if (theirs.certain, theirs.at) > (mine.certain, mine.at) { theirs } else { mine })
            }
            (mine, theirs) => mine.or(theirs),
        };
        // One life has one size; where two accounts differ, the larger is what was set aside for it.
        self.vcpus = self.vcpus.max(other.vcpus);
        self.memory_mib = self.memory_mib.max(other.memory_mib);
    }
}
