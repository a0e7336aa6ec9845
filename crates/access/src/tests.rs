//! Every action of this room, as nobody, as a neighbour and as somebody lesser.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Kind, limits};
use gate::{AnyAction, Cx, Effect, Gate};
use serde_json::{Value as Json, json};

use crate::announcements;
use crate::invitations::actions::{INVITE, InviteAccount};
use crate::providers::{Provider, ProviderId, ProviderState, Settings};
use crate::service_accounts::actions::{self as service_accounts, NewServiceAccount};
use crate::testing::House;
use crate::tokens::actions::{CREATE, CreateToken};

/// Who may use an action in the ordinary way.
#[derive(Clone, Copy, PartialEq)]
enum For {
    /// Those who are not known yet.
    Anybody,
    /// Everybody, about themselves; the sample names nothing of others.
    Oneself,
    /// Managers, about the tenant that they act in; the sample names nothing of others.
    Ourselves,
    /// The managers of the tenant that the sample names things of.
    Managers,
    /// Everybody of that tenant.
    Members,
    /// The platform itself.
    Platform,
}

/// An input for every action, about things of the first customer.
fn samples(house: &House) -> BTreeMap<&'static str, (For, Json)> {
    let owner = house.with_role("owner", house.first);
    let member = house.person("member@example.com", house.first, &["member"]);
    let member_cx = house.cx(member, None).unwrap();
    let input = CreateToken { name: "ci".to_owned(), sensitive: false, ..Default::default() };
    let token = house.gate.run(&member_cx, &CREATE, input).unwrap().token.id;
    let roles = vec!["viewer".to_owned()];
    let email = "new@example.com".to_owned();
    let input = InviteAccount { tenant: None, email, name: "New".to_owned(), locale: None, roles };
    let invitation = house.gate.run(&owner, &INVITE, input).unwrap().id;
    let (first, department) = (house.first, house.department);
    let input = NewServiceAccount { name: "deploy".to_owned(), roles: vec!["member".to_owned()], ..Default::default() };
    let program = house.gate.run(&owner, &service_accounts::CREATE, input).unwrap().account.id;
    let key = json!({"account": program, "name": "ci", "scopes": ["tenant:read"]});
    let input = serde_json::from_value(key.clone()).unwrap();
    let program_key = house.gate.run(&owner, &service_accounts::CREATE_KEY, input).unwrap().token.id;
    let provider = provider(house);
    let link = format!("ywl_{}", "A".repeat(43));
    let (one, gone) = (owner.account().unwrap(), "apr_01arz3ndektsv4rrffq69g5fav");
    let told = json!({"audience": "own", "title": "Closed on Friday", "text": "We move."});
    let input = serde_json::from_value(told.clone()).unwrap();
    let announcement = house.gate.run(&owner, &announcements::actions::CREATE, input).unwrap().id;
    use For::{Anybody, Managers, Members, Oneself, Ourselves, Platform};
    BTreeMap::from([
        ("operator.init", (Platform, json!({"name": "Mine", "email": "me@example.com"}))),
        ("tenant.create", (Managers, json!({"parent": first, "name": "x"}))),
        ("tenant.list", (Members, json!({"parent": first}))),
        ("tenant.get", (Members, json!({"tenant": first}))),
        ("tenant.update", (Managers, json!({"tenant": first, "name": "x"}))),
        ("tenant.suspend", (Managers, json!({"tenant": department}))),
        ("tenant.resume", (Managers, json!({"tenant": department}))),
        ("account.list", (Managers, json!({"tenant": first}))),
        ("account.get", (Managers, json!({"account": member}))),
        ("account.update", (Managers, json!({"account": member, "name": "x"}))),
        ("account.suspend", (Managers, json!({"account": member}))),
        ("account.resume", (Managers, json!({"account": member}))),
        ("account.remove", (Managers, json!({"account": member, "tenant": first}))),
        (
            "account.invite",
            (Managers, json!({"tenant": first, "email": "x@example.com", "name": "x", "roles": ["viewer"]})),
        ),
        ("invitation.list", (Managers, json!({"tenant": first}))),
        ("invitation.resend", (Managers, json!({"invitation": invitation}))),
        ("invitation.withdraw", (Managers, json!({"invitation": invitation}))),
        ("invitation.preview", (Anybody, json!({"token": link}))),
        ("invitation.accept", (Anybody, json!({"token": link, "password": "x"}))),
        ("role.grant", (Managers, json!({"account": member, "tenant": first, "role": "viewer"}))),
        ("role.revoke", (Managers, json!({"account": member, "tenant": first, "role": "member"}))),
        ("reach.list", (Oneself, json!({}))),
        ("password.change", (Oneself, json!({"password": "eleven drums behind the wall"}))),
        ("password.request_reset", (Anybody, json!({"email": "x@example.com"}))),
        ("password.reset", (Anybody, json!({"token": link, "password": "x"}))),
        ("session.open", (Anybody, json!({"email": "x@example.com", "password": "x"}))),
        ("session.confirm", (Anybody, json!({"ticket": "x", "code": "123456"}))),
        ("session.step_up", (Oneself, json!({"code": "123456"}))),
        ("factor.list", (Oneself, json!({}))),
        ("factor.enrol", (Oneself, json!({}))),
        ("factor.activate", (Oneself, json!({"factor": "fac_01arz3ndektsv4rrffq69g5fav", "code": "123456"}))),
        ("factor.remove", (Oneself, json!({"factor": "fac_01arz3ndektsv4rrffq69g5fav"}))),
        ("factor.reset", (Managers, json!({"account": member, "reason": "seen in person"}))),
        ("factor.enrol_passkey", (Oneself, json!({}))),
        ("factor.register_passkey", (Oneself, json!({"credential": "{}"}))),
        ("session.passkey_challenge", (Anybody, json!({}))),
        ("session.open_passkey", (Anybody, json!({"credential": "{}"}))),
        ("recoveryCode.renew", (Oneself, json!({}))),
        ("signInRules.get", (Managers, json!({"tenant": first}))),
        ("signInRules.update", (Managers, json!({"tenant": first, "password_history": 3}))),
        ("serviceAccount.create", (Managers, json!({"tenant": first, "name": "x", "roles": ["viewer"]}))),
        ("serviceAccount.list", (Managers, json!({"tenant": first}))),
        ("serviceAccount.get", (Managers, json!({"account": program}))),
        ("serviceAccount.update", (Managers, json!({"account": program, "purpose": "x"}))),
        ("serviceAccount.create_key", (Managers, key)),
        ("serviceAccount.rotate_key", (Managers, json!({"token": program_key}))),
        (
            "identityProvider.create",
            (Managers, json!({"tenant": first, "name": "x", "issuer": "https://192.0.2.1", "client_id": "x"})),
        ),
        ("identityProvider.list", (Managers, json!({"tenant": first}))),
        ("identityProvider.get", (Managers, json!({"provider": provider}))),
        ("identityProvider.update", (Managers, json!({"provider": provider, "name": "x"}))),
        ("identityProvider.set_secret", (Managers, json!({"provider": provider, "secret": "x"}))),
        ("identityProvider.confirm_domain", (Platform, json!({"provider": provider, "domain": "example.com"}))),
        ("identityProvider.remove", (Managers, json!({"provider": provider}))),
        ("session.begin_provider", (Anybody, json!({"email": "x@example.com"}))),
        ("session.open_provider", (Anybody, json!({"provider": provider, "ticket": "x", "state": "x", "code": "x"}))),
        ("identityLink.begin", (Oneself, json!({"email": "x@example.com"}))),
        ("identityLink.complete", (Oneself, json!({"provider": provider, "ticket": "x", "state": "x", "code": "x"}))),
        ("identityLink.list", (Oneself, json!({}))),
        ("identityLink.remove", (Oneself, json!({"provider": provider}))),
        ("session.close", (Oneself, json!({"session": "ses_01arz3ndektsv4rrffq69g5fav"}))),
        ("session.list", (Oneself, json!({}))),
        ("session.close_all", (Oneself, json!({}))),
        ("session.act_in", (Members, json!({"tenant": first}))),
        ("session.describe", (Oneself, json!({}))),
        ("announcement.create", (Ourselves, told)),
        ("announcement.list", (Ourselves, json!({}))),
        ("announcement.receipts", (Managers, json!({"id": announcement}))),
        ("announcement.end", (Managers, json!({"id": announcement}))),
        ("announcement.inbox", (Oneself, json!({}))),
        ("announcement.read", (Members, json!({"id": announcement}))),
        // Whose approvals one may know of follows from the actions: see `approvals::tests`.
        ("approval.request", (Oneself, json!({"action": "role.grant", "input": {}, "reason": "x"}))),
        ("approval.list", (Oneself, json!({}))),
        ("approval.get", (Oneself, json!({"id": gone}))),
        ("approval.approve", (Oneself, json!({"id": gone, "digest": ""}))),
        ("approval.decline", (Oneself, json!({"id": gone}))),
        ("approval.withdraw", (Oneself, json!({"id": gone}))),
        ("approval.rule", (Oneself, json!({}))),
        ("approval.set_rule", (Ourselves, json!({"actions": []}))),
        ("person.link", (Managers, json!({"account": member, "other": one}))),
        ("person.unlink", (Managers, json!({"account": member, "other": one}))),
        ("permission.holders", (Managers, json!({"action": "tenant.update", "tenant": first}))),
        // Which refusals one may see: `permissions::tests`.
        ("refusal.explain", (Oneself, json!({"id": "req_none"}))),
        ("token.create", (Oneself, json!({"name": "x"}))),
        ("token.list", (Oneself, json!({}))),
        ("token.revoke", (Managers, json!({"token": token}))),
    ])
}

