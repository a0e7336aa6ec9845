//! Data sets of a service: its files and databases, and bringing them back. Who runs the hosts adds
//! them; whose they are sees them and brings them back.

use crate::account::{ConfirmPage, FormPage, correctable, said};
use crate::i18n::said_of;
use crate::page::{Page, ok, show as show_page};
use crate::records;
use crate::ui::{Badge, Choice, Confirm, Field, Notice, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::time::Timestamp;
use base::{Error, Result};
use continuity::datasets::restores::{self, Ask, DataRestore, Plan, State};
use continuity::datasets::{self, DataSet, NewDataSet};
use drivers::wire::{Consistency, DataSource, DataTarget, DatabaseServer};
use provisioning::services::SERVICE;
use resources::hosts;

/// A data set in the list.
#[derive(Clone, Debug)]
pub(crate) struct SetRow {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub what: String,
    pub host: String,
}

/// A restore in the list.
#[derive(Clone, Debug)]
pub(crate) struct RestoredRow {
    pub id: String,
    pub name: String,
    pub at: Timestamp,
    pub badge: Badge,
    pub to: String,
}

/// A service's data sets.
#[derive(Template)]
#[template(path = "backups/data_sets.html")]
pub(crate) struct DataSetsPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub sets: Vec<SetRow>,
    pub restores: Vec<RestoredRow>,
    pub may_add: bool,
    pub may_restore: bool,
}

/// What bringing one back would do, and the question.
#[derive(Template)]
#[template(path = "backups/data_plan.html")]
pub(crate) struct DataPlanPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub set: String,
    pub called: String,
    pub summary: Summary,
    pub rows: Vec<(&'static str, String)>,
    pub warning: Option<Notice>,
    pub trouble: Option<Notice>,
    pub fields: Vec<Field>,
    pub point: String,
}

/// How bringing one back goes.
#[derive(Template)]
#[template(path = "backups/data_restore.html")]
pub(crate) struct DataRestorePage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub called: String,
    pub badge: Badge,
    pub outcome: Option<Notice>,
    pub how_far: String,
    pub rows: Vec<(&'static str, String)>,
    pub cancel: Option<String>,
}

macro_rules! ways_up {
    ($($page:ident),*) => {$(
        impl $page<'_> {
            fn here(&self) -> String {
                format!("/services/{}", self.id)
            }
            fn backups(&self) -> String {
                format!("/services/{}/backups", self.id)
            }
            #[allow(dead_code, reason = "one of the pages is that page")]
            fn up(&self) -> String {
                format!("/services/{}/data-sets", self.id)
            }
        }
    )*};
}
ways_up!(DataSetsPage, DataPlanPage, DataRestorePage);

fn kind(p: &Page, source: &DataSource) -> &'static str {
    let b = &p.t.backups;
    match source {
        DataSource::Files { .. } => b.kind_files,
        DataSource::Postgresql { .. } => b.kind_postgresql,
        DataSource::Mysql { .. } => b.kind_mysql,
        DataSource::Unknown => "",
    }
}

/// What a data set is made of, in a line.
fn made_of(p: &Page, source: &DataSource) -> String {
    let names = match source {
        DataSource::Files { paths, .. } => return crate::backups::listed(p, paths),
        DataSource::Postgresql { databases, .. } | DataSource::Mysql { databases, .. } => databases,
        DataSource::Unknown => return String::new(),
    };
    if names.is_empty() { p.t.backups.all_databases.to_owned() } else { crate::backups::listed(p, names) }
}

/// How it was seen to that what was taken is of one instant.
pub(crate) fn instant(p: &Page, consistency: Consistency) -> &'static str {
    let b = &p.t.backups;
    match consistency {
        Consistency::Stopped => b.stopped,
        Consistency::CrashConsistent => b.crash_consistent,
        Consistency::FilesystemFrozen => b.frozen,
        Consistency::FileByFile => b.file_by_file,
        Consistency::Transaction => b.transaction,
        Consistency::TableByTable => b.table_by_table,
        Consistency::Unknown => "",
    }
}

fn target(p: &Page, to: &DataTarget) -> String {
    let b = &p.t.backups;
    match to {
        DataTarget::Directory { below: Some(below), .. } => below.clone(),
        DataTarget::Directory { .. } => b.own_directory.to_owned(),
        DataTarget::Database { name, .. } => p.with(b.new_database, name),
        DataTarget::Instant { at, .. } => {
            at.map_or_else(|| b.newest_point.to_owned(), |at| crate::fmt::date_time(at, p.lang))
        }
    }
}

