//! What the tests share: directories that go away, data, and a worker.
#![allow(dead_code, reason = "each crate that tries the vault uses its share")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base::Result;
use vault::client::{Cancel, Worker};
use vault::request::{
    Answer, Backup, Key, Place, Read, Repository, Restore, Restored, Secret, Snapshot, Source, Task, Unreadable,
};

pub const PASSWORD: &str = "quarry lantern";
pub const ESCROW: &str = "orchid ferry";

/// A directory of one test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("yunwei-vault-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that do not compress and are the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A tree with what trees have: empty and large files, odd names, links, modes.
pub fn tree(at: &Path) {
    fs::create_dir_all(at.join("deep/er/est")).unwrap();
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::write(at.join("empty file"), b"").unwrap();
    fs::write(at.join("文件.txt"), "你好\n").unwrap();
    fs::write(at.join("deep/er/est/small"), b"small").unwrap();
    fs::write(at.join("deep/large"), noise(7, 9 << 20)).unwrap();
    fs::write(at.join("deep/zeros"), vec![0; 3 << 20]).unwrap();
    for number in 0..200 {
        fs::write(at.join("deep/er").join(format!("n{number}")), noise(number, (number * 97) as usize)).unwrap();
    }
    std::os::unix::fs::symlink("deep/large", at.join("link")).unwrap();
    fs::hard_link(at.join("deep/large"), at.join("second name")).unwrap();
    fs::set_permissions(at.join("deep/er/est/small"), fs::Permissions::from_mode(0o750)).unwrap();
}

/// Every file and link below a directory with its contents, in order.
pub fn listing(at: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![at.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(std::result::Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(at).unwrap().to_owned();
            if kind.is_dir() {
                found.push((name, Vec::new()));
                open.push(path);
            } else if kind.is_symlink() {
                found.push((name, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
            } else {
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The program: built with these tests, or beside those of another crate.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let beside = || {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "vault"]).status().unwrap();
        assert!(built.success());
        let tests = std::env::current_exe().unwrap();
        tests.parent().unwrap().with_file_name("yunwei-vault")
    };
    BUILT.get_or_init(|| option_env!("CARGO_BIN_EXE_yunwei-vault").map_or_else(beside, PathBuf::from)).clone()
}

pub fn worker() -> Worker {
    Worker::new(program())
}

pub fn repository(at: &Path) -> Repository {
    Repository { place: Place::Folder(at.to_owned()), key: Key::Password(Secret::new(PASSWORD)), cache: None }
}

pub fn run(repository: &Repository, task: &Task) -> Result<Answer> {
    worker().run(repository, task, &Cancel::new(), &mut |_| {})
}

/// Makes a repository; the master key is not used, so that the password is tried each time.
pub fn make(at: &Path) -> Repository {
    make_in(Place::Folder(at.to_owned()))
}

pub fn make_in(place: Place) -> Repository {
    let made = Repository { place, key: Key::Password(Secret::new(PASSWORD)), cache: None };
    run(&made, &Task::Make { escrow: Secret::new(ESCROW), alike: None }).unwrap();
    made
}

pub fn backup_of(path: &Path) -> Backup {
    Backup {
        source: Source::Path { path: path.to_owned(), named: Some("/data".into()), except: Vec::new() },
        host: "tree".to_owned(),
        tags: vec!["service=srv_1".to_owned(), "nightly".to_owned()],
        label: "files".to_owned(),
        unreadable: Unreadable::Refuse,
    }
}

pub fn back_up(repository: &Repository, path: &Path) -> Result<Snapshot> {
    match run(repository, &Task::Backup(backup_of(path)))? {
        Answer::Taken { snapshot, unread } => {
            assert_eq!(unread, Vec::<String>::new());
            Ok(snapshot)
        }
        other => panic!("{other:?}"),
    }
}

pub fn restore(repository: &Repository, snapshot: &str, path: &str, to: &Path) -> Result<Restored> {
    let task = Task::Restore(Restore {
        snapshot: snapshot.to_owned(),
        path: path.to_owned(),
        to: to.to_owned(),
        sparse: false,
        owners: false,
    });
    match run(repository, &task)? {
        Answer::Restored(restored) => Ok(restored),
        other => panic!("{other:?}"),
    }
}

pub fn snapshots(repository: &Repository) -> Result<Vec<Snapshot>> {
    match run(repository, &Task::Snapshots)? {
        Answer::Snapshots(found) => Ok(found),
        other => panic!("{other:?}"),
    }
}

pub fn check(repository: &Repository, read: Read) -> Result<vault::request::Checked> {
    match run(repository, &Task::Check { read })? {
        Answer::Checked(checked) => Ok(checked),
        other => panic!("{other:?}"),
    }
}

/// The code of what must have failed.
pub fn code<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().code().to_owned()
}
