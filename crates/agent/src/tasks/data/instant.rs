//! A PostgreSQL server with its logs: taken whole, and brought back to any instant.
//!
//! ```text
//!   slot ─► logs, kept in DATA/logs/<set> ─┐
//!   base backup, verified ─────────────────┴─► snapshot: base/ and logs/ since the base before
//!
//!   base of one snapshot + logs of that or a later one ─► data directory, recovered to the instant,
//!   promoted, asked for its newest commit, and stopped
//! ```
//!
//! The server keeps its logs in a slot of ours until they were fetched: whatever happens here, nothing
//! between two points is lost. What the server has thrown away all the same (`max_slot_wal_keep_size`)
//! begins the logs anew, and the restore says where they have a gap.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base::time::{Clock, Timestamp};
use base::{Error, Result};
use drivers::wire::{Consistency, DataRestored, DataTaken, DatabaseServer, LogSpan, Outcome, TaskId, TaskProgress};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use vault::request::{Answer, Backup, Snapshot, Source, Task, Unreadable};

use super::super::{Job, Scratch, strange, tags};
use super::program::{Run, Tool};
use super::{Wish, folder, of, postgres};
use crate::files::{self, failed};

const PG_BASEBACKUP: Tool = Tool { names: &["pg_basebackup"], package: "postgresql-client" };
const PG_RECEIVEWAL: Tool = Tool { names: &["pg_receivewal"], package: "postgresql-client" };
const PG_VERIFYBACKUP: Tool = Tool { names: &["pg_verifybackup"], package: "postgresql" };
const POSTGRES: Tool = Tool { names: &["postgres"], package: "postgresql" };

/// What a snapshot says of itself, in a file beside base and logs.
const FILE: &str = "logs.json";
/// The name that ends what is not a whole segment of the logs yet.
const PARTIAL: &str = ".partial";
/// How long the server may take to write down a commit of ours.
const FLUSHING: Duration = Duration::from_secs(30);
/// How often a server that recovers is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What is in a snapshot of a server with its logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The server's version, whose major number can open it.
    version: String,
    /// The segment of the logs that the base needs first.
    first: String,
    /// When the base was complete.
    from: Timestamp,
    /// What was committed by then is in the logs.
    until: Timestamp,
}

impl Kept {
    fn read(path: &Path) -> Result<Kept> {
        let bytes = fs::read(path).map_err(|e| failed("read", path, e))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::conflict("dataSet.contents", "the snapshot does not say what it holds").because(e))
    }

    fn data(&self, snapshot: &Snapshot) -> DataTaken {
        DataTaken {
            files: snapshot.figures.map_or(0, |figures| figures.files),
            span: Some(LogSpan { from: self.from, until: self.until }),
            ..DataTaken::default()
        }
    }

    /// The major number of the version.
    fn major(&self) -> &str {
        self.version.split(['.', ' ']).next().unwrap_or_default()
    }
}

/// The slot of a data set: its id, in the letters that a slot may have.
fn slot(set: &str) -> String {
    let letters = set.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    format!("yunwei_{}", letters.take(50).collect::<String>())
}

/// A place in the logs as the server writes it, less one byte: what ends there was received.
fn before(lsn: &str) -> Option<String> {
    let (high, low) = lsn.trim().split_once('/')?;
    let at = (u64::from_str_radix(high, 16).ok()? << 32) | u64::from_str_radix(low, 16).ok()?;
    let at = at.checked_sub(1)?;
    Some(format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff))
}

/// Names of whole segments, or of those that are being written.
fn is_segment(name: &str) -> bool {
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    name.len() == 24 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).map_err(|e| failed("list", dir, e))?.flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

