//! What people may say of a place.

use super::*;

fn new(name: &str, target: Target) -> NewAuditPlace {
    NewAuditPlace { name: name.into(), target, entries: None, every_seconds: None, behind_seconds: None }
}

#[test]
fn a_place_that_cannot_be_one_is_refused() {
    let house = House::new(sqlite());
    let code =
        |asked: NewAuditPlace| house.gate.run(&somebody(OPERATOR), &CREATE, asked).unwrap_err().code().to_owned();
    let directory = |path: &str| Target::Directory { path: path.into() };
    assert_eq!(code(new("a", directory("relative"))), "auditPlace.target");
    assert_eq!(code(new("a", directory("/srv/../etc"))), "auditPlace.target");
    assert_eq!(code(new("", directory("/srv"))), "name.malformed");
    assert_eq!(code(new("a", Target::Webhook { url: "http://example.com/".into() })), "auditPlace.target");
    let syslog = |address: &str| Target::Syslog { address: address.into(), authority: "none".into() };
    assert_eq!(code(new("a", syslog("log.example.com"))), "auditPlace.address");
    assert_eq!(code(new("a", syslog("log.example.com:6514"))), "auditPlace.authority");
    let hasty = NewAuditPlace { every_seconds: Some(1), ..new("a", directory("/srv")) };
    assert_eq!(code(hasty), "auditPlace.seconds");
    house.make("a", directory("/srv"));
    assert_eq!(code(new("a", directory("/srv/other"))), "auditPlace.name_taken");
    for number in 1..limits::AUDIT_PLACES_MAX {
        house.make(&number.to_string(), directory("/srv"));
    }
    assert_eq!(code(new("b", directory("/srv"))), "auditPlace.too_many");
}

#[test]
fn a_place_is_changed_hurried_and_removed_for_a_reason() {
    for database in db::testing::databases() {
        let house = House::new(database);
        let (id, path) = house.directory("far");
        let cx = somebody(OPERATOR);
        let change = ChangeAuditPlace {
            id,
            revision: Some(1),
            name: Some("near".into()),
            every_seconds: Some(30),
            behind_seconds: Some(600),
        };
        let changed = house.gate.run(&cx, &UPDATE, change.clone()).unwrap();
        assert_eq!((changed.name.as_str(), changed.every_seconds, changed.revision), ("near", 30, 2));
        assert_eq!(house.gate.run(&cx, &UPDATE, change).unwrap_err().code(), "auditPlace.stale");
        house.add(2);
        house.ship(id);
        assert!(!is_due(&house.place(id), house.gate.now()));
        house.add(1);
        let hurried = house.gate.run(&cx, &SHIP, AuditPlaceRef { id }).unwrap();
        assert!(is_due(&hurried, house.gate.now()));
        let credential = SetAuditCredential { id, name: "key".into(), secret: "secret".into() };
        assert_eq!(house.gate.run(&cx, &SET_CREDENTIAL, credential).unwrap_err().code(), "auditPlace.no_credentials");
        let remove = |reason: &str| house.gate.run(&cx, &REMOVE, RemoveAuditPlace { id, reason: reason.into() });
        assert_eq!(remove(" ").unwrap_err().code(), "reason.missing");
        remove("CHG-1").unwrap();
        assert!(house.gate.run(&cx, &LIST, ListAuditPlaces {}).unwrap().items.is_empty());
        assert_eq!(files(&path).len(), 1, "what lies there stays");
    }
}

#[test]
fn another_tenant_sees_none_of_it() {
    let house = House::new(sqlite());
    let (id, _) = house.directory("far");
    let stranger = somebody(TenantId(9));
    assert!(house.gate.run(&stranger, &LIST, ListAuditPlaces {}).unwrap().items.is_empty());
    assert_eq!(house.gate.run(&stranger, &GET, AuditPlaceRef { id }).unwrap_err().kind(), base::Kind::NotFound);
    let remove = RemoveAuditPlace { id, reason: "mine".into() };
    assert_eq!(house.gate.run(&stranger, &REMOVE, remove).unwrap_err().kind(), base::Kind::NotFound);
}
