//! What the house calls when something happens to a service or a machine, and
//! the step from what is known to the ledger.

use base::money::decimal;
use base::time::{Timestamp, micros};
use base::{Result, limits};
use commerce::orders::PRODUCT_ORDER;
use db::Conn;
use gate::Tx;
use serde_json::Value as Json;

use super::kinds;
use super::life::{LifeEnd, LifeSeen};
use super::pieces::{Piece, Stretch, pieces};
use super::store;
use super::types::{Basis, Entry, Meter, MeterStart, Metered, Sizes, Terms, Unknown, after, measured};
use crate::rating::{self, Calendar, Charge, Price};
use crate::{Fact, accounts};

/// Attaches a meter to a service that has become active. The same service again
/// changes nothing, so that a repeated step does no harm.
///
/// # Errors
/// `Invalid` (`price.currency`) for a price that the account cannot pay, `Dangling`
/// for an account that does not exist.
pub fn start(tx: &mut Tx<'_>, new: &MeterStart) -> Result<()> {
    if store::of_service(tx, &new.service)?.is_some() {
        return Ok(());
    }
    let account = match &new.account {
        Some(id) => accounts::by_id(tx, id)?,
        None => accounts::open(tx, new.tenant, None)?,
    };
    let prices = distinct(&new.prices);
    accounts::payable(&account, &prices)?;
    let meter = Meter {
        id: tx.ids().text("mtr", tx.now),
        account: account.id,
        tenant: new.tenant,
        product: new.product.clone(),
        service: new.service.clone(),
        name: new.name.clone(),
        started: new.at,
        ended: None,
        machines: new.machines.iter().map(|intent| metered(intent, None)).collect(),
        terms: vec![Terms { version: 1, from: new.at, sizes: measured(&new.sizes), prices }],
    };
    store::insert(tx, &meter)?;
    once(tx, &meter, &meter.terms[0].prices, new.at)?;
    tx.fact(Fact::MeterStarted { meter: meter.id.clone() }, meter.tenant)
}

/// Attaches a meter to what a service was sold as: the reaction to provisioning's
/// `ServiceActivated`. A product of several services has one meter, with its first.
///
/// # Errors
/// As [`start`]; `Invalid` where a frozen price does not read.
pub fn service_activated(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let Some(sold) = provisioning::services::realised(tx, service)? else { return Ok(()) };
    // What is not a number (a greeting, a key) measures nothing.
    let sizes =
        sold.characteristics.iter().filter_map(|(name, value)| Some((name.clone(), decimal(value, name).ok()?)));
    let new = MeterStart {
        sizes: sizes.filter(|(_, size)| !size.is_sign_negative()).collect(),
        prices: rating::prices(&sold.prices)?,
        service: sold.service,
        product: sold.product,
        name: sold.name,
        tenant: sold.tenant,
        account: sold.account,
        machines: sold.machines,
        at: sold.at,
    };
    start(tx, &new)
}

/// Sees to it that what an order adds can be billed, before anything is made of it: the reaction to
/// commerce's `OrderAccepted`. What nobody can pay would be taken away again at its activation.
///
/// # Errors
/// `Invalid` where a frozen price does not read or is in another currency than the account's,
/// `Dangling` or `Conflict` where the account is not there or closed: the order is refused with it.
pub fn order_accepted(tx: &mut Tx<'_>, order: &str) -> Result<()> {
    let order = tx.peek(&PRODUCT_ORDER, order)?;
    let items = order.body.get("productOrderItem").and_then(Json::as_array);
    for item in items.into_iter().flatten().filter(|item| item["action"] == "add") {
        let prices = rating::prices(item["itemPrice"].as_array().map_or(&[][..], Vec::as_slice))?;
        let named = item.pointer("/billingAccount/id").or_else(|| order.at("billingAccount.id")).and_then(Json::as_str);
        let account = match named {
            Some(id) => accounts::by_id(tx, id)?,
            None => accounts::open(tx, order.tenant, None)?,
        };
        accounts::expect_open(tx, &account)?;
        accounts::payable(&account, &prices)?;
    }
    Ok(())
}

fn metered(intent: &str, from: Option<Timestamp>) -> Metered {
    Metered { intent: intent.to_owned(), from, until: None }
}

/// Other machines serve a service from now on: the reaction to provisioning's `ServiceMoved`. The
/// meter goes on; those that were replaced count until now and the others from now on.
///
/// # Errors
/// Those of the database.
pub fn service_moved(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let all = resources::intents::ids_of_service(tx, service)?;
    let serving: Vec<String> =
        resources::intents::of_service(tx, service)?.into_iter().map(|machine| machine.id.to_string()).collect();
    let mut meter = None;
    for intent in &all {
        meter = meter.or(store::of_machine(tx, intent)?);
    }
    let Some(meter) = meter else { return Ok(()) };
    let now = tx.now;
    for gone in meter.machines.iter().filter(|one| all.contains(&one.intent) && !serving.contains(&one.intent)) {
        store::end_machine(tx, &gone.intent, now)?;
    }
    for new in serving.iter().filter(|new| meter.machines.iter().all(|known| known.intent != **new)) {
        store::add_machine(tx, &meter.id, &metered(new, Some(now)))?;
    }
    Ok(())
}

