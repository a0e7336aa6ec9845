//! Intents: what should be on a host, and what its agent saw there last.
//!
//! ```text
//!   put ──► wanted ──put──► wanted (next generation)
//!              └──absent──► going ──seen to be absent──► freed
//! ```
//!
//! **Invariants.**
//! - A generation only grows; an id is never used for a second machine.
//! - Nothing is wanted on a host that it does not hold a reservation for, nor
//!   more than that reservation ([`put`]).
//! - A service is served by the machines whose standing says so: of these alone its state, its power
//!   and its backups follow. One that was made *beside* it, and one that was *replaced*, are not it
//!   ([`take_over`]).
//! - Freed means: the agent said that nothing is there, at the generation that
//!   wanted nothing ([`crate::observe`]), or a person answered for it
//!   ([`crate::hosts::RETIRE`]).
//!
//! **How a flow uses it.** Write with [`put`] or [`absent`], then wait for the
//! key [`key`]; on each waking [`get`] and look: [`Intent::is_running`],
//! [`Intent::answers`], [`Intent::is_gone`], [`Intent::failure`].

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use drivers::wire::{CloudInit, IntentId, Life, MachineSpec, MachineState, Observation, Power, Problem};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::placement::Demand;
use crate::{SiteId, capacity, inventory, wake};

/// What a machine is to its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// The service is served by it.
    Serving,
    /// It was made from the service's data, and is not the service: a restore or a drill on its way.
    Beside,
    /// Another machine serves in its place.
    Replaced,
}

impl Standing {
    const ALL: [Standing; 3] = [Standing::Serving, Standing::Beside, Standing::Replaced];

    fn word(self) -> &'static str {
        match self {
            Standing::Serving => "serving",
            Standing::Beside => "beside",
            Standing::Replaced => "replaced",
        }
    }
}

/// What is wanted of one machine and what was seen of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// The host that it is for.
    pub host: HostId,
    /// Whether that host was heard of lately. Where not, what was seen may have changed.
    pub reachable: bool,
    /// Grows with every change of what is wanted.
    pub generation: u64,
    /// What should be there; absent: nothing.
    pub desired: Option<MachineSpec>,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service that it is part of.
    pub service: String,
    /// What it is to that service.
    pub standing: Standing,
    /// What the agent saw last.
    pub observed: Option<Observation>,
    /// When that arrived.
    #[schemars(with = "Option<String>")]
    pub observed_at: Option<Timestamp>,
    /// Since when it is certain that nothing is there any more.
    #[schemars(with = "Option<String>")]
    pub freed_at: Option<Timestamp>,
    /// When it was first wanted.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// The record in the resource inventory.
    #[serde(skip)]
    pub(crate) resource: String,
}

impl Intent {
    /// What was seen of the present generation; `None` while the agent has not taken it up.
    pub fn current(&self) -> Option<&Observation> {
        self.observed.as_ref().filter(|seen| seen.generation >= self.generation)
    }

    /// What is there, as far as is known now. An unreachable host is [`MachineState::Unknown`].
    pub fn state(&self) -> MachineState {
        match &self.observed {
            _ if self.freed_at.is_some() => MachineState::Absent,
            Some(_) if !self.reachable => MachineState::Unknown,
            Some(seen) => seen.state,
            None => MachineState::Unknown,
        }
    }

    /// Whether it is as wanted, seen at the present generation.
    pub fn is_converged(&self) -> bool {
        self.freed_at.is_some() || self.current().is_some_and(|seen| seen.converged)
    }

    /// Whether it was seen to run as wanted.
    pub fn is_running(&self) -> bool {
        self.desired.is_some()
            && self.current().is_some_and(|seen| seen.converged && seen.state == MachineState::Running)
    }

    /// Whether it answers its check in its present life; a machine without one answers when it runs.
    pub fn answers(&self) -> bool {
        let checked = self.desired.as_ref().is_some_and(|desired| desired.check.is_some());
        self.is_running()
            && (!checked || self.current().and_then(|seen| seen.check.as_ref()).is_some_and(|check| check.ok))
    }

    /// Whether nothing is there any more, and what it held is free.
    pub fn is_gone(&self) -> bool {
        self.freed_at.is_some()
    }

    /// Whether it was shut down from inside, and is left so until somebody wants it to run anew.
    fn has_stopped_itself(&self) -> bool {
        self.failure().is_some_and(|problem| problem.code == drivers::wire::SHUT_DOWN_INSIDE)
    }

    /// Why it will not become as wanted without another generation.
    pub fn failure(&self) -> Option<&Problem> {
        self.current()
            .filter(|seen| !seen.converged)
            .and_then(|seen| seen.problem.as_ref())
            .filter(|problem| !problem.retrying)
    }
}

