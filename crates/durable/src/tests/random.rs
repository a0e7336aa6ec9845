//! Random flows on random bad days: whatever the steps, whichever fails, and
//! wherever the process is killed, a run ends whole or leaves nothing.

use base::id::TenantId;
use proptest::prelude::*;
use serde_json::json;

use super::{Shared, gate_over, registry, rows};
use crate::flows::State;
use crate::testing::House;
use crate::{Engine, Nothing};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Reserve,
    Probe,
    Skip,
    Make,
}

fn yaml(steps: &[Does]) -> String {
    let mut made = false;
    let steps = steps.iter().enumerate().map(|(n, does)| {
        let (step, rest) = match does {
            Does::Reserve => ("capacity.reserve", "with: { amount: $.input.cpu }"),
            Does::Probe => ("machine.probe", "with: { name: $.input.name }"),
            Does::Skip => ("machine.probe", "when: input.cpu > 5\n    with: { name: $.input.name }"),
            // One machine for a run: the second time it is only another reservation.
            Does::Make if std::mem::replace(&mut made, true) => ("capacity.reserve", "with: { amount: 1 }"),
            Does::Make => ("machine.make", "with: { name: $.input.name, host: x }"),
        };
        format!("  - id: s{n}\n    step: {step}\n    title: {{ zh-TW: 步驟, en: Step }}\n    {rest}\n")
    });
    let head = "name: machine.create\nversion: 1\ntitle: { zh-TW: 流程, en: Flow }\ninput:\n  type: object\n  properties: { name: { type: string }, cpu: { type: integer } }\n  required: [name, cpu]\nsteps:\n";
    format!("{head}{}", steps.collect::<String>())
}

fn house(steps: &[Does], world: &Shared) -> House {
    let (_, db, keep) = db::testing::sqlite();
    let gate = gate_over(db);
    // Leaked on purpose: a definition of the product lives as long as the program.
    let yaml: &'static str = Box::leak(yaml(steps).into_boxed_str());
    let engine = Engine::new(gate.clone(), registry(world).definition(yaml)).unwrap();
    let cx = gate::testing::somebody(TenantId(1));
    let run = gate.run(&cx, &super::START, json!({ "name": "web", "cpu": 2 })).unwrap();
    let again = world.clone();
    House {
        engine,
        restart: Box::new(move |gate| Engine::new(gate.clone(), registry(&again).definition(yaml)).unwrap()),
        run,
        pump: Box::new(move |gate| gate.run(&cx, &super::OBSERVE, Nothing {}).unwrap() > 0),
        done: Box::new(|_| {}),
        clean: Box::new(|_| {}),
        keep: Box::new(keep),
    }
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![3 => Just(Does::Reserve), 2 => Just(Does::Probe), 1 => Just(Does::Skip), 2 => Just(Does::Make)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_run_ends_whole_or_leaves_nothing(
        steps in proptest::collection::vec(does(), 1..9),
        fails in proptest::option::of(0usize..9),
        kills in proptest::collection::vec(1i64..12, 0..4),
    ) {
        let world = Shared::default();
        let mut house = house(&steps, &world);
        let fails = fails.filter(|n| steps.get(*n).is_some_and(|does| *does != Does::Skip)).map(|n| format!("s{n}"));
        for kill in kills {
            fails.iter().for_each(|step| house.engine.faults().fail(step));
            house.engine.faults().kill_at(kill);
            house.live();
            house.restart();
        }
        fails.iter().for_each(|step| house.engine.faults().fail(step));
        let ended = house.live();
        let gate = house.engine.gate();
        let (effects, seen) = (rows(gate, "SELECT kind FROM effects").len(), rows(gate, "SELECT seen FROM wishes"));
        let probes = world.lock().unwrap().probes.len();
        if fails.is_some() {
            prop_assert_eq!(ended, State::Undone);
            prop_assert_eq!((effects, probes), (0, 0));
            prop_assert!(seen.iter().all(|seen| seen == "absent"));
        } else {
            prop_assert_eq!(ended, State::Done);
            let count = |does: Does| steps.iter().filter(|other| **other == does).count();
            let made = count(Does::Make).min(1);
            prop_assert_eq!((effects, probes), (count(Does::Reserve) + count(Does::Make) - made, count(Does::Probe)));
            prop_assert_eq!(seen, vec!["present"; made]);
        }
    }
}
