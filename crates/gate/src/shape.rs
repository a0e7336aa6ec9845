//! Shapes: what attributes a TM Forum document has, their types, which are
//! mandatory and what they refer to. Checked the same way for every kind.

use base::{Error, Result, limits};
use db::Record;
use serde_json::{Map, Value as Json};

use crate::Tx;

/// The attributes of a document or of a part of one.
#[derive(Debug)]
pub struct Shape {
    /// The TMF type name, for example `ProductOffering`; an `@type` that says
    /// something else marks an extension, whose further attributes are kept.
    pub name: &'static str,
    /// The attributes.
    pub fields: &'static [Field],
}

/// One attribute.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a list.
    pub many: bool,
    /// Whether a document without it is refused.
    pub required: bool,
    /// Whether only the platform sets it; what a caller sends is refused.
    pub read_only: bool,
    /// What it holds.
    pub of: Type,
}

/// What an attribute holds.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Text.
    Text,
    /// Text, one of these words.
    Word(&'static [&'static str]),
    /// A JSON number.
    Number,
    /// A whole JSON number.
    Integer,
    /// `true` or `false`.
    Flag,
    /// An RFC 3339 date and time.
    Time,
    /// Anything.
    Any,
    /// An object of that shape.
    Part(&'static Shape),
    /// A reference object: `id` is mandatory and, where kinds are named, a
    /// record of one of them must exist within sight of the actor's tenant.
    Ref(&'static [&'static str]),
}

impl Field {
    /// An optional attribute.
    pub const fn new(name: &'static str, of: Type) -> Field {
        Field { name, many: false, required: false, read_only: false, of }
    }
    /// A list.
    pub const fn many(self) -> Field {
        Field { many: true, ..self }
    }
    /// Mandatory.
    pub const fn required(self) -> Field {
        Field { required: true, ..self }
    }
    /// Set by the platform only.
    pub const fn read_only(self) -> Field {
        Field { read_only: true, ..self }
    }
}

/// Attributes that every TMF document and part may carry.
const META: [&str; 5] = ["id", "href", "@type", "@baseType", "@schemaLocation"];
/// And those of every reference.
const REF: [&str; 6] = ["name", "role", "version", "@referredType", "description", "number"];

impl Shape {
    /// Checks a document; collects its references for [`check_references`].
    ///
    /// # Errors
    /// `Invalid` naming the attribute that is missing or wrong.
    pub fn check<'j>(&self, body: &'j Map<String, Json>, references: &mut Vec<Reference<'j>>) -> Result<()> {
        self.object(body, "", references)
    }

    fn object<'j>(&self, body: &'j Map<String, Json>, at: &str, references: &mut Vec<Reference<'j>>) -> Result<()> {
        for field in self.fields {
            match body.get(field.name) {
                None | Some(Json::Null) if field.required => {
                    return Err(Error::invalid("attribute.missing", format!("`{}` is mandatory", field.name)).at(join(at, field.name)));
                }
                None | Some(Json::Null) => {}
                Some(json) => field.check(json, &join(at, field.name), references)?,
            }
        }
        let extended = body.get("@type").and_then(Json::as_str).is_some_and(|name| name != self.name);
        let unknown = body.keys().find(|name| !META.contains(&name.as_str()) && self.fields.iter().all(|f| f.name != name.as_str()));
        match unknown {
            Some(name) if !extended => Err(Error::invalid(
                "attribute.unknown",
                format!("{} has no attribute `{name}`; to extend it, name your extension in `@type`", self.name),
            )
            .at(join(at, name))),
            _ => Ok(()),
        }
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// A reference found in a document.
#[derive(Debug)]
pub struct Reference<'j> {
    /// Where it stands.
    pub at: String,
    /// The kinds that it may point to.
    pub kinds: &'static [&'static str],
    /// What it points to.
    pub id: &'j str,
}

