//! What a token can be limited to. Pure.

use base::address::Network;
use base::{Error, Result, limits};
use gate::{Bounds, Catalogue};

/// Scopes as they are kept: each of them known, each once, in order.
///
/// # Errors
/// `Invalid` (`token.scopes`).
pub(crate) fn scopes(catalogue: &Catalogue, wanted: &[String]) -> Result<Vec<String>> {
    let wrong = |why: String| Error::invalid("token.scopes", why).at("scopes");
    let mut scopes: Vec<String> =
        wanted.iter().map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(wrong("a token without any scope can do nothing: name some, such as service:read".to_owned()));
    }
    if scopes.len() > limits::TOKEN_SCOPES_MAX {
        return Err(wrong(format!("a token has at most {} scopes", limits::TOKEN_SCOPES_MAX)));
    }
    match scopes.iter().find(|scope| catalogue.within(scope).is_empty()) {
        None => Ok(scopes),
        Some(odd) => Err(wrong(format!(
            "`{}` is no scope; there are an action's name (service.reboot), what reads a thing (service:read), all that is done with it (service:write), and *:read and *:write",
            odd.chars().take(80).collect::<String>()
        ))),
    }
}

/// Networks as they are kept: `192.0.2.0/24`, each once.
///
/// # Errors
/// `Invalid` (`token.networks`).
pub(crate) fn networks(wanted: &[String]) -> Result<Vec<Network>> {
    let mut networks: Vec<Network> = Vec::new();
    for text in wanted.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let wrong = || {
            let shown: String = text.chars().take(80).collect();
            Error::invalid("token.networks", format!("`{shown}` is no network; write it like 192.0.2.0/24"))
                .at("networks")
        };
        let network = text.parse().map_err(|_| wrong())?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    if networks.len() > limits::TOKEN_NETWORKS_MAX {
        let message = format!("a token is bound to at most {} networks", limits::TOKEN_NETWORKS_MAX);
        return Err(Error::invalid("token.networks", message).at("networks"));
    }
    Ok(networks)
}

/// The scopes of a token that is made with another one: what that is for, and no more.
///
/// # Errors
/// `Invalid` (`token.scopes`).
pub(crate) fn within(
    catalogue: &Catalogue,
    own: (&[String], &Bounds),
    wanted: Option<Vec<String>>,
) -> Result<Vec<String>> {
    let Some(wanted) = wanted else { return Ok(own.0.to_vec()) };
    match wanted.iter().find(|scope| !own.1.covers(catalogue, scope)) {
        None => Ok(wanted),
        Some(odd) => {
            let message = format!("the token that makes this one is not for {odd}, so neither can this one be");
            Err(Error::invalid("token.scopes", message).at("scopes"))
        }
    }
}

/// The networks of a token that is made with another one: within that one's, which it has where none are named.
///
/// # Errors
/// `Invalid` (`token.networks`).
pub(crate) fn networks_within(own: &[Network], wanted: Vec<Network>) -> Result<Vec<String>> {
    let kept = if wanted.is_empty() { own.to_vec() } else { wanted };
    let inside = |one: &Network| own.is_empty() || own.iter().any(|own| own.covers(one));
    match kept.iter().find(|one| !inside(one)) {
        None => Ok(kept.iter().map(ToString::to_string).collect()),
        Some(odd) => {
            let message = format!("the token that makes this one is not used from {odd}, so neither can this one be");
            Err(Error::invalid("token.networks", message).at("networks"))
        }
    }
}
