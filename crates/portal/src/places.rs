//! Where copies lie: the operator's list, its forms, and what lets one in.

use access::tenants::actions as tenants;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};
use continuity::BackupPlaceId;
use continuity::backups::findings;
use continuity::backups::places::{self, BackupPlace, ELSEWHERE, Immutability, Location, Role};
use continuity::backups::policies;
use continuity::backups::retention::Retention;
use resources::hosts;

use crate::account::{ConfirmPage, correctable, said};
use crate::backups::{OperatorBackups, PlaceRow, PolicyRow, listed};
use crate::page::{Page, ok, show};
use crate::policies::PreviewTable;
use crate::ui::{Badge, Choice, Confirm, Crumbs, Field, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};

/// A heading, a line under it, and its fields.
pub(crate) type Group = (&'static str, String, Vec<Field>);

/// A form about a place or a policy.
#[derive(Template)]
#[template(path = "backups/rule_form.html")]
pub(crate) struct RuleForm<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub title: String,
    pub lead: String,
    pub summary: Summary,
    pub action: String,
    pub hidden: Vec<(&'static str, String)>,
    pub groups: Vec<Group>,
    /// Whether a second button shows what the rules would do.
    pub may_preview: bool,
    pub preview: Option<PreviewTable>,
    pub back: &'static str,
}

/// Where everything about places and policies begins.
pub(crate) const UP: &str = "/operator/backups";

pub(crate) fn keeps(p: &Page, retention: &Retention) -> String {
    let b = &p.t.backups;
    let rules = [
        (retention.last, b.last),
        (retention.hourly, b.hourly),
        (retention.daily, b.daily),
        (retention.weekly, b.weekly),
        (retention.monthly, b.monthly),
        (retention.yearly, b.yearly),
    ];
    let said: Vec<String> =
        rules.iter().filter(|(number, _)| *number > 0).map(|(number, words)| p.with(words, number)).collect();
    if said.is_empty() { b.keeps_all.to_owned() } else { listed(p, &said) }
}

fn at(location: &Location) -> String {
    match location {
        Location::Folder { path, .. } => path.clone(),
        Location::Server { url, .. } => url.clone(),
        Location::Bucket { endpoint, bucket, .. } => format!("{endpoint}/{bucket}"),
    }
}

/// Whether the visitor's roles let them look after the rules; the gate decides.
pub(crate) fn may_change(s: &Signed) -> bool {
    ["administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

/// `GET /operator/backups`
pub(crate) async fn operator(s: Signed) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let places = s.call(&places::LIST, Default::default()).await?.items;
    let policies = s.call(&policies::LIST, Default::default()).await?.items;
    let sites = s.call(&resources::places::LIST_SITES, Default::default()).await?;
    let site = |id: &str| match sites.items.iter().find(|site| site.id.to_string() == id) {
        Some(site) => site.name.clone(),
        None => b.elsewhere.to_owned(),
    };
    let name = |id: &BackupPlaceId| {
        places.iter().find(|place| place.id == *id).map(|place| place.name.clone()).unwrap_or_default()
    };
    let rows = places.iter().map(|place| PlaceRow {
        id: place.id.to_string(),
        name: place.name.clone(),
        location: at(&place.location),
        site: site(&place.site),
        badge: match place.immutability {
            Immutability::None => Badge::new(Tone::Neutral, b.immutable_none),
            Immutability::AppendOnly => Badge::new(Tone::Well, b.immutable_append),
            Immutability::ObjectLock => Badge::new(Tone::Well, b.immutable_lock),
        },
        has_credentials: place.location.host().is_none(),
    });
    let rules = policies.iter().map(|policy| PolicyRow {
        id: policy.id.to_string(),
        name: policy.name.clone(),
        when: format!("{} ({})", policy.terms.schedule.calendar, policy.terms.schedule.time_zone),
        keeps: keeps(p, &policy.terms.retention),
        places: listed(p, &policy.terms.places.iter().map(name).collect::<Vec<_>>()),
        offered: policy.terms.offered.then(|| Badge::new(Tone::Info, s.t().rules.offered_badge)),
    });
    let (rows, rules) = (rows.collect(), rules.collect());
    Ok(ok(&OperatorBackups { p, places: rows, policies: rules, may_change: may_change(&s) }))
}

/// What was typed before, or what is there.
pub(crate) fn kept(s: &Signed, name: &str, or: &str) -> String {
    let form = &s.visit.form;
    if form.has("csrf") { form.get(name).to_owned() } else { or.to_owned() }
}

fn one_of(now: &str, choices: &[(&str, &str)]) -> Vec<Choice> {
    choices.iter().map(|(value, label)| Choice { chosen: *value == now, ..Choice::new(*value, *label) }).collect()
}

async fn host_choices(s: &Signed, now: &str) -> Result<Vec<Choice>> {
    let all = s.call(&hosts::LIST, Default::default()).await?.items;
    let none = Choice { chosen: now.is_empty(), ..Choice::new("", s.t().rules.host_none) };
    let living = all.iter().filter(|host| host.state != hosts::State::Retired);
    let each = living.map(|host| {
        let id = host.id.to_string();
        Choice { chosen: id == now, ..Choice::new(id, &host.name) }
    });
    Ok(std::iter::once(none).chain(each).collect())
}

async fn site_choices(s: &Signed, now: &str) -> Result<Vec<Choice>> {
    let (r, b) = (&s.t().rules, &s.t().backups);
    let sites = s.call(&resources::places::LIST_SITES, Default::default()).await?.items;
    let mut choices = one_of(now, &[("", r.site_of_host), (ELSEWHERE, b.elsewhere)]);
    choices.extend(sites.iter().map(|site| {
        let id = site.id.to_string();
        Choice { chosen: id == now, ..Choice::new(id, &site.name) }
    }));
    Ok(choices)
}

/// What both forms ask: where it stands, and what protects copies there.
async fn stands(s: &Signed, known: Option<&BackupPlace>) -> Result<Vec<Field>> {
    let (r, b) = (&s.t().rules, &s.t().backups);
    let host = known.and_then(|place| place.host).map(|host| host.to_string()).unwrap_or_default();
    let of_host = known.is_some_and(|place| place.host.is_some());
    let site = known.filter(|_| !of_host).map(|place| place.site.clone()).unwrap_or_default();
    let immutable = match known.map_or(Immutability::None, |place| place.immutability) {
        Immutability::None => "none",
        Immutability::AppendOnly => "appendOnly",
        Immutability::ObjectLock => "objectLock",
    };
    let words = [("none", b.immutable_none), ("appendOnly", b.immutable_append), ("objectLock", b.immutable_lock)];
    Ok(vec![
        Field::select("host", r.host, host_choices(s, &kept(s, "host", &host)).await?).hint(r.host_hint).free(),
        Field::select("site", r.site, site_choices(s, &kept(s, "site", &site)).await?).hint(r.site_hint).free(),
        Field::select("immutability", b.immutability, one_of(&kept(s, "immutability", immutable), &words)).free(),
    ])
}

/// Where a new place is: three kinds, each with fields of its own.
fn lies(s: &Signed) -> Vec<Field> {
    let (r, optional) = (&s.t().rules, s.t().frame.optional);
    let now = kept(s, "kind", "server");
    let kinds =
        [("folder", r.folder, r.folder_note), ("server", r.server, r.server_note), ("bucket", r.bucket, r.bucket_note)];
    let kinds =
        kinds.map(|(value, label, note)| Choice { chosen: value == now, ..Choice::new(value, label).note(note) });
    let line = |name: &'static str, label: &'static str| Field::line(name, label, kept(s, name, ""));
    let mut fields = vec![
        Field::tiles("kind", r.place_kind, kinds.to_vec()),
        line("path", r.path).hint(r.path_hint).only("folder"),
        line("url", r.url).hint(r.url_hint).only("server"),
    ];
    fields.extend(bucket(s));
    let authority = Field::area("authority", r.authority, kept(s, "authority", "")).hint(r.authority_hint);
    fields.push(authority.optional(optional).only("server bucket"));
    fields
}

/// What names a place in object storage.
pub(crate) fn bucket(s: &Signed) -> [Field; 5] {
    let r = &s.t().rules;
    let line = |name: &'static str, label: &'static str| Field::line(name, label, kept(s, name, ""));
    let hosted = !s.visit.form.get("virtualHosted").is_empty();
    [
        line("endpoint", r.endpoint).hint(r.url_hint),
        line("bucket", r.bucket_name),
        line("prefix", r.prefix).optional(s.t().frame.optional),
        line("region", r.region),
        Field::check("virtualHosted", r.virtual_hosted, r.virtual_hosted_text, hosted),
    ]
    .map(|field| field.only("bucket"))
}

fn crumbs(p: &Page) -> Crumbs {
    p.crumbs(&[(UP, p.t.backups.operator_title)])
}

/// A form of these pages, with what was wrong.
pub(crate) fn answer(s: &Signed, mut form: RuleForm<'_>, wrong: &[(&str, String)], general: &str) -> Answer {
    for (_, _, fields) in &mut form.groups {
        *fields = std::mem::take(fields).into_iter().map(|field| told(wrong, field)).collect();
    }
    let all: Vec<&Field> = form.groups.iter().flat_map(|(_, _, fields)| fields).collect();
    form.summary = Summary::gather(s.t().frame.form_wrong, &all, general);
    let fine = form.summary.errors.is_empty();
    Ok(show(if fine { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &form))
}

/// A refusal that the form can be corrected after is said at its field.
pub(crate) fn fault(
    s: &Signed,
    error: Error,
    field: Option<&'static str>,
) -> Result<(Vec<(&'static str, String)>, String)> {
    let words = said(s, &error);
    match field {
        Some(field) => Ok((vec![(field, words)], String::new())),
        None if correctable(&error) || error.code().ends_with(".stale") => Ok((Vec::new(), words)),
        None => Err(error),
    }
}

/// Which field an error is about.
fn field(error: &Error) -> Option<&'static str> {
    let at = error.attribute().unwrap_or_default();
    let at = at.strip_prefix("location.").unwrap_or(at);
    ["name", "path", "url", "endpoint", "bucket", "host", "site", "immutability", "secret"]
        .into_iter()
        .find(|name| *name == at)
}

async fn new_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let name = Field::line("name", s.t().frame.name, kept(s, "name", ""));
    let form = RuleForm {
        p,
        crumbs: crumbs(p),
        title: r.place_new.to_owned(),
        lead: r.place_lead.to_owned(),
        summary: Summary::default(),
        action: format!("{UP}/places/new"),
        hidden: vec![],
        groups: vec![
            ("", String::new(), std::iter::once(name).chain(lies(s)).collect()),
            ("", String::new(), stands(s, None).await?),
        ],
        may_preview: false,
        preview: None,
        back: UP,
    };
    answer(s, form, wrong, general)
}

/// `GET /operator/backups/places/new`
pub(crate) async fn new(s: Signed) -> Answer {
    new_page(&s, &[], "").await
}

fn immutability(s: &Signed) -> Immutability {
    match s.visit.form.get("immutability") {
        "appendOnly" => Immutability::AppendOnly,
        "objectLock" => Immutability::ObjectLock,
        _ => Immutability::None,
    }
}

fn filled(s: &Signed, name: &str) -> Option<String> {
    Some(s.visit.form.get(name).to_owned()).filter(|text| !text.is_empty())
}

/// The host that was chosen, if any; the field's name where it is none.
fn host(s: &Signed) -> std::result::Result<Option<base::id::HostId>, &'static str> {
    filled(s, "host").map(|host| host.parse().map_err(|_| "host")).transpose()
}

/// What was typed, or which field it cannot be.
fn typed(s: &Signed) -> std::result::Result<places::NewPlace, &'static str> {
    let need = |name: &'static str| filled(s, name).ok_or(name);
    let host = host(s)?;
    let authority = filled(s, "authority");
    let location = match s.visit.form.get("kind") {
        "folder" => Location::Folder { host: host.ok_or("host")?, path: need("path")? },
        "bucket" => Location::Bucket {
            endpoint: need("endpoint")?,
            bucket: need("bucket")?,
            prefix: filled(s, "prefix").unwrap_or_default(),
            region: need("region")?,
            virtual_hosted: filled(s, "virtualHosted").is_some(),
            authority,
        },
        _ => Location::Server { url: need("url")?, authority },
    };
    let name = need("name")?;
    Ok(places::NewPlace { name, location, site: filled(s, "site"), host, immutability: Some(immutability(s)) })
}

