//! How the flows of every room are tried: fail at each step, repeat each step
//! and each undo, kill after each journal write.
//!
//! A room says how to build its house and what must be true at the end; the
//! helpers here play the bad days.

#![expect(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use base::id::RunId;
use gate::Gate;

use crate::Engine;
use crate::flows::{self, Event, State};

/// A house with one run in it, and how to judge it.
pub struct House {
    /// The engine, with a fixed clock behind its gate.
    pub engine: Engine,
    /// Makes the engine again over the same gate, as a restarted server does.
    pub restart: Box<dyn Fn(&Gate) -> Engine>,
    /// The run.
    pub run: RunId,
    /// Plays the world: does what the run waits for, if anything; says whether it did something.
    pub pump: Box<dyn FnMut(&Gate) -> bool>,
    /// Panics unless everything is as a finished run leaves it.
    pub done: Box<dyn Fn(&Gate)>,
    /// Panics unless everything is as if the run had never been.
    pub clean: Box<dyn Fn(&Gate)>,
    /// Kept alive as long as the house is: the scratch directory.
    pub keep: Box<dyn std::any::Any>,
}

impl House {
    /// The state of the run.
    pub fn state(&self) -> State {
        state(self.engine.gate(), self.run)
    }

    /// Lets everything happen that can: due work, what the world does, time that
    /// passes; until the run has ended or is stuck, or nothing happens any more.
    pub fn live(&mut self) -> State {
        for _ in 0..10_000 {
            if self.engine.settle().is_err() && self.engine.faults().is_dead() {
                return self.state();
            }
            let state = self.state();
            if state.is_final() || state == State::Stuck {
                return state;
            }
            if (self.pump)(self.engine.gate()) {
                continue;
            }
            let Some(due) = self.engine.next_due().unwrap() else { return state };
            let wait = due.duration_since(self.engine.gate().now());
            self.engine
                .gate()
                .clock()
                .advance(std::time::Duration::try_from(wait).unwrap_or_default() + std::time::Duration::from_micros(1));
        }
        panic!("the run neither ends nor rests: {:?}", self.state())
    }

    /// Ends the process that is played, and starts another over the same data.
    pub fn restart(&mut self) {
        self.engine = (self.restart)(&self.engine.gate().clone());
    }
}

/// The state of a run.
pub fn state(gate: &Gate, run: RunId) -> State {
    gate.db().read(move |conn| flows::find(conn, run)).unwrap().state
}

/// The events of a run's journal, as `step event`.
pub fn journal(gate: &Gate, run: RunId) -> Vec<String> {
    let events = gate.db().read(move |conn| flows::store::journal(conn, run)).unwrap();
    events.into_iter().map(|entry| format!("{} {}", entry.step, entry.event.word())).collect()
}

fn steps(gate: &Gate, run: RunId) -> Vec<(String, bool)> {
    gate.db()
        .read(move |conn| {
            let run = flows::find(conn, run)?;
            let body = flows::store::definition(conn, &run.flow, run.version)?.unwrap_or_default();
            Ok(flows::actions::stored(&body)?
                .steps
                .into_iter()
                .map(|step| (step.id, step.point_of_no_return))
                .collect())
        })
        .unwrap()
}

/// The steps of an undisturbed run, which must end `done`; those that were passed over are left out.
fn called_steps(build: &dyn Fn() -> House) -> (Vec<(String, bool)>, i64) {
    let mut house = build();
    house.engine.faults().kill_at(-1);
    assert_eq!(house.live(), State::Done, "undisturbed: {:?}", journal(house.engine.gate(), house.run));
    (house.done)(house.engine.gate());
    let run = house.run;
    let events = house.engine.gate().db().read(move |conn| flows::store::journal(conn, run)).unwrap();
    let skipped = |step: &str| {
        events.iter().any(|e| e.step == step && e.event == Event::Succeeded && e.detail.get("skipped").is_some())
    };
    let called = steps(house.engine.gate(), run).into_iter().filter(|(id, _)| !skipped(id)).collect();
    (called, house.engine.faults().points())
}

/// Lets each step fail in turn. Up to the point of no return the run must end
/// `undone` with a clean slate; after it, `stuck`.
pub fn fail_at_each_step(build: &dyn Fn() -> House) {
    let mut past_return = false;
    for (step, point_of_no_return) in called_steps(build).0 {
        let mut house = build();
        house.engine.faults().fail(&step);
        let ended = house.live();
        if past_return {
            assert_eq!(ended, State::Stuck, "failed at {step}: {:?}", journal(house.engine.gate(), house.run));
        } else {
            assert_eq!(ended, State::Undone, "failed at {step}: {:?}", journal(house.engine.gate(), house.run));
            (house.clean)(house.engine.gate());
        }
        past_return |= point_of_no_return;
    }
}

