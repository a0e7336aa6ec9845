use std::sync::OnceLock;
use std::time::Duration;

use base::Kind;
use base::id::TenantId;
use base::time::Timestamp;
use db::args;
use db::records::Scope;
use gate::{Cx, Relation};
use proptest::prelude::*;
use web::Authenticator as _;

use super::authenticator::{CSRF_HEADER, TENANT_HEADER};
use crate::sessions::actions::{CLOSE, CloseSession, OPEN, OpenSession, SignedIn};
use crate::tenants::actions::{RESUME, SUSPEND, TenantRef};
use crate::testing::{House, PASSWORD};
use crate::tokens::actions::{CREATE, CreateToken, NewToken, REVOKE, TokenRef};
use crate::{Authenticator, Secret, roles, tenants};

pub(crate) fn token(house: &House, cx: &Cx, limited: Option<&[&str]>) -> NewToken {
    let roles = limited.map(|roles| roles.iter().map(|r| (*r).to_owned()).collect());
    house
        .gate
        .run(
            cx,
            &CREATE,
            CreateToken { name: "ci".to_owned(), days: Some(30), roles, sensitive: true, ..Default::default() },
        )
        .unwrap()
}

fn signed_in(house: &House, email: &str) -> SignedIn {
    let input =
        OpenSession { email: email.to_owned(), password: Secret::new(PASSWORD), user_agent: "Firefox".to_owned() };
    OPEN.run(&house.gate, &Cx::nobody(house.operator), input).unwrap().signed_in().unwrap()
}

fn own(cx: &Cx) -> Vec<TenantId> {
    match cx.scope() {
        Scope::All => panic!("sees everything"),
        Scope::Tenants { own, .. } => own.clone(),
    }
}

#[test]
fn everybody_sees_as_far_as_they_should() {
    for (_, db, _keep) in db::testing::databases() {
        let h = House::new(db);
        let owner = h.with_role("owner", h.first);
        assert_eq!((own(&owner), owner.tenant()), (vec![h.first, h.department], h.first));
        let relations =
            [h.first, h.department, h.operator, h.second, TenantId(99)].map(|tenant| owner.relation(tenant));
        use Relation::{Above, Below, Elsewhere, Own};
        assert_eq!(relations, [Own, Below, Above, Elsewhere, Elsewhere]);

        // In the department as well, and from there not back up.
        let there = h.cx(owner.account().unwrap(), Some(h.department)).unwrap();
        assert!(there.has_role("owner"));
        assert_eq!((own(&there), there.relation(h.first)), (vec![h.department], Above));
        let local = h.person("local@example.com", h.department, &["owner"]);
        assert_eq!(h.cx(local, Some(h.first)).unwrap_err().code(), "tenant.no_role");

        let clerk = h.with_role("billing-clerk", h.first);
        assert_eq!(own(&clerk), [h.operator]);
        assert_eq!(h.cx(clerk.account().unwrap(), Some(h.first)).unwrap_err().code(), "tenant.no_role");
        let staff = h.person("staff@example.com", h.operator, &["operations", "support"]);
        assert!(matches!(h.cx(staff, None).unwrap().scope(), Scope::All));
        let inside = h.cx(staff, Some(h.first)).unwrap();
        assert!(inside.has_role("operations") && inside.has_role("support"));
        assert_eq!((own(&inside), inside.relation(h.second)), (vec![h.first, h.department], Elsewhere));
    }
}

