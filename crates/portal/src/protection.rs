//! Which policy a service has and what its rules keep; and the way out: what opens its repositories
//! without this platform.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::Result;
use base::time::Timestamp;
use continuity::BackupPolicyId;
use continuity::backups::places::Location;
use continuity::backups::policies::{self, Preview};
use continuity::backups::protections::{self, Protect, Protected};
use continuity::backups::repositories::{self, BackupRepository, Escrow, ListRepositories, Reveal};
use continuity::backups::retention::{Retention, Rule};
use continuity::backups::whole::{self, RepositoryRef};
use continuity::backups::{offers, points};
use provisioning::services::SERVICE;

use crate::account::{ConfirmPage, correctable, said};
use crate::backups::listed;
use crate::page::{Page, ok, show};
use crate::places::keeps;
use crate::policies::{RULES, numbers, of, retention};
use crate::records;
use crate::ui::{Badge, Choice, Confirm, Crumbs, Field, Notice, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};

/// The policy of a service, and another one.
#[derive(Template)]
#[template(path = "backups/protection.html")]
pub(crate) struct ProtectionPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub id: String,
    pub name: String,
    pub summary: Summary,
    pub notice: Option<Notice>,
    pub field: Option<Field>,
    pub facts: Vec<(&'static str, String)>,
    pub end: Option<Confirm>,
}

/// A point, and why it stays.
#[derive(Clone, Debug)]
pub(crate) struct VerdictRow {
    pub id: String,
    pub at: Timestamp,
    pub goes: Option<Badge>,
    pub kept_by: String,
}

/// Which rule keeps which point.
#[derive(Template)]
#[template(path = "backups/retention.html")]
pub(crate) struct RetentionPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub id: String,
    pub name: String,
    pub summary: Summary,
    pub held: bool,
    pub rows: Vec<VerdictRow>,
    pub fields: Vec<Field>,
}

/// A repository in the list.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryRow {
    pub id: String,
    pub place: String,
    pub made: Option<Timestamp>,
    pub revealed: Option<Timestamp>,
    /// What is being read of it, was, or was found.
    pub standing: String,
    /// Whether it may be asked for now that everything is read.
    pub may_check: bool,
}

/// The repositories that a service's copies lie in.
#[derive(Template)]
#[template(path = "backups/repositories.html")]
pub(crate) struct RepositoriesPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub id: String,
    pub name: String,
    pub rows: Vec<RepositoryRow>,
    pub may_reveal: bool,
}

/// What opens a repository, shown this once.
#[derive(Template)]
#[template(path = "backups/escrow.html")]
pub(crate) struct EscrowPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub id: String,
    pub place: String,
    pub location: String,
    pub repository: String,
    pub password: String,
    pub command: String,
}

fn has(s: &Signed, roles: &[&str]) -> bool {
    roles.iter().any(|role| s.cx.has_role(role))
}

/// Whether the visitor attaches any policy: the operator's, at home.
fn sets(s: &Signed) -> bool {
    s.p().operator() && has(s, &["administrator", "operations"])
}

/// Whether the visitor chooses among what is offered.
pub(crate) fn chooses(s: &Signed) -> bool {
    has(s, &["owner", "administrator", "operations"])
}

fn checks(s: &Signed) -> bool {
    has(s, &["owner", "administrator", "operations", "support"])
}

fn reveals(s: &Signed) -> bool {
    has(s, &["owner", "administrator"])
}

/// Where the backups of a service lead to, as far as the visitor's roles have a use for it.
pub(crate) fn ways(s: &Signed, id: &str, protected: bool) -> Vec<(String, &'static str)> {
    let r = &s.t().rules;
    let mut ways = Vec::new();
    if sets(s) {
        ways.push((format!("/services/{id}/protection"), r.change_policy));
    } else if chooses(s) && !protected {
        ways.push((format!("/services/{id}/protection"), r.choose));
    }
    if protected && !has(s, &["viewer"]) {
        ways.push((format!("/services/{id}/retention"), r.see_kept));
    }
    if reveals(s) || has(s, &["member", "auditor", "operations", "support"]) {
        ways.push((format!("/services/{id}/repositories"), r.repositories));
    }
    ways
}

