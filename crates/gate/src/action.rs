//! Actions as values.

use std::collections::BTreeMap;

use base::time::Timestamp;
use base::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::bounds::Scoped;
use crate::search::Findable;
use crate::{Cx, Fresh, Gate, Guard, Kind, Tx, Verb, proof};

/// Whether an action changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads only; leaves an audit entry only when refused.
    Read,
    /// Makes something new.
    Create,
    /// Changes something.
    Change,
    /// Removes something.
    Delete,
    /// Tells again and again what is seen: an audit entry only where it made a
    /// fact, or when refused. That all is as it was is no event, and a thousand
    /// hosts say so every few seconds.
    Report,
}

/// A use case: everything that a person or a program may do is one of these.
///
/// `name` is permission, audit verb and documentation key in one: `noun.verb`.
pub struct Action<I: 'static, O: 'static> {
    /// `noun.verb`, for example `flow.retry`.
    pub name: &'static str,
    /// One sentence for the API documentation.
    pub summary: &'static str,
    /// Whether it changes anything.
    pub effect: Effect,
    /// What it does: rows and facts, nothing outside the database.
    pub run: fn(&mut Tx<'_>, &I) -> Result<O>,
}

/// An action without its types: for routes, approvals, documentation.
pub trait AnyAction: Sync {
    /// `noun.verb`.
    fn name(&self) -> &'static str;
    /// One sentence.
    fn summary(&self) -> &'static str;
    /// Whether it changes anything.
    fn effect(&self) -> Effect;
    /// JSON schema of the input.
    fn input_schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
    /// JSON schema of what comes back.
    fn output_schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
    /// Runs it on JSON. Blocks until the result is durable.
    ///
    /// # Errors
    /// `Invalid` where the input does not read, else those of the action.
    fn run_json(&'static self, gate: &Gate, cx: &Cx, input: Json) -> Result<Json>;
    /// Runs it on JSON inside a transaction that was opened for it
    /// ([`Gate::perform`] under this action's name).
    ///
    /// # Errors
    /// As [`AnyAction::run_json`].
    fn run_in(&self, tx: &mut Tx<'_>, input: &Json) -> Result<Json>;
    /// Its input as it reads it: defaults spelled out, and nothing that it would pass over.
    ///
    /// # Errors
    /// `Invalid` where the input does not read.
    fn plain_input(&self, input: &Json) -> Result<Json>;
    /// Whether it can be run by [`AnyAction::run_in`], together with other work.
    /// Not so where slow work (hashing a password) comes before the transaction.
    fn is_repeatable(&self) -> bool {
        true
    }
}

impl<I, O> AnyAction for Action<I, O>
where
    I: DeserializeOwned + Serialize + schemars::JsonSchema + Send + Sync + 'static,
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
    fn run_json(&'static self, gate: &Gate, cx: &Cx, input: Json) -> Result<Json> {
        write_output(gate.run(cx, self, read_input(input)?)?)
    }
    fn run_in(&self, tx: &mut Tx<'_>, input: &Json) -> Result<Json> {
        write_output((self.run)(tx, &read_input(input.clone())?)?)
    }
    fn plain_input(&self, input: &Json) -> Result<Json> {
        write_output(read_input::<I>(input.clone())?)
    }
}

/// Reads an action's input; the error names what does not fit.
///
/// # Errors
/// `Invalid` (`input.malformed`).
pub fn read_input<I: DeserializeOwned>(input: Json) -> Result<I> {
    I::deserialize(input).map_err(|e| Error::invalid("input.malformed", e.to_string()))
}

/// Writes what an action gives.
///
/// # Errors
/// `Bug` where it is nothing that JSON can hold.
pub fn write_output(output: impl Serialize) -> Result<Json> {
    serde_json::to_value(output)
        .map_err(|e| Error::bug("action.output", "a result cannot be written as JSON").because(e))
}

/// All that can be done: the registered actions and the kinds of record.
#[derive(Default)]
pub struct Catalogue {
    actions: BTreeMap<&'static str, &'static dyn AnyAction>,
    kinds: Vec<&'static Kind>,
    findables: Vec<&'static [Findable]>,
    guard: Option<&'static Guard>,
    sensitive: BTreeMap<&'static str, Fresh>,
    open_to_unenrolled: &'static [&'static str],
    for_people: &'static [&'static str],
    /// Filled once it is whole, as scopes are met.
    pub(crate) scoped: Scoped,
}

