use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::id::TenantId;
use base::{Error, Kind as ErrorKind};
use db::Class;
use db::records::{Key, Query, Scope};
use serde_json::{Map, Value as Json, json};

use crate::shape::{Field, Shape, Type};
use crate::testing::{gate, somebody};
use crate::{Action, Bounds, Catalogue, Cx, Effect, Gate, Kind, Policies, StateMachine, Verb, free};

static PART: Shape =
    Shape { name: "Part", fields: &[Field::new("id", Type::Text), Field::new("size", Type::Integer).required()] };
static THING: Kind = Kind {
    name: "thing",
    prefix: "thg",
    path: "/thing",
    class: Class::Internal,
    shape: &Shape {
        name: "Thing",
        fields: &[
            Field::new("name", Type::Text).required(),
            Field::new("state", Type::Text),
            Field::new("part", Type::Part(&PART)).many(),
            Field::new("other", Type::Ref(&["thing"])),
            Field::new("weight", Type::Number),
        ],
    },
    keys: &[Key::text("name"), Key::text("state"), Key::number("weight")],
    states: Some(&StateMachine { attribute: "state", initial: "new", moves: &[("new", &["old"]), ("old", &[])] }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

static FAIL: Action<String, ()> = Action {
    name: "thing.fail",
    summary: "Writes, then fails.",
    effect: Effect::Change,
    run: |tx, name| {
        THING.create_in(tx, body(json!({ "name": name })).as_ref())?;
        Err(Error::conflict("thing.failed", "as asked"))
    },
};

struct Body(Map<String, Json>);
impl AsRef<Map<String, Json>> for Body {
    fn as_ref(&self) -> &Map<String, Json> {
        &self.0
    }
}
fn body(json: Json) -> Body {
    Body(json.as_object().unwrap().clone())
}
fn object(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}
fn catalogue() -> Catalogue {
    Catalogue::default().kinds(&[&THING]).actions(&[&FAIL])
}
fn audit(gate: &Gate) -> Vec<(String, String)> {
    gate.db()
        .read(|conn| {
            conn.query("SELECT action, outcome FROM audit_entries ORDER BY seq", &[], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .unwrap()
}
fn page<'s>(scope: &'s Scope, sort: Option<&'static str>) -> Query<'s> {
    Query { kind: "thing", scope, conditions: vec![], sort, descending: false, after: None, offset: 0, limit: 100 }
}

#[test]
fn a_record_lives_through_create_change_and_delete_with_its_facts_and_entries() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate(db, catalogue());
        let cx = somebody(TenantId(1));
        let made = THING.create(&gate, &cx, object(json!({"name": "a", "weight": 2.5}))).unwrap();
        assert_eq!((made.revision, made.state.as_deref()), (1, Some("new")), "{engine}");
        let changed =
            THING.update(&gate, &cx, &made.id, Some(1), object(json!({"weight": null, "state": "old"}))).unwrap();
        assert_eq!((changed.revision, changed.body.get("weight")), (2, None));
        assert_eq!(
            THING.update(&gate, &cx, &made.id, Some(1), object(json!({"name": "b"}))).unwrap_err().kind(),
            ErrorKind::Stale
        );
        assert_eq!(
            THING.update(&gate, &cx, &made.id, None, object(json!({"state": "new"}))).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        THING.delete(&gate, &cx, &made.id, Some(2)).unwrap();
        assert_eq!(THING.get(&gate, &cx, &made.id).unwrap_err().kind(), ErrorKind::NotFound);
        let first = {
            let id = made.id.clone();
            gate.db().read(move |c| db::records::at_revision(c, "thing", &id, 1)).unwrap().unwrap()
        };
        assert_eq!(first.body, made.body);
        let revisions = |c: &mut db::Conn<'_>| {
            c.query("SELECT revision FROM record_revisions ORDER BY revision", &[], |r| r.get::<i64>(0))
        };
        assert_eq!(gate.db().read(revisions).unwrap(), [1, 2]);
        let entries: Vec<String> = audit(&gate).into_iter().map(|(action, _)| action).collect();
        assert_eq!(entries, ["thing.create", "thing.update", "thing.delete"]);
    }
}

#[test]
fn a_failing_action_leaves_nothing_and_its_neighbours_stay() {
    for (_, db, _keep) in db::testing::databases() {
        let gate = gate(db, catalogue());
        let cx = somebody(TenantId(1));
        std::thread::scope(|s| {
            for n in 0..20 {
                let (gate, cx) = (gate.clone(), cx.clone());
                s.spawn(move || match n % 2 {
                    0 => drop(THING.create(&gate, &cx, object(json!({"name": format!("n{n}")}))).unwrap()),
                    _ => assert_eq!(gate.run(&cx, &FAIL, format!("n{n}")).unwrap_err().code(), "thing.failed"),
                });
            }
        });
        let found = THING.list(&gate, &cx, true, |scope| page(scope, Some("name"))).unwrap();
        assert_eq!((found.total, found.records.len()), (Some(10), 10));
        assert!(found.records.windows(2).all(|w| w[0].1 < w[1].1));
    }
}

#[test]
fn another_tenants_record_does_not_exist() {
    for (_, db, _keep) in db::testing::databases() {
        let gate = gate(db, catalogue());
        let made = THING.create(&gate, &somebody(TenantId(1)), object(json!({"name": "a"}))).unwrap();
        let stranger = somebody(TenantId(2));
        for error in [
            THING.get(&gate, &stranger, &made.id).unwrap_err(),
            THING.update(&gate, &stranger, &made.id, None, object(json!({"name": "b"}))).unwrap_err(),
            THING.delete(&gate, &stranger, &made.id, None).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        assert!(THING.list(&gate, &stranger, true, |scope| page(scope, None)).unwrap().records.is_empty());
        THING.create(&gate, &stranger, object(json!({"name": "mine"}))).unwrap();
        let reached = || -> BTreeSet<(String, String, String)> {
            let sql = "SELECT action, outcome, object_id FROM audit_entries WHERE outcome <> 'done'";
            let read = |row: &db::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            gate.db().read(move |c| c.query(sql, &[], read)).unwrap().into_iter().collect()
        };
        let entry = |verb: &str| (format!("thing.{verb}"), "refused:thing.not_found".to_owned(), made.id.clone());
        let wanted = BTreeSet::from([entry("get"), entry("update"), entry("delete")]);
        // Nobody who is refused waits until that is written.
        let since = std::time::Instant::now();
        while reached() != wanted && since.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        assert_eq!(reached(), wanted, "and who reached for it is on the log");
        assert_eq!(THING.get(&gate, &stranger, "thg_nowhere").unwrap_err().kind(), ErrorKind::NotFound);
        let pointing =
            THING.create(&gate, &stranger, object(json!({"name": "x", "other": {"id": made.id}}))).unwrap_err();
        assert_eq!((pointing.kind(), pointing.attribute()), (ErrorKind::Dangling, Some("other.id")));
    }
}

#[test]
fn nobody_is_refused_and_the_refusal_is_recorded() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let error = THING.create(&gate, &Cx::nobody(TenantId(1)), object(json!({"name": "a"}))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    // The entry is written behind the answer; a later write has it before itself.
    THING.create(&gate, &somebody(TenantId(1)), object(json!({"name": "a"}))).unwrap();
    assert_eq!(audit(&gate)[0], ("thing.create".to_owned(), "refused:session.required".to_owned()));
}

#[test]
fn what_failed_in_part_states_nothing_later() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let stated = Arc::new(AtomicUsize::new(0));
    let count = stated.clone();
    gate.react_with(Box::new(move |_, fact| {
        count.fetch_add(usize::from(fact.name() == "Promised"), Ordering::SeqCst);
        Ok(())
    }));
    gate.perform(&somebody(TenantId(1)), "thing.create", Effect::Create, [0; 32], |tx| {
        let failed = tx.attempt(|tx| {
            tx.fact_once_stored(Promised, TenantId(1));
            Err::<(), _>(Error::conflict("thing.failed", "on purpose"))
        });
        assert_eq!(failed.unwrap_err().code(), "thing.failed");
        THING.create_in(tx, &object(json!({"name": "a"}))).map(drop)
    })
    .unwrap();
    assert_eq!(stated.load(Ordering::SeqCst), 0);
}

#[derive(Debug)]
struct Promised;
impl crate::Fact for Promised {
    fn name(&self) -> &'static str {
        "Promised"
    }
    fn object(&self) -> (&str, &str) {
        ("thing", "")
    }
}

#[test]
fn being_refused_without_end_does_not_fill_the_log() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let from = |address: &str| Cx::nobody(TenantId(1)).for_request("", address.parse().ok());
    let knock = |cx: &Cx| THING.create(&gate, cx, object(json!({"name": "a"}))).unwrap_err();
    for _ in 0..base::limits::REFUSALS_PER_MINUTE_MAX + 50 {
        assert_eq!(knock(&from("192.0.2.1")).kind(), ErrorKind::Unauthenticated);
    }
    // Somebody else's refusal is not lost in it.
    knock(&from("192.0.2.2"));
    THING.create(&gate, &somebody(TenantId(1)), object(json!({"name": "a"}))).unwrap();
    let refused = audit(&gate).iter().filter(|(_, outcome)| outcome.starts_with("refused:")).count();
    assert_eq!(refused, base::limits::REFUSALS_PER_MINUTE_MAX as usize + 1);
}

#[test]
fn wrong_documents_name_the_attribute() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let cx = somebody(TenantId(1));
    for (document, attribute, kind) in [
        (json!({}), "name", ErrorKind::Invalid),
        (json!({"name": 7}), "name", ErrorKind::Invalid),
        (json!({"name": "a", "nmae": 1}), "nmae", ErrorKind::Invalid),
        (json!({"name": "a", "part": {}}), "part", ErrorKind::Invalid),
        (json!({"name": "a", "part": [{"size": 1}, {"size": 1.5}]}), "part[1].size", ErrorKind::Invalid),
        (json!({"name": "a", "state": "gone"}), "state", ErrorKind::Invalid),
        (json!({"name": "a", "other": {"id": "nowhere"}}), "other.id", ErrorKind::Dangling),
    ] {
        let error = THING.create(&gate, &cx, object(document.clone())).unwrap_err();
        assert_eq!((error.attribute(), error.kind()), (Some(attribute), kind), "{document}");
    }
    let extended = THING.create(&gate, &cx, object(json!({"name": "a", "@type": "MyThing", "colour": "red"}))).unwrap();
    assert_eq!(extended.body["colour"], "red");
}