impl Job<'_> {
    /// Takes the whole server, and its logs since the base before.
    pub(super) fn take_with_logs(
        &mut self,
        id: &TaskId,
        set: &str,
        server: &DatabaseServer,
        tag: &str,
    ) -> Result<Outcome> {
        let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
        let (into, logs) = (scratch.0.join("dump"), self.logs(set)?);
        files::private_dir(&into)?;
        self.fetch(set, server, &logs)?;
        let taken_at = Clock::System.now();
        let base = into.join("base");
        self.base(server, &base)?;
        let from = Clock::System.now();
        let until = self.fetch(set, server, &logs)?;
        let version = self.rows(server, postgres::ANY, "SHOW server_version")?.concat().concat();
        let first = first_segment(&base)?;
        let kept = Kept { version, first: first.clone(), from, until };
        self.verify(&kept, &base)?;
        if !names(&logs)?.iter().any(|name| name.trim_end_matches(PARTIAL) <= first.as_str()) {
            return Err(gap("the server threw away logs while the base was taken: raise max_slot_wal_keep_size"));
        }
        copy_all(&logs, &into.join("logs"))?;
        let bytes = serde_json::to_vec_pretty(&kept)
            .map_err(|e| Error::bug("dataSet.contents", "what was taken cannot be written down").because(e))?;
        files::write_private(&into.join(FILE), &bytes)?;
        let backup = Backup {
            source: Source::Path { path: into, named: Some(folder(set).into()), except: Vec::new() },
            host: set.to_owned(),
            tags: tags(tag, taken_at, Consistency::Transaction),
            label: "logs".to_owned(),
            unreadable: Unreadable::Refuse,
        };
        let Answer::Taken { snapshot, .. } = self.ask(0, &Task::Backup(backup))? else { return Err(strange()) };
        let_go(&logs, &first)?;
        super::outcome(&snapshot, kept.data(&snapshot))
    }

    /// What a snapshot that this task took before a crash says of itself.
    pub(super) fn with_logs_before(&mut self, id: &TaskId, set: &str, there: &Snapshot) -> Result<DataTaken> {
        let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
        Ok(self.kept(set, &there.id, &scratch.0)?.data(there))
    }

    fn kept(&mut self, set: &str, snapshot: &str, scratch: &Path) -> Result<Kept> {
        let to = scratch.join(format!("kept-{snapshot}"));
        self.bring(snapshot, &format!("{}/{FILE}", folder(set)), &to, false)?;
        Kept::read(&to.join(FILE))
    }

    /// Lets go of the slot and of the logs: the server keeps nothing for us any more.
    pub(super) fn end_logs(&mut self, set: &str, server: &DatabaseServer) -> Result<()> {
        let slot = postgres::text(&slot(set));
        let sql =
            format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {slot}");
        self.rows(server, postgres::ANY, &sql)?;
        super::remove(&self.hands.data.join("logs").join(set))
    }

    /// Where the logs of a data set are kept between its points.
    fn logs(&self, set: &str) -> Result<PathBuf> {
        let all = self.hands.data.join("logs");
        files::passable_dir(&all)?;
        let own = all.join(set);
        files::private_dir(&own)?;
        Ok(own)
    }

    /// Fetches the logs up to now: until when they are whole then.
    fn fetch(&mut self, set: &str, server: &DatabaseServer, logs: &Path) -> Result<Timestamp> {
        let slot = slot(set);
        let named = postgres::text(&slot);
        let sql = format!("SELECT COALESCE(wal_status, '') FROM pg_replication_slots WHERE slot_name = {named}");
        let standing = self.rows(server, postgres::ANY, &sql)?.concat();
        if standing.first().is_none_or(|status| status == "lost") {
            // Nothing comes after what is here: the logs begin anew.
            super::remove(logs)?;
            files::private_dir(logs)?;
        }
        if standing.first().is_some_and(|status| status == "lost") {
            self.rows(server, postgres::ANY, &format!("SELECT pg_drop_replication_slot({named})"))?;
        }
        let made = self.postgres(PG_RECEIVEWAL, server, postgres::ANY)?;
        made.args(["--create-slot", "--if-not-exists", "--slot", &slot]).done(self.cancel, self.told)?;
        // A commit of our own, so that any instant before it has one after it in the logs.
        let mark = "SELECT extract(epoch FROM now()), txid_current()";
        let marked = self.rows(server, postgres::ANY, mark)?.concat();
        let micros = marked.first().and_then(|text| micros(text)).ok_or_else(strange)?;
        let until = Timestamp::from_microsecond(micros - 1_000).map_err(|_| strange())?;
        let end = self.flushed(server)?;
        let fetch = self.postgres(PG_RECEIVEWAL, server, postgres::ANY)?.arg("--directory").arg(logs);
        fetch.args(["--slot", &slot, "--no-loop", "--endpos", &end]).done(self.cancel, self.told)?;
        Ok(until)
    }

    /// The end of what is written down by now, when all that was there when asked is.
    fn flushed(&self, server: &DatabaseServer) -> Result<String> {
        let one = |sql: &str| Ok::<_, Error>(self.rows(server, postgres::ANY, sql)?.concat().concat());
        let written = one("SELECT pg_current_wal_insert_lsn()")?;
        let began = Instant::now();
        let sql = format!("SELECT pg_current_wal_flush_lsn() >= {}", postgres::text(&written));
        while one(&sql)? != "t" {
            if began.elapsed() > FLUSHING {
                return Err(Error::unavailable("database.failed", "the server does not write down its logs"));
            }
            std::thread::sleep(LOOK);
        }
        before(&written).ok_or_else(strange)
    }

    fn base(&mut self, server: &DatabaseServer, to: &Path) -> Result<()> {
        let sql = "SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')";
        if self.rows(server, postgres::ANY, sql)?.concat().concat() != "0" {
            let message =
                "the server has tablespaces of its own, which cannot be kept with its logs; dump its databases instead";
            return Err(Error::conflict("database.tablespaces", message));
        }
        let run = self.postgres(PG_BASEBACKUP, server, postgres::ANY)?.arg("--pgdata").arg(to);
        let run =
            run.args(["--format=plain", "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256"]);
        let (told, dir) = (&mut *self.told, to.to_owned());
        run.done_with(self.cancel, told, &mut || size(&dir))
    }

    /// The server's own look at a base: every file against its manifest.
    fn verify(&mut self, kept: &Kept, base: &Path) -> Result<()> {
        let program = PG_VERIFYBACKUP.of_version(kept.major())?;
        let run = Run::of(&program, None).args(["--exit-on-error", "--quiet"]).arg(base);
        run.done(self.cancel, self.told).map_err(|e| {
            Error::unavailable("database.base_damaged", format!("the base backup is not whole: {}", e.message()))
        })
    }

    /// Makes a data directory as of an instant, and proves it by starting it.
    pub(super) fn instant(
        &mut self,
        id: &TaskId,
        wish: &Wish<'_>,
        below: Option<&str>,
        at: Option<Timestamp>,
        logs: Option<&str>,
    ) -> Result<DataRestored> {
        let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
        let to = self.place(wish.restore, below)?;
        let logs = logs.unwrap_or(wish.snapshot);
        let kept = self.kept(wish.set, wish.snapshot, &scratch.0)?;
        let until = if logs == wish.snapshot { kept.until } else { self.kept(wish.set, logs, &scratch.0)?.until };
        if at.is_some_and(|at| at < kept.from || at > until) {
            let message = format!("the base is of {} and its logs end at {until}", kept.from);
            return Err(Error::conflict("dataRestore.beyond_logs", message));
        }
        let program = POSTGRES.of_version(kept.major())?;
        fs::create_dir_all(&to).map_err(|e| failed("make", &to, e))?;
        files::only_owner(&to)?;
        let made = self.recover(wish, &kept, &to, at, logs, &program);
        if made.is_err() {
            // What did not become a database looks like one.
            let _ = super::remove(&to);
        }
        made
    }

    fn recover(
        &mut self,
        wish: &Wish<'_>,
        kept: &Kept,
        to: &Path,
        at: Option<Timestamp>,
        from: &str,
        program: &Path,
    ) -> Result<DataRestored> {
        let (data, logs) = (to.join("data"), to.join("logs"));
        let base = self.bring(wish.snapshot, &format!("{}/base", folder(wish.set)), &data, false)?;
        let fetched = self.bring(from, &format!("{}/logs", folder(wish.set)), &logs, false)?;
        whole_from(&logs, &kept.first)?;
        files::only_owner(&data)?;
        files::write_private(&data.join("recovery.signal"), b"")?;
        // What its owner has set there could run commands: it is his to run, not ours.
        let (settings, aside) = (data.join("postgresql.auto.conf"), to.join("auto.conf"));
        fs::rename(&settings, &aside).map_err(|e| failed("put aside", &settings, e))?;
        files::write_private(&settings, b"")?;
        let user = ordinary()?;
        give(to, user)?;
        let began = Instant::now();
        let mut private = Private::start(program, user, to, at)?;
        let newest =
            private.promoted(self, &wish.source.server().map(|server| server.user.clone()).unwrap_or_default());
        let newest = newest.and_then(|newest| private.stop().map(|()| newest))?;
        for left in [logs, to.join("run"), to.join("private.hba"), to.join("private.conf")] {
            if left.is_dir() {
                super::remove(&left)?
            } else {
                files::remove_file(&left).map_err(|e| failed("remove", &left, e))?
            }
        }
        fs::rename(&aside, &settings).map_err(|e| failed("put back", &settings, e))?;
        // Whoever will run it is given it by who knows: until then it is nobody's to read.
        give(to, user.map(|_| (0, 0)))?;
        let verify_seconds = base.verify_seconds + fetched.verify_seconds + began.elapsed().as_secs_f64();
        let seconds = base.seconds + fetched.seconds;
        Ok(DataRestored { newest, seconds, verify_seconds, ..of(&base, data.display().to_string()) })
    }
}

