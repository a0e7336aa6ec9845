//! Sign-in rules: how they meet, and what they hold people to.

use std::time::Duration;

use base::{Kind, limits};
use gate::Cx;
use proptest::prelude::*;

use super::actions::{GET, RulesOf, UPDATE, UpdateRules};
use super::{InForce, Rules};
use crate::factors::actions::{ENROL, EnrolFactor};
use crate::passwords::actions::{CHANGE, ChangePassword};
use crate::roles::actions::Nothing;
use crate::sessions::actions::{DESCRIBE, OPEN, OpenSession};
use crate::tenants::actions::TenantRef;
use crate::testing::{House, PASSWORD};
use crate::{Authenticator, Secret};

fn any_rules() -> impl Strategy<Value = Rules> {
    let roles = prop::sample::subsequence(vec!["owner".to_owned(), "member".to_owned(), "viewer".to_owned()], 0..=3);
    let seconds = || prop::option::of(60..limits::SESSION_SECONDS_MAX);
    let days = prop::option::of(1..=limits::TOKEN_DAYS_MAX);
    (roles, seconds(), seconds(), 0..=limits::PASSWORD_HISTORY_MAX, days).prop_map(
        |(factor_roles, idle_seconds, session_seconds, password_history, token_days)| Rules {
            factor_roles,
            idle_seconds,
            session_seconds,
            password_history,
            token_days,
            provider_factors: None,
        },
    )
}

proptest! {
    #[test]
    fn more_rules_never_make_anything_laxer_and_their_order_is_nothing(all in prop::collection::vec(any_rules(), 0..6)) {
        let meet = |rules: &mut dyn Iterator<Item = &Rules>| rules.fold(InForce::default(), |held, one| held.meet(one));
        let mut before = InForce::default();
        for rules in &all {
            let now = before.clone().meet(rules);
            prop_assert!(now.idle_seconds <= before.idle_seconds && now.session_seconds <= before.session_seconds);
            prop_assert!(now.password_history >= before.password_history && now.token_days <= before.token_days);
            prop_assert!(before.factor_roles.iter().all(|role| now.factor_roles.contains(role)));
            before = now;
        }
        prop_assert_eq!(meet(&mut all.iter()), meet(&mut all.iter().rev()));
    }
}

fn set(house: &House, cx: &Cx, rules: UpdateRules) -> base::Result<InForce> {
    house.gate.run(cx, &UPDATE, rules).map(|set| set.in_force)
}

fn sign_in(house: &House, email: &str) -> String {
    let input =
        OpenSession { email: email.to_owned(), password: Secret::new(PASSWORD), user_agent: "Firefox".to_owned() };
    OPEN.run(&house.gate, &Cx::nobody(house.operator), input).unwrap().signed_in().unwrap().secret
}

#[test]
fn who_must_have_a_factor_and_has_none_can_only_enrol_one() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let clerk = house.person("clerk@example.com", house.department, &["member"]);
        house.set_password(clerk);
        let secret = sign_in(&house, "clerk@example.com");
        let auth = Authenticator::new(house.gate.clone());
        let cx = || auth.recognise(&secret, None).unwrap().cx;
        let look = |cx: &Cx| house.gate.run(cx, &crate::tenants::actions::GET, TenantRef { tenant: house.department });
        assert!(look(&cx()).is_ok(), "{engine}");
        let wanted = UpdateRules { factor_roles: Some(vec!["member".to_owned()]), ..Default::default() };
        set(&house, &owner, wanted).unwrap();
        // The rule of the customer holds in its department, and for sessions that were open before it.
        assert_eq!(look(&cx()).unwrap_err().code(), "factor.required", "{engine}");
        assert!(house.gate.run(&cx(), &DESCRIBE, Nothing {}).is_ok(), "{engine}");
        assert!(house.gate.run(&cx(), &ENROL, EnrolFactor::default()).is_ok(), "{engine}");
        // Another role does not meet it, and a neighbour does not.
        let viewer = house.person("viewer@example.com", house.first, &["viewer"]);
        house.set_password(viewer);
        let theirs = auth.recognise(&sign_in(&house, "viewer@example.com"), None).unwrap().cx;
        assert!(!theirs.proof().unwrap().must_enrol, "{engine}");
        let neighbour = house.with_role("owner", house.second);
        let other = UpdateRules { tenant: Some(house.first), ..Default::default() };
        assert_eq!(set(&house, &neighbour, other).unwrap_err().kind(), Kind::NotFound, "{engine}");
    }
}

