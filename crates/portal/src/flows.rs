//! Runs of flows: as an order's progress, and as operations decide about them.

use crate::i18n::{Lang, Messages, said_of};
use crate::live;
use crate::operator::{FlowPage, FlowProgress, FlowRow, Flows, JournalRow};
use crate::page::{Page, ok, show};
use crate::records::ROWS;
use crate::ui::{Confirm, Field, Step, StepState, Steps, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::time::Timestamp;
use base::{Error, Kind, Result};
use db::Record;
use durable::flows::{
    Failure, JournalEvent, RunDetail, RunSummary, State, StepProgress, StepState as Progress, Title, ToSkip,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// A page of runs.
#[derive(Debug, Deserialize)]
pub(crate) struct Runs {
    pub items: Vec<RunSummary>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Journal {
    input: Json,
    events: Vec<JournalEvent>,
}

fn title(lang: Lang, title: &Title) -> String {
    match lang {
        Lang::Zh => title.zh_tw.clone(),
        Lang::En => title.en.clone(),
    }
}

/// Lists runs.
pub(crate) async fn runs(s: &Signed, ask: Json) -> Result<Runs> {
    s.named("flow.list", ask).await
}

async fn detail(s: &Signed, id: &str) -> Result<RunDetail> {
    s.named("flow.get", json!({ "id": id })).await
}

/// What is seen of the runs that carry an order out.
#[derive(Default)]
pub(crate) struct Carried {
    pub steps: Option<Steps>,
    /// The run to look at.
    pub run: Option<String>,
    /// Whether one waits for a person.
    pub stuck: bool,
    /// On whose authority they run: who placed the order.
    pub requested_by: String,
}

/// What carries an order out. One without a run (it was refused, or has only
/// just been accepted) shows nothing of it.
pub(crate) async fn of_order(s: &Signed, order: &Record) -> Result<Carried> {
    let found = match runs(s, json!({ "subject": order.id, "limit": 20 })).await {
        Ok(found) => found.items,
        // Some may see their orders but not how they come about.
        Err(error) if error.kind() == Kind::Forbidden => return Ok(Carried::default()),
        Err(error) => return Err(error),
    };
    let first = found.last();
    let mut carried = Carried {
        run: first.map(|run| run.id.to_string()),
        stuck: found.iter().any(|run| run.state == State::Stuck),
        requested_by: first.map(|run| run.requested_by.clone()).unwrap_or_default(),
        ..Carried::default()
    };
    let mut steps = Vec::new();
    for run in found.iter().rev() {
        steps.extend(steps_of(s.p(), &detail(s, &run.id.to_string()).await?));
    }
    carried.steps = (!steps.is_empty()).then(|| told(s.p(), steps));
    Ok(carried)
}

/// Steps with what is said aloud when they change.
fn told(p: &Page, steps: Vec<Step>) -> Steps {
    let o = &p.t.ordering;
    let done = steps.iter().filter(|s| matches!(s.state, StepState::Done | StepState::Skipped)).count();
    let spoken = if steps.iter().any(|s| s.state == StepState::Failed) {
        o.progress_failed.to_owned()
    } else if done == steps.len() {
        o.progress_done.to_owned()
    } else {
        p.with2(o.progress_of, (done + 1).min(steps.len()), steps.len())
    };
    Steps { steps, spoken, words: &p.t.state }
}

/// The steps of a run that is shown as part of something else.
pub(crate) fn progress(p: &Page, detail: &RunDetail) -> Steps {
    told(p, steps_of(p, detail))
}

fn steps_of(p: &Page, detail: &RunDetail) -> Vec<Step> {
    detail.steps.iter().map(|step| step_of(p, step)).collect()
}

fn step_of(p: &Page, step: &StepProgress) -> Step {
    let state = match step.state {
        Progress::Pending => StepState::Waiting,
        Progress::Running | Progress::Waiting | Progress::Undoing => StepState::Running,
        Progress::Done => StepState::Done,
        Progress::Skipped => StepState::Skipped,
        Progress::Failed | Progress::Stuck => StepState::Failed,
        Progress::Undone => StepState::Undone,
    };
    let why = match (&step.failure, step.state) {
        (_, Progress::Done | Progress::Skipped | Progress::Pending) => String::new(),
        (Some(failure), _) => words(p, failure, step.failures),
        (None, Progress::Undoing) => p.t.state.unwinding.to_owned(),
        (None, _) => String::new(),
    };
    let until = step.finished.or((state == StepState::Running).then_some(p.now));
    let took = match (step.started, until) {
        (Some(from), Some(until)) if step.finished.is_some() => crate::fmt::took(millis(from, until), p.t),
        (Some(from), Some(until)) => p.span(millis(from, until) / 1000),
        _ => String::new(),
    };
    Step { state, name: title(p.lang, &step.title), why, took }
}

fn millis(from: Timestamp, until: Timestamp) -> i64 {
    until.as_millisecond() - from.as_millisecond()
}

/// What went wrong, and how often it was tried.
fn words(p: &Page, failure: &Failure, times: u32) -> String {
    let said = said_of(p.lang, &failure.code, &failure.message);
    if p.operator() { format!("{said} ({}) · {}", failure.code, p.with(p.t.operator.attempt_n, times)) } else { said }
}

/// What a run is about, where it stands: a row of a list.
async fn rows(s: &Signed, found: &[RunSummary]) -> Vec<FlowRow> {
    let names = crate::customers::names(s, found.iter().map(|run| run.tenant)).await;
    found
        .iter()
        .map(|run| FlowRow {
            id: run.id.to_string(),
            name: run.flow.clone(),
            subject: format!("{} {}", run.subject_kind, run.subject_id),
            customer: names.get(&run.tenant).cloned().unwrap_or_default(),
            state: run.state.word().to_owned(),
            step: run
                .failure
                .as_ref()
                .map(|f| if f.step.is_empty() { f.code.clone() } else { format!("{} ({})", f.step, f.code) })
                .unwrap_or_default(),
            started: run.created,
        })
        .collect()
}

/// Runs that wait for a person, for the overview.
pub(crate) async fn stuck(s: &Signed) -> Result<Vec<FlowRow>> {
    let found = runs(s, json!({ "state": "stuck", "limit": 10 })).await?;
    Ok(rows(s, &found.items).await)
}

/// `GET /operator/flows`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, o) = (s.p(), &s.t().operator);
    let which = s.visit.query.get("show").to_owned();
    let state = match which.as_str() {
        "all" => None,
        "running" => Some("running"),
        "waiting" => Some("waiting"),
        "undone" => Some("undone"),
        _ => Some("stuck"),
    };
    let after = s.visit.query.get("after").to_owned();
    let mut ask = json!({ "limit": ROWS });
    if let Some(state) = state {
        ask["state"] = state.into();
    }
    if !after.is_empty() {
        ask["after"] = after.clone().into();
    }
    let found = runs(&s, ask).await?;
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { "/operator/flows".to_owned() } else { format!("/operator/flows?show={key}") };
        (href, label.to_owned(), which == key)
    };
    let st = &s.t().state;
    let tabs = Tabs {
        label: s.t().frame.flows.to_owned(),
        links: vec![
            tab("", o.tab_attention),
            tab("running", o.tab_running),
            tab("waiting", st.waiting),
            tab("undone", st.unwound),
            tab("all", o.tab_all),
        ],
    };
    let base = if which.is_empty() {
        "/operator/flows".to_owned()
    } else {
        format!("/operator/flows?show={}", crate::http::encode(&which))
    };
    let pager = p.pager(&base, found.items.len(), found.next.as_deref(), !after.is_empty());
    let flows = rows(&s, &found.items).await;
    Ok(ok(&Flows { p, tabs, flows, pager }))
}

/// `GET /operator/flows/{id}`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    flow_page(&s, &id, None, StatusCode::OK).await
}

