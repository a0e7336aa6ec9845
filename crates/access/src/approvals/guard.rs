//! The guard: refuses what needs a second person.

use base::id::TenantId;
use base::{Error, Result};
use gate::{Guard, Tx};

use super::approvable::{Approvable, WEAKEN};
use super::store;
use crate::roles::SUPPORT;
use crate::tenants;

/// The code of the refusal. Whoever meets it asks with `approval.request`.
pub const REQUIRED: &str = "approval.required";

/// The guard of the product.
pub static GUARD: Guard = Guard {
    knows: |action| Approvable::find(action).is_some(),
    // An order can end a service, a new tenant comes with its owner's invitation, and the rule itself can be
    // made weaker.
    amounting: &["approval.set_rule", "person.unlink", "productOrder.create", "tenant.create"],
    check,
};

fn check(tx: &mut Tx<'_>, action: &str) -> Result<()> {
    let mut done: Vec<String> = tx.deeds().iter().map(|deed| deed.name.to_owned()).collect();
    done.push(action.to_owned());
    if tx.deeds().iter().any(|deed| deed.name == WEAKEN) {
        return Err(required(WEAKEN));
    }
    let governing = governing(tx)?;
    for tenant in governing {
        let rule = store::rule(tx, tenant)?;
        if let Some(needs) = done.iter().find(|deed| rule.contains(deed)) {
            return Err(required(needs));
        }
    }
    Ok(())
}

fn required(what: &str) -> Error {
    Error::forbidden(
        REQUIRED,
        format!(
            "{what} needs a second person here: ask for it with `approval.request` and the same input (on the page, with `yunwei --ask REASON …`, or with the header `Approval-Reason`)"
        ),
    )
}

/// Whose rules hold for what was just done: those of the tenant acted in, of the objects' tenants and of
/// all above these; the operator's own where it is the operator's, and where its staff act inside a customer.
pub(super) fn governing(tx: &mut Tx<'_>) -> Result<Vec<TenantId>> {
    let (operator, acting) = (tx.operator()?, tx.cx().tenant());
    let mut from = vec![acting];
    from.extend(tx.touched().tenant);
    from.extend(tx.deeds().iter().filter_map(|deed| deed.object.tenant).collect::<Vec<_>>());
    let mut governing = Vec::new();
    for tenant in from {
        let path = tenants::store::find(tx, tenant)?.map(|tenant| tenant.path).unwrap_or_default();
        // What the operator says for itself is not said for its customers.
        governing.extend(path.into_iter().filter(|above| *above != operator || tenant == operator));
    }
    if tx.cx().has_role(SUPPORT) {
        governing.push(operator);
    }
    governing.sort_unstable();
    governing.dedup();
    Ok(governing)
}
