//! From a designed machine to what is wanted on a host.
//!
//! A resource specification of the category `virtualMachine` speaks of these
//! characteristics; others are told to the guest and mean nothing to us:
//!
//! | name | what |
//! |---|---|
//! | `vcpus`, `memoryMib`, `diskMib` | its size; the disk is the system's |
//! | `dataDiskMib` | a second, empty disk |
//! | `image` | the name of the image of the system disk |
//! | `port`, `path` | where its HTTP answers, and what is asked for to see that it does |
//! | `user`, `sshKeys` | who may log in, with which keys |
//! | `userData` | the customer's own cloud-init, `#cloud-config` or a script |
//! | `site`, `pool` | where it may stand, by id |
//! | `apart` | machines of one order with the same word stand on different hosts |

use std::collections::BTreeMap;

use base::id::HostId;
use base::{Error, Result};
use drivers::seed::{self, Guest, Interface};
use drivers::wire::{
    Check, CloudInit, DiskSource, DiskSpec, Filesystem, Forward, ImageRef, IntentId, Mac, MachineSpec, NetworkSpec,
    Power, Transport,
};
use resources::placement::{Demand, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// A machine that is to be: what later steps work with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The id of its intent and of its reservation.
    pub id: String,
    /// The customer-facing service that it is part of.
    pub service: String,
    /// The service that it supports.
    pub supports: String,
    /// What people call it.
    pub name: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The system disk, in MiB.
    pub disk_mib: u64,
    /// A second disk, in MiB; 0 for none.
    pub data_disk_mib: u64,
    /// The image's name.
    pub image: String,
    /// Where its HTTP answers; 0 for a machine without.
    pub port: u16,
    /// What is asked for to see that it answers.
    pub path: String,
    /// Who may log in; empty for nobody.
    pub user: String,
    /// With which keys.
    pub ssh_keys: Vec<String>,
    /// The customer's own cloud-init; empty for none.
    pub user_data: String,
    /// What the guest is told, by name.
    pub told: BTreeMap<String, String>,
    /// Where it may stand.
    pub policy: Policy,
}

/// Where a machine stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    /// The machine.
    pub machine: String,
    /// The host.
    pub host: HostId,
}

/// What a machine holds of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claimed {
    /// The machine.
    pub machine: String,
    /// Its station address.
    pub mac: String,
    /// The bridge that it is attached to; empty for the host's user network.
    pub bridge: String,
    /// Its address with prefix length; empty on the user network.
    pub address: String,
    /// The way out; empty for none.
    pub gateway: String,
    /// Ports of the host's loopback that lead into the guest.
    pub forwards: Vec<Forwarded>,
    /// Where its HTTP is reached; empty for a machine without.
    pub url: String,
}

/// A port of a host that leads into a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forwarded {
    /// The port of the host.
    pub host: u16,
    /// The port of the guest.
    pub guest: u16,
}

/// Where SSH answers.
pub(super) const SSH: u16 = 22;

const KNOWN: [&str; 13] = [
    "vcpus",
    "memoryMib",
    "diskMib",
    "dataDiskMib",
    "image",
    "port",
    "path",
    "user",
    "sshKeys",
    "userData",
    "site",
    "pool",
    "apart",
];

