//! The steps of `fulfil`. All of them work inside the database: what happens
//! outside is wanted by an intent and waited for.

use base::id::{HostId, TenantId};
use base::{Error, Result};
use commerce::orders::PRODUCT_ORDER;
use commerce::orders::progress::{self, End};
use commerce::products;
use db::Record;
use drivers::wire::IntentId;
use durable::{Nothing, Progress, Step, StepCx, Undo};
use gate::{Granted, Tx};
use resources::capacity::{self, Ask};
use resources::claims::{self, Holder};
use resources::intents::{self, Standing, Want};
use resources::{hosts, images, places};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::machine::{Claimed, Forwarded, Machine, Placed, intent};
use crate::services::{self, SERVICE};
use crate::specifications::{self, Design, DesignedService, Facing, Naming};
use crate::{Fact, orders};

/// Which item of which order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemRef {
    /// The product order.
    pub order: String,
    /// The item.
    pub item: String,
}

/// What an item is to become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Designed {
    /// The service order that carries it out.
    pub service_order: String,
    /// The customer-facing services.
    pub services: Vec<String>,
    /// The services that support them.
    pub supporting: Vec<String>,
    /// The machines.
    pub machines: Vec<Machine>,
}

/// Machines, for steps that need no more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Machines {
    /// The machines.
    pub machines: Vec<Machine>,
}

/// From the ordered product to services and machines, by the specifications.
pub struct DesignOrder;

impl Step for DesignOrder {
    const NAME: &'static str = "order.design";
    const SUMMARY: &'static str =
        "Decomposes an item of a product order into services and machines, and makes their records.";
    const UNDO: Undo = Undo::ByStep;
    type In = ItemRef;
    type Out = Designed;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &ItemRef) -> Result<Progress<Designed>> {
        let (mut order, item) = progress::look(tx, &input.order, &input.item)?;
        if !progress::begin(tx, &mut order, &input.item)? {
            return Err(Error::conflict("order.item_over", "the item is being cancelled or has come to its end"));
        }
        let children = specifications::services_of(tx, &item.specification)?;
        let naming = Naming { name: item.name.clone(), tenant: order.tenant.to_string() };
        let design = specifications::design(tx, &children, &item.characteristics, &naming)?;
        write_down(tx, &order, &input.item, &item.name, &design).map(Progress::Done)
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, _: &ItemRef, output: Option<&Designed>) -> Result<Progress<()>> {
        for service in output.iter().flat_map(|made| made.services.iter().chain(&made.supporting)) {
            services::end(tx, service)?;
        }
        Ok(Progress::Done(()))
    }
}

/// Makes the service order and the services.
fn write_down(tx: &mut Tx<'_>, order: &Record, item: &str, name: &str, design: &Design) -> Result<Designed> {
    let now = tx.now;
    let ids: Vec<String> = design.services.iter().map(|_| tx.ids().text(SERVICE.prefix, now)).collect();
    let named = |service: &DesignedService| match service.facing {
        Facing::Customer if service.role.is_empty() || design.is_single() => name.to_owned(),
        _ => format!("{name} · {}", if service.role.is_empty() { &service.specification.1 } else { &service.role }),
    };
    let customer_facing = || design.services.iter().zip(&ids).filter(|(service, _)| service.facing == Facing::Customer);
    let ordered = customer_facing().map(
        |(service, id)| json!({ "id": id, "name": named(service), "serviceSpecification": specification(service) }),
    );
    let service_order = orders::make(tx, order, item, "add", ordered.collect())?;
    for (place, service) in design.services.iter().enumerate() {
        let below = design.services.iter().zip(&ids).filter(|(other, _)| other.supports == Some(place));
        let below: Vec<Json> = below.map(|(other, id)| json!({ "id": id, "name": named(other) })).collect();
        make_service(tx, order, &service_order.id, &ids[place], &named(service), service, below)?;
    }
    let mut machines = Vec::with_capacity(design.machines.len());
    for machine in &design.machines {
        let (serves, supports) = (ids[machine.serves].clone(), ids[machine.supports].clone());
        let id = tx.ids().text("vm", now);
        let called =
            if design.machines.len() == 1 { name.to_owned() } else { format!("{name} · {}", design.role(machine)) };
        machines.push(Machine::read(id, serves, supports, called, &machine.characteristics)?);
    }
    let services: Vec<String> = customer_facing().map(|(_, id)| id.clone()).collect();
    let supporting = ids.iter().filter(|id| !services.contains(id)).cloned().collect();
    Ok(Designed { service_order: service_order.id.clone(), services, supporting, machines })
}

