use std::time::Duration;

use base::Kind;
use drivers::wire::{Desired, Life, LifeEnd, Orphan};
use proptest::prelude::*;

use crate::intents::IntentRef;
use crate::{IntentId, capacity, console, orphans, work};

use super::*;

fn life(seq: u64, at: Timestamp, ran_ms: u64) -> Life {
    Life {
        seq,
        started_at: at,
        started_certain: true,
        last_seen_at: at,
        ran_ms,
        end: None,
        vcpus: 2,
        memory_mib: 1_024,
    }
}

fn running(house: &House, id: &str, generation: u64, revision: u64) -> Observation {
    seen(id, generation, revision, MachineState::Running, house.gate.now())
}

fn lives(house: &House, id: &'static str) -> Vec<Life> {
    house.gate.db().read(move |conn| intents::lives(conn, id)).unwrap()
}

#[test]
fn a_machine_is_wanted_runs_is_wanted_away_and_is_freed() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        assert_eq!(house.order("m1"), host);
        let asked = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap();
        assert!(asked.full && matches!(asked.intents[0].desired, Desired::Machine(_)), "{}", house.engine);
        house.report(&guest, vec![running(&house, "m1", 1, 1)]);
        let intent = house.intent("m1");
        assert!(intent.is_running() && intent.answers() && !intent.is_gone());
        let state = |house: &House| house.tx(|tx| capacity::of(tx, "m1")).unwrap().unwrap().state;
        assert_eq!(state(&house), capacity::State::InUse);
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        let asked = wait(house.door.intents(&guest, asked.cursor, Duration::ZERO)).unwrap();
        assert!(!asked.full && asked.intents[0].desired == Desired::Absent && asked.intents[0].generation == 2);
        // Its absence at the generation that wanted it there is no news of the other.
        house.report(&guest, vec![seen("m1", 1, 2, MachineState::Absent, house.gate.now())]);
        assert_eq!(state(&house), capacity::State::InUse);
        house.report(&guest, vec![seen("m1", 2, 3, MachineState::Absent, house.gate.now())]);
        assert_eq!((state(&house), house.free(host)), (capacity::State::Released, [16, 16_384, 100_000]));
        assert!(house.intent("m1").is_gone());
        assert!(house.facts().iter().any(|fact| fact == "MachineFreed"));
        // What was freed stays freed, and is no orphan for saying so again.
        assert!(house.report(&guest, vec![seen("m1", 2, 4, MachineState::Absent, house.gate.now())]).is_empty());
        house.assert_sound();
    });
}

#[test]
fn a_report_that_all_is_as_it_was_is_no_entry_on_the_log() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        let logged = || -> i64 {
            let sql = "SELECT COUNT(*) FROM audit_entries WHERE action = 'agent.observe'";
            house.gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get(0))).unwrap()
        };
        let older = |revision: u64, ran_ms: u64| {
            let mut seen = running(&house, "m1", 1, revision);
            seen.lives.push(life(1, house.gate.now(), ran_ms));
            house.report(&guest, vec![seen]);
        };
        older(1, 1_000);
        let first = logged();
        assert!(first > 0, "{}: that it runs is news", house.engine);
        older(2, 2_000);
        house.report(&guest, vec![]);
        assert_eq!((logged(), lives(&house, "m1")[0].ran_ms), (first, 2_000), "{}", house.engine);
        house.report(&guest, vec![seen("m1", 1, 3, MachineState::Crashed, house.gate.now())]);
        assert_eq!(logged(), first + 1, "{}", house.engine);
    });
}

