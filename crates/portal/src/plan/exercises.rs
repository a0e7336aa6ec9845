//! Exercises: planned, held, written down.

use super::reviews::may_close;
use super::{date, form_page, may_edit, tabs, typed_findings};
use crate::account::{ConfirmPage, correctable, said};
use crate::i18n::Plan as Words;
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Field, Summary, Tabs, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::Error;
use continuity::drills::runs::{self, ListDrills};
use continuity::exercises::{
    self, ChangeExercise, Conclude, Exercise, ExerciseDetail, ExerciseRef, Mode, NewExercise, State, Terms,
};
use continuity::plan::Nothing;
use continuity::plan::findings::Finding;

/// An exercise in the list.
#[derive(Clone, Debug)]
pub(crate) struct ExerciseRow {
    pub mode: &'static str,
    pub exercise: Exercise,
}

/// All exercises.
#[derive(Template)]
#[template(path = "plan/exercises.html")]
pub(crate) struct ExercisesPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub exercises: Vec<ExerciseRow>,
    pub may_edit: bool,
}

/// One exercise.
#[derive(Template)]
#[template(path = "plan/exercise.html")]
pub(crate) struct ExercisePage<'a> {
    pub p: &'a Page,
    pub row: ExerciseRow,
    pub findings: Vec<Finding>,
    pub summary: Summary,
    /// The form that writes down what came of it; none where that is not to be done, or not by the visitor.
    pub conclude: Vec<Field>,
    pub may_edit: bool,
    pub may_close: bool,
}

pub(crate) fn mode(t: &'static Words, mode: Mode) -> &'static str {
    match mode {
        Mode::TableTop => t.mode_table_top,
        Mode::WalkThrough => t.mode_walk_through,
        Mode::Technical => t.mode_technical,
        Mode::Full => t.mode_full,
    }
}

const MODES: [(&str, Mode); 4] = [
    ("tableTop", Mode::TableTop),
    ("walkThrough", Mode::WalkThrough),
    ("technical", Mode::Technical),
    ("full", Mode::Full),
];

fn row(t: &'static Words, exercise: Exercise) -> ExerciseRow {
    ExerciseRow { mode: mode(t, exercise.terms.mode), exercise }
}

/// `GET /plan/exercises`
pub(crate) async fn page(s: Signed) -> Answer {
    let t = &s.t().plan;
    let all = s.call(&exercises::LIST, Nothing {}).await?.items;
    let exercises = all.into_iter().map(|one| row(t, one)).collect();
    Ok(ok(&ExercisesPage { p: s.p(), tabs: tabs(s.p(), "/plan/exercises"), exercises, may_edit: may_edit(&s) }))
}

fn fields(s: &Signed, now: Option<&Exercise>, wrong: &[(&str, String)]) -> Vec<Field> {
    let (t, f, form) = (&s.t().plan, &s.t().frame, &s.visit.form);
    let kept = |name: &str, or: Option<String>| {
        if form.has(name) { form.get(name).to_owned() } else { or.unwrap_or_default() }
    };
    let terms = now.map(|now| &now.terms);
    let current = terms.and_then(|terms| MODES.iter().find(|(_, mode)| *mode == terms.mode)).map(|(word, _)| *word);
    let chosen = kept("mode", Some(current.unwrap_or("tableTop").to_owned()));
    let notes = [t.mode_table_top_note, t.mode_walk_through_note, t.mode_technical_note, t.mode_full_note];
    let modes = MODES.iter().zip(notes).map(|((word, known), note)| {
        let choice = Choice::new(*word, mode(t, *known)).note(note);
        Choice { chosen: *word == chosen, ..choice }
    });
    let people = terms.map(|terms| terms.participants.join("\n"));
    let watching = terms.map(|terms| terms.observers.join("\n"));
    let fields = [
        Field::line("name", f.name, kept("name", terms.map(|terms| terms.name.clone()))),
        Field::tiles("mode", t.mode, modes.collect()),
        Field::line("plannedAt", t.planned_at, kept("plannedAt", now.map(|now| crate::fmt::day(now.planned_at))))
            .kind("date", ""),
        Field::area("scenario", t.scenario, kept("scenario", terms.map(|terms| terms.scenario.clone())))
            .rows(5)
            .hint(t.scenario_hint),
        Field::line("lead", t.lead_by, kept("lead", terms.map(|terms| terms.lead.clone()))),
        Field::area("participants", t.participants, kept("participants", people))
            .hint(t.one_a_line)
            .optional(f.optional),
        Field::area("observers", t.observers, kept("observers", watching)).hint(t.observers_hint).optional(f.optional),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

fn form(s: &Signed, now: Option<&Exercise>, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, f) = (&s.t().plan, &s.t().frame);
    let (title, action) = match now {
        Some(now) => (now.terms.name.clone(), format!("/plan/exercises/{}/edit", now.id)),
        None => (t.new_exercise.to_owned(), "/plan/exercises/new".to_owned()),
    };
    let at = [("/plan", f.plan), ("/plan/exercises", t.tab_exercises)];
    Ok(form_page(s, &at, title, action, fields(s, now, wrong), general))
}

async fn find(s: &Signed, id: &str) -> base::Result<ExerciseDetail> {
    s.call(&exercises::GET, ExerciseRef { id: id.parse()? }).await
}

/// `GET /plan/exercises/new`
pub(crate) async fn new(s: Signed) -> Answer {
    form(&s, None, &[], "")
}

/// `GET /plan/exercises/{id}/edit`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    let now = find(&s, &id).await?.exercise;
    form(&s, Some(&now), &[], "")
}

/// What was typed into an area, one a line.
fn lines(s: &Signed, name: &str) -> Vec<String> {
    s.visit.form.get(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn typed(s: &Signed) -> Result<NewExercise, &'static str> {
    let form = &s.visit.form;
    let mode = MODES.iter().find(|(word, _)| *word == form.get("mode")).ok_or("mode")?.1;
    Ok(NewExercise {
        planned_at: date(s, "plannedAt")?.ok_or("plannedAt")?,
        terms: Terms {
            name: form.get("name").to_owned(),
            mode,
            scenario: form.get("scenario").to_owned(),
            lead: form.get("lead").to_owned(),
            participants: lines(s, "participants"),
            observers: lines(s, "observers"),
        },
    })
}

fn refuse(s: &Signed, now: Option<&Exercise>, error: Error) -> Answer {
    let words = said(s, &error);
    match error.attribute() {
        Some(at @ ("name" | "scenario" | "lead" | "participants" | "observers")) => form(s, now, &[(at, words)], ""),
        _ if correctable(&error) => form(s, now, &[], &words),
        _ => Err(error.into()),
    }
}

/// `POST /plan/exercises/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let new = match typed(&s) {
        Ok(new) => new,
        Err(at) => return form(&s, None, &[(at, s.t().errors.field_required.to_owned())], ""),
    };
    match s.call(&exercises::CREATE, new).await {
        Ok(made) => Ok(done(&s.portal, &format!("/plan/exercises/{}", made.id), "saved")),
        Err(error) => refuse(&s, None, error),
    }
}

