//! Programs, their keys, and the people behind them.

use std::time::Duration;

use base::id::AccountId;
use base::{Kind, limits};
use gate::Cx;
use serde_json::json;

use super::ServiceAccount;
use super::actions::{
    CREATE, CREATE_KEY, CreateKey, GET, LIST, ListServiceAccounts, NewServiceAccount, ROTATE_KEY, RotateKey,
    ServiceAccountRef, UPDATE, UpdateServiceAccount,
};
use crate::accounts::actions::{self as accounts, AccountRef, ListAccounts, RemoveAccount};
use crate::approvals::settings::SetRule;
use crate::invitations::actions::{INVITE, InviteAccount};
use crate::passwords::actions::{CHANGE, ChangePassword};
use crate::providers::actions::{CREATE as CREATE_PROVIDER, NewProvider};
use crate::roles::actions::{self as roles, GrantRole};
use crate::sessions::actions::{DESCRIBE, OPEN, OpenSession};
use crate::sign_in_rules::actions::{UPDATE as SET_RULES, UpdateRules};
use crate::tenants::actions::{self as tenants, ListTenants};
use crate::testing::House;
use crate::tokens::TokenId;
use crate::tokens::actions::{CREATE as CREATE_TOKEN, CreateToken, LIST as LIST_TOKENS, ListTokens, NewToken};
use crate::tokens::actions::{REVOKE, TokenRef};
use crate::{Authenticator, Secret};

fn program(roles: &[&str]) -> NewServiceAccount {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    NewServiceAccount { name: "deploy".to_owned(), purpose: "Rolls out".to_owned(), roles, ..Default::default() }
}

fn key(account: AccountId, scopes: &[&str]) -> CreateKey {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    CreateKey { account, name: "ci".to_owned(), days: None, scopes, networks: vec![], sensitive: false }
}

fn made(house: &House, by: &Cx, roles: &[&str]) -> ServiceAccount {
    house.gate.run(by, &CREATE, program(roles)).unwrap()
}

fn with_key(house: &House, by: &Cx, roles: &[&str], scopes: &[&str]) -> (AccountId, NewToken) {
    let account = made(house, by, roles).account.id;
    (account, house.gate.run(by, &CREATE_KEY, key(account, scopes)).unwrap())
}

fn through(house: &House, key: &NewToken) -> Cx {
    Authenticator::new(house.gate.clone()).recognise(&key.secret, None).unwrap().cx
}

fn code<T: std::fmt::Debug>(result: base::Result<T>) -> String {
    result.unwrap_err().code().to_owned()
}

#[test]
fn a_key_does_what_its_scopes_and_its_roles_both_allow() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let (account, one) = with_key(&house, &owner, &["owner"], &["account.list", "tenant:read"]);
        let cx = through(&house, &one);
        assert_eq!((cx.account(), cx.session()), (Some(account), Some(&*one.token.id.to_string())), "{engine}");
        assert!(house.gate.run(&cx, &accounts::LIST, ListAccounts::default()).is_ok());
        assert!(house.gate.run(&cx, &tenants::LIST, ListTenants::default()).is_ok());
        assert_eq!(code(house.gate.run(&cx, &LIST, ListServiceAccounts::default())), "token.out_of_scope");
        let suspend = AccountRef { account: owner.account().unwrap() };
        assert_eq!(code(house.gate.run(&cx, &accounts::SUSPEND, suspend)), "token.out_of_scope");
        // Who it is, every key may ask.
        assert_eq!(house.gate.run(&cx, &DESCRIBE, roles::Nothing {}).unwrap().account.id, account);
        // All scopes give no more than the roles.
        let (_, wide) = with_key(&house, &owner, &["viewer"], &["*:write"]);
        let refused = house.gate.run(&through(&house, &wide), &accounts::LIST, ListAccounts::default());
        assert_eq!(code(refused), "action.forbidden", "{engine}");
        // The log names the account and the key.
        let said: Vec<(String, String)> = house
            .gate
            .db()
            .read(|c| {
                let sql = "SELECT actor, session FROM audit_entries WHERE outcome = 'refused:token.out_of_scope'";
                c.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .unwrap();
        assert!(house.audit().iter().any(|(_, _, outcome)| outcome == "refused:token.out_of_scope"));
        assert!(said.iter().all(|(who, with)| *who == account.to_string() && *with == one.token.id.to_string()));
    }
}

