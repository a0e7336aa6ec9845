//! Services: what was made of what was ordered (TMF638).
//!
//! ```text
//!   feasibilityChecked ─► designed ─► reserved ─► active ◄─► inactive
//!                             │           │          │           │
//!                             └───────────┴──► terminated ◄──────┘
//! ```
//!
//! `active` means that it runs, `inactive` that it is there and does not;
//! both follow from what was *seen* ([`observe`]), not from what was asked for.
//! What cannot be seen is unknown: [`status`] says so, and the record keeps what
//! was seen last.
//!
//! A customer-facing service is supported by resource-facing ones
//! (`supportingService`), these by resources (`supportingResource`).
//!
//! **Extensions** (`@type`): `YunweiService` carries `product` (the product that
//! it realises) and, once there is one, `place` with the role `address` and the
//! characteristic `address`: where the customer reaches it.
//!
//! **Invariants**
//! - `state` is not changed through PATCH; a service ends through an order of
//!   its product, so that its bill ends with it (`only_names`);
//! - machines belong to the customer-facing service (`resources::intents::of_service`).
//!
//! **Not here.** What the states of machines are (`resources::intents`).

mod actions;
mod moved;
mod observed;
mod realised;

use base::{Error, Result};
use db::records::Key;
use db::{Class, Record};
use gate::{Granted, Kind, StateMachine, Tx, Verb, free};
use serde_json::{Map, Value as Json, json};

use crate::shapes;

pub use actions::{CAPTURE, CONSOLE, ConsoleAsk, REBOOT, START, STATUS, STOP, ServiceId, TERMINATE, Terminating};
pub use moved::move_to;
pub(crate) use observed::follows;
pub use observed::{MachineSeen, ServiceSeen, observe, status};
pub use realised::{Realised, realised};

/// TMF638 `service`.
pub static SERVICE: Kind = Kind {
    name: "service",
    prefix: "svc",
    path: "/tmf-api/serviceInventory/v4/service",
    class: Class::Internal,
    shape: &shapes::SERVICE,
    keys: &[
        Key::text("name").found(),
        Key::text("state"),
        Key::text("category"),
        Key::time("startDate"),
        Key::text("serviceSpecification.id"),
    ],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "feasibilityChecked",
        moves: &[
            ("feasibilityChecked", &["designed", "terminated"]),
            ("designed", &["reserved", "inactive", "active", "terminated"]),
            ("reserved", &["inactive", "active", "terminated"]),
            ("inactive", &["active", "terminated"]),
            ("active", &["inactive", "terminated"]),
            ("terminated", &[]),
        ],
    }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: only_names,
    before_delete: only_ended,
};

/// The `@type` of services that the platform made.
pub const OURS: &str = "YunweiService";
/// The category of customer-facing services.
pub const CUSTOMER_FACING: &str = "CustomerFacingService";
/// The category of resource-facing services.
pub const RESOURCE_FACING: &str = "ResourceFacingService";

fn is_ours(record: &Record) -> bool {
    record.body.get("@type").and_then(Json::as_str) == Some(OURS)
}

fn only_names(_: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    let settled = [
        "@type",
        "state",
        "product",
        "category",
        "serviceCharacteristic",
        "serviceSpecification",
        "supportingService",
        "supportingResource",
        "place",
        "serviceOrderItem",
        "startDate",
    ];
    match settled.iter().find(|name| before.body.get(**name) != after.body.get(**name)) {
        Some(name) if is_ours(before) => Err(Error::conflict(
            "service.by_order",
            format!("`{name}` follows from the service's order and from what is seen of it"),
        )
        .at(*name)),
        _ => Ok(()),
    }
}

fn only_ended(_: &mut Tx<'_>, record: &Record) -> Result<()> {
    match record.state.as_deref() {
        Some("active" | "inactive" | "reserved" | "designed") if is_ours(record) => {
            Err(Error::conflict("service.in_use", "the service is in use; order the end of its product first")
                .at("state"))
        }
        _ => Ok(()),
    }
}

/// Brings a service to its end; again changes nothing.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str) -> Result<Option<Granted<Record>>> {
    let mut service = tx.peek(&SERVICE, id)?;
    if service.state.as_deref() == Some("terminated") {
        return Ok(None);
    }
    let now = tx.now.to_string();
    service.body_mut().insert("endDate".to_owned(), now.into());
    service.body_mut().insert("isServiceEnabled".to_owned(), false.into());
    service.set_state("state", "terminated");
    tx.save(&SERVICE, &mut service)?;
    Ok(Some(service))
}

/// The services that support this one, directly.
pub(crate) fn supporting(service: &Record) -> Vec<String> {
    service.values("supportingService.id").into_iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// A characteristic's value, by name.
pub(crate) fn characteristic<'r>(service: &'r Record, name: &str) -> Option<&'r Json> {
    let list = service.body.get("serviceCharacteristic")?.as_array()?;
    list.iter().find(|one| one.get("name").and_then(Json::as_str) == Some(name))?.get("value")
}

/// Sets a characteristic.
pub(crate) fn set_characteristic(body: &mut Map<String, Json>, name: &str, value: &Json) {
    let list = body.entry("serviceCharacteristic").or_insert_with(|| json!([]));
    let Json::Array(list) = list else { return };
    list.retain(|one| one.get("name").and_then(Json::as_str) != Some(name));
    list.push(json!({ "name": name, "valueType": "string", "value": value }));
}