fn gap(why: &str) -> Error {
    Error::conflict("dataSet.logs_gap", format!("{why}; the next point begins them anew"))
}

/// Seconds with a fraction, in microseconds.
fn micros(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}

/// The segment that a base needs first, as its label says.
fn first_segment(base: &Path) -> Result<String> {
    let path = base.join("backup_label");
    let label = fs::read_to_string(&path).map_err(|e| failed("read", &path, e))?;
    let named = label.lines().find(|line| line.starts_with("START WAL LOCATION")).and_then(|line| {
        let name = line.split("(file ").nth(1)?.split(')').next()?;
        is_segment(name).then(|| name.to_owned())
    });
    named.ok_or_else(|| Error::conflict("database.base_damaged", "the base backup has no label"))
}

/// Bytes below a directory.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        _ => entry.metadata().map_or(0, |meta| meta.len()),
    });
    each.sum()
}

fn copy_all(from: &Path, into: &Path) -> Result<()> {
    files::private_dir(into)?;
    for name in names(from)?.iter().filter(|name| *name != BASES) {
        fs::copy(from.join(name), into.join(name)).map_err(|e| failed("copy", &from.join(name), e))?;
    }
    Ok(())
}

/// Where it is written which segment each of the last bases needs first.
const BASES: &str = "bases";