impl Catalogue {
    /// Adds a room's actions.
    ///
    /// # Panics
    /// Where two actions have one name: the program is then wrong and must not start.
    #[must_use]
    pub fn actions(mut self, actions: &[&'static dyn AnyAction]) -> Self {
        for action in actions {
            assert!(self.actions.insert(action.name(), *action).is_none(), "two actions are called {}", action.name());
        }
        self
    }

    /// Adds a room's kinds of record.
    #[must_use]
    pub fn kinds(mut self, kinds: &[&'static Kind]) -> Self {
        self.kinds.extend(kinds);
        self
    }

    /// Adds what a room keeps that is no record, and that people look for.
    ///
    /// # Panics
    /// Where two are called the same: the program is then wrong and must not start.
    #[must_use]
    pub fn findable(mut self, findables: &'static [Findable]) -> Self {
        for one in findables {
            assert!(
                self.kinds_found().all(|kind| kind != one.kind),
                "two things that are found are called {}",
                one.kind
            );
        }
        self.findables.push(findables);
        self
    }

    /// Says who is asked before something that needs a second person becomes durable.
    #[must_use]
    pub fn guarded(self, guard: &'static Guard) -> Self {
        Catalogue { guard: Some(guard), ..self }
    }

    /// Who is asked, if anybody.
    pub fn guard(&self) -> Option<&'static Guard> {
        self.guard
    }

    /// Marks actions that give or take control over access and keys: who does them must have shown
    /// lately who they are, and a token must have been made for them.
    #[must_use]
    pub fn sensitive(mut self, actions: &[(&'static str, Fresh)]) -> Self {
        self.sensitive.extend(actions.iter().copied());
        self
    }

    /// Names what somebody may do who must have a second factor and has none yet.
    #[must_use]
    pub fn open_to_unenrolled(mut self, actions: &'static [&'static str]) -> Self {
        self.open_to_unenrolled = actions;
        self
    }

    /// Names what no program does with a key of its own: what makes further keys, or other ways in.
    #[must_use]
    pub fn for_people(mut self, actions: &'static [&'static str]) -> Self {
        self.for_people = actions;
        self
    }

    /// Whether an action is one that no program does with a key of its own.
    pub fn is_for_people(&self, action: &str) -> bool {
        self.for_people.contains(&action)
    }

    /// Whether the actor has shown enough for the action.
    pub(crate) fn check_proof(&self, cx: &Cx, action: &str, now: Timestamp) -> Result<()> {
        if cx.proof().is_some_and(|proof| proof.must_enrol) && !self.is_open_to_unenrolled(action) {
            return Err(Error::forbidden(
                "factor.required",
                "your organisation asks for a second factor: enrol one before anything else",
            ));
        }
        self.sensitive.get(action).map_or(Ok(()), |wanted| proof::check(cx, action, *wanted, now))
    }

    /// When an action wants a fresh proof of who one is, where it does.
    pub fn wants_fresh(&self, action: &str) -> Option<Fresh> {
        self.sensitive.get(action).copied()
    }

    /// Whether an action is open to somebody who must have a second factor and has none yet.
    pub fn is_open_to_unenrolled(&self, action: &str) -> bool {
        self.open_to_unenrolled.contains(&action)
    }

    /// The names of the sensitive actions.
    pub fn sensitive_names(&self) -> impl Iterator<Item = &'static str> {
        self.sensitive.keys().copied()
    }

    /// The registered kinds.
    pub fn all_kinds(&self) -> &[&'static Kind] {
        &self.kinds
    }

    /// What is found and is no record.
    pub fn findables(&self) -> impl Iterator<Item = &'static Findable> {
        self.findables.iter().flat_map(|part| part.iter())
    }

    /// The words for everything that is found.
    pub fn kinds_found(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().map(|kind| kind.name).chain(self.findables().map(|one| one.kind))
    }

    /// The action of that name.
    pub fn find(&self, name: &str) -> Option<&'static dyn AnyAction> {
        self.actions.get(name).copied()
    }

    /// What an action of that name does, in a sentence; nothing where there is no such action.
    pub fn title(&self, name: &str) -> Option<String> {
        if let Some(action) = self.find(name) {
            return Some(action.summary().to_owned());
        }
        let mut of_kinds = self.kinds.iter().flat_map(|kind| kind.verbs.iter().map(move |verb| (kind, *verb)));
        let (kind, verb) = of_kinds.find(|(kind, verb)| kind.action(*verb) == name)?;
        Some(match verb {
            Verb::Create => format!("Makes a {}.", kind.name),
            Verb::Get => format!("Reads a {}.", kind.name),
            Verb::List => format!("Lists what there is of {}.", kind.name),
            Verb::Update => format!("Changes a {}.", kind.name),
            Verb::Delete => format!("Removes a {}.", kind.name),
        })
    }

    /// Every name that a policy may speak of.
    pub fn names(&self) -> Vec<String> {
        self.effects().map(|(name, _)| name).collect()
    }

    /// Everything that can be done, by name, with whether it changes anything.
    pub(crate) fn effects(&self) -> impl Iterator<Item = (String, Effect)> {
        let of_kinds =
            self.kinds.iter().flat_map(|kind| kind.verbs.iter().map(|verb| (kind.action(*verb), verb.effect())));
        self.actions.values().map(|action| (action.name().to_owned(), action.effect())).chain(of_kinds)
    }
}
