//! Granting roles, taking them away, and who can reach a customer.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::Class;
use gate::{Action, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{SUPPORT, rules, store};
use crate::accounts::{self, AccountState, Member};
use crate::tenants::{self, Tenant};
use crate::{Fact, reach, service_accounts};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&GRANT, &REVOKE, &REACH];

/// Who is to be what, and where.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GrantRole {
    /// Who.
    pub account: AccountId,
    /// Where; the acting tenant where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// What.
    pub role: String,
}

/// Grants a role to a member.
pub static GRANT: Action<GrantRole, Member> = Action {
    name: "role.grant",
    summary: "Grants a role in a tenant to somebody who is a member here; never one above one's own.",
    effect: Effect::Change,
    run: |tx, input| {
        let (tenant, role) = place(tx, "role.grant", input)?;
        let account = accounts::actions::load(tx, "role.grant", input.account)?.into_inner();
        if account.state == AccountState::Left {
            return Err(Error::conflict("account.left", "that account has left; invite the person anew"));
        }
        let (by, now) = (tx.cx().actor().to_string(), tx.now);
        if store::insert(tx, account.id, tenant.id, role, &by, now)? {
            reach::changed(tx);
            tx.fact(Fact::RoleGranted { account: account.id.to_string(), role: role.to_owned() }, tenant.id)?;
        }
        let roles = store::held(tx, account.id, tenant.id)?;
        Ok(Member { account, roles })
    },
};

/// Takes a role away from a member.
pub static REVOKE: Action<GrantRole, Member> = Action {
    name: "role.revoke",
    summary: "Takes a role in a tenant away from a member; the last administrator or owner stays.",
    effect: Effect::Change,
    run: |tx, input| {
        let (tenant, role) = place(tx, "role.revoke", input)?;
        let account = accounts::actions::load(tx, "role.revoke", input.account)?.into_inner();
        store::keep_one(tx, tenant.id, role, account.id)?;
        if store::delete(tx, account.id, tenant.id, role)? {
            reach::changed(tx);
            service_accounts::tell_without_owner(tx, account.id)?;
            tx.fact(Fact::RoleRevoked { account: account.id.to_string(), role: role.to_owned() }, tenant.id)?;
        }
        let roles = store::held(tx, account.id, tenant.id)?;
        Ok(Member { account, roles })
    },
};

/// The tenant and the role, both checked: in reach, fitting, not above one's own.
fn place(tx: &mut Tx<'_>, action: &str, input: &GrantRole) -> Result<(Tenant, &'static str)> {
    let here = tx.cx().tenant();
    let tenant = tenants::store::load(tx, input.tenant.unwrap_or(here))?;
    tx.touch("account", &input.account.to_string(), tenant.id, 0);
    let tenant = tx.grant(action, "tenant", &tenant.id.to_string(), tenant.id, Class::Personal, tenant)?.into_inner();
    let role = rules::role_for(&input.role, tenant.kind)?;
    rules::may_grant(tx.cx().roles(), role)?;
    Ok((tenant, role.name))
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Nothing {}

/// One of the operator's staff who can see inside customers' tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Staff {
    /// Who.
    pub account: AccountId,
    /// What they are called.
    pub name: String,
    /// Where to reach them.
    pub email: String,
    /// Their roles in the operator's tenant: what they may do with what they see.
    pub roles: Vec<String>,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// Who of the operator's staff can see and act inside this tenant.
pub static REACH: Action<Nothing, Vec<Staff>> = Action {
    name: "reach.list",
    summary: "Lists the operator's staff who can see and act inside this tenant.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.operator()?;
        let mut staff = Vec::new();
        for (account, since) in accounts::store::holders(tx, operator, SUPPORT)? {
            let roles = store::held(tx, account.id, operator)?;
            staff.push(Staff { account: account.id, name: account.name, email: account.email, roles, since });
        }
        Ok(staff)
    },
};
