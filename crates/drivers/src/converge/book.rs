//! The agent's memory: every intent with what is known of it, and what the server has been told.
//!
//! One lock around everything; what must survive is on disk before the lock is given back. Nothing
//! in here calls the hypervisor or the server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::error::Kind;
use base::{Error, Result, limits};

use super::decide::{Step, Verdict, decide, lasting};
use super::record::{Accepted, Record, YOUNG_MS};
use super::{Settings, Store};
use crate::hypervisor::{Answer, Found, spec_digest};
use crate::moment::{HostClock, Moment};
use crate::wire::{
    CheckResult, Desired, DiskSource, DiskSpec, Intent, IntentId, Intents, MachineSpec, MachineState, NetworkSpec,
    Observation, Orphan, Power, Problem, Recovering, RecoveryId, ReportAnswer, TaskId, TaskReport,
};

/// Revisions in one second of an agent's life: below 2^53 for as long as JSON's numbers are doubles somewhere.
const EPOCH_BITS: u32 = 20;

/// The agent's memory.
pub(super) struct Book {
    inner: Mutex<Inner>,
    pub(super) clock: HostClock,
    pub(super) settings: Settings,
}

struct Inner {
    store: Store,
    epoch: u64,
    entries: HashMap<IntentId, Entry>,
    /// What changed since it was last put into a report, oldest first.
    dirty: BTreeMap<u64, IntentId>,
    ticket: u64,
    orphans: Vec<Orphan>,
    orphans_told: bool,
}

/// One intent: its record, and what may be forgotten.
struct Entry {
    record: Record,
    digest: String,
    /// The record differs from what is on disk.
    unsaved: bool,
    found: Option<Found>,
    verdict: Verdict,
    /// Failures in a row.
    tries: u32,
    /// Short lives in a row.
    crashes: u32,
    not_before_ms: u64,
    problem: Option<Problem>,
    refused: Option<Problem>,
    reused: bool,
    stranger: bool,
    blind: bool,
    /// The disks that come back just now.
    recovering: Vec<Recovering>,
    check: Option<CheckResult>,
    probes: u32,
    revision: u64,
    told: Option<Observation>,
    ticket: Option<u64>,
}

/// What a pass has to know after looking.
#[derive(Debug)]
pub(super) struct Next {
    pub step: Step,
    /// How long the step must still wait.
    pub pause: Duration,
    pub generation: u64,
    pub spec: Option<MachineSpec>,
    /// A check should be tried now.
    pub probe: bool,
}

/// A check that is due.
pub(super) struct Probe {
    pub spec: MachineSpec,
    pub life: u64,
    pub patience: Duration,
}