#[test]
fn what_is_sent_leaves_room_for_what_the_platform_adds() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let cx = somebody(TenantId(1));
    let long = |bytes: usize| object(json!({ "name": "a", "@type": "MyThing", "note": "x".repeat(bytes) }));
    let too_long = base::limits::RECORD_SENT_BYTES_MAX + 1;
    assert_eq!(THING.create(&gate, &cx, long(too_long)).unwrap_err().code(), "record.too_large");
    let made = THING.create(&gate, &cx, long(too_long / 2)).unwrap();
    // Halves that are merged are a whole.
    let more = object(json!({ "more": "x".repeat(too_long / 2) }));
    assert_eq!(THING.update(&gate, &cx, &made.id, None, more).unwrap_err().code(), "record.too_large");
    assert_eq!(THING.get(&gate, &cx, &made.id).unwrap().revision, 1);
}

#[test]
fn reactions_run_in_the_same_transaction() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let note = seen.clone();
    gate.react_with(Box::new(move |tx, fact| {
        let (_, id) = fact.object();
        let record = tx.peek(&THING, id)?;
        note.lock().unwrap().insert(record.body["name"].to_string());
        if record.body["name"] == "forbidden" { Err(Error::conflict("thing.name", "not that name")) } else { Ok(()) }
    }));
    let cx = somebody(TenantId(1));
    THING.create(&gate, &cx, object(json!({"name": "fine"}))).unwrap();
    assert!(THING.create(&gate, &cx, object(json!({"name": "forbidden"}))).is_err());
    // Not a count: what fails after it has written is run again.
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert_eq!(THING.list(&gate, &cx, true, |scope| page(scope, None)).unwrap().total, Some(1));
}

