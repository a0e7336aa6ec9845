//! Where a request comes from. What a proxy says is believed only of a proxy
//! that the operator named.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::HeaderMap;
use base::Error;

/// A range of addresses, `10.0.0.0/8`, or one address.
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
        if prefix > most { Err(wrong()) } else { Ok(Network { ip, prefix }) }
    }
}

impl Network {
    /// Whether the address lies inside.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same_bits(net.to_bits().into(), ip.to_bits().into(), 32 - self.prefix),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same_bits(net.to_bits(), ip.to_bits(), 128 - self.prefix),
            _ => false,
        }
    }
}

fn same_bits(a: u128, b: u128, ignored: u32) -> bool {
    a.checked_shr(ignored) == b.checked_shr(ignored)
}

/// The client's address and whether it came encrypted, from what the
/// connection says and, behind trusted proxies, what those say.
pub(crate) fn client(
    peer: Option<IpAddr>,
    secure: bool,
    headers: &HeaderMap,
    trusted: &[Network],
) -> (Option<IpAddr>, bool) {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let Some(peer) = peer.map(|ip| ip.to_canonical()) else { return (None, secure) };
    if !is_trusted(peer) {
        return (Some(peer), secure);
    }
    let last = |name: &str| headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).next_back();
    let secure = last("x-forwarded-proto").map_or(secure, |scheme| scheme.trim().eq_ignore_ascii_case("https"));
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|line| line.split(','))
        .collect();
    // From the nearest hop outwards: the first that is none of ours is the client; beyond it anybody may have written.
    let mut client = peer;
    for hop in said.into_iter().rev() {
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    (Some(client), secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "::1"].iter().map(|t| t.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.9".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        let ask = |peer: &str| client(peer.parse().ok(), false, &headers, &trusted);
        assert_eq!(ask("203.0.113.1"), ("203.0.113.1".parse().ok(), false), "a stranger's word");
        assert_eq!(
            ask("10.1.1.1"),
            ("198.51.100.7".parse().ok(), true),
            "the first that is no proxy, not what it claims"
        );
        assert_eq!(ask("::1"), ("198.51.100.7".parse().ok(), true));
        assert_eq!(ask("::ffff:10.1.1.1"), ("198.51.100.7".parse().ok(), true));
        for wrong in ["10.0.0.0/33", "x", "::/129", ""] {
            assert!(wrong.parse::<Network>().is_err());
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
    }
}
