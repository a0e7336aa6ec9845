//! Where a second person is asked for, and how what they agreed to is run.
//!
//! The gate lets an action do its work and then asks the [`Guard`], in the same
//! transaction and before anything is durable: so what it says follows from what
//! was really done (whose object it was, what it [amounts to](Tx::amounts_to)),
//! and no other way in does the same thing unasked. A refusal takes it all back.
//!
//! An action that was agreed to is run by [`Tx::run_as`] in the transaction of
//! the agreement, with an audit entry of its own in the name of who asked.
//!
//! Not here: which actions these are, who may agree, and what is kept of it (`access::approvals`).

use base::id::TenantId;
use base::{Error, Result};
use db::{Class, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::run::entry;
use crate::{AnyAction, Catalogue, Cx, Effect, Kind, Relation, Tx, Verb, audit};

/// Who is asked before what an account has done becomes durable.
#[derive(Debug)]
pub struct Guard {
    /// Whether the action of that name may need a second person at all.
    pub knows: fn(&str) -> bool,
    /// The other actions that can [amount to](Tx::amounts_to) something.
    pub amounting: &'static [&'static str],
    /// Refuses what needs one. Asked for the actions that `knows` names, and for
    /// whatever amounted to something.
    pub check: fn(&mut Tx<'_>, &str) -> Result<()>,
}

impl Guard {
    /// Whether whoever does the action of that name can be told to ask a second person.
    pub fn can_ask(&self, action: &str) -> bool {
        (self.knows)(action) || self.amounting.contains(&action)
    }
}

/// What an action turned out to do, under the name of the action that says so plainly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// `noun.verb`.
    pub name: &'static str,
    /// To what.
    pub object: Object,
}

/// What something was done to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Its kind; empty where nothing was touched.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Its revision, 0 where it has none.
    pub revision: i64,
}

/// What came of an action that was run as somebody.
#[derive(Debug)]
pub struct Done {
    /// What it gave.
    pub output: Json,
    /// What it touched first.
    pub object: Object,
    /// What it amounted to.
    pub deeds: Vec<Deed>,
    /// Whether it made something new: then `object` did not exist before.
    pub effect: Effect,
}

/// Something that can be run by its name on JSON.
enum Runnable {
    Action(&'static dyn AnyAction),
    Kind(&'static Kind, Verb),
}

impl Runnable {
    fn of(catalogue: &Catalogue, name: &str) -> Result<Runnable> {
        if let Some(action) = catalogue.find(name).filter(|action| action.is_repeatable()) {
            return Ok(Runnable::Action(action));
        }
        let of_kinds = catalogue.all_kinds().iter().flat_map(|kind| kind.verbs.iter().map(move |verb| (*kind, *verb)));
        let mut runnable = of_kinds.filter(|(_, verb)| *verb != Verb::List);
        let found = runnable.find(|(kind, verb)| kind.action(*verb) == name);
        found.map(|(kind, verb)| Runnable::Kind(kind, verb)).ok_or_else(|| {
            Error::invalid("action.unknown", "there is no action of that name that can be asked for").at("action")
        })
    }

    fn effect(&self) -> Effect {
        match self {
            Runnable::Action(action) => action.effect(),
            Runnable::Kind(_, Verb::Create) => Effect::Create,
            Runnable::Kind(_, Verb::Update) => Effect::Change,
            Runnable::Kind(_, Verb::Delete) => Effect::Delete,
            Runnable::Kind(_, Verb::Get | Verb::List) => Effect::Read,
        }
    }

    fn run(&self, tx: &mut Tx<'_>, input: &Json) -> Result<Json> {
        match self {
            Runnable::Action(action) => action.run_in(tx, input),
            Runnable::Kind(kind, Verb::Create) => {
                let body = input.as_object().ok_or_else(not_an_object)?;
                let made = kind.request_in(tx, body)?.into_inner();
                Ok(identified(made))
            }
            Runnable::Kind(kind, Verb::Update) => {
                let asked = OfRecord::read(input)?;
                let patch = asked.patch.as_ref().ok_or_else(not_an_object)?;
                let changed = kind.patch_in(tx, &asked.id, asked.revision, patch)?.into_inner();
                Ok(identified(changed))
            }
            Runnable::Kind(kind, Verb::Delete) => {
                let asked = OfRecord::read(input)?;
                kind.delete_in(tx, &asked.id, asked.revision)?;
                Ok(Json::Object(Map::new()))
            }
            Runnable::Kind(kind, Verb::Get | Verb::List) => {
                let id = input.get("id").and_then(Json::as_str).unwrap_or_default();
                tx.load(kind, Verb::Get, id).map(|record| Json::Object(record.into_inner().body))
            }
        }
    }
}

/// A record with its identifier, as it is answered.
fn identified(record: Record) -> Json {
    let mut body = record.body;
    body.insert("id".to_owned(), record.id.into());
    Json::Object(body)
}

/// What is asked for by the name of a kind's `update` or `delete`: what stands in the address, in the headers and in
/// the body of its route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfRecord {
    /// The record.
    pub id: String,
    /// The revision that it must have, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// For `update`: the merge patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Map<String, Json>>,
}

impl OfRecord {
    fn read(input: &Json) -> Result<OfRecord> {
        OfRecord::deserialize(input).map_err(|e| Error::invalid("input.malformed", e.to_string()).at("input"))
    }

