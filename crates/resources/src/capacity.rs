//! Capacity: reservations over the ledger.
//!
//! Each dimension of a host is two accounts. What may be sold (what the host
//! has, times its pool's factor) is credited to `cap:free:<host>:<dimension>`;
//! a reservation is a pending transfer from there to `cap:used:…`.
//!
//! ```text
//!   reserve ──► held ──in_use──► inUse ──free──► released
//!                └──────────────free────────────────┘
//!   held: pending transfers · inUse: posted · released: voided, or answered by
//!   a transfer back
//! ```
//!
//! Invariants: a host is never reserved beyond what it is credited with
//! (`debits_must_not_exceed_credits` of the free account); nothing is freed by
//! the clock, only when the machine's absence was observed, or no intent for it
//! was ever written ([`free`] refuses otherwise).
//!
//! Not here: which host (`placement`), what is one of a kind (`claims`).

use std::collections::{BTreeMap, HashMap, HashSet};

use base::id::{HostId, RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use drivers::wire::{HostReport, IntentId};
use gate::{Action, Effect, Tx};
use ledger::{Move, NewAccount, Rule, Transfer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::placement::{Demand, Dimension, HostFree, Policy, place};
use crate::places::Factors;
use crate::{Fact, PoolId, claims, hosts, inventory};

/// What a machine needs, for whom, and where it may stand.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The machine: the id of its intent. Asking again for the same machine gives the same host.
    pub machine: IntentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service that it is part of.
    pub service: String,
    /// The run of the flow that asks. Where it has ended without ever writing an
    /// intent for the machine, the reservation is nobody's and is freed.
    pub run: Option<RunId>,
    /// How much.
    pub demand: Demand,
    /// Where.
    pub policy: Policy,
}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Set aside; the machine does not run yet.
    Held,
    /// The machine has run.
    InUse,
    /// The machine is gone.
    Released,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Held => "held",
            State::InUse => "inUse",
            State::Released => "released",
        }
    }
}

/// What one machine holds of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The machine.
    pub machine: String,
    /// The host.
    pub host: HostId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service that it is part of.
    pub service: String,
    /// The run that asked.
    pub run: Option<RunId>,
    /// How much.
    pub demand: Demand,
    /// Where it stands.
    pub state: State,
    /// Since when.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

fn read(row: &Row) -> Result<Reservation> {
    let state: String = row.get(8)?;
    Ok(Reservation {
        machine: row.get(0)?,
        host: row.get(1)?,
        tenant: row.get(2)?,
        service: row.get(3)?,
        run: row.get(4)?,
        demand: Demand { vcpu: row.get(5)?, memory_mib: row.get(6)?, disk_mib: row.get(7)? },
        state: [State::Held, State::InUse, State::Released]
            .into_iter()
            .find(|known| known.word() == state)
            .ok_or_else(|| Error::bug("reservation.damaged", "a reservation's state is not one"))?,
        created_at: row.get(9)?,
    })
}

const SELECT: &str = "SELECT r.machine, r.host, r.tenant, r.service, r.run, r.vcpu, r.memory_mib, r.disk_mib, r.state, r.created_at FROM reservations r";

/// A machine's reservation, whatever its state.
///
/// # Errors
/// Those of the database.
pub fn of(conn: &mut Conn<'_>, machine: &str) -> Result<Option<Reservation>> {
    conn.query_opt(&format!("{SELECT} WHERE r.machine = $1"), args![machine], read)
}

