//! A copy of the platform is brought back beside the platform, and a server is started on it: what a
//! drill does to the world.
//!
//! Everything lies in [`FOLDER`] of the data directory, and with PostgreSQL in a database of its own; all
//! of it is gone when an attempt is over, and an attempt that was cut off is cleared away by the next one
//! or by the undo. The server answers on the loopback interface alone and does nothing of its own accord:
//! no lasting work, no agents, no mail, no webhooks.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use base::time::Timestamp;
use base::{Error, Result};
use db::{Db, Location, args, copies};
use gate::audit::{Verify, VerifyingKey};
use gate::keys::{self, Keys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::{Cancel, Worker};
use vault::request::{Answer, Key, Place, Repository, Restore, Secret, Task};
use vault::{fault, spoil};

use super::Installation;
use super::kit::Kit;
use super::recover::{self, Recovered, Stage, Wanted};
use super::take::root;
use crate::{ControlPlanePointId, DrillRunId};

/// Where copies are brought to, in the data directory.
const FOLDER: &str = ".drill";
/// How long a server may take until it answers.
const ANSWERING: Duration = Duration::from_secs(300);
/// How long it may take to end by itself.
const ENDING: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be brought back.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// For which run.
    pub run: DrillRunId,
    /// Where copies lie: what would be in the kit on the day.
    pub kit: Kit,
    /// Nothing newer than this.
    pub not_after: Option<Timestamp>,
    /// The point to be brought back: the newest that is known to be whole at these places.
    pub point: Option<ControlPlanePointId>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Told {
    /// An attempt begins.
    Begun,
    /// The places were opened, and one of them will serve.
    Opened {
        /// Its name.
        place: String,
    },
    /// Data directory and database are there.
    Restored(Recovered),
    /// A server on them is ready.
    Answered,
    /// Its data was looked at.
    Looked(Looked),
}

/// What was found in the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// The newest entry of the audit log.
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
    /// Entries of the audit log, all of which are what they were.
    pub entries: u64,
    /// How many of them the newest signature covers that holds.
    pub signed: u64,
}

/// What a drill of the platform does to the world; in tests, a world in memory.
pub(crate) trait Rig: Send + Sync + 'static {
    /// Bytes that are free where a copy would be brought to.
    fn room(&self) -> Result<u64>;
    /// Brings a copy back, has a server answer on it, looks at its data, and takes it all away again: also
    /// where it is cancelled meanwhile, with all that was begun for it.
    fn try_out(&self, asked: &Asked, cancel: &Cancel, told: &mut dyn FnMut(Told) -> Result<()>) -> Result<()>;
    /// Restores from a copy that was made of a snapshot at a place and damaged: the code that it failed with; none
    /// where it did not fail.
    fn damage(&self, asked: &Asked, cancel: &Cancel, of: (&str, &str)) -> Result<Option<String>>;
    /// Takes away what an attempt left that was cut off.
    fn clear(&self, run: DrillRunId) -> Result<()>;
}

/// Takes away what a process of this data directory left that is no more: a copy with its keys does not lie
/// there until somebody goes on with its drill.
///
/// # Errors
/// `Unavailable` where it cannot be removed.
pub fn sweep(data: &Path, database: &Location) -> Result<()> {
    let folder = data.join(FOLDER);
    match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &folder, e)),
        _ => {}
    }
    copies::sweep_beside(database, &databases(data)?)
}

fn failed(what: &str, path: &Path, e: io::Error) -> Error {
    Error::unavailable("drill.scratch", format!("cannot {what} {}: {e}", path.display())).because(e)
}

/// Nothing more is begun where somebody has stopped it.
fn go_on(cancel: &Cancel) -> Result<()> {
    let stopped = || Error::conflict("drill.stopped", "somebody stopped the drill");
    if cancel.asked() { Err(stopped()) } else { Ok(()) }
}

fn unexpected() -> Error {
    Error::bug("drill.answer", "the vault answered something else than it was asked")
}

fn folder(here: &Installation, run: DrillRunId) -> PathBuf {
    here.data.join(FOLDER).join(run.to_string())
}

/// How the databases are called that drills of this data directory have on a PostgreSQL server: others that use
/// it take none of them for their own.
fn databases(data: &Path) -> Result<String> {
    Ok(format!("yunwei_{}_", super::home(data)?))
}

/// The database that a run has there.
fn database(here: &Installation, run: DrillRunId) -> Result<String> {
    Ok(format!("{}{run}", databases(&here.data)?))
}

/// What an attempt made; gone when it is.
struct Attempt<'a> {
    here: &'a Installation,
    run: DrillRunId,
    folder: PathBuf,
}

impl<'a> Attempt<'a> {
    fn begin(here: &'a Installation, run: DrillRunId) -> Result<Attempt<'a>> {
        use std::os::unix::fs::DirBuilderExt as _;
        here.clear(run)?;
        let folder = folder(here, run);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|e| failed("make", &folder, e))?;
        Ok(Attempt { here, run, folder })
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.here.clear(self.run) {
            tracing::warn!(run = %self.run, code = e.code(), "what a drill of the platform brought back is still there: {e}");
        }
    }
}

