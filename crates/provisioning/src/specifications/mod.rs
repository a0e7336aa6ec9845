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

use base::{Error, Result};
use commerce::catalog::characteristics::Specification;
use commerce::catalog::{self, LIFECYCLE, mapping};
use db::records::Key;
use db::{Class, Record};
use gate::{Kind, Tx, Verb};

use crate::shapes;

pub use design::{Design, DesignedMachine, DesignedService, Facing, Naming, design};

macro_rules! catalog_kind {
    ($(#[$doc:meta])* $name:ident, $word:literal, $prefix:literal, $keys:expr) => {
        $(#[$doc])*
        pub static $name: Kind = Kind {
            name: $word,
            prefix: $prefix,
            path: concat!("/tmf-api/serviceCatalogManagement/v4/", $word),
            class: Class::Public,
            shape: &shapes::$name,
            keys: $keys,
            states: Some(&LIFECYCLE),
            verbs: Verb::ALL,
            before_create: create,
            before_update: update,
            before_delete: delete,
        };
    };
}

catalog_kind!(
    /// TMF633 `serviceCatalog`.
    SERVICE_CATALOG, "serviceCatalog", "scat", &[Key::text("name"), Key::text("lifecycleStatus"), Key::time("lastUpdate")]
);
catalog_kind!(
    /// TMF633 `serviceCategory`.
    SERVICE_CATEGORY, "serviceCategory", "sctg",
    &[Key::text("name"), Key::text("lifecycleStatus"), Key::text("parentId"), Key::flag("isRoot")]
);
catalog_kind!(
    /// TMF633 `serviceSpecification`.
    SERVICE_SPECIFICATION, "serviceSpecification", "ssp",
    &[Key::text("name"), Key::text("lifecycleStatus"), Key::text("serviceSpecRelationship.id"), Key::text("resourceSpecification.id"), Key::time("lastUpdate")]
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

fn delete(_: &mut Tx<'_>, record: &Record) -> Result<()> {
    if catalog::is_on_sale(record.state.as_deref()) {
        return Err(Error::conflict("catalog.on_sale", "what is in use cannot be deleted; retire it first")
            .at("lifecycleStatus"));
    }
    Ok(())
}
