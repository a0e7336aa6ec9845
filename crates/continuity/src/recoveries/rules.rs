//! What a machine is to be that is made again. Pure.

use drivers::seed::{self, Interface};
use drivers::wire::{
    DiskSource, DiskSpec, Forward, ImageFormat, IntentId, Mac, MachineSpec, NetworkSpec, Power, RecoveryId, Transport,
};

use resources::placement::Demand;

use super::Saved;

/// An interface of a machine that is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Where it is attached.
    pub network: NetworkSpec,
    /// The way out, where the network has one.
    pub gateway: Option<String>,
}

impl Attached {
    /// The host's user network, with no way out; each pair is a port of the host and one of the
    /// guest. The station address stays the one that the guest knows, if it was on such a network:
    /// nobody else is on it.
    #[must_use]
    pub fn user(saved: &MachineSpec, forwards: &[(u16, u16)]) -> Attached {
        let mac = saved.networks.first().and_then(mac).cloned();
        let forward =
            |(host, guest): &(u16, u16)| Forward { host_port: *host, guest_port: *guest, transport: Transport::Tcp };
        let forwards = forwards.iter().map(forward).collect();
        Attached { network: NetworkSpec::User { mac, forwards, outbound: false }, gateway: None }
    }
}

fn mac(network: &NetworkSpec) -> Option<&Mac> {
    match network {
        NetworkSpec::User { mac, .. } => mac.as_ref(),
        NetworkSpec::Bridge { mac, .. } => Some(mac),
        NetworkSpec::Unknown => None,
    }
}

fn addresses(network: &NetworkSpec) -> &[String] {
    match network {
        NetworkSpec::Bridge { addresses, .. } => addresses,
        NetworkSpec::User { .. } | NetworkSpec::Unknown => &[],
    }
}

/// Ports of the guest that are reached from outside: those that were, and the one that is checked.
#[must_use]
pub fn ports(saved: &MachineSpec) -> Vec<u16> {
    let mut ports: Vec<u16> = port(saved).into_iter().collect();
    for network in &saved.networks {
        let NetworkSpec::User { forwards, .. } = network else { continue };
        for forward in forwards.iter().filter(|forward| !ports.contains(&forward.guest_port)).collect::<Vec<_>>() {
            ports.push(forward.guest_port);
        }
    }
    ports
}

/// The port whose answer shows that the machine does its work.
#[must_use]
pub fn port(saved: &MachineSpec) -> Option<u16> {
    match &saved.check {
        Some(drivers::wire::Check::Http { port, .. }) => Some(*port),
        _ => None,
    }
}

/// The specification of a machine that is made again. What its guest is told stays as it was, so
/// that nothing which is done once is done a second time over data that is there; only a guest that
/// gets other addresses, or another station address, is told that it is another instance.
#[must_use]
pub fn again(saved: &Saved, recovery: &RecoveryId, made: &IntentId, networks: &[Attached]) -> MachineSpec {
    let old = &saved.spec;
    let seen = |network: &NetworkSpec| (mac(network).cloned(), addresses(network).to_vec());
    let same = old.networks.len() == networks.len()
        && old.networks.iter().zip(networks).all(|(old, new)| seen(old) == seen(&new.network));
    let cloud_init = if same {
        old.cloud_init.clone()
    } else {
        let interfaces: Vec<Interface> = networks.iter().filter_map(interface).collect();
        seed::elsewhere(&old.cloud_init, made.as_str(), &interfaces)
    };
    MachineSpec {
        disks: old.disks.iter().map(|disk| from(disk, saved, recovery)).collect(),
        networks: networks.iter().map(|one| one.network.clone()).collect(),
        cloud_init,
        power: Power::Running,
        reboot_token: None,
        ..old.clone()
    }
}

/// What a machine that is made again takes of a host.
#[must_use]
pub fn demand(saved: &Saved) -> Demand {
    let disks = saved.spec.disks.iter().map(|disk| DiskSpec { size_mib: size_mib(disk, saved), ..disk.clone() });
    Demand::of_machine(&MachineSpec { disks: disks.collect(), ..saved.spec.clone() })
}

/// A disk may have grown after it was wanted so.
fn size_mib(disk: &DiskSpec, saved: &Saved) -> u64 {
    let bytes = saved.disks.iter().find(|copy| copy.name == disk.name).map_or(0, |copy| copy.bytes);
    disk.size_mib.max(bytes.div_ceil(1 << 20))
}

fn interface(one: &Attached) -> Option<Interface> {
    let (mac, addresses) = (mac(&one.network)?.clone(), addresses(&one.network).to_vec());
    Some(Interface { mac, addresses, gateway: one.gateway.clone(), nameservers: Vec::new() })
}

fn from(disk: &DiskSpec, saved: &Saved, recovery: &RecoveryId) -> DiskSpec {
    let boot = match &disk.source {
        // The kernel of such a machine is in the image, not on the disk.
        DiskSource::Image { image } if image.format == ImageFormat::DirectBoot => Some(image.clone()),
        DiskSource::Recovery { boot, .. } => boot.clone(),
        _ => None,
    };
    DiskSpec {
        name: disk.name.clone(),
        size_mib: size_mib(disk, saved),
        source: DiskSource::Recovery { recovery: recovery.clone(), disk: disk.name.clone(), boot },
    }
}