impl Machine {
    /// Reads the characteristics of a designed machine.
    ///
    /// # Errors
    /// `Conflict` (`specification.machine`) naming what its specification leaves open.
    pub(super) fn read(
        id: String,
        service: String,
        supports: String,
        name: String,
        of: &Map<String, Json>,
    ) -> Result<Self> {
        let lacks = |what: &str| {
            Error::conflict("specification.machine", format!("the machine's specification gives no usable `{what}`"))
                .at(what.to_owned())
        };
        let number = |what: &str, least: u64| match of.get(what) {
            None if least == 0 => Ok(0),
            given => given.and_then(Json::as_u64).filter(|number| *number >= least).ok_or_else(|| lacks(what)),
        };
        let text = |what: &str| of.get(what).and_then(Json::as_str).unwrap_or_default().to_owned();
        let id_of = |what: &str| of.get(what).and_then(Json::as_str).filter(|text| !text.is_empty());
        let keys = match of.get("sshKeys") {
            Some(Json::Array(keys)) => keys.iter().filter_map(Json::as_str).map(|key| key.trim().to_owned()).collect(),
            Some(Json::String(keys)) => keys.lines().map(|key| key.trim().to_owned()).collect(),
            _ => Vec::new(),
        };
        let path = Some(text("path")).filter(|path| path.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        Ok(Machine {
            vcpus: u32::try_from(number("vcpus", 1)?).map_err(|_| lacks("vcpus"))?,
            memory_mib: number("memoryMib", 1)?,
            disk_mib: number("diskMib", 1)?,
            data_disk_mib: number("dataDiskMib", 0)?,
            image: id_of("image").map(str::to_owned).ok_or_else(|| lacks("image"))?,
            port: u16::try_from(number("port", 0)?).map_err(|_| lacks("port"))?,
            path,
            user: text("user"),
            ssh_keys: keys.into_iter().filter(|key: &String| !key.is_empty()).collect(),
            user_data: text("userData"),
            told: of
                .iter()
                .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
            policy: Policy {
                site: id_of("site").map(str::parse).transpose()?,
                pool: id_of("pool").map(str::parse).transpose()?,
                apart: id_of("apart").map(|word| format!("{service}:{word}")).unwrap_or_default(),
                ..Policy::default()
            },
            id,
            service,
            supports,
            name,
        })
    }

    /// The id of its intent.
    ///
    /// # Errors
    /// `Bug`: ids are made by [`super::start::DesignOrder`].
    pub(super) fn intent(&self) -> Result<IntentId> {
        intent(&self.id)
    }

    /// What it takes of a host.
    pub(super) fn demand(&self) -> Demand {
        let fit = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Demand {
            vcpu: i64::from(self.vcpus),
            memory_mib: fit(self.memory_mib),
            disk_mib: fit(self.disk_mib.saturating_add(self.data_disk_mib)),
        }
    }

    /// The ports of the guest that are reached from outside.
    pub(super) fn ports(&self) -> Vec<u16> {
        let ssh = (!self.user.is_empty() && !self.ssh_keys.is_empty()).then_some(SSH);
        (self.port > 0).then_some(self.port).into_iter().chain(ssh).collect()
    }

    /// What should be on the host.
    ///
    /// # Errors
    /// `Bug` where a claim does not read.
    pub(super) fn wanted(&self, claimed: &Claimed, image: ImageRef) -> Result<MachineSpec> {
        let mac: Mac = claimed.mac.parse().map_err(|e: String| Error::bug("claim.damaged", e))?;
        let mut disks =
            vec![DiskSpec { name: "system".to_owned(), size_mib: self.disk_mib, source: DiskSource::Image { image } }];
        if self.data_disk_mib > 0 {
            disks.push(DiskSpec {
                name: "data".to_owned(),
                size_mib: self.data_disk_mib,
                source: DiskSource::Blank { filesystem: Some(Filesystem::Ext4) },
            });
        }
        let network = if claimed.bridge.is_empty() {
            let forward =
                |port: &Forwarded| Forward { host_port: port.host, guest_port: port.guest, transport: Transport::Tcp };
            NetworkSpec::User {
                mac: Some(mac.clone()),
                forwards: claimed.forwards.iter().map(forward).collect(),
                outbound: false,
            }
        } else {
            NetworkSpec::Bridge {
                bridge: claimed.bridge.clone(),
                mac: mac.clone(),
                addresses: vec![claimed.address.clone()],
            }
        };
        Ok(MachineSpec {
            name: self.name.clone(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            disks,
            networks: vec![network],
            cloud_init: self.seed(claimed, mac),
            power: Power::Running,
            reboot_token: None,
            check: (self.port > 0).then(|| Check::Http { port: self.port, path: self.path.clone(), tell: None }),
        })
    }

    fn seed(&self, claimed: &Claimed, mac: Mac) -> CloudInit {
        let hostname = hostname(&self.name, &self.id);
        let interface = Interface {
            mac,
            addresses: Some(claimed.address.clone()).filter(|address| !address.is_empty()).into_iter().collect(),
            gateway: Some(claimed.gateway.clone()).filter(|gateway| !gateway.is_empty()),
            nameservers: Vec::new(),
        };
        let mut seed = seed::nocloud(&Guest {
            instance_id: &self.id,
            hostname: &hostname,
            name: &self.name,
            user: Some(self.user.as_str()).filter(|user| !user.is_empty() && !self.ssh_keys.is_empty()),
            ssh_keys: &self.ssh_keys,
            characteristics: self.told.clone(),
            networks: vec![interface],
        });
        if !self.user_data.is_empty() {
            seed.user_data = both(&seed.user_data, &self.user_data);
        }
        seed
    }
}

/// The platform's cloud-init and the customer's own, as cloud-init's archive of
/// several documents. JSON is YAML, so neither can end inside the other.
fn both(ours: &str, theirs: &str) -> String {
    let kind = if theirs.starts_with("#!") { "text/x-shellscript" } else { "text/cloud-config" };
    let archive = json!([{ "type": "text/cloud-config", "content": ours }, { "type": kind, "content": theirs }]);
    format!("#cloud-config-archive\n{archive}\n")
}

/// A host name out of what people typed, or out of the id.
fn hostname(name: &str, id: &str) -> String {
    let letters = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = name.chars().map(letters).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let joined: String = parts.join("-").chars().take(40).collect();
    let joined = joined.trim_end_matches('-');
    if joined.is_empty() { id.replace('_', "-") } else { joined.to_owned() }
}

/// A value as a guest reads it.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The id of an intent, as the wire takes it.
///
/// # Errors
/// `Bug`: ids are made here.
pub(super) fn intent(id: &str) -> Result<IntentId> {
    id.parse().map_err(|e: String| Error::bug("intent.id", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(of: Json) -> Result<Machine> {
        Machine::read("vm_1".into(), "svc_1".into(), "svc_2".into(), "Web 網站 1".into(), of.as_object().unwrap())
    }

    #[test]
    fn a_machine_needs_a_size_and_an_image() {
        let whole = json!({ "vcpus": 1, "memoryMib": 128, "diskMib": 64, "image": "tiny" });
        for missing in ["vcpus", "memoryMib", "diskMib", "image"] {
            let mut of = whole.clone();
            of.as_object_mut().unwrap().remove(missing);
            assert_eq!(machine(of).unwrap_err().attribute(), Some(missing));
        }
        assert_eq!(
            machine(json!({ "vcpus": 1, "memoryMib": 128, "diskMib": 64, "image": "tiny", "port": 70_000 }))
                .unwrap_err()
                .code(),
            "specification.machine"
        );
        assert!(machine(whole).unwrap().ports().is_empty());
    }

    #[test]
    fn the_seed_carries_keys_and_both_documents() {
        let machine = machine(json!({
            "vcpus": 2, "memoryMib": 512, "diskMib": 1024, "dataDiskMib": 64, "image": "debian", "port": 80, "user": "admin",
            "sshKeys": ["ssh-ed25519 AAAA a"], "userData": "#!/bin/sh\necho hi", "greeting": "Hello", "floor": 3,
        }))
        .unwrap();
        assert_eq!(machine.ports(), [80, 22]);
        assert_eq!(
            machine.told,
            BTreeMap::from([("greeting".to_owned(), "Hello".to_owned()), ("floor".to_owned(), "3".to_owned())])
        );
        let claimed = Claimed {
            machine: "vm_1".into(),
            mac: "52:54:00:00:00:01".into(),
            bridge: String::new(),
            address: String::new(),
            gateway: String::new(),
            forwards: vec![Forwarded { host: 20_001, guest: 80 }, Forwarded { host: 20_002, guest: 22 }],
            url: "http://127.0.0.1:20001/".into(),
        };
        let image = ImageRef {
            name: "debian".into(),
            sha256: "ab".repeat(32).parse().unwrap(),
            bytes: 1,
            format: Default::default(),
            url: None,
        };
        let spec = machine.wanted(&claimed, image).unwrap();
        spec.check().unwrap();
        assert_eq!(spec.disks.len(), 2);
        assert!(spec.cloud_init.user_data.starts_with("#cloud-config-archive\n"));
        let archive: Json = serde_json::from_str(spec.cloud_init.user_data.split_once('\n').unwrap().1).unwrap();
        assert!(archive[0]["content"].as_str().unwrap().contains("ssh-ed25519 AAAA a"));
        assert_eq!(archive[1], json!({ "type": "text/x-shellscript", "content": "#!/bin/sh\necho hi" }));
        assert_eq!(Demand::of_machine(&spec), machine.demand());
    }

    #[test]
    fn host_names_are_made_of_what_can_be_one() {
        assert_eq!(hostname("Web 網站 1", "vm_1"), "web-1");
        assert_eq!(hostname("網站", "vm_1"), "vm-1");
        assert_eq!(hostname(&"a-".repeat(60), "vm_1").len(), 39);
    }
}
