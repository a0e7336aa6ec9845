//! When something is too late, and when it is unusual. Pure.

use std::time::Duration;

use base::Result;
use base::time::Timestamp;

use crate::backups::schedule::Schedule;

/// How long the second missed run may still take.
const GRACE: Duration = Duration::from_secs(3_600);
/// How many points there must be before anything is unusual.
const POINTS_MIN: usize = 5;
/// How many times as much as usual.
const TIMES: u64 = 5;
/// Least share of all data, as a divisor: a tenth.
const SHARE: u64 = 10;

/// The instant from which a service is overdue whose newest point is of `newest`: two runs have
/// come to nothing, and the second had an hour.
///
/// # Errors
/// Those of the schedule.
pub fn overdue_from(schedule: &Schedule, service: &str, newest: Timestamp) -> Result<Timestamp> {
    let first = schedule.next(newest, service)?;
    Ok(schedule.next(first, service)? + GRACE)
}

/// How much of a point was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Bytes of all its data.
    pub bytes: u64,
    /// Bytes that no point before had.
    pub added: u64,
}

/// Whether far more has changed than ever: at least five times the median of the points before it (the
/// five to ten latest), and at least a tenth of everything. What is encrypted is new as a whole, so it
/// shows here though it is no larger than before. Returns that median.
pub fn is_unusual(now: Change, before: &[Change]) -> Option<u64> {
    if before.len() < POINTS_MIN {
        return None;
    }
    let mut added: Vec<u64> = before.iter().map(|one| one.added).collect();
    added.sort_unstable();
    let median = added[added.len() / 2];
    let much = now.added >= median.saturating_mul(TIMES) && now.added.saturating_mul(SHARE) >= now.bytes;
    (much && now.added > 0).then_some(median)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn change(added: u64) -> Change {
        Change { bytes: 1_000, added }
    }

    #[test]
    fn what_is_new_as_a_whole_is_unusual_and_what_is_as_ever_is_not() {
        let usual = [10, 30, 20, 15, 25].map(change);
        assert_eq!(is_unusual(change(900), &usual), Some(20));
        assert_eq!(is_unusual(change(100), &usual), Some(20), "five times as much, and a tenth");
        assert_eq!(is_unusual(change(99), &usual), None);
        assert_eq!(is_unusual(change(900), &usual[..4]), None, "nobody knows yet what is usual");
        let busy = [400, 300, 350, 320, 500].map(change);
        assert_eq!(is_unusual(change(1_000), &busy), None, "it always changes much");
        let still = [0; 6].map(change);
        assert_eq!((is_unusual(change(0), &still), is_unusual(change(100), &still)), (None, Some(0)));
    }

    proptest! {
        #[test]
        fn more_is_never_less_unusual(
            before in proptest::collection::vec(0u64..2_000, 0..12), added in 0u64..1_000, more in 0u64..1_000,
        ) {
            let before: Vec<Change> = before.into_iter().map(change).collect();
            if is_unusual(change(added), &before).is_some() {
                prop_assert!(is_unusual(change(added + more), &before).is_some());
            }
        }

        #[test]
        fn overdue_is_after_the_second_run(at in 0i64..4_000_000_000, minute in 0u8..60) {
            let schedule: Schedule =
                serde_json::from_value(serde_json::json!({ "calendar": format!("hourly :{minute:02}"), "timeZone": "UTC" })).unwrap();
            let at = Timestamp::from_second(at).unwrap();
            let late = overdue_from(&schedule, "svc", at).unwrap();
            let hours = late.duration_since(at).as_secs();
            prop_assert!((2 * 3_600..=3 * 3_600).contains(&hours), "{hours}");
        }
    }
}
