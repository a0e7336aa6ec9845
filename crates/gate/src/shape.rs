//! Shapes: what attributes a TM Forum document has, their types, which are
//! mandatory and what they refer to. Checked the same way for every kind.
//!
//! What a caller may say is decided here too: an attribute that only the
//! platform sets ([`Field::read_only`], at first [`Field::moved`]) or that stays
//! as it was made ([`Field::fixed`]) is refused by [`Shape::check_new`] and
//! [`Shape::check_change`] before the document is looked at as a whole.

// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod parts;

use base::{Error, Result, limits};
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
    /// Whether it stays as it was when the record was made.
    pub fixed: bool,
    /// Whether it begins where the platform says, and then moves by the kind's
    /// life cycle and rules: the state of an order.
    pub moved: bool,
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
    /// Text: the identifier of a record of one of these kinds, which must exist
    /// within sight. Where there are several kinds, an `@referredType` beside it
    /// says which; one that is none of them points to something kept elsewhere.
    Id(&'static [&'static str]),
}

/// Text.
pub const fn text(name: &'static str) -> Field {
    Field::new(name, Type::Text)
}
/// Text, one of `words`.
pub const fn word(name: &'static str, words: &'static [&'static str]) -> Field {
    Field::new(name, Type::Word(words))
}
/// A number.
pub const fn number(name: &'static str) -> Field {
    Field::new(name, Type::Number)
}
/// A whole number.
pub const fn integer(name: &'static str) -> Field {
    Field::new(name, Type::Integer)
}
/// True or false.
pub const fn flag(name: &'static str) -> Field {
    Field::new(name, Type::Flag)
}
/// A date and time.
pub const fn time(name: &'static str) -> Field {
    Field::new(name, Type::Time)
}
/// Anything.
pub const fn any(name: &'static str) -> Field {
    Field::new(name, Type::Any)
}
/// An object of that shape.
pub const fn part(name: &'static str, shape: &'static Shape) -> Field {
    Field::new(name, Type::Part(shape))
}
/// A list of objects of that shape.
pub const fn parts(name: &'static str, shape: &'static Shape) -> Field {
    part(name, shape).many()
}
/// A reference to a record of one of `kinds`; to anything where none is named.
pub const fn reference(name: &'static str, kinds: &'static [&'static str]) -> Field {
    Field::new(name, Type::Ref(kinds))
}
/// A list of references.
pub const fn refs(name: &'static str, kinds: &'static [&'static str]) -> Field {
    reference(name, kinds).many()
}
/// The identifier of a record of one of `kinds`.
pub const fn id_of(name: &'static str, kinds: &'static [&'static str]) -> Field {
    Field::new(name, Type::Id(kinds))
}

impl Field {
    /// An optional attribute.
    pub const fn new(name: &'static str, of: Type) -> Field {
        Field { name, many: false, required: false, read_only: false, fixed: false, moved: false, of }
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
    /// Stays as it was made.
    pub const fn fixed(self) -> Field {
        Field { fixed: true, ..self }
    }
    /// Begins where the platform says, and moves by the life cycle.
    pub const fn moved(self) -> Field {
        Field { moved: true, ..self }
    }
    /// Whether the document that makes a record may not hold it.
    pub fn not_at_first(&self) -> bool {
        self.read_only || self.moved
    }
}

/// Attributes that every TMF document and part may carry.
pub const META: [&str; 6] = ["id", "href", "@type", "@baseType", "@schemaLocation", "@referredType"];
/// And those of every reference.
pub const REFERENCE: [&str; 5] = ["name", "role", "version", "description", "number"];

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
                    return Err(Error::invalid("attribute.missing", format!("`{}` is mandatory", field.name))
                        .at(join(at, field.name)));
                }
                None | Some(Json::Null) => {}
                Some(json) => field.check(json, body, &join(at, field.name), references)?,
            }
        }
        if let Some(name) = META.iter().find(|name| body.get(**name).is_some_and(|json| !json.is_string())) {
            return Err(Error::invalid("attribute.type", "text is needed here").at(join(at, name)));
        }
        if body.get("@type").and_then(Json::as_str) == Some("") {
            return Err(Error::invalid("attribute.empty", "a type has a name").at(join(at, "@type")));
        }
        let extended = body.get("@type").and_then(Json::as_str).is_some_and(|name| name != self.name);
        let unknown = body
            .keys()
            .find(|name| !META.contains(&name.as_str()) && self.fields.iter().all(|f| f.name != name.as_str()));
        match unknown {
            Some(name) if !extended => Err(Error::invalid(
                "attribute.unknown",
                format!("{} has no attribute `{name}`; to extend it, name your extension in `@type`", self.name),
            )
            .at(join(at, name))),
            _ => Ok(()),
        }
    }

    /// Takes out attributes that are `null`: absent and `null` are the same.
    pub fn prune(&self, body: &mut Map<String, Json>) {
        body.retain(|_, json| !json.is_null());
        for field in self.fields {
            let Type::Part(shape) = field.of else { continue };
            match body.get_mut(field.name) {
                Some(Json::Object(inner)) => shape.prune(inner),
                Some(Json::Array(entries)) => {
                    entries.iter_mut().filter_map(Json::as_object_mut).for_each(|inner| shape.prune(inner))
                }
                _ => {}
            }
        }
    }

    /// Checks what a caller sends to make a record: nothing that only the
    /// platform sets. `id`, `href` and `lastUpdate` are let through, to be
    /// overwritten, so that a document read elsewhere can be sent as it is.
    ///
    /// # Errors
    /// `Invalid` (`attribute.read_only`) naming the attribute.
    pub fn check_new(&self, body: &Map<String, Json>) -> Result<()> {
        match self
            .fields
            .iter()
            .find(|field| field.not_at_first() && field.name != LAST_UPDATE && body.contains_key(field.name))
        {
            Some(field) => Err(set_by_platform(field)),
            None => Ok(()),
        }
    }

    /// Checks a merge patch against what the record is: what only the platform
    /// sets and what is fixed may be repeated, not changed.
    ///
    /// # Errors
    /// `Invalid` (`attribute.read_only`) naming the attribute.
    pub fn check_change(&self, before: &Map<String, Json>, patch: &Map<String, Json>) -> Result<()> {
        let changes = |field: &&Field| {
            (field.read_only || field.fixed)
                && patch.get(field.name).is_some_and(|new| new != before.get(field.name).unwrap_or(&Json::Null))
        };
        match self.fields.iter().find(changes) {
            Some(field) if field.read_only => Err(set_by_platform(field)),
            Some(field) => {
                Err(Error::invalid("attribute.read_only", format!("`{}` stays as it was made", field.name))
                    .at(field.name))
            }
            None => Ok(()),
        }
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// The attribute that says when a record was last changed; kept by [`Tx`] where a shape has it.
pub(crate) const LAST_UPDATE: &str = "lastUpdate";

fn set_by_platform(field: &Field) -> Error {
    Error::invalid("attribute.read_only", format!("`{}` is set by the platform", field.name)).at(field.name)
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
    /// `within` is the object that the attribute stands in.
    fn check<'j>(
        &self,
        json: &'j Json,
        within: &Map<String, Json>,
        at: &str,
        references: &mut Vec<Reference<'j>>,
    ) -> Result<()> {
        match (self.many, json) {
            (true, Json::Array(entries)) => entries
                .iter()
                .enumerate()
                .try_for_each(|(n, entry)| self.of.check(entry, within, &format!("{at}[{n}]"), references)),
            (true, _) => Err(Error::invalid("attribute.type", "a list is needed here").at(at)),
            (false, one) => self.of.check(one, within, at, references),
        }
    }
}

impl Type {
    fn check<'j>(
        self,
        json: &'j Json,
        within: &Map<String, Json>,
        at: &str,
        references: &mut Vec<Reference<'j>>,
    ) -> Result<()> {
        let wrong = |needed: &str| Err(Error::invalid("attribute.type", format!("{needed} is needed here")).at(at));
        match (self, json) {
            (Type::Any, _)
            | (Type::Number, Json::Number(_))
            | (Type::Flag, Json::Bool(_))
            | (Type::Text, Json::String(_)) => Ok(()),
            (Type::Integer, Json::Number(n)) if n.is_i64() => Ok(()),
            (Type::Time, Json::String(text)) => base::time::parse(text, at).map(drop),
            (Type::Word(words), Json::String(text)) if words.contains(&text.as_str()) => Ok(()),
            (Type::Part(shape), Json::Object(body)) => shape.object(body, at, references),
            (Type::Ref(kinds), Json::Object(body)) => check_reference(kinds, body, at, references),
            (Type::Id(kinds), Json::String(id)) => {
                refer(kinds, within, id, at.to_owned(), references);
                Ok(())
            }
            (Type::Text | Type::Id(_), _) => wrong("text"),
            (Type::Number, _) => wrong("a number"),
            (Type::Integer, _) => wrong("a whole number"),
            (Type::Flag, _) => wrong("true or false"),
            (Type::Time, _) => wrong("a date and time"),
            (Type::Word(words), _) => wrong(&format!("one of {}", words.join(", "))),
            (Type::Part(_) | Type::Ref(_), _) => wrong("an object"),
        }
    }
}

