//! What the server wants on a host.

use std::collections::HashSet;

use base::{Error, Result, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostTask, IntentId, Mac, RecoveryId, Sha256};

/// The answer to a poll for intents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intents {
    /// The version of the protocol that the server speaks.
    pub protocol: u32,
    /// Where the next poll continues. Opaque to the agent but for equality; 0 asks for everything.
    pub cursor: u64,
    /// `true`: `intents` is everything this host should know of, and what the agent holds beside it
    /// is unknown to the server. `false`: only what changed since the cursor that was sent.
    pub full: bool,
    /// The intents, each at its newest generation.
    #[serde(default)]
    pub intents: Vec<Intent>,
    /// Consoles that somebody wants to read now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console_requests: Vec<ConsoleRequest>,
    /// All open tasks of this host, in every answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<HostTask>,
}

/// What the server wants of one resource on this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The resource. Never used again for another one.
    pub id: IntentId,
    /// Grows with every change. The agent ignores anything older than what it holds.
    pub generation: u64,
    /// What should be there.
    pub desired: Desired,
    /// The sequence of the newest life that the server has heard of, 0 for none. An agent that has lost
    /// its memory continues from there instead of telling another life under an old number.
    #[serde(default)]
    pub lives_known: u64,
}

/// What should be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Desired {
    /// A machine like this.
    Machine(Box<MachineSpec>),
    /// Nothing: whatever the agent made for this intent is taken away, disks included.
    Absent,
    /// A kind of resource that this version does not know. Reported as failed, never guessed at.
    #[serde(other)]
    Unknown,
}

/// A machine: what it is made of, and whether it should run.
///
/// Size, disks' sources and networks take effect when the machine is made or next started; a
/// change does not restart a running machine by itself (change `reboot_token` for that).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineSpec {
    /// The name people gave it. Shown, never used in a path.
    pub name: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disks in the order the guest sees them (`vda`, `vdb`, …). The first one boots.
    pub disks: Vec<DiskSpec>,
    /// Network interfaces in the order the guest sees them.
    #[serde(default)]
    pub networks: Vec<NetworkSpec>,
    /// What the guest is told about itself (NoCloud seed).
    #[serde(default)]
    pub cloud_init: CloudInit,
    /// Whether it should run.
    #[serde(default)]
    pub power: Power,
    /// A value that differs from the one the agent last acted on means: reboot once. A machine that
    /// has just been started for another reason counts as rebooted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_token: Option<String>,
    /// How to see that the machine does its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl MachineSpec {
    /// Whether this machine can be made at all by this version.
    ///
    /// # Errors
    /// `Invalid` naming the attribute.
    pub fn check(&self) -> Result<()> {
        within("vcpus", u64::from(self.vcpus), 1, u64::from(limits::MACHINE_VCPUS_MAX))?;
        within("memoryMib", self.memory_mib, limits::MACHINE_MEMORY_MIB_MIN, limits::MACHINE_MEMORY_MIB_MAX)?;
        within("disks", self.disks.len() as u64, 1, limits::MACHINE_DISKS_MAX as u64)?;
        within("networks", self.networks.len() as u64, 0, limits::MACHINE_NETWORKS_MAX as u64)?;
        let mut names = HashSet::new();
        for (at, disk) in self.disks.iter().enumerate() {
            disk.check().map_err(|e| e.at(format!("disks.{at}")))?;
            if !names.insert(disk.name.as_str()) {
                let message = format!("two disks are called `{}`", disk.name);
                return Err(Error::invalid("machine.disk_name_taken", message).at(format!("disks.{at}.name")));
            }
        }
        let mut host_ports = HashSet::new();
        for (at, network) in self.networks.iter().enumerate() {
            network.check(&mut host_ports).map_err(|e| e.at(format!("networks.{at}")))?;
        }
        let documents = [&self.cloud_init.user_data, &self.cloud_init.meta_data];
        for text in documents.into_iter().chain(&self.cloud_init.network_config) {
            within("cloudInit", text.len() as u64, 0, limits::SEED_BYTES_MAX as u64)?;
        }
        if let Some(Check::Http { port, path, tell }) = &self.check {
            let clean = |path: &String| {
                let plain = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
                plain && path.len() <= limits::TEXT_INDEXED_MAX
            };
            if *port == 0 || !clean(path) || !tell.iter().all(clean) {
                let message = "a check needs a port and a path that begins with / and has no blanks";
                return Err(Error::invalid("machine.check_malformed", message).at("check"));
            }
        }
        Ok(())
    }

    /// The images that this machine's disks are made from, or that it boots from.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        self.disks.iter().filter_map(|disk| match &disk.source {
            DiskSource::Image { image } => Some(image),
            DiskSource::Recovery { boot, .. } => boot.as_ref(),
            DiskSource::Blank { .. } | DiskSource::Unknown => None,
        })
    }
}

