//! Nouns of flows: runs, events, progress.

use base::id::{RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::definition::Title;
use crate::step::Subject;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its next step is due, at once or after a wait before another attempt.
    Running,
    /// Parked until something is observed or a deadline passes.
    Waiting,
    /// Taking back what it did.
    Unwinding,
    /// Every step has succeeded.
    Done,
    /// Something failed and everything was taken back.
    Undone,
    /// Neither on nor back without a person's decision.
    Stuck,
    /// A person decided to leave it as it is.
    GivenUp,
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] =
        [State::Running, State::Waiting, State::Unwinding, State::Done, State::Undone, State::Stuck, State::GivenUp];

    /// The word that is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Unwinding => "unwinding",
            State::Done => "done",
            State::Undone => "undone",
            State::Stuck => "stuck",
            State::GivenUp => "givenup",
        }
    }

    pub(crate) fn read(word: &str) -> base::Result<Self> {
        State::ALL
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or_else(|| Error::bug("flow.state", format!("`{word}` is not a state of a run")))
    }

    /// Whether nothing will happen to the run any more.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::Undone | State::GivenUp)
    }
}

/// What the journal can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A step has begun and may have had an effect.
    Started,
    /// A step is done; the detail holds what it gave.
    Succeeded,
    /// A call of a step failed; the detail says how.
    Failed,
    /// A step's undo has begun.
    UndoStarted,
    /// A step is taken back.
    UndoFinished,
    /// A call of a step's undo failed.
    UndoFailed,
}

impl Event {
    const ALL: [(Event, &'static str); 6] = [
        (Event::Started, "started"),
        (Event::Succeeded, "succeeded"),
        (Event::Failed, "failed"),
        (Event::UndoStarted, "undo_started"),
        (Event::UndoFinished, "undo_finished"),
        (Event::UndoFailed, "undo_failed"),
    ];

    /// The word that is stored and shown.
    pub fn word(self) -> &'static str {
        Event::ALL.iter().find(|(event, _)| *event == self).map_or("", |(_, word)| word)
    }

    pub(crate) fn read(word: &str) -> base::Result<Self> {
        let found = Event::ALL.iter().find(|(_, other)| *other == word);
        found
            .map(|(event, _)| *event)
            .ok_or_else(|| Error::bug("flow.event", format!("`{word}` is not an event of the journal")))
    }
}

/// An error as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The kind, for example `Exhausted`.
    pub kind: String,
    /// The stable code, `noun.reason`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The step that failed; empty for a job.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// What the error was about, as it says itself: [`Error::attribute`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
}

impl Failure {
    pub(crate) fn of(e: &Error, step: &str) -> Self {
        // What went wrong inside is for the log, not for a customer's page.
        let message = if e.kind() == Kind::Bug {
            "an internal error; the operator's log has the details".to_owned()
        } else {
            e.to_string()
        };
        let (kind, code) = (format!("{:?}", e.kind()), e.code().to_owned());
        Failure { kind, code, message, step: step.to_owned(), attribute: e.attribute().map(str::to_owned) }
    }
}

/// Why the current step will be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    First,
    Again,
    Parked,
    Woken,
    Outside,
}

impl Phase {
    const ALL: [(Phase, &'static str); 5] = [
        (Phase::First, "first"),
        (Phase::Again, "again"),
        (Phase::Parked, "parked"),
        (Phase::Woken, "woken"),
        (Phase::Outside, "outside"),
    ];

    pub fn word(self) -> &'static str {
        Phase::ALL.iter().find(|(phase, _)| *phase == self).map_or("", |(_, word)| word)
    }

