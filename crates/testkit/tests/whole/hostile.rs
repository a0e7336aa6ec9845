//! Requests that nobody means well with, at every sort of entrance: each gets a
//! clear answer or a closed connection, nothing changes, and others are served.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::Api;

use crate::house::{House, Plan};

const PARTY: &str = "/tmf-api/party/v4/organization";

/// A connection that is written to by hand.
fn connect(api: &Api) -> TcpStream {
    let stream = TcpStream::connect(api.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Everything that comes back until the other side closes.
fn rest(mut stream: TcpStream) -> String {
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    String::from_utf8_lossy(&got).into_owned()
}

/// What is answered to these bytes; the connection may be closed on the way.
fn raw(api: &Api, bytes: &[u8]) -> String {
    let mut stream = connect(api);
    let _ = stream.write_all(bytes);
    rest(stream)
}

/// What is answered to these bytes, after which nothing will come.
fn broken_off(api: &Api, bytes: &[u8]) -> String {
    let mut stream = connect(api);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    rest(stream)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// A request's head; `more` ends its lines itself.
fn head(api: &Api, method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n{more}\r\n",
        api.token
    )
}

fn assert_clear(what: &str, answer: &str, wanted: &[u16]) {
    assert!(wanted.contains(&status(answer)), "{what}: {:.400}", answer);
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let error: Json = serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: {answer:.400}"));
    assert_eq!(error["@type"], "Error", "{what}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{what}: {error}");
}

/// Bodies with what may be answered to them.
fn bodies() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let nested =
        |n: usize, open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(n), close.repeat(n)).into_bytes();
    vec![
        ("nothing", vec![], &[400]),
        ("half a document", b"{\"tradingName\": \"x".to_vec(), &[400]),
        ("two documents", b"{} {}".to_vec(), &[400]),
        ("a list", b"[{}]".to_vec(), &[400]),
        ("a word", b"null".to_vec(), &[400]),
        ("a list that nests", nested(100_000, "[", "]"), &[400]),
        ("an object that nests", nested(60, "{\"a\":", "}"), &[400]),
        ("not UTF-8", b"{\"tradingName\": \"\xff\xfe\"}".to_vec(), &[400]),
        ("half a surrogate pair", b"{\"tradingName\": \"\\ud800\"}".to_vec(), &[400]),
        ("U+0000", b"{\"tradingName\": \"a\\u0000b\"}".to_vec(), &[400]),
        ("U+0000 in a name", b"{\"a\\u0000b\": 1}".to_vec(), &[400]),
        ("a number beyond all numbers", b"{\"tradingName\": 1e999999}".to_vec(), &[400]),
        ("an unknown attribute", b"{\"tradingName\": \"x\", \"isAdmin\": true}".to_vec(), &[400]),
        ("too much", vec![b' '; (1 << 20) + 1], &[413]),
    ]
}

/// Where documents come in: method, path, media type.
fn entrances(record: &str) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("POST", PARTY.into(), "application/json"),
        ("PATCH", record.into(), "application/merge-patch+json"),
        ("POST", "/tmf-api/productOrderingManagement/v4/productOrder".into(), "application/json"),
        ("POST", "/tmf-api/party/v4/hub".into(), "application/json"),
        ("POST", "/api/v1/tenants".into(), "application/json"),
        ("POST", "/api/v1/flow-definitions".into(), "application/json"),
        ("POST", "/api/v1/sessions".into(), "application/json"),
    ]
}

