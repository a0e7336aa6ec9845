//! SQLite: one writer thread whose transactions share commits, and a reading
//! connection per thread.
//!
//! One that fails takes nothing of its neighbours with it. Most that fail have
//! written nothing yet, and there is nothing to take back; where one has, the
//! group begins anew, each write now inside a savepoint. Savepoints from the
//! start would copy every page once for each write of the group, and cost a
//! fifth of the writer's time. Nobody is told of success before the group's
//! commit has reached the disk (WAL, `synchronous=FULL`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::fs::{File, TryLockError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::{Error, Result, limits};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags, ffi};

use crate::conn::{Conn, Inner, Row};
use crate::value::Value;
use crate::{Done, Job, migrate};

pub(crate) struct Sqlite {
    serial: u64,
    path: PathBuf,
    read_only: bool,
    queue: Mutex<Option<SyncSender<(Job, Done)>>>,
    /// The writer, who tells what came of its writes, and who takes the log into the database.
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: Option<File>,
}

/// How long another's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);

static SERIAL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Reading connections of this thread, by the database's serial number.
    static READERS: RefCell<HashMap<u64, Link>> = RefCell::default();
}

/// A connection, and what the writer knows of its transaction.
pub(crate) struct Link {
    conn: Connection,
    /// Statements that wrote, or tried to, since the connection was made.
    written: Cell<u64>,
    /// Whether what fails can be taken back by itself.
    careful: Cell<bool>,
    /// A part stands written that was to be taken back, whatever its write makes of it.
    spoilt: Cell<bool>,
}

impl Link {
    fn new(conn: Connection) -> Link {
        Link { conn, written: Cell::new(0), careful: Cell::new(false), spoilt: Cell::new(false) }
    }

    /// What has been written so far, where no savepoints are set.
    pub(crate) fn bare(&self) -> Option<u64> {
        (!self.careful.get()).then(|| self.written.get())
    }

    /// Without savepoints nothing can be taken back, so nothing may be there to take.
    pub(crate) fn expect_unwritten(&self, since: u64) -> Result<()> {
        if self.written.get() == since {
            return Ok(());
        }
        self.spoilt.set(true);
        Err(again())
    }

    fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>> {
        inside(&self.conn)?;
        let statement = self.conn.prepare_cached(sql).map_err(translate)?;
        if !statement.readonly() {
            self.written.set(self.written.get() + 1);
        }
        Ok(statement)
    }
}

/// Asks for the transaction to be run again, with savepoints.
fn again() -> Error {
    Error::contended("db.again", "part of a transaction has to be taken back")
}

