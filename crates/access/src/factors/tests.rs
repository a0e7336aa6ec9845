//! Second factors from enrolment to loss, on both databases.

use std::net::IpAddr;
use std::time::Duration;

use base::id::AccountId;
use base::{Kind, limits};
use gate::{Cx, Strength};

use super::actions::{
    ACTIVATE, ActivateFactor, ENROL, EnrolFactor, Enrolment, FactorRef, LIST, REMOVE, RENEW, RESET, ResetFactors,
};
use super::totp;
use crate::roles::actions::{GRANT, GrantRole, Nothing};
use crate::sessions::actions::{OPEN, OpenSession, Opened, SignedIn};
use crate::sessions::confirm::{CONFIRM, ConfirmSession, STEP_UP, StepUp};
use crate::testing::{House, PASSWORD};
use crate::tokens::actions::{CREATE, CreateToken};
use crate::{Authenticator, Secret};

const EMAIL: &str = "mei@example.com";

fn from(house: &House, address: &str) -> Cx {
    Cx::nobody(house.operator).for_request("req", Some(address.parse::<IpAddr>().unwrap()))
}

fn open(house: &House, cx: &Cx) -> base::Result<Opened> {
    let input =
        OpenSession { email: EMAIL.to_owned(), password: Secret::new(PASSWORD), user_agent: "Firefox".to_owned() };
    OPEN.run(&house.gate, cx, input)
}

fn ticket(house: &House, cx: &Cx) -> String {
    match open(house, cx).unwrap() {
        Opened::FactorNeeded(needed) => needed.ticket,
        Opened::SignedIn(_) => panic!("no second factor was asked for"),
    }
}

fn confirm(house: &House, cx: &Cx, ticket: &str, code: &str) -> base::Result<SignedIn> {
    CONFIRM.run(&house.gate, cx, ConfirmSession { ticket: Secret::new(ticket), code: Secret::new(code) })
}

/// What an app that was given the secret shows, `later` steps from now.
fn shown(house: &House, secret: &str, later: i64) -> String {
    let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    totp::code(&bytes, totp::step_at(house.gate.now()) + later)
}

