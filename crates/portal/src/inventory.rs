//! Inventory: what a firm does and what that depends on, seen and completed.

use crate::account::{ConfirmPage, FormPage, correctable, said};
use crate::i18n::Inventory as Words;
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Field, Pager, Summary, Tabs, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use base::{Error, Result, limits};
use continuity::bia::{self, AssessmentRef, Inherited};
use continuity::inventory::actions::{self, InventoryPage, ListInventory, NewThing, PutThing, ThingDetail, ThingRef};
use continuity::inventory::csv;
use continuity::inventory::import::{self, ExportInventory, ImportInventory, Imported, LineChange};
use continuity::inventory::{ADDED, Kind, Needs, Said, Thing};

/// How many things a page shows, and a form offers.
const PAGE: u32 = 100;

/// A thing in the list.
#[derive(Clone, Debug)]
pub(crate) struct ThingRow {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub owner: String,
    pub importance: String,
    pub within: Option<String>,
    pub needs: usize,
    pub known: bool,
}

/// An inventory.
#[derive(Template)]
#[template(path = "inventory/list.html")]
pub(crate) struct InventoryList<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub search: Field,
    pub kind: &'static str,
    pub rows: Vec<ThingRow>,
    pub pager: Pager,
    pub may_edit: bool,
}

/// A need of a thing: how many of whom, and whether people said so.
#[derive(Clone, Debug)]
pub(crate) struct NeedRow {
    /// (id, name)
    pub of: Vec<(String, String)>,
    /// "at least 1 of 2", where there are several.
    pub least: Option<String>,
    /// Its place among those that people said, where they did.
    pub said: Option<usize>,
}

/// What something inherits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Goals {
    pub rto: Option<String>,
    pub rpo: Option<String>,
    /// (id, name, its own objectives)
    pub because: Vec<(String, String, String)>,
}

/// What was judged of an activity.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// (after, level, amount, whether it cannot be borne)
    pub harm: Vec<(String, String, String, bool)>,
    pub facts: Vec<(&'static str, String)>,
    pub overdue: bool,
}

/// A thing.
#[derive(Template)]
#[template(path = "inventory/show.html")]
pub(crate) struct ThingPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub known: bool,
    pub note: String,
    pub facts: Vec<(&'static str, String)>,
    pub needs: Vec<NeedRow>,
    /// (id, name)
    pub needed_by: Vec<(String, String)>,
    pub goals: Goals,
    pub activity: bool,
    pub judged: Option<Judged>,
    pub may_edit: bool,
}

/// The form that adds a need.
#[derive(Template)]
#[template(path = "inventory/needs.html")]
pub(crate) struct NeedsPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub summary: Summary,
    pub search: Field,
    pub fields: Vec<Field>,
}

/// A line of an import.
#[derive(Clone, Debug)]
pub(crate) struct LineRow {
    pub file: &'static str,
    pub line: usize,
    pub about: String,
    pub badge: crate::ui::Badge,
    pub problem: String,
}

/// The form that imports.
#[derive(Template)]
#[template(path = "inventory/import.html")]
pub(crate) struct ImportPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub fields: Vec<Field>,
    pub lines: Vec<LineRow>,
    /// What it comes to, where it was looked at; and whether it can be done.
    pub sum: Option<String>,
    pub sound: bool,
}

