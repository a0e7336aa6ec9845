use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::get as route;
use gate::Catalogue;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{layers, serve, tmf};

const THINGS: &str = "/tmf-api/things/v4/thing";

fn catalogue() -> Catalogue {
    Catalogue::default().kinds(&[&THING])
}

fn dressed(settings: Settings, db: db::Db) -> (Router, Web) {
    let web = Web::new(gate::testing::gate(db, catalogue()), Tokens, settings);
    let odd = Router::new().route("/panic", route(async || -> &'static str { panic!("a secret of ours") })).route(
        "/slow",
        route(async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        }),
    );
    let routes = tmf::routes(&[&THING]).merge(layers::health()).merge(layers::metrics()).merge(odd);
    (layers::dress(routes.fallback(async || layers::nowhere()), &web), web)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_identifier_and_careful_headers() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, _) = dressed(Settings::default(), db);
    let named = |id: &str| request("GET", "/nowhere").header("x-request-id", id).body(Body::empty()).unwrap();
    let lost = send(&router, named("order-7")).await;
    assert_eq!((lost.refusal().0, lost.header("x-request-id")), (404, "order-7"));
    assert_eq!((lost.header("x-content-type-options"), lost.header("cache-control")), ("nosniff", "no-store"));
    let odd = send(&router, named("a b<script>")).await;
    assert!(odd.header("x-request-id").starts_with("req_"), "{odd:?}");
    let broken = get(&router, "/panic").await;
    assert_eq!(broken.refusal().0, 500);
    assert!(!broken.text.contains("secret") && broken.text.contains(broken.header("x-request-id")), "{broken:?}");
    assert_eq!(
        (get(&router, "/healthz").await.status, get(&router, "/readyz").await.status),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_routes_and_no_records() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, web) = dressed(Settings::default(), db);
    web.metrics().watch("jobs_waiting", "Jobs that wait", || Some(3));
    web.metrics().watch("unknown_now", "Not known", || None);
    let path = post(&router, THINGS, json!({"name": "a"})).await.header("location").to_owned();
    get(&router, &path).await;
    let text = get(&router, "/metrics").await.text;
    assert!(
        text.contains(
            "yunwei_http_requests_total{method=\"GET\",route=\"/tmf-api/things/v4/thing/{id}\",status=\"200\"} 1"
        ),
        "{text}"
    );
    assert!(text.contains("yunwei_jobs_waiting 3") && !text.contains("thg_"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_is_told_to_wait() {
    let (_, db, _keep) = db::testing::sqlite();
    let (router, _) = dressed(Settings { actor_rate: 2, ..Settings::default() }, db);
    let mut refused = None;
    for _ in 0..10 {
        let came = get(&router, THINGS).await;
        if came.status == 429 {
            refused = Some(came);
        }
    }
    let refused = refused.expect("four at once are let through, ten are not");
    assert_eq!((refused.refusal().0, refused.header("retry-after")), (429, "1"));
    let other = axum::http::Request::get(THINGS).header("authorization", "Bearer two").body(Body::empty()).unwrap();
    let _ = send(&router, other).await;
}

/// A server on loopback, and what ends it.
async fn listening(
    tls: Option<Arc<rustls::ServerConfig>>,
) -> (SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>, db::testing::Scratch) {
    let (_, db, keep) = db::testing::sqlite();
    let (router, _) = dressed(Settings::default(), db);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel();
    let server =
        tokio::spawn(async move { serve::serve(listener, tls, &[], router, async { drop(ended.await) }).await });
    (address, end, server, keep)
}

async fn talk(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(Duration::from_secs(40), stream.read_to_string(&mut answer)).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_hold_up_nobody_and_running_requests_finish() {
    let (address, end, server, _keep) = listening(None).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
        silent.push(stream);
    }
    let answer = talk(address, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for hostile in ["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\u{fe0f} HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let answer = talk(address, hostile).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{hostile:?}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000));
    let answer = talk(address, &long).await;
    assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    drop(silent);

    let running = tokio::spawn(async move { talk(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
    assert!(running.await.unwrap().ends_with("done"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_answered_before_the_body_was_read_is_told_that_the_line_closes() {
    let (address, _end, _server, _keep) = listening(None).await;
    let post = |token: &str, body: &str| {
        let length = body.len();
        let kind = "content-type: application/json\r\nidempotency-key: one";
        let head = format!("POST {THINGS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{kind}");
        format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let ask = |text: String| async move { talk(address, &text).await.to_lowercase() };
    let refused = ask(post("nobody", "{\"name\":\"a\"}")).await;
    assert!(refused.starts_with("http/1.1 401") && refused.contains("connection: close"), "{refused}");
    // Read to its end, the line stays open: a second request on it is answered too.
    let both = post("one", "{\"name\":\"a\"}") + "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let both = ask(both).await;
    assert!(both.starts_with("http/1.1 201") && both.contains("http/1.1 200"), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_the_certificate_that_was_given() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let scratch = db::testing::Scratch::new();
    let (certificate, key) = (scratch.path().join("tls.crt"), scratch.path().join("tls.key"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    assert!(serve::tls(&key, &key).is_err() && serve::tls(&certificate, &certificate).is_err());
    let (address, _end, _server, _keep) = listening(Some(serve::tls(&certificate, &key).unwrap())).await;
    // One that never says hello, and one that speaks no TLS.
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(!talk(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security"), "{answer}");
}

#[test]
fn what_has_run_out_is_deleted_and_nothing_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate::testing::gate(db, catalogue());
        let now = base::time::micros(gate.now());
        let day = 86_400_000_000;
        gate.db()
            .write(move |conn| {
                for (key, expires) in [("old", now - 1), ("young", now + day)] {
                    conn.execute(
                        "INSERT INTO idempotency (tenant, actor, route, key, input_hash, expires_at, status, kind, id, revision)
                         VALUES ('t', 'a', 'r', $1, $2, $3, 201, '', '', 0)",
                        db::args![key, [0u8; 32], expires],
                    )?;
                }
                for (id, state, due) in [
                    ("sent long ago", "done", now - 15 * day),
                    ("given up long ago", "dead", now - 15 * day),
                    ("given up yesterday", "dead", now - day),
                    ("waits for long", "waiting", now - 15 * day),
                ] {
                    conn.execute(
                        "INSERT INTO hub_deliveries (id, subscription, tenant, event, kind, record, revision, at, state, attempts, due_at)
                         VALUES ($1, 's', 't', 'e', 'k', 'r', 1, $3, $2, 1, $3)",
                        db::args![id, state, due],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        crate::sweep(&gate).unwrap();
        let left = |sql: &'static str| -> Vec<String> {
            gate.db().read(move |conn| conn.query(sql, &[], |row| row.get(0))).unwrap()
        };
        assert_eq!(left("SELECT key FROM idempotency"), ["young"], "{engine}");
        assert_eq!(left("SELECT id FROM hub_deliveries ORDER BY id"), ["given up yesterday", "waits for long"]);
    }
}
