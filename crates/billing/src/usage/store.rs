//! Every SQL statement about meters and the usage ledger.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use serde::de::DeserializeOwned;

use super::life::{LifeEnd, LifeSeen};
use super::pieces::Piece;
use super::types::{Basis, Entry, Meter, Metered, Terms};

/// Reads a JSON column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| Error::bug("billing.damaged", "a stored value does not read as expected").because(e))
}

/// Writes a JSON column.
pub(crate) fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::bug("billing.json", "a value cannot be written as JSON").because(e))
}

const METER: &str = "SELECT id, account, tenant, product, service, name, started_at, ended_at FROM meters";

fn meter(row: &Row) -> Result<Meter> {
    Ok(Meter {
        id: row.get(0)?,
        account: row.get(1)?,
        tenant: row.get(2)?,
        product: row.get(3)?,
        service: row.get(4)?,
        name: row.get(5)?,
        started: row.get(6)?,
        ended: row.get(7)?,
        machines: Vec::new(),
        terms: Vec::new(),
    })
}

/// Adds a meter's machines and terms.
fn complete(conn: &mut Conn<'_>, mut meter: Meter) -> Result<Meter> {
    meter.machines = conn.query(
        "SELECT intent, from_at, until_at FROM meter_machines WHERE meter = $1 ORDER BY intent",
        args![meter.id],
        |row| Ok(Metered { intent: row.get(0)?, from: row.get(1)?, until: row.get(2)? }),
    )?;
    meter.terms = conn.query(
        "SELECT version, from_at, sizes, prices FROM meter_terms WHERE meter = $1 ORDER BY version",
        args![meter.id],
        |row| Ok(Terms { version: row.get(0)?, from: row.get(1)?, sizes: json(row, 2)?, prices: json(row, 3)? }),
    )?;
    Ok(meter)
}

fn one(conn: &mut Conn<'_>, condition: &str, value: &str) -> Result<Option<Meter>> {
    let found = conn.query_opt(&format!("{METER} WHERE {condition}"), args![value], meter)?;
    found.map(|meter| complete(conn, meter)).transpose()
}

/// The meter of a service.
pub(crate) fn of_service(conn: &mut Conn<'_>, service: &str) -> Result<Option<Meter>> {
    one(conn, "service = $1", service)
}

/// The meter of that id.
pub(crate) fn by_id(conn: &mut Conn<'_>, id: &str) -> Result<Option<Meter>> {
    one(conn, "id = $1", id)
}

/// The meter that reads a machine.
pub(crate) fn of_machine(conn: &mut Conn<'_>, intent: &str) -> Result<Option<Meter>> {
    one(conn, "id = (SELECT meter FROM meter_machines WHERE intent = $1)", intent)
}

/// The latest meter of a product.
pub(crate) fn of_product(conn: &mut Conn<'_>, product: &str) -> Result<Option<Meter>> {
    one(conn, "id = (SELECT MAX(id) FROM meters WHERE product = $1)", product)
}

/// The meters of an account of which something may still be billed, in the order of their ids.
pub(crate) fn meters_of(conn: &mut Conn<'_>, account: &str) -> Result<Vec<Meter>> {
    let found =
        conn.query(&format!("{METER} WHERE account = $1 AND waiting = 1 ORDER BY id"), args![account], meter)?;
    found.into_iter().map(|meter| complete(conn, meter)).collect()
}

/// Lays the meters of an account to rest that have ended and whose usage is all
/// on bills: the next bill does not look at them, unless there is news.
pub(crate) fn rest(conn: &mut Conn<'_>, account: &str) -> Result<()> {
    conn.execute(
        "UPDATE meters SET waiting = 0 WHERE account = $1 AND waiting = 1 AND ended_at IS NOT NULL AND NOT EXISTS
         (SELECT 1 FROM usage_entries e WHERE e.meter = meters.id
          AND NOT EXISTS (SELECT 1 FROM billed_entries b WHERE b.entry = e.id))",
        args![account],
    )?;
    Ok(())
}

/// The meters of a tenant after the one called `after`.
pub(crate) fn meters_of_tenant(conn: &mut Conn<'_>, tenant: TenantId, after: &str, limit: u32) -> Result<Vec<Meter>> {
    let found = conn.query(
        &format!("{METER} WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3"),
        args![tenant, after, limit],
        meter,
    )?;
    found.into_iter().map(|meter| complete(conn, meter)).collect()
}