fn badge(p: &Page, state: State) -> Badge {
    let (b, s) = (&p.t.backups, &p.t.state);
    match state {
        State::Running => Badge::new(Tone::Active, s.in_progress),
        State::Done => Badge::new(Tone::Well, s.done),
        State::Failed => Badge::new(Tone::Danger, b.failed),
        State::Cancelled => Badge::new(Tone::Neutral, s.cancelled),
    }
}

fn may_add(s: &Signed) -> bool {
    ["administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

fn may_restore(s: &Signed) -> bool {
    may_add(s) || ["owner", "member"].iter().any(|role| s.cx.has_role(role))
}

async fn called(s: &Signed, service: &str) -> Result<String> {
    Ok(records::said(s.p().lang, &s.get(&SERVICE, service).await?.body, "name"))
}

/// `GET /services/{id}/data-sets`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, name) = (s.p(), called(&s, &id).await?);
    let sets = s.call(&datasets::LIST, datasets::ListDataSets { id: id.clone(), ended: false }).await?.items;
    let asked = restores::ListDataRestores { id: id.clone(), limit: Some(20) };
    let made = s.call(&restores::LIST, asked).await?.items;
    let sets = sets.iter().map(|set| SetRow {
        id: set.id.to_string(),
        name: set.name.clone(),
        kind: kind(p, &set.source),
        what: made_of(p, &set.source),
        host: set.host_name.clone(),
    });
    let made = made.iter().map(|one| RestoredRow {
        id: one.id.to_string(),
        name: one.name.clone(),
        at: one.requested_at,
        badge: badge(p, one.state),
        to: one.restored.as_ref().map_or_else(|| target(p, &one.to), |restored| restored.at.clone()),
    });
    let (sets, restores) = (sets.collect(), made.collect());
    Ok(ok(&DataSetsPage { p, name, sets, restores, may_add: may_add(&s), may_restore: may_restore(&s), id }))
}

const FIELDS: [&str; 10] =
    ["name", "host", "kind", "paths", "except", "server", "user", "password", "databases", "logs"];

async fn fields(s: &Signed, wrong: &[(&str, String)]) -> Result<Vec<Field>> {
    let (b, f, form) = (&s.t().backups, &s.t().frame, &s.visit.form);
    let all = s.call(&hosts::LIST, Default::default()).await?.items;
    let hosts = all.iter().filter(|host| host.state != hosts::State::Retired).map(|host| {
        let id = host.id.to_string();
        Choice { chosen: form.get("host") == id, ..Choice::new(id, &host.name) }
    });
    let kinds = [("files", b.kind_files), ("postgresql", b.kind_postgresql), ("mysql", b.kind_mysql)];
    let chosen = if form.has("kind") { form.get("kind") } else { "files" };
    let kinds = kinds.map(|(value, label)| Choice { chosen: value == chosen, ..Choice::new(value, label) });
    let fields = [
        Field::line("name", f.name, form.get("name")),
        Field::select("host", b.set_host, hosts.collect()).hint(b.set_host_hint),
        Field::tiles("kind", b.set_kind, kinds.to_vec()),
        Field::area("paths", b.set_paths, form.get("paths")).hint(b.set_paths_hint).optional(f.optional),
        Field::area("except", b.set_except, form.get("except")).hint(b.set_except_hint).optional(f.optional),
        Field::line("server", b.set_server, form.get("server")).hint(b.set_server_hint).optional(f.optional),
        Field::line("user", b.set_user, form.get("user")).kind("text", "off").optional(f.optional),
        Field::line("password", b.set_password, "")
            .kind("password", "new-password")
            .hint(b.set_password_hint)
            .optional(f.optional),
        Field::area("databases", b.set_databases, form.get("databases"))
            .hint(b.set_databases_hint)
            .optional(f.optional),
        Field::check("logs", b.set_logs, b.set_logs_text, !form.get("logs").is_empty()).free(),
    ];
    Ok(fields.into_iter().map(|field| told(wrong, field)).collect())
}

async fn form(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let name = called(s, id).await?;
    let fields = fields(s, wrong).await?;
    let (here, up) = (format!("/services/{id}"), format!("/services/{id}/data-sets"));
    let crumbs =
        p.crumbs(&[("/services", s.t().frame.services), (here.as_str(), name.as_str()), (up.as_str(), b.data_sets)]);
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (title, lead) = (b.set_add.to_owned(), b.set_add_lead.to_owned());
    let (action, button) = (format!("{up}/new"), s.t().frame.save.to_owned());
    Ok(show_page(status, &FormPage { p, crumbs, title, lead, summary, action, fields, button, back: up }))
}

/// `GET /services/{id}/data-sets/new`
pub(crate) async fn new(s: Signed, Path(id): Path<String>) -> Answer {
    form(&s, &id, &[], "").await
}

/// A host's name with its port, or a socket.
fn server(text: &str, user: &str) -> std::result::Result<DatabaseServer, ()> {
    let (text, user) = (text.trim(), user.trim().to_owned());
    if text.starts_with('/') {
        return Ok(DatabaseServer { socket: Some(text.to_owned()), host: None, port: None, user });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().map_err(|_| ())?)),
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(DatabaseServer { socket: None, host: Some(host), port, user })
}

