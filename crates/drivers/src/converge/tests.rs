#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Error, Result};
use proptest::prelude::*;

use super::book::Book;
use super::pass::pass;
use super::*;
use crate::hypervisor::memory::{Faults, Memory, Outcome, Verb};
use crate::hypervisor::{Hypervisor, Stopped, spec_digest};
use crate::moment::HostClock;
use crate::wire::{
    Check, CloudInit, Desired, DiskSource, DiskSpec, Intent, IntentId, Life, MachineSpec, MachineState, Observation,
    PROTOCOL, Power,
};

fn machine(memory_mib: u64, power: Power) -> MachineSpec {
    MachineSpec {
        name: "web".into(),
        vcpus: 1,
        memory_mib,
        disks: vec![DiskSpec { name: "data".into(), size_mib: 8, source: DiskSource::Blank { filesystem: None } }],
        networks: vec![],
        cloud_init: CloudInit::default(),
        power,
        reboot_token: None,
        check: None,
    }
}

fn id(n: usize) -> IntentId {
    format!("m{n}").parse().unwrap()
}

/// One host with its agent, driven by hand: no threads, no real time.
struct Sim {
    dir: PathBuf,
    clock: HostClock,
    hypervisor: Memory,
    book: Option<Book>,
    /// The server's side.
    intents: BTreeMap<IntentId, Intent>,
    stored: BTreeMap<IntentId, BTreeMap<u64, Life>>,
    states: BTreeMap<IntentId, Observation>,
}

