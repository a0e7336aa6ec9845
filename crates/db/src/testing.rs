//! Private databases for tests: SQLite in a scratch directory, PostgreSQL in a
//! server of its own that ends with the test process.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests use it")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::{Db, Location};

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// Databases whose tests are over, and which may still be open somewhere.
static OVER: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A directory that goes away when it is dropped, and a database with it.
#[derive(Debug)]
pub struct Scratch(PathBuf, Option<String>);

impl Scratch {
    /// A fresh, empty one.
    pub fn new() -> Self {
        Scratch::inside(&std::env::temp_dir())
    }

    fn inside(directory: &Path) -> Self {
        let name = format!("yunwei-test-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path, None)
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
        OVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(self.1.take());
    }
}

/// Makes a program that may be run at once, in place of what was there. A process of its own writes it: whatever
/// another test forks meanwhile would hold open for writing what this one writes, and nothing can run what is.
///
/// # Panics
/// Where it cannot be written.
pub fn program(at: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let source = at.with_extension("text");
    std::fs::write(&source, text).unwrap();
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = std::process::Command::new("cp").args(["-p", "--remove-destination"]).arg(&source).arg(at).status();
    assert!(copy.unwrap().success(), "{} could not be written", at.display());
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

/// A fresh SQLite database: a copy of one that was made once.
pub fn sqlite() -> (&'static str, Db, Scratch) {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let scratch = Scratch::inside(roomy());
        // Closing it takes its log into it.
        drop(Db::open(&Location::Directory(scratch.path().to_owned())).unwrap());
        std::fs::read(scratch.path().join("yunwei.db")).unwrap()
    });
    let scratch = Scratch::inside(roomy());
    std::fs::write(scratch.path().join("yunwei.db"), made).unwrap();
    let db = Db::open(&Location::Directory(scratch.path().to_owned())).unwrap();
    ("sqlite", db, scratch)
}

/// A fresh PostgreSQL database, where this machine has PostgreSQL: a copy of one that was made once.
pub fn postgres() -> Option<(&'static str, Db, Scratch)> {
    static MADE: OnceLock<String> = OnceLock::new();
    let server = server()?;
    let made = MADE.get_or_init(|| {
        let name = create(server, "template0");
        // Nobody may be connected to what is copied.
        drop(Db::open(&Location::Postgres(format!("{server} dbname={name}"))).unwrap());
        name
    });
    let name = create(server, made);
    let db = Db::open(&Location::Postgres(format!("{server} dbname={name}"))).unwrap();
    let mut scratch = Scratch::new();
    scratch.1 = Some(name);
    Some(("postgres", db, scratch))
}

/// The address of a fresh, empty PostgreSQL database.
pub fn postgres_url() -> Option<String> {
    let server = server()?;
    Some(format!("{server} dbname={}", create(server, "template0")))
}

/// How the PostgreSQL server is reached that all tests of this process share.
fn server() -> Option<&'static String> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER.get_or_init(|| std::env::var("YUNWEI_TEST_POSTGRES").ok().or_else(start)).as_ref()
}

/// Makes a database as a copy of another, and gives its name.
fn create(server: &str, template: &str) -> String {
    let name = format!("t{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
    let mut admin = ::postgres::Client::connect(&format!("{server} dbname=postgres"), ::postgres::NoTls)
        .expect("the private PostgreSQL answers");
    // What tests left is removed by those that come after. One that is still open cannot be, yet; the server would
    // wait five seconds for its users.
    let over = std::mem::take(&mut *OVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let used = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 LIMIT 1";
    let open: Vec<String> = over
        .into_iter()
        .filter(|name| {
            let is_open = admin.query_opt(used, &[name]).unwrap().is_some();
            is_open || admin.batch_execute(&format!("DROP DATABASE {name}")).is_err()
        })
        .collect();
    OVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(open);
    admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
    name
}

/// Where many small databases are kept: in memory, where there is plenty of it.
fn roomy() -> &'static Path {
    const MEMORY: &str = "/dev/shm";
    const PLENTY: u64 = 8 << 30;
    static ROOMY: OnceLock<PathBuf> = OnceLock::new();
    let available = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    };
    let room = || -> Option<u64> {
        let told = Command::new("df").args(["--block-size=1", "--output=avail", MEMORY]).output().ok()?;
        String::from_utf8(told.stdout).ok()?.lines().nth(1)?.trim().parse().ok()
    };
    ROOMY.get_or_init(|| {
        let plenty = available() > Some(PLENTY) && room() > Some(PLENTY);
        if plenty { MEMORY.into() } else { std::env::temp_dir() }
    })
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

/// Removes what test processes left that were killed.
fn sweep() {
    let left = [std::env::temp_dir(), roomy().to_owned()]
        .into_iter()
        .filter_map(|directory| std::fs::read_dir(directory).ok());
    for entry in left.flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("yunwei-test-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs a server until its standard input ends, which is when this process does, however it does; then removes its
/// directory. What a terminal says to all its programs is not for it.
const UNTIL: &str = r#"trap '' INT
directory=$1; shift
"$@" <&- & server=$!
read -r _
kill -QUIT "$server"
wait "$server"
rm -rf "$directory""#;

/// Starts a server in a scratch directory, which both end with this process.
fn start() -> Option<String> {
    sweep();
    let Some(bin) = binaries() else {
        pass_over(DATABASES, "PostgreSQL is not installed, so that this runs on SQLite only");
        return None;
    };
    let scratch = Scratch::inside(roomy());
    let data = scratch.path().join("pg");
    // PostgreSQL refuses to run as root: an ordinary user owns the directory then.
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let mut plain: Vec<OsString> = Vec::new();
    if root {
        plain.extend(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"].map(OsString::from));
        assert!(Command::new("chown").arg("nobody").arg(scratch.path()).status().unwrap().success());
    }
    let run = |program: &str, plain: &[OsString]| -> Vec<OsString> {
        plain.iter().cloned().chain([bin.join(program).into_os_string()]).collect()
    };
    let initdb = run("initdb", &plain);
    let made = Command::new(&initdb[0])
        .args(&initdb[1..])
        .args(["--no-sync", "-A", "trust", "-U", "yunwei", "--locale=C.UTF-8", "-E", "UTF8", "-D"])
        .arg(&data)
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|s| s.success()), "initdb failed");
    let mut server = Command::new("sh");
    server.args(["-c", UNTIL, "sh"]).arg(scratch.path()).args(run("postgres", &plain));
    server.arg("-D").arg(&data).arg("-k").arg(scratch.path());
    let lasting =
        ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0"];
    for setting in ["listen_addresses=", "max_connections=500", "shared_buffers=64MB"].iter().chain(&lasting) {
        server.args(["-c", setting]);
    }
    server.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    // Never dropped, so its standard input stays open for as long as this process lives.
    let _ = Box::leak(Box::new(server.spawn().expect("postgres starts")));
    let url = format!("host={} user=yunwei", scratch.path().display());
    // The server removes it.
    std::mem::forget(scratch);
    for _ in 0..300 {
        if ::postgres::Client::connect(&format!("{url} dbname=postgres"), ::postgres::NoTls).is_ok() {
            return Some(url);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the private PostgreSQL did not come up");
}
