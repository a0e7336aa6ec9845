//! Drills on a real database, on both engines, with hosts in memory: what they restore from is
//! what lies in a store in memory, and what opens it is asked for as a real host would.

mod databases;
mod detection;
mod flow;
mod matrix;
mod platform;
mod site;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::id::HostId;
use base::time::Timestamp;
use commerce::testing::{OPERATOR, member};
use db::Db;
use drivers::wire::{
    Check, CheckResult, Desired, DiskSource, Intent, Life, MachineSpec, MachineState, NetworkSpec, Observation,
    PROTOCOL, Power, Problem, Recovered, RecoveryAccess, Report,
};
use gate::Gate;
use resources::intents;
use resources::observe::{OBSERVE, POLL, Poll};
use resources::tasks::{self, RECOVER};
use resources::testing::agent;
use serde_json::json;

use super::plans::{self, DrillPlan, NewPlan, Scenario, Terms};
use super::rules::Objectives;
use super::runs::{self, DrillRef, DrillRun, RUN, StartDrill, State};
use super::scope::Scope;
use crate::BackupPlaceId;
use crate::backups::points::RecoveryPoint;
use crate::backups::tests::{Behaviour, CUSTOMER, House, work_once};

type Store = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// How the hosts of these tests are.
#[derive(Clone)]
pub struct World {
    hosts: Vec<HostId>,
    store: Store,
    /// Of which instant each snapshot is.
    times: BTreeMap<String, Timestamp>,
    /// Places whose data is rotten, whatever anybody says of it: parts of their description.
    pub rotten: Vec<String>,
    /// Snapshots whose data is rotten.
    pub spoilt: BTreeSet<String>,
    /// How long a restore takes.
    pub restoring: Duration,
    /// Whether machines answer when they run.
    pub answering: bool,
    /// How much older the newest record is than the copy; `None`: it is not told.
    pub older: Option<Duration>,
    /// What the digests of restored disks begin with.
    pub digest: String,
}

impl World {
    /// Good hosts; they know these points.
    pub fn of(house: &House, points: &[&RecoveryPoint]) -> World {
        let copies = points.iter().flat_map(|point| point.copies().map(|copy| (copy, point.taken_at.unwrap())));
        World {
            hosts: house.town.hosts.clone(),
            store: house.store.clone(),
            times: copies.filter_map(|(copy, at)| Some((copy.snapshot.clone()?, at))).collect(),
            rotten: vec![],
            spoilt: BTreeSet::new(),
            restoring: Duration::from_secs(30),
            answering: true,
            older: Some(Duration::from_secs(5)),
            digest: "d".to_owned(),
        }
    }

    /// One round of all hosts: tasks and machines. Says whether anything happened.
    pub fn turn(&self, gate: &Gate, mood: &Behaviour) -> bool {
        let tasks = self.hosts.iter().filter(|host| work_once(gate, **host, mood, &self.store)).count();
        let machines = self.hosts.iter().filter(|host| self.machines(gate, **host)).count();
        tasks + machines > 0
    }

    fn machines(&self, gate: &Gate, host: HostId) -> bool {
        let cx = agent(host, OPERATOR);
        let mut news = Vec::new();
        for intent in gate.run(&cx, &POLL, Poll { after: 0 }).unwrap().intents {
            let id = intent.id.clone();
            let known = gate.db().read(move |conn| intents::get(conn, &id)).unwrap().and_then(|found| found.observed);
            if known.as_ref().is_some_and(|seen| seen.generation == intent.generation) {
                continue;
            }
            let revision = known.map_or(1, |seen| seen.revision + 1);
            news.push(self.seen(gate, host, &intent, revision));
        }
        let any = !news.is_empty();
        let (sent_at, observations) = (gate.now(), news);
        let report = Report { protocol: PROTOCOL, sent_at, host: None, observations, orphans: None, tasks: vec![] };
        gate.run(&cx, &OBSERVE, report).unwrap();
        any
    }

    fn seen(&self, gate: &Gate, host: HostId, intent: &Intent, revision: u64) -> Observation {
        let mut seen = Observation {
            id: intent.id.clone(),
            generation: intent.generation,
            revision,
            state: MachineState::Absent,
            converged: true,
            since: gate.now(),
            power: Some(Power::Stopped),
            reboot_token: None,
            lives: vec![],
            check: None,
            recovered: vec![],
            recovering: vec![],
            console_bytes: 0,
            problem: None,
            observed_at: gate.now(),
        };
        let Desired::Machine(spec) = &intent.desired else { return seen };
        match self.restored(gate, host, intent, spec) {
            Err(problem) => {
                Observation { state: MachineState::Failed, converged: false, problem: Some(problem), ..seen }
            }
            Ok((recovered, body)) => {
                gate.clock().advance(self.restoring);
                let (now, ok) = (gate.now(), self.answering);
                let life = Life {
                    seq: 1,
                    started_at: now,
                    started_certain: true,
                    last_seen_at: now,
                    ran_ms: 1,
                    end: None,
                    vcpus: 1,
                    memory_mib: 1_024,
                };
                seen.check = Some(CheckResult {
                    ok,
                    life: 1,
                    answered_at: ok.then_some(now),
                    boot_ms: ok.then_some(2_000),
                    detail: "200".into(),
                    body,
                    checked_at: now,
                });
                let (state, power) = (MachineState::Running, Some(Power::Running));
                Observation { state, power, recovered, lives: vec![life], observed_at: now, ..seen }
            }
        }
    }

