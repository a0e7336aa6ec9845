//! The agent of a host without machines, killed in the middle of a drill of a dropped database: whatever comes
//! afterwards, nothing of it is left on the host.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivers::wire::*;
use serde_json::{Value, json};

use crate::LONG;
use crate::host::run;
use crate::server::Server as ControlPlane;
use crate::servers::{PASSWORD, Room, Server, postgres, psql};

/// What the drill bears.
const DRILL: &str = "rcvy_1";

/// A host whose agent looks after no machines.
struct Guest {
    server: Arc<ControlPlane>,
    room: Room,
    agent: Option<Child>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- agent.log\n{}", std::fs::read_to_string(self.room.0.join("agent.log")).unwrap_or_default());
        }
    }
}

impl Guest {
    /// None, with a word, where the engine's program was not built beside the agent's (`cargo build -p vault`).
    fn start() -> Option<Guest> {
        if !Path::new(env!("CARGO_BIN_EXE_yunwei-agent")).with_file_name("yunwei-vault").is_file() {
            let required = std::env::var("YUNWEI_TEST_DATABASES").is_ok_and(|value| value == "require");
            assert!(!required, "yunwei-vault is not built");
            eprintln!("SKIPPED: yunwei-vault is not built");
            return None;
        }
        let mut guest = Guest { server: ControlPlane::start(), room: Room::new(), agent: None };
        let (url, token) = (guest.server.url(), guest.server.token.to_string());
        run(&mut guest.command(&["enrol", "--server", &url, "--token", &token]));
        guest.work();
        Some(guest)
    }

    fn data(&self) -> PathBuf {
        self.room.0.join("agent")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yunwei-agent"));
        command.args(words).arg("--no-machines").arg("--data").arg(self.data());
        command
    }

    fn work(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.room.0.join("agent.log")).unwrap();
        let mut command = self.command(&["run"]);
        self.agent = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Without warning.
    fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    fn end(&self, task: &str) -> TaskReport {
        self.server.wait("a task to end", LONG, |memory| {
            let ended = |told: &&TaskReport| told.id.as_str() == task && told.state != TaskState::Running;
            memory.told.iter().find(ended).cloned()
        })
    }

    fn done(&self, task: &str, work: Work, access: Value) -> Outcome {
        self.server.ask(task, work, access);
        let told = self.end(task);
        told.outcome.clone().unwrap_or_else(|| panic!("{told:?}"))
    }

    /// What opens its repository, and the server.
    fn access(&self) -> Value {
        json!({ "repositories": [self.repository("own")], "password": PASSWORD })
    }

    fn repository(&self, password: &str) -> Value {
        json!({ "place": { "folder": self.room.0.join("repository") }, "key": { "password": password } })
    }

    /// A copy of a database with rows of which the newest is known, and which is then dropped.
    fn kept(&self, source: &DataSource, server: &Server) -> (String, i64) {
        let access = json!([self.repository("own"), self.repository("escrow")]);
        self.done("make", Work::MakeRepository { alike: false }, access);
        psql(server, "postgres", "CREATE DATABASE shop").unwrap();
        let rows = "CREATE TABLE sale AS SELECT now() - n * interval '1 second' AS at, repeat(md5(n::text), 30) AS note FROM generate_series(1, 60000) n";
        psql(server, "shop", rows).unwrap();
        let newest = "SELECT (extract(epoch FROM max(at)) * 1000000)::bigint FROM sale";
        let newest = psql(server, "shop", newest).unwrap().parse().unwrap();
        let take = Work::BackUpData { set: "dset_1".into(), source: source.clone(), tag: "one".into() };
        let Outcome::DataBackedUp { snapshot, .. } = self.done("take", take, self.access()) else {
            panic!("nothing was taken")
        };
        psql(server, "postgres", "DROP DATABASE shop").unwrap();
        (snapshot, newest)
    }

