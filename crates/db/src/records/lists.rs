//! Lists of records: the statements, and the choice between them.
//!
//! The aim is that a page costs what it holds, not what there is. So a list
//! without filters walks an index in order, once per tenant in sight; a filter
//! that few records hold is looked up first and the rest sorted; one that many
//! hold is met soon when walking. What no index decides is counted to
//! [`limits::COUNT_EXACT_MAX`] and no further.
//!
//! `record_keys` holds `''` for a path that a record lacks, so that sorting by
//! it leaves nobody out; a condition never holds for it.

use std::ops::ControlFlow;

use base::id::TenantId;
use base::{Result, limits};

use super::{COLUMNS, Condition, Op, Query, Record, Scope, number, read};
use crate::Engine;
use crate::conn::Conn;
use crate::value::Value;

/// Tenants in sight whose records are walked one by one and merged; with more, all are walked at once.
const WALKS_MAX: usize = 16;

/// Text of a statement and its parameters, grown together.
struct Statement {
    engine: Engine,
    sql: String,
    args: Vec<Value<'static>>,
}

impl Statement {
    fn new(engine: Engine) -> Self {
        Statement { engine, sql: String::new(), args: Vec::new() }
    }

    fn push(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    fn arg(&mut self, value: impl Into<String>) -> &mut Self {
        self.value(Value::Text(value.into().into()))
    }

    fn value(&mut self, value: Value<'static>) -> &mut Self {
        self.args.push(value);
        self.sql.push_str(&format!("${}", self.args.len()));
        self
    }

    /// The number of a kind's path in `record_keys`.
    fn number(&mut self, kind: &str, path: &str) -> &mut Self {
        self.value(Value::Int(number(kind, path)))
    }

    /// What the record `r` has at a path, as a table with the column `value`: found in its own row.
    fn kept(&mut self, path: &str) -> &mut Self {
        match self.engine {
            Engine::Sqlite => self.push("json_each(r.keys, ").arg(format!("$.\"{path}\"")).push(")"),
            Engine::Postgres => self
                .push("(SELECT value COLLATE \"C\" AS value FROM jsonb_array_elements_text(CAST(r.keys AS jsonb) -> ")
                .arg(path)
                .push(") AS element (value))"),
        }
    }

    /// [`Statement::kept`] beside the record.
    fn beside(&mut self, path: &str) -> &mut Self {
        self.push(if self.engine == Engine::Postgres { " CROSS JOIN LATERAL " } else { " CROSS JOIN " });
        self.kept(path).push(" k")
    }

    fn list(&mut self, values: impl IntoIterator<Item = String>) -> &mut Self {
        self.push("(");
        for (n, value) in values.into_iter().enumerate() {
            if n > 0 {
                self.push(", ");
            }
            self.arg(value);
        }
        self.push(")")
    }
}

/// How the records of a list are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Walk them in order and leave out what does not hold.
    Walk,
    /// Look up the records that hold this condition, few as they are, and sort.
    Driven(usize),
    /// Walk the records that hold this condition, which are in order by id.
    Followed(usize),
}

/// A part of what is in sight.
#[derive(Debug, Clone, Copy)]
enum Part<'q> {
    /// Everything in the scope.
    Whole(&'q Scope),
    /// One tenant's own.
    Own(TenantId),
    /// What a tenant above shows to those below.
    Shown(TenantId),
}