impl Book {
    /// Takes up what `store` holds.
    pub fn open(mut store: Store, settings: Settings, clock: HostClock) -> Result<Self> {
        let epoch = store.next_epoch(clock.now().wall)?;
        let entries = store.load()?.into_iter().map(|record| (record.id.clone(), Entry::new(record))).collect();
        let mut inner =
            Inner { store, epoch, entries, dirty: BTreeMap::new(), ticket: 0, orphans: Vec::new(), orphans_told: true };
        let now = clock.now();
        let ids: Vec<IntentId> = inner.entries.keys().cloned().collect();
        for id in ids {
            inner.show(&id, &now);
        }
        Ok(Self { inner: Mutex::new(inner), clock, settings })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes intents; on disk when this returns. Answers those that need a pass.
    ///
    /// # Errors
    /// Where they cannot be stored; then none of them is taken.
    pub fn accept(&self, intents: Intents) -> Result<Vec<IntentId>> {
        let mut inner = self.inner();
        let now = self.clock.now();
        let named: std::collections::HashSet<&IntentId> = intents.intents.iter().map(|intent| &intent.id).collect();
        let strangers: Vec<IntentId> = if intents.full {
            let unnamed = inner.entries.iter().filter(|(id, entry)| !named.contains(id) && !entry.stranger);
            unnamed.map(|(id, _)| id.clone()).collect()
        } else {
            Vec::new()
        };
        let mut taken: Vec<Record> = Vec::new();
        let mut reused: Vec<IntentId> = Vec::new();
        let mut known: Vec<IntentId> = Vec::new();
        for intent in intents.intents {
            known.push(intent.id.clone());
            inner.consider(intent, &now, &mut taken, &mut reused);
        }
        if !taken.is_empty() {
            inner.store.save(&taken)?;
        }
        let changed: Vec<IntentId> = taken.iter().map(|record| record.id.clone()).collect();
        for record in taken {
            inner.take(record);
        }
        for id in known {
            if let Some(entry) = inner.entries.get_mut(&id) {
                entry.stranger = false;
                entry.reused = reused.contains(&id);
                inner.show(&id, &now);
                // Told even without news: the server may have lost its memory, or hold less than we do.
                inner.mark(&id);
            }
        }
        for id in strangers {
            inner.estrange(&id);
        }
        Ok(changed)
    }

    /// Notes what is there and says what to do next.
    ///
    /// # Errors
    /// Where a change of lives cannot be stored: nothing may be done then.
    pub fn observe(&self, id: &IntentId, found: Option<Found>, watched: bool) -> Result<Option<Next>> {
        let now = self.clock.now();
        let mut inner = self.inner();
        if !inner.entries.contains_key(id) {
            return Ok(None);
        }
        inner.look_at(id, found, &now, watched, &self.settings);
        inner.save(id)?;
        inner.show(id, &now);
        let Some(entry) = inner.entries.get(id) else { return Ok(None) };
        Ok(Some(Next {
            step: entry.verdict.step,
            pause: Duration::from_millis(entry.not_before_ms.saturating_sub(now.steady_ms)),
            generation: entry.record.generation,
            spec: entry.record.spec().cloned(),
            probe: entry.wants_probe(),
        }))
    }

    /// Writes down that the present run is about to be asked to stop.
    ///
    /// # Errors
    /// Where it cannot be stored: then it must not be asked.
    pub fn about_to_stop(&self, id: &IntentId) -> Result<()> {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return Ok(()) };
        let run = entry.record.life.as_ref().map(|open| open.run.clone());
        if entry.record.stopping != run {
            entry.record.stopping = run;
            entry.unsaved = true;
        }
        inner.save(id)
    }

    /// A step was taken. (Whether it did anything, the next look tells.)
    pub fn worked(&self, id: &IntentId) {
        if let Some(entry) = self.inner().entries.get_mut(id) {
            entry.problem = None;
        }
    }

