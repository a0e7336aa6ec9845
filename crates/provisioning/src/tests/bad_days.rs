//! Orders when things go wrong: whatever happens, nothing is left behind and
//! the order says why.

use commerce::catalog::PRODUCT_OFFERING;
use commerce::orders::{CANCEL_PRODUCT_ORDER, PRODUCT_ORDER};
use commerce::products::PRODUCT;
use commerce::testing::{body, item, member};
use durable::flows::State;
use durable::testing::{self as flow_testing, House};
use durable::{Engine, flows};
use resources::testing::{Mood, play};
use serde_json::json;

use crate::orders::SERVICE_ORDER;
use crate::services::{ServiceId, TERMINATE};
use crate::testing::{Town, registry};

fn each_town(test: impl Fn(&'static str, Town)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, Town::new(db));
    }
}

fn over(gate: &gate::Gate) -> Town {
    Town {
        gate: gate.clone(),
        engine: Engine::new(gate.clone(), registry()).unwrap(),
        hosts: vec![],
        catalog: Default::default(),
    }
}

/// A fresh database, with the name of its engine and what keeps it.
type Fresh = (&'static str, db::Db, db::testing::Scratch);

/// One order in a town of its own.
fn fulfilling_on((_, db, keep): Fresh) -> House {
    house(Town::new(db), keep, |town| town.order(2).id)
}

fn fulfilling() -> House {
    fulfilling_on(db::testing::sqlite())
}

/// One order that ends what another brought.
fn terminating_on((_, db, keep): Fresh) -> House {
    house(Town::new(db), keep, |town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = town.services(&order.id)[0].id.clone();
        town.gate.run(&member(2), &TERMINATE, ServiceId { id: service }).unwrap().product_order
    })
}

fn terminating() -> House {
    terminating_on(db::testing::sqlite())
}

fn house(town: Town, keep: db::testing::Scratch, order: impl Fn(&Town) -> String) -> House {
    let order = order(&town);
    let run = town.run_id(&order);
    let (hosts, done, clean) = (town.hosts.clone(), order.clone(), order);
    let ends = town.run_of(&done, "1").flow == crate::fulfilment::TERMINATE;
    House {
        run,
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        pump: Box::new(move |gate| {
            hosts.iter().filter(|host| play(gate, **host, commerce::testing::OPERATOR, Mood::Willing)).count() > 0
        }),
        done: Box::new(move |gate| {
            let town = over(gate);
            assert_eq!(town.read(&PRODUCT_ORDER, &done).state.as_deref(), Some("completed"));
            if ends {
                town.assert_nothing_is_held();
            } else {
                assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product' AND state = 'active'"), 1);
                assert_eq!(town.count("SELECT COUNT(*) FROM reservations WHERE state = 'inUse'"), 1);
                assert_eq!(town.count("SELECT COUNT(*) FROM facts WHERE name = 'ServiceActivated'"), 1);
                town.assert_sound();
            }
        }),
        clean: Box::new(move |gate| {
            let town = over(gate);
            let order = town.read(&PRODUCT_ORDER, &clean);
            assert_eq!(order.state.as_deref(), Some("failed"));
            assert!(order.at("note.translation.zh-TW.text").is_some() && order.at("note.whoMustAct").is_some());
            if ends {
                assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product' AND state = 'active'"), 1);
            } else {
                town.assert_nothing_is_held();
            }
        }),
        engine: town.engine,
        keep: Box::new(keep),
    }
}

#[test]
fn whichever_step_fails_the_slate_is_clean() {
    flow_testing::fail_at_each_step(&fulfilling);
    flow_testing::fail_at_each_step(&terminating);
}

#[test]
fn a_repeated_step_or_undo_changes_nothing() {
    flow_testing::repeat_each_step(&fulfilling);
    flow_testing::repeat_each_step(&terminating);
    flow_testing::repeat_each_undo(&fulfilling);
}

#[test]
fn killed_at_every_journal_write_an_order_is_still_delivered_once() {
    flow_testing::kill_after_each_journal_write(&fulfilling);
    flow_testing::kill_after_each_journal_write(&terminating);
}

#[test]
fn killed_while_it_unwinds_an_order_still_leaves_nothing() {
    flow_testing::kill_while_unwinding_from(&fulfilling, "answer");
}

