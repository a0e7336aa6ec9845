//! What is on sale, and the form that orders it.

use crate::fmt;
use crate::http::Form;
use crate::i18n::{Lang, Messages, fill, words};
use crate::page::{Page, ok};
use crate::records::{Ask, entries, said, said_in, text, value};
use crate::ui::{Choice, Control, Field, Summary};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::money::{Currency, Money, decimal, number};
use base::{Error, Kind, Result};
use billing::rating::{Charge, MONTH_HOURS};
use commerce::catalog::characteristics::{Characteristic, Specification, ValueType};
use commerce::catalog::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION, is_on_sale};
use commerce::orders::{ORDER_PRICE, PriceInput, PriceItem};
use db::Record;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeSet, HashMap};

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
    /// How large it is: (what, how much with its unit).
    pub sizes: Vec<(String, String)>,
    /// What it costs, the monthly price first.
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
    /// The price, and how much of it a month takes: `NT$0.5 / vCPU·hour × 1,440`.
    pub how: String,
    /// What it comes to, once or in a month; empty where no month can tell.
    pub amount: String,
}

/// The price of the configuration in the form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub once: Option<String>,
    /// What a month comes to that runs all the time.
    pub month: Option<String>,
    /// What an hour of it comes to, for those who will stop it.
    pub hour: Option<String>,
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
    /// What is settled by the choice of the offering: (what, how much).
    pub sizes: Vec<(String, String)>,
    /// What most people leave as it is.
    pub more: Vec<Field>,
    /// Whether something is wrong with those.
    pub more_open: bool,
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
        let of = crate::records::at(&offering, "productSpecification.id").to_owned();
        let specification = s.get(&PRODUCT_SPECIFICATION, &of).await?;
        Self::of(s, offering, specification).await
    }

    async fn of(s: &Signed, offering: Record, specification: Record) -> Result<Self> {
        let prices = prices_of(s, &offering).await?;
        let mut choices = Specification::read(&specification.body)?;
        choices.narrow(offering.body.get("prodSpecCharValueUse"))?;
        Ok(Self { offering, specification, prices, choices })
    }

    /// What the specification calls one of its characteristics.
    fn raw(&self, name: &str) -> Option<&Json> {
        entries(&self.specification.body, "productSpecCharacteristic").iter().find(|c| text(c, "name") == name)
    }

    /// The specification's own words about a characteristic: label and hint.
    fn words(&self, lang: Lang, of: &Characteristic) -> (String, String) {
        self.raw(&of.name).map_or_else(|| (of.name.clone(), String::new()), |raw| words_of(lang, raw))
    }

    fn price_name(&self, lang: Lang, id: &str, otherwise: &str) -> String {
        let known = self.prices.iter().find(|p| p.id == id).map(|p| said(lang, &p.body, "name"));
        known.filter(|n| !n.is_empty()).unwrap_or_else(|| otherwise.to_owned())
    }

    /// A price as the catalog states it.
    pub(crate) fn stated(&self, lang: Lang, price: &Record) -> PriceLine {
        let from = price.body.get("quantityFrom").and_then(Json::as_str);
        let counted = from.and_then(|name| self.choices.find(name));
        let unit = counted.map(|c| if unit_of(c).is_empty() { c.name.clone() } else { unit_of(c).to_owned() });
        stated(lang, price, unit)
    }

    /// The prices in the order in which people ask for them: what comes every
    /// month, what is used, what is paid once.
    fn prices_in_order(&self, lang: Lang) -> Vec<PriceLine> {
        let rank = |price: &&Record| match price.body.get("priceType").and_then(Json::as_str) {
            Some("recurring") => 0,
            Some("oneTime") => 2,
            _ => 1,
        };
        let mut prices: Vec<&Record> = self.prices.iter().collect();
        prices.sort_by_key(rank);
        prices.into_iter().map(|price| self.stated(lang, price)).collect()
    }

    /// The numbers that say how large it is, and whether each may be chosen.
    fn sizes(&self) -> impl Iterator<Item = (&Characteristic, Size)> {
        let numeric = |c: &&Characteristic| matches!(c.of, ValueType::Integer | ValueType::Number);
        let measured = self.choices.characteristics().iter().filter(numeric).filter(|c| !unit_of(c).is_empty());
        measured.filter_map(|c| {
            let bounds = c.values.iter().find(|v| v.from.is_some() && v.to.is_some());
            match (bounds, c.default()) {
                (Some(range), _) => Some((c, Size::Range(range.from?, range.to?))),
                (None, Some(value)) => Some((c, Size::Fixed(decimal(&value, "").ok()?))),
                (None, None) => None,
            }
        })
    }
}

/// How large something on sale is in one respect.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Size {
    Fixed(Decimal),
    Range(f64, f64),
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(size) => f.write_str(&fmt::number(*size)),
            Self::Range(from, to) => write!(f, "{from}–{to}"),
        }
    }
}

