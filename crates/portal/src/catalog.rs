//! What is on sale, and the form that orders it.

use crate::fmt;
use crate::http::Form;
use crate::i18n::{Lang, Messages, fill};
use crate::page::{Page, ok};
use crate::records::{Ask, entries, said, said_in, text, value};
use crate::ui::{Choice, Control, Field, Summary};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::money::{Currency, decimal, number};
use base::{Error, Kind, Result};
use commerce::catalog::characteristics::{Characteristic, Specification, ValueType};
use commerce::catalog::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION, is_on_sale};
use commerce::orders::{ORDER_PRICE, PRODUCT_ORDER, PriceInput, PriceItem};
use db::Record;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

/// A price as a card or an order shows it, written out already.
#[derive(Clone, Debug)]
pub(crate) struct PriceLine {
    pub name: String,
    pub amount: String,
    /// `per hour`, `once`; may be empty.
    pub per: String,
    /// The charge's kind in words: one-time, recurring, by usage.
    pub kind: String,
}

/// One offering on sale.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub id: String,
    pub name: String,
    pub category: Option<String>,
    pub description: String,
    pub prices: Vec<PriceLine>,
}

/// The catalog's page.
#[derive(Template)]
#[template(path = "catalog.html")]
pub(crate) struct Catalog<'a> {
    pub p: &'a Page,
    pub offers: Vec<Offer>,
}

/// One line of the price beside the form.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptLine {
    pub name: String,
    /// How it comes about: `2 vCPU × NT$0.5`.
    pub how: String,
    pub amount: String,
    pub per: String,
}

/// The price of the configuration in the form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub once: Option<String>,
    pub month: Option<String>,
}

/// The order form of one offering.
#[derive(Template)]
#[template(path = "orders/form.html")]
pub(crate) struct OrderForm<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub description: String,
    /// Makes a repeated press of the button the same order.
    pub once: String,
    pub summary: Summary,
    pub service_name: Field,
    pub fields: Vec<Field>,
    pub receipt: Receipt,
}

/// The price alone, as the script asks for it.
#[derive(Template)]
#[template(path = "orders/receipt.html")]
pub(crate) struct ReceiptView<'a> {
    pub p: &'a Page,
    pub receipt: Receipt,
}

// Handlers and what they make of the catalog's records.

/// An offering with what its page and its form are built from.
pub(crate) struct Loaded {
    pub offering: Record,
    pub specification: Record,
    pub prices: Vec<Record>,
    pub choices: Specification,
}

impl Loaded {
    /// Reads an offering, its specification and its prices as the visitor.
    pub(crate) async fn read(s: &Signed, id: &str) -> Result<Self> {
        let offering = s.get(&PRODUCT_OFFERING, id).await?;
        let of = offering.at("productSpecification.id").and_then(Json::as_str).unwrap_or_default().to_owned();
        let specification = s.get(&PRODUCT_SPECIFICATION, &of).await?;
        let prices = prices_of(s, &offering).await?;
        let mut choices = Specification::read(&specification.body)?;
        choices.narrow(offering.body.get("prodSpecCharValueUse"))?;
        Ok(Self { offering, specification, prices, choices })
    }

    /// The specification's own words about a characteristic: label and hint.
    fn words(&self, lang: Lang, of: &Characteristic) -> (String, String) {
        let raw =
            entries(&self.specification.body, "productSpecCharacteristic").iter().find(|c| text(c, "name") == of.name);
        raw.map_or_else(|| (of.name.clone(), String::new()), |raw| words_of(lang, raw))
    }

    fn price_name(&self, lang: Lang, id: &str, otherwise: &str) -> String {
        let known = self.prices.iter().find(|p| p.id == id).map(|p| said(lang, &p.body, "name"));
        known.filter(|n| !n.is_empty()).unwrap_or_else(|| otherwise.to_owned())
    }
}

/// Label and hint of a characteristic: its translated name; else what describes
/// it, where that is short; else the name that programs use.
fn words_of(lang: Lang, raw: &Json) -> (String, String) {
    let translated = raw.get("translation").and_then(|t| t.get(crate::records::tongue(lang))?.get("name")?.as_str());
    let (name, description) = (text(raw, "name"), said_in(lang, raw, "description"));
    match translated {
        Some(label) => (label.to_owned(), description),
        None if (1..=48).contains(&description.chars().count()) => (description, String::new()),
        None => (name.to_owned(), description),
    }
}

