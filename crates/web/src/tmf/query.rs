//! Reads the query of a list: filters, `fields`, `sort`, `offset`, `limit`, `cursor`.
//!
//! Pure: it knows the kind's shape and keys, not the database. What it cannot
//! honour is refused by name; nothing that was asked for is silently ignored.

use std::collections::BTreeMap;

use base::{Error, Result, limits};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use db::Record;
use db::records::{Condition, Key, KeyType, Op, sortable};
use gate::Kind;
use gate::shape::{META, REFERENCE, Shape, Type};
use regex::Regex;
use serde_json::Value as Json;

use super::fields::Fields;

/// A list as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub filters: Vec<Filter>,
    pub fields: Option<Fields>,
    /// A declared path, none for the order in which records were made.
    pub sort: Option<&'static str>,
    pub descending: bool,
    pub offset: u64,
    pub limit: u32,
    pub after: Option<(String, String)>,
    /// The parameters that a next page repeats, as they came.
    pub repeated: String,
}

/// One condition; a record holds it if any of its values at the path does.
#[derive(Debug)]
pub(crate) struct Filter {
    pub path: String,
    pub of: KeyType,
    pub indexed: bool,
    pub test: Test,
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Test {
    /// Compares with any of these, in their sortable form.
    Compare(Op, Vec<String>),
    /// Matches.
    Regex(Regex),
}

impl Filter {
    /// As a condition for the database, where that can decide it.
    pub fn condition(&self) -> Option<Condition> {
        match &self.test {
            Test::Compare(op, values) if self.indexed => {
                Some(Condition { path: self.path.clone(), op: *op, values: values.clone() })
            }
            _ => None,
        }
    }

    /// Whether a record holds it.
    pub fn holds(&self, kind: &Kind, record: &Record) -> bool {
        let default = Json::from(kind.shape.name);
        let mut found = record.values(&self.path);
        if found.is_empty() && self.path == "@type" {
            found.push(&default);
        }
        found.into_iter().filter_map(|json| sortable(self.of, json)).any(|value| match &self.test {
            Test::Compare(op, wanted) => wanted.iter().any(|w| compare(*op, &value, w)),
            Test::Regex(regex) => regex.is_match(&value),
        })
    }
}

fn compare(op: Op, value: &str, wanted: &str) -> bool {
    match op {
        Op::Eq => value == wanted,
        Op::Gt => value > wanted,
        Op::Gte => value >= wanted,
        Op::Lt => value < wanted,
        Op::Lte => value <= wanted,
    }
}

const OPERATORS: [(&str, Op); 5] =
    [(".eq", Op::Eq), (".gte", Op::Gte), (".gt", Op::Gt), (".lte", Op::Lte), (".lt", Op::Lt)];

/// Reads a raw query string for a list of `kind`.
///
/// # Errors
/// `Invalid` naming the parameter.
pub(crate) fn parse(kind: &Kind, raw: &str) -> Result<Asked> {
    let mut asked = Asked {
        filters: Vec::new(),
        fields: None,
        sort: None,
        descending: false,
        offset: 0,
        limit: limits::PAGE_DEFAULT,
        after: None,
        repeated: String::new(),
    };
    let (mut cursor, mut offset_given) = (None, false);
    let mut equal: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (pair, name, value) in pairs(raw)? {
        match name.as_str() {
            "fields" => asked.fields = Some(Fields::parse(kind, &value)?),
            "offset" => (asked.offset, offset_given) = (number(&name, &value, limits::OFFSET_MAX)?, true),
            "limit" => asked.limit = number(&name, &value, u64::MAX)?.min(u64::from(limits::PAGE_MAX)) as u32,
            "sort" => (asked.sort, asked.descending) = sort(kind, &value)?,
            "cursor" => cursor = Some(value),
            _ => match read_filter(kind, &name, &value)? {
                (path, Test::Compare(Op::Eq, values)) => equal.entry(path).or_default().extend(values),
                (path, test) => asked.filters.push(filter(kind, path, test)?),
            },
        }
        if !matches!(name.as_str(), "offset" | "cursor") {
            asked.repeated.push_str(pair);
            asked.repeated.push('&');
        }
    }
    for (path, values) in equal {
        asked.filters.push(filter(kind, path, Test::Compare(Op::Eq, values))?);
    }
    let alternatives: usize =
        asked.filters.iter().map(|f| if let Test::Compare(_, v) = &f.test { v.len() } else { 1 }).sum();
    if asked.filters.len() > limits::FILTERS_MAX || alternatives > limits::ALTERNATIVES_MAX {
        return Err(Error::invalid("filter.too_many", format!("a list takes at most {} filters", limits::FILTERS_MAX)));
    }
    if let Some(cursor) = cursor {
        if offset_given {
            return Err(Error::invalid("cursor.with_offset", "`cursor` and `offset` exclude each other").at("cursor"));
        }
        asked.after = Some(read_cursor(&asked.repeated, &cursor)?);
    }
    Ok(asked)
}

/// The `fields` of a GET by id; other parameters are refused.
///
/// # Errors
/// `Invalid` naming the parameter.
pub(crate) fn parse_fields(kind: &Kind, raw: &str) -> Result<Option<Fields>> {
    let mut fields = None;
    for (_, name, value) in pairs(raw)? {
        match name.as_str() {
            "fields" => fields = Some(Fields::parse(kind, &value)?),
            _ => return Err(Error::invalid("query.unknown", format!("there is no parameter `{name}` here")).at(name)),
        }
    }
    Ok(fields)
}

/// Each `name=value`, as it came and decoded.
pub(crate) fn pairs(raw: &str) -> Result<Vec<(&str, String, String)>> {
    if raw.len() > limits::QUERY_BYTES_MAX {
        return Err(Error::invalid(
            "query.too_long",
            format!("the query is longer than {} bytes", limits::QUERY_BYTES_MAX),
        ));
    }
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((pair, decode(name)?, decode(value)?))
        })
        .collect()
}

