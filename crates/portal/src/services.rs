//! A customer's services: what runs, where it answers, what it has used.

use crate::account::ConfirmPage;
use crate::catalog::Labels;
use crate::i18n::{Lang, said_of};
use crate::live;
use crate::page::{Page, ok};
use crate::records::{Ask, ROWS, at, entries, said, text};
use crate::ui::{Confirm, Field, Icon, Notice, Pager, Steps, Summary, Tabs, Tone};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::money::Money;
use base::time::Timestamp;
use base::{Kind, Result};
use commerce::products::PRODUCT;
use db::Record;
use provisioning::services;
use provisioning::specifications::SERVICE_SPECIFICATION;
use serde_json::Value as Json;
use std::collections::HashMap;

/// A service in a list.
#[derive(Clone, Debug)]
pub(crate) struct ServiceCard {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    pub url: Option<String>,
    pub since: Option<Timestamp>,
}

/// The list.
#[derive(Template)]
#[template(path = "services/list.html")]
pub(crate) struct ServiceList<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub services: Vec<ServiceCard>,
    pub pager: Pager,
}

/// Usage of the present period, one line per rate.
#[derive(Clone, Debug)]
pub(crate) struct UsageLine {
    pub name: String,
    pub quantity: String,
    pub amount: String,
}

/// State and address; the part that renews itself.
#[derive(Template)]
#[template(path = "services/status.html")]
pub(crate) struct ServiceStatus<'a> {
    pub p: &'a Page,
    pub state: String,
    pub trouble: Option<Notice>,
    pub url: Option<String>,
    pub observed: Option<Timestamp>,
    pub steps: Option<Steps>,
}

/// One service.
#[derive(Template)]
#[template(path = "services/show.html")]
pub(crate) struct ServicePage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    pub trouble: Option<Notice>,
    pub url: Option<String>,
    pub observed: Option<Timestamp>,
    pub steps: Option<Steps>,
    pub live: bool,
    pub since: Option<Timestamp>,
    pub characteristics: Vec<(String, String)>,
    pub usage: Vec<UsageLine>,
    pub usage_unknown: Option<String>,
    /// (verb in the address, words, icon) of what needs no question.
    pub verbs: Vec<(&'static str, &'static str, Icon)>,
    pub stop: Option<Confirm>,
    pub delete: Option<Confirm>,
    pub order: Option<(String, String)>,
    pub has_console: bool,
    pub ended: bool,
    /// What of it can be brought back; nothing for those who may not know.
    pub shelter: Option<crate::backups::Shelter>,
}

/// What the machine wrote while it started.
#[derive(Template)]
#[template(path = "services/console.html")]
pub(crate) struct Console<'a> {
    pub p: &'a Page,
    pub name: &'a str,
    pub href: &'a str,
    pub text: String,
}

// Handlers.

/// The state of a service as its page says it: what was seen, in one word.
fn word(condition: &str) -> &str {
    match condition {
        "running" => "up",
        "ended" => "terminated",
        other => other,
    }
}

/// Services as cards, each with what its specification is called.
pub(crate) async fn cards(s: &Signed, found: &[Record]) -> Vec<ServiceCard> {
    let kinds = found.iter().map(|service| at(service, "serviceSpecification.id").to_owned()).collect();
    let kinds = crate::records::called(s, &SERVICE_SPECIFICATION, kinds).await;
    found.iter().map(|service| card(s.p().lang, service, &kinds)).collect()
}

/// What kind of service it is, in the reader's language where that is known.
fn kind(service: &Record, kinds: &HashMap<String, String>) -> String {
    let known = kinds.get(at(service, "serviceSpecification.id")).cloned();
    known.unwrap_or_else(|| at(service, "serviceSpecification.name").to_owned())
}

fn card(lang: Lang, service: &Record, kinds: &HashMap<String, String>) -> ServiceCard {
    ServiceCard {
        id: service.id.clone(),
        name: said(lang, &service.body, "name"),
        kind: kind(service, kinds),
        state: service.state.clone().unwrap_or_default(),
        url: address(service),
        since: at(service, "startDate").parse().ok(),
    }
}

/// Where the customer reaches the service, if it is a web address.
fn address(service: &Record) -> Option<String> {
    let found = entries(&service.body, "serviceCharacteristic").iter().find(|c| text(c, "name") == "address");
    found.and_then(|c| c.get("value")?.as_str()).filter(|url| is_web(url)).map(str::to_owned)
}