#[test]
fn an_agent_cannot_speak_about_another_hosts_machine() {
    each_engine(|house| {
        let (first, guest_of_first) = house.host("h1");
        let (_, guest_of_second) = house.host("h2");
        let on = house.order("m1");
        let (owner, stranger) =
            if on == first { (guest_of_first, guest_of_second) } else { (guest_of_second, guest_of_first) };
        let mut lie = running(&house, "m1", 1, 9);
        lie.lives.push(life(1, house.gate.now(), 1_000));
        assert_eq!(house.report(&stranger, vec![lie, running(&house, "nowhere", 1, 1)]), ["m1", "nowhere"]);
        assert_eq!(house.intent("m1").observed, None);
        assert!(lives(&house, "m1").is_empty());
        assert!(wait(house.door.intents(&stranger, 0, Duration::ZERO)).unwrap().intents.is_empty());
        let tail = |request: &str| drivers::wire::ConsoleTail {
            id: "m1".parse().unwrap(),
            request: request.to_owned(),
            captured_at: house.gate.now(),
            text: "secret".into(),
            truncated: false,
            problem: None,
        };
        let customer = gate::testing::somebody(CUSTOMER);
        let id: IntentId = "m1".parse().unwrap();
        let asked = house
            .gate
            .run(&customer, &console::REQUEST, console::AskConsole { id: id.clone(), bytes: Some(64) })
            .unwrap();
        assert_eq!(wait(house.door.console(&stranger, tail(&asked.request))).unwrap_err().kind(), Kind::NotFound);
        // The owner may, once, for the request that is open.
        wait(house.door.console(&owner, tail("another"))).unwrap();
        assert!(!house.gate.run(&customer, &console::GET, IntentRef { id: id.clone() }).unwrap().answered);
        let offered = wait(house.door.intents(&owner, 0, Duration::ZERO)).unwrap();
        assert_eq!(offered.console_requests[0].request, asked.request);
        wait(house.door.console(&owner, tail(&asked.request))).unwrap();
        let read = house.gate.run(&customer, &console::GET, IntentRef { id: id.clone() }).unwrap();
        assert_eq!((read.answered, read.text.as_str()), (true, "secret"));
        // Another tenant does not learn that there is such a machine.
        let other = gate::testing::somebody(TenantId(3));
        assert_eq!(house.gate.run(&other, &console::GET, IntentRef { id }).unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn replayed_and_stale_observations_change_nothing() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        house.report(&guest, vec![running(&house, "m1", 1, 5)]);
        let before = (house.intent("m1"), house.facts().len());
        for (revision, state) in [(5, MachineState::Failed), (4, MachineState::Absent), (1, MachineState::Stopped)] {
            house.report(&guest, vec![seen("m1", 1, revision, state, house.gate.now())]);
        }
        assert_eq!((house.intent("m1"), house.facts().len()), before, "{}", house.engine);
        // The server was restored from a copy: it goes above what the agent holds, and says it all again.
        let cursor = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap().cursor;
        house.report(&guest, vec![running(&house, "m1", 7, 6)]);
        assert_eq!(house.intent("m1").generation, 8);
        assert!(!house.intent("m1").is_running(), "what was seen is of a generation that nobody wanted");
        assert_eq!(wait(house.door.intents(&guest, cursor, Duration::ZERO)).unwrap().intents[0].generation, 8);
        // A cursor from a future that was lost is answered with everything.
        assert!(wait(house.door.intents(&guest, u64::MAX, Duration::ZERO)).unwrap().full);
        assert!(wait(house.door.intents(&guest, cursor + 1_000_000_000, Duration::ZERO)).unwrap().full);
    });
}

#[test]
fn a_machine_that_was_removed_in_a_lost_time_is_not_made_again_unasked() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        house.report(&guest, vec![running(&house, "m1", 1, 5)]);
        // We were restored from a copy: its host had been told to remove it, and has.
        house.report(&guest, vec![seen("m1", 2, 9, MachineState::Absent, house.gate.now())]);
        let now = house.intent("m1");
        assert_eq!(now.failure().map(|problem| problem.code.as_str()), Some(crate::intents::WITHHELD));
        assert_eq!(now.freed_at, None, "what it holds is kept for whoever restores it");
        let all = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap();
        assert!(all.full && all.intents.is_empty(), "{}: {:?}", house.engine, all.intents);
        // Nobody starts an empty one by accident.
        let started = house.tx(|tx| intents::power(tx, &"m1".parse().unwrap(), drivers::wire::Power::Stopped));
        assert_eq!(started.unwrap_err().code(), crate::intents::WITHHELD);
        // Whoever ends the service has it freed.
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        let told = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap().intents;
        let wanted = told.first().map(|intent| (intent.generation, intent.desired.clone()));
        assert!(matches!(wanted, Some((_, Desired::Absent))), "{}: {told:?}", house.engine);
        let generation = wanted.unwrap().0;
        assert!(generation > 2, "above what its host has seen, so that it answers");
        house.report(&guest, vec![seen("m1", generation, 10, MachineState::Absent, house.gate.now())]);
        assert!(house.intent("m1").is_gone(), "{}", house.engine);
    });
}