    /// A look or a step did not work. Answers how long to leave it alone.
    pub fn failed(&self, id: &IntentId, step: Step, error: &Error) -> Duration {
        let now = self.clock.now();
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return Duration::ZERO };
        entry.tries += 1;
        let problem = Problem { code: error.code().to_owned(), message: error.to_string(), retrying: true };
        let never = error.kind() == Kind::Invalid && matches!(step, Step::Prepare | Step::Start);
        if never {
            entry.refused = Some(Problem { retrying: false, ..problem.clone() });
        }
        entry.problem = Some(problem);
        // A moment's absence, such as a restart of the hypervisor's daemon, is not worth a word.
        entry.blind = step == Step::Rest && entry.tries >= 3;
        let pause = error.wait().unwrap_or_else(|| self.settings.pause(entry.tries));
        let pause = if never { Duration::ZERO } else { pause };
        if step != Step::Rest {
            entry.not_before_ms = now.steady_ms + u64::try_from(pause.as_millis()).unwrap_or(0);
        }
        inner.show(id, &now);
        pause
    }

    /// The same step again without effect: it did not work although it said so.
    pub fn fruitless(&self, id: &IntentId, step: Step) -> Duration {
        let error = Error::uncertain("machine.no_effect", format!("{step:?} was taken and nothing came of it"));
        self.failed(id, step, &error)
    }

    /// Notes what the hypervisor lists. Answers those that need a pass: whatever is not as it was.
    pub fn watch(&self, listed: &[Found]) -> Vec<IntentId> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let mut orphans = Vec::new();
        let (mut passes, mut moved) = (Vec::new(), Vec::new());
        for found in listed {
            let Some(entry) = inner.entries.get_mut(&found.id) else {
                orphans.push(orphan(found));
                continue;
            };
            if entry.stranger {
                orphans.push(orphan(found));
            }
            if entry.recovering != found.recovering {
                entry.recovering.clone_from(&found.recovering);
                moved.push(&found.id);
            }
            let same_run = match (&entry.record.life, found.activity.run()) {
                (Some(open), Some(run)) => open.run == run.name,
                (None, None) => true,
                _ => false,
            };
            if same_run && entry.record.life.is_some() {
                entry.record.observe(Some(found), &now, false);
            }
            let gone = matches!(entry.record.desired, Desired::Absent);
            let paused = matches!(found.activity, crate::hypervisor::Activity::Paused { .. });
            if !same_run || gone || paused || entry.blind {
                passes.push(found.id.clone());
            }
        }
        // How far a disk is that comes back is told as it goes, though nothing else changed.
        moved.into_iter().for_each(|id| inner.revise(id));
        let here: std::collections::HashSet<&IntentId> = listed.iter().map(|found| &found.id).collect();
        let missing = inner.entries.values().filter(|entry| entry.record.life.is_some());
        passes.extend(missing.map(|entry| &entry.record.id).filter(|id| !here.contains(id)).cloned());
        orphans.sort_by(|a, b| a.id.cmp(&b.id));
        if orphans != inner.orphans {
            inner.orphans = orphans;
            inner.orphans_told = false;
        }
        passes
    }

    /// Every intent, for the pass that everything gets now and then. What is
    /// confirmed to be gone needs none: were it there after all, [`Book::watch`] would see it.
    pub fn ids(&self) -> Vec<IntentId> {
        let gone = |entry: &Entry| matches!(entry.record.desired, Desired::Absent) && entry.verdict.converged;
        self.inner().entries.values().filter(|entry| !gone(entry)).map(|entry| entry.record.id.clone()).collect()
    }

    /// The check that is due, if there is something to check.
    pub fn probe(&self, id: &IntentId) -> Option<Probe> {
        let inner = self.inner();
        let entry = inner.entries.get(id)?;
        if !entry.is_checked() {
            return None;
        }
        let answered = entry.check.as_ref().is_some_and(|check| check.answered_at.is_some());
        Some(Probe {
            spec: entry.record.spec()?.clone(),
            life: entry.record.life.as_ref()?.life.seq,
            patience: if answered { Duration::from_secs(3) } else { Duration::from_secs(1) },
        })
    }

    /// Notes what a check saw. Answers when to try again; `None` when there is nothing to check any more.
    pub fn checked(&self, id: &IntentId, life: u64, answer: Answer) -> Option<Duration> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let entry = inner.entries.get_mut(id)?;
        let open = entry.record.life.as_ref().filter(|open| open.life.seq == life)?;
        let before = entry.check.take().filter(|check| check.life == life);
        let (answered_at, boot_ms) = match &before {
            Some(CheckResult { answered_at: Some(at), boot_ms, .. }) => (Some(*at), *boot_ms),
            _ if answer.ok => (Some(now.wall), Some(now.steady_ms.saturating_sub(open.began_steady_ms))),
            _ => (None, None),
        };
        let alive = Duration::from_millis(now.steady_ms.saturating_sub(open.began_steady_ms));
        entry.probes = if answer.ok { 0 } else { entry.probes.saturating_add(1) };
        entry.check = Some(CheckResult {
            ok: answer.ok,
            life,
            answered_at,
            boot_ms,
            detail: answer.detail,
            body: answer.body,
            checked_at: now.wall,
        });
        let again = match (answer.ok, answered_at.is_some()) {
            (true, _) => Duration::from_secs(30),
            (false, true) => Duration::from_secs(2),
            (false, false) if alive < Duration::from_secs(60) => Duration::from_millis(50),
            (false, false) if alive < Duration::from_secs(600) => Duration::from_secs(1),
            (false, false) => Duration::from_secs(10),
        };
        inner.show(id, &now);
        Some(again)
    }

    /// The present life of a machine that was made for that recovery, disk for disk, and reaches nothing
    /// outside of this host.
    ///
    /// # Errors
    /// `Conflict` (`machine.not_drilled`, `machine.taken_away`): this is no machine to be tried on, or it
    /// does not run.
    pub fn made_for(&self, id: &IntentId, recovery: &RecoveryId) -> Result<u64> {
        let inner = self.inner();
        let none = || Error::conflict("machine.taken_away", format!("machine {id} does not run here"));
        let record = &inner.entries.get(id).filter(|entry| !entry.stranger).ok_or_else(none)?.record;
        let spec = record.spec().ok_or_else(none)?;
        let of_it =
            |disk: &DiskSpec| matches!(&disk.source, DiskSource::Recovery { recovery: of, .. } if of == recovery);
        let alone = |network: &NetworkSpec| matches!(network, NetworkSpec::User { outbound: false, .. });
        if spec.disks.is_empty() || !spec.disks.iter().all(of_it) || !spec.networks.iter().all(alone) {
            let message = format!("machine {id} was not made for recovery {recovery} alone: it is left as it is");
            return Err(Error::conflict("machine.not_drilled", message));
        }
        record.life.as_ref().map(|open| open.life.seq).ok_or_else(none)
    }

    /// Whether the server has stored the end of that life.
    pub fn has_told_end(&self, id: &IntentId, life: u64) -> bool {
        let inner = self.inner();
        // What is forgotten was told before.
        let Some(record) = inner.entries.get(id).map(|entry| &entry.record) else { return true };
        let open = record.life.as_ref().is_some_and(|open| open.life.seq <= life);
        !open && record.next_seq > life && !record.ended.iter().any(|ended| ended.seq == life)
    }

    /// What the server should be told, oldest news first, at most as much as one report holds.
    /// `everything`: also what runs without news, so that the server knows that it still does.
    pub fn news(&self, everything: bool) -> (Vec<Observation>, Option<Vec<Orphan>>) {
        let now = self.clock.now();
        let mut inner = self.inner();
        if everything {
            let living = inner.entries.values().filter(|entry| entry.record.life.is_some() && !entry.stranger);
            let ids: Vec<IntentId> = living.map(|entry| entry.record.id.clone()).collect();
            for id in ids {
                // It lasts longer than when it was last told: that is news to who meters it.
                inner.revise(&id);
            }
        }
        let (mut observations, mut lives) = (Vec::new(), 0);
        for id in inner.dirty.values().take(limits::REPORT_OBSERVATIONS_MAX) {
            let Some(entry) = inner.entries.get(id).filter(|entry| !entry.stranger) else { continue };
            let mut observation = entry.observation(&now);
            // Oldest first; the rest follows once these are stored.
            observation.lives.truncate(limits::OBSERVATION_LIVES_MAX);
            lives += observation.lives.len();
            if lives > limits::REPORT_LIVES_MAX && !observations.is_empty() {
                break;
            }
            observations.push(observation);
        }
        let orphans = (everything || !inner.orphans_told).then(|| inner.orphans.clone());
        (observations, orphans)
    }

    /// Writes down how long what runs has certainly run, for the case that nobody sees its end.
    ///
    /// # Errors
    /// Where the disk does not let it.
    pub fn checkpoint(&self) -> Result<()> {
        let mut inner = self.inner();
        let mut living = Vec::new();
        for (id, entry) in inner.entries.iter_mut().filter(|(_, entry)| entry.record.life.is_some()) {
            entry.unsaved = true;
            living.push(id.clone());
        }
        inner.save_all(living.iter())
    }

    /// Whether there is news.
    pub fn has_news(&self) -> bool {
        let inner = self.inner();
        !inner.dirty.is_empty() || !inner.orphans_told
    }

    /// The server has stored a report.
    ///
    /// # Errors
    /// Where forgetting what it stored cannot be written down; it will be told again.
    pub fn told(&self, told: &[Observation], orphans: Option<&[Orphan]>, answer: &ReportAnswer) -> Result<()> {
        let mut inner = self.inner();
        if orphans.is_some_and(|orphans| orphans == inner.orphans) {
            inner.orphans_told = true;
        }
        let mut forgotten = Vec::new();
        for observation in told {
            let Some(entry) = inner.entries.get_mut(&observation.id) else { continue };
            if answer.unknown.contains(&observation.id) {
                forgotten.push((observation.id.clone(), true));
                continue;
            }
            if entry.record.acknowledge(&observation.lives) {
                entry.unsaved = true;
            }
            let told_all = entry.record.lives().iter().all(|life| observation.lives.iter().any(|l| l.seq == life.seq));
            if entry.revision == observation.revision {
                if let Some(ticket) = entry.ticket.take() {
                    inner.dirty.remove(&ticket);
                }
                if !told_all {
                    inner.revise(&observation.id);
                }
            }
            forgotten.push((observation.id.clone(), false));
        }
        for (id, _) in forgotten.iter().filter(|(_, stranger)| *stranger) {
            inner.estrange(id);
        }
        inner.save_all(forgotten.iter().map(|(id, _)| id))
    }

    /// Forgets tombstones that nothing can come late for any more.
    pub fn bury(&self) -> Result<()> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let old = |entry: &&Entry| {
            let gone = entry.record.gone_at.map(|at| now.wall.duration_since(at).as_hours());
            entry.stranger
                && entry.record.ended.is_empty()
                && gone.is_some_and(|hours| hours >= limits::TOMBSTONE_HOURS)
        };
        let ids: Vec<IntentId> = inner.entries.values().filter(old).map(|entry| entry.record.id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        inner.store.forget(ids.iter().map(IntentId::as_str))?;
        for id in &ids {
            if let Some(ticket) = inner.entries.remove(id).and_then(|entry| entry.ticket) {
                inner.dirty.remove(&ticket);
            }
        }
        Ok(())
    }

    /// What came of tasks, as far as it is on disk.
    pub fn tasks(&self) -> Result<Vec<TaskReport>> {
        self.inner().store.tasks()
    }

    /// Writes down what came of a task.
    pub fn save_task(&self, report: &TaskReport) -> Result<()> {
        self.inner().store.save_task(report)
    }

    /// Forgets what came of tasks.
    pub fn forget_tasks(&self, ids: &[TaskId]) -> Result<()> {
        self.inner().store.forget_tasks(ids)
    }

    /// Lets the store fail after so many more writes.
    #[cfg(test)]
    pub fn crash_after(&self, writes: u32) {
        self.inner().store.writes_left = Some(writes);
    }

    /// Every intent as it would be reported now, sorted.
    pub fn observations(&self) -> Vec<Observation> {
        let now = self.clock.now();
        let mut all: Vec<_> = self.inner().entries.values().map(|entry| entry.observation(&now)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

impl Inner {
    fn consider(&self, intent: Intent, now: &Moment, taken: &mut Vec<Record>, reused: &mut Vec<IntentId>) {
        let earlier = taken.iter().position(|record| record.id == intent.id);
        let held =
            earlier.map(|at| taken[at].clone()).or_else(|| self.entries.get(&intent.id).map(|e| e.record.clone()));
        let id = intent.id.clone();
        let Some(mut record) = held else {
            taken.push(Record::new(intent, now));
            return;
        };
        match record.accept(intent) {
            Accepted::Newer => match earlier {
                Some(at) => taken[at] = record,
                None => taken.push(record),
            },
            Accepted::Reused => reused.push(id),
            Accepted::Same | Accepted::Older => {}
        }
    }

    /// Puts a stored record in place of what was held.
    fn take(&mut self, record: Record) {
        match self.entries.get_mut(&record.id) {
            Some(entry) => {
                entry.digest = record.spec().map(spec_digest).unwrap_or_default();
                entry.record = record;
                entry.unsaved = false;
                entry.tries = 0;
                entry.crashes = 0;
                entry.not_before_ms = 0;
                entry.problem = None;
                entry.refused = None;
                entry.verdict.converged = false;
            }
            None => {
                self.entries.insert(record.id.clone(), Entry::new(record));
            }
        }
    }

    fn look_at(&mut self, id: &IntentId, found: Option<Found>, now: &Moment, watched: bool, settings: &Settings) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let ended = entry.record.ended.len();
        entry.unsaved |= entry.record.observe(found.as_ref(), now, watched);
        if let Some(life) = entry.record.ended.get(ended..).and_then(<[_]>::last) {
            let asked = life.end.as_ref().is_some_and(|end| matches!(end.reason.as_str(), "stopped" | "shutdown"));
            let loops = life.ran_ms < YOUNG_MS && !asked;
            entry.crashes = if loops { entry.crashes.saturating_add(1) } else { 0 };
            if entry.crashes > 0 {
                let pause = settings.pause(entry.crashes.saturating_add(2));
                entry.not_before_ms = now.steady_ms + u64::try_from(pause.as_millis()).unwrap_or(0);
            }
        }
        entry.blind = false;
        let refused = entry.refused.as_ref();
        let verdict = decide(&entry.record, &entry.digest, refused, found.as_ref(), settings.grace);
        if verdict.step == Step::Rest {
            entry.tries = 0;
            entry.not_before_ms = 0;
            entry.problem = None;
        }
        if verdict.state == MachineState::Absent && entry.record.gone_at.is_none() {
            entry.record.gone_at = Some(now.wall);
            entry.unsaved = true;
        }
        entry.found = found;
        entry.verdict = verdict;
    }

    fn save(&mut self, id: &IntentId) -> Result<()> {
        self.save_all(std::iter::once(id))
    }

    fn save_all<'a>(&mut self, ids: impl Iterator<Item = &'a IntentId>) -> Result<()> {
        let ids: Vec<&IntentId> = ids.collect();
        let unsaved = |id: &&&IntentId| self.entries.get(**id).is_some_and(|entry| entry.unsaved);
        let records: Vec<&Record> =
            ids.iter().filter(unsaved).filter_map(|id| self.entries.get(*id)).map(|entry| &entry.record).collect();
        if records.is_empty() {
            return Ok(());
        }
        self.store.save(records)?;
        for id in ids {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.unsaved = false;
            }
        }
        Ok(())
    }

    /// The server does not know this intent. Whatever there is stays as it is.
    fn estrange(&mut self, id: &IntentId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.stranger = true;
        if let Some(ticket) = entry.ticket.take() {
            self.dirty.remove(&ticket);
        }
        // Shown to the server by the next look at the whole host, where there is something to show.
    }

    /// Marks what should be told, if it differs from what was last shown.
    fn show(&mut self, id: &IntentId, now: &Moment) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let state = entry.state();
        if state != entry.record.state {
            entry.record.state = state;
            entry.record.since = now.wall;
        }
        let observation = entry.observation(now);
        if entry.told.as_ref().is_some_and(|told| same_news(told, &observation)) {
            return;
        }
        entry.told = Some(observation);
        self.revise(id);
    }

    /// Makes the next observation newer than all before it, and due.
    fn revise(&mut self, id: &IntentId) {
        let epoch = self.epoch;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.revision = entry.revision.max(epoch << EPOCH_BITS) + 1;
        }
        self.mark(id);
    }

    fn mark(&mut self, id: &IntentId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.ticket.is_none() && !entry.stranger {
            self.ticket += 1;
            entry.ticket = Some(self.ticket);
            self.dirty.insert(self.ticket, id.clone());
        }
    }
}

