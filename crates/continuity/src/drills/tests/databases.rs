//! Databases that were dropped: who may have them brought back, what serves, what is measured, and that
//! nothing of them is left.

use base::Kind;
use commerce::testing::manager;
use drivers::wire::{DataDrilled, DataSource, DatabaseServer, Marker, Outcome, Work};
use durable::Engine;
use durable::flows;
use durable::testing::{self as flow_testing, House as Tried};

use super::*;
use crate::DataSetId;
use crate::backups::points::{self, CopyState};
use crate::backups::policies::What;
use crate::backups::store;
use crate::backups::tests::{Answer, registry};
use crate::datasets::DataSet;
use crate::datasets::tests::{PASSWORD, database, files, made, protected};
use crate::drills::databases::LostDatabase;
use crate::drills::plans::{ChangePlan, PlanRef};
use crate::drills::rules::{self, Control, Phase};

/// A house with a database and a good point of it.
struct Firm {
    house: House,
    set: DataSet,
    point: RecoveryPoint,
}

fn firm_with(db: Db, source: DataSource) -> Firm {
    let house = protected(db, What::Everything);
    let set = made(&house, "shop", source, Some(PASSWORD));
    let point = house.taken();
    house.gate().clock().advance(Duration::from_secs(600));
    Firm { house, set, point }
}

fn firm(db: Db) -> Firm {
    firm_with(db, database())
}

fn lost(set: DataSetId) -> LostDatabase {
    let marker = Marker { schema: None, table: "orders".into(), column: "placed_at".into() };
    LostDatabase { data_set: set, database: "shop".into(), marker }
}

fn dropped(firm: &Firm) -> Terms {
    terms(&firm.house, Scenario::DatabaseLost { databases: vec![lost(firm.set.id)] })
}

fn planned(firm: &Firm, terms: Terms) -> DrillPlan {
    firm.house.gate().run(&manager(), &plans::CREATE, NewPlan { name: "dropped".into(), terms }).unwrap()
}

fn begin(firm: &Firm, plan: &DrillPlan, bad_after: Option<Timestamp>) -> DrillRun {
    firm.house.gate().run(&manager(), &RUN, StartDrill { id: plan.id, bad_after, brought: None }).unwrap()
}

/// Hosts that tell of that newest record.
fn telling(newest: Timestamp) -> Behaviour {
    Behaviour::of(move |_, _, outcome| {
        Answer::Say(match outcome {
            Outcome::DataDrilled(drilled) => {
                Outcome::DataDrilled(DataDrilled { newest: Some(newest), unread: None, ..drilled })
            }
            other => other,
        })
    })
}

fn drilled(firm: &Firm, plan: &DrillPlan, mood: &Behaviour) -> DrillRun {
    let run = begin(firm, plan, None);
    firm.house.settle(mood);
    look(firm.house.gate(), &run)
}

fn newest(firm: &Firm) -> Timestamp {
    firm.point.taken_at.unwrap() - Duration::from_secs(5)
}

fn copy_is(firm: &Firm, at: usize, state: CopyState) {
    let (point, set) = (firm.point.id, firm.set.id.to_string());
    firm.house
        .within(move |tx| {
            let known = points::load(tx, point)?;
            let copy = known.part(&set).unwrap().copies[at].clone();
            store::set_found(tx, point, &copy, Some(state), None)
        })
        .unwrap();
}

fn tasks_of(firm: &Firm, word: &'static str) -> i64 {
    let like = format!("%\"{word}\"%");
    let sql = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE $1";
    firm.house.gate().db().read(move |conn| conn.query_one(sql, db::args![like], |row| row.get(0))).unwrap()
}