impl Sim {
    fn new(name: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // In memory where there is such a place: these tests write much and outlive nothing.
        let shm = PathBuf::from("/dev/shm");
        let base = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let dir = base.join(format!("yw-converge-{name}-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let clock = HostClock::fixed("2026-01-01T00:00:00Z".parse().unwrap(), "boot-1");
        let mut sim = Self {
            dir,
            hypervisor: Memory::new(clock.clone()),
            clock,
            book: None,
            intents: BTreeMap::new(),
            stored: BTreeMap::new(),
            states: BTreeMap::new(),
        };
        sim.restart_agent();
        sim
    }

    fn settings() -> Settings {
        Settings { retry_min: Duration::from_millis(100), retry_max: Duration::from_secs(5), ..Settings::default() }
    }

    /// Kills the agent, whatever it is doing, and starts it again.
    fn restart_agent(&mut self) {
        self.book = None;
        let store = Store::open(&self.dir.join("agent.db")).unwrap();
        self.book = Some(Book::open(store, Self::settings(), self.clock.clone()).unwrap());
    }

    fn book(&self) -> &Book {
        self.book.as_ref().unwrap()
    }

    /// The server changes its mind.
    fn want(&mut self, id: &IntentId, desired: Desired) -> Intent {
        let generation = self.intents.get(id).map_or(1, |intent| intent.generation + 1);
        let intent = Intent { id: id.clone(), generation, desired, lives_known: 0 };
        self.intents.insert(id.clone(), intent.clone());
        intent
    }

    fn deliver(&self, intents: Vec<Intent>, full: bool) {
        let _ = self.book().accept(Intents { protocol: PROTOCOL, cursor: 1, full, intents, console_requests: vec![] });
    }

    fn deliver_all(&self) {
        self.deliver(self.intents.values().cloned().collect(), true);
    }

    fn order(&mut self, id: &IntentId, desired: Desired) {
        let intent = self.want(id, desired);
        self.deliver(vec![intent], false);
    }

    fn pass(&self, id: &IntentId) {
        let _ = pass(self.book(), &self.hypervisor, id);
    }

    fn watch(&self) {
        if let Ok(listed) = self.hypervisor.list() {
            for id in self.book().watch(&listed) {
                self.pass(&id);
            }
        }
    }

    /// One report. `stored`: it reached the server; `acknowledged`: its answer came back.
    fn report(&mut self, everything: bool, stored: bool, acknowledged: bool) {
        let (observations, orphans) = self.book().news(everything);
        if stored {
            for seen in &observations {
                // As the server does: what is not newer is not read.
                if self.states.get(&seen.id).is_some_and(|old| old.revision >= seen.revision) {
                    continue;
                }
                for life in &seen.lives {
                    let lives = self.stored.entry(seen.id.clone()).or_default();
                    lives.entry(life.seq).and_modify(|mine| mine.absorb(life)).or_insert_with(|| life.clone());
                }
                self.states.insert(seen.id.clone(), seen.clone());
            }
        }
        if stored && acknowledged {
            let unknown: Vec<IntentId> =
                observations.iter().map(|o| o.id.clone()).filter(|id| !self.intents.contains_key(id)).collect();
            let _ = self.book().told(&observations, orphans.as_deref(), &ReportAnswer { unknown });
        }
    }

    fn run_for(&mut self, seconds: u64) {
        self.run_agent_alone(seconds);
        self.report(true, true, true);
    }

    fn run_agent_alone(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for id in self.book().ids() {
                self.pass(&id);
            }
            self.watch();
            self.clock.advance(Duration::from_secs(1));
        }
    }

    /// Good weather: everything comes to rest, and the server has heard of it.
    fn calm(&mut self) {
        self.hypervisor.set_faults(Faults::default());
        self.hypervisor.set_answering(true);
        self.hypervisor.settle();
        self.restart_agent();
        self.deliver_all();
        self.run_for(20);
        self.report(true, true, true);
    }

    /// Everything that must be true once it is calm.
    fn audit(&self) {
        assert_eq!(self.hypervisor.violations(), Vec::<String>::new());
        let truth: BTreeMap<IntentId, _> = self.hypervisor.truth().into_iter().map(|f| (f.id.clone(), f)).collect();
        for (id, intent) in &self.intents {
            let state = self.states.get(id).unwrap_or_else(|| panic!("nothing was ever said of {id}"));
            assert_eq!(state.generation, intent.generation, "{id}");
            match &intent.desired {
                Desired::Absent => {
                    assert!(!truth.contains_key(id), "{id} is still there");
                    assert_eq!((state.state, state.converged), (MachineState::Absent, true), "{id}: {state:?}");
                }
                Desired::Machine(spec) => {
                    let found = truth.get(id).unwrap_or_else(|| panic!("{id} is not there: {state:?}"));
                    let waits = state.problem.as_ref().map(|problem| problem.code.as_str());
                    match waits {
                        Some("machine.shut_down_inside") => assert!(!found.lives()),
                        Some("machine.restart_needed") => assert!(found.lives()),
                        None => {
                            assert!(state.converged, "{id}: {state:?}");
                            assert_eq!(found.power(), spec.power, "{id}");
                            assert_eq!(found.digest, spec_digest(spec), "{id}");
                        }
                        Some(other) => panic!("{id} has a problem in good weather: {other}"),
                    }
                    assert_eq!(found.lives(), state.lives.iter().any(|life| life.end.is_none()), "{id}");
                }
                Desired::Unknown => {}
            }
        }
        self.audit_lives(&truth);
    }

    fn audit_lives(&self, truth: &BTreeMap<IntentId, crate::hypervisor::Found>) {
        for (id, lives) in &self.stored {
            let lives: Vec<&Life> = lives.values().collect();
            for (at, life) in lives.iter().enumerate() {
                assert_eq!(life.seq, at as u64 + 1, "{id}: a gap in {lives:?}");
                let span = life.last_seen_at.duration_since(life.started_at).as_millis();
                assert!(i128::from(life.ran_ms) <= span + 1, "{id}: ran longer than it was seen: {life:?}");
                if let Some(end) = &life.end {
                    assert!(end.at >= life.last_seen_at, "{id}: {life:?}");
                }
                if let Some(next) = lives.get(at + 1) {
                    let end = life.end.as_ref().unwrap_or_else(|| panic!("{id}: two lives at once: {lives:?}"));
                    assert!(end.at <= next.started_at, "{id}: lives overlap: {life:?} {next:?}");
                }
            }
            let open = lives.last().is_some_and(|life| life.end.is_none());
            let living = truth.get(id).is_some_and(crate::hypervisor::Found::lives);
            assert_eq!(open, living, "{id}: {lives:?}");
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.book = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn running(memory_mib: u64) -> Desired {
    Desired::Machine(Box::new(machine(memory_mib, Power::Running)))
}

#[test]
fn an_ordered_machine_runs_and_a_withdrawn_one_is_gone() {
    let mut sim = Sim::new("order");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].state, MachineState::Running);
    assert!(sim.states[&id(1)].converged);
    sim.order(&id(1), Desired::Absent);
    sim.run_for(2);
    sim.audit();
    let life = &sim.stored[&id(1)][&1];
    assert_eq!(life.end.as_ref().unwrap().reason, "removed");
    assert_eq!(life.ran_ms, 2_000);
}

#[test]
fn a_late_create_never_follows_a_destroy() {
    let mut sim = Sim::new("late");
    let create = sim.want(&id(1), running(64));
    let destroy = sim.want(&id(1), Desired::Absent);
    sim.deliver(vec![destroy], false);
    sim.run_for(1);
    sim.deliver(vec![create.clone()], false);
    sim.run_for(1);
    sim.restart_agent();
    sim.deliver(vec![create], false);
    sim.run_for(1);
    assert!(sim.hypervisor.truth().is_empty());
    sim.audit();
}

#[test]
fn a_create_that_took_effect_after_its_time_out_is_cleared_away() {
    let mut sim = Sim::new("clear");
    sim.hypervisor.script(&id(1), Verb::Prepare, Outcome::UncertainLate);
    sim.order(&id(1), running(64));
    sim.pass(&id(1));
    sim.order(&id(1), Desired::Absent);
    sim.run_for(1);
    sim.hypervisor.settle();
    sim.run_for(10);
    sim.audit();
}

#[test]
fn a_start_that_timed_out_is_looked_at_and_not_repeated() {
    let mut sim = Sim::new("uncertain");
    sim.hypervisor.script(&id(1), Verb::Start, Outcome::UncertainDone);
    sim.order(&id(1), running(64));
    sim.run_for(3);
    sim.audit();
    assert_eq!(sim.stored[&id(1)].len(), 1, "one life, not two");
}

#[test]
fn what_can_never_be_made_is_said_once_and_cleared_by_the_next_generation() {
    let mut sim = Sim::new("refused");
    sim.hypervisor.script(&id(1), Verb::Prepare, Outcome::Refuse);
    sim.order(&id(1), running(64));
    sim.run_for(5);
    let seen = &sim.states[&id(1)];
    assert_eq!(seen.state, MachineState::Failed);
    assert!(!seen.problem.as_ref().unwrap().retrying);
    assert!(sim.hypervisor.truth().is_empty());
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.audit();
}

#[test]
fn a_specification_out_of_bounds_is_refused_without_asking_the_hypervisor() {
    let mut sim = Sim::new("bounds");
    sim.order(&id(1), running(1));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.out_of_bounds");
    assert!(sim.hypervisor.truth().is_empty());
}

#[test]
fn a_reboot_token_reboots_once_even_over_a_crash() {
    let mut sim = Sim::new("reboot");
    sim.order(&id(1), running(64));
    sim.run_for(3);
    let mut spec = machine(64, Power::Running);
    spec.reboot_token = Some("again".into());
    sim.order(&id(1), Desired::Machine(Box::new(spec)));
    // The stop works, and the agent dies before it can note it.
    sim.book().about_to_stop(&id(1)).unwrap();
    sim.hypervisor.stop(&id(1), Duration::ZERO).unwrap();
    sim.restart_agent();
    sim.run_for(5);
    sim.restart_agent();
    sim.deliver_all();
    sim.run_for(5);
    assert_eq!(sim.stored[&id(1)].len(), 2, "one reboot: {:?}", sim.stored[&id(1)]);
    assert_eq!(sim.states[&id(1)].reboot_token.as_deref(), Some("again"));
    sim.audit();
}

#[test]
fn a_guest_that_shuts_itself_down_stays_down_until_asked_again() {
    let mut sim = Sim::new("inside");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.hypervisor.end_run(&id(1), Stopped::Shutdown);
    sim.run_for(5);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.shut_down_inside");
    sim.audit();
    sim.order(&id(1), running(64));
    sim.run_for(2);
    assert!(sim.states[&id(1)].converged);
    sim.audit();
}

#[test]
fn a_machine_that_dies_is_started_again_with_growing_pauses() {
    let mut sim = Sim::new("crash");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    let mut starts = Vec::new();
    for second in 0..60 {
        sim.hypervisor.end_run(&id(1), Stopped::Crashed);
        sim.run_for(1);
        if sim.hypervisor.truth()[0].lives() {
            starts.push(second);
        }
    }
    assert!((5..30).contains(&starts.len()), "{starts:?}");
    let gaps: Vec<i32> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.last().unwrap() >= gaps.first().unwrap(), "{gaps:?}");
    sim.calm();
    sim.audit();
}

#[test]
fn machines_that_nobody_ordered_are_reported_and_left_alone() {
    let mut sim = Sim::new("orphan");
    sim.hypervisor.plant(&id(9), 3, &machine(64, Power::Running));
    sim.deliver_all();
    sim.run_for(3);
    let (_, orphans) = sim.book().news(true);
    let orphans = orphans.unwrap();
    assert_eq!((orphans.len(), orphans[0].id.clone(), orphans[0].generation), (1, id(9), 3));
    assert!(sim.hypervisor.truth()[0].lives());
    // The server decides: it must go.
    sim.intents.insert(id(9), Intent { id: id(9), generation: 4, desired: Desired::Absent, lives_known: 0 });
    sim.deliver_all();
    sim.run_for(3);
    assert!(sim.hypervisor.truth().is_empty());
}

#[test]
fn a_server_that_forgot_a_machine_does_not_lose_it() {
    let mut sim = Sim::new("forgot");
    sim.order(&id(1), running(64));
    sim.run_for(3);
    let remembered = sim.intents.remove(&id(1)).unwrap();
    sim.deliver_all();
    sim.run_for(5);
    assert!(sim.hypervisor.truth()[0].lives());
    let (observations, orphans) = sim.book().news(true);
    assert!(observations.is_empty());
    assert_eq!(orphans.unwrap()[0].id, id(1));
    // It remembers, at an older generation than the host holds: nothing is undone, and it hears of ours.
    sim.order(&id(1), running(64));
    sim.intents.insert(id(1), remembered.clone());
    sim.deliver(vec![remembered], false);
    let (observations, _) = sim.book().news(false);
    assert_eq!(observations.len(), 1);
}

#[test]
fn a_generation_used_twice_is_named_as_the_servers_mistake() {
    let mut sim = Sim::new("reused");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.deliver(vec![Intent { id: id(1), generation: 1, desired: Desired::Absent, lives_known: 0 }], false);
    sim.run_for(2);
    assert!(sim.hypervisor.truth()[0].lives());
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "intent.generation_reused");
    assert!(!sim.states[&id(1)].converged);
}

