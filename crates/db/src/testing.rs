//! Private databases for tests: SQLite in a scratch directory, PostgreSQL in a
//! server of its own that ends with the test process.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests use it")]
#![expect(clippy::zombie_processes, reason = "the private server ends with this process")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Db, Location};

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A directory that goes away when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh, empty one.
    pub fn new() -> Self {
        let name = format!("yunwei-test-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Says that something is not tried because of what this machine lacks. Where
/// the environment says `variable=require`, as `script/test` does, the test fails
/// instead: what was passed over must not look as if it had been tried.
///
/// # Panics
/// Where nothing may be passed over.
pub fn pass_over(variable: &str, lacking: &str) {
    let required = std::env::var(variable).is_ok_and(|value| value == "require");
    assert!(!required, "{lacking}, and {variable} says that nothing is passed over; see script/setup --test");
    eprintln!("SKIPPED: {lacking}");
}

/// Other programs that judge ours (Python and its packages, OpenSSL, libfaketime)
/// for [`pass_over`].
pub const TOOLS: &str = "YUNWEI_TEST_TOOLS";
/// Database servers for [`pass_over`].
pub const DATABASES: &str = "YUNWEI_TEST_DATABASES";

/// A fresh database of each engine that this machine has. Keep the scratch
/// directory alive for as long as the database is used.
pub fn databases() -> Vec<(&'static str, Db, Scratch)> {
    let mut all = vec![sqlite()];
    all.extend(postgres());
    all
}

/// A fresh SQLite database.
pub fn sqlite() -> (&'static str, Db, Scratch) {
    let scratch = Scratch::new();
    let db = Db::open(&Location::Directory(scratch.path().to_owned())).unwrap();
    ("sqlite", db, scratch)
}

/// A fresh PostgreSQL database, where this machine has PostgreSQL.
pub fn postgres() -> Option<(&'static str, Db, Scratch)> {
    let url = postgres_url()?;
    Some(("postgres", Db::open(&Location::Postgres(url)).unwrap(), Scratch::new()))
}

/// The address of a fresh, empty PostgreSQL database.
pub fn postgres_url() -> Option<String> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| std::env::var("YUNWEI_TEST_POSTGRES").ok().or_else(start)).as_ref()?;
    let name = format!("t{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
    let mut admin = ::postgres::Client::connect(&format!("{server} dbname=postgres"), ::postgres::NoTls)
        .expect("the private PostgreSQL answers");
    admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Some(format!("{server} dbname={name}"))
}

/// Finds `initdb` on the PATH or where Debian keeps it.
fn binaries() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists());
    on_path.or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        versions.filter_map(|v| Some(v.ok()?.path().join("bin"))).filter(|dir| dir.join("initdb").exists()).max()
    })
}

/// Removes what test processes left that have ended: a server's thread never
/// drops its directory.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("yunwei-test-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Starts a server in a scratch directory; it is told to end when this process does.
fn start() -> Option<String> {
    sweep();
    let Some(bin) = binaries() else {
        pass_over(DATABASES, "PostgreSQL is not installed, so that this runs on SQLite only");
        return None;
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    // The signal at the parent's death follows the thread that started the child: this one never ends.
    std::thread::spawn(move || {
        let scratch = Scratch::new();
        let data = scratch.path().join("pg");
        // PostgreSQL refuses to run as root: an ordinary user owns the directory then.
        let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let run = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]);
            if root {
                command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
            }
            command.arg(bin.join(program)).current_dir(scratch.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        if root {
            assert!(Command::new("chown").arg("nobody").arg(scratch.path()).status().unwrap().success());
        }
        let made = run("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "yunwei", "--locale=C.UTF-8", "-E", "UTF8", "-D"])
            .arg(&data)
            .status();
        assert!(made.is_ok_and(|s| s.success()), "initdb failed");
        let settings = ["fsync=off", "listen_addresses=", "max_connections=500", "shared_buffers=64MB"];
        let mut server = run("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(scratch.path());
        for setting in settings {
            server.args(["-c", setting]);
        }
        let mut child = server.spawn().expect("postgres starts");
        let url = format!("host={} user=yunwei", scratch.path().display());
        for _ in 0..300 {
            if ::postgres::Client::connect(&format!("{url} dbname=postgres"), ::postgres::NoTls).is_ok() {
                sender.send(url).unwrap();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the private PostgreSQL did not come up");
    });
    Some(receiver.recv().expect("the private PostgreSQL starts"))
}