#[test]
fn a_program_signs_in_nowhere_and_makes_no_way_in() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let sure = UpdateServiceAccount {
        account: made(&house, &owner, &["owner"]).account.id,
        name: None,
        purpose: None,
        responsible: None,
        sensitive: Some(true),
    };
    let account = house.gate.run(&owner, &UPDATE, sure).unwrap().account.id;
    let wanted = CreateKey { sensitive: true, ..key(account, &["*:write"]) };
    let one = house.gate.run(&owner, &CREATE_KEY, wanted).unwrap();
    let cx = through(&house, &one);
    let input = CreateToken { name: "more".to_owned(), ..Default::default() };
    assert_eq!(code(house.gate.run(&cx, &CREATE_TOKEN, input)), "token.out_of_scope");
    assert_eq!(code(house.gate.run(&cx, &CREATE, program(&["owner"]))), "token.out_of_scope");
    assert_eq!(code(house.gate.run(&cx, &CREATE_KEY, key(account, &["*:write"]))), "token.out_of_scope");
    let rotate = RotateKey { token: one.token.id, days: None, overlap_hours: None };
    assert_eq!(code(house.gate.run(&cx, &ROTATE_KEY, rotate)), "token.out_of_scope");
    let input = ChangePassword { current: None, password: Secret::new("nine ferries in the evening rain") };
    assert!(CHANGE.run(&house.gate, &cx, input).is_err());
    // Nor for others: whoever came in so would outlast the key.
    let invited = InviteAccount {
        tenant: None,
        email: "accomplice@example.com".to_owned(),
        name: "Accomplice".to_owned(),
        locale: None,
        roles: vec!["owner".to_owned()],
    };
    assert_eq!(code(house.gate.run(&cx, &INVITE, invited)), "token.out_of_scope");
    let provider = NewProvider {
        name: "Evil".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        client_id: "x".to_owned(),
        ..NewProvider::default()
    };
    assert_eq!(code(CREATE_PROVIDER.run(&house.gate, &cx, provider)), "token.out_of_scope");
    for action in
        ["identityProvider.confirm_domain", "identityProvider.set_secret", "identityProvider.update", "tenant.create"]
    {
        assert_eq!(code(cx.bounds().unwrap().check(action, None)), "token.out_of_scope", "{action}");
    }
    // Sensitive all the same: what it was made for.
    let member = house.person("m@example.com", house.first, &["member"]);
    assert!(house.gate.run(&cx, &accounts::SUSPEND, AccountRef { account: member }).is_ok());
    for email in ["", &format!("service:{account}"), "deploy"] {
        let input = OpenSession { email: email.to_owned(), password: Secret::new("x"), user_agent: String::new() };
        assert_eq!(code(OPEN.run(&house.gate, &Cx::nobody(house.operator), input)), "session.refused");
    }
}

#[test]
fn what_an_account_is_not_for_its_keys_do_not_do() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let sensitive = NewServiceAccount { sensitive: true, ..program(&["owner"]) };
    let account = house.gate.run(&owner, &CREATE, sensitive).unwrap().account.id;
    let wanted = CreateKey { sensitive: true, ..key(account, &["account:write"]) };
    let one = house.gate.run(&owner, &CREATE_KEY, wanted.clone()).unwrap();
    let member = house.person("m@example.com", house.first, &["member"]);
    let suspend = || house.gate.run(&through(&house, &one), &accounts::SUSPEND, AccountRef { account: member });
    assert!(suspend().is_ok());
    let no_more =
        UpdateServiceAccount { account, name: None, purpose: None, responsible: None, sensitive: Some(false) };
    house.gate.run(&owner, &UPDATE, no_more).unwrap();
    assert_eq!(code(suspend()), "token.not_sensitive");
    assert_eq!(code(house.gate.run(&owner, &CREATE_KEY, wanted)), "service_account.not_sensitive");
}

