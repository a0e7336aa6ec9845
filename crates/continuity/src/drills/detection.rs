//! Detection: how long a loss goes unseen before the platform acts, and what that figure is made of.
//!
//! A drill begins because somebody said so, so nothing before that moment can be timed in it. What can be
//! tried without harm is tried at its end: the machines that the drill made have answered and their data
//! was read; now they are ended as a crash would end them, and their host says how long the ordinary watch
//! took until this server knew. Losing a host or a site for it would be an outage: there the figure follows
//! from what the platform is set to, and is marked so. What the platform does not watch for has no figure.
//!
//! | basis | scenarios | unseen for |
//! |---|---|---|
//! | [`Basis::Measured`] | machine lost, backup server lost | the longest of the drill's machines |
//! | [`Basis::Configured`] | host lost, site lost | the silence after which a host counts as lost, and the pause between two looks |
//! | [`Basis::Told`] | ransomware, database dropped, the platform itself | not in the figure: the clock starts when somebody says so |

use std::time::Duration;

use base::{Result, limits};
use drivers::wire::{Outcome, Problem, TaskId, Work};
use durable::{Nothing, Progress, Step, StepCx, Undo};
use gate::Tx;
use resources::intents;
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key;
use super::plans::Scenario;
use super::runs::{self, DrillRun, Machine};
use super::work::{OfRun, Stepped, ask, done, intent_id, is_late, load, recovery, stop_tasks, task};
use crate::recoveries::Recovery;

/// How long hosts may take altogether to try it. Longer than they wait themselves.
const TRYING: Duration = Duration::from_secs(15 * 60);

/// What a figure is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// Timed while it happened.
    #[default]
    Measured,
    /// Follows from how the platform is set; nothing was tried.
    Configured,
    /// The platform does not watch for it: the clock starts when somebody says that it happened.
    Told,
}

/// How the loss that a run plays comes to be known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "basis", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Detection {
    /// The drill's own machines are ended once all else was measured, and the watch is timed.
    Measured {
        /// The longest that one went unseen; absent until all were tried.
        milliseconds: Option<u64>,
        /// Why it is not known.
        problem: Option<String>,
    },
    /// A host counts as lost when it was silent for so long; that is looked for now and then.
    Configured {
        /// The silence, in seconds.
        silent_seconds: u64,
        /// The pause between two looks, in seconds.
        look_seconds: u64,
    },
    /// Nobody but people see such a loss.
    #[default]
    Told,
}

impl Detection {
    /// How a loss of that kind comes to be known. Nothing was tried yet.
    pub fn of(scenario: &Scenario) -> Detection {
        match scenario {
            Scenario::MachineLost | Scenario::BackupServerLost { .. } => {
                Detection::Measured { milliseconds: None, problem: None }
            }
            Scenario::HostLost | Scenario::SiteLost => Detection::Configured {
                silent_seconds: limits::HOST_SILENCE_SECONDS.unsigned_abs(),
                look_seconds: limits::HOST_SILENCE_LOOK_SECONDS,
            },
            Scenario::Ransomware { .. } | Scenario::DatabaseLost { .. } | Scenario::ControlPlaneLost => Detection::Told,
        }
    }

    /// What its figure is made of.
    pub fn basis(&self) -> Basis {
        match self {
            Detection::Measured { .. } => Basis::Measured,
            Detection::Configured { .. } => Basis::Configured,
            Detection::Told => Basis::Told,
        }
    }

    /// How long the loss goes unseen at the most, in milliseconds: nothing where the clock starts when
    /// somebody says so. `None`: that is to be measured, and was not.
    pub fn unseen(&self) -> Option<u64> {
        match self {
            Detection::Measured { milliseconds, .. } => *milliseconds,
            Detection::Configured { silent_seconds, look_seconds } => {
                Some(silent_seconds.saturating_add(*look_seconds).saturating_mul(1_000))
            }
            Detection::Told => Some(0),
        }
    }

    /// Why it is not known.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Detection::Measured { milliseconds: None, problem } => problem.as_deref().or(Some("nobody tried")),
            _ => None,
        }
    }
}

/// Where the loss of machines is played: those of the drill end, and their hosts tell when that was seen.
pub struct Detect;

/// How the trial of one machine stands.
enum Tried {
    Open(TaskId),
    Seen(u64),
    Not(String),
}

impl Detect {
    /// Asks for a machine's end, or looks what came of it.
    fn machine(tx: &mut Tx<'_>, run: &DrillRun, of: &Recovery, machine: &mut Machine) -> Result<Tried> {
        let Some((made, host)) = machine.made.clone().zip(machine.host) else {
            return Ok(Tried::Not("there is no machine to be ended".to_owned()));
        };
        let id = intent_id(&made)?;
        let asked = match machine.loss_task.clone() {
            Some(asked) => asked,
            None => {
                let asked = ask(tx, run, host, &Work::LoseMachine { machine: id, recovery: of.wire_id()? })?;
                machine.loss_task.insert(asked.to_string()).clone()
            }
        };
        match task(tx, &asked)? {
            Some(open) if open.is_open() => Ok(Tried::Open(open.id)),
            Some(Task { outcome: Some(Outcome::LossSeen { life, milliseconds }), .. }) => {
                // The host says that we were told; whether we were is in our own books.
                let life = intents::life(tx, &made, i64::try_from(life).unwrap_or(i64::MAX))?;
                let known = life.is_some_and(|life| life.end.is_some());
                let unheard = || Tried::Not("its host says that its end was told, and it was not".to_owned());
                Ok(if known { Tried::Seen(milliseconds) } else { unheard() })
            }
            ended => Ok(Tried::Not(why(ended.and_then(|task| task.problem)))),
        }
    }
}

fn why(problem: Option<Problem>) -> String {
    problem
        .map_or_else(|| "the host was told to stop".to_owned(), |found| format!("{} ({})", found.message, found.code))
}

impl Step for Detect {
    const NAME: &'static str = "drill.detect";
    const SUMMARY: &'static str = "Where machines are lost: ends those of the drill as a crash would, and times how long that goes unseen by the ordinary watch.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        if run.body.detection.basis() != Basis::Measured {
            return done();
        }
        let mut services = run.body.services.clone();
        let (late, mut open, mut problem) = (is_late(tx, cx, TRYING), false, None);
        for one in &mut services {
            let of = recovery(tx, one)?;
            for machine in &mut one.machines {
                let not = match Self::machine(tx, &run, &of, machine)? {
                    Tried::Seen(milliseconds) => {
                        machine.unseen_milliseconds = Some(milliseconds);
                        continue;
                    }
                    Tried::Open(_) if !late => {
                        open = true;
                        continue;
                    }
                    Tried::Open(task) => {
                        tasks::cancel(tx, &task)?;
                        "its host has not answered".to_owned()
                    }
                    Tried::Not(why) => why,
                };
                problem = problem.or(Some(format!("{}: {not}", one.name)));
            }
        }
        let each: Option<Vec<u64>> =
            services.iter().flat_map(|one| &one.machines).map(|machine| machine.unseen_milliseconds).collect();
        let milliseconds = each.and_then(|each| each.into_iter().max());
        run.body.services = services;
        run.body.detection = Detection::Measured { milliseconds, problem };
        runs::save(tx, &mut run)?;
        if open { Ok(Progress::wait(key(&run.id.to_string())).until(cx.since + TRYING)) } else { done() }
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        stop_tasks(tx, input.run)?;
        Ok(Progress::Done(()))
    }
}