fn specification(service: &DesignedService) -> Json {
    let (id, name) = &service.specification;
    json!({ "id": id, "name": name, "@referredType": "ServiceSpecification" })
}

fn make_service(
    tx: &mut Tx<'_>,
    order: &Record,
    service_order: &str,
    id: &str,
    name: &str,
    service: &DesignedService,
    below: Vec<Json>,
) -> Result<Granted<Record>> {
    let (category, kind) = match service.facing {
        Facing::Customer => (services::CUSTOMER_FACING, "CFS"),
        Facing::Resource => (services::RESOURCE_FACING, "RFS"),
    };
    let characteristics = commerce::catalog::characteristics::write_list(&service.characteristics);
    let body = json!({
        "@type": services::OURS,
        "name": name,
        "category": category,
        "serviceType": kind,
        "state": "designed",
        "hasStarted": false,
        "isServiceEnabled": false,
        "serviceSpecification": specification(service),
        "serviceCharacteristic": characteristics,
        "supportingService": below,
        "serviceOrderItem": [{ "serviceOrderId": service_order, "itemId": "1", "itemAction": "add" }],
    });
    let mut record = SERVICE.draft(tx, body.as_object().cloned().unwrap_or_default());
    record.id = id.to_owned();
    record.tenant = order.tenant;
    tx.insert(&SERVICE, record)
}

/// A host for each machine, and room on it.
pub struct ReserveCapacity;

/// Where machines stand.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Places {
    /// Each machine with its host.
    pub placed: Vec<Placed>,
}

impl Step for ReserveCapacity {
    const NAME: &'static str = "capacity.reserve";
    const SUMMARY: &'static str = "Chooses a host for each machine and reserves processors, memory and disk there.";
    const UNDO: Undo = Undo::ByStep;
    type In = Machines;
    type Out = Places;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &Machines) -> Result<Progress<Places>> {
        let mut placed = Vec::with_capacity(input.machines.len());
        for machine in &input.machines {
            let mut policy = machine.policy.clone();
            policy.image = Some(images::named(tx, &machine.image)?.sha256);
            let ask = Ask {
                machine: machine.intent()?,
                tenant: cx.subject.tenant,
                service: machine.service.clone(),
                run: Some(cx.run),
                demand: machine.demand(),
                policy,
            };
            let host = capacity::reserve(tx, &ask)?.host;
            placed.push(Placed { machine: machine.id.clone(), host });
        }
        Ok(Progress::Done(Places { placed }))
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &Machines, _: Option<&Places>) -> Result<Progress<()>> {
        free(tx, &input.machines)
    }
}

/// Lets go of all that machines hold; refused while one may still be there.
fn free(tx: &mut Tx<'_>, machines: &[Machine]) -> Result<Progress<()>> {
    for machine in machines {
        capacity::free(tx, &machine.intent()?)?;
    }
    Ok(Progress::Done(()))
}

/// Addresses and ports, one of a kind.
pub struct ClaimNetwork;

/// Machines and where they stand.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct PlacedMachines {
    /// The machines.
    pub machines: Vec<Machine>,
    /// Each with its host.
    pub placed: Vec<Placed>,
}

/// What machines hold of the network.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// Each machine's.
    pub claimed: Vec<Claimed>,
}

impl Step for ClaimNetwork {
    const NAME: &'static str = "network.claim";
    const SUMMARY: &'static str = "Claims each machine's station address, and its address or its host's ports.";
    const UNDO: Undo = Undo::ByStep;
    type In = PlacedMachines;
    type Out = Claims;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &PlacedMachines) -> Result<Progress<Claims>> {
        let mut claimed = Vec::with_capacity(input.machines.len());
        for (machine, placed) in paired(&input.machines, &input.placed)? {
            let (id, ports) = (machine.intent()?, machine.ports());
            claimed.push(claim_network(tx, &id, cx.subject.tenant, placed.host, machine.port, &ports)?);
        }
        Ok(Progress::Done(Claims { claimed }))
    }

    fn undo(
        &self,
        tx: &mut Tx<'_>,
        _: &StepCx<'_>,
        input: &PlacedMachines,
        _: Option<&Claims>,
    ) -> Result<Progress<()>> {
        free(tx, &input.machines)
    }
}

