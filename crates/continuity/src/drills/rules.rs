//! From what a drill measured to what it proves. Pure: no clock, no database.
//!
//! | figure | from | to |
//! |---|---|---|
//! | RTO | the incident | the service answers as a customer asks it |
//! | RPO | the newest record inside the restored data | the incident |
//!
//! The RPO is not the age of the copy: a copy of now that holds the data of yesterday has lost a
//! day. What was not measured is a miss, never a pass.

use std::collections::{BTreeMap, BTreeSet};

use base::time::{Timestamp, micros};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::detection::{Basis, Detection};
use crate::backups::points;

/// What a plan promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    /// Longest time from the incident until every service answers, in seconds.
    pub rto_seconds: u64,
    /// Longest age at the incident of the newest record that comes back, in seconds.
    pub rpo_seconds: u64,
}

/// What a drill passes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// From the incident until the platform begins to act: how long the loss goes unseen, and until the run
    /// was taken up.
    Detect,
    /// Which point, which copy.
    Decide,
    /// A host with room, ports and addresses.
    Reserve,
    /// The key is unsealed and the repository really opened with it.
    Key,
    /// Those that it relies on come back first, or those that the plan names before it.
    Wait,
    /// The disks are fetched and hashed.
    Restore,
    /// The machine starts, until it answers.
    Boot,
    /// The data is looked at. The service answers already: no part of the RTO.
    Verify,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 8] = [
        Phase::Detect,
        Phase::Decide,
        Phase::Reserve,
        Phase::Key,
        Phase::Wait,
        Phase::Restore,
        Phase::Boot,
        Phase::Verify,
    ];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Detect => "detect",
            Phase::Decide => "decide",
            Phase::Reserve => "reserve",
            Phase::Key => "key",
            Phase::Wait => "wait",
            Phase::Restore => "restore",
            Phase::Boot => "boot",
            Phase::Verify => "verify",
        }
    }
}

/// When each phase ended.
pub type Ends = BTreeMap<Phase, Timestamp>;

/// How long one phase took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Which.
    pub phase: Phase,
    /// How long; absent where it did not end, or is not known.
    pub milliseconds: Option<u64>,
    /// What that is made of. All but `detect` are timed while they happen.
    #[serde(default)]
    pub basis: Basis,
}

/// Milliseconds from one instant to another, rounded up; none where the second is the earlier.
fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(micros(to).saturating_sub(micros(from))).map_or(0, |span| span.div_ceil(1_000))
}

/// Each phase on its own: from the end of the one before it, where the run began when the loss was seen.
pub fn phases(began: Timestamp, ends: &Ends, detection: &Detection) -> Vec<Measured> {
    let mut from = Some(began);
    let each = Phase::ALL.into_iter().map(|phase| {
        let end = ends.get(&phase).copied();
        let span = from.zip(end).map(|(from, end)| between(from, end));
        from = end;
        let unseen = if phase == Phase::Detect { detection.unseen() } else { Some(0) };
        let basis = if phase == Phase::Detect { detection.basis() } else { Basis::Measured };
        Measured { phase, milliseconds: span.zip(unseen).map(|(span, unseen)| span.saturating_add(unseen)), basis }
    });
    each.collect()
}

/// From the incident until it answered, in milliseconds; `None` where it never did, or where nobody knows
/// how long the loss goes unseen.
pub fn rto(began: Timestamp, ends: &Ends, detection: &Detection) -> Option<u64> {
    let answered = ends.get(&Phase::Boot).map(|answered| between(began, *answered));
    answered.zip(detection.unseen()).map(|(answered, unseen)| answered.saturating_add(unseen))
}

/// How old the newest record was at the incident, in milliseconds.
pub fn rpo(incident: Timestamp, newest: Timestamp) -> u64 {
    between(newest, incident)
}

/// Why no record was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The answer is not JSON, or was cut off.
    NotJson,
    /// Nothing is there.
    Absent,
    /// What is there is no instant.
    NotAnInstant,
}

