//! Reach: in which tenant somebody acts, with which roles, and how far they see.
//!
//! | acting in | roles | sees |
//! |---|---|---|
//! | the operator, with `support` | those granted there | every tenant |
//! | the operator, without | those granted there | the operator's own |
//! | a customer or department | those granted there and above it, up to the customer | it and all below; what is public above |
//! | the same, as operator staff with `support` | those granted in the operator, too | the same |
//!
//! An API token acts in the tenant where it was made, or below; with the roles
//! that it is limited to.
//!
//! Invariants (`tests`: properties over random trees):
//! - nobody acts in a tenant without a role there, above it, or `support`;
//! - a tenant in nobody's path is never in their scope;
//! - a change of tokens, roles, accounts or tenants is seen by the next request
//!   to the same server ([`changed`]), and by other servers of the same database
//!   within [`base::limits::STANDING_AGE_MS_MAX`].

pub mod authenticator;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use base::id::{AccountId, TenantId};
use base::time::{Timestamp, micros};
use base::{Error, Kind, Result};
use db::Conn;
use db::records::Scope;
use gate::{Actor, Catalogue, Cx, Proof, Strength, Tx};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, AccountState};
use crate::roles::{self, SUPPORT};
use crate::sessions::Session;
use crate::sign_in_rules::{Asked, InForce};
use crate::tenants::{self, Tenant, TenantKind, TenantState};
use crate::tokens::Token;
use crate::{factors, service_accounts};

/// Counts changes of who may do what. One for the process: two houses in one
/// process (tests) only empty each other's caches.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Says that who may do what is about to change: what is remembered of anybody
/// is forgotten once the change is durable.
pub(crate) fn changed(tx: &mut Tx<'_>) {
    tx.after_commit(|| {
        GENERATION.fetch_add(1, Ordering::SeqCst);
    });
}

pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::SeqCst)
}

/// A tenant in which somebody may act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// Which.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TenantKind,
    /// As what they would act there.
    pub roles: Vec<String>,
}

/// Somebody's standing: where they act, as what, and how far they see.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The acting tenant.
    pub tenant: TenantId,
    /// The roles that hold there.
    pub roles: BTreeSet<String>,
    /// Whose records they may be shown.
    pub scope: Scope,
}

/// One answer for a tenant that is not there and one in which one has no role.
fn nowhere() -> Error {
    Error::forbidden("tenant.no_role", "you have no role in that organisation")
}

/// Works out the standing of an account in the tenant it wants to act in, or
/// where it belongs. `token` limits it further.
///
/// # Errors
/// `Unauthenticated` where the account may not work, `Forbidden` (`tenant.no_role`,
/// `tenant.suspended`).
pub fn standing(
    conn: &mut Conn<'_>,
    account: AccountId,
    wanted: Option<TenantId>,
    token: Option<&Token>,
) -> Result<Standing> {
    standing_by(conn, account, wanted, token, None)
}

/// [`standing`] in a tenant by the roles alone that were held by that instant and have been since.
///
/// # Errors
/// As [`standing`].
pub(crate) fn standing_since(
    conn: &mut Conn<'_>,
    account: AccountId,
    tenant: TenantId,
    held_by: Timestamp,
) -> Result<Standing> {
    standing_by(conn, account, Some(tenant), None, Some(held_by))
}

fn standing_by(
    conn: &mut Conn<'_>,
    account: AccountId,
    wanted: Option<TenantId>,
    token: Option<&Token>,
    held_by: Option<Timestamp>,
) -> Result<Standing> {
    let account = accounts::store::find(conn, account)?.filter(|a| a.state != AccountState::Left);
    let account = account.ok_or_else(|| Error::unauthenticated("account.left", "this account is closed"))?;
    if account.state == AccountState::Suspended {
        return Err(Error::unauthenticated(
            "account.suspended",
            "this account is suspended; ask an administrator of your organisation",
        ));
    }
    let mut grants = match held_by {
        Some(instant) => roles::store::of_account_since(conn, account.id, instant)?,
        None => roles::store::of_account(conn, account.id)?,
    };
    if let Some(limited) = token.and_then(|token| token.roles.as_ref()) {
        grants.retain(|(_, role)| limited.contains(role));
    }
    let target = match wanted.or(token.map(|token| token.tenant)) {
        Some(id) => id,
        None => belongs(&grants, account.home).ok_or_else(nowhere)?,
    };
    let target = tenants::store::find(conn, target)?.ok_or_else(nowhere)?;
    if token.is_some_and(|token| !target.path.contains(&token.tenant)) {
        return Err(nowhere());
    }
    let (roles, staff) = roles_in(&target, &grants);
    if roles.is_empty() || target.state == TenantState::Left {
        return Err(nowhere());
    }
    // The operator's staff can still look into what has been suspended.
    if !staff && tenants::store::closed(conn, &target.path)?.is_some() {
        return Err(Error::forbidden("tenant.suspended", "this organisation is suspended; ask your provider"));
    }
    let scope = scope(conn, &target, &roles)?;
    Ok(Standing { tenant: target.id, roles, scope })
}

