//! Data sets taken and brought back by the real vault, with real servers of our own on this machine,
//! and the servers' own programs and restic as judges.

mod drills;
mod instants;
mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Secret;
use drivers::tasks::{Cancel, Worker as _};
use drivers::wire::{
    Consistency, DataRestored, DataSource, DataTaken, DataTarget, DatabaseServer, HostTask, Outcome, Work,
};
use serde_json::{Value as Json, json};
use vault::client;

use self::servers::{
    PASSWORD, Room, Server, absent, ordinary, owned_room, postgres, postgres_tool, psql, said, wait_for,
};
use super::super::Hands;

/// `yunwei-vault`, built beside these tests.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("YUNWEI_VAULT") {
        return named.into();
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "vault"]).status().unwrap();
        assert!(built.success());
        std::env::current_exe().unwrap().parent().unwrap().with_file_name("yunwei-vault")
    };
    BUILT.get_or_init(build).clone()
}

/// A host with a repository.
struct Host {
    room: Room,
    hands: Hands,
}

impl Host {
    fn new() -> Host {
        let room = Room::new();
        let data = room.0.join("agent");
        fs::create_dir(&data).unwrap();
        let (vault, scratch) = (client::Worker::new(program()), data.join("backups"));
        let hands = Hands { libvirt: None, server: std::sync::Arc::new(crate::command::Nobody), vault, scratch, data };
        let host = Host { room, hands };
        host.hands.tidy().unwrap();
        host.run("htsk_make", Work::MakeRepository { alike: false }, host.access(&["own", "escrow"], None)).unwrap();
        host
    }

    fn repository(&self) -> PathBuf {
        self.room.0.join("repository")
    }

    fn access(&self, passwords: &[&str], server: Option<&str>) -> Json {
        let one =
            |password: &&str| json!({ "place": { "folder": self.repository() }, "key": { "password": password } });
        let repositories: Vec<Json> = passwords.iter().map(one).collect();
        match server {
            Some(password) => json!({ "repositories": repositories, "password": password }),
            None => json!(repositories),
        }
    }

    fn run(&self, id: &str, work: Work, access: Json) -> base::Result<Outcome> {
        work.check()?;
        let task = HostTask { id: id.parse().unwrap(), work };
        self.hands.run(&task, access, &Cancel::default(), &mut |_| {})
    }

    fn take(&self, tag: &str, source: &DataSource, password: Option<&str>) -> base::Result<Taken> {
        let work = Work::BackUpData { set: "dset_1".into(), source: source.clone(), tag: tag.into() };
        match self.run(&format!("htsk_{tag}"), work, self.access(&["own"], password))? {
            Outcome::DataBackedUp { snapshot, consistency, data, bytes, .. } => {
                Ok(Taken { snapshot, consistency, data, bytes })
            }
            other => panic!("{other:?}"),
        }
    }

    fn restore(
        &self,
        name: &str,
        source: &DataSource,
        snapshot: &str,
        to: DataTarget,
        password: Option<&str>,
    ) -> base::Result<DataRestored> {
        let work = Work::RestoreData {
            set: "dset_1".into(),
            source: source.clone(),
            restore: name.into(),
            snapshot: snapshot.into(),
            to,
        };
        match self.run(&format!("htsk_{name}"), work, self.access(&["own"], password))? {
            Outcome::DataRestored(restored) => Ok(restored),
            other => panic!("{other:?}"),
        }
    }

