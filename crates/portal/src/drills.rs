//! Drills: what is promised, what was seen of it, what must be put right, and the evidence.

mod brought;
pub(crate) mod choices;
mod form;
pub(crate) mod stopping;

use crate::account::{ConfirmPage, correctable, said};
use crate::backups::listed;
use crate::i18n::{Drills, said_of};
use crate::live;
use crate::page::{Page, ok, show};
use crate::records::Ask;
use crate::ui::{Choice, Confirm, Control, Field, Summary};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use base::time::Timestamp;
use base::{Error, Result};
use continuity::drills::corrective::{self, CorrectiveAction, ListActions};
use continuity::drills::databases::{Database, LostDatabase};
use continuity::drills::detection::Detection;
use continuity::drills::plans::{self, DrillPlan, ListPlans, PlanRef, Scenario, Terms};
use continuity::drills::platform::Platform;
use continuity::drills::rules::{Control as Negative, Miss, Objectives, Phase};
use continuity::drills::runs::{self, DrillRef, DrillRun, ListDrills, StartDrill, State};
use continuity::drills::scope::{Scope, Sequence};
use continuity::evidence;
use continuity::inventory::Thing;
use continuity::inventory::actions::{GET as THING, ThingRef};
use continuity::plan::versions::Approval;
use drivers::wire::Marker;
use provisioning::services;

/// How many runs a page shows.
const RUNS: u32 = 30;

/// A plan in the list.
#[derive(Clone, Debug)]
pub(crate) struct PlanRow {
    pub id: String,
    pub name: String,
    pub scenario: &'static str,
    pub rto: String,
    pub rpo: String,
    pub last: Option<(String, Timestamp)>,
    pub next: Option<Timestamp>,
}

/// A run in a list.
#[derive(Clone, Debug)]
pub(crate) struct RunRow {
    pub id: String,
    pub plan: String,
    pub state: String,
    pub incident: Timestamp,
    pub rto: Figure,
    pub rpo: Figure,
    /// How much of the promised time it took, in per cent, for the picture.
    pub share: Option<u64>,
}

/// What was measured beside what was promised.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub measured: Option<String>,
    pub promised: String,
    pub kept: bool,
}

/// What must be put right.
#[derive(Clone, Debug)]
pub(crate) struct ActionRow {
    pub what: String,
    pub plan: String,
    pub plan_name: String,
    pub owner: String,
    pub due: Timestamp,
    pub overdue: bool,
    pub times: i64,
}

/// All drills in sight.
#[derive(Template)]
#[template(path = "drills/list.html")]
pub(crate) struct DrillList<'a> {
    pub p: &'a Page,
    pub plans: Vec<PlanRow>,
    pub runs: Vec<RunRow>,
    pub actions: Vec<ActionRow>,
    pub may_plan: bool,
}

/// One plan with its runs.
#[derive(Template)]
#[template(path = "drills/plan.html")]
pub(crate) struct PlanPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub facts: Vec<(&'static str, String)>,
    pub runs: Vec<RunRow>,
    pub actions: Vec<ActionRow>,
    pub may_run: bool,
    pub summary: Summary,
    /// What is asked before it begins: since when everything is bad, or what people bring.
    pub asks: Vec<Field>,
    pub end: Option<Confirm>,
    pub ended: Option<String>,
}

/// The form that makes a plan.
#[derive(Template)]
#[template(path = "drills/new.html")]
pub(crate) struct NewPlanPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub fields: Vec<Field>,
}

/// One service of a run.
#[derive(Clone, Debug)]
pub(crate) struct ServiceRows {
    pub name: String,
    /// When its turn is, where there are several.
    pub turn: Option<String>,
    pub from: Option<String>,
    /// (phase, how long; none where it has not ended)
    pub phases: Vec<(String, Option<String>)>,
    pub newest: Option<Timestamp>,
    pub point: Option<String>,
    /// Of the platform: what was shown besides, and what was not.
    pub shown: Vec<String>,
    /// (disk, bytes, digest)
    pub disks: Vec<(String, String, String)>,
}

