//! Trying how long a loss goes unseen: a machine of a drill ends as in a crash, and it is timed until the
//! server has stored what the ordinary watch said of it.
//!
//! Nothing here tells that watch anything: it finds the machine as it would find any other that died. Both
//! ends are read from one steady clock, this host's, so that no two clocks have to agree; the way of the
//! server's receipt is in the figure, which is therefore never too small.

use std::time::{Duration, Instant};

use base::{Error, Result};

use super::book::Book;
use crate::hypervisor::Hypervisor;
use crate::tasks::Cancel;
use crate::wire::{IntentId, Outcome, RecoveryId};

/// How often it is looked whether the server knows.
const LOOK: Duration = Duration::from_millis(5);
/// A loss that is not seen for so long is not seen.
const PATIENCE: Duration = Duration::from_secs(600);

/// Ends the machine, and waits until its end is stored at the server.
///
/// # Errors
/// `Conflict` where it is no machine of that drill (`machine.not_drilled`), does not run
/// (`machine.taken_away`), or its loss was not seen (`machine.loss_unseen`); those of the hypervisor.
pub(super) fn tried(
    book: &Book,
    hypervisor: &dyn Hypervisor,
    (machine, recovery): (&IntentId, &RecoveryId),
    cancel: &Cancel,
) -> Result<Outcome> {
    let life = book.made_for(machine, recovery)?;
    let (began, waited) = (book.clock.now().steady_ms, Instant::now());
    tracing::info!(%machine, life, "a drill's machine is ended, to see that its loss is seen");
    hypervisor.crash(machine)?;
    while !book.has_told_end(machine, life) {
        if cancel.asked() {
            return Err(Error::conflict("task.cancelled", "nobody waits for it any more"));
        }
        if waited.elapsed() >= PATIENCE {
            let message = format!("the server was not told of its loss within {} s", PATIENCE.as_secs());
            return Err(Error::conflict("machine.loss_unseen", message));
        }
        std::thread::sleep(LOOK);
    }
    Ok(Outcome::LossSeen { life, milliseconds: book.clock.now().steady_ms.saturating_sub(began) })
}
