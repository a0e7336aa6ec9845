//! Every SQL statement about the audit log, but for the listing.

use base::Result;
use base::time::Timestamp;
use db::{Conn, Row, args};

use super::Entry;
use super::leaf::{Leaf, hexed};
use super::tree::{Frontier, Hash, node_hash, split};

/// Subtrees of 2^8, 2^16 … leaves have their heads stored.
const STRIDE: u32 = 8;

pub(super) fn insert(conn: &mut Conn<'_>, entry: &Entry<'_>, private: Option<Hash>) -> Result<i64> {
    let sql = "INSERT INTO audit_entries (at, actor, tenant, object_tenant, action, object_kind, object_id, revision, outcome, session, strength, request, input_hash, private_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let (cx, actor) = (entry.cx, entry.cx.actor().to_string());
    let (tenant, session, request) = (cx.tenant(), cx.session().unwrap_or_default(), cx.request());
    let strength = cx.proof().map_or("", |proof| proof.strength.word());
    let values = args![
        entry.at,
        actor,
        tenant,
        entry.object_tenant,
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.revision,
        entry.outcome,
        session,
        strength,
        request,
        entry.digest,
        private
    ];
    match private {
        None => conn.execute(sql, values).map(|_| 0),
        Some(_) => conn.query_one(&format!("{sql} RETURNING seq"), values, |row| row.get(0)),
    }
}

pub(super) fn insert_private(conn: &mut Conn<'_>, entry: i64, salt: &[u8], body: &str) -> Result<()> {
    conn.execute("INSERT INTO audit_private (entry, salt, body) VALUES ($1, $2, $3)", args![entry, salt, body])
        .map(drop)
}

/// An entry as it is stored.
pub(super) struct Stored {
    pub seq: i64,
    pub leaf: Leaf,
    pub hash: Option<Vec<u8>>,
    pub root: Option<Vec<u8>>,
    pub private: Option<(Vec<u8>, String)>,
}

pub(super) const COLUMNS: &str = "e.seq, e.at, e.actor, e.tenant, e.object_tenant, e.action, e.object_kind, e.object_id, e.revision, e.outcome, \
     e.session, e.request, e.input_hash, e.private_hash, e.leaf_hash, e.root, p.salt, p.body, e.leaf_index, e.strength";
pub(super) const FROM: &str = "audit_entries e LEFT JOIN audit_private p ON p.entry = e.seq";

pub(super) fn read(row: &Row) -> Result<Stored> {
    let salt: Option<Vec<u8>> = row.get(16)?;
    let body: Option<String> = row.get(17)?;
    Ok(Stored {
        seq: row.get(0)?,
        leaf: Leaf {
            v: 1,
            at: row.get(1)?,
            actor: row.get(2)?,
            tenant: row.get(3)?,
            object_tenant: row.get(4)?,
            action: row.get(5)?,
            object_kind: row.get(6)?,
            object_id: row.get(7)?,
            revision: row.get(8)?,
            outcome: row.get(9)?,
            session: row.get(10)?,
            strength: row.get(19)?,
            request: row.get(11)?,
            input: hexed(Some(&row.get::<Vec<u8>>(12)?)),
            private: hexed(row.get::<Option<Vec<u8>>>(13)?.as_deref()),
        },
        hash: row.get(14)?,
        root: row.get(15)?,
        private: salt.zip(body),
    })
}

/// The entry at a place of the tree.
pub(super) fn at(conn: &mut Conn<'_>, index: u64) -> Result<Option<Stored>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM {FROM} WHERE e.leaf_index = $1"), args![index], read)
}

pub(super) fn pending(conn: &mut Conn<'_>, most: usize) -> Result<Vec<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE e.leaf_index IS NULL ORDER BY e.seq LIMIT $1");
    conn.query(&sql, args![most], read)
}

pub(super) fn any_pending(conn: &mut Conn<'_>) -> Result<bool> {
    Ok(conn
        .query_opt("SELECT seq FROM audit_entries WHERE leaf_index IS NULL LIMIT 1", &[], |row| row.get::<i64>(0))?
        .is_some())
}

pub(super) fn count_pending(conn: &mut Conn<'_>) -> Result<i64> {
    conn.query_one("SELECT COUNT(*) FROM audit_entries WHERE leaf_index IS NULL", &[], |row| row.get(0))
}

