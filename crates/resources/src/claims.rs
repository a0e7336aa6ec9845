//! Claims: things that are one of a kind. A port of a host, an address of a
//! subnet, a station address.
//!
//! A claim is held by a machine in a named slot (`http`, `eth0`), so that
//! asking again gives the same. It is let go with the machine's reservation,
//! when the machine's absence was observed ([`crate::capacity::free`]).
//!
//! Invariant: one holder each (`claims`' keys; the threads' test). A lost race
//! is `Contended`, so that the transaction runs again and finds another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, args};
use drivers::wire::{IntentId, Mac};
use gate::search::{Asked, Hit};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SubnetId;
use crate::places::{self, Subnet};

/// Something that one machine holds and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// `port`, `address` or `mac`.
    pub kind: String,
    /// Within what it is one of a kind: a host, a subnet, everything.
    pub scope: String,
    /// What it is: `40001`, `192.0.2.7`, `52:54:00:12:34:56`.
    pub value: String,
    /// The machine that holds it.
    pub machine: String,
    /// What the machine uses it for.
    pub slot: String,
    /// Whose machine it is.
    pub tenant: TenantId,
    /// Since when.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// An address with what a guest needs to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// With its prefix length: `192.0.2.7/24`.
    pub cidr: String,
    /// Where packets for elsewhere go.
    pub gateway: Option<IpAddr>,
    /// The bridge that it is reached through.
    pub bridge: String,
}

/// Who asks for a claim.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The machine.
    pub machine: &'a IntentId,
    /// What for; asking again with the same slot gives the same claim.
    pub slot: &'a str,
    /// Whose machine it is.
    pub tenant: TenantId,
}

