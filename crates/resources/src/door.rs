//! The agents' entrance: who is there, and what they may say.
//!
//! Without HTTP, so that a test and a benchmark can walk through it in process;
//! [`crate::http`] puts it behind TLS.
//!
//! **Invariants.**
//! - Only enrolment is open to whoever holds a token. Everything else wants a
//!   client certificate, and each request looks whether it is still good: known
//!   by its serial number, not revoked, not run out, its host not retired.
//! - Every change goes through the gate; only "I am still here" does not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::id::{HostId, TenantId};
use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use db::args;
use db::records::Scope;
use drivers::wire::{
    ConsoleTail, EnrolAnswer, EnrolRequest, Intents, PROTOCOL, RenewAnswer, RenewRequest, Report, ReportAnswer, Sha256,
    TaskId,
};
use gate::{Actor, Cx, Gate};

use crate::ca::{self, Ca};
use crate::handed::{Coming, Handed};
use crate::hosts::{self, Certified};
use crate::observe::Poll;
use crate::{console, images, observe, tasks, wake};

/// How often "still here" is written down.
const NOTED_EVERY_SECONDS: i64 = 10;
/// How often a waiting poll looks for news of other servers.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a console request that was handed out is left alone.
const OFFERED_FOR: Duration = Duration::from_secs(10);
/// Refused enrolments a minute, from everybody together: trying is pointless, and each is written down.
const REFUSALS_A_MINUTE: u32 = 60;

/// An agent that was let in.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its host.
    pub host: HostId,
    /// What it acts as.
    pub cx: Cx,
    pub(crate) seen_at: Timestamp,
    pub(crate) reachable: bool,
}

/// The entrance.
pub struct Door {
    gate: Gate,
    ca: Arc<Ca>,
    images: PathBuf,
    offered: Mutex<HashMap<String, Instant>>,
    refusals: Mutex<(i64, u32)>,
    closing: tokio::sync::watch::Sender<bool>,
}

impl Door {
    /// Opens the entrance: makes the authority known, so that hosts can be invited.
    ///
    /// # Errors
    /// `Conflict` (`authority.differs`) where another authority signs for this
    /// installation: its key must be brought here first.
    pub fn open(gate: Gate, ca: Arc<Ca>, images: PathBuf) -> Result<Arc<Self>> {
        let (sha256, pem, now) = (ca.fingerprint(), ca.certificate_pem().to_owned(), gate.now());
        gate.db().write(move |conn| {
            // Cursors from before are not trusted: see `observe::POLL`.
            conn.execute(
                "UPDATE hosts SET feed = CASE WHEN feed >= $1 THEN feed + 1 ELSE $1 END, feed_floor = CASE WHEN feed >= $1 THEN feed + 1 ELSE $1 END",
                args![now],
            )?;
            let known: Option<String> = conn.query_opt("SELECT sha256 FROM authorities LIMIT 1", args![], |row| row.get(0))?;
            match known {
                Some(known) if known == sha256 => Ok(()),
                Some(known) => Err(Error::conflict(
                    "authority.differs",
                    format!("the hosts of this installation trust another authority ({known}); restore its key and certificate, or agents cannot come in"),
                )),
                None => conn
                    .execute("INSERT INTO authorities (sha256, certificate_pem, created_at) VALUES ($1, $2, $3)", args![sha256, pem, now])
                    .map(drop),
            }
        })?;
        Ok(Arc::new(Door {
            gate,
            ca,
            images,
            offered: Mutex::default(),
            refusals: Mutex::default(),
            closing: tokio::sync::watch::Sender::new(false),
        }))
    }

    /// The authority behind the entrance.
    pub fn ca(&self) -> &Arc<Ca> {
        &self.ca
    }

