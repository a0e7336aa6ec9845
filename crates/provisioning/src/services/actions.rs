//! What one can do with a service beside its TMF routes.

use base::{Error, Result};
use commerce::orders::PRODUCT_ORDER;
use db::Record;
use drivers::wire::Power;
use gate::{Action, Effect, Granted, Tx};
use resources::console::{self, Console};
use resources::intents::{self, Intent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::SERVICE;
use super::observed::{self, ServiceSeen};

/// Which service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServiceId {
    /// The service; a customer-facing one.
    pub id: String,
}

/// Loads a service and its machines; there must be some that are not going.
fn machines(tx: &mut Tx<'_>, action: &str, id: &str) -> Result<(Granted<Record>, Vec<Intent>)> {
    let service = tx.load_for(action, &SERVICE, id)?;
    if !matches!(service.state.as_deref(), Some("active" | "inactive")) {
        let state = service.state.as_deref().unwrap_or("unknown");
        return Err(Error::conflict(
            "service.not_there",
            format!("the service is {state}: there is nothing to start or stop"),
        ));
    }
    let machines: Vec<Intent> =
        intents::of_service(tx, id)?.into_iter().filter(|intent| intent.desired.is_some()).collect();
    if machines.is_empty() {
        return Err(Error::conflict(
            "service.no_machine",
            "the service has no machine of its own; use the customer-facing service",
        ));
    }
    Ok((service, machines))
}

fn power(tx: &mut Tx<'_>, action: &str, id: &str, power: Power) -> Result<ServiceSeen> {
    for machine in machines(tx, action, id)?.1 {
        intents::power(tx, &machine.id, power)?;
    }
    observed::status(tx, id)
}

/// Starts a service that was stopped.
pub static START: Action<ServiceId, ServiceSeen> = Action {
    name: "service.start",
    summary: "Wants the machines of a service to run. Its state follows when they are seen to.",
    effect: Effect::Change,
    run: |tx, input| power(tx, "service.start", &input.id, Power::Running),
};

/// Stops a service; its disks, address and price stay.
pub static STOP: Action<ServiceId, ServiceSeen> = Action {
    name: "service.stop",
    summary: "Wants the machines of a service to be stopped. Disks and address are kept.",
    effect: Effect::Change,
    run: |tx, input| power(tx, "service.stop", &input.id, Power::Stopped),
};

/// Reboots a service.
pub static REBOOT: Action<ServiceId, ServiceSeen> = Action {
    name: "service.reboot",
    summary: "Reboots the machines of a service once.",
    effect: Effect::Change,
    run: |tx, input| {
        let token = tx.ids().text("rbt", tx.now);
        for machine in machines(tx, "service.reboot", &input.id)?.1 {
            if machine.desired.as_ref().is_some_and(|spec| spec.power == Power::Stopped) {
                return Err(Error::conflict("service.stopped", "the service is stopped; start it instead"));
            }
            intents::reboot(tx, &machine.id, &token)?;
        }
        observed::status(tx, &input.id)
    },
};

/// Shows what is seen of a service.
pub static STATUS: Action<ServiceId, ServiceSeen> = Action {
    name: "service.status",
    summary: "Shows what is seen of a service now: running, stopped, or unknown where its host is silent.",
    effect: Effect::Read,
    run: |tx, input| {
        tx.load_for("service.status", &SERVICE, &input.id)?;
        observed::status(tx, &input.id)
    },
};

/// Which console, and how much of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleAsk {
    /// The service.
    pub id: String,
    /// Which of its machines; the first unless said otherwise.
    #[serde(default)]
    pub machine: Option<String>,
    /// How many bytes of its end.
    #[serde(default)]
    pub bytes: Option<u32>,
}

fn console_of(tx: &mut Tx<'_>, action: &str, input: &ConsoleAsk) -> Result<Intent> {
    tx.load_for(action, &SERVICE, &input.id)?;
    let mut machines = intents::of_service(tx, &input.id)?.into_iter();
    let found = match &input.machine {
        Some(wanted) => machines.find(|machine| machine.id.as_str() == wanted),
        None => machines.next(),
    };
    found.ok_or_else(|| Error::not_found("service.machine_not_found", "the service has no such machine"))
}

/// Asks for a console.
pub static CAPTURE: Action<ConsoleAsk, Console> = Action {
    name: "service.capture",
    summary: "Asks a service's host for the end of its machine's console; read it with service.console a moment later.",
    effect: Effect::Change,
    run: |tx, input| {
        let machine = console_of(tx, "service.capture", input)?;
        console::ask(tx, &machine, input.bytes)
    },
};

/// Reads a console.
pub static CONSOLE: Action<ConsoleAsk, Console> = Action {
    name: "service.console",
    summary: "Reads the end of a service's console as it was captured last.",
    effect: Effect::Read,
    run: |tx, input| {
        let machine = console_of(tx, "service.console", input)?;
        console::read(tx, &machine.id)
    },
};

/// The order that ends a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terminating {
    /// The product order.
    pub product_order: String,
    /// Its state.
    pub state: String,
}

/// Orders the end of a service's product: one way out, with one bill.
pub static TERMINATE: Action<ServiceId, Terminating> = Action {
    name: "service.terminate",
    summary: "Places the product order that ends a service. Its disks are removed; its bill ends with it.",
    effect: Effect::Change,
    run: |tx, input| {
        let service = tx.load_for("service.terminate", &SERVICE, &input.id)?;
        let product = service.at("product.id").and_then(Json::as_str).map(str::to_owned);
        let product = product.ok_or_else(|| {
            Error::conflict(
                "service.no_product",
                "the service belongs to no product; order the end of the product that it supports",
            )
        })?;
        let body = json!({ "productOrderItem": [{ "id": "1", "action": "delete", "product": { "id": product } }] });
        let mut record = body.as_object().cloned().unwrap_or_default();
        record.insert("description".to_owned(), format!("End of {}", input.id).into());
        let order = PRODUCT_ORDER.create_in(tx, &record)?;
        Ok(Terminating { product_order: order.id.clone(), state: order.state.clone().unwrap_or_default() })
    },
};
