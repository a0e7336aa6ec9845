//! The transaction: a connection with an actor, a scope, a clock and identifiers.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use base::id::{Ids, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::records::Standing;
use db::{Class, Conn, Record};

use crate::run::Inner;
use crate::shape::LAST_UPDATE;
use crate::{Catalogue, Cx, Deed, Fact, Kind, RecordFact, Relation, Verb};

/// A transaction in which an action runs. Dereferences to the connection, so
/// that a room's `store.rs` writes plain SQL with it.
pub struct Tx<'t> {
    conn: Conn<'t>,
    cx: &'t Cx,
    gate: &'t Inner,
    /// The instant of this transaction: the only clock an action may use.
    pub now: Timestamp,
    pub(crate) touched: Touched,
    pub(crate) after: Vec<Box<dyn FnOnce() + Send>>,
    once_stored: Vec<(Box<dyn Fact>, TenantId)>,
    reacting: u8,
    /// Whether a fact was written down, or a record, which tells its own.
    pub(crate) stated: bool,
    pub(crate) deeds: Vec<Deed>,
    /// Whether this only gives an answer again.
    pub(crate) repeated: bool,
}

/// What the audit entry will say was acted upon: the first object that was loaded, made or named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub kind: String,
    pub id: String,
    pub tenant: Option<TenantId>,
    pub revision: i64,
    /// It is there, and the actor was told that it is not.
    pub hidden: bool,
}

/// A record that the actor may use in the way that was asked for.
#[derive(Debug, Clone)]
pub struct Granted<T> {
    value: T,
    /// What is stored of it, where it was read in this transaction: a change need not read it again.
    stands: Option<Standing>,
}

impl<T> Granted<T> {
    /// The value itself, with the proof given up.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Granted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Only the attributes of the value can be changed through it; which object it is stays.
impl Granted<Record> {
    /// The body, to be changed before [`Tx::save`].
    pub fn body_mut(&mut self) -> &mut serde_json::Map<String, serde_json::Value> {
        &mut self.value.body
    }

    /// Sets how far the record may be seen.
    pub fn set_class(&mut self, class: Class) {
        self.value.class = class;
    }

    /// Sets the life-cycle state, in the column and in the body's `attribute`.
    pub fn set_state(&mut self, attribute: &str, state: &str) {
        self.value.state = Some(state.to_owned());
        self.value.body.insert(attribute.to_owned(), state.into());
    }
}

impl<'t> Tx<'t> {
    pub(crate) fn new(conn: Conn<'t>, cx: &'t Cx, gate: &'t Inner, now: Timestamp) -> Self {
        Tx {
            conn,
            cx,
            gate,
            now,
            touched: Touched::default(),
            after: Vec::new(),
            once_stored: Vec::new(),
            reacting: 0,
            stated: false,
            deeds: Vec::new(),
            repeated: false,
        }
    }

    pub(crate) fn gate(&self) -> &'t Inner {
        self.gate
    }

    /// Works as somebody else in this same transaction, with a record of its own of what is touched.
    pub(crate) fn within<T>(&mut self, cx: &Cx, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let mut inner = Tx::new(self.conn.reborrow(), cx, self.gate, self.now);
        inner.reacting = self.reacting;
        let value = work(&mut inner);
        let (after, stated) = (std::mem::take(&mut inner.after), inner.stated);
        drop(inner);
        self.after.extend(after);
        self.stated |= stated;
        value
    }

