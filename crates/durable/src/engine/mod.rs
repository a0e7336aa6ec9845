//! The engine: threads that do what is due.
//!
//! Two kinds of worker: quick ones for turns of runs (rows only), slow ones for
//! what touches the world (calls, jobs, reconcilers), so that a mail server
//! that does not answer holds no order up. They are told of work in process,
//! the moment it is committed; a look at the database every quarter of a second
//! finds what was left by a crash, by another server, or by the clock.

mod calls;
mod faults;
mod queue;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::id::{RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Conn;
use gate::{Cx, Effect, Gate, audit};

pub(crate) use calls::{Calls, Claim};
pub(crate) use faults::Faults;
pub(crate) use queue::{Queue, Work};

use crate::Registry;
use crate::flows::advance::{self, After, OutsideCall, blank, is_not_due, later, step_cx};
use crate::flows::plan::Plan;
use crate::flows::{Definition, actions, store};
use crate::registry::Body;
use crate::step::{Progress, Wait};
use crate::{jobs, reconcilers};

/// Many, as they do nothing but wait for the commit that they share.
const QUICK: usize = 96;
const SLOW: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The code of [`stopped`].
const STOPPED: &str = "server.stopping";

/// What is installed in the gate, so that every transaction can start and wake.
pub(crate) struct Workshop {
    pub registry: Registry,
    pub queue: Queue,
    pub faults: Faults,
    pub calls: Calls,
    /// The workers are told to stop: whoever works for hours looks here.
    pub stopping: Arc<AtomicBool>,
    /// This process, among the servers that share a database.
    pub server: String,
    plans: RwLock<HashMap<(String, u32), Arc<Plan>>>,
}

impl Workshop {
    /// The checked form of a stored definition.
    pub fn plan(&self, conn: &mut Conn<'_>, flow: &str, version: u32) -> Result<Arc<Plan>> {
        let key = (flow.to_owned(), version);
        if let Some(plan) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(plan.clone());
        }
        let body = store::definition(conn, flow, version)?
            .ok_or_else(|| Error::bug("flow.definition", format!("flow {flow} has no version {version}")))?;
        let plan = Plan::new(actions::stored(&body)?, &self.registry)?;
        self.plans.write().unwrap_or_else(PoisonError::into_inner).insert(key, plan.clone());
        Ok(plan)
    }
}

/// The engine for lasting work, over one gate.
pub struct Engine {
    gate: Gate,
    workshop: Arc<Workshop>,
}

