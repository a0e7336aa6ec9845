//! What people and programs may do with flows.

use base::id::{RunId, TenantId};
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, AnyAction, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::definition::Definition;
use super::plan::Plan;
use super::schema::View;
use super::store::{self, Filter};
use super::types::Phase;
use super::types::{
    Decision, Event, Failure, JournalEvent, Run, RunDetail, RunSummary, State, StepProgress, StepState, ToSkip,
};
use crate::engine::Work;
use crate::registry::AnyStep;
use crate::{Fact, Nothing, workshop};

/// Names a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneRun {
    /// The run.
    pub id: RunId,
}

/// Which runs to list, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListRuns {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this flow.
    pub flow: Option<String>,
    /// Only those about this object.
    pub subject: Option<String>,
    /// Only those before this one: the `next` of the page before.
    pub after: Option<RunId>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A page of runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// Newest first.
    pub items: Vec<RunSummary>,
    /// Give this as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<RunId>,
}

/// A decision about a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The run.
    pub id: RunId,
    /// Why. It is kept with the run and in the audit log.
    pub reason: String,
}

/// The decision to pass over a step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The run.
    pub id: RunId,
    /// Why.
    pub reason: String,
    /// What the step would have given, where later steps need it.
    #[serde(default)]
    pub output: Option<Json>,
}

/// Names a definition.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneDefinition {
    /// The flow's name.
    pub name: String,
    /// The newest where it is left out.
    #[serde(default)]
    pub version: Option<u32>,
}

/// A definition in YAML.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Yaml {
    /// The text.
    pub yaml: String,
}

/// A definition as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DefinitionSummary {
    /// What the flow is started by.
    pub name: String,
    /// Its newest version.
    pub version: u32,
    /// For people.
    pub title: super::Title,
    /// How many steps it has.
    pub steps: usize,
    /// When this version came.
    #[schemars(with = "String")]
    pub created: base::time::Timestamp,
    /// From whom; `product` for what comes with the product.
    pub by: String,
}

/// All definitions, and what they can be made of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Definitions {
    /// The newest version of each.
    pub items: Vec<DefinitionSummary>,
    /// The registered steps.
    pub steps: Vec<RegisteredStep>,
}

/// A registered step, for somebody who writes a definition.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredStep {
    /// Its name.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// JSON Schema of what it needs.
    pub input: Json,
    /// JSON Schema of what it gives.
    pub output: Json,
}

/// The journal of a run, with what went in and came out of each step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Journal {
    /// What it was started with.
    pub input: Json,
    /// What happened, in order.
    pub events: Vec<JournalEvent>,
}

/// Lists.
pub static LIST: Action<ListRuns, Runs> = Action {
    name: "flow.list",
    summary: "Lists runs of flows, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        let most = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let filter = Filter {
            state: input.state,
            flow: input.flow.as_deref(),
            subject: input.subject.as_deref(),
            after: input.after,
        };
        let scope = tx.cx().scope().clone();
        let runs = store::list(tx, &scope, &filter, most + 1)?;
        let more = runs.len() > most as usize;
        let items: Vec<RunSummary> = runs.iter().take(most as usize).map(RunSummary::from).collect();
        let next = if more { items.last().map(|run| run.id) } else { None };
        Ok(Runs { items, next })
    },
};

/// Shows one.
pub static GET: Action<OneRun, RunDetail> = Action {
    name: "flow.get",
    summary: "Shows a run with the progress of each step.",
    effect: Effect::Read,
    run: |tx, input| {
        let run = granted(tx, "flow.get", input.id)?;
        detail(tx, &run)
    },
};

/// Shows what a run has done, entry by entry.
pub static JOURNAL: Action<OneRun, Journal> = Action {
    name: "flow.journal",
    summary: "Shows the journal of a run: everything that went in and came out.",
    effect: Effect::Read,
    run: |tx, input| {
        let run = granted(tx, "flow.journal", input.id)?;
        Ok(Journal { input: run.input, events: store::journal(tx, run.id)? })
    },
};

/// Tries again.
pub static RETRY: Action<Decide, RunSummary> = Action {
    name: "flow.retry",
    summary: "Lets a stuck run, or one that waits before another attempt, try its step again now.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut run = to_decide(tx, "flow.retry", input.id)?;
        let now = tx.now;
        // What touched the world looks first; what waited looks again, before its deadline.
        run.phase = match run.phase {
            Phase::Outside => Phase::Outside,
            Phase::Parked | Phase::Woken if run.state != State::Stuck => Phase::Woken,
            _ => Phase::Again,
        };
        if run.state == State::Stuck {
            let (note, phase) = (run.note.take(), run.phase);
            run.go_to(run.step, now);
            (run.note, run.phase) = (note, phase);
        }
        run.wait_key = None;
        run.attempt = 0;
        run.due = Some(now);
        decided(tx, &mut run, "retry", &input.reason)?;
        Ok((&run).into())
    },
};

