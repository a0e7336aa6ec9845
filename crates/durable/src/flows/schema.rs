//! The part of JSON Schema that definitions use: looking up a path, seeing
//! whether one value fits another, checking a value.
//!
//! Schemas come from two places: Rust types (through `schemars`) and the
//! `input` of a definition, where only the keywords below are taken.

use std::collections::BTreeSet;

use serde_json::Value as Json;

const KEYWORDS: &[&str] = &[
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "additionalProperties",
    "title",
    "description",
    "format",
    "default",
    "$schema",
];
const TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];
const DEPTH: usize = 24;

/// A schema inside the document that its references point into.
#[derive(Clone, Copy)]
pub(crate) struct View<'s> {
    root: &'s Json,
    node: &'s Json,
}

static ANYTHING: Json = Json::Bool(true);

impl<'s> View<'s> {
    pub fn new(root: &'s Json) -> Self {
        View { root, node: root }.plain()
    }

    fn anything() -> Self {
        View { root: &ANYTHING, node: &ANYTHING }
    }

    fn at(self, node: &'s Json) -> Self {
        View { root: self.root, node }.plain()
    }

    /// Follows references to where something is said.
    fn plain(self) -> Self {
        let mut view = self;
        for _ in 0..DEPTH {
            let Some(pointer) = view.node.get("$ref").and_then(Json::as_str).and_then(|r| r.strip_prefix('#')) else {
                return view;
            };
            match self.root.pointer(pointer) {
                Some(node) => view.node = node,
                None => return View::anything(),
            }
        }
        View::anything()
    }

