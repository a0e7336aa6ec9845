//! TMF635: the usage ledger as TM Forum shows it.
//!
//! ```text
//!   received ──► (no product named: waits, is never billed)
//!   guided ──► billed          guided, billed ──► rerated ──► billed
//!      └────────┴──────────► rejected
//! ```
//!
//! A usage is a view on ledger entries. What is handed in appends one; a change
//! appends a reversal and a replacement; a rejection or deletion appends a
//! reversal. Nothing in the ledger is touched by any of them.

use base::money::{decimal, number};
use base::time::{Timestamp, parse};
use base::{Error, Result};
use db::records::Key;
use db::{Class, Record};
use gate::{Kind, StateMachine, Tx, Verb, free};
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::store;
use super::types::{Basis, Entry, Meter, Sizes, after};
use crate::rating::measure;
use crate::{accounts, shapes};

/// TMF635 `usage`.
pub static USAGE: Kind = Kind {
    name: "usage",
    prefix: "usg",
    path: "/tmf-api/usageManagement/v4/usage",
    class: Class::Confidential,
    shape: &shapes::USAGE,
    keys: &[
        Key::time("usageDate"),
        Key::text("usageType"),
        Key::text("status"),
        Key::text("ratedProductUsage.productRef.id"),
    ],
    states: Some(&StateMachine {
        attribute: "status",
        initial: "received",
        moves: &[
            ("received", &["guided", "rejected"]),
            ("guided", &["rated", "billed", "rerated", "rejected"]),
            ("rated", &["billed", "rerated", "rejected"]),
            ("billed", &["rerated", "rejected"]),
            ("rerated", &["billed", "rejected"]),
            ("recycled", &["guided", "rejected"]),
            ("rejected", &[]),
        ],
    }),
    verbs: Verb::ALL,
    before_create: take_in,
    before_update: correct,
    before_delete: take_back,
};

/// TMF635 `usageSpecification`.
pub static USAGE_SPECIFICATION: Kind = Kind {
    name: "usageSpecification",
    prefix: "usp",
    path: "/tmf-api/usageManagement/v4/usageSpecification",
    class: Class::Public,
    shape: &shapes::USAGE_SPECIFICATION,
    keys: &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::text("version")],
    states: None,
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

/// More than this of anything could not be billed, and would keep everything else off the bill.
const COUNT_MAX: i64 = 1_000_000_000_000;

const NOT_SIZES: [&str; 7] = ["start", "end", "duration", "service", "machine", "life", "externalId"];

/// Stores the TMF635 view of a new entry.
pub(super) fn record(tx: &mut Tx<'_>, meter: &Meter, entry: &Entry) -> Result<()> {
    let mut characteristics = vec![
        json!({ "name": "start", "valueType": "dateTime", "value": entry.from.to_string() }),
        json!({ "name": "end", "valueType": "dateTime", "value": entry.until.to_string() }),
        json!({ "name": "duration", "valueType": "number", "value": number(seconds(entry.micros())) }),
        json!({ "name": "service", "valueType": "string", "value": meter.service }),
    ];
    if entry.basis == Basis::Run {
        characteristics.push(json!({ "name": "machine", "valueType": "string", "value": entry.origin }));
        characteristics.push(json!({ "name": "life", "valueType": "number", "value": entry.epoch }));
    }
    characteristics.extend(
        entry.sizes.iter().map(|(name, size)| json!({ "name": name, "valueType": "number", "value": number(*size) })),
    );
    let body = json!({
        "description": format!("{}: {}", meter.name, match entry.basis { Basis::Run => "running", _ => "held" }),
        "usageDate": entry.from.to_string(),
        "usageType": entry.basis.word(),
        "status": "guided",
        "ratedProductUsage": [{ "isBilled": false, "productRef": { "id": meter.product, "name": meter.name } }],
        "usageCharacteristic": characteristics,
    });
    let Json::Object(body) = body else { return Ok(()) };
    let stored = Record {
        id: entry.id.clone(),
        kind: USAGE.name.to_owned(),
        tenant: meter.tenant,
        revision: 1,
        state: Some("guided".to_owned()),
        class: USAGE.class,
        body,
        created: tx.now,
        updated: tx.now,
    };
    tx.insert(&USAGE, stored).map(drop)
}

/// Notes on the TMF635 view that an entry is on a bill now.
pub(super) fn mark_billed(tx: &mut Tx<'_>, entry: &Entry) -> Result<()> {
    let shown = entry.corrects.as_deref().unwrap_or(&entry.id);
    if entry.sign < 0 || entry.basis == Basis::Once || db::records::load(tx, USAGE.name, shown)?.is_none() {
        return Ok(());
    }
    let mut record = tx.peek(&USAGE, shown)?;
    if !matches!(record.state.as_deref(), Some("guided" | "rated" | "rerated")) {
        return Ok(());
    }
    if let Some(rated) = record.body_mut().get_mut("ratedProductUsage").and_then(|list| list.get_mut(0)) {
        rated["isBilled"] = true.into();
        rated["ratingDate"] = tx.now.to_string().into();
    }
    record.set_state("status", "billed");
    tx.save(&USAGE, &mut record)
}