/// Chooses a host and reserves. Asked again for the same machine, gives what it has.
///
/// # Errors
/// `Exhausted` (`capacity.none_fits`) saying what is missing, `Conflict`
/// (`reservation.over`) where the machine was there before and is gone,
/// (`reservation.differs`) where it holds something else.
pub fn reserve(tx: &mut Tx<'_>, ask: &Ask) -> Result<Reservation> {
    if let Some(found) = of(tx, ask.machine.as_str())? {
        return match found.state {
            State::Released => Err(Error::conflict(
                "reservation.over",
                format!("machine {} is gone; another needs another id", ask.machine),
            )),
            _ if found.demand == ask.demand => Ok(found),
            _ => Err(Error::conflict("reservation.differs", format!("machine {} holds something else", ask.machine))),
        };
    }
    if ask.demand.amounts().into_iter().any(|amount| amount < 0) || ask.demand == Demand::default() {
        return Err(Error::invalid(
            "capacity.demand",
            "a machine needs something of at least one dimension, and less than nothing of none",
        ));
    }
    let host = fitting(tx, ask, &[])?;
    let now = tx.now;
    let machine = ask.machine.as_str();
    tx.execute(
        "INSERT INTO reservations (machine, host, tenant, service, run, apart, vcpu, memory_mib, disk_mib, state, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'held', $10, $10)",
        args![
            machine,
            host,
            ask.tenant,
            ask.service,
            ask.run,
            ask.policy.apart,
            ask.demand.vcpu,
            ask.demand.memory_mib,
            ask.demand.disk_mib,
            now
        ],
    )?;
    let names = Names::of(host);
    let ids = transfer_ids("rsv", machine);
    let moves: Vec<Move<'_>> = each(&ask.demand)
        .map(|(n, amount)| {
            Move::Transfer(Transfer {
                id: &ids[n],
                debit: &names.free[n],
                credit: &names.used[n],
                amount,
                pending: true,
                code: "capacity.reserve",
                subject: machine,
            })
        })
        .collect();
    ledger::apply(tx, now, &moves)?;
    of(tx, machine)?.ok_or_else(|| Error::bug("reservation.lost", "a reservation is gone in its own transaction"))
}

/// The host for a machine, beside others that were placed just now and hold nothing yet.
fn fitting(tx: &mut Tx<'_>, ask: &Ask, beside: &[(HostId, Demand)]) -> Result<HostId> {
    let mut hosts = candidates(tx, &ask.policy)?;
    for (id, taken) in beside {
        let Some(host) = hosts.iter_mut().find(|host| host.id == *id) else { continue };
        let free = host.free.amounts();
        host.free = Demand::of(std::array::from_fn(|n| free[n] - taken.amounts()[n]));
        host.holds_group |= !ask.policy.apart.is_empty();
    }
    place(&hosts, &ask.demand, &ask.policy).ok_or_else(|| none_fits(&hosts, ask))
}

/// Where machines would stand if they were reserved now, one after the other. Reserves nothing.
///
/// # Errors
/// `Exhausted` (`capacity.none_fits`) saying what is missing.
pub fn preview(tx: &mut Tx<'_>, asks: &[Ask]) -> Result<Vec<HostId>> {
    let mut placed: Vec<(HostId, Demand)> = Vec::with_capacity(asks.len());
    for ask in asks {
        let host = fitting(tx, ask, &placed)?;
        placed.push((host, ask.demand));
    }
    Ok(placed.into_iter().map(|(host, _)| host).collect())
}

/// The group that a machine is kept apart in; empty for none.
///
/// # Errors
/// Those of the database.
pub fn apart(conn: &mut Conn<'_>, machine: &str) -> Result<String> {
    let found =
        conn.query_opt("SELECT apart FROM reservations WHERE machine = $1", args![machine], |row| row.get(0))?;
    Ok(found.unwrap_or_default())
}

/// The machine runs: what it holds is in use. Doing it again changes nothing.
///
/// # Errors
/// `NotFound` where it holds nothing, `Conflict` (`reservation.over`) where it is gone.
pub fn in_use(tx: &mut Tx<'_>, machine: &IntentId) -> Result<()> {
    let machine = machine.as_str();
    let found = of(tx, machine)?.ok_or_else(|| absent(machine))?;
    match found.state {
        State::InUse => return Ok(()),
        State::Released => return Err(Error::conflict("reservation.over", format!("machine {machine} is gone"))),
        State::Held => {}
    }
    let ids = transfer_ids("rsv", machine);
    let moves: Vec<Move<'_>> = each(&found.demand).map(|(n, _)| Move::Post(&ids[n])).collect();
    let now = tx.now;
    ledger::apply(tx, now, &moves)?;
    set_state(tx, machine, State::InUse)
}

