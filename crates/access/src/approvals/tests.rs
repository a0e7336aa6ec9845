use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base::id::{AccountId, Ids, TenantId};
use base::time::Clock;
use base::{Error, Kind, limits};
use gate::{Action, Catalogue, Cx, Effect, Gate, Object, Proof, Strength};
use serde_json::{Value as Json, json};

use super::actions::{ApprovalRef, Approve, AskApproval, Decline, ListApprovals, Which};
use super::approvable::APPROVABLE;
use super::settings::{SetRule, TwoAccounts};
use super::{APPROVE, ASK, Approval, DECLINE, GET, GET_RULE, LINK, LIST, SET_RULE, State, UNLINK, WITHDRAW};
use crate::Authenticator;
use crate::accounts::actions::{AccountRef, RemoveAccount, SUSPEND};
use crate::roles::actions::{GRANT, GrantRole, Nothing, REVOKE};
use crate::service_accounts::actions::{
    CREATE as CREATE_PROGRAM, CREATE_KEY, NewServiceAccount, UPDATE as UPDATE_PROGRAM,
};
use crate::sign_in_rules::actions::{UPDATE, UpdateRules};
use crate::tenants::actions::{CREATE as CREATE_TENANT, CreateTenant};
use crate::testing::House;
use crate::tokens::actions::{CREATE, CreateToken, REVOKE as REVOKE_TOKEN, TokenRef};

const A_DAY: Duration = Duration::from_secs(limits::APPROVAL_SETTLING_SECONDS.unsigned_abs());

/// A customer with two owners of a day's standing, a member, and a rule that owners need each other for roles.
struct Two {
    house: House,
    first: AccountId,
    second: AccountId,
    member: AccountId,
}

impl Two {
    fn new(db: db::Db) -> Two {
        Two::over(House::new(db))
    }

    fn over(house: House) -> Two {
        let first = house.person("first@example.com", house.first, &["owner"]);
        let second = house.person("second@example.com", house.first, &["owner"]);
        let member = house.person("member@example.com", house.first, &["member"]);
        house.gate.clock().advance(A_DAY);
        let two = Two { house, first, second, member };
        two.rule(&two.sits(two.first), &["role.grant", "account.remove", "tenant.suspend"]).unwrap();
        two
    }

    /// Somebody who is signed in at a page.
    fn sits(&self, account: AccountId) -> Cx {
        self.sits_in(account, None)
    }

    fn sits_in(&self, account: AccountId, tenant: Option<TenantId>) -> Cx {
        self.house.cx(account, tenant).unwrap().in_session("ses_01arz3ndektsv4rrffq69g5fav")
    }

    fn rule(&self, cx: &Cx, actions: &[&str]) -> base::Result<()> {
        let actions = actions.iter().map(|a| (*a).to_owned()).collect();
        self.house.gate.run(cx, &SET_RULE, SetRule { actions }).map(drop)
    }

    fn grant(&self, role: &str) -> GrantRole {
        GrantRole { account: self.member, tenant: None, role: role.to_owned() }
    }

    fn ask(&self, cx: &Cx, action: &str, input: Json) -> base::Result<Approval> {
        let asked = AskApproval { action: action.to_owned(), input, reason: "ticket 4711".to_owned() };
        self.house.gate.run(cx, &ASK, asked)
    }

    fn asked(&self) -> Approval {
        let input = json!({ "account": self.member, "role": "billing-viewer" });
        self.ask(&self.sits(self.first), "role.grant", input).unwrap()
    }

    fn approve(&self, cx: &Cx, approval: &Approval) -> base::Result<Approval> {
        let input = Approve { id: approval.id, digest: approval.digest.clone(), note: String::new() };
        self.house.gate.run(cx, &APPROVE, input)
    }

    fn roles(&self) -> Vec<String> {
        let (member, tenant) = (self.member, self.house.first);
        self.house.gate.db().read(move |conn| crate::roles::store::held(conn, member, tenant)).unwrap()
    }

    fn state(&self, approval: &Approval) -> State {
        let id = ApprovalRef { id: approval.id };
        self.house.gate.run(&self.sits(self.first), &GET, id).unwrap().approval.state
    }
}

fn code(result: base::Result<Approval>) -> String {
    result.map_err(|e: Error| e.code().to_owned()).unwrap_err()
}