/// `POST /operator/backups/places/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let new = match typed(&s) {
        Ok(new) => new,
        Err(at) => return new_page(&s, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    match s.call(&places::CREATE, new).await {
        // A server or a bucket lets nobody in yet.
        Ok(place) if place.location.host().is_none() => {
            Ok(done(&s.portal, &format!("{UP}/places/{}/credential", place.id), "saved"))
        }
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            new_page(&s, &wrong, &general).await
        }
    }
}

async fn find(s: &Signed, id: &str) -> Result<BackupPlace> {
    s.call(&places::GET, places::PlaceRef { id: id.parse()? }).await
}

async fn change_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let place = find(s, id).await?;
    let name = Field::line("name", s.t().frame.name, kept(s, "name", &place.name));
    let fields = std::iter::once(name).chain(stands(s, Some(&place)).await?).collect();
    let form = RuleForm {
        p,
        crumbs: crumbs(p),
        title: p.with(r.place_change, &place.name),
        lead: p.with(r.place_stays, at(&place.location)),
        summary: Summary::default(),
        action: format!("{UP}/places/{id}"),
        hidden: vec![("revision", kept(s, "revision", &place.revision.to_string()))],
        groups: vec![("", String::new(), fields)],
        may_preview: false,
        preview: None,
        back: UP,
    };
    answer(s, form, wrong, general)
}

