//! Characteristics: what a specification says may be chosen, and checking what was.
//!
//! The same rules hold for products (`productSpecCharacteristic`), services
//! (`specCharacteristic`) and resources (`resourceSpecCharacteristic`); only the
//! attributes' names differ.
//!
//! **Invariants.** What [`Specification::complete`] gives back names only known
//! characteristics, holds every mandatory one, and each value is one that the
//! specification allows (property test `what_is_completed_is_valid`).

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use base::{Error, Result, limits};
use regex::Regex;
use serde_json::{Map, Value as Json};

/// What a specification lets be chosen.
#[derive(Debug, Clone)]
pub struct Specification {
    /// Its name, for messages.
    pub name: String,
    characteristics: Vec<Characteristic>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone)]
pub struct Characteristic {
    /// Its name, as orders write it.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// The type of its values.
    pub of: ValueType,
    /// Whether whoever orders may choose; else the default holds.
    pub configurable: bool,
    /// Whether further values than the listed ones are allowed.
    pub extensible: bool,
    /// How many values at least; 0 means that it may be left out.
    pub min: usize,
    /// How many values at most; with more than one, a list is written.
    pub max: usize,
    /// What every text must match, from beginning to end.
    pub regex: Option<Regex>,
    /// What is allowed; empty allows everything of the type.
    pub values: Vec<Allowed>,
}

/// The types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON.
    Any,
}

/// One entry of the list of allowed values.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// This value.
    pub value: Option<Json>,
    /// From here.
    pub from: Option<f64>,
    /// To here.
    pub to: Option<f64>,
    /// Whether the lower and the upper bound are themselves allowed.
    pub closed: (bool, bool),
    /// Texts like this.
    pub regex: Option<Regex>,
    /// Holds where nothing was chosen.
    pub default: bool,
    /// What a number counts, for people.
    pub unit: String,
}

/// Who gives the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// A customer, who may not set what is not configurable.
    ByCustomer,
    /// The platform's own mapping rules.
    ByPlatform,
}

fn text<'j>(body: &'j Json, name: &str) -> &'j str {
    body.get(name).and_then(Json::as_str).unwrap_or_default()
}

impl Specification {
    /// Reads the characteristics of a product, service or resource specification.
    ///
    /// # Errors
    /// `Invalid` naming the characteristic that cannot be one.
    pub fn read(body: &Map<String, Json>) -> Result<Self> {
        let name = body.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let lists = [
            ("productSpecCharacteristic", "productSpecCharacteristicValue"),
            ("specCharacteristic", "characteristicValueSpecification"),
            ("resourceSpecCharacteristic", "resourceSpecCharacteristicValue"),
        ];
        let mut characteristics: Vec<Characteristic> = Vec::new();
        for (list, values) in lists {
            for (n, entry) in body.get(list).and_then(Json::as_array).into_iter().flatten().enumerate() {
                let at = format!("{list}[{n}]");
                let one = Characteristic::read(entry, values, &at)?;
                if characteristics.iter().any(|known| known.name == one.name) {
                    return Err(Error::invalid(
                        "characteristic.duplicate",
                        format!("there are two characteristics called `{}`", one.name),
                    )
                    .at(format!("{at}.name")));
                }
                characteristics.push(one);
            }
        }
        if characteristics.len() > limits::CHARACTERISTICS_MAX {
            return Err(Error::invalid(
                "characteristic.too_many",
                format!("a specification has at most {} characteristics", limits::CHARACTERISTICS_MAX),
            ));
        }
        Ok(Specification { name, characteristics })
    }