/// What a number counts, `GiB`; empty where it counts nothing.
fn unit_of(of: &Characteristic) -> &str {
    of.values.iter().map(|v| v.unit.as_str()).find(|u| !u.is_empty()).unwrap_or_default()
}

/// Label and hint of a characteristic: its translated name; else what describes
/// it, where that is short; else the name that programs use.
pub(crate) fn words_of(lang: Lang, raw: &Json) -> (String, String) {
    let translated = raw.get("translation").and_then(|t| t.get(crate::records::tongue(lang))?.get("name")?.as_str());
    let (name, description) = (text(raw, "name"), said_in(lang, raw, "description"));
    match translated {
        Some(label) => (label.to_owned(), description),
        None if (1..=48).contains(&description.chars().count()) => (description, String::new()),
        None => (name.to_owned(), description),
    }
}

/// What a product specification calls its characteristics and their values, for people.
#[derive(Debug, Default)]
pub(crate) struct Labels(HashMap<String, Json>);

/// The labels of a specification; none where the visitor may not read it.
pub(crate) async fn labels(s: &Signed, specification: &str) -> Labels {
    let Ok(found) = s.get(&PRODUCT_SPECIFICATION, specification).await else { return Labels::default() };
    let list = entries(&found.body, "productSpecCharacteristic").iter();
    Labels(list.map(|raw| (text(raw, "name").to_owned(), raw.clone())).collect())
}

impl Labels {
    /// A characteristic by the name that people know it by, and its value with its unit.
    pub(crate) fn say(&self, lang: Lang, characteristic: &Json) -> (String, String) {
        let f = &lang.messages().frame;
        let (name, json) = (text(characteristic, "name"), characteristic.get("value").unwrap_or(&Json::Null));
        let Some(raw) = self.0.get(name) else { return (name.to_owned(), value(json, f.yes, f.no)) };
        (words_of(lang, raw).0, value_words(lang, raw, json))
    }
}

/// A value as people read it: translated where the specification lists it so, with its unit.
fn value_words(lang: Lang, raw: &Json, json: &Json) -> String {
    let f = &lang.messages().frame;
    let listed = raw.get("productSpecCharacteristicValue").and_then(Json::as_array).into_iter().flatten();
    let unit = listed.clone().map(|v| text(v, "unitOfMeasure")).find(|u| !u.is_empty()).unwrap_or_default();
    let known = listed.clone().find(|v| v.get("value") == Some(json)).map(|v| said_in(lang, v, "value"));
    let words = known.filter(|w| !w.is_empty()).unwrap_or_else(|| value(json, f.yes, f.no));
    if unit.is_empty() || words.is_empty() { words } else { format!("{words} {unit}") }
}

/// The names of prices in the reader's language, by the price they were frozen from.
pub(crate) async fn price_names(s: &Signed, mut ids: BTreeSet<String>) -> HashMap<String, String> {
    ids.retain(|id| id.starts_with(PRODUCT_OFFERING_PRICE.prefix));
    crate::records::called(s, &PRODUCT_OFFERING_PRICE, ids).await
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
/// What a unit is of is said in the reader's language: `GiB memory`.
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
        Some((stem, period)) => one(period).map_or_else(|| word.to_owned(), |named| format!("{}·{named}", of(o, stem))),
        None => one(word).map_or_else(|| of(o, word), ToOwned::to_owned),
    }
}

/// `GiB memory` in the reader's language.
fn of(o: &crate::i18n::Ordering, stem: &str) -> String {
    match stem.split_once(' ') {
        Some((unit, "memory")) => format!("{unit} {}", o.of_memory),
        Some((unit, "disk")) => format!("{unit} {}", o.of_disk),
        _ => stem.to_owned(),
    }
}

fn kind_word(t: &Messages, word: &str) -> &'static str {
    match word {
        "oneTime" => t.ordering.one_time,
        "recurring" => t.ordering.recurring,
        _ => t.ordering.usage,
    }
}