impl Sqlite {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|e| unusable(directory, e))?;
        restrict(directory)?;
        let lock = claim(directory)?;
        let path = directory.join("yunwei.db");
        restrict_file(&path).map_err(|e| unusable(directory, e))?;
        let mut conn = connect(&path, false)?;
        migrate::sqlite(&mut conn)?;
        // Room for one: what is asked while nobody listens yet, or while one is at it, is done next.
        let (ask, asked) = sync_channel(1);
        conn.wal_hook(Some(take_in(ask))).map_err(translate)?;
        let link = Link::new(conn);
        let (sender, receiver) = sync_channel(limits::WRITE_QUEUE_MAX);
        // Not bounded, or the end of the teller could wait for a writer that waits for the teller; what stands in
        // it was bounded by the queue of writes.
        let (tell, told) = channel::<Group>();
        let thread = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(work).map_err(|e| unusable(directory, e))
        };
        let writer = thread("db-writer", Box::new(move || serve(&link, &receiver, &tell)))?;
        let teller = thread("db-teller", Box::new(move || told.into_iter().for_each(Group::tell)))?;
        let file = path.clone();
        let keeper = thread("db-checkpoint", Box::new(move || checkpoints(&file, &asked)))?;
        Ok(Sqlite {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            path,
            read_only: false,
            queue: Mutex::new(Some(sender)),
            threads: Mutex::new(vec![writer, teller, keeper]),
            _lock: Some(lock),
        })
    }

    pub(crate) fn open_read_only(directory: &Path) -> Result<Self> {
        let path = directory.join("yunwei.db");
        if !path.is_file() {
            return Err(Error::not_found("data.absent", format!("{} holds no yunwei.db", directory.display())));
        }
        let conn = connect(&path, true)?;
        migrate::expect_current(&conn)?;
        Ok(Sqlite {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            path,
            read_only: true,
            queue: Mutex::new(None),
            threads: Mutex::default(),
            _lock: None,
        })
    }

    pub(crate) fn submit(&self, job: Job, done: Done) {
        let sender = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let Some(sender) = sender else {
            let reason = if self.read_only {
                "the data directory is open for reading only"
            } else {
                "the database is shutting down"
            };
            return done(Err(Error::unavailable("db.closed", reason)));
        };
        match sender.try_send((job, done)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, done))) => {
                done(Err(
                    Error::unavailable("db.busy", "too many writes are waiting").retry_after(Duration::from_secs(1))
                ))
            }
            Err(TrySendError::Disconnected((_, done))) => {
                done(Err(Error::unavailable("db.closed", "the database is shutting down")))
            }
        }
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        // Taken out for the while, so that a read inside a read gets a connection of its own.
        let kept = READERS.with_borrow_mut(|readers| readers.remove(&self.serial));
        let link = match kept {
            Some(link) => link,
            None => Link::new(connect(&self.path, true)?),
        };
        run(&link.conn, "BEGIN")?;
        let result = work(&mut Conn(Inner::Sqlite(&link)));
        let ended = run(&link.conn, "COMMIT");
        if ended.is_ok() {
            READERS.with_borrow_mut(|readers| readers.insert(self.serial, link));
        }
        let value = result?;
        ended?;
        Ok(value)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let sender = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(sender);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // A job's own callback may hold the last handle; a thread cannot wait for itself, nor the writer for the
        // others, which go on for as long as there is a writer.
        let here = std::thread::current().id();
        for thread in threads.into_iter().take_while(|thread| thread.thread().id() != here) {
            let _ = thread.join();
        }
        READERS.with_borrow_mut(|readers| readers.remove(&self.serial));
    }
}

/// What the writer does about its log after each commit: asks for it to be taken into the database whenever it has
/// grown by so much. Under steady load that never comes to the log's end, where alone it can begin anew: so the
/// writer takes in the rest of a long one itself.
fn take_in(ask: SyncSender<()>) -> impl FnMut(&mut Wal, c_int) -> rusqlite::Result<()> + Send + 'static {
    let (mut asked_at, mut too_long) = (0, 2 * limits::WAL_PAGES_MAX);
    move |log, pages| {
        // Shorter than it was: it has begun anew.
        if pages < asked_at {
            (asked_at, too_long) = (0, 2 * limits::WAL_PAGES_MAX);
        }
        if pages >= limits::WAL_PAGES_MAX {
            asked_at = pages;
            // Refused while the other is at it, who is asked no more: a later commit comes through.
            let taken = log.checkpoint();
            if pages >= too_long {
                too_long = 2 * pages;
                let why = taken.err().map_or_else(|| "somebody reads for a long time".to_owned(), |e| e.to_string());
                tracing::warn!(pages, why, "the database's log grows and cannot begin anew");
            }
        } else if pages >= asked_at + limits::WAL_PAGES {
            asked_at = pages;
            let _ = ask.try_send(());
        }
        Ok(())
    }
}

/// Takes the log into the database whenever that is asked for, beside the writer.
fn checkpoints(path: &Path, asked: &Receiver<()>) {
    let mut conn = None;
    for () in asked {
        let link = conn.take().map_or_else(|| connect(path, false), Ok);
        let taken = link.and_then(|link| {
            let taken = link.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(translate);
            conn = Some(link);
            taken
        });
        if let Err(error) = taken {
            tracing::warn!(%error, "the database's log was not taken in; the writer does it when it has grown");
        }
    }
}

/// A write of the present group, with what came of it.
struct Member {
    job: Job,
    done: Done,
    result: Result<()>,
}

/// Writes that shared a transaction, with what came of it.
struct Group {
    members: Vec<Member>,
    committed: Result<()>,
}

impl Group {
    /// Tells everybody.
    fn tell(self) {
        for member in self.members {
            (member.done)(member.result.and(self.committed.clone()));
        }
    }
}