/// What a product specification calls its characteristics, for people; empty
/// where the visitor may not read it.
pub(crate) async fn labels(s: &Signed, specification: &str) -> HashMap<String, String> {
    let Ok(found) = s.get(&PRODUCT_SPECIFICATION, specification).await else { return HashMap::new() };
    let list = entries(&found.body, "productSpecCharacteristic").iter();
    list.map(|raw| (text(raw, "name").to_owned(), words_of(s.p().lang, raw).0)).collect()
}

/// The prices that are in force for an offering.
async fn prices_of(s: &Signed, offering: &Record) -> Result<Vec<Record>> {
    let mut prices = Vec::new();
    for reference in entries(&offering.body, "productOfferingPrice") {
        let price = s.get(&PRODUCT_OFFERING_PRICE, text(reference, "id")).await;
        match price {
            Ok(price) if is_on_sale(price.state.as_deref()) => prices.push(price),
            Ok(_) => {}
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(prices)
}

/// A unit or period of the catalog in words: `vCPU-hour`, `month`, `3 month`.
pub(crate) fn unit(t: &Messages, word: &str) -> String {
    let o = &t.ordering;
    let one = |word: &str| -> Option<&'static str> {
        Some(match word {
            "second" | "s" => o.unit_second,
            "minute" | "min" => o.unit_minute,
            "hour" | "h" => o.unit_hour,
            "day" => o.unit_day,
            "week" => o.unit_week,
            "month" => o.unit_month,
            "year" => o.unit_year,
            _ => return None,
        })
    };
    if let Some((count, period)) = word.split_once(' ')
        && let Some(named) = one(period)
    {
        return format!("{count} {named}");
    }
    match word.rsplit_once('-') {
        Some((stem, period)) => one(period).map_or_else(|| word.to_owned(), |named| format!("{stem}·{named}")),
        None => one(word).map_or_else(|| word.to_owned(), ToOwned::to_owned),
    }
}

fn kind_word(t: &Messages, word: &str) -> &'static str {
    match word {
        "oneTime" => t.ordering.one_time,
        "recurring" => t.ordering.recurring,
        _ => t.ordering.usage,
    }
}

/// A price as the catalog states it.
pub(crate) fn stated(lang: Lang, price: &Record) -> PriceLine {
    let t = lang.messages();
    let word = |name: &str| price.body.get(name).and_then(Json::as_str).unwrap_or_default();
    let kind = word("priceType");
    let money = price.body.get("price").cloned().unwrap_or_default();
    let measure = price.body.get("unitOfMeasure").cloned().unwrap_or_default();
    let count = measure.get("amount").and_then(|a| decimal(a, "").ok()).filter(|a| *a != Decimal::ONE);
    let units = unit(t, text(&measure, "units"));
    let of = match word("quantityFrom") {
        "" => String::new(),
        from => format!("{from}·"),
    };
    let per = match kind {
        "oneTime" => t.ordering.one_time.to_owned(),
        "recurring" => {
            let length = price.body.get("recurringChargePeriodLength").and_then(Json::as_i64).unwrap_or(1);
            let period = unit(t, word("recurringChargePeriodType"));
            fill(
                t.ordering.per,
                &[&if length == 1 { format!("{of}{period}") } else { format!("{of}{length} {period}") }],
            )
        }
        _ => fill(
            t.ordering.per,
            &[&count.map_or_else(|| format!("{of}{units}"), |n| format!("{of}{} {units}", fmt::number(n)))],
        ),
    };
    PriceLine {
        name: said(lang, &price.body, "name"),
        amount: amount(&money),
        per,
        kind: kind_word(t, kind).to_owned(),
    }
}

/// `{"unit":"TWD","value":1}` as people read it.
pub(crate) fn amount(money: &Json) -> String {
    let value = decimal(money.get("value").unwrap_or(&Json::Null), "value").unwrap_or_default();
    match text(money, "unit").parse::<Currency>() {
        Ok(currency) => fmt::price(value, currency),
        Err(_) => format!("{} {}", text(money, "unit"), fmt::number(value)),
    }
}

/// A price as an order froze it (TMF's `OrderPrice`).
pub(crate) fn frozen(t: &Messages, price: &Json, name: String) -> PriceLine {
    let kind = text(price, "priceType");
    let per = match kind {
        "oneTime" => t.ordering.one_time.to_owned(),
        "recurring" => fill(t.ordering.per, &[&unit(t, text(price, "recurringChargePeriod"))]),
        _ => fill(t.ordering.per, &[&unit(t, text(price, "unitOfMeasure"))]),
    };
    let money = price.get("price").and_then(|p| p.get("dutyFreeAmount")).cloned().unwrap_or_default();
    PriceLine { name, amount: amount(&money), per, kind: kind_word(t, kind).to_owned() }
}