#[test]
fn a_machine_that_switched_itself_off_is_started_by_wanting_it_to_run_again() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        let start = |house: &House| {
            house.tx(|tx| intents::power(tx, &"m1".parse().unwrap(), drivers::wire::Power::Running)).unwrap();
            house.intent("m1").generation
        };
        house.report(&guest, vec![running(&house, "m1", 1, 5)]);
        assert_eq!(start(&house), 1, "{}: it runs", house.engine);
        let mut off = seen("m1", 1, 6, MachineState::Stopped, house.gate.now());
        let problem = drivers::wire::Problem {
            code: drivers::wire::SHUT_DOWN_INSIDE.into(),
            message: "it was shut down from inside".into(),
            retrying: false,
        };
        (off.converged, off.problem) = (false, Some(problem));
        house.report(&guest, vec![off]);
        assert_eq!(start(&house), 2, "{}", house.engine);
        assert_eq!(start(&house), 2, "{}: once", house.engine);
    });
}

#[test]
fn lives_are_merged_however_often_and_in_whatever_order_they_are_told() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        house.gate.clock().advance(Duration::from_secs(600));
        let start = house.gate.now();
        let end = LifeEnd { at: start + Duration::from_secs(90), certain: true, reason: "stopped".into() };
        let told = [
            life(1, start, 30_000),
            life(1, start, 60_000),
            Life { end: Some(end.clone()), ..life(1, start, 90_000) },
            life(2, start, 1_000),
        ];
        for (revision, order) in [[2, 0, 1, 3], [0, 1, 2, 3], [3, 2, 1, 0]].into_iter().enumerate() {
            let mut observation = running(&house, "m1", 1, revision as u64 + 1);
            observation.lives = order.into_iter().map(|n: usize| told[n].clone()).collect();
            house.report(&guest, vec![observation]);
            let lives = lives(&house, "m1");
            assert_eq!(
                (lives.len(), lives[0].ran_ms, lives[0].end.as_ref(), lives[1].ran_ms),
                (2, 90_000, Some(&end), 1_000),
                "{}",
                house.engine
            );
        }
    });
}

#[test]
fn a_life_cannot_be_longer_than_its_machine_was_wanted() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        house.gate.clock().advance(Duration::from_secs(100));
        let mut lie = running(&house, "m1", 1, 1);
        lie.lives = vec![
            life(1, house.gate.now(), u64::MAX),
            life(0, house.gate.now(), 1),
            life(u64::MAX, house.gate.now(), 1),
        ];
        house.report(&guest, vec![lie]);
        let kept = lives(&house, "m1");
        assert_eq!((kept.len(), kept[0].ran_ms), (1, 160_000), "{}", house.engine);
    });
}

#[test]
fn a_hostile_agent_cannot_multiply_or_enlarge_lives() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        house.gate.clock().advance(Duration::from_secs(100));
        let mut lie = running(&house, "m1", 1, 1);
        let huge = Life { vcpus: u32::MAX, memory_mib: u64::MAX, ..life(1, house.gate.now(), 100_000) };
        lie.lives = vec![huge, life(2, house.gate.now(), 100_000), life(3, house.gate.now(), 100_000)];
        lie.lives.push(life(100_000, house.gate.now(), 1));
        house.report(&guest, vec![lie]);
        let kept = lives(&house, "m1");
        assert_eq!(kept.iter().map(|life| life.ran_ms).sum::<u64>(), 160_000, "{}", house.engine);
        assert_eq!(kept.iter().map(|life| life.seq).collect::<Vec<_>>(), [1, 2, 3]);
        let wanted = spec("m1");
        assert!(kept.iter().all(|life| life.vcpus <= wanted.vcpus && life.memory_mib <= wanted.memory_mib));
    });
}

#[test]
fn a_hostile_agent_cannot_use_up_the_generations() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        house.order("m1");
        let orphan = Orphan {
            id: "m9".parse().unwrap(),
            generation: u64::MAX,
            domain: "yw-m9".into(),
            power: Power::Running,
            vcpus: 1,
            memory_mib: 64,
        };
        let report = |observations, orphans| Report {
            protocol: PROTOCOL,
            sent_at: house.gate.now(),
            host: None,
            observations,
            orphans,
            tasks: vec![],
        };
        let far = i64::MAX.unsigned_abs() - 1;
        for lie in [report(vec![running(&house, "m1", far, 1)], None), report(vec![], Some(vec![orphan]))] {
            let refused = wait(house.door.observe(&guest, lie)).unwrap_err();
            assert_eq!(refused.code(), "observation.generation", "{}", house.engine);
        }
        // Its host can still be rid of it.
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        assert_eq!(house.intent("m1").generation, 2);
        let retire = hosts::RetireHost { id: host, machines_are_gone: true };
        house.gate.run(&staff(), &hosts::RETIRE, retire).unwrap();
    });
}