/// A link is made only of what a browser opens as a page; anything else that
/// a record may hold stays text.
fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn customer_facing(states: &[&str]) -> Vec<(&'static str, Vec<String>)> {
    let mut conditions = vec![("category", vec![services::CUSTOMER_FACING.to_owned()])];
    if !states.is_empty() {
        conditions.push(("state", states.iter().map(ToString::to_string).collect()));
    }
    conditions
}

/// In being: whatever has not ended.
const LIVING: [&str; 5] = ["feasibilityChecked", "designed", "reserved", "active", "inactive"];

/// The newest services that have not ended, as cards.
pub(crate) async fn newest(s: &Signed, limit: u32) -> Result<Vec<ServiceCard>> {
    let ask = Ask { conditions: customer_facing(&LIVING), limit, ..Ask::default() };
    let found = s.list(&services::SERVICE, ask).await?;
    Ok(cards(s, &found.records).await)
}

/// How many run, and how many there are.
pub(crate) async fn counts(s: &Signed) -> Result<(usize, usize)> {
    let mut counts = [0_usize; 2];
    for (count, states) in counts.iter_mut().zip([&["active"][..], &LIVING[..]]) {
        let ask = Ask { conditions: customer_facing(states), limit: 1, ..Ask::default() };
        let total = s.list(&services::SERVICE, ask).await?.total.unwrap_or_default();
        *count = usize::try_from(total).unwrap_or(usize::MAX);
    }
    Ok((counts[0], counts[1]))
}

/// What all services have used since the last bill comes to, before tax;
/// nothing where there is more than one page of them.
pub(crate) async fn so_far(s: &Signed) -> Result<Option<Money>> {
    let found = s
        .call(&billing::bills::USAGE_SUMMARY, billing::bills::SummaryInput { limit: Some(100), ..Default::default() })
        .await?;
    let mut sum: Option<Money> = None;
    for item in &found.services {
        sum = Some(match sum {
            Some(sum) => sum.plus(item.net.0)?,
            None => item.net.0,
        });
    }
    Ok(if found.next.is_some() { None } else { sum })
}

/// `GET /services`
pub(crate) async fn list(s: Signed) -> Answer {
    let p = s.p();
    let ended = s.visit.query.get("show") == "ended";
    let conditions = if ended { customer_facing(&["terminated"]) } else { customer_facing(&LIVING) };
    let after = s.visit.query.get("after").to_owned();
    let beyond = !after.is_empty();
    let found = s.list(&services::SERVICE, Ask { conditions, after, limit: ROWS }).await?;
    let cards = cards(&s, &found.records).await;
    let t = s.t();
    let tabs = Tabs {
        label: t.frame.services.to_owned(),
        links: vec![
            ("/services".to_owned(), t.ordering.tab_living.to_owned(), !ended),
            ("/services?show=ended".to_owned(), t.state.terminated.to_owned(), ended),
        ],
    };
    let base = if ended { "/services?show=ended" } else { "/services" };
    let pager = p.pager(base, cards.len(), found.next.as_deref(), beyond);
    Ok(ok(&ServiceList { p, tabs, services: cards, pager }))
}

/// What the page and its live part both show.
struct Seen {
    record: Record,
    status: services::ServiceSeen,
    trouble: Option<Notice>,
    live: bool,
}

async fn see(s: &Signed, id: &str) -> Result<Seen> {
    let record = s.get(&services::SERVICE, id).await?;
    let status = s.call(&services::STATUS, service_id(id)).await?;
    let t = s.t();
    let problem = status.machines.iter().find_map(|m| {
        let message = m.problem.as_deref()?;
        Some(said_of(s.p().lang, m.problem_code.as_deref().unwrap_or_default(), message))
    });
    let trouble = match (status.condition.as_str(), problem) {
        ("unknown", _) => Some(Notice::new(Tone::Care, t.ordering.unseen_title, t.ordering.unseen_body)),
        ("failed", problem) => Some(Notice::new(Tone::Danger, t.ordering.trouble_title, problem.unwrap_or_default())),
        (_, Some(problem)) => Some(Notice::new(Tone::Care, "", problem)),
        _ => None,
    };
    let live = matches!(status.condition.as_str(), "starting" | "stopping" | "unknown");
    Ok(Seen { record, status, trouble, live })
}

fn service_id(id: &str) -> services::ServiceId {
    services::ServiceId { id: id.to_owned() }
}