#[test]
fn hostile_documents_are_refused_clearly_and_change_nothing() {
    let house = House::new("hostile", Plan::default());
    let api = &house.admin;
    let made = api.post(PARTY, &json!({ "tradingName": "Unharmed" })).unwrap();
    let record = format!("{PARTY}/{}", made["id"].as_str().unwrap());
    let state =
        || [PARTY, "/api/v1/tenants", "/api/v1/hubs", "/api/v1/flow-definitions"].map(|path| api.get(path).unwrap());
    let before = state();
    for (method, path, media) in entrances(&record) {
        let request = |body: &[u8], more: &str| {
            let mut bytes = head(api, method, &path, &format!("content-type: {media}\r\n{more}")).into_bytes();
            bytes.extend_from_slice(body);
            bytes
        };
        let said = |body: &[u8], more: &str| raw(api, &request(body, more));
        for (what, body, wanted) in bodies() {
            let what = format!("{method} {path}: {what}");
            assert_clear(&what, &said(&body, &format!("content-length: {}\r\n", body.len())), wanted);
            let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
            chunked.extend_from_slice(&body);
            chunked.extend_from_slice(b"\r\n0\r\n\r\n");
            let chunked = if body.is_empty() { b"0\r\n\r\n".to_vec() } else { chunked };
            assert_clear(&format!("{what}, in chunks"), &said(&chunked, "transfer-encoding: chunked\r\n"), wanted);
        }
        // What is announced and does not come; what was not announced.
        assert_clear("announced as huge", &said(b"", "content-length: 9999999999\r\n"), &[413]);
        let broken = broken_off(api, &request(b"{\"trad", "content-length: 400\r\n"));
        assert!(matches!(status(&broken), 0 | 400), "{broken:.300}");
        let broken = broken_off(api, &request(b"5\r\n{\"tra\r\nzz\r\n", "transfer-encoding: chunked\r\n"));
        assert!(matches!(status(&broken), 0 | 400), "{broken:.300}");
        for media in [
            "text/plain",
            "application/xml",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "\u{1}",
        ] {
            let mut bytes =
                head(api, method, &path, &format!("content-type: {media}\r\ncontent-length: 2\r\n")).into_bytes();
            bytes.extend_from_slice(b"{}");
            let answer = raw(api, &bytes);
            assert!(matches!(status(&answer), 400 | 415), "{media}: {answer:.300}");
        }
    }
    assert_eq!(state(), before, "nothing changed");
}

#[test]
fn conditions_and_keys_mean_the_same_at_both_families_or_are_refused() {
    let house = House::new("conditions", Plan::default());
    let api = &house.admin;
    let send = |method: &str, path: &str, (name, value): (&str, &str), body: &Json| {
        let body = serde_json::to_vec(body).unwrap();
        api.send(method, path, &[("content-type", "application/json"), (name, value)], Some(&body)).unwrap()
    };
    let etag = |answer: &testkit::Answer| answer.header("etag").unwrap_or_default().to_owned();
    let site = api.post("/api/v1/sites", &json!({ "name": "taipei", "place": "Taipei" })).unwrap();
    let pool = json!({ "site": site["id"], "name": "general", "portFirst": 20_000, "portLast": 39_999 });
    let made = send("POST", "/api/v1/pools", ("idempotency-key", "once"), &pool);
    let again = send("POST", "/api/v1/pools", ("idempotency-key", "once"), &pool);
    assert_eq!((made.status, etag(&made), &made.text), (201, "\"1\"".into(), &again.text));
    assert_eq!(etag(&again), "\"1\"");
    let at = format!("/api/v1/pools/{}", made.json["id"].as_str().unwrap());
    let change = |tag: &str, name: &str| send("PATCH", &at, ("if-match", tag), &json!({ "name": name }));
    let changed = change("\"1\"", "special");
    assert_eq!((changed.status, etag(&changed)), (200, "\"2\"".into()), "{}", changed.text);
    assert_eq!((change("\"1\"", "lost").status, change("\"x\"", "lost").status), (412, 412));

    // Where it cannot be kept it is refused, and nothing is done.
    let tenant = api.get("/api/v1/whoami").unwrap()["acting"]["tenant"].as_str().unwrap().to_owned();
    let at = format!("/api/v1/tenants/{tenant}");
    let state = || [api.get(&at).unwrap(), api.get(PARTY).unwrap()];
    let before = state();
    let password = json!({ "email": "admin@localhost.localdomain", "password": "certainly not the password" });
    for (method, path, header, body, code) in [
        ("PATCH", at.as_str(), "if-match", json!({ "name": "Other" }), "if_match.not_here"),
        ("POST", PARTY, "if-match", json!({ "tradingName": "New" }), "if_match.not_here"),
        ("POST", "/api/v1/sessions", "idempotency-key", password, "idempotency.not_here"),
    ] {
        let refused = send(method, path, (header, "\"1\""), &body);
        assert_eq!((refused.status, refused.json["code"].as_str()), (400, Some(code)), "{path}: {}", refused.text);
    }
    assert_eq!(state(), before);
}

