//! Notifications of the server as a process, judged by another implementation
//! of Standard Webhooks (`tests/hub/verify.py`).

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::{Installation, Options};

use crate::house::{Scratch, until};
use crate::python;

const HUB: &str = "/tmf-api/party/v4/hub";
const PARTY: &str = "/tmf-api/party/v4/organization";

/// What arrived at a callback.
struct Arrived {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// A receiver that answers each path's first requests with these answers, then 204.
fn receiver(answers: &'static [(&'static str, &'static str)]) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = channel();
    std::thread::spawn(move || {
        let mut left: Vec<(&str, &str)> = answers.to_vec();
        for stream in listener.incoming().flatten() {
            if serve(stream, &mut left, &told).is_none() {
                return;
            }
        }
    });
    (port, Heard { arriving: heard, seen: RefCell::default() })
}

fn serve(stream: std::net::TcpStream, left: &mut Vec<(&str, &str)>, told: &Sender<Arrived>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut arrived = Arrived { path, headers, body: String::new() };
    let length = arrived.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    arrived.body = String::from_utf8(body).unwrap();
    let at = left.iter().position(|(path, _)| arrived.path.starts_with(path));
    let answer = at.map_or("HTTP/1.1 204 No Content\r\n", |at| left.remove(at).1);
    write!(reader.get_mut(), "{answer}content-length: 0\r\nconnection: close\r\n\r\n").ok()?;
    told.send(arrived).ok()
}

/// What arrived, in whatever order.
struct Heard {
    arriving: Receiver<Arrived>,
    seen: RefCell<Vec<Arrived>>,
}

/// The next one at that path; others are kept for later.
fn next(heard: &Heard, path: &str) -> Arrived {
    loop {
        let mut seen = heard.seen.borrow_mut();
        if let Some(at) = seen.iter().position(|arrived| arrived.path == path) {
            return seen.remove(at);
        }
        let arrived = heard.arriving.recv_timeout(Duration::from_secs(60));
        seen.push(arrived.unwrap_or_else(|_| panic!("nothing came at {path}")));
    }
}

/// Whether another implementation takes the notification for genuine, and its forgeries not.
fn judged(secret: &str, arrived: &Arrived) {
    let input = json!({ "secret": secret, "headers": arrived.headers, "body": arrived.body });
    let Some(output) = python("hub/verify.py", &[], &input.to_string()) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_listener_is_told_again_until_it_has_heard() {
    let (port, heard) = receiver(&[
        ("/flaky", "HTTP/1.1 500 Oh\r\n"),
        ("/moved", "HTTP/1.1 307 Elsewhere\r\nlocation: /lured\r\n"),
        ("/gone", "HTTP/1.1 410 Gone\r\n"),
    ]);
    let scratch = Scratch::new("hub");
    let options = Options { flags: vec!["--allow-private-webhooks".into()], ..Options::default() };
    let house = Installation::start(&scratch.0, options).unwrap();
    let subscribe = |path: &str, query: &str| {
        let callback = format!("http://127.0.0.1:{port}{path}");
        house.api.post(HUB, &json!({ "callback": callback, "query": query })).unwrap()
    };
    let well = subscribe("/well", "");
    let flaky = subscribe("/flaky", "eventType=OrganizationCreateEvent");
    let moved = subscribe("/moved", "eventType=OrganizationCreateEvent");
    let gone = subscribe("/gone", "");
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    assert_ne!(well["secret"], flaky["secret"]);

    let made = house.api.post(PARTY, &json!({ "tradingName": "Told" })).unwrap();
    house.api.patch(&format!("{PARTY}/{}", text(&made["id"])), &json!({ "status": "closed" })).unwrap();
    let mut types = Vec::new();
    for _ in 0..2 {
        let arrived = next(&heard, "/well");
        judged(&text(&well["secret"]), &arrived);
        let event: Json = serde_json::from_str(&arrived.body).unwrap();
        assert_eq!(event["event"]["organization"]["id"], made["id"]);
        assert_eq!(event["eventId"], arrived.header("webhook-id"));
        types.push(text(&event["eventType"]));
    }
    types.sort();
    assert_eq!(types, ["OrganizationCreateEvent", "OrganizationStateChangeEvent"]);

    // Refused with 500, or lured elsewhere: the same notification again, signed anew, and nowhere else.
    for (path, secret) in [("/flaky", &flaky["secret"]), ("/moved", &moved["secret"])] {
        let attempts = [next(&heard, path), next(&heard, path)];
        for attempt in &attempts {
            assert_eq!(attempt.header("webhook-id"), attempts[0].header("webhook-id"));
            assert_eq!(attempt.body, attempts[0].body);
            judged(&text(secret), attempt);
        }
    }
    assert!(heard.seen.borrow().iter().all(|arrived| arrived.path != "/lured"), "a redirect was followed");
    let listed = until("the end of the delivery", || {
        let path = format!("/api/v1/hubs/{}/deliveries", text(&flaky["id"]));
        let listed = house.api.get(&path).unwrap();
        (listed[0]["state"] == "done").then_some(listed)
    });
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let hubs = house.api.get("/api/v1/hubs").unwrap();
    let ended = hubs.as_array().unwrap().iter().find(|hub| hub["id"] == gone["id"]).unwrap();
    assert!(ended["gone"].is_string() && !hubs.to_string().contains("whsec_"), "{hubs}");
    house.api.send("DELETE", &format!("{HUB}/{}", text(&well["id"])), &[], None).unwrap();
    house.api.post(PARTY, &json!({ "tradingName": "Not told" })).unwrap();
    assert_eq!(next(&heard, "/flaky").header("webhook-signature").split(',').next(), Some("v1"));
    let late = heard.seen.borrow().iter().filter(|arrived| arrived.path == "/well").count();
    assert_eq!(late, 0, "an ended subscription was told");
}

#[test]
fn nothing_is_sent_inside_unless_the_operator_allows_it() {
    let scratch = Scratch::new("inside");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let inside = [
        "http://127.0.0.1:9/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://10.0.0.1/",
        "http://172.16.5.4/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://100.64.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://x.localhost/",
        "http://metadata.google.internal/",
        "http://printer.local/",
        "https://user:secret@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "//example.com",
        "http://example.com@127.0.0.1/",
        "gopher://127.0.0.1:25/_x",
    ];
    for callback in inside {
        let body = json!({ "callback": callback }).to_string();
        let answer =
            house.api.send("POST", HUB, &[("content-type", "application/json")], Some(body.as_bytes())).unwrap();
        assert_eq!(
            (answer.status, &answer.json["attribute"]),
            (400, &json!("callback")),
            "{callback}: {}",
            answer.text
        );
    }
    assert_eq!(house.api.get("/api/v1/hubs").unwrap(), json!([]));
}