#[test]
fn a_key_is_used_from_its_networks_alone() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let account = made(&house, &owner, &["owner"]).account.id;
        let wanted = CreateKey { networks: vec!["192.0.2.9/24".to_owned()], ..key(account, &["*:read"]) };
        let one = house.gate.run(&owner, &CREATE_KEY, wanted).unwrap();
        assert_eq!(one.token.networks, ["192.0.2.0/24"]);
        let cx = through(&house, &one);
        let ask = |from: &str| {
            house.gate.run(&cx.for_request("", from.parse().ok()), &accounts::LIST, ListAccounts::default())
        };
        assert_eq!(code(ask("198.51.100.1")), "token.network", "{engine}");
        assert!(ask("192.0.2.77").is_ok(), "{engine}");
    }
}

#[test]
fn the_use_of_a_key_is_noted_with_its_place() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let (account, one) = with_key(&house, &owner, &["viewer"], &["*:read"]);
        let (id, now) = (one.token.id, house.gate.now());
        house.gate.db().write(move |c| crate::tokens::store::touch(c, id, now, "192.0.2.7".parse().ok())).unwrap();
        let found = house.gate.run(&owner, &GET, ServiceAccountRef { account }).unwrap();
        assert_eq!((found.service.used_at, found.keys[0].used_from.as_deref()), (Some(now), Some("192.0.2.7")));
    }
}

#[test]
fn a_rotated_key_works_beside_its_successor_and_no_longer() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let auth = Authenticator::new(house.gate.clone());
        let (account, old) = with_key(&house, &owner, &["viewer"], &["*:read", "tenant.get"]);
        let rotate = |token: TokenId, overlap_hours| RotateKey { token, days: Some(30), overlap_hours };
        let too_long = rotate(old.token.id, Some(limits::KEY_OVERLAP_HOURS_MAX + 1));
        assert_eq!(code(house.gate.run(&owner, &ROTATE_KEY, too_long)), "token.overlap");
        let new = house.gate.run(&owner, &ROTATE_KEY, rotate(old.token.id, Some(2))).unwrap();
        assert_eq!((&new.token.scopes, &new.token.name), (&old.token.scopes, &old.token.name), "{engine}");
        assert!(auth.recognise(&old.secret, None).is_ok() && auth.recognise(&new.secret, None).is_ok());
        assert_eq!(
            code(house.gate.run(&owner, &ROTATE_KEY, rotate(old.token.id, None))),
            "token.not_in_force",
            "a key has one successor"
        );
        let keys = house.gate.run(&owner, &GET, ServiceAccountRef { account }).unwrap().keys;
        assert!(keys.iter().any(|key| key.id == old.token.id && key.replaced_by == Some(new.token.id)));
        house.gate.clock().advance(Duration::from_secs(2 * 3_600));
        assert_eq!(code(auth.recognise(&old.secret, None)), "token.expired", "{engine}");
        assert!(auth.recognise(&new.secret, None).is_ok());
        // At once, where no time is given.
        let next = house.gate.run(&owner, &ROTATE_KEY, rotate(new.token.id, Some(0))).unwrap();
        assert_eq!(code(auth.recognise(&new.secret, None)), "token.expired");
        house.gate.clock().advance(Duration::from_secs(31 * 86_400));
        assert_eq!(code(auth.recognise(&next.secret, None)), "token.expired");
    }
}