#[test]
fn policies_are_refused_as_a_whole_on_any_error() {
    let actions = ["thing.create".to_owned()];
    for (text, complaint) in [
        ("permit(principal, action, resource);", "names no action"),
        ("permit(principal, action == Action::\"thing.burn\", resource);", "thing.burn"),
        (
            "permit(principal, action == Action::\"thing.create\", resource) when { principal.rols.contains(\"x\") };",
            "rols",
        ),
        ("permit(principal", "parse"),
    ] {
        let error = Policies::parse(text, &actions).map(drop).unwrap_err();
        assert!(error.message().contains(complaint), "{text}: {}", error.message());
    }
}

/// Somebody with a token for `scopes`, who comes from 192.0.2.7.
fn with_token(scopes: Option<&[&str]>, networks: &[&str], program: bool) -> Cx {
    let scopes = scopes.map(|all| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
    let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
    let catalogue = catalogue().for_people(&["thing.fail"]);
    let bounds = Bounds::new(&catalogue, scopes.as_deref(), networks, program);
    somebody(TenantId(1)).bounded(bounds).for_request("", "192.0.2.7".parse().ok())
}

#[test]
fn a_token_does_what_its_scopes_and_the_policies_both_allow() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let made = THING.create(&gate, &somebody(TenantId(1)), object(json!({"name": "a"}))).unwrap();
    let create = |scopes: &[&str]| {
        THING.create(&gate, &with_token(Some(scopes), &[], false), object(json!({"name": "b"}))).map(drop)
    };
    let get = |scopes: &[&str]| THING.get(&gate, &with_token(Some(scopes), &[], false), &made.id).map(drop);
    for scopes in [&["thing.create"][..], &["thing:write"], &["*:write"], &["other:read", "thing.create"]] {
        assert!(create(scopes).is_ok(), "{scopes:?}");
    }
    for scopes in [&["thing.get"][..], &["thing:read"], &["*:read"], &["other:write"], &[], &["thing"], &["*"]] {
        assert_eq!(create(scopes).unwrap_err().code(), "token.out_of_scope", "{scopes:?}");
    }
    for scopes in [&["thing.get"][..], &["thing:read"], &["thing:write"], &["*:read"]] {
        assert!(get(scopes).is_ok(), "{scopes:?}");
    }
    // What the policies forbid stays forbidden.
    let nobody = Cx::nobody(TenantId(1)).bounded(Bounds::new(&catalogue(), None, vec![], false));
    assert_eq!(THING.get(&gate, &nobody, &made.id).unwrap_err().kind(), ErrorKind::Unauthenticated);
    // A refusal is on the record.
    THING.create(&gate, &somebody(TenantId(1)), object(json!({"name": "c"}))).unwrap();
    assert!(audit(&gate).contains(&("thing.create".to_owned(), "refused:token.out_of_scope".to_owned())));
}

