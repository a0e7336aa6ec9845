//! Asking: each request runs in a child process of its own.
//!
//! The engine may panic over what it reads, fill its memory, or hang on a place that does not
//! answer. In a child none of that is ours; here every end of it becomes an error with a code.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base::{Error, Result};
use rustix::process::{Pid, Signal};

use crate::engine::unfinished;
use crate::request::{Answer, Key, Limits, Progress, Repository, Task};
use crate::work::{Asked, Line};
use crate::{fault, frame};

/// Looks that are made where the engine gives up over them: it may have wanted a thread that was not to be had.
pub const LOOKS_MAX: usize = 3;
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// What is kept of what the child says of its own accord, in bytes.
const LAST_WORDS: usize = 4 << 10;
/// Longest line of an answer, in bytes.
const LINE_MAX: u64 = 64 << 20;

/// Stops work that runs: clone it, keep one, hand the other over.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled once that is set: by whoever ends more than this work.
    pub fn when(flag: Arc<AtomicBool>) -> Self {
        Cancel(flag)
    }

    /// Stops it. What was recorded stays recorded; what was not finished is not there.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who is told how far it is.
pub type Listener<'a> = &'a mut dyn FnMut(Progress);

/// Where `yunwei-vault` is: as `YUNWEI_VAULT` says, beside this program, or on the path.
pub fn program() -> PathBuf {
    let named = std::env::var_os("YUNWEI_VAULT").map(PathBuf::from);
    let beside =
        || std::env::current_exe().ok().map(|own| own.with_file_name("yunwei-vault")).filter(|own| own.is_file());
    named.or_else(beside).unwrap_or_else(|| "yunwei-vault".into())
}

/// Runs requests in child processes.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    limits: Limits,
}

impl Worker {
    /// A worker that runs `program`, which is `yunwei-vault`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Worker { program: program.into(), limits: Limits::default() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Does a task and waits for it. `listener` hears how far it is, on this thread.
    ///
    /// A look over which the engine gave up is made again, in a process of its own, up to [`LOOKS_MAX`] times in
    /// all; the answer says so among its remarks.
    pub fn run(&self, repository: &Repository, task: &Task, cancel: &Cancel, listener: Listener<'_>) -> Result<Answer> {
        let looks = if matches!(task, Task::Check { .. }) { LOOKS_MAX } else { 1 };
        let mut gave_up = Vec::new();
        loop {
            match self.run_with(repository, task, cancel, listener, io::empty()) {
                Err(error) if error.code() == fault::CRASHED && looks > 1 => gave_up.push(error),
                Ok(Answer::Checked(mut looked)) => {
                    looked.remarks.extend(gave_up.iter().map(|error| format!("looked again: {}", error.message())));
                    return Ok(Answer::Checked(looked));
                }
                done => return done,
            }
            let (made, why) = (gave_up.len(), gave_up.last().map_or("", Error::message));
            if made >= looks {
                return Err(fault::error(fault::CRASHED, format!("{looks} looks came to nothing; the last: {why}")));
            }
            let phase = format!("looking again, {} of {looks}", made + 1);
            listener(Progress { phase, done: 0, total: None, bytes: false });
        }
    }

    /// The master key of a repository: for whoever asks several things of it, each of which would cost half a
    /// second and 135 MB with a password.
    pub fn master(&self, repository: &Repository, cancel: &Cancel) -> Result<Key> {
        if let Key::Master(_) = repository.key {
            return Ok(repository.key.clone());
        }
        match self.run(repository, &Task::Reveal, cancel, &mut |_| {})? {
            Answer::Made { master, .. } => Ok(Key::Master(master)),
            _ => Err(fault::error(fault::ENGINE, "the repository was asked for its key and told something else")),
        }
    }

    /// [`Worker::run`] of a backup of a stream. An error of `input` leaves no snapshot; the stream
    /// ends with its last byte, so a program that writes it must have succeeded before it says so.
    pub fn run_with(
        &self,
        repository: &Repository,
        task: &Task,
        cancel: &Cancel,
        listener: Listener<'_>,
        input: impl Read + Send,
    ) -> Result<Answer> {
        let asked = Asked {
            parent: std::process::id(),
            repository: repository.clone(),
            task: task.clone(),
            limits: self.limits,
        };
        let mut request = serde_json::to_vec(&asked)
            .map_err(|e| fault::error(fault::REQUEST_INVALID, format!("the request cannot be written: {e}")))?;
        request.push(b'\n');
        let mut child = self.spawn()?;
        let (answer, end) = self.attend(&mut child, &request, cancel, listener, input);
        if let (Task::Restore(restore), None) = (task, &answer) {
            // It was killed before it could clean up after itself.
            let _ = std::fs::remove_dir_all(unfinished(&restore.to));
        }
        match answer {
            Some(Line::Answer(answer)) => Ok(*answer),
            Some(Line::Error { code, message }) => Err(fault::error(&code, message)),
            _ => Err(end),
        }
    }