fn wrong(house: &House, secret: &str) -> String {
    let near: Vec<String> = (-1..=1).map(|later| shown(house, secret, later)).collect();
    (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
}

/// Time enough for the next code.
fn wait(house: &House) {
    house.gate.clock().advance(Duration::from_secs(30));
}

/// Somebody with a session; the password was just shown.
fn mei(house: &House, roles: &[&str]) -> AccountId {
    let mei = house.person(EMAIL, house.first, roles);
    house.set_password(mei);
    mei
}

fn signed_in(house: &House) -> Cx {
    let signed = open(house, &from(house, "192.0.2.1")).unwrap().signed_in().unwrap();
    Authenticator::new(house.gate.clone()).recognise(&signed.secret, None).unwrap().cx
}

fn again(house: &House, secret: &str) -> Cx {
    Authenticator::new(house.gate.clone()).recognise(secret, None).unwrap().cx
}

/// Enrols an app in that session: its secret and the recovery codes.
fn enrol(house: &House, cx: &Cx) -> (Enrolment, Vec<String>) {
    let made = house.gate.run(cx, &ENROL, EnrolFactor { name: Some("Phone".to_owned()) }).unwrap();
    let code = Secret::new(shown(house, &made.secret, 0));
    let active = house.gate.run(cx, &ACTIVATE, ActivateFactor { factor: made.factor.id, code }).unwrap();
    (made, active.recovery_codes)
}

#[test]
fn signing_in_takes_two_steps_once_a_factor_was_confirmed() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let cx = signed_in(&house);
        let made = house.gate.run(&cx, &ENROL, EnrolFactor::default()).unwrap();
        assert!(made.uri.starts_with("otpauth://totp/tenant%201:mei%40example.com?secret="), "{}", made.uri);
        // Not confirmed, it is asked for nowhere.
        assert!(open(&house, &from(&house, "192.0.2.1")).unwrap().signed_in().is_some(), "{engine}");
        let wrong_code = ActivateFactor { factor: made.factor.id, code: Secret::new(wrong(&house, &made.secret)) };
        assert_eq!(house.gate.run(&cx, &ACTIVATE, wrong_code).unwrap_err().code(), "factor.code_wrong");
        let code = Secret::new(shown(&house, &made.secret, 0));
        let active = house.gate.run(&cx, &ACTIVATE, ActivateFactor { factor: made.factor.id, code }).unwrap();
        assert_eq!(active.recovery_codes.len(), limits::RECOVERY_CODES);

        let nobody = from(&house, "192.0.2.1");
        let ticket = ticket(&house, &nobody);
        // What waits for its second factor is no session and no token.
        let auth = Authenticator::new(house.gate.clone());
        assert!(auth.recognise(&ticket, None).is_err(), "{engine}");
        assert!(auth.recognise(&ticket.replace("ywi_", "yws_"), None).is_err(), "{engine}");
        // The code of the confirmation was taken; the next one is not yet.
        let used = confirm(&house, &nobody, &ticket, &shown(&house, &made.secret, 0)).unwrap_err();
        assert_eq!((used.kind(), used.code()), (Kind::Unauthenticated, "factor.code_wrong"), "{engine}");
        let signed = confirm(&house, &nobody, &ticket, &shown(&house, &made.secret, 1)).unwrap();
        let cx = again(&house, &signed.secret);
        assert_eq!(cx.proof().unwrap().strength, Strength::Code, "{engine}");
        // A ticket works once.
        wait(&house);
        wait(&house);
        let over = confirm(&house, &nobody, &ticket, &shown(&house, &made.secret, 0)).unwrap_err();
        assert_eq!(over.code(), "session.sign_in_over", "{engine}");
        let found = house.gate.run(&cx, &LIST, Nothing {}).unwrap();
        assert_eq!((found.factors.len(), found.recovery_codes_left), (1, 10), "{engine}");
    }
}

#[test]
fn the_secret_is_nowhere_in_the_database_as_it_is() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let (made, codes) = enrol(&house, &signed_in(&house));
        let bytes = data_encoding::BASE32_NOPAD.decode(made.secret.as_bytes()).unwrap();
        let kept: String =
            house.gate.db().read(|conn| conn.query_one("SELECT secret FROM factors", &[], |row| row.get(0))).unwrap();
        assert!(kept.starts_with("s1.") && !kept.contains(&base::hex::encode(&bytes)) && !kept.contains(&made.secret));
        let hashes: Vec<Vec<u8>> =
            house.gate.db().read(|conn| conn.query("SELECT hash FROM recovery_codes", &[], |row| row.get(0))).unwrap();
        assert!(hashes.len() == 10 && hashes.iter().all(|hash| hash.len() == 32), "{engine}");
        assert!(codes.iter().all(|code| !hashes.contains(&code.clone().into_bytes())));
    }
}

#[test]
fn one_code_opens_once_however_many_try_it_at_one_moment_and_after_a_restart() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let (made, codes) = enrol(&house, &signed_in(&house));
        for code in [shown(&house, &made.secret, 1), codes[0].clone()] {
            let tickets: Vec<String> = (0..4).map(|_| ticket(&house, &from(&house, "192.0.2.1"))).collect();
            let results: Vec<base::Result<SignedIn>> = std::thread::scope(|scope| {
                let started: Vec<_> = tickets
                    .iter()
                    .map(|ticket| scope.spawn(|| confirm(&house, &from(&house, "192.0.2.1"), ticket, &code)))
                    .collect();
                started.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{engine} {results:?}");
            // Nothing of it was in memory only: another house over the same rows refuses it, too.
            let late = ticket(&house, &from(&house, "192.0.2.1"));
            assert!(confirm(&house, &from(&house, "192.0.2.1"), &late, &code).is_err(), "{engine}");
        }
    }
}

