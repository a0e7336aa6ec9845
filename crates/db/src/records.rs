//! Records: one stored document with its tenant, revision and life-cycle state.
//!
//! Invariants:
//! - `revision` counts changes from 1; a change names the revision it was made
//!   on and is refused as `Stale` when that has moved (`update`).
//! - every earlier revision stays readable (`at_revision`), after deletion too.
//! - `record_keys` and the record's own `keys` hold exactly the declared paths of
//!   the present revision, and `search_words` the words of those that people
//!   search ([`Key::found`]).
//!
//! Not here: who may see a record (`gate`), what a body may hold (the rooms'
//! shapes), routes (`web`).

mod keys;
mod lists;
mod search;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::args;
use crate::conn::{Conn, Row};
use crate::value::{AsValue, FromValue, Value};
use crate::words;

use keys::Entries;
pub use keys::number;
#[cfg(test)]
pub(crate) use lists::explain;
pub use lists::{Listed, list, listed, total};
pub use search::search;

/// How far a record may be seen and how carefully it is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Seen by the tenants below its own as well: what is on offer.
    Public,
    /// Seen inside its tenant.
    Internal,
    /// Business secrets.
    Confidential,
    /// Data about a natural person.
    Personal,
    /// Keys and the like.
    Secret,
}

impl Class {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Class::Public => "public",
            Class::Internal => "internal",
            Class::Confidential => "confidential",
            Class::Personal => "personal",
            Class::Secret => "secret",
        }
    }
}

impl AsValue for Class {
    fn as_value(&self) -> Value<'_> {
        Value::Text(self.word().into())
    }
}

impl FromValue for Class {
    fn from_value(value: Value<'_>) -> Option<Self> {
        let Value::Text(text) = value else { return None };
        [Class::Public, Class::Internal, Class::Confidential, Class::Personal, Class::Secret]
            .into_iter()
            .find(|c| c.word() == text)
    }
}

/// A stored document.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Globally unique.
    pub id: String,
    /// The TMF resource name, for example `productOrder`.
    pub kind: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Counts changes from 1.
    pub revision: i64,
    /// Life-cycle state, where the kind has one.
    pub state: Option<String>,
    /// How carefully it is handled.
    pub class: Class,
    /// All attributes but `id` and `href`.
    pub body: Map<String, Json>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

impl Record {
    /// The body as a typed value.
    ///
    /// # Errors
    /// `Bug`: bodies are checked before they are stored.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(Json::Object(self.body.clone())).map_err(|e| {
            Error::bug("record.body", format!("{} {} does not read as expected: {e}", self.kind, self.id)).because(e)
        })
    }

    /// The value at a dotted path. Where the path crosses a list, its first entry that has one.
    pub fn at(&self, path: &str) -> Option<&Json> {
        self.values(path).first().copied()
    }

    /// All values at a dotted path; a list on the way is entered entry by entry.
    pub fn values(&self, path: &str) -> Vec<&Json> {
        let mut parts = path.split('.');
        let Some(found) = parts.next().and_then(|first| self.body.get(first)) else { return Vec::new() };
        let mut level = flatten(found);
        for part in parts {
            level = level.into_iter().filter_map(|json| json.get(part)).flat_map(flatten).collect();
        }
        level
    }
}

fn flatten(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(entries) => entries.iter().flat_map(flatten).collect(),
        other => vec![other],
    }
}

/// What kind of value a declared path holds; decides how it sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Compared by bytes.
    Text,
    /// An exact decimal.
    Number,
    /// An instant.
    Time,
    /// `true` or `false`.
    Flag,
}

/// A path that a kind declares for filtering and sorting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted, for example `relatedParty.id`.
    pub path: &'static str,
    /// What it holds.
    pub of: KeyType,
    /// Whether people find the record by the words that stand there.
    pub words: bool,
}

