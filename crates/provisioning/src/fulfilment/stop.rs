//! The steps of `terminate`: the end of a product.

use base::{Error, Result};
use commerce::orders::progress::{self, End};
use commerce::products::{self, PRODUCT};
use durable::{Nothing, Progress, Step, StepCx, Undo};
use gate::Tx;
use resources::intents;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::start::{ItemRef, await_gone, remove};
use crate::services::{self, SERVICE};
use crate::{Fact, orders};

/// What is to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// The product.
    pub product: String,
    /// The service order that carries it out.
    pub service_order: String,
    /// The customer-facing services.
    pub services: Vec<String>,
    /// The ids of the machines' intents.
    pub machines: Vec<String>,
}

/// Finds out what ends with a product.
pub struct EndProduct;

impl Step for EndProduct {
    const NAME: &'static str = "order.end";
    const SUMMARY: &'static str =
        "Finds the services and machines that end with a product, and makes the service order for it.";
    const UNDO: Undo = Undo::ByStep;
    type In = ItemRef;
    type Out = Ending;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &ItemRef) -> Result<Progress<Ending>> {
        let (mut order, item) = progress::look(tx, &input.order, &input.item)?;
        if !progress::begin(tx, &mut order, &input.item)? {
            return Err(Error::conflict("order.item_over", "the item is being cancelled or has come to its end"));
        }
        let product =
            item.product.ok_or_else(|| Error::bug("order.product", "an item that ends a product names none"))?;
        let record = tx.peek(&PRODUCT, &product)?;
        let services: Vec<String> =
            record.values("realizingService.id").into_iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let (mut machines, mut ending) = (Vec::new(), Vec::new());
        for id in &services {
            machines.extend(intents::ids_of_service(tx, id)?);
            let service = tx.peek(&SERVICE, id)?;
            let keep = |name: &str| service.body.get(name).cloned().unwrap_or_default();
            ending
                .push(json!({ "id": id, "name": keep("name"), "serviceSpecification": keep("serviceSpecification") }));
        }
        let service_order = orders::make(tx, &order, &input.item, "delete", ending)?.id.clone();
        Ok(Progress::Done(Ending { product, service_order, services, machines }))
    }

    /// Nothing was taken away yet: the order's end, told elsewhere, keeps the product.
    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &ItemRef, _: Option<&Ending>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// The machines that go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Going {
    /// The ids of their intents.
    pub machines: Vec<String>,
}

/// What the customer gives back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Released {
    /// The customer-facing services.
    pub services: Vec<String>,
    /// The ids of their machines' intents.
    pub machines: Vec<String>,
}

/// The point of no return: their disks go with them. The customer pays until
/// here, not for the time that a host takes to confirm it.
pub struct RemoveMachines;

impl Step for RemoveMachines {
    const NAME: &'static str = "machine.remove";
    const SUMMARY: &'static str =
        "Wants the machines not to be there: the agents stop them and remove their disks. Metering stops.";
    const UNDO: Undo = Undo::Impossible;
    type In = Released;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &Released) -> Result<Progress<Nothing>> {
        remove(tx, &input.machines)?;
        for id in &input.services {
            // Also what was brought back since the machines were counted.
            let left = intents::wanted_of_service(tx, id)?;
            remove(tx, &left)?;
            let service = tx.peek(&SERVICE, id)?;
            tx.fact(Fact::ServiceReleased { service: id.clone(), revision: service.revision }, service.tenant)?;
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Released, _: Option<&Nothing>) -> Result<Progress<()>> {
        Err(Error::bug("machine.removed", "a machine that was taken away does not come back; restore it from a backup"))
    }
}

/// Waits until the machines were seen to be gone. What they held is free then.
pub struct AwaitGone;

impl Step for AwaitGone {
    const NAME: &'static str = "machine.gone";
    const SUMMARY: &'static str = "Waits until no machine is there any more.";
    const UNDO: Undo = Undo::Nothing;
    type In = Going;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &Going) -> Result<Progress<Nothing>> {
        Ok(match await_gone(tx, &input.machines)? {
            Progress::Done(()) => Progress::Done(Nothing {}),
            Progress::Wait(wait) => Progress::Wait(wait),
        })
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Going, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Which item ends what.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The product order.
    pub order: String,
    /// The item.
    pub item: String,
    /// What ends.
    pub ending: Ending,
}

/// The records say so too.
pub struct TerminateServices;

impl Step for TerminateServices {
    const NAME: &'static str = "service.terminate";
    const SUMMARY: &'static str = "Ends services and product, and completes the order's item.";
    const UNDO: Undo = Undo::Impossible;
    type In = Ended;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &Ended) -> Result<Progress<Nothing>> {
        let (mut order, item) = progress::look(tx, &input.order, &input.item)?;
        if item.state == "completed" {
            return Ok(Progress::Done(Nothing {}));
        }
        for id in &input.ending.services {
            let Some(service) = services::end(tx, id)? else { continue };
            for below in services::supporting(&service) {
                services::end(tx, &below)?;
            }
            tx.fact(Fact::ServiceTerminated { service: id.clone(), revision: service.revision }, service.tenant)?;
        }
        products::terminate(tx, &input.ending.product)?;
        let mut service_order = tx.peek(&orders::SERVICE_ORDER, &input.ending.service_order)?;
        orders::end(tx, &mut service_order, "completed", None)?;
        progress::end(tx, &mut order, &input.item, &End::Completed(input.ending.product.clone()))?;
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Ended, _: Option<&Nothing>) -> Result<Progress<()>> {
        Err(Error::bug("service.terminated", "what has ended does not come back"))
    }
}
