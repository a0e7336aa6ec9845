//! Parties: organisations and people, whoever they are to us (TMF632).
//!
//! ```text
//!   organization  initialized ──► validated ──► closed
//!                      └──────────────────────────┘
//!   individual    initialized ──► validated ──► deceaded   (TM Forum's spelling)
//! ```
//!
//! **Invariants.** Data about a natural person is of class `personal` from the
//! first revision (the kind's class).
//!
//! **Not here.** What a party is to us: `customers`. Who signs in: `access`.

use db::Class;
use db::records::Key;
use gate::{Kind, StateMachine, Verb, free};

use crate::shapes;

/// TMF632 `organization`.
pub static ORGANIZATION: Kind = Kind {
    name: "organization",
    prefix: "org",
    path: "/tmf-api/party/v4/organization",
    class: Class::Internal,
    shape: &shapes::ORGANIZATION,
    keys: &[
        Key::text("tradingName").found(),
        Key::text("name").found(),
        Key::text("status"),
        Key::text("organizationIdentification.identificationId"),
    ],
    states: Some(&StateMachine {
        attribute: "status",
        initial: "initialized",
        moves: &[("initialized", &["validated", "closed"]), ("validated", &["closed"]), ("closed", &[])],
    }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

/// TMF632 `individual`.
pub static INDIVIDUAL: Kind = Kind {
    name: "individual",
    prefix: "ind",
    path: "/tmf-api/party/v4/individual",
    class: Class::Personal,
    shape: &shapes::INDIVIDUAL,
    keys: &[Key::text("familyName").found(), Key::text("givenName").found(), Key::text("status")],
    states: Some(&StateMachine {
        attribute: "status",
        initial: "initialized",
        moves: &[("initialized", &["validated", "deceaded"]), ("validated", &["deceaded"]), ("deceaded", &[])],
    }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};
