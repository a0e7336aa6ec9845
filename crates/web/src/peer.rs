//! Where a request comes from. What a proxy says is believed only of a proxy
//! that the operator named.

use std::net::IpAddr;

use axum::http::HeaderMap;
use base::address::Network;

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
    }
}
