use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Kind, Secret};
use drivers::wire::{Consistency, DiskSource, Outcome, Problem, TaskId, TaskProgress, TaskReport, TaskState, Work};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tasks::{self, Keys, State, Task};

const MASTER: &str = "the-master-key-of-a-repository";

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn backup() -> Work {
    Work::BackUpMachine { machine: "m1".parse().unwrap(), tag: "task:t1".into() }
}

fn put(house: &House, host: HostId, task: &str, work: &Work) -> Result<()> {
    let (task, work) = (id(task), work.clone());
    house.tx(move |tx| tasks::put(tx, host, &task, &work, ("recoveryPoint", "rpt_1")))
}

fn task(house: &House, task: &str) -> Task {
    let task = id(task);
    house.gate.db().read(move |conn| tasks::get(conn, &task)).unwrap().unwrap()
}

fn told(house: &House, task: &str, state: TaskState) -> TaskReport {
    TaskReport { id: id(task), state, progress: None, outcome: None, problem: None, at: house.gate.now() }
}

fn saved(house: &House, task: &str) -> TaskReport {
    let outcome = Outcome::MachineBackedUp {
        snapshot: "ab".repeat(32),
        tree: "cd".repeat(32),
        taken_at: house.gate.now(),
        consistency: Consistency::CrashConsistent,
        disks: vec![],
        bytes: 10,
        added_bytes: 5,
        stored_bytes: 3,
        seconds: 1.5,
    };
    TaskReport { outcome: Some(outcome), ..told(house, task, TaskState::Succeeded) }
}

fn report(house: &House, guest: &Guest, tasks: Vec<TaskReport>) -> Result<()> {
    let sent_at = house.gate.now();
    let report = Report { protocol: PROTOCOL, sent_at, host: None, observations: vec![], orphans: None, tasks };
    wait(house.door.observe(guest, report)).map(drop)
}

fn listed(house: &House, guest: &Guest) -> Vec<String> {
    let answer = wait(house.door.intents(guest, 0, Duration::ZERO)).unwrap();
    answer.tasks.iter().map(|task| task.id.to_string()).collect()
}

/// Keys that give the task's own name as access, and remember what they sealed.
fn with_keys(house: &House) -> Arc<Mutex<Vec<String>>> {
    let sealed = Arc::new(Mutex::new(Vec::new()));
    let kept = sealed.clone();
    house.gate.install(Arc::new(Keys {
        access: Arc::new(|_, task| Ok(json!([{ "of": task.id }]))),
        seal: Arc::new(move |_, _, outcome| {
            if let Outcome::RepositoryMade { master, .. } = outcome {
                kept.lock().unwrap().push(master.reveal().to_owned());
            }
            Ok(())
        }),
        recover: Arc::new(|_, asked| Ok(json!({ "of": asked.disk }))),
    }));
    sealed
}

#[test]
fn a_task_is_listed_until_its_end_is_told_and_ends_once() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        let before = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap();
        put(&house, host, "t1", &backup()).unwrap();
        put(&house, host, "t1", &backup()).unwrap();
        let other = Work::MakeRepository { alike: false };
        assert_eq!(put(&house, host, "t1", &other).unwrap_err().code(), "task.reused", "{}", house.engine);
        // It is news to a poll that waits.
        let news = wait(house.door.intents(&guest, before.cursor, Duration::from_secs(20))).unwrap();
        assert_eq!((news.tasks[0].id.clone(), news.tasks[0].work.clone()), (id("t1"), backup()));
        let progress = TaskProgress { phase: "reading".into(), done: 1, total: Some(2), bytes: true };
        let going = TaskReport { progress: Some(progress.clone()), ..told(&house, "t1", TaskState::Running) };
        report(&house, &guest, vec![going]).unwrap();
        assert_eq!((task(&house, "t1").state, task(&house, "t1").progress), (State::Running, Some(progress)));
        assert_eq!(listed(&house, &guest), ["t1"]);
        report(&house, &guest, vec![saved(&house, "t1")]).unwrap();
        let late = TaskReport {
            problem: Some(Problem { code: "x".into(), message: "x".into(), retrying: false }),
            ..told(&house, "t1", TaskState::Failed)
        };
        report(&house, &guest, vec![late, told(&house, "t1", TaskState::Running), saved(&house, "t1")]).unwrap();
        let ended = task(&house, "t1");
        assert_eq!((ended.state, ended.outcome, ended.problem), (State::Succeeded, saved(&house, "t1").outcome, None));
        assert!(listed(&house, &guest).is_empty());
        let facts = house.facts().into_iter().filter(|fact| fact == "HostTaskEnded").count();
        assert_eq!(facts, 1, "{}", house.engine);
        put(&house, host, "t1", &backup()).unwrap();
        assert!(listed(&house, &guest).is_empty(), "what was done is not asked for again");
    });
}

