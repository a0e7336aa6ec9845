//! The child's side: one request from standard input, its answer to standard output.
//!
//! The first line of the input is the request; a stream to be backed up follows it ([`crate::frame`]).
//! Each line of the output is one of [`Line`]. Secrets come in by the pipe alone: they are in no
//! argument and no environment.

use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::Result;
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::engine::{self, Notes, Report};
use crate::fault;
use crate::frame::Receive;
use crate::request::{Answer, Limits, Progress, Repository, Task};

/// Largest request, in bytes.
const REQUEST_MAX: u64 = 4 << 20;
/// How often it is told how far it is, at most.
const PAUSE: Duration = Duration::from_millis(200);

/// What a parent asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The process that asks: when it is gone, so is the reason for the work.
    pub(crate) parent: u32,
    pub(crate) repository: Repository,
    pub(crate) task: Task,
    pub(crate) limits: Limits,
}

/// One line of the output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Progress(Progress),
    Answer(Box<Answer>),
    Error { code: String, message: String },
}

/// Serves one request and says how it ended.
pub fn main() -> ExitCode {
    let lines = Arc::new(Lines::default());
    let done = catch_unwind(AssertUnwindSafe(|| serve(&lines)));
    let done = done.unwrap_or_else(|panic| Err(fault::panicked(&*panic)));
    match done {
        Ok(answer) => {
            lines.tell(&Line::Answer(Box::new(answer)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            lines.tell(&Line::Error { code: error.code().to_owned(), message: error.message().to_owned() });
            ExitCode::FAILURE
        }
    }
}

fn serve(lines: &Arc<Lines>) -> Result<Answer> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(REQUEST_MAX)
        .read_line(&mut line)
        .map_err(|e| fault::error(fault::REQUEST_INVALID, format!("the request cannot be read: {e}")))?;
    // What serde says of a request may quote it, and there are keys in it.
    let asked: Asked = serde_json::from_str(&line).map_err(|e| {
        fault::error(fault::REQUEST_INVALID, format!("the request is malformed at column {}", e.column()))
    })?;
    confine(&asked)?;
    let notes = Notes::listen();
    let report: Arc<dyn Report> = lines.clone();
    engine::perform(&asked.repository, &asked.task, Receive::new(io::stdin()), &report, &notes)
}

/// Takes from this process what it needs not have.
fn confine(asked: &Asked) -> Result<()> {
    let failed = |e: rustix::io::Errno| {
        fault::error(fault::CRASHED, format!("the limits of the backup process cannot be set: {e}"))
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if u32::try_from(parent) != Ok(asked.parent) {
        return Err(fault::error(fault::CANCELLED, "who asked is gone"));
    }
    let limit = |resource, most: u64| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(failed)
    };
    // No dump of this memory may lie around: there are keys in it.
    limit(Resource::Core, 0)?;
    limit(Resource::Data, asked.limits.memory_mib.saturating_mul(1 << 20))?;
    rustix::process::nice(asked.limits.nice.clamp(0, 19)).map_err(failed)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

/// The output, and when it was last told how far it is.
#[derive(Debug, Default)]
struct Lines(Mutex<Option<(Instant, String)>>);

impl Lines {
    fn tell(&self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let mut out = io::stdout().lock();
        // Nobody listens: the parent is gone, and this process goes with it.
        let _ = out.write_all(&text).and_then(|()| out.flush());
    }
}

impl Report for Lines {
    fn progress(&self, progress: &Progress) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let same = last.as_ref().is_some_and(|(at, phase)| *phase == progress.phase && now.duration_since(*at) < PAUSE);
        if !same || progress.total == Some(progress.done) {
            *last = Some((now, progress.phase.clone()));
            drop(last);
            self.tell(&Line::Progress(progress.clone()));
        }
    }
}