/// POST: usage that somebody else counted.
fn take_in(tx: &mut Tx<'_>, record: &mut Record) -> Result<()> {
    let Some(product) = record.at("ratedProductUsage.productRef.id").and_then(Json::as_str).map(str::to_owned) else {
        set_status(record, "received");
        return Ok(());
    };
    if tx.cx().tenant() != tx.operator()? {
        return Err(Error::forbidden(
            "usage.foreign",
            "usage is handed in by the operator; ask them if something is missing",
        ));
    }
    let at = "ratedProductUsage[0].productRef.id";
    let meter = store::of_product(tx, &product)?.ok_or_else(|| {
        Error::dangling(
            "usage.no_meter",
            format!("product {product} has not been active, so nothing is metered for it"),
        )
        .at(at)
    })?;
    let date = record.body.get("usageDate").and_then(Json::as_str).ok_or_else(|| missing("usageDate"))?;
    let date = parse(date, "usageDate")?;
    if date < meter.started || date > tx.now || meter.ended.is_some_and(|ended| date > ended) {
        return Err(Error::invalid("usage.outside", "the product was not active then, or that time has not come")
            .at("usageDate"));
    }
    let (counts, external) = counted(&record.body)?;
    if counts.is_empty() {
        return Err(Error::invalid("usage.nothing_counted", "name what was counted, with a number above zero")
            .at("usageCharacteristic"));
    }
    let origin = match external {
        Some(id) => format!("import:{product}:{id}"),
        None => format!("import:{}", record.id),
    };
    let entry = imported(tx, &meter, &record.id, origin, date, counts)?;
    store::append(tx, &entry).map_err(|e| match e.code() {
        "db.duplicate" => Error::conflict("usage.duplicate", "usage with this externalId was handed in before")
            .at("usageCharacteristic"),
        _ => e,
    })?;
    record.tenant = meter.tenant;
    set_status(record, "guided");
    Ok(())
}

fn imported(tx: &mut Tx<'_>, meter: &Meter, id: &str, origin: String, at: Timestamp, sizes: Sizes) -> Result<Entry> {
    let version = meter.terms_at(at).map_or(1, |terms| terms.version);
    Ok(Entry {
        id: id.to_owned(),
        meter: meter.id.clone(),
        version,
        basis: Basis::Count,
        origin,
        epoch: 0,
        from_us: 0,
        until_us: 0,
        from: at,
        until: at,
        month: accounts::calendar(tx)?.month(at)?.label,
        sign: 1,
        sizes,
        corrects: None,
        reason: String::new(),
        recorded: tx.now,
    })
}