/// Calls every step twice: the end must be the same.
pub fn repeat_each_step(build: &dyn Fn() -> House) {
    let mut house = build();
    house.engine.faults().repeat_steps();
    assert_eq!(house.live(), State::Done, "{:?}", journal(house.engine.gate(), house.run));
    (house.done)(house.engine.gate());
}

/// Lets each step fail in turn and calls every undo twice: the slate must be as clean.
pub fn repeat_each_undo(build: &dyn Fn() -> House) {
    for (step, point_of_no_return) in called_steps(build).0 {
        let mut house = build();
        house.engine.faults().repeat_undos();
        house.engine.faults().fail(&step);
        assert_eq!(house.live(), State::Undone, "failed at {step}: {:?}", journal(house.engine.gate(), house.run));
        (house.clean)(house.engine.gate());
        if point_of_no_return {
            break;
        }
    }
}

/// Ends the process inside each journal write and after each commit: another
/// process must bring the run to the same end.
pub fn kill_after_each_journal_write(build: &dyn Fn() -> House) {
    let points = called_steps(build).1;
    assert!(points > 0, "no journal write was seen");
    for n in 1..=points {
        let mut house = build();
        house.engine.faults().kill_at(n);
        house.live();
        assert!(house.engine.faults().is_dead(), "point {n} of {points} was not reached");
        house.restart();
        assert_eq!(house.live(), State::Done, "killed at point {n}: {:?}", journal(house.engine.gate(), house.run));
        (house.done)(house.engine.gate());
    }
}

/// Kills as [`kill_after_each_journal_write`] does while a run unwinds because `step` fails.
pub fn kill_while_unwinding_from(build: &dyn Fn() -> House, step: &str) {
    let mut counted = build();
    counted.engine.faults().fail(step);
    assert_eq!(counted.live(), State::Undone);
    for n in 1..=counted.engine.faults().points() {
        let mut house = build();
        house.engine.faults().fail(step);
        house.engine.faults().kill_at(n);
        house.live();
        house.restart();
        house.engine.faults().fail(step);
        assert_eq!(house.live(), State::Undone, "killed at point {n}: {:?}", journal(house.engine.gate(), house.run));
        (house.clean)(house.engine.gate());
    }
}

/// Kills as [`kill_after_each_journal_write`] does, where whoever plays the world turns the run round: it must
/// unwind to a clean slate. Gives how many moments there were.
pub fn kill_while_somebody_turns_it_round(build: &dyn Fn() -> House) -> i64 {
    let mut counted = build();
    counted.engine.faults().kill_at(-1);
    assert_eq!(counted.live(), State::Undone, "{:?}", journal(counted.engine.gate(), counted.run));
    (counted.clean)(counted.engine.gate());
    let points = counted.engine.faults().points();
    for n in 1..=points {
        let mut house = build();
        house.engine.faults().kill_at(n);
        house.live();
        house.restart();
        assert_eq!(house.live(), State::Undone, "killed at point {n}: {:?}", journal(house.engine.gate(), house.run));
        (house.clean)(house.engine.gate());
    }
    points
}

/// A house with jobs to be done, and how to judge it.
pub struct JobHouse {
    /// The engine, with a fixed clock behind its gate.
    pub engine: Engine,
    /// Makes the engine again over the same gate, as a restarted server does.
    pub restart: Box<dyn Fn(&Gate) -> Engine>,
    /// Asks for the jobs, once more.
    pub ask: Box<dyn FnMut(&Gate)>,
    /// Panics unless everything is as jobs leave it that are done.
    pub done: Box<dyn Fn(&Gate)>,
    /// Kept alive as long as the house is: scratch directories, servers.
    pub keep: Box<dyn std::any::Any>,
}

impl JobHouse {
    /// Asks for the jobs, and does them in a process that ends at the `n`th moment; not at all for one below 1.
    fn work(&mut self, n: i64) -> base::Result<()> {
        let gate = self.engine.gate().clone();
        (self.ask)(&gate);
        self.engine = (self.restart)(&gate);
        self.engine.faults().kill_at(n);
        self.engine.settle()
    }
}

/// Ends the process at each moment of its jobs ([`crate::jobs::moment`], and before and after each job), in one
/// house after another work: another process must bring them to the same end. Gives how many moments there were.
pub fn kill_at_each_moment(mut house: JobHouse) -> i64 {
    house.work(-1).unwrap();
    (house.done)(house.engine.gate());
    let moments = house.engine.faults().points();
    assert!(moments > 2, "no job was done");
    for n in 1..=moments {
        let ended = house.work(n);
        assert!(ended.is_err() && house.engine.faults().is_dead(), "moment {n} of {moments} was not reached");
        house.engine = (house.restart)(&house.engine.gate().clone());
        house.engine.settle().unwrap();
        (house.done)(house.engine.gate());
    }
    moments
}
