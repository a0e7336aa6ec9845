//! One turn of a run: everything it can do inside one transaction.
//!
//! A turn reads the run and its journal, calls the steps that are due, appends
//! what happened, and writes where the run stands. Effects of steps and their
//! journal entries are one commit. Two servers that take the same run meet on
//! its row, and the database lets one of them win; a step that touches the
//! world is claimed under a fence first, and only the holder of the fence may
//! write what came of it.

use base::id::RunId;
use base::time::{Timestamp, from_micros, micros};
use base::{Error, Kind, Result, limits};
use gate::Tx;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Plan, PlanStep, Values};
use super::store;
use super::types::{Event, Failure, JournalEvent, Phase, Run, State};
use crate::registry::Body;
use crate::step::{Call, Progress, StepCx, Undo, Wait};
use crate::{Fact, Workshop};

/// How soon it is looked again whether a call has ended that allows no other beside it.
const AT_WORK: Duration = Duration::from_secs(5);

/// What is left to do once the turn's transaction is durable.
pub(crate) enum After {
    /// Nothing before this instant, or before somebody wakes it.
    Rest(Option<Timestamp>),
    /// A call to the world.
    Call(Box<OutsideCall>),
}

/// A call to the world, claimed under a fence.
pub(crate) struct OutsideCall {
    pub run: Run,
    pub plan: Arc<Plan>,
    pub step: usize,
    pub call: Call,
    pub input: Json,
    pub output: Option<Json>,
    pub term: Duration,
    /// Whether no other call of the run may be made beside it.
    pub alone: bool,
}

/// What came of it.
pub(crate) type CallResult = Result<Progress<Json>>;

enum Go {
    On,
    Rest,
    Call(Box<OutsideCall>),
}

pub(crate) fn not_due() -> Error {
    Error::conflict("flow.not_due", "there is nothing to do for this run now")
}

pub(crate) fn is_not_due(e: &Error) -> bool {
    e.code() == "flow.not_due"
}

pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    from_micros(micros(now).saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))).unwrap_or(now)
}

/// The step as it is told to its code.
pub(crate) fn step_cx<'a>(run: &'a Run, step: &'a PlanStep, call: Call) -> StepCx<'a> {
    StepCx {
        run: run.id,
        step: &step.id,
        flow: &run.flow,
        subject: &run.subject,
        requested_by: &run.requested_by,
        attempt: run.attempt,
        call,
        since: run.step_since.unwrap_or(run.updated),
        fence: run.fence,
        note: run.note.as_ref(),
    }
}

/// Does what is due for a run.
pub(crate) fn advance(tx: &mut Tx<'_>, workshop: &Workshop, id: RunId) -> Result<After> {
    let run = store::load(tx, id)?.ok_or_else(not_due)?;
    if run.state.is_final() || run.state == State::Stuck || run.due.is_none_or(|due| due > tx.now) {
        return Err(not_due());
    }
    Turn::begin(tx, workshop, run)?.go(tx, None)
}

/// Writes what came of a call to the world, and goes on.
pub(crate) fn called(tx: &mut Tx<'_>, workshop: &Workshop, id: RunId, fence: i64, result: CallResult) -> Result<After> {
    let run = store::load(tx, id)?.ok_or_else(not_due)?;
    if run.fence != fence || run.phase != Phase::Outside || run.claimed_by.as_deref() != Some(&workshop.server) {
        return Err(not_due());
    }
    Turn::begin(tx, workshop, run)?.go(tx, Some(result))
}

/// Parks a run on the operators' page because a whole turn cannot be written.
pub(crate) fn give_to_operators(tx: &mut Tx<'_>, id: RunId, e: &Error) -> Result<()> {
    let run = set_aside(tx, id, e)?;
    tx.fact(Fact::stuck(&run), run.subject.tenant)
}

/// A run that cannot go on waits for a person. Nobody is told.
pub(crate) fn set_aside(tx: &mut Tx<'_>, id: RunId, e: &Error) -> Result<Run> {
    let mut run = store::load(tx, id)?.ok_or_else(not_due)?;
    if run.state.is_final() || run.state == State::Stuck {
        return Err(not_due());
    }
    run.stop(State::Stuck);
    run.failure = Some(Failure::of(e, ""));
    run.updated = tx.now;
    store::save(tx, &run)?;
    tx.touch("flow", &run.id.to_string(), run.subject.tenant, run.events);
    Ok(run)
}

struct Turn<'w> {
    workshop: &'w Workshop,
    plan: Result<Arc<Plan>>,
    run: Run,
    journal: Vec<JournalEvent>,
    /// What the steps' inputs are made of; grows with the journal.
    values: Values,
}

impl Run {
    pub(super) fn stop(&mut self, state: State) {
        self.state = state;
        self.due = None;
        self.wait_key = None;
        self.claimed_by = None;
    }

