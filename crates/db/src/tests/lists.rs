use base::id::TenantId;
use base::time::Timestamp;
use serde_json::json;

use crate::records::{self, Condition, Key, Op, Query, Scope, sortable};
use crate::testing::{databases, sqlite};
use crate::{Class, Db, Record};

const KEYS: [Key; 3] = [Key::text("state"), Key::text("name"), Key::number("size")];

/// `size` counts up, `name` is `n…`, `state` is open for one in a hundred.
fn fill(db: &Db, tenant: u128, numbers: std::ops::Range<u128>, class: Class) {
    db.write(move |conn| {
        for n in numbers.clone() {
            let state = if n % 100 == 0 { "open" } else { "closed" };
            let body = json!({"name": format!("n{n:06}"), "size": n as u64, "state": state});
            let at = Timestamp::UNIX_EPOCH;
            let record = Record {
                id: base::id::format("thg", n),
                kind: "thing".into(),
                tenant: TenantId(tenant),
                revision: 1,
                state: None,
                class,
                body: body.as_object().cloned().unwrap_or_default(),
                created: at,
                updated: at,
            };
            records::insert(conn, &record, &KEYS)?;
        }
        Ok(())
    })
    .unwrap();
}

fn own(tenants: &[u128]) -> Scope {
    Scope::Tenants { own: tenants.iter().map(|t| TenantId(*t)).collect(), above: vec![] }
}

fn query(scope: &Scope) -> Query<'_> {
    Query { kind: "thing", scope, conditions: vec![], sort: None, descending: false, after: None, offset: 0, limit: 20 }
}

fn holds(path: &str, op: Op, value: serde_json::Value) -> Condition {
    let key = KEYS.iter().find(|key| key.path == path).unwrap();
    Condition { path: path.into(), op, values: vec![sortable(key.of, &value).unwrap()] }
}

fn names(db: &Db, query: &Query<'_>) -> (Vec<String>, Option<u64>) {
    let scope = query.scope.clone();
    let query = Query {
        scope: &scope,
        kind: "thing",
        sort: query.sort.map(|s| KEYS.iter().find(|k| k.path == s).unwrap().path),
        ..query.clone()
    };
    let (conditions, after) = (query.conditions.clone(), query.after.clone());
    let (sort, descending, offset, limit) =
        (query.sort.map(str::to_owned), query.descending, query.offset, query.limit);
    let scope = scope.clone();
    db.read(move |conn| {
        let query =
            Query { kind: "thing", scope: &scope, conditions, sort: sort.as_deref(), descending, after, offset, limit };
        let found = records::list(conn, &query)?;
        let total = records::total(conn, &query)?;
        Ok((
            found.into_iter().map(|(record, _)| record.body["name"].as_str().unwrap_or("").to_owned()).collect(),
            total,
        ))
    })
    .unwrap()
}

#[test]
fn several_tenants_make_one_list_in_order() {
    for (engine, db, _keep) in databases() {
        fill(&db, 1, 0..30, Class::Internal);
        fill(&db, 2, 30..60, Class::Internal);
        fill(&db, 3, 60..90, Class::Public);
        fill(&db, 3, 90..120, Class::Internal);
        let all: Vec<String> = (0..90).map(|n| format!("n{n:06}")).collect();
        let sight = Scope::Tenants { own: vec![TenantId(1), TenantId(2)], above: vec![TenantId(3)] };
        for (sort, descending) in [(None, false), (None, true), (Some("name"), false), (Some("size"), true)] {
            let mut wanted = all.clone();
            if descending {
                wanted.reverse();
            }
            let ask = |offset, limit| names(&db, &Query { sort, descending, offset, limit, ..query(&sight) });
            assert_eq!(ask(0, 200), (wanted.clone(), Some(90)), "{engine} {sort:?}");
            assert_eq!(ask(25, 20).0, wanted[25..45], "{engine} {sort:?}");
        }
        let many: Vec<u128> = (1..40).collect();
        assert_eq!(names(&db, &Query { limit: 200, ..query(&own(&many)) }).0.len(), 120, "{engine}");
        let few = Query { conditions: vec![holds("size", Op::Gte, json!(55))], sort: Some("name"), ..query(&sight) };
        let (found, total) = names(&db, &few);
        assert_eq!((found[0].as_str(), found.len(), total), ("n000055", 20, Some(35)), "{engine}");
        assert_eq!(names(&db, &query(&own(&[]))), (vec![], Some(0)), "{engine}");
    }
}

#[test]
fn every_way_finds_the_same() {
    for (engine, db, _keep) in databases() {
        fill(&db, 1, 0..12_000, Class::Internal);
        let scope = own(&[1]);
        let ask = |conditions: Vec<Condition>, sort| names(&db, &Query { conditions, sort, ..query(&scope) });
        // Few hold it; many hold it; two conditions; by the sorted path itself.
        assert_eq!(ask(vec![holds("state", Op::Eq, json!("open"))], None).0[1], "n000100", "{engine}");
        assert_eq!(ask(vec![holds("state", Op::Eq, json!("open"))], Some("size")).1, Some(120), "{engine}");
        let closed = vec![holds("state", Op::Eq, json!("closed"))];
        assert_eq!(
            (ask(closed.clone(), None).0[0].as_str(), ask(closed.clone(), None).1),
            ("n000001", None),
            "{engine}"
        );
        assert_eq!(ask(closed, Some("name")).0[0], "n000001", "{engine}");
        let both = vec![holds("state", Op::Eq, json!("closed")), holds("size", Op::Lt, json!(3))];
        assert_eq!(ask(both, None), (vec!["n000001".to_owned(), "n000002".to_owned()], Some(2)), "{engine}");
        let most = vec![holds("size", Op::Gte, json!(100))];
        assert_eq!(
            (ask(most.clone(), Some("size")).0[0].as_str(), ask(most, None).0[0].as_str()),
            ("n000100", "n000100"),
            "{engine}"
        );
    }
}