    /// All of them, in the specification's order.
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.characteristics
    }

    /// The one of that name.
    pub fn find(&self, name: &str) -> Option<&Characteristic> {
        self.characteristics.iter().find(|c| c.name == name)
    }

    /// Narrows what may be chosen to what an offering uses (`prodSpecCharValueUse`).
    ///
    /// # Errors
    /// `Invalid` where it names a characteristic that the specification lacks.
    pub fn narrow(&mut self, uses: Option<&Json>) -> Result<()> {
        for (n, entry) in uses.and_then(Json::as_array).into_iter().flatten().enumerate() {
            let at = format!("prodSpecCharValueUse[{n}]");
            let name = text(entry, "name");
            let Some(known) = self.characteristics.iter_mut().find(|c| c.name == name) else {
                return Err(Error::invalid(
                    "characteristic.unknown",
                    format!("{} has no characteristic `{name}`", self.name),
                )
                .at(format!("{at}.name")));
            };
            let values = read_values(entry, "productSpecCharacteristicValue", &at)?;
            if !values.is_empty() {
                known.values = values;
                known.extensible = false;
            }
            if let Some(min) = entry.get("minCardinality").and_then(Json::as_u64) {
                known.min = usize::try_from(min).unwrap_or(usize::MAX);
            }
        }
        Ok(())
    }

    /// Checks chosen values and fills in defaults.
    ///
    /// # Errors
    /// `Invalid` naming the characteristic.
    pub fn complete(&self, given: &Map<String, Json>, by: Given) -> Result<Map<String, Json>> {
        if let Some(name) = given.keys().find(|name| self.find(name).is_none()) {
            let known: Vec<&str> = self.characteristics.iter().map(|c| c.name.as_str()).collect();
            return Err(Error::invalid(
                "characteristic.unknown",
                format!("{} has no characteristic `{name}`; it has {}", self.name, known.join(", ")),
            )
            .at(name));
        }
        let mut complete = Map::new();
        for one in &self.characteristics {
            let chosen = given.get(&one.name).filter(|value| !value.is_null());
            if let Some(value) = chosen {
                one.check(value)?;
                if by == Given::ByCustomer && !one.configurable && one.default().as_ref() != Some(value) {
                    return Err(Error::invalid(
                        "characteristic.fixed",
                        format!("`{}` cannot be chosen here", one.name),
                    )
                    .at(&one.name));
                }
            }
            match chosen.cloned().or_else(|| one.default()) {
                Some(value) => drop(complete.insert(one.name.clone(), value)),
                None if one.min > 0 => {
                    return Err(Error::invalid(
                        "characteristic.missing",
                        format!("{} needs `{}`", self.name, one.name),
                    )
                    .at(&one.name));
                }
                None => {}
            }
        }
        Ok(complete)
    }
}