/// Passes over a step.
pub static SKIP: Action<Skip, RunSummary> = Action {
    name: "flow.skip",
    summary: "Passes over the step at which a run is stuck, forwards or backwards.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut run = to_decide(tx, "flow.skip", input.id)?;
        if run.state != State::Stuck {
            return Err(Error::conflict("flow.not_stuck", "only the step of a stuck run can be passed over"));
        }
        let plan = workshop(tx)?.plan(tx, &run.flow, run.version)?;
        let number = usize::try_from(run.step).unwrap_or(usize::MAX);
        let step = plan.steps.get(number);
        let step = step.ok_or_else(|| Error::conflict("flow.no_step", "the run is at no step"))?;
        let (event, detail) = if run.backward {
            (Event::UndoFinished, json!({ "skipped": true }))
        } else {
            check_output(step.registered(&workshop(tx)?.registry)?, &plan.read_later(number), input.output.as_ref())?;
            (
                Event::Succeeded,
                input
                    .output
                    .as_ref()
                    .map_or_else(|| json!({ "skipped": true }), |output| json!({ "skipped": true, "output": output })),
            )
        };
        run.events += 1;
        let entry =
            JournalEvent { seq: run.events, at: tx.now, step: step.id.clone(), event, attempt: run.attempt, detail };
        store::append(tx, run.id, &entry)?;
        decide(tx, &run, "skip", &input.reason)?;
        let next = if run.backward { run.step - 1 } else { run.step + 1 };
        // Who passes over the point of no return answers for it: nothing after it turns the run round.
        let returns = plan.step_definition(number);
        run.past_return |= !run.backward && returns.is_some_and(|step| step.point_of_no_return);
        let now = tx.now;
        run.go_to(next, now);
        settled(tx, &mut run)?;
        Ok((&run).into())
    },
};

/// Sees to it that later steps find what they read of a step that is passed over.
fn check_output(step: &AnyStep, read_later: &[&str], output: Option<&Json>) -> Result<()> {
    let wrong = match (output, read_later.first()) {
        (Some(output), _) => {
            let fits = View::new(&step.output).check(output, "output", 0);
            fits.err().map(|why| Error::invalid("flow.output", why))
        }
        (None, Some(path)) => {
            let message = format!("a later step reads what this one gives ({path}): say it as `output`");
            Some(Error::invalid("flow.output_needed", message))
        }
        (None, None) => None,
    };
    wrong.map_or(Ok(()), |wrong| Err(wrong.at("output")))
}

/// Turns a run round.
pub static UNWIND: Action<Decide, RunSummary> = Action {
    name: "flow.unwind",
    summary: "Turns a run round before its point of no return: what it did is taken back.",
    effect: Effect::Change,
    run: |tx, input| {
        to_decide(tx, "flow.unwind", input.id)?;
        super::unwind(tx, input.id, &input.reason)?;
        Ok((&super::find(tx, input.id)?).into())
    },
};

/// Ends a run where it stands.
pub static GIVE_UP: Action<Decide, RunSummary> = Action {
    name: "flow.give_up",
    summary: "Ends a run and leaves everything as it is; what is left over is then a person's to clear.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut run = to_decide(tx, "flow.give_up", input.id)?;
        run.stop(State::GivenUp);
        decided(tx, &mut run, "give_up", &input.reason)?;
        Ok((&run).into())
    },
};

/// One turn of a run; done by the engine alone.
pub static ADVANCE: Action<OneRun, Nothing> = Action {
    name: "flow.advance",
    summary: "Does what is due in a run; the platform's own workers do this all the time.",
    effect: Effect::Change,
    run: |tx, input| {
        let run = granted(tx, "flow.advance", input.id)?;
        let workshop = workshop(tx)?;
        let (id, tenant) = (run.id, run.subject.tenant);
        tx.after_commit(move || workshop.queue.push(Work::Run(id, tenant)));
        Ok(Nothing {})
    },
};

/// Lists the definitions.
pub static DEFINITIONS: Action<Nothing, Definitions> = Action {
    name: "flowDefinition.list",
    summary: "Lists the flows that can be run and the steps that they can be made of.",
    effect: Effect::Read,
    run: |tx, _| {
        let workshop = workshop(tx)?;
        let steps = workshop.registry.describe().into_iter();
        let steps = steps
            .map(|(name, summary, input, output)| RegisteredStep {
                name: name.into(),
                summary: summary.into(),
                input,
                output,
            })
            .collect();
        let summary = |(name, version, created, by, body): store::DefinitionRow| {
            let definition = stored(&body)?;
            Ok(DefinitionSummary { name, version, title: definition.title, steps: definition.steps.len(), created, by })
        };
        let items = store::definitions(tx)?.into_iter().map(summary).collect::<Result<_>>()?;
        Ok(Definitions { items, steps })
    },
};