impl Entry {
    fn new(record: Record) -> Self {
        let verdict = Verdict { step: Step::Rest, state: record.state, converged: false, problem: None };
        Self {
            digest: record.spec().map(spec_digest).unwrap_or_default(),
            record,
            unsaved: false,
            found: None,
            verdict,
            tries: 0,
            crashes: 0,
            not_before_ms: 0,
            problem: None,
            refused: None,
            reused: false,
            stranger: false,
            blind: false,
            recovering: Vec::new(),
            check: None,
            probes: 0,
            revision: 0,
            told: None,
            ticket: None,
        }
    }

    fn is_checked(&self) -> bool {
        self.record.life.is_some() && self.record.spec().is_some_and(|spec| spec.check.is_some())
    }

    /// A new life has not been probed yet.
    fn wants_probe(&self) -> bool {
        let life = self.record.life.as_ref().map(|open| open.life.seq);
        self.is_checked() && self.check.as_ref().map(|check| check.life) != life
    }

    fn state(&self) -> MachineState {
        if self.blind { MachineState::Unknown } else { self.verdict.state }
    }

    fn observation(&self, now: &Moment) -> Observation {
        let life = self.record.life.as_ref().map(|open| open.life.seq);
        let reused = self
            .reused
            .then(|| lasting("intent.generation_reused", "this generation once meant something else here; raise it"));
        let power = match (&self.found, self.blind) {
            (_, true) => None,
            (Some(found), _) => Some(found.power()),
            (None, _) => Some(if life.is_some() { Power::Running } else { Power::Stopped }),
        };
        Observation {
            id: self.record.id.clone(),
            generation: self.record.generation,
            revision: self.revision,
            state: self.state(),
            converged: self.verdict.converged && !self.blind && !self.reused,
            since: self.record.since,
            power,
            reboot_token: self.record.rebooted.clone(),
            lives: self.record.lives(),
            check: self.check.clone().filter(|check| Some(check.life) == life),
            recovered: self.found.as_ref().map_or_else(Vec::new, |found| found.recovered.clone()),
            recovering: self.recovering.clone(),
            console_bytes: self.found.as_ref().map_or(0, |found| found.console_bytes),
            problem: reused.or_else(|| self.problem.clone()).or_else(|| self.verdict.problem.clone()),
            observed_at: now.wall,
        }
    }
}

/// Whether two observations say the same, but for how long things have lasted.
fn same_news(a: &Observation, b: &Observation) -> bool {
    // Lives only leave the list when the server has stored them: that is no news.
    let no_new_life = b
        .lives
        .iter()
        .all(|new| a.lives.iter().any(|old| (old.seq, old.end.is_some()) == (new.seq, new.end.is_some())));
    let check =
        |observation: &Observation| observation.check.as_ref().map(|check| (check.ok, check.life, check.answered_at));
    a.generation == b.generation
        && a.state == b.state
        && a.converged == b.converged
        && a.power == b.power
        && a.reboot_token == b.reboot_token
        && a.problem == b.problem
        && a.recovered == b.recovered
        && no_new_life
        && check(a) == check(b)
}

fn orphan(found: &Found) -> Orphan {
    Orphan {
        id: found.id.clone(),
        generation: found.generation,
        domain: found.domain.clone(),
        power: found.power(),
        vcpus: found.vcpus,
        memory_mib: found.memory_mib,
    }
}