    /// Plain restic with the escrow password.
    fn restic(&self, arguments: &[&str]) -> String {
        let output = Command::new("restic")
            .arg("--repo")
            .arg(self.repository())
            .args(["--no-cache", "--quiet"])
            .args(arguments)
            .env("RESTIC_PASSWORD", "escrow")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn snapshots(&self) -> usize {
        let listed: Vec<Json> = serde_json::from_str(&self.restic(&["snapshots", "--json"])).unwrap();
        listed.len()
    }
}

#[derive(Debug)]
struct Taken {
    snapshot: String,
    consistency: Consistency,
    data: DataTaken,
    bytes: u64,
}

fn everything() -> DataTarget {
    DataTarget::Directory { below: None, only: String::new() }
}

fn into(database: &str, name: &str) -> DataTarget {
    DataTarget::Database { database: database.into(), name: name.into() }
}

/// Every file below a directory, with what is in it.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(
                tree(&path)
                    .into_iter()
                    .map(|(name, bytes)| (path.file_name().unwrap().into(), name, bytes))
                    .map(|(dir, name, bytes): (PathBuf, PathBuf, Vec<u8>)| (dir.join(name), bytes)),
            );
        } else {
            all.insert(path.file_name().unwrap().into(), fs::read(&path).unwrap());
        }
    }
    all
}

fn files(paths: &[&Path], except: &[&str]) -> DataSource {
    DataSource::Files {
        paths: paths.iter().map(|path| path.display().to_string()).collect(),
        except: except.iter().map(|&one| one.to_owned()).collect(),
    }
}

#[test]
fn files_come_back_as_they_were_and_restic_reads_them() {
    let host = Host::new();
    let (www, conf) = (host.room.0.join("www"), host.room.0.join("app.conf"));
    fs::create_dir_all(www.join("deep/deeper")).unwrap();
    fs::write(www.join("index.html"), "hello ".repeat(10_000)).unwrap();
    fs::write(www.join("deep/deeper/雲.txt"), "維").unwrap();
    fs::write(www.join("deep/left-out.log"), "noise").unwrap();
    fs::write(&conf, "port = 80").unwrap();
    let source = files(&[&www, &conf], &["*.log"]);
    let before = tree(&www);

    let taken = host.take("one", &source, None).unwrap();
    assert_eq!((taken.consistency, taken.data.unread_count), (Consistency::FileByFile, 0), "{taken:?}");
    assert!(taken.bytes > 60_000, "{taken:?}");
    assert_eq!(host.take("one", &source, None).unwrap().snapshot, taken.snapshot, "one task makes one snapshot");
    assert_eq!(host.snapshots(), 1);
    assert_eq!(host.restic(&["dump", &taken.snapshot, &conf.display().to_string()]), "port = 80");

    fs::remove_dir_all(&www).unwrap();
    let back = host.restore("drst_1", &source, &taken.snapshot, everything(), None).unwrap();
    let at = PathBuf::from(&back.at);
    assert_eq!(at, host.hands.data.join("restored/drst_1"));
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o700, "nobody else enters");
    let mut kept = before.clone();
    kept.retain(|name, _| !name.ends_with("left-out.log"));
    assert_eq!(tree(&at.join(www.strip_prefix("/").unwrap())), kept);
    assert_eq!(fs::read(at.join(conf.strip_prefix("/").unwrap())).unwrap(), b"port = 80");
    assert_eq!((back.files, back.digest.len()), (3, 64), "{back:?}");

    // A second try removes what the first one left, and makes the same.
    fs::write(at.join("half"), "of a restore").unwrap();
    let again = host.restore("drst_1", &source, &taken.snapshot, everything(), None).unwrap();
    assert!(again.digest == back.digest && !at.join("half").exists());

    // Only a part, below a directory that an operator named; what is there stays.
    let below = host.room.0.join("chosen");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("there"), "before").unwrap();
    let to = DataTarget::Directory {
        below: Some(below.display().to_string()),
        only: www.join("deep/deeper").display().to_string(),
    };
    let part = host.restore("drst_2", &source, &taken.snapshot, to, None).unwrap();
    assert_eq!(fs::read(Path::new(&part.at).join("雲.txt")).unwrap(), "維".as_bytes());
    assert_eq!(fs::read(below.join("there")).unwrap(), b"before");
}

