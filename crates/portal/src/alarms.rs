//! Alarms: what is wrong with copies and drills, what to do, and who sees to it.

use crate::account::{correctable, said};
use crate::page::{Page, ok};
use crate::plan::form_page;
use crate::ui::{Badge, Field, Tone, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::time::Timestamp;
use continuity::alarms::actions::{self, ListAlarms, SayOfAlarm};
use continuity::alarms::{Alarm, Cause, Severity};

/// One alarm, as it is shown.
pub(crate) struct AlarmRow {
    pub id: String,
    pub severity: Badge,
    pub what: &'static str,
    pub next_step: &'static str,
    pub problem: String,
    pub name: String,
    /// The page of what it is about, where the visitor has one.
    pub href: Option<String>,
    pub since: Timestamp,
    pub times: i64,
    pub acknowledged: Option<Timestamp>,
    pub note: String,
    pub cleared: Option<Timestamp>,
    /// Only a person can say that it is right.
    pub judged: bool,
}

/// All of them.
#[derive(Template)]
#[template(path = "alarms/list.html")]
pub(crate) struct AlarmsPage<'a> {
    pub p: &'a Page,
    pub open: Vec<AlarmRow>,
    pub cleared: Vec<AlarmRow>,
    pub may_act: bool,
}

fn severity(p: &Page, severity: Severity) -> Badge {
    let t = &p.t.alarms;
    match severity {
        Severity::Critical => Badge::new(Tone::Danger, t.critical),
        Severity::Major => Badge::new(Tone::Danger, t.major),
        Severity::Minor => Badge::new(Tone::Care, t.minor),
    }
}

fn words(p: &Page, cause: Cause) -> (&'static str, &'static str) {
    let t = &p.t.alarms;
    match cause {
        Cause::BackupFailed => (t.backup_failed, t.backup_failed_do),
        Cause::BackupDegraded => (t.backup_degraded, t.backup_degraded_do),
        Cause::BackupOverdue => (t.backup_overdue, t.backup_overdue_do),
        Cause::BackupUnusual => (t.backup_unusual, t.backup_unusual_do),
        Cause::DrillFailed => (t.drill_failed, t.drill_failed_do),
        Cause::PlaceNotImmutable => (t.place_not_immutable, t.place_not_immutable_do),
        Cause::ControlPlaneDegraded => (t.control_plane_degraded, t.control_plane_degraded_do),
        Cause::ControlPlaneOverdue => (t.control_plane_overdue, t.control_plane_overdue_do),
        Cause::AuditShippingBehind => (t.audit_shipping_behind, t.audit_shipping_behind_do),
    }
}

pub(crate) fn row(p: &Page, alarm: Alarm) -> AlarmRow {
    let (what, next_step) = words(p, alarm.probable_cause);
    let object = &alarm.alarmed_object;
    let href = match object.kind.as_str() {
        "service" if !p.operator() => Some(format!("/services/{}", object.id)),
        "backupPlace" if p.operator() => Some(format!("/operator/backups/places/{}", object.id)),
        "drillPlan" => Some(format!("/drills/plans/{}", object.id)),
        "auditPlace" if p.operator() => Some("/operator/audit/places".to_owned()),
        _ => None,
    };
    let name = match object.kind.as_str() {
        "controlPlane" => p.t.frame.platform.to_owned(),
        _ if object.name.is_empty() => object.id.clone(),
        _ => object.name.clone(),
    };
    AlarmRow {
        id: alarm.id.to_string(),
        severity: severity(p, alarm.perceived_severity),
        what,
        next_step,
        problem: crate::i18n::said_of(p.lang, &alarm.specific_problem.code, &alarm.specific_problem.message),
        name,
        href,
        since: alarm.alarm_raised_time,
        times: alarm.times,
        acknowledged: alarm.ack_time,
        note: alarm.note,
        cleared: alarm.alarm_cleared_time,
        judged: alarm.probable_cause == Cause::BackupUnusual,
    }
}

/// `GET /alarms`
pub(crate) async fn page(s: Signed) -> Answer {
    let p = s.p();
    let all = s.call(&actions::LIST, ListAlarms { tenant: None, cleared: true }).await?.items;
    let (open, cleared): (Vec<_>, Vec<_>) =
        all.into_iter().map(|alarm| row(p, alarm)).partition(|alarm| alarm.cleared.is_none());
    let may_act = ["owner", "administrator", "operations"].iter().any(|role| s.cx.has_role(role));
    Ok(ok(&AlarmsPage { p, open, cleared: cleared.into_iter().take(50).collect(), may_act }))
}

/// What is said of an alarm: that somebody sees to it, or that it is as it should be.
#[derive(Clone, Copy)]
enum Say {
    Acknowledge,
    Clear,
}

fn form(s: &Signed, id: &str, say: Say, wrong: &[(&str, String)], general: &str) -> Answer {
    let t = &s.t().alarms;
    let note = Field::area("note", t.note, s.visit.form.get("note"));
    let (title, path, field) = match say {
        Say::Acknowledge => (t.acknowledge_title, "acknowledge", note.hint(t.note_hint).optional(s.t().frame.optional)),
        Say::Clear => (t.clear_title, "clear", note.hint(t.why_hint)),
    };
    let at = [("/alarms", s.t().frame.alarms)];
    Ok(form_page(s, &at, title.to_owned(), format!("/alarms/{id}/{path}"), vec![told(wrong, field)], general))
}

async fn tell(s: &Signed, id: &str, say: Say) -> Answer {
    let input = SayOfAlarm { id: id.parse()?, note: s.visit.form.get("note").to_owned() };
    let action = match say {
        Say::Acknowledge => &actions::ACKNOWLEDGE,
        Say::Clear => &actions::CLEAR,
    };
    match s.call(action, input).await {
        Ok(_) => Ok(done(&s.portal, "/alarms", "saved")),
        Err(error) if error.attribute() == Some("note") => form(s, id, say, &[("note", said(s, &error))], ""),
        Err(error) if correctable(&error) => form(s, id, say, &[], &said(s, &error)),
        Err(error) => Err(error.into()),
    }
}

/// `GET /alarms/{id}/acknowledge`
pub(crate) async fn ask_acknowledge(s: Signed, Path(id): Path<String>) -> Answer {
    form(&s, &id, Say::Acknowledge, &[], "")
}

/// `POST /alarms/{id}/acknowledge`
pub(crate) async fn acknowledge(s: Signed, Path(id): Path<String>) -> Answer {
    tell(&s, &id, Say::Acknowledge).await
}

/// `GET /alarms/{id}/clear`
pub(crate) async fn ask_clear(s: Signed, Path(id): Path<String>) -> Answer {
    form(&s, &id, Say::Clear, &[], "")
}

/// `POST /alarms/{id}/clear`
pub(crate) async fn clear(s: Signed, Path(id): Path<String>) -> Answer {
    tell(&s, &id, Say::Clear).await
}