fn crumbs(p: &Page, id: &str, name: &str) -> Crumbs {
    let (here, up) = (format!("/services/{id}"), format!("/services/{id}/backups"));
    p.crumbs(&[("/services", p.t.frame.services), (here.as_str(), name), (up.as_str(), p.t.backups.backups)])
}

async fn called(s: &Signed, id: &str) -> Result<String> {
    Ok(records::said(s.p().lang, &s.get(&SERVICE, id).await?.body, "name"))
}

fn this(id: &str) -> points::ServiceRef {
    points::ServiceRef { id: id.to_owned() }
}

/// The policies that the visitor may choose from: id, name, and what they mean in a line.
pub(crate) async fn choices(s: &Signed) -> Result<Vec<(BackupPolicyId, String, String)>> {
    let p = s.p();
    if sets(s) {
        let all = s.call(&policies::LIST, Default::default()).await?.items;
        let line = |terms: &policies::Terms| format!("{} · {}", terms.schedule.calendar, keeps(p, &terms.retention));
        return Ok(all.into_iter().map(|one| (one.id, one.name, line(&one.terms))).collect());
    }
    let all = s.call(&offers::LIST, Default::default()).await?.items;
    let line = |one: &offers::OfferedPolicy| format!("{} · {}", one.schedule.calendar, keeps(p, &one.retention));
    Ok(all.into_iter().map(|one| (one.id, one.name.clone(), line(&one))).collect())
}

fn facts(p: &Page, protected: &Protected) -> Vec<(&'static str, String)> {
    let (b, r) = (&p.t.backups, &p.t.rules);
    let Some(policy) = &protected.policy else { return Vec::new() };
    let schedule = &policy.terms.schedule;
    let mut facts = vec![
        (r.protection, policy.name.clone()),
        (b.when, format!("{} ({})", schedule.calendar, schedule.time_zone)),
        (b.keeps, keeps(p, &policy.terms.retention)),
        (b.to_places, listed(p, &protected.place_names)),
    ];
    facts.extend(protected.next_due.map(|due| (b.next_due, crate::fmt::date_time(due, p.lang))));
    facts
}

async fn protection_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let name = called(s, id).await?;
    let protected = s.call(&protections::GET, this(id)).await?;
    let now = protected.policy.as_ref().map(|policy| policy.id);
    // Who may not replace a policy is not asked for another one.
    let settled = now.is_some() && !sets(s);
    let offered = if settled || !chooses(s) { Vec::new() } else { choices(s).await? };
    let each = offered.iter().enumerate().map(|(n, (id, name, line))| Choice {
        chosen: now.map_or(n == 0, |now| now == *id),
        ..Choice::new(id.to_string(), name).note(line.as_str())
    });
    let field = (!offered.is_empty()).then(|| told(wrong, Field::tiles("policy", r.protection, each.collect())));
    let notice = match (settled, offered.is_empty()) {
        (true, _) => Some(Notice::new(Tone::Info, r.chosen_already, r.chosen_already_body)),
        (false, true) if sets(s) => Some(Notice::new(Tone::Care, r.no_policies, r.no_policies_body)),
        (false, true) => Some(Notice::new(Tone::Care, r.none_offered, r.none_offered_body)),
        (false, false) => None,
    };
    let summary = Summary::gather(s.t().frame.form_wrong, &field.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = ProtectionPage {
        p,
        crumbs: crumbs(p, id, &name),
        id: id.to_owned(),
        summary,
        notice,
        field,
        facts: facts(p, &protected),
        end: (now.is_some() && sets(s)).then(|| end_question(p, id, &name, false)),
        name,
    };
    Ok(show(status, &view))
}

/// `GET /services/{id}/protection`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    protection_page(&s, &id, &[], "").await
}

