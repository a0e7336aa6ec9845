//! The resource side as open documents: TMF634 catalog, TMF639 inventory.
//!
//! Hosts and machines have a record in the inventory that the platform keeps in
//! step with what it knows. Records that operators import beside them are theirs.
//!
//! ```text
//!   resourceStatus    host: standby (enrolled) · available · suspended (draining, retired) · unknown (silent)
//!                     machine: reserved (wanted) · available (runs as wanted) · standby (stopped) · alarm (failed)
//!                              · unknown (cannot be seen) · suspended (gone)
//!   operationalState  enable: it can do its work · disable
//!   administrativeState unlocked: it may · shutdown: nothing new · locked: it may not
//!   usageState        idle · active · busy: nothing is left
//! ```
//!
//! **Invariant.** What the platform keeps is not changed or removed through the
//! open API ([`keep_hands_off`], [`keep_it`]): name, description and notes are
//! the operators', the rest follows from what is seen.

use base::id::HostId;
use base::{Error, Result};
use db::records::Key;
use db::{Class, Record, args};
use drivers::wire::{MachineSpec, MachineState, NetworkSpec, Observation};
use gate::{Granted, Kind, StateMachine, Tx, Verb, free};
use serde_json::{Map, Value as Json, json};

use crate::intents::{self, Intent, Want};
use crate::{Fact, IntentId, capacity, hosts, shapes};

/// The life cycle of what is in a catalog, as TM Forum words it.
static LIFECYCLE: StateMachine = StateMachine {
    attribute: "lifecycleStatus",
    initial: "In study",
    moves: &[
        ("In study", &["In design", "Rejected"]),
        ("In design", &["In test", "Rejected"]),
        ("In test", &["In design", "Active", "Rejected"]),
        ("Active", &["Launched", "Retired"]),
        ("Launched", &["Retired"]),
        ("Retired", &["Obsolete", "Active"]),
        ("Obsolete", &[]),
        ("Rejected", &[]),
    ],
};

const CATALOG_KEYS: &[Key] =
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::text("version"), Key::time("lastUpdate")];

macro_rules! catalog_kind {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal, $shape:expr, $keys:expr) => {
        $(#[$doc])*
        pub static $name: Kind = Kind {
            name: $kind,
            prefix: $prefix,
            path: concat!("/tmf-api/resourceCatalog/v4/", $kind),
            class: Class::Internal,
            shape: &$shape,
            keys: $keys,
            states: Some(&LIFECYCLE),
            verbs: Verb::ALL,
            before_create: free::create,
            before_update: free::update,
            before_delete: free::delete,
        };
    };
}

catalog_kind!(
    /// TMF634: a collection of resource specifications.
    RESOURCE_CATALOG, "resourceCatalog", "rcat", shapes::RESOURCE_CATALOG, CATALOG_KEYS
);
catalog_kind!(
    /// TMF634: a group within a catalog.
    RESOURCE_CATEGORY, "resourceCategory", "rcgy", shapes::RESOURCE_CATEGORY,
    &[Key::text("name").found(), Key::text("lifecycleStatus"), Key::text("parentId"), Key::flag("isRoot"), Key::time("lastUpdate")]
);
catalog_kind!(
    /// TMF634: what a kind of resource is.
    RESOURCE_SPECIFICATION, "resourceSpecification", "rspc", shapes::RESOURCE_SPECIFICATION,
    &[Key::text("name").found(), Key::text("category"), Key::text("lifecycleStatus"), Key::text("version"), Key::time("lastUpdate")]
);

const STATUSES: &[&str] = &["standby", "alarm", "available", "reserved", "unknown", "suspended"];

