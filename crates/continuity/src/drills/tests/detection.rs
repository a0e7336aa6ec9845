//! How long a loss goes unseen: measured where that harms nobody, and never called measured elsewhere.

use drivers::wire::{Outcome, Work};

use super::*;
use crate::backups::tests::Answer;
use crate::drills::detection::{Basis, Detection};
use crate::drills::rules;
use crate::evidence::{self, verify};

/// Hosts that answer a loss so.
fn losing(say: impl Fn() -> Answer + Send + Sync + 'static) -> Behaviour {
    Behaviour::of(move |task, _, outcome| match task.work {
        Work::LoseMachine { .. } => say(),
        _ => Answer::Say(outcome),
    })
}

fn lived(house: &House, world: &World, mood: &Behaviour) {
    loop {
        house.town.engine.settle().unwrap();
        if !world.turn(house.gate(), mood) {
            return;
        }
    }
}

fn run_with(house: &House, world: &World, plan: &DrillPlan, mood: &Behaviour) -> DrillRun {
    let run = start(house, plan);
    lived(house, world, mood);
    look(house.gate(), &run)
}

#[test]
fn the_loss_of_a_machine_is_tried_on_the_drills_own_and_is_a_part_of_the_rto() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        let mood = losing(|| Answer::Say(Outcome::LossSeen { life: 1, milliseconds: 1_500 }));
        let run = run_with(&house, &world, &plan, &mood);
        assert!(passed(&run), "{engine}: {:?}", run.body.misses);
        let one = &run.body.services[0];
        assert_eq!(run.body.detection, Detection::Measured { milliseconds: Some(1_500), problem: None }, "{engine}");
        assert_eq!((one.phases[0].milliseconds, one.phases[0].basis), (Some(1_500), Basis::Measured), "{engine}");
        assert_eq!(one.machines[0].unseen_milliseconds, Some(1_500), "{engine}");
        assert_eq!(run.rto_milliseconds(), Some(31_500), "{engine}: from the incident, which nobody had seen yet");
        assert_nothing_is_left(&house);
        // The machine that serves was not touched.
        assert_eq!(house.count("SELECT COUNT(*) FROM intents WHERE standing = 'serving' AND freed_at IS NULL"), 1);
        let dead = "SELECT COUNT(*) FROM lives l JOIN intents i ON i.id = l.intent WHERE i.standing = 'serving' AND l.ended_at IS NOT NULL";
        assert_eq!(house.count(dead), 0, "{engine}");
        let file = house.gate().run(&member(CUSTOMER), &evidence::GET, DrillRef { id: run.id }).unwrap();
        assert_eq!(file.document["run"]["detection"]["basis"], "measured", "{engine}");
        assert_eq!(file.document["services"][0]["phases"][0]["basis"], "measured");
        let report = verify::verify(&serde_json::to_string(&file).unwrap(), None).unwrap();
        assert!(report.ok, "{engine}: {:?}", report.problems);
    });
}

#[test]
fn a_loss_that_was_not_seen_to_be_seen_is_a_miss() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        let unable = losing(|| Answer::Fail("task.unsupported".into()));
        // It says that we were told, and we were told of another life.
        let lying = losing(|| Answer::Say(Outcome::LossSeen { life: 7, milliseconds: 1 }));
        for (mood, why) in [(unable, "task.unsupported"), (lying, "it was not")] {
            let run = run_with(&house, &world, &plan, &mood);
            assert_eq!((run.state, codes(&run)), (State::Failed, vec![rules::LOSS_UNSEEN]), "{engine}");
            assert!(run.body.misses[0].message.contains(why), "{engine}: {}", run.body.misses[0].message);
            assert_eq!(run.rto_milliseconds(), None, "{engine}: what nobody knows is no figure");
            assert_nothing_is_left(&house);
        }
        // Everything else was right: the copy is proven all the same.
        assert!(house.count("SELECT COUNT(*) FROM recovery_copies WHERE drilled_at IS NOT NULL") > 0, "{engine}");
        let silent = losing(|| Answer::Nothing);
        let run = run_with(&house, &world, &plan, &silent);
        assert_eq!(run.state, State::Running, "{engine}: it is waited for a while");
        house.gate().clock().advance(Duration::from_secs(16 * 60));
        lived(&house, &world, &silent);
        let run = look(house.gate(), &run);
        assert_eq!((run.state, codes(&run)), (State::Failed, vec![rules::LOSS_UNSEEN]), "{engine}");
        assert_nothing_is_left(&house);
    });
}

#[test]
fn a_host_or_a_site_is_not_lost_for_a_figure_and_the_evidence_says_what_it_is_made_of() {
    each(|engine, house, world, _, _| {
        let never = || losing(|| panic!("nothing is ended"));
        let run = run_with(&house, &world, &plan(&house, terms(&house, Scenario::HostLost)), &never());
        assert!(passed(&run), "{engine}: {:?}", run.body.misses);
        let configured = Detection::Configured { silent_seconds: 90, look_seconds: 15 };
        assert_eq!(run.body.detection, configured, "{engine}");
        let detect = run.body.services[0].phases[0];
        assert_eq!((detect.milliseconds, detect.basis), (Some(105_000), Basis::Configured), "{engine}");
        assert_eq!(run.rto_milliseconds(), Some(135_000), "{engine}");
        let told = Scenario::Ransomware { unnoticed_seconds: 60 };
        let run = run_with(&house, &world, &plan(&house, terms(&house, told)), &never());
        assert_eq!((&run.body.detection, run.rto_milliseconds()), (&Detection::Told, Some(30_000)), "{engine}");
    });
}
