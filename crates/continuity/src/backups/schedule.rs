//! When a backup is due: a calendar in a time zone. Pure.
//!
//! | calendar | when |
//! |---|---|
//! | `hourly :15` | every hour, a quarter past |
//! | `daily 02:00` | every day |
//! | `weekly sun 02:00` | every Sunday |
//! | `monthly 1 02:00` | on the first of each month; a day that a month does not have is its last |
//!
//! A day has its run once, also where clocks change: a time that is skipped is the same distance
//! after the gap, one that comes twice is the first of the two (RFC 5545 says so of events).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base::time::Timestamp;
use base::{Error, Result};
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _, Zoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When backups are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// `hourly :15`, `daily 02:00`, `weekly sun 02:00` or `monthly 1 02:00`.
    pub calendar: String,
    /// Spreads services over so many minutes after that, each always at its own.
    #[serde(default)]
    pub jitter_minutes: u32,
    /// The time zone that the calendar is read in, by its IANA name: `Asia/Taipei`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A calendar, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// Every hour at that minute.
    Hourly(i8),
    /// Every day at that time.
    Daily(Time),
    /// On that day of the week.
    Weekly(Weekday, Time),
    /// On that day of the month.
    Monthly(i8, Time),
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Two digits and nothing else.
fn pair(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(pair(hour)?, pair(minute)?, 0, 0).ok()
}

impl FromStr for Calendar {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let read = match words[..] {
            ["hourly"] => Some(Calendar::Hourly(0)),
            ["hourly", at] => at.strip_prefix(':').and_then(pair).filter(|minute| *minute < 60).map(Calendar::Hourly),
            ["daily", at] => clock(at).map(Calendar::Daily),
            ["weekly", day, at] => {
                let day = DAYS.iter().find(|(name, _)| *name == day).map(|(_, day)| *day);
                day.zip(clock(at)).map(|(day, at)| Calendar::Weekly(day, at))
            }
            ["monthly", day, at] => {
                let day = day.parse().ok().filter(|day| (1..=31).contains(day));
                day.zip(clock(at)).map(|(day, at)| Calendar::Monthly(day, at))
            }
            _ => None,
        };
        read.ok_or_else(|| {
            let message =
                "a calendar is of the form `hourly :15`, `daily 02:00`, `weekly sun 02:00` or `monthly 1 02:00`";
            Error::invalid("schedule.calendar", message).at("schedule.calendar")
        })
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
        match self {
            Calendar::Hourly(minute) => write!(f, "hourly :{minute:02}"),
            Calendar::Daily(time) => write!(f, "daily {}", at(time)),
            Calendar::Weekly(day, time) => {
                let day = DAYS.iter().find(|(_, known)| known == day).map_or("mon", |(name, _)| name);
                write!(f, "weekly {day} {}", at(time))
            }
            Calendar::Monthly(day, time) => write!(f, "monthly {day} {}", at(time)),
        }
    }
}

impl Calendar {
    /// The shortest time between two runs.
    fn period(self) -> Duration {
        let hours = match self {
            Calendar::Hourly(_) => 1,
            Calendar::Daily(_) => 23,
            Calendar::Weekly(..) => 7 * 24 - 1,
            Calendar::Monthly(..) => 28 * 24 - 1,
        };
        Duration::from_secs(hours * 3_600)
    }

    /// The first instant of the calendar after `after`.
    fn next(self, after: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
        let here = after.to_zoned(zone.clone());
        match self {
            Calendar::Hourly(minute) => next_hour(&here, minute),
            Calendar::Daily(time) => {
                // A day before, as the clock may have gone back over midnight.
                first_after(after, zone, time, |n| here.date().checked_add((n - 1).days()), 4)
            }
            Calendar::Weekly(day, time) => {
                let day_before = here.date().checked_sub(8.days()).map_err(outside)?;
                first_after(after, zone, time, |n| day_before.nth_weekday(i32::try_from(n + 1).unwrap_or(1), day), 4)
            }
            Calendar::Monthly(day, time) => {
                let month = here.date().first_of_month();
                let date = |n: i64| {
                    let first = month.checked_add((n - 1).months())?;
                    first.with().day(day.min(first.days_in_month())).build()
                };
                first_after(after, zone, time, date, 4)
            }
        }
    }
}

fn outside(e: jiff::Error) -> Error {
    Error::invalid("schedule.range", "the schedule leaves the calendar").because(e)
}

/// Of the days that `date` counts up, the first whose `time` lies after `after`.
fn first_after(
    after: Timestamp,
    zone: &TimeZone,
    time: Time,
    date: impl Fn(i64) -> std::result::Result<Date, jiff::Error>,
    days: i64,
) -> Result<Timestamp> {
    for n in 0..days {
        let at = zone.to_ambiguous_zoned(date(n).map_err(outside)?.to_datetime(time)).compatible().map_err(outside)?;
        if at.timestamp() > after {
            return Ok(at.timestamp());
        }
    }
    Err(Error::bug("schedule.next", "a calendar has no next day"))
}