/// A run; the part that renews itself.
#[derive(Template)]
#[template(path = "drills/status.html")]
pub(crate) struct RunStatus<'a> {
    pub p: &'a Page,
    pub view: RunView,
}

/// What is shown of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunView {
    pub id: String,
    pub state: String,
    pub impossible: bool,
    pub rto: Figure,
    pub rpo: Figure,
    pub services: Vec<ServiceRows>,
    /// Groups that rely on each other, in words.
    pub circles: Vec<String>,
    pub control: String,
    /// Who has stopped it, and why.
    pub stopped: Option<String>,
    pub misses: Vec<String>,
    pub has_evidence: bool,
}

/// A run.
#[derive(Template)]
#[template(path = "drills/show.html")]
pub(crate) struct RunPage<'a> {
    pub p: &'a Page,
    pub plan: String,
    pub name: String,
    pub incident: Timestamp,
    pub live: bool,
    pub stop: Option<Confirm>,
    pub view: RunView,
}

/// A run's evidence, as it also leaves the printer.
#[derive(Template)]
#[template(path = "drills/evidence.html")]
pub(crate) struct EvidencePage<'a> {
    pub p: &'a Page,
    pub name: String,
    pub incident: Timestamp,
    pub ended: Option<Timestamp>,
    pub facts: Vec<(&'static str, String)>,
    pub view: RunView,
    pub key: String,
    pub signature: String,
}

// From what is known to what is shown.