/// `GET /operator/backups/places/{id}`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    change_page(&s, &id, &[], "").await
}

/// `POST /operator/backups/places/{id}`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let place = find(&s, &id).await?;
    let host = match host(&s) {
        Ok(host) => host,
        Err(at) => return change_page(&s, &id, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    let change = places::ChangePlace {
        id: place.id,
        revision: s.visit.form.get("revision").parse().ok(),
        name: Some(s.visit.form.get("name").to_owned()),
        site: filled(&s, "site"),
        // A directory's host is its own and stays.
        host: place.location.host().is_none().then_some(host),
        immutability: Some(immutability(&s)),
    };
    match s.call(&places::UPDATE, change).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            change_page(&s, &id, &wrong, &general).await
        }
    }
}

async fn renew_page(s: &Signed, id: &str, general: &str) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let place = find(s, id).await?;
    let confirm = Confirm {
        id: "renew",
        action: format!("{UP}/places/{id}/renew"),
        csrf: p.csrf.clone(),
        title: p.with(b.renew_title, &place.name),
        body: b.renew_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: b.renew.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: UP.to_owned(),
        page: true,
    };
    let summary = Summary::gather(p.t.frame.form_wrong, &[], general);
    let status = if general.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &ConfirmPage { p, summary, confirm }))
}