/// Undoes percent-encoding; `+` is a space.
///
/// # Errors
/// `Invalid` where the result is not UTF-8 or a sequence is broken.
pub(crate) fn decode(text: &str) -> Result<String> {
    let broken = || Error::invalid("query.encoding", "the address is not properly percent-encoded UTF-8");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(broken);
                let (high, low) = (digit()?, digit()?);
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    let text = String::from_utf8(out).map_err(|_| broken())?;
    if text.contains('\0') { Err(broken()) } else { Ok(text) }
}

fn number(name: &str, value: &str, most: u64) -> Result<u64> {
    match value.parse::<u64>() {
        Ok(number) if number <= most => Ok(number),
        Ok(_) => Err(Error::invalid(
            "query.range",
            format!("`{name}` reaches at most {most}; follow the next link to go further"),
        )
        .at(name)),
        Err(_) => {
            Err(Error::invalid("query.number", format!("`{name}` must be a whole number that is not negative"))
                .at(name))
        }
    }
}

fn sort(kind: &Kind, value: &str) -> Result<(Option<&'static str>, bool)> {
    let (path, descending) = match value.strip_prefix('-') {
        Some(path) => (path, true),
        None => (value.strip_prefix('+').unwrap_or(value).trim_start(), false),
    };
    if path == "id" {
        return Ok((None, descending));
    }
    let sortable = |key: &&Key| !crosses_list(kind.shape, key.path);
    match kind.keys.iter().filter(sortable).find(|key| key.path == path) {
        Some(key) => Ok((Some(key.path), descending)),
        None => {
            let known: Vec<&str> = kind.keys.iter().filter(sortable).map(|key| key.path).collect();
            let message = format!("{} can be sorted by one of id, {}", kind.name, known.join(", "));
            Err(Error::invalid("sort.unindexed", message).at("sort"))
        }
    }
}

/// Whether a record can have several values there.
pub(crate) fn crosses_list(shape: &Shape, path: &str) -> bool {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match shape.field(first) {
        Some(field) if field.many => true,
        Some(field) => match (field.of, rest) {
            (Type::Part(inner), Some(rest)) => crosses_list(inner, rest),
            _ => false,
        },
        None => false,
    }
}

fn read_filter(kind: &Kind, name: &str, value: &str) -> Result<(String, Test)> {
    let operator = OPERATORS.iter().find_map(|(suffix, op)| name.strip_suffix(suffix).map(|path| (path, *op)));
    // An attribute that is itself called `gt` would win over the operator.
    let (path, op) = match operator {
        Some((path, op)) if leaf(kind.shape, name).is_none() => (path, op),
        _ => (name, Op::Eq),
    };
    if let Some(path) = name.strip_suffix(".regex").filter(|_| leaf(kind.shape, name).is_none()) {
        return Ok((path.to_owned(), Test::Regex(regex(name, value)?)));
    }
    let mut wanted = Vec::new();
    for text in alternatives(value) {
        let of = key_type(kind, path)?;
        let text = if of == KeyType::Time { text.replace(' ', "+") } else { text };
        let fits = sortable(of, &Json::String(text.clone())).ok_or_else(|| {
            let needed = match of {
                KeyType::Time => "a date and time",
                KeyType::Number => "a number",
                _ => "true or false",
            };
            Error::invalid("filter.value", format!("`{text}` is not {needed}")).at(name)
        })?;
        wanted.push(fits);
    }
    Ok((path.to_owned(), Test::Compare(op, wanted)))
}

