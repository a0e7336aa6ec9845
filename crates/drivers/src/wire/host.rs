//! The host itself.

use base::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sha256;

/// What a host is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// Its name, by its own account.
    pub hostname: String,
    /// Processors that guests can be given.
    pub cpu_cores: u32,
    /// Memory in MiB, all of it.
    pub memory_mib: u64,
    /// Size of the file system that holds the machines' disks, in MiB.
    pub disk_mib: u64,
    /// What is free of it now, in MiB.
    #[serde(default)]
    pub disk_free_mib: u64,
    /// How guests run here: tried, not guessed.
    pub accelerator: Accelerator,
    /// The hypervisor and its version, such as `libvirt 9.0.0, QEMU 7.2.22`.
    pub hypervisor: String,
    /// The agent's version.
    pub agent_version: String,
    /// When the host was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub booted_at: Option<Timestamp>,
    /// Images that are here already.
    #[serde(default)]
    pub images: Vec<Sha256>,
    /// Linux bridges that guests can be attached to.
    #[serde(default)]
    pub bridges: Vec<String>,
    /// What an operator should know, such as a hypervisor that does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How guests run on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Accelerator {
    /// The processor's own virtualisation.
    Kvm,
    /// QEMU translates every instruction: slow, for trials.
    Tcg,
    /// No machine at all: the in-memory hypervisor.
    Simulated,
    /// Not known, or a word that this version does not know.
    #[serde(other)]
    Unknown,
}
