//! Runbooks: read, written, and every version kept.

use super::{may_edit, tabs};
use crate::account::{ConfirmPage, correctable, said};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Control, Field, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};
use continuity::drills::plans::{self, ListPlans};
use continuity::runbooks::draft::{self, DraftOf};
use continuity::runbooks::sharing::{self, ShareRunbook};
use continuity::runbooks::{self, Begins, ChangeRunbook, Contents, ListRunbooks, Runbook, RunbookRef, Step};
use provisioning::services;

use crate::records::Ask;

/// How many empty steps a form offers below those that are there.
const EMPTY: usize = 3;

/// All runbooks, and services without one.
#[derive(Template)]
#[template(path = "plan/runbooks.html")]
pub(crate) struct RunbooksPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub runbooks: Vec<Runbook>,
    /// Those of customers that were shared with the operator.
    pub shared: Vec<Runbook>,
    /// (id, name)
    pub undescribed: Vec<(String, String)>,
    pub may_write: bool,
}

/// One runbook in one version.
#[derive(Template)]
#[template(path = "plan/runbook.html")]
pub(crate) struct RunbookPage<'a> {
    pub p: &'a Page,
    pub runbook: Runbook,
    pub versions: Vec<Runbook>,
    pub may_write: bool,
    pub may_end: bool,
    /// Whether it is another tenant's, which has shared it.
    pub theirs: bool,
    /// Whether the visitor shares it, or takes that back.
    pub may_share: bool,
}

/// The form of a runbook.
#[derive(Template)]
#[template(path = "plan/runbook_form.html")]
pub(crate) struct RunbookForm<'a> {
    pub p: &'a Page,
    pub title: String,
    pub action: String,
    pub back: String,
    pub version: i64,
    pub summary: Summary,
    pub head: Vec<Field>,
    /// The fields of each step.
    pub steps: Vec<Vec<Field>>,
}

/// Whether the visitor's roles let them write runbooks; the gate decides.
fn may_write(s: &Signed) -> bool {
    may_edit(s) || s.cx.has_role("member")
}

/// (id, name) of the services that the tenant has.
pub(crate) async fn living(s: &Signed) -> Result<Vec<(String, String)>> {
    let ask = Ask { limit: 100, conditions: crate::drills::living(), ..Ask::default() };
    let found = s.list(&services::SERVICE, ask).await?.records;
    let name = |record: &db::Record| crate::records::said(s.p().lang, &record.body, "name");
    Ok(found.iter().map(|record| (record.id.clone(), name(record))).collect())
}

/// `GET /plan/runbooks`
pub(crate) async fn page(s: Signed) -> Answer {
    let runbooks = s.call(&runbooks::LIST, ListRunbooks::default()).await?.items;
    let mut undescribed = if may_write(&s) { living(&s).await? } else { Vec::new() };
    undescribed.retain(|(id, _)| !runbooks.iter().any(|one| one.contents.service.as_ref() == Some(id)));
    let shared = match s.p().operator() {
        true => s.call(&runbooks::LIST, ListRunbooks { service: None, shared: true }).await?.items,
        false => Vec::new(),
    };
    let (tabs, may_write) = (tabs(s.p(), "/plan/runbooks"), may_write(&s));
    Ok(ok(&RunbooksPage { p: s.p(), tabs, runbooks, shared, undescribed, may_write }))
}

async fn find(s: &Signed, id: &str) -> Result<Runbook> {
    let version = s.visit.query.get("version").parse().ok();
    s.call(&runbooks::GET, RunbookRef { id: id.parse()?, version }).await
}

/// `GET /plan/runbooks/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    let runbook = find(&s, &id).await?;
    let versions = s.call(&runbooks::VERSIONS, RunbookRef { id: runbook.id, version: None }).await?.items;
    let theirs = runbook.tenant != s.cx.tenant();
    let changeable = runbook.is_newest && runbook.ended_at.is_none() && !theirs;
    let (may_write, may_end) = (changeable && may_write(&s), changeable && may_edit(&s));
    let may_share = may_end && !s.p().operator();
    Ok(ok(&RunbookPage { p: s.p(), runbook, versions, may_write, may_end, theirs, may_share }))
}

