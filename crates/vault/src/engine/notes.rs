//! What the engine tells while it works: how far it is, and what it carries on over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustic_core::{ProgressBars, ProgressType, RusticProgress};

use crate::request::Progress;

/// Notes that are kept, of each kind.
const NOTES_MAX: usize = 100;
/// Somebody who is told how far it is.
pub(crate) trait Report: Send + Sync + std::fmt::Debug + 'static {
    fn progress(&self, progress: &Progress);
}

/// What a task goes on over.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The engine's warnings.
    warnings: Mutex<Vec<String>>,
    /// Parts of a source that are not in its snapshot.
    left_out: Mutex<Vec<String>>,
}

/// Where the engine's warnings go: it has no other way to tell them.
struct Listener(Arc<Notes>);

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && metadata.target().starts_with("rustic_core")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            Notes::keep(&self.0.warnings, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

impl Notes {
    /// Listens to the engine from now on; works once in a process.
    pub(crate) fn listen() -> Arc<Self> {
        let notes = Arc::new(Notes::default());
        if log::set_boxed_logger(Box::new(Listener(notes.clone()))).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
        notes
    }

    fn keep(notes: &Mutex<Vec<String>>, text: &str) {
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES_MAX {
            notes.push(text.lines().next().unwrap_or_default().to_owned());
        }
    }

    /// Notes a part of the source that is not in its snapshot.
    pub(crate) fn leave_out(&self, what: &str) {
        Self::keep(&self.left_out, what);
    }

    /// What was warned of so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The parts of the source that were left out so far.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes progress reports of the engine's progress bars.
#[derive(Debug)]
pub(super) struct Bars(pub(super) Arc<dyn Report>);

impl ProgressBars for Bars {
    fn progress(&self, kind: ProgressType, prefix: &str) -> rustic_core::Progress {
        let bar = Bar {
            report: self.0.clone(),
            phase: Mutex::new(prefix.trim_end_matches(['.', ' ']).to_owned()),
            bytes: matches!(kind, ProgressType::Bytes),
            done: AtomicU64::new(0),
            total: AtomicU64::new(u64::MAX),
        };
        bar.tell();
        rustic_core::Progress::new(bar)
    }
}

#[derive(Debug)]
struct Bar {
    report: Arc<dyn Report>,
    phase: Mutex<String>,
    bytes: bool,
    done: AtomicU64,
    /// `u64::MAX` while it is not known.
    total: AtomicU64,
}

impl Bar {
    fn tell(&self) {
        let total = self.total.load(Ordering::Relaxed);
        self.report.progress(&Progress {
            phase: self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            done: self.done.load(Ordering::Relaxed),
            total: (total != u64::MAX).then_some(total),
            bytes: self.bytes,
        });
    }
}

impl RusticProgress for Bar {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, length: u64) {
        self.total.store(length, Ordering::Relaxed);
        self.tell();
    }

    fn set_title(&self, title: &str) {
        title.trim_end_matches(['.', ' ']).clone_into(&mut self.phase.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn inc(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
        self.tell();
    }

    fn finish(&self) {
        self.tell();
    }
}