#[test]
fn what_cannot_be_read_is_named_and_what_is_not_there_fails() {
    let host = Host::new();
    let www = host.room.0.join("www");
    fs::create_dir_all(www.join("closed")).unwrap();
    fs::write(www.join("open.txt"), "read me").unwrap();
    // What even root cannot read: a directory that a file system of the kernel refuses.
    let gone = host.take("gone", &files(&[&host.room.0.join("nowhere")], &[]), None).unwrap_err();
    assert_eq!(gone.code(), "source.missing");
    assert_eq!(host.snapshots(), 0, "nothing that looks like a point is left");
    let own = host.take("own", &files(&[&host.hands.data], &[]), None).unwrap_err();
    assert_eq!(own.code(), "dataSet.own_files");
    // Nor over a link, wherever that lies on the way.
    let link = host.room.0.join("link");
    std::os::unix::fs::symlink(&host.room.0, &link).unwrap();
    for (tag, way) in [("link", link.clone()), ("way", link.join("www"))] {
        let led = host.take(tag, &files(&[&way], &[]), None).unwrap_err();
        assert_eq!(led.code(), "dataSet.path", "{led:?}");
    }
    let own = host.take("over", &files(&[&link.join("agent")], &[]), None).unwrap_err();
    assert_eq!(own.code(), "dataSet.own_files");

    // The agent's own directory is left out wherever it lies.
    let all = host.take("all", &files(&[&host.room.0], &["repository"]), None).unwrap();
    let listed = host.restic(&["ls", &all.snapshot]);
    assert!(listed.contains("open.txt") && !listed.contains("/agent/backups"), "{listed}");
}

