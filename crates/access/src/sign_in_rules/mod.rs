//! Sign-in rules: what a tenant asks of the sign-ins of its people.
//!
//! Rules go down the tree: those of a tenant hold in everything below it, and those of the
//! operator everywhere. Of several that meet, the strictest holds; none loosens what the platform
//! sets. An account that holds roles in several tenants meets the rules of all of them, wherever
//! it acts: it is one person with one way of signing in.
//!
//! Invariants (`tests`):
//! - more rules, or more roles, never make anything laxer ([`InForce::meet`]);
//! - who must have a second factor and has none can do nothing but enrol one, whatever the door.
//!
//! Not here: what signing in is (`sessions`); tokens, of which a rule says how long new ones live and
//! nothing else: making one needs a session that meets the rules.

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base::id::{AccountId, TenantId};
use base::{Result, limits};
use db::Conn;
use gate::Strength;
use serde::{Deserialize, Serialize};

use crate::{factors, roles, tenants};

/// What somebody may do whose account must have a second factor and has none yet.
pub static OPEN_TO_UNENROLLED: &[&str] = &[
    "announcement.inbox",
    "factor.activate",
    "factor.enrol",
    "factor.enrol_passkey",
    "factor.list",
    "factor.register_passkey",
    // By which providers they can show who they are, before they enrol one.
    "identityLink.list",
    // Why everything else is refused.
    "refusal.explain",
    "session.close",
    // Signing in anew is open to everybody, whoever they were before.
    "session.confirm",
    "session.describe",
    "session.begin_provider",
    "session.open",
    "session.open_passkey",
    "session.open_provider",
    "session.passkey_challenge",
    "session.step_up",
];

/// The rules of one tenant. What is absent is not asked for here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rules {
    /// Who holds one of these roles must have a second factor.
    pub factor_roles: Vec<String>,
    /// A session ends when it has not been used for so long, in seconds.
    pub idle_seconds: Option<i64>,
    /// A session ends so long after sign-in, used or not, in seconds.
    pub session_seconds: Option<i64>,
    /// A new password is none of so many last ones.
    pub password_history: u32,
    /// An API token that is made from now on lives no longer, in days.
    pub token_days: Option<u32>,
    /// Whether a second factor that an identity provider asked for counts as one here. Where several say
    /// so and one does not, it does not; where nobody says anything, it does not.
    pub provider_factors: Option<bool>,
}

/// What holds where several rules meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InForce {
    /// The roles that want a second factor.
    pub factor_roles: Vec<String>,
    /// The shortest idle limit, in seconds.
    pub idle_seconds: i64,
    /// The shortest absolute limit, in seconds.
    pub session_seconds: i64,
    /// The longest password history.
    pub password_history: u32,
    /// The shortest longest life of new API tokens, in days.
    pub token_days: u32,
    /// Whether a second factor at an identity provider counts; nobody has said so where it is absent.
    pub provider_factors: Option<bool>,
}

impl Default for InForce {
    /// What the platform itself sets.
    fn default() -> Self {
        InForce {
            factor_roles: Vec::new(),
            idle_seconds: limits::SESSION_IDLE_SECONDS,
            session_seconds: limits::SESSION_SECONDS_MAX,
            password_history: 0,
            token_days: limits::TOKEN_DAYS_MAX,
            provider_factors: None,
        }
    }
}

impl InForce {
    /// With one tenant's rules more: of each the stricter.
    #[must_use]
    pub fn meet(mut self, rules: &Rules) -> Self {
        self.factor_roles.extend(rules.factor_roles.iter().cloned());
        self.factor_roles.sort();
        self.factor_roles.dedup();
        self.idle_seconds = rules.idle_seconds.map_or(self.idle_seconds, |one| one.min(self.idle_seconds));
        self.session_seconds = rules.session_seconds.map_or(self.session_seconds, |one| one.min(self.session_seconds));
        self.password_history = self.password_history.max(rules.password_history);
        self.token_days = rules.token_days.map_or(self.token_days, |one| one.min(self.token_days));
        self.provider_factors = match (self.provider_factors, rules.provider_factors) {
            (Some(held), Some(one)) => Some(held && one),
            (held, one) => held.or(one),
        };
        self
    }
}

/// What an account meets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// Whether it must have a second factor.
    pub factor: bool,
    /// Whether one that its identity provider asked for will do: every tenant in which it holds a role says so.
    pub provider_factors: bool,
    /// The limits of its sessions, and its password history.
    pub limits: InForce,
}

/// What holds in a tenant: its own rules and those above it.
pub(crate) fn in_tenant(conn: &mut Conn<'_>, path: &[TenantId]) -> Result<InForce> {
    path.iter().try_fold(InForce::default(), |held, tenant| {
        Ok(store::find(conn, *tenant)?.map_or(held.clone(), |rules| held.meet(&rules)))
    })
}

/// Whether an account must have a second factor and has none: it can do nothing but enrol one. `strength`: how
/// it had signed in, where that is known.
pub(crate) fn must_enrol(conn: &mut Conn<'_>, account: AccountId, strength: Option<Strength>) -> Result<bool> {
    let asked = of_account(conn, account)?;
    Ok(asked.wants_factor(strength) && !factors::store::has_active(conn, account)?)
}

impl Asked {
    /// Whether a second factor of our own is asked for, beside what was shown.
    pub(crate) fn wants_factor(&self, strength: Option<Strength>) -> bool {
        self.factor && !(self.provider_factors && strength == Some(Strength::ProviderFactor))
    }
}

/// What the rules ask of an account, by all roles that it holds anywhere.
pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Asked> {
    let mut asked = Asked { factor: false, provider_factors: true, limits: InForce::default() };
    let mut seen: BTreeMap<TenantId, InForce> = BTreeMap::new();
    for (tenant, role) in roles::store::of_account(conn, account)? {
        let held = match seen.entry(tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let path = tenants::store::load(conn, tenant)?.path;
                let held = in_tenant(conn, &path)?;
                let limits = &mut asked.limits;
                limits.idle_seconds = limits.idle_seconds.min(held.idle_seconds);
                limits.session_seconds = limits.session_seconds.min(held.session_seconds);
                limits.password_history = limits.password_history.max(held.password_history);
                limits.token_days = limits.token_days.min(held.token_days);
                place.insert(held)
            }
        };
        asked.factor |= held.factor_roles.contains(&role);
        asked.provider_factors &= held.provider_factors == Some(true);
    }
    asked.provider_factors &= !seen.is_empty();
    Ok(asked)
}
