//! Where the audit log is shipped to: the operator's list and its forms.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::time::Timestamp;
use base::{Error, Result};
use guard::shipping::actions::{
    AuditPlaceRef, CREATE, ChangeAuditPlace, GET, LIST, NewAuditPlace, REMOVE, RemoveAuditPlace, SET_CREDENTIAL, SHIP,
    SetAuditCredential, UPDATE,
};
use guard::shipping::{AuditPlace, State, Target};

use crate::account::{ConfirmPage, correctable, said};
use crate::page::{Page, show};
use crate::places::{RuleForm, answer, bucket, fault, kept};
use crate::ui::{Badge, Choice, Confirm, Copy, Crumbs, Field, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};

const UP: &str = "/operator/audit/places";

/// A place in the list.
pub(crate) struct Row {
    id: String,
    name: String,
    location: String,
    entries: bool,
    badge: Badge,
    problem: String,
    behind_since: Option<Timestamp>,
    shipped: String,
    shipped_at: Option<Timestamp>,
    has_credential_page: bool,
}

/// The places.
#[derive(Template)]
#[template(path = "operator/shipping.html")]
struct Places<'a> {
    p: &'a Page,
    /// The secret of a webhook just made, shown this once.
    secret: Option<Copy>,
    places: Vec<Row>,
    may_change: bool,
    may_ship: bool,
}

fn row(p: &Page, place: AuditPlace) -> Row {
    let t = &p.t.shipping;
    let location = match &place.target {
        Target::Directory { path } => path.clone(),
        Target::Syslog { address, .. } => address.clone(),
        Target::Bucket { endpoint, bucket, .. } => format!("{endpoint}/{bucket}"),
        Target::Webhook { url } => url.clone(),
    };
    let badge = match place.state {
        State::Waiting => Badge::new(Tone::Neutral, t.waiting),
        State::Current => Badge::new(Tone::Well, t.current),
        State::Failing => Badge::new(Tone::Care, t.failing),
        State::Behind => Badge::new(Tone::Danger, t.behind),
    };
    let problem = place.problem.as_ref().map(|one| crate::i18n::said_of(p.lang, &one.code, &one.message));
    Row {
        id: place.id.to_string(),
        name: place.name,
        location,
        entries: place.entries,
        badge,
        problem: problem.unwrap_or_default(),
        // What is a moment late is not worth a line.
        behind_since: place.behind_since.filter(|_| place.state == State::Behind),
        shipped: p.with(t.shipped_count, p.count(usize::try_from(place.shipped).unwrap_or(0))),
        shipped_at: place.shipped_at,
        has_credential_page: matches!(place.target, Target::Bucket { .. }),
    }
}

async fn list_page(s: &Signed, secret: Option<String>) -> Answer {
    let p = s.p();
    let places = s.call(&LIST, Default::default()).await?.items;
    let may_change = s.cx.has_role("administrator");
    let may_ship = may_change || s.cx.has_role("operations");
    let places = places.into_iter().map(|place| row(p, place)).collect();
    let secret = secret.map(|secret| p.copy("secret", secret));
    Ok(show(StatusCode::OK, &Places { p, secret, places, may_change, may_ship }))
}

/// `GET /operator/audit/places`
pub(crate) async fn list(s: Signed) -> Answer {
    list_page(&s, None).await
}

fn crumbs(p: &Page) -> Crumbs {
    p.crumbs(&[("/operator/audit", p.t.frame.audit), (UP, p.t.shipping.title)])
}

/// Which field an error is about.
fn field(error: &Error) -> Option<&'static str> {
    let at = error.attribute().unwrap_or_default();
    let at = at.strip_prefix("target.").unwrap_or(at);
    [
        "name",
        "path",
        "address",
        "authority",
        "endpoint",
        "bucket",
        "region",
        "url",
        "everySeconds",
        "behindSeconds",
        "secret",
        "reason",
    ]
    .into_iter()
    .find(|name| *name == at)
}

fn filled(s: &Signed, name: &str) -> Option<String> {
    Some(s.visit.form.get(name).to_owned()).filter(|text| !text.is_empty())
}

fn times(s: &Signed, every: i64, limit: i64) -> [Field; 2] {
    let t = &s.t().shipping;
    [
        Field::line("everySeconds", t.every, kept(s, "everySeconds", &every.to_string())),
        Field::line("behindSeconds", t.limit, kept(s, "behindSeconds", &limit.to_string())),
    ]
}

