//! The command line.
//!
//! Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not enrolled, or another agent is running ·
//! 4 the server refused · 5 the server or the hypervisor cannot be reached.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::error::Kind;
use base::time::Clock;
use base::{Error, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use drivers::converge::{Agent, ControlPlane, Settings, Store};
use drivers::hypervisor::Hypervisor;
use drivers::moment::HostClock;
use drivers::wire::{
    Accelerator, ConsoleTail, EnrolToken, HostReport, ImageRef, IntentId, Intents, RecoveryAccess, RecoveryId, Report,
    ReportAnswer, TaskId,
};
use tracing_subscriber::EnvFilter;

use crate::client::Client;
use crate::identity::Identity;
use crate::libvirt::Libvirt;
use crate::tasks::Hands;
use crate::{bare, enrol, files, probe, restored};

/// The longest pause between two looks at the certificate's age, and between two tries to renew it.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// The pause between two looks for images that nothing uses.
const IMAGES_EVERY: Duration = Duration::from_secs(3_600);
/// How often it is looked whether the time of what was brought back is over.
const RESTORED_EVERY: Duration = Duration::from_secs(3_600);

/// The agent of Yunwei 雲維 on a host.
#[derive(Parser)]
#[command(name = "yunwei-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make this host known to its server, once.
    Enrol {
        /// Where the server listens for agents: https://HOST:PORT.
        #[arg(long, env = "YUNWEI_AGENT_SERVER")]
        server: String,
        /// The one-time token (ywe1_…); `-` reads it from standard input.
        #[arg(long, env = "YUNWEI_AGENT_TOKEN", hide_env_values = true)]
        token: String,
        #[command(flatten)]
        place: Place,
    },
    /// Work: make this host as the server wants it, until told to end.
    Run {
        #[command(flatten)]
        place: Place,
        /// How long a guest may take to shut down before its power is taken away, in seconds.
        #[arg(long, default_value_t = 20, env = "YUNWEI_AGENT_GRACE_SECONDS")]
        grace_seconds: u64,
    },
    /// Show what this host can do: processors, memory, hypervisor, and whether KVM really works.
    Probe {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the manual's pages, one for each command, into a directory.
    Manual {
        /// Where; made where it is not there.
        folder: PathBuf,
    },
    /// Show who this host is to its server, and what is on it.
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Place {
    /// Where the agent keeps its identity, its memory, images and machines' disks.
    #[arg(long, default_value = "/var/lib/yunwei-agent", env = "YUNWEI_AGENT_DATA")]
    data: PathBuf,
    /// libvirt's URI; by default the system daemon for root, else the user's own.
    #[arg(long, env = "LIBVIRT_DEFAULT_URI")]
    libvirt: Option<String>,
    /// Look after no machines and need no hypervisor: this host is here for its files and databases.
    #[arg(long, env = "YUNWEI_AGENT_NO_MACHINES", conflicts_with = "libvirt")]
    no_machines: bool,
}

impl Place {
    fn data(&self) -> Result<PathBuf> {
        files::passable_dir(&self.data)?;
        self.data.canonicalize().map_err(|e| files::failed("use", &self.data, e))
    }

    fn uri(&self) -> String {
        // Root has no session daemon, nobody else may use the system's.
        let root = std::env::var_os("USER").is_some_and(|user| user == "root")
            || std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        let default = if root { "qemu:///system" } else { "qemu:///session" };
        self.libvirt.clone().unwrap_or_else(|| default.to_owned())
    }
}

/// Runs what the command line says.
///
/// # Errors
/// Whatever keeps it from being done.
pub fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match arguments.command {
        Verb::Enrol { server, token, place } => enrol_host(&place, &server, &token),
        Verb::Run { place, grace_seconds } => work(&place, Duration::from_secs(grace_seconds)),
        Verb::Probe { place, json } => show_probe(&place, json),
        Verb::Status { place, json } => show_status(&place, json),
        Verb::Manual { folder } => manual(&folder),
    }
}

/// The exit code that an error deserves.
pub fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        Kind::Invalid => 2,
        Kind::Conflict => 3,
        Kind::Unauthenticated | Kind::Forbidden | Kind::NotFound => 4,
        Kind::Unavailable | Kind::Uncertain => 5,
        _ => 1,
    })
}