/// What a kind is called, of several.
pub(crate) fn kind_word(w: &'static Words, kind: Kind) -> &'static str {
    match kind {
        Kind::Activity => w.activity,
        Kind::Service => w.service,
        Kind::Outside => w.outside,
        Kind::Resource => w.resource,
        Kind::Host => w.host,
        Kind::Rack => w.rack,
        Kind::Site => w.site,
        Kind::Power => w.power,
        Kind::Cooling => w.cooling,
        Kind::FireProtection => w.fire_protection,
        Kind::Route => w.route,
        Kind::BackupPlace => w.backup_place,
        Kind::Supplier => w.supplier,
        Kind::Material => w.material,
        Kind::Logistics => w.logistics,
        Kind::Person => w.person,
    }
}

/// Whether the visitor's roles let them change an inventory; the gate decides.
pub(crate) fn may_edit(s: &Signed) -> bool {
    ["owner", "administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

pub(crate) fn seconds(p: &Page, seconds: u64) -> String {
    p.span(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn row(p: &Page, one: &Thing, page: &InventoryPage) -> ThingRow {
    let name = |id: &String| page.items.iter().find(|other| other.id == *id).map(|other| other.name.clone());
    ThingRow {
        id: one.id.clone(),
        name: one.name.clone(),
        kind: kind_word(&p.t.inventory, one.kind),
        owner: one.said.owner.clone(),
        importance: one.said.importance.map(|n| n.to_string()).unwrap_or_default(),
        within: one.within.as_ref().and_then(name),
        needs: one.needs.len(),
        known: one.known,
    }
}

fn kind_tabs(p: &Page, page: &InventoryPage, chosen: Option<Kind>) -> Tabs {
    let w = &p.t.inventory;
    let total: usize = page.counts.values().sum();
    let mut links = vec![("/inventory".to_owned(), format!("{} {total}", w.all), chosen.is_none())];
    for kind in Kind::ALL {
        if let Some(count) = page.counts.get(kind.word()) {
            let href = format!("/inventory?kind={}", kind.word());
            links.push((href, format!("{} {count}", kind_word(w, kind)), chosen == Some(kind)));
        }
    }
    Tabs { label: w.kind.to_owned(), links }
}

/// `GET /inventory`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, w, query) = (s.p(), &s.t().inventory, &s.visit.query);
    let (kind, text, after) = (Kind::of(query.get("kind")), query.get("q").to_owned(), query.get("after").to_owned());
    let beyond_first = !after.is_empty();
    let ask = ListInventory {
        kind,
        text: Some(text.clone()).filter(|text| !text.is_empty()),
        after: Some(after).filter(|_| beyond_first),
        limit: Some(PAGE),
        tenant: None,
    };
    let page = s.call(&actions::LIST, ask).await?;
    let kind_of = kind.map_or("", Kind::word);
    let base = format!("/inventory?kind={kind_of}&q={}", crate::http::encode(&text));
    let view = InventoryList {
        p,
        tabs: kind_tabs(p, &page, kind),
        search: Field::line("q", w.search, text).free(),
        kind: kind_of,
        rows: page.items.iter().map(|one| row(p, one, &page)).collect(),
        pager: p.pager(&base, page.items.len(), page.next.as_deref(), beyond_first),
        may_edit: may_edit(&s),
    };
    Ok(ok(&view))
}

async fn find(s: &Signed, id: &str) -> Result<ThingDetail> {
    s.call(&actions::GET, ThingRef { id: id.to_owned(), tenant: None }).await
}

fn need_rows(p: &Page, detail: &ThingDetail) -> Vec<NeedRow> {
    let name = |id: &String| (id.clone(), detail.names.get(id).unwrap_or(id).clone());
    let mut said = 0;
    let mut rows = Vec::new();
    for need in &detail.thing.needs {
        let several = need.of.len() > 1;
        rows.push(NeedRow {
            of: need.of.iter().map(name).collect(),
            least: several.then(|| p.with2(p.t.inventory.n_of, need.at_least, need.of.len())),
            said: (!need.known).then_some(said),
        });
        said += usize::from(!need.known);
    }
    rows
}

fn goals(p: &Page, inherited: &Inherited) -> Goals {
    let each = |rto: Option<u64>, rpo: Option<u64>| {
        let one = |label: &str, value: Option<u64>| value.map(|value| format!("{label} {}", seconds(p, value)));
        [one("RTO", rto), one("RPO", rpo)].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    };
    let because = inherited.because.iter();
    Goals {
        rto: inherited.rto_seconds.map(|rto| seconds(p, rto)),
        rpo: inherited.rpo_seconds.map(|rpo| seconds(p, rpo)),
        because: because
            .map(|one| (one.activity.clone(), one.name.clone(), each(one.rto_seconds, one.rpo_seconds)))
            .collect(),
    }
}

/// `GET /inventory/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, w) = (s.p(), &s.t().inventory);
    let detail = find(&s, &id).await?;
    let urgent = s.call(&bia::GET, AssessmentRef { id: detail.thing.id.clone(), tenant: None }).await?;
    let one = &detail.thing;
    let or_unsaid = |text: String| if text.is_empty() { w.never_said.to_owned() } else { text };
    let span = |value: Option<u64>| or_unsaid(value.map(|value| seconds(p, value)).unwrap_or_default());
    let within = one.within.as_ref().and_then(|id| detail.names.get(id)).cloned();
    let mut facts = vec![
        (w.within, within.unwrap_or_else(|| w.nowhere.to_owned())),
        (w.repair, span(one.said.repair_seconds)),
        (w.start, span(one.said.start_seconds)),
        (w.importance, or_unsaid(one.said.importance.map(|n| n.to_string()).unwrap_or_default())),
        (w.likelihood, or_unsaid(one.said.likelihood.map(|n| likelihood(p, n)).unwrap_or_default())),
        (w.owner, or_unsaid(one.said.owner.clone())),
    ];
    if one.key != one.id {
        facts.push((w.key, one.key.clone()));
    }
    let name = |id: &String| (id.clone(), detail.names.get(id).unwrap_or(id).clone());
    let view = ThingPage {
        p,
        id: one.id.clone(),
        name: one.name.clone(),
        kind: kind_word(w, one.kind),
        known: one.known,
        note: one.said.note.clone(),
        facts,
        needs: need_rows(p, &detail),
        needed_by: detail.needed_by.iter().map(name).collect(),
        goals: goals(p, &urgent.objectives),
        activity: one.kind == Kind::Activity,
        judged: urgent.assessment.as_ref().map(|one| crate::assessments::judged(p, one, &urgent.scale)),
        may_edit: may_edit(&s),
    };
    Ok(ok(&view))
}

// Adding and editing.

/// Names of fields, by the attribute that an error is about.
fn field_of(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "name" => "name",
        "key" => "key",
        "kind" => "kind",
        "within" => "within",
        "repairSeconds" | "repair" => "repair",
        "startSeconds" | "start" => "start",
        "importance" => "importance",
        "likelihood" => "likelihood",
        "owner" => "owner",
        "note" => "note",
        _ => return None,
    })
}

fn fields(s: &Signed, now: Option<&Thing>, within: &str, wrong: &[(&str, String)]) -> Vec<Field> {
    let (w, form, optional) = (&s.t().inventory, &s.visit.form, s.t().frame.optional);
    let kept = |name: &str, or: String| if form.has(name) { form.get(name).to_owned() } else { or };
    let of = |value: fn(&Thing) -> String| now.map(value).unwrap_or_default();
    let mut fields = Vec::new();
    if now.is_none_or(|now| !now.known) {
        if now.is_none() {
            let chosen = kept("kind", s.visit.query.get("kind").to_owned());
            let choice = |kind: Kind| {
                let mut choice = Choice::new(kind.word(), kind_word(w, kind));
                choice.chosen = kind.word() == chosen;
                choice
            };
            fields.push(Field::select("kind", w.kind, ADDED.map(choice).to_vec()));
        }
        fields.push(Field::line("name", w.name, kept("name", of(|now| now.name.clone()))));
        let key = now.map(|now| now.key.clone()).filter(|key| !key.starts_with("inv_")).unwrap_or_default();
        fields.push(Field::line("key", w.key, kept("key", key)).hint(w.key_hint).optional(optional));
    }
    let span = |seconds: Option<u64>| seconds.map(csv::span).unwrap_or_default();
    let (repair, start) =
        (span(now.and_then(|now| now.said.repair_seconds)), span(now.and_then(|now| now.said.start_seconds)));
    let line = |name: &'static str, label: &'static str, or: String| Field::line(name, label, kept(name, or));
    fields.extend([
        line("within", w.within, within.to_owned()).hint(w.within_hint).optional(optional),
        line("repair", w.repair, repair).hint(w.repair_hint).optional(optional),
        line("start", w.start, start).hint(w.start_hint).optional(optional),
        line("importance", w.importance, of(|now| now.said.importance.map(|n| n.to_string()).unwrap_or_default()))
            .hint(w.importance_hint)
            .optional(optional),
        line("likelihood", w.likelihood, of(|now| now.said.likelihood.map(|n| n.to_string()).unwrap_or_default()))
            .hint(w.likelihood_hint)
            .optional(optional),
        line("owner", w.owner, of(|now| now.said.owner.clone())).optional(optional),
        Field::area("note", w.note, kept("note", of(|now| now.said.note.clone()))).optional(optional),
    ]);
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

/// How likely a loss is, in words: `3 · now and then`.
pub(crate) fn likelihood(p: &Page, judged: u8) -> String {
    let w = &p.t.inventory;
    let words = match judged {
        1 => w.hardly_ever,
        2 => w.seldom,
        3 => w.now_and_then,
        4 => w.likely,
        _ => w.expected,
    };
    format!("{judged} · {words}")
}

/// What the form says; the name of the field that does not read, and why.
fn from_form(s: &Signed) -> std::result::Result<Said, (&'static str, String)> {
    let form = &s.visit.form;
    let span = |name: &'static str| match form.get(name) {
        "" => Ok(None),
        text => csv::seconds(text).map(Some).map_err(|e| (name, said(s, &e))),
    };
    let number = |name: &'static str, hint: &'static str| match form.get(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| (name, hint.to_owned())),
    };
    let w = &s.t().inventory;
    Ok(Said {
        repair_seconds: span("repair")?,
        start_seconds: span("start")?,
        importance: number("importance", w.importance_hint)?,
        likelihood: number("likelihood", w.likelihood_hint)?,
        owner: form.get("owner").to_owned(),
        note: form.get("note").to_owned(),
    })
}

