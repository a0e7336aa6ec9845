//! Months as people on the ground count them: in the operator's time zone.

use base::time::Timestamp;
use base::{Error, Result};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{ToSpan as _, Zoned};

/// A calendar in one time zone.
#[derive(Debug, Clone)]
pub struct Calendar(TimeZone);

/// One calendar month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// `2026-07`.
    pub label: String,
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant of the next.
    pub end: Timestamp,
}

impl Calendar {
    /// The calendar of an IANA time zone.
    ///
    /// # Errors
    /// `Invalid` (`time_zone.unknown`) where this machine does not know it.
    pub fn of(zone: &str) -> Result<Self> {
        match TimeZone::get(zone) {
            Ok(found) => Ok(Calendar(found)),
            // A machine without a time zone database still bills in Taiwan, which has kept UTC+8 since 1979.
            Err(_) if zone == "Asia/Taipei" => Ok(Calendar(TimeZone::fixed(Offset::constant(8)))),
            Err(e) => Err(Error::invalid(
                "time_zone.unknown",
                format!("`{zone}` is not a time zone that this machine knows; install the package tzdata"),
            )
            .because(e)),
        }
    }

    /// The month in which `at` lies.
    ///
    /// # Errors
    /// `Bug` at the ends of the calendar, thousands of years away.
    pub fn month(&self, at: Timestamp) -> Result<Month> {
        let first = self.first_of_month(at)?;
        let next = first.checked_add(1.month()).map_err(beyond)?.start_of_day().map_err(beyond)?;
        Ok(Month { label: first.strftime("%Y-%m").to_string(), start: first.timestamp(), end: next.timestamp() })
    }

    /// The month of that label, `2026-07`.
    ///
    /// # Errors
    /// `Bug` where it is no such label.
    pub fn labelled(&self, label: &str) -> Result<Month> {
        let first: Date = format!("{label}-01").parse().map_err(beyond)?;
        self.month(first.to_zoned(self.0.clone()).map_err(beyond)?.timestamp())
    }

    /// The calendar year in which `at` lies: its first instant and the next one's.
    ///
    /// # Errors
    /// As [`Calendar::month`].
    pub fn year(&self, at: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let zoned = at.to_zoned(self.0.clone());
        let first = zoned.date().first_of_year();
        let start = first.to_zoned(self.0.clone()).map_err(beyond)?.timestamp();
        let next = first.checked_add(1.year()).map_err(beyond)?;
        Ok((start, next.to_zoned(self.0.clone()).map_err(beyond)?.timestamp()))
    }

    /// The starts of months that lie strictly between two instants.
    ///
    /// # Errors
    /// As [`Calendar::month`].
    pub fn month_starts(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Timestamp>> {
        let mut starts = Vec::new();
        let mut next = self.month(from)?.end;
        while next < until {
            starts.push(next);
            next = self.month(next)?.end;
        }
        Ok(starts)
    }

    fn first_of_month(&self, at: Timestamp) -> Result<Zoned> {
        let zoned = at.to_zoned(self.0.clone());
        zoned.first_of_month().and_then(|first| first.start_of_day()).map_err(beyond)
    }
}

fn beyond(e: jiff::Error) -> Error {
    Error::bug("time.out_of_range", "an instant lies at the end of the calendar").because(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_local_midnight() {
        let calendar = Calendar::of("Asia/Taipei").unwrap();
        for (at, label, start, end) in [
            ("2026-07-31T15:59:59Z", "2026-07", "2026-06-30T16:00:00Z", "2026-07-31T16:00:00Z"),
            ("2026-07-31T16:00:00Z", "2026-08", "2026-07-31T16:00:00Z", "2026-08-31T16:00:00Z"),
            ("2024-02-10T00:00:00Z", "2024-02", "2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z"),
        ] {
            let month = calendar.month(at.parse().unwrap()).unwrap();
            assert_eq!(
                (month.label.as_str(), month.start, month.end),
                (label, start.parse().unwrap(), end.parse().unwrap())
            );
            assert_eq!(calendar.labelled(label).unwrap(), month);
        }
    }

    #[test]
    fn a_month_with_a_change_of_clocks_is_an_hour_longer_or_shorter() {
        let calendar = Calendar::of("Europe/Berlin").unwrap();
        let hours = |at: &str| {
            let month = calendar.month(at.parse().unwrap()).unwrap();
            (month.end.as_second() - month.start.as_second()) / 3600
        };
        assert_eq!((hours("2026-03-10T00:00:00Z"), hours("2026-10-10T00:00:00Z")), (31 * 24 - 1, 31 * 24 + 1));
    }

    #[test]
    fn month_starts_are_strictly_inside() {
        let calendar = Calendar::of("Asia/Taipei").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let starts = calendar.month_starts(at("2026-06-30T16:00:00Z"), at("2026-08-31T16:00:00Z")).unwrap();
        assert_eq!(starts, [at("2026-07-31T16:00:00Z")]);
        assert!(calendar.month_starts(at("2026-07-02T00:00:00Z"), at("2026-07-03T00:00:00Z")).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert_eq!(Calendar::of("Mars/Olympus").unwrap_err().code(), "time_zone.unknown");
    }
}