/// One disk of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskSpec {
    /// Its name within the machine, such as `system` or `data`: `[a-z][a-z0-9-]{0,19}`. It names the file.
    pub name: String,
    /// Its size in MiB. A disk may grow while the machine is stopped, it never shrinks.
    pub size_mib: u64,
    /// What it holds at first. It is looked at once, when the disk is made.
    pub source: DiskSource,
}

impl DiskSpec {
    fn check(&self) -> Result<()> {
        if !is_disk_name(&self.name) {
            let message = "a disk's name is at most 20 lower-case letters, digits and -, and not `seed`";
            return Err(Error::invalid("machine.disk_name_malformed", message));
        }
        within("sizeMib", self.size_mib, 1, limits::DISK_MIB_MAX)?;
        match &self.source {
            DiskSource::Image { image } if image.format == ImageFormat::Unknown => Err(unsupported("an image")),
            DiskSource::Image { image } => within("image.bytes", image.bytes, 1, limits::IMAGE_BYTES_MAX),
            DiskSource::Blank { .. } => Ok(()),
            DiskSource::Recovery { disk, .. } if !is_disk_name(disk) => {
                Err(Error::invalid("machine.disk_name_malformed", "that cannot be the name of a disk that was saved"))
            }
            DiskSource::Recovery { .. } => Ok(()),
            DiskSource::Unknown => Err(unsupported("a disk's source")),
        }
    }
}

fn is_disk_name(name: &str) -> bool {
    let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let named = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(tail);
    named && name.len() <= 20 && name != "seed"
}

impl NetworkSpec {
    fn check<'a>(&'a self, host_ports: &mut HashSet<(u16, &'a Transport)>) -> Result<()> {
        match self {
            NetworkSpec::User { forwards, .. } => {
                within("forwards", forwards.len() as u64, 0, limits::FORWARDS_MAX as u64)?;
                let fresh = |f: &'a Forward, ports: &mut HashSet<_>| ports.insert((f.host_port, &f.transport));
                if forwards.iter().any(|f| f.host_port == 0 || f.guest_port == 0 || !fresh(f, host_ports)) {
                    let message = "every forward needs two ports, and a host's port leads to one place";
                    return Err(Error::invalid("machine.forward_malformed", message));
                }
                Ok(())
            }
            NetworkSpec::Bridge { bridge, addresses, .. } => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
                let named = bridge.starts_with(|c: char| c.is_ascii_alphanumeric()) && bridge.bytes().all(plain);
                if !named || bridge.len() > 15 {
                    return Err(Error::invalid("machine.bridge_malformed", "that cannot be a bridge's name"));
                }
                if addresses.iter().any(|address| address_of(address).is_none()) {
                    let message = "an address is written with its prefix length, such as 192.0.2.7/24";
                    return Err(Error::invalid("machine.address_malformed", message));
                }
                Ok(())
            }
            NetworkSpec::Unknown => Err(unsupported("a network")),
        }
    }
}

/// The address in `192.0.2.7/24`.
pub fn address_of(text: &str) -> Option<std::net::IpAddr> {
    let (address, prefix) = text.split_once('/')?;
    let address: std::net::IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix.parse::<u8>().ok()? <= bits).then_some(address)
}

fn within(attribute: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("must be from {least} to {most}, is {value}");
    Err(Error::invalid("machine.out_of_bounds", message).at(attribute))
}

fn unsupported(what: &str) -> Error {
    Error::invalid("machine.unsupported", format!("this version of the agent does not know {what} of that kind"))
}

