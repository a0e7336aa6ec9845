//! What a service was sold as: everything that metering, checks and backups
//! need to attach to it, without knowing what it is.

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use commerce::catalog::characteristics;
use commerce::products::PRODUCT;
use gate::Tx;
use resources::intents;
use serde_json::{Map, Value as Json};

use super::SERVICE;

/// A product and the service that leads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Realised {
    /// The customer-facing service.
    pub service: String,
    /// The product that it realises.
    pub product: String,
    /// What the customer calls it.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The billing account that pays; `None` for the tenant's own.
    pub account: Option<String>,
    /// The intents of all machines of the product.
    pub machines: Vec<String>,
    /// When it became active.
    pub at: Timestamp,
    /// The product's characteristics by name.
    pub characteristics: Map<String, Json>,
    /// The frozen prices: TMF637 `productPrice`.
    pub prices: Vec<Json>,
}

/// What the service realises. A product has prices once, however many services
/// it is made of: only the first of them gives an answer, with the machines of all.
///
/// # Errors
/// Those of the database; `Dangling` where the records are incomplete.
pub fn realised(tx: &mut Tx<'_>, service: &str) -> Result<Option<Realised>> {
    let record = tx.peek(&SERVICE, service)?;
    let Some(product) = record.at("product.id").and_then(Json::as_str).map(str::to_owned) else { return Ok(None) };
    let product = tx.peek(&PRODUCT, &product)?;
    let services: Vec<String> =
        product.values("realizingService.id").into_iter().filter_map(Json::as_str).map(str::to_owned).collect();
    if services.first().map(String::as_str) != Some(service) {
        return Ok(None);
    }
    let mut machines = Vec::new();
    for service in &services {
        machines.extend(intents::ids_of_service(tx, service)?);
    }
    let text = |path: &str| product.at(path).and_then(Json::as_str).map(str::to_owned);
    let at = text("startDate").map_or(Ok(product.created), |text| base::time::parse(&text, "startDate"))?;
    Ok(Some(Realised {
        service: service.to_owned(),
        name: text("name").unwrap_or_else(|| product.id.clone()),
        tenant: product.tenant,
        account: text("billingAccount.id"),
        machines,
        at,
        characteristics: characteristics::read_list(
            product.body.get("productCharacteristic"),
            "productCharacteristic",
        )?,
        prices: product.body.get("productPrice").and_then(Json::as_array).cloned().unwrap_or_default(),
        product: product.id.clone(),
    }))
}