#[test]
fn hostile_queries_and_addresses_are_refused_by_name() {
    let house = House::new("queries", Plan::default());
    let api = &house.admin;
    let a_thousand = |text: &str| vec![text; 1_000].join(",");
    let queries = [
        format!("tradingName.regex={}", "(a+)+$".replace('+', "%2B")),
        "tradingName.regex=(((((((((((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}"
            .into(),
        "tradingName.regex=(?P%3Ca".into(),
        format!("tradingName.regex={}", "a".repeat(300)),
        format!("tradingName.regex={}a{}", "(".repeat(120), ")".repeat(120)),
        "partyCharacteristic.name.regex=x".into(),
        format!("tradingName={}", a_thousand("x")),
        format!("fields={}", a_thousand("name")),
        vec!["status=x"; 1_200].join("&"),
        "offset=10001".into(),
        "offset=-1".into(),
        "offset=99999999999999999999".into(),
        "limit=x".into(),
        "limit=1.5".into(),
        "sort=surprise".into(),
        "sort=".into(),
        "cursor=x".into(),
        "cursor=AAAA&offset=1".into(),
        "surprise=1".into(),
        "existsDuring=1".into(),
        "existsDuring.startDateTime=soon".into(),
        "isHeadOffice=maybe".into(),
        "tradingName=%00".into(),
        "tradingName=%ff%fe".into(),
        "tradingName=%zz".into(),
        "a.b.c.d.e.f.g.h=1".into(),
        "__proto__=1".into(),
        "tradingName.gt.lt=1".into(),
        "tradingName'%20OR%201=1--=1".into(),
    ];
    for query in queries {
        let answer = raw(api, head(api, "GET", &format!("{PARTY}?{query}"), "").as_bytes());
        // A pattern that would be a bomb elsewhere is harmless where matching is linear.
        let harmless = query.starts_with("tradingName.regex=(a");
        assert!(harmless && status(&answer) == 200 || status(&answer) == 400, "{query:.80}: {answer:.300}");
        if !harmless {
            assert_clear(&query, &answer, &[400]);
        }
    }
    for path in [
        "/nowhere",
        "/tmf-api/../etc/passwd",
        "/tmf-api/party/v4/organization/%2e%2e%2f",
        "/tmf-api/party/v4/organization/%00",
        "/tmf-api/party/v4/organization/'%20OR%20'1'='1",
        "/api/v1/hosts/none",
        "//",
        "/tmf-api/party/v4/organization/a/b",
        "/assets/../../secret",
    ] {
        let answer = raw(api, head(api, "GET", path, "").as_bytes());
        assert!(matches!(status(&answer), 400 | 404), "{path}: {answer:.300}");
    }
    let long = format!("{PARTY}?tradingName={}", "a".repeat(9_000));
    assert_clear("a long query", &raw(api, head(api, "GET", &long, "").as_bytes()), &[400]);
}

