//! The server's ears: TLS, proxies, limits, request ids, an end that lets requests finish.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Daemon, Installation, Options, free_port};

use crate::Scratch;

fn openssl(folder: &Path, words: &str) {
    let output = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and a certificate for 127.0.0.1 that it signed, made by OpenSSL.
pub fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(folder, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=cloud"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile names -out leaf.pem",
    );
}

/// A stopped installation, and how to serve it.
struct Place {
    scratch: Scratch,
    house: Installation,
}

impl Place {
    fn new(name: &str) -> Place {
        let scratch = Scratch::new(name);
        let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
        house.stop_server().unwrap();
        certificates(&scratch.0);
        Place { scratch, house }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    fn serve(&self, listen: &str, words: &[&str]) -> Command {
        let mut command = self.house.binaries.yunwei();
        let agents = format!("127.0.0.1:{}", free_port().unwrap());
        command.args(["serve", "--listen", listen, "--agent-listen", &agents]).args(words).current_dir(&self.scratch.0);
        self.house.data_args(&mut command);
        command
    }

    fn start(&self, listen: &str, words: &[&str]) -> Daemon {
        let _ = std::fs::remove_file(self.path("serve.log"));
        let mut daemon = Daemon::start("yunwei serve", self.serve(listen, words), &self.path("serve.log")).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !self.log().contains("ready") {
            daemon.expect_alive().unwrap();
            assert!(Instant::now() < until, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    fn curl(&self, words: &[&str]) -> Output {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20"]).args(words).current_dir(&self.scratch.0);
        command.output().unwrap()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const TLS: [&str; 4] = ["--tls-cert", "leaf.pem", "--tls-key", "key.pem"];

#[test]
fn over_tls_whoever_knows_the_authority_gets_in_and_nobody_else() {
    let place = Place::new("tls");
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let server = place.start(&listen, &TLS);
    let (secure, plain) = (format!("https://{listen}"), format!("http://{listen}"));
    let known = place.curl(&["--cacert", "ca.pem", "--include", &format!("{secure}/readyz")]);
    assert!(known.status.success(), "{}", said(&known));
    assert!(said(&known).to_lowercase().contains("strict-transport-security"), "{}", said(&known));
    let unknown = place.curl(&[&format!("{secure}/readyz")]);
    assert_eq!(unknown.status.code(), Some(60), "{}", said(&unknown));
    let unsafe_try = place.curl(&[&format!("{plain}/readyz")]);
    assert!(!unsafe_try.status.success(), "plain HTTP is not TLS: {}", said(&unsafe_try));

    let yunwei = |words: &[&str]| {
        let mut command = place.house.binaries.yunwei();
        command.args(words).env("XDG_CONFIG_HOME", place.path("config")).current_dir(&place.scratch.0);
        command.env_remove("YUNWEI_URL").env_remove("YUNWEI_TOKEN").output().unwrap()
    };
    let token = place.house.api.token.clone();
    let stranger = yunwei(&["login", &secure, "--token", &token]);
    assert_eq!(stranger.status.code(), Some(6), "{}", said(&stranger));
    let login = yunwei(&["login", &secure, "--token", &token, "--ca", "ca.pem"]);
    assert!(login.status.success(), "{}", said(&login));
    let list = yunwei(&["catalog", "ls", "--json"]);
    assert!(list.status.success(), "the next command knows the authority too: {}", said(&list));
    server.stop().unwrap();
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear_unless_told() {
    let place = Place::new("plain");
    let listen = format!("0.0.0.0:{}", free_port().unwrap());
    let refused = place.serve(&listen, &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--tls-cert") && said(&refused).contains("--insecure-http"), "{}", said(&refused));
    for (words, about) in [
        (&["--tls-cert", "leaf.pem"][..], "--tls-key"),
        (&["--tls-cert", "absent.pem", "--tls-key", "key.pem"], "absent.pem"),
        (&["--tls-cert", "leaf.pem", "--tls-key", "ca.key"], "leaf.pem"),
        (&["--insecure-http", "--trusted-proxies", "everybody"], "everybody"),
    ] {
        let refused = place.serve(&listen, words).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{words:?}: {}", said(&refused));
        assert!(said(&refused).contains(about), "{words:?}: {}", said(&refused));
    }
    place.start(&listen, &["--insecure-http"]).stop().unwrap();
    place.start(&listen, &TLS).stop().unwrap();
}

#[test]
fn a_proxy_is_believed_only_where_it_was_named() {
    let place = Place::new("proxy");
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let ask = |id: &str| {
        let (id, path) = (format!("X-Request-Id: {id}"), format!("http://{listen}/healthz"));
        let headers = ["-H", "X-Forwarded-For: 198.51.100.9, 203.0.113.7", "-H", &id, "--include", &path];
        said(&place.curl(&headers))
    };
    let line = |log: &str, id: &str| {
        let found = log.lines().find(|line| line.contains(id));
        serde_json::from_str::<Json>(found.unwrap_or_else(|| panic!("{id} is not in the log: {log}"))).unwrap()
    };
    for (words, believed) in [
        (&["--log-json", "--trusted-proxies", "127.0.0.1"][..], "203.0.113.7"),
        (&["--log-json", "--trusted-proxies", "127.0.0.0/8,203.0.113.7"], "198.51.100.9"),
        (&["--log-json", "--trusted-proxies", "10.0.0.0/8"], "127.0.0.1"),
        (&["--log-json"], "127.0.0.1"),
    ] {
        let server = place.start(&listen, words);
        let answer = ask("trace-me-7");
        assert!(answer.contains("x-request-id: trace-me-7"), "{answer}");
        let answer = ask("not/harmless");
        assert!(answer.contains("x-request-id: req_"), "what could forge a line of the log is replaced: {answer}");
        server.stop().unwrap();
        let seen = line(&place.log(), "trace-me-7");
        let field = |name: &str| seen["fields"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!((field("request"), field("address")), ("trace-me-7".into(), believed.into()), "{words:?}: {seen}");
    }
}

/// Sends the head and the first half of a request, so that it is under way.
fn begin(house: &Installation, body: &str) -> TcpStream {
    let address = house.api.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /api/v1/sites HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        house.api.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..body.len() / 2]).unwrap();
    stream
}

#[test]
fn a_server_that_is_told_to_stop_answers_what_is_under_way() {
    let scratch = Scratch::new("stop");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let body = json!({ "name": "last-of-all", "place": "Taipei" }).to_string();
    let mut stream = begin(&house, &body);
    std::thread::sleep(Duration::from_millis(300));
    house.server().unwrap().signal("TERM").unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let address = house.api.url.trim_start_matches("http://").to_owned();
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < until, "new connections are still taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    stream.write_all(&body.as_bytes()[body.len() / 2..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let status = house.server().unwrap().wait(Duration::from_secs(30)).unwrap();
    assert!(status.success(), "{status}");
    house.kill_server().unwrap();
    house.start_server().unwrap();
    let sites = house.api.get("/api/v1/sites").unwrap();
    assert!(sites.to_string().contains("last-of-all"), "what was answered is there: {sites}");
    house.stop_server().unwrap();
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["pending"], 0, "the last entries are signed too");
}

#[test]
fn what_is_too_much_is_refused_clearly_and_changes_nothing() {
    let scratch = Scratch::new("limits");
    let options = Options { flags: ["--address-rate", "40"].map(str::to_owned).to_vec(), ..Options::default() };
    let house = Installation::start(&scratch.0, options).unwrap();
    let json = [("content-type", "application/json")];
    let party = "/tmf-api/party/v4/organization";
    let before = house.api.get(party).unwrap();
    let post = |body: &str| house.api.send("POST", party, &json, Some(body.as_bytes())).unwrap();

    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let answer = post(&large);
    assert_eq!((answer.status, answer.json["code"].as_str()), (413, Some("body.too_large")), "{}", answer.text);
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let answer = post(&deep);
    assert_eq!((answer.status, answer.json["code"].as_str()), (400, Some("document.too_deep")), "{}", answer.text);
    let abyss = format!("{{\"name\":{}", "[".repeat(100_000));
    assert_eq!(post(&abyss).status, 400);
    for broken in ["", "{", "[]", "\"x\"", "{\"name\":\"\\u0000\"}", "{\"name\":1e999}"] {
        assert_eq!(post(broken).status, 400, "{broken}");
    }
    assert_eq!(house.api.send("POST", party, &[("content-type", "text/xml")], Some(b"<x/>")).unwrap().status, 415);
    let long = format!("{party}?name={}", "x".repeat(20_000));
    let status = house.api.send("GET", &long, &[], None).map_or(0, |answer| answer.status);
    assert!(matches!(status, 400 | 414 | 431), "a long address is answered {status}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(house.api.get(party).unwrap(), before, "nothing was written");

    let answers: Vec<testkit::Answer> =
        (0..200).map(|_| house.api.send("GET", "/healthz", &[], None).unwrap()).collect();
    let throttled = answers.iter().find(|answer| answer.status == 429).expect("too many requests are refused");
    assert_eq!(throttled.json["code"], "rate.exceeded", "{}", throttled.text);
    assert!(throttled.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0)));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(house.api.send("GET", "/healthz", &[], None).unwrap().status, 200, "and let in again");
}