/// `POST /services/{id}/protection`
pub(crate) async fn attach(s: Signed, Path(id): Path<String>) -> Answer {
    let Ok(policy) = s.visit.form.get("policy").parse() else {
        return protection_page(&s, &id, &[("policy", s.t().errors.field_required.to_owned())], "").await;
    };
    let input = Protect { id: id.clone(), policy };
    let action = if sets(&s) { &protections::SET } else { &offers::CHOOSE };
    match s.call(action, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("/services/{id}/backups"), "policy-attached")),
        Err(error) if correctable(&error) => protection_page(&s, &id, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

fn end_question(p: &Page, id: &str, name: &str, page: bool) -> Confirm {
    let r = &p.t.rules;
    Confirm {
        id: "end",
        action: format!("/services/{id}/protection/end"),
        csrf: p.csrf.clone(),
        title: p.with(r.end_title, name),
        body: r.end_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: r.end.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/services/{id}/protection"),
        page,
    }
}

/// `GET /services/{id}/protection/end`
pub(crate) async fn ask_end(s: Signed, Path(id): Path<String>) -> Answer {
    let name = called(&s, &id).await?;
    let confirm = end_question(s.p(), &id, &name, true);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /services/{id}/protection/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&protections::END, this(&id)).await?;
    Ok(done(&s.portal, &format!("/services/{id}/backups"), "protection-ended"))
}

fn why(p: &Page, rule: Rule) -> String {
    let r = &p.t.rules;
    let word = match rule {
        Rule::Last => r.rule_last,
        Rule::Hourly => r.rule_hourly,
        Rule::Daily => r.rule_daily,
        Rule::Weekly => r.rule_weekly,
        Rule::Monthly => r.rule_monthly,
        Rule::Yearly => r.rule_yearly,
        Rule::Always => r.rule_always,
    };
    word.to_owned()
}

/// `GET /services/{id}/retention`: what its rules, or those in the address, would let go.
pub(crate) async fn kept(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, r, query) = (s.p(), &s.t().rules, &s.visit.query);
    let name = called(&s, &id).await?;
    let trying = RULES.iter().any(|rule| query.has(rule));
    let (tried, wrong): (Option<Retention>, Vec<(&str, String)>) = match retention(|rule| query.get(rule).to_owned()) {
        Ok(tried) => (trying.then_some(tried), Vec::new()),
        Err(at) => (None, vec![(at, s.t().errors.field_required.to_owned())]),
    };
    let told_of = s.call(&policies::PREVIEW, Preview { id: id.clone(), retention: tried }).await?;
    let fields = numbers(p, |rule| of(&told_of.retention, rule).to_string());
    let fields: Vec<Field> = fields.into_iter().map(|field| told(&wrong, field)).collect();
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    let rows: Vec<VerdictRow> = told_of
        .items
        .iter()
        .map(|verdict| VerdictRow {
            id: verdict.point.to_string(),
            at: verdict.taken_at,
            goes: verdict.goes().then(|| Badge::new(Tone::Care, r.would_go)),
            kept_by: listed(p, &verdict.kept_by.iter().map(|rule| why(p, *rule)).collect::<Vec<_>>()),
        })
        .collect();
    let held = !told_of.lets_go && rows.iter().any(|row| row.goes.is_some());
    Ok(ok(&RetentionPage { p, crumbs: crumbs(p, &id, &name), id, name, summary, held, rows, fields }))
}

/// The repositories of whose the service is.
async fn of_service(s: &Signed, id: &str) -> Result<(String, Vec<BackupRepository>)> {
    let record = s.get(&SERVICE, id).await?;
    let ask = ListRepositories { tenant: Some(record.tenant) };
    Ok((records::said(s.p().lang, &record.body, "name"), s.call(&repositories::LIST, ask).await?.items))
}

/// What a repository is at, else what was found of it last.
fn standing(p: &Page, one: &BackupRepository) -> String {
    let r = &p.t.rules;
    if let Some(reading) = &one.reading {
        return p.with(r.being_read, p.exact(&reading.since));
    }
    match (one.doubted_at, one.read_at) {
        (Some(at), _) => p.with(r.doubted, p.exact(&at)),
        (None, Some(at)) => p.with(r.read_whole, p.exact(&at)),
        (None, None) => String::new(),
    }
}