/// Claims a port of `host`'s loopback, out of its pool's range.
///
/// # Errors
/// `Exhausted` (`claim.none_left`), `NotFound` for the host.
pub fn port(tx: &mut Tx<'_>, holder: Holder<'_>, host: HostId) -> Result<u16> {
    let range: Option<(i64, i64)> = tx.query_opt(
        "SELECT p.port_first, p.port_last FROM hosts h JOIN pools p ON p.id = h.pool WHERE h.id = $1",
        args![host],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (first, last) = range.ok_or_else(|| Error::not_found("host.not_found", format!("there is no host {host}")))?;
    let value = claim(tx, &holder, "port", &host.to_string(), first, last, |number| Ok(number.to_string()))?;
    value.parse().map_err(|_| Error::bug("claim.damaged", "a claimed port is not one"))
}

/// Claims an address of `subnet`.
///
/// # Errors
/// `Exhausted` (`claim.none_left`), `NotFound` for the subnet.
pub fn address(tx: &mut Tx<'_>, holder: Holder<'_>, subnet: SubnetId) -> Result<Address> {
    let subnet = places::subnet(tx, subnet)?;
    let range = Range::parse(&subnet.cidr)?;
    let number = |number: i64| range.address(number).to_string();
    // The gateway keeps its number by a claim of its own, made with the subnet.
    let value = claim(tx, &holder, "address", &subnet.id.to_string(), subnet.first, subnet.last, |n| Ok(number(n)))?;
    let address: IpAddr = value.parse().map_err(|_| Error::bug("claim.damaged", "a claimed address is not one"))?;
    Ok(Address { address, cidr: format!("{address}/{}", range.prefix), gateway: subnet.gateway, bridge: subnet.bridge })
}

/// Claims a station address for the interface number `at` of a machine.
///
/// # Errors
/// `Exhausted` where many attempts all met a holder.
pub fn mac(tx: &mut Tx<'_>, holder: Holder<'_>, at: usize) -> Result<Mac> {
    let damaged = |_| Error::bug("claim.damaged", "a claimed station address is not one");
    if let Some(value) = held(tx, &holder, "mac")? {
        return value.parse().map_err(damaged);
    }
    for attempt in 0..64 {
        let mac = Mac::derived(holder.machine, at + attempt * limits::MACHINE_NETWORKS_MAX);
        let number = i64::from_str_radix(&mac.as_str().replace(':', ""), 16)
            .map_err(|e| Error::bug("claim.mac", e.to_string()))?;
        if insert(tx, &holder, "mac", "", number, mac.as_str())? {
            return Ok(mac);
        }
    }
    Err(Error::exhausted("claim.none_left", "no station address is free"))
}

/// The value that the holder has in that slot already.
fn held(tx: &mut Tx<'_>, holder: &Holder<'_>, kind: &str) -> Result<Option<String>> {
    tx.query_opt(
        "SELECT value FROM claims WHERE machine = $1 AND kind = $2 AND slot = $3",
        args![holder.machine.as_str(), kind, holder.slot],
        |row| row.get(0),
    )
}

fn claim(
    tx: &mut Tx<'_>,
    holder: &Holder<'_>,
    kind: &str,
    scope: &str,
    first: i64,
    last: i64,
    value: impl Fn(i64) -> Result<String>,
) -> Result<String> {
    if let Some(value) = held(tx, holder, kind)? {
        return Ok(value);
    }
    let number = next_free(tx, kind, scope, first, last)?;
    if number > last {
        return Err(Error::exhausted("claim.none_left", format!("no {kind} is left in {scope}")));
    }
    let value = value(number)?;
    if insert(tx, holder, kind, scope, number, &value)? {
        Ok(value)
    } else {
        Err(Error::contended("claim.taken", format!("{kind} {value} was taken meanwhile")))
    }
}

/// A number that nobody holds; beyond `last` where there is none. The one above
/// those that are held, so that finding it does not take longer the more there
/// are, and what was given back is not given out again at once.
fn next_free(tx: &mut Tx<'_>, kind: &str, scope: &str, first: i64, last: i64) -> Result<i64> {
    let highest: Option<i64> = tx.query_opt(
        "SELECT number FROM claims WHERE kind = $1 AND scope = $2 AND number >= $3 AND number <= $4 AND slot <> 'gateway'
         ORDER BY number DESC LIMIT 1",
        args![kind, scope, first, last],
        |row| row.get(0),
    )?;
    let above = lowest_free(tx, kind, scope, highest.map_or(first, |number| number + 1))?;
    if above <= last { Ok(above) } else { lowest_free(tx, kind, scope, first) }
}

/// The lowest number from `first` on that nobody holds.
fn lowest_free(tx: &mut Tx<'_>, kind: &str, scope: &str, first: i64) -> Result<i64> {
    let taken: Option<i64> = tx.query_opt(
        "SELECT number FROM claims WHERE kind = $1 AND scope = $2 AND number = $3",
        args![kind, scope, first],
        |row| row.get(0),
    )?;
    if taken.is_none() {
        return Ok(first);
    }
    tx.query_one(
        "SELECT c.number + 1 FROM claims c WHERE c.kind = $1 AND c.scope = $2 AND c.number >= $3 AND NOT EXISTS
         (SELECT 1 FROM claims d WHERE d.kind = $1 AND d.scope = $2 AND d.number = c.number + 1) ORDER BY c.number LIMIT 1",
        args![kind, scope, first],
        |row| row.get(0),
    )
}

fn insert(tx: &mut Tx<'_>, holder: &Holder<'_>, kind: &str, scope: &str, number: i64, value: &str) -> Result<bool> {
    let now = tx.now;
    let made = tx.execute(
        "INSERT INTO claims (kind, scope, number, value, machine, slot, tenant, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT DO NOTHING",
        args![kind, scope, number, value, holder.machine.as_str(), holder.slot, holder.tenant, now],
    )?;
    Ok(made == 1)
}

/// Keeps the numbers of a new subnet that no machine may have.
pub(crate) fn keep(tx: &mut Tx<'_>, subnet: &Subnet) -> Result<()> {
    let range = Range::parse(&subnet.cidr)?;
    let Some(gateway) = subnet.gateway else { return Ok(()) };
    let Some(number) = range.number(gateway) else { return Ok(()) };
    let machine: IntentId = subnet.id.to_string().parse().map_err(|e: String| Error::bug("claim.keeper", e))?;
    let holder = Holder { machine: &machine, slot: "gateway", tenant: subnet.tenant };
    insert(tx, &holder, "address", &subnet.id.to_string(), number, &gateway.to_string()).map(drop)
}

/// What a machine holds.
///
/// # Errors
/// Those of the database.
pub fn of(conn: &mut Conn<'_>, machine: &IntentId) -> Result<Vec<Claim>> {
    conn.query(&format!("{SELECT} WHERE machine = $1 ORDER BY kind, slot"), args![machine.as_str()], read)
}

/// Lets go of all that a machine holds. Not public: only its observed absence frees it.
pub(crate) fn release(conn: &mut Conn<'_>, machine: &str) -> Result<u64> {
    conn.execute("DELETE FROM claims WHERE machine = $1", args![machine])
}

/// Claims of what begins so: an address, a port, a station address. Of the ports, which every host has,
/// the first that are met.
pub(crate) fn find(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let text = asked.id.as_str();
    // Nothing else is claimed than numbers with points or colons between them.
    if !text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.' || b == b':') {
        return Ok(Vec::new());
    }
    let sql =
        "SELECT c.value, c.tenant, c.kind, c.machine, i.service FROM claims c LEFT JOIN intents i ON i.id = c.machine
         WHERE c.value >= $1 AND c.value < $2 ORDER BY c.value, c.kind, c.scope LIMIT $3";
    tx.query(sql, args![text, format!("{text}~"), asked.limit], |row| {
        let (machine, service): (String, Option<String>) = (row.get(3)?, row.get(4)?);
        Ok(Hit {
            id: row.get(0)?,
            tenant: row.get(1)?,
            category: row.get(2)?,
            state: String::new(),
            about: service.unwrap_or_else(|| machine.clone()),
            name: machine,
        })
    })
}

const SELECT: &str = "SELECT kind, scope, value, machine, slot, tenant, at FROM claims";

fn read(row: &db::Row) -> Result<Claim> {
    Ok(Claim {
        kind: row.get(0)?,
        scope: row.get(1)?,
        value: row.get(2)?,
        machine: row.get(3)?,
        slot: row.get(4)?,
        tenant: row.get(5)?,
        at: row.get(6)?,
    })
}