#[test]
fn a_dropped_database_comes_back_is_measured_and_leaves_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        let plan = planned(&firm, Terms { negative_every: 1, ..dropped(&firm) });
        let run = drilled(&firm, &plan, &telling(newest(&firm)));
        assert!(passed(&run), "{engine}: {:?} {:?}", run.body.misses, run.body.failure);
        let one = &run.body.services[0];
        assert_eq!((one.newest_record, one.point), (Some(newest(&firm)), Some(firm.point.id)), "{engine}");
        assert_eq!(one.rpo_milliseconds, Some(605_000), "{engine}: the record's age, not the copy's");
        assert!(one.machines.is_empty() && Phase::ALL.iter().all(|phase| one.ends.contains_key(phase)), "{engine}");
        assert!(one.database.as_ref().unwrap().digest.is_some() && one.name.ends_with(" · shop"), "{engine}");
        assert_eq!(run.body.control, Control::DamageFound { code: "repository.damaged".into() }, "{engine}");
        assert_nothing_is_left(&firm.house);
        assert_eq!((tasks_of(&firm, "drillData"), tasks_of(&firm, "endDrill")), (1, 0), "{engine}");
        assert_eq!(firm.house.count("SELECT COUNT(*) FROM intents WHERE standing <> 'serving'"), 0, "{engine}");
        let point = firm.house.point(firm.point.id);
        let proven = point.copies().filter(|copy| copy.drilled_at.is_some()).count();
        assert_eq!(proven, 1, "{engine}: the copy of the data set that served, and no machine's");
        let file = firm.house.gate().run(&manager(), &crate::evidence::GET, DrillRef { id: run.id }).unwrap();
        assert_eq!(file.document["services"][0]["database"]["marker"]["table"], "orders", "{engine}");
        assert!(crate::evidence::verify::verify(&serde_json::to_string(&file).unwrap(), None).unwrap().ok, "{engine}");
        // The same point again gives the same data, or the drill says that it does not.
        let other = Behaviour::of(|_, _, outcome| {
            Answer::Say(match outcome {
                Outcome::DataDrilled(drilled) => {
                    Outcome::DataDrilled(DataDrilled { digest: "other".into(), ..drilled })
                }
                other => other,
            })
        });
        assert!(codes(&drilled(&firm, &plan, &other)).contains(&rules::DATA_DIFFERS), "{engine}");
    }
}

#[test]
fn the_time_of_each_part_is_as_its_host_says_within_what_was_seen() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    let (at, newest) = (firm.house.gate().clone(), newest(&firm));
    let slow = Behaviour::of(move |task, _, outcome| match (&task.work, outcome) {
        (Work::DrillData { .. }, Outcome::DataDrilled(drilled)) => {
            at.clock().advance(Duration::from_secs(40));
            let seconds = DataDrilled { answer_seconds: 2.0, read_seconds: 3.0, clear_seconds: 5.0, ..drilled };
            Answer::Say(Outcome::DataDrilled(DataDrilled { newest: Some(newest), unread: None, ..seconds }))
        }
        (_, other) => Answer::Say(other),
    });
    let run = drilled(&firm, &planned(&firm, dropped(&firm)), &slow);
    let spans: Vec<_> = run.body.services[0].phases.iter().map(|one| one.milliseconds.unwrap()).collect();
    assert_eq!(spans[5..], [30_000, 2_000, 3_000], "{:?}", run.body.misses);
    assert_eq!(run.rto_milliseconds(), Some(32_000), "until it answered");
}

#[test]
fn a_marker_that_says_nothing_credible_is_a_miss() {
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        let plan = planned(&firm, dropped(&firm));
        let silent = drilled(&firm, &plan, &Behaviour::willing());
        assert_eq!((silent.state, codes(&silent)), (State::Failed, vec![rules::RECORD_UNKNOWN]), "{engine}");
        assert!(silent.body.misses[0].message.contains("nobody asked"), "{engine}: {:?}", silent.body.misses);
        let taken = firm.point.taken_at.unwrap();
        let ahead = drilled(&firm, &plan, &telling(taken + Duration::from_secs(300)));
        assert_eq!(codes(&ahead), [rules::RECORD_UNKNOWN], "{engine}");
        assert!(ahead.body.misses[0].message.contains("later than the copy"), "{engine}");
        let old = drilled(&firm, &plan, &telling(taken - Duration::from_secs(7_200)));
        assert_eq!(codes(&old), [rules::RPO_MISSED], "{engine}");
        assert_nothing_is_left(&firm.house);
    }
}