    fn restored(
        &self,
        gate: &Gate,
        host: HostId,
        intent: &Intent,
        spec: &MachineSpec,
    ) -> Result<(Vec<Recovered>, Option<String>), Problem> {
        let network = spec.networks.first();
        assert!(matches!(network, Some(NetworkSpec::User { outbound: false, .. })), "nothing reaches production");
        assert!(matches!(&spec.check, Some(Check::Http { tell: Some(_), .. })), "it is asked for its record");
        let (mut recovered, mut newest) = (Vec::new(), None);
        for disk in &spec.disks {
            let DiskSource::Recovery { recovery, disk, .. } = &disk.source else { panic!("another source") };
            let asked = tasks::Recovery { machine: intent.id.clone(), recovery: recovery.clone(), disk: disk.clone() };
            let access = gate.run(&agent(host, OPERATOR), &RECOVER, asked).unwrap();
            let access: RecoveryAccess = serde_json::from_value(access).unwrap();
            let place = access.repository["place"].to_string();
            let fails = |code: &str| Problem { code: code.into(), message: "it fails".into(), retrying: false };
            if !self.store.lock().unwrap().get(&place).is_some_and(|there| there.contains(&access.snapshot)) {
                return Err(fails(vault::fault::SNAPSHOT_MISSING));
            }
            let spoilt = self.spoilt.contains(&access.snapshot);
            if spoilt || self.rotten.iter().any(|rotten| place.contains(rotten)) {
                return Err(fails(vault::fault::REPOSITORY_DAMAGED));
            }
            newest = self.times.get(&access.snapshot).copied();
            recovered.push(Recovered {
                disk: disk.clone(),
                recovery: recovery.clone(),
                bytes: access.bytes,
                seconds: 20.0,
                verify_seconds: 5.0,
                digest: format!("{}:{disk}", self.digest),
            });
        }
        let told = newest.zip(self.older).map(|(taken, older)| (taken - older).as_second());
        Ok((recovered, told.map(|second| json!({ "lastSecondBeforeBoot": second }).to_string())))
    }
}

/// Terms with an hour to come back and two hours to lose.
pub fn terms(house: &House, scenario: Scenario) -> Terms {
    Terms {
        scope: Scope::of(vec![house.service.clone()]),
        scenario,
        place: None,
        objectives: Some(Objectives { rto_seconds: 3_600, rpo_seconds: 7_200 }),
        schedule: None,
        negative_every: 0,
        owner: "Ops".into(),
        record: Default::default(),
        action_days: 14,
    }
}

pub fn plan(house: &House, terms: Terms) -> DrillPlan {
    let new = NewPlan { name: "quarterly".into(), terms };
    house.gate().run(&member(CUSTOMER), &plans::CREATE, new).unwrap()
}

pub fn start(house: &House, plan: &DrillPlan) -> DrillRun {
    house.gate().run(&member(CUSTOMER), &RUN, StartDrill { id: plan.id, bad_after: None, brought: None }).unwrap()
}

pub fn look(gate: &Gate, run: &DrillRun) -> DrillRun {
    gate.run(&member(CUSTOMER), &runs::GET, DrillRef { id: run.id }).unwrap()
}

/// Lets everything happen until nothing does any more.
pub fn live(house: &House, world: &World) {
    loop {
        house.town.engine.settle().unwrap();
        if !world.turn(house.gate(), &Behaviour::willing()) {
            return;
        }
    }
}

/// A drill from its beginning to its end.
pub fn drilled(house: &House, world: &World, plan: &DrillPlan) -> DrillRun {
    let run = start(house, plan);
    live(house, world);
    look(house.gate(), &run)
}

/// Panics where a drill left anything: machines beside the service, reservations, ports, open recoveries or tasks.
pub fn assert_nothing_is_left(house: &House) {
    for (what, sql) in [
        ("machines", "SELECT COUNT(*) FROM intents WHERE standing <> 'serving' AND freed_at IS NULL"),
        (
            "reservations",
            "SELECT COUNT(*) FROM reservations r WHERE r.state <> 'released' AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = r.machine AND i.standing = 'serving')",
        ),
        (
            "claims",
            "SELECT COUNT(*) FROM claims c WHERE NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = c.machine AND i.standing = 'serving')",
        ),
        ("recoveries", "SELECT COUNT(*) FROM recoveries WHERE ended_at IS NULL"),
        ("tasks", "SELECT COUNT(*) FROM host_tasks WHERE state IN ('waiting', 'running')"),
    ] {
        assert_eq!(house.count(sql), 0, "{what} are left");
    }
}

/// On both databases: the service with a copy on its own host and one elsewhere, and a good point.
pub fn each(test: impl Fn(&'static str, House, World, RecoveryPoint, [BackupPlaceId; 2])) {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, near, far) = House::sheltered(db);
        let point = house.taken();
        house.gate().clock().advance(Duration::from_secs(600));
        let world = World::of(&house, &[&point]);
        test(engine, house, world, point, [near, far]);
    }
}

/// One of them on SQLite.
pub fn one(db: Db) -> (House, World, RecoveryPoint, [BackupPlaceId; 2]) {
    let (house, near, far) = House::sheltered(db);
    let point = house.taken();
    house.gate().clock().advance(Duration::from_secs(600));
    let world = World::of(&house, &[&point]);
    (house, world, point, [near, far])
}

pub fn codes(run: &DrillRun) -> Vec<&str> {
    run.body.misses.iter().map(|miss| miss.code.as_str()).collect()
}

pub fn passed(run: &DrillRun) -> bool {
    run.state == State::Passed
}
