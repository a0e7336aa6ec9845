//! Sites, pools and subnets: where hosts stand, which are alike, and the
//! addresses that their machines are given.

use std::net::IpAddr;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claims::{self, Range};
use crate::placement::{Demand, Dimension};
use crate::{PoolId, SiteId, SubnetId, hosts};

/// A place with hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// Its id.
    pub id: SiteId,
    /// Its name.
    pub name: String,
    /// Where it is, for people.
    pub place: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

/// An exact ratio: 4 over 1 sells every processor four times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ratio {
    /// Sold …
    pub over: u32,
    /// … for so many that are there.
    pub under: u32,
}

impl Ratio {
    const ONE: Ratio = Ratio { over: 1, under: 1 };

    /// The amount times the ratio, rounded down.
    pub fn of(self, amount: i64) -> i64 {
        let product = i128::from(amount) * i128::from(self.over) / i128::from(self.under.max(1));
        i64::try_from(product).unwrap_or(i64::MAX)
    }

    fn check(self, attribute: &str) -> Result<()> {
        if self.over == 0 || self.under == 0 || self.over > 1_000 || self.under > 1_000 {
            return Err(Error::invalid("pool.factor", "a factor is two whole numbers from 1 to 1000").at(attribute));
        }
        Ok(())
    }
}

/// How much of what is there may be sold, by dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Factors {
    /// Virtual processors for each that is there.
    pub vcpu: Ratio,
    /// Memory.
    pub memory: Ratio,
    /// Disk.
    pub disk: Ratio,
}

impl Default for Factors {
    fn default() -> Self {
        Factors { vcpu: Ratio { over: 4, under: 1 }, memory: Ratio::ONE, disk: Ratio::ONE }
    }
}

impl Factors {
    /// What may be sold of what is there.
    pub fn of(&self, there: Demand) -> Demand {
        let ratios = [self.vcpu, self.memory, self.disk];
        Demand::of(std::array::from_fn(|n| ratios[n].of(there.amounts()[n])))
    }

    fn check(&self) -> Result<()> {
        for (ratio, name) in [self.vcpu, self.memory, self.disk].into_iter().zip(Dimension::ALL) {
            ratio.check(&format!("factors.{}", name.word().trim_end_matches("_mib")))?;
        }
        Ok(())
    }
}

/// Hosts that are alike and placed upon alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// Its site.
    pub site: SiteId,
    /// Its name.
    pub name: String,
    /// How much of what is there may be sold.
    pub factors: Factors,
    /// First port of each host's loopback that may lead into a machine.
    pub port_first: u16,
    /// Last such port.
    pub port_last: u16,
    /// Counts its changes.
    pub revision: i64,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    #[serde(skip)]
    pub(crate) tenant: TenantId,
}

/// A range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// The pool whose machines it serves.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// The network: `192.0.2.0/24`.
    pub cidr: String,
    /// Where packets for elsewhere go; no machine is given it.
    pub gateway: Option<IpAddr>,
    /// The bridge on the hosts.
    pub bridge: String,
    /// The first address that is given out, counted from the network's.
    pub first: i64,
    /// The last address that is given out, counted from the network's.
    pub last: i64,
    #[serde(skip)]
    pub(crate) tenant: TenantId,
}

/// A name that people give.
pub(crate) fn check_name(name: &str, attribute: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name.malformed",
            "a name has from 1 to 200 characters, none of them control characters",
        )
        .at(attribute.to_owned()));
    }
    Ok(())
}

pub(crate) fn taken(what: &'static str, name: &str) -> impl FnOnce(Error) -> Error {
    let message = format!("there is a {what} called {name} already");
    move |e| {
        if e.code() == "db.duplicate" { Error::conflict(format!("{what}.name_taken"), message).at("name") } else { e }
    }
}

/// A site to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSite {
    /// Its name.
    pub name: String,
    /// Where it is, for people.
    #[serde(default)]
    pub place: String,
}

