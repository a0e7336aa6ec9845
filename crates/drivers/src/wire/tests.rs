#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;

fn digest() -> Sha256 {
    "a".repeat(64).parse().unwrap()
}

fn life(seen: i64, ran_ms: u64) -> Life {
    let at = |s| jiff::Timestamp::from_second(s).unwrap();
    Life {
        seq: 1,
        started_at: at(100),
        started_certain: true,
        last_seen_at: at(seen),
        ran_ms,
        end: None,
        vcpus: 2,
        memory_mib: 512,
    }
}

#[test]
fn names_that_could_leave_their_directory_are_refused() {
    for bad in ["", ".", "..", "../x", "a/b", "a b", "-a", "_a", "a\0b", "a\nb", "é", &"a".repeat(65)] {
        assert!(bad.parse::<IntentId>().is_err(), "{bad:?}");
        assert!(serde_json::from_value::<IntentId>(json!(bad)).is_err(), "{bad:?}");
    }
    assert_eq!("mch_01j".parse::<IntentId>().unwrap().as_str(), "mch_01j");
}

#[test]
fn digests_and_station_addresses_are_checked() {
    assert!("A".repeat(64).parse::<Sha256>().is_err());
    assert!("a".repeat(63).parse::<Sha256>().is_err());
    assert!("52:54:00:12:34:56".parse::<Mac>().is_ok());
    for bad in ["53:54:00:12:34:56", "52:54:00:12:34", "52:54:00:12:34:5G", "52-54-00-12-34-56", "5é:54:00:12:34:56"] {
        assert!(bad.parse::<Mac>().is_err(), "{bad}");
    }
}

#[test]
fn unknown_fields_and_words_are_tolerated() {
    let intents: Intents = serde_json::from_value(json!({
        "protocol": 1, "cursor": 7, "full": true, "moon": "full",
        "intents": [
            { "id": "vol1", "generation": 3, "desired": { "type": "volume", "sizeMib": 4 } },
            { "id": "m1", "generation": 1, "colour": "red", "desired": {
                "type": "machine", "name": "web", "vcpus": 1, "memoryMib": 128, "numaNodes": 2,
                "disks": [
                    { "name": "system", "sizeMib": 64, "source": { "type": "image", "image":
                        { "name": "tiny", "sha256": digest(), "bytes": 12 } } },
                    { "name": "old", "sizeMib": 64, "source": { "type": "recoveryPoint", "id": "rp1" } },
                ],
                "networks": [ { "type": "sriov" }, { "type": "user", "forwards": [ { "hostPort": 8080, "guestPort": 80 } ] } ],
                "check": { "type": "icmp" },
            } },
            { "id": "m2", "generation": 9, "desired": { "type": "absent" } },
        ],
    }))
    .unwrap();
    assert_eq!(intents.intents[0].desired, Desired::Unknown);
    let Desired::Machine(machine) = &intents.intents[1].desired else { panic!("a machine") };
    assert_eq!(machine.disks[1].source, DiskSource::Unknown);
    assert_eq!(machine.networks[0], NetworkSpec::Unknown);
    assert_eq!(machine.check, Some(Check::Unknown));
    assert_eq!(machine.power, Power::Running);
    assert_eq!(machine.images().count(), 1);
    assert_eq!(intents.intents[2].desired, Desired::Absent);
    assert_eq!(serde_json::from_value::<MachineState>(json!("suspended")).unwrap(), MachineState::Unknown);
    assert_eq!(serde_json::from_value::<Accelerator>(json!("hvf")).unwrap(), Accelerator::Unknown);
}

#[test]
fn what_is_written_is_read_back() {
    let intent = Intent {
        id: "m1".parse().unwrap(),
        generation: 2,
        lives_known: 0,
        desired: Desired::Machine(Box::new(MachineSpec {
            name: "<web & \"shop\">".into(),
            vcpus: 1,
            memory_mib: 128,
            disks: vec![DiskSpec {
                name: "data".into(),
                size_mib: 64,
                source: DiskSource::Blank { filesystem: Some(Filesystem::Ext4) },
            }],
            networks: vec![NetworkSpec::User {
                mac: None,
                forwards: vec![Forward { host_port: 8080, guest_port: 80, transport: Transport::Tcp }],
                outbound: false,
            }],
            cloud_init: CloudInit::default(),
            power: Power::Stopped,
            reboot_token: Some("1".into()),
            check: Some(Check::Http { port: 80, path: "/".into(), tell: None }),
        })),
    };
    let text = serde_json::to_string(&intent).unwrap();
    assert!(text.contains(r#""hostPort":8080"#), "{text}");
    assert_eq!(serde_json::from_str::<Intent>(&text).unwrap(), intent);
}

#[test]
fn a_life_told_twice_or_backwards_is_the_same_life() {
    let mut early = life(110, 10_000);
    let mut late = life(120, 20_000);
    late.end = Some(LifeEnd { at: late.last_seen_at, certain: true, reason: "stopped".into() });
    let (first, second) = (early.clone(), late.clone());
    early.absorb(&second);
    late.absorb(&first);
    assert_eq!(early, late);
    assert_eq!(early.ran_ms, 20_000);
    let once = early.clone();
    early.absorb(&first);
    early.absorb(&second);
    assert_eq!(early, once);
}

#[test]
fn a_token_says_who_the_server_is() {
    let token = EnrolToken { secret: "s".repeat(32), ca_sha256: digest() };
    assert_eq!(token.to_string().parse::<EnrolToken>().unwrap(), token);
    assert!(!format!("{token:?}").contains("sss"), "a secret must not reach a log");
    for bad in ["", "ywe1", "ywe1_short_aa", "ywe2_ssssssssssssssssssssss_aa", &format!("{token}_x")] {
        assert!(bad.parse::<EnrolToken>().is_err(), "{bad}");
    }
}
