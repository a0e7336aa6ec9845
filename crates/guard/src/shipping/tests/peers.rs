//! Real peers: rsyslog, an S3 server that locks objects, a listener that checks signatures by itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use db::testing::{TOOLS, pass_over};

use super::*;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An rsyslog that listens with TLS and writes what it understood of each message.
struct Rsyslog {
    folder: PathBuf,
    port: u16,
    authority: String,
    running: Option<Daemon>,
}

impl Rsyslog {
    fn new(folder: &Path) -> Rsyslog {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let authority = own.cert.pem();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("cert.pem", &authority);
        write("key.pem", &own.signing_key.serialize_pem());
        let port = free_port();
        let at = folder.display();
        write(
            "rsyslog.conf",
            &format!(
                r#"global(workDirectory="{at}" maxMessageSize="64k" DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile="{at}/cert.pem" DefaultNetstreamDriverCertFile="{at}/cert.pem" DefaultNetstreamDriverKeyFile="{at}/key.pem")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="read" type="string" string="%syslogfacility%.%syslogseverity% %timestamp:::date-rfc3339% %app-name% %msgid% %msg%\n")
ruleset(name="all") {{ action(type="omfile" file="{at}/log" template="read" asyncWriting="off") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="all")
"#
            ),
        );
        let mut rsyslog = Rsyslog { folder: folder.to_owned(), port, authority, running: None };
        rsyslog.start();
        rsyslog
    }

    fn start(&mut self) {
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(self.folder.join("rsyslog.conf"));
        command.arg("-i").arg(self.folder.join("pid")).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(Daemon(command.spawn().unwrap()));
        until("rsyslog listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Ends in order, as a restart of its service would.
    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let pid = running.0.id().to_string();
            Command::new("kill").arg(&pid).status().unwrap();
            running.0.wait().unwrap();
        }
    }

    fn target(&self) -> Target {
        Target::Syslog { address: format!("localhost:{}", self.port), authority: self.authority.clone() }
    }

    fn kept(&self) -> Kept {
        let log = self.folder.join("log");
        if log.exists() { Kept::at(&log).unwrap() } else { Kept::default() }
    }
}

fn there_is_rsyslog() -> bool {
    let there = Command::new("rsyslogd").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let tls = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let tls = tls.into_iter().any(|folder| folder.path().join("rsyslog/lmnsd_gtls.so").exists());
    if !(there && tls) {
        pass_over(TOOLS, "rsyslog with its TLS is not installed");
    }
    there && tls
}

#[test]
fn rsyslog_reads_every_message_and_its_file_agrees_with_the_log() {
    if !there_is_rsyslog() {
        return;
    }
    let (house, folder) = (House::new(sqlite()), Scratch::new());
    let mut rsyslog = Rsyslog::new(folder.path());
    let id = house.make("siem", rsyslog.target()).place.id;
    house.add(200);
    assert_eq!(house.ship(id), 1, "{:?}", house.place(id).problem);
    until("all of it is written", || rsyslog.kept().notes.len() == 1);
    let (kept, place) = (rsyslog.kept(), house.place(id));
    assert_eq!(kept.entries.len() as i64, place.shipped);
    assert!(house.against(&kept).is_good());
    let text = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let line = text.lines().find(|line| line.contains("thing-7 ")).unwrap();
    // Facility 13, severity 6, the time of the entry, and the JSON as it was sent.
    assert!(line.starts_with("13.6 2026-01-01T00:00:0") && line.contains(" yunwei entry {\"index\":"), "{line}");
    assert!(text.lines().any(|line| line.starts_with("13.5 ") && line.contains(" yunwei checkpoint {")), "{text}");

    // Away for a while: it is behind, and then has everything.
    rsyslog.stop();
    house.add(50);
    assert_eq!(house.ship(id), 0);
    let problem = house.place(id).problem.unwrap();
    assert_eq!(problem.code, "shipping.syslog", "{problem:?}");
    rsyslog.start();
    assert_eq!(house.ship(id), 1);
    until("the rest is written", || rsyslog.kept().notes.len() == 2);
    assert_eq!(rsyslog.kept().entries.len() as i64, house.place(id).shipped);

    // Its file betrays a history that was rewritten with the key.
    house.rewrite("UPDATE audit_entries SET object_id = 'nothing' WHERE leaf_index = 33");
    assert_eq!(house.against(&rsyslog.kept()).first_bad.unwrap().index, 33);
    rsyslog.stop();
}

#[test]
fn a_syslog_server_whose_certificate_is_anothers_is_told_nothing() {
    if !there_is_rsyslog() {
        return;
    }
    let (house, folder) = (House::new(sqlite()), Scratch::new());
    let rsyslog = Rsyslog::new(folder.path());
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let address = format!("localhost:{}", rsyslog.port);
    let id = house.make("siem", Target::Syslog { address, authority: other.cert.pem() }).place.id;
    // Its own authority, and another name.
    let address = format!("127.0.0.1:{}", rsyslog.port);
    let named = house.make("named", Target::Syslog { address, authority: rsyslog.authority.clone() }).place.id;
    house.add(3);
    for id in [id, named] {
        assert_eq!((house.ship(id), house.place(id).state), (0, State::Failing));
        assert_eq!(house.place(id).problem.unwrap().code, "shipping.syslog");
    }
    assert_eq!(rsyslog.kept(), Kept::default());
}

/// A listener that answers with these statuses in turn, then 204; gives head and body of each request.
fn listener(mut statuses: Vec<u16>) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/audit", listener.local_addr().unwrap());
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

fn serve(mut stream: TcpStream, status: u16) -> (String, String) {
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
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:"))).unwrap_or("");
    line.split_once(':').map_or("", |(_, value)| value.trim())
}

#[test]
fn a_webhook_gets_signed_pieces_and_is_asked_again_after_a_failure() {
    let house = House::new(sqlite());
    let (url, received) = listener(vec![500]);
    let made = house.make("auditor", Target::Webhook { url });
    let (id, secret) = (made.place.id, made.signing_secret.unwrap());
    house.add(6);
    assert_eq!(house.ship(id), 0);
    assert_eq!(house.place(id).problem.unwrap().code, "hub.refused");
    let (first, _) = received.recv().unwrap();
    assert_eq!(house.ship(id), 1);
    let (head, body) = received.recv().unwrap();
    assert_eq!(header(&first, "webhook-id"), header(&head, "webhook-id"), "the same piece has the same id");
    let timestamp: i64 = header(&head, "webhook-timestamp").parse().unwrap();
    let signed = web::hub::signature(&secret, header(&head, "webhook-id"), timestamp, &body).unwrap();
    assert_eq!(header(&head, "webhook-signature"), signed);
    let kept = Kept::of(body.as_bytes()).unwrap();
    assert_eq!((kept.notes.len(), kept.entries.len() as i64), (1, house.place(id).shipped));
    assert!(house.against(&kept).is_good());
    let location = Location::Directory(house.data.path().to_owned());
    assert_eq!(kept_at(&location, house.keys.path(), "auditor").unwrap_err().code(), "shipping.unreadable");
}

#[test]
fn a_webhook_inside_is_not_called_unless_the_operator_allows_it() {
    let mut house = House::new(sqlite());
    let (url, received) = listener(vec![]);
    let id = house.make("inside", Target::Webhook { url }).place.id;
    house.hub = Hub::new(&[], "", HubSettings::default());
    house.add(1);
    assert_eq!((house.ship(id), house.place(id).problem.unwrap().code.as_str()), (0, "hub.callback"));
    assert!(received.try_recv().is_err(), "nobody was called");
}

/// Ends with whoever started it, however that ended.
const SERVE: &str = "import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(sys.argv[1:])";

fn s3() -> Option<(String, Daemon)> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python");
    let there = Command::new(&python).args(["-c", "import moto.server"]).status().is_ok_and(|status| status.success());
    if !there {
        pass_over("YUNWEI_TEST_S3", "no S3 server (tests/python installs one)");
        return None;
    }
    let port = free_port();
    let mut command = Command::new(python);
    command.args(["-c", SERVE, "-H", "127.0.0.1", "-p", &port.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Daemon(command.spawn().unwrap());
    let address = format!("127.0.0.1:{port}");
    until("the S3 server answers", || TcpStream::connect(&address).is_ok());
    Some((address, server))
}

fn ask(address: &str, method: &str, path: &str, head: &str, body: &str) -> String {
    let mut to = TcpStream::connect(address).unwrap();
    let length = body.len();
    let asked = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    to.write_all(asked.as_bytes()).unwrap();
    let mut answer = String::new();
    to.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_bucket_that_locks_objects_takes_the_log_and_gives_none_of_it_up() {
    let Some((address, _server)) = s3() else { return };
    let made = ask(&address, "PUT", "audit", "x-amz-bucket-object-lock-enabled: true\r\n", "");
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>180</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let locked = ask(&address, "PUT", "audit?object-lock", "", lock);
    assert!(locked.starts_with("HTTP/1.1 200"), "{locked}");

    let house = House::new(sqlite());
    let target = Target::Bucket {
        endpoint: format!("http://{address}"),
        bucket: "audit".into(),
        prefix: "yunwei".into(),
        region: "us-east-1".into(),
        virtual_hosted: false,
        authority: None,
    };
    let id = house.make("cloud", target).place.id;
    house.add(9);
    assert_eq!((house.ship(id), house.place(id).problem.unwrap().code.as_str()), (0, "shipping.credential_absent"));
    let credential = SetAuditCredential { id, name: "key".into(), secret: "secret".into() };
    house.gate.run(&somebody(OPERATOR), &SET_CREDENTIAL, credential).unwrap();
    assert_eq!(house.ship(id), 1, "{:?}", house.place(id).problem);
    house.sql("UPDATE audit_places SET shipped = 0");
    assert_eq!(house.ship(id), 1, "a piece that is there is there");
    house.add(4);
    assert_eq!(house.ship(id), 1);

    let location = Location::Directory(house.data.path().to_owned());
    let kept = kept_at(&location, house.keys.path(), "cloud").unwrap();
    assert_eq!((kept.notes.len() >= 2, kept.entries.len() as i64), (true, house.place(id).shipped));
    assert!(house.against(&kept).is_good());
    house.rewrite("DELETE FROM audit_entries WHERE leaf_index = 5");
    assert_eq!(house.against(&kept).first_bad.unwrap().index, 5);

    // The bucket has the versions locked: who has our key cannot remove them.
    let listed = ask(&address, "GET", "audit?versions", "", "");
    let between = |text: &str, tag: &str| {
        let from = text.split_once(&format!("<{tag}>")).unwrap().1;
        from.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
    };
    let (name, version) = (between(&listed, "Key"), between(&listed, "VersionId"));
    let removed = ask(&address, "DELETE", &format!("audit/{name}?versionId={version}"), "", "");
    assert!(removed.starts_with("HTTP/1.1 403"), "{removed}");
}
