//! Who may make whom what. Pure.

use std::collections::BTreeSet;

use base::{Error, Result};

use super::{ADMINISTRATOR, OWNER, Role};
use crate::tenants::TenantKind;

/// The role of that name, where it can be held in tenants of that kind.
pub(crate) fn role_for(name: &str, kind: TenantKind) -> Result<&'static Role> {
    let role = Role::find(name).filter(|role| role.fits(kind));
    role.ok_or_else(|| {
        let fitting: Vec<&str> = super::ROLES.iter().filter(|role| role.fits(kind)).map(|role| role.name).collect();
        Error::invalid("role.unknown", format!("that is no role here; there are {}", fitting.join(", "))).at("role")
    })
}

/// Whether the holder of `own` may grant and take away `role`: an administrator
/// any, an owner those of customers, others none.
pub(crate) fn may_grant(own: &BTreeSet<String>, role: &Role) -> Result<()> {
    let allowed = own.contains(ADMINISTRATOR) || (own.contains(OWNER) && !role.operator);
    if allowed {
        Ok(())
    } else {
        Err(Error::forbidden(
            "role.above_own",
            format!("the role {} is above your own; ask an administrator", role.name),
        ))
    }
}

/// The role that a tenant of that kind must not lose its last holder of.
pub(crate) fn keeper(kind: TenantKind) -> Option<&'static str> {
    match kind {
        TenantKind::Operator => Some(ADMINISTRATOR),
        TenantKind::Customer => Some(OWNER),
        TenantKind::Department => None,
    }
}