#[test]
fn what_needs_a_second_person_is_refused_alone_and_done_by_two() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let (first, second) = (two.sits(two.first), two.sits(two.second));
        let alone = two.house.gate.run(&first, &GRANT, two.grant("billing-viewer")).unwrap_err();
        assert_eq!((alone.kind(), alone.code()), (Kind::Forbidden, "approval.required"), "{engine}");
        assert_eq!(two.roles(), ["member"], "{engine}");

        let asked = two.asked();
        assert_eq!((asked.state, asked.amounts_to.as_str()), (State::Waiting, "role.grant"));
        assert_eq!(asked.object_name.as_deref(), Some("member@example.com"), "{engine}");
        // Asking tries it and leaves nothing behind.
        assert_eq!(two.roles(), ["member"], "{engine}");
        let inbox = |cx: &Cx| two.house.gate.run(cx, &LIST, ListApprovals::default()).unwrap().items.len();
        assert_eq!((inbox(&second), inbox(&first)), (1, 0), "{engine}");
        let done = two.approve(&second, &asked).unwrap();
        assert_eq!((done.state, done.decided_by), (State::Done, Some(two.second)), "{engine}: {:?}", done.problem);
        assert_eq!(two.roles(), ["billing-viewer", "member"], "{engine}");
        assert_eq!(inbox(&second), 0, "{engine}");

        // The log names both: the run in the name of who asked, the agreement in that of who agreed.
        let log = two.house.audit();
        let tail: Vec<_> = log.iter().rev().take(2).map(|(action, ..)| action.as_str()).collect();
        assert_eq!(tail, ["approval.approve", "role.grant"], "{engine}");
        let run: (String, String) = two
            .house
            .gate
            .db()
            .read(|c| {
                c.query_one(
                    "SELECT e.actor, p.body FROM audit_entries e JOIN audit_private p ON p.entry = e.seq
                     WHERE e.action = 'role.grant' AND e.outcome = 'done'",
                    &[],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
            })
            .unwrap();
        assert!(run.0 == two.first.to_string() && run.1.contains(&asked.id.to_string()), "{engine}: {run:?}");
        // Replayed, it is over.
        assert_eq!(code(two.approve(&second, &asked)), "approval.not_waiting", "{engine}");
    }
}

#[test]
fn approved_twice_runs_once() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let third = two.house.person("third@example.com", two.house.first, &["owner"]);
        two.house.gate.clock().advance(A_DAY);
        let asked = two.asked();
        let many = [two.second, third, two.second, third, two.second, third];
        let results: Vec<_> = std::thread::scope(|scope| {
            let tries: Vec<_> =
                many.iter().map(|who| scope.spawn(|| two.approve(&two.sits(*who), &asked).map(|a| a.state))).collect();
            tries.into_iter().map(|tried| tried.join().unwrap()).collect()
        });
        let done = results.iter().filter(|result| matches!(result, Ok(State::Done))).count();
        assert_eq!(done, 1, "{engine}: {results:?}");
        let others = results.iter().filter_map(|result| result.as_ref().err());
        assert!(others.clone().all(|e| e.code() == "approval.not_waiting"), "{engine}: {results:?}");
        let runs = two.house.audit().iter().filter(|(a, _, o)| a == "role.grant" && o == "done").count();
        assert_eq!(runs, 1, "{engine}");
    }
}