impl Characteristic {
    fn read(entry: &Json, values: &str, at: &str) -> Result<Self> {
        let name = text(entry, "name").to_owned();
        if name.is_empty() || name.len() > limits::CHARACTERISTIC_NAME_MAX {
            return Err(Error::invalid(
                "characteristic.name",
                format!("a characteristic needs a name of at most {} bytes", limits::CHARACTERISTIC_NAME_MAX),
            )
            .at(format!("{at}.name")));
        }
        let flag = |name: &str, otherwise: bool| entry.get(name).and_then(Json::as_bool).unwrap_or(otherwise);
        let count = |name: &str, otherwise: usize| {
            entry.get(name).and_then(Json::as_u64).map_or(otherwise, |n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let one = Characteristic {
            of: ValueType::read(text(entry, "valueType")),
            description: text(entry, "description").to_owned(),
            configurable: flag("configurable", true),
            extensible: flag("extensible", false),
            min: count("minCardinality", 0),
            max: count("maxCardinality", 1).clamp(1, limits::CHARACTERISTIC_VALUES_MAX),
            regex: read_regex(entry, at)?,
            values: read_values(entry, values, at)?,
            name,
        };
        match one.default() {
            Some(value) => one.check(&value).map_err(|e| {
                Error::invalid(
                    "characteristic.default",
                    format!("the default of `{}` is not allowed by itself: {}", one.name, e.message()),
                )
                .at(at)
            })?,
            None if !one.configurable && one.min > 0 => {
                return Err(Error::invalid(
                    "characteristic.default",
                    format!("`{}` is mandatory and cannot be chosen, so it needs a default", one.name),
                )
                .at(at));
            }
            None => {}
        }
        Ok(one)
    }

    /// What holds where nothing was chosen.
    pub fn default(&self) -> Option<Json> {
        let mut marked =
            self.values.iter().filter(|allowed| allowed.default).filter_map(|allowed| allowed.value.clone());
        if self.max > 1 {
            let all: Vec<Json> = marked.collect();
            return if all.is_empty() { None } else { Some(all.into()) };
        }
        marked.next()
    }

    /// Whether the value may be chosen.
    ///
    /// # Errors
    /// `Invalid` naming this characteristic.
    pub fn check(&self, value: &Json) -> Result<()> {
        let fault = |code: &'static str, message: String| Err(Error::invalid(code, message).at(&self.name));
        if value.to_string().len() > limits::CHARACTERISTIC_BYTES_MAX {
            return fault(
                "characteristic.too_large",
                format!("`{}` is larger than {} bytes", self.name, limits::CHARACTERISTIC_BYTES_MAX),
            );
        }
        if self.max == 1 {
            return self.check_one(value);
        }
        let Json::Array(entries) = value else {
            return fault("characteristic.type", format!("`{}` is a list", self.name));
        };
        if entries.len() < self.min || entries.len() > self.max {
            return fault(
                "characteristic.cardinality",
                format!("`{}` takes from {} to {} values", self.name, self.min, self.max),
            );
        }
        entries.iter().try_for_each(|entry| self.check_one(entry))
    }

    fn check_one(&self, value: &Json) -> Result<()> {
        let fault = |code: &'static str, message: String| Err(Error::invalid(code, message).at(&self.name));
        if !self.of.fits(value) {
            return fault("characteristic.type", format!("`{}` needs {}", self.name, self.of.word()));
        }
        if let (Some(regex), Json::String(text)) = (&self.regex, value)
            && !regex.is_match(text)
        {
            return fault("characteristic.pattern", format!("`{}` must match {}", self.name, shown(regex)));
        }
        if self.extensible || self.values.is_empty() || self.values.iter().any(|allowed| allowed.covers(value)) {
            return Ok(());
        }
        let allowed: Vec<String> = self.values.iter().map(Allowed::words).collect();
        fault("characteristic.not_allowed", format!("`{}` must be {}", self.name, allowed.join(" or ")))
    }
}

impl ValueType {
    fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "string" | "text" => ValueType::Text,
            "integer" | "int" | "long" => ValueType::Integer,
            "number" | "float" | "decimal" | "double" => ValueType::Number,
            "boolean" | "bool" => ValueType::Boolean,
            _ => ValueType::Any,
        }
    }

    fn fits(self, value: &Json) -> bool {
        match self {
            ValueType::Text => value.is_string(),
            ValueType::Integer => value.is_i64(),
            ValueType::Number => value.is_number(),
            ValueType::Boolean => value.is_boolean(),
            ValueType::Any => true,
        }
    }

    fn word(self) -> &'static str {
        match self {
            ValueType::Text => "text",
            ValueType::Integer => "a whole number",
            ValueType::Number => "a number",
            ValueType::Boolean => "true or false",
            ValueType::Any => "a value",
        }
    }
}

impl Allowed {
    fn covers(&self, value: &Json) -> bool {
        if let Some(exact) = &self.value {
            return exact == value || (exact.is_number() && exact.as_f64() == value.as_f64());
        }
        if let (Some(regex), Some(text)) = (&self.regex, value.as_str()) {
            return regex.is_match(text);
        }
        let (Some(number), true) = (value.as_f64(), self.from.is_some() || self.to.is_some()) else { return false };
        let above = self.from.is_none_or(|from| number > from || (self.closed.0 && number >= from));
        let below = self.to.is_none_or(|to| number < to || (self.closed.1 && number <= to));
        above && below
    }

