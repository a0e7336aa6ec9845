//! Orders: the list, and the page that shows one come true step by step.

use crate::account::ConfirmPage;
use crate::catalog::PriceLine;
use crate::flows::Carried;
use crate::i18n::fill;
use crate::page::{Page, ok};
use crate::records::{Ask, ROWS, entries, said_in, text};
use crate::ui::{Confirm, Crumbs, Field, Notice, Pager, Steps, Summary, Tabs, Tone};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::time::Timestamp;
use base::{Kind, Result};
use commerce::catalog::PRODUCT_OFFERING;
use commerce::orders::{CANCEL_PRODUCT_ORDER, PRODUCT_ORDER};
use commerce::products::PRODUCT;
use db::Record;
use serde_json::{Value as Json, json};

/// An order in a list.
#[derive(Clone, Debug)]
pub(crate) struct OrderRow {
    pub href: String,
    pub number: String,
    pub what: String,
    pub customer: String,
    pub state: String,
    pub placed: Timestamp,
}

/// The list.
#[derive(Template)]
#[template(path = "orders/list.html")]
pub(crate) struct OrderList<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub orders: Vec<OrderRow>,
    pub pager: Pager,
}

/// One thing ordered.
#[derive(Clone, Debug)]
pub(crate) struct OrderItem {
    pub name: String,
    pub characteristics: Vec<(String, String)>,
    pub prices: Vec<PriceLine>,
}

/// How far an order has come; the part that renews itself.
#[derive(Template)]
#[template(path = "orders/progress.html")]
pub(crate) struct Progress<'a> {
    pub p: &'a Page,
    pub state: String,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    /// (address, words) once there is something to open.
    pub ready: Option<(String, String)>,
}

/// One order.
#[derive(Template)]
#[template(path = "orders/show.html")]
pub(crate) struct OrderPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub number: String,
    pub what: String,
    pub customer: String,
    pub state: String,
    pub live: bool,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    pub ready: Option<(String, String)>,
    pub items: Vec<OrderItem>,
    pub placed: Timestamp,
    pub placed_by: String,
    pub flow_href: Option<String>,
    pub cancel: Option<Confirm>,
}

impl OrderPage<'_> {
    fn events(&self) -> String {
        format!("/orders/{}/events", self.number)
    }
}

// Handlers.

/// States in which something is still going on.
const OPEN: [&str; 6] =
    ["acknowledged", "pending", "held", "inProgress", "assessingCancellation", "pendingCancellation"];

/// [`OPEN`], as a list asks for it.
pub(crate) fn open_states() -> Vec<String> {
    OPEN.iter().map(ToString::to_string).collect()
}

fn is_open(state: &str) -> bool {
    OPEN.contains(&state)
}

/// An order as a row of a list.
pub(crate) fn row(s: &Signed, order: &Record, customer: &str) -> OrderRow {
    OrderRow {
        href: format!("/orders/{}", order.id),
        number: order.id.clone(),
        what: what(s, order),
        customer: customer.to_owned(),
        state: order.state.clone().unwrap_or_default(),
        placed: order.created,
    }
}

/// Whether the orders of a list are of customers that need telling apart.
pub(crate) fn of_several(orders: &[OrderRow]) -> bool {
    orders.iter().any(|order| !order.customer.is_empty())
}

/// What an order is about: the names of what is ordered.
pub(crate) fn what(s: &Signed, order: &Record) -> String {
    let t = &s.t().ordering;
    let names: Vec<String> = entries(&order.body, "productOrderItem")
        .iter()
        .map(|item| {
            let name = item.get("product").map(|p| text(p, "name")).filter(|n| !n.is_empty());
            let name = name.or_else(|| item.get("productOffering").map(|o| text(o, "name"))).unwrap_or_default();
            if text(item, "action") == "delete" { fill(t.ending, &[&name]) } else { name.to_owned() }
        })
        .collect();
    match names.split_first() {
        Some((first, [])) => first.clone(),
        Some((first, rest)) => fill(t.and_more, &[first, &rest.len()]),
        None => order.id.clone(),
    }
}

/// Newest orders in sight, as rows.
pub(crate) async fn recent(s: &Signed, ask: Ask) -> Result<(Vec<OrderRow>, Option<String>)> {
    let rows = s.list(&PRODUCT_ORDER, ask).await?;
    let names = crate::customers::names(s, rows.records.iter().map(|r| r.tenant)).await;
    let shown =
        rows.records.iter().map(|order| row(s, order, names.get(&order.tenant).map_or("", String::as_str))).collect();
    Ok((shown, rows.next))
}