#[test]
fn another_host_neither_sees_a_task_nor_reports_on_it_nor_is_given_its_access() {
    each_engine(|house| {
        with_keys(&house);
        let ((host, owner), (_, stranger)) = (house.host("h1"), house.host("h2"));
        put(&house, host, "t1", &backup()).unwrap();
        assert_eq!((listed(&house, &owner), listed(&house, &stranger)), (vec!["t1".to_owned()], vec![]));
        report(&house, &stranger, vec![saved(&house, "t1"), saved(&house, "nowhere")]).unwrap();
        assert_eq!(task(&house, "t1").state, State::Waiting, "{}", house.engine);
        assert_eq!(wait(house.door.access(&stranger, id("t1"))).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(wait(house.door.access(&owner, id("t1"))).unwrap(), json!([{ "of": "t1" }]));
        // Staff is no agent.
        let asked = house.gate.run(&staff(), &tasks::ACCESS, tasks::TaskRef { id: id("t1") });
        assert_eq!(asked.unwrap_err().kind(), Kind::Forbidden);
    });
}

#[test]
fn a_task_that_has_ended_or_was_cancelled_opens_nothing() {
    each_engine(|house| {
        with_keys(&house);
        let (host, guest) = house.host("h1");
        for task in ["t1", "t2", "t3"] {
            put(&house, host, task, &backup()).unwrap();
        }
        report(&house, &guest, vec![saved(&house, "t1"), told(&house, "t2", TaskState::Failed)]).unwrap();
        house.tx(|tx| tasks::cancel(tx, &id("t3"))).unwrap();
        house.tx(|tx| tasks::cancel(tx, &id("t1"))).unwrap();
        for task in ["t1", "t2", "t3"] {
            let refused = wait(house.door.access(&guest, id(task))).unwrap_err();
            assert_eq!(refused.code(), "task.not_found", "{} {task}", house.engine);
        }
        report(&house, &guest, vec![saved(&house, "t3")]).unwrap();
        let states = ["t1", "t2", "t3"].map(|one| task(&house, one).state);
        assert_eq!(states, [State::Succeeded, State::Failed, State::Cancelled], "{}", house.engine);
    });
}

#[test]
fn a_new_master_key_goes_to_who_keeps_keys_and_into_no_row() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        put(&house, host, "t1", &Work::MakeRepository { alike: false }).unwrap();
        let outcome = Outcome::RepositoryMade { repository: "ef".repeat(32), master: Secret::new(MASTER) };
        let made = TaskReport { outcome: Some(outcome), ..told(&house, "t1", TaskState::Succeeded) };
        // Nobody keeps keys: the report is refused, and the agent will tell again.
        assert_eq!(report(&house, &guest, vec![made.clone()]).unwrap_err().code(), "task.no_keys");
        let sealed = with_keys(&house);
        report(&house, &guest, vec![made]).unwrap();
        assert_eq!(*sealed.lock().unwrap(), [MASTER], "{}", house.engine);
        let Some(Outcome::RepositoryMade { repository, master }) = task(&house, "t1").outcome else { panic!("made") };
        assert_eq!((repository, master.reveal()), ("ef".repeat(32), ""));
        for table in ["host_tasks", "facts", "audit_entries"] {
            let rows = house.gate.db().read(move |conn| everything(conn, table)).unwrap();
            assert!(!rows.contains(MASTER), "{} {table}", house.engine);
        }
    });
}