/// Hours are counted, not read off the wall: one of 23 or 25 is nobody's to skip or repeat.
fn next_hour(here: &Zoned, minute: i8) -> Result<Timestamp> {
    let into = SignedDuration::from_mins(i64::from(here.minute()))
        + SignedDuration::from_secs(i64::from(here.second()))
        + SignedDuration::from_nanos(i64::from(here.subsec_nanosecond()));
    let wait = SignedDuration::from_mins(i64::from(minute)) - into;
    let wait = if wait > SignedDuration::ZERO { wait } else { wait + SignedDuration::from_hours(1) };
    here.timestamp().checked_add(wait).map_err(outside)
}

impl Schedule {
    /// Whether it can be one.
    ///
    /// # Errors
    /// `Invalid` (`schedule.…`) naming what is wrong.
    pub fn check(&self) -> Result<()> {
        let (calendar, _) = self.read()?;
        if Duration::from_secs(u64::from(self.jitter_minutes) * 60) > calendar.period() / 2 {
            let message = "services may be spread over half of the time between two runs at the most";
            return Err(Error::invalid("schedule.jitter", message).at("schedule.jitterMinutes"));
        }
        Ok(())
    }

    fn read(&self) -> Result<(Calendar, TimeZone)> {
        let zone = TimeZone::get(&self.time_zone).map_err(|_| {
            let message = "that is no time zone; use a name such as Asia/Taipei or UTC";
            Error::invalid("schedule.time_zone", message).at("schedule.timeZone")
        })?;
        Ok((self.calendar.parse()?, zone))
    }

    /// The time zone that its days are of; UTC where the name is not one.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// The next run of `whose` after `after`: what was missed meanwhile is not made up for one
    /// by one.
    ///
    /// # Errors
    /// As [`Schedule::check`].
    pub fn next(&self, after: Timestamp, whose: &str) -> Result<Timestamp> {
        let (calendar, zone) = self.read()?;
        let spread = self.spread(whose);
        // The instant of the calendar whose spread run lies after `after` may itself lie before it.
        let from = after.checked_sub(spread).map_err(outside)?;
        calendar.next(from, &zone)?.checked_add(spread).map_err(outside)
    }