/// The writer: takes what has gathered, runs it as one transaction, then has everybody told. To wake a waiting
/// thread takes as long as a few rows, so where there are several to wake, the writer goes on meanwhile.
fn serve(link: &Link, queue: &Receiver<(Job, Done)>, teller: &Sender<Group>) {
    while let Ok(first) = queue.recv() {
        let mut group: Vec<Member> = Vec::new();
        let mut began = run(&link.conn, "BEGIN IMMEDIATE");
        link.careful.set(false);
        link.spoilt.set(false);
        let mut next = Some(first);
        while let Some((job, done)) = next {
            group.push(Member { job, done, result: Ok(()) });
            let newest = group.len() - 1;
            if take(link, &mut group[newest..], &mut began) == Taken::Spoilt {
                link.careful.set(true);
                began = run(&link.conn, "ROLLBACK").and_then(|()| run(&link.conn, "BEGIN IMMEDIATE"));
                take(link, &mut group, &mut began);
            }
            let full = began.is_err() || group.len() == limits::GROUP_COMMIT_MAX;
            next = if full { None } else { queue.try_recv().ok() };
        }
        let committed = began.and_then(|()| run(&link.conn, "COMMIT"));
        if committed.is_err() {
            let _ = run(&link.conn, "ROLLBACK");
        }
        let group = Group { members: group, committed };
        if group.members.len() == 1 {
            group.tell();
        } else if let Err(SendError(group)) = teller.send(group) {
            group.tell();
        }
    }
}

#[derive(PartialEq)]
enum Taken {
    Well,
    /// Something stands written that belongs to a write that failed.
    Spoilt,
}

/// Runs these writes inside the transaction that `began`.
fn take(link: &Link, members: &mut [Member], began: &mut Result<()>) -> Taken {
    for member in members {
        let before = link.written.get();
        member.result = began.clone().and_then(|()| guarded(link, &mut member.job));
        if began.is_ok() && link.conn.is_autocommit() {
            // A full disk: the neighbours' work went with the job's, and whoever comes next begins anew.
            *began = Err(member.result.clone().err().unwrap_or_else(taken_back));
        } else {
            let failed = member.result.is_err() && !link.careful.get() && link.written.get() != before;
            if link.spoilt.take() || failed {
                return Taken::Spoilt;
            }
        }
    }
    Taken::Well
}

/// One job. A panic in it is that job's error, not the writer's end.
fn guarded(link: &Link, job: &mut Job) -> Result<()> {
    let careful = link.careful.get();
    if careful {
        run(&link.conn, "SAVEPOINT job")?;
    }
    let attempt = std::panic::AssertUnwindSafe(|| job(&mut Conn(Inner::Sqlite(link))));
    let result = std::panic::catch_unwind(attempt)
        .unwrap_or_else(|_| Err(Error::bug("db.panic", "a transaction stopped on a broken invariant")));
    if link.conn.is_autocommit() {
        return Err(result.err().unwrap_or_else(taken_back));
    }
    if careful {
        if result.is_err() {
            run(&link.conn, "ROLLBACK TO job")?;
        }
        run(&link.conn, "RELEASE job")?;
    }
    result
}

fn run(conn: &Connection, sql: &str) -> Result<()> {
    conn.prepare_cached(sql).and_then(|mut s| s.raw_execute()).map(drop).map_err(translate)
}

fn connect(path: &Path, read_only: bool) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    let conn = Connection::open_with_flags(path, flags).map_err(translate)?;
    conn.set_prepared_statement_cache_capacity(256);
    // A plan never depends on the values that are bound: without this, every `LIMIT $n` is planned again each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(translate)?;
    conn.busy_timeout(Duration::from_secs(10)).map_err(translate)?;
    if !read_only {
        // What a savepoint may have to give back stays in memory: without this each spills into a file.
        conn.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY;
             PRAGMA wal_autocheckpoint=0;",
        )
        .map_err(translate)?;
    }
    Ok(conn)
}

