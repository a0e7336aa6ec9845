//! Object storage for these tests: a real S3 server (moto) that `tests/python` installs, with a bucket for each
//! that asks.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::backups::places::{Role, SET_CREDENTIAL, SetCredential};

/// One server for all tests of this process; it ends with it, for it reads a pipe that we hold.
struct S3 {
    address: String,
    _server: Child,
}

/// Ends with whoever started it, however that ended.
const SERVE: &str = "import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(sys.argv[1:])";

fn start() -> Option<S3> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python");
    let there = Command::new(&python).args(["-c", "import moto.server"]).status().is_ok_and(|status| status.success());
    if !there {
        db::testing::pass_over("YUNWEI_TEST_S3", "no S3 server (tests/python installs one)");
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(python);
    command.args(["-c", SERVE, "-H", "127.0.0.1", "-p", &port.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = command.spawn().unwrap();
    let s3 = S3 { address, _server: server };
    for _ in 0..600 {
        if TcpStream::connect(&s3.address).is_ok() {
            return Some(s3);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the S3 server does not answer");
}

/// A bucket with nothing in it.
pub struct Bucket {
    address: String,
    pub name: String,
}

impl Bucket {
    /// None, with a word, where there is no S3 server and none is required.
    pub fn new() -> Option<Bucket> {
        static SERVER: OnceLock<Option<S3>> = OnceLock::new();
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.get_or_init(start).as_ref()?;
        let name = format!("copies-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
        let bucket = Bucket { address: server.address.clone(), name };
        let answer = bucket.ask("PUT", "");
        assert!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{answer}");
        Some(bucket)
    }

    fn ask(&self, method: &str, rest: &str) -> String {
        let mut to = TcpStream::connect(&self.address).unwrap();
        let asked = format!(
            "{method} /{}{rest} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.name, self.address
        );
        to.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        to.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many packs of data lie in it.
    pub fn packs(&self) -> usize {
        let listed = self.ask("GET", "?list-type=2");
        listed.split("<Key>").skip(1).filter(|key| key.split("</Key>").next().unwrap().contains("/data/")).count()
    }

    /// It as a place for copies, with what lets everybody in.
    pub fn place(&self, gate: &Gate, name: &str) -> BackupPlace {
        let location = Location::Bucket {
            endpoint: format!("http://{}", self.address),
            bucket: self.name.clone(),
            prefix: String::new(),
            region: "us-east-1".into(),
            virtual_hosted: false,
            authority: None,
        };
        let site = Some(crate::backups::places::ELSEWHERE.into());
        let new = NewPlace { name: name.into(), location, site, host: None, immutability: None };
        let made = gate.run(&manager(), &CREATE, new).unwrap();
        for (role, control_plane) in
            [Role::Append, Role::Maintain].into_iter().flat_map(|role| [(role, false), (role, true)])
        {
            let (name, secret) = ("key".into(), "secret".into());
            let credential = SetCredential { id: made.id, tenant: None, control_plane, role, name, secret };
            gate.run(&manager(), &SET_CREDENTIAL, credential).unwrap();
        }
        made
    }
}