    /// The alternatives, where there are several; itself otherwise.
    fn variants(self) -> Vec<View<'s>> {
        let several = self.node.get("anyOf").or_else(|| self.node.get("oneOf")).and_then(Json::as_array);
        several.map_or_else(|| vec![self], |all| all.iter().flat_map(|node| self.at(node).variants()).collect())
    }

    /// The types that a value may have; `None` says any.
    fn types(self) -> Option<BTreeSet<&'s str>> {
        let mut all = BTreeSet::new();
        for variant in self.variants() {
            match variant.node.get("type") {
                Some(Json::String(one)) => drop(all.insert(one.as_str())),
                Some(Json::Array(some)) => all.extend(some.iter().filter_map(Json::as_str)),
                _ => all.extend(variant.words()?.iter().map(|word| kind(word))),
            }
        }
        Some(all)
    }

    /// The values that are allowed, where they are listed.
    fn words(self) -> Option<Vec<&'s Json>> {
        let mut all = Vec::new();
        for variant in self.variants() {
            match (variant.node.get("const"), variant.node.get("enum").and_then(Json::as_array)) {
                (Some(one), _) => all.push(one),
                (None, Some(some)) => all.extend(some),
                (None, None) => return None,
            }
        }
        Some(all)
    }

    fn properties(self) -> Option<&'s serde_json::Map<String, Json>> {
        self.node.get("properties").and_then(Json::as_object)
    }

    pub fn requires(self, name: &str) -> bool {
        self.node.get("required").and_then(Json::as_array).is_some_and(|all| all.iter().any(|entry| entry == name))
    }

    fn required(self) -> impl Iterator<Item = &'s str> {
        self.node.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }

    /// The first required member that is not among `given`.
    pub fn missing<'g>(self, given: impl Iterator<Item = &'g str>) -> Option<&'s str> {
        let given: BTreeSet<&str> = given.collect();
        self.required().find(|name| !given.contains(*name))
    }

    /// The object among the alternatives, and whether `null` is one of them.
    pub fn object(self) -> (View<'s>, bool) {
        let variants = self.variants();
        let nullable = self.types().is_some_and(|types| types.contains("null"));
        (variants.into_iter().find(|v| v.properties().is_some()).unwrap_or(self), nullable)
    }

    /// Whether nothing is to be given at all, as for `()`.
    pub fn is_null(self) -> bool {
        self.types().is_some_and(|types| types.iter().eq(["null"].iter()))
    }

    /// What lies at `name`, and whether it may be absent.
    pub fn member(self, name: &str) -> Result<(View<'s>, bool), String> {
        let (object, nullable) = self.object();
        if let Some(properties) = object.properties() {
            if let Some(node) = properties.get(name) {
                return Ok((object.at(node), nullable || !object.requires(name)));
            }
            if !matches!(object.node.get("additionalProperties"), Some(Json::Object(_) | Json::Bool(true))) {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                return Err(format!("there is no `{name}`, only {}", known.join(", ")));
            }
        }
        match object.node.get("additionalProperties") {
            Some(node @ Json::Object(_)) => Ok((object.at(node), true)),
            _ if object.types().is_none_or(|types| types.contains("object")) => Ok((View::anything(), true)),
            _ => Err(format!("there is no `{name}` in {}", object.describe())),
        }
    }

    /// What lies at place `index`, and whether it may be absent.
    pub fn entry(self, index: usize) -> Result<(View<'s>, bool), String> {
        if self.types().is_some_and(|types| !types.contains("array")) {
            return Err(format!("{} has no entries", self.describe()));
        }
        let sure = self.node.get("minItems").and_then(Json::as_u64).is_some_and(|least| least > index as u64);
        let list = self.variants().into_iter().find(|v| v.node.get("items").is_some()).unwrap_or(self);
        Ok((list.node.get("items").map_or(View::anything(), |node| list.at(node)), !sure))
    }

    fn describe(self) -> String {
        self.types().map_or("anything".to_owned(), |types| types.into_iter().collect::<Vec<_>>().join(" or "))
    }

    /// Whether every value of this schema is one of `target`.
    pub fn fits(self, target: View<'_>, depth: usize) -> Result<(), String> {
        let (Some(ours), Some(theirs)) = (self.types(), target.types()) else { return Ok(()) };
        if depth > DEPTH {
            return Ok(());
        }
        let taken = |one: &&str| theirs.contains(*one) || (*one == "integer" && theirs.contains("number"));
        if let Some(odd) = ours.iter().find(|one| !taken(one)) {
            return Err(format!("it can be {odd}, but {} is needed", target.describe()));
        }
        if let Some(words) = target.words() {
            let wanted = || words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match self.words() {
                Some(mine) => {
                    if let Some(odd) = mine.iter().find(|word| !words.contains(*word)) {
                        return Err(format!("it can be {odd}, but only {} is taken", wanted()));
                    }
                }
                None => {
                    return Err(format!(
                        "it can be any {}, but only {} is taken; list the values with `enum`",
                        self.describe(),
                        wanted()
                    ));
                }
            }
        }
        let ((mine, _), (wants, _)) = (self.object(), target.object());
        if let (Some(given), Some(wanted)) = (mine.properties(), wants.properties()) {
            if let Some(missing) = wants.required().find(|name| !given.contains_key(*name) || !mine.requires(name)) {
                return Err(format!("its `{missing}` may be absent, but is needed"));
            }
            for (name, node) in given {
                match wanted.get(name) {
                    Some(other) => {
                        mine.at(node).fits(wants.at(other), depth + 1).map_err(|why| format!("its `{name}`: {why}"))?
                    }
                    None if wants.node.get("additionalProperties") == Some(&Json::Bool(false)) => {
                        return Err(format!("its `{name}` is not wanted"));
                    }
                    None => {}
                }
            }
        }
        match (self.node.get("items"), target.node.get("items")) {
            (Some(mine), Some(other)) => {
                self.at(mine).fits(target.at(other), depth + 1).map_err(|why| format!("its entries: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a value is one of this schema; the error begins with the place.
    pub fn check(self, value: &Json, at: &str, depth: usize) -> Result<(), String> {
        let variants = self.variants();
        if variants.len() > 1 || variants.first().is_some_and(|only| !std::ptr::eq(only.node, self.node)) {
            let mut first = None;
            for variant in variants {
                match variant.check(value, at, depth + 1) {
                    Ok(()) => return Ok(()),
                    Err(why) => first = first.or(Some(why)),
                }
            }
            return Err(first.unwrap_or_else(|| format!("{at} does not fit")));
        }
        if depth > DEPTH {
            return Err(format!("{at} is nested too deep"));
        }
        if let Some(types) = self.types() {
            let is = kind(value);
            if !(types.contains(is) || (is == "integer" && types.contains("number"))) {
                return Err(format!("{at} must be {}, not {is}", self.describe()));
            }
        }
        if let Some(words) = self.words()
            && !words.contains(&value)
        {
            return Err(format!(
                "{at} must be one of {}",
                words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ));
        }
        self.check_bounds(value, at)?;
        match value {
            Json::Array(list) => {
                let Some(items) = self.node.get("items") else { return Ok(()) };
                list.iter()
                    .enumerate()
                    .try_for_each(|(n, entry)| self.at(items).check(entry, &format!("{at}[{n}]"), depth + 1))
            }
            Json::Object(body) => {
                if let Some(missing) = self.required().find(|name| !body.contains_key(*name)) {
                    return Err(format!("{at}.{missing} is missing"));
                }
                body.iter().try_for_each(|(name, value)| {
                    let at = format!("{at}.{name}");
                    match (self.properties().and_then(|p| p.get(name)), self.node.get("additionalProperties")) {
                        (Some(node), _) | (None, Some(node @ Json::Object(_))) => {
                            self.at(node).check(value, &at, depth + 1)
                        }
                        (None, Some(Json::Bool(false))) => Err(format!("{at} is not wanted")),
                        _ => Ok(()),
                    }
                })
            }
            _ => Ok(()),
        }
    }

    fn check_bounds(self, value: &Json, at: &str) -> Result<(), String> {
        let bound = |name: &str| self.node.get(name).and_then(Json::as_f64);
        let (measure, least, most, what) = match value {
            Json::Number(number) => (number.as_f64().unwrap_or(f64::NAN), bound("minimum"), bound("maximum"), ""),
            Json::String(text) => (count(text.chars().count()), bound("minLength"), bound("maxLength"), " characters"),
            Json::Array(list) => (count(list.len()), bound("minItems"), bound("maxItems"), " entries"),
            _ => return Ok(()),
        };
        match (least, most) {
            (Some(least), _) if measure < least => Err(format!("{at} must be at least {least}{what}")),
            (_, Some(most)) if measure > most => Err(format!("{at} must be at most {most}{what}")),
            _ => Ok(()),
        }
    }
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Sees to it that an `input` schema uses only what is understood here.
pub(crate) fn check_keywords(schema: &Json, at: &str, depth: usize) -> Result<(), String> {
    let Json::Object(body) = schema else {
        return if schema.is_boolean() { Ok(()) } else { Err(format!("{at} is no schema")) };
    };
    if depth > DEPTH {
        return Err(format!("{at} is nested too deep"));
    }
    for (name, value) in body {
        match name.as_str() {
            "properties" => {
                let Json::Object(properties) = value else { return Err(format!("{at}.properties must be an object")) };
                properties.iter().try_for_each(|(name, schema)| {
                    check_keywords(schema, &format!("{at}.properties.{name}"), depth + 1)
                })?;
            }
            "items" | "additionalProperties" => check_keywords(value, &format!("{at}.{name}"), depth + 1)?,
            "type" => {
                let named = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
                if let Some(odd) = named.into_iter().find(|one| !one.as_str().is_some_and(|one| TYPES.contains(&one))) {
                    return Err(format!("{at}.type: there is no type {odd}"));
                }
            }
            known if KEYWORDS.contains(&known) => {}
            _ => {
                return Err(format!("{at}: the keyword `{name}` is not understood; there are {}", KEYWORDS.join(", ")));
            }
        }
    }
    Ok(())
}
