//! Kinds: a TM Forum resource as a value, and what can be done with its records.
//!
//! Adding a resource is a [`Kind`]: its shape, its keys, its state machine and
//! its rules. Create, get, list, change and delete are the same for all.

use base::{Error, Result, limits};
use db::records::{Key, Query, Scope};
use db::{Class, Record};
use serde_json::{Map, Value as Json};

use crate::shape::{self, Shape};
use crate::{Cx, Effect, Gate, Granted, Tx, audit};

/// What can be done with the records of a kind through its TMF routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// POST.
    Create,
    /// GET by id.
    Get,
    /// GET a page.
    List,
    /// PATCH.
    Update,
    /// DELETE.
    Delete,
}

impl Verb {
    /// All of them.
    pub const ALL: &'static [Verb] = &[Verb::Create, Verb::Get, Verb::List, Verb::Update, Verb::Delete];

    /// The second half of the action's name.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }

    /// Whether it changes anything.
    pub fn effect(self) -> Effect {
        match self {
            Verb::Create => Effect::Create,
            Verb::Get | Verb::List => Effect::Read,
            Verb::Update => Effect::Change,
            Verb::Delete => Effect::Delete,
        }
    }
}

/// The legal moves of a life cycle.
#[derive(Debug)]
pub struct StateMachine {
    /// The attribute that holds the state: `state`, `status`, `lifecycleStatus`.
    pub attribute: &'static str,
    /// Where a new record starts.
    pub initial: &'static str,
    /// From where to where. Staying is always legal.
    pub moves: &'static [(&'static str, &'static [&'static str])],
}