/// Writes a new meter with its machines and first terms.
pub(crate) fn insert(conn: &mut Conn<'_>, meter: &Meter) -> Result<()> {
    conn.execute(
        "INSERT INTO meters (id, account, tenant, product, service, name, started_at, ended_at, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)",
        args![meter.id, meter.account, meter.tenant, meter.product, meter.service, meter.name, meter.started, meter.ended],
    )?;
    for machine in &meter.machines {
        add_machine(conn, &meter.id, machine)?;
    }
    meter.terms.iter().try_for_each(|terms| insert_terms(conn, &meter.id, terms))
}

/// A meter reads one machine more.
pub(crate) fn add_machine(conn: &mut Conn<'_>, meter: &str, machine: &Metered) -> Result<()> {
    conn.execute(
        "INSERT INTO meter_machines (intent, meter, from_at, until_at) VALUES ($1, $2, $3, $4) ON CONFLICT (intent) DO NOTHING",
        args![machine.intent, meter, machine.from, machine.until],
    )
    .map(drop)
}

/// A machine does not serve any more.
pub(crate) fn end_machine(conn: &mut Conn<'_>, intent: &str, at: Timestamp) -> Result<()> {
    let sql = "UPDATE meter_machines SET until_at = $2 WHERE intent = $1 AND until_at IS NULL";
    conn.execute(sql, args![intent, at]).map(drop)
}

/// Adds terms to a meter.
pub(crate) fn insert_terms(conn: &mut Conn<'_>, meter: &str, terms: &Terms) -> Result<()> {
    conn.execute(
        "INSERT INTO meter_terms (meter, version, from_at, sizes, prices) VALUES ($1, $2, $3, $4, $5)",
        args![meter, terms.version, terms.from, text(&terms.sizes)?, text(&terms.prices)?],
    )?;
    Ok(())
}

/// Says when a meter ended; the first word counts.
pub(crate) fn end(conn: &mut Conn<'_>, meter: &str, at: Timestamp) -> Result<()> {
    conn.execute("UPDATE meters SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", args![meter, at])?;
    Ok(())
}

const LIFE: &str = "SELECT intent, life, started_at, started_certain, last_seen_at, ran_us, ended_at, end_certain, vcpus, memory_mib FROM metered_lives";

fn life(row: &Row) -> Result<LifeSeen> {
    let (ended, certain): (Option<Timestamp>, Option<bool>) = (row.get(6)?, row.get(7)?);
    Ok(LifeSeen {
        machine: row.get(0)?,
        life: row.get(1)?,
        started: row.get(2)?,
        started_certain: row.get(3)?,
        last_seen: row.get(4)?,
        ran_us: row.get(5)?,
        end: ended.map(|at| LifeEnd { at, certain: certain.unwrap_or(false) }),
        vcpus: row.get(8)?,
        memory_mib: row.get(9)?,
    })
}

/// What is known of a life.
pub(crate) fn known_life(conn: &mut Conn<'_>, machine: &str, number: i64) -> Result<Option<LifeSeen>> {
    conn.query_opt(&format!("{LIFE} WHERE intent = $1 AND life = $2"), args![machine, number], life)
}

/// What is known of a machine's lives.
pub(crate) fn lives_of(conn: &mut Conn<'_>, machine: &str) -> Result<Vec<LifeSeen>> {
    conn.query(&format!("{LIFE} WHERE intent = $1 ORDER BY life"), args![machine], life)
}

/// Keeps what is known of a life.
pub(crate) fn keep_life(conn: &mut Conn<'_>, life: &LifeSeen) -> Result<()> {
    conn.execute(
        "INSERT INTO metered_lives (intent, life, started_at, started_certain, last_seen_at, ran_us, ended_at, end_certain, vcpus, memory_mib)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (intent, life) DO UPDATE SET started_at = excluded.started_at, started_certain = excluded.started_certain,
             last_seen_at = excluded.last_seen_at, ran_us = excluded.ran_us, ended_at = excluded.ended_at,
             end_certain = excluded.end_certain, vcpus = excluded.vcpus, memory_mib = excluded.memory_mib",
        args![
            life.machine,
            life.life,
            life.started,
            life.started_certain,
            life.last_seen,
            life.ran_us,
            life.end.map(|end| end.at),
            life.end.map(|end| end.certain),
            life.vcpus,
            life.memory_mib
        ],
    )?;
    Ok(())
}

/// Up to where a stretch is in the ledger, in microseconds from its start.
pub(crate) fn done_us(conn: &mut Conn<'_>, basis: Basis, origin: &str, epoch: i64) -> Result<i64> {
    conn.query_one(
        "SELECT CAST(COALESCE(MAX(until_us), 0) AS BIGINT) FROM usage_entries
         WHERE basis = $1 AND origin = $2 AND epoch = $3 AND corrects IS NULL",
        args![basis.word(), origin, epoch],
        |row| row.get(0),
    )
}