impl Engine {
    /// Installs the registry in the gate and stores the definitions that come
    /// with the product. Nothing is done yet: see [`Engine::start`].
    ///
    /// # Errors
    /// `Invalid` (`flow.definition`) where a definition does not fit the
    /// registered steps; `Conflict` (`flow.version_taken`) where one was changed
    /// without a new version.
    pub fn new(gate: Gate, registry: Registry) -> Result<Engine> {
        let process = gate.ids().text("srv", gate.now());
        let server = registry.home.as_ref().map_or_else(|| process.clone(), |home| format!("{home}.{process}"));
        let (queue, faults, calls, plans) = (Queue::default(), Faults::default(), Calls::default(), RwLock::default());
        let stopping = Arc::default();
        let workshop = Arc::new(Workshop { registry, queue, faults, calls, stopping, server, plans });
        gate.install(workshop.clone());
        for yaml in &workshop.registry.definitions {
            let definition = Definition::from_yaml(yaml)?;
            Plan::new(definition.clone(), &workshop.registry)?;
            if is_stored(&gate, &definition)? {
                continue;
            }
            let cx = Cx::system("flow", gate.operator().unwrap_or(TenantId(0)));
            let (digest, wanted) = (audit::digest(&definition), definition.clone());
            let stored = gate.perform(&cx, actions::IMPORT.name, Effect::Create, digest, move |tx| {
                actions::import(tx, wanted.clone(), "product")
            });
            // Another server may have started in the same moment.
            match stored {
                Err(_) if is_stored(&gate, &definition)? => {}
                other => other?,
            }
        }
        Ok(Engine { gate, workshop })
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// `Unavailable` where threads cannot be had or the database is away.
    pub fn start(&self) -> Result<Handle> {
        self.recover()?;
        look_again(&self.gate)?;
        let mut threads = Vec::new();
        let mut spawn = |name: String, work: Box<dyn FnOnce() + Send>| -> Result<()> {
            let thread = std::thread::Builder::new().name(name).spawn(work);
            threads
                .push(thread.map_err(|e| Error::unavailable("durable.threads", "cannot start a worker").because(e))?);
            Ok(())
        };
        self.workshop.stopping.store(false, Ordering::SeqCst);
        self.workshop.queue.open();
        for n in 0..QUICK + SLOW {
            let (gate, workshop) = (self.gate.clone(), self.workshop.clone());
            let slow = n >= QUICK;
            spawn(format!("work-{n}"), Box::new(move || worker(&gate, &workshop, slow)))?;
        }
        let (gate, workshop) = (self.gate.clone(), self.workshop.clone());
        spawn("work-clock".into(), Box::new(move || watch(&gate, &workshop)))?;
        Ok(Handle { workshop: self.workshop.clone(), threads })
    }

    /// Whatever was claimed by a process that is gone is free again. On SQLite this process is the only server;
    /// elsewhere it is the only one of its data directory.
    fn recover(&self) -> Result<()> {
        let (now, own) = (self.gate.now(), self.workshop.server.clone());
        let (of, but) = match (self.gate.db().engine(), &self.workshop.registry.home) {
            // What this very process is at is not left behind by anybody.
            (db::Engine::Sqlite, _) if !self.workshop.calls.is_empty() => return Ok(()),
            (db::Engine::Sqlite, _) => ("%".to_owned(), String::new()),
            (db::Engine::Postgres, Some(home)) => (format!("{home}.%"), own),
            (db::Engine::Postgres, None) => return Ok(()),
        };
        self.gate.db().write(move |conn| {
            gate::lease::release_of(conn, &of, &but)?;
            store::release_claims(conn, now, &of, &but)?;
            jobs::release_claims(conn, now, &of, &but).map(drop)
        })
    }

    /// Does everything that is due, here and now, until nothing is. For tests
    /// and for commands that do not start workers.
    ///
    /// # Errors
    /// Those of the database.
    pub fn settle(&self) -> Result<()> {
        self.recover()?;
        while self.settle_once()? {}
        Ok(())
    }

    fn settle_once(&self) -> Result<bool> {
        let (gate, workshop) = (&self.gate, &*self.workshop);
        let (runs, jobs) = due(gate)?;
        let found = !(runs.is_empty() && jobs.is_empty());
        for (id, tenant) in runs {
            turn(gate, workshop, id, tenant, &mut |call| outside(gate, workshop, tenant, call))?;
        }
        for id in jobs {
            jobs::perform(gate, workshop, id)?;
        }
        Ok(found)
    }

    /// The gate that it works through.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn faults(&self) -> &Faults {
        &self.workshop.faults
    }

    /// When the next run or job is due.
    ///
    /// # Errors
    /// Those of the database.
    pub fn next_due(&self) -> Result<Option<Timestamp>> {
        self.gate.db().read(|conn| {
            let both = [store::next_due(conn)?, jobs::next_due(conn)?];
            Ok(both.into_iter().flatten().min())
        })
    }
}

fn is_stored(gate: &Gate, definition: &Definition) -> Result<bool> {
    let (name, version) = (definition.name.clone(), definition.version);
    let known = gate.db().read(move |conn| store::definition(conn, &name, version))?;
    Ok(known.map(|body| actions::stored(&body)).transpose()?.as_ref() == Some(definition))
}