    fn words(&self) -> String {
        match (&self.value, &self.regex, self.from, self.to) {
            (Some(value), ..) => value.to_string(),
            (None, Some(regex), ..) => format!("text like {}", shown(regex)),
            (None, None, Some(from), Some(to)) => format!("from {from} to {to}"),
            (None, None, Some(from), None) => format!("at least {from}"),
            (None, None, None, Some(to)) => format!("at most {to}"),
            (None, None, None, None) => "anything".to_owned(),
        }
    }
}

fn shown(regex: &Regex) -> &str {
    regex.as_str().strip_prefix("^(?:").and_then(|text| text.strip_suffix(")$")).unwrap_or(regex.as_str())
}

/// Anchored at both ends and bounded: a pattern never costs more than its size
/// allows. Kept by its text once it was read, so that an order does not pay for it.
fn read_regex(entry: &Json, at: &str) -> Result<Option<Regex>> {
    static READ: OnceLock<Mutex<HashMap<String, Regex>>> = OnceLock::new();
    let pattern = text(entry, "regex");
    if pattern.is_empty() {
        return Ok(None);
    }
    let known = READ.get_or_init(Mutex::default);
    if let Some(regex) = known.lock().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return Ok(Some(regex.clone()));
    }
    let built = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(limits::REGEX_BYTES_MAX).build();
    let regex = built.map_err(|e| {
        Error::invalid("characteristic.regex", format!("`{pattern}` is not a usable regular expression: {e}"))
            .at(format!("{at}.regex"))
    })?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= limits::EXPRESSIONS_CACHED_MAX {
        known.clear();
    }
    known.insert(pattern.to_owned(), regex.clone());
    Ok(Some(regex))
}

fn read_values(entry: &Json, list: &str, at: &str) -> Result<Vec<Allowed>> {
    let Some(entries) = entry.get(list).and_then(Json::as_array) else { return Ok(Vec::new()) };
    let mut values = Vec::with_capacity(entries.len());
    for (n, entry) in entries.iter().enumerate() {
        let at = format!("{at}.{list}[{n}]");
        let interval = text(entry, "rangeInterval");
        values.push(Allowed {
            value: entry.get("value").filter(|value| !value.is_null()).cloned(),
            from: entry.get("valueFrom").and_then(Json::as_f64),
            to: entry.get("valueTo").and_then(Json::as_f64),
            closed: (!matches!(interval, "open" | "closedTop"), !matches!(interval, "open" | "closedBottom")),
            regex: read_regex(entry, &at)?,
            default: entry.get("isDefault").and_then(Json::as_bool).unwrap_or(false),
            unit: text(entry, "unitOfMeasure").to_owned(),
        });
    }
    Ok(values)
}

/// TMF's list of `{name, value}` as a map.
///
/// # Errors
/// `Invalid` where a name comes twice.
pub fn read_list(list: Option<&Json>, at: &str) -> Result<Map<String, Json>> {
    let mut values = Map::new();
    for (n, entry) in list.and_then(Json::as_array).into_iter().flatten().enumerate() {
        let (name, value) = (text(entry, "name"), entry.get("value").cloned().unwrap_or(Json::Null));
        if values.insert(name.to_owned(), value).is_some() {
            return Err(Error::invalid("characteristic.duplicate", format!("`{name}` is given twice"))
                .at(format!("{at}[{n}].name")));
        }
    }
    Ok(values)
}

/// A map as TMF's list of `{name, valueType, value}`.
pub fn write_list(values: &Map<String, Json>) -> Json {
    let kind = |value: &Json| match value {
        Json::String(_) => "string",
        Json::Number(number) if number.is_i64() => "integer",
        Json::Number(_) => "number",
        Json::Bool(_) => "boolean",
        Json::Array(_) => "array",
        _ => "object",
    };
    values
        .iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "valueType": kind(value), "value": value }))
        .collect::<Vec<Json>>()
        .into()
}
