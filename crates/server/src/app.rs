//! How the rooms are put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::id::Ids;
use base::time::Clock;
use base::{Error, Result};
use continuity::control_plane::{self, Installation};
use db::{Db, Location};
use durable::{Engine, Registry};
use gate::keys::Keys;
use gate::{Catalogue, Gate};
use resources::ca::Ca;
use resources::door::Door;
use resources::handed::Handed;
use web::hub::{Hub, HubSettings};

use crate::reactions;

/// Everything that can be done, and every kind of record.
pub fn catalogue() -> Catalogue {
    access::guarded(Catalogue::default())
        .actions(&durable::actions())
        .actions(&access::actions())
        .actions(commerce::ACTIONS)
        .actions(resources::ACTIONS)
        .actions(provisioning::ACTIONS)
        .actions(billing::ACTIONS)
        .actions(continuity::alarms::ACTIONS)
        .actions(continuity::backups::ACTIONS)
        .actions(continuity::bia::ACTIONS)
        .actions(continuity::control_plane::ACTIONS)
        .actions(continuity::datasets::ACTIONS)
        .actions(continuity::drills::ACTIONS)
        .actions(continuity::inventory::ACTIONS)
        .actions(continuity::readings::ACTIONS)
        .actions(continuity::studies::ACTIONS)
        .actions(continuity::restores::ACTIONS)
        .actions(continuity::plan::ACTIONS)
        .actions(continuity::start::ACTIONS)
        .actions(gate::audit::actions::ACTIONS)
        .actions(guard::shipping::ACTIONS)
        .actions(&web::hub::actions())
        .actions(gate::search::ACTIONS)
        .findable(access::FINDABLE)
        .findable(resources::FINDABLE)
        .findable(continuity::FINDABLE)
        .findable(durable::FINDABLE)
        .findable(web::hub::FINDABLE)
        .findable(gate::audit::actions::FINDABLE)
        .kinds(commerce::KINDS)
        .kinds(resources::KINDS)
        .kinds(provisioning::KINDS)
        .kinds(billing::KINDS)
}

/// The data directory: what lies where.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// At that path; made, for its owner only, where it is not there yet.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be made.
    pub fn open(path: &Path) -> Result<Folder> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        let fault = |e: std::io::Error| {
            Error::unavailable("data.unusable", format!("cannot use the data directory {}: {e}", path.display()))
        };
        for folder in [path.to_owned(), path.join("keys"), path.join("images"), path.join("outbox")] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(fault)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fault)?;
        // Wherever it was named from: addresses are made of it, and children work elsewhere.
        std::path::absolute(path).map(Folder).map_err(fault)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Keys of the certificate authority and of the audit log, and the master key.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
    /// Images, each under its digest.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }
    /// Files that were fetched from recovery points, until they are taken.
    pub fn downloads(&self) -> PathBuf {
        self.0.join("downloads")
    }
    /// Mails that no server was named for.
    pub fn outbox(&self) -> PathBuf {
        self.0.join("outbox")
    }
}

/// The house, put together; nothing runs yet.
pub struct House {
    /// The one door.
    pub gate: Gate,
    /// Lasting work.
    pub engine: Engine,
    /// The agents' entrance.
    pub door: Arc<Door>,
    /// Subscriptions to what happens.
    pub hub: Hub,
    /// The data directory, where no other server works in it.
    pub alone: Option<control_plane::Alone>,
}

/// Opens the gate over a database with the product's policies.
///
/// # Errors
/// `Conflict` where another server holds the data or its schema is newer,
/// `Invalid` where the policies have a fault.
pub fn open_gate(location: &Location, clock: Clock) -> Result<Gate> {
    let gate = Gate::new(Db::open(location)?, clock, Ids::default(), access::POLICIES, catalogue())?;
    Ok(gate)
}

/// Every kind of lasting work that the house knows.
pub fn registry(postman: access::Postman, here: Installation) -> Registry {
    let registry = billing::register(provisioning::register(resources::register(Registry::default())));
    let registry = continuity::alarms::register(registry);
    let registry = continuity::backups::register(registry, here.program.clone());
    let registry = continuity::control_plane::register(registry, here.clone());
    let registry = continuity::drills::register(registry, here);
    let registry = continuity::readings::register(continuity::restores::register(registry));
    let registry = registry.reconciler("web.sweep", std::time::Duration::from_secs(3_600), web::sweep);
    crate::sweep::register(access::mail::work(registry, postman))
}

/// Puts the house together over an open gate.
///
/// # Errors
/// `Invalid` where a flow that comes with the product does not fit its steps;
/// those of the certificate authority and of the master key.
pub fn assemble(
    gate: Gate,
    folder: &Folder,
    database: &Location,
    postman: access::Postman,
    site: &str,
    hub: HubSettings,
) -> Result<House> {
    let outgoing = web::Outgoing::new(hub.private_targets, &hub.authorities);
    access::providers::install(&gate, site, outgoing);
    let hub = Hub::new(catalogue().all_kinds(), site, hub);
    let notified = hub.clone();
    gate.react_with(Box::new(move |tx, fact| reactions::react(&notified, tx, fact)));
    let ca = Arc::new(Ca::open(&folder.keys(), gate.now())?);
    continuity::backups::repositories::install(&gate, Keys::open(&folder.keys())?)?;
    // What signs the audit log signs the evidence of drills.
    gate.install(Arc::new(gate::audit::Key::open_or_make(&folder.keys())?));
    gate.install(Arc::new(Handed::open(&folder.downloads())?));
    let door = Door::open(gate.clone(), ca, folder.images())?;
    access::factors::passkeys::install(&gate, site);
    let here = Installation {
        data: folder.path().to_owned(),
        database: database.clone(),
        program: vault::client::program(),
        // This very program, whatever was put in its place since it was started.
        server: PathBuf::from("/proc/self/exe"),
    };
    let (alone, registry) = (control_plane::alone(folder.path())?, registry(postman, here));
    let registry = match &alone {
        Some(alone) => registry.home(&alone.home),
        None => registry,
    };
    let engine = Engine::new(gate.clone(), registry)?;
    Ok(House { gate, engine, door, hub, alone })
}
