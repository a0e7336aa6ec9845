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
use std::time::{Duration, Instant};

use base::time::{Clock, Timestamp};
use base::{Error, Result};
use drivers::wire::{Consistency, DataRestored, DataTaken, DatabaseServer, LogSpan, Outcome, TaskId};
use serde::{Deserialize, Serialize};
use vault::request::{Answer, Backup, Snapshot, Source, Task, Unreadable};

use super::super::{Job, Scratch, strange, tags};
use super::apart::{LOOK, Private, give, ordinary};
use super::drill::Look;
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

/// What a segment is called when it is whole.
fn whole(name: &str) -> &str {
    name.strip_suffix(PARTIAL).unwrap_or(name)
}

/// Names of whole segments, or of those that are being written.
fn is_segment(name: &str) -> bool {
    let name = whole(name);
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
        if !names(&logs)?.iter().any(|name| is_segment(name) && whole(name) <= first.as_str()) {
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
        self.bring(snapshot, &format!("{}/{FILE}", folder(set)), &to, false, false)?;
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

    /// Makes a data directory as of an instant, and proves it by starting it. `look` asks it more while it runs.
    pub(super) fn instant(
        &mut self,
        id: &TaskId,
        wish: &Wish<'_>,
        below: Option<&str>,
        at: Option<Timestamp>,
        logs: Option<&str>,
        look: &mut Look<'_>,
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
        let made = self.recover(wish, &kept, (&to, logs), at, &program, look);
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
        (to, from): (&Path, &str),
        at: Option<Timestamp>,
        program: &Path,
        look: &mut Look<'_>,
    ) -> Result<DataRestored> {
        let (data, logs) = (to.join("data"), to.join("logs"));
        let base = self.bring(wish.snapshot, &format!("{}/base", folder(wish.set)), &data, false, false)?;
        let fetched = self.bring(from, &format!("{}/logs", folder(wish.set)), &logs, false, false)?;
        whole_from(&logs, &kept.first)?;
        files::only_owner(&data)?;
        files::write_private(&data.join("recovery.signal"), b"")?;
        // What its owner has set there could run commands: it is his to run, not ours.
        let (settings, aside) = (data.join("postgresql.auto.conf"), to.join("auto.conf"));
        fs::rename(&settings, &aside).map_err(|e| failed("put aside", &settings, e))?;
        files::write_private(&settings, b"")?;
        let user = ordinary()?;
        let began = Instant::now();
        let mut private = Private::start(program, user, to, at)?;
        private.at.user = wish.source.server().map(|server| server.user.clone()).unwrap_or_default();
        let newest = private.promoted(self);
        // Nothing of it runs any more from here on: what is touched below stays what it is.
        let newest = newest.and_then(|newest| {
            // Whoever may copy a server may not read its tables: its first user, who made it, may.
            let first = "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10";
            let first = self.rows(&private.at, postgres::ANY, first)?.concat().concat();
            look(self, &DatabaseServer { user: first, ..private.at.clone() }, began).map(|()| newest)
        });
        let newest = newest.and_then(|newest| private.stop(self.cancel).map(|()| newest))?;
        for left in [logs, to.join("run")] {
            super::remove(&left)?;
        }
        for left in ["private.hba", "private.conf", "log"].map(|name| to.join(name)) {
            files::remove_file(&left).map_err(|e| failed("remove", &left, e))?;
        }
        fs::rename(&aside, &settings).map_err(|e| failed("put back", &settings, e))?;
        // Whoever will run it is given it by who knows: until then it is nobody's to read.
        give(&data, user.map(|_| (0, 0)))?;
        files::only_owner(to)?;
        let verify_seconds = base.verify_seconds + fetched.verify_seconds + began.elapsed().as_secs_f64();
        let seconds = base.seconds + fetched.seconds;
        Ok(DataRestored { newest, seconds, verify_seconds, ..of(&base, data.display().to_string()) })
    }
}

fn gap(why: &str) -> Error {
    Error::conflict("dataSet.logs_gap", format!("{why}; the next point begins them anew"))
}

/// Seconds with a fraction, in microseconds.
pub(super) fn micros(text: &str) -> Option<i64> {
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
    let kept = names(logs)?;
    let kept: Vec<&str> = kept.iter().map(String::as_str).filter(|name| is_segment(name)).collect();
    if !kept.contains(&first) {
        return Err(gap("the logs do not reach back to the base"));
    }
    let bytes = |name: &str| fs::symlink_metadata(logs.join(name)).map_or(0, |meta| meta.len());
    match hole(kept.into_iter().filter(|name| *name >= first), bytes(first)) {
        Some(name) => Err(gap(&format!("the logs have a hole before {name}"))),
        None => Ok(()),
    }
}

/// The first segment, of those in order, that does not follow the one before it. A server that was
/// promoted writes on a new timeline, from the same segment or the one after it.
fn hole<'a>(names: impl Iterator<Item = &'a str>, bytes: u64) -> Option<&'a str> {
    // How many of them 4 GiB take: so far the last part of a name counts.
    let each = (1_u64 << 32).checked_div(bytes).filter(|each| *each > 0)?;
    let part = |name: &str, from: usize| u64::from_str_radix(name.get(from..from + 8)?, 16).ok();
    let number = |name: &str| part(name, 8)?.checked_mul(each)?.checked_add(part(name, 16)?);
    let mut last: Option<(u64, u64)> = None;
    for name in names {
        let (timeline, at) = (part(name, 0)?, number(name)?);
        let follows = last.is_none_or(|(before, end)| match before == timeline {
            true => at == end.saturating_add(1),
            false => at <= end.saturating_add(1),
        });
        if !follows {
            return Some(name);
        }
        last = Some((timeline, at));
    }
    None
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
        let found = |names: &[&'static str]| hole(names.iter().copied(), 16 << 20);
        let (last, next) = ("0000000100000000000000FF", "000000010000000100000000");
        assert_eq!(found(&["0000000100000000000000FE", last, next, "000000020000000100000000"]), None);
        assert_eq!(found(&["0000000100000000000000FE", next]), Some(next));
        assert_eq!(found(&[last, "000000020000000100000001"]), Some("000000020000000100000001"));
    }
}
