//! Work of hours in child processes, which ends with this server and is gone on with by the next one.

use base::Result;
use gate::Gate;
use vault::client::Cancel;

/// Does it, unless this server stops meanwhile: then it is cancelled, and whatever it fails with because of that is
/// [`durable::stopped`], which is no failure.
///
/// # Errors
/// Those of the work.
pub(crate) fn heed<T>(gate: &Gate, work: impl FnOnce(&Cancel) -> Result<T>) -> Result<T> {
    let cancel = Cancel::when(durable::stopping(gate));
    if cancel.asked() {
        return Err(durable::stopped());
    }
    work(&cancel).map_err(|e| if cancel.asked() { durable::stopped() } else { e })
}
