//! One refusal of every gate, and who may see it.

mod holders;

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::{Error, Kind, limits};
use db::Class;
use db::testing::Scratch;
use gate::{Action, AnyAction, Catalogue, Cx, Effect, Gate};

use super::refusals::{ExplainRefusal, Explanation, Explanations};
use super::{EXPLAIN, Passage, Stage};
use crate::accounts::actions::{self as accounts, AccountRef};
use crate::approvals::SET_RULE;
use crate::approvals::settings::SetRule;
use crate::roles::actions::{GRANT, GrantRole, Nothing};
use crate::service_accounts::actions::{CREATE as CREATE_PROGRAM, CREATE_KEY, CreateKey, NewServiceAccount};
use crate::sessions::actions::ACT_IN;
use crate::sign_in_rules::actions::{UPDATE as SET_RULES, UpdateRules};
use crate::tenants::actions::{self as tenants, ListTenants, TenantRef};
use crate::testing::House;
use crate::tokens::actions::{REVOKE as REVOKE_TOKEN, TokenRef};
use crate::{Authenticator, reach};

/// What one asks about, and gets.
fn why(house: &House, cx: &Cx, id: &str) -> base::Result<Explanations> {
    house.gate.run(cx, &EXPLAIN, ExplainRefusal { id: id.to_owned() })
}

/// Waits for the entry of a refusal, which is written behind its answer.
fn written(house: &House, request: &'static str) {
    let count = move |conn: &mut db::Conn<'_>| {
        let sql = "SELECT COUNT(*) FROM audit_entries WHERE request = $1";
        conn.query_one(sql, db::args![request], |row| row.get::<i64>(0))
    };
    for _ in 0..500 {
        if house.gate.db().read(count).unwrap() > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the refusal of {request} was not recorded");
}

fn one(house: &House, cx: &Cx, request: &'static str) -> Explanation {
    written(house, request);
    let mut found = why(house, cx, request).unwrap().refusals;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn code<T: std::fmt::Debug>(result: base::Result<T>) -> String {
    result.unwrap_err().code().to_owned()
}

/// The gate that refused, with those before it passed and those behind it not reached.
fn at(told: &Explanation) -> Stage {
    let refused = told.gates.iter().position(|one| one.passage == Passage::Refused).unwrap();
    assert!(told.gates[..refused].iter().all(|one| one.passage == Passage::Passed));
    assert!(told.gates[refused + 1..].iter().all(|one| one.passage == Passage::NotReached));
    assert_eq!(told.gates[refused].gate, told.gate);
    assert!(!told.says.is_empty() && !told.next.is_empty());
    told.gate
}

fn named(told: &Explanation) -> Vec<&str> {
    told.roles.iter().map(|one| one.role.as_str()).collect()
}

#[test]
fn a_role_that_is_missing_is_named_with_who_can_grant_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let viewer = house.with_role("viewer", house.first);
        let asking = viewer.for_request("req_1", None);
        assert_eq!(code(house.gate.run(&asking, &accounts::LIST, Default::default())), "action.forbidden");
        let told = one(&house, &viewer, "req_1");
        assert_eq!((at(&told), told.own, told.action.as_str()), (Stage::Policy, true, "account.list"), "{engine}");
        assert_eq!((named(&told), told.object.is_none()), (vec!["owner"], true), "{engine}");
        let who: Vec<AccountId> = told.grantors.iter().map(|one| one.account).collect();
        assert_eq!(who, [owner.account().unwrap()], "{engine}");
        let today = told.today.unwrap();
        assert_eq!((today.allowed, today.gate, today.differs), (false, Some(Stage::Policy), false), "{engine}");

        let role = "owner".to_owned();
        let grant = GrantRole { account: viewer.account().unwrap(), tenant: None, role };
        house.gate.run(&owner, &GRANT, grant).unwrap();
        let told = one(&house, &viewer, "req_1");
        let today = told.today.clone().unwrap();
        assert!(today.allowed && today.differs && told.roles.is_empty(), "{engine} {told:?}");
    }
}