    /// What is of a drill on this host: databases, files, and processes that an agent has begun.
    fn left(&self, server: &Server) -> Vec<String> {
        let drilled = "SELECT datname FROM pg_database WHERE datname LIKE 'yunwei_drill%'";
        let mut all: Vec<String> =
            psql(server, "postgres", drilled).unwrap().lines().map(|name| format!("database {name}")).collect();
        for folder in ["backups", "restored"] {
            let there = std::fs::read_dir(self.data().join(folder)).into_iter().flatten().flatten();
            all.extend(there.map(|entry| entry.path().display().to_string()));
        }
        all.extend(self.processes(server));
        all
    }

    /// Processes but the agent and the server itself that know the host's directory or the server's.
    fn processes(&self, server: &Server) -> Vec<String> {
        let agent = self.agent.as_ref().map(Child::id);
        let (ours, theirs) = (self.room.0.display().to_string(), server.at.socket.clone().unwrap());
        let mut all = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let read = |file: &str| {
                String::from_utf8_lossy(&std::fs::read(entry.path().join(file)).unwrap_or_default()).replace('\0', " ")
            };
            let (words, environment) = (read("cmdline"), read("environ"));
            if Some(pid) != agent && (words.contains(&ours) || environment.contains(&format!("PGHOST={theirs}"))) {
                all.push(format!("process {pid}: {words}"));
            }
        }
        all
    }
}

fn drill(source: &DataSource, snapshot: &str) -> Work {
    Work::DrillData {
        set: "dset_1".into(),
        source: source.clone(),
        drill: DRILL.into(),
        snapshot: snapshot.into(),
        database: "shop".into(),
        at: None,
        logs: None,
        marker: Marker { schema: None, table: "sale".into(), column: "at".into() },
    }
}

/// Kills the agent at these moments of a drill, counted from when `begun` is seen; each time what follows, the same
/// drill again or its end, leaves nothing.
fn killed(logs: bool, begun: impl Fn(&Guest, &Server) -> bool) {
    let Some(server) = postgres() else { return };
    let Some(mut guest) = Guest::start() else { return };
    let source = DataSource::Postgresql { server: server.at.clone(), databases: vec![], logs };
    let (snapshot, newest) = guest.kept(&source, &server);
    for (n, after_ms) in [0, 150, 600].into_iter().enumerate() {
        for again in [true, false] {
            let (task, end) = (format!("drill-{n}-{again}"), format!("end-{n}-{again}"));
            guest.server.ask(&task, drill(&source, &snapshot), guest.access());
            let until = Instant::now() + LONG;
            while !begun(&guest, &server) {
                assert!(Instant::now() < until, "the drill does not begin");
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(after_ms));
            guest.kill();
            let left = guest.left(&server);
            assert!(after_ms > 0 || !left.is_empty(), "it was killed in the middle of something");
            if again {
                guest.work();
                let told = guest.end(&task);
                let Some(Outcome::DataDrilled(drilled)) = told.outcome else { panic!("{told:?}") };
                assert_eq!(drilled.newest.map(|at| at.as_microsecond()), Some(newest), "{drilled:?}");
            } else {
                // The run was ended meanwhile: all that is asked for is that nothing stays.
                guest.server.drop_task(&task);
                guest.server.ask(&end, Work::EndDrill { source: source.clone(), drill: DRILL.into() }, guest.access());
                guest.work();
                assert_eq!(guest.end(&end).outcome, Some(Outcome::DrillEnded {}));
            }
            assert_eq!(guest.left(&server), Vec::<String>::new(), "{after_ms} ms, again: {again}; before it {left:?}");
        }
    }
}

#[test]
fn an_agent_killed_while_a_dropped_database_is_brought_back_leaves_nothing_of_it() {
    killed(false, |guest, server| {
        guest.agent.is_some()
            && psql(server, "postgres", "SELECT datname FROM pg_database").unwrap().contains("yunwei_drill")
    });
}

#[test]
fn an_agent_killed_while_a_server_is_recovered_apart_leaves_nothing_of_it() {
    killed(true, |guest, _| guest.data().join("restored").join(DRILL).exists());
}