/// Notes that a service has other sizes or prices from `at` on. What is in the
/// ledger already stays as it was; a change that comes late counts from there.
///
/// # Errors
/// `Invalid` (`price.currency`) for a price that the account cannot pay.
pub fn change(tx: &mut Tx<'_>, service: &str, at: Timestamp, sizes: &Sizes, prices: &[Price]) -> Result<()> {
    let Some(meter) = store::of_service(tx, service)? else { return Ok(()) };
    let Some(present) = meter.terms.last().cloned() else { return Ok(()) };
    let prices = distinct(prices);
    let sizes = measured(sizes);
    if meter.ended.is_some() || (present.sizes == sizes && present.prices == prices) {
        return Ok(());
    }
    accounts::payable(&accounts::by_id(tx, &meter.account)?, &prices)?;
    let settled = after(meter.started, store::done_us(tx, Basis::Held, &meter.id, 0)?)?;
    let from = at.max(present.from).max(settled);
    let added: Vec<Price> =
        prices.iter().filter(|price| present.prices.iter().all(|old| old.key != price.key)).cloned().collect();
    let terms = Terms { version: present.version + 1, from, sizes, prices };
    store::insert_terms(tx, &meter.id, &terms)?;
    let meter = Meter { terms: [meter.terms, vec![terms]].concat(), ..meter };
    once(tx, &meter, &added, from)
}

/// Notes that a service has ended, and settles its meter.
///
/// # Errors
/// Those of the database.
pub fn end(tx: &mut Tx<'_>, service: &str, at: Timestamp) -> Result<()> {
    let Some(meter) = store::of_service(tx, service)?.filter(|meter| meter.ended.is_none()) else { return Ok(()) };
    let at = at.max(meter.started);
    store::end(tx, &meter.id, at)?;
    let meter = Meter { ended: Some(at), ..meter };
    let (calendar, now) = (accounts::calendar(tx)?, tx.now);
    settle(tx, &meter, now, &calendar)?;
    tx.fact(Fact::MeterEnded { meter: meter.id.clone() }, meter.tenant)
}

/// Takes in an account of a machine's life, in any order and as often as it
/// comes. A life that is over is written to the ledger at once, and so is late
/// news of a meter that has ended: nobody settles that one again.
///
/// # Errors
/// Those of the database.
pub fn life_seen(tx: &mut Tx<'_>, seen: &LifeSeen) -> Result<()> {
    let mut life = seen.clone();
    life.ran_us = life.ran_us.max(0);
    if let Some(known) = store::known_life(tx, &seen.machine, seen.life)? {
        life.absorb(&known);
        if life == known {
            return Ok(());
        }
    }
    store::keep_life(tx, &life)?;
    let Some(meter) = store::of_machine(tx, &life.machine)? else { return Ok(()) };
    if life.end.is_none() && meter.ended.is_none() {
        return Ok(());
    }
    let (calendar, now) = (accounts::calendar(tx)?, tx.now);
    let done = store::done_us(tx, Basis::Run, &life.machine, life.life)?;
    let found = pieces(&meter, &Stretch::of_life(&life), done, now, &calendar)?;
    write(tx, &meter, found)
}

/// Takes in what `resources` has stored of a life: the reaction to its `LifeObserved`.
///
/// # Errors
/// Those of the database.
pub fn life_observed(tx: &mut Tx<'_>, machine: &str, number: i64) -> Result<()> {
    let Some(life) = resources::intents::life(tx, machine, number)? else { return Ok(()) };
    let seen = LifeSeen {
        machine: machine.to_owned(),
        life: number,
        started: life.started_at,
        started_certain: life.started_certain,
        last_seen: life.last_seen_at,
        ran_us: i64::try_from(life.ran_ms).unwrap_or(i64::MAX).saturating_mul(1_000),
        end: life.end.map(|end| LifeEnd { at: end.at, certain: end.certain }),
        vcpus: i64::from(life.vcpus),
        memory_mib: i64::try_from(life.memory_mib).unwrap_or(i64::MAX),
    };
    life_seen(tx, &seen)
}

/// What is known of a meter by now and not yet in the ledger, up to `until`. Of
/// one that has ended everything is: see [`end`] and [`life_seen`].
pub(crate) fn open_pieces(
    conn: &mut Conn<'_>,
    meter: &Meter,
    until: Timestamp,
    now: Timestamp,
    calendar: &Calendar,
) -> Result<Vec<Piece>> {
    if meter.ended.is_some() { Ok(Vec::new()) } else { known_pieces(conn, meter, until, now, calendar) }
}

