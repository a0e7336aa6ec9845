//! A service moves: other machines serve it from now on.

use base::{Error, Result};
use drivers::wire::IntentId;
use gate::Tx;
use resources::capacity;
use resources::intents::{self, Standing};
use serde_json::{Value as Json, json};

use super::{SERVICE, set_characteristic, supporting};
use crate::Fact;

/// Lets machines that stand beside a service serve it, each in the place of another (`(old, new)`),
/// and says where the service is reached. All in one transaction: before it the old ones are the
/// service, after it the new ones, and the old are wanted away. Doing it again changes nothing.
///
/// # Errors
/// `Conflict` (`service.not_there`) where the service has ended meanwhile; as
/// `resources::intents::take_over`.
pub fn move_to(tx: &mut Tx<'_>, service: &str, machines: &[(IntentId, IntentId)], address: Option<&str>) -> Result<()> {
    let mut record = tx.peek(&SERVICE, service)?;
    let by: Vec<IntentId> = machines.iter().map(|(_, new)| new.clone()).collect();
    if serves(tx, &by)? {
        return Ok(());
    }
    if !matches!(record.state.as_deref(), Some("active" | "inactive")) {
        let message = "the service has ended meanwhile: there is nothing to bring back";
        return Err(Error::conflict("service.not_there", message));
    }
    intents::take_over(tx, service, &by)?;
    let mut resources = Vec::with_capacity(machines.len());
    for (old, new) in machines {
        capacity::in_use(tx, new)?;
        resources.push((intents::resource_of(tx, old)?, intents::resource_of(tx, new)?));
    }
    for id in supporting(&record) {
        let mut below = tx.peek(&SERVICE, &id)?;
        below.set_state("state", "active");
        if let Some(Json::Array(list)) = below.body_mut().get_mut("supportingResource") {
            list.iter_mut().for_each(|one| refer(one, &resources));
        }
        tx.save(&SERVICE, &mut below)?;
    }
    record.set_state("state", "active");
    record.body_mut().insert("isServiceEnabled".to_owned(), true.into());
    if let Some(address) = address {
        set_characteristic(record.body_mut(), "address", &address.into());
        let place = json!([{ "role": "address", "name": address, "@type": "Address" }]);
        record.body_mut().insert("place".to_owned(), place);
    }
    tx.save(&SERVICE, &mut record)?;
    tx.fact(Fact::ServiceMoved { service: record.id.clone(), revision: record.revision }, record.tenant)
}

fn serves(tx: &mut Tx<'_>, machines: &[IntentId]) -> Result<bool> {
    for id in machines {
        if intents::get(tx, id)?.is_none_or(|found| found.standing != Standing::Serving) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A reference to an old machine's resource becomes one to the new machine's.
fn refer(reference: &mut Json, resources: &[(String, String)]) {
    let named = |(old, _): &&(String, String)| reference.get("id").and_then(Json::as_str) == Some(old);
    if let Some((_, new)) = resources.iter().find(named) {
        reference["id"] = new.as_str().into();
    }
}