/// TMF639: a resource that is there.
pub static RESOURCE: Kind = Kind {
    name: "resource",
    prefix: "res",
    path: "/tmf-api/resourceInventoryManagement/v4/resource",
    class: Class::Internal,
    shape: &shapes::RESOURCE,
    keys: &[
        Key::text("name"),
        Key::text("category"),
        Key::text("resourceStatus"),
        Key::text("resourceSpecification.id"),
    ],
    states: Some(&StateMachine {
        attribute: "resourceStatus",
        initial: "standby",
        // What is seen decides: every status may follow every other.
        moves: &[
            ("standby", STATUSES),
            ("alarm", STATUSES),
            ("available", STATUSES),
            ("reserved", STATUSES),
            ("unknown", STATUSES),
            ("suspended", STATUSES),
        ],
    }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: keep_hands_off,
    before_delete: keep_it,
};

/// The kinds of this room.
pub static KINDS: &[&Kind] = &[&RESOURCE_CATALOG, &RESOURCE_CATEGORY, &RESOURCE_SPECIFICATION, &RESOURCE];

/// What people may change of a record that the platform keeps.
const THEIRS: [&str; 5] = ["description", "note", "relatedParty", "place", "attachment"];

fn is_ours(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let found: i64 = tx.query_one(
        "SELECT (SELECT COUNT(*) FROM hosts WHERE resource = $1) + (SELECT COUNT(*) FROM intents WHERE resource = $1)",
        args![id],
        |row| row.get(0),
    )?;
    Ok(found > 0)
}

fn keep_hands_off(tx: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    let names = before.body.keys().chain(after.body.keys());
    let changed = names
        .filter(|name| before.body.get(*name) != after.body.get(*name))
        .find(|name| !THEIRS.contains(&name.as_str()));
    match changed.cloned() {
        Some(name) if is_ours(tx, &before.id)? => {
            let message =
                format!("`{name}` follows from what the platform sees and cannot be set; {} can", THEIRS.join(", "));
            Err(Error::conflict("resource.kept", message).at(name))
        }
        _ => Ok(()),
    }
}

fn keep_it(tx: &mut Tx<'_>, record: &Record) -> Result<()> {
    if is_ours(tx, &record.id)? {
        return Err(Error::conflict("resource.kept", "the platform keeps this record: it goes with what it describes"));
    }
    Ok(())
}

/// What a record says that changes by itself.
struct Standing {
    status: &'static str,
    operational: bool,
    administrative: &'static str,
    usage: &'static str,
}

impl Standing {
    fn write(&self, body: &mut Map<String, Json>) {
        let mut set = |name: &str, value: &str| drop(body.insert(name.to_owned(), value.into()));
        set("operationalState", if self.operational { "enable" } else { "disable" });
        set("administrativeState", self.administrative);
        set("usageState", self.usage);
        set("resourceStatus", self.status);
    }
}

fn characteristics(list: &[(&str, Json)]) -> Json {
    list.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

// Hosts.

fn host_standing(tx: &mut Tx<'_>, host: &hosts::Host) -> Result<Standing> {
    let fill = capacity::fill(tx, host.id)?;
    let none_left = fill.free.amounts().iter().zip(fill.total.amounts()).any(|(free, total)| *free == 0 && total > 0);
    let usage = match (fill.used.vcpu + fill.held.vcpu, none_left) {
        (_, true) => "busy",
        (0, false) => "idle",
        _ => "active",
    };
    let (status, administrative) = match host.state {
        hosts::State::Enrolled => ("standby", "locked"),
        hosts::State::Active => ("available", "unlocked"),
        hosts::State::Draining => ("suspended", "shutdown"),
        hosts::State::Retired => ("suspended", "locked"),
    };
    let gone = host.state == hosts::State::Retired;
    Ok(Standing {
        status: if host.reachable || gone { status } else { "unknown" },
        operational: host.reachable && !gone,
        administrative,
        usage: if gone { "idle" } else { usage },
    })
}

fn host_body(host: &hosts::Host, body: &mut Map<String, Json>) {
    let facts = &host.facts;
    let list = [
        ("hostId", json!(host.id.to_string())),
        ("pool", json!(host.pool.to_string())),
        ("cpuCores", json!(facts.cpu_cores)),
        ("memoryMib", json!(facts.memory_mib)),
        ("diskMib", json!(facts.disk_mib)),
        ("accelerator", json!(facts.accelerator)),
        ("hypervisor", json!(facts.hypervisor)),
        ("agentVersion", json!(facts.agent_version)),
    ];
    body.insert("resourceCharacteristic".to_owned(), characteristics(&list));
}

/// A host was let in: it gets its record.
pub(crate) fn host_enrolled(tx: &mut Tx<'_>, id: HostId) -> Result<()> {
    let host = hosts::load(tx, id)?;
    let mut body = Map::new();
    body.insert("name".to_owned(), host.name.clone().into());
    body.insert("category".to_owned(), "host".into());
    body.insert("startOperatingDate".to_owned(), tx.now.to_string().into());
    host_body(&host, &mut body);
    host_standing(tx, &host)?.write(&mut body);
    let mut record = RESOURCE.draft(tx, body);
    record.tenant = host.tenant;
    tx.execute("UPDATE hosts SET resource = $2 WHERE id = $1", args![id, record.id])?;
    tx.insert(&RESOURCE, record).map(drop)
}

/// Something about a host is different: its record follows.
pub(crate) fn host_changed(tx: &mut Tx<'_>, id: HostId) -> Result<()> {
    let host = hosts::load(tx, id)?;
    let standing = host_standing(tx, &host)?;
    let ended = (host.state == hosts::State::Retired).then(|| tx.now.to_string());
    follow(tx, &host.resource, |body| {
        host_body(&host, body);
        standing.write(body);
        if let Some(ended) = ended {
            body.insert("endOperatingDate".to_owned(), ended.into());
        }
    })
}

/// Changes a record that the platform keeps; says nothing where nothing changed.
fn follow(tx: &mut Tx<'_>, id: &str, change: impl FnOnce(&mut Map<String, Json>)) -> Result<()> {
    if id.is_empty() {
        return Ok(());
    }
    let mut record: Granted<Record> = tx.peek(&RESOURCE, id)?;
    let before = record.body.clone();
    change(record.body_mut());
    if record.body == before {
        return Ok(());
    }
    let status = record.body.get("resourceStatus").and_then(Json::as_str).unwrap_or("unknown").to_owned();
    record.set_state("resourceStatus", &status);
    tx.save(&RESOURCE, &mut record)
}

// Machines.

fn machine_body(spec: &MachineSpec, host: HostId, service: &str, body: &mut Map<String, Json>) {
    let addresses: Vec<&str> = spec
        .networks
        .iter()
        .flat_map(|network| match network {
            NetworkSpec::Bridge { addresses, .. } => addresses.as_slice(),
            _ => &[],
        })
        .map(String::as_str)
        .collect();
    let ports: Vec<Json> = spec
        .networks
        .iter()
        .flat_map(|network| match network {
            NetworkSpec::User { forwards, .. } => forwards.as_slice(),
            _ => &[],
        })
        .map(|forward| json!({ "hostPort": forward.host_port, "guestPort": forward.guest_port }))
        .collect();
    let disks: Vec<Json> =
        spec.disks.iter().map(|disk| json!({ "name": disk.name, "sizeMib": disk.size_mib })).collect();
    let list = [
        ("host", json!(host.to_string())),
        ("service", json!(service)),
        ("vcpus", json!(spec.vcpus)),
        ("memoryMib", json!(spec.memory_mib)),
        ("disks", json!(disks)),
        ("addresses", json!(addresses)),
        ("forwards", json!(ports)),
    ];
    body.insert("name".to_owned(), spec.name.clone().into());
    body.insert("resourceCharacteristic".to_owned(), characteristics(&list));
}

/// A machine is wanted for the first time: it gets its record, which is its
/// tenant's. Gives the record's id.
pub(crate) fn machine_wanted(tx: &mut Tx<'_>, want: &Want<'_>) -> Result<String> {
    let mut body = Map::new();
    body.insert("category".to_owned(), "machine".into());
    machine_body(want.spec, want.host, want.service, &mut body);
    Standing { status: "reserved", operational: false, administrative: "unlocked", usage: "idle" }.write(&mut body);
    let mut record = RESOURCE.draft(tx, body);
    record.tenant = want.tenant;
    let id = record.id.clone();
    tx.insert(&RESOURCE, record)?;
    Ok(id)
}

/// An orphan became part of a service: it gets a record.
pub(crate) fn machine_adopted(tx: &mut Tx<'_>, id: &IntentId) -> Result<()> {
    let Some(intent) = intents::get(tx, id)? else { return Ok(()) };
    let Some(spec) = &intent.desired else { return Ok(()) };
    let (service, standing) = (&intent.service, intent.standing);
    let want = Want { id, host: intent.host, spec, tenant: intent.tenant, service, standing };
    let resource = machine_wanted(tx, &want)?;
    tx.execute("UPDATE intents SET resource = $2 WHERE id = $1", args![id.as_str(), resource]).map(drop)
}

/// Something about a machine was seen to be different: its record follows.
pub(crate) fn machine_seen(tx: &mut Tx<'_>, intent: &Intent, seen: &Observation) -> Result<()> {
    let running = seen.state == MachineState::Running;
    let status = match seen.state {
        _ if intent.desired.is_none() => "suspended",
        MachineState::Running if seen.converged => "available",
        MachineState::Running | MachineState::Creating | MachineState::Absent | MachineState::Deleting => "reserved",
        MachineState::Stopped => "standby",
        MachineState::Crashed | MachineState::Failed => "alarm",
        MachineState::Unknown => "unknown",
    };
    let standing = Standing {
        status,
        operational: running,
        administrative: if intent.desired.is_some() { "unlocked" } else { "shutdown" },
        usage: if running { "active" } else { "idle" },
    };
    let started = running.then(|| seen.since.to_string());
    follow(tx, &intent.resource, |body| {
        if let Some(spec) = &intent.desired {
            machine_body(spec, intent.host, &intent.service, body);
        }
        standing.write(body);
        if let Some(started) = started {
            body.entry("startOperatingDate").or_insert_with(|| started.into());
        }
    })
}

/// A host fell silent or came back: what its machines do is unknown, or known again.
pub(crate) fn machines_of(tx: &mut Tx<'_>, host: HostId) -> Result<()> {
    for intent in intents::on_host(tx, host)? {
        match &intent.observed {
            Some(seen) if intent.reachable => machine_seen(tx, &intent, seen)?,
            Some(_) => {
                follow(tx, &intent.resource, |body| drop(body.insert("resourceStatus".to_owned(), "unknown".into())))?
            }
            None => continue,
        }
        let fact = Fact::MachineObserved { intent: intent.id.to_string(), service: intent.service.clone() };
        tx.fact(fact, intent.tenant)?;
    }
    Ok(())
}

/// A machine is gone: its record stays and says so.
pub(crate) fn machine_gone(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let resource: Option<String> =
        tx.query_opt("SELECT resource FROM intents WHERE id = $1", args![id], |row| row.get(0))?;
    let ended = tx.now.to_string();
    follow(tx, &resource.unwrap_or_default(), |body| {
        Standing { status: "suspended", operational: false, administrative: "locked", usage: "idle" }.write(body);
        body.insert("endOperatingDate".to_owned(), ended.into());
    })
}