/// Makes a site.
pub static CREATE_SITE: Action<NewSite, Site> = Action {
    name: "site.create",
    summary: "Makes a site: a place with hosts.",
    effect: Effect::Create,
    run: |tx, input| {
        check_name(&input.name, "name")?;
        let (id, now, tenant) = (SiteId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        tx.touch("site", &id.to_string(), tenant, 0);
        tx.execute(
            "INSERT INTO sites (id, tenant, name, place, created_at) VALUES ($1, $2, $3, $4, $5)",
            args![id, tenant, input.name, input.place, now],
        )
        .map_err(taken("site", &input.name))?;
        db::words::begin(tx, "site", tenant, &id.to_string(), &[&input.name, &input.place])?;
        Ok(Site { id, name: input.name.clone(), place: input.place.clone(), created_at: now })
    },
};

/// The sites at which something can be placed now, by name: those with a host that takes machines. Their
/// names and nothing else, for whoever may choose among them.
///
/// # Errors
/// Those of the database.
pub fn open_sites(conn: &mut Conn<'_>) -> Result<Vec<(SiteId, String)>> {
    let sql = "SELECT DISTINCT s.id, s.name FROM sites s JOIN pools p ON p.site = s.id JOIN hosts h ON h.pool = p.id
         WHERE h.state = 'active' ORDER BY s.name, s.id LIMIT $1";
    conn.query(sql, args![limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSites {}

/// All sites, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SitePage {
    /// The sites.
    pub items: Vec<Site>,
}

/// Lists sites.
pub static LIST_SITES: Action<ListSites, SitePage> = Action {
    name: "site.list",
    summary: "Lists sites.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            "SELECT id, name, place, created_at FROM sites WHERE tenant = $1 ORDER BY id LIMIT $2",
            args![operator, limits::PAGE_MAX],
            |row| Ok(Site { id: row.get(0)?, name: row.get(1)?, place: row.get(2)?, created_at: row.get(3)? }),
        )?;
        Ok(SitePage { items })
    },
};

const POOL: &str = "SELECT id, site, name, factors, port_first, port_last, revision, created_at, tenant FROM pools";

fn read_pool(row: &Row) -> Result<Pool> {
    let factors: String = row.get(3)?;
    Ok(Pool {
        id: row.get(0)?,
        site: row.get(1)?,
        name: row.get(2)?,
        factors: serde_json::from_str(&factors)
            .map_err(|e| Error::bug("pool.damaged", "a pool's factors do not read").because(e))?,
        port_first: row.get(4)?,
        port_last: row.get(5)?,
        revision: row.get(6)?,
        created_at: row.get(7)?,
        tenant: row.get(8)?,
    })
}

/// The pool of that id.
///
/// # Errors
/// `NotFound`.
pub fn pool(conn: &mut Conn<'_>, id: PoolId) -> Result<Pool> {
    let found = conn.query_opt(&format!("{POOL} WHERE id = $1"), args![id], read_pool)?;
    found.ok_or_else(|| Error::not_found("pool.not_found", format!("there is no pool {id}")))
}

/// A pool to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPool {
    /// Its site.
    pub site: SiteId,
    /// Its name.
    pub name: String,
    /// How much of what is there may be sold; 4 processors for each, the rest as it is, unless said otherwise.
    #[serde(default)]
    pub factors: Factors,
    /// First port of each host's loopback that may lead into a machine; 20000 unless said otherwise.
    #[serde(default)]
    pub port_first: Option<u16>,
    /// Last such port; 29999 unless said otherwise.
    #[serde(default)]
    pub port_last: Option<u16>,
}

/// Makes a pool.
pub static CREATE_POOL: Action<NewPool, Pool> = Action {
    name: "pool.create",
    summary: "Makes a pool: hosts that are alike, and how much of them may be sold.",
    effect: Effect::Create,
    run: |tx, input| {
        check_name(&input.name, "name")?;
        input.factors.check()?;
        let (id, now, tenant) = (PoolId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        let ports = (input.port_first.unwrap_or(20_000), input.port_last.unwrap_or(29_999));
        if ports.0 < 1_024 || ports.1 < ports.0 {
            return Err(Error::invalid("pool.ports", "the ports begin at 1024 or above and end after they begin")
                .at("portFirst"));
        }
        let site: Option<TenantId> =
            tx.query_opt("SELECT tenant FROM sites WHERE id = $1", args![input.site], |row| row.get(0))?;
        if site != Some(tenant) {
            return Err(Error::dangling("site.absent", format!("there is no site {}", input.site)).at("site"));
        }
        tx.touch("pool", &id.to_string(), tenant, 1);
        let factors = factors_text(&input.factors)?;
        tx.execute(
            "INSERT INTO pools (id, tenant, site, name, factors, port_first, port_last, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)",
            args![id, tenant, input.site, input.name, factors, ports.0, ports.1, now],
        )
        .map_err(taken("pool", &input.name))?;
        db::words::begin(tx, "pool", tenant, &id.to_string(), &[&input.name])?;
        pool(tx, id)
    },
};

fn factors_text(factors: &Factors) -> Result<String> {
    serde_json::to_string(factors).map_err(|e| Error::bug("pool.factors", "factors cannot be written").because(e))
}

/// All pools, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PoolPage {
    /// The pools.
    pub items: Vec<Pool>,
}

/// Lists pools.
pub static LIST_POOLS: Action<ListSites, PoolPage> = Action {
    name: "pool.list",
    summary: "Lists pools.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            &format!("{POOL} WHERE tenant = $1 ORDER BY id LIMIT $2"),
            args![operator, limits::PAGE_MAX],
            read_pool,
        )?;
        Ok(PoolPage { items })
    },
};

/// What changes of a pool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePool {
    /// The pool.
    pub id: PoolId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its new factors. Less than is sold already takes effect as machines go.
    #[serde(default)]
    pub factors: Option<Factors>,
}