fn form<'a>(s: &'a Signed, title: String, lead: &str, action: String, fields: Vec<Field>) -> RuleForm<'a> {
    let p = s.p();
    RuleForm {
        p,
        crumbs: crumbs(p),
        title,
        lead: lead.to_owned(),
        summary: Summary::default(),
        action,
        hidden: vec![],
        groups: vec![("", String::new(), fields)],
        may_preview: false,
        preview: None,
        back: UP,
    }
}

async fn new_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, optional) = (&s.t().shipping, s.t().frame.optional);
    let now = kept(s, "kind", "directory");
    let kinds = [
        ("directory", t.directory, t.directory_note),
        ("syslog", t.syslog, t.syslog_note),
        ("bucket", t.bucket, t.bucket_note),
        ("webhook", t.webhook, t.webhook_note),
    ];
    let kinds =
        kinds.map(|(value, label, note)| Choice { chosen: value == now, ..Choice::new(value, label).note(note) });
    let line = |name: &'static str, label: &'static str| Field::line(name, label, kept(s, name, ""));
    let entries = !s.visit.form.has("csrf") || !s.visit.form.get("entries").is_empty();
    let authority = Field::area("authority", t.authority, kept(s, "authority", ""));
    let mut fields = vec![
        line("name", s.t().frame.name),
        Field::tiles("kind", t.kind, kinds.to_vec()),
        line("path", t.path).hint(t.path_hint).only("directory"),
        line("address", t.address).hint(t.address_hint).only("syslog"),
        line("url", t.url).hint(t.url_hint).only("webhook"),
    ];
    fields.extend(bucket(s));
    fields.push(authority.hint(t.authority_hint).optional(optional).only("syslog bucket"));
    fields.push(Field::check("entries", t.entries, t.entries_text, entries).free());
    fields.extend(times(s, 60, 900));
    answer(s, form(s, t.new.to_owned(), t.new_lead, format!("{UP}/new"), fields), wrong, general)
}

/// `GET /operator/audit/places/new`
pub(crate) async fn new(s: Signed) -> Answer {
    // Nobody names a place who may not know of any.
    s.call(&LIST, Default::default()).await?;
    new_page(&s, &[], "").await
}

fn seconds(s: &Signed, name: &'static str) -> std::result::Result<Option<i64>, &'static str> {
    filled(s, name).map(|text| text.parse().map_err(|_| name)).transpose()
}

/// What was typed, or which field it cannot be.
fn typed(s: &Signed) -> std::result::Result<NewAuditPlace, &'static str> {
    let need = |name: &'static str| filled(s, name).ok_or(name);
    let target = match s.visit.form.get("kind") {
        "syslog" => Target::Syslog { address: need("address")?, authority: need("authority")? },
        "bucket" => Target::Bucket {
            endpoint: need("endpoint")?,
            bucket: need("bucket")?,
            prefix: filled(s, "prefix").unwrap_or_default(),
            region: need("region")?,
            virtual_hosted: filled(s, "virtualHosted").is_some(),
            authority: filled(s, "authority"),
        },
        "webhook" => Target::Webhook { url: need("url")? },
        _ => Target::Directory { path: need("path")? },
    };
    Ok(NewAuditPlace {
        name: need("name")?,
        target,
        entries: Some(filled(s, "entries").is_some()),
        every_seconds: seconds(s, "everySeconds")?,
        behind_seconds: seconds(s, "behindSeconds")?,
    })
}

/// `POST /operator/audit/places/new`: of a webhook, the answer shows the secret, this once.
pub(crate) async fn create(s: Signed) -> Answer {
    let new = match typed(&s) {
        Ok(new) => new,
        Err(at) => return new_page(&s, &[(at, s.t().errors.field_required.to_owned())], "").await,
    };
    match s.call(&CREATE, new).await {
        Ok(made) if made.signing_secret.is_some() => list_page(&s, made.signing_secret).await,
        // A bucket lets nobody in yet.
        Ok(made) if matches!(made.place.target, Target::Bucket { .. }) => {
            Ok(done(&s.portal, &format!("{UP}/{}/credential", made.place.id), "saved"))
        }
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            new_page(&s, &wrong, &general).await
        }
    }
}

