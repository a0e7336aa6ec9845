use std::time::Duration;

use base::{Kind, limits};
use gate::Cx;
use proptest::prelude::*;

use super::actions::{CHANGE, ChangePassword, REQUEST_RESET, RESET, RequestReset, ResetPassword};
use super::{attempts, hashing, strength};
use crate::mail::links;
use crate::sessions::actions::{OPEN, OpenSession};
use crate::testing::{House, PASSWORD};
use crate::{Authenticator, Secret};

const NEW: &str = "nine kettles under the bridge";

#[test]
fn what_is_guessed_first_is_refused() {
    let about = ["mei-hua.lin@example.com", "Lin Mei-hua", "明水設計"];
    for (bad, code) in [
        ("short", "password.too_short"),
        ("elevenchars", "password.too_short"),
        (&*"x".repeat(257), "password.too_long"),
        ("aaaaaaaaaaaaaaaa", "password.guessable"),
        ("abcabcabcabcabc", "password.guessable"),
        ("123456789012", "password.guessable"),
        ("abcdefghijklmnop", "password.guessable"),
        ("qwertyuiop1234567", "password.guessable"),
        ("password1234", "password.guessable"),
        ("P4ssw0rd!2024", "password.guessable"),
        ("Welcome2025!!", "password.guessable"),
        ("yunweiadmin2026", "password.guessable"),
        ("Yunwei-Password-1", "password.guessable"),
        ("linmeihua19880101", "password.guessable"),
        ("mei-hua.lin@example.com", "password.guessable"),
        ("iloveyoubaby99", "password.guessable"),
        ("correcthorsebatterystaple", "password.guessable"),
        ("TaipeiTaiwan2026", "password.guessable"),
    ] {
        assert_eq!(strength::check(bad, &about).unwrap_err().code(), code, "{bad}");
    }
    for good in
        [PASSWORD, NEW, "xK9$mQ2v!wLp", "山上的小屋住著三隻愛唱歌的貓", "tangerine velvet orbit", "aardvark9lemon2zinc"]
    {
        strength::check(good, &about).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
}

proptest! {
    #[test]
    fn no_input_breaks_the_check(text in "\\PC{0,300}", about in "\\PC{0,30}") {
        let _ = strength::check(&text, &[&about]);
    }
}

#[test]
fn waits_double_up_to_a_bound() {
    let waits: Vec<i64> = (1..=20).map(|n| attempts::wait_seconds(n, 5, limits::ATTEMPTS_WAIT_SECONDS_MAX)).collect();
    assert_eq!(waits[..8], [0, 0, 0, 0, 1, 2, 4, 8]);
    assert_eq!(waits.last(), Some(&limits::ATTEMPTS_WAIT_SECONDS_MAX));
}

#[test]
fn a_hash_is_argon2id_with_its_own_salt_and_opens_for_its_password_alone() {
    let (one, two) = (hashing::hash(PASSWORD).unwrap(), hashing::hash(PASSWORD).unwrap());
    assert!(one.starts_with("$argon2id$v=19$m=") && one != two);
    assert!(hashing::verify(PASSWORD, Some(&one)).unwrap() && hashing::verify(PASSWORD, Some(&two)).unwrap());
    assert!(!hashing::verify("seven lamps over the harbouR", Some(&one)).unwrap());
    assert!(!hashing::verify(PASSWORD, None).unwrap());
    assert!(!hashing::verify(&format!("{PASSWORD}{}", "x".repeat(1_000_000)), Some(&one)).unwrap());
    // Typed on another keyboard, the same characters may come composed differently.
    let composed = hashing::hash("caf\u{e9} under the lanterns").unwrap();
    assert!(hashing::verify("cafe\u{301} under the lanterns", Some(&composed)).unwrap());
}

fn sign_in(house: &House, email: &str, password: &str) -> base::Result<crate::sessions::actions::SignedIn> {
    let input = OpenSession { email: email.to_owned(), password: Secret::new(password), user_agent: String::new() };
    OPEN.run(&house.gate, &Cx::nobody(house.operator), input).map(|opened| opened.signed_in().unwrap())
}

#[test]
fn changing_the_password_wants_the_present_one_and_ends_other_sessions() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let auth = Authenticator::new(house.gate.clone());
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        house.set_password(mei);
        let (here, elsewhere) = (
            sign_in(&house, "mei@example.com", PASSWORD).unwrap(),
            sign_in(&house, "mei@example.com", PASSWORD).unwrap(),
        );
        let cx = auth.recognise(&here.secret, None).unwrap().cx;
        let change = |current: Option<&str>, new: &str| {
            let input = ChangePassword { current: current.map(Secret::new), password: Secret::new(new) };
            CHANGE.run(&house.gate, &cx, input)
        };
        assert_eq!(change(None, NEW).unwrap_err().attribute(), Some("current"));
        assert_eq!(change(Some("wrong wrong wrong"), NEW).unwrap_err().attribute(), Some("current"));
        assert_eq!(change(Some(PASSWORD), "password1234").unwrap_err().attribute(), Some("password"));
        assert_eq!(change(Some(PASSWORD), NEW).unwrap().sessions_closed, 1);
        assert!(auth.recognise(&here.secret, None).is_ok());
        assert!(auth.recognise(&elsewhere.secret, None).is_err());
        assert!(sign_in(&house, "mei@example.com", PASSWORD).is_err());
        assert!(sign_in(&house, "mei@example.com", NEW).is_ok());
        // Who holds a session cannot try the present password without end.
        let codes: Vec<String> =
            (0..10).map(|_| change(Some("guess guess guess"), NEW).unwrap_err().code().to_owned()).collect();
        assert_eq!(codes.last().unwrap(), "attempts.too_many");
        let nobody = ChangePassword { current: None, password: Secret::new(NEW) };
        assert_eq!(
            CHANGE.run(&house.gate, &Cx::nobody(house.operator), nobody).unwrap_err().kind(),
            Kind::Unauthenticated
        );
    }
}

