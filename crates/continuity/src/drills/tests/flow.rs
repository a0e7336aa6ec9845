//! The flow when things go wrong: whatever happens, nothing is left, and nothing is called passed
//! that was not.

use durable::Engine;
use durable::testing::{self as flow_testing, House as Tried};

use super::*;
use crate::backups::tests::registry;

fn drilling() -> Tried {
    let (_, db, keep) = db::testing::sqlite();
    let (house, world, _, _) = one(db);
    let plan = plan(&house, Terms { negative_every: 1, ..terms(&house, Scenario::MachineLost) });
    let run = start(&house, &plan);
    let (id, flow, gate) = (run.clone(), run.flow.unwrap(), house.gate().clone());
    let house = Arc::new(house);
    let (done, clean) = (house.clone(), house.clone());
    let first = id.clone();
    Tried {
        engine: Engine::new(gate, registry()).unwrap(),
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        run: flow,
        pump: Box::new(move |gate| world.turn(gate, &Behaviour::willing())),
        done: Box::new(move |gate| {
            let run = look(gate, &first);
            assert!(passed(&run), "{:?}", run.body.misses);
            assert_nothing_is_left(&done);
            assert_eq!(done.count("SELECT COUNT(*) FROM facts WHERE name = 'DrillPassed'"), 1);
            assert_eq!(done.count("SELECT COUNT(*) FROM recoveries"), 1);
        }),
        clean: Box::new(move |gate| {
            let run = look(gate, &id);
            assert!(matches!(run.state, State::Failed | State::Impossible), "{:?}", run.state);
            assert!(run.has_evidence && run.ended_at.is_some());
            assert_nothing_is_left(&clean);
            assert_eq!(clean.count("SELECT COUNT(*) FROM facts WHERE name = 'DrillPassed'"), 0);
            assert_eq!(clean.count("SELECT COUNT(*) FROM corrective_actions WHERE state = 'open'"), 1);
        }),
        keep: Box::new(keep),
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
fn killed_while_it_unwinds_a_drill_still_leaves_nothing() {
    flow_testing::kill_while_unwinding_from(&drilling, "verify");
    flow_testing::kill_while_unwinding_from(&drilling, "detect");
}