/// An identity provider of the first customer, as if its document had been read.
fn provider(house: &House) -> ProviderId {
    let provider = Provider {
        id: ProviderId::fresh(house.gate.ids(), house.gate.now()),
        tenant: house.first,
        name: "Firm".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        client_id: "yunwei".to_owned(),
        redirect: String::new(),
        has_secret: false,
        settings: Settings::default(),
        domains: Vec::new(),
        state: ProviderState::Off,
        revision: 1,
        created_at: house.gate.now(),
    };
    let id = provider.id;
    house.gate.db().write(move |conn| crate::providers::store::insert(conn, &provider)).unwrap();
    id
}

fn run(gate: &Gate, cx: &Cx, action: &'static dyn AnyAction, input: &Json) -> base::Result<Json> {
    action.run_json(gate, cx, input.clone())
}

/// All that the room keeps, but for what is said about the one who asks.
fn everything(house: &House) -> Vec<String> {
    let tables = [
        "tenants",
        "accounts",
        "role_grants",
        "api_tokens",
        "invitations",
        "announcements",
        "mail_links",
        "credentials",
        "factors",
        "identity_providers",
        "service_accounts",
        "sign_in_rules",
    ];
    let mut out = Vec::new();
    for table in tables {
        let columns = match table {
            "tenants" => "id || name || state",
            "accounts" => "id || name || state || locale",
            "role_grants" => "account || tenant || role",
            "api_tokens" => "id || account || CASE WHEN revoked_at IS NULL THEN '' ELSE 'revoked' END",
            "announcements" => "id || CASE WHEN ended_at IS NULL THEN '' ELSE 'ended' END",
            "invitations" => "id || state || CAST(expires_at AS TEXT)",
            "mail_links" => "subject",
            "factors" => "id || account",
            "identity_providers" => "id || name || state || client_secret",
            "service_accounts" => "account || purpose || responsible",
            "sign_in_rules" => "tenant || factor_roles",
            _ => "account || password",
        };
        let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
        out.extend(house.gate.db().read(move |c| c.query(&sql, &[], |r| r.get::<String>(0))).unwrap());
    }
    out
}