/// `POST /plan/runbooks/{id}/share`
pub(crate) async fn share(s: Signed, Path(id): Path<String>) -> Answer {
    let shared = s.visit.form.get("shared") == "true";
    s.call(&sharing::SHARE, ShareRunbook { id: id.parse()?, shared }).await?;
    Ok(done(&s.portal, &format!("/plan/runbooks/{id}"), "saved"))
}

/// What a step may begin here, as a choice: (word, name).
async fn beginnings(s: &Signed) -> Result<Vec<(String, String)>> {
    let t = &s.t().plan;
    let restores = living(s).await?;
    let drills = s.call(&plans::LIST, ListPlans::default()).await?.items;
    let restores = restores.into_iter().map(|(id, name)| (format!("restore:{id}"), s.p().with(t.begins_restore, name)));
    let drills = drills.into_iter().map(|one| (format!("drill:{}", one.id), s.p().with(t.begins_drill, one.name)));
    Ok(std::iter::once((String::new(), t.begins_nothing.to_owned())).chain(restores).chain(drills).collect())
}

fn word(begins: Option<&Begins>) -> String {
    match begins {
        None => String::new(),
        Some(Begins::Drill { plan }) => format!("drill:{plan}"),
        Some(Begins::Restore { service }) => format!("restore:{service}"),
    }
}

fn choices(all: &[(String, String)], chosen: &str) -> Vec<Choice> {
    all.iter().map(|(value, label)| Choice { chosen: value == chosen, ..Choice::new(value, label) }).collect()
}

fn step_fields(s: &Signed, at: usize, step: Option<&Step>, begins: &[(String, String)]) -> Vec<Field> {
    let (t, f) = (&s.t().plan, &s.t().frame);
    let of = |read: fn(&Step) -> &str| step.map(read).unwrap_or_default().to_owned();
    let minutes = step.and_then(|step| step.minutes).map(|minutes| minutes.to_string()).unwrap_or_default();
    let (min, max, unit) = (Some("0".to_owned()), None, s.t().drills.minutes.to_owned());
    let minutes = Control::Number { value: minutes, min, max, step: "1".into(), unit, slider: false };
    let chosen = word(step.and_then(|step| step.begins.as_ref()));
    vec![
        Field::area(format!("text-{at}"), s.p().with(t.step_of, at + 1), of(|step| &step.text)).free(),
        Field::line(format!("who-{at}"), t.who, of(|step| &step.who)).optional(f.optional),
        Field::number(format!("minutes-{at}"), t.takes, minutes).optional(f.optional),
        Field::line(format!("shows-{at}"), t.shows, of(|step| &step.shows)).optional(f.optional),
        Field::select(format!("begins-{at}"), t.begins, choices(begins, &chosen)),
    ]
}

/// Where a form leads, and what it is called.
struct Place {
    title: String,
    action: String,
    back: String,
    version: i64,
}

impl Place {
    fn new(s: &Signed) -> Place {
        let title = s.t().plan.new_runbook.to_owned();
        Place { title, action: "/plan/runbooks/new".into(), back: "/plan/runbooks".into(), version: 0 }
    }

    fn of(runbook: &Runbook) -> Place {
        let back = format!("/plan/runbooks/{}", runbook.id);
        let (title, action) = (runbook.contents.title.clone(), format!("{back}/edit"));
        Place { title, action, back, version: runbook.version }
    }
}

