//! Repositories in object storage, on a real S3 server (moto) that `tests/python` installs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vault::fault;
use vault::request::{Answer, Bucket, Key, Place, Read, Repository, Secret, Task};

use crate::judge::{Restic, there};
use crate::support::*;

/// moto, and what S3 does besides: nobody shortens the retention of what is locked for compliance.
const SERVE: &str = r#"
import sys
from moto.s3 import models
from moto.s3.exceptions import AccessDeniedByLock
retain = models.S3Backend.put_object_retention
def _retain(self, bucket_name, key_name, version_id, retention):
    key = self.get_object(bucket_name, key_name, version_id=version_id)
    if key.lock_mode == "COMPLIANCE" and (retention[0] != "COMPLIANCE" or retention[1] < key.lock_until):
        raise AccessDeniedByLock
    return retain(self, bucket_name, key_name, version_id, retention)
models.S3Backend.put_object_retention = _retain
from moto.server import main
main(sys.argv[1:])
"#;

/// An S3 server that ends with its test.
struct S3 {
    child: Child,
    address: String,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl S3 {
    /// A server with one bucket; none where it cannot be had and is not required.
    fn start() -> Option<Self> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python");
        let there = Command::new(&python).args(["-c", "import moto.server"]).status().is_ok_and(|s| s.success());
        let required = std::env::var("YUNWEI_TEST_S3").is_ok_and(|v| v == "require");
        assert!(there || !required, "an S3 server is required and cannot be installed: tests/python");
        if !there {
            eprintln!("SKIPPED: no S3 server (tests/python installs one from tests/requirements.txt)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(["-c", SERVE, "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let s3 = S3 { child, address: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if ureq::put(format!("{}/vault", s3.address)).send_empty().is_ok() {
                return Some(s3);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the S3 server does not answer");
    }

    /// A bucket that may lock objects, and locks all of them in that mode for a day, where one is named.
    fn locking(&self, bucket: &str, mode: Option<&str>) {
        let at = format!("{}/{bucket}", self.address);
        ureq::put(&at).header("x-amz-bucket-object-lock-enabled", "true").send_empty().unwrap();
        let Some(mode) = mode else { return };
        let rule = format!("<Rule><DefaultRetention><Mode>{mode}</Mode><Days>1</Days></DefaultRetention></Rule>");
        let lock = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
        );
        ureq::put(format!("{at}?object-lock")).send(&lock[..]).unwrap();
    }

    /// How many versions of what the lock is tried on lie in a bucket.
    fn probes(&self, bucket: &str) -> usize {
        let all = ureq::get(format!("{}/{bucket}?versions", self.address)).call().unwrap();
        all.into_body().read_to_string().unwrap().matches("immutability-probe</Key>").count()
    }

    fn place(&self, bucket: &str) -> Place {
        Place::Bucket(Bucket {
            endpoint: self.address.clone(),
            bucket: bucket.to_owned(),
            prefix: "acme/files".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "key".to_owned(),
            secret_key: Secret::new("secret"),
            virtual_hosted: false,
            authority: None,
        })
    }
}

#[test]
fn a_bucket_holds_a_repository_that_restic_reads() {
    let Some(mut s3) = S3::start() else { return };
    let folder = Folder::new("bucket");
    tree(&folder.join("data"));
    let repository = make_in(s3.place("vault"));
    let first = back_up(&repository, &folder.join("data")).unwrap();
    fs::write(folder.join("data/deep/large"), noise(5, 9 << 20)).unwrap();
    let second = back_up(&repository, &folder.join("data")).unwrap();
    assert_eq!(snapshots(&repository).unwrap(), [first.clone(), second.clone()]);
    restore(&repository, &second.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));

    run(&repository, &Task::Forget { snapshots: vec![first.id] }).unwrap();
    let pruned = run(&repository, &Task::Prune { grace_hours: 0 }).unwrap();
    assert!(matches!(pruned, Answer::Pruned { removed_bytes, .. } if removed_bytes > 9 << 20), "{pruned:?}");
    assert!(check(&repository, Read::Everything).unwrap().whole);

    let here = make(&folder.join("copy"));
    let copying = Task::Copy { to: Box::new(here.clone()), snapshots: vec![second.id.clone()] };
    let Answer::Copied(pairs) = run(&repository, &copying).unwrap() else { panic!() };
    restore(&here, &pairs[&second.id], "/data/deep/large", &folder.join("one")).unwrap();
    assert_eq!(fs::read(folder.join("one/large")).unwrap(), noise(5, 9 << 20));

    if there() {
        let restic = Restic::new(format!("s3:{}/vault/acme/files", s3.address), ESCROW);
        restic.check();
        restic.run(["restore", &second.id, "--target", folder.join("by-restic").to_str().unwrap()]);
        assert_eq!(listing(&folder.join("by-restic/data")), listing(&folder.join("data")));
    }
    let elsewhere = Repository { place: s3.place("no-such-bucket"), ..repository.clone() };
    assert_eq!(code(snapshots(&elsewhere)), fault::REPOSITORY_MISSING);
    s3.child.kill().unwrap();
    s3.child.wait().unwrap();
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_UNREACHABLE);
}

#[test]
fn a_bucket_that_is_not_there_is_missing_and_not_damaged() {
    let Some(s3) = S3::start() else { return };
    let (place, key) = (s3.place("no-such-bucket"), Key::Password(Secret::new(PASSWORD)));
    let nowhere = Repository { place, key, cache: None };
    assert_eq!(code(snapshots(&nowhere)), fault::REPOSITORY_MISSING);
    let made = run(&nowhere, &Task::Make { escrow: Secret::new(ESCROW), alike: None }).unwrap_err();
    assert_eq!(made.code(), fault::REPOSITORY_MISSING, "{made}");
    assert!(made.message().contains("there is no bucket"), "{made}");
}

#[test]
fn an_object_lock_is_tried_and_believed_only_where_it_holds() {
    let Some(s3) = S3::start() else { return };
    let folder = Folder::new("lock");
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/file"), noise(1, 1 << 20)).unwrap();
    s3.locking("compliance", Some("COMPLIANCE"));
    s3.locking("governance", Some("GOVERNANCE"));
    s3.locking("idle", None);
    // Whoever may go past the governance mode, as this key, is kept from nothing by it.
    for (bucket, kept, probes) in
        [("compliance", true, 1), ("governance", false, 0), ("idle", false, 0), ("vault", false, 0)]
    {
        let repository = make_in(s3.place(bucket));
        for number in 0..2 {
            fs::write(folder.join("data/file"), noise(number, 1 << 20)).unwrap();
            back_up(&repository, &folder.join("data")).unwrap();
            let looked = check(&repository, Read::Nothing).unwrap();
            assert_eq!((looked.whole, looked.guarded), (true, Some(kept)), "{bucket}");
        }
        assert_eq!(s3.probes(bucket), probes, "{bucket}: one a day, and none where there is nothing to try");
        if there() && kept {
            Restic::new(format!("s3:{}/{bucket}/acme/files", s3.address), ESCROW).check();
        }
    }
}
