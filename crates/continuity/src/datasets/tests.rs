//! Data sets, their parts in points and their restores, with agents that are played.

use commerce::testing::{manager, member};
use drivers::wire::{Consistency, DataSource, DataTarget, DatabaseServer, Outcome, Work};

use super::restores::{self, Ask, DataRestoreRef, State};
use super::*;
use crate::backups::points::{self, CopyState, PartKind};
use crate::backups::policies::{self, What};
use crate::backups::retention::Retention;
use crate::backups::schedule::Schedule;
use crate::backups::tests::{Answer, Behaviour, CUSTOMER, House};
use crate::backups::upkeep;

pub(crate) const PASSWORD: &str = "nobody shall read this";

pub(crate) fn files() -> DataSource {
    DataSource::Files { paths: vec!["/srv/www".into()], except: vec![] }
}

pub(crate) fn database() -> DataSource {
    let server = DatabaseServer { socket: None, host: Some("db".into()), port: None, user: "backup".into() };
    DataSource::Postgresql { server, databases: vec![], logs: false }
}

pub(crate) fn made(house: &House, name: &str, source: DataSource, password: Option<&str>) -> DataSet {
    let host = house.machine().0;
    let password = password.map(str::to_owned);
    let new = NewDataSet { id: house.service.clone(), name: name.into(), host, source, password };
    house.gate().run(&manager(), &CREATE, new).unwrap()
}

/// The service by a policy of that kind, in two directories of its host.
pub(crate) fn protected(db: db::Db, what: What) -> House {
    let house = House::new(db);
    let host = house.machine().0;
    let places = ["first", "second"].map(|name| house.folder(name, host).id);
    let new = policies::NewPolicy {
        name: "with data".into(),
        what,
        schedule: Schedule { calendar: "daily 02:00".into(), jitter_minutes: 0, time_zone: "UTC".into() },
        retention: Retention::default(),
        places: places.to_vec(),
        prune_delay_hours: 72,
        offered: false,
    };
    let policy = house.gate().run(&manager(), &policies::CREATE, new).unwrap();
    house.protect(&policy);
    house
}

fn ask(set: &DataSet, to: Option<DataTarget>) -> Ask {
    Ask { id: set.id, point: None, place: None, host: None, to }
}

fn look(house: &House, id: crate::DataRestoreId) -> restores::DataRestoreDetail {
    house.gate().run(&member(CUSTOMER), &restores::GET, DataRestoreRef { id }).unwrap()
}

#[test]
fn a_point_holds_machines_and_data_sets_and_each_comes_back() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::Everything);
        let (www, shop) = (made(&house, "www", files(), None), made(&house, "shop", database(), Some(PASSWORD)));
        let point = house.taken();
        let kinds: Vec<_> = point.parts.iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [PartKind::Machine, PartKind::DataSet, PartKind::DataSet], "{engine}");
        assert!(point.copies().count() == 6 && point.copies().all(|copy| copy.state == CopyState::Verified));
        let saved = point.part(&www.id.to_string()).unwrap();
        assert_eq!(saved.data_set.as_ref().unwrap().source, files(), "{engine}");
        assert_eq!(saved.taken.as_ref().unwrap().consistency, Consistency::FileByFile);

        let plan = house.gate().run(&member(CUSTOMER), &restores::PLAN, ask(&www, None)).unwrap();
        assert_eq!((plan.point, plan.place_name.as_str(), plan.bytes), (point.id, "first", 1 << 10), "{engine}");
        let begun = house.gate().run(&member(CUSTOMER), &restores::START, ask(&www, None)).unwrap();
        let again = house.gate().run(&member(CUSTOMER), &restores::START, ask(&www, None)).unwrap_err();
        assert_eq!(again.code(), "restore.running", "{engine}");
        house.settle(&Behaviour::willing());
        let seen = look(&house, begun.id).restore;
        assert_eq!(seen.state, State::Done, "{engine}: {:?}", seen.problem);
        assert!(seen.restored.unwrap().at.ends_with(&begun.id.to_string()));
        let drilled = house.point(point.id).copies().filter(|copy| copy.drilled_at.is_some()).count();
        assert_eq!(drilled, 1, "{engine}: only the copy that was used is proven");

        let to = DataTarget::Database { database: "shop".into(), name: "shop_back".into() };
        let refused = house.gate().run(&member(CUSTOMER), &restores::START, ask(&shop, Some(to.clone()))).unwrap_err();
        assert_eq!(refused.code(), "dataRestore.operator", "{engine}: what is in a dump is run where it is loaded");
        let begun = house.gate().run(&manager(), &restores::START, ask(&shop, Some(to))).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!(look(&house, begun.id).restore.restored.unwrap().at, "shop_back", "{engine}");
    }
}