/// The code of a machine that is not made again unasked: see [`crate::observe`].
pub const WITHHELD: &str = "machine.withheld";

/// The key that a flow waits on, woken by `MachineObserved` and `MachineFreed`.
pub fn key(id: &IntentId) -> String {
    format!("intent:{id}")
}

const SELECT: &str = "SELECT i.id, i.host, h.reachable, i.generation, i.desired, i.tenant, i.service, i.observed, i.observed_at, i.freed_at,
     i.created_at, i.resource, i.standing FROM intents i JOIN hosts h ON h.id = i.host";

fn read(row: &Row) -> Result<Intent> {
    let damaged = |what: &'static str| {
        move |e: serde_json::Error| Error::bug("intent.damaged", format!("a stored {what} does not read")).because(e)
    };
    let (id, desired, observed): (String, Option<String>, Option<String>) = (row.get(0)?, row.get(4)?, row.get(7)?);
    let standing: String = row.get(12)?;
    Ok(Intent {
        id: id.parse().map_err(|e: String| Error::bug("intent.damaged", e))?,
        host: row.get(1)?,
        reachable: row.get(2)?,
        generation: row.get(3)?,
        desired: desired.map(|text| serde_json::from_str(&text)).transpose().map_err(damaged("specification"))?,
        tenant: row.get(5)?,
        service: row.get(6)?,
        standing: Standing::ALL
            .into_iter()
            .find(|known| known.word() == standing)
            .ok_or_else(|| Error::bug("intent.damaged", "a machine's standing is not one"))?,
        observed: observed.map(|text| serde_json::from_str(&text)).transpose().map_err(damaged("observation"))?,
        observed_at: row.get(8)?,
        freed_at: row.get(9)?,
        created_at: row.get(10)?,
        resource: row.get(11)?,
    })
}

/// The intent of that id.
///
/// # Errors
/// Those of the database.
pub fn get(conn: &mut Conn<'_>, id: &IntentId) -> Result<Option<Intent>> {
    conn.query_opt(&format!("{SELECT} WHERE i.id = $1"), args![id.as_str()], read)
}

/// The id of a machine's record in the resource inventory (TMF639).
///
/// # Errors
/// `Bug` where there is no such intent; those of the database.
pub fn resource_of(conn: &mut Conn<'_>, id: &IntentId) -> Result<String> {
    let found = conn.query_opt("SELECT resource FROM intents WHERE id = $1", args![id.as_str()], |row| row.get(0))?;
    found.ok_or_else(|| Error::bug("intent.lost", format!("machine {id} is not wanted any more")))
}

/// The ids of all intents of a service, whatever they are to it, oldest first.
///
/// # Errors
/// Those of the database.
pub fn ids_of_service(conn: &mut Conn<'_>, service: &str) -> Result<Vec<String>> {
    conn.query("SELECT id FROM intents WHERE service = $1 ORDER BY id", args![service], |row| row.get(0))
}

/// The ids of the machines of a service that are still wanted, whether they serve it or stand beside it.
///
/// # Errors
/// Those of the database.
pub fn wanted_of_service(conn: &mut Conn<'_>, service: &str) -> Result<Vec<String>> {
    let sql = "SELECT id FROM intents WHERE service = $1 AND desired IS NOT NULL ORDER BY id";
    conn.query(sql, args![service], |row| row.get(0))
}

/// The intents of the machines that serve a service, oldest id first.
///
/// # Errors
/// Those of the database.
pub fn of_service(conn: &mut Conn<'_>, service: &str) -> Result<Vec<Intent>> {
    let sql = format!("{SELECT} WHERE i.service = $1 AND i.standing = 'serving' ORDER BY i.id LIMIT $2");
    conn.query(&sql, args![service, limits::PAGE_MAX], read)
}

/// The services of a tenant that are served by a machine at a site, by id; at most `most`. Goes by the
/// site's hosts, and looks at no machine elsewhere.
///
/// # Errors
/// Those of the database.
pub fn services_at_site(conn: &mut Conn<'_>, site: SiteId, tenant: TenantId, most: usize) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT i.service FROM pools p JOIN hosts h ON h.pool = p.id JOIN intents i ON i.host = h.id
         WHERE p.site = $1 AND i.tenant = $2 AND i.standing = 'serving' AND i.desired IS NOT NULL
         ORDER BY i.service LIMIT $3";
    conn.query(sql, args![site, tenant, i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))
}

