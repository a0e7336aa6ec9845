//! What a flow is made of: steps, typed, with an undo each.

use std::time::Duration;

use base::id::{RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use gate::{Gate, Tx};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a run is about: an order, a service, a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Its kind, for example `productOrder`.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Whose it is; the run is theirs too.
    pub tenant: TenantId,
}

impl Subject {
    /// A subject.
    pub fn new(kind: impl Into<String>, id: impl Into<String>, tenant: TenantId) -> Self {
        Subject { kind: kind.into(), id: id.into(), tenant }
    }
}

/// How a step's effect is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It has no effect: it only looks or reckons.
    Nothing,
    /// By its `undo`.
    ByStep,
    /// Not at all: a definition must declare it the point of no return.
    Impossible,
}

/// Why a step is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// For the first time.
    First,
    /// Again after it failed in a way that may pass.
    Again,
    /// Its key was woken.
    Woken,
    /// The deadline that it waited for has passed.
    Overdue,
    /// It was asked before and nobody knows what came of it: look first.
    Uncertain,
}

/// What a step knows about the run that it works for.
#[derive(Debug)]
pub struct StepCx<'a> {
    /// The run.
    pub run: RunId,
    /// The step's id in the definition.
    pub step: &'a str,
    /// The flow's name.
    pub flow: &'a str,
    /// What the run is about, and whose.
    pub subject: &'a Subject,
    /// The actor whose accepted request the run carries out. They may have left since.
    pub requested_by: &'a str,
    /// How often it was called before and failed.
    pub attempt: u32,
    /// Why it is called now.
    pub call: Call,
    /// When this step of this run first began.
    pub since: Timestamp,
    /// Grows with each call to the world: what an older call writes yet is told by it ([`crate::flows::check_call`]).
    pub fence: i64,
    pub(crate) note: Option<&'a Json>,
}

impl StepCx<'_> {
    /// A key that is this step's of this run and stays the same however often it
    /// is called: what makes an effect outside idempotent.
    pub fn key(&self) -> String {
        format!("{}/{}", self.run, self.step)
    }

    /// What the step noted when it last waited.
    ///
    /// # Errors
    /// `Bug` where the note is of another type.
    pub fn note<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(note) = self.note else { return Ok(None) };
        T::deserialize(note)
            .map(Some)
            .map_err(|e| Error::bug("flow.note", format!("the note of step {} does not read", self.step)).because(e))
    }
}

/// How far a step has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<T> {
    /// Done, with what it gives to later steps.
    Done(T),
    /// Parked until its key is woken or its deadline passes. Costs nothing meanwhile.
    Wait(Wait),
}

/// What a parked step waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// Woken by [`crate::flows::wake`] with the same key; `None` waits for the deadline alone.
    pub key: Option<String>,
    /// When it is called in any case; the step's own time-out if that is sooner.
    pub deadline: Option<Timestamp>,
    /// Given back by [`StepCx::note`].
    pub note: Option<Json>,
}

impl<T> Progress<T> {
    /// Waits for `key`, until the step's time-out.
    pub fn wait(key: impl Into<String>) -> Self {
        Progress::Wait(Wait { key: Some(key.into()), deadline: None, note: None })
    }

    /// Waits until an instant.
    pub fn wait_until(deadline: Timestamp) -> Self {
        Progress::Wait(Wait { key: None, deadline: Some(deadline), note: None })
    }

    /// Where it waits: not longer than until `deadline`.
    #[must_use]
    pub fn until(self, deadline: Timestamp) -> Self {
        match self {
            Progress::Wait(wait) => Progress::Wait(Wait { deadline: Some(deadline), ..wait }),
            done => done,
        }
    }

    /// Where it waits: keeps a note for the next call and for the undo.
    #[must_use]
    pub fn noting(self, note: Json) -> Self {
        match self {
            Progress::Wait(wait) => Progress::Wait(Wait { note: Some(note), ..wait }),
            done => done,
        }
    }
}

/// A step that works inside the database: its effect and its journal entry are one commit.
///
/// It may be called several times (a wake-up, a deadline, a retry, a second
/// server): it looks at what is there and goes on from it.
pub trait Step: Send + Sync + 'static {
    /// `capability.verb`, for example `capacity.reserve`.
    const NAME: &'static str;
    /// One sentence for the documentation.
    const SUMMARY: &'static str;
    /// How its effect is taken back.
    const UNDO: Undo;
    /// What it needs.
    type In: DeserializeOwned + JsonSchema;
    /// What it gives to later steps.
    type Out: Serialize + DeserializeOwned + JsonSchema;

    /// Does it.
    ///
    /// # Errors
    /// The kind decides: transient kinds are tried again, `Bug` parks the run on
    /// the operators' page, everything else unwinds the run.
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &Self::In) -> Result<Progress<Self::Out>>;

    /// Takes it back. `output` is `None` where the step had begun (it waited) and never finished.
    ///
    /// # Errors
    /// Transient kinds are tried again, everything else parks the run on the operators' page.
    fn undo(
        &self,
        tx: &mut Tx<'_>,
        cx: &StepCx<'_>,
        input: &Self::In,
        output: Option<&Self::Out>,
    ) -> Result<Progress<()>>;
}

/// A step that touches the world. That it begins is journalled before it is
/// called; its effect is idempotent by [`StepCx::key`].
pub trait Outside: Send + Sync + 'static {
    /// `capability.verb`.
    const NAME: &'static str;
    /// One sentence for the documentation.
    const SUMMARY: &'static str;
    /// How its effect is taken back.
    const UNDO: Undo;
    /// How long one call may take at the most; another server takes over after that.
    const TERM: Duration = Duration::from_secs(60);
    /// Whether a call is let be for as long as its process lives: its claim is prolonged, and no other call of its
    /// run is made beside it. For work of hours, the end of which nobody knows beforehand.
    const ALONE: bool = false;
    /// What it needs.
    type In: DeserializeOwned + JsonSchema;
    /// What it gives to later steps.
    type Out: Serialize + DeserializeOwned + JsonSchema;

    /// Does it. With [`Call::Uncertain`] it looks first whether it was done already.
    ///
    /// # Errors
    /// As [`Step::run`].
    fn run(&self, gate: &Gate, cx: &StepCx<'_>, input: &Self::In) -> Result<Progress<Self::Out>>;

    /// Takes it back. `output` is `None` where nobody knows how far it came.
    ///
    /// # Errors
    /// As [`Step::undo`].
    fn undo(&self, gate: &Gate, cx: &StepCx<'_>, input: &Self::In, output: Option<&Self::Out>) -> Result<Progress<()>>;
}
