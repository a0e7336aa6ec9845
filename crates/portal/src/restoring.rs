//! Bringing a service back: from which point and copy, where to, what it would do, and the question.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};
use continuity::backups::points;
use continuity::restores::actions as restores;
use continuity::restores::{Ask, Plan};
use provisioning::services::SERVICE;
use resources::hosts;

use crate::account::correctable;
use crate::backups::{bytes, listed, may_act, plan_of, seconds};
use crate::http::Form;
use crate::page::{Page, show};
use crate::records::said;
use crate::ui::{Choice, Control, Field, Notice, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};

/// The plan of a restore, and the question.
#[derive(Template)]
#[template(path = "backups/plan.html")]
pub(crate) struct PlanPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub summary: Summary,
    pub choices: Vec<Field>,
    pub trouble: Option<Notice>,
    pub alive: Option<Notice>,
    pub rows: Vec<(&'static str, String)>,
    pub hidden: Vec<(&'static str, String)>,
    pub confirm: Option<Field>,
    pub button: &'static str,
    pub danger: bool,
    pub possible: bool,
}

impl PlanPage<'_> {
    fn here(&self) -> String {
        format!("/services/{}", self.id)
    }
    fn up(&self) -> String {
        format!("/services/{}/backups", self.id)
    }
}

/// What a form or an address asks for.
fn asked(id: &str, form: &Form) -> Result<Ask> {
    fn some<T: std::str::FromStr>(text: &str) -> std::result::Result<Option<T>, T::Err> {
        if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
    }
    let keeping =
        || Error::invalid("restore.keep", "a machine beside the service is kept from 1 to 720 hours").at("keepHours");
    let instant = |_| Error::invalid("restore.not_after", "an instant is written 2026-11-22T20:15:00Z").at("notAfter");
    Ok(Ask {
        id: id.to_owned(),
        point: some(form.get("point"))?,
        place: some(form.get("place"))?,
        not_after: some(form.get("notAfter")).map_err(instant)?,
        host: some(form.get("host"))?,
        site: some(form.get("site"))?,
        beside: form.get("how") == "beside",
        keep_hours: some(form.get("keepHours")).map_err(|_| keeping())?.filter(|_| form.get("how") == "beside"),
        even_if_alive: !form.get("alive").is_empty(),
    })
}

fn choice(now: &str, value: String, label: impl Into<String>) -> Choice {
    Choice { chosen: value == now, ..Choice::new(value, label) }
}

/// The hosts that it could go to; only for those who look after them.
async fn host_choices(s: &Signed, now: &str) -> Result<Vec<Choice>> {
    if !["administrator", "operations"].iter().any(|role| s.cx.has_role(role)) {
        return Ok(Vec::new());
    }
    let all = s.call(&hosts::LIST, Default::default()).await?.items;
    let living = all.into_iter().filter(|host| host.state == hosts::State::Active);
    Ok(living.map(|host| choice(now, host.id.to_string(), host.name)).collect())
}

/// The sites that it could stand at.
async fn site_choices(s: &Signed, id: &str, now: &str) -> Result<Vec<Choice>> {
    let all = s.call(&restores::SITES, points::ServiceRef { id: id.to_owned() }).await?.items;
    Ok(all.into_iter().map(|site| choice(now, site.id.to_string(), site.name)).collect())
}

/// For how long what stands beside is kept; a week where nothing is said.
fn keep_hours(now: &str, unit: &str) -> Control {
    let (min, max) = (Some("1".to_owned()), Some("720".to_owned()));
    Control::Number { value: now.to_owned(), min, max, step: "1".into(), unit: unit.to_owned(), slider: false }
}

/// What can be asked for: point, copy, instant, how and where to.
async fn choices(s: &Signed, id: &str, form: &Form) -> Result<Vec<Field>> {
    let (p, b, r) = (s.p(), &s.t().backups, &s.t().rules);
    let page = points::ListPoints { id: id.to_owned(), expired: false, after: None, limit: Some(30) };
    let all = s.call(&points::LIST, page).await?.items;
    let good: Vec<_> = all.iter().filter(|one| one.state.is_restorable()).collect();
    let at = |one: &points::RecoveryPoint| crate::fmt::date_time(one.taken_at.unwrap_or(one.requested_at), p.lang);
    let mut from = vec![choice(form.get("point"), String::new(), b.newest_point)];
    from.extend(good.iter().map(|one| choice(form.get("point"), one.id.to_string(), at(one))));
    let mut copies = vec![choice(form.get("place"), String::new(), r.nearest)];
    for copy in good.iter().flat_map(|one| one.parts.iter().flat_map(|part| &part.copies)) {
        let place = copy.place.to_string();
        if !copies.iter().any(|known| known.value == place) {
            copies.push(choice(form.get("place"), place, &copy.place_name));
        }
    }
    let beside = form.get("how") == "beside";
    let ways = vec![
        Choice { chosen: !beside, ..Choice::new("place", b.in_place).note(b.in_place_note) },
        Choice { chosen: beside, ..Choice::new("beside", b.beside).note(b.beside_note) },
    ];
    let mut fields = vec![
        Field::select("point", b.from_point, from).free(),
        Field::select("place", b.from_copy, copies).free(),
        Field::line("notAfter", r.nothing_after, form.get("notAfter")).hint(r.nothing_after_hint).free(),
        Field::tiles("how", b.how, ways).free(),
        Field::number("keepHours", b.keep_hours, keep_hours(form.get("keepHours"), b.hours))
            .hint(b.keep_hours_hint)
            .free(),
    ];
    let mut to = |name: &'static str, label: &'static str, any: &'static str, known: Vec<Choice>| {
        if !known.is_empty() {
            let any = choice(form.get(name), String::new(), any);
            fields.push(Field::select(name, label, std::iter::once(any).chain(known).collect()).free());
        }
    };
    to("site", r.to_site, r.own_site, site_choices(s, id, form.get("site")).await?);
    to("host", r.to_host, r.any_host, host_choices(s, form.get("host")).await?);
    Ok(fields)
}

