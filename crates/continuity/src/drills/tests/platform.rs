//! The platform itself, drilled in a world in memory: what comes of it, what it leaves, who may, and what
//! people show with what they keep. A real copy, a real server on it and a real place are `testkit`'s.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use base::time::Timestamp;
use base::{Error, Result};
use commerce::testing::{OPERATOR, manager, member};
use db::testing::{Scratch, databases, sqlite};
use durable::Engine;
use durable::testing::{self as flow_testing, House as Tried};
use gate::keys::Keys;
use vault::client::Cancel;

use super::super::corrective::{self, ListActions};
use super::super::plans::RecordAt;
use super::super::platform::{self, SERVICE};
use super::super::rules::{Control, Phase};
use super::super::runs::{STOP, StopDrill};
use super::super::work::look_for_due;
use super::*;
use crate::backups::places::{Role, SET_CREDENTIAL, SetCredential};
use crate::backups::schedule::Schedule;
use crate::backups::tests::{CUSTOMER, gate as built};
use crate::control_plane::brought::{self, Brought, Shares};
use crate::control_plane::recover::Recovered;
use crate::control_plane::tests::{kept, taken};
use crate::control_plane::trial::{Asked, Looked, Rig, Told};
use crate::control_plane::{self, Nothing, kit, points};
use crate::evidence;
use crate::{ControlPlanePointId, DrillRunId};

/// How the world is.
#[derive(Clone)]
struct Mood {
    /// The point that the places give.
    point: ControlPlanePointId,
    taken_at: Timestamp,
    /// One that was taken since: what they give unless they are asked for something older.
    newer: Option<(ControlPlanePointId, Timestamp)>,
    free: u64,
    /// Where an attempt ends, and with which code.
    fails: Option<(Phase, &'static str)>,
    digest: String,
    /// What a restore from a damaged copy ends with.
    damage: Option<&'static str>,
    /// What the copy is found to be that is to be damaged.
    source: Option<&'static str>,
    /// Where somebody stops the run.
    stops: Option<Phase>,
}

/// A machine in memory: what attempts have left on it.
struct World {
    mood: Mutex<Mood>,
    left: Mutex<BTreeSet<DrillRunId>>,
    gate: Gate,
    /// Attempts that were begun.
    attempts: AtomicUsize,
    /// The next attempt says here that it is midway, and waits to be told to go on.
    midway: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl World {
    fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.mood.lock().unwrap());
    }

    fn is_bare(&self) -> bool {
        self.left.lock().unwrap().is_empty()
    }

    fn stop(&self, run: DrillRunId) -> Result<DrillRun> {
        self.gate.run(&manager(), &STOP, StopDrill { id: run, reason: "enough".into() })
    }

    fn pass(&self, mood: &Mood, of: (DrillRunId, &Cancel), phase: Phase, seconds: u64) -> Result<()> {
        let (run, cancel) = of;
        if mood.stops == Some(phase) {
            self.stop(run)?;
            let began = std::time::Instant::now();
            while !cancel.asked() {
                assert!(began.elapsed() < Duration::from_secs(20), "it was not cancelled");
                std::thread::sleep(Duration::from_millis(5));
            }
            return Err(Error::conflict("vault.cancelled", "it was cancelled"));
        }
        self.gate.clock().advance(Duration::from_secs(seconds));
        match mood.fails {
            Some((at, code)) if at == phase => Err(Error::unavailable(code, "it fails")),
            _ => Ok(()),
        }
    }
}

impl Rig for World {
    fn room(&self) -> Result<u64> {
        Ok(self.mood.lock().unwrap().free)
    }

