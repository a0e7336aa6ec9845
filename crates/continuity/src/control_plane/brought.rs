//! What people bring to a drill of the platform: shares of the master key, and the recovery kit.
//!
//! A server holds the master key that it would be brought back with: a drill that runs by itself shows
//! what follows from the key, and not that anybody could put the key together. Only people show that,
//! with what they keep. The key that their shares make stays with them: what they send follows from it,
//! from the plan and from the moment, and opens nothing.

use std::time::Duration;

use base::time::Timestamp;
use base::{Error, Result};
use gate::Tx;
use gate::keys::{Keys, MasterKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kit::{self, Kit, KitPlace};
use crate::DrillPlanId;

/// How long what people bring is taken.
const FRESH: Duration = Duration::from_secs(600);

/// Shares that were put together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shares {
    /// When; not longer than ten minutes ago.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What follows from the key that they make: see [`proof`].
    pub proof: String,
}

/// What people bring.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Brought {
    /// That their shares make the master key.
    pub shares: Option<Shares>,
    /// The recovery kit that they keep.
    pub kit: Option<Kit>,
}

/// What was shown by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Witnessed {
    /// Whether shares that people hold were seen to make the master key.
    pub shares: bool,
    /// Of when the recovery kit is that people hold, where it was seen to lead to the copies.
    #[schemars(with = "Option<String>")]
    pub kit_made_at: Option<Timestamp>,
}

/// What follows from a master key for a drill of that plan at that moment. It says nothing about the key.
///
/// # Errors
/// None that can come.
pub fn proof(master: &MasterKey, plan: DrillPlanId, at: Timestamp) -> Result<String> {
    Keys::of(master).and_then(|keys| follows(&keys, plan, at))
}

fn follows(keys: &Keys, plan: DrillPlanId, at: Timestamp) -> Result<String> {
    keys.password_for(&format!("control plane drill, shares for {plan} at {at}"))
}

/// Looks at what people bring to a drill of that plan.
///
/// # Errors
/// `Conflict`: `drill.shares_stale`, `drill.shares_wrong`, `drill.kit_stale`, `secret.key_wrong`.
pub(crate) fn look(tx: &mut Tx<'_>, plan: DrillPlanId, brought: &Brought) -> Result<Witnessed> {
    let keys = crate::backups::keys(tx)?;
    if let Some(shares) = &brought.shares {
        if tx.now.duration_since(shares.at).unsigned_abs() > FRESH {
            let message = "the shares were put together too long ago, or the clocks differ: put them together again";
            return Err(Error::conflict("drill.shares_stale", message));
        }
        if shares.proof != follows(&keys, plan, shares.at)? {
            let message = "these shares make another key than the one of this installation: look whose they are; where its own are lost, split the key anew";
            return Err(Error::conflict("drill.shares_wrong", message));
        }
    }
    if let Some(kit) = &brought.kit {
        leads_there(tx, &keys, kit)?;
    }
    Ok(Witnessed { shares: brought.shares.is_some(), kit_made_at: brought.kit.as_ref().map(|kit| kit.made_at) })
}

/// Whether a kit leads to all places that copies go to now, with what opens them now.
fn leads_there(tx: &mut Tx<'_>, keys: &Keys, held: &Kit) -> Result<()> {
    let wanted = kit::kept_at(tx)?;
    let now = kit::of(tx, &wanted)?;
    let opened = |kit: &Kit, one: &KitPlace| kit.open(keys, one).and_then(|found| crate::backups::text(&found.place));
    for place in &now.places {
        let known = held.places.iter().find(|one| one.name == place.name);
        if known.map(|one| opened(held, one)).transpose()?.as_ref() != Some(&opened(&now, place)?) {
            let message = format!(
                "the recovery kit of {} does not lead to {} as it is now: make a new one with `yunwei control-plane kit` and keep it instead",
                held.made_at, place.name
            );
            return Err(Error::conflict("drill.kit_stale", message));
        }
    }
    Ok(())
}
