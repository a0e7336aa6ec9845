//! Hosts: how they are let in, what state they are in, how they go.
//!
//! ```text
//!   invite ──(the host's agent: enrol)──► enrolled ──activate──► active ◄──► draining
//!                                             └───────────retire────┴───────────┘──► retired
//! ```
//!
//! - *enrolled*: known, takes no machines yet. *active*: takes machines.
//!   *draining*: keeps what it has, takes nothing new. *retired*: its
//!   certificates are refused from the same moment on; final.
//!
//! **Invariants.** An invitation lets one host in: the same request with the
//! same key again gives the same host (the answer may have been lost), any other
//! is refused; only its digest is stored. A host that still holds machines is
//! retired only when a person answers for their being gone.
//!
//! Not here: signing certificates (`ca`), who is at the door (`door`).

use base::id::{HostId, TenantId};
use base::time::{Timestamp, micros};
use base::{Error, Result, hex, limits};
use db::{Class, Conn, Row, args};
use drivers::wire::{EnrolToken, HostReport};
use gate::{Action, Effect, Granted, Tx};
use ring::rand::SecureRandom as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capacity::{self, Fill};
use crate::placement::Demand;
use crate::{Fact, InvitationId, PoolId, SiteId, intents, inventory, observe, places, tasks};

/// The state of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Known; takes no machines yet.
    Enrolled,
    /// Takes machines.
    Active,
    /// Keeps what it has, takes nothing new.
    Draining,
    /// Gone for good.
    Retired,
}

impl State {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Enrolled => "enrolled",
            State::Active => "active",
            State::Draining => "draining",
            State::Retired => "retired",
        }
    }

    fn may_become(self, next: State) -> bool {
        use State::{Active, Draining, Enrolled, Retired};
        matches!(
            (self, next),
            (Enrolled | Draining, Active) | (Active, Draining) | (Enrolled | Active | Draining, Retired)
        )
    }
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// What its agent says of it.
    pub facts: HostReport,
    /// When the agent said so.
    #[schemars(with = "String")]
    pub reported_at: Timestamp,
    /// When it was last heard of.
    #[schemars(with = "String")]
    pub seen_at: Timestamp,
    /// Whether that is recent. Where not, what runs there is unknown.
    pub reachable: bool,
    /// How far its clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: i64,
    /// When it was let in.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Whose it is.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Its record in the resource inventory.
    #[serde(skip)]
    pub(crate) resource: String,
}

const SELECT: &str = "SELECT h.id, h.pool, h.name, h.state, h.facts, h.reported_at, h.seen_at, h.reachable, h.clock_ahead_ms, h.created_at, h.tenant, h.resource FROM hosts h";

fn read(row: &Row) -> Result<Host> {
    let (state, facts): (String, String) = (row.get(3)?, row.get(4)?);
    Ok(Host {
        id: row.get(0)?,
        pool: row.get(1)?,
        name: row.get(2)?,
        state: [State::Enrolled, State::Active, State::Draining, State::Retired]
            .into_iter()
            .find(|known| known.word() == state)
            .ok_or_else(|| Error::bug("host.damaged", "a host's state is not one"))?,
        facts: serde_json::from_str(&facts)
            .map_err(|e| Error::bug("host.damaged", "a host's facts do not read").because(e))?,
        reported_at: row.get(5)?,
        seen_at: row.get(6)?,
        reachable: row.get(7)?,
        clock_ahead_ms: row.get(8)?,
        created_at: row.get(9)?,
        tenant: row.get(10)?,
        resource: row.get(11)?,
    })
}

pub(crate) fn not_found(id: HostId) -> Error {
    Error::not_found("host.not_found", format!("there is no host {id}"))
}

/// The host of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(conn: &mut Conn<'_>, id: HostId) -> Result<Host> {
    conn.query_opt(&format!("{SELECT} WHERE h.id = $1"), args![id], read)?.ok_or_else(|| not_found(id))
}

/// The hosts of a pool that are not retired.
pub(crate) fn of_pool(conn: &mut Conn<'_>, pool: PoolId) -> Result<Vec<HostId>> {
    conn.query("SELECT id FROM hosts WHERE pool = $1 AND state <> 'retired' ORDER BY id", args![pool], |row| row.get(0))
}

