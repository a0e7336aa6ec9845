//! Definitions of flows as data: what an operator reads and writes.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Error, Result, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A flow: what it needs, and its steps in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// What it is started by.
    pub name: String,
    /// Counts up; a run stays with the version it began with.
    pub version: u32,
    /// For people.
    pub title: Title,
    /// JSON Schema of the input; a small part of the language, see `docs/reference/flows.md`.
    pub input: Json,
    /// In order.
    pub steps: Vec<StepDefinition>,
}

/// A name for people, in the languages of the house.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// Traditional Chinese.
    #[serde(rename = "zh-TW")]
    pub zh_tw: String,
    /// English.
    pub en: String,
}

/// One step of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepDefinition {
    /// What later steps call it by.
    pub id: String,
    /// The registered step that does it.
    pub step: String,
    /// For people, while it runs.
    pub title: Title,
    /// Its input: JSON in which a text that begins with `$.` is a path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, Json>,
    /// A CEL condition over `input`, `steps` and `run`; the step is passed over where it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How it is tried again when it fails in a way that may pass.
    #[serde(default, skip_serializing_if = "Retry::is_default")]
    pub retry: Retry,
    /// How long it may take and wait altogether, for example `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Once it has succeeded the run is not unwound any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub point_of_no_return: bool,
}

/// How often, and how fast, a step is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Retry {
    /// Calls altogether before the run unwinds.
    pub attempts: u32,
    /// Wait after the first failure; doubles with each further one.
    pub first: Span,
    /// Longest wait.
    pub most: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 8, first: Span(Duration::from_millis(200)), most: Span(Duration::from_secs(60)) }
    }
}

impl Retry {
    fn is_default(&self) -> bool {
        *self == Retry::default()
    }

    /// The wait after failure number `attempt` (from 0); `chance` (0 to 65535) spreads it by half.
    pub(crate) fn wait(&self, attempt: u32, chance: u16) -> Duration {
        let wait = self.first.0.saturating_mul(1 << attempt.min(20)).min(self.most.0);
        wait / 2 + wait.mul_f64(f64::from(chance) / 131_070.0)
    }
}

/// A length of time as people write it: `200ms`, `30s`, `10m`, `2h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl std::str::FromStr for Span {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let per = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, per)| *per);
        let millis = number.parse::<u64>().ok().zip(per).and_then(|(number, per)| number.checked_mul(per));
        millis
            .filter(|millis| *millis <= limits::FLOW_STEP_SECONDS_MAX * 1_000)
            .map(|millis| Span(Duration::from_millis(millis)))
            .ok_or_else(|| {
                Error::invalid(
                    "flow.span",
                    format!("`{text}` is not a length of time such as 200ms, 30s, 10m, 2h or 1d (30 days at most)"),
                )
            })
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, per) = UNITS.iter().rev().find(|(_, per)| millis % per == 0 && millis > 0).unwrap_or(&UNITS[1]);
        write!(f, "{}{unit}", millis / per)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(|e: Error| serde::de::Error::custom(e.message()))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}

impl Definition {
    /// Reads a definition from YAML (or JSON, which is YAML).
    ///
    /// # Errors
    /// `Invalid` (`flow.definition`) saying where and what.
    pub fn from_yaml(text: &str) -> Result<Self> {
        if text.len() > limits::FLOW_DEFINITION_BYTES_MAX {
            return Err(wrong(format!("is larger than {} bytes", limits::FLOW_DEFINITION_BYTES_MAX)));
        }
        serde_saphyr::from_str(text).map_err(|e| wrong(format!("does not read: {e}")))
    }

    /// Writes it as YAML.
    ///
    /// # Errors
    /// `Bug` where a value has no YAML form.
    pub fn to_yaml(&self) -> Result<String> {
        serde_saphyr::to_string(self)
            .map_err(|e| Error::bug("flow.definition", format!("a definition cannot be written as YAML: {e}")))
    }
}

pub(crate) fn wrong(what: impl std::fmt::Display) -> Error {
    Error::invalid("flow.definition", format!("the definition {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_write_alike() {
        for text in ["200ms", "30s", "10m", "2h", "1d", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["", "5", "s", "-1s", "1w", "99999999999999999999h", "31d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn waits_double_up_to_the_most_and_spread_by_half() {
        let retry = Retry { attempts: 5, first: "100ms".parse().unwrap(), most: "1s".parse().unwrap() };
        assert_eq!(retry.wait(0, u16::MAX), Duration::from_millis(100));
        assert_eq!(retry.wait(0, 0), Duration::from_millis(50));
        assert_eq!(retry.wait(3, u16::MAX), Duration::from_millis(800));
        assert_eq!(retry.wait(63, u16::MAX), Duration::from_secs(1));
    }
}