    /// The gate behind the entrance.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sends waiting polls home; they answer at once from now on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Looks at a client certificate that TLS has verified.
    ///
    /// # Errors
    /// `Unauthenticated` (`agent.certificate`) where it is not, or no longer, good.
    pub async fn admit(&self, certificate: &[u8]) -> Result<Guest> {
        let (host, serial) = ca::holder(certificate)?;
        let now = self.gate.now();
        let found: Option<(TenantId, Timestamp, bool)> = self
            .gate
            .db()
            .read_async(move |conn| {
                conn.query_opt(
                    "SELECT h.tenant, h.seen_at, h.reachable FROM host_certificates c JOIN hosts h ON h.id = c.host
                     WHERE c.serial = $1 AND c.host = $2 AND c.revoked_at IS NULL AND c.not_after > $3 AND h.state <> 'retired'",
                    args![serial, host, now],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
            })
            .await?;
        let refused = || {
            Error::unauthenticated(
                "agent.certificate",
                "this certificate is not good any more; the host was retired, or must be enrolled anew",
            )
        };
        let (tenant, seen_at, reachable) = found.ok_or_else(refused)?;
        let cx = Cx::new(
            Actor::Agent(host),
            tenant,
            Scope::Tenants { own: vec![], above: vec![] },
            std::collections::BTreeSet::new(),
        );
        Ok(Guest { host, cx, seen_at, reachable })
    }

    /// Lets a host in.
    ///
    /// # Errors
    /// `Forbidden` (`invitation.refused`) for tokens that do not let in,
    /// `Invalid` for requests that do not prove their key, `Throttled`.
    pub async fn enrol(&self, request: EnrolRequest, caller: impl FnOnce(Cx) -> Cx) -> Result<EnrolAnswer> {
        speaks(request.protocol)?;
        self.patience()?;
        let csr = Ca::read_request(&request.csr_pem)?;
        let gate = self.gate.clone();
        let operator = blocking(move || gate.operator()).await?;
        let input = hosts::Enrol {
            secret_sha256: hosts::sha256(request.secret.as_bytes()),
            key_sha256: csr.key_sha256.clone(),
            host: request.host,
        };
        let certified = match self.gate.call(&caller(Cx::nobody(operator)), &hosts::ENROL, input).await {
            Err(e) if e.code() == "invitation.refused" => {
                self.refused();
                return Err(e);
            }
            other => other?,
        };
        Ok(EnrolAnswer {
            host_id: certified.host.to_string(),
            certificate_pem: self.ca.sign_host(&csr, &certified)?,
            ca_pem: self.ca.certificate_pem().to_owned(),
            expires_at: certified.not_after,
        })
    }

    fn minute(&self) -> i64 {
        self.gate.now().as_second() / 60
    }

    fn patience(&self) -> Result<()> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if *refusals >= (self.minute(), REFUSALS_A_MINUTE) {
            return Err(Error::throttled("enrolment.too_many", "too many wrong tokens; try again in a minute")
                .retry_after(Duration::from_secs(60)));
        }
        Ok(())
    }