/// Shows a definition.
pub static DEFINITION: Action<OneDefinition, Definition> = Action {
    name: "flowDefinition.get",
    summary: "Shows a definition.",
    effect: Effect::Read,
    run: |tx, input| load_definition(tx, input),
};

/// Gives a definition as YAML.
pub static EXPORT: Action<OneDefinition, Yaml> = Action {
    name: "flowDefinition.export",
    summary: "Gives a definition as YAML.",
    effect: Effect::Read,
    run: |tx, input| Ok(Yaml { yaml: load_definition(tx, input)?.to_yaml()? }),
};

/// Stores a definition.
pub static IMPORT: Action<Yaml, DefinitionSummary> = Action {
    name: "flowDefinition.import",
    summary: "Checks a definition in YAML and makes it the newest version of its flow; runs that have begun stay with theirs.",
    effect: Effect::Create,
    run: |tx, input| {
        let definition = Definition::from_yaml(&input.yaml)?;
        let by = tx.cx().actor().to_string();
        let (title, steps, version, name) =
            (definition.title.clone(), definition.steps.len(), definition.version, definition.name.clone());
        import(tx, definition, &by)?;
        let owner = tx.cx().tenant();
        tx.touch("flowDefinition", &name, owner, i64::from(version));
        Ok(DefinitionSummary { name, version, title, steps, created: tx.now, by })
    },
};

/// The actions of flows.
pub static ACTIONS: &[&dyn AnyAction] =
    &[&LIST, &GET, &JOURNAL, &RETRY, &SKIP, &UNWIND, &GIVE_UP, &ADVANCE, &DEFINITIONS, &DEFINITION, &EXPORT, &IMPORT];

/// Stores a checked definition; the same one again changes nothing.
pub(crate) fn import(tx: &mut Tx<'_>, definition: Definition, by: &str) -> Result<()> {
    let workshop = workshop(tx)?;
    let (name, version) = (definition.name.clone(), definition.version);
    let body = serde_json::to_string(&definition)
        .map_err(|e| Error::bug("flow.definition", "a definition cannot be written as JSON").because(e))?;
    Plan::new(definition.clone(), &workshop.registry)?;
    if let Some(stored_body) = store::definition(tx, &name, version)? {
        return if stored(&stored_body)? == definition {
            Ok(())
        } else {
            Err(Error::conflict(
                "flow.version_taken",
                format!("flow {name} has another version {version} already; a change needs a new version number"),
            ))
        };
    }
    if let Some(newest) = store::newest_version(tx, &name)?.filter(|newest| *newest > version) {
        return Err(Error::conflict(
            "flow.version_old",
            format!("flow {name} is at version {newest} already; the new version must be higher"),
        ));
    }
    let now = tx.now;
    store::insert_definition(tx, &name, version, &body, now, by)
}

pub(crate) fn stored(body: &str) -> Result<Definition> {
    serde_json::from_str(body)
        .map_err(|e| Error::bug("flow.definition", "a stored definition does not read").because(e))
}

fn load_definition(tx: &mut Tx<'_>, input: &OneDefinition) -> Result<Definition> {
    let absent = || {
        Error::not_found(
            "flowDefinition.not_found",
            format!("there is no such version of a flow called {}", input.name),
        )
    };
    let version = match input.version {
        Some(version) => version,
        None => store::newest_version(tx, &input.name)?.ok_or_else(absent)?,
    };
    stored(&store::definition(tx, &input.name, version)?.ok_or_else(absent)?)
}

fn granted(tx: &mut Tx<'_>, action: &str, id: RunId) -> Result<Run> {
    let run = super::find(tx, id)?;
    let owner: TenantId = run.subject.tenant;
    Ok(tx.grant(action, "flow", &id.to_string(), owner, Class::Internal, run)?.into_inner())
}

/// A run that a person may decide about: not ended, and not touching the world this moment.
fn to_decide(tx: &mut Tx<'_>, action: &str, id: RunId) -> Result<Run> {
    let run = granted(tx, action, id)?;
    if run.state.is_final() {
        return Err(Error::conflict("flow.ended", format!("run {id} has ended: {}", run.state.word())));
    }
    if run.claimed_by.is_some() && run.due.is_some_and(|due| due > tx.now) {
        return Err(Error::contended(
            "flow.calling",
            "a step of this run is touching the world just now; try again in a moment",
        ));
    }
    Ok(run)
}

