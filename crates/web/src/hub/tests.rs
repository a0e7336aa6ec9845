use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::Router;
use base::limits;
use base64::Engine as _;
use gate::{Catalogue, Gate};
use serde_json::json;

use super::*;
use crate::tests::{NOTE, THING, get, patch, post, request, send, web};

/// A receiver on loopback that answers with these statuses in turn, then 204.
fn receiver(mut statuses: Vec<u16>) -> (String, Receiver<(String, Json)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/events", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let status = if statuses.is_empty() { 204 } else { statuses.remove(0) };
            if sender.send(serve(stream.unwrap(), status)).is_err() {
                return;
            }
        }
    });
    (address, received)
}

fn serve(stream: TcpStream, status: u16) -> (String, Json) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:"))).unwrap_or("");
    line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
}

/// Computed apart from the code under test: base 64 of HMAC-SHA256 over `id.timestamp.body`.
fn verifies(secret: &str, head: &str, body: &Json) -> bool {
    let key = base64::prelude::BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{body}", header(head, "webhook-id"), header(head, "webhook-timestamp"));
    let given = header(head, "webhook-signature");
    let given = base64::prelude::BASE64_STANDARD.decode(given.strip_prefix("v1,").unwrap()).unwrap();
    ring::hmac::verify(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key), signed.as_bytes(), &given).is_ok()
}

fn house(db: db::Db, private: bool) -> (Router, Hub, Gate) {
    let web = web(db, Catalogue::default().kinds(&[&THING]).actions(&actions()));
    let settings =
        HubSettings { private_targets: private, waits: vec![Duration::from_secs(5); 2], ..HubSettings::default() };
    let hub = Hub::new(&[&THING], "", settings);
    let (listening, gate) = (hub.clone(), web.gate().clone());
    gate.react_with(Box::new(move |tx, fact| match (fact as &dyn std::any::Any).downcast_ref::<gate::RecordFact>() {
        Some(fact) => listening.notify(tx, fact),
        None => Ok(()),
    }));
    (crate::tmf::routes(&[&THING]).merge(hub.routes()).with_state(web), hub, gate)
}