/// `POST /services/{id}/repositories/{repository}/check`
pub(crate) async fn check(s: Signed, Path((id, repository)): Path<(String, String)>) -> Answer {
    s.call(&whole::CHECK, RepositoryRef { id: repository.parse()? }).await?;
    Ok(done(&s.portal, &format!("/services/{id}/repositories"), "reading-repository"))
}

/// `GET /services/{id}/repositories`
pub(crate) async fn list(s: Signed, Path(id): Path<String>) -> Answer {
    let (name, all) = of_service(&s, &id).await?;
    let rows = all.iter().map(|one| RepositoryRow {
        id: one.id.to_string(),
        place: one.place_name.clone(),
        made: one.made_at,
        revealed: one.revealed_at,
        standing: standing(s.p(), one),
        may_check: one.made && one.reading.is_none() && checks(&s),
    });
    let (p, rows, may_reveal) = (s.p(), rows.collect(), reveals(&s));
    Ok(ok(&RepositoriesPage { p, crumbs: crumbs(p, &id, &name), id, name, rows, may_reveal }))
}

async fn reveal_page(s: &Signed, id: &str, repository: &str, wrong: &str, general: &str) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let (_, all) = of_service(s, id).await?;
    let found = all.into_iter().find(|one| one.id.to_string() == repository);
    let missing =
        || base::Error::not_found("backupRepository.not_found", "there is no such repository behind this service");
    let found = found.ok_or_else(missing)?;
    let field =
        Field::area("reason", p.t.frame.reason, s.visit.form.get("reason")).hint(p.t.frame.reason_hint).error(wrong);
    let confirm = Confirm {
        id: "reveal",
        action: format!("/services/{id}/repositories/{repository}/escrow"),
        csrf: p.csrf.clone(),
        title: p.with(r.reveal_title, &found.place_name),
        body: r.reveal_body.to_owned(),
        fields: vec![field],
        hidden: vec![],
        button: r.reveal.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/services/{id}/repositories"),
        page: true,
    };
    let summary = Summary::gather(p.t.frame.form_wrong, &confirm.fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &ConfirmPage { p, summary, confirm }))
}

/// `GET /services/{id}/repositories/{repository}/escrow`
pub(crate) async fn ask_reveal(s: Signed, Path((id, repository)): Path<(String, String)>) -> Answer {
    reveal_page(&s, &id, &repository, "", "").await
}

/// Where the place is, and where in it the repository: as restic names both.
fn address(escrow: &Escrow) -> (String, String) {
    let Escrow { location, name, .. } = escrow;
    match location {
        Location::Folder { path, .. } => (path.clone(), format!("{}/{name}", path.trim_end_matches('/'))),
        Location::Server { url, .. } => (url.clone(), format!("rest:{}/{name}/", url.trim_end_matches('/'))),
        Location::Bucket { endpoint, bucket, prefix, .. } => {
            let within = [bucket.as_str(), prefix.trim_matches('/'), name];
            let within: Vec<&str> = within.into_iter().filter(|part| !part.is_empty()).collect();
            (format!("{endpoint}/{bucket}"), format!("s3:{}/{}", endpoint.trim_end_matches('/'), within.join("/")))
        }
    }
}

/// `POST /services/{id}/repositories/{repository}/escrow`: the answer shows the password, this once.
pub(crate) async fn reveal(s: Signed, Path((id, repository)): Path<(String, String)>) -> Answer {
    let reason = s.visit.form.get("reason").to_owned();
    if reason.is_empty() {
        return reveal_page(&s, &id, &repository, s.t().errors.field_required, "").await;
    }
    let name = called(&s, &id).await?;
    let s = Signed { cx: s.cx.because(&reason), ..s };
    match s.call(&repositories::REVEAL, Reveal { id: repository.parse()?, reason }).await {
        Ok(escrow) => {
            let (location, at) = address(&escrow);
            let command = format!("RESTIC_PASSWORD=… restic --repo {at} snapshots");
            let (p, Escrow { place_name: place, name: repository, password, .. }) = (s.p(), escrow);
            Ok(ok(&EscrowPage { p, crumbs: crumbs(p, &id, &name), id, place, location, repository, password, command }))
        }
        Err(error) if correctable(&error) => reveal_page(&s, &id, &repository, "", &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}