    pub fn read(word: &str) -> base::Result<Self> {
        let found = Phase::ALL.iter().find(|(_, other)| *other == word);
        found
            .map(|(phase, _)| *phase)
            .ok_or_else(|| Error::bug("flow.phase", format!("`{word}` is not a phase of a step")))
    }
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Which one.
    pub id: RunId,
    /// The flow's name.
    pub flow: String,
    /// The version it is pinned to.
    pub version: u32,
    /// The actor whose accepted request it carries out.
    pub requested_by: String,
    /// What it is about, and whose it is.
    pub subject: Subject,
    /// What it was started with.
    pub input: Json,
    /// Where it stands.
    pub state: State,
    /// What went wrong last; kept while it unwinds, and after.
    pub failure: Option<Failure>,
    /// Number of journal events so far; grows with every change.
    pub events: i64,
    /// When it was started.
    pub created: Timestamp,
    /// When it last moved.
    pub updated: Timestamp,
    pub(crate) backward: bool,
    pub(crate) past_return: bool,
    /// The current step, from 0; the number of steps when all are done; -1 when all are undone.
    pub(crate) step: i64,
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
    pub(crate) step_since: Option<Timestamp>,
    pub(crate) note: Option<Json>,
    pub(crate) wait_key: Option<String>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) fence: i64,
    pub(crate) claimed_by: Option<String>,
}

impl Run {
    /// Whether it takes back what it did, or has.
    pub fn is_turned_round(&self) -> bool {
        self.backward
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalEvent {
    /// From 1.
    pub seq: i64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The step's id.
    pub step: String,
    /// What happened.
    pub event: Event,
    /// How many calls had failed before.
    pub attempt: u32,
    /// The output of a step that succeeded, the failure of one that did not.
    pub detail: Json,
}

/// Where a step stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// At work, or about to be tried again.
    Running,
    /// Waits for something to be observed.
    Waiting,
    /// Done.
    Done,
    /// Passed over, because its condition was false or a person said so.
    Skipped,
    /// Failed; what came before it is taken back.
    Failed,
    /// Being taken back.
    Undoing,
    /// Taken back.
    Undone,
    /// Waits for a person's decision.
    Stuck,
}

/// One step of a run, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepProgress {
    /// The step's id.
    pub id: String,
    /// Its title.
    pub title: Title,
    /// Where it stands.
    pub state: StepState,
    /// When it began.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was done, passed over or taken back.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Calls that failed so far.
    pub failures: u32,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A run as it is shown in lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Which one.
    pub id: RunId,
    /// The flow's name.
    pub flow: String,
    /// Its version.
    pub version: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// Who asked for it.
    pub requested_by: String,
    /// Kind of what it is about.
    pub subject_kind: String,
    /// What it is about.
    pub subject_id: String,
    /// Where it stands.
    pub state: State,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Number of journal events; a live page reloads when it grows.
    pub revision: i64,
    /// When it was started.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// When it last moved.
    #[schemars(with = "String")]
    pub updated: Timestamp,
}

impl From<&Run> for RunSummary {
    fn from(run: &Run) -> Self {
        RunSummary {
            id: run.id,
            flow: run.flow.clone(),
            version: run.version,
            tenant: run.subject.tenant,
            requested_by: run.requested_by.clone(),
            subject_kind: run.subject.kind.clone(),
            subject_id: run.subject.id.clone(),
            state: run.state,
            failure: run.failure.clone(),
            revision: run.events,
            created: run.created,
            updated: run.updated,
        }
    }
}

/// What a person decided about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// `retry`, `skip`, `unwind` or `give_up`.
    pub verb: String,
    /// The step it was about.
    pub step: String,
    /// Why, in their words.
    pub reason: String,
}

/// A run with the progress of each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// The flow's title.
    pub title: Title,
    /// Its steps in order.
    pub steps: Vec<StepProgress>,
    /// What people decided about it.
    pub decisions: Vec<Decision>,
    /// What the step would have given at which the run is stuck, for whoever passes over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_skip: Option<ToSkip>,
}

/// What passing over a step takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToSkip {
    /// The step's id.
    pub step: String,
    /// JSON Schema of what it gives.
    pub output: Json,
    /// Whether later steps read it, so that it must be given.
    pub needed: bool,
}
