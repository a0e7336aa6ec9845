//! The sequencer: gives entries their places in the tree and signs its head.
//!
//! One server at a time does it, under a lease; what it writes is one
//! transaction with the check of that lease. A checkpoint is stored, then added
//! to the file beside the key. Before it signs it compares the tree with what
//! was signed last: a tree that was cut or changed is not signed again, and the
//! log says so.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use base::time::{Clock, Timestamp, micros};
use base::{Error, Result, hex, limits};
use db::{Conn, Db, args};

use super::key::{Checkpoint, Key};
use super::tree::{Frontier, Hash, leaf_hash};
use super::{leaf, store};
use crate::{Gate, lease};

const TICK: Duration = Duration::from_millis(200);
const TERM: Duration = Duration::from_secs(30);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
const LEASE: &str = "audit.sequencer";

/// The head of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Leaves that were added just now.
    pub added: usize,
}

/// Takes the entries that wait into the tree, at most one batch of them.
/// `None` where another server is the sequencer.
///
/// # Errors
/// `Conflict` (`audit.damaged`) where the stored tree does not read; those of the database.
pub fn sequence(conn: &mut Conn<'_>, holder: &str, now: Timestamp) -> Result<Option<Head>> {
    if lease::take(conn, LEASE, holder, now, TERM)?.is_none() {
        return Ok(None);
    }
    let mut tree = read_tree(conn)?;
    let waiting = store::pending(conn, limits::AUDIT_BATCH_MAX)?;
    let mut full = Vec::new();
    for entry in &waiting {
        let hash = leaf_hash(entry.leaf.text()?.as_bytes());
        let index = tree.size();
        tree.push(hash, |level, place, head| {
            if store::is_kept(level) {
                full.push((level, place, *head));
            }
        });
        store::place(conn, entry.seq, index, &hash, &tree.root())?;
    }
    for (level, place, head) in full {
        store::keep_node(conn, level, place, &head)?;
    }
    if !waiting.is_empty() {
        store::save_tree(conn, &tree)?;
    }
    Ok(Some(Head { size: tree.size(), root: tree.root(), added: waiting.len() }))
}

fn read_tree(conn: &mut Conn<'_>) -> Result<Frontier> {
    let Some((size, bytes)) = store::tree(conn)? else { return Ok(Frontier::default()) };
    Frontier::read(size, &bytes).ok_or_else(|| {
        Error::conflict("audit.damaged", "the audit log's tree does not read; run `yunwei audit verify`")
    })
}

/// Erases the personal data in the entries of an actor; the tree stays whole.
/// Gives the number of entries concerned.
///
/// # Errors
/// Those of the database.
pub fn erase(conn: &mut Conn<'_>, actor: &str) -> Result<u64> {
    conn.execute(
        "DELETE FROM audit_private WHERE entry IN (SELECT seq FROM audit_entries WHERE actor = $1)",
        args![actor],
    )
}

/// The running sequencer of this process.
pub struct Sequencer {
    stop: Option<SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sequencer {
    /// Starts it over the gate's database, with the key that signs.
    ///
    /// # Errors
    /// `Unavailable` where the file of checkpoints cannot be used or no thread can be had.
    pub fn start(gate: &Gate, key: Key) -> Result<Sequencer> {
        let mut desk = Desk::open(gate.db().clone(), gate.clock().clone(), key)?;
        if gate.db().engine() == db::Engine::Sqlite {
            gate.db().write(lease::release_all)?;
        }
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || {
            loop {
                let last = stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
                if let Err(e) = desk.turn(last) {
                    desk.complain(&e);
                }
                if last {
                    return desk.leave();
                }
            }
        });
        let thread = thread
            .map_err(|e| Error::unavailable("audit.thread", "cannot start the audit log's sequencer").because(e))?;
        Ok(Sequencer { stop: Some(stop), thread: Some(thread) })
    }

