use base::Kind;

use super::AccountState;
use super::actions::{
    AccountRef, GET, LIST, ListAccounts, REMOVE, RESUME, RemoveAccount, SUSPEND, UPDATE, UpdateAccount,
};
use crate::Authenticator;
use crate::sessions::actions::{OPEN, OpenSession};
use crate::testing::{House, PASSWORD};
use crate::tokens::actions::{CREATE, CreateToken};
use crate::{Secret, operator};

fn token(name: &str) -> CreateToken {
    CreateToken { name: name.to_owned(), sensitive: false, ..Default::default() }
}

fn sign_in(email: &str) -> OpenSession {
    OpenSession { email: email.to_owned(), password: Secret::new(PASSWORD), user_agent: "Firefox".to_owned() }
}

#[test]
fn leaving_loses_everything_at_once() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (gate, auth) = (&house.gate, Authenticator::new(house.gate.clone()));
        let owner = house.with_role("owner", house.first);
        let leaver = house.person("mei@example.com", house.first, &["member", "billing-viewer"]);
        house.set_password(leaver);
        let session = OPEN.run(gate, &gate::Cx::nobody(house.operator), sign_in("mei@example.com")).unwrap();
        let session = session.signed_in().unwrap();
        let token = gate.run(&house.cx(leaver, None).unwrap(), &CREATE, token("ci")).unwrap();
        for secret in [&session.secret, &token.secret] {
            assert_eq!(auth.recognise(secret, None).unwrap().cx.account(), Some(leaver), "{engine}");
        }
        let removed = gate.run(&owner, &REMOVE, RemoveAccount { account: leaver, tenant: None }).unwrap();
        assert!(removed.left);
        // At once: what was remembered of them is not used any more.
        for secret in [&session.secret, &token.secret] {
            assert_eq!(auth.recognise(secret, None).unwrap_err().kind(), Kind::Unauthenticated, "{engine}");
        }
        let again = OPEN.run(gate, &gate::Cx::nobody(house.operator), sign_in("mei@example.com")).unwrap_err();
        assert_eq!(again.code(), "session.refused");
        // The address is free for somebody new, who is somebody else.
        assert_ne!(house.person("mei@example.com", house.second, &["owner"]), leaver);
    }
}

#[test]
fn who_leaves_one_tenant_keeps_the_other() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let both = house.person("mei@example.com", house.second, &["owner"]);
        let first = house.first;
        house
            .gate
            .db()
            .write(move |c| {
                crate::roles::store::insert(c, both, first, "viewer", "test", base::time::Timestamp::UNIX_EPOCH)
            })
            .unwrap();
        assert!(house.cx(both, Some(house.first)).is_ok());
        let removed = house.gate.run(&owner, &REMOVE, RemoveAccount { account: both, tenant: None }).unwrap();
        assert!(!removed.left);
        assert_eq!(house.cx(both, Some(house.first)).unwrap_err().code(), "tenant.no_role");
        assert!(house.cx(both, None).unwrap().has_role("owner"));
    }
}

#[test]
fn the_last_owner_and_the_last_administrator_stay() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        for (role, place) in [("owner", house.first), ("administrator", house.operator)] {
            let last = house.with_role(role, place);
            let me = last.account().unwrap();
            let error = house.gate.run(&last, &REMOVE, RemoveAccount { account: me, tenant: None }).unwrap_err();
            assert_eq!(error.code(), "role.last_holder", "{engine} {role}");
            let other = house.with_role(role, place);
            // One who is suspended keeps nothing alive.
            house.gate.run(&last, &SUSPEND, AccountRef { account: other.account().unwrap() }).unwrap();
            assert!(house.gate.run(&last, &REMOVE, RemoveAccount { account: me, tenant: None }).is_err());
            house.gate.run(&last, &RESUME, AccountRef { account: other.account().unwrap() }).unwrap();
            house.gate.run(&last, &REMOVE, RemoveAccount { account: me, tenant: None }).unwrap();
        }
    }
}

#[test]
fn two_owners_who_remove_each_other_leave_one() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let pair = [house.with_role("owner", house.first), house.with_role("owner", house.first)];
        let done: Vec<bool> = std::thread::scope(|s| {
            let tries = [(0, 1), (1, 0)].map(|(by, whom)| {
                let (house, pair) = (&house, &pair);
                s.spawn(move || {
                    let account = pair[whom].account().unwrap();
                    house.gate.run(&pair[by], &REMOVE, RemoveAccount { account, tenant: None }).is_ok()
                })
            });
            tries.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(done.iter().filter(|ok| **ok).count(), 1, "{engine}");
    }
}

