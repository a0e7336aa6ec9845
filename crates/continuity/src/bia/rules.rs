//! From what people judge to what must be kept. Pure.

use std::collections::BTreeMap;

use base::time::Timestamp;
use base::{Error, Result, limits};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::types::{Assess, Assessment, Because, HarmAt, HarmScale, Inherited, SetScale};
use crate::inventory::Inventory;

/// Most levels of a scale, and most steps of harm.
const STEPS_MAX: usize = 12;
/// Longest time that can be said, in seconds: ten years.
const SECONDS_MAX: u64 = 10 * 366 * 86_400;

fn invalid(code: &'static str, at: impl Into<String>, message: impl Into<String>) -> Error {
    Error::invalid(code, message.into()).at(at.into())
}

/// The day that it is.
pub(super) fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn line(text: &str, at: &str, least: usize) -> Result<()> {
    let chars = text.trim().chars().count();
    if chars < least || chars > limits::NAME_CHARS_MAX || text.chars().any(char::is_control) {
        let message = format!("{least} to {} characters, none of them a control character", limits::NAME_CHARS_MAX);
        return Err(invalid("assessment.text", at, message));
    }
    Ok(())
}

/// Whether a scale can be.
pub(super) fn check_scale(scale: &SetScale) -> Result<()> {
    line(&scale.unit, "unit", 1)?;
    let count = scale.levels.len();
    if !(2..=STEPS_MAX).contains(&count) {
        return Err(invalid("scale.levels", "levels", format!("a scale has from 2 to {STEPS_MAX} levels")));
    }
    for (n, level) in scale.levels.iter().enumerate() {
        line(&level.name, &format!("levels.{n}.name"), 1)?;
        if i64::try_from(level.amount).is_err() {
            return Err(invalid("scale.amount", format!("levels.{n}.amount"), "the amount is too large"));
        }
        if n > 0 && scale.levels[n - 1].amount >= level.amount {
            let message = format!("{} must be more than {}", level.name.trim(), scale.levels[n - 1].name.trim());
            return Err(invalid("scale.order", format!("levels.{n}.amount"), message));
        }
    }
    match scale.intolerable < count {
        true => Ok(()),
        false => Err(invalid("scale.intolerable", "intolerable", "one of the levels is the one that cannot be borne")),
    }
}

/// The first moment at which the harm cannot be borne.
pub(super) fn mtpd(harm: &[HarmAt], scale: &HarmScale) -> Option<u64> {
    harm.iter().find(|step| step.level >= scale.intolerable).map(|step| step.after_seconds)
}

/// Fills what follows from the rest.
pub(super) fn derive(one: &mut Assessment, scale: &HarmScale, today: Date) {
    one.mtpd_seconds = mtpd(&one.harm, scale);
    one.review_overdue = one.review_by.parse::<Date>().is_ok_and(|by| by < today);
}

/// Whether an assessment still holds by another scale.
pub(super) fn fits(one: &Assessment, scale: &HarmScale) -> Result<()> {
    check_harm(&one.harm, scale)?;
    check_rto(one.rto_seconds, mtpd(&one.harm, scale))
}

/// Whether an assessment can be, by that scale.
pub(super) fn check(one: &Assess, scale: &HarmScale) -> Result<()> {
    check_harm(&one.harm, scale)?;
    check_objectives(one, mtpd(&one.harm, scale))?;
    line(&one.assessed_by, "assessedBy", 1)?;
    if one.minimum.len() > limits::REASON_BYTES_MAX || one.minimum.chars().any(|c| c.is_control() && c != '\n') {
        return Err(invalid("assessment.text", "minimum", format!("at most {} bytes", limits::REASON_BYTES_MAX)));
    }
    let day = |text: &str, at: &str| {
        text.parse::<Date>().map_err(|_| invalid("assessment.date", at, "a day is written as YYYY-MM-DD"))
    };
    if day(&one.review_by, "reviewBy")? <= day(&one.assessed_on, "assessedOn")? {
        return Err(invalid("assessment.review", "reviewBy", "it is to be judged anew after it was judged"));
    }
    Ok(())
}