/// The newest record that a restored service tells of: seconds or milliseconds since 1970, or RFC 3339.
///
/// # Errors
/// Why there is none.
pub fn newest_record(body: &str, pointer: &str) -> Result<Timestamp, Unread> {
    /// Later seconds than these (the year 5138) are milliseconds.
    const SECONDS_MAX: i64 = 100_000_000_000;
    let json: Json = serde_json::from_str(body).map_err(|_| Unread::NotJson)?;
    let found = json.pointer(pointer).filter(|found| !found.is_null()).ok_or(Unread::Absent)?;
    let number = match found {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => return Ok(at),
            Err(_) => text.parse().ok(),
        },
        _ => None,
    };
    let read = number.filter(|number| *number > 0).and_then(|number| match number {
        seconds if seconds < SECONDS_MAX => Timestamp::from_second(seconds).ok(),
        milliseconds => Timestamp::from_millisecond(milliseconds).ok(),
    });
    read.ok_or(Unread::NotAnInstant)
}

/// What was found of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The service.
    pub service: String,
    /// Whether it answered.
    pub answered: bool,
    /// From the incident until it answered.
    pub rto_milliseconds: Option<u64>,
    /// Why that is not known, though it answered.
    pub detection_problem: Option<String>,
    /// The age of its newest record at the incident.
    pub rpo_milliseconds: Option<u64>,
    /// Why its age is not known.
    pub record_problem: Option<String>,
    /// Whether what came back has the digests that the same copy had before, where it had any.
    pub data_is_same: bool,
}

/// What came of the negative control: a restore from a copy that was damaged on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Control {
    /// It is not this run's turn.
    NotDue,
    /// It is due and has not been made.
    Due,
    /// The damage was found, as it must be.
    DamageFound {
        /// The code that the restore failed with.
        code: String,
    },
    /// The damage went unnoticed.
    DamageMissed,
    /// It could not be made.
    NotMade {
        /// Why.
        code: String,
    },
}

/// What stopped a run before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Which service it was about; absent where it was about the whole run.
    #[serde(default)]
    pub service: Option<String>,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything that the plan promises was seen.
    Passed,
    /// Something was not.
    Failed,
    /// The scenario left nothing to restore from or to restore on: nothing was proven.
    Impossible,
    /// Somebody stopped it: nothing was proven, and nothing was missed.
    Stopped,
}

/// One promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    /// Of which service; of the whole run where absent.
    pub service: Option<String>,
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// Not answering at all.
pub const NO_ANSWER: &str = "drill.no_answer";
/// Nobody knows how long its loss goes unseen.
pub const LOSS_UNSEEN: &str = "drill.loss_unseen";
/// Answering too late.
pub const RTO_MISSED: &str = "drill.rto_missed";
/// Nobody knows how much is lost.
pub const RECORD_UNKNOWN: &str = "drill.record_unknown";
/// More is lost than promised.
pub const RPO_MISSED: &str = "drill.rpo_missed";
/// Other data came back than from the same copy before.
pub const DATA_DIFFERS: &str = "drill.data_differs";
/// A damaged copy passed.
pub const CONTROL_PASSED: &str = "drill.control_passed";
/// The control was due and was not made.
pub const CONTROL_NOT_MADE: &str = "drill.control_not_made";
/// There is nothing in the run.
pub const NOTHING: &str = "drill.nothing";

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:01} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

fn of_service(objectives: Objectives, found: &Found) -> Vec<Miss> {
    let miss = |code: &str, message: String| Miss { service: Some(found.service.clone()), code: code.into(), message };
    let time = match found.rto_milliseconds {
        None if !found.answered => Some(miss(NO_ANSWER, "it did not answer".into())),
        None => {
            let why = found.detection_problem.as_deref().unwrap_or("nobody tried");
            Some(miss(LOSS_UNSEEN, format!("how long its loss goes unseen is not known: {why}")))
        }
        Some(took) if took > objectives.rto_seconds.saturating_mul(1_000) => {
            let message = format!("it answered after {}; promised are {} s", seconds(took), objectives.rto_seconds);
            Some(miss(RTO_MISSED, message))
        }
        Some(_) => None,
    };
    let loss = match found.rpo_milliseconds {
        None => {
            let why = found.record_problem.as_deref().unwrap_or("nobody looked");
            Some(miss(RECORD_UNKNOWN, format!("how old its newest record is cannot be said: {why}")))
        }
        Some(lost) if lost > objectives.rpo_seconds.saturating_mul(1_000) => {
            let message = format!(
                "its newest record is {} older than the incident; promised are {} s",
                seconds(lost),
                objectives.rpo_seconds
            );
            Some(miss(RPO_MISSED, message))
        }
        Some(_) => None,
    };
    let differs = "other data came back than an earlier drill got from the same recovery point";
    // What never answered was never looked at.
    let data = (found.answered && !found.data_is_same).then(|| miss(DATA_DIFFERS, differs.into()));
    time.into_iter().chain(loss).chain(data).collect()
}

