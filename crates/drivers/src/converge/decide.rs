//! What to do next with one machine. Pure: what is held and what was seen in, one step out.

use std::time::Duration;

use super::record::Record;
use crate::hypervisor::{Activity, Found, Stopped};
use crate::wire::{Desired, MachineSpec, MachineState, Power, Problem, SHUT_DOWN_INSIDE};

/// One step towards what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do.
    Rest,
    Prepare,
    Start,
    Stop(Duration),
    Remove,
}

/// What is there in the words of the protocol, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub step: Step,
    pub state: MachineState,
    pub converged: bool,
    pub problem: Option<Problem>,
}

impl Verdict {
    fn act(step: Step, state: MachineState) -> Self {
        Self { step, state, converged: false, problem: None }
    }

    fn done(state: MachineState) -> Self {
        Self { step: Step::Rest, state, converged: true, problem: None }
    }

    fn stay(state: MachineState, problem: Problem) -> Self {
        Self { step: Step::Rest, state, converged: false, problem: Some(problem) }
    }
}

/// A problem that only another generation solves.
pub(super) fn lasting(code: &str, message: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), retrying: false }
}

/// The next step. `digest` is that of the wanted specification; `refused` is why the hypervisor will
/// never make this generation, if it has said so.
pub(super) fn decide(
    record: &Record,
    digest: &str,
    refused: Option<&Problem>,
    found: Option<&Found>,
    grace: Duration,
) -> Verdict {
    let spec = match &record.desired {
        Desired::Absent => {
            return match found {
                None => Verdict::done(MachineState::Absent),
                Some(_) => Verdict::act(Step::Remove, MachineState::Deleting),
            };
        }
        Desired::Unknown => {
            let message = "this version of the agent does not know this kind of resource";
            return Verdict::stay(MachineState::Failed, lasting("intent.kind_unsupported", message));
        }
        Desired::Machine(spec) => spec,
    };
    let refused = refused.cloned().or_else(|| spec.check().err().map(|e| lasting(e.code(), &e.to_string())));
    if let Some(problem) = refused {
        let state = if found.is_some_and(Found::lives) { MachineState::Running } else { MachineState::Failed };
        // Even a specification that cannot be made says whether what is there should run.
        if spec.power == Power::Stopped && state == MachineState::Running {
            return Verdict { problem: Some(problem), ..Verdict::act(Step::Stop(grace), state) };
        }
        return Verdict::stay(state, problem);
    }
    match found {
        None => Verdict::act(Step::Prepare, MachineState::Creating),
        Some(found) if !found.complete && !found.lives() => {
            let young = record.next_seq == 1;
            Verdict::act(Step::Prepare, if young { MachineState::Creating } else { MachineState::Stopped })
        }
        Some(found) => match &found.activity {
            Activity::Running { run } | Activity::Paused { run, .. } => {
                living(record, spec, found, &run.name, digest, grace)
            }
            Activity::Stopped { how } => still(record, spec, found, *how, digest),
        },
    }
}

/// The machine has a life.
fn living(record: &Record, spec: &MachineSpec, found: &Found, run: &str, digest: &str, grace: Duration) -> Verdict {
    let state = MachineState::Running;
    if spec.power == Power::Stopped || record.reboot.as_ref().is_some_and(|reboot| reboot.from_run == run) {
        return Verdict::act(Step::Stop(grace), state);
    }
    if let Activity::Paused { reason, .. } = &found.activity {
        let message = format!("the machine stands still: {reason}");
        let problem = Problem { code: "machine.paused".to_owned(), message, retrying: true };
        return Verdict { problem: Some(problem), ..Verdict::act(Step::Start, state) };
    }
    if found.digest != digest {
        let message = "it runs as it was before the change; restart it to take the change up";
        return Verdict::stay(state, lasting("machine.restart_needed", message));
    }
    Verdict::done(state)
}

/// The machine is there and does not run.
fn still(record: &Record, spec: &MachineSpec, found: &Found, how: Stopped, digest: &str) -> Verdict {
    let young = record.next_seq == 1;
    let state = match how {
        _ if spec.power == Power::Stopped => MachineState::Stopped,
        _ if young => MachineState::Creating,
        Stopped::Crashed | Stopped::Unknown => MachineState::Crashed,
        _ => MachineState::Stopped,
    };
    if found.digest != digest {
        return Verdict::act(Step::Prepare, state);
    }
    if spec.power == Power::Stopped {
        return Verdict::done(state);
    }
    if record.shut_down_inside == Some(record.generation) {
        let message = "it was shut down from inside; start it when it should run again";
        return Verdict::stay(MachineState::Stopped, lasting(SHUT_DOWN_INSIDE, message));
    }
    Verdict::act(Step::Start, state)
}
