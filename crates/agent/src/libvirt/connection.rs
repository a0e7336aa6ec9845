//! Calls to libvirt that end in time.
//!
//! libvirt's calls block, and one that waits for a daemon that hangs waits for ever. Each call runs on
//! a thread of its own and is given up after a while: it may still take effect, hence `Uncertain` for
//! what changes something. A connection that failed or hung is not used again; the next call opens
//! another, so a restarted daemon is found by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Error, Result};
use virt::connect::Connect;
use virt::enumutil::Enum;
use virt::error::{ErrorDomain, ErrorNumber};

/// Calls that may hang at the same time before no more are tried.
const HANGING_MAX: usize = 16;

/// A connection that comes back.
pub struct Connection {
    uri: String,
    open: Mutex<Option<Connect>>,
    hanging: Arc<AtomicUsize>,
}

/// Whether a call changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads: without an answer nothing is known, and nothing was done.
    Reads,
    /// Without an answer it may have been done.
    Changes,
}

impl Connection {
    /// A connection to `uri`, opened with the first call.
    pub fn new(uri: &str) -> Self {
        Self { uri: uri.to_owned(), open: Mutex::default(), hanging: Arc::default() }
    }

    /// Where the daemon is.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Makes one call.
    ///
    /// # Errors
    /// As libvirt's error reads in the house's words; see [`translate`].
    pub fn call<T: Send + 'static>(
        &self,
        effect: Effect,
        patience: Duration,
        body: impl FnOnce(&Connect) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T> {
        if self.hanging.load(Ordering::SeqCst) >= HANGING_MAX {
            return Err(Error::unavailable("libvirt.hangs", "libvirt answers no call; is its daemon alive?"));
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (uri, hanging) = (self.uri.clone(), self.hanging.clone());
        let (sender, receiver) = channel();
        hanging.fetch_add(1, Ordering::SeqCst);
        let spawned = std::thread::Builder::new().name("libvirt-call".to_owned()).spawn(move || {
            let answer = match open.map_or_else(|| Connect::open(Some(&uri)), Ok) {
                Ok(connection) => {
                    let answer = body(&connection).map_err(|e| (e, true));
                    (answer, Some(connection))
                }
                Err(e) => (Err((e, false)), None),
            };
            hanging.fetch_sub(1, Ordering::SeqCst);
            // Nobody may be waiting any more: then the connection closes here.
            let _ = sender.send(answer);
        });
        if let Err(e) = spawned {
            self.hanging.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::unavailable("host.no_thread", "cannot start a thread").because(e));
        }
        match receiver.recv_timeout(patience) {
            Ok((Ok(value), connection)) => {
                self.keep(connection);
                Ok(value)
            }
            Ok((Err((e, asked)), connection)) => {
                let broken = is_broken(&e);
                self.keep(connection.filter(|_| !broken));
                Err(translate(e, if asked { effect } else { Effect::Reads }))
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.keep(None);
                let message = format!("libvirt did not answer within {} s", patience.as_secs());
                Err(match effect {
                    Effect::Reads => Error::unavailable("libvirt.timed_out", message),
                    Effect::Changes => Error::uncertain("libvirt.timed_out", message),
                })
            }
        }
    }

    fn keep(&self, connection: Option<Connect>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

/// Whether the connection itself is gone.
fn is_broken(e: &virt::error::Error) -> bool {
    let rpc = e.domain().is(ErrorDomain::Rpc) || e.domain().is(ErrorDomain::Remote);
    let lost = [ErrorNumber::NoConnect, ErrorNumber::InvalidConn, ErrorNumber::SystemError];
    rpc || e.code().is_any(lost.to_vec())
}

/// libvirt's error in the house's words.
pub fn translate(e: virt::error::Error, effect: Effect) -> Error {
    let said: String = e.message().chars().take(500).collect();
    let message = format!("libvirt: {said}");
    let code = match e.code() {
        Enum::Known(code) => Some(code),
        Enum::Unknown(_) => None,
    };
    let error = match code {
        Some(ErrorNumber::NoDomain) => Error::not_found("machine.not_prepared", message),
        Some(
            ErrorNumber::XmlError
            | ErrorNumber::XmlDetail
            | ErrorNumber::XmlInvalidSchema
            | ErrorNumber::ConfigUnsupported
            | ErrorNumber::InvalidArg,
        ) => Error::invalid("machine.definition_refused", message),
        Some(ErrorNumber::OperationTimeout) => Error::uncertain("libvirt.timed_out", message),
        _ if is_broken(&e) && effect == Effect::Changes => Error::uncertain("libvirt.connection_lost", message),
        _ if is_broken(&e) => Error::unavailable("libvirt.unreachable", message),
        _ => Error::unavailable("libvirt.failed", message),
    };
    error.because(e)
}
