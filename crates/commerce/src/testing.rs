//! A small shop for the tests of this and higher rooms.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

use base::id::{AccountId, TenantId};
use db::Record;
use db::records::Scope;
use gate::{Actor, Cx, Gate, Kind};
use serde_json::{Map, Value as Json, json};

use crate::catalog::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION};

/// The operator's tenant in these tests.
pub const OPERATOR: TenantId = TenantId(1);

/// A JSON object as a body.
pub fn body(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

/// The product manager, who acts for the operator and sees everybody.
pub fn manager() -> Cx {
    Cx::new(Actor::Account(AccountId(1)), OPERATOR, Scope::All, ["product-manager".to_owned()].into())
}

/// A member of the tenant of that number, which is right below the operator.
pub fn member(tenant: u128) -> Cx {
    let scope = Scope::Tenants { own: vec![TenantId(tenant)], above: vec![OPERATOR] };
    Cx::new(Actor::Account(AccountId(tenant)), TenantId(tenant), scope, ["member".to_owned()].into())
}

/// Makes a record as the product manager.
pub fn make(gate: &Gate, kind: &'static Kind, json: Json) -> Record {
    kind.create(gate, &manager(), body(json)).unwrap()
}

/// A price on sale.
pub fn price(gate: &Gate, json: Json) -> Record {
    let mut all = json!({ "lifecycleStatus": "Launched", "price": { "unit": "TWD", "value": 100 } });
    all.as_object_mut().unwrap().extend(body(json));
    make(gate, &PRODUCT_OFFERING_PRICE, all)
}

/// A product specification for machines, realised by the service specifications given.
pub fn specification(gate: &Gate, services: Json) -> Record {
    make(
        gate,
        &PRODUCT_SPECIFICATION,
        json!({
            "name": "Cloud machine", "lifecycleStatus": "Launched", "serviceSpecification": services,
            "productSpecCharacteristic": [
                { "name": "vcpu", "valueType": "integer", "minCardinality": 1,
                  "productSpecCharacteristicValue": [{ "value": 1, "isDefault": true }, { "value": 2 }, { "value": 4 }] },
                { "name": "memory", "valueType": "integer", "minCardinality": 1,
                  "productSpecCharacteristicValue": [{ "valueFrom": 1, "valueTo": 64, "unitOfMeasure": "GiB" }, { "value": 1, "isDefault": true }] },
                { "name": "greeting", "valueType": "string", "regex": "[^\\p{Cc}]{1,40}", "extensible": true,
                  "productSpecCharacteristicValue": [{ "value": "Hello", "isDefault": true }] },
                { "name": "image", "valueType": "string", "configurable": false,
                  "productSpecCharacteristicValue": [{ "value": "tiny", "isDefault": true }] },
                { "name": "sshKey", "valueType": "string", "maxCardinality": 3 }
            ]
        }),
    )
}

/// An offering of a specification: set up once, by the month, by the vCPU-hour.
pub fn offering(gate: &Gate, specification: &Record) -> Record {
    let prices = [
        price(gate, json!({ "name": "Setup", "priceType": "oneTime" })),
        price(
            gate,
            json!({ "name": "Rent", "priceType": "recurring", "recurringChargePeriodType": "month", "quantityFrom": "vcpu", "@type": "ScaledPrice" }),
        ),
        price(
            gate,
            json!({ "name": "Processor", "priceType": "usage", "unitOfMeasure": { "amount": 1, "units": "vCPU-hour" }, "price": { "unit": "TWD", "value": 0.35 } }),
        ),
    ];
    let prices: Vec<Json> = prices.iter().map(|price| json!({ "id": price.id })).collect();
    make(
        gate,
        &PRODUCT_OFFERING,
        json!({ "name": "Small", "lifecycleStatus": "Launched", "productSpecification": { "id": specification.id }, "productOfferingPrice": prices }),
    )
}

/// The body of an order of one offering with these characteristics.
pub fn order(offering: &Record, characteristics: Json) -> Map<String, Json> {
    body(json!({ "productOrderItem": [item("1", offering, characteristics)] }))
}

/// An item that adds.
pub fn item(id: &str, offering: &Record, characteristics: Json) -> Json {
    let list = crate::catalog::characteristics::write_list(&body(characteristics));
    json!({ "id": id, "action": "add", "quantity": 1, "productOffering": { "id": offering.id }, "product": { "productCharacteristic": list } })
}