async fn find(s: &Signed, id: &str) -> Result<AuditPlace> {
    // What is no identifier names no place.
    let id = id.parse().map_err(|_| Error::not_found("auditPlace.not_found", "the log is shipped to no such place"))?;
    s.call(&GET, AuditPlaceRef { id }).await
}

async fn change_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (place, t) = (find(s, id).await?, &s.t().shipping);
    let mut fields = vec![Field::line("name", s.t().frame.name, kept(s, "name", &place.name))];
    fields.extend(times(s, place.every_seconds, place.behind_seconds));
    let mut form = form(s, s.p().with(t.change, &place.name), t.new_lead, format!("{UP}/{id}"), fields);
    form.hidden = vec![("revision", kept(s, "revision", &place.revision.to_string()))];
    answer(s, form, wrong, general)
}

/// `GET /operator/audit/places/{id}`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    change_page(&s, &id, &[], "").await
}

/// `POST /operator/audit/places/{id}`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let (every, limit) = match (seconds(&s, "everySeconds"), seconds(&s, "behindSeconds")) {
        (Ok(every), Ok(limit)) => (every, limit),
        (Err(at), _) | (_, Err(at)) => {
            return change_page(&s, &id, &[(at, s.t().errors.field_required.to_owned())], "").await;
        }
    };
    let change = ChangeAuditPlace {
        id: id.parse()?,
        revision: s.visit.form.get("revision").parse().ok(),
        name: Some(s.visit.form.get("name").to_owned()),
        every_seconds: every,
        behind_seconds: limit,
    };
    match s.call(&UPDATE, change).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            change_page(&s, &id, &wrong, &general).await
        }
    }
}

/// `POST /operator/audit/places/{id}/ship`
pub(crate) async fn ship(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&SHIP, AuditPlaceRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, UP, "shipping"))
}

async fn credential_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (place, t, r) = (find(s, id).await?, &s.t().shipping, &s.t().rules);
    let fields = vec![
        Field::line("name", r.access_name, kept(s, "name", "")).kind("text", "off"),
        Field::line("secret", r.secret, "").kind("password", "new-password"),
    ];
    let title = s.p().with(r.credential_set, &place.name);
    answer(s, form(s, title, t.credential_lead, format!("{UP}/{id}/credential"), fields), wrong, general)
}

/// `GET /operator/audit/places/{id}/credential`
pub(crate) async fn credential(s: Signed, Path(id): Path<String>) -> Answer {
    credential_page(&s, &id, &[], "").await
}

/// `POST /operator/audit/places/{id}/credential`
pub(crate) async fn set_credential(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    if let Some(at) = ["name", "secret"].into_iter().find(|name| form.raw(name).is_empty()) {
        return credential_page(&s, &id, &[(at, s.t().errors.field_required.to_owned())], "").await;
    }
    let (name, secret) = (form.get("name").to_owned(), form.raw("secret").to_owned());
    match s.call(&SET_CREDENTIAL, SetAuditCredential { id: id.parse()?, name, secret }).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) => {
            let at = field(&error);
            let (wrong, general) = fault(&s, error, at)?;
            credential_page(&s, &id, &wrong, &general).await
        }
    }
}

async fn remove_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, t, place) = (s.p(), &s.t().shipping, find(s, id).await?);
    let reason = told(wrong, Field::line("reason", t.reason, kept(s, "reason", "")).hint(t.reason_hint));
    let summary = Summary::gather(s.t().frame.form_wrong, &[&reason], general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let confirm = Confirm {
        id: "remove",
        action: format!("{UP}/{id}/remove"),
        csrf: p.csrf.clone(),
        title: p.with(t.remove_title, &place.name),
        body: t.remove_body.to_owned(),
        fields: vec![reason],
        hidden: vec![],
        button: t.remove.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: UP.to_owned(),
        page: true,
    };
    Ok(show(status, &ConfirmPage { p, summary, confirm }))
}

/// `GET /operator/audit/places/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    remove_page(&s, &id, &[], "").await
}

/// `POST /operator/audit/places/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    let reason = s.visit.form.get("reason").to_owned();
    match s.call(&REMOVE, RemoveAuditPlace { id: id.parse()?, reason }).await {
        Ok(_) => Ok(done(&s.portal, UP, "saved")),
        Err(error) if field(&error) == Some("reason") => {
            remove_page(&s, &id, &[("reason", said(&s, &error))], "").await
        }
        Err(error) if correctable(&error) => remove_page(&s, &id, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}