fn of_control(control: &Control) -> Option<Miss> {
    let (code, message) = match control {
        Control::NotDue | Control::DamageFound { .. } => return None,
        Control::DamageMissed => {
            (CONTROL_PASSED, "a copy that was damaged on purpose was restored without complaint".to_owned())
        }
        Control::Due => (CONTROL_NOT_MADE, "the negative control was due and was not made".to_owned()),
        // Whatever says something of a copy: the control has met what it was to look for.
        Control::NotMade { code } if points::damage(code).is_some() => {
            let message = format!(
                "the negative control could not be made: the copy that it was to be made from is not whole ({code}); have the recovery point looked at, and use another copy"
            );
            (CONTROL_NOT_MADE, message)
        }
        Control::NotMade { code } => (CONTROL_NOT_MADE, format!("the negative control could not be made ({code})")),
    };
    Some(Miss { service: None, code: code.to_owned(), message })
}

/// What a run comes to, and every promise that it did not see kept. `reached` is the last phase
/// that began before the failure.
pub fn judge(
    objectives: Objectives,
    services: &[Found],
    control: &Control,
    failure: Option<(&Failure, Phase)>,
) -> (Verdict, Vec<Miss>) {
    if let Some((failure, reached)) = failure {
        let (service, code, message) = (failure.service.clone(), failure.code.clone(), failure.message.clone());
        let miss = Miss { service, code, message };
        let verdict = if reached <= Phase::Reserve { Verdict::Impossible } else { Verdict::Failed };
        return (verdict, vec![miss]);
    }
    let mut misses: Vec<Miss> = services.iter().flat_map(|found| of_service(objectives, found)).collect();
    misses.extend(of_control(control));
    let distinct: BTreeSet<&str> = services.iter().map(|found| found.service.as_str()).collect();
    if distinct.is_empty() {
        misses.push(Miss { service: None, code: NOTHING.into(), message: "no service was restored".into() });
    }
    let verdict = if misses.is_empty() { Verdict::Passed } else { Verdict::Failed };
    (verdict, misses)
}

