use base::id::TenantId;
use base::{Kind, limits};
use gate::Cx;

use super::actions::{CREATE, CreateTenant, GET, LIST, ListTenants, SUSPEND, TenantRef, UPDATE, UpdateTenant};
use super::{Tenant, TenantKind, store};
use crate::testing::House;

fn wanted(parent: Option<TenantId>, name: &str) -> CreateTenant {
    CreateTenant { parent, name: name.to_owned(), locale: None, time_zone: None, owner: None }
}

fn names(house: &House, cx: &Cx, parent: Option<TenantId>) -> Vec<TenantId> {
    let page = house.gate.run(cx, &LIST, ListTenants { parent, ..Default::default() }).unwrap();
    page.items.into_iter().map(|tenant| tenant.id).collect()
}

#[test]
fn paths_say_where_a_tenant_stands() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let mut parent: Tenant = house.gate.run(&owner, &CREATE, wanted(None, "課")).unwrap();
        assert_eq!(
            (parent.kind, parent.path.clone()),
            (TenantKind::Department, vec![house.operator, house.first, parent.id])
        );
        loop {
            // The owner's sight grows with the tree.
            let owner = house.cx(owner.account().unwrap(), None).unwrap();
            match house.gate.run(&owner, &CREATE, wanted(Some(parent.id), "組")) {
                Ok(child) => {
                    assert_eq!(child.path[..parent.path.len()], parent.path);
                    parent = child;
                }
                Err(e) => {
                    assert_eq!((e.code(), parent.path.len()), ("tenant.too_deep", limits::TENANT_DEPTH_MAX));
                    break;
                }
            }
        }
        let (path, first) = (vec![house.operator, house.first], house.first);
        let below = house.gate.db().read(move |c| store::subtree(c, &path)).unwrap();
        assert_eq!((below[0], below.len()), (first, limits::TENANT_DEPTH_MAX));
    }
}

#[test]
fn the_operator_sees_its_customers_entries_and_not_their_departments() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let administrator = house.with_role("administrator", house.operator);
        assert_eq!(names(&house, &administrator, None), [house.first, house.second]);
        assert!(house.gate.run(&administrator, &GET, TenantRef { tenant: house.first }).is_ok());
        assert_eq!(
            house.gate.run(&administrator, &GET, TenantRef { tenant: house.department }).unwrap_err().kind(),
            Kind::NotFound
        );
        for error in [
            house
                .gate
                .run(&administrator, &LIST, ListTenants { parent: Some(house.first), ..Default::default() })
                .unwrap_err(),
            house.gate.run(&administrator, &CREATE, wanted(Some(house.first), "x")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound);
        }
        let owner = house.with_role("owner", house.first);
        assert_eq!(names(&house, &owner, None), [house.department]);
        // Nor by their names.
        let department = house.gate.run(&owner, &GET, TenantRef { tenant: house.department }).unwrap().name;
        let search = |cx: &Cx, text: &str| {
            let list = ListTenants { search: Some(text.to_owned()), ..Default::default() };
            house.gate.run(cx, &LIST, list).unwrap().items.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(search(&owner, &department), [house.department]);
        assert_eq!(search(&administrator, &department), []);
        let first = house.gate.run(&administrator, &GET, TenantRef { tenant: house.first }).unwrap().name;
        assert!(search(&administrator, &first).contains(&house.first));
        assert_eq!(search(&owner, &first), [], "oneself is not below oneself");
        // The operator's name is known to those below; its other customers are not.
        assert!(house.gate.run(&owner, &GET, TenantRef { tenant: house.operator }).is_ok());
        let list = ListTenants { parent: Some(house.operator), ..Default::default() };
        assert!(house.gate.run(&owner, &LIST, list).is_err());
    }
}

#[test]
fn strangers_change_nothing() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let update = |tenant| UpdateTenant { tenant, name: Some("Mine".to_owned()), locale: None, time_zone: None };
        let owner = house.with_role("owner", house.second);
        for error in [
            house.gate.run(&owner, &UPDATE, update(house.first)).unwrap_err(),
            house.gate.run(&owner, &UPDATE, update(TenantId(99))).unwrap_err(),
            house.gate.run(&owner, &SUSPEND, TenantRef { tenant: house.first }).unwrap_err(),
            house.gate.run(&owner, &CREATE, wanted(Some(house.first), "x")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound);
        }
        for error in [
            house.gate.run(&owner, &CREATE, wanted(Some(house.operator), "x")).unwrap_err(),
            house.gate.run(&owner, &UPDATE, update(house.operator)).unwrap_err(),
            house.gate.run(&owner, &SUSPEND, TenantRef { tenant: house.operator }).unwrap_err(),
            house.gate.run(&house.with_role("viewer", house.second), &UPDATE, update(house.second)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Forbidden);
        }
        assert_eq!(
            house.gate.run(&owner, &SUSPEND, TenantRef { tenant: house.second }).unwrap_err().code(),
            "tenant.own"
        );
    }
}

#[test]
fn wrong_wishes_name_the_attribute() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let administrator = house.with_role("administrator", house.operator);
    let base = wanted(None, "明水");
    for (input, attribute) in [
        (CreateTenant { name: String::new(), ..base.clone() }, "name"),
        (CreateTenant { name: "x".repeat(100_000), ..base.clone() }, "name"),
        (CreateTenant { name: "a\u{202e}b".to_owned(), ..base.clone() }, "name"),
        (CreateTenant { locale: Some("xx".to_owned()), ..base.clone() }, "locale"),
        (CreateTenant { time_zone: Some("../etc".to_owned()), ..base }, "time_zone"),
    ] {
        assert_eq!(house.gate.run(&administrator, &CREATE, input).unwrap_err().attribute(), Some(attribute));
    }
}

#[test]
fn there_is_one_operator() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let second = house
            .gate
            .db()
            .write(|c| c.execute("INSERT INTO tenants (id, parent, path) VALUES ('ten_x', NULL, 'ten_x/')", &[]));
        assert_eq!(second.unwrap_err().kind(), Kind::Conflict, "{engine}");
        let orphan = house.gate.db().write(|c| {
            c.execute("INSERT INTO tenants (id, parent, path, kind) VALUES ('ten_x', NULL, 'ten_x/', 'customer')", &[])
        });
        assert_eq!(orphan.unwrap_err().code(), "db.check", "{engine}");
    }
}
