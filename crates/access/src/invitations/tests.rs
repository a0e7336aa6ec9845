use std::time::Duration;

use base::{Kind, limits};
use gate::Cx;

use super::Invitation;
use super::actions::{
    ACCEPT, AcceptInvitation, INVITE, InvitationRef, InviteAccount, Joined, LIST, LinkToken, ListInvitations, PREVIEW,
    RESEND, WITHDRAW,
};
use crate::accounts::NewPerson;
use crate::mail::links;
use crate::sessions::actions::{OPEN, OpenSession};
use crate::tenants::actions::{CREATE, CreateTenant};
use crate::testing::{House, PASSWORD};
use crate::{Secret, roles};

fn wanted(email: &str, roles: &[&str]) -> InviteAccount {
    let roles = roles.iter().map(|r| (*r).to_owned()).collect();
    InviteAccount { tenant: None, email: email.to_owned(), name: "林美華".to_owned(), locale: None, roles }
}

fn link(house: &House, invitation: &Invitation) -> Secret {
    house.link(links::INVITATION, invitation.id.to_string())
}

fn accept(house: &House, link: &Secret, password: Option<&str>) -> base::Result<Joined> {
    let input = AcceptInvitation { token: link.clone(), name: None, password: password.map(Secret::new) };
    ACCEPT.run(&house.gate, &Cx::nobody(house.operator), input)
}

#[test]
fn somebody_new_joins_with_a_password_of_their_own() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let invitation =
            house.gate.run(&owner, &INVITE, wanted("mei@example.com", &["member", "viewer", "member"])).unwrap();
        assert_eq!(invitation.roles, ["member", "viewer"]);
        let link = link(&house, &invitation);
        let preview = house.gate.run(&Cx::nobody(house.operator), &PREVIEW, LinkToken { token: link.clone() }).unwrap();
        assert_eq!((preview.tenant.as_str(), preview.has_account), ("tenant 2", false));
        assert_eq!(accept(&house, &link, None).unwrap_err().code(), "password.needed");
        assert_eq!(accept(&house, &link, Some("password1234")).unwrap_err().code(), "password.guessable");
        let joined = accept(&house, &link, Some(PASSWORD)).unwrap();
        assert!(!joined.had_account, "{engine}");
        let sign_in = OpenSession {
            email: "mei@example.com".to_owned(),
            password: Secret::new(PASSWORD),
            user_agent: String::new(),
        };
        let opened = OPEN.run(&house.gate, &Cx::nobody(house.operator), sign_in).unwrap();
        assert_eq!(opened.signed_in().unwrap().account.id, joined.account);
        let cx = house.cx(joined.account, None).unwrap();
        assert!(cx.tenant() == house.first && cx.has_role("member") && cx.has_role("viewer") && cx.roles().len() == 2);
        assert_eq!(accept(&house, &link, Some(PASSWORD)).unwrap_err().code(), "link.void");
    }
}

#[test]
fn one_invitation_is_accepted_once() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let invitation = house.gate.run(&owner, &INVITE, wanted("mei@example.com", &["member"])).unwrap();
        // A mail that was sent twice carries two links to one invitation.
        let links = [link(&house, &invitation), link(&house, &invitation)];
        let done: Vec<_> = std::thread::scope(|s| {
            let tries: Vec<_> = (0..6)
                .map(|n| {
                    let link = &links[n % 2];
                    let house = &house;
                    s.spawn(move || accept(house, link, Some(PASSWORD)))
                })
                .collect();
            tries.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 1, "{engine}: {done:?}");
        let accounts: i64 = house
            .gate
            .db()
            .read(|c| {
                c.query_one("SELECT COUNT(*) FROM accounts WHERE email_key = 'mei@example.com'", &[], |r| r.get(0))
            })
            .unwrap();
        assert_eq!(accounts, 1);
    }
}

#[test]
fn an_invitation_never_sets_the_password_of_an_account_that_was_there() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let mei = house.person("mei@example.com", house.second, &["owner"]);
        house.set_password(mei);
        let owner = house.with_role("owner", house.first);
        let invitation = house.gate.run(&owner, &INVITE, wanted("Mei@Example.com", &["viewer"])).unwrap();
        let joined = accept(&house, &link(&house, &invitation), Some("an attacker chose this one")).unwrap();
        assert_eq!((joined.account, joined.had_account), (mei, true));
        let sign_in = |password: &str| {
            let input = OpenSession {
                email: "mei@example.com".to_owned(),
                password: Secret::new(password),
                user_agent: String::new(),
            };
            OPEN.run(&house.gate, &Cx::nobody(house.operator), input).is_ok()
        };
        assert!(!sign_in("an attacker chose this one") && sign_in(PASSWORD));
        assert!(house.cx(mei, Some(house.first)).unwrap().has_role("viewer"));
    }
}