/// Running workers. They stop when it is dropped, after what they are at.
pub struct Handle {
    workshop: Arc<Workshop>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Stops the workers and waits for what they are at. What lasts for hours ends at once where it looks at
    /// [`stopping`], and is gone on with by the next process.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.workshop.stopping.store(true, Ordering::SeqCst);
        self.workshop.queue.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Set while the workers of this process are told to stop. Work that may last longer than a few seconds looks at it,
/// takes back what it would leave lying, and ends with [`stopped`].
pub fn stopping(gate: &Gate) -> Arc<AtomicBool> {
    gate.installed::<Workshop>().map(|workshop| workshop.stopping.clone()).unwrap_or_default()
}

/// What work ends with that ends because its process does: it has not failed, and the next process asks for it
/// again.
pub fn stopped() -> Error {
    Error::unavailable(STOPPED, "the server stops; the next one goes on with it")
}

/// Whether work ended with [`stopped`].
pub fn is_stopped(e: &Error) -> bool {
    e.code() == STOPPED
}

#[expect(clippy::type_complexity, reason = "two lists, named by their types")]
fn due(gate: &Gate) -> Result<(Vec<(RunId, TenantId)>, Vec<jobs::JobId>)> {
    let now = gate.now();
    gate.db().read(move |conn| {
        Ok((store::due(conn, now, limits::DUE_BATCH_MAX)?, jobs::due(conn, now, limits::DUE_BATCH_MAX)?))
    })
}

/// The clock was set back, now or while no server ran: what was put off until
/// an instant that is far away again is looked at at once.
fn look_again(gate: &Gate) -> Result<()> {
    let now = gate.now();
    let found = gate.db().write(move |conn| Ok(store::look_again(conn, now)? + jobs::look_again(conn, now)?))?;
    if found > 0 {
        tracing::warn!(found, "the clock was set back: what was put off is looked at now");
    }
    Ok(())
}

/// The clock's thread: finds what is due and nobody told of.
fn watch(gate: &Gate, workshop: &Workshop) {
    let mut looks: BTreeMap<&'static str, Timestamp> = BTreeMap::new();
    let (mut away, mut last) = (false, gate.now());
    while workshop.queue.pause(gate.now(), LOOK_EVERY) {
        let now = gate.now();
        let set_back = now < last;
        last = now;
        if set_back {
            looks.clear();
            if let Err(e) = look_again(gate) {
                tracing::warn!(error = ?e, "the clock was set back, and what was put off cannot be looked at");
            }
        }
        prolong(gate, workshop, now);
        match due(gate) {
            Ok((runs, jobs)) => {
                away = false;
                runs.into_iter().for_each(|(id, tenant)| workshop.queue.push(Work::Run(id, tenant)));
                jobs.into_iter().for_each(|id| workshop.queue.push(Work::Job(id)));
            }
            Err(e) if !away => {
                away = true;
                tracing::warn!(error = ?e, "cannot look for due work; trying on");
            }
            Err(_) => {}
        }
        for (name, reconciler) in &workshop.registry.reconcilers {
            if looks.get(name).is_none_or(|next| *next <= now) {
                looks.insert(name, later(now, reconciler.every));
                workshop.queue.push(Work::Reconcile(name));
            }
        }
    }
}

/// Prolongs the claims of calls that are at work here and allow no other beside them. Where the database is away
/// the next look does.
fn prolong(gate: &Gate, workshop: &Workshop, now: Timestamp) {
    for (run, claim) in workshop.calls.fading(now) {
        let until = later(now, claim.term);
        match gate.db().write(move |conn| store::prolong(conn, run, claim.fence, until)) {
            Ok(_) => workshop.calls.prolonged(run, until),
            Err(e) => tracing::debug!(%run, error = ?e, "the claim of a call cannot be prolonged now"),
        }
    }
}

fn worker(gate: &Gate, workshop: &Workshop, slow: bool) {
    while let Some(work) = workshop.queue.next(slow) {
        let result = match work {
            Work::Run(id, tenant) => turn(gate, workshop, id, tenant, &mut |call| {
                workshop.queue.call(tenant, call);
                Ok(())
            }),
            Work::Call(id, tenant) => match workshop.queue.take_call(id) {
                Some(call) => outside(gate, workshop, tenant, call),
                None => Ok(()),
            },
            Work::Job(id) => jobs::perform(gate, workshop, id),
            Work::Reconcile(name) => reconcilers::perform(gate, workshop, name),
        };
        if let Err(e) = result {
            // Nothing was written, so it is still due and is found again.
            tracing::warn!(?work, error = ?e, "work could not be done now");
        }
        workshop.queue.finished(work);
    }
}

/// A run's turns, until it rests.
fn turn(
    gate: &Gate,
    workshop: &Workshop,
    id: RunId,
    tenant: TenantId,
    call: &mut dyn FnMut(Box<OutsideCall>) -> Result<()>,
) -> Result<()> {
    loop {
        workshop.faults.alive()?;
        let after = write(gate, tenant, id, move |tx, workshop| advance::advance(tx, workshop, id))?;
        workshop.faults.point()?;
        match after {
            Some(After::Call(wanted)) => return call(wanted),
            Some(After::Rest(Some(due))) if due <= gate.now() => {}
            Some(After::Rest(Some(due))) => {
                workshop.queue.push_at(Work::Run(id, tenant), due);
                return Ok(());
            }
            Some(After::Rest(None)) | None => return Ok(()),
        }
    }
}

/// Calls the world, then writes what came of it.
fn outside(gate: &Gate, workshop: &Workshop, tenant: TenantId, mut call: Box<OutsideCall>) -> Result<()> {
    workshop.faults.alive()?;
    let (id, fence, term) = (call.run.id, call.run.fence, call.term);
    let now = gate.now();
    let waited = call.run.due.is_some_and(|until| later(now, term / 2) > until);
    if waited && !gate.db().write(move |conn| store::prolong(conn, id, fence, later(now, term)))? {
        return Ok(());
    }
    let until = if waited { later(now, term) } else { call.run.due.unwrap_or(now) };
    // Until its end, and no longer: what comes of it may claim the next step's call.
    let at_work = call.alone.then(|| workshop.calls.begin(id, Claim { fence, until, term }));
    let result = reach_out(gate, workshop, &mut call);
    drop(at_work);
    if result.as_ref().is_err_and(is_stopped) {
        let now = gate.now();
        return gate.db().write(move |conn| store::release(conn, id, fence, now)).map(drop);
    }
    workshop.faults.point()?;
    let after = {
        let result = std::sync::Mutex::new(Some(result));
        write(gate, tenant, id, move |tx, workshop| {
            // Kept, as a serialisation failure asks for it again.
            let result = result.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(advance::not_due)?;
            advance::called(tx, workshop, id, fence, result)
        })?
    };
    workshop.faults.point()?;
    match after {
        Some(After::Call(next)) if workshop.queue.is_open() => workshop.queue.call(tenant, next),
        Some(After::Call(next)) => return outside(gate, workshop, tenant, next),
        Some(After::Rest(Some(due))) => workshop.queue.push_at(Work::Run(id, tenant), due),
        Some(After::Rest(None)) | None => {}
    }
    Ok(())
}

fn reach_out(gate: &Gate, workshop: &Workshop, call: &mut OutsideCall) -> advance::CallResult {
    let step = call.plan.steps.get(call.step).ok_or_else(advance::not_due)?;
    let Body::Outside { run, undo, .. } = &step.registered(&workshop.registry)?.body else {
        return Err(advance::not_due());
    };
    let cx = step_cx(&call.run, step, call.call);
    workshop.faults.before(&step.id, call.run.backward)?;
    let once = || -> advance::CallResult {
        if call.run.backward {
            undo(gate, &cx, call.input.clone(), call.output.clone()).map(blank)
        } else {
            run(gate, &cx, call.input.clone())
        }
    };
    let guarded = std::panic::AssertUnwindSafe(|| {
        if workshop.faults.repeats(call.run.backward) {
            once()?;
        }
        once()
    });
    let result = std::panic::catch_unwind(guarded)
        .unwrap_or_else(|_| Err(Error::bug("flow.step_panic", "a step stopped on a broken invariant")));
    // A step that touches the world has nothing that could wake it for nothing: it always says when to ask again.
    result.map(|progress| match progress {
        Progress::Wait(Wait { key: None, deadline: None, note }) => {
            Progress::Wait(Wait { key: None, deadline: Some(later(gate.now(), Duration::from_secs(1))), note })
        }
        other => other,
    })
}

/// One transaction of a run. Where it cannot be written for good, the run goes
/// to the operators' page; `None` where there was nothing to do.
fn write<F>(gate: &Gate, tenant: TenantId, id: RunId, work: F) -> Result<Option<After>>
where
    F: Fn(&mut gate::Tx<'_>, &Workshop) -> Result<After> + Send + 'static,
{
    let cx = Cx::system("flow", tenant);
    let digest = audit::digest(&id);
    let result = gate.perform(&cx, actions::ADVANCE.name, Effect::Change, digest, move |tx| {
        let workshop = crate::workshop(tx)?;
        work(tx, &workshop)
    });
    match result {
        Ok(after) => Ok(Some(after)),
        Err(e) if is_not_due(&e) => Ok(None),
        Err(e) if e.kind().is_transient() => Err(e),
        Err(e) => {
            tracing::error!(run = %id, error = ?e, "a run cannot go on");
            let told = e.clone();
            let given = gate.perform(&cx, actions::ADVANCE.name, Effect::Change, digest, move |tx| {
                advance::give_to_operators(tx, id, &told)
            });
            match given {
                // Whoever should hear of it cannot: it is stuck all the same, and not tried for ever.
                Err(deaf) if !is_not_due(&deaf) && !deaf.kind().is_transient() => {
                    tracing::error!(run = %id, error = ?deaf, "nobody could be told that a run is stuck");
                    gate.perform(&cx, actions::ADVANCE.name, Effect::Change, digest, move |tx| {
                        advance::set_aside(tx, id, &e)
                    })?;
                }
                Err(other) if !is_not_due(&other) => return Err(other),
                _ => {}
            }
            Ok(None)
        }
    }
}