pub(crate) fn scenario(d: &'static Drills, scenario: &Scenario) -> &'static str {
    match scenario {
        Scenario::MachineLost => d.machine_lost,
        Scenario::HostLost => d.host_lost,
        Scenario::SiteLost => d.site_lost,
        Scenario::Ransomware { .. } => d.ransomware,
        Scenario::BackupServerLost { .. } => d.backup_server_lost,
        Scenario::DatabaseLost { .. } => d.database_lost,
        Scenario::ControlPlaneLost => d.control_plane_lost,
    }
}

/// A phase in words; of how a loss comes to be known, also what its figure is made of.
fn phase(p: &Page, run: &DrillRun, phase: Phase) -> String {
    let d = &p.t.drills;
    let word = match phase {
        Phase::Detect => d.detect,
        Phase::Decide => d.decide,
        Phase::Reserve => d.reserve,
        Phase::Key => d.key,
        Phase::Wait => d.wait,
        Phase::Restore => d.restore,
        Phase::Boot => d.boot,
        Phase::Verify => d.verify,
    };
    match (phase, &run.body.detection) {
        (Phase::Detect, Detection::Measured { .. }) => format!("{word} ({})", d.detect_measured),
        (Phase::Detect, Detection::Configured { silent_seconds, .. }) => {
            format!("{word} ({})", p.with(d.detect_configured, seconds(p, *silent_seconds)))
        }
        (Phase::Detect, Detection::Told) => format!("{word} ({})", d.detect_told),
        _ => word.to_owned(),
    }
}

fn seconds(p: &Page, seconds: u64) -> String {
    p.span(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn took(p: &Page, milliseconds: u64) -> String {
    crate::fmt::took(i64::try_from(milliseconds).unwrap_or(i64::MAX), p.t)
}

/// What a plan promises; in words where it follows the impact analysis.
fn promised(p: &Page, terms: &Terms, which: fn(Objectives) -> u64) -> String {
    terms.objectives.map_or_else(|| p.t.drills.as_assessed.to_owned(), |own| seconds(p, which(own)))
}

fn figure(p: &Page, measured: Option<u64>, promised: u64) -> Figure {
    Figure {
        kept: measured.is_some_and(|measured| measured <= promised.saturating_mul(1_000)),
        measured: measured.map(|measured| took(p, measured)),
        promised: seconds(p, promised),
    }
}

fn figures(p: &Page, run: &DrillRun) -> (Figure, Figure) {
    let Objectives { rto_seconds, rpo_seconds } = run.objectives();
    // What was measured before somebody stopped it is held against nothing.
    let judged = |measured: Option<u64>| measured.filter(|_| run.state != State::Stopped);
    (figure(p, judged(run.rto_milliseconds()), rto_seconds), figure(p, judged(run.rpo_milliseconds()), rpo_seconds))
}

fn run_row(p: &Page, run: &DrillRun) -> RunRow {
    let (rto, rpo) = figures(p, run);
    let promised = run.objectives().rto_seconds.saturating_mul(1_000).max(1);
    RunRow {
        id: run.id.to_string(),
        plan: run.body.plan_name.clone(),
        state: run.state.word().to_owned(),
        incident: run.incident_at,
        share: run
            .rto_milliseconds()
            .filter(|_| run.state != State::Stopped)
            .map(|took| (took.saturating_mul(100) / promised).min(200)),
        rto,
        rpo,
    }
}

fn action_row(p: &Page, action: &CorrectiveAction) -> ActionRow {
    ActionRow {
        what: said_of(p.lang, &action.code, &action.message),
        plan: action.plan.to_string(),
        plan_name: action.plan_name.clone(),
        owner: action.owner.clone(),
        due: action.due_at,
        overdue: action.overdue,
        times: action.times,
    }
}

fn control(p: &Page, control: &Negative) -> String {
    let d = &p.t.drills;
    match control {
        Negative::NotDue => d.control_not_due.to_owned(),
        Negative::Due => d.control_due.to_owned(),
        Negative::DamageFound { code } => p.with(d.control_found, code),
        Negative::DamageMissed => d.control_missed.to_owned(),
        Negative::NotMade { code } => p.with(d.control_not_made, code),
    }
}

/// Which wave it comes back in, and after whom; nothing where it is alone.
fn turn(p: &Page, run: &DrillRun, one: &runs::Restored) -> Option<String> {
    let d = &p.t.drills;
    let all = &run.body.services;
    let called = |id: &String| all.iter().find(|other| other.service == *id).map(|other| other.name.clone());
    let after: Vec<String> = one.after.iter().filter_map(called).collect();
    let words = || match after.is_empty() {
        true => p.with(d.wave, one.wave),
        false => p.with2(d.wave_after, one.wave, listed(p, &after)),
    };
    (all.len() > 1).then(words)
}

/// What was missed, with the service that it is about where there are several.
fn missed(p: &Page, run: &DrillRun, miss: &Miss) -> String {
    let (all, said) = (&run.body.services, said_of(p.lang, &miss.code, &miss.message));
    let about = all.iter().find(|one| all.len() > 1 && Some(&one.service) == miss.service.as_ref());
    about.filter(|one| !said.starts_with(&one.name)).map_or(said.clone(), |one| format!("{}: {said}", one.name))
}

/// What a drill of the platform showed, and what it did not.
fn shown(p: &Page, platform: &Platform) -> Vec<String> {
    let d = &p.t.drills;
    let audit = platform.audit_entries.zip(platform.audit_signed);
    let audit = audit.map(|(entries, signed)| p.with2(d.audit_whole, entries, signed));
    let shares = if platform.witnessed.shares { d.shares_shown } else { d.shares_not_shown };
    let kit = match platform.witnessed.kit_made_at {
        Some(made) => p.with(d.kit_shown, p.exact(&made)),
        None => d.kit_not_shown.to_owned(),
    };
    audit.into_iter().chain([shares.to_owned(), kit, d.machine_not_shown.to_owned()]).collect()
}

fn service_rows(p: &Page, run: &DrillRun, one: &runs::Restored) -> ServiceRows {
    let d = &p.t.drills;
    let from = one.place_name.as_ref().zip(one.taken_at);
    let disks = one.machines.iter().flat_map(|machine| &machine.disks);
    let disks = disks.map(|disk| (disk.disk.clone(), disk.bytes, disk.digest.clone()));
    let came = |database: &Database| Some((database.database.clone(), database.bytes?, database.digest.clone()?));
    let whole = |platform: &Platform| Some((one.name.clone(), platform.bytes?, platform.digest.clone()?));
    let all = disks.chain(one.database.iter().filter_map(came)).chain(one.platform.iter().filter_map(whole));
    let bytes = |bytes: u64| crate::fmt::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    ServiceRows {
        name: one.name.clone(),
        turn: turn(p, run, one),
        from: from.map(|(place, taken)| p.with2(d.from_copy, place, p.exact(&taken))),
        phases: one
            .phases
            .iter()
            .map(|measured| (phase(p, run, measured.phase), measured.milliseconds.map(|span| took(p, span))))
            .collect(),
        newest: one.newest_record,
        point: one.point.map(|point| point.to_string()).or_else(|| Some(one.platform.as_ref()?.point?.to_string())),
        shown: one.platform.as_ref().map(|platform| shown(p, platform)).unwrap_or_default(),
        disks: all.map(|(name, size, digest)| (name, bytes(size), digest)).collect(),
    }
}

fn view(p: &Page, run: &DrillRun) -> RunView {
    let (rto, rpo) = figures(p, run);
    RunView {
        id: run.id.to_string(),
        state: run.state.word().to_owned(),
        impossible: run.state == State::Impossible,
        rto,
        rpo,
        services: run.body.services.iter().map(|one| service_rows(p, run, one)).collect(),
        circles: run.body.circles.iter().map(|names| p.with(p.t.drills.circle, listed(p, names))).collect(),
        control: control(p, &run.body.control),
        stopped: run.body.stopped.as_ref().map(|by| p.with2(p.t.drills.stopped_by, &by.by, &by.reason)),
        misses: run.body.misses.iter().map(|miss| missed(p, run, miss)).collect(),
        has_evidence: run.has_evidence,
    }
}

// Handlers.

/// Whether the visitor's roles let them plan, or drill; the gate decides.
fn may(s: &Signed, run_only: bool) -> bool {
    let more: &[&str] = if run_only { &["member", "support"] } else { &[] };
    ["owner", "administrator", "operations"].iter().chain(more).any(|role| s.cx.has_role(role))
}

fn plan_row(p: &Page, plan: &DrillPlan, runs: &[DrillRun]) -> PlanRow {
    PlanRow {
        id: plan.id.to_string(),
        name: plan.name.clone(),
        scenario: scenario(&p.t.drills, &plan.terms.scenario),
        rto: promised(p, &plan.terms, |own| own.rto_seconds),
        rpo: promised(p, &plan.terms, |own| own.rpo_seconds),
        last: runs.iter().find(|run| run.plan == plan.id).map(|run| (run.state.word().to_owned(), run.incident_at)),
        next: plan.next_due,
    }
}

/// The plans that bring a service back, each with its last run; none for who may not read them.
pub(crate) async fn plans_of(s: &Signed, service: &str) -> Result<Vec<PlanRow>> {
    let ask = ListPlans { service: Some(service.to_owned()), ..ListPlans::default() };
    let Ok(found) = s.call(&plans::LIST, ask).await else { return Ok(Vec::new()) };
    let mut rows = Vec::with_capacity(found.items.len());
    for plan in found.items {
        let last = ListDrills { plan: Some(plan.id), limit: Some(1), ..ListDrills::default() };
        rows.push(plan_row(s.p(), &plan, &s.call(&runs::LIST, last).await?.items));
    }
    Ok(rows)
}

/// `GET /drills`
pub(crate) async fn list(s: Signed) -> Answer {
    let p = s.p();
    let plans = s.call(&plans::LIST, ListPlans::default()).await?.items;
    let runs = s.call(&runs::LIST, ListDrills { limit: Some(100), ..ListDrills::default() }).await?.items;
    let actions = s.call(&corrective::LIST, ListActions::default()).await?.items;
    let view = DrillList {
        p,
        plans: plans.iter().map(|plan| plan_row(p, plan, &runs)).collect(),
        runs: runs.iter().take(10).map(|run| run_row(p, run)).collect(),
        actions: actions.iter().map(|action| action_row(p, action)).collect(),
        may_plan: may(&s, false),
    };
    Ok(ok(&view))
}

/// `GET /drills/plans/{id}`
pub(crate) async fn plan(s: Signed, Path(id): Path<String>) -> Answer {
    plan_page(&s, &id, &[]).await
}

/// The question since when everything is bad.
fn bad_after(s: &Signed, unnoticed_seconds: u64) -> Field {
    let (p, r) = (s.p(), &s.t().rules);
    let hint = p.with(r.drill_bad_after_hint, seconds(p, unnoticed_seconds));
    Field::line("badAfter", r.drill_bad_after, s.visit.form.get("badAfter")).hint(hint).free()
}

/// What is asked before a drill of that kind begins.
fn asks(s: &Signed, scenario: &Scenario, wrong: &[(&str, String)]) -> Vec<Field> {
    match scenario {
        Scenario::Ransomware { unnoticed_seconds } => vec![crate::ui::told(wrong, bad_after(s, *unnoticed_seconds))],
        Scenario::ControlPlaneLost => brought::fields(s, wrong),
        _ => Vec::new(),
    }
}

async fn plan_page(s: &Signed, id: &str, wrong: &[(&str, String)]) -> Answer {
    let (p, d) = (s.p(), &s.t().drills);
    let plan = s.call(&plans::GET, PlanRef { id: id.parse()? }).await?;
    let input = ListDrills { plan: Some(plan.id), tenant: Some(plan.tenant), limit: Some(RUNS), after: None };
    let runs = s.call(&runs::LIST, input).await?.items;
    let input = ListActions { plan: Some(plan.id), tenant: Some(plan.tenant), closed: false };
    let actions = s.call(&corrective::LIST, input).await?.items;
    let terms = &plan.terms;
    let schedule = terms.schedule.as_ref();
    let when = schedule.map_or_else(|| d.by_hand.to_owned(), |at| format!("{} {}", at.calendar, at.time_zone));
    let facts = vec![
        (d.scenario, scenario(d, &terms.scenario).to_owned()),
        (d.rto_long, promised(p, terms, |own| own.rto_seconds)),
        (d.rpo_long, promised(p, terms, |own| own.rpo_seconds)),
        (d.schedule, when),
        (d.next, plan.next_due.map_or_else(|| d.by_hand.to_owned(), |next| p.exact(&next))),
        (d.negative, terms.negative_every.to_string()),
        (d.owner, terms.owner.clone()),
        (d.scope, comes_back(s, terms).await),
        newest_at(d, terms),
    ];
    let may_run = plan.ended_at.is_none() && may(s, true);
    let asks = if may_run { asks(s, &terms.scenario, wrong) } else { Vec::new() };
    let summary = Summary::gather(s.t().frame.form_wrong, &asks.iter().collect::<Vec<_>>(), "");
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = PlanPage {
        p,
        id: plan.id.to_string(),
        name: plan.name.clone(),
        facts,
        runs: runs.iter().map(|run| run_row(p, run)).collect(),
        actions: actions.iter().map(|action| action_row(p, action)).collect(),
        may_run,
        summary,
        asks,
        end: (plan.ended_at.is_none() && may(s, false)).then(|| end_question(p, id, false)),
        ended: plan.ended_at.map(|at| p.with(d.ended_at, p.exact(&at))),
    };
    Ok(show(status, &view))
}

fn end_question(p: &Page, id: &str, page: bool) -> Confirm {
    let d = &p.t.drills;
    Confirm {
        id: "end",
        action: format!("/drills/plans/{id}/end"),
        csrf: p.csrf.clone(),
        title: d.end_title.to_owned(),
        body: d.end_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: d.end_plan.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/drills/plans/{id}"),
        page,
    }
}

/// `GET /drills/plans/{id}/end`
pub(crate) async fn ask_end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&plans::GET, PlanRef { id: id.parse()? }).await?;
    let confirm = end_question(s.p(), &id, true);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /drills/plans/{id}/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    let plan = s.call(&plans::END, PlanRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, &format!("/drills/plans/{}", plan.id), "saved"))
}