/// `GET /orders` and `GET /operator/orders`
pub(crate) async fn list(s: Signed) -> Answer {
    let p = s.p();
    let base = if p.operator() { "/operator/orders" } else { "/orders" };
    let state = s.visit.query.get("state").to_owned();
    let conditions = match state.as_str() {
        "open" => vec![("state", open_states())],
        "completed" => vec![("state", vec!["completed".to_owned()])],
        "failed" => vec![("state", vec!["failed".to_owned(), "partial".to_owned(), "rejected".to_owned()])],
        _ => Vec::new(),
    };
    let after = s.visit.query.get("after").to_owned();
    let beyond = !after.is_empty();
    let (orders, next) = recent(&s, Ask { conditions, after, limit: ROWS }).await?;
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { base.to_owned() } else { format!("{base}?state={key}") };
        (href, label.to_owned(), state == key)
    };
    let st = &s.t().state;
    let tabs = Tabs {
        label: s.t().frame.orders.to_owned(),
        links: vec![
            tab("", s.t().frame.all),
            tab("open", st.in_progress),
            tab("completed", st.completed),
            tab("failed", st.failed),
        ],
    };
    let here = if state.is_empty() { base.to_owned() } else { format!("{base}?state={}", crate::http::encode(&state)) };
    let pager = p.pager(&here, orders.len(), next.as_deref(), beyond);
    Ok(ok(&OrderList { p, tabs, orders, pager }))
}

/// What the page and its live part both show.
struct Seen {
    order: Record,
    outcome: Option<Notice>,
    carried: Carried,
    ready: Option<(String, String)>,
    live: bool,
}

async fn see(s: &Signed, id: &str) -> Result<Seen> {
    let order = s.get(&PRODUCT_ORDER, id).await?;
    let state = order.state.clone().unwrap_or_default();
    let t = &s.t().ordering;
    let carried = crate::flows::of_order(s, &order).await?;
    let outcome = match state.as_str() {
        "failed" | "rejected" | "partial" => Some(Notice::new(
            Tone::Danger,
            t.order_failed_title,
            reasons(s, &order).unwrap_or_else(|| t.order_failed_body.to_owned()),
        )),
        "completed" => Some(Notice::new(Tone::Well, t.order_ready_title, "")),
        _ if carried.stuck => Some(Notice::new(Tone::Care, t.order_stuck_title, t.order_stuck_body)),
        _ => None,
    };
    let ended = entries(&order.body, "productOrderItem").iter().all(|item| text(item, "action") == "delete");
    let outcome =
        if ended && state == "completed" { Some(Notice::new(Tone::Well, t.order_ended_title, "")) } else { outcome };
    let ready = if state == "completed" && !ended { ready(s, &order).await? } else { None };
    Ok(Seen { live: is_open(&state), order, outcome, carried, ready })
}

/// Why it did not come true, in the reader's language, as the order keeps it.
fn reasons(s: &Signed, order: &Record) -> Option<String> {
    let notes: Vec<String> = entries(&order.body, "note")
        .iter()
        .filter(|note| text(note, "@type") == "OutcomeNote")
        .map(|note| said_in(s.p().lang, note, "text"))
        .filter(|text| !text.is_empty())
        .collect();
    (!notes.is_empty()).then(|| notes.join("　"))
}

/// Where to go once everything runs: to the service, or to their list.
async fn ready(s: &Signed, order: &Record) -> Result<Option<(String, String)>> {
    let mut services = Vec::new();
    for item in entries(&order.body, "productOrderItem") {
        let Some(product) = item.get("product").and_then(|p| p.get("id")).and_then(Json::as_str) else { continue };
        let product = s.get(&PRODUCT, product).await?;
        services.extend(product.at("realizingService.id").and_then(Json::as_str).map(str::to_owned));
    }
    let label = s.t().ordering.open_service.to_owned();
    Ok(match services.as_slice() {
        [] => None,
        [one] => Some((format!("/services/{one}"), label)),
        _ => Some(("/services".to_owned(), label)),
    })
}

/// `GET /orders/{id}`
pub(crate) async fn show(s: Signed, Path(id): Path<String>) -> Answer {
    let seen = see(&s, &id).await?;
    let mut page = s.p().clone();
    page.refresh = seen.live.then_some(3);
    let (p, t) = (&page, s.t());
    let names = crate::customers::names(&s, [seen.order.tenant]).await;
    let mut items = Vec::new();
    for item in entries(&seen.order.body, "productOrderItem") {
        items.push(item_view(&s, item).await);
    }
    let up = if p.operator() { ("/operator/orders", t.frame.all_orders) } else { ("/orders", t.frame.orders) };
    let can_cancel =
        seen.live && !matches!(seen.order.state.as_deref(), Some("pendingCancellation" | "assessingCancellation"));
    let cancel = (can_cancel && !p.operator()).then(|| cancel_question(p, &id, false));
    let placed_by = match seen.carried.requested_by.as_str() {
        "" => String::new(),
        actor => crate::audit::by_name(&s, actor).await,
    };
    let view = OrderPage {
        p,
        crumbs: p.crumbs(&[up]),
        number: id.clone(),
        what: what(&s, &seen.order),
        customer: names.get(&seen.order.tenant).cloned().unwrap_or_default(),
        state: seen.order.state.clone().unwrap_or_default(),
        live: seen.live,
        outcome: seen.outcome,
        steps: seen.carried.steps,
        ready: seen.ready,
        items,
        placed: seen.order.created,
        placed_by,
        flow_href: seen.carried.run.filter(|_| p.operator()).map(|run| format!("/operator/flows/{run}")),
        cancel,
    };
    Ok(ok(&view))
}