#[test]
fn a_password_reaches_the_host_for_its_task_and_is_nowhere_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::DataSets);
        let (www, shop) = (made(&house, "www", files(), None), made(&house, "shop", database(), Some(PASSWORD)));
        assert!(shop.has_password && !www.has_password);
        let curious = Behaviour::of(move |task, access, outcome| {
            let passwords = access.iter().filter_map(|one| one.get("password")).count();
            let wants = matches!(&task.work, Work::BackUpData { source, .. } if source.server().is_some());
            assert_eq!(passwords, usize::from(wants), "{:?}", task.work);
            assert!(!serde_json::to_string(&task).unwrap().contains(PASSWORD));
            Answer::Say(outcome)
        });
        let id = house.take().id;
        house.settle(&curious);
        assert_eq!(house.point(id).state, points::State::Available, "{engine}: {:?}", house.point(id).problem);
        for table in ["data_sets", "host_tasks", "recovery_parts"] {
            let rows: Vec<String> = house
                .gate()
                .db()
                .read(move |conn| {
                    let column = match table {
                        "data_sets" => "password",
                        "host_tasks" => "work",
                        _ => "spec",
                    };
                    conn.query(&format!("SELECT COALESCE({column}, '') FROM {table}"), &[], |row| row.get(0))
                })
                .unwrap();
            assert!(!rows.is_empty() && rows.iter().all(|row| !row.contains(PASSWORD)), "{engine}: {table}");
        }
        // Sealed for its own row: another data set's password does not open it.
        let other = house.within(move |tx| password(tx, shop.id)).unwrap();
        assert_eq!(other.unwrap().reveal(), PASSWORD, "{engine}");
        // Ended: forgotten.
        house.gate().run(&manager(), &END, DataSetRef { id: shop.id }).unwrap();
        assert_eq!(house.count("SELECT COUNT(*) FROM data_sets WHERE password IS NOT NULL"), 0, "{engine}");
        assert!(house.within(move |tx| password(tx, shop.id)).unwrap().is_none());
    }
}

#[test]
fn a_data_set_that_cannot_be_had_does_not_cost_the_machines_their_point() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::Everything);
        made(&house, "shop", database(), Some(PASSWORD));
        let refused = Behaviour::of(|task, _, outcome| match task.work {
            Work::BackUpData { .. } => Answer::Fail("database.refused".into()),
            _ => Answer::Say(outcome),
        });
        let id = house.take().id;
        house.settle(&refused);
        let point = house.point(id);
        assert_eq!(point.state, points::State::Degraded, "{engine}");
        assert_eq!(point.problem.as_ref().unwrap().code, "database.refused", "{engine}");
        assert!(point.machines().all(|part| part.copies.iter().all(|copy| copy.state == CopyState::Verified)));
        // It is completed by itself, when the server lets us in again.
        house.gate().clock().advance(std::time::Duration::from_secs(3_600));
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, points::State::Available, "{engine}: {:?}", house.point(id).problem);
    }
}