/// The addresses of a subnet, counted from its network address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    base: u128,
    v4: bool,
    /// The prefix length.
    pub(crate) prefix: u8,
}

impl Range {
    /// Reads `192.0.2.0/24`. Host bits must be zero.
    pub(crate) fn parse(cidr: &str) -> Result<Self> {
        let malformed = || {
            Error::invalid("subnet.cidr", format!("`{cidr}` is not a network such as 192.0.2.0/24 or 2001:db8::/64"))
                .at("cidr")
        };
        let (address, prefix) = cidr.split_once('/').ok_or_else(malformed)?;
        let (address, prefix): (IpAddr, u8) =
            (address.parse().map_err(|_| malformed())?, prefix.parse().map_err(|_| malformed())?);
        let (base, v4, bits) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), true, 32u8),
            IpAddr::V6(v6) => (v6.to_bits(), false, 128),
        };
        let free = bits.checked_sub(prefix).ok_or_else(malformed)?;
        if free > 62 && v4 || free == 0 || base.trailing_zeros() < u32::from(free) && base != 0 {
            return Err(malformed());
        }
        Ok(Range { base, v4, prefix })
    }

    fn bits(self) -> u32 {
        u32::from(if self.v4 { 32 - self.prefix } else { 128 - self.prefix })
    }

    /// The last number that may be given to a machine: not the broadcast address.
    pub(crate) fn last(self) -> i64 {
        let size = 1i64.checked_shl(self.bits()).filter(|size| *size > 0).unwrap_or(i64::MAX);
        if self.v4 { size - 2 } else { size - 1 }
    }

    /// Which of its addresses this is.
    pub(crate) fn number(self, address: IpAddr) -> Option<i64> {
        let value = match (address, self.v4) {
            (IpAddr::V4(v4), true) => u128::from(v4.to_bits()),
            (IpAddr::V6(v6), false) => v6.to_bits(),
            _ => return None,
        };
        let number = i64::try_from(value.checked_sub(self.base)?).ok()?;
        (number <= self.last()).then_some(number)
    }

    /// The address of that number.
    pub(crate) fn address(self, number: i64) -> IpAddr {
        let value = self.base + u128::try_from(number).unwrap_or(0);
        match u32::try_from(value) {
            Ok(bits) if self.v4 => Ipv4Addr::from_bits(bits).into(),
            _ => Ipv6Addr::from_bits(value).into(),
        }
    }
}

/// Which claims.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListClaims {
    /// Only of this host, subnet or machine.
    pub of: Option<String>,
    /// Continue after this value of `next`.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// A page of claims.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimPage {
    /// The claims.
    pub items: Vec<Claim>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Claims on the operator's hosts and subnets.
pub static LIST: Action<ListClaims, ClaimPage> = Action {
    name: "claim.list",
    summary: "Lists the ports and addresses that machines hold.",
    effect: Effect::Read,
    run: |tx, input| {
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let after = input.after.clone().unwrap_or_default();
        let parts: Vec<&str> = after.splitn(3, ' ').collect();
        let (kind, number, scope) = match parts[..] {
            [kind, number, scope] => (kind, number.parse::<i64>().unwrap_or(0), scope),
            _ => ("", 0, ""),
        };
        let of = input.of.clone().unwrap_or_default();
        let operator = tx.cx().tenant();
        let mut rows = tx.query(
            "SELECT c.kind, c.scope, c.value, c.machine, c.slot, c.tenant, c.at, c.number FROM claims c
             WHERE (c.kind, c.scope, c.number) > ($1, $2, $3) AND ($4 = '' OR c.scope = $4 OR c.machine = $4)
               AND (c.scope = '' OR EXISTS (SELECT 1 FROM hosts h WHERE h.id = c.scope AND h.tenant = $5)
                    OR EXISTS (SELECT 1 FROM subnets s WHERE s.id = c.scope AND s.tenant = $5))
             ORDER BY c.kind, c.scope, c.number LIMIT $6",
            args![kind, scope, number, of, operator, i64::from(limit) + 1],
            |row| Ok((read(row)?, row.get::<i64>(7)?)),
        )?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next =
            rows.last().filter(|_| more).map(|(claim, number)| format!("{} {number} {}", claim.kind, claim.scope));
        Ok(ClaimPage { items: rows.into_iter().map(|(claim, _)| claim).collect(), next })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_counts_its_addresses() {
        for (cidr, number, address, last) in [
            ("192.0.2.0/24", 7, "192.0.2.7", 254),
            ("10.0.0.0/8", 65_536, "10.1.0.0", 16_777_214),
            ("2001:db8::/64", 300, "2001:db8::12c", i64::MAX),
            ("2001:db8::/112", 255, "2001:db8::ff", 65_535),
        ] {
            let range = Range::parse(cidr).unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!((range.address(number), range.number(address)), (address, Some(number)));
            assert!(range.last() == last || last == i64::MAX, "{cidr}: {}", range.last());
        }
        for wrong in ["192.0.2.1/24", "192.0.2.0", "192.0.2.0/33", "192.0.2.0/32", "::/129", "x/8", ""] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
    }
}
