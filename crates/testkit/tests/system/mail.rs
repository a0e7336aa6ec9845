//! Letters through another program's mail server, which wants TLS and a password.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Daemon, Installation, Options, free_port, sign_in};

use crate::Scratch;
use crate::listening::certificates;

/// Debian's own Python: the mail server is a package of the system's.
const PYTHON: &str = "/usr/bin/python3";

struct Post {
    scratch: Scratch,
    port: u16,
    server: Option<Daemon>,
}

impl Post {
    fn open(&mut self) {
        let folder = &self.scratch.0;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/mail/server.py");
        let mut command = Command::new(PYTHON);
        command
            .args(["-W", "ignore", script, &self.port.to_string()])
            .args([folder.join("leaf.pem"), folder.join("key.pem")]);
        command.args(["post", "p/w"]);
        self.server = Some(Daemon::start("the mail server", command, &folder.join("letters")).unwrap());
    }

    /// All letters so far to that address.
    fn letters(&self, to: &str) -> Vec<Json> {
        let text = std::fs::read_to_string(self.scratch.0.join("letters")).unwrap_or_default();
        let read =
            text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str::<Json>(line).unwrap());
        read.filter(|letter| letter["to"] == json!([to])).collect()
    }

    /// The newest of so many letters, once they are there.
    fn newest(&mut self, to: &str, count: usize) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        while self.letters(to).len() < count {
            assert!(Instant::now() < until, "no letter to {to} came within a minute");
            self.server.as_mut().unwrap().expect_alive().unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        let letters = self.letters(to);
        let last = letters.last().unwrap();
        assert_eq!((&last["tls"], &last["user"]), (&json!(true), &json!("post")), "{last}");
        last["text"].as_str().unwrap().to_owned()
    }

    /// The token in the newest of so many letters.
    fn token(&mut self, to: &str, count: usize) -> String {
        let text = self.newest(to, count);
        let (_, rest) = text.split_once("token=").unwrap();
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
    }
}

#[test]
fn letters_reach_a_mail_server_that_wants_tls_and_a_password_once_it_is_there() {
    if !Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output().is_ok_and(|done| done.status.success()) {
        return db::testing::pass_over(db::testing::TOOLS, "python3-aiosmtpd is not installed");
    }
    let scratch = Scratch::new("mail");
    certificates(&scratch.0);
    let mut post = Post { scratch, port: free_port().unwrap(), server: None };
    let authority = post.scratch.0.join("ca.pem").display().to_string();
    let options = Options {
        flags: ["--smtp", &format!("smtp://post:p%2Fw@localhost:{}?tls=required", post.port)].map(str::to_owned).into(),
        // The system's trust, with this authority in it.
        environment: vec![("SSL_CERT_FILE".to_owned(), authority)],
        ..Options::default()
    };
    let house = Installation::start(&post.scratch.0, options).unwrap();
    let nobody = house.api.as_token("");

    // Invited while there is no mail server.
    let owner = "owner@example.org";
    let new = json!({ "name": "Harbour", "owner": { "email": owner, "name": "Harbour" } });
    house.api.post("/api/v1/tenants", &new).unwrap();
    post.open();
    let token = post.token(owner, 1);
    let accept = json!({ "token": token, "name": "Harbour", "password": Installation::PASSWORD });
    nobody.post("/api/v1/invitations/accept", &accept).unwrap();
    sign_in(&nobody, owner).unwrap();

    nobody.post("/api/v1/password/request-reset", &json!({ "email": owner })).unwrap();
    let token = post.token(owner, 2);
    let fresh = "quarry-ember-saddle-9-violin";
    nobody.post("/api/v1/password/reset", &json!({ "token": token, "password": fresh })).unwrap();
    assert!(sign_in(&nobody, owner).is_err(), "the old password is no longer good");
    let told = post.newest(owner, 3);
    assert!(!told.contains("token="), "that the password was changed is told, and nothing more: {told}");
    assert_eq!(post.letters(owner).len(), 3, "each letter is sent once");
    post.server.take().unwrap().stop().unwrap();
}
