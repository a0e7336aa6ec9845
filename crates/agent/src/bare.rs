//! A host without machines: a guest of its own or anybody's server, whose files and databases are
//! backed up. It offers no capacity, and says so.

use std::time::Duration;

use base::{Error, Result};
use drivers::hypervisor::{Answer, Console, Found, Hypervisor};
use drivers::wire::{Accelerator, HostReport, IntentId, MachineSpec};

/// Runs no machines.
pub struct Bare;

/// This host, with nothing that machines could be given.
pub fn report() -> HostReport {
    HostReport {
        hostname: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        cpu_cores: 0,
        memory_mib: 0,
        disk_mib: 0,
        disk_free_mib: 0,
        accelerator: Accelerator::Unknown,
        hypervisor: String::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        booted_at: None,
        images: Vec::new(),
        bridges: Vec::new(),
        warnings: Vec::new(),
    }
}

fn none() -> Error {
    Error::invalid("agent.no_machines", "this agent looks after no machines")
}

impl Hypervisor for Bare {
    fn host(&self) -> Result<HostReport> {
        Ok(report())
    }
    fn prepare(&self, _: &IntentId, _: u64, _: &MachineSpec) -> Result<()> {
        Err(none())
    }
    fn start(&self, _: &IntentId) -> Result<()> {
        Err(none())
    }
    fn stop(&self, _: &IntentId, _: Duration) -> Result<()> {
        Ok(())
    }
    fn crash(&self, _: &IntentId) -> Result<()> {
        Err(none())
    }
    fn remove(&self, _: &IntentId) -> Result<()> {
        Ok(())
    }
    fn look(&self, _: &IntentId) -> Result<Option<Found>> {
        Ok(None)
    }
    fn list(&self) -> Result<Vec<Found>> {
        Ok(Vec::new())
    }
    fn console(&self, _: &IntentId, _: u32) -> Result<Console> {
        Err(Error::not_found("console.none", "there is no machine here"))
    }
    fn check(&self, _: &IntentId, _: &MachineSpec, _: Duration) -> Answer {
        Answer { ok: false, detail: "there is no machine here".to_owned(), body: None }
    }
    fn changes(&self, patience: Duration) -> Vec<IntentId> {
        std::thread::sleep(patience);
        Vec::new()
    }
}