fn filled(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn form_page(s: &Signed, now: Option<&Thing>, within: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, w) = (s.p(), &s.t().inventory);
    let fields = fields(s, now, within, wrong);
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let back = now.map_or_else(|| "/inventory".to_owned(), |now| format!("/inventory/{}", now.id));
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/inventory", w.title)]),
        title: now.map_or_else(|| w.add.to_owned(), |now| now.name.clone()),
        lead: String::new(),
        summary,
        action: now.map_or_else(|| "/inventory/new".to_owned(), |now| format!("/inventory/{}/edit", now.id)),
        fields,
        button: if now.is_none() { w.add.to_owned() } else { w.save.to_owned() },
        back,
    };
    Ok(show(status, &view))
}

/// The form again, with what was wrong; other errors go on.
fn again(s: &Signed, now: Option<&Thing>, error: Error) -> Answer {
    let words = said(s, &error);
    match field_of(error.attribute().unwrap_or_default()) {
        Some(field) => form_page(s, now, "", &[(field, words)], ""),
        None if correctable(&error) => form_page(s, now, "", &[], &words),
        None => Err(error.into()),
    }
}

/// `GET /inventory/new`
pub(crate) async fn new_form(s: Signed) -> Answer {
    form_page(&s, None, "", &[], "")
}