/// A TM Forum resource. `static` values, registered in the [`crate::Catalogue`].
pub struct Kind {
    /// The resource's name, for example `productOrder`.
    pub name: &'static str,
    /// What its ids begin with, for example `pord`.
    pub prefix: &'static str,
    /// The route of its collection, for example
    /// `/tmf-api/productOrderingManagement/v4/productOrder`.
    pub path: &'static str,
    /// The class of new records.
    pub class: Class,
    /// Its attributes.
    pub shape: &'static Shape,
    /// The paths that can be filtered and sorted by.
    pub keys: &'static [Key],
    /// Its life cycle, where it has one.
    pub states: Option<&'static StateMachine>,
    /// What its routes offer; a verb that is not named is answered 405.
    pub verbs: &'static [Verb],
    /// Completes and checks a new document: defaults, prices, business rules.
    pub before_create: fn(&mut Tx<'_>, &mut Record) -> Result<()>,
    /// Checks a changed document against what it was.
    pub before_update: fn(&mut Tx<'_>, &Record, &mut Record) -> Result<()>,
    /// Says whether it may go.
    pub before_delete: fn(&mut Tx<'_>, &Record) -> Result<()>,
}

/// Rules that forbid nothing, for kinds that have none.
pub mod free {
    use super::{Record, Result, Tx};
    /// Accepts a new record as it is.
    ///
    /// # Errors
    /// Never.
    pub fn create(_: &mut Tx<'_>, _: &mut Record) -> Result<()> {
        Ok(())
    }
    /// Accepts any change.
    ///
    /// # Errors
    /// Never.
    pub fn update(_: &mut Tx<'_>, _: &Record, _: &mut Record) -> Result<()> {
        Ok(())
    }
    /// Lets any record go.
    ///
    /// # Errors
    /// Never.
    pub fn delete(_: &mut Tx<'_>, _: &Record) -> Result<()> {
        Ok(())
    }
}

/// A page of records.
#[derive(Debug)]
pub struct Page {
    /// The records, each with the sort value that its cursor needs.
    pub records: Vec<(Record, String)>,
    /// Whether more match behind them.
    pub more: bool,
    /// How many match altogether; `None` where that is more than is counted.
    pub total: Option<u64>,
}

impl Kind {
    /// The name of the action that does `verb`: `productOrder.create`.
    pub fn action(&self, verb: Verb) -> String {
        format!("{}.{}", self.name, verb.word())
    }

    /// A fresh record of this kind for the acting tenant, in its initial state.
    pub fn draft(&self, tx: &Tx<'_>, body: Map<String, Json>) -> Record {
        let mut record = Record {
            id: tx.ids().text(self.prefix, tx.now),
            kind: self.name.to_owned(),
            tenant: tx.cx().tenant(),
            revision: 1,
            state: None,
            class: self.class,
            body,
            created: tx.now,
            updated: tx.now,
        };
        record.body.remove("id");
        record.body.remove("href");
        if let Some(states) = self.states {
            let state = record.body.get(states.attribute).and_then(Json::as_str).unwrap_or(states.initial).to_owned();
            record.body.insert(states.attribute.to_owned(), state.clone().into());
            record.state = Some(state);
        }
        record
    }

    /// Checks and stores a document, inside a transaction.
    ///
    /// # Errors
    /// `Invalid` naming the attribute, `Dangling` for references that lead nowhere.
    pub fn create_in(&'static self, tx: &mut Tx<'_>, body: &Map<String, Json>) -> Result<Granted<Record>> {
        let mut body = body.clone();
        self.shape.prune(&mut body);
        self.check_body(tx, &body)?;
        let mut record = self.draft(tx, body);
        self.check_state(record.state.as_deref())?;
        (self.before_create)(tx, &mut record)?;
        tx.insert(self, record)
    }

    /// [`Kind::create_in`] for a document that a caller sent, who may not say
    /// what only the platform sets.
    ///
    /// # Errors
    /// `Invalid` (`attribute.read_only`), and as [`Kind::create_in`].
    pub fn request_in(&'static self, tx: &mut Tx<'_>, body: &Map<String, Json>) -> Result<Granted<Record>> {
        self.shape.check_new(body)?;
        let made = self.create_in(tx, body)?;
        leaves_room(&made.body)?;
        Ok(made)
    }

    fn check_body(&self, tx: &mut Tx<'_>, body: &Map<String, Json>) -> Result<()> {
        let mut references = Vec::new();
        self.shape.check(body, &mut references)?;
        shape::check_references(tx, &references)
    }

    fn check_state(&self, state: Option<&str>) -> Result<()> {
        let (Some(states), Some(state)) = (self.states, state) else { return Ok(()) };
        if states.moves.iter().any(|(from, to)| *from == state || to.contains(&state)) {
            return Ok(());
        }
        Err(Error::invalid("state.unknown", format!("`{state}` is not a state of {}", self.name)).at(states.attribute))
    }

    /// Checks a life-cycle move.
    ///
    /// # Errors
    /// `Conflict` (`state.illegal_move`) saying which moves are legal.
    pub fn check_move(&self, from: Option<&str>, to: Option<&str>) -> Result<()> {
        let (Some(states), Some(from), Some(to)) = (self.states, from, to) else { return Ok(()) };
        let legal = states.moves.iter().find(|(state, _)| *state == from).map_or(&[][..], |(_, to)| to);
        if from == to || legal.contains(&to) {
            return Ok(());
        }
        let next = if legal.is_empty() { "nothing: it is final".to_owned() } else { legal.join(", ") };
        Err(Error::conflict(
            "state.illegal_move",
            format!("a {} cannot go from {from} to {to}; from {from} it can go to {next}", self.name),
        )
        .at(states.attribute))
    }

    /// POST: makes a record.
    ///
    /// # Errors
    /// As [`Kind::create_in`], and the gate's.
    pub fn create(&'static self, gate: &Gate, cx: &Cx, body: Map<String, Json>) -> Result<Record> {
        let digest = audit::digest(&body);
        gate.perform(cx, &self.action(Verb::Create), Effect::Create, digest, move |tx| {
            self.request_in(tx, &body).map(Granted::into_inner)
        })
    }

    /// GET: reads a record.
    ///
    /// # Errors
    /// `NotFound`, and the gate's.
    pub fn get(&'static self, gate: &Gate, cx: &Cx, id: &str) -> Result<Record> {
        let id = id.to_owned();
        gate.perform(cx, &self.action(Verb::Get), Effect::Read, audit::digest(&id), move |tx| {
            tx.load(self, Verb::Get, &id).map(Granted::into_inner)
        })
    }

    /// GET: reads a page. `ask` builds the query over the scope that the gate supplies.
    ///
    /// # Errors
    /// The gate's.
    pub fn list<F>(&'static self, gate: &Gate, cx: &Cx, count: bool, ask: F) -> Result<Page>
    where
        F: for<'s> Fn(&'s Scope) -> Query<'s> + Send + 'static,
    {
        gate.perform(cx, &self.action(Verb::List), Effect::Read, audit::digest(&()), move |tx| {
            let scope = tx.cx().scope().clone();
            let query = ask(&scope);
            let total = if count { db::records::total(tx, &query)? } else { None };
            let db::records::Listed { records, more } = db::records::listed(tx, &query)?;
            Ok(Page { records, more, total })
        })
    }

    /// Records in sight that a text may mean: it begins an identifier, or words
    /// of the paths that people search ([`Key::found`]). Decided as a list is.
    ///
    /// # Errors
    /// The gate's.
    pub fn search(&'static self, gate: &Gate, cx: &Cx, text: &str, limit: usize) -> Result<Vec<Record>> {
        let text = text.to_owned();
        gate.perform(cx, &self.action(Verb::List), Effect::Read, audit::digest(&text), move |tx| {
            let scope = tx.cx().scope().clone();
            db::records::search(tx, self.name, self.prefix, &scope, &text, limit)
        })
    }

    /// PATCH with a merge patch (RFC 7396). `expected` is the revision in If-Match.
    ///
    /// # Errors
    /// `Stale` where the revision has moved, `Conflict` for illegal moves, as [`Kind::create_in`].
    pub fn update(
        &'static self,
        gate: &Gate,
        cx: &Cx,
        id: &str,
        expected: Option<i64>,
        patch: Map<String, Json>,
    ) -> Result<Record> {
        let (id, digest) = (id.to_owned(), audit::digest(&patch));
        gate.perform(cx, &self.action(Verb::Update), Effect::Change, digest, move |tx| {
            self.patch_in(tx, &id, expected, &patch).map(Granted::into_inner)
        })
    }

    /// [`Kind::update`] inside a transaction, for a patch that a caller sent.
    ///
    /// # Errors
    /// As [`Kind::update`].
    pub fn patch_in(
        &'static self,
        tx: &mut Tx<'_>,
        id: &str,
        expected: Option<i64>,
        patch: &Map<String, Json>,
    ) -> Result<Granted<Record>> {
        let record = tx.load(self, Verb::Update, id)?;
        expect_revision(&record, expected)?;
        self.shape.check_change(&record.body, patch)?;
        let changed = self.change_in(tx, record, patch)?;
        leaves_room(&changed.body)?;
        Ok(changed)
    }

    fn change_in(
        &'static self,
        tx: &mut Tx<'_>,
        mut record: Granted<Record>,
        patch: &Map<String, Json>,
    ) -> Result<Granted<Record>> {
        let before = (*record).clone();
        for (name, value) in patch {
            if matches!(name.as_str(), "id" | "href") {
                return Err(
                    Error::invalid("attribute.read_only", format!("`{name}` cannot be changed")).at(name.clone())
                );
            }
            merge(record.body_mut(), name, value);
        }
        self.shape.prune(record.body_mut());
        self.check_body(tx, &record.body)?;
        if let Some(states) = self.states {
            let state = record.body.get(states.attribute).and_then(Json::as_str).map(str::to_owned);
            self.check_state(state.as_deref())?;
            let state = state.or_else(|| before.state.clone()).unwrap_or_else(|| states.initial.to_owned());
            record.set_state(states.attribute, &state);
            self.check_move(before.state.as_deref(), Some(&state))?;
        }
        let mut changed = (*record).clone();
        (self.before_update)(tx, &before, &mut changed)?;
        *record.body_mut() = changed.body;
        record.set_class(changed.class);
        if let (Some(states), Some(state)) = (self.states, changed.state) {
            record.set_state(states.attribute, &state);
        }
        tx.save(self, &mut record)?;
        Ok(record)
    }

    /// DELETE.
    ///
    /// # Errors
    /// `Stale`, `Conflict` where rules keep it, and the gate's.
    pub fn delete(&'static self, gate: &Gate, cx: &Cx, id: &str, expected: Option<i64>) -> Result<()> {
        let id = id.to_owned();
        gate.perform(cx, &self.action(Verb::Delete), Effect::Delete, audit::digest(&id), move |tx| {
            self.delete_in(tx, &id, expected)
        })
    }

    /// [`Kind::delete`] inside a transaction.
    ///
    /// # Errors
    /// As [`Kind::delete`].
    pub fn delete_in(&'static self, tx: &mut Tx<'_>, id: &str, expected: Option<i64>) -> Result<()> {
        let record = tx.load(self, Verb::Delete, id)?;
        expect_revision(&record, expected)?;
        (self.before_delete)(tx, &record)?;
        tx.remove(self, &record)
    }
}

fn expect_revision(record: &Record, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(revision) if revision != record.revision => Err(Error::stale(
            "record.stale",
            format!(
                "{} {} is at revision {} by now; read it again and repeat the change",
                record.kind, record.id, record.revision
            ),
        )),
        _ => Ok(()),
    }
}

/// One attribute of a merge patch (RFC 7396).
fn merge(body: &mut Map<String, Json>, name: &str, patch: &Json) {
    match patch {
        Json::Null => drop(body.remove(name)),
        Json::Object(changes) => {
            let inner = body.entry(name).or_insert_with(|| Json::Object(Map::new()));
            if !inner.is_object() {
                *inner = Json::Object(Map::new());
            }
            if let Json::Object(inner) = inner {
                changes.iter().for_each(|(name, value)| merge(inner, name, value));
            }
        }
        other => drop(body.insert(name.to_owned(), other.clone())),
    }
}

/// What somebody sends leaves room for what the platform adds to it: states, notes, references. An
/// order that could not be told how it ended would hold up its run for ever.
fn leaves_room(body: &Map<String, Json>) -> Result<()> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body)
        .map_err(|e| Error::bug("record.body", "a record cannot be written as JSON").because(e))?;
    if length.0 > limits::RECORD_SENT_BYTES_MAX {
        let most = limits::RECORD_SENT_BYTES_MAX / 1024;
        return Err(Error::invalid("record.too_large", format!("the document is larger than {most} KiB")));
    }
    Ok(())
}

/// Counts what is written, and keeps nothing.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
