//! Tasks: each once, whatever is lost, repeated, cancelled or killed.

use std::collections::BTreeSet;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use base::Secret;

use crate::tasks::{Cancel, Worker};
use crate::wire::{
    ConsoleTail, DataSource, HostTask, ImageRef, Intents, Outcome, RecoveryAccess, RecoveryId, Report, ReportAnswer,
    TaskId, TaskProgress, TaskReport, TaskState, Work,
};

/// A worker that counts, and does a task when it is let.
#[derive(Default)]
struct Hand {
    begun: Mutex<Vec<TaskId>>,
    /// Snapshots, by tag: what outlives a crash.
    taken: Mutex<BTreeSet<String>>,
    let_go: Mutex<bool>,
    changed: Condvar,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    same_machine: AtomicU32,
    machines: Mutex<Vec<IntentId>>,
    tidied: AtomicU32,
}

impl Hand {
    fn free() -> Arc<Self> {
        let hand = Self::default();
        *hand.let_go.lock().unwrap() = true;
        Arc::new(hand)
    }

    fn release(&self) {
        *self.let_go.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }
}

impl Worker for Hand {
    fn run(
        &self,
        task: &HostTask,
        access: serde_json::Value,
        cancel: &Cancel,
        told: &mut dyn FnMut(TaskProgress),
    ) -> Result<Outcome> {
        assert_eq!(access, serde_json::json!([task.id.as_str()]));
        self.begun.lock().unwrap().push(task.id.clone());
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        if let Work::BackUpMachine { machine, .. } = &task.work {
            let mut machines = self.machines.lock().unwrap();
            if machines.contains(machine) {
                self.same_machine.fetch_add(1, Ordering::SeqCst);
            }
            machines.push(machine.clone());
        }
        let mut let_go = self.let_go.lock().unwrap();
        while !*let_go && !cancel.asked() {
            told(TaskProgress { phase: "working".into(), done: 1, total: Some(2), bytes: false });
            let_go = self.changed.wait_timeout(let_go, Duration::from_millis(5)).unwrap().0;
        }
        drop(let_go);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if cancel.asked() {
            return Err(Error::conflict("backup.cancelled", "it was cancelled"));
        }
        match &task.work {
            Work::BackUpMachine { machine, tag } => {
                self.machines.lock().unwrap().retain(|one| one != machine);
                self.taken.lock().unwrap().insert(tag.clone());
                Ok(Outcome::SnapshotsForgotten { removed_bytes: 0, marked_bytes: 0 })
            }
            Work::MakeRepository { .. } => {
                Ok(Outcome::RepositoryMade { repository: "r".into(), master: Secret::new("master-key") })
            }
            Work::LookInto { path, .. } => Ok(Outcome::LookedInto { items: vec![], next: Some(path.repeat(9 << 20)) }),
            Work::FetchFile { .. } => Ok(Outcome::FileFetched { bytes: 0, sha256: String::new(), archive: false }),
            _ => Err(Error::invalid("task.unsupported", "not this one")),
        }
    }

