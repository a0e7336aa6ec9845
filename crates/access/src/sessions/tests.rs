use std::net::IpAddr;
use std::time::Duration;

use base::{Kind, limits};
use gate::Cx;

use super::actions::{ACT_IN, CLOSE, CLOSE_ALL, CloseSession, DESCRIBE, LIST, OPEN, OpenSession, SignedIn};
use crate::accounts::actions::{AccountRef, SUSPEND};
use crate::passwords::actions::{REQUEST_RESET, RESET, RequestReset, ResetPassword};
use crate::passwords::attempts::{self, Subjects};
use crate::roles::actions::Nothing;
use crate::tenants::actions::TenantRef;
use crate::testing::{House, PASSWORD};
use crate::{Authenticator, Secret};

fn from(house: &House, address: &str) -> Cx {
    Cx::nobody(house.operator).for_request("req", Some(address.parse::<IpAddr>().unwrap()))
}

fn open(house: &House, cx: &Cx, email: &str, password: &str) -> base::Result<SignedIn> {
    let input = OpenSession {
        email: email.to_owned(),
        password: Secret::new(password),
        user_agent: "Mozilla/5.0\r\n\u{202e}".repeat(100),
    };
    OPEN.run(&house.gate, cx, input).map(|opened| opened.signed_in().unwrap())
}

fn with_mei(db: db::Db) -> House {
    let house = House::new(db);
    let mei = house.person("mei@example.com", house.first, &["member"]);
    house.set_password(mei);
    house
}

#[test]
fn known_and_unknown_addresses_get_the_same_answer() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        house.person("no-password@example.com", house.first, &["member"]);
        let told: Vec<String> =
            ["mei@example.com", "nobody@example.com", "no-password@example.com", "not an address", ""]
                .iter()
                .map(|email| {
                    let error = open(&house, &from(&house, "192.0.2.1"), email, "wrong wrong wrong").unwrap_err();
                    format!("{:?} {} {error}", error.kind(), error.code())
                })
                .collect();
        assert!(told.iter().all(|one| *one == told[0]), "{engine} {told:?}");
        assert!(told[0].starts_with("Unauthenticated session.refused"));
        // Each refusal is on the record, and none says who was tried.
        let refused = || house.audit().iter().filter(|(_, _, outcome)| outcome == "refused:session.refused").count();
        assert!((0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            refused() == 5
        }));
    }
}

#[test]
fn signing_in_always_makes_a_new_session() {
    for (_, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let auth = Authenticator::new(house.gate.clone());
        // A cookie that somebody planted beforehand is worth nothing before and after.
        let planted = format!("yws_{}", "A".repeat(43));
        assert_eq!(auth.recognise(&planted, None).unwrap_err().code(), "session.over");
        let first = open(&house, &from(&house, "192.0.2.1"), "MEI@example.com", PASSWORD).unwrap();
        assert_eq!(auth.recognise(&planted, None).unwrap_err().code(), "session.over");
        // Signing in again inside a session ends that session.
        let inside = auth.recognise(&first.secret, None).unwrap().cx;
        let second = open(&house, &inside, "mei@example.com", PASSWORD).unwrap();
        assert!(first.secret != second.secret && first.csrf != second.csrf);
        assert_eq!(auth.recognise(&first.secret, None).unwrap_err().code(), "session.over");
        assert!(auth.recognise(&second.secret, None).is_ok());
        let session = house.gate.run(&inside, &LIST, Nothing {}).unwrap().remove(0);
        assert!(session.user_agent.len() <= 200 && !session.user_agent.contains(['\r', '\n', '\u{202e}']));
        assert_eq!(session.address, "");
    }
}

#[test]
fn guessing_earns_waits_that_double_and_only_where_it_comes_from() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let (stranger, mei) = (from(&house, "198.51.100.7"), from(&house, "192.0.2.1"));
        for _ in 0..limits::ATTEMPTS_PER_PAIR {
            assert_eq!(
                open(&house, &stranger, "mei@example.com", "guess guess guess").unwrap_err().code(),
                "session.refused"
            );
        }
        let mut waits = Vec::new();
        for _ in 0..4 {
            let error = open(&house, &stranger, "mei@example.com", PASSWORD).unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Throttled, "attempts.too_many"), "{engine}");
            waits.push(error.wait().unwrap().as_secs());
            house.gate.clock().advance(error.wait().unwrap());
            open(&house, &stranger, "mei@example.com", "guess guess guess").unwrap_err();
        }
        assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
        // The person herself is not kept out, and her success forgives the stranger nothing.
        assert!(open(&house, &mei, "mei@example.com", PASSWORD).is_ok());
        assert_eq!(open(&house, &stranger, "mei@example.com", PASSWORD).unwrap_err().code(), "attempts.too_many");
    }
}

