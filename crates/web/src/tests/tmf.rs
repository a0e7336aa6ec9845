use axum::Router;
use axum::body::Body;
use gate::Catalogue;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::tmf;

const THINGS: &str = "/tmf-api/things/v4/thing";

fn routers() -> Vec<(Router, db::testing::Scratch)> {
    // The blocking client of PostgreSQL cannot be opened on a thread of tokio's.
    let databases = std::thread::spawn(db::testing::databases).join().unwrap();
    databases.into_iter().map(|(_, db, keep)| (router(db), keep)).collect()
}

fn router(db: db::Db) -> Router {
    let web = web(db, Catalogue::default().kinds(&[&THING, &NOTE]));
    tmf::routes(&[&THING, &NOTE]).with_state(web)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_made_read_changed_and_removed() {
    for (router, _keep) in routers() {
        let made = post(&router, THINGS, json!({"name": "a", "id": "mine", "href": "there", "colour": null})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let body = made.json();
        let path = body["href"].as_str().unwrap().to_owned();
        assert_eq!((made.header("location"), made.header("etag")), (path.as_str(), "\"1\""));
        assert_eq!((&body["@type"], &body["state"], &body["name"]), (&json!("Thing"), &json!("new"), &json!("a")));
        assert!(body["id"].as_str().unwrap().starts_with("thg_") && body.get("colour").is_none());
        assert_eq!(body["lastUpdate"], "2026-01-01T00:00:00Z");

        let read = get(&router, &path).await;
        assert_eq!((read.json(), read.header("etag")), (body.clone(), "\"1\""));
        let unchanged = request("GET", &path).header("if-none-match", "\"1\"").body(Body::empty()).unwrap();
        assert_eq!(send(&router, unchanged).await.status, 304);

        // A whole document that was read can be sent back with one thing changed.
        let mut whole = body.clone();
        whole["size"] = 5.into();
        let changed = patch(&router, &path, whole).await;
        assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"2\""), "{changed:?}");
        let stale = request("PATCH", &path).header("if-match", "\"1\"").header("content-type", "application/json");
        assert_eq!(send(&router, stale.body(Body::from("{}")).unwrap()).await.refusal().0, 412);
        let fresh = request("PATCH", &path).header("if-match", "\"2\"").header("content-type", "application/json");
        let fresh =
            send(&router, fresh.body(Body::from(json!({"state": "old", "size": null}).to_string())).unwrap()).await;
        assert_eq!((fresh.status.as_u16(), fresh.json().get("size").is_none()), (200, true));
        assert_eq!(patch(&router, &path, json!({"state": "new"})).await.refusal(), (409, "state".into()));
        assert_eq!(patch(&router, &path, json!({"id": "other"})).await.refusal(), (400, "id".into()));

        let wrong = request("DELETE", &path).header("if-match", "\"9\"").body(Body::empty()).unwrap();
        assert_eq!(send(&router, wrong).await.refusal().0, 412);
        let gone = send(&router, request("DELETE", &path).body(Body::empty()).unwrap()).await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
        assert_eq!(get(&router, &path).await.refusal().0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_and_where() {
    for (router, _keep) in routers() {
        for (document, refusal) in [
            (json!({}), (400, "name")),
            (json!({"name": 1}), (400, "name")),
            (json!({"name": "a", "made": "me"}), (400, "made")),
            (json!({"name": "a", "relatedParty": [{"role": "x"}]}), (400, "relatedParty[0].id")),
            (json!({"name": "a", "validFor": {"startDateTime": "soon"}}), (400, "validFor.startDateTime")),
            (json!({"name": "a", "other": [{"id": "nowhere"}]}), (422, "other[0].id")),
            (json!({"name": "a", "smell": "x"}), (400, "smell")),
            (json!({"name": "a\u{0}"}), (400, "")),
            (json!([]), (400, "")),
        ] {
            let came = post(&router, THINGS, document.clone()).await;
            assert_eq!(came.refusal(), (refusal.0, refusal.1.to_owned()), "{document}");
        }
        let extended = post(&router, THINGS, json!({"name": "a", "@type": "SmellyThing", "smell": "x"})).await.json();
        assert_eq!((&extended["@type"], &extended["smell"]), (&json!("SmellyThing"), &json!("x")));
        assert_eq!(get(&router, &format!("{THINGS}/thg_none")).await.refusal().0, 404);
        assert_eq!(get(&router, &format!("{THINGS}/..%2F..%2Fetc%2Fpasswd")).await.refusal().0, 404);
        assert_eq!(get(&router, &format!("{THINGS}/%ff")).await.refusal().0, 400);
        let nobody = axum::http::Request::get(THINGS).body(Body::empty()).unwrap();
        let nobody = send(&router, nobody).await;
        assert_eq!((nobody.refusal().0, nobody.header("www-authenticate")), (401, "Bearer"));
        let liar = axum::http::Request::get(THINGS).header("authorization", "Bearer x").body(Body::empty()).unwrap();
        assert_eq!(send(&router, liar).await.refusal().0, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_kept_to() {
    let (_, db, _keep) = db::testing::sqlite();
    let router = router(db);
    let put = send(&router, request("PUT", THINGS).body(Body::empty()).unwrap()).await;
    assert_eq!((put.refusal().0, put.header("allow")), (405, "GET, HEAD, POST, OPTIONS"));
    let delete = send(&router, request("DELETE", "/tmf-api/things/v4/note/x").body(Body::empty()).unwrap()).await;
    assert_eq!((delete.refusal().0, delete.header("allow")), (405, "GET, HEAD, OPTIONS"));
    let html = request("GET", THINGS).header("accept", "text/html").body(Body::empty()).unwrap();
    assert_eq!(send(&router, html).await.refusal().0, 406);
    let untyped = request("POST", THINGS).body(Body::from("{}")).unwrap();
    assert_eq!(send(&router, untyped).await.refusal().0, 415);
    let latin = request("POST", THINGS).header("content-type", "application/json; charset=latin1");
    assert_eq!(send(&router, latin.body(Body::from("{}")).unwrap()).await.refusal().0, 415);
    let operations = request("PATCH", &format!("{THINGS}/x")).header("content-type", "application/json-patch+json");
    let operations = send(&router, operations.body(Body::from("[]")).unwrap()).await;
    assert_eq!((operations.refusal().0, operations.header("accept-patch").is_empty()), (415, false));

    let json = |body: Vec<u8>| {
        request("POST", THINGS).header("content-type", "application/json").body(Body::from(body)).unwrap()
    };
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let nested = format!("{{\"name\":\"a\",\"value\":{}{}}}", "[".repeat(40), "]".repeat(40));
    for (hostile, status) in [
        (b"{\"name\":".to_vec(), 400),
        (b"{\"name\":\"\xff\xfe\"}".to_vec(), 400),
        (b"{\"name\":\"a\",\"size\":1e400}".to_vec(), 400),
        (deep.into_bytes(), 400),
        (nested.into_bytes(), 400),
        (vec![b' '; (1 << 20) + 1], 413),
    ] {
        assert_eq!(send(&router, json(hostile)).await.refusal().0, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_filter_sort_cut_and_page() {
    for (router, _keep) in routers() {
        for n in 0..25 {
            let thing = json!({
                "name": format!("thing {n:02}"), "size": n, "bundle": n % 2 == 0, "colour": if n % 5 == 0 { "red" } else { "blue" },
                "relatedParty": [{"id": format!("p{}", n % 3), "role": "owner"}, {"id": "all"}],
                "validFor": {"startDateTime": format!("2026-01-{:02}T00:00:00Z", n + 1)},
            });
            assert_eq!(post(&router, THINGS, thing).await.status, 201);
        }
        for (query, count) in [
            ("", 25),
            ("name=thing%2003", 1),
            ("name=thing%2003,thing+04", 2),
            ("name=thing%2003&name=thing%2004", 2),
            ("size.gt=3&size.lte=7", 4),
            ("size.gte=9.5", 15),
            ("size=07", 1),
            ("bundle=true", 13),
            ("relatedParty.id=p1", 8),
            ("relatedParty.id=p1&bundle=false", 4),
            ("validFor.startDateTime.lt=2026-01-03T08:00:00%2B08:00", 2),
            ("name.regex=0[1-3]$", 3),
            ("colour=red", 5),
            ("colour=red&size.gt=5", 3),
            ("relatedParty.role=owner", 25),
            ("@type=Thing", 25),
            ("state=old", 0),
        ] {
            let came = get(&router, &format!("{THINGS}?limit=100&{query}")).await;
            assert_eq!(came.status, 200, "{query}: {came:?}");
            assert_eq!(came.json().as_array().unwrap().len(), count, "{query}");
            assert_eq!(
                (came.header("x-total-count"), came.header("x-result-count")),
                (count.to_string().as_str(), count.to_string().as_str()),
                "{query}"
            );
            assert_eq!(came.header("link"), "", "{query}");
        }
        for query in
            ["", "sort=-size", "sort=name", "colour=blue", "bundle=true&sort=-validFor.startDateTime", "sort=-id"]
        {
            let whole: Vec<_> =
                get(&router, &format!("{THINGS}?limit=100&{query}")).await.json().as_array().unwrap().clone();
            let seen = walked(&router, &format!("{THINGS}?limit=4&{query}")).await.concat();
            assert_eq!(seen, whole, "{query}");
            let middle = get(&router, &format!("{THINGS}?offset=10&limit=5&{query}")).await.json();
            assert_eq!(middle.as_array().unwrap()[..], whole[10.min(whole.len())..15.min(whole.len())], "{query}");
        }
        let cut = get(&router, &format!("{THINGS}?limit=1&fields=name,relatedParty.role")).await.json();
        let mut names: Vec<_> = cut[0].as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["@type", "href", "id", "name", "relatedParty"]);
        assert_eq!(cut[0]["relatedParty"][0], json!({"id": "p0", "role": "owner"}));
        let empty = get(&router, &format!("{THINGS}?limit=0")).await;
        assert_eq!((empty.json(), empty.header("x-total-count")), (json!([]), "25"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_none_is_on_the_record() {
    let (_, db, _keep) = db::testing::sqlite();
    let operator = "INSERT INTO tenants (id, path) VALUES ($1, '/')";
    db.write(move |conn| conn.execute(operator, db::args![TenantId(9)])).unwrap();
    let router = router(db.clone());
    let liar = axum::http::Request::get(THINGS).header("authorization", "Bearer x").body(Body::empty()).unwrap();
    assert_eq!(send(&router, liar).await.refusal().0, 401);
    // The entry is written behind the answer; a later write has it before itself.
    post(&router, THINGS, json!({"name": "a"})).await;
    let first = "SELECT action, outcome FROM audit_entries ORDER BY seq LIMIT 1";
    let read = |row: &db::Row<'_>| Ok((row.get::<String>(0)?, row.get::<String>(1)?));
    let entry = db.read(move |conn| conn.query_one(first, &[], read)).unwrap();
    assert_eq!(entry, ("session.authenticate".to_owned(), "refused:token.wrong".to_owned()));
}

/// The pages from this one on, each by the link of the one before.
async fn walked(router: &Router, first: &str) -> Vec<Vec<Json>> {
    let (mut pages, mut next) = (Vec::new(), first.to_owned());
    while !next.is_empty() {
        let page = get(router, &next).await;
        assert_eq!(page.status, 200, "{next}: {page:?}");
        assert_eq!(page.header("x-total-count-exceeds"), "", "{next}: few things are counted, or nothing is said");
        pages.push(page.json().as_array().unwrap().clone());
        let link = page.header("link").strip_prefix('<').and_then(|link| link.split_once('>'));
        next = link.map_or(String::new(), |(link, _)| link.to_owned());
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_huge_documents_ends_early_and_loses_none() {
    for (router, _keep) in routers() {
        let huge = "x".repeat(400_000);
        for n in 0..50 {
            let document = json!({"name": format!("n{n:02}"), "colour": "blue", "@type": "HugeThing", "huge": huge});
            assert_eq!(post(&router, THINGS, document).await.status, 201);
        }
        // By index, and by looking at each.
        for query in ["sort=name", "sort=name&colour=blue", "sort=name&offset=1&limit=49"] {
            let query = if query.contains("limit") { query.to_owned() } else { format!("{query}&limit=1000") };
            let pages = walked(&router, &format!("{THINGS}?{query}")).await;
            let names: Vec<String> =
                pages.concat().iter().map(|thing| thing["name"].as_str().unwrap().to_owned()).collect();
            let from = usize::from(query.contains("offset"));
            let wanted: Vec<String> = (from..50).map(|n| format!("n{n:02}")).collect();
            assert_eq!((names, pages.len()), (wanted, 2), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_cannot_honour_is_refused_by_name() {
    let (_, db, _keep) = db::testing::sqlite();
    let router = router(db);
    for (query, attribute) in [
        ("nmae=x", "nmae"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("offset=20000", "offset"),
        ("sort=colour", "sort"),
        ("sort=relatedParty.id", "sort"),
        ("fields=nmae", "fields"),
        ("cursor=zzz", "cursor"),
        ("size=big", "size"),
        ("validFor.startDateTime.gt=soon", "validFor.startDateTime.gt"),
        ("validFor=x", "validFor"),
        ("colour.regex=x", "colour"),
        ("name.regex=(a", "name.regex"),
        ("name.regex=((a{100}){100}){100}", "name.regex"),
        ("name=%ff", ""),
        ("name=%00", ""),
    ] {
        assert_eq!(get(&router, &format!("{THINGS}?{query}")).await.refusal(), (400, attribute.into()), "{query}");
    }
    let long = format!("{THINGS}?name={}", "a".repeat(10_000));
    assert_eq!(get(&router, &long).await.refusal().0, 400);
    // Linear whatever the pattern: the textbook bomb is just a pattern that does not match.
    post(&router, THINGS, json!({"name": "a".repeat(1000)})).await;
    let began = std::time::Instant::now();
    assert_eq!(get(&router, &format!("{THINGS}?name.regex=^(a|a)*b$")).await.header("x-total-count"), "0");
    assert!(began.elapsed().as_secs() < 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_is_answered_once_and_alike() {
    for (router, _keep) in routers() {
        let ask = |token: &'static str, key: &'static str, name: &'static str| {
            let request = axum::http::Request::post(THINGS)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .header("idempotency-key", key);
            send(&router, request.body(Body::from(json!({"name": name}).to_string())).unwrap())
        };
        let first = ask("one", "k", "a").await;
        let again = ask("one", "k", "a").await;
        assert_eq!(
            (first.status, &first.text, first.header("location")),
            (again.status, &again.text, again.header("location"))
        );
        assert_eq!(get(&router, THINGS).await.header("x-total-count"), "1");
        assert_eq!(ask("one", "k", "b").await.refusal(), (422, "Idempotency-Key".into()));
        assert_ne!(ask("two", "k", "a").await.json()["id"], first.json()["id"]);
        // A refused request keeps nothing: its key can be used again.
        assert_eq!(ask("one", "l", "\u{0}").await.refusal().0, 400);
        assert_eq!(ask("one", "l", "fine").await.status, 201);
        // Rivals with one key make one thing between them.
        let rivals = futures_util::future::join_all((0..8).map(|_| ask("one", "rival", "r"))).await;
        assert!(rivals.iter().all(|came| came.text == rivals[0].text && came.status == 201), "{rivals:?}");
        assert_eq!(get(&router, &format!("{THINGS}?name=r")).await.header("x-total-count"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_sees_nothing() {
    for (router, _keep) in routers() {
        let path = post(&router, THINGS, json!({"name": "a"})).await.header("location").to_owned();
        let stranger = |method: &str, at: &str| {
            let request = axum::http::Request::builder().method(method).uri(at).header("authorization", "Bearer two");
            send(&router, request.header("content-type", "application/json").body(Body::from("{}")).unwrap())
        };
        for method in ["GET", "PATCH", "DELETE"] {
            assert_eq!(stranger(method, &path).await.refusal().0, 404);
        }
        assert_eq!(stranger("GET", THINGS).await.json(), json!([]));
    }
}

#[test]
fn a_filter_without_an_index_gives_up_clearly() {
    let (_, db, _keep) = db::testing::sqlite();
    let web = web(db.clone(), Catalogue::default().kinds(&[&THING, &NOTE]));
    db.write(|conn| {
        for n in 0..11_000u128 {
            let body = json!({"name": "x", "colour": "blue"}).as_object().unwrap().clone();
            let (id, at) = (base::id::format("thg", n), base::time::Timestamp::UNIX_EPOCH);
            let record = db::Record {
                id,
                kind: "thing".into(),
                tenant: TenantId(1),
                revision: 1,
                state: None,
                class: Class::Internal,
                body,
                created: at,
                updated: at,
            };
            db::records::insert(conn, &record, &[])?;
        }
        Ok(())
    })
    .unwrap();
    let router = tmf::routes(&[&THING]).with_state(web);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        assert_eq!(get(&router, &format!("{THINGS}?colour=red")).await.refusal(), (400, "colour".into()));
        let filled = get(&router, &format!("{THINGS}?colour=blue&limit=2")).await;
        assert_eq!((filled.status.as_u16(), filled.header("x-total-count-exceeds")), (200, "10000"));
        assert!(!filled.header("link").is_empty());
        assert_eq!(get(&router, THINGS).await.header("x-total-count"), "11000");
    });
}

proptest! {
    #[test]
    fn no_query_breaks_the_parser(raw in "\\PC{0,80}") {
        let _ = tmf::query::parse(&THING, &raw);
    }

    #[test]
    fn what_is_encoded_is_read_back(name in "\\PC{1,30}") {
        prop_assume!(!name.contains(['\0', '\\', ',']));
        let encoded: String = name.bytes().map(|b| format!("%{b:02X}")).collect();
        let asked = tmf::query::parse(&THING, &format!("name={encoded}&limit=3")).unwrap();
        let tmf::query::Test::Compare(_, values) = &asked.filters[0].test else { panic!() };
        prop_assert_eq!(values, &vec![name]);
    }

    #[test]
    fn a_cursor_is_read_back_and_belongs_to_its_list(value in "[^\0]{0,40}", id in "[a-z0-9_]{1,30}") {
        let list = tmf::query::parse(&THING, "state=new&sort=name").unwrap();
        let cursor = tmf::query::write_cursor(&list.repeated, &value, &id);
        let next = tmf::query::parse(&THING, &format!("{}cursor={}", list.repeated, cursor)).unwrap();
        prop_assert_eq!(next.after, Some((value, id)));
        let other = tmf::query::parse(&THING, &format!("state=old&sort=name&cursor={cursor}"));
        prop_assert!(other.is_err());
    }
}