/// Changes a pool.
pub static UPDATE_POOL: Action<ChangePool, Pool> = Action {
    name: "pool.update",
    summary: "Renames a pool, or changes how much of its hosts may be sold.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = pool(tx, input.id)?;
        let tenant = found.tenant;
        let found = tx.grant("pool.update", "pool", &input.id.to_string(), tenant, Class::Internal, found)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            return Err(Error::stale("pool.stale", format!("the pool is at revision {} by now", found.revision)));
        }
        let (name, factors) = (input.name.as_ref().unwrap_or(&found.name), input.factors.unwrap_or(found.factors));
        check_name(name, "name")?;
        factors.check()?;
        let text = factors_text(&factors)?;
        tx.execute(
            "UPDATE pools SET name = $2, factors = $3, revision = revision + 1 WHERE id = $1",
            args![input.id, name, text],
        )
        .map_err(taken("pool", name))?;
        db::words::keep(tx, "pool", tenant, &input.id.to_string(), &[name])?;
        if factors != found.factors {
            for host in hosts::of_pool(tx, input.id)? {
                hosts::supply(tx, host)?;
            }
        }
        pool(tx, input.id)
    },
};

const SUBNET: &str = "SELECT id, pool, name, cidr, gateway, bridge, first, last, tenant FROM subnets";

fn read_subnet(row: &Row) -> Result<Subnet> {
    let gateway: Option<String> = row.get(4)?;
    Ok(Subnet {
        id: row.get(0)?,
        pool: row.get(1)?,
        name: row.get(2)?,
        cidr: row.get(3)?,
        gateway: gateway.and_then(|text| text.parse().ok()),
        bridge: row.get(5)?,
        first: row.get(6)?,
        last: row.get(7)?,
        tenant: row.get(8)?,
    })
}

/// The subnet of that id.
///
/// # Errors
/// `NotFound`.
pub fn subnet(conn: &mut Conn<'_>, id: SubnetId) -> Result<Subnet> {
    let found = conn.query_opt(&format!("{SUBNET} WHERE id = $1"), args![id], read_subnet)?;
    found.ok_or_else(|| Error::not_found("subnet.not_found", format!("there is no subnet {id}")))
}

/// The subnets of a pool, oldest first.
///
/// # Errors
/// Those of the database.
pub fn subnets_of(conn: &mut Conn<'_>, pool: PoolId) -> Result<Vec<Subnet>> {
    conn.query(&format!("{SUBNET} WHERE pool = $1 ORDER BY id LIMIT $2"), args![pool, limits::PAGE_MAX], read_subnet)
}

/// A subnet to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSubnet {
    /// The pool whose machines it serves.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// The network: `192.0.2.0/24`.
    pub cidr: String,
    /// Where packets for elsewhere go; no machine is given it.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The bridge on the hosts.
    pub bridge: String,
    /// The first address that is given out; the second of the network unless said otherwise.
    #[serde(default)]
    pub first: Option<IpAddr>,
    /// The last address that is given out; the last of the network unless said otherwise.
    #[serde(default)]
    pub last: Option<IpAddr>,
}

/// Makes a subnet.
pub static CREATE_SUBNET: Action<NewSubnet, Subnet> = Action {
    name: "subnet.create",
    summary: "Makes a range of addresses for a pool's machines.",
    effect: Effect::Create,
    run: |tx, input| {
        check_name(&input.name, "name")?;
        let range = Range::parse(&input.cidr)?;
        let inside = |address: Option<IpAddr>, otherwise: i64, attribute: &str| match address {
            None => Ok(otherwise),
            Some(address) => {
                let outside = || {
                    Error::invalid("subnet.outside", format!("{address} is not in {}", input.cidr))
                        .at(attribute.to_owned())
                };
                range.number(address).ok_or_else(outside)
            }
        };
        inside(input.gateway, 0, "gateway")?;
        let (first, last) = (inside(input.first, 1, "first")?, inside(input.last, range.last(), "last")?);
        let tenant = tx.cx().tenant();
        if pool(tx, input.pool).ok().is_none_or(|pool| pool.tenant != tenant) {
            return Err(Error::dangling("pool.absent", format!("there is no pool {}", input.pool)).at("pool"));
        }
        if last < first {
            return Err(Error::invalid("subnet.empty", "the last address lies before the first").at("last"));
        }
        let id = SubnetId::fresh(tx.ids(), tx.now);
        let now = tx.now;
        tx.touch("subnet", &id.to_string(), tenant, 0);
        tx.execute(
            "INSERT INTO subnets (id, tenant, pool, name, cidr, gateway, bridge, first, last, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            args![id, tenant, input.pool, input.name, input.cidr, input.gateway.map(|g| g.to_string()), input.bridge, first, last, now],
        )
        .map_err(taken("subnet", &input.name))?;
        db::words::begin(tx, "subnet", tenant, &id.to_string(), &[&input.name, &input.cidr])?;
        let made = subnet(tx, id)?;
        claims::keep(tx, &made)?;
        Ok(made)
    },
};

/// All subnets, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetPage {
    /// The subnets.
    pub items: Vec<Subnet>,
}

/// Lists subnets.
pub static LIST_SUBNETS: Action<ListSites, SubnetPage> = Action {
    name: "subnet.list",
    summary: "Lists subnets.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            &format!("{SUBNET} WHERE tenant = $1 ORDER BY id LIMIT $2"),
            args![operator, limits::PAGE_MAX],
            read_subnet,
        )?;
        Ok(SubnetPage { items })
    },
};
