use base::Kind;

use super::actions::{GRANT, GrantRole, Nothing, REACH, REVOKE};
use super::{ADMINISTRATOR, OWNER, ROLES, rules};
use crate::tenants::TenantKind;
use crate::testing::House;

fn grant(account: base::id::AccountId, role: &str) -> GrantRole {
    GrantRole { account, tenant: None, role: role.to_owned() }
}

#[test]
fn nobody_grants_above_their_own_role() {
    for own in ROLES {
        for role in ROLES {
            let may = rules::may_grant(&[own.name.to_owned()].into(), role).is_ok();
            let right = own.name == ADMINISTRATOR || (own.name == OWNER && !role.operator);
            assert_eq!(may, right, "{} granting {}", own.name, role.name);
        }
    }
}

#[test]
fn roles_are_held_where_they_belong() {
    for role in ROLES {
        assert_eq!(rules::role_for(role.name, TenantKind::Operator).is_ok(), role.operator);
        assert_eq!(rules::role_for(role.name, TenantKind::Department).is_ok(), !role.operator);
    }
    for hostile in ["", "Owner", "owner ", "root", "own\u{0435}r", &"x".repeat(100_000)] {
        let error = rules::role_for(hostile, TenantKind::Customer).unwrap_err();
        assert!(error.attribute() == Some("role") && error.message().len() < 200);
    }
}

#[test]
fn roles_are_granted_within_the_tenant_and_by_its_managers_alone() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (owner, member) = (house.with_role("owner", house.first), house.with_role("member", house.first));
        let them = member.account().unwrap();
        assert_eq!(
            house.gate.run(&owner, &GRANT, grant(them, "billing-viewer")).unwrap().roles,
            ["billing-viewer", "member"]
        );
        // Twice is once.
        assert_eq!(house.gate.run(&owner, &GRANT, grant(them, "billing-viewer")).unwrap().roles.len(), 2);
        assert_eq!(
            house.gate.run(&member, &GRANT, grant(them, "owner")).unwrap_err().kind(),
            Kind::Forbidden,
            "{engine}"
        );
        let stranger = house.with_role("owner", house.second);
        for error in [
            house.gate.run(&stranger, &GRANT, grant(them, "viewer")).unwrap_err(),
            house.gate.run(&stranger, &REVOKE, grant(them, "member")).unwrap_err(),
            house
                .gate
                .run(
                    &stranger,
                    &GRANT,
                    GrantRole { tenant: Some(house.first), ..grant(stranger.account().unwrap(), "owner") },
                )
                .unwrap_err(),
            house
                .gate
                .run(&owner, &GRANT, GrantRole { tenant: Some(house.second), ..grant(them, "viewer") })
                .unwrap_err(),
            house.gate.run(&owner, &GRANT, grant(stranger.account().unwrap(), "viewer")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound, "{engine}: {error:?}");
        }
        assert_eq!(
            house.gate.run(&owner, &REVOKE, grant(owner.account().unwrap(), "owner")).unwrap_err().code(),
            "role.last_holder"
        );
        house.gate.run(&owner, &GRANT, grant(them, "owner")).unwrap();
        house.gate.run(&owner, &REVOKE, grant(owner.account().unwrap(), "owner")).unwrap();
    }
}

#[test]
fn a_customer_sees_who_can_look_inside() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let viewer = house.with_role("viewer", house.first);
        assert!(house.gate.run(&viewer, &REACH, Nothing {}).unwrap().is_empty());
        house.with_role("operations", house.operator);
        let staff = house.person("staff@example.com", house.operator, &["operations", "support"]);
        let seen = house.gate.run(&viewer, &REACH, Nothing {}).unwrap();
        assert_eq!(seen.iter().map(|s| s.account).collect::<Vec<_>>(), [staff]);
        assert_eq!(seen[0].roles, ["operations", "support"]);
    }
}
