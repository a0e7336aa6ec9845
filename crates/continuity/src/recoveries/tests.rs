//! Recoveries on both databases: what is chosen, and who is given what opens it.

use base::id::HostId;
use base::{Kind, Result};
use commerce::testing::OPERATOR;
use drivers::wire::{DiskSource, IntentId};
use gate::Tx;
use resources::capacity::{self, Ask};
use resources::intents::{self, Standing};
use resources::placement::{Demand, Policy};
use resources::tasks::{self, RECOVER};
use resources::testing::{Mood, agent, play};

use super::*;
use crate::backups::points::State;
use crate::backups::store as rows;
use crate::backups::tests::House;
use crate::backups::upkeep;

fn each(test: impl Fn(&'static str, House, BackupPlaceId, BackupPlaceId)) {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, near, far) = House::sheltered(db);
        test(engine, house, near, far);
    }
}

fn wanted(house: &House) -> Wanted {
    Wanted { service: house.service.clone(), ..Wanted::default() }
}

fn chosen(house: &House, wanted: &Wanted) -> Result<Choice> {
    let wanted = wanted.clone();
    house.within(move |tx| choose(tx, &wanted))
}

/// Says something of a copy, as a look would have.
fn found(house: &House, point: RecoveryPointId, place: BackupPlaceId, state: CopyState) {
    house
        .within(move |tx| {
            let known = points::load(tx, point)?;
            let copy = known.copies().find(|copy| copy.place == place).unwrap();
            rows::set_found(tx, point, copy, Some(state), None)
        })
        .unwrap();
}

fn other(house: &House) -> HostId {
    let (host, _) = house.machine();
    *house.town.hosts.iter().find(|one| **one != host).unwrap()
}

/// Reserves room for a machine that is made again on the other host, and wants it there.
fn made(house: &House, choice: &Choice, id: &str) -> Recovery {
    let (choice, host, made) = (choice.clone(), other(house), id.parse::<IntentId>().unwrap());
    house
        .within(move |tx: &mut Tx<'_>| {
            let recovery = begin(tx, &choice, Purpose::Restore, ("test", "one"))?;
            let saved = &choice.machines[0];
            let network = [Attached::user(&saved.spec, &[(20_900, 80)])];
            let ask = Ask {
                machine: made.clone(),
                tenant: choice.tenant,
                service: choice.service.clone(),
                run: None,
                demand: Demand::of_machine(&spec(tx, &recovery, &saved.machine, &made, &network)?),
                policy: Policy { only: Some(host), ..Policy::default() },
            };
            capacity::reserve(tx, &ask)?;
            want(tx, &recovery, &saved.machine, &made, host, &network)?;
            want(tx, &recovery, &saved.machine, &made, host, &network)?;
            load(tx, recovery.id)
        })
        .unwrap()
}

fn ask(recovery: &Recovery, machine: &str, disk: &str) -> tasks::Recovery {
    let recovery = recovery.id.to_string().parse().unwrap();
    tasks::Recovery { machine: machine.parse().unwrap(), recovery, disk: disk.into() }
}

#[test]
fn the_newest_point_and_the_nearest_copy_are_chosen() {
    each(|engine, house, near, far| {
        let none = chosen(&house, &wanted(&house)).unwrap_err();
        assert_eq!(none.code(), "recovery.no_point", "{engine}");
        let first = house.taken();
        house.gate().clock().advance(std::time::Duration::from_secs(60));
        let second = house.taken();
        let choice = chosen(&house, &wanted(&house)).unwrap();
        assert_eq!((choice.point, choice.place, choice.host), (second.id, near, Some(house.machine().0)), "{engine}");
        assert_eq!((choice.bytes, choice.estimated_seconds), (1 << 20, None), "nothing was ever measured");
        // The host is lost, and with it the directory on it.
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        let choice = chosen(&house, &lost).unwrap();
        assert_eq!((choice.point, choice.place, choice.host), (second.id, far, None), "{engine}");
        // From an instant on everything is bad.
        let encrypted = Wanted { not_after: Some(first.taken_at.unwrap()), ..wanted(&house) };
        assert_eq!(chosen(&house, &encrypted).unwrap().point, first.id, "{engine}");
        // Where the newest will not do, one before it will.
        found(&house, second.id, far, CopyState::Damaged);
        assert_eq!(chosen(&house, &lost).unwrap().point, first.id, "{engine}");
    });
}