#[test]
fn a_token_is_used_from_its_networks_alone() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let list = |cx: &Cx| THING.list(&gate, cx, true, |scope| page(scope, None)).map(drop);
    assert!(list(&with_token(None, &["10.0.0.0/8", "192.0.2.0/24"], false)).is_ok());
    let elsewhere = with_token(None, &["10.0.0.0/8"], false);
    assert_eq!(list(&elsewhere).unwrap_err().code(), "token.network");
    assert!(list(&elsewhere.for_request("", "10.2.3.4".parse().ok())).is_ok());
    assert_eq!(list(&elsewhere.for_request("", None)).unwrap_err().code(), "token.network");
}

#[test]
fn a_programs_token_is_never_for_what_only_people_do() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    for scopes in [None, Some(&["*:write"][..]), Some(&["thing.fail"])] {
        let error = gate.run(&with_token(scopes, &[], true), &FAIL, "x".to_owned()).unwrap_err();
        assert_eq!(error.code(), "token.out_of_scope", "{scopes:?}");
    }
    assert_eq!(gate.run(&with_token(None, &[], false), &FAIL, "x".to_owned()).unwrap_err().code(), "thing.failed");
}

#[test]
fn one_token_covers_no_more_than_its_own_scopes() {
    let catalogue = catalogue();
    let narrow = Bounds::new(&catalogue, Some(&["thing:read".to_owned()]), vec![], false);
    assert!(narrow.covers(&catalogue, "thing.get") && narrow.covers(&catalogue, "thing:read"));
    assert!(!narrow.covers(&catalogue, "thing:write") && !narrow.covers(&catalogue, "*:write"));
    assert!(Bounds::new(&catalogue, None, vec![], false).covers(&catalogue, "*:write"));
}