impl Key {
    const fn of(path: &'static str, of: KeyType) -> Key {
        Key { path, of, words: false }
    }
    /// The same, with its words searched.
    #[must_use]
    pub const fn found(mut self) -> Key {
        self.words = true;
        self
    }
    /// A path that holds text.
    pub const fn text(path: &'static str) -> Key {
        Key::of(path, KeyType::Text)
    }
    /// A path that holds an instant.
    pub const fn time(path: &'static str) -> Key {
        Key::of(path, KeyType::Time)
    }
    /// A path that holds a number.
    pub const fn number(path: &'static str) -> Key {
        Key::of(path, KeyType::Number)
    }
    /// A path that holds true or false.
    pub const fn flag(path: &'static str) -> Key {
        Key::of(path, KeyType::Flag)
    }
}

/// The sortable text of a value; `None` where it is not of that type.
pub fn sortable(of: KeyType, json: &Json) -> Option<String> {
    match (of, json) {
        (KeyType::Text, Json::String(text)) => Some(cut(text).to_owned()),
        (KeyType::Text, Json::Number(number)) => Some(number.to_string()),
        (KeyType::Text | KeyType::Flag, Json::Bool(flag)) => Some(flag.to_string()),
        (KeyType::Flag, Json::String(text)) if text == "true" || text == "false" => Some(text.clone()),
        (KeyType::Time, Json::String(text)) => {
            text.parse::<Timestamp>().ok().map(|at| format!("{:020}", i128::from(base::time::micros(at)) + (1 << 62)))
        }
        (KeyType::Number, value) => base::money::decimal(value, "").ok().map(sortable_number),
        _ => None,
    }
}

/// Fixed width, so that the order of the texts is the order of the numbers.
fn sortable_number(value: rust_decimal::Decimal) -> String {
    let micro =
        value.checked_mul(1_000_000.into()).and_then(|v| i128::try_from(v.trunc()).ok()).unwrap_or(i128::MAX / 4);
    format!("{:039}", micro + (1 << 120))
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::TEXT_INDEXED_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

const COLUMNS: &str = "r.id, r.kind, r.tenant, r.revision, r.state, r.class, r.body, r.created_at, r.updated_at";

fn read(row: &Row) -> Result<Record> {
    Ok(Record {
        id: row.get(0)?,
        kind: row.get(1)?,
        tenant: row.get(2)?,
        revision: row.get(3)?,
        state: row.get(4)?,
        class: row.get(5)?,
        body: body(row.text(6)?)?,
        created: row.get(7)?,
        updated: row.get(8)?,
    })
}

fn body(text: &str) -> Result<Map<String, Json>> {
    serde_json::from_str(text).map_err(|e| Error::bug("record.damaged", "a stored record is not JSON").because(e))
}

/// Stores a new record.
///
/// # Errors
/// `Conflict` (`record.duplicate`) where the id is taken, `Invalid` where the body is too large.
pub fn insert(conn: &mut Conn<'_>, record: &Record, keys: &[Key]) -> Result<()> {
    let (body, entries) = (body_text(record)?, Entries::of(record, keys));
    conn.execute(
        "INSERT INTO records (id, kind, tenant, revision, state, class, created_at, updated_at, keys, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![record.id, record.kind, record.tenant, record.revision, record.state, record.class, record.created, record.updated, entries.text()?, body],
    )
    .map_err(|e| match e.code() {
        "db.duplicate" => Error::conflict("record.duplicate", format!("there is a {} with the id {} already", record.kind, record.id)).at("id"),
        _ => e,
    })?;
    keys::write(conn, record, &Entries::default(), &entries)?;
    keys::keep_words(conn, record, keys, None, &entries)?;
    count(conn, record, 1)
}

/// A record as it is stored before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    stored: Stored,
    keys: String,
}

impl Standing {
    /// Its life-cycle state.
    pub fn state(&self) -> Option<&str> {
        self.stored.state.as_deref()
    }

    /// Its revision.
    pub fn revision(&self) -> i64 {
        self.stored.revision
    }

    fn read(row: &Row) -> Result<Standing> {
        Ok(Standing { stored: stored(row)?, keys: row.get(7)? })
    }
}