    fn refused(&self) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = self.minute();
        *refusals = if refusals.0 == minute { (minute, refusals.1.saturating_add(1)) } else { (minute, 1) };
    }

    /// Gives an agent a new certificate.
    ///
    /// # Errors
    /// `Invalid` for requests that do not prove their key.
    pub async fn renew(&self, guest: &Guest, request: RenewRequest) -> Result<RenewAnswer> {
        let csr = Ca::read_request(&request.csr_pem)?;
        let input = hosts::Renew { key_sha256: csr.key_sha256.clone() };
        let certified: Certified = self.gate.call(&guest.cx, &hosts::RENEW, input).await?;
        Ok(RenewAnswer {
            certificate_pem: self.ca.sign_host(&csr, &certified)?,
            ca_pem: self.ca.certificate_pem().to_owned(),
            expires_at: certified.not_after,
        })
    }

    /// What is wanted on the agent's host; waits up to `wait` for something new.
    ///
    /// # Errors
    /// The gate's.
    pub async fn intents(&self, guest: &Guest, after: u64, wait: Duration) -> Result<Intents> {
        self.still_here(guest, None).await?;
        let deadline = tokio::time::Instant::now() + wait.min(Duration::from_secs(limits::POLL_SECONDS_MAX));
        let signal = wake::signal(guest.host);
        let mut closing = self.closing.subscribe();
        loop {
            // Listening begins before looking, so that nothing falls between the two.
            let waking = signal.notified();
            tokio::pin!(waking);
            waking.as_mut().enable();
            let answer = self.gate.call(&guest.cx, &observe::POLL, Poll { after }).await?;
            let news = answer.full || answer.cursor != after || self.unoffered(&answer);
            if news || tokio::time::Instant::now() >= deadline || *closing.borrow_and_update() {
                self.offer(&answer);
                return Ok(answer);
            }
            let look = deadline.min(tokio::time::Instant::now() + LOOK_EVERY);
            tokio::select! {
                () = &mut waking => {}
                () = tokio::time::sleep_until(look) => {}
                _ = closing.changed() => {}
            }
        }
    }

    /// Whether a console is asked for that was not handed out a moment ago.
    fn unoffered(&self, answer: &Intents) -> bool {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        answer
            .console_requests
            .iter()
            .any(|asked| offered.get(&asked.request).is_none_or(|at| at.elapsed() > OFFERED_FOR))
    }

    fn offer(&self, answer: &Intents) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.retain(|_, at| at.elapsed() <= OFFERED_FOR);
        for asked in &answer.console_requests {
            offered.entry(asked.request.clone()).or_insert_with(Instant::now);
        }
    }

    /// Stores what an agent saw.
    ///
    /// # Errors
    /// `Invalid` for reports that are too large or speak another protocol.
    pub async fn observe(&self, guest: &Guest, report: Report) -> Result<ReportAnswer> {
        speaks(report.protocol)?;
        let nothing = report.host.is_none() && report.observations.is_empty() && report.orphans.is_none();
        if nothing && report.tasks.is_empty() && guest.reachable {
            self.still_here(guest, Some(report.sent_at)).await?;
            return Ok(ReportAnswer::default());
        }
        self.gate.call(&guest.cx, &observe::OBSERVE, report).await
    }

    /// Notes a sign of life. A host that was silent is welcomed back by its next report.
    async fn still_here(&self, guest: &Guest, its_clock: Option<Timestamp>) -> Result<()> {
        let (host, now) = (guest.host, self.gate.now());
        if micros(now) - micros(guest.seen_at) < NOTED_EVERY_SECONDS * 1_000_000 {
            return Ok(());
        }
        self.gate.db().write_async(move |conn| hosts::note(conn, host, now, its_clock)).await
    }

    /// Stores the end of a console.
    ///
    /// # Errors
    /// `NotFound` for machines of other hosts.
    pub async fn console(&self, guest: &Guest, tail: ConsoleTail) -> Result<()> {
        self.gate.call(&guest.cx, &console::ANSWER, tail).await
    }

    /// What opens the repositories of a task.
    ///
    /// # Errors
    /// `NotFound` for tasks that have ended or are another host's; `Unavailable` where no keys are kept.
    pub async fn access(&self, guest: &Guest, id: TaskId) -> Result<serde_json::Value> {
        self.gate.call(&guest.cx, &tasks::ACCESS, tasks::TaskRef { id }).await
    }

    /// What a disk is recovered from.
    ///
    /// # Errors
    /// `NotFound` where no such disk is wanted on this host; `Unavailable` where no keys are kept.
    pub async fn recover(&self, guest: &Guest, ask: tasks::Recovery) -> Result<serde_json::Value> {
        self.gate.call(&guest.cx, &tasks::RECOVER, ask).await
    }

    /// Lets the file of a task come.
    ///
    /// # Errors
    /// `NotFound` for tasks that have ended, fetch no file, or are another host's; as [`Handed::begin`].
    pub async fn hand_over(&self, guest: &Guest, id: TaskId, length: u64) -> Result<Coming> {
        let most = self.gate.call(&guest.cx, &tasks::HAND_OVER, tasks::TaskRef { id: id.clone() }).await?.bytes_max;
        let none = || Error::unavailable("download.not_stored", "this server keeps no files of hosts");
        self.gate.installed::<Handed>().ok_or_else(none)?.begin(&id, length, most)
    }

    /// Where an image's bytes are, and how many there are.
    ///
    /// # Errors
    /// `NotFound` where the image is not known; `Unavailable` (`image.file_absent`)
    /// where its file is not in the image folder.
    pub async fn image(&self, guest: &Guest, sha256: Sha256) -> Result<(tokio::fs::File, u64)> {
        let path = self.images.join(sha256.as_str());
        let bytes = self.gate.call(&guest.cx, &images::FETCH, images::FetchImage { sha256: sha256.clone() }).await?;
        let absent = |e: std::io::Error| {
            Error::unavailable(
                "image.file_absent",
                format!("the file of image {sha256} cannot be read from the server's image folder"),
            )
            .because(e)
        };
        let file = tokio::fs::File::open(&path).await.map_err(absent)?;
        let size = file.metadata().await.map_err(absent)?.len();
        if size != bytes {
            return Err(Error::unavailable(
                "image.file_damaged",
                format!("the file of image {sha256} has {size} bytes and should have {bytes}"),
            ));
        }
        Ok((file, bytes))
    }
}

fn speaks(protocol: u32) -> Result<()> {
    if protocol == PROTOCOL {
        return Ok(());
    }
    let message = format!(
        "this server speaks version {PROTOCOL} of the agents' protocol, the agent version {protocol}; upgrade the older of the two"
    );
    Err(Error::invalid("agent.protocol_unsupported", message).at("protocol"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::bug("task.panic", "a task stopped on a broken invariant").because(e)))
}