#[test]
fn keys_end_no_later_than_the_rules_say_and_when_their_account_does() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let auth = Authenticator::new(house.gate.clone());
        house.gate.run(&owner, &SET_RULES, UpdateRules { token_days: Some(30), ..Default::default() }).unwrap();
        let account = made(&house, &owner, &["viewer"]).account.id;
        let long = CreateKey { days: Some(31), ..key(account, &["*:read"]) };
        assert_eq!(code(house.gate.run(&owner, &CREATE_KEY, long)), "token.days", "{engine}");
        let one = house.gate.run(&owner, &CREATE_KEY, key(account, &["*:read"])).unwrap();
        let days = Duration::from_secs(30 * 86_400);
        assert_eq!(one.token.expires_at, Some(one.token.created_at + days), "as long as it may");
        // A person's token there is held to it, too.
        let input = CreateToken { name: "mine".to_owned(), days: Some(31), ..Default::default() };
        assert_eq!(code(house.gate.run(&owner, &CREATE_TOKEN, input)), "token.days");
        let suspend = AccountRef { account };
        house.gate.run(&owner, &accounts::SUSPEND, suspend.clone()).unwrap();
        assert_eq!(code(auth.recognise(&one.secret, None)), "account.suspended");
        let refused = house.gate.run(&owner, &CREATE_KEY, key(account, &["*:read"]));
        assert_eq!(code(refused), "service_account.suspended");
        house.gate.run(&owner, &accounts::RESUME, suspend).unwrap();
        assert!(auth.recognise(&one.secret, None).is_ok());
        house.gate.run(&owner, &REVOKE, TokenRef { token: one.token.id }).unwrap();
        assert_eq!(code(auth.recognise(&one.secret, None)), "token.revoked");
        let other = house.gate.run(&owner, &CREATE_KEY, key(account, &["*:read"])).unwrap();
        house.gate.run(&owner, &accounts::REMOVE, RemoveAccount { account, tenant: None }).unwrap();
        assert_eq!(code(auth.recognise(&other.secret, None)), "token.revoked");
        assert!(house.gate.run(&owner, &LIST, ListServiceAccounts::default()).unwrap().items.is_empty());
        assert_eq!(code(house.gate.run(&owner, &CREATE_KEY, key(account, &["*:read"]))), "account.left");
    }
}

fn mails(house: &House) -> i64 {
    let sql = "SELECT COUNT(*) FROM jobs WHERE kind = 'access.mail'";
    house.gate.db().read(move |c| c.query_one(sql, &[], |row| row.get(0))).unwrap()
}

#[test]
fn a_program_that_nobody_answers_for_is_shown_and_told() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let mei = house.person("mei@example.com", house.first, &["member", "viewer"]);
        let input = NewServiceAccount { responsible: Some(mei), ..program(&["viewer"]) };
        let account = house.gate.run(&owner, &CREATE, input).unwrap();
        assert!(!account.without_owner && account.responsible == mei);
        let look = || house.gate.run(&owner, &GET, ServiceAccountRef { account: account.account.id }).unwrap().service;
        let before = mails(&house);
        let revoke = |role: &str| GrantRole { account: mei, tenant: None, role: role.to_owned() };
        house.gate.run(&owner, &roles::REVOKE, revoke("viewer")).unwrap();
        assert!(!look().without_owner && mails(&house) == before, "{engine}: another role is left");
        house.gate.run(&owner, &accounts::REMOVE, RemoveAccount { account: mei, tenant: None }).unwrap();
        assert!(look().without_owner, "{engine}");
        assert_eq!(mails(&house), before + 1, "{engine}: the owner is told");
        let name = UpdateServiceAccount {
            account: account.account.id,
            name: None,
            purpose: None,
            responsible: owner.account(),
            sensitive: None,
        };
        assert!(!house.gate.run(&owner, &UPDATE, name).unwrap().without_owner);
    }
}

#[test]
fn only_somebody_of_the_tenant_answers_for_its_programs() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let stranger = house.person("far@example.com", house.second, &["owner"]);
    let other = made(&house, &owner, &["viewer"]).account.id;
    for wrong in [stranger, other, AccountId(77)] {
        let input = NewServiceAccount { responsible: Some(wrong), ..program(&["viewer"]) };
        assert_eq!(code(house.gate.run(&owner, &CREATE, input)), "service_account.responsible");
    }
    // The platform's own command line is nobody who could answer.
    let refused = house.gate.run(&Cx::system("admin", house.first), &CREATE, program(&["viewer"]));
    assert!(refused.is_err());
}