    fn try_out(&self, asked: &Asked, cancel: &Cancel, told: &mut dyn FnMut(Told) -> Result<()>) -> Result<()> {
        let mood = self.mood.lock().unwrap().clone();
        let of = (asked.run, cancel);
        self.left.lock().unwrap().insert(asked.run);
        self.attempts.fetch_add(1, Ordering::SeqCst);
        told(Told::Begun)?;
        if let Some((there, go_on)) = self.midway.lock().unwrap().take() {
            there.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.pass(&mood, of, Phase::Key, 2)?;
        let place = asked.kit.places[0].name.clone();
        told(Told::Opened { place: place.clone() })?;
        self.pass(&mood, of, Phase::Restore, 30)?;
        let fits = |at: &Timestamp| asked.not_after.is_none_or(|latest| *at <= latest);
        let (point, taken_at) = mood
            .newer
            .filter(|(id, at)| asked.point.is_none_or(|point| point == *id) && fits(at))
            .unwrap_or((mood.point, mood.taken_at));
        let recovered = Recovered {
            point,
            taken_at,
            place,
            snapshot: "5".repeat(64),
            version: "0".into(),
            bytes: 7,
            digest: mood.digest.clone(),
            seconds: 30.0,
        };
        told(Told::Restored(recovered))?;
        self.pass(&mood, of, Phase::Boot, 4)?;
        told(Told::Answered)?;
        self.pass(&mood, of, Phase::Verify, 1)?;
        let newest = Some(taken_at - Duration::from_secs(5));
        self.left.lock().unwrap().remove(&asked.run);
        told(Told::Looked(Looked { newest, entries: 40, signed: 39 }))
    }

    fn damage(&self, asked: &Asked, cancel: &Cancel, (place, snapshot): (&str, &str)) -> Result<Option<String>> {
        assert!(asked.kit.places.iter().any(|one| one.name == place) && snapshot.len() == 64);
        let mood = self.mood.lock().unwrap().clone();
        // The control is stopped where no phase of the run is.
        if mood.stops == Some(Phase::Wait) {
            self.pass(&mood, (asked.run, cancel), Phase::Wait, 0)?;
        }
        match mood.source {
            Some(code) => Err(Error::conflict(code, "so it was found")),
            None => Ok(mood.damage.map(str::to_owned)),
        }
    }

    fn clear(&self, run: DrillRunId) -> Result<()> {
        self.left.lock().unwrap().remove(&run);
        Ok(())
    }
}

/// An installation that is kept at two places, with a point in both, and a world to drill it in.
struct Platform {
    gate: Gate,
    engine: Engine,
    world: Arc<World>,
    folder: Scratch,
    places: [BackupPlaceId; 2],
}

fn registry(world: &Arc<World>) -> durable::Registry {
    platform::register(super::super::work::register(durable::Registry::default()), world.clone())
}

impl Platform {
    fn new(db: Db) -> Platform {
        let folder = Scratch::new();
        let gate = built(db, &folder);
        let places = kept(&gate);
        for place in places {
            let own = SetCredential {
                id: place,
                tenant: None,
                control_plane: true,
                role: Role::Append,
                name: "own".into(),
                secret: "secret".into(),
            };
            gate.run(&manager(), &SET_CREDENTIAL, own).unwrap();
        }
        let taken_at = gate.now();
        let point = taken(&gate, &places, &[]);
        gate.clock().advance(Duration::from_secs(600));
        let mood = Mood {
            point,
            taken_at,
            newer: None,
            free: 1 << 40,
            fails: None,
            digest: "d".into(),
            damage: Some("repository.damaged"),
            source: None,
            stops: None,
        };
        let (left, attempts, midway) = (Mutex::default(), AtomicUsize::default(), Mutex::default());
        let world = Arc::new(World { mood: Mutex::new(mood), left, gate: gate.clone(), attempts, midway });
        let engine = Engine::new(gate.clone(), registry(&world)).unwrap();
        Platform { gate, engine, world, folder, places }
    }

    fn plan(&self, change: impl FnOnce(&mut Terms)) -> DrillPlan {
        let mut terms = Terms {
            scope: Scope::ControlPlane,
            scenario: Scenario::ControlPlaneLost,
            place: None,
            objectives: Some(Objectives { rto_seconds: 3_600, rpo_seconds: 7_200 }),
            schedule: None,
            negative_every: 0,
            owner: "Ops".into(),
            record: RecordAt::default(),
            action_days: 14,
        };
        change(&mut terms);
        self.gate.run(&manager(), &plans::CREATE, NewPlan { name: "platform".into(), terms }).unwrap()
    }