/// A price as the catalog states it; `counted` is the unit of what multiplies it.
fn stated(lang: Lang, price: &Record, counted: Option<String>) -> PriceLine {
    let t = lang.messages();
    let word = |name: &str| price.body.get(name).and_then(Json::as_str).unwrap_or_default();
    let kind = word("priceType");
    let money = price.body.get("price").cloned().unwrap_or_default();
    let measure = price.body.get("unitOfMeasure").cloned().unwrap_or_default();
    let count = measure.get("amount").and_then(|a| decimal(a, "").ok()).filter(|a| *a != Decimal::ONE);
    let units = unit(t, text(&measure, "units"));
    let of = counted.map_or_else(String::new, |unit| format!("{unit}·"));
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
    let mut found = Vec::new();
    let mut specifications: HashMap<String, Record> = HashMap::new();
    for offering in s.list(&PRODUCT_OFFERING, ask).await?.records {
        let of = crate::records::at(&offering, "productSpecification.id").to_owned();
        if offering.body.get("isSellable").and_then(Json::as_bool) == Some(false) || of.is_empty() {
            continue;
        }
        if !specifications.contains_key(&of) {
            specifications.insert(of.clone(), s.get(&PRODUCT_SPECIFICATION, &of).await?);
        }
        let Some(specification) = specifications.get(&of) else { continue };
        found.push(Loaded::of(&s, offering, specification.clone()).await?);
    }
    let listed = found.iter().flat_map(|one| entries(&one.offering.body, "category"));
    let categories: BTreeSet<String> = listed.map(|c| text(c, "id").to_owned()).collect();
    let categories = crate::records::called(&s, &commerce::catalog::CATEGORY, categories).await;
    let mut offers: Vec<(SizeKey, Offer)> =
        found.iter().map(|one| (size_key(one), offer(lang, one, &categories))).collect();
    offers.sort_by(|(a, one), (b, other)| {
        a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal).then_with(|| one.name.cmp(&other.name))
    });
    Ok(ok(&Catalog { p: s.p(), offers: offers.into_iter().map(|(_, offer)| offer).collect() }))
}

/// Where an offering stands on the shelf: by category, what is made to measure
/// behind what is ready made, the smaller before the larger.
type SizeKey = (String, bool, Vec<Size>);

fn size_key(of: &Loaded) -> SizeKey {
    let category = entries(&of.offering.body, "category").first().map(|c| text(c, "name")).unwrap_or_default();
    let sizes: Vec<Size> = of.sizes().map(|(_, size)| size).collect();
    (category.to_owned(), sizes.iter().any(|size| matches!(size, Size::Range(..))), sizes)
}

fn offer(lang: Lang, of: &Loaded, categories: &HashMap<String, String>) -> Offer {
    let category = entries(&of.offering.body, "category").first();
    let named = category.map(|c| categories.get(text(c, "id")).cloned().unwrap_or_else(|| text(c, "name").to_owned()));
    Offer {
        id: of.offering.id.clone(),
        name: said(lang, &of.offering.body, "name"),
        category: named.filter(|c| !c.is_empty()),
        description: said(lang, &of.offering.body, "description"),
        sizes: of.sizes().map(|(c, size)| (of.words(lang, c).0, format!("{size} {}", unit_of(c)))).collect(),
        prices: of.prices_in_order(lang),
    }
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
    let (chosen, _) = chosen(s.p().lang, &loaded, &defaults);
    let receipt = receipt(&s, &loaded, chosen).await.unwrap_or_default();
    Ok(show_form(&s, &loaded, &defaults, &[], "", receipt))
}

/// `POST /catalog/{id}/price`: the receipt alone, for the script.
pub(crate) async fn price(s: Signed, Path(id): Path<String>) -> Answer {
    let loaded = Loaded::read(&s, &id).await?;
    let (chosen, _) = chosen(s.p().lang, &loaded, &s.visit.form);
    let receipt = receipt(&s, &loaded, chosen).await?;
    Ok(ok(&ReceiptView { p: s.p(), receipt }))
}