#[test]
fn whatever_copy_is_left_serves_and_a_rotten_one_fails_and_is_cleared_away() {
    use CopyState::{Damaged, Missing};
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        let good = telling(newest(&firm));
        let places: Vec<BackupPlaceId> =
            firm.point.part(&firm.set.id.to_string()).unwrap().copies.iter().map(|copy| copy.place).collect();
        let plan = planned(&firm, dropped(&firm));
        // Rotten, and nobody knew: the host says so, and is told to leave nothing.
        let rotten = Behaviour::of(|task, _, outcome| match task.work {
            Work::DrillData { .. } => Answer::Fail(vault::fault::REPOSITORY_DAMAGED.into()),
            _ => Answer::Say(outcome),
        });
        let run = drilled(&firm, &plan, &rotten);
        assert_eq!((run.state, codes(&run)), (State::Failed, vec!["repository.damaged"]), "{engine}");
        assert_eq!(tasks_of(&firm, "endDrill"), 1, "{engine}");
        let set = firm.set.id.to_string();
        assert_eq!(firm.house.point(firm.point.id).part(&set).unwrap().copies[0].state, Damaged, "{engine}");
        let run = drilled(&firm, &plan, &good);
        assert_eq!((run.state, run.body.services[0].place), (State::Passed, Some(places[1])), "{engine}");
        let must = planned(&firm, Terms { place: Some(places[0]), ..dropped(&firm) });
        let run = drilled(&firm, &must, &good);
        assert_eq!((run.state, codes(&run)), (State::Impossible, vec!["recovery.no_copy"]), "{engine}");
        copy_is(&firm, 1, Missing);
        assert_eq!(drilled(&firm, &plan, &good).state, State::Impossible, "{engine}");
        assert_nothing_is_left(&firm.house);
    }
}

#[test]
fn nothing_of_after_the_instant_that_is_named_serves() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    firm.house.gate().clock().advance(Duration::from_secs(3_000));
    let second = firm.house.taken();
    firm.house.gate().clock().advance(Duration::from_secs(60));
    let plan = planned(&firm, dropped(&firm));
    let newest_run = drilled(&firm, &plan, &telling(newest(&firm)));
    assert_eq!(newest_run.body.services[0].point, Some(second.id));
    let run = begin(&firm, &plan, Some(second.taken_at.unwrap() - Duration::from_secs(1)));
    firm.house.settle(&telling(newest(&firm)));
    let run = look(firm.house.gate(), &run);
    assert_eq!((run.state, run.body.services[0].point), (State::Passed, Some(firm.point.id)), "{:?}", run.body.misses);
}

#[test]
fn a_server_with_its_logs_comes_back_as_of_the_last_good_instant() {
    let (_, db, _keep) = db::testing::sqlite();
    let server = DatabaseServer { socket: None, host: Some("db".into()), port: None, user: "backup".into() };
    let firm = firm_with(db, DataSource::Postgresql { server, databases: vec![], logs: true });
    let first = firm.point.taken_at.unwrap();
    firm.house.gate().clock().advance(Duration::from_secs(3_000));
    let second = firm.house.taken();
    firm.house.gate().clock().advance(Duration::from_secs(60));
    let plan = planned(&firm, dropped(&firm));
    let between = first + Duration::from_secs(1_000);
    for (bad_after, point, at, logs) in [
        (None, second.id, None, false),
        (Some(between), firm.point.id, Some(between), true),
        (Some(second.taken_at.unwrap() + Duration::from_secs(30)), second.id, None, false),
    ] {
        let run = begin(&firm, &plan, bad_after);
        firm.house.settle(&telling(first));
        let run = look(firm.house.gate(), &run);
        assert!(passed(&run), "{bad_after:?}: {:?} {:?}", run.body.misses, run.body.failure);
        let database = run.body.services[0].database.clone().unwrap();
        let seen = (run.body.services[0].point, database.at, database.logs.is_some());
        assert_eq!(seen, (Some(point), at, logs), "{bad_after:?}");
        assert_eq!(database.until, at.or(second.taken_at), "{bad_after:?}");
        assert_nothing_is_left(&firm.house);
    }
}

