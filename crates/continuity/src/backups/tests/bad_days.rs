//! Agents that fail, lie, vanish or repeat themselves, and servers that are killed: a point is
//! then degraded or failed under the right code, and never falsely good.

use durable::flows;
use durable::testing as flow_testing;

use super::*;
use crate::backups::points::CopyState;

fn ends_as(behaviour: &Behaviour, state: State, code: &str) {
    each_house(|engine, house| {
        let id = house.take().id;
        house.settle(behaviour);
        // Whoever waits for time to pass is given it, three days at the most.
        for _ in 0..72 {
            if house.point(id).state != State::Taking {
                break;
            }
            house.gate().clock().advance(Duration::from_secs(3_600));
            house.settle(behaviour);
        }
        let point = house.point(id);
        let seen = (point.state, point.problem.as_ref().map(|problem| problem.code.as_str()));
        assert_eq!(seen, (state, Some(code)), "{engine}: {:?}", point.problem);
        // Nothing is left open for the host, and the next run is not in the way of this one.
        let open =
            "SELECT COUNT(*) FROM host_tasks WHERE state IN ('waiting', 'running') AND subject_kind = 'recoveryPoint'";
        assert_eq!(house.count(open), 0, "{engine}");
        house.gate().clock().advance(Duration::from_secs(60));
        house.taken();
    });
}

fn fails(at: fn(&Work) -> bool, code: &'static str) -> Behaviour {
    Behaviour::of(
        move |task, _, outcome| if at(&task.work) { Answer::Fail(code.to_owned()) } else { Answer::Say(outcome) },
    )
}

#[test]
fn a_host_that_cannot_take_fails_the_point_and_says_why() {
    ends_as(
        &fails(|work| matches!(work, Work::BackUpMachine { .. }), "source.unreadable"),
        State::Failed,
        "source.unreadable",
    );
    ends_as(
        &fails(|work| matches!(work, Work::BackUpMachine { .. }), "repository.full"),
        State::Failed,
        "repository.full",
    );
}

#[test]
fn a_repository_that_cannot_be_made_fails_the_point() {
    ends_as(
        &fails(|work| matches!(work, Work::MakeRepository { .. }), "repository.refused"),
        State::Failed,
        "repository.refused",
    );
}

#[test]
fn a_copy_that_fails_leaves_the_point_degraded() {
    ends_as(
        &fails(|work| matches!(work, Work::CopySnapshots { .. }), "repository.unreachable"),
        State::Degraded,
        "repository.unreachable",
    );
}

#[test]
fn a_host_that_says_nothing_fails_the_point_in_the_end() {
    ends_as(&Behaviour::of(|_, _, _| Answer::Nothing), State::Failed, "backup.deadline");
    let silent = |task: &HostTask| matches!(task.work, Work::BackUpMachine { .. });
    ends_as(
        &Behaviour::of(move |task, _, outcome| if silent(task) { Answer::Nothing } else { Answer::Say(outcome) }),
        State::Failed,
        "backup.deadline",
    );
}

#[test]
fn a_host_that_vanishes_while_copying_leaves_what_was_there() {
    let vanishes = Behaviour::of(|task, _, outcome| match task.work {
        Work::CopySnapshots { .. } => Answer::Nothing,
        _ => Answer::Say(outcome),
    });
    ends_as(&vanishes, State::Degraded, "backup.deadline");
}

#[test]
fn without_anybody_who_looked_nothing_is_good() {
    let blind = Behaviour::of(|task, _, outcome| match task.work {
        Work::CheckRepository { .. } => Answer::Nothing,
        _ => Answer::Say(outcome),
    });
    ends_as(&blind, State::Lost, "backup.deadline");
}

#[test]
fn a_snapshot_that_is_not_there_is_missing() {
    let lies = Behaviour::of(|_, _, outcome| match outcome {
        Outcome::MachineBackedUp {
            tree,
            taken_at,
            consistency,
            disks,
            bytes,
            added_bytes,
            stored_bytes,
            seconds,
            ..
        } => {
            let snapshot = "f".repeat(64);
            Answer::Say(Outcome::MachineBackedUp {
                snapshot,
                tree,
                taken_at,
                consistency,
                disks,
                bytes,
                added_bytes,
                stored_bytes,
                seconds,
            })
        }
        other => Answer::Say(other),
    });
    ends_as(&lies, State::Failed, "snapshot.missing");
}

#[test]
fn a_repository_that_is_not_whole_damages_its_copies() {
    each_house(|engine, house| {
        let broken = Behaviour::of(|task, access, outcome| match (&task.work, outcome) {
            (Work::CheckRepository { .. }, Outcome::RepositoryChecked { snapshots, seconds, .. })
                if access[0]["place"].to_string().contains("second") =>
            {
                Answer::Say(Outcome::RepositoryChecked {
                    snapshots,
                    whole: false,
                    faults: vec!["a pack is cut".into()],
                    guarded: None,
                    seconds,
                })
            }
            (_, outcome) => Answer::Say(outcome),
        });
        let id = house.take().id;
        house.settle(&broken);
        let point = house.point(id);
        let states: Vec<_> = point.copies().map(|copy| copy.state).collect();
        assert_eq!(states, [CopyState::Verified, CopyState::Damaged, CopyState::Verified], "{engine}");
        assert_eq!(point.state, State::Degraded);
        assert!(point.problem.unwrap().message.contains("a pack is cut"));
    });
}

