//! The starter catalog: something to sell on the first day, as data.
//!
//! `catalog/starter.yaml` lists records of the three catalogs in the order in
//! which they are made; an `id` of `@key` is the id of the record made under
//! that key. A record whose kind and name are there already is left as it is,
//! so that seeding again changes nothing and an operator's own changes stay.
//!
//! **Not here.** What the records mean (`commerce::catalog`, `specifications`).

use std::collections::BTreeMap;

use base::{Error, Result};
use commerce::catalog;
use db::records::{self, Condition, KeyType, Op, Query, Scope, sortable};
use gate::{Action, Effect, Kind, Tx};
use resources::inventory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::specifications;

/// The starter catalog.
pub const STARTER: &str = include_str!("../../catalog/starter.yaml");

/// One record of a catalog file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// What later entries call it by.
    key: String,
    /// The TMF resource.
    kind: String,
    /// The document.
    body: Map<String, Json>,
}

/// Kinds that a catalog file may hold.
static CATALOGS: &[&Kind] = &[
    &inventory::RESOURCE_SPECIFICATION,
    &specifications::SERVICE_SPECIFICATION,
    &specifications::SERVICE_CATEGORY,
    &specifications::SERVICE_CATALOG,
    &catalog::PRODUCT_SPECIFICATION,
    &catalog::PRODUCT_OFFERING_PRICE,
    &catalog::PRODUCT_OFFERING,
    &catalog::CATEGORY,
    &catalog::CATALOG,
];

/// Which catalog.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// A catalog file in YAML; the starter catalog unless given.
    #[serde(default)]
    pub yaml: Option<String>,
}

/// What there is now, by the file's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seeded {
    /// Records that were made.
    pub made: BTreeMap<String, String>,
    /// Records that were there already.
    pub kept: BTreeMap<String, String>,
}

/// Puts a catalog on sale.
pub static SEED: Action<Seed, Seeded> = Action {
    name: "catalog.seed",
    summary: "Makes the records of a catalog file that are not there yet; the starter catalog unless one is given.",
    effect: Effect::Create,
    run: |tx, input| {
        let operator = tx.operator()?;
        if tx.cx().tenant() != operator {
            return Err(Error::forbidden(
                "catalog.not_the_operator",
                "a catalog belongs to the operator; act in the operator's tenant",
            ));
        }
        seed(tx, input.yaml.as_deref().unwrap_or(STARTER))
    },
};

/// Makes what is not there yet.
///
/// # Errors
/// `Invalid` (`catalog.malformed`) naming the entry that is wrong.
pub fn seed(tx: &mut Tx<'_>, yaml: &str) -> Result<Seeded> {
    if yaml.len() > base::limits::RECORD_BYTES_MAX {
        return Err(Error::invalid("catalog.too_large", "a catalog file has at most 512 KiB").at("yaml"));
    }
    let entries: Vec<Entry> =
        serde_saphyr::from_str(yaml).map_err(|e| Error::invalid("catalog.malformed", e.to_string()).at("yaml"))?;
    let mut seeded = Seeded::default();
    for entry in entries {
        let kind = CATALOGS.iter().find(|kind| kind.name == entry.kind);
        let kind = kind.ok_or_else(|| {
            Error::invalid("catalog.kind", format!("{} is no resource of a catalog", entry.kind)).at(entry.key.clone())
        })?;
        let mut body = Json::Object(entry.body);
        resolve(&mut body, &seeded).map_err(|missing| {
            Error::dangling("catalog.key", format!("nothing was made under the key {missing}")).at(entry.key.clone())
        })?;
        let Json::Object(body) = body else { continue };
        match named(tx, kind, body.get("name"))? {
            Some(id) => drop(seeded.kept.insert(entry.key, id)),
            None => {
                let made = kind.create_in(tx, &body).map_err(|e| {
                    let at = e.attribute().map_or_else(|| entry.key.clone(), |at| format!("{}.{at}", entry.key));
                    e.at(at)
                })?;
                seeded.made.insert(entry.key, made.id.clone());
            }
        }
    }
    Ok(seeded)
}

/// Replaces `@key` by the id of what was made under it.
fn resolve(json: &mut Json, seeded: &Seeded) -> std::result::Result<(), String> {
    match json {
        Json::Object(body) => {
            if let Some(Json::String(id)) = body.get_mut("id")
                && let Some(key) = id.strip_prefix('@')
            {
                *id = seeded.made.get(key).or_else(|| seeded.kept.get(key)).cloned().ok_or_else(|| key.to_owned())?;
            }
            body.values_mut().try_for_each(|inner| resolve(inner, seeded))
        }
        Json::Array(entries) => entries.iter_mut().try_for_each(|inner| resolve(inner, seeded)),
        _ => Ok(()),
    }
}

/// The acting tenant's record of that kind and name.
fn named(tx: &mut Tx<'_>, kind: &Kind, name: Option<&Json>) -> Result<Option<String>> {
    let Some(value) = name.and_then(|name| sortable(KeyType::Text, name)) else { return Ok(None) };
    let scope = Scope::Tenants { own: vec![tx.cx().tenant()], above: vec![] };
    let conditions = vec![Condition { path: "name".to_owned(), op: Op::Eq, values: vec![value] }];
    let query = Query {
        kind: kind.name,
        scope: &scope,
        conditions,
        sort: None,
        descending: false,
        after: None,
        offset: 0,
        limit: 1,
    };
    Ok(records::list(tx, &query)?.into_iter().next().map(|(record, _)| record.id))
}