#[test]
fn nobody_agrees_with_themselves() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        assert_eq!(code(two.approve(&two.sits(two.first), &asked)), "approval.own", "{engine}");
        // Another account with an address that leads into the same mailbox.
        let alias = two.house.person("first+boss@example.com", two.house.first, &["owner"]);
        // Another account that the firm says is the same person's, over a third.
        let desk = two.house.person("desk@example.com", two.house.first, &["viewer"]);
        let night = two.house.person("night@example.com", two.house.first, &["owner"]);
        two.house.gate.clock().advance(A_DAY);
        for (account, other) in [(two.first, desk), (desk, night)] {
            two.house.gate.run(&two.sits(two.second), &LINK, TwoAccounts { account, other }).unwrap();
        }
        for account in [alias, night] {
            assert_eq!(code(two.approve(&two.sits(account), &asked)), "approval.own", "{engine}");
        }
        // What a firm says holds in its departments; a stranger's firm says nothing here.
        let inbox = two.house.gate.run(&two.sits(night), &LIST, ListApprovals::default()).unwrap();
        assert!(inbox.items.is_empty(), "{engine}");
        // A token approves nothing, whoever's it is.
        let token = two.house.cx(two.second, None).unwrap().in_session("tok_01arz3ndektsv4rrffq69g5fav");
        assert_eq!(code(two.approve(&token, &asked)), "approval.by_hand", "{engine}");
        assert_eq!(code(two.approve(&two.house.cx(two.second, None).unwrap(), &asked)), "approval.by_hand");
        // To be two people again takes two people, and a day.
        let apart = TwoAccounts { account: desk, other: night };
        let alone = two.house.gate.run(&two.sits(two.first), &UNLINK, apart).unwrap_err();
        assert_eq!(alone.code(), "approval.required", "{engine}");
        let apart = json!({ "account": desk, "other": night });
        let request = two.ask(&two.sits(two.first), "person.unlink", apart).unwrap();
        assert_eq!(two.approve(&two.sits(two.second), &request).unwrap().state, State::Done, "{engine}");
        assert_eq!(code(two.approve(&two.sits(night), &asked)), "approval.own", "{engine}");
        two.house.gate.clock().advance(A_DAY);
        assert_eq!(two.approve(&two.sits(night), &asked).unwrap().state, State::Done, "{engine}");
    }
}

#[test]
fn whoever_approves_is_entitled_and_has_been_for_a_day() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        // Somebody with a lesser role knows nothing of it.
        let member = two.sits(two.member);
        assert_eq!(code(two.approve(&member, &asked)), "approval.not_found", "{engine}");
        // Somebody who was made an owner just now, by whoever asks.
        let accomplice = two.house.person("accomplice@example.com", two.house.first, &["owner"]);
        assert_eq!(code(two.approve(&two.sits(accomplice), &asked)), "approval.not_entitled", "{engine}");
        let inbox = two.house.gate.run(&two.sits(accomplice), &LIST, ListApprovals::default()).unwrap();
        assert!(inbox.items.is_empty(), "{engine}");
        two.house.gate.clock().advance(A_DAY);
        assert_eq!(two.approve(&two.sits(accomplice), &asked).unwrap().state, State::Done, "{engine}");
        // Neighbours know nothing of it, whatever they are.
        let stranger = two.house.with_role("owner", two.house.second).in_session("ses_01arz3ndektsv4rrffq69g5fav");
        let again = two.ask(&two.sits(two.first), "role.grant", json!({ "account": two.member, "role": "viewer" }));
        assert_eq!(code(two.approve(&stranger, &again.unwrap())), "approval.not_found", "{engine}");
    }
}

#[test]
fn a_changed_object_fails_the_approval() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        // Roles are taken away without a second person here: what was looked at is not what is there now.
        two.house.gate.run(&two.sits(two.second), &REVOKE, two.grant("member")).unwrap();
        let failed = two.approve(&two.sits(two.second), &asked);
        // The account has another standing: it is told, nothing was changed, and the request is over.
        let failed = failed.unwrap();
        assert_eq!(failed.state, State::Failed, "{engine}");
        let problem = failed.problem.unwrap().code;
        assert!(["approval.object_changed", "account.not_found"].contains(&problem.as_str()), "{engine}: {problem}");
        assert!(two.roles().is_empty(), "{engine}");
        assert_eq!(code(two.approve(&two.sits(two.second), &asked)), "approval.not_waiting", "{engine}");
    }
}

#[test]
fn what_is_approved_is_what_was_shown() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        let other = Approve { id: asked.id, digest: "00".repeat(32), note: String::new() };
        let error = two.house.gate.run(&two.sits(two.second), &APPROVE, other).unwrap_err();
        assert_eq!(error.code(), "approval.digest", "{engine}");
        // Somebody with the database swaps the input: the hash does not fit, whatever is shown.
        let id = asked.id;
        let swapped = json!({ "account": two.member, "role": "owner" }).to_string();
        two.house
            .gate
            .db()
            .write(move |c| {
                c.execute("UPDATE approvals SET input = $2 WHERE id = $1", db::args![id, swapped]).map(drop)
            })
            .unwrap();
        assert_eq!(code(two.approve(&two.sits(two.second), &asked)), "approval.damaged", "{engine}");
        assert_eq!(two.roles(), ["member"], "{engine}");
        assert_eq!(two.state(&asked), State::Waiting, "{engine}: what failed in the middle left nothing");
        // What an action would pass over is not there to mislead; what it assumes is spelled out or left out.
        let padded = json!({ "account": two.member, "role": "viewer", "note": "approved by the board" });
        let plain = two.ask(&two.sits(two.first), "role.grant", padded).unwrap();
        assert_eq!(plain.input, json!({ "account": two.member, "role": "viewer" }), "{engine}");
    }
}