#[test]
fn a_key_out_of_its_scope_or_network_is_told_so() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::with_log(db);
        let owner = house.with_role("owner", house.first);
        let (roles, name) = (vec!["owner".to_owned()], "deploy".to_owned());
        let program = NewServiceAccount { name, roles, ..Default::default() };
        let account = house.gate.run(&owner, &CREATE_PROGRAM, program).unwrap().account.id;
        let key = |networks: &[&str]| CreateKey {
            account,
            name: "ci".to_owned(),
            days: None,
            scopes: vec!["tenant:read".to_owned()],
            networks: networks.iter().map(|one| (*one).to_owned()).collect(),
            sensitive: false,
        };
        let narrow = house.gate.run(&owner, &CREATE_KEY, key(&[])).unwrap();
        let near = house.gate.run(&owner, &CREATE_KEY, key(&["192.0.2.0/24"])).unwrap();
        let auth = Authenticator::new(house.gate.clone());
        let through = |secret: &str, request: &str, from: &str| {
            auth.recognise(secret, None).unwrap().cx.for_request(request, from.parse().ok())
        };
        let cx = through(&narrow.secret, "req_scope", "192.0.2.1");
        assert_eq!(code(house.gate.run(&cx, &accounts::LIST, Default::default())), "token.out_of_scope");
        let cx = through(&near.secret, "req_net", "198.51.100.1");
        assert_eq!(code(house.gate.run(&cx, &tenants::LIST, ListTenants::default())), "token.network");

        // A key asks for itself, whatever its scopes; never for its account's other keys.
        let asking = through(&narrow.secret, "", "192.0.2.1");
        assert_eq!(at(&one(&house, &asking, "req_scope")), Stage::Token, "{engine}");
        written(&house, "req_net");
        assert_eq!(code(why(&house, &asking, "req_net")), "refusal.not_found", "{engine}");
        // Who may read the log sees both, and what it was.
        let told = one(&house, &owner, "req_net");
        assert_eq!((at(&told), told.own, told.actor_name.as_deref()), (Stage::Token, false, Some("deploy")));
        let today = told.today.unwrap();
        assert_eq!((today.allowed, today.code.as_deref()), (false, Some("token.network")), "{engine}");
        house.gate.run(&owner, &REVOKE_TOKEN, TokenRef { token: narrow.token.id }).unwrap();
        let today = one(&house, &owner, "req_scope").today.unwrap();
        assert_eq!((today.gate, today.differs), (Some(Stage::SignIn), true), "{engine} a revoked key is none");
    }
}

#[test]
fn a_stronger_sign_in_and_a_second_person_are_told_with_what_to_do() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.person("owner@example.com", house.first, &["owner"]);
        house.person("other@example.com", house.first, &["owner"]);
        let member = house.person("member@example.com", house.first, &["member"]);
        house.gate.clock().advance(Duration::from_secs(limits::APPROVAL_SETTLING_SECONDS.unsigned_abs()));
        let cx = house.cx(owner, None).unwrap();
        let grant = || GrantRole { account: member, tenant: None, role: "viewer".to_owned() };
        let rule = SetRule { actions: vec!["role.grant".to_owned()] };
        house.gate.run(&cx, &SET_RULE, rule).unwrap();
        assert_eq!(code(house.gate.run(&cx.for_request("req_two", None), &GRANT, grant())), "approval.required");
        let told = one(&house, &cx, "req_two");
        assert_eq!((at(&told), told.today.as_ref().map(|t| t.allowed)), (Stage::SecondPerson, Some(false)), "{engine}");
        assert!(told.next.contains("approval.request") && told.roles.is_empty(), "{engine}");
        assert_eq!(told.object.unwrap().id, member.to_string(), "{engine}");

        // A factor that the rules ask for: nothing else is open, but to ask why.
        let rules = UpdateRules { factor_roles: Some(vec!["member".to_owned()]), ..Default::default() };
        house.gate.run(&cx, &SET_RULES, rules).unwrap();
        let session = house.gate.db().read(move |conn| {
            let standing = reach::standing(conn, member, None, None)?;
            let asked = crate::sign_in_rules::of_account(conn, member)?;
            reach::in_person(
                conn,
                member,
                standing,
                &asked,
                (gate::Strength::Password, base::time::Timestamp::UNIX_EPOCH),
            )
        });
        let unenrolled = session.unwrap();
        let asking = unenrolled.for_request("req_factor", None);
        assert_eq!(code(house.gate.run(&asking, &tenants::LIST, ListTenants::default())), "factor.required");
        let told = one(&house, &unenrolled, "req_factor");
        assert_eq!((at(&told), told.code.as_str()), (Stage::Proof, "factor.required"), "{engine}");
        assert!(told.next.contains("enrol"), "{engine}");
    }
}

