//! Placement: which host takes a machine. Pure: no clock, no database, no chance.
//!
//! Best fit: of the hosts that can take the demand, the one that it leaves the
//! least room on, measured as the sum over the dimensions of the squared share
//! of the host that stays free. Large holes stay large, and a host is not left
//! with much of one dimension and nothing of another. Whole numbers only, and
//! ties go to the smaller id: the same question has the same answer everywhere.
//!
//! Not here: what is free (`capacity`), and moving what was placed before.

use base::id::HostId;
use drivers::wire::{Accelerator, Sha256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{PoolId, SiteId};

/// What hosts have and machines need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Dimension {
    /// Virtual processors.
    Vcpu,
    /// Memory, in MiB.
    MemoryMib,
    /// Disk, in MiB.
    DiskMib,
}

impl Dimension {
    /// All of them, in the order of a [`Demand`]'s amounts.
    pub const ALL: [Dimension; 3] = [Dimension::Vcpu, Dimension::MemoryMib, Dimension::DiskMib];

    /// The word in account ids and the unit of the accounts.
    pub fn word(self) -> &'static str {
        match self {
            Dimension::Vcpu => "vcpu",
            Dimension::MemoryMib => "memory_mib",
            Dimension::DiskMib => "disk_mib",
        }
    }
}

/// Amounts of each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, in MiB.
    pub memory_mib: i64,
    /// Disk, in MiB.
    pub disk_mib: i64,
}

impl Demand {
    /// The amounts in the order of [`Dimension::ALL`].
    pub fn amounts(&self) -> [i64; 3] {
        [self.vcpu, self.memory_mib, self.disk_mib]
    }

    /// From amounts in the order of [`Dimension::ALL`].
    pub fn of([vcpu, memory_mib, disk_mib]: [i64; 3]) -> Self {
        Demand { vcpu, memory_mib, disk_mib }
    }

    /// What a machine as specified takes.
    pub fn of_machine(spec: &drivers::wire::MachineSpec) -> Self {
        let fit = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Demand {
            vcpu: i64::from(spec.vcpus),
            memory_mib: fit(spec.memory_mib),
            disk_mib: fit(spec.disks.iter().fold(0u64, |sum, disk| sum.saturating_add(disk.size_mib))),
        }
    }
}

/// A host that may be placed upon, with what is free of it.
#[derive(Debug, Clone)]
pub struct HostFree {
    /// The host.
    pub id: HostId,
    /// Its pool.
    pub pool: PoolId,
    /// Its site.
    pub site: SiteId,
    /// How guests run there.
    pub accelerator: Accelerator,
    /// Images that are there already.
    pub images: Vec<Sha256>,
    /// Whether it holds a machine of the group that should be kept apart.
    pub holds_group: bool,
    /// What can still be reserved.
    pub free: Demand,
    /// What can be reserved altogether.
    pub total: Demand,
}

/// What must hold of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Only in this pool.
    pub pool: Option<PoolId>,
    /// Only at this site.
    pub site: Option<SiteId>,
    /// Only where guests run in this way.
    pub accelerator: Option<Accelerator>,
    /// Where the choice is equal, rather where this image is already.
    pub image: Option<Sha256>,
    /// The name of a group whose machines must stand on different hosts; empty for none.
    pub apart: String,
    /// Only on this host.
    pub only: Option<HostId>,
    /// Not on these.
    pub not_on: Vec<HostId>,
    /// On these only where no other host will do.
    pub rather_not_on: Vec<HostId>,
}

impl Policy {
    /// Whether the host may be chosen, whatever is free of it.
    pub fn admits(&self, host: &HostFree) -> bool {
        self.pool.is_none_or(|pool| pool == host.pool)
            && self.site.is_none_or(|site| site == host.site)
            && self.accelerator.is_none_or(|accelerator| accelerator == host.accelerator)
            && self.only.is_none_or(|only| only == host.id)
            && !self.not_on.contains(&host.id)
            && (!host.holds_group || self.apart.is_empty())
    }
}

/// The host that takes `demand` best, or none where none can.
pub fn place(hosts: &[HostFree], demand: &Demand, policy: &Policy) -> Option<HostId> {
    let ranked = hosts.iter().filter(|host| policy.admits(host)).filter_map(|host| {
        let room = room_left(&host.free.amounts(), &demand.amounts(), &host.total.amounts())?;
        let far = policy.image.as_ref().is_some_and(|image| !host.images.contains(image));
        Some((policy.rather_not_on.contains(&host.id), room, far, host.id))
    });
    ranked.min().map(|(_, _, _, id)| id)
}