/// Whether a plan's run of that number, from 1, has a negative control: every `every`-th one, the first included.
pub fn control_is_due(every: u32, number: i64) -> bool {
    every > 0 && (number - 1).rem_euclid(i64::from(every)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROMISED: Objectives = Objectives { rto_seconds: 60, rpo_seconds: 3_600 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn found(rto: Option<u64>, rpo: Option<u64>) -> Found {
        Found {
            service: "svc".into(),
            answered: rto.is_some(),
            rto_milliseconds: rto,
            detection_problem: None,
            rpo_milliseconds: rpo,
            record_problem: None,
            data_is_same: true,
        }
    }

    fn codes(misses: &[Miss]) -> Vec<&str> {
        misses.iter().map(|miss| miss.code.as_str()).collect()
    }

    #[test]
    fn what_is_promised_and_seen_passes_and_nothing_else_does() {
        let good = found(Some(60_000), Some(3_600_000));
        let table = [
            (vec![good.clone()], Control::NotDue, Verdict::Passed, vec![]),
            (vec![good.clone()], Control::DamageFound { code: "repository.damaged".into() }, Verdict::Passed, vec![]),
            (vec![], Control::NotDue, Verdict::Failed, vec![NOTHING]),
            (vec![good.clone()], Control::Due, Verdict::Failed, vec![CONTROL_NOT_MADE]),
            (vec![good.clone()], Control::DamageMissed, Verdict::Failed, vec![CONTROL_PASSED]),
            (vec![good.clone()], Control::NotMade { code: "x".into() }, Verdict::Failed, vec![CONTROL_NOT_MADE]),
            (vec![found(Some(60_001), Some(0))], Control::NotDue, Verdict::Failed, vec![RTO_MISSED]),
            (vec![found(Some(0), Some(3_600_001))], Control::NotDue, Verdict::Failed, vec![RPO_MISSED]),
            (vec![found(None, None)], Control::NotDue, Verdict::Failed, vec![NO_ANSWER, RECORD_UNKNOWN]),
            (vec![good.clone(), found(None, Some(1))], Control::NotDue, Verdict::Failed, vec![NO_ANSWER]),
            (
                vec![Found { rto_milliseconds: None, ..good.clone() }],
                Control::NotDue,
                Verdict::Failed,
                vec![LOSS_UNSEEN],
            ),
            (vec![Found { data_is_same: false, ..good }], Control::NotDue, Verdict::Failed, vec![DATA_DIFFERS]),
        ];
        for (services, control, wanted, why) in table {
            let (verdict, misses) = judge(PROMISED, &services, &control, None);
            assert_eq!((verdict, codes(&misses)), (wanted, why), "{services:?} {control:?}");
        }
    }

    #[test]
    fn a_run_that_could_not_begin_to_restore_is_impossible_and_any_other_failure_is_one() {
        let failure = Failure { code: "capacity.none_fits".into(), message: "no room".into(), service: None };
        for phase in Phase::ALL {
            let (verdict, misses) = judge(PROMISED, &[], &Control::NotDue, Some((&failure, phase)));
            let wanted = if phase <= Phase::Reserve { Verdict::Impossible } else { Verdict::Failed };
            assert_eq!((verdict, codes(&misses)), (wanted, vec!["capacity.none_fits"]), "{phase:?}");
        }
    }

    #[test]
    fn the_newest_record_is_read_however_it_is_written() {
        let body = r#"{"s":1763800000,"ms":1763800000123,"text":"1763800000","at":"2025-11-22T08:26:40Z","no":null,"deep":{"x":[5]},"f":1.5}"#;
        let read = |pointer: &str| newest_record(body, pointer);
        let second = at("2025-11-22T08:26:40Z");
        for pointer in ["/s", "/text", "/at"] {
            assert_eq!(read(pointer), Ok(second), "{pointer}");
        }
        assert_eq!(read("/ms"), Ok(at("2025-11-22T08:26:40.123Z")));
        assert_eq!(read("/no"), Err(Unread::Absent));
        assert_eq!(read("/nothing"), Err(Unread::Absent));
        assert_eq!(read("/f"), Err(Unread::NotAnInstant));
        assert_eq!(read("/deep"), Err(Unread::NotAnInstant));
        assert_eq!(newest_record("<html>", "/s"), Err(Unread::NotJson));
        assert_eq!(newest_record(&body[..40], "/s"), Err(Unread::NotJson), "an answer that was cut off");
    }

    #[test]
    fn a_control_comes_with_the_first_run_and_every_nth_after_it() {
        let due = |every| (1..=7).filter(|number| control_is_due(every, *number)).collect::<Vec<_>>();
        assert_eq!(due(0), Vec::<i64>::new());
        assert_eq!(due(1), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(due(3), [1, 4, 7]);
    }

    fn ends(spans: &[u32]) -> (Timestamp, Ends) {
        let incident = at("2026-01-01T00:00:00Z");
        let mut now = incident;
        let ends = Phase::ALL.into_iter().zip(spans).map(|(phase, span)| {
            now += std::time::Duration::from_millis(u64::from(*span));
            (phase, now)
        });
        (incident, ends.collect())
    }

    #[test]
    fn what_was_not_timed_is_never_called_measured() {
        let (incident, ends) = ends(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let of = |detection: &Detection| {
            let detect = phases(incident, &ends, detection)[0];
            (detect.milliseconds, detect.basis, rto(incident, &ends, detection))
        };
        let seen = Detection::Measured { milliseconds: Some(900), problem: None };
        assert_eq!(of(&seen), (Some(901), Basis::Measured, Some(928)));
        let unseen = Detection::Measured { milliseconds: None, problem: Some("it is away".into()) };
        assert_eq!(of(&unseen), (None, Basis::Measured, None), "what nobody knows is no figure");
        assert_eq!((seen.problem(), unseen.problem()), (None, Some("it is away")));
        let configured = Detection::Configured { silent_seconds: 90, look_seconds: 15 };
        assert_eq!(of(&configured), (Some(105_001), Basis::Configured, Some(105_028)));
        assert_eq!(of(&Detection::Told), (Some(1), Basis::Told, Some(28)));
        let others = phases(incident, &ends, &configured);
        assert!(others[1..].iter().all(|one| one.basis == Basis::Measured));
    }

    proptest! {
        #[test]
        fn the_phases_up_to_the_answer_add_up_to_the_rto(
            spans in proptest::collection::vec(0..10_000_000_u32, 0..=8), unseen in 0..10_000_000_u64,
        ) {
            let (incident, ends) = ends(&spans);
            let detection = Detection::Measured { milliseconds: Some(unseen), problem: None };
            let measured = phases(incident, &ends, &detection);
            prop_assert_eq!(measured.len(), 8);
            prop_assert_eq!(measured.iter().filter(|one| one.milliseconds.is_some()).count(), spans.len());
            let sum: u64 = measured.iter().filter(|one| one.phase != Phase::Verify).filter_map(|one| one.milliseconds).sum();
            prop_assert_eq!(rto(incident, &ends, &detection), (spans.len() >= 7).then_some(sum));
        }

        #[test]
        fn a_stricter_promise_turns_no_failure_into_a_pass(
            rto in proptest::option::of(0..200_000_u64), rpo in proptest::option::of(0..200_000_u64),
            rto_seconds in 0..200_u64, rpo_seconds in 0..200_u64, less in 0..200_u64,
        ) {
            let services = [found(rto, rpo)];
            let loose = Objectives { rto_seconds, rpo_seconds };
            let strict = Objectives { rto_seconds: rto_seconds.saturating_sub(less), rpo_seconds: rpo_seconds.saturating_sub(less) };
            let (before, _) = judge(loose, &services, &Control::NotDue, None);
            let (after, _) = judge(strict, &services, &Control::NotDue, None);
            prop_assert!(before == Verdict::Passed || after != Verdict::Passed);
            let kept = rto.is_some_and(|rto| rto <= rto_seconds * 1_000) && rpo.is_some_and(|rpo| rpo <= rpo_seconds * 1_000);
            prop_assert_eq!(before == Verdict::Passed, kept);
        }

        #[test]
        fn no_further_service_turns_a_failure_into_a_pass(
            all in proptest::collection::vec((proptest::option::of(0..100_000_u64), proptest::option::of(0..5_000_000_u64)), 1..5),
        ) {
            let services: Vec<Found> = all.iter().map(|(rto, rpo)| found(*rto, *rpo)).collect();
            let (few, some) = judge(PROMISED, &services[..services.len() - 1], &Control::NotDue, None);
            let (many, more) = judge(PROMISED, &services, &Control::NotDue, None);
            prop_assert!(many != Verdict::Passed || few == Verdict::Passed || services.len() == 1);
            prop_assert!(more.len() >= some.len().saturating_sub(1));
            prop_assert_eq!(many == Verdict::Passed, more.is_empty());
        }

        #[test]
        fn a_record_of_after_the_incident_loses_nothing(ahead in 0..1_000_000_u64, behind in 0..1_000_000_u64) {
            let incident = at("2026-01-01T00:00:00Z");
            prop_assert_eq!(rpo(incident, incident + std::time::Duration::from_millis(ahead)), 0);
            prop_assert_eq!(rpo(incident, incident - std::time::Duration::from_millis(behind)), behind);
        }
    }
}