#[test]
fn many_guesses_at_one_time_are_no_more_than_one_after_another() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    let tried: Vec<bool> = std::thread::scope(|s| {
        let all: Vec<_> = (0..20)
            .map(|_| {
                s.spawn(|| {
                    open(&house, &from(&house, "198.51.100.7"), "mei@example.com", "guess guess guess").unwrap_err()
                })
            })
            .collect();
        all.into_iter().map(|t| t.join().unwrap().code() == "session.refused").collect()
    });
    assert_eq!(tried.iter().filter(|t| **t).count(), usize::try_from(limits::ATTEMPTS_PER_PAIR).unwrap());
}

#[test]
fn one_address_cannot_try_one_password_on_everybody() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    let stranger = from(&house, "2001:db8::7");
    let neighbour = from(&house, "2001:db8::ffff");
    for n in 0..limits::ATTEMPTS_PER_ADDRESS {
        let subjects = Subjects::new("sign-in", &format!("p{n}@example.com"), &stranger);
        attempts::admit(&house.gate, &subjects).unwrap();
    }
    // The whole network of an IPv6 customer is one address.
    assert_eq!(open(&house, &neighbour, "mei@example.com", PASSWORD).unwrap_err().code(), "attempts.too_many");
    assert!(open(&house, &from(&house, "2001:db8:0:1::7"), "mei@example.com", PASSWORD).is_ok());
}

#[test]
fn a_session_ends_when_unused_and_in_any_case() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    let auth = Authenticator::new(house.gate.clone());
    let idle = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
    let used = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
    let step = Duration::from_secs(limits::SESSION_IDLE_SECONDS.unsigned_abs() / 2);
    auth.recognise(&idle.secret, None).unwrap();
    let mut hours = 0;
    loop {
        house.gate.clock().advance(step);
        let alive = auth.recognise(&used.secret, None);
        // The note of the use is written behind the answer.
        house.audit();
        if alive.is_err() {
            break;
        }
        hours += 1;
        assert!(hours < 100);
    }
    assert_eq!(hours, limits::SESSION_SECONDS_MAX / limits::SESSION_IDLE_SECONDS * 2 - 1);
    assert_eq!(auth.recognise(&idle.secret, None).unwrap_err().code(), "session.over");
}

#[test]
fn sessions_are_listed_and_closed_by_their_own_account_alone() {
    for (_, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let auth = Authenticator::new(house.gate.clone());
        let secrets: Vec<SignedIn> =
            (0..3).map(|_| open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap()).collect();
        let mei = auth.recognise(&secrets[0].secret, None).unwrap().cx;
        let other = house.with_role("owner", house.first);
        let listed = house.gate.run(&mei, &LIST, Nothing {}).unwrap();
        assert_eq!(listed.iter().filter(|s| s.current).map(|s| s.id).collect::<Vec<_>>(), [secrets[0].session]);
        assert_eq!(listed.len(), 3);
        assert!(house.gate.run(&other, &LIST, Nothing {}).unwrap().is_empty());
        let theirs = CloseSession { session: Some(secrets[1].session) };
        assert_eq!(house.gate.run(&other, &CLOSE, theirs.clone()).unwrap_err().kind(), Kind::NotFound);
        house.gate.run(&mei, &CLOSE, theirs).unwrap();
        assert_eq!(auth.recognise(&secrets[1].secret, None).unwrap_err().code(), "session.over");
        assert_eq!(house.gate.run(&mei, &CLOSE_ALL, Nothing {}).unwrap().closed, 1);
        assert!(auth.recognise(&secrets[0].secret, None).is_ok());
        assert!(auth.recognise(&secrets[2].secret, None).is_err());
    }
}

#[test]
fn an_account_has_a_bounded_number_of_sessions() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    let auth = Authenticator::new(house.gate.clone());
    let first = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
    for _ in 0..limits::SESSIONS_PER_ACCOUNT_MAX {
        open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
    }
    let mei = house.cx(first.account.id, None).unwrap();
    assert_eq!(house.gate.run(&mei, &LIST, Nothing {}).unwrap().len(), limits::SESSIONS_PER_ACCOUNT_MAX);
    assert!(auth.recognise(&first.secret, None).is_err());
}

#[test]
fn suspension_is_told_only_to_who_knows_the_password() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    let auth = Authenticator::new(house.gate.clone());
    let session = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
    let owner = house.with_role("owner", house.first);
    house.gate.run(&owner, &SUSPEND, AccountRef { account: session.account.id }).unwrap();
    assert!(auth.recognise(&session.secret, None).is_err());
    let wrong = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", "wrong wrong wrong").unwrap_err();
    assert_eq!(wrong.code(), "session.refused");
    let right = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap_err();
    assert_eq!((right.kind(), right.code()), (Kind::Forbidden, "account.suspended"));
}