#[test]
fn who_is_not_known_and_where_they_may_not_act_is_for_those_who_read_the_log() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::with_log(db);
        let auditor = house.with_role("auditor", house.operator);
        let nobody = Cx::nobody(house.operator).for_request("req_nobody", None);
        assert_eq!(code(house.gate.run(&nobody, &accounts::LIST, Default::default())), "session.required");
        let told = one(&house, &auditor, "req_nobody");
        assert_eq!((at(&told), told.actor.as_str(), told.today.is_none()), (Stage::SignIn, "nobody", true), "{engine}");
        assert_eq!(why(&house, &nobody, "req_nobody").unwrap_err().kind(), Kind::Unauthenticated, "{engine}");

        // No such tenant, and one of others: one answer, and one explanation.
        let owner = house.with_role("owner", house.first).in_session("ses_01arz3ndektsv4rrffq69g5fav");
        let explained = [(house.second, "req_other"), (TenantId(99), "req_none")].map(|(tenant, request)| {
            let asking = owner.for_request(request, None);
            assert_eq!(
                code(ACT_IN.run_json(&house.gate, &asking, serde_json::json!(TenantRef { tenant }))),
                "tenant.no_role"
            );
            let mut told = one(&house, &owner, request);
            assert_eq!((at(&told), told.today.is_none()), (Stage::Tenant, true), "{engine}");
            told.request.clear();
            told
        });
        assert_eq!(explained[0], explained[1], "{engine}");
    }
}

#[test]
fn what_is_hidden_is_explained_like_what_is_not_there_to_whoever_reached_for_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::with_log(db);
        let owner = house.with_role("owner", house.first);
        let theirs = house.person("theirs@example.com", house.second, &["member"]);
        let neighbour = house.with_role("owner", house.second);
        let answers = [(theirs, "req_there"), (AccountId(99), "req_nowhere")].map(|(account, request)| {
            let asking = owner.for_request(request, None);
            assert_eq!(code(house.gate.run(&asking, &accounts::GET, AccountRef { account })), "account.not_found");
            if account == theirs {
                written(&house, request);
            }
            let asking = owner.for_request(format!("{request}_why"), None);
            let error = why(&house, &asking, request).unwrap_err();
            (error.kind(), error.code().to_owned(), error.message().to_owned())
        });
        assert_eq!(answers[0], answers[1], "{engine}");
        assert_eq!(answers[0].0, Kind::NotFound, "{engine}");
        // Those whose it is see that somebody reached for it, and nothing of that somebody.
        let told = one(&house, &neighbour, "req_there");
        assert_eq!((at(&told), told.object.as_ref().map(|o| o.id.clone())), (Stage::Object, Some(theirs.to_string())));
        assert!(told.actor_name.is_none() && told.tenant_name.is_none() && told.today.is_none(), "{engine} {told:?}");
        assert!(told.roles.is_empty() && told.grantors.is_empty(), "{engine}");
    }
}

#[test]
fn others_refusals_are_for_those_who_read_the_log_of_that_tenant() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::with_log(db);
        let owner = house.with_role("owner", house.first);
        let viewer = house.with_role("viewer", house.first);
        let asking = viewer.for_request("req_1", None);
        assert!(house.gate.run(&asking, &accounts::LIST, Default::default()).is_err());
        assert_eq!(one(&house, &owner, "req_1").roles.len(), 1, "{engine}");
        let others = [
            house.with_role("viewer", house.first),
            house.with_role("member", house.first),
            house.with_role("owner", house.second),
            house.with_role("owner", house.department),
            house.with_role("auditor", house.operator),
        ];
        for other in &others {
            assert_eq!(code(why(&house, other, "req_1")), "refusal.not_found", "{engine} {:?}", other.roles());
        }
        let staff = house.person("s@example.com", house.operator, &["auditor", "support"]);
        assert!(why(&house, &house.cx(staff, Some(house.first)).unwrap(), "req_1").is_ok(), "{engine}");
    }
}

