//! libvirt as a [`Hypervisor`].
//!
//! **What.** Machines are persistent domains named `yw-<intent>`, each with a mark of ours in its
//! metadata and a directory of its own (`storage`). Works with the system daemon and with an
//! unprivileged session daemon alike.
//!
//! **Invariants.**
//! - Only domains that carry the mark of this platform are ever looked at twice; a domain of the right
//!   name without the mark is a conflict, not ours to touch.
//! - A domain's UUID follows from platform and intent: defining it again redefines the same one.
//! - Every call ends in time (`connection`); every file under its own name is complete (`storage`).
//!
//! **Not here.** When to do what (`drivers::converge`), whether KVM works (`probe`).

mod bundle;
mod connection;
pub mod copy;
mod iso;
mod process;
mod storage;
mod xml;

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::error::Kind;
use base::{Error, Result};
use drivers::converge::ControlPlane;
use drivers::hypervisor::{Activity, Answer, Console, Found, Hypervisor, Run, Stopped, spec_digest};
use drivers::moment::{HostClock, Moment};
use drivers::wire::{Accelerator, HostReport, IntentId, MachineSpec, NetworkSpec};
use virt::domain::{
    Domain, DomainPausedReason, DomainPausedReasonEnum, DomainShutoffReason, DomainShutoffReasonEnum, DomainState,
    DomainStateEnum, DomainStateReason, DomainStateReasonEnum,
};
use virt::enumutil::Enum;

use crate::{check, files::failed};
use connection::{Connection, Effect};
use process::Processes;
use storage::Storage;
use xml::Mark;

/// How long libvirt may take to answer a question.
const READS: Duration = Duration::from_secs(10);
/// How long libvirt may take to start or end a machine.
const CHANGES: Duration = Duration::from_secs(60);
/// What the domains' names begin with.
const PREFIX: &str = "yw-";
/// Everything that libvirt may keep beside a definition: saved state, snapshots, NVRAM, checkpoints.
const UNDEFINE_ALL: u32 = 1 | 2 | 4 | 16;

/// libvirt on this host.
pub struct Libvirt {
    connection: Connection,
    storage: Storage,
    data: PathBuf,
    platform: String,
    accelerator: Accelerator,
    processes: Processes,
    clock: HostClock,
}

/// What libvirt says of one domain.
struct Seen {
    name: String,
    mark: Mark,
    activity: Shown,
    vcpus: u32,
    memory_mib: u64,
    number: Option<u32>,
}

/// A domain's state before its run is known.
enum Shown {
    Running,
    Paused(String),
    Stopped(Stopped),
}

impl Libvirt {
    /// Uses the daemon at `uri` and keeps machines' files below `data`, an absolute path.
    ///
    /// # Errors
    /// Where `data` cannot be used. The daemon need not be there yet.
    pub fn new(
        uri: &str,
        data: &Path,
        platform: &str,
        accelerator: Accelerator,
        server: Arc<dyn ControlPlane>,
    ) -> Result<Self> {
        virt::error::clear_error_callback();
        Ok(Self {
            connection: Connection::new(uri),
            storage: Storage::new(data, server)?,
            data: data.to_owned(),
            platform: platform.to_owned(),
            accelerator,
            processes: Processes::default(),
            clock: HostClock::system(),
        })
    }