/// A page of records, each with the sort value that a cursor needs.
///
/// # Errors
/// Those of the database.
pub fn list(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<Vec<(Record, String)>> {
    let s = page(conn, query)?;
    conn.query(&s.sql, &s.args, |row| Ok((read(row)?, row.get(9)?)))
}

/// A page that ends where it is full.
#[derive(Debug)]
pub struct Listed {
    /// The records, each with the sort value that a cursor needs.
    pub records: Vec<(Record, String)>,
    /// Whether more match behind them.
    pub more: bool,
}

/// [`list`] for whoever asks from outside: ends early where the documents come to more than
/// [`limits::PAGE_BYTES_MAX`], so that a page of documents that somebody filled to their limit
/// is not held in memory a thousand times over. Has a record at least, where any match.
///
/// # Errors
/// Those of the database.
pub fn listed(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<Listed> {
    let s = page(conn, &Query { limit: query.limit.saturating_add(1), ..query.clone() })?;
    let (mut found, mut bytes) = (Listed { records: Vec::new(), more: false }, 0);
    conn.until(&s.sql, &s.args, |row| {
        bytes += row.text(6)?.len();
        let heavy = bytes > limits::PAGE_BYTES_MAX && !found.records.is_empty();
        found.more = heavy || found.records.len() >= query.limit as usize;
        if found.more {
            return Ok(ControlFlow::Break(()));
        }
        found.records.push((read(row)?, row.get(9)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// How many records match: exact where it is cheap, `None` where there are more
/// than [`limits::COUNT_EXACT_MAX`] and counting them would take long.
///
/// # Errors
/// Those of the database.
pub fn total(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<Option<u64>> {
    let whole =
        matches!(query.scope, Scope::All) || matches!(query.scope, Scope::Tenants { above, .. } if above.is_empty());
    if query.conditions.is_empty() && whole {
        return kept_total(conn, query).map(Some);
    }
    // In which order they are asked for does not change how many there are.
    let query = &Query { sort: None, ..query.clone() };
    let (way, least) = way(conn, query)?;
    let counted_in_scope = *query.scope == Scope::All || only_tenant(query.scope).is_some();
    if least > limits::COUNT_EXACT_MAX && query.conditions.len() == 1 && counted_in_scope {
        return Ok(None);
    }
    let mut found = 0;
    for part in parts(query, way) {
        let mut s = Statement::new(conn.engine());
        s.push("SELECT COUNT(*) FROM (SELECT 1 AS one FROM ");
        restrict(&mut s, query, way, part);
        s.push(&format!(" LIMIT {}) AS counted", limits::COUNT_EXACT_MAX + 1));
        found += conn.query_one(&s.sql, &s.args, |row| row.get::<i64>(0))?.unsigned_abs();
    }
    Ok((found <= limits::COUNT_EXACT_MAX).then_some(found))
}

/// The number of a whole collection, which is kept.
fn kept_total(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<u64> {
    if matches!(query.scope, Scope::Tenants { own, .. } if own.is_empty()) {
        return Ok(0);
    }
    let mut s = Statement::new(conn.engine());
    s.push("SELECT CAST(COALESCE(SUM(number), 0) AS BIGINT) FROM record_counts WHERE kind = ").arg(query.kind);
    if let Scope::Tenants { own, .. } = query.scope {
        s.push(" AND tenant IN ").list(own.iter().map(ToString::to_string));
    }
    conn.query_one(&s.sql, &s.args, |row| row.get::<i64>(0)).map(i64::unsigned_abs)
}

/// Chooses; with the number of entries that the rarest condition has, counted to one beyond the limit.
fn way(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<(Way, u64)> {
    if query.conditions.iter().any(|condition| condition.path == "id" && condition.op == Op::Eq) {
        return Ok((Way::Walk, 0));
    }
    let tenant = only_tenant(query.scope);
    let mut rarest: Option<(usize, u64)> = None;
    for (n, condition) in query.conditions.iter().enumerate().filter(|(_, condition)| condition.path != "id") {
        let mut s = Statement::new(conn.engine());
        s.push("SELECT COUNT(*) FROM (SELECT 1 AS one FROM record_keys c WHERE ");
        entries(&mut s, query.kind, condition, tenant);
        s.push(&format!(" LIMIT {}) AS counted", limits::COUNT_EXACT_MAX + 1));
        let found = conn.query_one(&s.sql, &s.args, |row| row.get::<i64>(0))?.unsigned_abs();
        if rarest.is_none_or(|(_, least)| found < least) {
            rarest = Some((n, found));
        }
    }
    Ok(match rarest {
        None => (Way::Walk, 0),
        Some((n, found)) if found <= limits::COUNT_EXACT_MAX => (Way::Driven(n), found),
        Some((n, found)) => {
            let one =
                query.conditions.get(n).is_some_and(|condition| condition.op == Op::Eq && condition.values.len() == 1);
            (if one && query.sort.is_none() { Way::Followed(n) } else { Way::Walk }, found)
        }
    })
}

fn only_tenant(scope: &Scope) -> Option<TenantId> {
    match scope {
        Scope::Tenants { own, above } if above.is_empty() => match own.as_slice() {
            [one] => Some(*one),
            _ => None,
        },
        _ => None,
    }
}

/// What is walked one by one and merged.
fn parts<'q>(query: &'q Query<'_>, way: Way) -> Vec<Part<'q>> {
    match query.scope {
        Scope::Tenants { own, above }
            if !matches!(way, Way::Driven(_)) && (1..=WALKS_MAX).contains(&(own.len() + above.len())) =>
        {
            own.iter().map(|tenant| Part::Own(*tenant)).chain(above.iter().map(|tenant| Part::Shown(*tenant))).collect()
        }
        scope => vec![Part::Whole(scope)],
    }
}

/// The statement for a page.
fn page(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<Statement> {
    let (way, _) = way(conn, query)?;
    let parts = parts(query, way);
    let direction = if query.descending { "DESC" } else { "ASC" };
    let mut s = Statement::new(conn.engine());
    if let [part] = parts.as_slice() {
        ordered(&mut s, query, way, *part, direction);
        s.push(&format!(" LIMIT {} OFFSET {}", query.limit, query.offset));
        return Ok(s);
    }
    for (n, part) in parts.into_iter().enumerate() {
        s.push(if n > 0 { " UNION ALL SELECT * FROM (" } else { "SELECT * FROM (" });
        ordered(&mut s, query, way, part, direction);
        s.push(&format!(" LIMIT {}) AS part{n}", query.offset + u64::from(query.limit)));
    }
    // By position: a merged list has columns and no tables. 10 is the sort value, 1 the id.
    s.push(&format!(" ORDER BY 10 {direction}, 1 {direction} LIMIT {} OFFSET {}", query.limit, query.offset));
    Ok(s)
}

fn ordered(s: &mut Statement, query: &Query<'_>, way: Way, part: Part<'_>, direction: &str) {
    let (value, id) = (if query.sort.is_some() { "k.value" } else { "''" }, id_column(query, way, part));
    s.push(&format!("SELECT {COLUMNS}, {value} AS sort_value FROM "));
    restrict(s, query, way, part);
    let beyond = if query.descending { "<" } else { ">" };
    if let Some((value, after)) = &query.after {
        if query.sort.is_some() {
            s.push(&format!(" AND (k.value, {id}) {beyond} (")).arg(value).push(", ").arg(after).push(")");
        } else {
            s.push(&format!(" AND {id} {beyond} ")).arg(after);
        }
    }
    match query.sort {
        Some(_) => s.push(&format!(" ORDER BY k.value {direction}, {id} {direction}")),
        None => s.push(&format!(" ORDER BY {id} {direction}")),
    };
}

/// The column whose index gives the order.
fn id_column(query: &Query<'_>, way: Way, part: Part<'_>) -> &'static str {
    match (way, part) {
        (Way::Followed(_), _) => "f.id",
        (Way::Walk, Part::Whole(_) | Part::Own(_)) if query.sort.is_some() => "k.id",
        _ => "r.id",
    }
}

/// FROM and WHERE: kind, scope, conditions.
fn restrict(s: &mut Statement, query: &Query<'_>, way: Way, part: Part<'_>) {
    // The table whose index is walked, and whose tenant column therefore decides.
    let side = match way {
        Way::Followed(n) => {
            s.push("record_keys f JOIN records r ON r.id = f.id WHERE ");
            if let Some(condition) = query.conditions.get(n) {
                s.push("f.path = ").number(query.kind, &condition.path).push(" AND ");
                values(s, "f.value", condition);
            }
            "f"
        }
        Way::Driven(n) => {
            s.push("(SELECT DISTINCT c.id FROM record_keys c WHERE ");
            if let Some(condition) = query.conditions.get(n) {
                entries(s, query.kind, condition, only_tenant(query.scope));
            }
            s.push(") f JOIN records r ON r.id = f.id");
            if let Some(path) = query.sort {
                s.beside(path);
            }
            s.push(" WHERE r.kind = ").arg(query.kind);
            "r"
        }
        Way::Walk => match (query.sort, part) {
            // What is shown from above is little: it is looked up, then sorted.
            (Some(path), Part::Shown(_)) => {
                s.push("records r").beside(path).push(" WHERE r.kind = ").arg(query.kind);
                "r"
            }
            (Some(path), _) => {
                s.push("record_keys k JOIN records r ON r.id = k.id WHERE k.path = ").number(query.kind, path);
                "k"
            }
            (None, _) => {
                s.push("records r WHERE r.kind = ").arg(query.kind);
                "r"
            }
        },
    };
    in_sight(s, side, part);
    let decided = |n: usize| matches!(way, Way::Driven(m) | Way::Followed(m) if m == n);
    for (_, condition) in query.conditions.iter().enumerate().filter(|(n, _)| !decided(*n)) {
        s.push(" AND ");
        if condition.path == "id" {
            values(s, "r.id", condition);
        } else if way == Way::Walk && query.sort == Some(condition.path.as_str()) {
            s.push("k.value <> '' AND ");
            values(s, "k.value", condition);
        } else {
            s.push("EXISTS (SELECT 1 FROM ").kept(&condition.path).push(" c WHERE c.value <> '' AND ");
            values(s, "c.value", condition);
            s.push(")");
        }
    }
}

fn in_sight(s: &mut Statement, side: &str, part: Part<'_>) {
    match part {
        Part::Whole(Scope::All) => {}
        Part::Own(tenant) => {
            s.push(&format!(" AND {side}.tenant = ")).arg(tenant.to_string());
        }
        Part::Shown(tenant) => {
            s.push(" AND r.tenant = ").arg(tenant.to_string()).push(" AND r.class = 'public'");
        }
        Part::Whole(Scope::Tenants { own, above }) => {
            s.push(" AND (1 = 0");
            if !own.is_empty() {
                s.push(" OR r.tenant IN ").list(own.iter().map(ToString::to_string));
            }
            if !above.is_empty() {
                s.push(" OR (r.class = 'public' AND r.tenant IN ")
                    .list(above.iter().map(ToString::to_string))
                    .push(")");
            }
            s.push(")");
        }
    }
}

/// The entries of `record_keys c` that hold a condition.
fn entries(s: &mut Statement, kind: &str, condition: &Condition, tenant: Option<TenantId>) {
    s.push("c.path = ").number(kind, &condition.path);
    if let Some(tenant) = tenant {
        s.push(" AND c.tenant = ").arg(tenant.to_string());
    }
    s.push(" AND c.value <> '' AND ");
    values(s, "c.value", condition);
}

fn values(s: &mut Statement, column: &str, condition: &Condition) {
    match (condition.op, condition.values.as_slice()) {
        (Op::Eq, [one]) => {
            s.push(&format!("{column} = ")).arg(one.as_str());
        }
        (Op::Eq, many) => {
            s.push(&format!("{column} IN ")).list(many.iter().cloned());
        }
        (op, many) => {
            s.push("(");
            for (n, value) in many.iter().enumerate() {
                s.push(&format!("{}{column} {} ", if n > 0 { " OR " } else { "" }, op.sql())).arg(value.as_str());
            }
            s.push(")");
        }
    }
}

/// What SQLite says that it would do for a page, for the tests of plans.
#[cfg(test)]
pub(crate) fn explain(conn: &mut Conn<'_>, query: &Query<'_>) -> Result<Vec<String>> {
    let s = page(conn, query)?;
    conn.query(&format!("EXPLAIN QUERY PLAN {}", s.sql), &s.args, |row| row.get(3))
}
