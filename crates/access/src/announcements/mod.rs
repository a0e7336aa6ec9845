//! Announcements: what everyone concerned is told, and who has read it.
//!
//! Addressed are the people who have a part in the tenant when it is made (or, by the operator, in
//! any customer's): each is one row, unread until they say that they have read it. A mail goes to
//! each where that is asked for. What is addressed to somebody follows from the row alone, wherever
//! they act; who has read is shown by name within the own tenant, and by number of customers.
//!
//! Not here: mails themselves (`mail`), the banner (`portal`).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::TenantId;
use base::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

pub(crate) use store::load;

base::ids! {
    /// Something that everyone concerned is told.
    pub struct AnnouncementId = "annc";
}
db::id_columns!(AnnouncementId);

words! {
    /// Who is told.
    pub enum Audience {
        /// Everyone of the tenant and its departments.
        Own = "own",
        /// Everyone of the operator's customers.
        Customers = "customers",
    }
}

/// Something that everyone concerned is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The identifier.
    pub id: AnnouncementId,
    /// Who tells it.
    pub tenant: TenantId,
    /// Who is told.
    pub audience: Audience,
    /// In a line.
    pub title: String,
    /// In plain paragraphs.
    pub text: String,
    /// The account that made it.
    pub made_by: String,
    /// When.
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// Since when it is shown no more.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// How many were told.
    pub told: i64,
    /// How many of them have read it.
    pub read: i64,
}

/// An announcement in somebody's inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// The identifier.
    pub id: AnnouncementId,
    /// What the tenant is called that tells it.
    pub from: String,
    /// In a line.
    pub title: String,
    /// In plain paragraphs.
    pub text: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// When it was read; absent where it was not.
    #[schemars(with = "Option<String>")]
    pub read_at: Option<Timestamp>,
}

/// Whether somebody has read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// What they are called.
    pub name: String,
    /// When they read it; absent where they have not.
    #[schemars(with = "Option<String>")]
    pub read_at: Option<Timestamp>,
}

/// How far a customer has read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantReceipt {
    /// What the tenant is called.
    pub name: String,
    /// How many of its people were told.
    pub told: i64,
    /// How many of them have read it.
    pub read: i64,
}