#[test]
fn a_point_of_which_something_could_not_be_read_says_so() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::DataSets);
        let www = made(&house, "www", files(), None);
        let unread = Behaviour::of(|_, _, outcome| {
            Answer::Say(match outcome {
                Outcome::DataBackedUp {
                    snapshot,
                    tree,
                    taken_at,
                    consistency,
                    mut data,
                    bytes,
                    added_bytes,
                    stored_bytes,
                    seconds,
                } => {
                    data.unread = vec!["/srv/www/locked: Permission denied".into()];
                    data.unread_count = 1;
                    Outcome::DataBackedUp {
                        snapshot,
                        tree,
                        taken_at,
                        consistency,
                        data,
                        bytes,
                        added_bytes,
                        stored_bytes,
                        seconds,
                    }
                }
                other => other,
            })
        });
        let id = house.take().id;
        house.settle(&unread);
        let point = house.point(id);
        let problem = point.problem.clone().unwrap();
        assert_eq!((point.state, problem.code.as_str()), (points::State::Degraded, "backup.unread"), "{engine}");
        assert!(problem.message.contains("/srv/www/locked"), "{engine}: {}", problem.message);
        // There is nothing to complete, and what was read comes back.
        house.gate().clock().advance(std::time::Duration::from_secs(3_600));
        upkeep::look_for_incomplete(house.gate()).unwrap();
        assert_eq!(house.point(id).state, points::State::Degraded, "{engine}");
        let plan = house.gate().run(&member(CUSTOMER), &restores::PLAN, ask(&www, None)).unwrap();
        assert_eq!(plan.unread_count, 1, "{engine}");
    }
}

#[test]
fn what_a_host_finds_amiss_is_written_on_the_copy_and_the_next_one_is_taken() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = protected(db, What::DataSets);
    let www = made(&house, "www", files(), None);
    let point = house.taken();
    let damaged = Behaviour::of(|task, _, outcome| match task.work {
        Work::RestoreData { .. } => Answer::Fail(vault::fault::REPOSITORY_DAMAGED.into()),
        _ => Answer::Say(outcome),
    });
    let begun = house.gate().run(&member(CUSTOMER), &restores::START, ask(&www, None)).unwrap();
    house.settle(&damaged);
    let seen = look(&house, begun.id).restore;
    assert_eq!((seen.state, seen.problem.unwrap().code.as_str()), (State::Failed, "repository.damaged"));
    assert_eq!(house.point(point.id).parts[0].copies[0].state, CopyState::Damaged);
    let plan = house.gate().run(&member(CUSTOMER), &restores::PLAN, ask(&www, None)).unwrap();
    assert_eq!(plan.place_name, "second");
}

#[test]
fn a_restore_that_was_cancelled_changes_nothing_any_more() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = protected(db, What::DataSets);
    let www = made(&house, "www", files(), None);
    let point = house.taken();
    let begun = house.gate().run(&member(CUSTOMER), &restores::START, ask(&www, None)).unwrap();
    let one = DataRestoreRef { id: begun.id };
    let expired = house.within(move |tx| crate::backups::store::expire(tx, point.id)).unwrap();
    assert!(!expired, "its point is kept while it runs");
    house.gate().run(&member(CUSTOMER), &restores::CANCEL, one.clone()).unwrap();
    house.settle(&Behaviour::willing());
    assert_eq!(look(&house, begun.id).restore.state, State::Cancelled);
    assert_eq!(house.gate().run(&member(CUSTOMER), &restores::CANCEL, one).unwrap_err().code(), "restore.state");
    house.gate().run(&member(CUSTOMER), &restores::START, ask(&www, None)).unwrap();
}