/// Lets go of what a machine holds, its claims too. For flows that unwind before
/// an intent was written, and for everybody who wants to be sure: done again, or
/// for a machine that holds nothing, it changes nothing.
///
/// # Errors
/// `Conflict` (`capacity.machine_not_gone`) while an intent for it has not been
/// seen to be absent: then the core is not free.
pub fn free(tx: &mut Tx<'_>, machine: &IntentId) -> Result<()> {
    if crate::intents::get(tx, machine)?.is_some_and(|intent| intent.freed_at.is_none()) {
        return Err(Error::conflict(
            "capacity.machine_not_gone",
            format!("machine {machine} was not seen to be gone; what it holds is not free"),
        ));
    }
    let_go(tx, machine.as_str())
}

/// Frees without asking: the caller has seen that the machine is gone.
pub(crate) fn let_go(tx: &mut Tx<'_>, machine: &str) -> Result<()> {
    claims::release(tx, machine)?;
    let Some(found) = of(tx, machine)?.filter(|found| found.state != State::Released) else { return Ok(()) };
    let names = Names::of(found.host);
    let (made, back) = (transfer_ids("rsv", machine), transfer_ids("rel", machine));
    let moves: Vec<Move<'_>> = each(&found.demand)
        .map(|(n, amount)| match found.state {
            State::Held => Move::Void(&made[n]),
            _ => Move::Transfer(Transfer {
                id: &back[n],
                debit: &names.used[n],
                credit: &names.free[n],
                amount,
                pending: false,
                code: "capacity.free",
                subject: machine,
            }),
        })
        .collect();
    let now = tx.now;
    ledger::apply(tx, now, &moves)?;
    set_state(tx, machine, State::Released)
}

fn set_state(tx: &mut Tx<'_>, machine: &str, state: State) -> Result<()> {
    let now = tx.now;
    tx.execute(
        "UPDATE reservations SET state = $2, changed_at = $3 WHERE machine = $1",
        args![machine, state.word(), now],
    )
    .map(drop)
}

fn absent(machine: &str) -> Error {
    Error::not_found("reservation.not_found", format!("machine {machine} holds nothing"))
}

fn transfer_ids(what: &str, machine: &str) -> [String; 3] {
    Dimension::ALL.map(|dimension| format!("{what}:{machine}:{}", dimension.word()))
}

/// The amounts above zero, with their places.
fn each(demand: &Demand) -> impl Iterator<Item = (usize, i64)> {
    demand.amounts().into_iter().enumerate().filter(|(_, amount)| *amount > 0)
}

/// The accounts of a host.
struct Names {
    free: [String; 3],
    used: [String; 3],
}

impl Names {
    fn of(host: HostId) -> Self {
        Names {
            free: Dimension::ALL.map(|dimension| format!("cap:free:{host}:{}", dimension.word())),
            used: Dimension::ALL.map(|dimension| format!("cap:used:{host}:{}", dimension.word())),
        }
    }
}

