//! Backups on a real database, on both engines, with agents that are played: some by the real
//! vault on directories of files, some that fail, lie or vanish.

mod bad_days;
pub(crate) mod bucket;
mod doubts;
mod findings;
mod forgets;
mod leftovers;
mod losses;
mod offers;
mod places;
mod real;
mod story;
mod upkeep;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base::id::{HostId, TenantId};
use base::time::Clock;
use base::{Result, Secret};
use commerce::testing::{OPERATOR, manager, member};
use db::Db;
use db::testing::Scratch;
use drivers::wire::{
    Consistency, DataDrilled, DataRestored, DataTaken, DataTarget, DiskCopy, HostTask, IntentId, Life, LifeEnd,
    LogSpan, MachineState, Observation, Outcome, PROTOCOL, Power, Problem, Report, SavedItem, SavedKind, TaskReport,
    TaskState, Work,
};
use durable::Engine;
use gate::keys::Keys;
use gate::{Catalogue, Cx, Fact, Gate, Tx};
use provisioning::testing::Town;
use resources::observe::{OBSERVE, POLL, Poll};
use resources::testing::{Mood, agent, facts, host, image, pool};
use resources::{intents, tasks};
use ring::digest::{SHA256, digest};
use serde_json::Value as Json;

use super::digits;
use super::places::{BackupPlace, CREATE, Location, NewPlace};
use super::points::{self, RecoveryPoint, ServiceRef, State, TAKE};
use super::policies::{self, BackupPolicy, NewPolicy};
use super::retention::Retention;
use super::schedule::Schedule;
use super::{protections, repositories, work};
use crate::{BackupPlaceId, RecoveryPointId};

/// The customer of these tests.
pub const CUSTOMER: u128 = 2;

/// What follows from what, as far as these rooms go.
fn react(tx: &mut Tx<'_>, fact: &dyn Fact) -> Result<()> {
    provisioning::testing::react(tx, fact)?;
    let any: &dyn Any = fact;
    match any.downcast_ref() {
        Some(resources::Fact::HostTaskEnded { task, subject_kind, subject_id }) => {
            crate::drills::task_ended(tx, subject_kind, subject_id)?;
            work::task_ended(tx, task, subject_kind, subject_id)?;
        }
        Some(resources::Fact::HostChanged { host }) => super::findings::host_changed(tx, host.parse()?)?,
        Some(resources::Fact::MachineObserved { intent, .. }) => crate::drills::machine_seen(tx, intent)?,
        _ => {}
    }
    if let Some(durable::Fact::FlowUndone(about) | durable::Fact::FlowGivenUp(about)) = any.downcast_ref() {
        work::ended(tx, about)?;
        crate::drills::closing::ended(tx, about)?;
        crate::restores::work::ended(tx, about)?;
    }
    match any.downcast_ref::<super::Fact>() {
        Some(
            super::Fact::RecoveryPointAvailable { point, .. }
            | super::Fact::RecoveryPointDegraded { point, .. }
            | super::Fact::RecoveryPointFailed { point, .. },
        ) => crate::alarms::backed_up(tx, point)?,
        Some(super::Fact::ProtectionEnded { service }) => crate::alarms::protection_ended(tx, service)?,
        _ => {}
    }
    match any.downcast_ref::<crate::drills::Fact>() {
        Some(crate::drills::Fact::DrillPassed { run }) => crate::alarms::drilled(tx, run, true)?,
        Some(crate::drills::Fact::DrillFailed { run } | crate::drills::Fact::DrillImpossible { run }) => {
            crate::alarms::drilled(tx, run, false)?;
        }
        _ => {}
    }
    match any.downcast_ref::<provisioning::Fact>() {
        Some(provisioning::Fact::ServiceActivated { service, .. }) => protections::activated(tx, service),
        Some(provisioning::Fact::ServiceReleased { service, .. }) => {
            crate::restores::work::service_released(tx, service)
        }
        Some(provisioning::Fact::ServiceTerminated { service, .. }) => {
            protections::terminated(tx, service)?;
            crate::datasets::service_terminated(tx, service)?;
            crate::drills::plans::service_terminated(tx, service)
        }
        _ => Ok(()),
    }
}

