//! PostgreSQL: a handful of threads, each with a connection of its own, taking
//! work from two queues. Writes are SERIALIZABLE and run again after a
//! serialisation failure; reads are REPEATABLE READ, read only.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ::postgres::error::SqlState;
use ::postgres::fallible_iterator::FallibleIterator as _;
use ::postgres::types::{IsNull, ToSql, Type, private::BytesMut};
use ::postgres::{Client, NoTls, Statement};
use base::{Error, Result, limits};

use crate::conn::{Conn, Inner, Row};
use crate::value::Value;
use crate::{Done, Job, migrate};

const THREADS: usize = 8;

type Read = Box<dyn FnOnce(Result<&mut Session<'_>>) + Send>;

enum Work {
    Write(Job, Done),
    Read(Read),
}

pub(crate) struct Postgres {
    queue: Mutex<Option<SyncSender<Work>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Postgres {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let config = parse(url)?;
        migrate::postgres(&mut connect(&config)?)?;
        Self::start(&config)
    }

    /// For looking only: PostgreSQL itself refuses whatever would write.
    pub(crate) fn open_read_only(url: &str) -> Result<Self> {
        let mut config = parse(url)?;
        let options = config.get_options().unwrap_or_default();
        let options = format!("{options} -c default_transaction_read_only=on");
        config.options(options.trim());
        migrate::expect_current_postgres(&mut connect(&config)?)?;
        Self::start(&config)
    }

    fn start(config: &::postgres::Config) -> Result<Self> {
        let (sender, receiver) = sync_channel(limits::WRITE_QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let way = Arc::new(RwLock::new(()));
        let threads = (0..THREADS)
            .map(|n| {
                let (receiver, config, way) = (receiver.clone(), config.clone(), way.clone());
                std::thread::Builder::new()
                    .name(format!("db-{n}"))
                    .spawn(move || serve(&config, &receiver, &way))
                    .map_err(|e| Error::unavailable("db.threads", "cannot start a database thread").because(e))
            })
            .collect::<Result<_>>()?;
        Ok(Postgres { queue: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
    }

    pub(crate) fn submit(&self, job: Job, done: Done) {
        if let Err(Work::Write(_, done)) = self.send(Work::Write(job, done)) {
            done(Err(busy()));
        }
    }

    pub(crate) fn read<T, F, D>(&self, work: F, done: D)
    where
        F: FnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        let read: Read =
            Box::new(move |session| done(session.and_then(|session| session.transaction(READ_BEGIN, work))));
        if let Err(Work::Read(read)) = self.send(Work::Read(read)) {
            read(Err(busy()));
        }
    }

    fn send(&self, work: Work) -> std::result::Result<(), Work> {
        let sender = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        match sender {
            Some(sender) => sender.try_send(work).map_err(|e| match e {
                TrySendError::Full(work) | TrySendError::Disconnected(work) => work,
            }),
            None => Err(work),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let sender = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(sender);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for thread in threads.into_iter().filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn busy() -> Error {
    Error::unavailable("db.busy", "too many database requests are waiting").retry_after(Duration::from_secs(1))
}

const WRITE_BEGIN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
const READ_BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How long a server that says nothing is waited for, where its address does not say otherwise.
const SILENCE: Duration = Duration::from_secs(30);

pub(crate) fn parse(url: &str) -> Result<::postgres::Config> {
    let form = "the database address is not of the form postgres://user:password@host/database";
    url.parse().map_err(|e| Error::invalid("database.url", form).because(e))
}

pub(crate) fn connect(config: &::postgres::Config) -> Result<Client> {
    let mut config = config.clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    // A server whose host is gone answers nothing, for ever: the operating system is told when to give up.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE).keepalives_idle(SILENCE).keepalives_interval(Duration::from_secs(10));
    }
    config.connect(NoTls).map_err(|e| Error::unavailable("db.away", format!("cannot reach PostgreSQL: {e}")).because(e))
}

fn serve(config: &::postgres::Config, queue: &Mutex<Receiver<Work>>, way: &RwLock<()>) {
    let mut kept: Option<(Client, HashMap<String, Statement>)> = None;
    loop {
        let work = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        if kept.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            kept = match connect(config) {
                Ok(client) => Some((client, HashMap::new())),
                Err(e) => {
                    match work {
                        Work::Write(_, done) => done(Err(e)),
                        Work::Read(read) => read(Err(e)),
                    }
                    continue;
                }
            };
        }
        let Some((client, statements)) = kept.as_mut() else { continue };
        let (poisoned, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut session = Session { client, statements, poisoned: &poisoned, failed: &failed };
        match work {
            Work::Write(mut job, done) => done(persist(&mut session, &mut job, way)),
            Work::Read(read) => read(Ok(&mut session)),
        }
        if poisoned.load(Ordering::Relaxed) {
            kept = None;
        }
    }
}

/// Times that a write is pushed aside before it has the right of way.
const PUSHED_ASIDE_MAX: u32 = 4;

/// Runs a write until it commits, fails for good, or has been pushed aside too
/// often. Several writes that look at the same rows can push each other aside
/// for long; one that suffered that takes the way for itself, and the other
/// threads of this process wait for it. Other servers can still be in the way.
fn persist(session: &mut Session<'_>, job: &mut Job, way: &RwLock<()>) -> Result<()> {
    for attempt in 0..limits::CONTENTION_RETRIES_MAX {
        let result = if attempt < PUSHED_ASIDE_MAX {
            let _with_others = way.read().unwrap_or_else(PoisonError::into_inner);
            session.transaction(WRITE_BEGIN, |conn| job(conn))
        } else {
            let _alone = way.write().unwrap_or_else(PoisonError::into_inner);
            session.transaction(WRITE_BEGIN, |conn| job(conn))
        };
        match result {
            Err(e) if e.kind() == base::Kind::Contended => {
                std::thread::sleep(Duration::from_micros(200 << attempt.min(8)));
            }
            other => return other,
        }
    }
    Err(Error::contended("db.contended", "the same rows are being changed too often; try again")
        .retry_after(Duration::from_secs(1)))
}

pub(crate) struct Session<'a> {
    client: &'a mut Client,
    statements: &'a mut HashMap<String, Statement>,
    /// Set where the state of the connection is unknown and it must not be used again.
    poisoned: &'a AtomicBool,
    /// Set while PostgreSQL has given the present transaction up: it would
    /// answer COMMIT with a rollback, and not call that an error.
    failed: &'a AtomicBool,
}

impl Session<'_> {
    pub(crate) fn reborrow(&mut self) -> Session<'_> {
        Session { client: self.client, statements: self.statements, poisoned: self.poisoned, failed: self.failed }
    }

    fn transaction<T>(&mut self, begin: &str, work: impl FnOnce(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        self.client.batch_execute(begin).map_err(translate)?;
        self.failed.store(false, Ordering::Relaxed);
        let inner = self.reborrow();
        let attempt = std::panic::AssertUnwindSafe(|| work(&mut Conn(Inner::Postgres(inner))));
        let result = std::panic::catch_unwind(attempt)
            .unwrap_or_else(|_| Err(Error::bug("db.panic", "a transaction stopped on a broken invariant")));
        let ignored =
            || Error::bug("db.failure_ignored", "a statement failed and its transaction went on all the same");
        match result {
            Ok(_) if self.failed.load(Ordering::Relaxed) => {
                self.roll_back();
                Err(ignored())
            }
            Ok(value) => self.client.batch_execute("COMMIT").map(|()| value).map_err(translate),
            Err(e) => {
                self.roll_back();
                Err(e)
            }
        }
    }

    fn roll_back(&mut self) {
        if self.client.batch_execute("ROLLBACK").is_err() {
            self.poisoned.store(true, Ordering::Relaxed);
        }
    }

    /// Notes whether the transaction can still be committed.
    fn noted<T>(&self, sql: &str, result: Result<T>) -> Result<T> {
        if result.is_err() || sql.starts_with("ROLLBACK TO ") {
            self.failed.store(result.is_err(), Ordering::Relaxed);
        }
        result
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(translate)?;
        if self.statements.len() >= 512 {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(crate) fn execute(&mut self, sql: &str, args: &[Value<'_>]) -> Result<u64> {
        let done = self
            .prepare(sql)
            .and_then(|statement| self.client.execute(&statement, &params(&statement, args)).map_err(translate));
        self.noted(sql, done)
    }

    /// Rows come one after the other: those that nobody wants are not kept.
    pub(crate) fn until(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        mut see: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut seen = Ok(());
        let run = self.prepare(sql).and_then(|statement| {
            let mut rows = self.client.query_raw(&statement, params(&statement, args)).map_err(translate)?;
            while let Some(row) = rows.next().map_err(translate)? {
                match shown(&row, &mut see) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(e) => {
                        seen = Err(e);
                        break;
                    }
                }
            }
            Ok(())
        });
        self.noted(sql, run)?;
        seen
    }
}

/// As many as the text mentions; more are allowed.
fn params<'v>(statement: &Statement, args: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    args.iter().take(statement.params().len()).map(|value| value as _).collect()
}

fn shown(row: &::postgres::Row, see: &mut impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>) -> Result<ControlFlow<()>> {
    let cells = (0..row.len()).map(|column| cell(row, column)).collect::<Result<_>>()?;
    see(&Row(cells))
}

fn cell(row: &::postgres::Row, column: usize) -> Result<Value<'static>> {
    let kind = row.columns()[column].type_();
    let read = |e: ::postgres::Error| Error::bug("db.column", format!("column {column} cannot be read")).because(e);
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map_err(read)?.map_or(Value::Null, Value::Int),
        Type::INT4 => {
            row.try_get::<_, Option<i32>>(column).map_err(read)?.map_or(Value::Null, |n| Value::Int(n.into()))
        }
        Type::BOOL => {
            row.try_get::<_, Option<bool>>(column).map_err(read)?.map_or(Value::Null, |b| Value::Int(b.into()))
        }
        Type::BYTEA => {
            row.try_get::<_, Option<Vec<u8>>>(column).map_err(read)?.map_or(Value::Null, |b| Value::Bytes(b.into()))
        }
        Type::TEXT | Type::VARCHAR | Type::NAME => {
            row.try_get::<_, Option<String>>(column).map_err(read)?.map_or(Value::Null, |t| Value::Text(t.into()))
        }
        _ => return Err(Error::bug("db.column", format!("column {column} is of the unexpected type {kind}"))),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(n) if *ty == Type::INT4 => i32::try_from(*n)?.to_sql(ty, out),
            Value::Int(n) if *ty == Type::BOOL => (*n != 0).to_sql(ty, out),
            Value::Int(n) if *ty == Type::INT8 => n.to_sql(ty, out),
            Value::Text(text) if matches!(*ty, Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN) => {
                (&**text).to_sql(ty, out)
            }
            Value::Bytes(bytes) if *ty == Type::BYTEA => (&**bytes).to_sql(ty, out),
            other => Err(format!("a parameter of type {ty} was given {other:?}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    ::postgres::types::to_sql_checked!();
}

pub(crate) fn translate(e: ::postgres::Error) -> Error {
    let base = match e.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
            Error::conflict("db.duplicate", "there is one like it already")
        }
        Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => {
            Error::dangling("db.reference", "it refers to something that does not exist")
        }
        Some(code) if *code == SqlState::CHECK_VIOLATION || *code == SqlState::NOT_NULL_VIOLATION => {
            Error::conflict("db.check", "a rule of the database forbids it")
        }
        Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
            Error::contended("db.contended", "two transactions met")
        }
        Some(code) if *code == SqlState::DISK_FULL => {
            Error::unavailable("db.full", "the database server's disk is full")
        }
        Some(code)
            if code.code().starts_with("57") || code.code().starts_with("53") || code.code().starts_with("08") =>
        {
            Error::unavailable("db.away", "PostgreSQL is not available")
        }
        Some(_) => Error::bug("db.statement", format!("PostgreSQL refused a statement: {e}")),
        None if e.is_closed() => Error::unavailable("db.away", "the connection to PostgreSQL was lost"),
        None => Error::bug("db.protocol", format!("PostgreSQL: {e}")),
    };
    base.because(e)
}
