//! The recovery kit: where the platform's copies lie and what lets one in there, sealed with the
//! master key. Worth nothing without the shares, so it may be kept anywhere but here alone.

use base::time::Timestamp;
use base::{Error, Result};
use gate::keys::{For, Keys};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::request::{Key, Place, Repository, Secret};

use super::{Nothing, REPOSITORY, granted, store};
use crate::BackupPlaceId;
use crate::backups::places::{BackupPlace, Location, Role};
use crate::backups::{places, policies, repositories};

/// What a kit says that it is.
pub const FORM: &str = "yunwei recovery kit 1";

/// A recovery kit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kit {
    /// [`FORM`].
    pub form: String,
    /// Whose it is: the operator's name.
    pub installation: String,
    /// The name of the master key that opens it; the shares name the same.
    pub master_key: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// Where copies lie, in the order in which they are asked.
    pub places: Vec<KitPlace>,
}

/// One place in a kit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KitPlace {
    /// Its name.
    pub name: String,
    /// Where it is, for people: the address.
    pub address: String,
    /// What lets one in there, sealed.
    pub access: String,
}

/// What it is sealed for. The name of the place is part of it.
fn purpose(name: &str) -> For<'_> {
    For { row: "recovery-kit", purpose: name }
}

fn address(place: &BackupPlace) -> String {
    match &place.location {
        Location::Folder { path, .. } => path.clone(),
        Location::Server { url, .. } => url.clone(),
        Location::Bucket { endpoint, bucket, .. } => format!("{endpoint} {bucket}"),
    }
}

/// The password of the platform's own repositories.
pub(crate) fn password(keys: &Keys) -> Result<Secret> {
    keys.password_for("control plane repository").map(Secret::new)
}

/// The second one, as every repository has: it too follows from the master key, whose shares are
/// what is kept elsewhere here.
pub(crate) fn escrow(keys: &Keys) -> Result<Secret> {
    keys.password_for("control plane repository, escrow").map(Secret::new)
}

/// The platform's own repository at a place, opened.
pub(crate) fn repository(keys: &Keys, place: Place) -> Result<Repository> {
    Ok(Repository { place, key: Key::Password(password(keys)?), cache: None })
}

impl Kit {
    /// Reads a kit.
    ///
    /// # Errors
    /// `Invalid` (`kit.malformed`) where it is none.
    pub fn read(text: &str) -> Result<Kit> {
        let kit: Option<Kit> = serde_json::from_str(text).ok();
        kit.filter(|kit| kit.form == FORM).ok_or_else(|| {
            let message = "this is no recovery kit that this version reads; it was made by `yunwei control-plane kit`";
            Error::invalid("kit.malformed", message)
        })
    }

    /// Opens one of its places with the master key.
    ///
    /// # Errors
    /// `Conflict`: `secret.key_wrong`, `secret.damaged`.
    pub fn open(&self, keys: &Keys, place: &KitPlace) -> Result<Repository> {
        let text = keys.unseal(purpose(&place.name), &place.access)?;
        let place = serde_json::from_str(&text)
            .map_err(|e| Error::bug("kit.place", "what was sealed in a kit does not read").because(e))?;
        repository(keys, place)
    }
}

/// Makes a kit of where the platform's copies go now.
pub static MAKE: Action<Nothing, Kit> = Action {
    name: "controlPlane.kit",
    summary: "Makes a recovery kit: where the platform's copies lie, sealed with the master key. Keep it off this machine.",
    effect: Effect::Change,
    run: |tx, _| {
        granted(tx, "controlPlane.kit")?;
        make(tx)
    },
};

fn make(tx: &mut Tx<'_>) -> Result<Kit> {
    let wanted = kept_at(tx)?;
    let kit = of(tx, &wanted)?;
    store::set_kit(tx, &wanted)?;
    Ok(kit)
}

/// The places that the platform's copies go to now.
///
/// # Errors
/// `Conflict` (`controlPlane.unprotected`) where it is not backed up.
pub(crate) fn kept_at(tx: &mut Tx<'_>) -> Result<Vec<BackupPlaceId>> {
    let settings = store::settings(tx)?.ok_or_else(|| {
        let message = "the platform itself has no backup policy: `yunwei control-plane protect` gives it one";
        Error::conflict("controlPlane.unprotected", message)
    })?;
    Ok(policies::load(tx, settings.policy)?.terms.places)
}

/// A kit of these places, which nobody keeps.
pub(crate) fn of(tx: &mut Tx<'_>, wanted: &[BackupPlaceId]) -> Result<Kit> {
    let keys = crate::backups::keys(tx)?;
    let mut sealed = Vec::new();
    for id in wanted.iter().copied() {
        let place = places::load(tx, id)?;
        let lies = repositories::lies(tx, &place, REPOSITORY, Role::Append)?;
        let text = crate::backups::text(&lies)?;
        let access = keys.seal(purpose(&place.name), &text)?;
        sealed.push(KitPlace { address: address(&place), access, name: place.name });
    }
    let operator = tx.operator()?;
    let installation = tx.query_one("SELECT name FROM tenants WHERE id = $1", db::args![operator], |row| row.get(0))?;
    Ok(Kit { form: FORM.to_owned(), installation, master_key: keys.name().to_owned(), made_at: tx.now, places: sealed })
}