    fn begin(&self, plan: &DrillPlan) -> DrillRun {
        self.gate.run(&manager(), &RUN, StartDrill { id: plan.id, bad_after: None, brought: None }).unwrap()
    }

    fn look(&self, id: DrillRunId) -> DrillRun {
        self.gate.run(&manager(), &runs::GET, DrillRef { id }).unwrap()
    }

    fn drilled(&self, plan: &DrillPlan) -> DrillRun {
        let run = self.begin(plan);
        self.engine.settle().unwrap();
        self.look(run.id)
    }

    fn open(&self, plan: &DrillPlan) -> usize {
        let ask = ListActions { plan: Some(plan.id), ..ListActions::default() };
        self.gate.run(&manager(), &corrective::LIST, ask).unwrap().items.len()
    }
}

fn on_both(test: impl Fn(&'static str, Platform)) {
    for (engine, db, _keep) in databases() {
        test(engine, Platform::new(db));
    }
}

#[test]
fn the_platform_comes_back_in_time_is_measured_and_that_is_signed() {
    on_both(|engine, here| {
        let plan = here.plan(|terms| terms.negative_every = 1);
        assert_eq!(plan.tenant, OPERATOR, "{engine}");
        let run = here.drilled(&plan);
        assert!(passed(&run) && here.world.is_bare(), "{engine}: {:?}", run.body);
        let one = &run.body.services[0];
        assert_eq!((one.service.as_str(), one.rto_milliseconds), (SERVICE, Some(36_000)), "{engine}");
        // 60 s go by when the point is taken, 600 s before the drill.
        assert_eq!(one.rpo_milliseconds, Some(665_000), "{engine}");
        let took = |phase: Phase| one.phases.iter().find(|one| one.phase == phase).unwrap().milliseconds;
        for (phase, wanted) in
            [(Phase::Key, 2_000), (Phase::Restore, 30_000), (Phase::Boot, 4_000), (Phase::Verify, 1_000)]
        {
            assert_eq!(took(phase), Some(wanted), "{engine} {phase:?}");
        }
        assert!(matches!(run.body.control, Control::DamageFound { .. }), "{engine}");
        let file = here.gate.run(&manager(), &evidence::GET, DrillRef { id: run.id }).unwrap();
        let platform = &file.document["services"][0]["platform"];
        assert_eq!(platform["auditEntries"], 40, "{engine}: {platform:#}");
        assert_eq!(platform["notShown"], json!(["keyShares", "recoveryKit", "anotherMachine", "agentsReturn"]));
        assert!(evidence::verify::verify(&serde_json::to_string(&file).unwrap(), Some(&file.key)).unwrap().ok);
        let known = here.gate.run(&manager(), &control_plane::GET, Nothing {}).unwrap().points.remove(0);
        let drilled: Vec<bool> = known.copies.iter().map(|copy| copy.drilled_at.is_some()).collect();
        assert_eq!(drilled, [true, false], "{engine}: the copy that served, and no other");
    });
}

#[test]
fn what_leaves_nothing_to_restore_is_impossible_and_says_why() {
    on_both(|engine, here| {
        let elsewhere = here.gate.run(&manager(), &points::TAKE, Nothing {}).unwrap().id;
        assert_ne!(elsewhere, here.world.mood.lock().unwrap().point, "{engine}: one that is on its way is no copy");
        let run = here.drilled(&here.plan(|_| {}));
        assert!(passed(&run), "{engine}: {:?}", run.body.misses);
        here.world.set(|mood| mood.free = 1 << 20);
        let plan = here.plan(|_| {});
        let run = here.drilled(&plan);
        assert_eq!((run.state, codes(&run)), (State::Impossible, vec!["drill.no_room"]), "{engine}");
        assert_eq!(here.open(&plan), 1, "{engine}");
        let before = StartDrill { id: plan.id, bad_after: Some(gate_start()), brought: None };
        let run = here.gate.run(&manager(), &RUN, before).unwrap();
        here.engine.settle().unwrap();
        assert_eq!(codes(&here.look(run.id)), ["recovery.no_copy"], "{engine}: all that there is is later");
    });
}

#[test]
fn a_copy_that_is_finished_after_the_incident_is_not_what_comes_back() {
    on_both(|engine, here| {
        let run = here.begin(&here.plan(|_| {}));
        // The run is gone on with later, and meanwhile the platform was backed up.
        here.gate.clock().advance(Duration::from_secs(900));
        let at = here.gate.now();
        let newer = taken(&here.gate, &here.places, &[]);
        here.world.set(|mood| mood.newer = Some((newer, at)));
        here.engine.settle().unwrap();
        let (run, older) = (here.look(run.id), here.world.mood.lock().unwrap().point);
        let one = &run.body.services[0];
        assert_eq!(one.platform.as_ref().unwrap().point, Some(older), "{engine}: {:?}", run.body.misses);
        assert_eq!(one.rpo_milliseconds, Some(665_000), "{engine}: what the day would have cost");
    });
}

#[test]
fn damage_that_a_drill_finds_is_known_of_its_place_and_has_everything_there_read() {
    on_both(|engine, here| {
        here.world.set(|mood| mood.fails = Some((Phase::Restore, vault::fault::REPOSITORY_DAMAGED)));
        assert_eq!(codes(&here.drilled(&here.plan(|_| {}))), [vault::fault::REPOSITORY_DAMAGED], "{engine}");
        let known = here.gate.run(&manager(), &control_plane::GET, Nothing {}).unwrap().points.remove(0);
        let whole: Vec<bool> = known.copies.iter().map(|copy| copy.state == points::CopyState::Verified).collect();
        assert_eq!(whole, [false, true], "{engine}: the copy that was to serve, and no other");
        let problem = known.copies[0].problem.as_ref().map(|problem| problem.code.as_str());
        assert_eq!(problem, Some(vault::fault::REPOSITORY_DAMAGED), "{engine}");
        let next = here.gate.run(&manager(), &points::TAKE, Nothing {}).unwrap().id;
        let doubted = here
            .places
            .map(|place| here.gate.db().read(move |conn| control_plane::store::is_doubted(conn, next, place)).unwrap());
        assert_eq!(doubted, [true, false], "{engine}: the next point has everything there read");
    });
}

#[test]
fn a_control_whose_source_is_damaged_has_found_that() {
    on_both(|engine, here| {
        let plan = here.plan(|terms| terms.negative_every = 1);
        let states = || {
            let known = here.gate.run(&manager(), &control_plane::GET, Nothing {}).unwrap().points.remove(0);
            known.copies.iter().map(|copy| copy.state).collect::<Vec<_>>()
        };
        let whole = points::CopyState::Verified;
        for (code, then) in [("repository.unreachable", whole), ("repository.damaged", points::CopyState::Damaged)] {
            here.world.set(|mood| mood.source = Some(code));
            let run = here.drilled(&plan);
            assert_eq!(run.body.control, Control::NotMade { code: code.into() }, "{engine}");
            assert_eq!((run.state, codes(&run)), (State::Failed, vec!["drill.control_not_made"]), "{engine}");
            assert_eq!(states(), [then, whole], "{engine}: only what says something of a copy is said of it");
        }
        let all = here.gate.run(&manager(), &crate::alarms::actions::LIST, Default::default()).unwrap().items;
        let degraded = crate::alarms::Cause::ControlPlaneDegraded;
        assert!(all.iter().any(|alarm| alarm.probable_cause == degraded), "{engine}: {all:?}");
    });
}

/// Before anything was taken.
fn gate_start() -> Timestamp {
    gate::testing::START.parse::<Timestamp>().unwrap() - Duration::from_secs(1)
}

#[test]
fn whatever_fails_is_a_failure_with_its_name_and_leaves_nothing() {
    on_both(|engine, here| {
        let plan = here.plan(|_| {});
        for (phase, code) in [
            (Phase::Key, "secret.key_wrong"),
            (Phase::Restore, "repository.damaged"),
            (Phase::Boot, "drill.server_down"),
            (Phase::Verify, "recover.audit"),
        ] {
            here.world.set(|mood| mood.fails = Some((phase, code)));
            let run = here.drilled(&plan);
            assert_eq!((run.state, codes(&run)), (State::Failed, vec![code]), "{engine}");
            assert!(here.world.is_bare() && run.has_evidence, "{engine} {code}");
        }
        assert_eq!(here.open(&plan), 4, "{engine}: each is somebody's");
        here.world.set(|mood| mood.fails = None);
        assert!(passed(&here.drilled(&plan)) && here.open(&plan) == 0, "{engine}: a drill that passes closes them");
        here.world.set(|mood| mood.digest = "other".into());
        assert_eq!(codes(&here.drilled(&plan)), ["drill.data_differs"], "{engine}");
    });
}

#[test]
fn a_promise_that_is_missed_and_damage_that_goes_unnoticed_open_actions() {
    on_both(|engine, here| {
        let strict = here.plan(|terms| terms.objectives = Some(Objectives { rto_seconds: 30, rpo_seconds: 600 }));
        assert_eq!(codes(&here.drilled(&strict)), ["drill.rto_missed", "drill.rpo_missed"], "{engine}");
        here.world.set(|mood| mood.damage = None);
        let controlled = here.plan(|terms| terms.negative_every = 3);
        assert_eq!(codes(&here.drilled(&controlled)), ["drill.control_passed"], "{engine}");
        here.world.set(|mood| mood.damage = Some("repository.incomplete"));
        let run = here.drilled(&controlled);
        assert!(passed(&run) && here.open(&controlled) == 0, "{engine}: what a control found, a control closes");
    });
}

#[test]
fn it_is_the_operators_alone_and_a_plan_of_its_own() {
    on_both(|engine, here| {
        let plan = here.plan(|terms| terms.place = Some(here.places[1]));
        let new =
            |scope, scenario| NewPlan { name: "x".into(), terms: Terms { scope, scenario, ..plan.terms.clone() } };
        let wanted = new(Scope::ControlPlane, Scenario::ControlPlaneLost);
        let refused = here.gate.run(&member(CUSTOMER), &plans::CREATE, wanted).unwrap_err();
        assert_eq!(refused.code(), "controlPlane.not_found", "{engine}");
        let hidden = here.gate.run(&member(CUSTOMER), &plans::GET, plans::PlanRef { id: plan.id }).unwrap_err();
        assert_eq!(hidden.code(), "drillPlan.not_found", "{engine}");
        for (scope, scenario) in
            [(Scope::ControlPlane, Scenario::HostLost), (Scope::of(vec!["svc".into()]), Scenario::ControlPlaneLost)]
        {
            let refused = here.gate.run(&manager(), &plans::CREATE, new(scope, scenario)).unwrap_err();
            assert_eq!(refused.code(), "drillPlan.scenario", "{engine}");
        }
        let run = here.drilled(&plan);
        assert_eq!(run.body.services[0].place, Some(here.places[1]), "{engine}: the copy that must serve");
    });
}

#[test]
fn a_schedule_drills_it() {
    on_both(|engine, here| {
        let schedule = Schedule { calendar: "hourly :30".into(), jitter_minutes: 0, time_zone: "UTC".into() };
        let plan = here.plan(|terms| terms.schedule = Some(schedule));
        here.gate.clock().advance(Duration::from_secs(3_600));
        look_for_due(&here.gate).unwrap();
        here.engine.settle().unwrap();
        let ask = runs::ListDrills { plan: Some(plan.id), ..runs::ListDrills::default() };
        let all = here.gate.run(&manager(), &runs::LIST, ask).unwrap().items;
        assert_eq!((all.len(), all[0].by_hand), (1, false), "{engine}");
    });
}

#[test]
fn only_what_people_bring_shows_that_they_could() {
    on_both(|engine, here| {
        let plan = here.plan(|_| {});
        let (master, at) = (Keys::read(here.folder.path()).unwrap(), here.gate.now());
        let kit = here.gate.run(&manager(), &kit::MAKE, Nothing {}).unwrap();
        let with = |brought| StartDrill { id: plan.id, bad_after: None, brought: Some(brought) };
        let shares = |master, at| Some(Shares { at, proof: brought::proof(master, plan.id, at).unwrap() });
        let late = at - Duration::from_secs(601);
        for (brought, code) in [
            (Brought { shares: shares(&[9; 32], at), kit: None }, "drill.shares_wrong"),
            (Brought { shares: shares(&master, late), kit: None }, "drill.shares_stale"),
            (Brought { shares: None, kit: Some(kit::Kit { places: vec![], ..kit.clone() }) }, "drill.kit_stale"),
        ] {
            let refused = here.gate.run(&manager(), &RUN, with(brought)).unwrap_err();
            assert_eq!(refused.code(), code, "{engine}");
        }
        let other = Some(Shares { at, proof: brought::proof(&master, here.plan(|_| {}).id, at).unwrap() });
        let refused = here.gate.run(&manager(), &RUN, with(Brought { shares: other, kit: None })).unwrap_err();
        assert_eq!(
            refused.code(),
            "drill.shares_wrong",
            "{engine}: what was shown for one plan shows nothing for another"
        );

        let all = Brought { shares: shares(&master, at), kit: Some(kit.clone()) };
        let run = here.gate.run(&manager(), &RUN, with(all)).unwrap();
        here.engine.settle().unwrap();
        let file = here.gate.run(&manager(), &evidence::GET, DrillRef { id: run.id }).unwrap();
        let platform = &file.document["services"][0]["platform"];
        assert_eq!(platform["notShown"], json!(["anotherMachine", "agentsReturn"]), "{engine}");
        assert_eq!((&platform["keyShares"], platform["recoveryKitMadeAt"].is_string()), (&json!(true), true));
        let text = serde_json::to_string(&file).unwrap();
        assert!(!text.contains(&kit.places[0].access), "{engine}: the kit itself is kept nowhere");

        // Whoever changed what opens a place has a kit that leads nowhere.
        let changed = SetCredential {
            id: here.places[0],
            tenant: None,
            control_plane: true,
            role: Role::Append,
            name: "own".into(),
            secret: "another".into(),
        };
        here.gate.run(&manager(), &SET_CREDENTIAL, changed).unwrap();
        let refused = here.gate.run(&manager(), &RUN, with(Brought { shares: None, kit: Some(kit) })).unwrap_err();
        assert_eq!(refused.code(), "drill.kit_stale", "{engine}");
    });
}

#[test]
fn a_plan_about_services_takes_no_shares() {
    each(|engine, house, _, _, _| {
        let plan = plan(&house, terms(&house, Scenario::HostLost));
        let brought = Some(Brought::default());
        let ask = StartDrill { id: plan.id, bad_after: None, brought };
        let refused = house.gate().run(&member(CUSTOMER), &RUN, ask).unwrap_err();
        assert_eq!(refused.code(), "drill.brought", "{engine}");
    });
}

#[test]
fn an_attempt_that_outlasts_its_term_is_let_be_and_what_it_finds_counts() {
    on_both(|engine, here| {
        let patient = Objectives { rto_seconds: 86_400, rpo_seconds: 86_400 };
        let plan = here.plan(|terms| terms.objectives = Some(patient));
        for (n, fails) in [None, Some((Phase::Verify, "recover.audit"))].into_iter().enumerate() {
            here.world.set(|mood| mood.fails = fails);
            let ((there, midway), (go_on, told)) = (channel(), channel());
            *here.world.midway.lock().unwrap() = Some((there, told));
            let run = here.begin(&plan);
            std::thread::scope(|scope| {
                let first = scope.spawn(|| here.engine.settle());
                midway.recv().unwrap();
                here.gate.clock().advance(Duration::from_secs(5 * 3_600));
                here.engine.settle().unwrap();
                assert!(!here.world.is_bare(), "{engine}: nobody has taken away what it works on");
                go_on.send(()).unwrap();
                first.join().unwrap().unwrap();
            });
            here.engine.settle().unwrap();
            let run = here.look(run.id);
            assert_eq!(passed(&run), fails.is_none(), "{engine}: {:?}", run.body.misses);
            assert_eq!(codes(&run), fails.iter().map(|(_, code)| *code).collect::<Vec<_>>(), "{engine}");
            assert_eq!(here.world.attempts.load(Ordering::SeqCst), n + 1, "{engine}: one attempt each");
            assert!(here.world.is_bare(), "{engine}");
        }
    });
}

/// Waits for a file that a child process makes.
fn wait_for(file: &Path) {
    let began = std::time::Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "{} never came", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_that_stops_waits_for_no_drill_and_the_next_one_goes_on_with_it() {
    on_both(|engine, here| {
        let data = Scratch::new();
        std::os::unix::fs::symlink(here.folder.path(), data.path().join("keys")).unwrap();
        let (program, begun) = (data.path().join("vault"), data.path().join("begun"));
        let answers = |how: &str| {
            let script = format!("#!/bin/sh\n: > '{}'\n{how}\n", begun.display());
            db::testing::program(&program, &script);
        };
        answers("exec /bin/sleep 600");
        let real = control_plane::Installation {
            data: data.path().to_owned(),
            database: db::Location::Directory(data.path().to_owned()),
            program: program.clone(),
            server: program.clone(),
        };
        let server = || {
            let registry = super::super::work::register(durable::Registry::default());
            Engine::new(here.gate.clone(), platform::register(registry, Arc::new(real.clone()))).unwrap()
        };
        let one = server();
        let handle = one.start().unwrap();
        let run = here.begin(&here.plan(|_| {}));
        wait_for(&begun);
        let began = std::time::Instant::now();
        handle.stop();
        assert!(began.elapsed() < Duration::from_secs(10), "{engine}: {:?}", began.elapsed());
        let left: Vec<_> = fs::read_dir(data.path().join(".drill")).unwrap().collect();
        assert!(left.is_empty(), "{engine}: {left:?}");
        assert_eq!(here.look(run.id).state, State::Running, "{engine}: it has not failed");
        fs::remove_file(&begun).unwrap();
        answers("exit 1");
        server().settle().unwrap();
        assert!(begun.exists(), "{engine}: it is gone on with");
        assert_eq!(codes(&here.look(run.id)), ["recover.nothing"], "{engine}");
    });
}

fn drilling() -> Tried {
    drilling_with(|_| {})
}

/// Drills that somebody stops while the copy comes back.
fn stopped_drilling() -> Tried {
    drilling_with(|mood| mood.stops = Some(Phase::Restore))
}

fn drilling_with(change: impl FnOnce(&mut Mood)) -> Tried {
    let (_, db, keep) = sqlite();
    let here = Platform::new(db);
    here.world.set(change);
    let run = here.begin(&here.plan(|terms| terms.negative_every = 1));
    let (id, flow, gate, world) = (run.id, run.flow.unwrap(), here.gate.clone(), here.world.clone());
    let (again, done, clean) = (world.clone(), world.clone(), world.clone());
    let count = |gate: &Gate, sql: &'static str| {
        gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get::<i64>(0))).unwrap()
    };
    let state = move |gate: &Gate| gate.run(&manager(), &runs::GET, DrillRef { id }).unwrap();
    Tried {
        engine: Engine::new(gate, registry(&world)).unwrap(),
        restart: Box::new(move |gate| Engine::new(gate.clone(), registry(&again)).unwrap()),
        run: flow,
        pump: Box::new(|_| false),
        done: Box::new(move |gate| {
            let run = state(gate);
            assert!(passed(&run) && done.is_bare(), "{:?}", run.body.misses);
            assert_eq!(count(gate, "SELECT COUNT(*) FROM facts WHERE name = 'DrillPassed'"), 1);
        }),
        clean: Box::new(move |gate| {
            let run = state(gate);
            let stopped = run.body.stopped.is_some();
            let failed = matches!(run.state, State::Failed | State::Impossible);
            assert!(if stopped { run.state == State::Stopped } else { failed }, "{:?}", run.state);
            assert!(run.has_evidence && run.ended_at.is_some() && clean.is_bare());
            assert_eq!(count(gate, "SELECT COUNT(*) FROM facts WHERE name = 'DrillPassed'"), 0);
            let open = count(gate, "SELECT COUNT(*) FROM corrective_actions WHERE state = 'open'");
            assert_eq!(open, i64::from(!stopped), "nobody has anything to do for one that was stopped");
        }),
        keep: Box::new((keep, here)),
    }
}

