//! The log as lines of JSON, for keeping elsewhere and for other verifiers.

use base::{Result, limits};
use db::{Db, args};
use serde_json::json;

use super::key::VerifyingKey;
use super::store;

/// Writes the log: one line on the log, one per entry in the order of the tree,
/// one per checkpoint. The format is in `docs/reference/audit-log.md`.
///
/// # Errors
/// Those of the database and of `write`.
pub fn export<W>(db: &Db, key: &VerifyingKey, mut write: W) -> Result<()>
where
    W: FnMut(&str) -> Result<()> + Send + 'static,
{
    let key = key.text();
    db.read(move |conn| {
        write(&json!({ "log": { "key": key } }).to_string())?;
        let sql = format!(
            "SELECT {} FROM {} WHERE e.leaf_index > $1 ORDER BY e.leaf_index LIMIT $2",
            store::COLUMNS,
            store::FROM
        );
        let mut last = -1i64;
        loop {
            let page = conn
                .query(&sql, args![last, limits::AUDIT_READ_MAX], |row| Ok((row.get::<i64>(18)?, store::read(row)?)))?;
            let Some((end, _)) = page.last() else { break };
            last = *end;
            for (index, stored) in &page {
                let private = stored
                    .private
                    .as_ref()
                    .map(|(salt, body)| json!({ "salt": base::hex::encode(salt), "body": body }));
                write(&json!({ "index": index, "leaf": stored.leaf.text()?, "private": private }).to_string())?;
            }
        }
        for note in store::checkpoints(conn)? {
            write(&json!({ "checkpoint": note }).to_string())?;
        }
        Ok(())
    })
}
