//! Who can: held against the policies themselves, asked for every account.

use std::collections::{BTreeMap, BTreeSet};

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use db::Class;
use gate::{Actor, Cx, Policies, Relation};
use proptest::prelude::*;

use super::{Duration, code, limits};
use crate::approvals::SET_RULE;
use crate::approvals::settings::SetRule;
use crate::permissions::HOLDERS;
use crate::permissions::holders::{AskHolders, Given, Holder, Holders, SecondPerson, SignIn};
use crate::providers::ProviderId;
use crate::roles::{self, ROLES};
use crate::service_accounts::actions::{CREATE, CREATE_KEY, CreateKey, NewServiceAccount};
use crate::sign_in_rules::actions::{UPDATE as SET_RULES, UpdateRules};
use crate::testing::House;
use crate::tokens::actions::{CREATE as CREATE_TOKEN, CreateToken};

fn ask(action: &str) -> AskHolders {
    AskHolders { action: action.to_owned(), ..Default::default() }
}

/// All of them, page after page.
fn all(house: &House, cx: &Cx, asked: &AskHolders) -> Vec<Holder> {
    let mut found: Vec<Holder> = Vec::new();
    let mut asked = asked.clone();
    loop {
        let page: Holders = house.gate.run(cx, &HOLDERS, asked.clone()).unwrap();
        assert!(page.items.len() <= asked.limit.unwrap_or(limits::PAGE_DEFAULT) as usize);
        found.extend(page.items);
        match page.next {
            Some(next) => asked.after = Some(next),
            None => break,
        }
    }
    assert!(found.windows(2).all(|pair| pair[0].account < pair[1].account), "each once, in order");
    found
}

fn find(found: &[Holder], account: AccountId) -> &Holder {
    found.iter().find(|one| one.account == account).unwrap_or_else(|| panic!("{account} is not among {found:?}"))
}

#[test]
fn each_is_told_with_the_role_and_where_it_was_given() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let local = house.person("local@example.com", house.department, &["owner"]);
        house.person("member@example.com", house.department, &["member"]);
        let staff = house.person("staff@example.com", house.operator, &["administrator", "support"]);
        house.person("clerk@example.com", house.operator, &["administrator"]);
        house.with_role("owner", house.second);
        let by_groups = house.person("groups@example.com", house.department, &[]);
        let provider = ProviderId::fresh(house.gate.ids(), house.gate.now()).to_string();
        let (department, now) = (house.department, house.gate.now());
        let give =
            move |conn: &mut db::Conn<'_>| roles::store::insert(conn, by_groups, department, "owner", &provider, now);
        house.gate.db().write(give).unwrap();
        let asked = AskHolders { tenant: Some(house.department), ..ask("account.suspend") };
        let found = all(&house, &owner, &asked);
        let who: BTreeSet<AccountId> = found.iter().map(|one| one.account).collect();
        assert_eq!(who, [owner.account().unwrap(), local, staff, by_groups].into(), "{engine}");
        let given = |account: AccountId| {
            let through = &find(&found, account).through;
            through.iter().map(|one| (one.role.as_str(), one.given, one.by_provider)).collect::<Vec<_>>()
        };
        assert_eq!(given(local), [("owner", Given::Direct, false)], "{engine}");
        assert_eq!(given(owner.account().unwrap()), [("owner", Given::Above, false)], "{engine}");
        assert_eq!(given(by_groups), [("owner", Given::Direct, true)], "{engine}");
        assert!(given(staff).contains(&("administrator", Given::Support, false)), "{engine} {:?}", given(staff));
        let everybody = house.gate.run(&owner, &HOLDERS, ask("session.describe")).unwrap();
        assert!(everybody.everybody && !everybody.items.is_empty(), "{engine}");
    }
}