#[test]
fn whatever_will_not_do_is_said_of_each_copy() {
    each(|engine, house, near, far| {
        let point = house.taken();
        found(&house, point.id, near, CopyState::Missing);
        found(&house, point.id, far, CopyState::Damaged);
        let none = chosen(&house, &wanted(&house)).unwrap_err();
        assert_eq!(none.code(), "recovery.no_copy", "{engine}");
        assert!(none.message().contains("near is missing") && none.message().contains("far is damaged"), "{none:?}");
        for state in [CopyState::Stored, CopyState::Pending, CopyState::Gone] {
            found(&house, point.id, far, state);
            assert_eq!(chosen(&house, &wanted(&house)).unwrap_err().code(), "recovery.no_copy", "{state:?}");
        }
        found(&house, point.id, far, CopyState::Verified);
        let refused = [
            Wanted { place: Some(near), ..wanted(&house) },
            Wanted { without_places: vec![far], ..wanted(&house) },
            Wanted { not_after: Some(point.taken_at.unwrap() - std::time::Duration::from_secs(1)), ..wanted(&house) },
        ];
        for asked in refused {
            let code = chosen(&house, &asked).unwrap_err();
            assert!(matches!(code.code(), "recovery.no_copy" | "recovery.no_point"), "{engine}: {code:?}");
        }
        assert_eq!(chosen(&house, &wanted(&house)).unwrap().place, far);
    });
}

#[test]
fn a_directory_of_another_host_does_not_reach_the_host_that_is_asked_for() {
    each(|engine, house, _, far| {
        house.taken();
        let onto = Wanted { onto: Some(other(&house)), ..wanted(&house) };
        assert_eq!(chosen(&house, &onto).unwrap().place, far, "{engine}");
    });
}

#[test]
fn a_point_of_another_service_is_as_if_it_were_not_there() {
    each(|engine, house, _, _| {
        let point = house.taken();
        let order = house.town.order(3);
        house.town.settle(Mood::Willing);
        let theirs = house.town.services(&order.id)[0].id.clone();
        let stolen = Wanted { service: theirs, point: Some(point.id), ..Wanted::default() };
        assert_eq!(chosen(&house, &stolen).unwrap_err().kind(), Kind::NotFound, "{engine}");
    });
}

#[test]
fn a_machine_is_made_again_beside_its_service_and_only_its_host_is_given_what_opens_the_copy() {
    each(|engine, house, _, _| {
        house.taken();
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        let choice = chosen(&house, &lost).unwrap();
        let recovery = made(&house, &choice, "vm_again");
        let (host, gate) = (other(&house), house.gate());
        let wanted = house.within(|tx| intents::get(tx, &"vm_again".parse().unwrap())).unwrap().unwrap();
        assert_eq!((wanted.standing, wanted.host), (Standing::Beside, host), "{engine}");
        let spec = wanted.desired.unwrap();
        assert!(spec.disks.iter().all(|disk| matches!(disk.source, DiskSource::Recovery { .. })));
        assert_eq!(spec.cloud_init, choice.machines[0].spec.cloud_init, "nothing is done a second time in the guest");

        let given = gate.run(&agent(host, OPERATOR), &RECOVER, ask(&recovery, "vm_again", "system")).unwrap();
        assert_eq!(given["snapshot"].as_str(), Some(choice.machines[0].snapshot.as_str()), "{engine}");
        assert!(given["repository"].to_string().contains("far.example.com"));

        // Another host, another machine, another disk, another recovery: nothing is there.
        let (lost_host, lost_machine) = house.machine();
        let mut invented = recovery.clone();
        invented.id = RecoveryId(7);
        let refused = [
            (lost_host, ask(&recovery, "vm_again", "system")),
            (lost_host, ask(&recovery, &lost_machine, "system")),
            (host, ask(&recovery, "vm_again", "other")),
            (host, ask(&invented, "vm_again", "system")),
        ];
        for (host, ask) in refused {
            let refused = gate.run(&agent(host, OPERATOR), &RECOVER, ask.clone()).unwrap_err();
            assert_eq!(refused.kind(), Kind::NotFound, "{engine}: {ask:?}");
        }

        // A machine that somebody wrote with this recovery, and that was not wanted for it.
        let spec = spec.clone();
        house
            .within(move |tx| {
                let (id, other_tenant): (IntentId, _) = ("vm_thief".parse().unwrap(), TenantId(3));
                let ask = Ask {
                    machine: id.clone(),
                    tenant: other_tenant,
                    service: "svc_theirs".into(),
                    run: None,
                    demand: Demand::of_machine(&spec),
                    policy: Policy { only: Some(host), ..Policy::default() },
                };
                capacity::reserve(tx, &ask)?;
                let standing = Standing::Serving;
                let want = Want { id: &id, host, spec: &spec, tenant: other_tenant, service: "svc_theirs", standing };
                intents::put(tx, &want)
            })
            .unwrap();
        let refused = gate.run(&agent(host, OPERATOR), &RECOVER, ask(&recovery, "vm_thief", "system")).unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{engine}");
    });
}

#[test]
fn a_recovery_that_has_ended_opens_nothing() {
    each(|engine, house, _, far| {
        let point = house.taken();
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        let recovery = made(&house, &chosen(&house, &lost).unwrap(), "vm_again");
        let host = agent(other(&house), OPERATOR);
        let asked = || ask(&recovery, "vm_again", "system");
        // Somebody finds the copy damaged meanwhile.
        found(&house, point.id, far, CopyState::Damaged);
        assert_eq!(house.gate().run(&host, &RECOVER, asked()).unwrap_err().code(), "recovery.no_copy", "{engine}");
        found(&house, point.id, far, CopyState::Verified);
        house.gate().run(&host, &RECOVER, asked()).unwrap();
        let ended = recovery.clone();
        house.within(move |tx| end(tx, &ended).and_then(|()| end(tx, &ended))).unwrap();
        assert_eq!(house.gate().run(&host, &RECOVER, asked()).unwrap_err().kind(), Kind::NotFound, "{engine}");
        let again = recovery.clone();
        let refused = house
            .within(move |tx| want(tx, &again, &again.targets[0].machine, &"vm_2".parse().unwrap(), HostId(1), &[]));
        assert_eq!(refused.unwrap_err().code(), "recovery.ended");
    });
}

