//! A database that is brought back to see that it could be, and let go of again.
//!
//! **Invariants.**
//! - A marker is names, never SQL: they are checked here and quoted where they are used.
//! - What is made bears the drill's id, so that whoever clears up after a crash knows what is its own.

use base::time::Timestamp;
use base::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DataSource;

/// What the names of databases begin with that a drill makes; no dump of a whole server takes them along.
pub const DRILLED: &str = "yunwei_drill_";
/// Longest name of a schema, a table or a column, in bytes: PostgreSQL's.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// The database that a drill of that id makes.
pub fn drilled_database(drill: &str) -> String {
    format!("{DRILLED}{drill}")
}

/// Where the newest record of a database is: the largest value of a column. An instant
/// (`timestamp`, `timestamptz`, `datetime`; one without a time zone is in UTC), or a whole number of
/// seconds or milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marker {
    /// The schema, for PostgreSQL; `public` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table; no view.
    pub table: String,
    /// The column.
    pub column: String,
}

impl Marker {
    /// Whether this can be asked of an agent: plain names and nothing else.
    ///
    /// # Errors
    /// `Invalid` (`drillPlan.marker`).
    pub fn check(&self) -> Result<()> {
        let plain = |name: &str| {
            let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            begins && rest && name.len() <= IDENTIFIER_BYTES_MAX
        };
        if plain(&self.table) && plain(&self.column) && self.schema.as_deref().is_none_or(plain) {
            return Ok(());
        }
        let message = "a marker names a schema, a table and a column: each 1 to 63 letters, digits and _, and begins with no digit";
        Err(Error::invalid("drillPlan.marker", message).at("scenario"))
    }

    /// [`Marker::check`], and whether such data has it.
    ///
    /// # Errors
    /// `Invalid` (`drillPlan.marker`).
    pub fn fits(&self, source: &DataSource) -> Result<()> {
        self.check()?;
        if matches!(source, DataSource::Mysql { .. }) && self.schema.is_some() {
            let message = "MariaDB and MySQL know no schemas inside of a database: leave it out";
            return Err(Error::invalid("drillPlan.marker", message).at("scenario"));
        }
        Ok(())
    }
}

/// What was seen of a database that came back, and is gone again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataDrilled {
    /// Bytes that came out of the repository.
    pub bytes: u64,
    /// SHA-256 over what came, as hashed where it came to.
    pub digest: String,
    /// How long fetching took, in seconds.
    pub fetch_seconds: f64,
    /// How long hashing took, in seconds.
    pub hash_seconds: f64,
    /// Of a dump: how many tables the database has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// From the database being there until it answered, in seconds: recovering counts here.
    pub answer_seconds: f64,
    /// From then until its newest record was read, in seconds.
    pub read_seconds: f64,
    /// From then until nothing of it was left, in seconds.
    pub clear_seconds: f64,
    /// The newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
    /// Why there is none, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_marker_is_names_and_nothing_else() {
        let of = |schema: Option<&str>, table: &str, column: &str| Marker {
            schema: schema.map(str::to_owned),
            table: table.into(),
            column: column.into(),
        };
        of(Some("sales"), "Orders_2026", "_at").check().unwrap();
        of(None, &"a".repeat(63), "b").check().unwrap();
        for bad in ["", "1a", "a b", "a\"b", "a;drop", "a.b", "max(x)", "a-b", "雲", "a\0", &"a".repeat(64)] {
            assert_eq!(of(None, bad, "c").check().unwrap_err().code(), "drillPlan.marker", "{bad:?}");
            assert_eq!(of(None, "t", bad).check().unwrap_err().code(), "drillPlan.marker", "{bad:?}");
            assert_eq!(of(Some(bad), "t", "c").check().unwrap_err().code(), "drillPlan.marker", "{bad:?}");
        }
        let server =
            super::super::DatabaseServer { socket: None, host: Some("db".into()), port: None, user: "u".into() };
        let source = DataSource::Mysql { server, databases: vec![] };
        assert!(of(None, "t", "c").fits(&source).is_ok() && of(Some("public"), "t", "c").fits(&source).is_err());
        assert_eq!(drilled_database("rcvy_01"), "yunwei_drill_rcvy_01");
    }
}
