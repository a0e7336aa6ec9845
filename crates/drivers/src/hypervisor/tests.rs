#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::memory::{Faults, Memory};
use super::*;
use crate::wire::{CloudInit, DiskSource, DiskSpec};

fn spec() -> MachineSpec {
    MachineSpec {
        name: "web".into(),
        vcpus: 1,
        memory_mib: 64,
        disks: vec![DiskSpec { name: "data".into(), size_mib: 8, source: DiskSource::Blank { filesystem: None } }],
        networks: vec![],
        cloud_init: CloudInit::default(),
        power: Power::Running,
        reboot_token: None,
        check: None,
    }
}

#[test]
fn only_what_takes_a_new_start_changes_the_digest() {
    let before = spec_digest(&spec());
    let same = [
        MachineSpec { name: "other".into(), ..spec() },
        MachineSpec { power: Power::Stopped, ..spec() },
        MachineSpec { reboot_token: Some("1".into()), ..spec() },
    ];
    assert!(same.iter().all(|spec| spec_digest(spec) == before));
    assert_ne!(spec_digest(&MachineSpec { memory_mib: 65, ..spec() }), before);
    let seed = CloudInit { user_data: "x".into(), ..CloudInit::default() };
    assert_ne!(spec_digest(&MachineSpec { cloud_init: seed, ..spec() }), before);
}

#[test]
fn every_verb_may_be_repeated() {
    let memory = Memory::default();
    let id: IntentId = "m1".parse().unwrap();
    assert!(memory.start(&id).is_err());
    for _ in 0..2 {
        memory.prepare(&id, 1, &spec()).unwrap();
    }
    for _ in 0..2 {
        memory.start(&id).unwrap();
    }
    let run = memory.look(&id).unwrap().unwrap().activity.run().cloned();
    memory.start(&id).unwrap();
    assert_eq!(memory.look(&id).unwrap().unwrap().activity.run().cloned(), run, "still the same run");
    for _ in 0..2 {
        memory.stop(&id, Duration::ZERO).unwrap();
    }
    for _ in 0..2 {
        memory.remove(&id).unwrap();
    }
    assert_eq!(memory.look(&id).unwrap(), None);
}

#[test]
fn the_same_seed_makes_the_same_calls_go_wrong() {
    let outcomes = |seed| -> Vec<bool> {
        let memory = Memory::default();
        memory.set_faults(Faults { seed, fail: 300, lie: 200, ..Faults::default() });
        let id: IntentId = "m1".parse().unwrap();
        (0..50).map(|_| memory.prepare(&id, 1, &spec()).is_ok()).collect()
    };
    assert_eq!(outcomes(7), outcomes(7));
    assert_ne!(outcomes(7), outcomes(8));
}
