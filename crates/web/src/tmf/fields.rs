//! `fields`: which attributes of a document are wanted.

use base::{Error, Result, limits};
use gate::Kind;
use serde_json::{Map, Value as Json};

use super::query;

/// Wanted attributes, as a tree; one that ends is wanted whole.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Fields(Vec<(String, Fields)>);

impl Fields {
    /// Reads `name,relatedParty.id,…`.
    ///
    /// # Errors
    /// `Invalid` for an attribute that the kind does not have.
    pub fn parse(kind: &Kind, text: &str) -> Result<Fields> {
        let mut fields = Fields::default();
        for (n, path) in text.split(',').map(str::trim).filter(|path| !path.is_empty()).enumerate() {
            let extension = !path.contains('.') && path.starts_with('@');
            if n >= limits::FIELDS_MAX || (query::leaf(kind.shape, path).is_none() && !extension) {
                return Err(
                    Error::invalid("fields.unknown", format!("{} has no attribute `{path}`", kind.name)).at("fields")
                );
            }
            fields.add(path);
        }
        Ok(fields)
    }

    fn add(&mut self, path: &str) {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let at = self.0.iter().position(|(name, _)| name == first);
        match (at, rest) {
            (None, "") => self.0.push((first.to_owned(), Fields::default())),
            (None, rest) => {
                let mut inner = Fields::default();
                inner.add(rest);
                self.0.push((first.to_owned(), inner));
            }
            (Some(at), "") => self.0[at].1 = Fields::default(),
            (Some(at), rest) if !self.0[at].1.0.is_empty() => self.0[at].1.add(rest),
            // Wanted whole already.
            (Some(_), _) => {}
        }
    }

    /// The wanted part of a document; `id`, `href` and `@type` always.
    pub fn of(&self, body: &Map<String, Json>) -> Map<String, Json> {
        let always = ["id", "href", "@type"];
        let kept = body.iter().filter(|(name, _)| always.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone()));
        let wanted = self.0.iter().filter_map(|(name, inner)| Some((name.clone(), inner.cut(body.get(name)?))));
        kept.chain(wanted).collect()
    }

    fn cut(&self, json: &Json) -> Json {
        match json {
            _ if self.0.is_empty() => json.clone(),
            Json::Object(body) => Json::Object(self.of(body)),
            Json::Array(entries) => Json::Array(entries.iter().map(|entry| self.cut(entry)).collect()),
            other => other.clone(),
        }
    }
}
