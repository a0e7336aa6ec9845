//! For whom credentials are made: the name that browsers and authenticators hold them to.

/// The site as Web Authentication knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Its name: the host of its address.
    pub(super) id: String,
    /// Its origin, as browsers write it.
    pub(super) origin: String,
}

impl RelyingParty {
    /// The one at an address, `https://cloud.example.com`. `None` where browsers make no credentials:
    /// without https, but on this machine itself, and where there is a number instead of a name. A
    /// server that is reached at `127.0.0.1` is reached at `localhost` as well, and there they work.
    pub fn of(site: &str) -> Option<RelyingParty> {
        let (scheme, rest) = site.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, Some(port)),
            _ => (authority.as_str(), None),
        };
        let host = if matches!(host, "127.0.0.1" | "[::1]") { "localhost" } else { host };
        let letters = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let named =
            letters && host.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
        let usual = match scheme {
            "https" => "443",
            "http" if host == "localhost" => "80",
            _ => return None,
        };
        let port = port.filter(|port| *port != usual).map_or_else(String::new, |port| format!(":{port}"));
        named.then(|| RelyingParty { id: host.to_owned(), origin: format!("{scheme}://{host}{port}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_with_a_name_is_a_relying_party() {
        for (site, id, origin) in [
            ("https://Cloud.Example.com/", "cloud.example.com", "https://cloud.example.com"),
            ("https://cloud.example.com:443", "cloud.example.com", "https://cloud.example.com"),
            ("https://cloud.example.com:8443/x", "cloud.example.com", "https://cloud.example.com:8443"),
            ("http://localhost:8420", "localhost", "http://localhost:8420"),
            ("http://127.0.0.1:8420", "localhost", "http://localhost:8420"),
        ] {
            let party = RelyingParty { id: id.to_owned(), origin: origin.to_owned() };
            assert_eq!(RelyingParty::of(site), Some(party), "{site}");
        }
        for site in
            ["http://cloud.example.com", "https://192.0.2.7", "https://[2001:db8::1]:443", "cloud.example.com", ""]
        {
            assert_eq!(RelyingParty::of(site), None, "{site}");
        }
    }
}
