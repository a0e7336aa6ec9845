//! Stories of one host, told without threads or real time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod random;
mod sim;
mod tasks;
mod threads;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Error, Result};

use super::book::Book;
use super::pass::pass;
use super::*;
use crate::hypervisor::memory::{Faults, Memory, Outcome, Verb};
use crate::hypervisor::{Hypervisor, Stopped, spec_digest};
use crate::moment::HostClock;
use crate::wire::{
    Check, CloudInit, Desired, DiskSource, DiskSpec, Intent, IntentId, Life, MachineSpec, MachineState, Observation,
    PROTOCOL, Power,
};

use sim::Sim;

fn machine(memory_mib: u64, power: Power) -> MachineSpec {
    MachineSpec {
        name: "web".into(),
        vcpus: 1,
        memory_mib,
        disks: vec![DiskSpec { name: "data".into(), size_mib: 8, source: DiskSource::Blank { filesystem: None } }],
        networks: vec![],
        cloud_init: CloudInit::default(),
        power,
        reboot_token: None,
        check: None,
    }
}

fn id(n: usize) -> IntentId {
    format!("m{n}").parse().unwrap()
}

fn running(memory_mib: u64) -> Desired {
    Desired::Machine(Box::new(machine(memory_mib, Power::Running)))
}

#[test]
fn an_ordered_machine_runs_and_a_withdrawn_one_is_gone() {
    let mut sim = Sim::new("order");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].state, MachineState::Running);
    assert!(sim.states[&id(1)].converged);
    sim.order(&id(1), Desired::Absent);
    sim.run_for(2);
    sim.audit();
    let life = &sim.stored[&id(1)][&1];
    assert_eq!(life.end.as_ref().unwrap().reason, "removed");
    assert_eq!(life.ran_ms, 2_000);
}

#[test]
fn a_late_create_never_follows_a_destroy() {
    let mut sim = Sim::new("late");
    let create = sim.want(&id(1), running(64));
    let destroy = sim.want(&id(1), Desired::Absent);
    sim.deliver(vec![destroy], false);
    sim.run_for(1);
    sim.deliver(vec![create.clone()], false);
    sim.run_for(1);
    sim.restart_agent();
    sim.deliver(vec![create], false);
    sim.run_for(1);
    assert!(sim.hypervisor.truth().is_empty());
    sim.audit();
}

#[test]
fn a_create_that_took_effect_after_its_time_out_is_cleared_away() {
    let mut sim = Sim::new("clear");
    sim.hypervisor.script(&id(1), Verb::Prepare, Outcome::UncertainLate);
    sim.order(&id(1), running(64));
    sim.pass(&id(1));
    sim.order(&id(1), Desired::Absent);
    sim.run_for(1);
    sim.hypervisor.settle();
    sim.run_for(10);
    sim.audit();
}

#[test]
fn a_start_that_timed_out_is_looked_at_and_not_repeated() {
    let mut sim = Sim::new("uncertain");
    sim.hypervisor.script(&id(1), Verb::Start, Outcome::UncertainDone);
    sim.order(&id(1), running(64));
    sim.run_for(3);
    sim.audit();
    assert_eq!(sim.stored[&id(1)].len(), 1, "one life, not two");
}

#[test]
fn what_can_never_be_made_is_said_once_and_cleared_by_the_next_generation() {
    let mut sim = Sim::new("refused");
    sim.hypervisor.script(&id(1), Verb::Prepare, Outcome::Refuse);
    sim.order(&id(1), running(64));
    sim.run_for(5);
    let seen = &sim.states[&id(1)];
    assert_eq!(seen.state, MachineState::Failed);
    assert!(!seen.problem.as_ref().unwrap().retrying);
    assert!(sim.hypervisor.truth().is_empty());
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.audit();
}

#[test]
fn a_specification_out_of_bounds_is_refused_without_asking_the_hypervisor() {
    let mut sim = Sim::new("bounds");
    sim.order(&id(1), running(1));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.out_of_bounds");
    assert!(sim.hypervisor.truth().is_empty());
}

#[test]
fn a_reboot_token_reboots_once_even_over_a_crash() {
    let mut sim = Sim::new("reboot");
    sim.order(&id(1), running(64));
    sim.run_for(3);
    let mut spec = machine(64, Power::Running);
    spec.reboot_token = Some("again".into());
    sim.order(&id(1), Desired::Machine(Box::new(spec)));
    // The stop works, and the agent dies before it can note it.
    sim.book().about_to_stop(&id(1)).unwrap();
    sim.hypervisor.stop(&id(1), Duration::ZERO).unwrap();
    sim.restart_agent();
    sim.run_for(5);
    sim.restart_agent();
    sim.deliver_all();
    sim.run_for(5);
    assert_eq!(sim.stored[&id(1)].len(), 2, "one reboot: {:?}", sim.stored[&id(1)]);
    assert_eq!(sim.states[&id(1)].reboot_token.as_deref(), Some("again"));
    sim.audit();
}

