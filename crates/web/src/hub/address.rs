//! Where notifications may go. The other side chooses the address, so it is
//! looked at as an attacker's: names are resolved once, every address found is
//! checked, and the connection is made to those very addresses. A name that
//! answers differently the second time (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use axum::http::Uri;
use base::{Error, Result, limits};

/// Reads a callback's address.
///
/// # Errors
/// `Invalid` (`hub.callback`) where it is none, is too long, carries a
/// password, or names an address that is not allowed.
pub fn read(callback: &str, private: bool) -> Result<Uri> {
    let refused = |why: &str| Error::invalid("hub.callback", why.to_owned()).at("callback");
    if callback.len() > limits::CALLBACK_BYTES_MAX {
        return Err(refused("the address is too long"));
    }
    let uri: Uri = callback.parse().map_err(|_| refused("this is not an address"))?;
    let scheme = uri.scheme_str().unwrap_or("");
    if !matches!(scheme, "http" | "https") || uri.host().is_none_or(str::is_empty) {
        return Err(refused("the address must begin with https:// or http:// and name a host"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused("the address must not carry a name or a password"));
    }
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    if ends_in_number(host) && host.parse::<IpAddr>().is_err() {
        return Err(refused("the address names its host by a number that is written unusually"));
    }
    let inside = host.parse::<IpAddr>().is_ok_and(|ip| !is_public(ip)) || is_local_name(host);
    if inside && !private {
        return Err(refused("notifications are not sent to loopback or private addresses"));
    }
    Ok(uri)
}

/// Whether resolvers would read the host as an IPv4 address: `127.1`, `2130706433`, `0x7f000001`
/// (WHATWG URL, "ends in a number").
fn ends_in_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local") || host.ends_with(".internal")
}

/// The addresses behind a callback, each of them allowed. Blocks.
///
/// # Errors
/// `Unavailable` where the name does not resolve; `Forbidden` (`hub.address`)
/// where it leads to an address that is not allowed.
pub fn resolve(uri: &Uri, private: bool) -> Result<Vec<SocketAddr>> {
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|e| Error::unavailable("hub.name", format!("{host} does not resolve")).because(e))?
        .take(16)
        .collect();
    if found.is_empty() {
        return Err(Error::unavailable("hub.name", format!("{host} has no address")));
    }
    match found.iter().find(|at| !private && !is_public(at.ip())) {
        // Whoever named it is not told which one: names that lead inside are the operator's business.
        Some(_) => Err(Error::forbidden("hub.address", format!("{host} leads to no public address"))),
        None => Ok(found),
    }
}

/// Whether an address belongs to the public Internet.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// By the IANA registry of special addresses (RFC 6890 and its updates).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || a == 127
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || ip.is_documentation()
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // An IPv4 address inside an IPv6 one: mapped, compatible, NAT64, 6to4.
    let embedded = match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is given out; out of it the documentation, Teredo and protocol blocks.
    let global = s[0] & 0xe000 == 0x2000;
    global
        && !(s[0] == 0x2001 && s[1] < 0x200)
        && !(s[0] == 0x2001 && s[1] == 0xdb8)
        && !(s[0] == 0x3fff && s[1] < 0x1000)
}
