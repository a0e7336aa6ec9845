//! How a child's characteristics come from its parent's: from product to
//! customer-facing service, from there to resource-facing services, from there
//! to resources. Rules are data on the reference from parent to child:
//!
//! ```json
//! "serviceSpecification": [{
//!   "id": "ssp_…", "role": "machine", "@type": "MappedSpecificationRef",
//!   "characteristicMapping": [
//!     { "name": "vcpus",     "from": "vcpu" },
//!     { "name": "memoryMib", "cel":  "parent.memory * 1024" },
//!     { "name": "image",     "value": "debian-12" }
//!   ]
//! }]
//! ```
//!
//! A characteristic that no rule names is taken from the parent's of the same
//! name, then from the specification's default. What comes out is checked
//! against the child's specification like anybody's input.
//!
//! **Invariants.** Rules are checked when the record that carries them is
//! written: an expression that does not compile never waits for an order.
//!
//! **Not here.** Which children a specification has (`provisioning`).

use base::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::characteristics::{Given, Specification};
use super::expression;

/// One rule: where one characteristic of the child comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The child's characteristic.
    pub name: String,
    /// From where.
    #[serde(flatten)]
    pub source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The parent's characteristic of that name.
    From(String),
    /// A CEL expression over `parent` (the parent's characteristics) and
    /// `order` (`name`, `tenant`, `role`).
    Cel(String),
    /// Always this.
    Value(Json),
}

/// A reference from a specification to one below it, with its rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Child {
    /// The specification below.
    pub id: String,
    /// What the child is to its parent, for example `machine`; names it too.
    #[serde(default)]
    pub role: String,
    /// The rules.
    #[serde(default, rename = "characteristicMapping")]
    pub rules: Vec<Rule>,
}

/// Reads the children named by the list at `attribute`; checks their rules.
///
/// # Errors
/// `Invalid` naming the rule that is wrong.
pub fn children(body: &Map<String, Json>, attribute: &str) -> Result<Vec<Child>> {
    let Some(entries) = body.get(attribute).and_then(Json::as_array) else { return Ok(Vec::new()) };
    if entries.len() > limits::CHILD_SPECIFICATIONS_MAX {
        let most = limits::CHILD_SPECIFICATIONS_MAX;
        return Err(Error::invalid(
            "specification.too_many_children",
            format!("a specification has at most {most} below it"),
        )
        .at(attribute));
    }
    let mut found = Vec::with_capacity(entries.len());
    for (n, entry) in entries.iter().enumerate() {
        let at = format!("{attribute}[{n}]");
        let child = Child::deserialize(entry).map_err(|e| {
            Error::invalid("mapping.malformed", format!("a rule needs `name` and one of `from`, `cel`, `value`: {e}"))
                .at(format!("{at}.characteristicMapping"))
        })?;
        for (n, rule) in child.rules.iter().enumerate() {
            if let Source::Cel(text) = &rule.source {
                expression::read(text).map_err(|e| e.at(format!("{at}.characteristicMapping[{n}].cel")))?;
            }
        }
        found.push(child);
    }
    Ok(found)
}

/// The child's characteristics: mapped, completed by defaults, checked.
///
/// # Errors
/// `Invalid` naming the characteristic, `Conflict` (`mapping.unknown_characteristic`)
/// where a rule names one that the child does not have.
pub fn apply(
    child: &Child,
    parent: &Map<String, Json>,
    order: &Map<String, Json>,
    specification: &Specification,
) -> Result<Map<String, Json>> {
    let mut given = Map::new();
    for characteristic in specification.characteristics() {
        if let Some(value) = parent.get(&characteristic.name) {
            given.insert(characteristic.name.clone(), value.clone());
        }
    }
    for rule in &child.rules {
        if specification.find(&rule.name).is_none() {
            return Err(Error::conflict(
                "mapping.unknown_characteristic",
                format!("{} has no characteristic `{}` for the rule of its parent", specification.name, rule.name),
            ));
        }
        let value = match &rule.source {
            Source::From(name) => parent.get(name).cloned(),
            Source::Cel(text) => Some(expression::evaluate(text, parent, order)?),
            Source::Value(value) => Some(value.clone()),
        };
        match value {
            Some(value) if !value.is_null() => given.insert(rule.name.clone(), value),
            _ => given.remove(&rule.name),
        };
    }
    specification.complete(&given, Given::ByPlatform)
}