#[test]
fn a_tenant_that_is_not_there_and_one_of_others_are_told_alike() {
    let (_, db, _keep) = db::testing::sqlite();
    let h = House::new(db);
    let owner = h.with_role("owner", h.first).account().unwrap();
    let told = [h.second, h.operator, TenantId(99)].map(|wanted| h.cx(owner, Some(wanted)).unwrap_err().to_string());
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_suspended_tenant_keeps_its_people_out_and_all_below() {
    for (_, db, _keep) in db::testing::databases() {
        let h = House::new(db);
        let auth = Authenticator::new(h.gate.clone());
        let administrator = h.with_role("administrator", h.first);
        let staff = h.person("staff@example.com", h.operator, &["support"]);
        let member = h.person("member@example.com", h.department, &["member"]);
        let secret = token(&h, &h.cx(member, None).unwrap(), None).secret;
        assert!(auth.recognise(&secret, None).is_ok());
        h.gate.run(&administrator, &SUSPEND, TenantRef { tenant: h.first }).unwrap();
        assert_eq!(auth.recognise(&secret, None).unwrap_err().code(), "tenant.suspended");
        assert!(h.cx(staff, Some(h.department)).is_ok());
        h.gate.run(&administrator, &RESUME, TenantRef { tenant: h.first }).unwrap();
        assert!(auth.recognise(&secret, None).is_ok());
    }
}

#[test]
fn a_revoked_token_stops_at_once_here_and_soon_elsewhere() {
    for (engine, db, _keep) in db::testing::databases() {
        let h = House::new(db);
        let auth = Authenticator::new(h.gate.clone());
        let owner = h.with_role("owner", h.first);
        let (one, two) = (token(&h, &owner, None), token(&h, &owner, None));
        for made in [&one, &two] {
            assert_eq!(
                auth.recognise(&made.secret, None).unwrap().cx.session(),
                Some(made.token.id.to_string().as_str())
            );
        }
        h.gate.run(&owner, &REVOKE, TokenRef { token: one.token.id }).unwrap();
        assert_eq!(auth.recognise(&one.secret, None).unwrap_err().code(), "token.revoked", "{engine}");
        // As another server of the same database does it: this one hears within its bound.
        let id = two.token.id;
        auth.recognise(&two.secret, None).unwrap();
        h.gate.db().write(move |c| c.execute("UPDATE api_tokens SET revoked_at = 1 WHERE id = $1", args![id])).unwrap();
        let bound = u64::try_from(base::limits::STANDING_AGE_MS_MAX).unwrap();
        h.gate.clock().advance(Duration::from_millis(bound));
        assert_eq!(auth.recognise(&two.secret, None).unwrap_err().code(), "token.revoked", "{engine}");
    }
}

#[test]
fn an_expired_token_is_told_so_and_rubbish_is_unknown() {
    let (_, db, _keep) = db::testing::sqlite();
    let h = House::new(db);
    let auth = Authenticator::new(h.gate.clone());
    let made = token(&h, &h.with_role("owner", h.first), None);
    auth.recognise(&made.secret, None).unwrap();
    h.gate.clock().advance(Duration::from_secs(30 * 24 * 3_600));
    assert_eq!(auth.recognise(&made.secret, None).unwrap_err().code(), "token.expired");
    let mut other = made.secret.clone();
    other.replace_range(10..12, "AA");
    let huge = "x".repeat(100_000);
    for rubbish in ["", "ywt_", &other, &huge, "ywt_\0", &made.token.prefix, &made.token.id.to_string()] {
        let error = auth.recognise(rubbish, None).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "token.unknown"));
    }
}

#[test]
fn roles_granted_and_taken_are_seen_by_the_next_request() {
    let (_, db, _keep) = db::testing::sqlite();
    let h = House::new(db);
    let auth = Authenticator::new(h.gate.clone());
    let owner = h.with_role("owner", h.first);
    let member = h.person("m@example.com", h.first, &["viewer"]);
    let secret = token(&h, &h.cx(member, None).unwrap(), None).secret;
    let input = |role: &str| roles::actions::GrantRole { account: member, tenant: None, role: role.to_owned() };
    assert!(!auth.recognise(&secret, None).unwrap().cx.has_role("member"));
    h.gate.run(&owner, &roles::actions::GRANT, input("member")).unwrap();
    assert!(auth.recognise(&secret, None).unwrap().cx.has_role("member"));
    h.gate.run(&owner, &roles::actions::REVOKE, input("member")).unwrap();
    h.gate.run(&owner, &roles::actions::REVOKE, input("viewer")).unwrap();
    assert_eq!(auth.recognise(&secret, None).unwrap_err().code(), "tenant.no_role");
}

