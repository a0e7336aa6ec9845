//! Search over everything: things of every kind by the beginning of an identifier, by the words of a
//! name, or by the identifier of what they are about.
//!
//! A room says of each of its kinds, as a value, how one is found ([`Findable`]); records of a
//! registered [`Kind`] are found without that. Who finds what follows from the list of the kind: its
//! action is decided first in the acting tenant and then about each thing, so that nothing is found
//! here that its list would not show.
//!
//! Invariants:
//! - every statement walks an index and stops when there is enough, or looks at a bounded number of
//!   rows (`a_search_reads_no_table_from_end_to_end`, where the rooms meet);
//! - what is not the actor's business is not found, and that is no refusal: nobody reached for it.

use std::collections::BTreeSet;

use base::id::TenantId;
use base::{Error, Kind as ErrorKind, Result, limits};
use db::records::Scope;
use db::{Class, Record, args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Action, AnyAction, Effect, Kind, Relation, Tx, Verb};

/// The row of one identifier.
const ONE: &str = "t.id = $1";
/// Rows whose identifiers begin so, whosever they are.
const BEGUN: &str = "t.id >= $1 AND t.id < $2 ORDER BY t.id LIMIT $3";
/// Characters of an identifier behind its prefix.
const DIGITS: usize = 26;

/// What is looked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Search {
    /// How an identifier begins, or words of a name; the number of an entry of the audit log; an
    /// address or a port that a machine holds.
    #[serde(default)]
    pub q: String,
    /// Only things of this kind, for example `drillPlan`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The language of names where a catalog has translations: `zh-TW`, `en`.
    #[serde(default)]
    pub lang: Option<String>,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SearchHit")]
pub struct Hit {
    /// Its identifier.
    pub id: String,
    /// What people call it; what it says, where it has no name.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it stands in its life cycle; empty where it has none.
    pub state: String,
    /// The identifier of what it belongs to or is about (a recovery point's service, a run's order);
    /// empty where there is none.
    pub about: String,
    /// Its category, where its kind has categories: `CustomerFacingService`.
    pub category: String,
}

/// Things of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SearchGroup")]
pub struct Group {
    /// Which kind, in the words of the API.
    pub kind: String,
    /// The things: the one of that identifier first, then those whose names agree most closely, then
    /// what is about the thing of that identifier, the newest first.
    pub hits: Vec<Hit>,
    /// Whether there are more than are shown: more letters then find fewer.
    pub more: bool,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SearchFound")]
pub struct Found {
    /// By kind; kinds of which nothing was found are left out.
    pub groups: Vec<Group>,
}

/// What is looked for, as a room's own search sees it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The text, without blanks around it.
    pub text: &'a str,
    /// The same in small letters, as identifiers are written.
    pub id: String,
    /// The language of names.
    pub lang: Option<&'a str>,
    /// Most things to give.
    pub limit: usize,
}

impl<'a> Asked<'a> {
    fn new(input: &'a Search) -> Result<Self> {
        let text = input.q.trim();
        if text.chars().count() > limits::SEARCH_CHARS_MAX {
            let message = format!("a search has at most {} characters", limits::SEARCH_CHARS_MAX);
            return Err(Error::invalid("search.too_long", message).at("q"));
        }
        // One more than is shown, so that it can be said that there are more.
        let limit = limits::SEARCH_MAX + 1;
        Ok(Asked { text, id: text.to_ascii_lowercase(), lang: input.lang.as_deref(), limit })
    }

    /// How an identifier with that prefix begins, where the text is such a beginning.
    pub fn begins(&self, prefix: &str) -> Option<&str> {
        let rest = self.id.strip_prefix(prefix)?;
        rest.starts_with('_').then_some(self.id.as_str())
    }

    /// The whole identifier that the text is, of whatever kind.
    pub fn whole(&self) -> Option<&str> {
        let (prefix, digits) = self.id.split_once('_')?;
        let written = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (!prefix.is_empty() && written(prefix) && digits.len() == DIGITS && written(digits)).then_some(self.id.as_str())
    }
}

/// Whose things of a kind somebody finds; as the kind's list shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of every tenant in sight.
    InSight,
    /// Those of the acting tenant alone.
    Acting,
    /// Everybody's: who may list them at all sees them all.
    Everybodys,
}