#[test]
fn wrong_wishes_are_refused() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    for (input, attribute) in [
        (program(&[]), "roles"),
        (program(&["administrator"]), "roles"),
        (program(&["king"]), "roles"),
        (NewServiceAccount { name: "a\nb".to_owned(), ..program(&["viewer"]) }, "name"),
        (NewServiceAccount { name: "\u{202e}evil".to_owned(), ..program(&["viewer"]) }, "name"),
        (NewServiceAccount { purpose: "x".repeat(1_001), ..program(&["viewer"]) }, "purpose"),
        (NewServiceAccount { purpose: "\u{7}".to_owned(), ..program(&["viewer"]) }, "purpose"),
    ] {
        assert_eq!(house.gate.run(&owner, &CREATE, input).unwrap_err().attribute(), Some(attribute));
    }
    let account = made(&house, &owner, &["viewer"]).account.id;
    let many: Vec<String> = (0..=limits::TOKEN_NETWORKS_MAX).map(|n| format!("10.0.{n}.0/24")).collect();
    let many_scopes: Vec<String> = (0..=limits::TOKEN_SCOPES_MAX).map(|n| format!("noun{n}:read")).collect();
    for (input, attribute) in [
        (key(account, &[]), "scopes"),
        (key(account, &["  "]), "scopes"),
        (key(account, &["service"]), "scopes"),
        (key(account, &["*"]), "scopes"),
        (key(account, &["account:delete"]), "scopes"),
        (key(account, &["account.list", "nothing.like"]), "scopes"),
        (key(account, &["account.list'; DROP TABLE accounts; --"]), "scopes"),
        (CreateKey { scopes: many_scopes, ..key(account, &[]) }, "scopes"),
        (CreateKey { networks: vec!["10.0.0.0/40".to_owned()], ..key(account, &["*:read"]) }, "networks"),
        (CreateKey { networks: vec!["::ffff:10.0.0.1".to_owned()], ..key(account, &["*:read"]) }, "networks"),
        (CreateKey { networks: many, ..key(account, &["*:read"]) }, "networks"),
        (CreateKey { days: Some(0), ..key(account, &["*:read"]) }, "days"),
        (CreateKey { name: String::new(), ..key(account, &["*:read"]) }, "name"),
        (CreateKey { sensitive: true, ..key(account, &["*:read"]) }, "sensitive"),
    ] {
        let result = house.gate.run(&owner, &CREATE_KEY, input.clone());
        assert_eq!(result.unwrap_err().attribute(), Some(attribute), "{input:?}");
    }
}

#[test]
fn nobody_makes_a_key_for_more_than_they_are() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let admin = house.with_role("administrator", house.operator);
        let owner = house.with_role("owner", house.first);
        // Of a neighbour, of a lesser role: see `crate::tests`. Here: of a manager below.
        let (strong, one) = with_key(&house, &admin, &["administrator", "support"], &["*:read"]);
        assert_eq!(house.gate.run(&owner, &CREATE_KEY, key(strong, &["*:read"])).unwrap_err().kind(), Kind::NotFound);
        let rotate = RotateKey { token: one.token.id, days: None, overlap_hours: None };
        assert_eq!(code(house.gate.run(&owner, &ROTATE_KEY, rotate)), "token.not_found");
        assert_eq!(code(house.gate.run(&owner, &CREATE, program(&["support"]))), "role.unknown");
        // A person's own token is not rotated like that.
        let mine = house.gate.run(&owner, &CREATE_TOKEN, CreateToken { name: "x".to_owned(), ..Default::default() });
        let rotate = RotateKey { token: mine.unwrap().token.id, days: None, overlap_hours: None };
        assert_eq!(code(house.gate.run(&owner, &ROTATE_KEY, rotate)), "token.not_found");
    }
}

#[test]
fn a_token_hands_on_no_more_than_its_own_scopes_and_networks() {
    for (_, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let wish = |scopes: &[&str], networks: &[&str]| CreateToken {
            name: "t".to_owned(),
            sensitive: true,
            scopes: Some(scopes.iter().map(|one| (*one).to_owned()).collect()),
            networks: networks.iter().map(|one| (*one).to_owned()).collect(),
            ..Default::default()
        };
        let input = wish(&["token:write", "account.list"], &["10.0.0.0/8"]);
        let narrow = house.gate.run(&owner, &CREATE_TOKEN, input).unwrap();
        let cx = through(&house, &narrow).for_request("", "10.1.1.1".parse().ok());
        let make = |input: CreateToken| house.gate.run(&cx, &CREATE_TOKEN, input);
        assert_eq!(make(wish(&["account:write"], &[])).unwrap_err().attribute(), Some("scopes"));
        assert_eq!(make(wish(&["account.list"], &["192.0.2.0/24"])).unwrap_err().attribute(), Some("networks"));
        let child = make(wish(&["account.list"], &["10.2.0.0/16"])).unwrap().token;
        assert_eq!(
            (child.scopes.unwrap(), child.networks),
            (vec!["account.list".to_owned()], vec!["10.2.0.0/16".to_owned()])
        );
        let same = make(CreateToken { name: "t".to_owned(), ..Default::default() }).unwrap().token;
        assert_eq!((same.scopes, same.networks), (narrow.token.scopes.clone(), narrow.token.networks.clone()));
        // And it is no way to a password.
        let input = ChangePassword { current: None, password: Secret::new("nine ferries in the evening rain") };
        assert!(CHANGE.run(&house.gate, &cx, input).is_err());
        let all = house.gate.run(&owner, &LIST_TOKENS, ListTokens { everybody: true, ..Default::default() }).unwrap();
        assert_eq!(all.items.len(), 3);
    }
}

