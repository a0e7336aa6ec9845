//! What is in a recovery point: its directories, those on its disks too, and single files of it.
//!
//! A host reads it, which takes a moment: the page says who is asked and how far that is, and
//! becomes the answer. Nothing here needs a script.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Path;
use axum::response::Response;
use base::names;
use continuity::backups::points::{self, PointRef};
use continuity::readings::actions::{self as readings, Browse, Fetch, ListReadings, ReadingRef};
use continuity::readings::{Reading, State};
use drivers::wire::{SavedItem, SavedKind};
use provisioning::services::SERVICE;

use crate::account::correctable;
use crate::http::encode;
use crate::i18n::said_of;
use crate::live;
use crate::page::{Page, ok};
use crate::records::said;
use crate::ui::{Badge, Crumbs, Notice, Tone};
use crate::visit::{Answer, Signed, done};

/// Something in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub name: String,
    /// Where it leads; empty: nowhere.
    pub open: String,
    /// The path that is fetched; empty: nothing is.
    pub fetch: String,
    pub kind: String,
    pub size: String,
    pub changed: String,
    pub note: String,
}

/// A file that somebody fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub path: String,
    pub open: String,
    pub at: base::time::Timestamp,
    pub badge: Badge,
}

/// What is waited for; the part that renews itself.
#[derive(Template)]
#[template(path = "backups/reading.html")]
pub(crate) struct Waiting {
    pub title: String,
    pub bar: Option<Bar>,
    pub how_far: String,
}

/// A directory of a recovery point.
#[derive(Template)]
#[template(path = "backups/files.html")]
pub(crate) struct FilesPage<'a> {
    pub p: &'a Page,
    pub title: String,
    pub crumbs: Crumbs,
    pub id: String,
    pub point: String,
    pub part: String,
    pub from: String,
    pub waiting: Option<(String, Waiting)>,
    pub trouble: Option<Notice>,
    pub again: String,
    pub parts: Vec<(String, String)>,
    pub rows: Option<Vec<Row>>,
    pub next: String,
    pub fetched: Vec<Fetched>,
}

/// A file that is fetched.
#[derive(Template)]
#[template(path = "backups/fetched.html")]
pub(crate) struct FetchedPage<'a> {
    pub p: &'a Page,
    pub title: String,
    pub crumbs: Crumbs,
    pub waiting: Option<(String, Waiting)>,
    pub outcome: Option<Notice>,
    pub save: Option<String>,
    pub facts: Vec<(&'static str, String)>,
}

fn bytes(number: u64) -> String {
    crate::fmt::bytes(i64::try_from(number).unwrap_or(i64::MAX))
}

/// How far something is, as a bar and in words.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<p class="small">{{ text }}</p><progress max="{{ total }}" value="{{ done }}" aria-label="{{ label }}"></progress>"#
)]
pub(crate) struct Bar {
    pub label: String,
    pub text: String,
    pub done: u64,
    pub total: u64,
}
impl HtmlSafe for Bar {}

impl Bar {
    /// Of so many bytes.
    pub(crate) fn bytes(p: &Page, label: &str, done: u64, total: u64) -> Self {
        let text = p.with2(p.t.backups.of_total, bytes(done), bytes(total));
        Self { label: label.to_owned(), text, done: done.min(total), total }
    }
}

/// A disk that comes back: its bar, how fast that is, and how long it still takes.
pub(crate) fn under_way(p: &Page, disk: &continuity::recoveries::UnderWay) -> (Bar, String) {
    let b = &p.t.backups;
    let text = match (disk.bytes_per_second, disk.seconds_left) {
        _ if disk.done >= disk.total => b.verifying.to_owned(),
        (Some(speed), Some(left)) => {
            p.with2(b.speed_and_left, bytes(speed), p.span(i64::try_from(left).unwrap_or(i64::MAX)))
        }
        _ => String::new(),
    };
    (Bar::bytes(p, &disk.disk, disk.done, disk.total), text)
}

fn waiting(p: &Page, one: &Reading) -> Waiting {
    let title = p.with(p.t.backups.asking_host, &one.host_name);
    let told = one.progress.as_ref().filter(|told| told.bytes);
    let total = told.and_then(|told| told.total).filter(|total| *total > 0);
    let bar = told.zip(total).map(|(told, total)| Bar::bytes(p, &title, told.done, total));
    let how_far = told.filter(|_| bar.is_none()).map(|told| bytes(told.done)).unwrap_or_default();
    Waiting { title, bar, how_far }
}

/// Where the part that renews itself comes from.
fn events(service: &str, one: &Reading) -> String {
    format!("/services/{service}/readings/{}/events", one.id)
}

fn address(service: &str, point: &str, part: &str, path: &str) -> String {
    format!("/services/{service}/points/{point}/files?part={}&path={}", encode(part), encode(path))
}

fn trouble(p: &Page, one: &Reading) -> Notice {
    let why = one.problem.as_ref().map(|problem| said_of(p.lang, &problem.code, &problem.message));
    Notice::new(Tone::Danger, p.t.backups.not_read, why.unwrap_or_default())
}