#[test]
fn a_token_acts_where_it_was_made_and_below_with_its_own_roles_alone() {
    let (_, db, _keep) = db::testing::sqlite();
    let h = House::new(db);
    let auth = Authenticator::new(h.gate.clone());
    let staff = h.person("s@example.com", h.operator, &["operations", "support"]);
    let staff = h.cx(staff, None).unwrap();
    let (wide, narrow) = (token(&h, &staff, None).secret, token(&h, &staff, Some(&["operations"])).secret);
    assert!(auth.recognise(&wide, Some(h.first)).unwrap().cx.has_role("operations"));
    // Without `support` on the token, no way inside, whatever the account holds.
    assert_eq!(auth.recognise(&narrow, Some(h.first)).unwrap_err().code(), "tenant.no_role");
    assert!(matches!(auth.recognise(&narrow, None).unwrap().cx.scope(), Scope::Tenants { .. }));

    let owner = h.with_role("owner", h.first);
    let below = token(&h, &h.cx(owner.account().unwrap(), Some(h.department)).unwrap(), None).secret;
    assert_eq!(auth.recognise(&below, None).unwrap().cx.tenant(), h.department);
    assert_eq!(auth.recognise(&below, Some(h.first)).unwrap_err().code(), "tenant.no_role");
    let above = token(&h, &owner, None).secret;
    assert_eq!(auth.recognise(&above, Some(h.department)).unwrap().cx.tenant(), h.department);
    assert_eq!(auth.recognise(&above, Some(h.second)).unwrap_err().code(), "tenant.no_role");
}

#[test]
fn the_audit_log_says_in_whose_tenant_staff_acted() {
    let (_, db, _keep) = db::testing::sqlite();
    let h = House::new(db);
    let staff = h.person("s@example.com", h.operator, &["administrator", "support"]);
    let inside = h.cx(staff, Some(h.first)).unwrap();
    let input =
        tenants::actions::UpdateTenant { tenant: h.first, name: Some("New".to_owned()), locale: None, time_zone: None };
    h.gate.run(&inside, &tenants::actions::UPDATE, input).unwrap();
    assert_eq!(h.audit().last().unwrap(), &("tenant.update".to_owned(), h.first, "done".to_owned()));
}

/// What the HTTP border makes of a request with these headers.
fn at_the_door(auth: &Authenticator, method: &str, headers: &[(&str, &str)]) -> base::Result<Cx> {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::try_from(*name).unwrap(), http::HeaderValue::from_str(value).unwrap());
    }
    let method: http::Method = method.parse().unwrap();
    let asking =
        web::Asking { method: &method, path: "/", headers: &map, address: None, secure: false, request: "req_1" };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(auth.authenticate(asking))
}

#[test]
fn the_door_takes_tokens_and_cookies_and_refuses_other_sites() {
    for (engine, db, _keep) in db::testing::databases() {
        let h = House::new(db);
        let auth = Authenticator::new(h.gate.clone());
        let member = h.person("mei@example.com", h.first, &["member"]);
        h.set_password(member);
        let session = signed_in(&h, "mei@example.com");
        let cookie = format!("a=b; yunwei_session={}", session.secret);
        let bearer = format!("Bearer {}", token(&h, &h.cx(member, None).unwrap(), None).secret);
        let department = h.department.to_string();
        let ok = |method: &str, headers: &[(&str, &str)]| at_the_door(&auth, method, headers).unwrap().account();
        assert_eq!(ok("GET", &[]), None);
        assert_eq!(ok("GET", &[("authorization", &bearer)]), Some(member), "{engine}");
        assert_eq!(ok("GET", &[("cookie", &cookie)]), Some(member), "{engine}");
        let with_csrf = [("cookie", cookie.as_str()), (CSRF_HEADER, session.csrf.as_str())];
        assert_eq!(ok("POST", &with_csrf), Some(member));
        let in_department = at_the_door(&auth, "GET", &[("cookie", &cookie), (TENANT_HEADER, &department)]).unwrap();
        assert_eq!(in_department.tenant(), h.department);
        let refused =
            |method: &str, headers: &[(&str, &str)]| at_the_door(&auth, method, headers).unwrap_err().code().to_owned();
        assert_eq!(refused("POST", &[("cookie", &cookie)]), "session.csrf");
        assert_eq!(refused("POST", &[("cookie", &cookie), (CSRF_HEADER, "wrong")]), "session.csrf");
        let cross = [with_csrf[0], with_csrf[1], ("sec-fetch-site", "cross-site")];
        assert_eq!(refused("POST", &cross), "session.csrf");
        assert_eq!(refused("GET", &[("authorization", "Bearer wrong")]), "token.unknown");
        assert_eq!(refused("GET", &[("authorization", &bearer), (TENANT_HEADER, "acme")]), "id.malformed");
        let second = h.second.to_string();
        assert_eq!(refused("GET", &[("authorization", &bearer), (TENANT_HEADER, &second)]), "tenant.no_role");
        // A session ended elsewhere shows nothing any more.
        let cx = at_the_door(&auth, "GET", &[("cookie", &cookie)]).unwrap();
        h.gate.run(&cx, &CLOSE, CloseSession::default()).unwrap();
        assert_eq!(ok("GET", &[("cookie", &cookie)]), None, "{engine}");
    }
}