fn enrol_host(place: &Place, server: &str, token: &str) -> Result<()> {
    let token = match token {
        "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|e| Error::invalid("agent.no_token", "no token on standard input").because(e))?,
        token => token.to_owned(),
    };
    let token: EnrolToken =
        token.parse().map_err(|e: String| Error::invalid("agent.token_malformed", e).at("token"))?;
    let data = place.data()?;
    let host = describe(place, &data)?;
    let identity = enrol::enrol(&data, server, &token, host)?;
    println!("enrolled as {}, certificate until {}", identity.host_id, identity.expires_at);
    Ok(())
}

/// This host, even where its hypervisor does not answer yet.
fn describe(place: &Place, data: &Path) -> Result<HostReport> {
    if place.no_machines {
        return Ok(bare::report());
    }
    let clock = HostClock::system();
    let accelerator = probe::accelerator(data, &clock)?.accelerator;
    let libvirt = Libvirt::new(&place.uri(), data, "none", accelerator, Arc::new(Nobody))?;
    Ok(libvirt.host().unwrap_or_else(|e| HostReport {
        cpu_cores: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(0)),
        accelerator,
        warnings: vec![format!("the hypervisor does not answer: {e}")],
        ..bare::report()
    }))
}

fn work(place: &Place, grace: Duration) -> Result<()> {
    let data = place.data()?;
    let identity = Identity::load(&data)?;
    let platform = identity.platform.clone();
    // First of all, so that a second agent on the same directory touches nothing.
    let store = Store::open(&data.join("agent.db"))?;
    let clock = HostClock::system();
    let host = identity.host_id.clone();
    let client = Arc::new(Client::new(data.clone(), identity)?);
    let libvirt = if place.no_machines {
        tracing::info!(host, "this host looks after no machines");
        None
    } else {
        let probed = probe::accelerator(&data, &clock)?;
        tracing::info!(host, accelerator = ?probed.accelerator, "{}", probed.detail);
        Some(Arc::new(Libvirt::new(&place.uri(), &data, &platform, probed.accelerator, client.clone())?))
    };
    let settings = Settings { grace, ..Settings::default() };
    let hands = Arc::new(Hands::new(libvirt.clone(), client.clone(), &data));
    let hypervisor: Arc<dyn Hypervisor> = match &libvirt {
        Some(libvirt) => libvirt.clone(),
        None => Arc::new(bare::Bare),
    };
    let agent = Agent::start_with(settings, hypervisor, client.clone(), store, clock, Some(hands))?;
    std::thread::spawn(move || keep_certificate(&client));
    if let Some(images) = libvirt {
        std::thread::spawn(move || keep_images(&images));
    }
    let kept = data.clone();
    std::thread::spawn(move || keep_restored(&kept));
    wait_for_the_end()?;
    tracing::info!("ending; machines go on as they are");
    // A poll may be waiting for the server, and nothing is lost by not waiting for it: whatever matters
    // is on disk. So not longer than it takes to finish a step.
    let finished = std::thread::spawn(move || agent.stop());
    let start = std::time::Instant::now();
    while !finished.is_finished() && start.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Renews the certificate in good time, for ever.
fn keep_certificate(client: &Client) {
    loop {
        if client.due_in().is_zero() {
            match client.renew() {
                Ok(()) => tracing::info!("certificate renewed"),
                Err(e) => tracing::warn!(code = e.code(), "the certificate could not be renewed yet: {e}"),
            }
        }
        std::thread::sleep(client.due_in().clamp(Duration::from_secs(1), RENEW_EVERY));
    }
}

/// Removes images that are not needed any more, for ever.
fn keep_images(hypervisor: &Libvirt) {
    loop {
        std::thread::sleep(IMAGES_EVERY);
        if let Err(e) = hypervisor.forget_images() {
            tracing::warn!(code = e.code(), "images could not be cleaned up: {e}");
        }
    }
}

/// Removes data sets that were brought back and whose time is over, for ever.
fn keep_restored(data: &Path) {
    loop {
        if let Err(e) = restored::let_go(data, Clock::System.now()) {
            tracing::warn!(code = e.code(), "data sets that were brought back could not be cleaned up: {e}");
        }
        std::thread::sleep(RESTORED_EVERY);
    }
}

fn wait_for_the_end() -> Result<()> {
    let failed = |e| Error::unavailable("agent.no_signals", "cannot wait for signals").because(e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok(())
    })
}

