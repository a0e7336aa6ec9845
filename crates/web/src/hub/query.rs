//! What a subscription wants to hear: `eventType=A,B` and, joined by `&`,
//! `event.productOrder.state=completed` or the same without `event.`.

use base::{Error, Result, limits};
use db::Record;
use serde_json::Value as Json;

use crate::tmf::query::pairs;

/// A subscription's query, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wanted {
    types: Vec<String>,
    /// Kind, path, alternatives.
    values: Vec<(String, String, Vec<String>)>,
}

impl Wanted {
    /// Reads a query; an empty one wants everything.
    ///
    /// # Errors
    /// `Invalid` where it cannot be understood.
    pub fn parse(text: &str) -> Result<Wanted> {
        let wrong = |what: &str| {
            Error::invalid("hub.query", format!("`{what}` is not of the form eventType=… or event.kind.attribute=…"))
                .at("query")
        };
        let mut wanted = Wanted::default();
        for (pair, name, value) in pairs(text.trim_start_matches('?')).map_err(|e| e.at("query"))? {
            let values: Vec<String> = value.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect();
            let name = name.trim();
            if values.is_empty() || wanted.values.len() >= limits::FILTERS_MAX {
                return Err(wrong(pair));
            }
            if name == "eventType" {
                wanted.types.extend(values);
                continue;
            }
            let path = name.strip_prefix("event.").unwrap_or(name);
            match path.split_once('.') {
                Some((kind, path)) if !path.is_empty() => {
                    wanted.values.push((kind.to_owned(), path.to_owned(), values))
                }
                _ => return Err(wrong(pair)),
            }
        }
        Ok(wanted)
    }

    /// Refuses types that the API does not have.
    pub fn expect_known(&self, types: &[String]) -> Result<()> {
        match self.types.iter().find(|wanted| !types.contains(wanted)) {
            Some(stranger) => {
                let message = format!("there is no event {stranger} here; there are {}", types.join(", "));
                Err(Error::invalid("hub.event_type", message).at("query"))
            }
            None => Ok(()),
        }
    }

    /// Whether events of that type are wanted at all.
    pub fn hears(&self, event: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == event)
    }

    /// Whether an event is wanted.
    pub fn takes(&self, event: &str, kind: &str, record: Option<&Record>) -> bool {
        self.hears(event)
            && self.values.iter().all(|(wanted, path, alternatives)| {
                let found = record.map(|record| record.values(path)).unwrap_or_default();
                wanted == kind && found.into_iter().any(|json| alternatives.iter().any(|text| same(json, text)))
            })
    }
}

fn same(json: &Json, text: &str) -> bool {
    match json {
        Json::String(value) => value == text,
        other => serde_json::to_string(other).is_ok_and(|shown| shown == text),
    }
}