#[test]
fn a_life_whose_end_nobody_saw_says_so() {
    let mut sim = Sim::new("unseen");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book().checkpoint().unwrap();
    sim.book = None;
    sim.clock.advance(Duration::from_secs(600));
    sim.hypervisor.end_run(&id(1), Stopped::Unknown);
    sim.clock.advance(Duration::from_secs(600));
    sim.restart_agent();
    sim.run_for(3);
    let life = &sim.stored[&id(1)][&1];
    let end = life.end.as_ref().unwrap();
    assert!(!end.certain);
    assert!((9_000..=10_000).contains(&life.ran_ms), "only what was seen is certain: {life:?}");
    assert!(end.at.duration_since(life.last_seen_at).as_secs() >= 1_200);
    assert_eq!(sim.stored[&id(1)].len(), 2, "and it runs again");
    sim.audit();
}

#[test]
fn an_agent_that_was_away_claims_the_time_it_can_prove() {
    let mut sim = Sim::new("away");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book = None;
    sim.clock.advance(Duration::from_secs(600));
    sim.restart_agent();
    sim.run_for(1);
    let life = &sim.stored[&id(1)][&1];
    assert!(life.started_certain && life.ran_ms >= 610_000, "the same run went on: {life:?}");
    assert_eq!(sim.stored[&id(1)].len(), 1);
}

