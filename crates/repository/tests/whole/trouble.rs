//! Quotas, full disks, lines that break, and many at once.

use std::fs;
use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::process::Command;

use base64::Engine as _;
use repository::credentials::Role;
use vault::fault;
use vault::request::Read;

use crate::server::Server;
use crate::support::*;

fn head(server: &Server, secret: &str, name: &str, length: usize) -> String {
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("host:{secret}"));
    format!(
        "POST /acme/data/{name} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {auth}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
        server.address
    )
}

fn name_of(data: &[u8]) -> String {
    base::hex::encode(ring::digest::digest(&ring::digest::SHA256, data).as_ref())
}

/// What lies below the data directory that is not finished.
fn unfinished(server: &Server) -> usize {
    listing(&server.root()).iter().filter(|(name, _)| name.to_string_lossy().contains(".part-")).count()
}

#[test]
fn a_quota_refuses_and_leaves_what_is_there_usable() {
    let server = Server::start("quota");
    tree(&server.folder.join("data"));
    let secret = server.issue("host", Role::Append, Some(4 << 20));
    let repository = make_in(server.place("host", &secret));
    fs::create_dir(server.folder.join("small")).unwrap();
    fs::write(server.folder.join("small/file"), b"small").unwrap();
    let small = back_up(&repository, &server.folder.join("small")).unwrap();
    assert_eq!(code(back_up(&repository, &server.folder.join("data"))), fault::REPOSITORY_QUOTA);
    assert_eq!(snapshots(&repository).unwrap(), std::slice::from_ref(&small));
    restore(&repository, &small.id, "/data", &server.folder.join("back")).unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
}

#[test]
fn a_full_disk_has_its_own_word() {
    let folder = Folder::new("full");
    let disk = folder.join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a small disk cannot be mounted here (needs root)");
        return;
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        }
    }
    let _mounted = Mounted(disk.clone());
    tree(&folder.join("data"));
    let server = Server::start_at(folder, disk, None);
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    assert_eq!(code(back_up(&repository, &server.folder.join("data"))), fault::REPOSITORY_FULL);
    assert!(snapshots(&repository).unwrap().is_empty());
    assert_eq!(unfinished(&server), 0);
}

/// Waits until so many uploads lie there unfinished.
fn await_unfinished(server: &Server, number: usize) {
    for _ in 0..600 {
        if unfinished(server) == number {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} uploads are unfinished, not {number}", unfinished(server));
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_and_a_killed_server_sweeps() {
    let mut server = Server::start("broken");
    let secret = server.issue("host", Role::Append, None);
    make_in(server.place("host", &secret));
    let data = noise(1, 1 << 20);
    let name = name_of(&data);
    // Half of it was seen to have arrived: before that there is nothing to leave behind.
    let half = |server: &Server| {
        let mut line = TcpStream::connect(&server.address).unwrap();
        line.write_all(head(server, &secret, &name, data.len()).as_bytes()).unwrap();
        line.write_all(&data[..data.len() / 2]).unwrap();
        await_unfinished(server, 1);
        line
    };
    drop(half(&server));
    let path = server.root().join("data").join(&name[..2]).join(&name);
    await_unfinished(&server, 0);
    assert!(!path.exists());

    let _line = half(&server);
    server.kill();
    let (folder, at) = (Folder::new("again"), server.data.clone());
    let again = Server::start_at(folder, at, None);
    assert!(!path.exists() && unfinished(&again) == 0);
}

#[test]
fn the_same_file_from_many_at_once_is_there_once() {
    let server = Server::start("many");
    let secret = server.issue("host", Role::Append, None);
    make_in(server.place("host", &secret));
    let data = noise(2, 2 << 20);
    let name = name_of(&data);
    let answers: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut line = TcpStream::connect(&server.address).unwrap();
                    line.write_all(head(&server, &secret, &name, data.len()).as_bytes()).unwrap();
                    line.write_all(&data).unwrap();
                    let mut answer = String::new();
                    line.read_to_string(&mut answer).unwrap();
                    answer
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{answers:?}");
    assert_eq!(fs::read(server.root().join("data").join(&name[..2]).join(&name)).unwrap(), data);
    assert_eq!(unfinished(&server), 0);
}

#[test]
fn a_server_that_is_away_is_named() {
    let mut server = Server::start("away");
    let secret = server.issue("host", Role::Append, None);
    let repository = make_in(server.place("host", &secret));
    server.kill();
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_UNREACHABLE);
}
