//! A hypervisor without machines: quick, deterministic, and as bad as it is told to be.
//!
//! **What.** A real second implementation of the border, for tests, simulations and benchmarks. It
//! holds thousands of machines in a map. Told to, it is slow, fails, answers with a time-out after
//! having done the work, does the work long after the time-out, or lies. Which call goes wrong follows
//! from the seed, the machine and how often that machine was called upon, not from threads' luck.
//!
//! **Invariants.** It watches its callers: the verbs of one machine never overlap, and no machine is
//! prepared at a generation older than one seen before ([`Memory::violations`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Error, Result};

use super::{Activity, Answer, Began, Console, Found, Hypervisor, Run, Stopped, spec_digest};
use crate::moment::HostClock;
use crate::wire::{Accelerator, DiskSource, DiskSpec, HostReport, IntentId, MachineSpec, Recovered};

/// How badly it behaves. Rates are per thousand calls; the default behaves well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Decides which calls go wrong.
    pub seed: u64,
    /// Every call takes this long.
    pub delay: Duration,
    /// Nothing is done, and it says so.
    pub fail: u16,
    /// The work is done, and the answer is a time-out.
    pub uncertain_done: u16,
    /// The answer is a time-out, and the work is done some calls later.
    pub uncertain_late: u16,
    /// `start`, `stop` and `remove` say that they did it and did not; `look` does not see what is there.
    pub lie: u16,
}

/// A call that a test can wait for or give an outcome to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `prepare`.
    Prepare,
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `remove`.
    Remove,
    /// `look`.
    Look,
}

/// How one call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As it should.
    Well,
    /// See [`Faults::fail`].
    Fail,
    /// `Invalid`: it never will.
    Refuse,
    /// See [`Faults::uncertain_done`].
    UncertainDone,
    /// See [`Faults::uncertain_late`].
    UncertainLate,
    /// See [`Faults::lie`].
    Lie,
}

/// The hypervisor without machines.
pub struct Memory {
    inner: Mutex<Inner>,
    changed: Condvar,
    clock: HostClock,
}

struct Inner {
    machines: HashMap<IntentId, Machine>,
    calls: HashMap<IntentId, u64>,
    generations: HashMap<IntentId, u64>,
    busy: HashSet<IntentId>,
    late: Vec<Late>,
    script: BTreeMap<IntentId, Vec<(Verb, Outcome)>>,
    news: Vec<IntentId>,
    violations: Vec<String>,
    faults: Faults,
    boot_time: Duration,
    answering: bool,
    runs: u64,
    host: HostReport,
}

/// Work that is done some calls after its caller was told of a time-out.
type Late = (u32, IntentId, Verb, Option<(u64, MachineSpec)>);

struct Machine {
    generation: u64,
    digest: String,
    spec: MachineSpec,
    activity: Activity,
    vcpus: u32,
    memory_mib: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(HostClock::system())
    }
}

impl Memory {
    /// A well-behaved hypervisor with room for anything, going by `clock`.
    pub fn new(clock: HostClock) -> Self {
        Self {
            inner: Mutex::new(Inner {
                machines: HashMap::new(),
                calls: HashMap::new(),
                generations: HashMap::new(),
                busy: HashSet::new(),
                late: Vec::new(),
                script: BTreeMap::new(),
                news: Vec::new(),
                violations: Vec::new(),
                faults: Faults::default(),
                boot_time: Duration::ZERO,
                answering: true,
                runs: 0,
                host: HostReport {
                    hostname: "memory".to_owned(),
                    cpu_cores: 65_536,
                    memory_mib: 1 << 30,
                    disk_mib: 1 << 40,
                    disk_free_mib: 1 << 40,
                    accelerator: Accelerator::Simulated,
                    hypervisor: "memory".to_owned(),
                    agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                    booted_at: None,
                    images: Vec::new(),
                    bridges: Vec::new(),
                    warnings: Vec::new(),
                },
            }),
            changed: Condvar::new(),
            clock,
        }
    }

    /// Sets what the host says of itself.
    pub fn set_host(&self, host: HostReport) {
        self.inner().host = host;
    }

