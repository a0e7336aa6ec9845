//! Running actions: decide, run, audit, commit.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use base::address::household;
use base::id::{Ids, TenantId};
use base::time::{Clock, Timestamp};
use base::{Error, Kind as ErrorKind, Result, limits};
use db::{Class, Conn, Db};
use serde::Serialize;

use crate::known::Known;
use crate::tx::Touched;
use crate::{Action, Actor, Catalogue, Cx, Effect, Fact, Policies, Relation, Tx, audit};

/// What the house does about a fact, in the fact's own transaction.
pub type Reactions = Box<dyn Fn(&mut Tx<'_>, &dyn Fact) -> Result<()> + Send + Sync>;

/// The gate itself. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

pub(crate) struct Inner {
    db: Db,
    clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) policies: Policies,
    catalogue: Catalogue,
    pub(crate) reactions: OnceLock<Reactions>,
    operator: RwLock<Option<TenantId>>,
    parts: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    refusals: Refusals,
    pub(crate) known: Known,
}

impl Inner {
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) fn installed<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let parts = self.parts.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.get(&TypeId::of::<T>()).cloned()?.downcast().ok()
    }

    pub(crate) fn operator(&self, conn: &mut Conn<'_>) -> Result<TenantId> {
        if let Some(id) = *self.operator.read().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Ok(id);
        }
        let found: Option<TenantId> =
            conn.query_opt("SELECT id FROM tenants WHERE parent IS NULL", &[], |row| row.get(0))?;
        let id = found.ok_or_else(|| {
            Error::not_found("operator.absent", "there is no operator yet; run `yunwei admin init` first")
        })?;
        Ok(id)
    }
}

impl Gate {
    /// A gate over an open database.
    ///
    /// # Errors
    /// `Invalid` where the policies have any fault or leave an action unmentioned.
    pub fn new(db: Db, clock: Clock, ids: Ids, policies: &str, catalogue: Catalogue) -> Result<Self> {
        let names = catalogue.names();
        let policies = Policies::parse(policies, &names)?;
        if let Some(forgotten) = names.iter().find(|name| !policies.mentions(name)) {
            return Err(Error::invalid("policy.incomplete", format!("no policy speaks of {forgotten}")));
        }
        each_key_has_its_number(&catalogue)?;
        Ok(Gate(Arc::new(Inner {
            db,
            clock,
            ids,
            policies,
            catalogue,
            reactions: OnceLock::new(),
            operator: RwLock::new(None),
            parts: RwLock::default(),
            refusals: Refusals::default(),
            known: Known::default(),
        })))
    }

    /// Installs the reactions, once, before the first action runs.
    pub fn react_with(&self, reactions: Reactions) {
        let _ = self.0.reactions.set(reactions);
    }

    /// Puts a part of the house (the registered flow steps, say) where every
    /// transaction finds it again by its type. It must not hold the gate itself,
    /// or neither is ever dropped.
    pub fn install<T: Any + Send + Sync>(&self, part: Arc<T>) {
        self.0.parts.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(TypeId::of::<T>(), part);
    }

