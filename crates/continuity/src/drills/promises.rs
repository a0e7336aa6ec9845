//! What the contract promises of recovery, and whether a drill saw it kept.
//!
//! A product may promise it in characteristics that were agreed to with its order:
//!
//! | characteristic | meaning |
//! |---|---|
//! | `recoveryTimeObjective` | longest time from an incident until the service answers, in seconds |
//! | `recoveryPointObjective` | largest age of the newest record that comes back, in seconds |
//! | `recoveryCredit` | what is owed for a month in which that was seen broken, before tax |
//!
//! A plan's own objectives are the customer's to choose and say nothing of this: a run may pass and
//! break the contract, or fail and keep it. What was not measured is not held against it, but for a
//! service that did not come back at all.

use base::Result;
use gate::Tx;
use provisioning::services;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use super::Fact;
use super::rules::Verdict;
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

/// How the promise was broken, in a few words of both languages; nothing where it was not seen broken.
fn broken(promise: &Promise, found: &Restored, lost: bool) -> Option<String> {
    let over = |measured: Option<u64>, promised: Option<u64>| {
        let (measured, promised) = (measured?, promised?);
        (measured > promised.saturating_mul(1_000)).then(|| (measured.div_ceil(1_000), promised))
    };
    if let Some((took, promised)) = over(found.rto_milliseconds, promise.rto_seconds) {
        return Some(format!("復原花了 {took} 秒，承諾 {promised} 秒 / back after {took} s, promised {promised} s"));
    }
    if let Some((age, promised)) = over(found.rpo_milliseconds, promise.rpo_seconds) {
        return Some(format!("遺失 {age} 秒的資料，承諾 {promised} 秒 / {age} s of data lost, promised {promised} s"));
    }
    lost.then(|| "演練時未能復原 / it did not come back in a drill".to_owned())
}

/// Whether a run ended without a service that it had begun to bring back: not where somebody stopped it.
fn is_lost(run: &DrillRun, verdict: Verdict, found: &Restored) -> bool {
    let stopped = run.body.failure.as_ref().is_some_and(|failure| failure.code == super::closing::GIVEN_UP);
    verdict == Verdict::Failed && !stopped && found.point.is_some() && found.rto_milliseconds.is_none()
}

/// States each promise of the contract that a run saw broken.
pub(super) fn hold(tx: &mut Tx<'_>, run: &DrillRun, verdict: Verdict) -> Result<()> {
    for found in &run.body.services {
        let Some(sold) = services::realised(tx, &found.service)? else { continue };
        let Some(promise) = promise(&sold.characteristics) else { continue };
        let Some(how) = broken(&promise, found, is_lost(run, verdict, found)) else { continue };
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
    use serde_json::json;

    use super::*;

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
    fn what_was_measured_is_held_against_it_and_nothing_else() {
        let promise = of(json!({ TIME: 60, POINT: 600, CREDIT: 1 })).unwrap();
        let found = |rto: Option<u64>, rpo: Option<u64>| Restored {
            rto_milliseconds: rto,
            rpo_milliseconds: rpo,
            ..Restored::new("svc".into(), "x".into())
        };
        assert_eq!(broken(&promise, &found(Some(60_000), Some(600_000)), false), None);
        assert_eq!(broken(&promise, &found(None, None), false), None, "nobody looked");
        assert!(broken(&promise, &found(Some(60_001), None), false).unwrap().contains("61 s, promised 60 s"));
        assert!(broken(&promise, &found(Some(1), Some(600_001)), false).unwrap().contains("601 s of data"));
        assert!(broken(&promise, &found(None, None), true).is_some());
    }
}