fn decide(tx: &mut Tx<'_>, run: &Run, verb: &str, reason: &str) -> Result<()> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > limits::REASON_BYTES_MAX {
        return Err(Error::invalid(
            "reason.missing",
            format!("say why, in at most {} bytes; it is kept with the run", limits::REASON_BYTES_MAX),
        )
        .at("reason"));
    }
    let plan = workshop(tx)?.plan(tx, &run.flow, run.version).ok();
    let step = usize::try_from(run.step)
        .ok()
        .and_then(|n| plan.as_ref()?.steps.get(n))
        .map(|step| step.id.clone())
        .unwrap_or_default();
    let decision = Decision {
        at: tx.now,
        actor: tx.cx().actor().to_string(),
        verb: verb.to_owned(),
        step,
        reason: reason.to_owned(),
    };
    store::decide(tx, run, &decision)
}

/// Stores a run as a person decided, with the decision.
pub(super) fn decided(tx: &mut Tx<'_>, run: &mut Run, verb: &str, reason: &str) -> Result<()> {
    decide(tx, run, verb, reason)?;
    settled(tx, run)
}

fn settled(tx: &mut Tx<'_>, run: &mut Run) -> Result<()> {
    run.updated = tx.now;
    store::save(tx, run)?;
    tx.fact(Fact::about(run), run.subject.tenant)?;
    let workshop = workshop(tx)?;
    let (id, tenant) = (run.id, run.subject.tenant);
    tx.after_commit(move || workshop.queue.push(Work::Run(id, tenant)));
    Ok(())
}

/// A run with the progress of each step, from its journal.
pub(super) fn detail(tx: &mut Tx<'_>, run: &Run) -> Result<RunDetail> {
    let body = store::definition(tx, &run.flow, run.version)?
        .ok_or_else(|| Error::bug("flow.definition", "a run's definition is gone"))?;
    let definition = stored(&body)?;
    let journal = store::journal(tx, run.id)?;
    let steps = definition.steps.iter().enumerate().map(|(n, step)| {
        let mut progress = StepProgress {
            id: step.id.clone(),
            title: step.title.clone(),
            state: StepState::Pending,
            started: None,
            finished: None,
            failures: 0,
            failure: None,
        };
        journal.iter().filter(|entry| entry.step == step.id).for_each(|entry| progress.take(entry));
        if run.step == n as i64 {
            progress.be_current(run);
        }
        progress
    });
    Ok(RunDetail {
        run: run.into(),
        title: definition.title.clone(),
        steps: steps.collect(),
        decisions: store::decisions(tx, run.id)?,
        to_skip: to_skip(tx, run)?,
    })
}

/// What whoever passes over the present step may have to say for it.
fn to_skip(tx: &mut Tx<'_>, run: &Run) -> Result<Option<ToSkip>> {
    let (State::Stuck, false, Ok(number)) = (run.state, run.backward, usize::try_from(run.step)) else {
        return Ok(None);
    };
    let workshop = workshop(tx)?;
    // A run may be stuck because its flow cannot be planned any more; it is shown all the same.
    let Ok(plan) = workshop.plan(tx, &run.flow, run.version) else { return Ok(None) };
    let Some(step) = plan.steps.get(number) else { return Ok(None) };
    let output = step.registered(&workshop.registry)?.output.clone();
    Ok(Some(ToSkip { step: step.id.clone(), output, needed: !plan.read_later(number).is_empty() }))
}

impl StepProgress {
    fn take(&mut self, entry: &JournalEvent) {
        self.started.get_or_insert(entry.at);
        match entry.event {
            Event::Started => self.state = StepState::Running,
            Event::Succeeded => {
                self.state = if entry.detail.get("skipped").is_some() { StepState::Skipped } else { StepState::Done };
                self.finished = Some(entry.at);
            }
            Event::Failed | Event::UndoFailed => {
                self.state = StepState::Failed;
                self.failures += 1;
                self.failure = serde_json::from_value::<Failure>(entry.detail.clone()).ok();
            }
            Event::UndoStarted => self.state = StepState::Undoing,
            Event::UndoFinished => {
                self.state = StepState::Undone;
                self.finished = Some(entry.at);
            }
        }
    }

    fn be_current(&mut self, run: &Run) {
        self.started = self.started.or(run.step_since);
        self.state = match run.state {
            State::Running => StepState::Running,
            State::Waiting => StepState::Waiting,
            State::Unwinding if self.state != StepState::Failed => StepState::Undoing,
            State::Stuck => StepState::Stuck,
            State::Unwinding | State::Done | State::Undone | State::GivenUp => self.state,
        };
    }
}
