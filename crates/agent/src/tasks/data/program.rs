//! Other people's programs: found, run, watched and stopped.
//!
//! A program dies with the agent, ends when its task is cancelled, and never asks anybody anything.
//! What it says when it fails is told on, without what it was given.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base::{Error, Result};
use drivers::tasks::Cancel;
use drivers::wire::TaskProgress;

use crate::files::failed;

/// How often it is looked whether it has ended, and how often it is told how far it is.
const LOOK: Duration = Duration::from_millis(20);
const TELL: Duration = Duration::from_millis(500);
/// What is kept of what a program says, in bytes: an answer, and a complaint.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
const WORDS_BYTES_MAX: usize = 2 << 10;

/// A program by its names, the first that there is, and the package that brings it.
#[derive(Clone, Copy)]
pub(super) struct Tool {
    pub names: &'static [&'static str],
    pub package: &'static str,
}

impl Tool {
    /// That of one version of PostgreSQL: no other opens what it has written.
    pub fn of_version(&self, major: &str) -> Result<PathBuf> {
        let (name, package) = (self.names.first().unwrap_or(&""), self.package);
        let found = Path::new("/usr/lib/postgresql").join(major).join("bin").join(name);
        if major.bytes().all(|b| b.is_ascii_digit()) && found.is_file() {
            return Ok(found);
        }
        let message =
            format!("{name} of PostgreSQL {major} is not on this host; install the package {package}-{major}");
        Err(Error::unavailable("program.missing", message))
    }

    /// Where it is: among PostgreSQL's own programs, the newest first, or on the path.
    pub fn find(&self) -> Result<PathBuf> {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        let own = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&own).chain(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
        let all: Vec<PathBuf> = versions.into_iter().map(|(_, bin)| bin).chain(path).collect();
        let found = self.names.iter().find_map(|name| all.iter().map(|dir| dir.join(name)).find(|file| file.is_file()));
        found.ok_or_else(|| {
            let (name, package) = (self.names.first().unwrap_or(&""), self.package);
            let message = format!("{name} is not on this host; install the package {package}");
            Error::unavailable("program.missing", message)
        })
    }
}

/// One run of a program.
pub(super) struct Run {
    command: Command,
    what: String,
    out: Option<PathBuf>,
}