fn known_pieces(
    conn: &mut Conn<'_>,
    meter: &Meter,
    until: Timestamp,
    now: Timestamp,
    calendar: &Calendar,
) -> Result<Vec<Piece>> {
    let mut stretches = vec![Stretch::of_holding(meter, now)];
    for machine in &meter.machines {
        stretches.extend(store::lives_of(conn, &machine.intent)?.iter().map(Stretch::of_life));
    }
    let mut found = Vec::new();
    for stretch in stretches {
        let done = store::done_us(conn, stretch.basis, &stretch.origin, stretch.epoch)?;
        found.extend(pieces(meter, &stretch, done, until.min(now), calendar)?);
    }
    found.retain(|piece| piece.basis != Basis::Held || matters(meter, piece));
    Ok(found)
}

/// Whether any price looks at a holding; what none looks at is not worth an entry.
fn matters(meter: &Meter, piece: &Piece) -> bool {
    let prices = meter.terms_of(piece.version).map_or(&[][..], |terms| &terms.prices);
    prices.iter().any(|price| match &price.charge {
        Charge::OneTime => false,
        Charge::Recurring { .. } => true,
        Charge::Usage { measure, .. } => piece.sizes.contains_key(measure),
    })
}

/// Writes to the ledger what is known of a meter up to `until`.
pub(crate) fn settle(tx: &mut Tx<'_>, meter: &Meter, until: Timestamp, calendar: &Calendar) -> Result<()> {
    let now = tx.now;
    let found = known_pieces(tx, meter, until, now, calendar)?;
    write(tx, meter, found)
}

fn write(tx: &mut Tx<'_>, meter: &Meter, found: Vec<Piece>) -> Result<()> {
    for piece in found {
        let entry = piece.into_entry(tx.ids().text("usg", tx.now), &meter.id, tx.now);
        store::append(tx, &entry)?;
        kinds::record(tx, meter, &entry)?;
    }
    Ok(())
}

/// The stretches between two instants of which nobody can say whether the
/// machines ran. What an agent has merely not reported yet is none: it reports
/// every few seconds.
pub(crate) fn unknown(conn: &mut Conn<'_>, meter: &Meter, from: Timestamp, until: Timestamp) -> Result<Vec<Unknown>> {
    let mut found = Vec::new();
    let until = meter.ended.map_or(until, |ended| ended.min(until));
    for machine in &meter.machines {
        let (begun, ended) = meter.span(&machine.intent);
        let last = ended.map_or(until, |ended| ended.min(until));
        let lives = store::lives_of(conn, &machine.intent)?;
        for (at, life) in lives.iter().enumerate() {
            let since = after(life.started, life.ran_us)?.max(begun);
            // A machine lives one life at a time: nobody will say any more how one ended that was followed by another.
            let followed = lives.get(at + 1).map(|next| next.started);
            let (open_until, forgone) = match &life.end {
                None if followed.is_some() => (followed.unwrap_or(last).min(last), true),
                None => (last, false),
                Some(end) if !end.certain => (end.at.min(last), true),
                Some(_) => continue,
            };
            // Between two reports of an agent that is there nothing is amiss.
            let lag = if forgone { 0 } else { limits::USAGE_LAG_SECONDS_MAX * 1_000_000 };
            if from < open_until && micros(since) + lag < micros(open_until) {
                found.push(Unknown {
                    service: meter.service.clone(),
                    machine: machine.intent.clone(),
                    since,
                    until: open_until,
                    forgone,
                });
            }
        }
    }
    Ok(found)
}

/// Marks the TMF635 usage behind a bill as billed.
pub(crate) fn bill_records(tx: &mut Tx<'_>, entries: &[&Entry]) -> Result<()> {
    entries.iter().try_for_each(|entry| kinds::mark_billed(tx, entry))
}

/// An entry for one-time prices: activation, or a change that adds some.
fn once(tx: &mut Tx<'_>, meter: &Meter, prices: &[Price], at: Timestamp) -> Result<()> {
    let Some(terms) = meter.terms.last() else { return Ok(()) };
    if !prices.iter().any(|price| price.charge == Charge::OneTime) {
        return Ok(());
    }
    let month = accounts::calendar(tx)?.month(at)?.label;
    let entry = Entry {
        id: tx.ids().text("usg", tx.now),
        meter: meter.id.clone(),
        version: terms.version,
        basis: Basis::Once,
        origin: meter.id.clone(),
        epoch: terms.version,
        from_us: 0,
        until_us: 0,
        from: at,
        until: at,
        month,
        sign: 1,
        // The one-time prices that this entry stands for, by key: a later version does not charge the earlier ones again.
        sizes: prices.iter().filter(|p| p.charge == Charge::OneTime).map(|p| (p.key.clone(), 1.into())).collect(),
        corrects: None,
        reason: String::new(),
        recorded: tx.now,
    };
    store::append(tx, &entry)
}

/// Prices whose keys tell them apart.
fn distinct(prices: &[Price]) -> Vec<Price> {
    let mut out: Vec<Price> = Vec::with_capacity(prices.len());
    for price in prices {
        let mut price = price.clone();
        let same = out
            .iter()
            .filter(|other| other.key == price.key || other.key.starts_with(&format!("{}#", price.key)))
            .count();
        if same > 0 {
            price.key = format!("{}#{}", price.key, same + 1);
        }
        out.push(price);
    }
    out
}