async fn flow_page(s: &Signed, id: &str, refused: Option<String>, status: StatusCode) -> Answer {
    let run = detail(s, id).await?;
    let journal: Journal = s.named("flow.journal", json!({ "id": id })).await?;
    let names = crate::customers::names(s, [run.run.tenant]).await;
    let mut page = s.p().clone();
    let live = !run.run.state.is_final() && run.run.state != State::Stuck;
    page.refresh = live.then_some(3);
    let p = &page;
    let problem = (run.run.state == State::Stuck).then(|| {
        let failure = run.run.failure.as_ref();
        failure.map_or_else(
            || p.t.frame.unknown.to_owned(),
            |f| format!("{}: {} ({})", f.step, said_of(p.lang, &f.code, &f.message), f.code),
        )
    });
    let decisions = if problem.is_some() || live { decisions(p, &run) } else { Vec::new() };
    let order = (run.run.subject_kind == "productOrder")
        .then(|| (format!("/orders/{}", run.run.subject_id), run.run.subject_id.clone()));
    let mut rows: Vec<JournalRow> = journal.events.iter().map(|event| journal_row(p, event)).collect();
    rows.extend(run.decisions.iter().map(|d| JournalRow {
        at: d.at,
        step: d.step.clone(),
        event: decision_word(p.t, &d.verb).to_owned(),
        detail: format!("{} · {}", d.actor, d.reason),
        output: String::new(),
    }));
    rows.sort_by_key(|row| row.at);
    let view = FlowPage {
        p,
        id: id.to_owned(),
        name: title(p.lang, &run.title),
        version: format!("{} {}", run.run.flow, run.run.version),
        subject: format!("{} {}", run.run.subject_kind, run.run.subject_id),
        customer: names.get(&run.run.tenant).cloned().unwrap_or_else(|| run.run.tenant.to_string()),
        order,
        state: run.run.state.word().to_owned(),
        live,
        started: run.run.created,
        steps: told(p, steps_of(p, &run)),
        refused,
        problem,
        decisions,
        journal: rows,
        input: serde_json::to_string_pretty(&journal.input).unwrap_or_default(),
    };
    Ok(show(status, &view))
}