/// What was typed, or which field it cannot be.
fn typed(s: &Signed, id: &str) -> std::result::Result<NewDataSet, &'static str> {
    let form = &s.visit.form;
    let lines = |name: &str| {
        let lines = form.get(name).lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let server = || server(form.get("server"), form.get("user")).map_err(|()| "server");
    let source = match form.get("kind") {
        "postgresql" => {
            let logs = !form.get("logs").is_empty();
            DataSource::Postgresql { server: server()?, databases: lines("databases"), logs }
        }
        "mysql" => DataSource::Mysql { server: server()?, databases: lines("databases") },
        _ => DataSource::Files { paths: lines("paths"), except: lines("except") },
    };
    let password = Some(form.get("password").to_owned()).filter(|password| !password.is_empty());
    let host = form.get("host").parse().map_err(|_| "host")?;
    Ok(NewDataSet { id: id.to_owned(), name: form.get("name").to_owned(), host, source, password })
}

/// Which field an error is about.
fn field(error: &Error) -> Option<&'static str> {
    let by_code = match error.code() {
        "dataSet.path" | "dataSet.paths" => "paths",
        "dataSet.except" => "except",
        "dataSet.server" => "server",
        "dataSet.databases" => "databases",
        _ => return FIELDS.into_iter().find(|at| error.attribute() == Some(at)),
    };
    Some(by_code)
}

/// `POST /services/{id}/data-sets/new`
pub(crate) async fn create(s: Signed, Path(id): Path<String>) -> Answer {
    let new = match typed(&s, &id) {
        Ok(new) => new,
        Err(at) => return form(&s, &id, &[(at, s.t().backups.set_wrong.to_owned())], "").await,
    };
    match s.call(&datasets::CREATE, new).await {
        Ok(_) => Ok(done(&s.portal, &format!("/services/{id}/data-sets"), "saved")),
        Err(error) => match field(&error) {
            Some(at) => form(&s, &id, &[(at, said(&s, &error))], "").await,
            None if correctable(&error) => form(&s, &id, &[], &said(&s, &error)).await,
            None => Err(error.into()),
        },
    }
}

async fn of(s: &Signed, set: &str) -> Result<DataSet> {
    s.call(&datasets::GET, datasets::DataSetRef { id: set.parse()? }).await
}