#[test]
fn an_agent_that_lost_its_memory_tells_no_time_twice() {
    let mut sim = Sim::new("amnesia");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book = None;
    std::fs::remove_file(sim.dir.join("agent.db")).unwrap();
    for suffix in ["wal", "shm"] {
        let _ = std::fs::remove_file(sim.dir.join(format!("agent.db-{suffix}")));
    }
    sim.clock.advance(Duration::from_secs(5));
    sim.restart_agent();
    let intent = sim.intents.get_mut(&id(1)).unwrap();
    intent.lives_known = 1;
    sim.deliver_all();
    sim.run_for(5);
    let lives = &sim.stored[&id(1)];
    assert_eq!(lives.len(), 2);
    assert!(lives[&1].last_seen_at <= lives[&2].started_at, "{lives:?}");
    assert!(!lives[&2].started_certain && lives[&2].ran_ms <= 5_000, "{lives:?}");
    assert!(sim.states[&id(1)].converged, "what it says now is newer than what it said before");
}

#[test]
fn a_long_absence_is_told_in_portions() {
    let mut sim = Sim::new("portions");
    sim.order(&id(1), running(64));
    for _ in 0..250 {
        sim.run_agent_alone(1);
        // Not so young that it would be left down for a while.
        sim.clock.advance(Duration::from_secs(120));
        sim.run_agent_alone(1);
        sim.hypervisor.end_run(&id(1), Stopped::Destroyed);
    }
    sim.run_agent_alone(1);
    for _ in 0..3 {
        let (observations, _) = sim.book().news(false);
        assert!(observations.iter().all(|seen| seen.lives.len() <= 100));
        sim.report(false, true, true);
    }
    assert_eq!(sim.stored[&id(1)].len(), 251);
    assert!(!sim.book().has_news());
    sim.calm();
    sim.audit();
}