/// `GET /operator/backups/places/{id}/renew`
pub(crate) async fn ask_renew(s: Signed, Path(id): Path<String>) -> Answer {
    renew_page(&s, &id, "").await
}

/// `POST /operator/backups/places/{id}/renew`
pub(crate) async fn renew(s: Signed, Path(id): Path<String>) -> Answer {
    match s.call(&findings::RENEW, places::PlaceRef { id: id.parse()? }).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) if correctable(&error) => renew_page(&s, &id, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

async fn credential_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, r) = (s.p(), &s.t().rules);
    let place = find(s, id).await?;
    let now = kept(s, "role", "append");
    let roles = [("append", r.role_append, r.role_append_note), ("maintain", r.role_maintain, r.role_maintain_note)];
    let roles =
        roles.map(|(value, label, note)| Choice { chosen: value == now, ..Choice::new(value, label).note(note) });
    let ask = tenants::ListTenants { parent: None, search: None, after: None, limit: Some(200) };
    let customers = s.call(&tenants::LIST, ask).await.map(|page| page.items).unwrap_or_default();
    let now = kept(s, "whose", "");
    let mut whose = one_of(&now, &[("", r.whose_all), (PLATFORM, r.whose_platform)]);
    whose.extend(customers.iter().map(|one| {
        let id = one.id.to_string();
        Choice { chosen: id == now, ..Choice::new(id, &one.name) }
    }));
    let fields = vec![
        Field::tiles("role", r.role, roles.to_vec()),
        Field::select("whose", r.whose, whose).free(),
        Field::line("name", r.access_name, kept(s, "name", "")).kind("text", "off"),
        Field::line("secret", r.secret, "").kind("password", "new-password"),
    ];
    let form = RuleForm {
        p,
        crumbs: crumbs(p),
        title: p.with(r.credential_set, &place.name),
        lead: r.credential_lead.to_owned(),
        summary: Summary::default(),
        action: format!("{UP}/places/{id}/credential"),
        hidden: vec![],
        groups: vec![("", String::new(), fields)],
        may_preview: false,
        preview: None,
        back: UP,
    };
    answer(s, form, wrong, general)
}

/// The choice that means the platform's own repository.
const PLATFORM: &str = "platform";

/// `GET /operator/backups/places/{id}/credential`
pub(crate) async fn credential(s: Signed, Path(id): Path<String>) -> Answer {
    credential_page(&s, &id, &[], "").await
}

/// `POST /operator/backups/places/{id}/credential`
pub(crate) async fn set_credential(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let missing = ["name", "secret"].into_iter().find(|name| form.raw(name).is_empty());
    if let Some(at) = missing {
        return credential_page(&s, &id, &[(at, s.t().errors.field_required.to_owned())], "").await;
    }
    let whose = filled(&s, "whose").filter(|whose| whose != PLATFORM);
    let input = places::SetCredential {
        id: id.parse()?,
        tenant: whose.map(|tenant| tenant.parse()).transpose()?,
        control_plane: form.get("whose") == PLATFORM,
        role: if form.get("role") == "maintain" { Role::Maintain } else { Role::Append },
        name: form.get("name").to_owned(),
        secret: form.raw("secret").to_owned(),
    };
    match s.call(&places::SET_CREDENTIAL, input).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            credential_page(&s, &id, &wrong, &general).await
        }
    }
}
