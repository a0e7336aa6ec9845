//! The work: a thread that looks what is due, and one for each place that is being sent to.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::time::Timestamp;
use base::{Error, Result};
use gate::audit::{Shipment, VerifyingKey};
use gate::keys::Keys;
use gate::{Gate, lease};
use web::hub::Hub;

use super::{AuditPlace, Courier, Problem, store};
use crate::AuditPlaceId;

/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(1);
/// How long one server has a place to itself; longer than any one sending takes.
const TERM: Duration = Duration::from_secs(120);
/// How long what is under way may take when the server stops, and what is new then once more.
const LAST: Duration = Duration::from_secs(10);
/// Pieces that go to one place before the others are looked at again.
const PIECES_MAX: usize = 50;
/// The first wait after a failure, and the longest, in seconds.
const WAITS: (i64, i64) = (5, 15 * 60);

/// The running shipping of this process.
pub struct Shipper {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shipper {
    /// Starts it over the gate's database. `hub` sends to webhooks, `keys` opens credentials, `key` is the log's.
    ///
    /// # Errors
    /// `Unavailable` where no thread can be had.
    pub fn start(gate: &Gate, hub: Hub, keys: Keys, key: VerifyingKey) -> Result<Shipper> {
        let desk = Desk::new(gate.clone(), Courier { hub, keys, key });
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name("shipping".into()).spawn(move || {
            let mut sending = HashMap::new();
            loop {
                let last = stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
                if last {
                    wait(&sending);
                }
                sending.retain(|_, thread: &mut JoinHandle<()>| !thread.is_finished());
                desk.begin(&mut sending, last);
                if last {
                    return wait(&sending);
                }
            }
        });
        let thread = thread.map_err(|e| Error::unavailable("shipping.thread", "cannot start shipping").because(e))?;
        Ok(Shipper { stop: Some(stop), thread: Some(thread) })
    }

    /// Sends what is new to every place once more, and stops. Takes no longer than some seconds: what a
    /// place could not be sent by then goes there after the next start.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for what is under way, not without end: a place that hangs must not keep the server.
fn wait(sending: &HashMap<AuditPlaceId, JoinHandle<()>>) {
    let until = Instant::now() + LAST;
    while sending.values().any(|thread| !thread.is_finished()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One server's part of the work.
#[derive(Clone)]
pub(super) struct Desk {
    gate: Gate,
    courier: Courier,
    holder: String,
}

impl Desk {
    pub fn new(gate: Gate, courier: Courier) -> Self {
        let holder = gate.ids().text("ship", gate.now());
        Desk { gate, courier, holder }
    }

    /// Begins to send to every place that is due and not being sent to; at the end to all.
    fn begin(&self, sending: &mut HashMap<AuditPlaceId, JoinHandle<()>>, last: bool) {
        let now = self.gate.now();
        let due = match self.gate.db().read(move |conn| store::all(conn, now)) {
            Ok(all) => all.into_iter().filter(|place| last || is_due(place, now)),
            Err(e) => return tracing::warn!(error = ?e, "places for the audit log could not be looked up"),
        };
        for place in due {
            if sending.contains_key(&place.id) {
                continue;
            }
            let (desk, id) = (self.clone(), place.id);
            let thread = std::thread::Builder::new().name("shipping-to".into()).spawn(move || desk.tend(id));
            match thread {
                Ok(thread) => drop(sending.insert(id, thread)),
                Err(e) => tracing::warn!(error = ?e, "no thread could be had to ship the audit log"),
            }
        }
    }

    fn tend(&self, id: AuditPlaceId) {
        if let Err(e) = self.ship(id) {
            tracing::warn!(place = %id, error = ?e, "what came of shipping the audit log was not noted; it is sent again");
        }
    }

    /// Sends what a place has not, piece by piece; gives how many pieces arrived.
    ///
    /// # Errors
    /// Those of the database. A place that fails is none: it is remembered.
    pub fn ship(&self, id: AuditPlaceId) -> Result<usize> {
        let (holder, now, name) = (self.holder.clone(), self.gate.now(), format!("shipping:{id}"));
        let taken = self.gate.db().write(move |conn| lease::take(conn, &name, &holder, now, TERM))?;
        let Some(lease) = taken else { return Ok(0) };
        let mut arrived = 0;
        while arrived < PIECES_MAX && self.piece(id)? {
            arrived += 1;
            let (holder, now, name) = (self.holder.clone(), self.gate.now(), lease.name.clone());
            if self.gate.db().write(move |conn| lease::take(conn, &name, &holder, now, TERM))?.is_none() {
                return Ok(arrived);
            }
        }
        if arrived == PIECES_MAX {
            let now = self.gate.now();
            self.gate.db().write(move |conn| store::hurry(conn, id, now))?;
        }
        self.gate.db().write(move |conn| lease::release(conn, &lease))?;
        Ok(arrived)
    }

    /// Sends the next piece; says whether it arrived.
    fn piece(&self, id: AuditPlaceId) -> Result<bool> {
        let now = self.gate.now();
        let (place, piece) = self.gate.db().read(move |conn| {
            let place = store::load(conn, id, now)?;
            let piece = next(conn, &place);
            Ok((place, piece))
        })?;
        // Sent first and remembered afterwards: a crash between the two sends it twice.
        let sent = match piece {
            Ok(None) => return Ok(false),
            Ok(Some(piece)) => self.courier.send(&place, &piece, now).map(|()| piece.to),
            Err(e) => Err(e),
        };
        let now = self.gate.now();
        match sent {
            Ok(to) => {
                self.gate.db().write(move |conn| store::arrived(conn, &place, to, now))?;
                Ok(true)
            }
            Err(e) => {
                tracing::warn!(place = %place.name, error = ?e, "the audit log could not be shipped there; trying again later");
                let problem = Problem { code: e.code().to_owned(), message: e.message().to_owned() };
                let wait = backoff(place.attempts);
                self.gate.db().write(move |conn| store::failed(conn, &place, &problem, wait, now))?;
                Ok(false)
            }
        }
    }
}

fn next(conn: &mut db::Conn<'_>, place: &AuditPlace) -> Result<Option<Shipment>> {
    let entries = place.entries.then(|| place.target.entries_max());
    Shipment::next(conn, u64::try_from(place.shipped).unwrap_or(0), entries)
}

/// Whether a place wants something and its time has come. A clock that was set back must not put it off.
pub(super) fn is_due(place: &AuditPlace, now: Timestamp) -> bool {
    let wait = place.next_at.duration_since(now).as_secs();
    let timely = wait <= 0 || wait > place.every_seconds.max(WAITS.1);
    timely && (place.behind_since.is_some() || place.is_ahead)
}

/// How long to wait after so many failures before, in seconds.
pub(super) fn backoff(failures: i64) -> i64 {
    let doubled = u32::try_from(failures).ok().and_then(|n| WAITS.0.checked_shl(n.min(20)));
    doubled.unwrap_or(WAITS.1).min(WAITS.1)
}