    /// Who acts.
    pub fn cx(&self) -> &'t Cx {
        self.cx
    }

    /// All that can be done.
    pub fn catalogue(&self) -> &'t Catalogue {
        self.gate.catalogue()
    }

    /// Where identifiers come from.
    pub fn ids(&self) -> &'t Ids {
        &self.gate.ids
    }

    /// The operator's tenant, the root of the tree.
    ///
    /// # Errors
    /// `NotFound` (`operator.absent`) before `yunwei admin init`.
    pub fn operator(&mut self) -> Result<TenantId> {
        self.gate.operator(&mut self.conn)
    }

    /// Decides about an object that is not a record (a host, a run, a tenant),
    /// which the caller has just read and which belongs to `owner`.
    ///
    /// # Errors
    /// `Forbidden`, or `NotFound` where the object's existence is none of the actor's business.
    pub fn grant<T>(
        &mut self,
        action: &str,
        kind: &str,
        id: &str,
        owner: TenantId,
        class: Class,
        value: T,
    ) -> Result<Granted<T>> {
        let relation = self.cx.relation(owner);
        self.touch(kind, id, owner, 0);
        if hides(relation, class) {
            self.touched.hidden = true;
            return Err(Error::not_found(format!("{kind}.not_found"), format!("there is no {kind} {id}")));
        }
        self.gate.policies.decide(self.cx, action, kind, class, relation)?;
        Ok(Granted { value, stands: None })
    }

    /// Reads a record for the action called `action` and decides whether the actor may.
    ///
    /// # Errors
    /// `NotFound` where there is none or it is none of the actor's business; `Forbidden`.
    pub fn load_for(&mut self, action: &str, kind: &Kind, id: &str) -> Result<Granted<Record>> {
        let (record, stands) = db::records::load_standing(&mut self.conn, kind.name, id)?.ok_or_else(|| {
            Error::not_found(format!("{}.not_found", kind.name), format!("there is no {} {id}", kind.name))
        })?;
        let (owner, class, revision) = (record.tenant, record.class, record.revision);
        let granted = self.grant(action, kind.name, id, owner, class, record)?;
        self.touched.revision = self.touched.revision.max(revision);
        Ok(Granted { stands: Some(stands), ..granted })
    }

    /// Reads a record for `GET` as it is stored, and decides whether the actor may see it.
    ///
    /// # Errors
    /// As [`Tx::load_for`].
    pub fn load_stored(&mut self, kind: &Kind, id: &str) -> Result<Granted<db::records::Stored>> {
        let stored = db::records::load_stored(&mut self.conn, kind.name, id)?.ok_or_else(|| {
            Error::not_found(format!("{}.not_found", kind.name), format!("there is no {} {id}", kind.name))
        })?;
        let (owner, class, revision) = (stored.tenant, stored.class, stored.revision);
        let granted = self.grant(&kind.action(Verb::Get), kind.name, id, owner, class, stored)?;
        self.touched.revision = self.touched.revision.max(revision);
        Ok(granted)
    }

    /// [`Tx::load_for`] the kind's own `get`, `update` or `delete`.
    ///
    /// # Errors
    /// As [`Tx::load_for`].
    pub fn load(&mut self, kind: &Kind, verb: Verb, id: &str) -> Result<Granted<Record>> {
        self.load_for(&kind.action(verb), kind, id)
    }

    /// Looks at a record as the platform itself, for rules and reactions that
    /// need it whoever acts. What is returned must not be shown to the actor.
    ///
    /// # Errors
    /// `Dangling` where there is none.
    pub fn peek(&mut self, kind: &Kind, id: &str) -> Result<Granted<Record>> {
        let found = db::records::load_standing(&mut self.conn, kind.name, id)?;
        let (value, stands) = found.ok_or_else(|| not_there(kind, id))?;
        Ok(Granted { value, stands: Some(stands) })
    }

    /// [`Tx::peek`] at a record that many look at and few change, and at what
    /// `read` makes of it: made again only where the stored record is another.
    /// For each `T` there is one way of reading it.
    ///
    /// # Errors
    /// As [`Tx::peek`], and those of `read`.
    pub fn known<T: Any + Send + Sync>(
        &mut self,
        kind: &Kind,
        id: &str,
        read: fn(Record) -> Result<T>,
    ) -> Result<Arc<T>> {
        let stored = db::records::load_stored(&mut self.conn, kind.name, id)?.ok_or_else(|| not_there(kind, id))?;
        self.gate.known.get(id, stored, |stored| read(stored.record(kind.name, id)?))
    }

    /// Writes a changed record, checks its state machine and states the fact.
    ///
    /// # Errors
    /// `Conflict` for an illegal life-cycle move, `Stale` where the record has moved on.
    pub fn save(&mut self, kind: &'static Kind, record: &mut Granted<Record>) -> Result<()> {
        let seen = record.stands.take().filter(|stands| stands.revision() == record.revision);
        let was = match seen {
            Some(stands) => stands,
            None => db::records::standing(&mut self.conn, record)?,
        };
        kind.check_move(was.state(), record.state.as_deref())?;
        let now = self.now;
        stamp(kind, &mut record.value, now);
        db::records::update(&mut self.conn, &mut record.value, &was, kind.keys, now)?;
        let name = if was.state() == record.state.as_deref() { "RecordChanged" } else { "RecordStateChanged" };
        self.record_fact(name, kind, &record.value)
    }

    /// Stores a new record that the caller has checked, and states the fact.
    ///
    /// # Errors
    /// As [`db::records::insert`].
    pub fn insert(&mut self, kind: &'static Kind, mut record: Record) -> Result<Granted<Record>> {
        stamp(kind, &mut record, self.now);
        db::records::insert(&mut self.conn, &record, kind.keys)?;
        self.touch(kind.name, &record.id, record.tenant, record.revision);
        self.record_fact("RecordCreated", kind, &record)?;
        for (fact, tenant) in std::mem::take(&mut self.once_stored) {
            self.state(&*fact, tenant)?;
        }
        Ok(Granted { value: record, stands: None })
    }

    /// For `before_create`: states a fact about the record that is being made
    /// right after it is stored, so that reactions find it there.
    pub fn fact_once_stored(&mut self, fact: impl Fact, tenant: TenantId) {
        self.once_stored.push((Box::new(fact), tenant));
    }

    /// Removes a record from sight, and states the fact.
    ///
    /// # Errors
    /// As [`db::records::delete`].
    pub fn remove(&mut self, kind: &'static Kind, record: &Granted<Record>) -> Result<()> {
        db::records::delete(&mut self.conn, record)?;
        self.record_fact("RecordDeleted", kind, record)
    }

    fn record_fact(&mut self, name: &'static str, kind: &'static Kind, record: &Record) -> Result<()> {
        self.stated = true;
        self.fact(
            RecordFact {
                name,
                kind: kind.name,
                id: record.id.clone(),
                revision: record.revision,
                tenant: record.tenant,
            },
            record.tenant,
        )
    }

    /// States a fact about an object of `tenant`, and lets the house react in this same transaction.
    ///
    /// # Errors
    /// Those of the reactions; `Bug` where reactions set each other off without end.
    pub fn fact(&mut self, fact: impl Fact, tenant: TenantId) -> Result<()> {
        self.state(&fact, tenant)
    }

    fn state(&mut self, fact: &dyn Fact, tenant: TenantId) -> Result<()> {
        let (kind, id) = fact.object();
        let now = self.now;
        if fact.is_kept() {
            self.stated = true;
            self.conn.execute(
                "INSERT INTO facts (name, tenant, object_kind, object_id, revision, at) VALUES ($1, $2, $3, $4, $5, $6)",
                db::args![fact.name(), tenant, kind, id, fact.revision(), now],
            )?;
        }
        if self.reacting > 16 {
            return Err(Error::bug(
                "fact.loop",
                format!("reactions to {} set each other off without end", fact.name()),
            ));
        }
        self.reacting += 1;
        let gate = self.gate;
        let result = gate.reactions.get().map_or(Ok(()), |react| react(self, fact));
        self.reacting -= 1;
        result
    }

    /// Says what the audit entry is about; the first object that an action touches counts.
    pub fn touch(&mut self, kind: &str, id: &str, tenant: TenantId, revision: i64) {
        if self.touched.kind.is_empty() {
            let (kind, id) = (kind.to_owned(), id.to_owned());
            self.touched = Touched { kind, id, tenant: Some(tenant), revision, hidden: false };
        }
    }

    /// Says what the audit entry is about where the decision was about something larger: an entry of
    /// a tenant's inventory, where whether the actor may was asked of the tenant. The tenant stays.
    pub fn about(&mut self, kind: &str, id: &str, revision: i64) {
        (self.touched.kind, self.touched.id) = (kind.to_owned(), id.to_owned());
        self.touched.revision = revision;
    }

    /// Something to do once this transaction is durable: wake a worker, tell a
    /// live page. Must be quick and must not fail; it is lost in a crash.
    pub fn after_commit(&mut self, work: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(work));
    }

    /// Says that nothing is done here: a request that was answered before is given its answer again. So nobody
    /// is asked whether it may be done, and the audit log, which has an entry of it, gets no second one.
    pub fn answers_again(&mut self) {
        self.repeated = true;
    }

    /// What [`crate::Gate::install`] put there under the type.
    pub fn installed<T: std::any::Any + Send + Sync>(&self) -> Option<std::sync::Arc<T>> {
        self.gate.installed()
    }

    /// Does part of the work so that it leaves nothing where it fails, while
    /// what came before it stays. A panic in it is its error.
    ///
    /// # Errors
    /// Those of `work`. One of kind `Contended` from the database must be passed
    /// on: the whole transaction then has to run again.
    pub fn attempt<T>(&mut self, work: impl FnOnce(&mut Tx<'t>) -> Result<T>) -> Result<T> {
        let mark = self.conn.mark()?;
        let (kept, stated, reacting) = (self.after.len(), self.once_stored.len(), self.reacting);
        let deeds = self.deeds.len();
        let guarded = std::panic::AssertUnwindSafe(|| work(self));
        let result = std::panic::catch_unwind(guarded)
            .unwrap_or_else(|_| Err(Error::bug("tx.panic", "part of a transaction stopped on a broken invariant")));
        if result.is_err() {
            self.after.truncate(kept);
            self.once_stored.truncate(stated);
            self.reacting = reacting;
            self.deeds.truncate(deeds);
        }
        self.conn.settle(mark, result.is_ok())?;
        result
    }

    /// Decides without an object: may the actor do `action` in the acting tenant?
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require(&self, action: &str) -> Result<()> {
        self.gate.policies.decide(self.cx, action, "tenant", Class::Internal, Relation::Own)
    }
}

/// Whether something of that class is out of sight where it stands: it is answered as if it were not there.
pub(crate) fn hides(relation: Relation, class: Class) -> bool {
    relation == Relation::Elsewhere || (relation == Relation::Above && class != Class::Public)
}

fn not_there(kind: &Kind, id: &str) -> Error {
    Error::dangling(format!("{}.absent", kind.name), format!("there is no {} {id}", kind.name))
}

/// Keeps `lastUpdate` for the kinds that have one.
fn stamp(kind: &Kind, record: &mut Record, now: Timestamp) {
    if kind.shape.field(LAST_UPDATE).is_some() {
        record.body.insert(LAST_UPDATE.to_owned(), now.to_string().into());
    }
}

impl<'t> Deref for Tx<'t> {
    type Target = Conn<'t>;
    fn deref(&self) -> &Conn<'t> {
        &self.conn
    }
}

impl<'t> DerefMut for Tx<'t> {
    fn deref_mut(&mut self) -> &mut Conn<'t> {
        &mut self.conn
    }
}