    /// Goes to another step, which has not been called yet.
    pub(super) fn go_to(&mut self, step: i64, now: Timestamp) {
        self.step = step;
        self.phase = Phase::First;
        self.attempt = 0;
        self.step_since = None;
        self.note = None;
        self.wait_key = None;
        self.claimed_by = None;
        self.due = Some(now);
        self.state = if self.backward { State::Unwinding } else { State::Running };
    }
}

impl<'w> Turn<'w> {
    fn begin(tx: &mut Tx<'_>, workshop: &'w Workshop, run: Run) -> Result<Self> {
        let plan = workshop.plan(tx, &run.flow, run.version);
        let journal = if run.events > 0 { store::journal(tx, run.id)? } else { Vec::new() };
        let values = values(&run, &journal);
        Ok(Turn { workshop, plan, run, journal, values })
    }

    fn go(mut self, tx: &mut Tx<'_>, mut result: Option<CallResult>) -> Result<After> {
        let mut call = None;
        match self.plan.clone() {
            Err(e) if e.kind().is_transient() => return Err(e),
            // The definition names a step that this version of the program no longer has.
            Err(e) => self.stuck(&e, ""),
            Ok(plan) => {
                for _ in 0..limits::FLOW_STEPS_PER_COMMIT {
                    match self.step(tx, &plan, result.take())? {
                        Go::On if self.run.due.is_some() => {}
                        Go::On | Go::Rest => break,
                        Go::Call(wanted) => {
                            call = Some(wanted);
                            break;
                        }
                    }
                }
            }
        }
        self.run.updated = tx.now;
        store::save(tx, &self.run)?;
        let run = &self.run;
        tx.touch("flow", &run.id.to_string(), run.subject.tenant, run.events);
        tx.fact(Fact::about(run), run.subject.tenant)?;
        Ok(call.map_or(After::Rest(self.run.due), After::Call))
    }

    /// Calls the current step, forwards or backwards, or takes what came of a call.
    fn step(&mut self, tx: &mut Tx<'_>, plan: &Arc<Plan>, result: Option<CallResult>) -> Result<Go> {
        let Some(step) = usize::try_from(self.run.step).ok().and_then(|n| plan.steps.get(n)) else {
            self.run.stop(if self.run.backward { State::Undone } else { State::Done });
            return Ok(Go::On);
        };
        if let Some(result) = result {
            self.run.claimed_by = None;
            return self.came(tx, plan, step, result);
        }
        let registered = step.registered(&self.workshop.registry);
        let registered = match registered {
            Ok(registered) => registered,
            Err(e) => {
                self.stuck(&e, &step.id);
                return Ok(Go::On);
            }
        };
        if self.run.backward {
            if registered.undo != Undo::ByStep || !self.has_effect(&step.id) {
                self.run.go_to(self.run.step - 1, tx.now);
                return Ok(Go::On);
            }
        } else if let (Phase::First, Some(when)) = (self.run.phase, &step.when) {
            let Values { input, steps, run } = &self.values;
            match when.holds(&[("input", input), ("steps", steps), ("run", run)]) {
                Ok(true) => {}
                Ok(false) => {
                    self.record(tx, Event::Succeeded, &step.id, json!({ "skipped": true }))?;
                    self.run.go_to(self.run.step + 1, tx.now);
                    return Ok(Go::On);
                }
                Err(e) => return self.failed(tx, plan, step, &e, true),
            }
        }
        let call = match self.run.phase {
            Phase::First => Call::First,
            Phase::Again => Call::Again,
            Phase::Parked => Call::Overdue,
            Phase::Woken => Call::Woken,
            Phase::Outside => Call::Uncertain,
        };
        self.run.step_since.get_or_insert(tx.now);
        let input = step.input(&self.values);
        let output = if self.run.backward { self.values.steps.get(&step.id).cloned() } else { None };
        let (run, undo) = match &registered.body {
            Body::Inside { run, undo } => (run, undo),
            Body::Outside { term, alone, .. } => {
                if self.is_at_work(tx.now, *term) {
                    return Ok(Go::Rest);
                }
                return self.claim(tx, plan, step, call, (input, output), (*term, *alone));
            }
        };
        let faults = &self.workshop.faults;
        let cx = step_cx(&self.run, step, call);
        let backward = self.run.backward;
        let result = tx.attempt(|tx| {
            faults.before(&step.id, backward)?;
            if faults.repeats(backward) {
                // A step under test is called twice; the second result must be as good.
                call_inside(tx, &cx, (run, undo), backward, input.clone(), output.clone())?;
            }
            call_inside(tx, &cx, (run, undo), backward, input, output)
        });
        self.came(tx, plan, step, result)
    }

