//! A server of one test, and what works over it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use repository::credentials::{self, Role};
use vault::fault;
use vault::request::{Answer, Place, Read, Repository, Secret, Task};

use crate::judge::{Restic, there};
use crate::support::*;

/// A server that ends with its test.
pub struct Server {
    pub folder: Folder,
    pub data: PathBuf,
    pub address: String,
    child: Child,
    authority: Option<String>,
}

impl Server {
    pub fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let data = folder.join("server");
        Self::start_at(folder, data, None)
    }

    pub fn start_at(folder: Folder, data: PathBuf, tls: Option<(&Path, &Path, String)>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yunwei-repository"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        if let Some((chain, key, _)) = &tls {
            command.arg("--tls-cert").arg(chain).arg("--tls-key").arg(key);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Server { folder, data, address, child, authority: tls.map(|(_, _, authority)| authority) }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn issue(&self, name: &str, role: Role, quota: Option<u64>) -> String {
        credentials::issue(&self.data, name, "acme", role, quota).unwrap()
    }

    pub fn place(&self, user: &str, secret: &str) -> Place {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        Place::Server {
            url: format!("{scheme}://{}/acme", self.address),
            user: user.to_owned(),
            secret: Secret::new(secret),
            authority: self.authority.clone(),
        }
    }

    pub fn with(&self, repository: &Repository, user: &str, secret: &str) -> Repository {
        Repository { place: self.place(user, secret), ..repository.clone() }
    }

    pub fn restic(&self, user: &str, secret: &str) -> Restic {
        Restic::new(format!("rest:http://{user}:{secret}@{}/acme/", self.address), PASSWORD)
    }

    pub fn root(&self) -> PathBuf {
        self.data.join("repositories/acme")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_vault_and_restic_work_over_the_same_server() {
    let server = Server::start("both");
    tree(&server.folder.join("data"));
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    let taken = back_up(&repository, &server.folder.join("data")).unwrap();
    assert_eq!(snapshots(&repository).unwrap(), std::slice::from_ref(&taken));
    assert!(check(&repository, Read::Everything).unwrap().whole);
    restore(&repository, &taken.id, "/data", &server.folder.join("back")).unwrap();
    assert_eq!(listing(&server.folder.join("back")), listing(&server.folder.join("data")));

    // With a cache the second look asks for less and says the same.
    let cached = Repository { cache: Some(server.folder.join("cache")), ..repository.clone() };
    for _ in 0..2 {
        assert_eq!(snapshots(&cached).unwrap(), std::slice::from_ref(&taken));
    }
    if !there() {
        return;
    }
    let restic = server.restic("host", &secret);
    restic.check();
    restic.run(["backup", "--host", "tree", server.folder.join("data").to_str().unwrap()]);
    let target = server.folder.join("by-restic");
    restic.run(["restore", &taken.id, "--target", target.to_str().unwrap()]);
    assert_eq!(listing(&target.join("data")), listing(&server.folder.join("data")));
    assert_eq!(snapshots(&repository).unwrap().len(), 2);
    assert!(check(&repository, Read::Everything).unwrap().whole);
}

#[test]
fn a_copy_goes_to_a_server_and_maintenance_prunes_it() {
    let server = Server::start("copy");
    tree(&server.folder.join("data"));
    let here = make(&server.folder.join("repo"));
    let first = back_up(&here, &server.folder.join("data")).unwrap();
    fs::write(server.folder.join("data/deep/large"), noise(5, 9 << 20)).unwrap();
    let second = back_up(&here, &server.folder.join("data")).unwrap();
    let secret = server.issue("host", Role::Append, None);
    let there = make_in(server.place("host", &secret));
    let copy = |id: &str| {
        let copying = Task::Copy { to: Box::new(there.clone()), snapshots: vec![id.to_owned()] };
        let Answer::Copied(pairs) = run(&here, &copying).unwrap() else { panic!() };
        pairs[id].clone()
    };
    let (first, second) = (copy(&first.id), copy(&second.id));

    let forget = Task::Forget { snapshots: vec![first] };
    assert_eq!(code(run(&there, &forget)), fault::REPOSITORY_APPEND_ONLY);
    let maintenance = server.with(&there, "keeper", &server.issue("keeper", Role::Maintain, None));
    run(&maintenance, &forget).unwrap();
    assert_eq!(code(run(&there, &Task::Prune { grace_hours: 0 })), fault::REPOSITORY_APPEND_ONLY);
    let pruned = run(&maintenance, &Task::Prune { grace_hours: 0 }).unwrap();
    assert!(matches!(pruned, Answer::Pruned { removed_bytes, .. } if removed_bytes > 9 << 20), "{pruned:?}");
    // Whoever looks is told whether the place keeps data from them; one that may remove is told so too.
    let looked = check(&there, Read::Everything).unwrap();
    assert_eq!((looked.whole, looked.guarded), (true, Some(true)));
    assert_eq!(check(&maintenance, Read::Nothing).unwrap().guarded, Some(false));
    assert_eq!(check(&here, Read::Nothing).unwrap().guarded, None);
    restore(&there, &second, "/data", &server.folder.join("back")).unwrap();
    assert_eq!(listing(&server.folder.join("back")), listing(&server.folder.join("data")));
}

#[test]
fn tls_is_spoken_to_the_named_authority_alone() {
    let folder = Folder::new("tls");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let data = folder.join("server");
    let mut server = Server::start_at(folder, data, Some((&chain, &key, made.cert.pem())));
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    assert!(snapshots(&repository).unwrap().is_empty());
    server.authority = Some(other.cert.pem());
    assert_eq!(code(snapshots(&server.with(&repository, "host", &secret))), fault::REPOSITORY_UNREACHABLE);
}