/// Claims what a machine needs of the network where it stands: an address of its pool's subnet, or
/// ports of its host that lead to those of the guest. `port` is where its HTTP answers; 0 for none.
///
/// # Errors
/// Those of [`claims`].
pub fn claim_network(
    tx: &mut Tx<'_>,
    id: &IntentId,
    tenant: TenantId,
    host: HostId,
    port: u16,
    ports: &[u16],
) -> Result<Claimed> {
    let pool = hosts::load(tx, host)?.pool;
    let Some(subnet) = places::subnets_of(tx, pool)?.into_iter().next() else {
        return claim_ports(tx, id, tenant, host, port, ports);
    };
    let mut of = claim_mac(tx, id, tenant)?;
    let held = claims::address(tx, Holder { machine: id, slot: "net0", tenant }, subnet.id)?;
    of.bridge = held.bridge;
    of.gateway = held.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    of.url = url(&bracketed(&held.address), port);
    of.address = held.cidr;
    Ok(of)
}

/// Claims ports of the host's loopback that lead into a guest on the host's own network: nobody
/// else is on that, and nothing leads out of it.
///
/// # Errors
/// Those of [`claims`].
pub fn claim_ports(
    tx: &mut Tx<'_>,
    id: &IntentId,
    tenant: TenantId,
    host: HostId,
    port: u16,
    ports: &[u16],
) -> Result<Claimed> {
    let mut of = claim_mac(tx, id, tenant)?;
    for guest in ports.iter().copied() {
        let slot = format!("port{guest}");
        let own = claims::port(tx, Holder { machine: id, slot: &slot, tenant }, host)?;
        if guest == port {
            of.url = url("127.0.0.1", own);
        }
        of.forwards.push(Forwarded { host: own, guest });
    }
    Ok(of)
}

fn claim_mac(tx: &mut Tx<'_>, id: &IntentId, tenant: TenantId) -> Result<Claimed> {
    let mac = claims::mac(tx, Holder { machine: id, slot: "net0", tenant }, 0)?.to_string();
    Ok(Claimed {
        machine: id.to_string(),
        mac,
        bridge: String::new(),
        address: String::new(),
        gateway: String::new(),
        forwards: Vec::new(),
        url: String::new(),
    })
}

fn bracketed(address: &std::net::IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

fn url(host: &str, port: u16) -> String {
    match port {
        0 => String::new(),
        80 => format!("http://{host}/"),
        port => format!("http://{host}:{port}/"),
    }
}

fn paired<'m>(machines: &'m [Machine], placed: &'m [Placed]) -> Result<Vec<(&'m Machine, &'m Placed)>> {
    let find = |machine: &'m Machine| {
        let placed = placed.iter().find(|placed| placed.machine == machine.id);
        placed
            .map(|placed| (machine, placed))
            .ok_or_else(|| Error::bug("machine.unplaced", format!("machine {} has no host", machine.id)))
    };
    machines.iter().map(find).collect()
}

/// Wants the machines to be there.
pub struct WantMachines;

/// Machines with everything that they hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct HeldMachines {
    /// The machines.
    pub machines: Vec<Machine>,
    /// Each with its host.
    pub placed: Vec<Placed>,
    /// Each with its part of the network.
    pub claimed: Vec<Claimed>,
}

