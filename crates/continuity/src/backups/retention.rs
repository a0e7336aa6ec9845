//! What is kept and what goes: a table, worked out before anything is let go. Pure.
//!
//! The rules are restic's, so that whoever knows `restic forget` knows these: the newest `last`
//! points; the newest point of each of the newest `hourly` hours, `daily` days and so on, days
//! being those of the policy's time zone. Beside them:
//!
//! - only points that something can be restored from count; one that never came about takes
//!   nobody's place and holds nothing; one that is lost is kept as if it counted, for it may come
//!   back, and takes nobody's place either;
//! - the newest *good* point (every copy there and looked at) is kept whatever the rules say;
//! - a policy without rules keeps everything.

use std::collections::BTreeSet;

use base::time::Timestamp;
use base::{Error, Result};
use jiff::Zoned;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RecoveryPointId;

/// How many are kept. Nothing named keeps everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Retention {
    /// The newest so many.
    pub last: u32,
    /// One of each of the newest so many hours that have any.
    pub hourly: u32,
    /// One of each day.
    pub daily: u32,
    /// One of each week (ISO 8601, from Monday).
    pub weekly: u32,
    /// One of each month.
    pub monthly: u32,
    /// One of each year.
    pub yearly: u32,
}

/// Why a point is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// One of the newest.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// The newest of its year.
    Yearly,
    /// The newest good one, or the policy has no rules, or it is not old enough to be judged.
    Always,
}

/// A point as these rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Which.
    pub id: RecoveryPointId,
    /// The instant that it is of.
    pub taken_at: Timestamp,
    /// Something can be restored from it.
    pub restorable: bool,
    /// Something could be, and may be again.
    pub lost: bool,
    /// Every copy that the policy wants is there and was looked at.
    pub good: bool,
}

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The point.
    pub point: RecoveryPointId,
    /// The instant that it is of.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// The rules that keep it; none: it goes.
    pub kept_by: BTreeSet<Rule>,
}

impl Verdict {
    /// Whether it goes.
    pub fn goes(&self) -> bool {
        self.kept_by.is_empty()
    }
}

/// Names a stretch of time: equal for instants that lie in the same one.
type Bucket = fn(&Zoned) -> (i32, i32);

impl Retention {
    fn rules(&self) -> [(Rule, u32, Bucket); 5] {
        [
            (Rule::Hourly, self.hourly, |at| {
                (i32::from(at.year()) * 400 + i32::from(at.day_of_year()), at.hour().into())
            }),
            (Rule::Daily, self.daily, |at| (at.year().into(), at.day_of_year().into())),
            (Rule::Weekly, self.weekly, |at| {
                let week = at.date().iso_week_date();
                (week.year().into(), week.week().into())
            }),
            (Rule::Monthly, self.monthly, |at| (at.year().into(), at.month().into())),
            (Rule::Yearly, self.yearly, |at| (at.year().into(), 0)),
        ]
    }

    /// Whether it names nothing, and so keeps everything.
    pub fn is_empty(&self) -> bool {
        *self == Retention::default()
    }

    /// Whether it can be one.
    ///
    /// # Errors
    /// `Invalid` (`retention.number`).
    pub fn check(&self) -> Result<()> {
        let numbers = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        if numbers.iter().any(|number| *number > 10_000) {
            return Err(Error::invalid("retention.number", "a rule keeps 10,000 points at the most").at("retention"));
        }
        Ok(())
    }
}

/// What becomes of each point, newest first.
pub fn keep(points: &[Point], retention: &Retention, zone: &TimeZone) -> Vec<Verdict> {
    let mut points = points.to_vec();
    points.sort_by_key(|point| std::cmp::Reverse((point.taken_at, point.id)));
    let mut table: Vec<Verdict> = points
        .iter()
        .map(|point| Verdict { point: point.id, taken_at: point.taken_at, kept_by: BTreeSet::new() })
        .collect();
    let sound: Vec<usize> = (0..points.len()).filter(|n| points[*n].restorable).collect();
    let known: Vec<usize> = (0..points.len()).filter(|n| points[*n].restorable || points[*n].lost).collect();
    for counted in [sound, known] {
        count(&points, &counted, retention, zone, &mut table);
    }
    if let Some(n) = points.iter().position(|point| point.good) {
        table[n].kept_by.insert(Rule::Always);
    }
    table
}