fn check_harm(harm: &[HarmAt], scale: &HarmScale) -> Result<()> {
    if harm.is_empty() || harm.len() > STEPS_MAX {
        let message = format!("say for 1 to {STEPS_MAX} moments how bad it is by then");
        return Err(invalid("assessment.harm", "harm", message));
    }
    for (n, step) in harm.iter().enumerate() {
        if step.level >= scale.levels.len() {
            return Err(invalid("assessment.level", format!("harm.{n}.level"), "the scale has no such level"));
        }
        if step.after_seconds > SECONDS_MAX {
            let message = "nobody waits for longer than ten years";
            return Err(invalid("assessment.seconds", format!("harm.{n}.afterSeconds"), message));
        }
        let Some(before) = n.checked_sub(1).map(|n| harm[n]) else { continue };
        if before.after_seconds >= step.after_seconds {
            let message = "the moments are in ascending order, each once";
            return Err(invalid("assessment.order", format!("harm.{n}.afterSeconds"), message));
        }
        if before.level > step.level {
            let message = "harm does not become less while the activity is still missing";
            return Err(invalid("assessment.heals", format!("harm.{n}.level"), message));
        }
    }
    Ok(())
}

fn check_objectives(one: &Assess, mtpd: Option<u64>) -> Result<()> {
    let within = |seconds: Option<u64>| seconds.is_none_or(|seconds| (1..=SECONDS_MAX).contains(&seconds));
    if !within(one.rto_seconds) || one.rpo_seconds.is_some_and(|seconds| seconds > SECONDS_MAX) {
        let at = if within(one.rto_seconds) { "rpoSeconds" } else { "rtoSeconds" };
        return Err(invalid("assessment.objective", at, "an objective is from a second to ten years"));
    }
    check_rto(one.rto_seconds, mtpd)
}

fn check_rto(rto: Option<u64>, mtpd: Option<u64>) -> Result<()> {
    match (rto, mtpd) {
        (_, Some(0)) => Err(invalid(
            "assessment.at_once",
            "harm.0.afterSeconds",
            "what cannot be borne from the first second cannot be planned for: say after how long it cannot",
        )),
        (Some(rto), Some(mtpd)) if rto >= mtpd => Err(invalid(
            "assessment.rto_late",
            "rtoSeconds",
            format!("after {mtpd} seconds the harm cannot be borne: the activity must be back before that"),
        )),
        _ => Ok(()),
    }
}

/// What everything inherits from the activities that depend on it, by id: from each activity down
/// over all that it needs and stands in.
pub(crate) fn roll(there: &Inventory, assessed: &BTreeMap<String, Assessment>) -> BTreeMap<String, Inherited> {
    let mut all: BTreeMap<usize, Inherited> = BTreeMap::new();
    let mut seen = vec![0usize; there.things.len()];
    for (turn, (id, one)) in assessed.iter().enumerate() {
        let Some(start) = there.at(id) else { continue };
        let because = Because {
            activity: id.clone(),
            name: there.things[start].name.clone(),
            rto_seconds: one.rto_seconds,
            rpo_seconds: one.rpo_seconds,
        };
        let mut way = vec![start];
        while let Some(at) = way.pop() {
            if std::mem::replace(&mut seen[at], turn + 1) == turn + 1 {
                continue;
            }
            inherit(all.entry(at).or_default(), &because);
            let below = &there.things[at];
            let members = below.needs.iter().flat_map(|need| &need.of).chain(&below.within);
            way.extend(members.filter_map(|id| there.at(id)));
        }
    }
    all.values_mut().for_each(|one| one.because.sort_by_key(urgency));
    all.into_iter().map(|(at, one)| (there.things[at].id.clone(), one)).collect()
}

fn urgency(because: &Because) -> (u64, u64, String) {
    let or_never = |seconds: Option<u64>| seconds.unwrap_or(u64::MAX);
    (or_never(because.rto_seconds), or_never(because.rpo_seconds), because.activity.clone())
}

fn inherit(one: &mut Inherited, because: &Because) {
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    one.rto_seconds = least(one.rto_seconds, because.rto_seconds);
    one.rpo_seconds = least(one.rpo_seconds, because.rpo_seconds);
    one.because.push(because.clone());
}