impl Step for WantMachines {
    const NAME: &'static str = "machine.want";
    const SUMMARY: &'static str = "Writes the intents: the agents on the chosen hosts make the machines.";
    const UNDO: Undo = Undo::ByStep;
    type In = HeldMachines;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &HeldMachines) -> Result<Progress<Nothing>> {
        for (machine, placed) in paired(&input.machines, &input.placed)? {
            let claimed = input.claimed.iter().find(|claimed| claimed.machine == machine.id);
            let claimed = claimed
                .ok_or_else(|| Error::bug("machine.unclaimed", format!("machine {} has no network", machine.id)))?;
            let image = images::named(tx, &machine.image)?.reference();
            let (id, spec) = (machine.intent()?, machine.wanted(claimed, image)?);
            let (service, tenant, standing) = (&machine.service, cx.subject.tenant, Standing::Serving);
            intents::put(tx, &Want { id: &id, host: placed.host, spec: &spec, tenant, service, standing })?;
        }
        Ok(Progress::Done(Nothing {}))
    }

    /// Wants nothing to be there, and waits until that was seen: an uncertain
    /// machine may still take its core.
    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &HeldMachines, _: Option<&Nothing>) -> Result<Progress<()>> {
        let ids: Vec<String> = input.machines.iter().map(|machine| machine.id.clone()).collect();
        remove(tx, &ids)?;
        await_gone(tx, &ids)
    }
}

/// Wants these machines not to be there.
///
/// # Errors
/// Those of the database.
pub fn remove(tx: &mut Tx<'_>, machines: &[String]) -> Result<()> {
    machines.iter().try_for_each(|machine| intents::absent(tx, &intent(machine)?).map(drop))
}

/// Waits until every machine was seen to be gone; what never was is gone.
///
/// # Errors
/// Those of the database.
pub fn await_gone(tx: &mut Tx<'_>, machines: &[String]) -> Result<Progress<()>> {
    for machine in machines {
        let id = intent(machine)?;
        if intents::get(tx, &id)?.is_some_and(|intent| !intent.is_gone()) {
            return Ok(Progress::wait(intents::key(&id)));
        }
    }
    Ok(Progress::Done(()))
}

/// Waits until every machine is as `good` wants; fails where one never will be.
fn await_each(tx: &mut Tx<'_>, machines: &[Known], good: fn(&intents::Intent) -> bool) -> Result<Progress<Nothing>> {
    for machine in machines {
        let id = intent(&machine.id)?;
        let found = intents::get(tx, &id)?
            .ok_or_else(|| Error::bug("intent.lost", format!("machine {id} is not wanted any more")))?;
        if found.desired.is_none() || found.is_gone() {
            return Err(Error::conflict(
                "machine.taken_away",
                format!("somebody took machine {id} away while it was being made"),
            ));
        }
        if let Some(problem) = found.failure() {
            return Err(Error::conflict(
                "machine.failed",
                format!("the host cannot make the machine: {} ({})", problem.message, problem.code),
            ));
        }
        if !good(&found) {
            return Ok(Progress::wait(intents::key(&id)));
        }
    }
    Ok(Progress::Done(Nothing {}))
}

/// A machine, for steps that only look at it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Known {
    /// The id of its intent.
    pub id: String,
}

/// Machines to look at.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct KnownMachines {
    /// The machines.
    pub machines: Vec<Known>,
}

/// Waits until every machine runs.
pub struct AwaitRunning;

impl Step for AwaitRunning {
    const NAME: &'static str = "machine.run";
    const SUMMARY: &'static str = "Waits until every machine is seen to run.";
    const UNDO: Undo = Undo::Nothing;
    type In = KnownMachines;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &KnownMachines) -> Result<Progress<Nothing>> {
        await_each(tx, &input.machines, intents::Intent::is_running)
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &KnownMachines, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Waits until every machine answers as a customer would ask.
pub struct AwaitAnswer;

impl Step for AwaitAnswer {
    const NAME: &'static str = "machine.answer";
    const SUMMARY: &'static str = "Waits until every machine answers its check.";
    const UNDO: Undo = Undo::Nothing;
    type In = KnownMachines;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &KnownMachines) -> Result<Progress<Nothing>> {
        await_each(tx, &input.machines, intents::Intent::answers)
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &KnownMachines, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// The point of no return: it is the customer's now.
pub struct ActivateServices;

/// All that was made for an item.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The product order.
    pub order: String,
    /// The item.
    pub item: String,
    /// What it was designed as.
    pub designed: Designed,
    /// What its machines hold of the network.
    pub claimed: Vec<Claimed>,
}

/// What came of an item.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// The product.
    pub product: String,
}

