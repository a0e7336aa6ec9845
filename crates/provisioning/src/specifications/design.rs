//! Decomposition: from what was ordered to services and machines, by the
//! specifications alone. Reads records, writes nothing.

use std::sync::Arc;

use base::{Error, Result, limits};
use commerce::catalog::PRODUCT_SPECIFICATION;
use commerce::catalog::characteristics::Specification;
use commerce::catalog::mapping::{self, Child};
use db::Record;
use gate::Tx;
use resources::inventory::RESOURCE_SPECIFICATION;
use serde_json::{Map, Value as Json, json};

use super::SERVICE_SPECIFICATION;

/// What an order is to be delivered as.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Design {
    /// The services, each after the one that it supports.
    pub services: Vec<DesignedService>,
    /// The machines.
    pub machines: Vec<DesignedMachine>,
}

impl Design {
    /// Whether it is one service for the customer.
    pub fn is_single(&self) -> bool {
        self.services.iter().filter(|service| service.facing == Facing::Customer).count() == 1
    }

    /// What a machine is called among its kin: its own role, else that of the service it supports.
    pub fn role<'d>(&'d self, machine: &'d DesignedMachine) -> &'d str {
        let mut place = Some(machine.supports);
        let mut role = machine.role.as_str();
        while let (true, Some(service)) = (role.is_empty(), place.and_then(|place| self.services.get(place))) {
            role = &service.role;
            place = service.supports;
        }
        if role.is_empty() { &machine.specification.1 } else { role }
    }
}

/// Whom a service faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facing {
    /// The customer: it is what they have.
    Customer,
    /// Resources: it is how it is done.
    Resource,
}

/// A service that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesignedService {
    /// The serviceSpecification and its name.
    pub specification: (String, String),
    /// The place in [`Design::services`] of the one that it supports.
    pub supports: Option<usize>,
    /// Whom it faces.
    pub facing: Facing,
    /// What it is to what it supports.
    pub role: String,
    /// Its characteristics.
    pub characteristics: Map<String, Json>,
}

/// A machine that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesignedMachine {
    /// The resourceSpecification and its name.
    pub specification: (String, String),
    /// The place in [`Design::services`] of the service that it supports.
    pub supports: usize,
    /// The place of the customer-facing service above it.
    pub serves: usize,
    /// What it is to its service.
    pub role: String,
    /// Its characteristics.
    pub characteristics: Map<String, Json>,
}

/// What mapping rules may know of the order.
#[derive(Debug, Clone)]
pub struct Naming {
    /// What the customer calls the product.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
}

/// The category of resource specifications that are machines.
pub const MACHINE: &str = "virtualMachine";

/// What a service specification says.
struct Service {
    specification: Specification,
    services: Vec<Child>,
    resources: Vec<Child>,
}

impl Service {
    fn read(record: Record) -> Result<Self> {
        Ok(Service {
            specification: Specification::read(&record.body)?,
            services: mapping::children(&record.body, "serviceSpecRelationship")?,
            resources: mapping::children(&record.body, "resourceSpecification")?,
        })
    }
}

/// What a resource specification says.
struct Resource {
    category: String,
    specification: Specification,
}

impl Resource {
    fn read(record: Record) -> Result<Self> {
        let category = record.body.get("category").and_then(Json::as_str).unwrap_or_default();
        Ok(Resource { category: category.to_owned(), specification: Specification::read(&record.body)? })
    }
}

/// The services that a product specification names.
///
/// # Errors
/// `Dangling` where there is no such specification.
pub fn services_of(tx: &mut Tx<'_>, product: &str) -> Result<Arc<Vec<Child>>> {
    tx.known(&PRODUCT_SPECIFICATION, product, |record| mapping::children(&record.body, "serviceSpecification"))
}

/// Designs what a specification with these characteristics is delivered as.
///
/// # Errors
/// `Conflict` (`specification.…`) where the records do not lead to machines;
/// `Invalid` where mapped characteristics do not fit.
pub fn design(
    tx: &mut Tx<'_>,
    children: &[Child],
    characteristics: &Map<String, Json>,
    naming: &Naming,
) -> Result<Design> {
    let mut walk = Walk { naming, design: Design::default() };
    for child in children {
        walk.service(tx, child, characteristics, None, 0)?;
    }
    if walk.design.services.is_empty() {
        return Err(Error::conflict(
            "specification.empty",
            "the product's specification names no service, so there is nothing to deliver",
        ));
    }
    Ok(walk.design)
}

struct Walk<'n> {
    naming: &'n Naming,
    design: Design,
}

impl Walk<'_> {
    fn service(
        &mut self,
        tx: &mut Tx<'_>,
        child: &Child,
        parent: &Map<String, Json>,
        supports: Option<usize>,
        depth: usize,
    ) -> Result<()> {
        if depth >= limits::SPECIFICATION_DEPTH_MAX || self.design.services.len() >= limits::DESIGN_SERVICES_MAX {
            return Err(Error::conflict(
                "specification.too_deep",
                format!(
                    "the specifications lead to more than {} levels or {} services; is there a circle?",
                    limits::SPECIFICATION_DEPTH_MAX,
                    limits::DESIGN_SERVICES_MAX
                ),
            ));
        }
        let found = tx.known(&SERVICE_SPECIFICATION, &child.id, Service::read)?;
        let characteristics = mapping::apply(child, parent, &self.order(child), &found.specification)?;
        let place = self.design.services.len();
        self.design.services.push(DesignedService {
            specification: (child.id.clone(), found.specification.name.clone()),
            supports,
            facing: if supports.is_none() { Facing::Customer } else { Facing::Resource },
            role: child.role.clone(),
            characteristics: characteristics.clone(),
        });
        for below in &found.services {
            self.service(tx, below, &characteristics, Some(place), depth + 1)?;
        }
        for below in &found.resources {
            self.resource(tx, below, &characteristics, place)?;
        }
        Ok(())
    }

    fn resource(&mut self, tx: &mut Tx<'_>, child: &Child, parent: &Map<String, Json>, supports: usize) -> Result<()> {
        let found = tx.known(&RESOURCE_SPECIFICATION, &child.id, Resource::read)?;
        let Resource { category, specification } = &*found;
        if category != MACHINE {
            return Err(Error::conflict(
                "specification.resource_unknown",
                format!(
                    "{} is a resource of the category `{category}`; this platform makes `{MACHINE}`",
                    specification.name
                ),
            ));
        }
        let characteristics = mapping::apply(child, parent, &self.order(child), specification)?;
        let specification = (child.id.clone(), specification.name.clone());
        let mut serves = supports;
        while let Some(above) = self.design.services.get(serves).and_then(|service| service.supports) {
            serves = above;
        }
        self.design.machines.push(DesignedMachine {
            specification,
            supports,
            serves,
            role: child.role.clone(),
            characteristics,
        });
        Ok(())
    }

    fn order(&self, child: &Child) -> Map<String, Json> {
        let known = json!({ "name": self.naming.name, "tenant": self.naming.tenant, "role": child.role });
        known.as_object().cloned().unwrap_or_default()
    }
}