/// How much room `demand` leaves: the sum of the squared free shares, each in
/// 65,536ths. `None` where it does not fit. For any number of dimensions.
pub fn room_left(free: &[i64], demand: &[i64], total: &[i64]) -> Option<u128> {
    free.iter().zip(demand).zip(total).try_fold(0u128, |sum, ((free, demand), total)| {
        let left = u128::try_from(free.checked_sub(*demand)?).ok()?;
        let share = (left << 16) / u128::try_from(*total).ok().filter(|total| *total > 0).unwrap_or(1);
        Some(sum + share * share)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(id: u128, free: [i64; 3]) -> HostFree {
        HostFree {
            id: HostId(id),
            pool: PoolId(1),
            site: SiteId(1),
            accelerator: Accelerator::Tcg,
            images: vec![],
            holds_group: false,
            free: Demand::of(free),
            total: Demand::of([16, 16_384, 100_000]),
        }
    }

    #[test]
    fn the_tightest_host_that_fits_is_chosen() {
        let hosts = [host(1, [16, 16_384, 100_000]), host(2, [2, 2_048, 20_000]), host(3, [1, 16_384, 100_000])];
        let ask = |demand| place(&hosts, &Demand::of(demand), &Policy::default()).map(|id| id.0);
        assert_eq!(ask([2, 1_024, 10_000]), Some(2));
        assert_eq!(ask([4, 1_024, 10_000]), Some(1));
        assert_eq!(ask([17, 1, 1]), None);
        assert_eq!(place(&[], &Demand::default(), &Policy::default()), None);
    }

    #[test]
    fn a_policy_is_kept_even_where_another_host_fits_better() {
        let mut near = host(1, [2, 2_048, 20_000]);
        near.holds_group = true;
        let mut kvm = host(2, [16, 16_384, 100_000]);
        kvm.accelerator = Accelerator::Kvm;
        kvm.site = SiteId(2);
        let hosts = [near, kvm];
        let demand = Demand::of([1, 1, 1]);
        for (policy, chosen) in [
            (Policy::default(), Some(1)),
            (Policy { apart: "web".into(), ..Policy::default() }, Some(2)),
            (Policy { accelerator: Some(Accelerator::Kvm), ..Policy::default() }, Some(2)),
            (Policy { site: Some(SiteId(2)), ..Policy::default() }, Some(2)),
            (Policy { not_on: vec![HostId(1)], ..Policy::default() }, Some(2)),
            (Policy { rather_not_on: vec![HostId(1)], ..Policy::default() }, Some(2)),
            (
                Policy {
                    rather_not_on: vec![HostId(1)],
                    pool: Some(PoolId(1)),
                    not_on: vec![HostId(2)],
                    ..Policy::default()
                },
                Some(1),
            ),
            (Policy { only: Some(HostId(2)), ..Policy::default() }, Some(2)),
            (Policy { pool: Some(PoolId(9)), ..Policy::default() }, None),
        ] {
            assert_eq!(place(&hosts, &demand, &policy).map(|id| id.0), chosen, "{policy:?}");
        }
    }

    #[test]
    fn between_equal_hosts_the_one_with_the_image_is_chosen() {
        let image: Sha256 = "ab".repeat(32).parse().unwrap();
        let mut second = host(2, [4, 4_096, 9_000]);
        second.images.push(image.clone());
        let hosts = [host(1, [4, 4_096, 9_000]), second];
        let chosen = |policy: &Policy| place(&hosts, &Demand::of([1, 1, 1]), policy).map(|id| id.0);
        assert_eq!(chosen(&Policy::default()), Some(1));
        assert_eq!(chosen(&Policy { image: Some(image), ..Policy::default() }), Some(2));
    }

    proptest! {
        #[test]
        fn what_is_chosen_fits_and_none_means_that_nothing_fits(
            free in proptest::collection::vec((0..20i64, 0..20_000i64, 0..200_000i64), 0..8),
            demand in (0..20i64, 0..20_000i64, 0..200_000i64),
        ) {
            let hosts: Vec<HostFree> = free.iter().zip(1..).map(|(free, id)| host(id, [free.0, free.1, free.2])).collect();
            let demand = Demand::of([demand.0, demand.1, demand.2]);
            let fits = |host: &HostFree| host.free.amounts().iter().zip(demand.amounts()).all(|(free, needed)| *free >= needed);
            let chosen = place(&hosts, &demand, &Policy::default());
            prop_assert_eq!(chosen.is_none(), !hosts.iter().any(fits));
            prop_assert!(hosts.iter().filter(|host| Some(host.id) == chosen).all(fits));
        }
    }
}