/// What the rules keep where these are all the points that there are, newest first.
fn count(points: &[Point], counted: &[usize], retention: &Retention, zone: &TimeZone, table: &mut [Verdict]) {
    for (place, n) in counted.iter().enumerate() {
        if retention.is_empty() {
            table[*n].kept_by.insert(Rule::Always);
        }
        if place < retention.last as usize {
            table[*n].kept_by.insert(Rule::Last);
        }
    }
    for (rule, number, bucket) in retention.rules() {
        let (mut left, mut newest) = (number, None);
        for n in counted {
            let this = bucket(&points[*n].taken_at.to_zoned(zone.clone()));
            if left > 0 && newest != Some(this) {
                (left, newest) = (left - 1, Some(this));
                table[*n].kept_by.insert(rule);
            }
        }
    }
}

/// Whether anything of a service may be let go: only while the newest good point that stays is
/// there `wanted` times, and that is two at the least. `verified` counts its copies.
pub fn may_let_go(verified: usize, wanted: usize) -> bool {
    verified >= wanted.max(2)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use base::time::from_micros;
    use db::testing::Scratch;
    use proptest::prelude::*;

    use super::*;

    fn point(n: u128, seconds: i64, restorable: bool, good: bool) -> Point {
        let taken_at = from_micros(seconds * 1_000_000).unwrap();
        Point { id: RecoveryPointId(n), taken_at, restorable, lost: false, good: good && restorable }
    }

    fn kept(points: &[Point], retention: &Retention) -> BTreeSet<RecoveryPointId> {
        let table = keep(points, retention, &TimeZone::UTC);
        table.into_iter().filter(|verdict| !verdict.goes()).map(|verdict| verdict.point).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_stretch_of_time() {
        let hour = 3_600;
        let points: Vec<Point> = (0..72).map(|n| point(n, i64::try_from(n).unwrap() * hour, true, true)).collect();
        let ids = |wanted: &[u128]| wanted.iter().map(|n| RecoveryPointId(*n)).collect::<BTreeSet<_>>();
        assert_eq!(kept(&points, &Retention { last: 3, ..Default::default() }), ids(&[69, 70, 71]));
        assert_eq!(kept(&points, &Retention { daily: 2, ..Default::default() }), ids(&[47, 71]));
        assert_eq!(kept(&points, &Retention { hourly: 2, daily: 2, ..Default::default() }), ids(&[47, 70, 71]));
        assert_eq!(kept(&points, &Retention::default()).len(), 72, "no rules keep everything");
    }

    #[test]
    fn days_are_those_of_the_policys_time_zone() {
        // 15:59 and 16:01 UTC are two days in Taipei.
        let points = [point(1, 15 * 3_600 + 3_540, true, true), point(2, 16 * 3_600 + 60, true, true)];
        let daily = Retention { daily: 2, ..Default::default() };
        let goes = |zone: &TimeZone| keep(&points, &daily, zone).iter().filter(|verdict| verdict.goes()).count();
        assert_eq!((goes(&TimeZone::UTC), goes(&TimeZone::get("Asia/Taipei").unwrap())), (1, 0));
    }

    #[test]
    fn the_newest_good_point_outlives_newer_ones_that_are_not() {
        let points = [point(1, 1, true, true), point(2, 2, true, false), point(3, 3, true, false)];
        let table = keep(&points, &Retention { last: 1, ..Default::default() }, &TimeZone::UTC);
        let shown: Vec<_> = table.iter().map(|verdict| (verdict.point.0, verdict.goes())).collect();
        assert_eq!(shown, [(3, false), (2, true), (1, false)]);
        assert_eq!(table[2].kept_by, [Rule::Always].into());
    }

    #[test]
    fn a_point_that_never_came_about_takes_nobodys_place() {
        let points = [point(1, 1, true, true), point(2, 2, false, false)];
        assert_eq!(kept(&points, &Retention { last: 1, ..Default::default() }), [RecoveryPointId(1)].into());
    }

    #[test]
    fn a_lost_point_is_kept_and_costs_no_other_its_place() {
        let lost = |n: u128| Point { lost: true, ..point(n, i64::try_from(n).unwrap(), false, false) };
        let points = [point(1, 1, true, true), point(2, 2, true, true), lost(3), lost(4), point(5, 5, true, true)];
        let ids = |wanted: &[u128]| wanted.iter().map(|n| RecoveryPointId(*n)).collect::<BTreeSet<_>>();
        assert_eq!(kept(&points, &Retention { last: 2, ..Default::default() }), ids(&[2, 4, 5]));
        assert_eq!(
            kept(&points[2..4], &Retention { last: 1, ..Default::default() }),
            ids(&[4]),
            "until its time comes"
        );
    }

    #[test]
    fn letting_go_wants_the_newest_good_point_in_every_place() {
        assert!(may_let_go(3, 3) && may_let_go(2, 2));
        assert!(!may_let_go(2, 3) && !may_let_go(1, 1) && !may_let_go(0, 0));
    }

    fn any_points() -> impl Strategy<Value = Vec<Point>> {
        let each = (0_i64..400 * 86_400, any::<bool>(), any::<bool>(), any::<bool>());
        proptest::collection::vec(each, 0..60).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(n, (at, restorable, good, lost))| Point {
                    lost: lost && !restorable,
                    ..point(n as u128, at, restorable, good)
                })
                .collect()
        })
    }

    fn any_retention() -> impl Strategy<Value = Retention> {
        (0..4_u32, 0..4_u32, 0..8_u32, 0..5_u32, 0..13_u32, 0..3_u32).prop_map(
            |(last, hourly, daily, weekly, monthly, yearly)| Retention { last, hourly, daily, weekly, monthly, yearly },
        )
    }

    proptest! {
        #[test]
        fn the_newest_good_point_always_stays(points in any_points(), retention in any_retention()) {
            let newest = points.iter().filter(|point| point.good).max_by_key(|point| (point.taken_at, point.id));
            if let Some(newest) = newest {
                prop_assert!(kept(&points, &retention).contains(&newest.id));
            }
        }

        #[test]
        fn what_is_lost_never_costs_what_is_not(points in any_points(), retention in any_retention()) {
            let without: Vec<Point> = points.iter().filter(|point| !point.lost).copied().collect();
            prop_assert!(kept(&points, &retention).is_superset(&kept(&without, &retention)));
        }

        #[test]
        fn order_does_not_matter_and_every_point_has_its_line(points in any_points(), retention in any_retention()) {
            let table = keep(&points, &retention, &TimeZone::UTC);
            let mut turned = points.clone();
            turned.reverse();
            prop_assert_eq!(&table, &keep(&turned, &retention, &TimeZone::UTC));
            prop_assert_eq!(table.len(), points.len());
        }

        #[test]
        fn letting_go_and_asking_again_lets_nothing_more_go(points in any_points(), retention in any_retention()) {
            let first = kept(&points, &retention);
            let left: Vec<Point> = points.into_iter().filter(|point| first.contains(&point.id)).collect();
            prop_assert_eq!(kept(&left, &retention), first);
        }

        #[test]
        fn a_larger_number_never_lets_more_go(points in any_points(), retention in any_retention()) {
            prop_assume!(!retention.is_empty());
            let more = Retention { daily: retention.daily + 1, weekly: retention.weekly + 1, ..retention };
            prop_assert!(kept(&points, &more).is_superset(&kept(&points, &retention)));
        }

        #[test]
        fn no_rule_keeps_more_than_its_number(points in any_points(), retention in any_retention()) {
            prop_assume!(!retention.is_empty());
            let table = keep(&points, &retention, &TimeZone::UTC);
            let sound = |verdict: &&Verdict| points.iter().any(|point| point.id == verdict.point && point.restorable);
            let of = |rule| table.iter().filter(sound).filter(|verdict| verdict.kept_by.contains(&rule)).count();
            prop_assert!(of(Rule::Last) <= retention.last as usize && of(Rule::Daily) <= retention.daily as usize);
            prop_assert!(of(Rule::Weekly) <= retention.weekly as usize && of(Rule::Yearly) <= retention.yearly as usize);
            prop_assert!(of(Rule::Always) <= 1);
        }
    }

    fn restic(repository: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
        let mut command = Command::new("restic");
        command.arg("--repo").arg(repository).args(["--no-cache", "--quiet"]).args(arguments);
        command.env("RESTIC_PASSWORD", "tiny").env("TZ", "UTC");
        let output = command.output().ok()?;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }

    /// Instants in a repository of tiny snapshots → what `restic forget` keeps by each set of rules.
    #[test]
    fn restic_keeps_the_same_points() {
        let (folder, data) = (Scratch::new(), Scratch::new());
        let repository = folder.path().join("repo");
        std::fs::write(data.path().join("file"), "x").unwrap();
        if restic(&repository, &["init"]).is_none() {
            return db::testing::pass_over("YUNWEI_TEST_RESTIC", "restic is not installed");
        }
        let times = [
            "2025-12-28 23:59:59",
            "2025-12-29 00:00:00",
            "2025-12-31 23:00:00",
            "2026-01-01 00:30:00",
            "2026-01-01 00:45:00",
            "2026-01-04 12:00:00",
            "2026-01-05 00:00:00",
            "2026-01-31 08:00:00",
            "2026-02-01 08:00:00",
            "2026-02-28 22:00:00",
            "2026-02-28 23:30:00",
            "2026-03-29 01:30:00",
            "2026-03-29 03:30:00",
            "2026-03-30 03:30:00",
            "2026-03-30 03:31:00",
            "2026-03-30 04:00:00",
        ];
        let data = data.path().display().to_string();
        for time in times {
            restic(&repository, &["backup", "--host", "h", "--time", time, &data]).unwrap();
        }
        let points: BTreeMap<RecoveryPointId, &str> =
            times.iter().enumerate().map(|(n, time)| (RecoveryPointId(n as u128), *time)).collect();
        let known: Vec<Point> = points
            .iter()
            .map(|(id, time)| Point {
                id: *id,
                taken_at: format!("{}Z", time.replace(' ', "T")).parse().unwrap(),
                restorable: true,
                lost: false,
                good: false,
            })
            .collect();
        // The last rule of each set is one that is used up: restic's later versions keep the
        // oldest point for a rule that is not, which 0.14 does not.
        let sets = [
            [1, 0, 0, 0, 0, 0],
            [0, 4, 0, 0, 0, 0],
            [0, 0, 5, 0, 0, 0],
            [0, 0, 0, 4, 0, 0],
            [0, 0, 0, 0, 3, 0],
            [0, 0, 0, 0, 0, 1],
            [2, 3, 4, 2, 2, 1],
            [3, 0, 7, 5, 0, 0],
        ];
        for [last, hourly, daily, weekly, monthly, yearly] in sets {
            let retention = Retention { last, hourly, daily, weekly, monthly, yearly };
            let numbers = [last, hourly, daily, weekly, monthly, yearly].map(|number| number.to_string());
            let names =
                ["--keep-last", "--keep-hourly", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-yearly"];
            let mut arguments = vec!["forget", "--dry-run", "--json"];
            names.iter().zip(&numbers).for_each(|(name, number)| arguments.extend([*name, number.as_str()]));
            let answer: serde_json::Value = serde_json::from_slice(&restic(&repository, &arguments).unwrap()).unwrap();
            let theirs: BTreeSet<Timestamp> = answer[0]["keep"]
                .as_array()
                .unwrap()
                .iter()
                .map(|snapshot| snapshot["time"].as_str().unwrap().parse().unwrap())
                .collect();
            let ours: BTreeSet<Timestamp> = keep(&known, &retention, &TimeZone::UTC)
                .into_iter()
                .filter(|verdict| !verdict.goes())
                .map(|verdict| verdict.taken_at)
                .collect();
            assert_eq!(ours, theirs, "{retention:?}");
        }
    }
}