#[test]
fn a_machine_that_just_runs_is_told_again_with_its_time() {
    let mut sim = Sim::new("heartbeat");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    let before = sim.stored[&id(1)][&1].ran_ms;
    sim.run_for(30);
    assert!(sim.stored[&id(1)][&1].ran_ms >= before + 29_000);
}

#[test]
fn a_clock_that_is_set_back_shortens_no_life() {
    let clock = HostClock::fixed("2026-01-01T00:00:00Z".parse().unwrap(), "b");
    let mut now = clock.now();
    let mut record =
        super::record::Record::new(Intent { id: id(1), generation: 1, desired: running(64), lives_known: 0 }, &now);
    let hypervisor = Memory::new(clock);
    hypervisor.plant(&id(1), 1, &machine(64, Power::Running));
    let found = hypervisor.truth().remove(0);
    record.observe(Some(&found), &now, false);
    now.steady_ms += 50_000;
    now.wall = "2025-12-31T00:00:00Z".parse().unwrap();
    record.observe(Some(&found), &now, false);
    let life = record.lives().remove(0);
    assert_eq!(life.ran_ms, 50_000);
    assert!(life.last_seen_at >= life.started_at);
}

#[test]
fn a_change_of_size_waits_for_a_restart_and_says_so() {
    let mut sim = Sim::new("resize");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.order(&id(1), running(128));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.restart_needed");
    let mut bigger = machine(128, Power::Running);
    bigger.reboot_token = Some("1".into());
    sim.order(&id(1), Desired::Machine(Box::new(bigger)));
    sim.run_for(3);
    assert_eq!(sim.stored[&id(1)][&2].memory_mib, 128);
    sim.audit();
}

#[test]
fn the_check_tells_when_the_machine_first_answered() {
    let mut sim = Sim::new("check");
    sim.hypervisor.set_boot_time(Duration::from_secs(2));
    let mut spec = machine(64, Power::Running);
    spec.check = Some(Check::Http { port: 80, path: "/".into() });
    sim.order(&id(1), Desired::Machine(Box::new(spec)));
    sim.pass(&id(1));
    for _ in 0..50 {
        let probe = sim.book().probe(&id(1)).unwrap();
        let answer = sim.hypervisor.check(&id(1), &probe.spec, probe.patience);
        sim.book().checked(&id(1), probe.life, answer).unwrap();
        sim.clock.advance(Duration::from_millis(100));
    }
    sim.report(false, true, true);
    let check = sim.states[&id(1)].check.clone().unwrap();
    assert!(check.ok);
    assert_eq!(check.boot_ms, Some(2_000));
}

#[test]
fn a_second_agent_on_the_same_data_is_turned_away() {
    let sim = Sim::new("second");
    let error = Store::open(&sim.dir.join("agent.db")).err().expect("refused");
    assert_eq!(error.code(), "agent.already_running");
}