#[test]
fn a_request_ends_with_its_time_and_with_the_right_to_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let late = two.asked();
        two.house.gate.clock().advance(Duration::from_secs(limits::APPROVAL_SECONDS.unsigned_abs()));
        assert_eq!(code(two.approve(&two.sits(two.second), &late)), "approval.expired", "{engine}");
        assert_eq!(two.state(&late), State::Expired, "{engine}");

        // Whoever asked is an owner no more.
        let gone = two.asked();
        let demoted = GrantRole { account: two.first, tenant: None, role: "owner".to_owned() };
        let viewer = GrantRole { role: "viewer".to_owned(), ..demoted.clone() };
        let request = two.ask(&two.sits(two.first), "role.grant", serde_json::to_value(viewer).unwrap()).unwrap();
        two.approve(&two.sits(two.second), &request).unwrap();
        two.house.gate.run(&two.sits(two.second), &REVOKE, demoted).unwrap();
        let failed = two.approve(&two.sits(two.second), &gone).unwrap();
        assert_eq!(failed.state, State::Failed, "{engine}");
        assert_eq!(two.roles(), ["member"], "{engine}");
    }
}

#[test]
fn a_request_sent_with_a_token_ends_with_it_and_is_for_no_more() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let make = CreateToken { name: "ci".to_owned(), sensitive: true, ..Default::default() };
        let token = two.house.gate.run(&two.sits(two.first), &CREATE, make).unwrap().token.id;
        let program = two.house.cx(two.first, None).unwrap().in_session(token.to_string());
        let input = json!({ "account": two.member, "role": "billing-viewer" });
        let asked = two.ask(&program, "role.grant", input).unwrap();
        two.house.gate.run(&two.sits(two.first), &REVOKE_TOKEN, TokenRef { token }).unwrap();
        let failed = two.approve(&two.sits(two.second), &asked).unwrap();
        assert_eq!(failed.problem.unwrap().code, "approval.requester_gone", "{engine}");
        assert_eq!(two.roles(), ["member"], "{engine}");
    }
}

#[test]
fn what_a_program_asks_for_is_approved_by_nobody_who_holds_its_keys() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let house = &two.house;
        let third = house.person("third@example.com", house.first, &["owner"]);
        house.gate.clock().advance(A_DAY);
        // The first makes the key; the second answers for the account.
        let new = NewServiceAccount {
            name: "clerk".to_owned(),
            responsible: Some(two.second),
            roles: vec!["owner".to_owned()],
            sensitive: true,
            ..NewServiceAccount::default()
        };
        let account = house.gate.run(&two.sits(two.first), &CREATE_PROGRAM, new).unwrap().account.id;
        let key = |scopes: &[&str]| {
            let input = json!({ "account": account, "name": "ci", "scopes": scopes, "sensitive": true });
            let input = serde_json::from_value(input).unwrap();
            let made = house.gate.run(&two.sits(two.first), &CREATE_KEY, input).unwrap();
            Authenticator::new(house.gate.clone()).recognise(&made.secret, None).unwrap().cx
        };
        let input = json!({ "account": two.member, "role": "billing-viewer" });
        // It asks for nothing that it could not do.
        let narrow = two.ask(&key(&["approval.request", "account.get"]), "role.grant", input.clone());
        assert_eq!(code(narrow), "token.out_of_scope", "{engine}");
        let asked = two.ask(&key(&["approval.request", "account.get", "role.grant"]), "role.grant", input).unwrap();
        for behind in [two.first, two.second] {
            assert!(two.approve(&two.sits(behind), &asked).is_err(), "{engine}");
        }
        assert_eq!(two.approve(&two.sits(third), &asked).unwrap().state, State::Done, "{engine}");
        assert_eq!(two.roles(), ["billing-viewer", "member"], "{engine}");
        // What the program is not for any more is not done for it, although it was when it asked.
        let input = json!({ "account": two.member, "role": "viewer" });
        let asked = two.ask(&key(&["approval.request", "account.get", "role.grant"]), "role.grant", input).unwrap();
        let no_more = json!({ "account": account, "sensitive": false });
        let no_more = serde_json::from_value(no_more).unwrap();
        house.gate.run(&two.sits(two.first), &UPDATE_PROGRAM, no_more).unwrap();
        let failed = two.approve(&two.sits(third), &asked).unwrap();
        assert_eq!(failed.problem.unwrap().code, "token.not_sensitive", "{engine}");
    }
}