    fn tidy(&self) -> Result<()> {
        self.tidied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A server that lists tasks and stores what is told of them.
#[derive(Default)]
struct Office {
    listed: Mutex<(u64, Vec<HostTask>)>,
    changed: Condvar,
    told: Mutex<Vec<TaskReport>>,
    /// Reports that are refused before one is stored.
    deaf: AtomicU32,
    /// Accesses that are refused before one is given.
    shut: AtomicU32,
}

impl Office {
    fn list(&self, tasks: Vec<HostTask>) {
        let mut listed = self.listed.lock().unwrap();
        *listed = (listed.0 + 1, tasks);
        self.changed.notify_all();
    }

    fn wait<T>(&self, what: &str, mut done: impl FnMut(&[TaskReport]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = done(&self.told.lock().unwrap()) {
                return value;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "waited for {what}: {:?}", self.told.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait_for_end(&self, task: &str) -> TaskReport {
        self.wait("an end", |told| {
            told.iter().find(|one| one.id.as_str() == task && one.state != TaskState::Running).cloned()
        })
    }
}

fn away(count: &AtomicU32) -> Result<()> {
    let left = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if left.is_ok() { Err(Error::unavailable("server.away", "away")) } else { Ok(()) }
}

impl ControlPlane for Office {
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents> {
        let guard = self.listed.lock().unwrap();
        let (listed, _) = self.changed.wait_timeout_while(guard, wait, |listed| listed.0 <= after).unwrap();
        Ok(Intents {
            protocol: PROTOCOL,
            cursor: listed.0,
            full: after == 0,
            intents: vec![],
            console_requests: vec![],
            tasks: listed.1.clone(),
        })
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        if !report.tasks.is_empty() {
            away(&self.deaf)?;
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
        away(&self.shut)?;
        Ok(serde_json::json!([task.as_str()]))
    }

    fn recover(&self, _: &IntentId, recovery: &RecoveryId, _: &str) -> Result<RecoveryAccess> {
        Err(Error::not_found("recovery.not_found", recovery.as_str()))
    }

    fn hang_up(&self) {
        self.changed.notify_all();
    }
}

fn settings() -> Settings {
    Settings {
        poll_wait: Duration::from_millis(20),
        retry_min: Duration::from_millis(5),
        retry_max: Duration::from_millis(20),
        report_every: Duration::from_secs(60),
        ..Settings::default()
    }
}

fn start(office: &Arc<Office>, hand: &Arc<Hand>, store: Store) -> Agent {
    let clock = HostClock::system();
    let memory = Arc::new(Memory::new(clock.clone()));
    Agent::start_with(settings(), memory, office.clone(), store, clock, Some(hand.clone())).unwrap()
}

fn backup(id: &str, machine: &str) -> HostTask {
    let work = Work::BackUpMachine { machine: machine.parse().unwrap(), tag: format!("task:{id}") };
    HostTask { id: id.parse().unwrap(), work }
}

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("yw-tasks-{name}-{}.db", std::process::id()));
    clear(&path);
    path
}

/// The store and what SQLite keeps beside it.
fn clear(path: &std::path::Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[test]
fn a_task_is_done_once_however_often_it_is_listed_and_its_end_is_told_until_it_is_heard() {
    let (office, hand) = (Arc::new(Office::default()), Hand::free());
    office.deaf.store(3, Ordering::SeqCst);
    office.shut.store(2, Ordering::SeqCst);
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    office.list(vec![backup("t1", "m1")]);
    assert_eq!(office.wait_for_end("t1").state, TaskState::Succeeded);
    for _ in 0..3 {
        office.told.lock().unwrap().clear();
        office.list(vec![backup("t1", "m1")]);
        office.wait_for_end("t1");
    }
    assert_eq!((hand.begun(), hand.tidied.load(Ordering::SeqCst)), (1, 1));
    agent.stop();
}

#[test]
fn two_tasks_run_at_once_but_never_two_of_one_machine() {
    let (office, hand) = (Arc::new(Office::default()), Arc::new(Hand::default()));
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    let tasks: Vec<HostTask> =
        ["m1", "m1", "m1", "m2", "m2"].iter().enumerate().map(|(n, m)| backup(&format!("t{n}"), m)).collect();
    office.list(tasks);
    let start = Instant::now();
    while hand.at_once.load(Ordering::SeqCst) < 2 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    let running = office.wait("progress", |told| told.iter().find(|one| one.progress.is_some()).cloned());
    assert_eq!(running.state, TaskState::Running);
    hand.release();
    for n in 0..5 {
        office.wait_for_end(&format!("t{n}"));
    }
    assert_eq!((hand.most_at_once.load(Ordering::SeqCst), hand.same_machine.load(Ordering::SeqCst)), (2, 0));
    agent.stop();
}

#[test]
fn what_a_drill_left_is_cleared_away_only_when_nobody_is_at_it_any_more() {
    let (office, hand) = (Arc::new(Office::default()), Arc::new(Hand::default()));
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    let source = DataSource::Files { paths: vec!["/srv".into()], except: vec![] };
    let end = |id: &str, drill: &str| {
        let work = Work::EndDrill { source: source.clone(), drill: drill.into() };
        HostTask { id: id.parse().unwrap(), work }
    };
    office.list(vec![end("a1", "rcvy_1"), end("a2", "rcvy_1"), end("a3", "rcvy_2")]);
    let start = Instant::now();
    while hand.at_once.load(Ordering::SeqCst) < 2 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    let begun: BTreeSet<String> = hand.begun.lock().unwrap().iter().map(ToString::to_string).collect();
    assert!(begun.iter().eq(["a1", "a3"]), "{begun:?}");
    hand.release();
    office.wait_for_end("a2");
    agent.stop();
}

fn look(id: &str, path: &str) -> HostTask {
    let work = Work::LookInto { snapshot: "a".repeat(64), path: path.into(), after: String::new() };
    HostTask { id: id.parse().unwrap(), work }
}

#[test]
fn whoever_fetches_files_holds_up_neither_backups_nor_looks() {
    let (office, hand) = (Arc::new(Office::default()), Arc::new(Hand::default()));
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    let fetch = |n| {
        let work = Work::FetchFile { snapshot: "a".repeat(64), path: "/x".into(), bytes_max: 1 };
        HostTask { id: format!("a{n}").parse().unwrap(), work }
    };
    let mut tasks: Vec<HostTask> = (0..5).map(fetch).collect();
    tasks.extend([look("b1", ""), look("b2", ""), backup("c1", "m1"), backup("c2", "m2")]);
    office.list(tasks);
    let start = Instant::now();
    while hand.begun() < 4 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    let begun: BTreeSet<String> = hand.begun.lock().unwrap().iter().map(ToString::to_string).collect();
    assert!(begun.iter().eq(["a0", "b1", "c1", "c2"]), "{begun:?}");
    hand.release();
    for id in ["a4", "b2", "c2"] {
        assert_eq!(office.wait_for_end(id).state, TaskState::Succeeded);
    }
    agent.stop();
}

#[test]
fn an_answer_that_is_too_large_is_a_failure_and_the_others_are_told() {
    let (office, hand) = (Arc::new(Office::default()), Hand::free());
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    office.list(vec![look("t1", "x"), look("t2", ""), backup("t3", "m1")]);
    let told = office.wait_for_end("t1");
    assert_eq!((told.state, told.outcome), (TaskState::Failed, None));
    assert_eq!(told.problem.unwrap().code, "task.outcome_too_large");
    for id in ["t2", "t3"] {
        assert_eq!(office.wait_for_end(id).state, TaskState::Succeeded);
    }
    agent.stop();
}

#[test]
fn what_is_no_longer_listed_is_cancelled_and_never_told_of() {
    let (office, hand) = (Arc::new(Office::default()), Arc::new(Hand::default()));
    let agent = start(&office, &hand, Store::in_memory().unwrap());
    office.list(vec![backup("t1", "m1"), backup("t2", "m1")]);
    office.wait("its beginning", |told| (!told.is_empty()).then_some(()));
    office.list(vec![]);
    let start = Instant::now();
    while hand.at_once.load(Ordering::SeqCst) > 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    // The next one runs, so the cancelled one is off the board.
    hand.release();
    office.list(vec![backup("t3", "m2")]);
    office.wait_for_end("t3");
    assert!(office.told.lock().unwrap().iter().all(|one| one.id.as_str() == "t3" || one.state == TaskState::Running));
    assert!(hand.taken.lock().unwrap().iter().eq(["task:t3"]));
    agent.stop();
}

#[test]
fn an_agent_that_ends_in_the_middle_begins_again_and_one_that_ended_after_it_tells_what_it_knew() {
    let path = file("again");
    let (office, hand) = (Arc::new(Office::default()), Arc::new(Hand::default()));
    office.list(vec![backup("t1", "m1")]);
    let agent = start(&office, &hand, Store::open(&path).unwrap());
    office.wait("its beginning", |told| (!told.is_empty()).then_some(()));
    agent.stop();
    assert!(
        office.told.lock().unwrap().iter().all(|one| one.state == TaskState::Running),
        "an end by stopping is none"
    );
    hand.release();
    // Its end cannot be told before the agent ends once more.
    office.deaf.store(u32::MAX, Ordering::SeqCst);
    let agent = start(&office, &hand, Store::open(&path).unwrap());
    let begun = Instant::now();
    while hand.taken.lock().unwrap().is_empty() || hand.at_once.load(Ordering::SeqCst) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(50));
    agent.stop();
    let begun = hand.begun();
    office.deaf.store(0, Ordering::SeqCst);
    let agent = start(&office, &hand, Store::open(&path).unwrap());
    assert_eq!(office.wait_for_end("t1").state, TaskState::Succeeded);
    assert_eq!(hand.begun(), begun, "it was not begun a third time");
    agent.stop();
    clear(&path);
}

#[test]
fn a_master_key_is_on_disk_only_until_it_was_heard() {
    let path = file("secret");
    let (office, hand) = (Arc::new(Office::default()), Hand::free());
    office.list(vec![HostTask { id: "t1".parse().unwrap(), work: Work::MakeRepository { alike: false } }]);
    let agent = start(&office, &hand, Store::open(&path).unwrap());
    let told = office.wait_for_end("t1");
    assert!(matches!(told.outcome, Some(Outcome::RepositoryMade { master, .. }) if master.reveal() == "master-key"));
    agent.stop();
    let store = Store::open(&path).unwrap();
    let kept = serde_json::to_string(&store.tasks().unwrap()).unwrap();
    assert!(kept.contains("repositoryMade") && !kept.contains("master-key"), "{kept}");
    clear(&path);
}

#[test]
fn an_agent_that_does_no_tasks_says_so() {
    let office = Arc::new(Office::default());
    let clock = HostClock::system();
    let memory = Arc::new(Memory::new(clock.clone()));
    let agent = Agent::start(settings(), memory, office.clone(), Store::in_memory().unwrap(), clock).unwrap();
    office.list(vec![backup("t1", "m1")]);
    let told = office.wait_for_end("t1");
    assert_eq!((told.state, told.problem.unwrap().code), (TaskState::Failed, "task.unsupported".to_owned()));
    agent.stop();
}