#[test]
fn a_damaged_copy_fails_the_restore_by_name_and_leaves_nothing() {
    let host = Host::new();
    let www = host.room.0.join("www");
    fs::create_dir(&www).unwrap();
    fs::write(www.join("data"), (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let source = files(&[&www], &[]);
    let taken = host.take("one", &source, None).unwrap();
    for pack in tree(&host.repository().join("data")).into_keys() {
        let path = host.repository().join("data").join(pack);
        let mut bytes = fs::read(&path).unwrap();
        let from = bytes.len() / 8;
        bytes.iter_mut().skip(from).step_by(64).take(2_000).for_each(|byte| *byte ^= 0xff);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let error = host.restore("drst_1", &source, &taken.snapshot, everything(), None).unwrap_err();
    assert!(["repository.damaged", "repository.incomplete"].contains(&error.code()), "{error:?}");
    assert!(!host.hands.data.join("restored/drst_1").exists());
}

/// A database as text, by the server's own program: what is the same is the same database.
fn as_text(server: &Server, database: &str) -> String {
    let mut command = postgres_tool(server, "pg_dump", database);
    // Whoever loads it owns it.
    command.args(["--format=plain", "--no-owner", "--no-privileges"]);
    let text = said(command).unwrap();
    let counts =
        |line: &&str| !line.starts_with("--") && !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
    text.lines().filter(counts).collect::<Vec<_>>().join("\n")
}

fn all_of(server: &Server) -> DataSource {
    DataSource::Postgresql { server: server.at.clone(), databases: vec![], logs: false }
}

#[test]
fn a_dropped_postgresql_database_comes_back_row_by_row() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(&server, "postgres", "CREATE DATABASE \"Odd = name; 雲\"").unwrap();
    psql(&server, "shop", "CREATE TABLE sale (id INT PRIMARY KEY, note TEXT); CREATE INDEX ON sale (note); CREATE VIEW v AS SELECT count(*) FROM sale; INSERT INTO sale SELECT n, 'note ' || n FROM generate_series(1, 5000) n").unwrap();
    psql(&server, "Odd = name; 雲", "CREATE TABLE t (x INT); INSERT INTO t VALUES (7)").unwrap();
    let source = all_of(&server);
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    assert_eq!(taken.consistency, Consistency::Transaction);
    assert_eq!(taken.data.databases, ["Odd = name; 雲", "postgres", "shop"]);
    assert!(!host.hands.scratch.join("htsk_one").exists(), "no dump stays on the host");
    assert_eq!(
        host.take("one", &source, Some(PASSWORD)).unwrap().data,
        taken.data,
        "told again by the snapshot itself"
    );
    assert!(host.restic(&["ls", &taken.snapshot]).contains("/data-sets/dset_1/contents.json"));

    let before = as_text(&server, "shop");
    psql(&server, "postgres", "DROP DATABASE shop").unwrap();
    let back = host.restore("drst_1", &source, &taken.snapshot, into("shop", "shop_back"), Some(PASSWORD)).unwrap();
    assert_eq!((back.at.as_str(), back.tables), ("shop_back", Some(1)), "{back:?}");
    assert_eq!(as_text(&server, "shop_back"), before);
    assert_eq!(psql(&server, "shop_back", "SELECT count(*), sum(id) FROM sale").unwrap(), "5000|12502500");
    host.restore("drst_2", &source, &taken.snapshot, into("Odd = name; 雲", "odd"), Some(PASSWORD)).unwrap();
    assert_eq!(psql(&server, "odd", "SELECT x FROM t").unwrap(), "7");

    // Nothing that is there is written over, and the answer of a restore that was lost is told again.
    let taken_name = host.restore("drst_3", &source, &taken.snapshot, into("shop", "odd"), Some(PASSWORD)).unwrap_err();
    assert_eq!(taken_name.code(), "database.exists");
    assert_eq!(psql(&server, "odd", "SELECT x FROM t").unwrap(), "7");
    host.restore("drst_1", &source, &taken.snapshot, into("shop", "shop_back"), Some(PASSWORD)).unwrap();
    assert_eq!(
        host.restore("drst_4", &source, &taken.snapshot, into("nothing", "new"), Some(PASSWORD)).unwrap_err().code(),
        "dataRestore.database"
    );
    // Half a database of the same restore, from before a crash, is replaced.
    psql(&server, "postgres", "CREATE DATABASE half").unwrap();
    psql(&server, "postgres", "COMMENT ON DATABASE half IS 'yunwei drst_5: loading'").unwrap();
    psql(&server, "half", "CREATE TABLE sale (wrong INT)").unwrap();
    host.restore("drst_5", &source, &taken.snapshot, into("shop", "half"), Some(PASSWORD)).unwrap();
    assert_eq!(as_text(&server, "half"), before);
    // The dumps themselves, into a directory.
    let dumps = host.restore("drst_6", &source, &taken.snapshot, everything(), None).unwrap();
    assert!(Path::new(&dumps.at).join("data-sets/dset_1/globals.sql").is_file());
    // Where only some are wanted, nobody else's password comes along; and an ordinary user loads them.
    let user = format!("CREATE ROLE plain LOGIN CREATEDB PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data");
    psql(&server, "postgres", &user).unwrap();
    let plain = DatabaseServer { user: "plain".into(), ..server.at.clone() };
    let some = DataSource::Postgresql { server: plain, databases: vec!["half".into()], logs: false };
    let taken = host.take("some", &some, Some(PASSWORD)).unwrap();
    assert!(!host.restic(&["ls", &taken.snapshot]).contains("globals.sql"));
    host.restore("drst_7", &some, &taken.snapshot, into("half", "plain"), Some(PASSWORD)).unwrap();
    assert_eq!(as_text(&server, "plain"), before);
}

#[test]
fn each_bad_day_of_a_database_has_its_name_and_leaves_no_point() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    let code = |source: &DataSource, password: &str| {
        let tag = format!("t{}", host.snapshots());
        host.take(&tag, source, Some(password)).unwrap_err().code().to_owned()
    };
    let source = all_of(&server);
    assert_eq!(code(&source, "wrong"), "database.refused");
    let absent = DataSource::Postgresql { server: server.at.clone(), databases: vec!["none".into()], logs: false };
    assert_eq!(code(&absent, PASSWORD), "database.absent");
    let nowhere = DatabaseServer { socket: Some(host.room.0.display().to_string()), ..server.at.clone() };
    let nowhere = DataSource::Postgresql { server: nowhere, databases: vec![], logs: false };
    assert_eq!(code(&nowhere, PASSWORD), "database.unreachable");
    let wire = DatabaseServer { socket: None, host: Some("127.0.0.1".into()), port: Some(9), user: "u".into() };
    let refused = DataSource::Postgresql { server: wire, databases: vec![], logs: false };
    assert_eq!(code(&refused, PASSWORD), "database.unreachable");
    // A table that the user may not read: half a dump is none.
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(&server, "shop", "CREATE TABLE secret (x INT)").unwrap();
    psql(&server, "postgres", &format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")).unwrap();
    let reader = DatabaseServer { user: "reader".into(), ..server.at.clone() };
    let reader = DataSource::Postgresql { server: reader, databases: vec!["shop".into()], logs: false };
    assert_eq!(code(&reader, PASSWORD), "database.forbidden");
    assert_eq!(host.snapshots(), 0, "nothing that looks like a point is left");
    let left: Vec<_> = fs::read_dir(&host.hands.scratch).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_password_is_in_no_argument() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(&server, "shop", "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 50) t FROM generate_series(1, 60000) n")
        .unwrap();
    let (stop, seen) = (std::sync::atomic::AtomicBool::new(false), std::sync::Mutex::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if line.contains("pg_dump") {
                        *seen.lock().unwrap() += 1;
                        assert!(!line.contains(PASSWORD), "{line}");
                    }
                }
            }
        });
        host.take("one", &all_of(&server), Some(PASSWORD)).unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(seen.into_inner().unwrap() > 0, "the dump was seen while it ran");
}