#[test]
fn the_rule_is_made_stronger_by_one_and_weaker_by_two() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let (first, second) = (two.sits(two.first), two.sits(two.second));
        two.rule(&first, &["role.grant", "role.revoke", "account.remove", "tenant.suspend"]).unwrap();
        for weaker in [&["role.grant"][..], &[]] {
            assert_eq!(two.rule(&first, weaker).unwrap_err().code(), "approval.required", "{engine}");
        }
        let request = two.ask(&first, "approval.set_rule", json!({ "actions": ["role.grant"] })).unwrap();
        assert_eq!(two.approve(&second, &request).unwrap().state, State::Done, "{engine}");
        two.house.gate.run(&first, &REVOKE, two.grant("member")).unwrap();
        // What cannot need a second person is no rule, and alone one sets none.
        assert_eq!(two.rule(&first, &["role.grant", "account.list"]).unwrap_err().code(), "approval.not_approvable");
        let alone = two.house.with_role("owner", two.house.second);
        assert_eq!(two.rule(&alone, &["role.grant"]).unwrap_err().code(), "approval.nobody_else", "{engine}");
    }
}

#[test]
fn a_rule_holds_below_and_reaches_those_who_come_from_above() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let below = two.sits_in(two.first, Some(two.house.department));
        let clerk = two.house.person("clerk@example.com", two.house.department, &["viewer"]);
        let error =
            two.house.gate.run(&below, &GRANT, GrantRole { account: clerk, ..two.grant("member") }).unwrap_err();
        assert_eq!(error.code(), "approval.required", "{engine}: acting in a department");
        let there = GrantRole { tenant: Some(two.house.department), ..two.grant("viewer") };
        let error = two.house.gate.run(&two.sits(two.first), &GRANT, there).unwrap_err();
        assert_eq!(error.code(), "approval.required", "{engine}: about a department");
        // The operator's staff inside a customer are bound by the customer's rule, and by their own.
        let staff = ["administrator", "support"];
        let one = two.house.person("one@operator.example", two.house.operator, &staff);
        two.house.person("two@operator.example", two.house.operator, &staff);
        let inside = two.sits_in(one, Some(two.house.first));
        let error = two.house.gate.run(&inside, &GRANT, two.grant("viewer")).unwrap_err();
        assert_eq!(error.code(), "approval.required", "{engine}: support inside");
        two.rule(&two.sits(one), &["account.suspend"]).unwrap();
        let error = two.house.gate.run(&inside, &SUSPEND, AccountRef { account: two.member }).unwrap_err();
        assert_eq!(error.code(), "approval.required", "{engine}: by the operator's own rule");
        // The operator's rule is not the customers'.
        two.house.gate.run(&two.sits(two.first), &SUSPEND, AccountRef { account: two.member }).unwrap();
    }
}

#[test]
fn what_would_fail_is_refused_when_it_is_asked_for() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let first = two.sits(two.first);
        for (action, input, refused) in [
            ("role.grant", json!({ "account": two.member, "role": "root" }), "role.unknown"),
            ("role.grant", json!({ "role": "viewer" }), "input.malformed"),
            ("account.remove", json!({ "account": AccountId(404) }), "account.not_found"),
            ("account.list", json!({}), "approval.not_approvable"),
            ("session.open", json!({ "email": "x@example.com", "password": "x" }), "action.unknown"),
            ("no.such", json!({}), "action.unknown"),
        ] {
            assert_eq!(code(two.ask(&first, action, input)), refused, "{engine} {action}");
        }
        let member = two.sits(two.member);
        let input = json!({ "account": two.member, "role": "owner" });
        assert_eq!(code(two.ask(&member, "role.grant", input.clone())), "action.forbidden", "{engine}");
        let silent = AskApproval { action: "role.grant".to_owned(), input, reason: " ".to_owned() };
        assert_eq!(two.house.gate.run(&first, &ASK, silent).unwrap_err().code(), "approval.reason", "{engine}");
        for _ in 0..limits::APPROVALS_WAITING_PER_ACCOUNT_MAX {
            two.asked();
        }
        let input = json!({ "account": two.member, "role": "viewer" });
        assert_eq!(code(two.ask(&first, "role.grant", input)), "approval.too_many", "{engine}");
    }
}