#[test]
fn no_list_reads_more_than_its_page() {
    let (_, db, _keep) = sqlite();
    fill(&db, 1, 0..12_000, Class::Internal);
    for scope in
        [Scope::All, own(&[1]), own(&[1, 2]), Scope::Tenants { own: vec![TenantId(2)], above: vec![TenantId(1)] }]
    {
        let late = Some((sortable(records::KeyType::Number, &json!(11_000)).unwrap(), base::id::format("thg", 11_000)));
        for (conditions, sort, after) in [
            (vec![], None, None),
            (vec![], None, Some((String::new(), base::id::format("thg", 11_000)))),
            (vec![], Some("size"), None),
            (vec![], Some("size"), late),
            (vec![holds("state", Op::Eq, json!("closed"))], None, None),
            (vec![holds("name", Op::Eq, json!("n000007"))], Some("size"), None),
            (vec![holds("size", Op::Gte, json!(100))], Some("size"), None),
        ] {
            let scope = scope.clone();
            let shown = format!("{scope:?} {conditions:?} {sort:?}");
            let from_above = matches!(&scope, Scope::Tenants { above, .. } if !above.is_empty());
            let few = conditions.iter().any(|c| c.path == "name");
            let plan = db
                .read(move |conn| records::explain(conn, &Query { conditions, sort, after, ..query(&scope) }))
                .unwrap();
            for (n, step) in plan.iter().enumerate() {
                let scans = step.starts_with("SCAN")
                    && !step.contains("SCAN f")
                    && !step.contains("SCAN part")
                    && !step.contains("VIRTUAL TABLE")
                    && !step.contains("CONSTANT");
                let sorts = step.contains("TEMP B-TREE FOR ORDER BY") || step.contains("TEMP B-TREE FOR LAST");
                assert!(!scans, "{shown}: {plan:#?}");
                // Merging the parts sorts what they were limited to.
                let merges = n > 0 && plan[n - 1].starts_with("SCAN part");
                assert!(!sorts || merges || few || from_above, "{shown}: {plan:#?}");
            }
        }
    }
}

/// What `record_keys` holds of a record: paths with their values.
fn stored(db: &Db, id: &str) -> Vec<(String, String)> {
    let id = id.to_owned();
    let sql = "SELECT path, value FROM record_keys WHERE id = $1 ORDER BY path, value";
    let found = db.read(move |c| c.query(sql, crate::args![id], |row| Ok((row.get::<i64>(0)?, row.get(1)?)))).unwrap();
    let path =
        |number| ["state", "tag", "name"].into_iter().find(|path| records::number("thing", path) == number).unwrap();
    let mut named: Vec<_> = found.into_iter().map(|(number, value)| (path(number).to_owned(), value)).collect();
    named.sort();
    named
}

#[test]
fn a_changed_record_has_the_keys_of_its_present_form_alone() {
    const TAGGED: [Key; 3] = [Key::text("state"), Key::text("tag"), Key::text("name")];
    for (engine, db, _keep) in databases() {
        let at = Timestamp::UNIX_EPOCH;
        let body = |json: serde_json::Value| json.as_object().cloned().unwrap_or_default();
        let mut record = Record {
            id: base::id::format("thg", 1),
            kind: "thing".into(),
            tenant: TenantId(1),
            revision: 1,
            state: None,
            class: Class::Internal,
            body: body(json!({"state": "open", "tag": ["a", "b"], "name": "n"})),
            created: at,
            updated: at,
        };
        let first = record.clone();
        db.write(move |c| records::insert(c, &first, &TAGGED)).unwrap();
        for (after, expected) in [
            (json!({"state": "open", "tag": ["b", "c"], "name": "n"}), "name=n state=open tag=b tag=c"),
            (json!({"state": "closed", "tag": ["b", "c"], "name": "n"}), "name=n state=closed tag=b tag=c"),
            (json!({"state": "closed", "name": "n"}), "name=n state=closed tag="),
            (json!({"state": "closed", "tag": "", "name": "m"}), "name=m state=closed tag="),
        ] {
            record.body = body(after);
            let mut changed = record.clone();
            record = db
                .write(move |c| {
                    let was = records::standing(c, &changed)?;
                    records::update(c, &mut changed, &was, &TAGGED, at)?;
                    Ok(changed.clone())
                })
                .unwrap();
            let found: Vec<String> =
                stored(&db, &record.id).into_iter().map(|(path, value)| format!("{path}={value}")).collect();
            assert_eq!(found.join(" "), expected, "{engine}");
        }
    }
}