/// MariaDB with a user `keeper` who needs a password.
fn mariadb() -> Option<Server> {
    let tool = super::program::Tool { names: &["mariadbd", "mysqld"], package: "mariadb-server" };
    let Ok(mariadbd) = tool.find() else {
        return absent("MariaDB");
    };
    let install = super::program::Tool { names: &["mariadb-install-db"], package: "mariadb-server" }.find().unwrap();
    let room = owned_room();
    let (data, socket) = (room.0.join("my"), room.0.join("my.sock"));
    let made = ordinary(&install, &room.0)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .status()
        .unwrap();
    assert!(made.success());
    let child = ordinary(&mariadbd, &room.0)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--pid-file={}", room.0.join("my.pid").display()))
        .args([
            "--skip-networking",
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--character-set-server=utf8mb4",
        ])
        .spawn()
        .unwrap();
    let at =
        DatabaseServer { socket: Some(socket.display().to_string()), host: None, port: None, user: "keeper".into() };
    let server = Server { child, _room: room, at };
    wait_for("MariaDB", || sql(&server, "root", "", "SELECT 1").is_ok());
    sql(
        &server,
        "root",
        "",
        &format!("CREATE USER keeper@localhost IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO keeper@localhost"),
    )
    .unwrap();
    Some(server)
}

fn sql(server: &Server, user: &str, database: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new("mariadb");
    command.arg("--no-defaults").arg(format!("--socket={}", server.at.socket.as_ref().unwrap())).args([
        "-u",
        user,
        "--default-character-set=utf8mb4",
    ]);
    if user == "keeper" {
        command.env("MYSQL_PWD", PASSWORD);
    }
    command.args(["--batch", "--skip-column-names", "-e", sql, database]);
    said(command)
}