/// `GET /catalog`
pub(crate) async fn page(s: Signed) -> Answer {
    let lang = s.p().lang;
    let ask = Ask {
        conditions: vec![("lifecycleStatus", vec!["Active".into(), "Launched".into()])],
        limit: 100,
        ..Ask::default()
    };
    let mut offers = Vec::new();
    for offering in s.list(&PRODUCT_OFFERING, ask).await?.records {
        if offering.body.get("isSellable").and_then(Json::as_bool) == Some(false)
            || offering.at("productSpecification.id").is_none()
        {
            continue;
        }
        let prices = prices_of(&s, &offering).await?;
        offers.push(Offer {
            id: offering.id.clone(),
            name: said(lang, &offering.body, "name"),
            category: entries(&offering.body, "category")
                .first()
                .map(|c| said_in(lang, c, "name"))
                .filter(|c| !c.is_empty()),
            description: said(lang, &offering.body, "description"),
            prices: prices.iter().map(|price| stated(lang, price)).collect(),
        });
    }
    Ok(ok(&Catalog { p: s.p(), offers }))
}

/// `GET /catalog/{id}`
pub(crate) async fn form(s: Signed, Path(id): Path<String>) -> Answer {
    let loaded = Loaded::read(&s, &id).await?;
    let mut defaults = Form::default();
    for one in loaded.choices.characteristics() {
        if let Some(default) = one.default() {
            for part in default.as_array().map_or_else(|| vec![&default], |list| list.iter().collect()) {
                defaults.set(&name_of(&one.name), &value(part, "true", "false"));
            }
        }
    }
    // Where nothing is suggested, the form begins with the least that is allowed.
    for one in loaded.choices.characteristics().iter().filter(|c| c.min > 0 && c.default().is_none()) {
        if let Some(least) = one.values.iter().find_map(|v| v.from) {
            defaults.set(&name_of(&one.name), &least.to_string());
        }
    }
    let (chosen, _) = chosen(s.t(), &loaded, &defaults);
    let receipt = receipt(&s, &loaded, chosen).await.unwrap_or_default();
    Ok(show_form(&s, &loaded, &defaults, &[], "", receipt))
}

/// `POST /catalog/{id}/price`: the receipt alone, for the script.
pub(crate) async fn price(s: Signed, Path(id): Path<String>) -> Answer {
    let loaded = Loaded::read(&s, &id).await?;
    let (chosen, _) = chosen(s.t(), &loaded, &s.visit.form);
    let receipt = receipt(&s, &loaded, chosen).await?;
    Ok(ok(&ReceiptView { p: s.p(), receipt }))
}

/// `POST /catalog/{id}`: places the order.
pub(crate) async fn submit(s: Signed, Path(id): Path<String>) -> Answer {
    let loaded = Loaded::read(&s, &id).await?;
    let form = &s.visit.form;
    let (chosen, mut wrong) = chosen(s.t(), &loaded, form);
    if form.get("name").is_empty() {
        wrong.push(("name".into(), s.t().errors.field_required.into()));
    }
    if wrong.is_empty() {
        match place(&s, &id, chosen.clone()).await {
            Ok(order) => return Ok(done(&s.portal, &format!("/orders/{order}"), "order-placed")),
            Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Dangling | Kind::Conflict | Kind::Exhausted) => {
                let attribute = e.attribute().unwrap_or_default();
                let field = loaded
                    .choices
                    .characteristics()
                    .iter()
                    .find(|c| attribute.rsplit('.').next() == Some(c.name.as_str()));
                match field {
                    Some(c) => wrong.push((name_of(&c.name), explain(s.t(), c, &e))),
                    None if attribute.ends_with("product.name") => wrong.push(("name".into(), e.message().to_owned())),
                    None => {
                        let receipt = receipt(&s, &loaded, chosen).await.unwrap_or_default();
                        return Ok(show_form(&s, &loaded, form, &[], e.message(), receipt));
                    }
                }
            }
            Err(e) => return Err(e.into()),
        }
    }
    let receipt = receipt(&s, &loaded, chosen).await.unwrap_or_default();
    Ok(show_form(&s, &loaded, form, &wrong, "", receipt))
}