async fn item_view(s: &Signed, item: &Json) -> OrderItem {
    let (lang, t) = (s.p().lang, s.t());
    let part = |name: &str| item.get(name).cloned().unwrap_or_default();
    let (product, offering) = (part("product"), part("productOffering"));
    let specification = product.get("productSpecification").map(|of| text(of, "id")).unwrap_or_default();
    let labels = crate::catalog::labels(s, specification).await;
    let list = |holder: &Json, name: &str| holder.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    let chosen = list(&product, "productCharacteristic");
    let characteristics = chosen.iter().map(|c| labels.say(lang, c)).filter(|(_, v)| !v.is_empty()).collect();
    let prices = list(item, "itemPrice");
    let of = |price: &Json| price.get("productOfferingPrice").map(|r| text(r, "id").to_owned()).unwrap_or_default();
    let names = crate::catalog::price_names(s, prices.iter().map(of).collect()).await;
    let sold = crate::records::called(s, &PRODUCT_OFFERING, [text(&offering, "id").to_owned()].into()).await;
    let named = |price: &Json| names.get(&of(price)).cloned().unwrap_or_else(|| text(price, "name").to_owned());
    OrderItem {
        name: sold.into_values().next().unwrap_or_else(|| text(&offering, "name").to_owned()),
        characteristics,
        prices: prices.iter().map(|price| crate::catalog::frozen(t, price, named(price))).collect(),
    }
}

/// `GET /orders/{id}/events`: the progress, sent anew whenever it changes.
pub(crate) async fn events(s: Signed, Path(id): Path<String>) -> Answer {
    // Refused before the stream begins, so that the refusal is an answer.
    s.get(&PRODUCT_ORDER, &id).await?;
    Ok(crate::live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let seen = see(&s, &id).await?;
            let state = seen.order.state.clone().unwrap_or_default();
            let view =
                Progress { p: s.p(), state, outcome: seen.outcome, steps: seen.carried.steps, ready: seen.ready };
            Ok((crate::live::fragment(&view)?, !seen.live))
        }
    }))
}

fn cancel_question(p: &Page, id: &str, page: bool) -> Confirm {
    let t = &p.t.ordering;
    Confirm {
        id: "cancel",
        action: format!("/orders/{id}/cancel"),
        csrf: p.csrf.clone(),
        title: t.cancel_order_title.to_owned(),
        body: t.cancel_order_body.to_owned(),
        fields: vec![Field::line("reason", p.t.frame.reason, "").optional(p.t.frame.optional)],
        hidden: vec![],
        button: t.cancel_order.to_owned(),
        danger: true,
        cancel: p.t.frame.back,
        back: format!("/orders/{id}"),
        page,
    }
}

/// `GET /orders/{id}/cancel`
pub(crate) async fn ask_cancel(s: Signed, Path(id): Path<String>) -> Answer {
    s.get(&PRODUCT_ORDER, &id).await?;
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm: cancel_question(s.p(), &id, true) }))
}

/// `POST /orders/{id}/cancel`
pub(crate) async fn cancel(s: Signed, Path(id): Path<String>) -> Answer {
    let mut body = serde_json::Map::new();
    body.insert("productOrder".into(), json!({ "id": id, "@referredType": "ProductOrder" }));
    let reason = s.visit.form.get("reason").to_owned();
    if !reason.is_empty() {
        body.insert("cancellationReason".into(), reason.into());
    }
    match s.blocking(move |gate, cx| CANCEL_PRODUCT_ORDER.create(gate, cx, body)).await {
        Ok(_) => Ok(done(&s.portal, &format!("/orders/{id}"), "order-cancelling")),
        Err(e) if e.kind() == Kind::Conflict => {
            let summary = Summary::gather(s.t().errors.conflict_title, &[], &s.p().error(&e));
            let view = ConfirmPage { p: s.p(), summary, confirm: cancel_question(s.p(), &id, true) };
            Ok(crate::page::show(axum::http::StatusCode::CONFLICT, &view))
        }
        Err(e) => Err(e.into()),
    }
}
