//! Random histories: orders, faults, lies, and an agent that dies at any write.

use proptest::prelude::*;

use super::*;

/// What may happen to a host and its agent.
#[derive(Clone, Debug)]
enum Event {
    Want(usize, u8),
    Deliver(usize),
    DeliverOld(usize),
    Pass(usize),
    Watch,
    Checkpoint,
    Report { everything: bool, stored: bool, acknowledged: bool },
    Kill,
    KillAfterWrites(u32),
    EndRun(usize, u8),
    PowerCut,
    Away(bool),
    Advance(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0..3_usize;
    prop_oneof![
        4 => (n.clone(), 0..6_u8).prop_map(|(n, what)| Event::Want(n, what)),
        4 => n.clone().prop_map(Event::Deliver),
        1 => n.clone().prop_map(Event::DeliverOld),
        8 => n.clone().prop_map(Event::Pass),
        3 => Just(Event::Watch),
        1 => Just(Event::Checkpoint),
        2 => any::<(bool, bool, bool)>().prop_map(|(everything, stored, acknowledged)| Event::Report { everything, stored, acknowledged }),
        2 => Just(Event::Kill),
        1 => (0..4_u32).prop_map(Event::KillAfterWrites),
        2 => (n, 0..4_u8).prop_map(|(n, how)| Event::EndRun(n, how)),
        1 => Just(Event::PowerCut),
        1 => any::<bool>().prop_map(Event::Away),
        4 => (1..20_000_u16).prop_map(Event::Advance),
    ]
}

fn happen(sim: &mut Sim, old: &mut HashMap<IntentId, Vec<Intent>>, event: Event) {
    match event {
        Event::Want(n, what) => {
            let desired = match what {
                0 | 1 => running(64),
                2 => Desired::Machine(Box::new(machine(64, Power::Stopped))),
                3 => running(128),
                4 => {
                    let mut spec = machine(64, Power::Running);
                    spec.reboot_token = Some(format!("{}", sim.intents.get(&id(n)).map_or(0, |i| i.generation)));
                    Desired::Machine(Box::new(spec))
                }
                _ => Desired::Absent,
            };
            let intent = sim.want(&id(n), desired);
            old.entry(id(n)).or_default().push(intent);
        }
        Event::Deliver(n) => {
            if let Some(intent) = sim.intents.get(&id(n)).cloned() {
                sim.deliver(vec![intent], false);
            }
        }
        Event::DeliverOld(n) => {
            if let Some(intent) = old.get(&id(n)).and_then(|all| all.first()).cloned() {
                sim.deliver(vec![intent], false);
            }
        }
        Event::Pass(n) => sim.pass(&id(n)),
        Event::Watch => sim.watch(),
        Event::Checkpoint => drop(sim.book().checkpoint()),
        Event::Report { everything, stored, acknowledged } => sim.report(everything, stored, acknowledged),
        Event::Kill => sim.restart_agent(),
        Event::KillAfterWrites(writes) => {
            sim.book().crash_after(writes);
            for n in 0..3 {
                sim.pass(&id(n));
            }
            sim.restart_agent();
        }
        Event::EndRun(n, how) => {
            let how = [Stopped::Shutdown, Stopped::Destroyed, Stopped::Crashed, Stopped::Unknown][usize::from(how)];
            sim.hypervisor.end_run(&id(n), how);
        }
        Event::PowerCut => sim.hypervisor.end_all_runs(),
        Event::Away(away) => sim.hypervisor.set_answering(!away),
        Event::Advance(ms) => sim.clock.advance(Duration::from_millis(u64::from(ms))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is ordered, in whatever order it arrives, whatever the hypervisor does and whenever the
    /// agent dies: in the end the host is as wanted, and the lives add up.
    #[test]
    fn every_history_ends_as_wanted(
        seed in any::<u64>(),
        fail in 0..200_u16,
        uncertain_done in 0..200_u16,
        uncertain_late in 0..200_u16,
        lie in 0..100_u16,
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut sim = Sim::new("prop");
        sim.hypervisor.set_faults(Faults { seed, fail, uncertain_done, uncertain_late, lie, ..Faults::default() });
        let mut old = HashMap::new();
        for event in events {
            happen(&mut sim, &mut old, event);
        }
        sim.calm();
        sim.audit();
    }
}