/// [`load`], with what a change of the record will have to know.
///
/// # Errors
/// Those of the database.
pub fn load_standing(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Option<(Record, Standing)>> {
    let found = "SELECT tenant, revision, class, body, state, created_at, updated_at, keys FROM records WHERE id = $1 AND kind = $2";
    let found = conn.query_opt(found, args![id, kind], Standing::read)?;
    found.map(|standing| Ok((standing.stored.record(kind, id)?, standing))).transpose()
}

/// What is stored of the record at the revision that the caller saw.
///
/// # Errors
/// `Stale` (`record.stale`) where the record has moved on.
pub fn standing(conn: &mut Conn<'_>, record: &Record) -> Result<Standing> {
    let found = "SELECT tenant, revision, class, body, state, created_at, updated_at, keys FROM records WHERE id = $1 AND revision = $2";
    let found = conn.query_opt(found, args![record.id, record.revision], Standing::read)?;
    found.ok_or_else(|| stale(&record.kind, &record.id))
}

/// Replaces a record's body and state; `record.revision` is the revision that the
/// caller saw, and comes back one higher. `was` is what stands there.
///
/// # Errors
/// `Stale` (`record.stale`) where the record has moved on, `Invalid` where the body is too large.
pub fn update(conn: &mut Conn<'_>, record: &mut Record, was: &Standing, keys: &[Key], now: Timestamp) -> Result<()> {
    let (body, entries, before) = (body_text(record)?, Entries::of(record, keys), Entries::read(&was.keys)?);
    // First, as it alone tells whether the record still is what the caller saw.
    let changed = conn.execute(
        "UPDATE records SET revision = revision + 1, state = $3, class = $4, updated_at = $5, keys = $6, body = $7 WHERE id = $1 AND revision = $2",
        args![record.id, record.revision, record.state, record.class, now, entries.text()?, body],
    )?;
    if changed == 0 {
        return Err(stale(&record.kind, &record.id));
    }
    archive(conn, record, &was.stored)?;
    record.revision += 1;
    record.updated = now;
    keys::write(conn, record, &before, &entries)?;
    keys::keep_words(conn, record, keys, Some(&before), &entries)
}

/// Removes a record from sight; its revisions stay.
///
/// # Errors
/// `Stale` where the record has moved on.
pub fn delete(conn: &mut Conn<'_>, record: &Record) -> Result<()> {
    let was = standing(conn, record)?;
    let changed =
        conn.execute("DELETE FROM records WHERE id = $1 AND revision = $2", args![record.id, record.revision])?;
    if changed == 0 {
        return Err(stale(&record.kind, &record.id));
    }
    archive(conn, record, &was.stored)?;
    keys::write(conn, record, &Entries::read(&was.keys)?, &Entries::default())?;
    words::forget(conn, &record.id)?;
    count(conn, record, -1)
}

/// The record of that kind and id, whoever it belongs to: the gate decides who sees it.
///
/// # Errors
/// Those of the database.
pub fn load(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Option<Record>> {
    load_stored(conn, kind, id)?.map(|stored| stored.record(kind, id)).transpose()
}

/// The life-cycle state of a record as it is stored; `None` also where there is no such record.
///
/// # Errors
/// Those of the database.
pub fn state(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Option<String>> {
    let found = "SELECT state FROM records WHERE id = $1 AND kind = $2";
    Ok(conn.query_opt(found, args![id, kind], |row| row.get(0))?.flatten())
}

/// Whose a record is, and how carefully it is handled; `None` where there is no such record.
///
/// # Errors
/// Those of the database.
pub fn owner(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Option<(TenantId, Class)>> {
    let found = "SELECT tenant, class FROM records WHERE id = $1 AND kind = $2";
    conn.query_opt(found, args![id, kind], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A record as it is stored, its body not read: for answers that only pass it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its revision.
    pub revision: i64,
    /// How carefully it is handled.
    pub class: Class,
    /// The text of a JSON object: all attributes but `id` and `href`.
    pub body: String,
    state: Option<String>,
    created: Timestamp,
    updated: Timestamp,
}

impl Stored {
    /// The record, which is of that kind and id.
    ///
    /// # Errors
    /// `Bug` where the text is damaged.
    pub fn record(&self, kind: &str, id: &str) -> Result<Record> {
        Ok(Record {
            id: id.to_owned(),
            kind: kind.to_owned(),
            tenant: self.tenant,
            revision: self.revision,
            state: self.state.clone(),
            class: self.class,
            body: body(&self.body)?,
            created: self.created,
            updated: self.updated,
        })
    }
}

/// [`load`] without reading the body.
///
/// # Errors
/// Those of the database.
pub fn load_stored(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Option<Stored>> {
    let found =
        "SELECT tenant, revision, class, body, state, created_at, updated_at FROM records WHERE id = $1 AND kind = $2";
    conn.query_opt(found, args![id, kind], stored)
}

fn stored(row: &Row) -> Result<Stored> {
    Ok(Stored {
        tenant: row.get(0)?,
        revision: row.get(1)?,
        class: row.get(2)?,
        body: row.get(3)?,
        state: row.get(4)?,
        created: row.get(5)?,
        updated: row.get(6)?,
    })
}

/// What the record was at `revision`, also when it has been deleted since.
///
/// # Errors
/// Those of the database.
pub fn at_revision(conn: &mut Conn<'_>, kind: &str, id: &str, revision: i64) -> Result<Option<Record>> {
    if let Some(record) = load(conn, kind, id)?.filter(|r| r.revision == revision) {
        return Ok(Some(record));
    }
    conn.query_opt(
        &format!("SELECT {COLUMNS} FROM record_revisions r WHERE r.id = $1 AND r.kind = $2 AND r.revision = $3"),
        args![id, kind, revision],
        read,
    )
}

fn stale(kind: &str, id: &str) -> Error {
    Error::stale("record.stale", format!("{kind} {id} has been changed meanwhile; read it again and repeat the change"))
}

fn body_text(record: &Record) -> Result<String> {
    let text = serde_json::to_string(&record.body)
        .map_err(|e| Error::bug("record.body", "a record cannot be written as JSON").because(e))?;
    if text.len() > limits::RECORD_BYTES_MAX {
        return Err(Error::invalid(
            "record.too_large",
            format!("the document is larger than {} KiB", limits::RECORD_BYTES_MAX / 1024),
        ));
    }
    Ok(text)
}

/// Not as `INSERT … SELECT`: one that writes several rows, for all that SQLite
/// knows, makes it keep a copy of each page that it changes.
fn archive(conn: &mut Conn<'_>, record: &Record, was: &Stored) -> Result<()> {
    conn.execute(
        "INSERT INTO record_revisions (id, revision, kind, tenant, state, class, created_at, updated_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![record.id, was.revision, record.kind, was.tenant, was.state, was.class, was.created, was.updated, was.body],
    )
    .map(drop)
    .map_err(|e| match e.code() {
        // Two transactions change the same revision: PostgreSQL tells the later one by this key first.
        "db.duplicate" => Error::contended("record.contended", format!("{} {} is being changed by somebody else", record.kind, record.id)),
        _ => e,
    })
}

fn count(conn: &mut Conn<'_>, record: &Record, by: i64) -> Result<()> {
    let shard = i64::from(record.id.bytes().next_back().unwrap_or(0) & 7);
    conn.execute(
        "INSERT INTO record_counts (kind, tenant, shard, number) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, tenant, shard) DO UPDATE SET number = record_counts.number + excluded.number",
        args![record.kind, record.tenant, shard, by],
    )?;
    Ok(())
}

/// Whose records a list may show. Made by the gate from who is asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those of `own`, and the public ones of `above`.
    Tenants {
        /// The acting tenant and those below it.
        own: Vec<TenantId>,
        /// The tenants above it.
        above: Vec<TenantId>,
    },
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

impl Op {
    fn sql(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Gt => ">",
            Op::Gte => ">=",
            Op::Lt => "<",
            Op::Lte => "<=",
        }
    }
}

/// One condition on a declared path, its value already [`sortable`]. Several
/// values of one condition are alternatives.
#[derive(Debug, Clone)]
pub struct Condition {
    /// A declared path, or `id`.
    pub path: String,
    /// How.
    pub op: Op,
    /// With what; any of them.
    pub values: Vec<String>,
}

/// A question for a page of records.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Which kind.
    pub kind: &'a str,
    /// Whose.
    pub scope: &'a Scope,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// A declared path to sort by; by id (that is, by age) where absent.
    pub sort: Option<&'a str>,
    /// Largest first.
    pub descending: bool,
    /// Continue after this entry: its sort value (empty when sorting by id) and its id.
    pub after: Option<(String, String)>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: u32,
}