/// Hosts that take new machines, with what is free of them.
fn candidates(tx: &mut Tx<'_>, policy: &Policy) -> Result<Vec<HostFree>> {
    let damaged = |e: serde_json::Error| Error::bug("host.damaged", "a host's facts do not read").because(e);
    let mut hosts = tx.query(
        "SELECT h.id, h.pool, p.site, h.facts, p.factors FROM hosts h JOIN pools p ON p.id = h.pool
         WHERE h.state = 'active' AND h.reachable = 1 AND h.pool = COALESCE($1, h.pool) AND p.site = COALESCE($2, p.site)
         AND h.id = COALESCE($3, h.id) ORDER BY h.id LIMIT $4",
        args![policy.pool, policy.site, policy.only, limits::HOSTS_PLACED_MAX],
        |row| {
            let (facts, factors): (String, String) = (row.get(3)?, row.get(4)?);
            let facts: HostReport = serde_json::from_str(&facts).map_err(damaged)?;
            let factors: Factors = serde_json::from_str(&factors).map_err(damaged)?;
            Ok(HostFree {
                id: row.get(0)?,
                pool: row.get(1)?,
                site: row.get(2)?,
                accelerator: facts.accelerator,
                holds_group: false,
                free: Demand::default(),
                total: factors.of(hosts::there(&facts)),
                images: facts.images,
            })
        },
    )?;
    if !policy.apart.is_empty() {
        let living = "SELECT DISTINCT host FROM reservations WHERE apart = $1 AND state <> 'released'";
        let holding: HashSet<HostId> = tx.query(living, args![policy.apart], |row| row.get(0))?.into_iter().collect();
        hosts.iter_mut().for_each(|host| host.holds_group = holding.contains(&host.id));
    }
    for some in hosts.chunks_mut(limits::LEDGER_BATCH_MAX / Dimension::ALL.len()) {
        let ids: Vec<String> = some.iter().flat_map(|host| Names::of(host.id).free).collect();
        let accounts = ledger::named(tx, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let free: HashMap<&str, i64> =
            accounts.iter().map(|account| (account.id.as_str(), account.available())).collect();
        for (host, ids) in some.iter_mut().zip(ids.chunks(Dimension::ALL.len())) {
            host.free = Demand::of(std::array::from_fn(|n| {
                ids.get(n).and_then(|id| free.get(id.as_str())).copied().unwrap_or(0)
            }));
        }
    }
    Ok(hosts)
}

fn none_fits(hosts: &[HostFree], ask: &Ask) -> Error {
    let admitted: Vec<&HostFree> = hosts.iter().filter(|host| ask.policy.admits(host)).collect();
    let needed = ask.demand;
    let message = if hosts.is_empty() {
        "no active, reachable host is there to take the machine".to_owned()
    } else if admitted.is_empty() {
        format!("none of {} hosts meets what is asked of the place", hosts.len())
    } else {
        format!(
            "none of {} hosts has {} processors, {} MiB of memory and {} MiB of disk free together",
            admitted.len(),
            needed.vcpu,
            needed.memory_mib,
            needed.disk_mib
        )
    };
    Error::exhausted("capacity.none_fits", message)
}

/// How full a host is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// What may be reserved altogether.
    pub total: Demand,
    /// What running machines hold.
    pub used: Demand,
    /// What is set aside for machines that do not run yet.
    pub held: Demand,
    /// What can still be reserved.
    pub free: Demand,
}

impl Fill {
    fn add(&mut self, dimension: usize, free: &ledger::Account, used: &ledger::Account) {
        let put = |demand: &mut Demand, amount: i64| {
            let mut amounts = demand.amounts();
            amounts[dimension] += amount;
            *demand = Demand::of(amounts);
        };
        put(&mut self.total, free.balance() + used.balance());
        put(&mut self.used, used.balance());
        put(&mut self.held, free.debits_pending);
        put(&mut self.free, free.available());
    }
}

/// How full a host is.
///
/// # Errors
/// Those of the database.
pub fn fill(conn: &mut Conn<'_>, host: HostId) -> Result<Fill> {
    let names = Names::of(host);
    let mut fill = Fill::default();
    for n in 0..Dimension::ALL.len() {
        if let (Some(free), Some(used)) =
            (ledger::account(conn, &names.free[n])?, ledger::account(conn, &names.used[n])?)
        {
            fill.add(n, &free, &used);
        }
    }
    Ok(fill)
}

