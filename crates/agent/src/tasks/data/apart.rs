//! A restored PostgreSQL server, run apart from everybody: who starts somebody's database runs what is
//! in it. It is a user to whom nothing else belongs, on a socket that nobody else reaches, and nothing of
//! it is left when it has ended.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base::time::Timestamp;
use base::{Error, Result};
use drivers::tasks::Cancel;
use drivers::wire::{DatabaseServer, TaskProgress};
use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, Uid};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::super::Job;
use super::instant::micros;
use super::postgres;
use crate::files::{self, failed};

/// How long a server that has recovered may take to stop in good order.
const STOPPING: Duration = Duration::from_secs(15 * 60);
/// How much of the end of what a server has said is read.
const LOG_BYTES_MAX: u64 = 64 << 10;
/// How often a server that recovers is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// Users that belong to nobody: systemd's allocation of numbers leaves these to no program.
const NOBODYS: std::ops::Range<u32> = 0x7000_0000..0x8000_0000;
/// How many of them one agent takes in turn.
const IN_TURN: u32 = 64;
/// Databases that this agent has tried by now.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// Whoever somebody's database may run as: who starts it runs what is in it. Never root, nor a user to
/// whom anything else belongs, another database that is tried at the same time least of all. `None`: as
/// this agent does.
pub(super) fn ordinary() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let turn = TRIED.fetch_add(1, Ordering::Relaxed) % IN_TURN;
    let number = NOBODYS.start + (std::process::id() * IN_TURN + turn) % (NOBODYS.end - NOBODYS.start);
    let path = Path::new("/proc/self/uid_map");
    let map = fs::read_to_string(path).map_err(|e| failed("read", path, e))?;
    if maps(&map, number) {
        return Ok(Some((number, number)));
    }
    let message = "this agent runs in a container that has no users to spare (its map ends too early), as one of whom a database could be tried; give it the whole map, or run it on the host";
    Err(Error::unavailable("program.missing", message))
}

/// Whether a map of users (`user_namespaces(7)`: inside, outside, how many) has that one.
fn maps(map: &str, number: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|text| text.parse().ok()).collect();
        let (first, count) = (numbers.first().copied(), numbers.get(2).copied());
        first.zip(count).is_some_and(|(first, count)| (first..first.saturating_add(count)).contains(&number.into()))
    })
}

/// Gives a file or a directory to a user, with all that is in it. Followed by what is open, not by
/// name, and over no link: what is in it was written by strangers.
pub(super) fn give(path: &Path, user: Option<(u32, u32)>) -> Result<()> {
    let Some((owner, group)) = user else { return Ok(()) };
    let (owner, group) = (Uid::from_raw(owner), Gid::from_raw(group));
    let known = |e: rustix::io::Errno| failed("give away", path, e.into());
    match open_dir(CWD, path) {
        Ok(dir) => give_all(&dir, owner, group).map_err(known),
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            rustix::fs::chownat(CWD, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW).map_err(known)
        }
        Err(e) => Err(known(e)),
    }
}

fn open_dir(within: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(within, name, flags, Mode::empty())
}