#[test]
fn a_guest_that_shuts_itself_down_stays_down_until_asked_again() {
    let mut sim = Sim::new("inside");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.hypervisor.end_run(&id(1), Stopped::Shutdown);
    sim.run_for(5);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.shut_down_inside");
    sim.audit();
    sim.order(&id(1), running(64));
    sim.run_for(2);
    assert!(sim.states[&id(1)].converged);
    sim.audit();
}

#[test]
fn a_machine_that_dies_is_started_again_with_growing_pauses() {
    let mut sim = Sim::new("crash");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    let mut starts = Vec::new();
    for second in 0..60 {
        sim.hypervisor.end_run(&id(1), Stopped::Crashed);
        sim.run_for(1);
        if sim.hypervisor.truth()[0].lives() {
            starts.push(second);
        }
    }
    assert!((5..30).contains(&starts.len()), "{starts:?}");
    let gaps: Vec<i32> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.last().unwrap() >= gaps.first().unwrap(), "{gaps:?}");
    sim.calm();
    sim.audit();
}

#[test]
fn machines_that_nobody_ordered_are_reported_and_left_alone() {
    let mut sim = Sim::new("orphan");
    sim.hypervisor.plant(&id(9), 3, &machine(64, Power::Running));
    sim.deliver_all();
    sim.run_for(3);
    let (_, orphans) = sim.book().news(true);
    let orphans = orphans.unwrap();
    assert_eq!((orphans.len(), orphans[0].id.clone(), orphans[0].generation), (1, id(9), 3));
    assert!(sim.hypervisor.truth()[0].lives());
    // The server decides: it must go.
    sim.intents.insert(id(9), Intent { id: id(9), generation: 4, desired: Desired::Absent, lives_known: 0 });
    sim.deliver_all();
    sim.run_for(3);
    assert!(sim.hypervisor.truth().is_empty());
}

#[test]
fn a_server_that_forgot_a_machine_does_not_lose_it() {
    let mut sim = Sim::new("forgot");
    sim.order(&id(1), running(64));
    sim.run_for(3);
    let remembered = sim.intents.remove(&id(1)).unwrap();
    sim.deliver_all();
    sim.run_for(5);
    assert!(sim.hypervisor.truth()[0].lives());
    let (observations, orphans) = sim.book().news(true);
    assert!(observations.is_empty());
    assert_eq!(orphans.unwrap()[0].id, id(1));
    // It remembers, at an older generation than the host holds: nothing is undone, and it hears of ours.
    sim.order(&id(1), running(64));
    sim.intents.insert(id(1), remembered.clone());
    sim.deliver(vec![remembered], false);
    let (observations, _) = sim.book().news(false);
    assert_eq!(observations.len(), 1);
}

#[test]
fn a_generation_used_twice_is_named_as_the_servers_mistake() {
    let mut sim = Sim::new("reused");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.deliver(vec![Intent { id: id(1), generation: 1, desired: Desired::Absent, lives_known: 0 }], false);
    sim.run_for(2);
    assert!(sim.hypervisor.truth()[0].lives());
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "intent.generation_reused");
    assert!(!sim.states[&id(1)].converged);
}

#[test]
fn a_life_whose_end_nobody_saw_says_so() {
    let mut sim = Sim::new("unseen");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book().checkpoint().unwrap();
    sim.book = None;
    sim.clock.advance(Duration::from_secs(600));
    sim.hypervisor.end_run(&id(1), Stopped::Unknown);
    sim.clock.advance(Duration::from_secs(600));
    sim.restart_agent();
    sim.run_for(3);
    let life = &sim.stored[&id(1)][&1];
    let end = life.end.as_ref().unwrap();
    assert!(!end.certain);
    assert!((9_000..=10_000).contains(&life.ran_ms), "only what was seen is certain: {life:?}");
    assert!(end.at.duration_since(life.last_seen_at).as_secs() >= 1_200);
    assert_eq!(sim.stored[&id(1)].len(), 2, "and it runs again");
    sim.audit();
}

#[test]
fn an_agent_that_was_away_claims_the_time_it_can_prove() {
    let mut sim = Sim::new("away");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book = None;
    sim.clock.advance(Duration::from_secs(600));
    sim.restart_agent();
    sim.run_for(1);
    let life = &sim.stored[&id(1)][&1];
    assert!(life.started_certain && life.ran_ms >= 610_000, "the same run went on: {life:?}");
    assert_eq!(sim.stored[&id(1)].len(), 1);
}

