//! What the gate would say, without doing anything: for those who ask why, and who can.
//!
//! Nothing is decided here. Each question goes the way of a request: whether the action may be begun,
//! whether its object is in reach and may be used so, and whether a second person is asked for; by the
//! functions that a request meets.
//!
//! Not here: what an action's own rules say, which are known when it runs.

use base::Result;
use base::id::TenantId;
use db::Class;

use crate::tx::hides;
use crate::{Cx, Effect, Forbidding, Policies, Relation, Tx};

/// What an action is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Which one.
    pub id: &'a str,
    /// Whose it is.
    pub owner: TenantId,
    /// How far it may be seen.
    pub class: Class,
}

impl Tx<'_> {
    /// What whoever acts in `cx` would be told by the gate now: before the action begins, about `thing`, and
    /// after its work, where it asks for a second person.
    ///
    /// # Errors
    /// The refusal that they would meet first.
    pub fn would_refuse(&mut self, cx: &Cx, action: &str, thing: Option<Thing<'_>>) -> Result<()> {
        let gate = self.gate();
        gate.open(cx, action, self.now)?;
        if let Some(thing) = thing {
            self.within(cx, |inner| inner.grant(action, thing.kind, thing.id, thing.owner, thing.class, ()).map(drop))?;
        }
        self.would_guard(cx, action, thing)
    }

    /// Whether a second person would be asked for after the action's work, as far as that follows from its name.
    ///
    /// # Errors
    /// The refusal of the guard.
    pub fn would_guard(&mut self, cx: &Cx, action: &str, thing: Option<Thing<'_>>) -> Result<()> {
        let gate = self.gate();
        self.within(cx, |inner| {
            if let Some(thing) = thing {
                inner.touch(thing.kind, thing.id, thing.owner, 0);
            }
            gate.guarded(inner, action, Effect::Change)
        })
    }

    /// Whether whoever acts in `cx` has shown enough of who they are for an action.
    pub fn would_prove(&self, cx: &Cx, action: &str) -> bool {
        self.gate().catalogue().check_proof(cx, action, self.now).is_ok()
    }

    /// Whether somebody could begin an action and do it to something of that kind and class.
    pub fn would_allow_on(&self, cx: &Cx, action: &str, thing: Option<Thing<'_>>) -> bool {
        let on = |thing: Thing<'_>| {
            let relation = cx.relation(thing.owner);
            !hides(relation, thing.class)
                && self.policies().decide(cx, action, thing.kind, thing.class, relation).is_ok()
        };
        self.would_allow(cx, action) && thing.is_none_or(on)
    }

    /// The policies that forbid an action to somebody, at its beginning or about `thing`.
    ///
    /// # Errors
    /// `Bug` where the decision cannot be asked for.
    pub fn forbidding(&self, cx: &Cx, action: &str, thing: Option<Thing<'_>>) -> Result<Vec<Forbidding>> {
        let mut found = self.policies().forbidding(cx, action, "tenant", Class::Internal, Relation::Own)?;
        if let Some(thing) = thing {
            let relation = cx.relation(thing.owner);
            found.extend(self.policies().forbidding(cx, action, thing.kind, thing.class, relation)?);
        }
        found.dedup();
        Ok(found)
    }

    fn policies(&self) -> &Policies {
        &self.gate().policies
    }
}