/// A table's content, as text.
fn everything(conn: &mut db::Conn<'_>, table: &str) -> Result<String> {
    let all = match conn.engine() {
        db::Engine::Postgres => format!("SELECT COALESCE(string_agg(t::text, ' '), '') FROM {table} t"),
        db::Engine::Sqlite => {
            let columns: Vec<String> =
                conn.query(&format!("SELECT name FROM pragma_table_info('{table}')"), &[], |row| row.get(0))?;
            let columns: Vec<String> =
                columns.iter().map(|name| format!("COALESCE(CAST({name} AS TEXT), '')")).collect();
            format!("SELECT COALESCE(group_concat({}), '') FROM {table}", columns.join(" || ' ' || "))
        }
    };
    conn.query_one(&all, &[], |row| row.get(0))
}

#[test]
fn huge_and_senseless_reports_do_no_harm() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        let check = Work::CheckRepository { snapshots: vec![], read: drivers::wire::ReadShare::Nothing };
        for (task, work) in [("t1", backup()), ("t2", check), ("t3", backup()), ("t4", backup())] {
            put(&house, host, task, &work).unwrap();
        }
        let many = vec![told(&house, "t1", TaskState::Running); base::limits::HOST_TASKS_MAX + 1];
        assert_eq!(report(&house, &guest, many).unwrap_err().code(), "report.too_large");
        let faults = vec!["\0 damaged".repeat(1_000); 20];
        let huge = Outcome::RepositoryChecked { snapshots: vec![], whole: false, faults, guarded: None, seconds: 0.0 };
        let problem = Problem { code: "雲".repeat(5_000), message: "\0維".repeat(5_000), retrying: false };
        report(
            &house,
            &guest,
            vec![
                // What comes of other work, nothing at all, too much, and a long story.
                TaskReport { outcome: Some(huge.clone()), ..told(&house, "t1", TaskState::Succeeded) },
                TaskReport { outcome: Some(huge), ..told(&house, "t2", TaskState::Succeeded) },
                told(&house, "t3", TaskState::Succeeded),
                TaskReport { problem: Some(problem), ..told(&house, "t4", TaskState::Failed) },
            ],
        )
        .unwrap();
        let codes = ["t1", "t2", "t3"].map(|one| task(&house, one).problem.unwrap().code);
        assert_eq!(codes, ["task.outcome_mismatch", "task.outcome_too_large", "task.outcome_mismatch"]);
        assert!(["t1", "t2", "t3", "t4"].iter().all(|one| task(&house, one).state == State::Failed));
        let kept = task(&house, "t4").problem.unwrap();
        assert!(kept.message.len() <= 2_048 && !kept.message.contains('\0'), "{}", house.engine);
        assert!(put(&house, host, "t5", &Work::Unknown).is_err());
    });
}

#[test]
fn news_of_before_changes_nothing_and_progress_is_no_entry_on_the_log() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        put(&house, host, "t1", &backup()).unwrap();
        let going = |done: u64, at: Timestamp| TaskReport {
            progress: Some(TaskProgress { phase: "p".into(), done, total: None, bytes: true }),
            at,
            ..told(&house, "t1", TaskState::Running)
        };
        let logged = || -> i64 {
            let sql = "SELECT COUNT(*) FROM audit_entries WHERE action = 'agent.observe'";
            house.gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get(0))).unwrap()
        };
        let (now, before) = (house.gate.now(), logged());
        report(&house, &guest, vec![going(5, now)]).unwrap();
        report(&house, &guest, vec![going(6, now)]).unwrap();
        assert_eq!(task(&house, "t1").progress.unwrap().done, 5, "{}: not twice in a second", house.engine);
        house.gate.clock().advance(Duration::from_secs(2));
        report(&house, &guest, vec![going(4, now - Duration::from_secs(1))]).unwrap();
        assert_eq!(task(&house, "t1").progress.unwrap().done, 5, "{}: old news", house.engine);
        report(&house, &guest, vec![going(7, house.gate.now())]).unwrap();
        assert_eq!((task(&house, "t1").progress.unwrap().done, logged()), (7, before), "{}", house.engine);
    });
}