/// Appends an entry to the ledger.
pub(crate) fn append(conn: &mut Conn<'_>, entry: &Entry) -> Result<()> {
    conn.execute(
        "INSERT INTO usage_entries (id, meter, version, basis, origin, epoch, from_us, until_us, from_at, until_at, month, sign, sizes, corrects, reason, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        args![
            entry.id,
            entry.meter,
            entry.version,
            entry.basis.word(),
            entry.origin,
            entry.epoch,
            entry.from_us,
            entry.until_us,
            entry.from,
            entry.until,
            entry.month,
            entry.sign,
            text(&entry.sizes)?,
            entry.corrects,
            entry.reason,
            entry.recorded
        ],
    )?;
    conn.execute("UPDATE meters SET waiting = 1 WHERE id = $1 AND waiting = 0", args![entry.meter])?;
    Ok(())
}

const ENTRY: &str = "e.id, e.meter, e.version, e.basis, e.origin, e.epoch, e.from_us, e.until_us, e.from_at, e.until_at, e.month, e.sign, e.sizes, e.corrects, e.reason, e.recorded_at";

fn entry(row: &Row) -> Result<Entry> {
    let basis: String = row.get(3)?;
    Ok(Entry {
        id: row.get(0)?,
        meter: row.get(1)?,
        version: row.get(2)?,
        basis: Basis::read(&basis)
            .ok_or_else(|| Error::bug("billing.damaged", format!("`{basis}` is not a basis of usage")))?,
        origin: row.get(4)?,
        epoch: row.get(5)?,
        from_us: row.get(6)?,
        until_us: row.get(7)?,
        from: row.get(8)?,
        until: row.get(9)?,
        month: row.get(10)?,
        sign: row.get(11)?,
        sizes: json(row, 12)?,
        corrects: row.get(13)?,
        reason: row.get(14)?,
        recorded: row.get(15)?,
    })
}

/// The entry of that id.
pub(crate) fn entry_of(conn: &mut Conn<'_>, id: &str) -> Result<Option<Entry>> {
    conn.query_opt(&format!("SELECT {ENTRY} FROM usage_entries e WHERE e.id = $1"), args![id], entry)
}

/// The corrections of an entry, in the order in which they were made.
pub(crate) fn corrections(conn: &mut Conn<'_>, id: &str) -> Result<Vec<Entry>> {
    conn.query(&format!("SELECT {ENTRY} FROM usage_entries e WHERE e.corrects = $1 ORDER BY e.epoch"), args![id], entry)
}

/// A meter's entries that are on no bill and end by `until`, in the order of their ids.
///
/// # Errors
/// `Exhausted` beyond [`limits::BILL_ENTRIES_MAX`].
pub(crate) fn unbilled(conn: &mut Conn<'_>, meter: &str, until: Timestamp) -> Result<Vec<Entry>> {
    let found = conn.query(
        &format!(
            "SELECT {ENTRY} FROM usage_entries e WHERE e.meter = $1 AND e.until_at <= $2
             AND NOT EXISTS (SELECT 1 FROM billed_entries b WHERE b.entry = e.id) ORDER BY e.id LIMIT {}",
            limits::BILL_ENTRIES_MAX + 1
        ),
        args![meter, until],
        entry,
    )?;
    if found.len() > limits::BILL_ENTRIES_MAX {
        let message = format!(
            "more than {} usage entries wait for one bill; bill up to an earlier instant first",
            limits::BILL_ENTRIES_MAX
        );
        return Err(Error::exhausted("bill.too_many_entries", message));
    }
    Ok(found)
}

/// The entries that a bill's line charges, after the one called `after`, each with how much of it counts.
pub(crate) fn entries_of_line(
    conn: &mut Conn<'_>,
    line: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<(Entry, String)>> {
    conn.query(
        &format!(
            "SELECT {ENTRY}, c.numerator FROM charges c JOIN usage_entries e ON e.id = c.entry
             WHERE c.line = $1 AND c.entry > $2 ORDER BY c.entry LIMIT $3"
        ),
        args![line, after, limit],
        |row| Ok((entry(row)?, row.get(16)?)),
    )
}

impl Piece {
    /// The entry that this piece becomes.
    pub(crate) fn into_entry(self, id: String, meter: &str, recorded: Timestamp) -> Entry {
        Entry {
            id,
            meter: meter.to_owned(),
            version: self.version,
            basis: self.basis,
            origin: self.origin,
            epoch: self.epoch,
            from_us: self.from_us,
            until_us: self.until_us,
            from: self.from,
            until: self.until,
            month: self.month,
            sign: 1,
            sizes: self.sizes,
            corrects: None,
            reason: String::new(),
            recorded,
        }
    }
}