/// `GET /services/{id}`
pub(crate) async fn show(s: Signed, Path(id): Path<String>) -> Answer {
    let seen = see(&s, &id).await?;
    let mut page = s.p().clone();
    page.refresh = seen.live.then_some(3);
    let (p, t) = (&page, s.t());
    let name = said(p.lang, &seen.record.body, "name");
    let shelter = crate::backups::shelter(&s, &id).await?;
    let (usage, usage_unknown) = usage(&s, &id).await?;
    let product = product_of(&s, &seen.record).await;
    let of = product.as_ref().map(|product| at(product, "productSpecification.id").to_owned());
    let labels = crate::catalog::labels(&s, &of.unwrap_or_default()).await;
    let kinds = [at(&seen.record, "serviceSpecification.id").to_owned()].into();
    let kinds = crate::records::called(&s, &SERVICE_SPECIFICATION, kinds).await;
    let condition = seen.status.condition.as_str();
    let mut verbs: Vec<(&'static str, &'static str, Icon)> = Vec::new();
    match condition {
        "running" => verbs.push(("restart", t.ordering.restart, Icon::Restart)),
        "stopped" | "failed" => verbs.push(("start", t.ordering.start, Icon::Play)),
        _ => {}
    }
    let stop = (condition == "running").then(|| stop_question(p, &id, &name, false));
    let delete = (condition != "ended").then(|| delete_question(p, &id, &name, "", false));
    let view = ServicePage {
        p,
        id: id.clone(),
        kind: kind(&seen.record, &kinds),
        state: word(condition).to_owned(),
        trouble: seen.trouble,
        url: seen.status.address.clone().filter(|url| is_web(url)),
        observed: seen.status.observed_at,
        steps: None,
        live: seen.live,
        since: at(&seen.record, "startDate").parse().ok(),
        characteristics: characteristics(p.lang, &seen.record, &labels),
        usage,
        usage_unknown,
        verbs,
        stop,
        delete,
        order: product.as_ref().and_then(order_of),
        has_console: !seen.status.machines.is_empty() && condition != "ended",
        ended: condition == "ended",
        shelter,
        name,
    };
    Ok(ok(&view))
}

fn characteristics(lang: Lang, service: &Record, labels: &Labels) -> Vec<(String, String)> {
    let list = entries(&service.body, "serviceCharacteristic").iter().filter(|c| text(c, "name") != "address");
    list.map(|c| labels.say(lang, c)).filter(|(_, value)| !value.is_empty()).collect()
}

/// The product that a service realises, where the visitor may read it.
async fn product_of(s: &Signed, service: &Record) -> Option<Record> {
    let product = service.at("product.id").and_then(Json::as_str)?;
    s.get(&PRODUCT, product).await.ok()
}

/// The order that brought a product about.
fn order_of(product: &Record) -> Option<(String, String)> {
    let order = at(product, "productOrderItem.productOrderId");
    (!order.is_empty()).then(|| (format!("/orders/{order}"), at(product, "name").to_owned()))
}

/// What the service has used since its last bill; nothing for those who may
/// not read money, and for what is not metered.
async fn usage(s: &Signed, id: &str) -> Result<(Vec<UsageLine>, Option<String>)> {
    if !s.p().offers("/bills") && !s.p().offers("/services") {
        return Ok((Vec::new(), None));
    }
    let input = billing::bills::SummaryInput { service: Some(id.to_owned()), ..Default::default() };
    let found = match s.call(&billing::bills::USAGE_SUMMARY, input).await {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => return Ok((Vec::new(), None)),
        Err(error) => return Err(error),
    };
    let Some(item) = found.services.first() else { return Ok((Vec::new(), None)) };
    let names = crate::catalog::price_names(s, item.lines.iter().map(|line| line.price.clone()).collect()).await;
    let lines = item.lines.iter().map(|line| UsageLine {
        name: names.get(&line.price).unwrap_or(&line.label).clone(),
        quantity: crate::bills::quantity(s.t(), line),
        amount: crate::fmt::money(line.amount.0),
    });
    Ok((lines.collect(), crate::bills::unknown_words(s.p(), &item.unknown)))
}

/// `GET /services/{id}/events`
pub(crate) async fn events(s: Signed, Path(id): Path<String>) -> Answer {
    s.get(&services::SERVICE, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let seen = see(&s, &id).await?;
            let url = seen.status.address.clone().filter(|url| is_web(url));
            let state = word(&seen.status.condition).to_owned();
            let view = ServiceStatus {
                p: s.p(),
                state,
                trouble: seen.trouble,
                url,
                observed: seen.status.observed_at,
                steps: None,
            };
            Ok((live::fragment(&view)?, !seen.live))
        }
    }))
}

/// `POST /services/{id}/start`
pub(crate) async fn start(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&services::START, service_id(&id)).await?;
    Ok(done(&s.portal, &format!("/services/{id}"), "starting"))
}

