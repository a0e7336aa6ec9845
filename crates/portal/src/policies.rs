//! Backup policies: the operator's forms, and what their rules would let go.

use axum::extract::Path;
use base::{Error, Result};
use continuity::backups::places as backup_places;
use continuity::backups::policies::{self, BackupPolicy, PLACES_MAX, PreviewPolicy, Terms, What};
use continuity::backups::retention::Retention;
use continuity::backups::schedule::Schedule;
use provisioning::services::SERVICE;

use crate::page::Page;
use crate::places::{Group, RuleForm, UP, answer, fault, kept};
use crate::records;
use crate::ui::{Choice, Control, Field, Summary};
use crate::visit::{Answer, Signed, done};

/// What rules would do to a service.
#[derive(Clone, Debug)]
pub(crate) struct PreviewRow {
    pub service: String,
    pub name: String,
    pub stays: String,
    /// The instants of the points that would go.
    pub goes: String,
    /// Nothing goes for now.
    pub held: bool,
}

/// What rules would do to a policy's services.
#[derive(Clone, Debug)]
pub(crate) struct PreviewTable {
    pub rows: Vec<PreviewRow>,
    pub more: Option<String>,
}

/// How many instants a line names.
const NAMED: usize = 5;

pub(crate) const RULES: [&str; 6] = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];

/// The six numbers of rules, under their names.
pub(crate) fn numbers(p: &Page, value: impl Fn(&str) -> String) -> Vec<Field> {
    let r = &p.t.rules;
    let labels = [r.last, r.hourly, r.daily, r.weekly, r.monthly, r.yearly];
    let each = RULES.into_iter().zip(labels).map(|(name, label)| number(name, label, value(name), String::new()));
    each.map(Field::free).collect()
}

fn number(name: &'static str, label: &'static str, value: String, unit: String) -> Field {
    let (min, max) = (Some("0".to_owned()), Some("10000".to_owned()));
    Field::number(name, label, Control::Number { value, min, max, step: "1".into(), unit, slider: false })
}