#[test]
fn what_is_asked_of_a_sign_in_and_of_a_second_person_is_told() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let me = owner.account().unwrap();
        house.person("other@example.com", house.first, &["owner"]);
        let told = |action: &str| find(&all(&house, &owner, &ask(action)), me).clone();
        assert_eq!((told("role.grant").sign_in, told("role.grant").second_person), (SignIn::Any, SecondPerson::No));
        assert_eq!(told("factor.remove").sign_in, SignIn::Again, "{engine}");
        assert_eq!(told("tenant.create").second_person, SecondPerson::Depends, "{engine}");
        house.gate.clock().advance(Duration::from_secs(limits::APPROVAL_SETTLING_SECONDS.unsigned_abs()));
        let rule = SetRule { actions: vec!["role.grant".to_owned()] };
        house.gate.run(&house.cx(me, None).unwrap(), &SET_RULE, rule).unwrap();
        assert_eq!(told("role.grant").second_person, SecondPerson::Yes, "{engine}");
        let rules = UpdateRules { factor_roles: Some(vec!["owner".to_owned()]), ..Default::default() };
        house.gate.run(&house.cx(me, None).unwrap(), &SET_RULES, rules).unwrap();
        assert_eq!(told("role.grant").sign_in, SignIn::Enrol, "{engine}");
    }
}

#[test]
fn programs_and_tokens_are_told_as_far_as_they_reach() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let (name, roles) = ("deploy".to_owned(), vec!["owner".to_owned()]);
        let program = NewServiceAccount { name, roles, sensitive: true, ..Default::default() };
        let account = house.gate.run(&owner, &CREATE, program).unwrap().account.id;
        let key = |scope: &str, sensitive: bool| {
            let (name, scopes) = (format!("for {scope}"), vec![scope.to_owned()]);
            let networks = vec!["192.0.2.0/24".to_owned()];
            let wanted = CreateKey { account, name, days: None, scopes, networks, sensitive };
            house.gate.run(&owner, &CREATE_KEY, wanted).unwrap().token.id
        };
        let (reads, does, all_of_it) = (key("account:read", true), key("account:write", true), key("*:write", false));
        let limited =
            CreateToken { name: "mine".to_owned(), roles: Some(vec!["owner".to_owned()]), ..Default::default() };
        let mine = house.gate.run(&owner, &CREATE_TOKEN, limited).unwrap().token.id;
        let found = all(&house, &owner, &ask("account.list"));
        let of = |found: &[Holder], who: AccountId| {
            find(found, who).tokens.iter().map(|one| one.id).collect::<BTreeSet<_>>()
        };
        assert_eq!(of(&found, account), [reads, does, all_of_it].into(), "{engine}");
        assert_eq!(of(&found, owner.account().unwrap()), [mine].into(), "{engine}");
        assert_eq!(find(&found, account).tokens[0].networks, ["192.0.2.0/24"], "{engine}");
        // Sensitive: the key that was made for it alone.
        let found = all(&house, &owner, &ask("account.suspend"));
        assert_eq!(of(&found, account), [does].into(), "{engine}");
        assert!(of(&found, owner.account().unwrap()).is_empty(), "{engine}");
        // For people: no program, whatever its roles.
        let found = all(&house, &owner, &ask("token.create"));
        assert!(found.iter().all(|one| one.account != account), "{engine}");
    }
}

#[test]
fn only_those_who_may_read_roles_there_are_told() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let asked = |tenant| AskHolders { tenant: Some(tenant), ..ask("account.list") };
        let owner = house.with_role("owner", house.first);
        assert!(house.gate.run(&owner, &HOLDERS, asked(house.department)).is_ok());
        for other in [house.second, house.operator, TenantId(99)] {
            assert_eq!(code(house.gate.run(&owner, &HOLDERS, asked(other))), "tenant.not_found", "{engine}");
        }
        for lesser in ["member", "viewer", "billing-viewer"] {
            let cx = house.with_role(lesser, house.first);
            assert_eq!(code(house.gate.run(&cx, &HOLDERS, ask("account.list"))), "action.forbidden", "{engine}");
        }
        let nobody = Cx::nobody(house.operator);
        assert_eq!(code(house.gate.run(&nobody, &HOLDERS, ask("account.list"))), "session.required", "{engine}");
    }
}