/// `yunwei-vault`: where YUNWEI_VAULT says, or built beside these tests.
pub fn program() -> PathBuf {
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

pub fn registry() -> durable::Registry {
    let backups = super::register(provisioning::testing::registry(), PathBuf::from("/no/vault/here"));
    crate::readings::register(crate::restores::register(crate::drills::register(backups, nowhere())))
}

/// An installation that is not on any disk.
pub fn nowhere() -> crate::control_plane::Installation {
    let path = PathBuf::from("/no/installation/here");
    let database = db::Location::Directory(path.clone());
    crate::control_plane::Installation { data: path.clone(), database, program: path.clone(), server: path }
}

/// A gate over `db` with an operator, and the master key of `folder`.
pub fn gate(db: Db, folder: &Scratch) -> Gate {
    db.write(|conn| {
        conn.execute("CREATE TABLE IF NOT EXISTS tenants (id TEXT PRIMARY KEY, parent TEXT, path TEXT NOT NULL)", &[])?;
        conn.execute("INSERT INTO tenants (id, parent, path) VALUES ($1, NULL, 'o/')", db::args![OPERATOR])
    })
    .unwrap();
    let catalogue = Catalogue::default()
        .kinds(commerce::KINDS)
        .kinds(provisioning::KINDS)
        .kinds(resources::KINDS)
        .actions(commerce::ACTIONS)
        .actions(provisioning::ACTIONS)
        .actions(resources::ACTIONS)
        .actions(super::ACTIONS)
        .actions(crate::alarms::ACTIONS)
        .actions(crate::control_plane::ACTIONS)
        .actions(crate::datasets::ACTIONS)
        .actions(crate::drills::ACTIONS)
        .actions(crate::readings::ACTIONS)
        .actions(crate::restores::ACTIONS)
        .actions(crate::inventory::ACTIONS)
        .actions(crate::bia::ACTIONS)
        .actions(crate::studies::ACTIONS)
        .actions(crate::plan::ACTIONS)
        .actions(crate::start::ACTIONS)
        .actions(&durable::actions());
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    // As in the product, who owns a service chooses among what is offered, and no more.
    let policies = format!(
        "permit(principal, action in [{}], resource) unless {{ principal is Nobody }};
         forbid(principal is Account, action == Action::\"protection.set\", resource) when {{ principal.roles.contains(\"owner\") }};",
        names.join(", ")
    );
    let clock = Clock::fixed(gate::testing::START.parse().unwrap());
    let gate = Gate::new(db, clock, base::id::Ids::seeded(1), &policies, catalogue).unwrap();
    gate.react_with(Box::new(react));
    repositories::install(&gate, Keys::open(folder.path()).unwrap()).unwrap();
    gate.install(Arc::new(gate::audit::Key::open_or_make(folder.path()).unwrap()));
    gate
}

/// An installation with two hosts and a running service of a customer.
pub struct House {
    pub town: Town,
    pub keep: Scratch,
    pub service: String,
    /// What the played agents have stored: repository → snapshots.
    pub store: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

impl House {
    pub fn new(db: Db) -> House {
        let keep = Scratch::new();
        let gate = gate(db, &keep);
        let engine = Engine::new(gate.clone(), registry()).unwrap();
        let staff = manager();
        let pool = pool(&gate, &staff);
        image(&gate, &staff, "tiny");
        let hosts = ["h1", "h2"].map(|name| host(&gate, &staff, pool.id, facts(name, 64, 256 << 10, 4 << 20)));
        let catalog = gate.run(&staff, &provisioning::starter::SEED, Default::default()).unwrap();
        let town = Town { gate, engine, hosts: hosts.to_vec(), catalog };
        let order = town.order(CUSTOMER);
        town.settle(Mood::Willing);
        let service = town.services(&order.id)[0].id.clone();
        House { town, keep, service, store: Arc::default() }
    }

    pub fn gate(&self) -> &Gate {
        &self.town.gate
    }

    /// The host that the service's machine stands on, and the machine.
    pub fn machine(&self) -> (HostId, String) {
        let service = self.service.clone();
        let found = self.gate().db().read(move |conn| resources::intents::of_service(conn, &service)).unwrap();
        (found[0].host, found[0].id.to_string())
    }

    /// A directory of a host.
    pub fn folder(&self, name: &str, host: HostId) -> BackupPlace {
        let path = self.keep.path().join(name).display().to_string();
        let new = NewPlace {
            name: name.into(),
            location: Location::Folder { host, path },
            site: None,
            host: None,
            immutability: None,
        };
        self.gate().run(&manager(), &CREATE, new).unwrap()
    }

    /// A policy over places, every day at two.
    pub fn policy(&self, places: &[BackupPlaceId], retention: Retention) -> BackupPolicy {
        let new = NewPolicy {
            name: format!("daily to {}", places.len()),
            what: Default::default(),
            schedule: Schedule { calendar: "daily 02:00".into(), jitter_minutes: 0, time_zone: "UTC".into() },
            retention,
            places: places.to_vec(),
            prune_delay_hours: 72,
            offered: false,
        };
        self.gate().run(&manager(), &policies::CREATE, new).unwrap()
    }

    /// A policy that customers may choose: copies at two servers elsewhere.
    pub fn offered(&self) -> BackupPolicy {
        let places = ["east", "west"].map(|name| self.server(name).id);
        let made = self.policy(&places, Retention { last: 3, ..Default::default() });
        self.offer(&made, true)
    }

    /// Offers a policy, or does so no more.
    pub fn offer(&self, policy: &BackupPolicy, offered: bool) -> BackupPolicy {
        let change = policies::ChangePolicy {
            id: policy.id,
            revision: None,
            name: None,
            what: None,
            schedule: None,
            retention: None,
            places: None,
            prune_delay_hours: None,
            offered: Some(offered),
        };
        self.gate().run(&manager(), &policies::UPDATE, change).unwrap()
    }

    /// Protects the service by that policy.
    pub fn protect(&self, policy: &BackupPolicy) {
        let input = protections::Protect { id: self.service.clone(), policy: policy.id };
        self.gate().run(&manager(), &protections::SET, input).unwrap();
    }

    /// The service in three directories of its host.
    pub fn protected(db: Db) -> House {
        let house = House::new(db);
        let (host, _) = house.machine();
        let places = ["first", "second", "third"].map(|name| house.folder(name, host).id);
        let policy = house.policy(&places, Retention::default());
        house.protect(&policy);
        house
    }

    /// The service with a copy on its own host and one at a server elsewhere: near and far.
    pub fn sheltered(db: Db) -> (House, BackupPlaceId, BackupPlaceId) {
        let house = House::new(db);
        let near = house.folder("near", house.machine().0).id;
        let far = house.server("far").id;
        house.protect(&house.policy(&[near, far], Retention::default()));
        (house, near, far)
    }

    /// A repository server at no site of ours, with a credential for everybody.
    pub fn server(&self, name: &str) -> BackupPlace {
        let location = Location::Server { url: format!("https://{name}.example.com"), authority: None };
        self.elsewhere(name, location, super::places::Immutability::AppendOnly)
    }

    /// Object storage at no site of ours, with a credential for everybody.
    pub fn bucket(&self, name: &str) -> BackupPlace {
        let location = Location::Bucket {
            endpoint: format!("https://{name}.example.com"),
            bucket: "copies".into(),
            prefix: String::new(),
            region: "us-east-1".into(),
            virtual_hosted: false,
            authority: None,
        };
        self.elsewhere(name, location, super::places::Immutability::ObjectLock)
    }

    fn elsewhere(&self, name: &str, location: Location, held: super::places::Immutability) -> BackupPlace {
        let (site, immutability) = (Some(super::places::ELSEWHERE.into()), Some(held));
        let made = self.gate().run(
            &manager(),
            &CREATE,
            NewPlace { name: name.into(), location, site, host: None, immutability },
        );
        let (id, role) = (made.unwrap().id, super::places::Role::Append);
        let credential = super::places::SetCredential {
            id,
            tenant: None,
            control_plane: false,
            role,
            name: "host".into(),
            secret: "let me in".into(),
        };
        self.gate().run(&manager(), &super::places::SET_CREDENTIAL, credential).unwrap()
    }

    /// Runs `act` in a transaction of the platform itself.
    pub fn within<T: Send + 'static>(
        &self,
        act: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let system = Cx::system("test", TenantId(CUSTOMER));
        self.gate().perform(&system, "backup.reconcile", gate::Effect::Change, [0; 32], act)
    }

    pub fn this(&self) -> ServiceRef {
        ServiceRef { id: self.service.clone() }
    }

    /// Asks for a point, as its customer.
    pub fn take(&self) -> RecoveryPoint {
        self.gate().run(&member(CUSTOMER), &TAKE, self.this()).unwrap()
    }

    pub fn point(&self, id: RecoveryPointId) -> RecoveryPoint {
        look(self.gate(), id)
    }

    /// Lets everything happen that can, with agents of that mood, until nothing does any more.
    pub fn settle(&self, mood: &Behaviour) {
        loop {
            self.town.engine.settle().unwrap();
            let busy = self.town.hosts.iter().filter(|host| work_once(self.gate(), **host, mood, &self.store)).count();
            if busy == 0 {
                return;
            }
        }
    }

    /// A point that is taken by willing agents.
    pub fn taken(&self) -> RecoveryPoint {
        let id = self.take().id;
        self.settle(&Behaviour::willing());
        let point = self.point(id);
        assert_eq!(point.state, State::Available, "{:?}", point.problem);
        point
    }

    /// Lets time pass, and everything that comes with it.
    pub fn pass(&self, by: Duration, mood: &Behaviour) {
        self.gate().clock().advance(by);
        super::upkeep::look_for_due(self.gate()).unwrap();
        self.settle(mood);
    }

    pub fn count(&self, sql: &'static str) -> i64 {
        self.town.count(sql)
    }
}

pub fn look(gate: &Gate, id: RecoveryPointId) -> RecoveryPoint {
    let system = Cx::system("test", TenantId(CUSTOMER));
    gate.run(&system, &points::GET, points::PointRef { id }).unwrap().point
}

type Answering = dyn Fn(&HostTask, &[Json], Outcome) -> Answer + Send + Sync;

/// What an agent does instead of answering as it should.
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Answer {
    /// Says that.
    Say(Outcome),
    /// Fails with that code.
    Fail(String),
    /// Says nothing for now.
    Nothing,
}

/// How a played agent answers; it is given what it would truly say.
pub struct Behaviour {
    pub answer: Box<Answering>,
    /// Tells everything a second time.
    pub twice: bool,
}

impl Behaviour {
    pub fn willing() -> Behaviour {
        Behaviour::of(|_, _, outcome| Answer::Say(outcome))
    }

    pub fn of(answer: impl Fn(&HostTask, &[Json], Outcome) -> Answer + Send + Sync + 'static) -> Behaviour {
        Behaviour { answer: Box::new(answer), twice: false }
    }
}

fn made_up(of: &str) -> String {
    base::hex::encode(digest(&SHA256, of.as_bytes()).as_ref())
}

/// What an honest agent would say, over a store in memory.
fn honest(
    task: &HostTask,
    access: &[Json],
    now: base::time::Timestamp,
    store: &Mutex<BTreeMap<String, BTreeSet<String>>>,
) -> Outcome {
    let mut store = store.lock().unwrap();
    let place = |n: usize| access[n]["place"].to_string();
    match &task.work {
        Work::MakeRepository { .. } => {
            store.entry(place(0)).or_default();
            Outcome::RepositoryMade {
                repository: made_up(&place(0)),
                master: Secret::new(format!("master of {}", place(0))),
            }
        }
        Work::BackUpMachine { tag, .. } => {
            let snapshot = made_up(tag);
            store.get_mut(&place(0)).unwrap().insert(snapshot.clone());
            Outcome::MachineBackedUp {
                snapshot,
                tree: made_up("tree"),
                taken_at: now,
                consistency: Consistency::CrashConsistent,
                disks: ["system", "data"]
                    .map(|name| DiskCopy { name: name.into(), bytes: 1 << 19, path: format!("/machines/m/{name}") })
                    .to_vec(),
                bytes: 1 << 20,
                added_bytes: 1 << 20,
                stored_bytes: 1 << 19,
                seconds: 1.0,
            }
        }
        Work::CopySnapshots { snapshots } => {
            let there = store[&place(0)].clone();
            let ids = snapshots.iter().filter(|id| there.contains(*id));
            let ids: BTreeMap<String, String> = ids.map(|id| (id.clone(), made_up(&(place(1) + id)))).collect();
            store.get_mut(&place(1)).unwrap().extend(ids.values().cloned());
            Outcome::SnapshotsCopied { ids, seconds: 1.0 }
        }
        Work::CheckRepository { snapshots, .. } => {
            let there = snapshots.iter().filter(|id| store[&place(0)].contains(*id)).cloned().collect();
            let guarded = access[0]["place"]["type"].as_str().filter(|kind| *kind == "server").map(|_| true);
            Outcome::RepositoryChecked { snapshots: there, whole: true, faults: vec![], guarded, seconds: 1.0 }
        }
        Work::ForgetSnapshots { snapshots, .. } => {
            store.get_mut(&place(0)).unwrap().retain(|id| !snapshots.contains(id));
            Outcome::SnapshotsForgotten { removed_bytes: 1, marked_bytes: 0 }
        }
        Work::RestoreDamaged { .. } => {
            let problem =
                Problem { code: vault::fault::REPOSITORY_DAMAGED.into(), message: "damaged".into(), retrying: false };
            Outcome::DamageTried { found: Some(problem), damaged: 3, seconds: 1.0 }
        }
        Work::BackUpData { tag, source, .. } => {
            let snapshot = made_up(tag);
            store.get_mut(&place(0)).unwrap().insert(snapshot.clone());
            Outcome::DataBackedUp {
                snapshot,
                tree: made_up("tree"),
                taken_at: now,
                consistency: if source.server().is_some() { Consistency::Transaction } else { Consistency::FileByFile },
                data: DataTaken {
                    files: 3,
                    databases: if source.keeps_logs() { vec![] } else { vec!["shop".into()] },
                    span: source.keeps_logs().then_some(LogSpan { from: now, until: now }),
                    ..DataTaken::default()
                },
                bytes: 1 << 10,
                added_bytes: 1 << 10,
                stored_bytes: 1 << 9,
                seconds: 1.0,
            }
        }
        Work::RestoreData { to, restore, snapshot, .. } => {
            assert!(store[&place(0)].contains(snapshot), "what is brought back is there");
            let at = match to {
                DataTarget::Database { name, .. } => name.clone(),
                _ => format!("/var/lib/yunwei-agent/restored/{restore}"),
            };
            Outcome::DataRestored(DataRestored {
                at,
                files: 3,
                bytes: 1 << 10,
                digest: made_up("d"),
                ..Default::default()
            })
        }
        Work::DrillData { snapshot, .. } => {
            assert!(store[&place(0)].contains(snapshot), "what is brought back is there");
            let unread = Some("nobody asked for it".to_owned());
            Outcome::DataDrilled(DataDrilled { bytes: 1 << 10, digest: made_up("d"), unread, ..DataDrilled::default() })
        }
        Work::EndDrill { .. } => Outcome::DrillEnded {},
        Work::EndData { .. } => Outcome::DataEnded {},
        Work::LookInto { path, .. } => {
            let item = |name: &str, kind, opens| SavedItem {
                name: name.into(),
                kind,
                size: 5,
                modified: None,
                mode: None,
                target: None,
                filesystem: None,
                label: None,
                opens,
            };
            let items = vec![
                item("etc", SavedKind::Directory, true),
                item(&format!("{}%0a", path.len()), SavedKind::File, false),
            ];
            Outcome::LookedInto { items, next: Some("etc".into()) }
        }
        Work::FetchFile { .. } => Outcome::FileFetched {
            bytes: 5,
            sha256: base::hex::encode(digest(&SHA256, b"bytes").as_ref()),
            archive: false,
        },
        Work::LoseMachine { .. } => Outcome::LossSeen { life: 1, milliseconds: 0 },
        Work::Unknown => Outcome::Unknown,
    }
}

/// What the watch of a host says of a machine that has died.
fn died(gate: &Gate, host: HostId, machine: &IntentId) {
    let id = machine.clone();
    let known = gate.db().read(move |conn| intents::get(conn, &id)).unwrap().and_then(|found| found.observed);
    let Some(known) = known else { return };
    let now = gate.now();
    let end = LifeEnd { at: now, certain: true, reason: "crashed".into() };
    let life = Life {
        seq: 1,
        started_at: now,
        started_certain: true,
        last_seen_at: now,
        ran_ms: 1,
        end: Some(end),
        vcpus: 1,
        memory_mib: 1_024,
    };
    let (revision, state) = (known.revision + 1, MachineState::Crashed);
    let seen =
        Observation { revision, state, power: Some(Power::Stopped), converged: false, lives: vec![life], ..known };
    let report =
        Report { protocol: PROTOCOL, sent_at: now, host: None, observations: vec![seen], orphans: None, tasks: vec![] };
    gate.run(&agent(host, OPERATOR), &OBSERVE, report).unwrap();
}

fn report(gate: &Gate, host: HostId, task: TaskReport) {
    let report = Report {
        protocol: PROTOCOL,
        sent_at: gate.now(),
        host: None,
        observations: vec![],
        orphans: None,
        tasks: vec![task],
    };
    gate.run(&agent(host, OPERATOR), &OBSERVE, report).unwrap();
}

/// One round of a host's agent over its tasks. Says whether it told anything.
pub fn work_once(
    gate: &Gate,
    host: HostId,
    mood: &Behaviour,
    store: &Mutex<BTreeMap<String, BTreeSet<String>>>,
) -> bool {
    let cx = agent(host, OPERATOR);
    let mut told = false;
    for task in gate.run(&cx, &POLL, Poll { after: 0 }).unwrap().tasks {
        let access = gate.run(&cx, &tasks::ACCESS, tasks::TaskRef { id: task.id.clone() }).unwrap();
        let access = match access {
            Json::Array(repositories) => repositories,
            // For a database its password comes with them.
            mut both => {
                let password = serde_json::json!({ "password": both["password"].take() });
                [both["repositories"].as_array().unwrap().as_slice(), &[password]].concat()
            }
        };
        let answer = (mood.answer)(&task, &access, honest(&task, &access, gate.now(), store));
        if let (Work::LoseMachine { machine, .. }, Answer::Say(_)) = (&task.work, &answer) {
            died(gate, host, machine);
        }
        let (state, outcome, problem) = match answer {
            Answer::Nothing => continue,
            Answer::Say(outcome) => (TaskState::Succeeded, Some(outcome), None),
            Answer::Fail(code) => {
                let problem = Problem { message: format!("it fails: {code}"), code, retrying: false };
                (TaskState::Failed, None, Some(problem))
            }
        };
        let told_of = TaskReport { id: task.id, state, progress: None, outcome, problem, at: gate.now() };
        report(gate, host, told_of.clone());
        if mood.twice {
            report(gate, host, told_of);
        }
        told = true;
    }
    told
}

pub fn each_house(test: impl Fn(&'static str, House)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, House::protected(db));
    }
}