/// Reads six numbers; an empty one is none. The name of what does not read.
pub(crate) fn retention(value: impl Fn(&'static str) -> String) -> std::result::Result<Retention, &'static str> {
    let read = |name: &'static str| {
        let text = value(name);
        if text.is_empty() { Ok(0) } else { text.parse::<u32>().map_err(|_| name) }
    };
    Ok(Retention {
        last: read("last")?,
        hourly: read("hourly")?,
        daily: read("daily")?,
        weekly: read("weekly")?,
        monthly: read("monthly")?,
        yearly: read("yearly")?,
    })
}

pub(crate) fn of(retention: &Retention, name: &str) -> u32 {
    match name {
        "last" => retention.last,
        "hourly" => retention.hourly,
        "daily" => retention.daily,
        "weekly" => retention.weekly,
        "monthly" => retention.monthly,
        _ => retention.yearly,
    }
}

fn when(s: &Signed, terms: Option<&Terms>) -> Vec<Field> {
    let r = &s.t().rules;
    let calendar = terms.map_or("daily 02:00", |terms| &terms.schedule.calendar);
    let zone = terms.map_or("Asia/Taipei", |terms| &terms.schedule.time_zone);
    let jitter = terms.map_or(60, |terms| terms.schedule.jitter_minutes).to_string();
    vec![
        Field::line("calendar", r.calendar, kept(s, "calendar", calendar)).hint(r.calendar_hint),
        number("jitter", r.jitter, kept(s, "jitter", &jitter), r.minutes.to_owned()).hint(r.jitter_hint).free(),
        Field::line("timeZone", r.time_zone, kept(s, "timeZone", zone)),
    ]
}

/// One select for each copy, in their order: as many as there are, and two to add.
async fn copies(s: &Signed, terms: Option<&Terms>) -> Result<Vec<Field>> {
    let (p, r) = (s.p(), &s.t().rules);
    let all = s.call(&backup_places::LIST, Default::default()).await?.items;
    let known: Vec<String> = terms.iter().flat_map(|terms| &terms.places).map(ToString::to_string).collect();
    let sent = s.visit.form.all("place").iter().filter(|place| !place.is_empty()).count();
    let many = (known.len().max(sent) + 2).clamp(3, PLACES_MAX);
    let chosen: Vec<String> = match s.visit.form.has("csrf") {
        true => s.visit.form.all("place").into_iter().map(str::to_owned).collect(),
        false => known,
    };
    let field = |n: usize| {
        let now = chosen.get(n).cloned().unwrap_or_default();
        let none = Choice { chosen: now.is_empty(), ..Choice::new("", r.no_copy) };
        let each = all.iter().map(|place| {
            let id = place.id.to_string();
            Choice { chosen: id == now, ..Choice::new(id, &place.name) }
        });
        let choices = std::iter::once(none).chain(each).collect();
        let field = Field::select("place", p.with(r.copy_number, n + 1), choices);
        // Fields of one name: each with an id of its own.
        if n < 2 { field.within(ORDER[n]) } else { field.within(ORDER[n]).free() }
    };
    Ok((0..many).map(field).collect())
}

const ORDER: [&str; PLACES_MAX] = ["1-", "2-", "3-", "4-", "5-", "6-", "7-", "8-"];

async fn groups(s: &Signed, known: Option<&BackupPolicy>) -> Result<Vec<Group>> {
    let (p, r) = (s.p(), &s.t().rules);
    let terms = known.map(|policy| &policy.terms);
    let what = match terms.map_or(What::MachineDisks, |terms| terms.what) {
        What::MachineDisks => "machineDisks",
        What::DataSets => "dataSets",
        What::Everything => "everything",
    };
    let now = kept(s, "what", what);
    let whats = [("machineDisks", r.disks), ("dataSets", r.data_sets), ("everything", r.both)];
    let whats = whats.map(|(value, label)| Choice { chosen: value == now, ..Choice::new(value, label) });
    let rules = |name: &str| kept(s, name, &terms.map_or(0, |terms| of(&terms.retention, name)).to_string());
    let prune = terms.map_or(72, |terms| terms.prune_delay_hours).to_string();
    let was = terms.is_some_and(|terms| terms.offered);
    let offered = if s.visit.form.has("csrf") { !s.visit.form.get("offered").is_empty() } else { was };
    let first = vec![
        Field::line("name", s.t().frame.name, kept(s, "name", known.map_or("", |policy| &policy.name))),
        Field::tiles("what", r.what, whats.to_vec()),
    ];
    let last = vec![
        number("pruneDelay", r.prune_delay, kept(s, "pruneDelay", &prune), r.hours.to_owned()).hint(r.prune_delay_hint),
        Field::check("offered", r.offered, r.offered_text, offered).hint(r.offered_hint).free(),
    ];
    Ok(vec![
        ("", String::new(), first.into_iter().chain(when(s, terms)).collect()),
        (r.retention, r.retention_lead.to_owned(), numbers(p, rules)),
        (s.t().backups.copies, r.copies_lead.to_owned(), copies(s, terms).await?),
        ("", String::new(), last),
    ])
}

/// What was typed.
struct Typed {
    name: String,
    what: What,
    schedule: Schedule,
    retention: Retention,
    places: Vec<continuity::BackupPlaceId>,
    prune_delay_hours: u32,
    offered: bool,
}

/// Reads the form; the name of what does not read.
fn typed(s: &Signed) -> std::result::Result<Typed, &'static str> {
    let form = &s.visit.form;
    let number = |name: &'static str| {
        let text = form.get(name);
        if text.is_empty() { Ok(0) } else { text.parse::<u32>().map_err(|_| name) }
    };
    let text = |name: &str| form.get(name).to_owned();
    let named = form.all("place").into_iter().filter(|place| !place.is_empty());
    let places = named.map(|place| place.parse().map_err(|_| "place")).collect::<std::result::Result<_, _>>()?;
    let what = match form.get("what") {
        "dataSets" => What::DataSets,
        "everything" => What::Everything,
        _ => What::MachineDisks,
    };
    let jitter_minutes = number("jitter")?;
    Ok(Typed {
        name: text("name"),
        what,
        schedule: Schedule { calendar: text("calendar"), jitter_minutes, time_zone: text("timeZone") },
        retention: retention(|name| form.get(name).to_owned())?,
        places,
        prune_delay_hours: number("pruneDelay")?,
        offered: !form.get("offered").is_empty(),
    })
}

/// Which field an error is about.
fn field(error: &Error) -> Option<&'static str> {
    match (error.code(), error.attribute()) {
        ("schedule.calendar", _) => Some("calendar"),
        ("schedule.jitter", _) => Some("jitter"),
        ("schedule.time_zone", _) => Some("timeZone"),
        ("retention.number", _) => Some("last"),
        ("policy.prune_delay", _) => Some("pruneDelay"),
        ("policy.offered_places", _) => Some("offered"),
        (_, Some("name")) => Some("name"),
        _ => None,
    }
}