#[test]
fn a_host_that_falls_silent_is_shown_as_unknown_until_it_returns() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        house.order("m1");
        house.report(&guest, vec![running(&house, "m1", 1, 1)]);
        let began = house.gate.now();
        house.gate.clock().advance(Duration::from_secs(80));
        work::silence(&house.gate, began).unwrap();
        assert_eq!(house.intent("m1").state(), MachineState::Running);
        house.gate.clock().advance(Duration::from_secs(20));
        // A server that has just come up has not listened for long enough to say.
        work::silence(&house.gate, house.gate.now()).unwrap();
        assert_eq!(house.intent("m1").state(), MachineState::Running);
        work::silence(&house.gate, began).unwrap();
        assert_eq!(house.intent("m1").state(), MachineState::Unknown);
        let status = |house: &House| {
            let sql = "SELECT r.state FROM records r JOIN intents i ON i.resource = r.id WHERE i.id = 'm1'";
            house.gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get::<String>(0))).unwrap()
        };
        assert_eq!(status(&house), "unknown");
        assert_eq!(house.reserve("m2", Demand::of([1, 1, 1])).unwrap_err().code(), "capacity.none_fits");
        let shown = house.gate.run(&staff(), &hosts::GET, hosts::HostRef { id: host }).unwrap();
        assert!(shown.attention.iter().any(|one| one.code == "host.silent"));
        // An empty report is a sign of life too, by a clock that is wrong.
        let report = Report {
            protocol: PROTOCOL,
            sent_at: house.gate.now() + Duration::from_secs(3_600),
            host: None,
            observations: vec![],
            orphans: None,
            tasks: vec![],
        };
        let (_, silent) = (host, Guest { reachable: false, ..guest });
        wait(house.door.observe(&silent, report)).unwrap();
        assert_eq!(house.intent("m1").state(), MachineState::Running);
        assert_eq!(status(&house), "available");
        let shown = house.gate.run(&staff(), &hosts::GET, hosts::HostRef { id: host }).unwrap();
        assert_eq!((shown.host.clock_ahead_ms, shown.host.reachable), (3_600_000, true));
        assert!(shown.attention.iter().any(|one| one.code == "host.clock"));
        let facts = house.facts();
        assert_eq!(
            facts.iter().filter(|fact| *fact == "HostSilent" || *fact == "HostReturned").count(),
            2,
            "{}",
            house.engine
        );
    });
}

#[test]
fn an_orphan_is_listed_and_adopted_or_removed_by_a_person() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        let orphan = |id: &str| Orphan {
            id: id.parse().unwrap(),
            generation: 4,
            domain: format!("yw-{id}"),
            power: Power::Running,
            vcpus: 2,
            memory_mib: 1_024,
        };
        let report = |ids: &[&str]| {
            let orphans = Some(ids.iter().map(|id| orphan(id)).collect());
            let report = Report {
                protocol: PROTOCOL,
                sent_at: house.gate.now(),
                host: None,
                observations: vec![],
                orphans,
                tasks: vec![],
            };
            wait(house.door.observe(&guest, report)).unwrap();
        };
        report(&["lost", "stray"]);
        report(&["lost", "stray"]);
        let list = || house.gate.run(&staff(), &orphans::LIST, Default::default()).unwrap().items.len();
        assert_eq!((list(), house.facts().iter().filter(|fact| *fact == "OrphansObserved").count()), (2, 1));
        let adopt = orphans::AdoptOrphan {
            host,
            id: "lost".parse().unwrap(),
            tenant: CUSTOMER,
            service: "svc".into(),
            specification: spec("lost"),
        };
        house.gate.run(&staff(), &orphans::ADOPT, adopt).unwrap();
        house
            .gate
            .run(&staff(), &orphans::REMOVE, orphans::RemoveOrphan { host, id: "stray".parse().unwrap() })
            .unwrap();
        assert_eq!((list(), house.free(host)[0]), (0, 14), "{}", house.engine);
        let wanted = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap().intents;
        assert!(wanted.iter().all(|intent| intent.generation == 5) && wanted.len() == 2);
        house.report(
            &guest,
            vec![running(&house, "lost", 5, 1), seen("stray", 5, 1, MachineState::Absent, house.gate.now())],
        );
        assert!(house.intent("lost").is_running() && house.intent("stray").is_gone());
        house.assert_sound();
    });
}

