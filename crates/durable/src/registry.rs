//! The registry: every kind of lasting work that the house knows, as values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result};
use gate::{Gate, Tx};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::jobs::{Handler, JobCx, Patience};
use crate::step::{Outside, Progress, Step, StepCx, Undo};

/// A step without its types.
pub(crate) struct AnyStep {
    pub name: &'static str,
    pub summary: &'static str,
    pub undo: Undo,
    pub input: Json,
    pub output: Json,
    pub body: Body,
}

type InTx<T> = Box<dyn Fn(&mut Tx<'_>, &StepCx<'_>, Json) -> Result<Progress<T>> + Send + Sync>;
type UndoInTx = Box<dyn Fn(&mut Tx<'_>, &StepCx<'_>, Json, Option<Json>) -> Result<Progress<()>> + Send + Sync>;
type InWorld<T> = Box<dyn Fn(&Gate, &StepCx<'_>, Json) -> Result<Progress<T>> + Send + Sync>;
type UndoInWorld = Box<dyn Fn(&Gate, &StepCx<'_>, Json, Option<Json>) -> Result<Progress<()>> + Send + Sync>;

pub(crate) enum Body {
    Inside { run: InTx<Json>, undo: UndoInTx },
    Outside { run: InWorld<Json>, undo: UndoInWorld, term: Duration, alone: bool },
}

type Look = Box<dyn Fn(&Gate) -> Result<()> + Send + Sync>;

/// A reconciler: takes no input, compares what is with what should be, acts.
pub(crate) struct Reconciler {
    pub every: Duration,
    pub work: Look,
}

/// Everything registered. `server` collects it from the rooms.
#[derive(Default)]
pub struct Registry {
    pub(crate) steps: BTreeMap<&'static str, AnyStep>,
    pub(crate) jobs: BTreeMap<&'static str, (Handler, Patience)>,
    pub(crate) reconcilers: BTreeMap<&'static str, Reconciler>,
    pub(crate) definitions: Vec<&'static str>,
    pub(crate) home: Option<String>,
}

impl Registry {
    /// Says of which data directory the process is, by a name of its own (letters and digits): where several servers
    /// share a database, what an earlier process of the same directory was at is gone on with as soon as this one
    /// starts.
    #[must_use]
    pub fn home(mut self, name: &str) -> Self {
        self.home = Some(name.to_owned());
        self
    }

    /// Adds a step that works inside the database.
    ///
    /// # Panics
    /// Where two steps have one name: the program is then wrong and must not start.
    #[must_use]
    pub fn step<S: Step>(mut self, step: S) -> Self {
        let step = Arc::new(step);
        let other = step.clone();
        let run: InTx<Json> =
            Box::new(move |tx, cx, input| step.run(tx, cx, &read::<S::In>(S::NAME, "input", input)?).and_then(write));
        let undo: UndoInTx = Box::new(move |tx, cx, input, output| {
            let output = output.map(|output| read::<S::Out>(S::NAME, "output", output)).transpose()?;
            other.undo(tx, cx, &read::<S::In>(S::NAME, "input", input)?, output.as_ref())
        });
        self.add::<S::In, S::Out>(S::NAME, S::SUMMARY, S::UNDO, Body::Inside { run, undo });
        self
    }

    /// Adds a step that touches the world.
    ///
    /// # Panics
    /// As [`Registry::step`].
    #[must_use]
    pub fn outside<S: Outside>(mut self, step: S) -> Self {
        let step = Arc::new(step);
        let other = step.clone();
        let run: InWorld<Json> = Box::new(move |gate, cx, input| {
            step.run(gate, cx, &read::<S::In>(S::NAME, "input", input)?).and_then(write)
        });
        let undo: UndoInWorld = Box::new(move |gate, cx, input, output| {
            let output = output.map(|output| read::<S::Out>(S::NAME, "output", output)).transpose()?;
            other.undo(gate, cx, &read::<S::In>(S::NAME, "input", input)?, output.as_ref())
        });
        self.add::<S::In, S::Out>(
            S::NAME,
            S::SUMMARY,
            S::UNDO,
            Body::Outside { run, undo, term: S::TERM, alone: S::ALONE },
        );
        self
    }

    fn add<I: JsonSchema, O: JsonSchema>(&mut self, name: &'static str, summary: &'static str, undo: Undo, body: Body) {
        let step = AnyStep { name, summary, undo, input: schema::<I>(), output: schema::<O>(), body };
        assert!(self.steps.insert(name, step).is_none(), "two steps are called {name}");
    }

    /// Adds a kind of job. `handler` is idempotent: it may be called again after it succeeded.
    ///
    /// # Panics
    /// Where two kinds of job have one name.
    #[must_use]
    pub fn job<P, F>(mut self, kind: &'static str, patience: Patience, handler: F) -> Self
    where
        P: DeserializeOwned,
        F: Fn(&Gate, &JobCx, P) -> Result<()> + Send + Sync + 'static,
    {
        let handler: Handler =
            Box::new(move |gate, cx, payload| handler(gate, cx, read::<P>(kind, "payload", payload)?));
        assert!(self.jobs.insert(kind, (handler, patience)).is_none(), "two kinds of job are called {kind}");
        self
    }

    /// Adds a reconciler, run every so often by one server at a time.
    ///
    /// # Panics
    /// Where two reconcilers have one name.
    #[must_use]
    pub fn reconciler(
        mut self,
        name: &'static str,
        every: Duration,
        work: impl Fn(&Gate) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let reconciler = Reconciler { every, work: Box::new(work) };
        assert!(self.reconcilers.insert(name, reconciler).is_none(), "two reconcilers are called {name}");
        self
    }

    /// Adds a definition (YAML) that comes with the product.
    #[must_use]
    pub fn definition(mut self, yaml: &'static str) -> Self {
        self.definitions.push(yaml);
        self
    }

    /// Name, summary, input and output schema of every step, for documentation and editors.
    pub fn describe(&self) -> Vec<(&'static str, &'static str, Json, Json)> {
        self.steps.values().map(|step| (step.name, step.summary, step.input.clone(), step.output.clone())).collect()
    }
}

fn schema<T: JsonSchema>() -> Json {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

fn read<T: DeserializeOwned>(name: &str, what: &str, value: Json) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|e| Error::bug("work.malformed", format!("the {what} of {name} does not read: {e}")))
}

fn write<T: Serialize>(progress: Progress<T>) -> Result<Progress<Json>> {
    Ok(match progress {
        Progress::Done(value) => Progress::Done(
            serde_json::to_value(value)
                .map_err(|e| Error::bug("flow.output", "a step's output cannot be written as JSON").because(e))?,
        ),
        Progress::Wait(wait) => Progress::Wait(wait),
    })
}