/// How things of a kind are found.
#[derive(Clone, Copy)]
enum Way {
    Table(Table),
    Own(fn(&mut Tx<'_>, &Asked<'_>) -> Result<Vec<Hit>>),
}

/// A table of things that are no records. All texts are SQL over the row `t`.
#[derive(Clone, Copy)]
struct Table {
    prefix: &'static str,
    from: &'static str,
    tenant: &'static str,
    name: &'static str,
    read: fn(&str) -> String,
    state: &'static str,
    about: &'static str,
    by_about: bool,
    words: bool,
    reach: Reach,
    class: Class,
}

/// A kind of thing that people look for.
#[derive(Clone, Copy)]
pub struct Findable {
    /// The word for it in the API, which `search_words` holds as well.
    pub kind: &'static str,
    /// The action that lists such things: who may not do it finds none.
    pub list: &'static str,
    way: Way,
}

impl Findable {
    /// Things in a table: `from` names it as `t`, with what its names need beside it. Its rows have
    /// an `id` that begins with `prefix`, and a `tenant`.
    pub const fn table(
        [kind, prefix]: [&'static str; 2],
        list: &'static str,
        from: &'static str,
        name: &'static str,
    ) -> Self {
        let table = Table {
            prefix,
            from,
            tenant: "t.tenant",
            name,
            read: str::to_owned,
            state: "''",
            about: "''",
            by_about: false,
            words: false,
            reach: Reach::InSight,
            class: Class::Internal,
        };
        Findable { kind, list, way: Way::Table(table) }
    }

    /// Things that are found by a room's own function, which leaves out what is not to be seen. It
    /// runs only for those who may list such things.
    pub const fn own(
        kind: &'static str,
        list: &'static str,
        search: fn(&mut Tx<'_>, &Asked<'_>) -> Result<Vec<Hit>>,
    ) -> Self {
        Findable { kind, list, way: Way::Own(search) }
    }

    const fn with(self, table: Table) -> Self {
        Findable { way: Way::Table(table), ..self }
    }

    #[expect(clippy::panic, reason = "what is found is told in statics: it is the compiler that stops")]
    const fn of(&self) -> Table {
        match self.way {
            Way::Table(table) => table,
            Way::Own(_) => panic!("only what is found in a table is described"),
        }
    }

    /// They are found by words as well: the room tells them to [`db::words::keep`].
    #[must_use]
    pub const fn by_words(self) -> Self {
        self.with(Table { words: true, ..self.of() })
    }

    /// Where they stand in their life cycle.
    #[must_use]
    pub const fn state(self, state: &'static str) -> Self {
        self.with(Table { state, ..self.of() })
    }

    /// The identifier of what they are about.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        self.with(Table { about, ..self.of() })
    }

    /// [`Findable::about`] over a column with an index, so that they are found by it.
    #[must_use]
    pub const fn found_by(self, about: &'static str) -> Self {
        self.with(Table { about, by_about: true, ..self.of() })
    }

    /// Whose they are, where that is not `t.tenant`.
    #[must_use]
    pub const fn owned_by(self, tenant: &'static str) -> Self {
        self.with(Table { tenant, ..self.of() })
    }

    /// How the name is read out of the text that is stored.
    #[must_use]
    pub const fn named_by(self, read: fn(&str) -> String) -> Self {
        self.with(Table { read, ..self.of() })
    }

    /// Whose are found.
    #[must_use]
    pub const fn reach(self, reach: Reach) -> Self {
        self.with(Table { reach, ..self.of() })
    }

    /// How carefully they are handled.
    #[must_use]
    pub const fn class(self, class: Class) -> Self {
        self.with(Table { class, ..self.of() })
    }

    /// The statements that find such things in a table, for tests that ask a database how it would go
    /// about them: with all texts as parameters, and a number as the last.
    pub fn statements(&self) -> Vec<String> {
        let Way::Table(table) = &self.way else { return Vec::new() };
        let mut all = vec![table.select(ONE), table.select(BEGUN), table.select(&table.begun_of())];
        all.extend(table.by_about.then(|| table.select(&table.about_it())));
        all
    }