#[test]
fn a_host_that_is_given_up_ends_its_tasks_and_one_that_is_full_takes_no_more() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        for n in 0..base::limits::HOST_TASKS_MAX {
            put(&house, host, &format!("t{n}"), &backup()).unwrap();
        }
        assert_eq!(put(&house, host, "one-more", &backup()).unwrap_err().code(), "task.too_many");
        house.gate.run(&staff(), &hosts::RETIRE, hosts::RetireHost { id: host, machines_are_gone: false }).unwrap();
        assert_eq!(task(&house, "t7").problem.unwrap().code, "task.host_gone", "{}", house.engine);
        assert_eq!(put(&house, host, "late", &backup()).unwrap_err().code(), "host.retired");
    });
}

#[test]
fn a_recovery_is_opened_only_for_a_host_on_which_such_a_disk_is_wanted() {
    each_engine(|house| {
        with_keys(&house);
        let ((first, of_first), (_, of_second)) = (house.host("h1"), house.host("h2"));
        let mut wanted = spec("m1");
        wanted.disks[0].source =
            DiskSource::Recovery { recovery: "rcv_1".parse().unwrap(), disk: "data".into(), boot: None };
        let ask = ask("m1", Demand::of_machine(&wanted));
        let on = house
            .tx(move |tx| {
                let host = crate::capacity::reserve(tx, &ask)?.host;
                let want = Want {
                    id: &ask.machine,
                    host,
                    spec: &wanted,
                    tenant: CUSTOMER,
                    service: &ask.service,
                    standing: crate::intents::Standing::Serving,
                };
                intents::put(tx, &want).map(|_| host)
            })
            .unwrap();
        let (owner, stranger) = if on == first { (of_first, of_second) } else { (of_second, of_first) };
        let recovery = |id: &str, disk: &str| tasks::Recovery {
            machine: "m1".parse().unwrap(),
            recovery: id.parse().unwrap(),
            disk: disk.into(),
        };
        assert_eq!(wait(house.door.recover(&owner, recovery("rcv_1", "data"))).unwrap(), json!({ "of": "data" }));
        for (guest, asked) in [
            (&stranger, recovery("rcv_1", "data")),
            (&owner, recovery("rcv_1", "system")),
            (&owner, recovery("rcv_2", "data")),
        ] {
            assert_eq!(wait(house.door.recover(guest, asked)).unwrap_err().code(), "recovery.not_found");
        }
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        assert!(wait(house.door.recover(&owner, recovery("rcv_1", "data"))).is_err(), "{}", house.engine);
    });
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Put,
    Cancel,
    Tell(TaskState),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes in whatever order, an end is for ever, and there is one fact for each that the agent told.
    #[test]
    fn an_end_is_for_ever(events in proptest::collection::vec(
        prop_oneof![
            Just(Event::Put),
            Just(Event::Cancel),
            Just(Event::Tell(TaskState::Running)),
            Just(Event::Tell(TaskState::Succeeded)),
            Just(Event::Tell(TaskState::Failed)),
        ],
        1..12,
    )) {
        let (engine, db, scratch) = db::testing::sqlite();
        let house = House::new(engine, db, scratch, Clock::fixed(START.parse().unwrap()));
        let (host, guest) = house.host("h1");
        let mut ended = None;
        for event in events {
            match event {
                Event::Put => put(&house, host, "t1", &backup()).unwrap(),
                Event::Cancel => house.tx(|tx| tasks::cancel(tx, &id("t1"))).unwrap(),
                Event::Tell(TaskState::Succeeded) => report(&house, &guest, vec![saved(&house, "t1")]).unwrap(),
                Event::Tell(state) => report(&house, &guest, vec![told(&house, "t1", state)]).unwrap(),
            }
            let now = house.gate.db().read(|conn| tasks::get(conn, &id("t1"))).unwrap();
            let open = now.as_ref().is_some_and(Task::is_open);
            prop_assert_eq!(listed(&house, &guest).len(), usize::from(open));
            if let Some(was) = ended {
                prop_assert_eq!(now.as_ref().map(|task| task.state), Some(was));
            }
            ended = now.filter(|task| !task.is_open()).map(|task| task.state);
        }
        let facts = house.facts().into_iter().filter(|fact| fact == "HostTaskEnded").count();
        prop_assert_eq!(facts, usize::from(matches!(ended, Some(State::Succeeded | State::Failed))));
    }
}