/// Places the order once: a repeated press finds the first one.
async fn place(s: &Signed, offering: &str, chosen: Map<String, Json>) -> Result<String> {
    let once: String = s.visit.form.get("once").chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let ask = Ask { conditions: vec![("externalId", vec![once.clone()])], limit: 1, ..Ask::default() };
    if !once.is_empty()
        && let Some(order) = s.list(&PRODUCT_ORDER, ask).await?.records.first()
    {
        return Ok(order.id.clone());
    }
    let characteristics = commerce::catalog::characteristics::write_list(&chosen);
    let body = json!({
        "externalId": once,
        "productOrderItem": [{
            "id": "1",
            "action": "add",
            "quantity": 1,
            "productOffering": { "id": offering, "@referredType": "ProductOffering" },
            "product": { "name": s.visit.form.get("name"), "productCharacteristic": characteristics },
        }],
    });
    let Json::Object(body) = body else { return Err(Error::bug("order.form", "an order is an object")) };
    s.blocking(move |gate, cx| PRODUCT_ORDER.create(gate, cx, body)).await.map(|order| order.id)
}

/// The name of a characteristic's control in the form.
fn name_of(characteristic: &str) -> String {
    format!("c.{characteristic}")
}

/// Reads the form's answers as the specification's types; what cannot be read
/// is told by (control, words).
fn chosen(t: &Messages, loaded: &Loaded, form: &Form) -> (Map<String, Json>, Vec<(String, String)>) {
    let (mut chosen, mut wrong) = (Map::new(), Vec::new());
    for one in loaded.choices.characteristics().iter().filter(|c| c.configurable) {
        let control = name_of(&one.name);
        let given: Vec<&str> = form.all(&control).into_iter().map(str::trim).filter(|v| !v.is_empty()).collect();
        let read = |text: &str| read_value(one.of, text).ok_or(t.ordering.not_a_number);
        let values: std::result::Result<Vec<Json>, &str> = given.iter().map(|text| read(text)).collect();
        let value = match values {
            Ok(values) if values.is_empty() && one.of == ValueType::Boolean && form.has("once") => Json::Bool(false),
            Ok(values) if values.is_empty() => {
                if one.min > 0 && form.has("once") {
                    wrong.push((control, t.errors.field_required.to_owned()));
                }
                continue;
            }
            Ok(values) if one.max > 1 => Json::Array(values),
            Ok(mut values) => values.remove(0),
            Err(words) => {
                wrong.push((control, words.to_owned()));
                continue;
            }
        };
        match one.check(&value) {
            Ok(()) => drop(chosen.insert(one.name.clone(), value)),
            Err(e) => wrong.push((control, explain(t, one, &e))),
        }
    }
    (chosen, wrong)
}

fn read_value(of: ValueType, text: &str) -> Option<Json> {
    match of {
        ValueType::Text | ValueType::Any => Some(text.into()),
        ValueType::Boolean => Some((text == "true").into()),
        ValueType::Integer => text.parse::<i64>().ok().map(Json::from),
        ValueType::Number => text.parse::<Decimal>().ok().map(number),
    }
}

/// Why a value is refused, in the reader's language where we have words for it.
fn explain(t: &Messages, of: &Characteristic, error: &Error) -> String {
    match error.code() {
        "characteristic.missing" => t.errors.field_required.to_owned(),
        "characteristic.not_allowed" => range(t, of).unwrap_or_else(|| error.message().to_owned()),
        _ => error.message().to_owned(),
    }
}

/// `From 1 to 16`, where the specification has bounds.
fn range(t: &Messages, of: &Characteristic) -> Option<String> {
    let bounds = of.values.iter().find(|v| v.from.is_some() || v.to.is_some())?;
    Some(match (bounds.from, bounds.to) {
        (Some(from), Some(to)) => fill(t.ordering.range_between, &[&from, &to]),
        (Some(from), None) => fill(t.ordering.at_least, &[&from]),
        (None, Some(to)) => fill(t.ordering.at_most, &[&to]),
        (None, None) => return None,
    })
}