/// Lets go of segments that neither this base nor the one before needs: should this point come to
/// nothing, the next one still leads back to the one before.
fn let_go(logs: &Path, first: &str) -> Result<()> {
    let path = logs.join(BASES);
    let text = files::read(&path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut bases: Vec<&str> = text.lines().filter(|line| is_segment(line)).chain([first]).collect();
    let older = bases.len().saturating_sub(2);
    bases.drain(..older);
    files::write_private(&path, bases.join("\n").as_bytes())?;
    let Some(oldest) = bases.iter().min() else { return Ok(()) };
    for name in names(logs)?.iter().filter(|name| is_segment(name) && name.as_str() < *oldest) {
        files::remove_file(&logs.join(name)).map_err(|e| failed("remove", &logs.join(name), e))?;
    }
    Ok(())
}

/// Makes logs ready to be read: whether they hold what a base needs first, and nothing is missing after it.
fn whole_from(logs: &Path, first: &str) -> Result<()> {
    for name in names(logs)?.iter().filter(|name| is_segment(name)) {
        if let Some(whole) = name.strip_suffix(PARTIAL) {
            fs::rename(logs.join(name), logs.join(whole)).map_err(|e| failed("rename", &logs.join(name), e))?;
        }
    }
    match logs.join(first).is_file() {
        true => Ok(()),
        false => Err(gap("the logs do not reach back to the base")),
    }
}

/// Whoever somebody's database may run as: who starts it runs what is in it. Never root, nor a user
/// that other databases belong to. `None`: as this agent does.
fn ordinary() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let path = Path::new("/etc/passwd");
    let text = fs::read_to_string(path).map_err(|e| failed("read", path, e))?;
    let of = |wanted: &str| {
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (name, user, group) = (fields.first()?, fields.get(2)?, fields.get(3)?);
            (*name == wanted).then(|| Some((user.parse().ok()?, group.parse().ok()?)))?
        })
    };
    of("nobody").map(Some).ok_or_else(|| {
        Error::unavailable("program.missing", "there is no user nobody, as whom a database could be tried")
    })
}

/// Gives a directory to a user, with all that is in it.
fn give(dir: &Path, user: Option<(u32, u32)>) -> Result<()> {
    let Some((owner, group)) = user else { return Ok(()) };
    std::os::unix::fs::lchown(dir, Some(owner), Some(group)).map_err(|e| failed("give away", dir, e))?;
    for entry in fs::read_dir(dir).map_err(|e| failed("list", dir, e))?.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give(&path, user)?;
        } else {
            std::os::unix::fs::lchown(&path, Some(owner), Some(group)).map_err(|e| failed("give away", &path, e))?;
        }
    }
    Ok(())
}

/// A server that nobody else reaches, on a socket in a directory of its own.
struct Private {
    child: std::process::Child,
    run: PathBuf,
    log: PathBuf,
}