fn journal_row(p: &Page, event: &JournalEvent) -> JournalRow {
    let (detail, output) = match event.detail.get("code").and_then(Json::as_str) {
        Some(code) => {
            let message = event.detail.get("message").and_then(Json::as_str).unwrap_or_default();
            (format!("{code}: {}", said_of(p.lang, code, message)), String::new())
        }
        None => (String::new(), pretty(&event.detail)),
    };
    JournalRow {
        at: event.at,
        step: event.step.clone(),
        event: event_word(p.t, event.event.word()).to_owned(),
        detail,
        output,
    }
}

/// What a step gave, as people read JSON; empty where it gave nothing.
fn pretty(detail: &Json) -> String {
    let empty = |json: &Json| json.is_null() || json.as_object().is_some_and(serde_json::Map::is_empty);
    let given = detail.get("output").unwrap_or(detail);
    if empty(given) { String::new() } else { serde_json::to_string_pretty(given).unwrap_or_default() }
}

fn event_word<'w>(t: &'static Messages, word: &'w str) -> &'w str {
    match word {
        "started" => t.operator.event_started,
        "succeeded" => t.operator.event_succeeded,
        "failed" => t.operator.event_failed,
        "undo_started" => t.operator.event_undoing,
        "undo_finished" => t.operator.event_undone,
        "undo_failed" => t.operator.event_undo_failed,
        other => other,
    }
}

fn decision_word<'w>(t: &'static Messages, verb: &'w str) -> &'w str {
    match verb {
        "retry" => t.operator.retry,
        "skip" => t.operator.skip,
        "unwind" => t.operator.unwind,
        "give_up" => t.operator.give_up,
        other => other,
    }
}

/// What a person may decide: everything about a stuck run, only to turn round
/// one that is on its way.
fn decisions(p: &Page, run: &RunDetail) -> Vec<Confirm> {
    let stuck = run.run.state == State::Stuck;
    ["retry", "skip", "unwind", "give_up"]
        .into_iter()
        .filter(|verb| stuck || *verb == "unwind")
        .map(|verb| question(p, run, verb, &Typed::default(), false))
        .collect()
}

/// What was typed into a decision, and what is wrong with it.
#[derive(Default)]
struct Typed {
    reason: String,
    no_reason: &'static str,
    output: String,
    wrong_output: String,
}

fn question(p: &Page, run: &RunDetail, verb: &'static str, typed: &Typed, page: bool) -> Confirm {
    let (o, id) = (&p.t.operator, run.run.id);
    let (title, body, button, danger) = match verb {
        "retry" => (o.retry_title, o.retry_body, o.retry, false),
        "skip" => (o.skip_title, o.skip_body, o.skip, false),
        "unwind" => (o.unwind_title, o.unwind_body, o.unwind, true),
        _ => (o.give_up_title, o.give_up_body, o.give_up, true),
    };
    // In a dialog each field needs an id of its own; the name is the same.
    let reason = Field::area("reason", p.t.frame.reason, typed.reason.as_str()).hint(p.t.frame.reason_hint);
    let mut fields = vec![reason.error(typed.no_reason).within(verb)];
    fields.extend(run.to_skip.as_ref().filter(|_| verb == "skip").and_then(|what| output_field(p, what, typed)));
    Confirm {
        id: verb,
        action: format!("/operator/flows/{id}/{verb}"),
        csrf: p.csrf.clone(),
        title: title.to_owned(),
        body: body.to_owned(),
        fields,
        hidden: vec![],
        button: button.to_owned(),
        danger,
        cancel: p.t.frame.cancel,
        back: format!("/operator/flows/{id}"),
        page,
    }
}