/// `POST /inventory/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let form = &s.visit.form;
    let said = match from_form(&s) {
        Ok(said) => said,
        Err((name, words)) => return form_page(&s, None, "", &[(name, words)], ""),
    };
    let Some(kind) = Kind::of(form.get("kind")) else {
        return form_page(&s, None, "", &[("kind", s.t().errors.field_required.to_owned())], "");
    };
    let new = NewThing {
        tenant: None,
        kind,
        name: form.get("name").to_owned(),
        key: filled(form.get("key")),
        within: filled(form.get("within")),
        needs: vec![],
        said,
    };
    match s.call(&actions::ADD, new).await {
        Ok(detail) => Ok(done(&s.portal, &format!("/inventory/{}", detail.thing.id), "thing-added")),
        Err(error) => again(&s, None, error),
    }
}

/// What a thing is said to stand in, as a person wrote it.
fn said_within(detail: &ThingDetail) -> String {
    // Where the platform knows it, only another place is said by people.
    let said = detail.thing.within.clone().filter(|_| !detail.thing.known || detail.thing.is_placed());
    said.unwrap_or_default()
}

/// `GET /inventory/{id}/edit`
pub(crate) async fn edit_form(s: Signed, Path(id): Path<String>) -> Answer {
    let detail = find(&s, &id).await?;
    form_page(&s, Some(&detail.thing), &said_within(&detail), &[], "")
}

/// `POST /inventory/{id}/edit`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    let detail = find(&s, &id).await?;
    let (form, now) = (&s.visit.form, &detail.thing);
    let said = match from_form(&s) {
        Ok(said) => said,
        Err((name, words)) => return form_page(&s, Some(now), "", &[(name, words)], ""),
    };
    let change = PutThing {
        id: now.id.clone(),
        tenant: None,
        revision: None,
        name: filled(form.get("name")),
        key: filled(form.get("key")),
        within: filled(form.get("within")),
        needs: None,
        said,
    };
    match s.call(&actions::PUT, change).await {
        Ok(_) => Ok(done(&s.portal, &format!("/inventory/{}", now.id), "saved")),
        Err(error) => again(&s, Some(now), error),
    }
}

/// `GET /inventory/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let detail = find(&s, &id).await?;
    remove_page(&s, &detail, "")
}

fn remove_page(s: &Signed, detail: &ThingDetail, wrong: &str) -> Answer {
    let (p, w, one) = (s.p(), &s.t().inventory, &detail.thing);
    let confirm = Confirm {
        id: "remove",
        action: format!("/inventory/{}/remove", one.id),
        csrf: p.csrf.clone(),
        title: w.remove.to_owned(),
        body: p.with(w.remove_body, &one.name),
        fields: vec![],
        hidden: vec![],
        button: w.remove.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("/inventory/{}", one.id),
        page: true,
    };
    let summary = Summary::gather(s.t().frame.form_wrong, &[], wrong);
    Ok(ok(&ConfirmPage { p, summary, confirm }))
}

