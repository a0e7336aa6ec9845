//! Waking: tells waiting polls of this process that there is news for a host.
//!
//! Only a matter of speed. Whoever waits looks again after a while anyway, so a
//! lost or a needless waking harms nothing; news from another server is found
//! by that second look.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base::id::HostId;
use gate::Tx;
use tokio::sync::Notify;

static WAITING: LazyLock<Mutex<HashMap<HostId, Arc<Notify>>>> = LazyLock::new(Mutex::default);

/// What a poll for `host` waits on.
pub fn signal(host: HostId) -> Arc<Notify> {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.entry(host).or_default().clone()
}

/// Wakes the polls for `host` once `tx` is durable.
pub fn after(tx: &mut Tx<'_>, host: HostId) {
    tx.after_commit(move || signal(host).notify_waiters());
}