    /// As an action's input.
    ///
    /// # Errors
    /// None that can be met: every member is JSON.
    pub fn written(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|e| Error::bug("input.written", "an input cannot be written").because(e))
    }
}

fn not_an_object() -> Error {
    Error::invalid("input.malformed", "the input is a JSON object").at("input")
}

/// Leaves out what was not said and is written as `null`: to some inputs a `null` that is there says
/// something else than none.
fn leave_out(plain: &mut Json, said: &Json) {
    let (Json::Object(plain), Json::Object(said)) = (plain, said) else { return };
    plain.retain(|name, value| !value.is_null() || said.contains_key(name));
    for (name, value) in plain.iter_mut() {
        leave_out(value, said.get(name).unwrap_or(&Json::Null));
    }
}

impl<'t> Tx<'t> {
    /// Says what the work at hand amounts to where its action's name does not: an order can end a
    /// service. What needs a second person does so by whatever way it is done.
    pub fn amounts_to(&mut self, name: &'static str, object: Object) {
        self.deeds.push(Deed { name, object });
    }

    /// What the work so far amounts to.
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    /// What was touched first, by now.
    pub fn touched(&self) -> Object {
        let touched = &self.touched;
        Object {
            kind: touched.kind.clone(),
            id: touched.id.clone(),
            tenant: touched.tenant,
            revision: touched.revision,
        }
    }

    /// Whether somebody could begin an action in the tenant in which they act, whatever its objects are.
    pub fn would_allow(&self, cx: &Cx, action: &str) -> bool {
        self.gate().policies.decide(cx, action, "tenant", Class::Internal, Relation::Own).is_ok()
    }

    /// An action's input as the action itself reads it: defaults spelled out, and nothing in it that
    /// the action would pass over.
    ///
    /// # Errors
    /// `Invalid` where there is no such action or the input does not read.
    pub fn plain_input(&self, name: &str, input: &Json) -> Result<Json> {
        match Runnable::of(self.gate().catalogue(), name)? {
            Runnable::Action(action) => {
                let mut plain = action.plain_input(input)?;
                leave_out(&mut plain, input);
                Ok(plain)
            }
            Runnable::Kind(_, Verb::Update | Verb::Delete) => OfRecord::read(input)?.written(),
            Runnable::Kind(..) if input.is_object() => Ok(input.clone()),
            Runnable::Kind(..) => Err(not_an_object()),
        }
    }

    /// Runs an action as somebody else inside this transaction, decided as if they had sent it, and
    /// with an audit entry of its own in their name. The guard is not asked: whoever calls this has
    /// found out that a second person agreed, or takes it all back ([`Tx::rehearse`]).
    ///
    /// # Errors
    /// `Invalid` (`action.unknown`), those of the decision and of the action.
    pub fn run_as(&mut self, cx: &Cx, name: &str, input: &Json) -> Result<Done> {
        let gate = self.gate();
        let runnable = Runnable::of(gate.catalogue(), name)?;
        let (effect, digest, now) = (runnable.effect(), audit::digest(input), self.now);
        // Who is not here showed who they are when they asked; who is here shows it for this too.
        match cx.proof() {
            Some(_) => gate.open(cx, name, now)?,
            None => gate.permitted(cx, name)?,
        }
        let (result, done) = self.within(cx, |inner| {
            let output = runnable.run(inner, input);
            (output, (inner.touched.clone(), inner.touched(), std::mem::take(&mut inner.deeds)))
        });
        let (touched, object, deeds) = done;
        let output = result.inspect_err(|_| self.touched.hidden |= touched.hidden)?;
        if effect != Effect::Read {
            audit::append(self, &entry(cx, name, &touched, "done", digest, now))?;
        }
        Ok(Done { output, object, deeds, effect })
    }

    /// Does part of the work to see whether it can be done, and takes it back in any case.
    ///
    /// # Errors
    /// Those of `work`, and as [`Tx::attempt`].
    pub fn rehearse<T>(&mut self, work: impl FnOnce(&mut Tx<'t>) -> Result<T>) -> Result<T> {
        const BACK: &str = "tx.rehearsed";
        let mut seen = None;
        // Only what fails is taken back, so what was seen leaves by another door.
        let result: Result<()> = self.attempt(|tx| {
            seen = Some(work(tx)?);
            Err(Error::conflict(BACK, "this was only to see whether it can be done"))
        });
        match (seen, result) {
            (Some(value), Err(e)) if e.code() == BACK => Ok(value),
            (_, Err(e)) => Err(e),
            (_, Ok(())) => Err(Error::bug("tx.rehearsal", "a rehearsal was not taken back")),
        }
    }
}
