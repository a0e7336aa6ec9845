//! What a route's action takes, as its schema says: names, and the types that
//! texts from paths and queries are read as.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use base::{Error, Result};
use serde_json::{Map, Value as Json};

use super::Route;
use crate::body;
use crate::tmf::query;

/// The attributes of an action's input.
pub(super) struct Inputs {
    known: BTreeMap<String, As>,
    /// Whether the input takes attributes of any name.
    open: bool,
    in_path: Vec<&'static str>,
    /// The attribute that holds the revision on which a change is made.
    condition: Option<&'static str>,
}

/// What a revision is called: of most things, and of those whose revisions are
/// there to be read.
pub(super) const REVISION: [&str; 2] = ["revision", "version"];

/// How text is read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum As {
    Text,
    Number,
    Flag,
    Texts,
    /// Not to be had from text: it comes in the body.
    Document,
}

impl Inputs {
    pub fn of(route: &Route) -> Inputs {
        let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        let schema = route.action.input_schema(&mut generator);
        let definitions = Json::Object(generator.definitions().clone());
        let schema = resolve(&definitions, schema.as_value());
        let mut known = BTreeMap::new();
        for part in
            [Some(schema)].into_iter().flatten().chain(branches(schema).map(|branch| resolve(&definitions, branch)))
        {
            for (name, property) in part.get("properties").and_then(Json::as_object).into_iter().flatten() {
                known.insert(name.clone(), read_as(&definitions, property));
            }
        }
        let object = schema.get("type").is_some_and(|t| t == "object");
        let closed = schema.get("additionalProperties").is_none_or(|more| *more == Json::Bool(false));
        // A unit or an empty input takes nothing; an input that says `additionalProperties` takes anything.
        let open = (object && !closed) || (known.is_empty() && schema.as_bool() == Some(true));
        let changes = matches!(route.method, "PUT" | "PATCH" | "DELETE");
        let condition = REVISION.into_iter().find(|name| changes && known.contains_key(*name));
        Inputs { known, open, in_path: route.parameters().collect(), condition }
    }

    /// Whether a change can be made to depend on a revision.
    pub fn is_conditional(&self) -> bool {
        self.condition.is_some()
    }

    /// Adds the revision that `If-Match` names.
    pub fn add_condition(&self, input: &mut Map<String, Json>, headers: &HeaderMap) -> Result<()> {
        let Some(name) = self.condition else { return body::expect_no_condition(headers) };
        let Some(revision) = body::if_match(headers)?.map(Json::from) else { return Ok(()) };
        match input.insert(name.to_owned(), revision.clone()) {
            Some(said) if !said.is_null() && said != revision => {
                let message = format!("If-Match and `{name}` name two revisions; say it once");
                Err(Error::invalid("if_match.differs", message).at("If-Match"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses attributes of a body that the input does not have.
    pub fn expect_known(&self, body: &Map<String, Json>) -> Result<()> {
        let stranger =
            |name: &&String| self.in_path.contains(&name.as_str()) || !(self.open || self.known.contains_key(*name));
        match body.keys().find(stranger) {
            Some(name) => {
                Err(Error::invalid("attribute.unknown", format!("there is no attribute `{name}` here"))
                    .at(name.clone()))
            }
            None => Ok(()),
        }
    }

    /// Adds the parameters of a query.
    pub fn add_query(&self, input: &mut Map<String, Json>, raw: &str) -> Result<()> {
        for (_, name, value) in query::pairs(raw)? {
            let unknown = self.in_path.contains(&name.as_str()) || !self.known.contains_key(&name);
            if unknown || self.known.get(&name) == Some(&As::Document) {
                return Err(Error::invalid("query.unknown", format!("there is no parameter `{name}` here")).at(name));
            }
            self.add(input, &name, &value)?;
        }
        Ok(())
    }

    /// Adds one parameter that came as text.
    pub fn add(&self, input: &mut Map<String, Json>, name: &str, value: &str) -> Result<()> {
        let wrong = |needed: &str| Error::invalid("query.value", format!("`{name}` must be {needed}")).at(name);
        if value.contains('\0') {
            return Err(wrong("text without the character U+0000"));
        }
        let json = match self.known.get(name).copied().unwrap_or(As::Text) {
            As::Number => value.parse::<serde_json::Number>().map(Json::Number).map_err(|_| wrong("a number"))?,
            As::Flag => value.parse::<bool>().map(Json::Bool).map_err(|_| wrong("true or false"))?,
            As::Texts => {
                let mut list = match input.remove(name) {
                    Some(Json::Array(list)) => list,
                    _ => Vec::new(),
                };
                list.extend(value.split(',').filter(|text| !text.is_empty()).map(Json::from));
                Json::Array(list)
            }
            As::Text | As::Document => Json::from(value),
        };
        input.insert(name.to_owned(), json);
        Ok(())
    }
}

fn resolve<'s>(definitions: &'s Json, schema: &'s Json) -> &'s Json {
    let named = schema.get("$ref").and_then(Json::as_str).and_then(|r| r.rsplit('/').next());
    match named.and_then(|name| definitions.get(name)) {
        Some(found) => found,
        None => schema,
    }
}

fn branches(schema: &Json) -> impl Iterator<Item = &Json> {
    ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|word| schema.get(word)?.as_array()).flatten()
}

fn read_as(definitions: &Json, property: &Json) -> As {
    let property = resolve(definitions, property);
    let is = |word: &str| match property.get("type") {
        Some(Json::String(only)) => only == word,
        Some(Json::Array(any)) => any.iter().any(|one| one == word),
        _ => false,
    };
    if is("integer") || is("number") {
        As::Number
    } else if is("boolean") {
        As::Flag
    } else if is("string") || property.get("enum").is_some() || property.get("const").is_some() {
        As::Text
    } else if is("array") {
        match property.get("items").map(|items| read_as(definitions, items)) {
            Some(As::Text) => As::Texts,
            _ => As::Document,
        }
    } else {
        let real = branches(property).find(|branch| branch.get("type").is_none_or(|t| t != "null"));
        real.map_or(As::Document, |branch| read_as(definitions, branch))
    }
}