#[test]
fn what_stands_beside_a_service_is_not_the_service() {
    each(|engine, house, _, _| {
        house.taken();
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        made(&house, &chosen(&house, &lost).unwrap(), "vm_again");
        play(house.gate(), other(&house), OPERATOR, Mood::Mute);
        let (service, (_, machine)) = (house.service.clone(), house.machine());
        let status = house.within(move |tx| provisioning::services::status(tx, &service)).unwrap();
        let ids: Vec<&str> = status.machines.iter().map(|machine| machine.id.as_str()).collect();
        assert_eq!((status.condition.as_str(), ids), ("running", vec![machine.as_str()]), "{engine}");
        assert_eq!(house.taken().parts.len(), 1, "and it is not backed up");
    });
}

#[test]
fn the_rules_do_not_let_go_of_what_is_being_brought_back() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let near = house.folder("near", house.machine().0).id;
        let far = house.server("far").id;
        let retention = crate::backups::retention::Retention { last: 1, ..Default::default() };
        house.protect(&house.policy(&[near, far], retention));
        let first = house.taken();
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        let recovery = made(&house, &chosen(&house, &lost).unwrap(), "vm_again");
        house.gate().clock().advance(std::time::Duration::from_secs(60));
        house.taken();
        upkeep::look_for_expired(house.gate()).unwrap();
        assert_eq!(house.point(first.id).state, State::Available, "{engine}");
        house.within(move |tx| end(tx, &recovery)).unwrap();
        upkeep::look_for_expired(house.gate()).unwrap();
        assert_eq!(house.point(first.id).state, State::Expired, "{engine}");
    }
}

#[test]
fn what_was_measured_says_how_long_the_next_one_takes() {
    each(|engine, house, _, far| {
        house.taken();
        let lost = Wanted { without_hosts: vec![house.machine().0], ..wanted(&house) };
        let recovery = made(&house, &chosen(&house, &lost).unwrap(), "vm_again");
        let id = recovery.id;
        house
            .within(move |tx| {
                let disk = |seconds: f64| Measured {
                    machine: "m".into(),
                    made: "vm_again".into(),
                    disk: format!("d{seconds}"),
                    bytes: 4 << 20,
                    seconds,
                    verify_seconds: 1.0,
                    digest: "d".into(),
                };
                [disk(3.0), disk(11.0)].iter().try_for_each(|disk| super::store::keep_measured(tx, id, disk))
            })
            .unwrap();
        let ended = recovery.clone();
        house.within(move |tx| end(tx, &ended)).unwrap();
        // Sixteen seconds for eight mebibytes.
        let choice = chosen(&house, &lost).unwrap();
        assert_eq!((choice.place, choice.estimated_seconds), (far, Some(2.0)), "{engine}");
        house.within(move |tx| proven(tx, &recovery)).unwrap();
        let point = house.point(choice.point);
        assert!(point.copies().all(|copy| copy.drilled_at.is_some() == (copy.place == far)), "{engine}");
    });
}

#[test]
fn a_guest_that_moves_to_another_address_is_told_so_and_no_other_is() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, _, _) = House::sheltered(db);
    house.taken();
    let choice = chosen(&house, &wanted(&house)).unwrap();
    let (saved, made) = (&choice.machines[0], "vm_new".parse::<IntentId>().unwrap());
    let recovery = "rcvy_1".parse().unwrap();
    let bridge = drivers::wire::NetworkSpec::Bridge {
        bridge: "br0".into(),
        mac: "52:54:00:00:00:09".parse().unwrap(),
        addresses: vec!["192.0.2.9/24".into()],
    };
    let attached = Attached { network: bridge, gateway: Some("192.0.2.1".into()) };
    let spec = rules::again(saved, &recovery, &made, &[attached]);
    assert!(spec.cloud_init.meta_data.contains("instance-id: \"vm_new\""));
    assert!(spec.cloud_init.network_config.as_ref().unwrap().contains("192.0.2.9/24"));
    assert_eq!(spec.cloud_init.user_data, saved.spec.cloud_init.user_data);
    spec.check().unwrap();
    assert_eq!(rules::ports(&saved.spec)[0], 80);
    let grown =
        Saved { disks: vec![drivers::wire::DiskCopy { bytes: 1 << 40, ..saved.disks[0].clone() }], ..saved.clone() };
    assert_eq!(rules::again(&grown, &recovery, &made, &[]).disks[0].size_mib, 1 << 20);
}