/// The hosts of a site, also those that take no machines.
///
/// # Errors
/// Those of the database.
pub fn at_site(conn: &mut Conn<'_>, site: SiteId) -> Result<Vec<HostId>> {
    let sql = "SELECT h.id FROM hosts h JOIN pools p ON p.id = h.pool WHERE p.site = $1 ORDER BY h.id LIMIT $2";
    conn.query(sql, args![site, limits::HOSTS_PLACED_MAX], |row| row.get(0))
}

/// Most memory, and most disk, that a host may say it has, in MiB.
const FACT_MAX: u64 = 1 << 40;

pub(crate) fn facts_text(facts: &HostReport) -> Result<String> {
    if facts.images.len() > 10_000 || facts.bridges.len() > 1_000 || facts.warnings.len() > 100 {
        return Err(Error::invalid("host.facts", "a host's report names too many things"));
    }
    // No host is that large; what all have together must not run over in the ledger of capacity.
    if facts.memory_mib > FACT_MAX || facts.disk_mib > FACT_MAX {
        return Err(Error::invalid("host.facts", "a host reports more than any host has"));
    }
    serde_json::to_string(facts).map_err(|e| Error::bug("host.facts", "a host's report cannot be written").because(e))
}

/// Brings what may be sold of a host in step with what it has and its pool's
/// factors. Gives whether that was possible at once.
pub(crate) fn supply(tx: &mut Tx<'_>, id: HostId) -> Result<bool> {
    let total = target(tx, id)?;
    capacity::supply(tx, id, total)
}

/// What should be for sale of a host.
pub(crate) fn target(conn: &mut Conn<'_>, id: HostId) -> Result<Demand> {
    let host = load(conn, id)?;
    if host.state == State::Retired {
        return Ok(Demand::default());
    }
    Ok(places::pool(conn, host.pool)?.factors.of(there(&host.facts)))
}

/// What a host has.
pub(crate) fn there(facts: &HostReport) -> Demand {
    let fit = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    Demand { vcpu: i64::from(facts.cpu_cores), memory_mib: fit(facts.memory_mib), disk_mib: fit(facts.disk_mib) }
}