    /// Takes in what waits, signs a last checkpoint and stops.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The sequencer's state between two turns.
pub(super) struct Desk {
    db: Db,
    clock: Clock,
    key: Key,
    holder: String,
    /// What was signed last, by this server's file or by the database.
    signed: Option<Checkpoint>,
    signed_at: Option<Timestamp>,
    complained: Option<String>,
}

impl Desk {
    pub fn open(db: Db, clock: Clock, key: Key) -> Result<Desk> {
        let written = key.written_out()?;
        let in_file =
            written.iter().filter_map(|note| key.public().open(note).ok()).max_by_key(|checkpoint| checkpoint.size);
        let stored = db.read(store::newest_checkpoint)?;
        let in_base = stored.as_ref().and_then(|(_, note)| key.public().open(note).ok());
        if let (Some((_, note)), Some(base)) = (&stored, &in_base)
            && in_file.as_ref().is_none_or(|file| file.size < base.size)
        {
            // A crash came between the commit and the file.
            key.write_out(note)?;
        }
        let signed = [in_file, in_base].into_iter().flatten().max_by_key(|checkpoint| checkpoint.size);
        let holder = hex::encode(&leaf::salt()?[..8]);
        Ok(Desk { db, clock, key, holder, signed, signed_at: None, complained: None })
    }

    /// Takes in what waits and signs, if it is time to or `last`.
    pub fn turn(&mut self, last: bool) -> Result<()> {
        let mut head = None;
        while self.db.read(store::any_pending)? || (head.is_none() && last) {
            let (holder, now) = (self.holder.clone(), self.clock.now());
            head = self.db.write(move |conn| sequence(conn, &holder, now))?;
            if head.is_none_or(|head| head.added < limits::AUDIT_BATCH_MAX) {
                break;
            }
        }
        let head = match head {
            Some(head) => head,
            // Another server does it.
            None if last => return Ok(()),
            None => match self.unsigned()? {
                Some(head) => head,
                None => return Ok(()),
            },
        };
        let (now, before) = (self.clock.now(), self.signed.as_ref().map_or(0, |signed| signed.size));
        // A clock that was set back must not put the next checkpoint off.
        let every = CHECKPOINT_EVERY.as_micros() as i64;
        let long_ago = self.signed_at.is_none_or(|at| !(0..every).contains(&(micros(now) - micros(at))));
        let many = head.size.saturating_sub(before) >= limits::AUDIT_CHECKPOINT_ENTRIES as u64;
        if head.size != before && (last || long_ago || many) {
            self.sign(head, now)?;
        }
        self.complained = None;
        Ok(())
    }

    /// The head of a tree that has grown since it was last signed by this server, if it is its to sign.
    fn unsigned(&self) -> Result<Option<Head>> {
        let (holder, signed) = (self.holder.clone(), self.signed.as_ref().map_or(0, |signed| signed.size));
        self.db.read(move |conn| {
            let ours =
                conn.query_opt("SELECT holder FROM leases WHERE name = $1", args![LEASE], |row| row.get::<String>(0))?;
            let tree = read_tree(conn)?;
            let wanted = ours.as_deref() == Some(&holder) && tree.size() != signed;
            Ok(wanted.then(|| Head { size: tree.size(), root: tree.root(), added: 0 }))
        })
    }

    fn sign(&mut self, head: Head, now: Timestamp) -> Result<()> {
        let signed = self.signed.clone();
        if let Some(signed) = &signed {
            let (size, root) = (signed.size, signed.root);
            let found = self.db.read(move |conn| store::root_at(conn, size))?;
            if head.size < size || found.as_deref() != Some(&root[..]) {
                return Err(Error::conflict(
                    "audit.tampered",
                    format!(
                        "the audit log is not what was signed at {size} entries: it was cut or changed. Nothing more is signed; run `yunwei audit verify`"
                    ),
                ));
            }
        }
        let note = self.key.sign(head.size, &head.root);
        let (stored, holder) = (note.clone(), self.holder.clone());
        self.db.write(move |conn| match lease::take(conn, LEASE, &holder, now, TERM)? {
            Some(_) => store::insert_checkpoint(conn, head.size, now, &stored),
            None => Err(Error::conflict("lease.lost", "another server is the sequencer now")),
        })?;
        self.key.write_out(&note)?;
        self.signed = Some(self.key.public().open(&note)?);
        self.signed_at = Some(now);
        Ok(())
    }

    /// Lets another server go on at once.
    fn leave(&self) {
        let holder = self.holder.clone();
        let left = self.db.write(move |conn| {
            conn.execute("UPDATE leases SET until = 0 WHERE name = $1 AND holder = $2", args![LEASE, holder])
        });
        if let Err(e) = left {
            tracing::warn!(error = ?e, "the audit log's sequencer could not give its lease back");
        }
    }

    /// Says what is wrong, once.
    fn complain(&mut self, e: &Error) {
        if self.complained.as_deref() != Some(e.code()) {
            tracing::error!(error = ?e, "the audit log's sequencer cannot go on; trying again");
            self.complained = Some(e.code().to_owned());
        }
    }
}