#[test]
fn people_look_after_their_own_account_and_not_after_others() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (viewer, other) = (house.with_role("viewer", house.first), house.with_role("member", house.first));
        let update = |account| UpdateAccount { account, name: Some("New Name".to_owned()), locale: None };
        let (me, them) = (viewer.account().unwrap(), other.account().unwrap());
        assert_eq!(house.gate.run(&viewer, &UPDATE, update(me)).unwrap().name, "New Name");
        assert_eq!(house.gate.run(&viewer, &GET, AccountRef { account: me }).unwrap().roles, ["viewer"]);
        assert_eq!(house.gate.run(&viewer, &UPDATE, update(them)).unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(house.gate.run(&viewer, &GET, AccountRef { account: them }).unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(house.gate.run(&viewer, &LIST, ListAccounts::default()).unwrap_err().kind(), Kind::Forbidden);
    }
}

#[test]
fn an_account_of_another_tenant_does_not_exist() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (owner, stranger) = (house.with_role("owner", house.first), house.with_role("viewer", house.second));
        let account = stranger.account().unwrap();
        let gate = &house.gate;
        for error in [
            gate.run(&owner, &GET, AccountRef { account }).unwrap_err(),
            gate.run(&owner, &UPDATE, UpdateAccount { account, name: None, locale: None }).unwrap_err(),
            gate.run(&owner, &SUSPEND, AccountRef { account }).unwrap_err(),
            gate.run(&owner, &RESUME, AccountRef { account }).unwrap_err(),
            gate.run(&owner, &REMOVE, RemoveAccount { account, tenant: None }).unwrap_err(),
            gate.run(&owner, &REMOVE, RemoveAccount { account, tenant: Some(house.second) }).unwrap_err(),
            gate.run(&owner, &LIST, ListAccounts { tenant: Some(house.second), ..Default::default() }).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound, "{error:?}");
        }
        // Nor for the operator's administrator, without the role that lets staff look inside.
        let administrator = house.with_role("administrator", house.operator);
        assert_eq!(gate.run(&administrator, &GET, AccountRef { account }).unwrap_err().kind(), Kind::NotFound);
    }
}

#[test]
fn members_are_listed_page_by_page() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        for n in 0..5 {
            house.person(&format!("p{n}@example.com"), house.first, &["viewer"]);
        }
        house.person("elsewhere@example.com", house.second, &["viewer"]);
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let input = ListAccounts { after, limit: Some(4), ..Default::default() };
            let page = house.gate.run(&owner, &LIST, input).unwrap();
            seen.extend(page.items.into_iter().map(|member| member.account.email));
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen.len(), 6);
        assert!(!seen.contains(&"elsewhere@example.com".to_owned()));
    }
}

#[test]
fn only_the_home_of_an_account_may_suspend_it() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let guest = house.person("mei@example.com", house.second, &["owner"]);
    let first = house.first;
    house
        .gate
        .db()
        .write(move |c| {
            crate::roles::store::insert(c, guest, first, "viewer", "test", base::time::Timestamp::UNIX_EPOCH)
        })
        .unwrap();
    let owner = house.with_role("owner", house.first);
    let error = house.gate.run(&owner, &SUSPEND, AccountRef { account: guest }).unwrap_err();
    assert_eq!(error.code(), "account.not_at_home");
    let member = house.gate.run(&owner, &GET, AccountRef { account: guest }).unwrap();
    assert_eq!((member.account.state, member.roles), (AccountState::Active, vec!["viewer".to_owned()]));
}

#[test]
fn the_operator_is_set_up_once() {
    for (_, db, _keep) in db::testing::databases() {
        let clock = base::time::Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap());
        let gate = gate::Gate::new(
            db,
            clock,
            base::id::Ids::seeded(1),
            &crate::testing::policies(),
            gate::Catalogue::default().actions(&crate::actions()),
        )
        .unwrap();
        let id = base::id::TenantId::fresh(gate.ids(), gate.now());
        let input = operator::InitOperator {
            name: "雲維科技".to_owned(),
            email: "admin@example.com".to_owned(),
            administrator: None,
            locale: None,
            time_zone: None,
            password: None,
            without_support: false,
        };
        let system = gate::Cx::system("admin", id);
        let made = operator::INIT.run(&gate, &system, input.clone()).unwrap();
        assert_eq!((made.tenant, gate.operator().unwrap()), (id, id));
        let visitor = Authenticator::new(gate.clone()).recognise(&made.token, None).unwrap();
        assert!(visitor.cx.has_role("administrator") && visitor.cx.has_role("support"));
        assert_eq!(operator::INIT.run(&gate, &system, input.clone()).unwrap_err().code(), "operator.exists");
        // Not through the API, whoever asks.
        assert_eq!(operator::INIT.run(&gate, &visitor.cx, input).unwrap_err().kind(), Kind::Forbidden);
    }
}