fn row(p: &Page, at: &str, link: impl Fn(&str) -> String, item: &SavedItem) -> Row {
    let b = &p.t.backups;
    let path = format!("{at}/{}", item.name);
    let fetched = matches!(item.kind, SavedKind::File | SavedKind::Directory);
    let note = match (&item.target, &item.filesystem, &item.label) {
        (Some(target), ..) => format!("→ {}", names::shown(target)),
        (_, Some(system), label) => {
            let system = if system.is_empty() { b.unknown_filesystem } else { system };
            let label = label.as_deref().map(names::shown).unwrap_or_default();
            let closed = if item.opens { "" } else { b.closed_filesystem };
            [system, &label, closed].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" · ")
        }
        _ => String::new(),
    };
    Row {
        name: names::shown(&item.name),
        open: if item.opens { link(&path) } else { String::new() },
        fetch: if fetched { path } else { String::new() },
        kind: match item.kind {
            SavedKind::File => b.kind_file,
            SavedKind::Directory => b.kind_directory,
            SavedKind::Link => b.kind_link,
            SavedKind::Disk => b.kind_disk,
            SavedKind::Partition => b.kind_partition,
            SavedKind::Other => b.kind_other,
        }
        .to_owned(),
        size: if item.kind == SavedKind::Directory { String::new() } else { bytes(item.size) },
        changed: item.modified.map(|at| crate::fmt::date_time(at, p.lang)).unwrap_or_default(),
        note,
    }
}

/// The way up: the service, its backups, the point, and each directory down to this one.
fn ways_up(s: &Signed, (service, name): (&str, &str), one: &Reading, when: &str) -> (Crumbs, String) {
    let (p, b) = (s.p(), &s.t().backups);
    let point = one.point.to_string();
    let mut links = vec![
        ("/services".to_owned(), s.t().frame.services.to_owned()),
        (format!("/services/{service}"), name.to_owned()),
        (format!("/services/{service}/backups"), b.backups.to_owned()),
    ];
    let below = one.path.strip_prefix(one.top.as_str()).unwrap_or(&one.path);
    let mut at = one.path.get(..one.path.len() - below.len()).unwrap_or_default().to_owned();
    let mut here = p.with(b.files_of, when);
    for part in below.split('/').filter(|part| !part.is_empty()) {
        links.push((address(service, &point, &one.part, &at), here));
        at = format!("{at}/{part}");
        here = names::shown(part);
    }
    (Crumbs { label: s.t().frame.you_are_here, links }, here)
}

/// `GET /services/{id}/points/{point}/files`
pub(crate) async fn show(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    let record = s.get(&SERVICE, &service).await?;
    let name = said(s.p().lang, &record.body, "name");
    let point = s.call(&points::GET, PointRef { id: id.parse()? }).await?.point;
    let when = crate::fmt::date_time(point.taken_at.unwrap_or(point.requested_at), s.p().lang);
    let query = &s.visit.query;
    let known = |part: &str| point.parts.iter().any(|one| one.part == part);
    let part = match point.parts.as_slice() {
        [only] => Some(only.part.clone()),
        _ => Some(query.get("part").to_owned()).filter(|part| known(part)),
    };
    let fetched = s.call(&readings::LIST, ListReadings { id: point.id }).await?.items;
    let fetched = fetched.iter().map(|one| Fetched {
        path: one.path.split('/').map(names::shown).collect::<Vec<_>>().join("/"),
        open: if one.state == State::Over { String::new() } else { reading_address(&service, one) },
        at: one.asked_at,
        badge: badge(s.p(), one),
    });
    let fetched: Vec<Fetched> = fetched.collect();
    let mut page = s.p().clone();
    let up = [
        ("/services".to_owned(), s.t().frame.services.to_owned()),
        (format!("/services/{service}"), name.clone()),
        (format!("/services/{service}/backups"), s.t().backups.backups.to_owned()),
    ];
    let top = Crumbs { label: s.t().frame.you_are_here, links: up.to_vec() };
    let asked = match &part {
        Some(part) => {
            let (path, after) = (query.get("path").to_owned(), query.get("after").to_owned());
            let ask = Browse { id: point.id, part: Some(part.clone()), place: None, path, after };
            match s.call(&readings::BROWSE, ask).await {
                Ok(reading) => Ok(Some(reading)),
                Err(error) if correctable(&error) || error.kind() == base::Kind::Unavailable => Err(error),
                Err(error) => return Err(error.into()),
            }
        }
        None => Ok(None),
    };
    let reading = asked.as_ref().ok().cloned().flatten();
    let open = reading.as_ref().is_some_and(|one| one.state.is_open());
    page.refresh = open.then_some(2);
    let p = &page;
    let (crumbs, title) = match &reading {
        Some(one) => ways_up(&s, (&service, &name), one, &when),
        None => (top, p.with(p.t.backups.files_of, &when)),
    };
    let part = part.unwrap_or_default();
    let parts = point.parts.iter().filter(|_| part.is_empty());
    let parts = parts.map(|one| {
        let name = one.data_set.as_ref().map_or_else(|| one.part.clone(), |set| set.name.clone());
        (address(&service, &id, &one.part, ""), name)
    });
    let parts = parts.collect();
    let here = reading.as_ref().map(|one| address(&service, &id, &part, &one.path)).unwrap_or_default();
    let failed = reading.as_ref().filter(|one| matches!(one.state, State::Failed | State::Over));
    let trouble = match &asked {
        Err(error) => Some(Notice::new(Tone::Danger, p.t.backups.not_read, p.error(error))),
        Ok(_) => failed.map(|one| trouble(p, one)),
    };
    let ready = reading.as_ref().filter(|one| one.state == State::Ready);
    let link = |path: &str| address(&service, &id, &part, path);
    let rows = ready.map(|one| one.items.iter().map(|item| row(p, &one.path, link, item)).collect());
    let next = ready.and_then(|one| one.next.as_deref()).map(|next| format!("{here}&after={}", encode(next)));
    let view = FilesPage {
        p,
        title,
        crumbs,
        from: reading.as_ref().map(|one| one.place_name.clone()).unwrap_or_default(),
        waiting: reading.as_ref().filter(|_| open).map(|one| (events(&service, one), waiting(p, one))),
        again: if trouble.is_some() { here } else { String::new() },
        trouble,
        parts,
        rows,
        next: next.unwrap_or_default(),
        fetched,
        point: id,
        part,
        id: service,
    };
    Ok(ok(&view))
}