fn check_reference<'j>(
    kinds: &'static [&'static str],
    body: &'j Map<String, Json>,
    at: &str,
    references: &mut Vec<Reference<'j>>,
) -> Result<()> {
    let Some(Json::String(id)) = body.get("id") else {
        return Err(
            Error::invalid("attribute.missing", "a reference needs the `id` of what it points to").at(join(at, "id"))
        );
    };
    let extended = body.get("@type").is_some();
    if let Some(name) =
        body.keys().find(|name| !extended && !META.contains(&name.as_str()) && !REFERENCE.contains(&name.as_str()))
    {
        return Err(
            Error::invalid("attribute.unknown", format!("a reference has no attribute `{name}`")).at(join(at, name))
        );
    }
    refer(kinds, body, id, join(at, "id"), references);
    Ok(())
}

/// Notes a reference to be looked up; which of several kinds it means, `@referredType` may say.
fn refer<'j>(
    kinds: &'static [&'static str],
    within: &Map<String, Json>,
    id: &'j str,
    at: String,
    references: &mut Vec<Reference<'j>>,
) {
    let kinds = match within.get("@referredType").and_then(Json::as_str) {
        Some(named) if kinds.len() > 1 => match kinds.iter().position(|kind| kind.eq_ignore_ascii_case(named)) {
            Some(found) => &kinds[found..=found],
            None => &[],
        },
        _ => kinds,
    };
    if !kinds.is_empty() {
        references.push(Reference { at, kinds, id });
    }
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
        let mut found = None;
        for kind in reference.kinds {
            found = match found {
                None => db::records::owner(tx, kind, reference.id)?,
                kept => kept,
            };
        }
        let seen = found.is_some_and(|(tenant, class)| match tx.cx().relation(tenant) {
            crate::Relation::Own | crate::Relation::Below => true,
            crate::Relation::Above => class == db::Class::Public,
            crate::Relation::Elsewhere => false,
        });
        if !seen {
            return Err(Error::dangling(
                "reference.dangling",
                format!("there is no {} {}", reference.kinds.join(" or "), reference.id),
            )
            .at(&reference.at));
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
        return Err(Error::invalid(
            "document.too_deep",
            format!("the document is nested more than {} deep", limits::JSON_DEPTH_MAX),
        ));
    }
    Ok(())
}
