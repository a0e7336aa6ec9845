//! Reading and setting what a tenant asks of sign-ins.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{InForce, Rules, in_tenant, store};
use crate::reach;
use crate::roles::Role;
use crate::tenants::{self, Tenant, TenantKind};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&GET, &UPDATE];

/// Whose rules.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RulesOf {
    /// Of which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// A tenant's sign-in rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignInRules {
    /// Whose.
    pub tenant: TenantId,
    /// What it asks itself.
    pub own: Rules,
    /// What holds there: with what is asked above it, and by the platform.
    pub in_force: InForce,
}

/// Reads a tenant's sign-in rules.
pub static GET: Action<RulesOf, SignInRules> = Action {
    name: "signInRules.get",
    summary: "Reads a tenant's sign-in rules, and what holds there together with those above it.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = place(tx, "signInRules.get", input.tenant)?;
        read(tx, &tenant)
    },
};

/// New rules; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateRules {
    /// Of which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The roles that must have a second factor.
    #[serde(default)]
    pub factor_roles: Option<Vec<String>>,
    /// Idle limit of sessions in seconds, at least 60; the platform's own is the longest.
    #[serde(default)]
    pub idle_seconds: Option<i64>,
    /// Absolute limit of sessions in seconds, at least 300; the platform's own is the longest.
    #[serde(default)]
    pub session_seconds: Option<i64>,
    /// How many last passwords a new one must not be; at most 12, 0 asks nothing.
    #[serde(default)]
    pub password_history: Option<u32>,
    /// Longest life in days of API tokens that are made from now on; the platform's own is the longest.
    #[serde(default)]
    pub token_days: Option<u32>,
    /// Whether a second factor that an identity provider asked for counts as one here.
    #[serde(default)]
    pub provider_factors: Option<bool>,
}

/// Changes a tenant's sign-in rules.
pub static UPDATE: Action<UpdateRules, SignInRules> = Action {
    name: "signInRules.update",
    summary: "Changes a tenant's sign-in rules: who needs a second factor, how long sessions and API tokens last, password history.",
    effect: Effect::Change,
    run: |tx, input| {
        let tenant = place(tx, "signInRules.update", input.tenant)?;
        let mut rules = store::find(tx, tenant.id)?.unwrap_or_default();
        if let Some(roles) = &input.factor_roles {
            rules.factor_roles = checked(roles, tenant.kind)?;
        }
        if let Some(seconds) = input.idle_seconds {
            rules.idle_seconds = Some(within(seconds, 60, limits::SESSION_IDLE_SECONDS, "idle_seconds")?);
        }
        if let Some(seconds) = input.session_seconds {
            rules.session_seconds = Some(within(seconds, 300, limits::SESSION_SECONDS_MAX, "session_seconds")?);
        }
        if let Some(many) = input.password_history {
            within(i64::from(many), 0, i64::from(limits::PASSWORD_HISTORY_MAX), "password_history")?;
            rules.password_history = many;
        }
        if let Some(days) = input.token_days {
            within(i64::from(days), 1, i64::from(limits::TOKEN_DAYS_MAX), "token_days")?;
            rules.token_days = Some(days);
        }
        rules.provider_factors = input.provider_factors.or(rules.provider_factors);
        let now = tx.now;
        store::put(tx, tenant.id, &rules, now)?;
        reach::changed(tx);
        read(tx, &tenant)
    },
};

fn place(tx: &mut Tx<'_>, action: &str, wanted: Option<TenantId>) -> Result<Tenant> {
    let here = tx.cx().tenant();
    let tenant = tenants::store::load(tx, wanted.unwrap_or(here))?;
    let (id, owner) = (tenant.id.to_string(), tenant.id);
    Ok(tx.grant(action, "tenant", &id, owner, Class::Internal, tenant)?.into_inner())
}

fn read(tx: &mut Tx<'_>, tenant: &Tenant) -> Result<SignInRules> {
    let own = store::find(tx, tenant.id)?.unwrap_or_default();
    Ok(SignInRules { tenant: tenant.id, own, in_force: in_tenant(tx, &tenant.path)? })
}

/// The operator may ask it of any role; others of those that are held with them.
fn checked(roles: &[String], kind: TenantKind) -> Result<Vec<String>> {
    let fits = |role: &&String| Role::find(role).is_some_and(|role| kind == TenantKind::Operator || role.fits(kind));
    if let Some(odd) = roles.iter().find(|role| !fits(role)) {
        return Err(Error::invalid("role.unknown", format!("{odd} is no role here")).at("factor_roles"));
    }
    let mut roles = roles.to_vec();
    roles.sort();
    roles.dedup();
    Ok(roles)
}

fn within(value: i64, least: i64, most: i64, attribute: &str) -> Result<i64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid("sign_in_rules.bounds", format!("this is between {least} and {most}")).at(attribute))
}