/// How full every host is, in two walks over the accounts.
///
/// # Errors
/// Those of the database.
pub fn fill_of_all(conn: &mut Conn<'_>) -> Result<BTreeMap<HostId, Fill>> {
    let mut walk = |prefix: &str| -> Result<BTreeMap<(HostId, usize), ledger::Account>> {
        let (mut found, mut after) = (BTreeMap::new(), String::new());
        loop {
            let page = ledger::accounts(conn, prefix, &after, limits::PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok(found) };
            after.clone_from(&last.id);
            let is_last = page.len() < limits::PAGE_MAX as usize;
            for account in page {
                let Some((host, word)) = account.id.strip_prefix(prefix).and_then(|rest| rest.split_once(':')) else {
                    continue;
                };
                let dimension = Dimension::ALL.iter().position(|dimension| dimension.word() == word);
                if let (Ok(host), Some(dimension)) = (host.parse(), dimension) {
                    found.insert((host, dimension), account);
                }
            }
            if is_last {
                return Ok(found);
            }
        }
    };
    let (free, used) = (walk("cap:free:")?, walk("cap:used:")?);
    let mut fills: BTreeMap<HostId, Fill> = BTreeMap::new();
    for (key, free) in &free {
        if let Some(used) = used.get(key) {
            fills.entry(key.0).or_default().add(key.1, free, used);
        }
    }
    Ok(fills)
}

/// Credits a host with `total`, or takes back what it has too much. What is
/// reserved cannot be taken back: it is, once it is free ([`crate::work`]).
/// Gives whether everything was done.
pub(crate) fn supply(tx: &mut Tx<'_>, host: HostId, total: Demand) -> Result<bool> {
    let names = Names::of(host);
    let now = tx.now;
    let subject = host.to_string();
    let mut complete = true;
    for (n, dimension) in Dimension::ALL.into_iter().enumerate() {
        let source = format!("cap:supply:{}", dimension.word());
        for (id, rule) in [
            (&source, Rule::Free),
            (&names.free[n], Rule::DebitsWithinCredits),
            (&names.used[n], Rule::DebitsWithinCredits),
        ] {
            ledger::open(tx, now, &NewAccount { id, unit: dimension.word(), rule })?;
        }
        let fill = fill(tx, host)?;
        let missing = total.amounts()[n] - fill.total.amounts()[n];
        let step = missing.max(-fill.free.amounts()[n]);
        complete &= step == missing;
        if step == 0 {
            continue;
        }
        let id = tx.ids().text("sup", now);
        let (debit, credit) = if step > 0 { (&source, &names.free[n]) } else { (&names.free[n], &source) };
        let change = Transfer {
            id: &id,
            debit,
            credit,
            amount: step.abs(),
            pending: false,
            code: "capacity.supply",
            subject: &subject,
        };
        ledger::apply(tx, now, &[Move::Transfer(change)])?;
    }
    Ok(complete)
}

/// Machines that hold something of a host.
///
/// # Errors
/// Those of the database.
pub fn on_host(conn: &mut Conn<'_>, host: HostId) -> Result<Vec<Reservation>> {
    conn.query(&format!("{SELECT} WHERE r.host = $1 AND r.state <> 'released' ORDER BY r.machine"), args![host], read)
}

/// A machine's absence is certain: frees what it held, closes its intent, says so.
pub(crate) fn gone(tx: &mut Tx<'_>, machine: &str, service: &str, tenant: TenantId) -> Result<()> {
    let now = tx.now;
    let closed = tx.execute(
        "UPDATE intents SET freed_at = $2 WHERE id = $1 AND freed_at IS NULL AND desired IS NULL",
        args![machine, now],
    )?;
    let_go(tx, machine)?;
    if closed == 1 {
        inventory::machine_gone(tx, machine)?;
        tx.fact(Fact::MachineFreed { intent: machine.to_owned(), service: service.to_owned() }, tenant)?;
    }
    Ok(())
}