/// Nothing where somebody stands nowhere; a failure of the database is none of that.
pub(crate) fn known<T>(standing: Result<T>) -> Result<Option<T>> {
    match standing {
        Ok(standing) => Ok(Some(standing)),
        Err(e) if matches!(e.kind(), Kind::Forbidden | Kind::Unauthenticated | Kind::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The context of a person who is signed in, had shown so strongly who they are, and when.
pub(crate) fn in_person(
    conn: &mut Conn<'_>,
    account: AccountId,
    standing: Standing,
    asked: &Asked,
    (strength, at): (Strength, Timestamp),
) -> Result<Cx> {
    let has_factor = factors::store::has_active(conn, account)?;
    let must_enrol = asked.wants_factor(Some(strength)) && !has_factor;
    let proof = Proof { strength, at, has_factor, must_enrol, for_sensitive: false };
    Ok(Cx::new(Actor::Account(account), standing.tenant, standing.scope, standing.roles).proven(proof))
}

/// The context of whoever comes with a token, in the token's tenant or in `wanted`. Whether it works still is
/// asked before ([`Token::check_in_force`]).
///
/// # Errors
/// As [`standing`].
pub(crate) fn through_token(
    conn: &mut Conn<'_>,
    catalogue: &Catalogue,
    token: &Token,
    wanted: Option<TenantId>,
) -> Result<Cx> {
    let standing = standing(conn, token.account, wanted, Some(token))?;
    let program = service_accounts::store::find(conn, token.account)?;
    let cx = Cx::new(Actor::Account(token.account), standing.tenant, standing.scope, standing.roles)
        .in_session(token.id.to_string())
        .proven(Proof {
            strength: Strength::Token,
            at: token.created_at,
            has_factor: factors::store::has_active(conn, token.account)?,
            must_enrol: false,
            for_sensitive: token.sensitive && program.as_ref().is_none_or(|program| program.sensitive),
        });
    Ok(match token.bounds(catalogue, program.is_some())? {
        Some(bounds) => cx.bounded(bounds),
        None => cx,
    })
}

/// Where an account acts when it does not say: at home if it can, else in the
/// first tenant that it has a role in.
fn belongs(grants: &[(TenantId, String)], home: TenantId) -> Option<TenantId> {
    let mut tenants = grants.iter().map(|(tenant, _)| *tenant);
    if tenants.clone().any(|tenant| tenant == home) { Some(home) } else { tenants.next() }
}

/// The roles that hold in `target`, and whether they come with the operator's `support`.
fn roles_in(target: &Tenant, grants: &[(TenantId, String)]) -> (BTreeSet<String>, bool) {
    let operator = target.path.first().copied();
    let in_operator = |tenant: &TenantId| Some(*tenant) == operator;
    let supports = grants.iter().any(|(tenant, role)| in_operator(tenant) && role == SUPPORT);
    let at_the_top = target.kind == TenantKind::Operator;
    let holds = |tenant: &TenantId| target.path.contains(tenant) && (!in_operator(tenant) || at_the_top || supports);
    let roles = grants.iter().filter(|(tenant, _)| holds(tenant)).map(|(_, role)| role.clone()).collect();
    (roles, supports)
}

pub(crate) fn scope(conn: &mut Conn<'_>, target: &Tenant, roles: &BTreeSet<String>) -> Result<Scope> {
    if target.kind == TenantKind::Operator {
        return Ok(if roles.contains(SUPPORT) {
            Scope::All
        } else {
            Scope::Tenants { own: vec![target.id], above: vec![] }
        });
    }
    let above = target.path.iter().copied().filter(|id| *id != target.id).collect();
    Ok(Scope::Tenants { own: tenants::store::subtree(conn, &target.path)?, above })
}

/// The tenants in which an account holds a role, and whether it reaches all customers.
pub(crate) fn places(conn: &mut Conn<'_>, account: AccountId) -> Result<(Vec<Place>, bool)> {
    let grants = roles::store::of_account(conn, account)?;
    let distinct: BTreeSet<TenantId> = grants.iter().map(|(tenant, _)| *tenant).collect();
    let mut places = Vec::new();
    let mut reaches = false;
    for id in distinct.into_iter().take(100) {
        let tenant = tenants::store::load(conn, id)?;
        let (roles, _) = roles_in(&tenant, &grants);
        reaches |= tenant.kind == TenantKind::Operator && roles.contains(SUPPORT);
        places.push(Place { tenant: id, name: tenant.name, kind: tenant.kind, roles: roles.into_iter().collect() });
    }
    places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((places, reaches))
}

/// When a session ends if it is not used any more, in microseconds.
pub(crate) fn idle_end(session: &Session, held: &InForce) -> i64 {
    let unused = micros(session.seen_at) + held.idle_seconds * 1_000_000;
    let whole = micros(session.created_at) + held.session_seconds * 1_000_000;
    unused.min(whole).min(micros(session.expires_at))
}

/// Whether a session has not run out.
pub(crate) fn is_alive(session: &Session, held: &InForce, now: Timestamp) -> bool {
    micros(now) < idle_end(session, held)
}
