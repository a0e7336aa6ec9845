//! Records as people look for them: by the beginning of an identifier, or of words.

use base::Result;
use base::id::TenantId;

use super::{COLUMNS, Class, Record, Scope, load, read};
use crate::args;
use crate::conn::Conn;
use crate::words;

/// Records of a kind in sight that `text` may mean, what agrees most closely first.
///
/// # Errors
/// Those of the database.
pub fn search(
    conn: &mut Conn<'_>,
    kind: &str,
    prefix: &str,
    scope: &Scope,
    text: &str,
    limit: usize,
) -> Result<Vec<Record>> {
    let named = text.trim().to_ascii_lowercase();
    let begins = named.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'));
    let mut found = if begins { by_id(conn, kind, &named, limit)? } else { Vec::new() };
    for id in words::find(conn, kind, tenants(scope).as_deref(), text, limit)? {
        found.extend(load(conn, kind, &id)?);
    }
    found.retain(|record| in_sight(scope, record));
    found.truncate(limit);
    Ok(found)
}

fn by_id(conn: &mut Conn<'_>, kind: &str, begin: &str, limit: usize) -> Result<Vec<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM records r WHERE r.kind = $1 AND r.id >= $2 AND r.id < $3 ORDER BY r.id LIMIT {limit}"
    );
    conn.query(&sql, args![kind, begin, format!("{begin}~")], read)
}

/// Whose words are looked at; `None` for everybody's.
fn tenants(scope: &Scope) -> Option<Vec<TenantId>> {
    match scope {
        Scope::All => None,
        Scope::Tenants { own, above } => Some(own.iter().chain(above).copied().collect()),
    }
}

fn in_sight(scope: &Scope, record: &Record) -> bool {
    match scope {
        Scope::All => true,
        Scope::Tenants { own, above } => {
            own.contains(&record.tenant) || (record.class == Class::Public && above.contains(&record.tenant))
        }
    }
}