#[test]
fn requests_are_declined_and_withdrawn_by_those_whose_it_is() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let (first, second) = (two.sits(two.first), two.sits(two.second));
        let (one, other) = (two.asked(), two.asked());
        let decline = |cx: &Cx, id| two.house.gate.run(cx, &DECLINE, Decline { id, reason: "no".to_owned() });
        assert_eq!(code(decline(&first, one.id)), "approval.own", "{engine}");
        let declined = decline(&second, one.id).unwrap();
        assert_eq!((declined.state, declined.note.as_str()), (State::Declined, "no"), "{engine}");
        let withdraw = |cx: &Cx| two.house.gate.run(cx, &WITHDRAW, ApprovalRef { id: other.id });
        assert_eq!(code(withdraw(&second)), "approval.not_yours", "{engine}");
        assert_eq!(withdraw(&first).unwrap().state, State::Withdrawn, "{engine}");
        assert_eq!(code(two.approve(&second, &other)), "approval.not_waiting", "{engine}");
        for which in [Which::Mine, Which::All] {
            assert_eq!(two.house.gate.run(&first, &LIST, ListApprovals { which }).unwrap().items.len(), 2, "{engine}");
        }
        assert_eq!(two.roles(), ["member"], "{engine}");
    }
}

#[test]
fn those_who_can_approve_are_told_and_nobody_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let told = || -> Vec<Json> {
            let found: Vec<String> = two
                .house
                .gate
                .db()
                .read(|c| {
                    c.query("SELECT payload FROM jobs WHERE kind = 'access.mail' ORDER BY id", &[], |row| row.get(0))
                })
                .unwrap();
            found.iter().map(|text| serde_json::from_str::<Json>(text).unwrap()["account"].clone()).collect()
        };
        // Both were told that there is a rule.
        let before = told().len();
        assert_eq!(before, 2, "{engine}");
        let asked = two.asked();
        two.approve(&two.sits(two.second), &asked).unwrap();
        assert_eq!(told()[before..], [json!(two.second), json!(two.first)], "{engine}");
    }
}

#[test]
fn a_failure_in_the_middle_leaves_the_request_as_it_was() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        // The reaction to what the action does breaks: a fault of ours, after the request was taken and the role given.
        two.house.gate.react_with(Box::new(|_, fact| match fact.name() {
            "RoleGranted" => Err(Error::unavailable("test.gone", "the power went")),
            _ => Ok(()),
        }));
        assert_eq!(code(two.approve(&two.sits(two.second), &asked)), "test.gone", "{engine}");
        assert_eq!((two.state(&asked), two.roles()), (State::Waiting, vec!["member".to_owned()]), "{engine}");
    }
}

#[test]
fn what_can_need_a_second_person_is_told_in_words_and_once() {
    let names: std::collections::BTreeSet<&str> = APPROVABLE.iter().map(|one| one.action).collect();
    assert_eq!(names.len(), APPROVABLE.len());
    assert!(APPROVABLE.iter().all(|one| !one.en.is_empty() && !one.zh.is_empty()));
}

#[test]
fn removing_is_asked_for_like_anything_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let input = serde_json::to_value(RemoveAccount { account: two.member, tenant: None }).unwrap();
        let asked = two.ask(&two.sits(two.first), "account.remove", input).unwrap();
        // Whom it is about gains nothing by it, and cannot stop it.
        let done = two.approve(&two.sits(two.second), &asked).unwrap();
        assert_eq!((done.state, done.result), (State::Done, Some(json!({ "left": true }))), "{engine}");
    }
}

