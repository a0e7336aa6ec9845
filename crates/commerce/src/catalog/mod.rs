//! The product catalog: what is on sale, at what price, and what it is made of (TMF620).
//!
//! ```text
//!   In study ─► In design ◄─► In test ─► Active ─► Launched ─► Retired ─► Obsolete
//!       │           │ ▲          │          └───────────────────►│ │
//!       └───────────┴─┼► Rejected◄┘                    Active ◄──┘ (taken up again)
//!                     └─────┘
//! ```
//!
//! An offering can be ordered while it is `Active` or `Launched`. What is in
//! preparation is seen by the operator only; what is or was on sale is seen by
//! every tenant below (`show`).
//!
//! **Invariants**
//! - specifications, characteristics, mapping rules and prices are read and
//!   checked when they are written, not when somebody orders (`rules`);
//! - an offering that is `Launched` has a specification that is on sale too;
//! - what is on sale cannot be deleted, only retired.
//!
//! **Extensions.** Texts in further languages stand under `translation`, for
//! example `{"zh-TW": {"name": "小型機"}}`; see [`translated`].
//!
//! **Not here.** Service and resource specifications (`provisioning`,
//! `resources`), frozen prices (`orders`), rating (`billing`).

pub mod characteristics;
pub mod expression;
pub mod mapping;
pub mod prices;
mod rules;
#[cfg(test)]
mod tests;

use base::Result;
use db::records::Key;
use db::{Class, Record};
use gate::shape::Shape;
use gate::{Kind, StateMachine, Tx, Verb};
use serde_json::{Map, Value as Json};

use crate::shapes;

pub use rules::{Offer, Specified, keep_on_sale, offer, show, written};

/// The life cycle of everything in a catalog; other catalogs use it too.
pub static LIFECYCLE: StateMachine = StateMachine {
    attribute: "lifecycleStatus",
    initial: "In study",
    moves: &[
        ("In study", &["In design", "Rejected"]),
        ("In design", &["In test", "Rejected"]),
        ("In test", &["In design", "Active", "Rejected"]),
        ("Rejected", &["In design"]),
        ("Active", &["Launched", "Retired"]),
        ("Launched", &["Retired"]),
        ("Retired", &["Active", "Obsolete"]),
        ("Obsolete", &[]),
    ],
};

/// Whether something in that state can be ordered.
pub fn is_on_sale(state: Option<&str>) -> bool {
    matches!(state, Some("Active" | "Launched"))
}

/// A text of a catalog record in the reader's language, or as it is written.
pub fn translated<'j>(body: &'j Map<String, Json>, attribute: &str, language: &str) -> &'j str {
    let foreign = body.get("translation").and_then(|t| t.get(language)).and_then(|t| t.get(attribute));
    foreign.or_else(|| body.get(attribute)).and_then(Json::as_str).unwrap_or_default()
}

/// What is checked when a record of a catalog is written, changed or removed.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Checks and completes a new record.
    pub create: fn(&mut Tx<'_>, &mut Record) -> Result<()>,
    /// The same for a changed one.
    pub update: fn(&mut Tx<'_>, &Record, &mut Record) -> Result<()>,
    /// Says whether it may go.
    pub delete: fn(&mut Tx<'_>, &Record) -> Result<()>,
}

/// A kind of record in a catalog of ours: seen by everybody below once it is on
/// sale, with the life cycle that all catalogs share.
pub const fn kind(
    [name, prefix, path]: [&'static str; 3],
    shape: &'static Shape,
    keys: &'static [Key],
    rules: Rules,
) -> Kind {
    Kind {
        name,
        prefix,
        path,
        class: Class::Public,
        shape,
        keys,
        states: Some(&LIFECYCLE),
        verbs: Verb::ALL,
        before_create: rules.create,
        before_update: rules.update,
        before_delete: rules.delete,
    }
}

const RULES: Rules = Rules { create: rules::create, update: rules::update, delete: keep_on_sale };

/// TMF620 `catalog`.
pub static CATALOG: Kind = kind(
    ["catalog", "cat", "/tmf-api/productCatalogManagement/v4/catalog"],
    &shapes::CATALOG,
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::time("lastUpdate")],
    RULES,
);

/// TMF620 `category`.
pub static CATEGORY: Kind = kind(
    ["category", "ctg", "/tmf-api/productCatalogManagement/v4/category"],
    &shapes::CATEGORY,
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::text("parentId"), Key::flag("isRoot")],
    RULES,
);

/// TMF620 `productSpecification`.
pub static PRODUCT_SPECIFICATION: Kind = kind(
    ["productSpecification", "psp", "/tmf-api/productCatalogManagement/v4/productSpecification"],
    &shapes::PRODUCT_SPECIFICATION,
    &[
        Key::text("name").found(),
        Key::text("lifecycleStatus"),
        Key::text("productNumber"),
        Key::text("serviceSpecification.id"),
        Key::time("lastUpdate"),
    ],
    RULES,
);

/// TMF620 `productOffering`.
pub static PRODUCT_OFFERING: Kind = kind(
    ["productOffering", "pof", "/tmf-api/productCatalogManagement/v4/productOffering"],
    &shapes::PRODUCT_OFFERING,
    &[
        Key::text("name").found(),
        Key::text("translation.zh-TW.name").found(),
        Key::text("translation.en.name").found(),
        Key::text("lifecycleStatus"),
        Key::text("category.id"),
        Key::text("productSpecification.id"),
        Key::flag("isSellable"),
        Key::time("lastUpdate"),
    ],
    RULES,
);

/// TMF620 `productOfferingPrice`.
pub static PRODUCT_OFFERING_PRICE: Kind = kind(
    ["productOfferingPrice", "pop", "/tmf-api/productCatalogManagement/v4/productOfferingPrice"],
    &shapes::PRODUCT_OFFERING_PRICE,
    &[
        Key::text("name").found(),
        Key::text("lifecycleStatus"),
        Key::text("priceType"),
        Key::number("price.value"),
        Key::time("lastUpdate"),
    ],
    RULES,
);