fn give_all(dir: &OwnedFd, owner: Uid, group: Gid) -> rustix::io::Result<()> {
    rustix::fs::fchown(dir, Some(owner), Some(group))?;
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        match open_dir(dir.as_fd(), name) {
            Ok(below) => give_all(&below, owner, group)?,
            Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                rustix::fs::chownat(dir, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The end of what is written in a file of ours, and no more of it in memory.
fn end_of(log: &Path) -> String {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::options().read(true).custom_flags(flags.bits().cast_signed()).open(log)?;
        let meta = file.metadata()?;
        let mut bytes = Vec::new();
        if meta.is_file() {
            file.seek(SeekFrom::Start(meta.len().saturating_sub(LOG_BYTES_MAX)))?;
            file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The processes that one has started, each held so that no other takes its number.
fn children(of: u32) -> Vec<OwnedFd> {
    let parent = |number: u32| -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // Its name, in brackets, may hold anything.
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let held = numbers.filter(|number| parent(*number) == Some(of)).filter_map(|number| {
        let pid = Pid::from_raw(number.try_into().ok()?)?;
        let held = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Still the same: it had not ended when it was taken hold of.
        (parent(number) == Some(of)).then_some(held)
    });
    held.collect()
}

/// A server that nobody else reaches, on a socket in a directory of its own.
///
/// What is in somebody's database may start processes and leave them behind. Where this agent is root
/// they are in a namespace of their own and end with its first process, before that one's end is told:
/// when the server has ended, nothing of it is left that could put links in the way of root. The
/// directory around its data stays root's, so that nothing in it changes its name meanwhile.
pub(super) struct Private {
    child: std::process::Child,
    /// The server is not the child, but the child's.
    apart: bool,
    /// Where it is asked, once it runs.
    pub(super) at: DatabaseServer,
    log: PathBuf,
}

impl Private {
    pub(super) fn start(program: &Path, user: Option<(u32, u32)>, to: &Path, at: Option<Timestamp>) -> Result<Private> {
        let (run, hba) = (to.join("run"), to.join("private.hba"));
        files::private_dir(&run)?;
        files::write_private(&hba, b"local all all trust\n")?;
        files::write_private(&to.join("private.conf"), b"")?;
        let log = to.join("log");
        let to_log =
            fs::File::options().append(true).create_new(true).open(&log).map_err(|e| failed("make", &log, e))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some((owner, group)) = user {
            for own in ["data", "logs", "run", "private.hba", "private.conf"] {
                give(&to.join(own), user)?;
            }
            // It passes through, and changes nothing there.
            fs::set_permissions(to, fs::Permissions::from_mode(0o711)).map_err(|e| failed("open", to, e))?;
            command.args(["unshare", "--pid", "--ipc", "--net", "--fork", "--kill-child", "--mount-proc"]);
            // Whoever becomes another user is no longer ended with its parent, unless it says so anew.
            command.args(["setpriv", "--pdeathsig", "KILL", "--clear-groups", "--no-new-privs"]);
            command.arg(format!("--reuid={owner}")).arg(format!("--regid={group}"));
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
            // It would take the place of the real one at whoever publishes to that.
            "max_logical_replication_workers=0",
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
        let at =
            DatabaseServer { socket: Some(run.display().to_string()), host: None, port: None, user: String::new() };
        Ok(Private { child, apart: user.is_some(), at, log })
    }

    /// Waits until it has recovered and been promoted: when its newest transaction was committed.
    pub(super) fn promoted(&mut self, job: &mut Job<'_>) -> Result<Option<Timestamp>> {
        loop {
            if job.cancel.asked() {
                return Err(vault::fault::error(vault::fault::CANCELLED, "it was cancelled"));
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(self.why());
            }
            (job.told)(TaskProgress { phase: "recovering".to_owned(), done: 0, total: None, bytes: false });
            let sql = "SELECT pg_catalog.pg_is_in_recovery(), COALESCE(extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())::text, '')";
            match job.rows(&self.at, postgres::ANY, sql) {
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
        let text = end_of(&self.log);
        let fatal: Vec<&str> = text.lines().filter(|line| line.contains("FATAL") || line.contains("PANIC")).collect();
        let last = || text.lines().rev().find(|line| !line.trim().is_empty());
        let said = fatal.last().copied().or_else(last).unwrap_or("it ended and did not say why");
        match text.contains("recovery ended before configured recovery target was reached") {
            true => Error::conflict("dataRestore.beyond_logs", format!("the logs do not reach that instant: {said}")),
            false if text.contains("No space left on device") => {
                Error::exhausted("host.disk_full", format!("the disk is full: {said}"))
            }
            false => Error::conflict("dataRestore.not_recovered", format!("the database does not recover: {said}")),
        }
    }

    /// Sends the server itself a signal.
    fn signal(&self, signal: Signal) {
        if self.apart {
            for server in children(self.child.id()) {
                let _ = rustix::process::pidfd_send_signal(&server, signal);
            }
        } else if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Stops it in good order: what lies there is a database that was shut down.
    pub(super) fn stop(&mut self, cancel: &Cancel) -> Result<()> {
        self.signal(Signal::INT);
        let began = Instant::now();
        loop {
            match self.child.try_wait().map_err(|e| failed("await", &self.log, e))? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(self.why()),
                None if cancel.asked() => {
                    return Err(vault::fault::error(vault::fault::CANCELLED, "it was cancelled"));
                }
                None if began.elapsed() > STOPPING => {
                    let message = "the database has recovered, and does not stop";
                    return Err(Error::conflict("dataRestore.not_recovered", message));
                }
                None => std::thread::sleep(LOOK),
            }
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // The first process of all of it: the child ends after that, and when the child has, nothing is left.
        while matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            std::thread::sleep(LOOK / 10);
        }
    }
}

/// An instant as PostgreSQL reads it.
fn sql_time(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "+00")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    /// A program that leaves one behind which writes on and on, and ends in good order when asked to: also
    /// where whoever runs the tests ignores that signal, which a shell would leave at that.
    const STAYS: &str = "#!/usr/bin/env -S --default-signal=INT sh
setsid sh -c 'while :; do date +%N > beat; sleep 0.02; done' < /dev/null > /dev/null 2>&1 &
trap 'exit 0' INT
id -u
while :; do sleep 0.05; done
";

    #[test]
    fn nothing_of_a_server_outlives_it() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let room = std::env::temp_dir().join(format!("yunwei-test-{}-apart", std::process::id()));
        let program = room.join("program");
        fs::create_dir_all(&room).unwrap();
        fs::set_permissions(&room, fs::Permissions::from_mode(0o755)).unwrap();
        // It stands in its data, as the real one does.
        let text = STAYS.replace("setsid", "cd \"$2\"\nsetsid");
        fs::write(room.join("text"), text).unwrap();
        fs::set_permissions(room.join("text"), fs::Permissions::from_mode(0o755)).unwrap();
        // By a process of its own: what another thread forks meanwhile would hold it open for writing, and
        // nothing can run what is.
        let copied = std::process::Command::new("cp").arg("-p").arg(room.join("text")).arg(&program).status();
        assert!(copied.unwrap().success());
        let mut users = std::collections::BTreeSet::new();
        for (name, asked) in [("stopped", true), ("dropped", false)] {
            let to = room.join(name);
            for dir in ["data", "logs"] {
                fs::create_dir_all(to.join(dir)).unwrap();
            }
            let beat = || fs::read_to_string(to.join("data/beat")).unwrap_or_default();
            let mut private = Private::start(&program, ordinary().unwrap(), &to, None).unwrap();
            let began = Instant::now();
            // It says who it is once it listens: before that, it would not hear that it is asked to stop.
            let said = || end_of(&to.join("log"));
            while (beat().is_empty() || said().is_empty()) && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(LOOK / 10);
            }
            assert!(!beat().is_empty(), "{}", said());
            let user: u32 = said().trim().parse().unwrap();
            assert!(NOBODYS.contains(&user) && users.insert(user), "{user}: each as a user of its own");
            assert_eq!(fs::metadata(&to).unwrap().uid(), 0, "what is around its data is not its own");
            if asked {
                private.stop(&Cancel::default()).unwrap();
            }
            drop(private);
            fs::write(to.join("data/beat"), "last").unwrap();
            std::thread::sleep(LOOK * 2);
            assert_eq!(beat(), "last", "{name}");
        }
        fs::remove_dir_all(&room).unwrap();
    }

    #[test]
    fn what_is_given_away_leads_nowhere_else() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let room = std::env::temp_dir().join(format!("yunwei-test-{}-give", std::process::id()));
        let (inside, outside) = (room.join("in"), room.join("out"));
        fs::create_dir_all(inside.join("deep")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        for file in [inside.join("deep/own"), outside.join("secret")] {
            fs::write(file, "x".repeat(100_000)).unwrap();
        }
        symlink(&outside, inside.join("deep/dir")).unwrap();
        symlink(outside.join("secret"), inside.join("file")).unwrap();
        symlink(&outside, room.join("link")).unwrap();
        for path in [&inside, &room.join("link")] {
            give(path, Some((65_534, 65_534))).unwrap();
        }
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        for given in ["in", "in/deep", "in/deep/own", "in/deep/dir", "in/file", "link"] {
            assert_eq!(owner(&room.join(given)), 65_534, "{given}");
        }
        assert_eq!((owner(&outside), owner(&outside.join("secret"))), (0, 0));
        assert_eq!(end_of(&inside.join("deep/own")).len() as u64, LOG_BYTES_MAX);
        assert_eq!(end_of(&inside.join("file")), "", "a link is not read");
        fs::remove_dir_all(&room).unwrap();
    }

    #[test]
    fn users_are_there_where_they_are_mapped() {
        let whole = "         0          0 4294967295\n";
        assert!(maps(whole, NOBODYS.start) && maps(whole, NOBODYS.end - 1));
        assert!(!maps("         0     100000      65536\n", NOBODYS.start) && !maps("", 0) && !maps("x y z", 0));
    }

    #[test]
    fn an_instant_is_written_as_postgresql_reads_it() {
        assert_eq!(sql_time("2026-11-22T20:00:00.25Z".parse().unwrap()), "2026-11-22 20:00:00.25+00");
    }
}