/// `GET /services/{id}/data-sets/{set}/end`
pub(crate) async fn ask_end(s: Signed, Path((id, set)): Path<(String, String)>) -> Answer {
    let (p, b, known) = (s.p(), &s.t().backups, of(&s, &set).await?);
    let confirm = Confirm {
        id: "end",
        action: format!("/services/{id}/data-sets/{set}/end"),
        csrf: p.csrf.clone(),
        title: p.with(b.set_end_title, &known.name),
        body: b.set_end_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: b.set_end.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("/services/{id}/data-sets"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /services/{id}/data-sets/{set}/end`
pub(crate) async fn end(s: Signed, Path((id, set)): Path<(String, String)>) -> Answer {
    s.call(&datasets::END, datasets::DataSetRef { id: set.parse()? }).await?;
    Ok(done(&s.portal, &format!("/services/{id}/data-sets"), "saved"))
}

/// What was asked for in the form or the address.
fn asked(s: &Signed, set: &str) -> Result<Ask> {
    let form = &s.visit.form;
    let point = [form.get("point"), s.visit.query.get("point")].into_iter().find(|text| !text.is_empty());
    let to = match form.get("to") {
        "database" => {
            let (database, name) = (form.get("database").to_owned(), form.get("name").trim().to_owned());
            Some(DataTarget::Database { database, name })
        }
        "instant" => {
            let at = Some(form.get("at").trim()).filter(|at| !at.is_empty());
            let malformed = |_| Error::invalid("dataRestore.at", "an instant is written 2026-11-22T20:15:00Z").at("at");
            let at = at.map(|at| at.parse().map_err(malformed)).transpose()?;
            Some(DataTarget::Instant { below: None, at, logs: None })
        }
        _ => None,
    };
    // Which base leads to an instant is looked up.
    let point = point.filter(|_| !matches!(to, Some(DataTarget::Instant { .. })));
    Ok(Ask { id: set.parse()?, point: point.map(str::parse).transpose()?, place: None, host: None, to })
}

fn plan_rows(p: &Page, plan: &Plan) -> Vec<(&'static str, String)> {
    let b = &p.t.backups;
    vec![
        (b.from_point, crate::fmt::date_time(plan.taken_at, p.lang)),
        (b.state_of, instant(p, plan.consistency).to_owned()),
        (b.from_copy, plan.place_name.clone()),
        (b.how_much_data, crate::fmt::bytes(i64::try_from(plan.bytes).unwrap_or(i64::MAX))),
        (b.takes, crate::restoring::takes(p, plan.estimated_seconds)),
        (b.onto, plan.host_name.clone()),
    ]
}

/// Where to: a directory of its own, or for dumps a new database.
fn ways(s: &Signed, plan: &Plan, wrong: &[(&str, String)]) -> Vec<Field> {
    let (b, form) = (&s.t().backups, &s.visit.form);
    // Loading and recovering databases is the operator's.
    if !s.p().operator() {
        return Vec::new();
    }
    if plan.source.keeps_logs() {
        let ways = vec![
            Choice {
                chosen: form.get("to") != "directory",
                ..Choice::new("instant", b.to_instant).note(b.to_instant_note)
            },
            Choice {
                chosen: form.get("to") == "directory",
                ..Choice::new("directory", b.own_directory).note(b.as_kept_note)
            },
        ];
        let fields = [
            Field::tiles("to", b.how, ways).free(),
            Field::line("at", b.at_instant, form.get("at")).hint(b.at_instant_hint).free(),
        ];
        return fields.into_iter().map(|field| told(wrong, field)).collect();
    }
    if plan.databases.is_empty() {
        return Vec::new();
    }
    let to_database = form.get("to") == "database";
    let ways = vec![
        Choice { chosen: !to_database, ..Choice::new("directory", b.own_directory).note(b.own_directory_note) },
        Choice { chosen: to_database, ..Choice::new("database", b.to_database).note(b.to_database_note) },
    ];
    let each = plan.databases.iter();
    let each = each.map(|name| Choice { chosen: form.get("database") == name, ..Choice::new(name, name) });
    let fields = [
        Field::tiles("to", b.how, ways).free(),
        Field::select("database", b.which_database, each.collect()).free(),
        Field::line("name", b.new_name, form.get("name")).hint(b.new_name_hint).free(),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

async fn plan_page(s: &Signed, id: &str, set: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let (name, known) = (called(s, id).await?, of(s, set).await?);
    // What is possible at all: where to is asked below.
    let point = [s.visit.form.get("point"), s.visit.query.get("point")].into_iter().find(|text| !text.is_empty());
    let ask = Ask { id: set.parse()?, point: point.map(str::parse).transpose()?, place: None, host: None, to: None };
    let plan = s.call(&restores::PLAN, ask).await;
    let plan = match plan {
        Err(error) if !correctable(&error) => return Err(error.into()),
        plan => plan,
    };
    let rows = plan.as_ref().map(|plan| plan_rows(p, plan)).unwrap_or_default();
    let fields = plan.as_ref().map(|plan| ways(s, plan, wrong)).unwrap_or_default();
    let lacks = plan.as_ref().ok().filter(|plan| plan.unread_count > 0);
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = DataPlanPage {
        p,
        id: id.to_owned(),
        name,
        set: set.to_owned(),
        called: known.name,
        warning: lacks.map(|plan| Notice::new(Tone::Care, p.with(b.lacks, plan.unread_count), "")),
        trouble: plan.as_ref().err().map(|error| Notice::new(Tone::Danger, b.no_plan, p.error(error))),
        point: plan.as_ref().map(|plan| plan.point.to_string()).unwrap_or_default(),
        rows,
        fields,
        summary,
    };
    Ok(show_page(status, &view))
}

/// `GET /services/{id}/data-sets/{set}/restore`
pub(crate) async fn ask_restore(s: Signed, Path((id, set)): Path<(String, String)>) -> Answer {
    plan_page(&s, &id, &set, &[], "").await
}

/// `POST /services/{id}/data-sets/{set}/restore`
pub(crate) async fn restore(s: Signed, Path((id, set)): Path<(String, String)>) -> Answer {
    let ask = match asked(&s, &set) {
        Ok(ask) => ask,
        Err(error) if error.code() == "dataRestore.at" => {
            return plan_page(&s, &id, &set, &[("at", said(&s, &error))], "").await;
        }
        Err(error) => return Err(error.into()),
    };
    match s.call(&restores::START, ask).await {
        Ok(begun) => Ok(done(&s.portal, &format!("/services/{id}/data-restores/{}", begun.id), "restoring")),
        Err(error) if error.code() == "dataRestore.name" => {
            plan_page(&s, &id, &set, &[("name", said(&s, &error))], "").await
        }
        Err(error) if correctable(&error) => plan_page(&s, &id, &set, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

fn came(p: &Page, one: &DataRestore) -> Vec<(&'static str, String)> {
    let b = &p.t.backups;
    let mut rows =
        vec![(b.asked, crate::fmt::date_time(one.requested_at, p.lang)), (b.from_copy, one.place_name.clone())];
    rows.push((b.onto, one.host_name.clone()));
    let Some(back) = &one.restored else { return rows };
    let seconds = |seconds: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
        let ms = (seconds.clamp(0.0, 1e12) * 1_000.0) as i64;
        crate::fmt::took(ms, p.t)
    };
    rows.extend([
        (b.it_is_at, back.at.clone()),
        (b.how_much_data, crate::fmt::bytes(i64::try_from(back.bytes).unwrap_or(i64::MAX))),
        (b.read_in, seconds(back.seconds)),
        (b.verified_in, seconds(back.verify_seconds)),
        (b.digest, back.digest.clone()),
    ]);
    rows.extend(back.newest.map(|newest| (b.newest_commit, crate::fmt::date_time(newest, p.lang))));
    rows.extend(one.kept_until.map(|until| (b.restored_until, crate::fmt::date_time(until, p.lang))));
    rows.extend(back.tables.map(|tables| (b.tables, tables.to_string())));
    rows
}

/// `GET /services/{id}/data-restores/{restore}`
pub(crate) async fn show_restore(s: Signed, Path((id, restore)): Path<(String, String)>) -> Answer {
    let name = called(&s, &id).await?;
    let detail = s.call(&restores::GET, restores::DataRestoreRef { id: restore.parse()? }).await?;
    let one = &detail.restore;
    let mut page = s.p().clone();
    page.refresh = (one.state == State::Running).then_some(3);
    let (p, b) = (&page, &s.t().backups);
    let why = |problem: &drivers::wire::Problem| said_of(p.lang, &problem.code, &problem.message);
    let outcome = match one.state {
        State::Done => Some(Notice::new(Tone::Well, b.data_done, "")),
        State::Failed => {
            Some(Notice::new(Tone::Danger, b.data_failed, one.problem.as_ref().map(why).unwrap_or_default()))
        }
        State::Running => detail.held_up.as_ref().map(|problem| Notice::new(Tone::Care, b.held_up, why(problem))),
        State::Cancelled => None,
    };
    let bytes = |number: u64| crate::fmt::bytes(i64::try_from(number).unwrap_or(i64::MAX));
    let how_far = match (one.state, detail.progress.as_ref().filter(|progress| progress.bytes)) {
        (State::Running, Some(progress)) => match progress.total {
            Some(total) => p.with2(b.of_total, bytes(progress.done), bytes(total)),
            None => bytes(progress.done),
        },
        (State::Running, None) => p.with(b.asking_host, &one.host_name),
        _ => String::new(),
    };
    let cancel = (one.state == State::Running && may_restore(&s))
        .then(|| format!("/services/{id}/data-restores/{restore}/cancel"));
    let (badge, rows, called) = (badge(p, one.state), came(p, one), one.name.clone());
    Ok(ok(&DataRestorePage { p, id, name, called, badge, outcome, how_far, rows, cancel }))
}

/// `POST /services/{id}/data-restores/{restore}/cancel`
pub(crate) async fn cancel(s: Signed, Path((id, restore)): Path<(String, String)>) -> Answer {
    s.call(&restores::CANCEL, restores::DataRestoreRef { id: restore.parse()? }).await?;
    Ok(done(&s.portal, &format!("/services/{id}/data-restores/{restore}"), "saved"))
}