/// What holds this is which writes commit together, and each engine commits in its own way.
#[test]
fn killed_at_every_journal_write_on_postgresql_too() {
    if db::testing::postgres_url().is_some() {
        let fresh = || db::testing::postgres().unwrap();
        flow_testing::kill_after_each_journal_write(&|| fulfilling_on(fresh()));
        flow_testing::kill_after_each_journal_write(&|| terminating_on(fresh()));
        flow_testing::kill_while_unwinding_from(&|| fulfilling_on(fresh()), "answer");
    }
}

#[test]
fn a_host_that_cannot_make_machines_fails_the_order_and_says_why() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Failing);
        let order = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(order.state.as_deref(), Some("failed"), "{engine}");
        let note = &order.body["note"][0];
        assert_eq!((note["code"].as_str(), note["whoMustAct"].as_str()), (Some("machine.failed"), Some("operator")));
        assert!(note["translation"]["zh-TW"]["text"].as_str().unwrap().contains("主機"));
        let carried_out = town
            .gate
            .db()
            .read(|c| c.query_one("SELECT id FROM records WHERE kind = 'serviceOrder'", &[], |r| r.get::<String>(0)));
        let carried_out = town.read(&SERVICE_ORDER, &carried_out.unwrap());
        assert_eq!(
            (carried_out.state.as_deref(), carried_out.at("errorMessage.code").unwrap().as_str()),
            (Some("failed"), Some("machine.failed"))
        );
        assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product'"), 0);
        town.assert_nothing_is_held();
    });
}

#[test]
fn without_room_the_order_fails_and_the_next_one_fits_again() {
    each_town(|engine, town| {
        let large = town.of_catalog(&PRODUCT_OFFERING, "large");
        let items: Vec<_> = (0..17).map(|n| item(&n.to_string(), &large, json!({}))).collect();
        let order = PRODUCT_ORDER.create(&town.gate, &member(2), body(json!({ "productOrderItem": items }))).unwrap();
        town.settle(Mood::Willing);
        let order = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(order.state.as_deref(), Some("partial"), "{engine}: 16 of 17 times 4 of 64 cores");
        assert_eq!(order.at("note.code").unwrap(), "capacity.none_fits");
        assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product' AND state = 'active'"), 16);
        town.assert_sound();
    });
}

#[test]
fn a_service_that_never_answers_is_taken_back_in_time() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Mute);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("inProgress"), "{engine}");
        town.gate.clock().advance(std::time::Duration::from_secs(3_600));
        town.settle(Mood::Mute);
        let order = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(order.state.as_deref(), Some("failed"));
        assert_eq!(order.at("note.code").unwrap(), "flow.step_timeout");
        town.assert_nothing_is_held();
    });
}

#[test]
fn an_order_is_cancelled_while_its_machine_is_being_made() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.engine.settle().unwrap();
        assert_eq!(town.count("SELECT COUNT(*) FROM intents WHERE desired IS NOT NULL"), 1, "{engine}");
        let request = town.cancel(2, &order.id).unwrap();
        assert_eq!(request.state.as_deref(), Some("inProgress"));
        town.engine.settle().unwrap();
        assert_eq!(
            town.read(&PRODUCT_ORDER, &order.id).state.as_deref(),
            Some("pendingCancellation"),
            "the machine may still be there"
        );
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("cancelled"));
        assert_eq!(town.read(&CANCEL_PRODUCT_ORDER, &request.id).state.as_deref(), Some("done"));
        town.assert_nothing_is_held();
    });
}

#[test]
fn an_order_is_cancelled_before_anything_began() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.cancel(2, &order.id).unwrap();
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("cancelled"), "{engine}");
        town.assert_nothing_is_held();
    });
}

#[test]
fn cancelled_at_the_last_moment_it_is_either_delivered_or_cancelled() {
    for (engine, db, _keep) in db::testing::databases() {
        let town = Town::with_clock(db, base::time::Clock::System);
        let handle = town.engine.start().unwrap();
        let orders: Vec<String> = (0..20).map(|_| town.order(2).id).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..400).for_each(|_| {
                    town.play(Mood::Willing);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                })
            });
            for order in &orders {
                let _ = town.cancel(2, order);
            }
        });
        handle.stop();
        town.settle(Mood::Willing);
        let delivered = orders.iter().filter(|order| match town.read(&PRODUCT_ORDER, order).state.as_deref() {
            Some("completed") => true,
            Some("cancelled") => false,
            other => panic!("{engine}: {other:?}"),
        });
        let delivered = i64::try_from(delivered.count()).unwrap();
        assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product'"), delivered);
        assert_eq!(town.count("SELECT COUNT(*) FROM reservations WHERE state <> 'released'"), delivered);
        town.assert_sound();
    }
}