fn reading_address(service: &str, one: &Reading) -> String {
    format!("/services/{service}/readings/{}", one.id)
}

fn badge(p: &Page, one: &Reading) -> Badge {
    let (b, s) = (&p.t.backups, &p.t.state);
    match one.state {
        State::Waiting | State::Running => Badge::new(Tone::Active, s.in_progress),
        State::Ready => Badge::new(Tone::Well, b.file_ready),
        State::Failed => Badge::new(Tone::Danger, b.failed),
        State::Over if one.taken_at.is_some() => Badge::new(Tone::Neutral, b.file_taken),
        State::Over => Badge::new(Tone::Neutral, b.file_over),
    }
}

/// `POST /services/{id}/points/{point}/fetch`
pub(crate) async fn fetch(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    let form = &s.visit.form;
    let part = Some(form.get("part").to_owned()).filter(|part| !part.is_empty());
    let ask = Fetch { id: id.parse()?, part, place: None, path: form.get("path").to_owned() };
    let reading = s.call(&readings::FETCH, ask).await?;
    Ok(done(&s.portal, &reading_address(&service, &reading), "fetching"))
}

async fn reading(s: &Signed, id: &str) -> base::Result<Reading> {
    s.call(&readings::GET, ReadingRef { id: id.parse()? }).await
}

/// `GET /services/{id}/readings/{reading}`
pub(crate) async fn show_reading(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    let one = reading(&s, &id).await?;
    let record = s.get(&SERVICE, &service).await?;
    let name = said(s.p().lang, &record.body, "name");
    let point = s.call(&points::GET, PointRef { id: one.point }).await?.point;
    let when = crate::fmt::date_time(point.taken_at.unwrap_or(point.requested_at), s.p().lang);
    let mut page = s.p().clone();
    page.refresh = one.state.is_open().then_some(2);
    let (p, b) = (&page, &s.t().backups);
    let (crumbs, title) = ways_up(&s, (&service, &name), &one, &when);
    let outcome = match one.state {
        State::Waiting | State::Running => None,
        State::Ready => Some(Notice::new(Tone::Well, b.file_ready, b.file_ready_body)),
        State::Failed => Some(trouble(p, &one)),
        State::Over => Some(Notice::new(Tone::Info, b.file_over, b.file_over_body)),
    };
    let mut facts = vec![(b.from_point, when), (b.from_copy, one.place_name.clone())];
    facts.extend(one.bytes.map(|number| (b.size, bytes(number))));
    facts.extend(one.sha256.clone().map(|digest| (b.digest, digest)));
    facts.extend((one.state == State::Ready).then(|| (b.kept_until, crate::fmt::date_time(one.ends_at, p.lang))));
    let view = FetchedPage {
        p,
        title,
        crumbs,
        waiting: one.state.is_open().then(|| (events(&service, &one), waiting(p, &one))),
        outcome,
        save: (one.state == State::Ready).then(|| format!("{}/file", reading_address(&service, &one))),
        facts,
    };
    Ok(ok(&view))
}

/// `GET /services/{id}/readings/{reading}/events`
pub(crate) async fn reading_events(s: Signed, Path((_, id)): Path<(String, String)>) -> Answer {
    reading(&s, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let one = reading(&s, &id).await?;
            Ok((live::fragment(&waiting(s.p(), &one))?, !one.state.is_open()))
        }
    }))
}

/// `GET /services/{id}/readings/{reading}/file`
pub(crate) async fn file(s: Signed, Path((_, id)): Path<(String, String)>) -> Answer {
    let (ticket, file) = continuity::readings::take(&s.portal.gate, &s.cx, &id).await?;
    let response: Response = web::attachment(&ticket.name, ticket.bytes, file)?;
    Ok(response)
}