/// The host has spoken.
pub(crate) fn heard(tx: &mut Tx<'_>, id: HostId, its_clock: Timestamp) -> Result<()> {
    let now = tx.now;
    let ahead = (micros(its_clock).saturating_sub(micros(now))) / 1_000;
    let was: Option<(bool, TenantId)> =
        tx.query_opt("SELECT reachable, tenant FROM hosts WHERE id = $1 AND state <> 'retired'", args![id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (reachable, tenant) = was.ok_or_else(|| not_found(id))?;
    tx.touch("host", &id.to_string(), tenant, 0);
    tx.execute(
        "UPDATE hosts SET seen_at = $2, reachable = 1, clock_ahead_ms = $3 WHERE id = $1",
        args![id, now, ahead],
    )?;
    if !reachable {
        inventory::host_changed(tx, id)?;
        inventory::machines_of(tx, id)?;
        tx.fact(Fact::HostReturned { host: id.to_string() }, tenant)?;
    }
    Ok(())
}

/// Notes a sign of life that says nothing else. A host that counts as silent stays so until it reports.
pub(crate) fn note(conn: &mut Conn<'_>, id: HostId, now: Timestamp, its_clock: Option<Timestamp>) -> Result<()> {
    let ahead = its_clock.map(|its| (micros(its).saturating_sub(micros(now))) / 1_000);
    conn.execute(
        "UPDATE hosts SET seen_at = $2, clock_ahead_ms = COALESCE($3, clock_ahead_ms) WHERE id = $1 AND reachable = 1 AND state <> 'retired'",
        args![id, now, ahead],
    )
    .map(drop)
}

/// Nobody has heard of the host for a while.
pub(crate) fn silent(tx: &mut Tx<'_>, id: HostId) -> Result<()> {
    let now = tx.now;
    let before = micros(now) - limits::HOST_SILENCE_SECONDS * 1_000_000;
    let sql = "UPDATE hosts SET reachable = 0 WHERE id = $1 AND reachable = 1 AND seen_at < $2 AND state <> 'retired' RETURNING tenant";
    let Some(tenant) = tx.query_opt::<TenantId>(sql, args![id, before], |row| row.get(0))? else { return Ok(()) };
    inventory::host_changed(tx, id)?;
    inventory::machines_of(tx, id)?;
    tx.fact(Fact::HostSilent { host: id.to_string() }, tenant)
}

// Invitations.

/// A host that is expected.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invite {
    /// The pool that it will be in.
    pub pool: PoolId,
    /// How long the invitation stays open; one hour unless said otherwise.
    #[serde(default)]
    pub hours: Option<u32>,
    /// What people should know.
    #[serde(default)]
    pub note: String,
}

/// An invitation with its secret, shown this once.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// What the agent is given on the new host. Shown this once.
    pub token: String,
    /// Until when it may be used.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Letters and digits for secrets: each carries nearly six bits.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 32 random letters and digits: 190 bits.
fn secret() -> Result<String> {
    let mut out = String::with_capacity(32);
    let mut byte = [0u8; 1];
    let random = ring::rand::SystemRandom::new();
    while out.len() < 32 {
        random
            .fill(&mut byte)
            .map_err(|_| Error::unavailable("random.absent", "the machine gives no random numbers"))?;
        // 248 is the last multiple of 62: every letter is equally likely.
        if byte[0] < 248 {
            out.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Ok(out)
}

/// The form in which secrets and keys are stored and compared.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Invites a host.
pub static INVITE: Action<Invite, Invitation> = Action {
    name: "host.invite",
    summary: "Makes a one-time token with which one host's agent can enrol.",
    effect: Effect::Create,
    run: |tx, input| {
        let pool = places::pool(tx, input.pool)?;
        let tenant = pool.tenant;
        tx.grant("host.invite", "pool", &input.pool.to_string(), tenant, Class::Internal, ())?;
        let hours = input.hours.unwrap_or(1);
        if hours == 0 || hours > limits::INVITATION_HOURS_MAX {
            let message = format!("an invitation stays open from 1 to {} hours", limits::INVITATION_HOURS_MAX);
            return Err(Error::invalid("invitation.hours", message).at("hours"));
        }
        let authority: Option<String> =
            tx.query_opt("SELECT sha256 FROM authorities ORDER BY created_at DESC, sha256 LIMIT 1", args![], |row| {
                row.get(0)
            })?;
        let authority = authority.ok_or_else(|| {
            Error::unavailable(
                "authority.absent",
                "the agents' entrance was never opened; start the server with --agent-listen",
            )
        })?;
        let ca_sha256 = authority.parse().map_err(|e: String| Error::bug("authority.damaged", e))?;
        let token = EnrolToken { secret: secret()?, ca_sha256 };
        let (id, now) = (InvitationId::fresh(tx.ids(), tx.now), tx.now);
        let expires_at = now + std::time::Duration::from_secs(u64::from(hours) * 3_600);
        tx.execute(
            "INSERT INTO host_invitations (id, tenant, pool, secret_sha256, note, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args![id, tenant, input.pool, sha256(token.secret.as_bytes()), input.note, now, expires_at],
        )?;
        Ok(Invitation { id, token: token.to_string(), expires_at })
    },
};

/// An invitation without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitationRow {
    /// Its id.
    pub id: InvitationId,
    /// The pool that the host will be in.
    pub pool: PoolId,
    /// What people should know.
    pub note: String,
    /// Until when it may be used.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// When it was used.
    #[schemars(with = "Option<String>")]
    pub used_at: Option<Timestamp>,
    /// The host that it let in.
    pub host: Option<HostId>,
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListInvitations {}

/// The newest invitations, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InvitationPage {
    /// The invitations, newest first.
    pub items: Vec<InvitationRow>,
}

/// Lists invitations.
pub static LIST_INVITATIONS: Action<ListInvitations, InvitationPage> = Action {
    name: "hostInvitation.list",
    summary: "Lists invitations for hosts, newest first.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            "SELECT id, pool, note, expires_at, used_at, host FROM host_invitations WHERE tenant = $1 ORDER BY id DESC LIMIT $2",
            args![operator, limits::PAGE_MAX],
            |row| {
                Ok(InvitationRow { id: row.get(0)?, pool: row.get(1)?, note: row.get(2)?, expires_at: row.get(3)?, used_at: row.get(4)?, host: row.get(5)? })
            },
        )?;
        Ok(InvitationPage { items })
    },
};

// Enrolment.

/// A host at the door, its request's signature checked by the door.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enrol {
    /// SHA-256 of the token's secret.
    pub secret_sha256: String,
    /// SHA-256 of the key that the host has proved to hold.
    pub key_sha256: String,
    /// What the host is.
    pub host: HostReport,
}

