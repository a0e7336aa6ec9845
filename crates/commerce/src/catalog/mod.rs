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

use db::Class;
use db::records::Key;
use gate::{Kind, StateMachine, Verb};
use serde_json::{Map, Value as Json};

use crate::shapes;

pub use rules::{Offer, offer, prepare, show, written};

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

macro_rules! catalog_kind {
    ($(#[$doc:meta])* $name:ident, $word:literal, $prefix:literal, $keys:expr) => {
        $(#[$doc])*
        pub static $name: Kind = Kind {
            name: $word,
            prefix: $prefix,
            path: concat!("/tmf-api/productCatalogManagement/v4/", $word),
            class: Class::Public,
            shape: &shapes::$name,
            keys: $keys,
            states: Some(&LIFECYCLE),
            verbs: Verb::ALL,
            before_create: rules::create,
            before_update: rules::update,
            before_delete: rules::delete,
        };
    };
}

catalog_kind!(
    /// TMF620 `catalog`.
    CATALOG, "catalog", "cat", &[Key::text("name"), Key::text("lifecycleStatus"), Key::time("lastUpdate")]
);
catalog_kind!(
    /// TMF620 `category`.
    CATEGORY, "category", "ctg", &[Key::text("name"), Key::text("lifecycleStatus"), Key::text("parentId"), Key::flag("isRoot")]
);
catalog_kind!(
    /// TMF620 `productSpecification`.
    PRODUCT_SPECIFICATION, "productSpecification", "psp",
    &[Key::text("name"), Key::text("lifecycleStatus"), Key::text("productNumber"), Key::text("serviceSpecification.id"), Key::time("lastUpdate")]
);
catalog_kind!(
    /// TMF620 `productOffering`.
    PRODUCT_OFFERING, "productOffering", "pof",
    &[
        Key::text("name"), Key::text("lifecycleStatus"), Key::text("category.id"), Key::text("productSpecification.id"), Key::flag("isSellable"),
        Key::time("lastUpdate"),
    ]
);
catalog_kind!(
    /// TMF620 `productOfferingPrice`.
    PRODUCT_OFFERING_PRICE, "productOfferingPrice", "pop",
    &[Key::text("name"), Key::text("lifecycleStatus"), Key::text("priceType"), Key::number("price.value"), Key::time("lastUpdate")]
);