/// What may happen to a host and its agent.
#[derive(Clone, Debug)]
enum Event {
    Want(usize, u8),
    Deliver(usize),
    DeliverOld(usize),
    Pass(usize),
    Watch,
    Checkpoint,
    Report { everything: bool, stored: bool, acknowledged: bool },
    Kill,
    KillAfterWrites(u32),
    EndRun(usize, u8),
    PowerCut,
    Away(bool),
    Advance(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0..3_usize;
    prop_oneof![
        4 => (n.clone(), 0..6_u8).prop_map(|(n, what)| Event::Want(n, what)),
        4 => n.clone().prop_map(Event::Deliver),
        1 => n.clone().prop_map(Event::DeliverOld),
        8 => n.clone().prop_map(Event::Pass),
        3 => Just(Event::Watch),
        1 => Just(Event::Checkpoint),
        2 => any::<(bool, bool, bool)>().prop_map(|(everything, stored, acknowledged)| Event::Report { everything, stored, acknowledged }),
        2 => Just(Event::Kill),
        1 => (0..4_u32).prop_map(Event::KillAfterWrites),
        2 => (n, 0..4_u8).prop_map(|(n, how)| Event::EndRun(n, how)),
        1 => Just(Event::PowerCut),
        1 => any::<bool>().prop_map(Event::Away),
        4 => (1..20_000_u16).prop_map(Event::Advance),
    ]
}

fn happen(sim: &mut Sim, old: &mut HashMap<IntentId, Vec<Intent>>, event: Event) {
    match event {
        Event::Want(n, what) => {
            let desired = match what {
                0 | 1 => running(64),
                2 => Desired::Machine(Box::new(machine(64, Power::Stopped))),
                3 => running(128),
                4 => {
                    let mut spec = machine(64, Power::Running);
                    spec.reboot_token = Some(format!("{}", sim.intents.get(&id(n)).map_or(0, |i| i.generation)));
                    Desired::Machine(Box::new(spec))
                }
                _ => Desired::Absent,
            };
            let intent = sim.want(&id(n), desired);
            old.entry(id(n)).or_default().push(intent);
        }
        Event::Deliver(n) => {
            if let Some(intent) = sim.intents.get(&id(n)).cloned() {
                sim.deliver(vec![intent], false);
            }
        }
        Event::DeliverOld(n) => {
            if let Some(intent) = old.get(&id(n)).and_then(|all| all.first()).cloned() {
                sim.deliver(vec![intent], false);
            }
        }
        Event::Pass(n) => sim.pass(&id(n)),
        Event::Watch => sim.watch(),
        Event::Checkpoint => drop(sim.book().checkpoint()),
        Event::Report { everything, stored, acknowledged } => sim.report(everything, stored, acknowledged),
        Event::Kill => sim.restart_agent(),
        Event::KillAfterWrites(writes) => {
            sim.book().crash_after(writes);
            for n in 0..3 {
                sim.pass(&id(n));
            }
            sim.restart_agent();
        }
        Event::EndRun(n, how) => {
            let how = [Stopped::Shutdown, Stopped::Destroyed, Stopped::Crashed, Stopped::Unknown][usize::from(how)];
            sim.hypervisor.end_run(&id(n), how);
        }
        Event::PowerCut => sim.hypervisor.end_all_runs(),
        Event::Away(away) => sim.hypervisor.set_answering(!away),
        Event::Advance(ms) => sim.clock.advance(Duration::from_millis(u64::from(ms))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is ordered, in whatever order it arrives, whatever the hypervisor does and whenever the
    /// agent dies: in the end the host is as wanted, and the lives add up.
    #[test]
    fn every_history_ends_as_wanted(
        seed in any::<u64>(),
        fail in 0..200_u16,
        uncertain_done in 0..200_u16,
        uncertain_late in 0..200_u16,
        lie in 0..100_u16,
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut sim = Sim::new("prop");
        sim.hypervisor.set_faults(Faults { seed, fail, uncertain_done, uncertain_late, lie, ..Faults::default() });
        let mut old = HashMap::new();
        for event in events {
            happen(&mut sim, &mut old, event);
        }
        sim.calm();
        sim.audit();
    }
}

/// A server in the same process that remembers everything.
#[derive(Default)]
struct Desk {
    intents: Mutex<(u64, Vec<(u64, Intent)>)>,
    changed: std::sync::Condvar,
    states: Mutex<HashMap<IntentId, Observation>>,
    reachable: std::sync::atomic::AtomicBool,
}

impl Desk {
    fn put(&self, intent: Intent) {
        let mut intents = self.intents.lock().unwrap();
        intents.0 += 1;
        let cursor = intents.0;
        intents.1.retain(|(_, old)| old.id != intent.id);
        intents.1.push((cursor, intent));
        self.changed.notify_all();
    }

    fn wait_for(&self, what: &str, mut done: impl FnMut(&HashMap<IntentId, Observation>) -> bool) {
        let start = std::time::Instant::now();
        while !done(&self.states.lock().unwrap()) {
            assert!(start.elapsed() < Duration::from_secs(20), "waited for {what} in vain");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn there(&self) -> Result<()> {
        let there = self.reachable.load(std::sync::atomic::Ordering::SeqCst);
        there.then_some(()).ok_or_else(|| Error::unavailable("server.away", "nobody there"))
    }
}

impl ControlPlane for Desk {
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents> {
        self.there()?;
        let guard = self.intents.lock().unwrap();
        let (intents, _) = self.changed.wait_timeout_while(guard, wait, |intents| intents.0 <= after).unwrap();
        self.there()?;
        let news = intents.1.iter().filter(|(cursor, _)| *cursor > after).map(|(_, intent)| intent.clone()).collect();
        Ok(Intents { protocol: PROTOCOL, cursor: intents.0, full: after == 0, intents: news, console_requests: vec![] })
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        self.there()?;
        let mut states = self.states.lock().unwrap();
        for seen in &report.observations {
            states.insert(seen.id.clone(), seen.clone());
        }
        Ok(ReportAnswer::default())
    }

    fn console(&self, _: &ConsoleTail) -> Result<()> {
        Ok(())
    }

    fn image(&self, _: &ImageRef, _: u64, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    fn hang_up(&self) {
        self.changed.notify_all();
    }
}

#[test]
fn a_threaded_agent_makes_a_thousand_machines_and_takes_them_away() {
    let desk = Arc::new(Desk::default());
    desk.reachable.store(true, std::sync::atomic::Ordering::SeqCst);
    let hypervisor = Arc::new(Memory::default());
    let settings = Settings { poll_wait: Duration::from_millis(200), ..Settings::default() };
    let store = Store::in_memory().unwrap();
    let agent = Agent::start(settings, hypervisor.clone(), desk.clone(), store, HostClock::system()).unwrap();
    let start = std::time::Instant::now();
    let mut spec = machine(64, Power::Running);
    spec.check = Some(Check::Http { port: 80, path: "/".into() });
    for n in 0..1_000 {
        desk.put(Intent {
            id: id(n),
            generation: 1,
            desired: Desired::Machine(Box::new(spec.clone())),
            lives_known: 0,
        });
    }
    desk.wait_for("machines", |states| {
        states.len() == 1_000 && states.values().all(|s| s.converged && s.check.as_ref().is_some_and(|c| c.ok))
    });
    eprintln!("1,000 machines in {:?}", start.elapsed());
    for n in 0..1_000 {
        desk.put(Intent { id: id(n), generation: 2, desired: Desired::Absent, lives_known: 0 });
    }
    desk.wait_for("absence", |states| states.values().all(|s| s.state == MachineState::Absent));
    assert!(hypervisor.truth().is_empty());
    assert_eq!(hypervisor.violations(), Vec::<String>::new());
    agent.stop();
}

#[test]
fn an_agent_cut_off_from_its_server_keeps_recording_and_tells_later() {
    let desk = Arc::new(Desk::default());
    desk.reachable.store(true, std::sync::atomic::Ordering::SeqCst);
    let hypervisor = Arc::new(Memory::default());
    let settings = Settings {
        poll_wait: Duration::from_millis(50),
        watch_every: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        ..Settings::default()
    };
    let store = Store::in_memory().unwrap();
    let agent = Agent::start(settings, hypervisor.clone(), desk.clone(), store, HostClock::system()).unwrap();
    desk.put(Intent { id: id(1), generation: 1, desired: running(64), lives_known: 0 });
    desk.wait_for("a life", |states| states.values().any(|s| s.converged));
    desk.reachable.store(false, std::sync::atomic::Ordering::SeqCst);
    hypervisor.end_run(&id(1), Stopped::Crashed);
    desk.put(Intent { id: id(1), generation: 2, desired: Desired::Absent, lives_known: 0 });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(hypervisor.truth().len(), 1, "what the agent has not heard it does not do");
    desk.reachable.store(true, std::sync::atomic::Ordering::SeqCst);
    desk.wait_for("both lives", |states| states.values().any(|s| s.state == MachineState::Absent && s.generation == 2));
    agent.stop();
}