async fn page(
    s: &Signed,
    known: Option<&BackupPolicy>,
    preview: Option<PreviewTable>,
    wrong: &[(&str, String)],
    general: &str,
) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let id = known.map(|policy| policy.id.to_string());
    let form = RuleForm {
        p,
        crumbs: p.crumbs(&[(UP, s.t().backups.operator_title)]),
        title: known.map_or_else(|| r.policy_new.to_owned(), |policy| p.with(r.policy_change, &policy.name)),
        lead: known.map_or_else(|| r.policy_lead.to_owned(), |policy| p.with(r.revision, policy.revision)),
        summary: Summary::default(),
        action: format!("{UP}/policies/{}", id.as_deref().unwrap_or("new")),
        hidden: known
            .map(|policy| ("revision", kept(s, "revision", &policy.revision.to_string())))
            .into_iter()
            .collect(),
        groups: groups(s, known).await?,
        may_preview: known.is_some(),
        preview,
        back: UP,
    };
    answer(s, form, wrong, general)
}

/// `GET /operator/backups/policies/new`
pub(crate) async fn new(s: Signed) -> Answer {
    page(&s, None, None, &[], "").await
}

/// `POST /operator/backups/policies/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let typed = match typed(&s) {
        Ok(typed) => typed,
        Err(at) => return page(&s, None, None, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    let Typed { name, what, schedule, retention, places, prune_delay_hours, offered } = typed;
    let new = policies::NewPolicy { name, what, schedule, retention, places, prune_delay_hours, offered };
    match s.call(&policies::CREATE, new).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            page(&s, None, None, &wrong, &general).await
        }
    }
}

async fn find(s: &Signed, id: &str) -> Result<BackupPolicy> {
    s.call(&policies::GET, policies::PolicyRef { id: id.parse()? }).await
}

/// `GET /operator/backups/policies/{id}`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    page(&s, Some(&find(&s, &id).await?), None, &[], "").await
}

/// What the rules that were typed would let go.
async fn preview(s: &Signed, policy: &BackupPolicy, typed: &Typed) -> Result<PreviewTable> {
    let (p, r) = (s.p(), &s.t().rules);
    let time_zone = Some(typed.schedule.time_zone.clone());
    let ask = PreviewPolicy { id: policy.id, retention: Some(typed.retention), time_zone, after: None };
    let told = s.call(&policies::PREVIEW_ALL, ask).await?;
    let mut rows = Vec::with_capacity(told.items.len());
    for one in &told.items {
        let found = s.get(&SERVICE, &one.service).await;
        let name = found.map_or_else(|_| one.service.clone(), |record| records::said(p.lang, &record.body, "name"));
        let when = |verdict: &continuity::backups::retention::Verdict| crate::fmt::date_time(verdict.taken_at, p.lang);
        let named: Vec<String> = one.goes.iter().take(NAMED).map(when).collect();
        let named = crate::backups::listed(p, &named);
        let goes = match one.goes.len() {
            0 => r.goes_none.to_owned(),
            many if many > NAMED => p.with2(r.and_more, named, many - NAMED),
            _ => named,
        };
        let held = !one.lets_go && !one.goes.is_empty();
        rows.push(PreviewRow { service: one.service.clone(), name, stays: one.keeps.to_string(), goes, held });
    }
    let more = told.next.is_some().then(|| p.with(r.preview_more, rows.len()));
    Ok(PreviewTable { rows, more })
}

/// `POST /operator/backups/policies/{id}`: shows what it would let go, or changes it.
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let policy = find(&s, &id).await?;
    let typed = match typed(&s) {
        Ok(typed) => typed,
        Err(at) => return page(&s, Some(&policy), None, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    let refused = match s.visit.form.has("preview") {
        true => match preview(&s, &policy, &typed).await {
            Ok(table) => return page(&s, Some(&policy), Some(table), &[], "").await,
            Err(error) => error,
        },
        false => match s.call(&policies::UPDATE, changes(&s, &policy, typed)).await {
            Ok(_) => return Ok(done(&s.portal, UP, "saved")),
            Err(error) => error,
        },
    };
    let at = field(&refused);
    let (wrong, general) = fault(&s, refused, at)?;
    page(&s, Some(&policy), None, &wrong, &general).await
}

fn changes(s: &Signed, policy: &BackupPolicy, typed: Typed) -> policies::ChangePolicy {
    let Typed { name, what, schedule, retention, places, prune_delay_hours, offered } = typed;
    policies::ChangePolicy {
        id: policy.id,
        revision: s.visit.form.get("revision").parse().ok(),
        name: Some(name),
        what: Some(what),
        schedule: Some(schedule),
        retention: Some(retention),
        places: Some(places),
        prune_delay_hours: Some(prune_delay_hours),
        offered: Some(offered),
    }
}