#[test]
fn links_and_mailboxes_add_up_to_one_person() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let desk = two.house.person("desk@example.com", two.house.first, &["viewer"]);
        let link = TwoAccounts { account: two.first, other: desk };
        two.house.gate.run(&two.sits(two.second), &LINK, link).unwrap();
        // Shares a mailbox not with whoever asks, but with an account that is theirs.
        let alias = two.house.person("desk+boss@example.com", two.house.first, &["owner"]);
        two.house.gate.clock().advance(A_DAY);
        let asked = two.asked();
        assert_eq!(code(two.approve(&two.sits(alias), &asked)), "approval.own", "{engine}");
        assert!(two.house.gate.run(&two.sits(alias), &LIST, ListApprovals::default()).unwrap().items.is_empty());
        assert_eq!(two.approve(&two.sits(two.second), &asked).unwrap().state, State::Done, "{engine}");
        // Whoever is counted for a rule is counted in the same way: there are two here, not three.
        let rule = two.house.gate.run(&two.sits(two.first), &GET_RULE, Nothing {}).unwrap();
        assert!(rule.actions.iter().all(|ruled| ruled.action != "role.grant" || ruled.able == 2), "{engine}");
        // Who they are is for those who say so, and not for everybody who may know the rule.
        assert_eq!(rule.same_persons.len(), 1, "{engine}");
        let rule = two.house.gate.run(&two.sits(two.member), &GET_RULE, Nothing {}).unwrap();
        assert!(rule.same_persons.is_empty(), "{engine}");
    }
}

#[test]
fn whoever_could_do_nothing_themselves_by_now_has_nothing_done_for_them() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let asked = two.asked();
        // Owners need a second factor from now on, and the one who asked has none.
        let rules = UpdateRules { factor_roles: Some(vec!["owner".to_owned()]), ..UpdateRules::default() };
        two.house.gate.run(&two.sits(two.second), &UPDATE, rules).unwrap();
        let failed = two.approve(&two.sits(two.second), &asked).unwrap();
        assert_eq!(failed.problem.unwrap().code, "approval.requester_gone", "{engine}");
        // Nor for somebody who was suspended, or whose organisation was.
        let late = two.ask(&two.sits(two.first), "account.remove", json!({ "account": two.member })).unwrap();
        two.house.gate.run(&two.sits(two.second), &SUSPEND, AccountRef { account: two.first }).unwrap();
        let failed = two.approve(&two.sits(two.second), &late).unwrap();
        assert_eq!(failed.problem.unwrap().code, "approval.requester_gone", "{engine}");
        assert_eq!(two.roles(), ["member"], "{engine}");
    }
}

#[test]
fn whoever_asked_and_has_signed_out_since_has_it_done() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let rules = UpdateRules {
            factor_roles: Some(vec!["owner".to_owned()]),
            provider_factors: Some(true),
            ..UpdateRules::default()
        };
        two.house.gate.run(&two.sits(two.second), &UPDATE, rules).unwrap();
        // With two factors, shown to a provider, in a session that is no more.
        let sits = two.sits(two.first);
        let proof = Proof { strength: Strength::ProviderFactor, ..*sits.proof().unwrap() };
        let input = json!({ "account": two.member, "role": "billing-viewer" });
        let asked = two.ask(&sits.clone().proven(proof), "role.grant", input.clone()).unwrap();
        assert_eq!(two.approve(&two.sits(two.second), &asked).unwrap().state, State::Done, "{engine}");
        // With a password alone they could do nothing themselves.
        let input = json!({ "account": two.member, "role": "viewer" });
        let asked = two.ask(&sits, "role.grant", input).unwrap();
        let failed = two.approve(&two.sits(two.second), &asked).unwrap();
        assert_eq!(failed.problem.unwrap().code, "approval.requester_gone", "{engine}");
    }
}

#[test]
fn nobody_mails_others_without_end_by_asking_and_taking_back() {
    let (_, db, _keep) = db::testing::sqlite();
    let two = Two::new(db);
    let first = two.sits(two.first);
    for _ in 0..limits::APPROVALS_PER_ACCOUNT_DAY_MAX {
        let asked = two.asked();
        two.house.gate.run(&first, &WITHDRAW, ApprovalRef { id: asked.id }).unwrap();
    }
    let input = json!({ "account": two.member, "role": "viewer" });
    assert_eq!(code(two.ask(&first, "role.grant", input.clone())), "approval.too_many");
    // A colleague is not kept from asking, nor is anybody the next day.
    assert!(two.ask(&two.sits(two.second), "role.grant", input.clone()).is_ok());
    two.house.gate.clock().advance(A_DAY);
    assert!(two.ask(&first, "role.grant", input).is_ok());
}