/// What a certificate will say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certified {
    /// The host.
    pub host: HostId,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// From when it is valid.
    #[schemars(with = "String")]
    pub not_before: Timestamp,
    /// Until when.
    #[schemars(with = "String")]
    pub not_after: Timestamp,
}

struct Open {
    id: InvitationId,
    tenant: TenantId,
    pool: PoolId,
    expires_at: Timestamp,
    host: Option<HostId>,
    key: Option<String>,
}

/// Lets a host in, once for each invitation.
pub static ENROL: Action<Enrol, Certified> = Action {
    name: "host.enrol",
    summary: "Lets a host in whose agent holds a one-time token.",
    effect: Effect::Create,
    run: |tx, input| {
        // One answer for every token that does not let in: nothing is learned by trying.
        let refused =
            || Error::forbidden("invitation.refused", "this token is unknown, used or expired; ask for a new one");
        let open = tx.query_opt(
            "SELECT id, tenant, pool, expires_at, host, key_sha256 FROM host_invitations WHERE secret_sha256 = $1",
            args![input.secret_sha256],
            |row| {
                Ok(Open {
                    id: row.get(0)?,
                    tenant: row.get(1)?,
                    pool: row.get(2)?,
                    expires_at: row.get(3)?,
                    host: row.get(4)?,
                    key: row.get(5)?,
                })
            },
        )?;
        let open = open.filter(|open| tx.now < open.expires_at).ok_or_else(refused)?;
        match open.host {
            // The answer may have been lost on its way: the same host with the same key is given it again.
            Some(host)
                if open.key.as_deref() == Some(input.key_sha256.as_str())
                    && load(tx, host)?.state != State::Retired =>
            {
                newest_certificate(tx, host, &input.key_sha256)?.ok_or_else(refused)
            }
            Some(_) => Err(refused()),
            None => let_in(tx, &open, input),
        }
    },
};

fn let_in(tx: &mut Tx<'_>, open: &Open, input: &Enrol) -> Result<Certified> {
    let host = HostId::fresh(tx.ids(), tx.now);
    let (now, facts) = (tx.now, facts_text(&input.host)?);
    places::check_name(&input.host.hostname, "host.hostname")?;
    tx.touch("host", &host.to_string(), open.tenant, 0);
    tx.execute(
        "INSERT INTO hosts (id, tenant, pool, name, state, facts, reported_at, seen_at, reachable, clock_ahead_ms, feed, feed_floor, resource, created_at)
         VALUES ($1, $2, $3, $4, 'enrolled', $5, $6, $6, 1, 0, $6, $6, '', $6)",
        args![host, open.tenant, open.pool, input.host.hostname, facts, now],
    )?;
    db::words::keep(tx, "host", open.tenant, &host.to_string(), &[&input.host.hostname])?;
    tx.execute(
        "UPDATE host_invitations SET used_at = $2, host = $3, key_sha256 = $4 WHERE id = $1 AND host IS NULL",
        args![open.id, now, host, input.key_sha256],
    )?;
    supply(tx, host)?;
    inventory::host_enrolled(tx, host)?;
    tx.fact(Fact::HostEnrolled { host: host.to_string() }, open.tenant)?;
    certify(tx, host, &input.key_sha256)
}

/// Decides what a new certificate says, and remembers it before it is signed.
fn certify(tx: &mut Tx<'_>, host: HostId, key_sha256: &str) -> Result<Certified> {
    const BACKDATED: std::time::Duration = std::time::Duration::from_secs(300);
    let days = u64::try_from(limits::HOST_CERTIFICATE_DAYS).unwrap_or(30);
    let serial = format!("{:032x}", tx.ids().next(tx.now));
    // Whole seconds, as certificates have them; a little in the past for hosts whose clocks are behind.
    let second = Timestamp::from_second(tx.now.as_second()).unwrap_or(tx.now);
    let certified = Certified {
        host,
        serial,
        not_before: second - BACKDATED,
        not_after: second + std::time::Duration::from_secs(days * 86_400),
    };
    tx.execute(
        "INSERT INTO host_certificates (serial, host, key_sha256, not_before, not_after) VALUES ($1, $2, $3, $4, $5)",
        args![certified.serial, host, key_sha256, certified.not_before, certified.not_after],
    )?;
    Ok(certified)
}