#[test]
fn guesses_are_counted_for_the_account_and_only_who_knows_the_password_can_use_them_up() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let (made, _) = enrol(&house, &signed_in(&house));
        // A stranger has no ticket, and may try what they like.
        for n in 0..40 {
            let stranger = from(&house, "198.51.100.1");
            let ticket = format!("ywi_{n:043}");
            let error = confirm(&house, &stranger, &ticket, "123456").unwrap_err();
            assert_eq!(error.code(), "session.sign_in_over", "{engine}");
        }
        let home = from(&house, "192.0.2.1");
        let mine = ticket(&house, &home);
        wait(&house);
        assert!(confirm(&house, &home, &mine, &shown(&house, &made.secret, 0)).is_ok(), "{engine}");

        // Who has the password is slowed down, from whatever address.
        let mut throttled = None;
        for n in 0..8 {
            let thief = from(&house, &format!("203.0.113.{n}"));
            let theirs = ticket(&house, &thief);
            let error = confirm(&house, &thief, &theirs, &wrong(&house, &made.secret)).unwrap_err();
            if error.kind() == Kind::Throttled {
                throttled = Some(n);
                break;
            }
            assert_eq!(error.code(), "factor.code_wrong", "{engine}");
        }
        assert_eq!(throttled, Some(limits::ATTEMPTS_PER_PAIR), "{engine}");
        // The wait is as long as it says, and then a right code opens.
        let theirs = ticket(&house, &home);
        let error = confirm(&house, &home, &theirs, &shown(&house, &made.secret, 0)).unwrap_err();
        house.gate.clock().advance(error.wait().unwrap());
        wait(&house);
        assert!(confirm(&house, &home, &theirs, &shown(&house, &made.secret, 0)).is_ok(), "{engine}");
    }
}

#[test]
fn a_recovery_code_signs_in_once_and_a_new_set_voids_the_old_one() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let (_, codes) = enrol(&house, &signed_in(&house));
        let nobody = from(&house, "192.0.2.1");
        let signed = confirm(&house, &nobody, &ticket(&house, &nobody), &codes[3].to_uppercase()).unwrap();
        let cx = again(&house, &signed.secret);
        assert_eq!(cx.proof().unwrap().strength, Strength::Recovery, "{engine}");
        assert!(confirm(&house, &nobody, &ticket(&house, &nobody), &codes[3]).is_err(), "{engine}");
        assert_eq!(house.gate.run(&cx, &LIST, Nothing {}).unwrap().recovery_codes_left, 9, "{engine}");
        let fresh = house.gate.run(&cx, &RENEW, Nothing {}).unwrap().recovery_codes;
        assert!(fresh.len() == 10 && fresh.iter().all(|code| !codes.contains(code)), "{engine}");
        assert!(confirm(&house, &nobody, &ticket(&house, &nobody), &codes[4]).is_err(), "{engine}");
        assert!(confirm(&house, &nobody, &ticket(&house, &nobody), &fresh[4]).is_ok(), "{engine}");
    }
}

