//! Reading records for a page: the kinds' own actions, and texts out of their
//! documents.

use crate::i18n::Lang;
use crate::visit::Signed;
use base::{Error, Result};
use db::Record;
use db::records::{Condition, Op, Query};
use gate::Kind;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeSet, HashMap};

/// Rows that a list page shows at once.
pub(crate) const ROWS: u32 = 25;

/// What a list asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// (declared path, any of these values)
    pub conditions: Vec<(&'static str, Vec<String>)>,
    /// The id after which to go on; empty for the first page.
    pub after: String,
    pub limit: u32,
}

/// A page of records, newest first.
#[derive(Debug)]
pub(crate) struct Rows {
    pub records: Vec<Record>,
    /// The id to go on after, where there are more.
    pub next: Option<String>,
    /// How many match altogether, where that is cheap to know.
    pub total: Option<u64>,
}

impl Signed {
    /// Runs blocking work of the gate.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&gate::Gate, &gate::Cx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (gate, cx) = (self.portal.gate.clone(), self.cx.clone());
        tokio::task::spawn_blocking(move || work(&gate, &cx))
            .await
            .unwrap_or_else(|e| Err(Error::bug("task.panic", "a task stopped on a broken invariant").because(e)))
    }

    /// Runs an action by its name, with JSON in and out.
    pub(crate) async fn named<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
        input: Json,
    ) -> Result<T> {
        self.blocking(move |gate, cx| {
            let action = gate
                .catalogue()
                .find(name)
                .ok_or_else(|| Error::bug("action.absent", format!("there is no action {name}")))?;
            let output = action.run_json(gate, cx, input)?;
            serde_json::from_value(output).map_err(|e| {
                Error::bug("action.output", format!("{name} gave what a page cannot read: {e}")).because(e)
            })
        })
        .await
    }

    /// Reads one record.
    pub(crate) async fn get(&self, kind: &'static Kind, id: &str) -> Result<Record> {
        let id = id.to_owned();
        self.blocking(move |gate, cx| kind.get(gate, cx, &id)).await
    }

    /// Reads a page of records, newest first.
    pub(crate) async fn list(&self, kind: &'static Kind, ask: Ask) -> Result<Rows> {
        self.blocking(move |gate, cx| rows(gate, cx, kind, &ask)).await
    }
}

/// [`Signed::list`] for code that blocks already.
pub(crate) fn rows(gate: &gate::Gate, cx: &gate::Cx, kind: &'static Kind, ask: &Ask) -> Result<Rows> {
    let limit = ask.limit.clamp(1, 200);
    let asked = ask.clone();
    let page = kind.list(gate, cx, true, move |scope| Query {
        kind: kind.name,
        scope,
        conditions: asked
            .conditions
            .iter()
            .map(|(path, values)| Condition { path: (*path).to_owned(), op: Op::Eq, values: values.clone() })
            .collect(),
        sort: None,
        descending: true,
        after: (!asked.after.is_empty()).then(|| (String::new(), asked.after.clone())),
        offset: 0,
        limit,
    })?;
    let records: Vec<Record> = page.records.into_iter().map(|(record, _)| record).collect();
    let next = if page.more { records.last().map(|r| r.id.clone()) } else { None };
    Ok(Rows { records, next, total: page.total })
}

/// The language's name in the catalog's translations.
pub(crate) const fn tongue(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "zh-TW",
        Lang::En => "en",
    }
}

/// A text of a document in the reader's language, or as it is written.
pub(crate) fn said(lang: Lang, body: &Map<String, Json>, attribute: &str) -> String {
    let foreign = body.get("translation").and_then(|t| t.get(tongue(lang))).and_then(|t| t.get(attribute));
    foreign.or_else(|| body.get(attribute)).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// [`said`] of a part of a document.
pub(crate) fn said_in(lang: Lang, part: &Json, attribute: &str) -> String {
    part.as_object().map(|body| said(lang, body, attribute)).unwrap_or_default()
}

/// The text under `name`, or nothing.
pub(crate) fn text<'j>(part: &'j Json, name: &str) -> &'j str {
    part.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// The text at a dotted path of a record.
pub(crate) fn at<'r>(record: &'r Record, path: &str) -> &'r str {
    record.at(path).and_then(Json::as_str).unwrap_or_default()
}

/// The entries of the list called `name`.
pub(crate) fn entries<'j>(body: &'j Map<String, Json>, name: &str) -> &'j [Json] {
    body.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// A characteristic's value as people read it.
pub(crate) fn value(json: &Json, yes: &str, no: &str) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Bool(true) => yes.to_owned(),
        Json::Bool(false) => no.to_owned(),
        Json::Null => String::new(),
        Json::Array(list) => list.iter().map(|entry| value(entry, yes, no)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What records are called in the reader's language, by id; those that the
/// visitor may not read are left out.
pub(crate) async fn called(s: &Signed, kind: &'static Kind, ids: BTreeSet<String>) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for id in ids.into_iter().filter(|id| !id.is_empty()) {
        if let Ok(record) = s.get(kind, &id).await {
            names.insert(id, said(s.p().lang, &record.body, "name"));
        }
    }
    names
}