/// Whether a service of a tenant is served by a machine at a site.
///
/// # Errors
/// Those of the database.
pub fn stands_at_site(conn: &mut Conn<'_>, site: SiteId, tenant: TenantId, service: &str) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM intents i JOIN hosts h ON h.id = i.host JOIN pools p ON p.id = h.pool
         WHERE i.service = $1 AND p.site = $2 AND i.tenant = $3 AND i.standing = 'serving' AND i.desired IS NOT NULL";
    conn.query_one(sql, args![service, site, tenant], |row| Ok(row.get::<i64>(0)? > 0))
}

/// A service is served by other machines from now on: those that were are replaced and wanted away,
/// those that stood beside it serve. Doing it again changes nothing.
///
/// # Errors
/// `Conflict` (`intent.not_beside`) where a new machine is not there, not beside this service, or
/// wanted away.
pub fn take_over(tx: &mut Tx<'_>, service: &str, by: &[IntentId]) -> Result<()> {
    for id in by {
        let fit = |found: &Intent| {
            found.service == service && found.standing != Standing::Replaced && found.desired.is_some()
        };
        if !get(tx, id)?.as_ref().is_some_and(fit) {
            let message = format!("machine {id} does not stand beside service {service}");
            return Err(Error::conflict("intent.not_beside", message));
        }
    }
    for old in of_service(tx, service)?.into_iter().filter(|old| !by.contains(&old.id)) {
        stand(tx, &old.id, Standing::Replaced)?;
        absent(tx, &old.id)?;
    }
    by.iter().try_for_each(|id| stand(tx, id, Standing::Serving))
}

fn stand(tx: &mut Tx<'_>, id: &IntentId, standing: Standing) -> Result<()> {
    tx.execute("UPDATE intents SET standing = $2 WHERE id = $1", args![id.as_str(), standing.word()]).map(drop)
}

/// The intents on a host that are not freed.
///
/// # Errors
/// Those of the database.
pub fn on_host(conn: &mut Conn<'_>, host: HostId) -> Result<Vec<Intent>> {
    let sql = format!("{SELECT} WHERE i.host = $1 AND i.freed_at IS NULL ORDER BY i.id LIMIT $2");
    conn.query(&sql, args![host, limits::INTENTS_PAGE_MAX], read)
}

/// Intents that want nothing and were seen to be so, or not yet, after the id `after`.
pub(crate) fn going(conn: &mut Conn<'_>, after: &str) -> Result<Vec<Intent>> {
    let sql = format!("{SELECT} WHERE i.desired IS NULL AND i.freed_at IS NULL AND i.id > $1 ORDER BY i.id LIMIT $2");
    conn.query(&sql, args![after, limits::PAGE_MAX], read)
}

/// What is wanted of a machine.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    /// The machine; the same id as its reservation.
    pub id: &'a IntentId,
    /// The host that the reservation is on.
    pub host: HostId,
    /// What should be there.
    pub spec: &'a MachineSpec,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service that it is part of.
    pub service: &'a str,
    /// What it is to that service when it is first wanted.
    pub standing: Standing,
}

/// Wants a machine to be as specified. Wanting the same again changes nothing;
/// wanting something else is the next generation.
///
/// # Errors
/// `Conflict` where the machine was wanted away (`intent.absent`), is on another
/// host (`intent.elsewhere`), is withheld (`machine.withheld`), or holds no
/// reservation that covers it (`intent.not_reserved`); `Invalid` for specifications that no agent takes.
pub fn put(tx: &mut Tx<'_>, want: &Want<'_>) -> Result<()> {
    want.spec.check()?;
    covered(tx, want)?;
    let text = serde_json::to_string(want.spec)
        .map_err(|e| Error::bug("intent.specification", "a specification cannot be written").because(e))?;
    match get(tx, want.id)? {
        None => {
            let resource = inventory::machine_wanted(tx, want)?;
            let (feed, now) = (next_feed(tx, want.host)?, tx.now);
            tx.execute(
                "INSERT INTO intents (id, host, kind, generation, desired, tenant, service, feed, observed_generation, observed_revision, resource, created_at, changed_at, standing)
                 VALUES ($1, $2, 'machine', 1, $3, $4, $5, $6, 0, 0, $7, $8, $8, $9)",
                args![want.id.as_str(), want.host, text, want.tenant, want.service, feed, resource, now, want.standing.word()],
            )?;
        }
        Some(found) if found.host != want.host => {
            return Err(Error::conflict("intent.elsewhere", format!("machine {} is on host {}", want.id, found.host)));
        }
        Some(found) if found.desired.is_none() => {
            return Err(Error::conflict(
                "intent.absent",
                format!("machine {} was taken away; another needs another id", want.id),
            ));
        }
        Some(found) if found.failure().is_some_and(|problem| problem.code == WITHHELD) => {
            let message =
                format!("machine {} was removed by its host; restore it from a backup, or end its service", want.id);
            return Err(Error::conflict(WITHHELD, message));
        }
        Some(found) if found.desired.as_ref() == Some(want.spec) => {}
        Some(_) => change(tx, want.id.as_str(), want.host, Some(&text))?,
    }
    Ok(())
}

