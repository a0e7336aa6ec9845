//! Time: instants in UTC with microseconds, half-open periods, and who may read the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Error, Result};

/// An instant. Stored as microseconds since 1970-01-01T00:00Z, written as RFC 3339.
pub type Timestamp = jiff::Timestamp;

/// Microseconds since the epoch, the form in which instants are stored.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The instant that [`micros`] came from.
///
/// # Errors
/// `Bug` where the number lies outside the calendar: only a damaged row can hold one.
pub fn from_micros(value: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(value)
        .map_err(|e| Error::bug("time.out_of_range", "a stored time is outside the calendar").because(e))
}

/// Reads an RFC 3339 instant.
///
/// # Errors
/// `Invalid` naming `attribute`.
pub fn parse(text: &str, attribute: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        Error::invalid(
            "time.not_rfc3339",
            format!("`{text}` is not an RFC 3339 date and time, for example 2026-01-31T08:30:00Z"),
        )
        .at(attribute)
    })
}

/// A stretch of time, from `start` to just before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl Period {
    /// A period; `None` where the end lies before the start.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start <= end).then_some(Period { start, end })
    }

    /// Length in microseconds.
    pub fn micros(&self) -> i64 {
        micros(self.end) - micros(self.start)
    }

    /// The part that both share, if any.
    pub fn overlap(&self, other: &Period) -> Option<Period> {
        let shared = Period { start: self.start.max(other.start), end: self.end.min(other.end) };
        (shared.start < shared.end).then_some(shared)
    }
}

/// Who owns time: the machine, or a test.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is told to move; microseconds since the epoch.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock standing at `at`.
    pub fn fixed(at: Timestamp) -> Self {
        Clock::Fixed(Arc::new(AtomicI64::new(micros(at))))
    }

    /// The present instant, cut to whole microseconds so that it survives storage unchanged.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                let now = Timestamp::now();
                Timestamp::from_microsecond(micros(now)).unwrap_or(now)
            }
            Clock::Fixed(at) => Timestamp::from_microsecond(at.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// Moves a fixed clock on; a system clock stays as it is.
    pub fn advance(&self, by: std::time::Duration) {
        if let Clock::Fixed(at) = self {
            at.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}
