use base::{Kind, limits};
use gate::Cx;

use super::actions::{CREATE, CreateToken, LIST, ListTokens, REVOKE, TokenRef};
use crate::passwords::actions::{CHANGE, ChangePassword};
use crate::testing::House;
use crate::{Authenticator, Secret};

fn wanted(name: &str, roles: Option<&[&str]>) -> CreateToken {
    let roles = roles.map(|roles| roles.iter().map(|r| (*r).to_owned()).collect());
    CreateToken { name: name.to_owned(), roles, sensitive: true, ..Default::default() }
}

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let made = house.gate.run(&owner, &CREATE, wanted("ci", None)).unwrap();
        assert!(made.secret.starts_with(&made.token.prefix) && made.token.prefix.len() < 12);
        let listed = serde_json::to_string(&house.gate.run(&owner, &LIST, ListTokens::default()).unwrap()).unwrap();
        assert!(!listed.contains(&made.secret[..20]));
        let secret = made.secret.clone();
        let kept: i64 = house
            .gate
            .db()
            .read(move |c| {
                c.query_one("SELECT COUNT(*) FROM api_tokens WHERE prefix = $1 OR name = $1", db::args![secret], |r| {
                    r.get(0)
                })
            })
            .unwrap();
        assert_eq!(kept, 0);
    }
}

#[test]
fn a_limited_token_cannot_make_a_wider_one() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let auth = Authenticator::new(house.gate.clone());
    let both = house.person("b@example.com", house.first, &["owner", "viewer"]);
    let both = house.cx(both, None).unwrap();
    let narrow = house.gate.run(&both, &CREATE, wanted("narrow", Some(&["viewer"]))).unwrap();
    let through = auth.recognise(&narrow.secret, None).unwrap().cx;
    assert_eq!(
        house.gate.run(&through, &CREATE, wanted("x", Some(&["owner"]))).unwrap_err().attribute(),
        Some("roles")
    );
    let child = house.gate.run(&through, &CREATE, wanted("child", None)).unwrap();
    assert_eq!(child.token.roles, Some(vec!["viewer".to_owned()]));
    assert!(!auth.recognise(&child.secret, None).unwrap().cx.has_role("owner"));
}

#[test]
fn a_limited_token_stays_limited_whatever_its_account_becomes() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let auth = Authenticator::new(house.gate.clone());
        let admin = house.person("first@example.com", house.operator, &["administrator", "auditor"]);
        let cx = house.cx(admin, None).unwrap();
        let through = |roles: Option<&[&str]>| {
            let made = house.gate.run(&cx, &CREATE, wanted("t", roles)).unwrap();
            auth.recognise(&made.secret, None).unwrap().cx
        };
        // It is no way to a password, which would open everything.
        let narrow = through(Some(&["auditor"]));
        let first = || ChangePassword { current: None, password: Secret::new("nine ferries in the evening rain") };
        assert_eq!(CHANGE.run(&house.gate, &narrow, first()).unwrap_err().code(), "password.limited_token");
        // Nor where the token has all roles, and reaches one customer only.
        let staff = house.person("staff@example.com", house.operator, &["support"]);
        let inside = house.cx(staff, Some(house.first)).unwrap();
        let made = house.gate.run(&inside, &CREATE, wanted("inside", None)).unwrap();
        let inside = auth.recognise(&made.secret, None).unwrap().cx;
        assert_eq!(CHANGE.run(&house.gate, &inside, first()).unwrap_err().code(), "password.limited_token");
        // Nor to a token that grows with the account, even where it has all roles at present.
        let all = through(Some(&["administrator", "auditor"]));
        let child = house.gate.run(&all, &CREATE, wanted("child", None)).unwrap();
        assert_eq!(child.token.roles, Some(vec!["administrator".to_owned(), "auditor".to_owned()]));
        CHANGE.run(&house.gate, &through(None), first()).unwrap();
    }
}

#[test]
fn wrong_wishes_are_refused() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let viewer = house.with_role("viewer", house.first);
    for (input, attribute) in [
        (wanted("", None), "name"),
        (wanted("a\nb", None), "name"),
        (CreateToken { days: Some(0), ..wanted("a", None) }, "days"),
        (CreateToken { days: Some(limits::TOKEN_DAYS_MAX + 1), ..wanted("a", None) }, "days"),
        (wanted("a", Some(&["owner"])), "roles"),
        (wanted("a", Some(&[])), "roles"),
    ] {
        assert_eq!(house.gate.run(&viewer, &CREATE, input).unwrap_err().attribute(), Some(attribute));
    }
    let other = house.with_role("viewer", house.first).account();
    let for_other = CreateToken { account: other, ..wanted("a", None) };
    assert_eq!(house.gate.run(&viewer, &CREATE, for_other.clone()).unwrap_err().code(), "token.not_own");
    // The platform itself, on the command line of its host, can.
    assert!(house.gate.run(&Cx::system("admin", house.first), &CREATE, for_other).is_ok());
    for _ in 0..limits::TOKENS_PER_ACCOUNT_MAX {
        house.gate.run(&viewer, &CREATE, wanted("a", None)).unwrap();
    }
    assert_eq!(house.gate.run(&viewer, &CREATE, wanted("a", None)).unwrap_err().kind(), Kind::Exhausted);
}

#[test]
fn tokens_are_listed_and_revoked_within_the_tenant_alone() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (owner, member, stranger) = (
            house.with_role("owner", house.first),
            house.with_role("member", house.first),
            house.with_role("owner", house.second),
        );
        let made = house.gate.run(&member, &CREATE, wanted("ci", None)).unwrap();
        let everybody = ListTokens { everybody: true, ..Default::default() };
        assert_eq!(house.gate.run(&owner, &LIST, everybody.clone()).unwrap().items.len(), 1);
        assert!(house.gate.run(&stranger, &LIST, everybody.clone()).unwrap().items.is_empty());
        assert_eq!(house.gate.run(&member, &LIST, everybody).unwrap_err().kind(), Kind::Forbidden);
        let which = TokenRef { token: made.token.id };
        let colleague = house.with_role("viewer", house.first);
        assert_eq!(house.gate.run(&colleague, &REVOKE, which.clone()).unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(house.gate.run(&stranger, &REVOKE, which.clone()).unwrap_err().kind(), Kind::NotFound);
        assert!(Authenticator::new(house.gate.clone()).recognise(&made.secret, None).is_ok());
        assert!(house.gate.run(&owner, &REVOKE, which.clone()).unwrap().revoked_at.is_some());
        assert!(house.gate.run(&owner, &REVOKE, which).is_ok());
    }
}
