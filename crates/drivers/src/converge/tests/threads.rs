//! The agent with its threads, beside a server in the same process.

use super::*;
use crate::wire::{HostTask, NetworkSpec, TaskReport, TaskState, Work};

/// A server in the same process that remembers everything.
#[derive(Default)]
struct Desk {
    intents: Mutex<(u64, Vec<(u64, Intent)>)>,
    changed: std::sync::Condvar,
    states: Mutex<HashMap<IntentId, Observation>>,
    tasks: Mutex<Vec<HostTask>>,
    told: Mutex<Vec<TaskReport>>,
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

    /// Asks for a task, and waits for its end.
    fn ask(&self, name: &str, work: Work) -> TaskReport {
        let id: TaskId = name.parse().unwrap();
        self.tasks.lock().unwrap().push(HostTask { id: id.clone(), work });
        self.intents.lock().unwrap().0 += 1;
        self.changed.notify_all();
        let start = std::time::Instant::now();
        loop {
            let told = self.told.lock().unwrap().clone();
            if let Some(end) = told.into_iter().find(|one| one.id == id && one.state != TaskState::Running) {
                return end;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waited for the end of {name} in vain");
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
        Ok(Intents {
            protocol: PROTOCOL,
            cursor: intents.0,
            full: after == 0,
            intents: news,
            console_requests: vec![],
            tasks: self.tasks.lock().unwrap().clone(),
        })
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        self.there()?;
        let mut states = self.states.lock().unwrap();
        for seen in &report.observations {
            states.insert(seen.id.clone(), seen.clone());
        }
        self.told.lock().unwrap().extend(report.tasks.clone());
        Ok(ReportAnswer::default())
    }

    fn console(&self, _: &ConsoleTail) -> Result<()> {
        Ok(())
    }

    fn image(&self, _: &ImageRef, _: u64, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    fn access(&self, task: &TaskId) -> Result<serde_json::Value> {
        let listed = self.tasks.lock().unwrap().iter().any(|one| one.id == *task);
        let none = || Error::not_found("task.not_found", format!("there is no task {task}"));
        listed.then(|| serde_json::json!([])).ok_or_else(none)
    }

    fn recover(&self, _: &IntentId, recovery: &RecoveryId, _: &str) -> Result<RecoveryAccess> {
        Err(base::Error::not_found("recovery.not_found", format!("there is no recovery {recovery}")))
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
    spec.check = Some(Check::Http { port: 80, path: "/".into(), tell: None });
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
fn a_host_that_comes_back_asks_before_it_starts_what_may_have_been_replaced() {
    let desk = Arc::new(Desk::default());
    desk.reachable.store(true, std::sync::atomic::Ordering::SeqCst);
    let hypervisor = Arc::new(Memory::default());
    let folder = std::env::temp_dir().join(format!("yunwei-first-word-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let agent = |first_word: Duration| {
        let settings = Settings { poll_wait: Duration::from_millis(50), first_word, ..Settings::default() };
        let store = Store::open(&folder.join("agent.db")).unwrap();
        Agent::start(settings, hypervisor.clone(), desk.clone(), store, HostClock::system()).unwrap()
    };
    let first = agent(Duration::from_secs(60));
    desk.put(Intent { id: id(1), generation: 1, desired: running(64), lives_known: 0 });
    desk.put(Intent { id: id(2), generation: 1, desired: running(64), lives_known: 0 });
    desk.wait_for("two lives", |states| states.len() == 2 && states.values().all(|s| s.converged));
    let lives = |n: usize, agent: &Agent| {
        let seen = agent.observations().into_iter().find(|seen| seen.id == id(n));
        seen.and_then(|seen| seen.lives.iter().map(|life| life.seq).max()).unwrap_or(0)
    };
    first.stop();

    // The power was cut; meanwhile one of them was brought back elsewhere.
    hypervisor.end_all_runs();
    desk.put(Intent { id: id(1), generation: 2, desired: Desired::Absent, lives_known: 1 });
    let second = agent(Duration::from_secs(60));
    desk.wait_for("absence", |states| states[&id(1)].state == MachineState::Absent && states[&id(2)].converged);
    assert!(lives(1, &second) <= 1, "it did not live again");
    second.stop();

    // Where nobody speaks, what is there is worth more running.
    hypervisor.end_all_runs();
    desk.reachable.store(false, std::sync::atomic::Ordering::SeqCst);
    let third = agent(Duration::from_millis(50));
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !third.observations().iter().any(|seen| seen.id == id(2) && seen.state == MachineState::Running) {
        assert!(std::time::Instant::now() < until, "{:?}", third.observations());
        std::thread::sleep(Duration::from_millis(20));
    }
    third.stop();
    std::fs::remove_dir_all(&folder).unwrap();
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

/// A machine of that recovery, with or without a way out.
fn of_recovery(recovery: &str, outbound: bool) -> Desired {
    let source = DiskSource::Recovery { recovery: recovery.parse().unwrap(), disk: "data".into(), boot: None };
    let disks = vec![DiskSpec { name: "data".into(), size_mib: 8, source }];
    let networks = vec![NetworkSpec::User { mac: None, forwards: vec![], outbound }];
    Desired::Machine(Box::new(MachineSpec { disks, networks, ..machine(64, Power::Running) }))
}

#[test]
fn a_loss_is_timed_until_the_server_was_told_by_the_watch_and_tried_on_a_drills_machine_alone() {
    let desk = Arc::new(Desk::default());
    desk.reachable.store(true, std::sync::atomic::Ordering::SeqCst);
    let hypervisor = Arc::new(Memory::default());
    let watch = Duration::from_millis(300);
    let settings = Settings { poll_wait: Duration::from_millis(50), watch_every: watch, ..Settings::default() };
    let store = Store::in_memory().unwrap();
    let agent = Agent::start(settings, hypervisor.clone(), desk.clone(), store, HostClock::system()).unwrap();
    for (n, desired) in [of_recovery("rcvy_1", false), of_recovery("rcvy_1", true), running(64)].into_iter().enumerate()
    {
        desk.put(Intent { id: id(n), generation: 1, desired, lives_known: 0 });
    }
    desk.wait_for("machines", |states| states.len() == 3 && states.values().all(|s| s.converged));
    let lose = |n, of: &str| Work::LoseMachine { machine: id(n), recovery: of.parse().unwrap() };

    // Neither of another recovery, nor with a way out, nor a customer's own, nor one that is not there.
    for (name, n, of) in [("t1", 0, "rcvy_2"), ("t2", 1, "rcvy_1"), ("t3", 2, "rcvy_1"), ("t4", 9, "rcvy_1")] {
        let refused = desk.ask(name, lose(n, of));
        let code = refused.problem.unwrap().code;
        assert!(refused.outcome.is_none() && code.starts_with("machine."), "{name}: {code}");
    }
    assert!(hypervisor.truth().iter().all(crate::hypervisor::Found::lives), "they live on");

    let seen = desk.ask("t5", lose(0, "rcvy_1"));
    let Some(crate::wire::Outcome::LossSeen { life: 1, milliseconds }) = seen.outcome else { panic!("{seen:?}") };
    assert!(milliseconds <= 30_000, "{milliseconds} ms");
    let told = desk.states.lock().unwrap()[&id(0)].lives.clone();
    let ended = told.iter().any(|life| life.seq == 1 && life.end.as_ref().is_some_and(|end| end.reason == "crashed"));
    let known = ended || told.iter().any(|life| life.seq > 1);
    assert!(known, "the server was told of its end by the watch: {told:?}");
    agent.stop();
}