/// The control for one characteristic, by its type and what it allows.
fn field(lang: Lang, loaded: &Loaded, of: &Characteristic, form: &Form) -> Field {
    let t = lang.messages();
    let (label, description) = loaded.words(lang, of);
    let name = name_of(&of.name);
    let given = form.get(&name);
    let unit = of.values.iter().map(|v| v.unit.as_str()).find(|u| !u.is_empty()).unwrap_or_default();
    let listed: Vec<&Json> = of.values.iter().filter_map(|v| v.value.as_ref()).collect();
    let bounded = of.values.iter().any(|v| v.from.is_some() || v.to.is_some());
    let field = if of.of == ValueType::Boolean {
        Field::check(name, &label, &label, given == "true")
    } else if !listed.is_empty() && !bounded && !of.extensible {
        let all = form.all(&name_of(&of.name));
        let choices = listed.iter().map(|v| choice(t, of, v, unit, &all)).collect::<Vec<_>>();
        match choices.len() {
            _ if of.max > 1 => Field::boxes(name, &label, choices),
            0..=8 => Field::tiles(name, &label, choices),
            _ => Field::select(name, &label, choices),
        }
    } else if matches!(of.of, ValueType::Integer | ValueType::Number) {
        let bounds = of.values.iter().find(|v| v.from.is_some() || v.to.is_some());
        let (min, max) = bounds.map_or((None, None), |v| (v.from.map(|n| n.to_string()), v.to.map(|n| n.to_string())));
        let step = if of.of == ValueType::Integer { "1" } else { "any" };
        let slider = of.of == ValueType::Integer && min.is_some() && max.is_some();
        Field::number(
            name,
            &label,
            Control::Number { value: given.to_owned(), min, max, step: step.into(), unit: unit.to_owned(), slider },
        )
    } else if ["key", "data"].iter().any(|w| of.name.to_ascii_lowercase().contains(w)) || of.max > 1 {
        Field::area(name, &label, form.raw(&name_of(&of.name)))
    } else {
        Field::line(name, &label, given)
    };
    let hint: Vec<String> = [Some(description).filter(|d| !d.is_empty()), range(t, of)].into_iter().flatten().collect();
    let field = field.hint(hint.join(match lang {
        Lang::Zh => "　",
        Lang::En => " · ",
    }));
    if of.min == 0 && of.of != ValueType::Boolean { field.optional(t.frame.optional) } else { field }
}

fn choice(t: &Messages, of: &Characteristic, json: &Json, unit: &str, given: &[&str]) -> Choice {
    let text = value(json, "true", "false");
    let label = if unit.is_empty() { text.clone() } else { format!("{text} {unit}") };
    let is_default = of.values.iter().any(|v| v.default && v.value.as_ref() == Some(json));
    let mut choice = Choice::new(text.clone(), label);
    if is_default && given.is_empty() {
        choice = choice.note(t.ordering.recommended);
    }
    choice.chosen = given.contains(&text.as_str());
    choice
}

/// What the configuration costs, by the platform's own reckoning.
async fn receipt(s: &Signed, loaded: &Loaded, chosen: Map<String, Json>) -> Result<Receipt> {
    let lang = s.p().lang;
    let item = PriceItem { product_offering: loaded.offering.id.clone(), characteristics: chosen, quantity: 1 };
    let priced = s.call(&ORDER_PRICE, PriceInput { items: vec![item] }).await?;
    let Some(item) = priced.items.first() else { return Ok(Receipt::default()) };
    let line = |price: &Json| {
        let of = price.get("productOfferingPrice").cloned().unwrap_or_default();
        let line = frozen(s.t(), price, loaded.price_name(lang, text(&of, "id"), text(price, "name")));
        ReceiptLine { name: line.name, how: line.kind, amount: line.amount, per: line.per }
    };
    let total = |kind: &str, period: &str| {
        let found =
            priced.total.iter().find(|p| text(p, "priceType") == kind && text(p, "recurringChargePeriod") == period);
        found.and_then(|p| p.get("price")?.get("dutyFreeAmount")).map(amount)
    };
    Ok(Receipt {
        lines: item.prices.iter().map(line).collect(),
        once: total("oneTime", ""),
        month: total("recurring", "month"),
    })
}

fn show_form(
    s: &Signed,
    loaded: &Loaded,
    form: &Form,
    wrong: &[(String, String)],
    general: &str,
    receipt: Receipt,
) -> axum::response::Response {
    let (p, t) = (s.p(), s.t());
    let lang = p.lang;
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let service_name =
        told(Field::line("name", t.ordering.service_name, form.get("name")).hint(t.ordering.service_name_hint));
    let configurable = loaded.choices.characteristics().iter().filter(|c| c.configurable);
    let fields: Vec<Field> = configurable.map(|c| told(field(lang, loaded, c, form))).collect();
    let all: Vec<&Field> = std::iter::once(&service_name).chain(&fields).collect();
    let summary = Summary::gather(t.frame.form_wrong, &all, general);
    let once = match form.get("once") {
        "" => s.portal.gate.ids().text("once", p.now),
        given => given.to_owned(),
    };
    let failed = !summary.errors.is_empty();
    let view = OrderForm {
        p,
        id: loaded.offering.id.clone(),
        name: said(lang, &loaded.offering.body, "name"),
        description: said(lang, &loaded.offering.body, "description"),
        once,
        summary,
        service_name,
        fields,
        receipt,
    };
    crate::page::show(
        if failed { axum::http::StatusCode::UNPROCESSABLE_ENTITY } else { axum::http::StatusCode::OK },
        &view,
    )
}