impl Field {
    fn check<'j>(&self, json: &'j Json, at: &str, references: &mut Vec<Reference<'j>>) -> Result<()> {
        match (self.many, json) {
            (true, Json::Array(entries)) => entries.iter().enumerate().try_for_each(|(n, entry)| self.of.check(entry, &format!("{at}[{n}]"), references)),
            (true, _) => Err(Error::invalid("attribute.type", "a list is needed here").at(at)),
            (false, one) => self.of.check(one, at, references),
        }
    }
}

impl Type {
    fn check<'j>(self, json: &'j Json, at: &str, references: &mut Vec<Reference<'j>>) -> Result<()> {
        let wrong = |needed: &str| Err(Error::invalid("attribute.type", format!("{needed} is needed here")).at(at));
        match (self, json) {
            (Type::Any, _) | (Type::Number, Json::Number(_)) | (Type::Flag, Json::Bool(_)) | (Type::Text, Json::String(_)) => Ok(()),
            (Type::Integer, Json::Number(n)) if n.is_i64() => Ok(()),
            (Type::Time, Json::String(text)) => base::time::parse(text, at).map(drop),
            (Type::Word(words), Json::String(text)) if words.contains(&text.as_str()) => Ok(()),
            (Type::Part(shape), Json::Object(body)) => shape.object(body, at, references),
            (Type::Ref(kinds), Json::Object(body)) => reference(kinds, body, at, references),
            (Type::Text, _) => wrong("text"),
            (Type::Number, _) => wrong("a number"),
            (Type::Integer, _) => wrong("a whole number"),
            (Type::Flag, _) => wrong("true or false"),
            (Type::Time, _) => wrong("a date and time"),
            (Type::Word(words), _) => wrong(&format!("one of {}", words.join(", "))),
            (Type::Part(_) | Type::Ref(_), _) => wrong("an object"),
        }
    }
}

fn reference<'j>(kinds: &'static [&'static str], body: &'j Map<String, Json>, at: &str, references: &mut Vec<Reference<'j>>) -> Result<()> {
    let Some(Json::String(id)) = body.get("id") else {
        return Err(Error::invalid("attribute.missing", "a reference needs the `id` of what it points to").at(join(at, "id")));
    };
    let extended = body.get("@type").is_some();
    if let Some(name) = body.keys().find(|name| !extended && !META.contains(&name.as_str()) && !REF.contains(&name.as_str())) {
        return Err(Error::invalid("attribute.unknown", format!("a reference has no attribute `{name}`")).at(join(at, name)));
    }
    if !kinds.is_empty() {
        references.push(Reference { at: join(at, "id"), kinds, id });
    }
    Ok(())
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Sees to it that every reference leads to a record within the actor's sight.
///
/// # Errors
/// `Dangling` naming the first that does not.
pub fn check_references(tx: &mut Tx<'_>, references: &[Reference<'_>]) -> Result<()> {
    for reference in references {
        let mut found: Option<Record> = None;
        for kind in reference.kinds {
            found = match found {
                None => db::records::load(tx, kind, reference.id)?,
                kept => kept,
            };
        }
        let seen = found.is_some_and(|record| match tx.cx().relation(record.tenant) {
            crate::Relation::Own | crate::Relation::Below => true,
            crate::Relation::Above => record.class == db::Class::Public,
            crate::Relation::Elsewhere => false,
        });
        if !seen {
            return Err(Error::dangling("reference.dangling", format!("there is no {} {}", reference.kinds.join(" or "), reference.id)).at(&reference.at));
        }
    }
    Ok(())
}

/// Refuses documents nested deeper than [`limits::JSON_DEPTH_MAX`].
///
/// # Errors
/// `Invalid` (`document.too_deep`).
pub fn check_depth(json: &Json) -> Result<()> {
    fn depth(json: &Json) -> usize {
        match json {
            Json::Array(entries) => 1 + entries.iter().map(depth).max().unwrap_or(0),
            Json::Object(body) => 1 + body.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    if depth(json) > limits::JSON_DEPTH_MAX {
        return Err(Error::invalid("document.too_deep", format!("the document is nested more than {} deep", limits::JSON_DEPTH_MAX)));
    }
    Ok(())
}
