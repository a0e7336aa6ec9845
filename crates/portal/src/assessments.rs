//! What it would mean to be without an activity: the form in which people judge, and their scale.

use crate::account::{FormPage, correctable, said};
use crate::inventory::{Judged, seconds};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};
use continuity::bia::{
    self, Assess, Assessed, Assessment, AssessmentRef, HarmAt, HarmScale, Level, ScaleRef, SetScale,
};
use continuity::inventory::actions::{GET, ThingRef};
use continuity::inventory::csv;

/// Moments that the form asks for, and levels that a scale may have there.
const STEPS: usize = 6;

/// One line of harm: after so long, this level.
#[derive(Clone, Debug)]
pub(crate) struct StepFields {
    pub after: Field,
    pub level: Field,
}

/// The form in which an activity is judged.
#[derive(Template)]
#[template(path = "inventory/assess.html")]
pub(crate) struct AssessPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub summary: Summary,
    pub steps: Vec<StepFields>,
    pub fields: Vec<Field>,
    /// (name, amount, whether it cannot be borne)
    pub levels: Vec<(String, String, bool)>,
}

/// What a level is called; the levels to begin with, in the reader's language.
pub(crate) fn level_name(p: &Page, scale: &HarmScale, level: usize) -> String {
    let name = scale.levels.get(level).map(|level| level.name.clone()).unwrap_or_default();
    let begin = ["輕微", "明顯", "嚴重", "毀滅性"];
    match (scale.revision, p.lang, begin.get(level)) {
        (0, crate::i18n::Lang::Zh, Some(word)) => (*word).to_owned(),
        _ => name,
    }
}

/// The unit of a scale; that to begin with, in the reader's language.
pub(crate) fn unit(p: &Page, unit: &str) -> String {
    match (unit, p.lang) {
        ("points", crate::i18n::Lang::Zh) => "分".to_owned(),
        _ => unit.to_owned(),
    }
}

/// An amount with its unit, in groups of three digits.
pub(crate) fn amount(p: &Page, amount: u64, of: &str) -> String {
    format!("{} {}", crate::fmt::grouped(&amount.to_string()), unit(p, of))
}

/// What was judged, as it is shown.
pub(crate) fn judged(p: &Page, one: &Assessment, scale: &HarmScale) -> Judged {
    let w = &p.t.inventory;
    let span = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |value| seconds(p, value));
    let step = |step: &HarmAt| {
        let level = level_name(p, scale, step.level);
        let much = amount(p, scale.amount(step.level), &scale.unit);
        (seconds(p, step.after_seconds), level, much, step.level >= scale.intolerable)
    };
    let mut facts = vec![
        (w.mtpd, span(one.mtpd_seconds, w.mtpd_none)),
        (w.rto, span(one.rto_seconds, w.no_goals)),
        (w.rpo, span(one.rpo_seconds, w.no_goals)),
    ];
    if !one.minimum.is_empty() {
        facts.push((w.minimum, one.minimum.clone()));
    }
    facts.push((w.assessed_by, one.assessed_by.clone()));
    facts.push((w.assessed_on, one.assessed_on.clone()));
    facts.push((w.review_by, one.review_by.clone()));
    Judged { harm: one.harm.iter().map(step).collect(), facts, overdue: one.review_overdue }
}

fn steps(s: &Signed, now: &Assessed, wrong: &[(String, String)]) -> Vec<StepFields> {
    let (p, w, form) = (s.p(), &s.t().inventory, &s.visit.form);
    let filled = form.has("after0");
    let harm = now.assessment.as_ref().map(|one| one.harm.clone()).unwrap_or_default();
    let error = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let one = |n: usize| {
        let (after, level) = (format!("after{n}"), format!("level{n}"));
        let known = harm.get(n).filter(|_| !filled);
        let text = known.map_or_else(|| form.get(&after).to_owned(), |step| csv::span(step.after_seconds));
        let chosen = known.map_or_else(|| form.get(&level).to_owned(), |step| step.level.to_string());
        let choice = |at: usize| {
            let mut choice = Choice::new(at.to_string(), level_name(p, &now.scale, at));
            choice.chosen = chosen == at.to_string();
            choice
        };
        let label = format!("{} · {}", p.with(w.step, n + 1), w.after);
        StepFields {
            after: error(Field::line(after, label, text).free()),
            level: error(Field::select(level, w.level, (0..now.scale.levels.len()).map(choice).collect())),
        }
    };
    (0..STEPS.max(harm.len())).map(one).collect()
}