#[test]
fn a_dropped_mariadb_database_comes_back_row_by_row() {
    let Some(server) = mariadb() else { return };
    let host = Host::new();
    sql(&server, "root", "", "CREATE DATABASE shop CHARACTER SET ucs2 COLLATE ucs2_bin; CREATE DATABASE `odd ``name`")
        .unwrap();
    sql(&server, "root", "shop", "CREATE TABLE sale (id INT PRIMARY KEY, note VARCHAR(60), raw BLOB) ENGINE=InnoDB; INSERT INTO sale SELECT seq, CONCAT('雲 ', seq), UNHEX(MD5(seq)) FROM seq_1_to_5000; CREATE PROCEDURE p() SELECT 1; CREATE TRIGGER tr BEFORE INSERT ON sale FOR EACH ROW SET NEW.note = 'x'; CREATE VIEW v AS SELECT COUNT(*) FROM sale").unwrap();
    sql(&server, "root", "odd `name", "CREATE TABLE t (x INT) ENGINE=InnoDB; INSERT INTO t VALUES (7)").unwrap();
    let source = DataSource::Mysql { server: server.at.clone(), databases: vec![] };
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    assert_eq!(taken.consistency, Consistency::Transaction);
    assert_eq!(taken.data.databases, ["odd `name", "shop"]);
    assert!(taken.data.loose.is_empty(), "{taken:?}");
    let sums = "SELECT COUNT(*), SUM(id), SUM(CRC32(note)), SUM(CRC32(raw)) FROM sale";
    let before = sql(&server, "root", "shop", sums).unwrap();
    sql(&server, "root", "", "DROP DATABASE shop").unwrap();

    let back = host.restore("drst_1", &source, &taken.snapshot, into("shop", "shop_back"), Some(PASSWORD)).unwrap();
    assert_eq!((back.at.as_str(), back.tables), ("shop_back", Some(1)), "{back:?}");
    assert_eq!(sql(&server, "root", "shop_back", sums).unwrap(), before);
    let form = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = 'shop_back'";
    assert_eq!(sql(&server, "root", "", form).unwrap(), "ucs2\tucs2_bin");
    let rest = "SELECT (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'shop_back'), (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = 'shop_back')";
    assert_eq!(sql(&server, "root", "shop_back", rest).unwrap(), "1\t1");
    host.restore("drst_2", &source, &taken.snapshot, into("odd `name", "odd"), Some(PASSWORD)).unwrap();
    assert_eq!(sql(&server, "root", "odd", "SELECT x FROM t").unwrap(), "7");
    let exists = host.restore("drst_3", &source, &taken.snapshot, into("shop", "odd"), Some(PASSWORD)).unwrap_err();
    assert_eq!(exists.code(), "database.exists");
    assert_eq!(sql(&server, "root", "odd", "SELECT x FROM t").unwrap(), "7", "what is there is not touched");

    // Tables that know no transactions are named.
    sql(&server, "root", "shop_back", "CREATE TABLE old (x INT) ENGINE=MyISAM").unwrap();
    let loose = host.take("two", &source, Some(PASSWORD)).unwrap();
    assert_eq!((loose.consistency, loose.data.loose), (Consistency::TableByTable, vec!["shop_back.old".to_owned()]));
    // Bad days.
    assert_eq!(host.take("three", &source, Some("wrong")).unwrap_err().code(), "database.refused");
    let nowhere = DatabaseServer { socket: Some("/nowhere/my.sock".into()), ..server.at.clone() };
    let nowhere = DataSource::Mysql { server: nowhere, databases: vec![] };
    assert_eq!(host.take("four", &nowhere, Some(PASSWORD)).unwrap_err().code(), "database.unreachable");
    assert_eq!(host.snapshots(), 2);
}

#[test]
fn a_hostile_dump_runs_nothing_on_the_host() {
    let Some(server) = mariadb() else { return };
    let host = Host::new();
    let proof = host.room.0.join("proof");
    sql(&server, "root", "", "CREATE DATABASE shop").unwrap();
    let scratch = host.room.0.join("scratch");
    fs::create_dir(&scratch).unwrap();
    let dump = scratch.join("dump.sql");
    fs::write(&dump, format!("CREATE TABLE t (x INT);\n\\! touch {0}\nsystem touch {0}\n", proof.display())).unwrap();
    let cancel = Cancel::default();
    let mut job = super::super::Job {
        hands: &host.hands,
        access: vec![],
        password: Some(Secret::new(PASSWORD)),
        cancel: &cancel,
        stop: client::Cancel::new(),
        told: &mut |_| {},
    };
    let failed = super::mysql::load(
        &mut job,
        &server.at,
        &scratch,
        &super::contents::Dumped::default(),
        &dump,
        "fresh",
        "drst_1",
    )
    .unwrap_err();
    assert!(!proof.exists(), "{failed:?}");
    let left = sql(&server, "root", "", "SHOW DATABASES LIKE 'fresh'").unwrap();
    assert_eq!(left, "", "half a database is none");
}
