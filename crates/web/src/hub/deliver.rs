//! Sends what is due.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Kind, Result, limits};
use futures_util::FutureExt as _;
use gate::Gate;
use tokio::task::JoinSet;
use ureq::Agent;

use super::store::{self, Outcome, Waiting};
use super::{Hub, address, signature};

/// How long to wait after the first, second … failed attempt: 28 hours in all.
const WAITS: [Duration; limits::DELIVERY_ATTEMPTS_MAX - 1] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(8 * 3600),
    Duration::from_secs(12 * 3600),
];
/// How often an idle worker looks, for what another server wrote or what became due.
const LOOK: Duration = Duration::from_secs(1);

/// What is on its way, and whose it is. A tenant whose receivers are slow waits
/// for itself: it takes up some of the places, never all of them.
#[derive(Default)]
pub(super) struct Sending {
    tasks: JoinSet<TenantId>,
    of: HashMap<TenantId, usize>,
}

impl Sending {
    fn begin(&mut self, tenant: TenantId, work: impl Future<Output = Result<()>> + Send + 'static) {
        *self.of.entry(tenant).or_default() += 1;
        self.tasks.spawn(async move {
            if let Err(e) = AssertUnwindSafe(work)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Error::bug("hub.panic", "a delivery stopped on a broken invariant")))
            {
                tracing::warn!(error = ?e, "what came of a notification was not noted; it is sent again");
            }
            tenant
        });
    }

    /// Waits for one to end; false where none is on its way.
    async fn ended(&mut self) -> bool {
        let Some(Ok(tenant)) = self.tasks.join_next().await else { return false };
        if let Some(number) = self.of.get_mut(&tenant) {
            *number -= 1;
        }
        self.of.retain(|_, number| *number > 0);
        true
    }
}

impl Hub {
    /// Delivers until the task is dropped. One per server is enough; several
    /// servers share the work.
    pub async fn deliver(&self, gate: Gate) {
        let mut sending = Sending::default();
        loop {
            let begun = self.begin_due(&gate, &mut sending).await;
            if let Err(e) = &begun {
                tracing::warn!(error = ?e, "notifications could not be looked up");
            }
            if !matches!(begun, Ok(1..)) {
                tokio::select! {
                    true = sending.ended() => {}
                    () = self.0.wake.notified(), if begun.is_ok() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }

    /// Sends what is due now, as much as may be on its way at one time, and
    /// waits for it; gives how many were tried.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn deliver_due(&self, gate: &Gate) -> Result<usize> {
        let mut sending = Sending::default();
        let begun = self.begin_due(gate, &mut sending).await?;
        while sending.ended().await {}
        Ok(begun)
    }

    pub(super) async fn begin_due(&self, gate: &Gate, sending: &mut Sending) -> Result<usize> {
        let now = gate.now();
        let free = limits::DELIVERIES_AT_ONCE_MAX.saturating_sub(sending.tasks.len());
        if free == 0 || !gate.db().read_async(move |conn| store::any_due(conn, now)).await? {
            return Ok(0);
        }
        let until = now + Duration::from_secs(4 * limits::DELIVERY_SECONDS_MAX);
        let busy = sending.of.clone();
        let due = gate.db().write_async(move |conn| store::claim(conn, now, until, free, &busy)).await?;
        let begun = due.len();
        for delivery in due {
            let (hub, gate) = (self.clone(), gate.clone());
            sending.begin(delivery.tenant, async move { hub.one(&gate, delivery).await });
        }
        Ok(begun)
    }

    async fn one(&self, gate: &Gate, delivery: Waiting) -> Result<()> {
        let (hub, at, waiting) = (self.clone(), gate.clone(), delivery.clone());
        let sent = tokio::task::spawn_blocking(move || hub.send(&at, &waiting)).await;
        let sent = sent
            .unwrap_or_else(|e| Err(Error::bug("hub.panic", "a delivery stopped on a broken invariant").because(e)));
        let now = gate.now();
        let outcome = self.judge(&delivery, sent, now);
        tracing::debug!(delivery = delivery.id, event = delivery.event, ?outcome, "notification sent");
        gate.db().write_async(move |conn| store::settle(conn, &delivery, &outcome, now)).await
    }

    /// What follows from an answer, or from none.
    fn judge(&self, delivery: &Waiting, sent: Result<Sent>, now: Timestamp) -> Outcome {
        let (why, asked) = match sent {
            Ok(Sent { status: 200..=299, .. }) => return Outcome::Done,
            Ok(Sent { status: 410, .. }) => return Outcome::Gone,
            Ok(Sent { status, retry_after }) => (format!("answered {status}"), retry_after),
            // An address that is not allowed now may be allowed when the name is put right.
            Err(e) => (format!("{}: {}", e.code(), e.message()), None),
        };
        let waits = if self.0.settings.waits.is_empty() { &WAITS[..] } else { &self.0.settings.waits[..] };
        let failed = usize::try_from(delivery.attempts).unwrap_or(usize::MAX);
        match waits.get(failed) {
            Some(wait) => Outcome::Later(
                now + asked.map_or(*wait, |asked| asked.clamp(*wait, Duration::from_secs(24 * 3600))),
                why,
            ),
            None => Outcome::Dead(why),
        }
    }

    /// One attempt. Blocks for at most [`limits::DELIVERY_SECONDS_MAX`] and a name's resolution.
    fn send(&self, gate: &Gate, delivery: &Waiting) -> Result<Sent> {
        // Before anything is read for it.
        address::read(&delivery.callback, self.0.settings.private_targets)?;
        let wanted = delivery.clone();
        let record = gate
            .db()
            .read(move |conn| db::records::at_revision(conn, &wanted.kind, &wanted.record, wanted.revision))?;
        let body = self.event(delivery, record).to_string();
        self.signed(&delivery.callback, &delivery.secret, &delivery.id, &body, gate.now())
    }

    /// Posts what is no notification, signed and guarded as notifications are, and once: whoever asks tries
    /// again. Blocks as one attempt of those does.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden` for an address that is not allowed; `Unavailable` where there is no answer, or
    /// another than 2xx (`hub.refused`).
    pub fn post(&self, url: &str, secret: &str, id: &str, body: &str, now: Timestamp) -> Result<()> {
        match self.signed(url, secret, id, body, now)?.status {
            200..=299 => Ok(()),
            status => Err(Error::unavailable("hub.refused", format!("{url} answered {status}"))),
        }
    }

    fn signed(&self, url: &str, secret: &str, id: &str, body: &str, now: Timestamp) -> Result<Sent> {
        let private = self.0.settings.private_targets;
        let uri = address::read(url, private)?;
        let found = address::resolve(&uri, private)?;
        let timestamp = now.as_second();
        let signed = signature(secret, id, timestamp, body)?;
        let answer = self
            .agent(found)?
            .post(uri)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signed)
            .send(body);
        match answer {
            Ok(answer) => {
                let seconds = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
                Ok(Sent { status: answer.status().as_u16(), retry_after: seconds.map(Duration::from_secs) })
            }
            Err(e) => Err(Error::new(Kind::Unavailable, "hub.no_answer", e.to_string()).because(e)),
        }
    }

    /// A client for one attempt that connects to these addresses and nowhere else.
    pub(super) fn agent(&self, found: Vec<SocketAddr>) -> Result<Agent> {
        self.0.outgoing.agent(found)
    }
}

struct Sent {
    status: u16,
    retry_after: Option<Duration>,
}