    /// What was installed under the type.
    pub fn installed<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.installed()
    }

    /// The registered actions and kinds.
    pub fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    /// The database, for what is not an action: sequencers, reconcilers, readiness.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The clock of the house.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The clock itself.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where identifiers come from.
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// The operator's tenant.
    ///
    /// # Errors
    /// `NotFound` (`operator.absent`) before `yunwei admin init`.
    pub fn operator(&self) -> Result<TenantId> {
        if let Some(id) = *self.0.operator.read().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Ok(id);
        }
        let inner = self.0.clone();
        let id = self.0.db.read(move |conn| inner.operator(conn))?;
        *self.0.operator.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(id);
        Ok(id)
    }

    /// Whether the actor has shown enough of who they are for the action. Asked again when it runs;
    /// this is for what is slow and comes before.
    ///
    /// # Errors
    /// `Forbidden`: `session.step_up`, `token.not_sensitive`, `factor.required`.
    pub fn check_proof(&self, cx: &Cx, action: &str) -> Result<()> {
        self.0.catalogue.check_proof(cx, action, self.now())
    }

    /// Whether the actor could begin an action in the tenant in which they act, and has shown enough of who they
    /// are. Asked again when it runs; this is for what is slow, or reaches out, and comes before.
    ///
    /// # Errors
    /// Those of the decision.
    pub fn check_allowed(&self, cx: &Cx, action: &str) -> Result<()> {
        self.0.open(cx, action, self.now())
    }

    /// Runs an action and waits until its result is durable. Not for async tasks.
    ///
    /// # Errors
    /// Those of the decision, the action and the database.
    pub fn run<I, O>(&self, cx: &Cx, action: &'static Action<I, O>, input: I) -> Result<O>
    where
        I: Serialize + Send + Sync + 'static,
        O: Send + 'static,
    {
        let digest = audit::digest(&input);
        self.perform(cx, action.name, action.effect, digest, move |tx| (action.run)(tx, &input))
    }

    /// [`Gate::run`] for async tasks. Reads run on a blocking thread.
    ///
    /// # Errors
    /// As [`Gate::run`].
    pub async fn call<I, O>(&self, cx: &Cx, action: &'static Action<I, O>, input: I) -> Result<O>
    where
        I: Serialize + Send + Sync + 'static,
        O: Send + 'static,
    {
        let (gate, cx) = (self.clone(), cx.clone());
        blocking(move || gate.run(&cx, action, input)).await
    }

    /// Runs `work` as the action called `name`: the one way in, beneath all others.
    /// Blocks; for async tasks there is [`Gate::perform_async`].
    ///
    /// # Errors
    /// As [`Gate::run`].
    pub fn perform<O, F>(&self, cx: &Cx, name: &str, effect: Effect, digest: [u8; 32], work: F) -> Result<O>
    where
        O: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<O> + Send + 'static,
    {
        let tried = Tried::default();
        let result = if effect == Effect::Read {
            self.0.db.read(self.reading(cx, name, &tried, work))
        } else {
            self.0.db.write(self.writing(cx, (name, effect), digest, &tried, work)).map(finish)
        };
        self.noting_refusal(cx, name, digest, &tried, result)
    }

    /// [`Gate::perform`] for async tasks. A read runs right here on SQLite, so
    /// it must be a short one, a look-up by key; longer ones belong on a
    /// blocking thread, with [`Gate::perform`].
    ///
    /// # Errors
    /// As [`Gate::run`].
    pub async fn perform_async<O, F>(&self, cx: &Cx, name: &str, effect: Effect, digest: [u8; 32], work: F) -> Result<O>
    where
        O: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<O> + Send + 'static,
    {
        let tried = Tried::default();
        let result = if effect == Effect::Read {
            self.0.db.read_async(self.reading(cx, name, &tried, work)).await
        } else {
            self.0.db.write_async(self.writing(cx, (name, effect), digest, &tried, work)).await.map(finish)
        };
        self.noting_refusal(cx, name, digest, &tried, result)
    }

    fn reading<O, F>(
        &self,
        cx: &Cx,
        name: &str,
        tried: &Tried,
        mut work: F,
    ) -> impl FnOnce(&mut Conn<'_>) -> Result<O> + Send + use<O, F>
    where
        F: FnMut(&mut Tx<'_>) -> Result<O> + Send + 'static,
    {
        let (inner, cx, name, tried) = (self.0.clone(), cx.clone(), name.to_owned(), tried.clone());
        move |conn| {
            let mut tx = Tx::new(conn.reborrow(), &cx, &inner, inner.clock.now());
            inner.open(&cx, &name, tx.now)?;
            work(&mut tx).inspect_err(|_| tried.note(&tx.touched))
        }
    }

    fn writing<O, F>(
        &self,
        cx: &Cx,
        (name, effect): (&str, Effect),
        digest: [u8; 32],
        tried: &Tried,
        mut work: F,
    ) -> impl FnMut(&mut Conn<'_>) -> Result<(O, Vec<After>)> + Send + use<O, F>
    where
        F: FnMut(&mut Tx<'_>) -> Result<O> + Send + 'static,
    {
        let (inner, cx, name, tried) = (self.0.clone(), cx.clone(), name.to_owned(), tried.clone());
        move |conn| {
            let now = inner.clock.now();
            let mut tx = Tx::new(conn.reborrow(), &cx, &inner, now);
            inner.open(&cx, &name, now)?;
            let value = work(&mut tx).inspect_err(|_| tried.note(&tx.touched))?;
            inner.guarded(&mut tx, &name, effect).inspect_err(|_| tried.note(&tx.touched))?;
            let after = std::mem::take(&mut tx.after);
            let (touched, stated, repeated) = (tx.touched.clone(), tx.stated, tx.repeated);
            drop(tx);
            if stated || !(repeated || effect == Effect::Report) {
                audit::append(conn, &entry(&cx, &name, &touched, "done", digest, now))?;
            }
            Ok((value, after))
        }
    }

    fn noting_refusal<O>(&self, cx: &Cx, name: &str, digest: [u8; 32], tried: &Tried, result: Result<O>) -> Result<O> {
        if let Err(e) = &result {
            let touched = tried.taken();
            // Somebody else's record is answered as if it were not there, and still was reached for.
            if touched.hidden || matches!(e.kind(), ErrorKind::Forbidden | ErrorKind::Unauthenticated) {
                self.record_refusal(cx, name, e, digest, touched);
            }
        }
        result
    }

    /// Writes down that somebody was refused before there was anything to run: for a
    /// credential that is not one, for a tenant that is none of theirs.
    pub fn refused(&self, cx: &Cx, name: &str, error: &Error) {
        self.record_refusal(cx, name, error, audit::digest(&()), Touched::default());
    }

    /// A refusal is an entry of its own, in a transaction of its own. One who
    /// is refused without end does not fill the log with it.
    fn record_refusal(&self, cx: &Cx, name: &str, error: &Error, digest: [u8; 32], touched: Touched) {
        if !self.0.refusals.admit(cx, self.now()) {
            tracing::warn!(actor = %cx.actor(), address = ?cx.address(), action = name, "refused too often to be recorded");
            return;
        }
        let (inner, cx, name, code) = (self.0.clone(), cx.clone(), name.to_owned(), error.code().to_owned());
        let outcome = format!("refused:{code}");
        self.0.db.submit(
            move |conn| audit::append(conn, &entry(&cx, &name, &touched, &outcome, digest, inner.clock.now())),
            |result| {
                if let Err(e) = result {
                    tracing::error!(error = ?e, "a refusal could not be recorded");
                }
            },
        );
    }
}

/// Keys of records are stored under numbers made of their names: no two may have one.
fn each_key_has_its_number(catalogue: &Catalogue) -> Result<()> {
    let mut known = HashMap::new();
    for (kind, path) in catalogue.all_kinds().iter().flat_map(|kind| kind.keys.iter().map(|key| (kind.name, key.path)))
    {
        if let Some(other) =
            known.insert(db::records::number(kind, path), (kind, path)).filter(|other| *other != (kind, path))
        {
            return Err(Error::bug("kind.keys", format!("{kind} {path} and {other:?} have one number; rename one")));
        }
    }
    Ok(())
}

/// What an action that failed was reaching for: the transaction that knew is gone by then.
#[derive(Clone, Default)]
struct Tried(Arc<Mutex<Touched>>);

impl Tried {
    fn note(&self, touched: &Touched) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = touched.clone();
    }

    fn taken(&self) -> Touched {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// How often each actor was refused in the present minute.
#[derive(Default)]
struct Refusals(Mutex<(i64, HashMap<String, u32>)>);

impl Refusals {
    /// Counts a refusal; whether the audit log takes it.
    fn admit(&self, cx: &Cx, now: Timestamp) -> bool {
        let who = match (cx.actor(), cx.address()) {
            (Actor::Nobody, Some(address)) => household(address).to_string(),
            (actor, _) => actor.to_string(),
        };
        let mut counted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let minute = now.as_second() / 60;
        if counted.0 != minute || counted.1.len() >= limits::REFUSED_ACTORS_MAX {
            *counted = (minute, HashMap::new());
        }
        let number = counted.1.entry(who).or_default();
        *number = number.saturating_add(1);
        *number <= limits::REFUSALS_PER_MINUTE_MAX
    }
}

/// What [`Tx::after_commit`] keeps until the transaction is durable.
type After = Box<dyn FnOnce() + Send>;

fn finish<O>((value, after): (O, Vec<After>)) -> O {
    after.into_iter().for_each(|work| work());
    value
}

impl Inner {
    /// Whether the actor may do this at all, and has shown enough of who they are.
    pub(crate) fn open(&self, cx: &Cx, name: &str, now: Timestamp) -> Result<()> {
        self.permitted(cx, name)?;
        self.catalogue.check_proof(cx, name, now)
    }

    /// The first decision: may the actor do this at all, in the acting tenant?
    /// An action that only makes sense on objects below decides again on each.
    pub(crate) fn permitted(&self, cx: &Cx, name: &str) -> Result<()> {
        self.policies.decide(cx, name, "tenant", Class::Internal, Relation::Own)
    }

    /// Asks whether a second person is needed for what an account has just done here. The platform's
    /// workers and agents do what was decided before.
    pub(crate) fn guarded(&self, tx: &mut Tx<'_>, name: &str, effect: Effect) -> Result<()> {
        let Some(guard) = self.catalogue.guard() else { return Ok(()) };
        let told = (guard.knows)(name) || !tx.deeds().is_empty();
        if !told || tx.repeated || effect == Effect::Report || tx.cx().account().is_none() {
            return Ok(());
        }
        (guard.check)(tx, name)
    }
}

pub(crate) fn entry<'a>(
    cx: &'a Cx,
    action: &'a str,
    touched: &'a Touched,
    outcome: &'a str,
    digest: [u8; 32],
    at: Timestamp,
) -> audit::Entry<'a> {
    audit::Entry {
        at,
        cx,
        action,
        object_kind: &touched.kind,
        object_id: &touched.id,
        object_tenant: touched.tenant.unwrap_or(cx.tenant()),
        revision: touched.revision,
        outcome,
        digest,
    }
}

/// Runs blocking work for an async task.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::bug("task.panic", "a task stopped on a broken invariant").because(e)))
}