    fn find(&self, tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
        let table = match &self.way {
            Way::Own(search) => return search(tx, asked),
            Way::Table(table) => table,
        };
        let mut hits = Vec::new();
        let whose = table.whose(tx);
        if let Some(begin) = asked.begins(table.prefix) {
            hits.extend(table.by_id(tx, whose.as_deref(), begin, asked.limit)?);
        }
        if table.words {
            for id in db::words::find(tx, self.kind, whose.as_deref(), asked.text, asked.limit)? {
                hits.extend(table.one(tx, &id)?);
            }
        }
        if let Some(whole) = asked.whole().filter(|_| table.by_about) {
            let sql = table.select(&table.about_it());
            hits.extend(tx.query(&sql, args![whole, asked.limit], |row| table.hit(row))?);
        }
        hits.retain(|hit| self.is_shown(tx, table, hit.tenant));
        Ok(hits)
    }

    fn is_shown(&self, tx: &Tx<'_>, table: &Table, owner: TenantId) -> bool {
        let relation = match table.reach {
            Reach::Acting if owner != tx.cx().tenant() => return false,
            Reach::Everybodys => Relation::Own,
            Reach::InSight | Reach::Acting => tx.cx().relation(owner),
        };
        matches!(relation, Relation::Own | Relation::Below) && tx.shows(self.list, self.kind, table.class, relation)
    }
}

impl Table {
    /// Whose rows are looked at; `None` for everybody's.
    fn whose(&self, tx: &Tx<'_>) -> Option<Vec<TenantId>> {
        match (self.reach, tx.cx().scope()) {
            (Reach::Everybodys, _) | (Reach::InSight, Scope::All) => None,
            (Reach::Acting, _) => Some(vec![tx.cx().tenant()]),
            (Reach::InSight, Scope::Tenants { own, .. }) => Some(own.clone()),
        }
    }

    fn select(&self, condition: &str) -> String {
        let Table { tenant, name, state, about, from, .. } = self;
        format!("SELECT t.id, {tenant}, {name}, {state}, {about} FROM {from} WHERE {condition}")
    }

    fn hit(&self, row: &db::Row<'_>) -> Result<Hit> {
        let name: Option<String> = row.get(2)?;
        let about: Option<String> = row.get(4)?;
        Ok(Hit {
            id: row.get(0)?,
            tenant: row.get(1)?,
            name: (self.read)(&name.unwrap_or_default()),
            state: row.get(3)?,
            about: about.unwrap_or_default(),
            category: String::new(),
        })
    }

    fn one(&self, tx: &mut Tx<'_>, id: &str) -> Result<Option<Hit>> {
        tx.query_opt(&self.select(ONE), args![id], |row| self.hit(row))
    }

    fn begun_of(&self) -> String {
        format!("{} = $1 AND t.id >= $2 AND t.id < $3 ORDER BY t.id LIMIT $4", self.tenant)
    }

    fn about_it(&self) -> String {
        format!("{} = $1 ORDER BY t.id DESC LIMIT $2", self.about)
    }

    /// Those whose identifiers begin so, tenant by tenant where not everybody's are in sight: what others have
    /// does not stand in the way then.
    fn by_id(&self, tx: &mut Tx<'_>, whose: Option<&[TenantId]>, begin: &str, limit: usize) -> Result<Vec<Hit>> {
        let end = format!("{begin}~");
        let Some(tenants) = whose else {
            return tx.query(&self.select(BEGUN), args![begin, end, limit], |row| self.hit(row));
        };
        let mut hits = Vec::new();
        let sql = self.select(&self.begun_of());
        for tenant in tenants {
            hits.extend(tx.query(&sql, args![tenant, begin, end, limit], |row| self.hit(row))?);
            if hits.len() >= limit {
                break;
            }
        }
        Ok(hits)
    }
}