    /// One machine's domain, if there is one.
    fn seen(&self, id: &IntentId) -> Result<Option<Seen>> {
        let name = domain_name(id);
        let asked = self.connection.call(Effect::Reads, READS, move |libvirt| {
            let domain = libvirt.lookup_domain_by_name(&name)?;
            see(&domain)
        });
        match asked {
            Ok(Some(seen)) if seen.mark.platform == self.platform && seen.mark.id == *id => Ok(Some(seen)),
            Ok(_) => {
                let message = format!("there is a domain called {} that is not ours", domain_name(id));
                Err(Error::conflict("machine.name_taken", message))
            }
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn found(&self, seen: Seen, now: &Moment) -> Found {
        let run = || {
            let fallback = || Run { name: format!("{}:{}", now.boot, seen.number.unwrap_or(0)), began: None };
            self.processes.run(&seen.name, now).unwrap_or_else(fallback)
        };
        let activity = match seen.activity {
            Shown::Running => Activity::Running { run: run() },
            Shown::Paused(reason) => Activity::Paused { run: run(), reason },
            Shown::Stopped(how) => Activity::Stopped { how },
        };
        let id = seen.mark.id;
        let dir = self.storage.dir(&id);
        Found {
            complete: self.storage.is_complete(&id, &disks_of(&dir)),
            recovered: self.storage.recovered(&id),
            recovering: self.storage.recovering(&id),
            console_bytes: fs::metadata(dir.join("console.log")).map_or(0, |metadata| metadata.len()),
            generation: seen.mark.generation,
            domain: seen.name,
            // Defined for another accelerator than works here now: not as it should be.
            digest: if seen.mark.accelerator == self.accelerator_word() { seen.mark.digest } else { String::new() },
            activity,
            vcpus: seen.vcpus,
            memory_mib: seen.memory_mib,
            id,
        }
    }

    fn accelerator_word(&self) -> String {
        if self.accelerator == Accelerator::Kvm { "kvm" } else { "tcg" }.to_owned()
    }

    /// Files without a domain.
    fn leftover(&self, id: &IntentId) -> Found {
        Found {
            id: id.clone(),
            generation: 0,
            domain: domain_name(id),
            complete: false,
            digest: String::new(),
            activity: Activity::Stopped { how: Stopped::Never },
            vcpus: 0,
            memory_mib: 0,
            recovered: Vec::new(),
            recovering: self.storage.recovering(id),
            console_bytes: 0,
        }
    }

    /// Waits until the machine has no life, at most for `patience`.
    fn wait_until_stopped(&self, id: &IntentId, patience: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            match self.seen(id)? {
                None | Some(Seen { activity: Shown::Stopped(_), .. }) => return Ok(true),
                Some(_) if start.elapsed() >= patience => return Ok(false),
                Some(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn change(
        &self,
        id: &IntentId,
        body: impl FnOnce(&Domain) -> Result<(), virt::error::Error> + Send + 'static,
    ) -> Result<()> {
        let name = domain_name(id);
        self.connection.call(Effect::Changes, CHANGES, move |libvirt| body(&libvirt.lookup_domain_by_name(&name)?))
    }
}

impl Libvirt {
    /// Removes images that nothing on this host has used for long.
    ///
    /// # Errors
    /// Where the disk does not let it.
    pub fn forget_images(&self) -> Result<()> {
        self.storage.forget_images().map(drop)
    }
}

impl Hypervisor for Libvirt {
    fn host(&self) -> Result<HostReport> {
        let (node, version, qemu) = self.connection.call(Effect::Reads, READS, |libvirt| {
            Ok((libvirt.node_info()?, libvirt.lib_version()?, libvirt.hyp_version().unwrap_or(0)))
        })?;
        let now = self.clock.now();
        let (disk_mib, disk_free_mib) = disk_space(&self.data);
        Ok(HostReport {
            hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            cpu_cores: node.cpus,
            memory_mib: node.memory >> 10,
            disk_mib,
            disk_free_mib,
            accelerator: self.accelerator,
            hypervisor: format!("libvirt {}, QEMU {}", dotted(version), dotted(qemu)),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            booted_at: Some(now.wall_at(0)),
            images: self.storage.images(),
            bridges: bridges(),
            warnings: Vec::new(),
        })
    }

    fn prepare(&self, id: &IntentId, generation: u64, spec: &MachineSpec) -> Result<()> {
        spec.check()?;
        if let Some(bridge) = missing_bridge(spec) {
            let message = format!("this host has no bridge called {bridge}; make it, or place the machine elsewhere");
            return Err(Error::unavailable("host.bridge_missing", message));
        }
        let resting = self.seen(id)?.is_none_or(|seen| matches!(seen.activity, Shown::Stopped(_)));
        let prepared = self.storage.prepare(id, spec, resting)?;
        let digest = spec_digest(spec);
        let accelerator = self.accelerator_word();
        let mark = Mark { platform: self.platform.clone(), id: id.clone(), generation, digest, accelerator };
        let names: Vec<&str> = spec.disks.iter().map(|disk| disk.name.as_str()).collect();
        crate::files::write_private(&self.storage.dir(id).join("disks"), names.join("\n").as_bytes())?;
        let definition = xml::domain(&xml::Parts {
            mark: &mark,
            domain: &domain_name(id),
            uuid: &uuid(&self.platform, id),
            spec,
            accelerator: self.accelerator,
            disks: prepared.disks,
            seed: prepared.seed,
            boot: prepared.boot,
            console: prepared.console,
        });
        let define = move |libvirt: &virt::connect::Connect| libvirt.define_domain_xml(&definition).map(drop);
        self.connection.call(Effect::Changes, CHANGES, define)
    }

    fn start(&self, id: &IntentId) -> Result<()> {
        match self.seen(id)?.map(|seen| seen.activity) {
            None => Err(Error::not_found("machine.not_prepared", "there is no such domain")),
            Some(Shown::Running) => Ok(()),
            Some(Shown::Paused(_)) => self.change(id, |domain| domain.resume()),
            Some(Shown::Stopped(_)) => self.change(id, |domain| domain.create()),
        }
    }

    fn stop(&self, id: &IntentId, grace: Duration) -> Result<()> {
        if self.wait_until_stopped(id, Duration::ZERO)? {
            return Ok(());
        }
        // A guest that cannot be asked, or does not listen, loses its power.
        let asked = !grace.is_zero() && self.change(id, |domain| domain.shutdown()).is_ok();
        if asked && self.wait_until_stopped(id, grace)? {
            return Ok(());
        }
        let destroyed = self.change(id, |domain| domain.destroy());
        if self.wait_until_stopped(id, Duration::ZERO)? { Ok(()) } else { destroyed }
    }

    fn crash(&self, id: &IntentId) -> Result<()> {
        let seen = self.seen(id)?.filter(|seen| !matches!(seen.activity, Shown::Stopped(_)));
        let seen = seen.ok_or_else(|| Error::not_found("machine.not_running", "it does not run"))?;
        match process::kill(&seen.name) {
            true => Ok(()),
            // The guest is another user's process: the daemon takes its power away, which is as sudden.
            false => self.change(id, |domain| domain.destroy()),
        }
    }

    fn remove(&self, id: &IntentId) -> Result<()> {
        if let Some(seen) = self.seen(id)? {
            if !matches!(seen.activity, Shown::Stopped(_)) {
                self.stop(id, Duration::ZERO)?;
            }
            match self.change(id, |domain| domain.undefine_flags(UNDEFINE_ALL)) {
                Err(e) if e.kind() != Kind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.storage.remove(id)
    }

    fn look(&self, id: &IntentId) -> Result<Option<Found>> {
        let now = self.clock.now();
        match self.seen(id)? {
            Some(seen) => Ok(Some(self.found(seen, &now))),
            None if self.storage.dir(id).exists() => Ok(Some(self.leftover(id))),
            None => Ok(None),
        }
    }

    fn list(&self) -> Result<Vec<Found>> {
        let seen = self.connection.call(Effect::Reads, READS, |libvirt| {
            let mut seen = Vec::new();
            for domain in libvirt.list_all_domains(0)? {
                match see(&domain) {
                    Ok(one) => seen.extend(one),
                    // It went away between the list and the question.
                    Err(e) if e.code().is(virt::error::ErrorNumber::NoDomain) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(seen)
        })?;
        let now = self.clock.now();
        let ours = seen.into_iter().filter(|seen| seen.mark.platform == self.platform);
        let mut found: Vec<Found> = ours.map(|seen| self.found(seen, &now)).collect();
        for id in self.storage.machines()? {
            if !found.iter().any(|one| one.id == id) {
                found.push(self.leftover(&id));
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn console(&self, id: &IntentId, bytes_max: u32) -> Result<Console> {
        let path = self.storage.dir(id).join("console.log");
        let read = || -> std::io::Result<Console> {
            let mut file = fs::File::open(&path)?;
            let length = file.metadata()?.len();
            let from = length.saturating_sub(u64::from(bytes_max));
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(u64::from(bytes_max)).read_to_end(&mut bytes)?;
            // What was there before the log was turned over is next to it.
            Ok(Console { bytes, truncated: from > 0 || path.with_extension("log.0").exists() })
        };
        read().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::not_found("machine.no_console", "the machine has written nothing yet")
            }
            _ => failed("read", &path, e),
        })
    }

    fn check(&self, _id: &IntentId, spec: &MachineSpec, patience: Duration) -> Answer {
        check::try_out(spec, patience)
    }

    fn changes(&self, patience: Duration) -> Vec<IntentId> {
        // The binding has no safe way to libvirt's events; the next list tells.
        std::thread::sleep(patience);
        Vec::new()
    }
}

/// What libvirt says of a domain; `None` for one without our mark.
fn see(domain: &Domain) -> Result<Option<Seen>, virt::error::Error> {
    let name = domain.name()?;
    if !name.starts_with(PREFIX) {
        return Ok(None);
    }
    let element = i32::try_from(virt::sys::VIR_DOMAIN_METADATA_ELEMENT).unwrap_or(2);
    let Ok(mark) = domain.metadata(element, Some(xml::NAMESPACE), 0) else { return Ok(None) };
    let Some(mark) = xml::read_mark(&mark) else { return Ok(None) };
    let (state, reason) = domain.state()?;
    let info = domain.info()?;
    Ok(Some(Seen {
        name,
        mark,
        activity: shown(state, reason),
        vcpus: info.nr_virt_cpu,
        memory_mib: info.memory >> 10,
        number: domain.id(),
    }))
}

fn shown(state: DomainStateEnum, reason: DomainStateReasonEnum) -> Shown {
    let Enum::Known(state) = state else { return Shown::Running };
    match (state, reason) {
        (DomainState::Running | DomainState::Blocked | DomainState::Shutdown | DomainState::NoState, _) => {
            Shown::Running
        }
        (DomainState::Paused, Enum::Known(DomainStateReason::Paused(reason))) => paused(reason),
        (DomainState::Paused | DomainState::PMSuspended, _) => Shown::Paused("suspended".to_owned()),
        (DomainState::Crashed, _) => Shown::Stopped(Stopped::Crashed),
        (DomainState::Shutoff, Enum::Known(DomainStateReason::Shutoff(reason))) => Shown::Stopped(ended(reason)),
        (DomainState::Shutoff, _) => Shown::Stopped(Stopped::Unknown),
    }
}

fn paused(reason: DomainPausedReasonEnum) -> Shown {
    Shown::Paused(match reason {
        // On its way into or out of a life: nothing to be done about it.
        Enum::Known(DomainPausedReason::StartingUp | DomainPausedReason::ShuttingDown) => return Shown::Running,
        Enum::Known(DomainPausedReason::IOError) => "a disk cannot be written; is the host's disk full?".to_owned(),
        Enum::Known(DomainPausedReason::User) => "suspended at the host".to_owned(),
        other => format!("{other:?}"),
    })
}

fn ended(reason: DomainShutoffReasonEnum) -> Stopped {
    match reason {
        Enum::Known(DomainShutoffReason::Shutdown) => Stopped::Shutdown,
        Enum::Known(DomainShutoffReason::Destroyed) => Stopped::Destroyed,
        Enum::Known(DomainShutoffReason::Crashed | DomainShutoffReason::Failed) => Stopped::Crashed,
        _ => Stopped::Unknown,
    }
}

fn domain_name(id: &IntentId) -> String {
    format!("{PREFIX}{id}")
}

/// The names of a machine's disks, as they were when it was last prepared.
fn disks_of(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("disks")).map_or_else(
        // Without the list nothing is complete.
        |_| vec![String::new()],
        |text| text.lines().map(str::to_owned).collect(),
    )
}

/// A UUID that is always the same for the same machine (RFC 9562, version 8).
fn uuid(platform: &str, id: &IntentId) -> String {
    let text = format!("{platform}/{id}");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.as_ref().get(..16).unwrap_or(&[0; 16]));
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = base::hex::encode(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn dotted(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

/// Size and free space of the file system that holds `path`, in MiB.
fn disk_space(path: &Path) -> (u64, u64) {
    let output = Command::new("df").args(["-P", "-k"]).arg(path).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let fields: Vec<u64> =
        text.lines().nth(1).into_iter().flat_map(str::split_whitespace).filter_map(|f| f.parse().ok()).collect();
    (fields.first().map_or(0, |kib| kib >> 10), fields.get(2).map_or(0, |kib| kib >> 10))
}

/// The Linux bridges of this host.
fn bridges() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let bridges = entries.filter(|entry| entry.path().join("bridge").is_dir());
    let mut names: Vec<String> = bridges.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether a machine needs a bridge that is not there: said before anything is made.
fn missing_bridge(spec: &MachineSpec) -> Option<String> {
    spec.networks.iter().find_map(|network| match network {
        NetworkSpec::Bridge { bridge, .. } if !bridges().contains(bridge) => Some(bridge.clone()),
        _ => None,
    })
}