/// One house with a tree of 25 tenants for all cases of the properties below.
fn forest() -> &'static (House, Vec<Vec<usize>>) {
    static FOREST: OnceLock<(House, Vec<Vec<usize>>)> = OnceLock::new();
    FOREST.get_or_init(|| {
        let (_, db, keep) = db::testing::sqlite();
        std::mem::forget(keep);
        let h = House::new(db);
        // Node 0 is the operator; each other's parent is an earlier one, three levels at the most.
        let mut paths: Vec<Vec<usize>> = vec![vec![0]];
        for n in 1..25usize {
            let parent = if n < 6 { 0 } else { 1 + (n * 7) % (n - 1) };
            let parent = if paths[parent].len() > 4 { 1 } else { parent };
            let mut path = paths[parent].clone();
            path.push(n);
            paths.push(path);
        }
        let rows = paths.clone();
        let now = h.gate.now();
        h.gate
            .db()
            .write(move |c| {
                for path in rows.iter().skip(1) {
                    let ids: Vec<TenantId> = path.iter().map(|n| node(*n)).collect();
                    let parent = ids[ids.len() - 2];
                    let kind =
                        if ids.len() == 2 { tenants::TenantKind::Customer } else { tenants::TenantKind::Department };
                    let (name, locale, time_zone) = ("t".to_owned(), "en".to_owned(), "UTC".to_owned());
                    let state = tenants::TenantState::Active;
                    let id = *ids.last().unwrap();
                    tenants::store::insert(
                        c,
                        &tenants::Tenant {
                            id,
                            parent: Some(parent),
                            kind,
                            name,
                            locale,
                            time_zone,
                            state,
                            created_at: now,
                            path: ids,
                        },
                    )?;
                }
                Ok(())
            })
            .unwrap();
        (h, paths)
    })
}

/// The operator of the house, or one of the forest's own.
fn node(n: usize) -> TenantId {
    if n == 0 { TenantId(1) } else { TenantId(1_000 + n as u128) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn reach_is_what_the_tree_and_the_grants_say(
        grants in prop::collection::vec((0usize..25, 0usize..4), 0..6),
        target in 0usize..25,
    ) {
        let (h, paths) = forest();
        let names = |n: usize, r: usize| if n == 0 { ["support", "operations", "auditor", "administrator"][r] } else { ["owner", "member", "viewer", "billing-viewer"][r] };
        let held: Vec<(usize, &str)> = grants.iter().map(|(n, r)| (*n, names(*n, *r))).collect();
        let email = format!("p{}@example.com", h.gate.ids().next(h.gate.now()));
        let account = h.person(&email, h.operator, &[]);
        let rows = held.clone();
        h.gate.db().write(move |c| {
            for (n, role) in &rows {
                roles::store::insert(c, account, node(*n), role, "test", Timestamp::UNIX_EPOCH)?;
            }
            Ok(())
        }).unwrap();
        let supports = held.contains(&(0, "support"));
        let expected: std::collections::BTreeSet<String> = held.iter()
            .filter(|(n, _)| paths[target].contains(n) && (*n != 0 || target == 0 || supports))
            .map(|(_, role)| (*role).to_owned()).collect();
        match h.cx(account, Some(node(target))) {
            Err(e) => {
                prop_assert!(expected.is_empty());
                prop_assert_eq!(e.code(), "tenant.no_role");
            }
            Ok(cx) => {
                prop_assert!(!expected.is_empty());
                prop_assert_eq!(cx.roles(), &expected);
                for other in 0..25 {
                    let relation = cx.relation(node(other));
                    let right = if other == target { Relation::Own }
                        else if target == 0 { if supports { Relation::Below } else { Relation::Elsewhere } }
                        else if paths[other].contains(&target) { Relation::Below }
                        else if paths[target].contains(&other) { Relation::Above }
                        else { Relation::Elsewhere };
                    prop_assert_eq!(relation, right, "acting in {:?}, looking at {:?}", paths[target], paths[other]);
                }
            }
        }
    }
}