#[test]
fn hostile_heads_and_forms_harm_nobody() {
    let house = House::new("heads", Plan::default());
    let api = &house.admin;
    let heads = [
        format!("GET {PARTY} HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(200_000)),
        format!("GET {PARTY} HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(2_000)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000)),
        "GET / HTTP/9.9\r\n\r\n".into(),
        "GET\r\n\r\n".into(),
        "\0\0\0\0\r\n\r\n".into(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".into(),
        format!("GET {PARTY} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \u{7f}\r\n\r\n"),
        format!(
            "POST {PARTY} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x"
        ),
        format!("POST {PARTY} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{{}}"),
        format!("POST {PARTY} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{{}}"),
        format!("POST {PARTY} HTTP/1.1\r\nhost: x\r\nx: y\r\n folded\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n".into(),
        "TRACE / HTTP/1.1\r\nhost: x\r\n\r\n".into(),
    ];
    for bytes in heads {
        let answer = broken_off(api, bytes.as_bytes());
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{bytes:.60}: {answer:.300}");
    }
    let tokens =
        ["", "x", "Bearer", "Basic YWRtaW46YWRtaW4=", "Bearer \u{e9}", &format!("Bearer {}", "x".repeat(20_000))];
    for token in tokens {
        let request = format!("GET {PARTY} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nconnection: close\r\n\r\n");
        assert!(matches!(status(&raw(api, request.as_bytes())), 400 | 401), "{token:.40}");
    }
    let forms = [
        ("/sign-in", format!("email={}&password=x", "a".repeat(300_000))),
        ("/sign-in", "email=%ff%fe&password=%00".into()),
        ("/sign-in", "email=a".into()),
        ("/sign-in", "&&&&=&=&".into()),
        ("/forgotten", "email=%00".into()),
        ("/reset", "token=x&password=x".into()),
        ("/invitation", "token=%ff&name=%00&password=".into()),
        ("/preferences", "language=xx&theme=%00&return_to=//evil.example".into()),
        ("/catalog/none", "vcpu=1".into()),
        ("/account/act-in", "tenant=none".into()),
        ("/operator/pools", "x=1".into()),
    ];
    for (path, form) in &forms {
        let more = format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n", form.len());
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n{form}");
        let answer = raw(api, request.as_bytes());
        assert!((300..500).contains(&status(&answer)), "{path} {form:.60}: {answer:.300}");
        assert!(!answer.to_lowercase().contains("location: //evil"), "{answer:.300}");
    }
    assert_eq!(api.get(PARTY).unwrap(), json!([]));
}

#[test]
fn a_thousand_callers_at_once_and_slow_ones_do_not_keep_others_out() {
    let house = House::new("many", Plan { limited: true, ..Plan::default() });
    let api = &house.admin;
    let mut slow: Vec<TcpStream> = (0..400).map(|_| connect(api)).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        let begun = match n % 2 {
            0 => "GET / HTTP/1.1\r\nhos".to_owned(),
            _ => format!(
                "POST {PARTY} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\nauthorization: Bearer {}\r\n\r\n{{\"trad",
                api.token
            ),
        };
        stream.write_all(begun.as_bytes()).unwrap();
    }
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..2_000)
            .map(|n| {
                let caller = move || {
                    let path = if n % 2 == 0 { PARTY } else { "/api/v1/tenants" };
                    status(&raw(api, head(api, "GET", path, "").as_bytes()))
                };
                std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, caller).unwrap()
            })
            .collect();
        crowd.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let of = |wanted: u16| answers.iter().filter(|status| **status == wanted).count();
    println!("{} answered, {} told to wait, {} turned away", of(200), of(429), of(503));
    assert_eq!(of(200) + of(429) + of(503), answers.len(), "every caller is answered: {answers:?}");
    assert!(of(200) >= 400, "what one may ask at once is answered");
    crate::house::until("calm", || {
        (raw(api, head(api, "GET", PARTY, "").as_bytes()).starts_with("HTTP/1.1 200")).then_some(())
    });
    // Who never finishes is not waited for.
    for stream in slow {
        let answer = rest(stream);
        assert!(answer.is_empty() || (400..600).contains(&status(&answer)), "{answer:.200}");
    }
    crate::house::until("calm", || api.get(PARTY).ok());
    assert_eq!(api.get(PARTY).unwrap(), json!([]));
}
