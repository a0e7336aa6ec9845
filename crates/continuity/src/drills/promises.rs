//! What the contract promises of recovery, and whether a drill saw it kept.
//!
//! A product may promise it in characteristics that were agreed to with its order:
//!
//! | characteristic | meaning |
//! |---|---|
//! | `recoveryTimeObjective` | longest time from an incident until the service's disks are there again, in seconds |
//! | `recoveryPointObjective` | largest age of the recovery point that served, in seconds |
//! | `recoveryCredit` | what is owed for a month in which that was seen broken, before tax |
//!
//! Whoever is owed something also sets the test, so that only what is the platform's is measured: how
//! long the guest takes to answer and what it says of its records are the customer's, and so is waiting
//! behind services that the plan puts first. A plan that leaves out points or places (ransomware, a lost
//! backup server, a place that must serve) breaks no promise: it asks for more than was promised. A
//! plan's own objectives say nothing of this: a run may pass and break the contract, or fail and keep it.

use base::Result;
use base::time::{Timestamp, micros};
use gate::Tx;
use provisioning::services;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use super::Fact;
use super::detection::{Basis, Detection};
use super::plans::Scenario;
use super::rules::Phase;
use super::runs::{DrillRun, Restored};

/// Longest time to come back, in seconds.
pub const TIME: &str = "recoveryTimeObjective";
/// Largest age of what comes back, in seconds.
pub const POINT: &str = "recoveryPointObjective";
/// What is owed, before tax.
pub const CREDIT: &str = "recoveryCredit";

/// A promise of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Promise {
    rto_seconds: Option<u64>,
    rpo_seconds: Option<u64>,
    credit: Decimal,
}