/// Where the newest record is read.
fn newest_at(d: &'static Drills, terms: &Terms) -> (&'static str, String) {
    let Scenario::DatabaseLost { databases } = &terms.scenario else {
        return (d.record_path, format!("{} {}", terms.record.path, terms.record.pointer));
    };
    let one = |lost: &LostDatabase| {
        let Marker { schema, table, column } = &lost.marker;
        let schema = schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        format!("{}: {schema}{table}.{column}", lost.database)
    };
    (d.marker, databases.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// What comes back, in a line.
async fn comes_back(s: &Signed, terms: &Terms) -> String {
    let (p, d) = (s.p(), &s.t().drills);
    match &terms.scope {
        Scope::Services { services, order } => {
            let order = match order {
                Sequence::Given => "",
                Sequence::Dependencies => d.scope_dependencies,
            };
            let names = listed(p, &names(s, services).await);
            if order.is_empty() { names } else { format!("{names} ({order})") }
        }
        Scope::Site { site, tenant } => {
            let found = s.call(&THING, ThingRef { id: site.to_string(), tenant: Some(*tenant) }).await;
            p.with(d.scope_of_site, found.map_or_else(|_| site.to_string(), |found| found.thing.name))
        }
        Scope::ControlPlane => d.scope_control_plane.to_owned(),
    }
}

/// What services are called; by their ids where the visitor may not read them.
async fn names(s: &Signed, ids: &[String]) -> Vec<String> {
    let mut names = Vec::with_capacity(ids.len());
    for id in ids {
        let found = s.get(&services::SERVICE, id).await;
        names.push(found.map_or_else(|_| id.clone(), |record| crate::records::said(s.p().lang, &record.body, "name")));
    }
    names
}

/// The time zone that a schedule is read in, unless somebody says another.
const TIME_ZONE: &str = "Asia/Taipei";

async fn fields(s: &Signed, wrong: &[(&str, String)]) -> Result<Vec<Field>> {
    let (t, d, form) = (s.t(), &s.t().drills, &s.visit.form);
    let kept = |name: &str, or: &str| if form.has(name) { form.get(name).to_owned() } else { or.to_owned() };
    let found = s.list(&services::SERVICE, Ask { limit: 50, conditions: living(), ..Ask::default() }).await?;
    let chosen = form.all("services");
    let service = |record: &db::Record| {
        let mut choice = Choice::new(&record.id, crate::records::said(s.p().lang, &record.body, "name"));
        choice.chosen = chosen.contains(&record.id.as_str());
        choice
    };
    let scenarios = [
        ("machineLost", d.machine_lost, d.machine_lost_note),
        ("hostLost", d.host_lost, d.host_lost_note),
        ("siteLost", d.site_lost, d.site_lost_note),
        ("ransomware", d.ransomware, d.ransomware_note),
        ("backupServerLost", d.backup_server_lost, d.backup_server_lost_note),
        ("databaseLost", d.database_lost, d.database_lost_note),
    ];
    let now = kept("scenario", "hostLost");
    let scenarios = scenarios.map(|(value, label, note)| {
        let mut choice = Choice::new(value, label).note(note);
        choice.chosen = value == now;
        choice
    });
    let scopes = [
        ("given", d.scope_given, d.scope_given_note),
        ("dependencies", d.scope_dependencies, d.scope_dependencies_note),
        ("site", d.scope_site, d.scope_site_note),
        ("controlPlane", d.scope_control_plane, d.scope_control_plane_note),
    ];
    let now = kept("scope", "given");
    let scopes = scopes.map(|(value, label, note)| {
        let mut choice = Choice::new(value, label).note(note);
        choice.chosen = value == now;
        choice
    });
    // The platform itself is the operator's.
    let scopes = scopes.into_iter().filter(|choice| s.p().operator() || choice.value != "controlPlane").collect();
    let now = kept("site", "");
    let site = |site: Thing| {
        let mut choice = Choice::new(&site.id, site.name);
        choice.chosen = site.id == now;
        choice
    };
    let none = [Choice::new("", d.none)];
    let sites = none.into_iter().chain(choices::sites(s).await.into_iter().map(site)).collect();
    let databases = choices::databases(s, &found.records, &kept("dataSet", "")).await;
    let record = plans::RecordAt::default();
    let number = |name: &'static str, label: &'static str, or: &str, unit: &str| {
        let (min, max) = (Some("0".to_owned()), None);
        let (value, unit) = (kept(name, or), unit.to_owned());
        Field::number(name, label, Control::Number { value, min, max, step: "1".into(), unit, slider: false })
    };
    let fields = vec![
        Field::line("name", d.name, kept("name", "")),
        Field::tiles("scope", d.scope, scopes),
        Field::boxes("services", d.services, found.records.iter().map(service).collect()).hint(d.services_hint),
        Field::select("site", d.site, sites).hint(d.site_hint),
        Field::tiles("scenario", d.scenario, scenarios.to_vec()),
        number("unnoticed", d.unnoticed, "24", d.hours).free(),
        Field::line("lostPlace", d.lost_place, kept("lostPlace", ""))
            .hint(d.lost_place_hint)
            .optional(t.frame.optional),
        Field::select("dataSet", d.data_set, databases).hint(d.data_set_hint).optional(t.frame.optional),
        Field::line("database", d.database, kept("database", "")).hint(d.database_hint).optional(t.frame.optional),
        Field::line("markerTable", d.marker_table, kept("markerTable", ""))
            .hint(d.marker_table_hint)
            .optional(t.frame.optional),
        Field::line("markerColumn", d.marker_column, kept("markerColumn", ""))
            .hint(d.marker_column_hint)
            .optional(t.frame.optional),
        number("rto", d.rto_long, "60", d.minutes).hint(d.rto_hint).free(),
        number("rpo", d.rpo_long, "1440", d.minutes).hint(d.rpo_hint).free(),
        Field::line("place", d.place, kept("place", "")).hint(d.place_hint).optional(t.frame.optional),
        Field::line("recordPath", d.record_path, kept("recordPath", &record.path)).hint(d.record_path_hint),
        Field::line("recordPointer", d.record_pointer, kept("recordPointer", &record.pointer))
            .hint(d.record_pointer_hint),
        Field::line("calendar", d.schedule, kept("calendar", "")).hint(d.schedule_hint).optional(t.frame.optional),
        Field::line("timeZone", d.time_zone, kept("timeZone", TIME_ZONE)),
        number("negative", d.negative, "3", "").hint(d.negative_hint),
        Field::line("owner", d.owner, kept("owner", "")).hint(d.owner_hint),
    ];
    Ok(fields.into_iter().map(|field| crate::ui::told(wrong, field)).collect())
}

pub(crate) fn living() -> Vec<(&'static str, Vec<String>)> {
    let states = ["active", "inactive"].map(str::to_owned).to_vec();
    vec![("category", vec![services::CUSTOMER_FACING.to_owned()]), ("state", states)]
}

async fn form(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let fields = fields(s, wrong).await?;
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &NewPlanPage { p: s.p(), summary, fields }))
}