#[test]
fn every_action_has_a_sample() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let samples = samples(&house);
    let names: Vec<&str> = crate::actions().iter().map(|a| a.name()).collect();
    assert!(names.iter().all(|name| samples.contains_key(name)), "{names:?}");
}

#[test]
fn nobody_does_nothing_but_knock() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let samples = samples(&house);
        let before = everything(&house);
        for action in crate::actions() {
            let (whom, input) = &samples[action.name()];
            let result = run(&house.gate, &Cx::nobody(house.operator), action, input);
            if *whom == For::Anybody {
                assert!(
                    !result.as_ref().is_err_and(|e| e.code() == "session.required"),
                    "{engine} {}: {result:?}",
                    action.name()
                );
            } else {
                assert_eq!(result.unwrap_err().kind(), Kind::Unauthenticated, "{engine} {}", action.name());
            }
        }
        assert_eq!(everything(&house), before, "{engine}");
    }
}

#[test]
fn a_neighbour_finds_nothing_there_whatever_their_role() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let samples = samples(&house);
        let neighbours = [
            house.with_role("owner", house.second),
            house.with_role("member", house.second),
            house.with_role("viewer", house.second),
            house.with_role("operations", house.operator),
            house.with_role("auditor", house.operator),
        ];
        let before = everything(&house);
        for neighbour in &neighbours {
            for action in crate::actions() {
                let (whom, input) = &samples[action.name()];
                if !matches!(whom, For::Managers | For::Members | For::Platform) {
                    continue;
                }
                let staff = !neighbour.has_role("owner") && neighbour.tenant() == house.operator;
                // The operator's staff read the entry of a customer in the tree; that is all.
                if staff && action.name() == "tenant.get" {
                    continue;
                }
                let result = run(&house.gate, neighbour, action, input);
                // The owners that the operator has invited, of which there are none here.
                if staff
                    && action.name() == "invitation.list"
                    && let Ok(found) = &result
                {
                    assert_eq!(found["items"], json!([]), "{engine}");
                    continue;
                }
                let error = result.unwrap_err();
                let hidden = matches!(error.kind(), Kind::NotFound | Kind::Forbidden);
                assert!(hidden, "{engine} {} as {:?}: {error:?}", action.name(), neighbour.roles());
            }
        }
        assert_eq!(everything(&house), before, "{engine}");
    }
}

