//! The context: who acts, in which tenant, how far they see.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

use base::id::{AccountId, HostId, TenantId};
use db::records::Scope;

use crate::{Bounds, Proof};

/// Who does it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Somebody who has not shown who they are.
    Nobody,
    /// A person's or a program's account.
    Account(AccountId),
    /// The agent of a host.
    Agent(HostId),
    /// The platform itself, by the name of its worker.
    System(&'static str),
}

impl Actor {
    /// The Cedar entity type, and the first word of the actor in the audit log.
    pub fn kind(&self) -> &'static str {
        match self {
            Actor::Nobody => "Nobody",
            Actor::Account(_) => "Account",
            Actor::Agent(_) => "Agent",
            Actor::System(_) => "System",
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Nobody => f.write_str("nobody"),
            Actor::Account(id) => id.fmt(f),
            Actor::Agent(id) => id.fmt(f),
            Actor::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// Where an object's tenant stands, seen from the acting tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The acting tenant itself.
    Own,
    /// Below it in the tree, and within the actor's reach.
    Below,
    /// Above it in the tree.
    Above,
    /// None of its business.
    Elsewhere,
}

impl Relation {
    /// The word that policies compare with.
    pub fn word(self) -> &'static str {
        match self {
            Relation::Own => "own",
            Relation::Below => "below",
            Relation::Above => "above",
            Relation::Elsewhere => "elsewhere",
        }
    }
}

/// Who acts, in which tenant, with which roles, and how far they see; for which
/// request and why. Cheap to clone, and to make the next request's of.
#[derive(Debug, Clone)]
pub struct Cx {
    who: Arc<Who>,
    request: Arc<str>,
    address: Option<IpAddr>,
    reason: Arc<str>,
}

#[derive(Debug, Clone)]
struct Who {
    actor: Actor,
    tenant: TenantId,
    scope: Scope,
    roles: BTreeSet<String>,
    roles_key: u64,
    session: Option<String>,
    proof: Option<Proof>,
    bounds: Option<Arc<Bounds>>,
}

impl Cx {
    /// A context. Made by `access` after it has authenticated somebody, and by
    /// [`Cx::system`] for the platform's own workers.
    pub fn new(actor: Actor, tenant: TenantId, scope: Scope, roles: BTreeSet<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        (actor.kind(), &roles).hash(&mut hasher);
        let roles_key = hasher.finish();
        let who = Arc::new(Who { actor, tenant, scope, roles, roles_key, session: None, proof: None, bounds: None });
        Cx { who, request: Arc::default(), address: None, reason: Arc::default() }
    }

    /// A worker of the platform acting on behalf of `tenant`; sees everything.
    pub fn system(name: &'static str, tenant: TenantId) -> Self {
        Cx::new(Actor::System(name), tenant, Scope::All, BTreeSet::new())
    }

    /// Somebody unknown, who may do what is open to everybody.
    pub fn nobody(operator: TenantId) -> Self {
        Cx::new(Actor::Nobody, operator, Scope::Tenants { own: vec![], above: vec![] }, BTreeSet::new())
    }

    /// The same, for one request from one address.
    #[must_use]
    pub fn for_request(&self, request: impl Into<Arc<str>>, address: Option<IpAddr>) -> Self {
        Cx { request: request.into(), address, ..self.clone() }
    }

    /// The same, inside the session or under the token of that identifier.
    #[must_use]
    pub fn in_session(&self, session: impl Into<String>) -> Self {
        let who = Who { session: Some(session.into()), ..(*self.who).clone() };
        Cx { who: Arc::new(who), ..self.clone() }
    }

    /// The same, having shown so much.
    #[must_use]
    pub fn proven(&self, proof: Proof) -> Self {
        let who = Who { proof: Some(proof), ..(*self.who).clone() };
        Cx { who: Arc::new(who), ..self.clone() }
    }

    /// The same, with a token that is limited beside its account's roles.
    #[must_use]
    pub fn bounded(&self, bounds: Bounds) -> Self {
        let who = Who { bounds: Some(Arc::new(bounds)), ..(*self.who).clone() };
        Cx { who: Arc::new(who), ..self.clone() }
    }

    /// The same, with the reason that the actor gave (a ticket, a sentence).
    #[must_use]
    pub fn because(&self, reason: impl Into<String>) -> Self {
        Cx { reason: reason.into().into(), ..self.clone() }
    }

    /// The same, whose lists show nothing but one tenant's; `None` where that
    /// tenant is not in sight. What may be done is decided as before.
    #[must_use]
    pub fn only(&self, tenant: TenantId) -> Option<Self> {
        let above = match self.scope() {
            Scope::All => Vec::new(),
            Scope::Tenants { above, .. } => above.clone(),
        };
        let seen = matches!(self.relation(tenant), Relation::Own | Relation::Below);
        seen.then(|| {
            let who = Who { scope: Scope::Tenants { own: vec![tenant], above }, ..(*self.who).clone() };
            Cx { who: Arc::new(who), ..self.clone() }
        })
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.who.actor
    }
    /// The account that acts, if it is one.
    pub fn account(&self) -> Option<AccountId> {
        match self.who.actor {
            Actor::Account(id) => Some(id),
            _ => None,
        }
    }
    /// In which tenant they act; what they make belongs to it.
    pub fn tenant(&self) -> TenantId {
        self.who.tenant
    }
    /// Whose records they may be shown.
    pub fn scope(&self) -> &Scope {
        &self.who.scope
    }
    /// The roles they hold in the acting tenant.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.who.roles
    }
    /// Whether they hold a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.who.roles.contains(role)
    }
    /// Same for contexts that every policy treats alike.
    pub(crate) fn roles_key(&self) -> u64 {
        self.who.roles_key
    }
    /// The identifier of the request, for logs and error pages.
    pub fn request(&self) -> &str {
        &self.request
    }
    /// Where the request came from.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
    /// The session or token.
    pub fn session(&self) -> Option<&str> {
        self.who.session.as_deref()
    }
    /// How an account has shown who it is; nothing for those who are no account.
    pub fn proof(&self) -> Option<&Proof> {
        self.who.proof.as_ref()
    }
    /// What the token is limited to with which the actor came, where it is limited.
    pub fn bounds(&self) -> Option<&Bounds> {
        self.who.bounds.as_deref()
    }
    /// Why, in the actor's words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Where an object of `owner` stands, seen from here.
    pub fn relation(&self, owner: TenantId) -> Relation {
        if owner == self.who.tenant {
            return Relation::Own;
        }
        match self.scope() {
            Scope::All => Relation::Below,
            Scope::Tenants { own, .. } if own.contains(&owner) => Relation::Below,
            Scope::Tenants { above, .. } if above.contains(&owner) => Relation::Above,
            Scope::Tenants { .. } => Relation::Elsewhere,
        }
    }
}