    /// Sets how badly it behaves from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.inner().faults = faults;
    }

    /// Sets how long a machine takes from its start until its check succeeds.
    pub fn set_boot_time(&self, boot_time: Duration) {
        self.inner().boot_time = boot_time;
    }

    /// Away: every call fails with `Unavailable` until told otherwise.
    pub fn set_answering(&self, answering: bool) {
        self.inner().answering = answering;
        self.changed.notify_all();
    }

    /// Gives the next call of `verb` on `id` an outcome.
    pub fn script(&self, id: &IntentId, verb: Verb, outcome: Outcome) {
        self.inner().script.entry(id.clone()).or_default().push((verb, outcome));
    }

    /// Ends a run from inside or from the side, as [`Stopped`] says.
    pub fn end_run(&self, id: &IntentId, how: Stopped) {
        let mut inner = self.inner();
        if let Some(machine) = inner.machines.get_mut(id) {
            machine.activity = Activity::Stopped { how };
        }
        inner.news.push(id.clone());
        self.changed.notify_all();
    }

    /// Ends every run at once, as a power cut does.
    pub fn end_all_runs(&self) {
        let mut inner = self.inner();
        let ids: Vec<IntentId> = inner.machines.keys().cloned().collect();
        for machine in inner.machines.values_mut() {
            machine.activity = Activity::Stopped { how: Stopped::Unknown };
        }
        inner.news.extend(ids);
        self.changed.notify_all();
    }

    /// Puts a machine there that nobody ordered.
    pub fn plant(&self, id: &IntentId, generation: u64, spec: &MachineSpec) {
        let mut inner = self.inner();
        inner.prepare(id, generation, spec);
        inner.start(id, &self.clock);
    }

    /// Does at once what still waits to be done late.
    pub fn settle(&self) {
        let mut inner = self.inner();
        for (_, id, verb, spec) in std::mem::take(&mut inner.late) {
            inner.perform(&id, verb, spec.as_ref(), &self.clock);
        }
    }

    /// The truth about what there is, without lies or delays, sorted by id.
    pub fn truth(&self) -> Vec<Found> {
        let inner = self.inner();
        let mut all: Vec<Found> = inner.machines.iter().map(|(id, machine)| machine.found(id)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// What callers did wrong.
    pub fn violations(&self) -> Vec<String> {
        self.inner().violations.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call of a verb that changes something, with whatever goes wrong in it.
    fn call(&self, id: &IntentId, verb: Verb, spec: Option<(u64, MachineSpec)>) -> Result<()> {
        let (outcome, delay) = self.enter(id, verb, spec.as_ref().map(|(generation, _)| *generation))?;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut inner = self.inner();
        inner.busy.remove(id);
        match outcome {
            Outcome::Well => inner.perform(id, verb, spec.as_ref(), &self.clock),
            Outcome::Lie if verb != Verb::Prepare => true,
            Outcome::Lie => inner.perform(id, verb, spec.as_ref(), &self.clock),
            Outcome::Fail => {
                return Err(Error::unavailable("hypervisor.failed", "the hypervisor failed, as it was told to"));
            }
            Outcome::Refuse => {
                return Err(Error::invalid("hypervisor.refused", "the hypervisor refused, as it was told to"));
            }
            Outcome::UncertainDone => {
                inner.perform(id, verb, spec.as_ref(), &self.clock);
                return Err(timed_out());
            }
            Outcome::UncertainLate => {
                let later = 1 + u32::try_from(inner.roll(id) % 6).unwrap_or(0);
                inner.late.push((later, id.clone(), verb, spec));
                return Err(timed_out());
            }
        }
        .then_some(())
        .ok_or_else(|| Error::not_found("machine.not_prepared", "there is no such machine"))
    }

    /// Notes the call, lets late work of others happen, and decides how this call goes.
    fn enter(&self, id: &IntentId, verb: Verb, generation: Option<u64>) -> Result<(Outcome, Duration)> {
        let mut inner = self.inner();
        if !inner.answering {
            return Err(Error::unavailable("hypervisor.away", "the hypervisor does not answer"));
        }
        if !inner.busy.insert(id.clone()) {
            inner.violations.push(format!("{verb:?} of {id} while another call for it is under way"));
        }
        if let Some(generation) = generation {
            let newest = inner.generations.entry(id.clone()).or_insert(generation);
            if *newest > generation {
                let message = format!("{id} prepared at generation {generation} after {newest}");
                inner.violations.push(message);
            } else {
                *newest = generation;
            }
        }
        inner.let_late_work_happen(&self.clock);
        Ok((inner.outcome(id, verb), inner.faults.delay))
    }
}

impl Inner {
    fn perform(&mut self, id: &IntentId, verb: Verb, spec: Option<&(u64, MachineSpec)>, clock: &HostClock) -> bool {
        match (verb, spec) {
            (Verb::Prepare, Some((generation, spec))) => self.prepare(id, *generation, spec),
            (Verb::Start, _) => self.start(id, clock),
            (Verb::Stop, _) => self.stop(id),
            (Verb::Remove, _) => {
                self.machines.remove(id);
                true
            }
            _ => true,
        }
    }

    fn prepare(&mut self, id: &IntentId, generation: u64, spec: &MachineSpec) -> bool {
        let digest = spec_digest(spec);
        match self.machines.get_mut(id) {
            Some(machine) => {
                machine.generation = generation;
                machine.digest = digest;
                machine.spec = spec.clone();
            }
            None => {
                let machine = Machine {
                    generation,
                    digest,
                    spec: spec.clone(),
                    activity: Activity::Stopped { how: Stopped::Never },
                    vcpus: spec.vcpus,
                    memory_mib: spec.memory_mib,
                };
                self.machines.insert(id.clone(), machine);
            }
        }
        true
    }

    fn start(&mut self, id: &IntentId, clock: &HostClock) -> bool {
        let now = clock.now();
        self.runs += 1;
        let name = format!("{}:{}", now.boot, self.runs);
        let Some(machine) = self.machines.get_mut(id) else { return false };
        match &machine.activity {
            Activity::Running { .. } => {}
            Activity::Paused { run, .. } => machine.activity = Activity::Running { run: run.clone() },
            Activity::Stopped { .. } => {
                let began = Some(Began { at: now.wall, steady_ms: now.steady_ms });
                machine.activity = Activity::Running { run: Run { name, began } };
                machine.vcpus = machine.spec.vcpus;
                machine.memory_mib = machine.spec.memory_mib;
            }
        }
        true
    }

    fn stop(&mut self, id: &IntentId) -> bool {
        if let Some(machine) = self.machines.get_mut(id)
            && machine.activity.run().is_some()
        {
            machine.activity = Activity::Stopped { how: Stopped::Destroyed };
        }
        true
    }

    fn let_late_work_happen(&mut self, clock: &HostClock) {
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(calls, ..)| *calls <= 1);
        self.late = waiting.into_iter().map(|(calls, id, verb, spec)| (calls - 1, id, verb, spec)).collect();
        for (_, id, verb, spec) in due {
            self.perform(&id, verb, spec.as_ref(), clock);
            self.news.push(id);
        }
    }

    fn outcome(&mut self, id: &IntentId, verb: Verb) -> Outcome {
        if let Some(script) = self.script.get_mut(id)
            && let Some(at) = script.iter().position(|(scripted, _)| *scripted == verb)
        {
            return script.remove(at).1;
        }
        let faults = self.faults;
        let rates = [
            (faults.fail, Outcome::Fail),
            (faults.uncertain_done, Outcome::UncertainDone),
            (faults.uncertain_late, Outcome::UncertainLate),
            (faults.lie, Outcome::Lie),
        ];
        if rates.iter().all(|(rate, _)| *rate == 0) {
            return Outcome::Well;
        }
        let mut left = u16::try_from(self.roll(id) % 1_000).unwrap_or(0);
        for (rate, outcome) in rates {
            if left < rate {
                return outcome;
            }
            left -= rate;
        }
        Outcome::Well
    }

    /// A number that follows from the seed, the machine and how often it was asked for.
    fn roll(&mut self, id: &IntentId) -> u64 {
        let calls = self.calls.entry(id.clone()).or_default();
        *calls += 1;
        let start = self.faults.seed ^ calls.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut z =
            id.as_str().bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Machine {
    fn found(&self, id: &IntentId) -> Found {
        Found {
            id: id.clone(),
            generation: self.generation,
            domain: format!("yw-{id}"),
            complete: true,
            digest: self.digest.clone(),
            activity: self.activity.clone(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            console_bytes: 0,
            recovered: self.spec.disks.iter().filter_map(recovered).collect(),
            recovering: Vec::new(),
        }
    }
}

/// A disk of that kind, recovered in no time.
fn recovered(disk: &DiskSpec) -> Option<Recovered> {
    let DiskSource::Recovery { recovery, .. } = &disk.source else { return None };
    let (disk, bytes) = (disk.name.clone(), disk.size_mib << 20);
    let digest = "0".repeat(64);
    Some(Recovered { disk, recovery: recovery.clone(), bytes, seconds: 0.0, verify_seconds: 0.0, digest })
}

fn timed_out() -> Error {
    Error::uncertain("hypervisor.timed_out", "the hypervisor did not answer in time")
}

impl Hypervisor for Memory {
    fn host(&self) -> Result<HostReport> {
        let inner = self.inner();
        if !inner.answering {
            return Err(Error::unavailable("hypervisor.away", "the hypervisor does not answer"));
        }
        Ok(inner.host.clone())
    }

    fn prepare(&self, id: &IntentId, generation: u64, spec: &MachineSpec) -> Result<()> {
        self.call(id, Verb::Prepare, Some((generation, spec.clone())))
    }

    fn start(&self, id: &IntentId) -> Result<()> {
        self.call(id, Verb::Start, None)
    }

    fn stop(&self, id: &IntentId, _grace: Duration) -> Result<()> {
        self.call(id, Verb::Stop, None)
    }

    /// Faults do not touch it, and nobody is woken by it: the next look finds it.
    fn crash(&self, id: &IntentId) -> Result<()> {
        let mut inner = self.inner();
        let machine = inner.machines.get_mut(id).filter(|machine| machine.activity.run().is_some());
        let machine = machine.ok_or_else(|| Error::not_found("machine.not_running", "it does not run"))?;
        machine.activity = Activity::Stopped { how: Stopped::Crashed };
        Ok(())
    }

    fn remove(&self, id: &IntentId) -> Result<()> {
        self.call(id, Verb::Remove, None)
    }

    fn look(&self, id: &IntentId) -> Result<Option<Found>> {
        let (outcome, delay) = self.enter(id, Verb::Look, None)?;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut inner = self.inner();
        inner.busy.remove(id);
        match outcome {
            Outcome::Well => Ok(inner.machines.get(id).map(|machine| machine.found(id))),
            Outcome::Lie => Ok(None),
            _ => Err(Error::unavailable("hypervisor.failed", "the hypervisor failed, as it was told to")),
        }
    }

    fn list(&self) -> Result<Vec<Found>> {
        if !self.inner().answering {
            return Err(Error::unavailable("hypervisor.away", "the hypervisor does not answer"));
        }
        Ok(self.truth())
    }

    fn console(&self, id: &IntentId, bytes_max: u32) -> Result<Console> {
        let inner = self.inner();
        let machine =
            inner.machines.get(id).ok_or_else(|| Error::not_found("machine.no_console", "there is no such machine"))?;
        let text = format!("{} has no real console\n", machine.spec.name).into_bytes();
        let from = text.len().saturating_sub(bytes_max as usize);
        Ok(Console { bytes: text[from..].to_vec(), truncated: from > 0 })
    }

    fn check(&self, id: &IntentId, _spec: &MachineSpec, _patience: Duration) -> Answer {
        let inner = self.inner();
        let began = inner.machines.get(id).and_then(|m| m.activity.run()).and_then(|run| run.began);
        let up = began.is_some_and(|began| {
            let alive = self.clock.now().steady_ms.saturating_sub(began.steady_ms);
            u128::from(alive) >= inner.boot_time.as_millis()
        });
        let ok = up && inner.answering;
        Answer { ok, detail: if ok { "200" } else { "no answer" }.to_owned(), body: None }
    }

    fn changes(&self, patience: Duration) -> Vec<IntentId> {
        let inner = self.inner();
        let (mut inner, _) = self
            .changed
            .wait_timeout_while(inner, patience, |inner| inner.news.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.news)
    }
}
