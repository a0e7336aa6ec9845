//! Places and policies: what can be one, and what is told to whom.

use commerce::testing::member;

use super::*;
use crate::backups::places::{ELSEWHERE, GET, Immutability, PlaceRef, Role, SET_CREDENTIAL, SetCredential, UPDATE};

fn server(url: &str) -> NewPlace {
    NewPlace {
        name: "far".into(),
        location: Location::Server { url: url.into(), authority: None },
        host: None,
        site: Some(ELSEWHERE.into()),
        immutability: Some(Immutability::AppendOnly),
    }
}

#[test]
fn what_is_no_place_is_refused_by_name() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (host, _) = house.machine();
        let folder = |path: &str| NewPlace {
            location: Location::Folder { host, path: path.into() },
            site: None,
            immutability: None,
            ..server("https://x")
        };
        let table = [
            (folder("srv/backups"), "place.path"),
            (folder("/srv/../etc"), "place.path"),
            (NewPlace { immutability: Some(Immutability::ObjectLock), ..folder("/srv") }, "place.immutability"),
            (server("http://backup.example.com"), "place.address"),
            (server("https://user@backup.example.com"), "place.address"),
            (NewPlace { site: None, ..server("https://backup.example.com") }, "place.site"),
            (
                NewPlace { site: Some("site_00000000000000000000000000".into()), ..server("https://x.example") },
                "site.absent",
            ),
            (NewPlace { name: " ".into(), ..server("https://x.example") }, "name.malformed"),
        ];
        for (new, code) in table {
            assert_eq!(house.gate().run(&manager(), &CREATE, new).unwrap_err().code(), code, "{engine}");
        }
        house.gate().run(&manager(), &CREATE, server("https://backup.example.com")).unwrap();
        let again = house.gate().run(&manager(), &CREATE, server("https://backup.example.com")).unwrap_err();
        assert_eq!(again.code(), "backupPlace.name_taken");
    }
}

#[test]
fn a_credential_is_kept_sealed_and_a_tenants_own_comes_first() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let gate = house.gate();
        let far = gate.run(&manager(), &CREATE, server("https://backup.example.com")).unwrap();
        let refused = gate.run(&member(CUSTOMER), &GET, PlaceRef { id: far.id }).unwrap_err();
        assert_eq!(refused.kind(), base::Kind::NotFound, "{engine}: places are the operator's");
        let set = |tenant, control_plane, secret: &str| {
            let (role, name, secret) = (Role::Append, "host".to_owned(), secret.to_owned());
            let set = SetCredential { id: far.id, tenant, control_plane, role, name, secret };
            gate.run(&manager(), &SET_CREDENTIAL, set)
        };
        set(None, false, "of all").unwrap();
        set(Some(TenantId(CUSTOMER)), false, "of one").unwrap();
        set(None, true, "of the platform").unwrap();
        assert_eq!(set(Some(TenantId(CUSTOMER)), true, "of both").unwrap_err().code(), "credential.whose");
        let stored =
            gate.db().read(|conn| conn.query("SELECT secret FROM backup_credentials", &[], |row| row.get::<String>(0)));
        assert!(stored.unwrap().iter().all(|secret| secret.starts_with("s1.") && !secret.contains("of ")));
        let asked_of = |own: String, role: Role| {
            let (place, system) = (far.clone(), Cx::system("test", OPERATOR));
            gate.perform(&system, "backup.reconcile", gate::Effect::Change, [0; 32], move |tx| {
                super::super::places::credential(tx, &place, &own, role)
            })
        };
        let asked = |tenant, role| asked_of(TenantId(tenant).to_string(), role);
        assert_eq!(asked(CUSTOMER, Role::Append).unwrap().1, "of one", "{engine}");
        assert_eq!(asked(3, Role::Append).unwrap().1, "of all", "{engine}");
        assert_eq!(asked_of("control-plane".to_owned(), Role::Append).unwrap().1, "of the platform", "{engine}");
        assert_eq!(asked(3, Role::Maintain).unwrap_err().code(), "place.credential_absent", "{engine}");
    }
}