#[test]
fn one_chooses_where_to_act_and_is_told_where_one_may() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let auth = Authenticator::new(house.gate.clone());
        let staff = house.person("staff@example.com", house.operator, &["operations", "support"]);
        house.set_password(staff);
        let session = open(&house, &from(&house, "192.0.2.1"), "staff@example.com", PASSWORD).unwrap();
        let here = auth.recognise(&session.secret, None).unwrap().cx;
        let who = house.gate.run(&here, &DESCRIBE, Nothing {}).unwrap();
        assert_eq!((who.acting.tenant, who.places.len(), who.reaches_customers), (house.operator, 1, true));
        let place = house.gate.run(&here, &ACT_IN, TenantRef { tenant: house.second }).unwrap();
        assert_eq!((place.tenant, place.roles), (house.second, vec!["operations".to_owned(), "support".to_owned()]));
        assert_eq!(auth.recognise(&session.secret, None).unwrap().cx.tenant(), house.second);
        let nowhere = house.gate.run(&here, &ACT_IN, TenantRef { tenant: base::id::TenantId(99) }).unwrap_err();
        assert_eq!(nowhere.code(), "tenant.no_role");
        // Taken away: the session falls back to where its account belongs.
        let administrator = house.with_role("administrator", house.operator);
        let input = crate::roles::actions::GrantRole { account: staff, tenant: None, role: "support".to_owned() };
        house.gate.run(&administrator, &crate::roles::actions::REVOKE, input).unwrap();
        assert_eq!(auth.recognise(&session.secret, None).unwrap().cx.tenant(), house.operator);
    }
}

#[test]
fn what_has_run_out_is_swept_away_and_nothing_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let auth = Authenticator::new(house.gate.clone());
        open(&house, &from(&house, "192.0.2.1"), "mei@example.com", "wrong wrong wrong").unwrap_err();
        let old = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
        house.link(crate::mail::links::RESET, old.account.id.to_string());
        house.gate.clock().advance(Duration::from_secs(limits::ATTEMPTS_KEPT_SECONDS.unsigned_abs() + 1));
        let fresh = open(&house, &from(&house, "192.0.2.1"), "mei@example.com", PASSWORD).unwrap();
        house.link(crate::mail::links::RESET, old.account.id.to_string());
        crate::sweep(&house.gate).unwrap();
        let left = |table: &'static str| -> i64 {
            house
                .gate
                .db()
                .read(move |c| c.query_one(&format!("SELECT COUNT(*) FROM {table}"), &[], |r| r.get(0)))
                .unwrap()
        };
        assert_eq!((left("sessions"), left("mail_links")), (1, 1), "{engine}");
        assert!(auth.recognise(&fresh.secret, None).is_ok());
    }
}

/// An address of its own for each number, each in another network.
fn elsewhere(number: i64) -> String {
    format!("198.{}.{}.7", 18 + number / 250, number % 250)
}

#[test]
fn guesses_from_many_addresses_wait_together_and_the_person_does_not() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let at_home = from(&house, "192.0.2.1");
        open(&house, &at_home, "mei@example.com", PASSWORD).unwrap();
        // The same for an account that there is not.
        for email in ["mei@example.com", "nobody@example.com"] {
            for number in 0..limits::ATTEMPTS_PER_ACCOUNT {
                let error = open(&house, &from(&house, &elsewhere(number)), email, "guess guess guess").unwrap_err();
                assert_eq!(error.code(), "session.refused", "{engine} {email} {number}");
            }
            let error = open(&house, &from(&house, "203.0.113.9"), email, PASSWORD).unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Throttled, "attempts.too_many"), "{engine} {email}");
        }
        // A restart forgives nothing: all of it is rows. And she herself comes in from where she did before.
        assert!(open(&house, &at_home, "mei@example.com", PASSWORD).is_ok(), "{engine}");
        let error = open(&house, &from(&house, "203.0.113.9"), "mei@example.com", PASSWORD).unwrap_err();
        assert_eq!(error.code(), "attempts.too_many", "{engine}: her success forgives nobody else");
        // Where she was long ago is nowhere special.
        house.gate.clock().advance(Duration::from_secs(limits::NETWORK_KNOWN_SECONDS.unsigned_abs()));
        let key = "mei@example.com";
        let counted = |cx: &Cx| Subjects::of_address(&house.gate, key, cx).unwrap();
        assert_ne!(counted(&at_home), Subjects::new("sign-in", key, &at_home), "{engine}");
    }
}