pub(super) fn place(conn: &mut Conn<'_>, seq: i64, index: u64, hash: &Hash, root: &Hash) -> Result<()> {
    conn.execute(
        "UPDATE audit_entries SET leaf_index = $2, leaf_hash = $3, root = $4 WHERE seq = $1",
        args![seq, index, hash, root],
    )
    .map(drop)
}

pub(super) fn tree(conn: &mut Conn<'_>) -> Result<Option<(i64, Vec<u8>)>> {
    conn.query_opt("SELECT size, frontier FROM audit_tree WHERE id = 1", &[], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn save_tree(conn: &mut Conn<'_>, tree: &Frontier) -> Result<()> {
    conn.execute(
        "INSERT INTO audit_tree (id, size, frontier) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET size = $1, frontier = $2",
        args![tree.size(), tree.bytes()],
    )
    .map(drop)
}

/// Whether the head of a full subtree of this level is stored.
pub(super) fn is_kept(level: u32) -> bool {
    level > 0 && level.is_multiple_of(STRIDE)
}

pub(super) fn keep_node(conn: &mut Conn<'_>, level: u32, place: u64, hash: &Hash) -> Result<()> {
    conn.execute("INSERT INTO audit_nodes (level, place, hash) VALUES ($1, $2, $3)", args![level, place, hash])
        .map(drop)
}

pub(super) fn nodes(conn: &mut Conn<'_>) -> Result<Vec<(i64, i64, Vec<u8>)>> {
    conn.query("SELECT level, place, hash FROM audit_nodes", &[], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// The head of the tree when it had `size` leaves.
pub(super) fn root_at(conn: &mut Conn<'_>, size: u64) -> Result<Option<Vec<u8>>> {
    if size == 0 {
        return Ok(Some(Frontier::default().root().to_vec()));
    }
    Ok(conn
        .query_opt("SELECT root FROM audit_entries WHERE leaf_index = $1", args![size - 1], |row| row.get(0))?
        .flatten())
}

pub(super) fn insert_checkpoint(conn: &mut Conn<'_>, size: u64, at: Timestamp, note: &str) -> Result<()> {
    conn.execute(
        "INSERT INTO audit_checkpoints (size, at, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING",
        args![size, at, note],
    )
    .map(drop)
}

/// When, and the note.
pub(super) fn newest_checkpoint(conn: &mut Conn<'_>) -> Result<Option<(Timestamp, String)>> {
    conn.query_opt("SELECT at, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1", &[], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// How many entries it covers, and the note.
pub(super) fn newest_signed(conn: &mut Conn<'_>) -> Result<Option<(u64, String)>> {
    conn.query_opt("SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1", &[], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

pub(super) fn checkpoints(conn: &mut Conn<'_>) -> Result<Vec<String>> {
    conn.query("SELECT note FROM audit_checkpoints ORDER BY size", &[], |row| row.get(0))
}

/// The head of the subtree over the leaves from `start` to just before `end`.
pub(super) fn subtree(conn: &mut Conn<'_>, start: u64, end: u64) -> Result<Hash> {
    let width = end - start;
    if !width.is_power_of_two() || !start.is_multiple_of(width) {
        let middle = start + split(width);
        let (left, right) = (subtree(conn, start, middle)?, subtree(conn, middle, end)?);
        return Ok(node_hash(&left, &right));
    }
    let base = width.trailing_zeros() / STRIDE * STRIDE;
    let read = |row: &Row| row.get::<Vec<u8>>(0);
    let found = match base {
        0 => conn.query(
            "SELECT leaf_hash FROM audit_entries WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index",
            args![start, end],
            read,
        )?,
        _ => conn.query(
            "SELECT hash FROM audit_nodes WHERE level = $3 AND place >= $1 AND place < $2 ORDER BY place",
            args![start >> base, end >> base, base],
            read,
        )?,
    };
    let mut heads: Vec<Hash> = found.into_iter().filter_map(|hash| hash.try_into().ok()).collect();
    if heads.len() as u64 != width >> base {
        return Err(base::Error::conflict(
            "audit.damaged",
            "the audit log's tree has a hole; run `yunwei audit verify`",
        ));
    }
    while heads.len() > 1 {
        heads = heads.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    heads.into_iter().next().ok_or_else(|| base::Error::bug("audit.subtree", "a subtree has no leaf"))
}