#[test]
fn who_may_not_use_the_host_neither_plans_nor_changes_nor_runs_such_a_drill() {
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        let (gate, own, stranger) = (firm.house.gate(), member(CUSTOMER), member(3));
        let new = || NewPlan { name: "x".into(), terms: dropped(&firm) };
        assert_eq!(gate.run(&own, &plans::CREATE, new()).unwrap_err().code(), "dataRestore.operator", "{engine}");
        assert_eq!(gate.run(&stranger, &plans::CREATE, new()).unwrap_err().kind(), Kind::NotFound, "{engine}");
        let plan = planned(&firm, dropped(&firm));
        let start = || StartDrill { id: plan.id, bad_after: None, brought: None };
        assert_eq!(gate.run(&own, &RUN, start()).unwrap_err().code(), "dataRestore.operator", "{engine}");
        assert_eq!(gate.run(&stranger, &RUN, start()).unwrap_err().kind(), Kind::NotFound, "{engine}");
        let change: ChangePlan = serde_json::from_value(json!({ "id": plan.id, "owner": "Me" })).unwrap();
        assert_eq!(gate.run(&own, &plans::UPDATE, change).unwrap_err().code(), "dataRestore.operator", "{engine}");
        assert_eq!(firm.house.count("SELECT COUNT(*) FROM drill_runs"), 0, "{engine}");
        // It is theirs to see, and to end.
        assert!(gate.run(&own, &plans::GET, PlanRef { id: plan.id }).is_ok(), "{engine}");
        assert!(gate.run(&own, &plans::END, PlanRef { id: plan.id }).is_ok(), "{engine}");
    }
}

#[test]
fn what_cannot_be_dropped_is_refused_by_name() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    let www = made(&firm.house, "www", files(), None);
    let good = lost(firm.set.id);
    let marker = |table: &str| Marker { schema: None, table: table.into(), column: "at".into() };
    let table = [
        (vec![], "drillPlan.scenario"),
        (vec![good.clone(), good.clone()], "drillPlan.scenario"),
        (vec![LostDatabase { marker: marker("a; DROP TABLE b"), ..good.clone() }], "drillPlan.marker"),
        (vec![LostDatabase { marker: marker(""), ..good.clone() }], "drillPlan.marker"),
        (vec![lost(www.id)], "drillPlan.scenario"),
        (vec![lost(DataSetId(7))], "dataSet.absent"),
    ];
    for (databases, code) in table {
        let terms = terms(&firm.house, Scenario::DatabaseLost { databases: databases.clone() });
        let refused = firm.house.gate().run(&manager(), &plans::CREATE, NewPlan { name: "x".into(), terms });
        assert_eq!(refused.unwrap_err().code(), code, "{databases:?}");
    }
    let site = Scope::Site { site: resources::SiteId(1), tenant: base::id::TenantId(CUSTOMER) };
    let refused = firm.house.gate().run(
        &manager(),
        &plans::CREATE,
        NewPlan { name: "x".into(), terms: Terms { scope: site, ..dropped(&firm) } },
    );
    assert_eq!(refused.unwrap_err().code(), "drillPlan.scenario");
}