/// `POST /catalog/{id}`: places the order.
pub(crate) async fn submit(s: Signed, Path(id): Path<String>) -> Answer {
    let loaded = Loaded::read(&s, &id).await?;
    let form = &s.visit.form;
    let (chosen, mut wrong) = chosen(s.p().lang, &loaded, form);
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
                    Some(c) => wrong.push((name_of(&c.name), explain(s.p().lang, c, &e))),
                    None if attribute.ends_with("product.name") => wrong.push(("name".into(), s.p().error(&e))),
                    None => {
                        let receipt = receipt(&s, &loaded, chosen).await.unwrap_or_default();
                        return Ok(show_form(&s, &loaded, form, &[], &s.p().error(&e), receipt));
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
    s.blocking(move |gate, cx| commerce::orders::place_once(gate, cx, body)).await.map(|order| order.id)
}

/// The name of a characteristic's control in the form.
fn name_of(characteristic: &str) -> String {
    format!("c.{characteristic}")
}

/// Whether there is a choice: nobody is asked where there is one answer.
fn is_asked(of: &Characteristic) -> bool {
    let settled = of.values.len() == 1 && !of.extensible && of.min > 0 && of.default().is_some();
    of.configurable && !settled
}

/// Reads the form's answers as the specification's types; what cannot be read
/// is told by (control, words).
fn chosen(lang: Lang, loaded: &Loaded, form: &Form) -> (Map<String, Json>, Vec<(String, String)>) {
    let t = lang.messages();
    let (mut chosen, mut wrong) = (Map::new(), Vec::new());
    for one in loaded.choices.characteristics().iter().filter(|c| is_asked(c)) {
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
            Err(e) => wrong.push((control, explain(lang, one, &e))),
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
fn explain(lang: Lang, of: &Characteristic, error: &Error) -> String {
    let t = lang.messages();
    match error.code() {
        "characteristic.missing" => t.errors.field_required.to_owned(),
        "characteristic.not_allowed" => range(t, of).unwrap_or_else(|| words(lang, error)),
        _ => words(lang, error),
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
    let unit = unit_of(of);
    let listed: Vec<&Json> = of.values.iter().filter_map(|v| v.value.as_ref()).collect();
    let bounded = of.values.iter().any(|v| v.from.is_some() || v.to.is_some());
    let field = if of.of == ValueType::Boolean {
        Field::check(name, &label, &label, given == "true")
    } else if !listed.is_empty() && !bounded && !of.extensible {
        let all = form.all(&name_of(&of.name));
        let raw = loaded.raw(&of.name).cloned().unwrap_or_default();
        let choices = listed.iter().map(|v| choice(lang, of, v, &raw, &all)).collect::<Vec<_>>();
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

fn choice(lang: Lang, of: &Characteristic, json: &Json, raw: &Json, given: &[&str]) -> Choice {
    let t = lang.messages();
    let text = value(json, "true", "false");
    let label = value_words(lang, raw, json);
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
    let sizes = item.characteristics.iter().filter_map(|(name, v)| Some((name.clone(), decimal(v, name).ok()?)));
    let rated = billing::rating::prices(&item.prices)?;
    let months = billing::rating::month(&rated, &sizes.collect())?;
    let (mut month, mut running) = (None, None);
    let mut lines = Vec::new();
    for ((price, rate), share) in item.prices.iter().zip(&rated).zip(&months) {
        let of = price.get("productOfferingPrice").cloned().unwrap_or_default();
        let stated = frozen(s.t(), price, loaded.price_name(lang, text(&of, "id"), text(price, "name")));
        let once = matches!(rate.charge, Charge::OneTime);
        month = add(month, share.amount)?;
        if matches!(rate.charge, Charge::Usage { .. }) {
            running = add(running, share.amount)?;
        }
        lines.push(ReceiptLine {
            name: stated.name,
            how: match share.units.filter(|units| *units != Decimal::ONE) {
                Some(units) => format!("{} {} × {}", stated.amount, stated.per, fmt::number(units)),
                None => stated.per,
            },
            amount: match share.amount {
                Some(money) => fmt::money(money),
                None if once => stated.amount,
                None => String::new(),
            },
        });
    }
    let once = priced.total.iter().find(|p| text(p, "priceType") == "oneTime");
    let hour = running.map(|all| fmt::price(all.amount() / Decimal::from(MONTH_HOURS), all.currency));
    Ok(Receipt {
        lines,
        once: once.and_then(|p| p.get("price")?.get("dutyFreeAmount")).map(amount),
        month: month.map(fmt::money),
        hour,
    })
}

/// The sum of what there is.
fn add(sum: Option<Money>, more: Option<Money>) -> Result<Option<Money>> {
    match (sum, more) {
        (Some(sum), Some(more)) => sum.plus(more).map(Some),
        (one, other) => Ok(one.or(other)),
    }
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
    let (asked, spare): (Vec<_>, Vec<_>) =
        loaded.choices.characteristics().iter().filter(|c| is_asked(c)).partition(|c| c.min > 0);
    let fields: Vec<Field> = asked.into_iter().map(|c| told(field(lang, loaded, c, form))).collect();
    let more: Vec<Field> = spare.into_iter().map(|c| told(field(lang, loaded, c, form))).collect();
    let more_open = more.iter().any(|field| !field.error.is_empty());
    let all: Vec<&Field> = std::iter::once(&service_name).chain(&fields).chain(&more).collect();
    let summary = Summary::gather(t.frame.form_wrong, &all, general);
    let once = match form.get("once") {
        "" => s.portal.gate.ids().text("once", p.now),
        given => given.to_owned(),
    };
    let failed = !summary.errors.is_empty();
    let fixed = loaded.sizes().filter(|(_, size)| matches!(size, Size::Fixed(_)));
    let sizes = fixed.map(|(c, size)| (loaded.words(lang, c).0, format!("{size} {}", unit_of(c)))).collect();
    let view = OrderForm {
        p,
        id: loaded.offering.id.clone(),
        name: said(lang, &loaded.offering.body, "name"),
        description: said(lang, &loaded.offering.body, "description"),
        once,
        summary,
        service_name,
        fields,
        more,
        more_open,
        sizes,
        receipt,
    };
    crate::page::show(
        if failed { axum::http::StatusCode::UNPROCESSABLE_ENTITY } else { axum::http::StatusCode::OK },
        &view,
    )
}