/// A machine may take what it has reserved, on the host where it has.
fn covered(tx: &mut Tx<'_>, want: &Want<'_>) -> Result<()> {
    let held = capacity::of(tx, want.id.as_str())?
        .filter(|held| held.state != capacity::State::Released && held.host == want.host);
    let needed = Demand::of_machine(want.spec).amounts();
    match held {
        Some(held) if held.demand.amounts().iter().zip(needed).all(|(held, needed)| *held >= needed) => Ok(()),
        _ => Err(Error::conflict(
            "intent.not_reserved",
            format!("machine {} has not reserved that much on host {}", want.id, want.host),
        )),
    }
}

/// Wants nothing to be there. Gives the intent, or `None` where none was ever
/// written: then there is nothing to wait for. Idempotent.
///
/// # Errors
/// Those of the database.
pub fn absent(tx: &mut Tx<'_>, id: &IntentId) -> Result<Option<Intent>> {
    let Some(found) = get(tx, id)? else { return Ok(None) };
    if found.desired.is_some() {
        change(tx, id.as_str(), found.host, None)?;
    }
    get(tx, id)
}

/// Changes what is wanted of a machine that is wanted already.
///
/// # Errors
/// `NotFound`, those of `edit`, and as [`put`].
pub fn edit(tx: &mut Tx<'_>, id: &IntentId, edit: impl FnOnce(&mut MachineSpec) -> Result<()>) -> Result<()> {
    let found = get(tx, id)?.ok_or_else(|| not_found(id))?;
    let Some(mut spec) = found.desired else {
        return Err(Error::conflict("intent.absent", format!("machine {id} is being taken away")));
    };
    edit(&mut spec)?;
    let (service, standing) = (&found.service, found.standing);
    put(tx, &Want { id, host: found.host, spec: &spec, tenant: found.tenant, service, standing })
}

/// Wants a machine to run or to be stopped.
///
/// # Errors
/// As [`edit`].
pub fn power(tx: &mut Tx<'_>, id: &IntentId, power: Power) -> Result<()> {
    let before = get(tx, id)?;
    edit(tx, id, |spec| {
        spec.power = power;
        Ok(())
    })?;
    // One that switched itself off is left so until somebody wants it anew, though the same is wanted of it.
    let Some(Intent { desired: Some(spec), host, .. }) = before.filter(|found| found.has_stopped_itself()) else {
        return Ok(());
    };
    if power != Power::Running || spec.power != power {
        return Ok(());
    }
    let text = serde_json::to_string(&spec)
        .map_err(|e| Error::bug("intent.text", "a machine cannot be written").because(e))?;
    change(tx, id.as_str(), host, Some(&text))
}

/// Wants one reboot; the same token again wants no second one.
///
/// # Errors
/// As [`edit`].
pub fn reboot(tx: &mut Tx<'_>, id: &IntentId, token: &str) -> Result<()> {
    edit(tx, id, |spec| {
        spec.reboot_token = Some(token.to_owned());
        Ok(())
    })
}

/// The next generation of what is wanted: above what the agent has seen, also where that was in a
/// time that we lost.
pub(crate) fn change(tx: &mut Tx<'_>, id: &str, host: HostId, desired: Option<&str>) -> Result<()> {
    let (feed, now) = (next_feed(tx, host)?, tx.now);
    tx.execute(
        "UPDATE intents SET desired = $2, generation = CASE WHEN observed_generation > generation THEN observed_generation ELSE generation END + 1, feed = $3, changed_at = $4 WHERE id = $1",
        args![id, desired, feed, now],
    )
    .map(drop)
}

/// The agent holds a newer generation than we do (we were restored from a copy): goes above it.
pub(crate) fn overtake(tx: &mut Tx<'_>, id: &str, host: HostId, generation: u64) -> Result<()> {
    let feed = next_feed(tx, host)?;
    let above = generation
        .checked_add(1)
        .ok_or_else(|| Error::invalid("observation.generation", "a generation is out of range"))?;
    tx.execute("UPDATE intents SET generation = $2, feed = $3 WHERE id = $1", args![id, above, feed]).map(drop)
}

