//! Clients that stand still or come by the thousand: each costs its own line, nobody else's
//! backup, and leaves nothing behind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use repository::credentials::Role;
use ring::digest::{SHA256, digest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vault::request::Read;

use crate::server::Server;
use crate::support::*;

/// Longer than any patience of the server: what is not over by then never is.
const FOR_EVER: Duration = Duration::from_secs(120);

fn line(server: &Server) -> TcpStream {
    let line = TcpStream::connect(&server.address).unwrap();
    line.set_read_timeout(Some(FOR_EVER)).unwrap();
    line
}

/// The head of an upload of a pack.
fn head(secret: &str, data: &[u8]) -> String {
    let name = base::hex::encode(digest(&SHA256, data).as_ref());
    let proof = BASE64_STANDARD.encode(format!("host:{secret}"));
    let length = data.len();
    format!(
        "POST /acme/data/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {proof}\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// What the server says until it closes the line.
fn said(mut line: TcpStream) -> String {
    let mut answer = Vec::new();
    // A line that is reset has said all that it will.
    let _ = line.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The files of all packs, finished or not.
fn packs(server: &Server) -> usize {
    let folders = std::fs::read_dir(server.root().join("data")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

fn backs_up(server: &Server, secret: &str, data: &Path) {
    let repository = server.with(&repository(Path::new("/")), "host", secret);
    let taken = back_up(&repository, data).unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
    assert!(snapshots(&repository).unwrap().contains(&taken));
}

/// A server with a repository, the secret of its host, and something to back up.
fn served(name: &str) -> (Server, String) {
    let server = Server::start(name);
    let secret = server.issue("host", Role::Append, None);
    make_in(server.place("host", &secret));
    std::fs::create_dir(server.folder.join("data")).unwrap();
    std::fs::write(server.folder.join("data/file"), noise(1, 3 << 20)).unwrap();
    (server, secret)
}

#[test]
fn heads_that_never_end_are_cut_off_and_hold_nobody_up() {
    let (server, secret) = served("slow-heads");
    let mut slow: Vec<TcpStream> = (0..50).map(|_| line(&server)).collect();
    for line in &mut slow {
        line.write_all(b"GET /acme/config HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    }
    backs_up(&server, &secret, &server.folder.join("data"));
    for line in slow {
        let answer = said(line);
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[test]
fn a_body_that_stands_still_is_given_up_and_leaves_nothing() {
    let (server, secret) = served("slow-body");
    let (before, data) = (packs(&server), noise(2, 1 << 20));
    let mut slow: Vec<TcpStream> = (0..10).map(|_| line(&server)).collect();
    for line in &mut slow {
        line.write_all(head(&secret, &data).as_bytes()).unwrap();
        line.write_all(&data[..1_000]).unwrap();
    }
    backs_up(&server, &secret, &server.folder.join("data"));
    let meanwhile = packs(&server);
    assert!(meanwhile > before);
    for line in slow {
        let answer = said(line);
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert_eq!(packs(&server), meanwhile - 10);
}

#[test]
fn a_backup_goes_through_beside_a_thousand_connections() {
    // Both sides hold a thousand lines, and files besides.
    let room = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: room.maximum, ..room }).unwrap();
    let (server, secret) = served("thousand");
    let idle: Vec<TcpStream> = (0..1_000).map(|_| line(&server)).collect();
    backs_up(&server, &secret, &server.folder.join("data"));
    drop(idle);
    backs_up(&server, &secret, &server.folder.join("data"));
}