/// `POST /services/{id}/restart`
pub(crate) async fn restart(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&services::REBOOT, service_id(&id)).await?;
    Ok(done(&s.portal, &format!("/services/{id}"), "restarting"))
}

/// `POST /services/{id}/stop`
pub(crate) async fn stop(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&services::STOP, service_id(&id)).await?;
    Ok(done(&s.portal, &format!("/services/{id}"), "stopping"))
}

fn stop_question(p: &Page, id: &str, name: &str, page: bool) -> Confirm {
    let o = &p.t.ordering;
    Confirm {
        id: "stop",
        action: format!("/services/{id}/stop"),
        csrf: p.csrf.clone(),
        title: p.with(o.stop_title, name),
        body: o.stop_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: o.stop.to_owned(),
        danger: false,
        cancel: p.t.frame.cancel,
        back: format!("/services/{id}"),
        page,
    }
}

fn delete_question(p: &Page, id: &str, name: &str, wrong: &str, page: bool) -> Confirm {
    let o = &p.t.ordering;
    Confirm {
        id: "delete",
        action: format!("/services/{id}/delete"),
        csrf: p.csrf.clone(),
        title: p.with(o.delete_title, name),
        body: o.delete_body.to_owned(),
        fields: vec![Field::line("name", o.delete_confirm, "").hint(p.with(o.delete_confirm_hint, name)).error(wrong)],
        hidden: vec![],
        button: o.delete_forever.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/services/{id}"),
        page,
    }
}

/// `GET /services/{id}/stop`
pub(crate) async fn ask_stop(s: Signed, Path(id): Path<String>) -> Answer {
    let record = s.get(&services::SERVICE, &id).await?;
    let confirm = stop_question(s.p(), &id, at(&record, "name"), true);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `GET /services/{id}/delete`
pub(crate) async fn ask_delete(s: Signed, Path(id): Path<String>) -> Answer {
    let record = s.get(&services::SERVICE, &id).await?;
    let confirm = delete_question(s.p(), &id, at(&record, "name"), "", true);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /services/{id}/delete`: orders the service's end.
pub(crate) async fn delete(s: Signed, Path(id): Path<String>) -> Answer {
    let record = s.get(&services::SERVICE, &id).await?;
    let name = at(&record, "name");
    if s.visit.form.get("name") != name.trim() {
        let confirm = delete_question(s.p(), &id, name, s.t().ordering.delete_mismatch, true);
        let summary = Summary::gather(s.t().frame.form_wrong, &confirm.fields.iter().collect::<Vec<_>>(), "");
        return Ok(crate::page::show(StatusCode::UNPROCESSABLE_ENTITY, &ConfirmPage { p: s.p(), summary, confirm }));
    }
    let answer = s.call(&services::TERMINATE, service_id(&id)).await?;
    Ok(done(&s.portal, &format!("/orders/{}", answer.product_order), "deleting"))
}

/// `GET /services/{id}/console`: asks the host for the console's end, and
/// shows what it answers within a moment.
pub(crate) async fn console(s: Signed, Path(id): Path<String>) -> Answer {
    let record = s.get(&services::SERVICE, &id).await?;
    let name = at(&record, "name").to_owned();
    let ask = || services::ConsoleAsk { id: id.clone(), machine: None, bytes: None };
    let mut seen = s.call(&services::CAPTURE, ask()).await?;
    for _ in 0..CONSOLE_LOOKS {
        if seen.answered {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        seen = s.call(&services::CONSOLE, ask()).await?;
    }
    let href = format!("/services/{id}");
    Ok(ok(&Console { p: s.p(), name: &name, href: &href, text: plain(&seen.text) }))
}

/// How often the console page looks for the host's answer before it shows what it has.
const CONSOLE_LOOKS: u32 = 15;

/// Console output without escape sequences and other control characters.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // CSI: up to a final letter; any other escape: one character.
                if chars.next_if_eq(&'[').is_some() {
                    for follow in chars.by_ref() {
                        if ('@'..='~').contains(&follow) {
                            break;
                        }
                    }
                } else {
                    chars.next();
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{is_web, plain};

    #[test]
    fn a_console_cannot_draw_on_the_page() {
        assert_eq!(plain("a\u{1b}[31mred\u{1b}[0m\r\n\u{7}b\u{1b}c!\tz"), "ared\nb!\tz");
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(is_web("http://127.0.0.1:20080/"));
        for bad in ["javascript:alert(1)", "data:text/html,x", "//evil.example", ""] {
            assert!(!is_web(bad), "{bad}");
        }
    }
}