/// `GET /drills/plans/new`
pub(crate) async fn new_form(s: Signed) -> Answer {
    form(&s, &[], "").await
}

/// `POST /drills/plans/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let new = match form::terms(&s) {
        Ok(new) => new,
        Err(name) => return form(&s, &[(name, s.t().errors.field_required.to_owned())], "").await,
    };
    match s.call(&plans::CREATE, new).await {
        Ok(plan) => Ok(done(&s.portal, &format!("/drills/plans/{}", plan.id), "drill-planned")),
        Err(error) => refuse(&s, error).await,
    }
}

async fn refuse(s: &Signed, error: Error) -> Answer {
    let words = said(s, &error);
    let attribute = error.attribute().unwrap_or_default().to_owned();
    let field = ["name", "services", "owner", "lostPlace", "place"].into_iter().find(|field| *field == attribute);
    let field = field.or_else(|| (error.code() == "drillPlan.marker").then_some("markerTable"));
    let field = field.or_else(|| (error.code() == "dataSet.absent").then_some("dataSet"));
    let field = field.or_else(|| (attribute == "scope.site").then_some("site"));
    let field = field.or_else(|| attribute.starts_with("schedule").then_some("calendar"));
    let field = field.or_else(|| attribute.starts_with("objectives").then_some("rto"));
    let field = field.or_else(|| attribute.starts_with("record").then_some("recordPath"));
    match field {
        Some(field) => form(s, &[(field, words)], "").await,
        None if correctable(&error) => form(s, &[], &words).await,
        None => Err(error.into()),
    }
}