#[test]
fn programs_are_not_among_the_people() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let owner = house.with_role("owner", house.first);
        let account = made(&house, &owner, &["owner"]).account.id;
        let members = house.gate.run(&owner, &accounts::LIST, ListAccounts::default()).unwrap().items;
        assert!(members.iter().all(|one| one.account.id != account), "{engine}");
        // The last owner is the last person who is one.
        let going = RemoveAccount { account: owner.account().unwrap(), tenant: None };
        assert_eq!(code(house.gate.run(&owner, &accounts::REMOVE, going)), "role.last_holder", "{engine}");
        // Nobody needs a second person where the second is a program.
        let actions = vec!["account.remove".to_owned()];
        let refused = house.gate.run(&owner, &crate::approvals::SET_RULE, SetRule { actions });
        assert!(refused.is_err(), "{engine}: {refused:?}");
    }
}

#[test]
fn a_program_is_one_person_with_those_who_hold_its_keys() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let (maker, other) = (house.with_role("owner", house.first), house.with_role("owner", house.first));
    let input = NewServiceAccount { responsible: other.account(), ..program(&["owner"]) };
    let account = house.gate.run(&maker, &CREATE, input).unwrap().account.id;
    house.gate.run(&maker, &CREATE_KEY, key(account, &["*:write"])).unwrap();
    let behind = house.gate.db().read(move |c| super::behind(c, account)).unwrap();
    let ids: Vec<AccountId> = behind.iter().map(|one| one.id).collect();
    assert!(ids.contains(&maker.account().unwrap()) && ids.contains(&other.account().unwrap()));
    assert_eq!(json!(behind.len()), json!(2));
}

#[test]
fn a_program_that_lost_its_last_role_can_be_removed() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let account = made(&house, &owner, &["viewer"]).account.id;
    let revoke = GrantRole { account, tenant: None, role: "viewer".to_owned() };
    house.gate.run(&owner, &roles::REVOKE, revoke).unwrap();
    let remove = |by: &Cx| house.gate.run(by, &accounts::REMOVE, RemoveAccount { account, tenant: None });
    let stranger = house.with_role("owner", house.second);
    assert_eq!(code(remove(&stranger)), "account.not_found");
    assert!(remove(&owner).unwrap().left);
    assert_eq!(code(remove(&owner)), "account.not_found", "it has left");
}

#[test]
fn rotating_does_not_narrow_a_key() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let owner = house.with_role("owner", house.first);
    let (_, old) = with_key(&house, &owner, &["viewer"], &["*:read"]);
    let input = CreateToken {
        name: "from the office".to_owned(),
        sensitive: true,
        networks: vec!["10.0.0.0/8".to_owned()],
        ..Default::default()
    };
    let narrow = house.gate.run(&owner, &CREATE_TOKEN, input).unwrap();
    let cx = through(&house, &narrow).for_request("", "10.1.1.1".parse().ok());
    let rotate = || RotateKey { token: old.token.id, days: None, overlap_hours: None };
    let refused = house.gate.run(&cx, &ROTATE_KEY, rotate()).unwrap_err();
    assert_eq!(refused.attribute(), Some("networks"), "{refused:?}");
    assert!(house.gate.run(&owner, &ROTATE_KEY, rotate()).unwrap().token.networks.is_empty());
}