#[test]
fn a_first_password_is_set_in_a_session_that_has_shown_lately_whose_it_is() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let mei = house.person("mei@example.com", house.first, &["viewer"]);
    let cx = house.cx(mei, None).unwrap();
    let first = || {
        let input = ChangePassword { current: None, password: Secret::new(NEW) };
        CHANGE.run(&house.gate, &cx, input)
    };
    house.gate.clock().advance(Duration::from_secs(601));
    assert_eq!(first().unwrap_err().code(), "session.step_up", "it may be anybody who sits there");
    house.gate.clock().advance(Duration::from_secs(1));
    let shown = house.cx(mei, None).unwrap();
    let input = ChangePassword { current: None, password: Secret::new(NEW) };
    assert!(CHANGE.run(&house.gate, &shown, input).is_ok());
}

#[test]
fn asking_for_a_link_leaves_the_same_traces_for_known_and_unknown() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        house.person("mei@example.com", house.first, &["viewer"]);
        let nobody = Cx::nobody(house.operator);
        let ask = |email: &str| REQUEST_RESET.run(&house.gate, &nobody, RequestReset { email: email.to_owned() });
        assert_eq!(ask("mei@example.com").unwrap(), ask("who@example.com").unwrap());
        let jobs: Vec<String> =
            house.gate.db().read(|c| c.query("SELECT payload FROM jobs", &[], |r| r.get(0))).unwrap();
        assert_eq!(jobs.len(), 2);
        assert!(jobs.iter().all(|job| job.len() == jobs[0].len() && !job.contains('@')));
        assert_eq!(ask("not an address").unwrap_err().attribute(), Some("email"));
        let codes: Vec<bool> = (0..10).map(|_| ask("who@example.com").is_err()).collect();
        assert!(codes.last().unwrap());
    }
}

#[test]
fn a_link_sets_a_password_once_and_ends_all_sessions() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let nobody = Cx::nobody(house.operator);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        house.set_password(mei);
        let session = sign_in(&house, "mei@example.com", PASSWORD).unwrap();
        let (link, second) = (house.link(links::RESET, mei.to_string()), house.link(links::RESET, mei.to_string()));
        let reset = |link: &Secret, password: &str| {
            RESET.run(&house.gate, &nobody, ResetPassword { token: link.clone(), password: Secret::new(password) })
        };
        assert_eq!(reset(&link, "password1234").unwrap_err().code(), "password.guessable");
        let done: Vec<bool> = std::thread::scope(|s| {
            let tries: Vec<_> =
                [NEW, "eleven drums behind the wall"].map(|new| s.spawn(|| reset(&link, new).is_ok())).into();
            tries.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(done.iter().filter(|ok| **ok).count(), 1, "{engine}");
        for used in [&link, &second, &Secret::new("ywl_x"), &Secret::new("x".repeat(100_000))] {
            assert_eq!(reset(used, NEW).unwrap_err().code(), "link.void");
        }
        assert!(Authenticator::new(house.gate.clone()).recognise(&session.secret, None).is_err());
        assert!(sign_in(&house, "mei@example.com", PASSWORD).is_err());
        let late = house.link(links::RESET, mei.to_string());
        house.gate.clock().advance(Duration::from_secs(3_600));
        assert_eq!(reset(&late, NEW).unwrap_err().code(), "link.void");
        // An invitation's link is no link to somebody's password.
        let other = house.link(links::INVITATION, mei.to_string());
        assert_eq!(reset(&other, NEW).unwrap_err().code(), "link.void");
    }
}