    /// Whether a call of this run is at work in this process that allows no other beside it: its claim lasts on,
    /// or where somebody has decided something else meanwhile, that waits for its end.
    fn is_at_work(&mut self, now: Timestamp, term: Duration) -> bool {
        let Some(fence) = self.workshop.calls.fence(self.run.id) else { return false };
        let is_own = fence == self.run.fence && self.run.phase == Phase::Outside;
        if is_own {
            self.run.claimed_by = Some(self.workshop.server.clone());
        }
        self.run.due = Some(later(now, if is_own { term } else { AT_WORK }));
        true
    }

    /// Writes that the world is about to be touched, before it is.
    fn claim(
        &mut self,
        tx: &mut Tx<'_>,
        plan: &Arc<Plan>,
        step: &PlanStep,
        call: Call,
        (input, output): (Json, Option<Json>),
        (term, alone): (Duration, bool),
    ) -> Result<Go> {
        let begins = if self.run.backward { Event::UndoStarted } else { Event::Started };
        if !self.happened(&step.id, begins) {
            self.record(tx, begins, &step.id, Json::Null)?;
        }
        self.run.phase = Phase::Outside;
        self.run.fence += 1;
        self.run.claimed_by = Some(self.workshop.server.clone());
        self.run.due = Some(later(tx.now, term));
        self.run.state = if self.run.backward { State::Unwinding } else { State::Running };
        let n = usize::try_from(self.run.step).unwrap_or(0);
        Ok(Go::Call(Box::new(OutsideCall {
            run: self.run.clone(),
            plan: plan.clone(),
            step: n,
            call,
            input,
            output,
            term,
            alone,
        })))
    }

    fn came(&mut self, tx: &mut Tx<'_>, plan: &Plan, step: &PlanStep, result: CallResult) -> Result<Go> {
        match result {
            // The whole transaction has to run again.
            Err(e) if e.kind() == Kind::Contended && e.code().starts_with("db.") => Err(e),
            Err(e) if e.code() == "testing.killed" => Err(e),
            Err(e) => self.failed(tx, plan, step, &e, false),
            Ok(Progress::Wait(wait)) => self.park(tx, plan, step, wait),
            Ok(Progress::Done(_)) if self.run.backward => {
                self.record(tx, Event::UndoFinished, &step.id, Json::Null)?;
                self.run.go_to(self.run.step - 1, tx.now);
                Ok(Go::On)
            }
            Ok(Progress::Done(output)) => {
                if output.to_string().len() > limits::FLOW_VALUE_BYTES_MAX {
                    return self.failed(
                        tx,
                        plan,
                        step,
                        &Error::bug("flow.output_too_large", "a step gave more than is kept"),
                        true,
                    );
                }
                self.record(tx, Event::Succeeded, &step.id, json!({ "output": output }))?;
                self.run.past_return |= self.definition(plan).is_some_and(|step| step.point_of_no_return);
                self.run.go_to(self.run.step + 1, tx.now);
                Ok(Go::On)
            }
        }
    }

    fn park(&mut self, tx: &mut Tx<'_>, plan: &Plan, step: &PlanStep, wait: Wait) -> Result<Go> {
        let until = self.time_out(plan, tx.now);
        if tx.now >= until {
            let e = Error::unavailable(
                "flow.step_timeout",
                format!("the step took longer than {}", super::definition::Span(self.allowed(plan))),
            );
            return self.failed(tx, plan, step, &e, true);
        }
        let begins = if self.run.backward { Event::UndoStarted } else { Event::Started };
        if !self.happened(&step.id, begins) {
            self.record(tx, begins, &step.id, Json::Null)?;
        }
        let soonest = later(tx.now, Duration::from_millis(10));
        self.run.state = if self.run.backward { State::Unwinding } else { State::Waiting };
        self.run.phase = Phase::Parked;
        self.run.wait_key = wait.key;
        self.run.note = wait.note.or(self.run.note.take());
        self.run.due = Some(wait.deadline.map_or(until, |deadline| deadline.min(until).max(soonest)));
        Ok(Go::Rest)
    }

