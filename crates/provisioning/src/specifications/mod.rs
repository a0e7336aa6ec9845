//! The service catalog: what services are and what they rest on (TMF633).
//!
//! ```text
//!   productSpecification ──serviceSpecification──► customer-facing serviceSpecification
//!        (commerce)                                     │ serviceSpecRelationship
//!                                                       ▼
//!                        resource-facing serviceSpecification ──resourceSpecification──► resourceSpecification
//!                                                                                           (resources)
//! ```
//!
//! Each arrow may carry a `role` and a `characteristicMapping`
//! ([`commerce::catalog::mapping`]). What an order is delivered as follows from
//! these records alone: [`design`] walks them.
//!
//! **Invariants**
//! - characteristics and mapping rules are checked when they are written;
//! - a specification rests on others without a circle, at most
//!   [`base::limits::SPECIFICATION_DEPTH_MAX`] deep (`design`).
//!
//! **Not here.** Life cycle and visibility of catalog records (`commerce::catalog`).

mod design;

use base::Result;
use commerce::catalog::characteristics::Specification;
use commerce::catalog::{self, mapping};
use db::Record;
use db::records::Key;
use gate::{Kind, Tx};

use crate::shapes;

pub use design::{Design, DesignedMachine, DesignedService, Facing, Naming, design, services_of};

const RULES: catalog::Rules = catalog::Rules { create, update, delete: catalog::keep_on_sale };

/// TMF633 `serviceCatalog`.
pub static SERVICE_CATALOG: Kind = catalog::kind(
    ["serviceCatalog", "scat", "/tmf-api/serviceCatalogManagement/v4/serviceCatalog"],
    &shapes::SERVICE_CATALOG,
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::time("lastUpdate")],
    RULES,
);

/// TMF633 `serviceCategory`.
pub static SERVICE_CATEGORY: Kind = catalog::kind(
    ["serviceCategory", "sctg", "/tmf-api/serviceCatalogManagement/v4/serviceCategory"],
    &shapes::SERVICE_CATEGORY,
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::text("parentId"), Key::flag("isRoot")],
    RULES,
);

/// TMF633 `serviceSpecification`.
pub static SERVICE_SPECIFICATION: Kind = catalog::kind(
    ["serviceSpecification", "ssp", "/tmf-api/serviceCatalogManagement/v4/serviceSpecification"],
    &shapes::SERVICE_SPECIFICATION,
    &[
        Key::text("name").found(),
        Key::text("lifecycleStatus"),
        Key::text("serviceSpecRelationship.id"),
        Key::text("resourceSpecification.id"),
        Key::time("lastUpdate"),
    ],
    RULES,
);

fn create(tx: &mut Tx<'_>, record: &mut Record) -> Result<()> {
    if record.kind == SERVICE_SPECIFICATION.name {
        Specification::read(&record.body)?;
        mapping::children(&record.body, "serviceSpecRelationship")?;
        mapping::children(&record.body, "resourceSpecification")?;
    }
    catalog::written(tx, record);
    Ok(())
}

fn update(tx: &mut Tx<'_>, _: &Record, record: &mut Record) -> Result<()> {
    create(tx, record)
}