#[test]
fn a_drill_that_is_stopped_in_the_middle_waits_until_nothing_is_left() {
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        let run = begin(&firm, &planned(&firm, dropped(&firm)), None);
        // The host is at it and says nothing yet.
        firm.house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::DrillData { .. } => Answer::Nothing,
            _ => Answer::Say(outcome),
        }));
        let flow = run.flow.unwrap();
        firm.house.within(move |tx| flows::unwind(tx, flow, "enough")).unwrap();
        let busy = Behaviour::of(|task, _, outcome| match task.work {
            Work::EndDrill { .. } => Answer::Nothing,
            _ => Answer::Say(outcome),
        });
        firm.house.settle(&busy);
        assert_eq!(look(firm.house.gate(), &run).state, State::Running, "{engine}: not before it is gone");
        // It cannot just now, and is asked again.
        firm.house.settle(&Behaviour::of(|_, _, _| Answer::Fail("database.unreachable".into())));
        assert_eq!(look(firm.house.gate(), &run).state, State::Running, "{engine}");
        firm.house.gate().clock().advance(Duration::from_secs(61));
        let with = Behaviour::of(|task, access, outcome| {
            let given = access.iter().any(|one| one["password"] == PASSWORD);
            assert!(given && matches!(task.work, Work::EndDrill { .. }), "{:?}", task.work);
            Answer::Say(outcome)
        });
        firm.house.settle(&with);
        let run = look(firm.house.gate(), &run);
        assert_eq!((run.state, run.has_evidence), (State::Failed, true), "{engine}: {:?}", run.body.failure);
        assert_nothing_is_left(&firm.house);
        assert_eq!(tasks_of(&firm, "endDrill"), 2, "{engine}");
    }
}

fn drilling() -> Tried {
    let (_, db, keep) = db::testing::sqlite();
    let firm = firm(db);
    let plan = planned(&firm, Terms { negative_every: 1, ..dropped(&firm) });
    let run = begin(&firm, &plan, None);
    let (flow, gate, good) = (run.flow.unwrap(), firm.house.gate().clone(), telling(newest(&firm)));
    let firm = Arc::new(firm);
    let (pumped, done, clean) = (firm.clone(), firm.clone(), firm);
    let (first, last) = (run.clone(), run);
    Tried {
        engine: Engine::new(gate, registry()).unwrap(),
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        run: flow,
        pump: Box::new(move |gate| {
            let all = &pumped.house.town.hosts;
            all.iter().filter(|host| work_once(gate, **host, &good, &pumped.house.store)).count() > 0
        }),
        done: Box::new(move |gate| {
            let run = look(gate, &first);
            assert!(passed(&run), "{:?}", run.body.misses);
            assert_nothing_is_left(&done.house);
            assert_eq!(tasks_of(&done, "drillData"), 1);
        }),
        clean: Box::new(move |gate| {
            let run = look(gate, &last);
            assert!(matches!(run.state, State::Failed | State::Impossible), "{:?}", run.state);
            assert_nothing_is_left(&clean.house);
            assert_eq!(clean.house.count("SELECT COUNT(*) FROM facts WHERE name = 'DrillPassed'"), 0);
        }),
        keep: Box::new(keep),
    }
}

#[test]
fn whichever_step_fails_no_database_is_left() {
    flow_testing::fail_at_each_step(&drilling);
}

#[test]
fn a_repeated_step_or_undo_brings_nothing_back_twice() {
    flow_testing::repeat_each_step(&drilling);
    flow_testing::repeat_each_undo(&drilling);
}

#[test]
fn killed_while_it_unwinds_a_drill_of_a_database_still_leaves_nothing() {
    flow_testing::kill_while_unwinding_from(&drilling, "verify");
}

#[test]
fn killed_at_every_journal_write_a_drill_of_a_database_ends_the_same() {
    flow_testing::kill_after_each_journal_write(&drilling);
}