#[test]
fn a_host_away_for_long_neither_loses_nor_doubles_an_order() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Silent);
        town.gate.clock().advance(std::time::Duration::from_secs(24 * 3_600));
        resources::work::silence(&town.gate, base::time::Timestamp::UNIX_EPOCH).unwrap();
        town.settle(Mood::Silent);
        assert_eq!(
            town.run_of(&order.id, "1").state,
            State::Unwinding,
            "{engine}: waits for the host before its core is sold again"
        );
        assert_eq!(town.count("SELECT COUNT(*) FROM reservations WHERE state = 'held'"), 1);
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("failed"));
        town.assert_nothing_is_held();
    });
}

#[test]
fn a_forgotten_order_is_begun_by_the_reconciler() {
    each_town(|engine, town| {
        let order = town.order(2);
        // As after a restore from a copy in which the runs are missing.
        town.gate
            .db()
            .write(|conn| {
                conn.execute("DELETE FROM flow_journal", &[])?;
                conn.execute("DELETE FROM flow_runs", &[])
            })
            .unwrap();
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("acknowledged"), "{engine}");
        crate::reconcile::forgotten(&town.gate).unwrap();
        crate::reconcile::forgotten(&town.gate).unwrap();
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("completed"));
        assert_eq!(town.count("SELECT COUNT(*) FROM records WHERE kind = 'product'"), 1);
    });
}

#[test]
fn a_run_that_an_operator_gives_up_fails_its_item() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.engine.settle().unwrap();
        let run = town.run_of(&order.id, "1");
        let tell = durable::Fact::FlowGivenUp(durable::About {
            run: run.id,
            id: run.id.to_string(),
            flow: run.flow,
            subject: run.subject,
            revision: 1,
        });
        town.gate
            .perform(&commerce::testing::manager(), "service.reconcile", gate::Effect::Change, [0; 32], move |tx| {
                crate::fulfilment::ended(tx, &tell)
            })
            .unwrap();
        let order = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(
            (order.state.as_deref(), order.at("note.code").unwrap().as_str()),
            (Some("failed"), Some("flow.given_up")),
            "{engine}"
        );
    });
}

#[test]
fn an_order_whose_run_is_stuck_says_so_once_and_stays_open() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.engine.settle().unwrap();
        let run = town.run_of(&order.id, "1");
        let about =
            durable::About { run: run.id, id: run.id.to_string(), flow: run.flow, subject: run.subject, revision: 1 };
        for _ in 0..2 {
            let about = about.clone();
            town.gate
                .perform(&commerce::testing::manager(), "service.reconcile", gate::Effect::Change, [0; 32], move |tx| {
                    crate::fulfilment::stuck(tx, &about)
                })
                .unwrap();
        }
        let held = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(held.state.as_deref(), Some("inProgress"), "{engine}");
        let notes = held.body["note"].as_array().unwrap();
        assert_eq!((notes.len(), notes[0]["code"].as_str()), (1, Some("flow.stuck")));
        assert_eq!(notes[0]["whoMustAct"], "operator");
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("completed"), "it may go on");
    });
}

#[test]
fn a_product_that_is_being_ended_stays_when_its_end_is_cancelled() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = town.services(&order.id)[0].clone();
        let ending = town.gate.run(&member(2), &TERMINATE, ServiceId { id: service.id.clone() }).unwrap();
        town.cancel(2, &ending.product_order).unwrap();
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &ending.product_order).state.as_deref(), Some("cancelled"), "{engine}");
        let product = service.at("product.id").unwrap().as_str().unwrap();
        assert_eq!(town.read(&PRODUCT, product).state.as_deref(), Some("active"));
        let runs = town.gate.db().read({
            let order = ending.product_order.clone();
            move |conn| flows::of_subject(conn, PRODUCT_ORDER.name, &order)
        });
        assert_eq!(runs.unwrap()[0].state, State::Undone);
    });
}