    fn failed(&mut self, tx: &mut Tx<'_>, plan: &Plan, step: &PlanStep, e: &Error, for_good: bool) -> Result<Go> {
        if e.kind() == Kind::Bug {
            tracing::error!(run = %self.run.id, step = step.id, error = ?e, "a step stopped on a fault of ours");
        }
        let failure = Failure::of(e, &step.id);
        let event = if self.run.backward { Event::UndoFailed } else { Event::Failed };
        self.record(tx, event, &step.id, serde_json::to_value(&failure).unwrap_or_default())?;
        self.run.failure = Some(failure);
        let Some(definition) = self.definition(plan).cloned() else { return Ok(Go::Rest) };
        let in_time = tx.now < self.time_out(plan, tx.now);
        if !for_good && in_time && e.kind().is_transient() && self.run.attempt + 1 < definition.retry.attempts {
            let chance = (tx.ids().next(tx.now) & 0xffff) as u16;
            let wait = definition.retry.wait(self.run.attempt, chance).max(e.wait().unwrap_or_default());
            self.run.attempt += 1;
            self.run.phase = Phase::Again;
            self.run.wait_key = None;
            self.run.state = if self.run.backward { State::Unwinding } else { State::Running };
            self.run.due = Some(later(tx.now, wait));
            return Ok(Go::Rest);
        }
        if self.run.backward || self.run.past_return || e.kind() == Kind::Bug {
            self.run.stop(State::Stuck);
            return Ok(Go::On);
        }
        // The note stays: the undo of this very step may need it.
        let note = self.run.note.take();
        self.run.backward = true;
        self.run.go_to(self.run.step, tx.now);
        self.run.note = note;
        Ok(Go::On)
    }

    fn stuck(&mut self, e: &Error, step: &str) {
        tracing::error!(run = %self.run.id, step, error = ?e, "a run is stuck");
        self.run.failure = Some(Failure::of(e, step));
        self.run.stop(State::Stuck);
    }

    fn record(&mut self, tx: &mut Tx<'_>, event: Event, step: &str, detail: Json) -> Result<()> {
        self.run.events += 1;
        let entry = JournalEvent {
            seq: self.run.events,
            at: tx.now,
            step: step.to_owned(),
            event,
            attempt: self.run.attempt,
            detail,
        };
        store::append(tx, self.run.id, &entry)?;
        self.values.learn(&entry);
        self.journal.push(entry);
        self.workshop.faults.point()
    }

    fn definition<'p>(&self, plan: &'p Plan) -> Option<&'p super::definition::StepDefinition> {
        usize::try_from(self.run.step).ok().and_then(|n| plan.step_definition(n))
    }

    /// How long the step may take. Taking back waits as long as it must: a host
    /// that was cut off confirms the absence when it is back.
    fn allowed(&self, plan: &Plan) -> Duration {
        let longest = Duration::from_secs(limits::FLOW_STEP_SECONDS_MAX);
        let timeout = self.definition(plan).and_then(|step| step.timeout);
        timeout.filter(|_| !self.run.backward).map_or(longest, |timeout| timeout.0)
    }

    fn time_out(&self, plan: &Plan, now: Timestamp) -> Timestamp {
        later(self.run.step_since.unwrap_or(now), self.allowed(plan))
    }

    fn happened(&self, step: &str, event: Event) -> bool {
        self.journal.iter().any(|entry| entry.step == step && entry.event == event)
    }

    /// Whether the step may have left something to take back.
    fn has_effect(&self, step: &str) -> bool {
        let mut effect = false;
        for entry in self.journal.iter().filter(|entry| entry.step == step) {
            match entry.event {
                Event::Started => effect = true,
                Event::Succeeded => effect |= entry.detail.get("skipped").is_none(),
                Event::UndoFinished => effect = false,
                Event::Failed | Event::UndoStarted | Event::UndoFailed => {}
            }
        }
        effect
    }
}

fn values(run: &Run, journal: &[JournalEvent]) -> Values {
    let about = json!({
        "id": run.id, "tenant": run.subject.tenant, "requestedBy": run.requested_by,
        "subject": { "kind": run.subject.kind, "id": run.subject.id },
    });
    let mut values = Values { input: run.input.clone(), steps: Json::Object(Map::new()), run: about };
    journal.iter().for_each(|entry| values.learn(entry));
    values
}

impl Values {
    /// Takes in what a step has given.
    fn learn(&mut self, entry: &JournalEvent) {
        let given = entry.detail.get("output").filter(|_| entry.event == Event::Succeeded);
        if let (Some(output), Json::Object(steps)) = (given, &mut self.steps) {
            steps.insert(entry.step.clone(), output.clone());
        }
    }
}

type Bodies<'b, R, U> = (&'b R, &'b U);

fn call_inside<R, U>(
    tx: &mut Tx<'_>,
    cx: &StepCx<'_>,
    (run, undo): Bodies<'_, R, U>,
    backward: bool,
    input: Json,
    output: Option<Json>,
) -> CallResult
where
    R: Fn(&mut Tx<'_>, &StepCx<'_>, Json) -> CallResult + ?Sized,
    U: Fn(&mut Tx<'_>, &StepCx<'_>, Json, Option<Json>) -> Result<Progress<()>> + ?Sized,
{
    if backward { undo(tx, cx, input, output).map(blank) } else { run(tx, cx, input) }
}

/// The result of an undo, which gives nothing.
pub(crate) fn blank(progress: Progress<()>) -> Progress<Json> {
    match progress {
        Progress::Done(()) => Progress::Done(Json::Null),
        Progress::Wait(wait) => Progress::Wait(wait),
    }
}