#[test]
fn huge_and_malformed_identifiers_find_nothing() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::with_log(db);
    let owner = house.with_role("owner", house.first);
    for wrong in ["", " ", "req_1'; --", "../audit", "雲", "req_\0", &"x".repeat(65), &"9".repeat(100_000)] {
        assert_eq!(code(why(&house, &owner, wrong)), "refusal.id", "{wrong:.40}");
    }
    for absent in ["req_none", "0", "-1", "9223372036854775807", "9223372036854775808", "%"] {
        let found = code(why(&house, &owner, absent));
        assert!(["refusal.not_found", "refusal.id"].contains(&found.as_str()), "{absent}: {found}");
    }
    // What was done is no refusal.
    house
        .gate
        .run(&owner.for_request("req_done", None), &tenants::SUSPEND, TenantRef { tenant: house.department })
        .unwrap();
    written(&house, "req_done");
    assert_eq!(code(why(&house, &owner, "req_done")), "refusal.not_found");
}

static OPEN: Action<Nothing, ()> = Action {
    name: "vault.open",
    summary: "Opens the vault.",
    effect: Effect::Change,
    run: |tx, _| {
        let owner = tx.cx().tenant();
        tx.grant("vault.open", "vault", "vlt_1", owner, Class::Internal, ()).map(drop)
    },
};

static COUNT: Action<Nothing, ()> = Action {
    name: "vault.count",
    summary: "Counts what is in the vault.",
    effect: Effect::Read,
    run: |_, _| Err(Error::forbidden("bill.issuer", "only whoever issues bills counts")),
};

const FORBIDS: &str = r#"
permit (principal is Account, action in [Action::"vault.count", Action::"vault.open"], resource) when { principal.roles.contains("owner") };
@id("no-vault-for-viewers")
@doc("Whoever is a viewer opens no vault.")
forbid (principal is Account, action in [Action::"vault.open"], resource)
when { resource.kind == "vault" && principal.roles.contains("viewer") };
"#;

fn forbidding(db: db::Db) -> House {
    let actions = [&crate::actions()[..], &[&OPEN as &'static dyn AnyAction, &COUNT]].concat();
    let policies = crate::testing::policies() + FORBIDS;
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let catalogue = crate::guarded(Catalogue::default().actions(&actions));
    let (clock, ids) = (base::time::Clock::fixed(start), base::id::Ids::seeded(5));
    House::over(Gate::new(db, clock, ids, &policies, catalogue).unwrap())
}

#[test]
fn a_policy_that_forbids_is_named_with_its_words() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = forbidding(db);
        let person = house.person("both@example.com", house.first, &["owner", "viewer"]);
        let cx = house.cx(person, None).unwrap();
        assert_eq!(code(house.gate.run(&cx.for_request("req_1", None), &OPEN, Nothing {})), "action.forbidden");
        let told = one(&house, &cx, "req_1");
        assert_eq!(
            (at(&told), told.object.as_ref().map(|o| o.id.as_str())),
            (Stage::Object, Some("vlt_1")),
            "{engine}"
        );
        let policy = &told.policies[0];
        assert_eq!(policy.id, "no-vault-for-viewers", "{engine}");
        assert_eq!(policy.words, "Whoever is a viewer opens no vault.", "{engine}");
        assert!(policy.text.contains("forbid") && told.roles.is_empty(), "{engine}: no role helps against it");
    }
}

#[test]
fn an_actions_own_rule_is_told_as_one_and_today_says_nothing_of_it() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = forbidding(db);
    let owner = house.with_role("owner", house.first);
    assert_eq!(code(house.gate.run(&owner.for_request("req_1", None), &COUNT, Nothing {})), "bill.issuer");
    let told = one(&house, &owner, "req_1");
    assert_eq!((at(&told), told.title.as_str()), (Stage::Rule, "Counts what is in the vault."));
    assert!(told.today.is_none() && told.roles.is_empty() && told.policies.is_empty());
}

#[test]
fn no_refusal_is_looked_for_without_its_index() {
    let (_, db, _keep): (_, _, Scratch) = db::testing::sqlite();
    let house = House::new(db);
    let plan = house.gate.db().read(|conn| {
        let sql = "EXPLAIN QUERY PLAN SELECT e.seq FROM audit_entries e WHERE e.request = $1 AND e.outcome <> 'done' ORDER BY e.seq DESC LIMIT 50";
        conn.query(sql, db::args!["req_1"], |row| row.get::<String>(3))
    });
    assert!(plan.unwrap().iter().any(|step| step.contains("audit_refused")));
}