#[test]
fn a_waiting_poll_hears_at_once_and_an_idle_one_comes_home_in_time() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::System);
    let (_, guest) = house.host("h1");
    let cursor = wait(house.door.intents(&guest, 0, Duration::ZERO)).unwrap().cursor;
    let began = std::time::Instant::now();
    assert!(wait(house.door.intents(&guest, cursor, Duration::from_millis(300))).unwrap().intents.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(5));
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            let answer = wait(house.door.intents(&guest, cursor, Duration::from_secs(20))).unwrap();
            (answer, std::time::Instant::now())
        });
        std::thread::sleep(Duration::from_millis(200));
        let written = std::time::Instant::now();
        house.order("m1");
        let (answer, heard) = poll.join().unwrap();
        assert_eq!(answer.intents.len(), 1);
        assert!(heard.duration_since(written) < Duration::from_millis(900), "woken, not found by looking again");
    });
}

#[test]
fn a_report_that_is_too_large_or_speaks_another_protocol_is_refused() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap()));
    let (_, guest) = house.host("h1");
    let many: Vec<Observation> =
        (0..=base::limits::REPORT_OBSERVATIONS_MAX).map(|n| running(&house, &format!("m{n}"), 1, 1)).collect();
    let report = |protocol, observations| Report {
        protocol,
        sent_at: house.gate.now(),
        host: None,
        observations,
        orphans: None,
        tasks: vec![],
    };
    let refused = wait(house.door.observe(&guest, report(PROTOCOL, many))).unwrap_err();
    assert_eq!(refused.code(), "report.too_large");
    let refused = wait(house.door.observe(&guest, report(PROTOCOL + 1, vec![]))).unwrap_err();
    assert_eq!(refused.code(), "agent.protocol_unsupported");
}

#[test]
fn a_server_that_starts_again_tells_everything_once() {
    each_engine(|house| {
        let (_, guest) = house.host("h1");
        house.order("m1");
        let ask = |door: &Door, after| wait(door.intents(&guest, after, Duration::ZERO)).unwrap();
        let cursor = ask(&house.door, 0).cursor;
        assert!(!ask(&house.door, cursor).full);
        let again =
            Door::open(house.gate.clone(), house.door.ca().clone(), house.scratch.path().join("images")).unwrap();
        let answer = ask(&again, cursor);
        assert!(answer.full && answer.intents.len() == 1, "{}", house.engine);
        assert!(!ask(&again, answer.cursor).full);
    });
}

/// What may come from a host, in any order.
#[derive(Debug, Clone)]
enum Word {
    Says { machine: u8, generation: u64, revision: u64, state: MachineState },
    Absent(u8),
    Free(u8),
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let states = prop_oneof![
        Just(MachineState::Absent),
        Just(MachineState::Creating),
        Just(MachineState::Running),
        Just(MachineState::Failed)
    ];
    let word = prop_oneof![
        6 => (0..3u8, 1..4u64, 1..9u64, states).prop_map(|(machine, generation, revision, state)| Word::Says { machine, generation, revision, state }),
        2 => (0..3u8).prop_map(Word::Absent),
        2 => (0..3u8).prop_map(Word::Free),
    ];
    proptest::collection::vec(word, 1..25)
}

#[test]
fn whatever_agents_say_nothing_is_free_that_was_not_seen_to_be_gone() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap()));
    let (host, guest) = house.host("h1");
    let case = std::sync::atomic::AtomicU32::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&words(), |words| {
            let case = case.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let id = move |n: u8| format!("c{case}-{n}");
            let before = house.free(host)[0];
            (0..3).for_each(|n| assert_eq!(house.order(&id(n)), host));
            for word in words {
                match word {
                    Word::Says { machine, generation, revision, state } => {
                        house.report(&guest, vec![seen(&id(machine), generation, revision, state, house.gate.now())]);
                    }
                    Word::Absent(machine) => {
                        drop(house.tx(move |tx| intents::absent(tx, &id(machine).parse().unwrap())).unwrap())
                    }
                    Word::Free(machine) => drop(house.tx(move |tx| capacity::free(tx, &id(machine).parse().unwrap()))),
                }
                let freed = (0..3).filter(|n| house.intent(&id(*n)).is_gone()).count() as i64;
                prop_assert_eq!(house.free(host)[0], before - 2 * (3 - freed));
            }
            // Afterwards everything is wanted away and the agent says so.
            for n in 0..3 {
                house.tx(move |tx| intents::absent(tx, &id(n).parse().unwrap())).unwrap();
                let generation = house.intent(&id(n)).generation;
                house.report(&guest, vec![seen(&id(n), generation, 1_000, MachineState::Absent, house.gate.now())]);
            }
            prop_assert_eq!(house.free(host)[0], before);
            Ok(())
        })
        .unwrap();
    house.assert_sound();
}