/// Asks for what a step would have given; not of a step that gives nothing.
fn output_field(p: &Page, what: &ToSkip, typed: &Typed) -> Option<Field> {
    let o = &p.t.operator;
    let members = what.output.get("properties").and_then(Json::as_object).filter(|members| !members.is_empty())?;
    let named: Vec<String> = members.iter().map(|(name, schema)| member(name, schema)).collect();
    let field = Field::area("output", o.skip_output, typed.output.as_str())
        .rows(6)
        .hint(p.with(o.skip_output_hint, named.join(", ")))
        .error(typed.wrong_output.as_str())
        .within("skip");
    Some(if what.needed { field } else { field.optional(p.t.frame.optional) })
}

/// A member with its type, where its schema says one.
fn member(name: &str, schema: &Json) -> String {
    match schema.get("type") {
        Some(Json::String(word)) => format!("{name} ({word})"),
        Some(Json::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            format!("{name} ({})", words.join(" | "))
        }
        _ => name.to_owned(),
    }
}

fn verb(text: &str) -> Result<(&'static str, &'static str)> {
    let known =
        [("retry", "flow.retry"), ("skip", "flow.skip"), ("unwind", "flow.unwind"), ("give_up", "flow.give_up")];
    known
        .into_iter()
        .find(|(word, _)| *word == text)
        .ok_or_else(|| Error::not_found("page.not_found", "there is no such decision"))
}

/// `GET /operator/flows/{id}/{verb}`
pub(crate) async fn ask(s: Signed, Path((id, text)): Path<(String, String)>) -> Answer {
    let (verb, _) = verb(&text)?;
    let run = detail(&s, &id).await?;
    Ok(ask_page(&s, &run, verb, &Typed::default(), StatusCode::OK))
}

fn ask_page(s: &Signed, run: &RunDetail, verb: &'static str, typed: &Typed, status: StatusCode) -> Response {
    let confirm = question(s.p(), run, verb, typed, true);
    let summary = Summary::gather(s.t().frame.form_wrong, &confirm.fields.iter().collect::<Vec<_>>(), "");
    show(status, &crate::account::ConfirmPage { p: s.p(), summary, confirm })
}

/// `POST /operator/flows/{id}/{verb}`
pub(crate) async fn decide(s: Signed, Path((id, text)): Path<(String, String)>) -> Answer {
    let (verb, action) = verb(&text)?;
    let said = |name: &str| s.visit.form.get(name).to_owned();
    let mut typed = Typed { reason: said("reason"), output: said("output"), ..Typed::default() };
    let mut ask = json!({ "id": id, "reason": typed.reason });
    if typed.reason.is_empty() {
        typed.no_reason = s.t().errors.field_required;
    }
    if verb == "skip" && !typed.output.is_empty() {
        match serde_json::from_str::<Json>(&typed.output) {
            Ok(output) => ask["output"] = output,
            Err(error) => typed.wrong_output = s.p().with(s.t().operator.skip_output_json, error),
        }
    }
    if !(typed.no_reason.is_empty() && typed.wrong_output.is_empty()) {
        return Ok(ask_page(&s, &detail(&s, &id).await?, verb, &typed, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let s = Signed { cx: s.cx.because(&typed.reason), ..s };
    match s.named::<Json>(action, ask).await {
        Ok(_) => Ok(done(&s.portal, &format!("/operator/flows/{id}"), "decided")),
        Err(error) if error.attribute() == Some("output") => {
            let said = s.p().error(&error);
            // Which member it is, only the message says.
            typed.wrong_output = match said == error.message() {
                true => said,
                false => format!("{said} {}", error.message()),
            };
            Ok(ask_page(&s, &detail(&s, &id).await?, verb, &typed, StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Contended | Kind::Invalid) => {
            flow_page(&s, &id, Some(s.p().error(&error)), StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /operator/flows/{id}/events`
pub(crate) async fn events(s: Signed, Path(id): Path<String>) -> Answer {
    detail(&s, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let run = detail(&s, &id).await?;
            let over = run.run.state.is_final() || run.run.state == State::Stuck;
            let view = FlowProgress {
                p: s.p(),
                state: run.run.state.word().to_owned(),
                steps: told(s.p(), steps_of(s.p(), &run)),
            };
            Ok((live::fragment(&view)?, over))
        }
    }))
}