async fn form(s: &Signed, place: Place, now: &Contents, wrong: &str, general: &str) -> Answer {
    let (t, f) = (&s.t().plan, &s.t().frame);
    let begins = beginnings(s).await?;
    let mut about = vec![(String::new(), t.about_none.to_owned())];
    about.extend(living(s).await?);
    let title = Field::line("title", t.title, now.title.clone()).error(wrong);
    let mut head = vec![
        title,
        Field::select("service", t.about, choices(&about, now.service.as_deref().unwrap_or_default())),
        Field::area("purpose", t.purpose, now.purpose.clone()).optional(f.optional),
    ];
    if place.version > 0 {
        head.push(Field::line("note", t.note, s.visit.form.get("note")).optional(f.optional));
    }
    let many = (now.steps.len() + EMPTY).min(runbooks::STEPS_MAX);
    let steps = (0..many).map(|at| step_fields(s, at, now.steps.get(at), &begins)).collect();
    let summary = Summary::gather(f.form_wrong, &head.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let Place { title, action, back, version } = place;
    Ok(show(status, &RunbookForm { p: s.p(), title, action, back, version, summary, head, steps }))
}

/// `GET /plan/runbooks/new`; with a service, what is known of it is written down already.
pub(crate) async fn new(s: Signed) -> Answer {
    let service = s.visit.query.get("service").to_owned();
    let contents = match service.is_empty() {
        true => Contents { title: String::new(), service: None, purpose: String::new(), steps: Vec::new() },
        false => s.call(&draft::DRAFT, DraftOf { id: service, locale: s.p().lang.code().to_owned() }).await?,
    };
    form(&s, Place::new(&s), &contents, "", "").await
}

/// `GET /plan/runbooks/{id}/edit`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    let runbook = find(&s, &id).await?;
    form(&s, Place::of(&runbook), &runbook.contents, "", "").await
}

fn begins(word: &str) -> Option<Begins> {
    match word.split_once(':')? {
        ("drill", plan) => Some(Begins::Drill { plan: plan.parse().ok()? }),
        ("restore", service) => Some(Begins::Restore { service: service.to_owned() }),
        _ => None,
    }
}

/// What was typed; steps without a text are left out.
fn typed(s: &Signed) -> Contents {
    let form = &s.visit.form;
    let step = |at: usize| {
        let of = |name: &str| form.get(&format!("{name}-{at}")).to_owned();
        Step {
            text: of("text"),
            who: of("who"),
            minutes: of("minutes").parse().ok(),
            shows: of("shows"),
            begins: begins(&of("begins")),
        }
    };
    let steps = (0..runbooks::STEPS_MAX).map(step).filter(|step| !step.text.is_empty());
    Contents {
        title: form.get("title").to_owned(),
        service: Some(form.get("service").to_owned()).filter(|service| !service.is_empty()),
        purpose: form.get("purpose").to_owned(),
        steps: steps.collect(),
    }
}

async fn refuse(s: &Signed, place: Place, contents: &Contents, error: Error) -> Answer {
    let words = said(s, &error);
    match error.attribute() {
        Some("title") => form(s, place, contents, &words, "").await,
        _ if correctable(&error) => form(s, place, contents, "", &words).await,
        _ => Err(error.into()),
    }
}

/// `POST /plan/runbooks/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let contents = typed(&s);
    match s.call(&runbooks::CREATE, contents.clone()).await {
        Ok(made) => Ok(done(&s.portal, &format!("/plan/runbooks/{}", made.id), "saved")),
        Err(error) => refuse(&s, Place::new(&s), &contents, error).await,
    }
}

/// `POST /plan/runbooks/{id}/edit`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let (contents, form) = (typed(&s), &s.visit.form);
    let (version, note) = (form.get("version").parse().ok(), form.get("note").to_owned());
    let input = ChangeRunbook { id: id.parse()?, version, note, contents: contents.clone() };
    match s.call(&runbooks::UPDATE, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("/plan/runbooks/{id}"), "saved")),
        Err(error) => {
            let place = Place::of(&find(&s, &id).await?);
            refuse(&s, place, &contents, error).await
        }
    }
}

/// `GET /plan/runbooks/{id}/end`
pub(crate) async fn ask_end(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), &s.t().plan);
    let found = find(&s, &id).await?;
    let confirm = Confirm {
        id: "end",
        action: format!("/plan/runbooks/{id}/end"),
        csrf: p.csrf.clone(),
        title: p.with(t.end_runbook_title, &found.contents.title),
        body: t.end_runbook_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: t.end_runbook.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("/plan/runbooks/{id}"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /plan/runbooks/{id}/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&runbooks::END, RunbookRef { id: id.parse()?, version: None }).await?;
    Ok(done(&s.portal, "/plan/runbooks", "saved"))
}