#[test]
fn sensitive_actions_want_the_factor_again_after_ten_minutes() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["owner"]);
        let (made, _) = enrol(&house, &signed_in(&house));
        let colleague = house.person("colleague@example.com", house.first, &["viewer"]);
        let nobody = from(&house, "192.0.2.1");
        let signed = confirm(&house, &nobody, &ticket(&house, &nobody), &shown(&house, &made.secret, 1)).unwrap();
        let grant = |cx: &Cx, role: &str| {
            house.gate.run(cx, &GRANT, GrantRole { account: colleague, tenant: None, role: role.to_owned() })
        };
        assert!(grant(&again(&house, &signed.secret), "member").is_ok(), "{engine}");
        house.gate.clock().advance(Duration::from_secs(limits::STEP_UP_SECONDS.unsigned_abs() + 1));
        let cx = again(&house, &signed.secret);
        assert_eq!(grant(&cx, "billing-viewer").unwrap_err().code(), "session.step_up", "{engine}");
        // What is not sensitive goes on.
        assert!(house.gate.run(&cx, &LIST, Nothing {}).is_ok(), "{engine}");
        let step_up =
            |code: String| STEP_UP.run(&house.gate, &cx, StepUp { code: Some(Secret::new(code)), password: None });
        let refused = step_up(wrong(&house, &made.secret)).unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Forbidden, "factor.code_wrong"), "{engine}");
        // The password does not stand in for the factor.
        let by_password = StepUp { code: None, password: Some(Secret::new(PASSWORD)) };
        assert!(STEP_UP.run(&house.gate, &cx, by_password).is_err(), "{engine}");
        assert_eq!(step_up(shown(&house, &made.secret, 0)).unwrap().strength, Strength::Code, "{engine}");
        assert!(grant(&again(&house, &signed.secret), "billing-viewer").is_ok(), "{engine}");
        // The record says how strongly each had shown who they were.
        let said: Vec<String> = house
            .gate
            .db()
            .read(|conn| {
                let sql =
                    "SELECT strength FROM audit_entries WHERE action = 'role.grant' AND outcome = 'done' ORDER BY seq";
                conn.query(sql, &[], |row| row.get(0))
            })
            .unwrap();
        assert_eq!(said, ["password+code", "password+code"], "{engine}");
    }
}

#[test]
fn a_session_that_was_left_open_enrols_no_factor_without_the_password() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let signed = open(&house, &from(&house, "192.0.2.1")).unwrap().signed_in().unwrap();
        house.gate.clock().advance(Duration::from_secs(20 * 60));
        let cx = again(&house, &signed.secret);
        let error = house.gate.run(&cx, &ENROL, EnrolFactor::default()).unwrap_err();
        assert_eq!(error.code(), "session.step_up", "{engine}");
        let with = |text: &str| StepUp { code: None, password: Some(Secret::new(text)) };
        assert_eq!(STEP_UP.run(&house.gate, &cx, with("wrong wrong wrong")).unwrap_err().code(), "password.wrong");
        assert_eq!(STEP_UP.run(&house.gate, &cx, with(PASSWORD)).unwrap().strength, Strength::Password, "{engine}");
        assert!(house.gate.run(&again(&house, &signed.secret), &ENROL, EnrolFactor::default()).is_ok(), "{engine}");
    }
}

#[test]
fn a_token_does_nothing_sensitive_unless_it_was_made_for_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let auth = Authenticator::new(house.gate.clone());
        let make = |cx: &Cx, sensitive| {
            let input = CreateToken { name: "ci".to_owned(), sensitive, ..Default::default() };
            house.gate.run(cx, &CREATE, input)
        };
        let plain = auth.recognise(&make(&owner, false).unwrap().secret, None).unwrap().cx;
        assert_eq!(make(&plain, true).unwrap_err().code(), "token.not_sensitive", "{engine}");
        assert_eq!(make(&plain, false).unwrap_err().code(), "token.not_sensitive", "{engine}");
        let made_for_it = auth.recognise(&make(&owner, true).unwrap().secret, None).unwrap().cx;
        assert!(make(&made_for_it, false).is_ok(), "{engine}");
        // A token is no session: it has nothing to show anew.
        let error = STEP_UP.run(&house.gate, &plain, StepUp::default()).unwrap_err();
        assert_eq!(error.code(), "session.none", "{engine}");
    }
}