fn manual(folder: &Path) -> Result<()> {
    let written = std::fs::create_dir_all(folder);
    written
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
        .map_err(|e| files::failed("write", folder, e))
}

fn show_probe(place: &Place, json: bool) -> Result<()> {
    let data = place.data()?;
    let (accelerator, detail) = probe::try_out(&data);
    let host = describe(place, &data)?;
    let host = HostReport { accelerator, ..host };
    if json {
        let value = serde_json::json!({ "host": host, "accelerator": accelerator, "detail": detail });
        println!("{value:#}");
        return Ok(());
    }
    let name = match accelerator {
        Accelerator::Kvm => "KVM",
        _ => "TCG (instructions are translated: slow, for trials)",
    };
    println!("host         {}", host.hostname);
    println!("processors   {}", host.cpu_cores);
    println!("memory       {} MiB", host.memory_mib);
    println!("disk         {} MiB, {} free", host.disk_mib, host.disk_free_mib);
    println!("hypervisor   {}", host.hypervisor);
    println!("accelerator  {name}\n             {detail}");
    println!("bridges      {}", if host.bridges.is_empty() { "none".to_owned() } else { host.bridges.join(", ") });
    for warning in host.warnings {
        println!("warning      {warning}");
    }
    Ok(())
}

fn show_status(place: &Place, json: bool) -> Result<()> {
    let data = place.data()?;
    let identity = Identity::load(&data)?;
    let machines = if place.no_machines {
        Vec::new()
    } else {
        let accelerator = probe::accelerator(&data, &HostClock::system())?.accelerator;
        Libvirt::new(&place.uri(), &data, &identity.platform, accelerator, Arc::new(Nobody))?.list()?
    };
    if json {
        let rows: Vec<_> = machines
            .iter()
            .map(|found| {
                serde_json::json!({ "id": found.id, "generation": found.generation, "domain": found.domain,
                    "power": found.power(), "vcpus": found.vcpus, "memoryMib": found.memory_mib })
            })
            .collect();
        let value = serde_json::json!({ "hostId": identity.host_id, "server": identity.server,
            "certificateUntil": identity.expires_at.to_string(), "machines": rows });
        println!("{value:#}");
        return Ok(());
    }
    println!("host         {} at {}", identity.host_id, identity.server);
    println!("certificate  until {}", identity.expires_at);
    println!("machines     {}", machines.len());
    for found in machines {
        let state = if found.lives() { "running" } else { "stopped" };
        println!("  {:<32} {state:<8} {} vCPU {} MiB", found.id.as_str(), found.vcpus, found.memory_mib);
    }
    Ok(())
}

/// No server: for looking at a host only.
pub(crate) struct Nobody;

impl ControlPlane for Nobody {
    fn intents(&self, _: u64, _: Duration) -> Result<Intents> {
        Err(nobody())
    }
    fn report(&self, _: &Report) -> Result<ReportAnswer> {
        Err(nobody())
    }
    fn console(&self, _: &ConsoleTail) -> Result<()> {
        Err(nobody())
    }
    fn image(&self, _: &ImageRef, _: u64, _: &mut dyn std::io::Write) -> Result<()> {
        Err(nobody())
    }
    fn access(&self, _: &TaskId) -> Result<serde_json::Value> {
        Err(nobody())
    }
    fn recover(&self, _: &IntentId, _: &RecoveryId, _: &str) -> Result<RecoveryAccess> {
        Err(nobody())
    }
}

fn nobody() -> Error {
    Error::unavailable("server.none", "no server is asked here")
}
