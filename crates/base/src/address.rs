//! Network addresses: those that people stand behind, and ranges of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, limits};

/// A range of addresses, `10.0.0.0/8`, or one address. Bits behind the prefix are cleared, so that
/// two ways of writing one range are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    prefix: u32,
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong =
            || Error::invalid("network.malformed", format!("`{text}` is not an address or a range such as 10.0.0.0/8"));
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let ip: IpAddr = ip.trim().parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |p| p.trim().parse::<u32>().map_err(|_| wrong()))?;
        // A mapped IPv4 address would never be met: callers' addresses are looked at as IPv4.
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if prefix > most || mapped { Err(wrong()) } else { Ok(Network { ip: cut(ip, prefix), prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl Network {
    /// Whether the address lies inside.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.ip.is_ipv4() && cut(ip, self.prefix) == self.ip
    }

    /// Whether all of another range lies inside.
    pub fn covers(&self, other: &Network) -> bool {
        other.prefix >= self.prefix && self.contains(other.ip)
    }
}

/// An address without the bits behind the prefix.
fn cut(ip: IpAddr, prefix: u32) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !u32::MAX.checked_shr(prefix).unwrap_or(0))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::MAX.checked_shr(prefix).unwrap_or(0))),
    }
}

/// What one caller is counted under: an IPv4 address; of IPv6, the network of a
/// household, since whoever has one address there has 2⁶⁴ of them.
pub fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Who holds how many connections. Each listener has one.
#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<IpAddr, usize>>);

/// One connection of an address, for as long as it is kept.
#[derive(Debug)]
pub struct Held {
    all: Arc<Connections>,
    by: IpAddr,
}

impl Connections {
    /// Counts a connection; `None` where its address holds as many as it may.
    pub fn hold(self: &Arc<Self>, peer: IpAddr) -> Option<Held> {
        let by = household(peer);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.entry(by).or_default();
        if *number >= limits::CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *number += 1;
        Some(Held { all: self.clone(), by })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut number) = all.entry(self.by) {
            *number.get_mut() -= 1;
            if *number.get() == 0 {
                number.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
        ] {
            assert!(network(range).contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network(range).contains(outside.parse().unwrap()), "{range} {outside}");
        }
        assert!(network("10.0.0.0/8").contains("::ffff:10.1.1.1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "x", "::/129", "", "10.0.0.0/-1", "::ffff:10.0.0.1", "10.0.0.0/8/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_written_in_one_way_and_lie_in_each_other() {
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3/8"), network(" 10.0.0.0/8".trim()));
        assert!(network("10.0.0.0/8").covers(&network("10.2.0.0/16")));
        assert!(!network("10.2.0.0/16").covers(&network("10.0.0.0/8")));
        assert!(!network("::/0").covers(&network("10.0.0.0/8")));
    }

    #[test]
    fn a_household_is_one_caller() {
        let of = |text: &str| household(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((of("192.0.2.7"), of("::ffff:192.0.2.7")), ("192.0.2.7".to_owned(), "192.0.2.7".to_owned()));
    }

    #[test]
    fn one_address_cannot_hold_all_connections() {
        let all = Arc::new(Connections::default());
        let from = |text: &str| all.hold(text.parse().unwrap());
        let mut held: Vec<Held> =
            (0..limits::CONNECTIONS_PER_ADDRESS_MAX).map(|n| from(&format!("2001:db8::{n:x}")).unwrap()).collect();
        assert!(from("2001:db8::1:1").is_none());
        assert!(from("2001:db8:0:1::1").is_some() && from("192.0.2.1").is_some());
        held.pop();
        held.push(from("2001:db8::1:1").unwrap());
        drop(held);
        assert!(all.0.lock().unwrap().is_empty());
    }
}