fn filter(kind: &Kind, path: String, test: Test) -> Result<Filter> {
    let of = key_type(kind, &path)?;
    let indexed = path == "id" || kind.keys.iter().any(|key| key.path == path);
    if !indexed && matches!(test, Test::Regex(_)) {
        let known: Vec<&str> = kind.keys.iter().map(|key| key.path).collect();
        let message = format!("patterns are looked for in indexed attributes only: {}", known.join(", "));
        return Err(Error::invalid("filter.regex_unindexed", message).at(path));
    }
    Ok(Filter { path, of, indexed, test })
}

fn regex(name: &str, value: &str) -> Result<Regex> {
    let refused = |why: String| Error::invalid("filter.regex", why).at(name);
    if value.len() > limits::PATTERN_BYTES_MAX {
        return Err(refused(format!("a pattern has at most {} bytes", limits::PATTERN_BYTES_MAX)));
    }
    regex::RegexBuilder::new(value)
        .size_limit(limits::PATTERN_SIZE_MAX)
        .dfa_size_limit(limits::PATTERN_SIZE_MAX)
        .nest_limit(32)
        .build()
        .map_err(|e| refused(e.to_string()))
}

/// Splits at commas; `\,` is a comma that stays.
fn alternatives(value: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if matches!(letters.peek(), Some(',' | '\\')) => {
                out.last_mut().map(|last| last.extend(letters.next())).unwrap_or(())
            }
            ',' => out.push(String::new()),
            other => out.last_mut().map(|last| last.push(other)).unwrap_or(()),
        }
    }
    out
}

/// How values at a path compare.
fn key_type(kind: &Kind, path: &str) -> Result<KeyType> {
    if let Some(key) = kind.keys.iter().find(|key| key.path == path) {
        return Ok(key.of);
    }
    match leaf(kind.shape, path) {
        Some(Type::Number | Type::Integer) => Ok(KeyType::Number),
        Some(Type::Time) => Ok(KeyType::Time),
        Some(Type::Flag) => Ok(KeyType::Flag),
        Some(Type::Part(_) | Type::Ref(_)) => {
            Err(Error::invalid("filter.object", format!("`{path}` is an object; name an attribute inside it")).at(path))
        }
        Some(_) => Ok(KeyType::Text),
        None => Err(Error::invalid("query.unknown", format!("{} has no attribute `{path}`", kind.name)).at(path)),
    }
}

/// What stands at a dotted path.
pub(crate) fn leaf(shape: &Shape, path: &str) -> Option<Type> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let of = match shape.field(first) {
        Some(field) => field.of,
        None if META.contains(&first) => Type::Text,
        None => return None,
    };
    match (of, rest) {
        (of, None) => Some(of),
        (Type::Part(inner), Some(rest)) => leaf(inner, rest),
        (Type::Ref(_), Some(rest)) => (META.contains(&rest) || REFERENCE.contains(&rest)).then_some(Type::Text),
        (Type::Any, Some(_)) => Some(Type::Any),
        _ => None,
    }
}

/// A place in a list: after the record `id` with that sort value. It belongs to
/// one list, so it carries a mark of the parameters that it was made for.
pub(crate) fn write_cursor(repeated: &str, value: &str, id: &str) -> String {
    BASE64.encode(format!("{}\n{id}\n{value}", mark(repeated)))
}

fn read_cursor(repeated: &str, cursor: &str) -> Result<(String, String)> {
    let foreign =
        || Error::invalid("cursor.foreign", "this cursor belongs to another list; begin again without it").at("cursor");
    let text = BASE64.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(foreign)?;
    let mut parts = text.splitn(3, '\n');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(marked), Some(id), Some(value)) if marked == mark(repeated) && !text.contains('\0') => {
            Ok((value.to_owned(), id.to_owned()))
        }
        _ => Err(foreign()),
    }
}

/// Eight hexadecimal digits of what decides the order and the choice of a list; not its page size.
fn mark(repeated: &str) -> String {
    let decisive: Vec<&str> =
        repeated.split('&').filter(|pair| !pair.starts_with("limit=") && !pair.starts_with("fields=")).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, decisive.join("&").as_bytes());
    digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