/// What a new disk holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum DiskSource {
    /// A copy-on-write layer over an image.
    Image {
        /// The image.
        image: ImageRef,
    },
    /// Nothing, or an empty file system.
    Blank {
        /// The file system to make; `None` leaves the disk empty.
        #[serde(default)]
        filesystem: Option<Filesystem>,
    },
    /// What the disk of a machine held when a snapshot was taken of it. What opens it is asked for
    /// when the disk is made ([`path::RECOVERIES`](super::path::RECOVERIES)).
    Recovery {
        /// What it is recovered from.
        recovery: RecoveryId,
        /// The disk's name in what was saved.
        disk: String,
        /// The image that it was made from once, where machines boot from that directly: the kernel is not
        /// on the disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<ImageRef>,
    },
    /// A source that this version does not know. Reported as failed.
    #[serde(other)]
    Unknown,
}

/// A file system that the agent can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Filesystem {
    /// ext4, labelled with the disk's name.
    Ext4,
}

/// An image and how to be sure that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRef {
    /// What people call it.
    pub name: String,
    /// The digest of its bytes, and its name in the cache and in [`path::IMAGES`](super::path::IMAGES).
    pub sha256: Sha256,
    /// How many bytes it has. A download that grows past it is cut off.
    pub bytes: u64,
    /// The format of the file.
    #[serde(default)]
    pub format: ImageFormat,
    /// Where else to fetch it: `https://…`, or an absolute path on the host. Without it, or when
    /// that fails, the server is asked. The digest decides in every case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The format of an image file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageFormat {
    /// QEMU's copy-on-write format, without a backing file of its own.
    #[default]
    Qcow2,
    /// The disk's bytes as they are.
    Raw,
    /// A tar archive with `disk.qcow2` or `disk.raw`, and beside it `kernel`, `initrd` and `cmdline`: the machine
    /// boots from these directly, without a boot loader. Only for the first disk.
    DirectBoot,
    /// A format that this version does not know. Reported as failed.
    #[serde(other)]
    Unknown,
}

/// One network interface of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum NetworkSpec {
    /// QEMU's own network stack: needs no privileges. The guest is 10.0.2.15 and reaches nothing but
    /// what `outbound` lets it; what `forwards` names is reachable on the host's loopback.
    User {
        /// The station address; made from the intent's id when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
        /// Ports of the host's loopback that lead into the guest.
        #[serde(default)]
        forwards: Vec<Forward>,
        /// Whether the guest may open connections outwards. They would come from the host itself and
        /// reach its loopback too, hence `false` unless said otherwise.
        #[serde(default)]
        outbound: bool,
    },
    /// A port on a Linux bridge of the host.
    Bridge {
        /// The bridge's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,14}`.
        bridge: String,
        /// The station address.
        mac: Mac,
        /// The addresses that the guest was given, with prefix lengths (`192.0.2.7/24`). The agent
        /// probes the first of them; the guest learns of them from its network configuration.
        #[serde(default)]
        addresses: Vec<String>,
    },
    /// A kind of network that this version does not know. Reported as failed.
    #[serde(other)]
    Unknown,
}

/// A port of the host's loopback that leads into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    /// The port on 127.0.0.1 of the host.
    pub host_port: u16,
    /// The port in the guest.
    pub guest_port: u16,
    /// TCP unless said otherwise.
    #[serde(default)]
    pub transport: Transport,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// The three documents of a NoCloud seed, as text. `seed::nocloud` makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudInit {
    /// `user-data`: begins with `#cloud-config` or `#!`; empty for none.
    #[serde(default)]
    pub user_data: String,
    /// `meta-data`: at least `instance-id`.
    #[serde(default)]
    pub meta_data: String,
    /// `network-config`, version 2; `None` leaves the guest to its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_config: Option<String>,
}

/// Whether a machine should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Power {
    /// It runs. When it dies it is started again, with growing pauses; when the guest shuts itself
    /// down in good order, that is respected until the next generation.
    #[default]
    Running,
    /// It is made but does not run.
    Stopped,
}

/// How to see that a machine does its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Check {
    /// An HTTP GET that must answer 2xx.
    Http {
        /// The port in the guest.
        port: u16,
        /// The path, beginning with `/`.
        path: String,
        /// A second path: what it answers is told along, once the machine answers the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tell: Option<String>,
    },
    /// A check that this version does not know. Reported as not answered.
    #[serde(other)]
    Unknown,
}

/// Somebody wants to read a machine's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleRequest {
    /// The machine.
    pub id: IntentId,
    /// The request's name, given back with the answer. Asked again until answered.
    pub request: String,
    /// How much of the end is wanted.
    pub bytes_max: u32,
}