/// `POST /inventory/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    match s.call(&actions::REMOVE, ThingRef { id: id.clone(), tenant: None }).await {
        Ok(_) => Ok(done(&s.portal, "/inventory", "thing-removed")),
        Err(error) if correctable(&error) => remove_page(&s, &find(&s, &id).await?, &said(&s, &error)),
        Err(error) => Err(error.into()),
    }
}

// Needs.

/// The needs that people said, which are the ones that they change.
fn stated(detail: &ThingDetail) -> Vec<Needs> {
    detail.thing.needs.iter().filter(|need| !need.known).cloned().collect()
}

async fn put_needs(s: &Signed, detail: &ThingDetail, needs: Vec<Needs>) -> Result<ThingDetail> {
    let one = &detail.thing;
    let change = PutThing {
        id: one.id.clone(),
        tenant: None,
        revision: Some(one.revision),
        name: None,
        key: None,
        within: filled(&said_within(detail)),
        needs: Some(needs),
        said: one.said.clone(),
    };
    s.call(&actions::PUT, change).await
}

async fn needs_page(s: &Signed, detail: &ThingDetail, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, w, form) = (s.p(), &s.t().inventory, &s.visit.form);
    let text = s.visit.query.get("q").to_owned();
    let ask = ListInventory { text: filled(&text), limit: Some(limits::PAGE_MAX), ..ListInventory::default() };
    let mut found = s.call(&actions::LIST, ask).await?.items;
    let order = |kind: Kind| Kind::ALL.iter().position(|known| *known == kind);
    found.retain(|one| one.id != detail.thing.id);
    found.sort_by_key(|one| (order(one.kind), one.name.clone()));
    found.truncate(PAGE as usize);
    let chosen = form.all("of");
    let choice = |one: &Thing| {
        let mut choice = Choice::new(&one.id, &one.name).note(kind_word(w, one.kind));
        choice.chosen = chosen.contains(&one.id.as_str());
        choice
    };
    let least = if form.has("least") { form.get("least").to_owned() } else { String::new() };
    let fields = vec![
        told(wrong, Field::boxes("of", w.add_need, found.iter().map(choice).collect()).hint(w.add_need_hint)),
        told(wrong, Field::line("least", w.at_least, least).hint(w.at_least_hint).optional(s.t().frame.optional)),
    ];
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (id, name) = (detail.thing.id.clone(), detail.thing.name.clone());
    let search = Field::line("q", w.search, text).free();
    Ok(show(status, &NeedsPage { p, id, name, summary, search, fields }))
}

/// `GET /inventory/{id}/needs`
pub(crate) async fn needs_form(s: Signed, Path(id): Path<String>) -> Answer {
    needs_page(&s, &find(&s, &id).await?, &[], "").await
}