#[test]
fn the_operator_can_ask_it_of_its_customers_people() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let administrator = house.with_role("administrator", house.first);
    let wanted = UpdateRules { factor_roles: Some(vec!["owner".to_owned()]), ..Default::default() };
    set(&house, &administrator, wanted.clone()).unwrap();
    let owner = house.person("owner@example.com", house.second, &["owner"]);
    house.set_password(owner);
    let auth = Authenticator::new(house.gate.clone());
    let cx = auth.recognise(&sign_in(&house, "owner@example.com"), None).unwrap().cx;
    assert!(cx.proof().unwrap().must_enrol);
    // And sees that it comes from above.
    let own = house.with_role("owner", house.first);
    let found = house.gate.run(&own, &GET, RulesOf::default()).unwrap();
    assert!(found.own.factor_roles.is_empty() && found.in_force.factor_roles == ["owner"]);
    // A customer asks nothing of the operator's roles.
    let odd = UpdateRules { factor_roles: Some(vec!["administrator".to_owned()]), ..Default::default() };
    assert_eq!(set(&house, &own, odd).unwrap_err().code(), "role.unknown");
}

#[test]
fn the_shorter_limits_end_sessions_and_none_is_longer_than_the_platforms() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        house.set_password(mei);
        let auth = Authenticator::new(house.gate.clone());
        let secret = sign_in(&house, "mei@example.com");
        for (idle, session) in [
            (Some(59), None),
            (Some(limits::SESSION_IDLE_SECONDS + 1), None),
            (None, Some(10)),
            (None, Some(limits::SESSION_SECONDS_MAX + 1)),
        ] {
            let wanted = UpdateRules { idle_seconds: idle, session_seconds: session, ..Default::default() };
            assert_eq!(set(&house, &owner, wanted).unwrap_err().code(), "sign_in_rules.bounds", "{engine}");
        }
        let wanted = UpdateRules { idle_seconds: Some(300), session_seconds: Some(1_200), ..Default::default() };
        assert_eq!(set(&house, &owner, wanted).unwrap().idle_seconds, 300, "{engine}");
        // Used every four minutes it lives on, until the twenty are over.
        for _ in 0..4 {
            assert!(auth.recognise(&secret, None).is_ok(), "{engine}");
            // The use is written down beside the request, a moment later.
            let now = house.gate.now();
            let noted = move |conn: &mut db::Conn<'_>| {
                let sql = "SELECT COUNT(*) FROM sessions WHERE seen_at = $1";
                conn.query_one(sql, db::args![now], |row| row.get::<i64>(0))
            };
            let seen = (0..500).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                house.gate.db().read(noted).unwrap() == 1
            });
            assert!(seen, "{engine}");
            house.gate.clock().advance(Duration::from_secs(240));
        }
        assert!(auth.recognise(&secret, None).is_ok(), "{engine}");
        house.gate.clock().advance(Duration::from_secs(241));
        assert_eq!(auth.recognise(&secret, None).unwrap_err().code(), "session.over", "{engine}");
        let secret = sign_in(&house, "mei@example.com");
        house.gate.clock().advance(Duration::from_secs(301));
        assert_eq!(auth.recognise(&secret, None).unwrap_err().code(), "session.over", "{engine}");
    }
}

#[test]
fn the_last_passwords_are_not_taken_again() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        house.set_password(mei);
        let cx = house.cx(mei, None).unwrap();
        let change = |from: &str, to: &str| {
            house.gate.clock().advance(Duration::from_secs(1));
            let input = ChangePassword { current: Some(Secret::new(from)), password: Secret::new(to) };
            CHANGE.run(&house.gate, &cx, input)
        };
        let wanted = UpdateRules { password_history: Some(3), ..Default::default() };
        set(&house, &owner, wanted).unwrap();
        let (a, b, c) = (PASSWORD, "eleven drums behind the wall", "nine kettles under the stairs");
        let d = "four ladders beside the orchard";
        assert_eq!(change(a, a).unwrap_err().code(), "password.used_before", "{engine}");
        change(a, b).unwrap();
        change(b, c).unwrap();
        for old in [a, b, c] {
            assert_eq!(change(c, old).unwrap_err().code(), "password.used_before", "{engine} {old}");
        }
        change(c, d).unwrap();
        // Three later it may come back.
        change(d, a).unwrap();
    }
}

#[test]
fn a_factor_at_a_provider_counts_only_where_nobody_says_that_it_does_not() {
    let says = |provider_factors| Rules { provider_factors, ..Rules::default() };
    let meet =
        |all: &[Option<bool>]| all.iter().fold(InForce::default(), |held, one| held.meet(&says(*one))).provider_factors;
    assert_eq!(meet(&[None, None]), None);
    assert_eq!(meet(&[None, Some(true)]), Some(true));
    assert_eq!(meet(&[Some(true), Some(false)]), Some(false));
    assert_eq!(meet(&[Some(false), None, Some(true)]), Some(false));
}