fn fields(s: &Signed, now: &Assessed, wrong: &[(&str, String)]) -> Vec<Field> {
    let (w, form, optional) = (&s.t().inventory, &s.visit.form, s.t().frame.optional);
    let one = now.assessment.as_ref();
    let kept = |name: &str, or: String| if form.has(name) { form.get(name).to_owned() } else { or };
    let span = |seconds: Option<u64>| seconds.map(csv::span).unwrap_or_default();
    let day = |days: i64| {
        let then = s.p().now + jiff::SignedDuration::from_hours(24 * days);
        then.to_zoned(crate::fmt::taipei()).date().to_string()
    };
    let who = s.p().who.as_ref().map(|who| who.name.clone()).unwrap_or_default();
    let fields = vec![
        Field::line("rto", w.rto, kept("rto", span(one.and_then(|one| one.rto_seconds))))
            .hint(w.rto_hint)
            .optional(optional),
        Field::line("rpo", w.rpo, kept("rpo", span(one.and_then(|one| one.rpo_seconds))))
            .hint(w.rpo_hint)
            .optional(optional),
        Field::area("minimum", w.minimum, kept("minimum", one.map(|one| one.minimum.clone()).unwrap_or_default()))
            .hint(w.minimum_hint)
            .optional(optional),
        Field::line("assessedBy", w.assessed_by, kept("assessedBy", who)),
        Field::line("assessedOn", w.assessed_on, kept("assessedOn", day(0))).kind("date", ""),
        Field::line("reviewBy", w.review_by, kept("reviewBy", day(365))).kind("date", ""),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

async fn page(s: &Signed, id: &str, wrong: &[(&str, String)], harm: &[(String, String)], general: &str) -> Answer {
    let thing = s.call(&GET, ThingRef { id: id.to_owned(), tenant: None }).await?.thing;
    let now = s.call(&bia::GET, AssessmentRef { id: thing.id.clone(), tenant: None }).await?;
    let p = s.p();
    let (steps, fields) = (steps(s, &now, harm), fields(s, &now, wrong));
    let all: Vec<&Field> = steps.iter().flat_map(|step| [&step.after, &step.level]).chain(&fields).collect();
    let summary = Summary::gather(s.t().frame.form_wrong, &all, general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let level = |(at, level): (usize, &Level)| {
        let much = amount(p, level.amount, &now.scale.unit);
        (level_name(p, &now.scale, at), much, at >= now.scale.intolerable)
    };
    let levels = now.scale.levels.iter().enumerate().map(level).collect();
    Ok(show(status, &AssessPage { p, id: thing.id, name: thing.name, summary, steps, fields, levels }))
}

/// `GET /inventory/{id}/assessment`
pub(crate) async fn form(s: Signed, Path(id): Path<String>) -> Answer {
    page(&s, &id, &[], &[], "").await
}

/// What the form says; the name of the field that does not read, and why. With it, which line of
/// the form each step of harm came from.
fn read(s: &Signed, id: &str) -> std::result::Result<(Assess, Vec<usize>), (String, String)> {
    let form = &s.visit.form;
    let span = |name: &str| csv::seconds(form.get(name)).map_err(|e| (name.to_owned(), said(s, &e)));
    let objective = |name: &str| match form.get(name) {
        "" => Ok(None),
        _ => span(name).map(Some),
    };
    let (mut harm, mut lines) = (Vec::new(), Vec::new());
    for n in (0..12).filter(|n| !form.get(&format!("after{n}")).is_empty()) {
        let level = form.get(&format!("level{n}")).parse().unwrap_or(usize::MAX);
        harm.push(HarmAt { after_seconds: span(&format!("after{n}"))?, level });
        lines.push(n);
    }
    let assess = Assess {
        id: id.to_owned(),
        tenant: None,
        revision: None,
        harm,
        rto_seconds: objective("rto")?,
        rpo_seconds: objective("rpo")?,
        minimum: form.get("minimum").replace('\r', ""),
        assessed_by: form.get("assessedBy").to_owned(),
        assessed_on: form.get("assessedOn").to_owned(),
        review_by: form.get("reviewBy").to_owned(),
    };
    Ok((assess, lines))
}

/// The field of the form that an attribute of the input came from.
fn field_of(attribute: &str, lines: &[usize]) -> Option<String> {
    if let Some(rest) = attribute.strip_prefix("harm.") {
        let (n, what) = rest.split_once('.')?;
        let line = lines.get(n.parse::<usize>().ok()?)?;
        return Some(format!("{}{line}", if what == "level" { "level" } else { "after" }));
    }
    let name = match attribute {
        "harm" => "after0",
        "rtoSeconds" => "rto",
        "rpoSeconds" => "rpo",
        "minimum" | "assessedBy" | "assessedOn" | "reviewBy" => attribute,
        _ => return None,
    };
    Some(name.to_owned())
}

async fn refuse(s: &Signed, id: &str, field: Option<String>, words: String) -> Answer {
    match field {
        Some(name) if name.starts_with("after") || name.starts_with("level") => {
            page(s, id, &[], &[(name, words)], "").await
        }
        Some(name) => page(s, id, &[(name.as_str(), words)], &[], "").await,
        None => page(s, id, &[], &[], &words).await,
    }
}

/// `POST /inventory/{id}/assessment`
pub(crate) async fn assess(s: Signed, Path(id): Path<String>) -> Answer {
    let (assess, lines) = match read(&s, &id) {
        Ok(read) => read,
        Err((name, words)) => return refuse(&s, &id, Some(name), words).await,
    };
    match s.call(&bia::ASSESS, assess).await {
        Ok(found) => Ok(done(&s.portal, &format!("/inventory/{}", found.id), "saved")),
        Err(error) if correctable(&error) => {
            let field = field_of(error.attribute().unwrap_or_default(), &lines);
            refuse(&s, &id, field, said(&s, &error)).await
        }
        Err(error) => Err(error.into()),
    }
}

// The scale.

fn scale_fields(s: &Signed, scale: &HarmScale, wrong: &[(String, String)]) -> Vec<Field> {
    let (p, w, form) = (s.p(), &s.t().inventory, &s.visit.form);
    let kept = |name: &str, or: String| if form.has(name) { form.get(name).to_owned() } else { or };
    let mut fields = vec![Field::line("unit", w.unit, kept("unit", unit(p, &scale.unit))).hint(w.unit_hint)];
    let count = STEPS.max(scale.levels.len());
    for n in 0..count {
        let known = scale.levels.get(n);
        let name = known.map(|_| level_name(p, scale, n)).unwrap_or_default();
        let much = known.map(|level| level.amount.to_string()).unwrap_or_default();
        let (called, amounts) = (format!("level{n}"), format!("amount{n}"));
        let (name, much) = (kept(&called, name), kept(&amounts, much));
        fields.push(Field::line(called, p.with(w.level_name, n + 1), name).free());
        fields.push(Field::line(amounts, p.with(w.level_amount, n + 1), much).free());
    }
    let chosen = kept("intolerable", scale.intolerable.to_string());
    let choice = |n: usize| {
        let mut choice = Choice::new(n.to_string(), (n + 1).to_string());
        choice.chosen = n.to_string() == chosen;
        choice
    };
    fields.push(Field::select("intolerable", w.intolerable, (0..count).map(choice).collect()));
    let error = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    fields.into_iter().map(error).collect()
}

async fn scale_page(s: &Signed, wrong: &[(String, String)], general: &str) -> Answer {
    let (p, w) = (s.p(), &s.t().inventory);
    let scale = s.call(&bia::GET_SCALE, ScaleRef::default()).await?;
    let fields = scale_fields(s, &scale, wrong);
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/inventory", w.title)]),
        title: w.scale.to_owned(),
        lead: format!("{} {}", w.scale_lead, w.level_hint),
        summary,
        action: "/inventory/scale".to_owned(),
        fields,
        button: w.save.to_owned(),
        back: "/inventory".to_owned(),
    };
    Ok(show(status, &view))
}

/// `GET /inventory/scale`
pub(crate) async fn scale_form(s: Signed) -> Answer {
    match crate::inventory::may_edit(&s) {
        true => scale_page(&s, &[], "").await,
        // Whoever may not change it sees it on each assessment.
        false => Err(Error::forbidden("action.forbidden", "your roles do not include this action").into()),
    }
}

fn read_scale(s: &Signed) -> Result<(SetScale, Vec<usize>)> {
    let form = &s.visit.form;
    let (mut levels, mut lines) = (Vec::new(), Vec::new());
    for n in (0..12).filter(|n| !form.get(&format!("level{n}")).is_empty()) {
        let digits = form.get(&format!("amount{n}")).replace([',', ' '], "");
        let wrong = || {
            Error::invalid("scale.amount", "an amount is a whole number").at(format!("levels.{}.amount", levels.len()))
        };
        let amount = digits.parse().map_err(|_| wrong());
        lines.push(n);
        let level = Level { name: form.get(&format!("level{n}")).to_owned(), amount: amount? };
        levels.push(level);
    }
    let chosen: usize = form.get("intolerable").parse().unwrap_or(usize::MAX);
    let intolerable = lines.iter().position(|line| *line == chosen).unwrap_or(usize::MAX);
    let unit = form.get("unit").to_owned();
    Ok((SetScale { tenant: None, revision: None, unit, levels, intolerable }, lines))
}

/// `POST /inventory/scale`
pub(crate) async fn set_scale(s: Signed) -> Answer {
    let (result, lines) = match read_scale(&s) {
        Ok((scale, lines)) => (s.call(&bia::SET_SCALE, scale).await.map(drop), lines),
        Err(error) => (Err(error), (0..12).collect()),
    };
    let Err(error) = result else { return Ok(done(&s.portal, "/inventory", "saved")) };
    if !correctable(&error) {
        return Err(error.into());
    }
    let words = said(&s, &error);
    let attribute = error.attribute().unwrap_or_default().to_owned();
    let level = attribute.strip_prefix("levels.").and_then(|rest| rest.split_once('.'));
    let level = level.and_then(|(n, what)| Some((lines.get(n.parse::<usize>().ok()?)?, what)));
    match (level, attribute.as_str()) {
        (Some((line, "name")), _) => scale_page(&s, &[(format!("level{line}"), words)], "").await,
        (Some((line, _)), _) => scale_page(&s, &[(format!("amount{line}"), words)], "").await,
        (None, "unit" | "intolerable") => scale_page(&s, &[(attribute, words)], "").await,
        (None, _) => scale_page(&s, &[], &words).await,
    }
}

/// All assessments at a glance.
#[derive(Template)]
#[template(path = "inventory/assessments.html")]
pub(crate) struct AssessmentsPage<'a> {
    pub p: &'a Page,
    pub rows: Vec<AssessmentRow>,
    pub may_edit: bool,
}

/// An activity in that list.
#[derive(Clone, Debug)]
pub(crate) struct AssessmentRow {
    pub id: String,
    pub name: String,
    /// (MTPD, RTO, RPO, to be reviewed by, whether that has passed)
    pub judged: Option<(String, String, String, String, bool)>,
}

/// `GET /inventory/assessments`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, w) = (s.p(), &s.t().inventory);
    let found = s.call(&bia::LIST, Default::default()).await?;
    let span = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |value| seconds(p, value));
    let row = |(id, name): (&String, &String)| {
        let one = found.items.iter().find(|one| one.activity == *id);
        let judged = one.map(|one| {
            let spans = [span(one.mtpd_seconds, w.mtpd_none), span(one.rto_seconds, "–"), span(one.rpo_seconds, "–")];
            let [mtpd, rto, rpo] = spans;
            (mtpd, rto, rpo, one.review_by.clone(), one.review_overdue)
        });
        AssessmentRow { id: id.clone(), name: name.clone(), judged }
    };
    let rows = found.activities.iter().map(row).collect();
    Ok(ok(&AssessmentsPage { p, rows, may_edit: crate::inventory::may_edit(&s) }))
}