    fn spawn(&self) -> Result<Child> {
        Command::new(&self.program)
            .arg("work")
            .env_clear()
            // Two heaps for all threads: half of the memory, at no cost that could be measured.
            .env("MALLOC_ARENA_MAX", "2")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                let message = format!(
                    "{} does not start: {e}; install it beside the program that uses it",
                    self.program.display()
                );
                fault::error(fault::ABSENT, message)
            })
    }

    /// Feeds the child, hears it out and waits for its end: its last line, and what else to make of it.
    fn attend(
        &self,
        child: &mut Child,
        request: &[u8],
        cancel: &Cancel,
        listener: Listener<'_>,
        input: impl Read + Send,
    ) -> (Option<Line>, Error) {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let deadline = Instant::now() + Duration::from_secs(self.limits.seconds);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let (finished, finish) = channel::<()>();
        let words = Mutex::new(Vec::new());
        let mut last = None;
        let stopped = thread::scope(|scope| {
            // Each of these ends when the child closes its side.
            scope.spawn(|| stdin.map(|mut to| to.write_all(request).and_then(|()| frame::send(input, to))));
            scope.spawn(|| stderr.map(|from| keep_last(from, &words)));
            let guard = scope.spawn(move || guard(pid, cancel, deadline, &finish));
            if let Some(out) = stdout {
                last = hear(out, listener);
            }
            drop(finished);
            guard.join().unwrap_or(None)
        });
        let status = child.wait();
        let words = String::from_utf8_lossy(&words.into_inner().unwrap_or_else(PoisonError::into_inner)).into_owned();
        (last, stopped.unwrap_or_else(|| end(status, &words)))
    }
}

/// Kills the child when it is time to: the error that this makes of its end.
fn guard(pid: Option<Pid>, cancel: &Cancel, deadline: Instant, finish: &Receiver<()>) -> Option<Error> {
    while finish.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let why = if cancel.asked() {
            fault::error(fault::CANCELLED, "it was cancelled; nothing that was not finished is there")
        } else if Instant::now() >= deadline {
            fault::error(fault::DEADLINE, "it took longer than it was given; give it more time, or look why")
        } else {
            continue;
        };
        // The child is not waited for before this thread has ended: the number is still its own.
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        return Some(why);
    }
    None
}

/// Passes on how far it is; the answer or error at the end.
fn hear(out: impl Read, listener: Listener<'_>) -> Option<Line> {
    let mut out = BufReader::new(out);
    let mut line = Vec::new();
    let mut last = None;
    loop {
        line.clear();
        match (&mut out).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(Line::Progress(progress)) => listener(progress),
            Ok(end) => last = Some(end),
            // Not a line of ours: the last one, cut by its death.
            Err(_) => {}
        }
    }
}

/// Keeps the end of what the child says of its own accord.
fn keep_last(mut from: impl Read, words: &Mutex<Vec<u8>>) {
    let mut piece = [0; 1024];
    while let Ok(length) = from.read(&mut piece) {
        if length == 0 {
            return;
        }
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(piece.get(..length).unwrap_or_default());
        let surplus = words.len().saturating_sub(LAST_WORDS);
        words.drain(..surplus);
    }
}

/// What a child that died without an answer died of.
fn end(status: io::Result<ExitStatus>, words: &str) -> Error {
    if words.contains("memory allocation of") || words.contains("Cannot allocate memory") {
        let message = "it wanted more memory than it was given; raise the limit or split what is backed up";
        return fault::error(fault::MEMORY, message);
    }
    let status = match status {
        Ok(status) => status,
        Err(error) => return fault::error(fault::CRASHED, format!("its end was not seen: {error}")),
    };
    match status.signal() {
        Some(9) => fault::error(
            fault::KILLED,
            "something killed the backup process: look for want of memory in the system's log, then run it again",
        ),
        _ => {
            let words = words.lines().next_back().unwrap_or("it said nothing");
            fault::error(fault::CRASHED, format!("the backup process ended ({status}): {words}; run it again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_says_so() {
        let repository = Repository {
            place: crate::request::Place::Folder("/nowhere".into()),
            key: crate::request::Key::Password(crate::request::Secret::new("x")),
            cache: None,
        };
        let error = Worker::new("/no/such/program")
            .run(&repository, &Task::Snapshots, &Cancel::new(), &mut |_| {})
            .unwrap_err();
        assert_eq!(error.code(), fault::ABSENT);
    }

    #[test]
    fn a_death_is_named_by_its_cause() {
        assert_eq!(end(Ok(ExitStatus::from_raw(9)), "").code(), fault::KILLED);
        assert_eq!(end(Ok(ExitStatus::from_raw(6)), "memory allocation of 64 bytes failed").code(), fault::MEMORY);
        assert_eq!(end(Ok(ExitStatus::from_raw(11)), "").code(), fault::CRASHED);
    }

    #[test]
    fn only_the_last_words_are_kept() {
        let words = Mutex::new(Vec::new());
        keep_last(io::repeat(b'x').take(100_000), &words);
        assert_eq!(words.into_inner().unwrap().len(), LAST_WORDS);
    }
}