#[test]
fn nonsense_is_refused_in_words() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = protected(db, What::DataSets);
    let www = made(&house, "www", files(), None);
    let code = |source: DataSource, name: &str, password: Option<&str>| {
        let (host, password) = (house.machine().0, password.map(str::to_owned));
        let new = NewDataSet { id: house.service.clone(), name: name.into(), host, source, password };
        house.gate().run(&manager(), &CREATE, new).unwrap_err().code().to_owned()
    };
    assert_eq!(code(files(), "www", None), "dataSet.name_taken");
    assert_eq!(code(files(), "other", Some("x")), "dataSet.password");
    assert_eq!(code(database(), "other", Some("two\nlines")), "dataSet.password");
    assert_eq!(code(database(), "other", Some(&"x".repeat(5_000))), "dataSet.password");
    assert_eq!(code(DataSource::Unknown, "other", None), "dataSet.source");
    // A password is not sent to another server than the one that it was given for.
    let shop = made(&house, "shop", database(), Some(PASSWORD));
    let elsewhere = DatabaseServer { socket: None, host: Some("evil".into()), port: None, user: "backup".into() };
    let change = |password: Option<String>| ChangeDataSet {
        id: shop.id,
        revision: None,
        name: None,
        host: None,
        source: Some(DataSource::Postgresql { server: elsewhere.clone(), databases: vec![], logs: false }),
        password,
    };
    assert_eq!(house.gate().run(&manager(), &UPDATE, change(None)).unwrap_err().code(), "dataSet.password");
    house.gate().run(&manager(), &UPDATE, change(Some("new".into()))).unwrap();
    let stale = ChangeDataSet { revision: Some(1), ..change(Some("new".into())) };
    assert_eq!(house.gate().run(&manager(), &UPDATE, stale).unwrap_err().code(), "dataSet.stale");

    house.taken();
    let wish = |to| house.gate().run(&manager(), &restores::PLAN, ask(&www, Some(to))).unwrap_err().code().to_owned();
    assert_eq!(wish(DataTarget::Database { database: "a".into(), name: "b".into() }), "dataRestore.target");
    assert_eq!(wish(DataTarget::Instant { below: None, at: None, logs: None }), "dataRestore.target");
    assert_eq!(wish(DataTarget::Directory { below: Some("relative".into()), only: String::new() }), "dataSet.path");
    let none = DataTarget::Database { database: "none".into(), name: "b".into() };
    let absent = house.gate().run(&manager(), &restores::PLAN, ask(&shop, Some(none))).unwrap_err();
    assert_eq!(absent.code(), "dataRestore.database");
}