impl Rig for Installation {
    fn room(&self) -> Result<u64> {
        let found = rustix::fs::statvfs(&self.data).map_err(|e| failed("measure", &self.data, e.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn try_out(&self, asked: &Asked, cancel: &Cancel, told: &mut dyn FnMut(Told) -> Result<()>) -> Result<()> {
        let attempt = Attempt::begin(self, asked.run)?;
        told(Told::Begun)?;
        let data = attempt.folder.join("data");
        let database = copies::beside(&self.database, &data, &database(self, asked.run)?)?;
        let recovered = bring(self, asked, cancel, (&data, &database), told)?;
        let taken_at = recovered.taken_at;
        told(Told::Restored(recovered))?;
        go_on(cancel)?;
        let server = Server::start(&self.server, (&data, &database), &attempt.folder.join("server.log"), cancel)?;
        server.ready(cancel)?;
        told(Told::Answered)?;
        go_on(cancel)?;
        let looked = look(&self.data.join("keys"), (&data, &database), taken_at)?;
        told(Told::Looked(looked))
    }

    fn damage(&self, asked: &Asked, cancel: &Cancel, (place, snapshot): (&str, &str)) -> Result<Option<String>> {
        let attempt = Attempt::begin(self, asked.run)?;
        let keys = Keys::open(&self.data.join("keys"))?;
        let named = asked.kit.places.iter().find(|one| one.name == place).ok_or_else(unexpected)?;
        let (worker, mut source) = (Worker::new(&self.program), asked.kit.open(&keys, named)?);
        source.key = worker.master(&source, cancel)?;
        let ask = |of: &Repository, task: &Task| worker.run(of, task, cancel, &mut |_| {});
        let (lies, cache) = (attempt.folder.join("copy"), attempt.folder.join("cache"));
        // A key that nobody needs to remember: the copy does not outlive this attempt.
        let key = Key::Password(Secret::new(keys::password()?));
        let mut copy = Repository { place: Place::Folder(lies.clone()), key, cache: Some(cache.clone()) };
        let escrow = Secret::new(keys::password()?);
        let made = ask(&copy, &Task::Make { escrow, alike: Some(Box::new(source.clone())) })?;
        let Answer::Made { master, .. } = made else { return Err(unexpected()) };
        copy.key = Key::Master(master);
        let wanted = Task::Copy { to: Box::new(copy.clone()), snapshots: vec![snapshot.to_owned()] };
        let Answer::Copied(copied) = ask(&source, &wanted)? else { return Err(unexpected()) };
        let copied = copied.get(snapshot).cloned().ok_or_else(unexpected)?;
        if spoil::repository(&lies, &cache)? == 0 {
            return Err(Error::conflict("control.nothing_to_damage", "the copy holds no data that could be damaged"));
        }
        let (path, to) = (root().display().to_string(), attempt.folder.join("restored"));
        match ask(&copy, &Task::Restore(Restore { snapshot: copied, path, to, sparse: false, owners: false })) {
            Ok(_) => Ok(None),
            // Damage is what it must fail with: a full disk is no proof of anything.
            Err(e) if [fault::REPOSITORY_DAMAGED, fault::REPOSITORY_INCOMPLETE].contains(&e.code()) => {
                Ok(Some(e.code().to_owned()))
            }
            Err(e) => Err(e),
        }
    }

    fn clear(&self, run: DrillRunId) -> Result<()> {
        let folder = folder(self, run);
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &folder, e)),
            _ => {}
        }
        copies::remove_beside(&self.database, &database(self, run)?)
    }
}

/// Recovers into `to` as on the day, with the one thing that people would bring then: the master key.
fn bring(
    here: &Installation,
    asked: &Asked,
    cancel: &Cancel,
    to: (&Path, &Location),
    told: &mut dyn FnMut(Told) -> Result<()>,
) -> Result<Recovered> {
    let master = Keys::read(&here.data.join("keys"))?;
    let wanted = Wanted {
        data: to.0,
        database: to.1,
        kit: &asked.kit,
        master: &master,
        place: None,
        not_after: asked.not_after,
        point: asked.point,
        program: &here.program,
        cancel,
    };
    let mut heard = Ok(());
    let recovered = recover::recover(&wanted, &mut |stage| {
        if let Stage::Bringing(_, place) = stage {
            heard = told(Told::Opened { place });
        }
    });
    heard.and(recovered)
}