/// What is free is free each day: slips of the hand over weeks never close the door of a domain that many share.
#[test]
fn what_was_mistyped_last_week_does_not_count() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let hours = 24 * 40;
        for hour in 0..hours {
            let (key, cx) = (format!("p{hour}@example.com"), from(&house, &elsewhere(hour)));
            let subjects = Subjects::of_address(&house.gate, &key, &cx).unwrap();
            attempts::admit(&house.gate, &subjects).unwrap();
            house.gate.clock().advance(Duration::from_secs(3_600));
        }
        assert!(hours > limits::ATTEMPTS_PER_ORGANISATION);
        let slip = open(&house, &from(&house, "203.0.113.9"), "p1@example.com", "a slip of the hand").unwrap_err();
        assert_eq!(slip.code(), "session.refused", "{engine}");
        assert!(open(&house, &from(&house, "203.0.113.10"), "mei@example.com", PASSWORD).is_ok(), "{engine}");
    }
}

/// However long somebody guessed: hours after they ended, nobody waits on their account.
#[test]
fn after_an_attack_the_door_opens_within_hours() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    for number in 0..2_000 {
        let subjects = Subjects::of_address(&house.gate, "mei@example.com", &from(&house, &elsewhere(number))).unwrap();
        while let Err(error) = attempts::admit(&house.gate, &subjects) {
            house.gate.clock().advance(error.wait().unwrap());
        }
    }
    house.gate.clock().advance(Duration::from_secs(8 * 3_600));
    for place in ["203.0.113.9", "203.0.113.10"] {
        let slip = open(&house, &from(&house, place), "mei@example.com", "a slip of the hand").unwrap_err();
        assert_eq!(slip.code(), "session.refused");
    }
    assert!(open(&house, &from(&house, "203.0.113.11"), "mei@example.com", PASSWORD).is_ok());
}

#[test]
fn a_new_password_by_mail_opens_the_door_again() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = with_mei(db);
    for number in 0..=limits::ATTEMPTS_PER_ACCOUNT {
        let _ = open(&house, &from(&house, &elsewhere(number)), "mei@example.com", "guess guess guess");
    }
    let new_place = from(&house, "203.0.113.9");
    assert_eq!(open(&house, &new_place, "mei@example.com", PASSWORD).unwrap_err().code(), "attempts.too_many");
    // Nor can who guesses ask for links until nobody else can.
    let ask = |cx: &Cx| REQUEST_RESET.run(&house.gate, cx, RequestReset { email: "mei@example.com".to_owned() });
    for number in 0..=limits::ATTEMPTS_PER_ACCOUNT {
        ask(&from(&house, &elsewhere(number))).unwrap();
    }
    assert!(ask(&new_place).unwrap().accepted);
    let mei: base::id::AccountId = house
        .gate
        .db()
        .read(|conn| conn.query_one("SELECT id FROM accounts WHERE email_key = 'mei@example.com'", &[], |r| r.get(0)))
        .unwrap();
    let token = house.link(crate::mail::links::RESET, mei.to_string());
    let password = Secret::new("nine kettles under the bridge");
    RESET.run(&house.gate, &new_place, ResetPassword { token, password }).unwrap();
    assert!(open(&house, &new_place, "mei@example.com", "nine kettles under the bridge").is_ok());
}

#[test]
fn one_password_tried_on_a_whole_organisation_waits_for_a_minute_at_most() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = with_mei(db);
        let at_home = from(&house, "192.0.2.1");
        open(&house, &at_home, "mei@example.com", PASSWORD).unwrap();
        for number in 0..limits::ATTEMPTS_PER_ORGANISATION + 10 {
            let (key, cx) = (format!("p{number}@example.com"), from(&house, &elsewhere(number)));
            let subjects = Subjects::of_address(&house.gate, &key, &cx).unwrap();
            while let Err(error) = attempts::admit(&house.gate, &subjects) {
                let wait = error.wait().unwrap();
                assert!(wait.as_secs() <= 61, "{engine} {number} {wait:?}");
                house.gate.clock().advance(wait);
            }
        }
        let waits = open(&house, &from(&house, "203.0.113.9"), "p1@example.com", PASSWORD).unwrap_err();
        assert_eq!(waits.code(), "attempts.too_many", "{engine}");
        // Those of another organisation, and those who have been there before, do not wait.
        let other = open(&house, &from(&house, "203.0.113.9"), "p1@example.org", PASSWORD).unwrap_err();
        assert_eq!(other.code(), "session.refused", "{engine}");
        assert!(open(&house, &at_home, "mei@example.com", PASSWORD).is_ok(), "{engine}");
    }
}
