//! Actions with work that must be done before their transaction.
//!
//! Hashing a password takes tens of milliseconds and many megabytes on purpose;
//! done inside a write transaction it would hold up every other writer. So such
//! an action has two halves: `prepare` runs on the caller's (blocking) thread
//! and may look into the database, `run` is the action proper and gets what the
//! first half found out. `run` believes nothing that can have changed since.

use base::{Error, Kind, Result};
use gate::{AnyAction, Cx, Effect, Gate, Tx, audit, read_input, write_output};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// A use case in two halves; otherwise like [`gate::Action`].
pub struct Prepared<I: 'static, P: 'static, O: 'static> {
    /// `noun.verb`.
    pub name: &'static str,
    /// One sentence for the API documentation.
    pub summary: &'static str,
    /// Whether it changes anything.
    pub effect: Effect,
    /// What is found out before the transaction. Must not change anything that
    /// a refusal would have to undo.
    pub prepare: fn(&Gate, &Cx, I) -> Result<P>,
    /// What it does.
    pub run: fn(&mut Tx<'_>, &P) -> Result<O>,
}

impl<I, P, O> Prepared<I, P, O>
where
    I: Serialize,
    P: Send + Sync + 'static,
    O: Send + 'static,
{
    /// Runs it and waits until its result is durable. Not for async tasks.
    ///
    /// # Errors
    /// Those of both halves, of the decision and of the database.
    pub fn run(&'static self, gate: &Gate, cx: &Cx, input: I) -> Result<O> {
        let digest = audit::digest(&input);
        match gate.check_proof(cx, self.name).and_then(|()| (self.prepare)(gate, cx, input)) {
            Ok(prepared) => gate.perform(cx, self.name, self.effect, digest, move |tx| (self.run)(tx, &prepared)),
            // Through the gate, so that the refusal is on the record.
            Err(e) if matches!(e.kind(), Kind::Unauthenticated | Kind::Forbidden) => {
                gate.perform(cx, self.name, self.effect, digest, move |_| Err(e.clone()))
            }
            Err(e) => Err(e),
        }
    }

    /// [`Prepared::run`] for async tasks.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub async fn call(&'static self, gate: &Gate, cx: &Cx, input: I) -> Result<O>
    where
        I: Send + 'static,
    {
        let (gate, cx) = (gate.clone(), cx.clone());
        tokio::task::spawn_blocking(move || self.run(&gate, &cx, input))
            .await
            .unwrap_or_else(|e| Err(Error::bug("task.panic", "a task stopped on a broken invariant").because(e)))
    }
}

impl<I, P, O> AnyAction for Prepared<I, P, O>
where
    I: DeserializeOwned + Serialize + schemars::JsonSchema + Send + Sync + 'static,
    P: Send + Sync + 'static,
    O: Serialize + schemars::JsonSchema + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn effect(&self) -> Effect {
        self.effect
    }
    fn input_schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<I>()
    }
    fn output_schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<O>()
    }
    fn plain_input(&self, input: &Json) -> Result<Json> {
        write_output(read_input::<I>(input.clone())?)
    }
    fn is_repeatable(&self) -> bool {
        false
    }
    fn run_in(&self, _: &mut Tx<'_>, _: &Json) -> Result<Json> {
        Err(Error::bug("action.not_repeatable", format!("{} has work to do before its transaction", self.name)))
    }
    fn run_json(&'static self, gate: &Gate, cx: &Cx, input: Json) -> Result<Json> {
        write_output(self.run(gate, cx, read_input(input)?)?)
    }
}