fn number(characteristics: &Map<String, Json>, name: &str) -> Option<Decimal> {
    match characteristics.get(name)? {
        Json::Number(number) => number.to_string().parse().ok(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn promise(characteristics: &Map<String, Json>) -> Option<Promise> {
    let seconds = |name| number(characteristics, name).and_then(|value| u64::try_from(value).ok());
    let (rto_seconds, rpo_seconds) = (seconds(TIME), seconds(POINT));
    let credit = number(characteristics, CREDIT).filter(|credit| *credit > Decimal::ZERO)?;
    (rto_seconds.is_some() || rpo_seconds.is_some()).then_some(Promise { rto_seconds, rpo_seconds, credit })
}

/// How long the platform took, from the incident until the disks were there, in milliseconds: without
/// the time for which the service waited behind others of the plan, and with the time for which the loss
/// went unseen where that was measured. What only follows from settings was seen by nobody.
fn took(incident: Timestamp, found: &Restored, detection: &Detection) -> Option<u64> {
    let unseen = detection.unseen().filter(|_| detection.basis() == Basis::Measured).unwrap_or(0);
    let at = |phase| found.ends.get(&phase).map(|end| millis(*end));
    let began = at(Phase::Key)? - millis(incident);
    let restored = at(Phase::Restore)? - at(Phase::Wait)?;
    u64::try_from(began + restored).ok().map(|took| took.saturating_add(unseen))
}

/// How old what serves was at the incident, in milliseconds.
fn age(incident: Timestamp, found: &Restored) -> Option<u64> {
    u64::try_from(millis(incident) - millis(found.taken_at?)).ok()
}

fn millis(at: Timestamp) -> i64 {
    micros(at) / 1_000
}

/// How the promise was broken, in a few words of both languages; nothing where it was not seen broken.
fn broken(promise: &Promise, run: (Timestamp, &Detection), found: &Restored, lost: bool) -> Option<String> {
    let (incident, detection) = run;
    let over = |measured: Option<u64>, promised: Option<u64>| {
        let (measured, promised) = (measured?, promised?);
        (measured > promised.saturating_mul(1_000)).then(|| (measured.div_ceil(1_000), promised))
    };
    if let Some((took, promised)) = over(took(incident, found, detection), promise.rto_seconds) {
        return Some(format!("復原花了 {took} 秒，承諾 {promised} 秒 / back after {took} s, promised {promised} s"));
    }
    if let Some((age, promised)) = over(age(incident, found), promise.rpo_seconds) {
        return Some(format!("遺失 {age} 秒的資料，承諾 {promised} 秒 / {age} s of data lost, promised {promised} s"));
    }
    lost.then(|| "演練時未能復原 / it did not come back in a drill".to_owned())
}

/// Whether the copy of a service that was on its way back could not be used. What a guest does, or
/// somebody who stops the run, loses nothing.
fn is_lost(run: &DrillRun, found: &Restored) -> bool {
    let reached = |phase| found.ends.contains_key(&phase);
    let of_copies = |code: &str| code.starts_with("repository.") || code.starts_with("snapshot.");
    let failed = run.body.failure.as_ref().is_some_and(|failure| of_copies(&failure.code));
    failed && reached(Phase::Wait) && !reached(Phase::Restore)
}

/// Whether a run asks for what was promised, and not for more.
fn is_plain(run: &DrillRun) -> bool {
    let scenario = &run.body.terms.scenario;
    let whole = matches!(scenario, Scenario::MachineLost | Scenario::HostLost | Scenario::SiteLost);
    whole && run.body.bad_after.is_none() && run.body.terms.place.is_none()
}

/// States each promise of the contract that a run saw broken.
pub(super) fn hold(tx: &mut Tx<'_>, run: &DrillRun) -> Result<()> {
    if !is_plain(run) {
        return Ok(());
    }
    for found in &run.body.services {
        let Some(sold) = services::realised(tx, &found.service)? else { continue };
        let Some(promise) = promise(&sold.characteristics) else { continue };
        let Some(how) = broken(&promise, (run.incident_at, &run.body.detection), found, is_lost(run, found)) else {
            continue;
        };
        let fact = Fact::RecoveryPromiseBroken {
            run: run.id.to_string(),
            service: found.service.clone(),
            credit: promise.credit.to_string(),
            how,
        };
        tx.fact(fact, run.tenant)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::drills::order::Placed;

    fn placed() -> Placed {
        Placed { service: "svc".into(), name: "x".into(), wave: 1, after: vec![] }
    }

    fn of(characteristics: Json) -> Option<Promise> {
        let Json::Object(map) = characteristics else { panic!("an object") };
        promise(&map)
    }

    #[test]
    fn a_promise_has_an_objective_and_a_credit() {
        let hour = Promise { rto_seconds: Some(3_600), rpo_seconds: None, credit: Decimal::from(500) };
        assert_eq!(of(json!({ TIME: 3600, CREDIT: 500 })), Some(hour.clone()));
        assert_eq!(of(json!({ TIME: "3600", CREDIT: "500" })), Some(hour));
        for none in [json!({}), json!({ TIME: 60 }), json!({ CREDIT: 5 }), json!({ TIME: 60, CREDIT: -5 })] {
            assert_eq!(of(none), None);
        }
    }

    #[test]
    fn what_the_platform_took_is_held_against_it_and_nothing_else() {
        let promise = of(json!({ TIME: 60, POINT: 600, CREDIT: 1 })).unwrap();
        let incident: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        let after = |seconds: u64| incident + Duration::from_secs(seconds);
        // The key after 10 s, then 100 s behind others, then the disks.
        let found = |disks: u64, age: u64| Restored {
            taken_at: Some(incident - Duration::from_secs(age)),
            ends: [(Phase::Key, after(10)), (Phase::Wait, after(110)), (Phase::Restore, after(110 + disks))].into(),
            rto_milliseconds: Some(9_000_000),
            rpo_milliseconds: Some(9_000_000),
            ..Restored::new(placed())
        };
        let seen = |detection: Detection, found: &Restored, lost| broken(&promise, (incident, &detection), found, lost);
        let held = |found: &Restored, lost| seen(Detection::Told, found, lost);
        assert_eq!(held(&found(50, 600), false), None, "guests may say what they like");
        let nothing = Restored::new(placed());
        assert_eq!(held(&nothing, false), None, "nobody looked");
        assert!(held(&found(51, 600), false).unwrap().contains("61 s, promised 60 s"));
        assert!(held(&found(50, 601), false).unwrap().contains("601 s of data"));
        assert!(held(&nothing, true).is_some());
        // How long it went unseen counts where it was measured, and nowhere else.
        let measured = Detection::Measured { milliseconds: Some(2_000), problem: None };
        assert!(seen(measured, &found(50, 600), false).unwrap().contains("62 s, promised 60 s"));
        let configured = Detection::Configured { silent_seconds: 90, look_seconds: 15 };
        assert_eq!(seen(configured, &found(50, 600), false), None);
    }
}