#[test]
fn an_instant_is_reached_from_the_base_before_it_by_the_logs_after_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::DataSets);
        let server = DatabaseServer { socket: None, host: Some("db".into()), port: None, user: "backup".into() };
        let source = DataSource::Postgresql { server, databases: vec![], logs: true };
        let shop = made(&house, "shop", source, Some(PASSWORD));
        let mut points = Vec::new();
        for _ in 0..3 {
            points.push(house.taken());
            house.gate().clock().advance(std::time::Duration::from_secs(3_600));
        }
        let span = |n: usize| points[n].parts[0].taken.clone().unwrap().data.unwrap().span.unwrap();
        let minutes = |n: i64| base::time::Timestamp::from_second(span(0).from.as_second() + 60 * n).unwrap();
        let plan = |at: Option<base::time::Timestamp>| {
            let to = DataTarget::Instant { below: None, at, logs: None };
            house.gate().run(&manager(), &restores::PLAN, ask(&shop, Some(to)))
        };
        let reached = |at| {
            let plan = plan(at).unwrap();
            (plan.point, plan.logs_of)
        };
        assert_eq!(reached(None), (points[2].id, None), "{engine}: the newest");
        assert_eq!(reached(Some(span(1).until)), (points[1].id, None), "{engine}: its own logs");
        assert_eq!(reached(Some(minutes(30))), (points[0].id, Some(points[1].id)), "{engine}");
        assert_eq!(reached(Some(minutes(90))), (points[1].id, Some(points[2].id)), "{engine}");
        for beyond in [minutes(-1), minutes(1_000)] {
            assert_eq!(plan(Some(beyond)).unwrap_err().code(), "recovery.no_copy", "{engine}: {beyond}");
        }
        // The task names both snapshots, and the point of the logs is kept as well while it runs.
        let to = DataTarget::Instant { below: None, at: Some(minutes(30)), logs: None };
        house.gate().run(&manager(), &restores::START, ask(&shop, Some(to))).unwrap();
        let kept = [points[0].id, points[1].id];
        for id in kept {
            assert!(!house.within(move |tx| crate::backups::store::expire(tx, id)).unwrap(), "{engine}");
        }
        house.settle(&Behaviour::of(move |task, _, outcome| {
            if let Work::RestoreData { snapshot, to: DataTarget::Instant { logs, .. }, .. } = &task.work {
                assert!(logs.as_ref().is_some_and(|logs| logs != snapshot), "{:?}", task.work);
            }
            Answer::Say(outcome)
        }));
        // Its logs are kept for this server and this host alone.
        let change =
            |host, source| ChangeDataSet { id: shop.id, revision: None, name: None, host, source, password: None };
        for change in [change(Some(house.town.hosts[1]), None), change(None, Some(files()))] {
            let refused = house.gate().run(&manager(), &UPDATE, change).unwrap_err();
            assert_eq!(refused.code(), "dataSet.logs_kept", "{engine}");
        }
        // It ends: its host lets go of the slot, and the password is forgotten after that, not before.
        house.gate().run(&manager(), &END, DataSetRef { id: shop.id }).unwrap();
        assert!(house.within(move |tx| password(tx, shop.id)).unwrap().is_some(), "{engine}");
        house.settle(&Behaviour::of(|task, access, outcome| {
            let given = access.iter().any(|one| one.get("password").is_some());
            assert!(given && matches!(task.work, Work::EndData { .. }));
            Answer::Say(outcome)
        }));
        assert!(house.within(move |tx| password(tx, shop.id)).unwrap().is_none(), "{engine}");
    }
}

#[test]
fn a_new_password_is_not_for_the_server_of_before() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = protected(db, What::DataSets);
    let shop = made(&house, "shop", database(), Some(PASSWORD));
    let moved = DatabaseServer { socket: None, host: Some("new-db".into()), port: None, user: "backup".into() };
    let source = DataSource::Postgresql { server: moved, databases: vec!["shop".into()], logs: false };
    let (id, old) = (shop.id, shop.source.clone());
    let given = move |source: &DataSource| {
        let source = source.clone();
        move |tx: &mut gate::Tx<'_>| password_for(tx, id, &source).map(|password| password.is_some())
    };
    assert!(house.within(given(&old)).unwrap());
    let change = ChangeDataSet {
        id,
        revision: None,
        name: None,
        host: None,
        source: Some(source.clone()),
        password: Some("another".into()),
    };
    house.gate().run(&manager(), &UPDATE, change).unwrap();
    assert!(house.within(given(&source)).unwrap());
    assert_eq!(house.within(given(&old)).unwrap_err().code(), "dataSet.stale");
}

#[test]
fn the_last_copy_of_a_part_outlives_its_time() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = protected(db, What::Everything);
        made(&house, "www", files(), None);
        let whole = house.taken();
        let held = |house: &House| {
            let service = house.service.clone();
            house.gate().db().read(move |conn| crate::backups::store::last_of_parts(conn, &service)).unwrap()
        };
        assert_eq!(held(&house), [whole.id].into(), "{engine}");
        house.gate().clock().advance(std::time::Duration::from_secs(3_600));
        let id = house.take().id;
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::BackUpData { .. } => Answer::Fail("database.refused".into()),
            _ => Answer::Say(outcome),
        }));
        assert_eq!(house.point(id).state, crate::backups::points::State::Degraded, "{engine}");
        assert_eq!(held(&house), [whole.id, id].into(), "{engine}: the files are in the older one alone");
    }
}
