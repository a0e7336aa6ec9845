//! The catalog's rules: what may be written, who sees it, what can be ordered.

use std::sync::Arc;

use base::{Error, Result};
use db::{Class, Record};
use gate::{Relation, Tx};
use serde_json::Value as Json;

use super::characteristics::Specification;
use super::prices::Price;
use super::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION, is_on_sale, mapping};

/// Lets everybody below see what is or was on sale, and the operator alone what is not yet.
pub fn show(record: &mut Record) {
    record.class = match record.state.as_deref() {
        Some("Active" | "Launched" | "Retired" | "Obsolete") => Class::Public,
        _ => Class::Internal,
    };
}

/// What every catalog record gets when it is written: visibility and `lastUpdate`.
pub fn written(tx: &Tx<'_>, record: &mut Record) {
    show(record);
    record.body.insert("lastUpdate".to_owned(), tx.now.to_string().into());
}

/// Checks a record of the catalog and completes it.
pub(super) fn create(tx: &mut Tx<'_>, record: &mut Record) -> Result<()> {
    check(tx, record)?;
    written(tx, record);
    Ok(())
}

pub(super) fn update(tx: &mut Tx<'_>, _: &Record, record: &mut Record) -> Result<()> {
    create(tx, record)
}

/// What can be ordered stays; it is retired first.
///
/// # Errors
/// `Conflict` (`catalog.on_sale`).
pub fn keep_on_sale(_: &mut Tx<'_>, record: &Record) -> Result<()> {
    if is_on_sale(record.state.as_deref()) {
        return Err(Error::conflict("catalog.on_sale", "what is on sale cannot be deleted; retire it first")
            .at("lifecycleStatus"));
    }
    Ok(())
}

fn check(tx: &mut Tx<'_>, record: &Record) -> Result<()> {
    match record.kind.as_str() {
        "productSpecification" => {
            Specification::read(&record.body)?;
            mapping::children(&record.body, "serviceSpecification")?;
            mapping::children(&record.body, "resourceSpecification")?;
        }
        "productOfferingPrice" if is_on_sale(record.state.as_deref()) => drop(Price::read(record)?),
        "productOffering" if record.state.as_deref() == Some("Launched") => launchable(tx, record)?,
        _ => {}
    }
    Ok(())
}

/// An offering that is launched must be one that somebody can order.
fn launchable(tx: &mut Tx<'_>, record: &Record) -> Result<()> {
    let id = specification_of(record)?;
    let specification = tx.peek(&PRODUCT_SPECIFICATION, &id)?;
    if !is_on_sale(specification.state.as_deref()) {
        return Err(Error::conflict(
            "offering.specification_not_ready",
            "the offering's specification is not active yet",
        )
        .at("productSpecification.id"));
    }
    Specification::read(&specification.body)?.narrow(record.body.get("prodSpecCharValueUse"))
}

fn specification_of(offering: &Record) -> Result<String> {
    offering.at("productSpecification.id").and_then(Json::as_str).map(str::to_owned).ok_or_else(|| {
        Error::conflict(
            "offering.incomplete",
            "the offering names no product specification, so there is nothing to deliver",
        )
        .at("productSpecification")
    })
}

/// An offering with everything that is needed to order it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The offering.
    pub offering: Arc<Record>,
    /// Its specification.
    pub specification: Arc<Specified>,
    /// What can be chosen, narrowed to what the offering uses.
    pub choices: Specification,
    /// The prices in force.
    pub prices: Vec<Price>,
}

/// A product specification, and what can be chosen by it.
#[derive(Debug, Clone)]
pub struct Specified {
    /// The record.
    pub record: Record,
    choices: Specification,
}

impl Specified {
    fn read(record: Record) -> Result<Self> {
        Ok(Specified { choices: Specification::read(&record.body)?, record })
    }
}

/// A price as the catalog has it; read only where it is on sale.
struct Listed {
    record: Record,
    price: Option<Price>,
}

impl Listed {
    fn read(record: Record) -> Result<Self> {
        let price = is_on_sale(record.state.as_deref()).then(|| Price::read(&record)).transpose()?;
        Ok(Listed { record, price })
    }
}

/// Looks up an offering that the actor may see and order.
///
/// # Errors
/// `Dangling` (`offering.absent`), `Conflict` where it is not on sale.
pub fn offer(tx: &mut Tx<'_>, id: &str) -> Result<Offer> {
    let absent =
        || Error::dangling("offering.absent", format!("there is no product offering {id}")).at("productOffering.id");
    let offering = tx.known(&PRODUCT_OFFERING, id, Ok).map_err(|_| absent())?;
    match tx.cx().relation(offering.tenant) {
        Relation::Own | Relation::Below => {}
        Relation::Above if offering.class == Class::Public => {}
        _ => return Err(absent()),
    }
    let sellable = offering.body.get("isSellable").and_then(Json::as_bool).unwrap_or(true);
    if !is_on_sale(offering.state.as_deref()) || !sellable || !in_season(tx, &offering)? {
        let state = offering.state.as_deref().unwrap_or("unknown");
        return Err(Error::conflict(
            "offering.not_on_sale",
            format!("{} is not on sale (it is {state})", name(&offering)),
        )
        .at("productOffering.id"));
    }
    prepare(tx, offering)
}

/// Reads an offering's specification, choices and prices.
fn prepare(tx: &mut Tx<'_>, offering: Arc<Record>) -> Result<Offer> {
    if offering.body.get("isBundle").and_then(Json::as_bool) == Some(true) {
        return Err(Error::conflict("offering.bundle", "a bundle is not ordered itself; order the offerings in it")
            .at("productOffering.id"));
    }
    let specification = tx.known(&PRODUCT_SPECIFICATION, &specification_of(&offering)?, Specified::read)?;
    let mut choices = specification.choices.clone();
    choices.narrow(offering.body.get("prodSpecCharValueUse"))?;
    let mut prices = Vec::new();
    for reference in offering.body.get("productOfferingPrice").and_then(Json::as_array).into_iter().flatten() {
        let Some(id) = reference.get("id").and_then(Json::as_str) else { continue };
        let listed = tx.known(&PRODUCT_OFFERING_PRICE, id, Listed::read)?;
        if let Some(price) = &listed.price
            && in_season(tx, &listed.record)?
        {
            prices.push(price.clone());
        }
    }
    Ok(Offer { offering, specification, choices, prices })
}

fn name(record: &Record) -> &str {
    record.body.get("name").and_then(Json::as_str).unwrap_or(&record.id)
}

/// Whether `validFor` covers the present instant.
fn in_season(tx: &Tx<'_>, record: &Record) -> Result<bool> {
    let edge = |path: &str| match record.at(path).and_then(Json::as_str) {
        Some(text) => base::time::parse(text, path).map(Some),
        None => Ok(None),
    };
    Ok(edge("validFor.startDateTime")?.is_none_or(|start| start <= tx.now)
        && edge("validFor.endDateTime")?.is_none_or(|end| tx.now < end))
}