#[test]
fn an_invitation_ends_by_time_and_by_withdrawal() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let invite = |email: &str| house.gate.run(&owner, &INVITE, wanted(email, &["member"]));
    let (one, two) = (invite("one@example.com").unwrap(), invite("two@example.com").unwrap());
    assert_eq!(invite("ONE@example.com").unwrap_err().code(), "invitation.pending");
    let withdrawn = link(&house, &one);
    house.gate.run(&owner, &WITHDRAW, InvitationRef { invitation: one.id }).unwrap();
    assert_eq!(accept(&house, &withdrawn, Some(PASSWORD)).unwrap_err().code(), "link.void");
    assert_eq!(
        house.gate.run(&owner, &RESEND, InvitationRef { invitation: one.id }).unwrap_err().code(),
        "invitation.closed"
    );
    assert_eq!(house.gate.run(&owner, &LIST, ListInvitations::default()).unwrap().items.len(), 1);
    house.gate.clock().advance(Duration::from_secs(limits::INVITATION_SECONDS.unsigned_abs()));
    assert_eq!(accept(&house, &link(&house, &two), Some(PASSWORD)).unwrap_err().code(), "link.void");
    house.gate.run(&owner, &RESEND, InvitationRef { invitation: two.id }).unwrap();
    assert!(accept(&house, &link(&house, &two), Some(PASSWORD)).is_ok());
    assert_eq!(invite("two@example.com").unwrap_err().code(), "account.member");
}

#[test]
fn an_organisation_cannot_flood_people_with_mails_in_our_name() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let one = house.gate.run(&owner, &INVITE, wanted("one@example.com", &["member"])).unwrap();
        let again = || house.gate.run(&owner, &RESEND, InvitationRef { invitation: one.id });
        assert_eq!(again().unwrap_err().kind(), Kind::Throttled);
        house.gate.clock().advance(Duration::from_secs(limits::INVITATION_RESENT_AFTER_SECONDS));
        again().unwrap();
        assert_eq!(again().unwrap_err().kind(), Kind::Throttled);
        // Taking them back does not buy new ones, nor does a department.
        for n in 1..limits::INVITATIONS_PER_DAY_MAX {
            let place = if n % 2 == 0 { house.first } else { house.department };
            let input = InviteAccount { tenant: Some(place), ..wanted(&format!("p{n}@example.com"), &["member"]) };
            let made = house.gate.run(&owner, &INVITE, input).unwrap();
            house.gate.run(&owner, &WITHDRAW, InvitationRef { invitation: made.id }).unwrap();
        }
        let invite = |cx: &Cx| house.gate.run(cx, &INVITE, wanted("late@example.com", &["member"]));
        assert_eq!(invite(&owner).unwrap_err().code(), "invitation.too_many_today");
        invite(&house.with_role("owner", house.second)).unwrap();
        house.gate.clock().advance(Duration::from_secs(24 * 60 * 60));
        invite(&owner).unwrap();
    }
}

#[test]
fn nobody_invites_above_their_own_role_or_elsewhere() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (owner, member) = (house.with_role("owner", house.first), house.with_role("member", house.first));
        let invite = |cx: &Cx, tenant, roles: &[&str]| {
            house.gate.run(cx, &INVITE, InviteAccount { tenant, ..wanted("x@example.com", roles) }).unwrap_err()
        };
        assert_eq!(invite(&member, None, &["viewer"]).kind(), Kind::Forbidden);
        assert_eq!(invite(&owner, None, &["administrator"]).code(), "role.unknown");
        assert_eq!(invite(&owner, None, &[]).code(), "role.needed");
        assert_eq!(invite(&owner, Some(house.second), &["viewer"]).kind(), Kind::NotFound);
        assert_eq!(invite(&owner, Some(house.operator), &["auditor"]).kind(), Kind::NotFound);
        // The operator invites a customer's owner, and nobody else, without looking inside.
        let administrator = house.with_role("administrator", house.operator);
        assert_eq!(invite(&administrator, Some(house.first), &["viewer"]).kind(), Kind::NotFound);
        assert_eq!(invite(&administrator, Some(house.department), &["owner"]).kind(), Kind::NotFound);
        let input = InviteAccount { tenant: Some(house.first), ..wanted("boss@example.com", &["owner"]) };
        let made = house.gate.run(&administrator, &INVITE, input).unwrap();
        for stranger in [house.with_role("owner", house.second), house.with_role("product-manager", house.operator)] {
            for error in [
                house.gate.run(&stranger, &WITHDRAW, InvitationRef { invitation: made.id }).unwrap_err(),
                house.gate.run(&stranger, &RESEND, InvitationRef { invitation: made.id }).unwrap_err(),
            ] {
                assert!(matches!(error.kind(), Kind::NotFound | Kind::Forbidden), "{error:?}");
            }
        }
        house.gate.run(&administrator, &WITHDRAW, InvitationRef { invitation: made.id }).unwrap();
    }
}

#[test]
fn a_new_customer_comes_with_an_invitation_for_its_owner() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let administrator = house.with_role("administrator", house.operator);
        let owner =
            NewPerson { email: "boss@example.com".to_owned(), name: "Boss".to_owned(), locale: Some("en".to_owned()) };
        let input = CreateTenant {
            parent: None,
            name: "明水設計".to_owned(),
            locale: None,
            time_zone: None,
            owner: Some(owner),
        };
        let made = house.gate.run(&administrator, &CREATE, input).unwrap();
        let tenant = made.id;
        let invitation =
            house.gate.db().read(move |c| super::store::pending(c, tenant, "boss@example.com")).unwrap().unwrap();
        let joined = accept(&house, &link(&house, &invitation), Some(PASSWORD)).unwrap();
        let boss = house.cx(joined.account, None).unwrap();
        assert!(boss.tenant() == made.id && boss.has_role(roles::OWNER));
        // One mail was asked for, in the transaction that made the tenant.
        let jobs: i64 = house
            .gate
            .db()
            .read(|c| c.query_one("SELECT COUNT(*) FROM jobs WHERE kind = 'access.mail'", &[], |r| r.get(0)))
            .unwrap();
        assert_eq!(jobs, 1);
    }
}
