//! What time it is on a host, by two clocks.
//!
//! People read the wall clock, and anybody may set it. How long something lasted is counted on the
//! steady clock, which starts with the host and stops for nothing. A moment carries both, and the
//! name of the host's present boot, without which a steady time means nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::time::{Clock, Timestamp};

/// A moment on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock.
    pub wall: Timestamp,
    /// Milliseconds since the host was started.
    pub steady_ms: u64,
    /// Names the host's present boot.
    pub boot: Arc<str>,
}

/// Where moments come from: the host, or a test.
#[derive(Clone, Debug)]
pub struct HostClock {
    wall: Clock,
    steady: Steady,
    boot: Arc<str>,
}

#[derive(Clone, Debug)]
enum Steady {
    System(std::time::Instant, u64),
    Fixed(Arc<AtomicU64>),
}

impl Default for HostClock {
    fn default() -> Self {
        Self::system()
    }
}

impl HostClock {
    /// The clocks of this host.
    pub fn system() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            wall: Clock::System,
            steady: Steady::System(std::time::Instant::now(), uptime_ms()),
            boot: boot.trim().into(),
        }
    }

    /// Clocks that stand still until they are told to move.
    pub fn fixed(at: Timestamp, boot: &str) -> Self {
        Self { wall: Clock::fixed(at), steady: Steady::Fixed(Arc::new(AtomicU64::new(1_000))), boot: boot.into() }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        let steady_ms = match &self.steady {
            // The kernel's own count at the start of the program, continued in the program: finer
            // than /proc/uptime's hundredths, and the same after a restart of the program.
            Steady::System(start, base) => base + u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX / 2),
            Steady::Fixed(at) => at.load(Ordering::SeqCst),
        };
        Moment { wall: self.wall.now(), steady_ms, boot: self.boot.clone() }
    }

    /// Moves fixed clocks on, both by the same; those of the system stay as they are.
    pub fn advance(&self, by: Duration) {
        self.wall.advance(by);
        if let Steady::Fixed(at) = &self.steady {
            at.fetch_add(u64::try_from(by.as_millis()).unwrap_or(0), Ordering::SeqCst);
        }
    }
}

impl Moment {
    /// When something happened by the wall clock that happened at `steady_ms` of this boot.
    pub fn wall_at(&self, steady_ms: u64) -> Timestamp {
        let ago = i64::try_from(self.steady_ms.saturating_sub(steady_ms)).unwrap_or(0);
        Timestamp::from_microsecond(self.wall.as_microsecond().saturating_sub(ago.saturating_mul(1_000)))
            .unwrap_or(self.wall)
    }
}

/// Milliseconds since this host was started, as the kernel tells.
fn uptime_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or("0");
    let (seconds, hundredths) = first.split_once('.').unwrap_or((first, "0"));
    seconds.parse::<u64>().unwrap_or(0) * 1_000 + hundredths.parse::<u64>().unwrap_or(0) * 10
}