/// Looks at the audit log that came back, with the key of the platform that runs: whoever changed a copy
/// could have changed the key in it too.
fn look(keys: &Path, of: (&Path, &Location), taken_at: Timestamp) -> Result<Looked> {
    let (own, brought) = (VerifyingKey::in_directory(keys)?.text(), of.0.join("keys"));
    let db = Db::open_read_only(of.1)?;
    let with = Verify { directory: Some(&brought), key: Some(&own), ..Verify::default() };
    let report = gate::audit::verify(&db, &with)?;
    let signed = report.checkpoint.as_ref().map(|signed| signed.size);
    let wrong = match (&report.first_bad, signed) {
        (Some(bad), _) => Some(bad.reason.clone()),
        (None, None) => Some("nothing of it is signed".to_owned()),
        (None, Some(_)) => None,
    };
    if let Some(why) = wrong {
        let message = format!("the audit log in this copy is not as it was written: {why}");
        return Err(Error::conflict("recover.audit", message));
    }
    // What was written since it was brought back is not of it.
    let newest = db.read(move |conn| {
        let sql = "SELECT at FROM audit_entries WHERE at <= $1 ORDER BY seq DESC LIMIT 1";
        conn.query_opt(sql, args![taken_at], |row| row.get::<Timestamp>(0))
    })?;
    Ok(Looked { newest, entries: report.entries, signed: signed.unwrap_or(0) })
}

/// A server on what came back.
struct Server {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    fn start(program: &Path, of: (&Path, &Location), log: &Path, cancel: &Cancel) -> Result<Server> {
        let written = File::create(log).map_err(|e| failed("make", log, e))?;
        let mut command = Command::new(program);
        command.args(["serve", "--isolated", "--listen", "127.0.0.1:0", "--data"]).arg(of.0);
        // Nothing of how the real one was started: neither where its mails go nor where it listens.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("YUNWEI_")) {
            command.env_remove(name);
        }
        if let Location::Postgres(url) = of.1 {
            command.env("YUNWEI_DATABASE", url);
        }
        command.env("YUNWEI_LOG", "warn").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(written);
        let child = command.spawn().map_err(|e| failed("start", program, e))?;
        let mut server = Server { child, address: String::new(), log: log.to_owned() };
        server.address = server.told(cancel)?;
        Ok(server)
    }

    /// The address that it tells.
    fn told(&mut self, cancel: &Cancel) -> Result<String> {
        let output = self.child.stdout.take().ok_or_else(unexpected)?;
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output.take(1 << 10)).read_line(&mut line);
            let _ = tell.send(line);
        });
        let until = Instant::now() + ANSWERING;
        let line = loop {
            match told.recv_timeout(LOOK) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => go_on(cancel)?,
                Err(_) => break String::new(),
            }
        };
        let address = line.trim().strip_prefix("http://").map(str::to_owned);
        address.ok_or_else(|| self.down("it did not start"))
    }

    fn down(&self, how: &str) -> Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        let last: String = last.chars().take(500).collect();
        Error::conflict("drill.server_down", format!("a server on what came back: {how}: {last}"))
    }

    /// Waits until it says that it can serve.
    fn ready(&self, cancel: &Cancel) -> Result<()> {
        let until = Instant::now() + ANSWERING;
        while !self.answers("/readyz").unwrap_or(false) {
            if Instant::now() >= until {
                return Err(self.down("it does not answer"));
            }
            go_on(cancel)?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Whether it answers that path with 200.
    fn answers(&self, path: &str) -> io::Result<bool> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(ENDING))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.child.stdin.take());
        let until = Instant::now() + ENDING;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use db::testing::Scratch;

    use super::*;

    /// Whether a process is there that was started so.
    fn runs(with: &str) -> bool {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let told = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        told.into_iter().any(|line| String::from_utf8_lossy(&line).contains(with))
    }

    #[test]
    fn a_server_that_is_cancelled_before_it_answers_is_gone_and_its_directory_with_it() {
        let folder = Scratch::new();
        let program = folder.path().join("silent");
        // It says nothing, and ends with its standard input, as the real one does.
        db::testing::program(&program, "#!/bin/sh\ncat > /dev/null\n");
        let here = Installation {
            data: folder.path().to_owned(),
            database: Location::Directory(folder.path().to_owned()),
            program: PathBuf::new(),
            server: program,
        };
        let run: DrillRunId = "drun_01m80h6wrtet7rkwawzsgh6gss".parse().unwrap();
        let cancel = Cancel::new();
        let stopping = cancel.clone();
        let watch = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            stopping.cancel();
        });
        let attempt = Attempt::begin(&here, run).unwrap();
        let (data, log) = (attempt.folder.join("data"), attempt.folder.join("server.log"));
        let began = Instant::now();
        let ended = Server::start(&here.server, (&data, &here.database), &log, &cancel).err().unwrap();
        assert_eq!(ended.code(), "drill.stopped");
        assert!(began.elapsed() < ANSWERING / 10, "nobody waited for its answer: {:?}", began.elapsed());
        assert!(!runs(&data.display().to_string()), "no process is left");
        drop(attempt);
        assert!(!folder.path().join(FOLDER).join(run.to_string()).exists());
        watch.join().unwrap();
    }
}