/// Which capacity.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GetCapacity {
    /// Only this pool.
    pub pool: Option<PoolId>,
}

/// How full the hosts are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Sums of the pools.
    pub pools: Vec<PoolFill>,
    /// The hosts, at most a page.
    pub hosts: Vec<HostFill>,
}

/// How full a pool is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolFill {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// Its hosts that are not retired.
    pub hosts: u32,
    /// Their sums.
    pub fill: Fill,
}

/// How full a host is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostFill {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Its pool.
    pub pool: PoolId,
    /// Its state.
    pub state: String,
    /// Whether it was heard of lately.
    pub reachable: bool,
    /// What is reserved and what is free.
    pub fill: Fill,
}

/// How full pools and hosts are.
pub static GET: Action<GetCapacity, Capacity> = Action {
    name: "capacity.get",
    summary: "Shows how full each pool and host is, by dimension.",
    effect: Effect::Read,
    run: |tx, input| {
        let operator = tx.cx().tenant();
        let mut pools: BTreeMap<PoolId, PoolFill> = BTreeMap::new();
        for (pool, name) in tx.query(
            "SELECT id, name FROM pools WHERE tenant = $1 AND id = COALESCE($2, id) ORDER BY id",
            args![operator, input.pool],
            |row| Ok((row.get::<PoolId>(0)?, row.get(1)?)),
        )? {
            pools.insert(pool, PoolFill { pool, name, hosts: 0, fill: Fill::default() });
        }
        let rows = tx.query(
            "SELECT id, name, pool, state, reachable FROM hosts WHERE tenant = $1 AND state <> 'retired' AND pool = COALESCE($2, pool) ORDER BY id LIMIT $3",
            args![operator, input.pool, limits::HOSTS_PLACED_MAX],
            |row| Ok((row.get::<HostId>(0)?, row.get::<String>(1)?, row.get::<PoolId>(2)?, row.get::<String>(3)?, row.get::<bool>(4)?)),
        )?;
        let mut fills = fill_of_all(tx)?;
        let mut hosts = Vec::with_capacity(rows.len());
        for (host, name, pool, state, reachable) in rows {
            let fill = fills.remove(&host).unwrap_or_default();
            if let Some(sum) = pools.get_mut(&pool) {
                sum.hosts += 1;
                let plus = |a: Demand, b: Demand| Demand::of(std::array::from_fn(|n| a.amounts()[n] + b.amounts()[n]));
                sum.fill = Fill {
                    total: plus(sum.fill.total, fill.total),
                    used: plus(sum.fill.used, fill.used),
                    held: plus(sum.fill.held, fill.held),
                    free: plus(sum.fill.free, fill.free),
                };
            }
            hosts.push(HostFill { host, name, pool, state, reachable, fill });
        }
        Ok(Capacity { pools: pools.into_values().collect(), hosts })
    },
};

/// Which reservations.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListReservations {
    /// Only of this host.
    pub host: Option<HostId>,
    /// Continue after this machine.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of reservations.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationPage {
    /// The reservations.
    pub items: Vec<Reservation>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Living reservations on the operator's hosts.
pub static LIST_RESERVATIONS: Action<ListReservations, ReservationPage> = Action {
    name: "reservation.list",
    summary: "Lists what machines hold of hosts.",
    effect: Effect::Read,
    run: |tx, input| {
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let after = input.after.clone().unwrap_or_default();
        let operator = tx.cx().tenant();
        let mut items = tx.query(
            &format!(
                "{SELECT} JOIN hosts h ON h.id = r.host WHERE h.tenant = $1 AND r.host = COALESCE($2, r.host) AND r.machine > $3
                 AND r.state <> 'released' ORDER BY r.machine LIMIT $4"
            ),
            args![operator, input.host, after, i64::from(limit) + 1],
            read,
        )?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.machine.clone());
        Ok(ReservationPage { items, next })
    },
};
