//! Bounds: what an API token is limited to, beside the roles of its account.
//!
//! Every decision looks at them first ([`crate::Policies::decide`]), so that a token does what its bounds
//! and the policies both allow, whatever way a request comes in, and whatever an action reads on its way.
//!
//! A scope is written as an action's name (`service.reboot`), as what reads one thing (`service:read`), as all
//! that is done with one thing (`service:write`, which reads it too), or as either of everything (`*:read`,
//! `*:write`).

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base::address::Network;
use base::{Error, Result};

use crate::{Catalogue, Effect};

/// What one token may be used for, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    actions: Option<Names>,
    networks: Vec<Network>,
}

/// The names of actions, of which every standing that is remembered has some hundred: shared by all with the same scopes.
type Names = Arc<BTreeSet<String>>;

/// Lists of scopes whose names are remembered.
const LISTS_MAX: usize = 1_000;

/// A list of scopes, and whether a program has it.
type List = (Option<Vec<String>>, bool);

/// The names for each list of scopes, of people and of programs. Tokens are many, such lists few.
#[derive(Default)]
pub(crate) struct Scoped(Mutex<HashMap<List, Names>>);

impl Scoped {
    fn names(&self, catalogue: &Catalogue, scopes: Option<&[String]>, program: bool) -> Names {
        let key = (scopes.map(<[String]>::to_vec), program);
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists.get(&key) {
            return known.clone();
        }
        let mut names: BTreeSet<String> = match scopes {
            Some(scopes) => scopes.iter().flat_map(|scope| catalogue.within(scope)).collect(),
            None => catalogue.names().into_iter().collect(),
        };
        names.retain(|action| !(program && catalogue.is_for_people(action)));
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.entry(key).or_insert(Arc::new(names)).clone()
    }
}

/// What whoever holds a token may always ask: who they are, and why the token was refused, which shows nothing
/// but themselves.
const ALWAYS: [&str; 2] = ["refusal.explain", "session.describe"];

impl Bounds {
    /// Those of a token: by its scopes where it has some, and its networks where it has some.
    /// A token of a program (a service account) is never for what only people do.
    pub fn new(catalogue: &Catalogue, scopes: Option<&[String]>, networks: Vec<Network>, program: bool) -> Self {
        let limited = scopes.is_some() || program;
        let actions = limited.then(|| catalogue.scoped.names(catalogue, scopes, program));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_the_same_scopes_share_their_names() {
        let catalogue = Catalogue::default();
        let of = |scopes: &[&str], program: bool| {
            let scopes: Vec<String> = scopes.iter().map(|one| (*one).to_owned()).collect();
            Bounds::new(&catalogue, Some(&scopes), vec![], program).actions.unwrap()
        };
        assert!(Arc::ptr_eq(&of(&["*:read"], true), &of(&["*:read"], true)));
        assert!(!Arc::ptr_eq(&of(&["*:read"], true), &of(&["*:read"], false)), "people may more");
        assert!(!Arc::ptr_eq(&of(&["*:read"], true), &of(&["*:write"], true)));
    }
}