/// Whatever an agent answers, and to whatever: never available unless three copies are truly there.
#[test]
fn no_lie_makes_a_point_good() {
    let other = |outcome: &Outcome| match outcome {
        Outcome::SnapshotsCopied { .. } => Outcome::SnapshotsForgotten { removed_bytes: 0, marked_bytes: 0 },
        _ => Outcome::SnapshotsCopied { ids: BTreeMap::new(), seconds: 0.0 },
    };
    let empty = |outcome: Outcome| match outcome {
        Outcome::SnapshotsCopied { ids, seconds } => {
            Outcome::SnapshotsCopied { ids: ids.into_keys().map(|id| (id, "latest".to_owned())).collect(), seconds }
        }
        Outcome::RepositoryChecked { whole, faults, seconds, .. } => {
            Outcome::RepositoryChecked { snapshots: vec![], whole, faults, guarded: None, seconds }
        }
        Outcome::MachineBackedUp {
            snapshot,
            tree,
            consistency,
            bytes,
            added_bytes,
            stored_bytes,
            seconds,
            disks,
            ..
        } => {
            let taken_at = "2020-01-01T00:00:00Z".parse().unwrap();
            Outcome::MachineBackedUp {
                snapshot,
                tree,
                taken_at,
                consistency,
                disks,
                bytes,
                added_bytes,
                stored_bytes,
                seconds,
            }
        }
        same => same,
    };
    let lies: [fn(&Work) -> bool; 3] = [
        |work| matches!(work, Work::BackUpMachine { .. }),
        |work| matches!(work, Work::CopySnapshots { .. }),
        |work| matches!(work, Work::CheckRepository { .. }),
    ];
    for at in lies {
        for how in [true, false] {
            each_house(|engine, house| {
                let id = house.take().id;
                house.settle(&Behaviour::of(move |task, _, outcome| match (at(&task.work), how) {
                    (true, true) => Answer::Say(other(&outcome)),
                    (true, false) => Answer::Say(empty(outcome)),
                    (false, _) => Answer::Say(outcome),
                }));
                let point = house.point(id);
                assert!(!matches!(point.state, State::Available | State::Taking), "{engine}: {:?}", point.state);
                assert!(point.problem.is_some());
            });
        }
    }
}

#[test]
fn answers_that_come_twice_change_nothing() {
    each_house(|engine, house| {
        let id = house.take().id;
        house.settle(&Behaviour { twice: true, ..Behaviour::willing() });
        assert_eq!(house.point(id).state, State::Available, "{engine}");
        assert_eq!(house.count("SELECT COUNT(*) FROM facts WHERE name = 'RecoveryPointAvailable'"), 1, "{engine}");
    });
}

#[test]
fn a_fault_that_may_pass_is_waited_out() {
    each_house(|engine, house| {
        let id = house.take().id;
        house.settle(&fails(|work| matches!(work, Work::BackUpMachine { .. }), "repository.unreachable"));
        assert_eq!(house.point(id).state, State::Taking, "{engine}");
        house.gate().clock().advance(Duration::from_secs(301));
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, State::Available, "{engine}");
    });
}

#[test]
fn a_repository_that_was_made_without_anybody_hearing_of_it_is_used() {
    each_house(|engine, house| {
        let id = house.take().id;
        house.settle(&fails(|work| matches!(work, Work::MakeRepository { .. }), "repository.exists"));
        assert_eq!(house.point(id).state, State::Available, "{engine}");
    });
}

/// A run for the helpers that repeat, fail and kill.
fn running() -> flow_testing::House {
    let (_, db, keep) = db::testing::sqlite();
    let house = House::protected(db);
    let id = house.take().id;
    let (hosts, store) = (house.town.hosts.clone(), house.store.clone());
    let text = id.to_string();
    let runs = house.gate().db().read(move |conn| flows::of_subject(conn, points::KIND, &text)).unwrap();
    flow_testing::House {
        run: runs[0].id,
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        pump: Box::new(move |gate| {
            hosts.iter().filter(|host| work_once(gate, **host, &Behaviour::willing(), &store)).count() > 0
        }),
        done: Box::new(move |gate| {
            let point = look(gate, id);
            assert_eq!((point.state, point.copies().count()), (State::Available, 3));
            let facts = "SELECT COUNT(*) FROM facts WHERE name = 'RecoveryPointAvailable'";
            assert_eq!(gate.db().read(move |conn| conn.query_one(facts, &[], |row| row.get::<i64>(0))).unwrap(), 1);
        }),
        clean: Box::new(move |gate| {
            let point = look(gate, id);
            // Undone before anybody looked: failed; after: what was seen stays.
            assert!(matches!(point.state, State::Failed | State::Available), "{:?}", point.state);
            let open = "SELECT COUNT(*) FROM host_tasks WHERE state IN ('waiting', 'running') AND subject_kind = 'recoveryPoint'";
            assert_eq!(gate.db().read(move |conn| conn.query_one(open, &[], |row| row.get::<i64>(0))).unwrap(), 0);
        }),
        engine: house.town.engine,
        keep: Box::new((house.keep, keep)),
    }
}

#[test]
fn whichever_step_fails_no_task_is_left_and_nothing_is_falsely_good() {
    flow_testing::fail_at_each_step(&running);
}

#[test]
fn a_repeated_step_or_undo_changes_nothing() {
    flow_testing::repeat_each_step(&running);
    flow_testing::repeat_each_undo(&running);
}

#[test]
fn killed_at_every_journal_write_a_point_is_still_taken_once() {
    flow_testing::kill_after_each_journal_write(&running);
}
