//! Database servers of our own on this machine, for whoever tries backups of them: also the tests of the agent as
//! a program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use drivers::wire::DatabaseServer;

pub const PASSWORD: &str = "correct horse battery staple";

/// A directory of this test that goes with it.
pub struct Room(pub PathBuf);

impl Room {
    pub fn new() -> Room {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("yunwei-test-{}-data-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        Room(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server of ours, as an ordinary user, that ends with this test.
pub struct Server {
    pub child: Child,
    pub _room: Room,
    pub at: DatabaseServer,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program as an ordinary user: servers refuse to be run by root.
pub fn ordinary(program: &Path, room: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.arg(program).current_dir(room).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub fn owned_room() -> Room {
    let room = Room::new();
    if rustix::process::geteuid().is_root() {
        assert!(Command::new("chown").arg("nobody:nogroup").arg(&room.0).status().unwrap().success());
    }
    room
}

pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..600 {
        if there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come up");
}

/// A server that this machine does not have is passed over, but for where all are wanted.
pub fn absent(server: &str) -> Option<Server> {
    let wanted = std::env::var("YUNWEI_TEST_DATABASES").is_ok_and(|value| value == "require");
    assert!(!wanted, "{server} is not installed: script/setup --test");
    eprintln!("SKIPPED: {server} is not installed");
    None
}

/// Where PostgreSQL's own programs are: on the path, or where Debian keeps them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kept = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|one| one.path().join("bin"));
    let mut kept: Vec<PathBuf> = kept.collect();
    kept.sort();
    std::env::split_paths(&path).chain(kept.into_iter().rev()).find(|dir| dir.join("initdb").exists())
}

/// PostgreSQL with a superuser `keeper` who needs a password.
pub fn postgres() -> Option<Server> {
    let Some(bin) = programs() else { return absent("PostgreSQL") };
    let room = owned_room();
    let (data, secret) = (room.0.join("pg"), room.0.join("secret"));
    fs::write(&secret, PASSWORD).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let made = ordinary(&bin.join("initdb"), &room.0)
        .args(["--no-sync", "-A", "scram-sha-256", "-U", "keeper", "--locale=C.UTF-8", "-E", "UTF8", "--pwfile"])
        .arg(&secret)
        .arg("-D")
        .arg(&data)
        .status()
        .unwrap();
    assert!(made.success());
    let child = ordinary(&bin.join("postgres"), &room.0)
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&room.0)
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "wal_level=replica"])
        .spawn()
        .unwrap();
    let at =
        DatabaseServer { socket: Some(room.0.display().to_string()), host: None, port: None, user: "keeper".into() };
    let server = Server { child, _room: room, at };
    wait_for("PostgreSQL", || psql(&server, "postgres", "SELECT 1").is_ok());
    Some(server)
}

pub fn postgres_tool(server: &Server, program: &str, database: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PGHOST", server.at.socket.as_ref().unwrap()).env("PGUSER", "keeper").env("PGPASSWORD", PASSWORD);
    command.env("PGDATABASE", database);
    command
}

pub fn said(mut command: Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub fn psql(server: &Server, database: &str, sql: &str) -> Result<String, String> {
    let mut command = postgres_tool(server, "psql", database);
    command.args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    said(command)
}