/// The plan of what was asked for, as a page. `unconfirmed`: it was to begin, and the service answers;
/// `refused`: why it did not begin otherwise.
async fn plan_page(s: &Signed, id: &str, form: &Form, unconfirmed: bool, refused: Option<Error>) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let record = s.get(&SERVICE, id).await?;
    let beside = form.get("how") == "beside";
    let (plan, mut wrong) = match asked(id, form) {
        Ok(ask) => (plan_of(s, ask).await?, Vec::new()),
        Err(error) if error.attribute() == Some("notAfter") => {
            (Err(error), vec![("notAfter", s.t().rules.instant_wrong.to_owned())])
        }
        Err(error) if error.attribute() == Some("keepHours") => {
            let words = p.error(&error);
            (Err(error), vec![("keepHours", words)])
        }
        Err(error) => return Err(error.into()),
    };
    let unkept = plan.as_ref().err().or(refused.as_ref()).filter(|error| error.attribute() == Some("keepHours"));
    if wrong.is_empty() {
        wrong.extend(unkept.map(|error| ("keepHours", p.error(error))));
    }
    let fields: Vec<Field> = choices(s, id, form).await?.into_iter().map(|field| told(&wrong, field)).collect();
    let rows = plan.as_ref().map(|plan| plan_rows(p, plan)).unwrap_or_default();
    let trouble = plan.as_ref().err().or(refused.as_ref());
    let trouble = trouble.map(|error| Notice::new(Tone::Danger, b.no_plan, p.error(error)));
    let alive = plan.as_ref().is_ok_and(|plan| plan.alive) && !beside;
    let confirm = alive.then(|| {
        let field = Field::check("alive", b.alive_label, b.alive_confirm, false);
        if unconfirmed { field.error(b.alive_missing) } else { field }
    });
    let all: Vec<&Field> = fields.iter().chain(confirm.iter().filter(|_| unconfirmed)).collect();
    let summary = Summary::gather(s.t().frame.form_wrong, &all, "");
    let fine = summary.errors.is_empty() && refused.is_none();
    let status = if fine { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let settled = plan.as_ref().ok().map(|plan| plan.point.to_string()).unwrap_or_default();
    let mut hidden = vec![("point", settled), ("how", if beside { "beside" } else { "place" }.to_owned())];
    // What the plan was made of is what is asked for.
    hidden.extend(["place", "notAfter", "host", "site", "keepHours"].map(|name| (name, form.get(name).to_owned())));
    let view = PlanPage {
        p,
        id: id.to_owned(),
        name: said(p.lang, &record.body, "name"),
        summary,
        choices: fields,
        trouble,
        alive: alive.then(|| Notice::new(Tone::Danger, b.alive_title, b.alive_body)),
        rows,
        hidden,
        confirm,
        button: if beside { b.start_beside } else { b.start_restore },
        danger: alive,
        possible: plan.is_ok() && may_act(s),
    };
    Ok(show(status, &view))
}

fn plan_rows(p: &Page, plan: &Plan) -> Vec<(&'static str, String)> {
    let b = &p.t.backups;
    let hosts: Vec<String> = plan.machines.iter().map(|machine| machine.host_name.clone()).collect();
    let removes = match plan.removes.len() {
        0 => b.removes_none.to_owned(),
        number => p.with(b.removes_body, number),
    };
    vec![
        (b.from_point, crate::fmt::date_time(plan.taken_at, p.lang)),
        (
            b.loses,
            if plan.beside { b.removes_none.to_owned() } else { p.with(b.last_span, p.span(plan.loses_seconds)) },
        ),
        (b.from_copy, plan.place_name.clone()),
        (b.how_much_data, bytes(plan.bytes)),
        (b.takes, takes(p, plan.estimated_seconds)),
        (b.onto, listed(p, &hosts)),
        (b.removes, removes),
    ]
}

/// How long it takes by what was measured, or that nothing was.
pub(crate) fn takes(p: &Page, estimate: Option<f64>) -> String {
    let b = &p.t.backups;
    match estimate {
        Some(estimate) => p.with(b.about, seconds(p, estimate)),
        None => p.with2(b.unknown_because, b.unknown_speed, b.unknown_speed_body),
    }
}

/// `GET /services/{id}/restore`
pub(crate) async fn ask_restore(s: Signed, Path(id): Path<String>) -> Answer {
    plan_page(&s, &id, &s.visit.query, false, None).await
}

/// `POST /services/{id}/restore`
pub(crate) async fn restore(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let ask = match asked(&id, form) {
        Ok(ask) => ask,
        Err(error) if matches!(error.attribute(), Some("notAfter" | "keepHours")) => {
            return plan_page(&s, &id, form, false, None).await;
        }
        Err(error) => return Err(error.into()),
    };
    match s.call(&restores::START, ask).await {
        Ok(begun) => Ok(done(&s.portal, &format!("/services/{id}/restores/{}", begun.id), "restoring")),
        Err(error) if error.code() == "restore.service_alive" => plan_page(&s, &id, form, true, None).await,
        Err(error) if correctable(&error) => plan_page(&s, &id, form, false, Some(error)).await,
        Err(error) => Err(error.into()),
    }
}