/// `POST /drills/plans/{id}/run`
pub(crate) async fn run(s: Signed, Path(id): Path<String>) -> Answer {
    let typed = s.visit.form.get("badAfter");
    let Ok(bad_after) = Some(typed).filter(|text| !text.is_empty()).map(str::parse).transpose() else {
        return plan_page(&s, &id, &[("badAfter", s.t().rules.instant_wrong.to_owned())]).await;
    };
    let plan = id.parse()?;
    let begun = match brought::read(&s, plan) {
        Ok(brought) => s.call(&runs::RUN, StartDrill { id: plan, bad_after, brought }).await,
        Err(error) => Err(error),
    };
    let error = match begun {
        Ok(run) => return Ok(done(&s.portal, &format!("/drills/{}", run.id), "drill-begun")),
        Err(error) => error,
    };
    let about_time = || (error.code() == "drill.bad_after").then(|| ("badAfter", said(&s, &error)));
    match about_time().or_else(|| brought::wrong(&s, &error)) {
        Some(wrong) => plan_page(&s, &id, &[wrong]).await,
        None => Err(error.into()),
    }
}

async fn find(s: &Signed, id: &str) -> Result<DrillRun> {
    s.call(&runs::GET, DrillRef { id: id.parse()? }).await
}

/// `GET /drills/{id}`
pub(crate) async fn show_run(s: Signed, Path(id): Path<String>) -> Answer {
    let run = find(&s, &id).await?;
    let live = run.state == State::Running;
    let mut page = s.p().clone();
    page.refresh = live.then_some(3);
    let (p, plan) = (&page, run.plan.to_string());
    let (name, incident, stop) = (run.body.plan_name.clone(), run.incident_at, stopping::beside(&s, &run));
    Ok(ok(&RunPage { p, plan, name, incident, live, stop, view: view(p, &run) }))
}