    /// Always the same for the same service, and evenly spread over many.
    fn spread(&self, whose: &str) -> SignedDuration {
        let digest = ring::digest::digest(&ring::digest::SHA256, whose.as_bytes());
        let number = digest.as_ref().iter().take(4).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let seconds = u64::from(self.jitter_minutes) * 60;
        let own = if seconds == 0 { 0 } else { number % seconds };
        SignedDuration::from_secs(i64::try_from(own).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(calendar: &str, jitter_minutes: u32, zone: &str) -> Schedule {
        Schedule { calendar: calendar.to_owned(), jitter_minutes, time_zone: zone.to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn runs(calendar: &str, zone: &str, from: &str, number: usize) -> Vec<String> {
        let schedule = schedule(calendar, 0, zone);
        let mut after = at(from);
        (0..number)
            .map(|_| {
                after = schedule.next(after, "svc").unwrap();
                after.to_string()
            })
            .collect()
    }

    #[test]
    fn calendars_run_when_they_say() {
        let table = [
            ("hourly :15", "2026-01-01T00:15:00Z", ["2026-01-01T01:15:00Z", "2026-01-01T02:15:00Z"]),
            ("daily 02:00", "2026-01-01T02:00:00Z", ["2026-01-02T02:00:00Z", "2026-01-03T02:00:00Z"]),
            ("daily 02:00", "2026-01-01T01:59:59Z", ["2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z"]),
            ("weekly sun 02:00", "2026-01-01T00:00:00Z", ["2026-01-04T02:00:00Z", "2026-01-11T02:00:00Z"]),
            ("weekly thu 02:00", "2026-01-01T02:00:00Z", ["2026-01-08T02:00:00Z", "2026-01-15T02:00:00Z"]),
            ("monthly 31 02:00", "2026-01-31T02:00:00Z", ["2026-02-28T02:00:00Z", "2026-03-31T02:00:00Z"]),
            ("monthly 1 02:00", "2026-12-31T00:00:00Z", ["2027-01-01T02:00:00Z", "2027-02-01T02:00:00Z"]),
        ];
        for (calendar, from, wanted) in table {
            assert_eq!(runs(calendar, "UTC", from, 2), wanted, "{calendar} from {from}");
        }
        assert_eq!(runs("daily 02:00", "Asia/Taipei", "2026-01-01T00:00:00Z", 1), ["2026-01-01T18:00:00Z"]);
        assert_eq!(runs("hourly :15", "Asia/Kathmandu", "2026-01-01T00:00:00Z", 1), ["2026-01-01T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_is_skipped_runs_after_the_gap() {
        // Clocks go from 02:00 to 03:00 on 29 March 2026.
        let seen = runs("daily 02:30", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(seen, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_runs_once() {
        // Clocks go from 03:00 back to 02:00 on 25 October 2026.
        let seen = runs("daily 02:30", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(seen, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn hours_are_neither_skipped_nor_repeated_when_clocks_change() {
        for from in ["2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"] {
            let seen: Vec<Timestamp> =
                runs("hourly :05", "Europe/Berlin", from, 6).iter().map(|text| at(text)).collect();
            assert!(seen.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_secs() == 3_600), "{seen:?}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_by_name() {
        let table = [
            (schedule("daily", 0, "UTC"), "schedule.calendar"),
            (schedule("daily 2:00", 0, "UTC"), "schedule.calendar"),
            (schedule("daily 24:00", 0, "UTC"), "schedule.calendar"),
            (schedule("hourly :60", 0, "UTC"), "schedule.calendar"),
            (schedule("hourly :+5", 0, "UTC"), "schedule.calendar"),
            (schedule("weekly someday 02:00", 0, "UTC"), "schedule.calendar"),
            (schedule("monthly 32 02:00", 0, "UTC"), "schedule.calendar"),
            (schedule("daily 02:00", 0, "Asia/Atlantis"), "schedule.time_zone"),
            (schedule("hourly", 31, "UTC"), "schedule.jitter"),
        ];
        for (schedule, code) in table {
            assert_eq!(schedule.check().unwrap_err().code(), code, "{schedule:?}");
        }
        schedule("hourly", 30, "UTC").check().unwrap();
    }

    #[test]
    fn what_was_missed_is_run_once() {
        let schedule = schedule("daily 02:00", 0, "UTC");
        let due = schedule.next(at("2026-01-01T03:00:00Z"), "svc").unwrap();
        assert_eq!(due, at("2026-01-02T02:00:00Z"));
        // Nobody looked for ten days: one run now, and the next is tomorrow's.
        assert_eq!(schedule.next(at("2026-01-12T09:00:00Z"), "svc").unwrap(), at("2026-01-13T02:00:00Z"));
    }

    const ZONES: [&str; 7] = [
        "UTC",
        "Asia/Taipei",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
    ];

    fn calendars() -> impl Strategy<Value = String> {
        let (hour, minute) = (0..24_i8, 0..60_i8);
        (0..4, 1..=31, 0..7_usize, hour, minute).prop_map(|(kind, day, weekday, hour, minute)| match kind {
            0 => format!("hourly :{minute:02}"),
            1 => format!("daily {hour:02}:{minute:02}"),
            2 => format!("weekly {} {hour:02}:{minute:02}", DAYS[weekday].0),
            _ => format!("monthly {day} {hour:02}:{minute:02}"),
        })
    }

    proptest! {
        #[test]
        fn runs_go_forward_keep_their_distance_and_skip_none(
            calendar in calendars(), zone in 0..ZONES.len(), start in 1_600_000_000_i64..1_900_000_000, step in 1_u32..200,
        ) {
            let schedule = schedule(&calendar, 0, ZONES[zone]);
            let read: Calendar = calendar.parse().unwrap();
            prop_assert_eq!(read.to_string().parse::<Calendar>().unwrap(), read);
            let from = Timestamp::from_second(start).unwrap();
            let first = schedule.next(from, "svc").unwrap();
            prop_assert!(first > from);
            // Whoever looks at any moment before it is told the same.
            let between = from.checked_add(SignedDuration::from_millis(
                first.duration_since(from).as_millis() as i64 * i64::from(step) / 200)).unwrap();
            if between < first {
                prop_assert_eq!(schedule.next(between, "svc").unwrap(), first);
            }
            let second = schedule.next(first, "svc").unwrap();
            let apart = second.duration_since(first).as_secs();
            let most = match read {
                Calendar::Hourly(_) => 3_600,
                // Apia had no 30 December 2011, outside these years; a clock moves by an hour here.
                Calendar::Daily(_) => 25 * 3_600,
                Calendar::Weekly(..) => (7 * 24 + 1) * 3_600,
                Calendar::Monthly(..) => (31 * 24 + 1) * 3_600,
            };
            prop_assert!(apart >= read.period().as_secs() as i64 && apart <= most, "{} s apart", apart);
        }

        #[test]
        fn a_spread_run_is_its_own_and_lies_within_the_spread(
            calendar in calendars(), start in 1_600_000_000_i64..1_900_000_000, jitter in 0_u32..30, whose in "[a-z]{1,8}",
        ) {
            let (plain, spread) = (schedule(&calendar, 0, "Europe/Berlin"), schedule(&calendar, jitter, "Europe/Berlin"));
            let from = Timestamp::from_second(start).unwrap();
            let run = spread.next(from, &whose).unwrap();
            prop_assert!(run > from);
            let own = spread.spread(&whose);
            let base = run.checked_sub(own).unwrap();
            prop_assert_eq!(plain.next(base.checked_sub(SignedDuration::from_secs(1)).unwrap(), &whose).unwrap(), base);
            prop_assert!(own.as_secs() < i64::from(jitter.max(1)) * 60);
            prop_assert_eq!(spread.next(from, &whose).unwrap(), run);
        }
    }
}