impl Private {
    fn start(program: &Path, user: Option<(u32, u32)>, to: &Path, at: Option<Timestamp>) -> Result<Private> {
        let (run, hba) = (to.join("run"), to.join("private.hba"));
        files::private_dir(&run)?;
        files::write_private(&hba, b"local all all trust\n")?;
        files::write_private(&to.join("private.conf"), b"")?;
        let log = run.join("log");
        let to_log =
            fs::File::options().append(true).create_new(true).open(&log).map_err(|e| failed("make", &log, e))?;
        give(to, user)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some((user, group)) = user {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        }
        let path = |path: &Path| path.display().to_string();
        let mut settings = vec![
            format!("config_file={}", path(&to.join("private.conf"))),
            format!("hba_file={}", path(&hba)),
            format!("unix_socket_directories={}", path(&run)),
            // From where the server stands: no name of ours comes before a shell.
            "restore_command=cp \"../logs/%f\" \"%p\"".to_owned(),
        ];
        let fixed = [
            "listen_addresses=",
            "ident_file=",
            "hot_standby=off",
            "archive_mode=off",
            "recovery_target_action=promote",
            "recovery_target_timeline=latest",
            "shared_preload_libraries=",
            "logging_collector=off",
            "log_destination=stderr",
            "ssl=off",
            "lc_messages=C",
            "log_min_messages=log",
            "primary_conninfo=",
            "shared_buffers=128MB",
            "huge_pages=off",
            "autovacuum=off",
            "port=5432",
        ];
        settings.extend(fixed.map(str::to_owned));
        settings.extend(at.map(|at| format!("recovery_target_time={}", sql_time(at))));
        command.arg(program).arg("-D").arg(to.join("data"));
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let also = to_log.try_clone().map_err(|e| failed("use", &log, e))?;
        let child = command
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(to_log)
            .stderr(also)
            .spawn()
            .map_err(|e| {
                Error::unavailable("program.missing", format!("postgres cannot be started: {e}")).because(e)
            })?;
        Ok(Private { child, run, log })
    }

    /// Waits until it has recovered and been promoted: when its newest transaction was committed.
    fn promoted(&mut self, job: &mut Job<'_>, user: &str) -> Result<Option<Timestamp>> {
        let server = DatabaseServer {
            socket: Some(self.run.display().to_string()),
            host: None,
            port: None,
            user: user.to_owned(),
        };
        loop {
            if job.cancel.asked() {
                return Err(vault::fault::error(vault::fault::CANCELLED, "it was cancelled"));
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(self.why());
            }
            (job.told)(TaskProgress { phase: "recovering".to_owned(), done: 0, total: None, bytes: false });
            let sql = "SELECT pg_catalog.pg_is_in_recovery(), COALESCE(extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())::text, '')";
            match job.rows(&server, postgres::ANY, sql) {
                Ok(rows) => {
                    let row = rows.concat();
                    if row.first().is_some_and(|text| text == "f") {
                        let newest = row.get(1).and_then(|text| micros(text));
                        return Ok(newest.and_then(|micros| Timestamp::from_microsecond(micros).ok()));
                    }
                }
                // It is not there yet; where it is, it says what is wrong.
                Err(e) if e.code() == "database.unreachable" => {}
                Err(e) => return Err(e),
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Why it ended.
    fn why(&self) -> Error {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let fatal: Vec<&str> = text.lines().filter(|line| line.contains("FATAL") || line.contains("PANIC")).collect();
        let said = fatal.last().copied().unwrap_or("it ended and did not say why");
        match text.contains("recovery ended before configured recovery target was reached") {
            true => Error::conflict("dataRestore.beyond_logs", format!("the logs do not reach that instant: {said}")),
            false if text.contains("No space left on device") => {
                Error::exhausted("host.disk_full", format!("the disk is full: {said}"))
            }
            false => Error::conflict("dataRestore.not_recovered", format!("the database does not recover: {said}")),
        }
    }

    /// Stops it in good order: what lies there is a database that was shut down.
    fn stop(&mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::INT);
        }
        let status = self.child.wait().map_err(|e| failed("await", &self.log, e))?;
        match status.success() {
            true => Ok(()),
            false => Err(self.why()),
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An instant as PostgreSQL reads it.
fn sql_time(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "+00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_logs_are_counted_back_by_a_byte() {
        assert_eq!(before("0/3000028").as_deref(), Some("0/3000027"));
        assert_eq!(before("1/0").as_deref(), Some("0/FFFFFFFF"));
        assert_eq!((before("0/0"), before("x"), before("1")), (None, None, None));
        assert_eq!(slot("dset_01M8-x"), "yunwei_dset_01m8_x");
        assert_eq!(micros("1700000000.5"), Some(1_700_000_000_500_000));
        assert!(is_segment("000000010000000000000002") && is_segment("000000010000000000000002.partial"));
        assert!(!is_segment("00000002.history") && !is_segment("bases"));
        assert_eq!(sql_time("2026-11-22T20:00:00.25Z".parse().unwrap()), "2026-11-22 20:00:00.25+00");
    }
}
