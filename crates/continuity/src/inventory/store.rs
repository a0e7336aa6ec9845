//! Every SQL statement of inventories. What the platform knows is read where it is kept, in a
//! number of statements that does not depend on how much there is.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::Tx;
use gate::search::{Asked, Hit};
use provisioning::services::CUSTOMER_FACING;
use resources::placement::Demand;
use serde::Deserialize;
use serde_json::Value as Json;

use super::types::{Entry, HostSeen, Kind, Known, Machine, Needs, PlaceSeen, Said, Served, Stated};
use crate::InventoryId;
use crate::backups::places::Location;

fn damaged(what: &'static str) -> Error {
    Error::bug("inventory.damaged", format!("a stored {what} does not read"))
}

// What the platform knows.

/// Everything of a tenant that the platform knows; of everybody where none is named.
pub(super) fn known(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<Known> {
    Ok(Known {
        services: services(conn, whose)?,
        machines: machines(conn, whose)?,
        hosts: hosts(conn)?,
        sites: conn.query("SELECT id, name FROM sites ORDER BY id", &[], |row| Ok((row.get(0)?, row.get(1)?)))?,
        places: places(conn, whose)?,
    })
}

/// The condition that a record is a living service, of that tenant where one is named.
fn living(whose: Option<TenantId>) -> &'static str {
    match whose {
        Some(_) => "r.kind = 'service' AND r.state IN ('active', 'inactive') AND r.tenant = $1",
        None => "r.kind = 'service' AND r.state IN ('active', 'inactive') AND $1 = ''",
    }
}

fn named(whose: Option<TenantId>) -> String {
    whose.map(|tenant| tenant.to_string()).unwrap_or_default()
}

