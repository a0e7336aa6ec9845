//! Bounds: what an API token is limited to, beside the roles of its account.
//!
//! Every decision looks at them first ([`crate::Policies::decide`]), so that a token does what its bounds
//! and the policies both allow, whatever way a request comes in, and whatever an action reads on its way.
//!
//! A scope is written as an action's name (`service.reboot`), as what reads one thing (`service:read`), as all
//! that is done with one thing (`service:write`, which reads it too), or as either of everything (`*:read`,
//! `*:write`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use base::address::Network;
use base::{Error, Result};

use crate::{Catalogue, Effect};

/// What one token may be used for, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    actions: Option<BTreeSet<String>>,
    networks: Vec<Network>,
}

/// What whoever holds a token may always ask: who they are, and why the token was refused, which shows nothing
/// but themselves.
const ALWAYS: [&str; 2] = ["refusal.explain", "session.describe"];

impl Bounds {
    /// Those of a token: by its scopes where it has some, and its networks where it has some.
    /// A token of a program (a service account) is never for what only people do.
    pub fn new(catalogue: &Catalogue, scopes: Option<&[String]>, networks: Vec<Network>, program: bool) -> Self {
        let mut actions = scopes.map(|scopes| scopes.iter().flat_map(|scope| catalogue.within(scope)).collect());
        if program {
            let all = actions.get_or_insert_with(|| catalogue.names().into_iter().collect::<BTreeSet<_>>());
            all.retain(|action| !catalogue.is_for_people(action));
        }
        Bounds { actions, networks }
    }

    /// The same wherever a request comes from: for what was asked for from there and is done later.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Bounds { networks: Vec::new(), ..self }
    }

    /// Whether an address lies in the networks, if there are any.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty() || address.is_some_and(|ip| self.networks.iter().any(|network| network.contains(ip)))
    }

    /// Whether everything that `scope` is for is within these bounds.
    pub fn covers(&self, catalogue: &Catalogue, scope: &str) -> bool {
        self.actions.as_ref().is_none_or(|own| catalogue.within(scope).iter().all(|action| own.contains(action)))
    }

    /// Whether the token is for all that its account may do.
    pub fn has_all_actions(&self) -> bool {
        self.actions.is_none()
    }

    /// Refuses an action that a token was not made for, and a place that it is not used from.
    ///
    /// # Errors
    /// `Forbidden` (`token.network`, `token.out_of_scope`).
    pub fn check(&self, action: &str, from: Option<IpAddr>) -> Result<()> {
        if !self.admits(from) {
            let from = from.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
            return Err(Error::forbidden(
                "token.network",
                format!("this token is not for requests from {from}; make one whose networks hold that address"),
            ));
        }
        match &self.actions {
            Some(actions) if !ALWAYS.contains(&action) && !actions.contains(action) => Err(Error::forbidden(
                "token.out_of_scope",
                format!("this token was not made for {action}; make one whose scopes name it"),
            )),
            _ => Ok(()),
        }
    }
}

impl Catalogue {
    /// The names of the actions that a scope is for; none where it is no scope.
    pub fn within(&self, scope: &str) -> BTreeSet<String> {
        let Some((noun, way)) = scope.split_once(':') else {
            return self.effects().filter(|(name, _)| name == scope).map(|(name, _)| name).collect();
        };
        let (all, reads) = (noun == "*", way == "read");
        if !reads && way != "write" {
            return BTreeSet::new();
        }
        let fits = |name: &str, effect: Effect| {
            (all || name.split_once('.').is_some_and(|(of, _)| of == noun)) && (!reads || effect == Effect::Read)
        };
        self.effects().filter(|(name, effect)| fits(name, *effect)).map(|(name, _)| name).collect()
    }
}