/// `POST /inventory/{id}/needs`
pub(crate) async fn add_need(s: Signed, Path(id): Path<String>) -> Answer {
    let detail = find(&s, &id).await?;
    let of: Vec<String> = s.visit.form.all("of").into_iter().map(str::to_owned).collect();
    if of.is_empty() {
        let wrong = s.t().errors.field_required.to_owned();
        return needs_page(&s, &detail, &[("of", wrong)], "").await;
    }
    let all = u32::try_from(of.len()).unwrap_or(u32::MAX);
    let at_least = match s.visit.form.get("least") {
        "" => all,
        text => match text.parse() {
            Ok(least) => least,
            Err(_) => return needs_page(&s, &detail, &[("least", s.t().inventory.at_least_hint.to_owned())], "").await,
        },
    };
    let mut needs = stated(&detail);
    match at_least == all {
        // All of them: each for itself, so that each can be taken back for itself.
        true => needs.extend(of.into_iter().map(|id| Needs { known: false, ..Needs::one(id) })),
        false => needs.push(Needs { at_least, of, known: false }),
    }
    match put_needs(&s, &detail, needs).await {
        Ok(_) => Ok(done(&s.portal, &format!("/inventory/{}", detail.thing.id), "saved")),
        Err(error) if error.attribute().is_some_and(|at| at.starts_with("needs")) => {
            needs_page(&s, &detail, &[("of", said(&s, &error))], "").await
        }
        Err(error) if correctable(&error) => needs_page(&s, &detail, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /inventory/{id}/needs/{n}/remove`
pub(crate) async fn remove_need(s: Signed, Path((id, n)): Path<(String, usize)>) -> Answer {
    let detail = find(&s, &id).await?;
    let mut needs = stated(&detail);
    if n < needs.len() {
        needs.remove(n);
        put_needs(&s, &detail, needs).await?;
    }
    Ok(done(&s.portal, &format!("/inventory/{}", detail.thing.id), "saved"))
}

// Files.

fn line_row(p: &Page, line: &import::ImportLine) -> LineRow {
    use crate::ui::{Badge, Tone};
    let w = &p.t.inventory;
    let badge = match line.change {
        LineChange::Wrong => Badge::new(Tone::Danger, w.change_wrong),
        LineChange::Add => Badge::new(Tone::Well, w.change_add),
        LineChange::Change => Badge::new(Tone::Info, w.change_change),
        LineChange::Same => Badge::new(Tone::Neutral, w.change_same),
    };
    let problem = line.code.as_deref().zip(line.problem.as_deref());
    LineRow {
        file: if line.file == "nodes" { w.nodes } else { w.dependencies },
        line: line.line,
        about: line.about.clone(),
        badge,
        problem: problem.map(|(code, message)| crate::i18n::said_of(p.lang, code, message)).unwrap_or_default(),
    }
}

fn import_page(s: &Signed, looked: Option<&Imported>, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, w, form) = (s.p(), &s.t().inventory, &s.visit.form);
    let area = |name: &'static str, label: &'static str, hint: &'static str| {
        told(wrong, Field::area(name, label, form.get(name)).hint(hint).optional(s.t().frame.optional))
    };
    let fields = vec![area("nodes", w.nodes, w.nodes_hint), area("dependencies", w.dependencies, w.dependencies_hint)];
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let sum = looked.map(|looked| match looked.wrong {
        0 => p.with2(w.preview_sum, looked.added, looked.changed),
        wrong => p.with(w.preview_wrong, wrong),
    });
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let lines = looked.map(|looked| looked.lines.iter().map(|line| line_row(p, line)).collect()).unwrap_or_default();
    let sound = looked.is_some_and(|looked| looked.wrong == 0);
    Ok(show(status, &ImportPage { p, summary, fields, lines, sum, sound }))
}

/// `GET /inventory/import`
pub(crate) async fn import_form(s: Signed) -> Answer {
    import_page(&s, None, &[], "")
}

/// `POST /inventory/import`: first what it would do, then, asked again, all of it.
pub(crate) async fn import(s: Signed) -> Answer {
    let form = &s.visit.form;
    let (nodes, dependencies) = (form.get("nodes").to_owned(), form.get("dependencies").to_owned());
    let tables = ImportInventory { tenant: None, nodes, dependencies };
    let looked = s.call(&import::PREVIEW, tables.clone()).await;
    let sound = looked.as_ref().is_ok_and(|looked| looked.wrong == 0);
    let result = match form.get("do") == "import" && sound {
        true => match s.call(&import::IMPORT, tables).await {
            Ok(_) => return Ok(done(&s.portal, "/inventory", "inventory-imported")),
            Err(error) => Err(error),
        },
        false => looked,
    };
    match result {
        Ok(looked) => import_page(&s, Some(&looked), &[], ""),
        Err(error) if correctable(&error) => {
            let words = said(&s, &error);
            let field = ["nodes", "dependencies"].into_iter().find(|name| error.attribute() == Some(name));
            match field {
                Some(field) => import_page(&s, None, &[(field, words)], ""),
                None => import_page(&s, None, &[], &words),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn file(name: &'static str, text: String) -> Answer {
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    let named = HeaderValue::from_static(name);
    // Spreadsheets take a file without this mark for one in the country's old letters.
    let body = format!("\u{feff}{text}");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)], body).into_response())
}

/// `GET /inventory/nodes.csv`
pub(crate) async fn nodes_file(s: Signed) -> Answer {
    let tables = s.call(&import::EXPORT, ExportInventory::default()).await?;
    file("attachment; filename=\"nodes.csv\"", tables.nodes)
}

/// `GET /inventory/dependencies.csv`
pub(crate) async fn dependencies_file(s: Signed) -> Answer {
    let tables = s.call(&import::EXPORT, ExportInventory::default()).await?;
    file("attachment; filename=\"dependencies.csv\"", tables.dependencies)
}