impl Kind {
    fn find(&'static self, tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
        let worded = self.keys.iter().any(|key| key.words);
        if !worded && asked.begins(self.prefix).is_none() {
            return Ok(Vec::new());
        }
        let scope = tx.cx().scope().clone();
        let mut found = db::records::search(tx, self.name, self.prefix, &scope, asked.text, asked.limit)?;
        let list = self.action(Verb::List);
        found.retain(|record| tx.shows(&list, self.name, record.class, tx.cx().relation(record.tenant)));
        Ok(found.into_iter().map(|record| self.hit(record, asked.lang)).collect())
    }

    fn hit(&self, record: Record, lang: Option<&str>) -> Hit {
        let text = |path: &str| record.at(path).and_then(serde_json::Value::as_str).map(str::to_owned);
        let translated = lang.and_then(|lang| text(&format!("translation.{lang}.name")));
        let named = translated.or_else(|| text("name")).filter(|name| !name.is_empty());
        // Where there is no `name`, the last of the paths that are searched says it: an order's
        // products, a bill's number.
        let worded = || {
            let said = |path: &str| -> Vec<&str> {
                record.values(path).into_iter().filter_map(serde_json::Value::as_str).take(3).collect()
            };
            let of = self.keys.iter().rev().filter(|key| key.words).map(|key| said(key.path));
            of.into_iter().find(|texts| !texts.is_empty()).map(|texts| texts.join(", "))
        };
        Hit {
            name: named.or_else(worded).unwrap_or_default(),
            tenant: record.tenant,
            about: String::new(),
            category: text("category").unwrap_or_default(),
            state: record.state.clone().unwrap_or_default(),
            id: record.id,
        }
    }
}

impl Tx<'_> {
    /// Whether the actor would be shown such a thing in a list. Asking is no attempt at it.
    fn shows(&self, list: &str, kind: &str, class: Class, relation: Relation) -> bool {
        self.gate().policies.decide(self.cx(), list, kind, class, relation).is_ok()
    }
}

/// Things of one kind as they are shown: each once, and no more than that many.
fn group(kind: &str, mut hits: Vec<Hit>) -> Option<Group> {
    let mut seen = BTreeSet::new();
    hits.retain(|hit| seen.insert((hit.tenant, hit.id.clone())));
    let more = hits.len() > limits::SEARCH_MAX;
    hits.truncate(limits::SEARCH_MAX);
    (!hits.is_empty()).then(|| Group { kind: kind.to_owned(), hits, more })
}

/// What the actor may not know of is not there; every other failure is told.
fn allowed(found: Result<Vec<Hit>>) -> Result<Vec<Hit>> {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => Ok(Vec::new()),
        other => other,
    }
}

/// Looks for things of every kind.
pub static FIND: Action<Search, Found> = Action {
    name: "search.find",
    summary: "Finds things of every kind that one may list, by identifier, by name, or by what they are about.",
    effect: Effect::Read,
    run: |tx, input| {
        let (asked, catalogue) = (Asked::new(input)?, tx.gate().catalogue());
        let wanted = |kind: &str| input.kind.as_deref().is_none_or(|only| only == kind);
        if let Some(kind) = input.kind.as_deref().filter(|kind| !catalogue.kinds_found().any(|one| one == *kind)) {
            let message = format!("nothing is called {kind}; these are: {}", kinds(catalogue).join(", "));
            return Err(Error::invalid("search.kind_unknown", message).at("kind"));
        }
        let mut groups = Vec::new();
        if asked.text.is_empty() {
            return Ok(Found { groups });
        }
        let cx = tx.cx();
        for kind in catalogue.all_kinds().iter().copied().filter(|kind| wanted(kind.name)) {
            if tx.would_allow(cx, &kind.action(Verb::List)) {
                let hits = kind.find(tx, &asked)?;
                groups.extend(group(kind.name, hits));
            }
        }
        for findable in catalogue.findables().filter(|findable| wanted(findable.kind)) {
            if tx.would_allow(cx, findable.list) {
                let hits = allowed(findable.find(tx, &asked))?;
                groups.extend(group(findable.kind, hits));
            }
        }
        Ok(Found { groups })
    },
};

fn kinds(catalogue: &crate::Catalogue) -> Vec<&'static str> {
    catalogue.kinds_found().collect::<BTreeSet<_>>().into_iter().collect()
}

/// What can be asked.
pub static ACTIONS: &[&dyn AnyAction] = &[&FIND];