#[test]
fn names_that_are_none_are_refused_with_those_that_are_near() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let error = house.gate.run(&owner, &HOLDERS, ask("tenant.explode")).unwrap_err();
    assert_eq!((error.code(), error.attribute()), ("permission.unknown_action", Some("action")));
    assert!(error.message().contains("tenant.suspend"), "{}", error.message());
    for wrong in ["", "x", "*", "tenant:read", "雲", "a\u{1b}[2J", &"x".repeat(100_000)] {
        let error = house.gate.run(&owner, &HOLDERS, ask(wrong)).unwrap_err();
        assert!(error.code() == "permission.unknown_action" && error.message().len() < 2_000, "{wrong:.20}");
    }
    for wrong in ["", "svc", "acc_01arz3ndektsv4rrffq69g5fav", &"y".repeat(100_000)] {
        let asked = AskHolders { object: Some(wrong.to_owned()), ..ask("tenant.get") };
        let error = house.gate.run(&owner, &HOLDERS, asked).unwrap_err();
        assert!(error.code() == "permission.unknown_object" && error.message().len() < 500, "{wrong:.20}");
    }
}

#[test]
fn one_answer_looks_at_a_bounded_number_of_accounts() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let many = limits::HOLDERS_LOOKED_AT_MAX + 30;
    for n in 0..many {
        house.person(&format!("v{n}@example.com"), house.first, &["viewer"]);
    }
    let late = house.person("late@example.com", house.first, &["owner"]);
    let first = house.gate.run(&owner, &HOLDERS, ask("account.list")).unwrap();
    assert!(first.next.is_some(), "there are more accounts than one answer looks at");
    let found: BTreeSet<AccountId> = all(&house, &owner, &ask("account.list")).iter().map(|one| one.account).collect();
    assert_eq!(found, [owner.account().unwrap(), late].into());
    let few = AskHolders { limit: Some(7), ..ask("tenant.get") };
    assert_eq!(all(&house, &owner, &few).len(), many + 2, "each once, however the pages are cut");
}

/// A house for all cases, and the policies by themselves.
fn furnished() -> &'static (House, Policies, db::testing::Scratch) {
    static HOUSE: std::sync::OnceLock<(House, Policies, db::testing::Scratch)> = std::sync::OnceLock::new();
    HOUSE.get_or_init(|| {
        let (_, db, keep) = db::testing::sqlite();
        let names: Vec<String> = crate::actions().iter().map(|action| action.name().to_owned()).collect();
        (House::new(db), Policies::parse(&crate::testing::policies(), &names).unwrap(), keep)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn who_can_is_what_the_policies_say_of_each_account(
        people in prop::collection::vec(prop::collection::vec((0usize..4, 0usize..10), 0..4), 1..6),
        action in 0usize..1_000,
        target in 0usize..4,
    ) {
        let (house, policies, _) = furnished();
        let places = [house.operator, house.first, house.department, house.second];
        // Roles as they fall, in places that they are for.
        let mut held: BTreeMap<AccountId, Vec<(TenantId, &'static str)>> = BTreeMap::new();
        for grants in &people {
            let email = format!("p{}@example.com", house.gate.ids().next(house.gate.now()));
            let account = house.person(&email, house.operator, &[]);
            let fitting = grants.iter().map(|(place, role)| (places[*place], &ROLES[*role]));
            let fitting = fitting.filter(|(tenant, role)| role.operator == (*tenant == house.operator));
            let rows: Vec<(TenantId, &'static str)> = fitting.map(|(tenant, role)| (tenant, role.name)).collect();
            held.insert(account, rows.clone());
            let give = move |conn: &mut db::Conn<'_>| {
                rows.iter().try_for_each(|(tenant, role)| {
                    roles::store::insert(conn, account, *tenant, role, "test", Timestamp::UNIX_EPOCH).map(drop)
                })
            };
            house.gate.db().write(give).unwrap();
        }
        let actions = crate::actions();
        let action = actions[action % actions.len()].name();
        let tenant = places[target];
        let looker = Cx::new(Actor::System("test"), tenant, db::records::Scope::All, BTreeSet::new());
        let asked = AskHolders { tenant: Some(tenant), limit: Some(3), ..ask(action) };
        let found: BTreeSet<AccountId> = all(house, &looker, &asked).iter().map(|one| one.account).collect();
        for account in held.keys() {
            // The oracle: where the account stands, and the policies, with nothing of the pages between.
            let may = house.cx(*account, Some(tenant)).is_ok_and(|cx| {
                policies.decide(&cx, action, "tenant", Class::Internal, Relation::Own).is_ok()
            });
            prop_assert_eq!(found.contains(account), may, "{} in {} with {:?}", action, tenant, held[account]);
        }
    }
}