fn newest_certificate(tx: &mut Tx<'_>, host: HostId, key_sha256: &str) -> Result<Option<Certified>> {
    tx.query_opt(
        "SELECT host, serial, not_before, not_after FROM host_certificates WHERE host = $1 AND key_sha256 = $2 AND revoked_at IS NULL
         ORDER BY not_after DESC LIMIT 1",
        args![host, key_sha256],
        |row| Ok(Certified { host: row.get(0)?, serial: row.get(1)?, not_before: row.get(2)?, not_after: row.get(3)? }),
    )
}

/// A new key for a host that is known.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renew {
    /// SHA-256 of the new key.
    pub key_sha256: String,
}

/// Gives a host's agent a new certificate. The present one stays good until it
/// runs out, so that a lost answer locks nobody out.
pub static RENEW: Action<Renew, Certified> = Action {
    name: "agent.renew",
    summary: "Gives a host's agent a new certificate before the present one runs out.",
    effect: Effect::Change,
    run: |tx, input| {
        let host = observe::speaker(tx)?;
        let owner = load(tx, host)?.tenant;
        tx.touch("host", &host.to_string(), owner, 0);
        certify(tx, host, &input.key_sha256)
    },
};

// What operators do.

/// Which hosts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListHosts {
    /// Only of this pool.
    pub pool: Option<PoolId>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only those whose names have words that begin so; at most a handful, the closest first.
    pub search: Option<String>,
    /// Continue after this host.
    pub after: Option<HostId>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of hosts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPage {
    /// The hosts.
    pub items: Vec<Host>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<HostId>,
}

/// Lists hosts.
pub static LIST: Action<ListHosts, HostPage> = Action {
    name: "host.list",
    summary: "Lists hosts.",
    effect: Effect::Read,
    run: |tx, input| {
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let operator = tx.cx().tenant();
        if let Some(text) = &input.search {
            let ids = db::words::find(tx, "host", Some(&[operator]), text, limits::SEARCH_MAX)?;
            let items = ids.iter().map(|id| load(tx, id.parse()?)).collect::<Result<_>>()?;
            return Ok(HostPage { items, next: None });
        }
        let after = input.after.map(|id| id.to_string()).unwrap_or_default();
        let mut items = tx.query(
            &format!("{SELECT} WHERE h.tenant = $1 AND h.pool = COALESCE($2, h.pool) AND h.state = COALESCE($3, h.state) AND h.id > $4 ORDER BY h.id LIMIT $5"),
            args![operator, input.pool, input.state.map(State::word), after, i64::from(limit) + 1],
            read,
        )?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(HostPage { items, next })
    },
};

/// Which host.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostRef {
    /// The host.
    pub id: HostId,
}

/// A host with how full it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostDetail {
    /// The host.
    #[serde(flatten)]
    pub host: Host,
    /// How full it is.
    pub fill: Fill,
    /// Its machines.
    pub machines: usize,
    /// When its newest certificate runs out.
    #[schemars(with = "Option<String>")]
    pub certificate_expires_at: Option<Timestamp>,
    /// What a person should look at.
    pub attention: Vec<Attention>,
}

/// Something about a host that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attention {
    /// Which rule says so; stable, for programs and translations.
    pub code: &'static str,
    /// The particulars, in a sentence.
    pub message: String,
}

impl Attention {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Attention { code, message: message.into() }
    }
}

fn granted(tx: &mut Tx<'_>, action: &str, id: HostId) -> Result<Granted<Host>> {
    let host = load(tx, id)?;
    let tenant = host.tenant;
    tx.grant(action, "host", &id.to_string(), tenant, Class::Internal, host)
}

/// Shows a host.
pub static GET: Action<HostRef, HostDetail> = Action {
    name: "host.get",
    summary: "Shows a host: what it is, how full it is, what needs attention.",
    effect: Effect::Read,
    run: |tx, input| {
        let host = granted(tx, "host.get", input.id)?.into_inner();
        detail(tx, host)
    },
};

