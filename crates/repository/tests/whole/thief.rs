//! A stolen writing credential, with the key of the data, tried with restic and by hand.

use std::fs;
use std::path::PathBuf;

use repository::credentials::{self, Role};
use ureq::http::Method;
use vault::fault;
use vault::request::Read;

use crate::judge::there;
use crate::server::Server;
use crate::support::*;

const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// One request by hand: its status.
fn ask(server: &Server, method: &str, path: &str, auth: &str, body: &[u8]) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(format!("http://{}{path}", server.address))
        .header("authorization", auth)
        .body(body)
        .unwrap();
    let request = agent.configure_request(request).allow_non_standard_methods(true).build();
    agent.run(request).unwrap().status().as_u16()
}

fn basic(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{user}:{secret}")))
}

/// Everything of the repository but locks, with contents.
fn held(server: &Server) -> Vec<(PathBuf, Vec<u8>)> {
    listing(&server.root()).into_iter().filter(|(name, _)| !name.starts_with("locks")).collect()
}

#[test]
fn a_stolen_writing_credential_takes_nothing_away() {
    let server = Server::start("thief");
    tree(&server.folder.join("data"));
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    let taken = back_up(&repository, &server.folder.join("data")).unwrap();
    fs::write(server.folder.join("data/new"), b"new").unwrap();
    back_up(&repository, &server.folder.join("data")).unwrap();
    let before = held(&server);

    if there() {
        let restic = server.restic("host", &secret);
        let short = &taken.id[..8];
        for attack in [
            vec!["forget", short],
            vec!["forget", "--prune", "--keep-last", "1"],
            vec!["prune"],
            vec!["prune", "--max-unused", "0"],
            vec!["rebuild-index", "--read-all-packs"],
            vec!["tag", "--set", "gone", short],
            vec!["key", "passwd", "--new-password-file", "/dev/null"],
            vec!["migrate", "upgrade_repo_v2", "--force"],
            vec!["rewrite", "--forget", "--exclude", "*", short],
        ] {
            // Some say that they failed, some do not notice. What counts is what is there.
            restic.within(6, attack);
        }
        restic.run(["unlock", "--remove-all"]);
    }
    let auth = basic("host", &secret);
    for (name, contents) in &before {
        let mut parts: Vec<&str> = name.to_str().unwrap().split('/').collect();
        if parts.len() == 3 {
            // Packs lie two deep and are named one deep.
            parts.remove(1);
        }
        if contents.is_empty() {
            continue;
        }
        let path = format!("/acme/{}", parts.join("/"));
        for method in ["DELETE", "PUT", "PATCH", "MOVE"] {
            assert_eq!(ask(&server, method, &path, &auth, b"x"), 403, "{method} {path}");
        }
        let overwritten = ask(&server, "POST", &path, &auth, b"something else");
        assert!([400, 403].contains(&overwritten), "{path}: {overwritten}");
    }
    for path in ["/acme/", "/acme", "/acme/data/", "/acme/snapshots"] {
        assert_eq!(ask(&server, "DELETE", path, &auth, b""), 403, "{path}");
    }
    // What was there is there, to the byte; what the thief added does no harm to it.
    let after = held(&server);
    assert!(before.iter().all(|file| after.contains(file)));
    restore(&repository, &taken.id, "/data", &server.folder.join("back")).unwrap();
    fs::remove_file(server.folder.join("data/new")).unwrap();
    assert_eq!(listing(&server.folder.join("back")), listing(&server.folder.join("data")));
    assert!(check(&repository, Read::Everything).unwrap().whole);
}

#[test]
fn odd_names_false_contents_and_other_repositories_are_refused() {
    let server = Server::start("odd");
    let secret = server.issue("host", Role::Append, None);
    let auth = basic("host", &secret);
    assert_eq!(ask(&server, "POST", "/acme/?create=true", &auth, b""), 200);
    let reader = basic("reader", &server.issue("reader", Role::Read, None));
    assert_eq!(ask(&server, "POST", &format!("/acme/data/{OTHER}"), &reader, b"x"), 403);
    assert_eq!(ask(&server, "GET", "/acme/data/", &reader, b""), 200);
    // A name that is not the hash of what is in it.
    for kind in ["data", "index", "snapshots", "keys", "locks"] {
        assert_eq!(ask(&server, "POST", &format!("/acme/{kind}/{OTHER}"), &auth, b"x"), 400, "{kind}");
    }
    for path in ["/acme/data/..%2f..%2fx", "/acme/data/.part-1", "/acme/other/x", "/acme/data/a/b", "/%2e%2e/x"] {
        assert_eq!(ask(&server, "POST", path, &auth, b"x"), 404, "{path}");
    }
    for path in ["/acme/../other/config", "/other/?create=true", "/other/config"] {
        assert!([403, 404].contains(&ask(&server, "POST", path, &auth, b"x")), "{path}");
    }
    for wrong in [basic("host", "guess"), basic("nobody", &secret), "Bearer x".to_owned(), basic("../host", &secret)] {
        assert_eq!(ask(&server, "GET", "/acme/config", &wrong, b""), 401);
    }
    assert_eq!(fs::read_dir(server.data.join("repositories")).unwrap().count(), 1);
    assert!(held(&server).iter().all(|(_, contents)| contents.is_empty()));
}

#[test]
fn a_revoked_credential_is_refused_at_once_and_no_secret_is_kept() {
    let server = Server::start("revoked");
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    assert!(snapshots(&repository).unwrap().is_empty());
    let kept = listing(&server.data.join("credentials"));
    assert!(kept.iter().all(|(_, text)| !String::from_utf8_lossy(text).contains(&secret)));
    credentials::revoke(&server.data, "host").unwrap();
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_REFUSED);
}
