//! Network addresses, as far as people stand behind them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits;

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