#[test]
fn a_lesser_role_manages_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let samples = samples(&house);
        let before = everything(&house);
        for role in ["member", "billing-viewer", "viewer"] {
            let cx = house.with_role(role, house.first);
            let mine = everything(&house);
            for action in crate::actions() {
                let (whom, input) = &samples[action.name()];
                let result = run(&house.gate, &cx, action, input);
                match whom {
                    For::Ourselves | For::Managers | For::Platform => {
                        assert_eq!(result.unwrap_err().kind(), Kind::Forbidden, "{engine} {} as {role}", action.name());
                    }
                    For::Members if action.effect() == Effect::Read => {
                        assert!(result.is_ok(), "{engine} {}", action.name())
                    }
                    _ => {}
                }
            }
            // Their own token and password apart, nothing has changed.
            let now = everything(&house);
            let me = cx.account().unwrap().to_string();
            assert!(now.iter().all(|row| mine.contains(row) || row.contains(&me)), "{engine} {role}");
        }
        assert!(before.iter().all(|row| everything(&house).contains(row)), "{engine}");
    }
}

#[test]
fn an_owner_manages_what_is_theirs() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let samples = samples(&house);
        let owner = house.with_role("owner", house.first);
        // In this order none takes away what the next one needs.
        for name in [
            "tenant.create",
            "tenant.list",
            "tenant.get",
            "tenant.update",
            "tenant.suspend",
            "tenant.resume",
            "account.list",
            "account.get",
            "account.update",
            "account.suspend",
            "account.resume",
            "account.invite",
            "invitation.list",
            "invitation.resend",
            "invitation.withdraw",
            "role.grant",
            "role.revoke",
            "person.link",
            "person.unlink",
            "signInRules.get",
            "signInRules.update",
            "identityProvider.list",
            "identityProvider.get",
            "identityProvider.update",
            "identityProvider.set_secret",
            "identityProvider.remove",
            "serviceAccount.create",
            "serviceAccount.list",
            "serviceAccount.get",
            "serviceAccount.update",
            "serviceAccount.create_key",
            "serviceAccount.rotate_key",
            "token.revoke",
            "account.remove",
            "reach.list",
            "permission.holders",
        ] {
            let action = crate::actions().into_iter().find(|a| a.name() == name).unwrap();
            // A mail has its time to arrive before it is sent again.
            house.gate.clock().advance(Duration::from_secs(limits::INVITATION_RESENT_AFTER_SECONDS));
            let result = run(&house.gate, &owner, action, &samples[name].1);
            assert!(result.is_ok(), "{engine} {name}: {result:?}");
        }
    }
}