const HUB: &str = "/tmf-api/things/v4/hub";
const THINGS: &str = "/tmf-api/things/v4/thing";

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_signed_what_happened_as_it_was() {
    for (_, db, _keep) in std::thread::spawn(db::testing::databases).join().unwrap() {
        let (router, hub, gate) = house(db, true);
        let (address, received) = receiver(vec![]);
        let made = post(&router, HUB, json!({"callback": address})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let subscription = made.json();
        assert_eq!(made.header("location"), format!("{HUB}/{}", subscription["id"].as_str().unwrap()));
        let secret = subscription["secret"].as_str().unwrap();

        let path = post(&router, THINGS, json!({"name": "a"})).await.header("location").to_owned();
        patch(&router, &path, json!({"size": 2})).await;
        patch(&router, &path, json!({"state": "old"})).await;
        send(&router, request("DELETE", &path).body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(hub.deliver_due(&gate).await.unwrap(), 4);
        let mut heard: Vec<(String, Json)> =
            (0..4).map(|_| received.recv_timeout(Duration::from_secs(5)).unwrap()).collect();
        heard.sort_by_key(|(_, body)| body["eventId"].as_str().unwrap().to_owned());
        for ((head, body), (kind, name, size, state)) in heard.iter().zip([
            ("ThingCreateEvent", "a", Json::Null, "new"),
            ("ThingAttributeValueChangeEvent", "a", json!(2), "new"),
            ("ThingStateChangeEvent", "a", json!(2), "old"),
            ("ThingDeleteEvent", "a", json!(2), "old"),
        ]) {
            let thing = &body["event"]["thing"];
            assert_eq!(
                (&body["eventType"], &thing["name"], &thing["size"], &thing["state"]),
                (&json!(kind), &json!(name), &size, &json!(state))
            );
            assert_eq!(
                (thing["href"].as_str(), header(head, "webhook-id").as_str()),
                (Some(path.as_str()), body["eventId"].as_str().unwrap())
            );
            assert!(verifies(secret, head, body), "{head}");
            assert!(!verifies(&fresh_secret().unwrap(), head, body));
        }
        assert_eq!(hub.deliver_due(&gate).await.unwrap(), 0);
        let end = request("DELETE", made.header("location")).body(axum::body::Body::empty()).unwrap();
        assert_eq!(send(&router, end).await.status, 204);
        post(&router, THINGS, json!({"name": "b"})).await;
        assert_eq!(hub.deliver_due(&gate).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_at_last_given_up() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, hub, gate) = house(db, true);
    // A redirect is an answer like any other: it is not followed.
    let (address, received) = receiver(vec![500, 302, 204, 500, 500, 500, 204, 410]);
    let id = post(&router, HUB, json!({"callback": address, "query": "eventType=ThingCreateEvent"})).await.json()["id"]
        .clone();
    let cx = gate::testing::somebody(base::id::TenantId(1));
    let state = || {
        let input = actions::DeliveriesInput { id: id.as_str().unwrap().into(), state: None, after: None };
        let all = gate.run(&cx, &DELIVERIES, input).unwrap();
        all.into_iter().map(|d| (d.state, d.attempts, d.failure, d.id)).collect::<Vec<_>>()
    };
    post(&router, THINGS, json!({"name": "a"})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        assert_eq!(hub.deliver_due(&gate).await.unwrap(), 1);
        ids.push(header(&received.recv().unwrap().0, "webhook-id"));
        assert_eq!(hub.deliver_due(&gate).await.unwrap(), 0, "not before its time");
        gate.clock().advance(Duration::from_secs(6));
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!((state()[0].0.as_str(), state()[0].1), ("done", 3));

    post(&router, THINGS, json!({"name": "b"})).await;
    for _ in 0..3 {
        hub.deliver_due(&gate).await.unwrap();
        received.recv().unwrap();
        gate.clock().advance(Duration::from_secs(6));
    }
    let dead = state()[1].clone();
    assert_eq!((dead.0.as_str(), dead.2.as_str()), ("dead", "answered 500"));
    gate.run(&cx, &RETRY, actions::RetryInput { id: id.as_str().unwrap().into(), delivery: dead.3.clone() }).unwrap();
    hub.deliver_due(&gate).await.unwrap();
    assert_eq!(state()[1].0, "done");

    post(&router, THINGS, json!({"name": "c"})).await;
    hub.deliver_due(&gate).await.unwrap();
    assert_eq!(state()[2].0, "dead");
    post(&router, THINGS, json!({"name": "d"})).await;
    assert_eq!((hub.deliver_due(&gate).await.unwrap(), state().len()), (0, 3), "who says 410 hears no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_inside_unless_allowed() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, hub, gate) = house(db.clone(), false);
    for callback in [
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "https://10.1.2.3/x",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "https://a:b@example.com/",
        "ftp://example.com/",
        "/relative",
        "x",
        "https://metadata.google.internal/",
        "http://2130706433:9/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://0/",
    ] {
        assert_eq!(
            post(&router, HUB, json!({"callback": callback})).await.refusal(),
            (400, "callback".into()),
            "{callback}"
        );
    }
    // An address that was let in before the operator changed their mind is looked at again.
    let input = SubscribeInput {
        api: "/tmf-api/things/v4".into(),
        callback: "http://127.0.0.1:9/".into(),
        query: String::new(),
        secret: fresh_secret().unwrap(),
    };
    gate.run(&gate::testing::somebody(base::id::TenantId(1)), &SUBSCRIBE, input).unwrap();
    post(&router, THINGS, json!({"name": "a"})).await;
    assert_eq!(hub.deliver_due(&gate).await.unwrap(), 1);
    let failure: String =
        db.read(|conn| conn.query_one("SELECT failure FROM hub_deliveries", &[], |row| row.get(0))).unwrap();
    assert!(failure.starts_with("hub."), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up_once_and_the_connection_goes_where_it_led() {
    // The name leads inside: refused, whatever it is called.
    let inside = "http://localhost:9/".parse().unwrap();
    assert_eq!(address::resolve(&inside, false).unwrap_err().code(), "hub.address");
    assert!(address::resolve(&inside, true).is_ok());
    // A name that would lead elsewhere the second time is not asked a second time.
    let (_, db, _keep) = db::testing::sqlite();
    let (_, hub, _) = house(db, true);
    let (callback, received) = receiver(vec![204]);
    let checked = callback.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
    let sent = tokio::task::spawn_blocking(move || {
        hub.agent(vec![checked]).unwrap().post("http://rebound.invalid/").send("{}").unwrap().status()
    });
    assert_eq!(sent.await.unwrap(), 204);
    assert!(received.recv().unwrap().0.contains("rebound.invalid"), "the host is the one that was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_keeps_to_its_tenant_its_query_and_its_secret() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, hub, gate) = house(db, true);
    let (address, received) = receiver(vec![]);
    for (query, attribute) in [("eventType=OrderCreateEvent", "query"), ("nonsense", "query"), ("thing=", "query")] {
        let wrong = post(&router, HUB, json!({"callback": address, "query": query})).await;
        assert_eq!(wrong.refusal(), (400, attribute.into()), "{query}");
    }
    assert_eq!(post(&router, HUB, json!({})).await.refusal(), (400, "callback".into()));
    assert_eq!(get(&router, HUB).await.refusal().0, 405);
    let ask = || {
        let request = request("POST", HUB).header("content-type", "application/json").header("idempotency-key", "k");
        let body = json!({"callback": address, "query": "eventType=ThingCreateEvent&event.thing.size=7"}).to_string();
        send(&router, request.body(axum::body::Body::from(body)).unwrap())
    };
    let made = ask().await;
    assert_eq!((made.status.as_u16(), ask().await.refusal().0), (201, 409), "a secret is shown once");
    for thing in [json!({"name": "a"}), json!({"name": "b", "size": 7}), json!({"name": "c", "size": 8})] {
        post(&router, THINGS, thing).await;
    }
    let other = axum::http::Request::post(THINGS)
        .header("authorization", "Bearer two")
        .header("content-type", "application/json");
    send(&router, other.body(axum::body::Body::from(json!({"name": "d", "size": 7}).to_string())).unwrap()).await;
    assert_eq!(hub.deliver_due(&gate).await.unwrap(), 1);
    assert_eq!(received.recv().unwrap().1["event"]["thing"]["name"], "b");
    let stranger = axum::http::Request::delete(made.header("location")).header("authorization", "Bearer two");
    assert_eq!(send(&router, stranger.body(axum::body::Body::empty()).unwrap()).await.refusal().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_what_they_may_not_read() {
    let (_, db, _keep) = db::testing::sqlite();
    let catalogue = Catalogue::default().kinds(&[&THING, &NOTE]).actions(&actions());
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    let policies = format!(
        "permit (principal is Account, action in [{}], resource);
         forbid (principal is Account, action == Action::\"note.get\", resource);
         permit (principal is System, action == Action::\"note.get\", resource);",
        names.join(", ")
    );
    let gate = Gate::new(db, base::time::Clock::System, base::id::Ids::seeded(1), &policies, catalogue).unwrap();
    let hub = Hub::new(&[&THING, &NOTE], "", HubSettings::default());
    let router = hub.routes().with_state(crate::Web::new(gate, crate::tests::Tokens, crate::Settings::default()));
    let ask = |query: &'static str| {
        let router = router.clone();
        async move { post(&router, HUB, json!({"callback": "https://example.com/", "query": query})).await.status }
    };
    assert_eq!(ask("").await, 403, "everything here, notes among it");
    assert_eq!(ask("eventType=ThingCreateEvent,NoteDeleteEvent").await, 403);
    assert_eq!(ask("eventType=ThingCreateEvent").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_receiver_is_slow_holds_up_nobody_else() {
    for (engine, db, _keep) in std::thread::spawn(db::testing::databases).join().unwrap() {
        let (router, hub, gate) = house(db, true);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", silent.local_addr().unwrap());
        let as_token = |token: &'static str, path: &'static str, body: Json| {
            let request = axum::http::Request::post(path).header("authorization", format!("Bearer {token}"));
            let request = request.header("content-type", "application/json");
            send(&router, request.body(axum::body::Body::from(body.to_string())).unwrap())
        };
        for token in ["one", "two"] {
            assert_eq!(as_token(token, HUB, json!({"callback": address})).await.status, 201);
        }
        for _ in 0..2 * limits::DELIVERIES_AT_ONCE_MAX {
            as_token("one", THINGS, json!({"name": "a"})).await;
        }
        as_token("two", THINGS, json!({"name": "b"})).await;
        let mut sending = deliver::Sending::default();
        let begun = hub.begin_due(&gate, &mut sending).await.unwrap();
        assert_eq!(begun, limits::DELIVERIES_OF_TENANT_MAX + 1, "{engine}");
        assert_eq!(hub.begin_due(&gate, &mut sending).await.unwrap(), 0, "until one of them has ended");
    }
}

#[test]
fn special_addresses_are_not_public() {
    for text in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "192.0.0.8",
        "198.18.0.1",
        "203.0.113.5",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
        "::127.0.0.1",
    ] {
        assert!(!address::is_public(text.parse().unwrap()), "{text}");
    }
    for text in
        ["1.1.1.1", "168.95.1.1", "2606:4700:4700::1111", "2001:b000:168::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
    {
        assert!(address::is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn the_signature_is_the_one_of_the_specification() {
    // The example of the Standard Webhooks libraries.
    let signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
    );
    assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