#[test]
fn removing_the_last_factor_takes_the_recovery_codes_and_wants_a_fresh_proof() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        mei(&house, &["member"]);
        let first = signed_in(&house);
        let (made, _) = enrol(&house, &first);
        // The session knew no factor; as it is now, it has shown one.
        let nobody = from(&house, "192.0.2.1");
        let signed = confirm(&house, &nobody, &ticket(&house, &nobody), &shown(&house, &made.secret, 1)).unwrap();
        house.gate.clock().advance(Duration::from_secs(11 * 60));
        let remove = FactorRef { factor: made.factor.id };
        let error = house.gate.run(&again(&house, &signed.secret), &REMOVE, remove.clone()).unwrap_err();
        assert_eq!(error.code(), "session.step_up", "{engine}");
        let code = Some(Secret::new(shown(&house, &made.secret, 0)));
        STEP_UP.run(&house.gate, &again(&house, &signed.secret), StepUp { code, password: None }).unwrap();
        // Nobody else's is removed.
        let other = house.with_role("owner", house.first);
        assert_eq!(house.gate.run(&other, &REMOVE, remove.clone()).unwrap_err().kind(), Kind::NotFound, "{engine}");
        let left = house.gate.run(&again(&house, &signed.secret), &REMOVE, remove).unwrap();
        assert_eq!((left.factors.len(), left.recovery_codes_left), (0, 0), "{engine}");
        assert!(open(&house, &nobody).unwrap().signed_in().is_some(), "{engine}");
    }
}

#[test]
fn who_may_manage_the_account_resets_a_lost_factor_and_the_person_is_told() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let lost = mei(&house, &["member"]);
        let (made, _) = enrol(&house, &signed_in(&house));
        let nobody = from(&house, "192.0.2.1");
        let signed = confirm(&house, &nobody, &ticket(&house, &nobody), &shown(&house, &made.secret, 1)).unwrap();
        let half = ticket(&house, &nobody);
        let reset = |cx: &Cx, reason: &str| {
            house.gate.run(cx, &RESET, ResetFactors { account: lost, reason: reason.to_owned() })
        };
        let owner = house.with_role("owner", house.first);
        assert_eq!(reset(&house.with_role("owner", house.second), "x").unwrap_err().kind(), Kind::NotFound, "{engine}");
        assert_eq!(
            reset(&house.with_role("member", house.first), "x").unwrap_err().kind(),
            Kind::Forbidden,
            "{engine}"
        );
        assert_eq!(reset(&again(&house, &signed.secret), "x").unwrap_err().kind(), Kind::Forbidden, "{engine}");
        assert_eq!(reset(&owner, "  ").unwrap_err().attribute(), Some("reason"), "{engine}");
        assert!(reset(&owner, "seen in person").unwrap().sessions_closed >= 1, "{engine}");
        let auth = Authenticator::new(house.gate.clone());
        assert_eq!(auth.recognise(&signed.secret, None).unwrap_err().code(), "session.over", "{engine}");
        // What was half signed in is void as well.
        wait(&house);
        wait(&house);
        let error = confirm(&house, &nobody, &half, &shown(&house, &made.secret, 0)).unwrap_err();
        assert_eq!(error.code(), "session.sign_in_over", "{engine}");
        assert!(open(&house, &nobody).unwrap().signed_in().is_some(), "{engine}");
        assert_eq!(reset(&owner, "again").unwrap_err().code(), "factor.none", "{engine}");
        let told: Vec<String> = house
            .gate
            .db()
            .read(|conn| conn.query("SELECT payload FROM jobs WHERE kind = 'access.mail'", &[], |row| row.get(0)))
            .unwrap();
        assert!(told.iter().any(|errand| errand.contains("seen in person") && errand.contains(&lost.to_string())));
    }
}

#[test]
fn a_factor_that_waits_too_long_for_its_code_is_none() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let lost = mei(&house, &["member"]);
    let cx = signed_in(&house);
    let made = house.gate.run(&cx, &ENROL, EnrolFactor::default()).unwrap();
    house.gate.clock().advance(Duration::from_secs(limits::ENROLMENT_SECONDS.unsigned_abs()));
    let code = Secret::new(shown(&house, &made.secret, 0));
    let late = house.gate.run(&cx, &ACTIVATE, ActivateFactor { factor: made.factor.id, code }).unwrap_err();
    assert_eq!(late.code(), "factor.not_found");
    crate::sweep(&house.gate).unwrap();
    let kept: i64 = house
        .gate
        .db()
        .read(move |conn| {
            let sql = "SELECT COUNT(*) FROM factors WHERE account = $1";
            conn.query_one(sql, db::args![lost], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(kept, 0);
}