/// PATCH: a correction, or nothing.
fn correct(tx: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    let entry = metered(tx, &before.id)?;
    // What is in the ledger stays but for its numbers; what is not can be described anew, but does not get in this way.
    let stays = |name: &str| match entry {
        Some(_) => !matches!(name, "description" | "status" | "usageCharacteristic" | "lastUpdate"),
        None => name == "ratedProductUsage",
    };
    let names = before.body.keys().chain(after.body.keys());
    if let Some(name) = names.into_iter().find(|name| stays(name) && before.body.get(*name) != after.body.get(*name)) {
        return Err(fixed(name));
    }
    let asked = after.body.get("status").and_then(Json::as_str).unwrap_or_default().to_owned();
    let changed = before.body.get("usageCharacteristic") != after.body.get("usageCharacteristic");
    match entry {
        _ if asked == "rejected" && changed => {
            Err(Error::invalid("usage.rejected", "what is rejected is not changed as well").at("usageCharacteristic"))
        }
        Some(entry) if asked == "rejected" && before.state.as_deref() != Some("rejected") => {
            reverse(tx, &entry).map(drop)
        }
        _ if before.state.as_deref() != Some(asked.as_str()) && asked != "rejected" => {
            Err(Error::conflict("usage.status", "the platform rates and bills usage; a caller can only reject it")
                .at("status"))
        }
        Some(entry) if changed => {
            replace(tx, &entry, &after.body)?;
            set_status(after, "rerated");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The ledger's entry behind a usage, if there is one; only the operator may answer it with others.
fn metered(tx: &mut Tx<'_>, id: &str) -> Result<Option<Entry>> {
    let entry = store::entry_of(tx, id)?;
    if entry.is_some() && !accounts::is_issuer(tx)? {
        return Err(Error::forbidden("usage.foreign", "what was metered is corrected by the operator; ask them"));
    }
    Ok(entry)
}

/// DELETE: the entry is taken back; it and its reversal stay in the ledger.
fn take_back(tx: &mut Tx<'_>, record: &Record) -> Result<()> {
    match metered(tx, &record.id)? {
        Some(entry) if record.state.as_deref() != Some("rejected") => reverse(tx, &entry).map(drop),
        _ => Ok(()),
    }
}

/// Appends the reversal of what an entry says at present; gives what was reversed and how many corrections there are now.
fn reverse(tx: &mut Tx<'_>, original: &Entry) -> Result<(Entry, i64)> {
    let made = store::corrections(tx, &original.id)?;
    let present = made.iter().rev().find(|entry| entry.sign > 0).unwrap_or(original).clone();
    let number = i64::try_from(made.len()).unwrap_or(i64::MAX) + 1;
    let reversal = Entry { sign: -1, ..follow(tx, original, &present, number) };
    store::append(tx, &reversal)?;
    Ok((present, number))
}

fn follow(tx: &Tx<'_>, original: &Entry, present: &Entry, number: i64) -> Entry {
    Entry {
        id: tx.ids().text("usg", tx.now),
        origin: original.id.clone(),
        epoch: number,
        sign: 1,
        corrects: Some(original.id.clone()),
        reason: tx.cx().reason().to_owned(),
        recorded: tx.now,
        ..present.clone()
    }
}

fn replace(tx: &mut Tx<'_>, original: &Entry, body: &Map<String, Json>) -> Result<()> {
    let (sizes, _) = counted(body)?;
    if sizes.keys().ne(original.sizes.keys()) {
        return Err(Error::invalid("usage.measures", "a correction has the same measures as what it corrects")
            .at("usageCharacteristic"));
    }
    let (present, number) = reverse(tx, original)?;
    let mut entry = Entry { sizes, ..follow(tx, original, &present, number + 1) };
    if let Some(duration) = characteristic(body, "duration") {
        let micros = decimal(duration, "usageCharacteristic")?.checked_mul(Decimal::from(1_000_000));
        let micros = micros.and_then(|micros| i64::try_from(micros.trunc()).ok()).filter(|micros| *micros >= 0);
        let until = micros.and_then(|micros| Some((micros, entry.from_us.checked_add(micros)?)));
        let (micros, until) = until.ok_or_else(|| {
            Error::invalid("usage.duration", "a duration is given in seconds, not below zero").at("usageCharacteristic")
        })?;
        entry.until_us = until;
        entry.until = after(entry.from, micros)?.min(original.until.max(entry.from));
    }
    store::append(tx, &entry)
}

/// The numbers among the characteristics, by measure, and the importer's own id.
fn counted(body: &Map<String, Json>) -> Result<(Sizes, Option<String>)> {
    let mut sizes = Sizes::new();
    for entry in body.get("usageCharacteristic").and_then(Json::as_array).into_iter().flatten() {
        let name = entry.get("name").and_then(Json::as_str).unwrap_or_default();
        if NOT_SIZES.contains(&name) {
            continue;
        }
        let at = "usageCharacteristic";
        let value = decimal(entry.get("value").unwrap_or(&Json::Null), at)?;
        if value < Decimal::ZERO || value.scale() > 9 || value > Decimal::from(COUNT_MAX) {
            return Err(Error::invalid(
                "usage.number",
                format!("`{name}` is from zero to {COUNT_MAX} and has at most nine decimals"),
            )
            .at(at));
        }
        sizes.insert(measure(name), value);
    }
    let external = characteristic(body, "externalId").and_then(Json::as_str).map(str::to_owned);
    if external.as_ref().is_some_and(|id| id.is_empty() || id.len() > 200) {
        return Err(Error::invalid("usage.external_id", "an externalId has 1 to 200 bytes").at("usageCharacteristic"));
    }
    Ok((sizes, external))
}

fn characteristic<'j>(body: &'j Map<String, Json>, name: &str) -> Option<&'j Json> {
    let list = body.get("usageCharacteristic").and_then(Json::as_array)?;
    list.iter().find(|entry| entry.get("name").and_then(Json::as_str) == Some(name))?.get("value")
}

fn set_status(record: &mut Record, status: &str) {
    record.state = Some(status.to_owned());
    record.body.insert("status".to_owned(), status.into());
}

fn seconds(micros: i64) -> Decimal {
    Decimal::new(micros, 6)
}

fn missing(name: &str) -> Error {
    Error::invalid("attribute.missing", format!("`{name}` is mandatory for usage of a product")).at(name)
}

fn fixed(name: &str) -> Error {
    Error::conflict(
        "usage.immutable",
        format!("`{name}` of a usage stays as it is; correct its characteristics, or reject it"),
    )
    .at(name)
}