fn services(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<Vec<Served>> {
    let sql = format!("SELECT r.id, r.tenant, r.body FROM records r WHERE {} ORDER BY r.id LIMIT $2", living(whose));
    let found = conn.query(&sql, args![named(whose), limits::IMPACT_NODES_MAX], |row| {
        let body: Json = serde_json::from_str(row.text(2)?).map_err(|_| damaged("service"))?;
        let customers = body["category"] == CUSTOMER_FACING;
        Ok(customers.then_some(Served {
            id: row.get(0)?,
            tenant: row.get(1)?,
            name: body["name"].as_str().unwrap_or_default().to_owned(),
            relies_on: relies_on(&body),
        }))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// The services that a service says it is supported by, or relies on (TMF638).
fn relies_on(service: &Json) -> Vec<String> {
    let list = |name: &str| service[name].as_array().into_iter().flatten().collect::<Vec<_>>();
    let supporting = list("supportingService").into_iter().map(|one| &one["id"]);
    let related = list("serviceRelationship").into_iter();
    let related = related.filter(|one| one["relationshipType"] == "reliesOn").map(|one| &one["service"]["id"]);
    supporting.chain(related).filter_map(Json::as_str).map(str::to_owned).collect()
}

#[derive(Deserialize)]
struct Called {
    name: String,
}
#[derive(Deserialize)]
struct Seen {
    check: Option<Booted>,
}
#[derive(Deserialize)]
struct Booted {
    #[serde(rename = "bootMs")]
    boot_ms: Option<u64>,
}

fn machines(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<Vec<Machine>> {
    let sql = format!(
        "SELECT i.id, i.service, i.tenant, i.host, i.desired, i.observed, v.vcpu, v.memory_mib, v.disk_mib
         FROM records r JOIN intents i ON i.service = r.id LEFT JOIN reservations v ON v.machine = i.id
         WHERE {} AND i.standing = 'serving' AND i.desired IS NOT NULL ORDER BY i.id LIMIT $2",
        living(whose)
    );
    conn.query(&sql, args![named(whose), limits::IMPACT_NODES_MAX], |row| {
        let called: Called = serde_json::from_str(row.text(4)?).map_err(|_| damaged("machine"))?;
        let seen: Option<String> = row.get(5)?;
        let seen: Option<Seen> = seen.and_then(|seen| serde_json::from_str(&seen).ok());
        let boot = seen.and_then(|seen| seen.check?.boot_ms);
        let amount = |column| Ok::<i64, Error>(row.get::<Option<i64>>(column)?.unwrap_or(0));
        Ok(Machine {
            id: row.get(0)?,
            service: row.get(1)?,
            tenant: row.get(2)?,
            host: row.get(3)?,
            name: called.name,
            demand: Demand { vcpu: amount(6)?, memory_mib: amount(7)?, disk_mib: amount(8)? },
            boot_seconds: boot.map(|ms| ms.div_ceil(1_000)),
        })
    })
}

fn hosts(conn: &mut Conn<'_>) -> Result<Vec<HostSeen>> {
    let sql = "SELECT h.id, h.name, p.site, h.state, h.reachable FROM hosts h JOIN pools p ON p.id = h.pool
         WHERE h.state <> 'retired' ORDER BY h.id LIMIT $1";
    conn.query(sql, args![limits::HOSTS_PLACED_MAX], |row| {
        let takes = row.text(3)? == "active" && row.get::<bool>(4)?;
        Ok(HostSeen { id: row.get(0)?, name: row.get(1)?, site: row.get(2)?, takes })
    })
}

/// The places where a tenant has a repository; all places where no tenant is named.
fn places(conn: &mut Conn<'_>, whose: Option<TenantId>) -> Result<Vec<PlaceSeen>> {
    let only = match whose {
        Some(_) => "p.id IN (SELECT place FROM backup_repositories WHERE tenant = $1)",
        None => "$1 = ''",
    };
    let sql =
        format!("SELECT p.id, p.name, p.location, p.site, p.host FROM backup_places p WHERE {only} ORDER BY p.id");
    conn.query(&sql, args![named(whose)], |row| {
        let location: Location = serde_json::from_str(row.text(2)?).map_err(|_| damaged("place"))?;
        let (only, site) = (location.host().map(|host| host.to_string()), row.get::<String>(3)?);
        let site = Some(site).filter(|site| site != crate::backups::places::ELSEWHERE);
        let host = only.clone().or(row.get(4)?);
        Ok(PlaceSeen { id: row.get(0)?, name: row.get(1)?, only, host, site })
    })
}

// What people said.

/// What entries are called among the words that things are found by.
const WORDS: &str = "inventory";

const SELECT: &str = "SELECT id, own_key, known, kind, name, within, repair_seconds, start_seconds, importance, likelihood, owner, note, revision FROM inventory_nodes";

fn read(row: &Row<'_>) -> Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        key: row.get(1)?,
        known: row.get(2)?,
        kind: Kind::of(row.text(3)?).ok_or_else(|| damaged("kind"))?,
        name: row.get(4)?,
        within: row.get(5)?,
        said: Said {
            repair_seconds: row.get(6)?,
            start_seconds: row.get(7)?,
            importance: row.get(8)?,
            likelihood: row.get(9)?,
            owner: row.get(10)?,
            note: row.get(11)?,
        },
        revision: row.get(12)?,
    })
}

/// What a tenant added and said.
pub(super) fn entries(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Entry>> {
    conn.query(&format!("{SELECT} WHERE tenant = $1 ORDER BY id"), args![tenant], read)
}

/// What a tenant said that needs what.
pub(super) fn stated(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Stated>> {
    let sql =
        "SELECT node, set_no, member, at_least FROM inventory_needs WHERE tenant = $1 ORDER BY node, set_no, member";
    let (mut all, mut last): (Vec<Stated>, Option<i64>) = (Vec::new(), None);
    conn.each(sql, args![tenant], |row| {
        let (node, set, member): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match all.last_mut().filter(|(of, _)| last == Some(set) && *of == node) {
            Some((_, needs)) => needs.of.push(member),
            None => all.push((node, Needs { at_least: row.get(3)?, of: vec![member], known: false })),
        }
        last = Some(set);
        Ok(())
    })?;
    Ok(all)
}

/// Writes what is said of a thing; what it needs stays.
pub(super) fn put(tx: &mut Tx<'_>, tenant: TenantId, entry: &Entry) -> Result<()> {
    let (now, by, said) = (tx.now, tx.cx().actor().to_string(), &entry.said);
    tx.execute(
        "INSERT INTO inventory_nodes (tenant, id, own_key, known, kind, name, within, repair_seconds, start_seconds, importance, likelihood, owner, note, revision, changed_by, changed_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $15, $15)
         ON CONFLICT (tenant, id) DO UPDATE SET own_key = excluded.own_key, kind = excluded.kind, name = excluded.name, within = excluded.within,
            repair_seconds = excluded.repair_seconds, start_seconds = excluded.start_seconds, importance = excluded.importance, likelihood = excluded.likelihood,
            owner = excluded.owner, note = excluded.note, revision = inventory_nodes.revision + 1, changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        args![
            tenant,
            entry.id,
            entry.key,
            entry.known,
            entry.kind.word(),
            entry.name,
            entry.within,
            said.repair_seconds,
            said.start_seconds,
            said.importance,
            said.likelihood,
            said.owner,
            said.note,
            by,
            now
        ],
    )?;
    keep_words(tx, tenant, entry)
}

/// Ids of one inventory can be those of another.
fn word_id(tenant: TenantId, id: &str) -> String {
    format!("{tenant}/{id}")
}

/// What the platform knows by itself is found as what it is.
fn keep_words(tx: &mut Tx<'_>, tenant: TenantId, entry: &Entry) -> Result<()> {
    let texts = [entry.name.as_str(), entry.key.as_str()];
    let texts = if entry.known { &[][..] } else { &texts[..] };
    db::words::keep(tx, WORDS, tenant, &word_id(tenant, &entry.id), texts)
}

/// What people added, by the words of its name, by its key or by its id; in the acting tenant.
pub(crate) fn find(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let tenant = tx.cx().tenant();
    let mut ids = Vec::new();
    if let Some(begin) = asked.begins(InventoryId::PREFIX) {
        let sql = "SELECT id FROM inventory_nodes WHERE tenant = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4";
        ids.extend(tx.query(sql, args![tenant, begin, format!("{begin}~"), asked.limit], |row| row.get(0))?);
    }
    let worded = db::words::find(tx, WORDS, Some(&[tenant]), asked.text, asked.limit)?;
    ids.extend(worded.iter().filter_map(|id| Some(id.split_once('/')?.1.to_owned())));
    let mut hits = Vec::new();
    for id in ids {
        let one = tx.query_opt(&format!("{SELECT} WHERE tenant = $1 AND id = $2"), args![tenant, id], read)?;
        hits.extend(one.map(|one| Hit {
            id: one.id,
            name: one.name,
            tenant,
            state: String::new(),
            about: one.within.unwrap_or_default(),
            category: one.kind.word().to_owned(),
        }));
    }
    Ok(hits)
}

/// Writes all that a thing needs, as people say.
pub(super) fn put_needs(tx: &mut Tx<'_>, tenant: TenantId, node: &str, needs: &[Needs]) -> Result<()> {
    tx.execute("DELETE FROM inventory_needs WHERE tenant = $1 AND node = $2", args![tenant, node])?;
    for (set, one) in needs.iter().enumerate() {
        for member in &one.of {
            tx.execute(
                "INSERT INTO inventory_needs (tenant, node, set_no, member, at_least) VALUES ($1, $2, $3, $4, $5)",
                args![tenant, node, set, member, one.at_least],
            )?;
        }
    }
    Ok(())
}

/// How many entries a tenant has, and how many members of needs.
pub(super) fn sizes(conn: &mut Conn<'_>, tenant: TenantId) -> Result<(usize, usize)> {
    let sql = "SELECT (SELECT COUNT(*) FROM inventory_nodes WHERE tenant = $1), (SELECT COUNT(*) FROM inventory_needs WHERE tenant = $1)";
    let (entries, members): (u32, u32) = conn.query_one(sql, args![tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((entries as usize, members as usize))
}

/// What a tenant said of one thing is said of another from now on.
pub(super) fn rename(tx: &mut Tx<'_>, tenant: TenantId, old: &str, new: &str) -> Result<()> {
    for sql in [
        "UPDATE inventory_nodes SET id = $3, own_key = $3 WHERE tenant = $1 AND id = $2",
        "UPDATE inventory_nodes SET within = $3 WHERE tenant = $1 AND within = $2",
        "UPDATE inventory_needs SET node = $3 WHERE tenant = $1 AND node = $2",
        "UPDATE inventory_needs SET member = $3 WHERE tenant = $1 AND member = $2",
    ] {
        tx.execute(sql, args![tenant, old, new])?;
    }
    // What the platform knows is renamed, and has no words of its own.
    db::words::forget(tx, &word_id(tenant, old))
}

/// Takes away what is said of a thing, and what it needs.
pub(super) fn remove(tx: &mut Tx<'_>, tenant: TenantId, id: &str) -> Result<()> {
    for sql in [
        "DELETE FROM inventory_needs WHERE tenant = $1 AND node = $2",
        "DELETE FROM inventory_nodes WHERE tenant = $1 AND id = $2",
    ] {
        tx.execute(sql, args![tenant, id])?;
    }
    db::words::forget(tx, &word_id(tenant, id))
}
