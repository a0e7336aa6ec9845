//! What the server wants on a host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IntentId, Mac, Sha256};

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
    /// The images that this machine's disks are made from.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        self.disks.iter().filter_map(|disk| match &disk.source {
            DiskSource::Image { image } => Some(image),
            _ => None,
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
}

/// One network interface of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
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
    /// It runs; when it stops by itself it is started again, with growing pauses.
    #[default]
    Running,
    /// It is made but does not run.
    Stopped,
}

/// How to see that a machine does its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Check {
    /// An HTTP GET that must answer 2xx.
    Http {
        /// The port in the guest.
        port: u16,
        /// The path, beginning with `/`.
        path: String,
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
