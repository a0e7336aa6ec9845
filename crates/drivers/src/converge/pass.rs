//! One pass over one machine: look, note, decide, take one step, look again.

use std::time::Duration;

use base::Result;

use super::book::{Book, Next};
use super::decide::Step;
use crate::hypervisor::Hypervisor;
use crate::wire::IntentId;

/// Steps in one pass: enough for prepare, stop, start and remove with a change of mind between.
const STEPS_MAX: u32 = 8;

/// What a pass leaves to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// Come back then; `None`: nothing to come back for.
    pub again: Option<Duration>,
    /// A new life wants its check.
    pub probe: bool,
}

/// Runs one pass. Never two of the same machine at once.
///
/// # Errors
/// Where what was seen cannot be stored: then nothing more was done.
pub(super) fn pass(book: &Book, hypervisor: &dyn Hypervisor, id: &IntentId) -> Result<After> {
    let mut last: Option<(Step, u64)> = None;
    let mut after = After::default();
    let mut watched = false;
    for _ in 0..STEPS_MAX {
        let found = match hypervisor.look(id) {
            Ok(found) => found,
            Err(error) => {
                after.again = Some(book.failed(id, Step::Rest, &error));
                return Ok(after);
            }
        };
        let Some(next) = book.observe(id, found, watched)? else { return Ok(after) };
        after.probe = next.probe;
        if next.step == Step::Rest {
            return Ok(after);
        }
        if !next.pause.is_zero() {
            after.again = Some(next.pause);
            return Ok(after);
        }
        if last == Some((next.step, next.generation)) {
            after.again = Some(book.fruitless(id, next.step));
            return Ok(after);
        }
        last = Some((next.step, next.generation));
        tracing::debug!(%id, generation = next.generation, step = ?next.step, "taking a step");
        match take(book, hypervisor, id, &next) {
            Ok(()) => {
                book.worked(id);
                watched = matches!(next.step, Step::Start | Step::Stop(_) | Step::Remove);
            }
            Err(error) => {
                let pause = book.failed(id, next.step, &error);
                tracing::warn!(%id, generation = next.generation, step = ?next.step, code = error.code(), "{error}");
                // Whatever it says, the next look tells what became of it; never at once, except
                // where the refusal itself is the answer.
                watched = false;
                if !pause.is_zero() {
                    after.again = Some(pause);
                    return Ok(after);
                }
            }
        }
    }
    after.again = Some(Duration::ZERO);
    Ok(after)
}

fn take(book: &Book, hypervisor: &dyn Hypervisor, id: &IntentId, next: &Next) -> Result<()> {
    match (next.step, &next.spec) {
        (Step::Prepare, Some(spec)) => hypervisor.prepare(id, next.generation, spec),
        (Step::Start, _) => hypervisor.start(id),
        (Step::Stop(grace), _) => {
            book.about_to_stop(id)?;
            hypervisor.stop(id, grace)
        }
        (Step::Remove, _) => {
            book.about_to_stop(id)?;
            hypervisor.remove(id)
        }
        (Step::Prepare | Step::Rest, _) => Ok(()),
    }
}