/// Takes the lock that keeps a second server away from the directory.
fn claim(directory: &Path) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("yunwei.lock"))
        .map_err(|e| unusable(directory, e))?;
    // A child that somebody starts holds all files for the moment until it is another program: also one just closed.
    let end = Instant::now() + LOCK_WAIT;
    let taken = loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(LOCK_WAIT / 50),
            taken => break taken,
        }
    };
    match taken {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::conflict(
            "data.in_use",
            format!(
                "{} is in use by another yunwei process; stop it first, or use a command that works beside a server",
                directory.display()
            ),
        )),
        Err(TryLockError::Error(e)) => Err(unusable(directory, e)),
    }
}

/// The directory is nobody else's to read: it holds password hashes and keys.
fn restrict(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(|e| unusable(directory, e))
}

/// Nor is the database, should somebody copy it out with its mode. SQLite gives
/// its log and its index the mode of the database. To be done before the first
/// connection: closing the file would take away the locks of one.
pub(crate) fn restrict_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = File::options().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

fn unusable(directory: &Path, e: std::io::Error) -> Error {
    Error::unavailable("data.unusable", format!("cannot use the data directory {}: {e}", directory.display()))
        .because(e)
}

/// SQLite takes the whole transaction back by itself where the disk is full or
/// fails. What comes after in the same piece of work must not be written alone.
fn inside(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() { Err(taken_back()) } else { Ok(()) }
}

fn taken_back() -> Error {
    Error::unavailable("db.taken_back", "the database took the transaction back; nothing of it was written")
}

pub(crate) fn execute(link: &Link, sql: &str, args: &[Value<'_>]) -> Result<u64> {
    let mut statement = link.prepare(sql)?;
    bind(&mut statement, args)?;
    statement.raw_execute().map(|n| n as u64).map_err(translate)
}

pub(crate) fn until(
    link: &Link,
    sql: &str,
    args: &[Value<'_>],
    mut see: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut statement = link.prepare(sql)?;
    bind(&mut statement, args)?;
    let width = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(translate)? {
        let cells = (0..width).map(|column| cell(row, column)).collect::<Result<_>>()?;
        if see(&Row(cells))?.is_break() {
            break;
        }
    }
    Ok(())
}

fn cell<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Value<'r>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column).map_err(translate)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(_) => return Err(Error::bug("db.real", "no column of ours holds a float")),
        // What is text is nearly always well formed, and to see that is quicker than to mend it.
        ValueRef::Text(text) => {
            Value::Text(std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Into::into))
        }
        ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
    })
}

fn bind(statement: &mut rusqlite::CachedStatement<'_>, args: &[Value<'_>]) -> Result<()> {
    const NAMES: [&str; 32] = [
        "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17",
        "$18", "$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28", "$29", "$30", "$31", "$32",
    ];
    for (number, value) in args.iter().enumerate() {
        let long;
        let name = match NAMES.get(number) {
            Some(name) => *name,
            None => {
                long = format!("${}", number + 1);
                &long
            }
        };
        // A parameter that the text does not mention is allowed, as in PostgreSQL.
        let Some(index) = statement.parameter_index(name).map_err(translate)? else { continue };
        match value {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
            Value::Int(n) => statement.raw_bind_parameter(index, n),
            Value::Text(text) => statement.raw_bind_parameter(index, &**text),
            Value::Bytes(bytes) => statement.raw_bind_parameter(index, &**bytes),
        }
        .map_err(translate)?;
    }
    Ok(())
}

pub(crate) fn translate(e: rusqlite::Error) -> Error {
    let code = e.sqlite_error().map_or(0, |inner| inner.extended_code);
    let base = match code & 0xff {
        ffi::SQLITE_FULL => Error::unavailable("db.full", "the disk under the data directory is full"),
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY => {
            Error::unavailable("db.io", "the data directory cannot be read or written")
        }
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Error::contended("db.busy", "the database is busy"),
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => {
            Error::unavailable("db.corrupt", "the database file is damaged; restore it from a backup")
        }
        ffi::SQLITE_CONSTRAINT => match code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
                Error::conflict("db.duplicate", "there is one like it already")
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                Error::dangling("db.reference", "it refers to something that does not exist")
            }
            _ => Error::conflict("db.check", "a rule of the database forbids it"),
        },
        _ => Error::bug("db.statement", format!("SQLite refused a statement: {e}")),
    };
    base.because(e)
}