/// How it is called in what is told.
fn named(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Run {
    /// A run with nothing around it but what is said here. `setpriv` lets it die with this agent.
    pub fn new(tool: Tool) -> Result<Run> {
        Ok(Run::of(&tool.find()?, None))
    }

    /// A run of that file, as another user where one is named.
    pub fn of(program: &Path, user: Option<(u32, u32)>) -> Run {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some((user, group)) = user {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        }
        command.arg(program).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Run { command, what: named(program), out: None }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Run {
        self.command.arg(arg.into());
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Run {
        self.command.env(name, value.into());
        self
    }

    /// What it writes comes to a new file, whose growth is told.
    pub fn to(mut self, file: &Path) -> Result<Run> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let made = File::options().write(true).create_new(true).mode(0o600).open(file);
        self.command.stdout(made.map_err(|e| failed("write", file, e))?);
        self.out = Some(file.to_owned());
        Ok(self)
    }

    /// It reads a file.
    pub fn from(mut self, file: &Path) -> Result<Run> {
        self.command.stdin(File::open(file).map_err(|e| failed("read", file, e))?);
        Ok(self)
    }

    /// Waits for what it writes.
    pub fn answer(mut self, cancel: &Cancel) -> Result<Vec<u8>> {
        self.command.stdout(Stdio::piped());
        self.wait(cancel, &mut |_| {}, &mut || None)
    }

    /// Waits for its end.
    pub fn done(self, cancel: &Cancel, told: &mut dyn FnMut(TaskProgress)) -> Result<()> {
        let out = self.out.clone();
        let mut written = || out.as_ref().map(|file| file.metadata().map_or(0, |meta| meta.len()));
        self.wait(cancel, told, &mut written).map(drop)
    }

    /// [`Run::done`], with how much there is of what it makes.
    pub fn done_with(
        self,
        cancel: &Cancel,
        told: &mut dyn FnMut(TaskProgress),
        made: &mut dyn FnMut() -> u64,
    ) -> Result<()> {
        self.wait(cancel, told, &mut || Some(made())).map(drop)
    }

    fn wait(
        mut self,
        cancel: &Cancel,
        told: &mut dyn FnMut(TaskProgress),
        made: &mut dyn FnMut() -> Option<u64>,
    ) -> Result<Vec<u8>> {
        let what = self.what.clone();
        let mut child = self
            .command
            .spawn()
            .map_err(|e| Error::unavailable("program.missing", format!("{what} cannot be started: {e}")).because(e))?;
        let (out, words) = (child.stdout.take(), child.stderr.take());
        let (answer, words, ended) = thread::scope(|scope| {
            let out = scope.spawn(move || {
                let mut answer = Vec::new();
                out.map(|out| out.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)).transpose().map(|_| answer)
            });
            let words = scope.spawn(move || words.map(last_words).unwrap_or_default());
            let ended = attend(&mut child, cancel, made, &what, told);
            (out.join(), words.join().unwrap_or_default(), ended)
        });
        match ended? {
            true => match answer {
                Ok(Ok(answer)) => Ok(answer),
                _ => Err(Error::unavailable("database.failed", format!("what {what} answered cannot be read"))),
            },
            false => Err(failure(&what, &words)),
        }
    }
}

/// Waits for a program's end: whether it succeeded.
fn attend(
    child: &mut Child,
    cancel: &Cancel,
    made: &mut dyn FnMut() -> Option<u64>,
    what: &str,
    told: &mut dyn FnMut(TaskProgress),
) -> Result<bool> {
    let mut last = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if cancel.asked() => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(vault::fault::error(vault::fault::CANCELLED, "it was cancelled"));
            }
            Ok(None) => {}
            Err(e) => return Err(Error::unavailable("database.failed", format!("{what} is lost: {e}"))),
        }
        if last.elapsed() >= TELL {
            last = Instant::now();
            if let Some(done) = made() {
                told(TaskProgress { phase: what.to_owned(), done, total: None, bytes: true });
            }
        }
        thread::sleep(LOOK);
    }
}

/// The end of what a program says, and no more of it in memory.
fn last_words(mut from: impl Read) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(read @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(WORDS_BYTES_MAX);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// What a program's complaint means.
fn failure(what: &str, words: &str) -> Error {
    let says = |one: &[&str]| one.iter().any(|words_of_it| words.contains(words_of_it));
    let message = format!("{what}: {}", if words.is_empty() { "it ended and did not say why" } else { words });
    if says(&["No space left on device", "Errcode: 28"]) {
        return Error::exhausted("host.disk_full", format!("the disk is full; {message}"));
    }
    let refused = [
        "password authentication failed",
        "no password supplied",
        "authentication failed",
        "no pg_hba.conf entry",
        "Access denied",
    ];
    if says(&refused) {
        return Error::forbidden("database.refused", format!("the server does not let this user in; {message}"));
    }
    let away = [
        "could not connect",
        "Connection refused",
        "connection to server",
        "Can't connect",
        "server closed the connection",
        "Lost connection",
        "the database system is",
        "Unknown MySQL server host",
        "could not translate host name",
    ];
    if says(&["already exists", "database exists"]) {
        return Error::conflict("database.exists", format!("there is such a database already; {message}"));
    }
    if says(&["permission denied", "must be superuser", "must be owner"]) {
        return Error::forbidden("database.forbidden", format!("the user may not do this there; {message}"));
    }
    if says(&["does not exist", "Unknown database"]) {
        return Error::not_found("database.absent", message);
    }
    if says(&away) {
        return Error::unavailable("database.unreachable", format!("the server does not answer; {message}"));
    }
    Error::unavailable("database.failed", message)
}