/// `POST /plan/exercises/{id}/edit`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let now = find(&s, &id).await?.exercise;
    let exercise = match typed(&s) {
        Ok(exercise) => exercise,
        Err(at) => return form(&s, Some(&now), &[(at, s.t().errors.field_required.to_owned())], ""),
    };
    match s.call(&exercises::UPDATE, ChangeExercise { id: now.id, exercise }).await {
        Ok(_) => Ok(done(&s.portal, &format!("/plan/exercises/{id}"), "saved")),
        Err(error) => refuse(&s, Some(&now), error),
    }
}

/// The tenant's latest drills that have ended, to be named as part of an exercise.
async fn drills(s: &Signed) -> base::Result<Vec<Choice>> {
    let (p, form) = (s.p(), &s.visit.form);
    let asked = ListDrills { limit: Some(20), ..ListDrills::default() };
    let runs = s.call(&runs::LIST, asked).await?.items;
    let chosen = form.all("drills");
    let ended = runs.into_iter().filter(|run| run.state != runs::State::Running);
    Ok(ended
        .map(|run| {
            let label =
                format!("{} · {} · {}", run.body.plan_name, p.exact(&run.incident_at), p.state(run.state.word()).text);
            let id = run.id.to_string();
            Choice { chosen: chosen.contains(&id.as_str()), ..Choice::new(id, label) }
        })
        .collect())
}