#[test]
fn what_is_the_platforms_own_is_no_customers_rule() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let first = two.sits(two.first);
        let rule = two.house.gate.run(&first, &GET_RULE, Nothing {}).unwrap();
        let named = |action: &str| rule.actions.iter().find(|ruled| ruled.action == action);
        assert!(named("host.retire").is_none() && named("bill.adjust").is_none(), "{engine}");
        assert!(named("role.grant").is_some_and(|ruled| !ruled.by_provider), "{engine}");
        assert!(named("protection.end").is_some_and(|ruled| ruled.by_provider), "{engine}");
        assert_eq!(two.rule(&first, &["host.retire"]).unwrap_err().code(), "approval.not_approvable", "{engine}");
        let staff = ["administrator", "support"];
        let one = two.house.person("one@operator.example", two.house.operator, &staff);
        let rule = two.house.gate.run(&two.sits(one), &GET_RULE, Nothing {}).unwrap();
        assert_eq!(rule.actions.len(), APPROVABLE.len(), "{engine}");
    }
}

/// The revision of the second of two things that [`BURN`] does something to.
static SECOND: AtomicI64 = AtomicI64::new(1);

/// Stands for an order of two items that each end something.
static BURN: Action<Nothing, Nothing> = Action {
    name: "box.burn",
    summary: "Burns two boxes.",
    effect: Effect::Create,
    run: |tx, _| {
        for (id, revision) in [("one", 1), ("two", SECOND.load(Ordering::SeqCst))] {
            let tenant = Some(tx.cx().tenant());
            let object = Object { kind: "box".to_owned(), id: id.to_owned(), tenant, revision };
            tx.amounts_to("role.grant", object);
        }
        Ok(Nothing {})
    },
};

#[test]
fn everything_that_something_amounts_to_is_held_as_it_was() {
    for (engine, db, _keep) in db::testing::databases() {
        let catalogue = crate::guarded(Catalogue::default().actions(&crate::actions()).actions(&[&BURN]));
        let burn = "permit(principal, action in [Action::\"box.burn\"], resource);\n";
        let policies = format!("{}{burn}", crate::testing::policies());
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let gate = Gate::new(db, Clock::fixed(start), Ids::seeded(5), &policies, catalogue).unwrap();
        let two = Two::over(House::over(gate));
        let (first, second) = (two.sits(two.first), two.sits(two.second));
        SECOND.store(1, Ordering::SeqCst);
        let alone = two.house.gate.run(&first, &BURN, Nothing {}).unwrap_err();
        assert_eq!(alone.code(), "approval.required", "{engine}");
        let asked = two.ask(&first, "box.burn", json!({})).unwrap();
        assert_eq!((asked.object.id.as_str(), &asked.seen["others"][0]["id"]), ("one", &json!("two")), "{engine}");
        assert_eq!(two.approve(&second, &asked).unwrap().state, State::Done, "{engine}");
        let asked = two.ask(&first, "box.burn", json!({})).unwrap();
        SECOND.store(2, Ordering::SeqCst);
        let failed = two.approve(&second, &asked).unwrap();
        assert_eq!(failed.problem.unwrap().code, "approval.object_changed", "{engine}");
    }
}

#[test]
fn nobody_is_brought_in_alone_as_the_owner_of_something_new() {
    for (engine, db, _keep) in db::testing::databases() {
        let two = Two::new(db);
        let (first, second) = (two.sits(two.first), two.sits(two.second));
        two.rule(&first, &["account.invite", "account.remove", "role.grant", "tenant.suspend"]).unwrap();
        let input = json!({ "name": "Annexe", "owner": { "email": "friend@example.com", "name": "Friend" } });
        let make = |input: &Json| {
            let input = serde_json::from_value::<CreateTenant>(input.clone()).unwrap();
            two.house.gate.run(&first, &CREATE_TENANT, input)
        };
        assert_eq!(make(&input).unwrap_err().code(), "approval.required", "{engine}");
        assert!(make(&json!({ "name": "Annexe" })).is_ok(), "{engine}: without people it brings nobody in");
        let asked = two.ask(&first, "tenant.create", input).unwrap();
        assert_eq!((asked.amounts_to.as_str(), asked.object.kind.as_str()), ("account.invite", "tenant"), "{engine}");
        let done = two.approve(&second, &asked).unwrap();
        assert_eq!(done.state, State::Done, "{engine}: {:?}", done.problem);
    }
}
