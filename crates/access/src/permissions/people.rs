//! Who is asked for, and as whom: the accounts that have a role in a tenant or above it, a page at a time.

use base::Result;
use base::id::AccountId;
use gate::{Actor, Cx, Tx};

use super::refusals::Grantor;
use crate::accounts::{self, AccountState};
use crate::reach::{self, Standing};
use crate::roles::{self, ROLES, Role, SUPPORT};
use crate::tenants::{Tenant, TenantKind};

/// The next `most` accounts, by identifier, that may hold a role in `tenant`: by one of `fitting` in it or above it,
/// or as the operator's staff with `support`.
pub(super) fn candidates(
    tx: &mut Tx<'_>,
    tenant: &Tenant,
    fitting: fn(&Role) -> bool,
    after: Option<AccountId>,
    most: usize,
) -> Result<Vec<AccountId>> {
    let mut found = Vec::new();
    for (depth, above) in tenant.path.iter().enumerate() {
        let at_the_top = depth == 0;
        // Roles at the operator hold below it with `support` alone.
        let staff = at_the_top && tenant.kind != TenantKind::Operator;
        let asked = ROLES.iter().filter(|role| if staff { role.name == SUPPORT } else { role.operator == at_the_top });
        let asked = asked.filter(|role| staff || fitting(role)).map(|role| role.name);
        found.extend(roles::store::next_holders(tx, *above, asked, after, most)?);
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(most);
    Ok(found)
}

/// The context of an account in a tenant by its roles, however it would come.
pub(super) fn context(account: AccountId, standing: Standing) -> Cx {
    Cx::new(Actor::Account(account), standing.tenant, standing.scope, standing.roles)
}

/// Some of the people of a tenant who can grant one of `wanted` there; never the operator's staff inside a customer.
pub(super) fn grantors(tx: &mut Tx<'_>, tenant: &Tenant, wanted: &[&'static Role]) -> Result<Vec<Grantor>> {
    let manages = |role: &Role| role.name == roles::ADMINISTRATOR || role.name == roles::OWNER;
    let own_path = if tenant.kind == TenantKind::Operator { 0 } else { 1 };
    let mut named = Vec::new();
    for account in candidates(tx, tenant, manages, None, base::limits::HOLDERS_LOOKED_AT_MAX)? {
        let grants = roles::store::of_account(tx, account)?;
        let belongs = grants.iter().any(|(at, _)| tenant.path.get(own_path..).is_some_and(|path| path.contains(at)));
        let Some(found) = accounts::store::find(tx, account)?.filter(|one| one.is_person() && belongs) else {
            continue;
        };
        let Some(standing) = reach::known(reach::standing(tx, account, Some(tenant.id), None))? else { continue };
        let may = wanted.iter().any(|role| roles::rules::may_grant(&standing.roles, role).is_ok());
        if may && found.state == AccountState::Active && tx.would_allow(&context(account, standing), "role.grant") {
            named.push(Grantor { account, name: found.name });
        }
        if named.len() == base::limits::GRANTORS_NAMED_MAX {
            break;
        }
    }
    Ok(named)
}