#[test]
fn an_agent_that_lost_its_memory_tells_no_time_twice() {
    let mut sim = Sim::new("amnesia");
    sim.order(&id(1), running(64));
    sim.run_for(10);
    sim.book = None;
    std::fs::remove_file(sim.dir.join("agent.db")).unwrap();
    for suffix in ["wal", "shm"] {
        let _ = std::fs::remove_file(sim.dir.join(format!("agent.db-{suffix}")));
    }
    sim.clock.advance(Duration::from_secs(5));
    sim.restart_agent();
    let intent = sim.intents.get_mut(&id(1)).unwrap();
    intent.lives_known = 1;
    sim.deliver_all();
    sim.run_for(5);
    let lives = &sim.stored[&id(1)];
    assert_eq!(lives.len(), 2);
    assert!(lives[&1].last_seen_at <= lives[&2].started_at, "{lives:?}");
    assert!(!lives[&2].started_certain && lives[&2].ran_ms <= 5_000, "{lives:?}");
    assert!(sim.states[&id(1)].converged, "what it says now is newer than what it said before");
}

#[test]
fn a_long_absence_is_told_in_portions() {
    let mut sim = Sim::new("portions");
    sim.order(&id(1), running(64));
    for _ in 0..250 {
        sim.run_agent_alone(1);
        // Not so young that it would be left down for a while.
        sim.clock.advance(Duration::from_secs(120));
        sim.run_agent_alone(1);
        sim.hypervisor.end_run(&id(1), Stopped::Destroyed);
    }
    sim.run_agent_alone(1);
    for _ in 0..3 {
        let (observations, _) = sim.book().news(false);
        assert!(observations.iter().all(|seen| seen.lives.len() <= 100));
        sim.report(false, true, true);
    }
    assert_eq!(sim.stored[&id(1)].len(), 251);
    assert!(!sim.book().has_news());
    sim.calm();
    sim.audit();
}

#[test]
fn a_machine_that_just_runs_is_told_again_with_its_time() {
    let mut sim = Sim::new("heartbeat");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    let before = sim.stored[&id(1)][&1].ran_ms;
    sim.run_for(30);
    assert!(sim.stored[&id(1)][&1].ran_ms >= before + 29_000);
}

#[test]
fn a_clock_that_is_set_back_shortens_no_life() {
    let clock = HostClock::fixed("2026-01-01T00:00:00Z".parse().unwrap(), "b");
    let mut now = clock.now();
    let mut record =
        super::record::Record::new(Intent { id: id(1), generation: 1, desired: running(64), lives_known: 0 }, &now);
    let hypervisor = Memory::new(clock);
    hypervisor.plant(&id(1), 1, &machine(64, Power::Running));
    let found = hypervisor.truth().remove(0);
    record.observe(Some(&found), &now, false);
    now.steady_ms += 50_000;
    now.wall = "2025-12-31T00:00:00Z".parse().unwrap();
    record.observe(Some(&found), &now, false);
    let life = record.lives().remove(0);
    assert_eq!(life.ran_ms, 50_000);
    assert!(life.last_seen_at >= life.started_at);
}

#[test]
fn a_change_of_size_waits_for_a_restart_and_says_so() {
    let mut sim = Sim::new("resize");
    sim.order(&id(1), running(64));
    sim.run_for(2);
    sim.order(&id(1), running(128));
    sim.run_for(2);
    assert_eq!(sim.states[&id(1)].problem.as_ref().unwrap().code, "machine.restart_needed");
    let mut bigger = machine(128, Power::Running);
    bigger.reboot_token = Some("1".into());
    sim.order(&id(1), Desired::Machine(Box::new(bigger)));
    sim.run_for(3);
    assert_eq!(sim.stored[&id(1)][&2].memory_mib, 128);
    sim.audit();
}

#[test]
fn the_check_tells_when_the_machine_first_answered() {
    let mut sim = Sim::new("check");
    sim.hypervisor.set_boot_time(Duration::from_secs(2));
    let mut spec = machine(64, Power::Running);
    spec.check = Some(Check::Http { port: 80, path: "/".into(), tell: None });
    sim.order(&id(1), Desired::Machine(Box::new(spec)));
    sim.pass(&id(1));
    for _ in 0..50 {
        let probe = sim.book().probe(&id(1)).unwrap();
        let answer = sim.hypervisor.check(&id(1), &probe.spec, probe.patience);
        sim.book().checked(&id(1), probe.life, answer).unwrap();
        sim.clock.advance(Duration::from_millis(100));
    }
    sim.report(false, true, true);
    let check = sim.states[&id(1)].check.clone().unwrap();
    assert!(check.ok);
    assert_eq!(check.boot_ms, Some(2_000));
}

#[test]
fn a_second_agent_on_the_same_data_is_turned_away() {
    let sim = Sim::new("second");
    let error = Store::open(&sim.dir.join("agent.db")).err().expect("refused");
    assert_eq!(error.code(), "agent.already_running");
}