/// Moves a host's feed on and wakes its polls. Values are times, so that they do
/// not come a second time after a restore from a copy.
pub(crate) fn next_feed(tx: &mut Tx<'_>, host: HostId) -> Result<i64> {
    let now = tx.now;
    let feed: Option<i64> = tx.query_opt(
        "UPDATE hosts SET feed = CASE WHEN feed >= $2 THEN feed + 1 ELSE $2 END WHERE id = $1 AND state <> 'retired' RETURNING feed",
        args![host, now],
        |row| row.get(0),
    )?;
    wake::after(tx, host);
    feed.ok_or_else(|| Error::conflict("host.retired", format!("host {host} is retired or unknown")))
}

fn not_found(id: &IntentId) -> Error {
    Error::not_found("intent.not_found", format!("there is no intent {id}"))
}

/// The lives of a machine, in order.
///
/// # Errors
/// Those of the database.
pub fn lives(conn: &mut Conn<'_>, id: &str) -> Result<Vec<Life>> {
    conn.query("SELECT life FROM lives WHERE intent = $1 ORDER BY seq", args![id], |row| {
        parse_life(&row.get::<String>(0)?)
    })
}

/// One life of a machine.
///
/// # Errors
/// Those of the database.
pub fn life(conn: &mut Conn<'_>, id: &str, seq: i64) -> Result<Option<Life>> {
    conn.query_opt("SELECT life FROM lives WHERE intent = $1 AND seq = $2", args![id, seq], |row| {
        parse_life(&row.get::<String>(0)?)
    })
}

pub(crate) fn parse_life(text: &str) -> Result<Life> {
    serde_json::from_str(text).map_err(|e| Error::bug("life.damaged", "a stored life does not read").because(e))
}

/// Which intents.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListIntents {
    /// Only on this host.
    pub host: Option<HostId>,
    /// Only of this service.
    pub service: Option<String>,
    /// Also those that are freed.
    pub freed: bool,
    /// Continue after this id.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of intents.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntentPage {
    /// The intents.
    pub items: Vec<Intent>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Operators see what stands on their hosts, not what customers told their guests.
fn for_operators(mut intent: Intent) -> Intent {
    if let Some(desired) = &mut intent.desired {
        desired.cloud_init = CloudInit::default();
    }
    intent
}

/// Intents on the operator's hosts.
pub static LIST: Action<ListIntents, IntentPage> = Action {
    name: "intent.list",
    summary: "Lists what is wanted on hosts and what was seen there; without what guests are told about themselves.",
    effect: Effect::Read,
    run: |tx, input| {
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let operator = tx.cx().tenant();
        let mut items = tx.query(
            &format!(
                "{SELECT} WHERE h.tenant = $1 AND i.host = COALESCE($2, i.host) AND i.service = COALESCE($3, i.service) AND i.id > $4
                 AND ($5 = 1 OR i.freed_at IS NULL) ORDER BY i.id LIMIT $6"
            ),
            args![operator, input.host, input.service, input.after.clone().unwrap_or_default(), input.freed, i64::from(limit) + 1],
            read,
        )?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(IntentPage { items: items.into_iter().map(for_operators).collect(), next })
    },
};

/// Which intent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntentRef {
    /// The intent.
    pub id: IntentId,
}

/// An intent with the lives of its machine.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntentDetail {
    /// The intent.
    #[serde(flatten)]
    pub intent: Intent,
    /// The lives of its machine.
    pub lives: Vec<Life>,
    /// What it holds that is one of a kind.
    pub claims: Vec<crate::claims::Claim>,
    /// What it holds of its host.
    pub reservation: Option<capacity::Reservation>,
}

/// One intent, for operators.
pub static GET: Action<IntentRef, IntentDetail> = Action {
    name: "intent.get",
    summary: "Shows one intent: what is wanted, what was seen, its lives and what it holds.",
    effect: Effect::Read,
    run: |tx, input| {
        let found: Option<TenantId> = tx.query_opt(
            "SELECT h.tenant FROM intents i JOIN hosts h ON h.id = i.host WHERE i.id = $1",
            args![input.id.as_str()],
            |row| row.get(0),
        )?;
        let owner = found.ok_or_else(|| not_found(&input.id))?;
        tx.grant("intent.get", "intent", input.id.as_str(), owner, Class::Internal, ())?;
        let intent = for_operators(get(tx, &input.id)?.ok_or_else(|| not_found(&input.id))?);
        Ok(IntentDetail {
            intent,
            lives: lives(tx, input.id.as_str())?,
            claims: crate::claims::of(tx, &input.id)?,
            reservation: capacity::of(tx, input.id.as_str())?,
        })
    },
};