async fn conclude_fields(s: &Signed, exercise: &Exercise, wrong: &[(&str, String)]) -> base::Result<Vec<Field>> {
    let (t, f, form) = (&s.t().plan, &s.t().frame, &s.visit.form);
    let result = [("passed", t.goals_met), ("notPassed", t.goals_missed)];
    let result =
        result.map(|(value, label)| Choice { chosen: form.get("result") == value, ..Choice::new(value, label) });
    let planned = exercise.terms.observers.join("\n");
    let observers = if form.has("observers") { form.get("observers").to_owned() } else { planned };
    let mut fields = vec![
        Field::line("heldAt", t.held_at, form.get("heldAt")).kind("date", "").hint(t.held_at_hint).optional(f.optional),
        Field::area("record", t.record, form.get("record")).rows(8).hint(t.record_hint),
        Field::tiles("result", t.result, result.to_vec()),
        Field::area("observers", t.observed, observers).hint(t.observers_hint).optional(f.optional),
        Field::area("findings", t.findings, form.get("findings")).hint(t.findings_hint).optional(f.optional),
        Field::line("findingsOwner", t.findings_owner, form.get("findingsOwner")).optional(f.optional),
        Field::line("findingsDue", t.findings_due, form.get("findingsDue")).kind("date", "").optional(f.optional),
        Field::line("findingsObserver", t.findings_observer, form.get("findingsObserver"))
            .hint(t.findings_observer_hint)
            .optional(f.optional),
    ];
    let drills = drills(s).await?;
    if !drills.is_empty() {
        let hint = if exercise.terms.mode.is_for_real() { t.drills_wanted } else { t.drills_hint };
        fields.insert(3, Field::boxes("drills", t.drills, drills).hint(hint).optional(f.optional));
    }
    Ok(fields.into_iter().map(|field| told(wrong, field)).collect())
}

async fn one(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let found = find(s, id).await?;
    let planned = found.exercise.state == State::Planned;
    let conclude = match planned && may_close(s) {
        true => conclude_fields(s, &found.exercise, wrong).await?,
        false => Vec::new(),
    };
    let summary = Summary::gather(s.t().frame.form_wrong, &conclude.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = ExercisePage {
        p: s.p(),
        row: row(&s.t().plan, found.exercise),
        findings: found.findings,
        summary,
        conclude,
        may_edit: planned && may_edit(s),
        may_close: may_close(s),
    };
    Ok(show(status, &view))
}

/// `GET /plan/exercises/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    one(&s, &id, &[], "").await
}

fn outcome(s: &Signed, id: &str) -> Result<Conclude, &'static str> {
    let form = &s.visit.form;
    let drills = form.all("drills").into_iter().map(str::parse).collect::<Result<_, _>>();
    let passed = match form.get("result") {
        "passed" => true,
        "notPassed" => false,
        _ => return Err("result"),
    };
    Ok(Conclude {
        id: id.parse().map_err(|_| "result")?,
        held_at: date(s, "heldAt")?.map(|day| day.min(s.p().now)),
        record: form.get("record").to_owned(),
        passed,
        drills: drills.map_err(|_| "drills")?,
        observers: Some(lines(s, "observers")),
        findings: typed_findings(s)?,
    })
}

/// `POST /plan/exercises/{id}`: what came of it.
pub(crate) async fn conclude(s: Signed, Path(id): Path<String>) -> Answer {
    let input = match outcome(&s, &id) {
        Ok(input) => input,
        Err(at) => return one(&s, &id, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    match s.call(&exercises::CONCLUDE, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("/plan/exercises/{id}"), "saved")),
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some("observedBy") => one(&s, &id, &[("findingsObserver", words)], "").await,
                Some(at @ ("record" | "heldAt" | "observers")) => one(&s, &id, &[(at, words)], "").await,
                Some("owner") => one(&s, &id, &[("findingsOwner", words)], "").await,
                _ if correctable(&error) => one(&s, &id, &[], &words).await,
                _ => Err(error.into()),
            }
        }
    }
}

/// `GET /plan/exercises/{id}/cancel`
pub(crate) async fn ask_cancel(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), &s.t().plan);
    let found = find(&s, &id).await?.exercise;
    let confirm = Confirm {
        id: "cancel",
        action: format!("/plan/exercises/{id}/cancel"),
        csrf: p.csrf.clone(),
        title: p.with(t.cancel_exercise_title, &found.terms.name),
        body: t.cancel_exercise_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: t.cancel_exercise.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("/plan/exercises/{id}"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /plan/exercises/{id}/cancel`
pub(crate) async fn cancel(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&exercises::CANCEL, ExerciseRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, &format!("/plan/exercises/{id}"), "saved"))
}
