//! The continuity plan: nine steps beside what is really there; team, versions, reviews, exercises,
//! runbooks; and all of it on paper.

pub(crate) mod exercises;
pub(crate) mod paper;
pub(crate) mod reviews;
pub(crate) mod runbooks;
pub(crate) mod team;
pub(crate) mod versions;

use crate::account::{FormPage, correctable, said};
use crate::i18n::{Plan as Words, fill};
use crate::page::{Page, ok, show};
use crate::ui::{Badge, Choice, Field, Summary, Tabs, Tone, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::Error;
use base::time::Timestamp;
use continuity::plan::Nothing;
use continuity::plan::findings::NewFinding;
use continuity::plan::links::{Link, Standing, What};
use continuity::plan::steps::{self, Both, ChangeStep, Phase, Plan, State, Step};

/// What is really there, in words.
#[derive(Clone, Debug)]
pub(crate) struct LinkRow {
    pub badge: Badge,
    pub text: String,
    /// What lacks or is late, by name.
    pub names: String,
    /// Where more is to be seen.
    pub href: &'static str,
}

/// A step in the list.
#[derive(Clone, Debug)]
pub(crate) struct StepRow {
    pub number: i64,
    pub phase: &'static str,
    pub title: String,
    pub owner: String,
    pub due: Option<Timestamp>,
    pub overdue: bool,
    pub contradicted: bool,
    pub state: &'static str,
    pub links: Vec<LinkRow>,
}

/// The plan.
#[derive(Template)]
#[template(path = "plan/show.html")]
pub(crate) struct PlanPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub steps: Vec<StepRow>,
    pub standing: String,
    pub waiting: Option<i64>,
    pub is_draft: bool,
    pub may_edit: bool,
    pub may_print: bool,
}

/// One step, with the form that changes it.
#[derive(Template)]
#[template(path = "plan/step.html")]
pub(crate) struct StepPage<'a> {
    pub p: &'a Page,
    pub row: StepRow,
    pub lead: String,
    pub clauses: String,
    pub text: String,
    pub summary: Summary,
    pub fields: Vec<Field>,
    pub revision: i64,
    pub may_edit: bool,
}

/// The text in the reader's language.
pub(crate) fn both(p: &Page, text: &Both) -> String {
    if p.lang == crate::i18n::Lang::Zh { text.zh.clone() } else { text.en.clone() }
}

/// Where the visitor is within the plan.
pub(crate) fn tabs(p: &Page, here: &str) -> Tabs {
    let t = &p.t.plan;
    let all = [
        ("/plan", t.tab_steps),
        ("/plan/team", t.tab_team),
        ("/plan/runbooks", t.tab_runbooks),
        ("/plan/exercises", t.tab_exercises),
        ("/plan/reviews", t.tab_reviews),
        ("/plan/versions", t.tab_versions),
    ];
    let links = all.into_iter().filter(|(href, _)| p.offers(href));
    let links = links.map(|(href, label)| (href.to_owned(), label.to_owned(), href == here));
    Tabs { label: t.sections.to_owned(), links: links.collect() }
}