/// `GET /drills/{id}/events`
pub(crate) async fn events(s: Signed, Path(id): Path<String>) -> Answer {
    find(&s, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let run = find(&s, &id).await?;
            let ended = run.state != State::Running;
            Ok((live::fragment(&RunStatus { p: s.p(), view: view(s.p(), &run) })?, ended))
        }
    }))
}

/// Who had approved what was drilled.
fn approved(p: &Page, approval: Option<&Approval>) -> String {
    let d = &p.t.drills;
    approval.map_or_else(
        || d.not_approved.to_owned(),
        |approval| {
            let when = approval.at.map(|at| crate::fmt::date(at, p.lang)).unwrap_or_default();
            format!("{} · {} · {when}", approval.by, p.with(d.in_version, approval.version))
        },
    )
}

/// `GET /drills/{id}/evidence`
pub(crate) async fn show_evidence(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, d) = (s.p(), &s.t().drills);
    let run = find(&s, &id).await?;
    let file = s.call(&evidence::GET, DrillRef { id: run.id }).await?;
    let terms = &run.body.terms;
    let facts = vec![
        (d.scope, comes_back(&s, terms).await),
        (d.scenario, scenario(d, &terms.scenario).to_owned()),
        (d.planned_by, run.body.planned_by.clone()),
        (d.approved_by, approved(p, run.body.approved.as_ref())),
        (d.started_by, run.started_by.clone()),
        (d.owner, terms.owner.clone()),
    ];
    let signature = file.note.lines().last().unwrap_or_default().to_owned();
    let view = EvidencePage {
        p,
        name: run.body.plan_name.clone(),
        incident: run.incident_at,
        ended: run.ended_at,
        facts,
        view: view(p, &run),
        key: file.key,
        signature,
    };
    Ok(ok(&view))
}

/// `GET /drills/{id}/evidence.json`: the signed file itself.
pub(crate) async fn file(s: Signed, Path(id): Path<String>) -> Answer {
    let run = find(&s, &id).await?;
    let file = s.call(&evidence::GET, DrillRef { id: run.id }).await?;
    let text = serde_json::to_string_pretty(&file)
        .map_err(|e| Error::bug("evidence.text", "evidence cannot be written").because(e))?;
    let named = format!("attachment; filename=\"{}.json\"", run.id);
    let named = HeaderValue::try_from(named).map_err(|e| Error::bug("evidence.name", "no file name").because(e))?;
    let plain = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, plain), (header::CONTENT_DISPOSITION, named)], text).into_response())
}