#[test]
fn whichever_step_fails_the_slate_is_clean() {
    flow_testing::fail_at_each_step(&drilling);
}

#[test]
fn a_repeated_step_or_undo_changes_nothing() {
    flow_testing::repeat_each_step(&drilling);
    flow_testing::repeat_each_undo(&drilling);
}

#[test]
fn killed_at_every_journal_write_a_drill_still_ends_the_same_and_leaves_nothing() {
    flow_testing::kill_after_each_journal_write(&drilling);
}

#[test]
fn who_may_stops_it_wherever_it_is_and_nothing_of_it_is_left() {
    on_both(|engine, here| {
        let plan = here.plan(|terms| terms.negative_every = 1);
        for at in [Phase::Key, Phase::Restore, Phase::Boot, Phase::Verify, Phase::Wait] {
            here.world.set(|mood| mood.stops = Some(at));
            let run = here.drilled(&plan);
            assert_eq!((run.state, codes(&run)), (State::Stopped, vec![]), "{engine} {at:?}");
            assert!(here.world.is_bare() && run.has_evidence, "{engine} {at:?}");
            let stopped = run.body.stopped.clone().unwrap();
            let why = run.body.failure.as_ref().unwrap();
            assert!(why.message.ends_with("stopped it: enough"), "{engine}: {why:?}");
            let file = here.gate.run(&manager(), &evidence::GET, DrillRef { id: run.id }).unwrap();
            assert_eq!(file.document["run"]["stopped"]["by"], json!(stopped.by), "{engine}");
            assert_eq!(here.world.stop(run.id).unwrap_err().code(), "drill.over", "{engine}");
        }
        here.world.set(|mood| mood.stops = None);
        assert!(passed(&here.drilled(&plan)), "{engine}: the next one is not stopped");

        // Before anything was begun, without a reason, by somebody else's.
        let run = here.begin(&plan);
        let why = |reason: &str| StopDrill { id: run.id, reason: reason.into() };
        assert_eq!(here.gate.run(&manager(), &STOP, why(" ")).unwrap_err().code(), "reason.missing", "{engine}");
        let hidden = here.gate.run(&member(CUSTOMER), &STOP, why("x")).unwrap_err();
        assert_eq!(hidden.code(), "drill.not_found", "{engine}");
        here.world.stop(run.id).unwrap();
        here.engine.settle().unwrap();
        let run = here.look(run.id);
        assert_eq!((run.state, codes(&run)), (State::Stopped, vec![]), "{engine}");
        assert!(here.world.is_bare(), "{engine}");
    });
}

#[test]
fn a_server_killed_at_every_journal_write_of_a_run_that_is_stopped_leaves_nothing_of_it() {
    assert!(flow_testing::kill_while_somebody_turns_it_round(&stopped_drilling) > 6);
}