/// Whether the visitor's roles let them work on the plan; the gate decides.
pub(crate) fn may_edit(s: &Signed) -> bool {
    ["owner", "administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

/// Whether they may see telephones and addresses.
pub(crate) fn may_see_people(s: &Signed) -> bool {
    may_edit(s) || ["member", "auditor"].iter().any(|role| s.cx.has_role(role))
}

/// A form of the plan on a page of its own.
pub(crate) fn form_page(
    s: &Signed,
    above: &[(&str, &str)],
    title: String,
    action: String,
    fields: Vec<Field>,
    general: &str,
) -> Response {
    let p = s.p();
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let back = above.last().map_or("/plan", |(href, _)| *href).to_owned();
    let (crumbs, lead, button) = (p.crumbs(above), String::new(), s.t().frame.save.to_owned());
    show(status, &FormPage { p, crumbs, title, lead, summary, action, fields, button, back })
}

/// The last second of the day in a date field, or the name of the field that is no date.
pub(crate) fn date(s: &Signed, name: &'static str) -> Result<Option<Timestamp>, &'static str> {
    crate::fmt::end_of_day(s.visit.form.get(name)).map_err(|()| name)
}

/// What was found: one a line, all with one owner and one date.
pub(crate) fn typed_findings(s: &Signed) -> Result<Vec<NewFinding>, &'static str> {
    let form = &s.visit.form;
    let lines: Vec<&str> = form.get("findings").lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let due_at = date(s, "findingsDue")?.ok_or("findingsDue")?;
    let owner = form.get("findingsOwner").to_owned();
    let observed_by = Some(form.get("findingsObserver").to_owned()).filter(|name| !name.is_empty());
    let finding = |text: &str| NewFinding {
        text: text.to_owned(),
        owner: owner.clone(),
        due_at,
        observed_by: observed_by.clone(),
    };
    Ok(lines.into_iter().map(finding).collect())
}

fn phase(t: &'static Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Plan => t.phase_plan,
        Phase::Do => t.phase_do,
        Phase::Check => t.phase_check,
        Phase::Act => t.phase_act,
    }
}

/// What a link says, and where more is to be seen.
fn words(t: &'static Words, what: What) -> (&'static str, &'static str) {
    match what {
        What::Scope => (t.link_scope, "/plan/steps/1"),
        What::People => (t.link_people, "/plan/team"),
        What::Telephones => (t.link_telephones, "/plan/team"),
        What::Deputies => (t.link_deputies, "/plan/team"),
        What::Services => (t.link_services, "/services"),
        What::Activities => (t.link_activities, "/inventory"),
        What::SinglePoints => (t.link_single_points, "/impact"),
        What::Risks => (t.link_risks, "/impact?by=risk"),
        What::Assessed => (t.link_assessed, "/inventory"),
        What::Objectives => (t.link_objectives, "/drills"),
        What::Needs => (t.link_needs, "/inventory"),
        What::Protected => (t.link_protected, "/services"),
        What::Copies => (t.link_copies, "/services"),
        What::Runbooks => (t.link_runbooks, "/plan/runbooks"),
        What::Drills => (t.link_drills, "/drills"),
        What::Exercises => (t.link_exercises, "/plan/exercises"),
        What::CorrectiveActions => (t.link_actions, "/drills"),
        What::Findings => (t.link_findings, "/plan/reviews"),
        What::Review => (t.link_review, "/plan/reviews"),
        What::Version => (t.link_version, "/plan/versions"),
    }
}

/// When, as far as a link says so.
fn when(p: &Page, link: &Link) -> String {
    let t = &p.t.plan;
    let said = |at: &Timestamp| if link.what == What::Review { p.with(t.review_due, p.date(at)) } else { p.date(at) };
    match (&link.at, link.what) {
        (Some(at), _) => format!(" · {}", said(at)),
        (None, What::Review | What::Version) => format!(" · {}", t.never),
        (None, _) => String::new(),
    }
}

fn link_row(p: &Page, link: &Link) -> LinkRow {
    let t = &p.t.plan;
    let (badge, (text, href)) = (
        match link.standing {
            Standing::Met => Badge::new(Tone::Well, t.met),
            Standing::NotMet => Badge::new(Tone::Danger, t.not_met),
            Standing::NotProven => Badge::new(Tone::Care, t.not_proven),
            Standing::Told => Badge::new(Tone::Info, t.told),
        },
        words(t, link.what),
    );
    let named = match link.what {
        What::CorrectiveActions | What::Findings => t.late,
        What::SinglePoints => t.worst,
        _ => t.lacking,
    };
    LinkRow {
        badge,
        text: fill(text, &[&link.found, &link.of.unwrap_or_default()]) + &when(p, link),
        names: if link.names.is_empty() { String::new() } else { format!("{named}{}", link.names.join("、")) },
        href,
    }
}

pub(crate) fn row(p: &Page, step: &Step) -> StepRow {
    StepRow {
        number: step.definition.number,
        phase: phase(&p.t.plan, step.definition.phase),
        title: both(p, &step.definition.title),
        owner: step.owner.clone(),
        due: step.due_at,
        overdue: step.overdue,
        contradicted: step.contradicted,
        state: step.state.word(),
        links: step.links.iter().map(|link| link_row(p, link)).collect(),
    }
}

/// Which version is in force and whether the plan is still what it says.
pub(crate) fn standing(p: &Page, plan: &Plan) -> String {
    let t = &p.t.plan;
    match &plan.approved {
        None => t.draft_first.to_owned(),
        Some(version) => {
            let kept = if plan.is_draft { t.draft } else { t.in_force };
            format!("{} · {}", p.with(t.version_of, version.number), kept)
        }
    }
}

/// `GET /plan`
pub(crate) async fn page(s: Signed) -> Answer {
    let p = s.p();
    let plan = s.call(&steps::GET, Nothing {}).await?;
    let view = PlanPage {
        p,
        tabs: tabs(p, "/plan"),
        steps: plan.steps.iter().map(|step| row(p, step)).collect(),
        standing: standing(p, &plan),
        waiting: plan.waiting.as_ref().map(|version| version.number),
        is_draft: plan.is_draft,
        may_edit: may_edit(&s),
        may_print: may_see_people(&s),
    };
    Ok(ok(&view))
}

async fn find(s: &Signed, number: &str) -> base::Result<Step> {
    let plan = s.call(&steps::GET, Nothing {}).await?;
    let number: i64 = number.parse().unwrap_or_default();
    let found = plan.steps.into_iter().find(|step| step.definition.number == number);
    found.ok_or_else(|| Error::not_found("planStep.not_found", format!("there is no step {number}")))
}

fn fields(s: &Signed, step: &Step, wrong: &[(&str, String)]) -> Vec<Field> {
    let (t, form) = (s.t(), &s.visit.form);
    let kept = |name: &str, or: String| if form.has(name) { form.get(name).to_owned() } else { or };
    let state = kept("state", step.state.word().to_owned());
    let choices = State::ALL.map(|known| {
        let mut choice = Choice::new(known.word(), s.p().state(known.word()).text);
        choice.chosen = known.word() == state;
        choice
    });
    let due = step.due_at.map(crate::fmt::day).unwrap_or_default();
    let fields = [
        Field::line("owner", t.plan.owner, kept("owner", step.owner.clone()))
            .hint(t.plan.owner_hint)
            .optional(t.frame.optional),
        Field::line("due", t.plan.due, kept("due", due)).kind("date", "").optional(t.frame.optional),
        Field::tiles("state", t.frame.state, choices.to_vec()),
        Field::area("text", t.plan.own_text, kept("text", step.own_text.clone()))
            .rows(10)
            .hint(t.plan.own_text_hint)
            .optional(t.frame.optional),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

fn step_page(s: &Signed, step: &Step, wrong: &[(&str, String)], general: &str) -> Answer {
    let p = s.p();
    let fields = fields(s, step, wrong);
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = StepPage {
        p,
        row: row(p, step),
        lead: both(p, &step.definition.text),
        clauses: step.definition.clauses.join("、"),
        text: step.own_text.clone(),
        summary,
        fields,
        revision: step.revision,
        may_edit: may_edit(s),
    };
    Ok(show(status, &view))
}

/// `GET /plan/steps/{number}`
pub(crate) async fn step(s: Signed, Path(number): Path<String>) -> Answer {
    let step = find(&s, &number).await?;
    step_page(&s, &step, &[], "")
}

/// `POST /plan/steps/{number}`
pub(crate) async fn change(s: Signed, Path(number): Path<String>) -> Answer {
    let form = &s.visit.form;
    let text = |name: &str| Some(form.get(name).to_owned());
    let due_at = match crate::fmt::end_of_day(form.get("due")) {
        Err(()) => {
            let step = find(&s, &number).await?;
            return step_page(&s, &step, &[("due", s.t().errors.field_required.to_owned())], "");
        }
        Ok(due) => due,
    };
    let change = ChangeStep {
        number: number.parse().unwrap_or_default(),
        revision: form.get("revision").parse().ok(),
        owner: text("owner"),
        due_at,
        no_date: due_at.is_none(),
        state: State::ALL.into_iter().find(|state| state.word() == form.get("state")),
        text: text("text"),
    };
    match s.call(&steps::UPDATE, change).await {
        Ok(_) => Ok(done(&s.portal, "/plan", "saved")),
        Err(error) if correctable(&error) => {
            let (step, words) = (find(&s, &number).await?, said(&s, &error));
            match error.attribute() {
                Some(at @ ("owner" | "text")) => step_page(&s, &step, &[(at, words)], ""),
                _ => step_page(&s, &step, &[], &words),
            }
        }
        Err(error) => Err(error.into()),
    }
}