impl Step for ActivateServices {
    const NAME: &'static str = "service.activate";
    const SUMMARY: &'static str = "Makes services and product active, and completes the order's item.";
    const UNDO: Undo = Undo::Impossible;
    type In = Made;
    type Out = Product;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &Made) -> Result<Progress<Product>> {
        let (mut order, item) = progress::look(tx, &input.order, &input.item)?;
        if item.state == "completed" {
            return Ok(Progress::Done(Product { product: item.product.unwrap_or_default() }));
        }
        for machine in &input.designed.machines {
            capacity::in_use(tx, &machine.intent()?)?;
        }
        let services: Vec<Granted<Record>> =
            input.designed.services.iter().map(|id| tx.peek(&SERVICE, id)).collect::<Result<_>>()?;
        let name = |service: &Record| service.body.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let named: Vec<(String, String)> = services.iter().map(|service| (service.id.clone(), name(service))).collect();
        let raw = raw_item(&order, &input.item)?;
        let product = products::activate(tx, &order, &raw, &named)?;
        for id in &input.designed.supporting {
            let resources = resources_of(tx, id, &input.designed)?;
            let service = tx.peek(&SERVICE, id)?;
            activate(tx, service, |body| drop(body.insert("supportingResource".to_owned(), resources)))?;
        }
        for service in services {
            let url = address(&service.id, &input.designed.machines, &input.claimed);
            let service = activate(tx, service, |body| {
                let name = product.body.get("name").cloned().unwrap_or_default();
                body.insert(
                    "product".to_owned(),
                    json!({ "id": product.id, "name": name, "@referredType": "Product" }),
                );
                if let Some(url) = url {
                    services::set_characteristic(body, "address", &url.into());
                    body.insert("place".to_owned(), json!([{ "role": "address", "name": url, "@type": "Address" }]));
                }
            })?;
            tx.fact(
                Fact::ServiceActivated { service: service.id.clone(), revision: service.revision },
                service.tenant,
            )?;
        }
        let mut service_order = tx.peek(&orders::SERVICE_ORDER, &input.designed.service_order)?;
        orders::end(tx, &mut service_order, "completed", None)?;
        progress::end(tx, &mut order, &input.item, &End::Completed(product.id.clone()))?;
        Ok(Progress::Done(Product { product: product.id.clone() }))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Made, _: Option<&Product>) -> Result<Progress<()>> {
        Err(Error::bug("service.activated", "what is the customer's cannot be taken back; end the product"))
    }
}

fn raw_item(order: &Record, id: &str) -> Result<Json> {
    let items = order.body.get("productOrderItem").and_then(Json::as_array);
    let found = items.into_iter().flatten().find(|item| item.get("id").and_then(Json::as_str) == Some(id));
    found.cloned().ok_or_else(|| Error::bug("order.item_lost", format!("{} of {} is gone", id, PRODUCT_ORDER.name)))
}

/// Where a service is reached: at the first of its machines that is reached at all.
fn address<'c>(service: &str, machines: &[Machine], claimed: &'c [Claimed]) -> Option<&'c str> {
    let mut of = machines.iter().filter(|machine| machine.service == service);
    of.find_map(|machine| claimed.iter().find(|held| held.machine == machine.id && !held.url.is_empty()))
        .map(|held| held.url.as_str())
}

/// The machines behind a service, as references into the resource inventory.
fn resources_of(tx: &mut Tx<'_>, service: &str, designed: &Designed) -> Result<Json> {
    let mut found = Vec::new();
    for machine in designed.machines.iter().filter(|machine| machine.supports == service) {
        let resource = intents::resource_of(tx, &machine.intent()?)?;
        found.push(json!({ "id": resource, "name": machine.name, "@referredType": "Resource" }));
    }
    Ok(found.into())
}

fn activate(
    tx: &mut Tx<'_>,
    mut service: Granted<Record>,
    change: impl FnOnce(&mut Map<String, Json>),
) -> Result<Granted<Record>> {
    let now = tx.now.to_string();
    let body = service.body_mut();
    body.insert("startDate".to_owned(), now.clone().into());
    body.insert("serviceDate".to_owned(), now.into());
    body.insert("hasStarted".to_owned(), true.into());
    body.insert("isServiceEnabled".to_owned(), true.into());
    change(body);
    service.set_state("state", "active");
    tx.save(&SERVICE, &mut service)?;
    Ok(service)
}