fn detail(tx: &mut Tx<'_>, host: Host) -> Result<HostDetail> {
    let (fill, target) = (capacity::fill(tx, host.id)?, target(tx, host.id)?);
    let machines = capacity::on_host(tx, host.id)?.len();
    let certificate_expires_at: Option<Timestamp> = tx.query_one(
        "SELECT MAX(not_after) FROM host_certificates WHERE host = $1 AND revoked_at IS NULL",
        args![host.id],
        |row| row.get(0),
    )?;
    let mut attention: Vec<Attention> =
        host.facts.warnings.iter().map(|warning| Attention::new("host.warning", warning)).collect();
    if !host.reachable && host.state != State::Retired {
        let message = format!("It was last heard of at {}; what runs there is unknown.", host.seen_at);
        attention.push(Attention::new("host.silent", message));
    }
    if host.clock_ahead_ms.abs() > limits::HOST_CLOCK_DIFFERENCE_MS_MAX {
        let message = format!("Its clock differs from the server's by {} ms.", host.clock_ahead_ms);
        attention.push(Attention::new("host.clock", message));
    }
    if fill.total != target {
        let message = "More of it is reserved than may be sold now; that settles as machines go.";
        attention.push(Attention::new("host.oversold", message));
    }
    let soon = tx.now + std::time::Duration::from_secs(5 * 86_400);
    if host.state != State::Retired && certificate_expires_at.is_none_or(|at| at < soon) {
        let message = "Its certificate runs out within five days and was not renewed; look at its agent.";
        attention.push(Attention::new("host.certificate", message));
    }
    let orphans: i64 =
        tx.query_one("SELECT COUNT(*) FROM orphans WHERE host = $1", args![host.id], |row| row.get(0))?;
    if orphans > 0 {
        attention.push(Attention::new("host.orphans", format!("It has {orphans} machines that no intent explains.")));
    }
    Ok(HostDetail { host, fill, machines, certificate_expires_at, attention })
}

fn shift(tx: &mut Tx<'_>, action: &str, id: HostId, next: State) -> Result<Host> {
    let host = granted(tx, action, id)?;
    if host.state == next {
        return Ok(host.into_inner());
    }
    if !host.state.may_become(next) {
        let message = format!("a host that is {} cannot become {}", host.state.word(), next.word());
        return Err(Error::conflict("host.illegal_move", message));
    }
    tx.execute("UPDATE hosts SET state = $2 WHERE id = $1", args![id, next.word()])?;
    inventory::host_changed(tx, id)?;
    tx.fact(Fact::HostChanged { host: id.to_string() }, host.tenant)?;
    load(tx, id)
}

/// Lets machines be placed on a host.
pub static ACTIVATE: Action<HostRef, Host> = Action {
    name: "host.activate",
    summary: "Lets machines be placed on a host.",
    effect: Effect::Change,
    run: |tx, input| shift(tx, "host.activate", input.id, State::Active),
};

/// Lets no more machines be placed on a host.
pub static DRAIN: Action<HostRef, Host> = Action {
    name: "host.drain",
    summary: "Lets no more machines be placed on a host; those that are there stay.",
    effect: Effect::Change,
    run: |tx, input| shift(tx, "host.drain", input.id, State::Draining),
};

/// Which host, and whether somebody answers for its machines being gone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetireHost {
    /// The host.
    pub id: HostId,
    /// Its machines are gone and will not come back: the host burnt, its disks
    /// were destroyed. What they held is freed on your word.
    #[serde(default)]
    pub machines_are_gone: bool,
}

/// Retires a host.
pub static RETIRE: Action<RetireHost, Host> = Action {
    name: "host.retire",
    summary: "Takes a host out for good; its certificates are refused from then on.",
    effect: Effect::Change,
    run: |tx, input| {
        let left = capacity::on_host(tx, input.id)?;
        let host = granted(tx, "host.retire", input.id)?;
        if host.state == State::Retired {
            return Ok(host.into_inner());
        }
        if !left.is_empty() && !input.machines_are_gone {
            let message = format!(
                "{} machines are still on the host; remove them, or answer for their being gone with machinesAreGone",
                left.len()
            );
            return Err(Error::conflict("host.not_empty", message));
        }
        for intent in intents::on_host(tx, input.id)? {
            if intent.desired.is_some() {
                intents::change(tx, intent.id.as_str(), input.id, None)?;
            }
            capacity::gone(tx, intent.id.as_str(), &intent.service, intent.tenant)?;
        }
        for reservation in left {
            capacity::let_go(tx, &reservation.machine)?;
        }
        let now = tx.now;
        tx.execute(
            "UPDATE host_certificates SET revoked_at = $2 WHERE host = $1 AND revoked_at IS NULL",
            args![input.id, now],
        )?;
        tx.execute("DELETE FROM orphans WHERE host = $1", args![input.id])?;
        tasks::host_gone(tx, input.id)?;
        let retired = shift(tx, "host.retire", input.id, State::Retired)?;
        supply(tx, input.id)?;
        Ok(retired)
    },
};