#[test]
fn a_policy_wants_two_places_that_are_there() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let (host, _) = house.machine();
    let (one, two) = (house.folder("one", host).id, house.folder("two", host).id);
    let new = |places: &[BackupPlaceId]| NewPolicy {
        name: "nightly".into(),
        what: Default::default(),
        schedule: Schedule { calendar: "daily 02:00".into(), jitter_minutes: 0, time_zone: "UTC".into() },
        retention: Retention::default(),
        places: places.to_vec(),
        prune_delay_hours: 72,
        offered: false,
    };
    let refused = |places: &[BackupPlaceId]| {
        house.gate().run(&manager(), &policies::CREATE, new(places)).unwrap_err().code().to_owned()
    };
    assert_eq!(refused(&[]), "policy.places");
    assert_eq!(refused(&[one]), "policy.places");
    assert_eq!(refused(&[one, one]), "policy.places");
    assert_eq!(refused(&[one, BackupPlaceId(7)]), "backupPlace.absent");
    house.gate().run(&manager(), &policies::CREATE, new(&[one, two])).unwrap();
    assert_eq!(refused(&[one, two]), "backupPolicy.name_taken");
}

#[test]
fn a_directory_of_another_host_is_not_reached() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (host, _) = house.machine();
        let other = *house.town.hosts.iter().find(|one| **one != host).unwrap();
        let (near, far) = (house.folder("near", host).id, house.folder("far", other).id);
        house.protect(&house.policy(&[near, far], Retention::default()));
        let id = house.take().id;
        house.settle(&Behaviour::willing());
        let point = house.point(id);
        assert_eq!(
            (point.state, point.problem.unwrap().code.as_str()),
            (State::Degraded, "backup.place_elsewhere"),
            "{engine}"
        );
    }
}

/// Hosts that are told of places so when they try to remove what they wrote.
fn trying(kept: bool) -> Behaviour {
    Behaviour::of(move |task, access, outcome| {
        let is_bucket = access[0]["place"]["bucket"].is_object();
        Answer::Say(match outcome {
            Outcome::RepositoryChecked { snapshots, whole, faults, seconds, .. } if is_bucket => {
                assert!(matches!(task.work, Work::CheckRepository { .. }));
                Outcome::RepositoryChecked { snapshots, whole, faults, guarded: Some(kept), seconds }
            }
            other => other,
        })
    })
}

#[test]
fn an_object_lock_counts_where_it_was_tried_and_is_an_alarm_where_it_holds_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (host, _) = house.machine();
        let (near, far) = (house.folder("near", host), house.bucket("far"));
        house.protect(&house.policy(&[near.id, far.id], Retention::default()));
        let take = |mood: &Behaviour| {
            house.gate().clock().advance(Duration::from_secs(3_600));
            house.take();
            house.settle(mood);
            let all = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap().digits;
            let immutable = all.into_iter().find(|digit| digit.name == digits::Name::Immutable).unwrap();
            let alarms = house.gate().run(&manager(), &crate::alarms::actions::LIST, Default::default()).unwrap().items;
            let alarms: Vec<_> = alarms.into_iter().map(|one| (one.probable_cause, one.alarmed_object.name)).collect();
            (immutable.standing, alarms)
        };
        let open = vec![(crate::alarms::Cause::PlaceNotImmutable, "far".to_owned())];
        assert_eq!(take(&Behaviour::willing()), (digits::Standing::NotProven, vec![]), "{engine}: nobody tried");
        assert_eq!(take(&trying(true)), (digits::Standing::Met, vec![]), "{engine}");
        assert_eq!(take(&trying(false)), (digits::Standing::NotMet, open.clone()), "{engine}");
        assert_eq!(take(&Behaviour::willing()), (digits::Standing::NotMet, open), "{engine}: nothing was heard since");
        assert_eq!(take(&trying(true)), (digits::Standing::Met, vec![]), "{engine}");
        take(&trying(false));
        let change = serde_json::json!({ "id": far.id, "immutability": "none" });
        house.gate().run(&manager(), &UPDATE, serde_json::from_value(change).unwrap()).unwrap();
        assert_eq!(take(&trying(false)).1, vec![], "{engine}: nobody says any more that it is kept");
    }
}
