//! One host with its agent and the server's side of it, and what must be true of them.

use super::*;

/// One host with its agent, driven by hand: no threads, no real time.
pub struct Sim {
    pub dir: PathBuf,
    pub clock: HostClock,
    pub hypervisor: Memory,
    pub book: Option<Book>,
    /// The server's side.
    pub intents: BTreeMap<IntentId, Intent>,
    pub stored: BTreeMap<IntentId, BTreeMap<u64, Life>>,
    pub states: BTreeMap<IntentId, Observation>,
}

impl Sim {
    pub fn new(name: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // In memory where there is such a place: these tests write much and outlive nothing.
        let shm = PathBuf::from("/dev/shm");
        let base = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let dir = base.join(format!("yw-converge-{name}-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let clock = HostClock::fixed("2026-01-01T00:00:00Z".parse().unwrap(), "boot-1");
        let mut sim = Self {
            dir,
            hypervisor: Memory::new(clock.clone()),
            clock,
            book: None,
            intents: BTreeMap::new(),
            stored: BTreeMap::new(),
            states: BTreeMap::new(),
        };
        sim.restart_agent();
        sim
    }

    pub fn settings() -> Settings {
        Settings { retry_min: Duration::from_millis(100), retry_max: Duration::from_secs(5), ..Settings::default() }
    }

    /// Kills the agent, whatever it is doing, and starts it again.
    pub fn restart_agent(&mut self) {
        self.book = None;
        let store = Store::open(&self.dir.join("agent.db")).unwrap();
        self.book = Some(Book::open(store, Self::settings(), self.clock.clone()).unwrap());
    }

    pub fn book(&self) -> &Book {
        self.book.as_ref().unwrap()
    }

    /// The server changes its mind.
    pub fn want(&mut self, id: &IntentId, desired: Desired) -> Intent {
        let generation = self.intents.get(id).map_or(1, |intent| intent.generation + 1);
        let intent = Intent { id: id.clone(), generation, desired, lives_known: 0 };
        self.intents.insert(id.clone(), intent.clone());
        intent
    }

    pub fn deliver(&self, intents: Vec<Intent>, full: bool) {
        let _ = self.book().accept(Intents {
            protocol: PROTOCOL,
            cursor: 1,
            full,
            intents,
            console_requests: vec![],
            tasks: vec![],
        });
    }

    pub fn deliver_all(&self) {
        self.deliver(self.intents.values().cloned().collect(), true);
    }

    pub fn order(&mut self, id: &IntentId, desired: Desired) {
        let intent = self.want(id, desired);
        self.deliver(vec![intent], false);
    }

    pub fn pass(&self, id: &IntentId) {
        let _ = pass(self.book(), &self.hypervisor, id);
    }

    pub fn watch(&self) {
        if let Ok(listed) = self.hypervisor.list() {
            for id in self.book().watch(&listed) {
                self.pass(&id);
            }
        }
    }

    /// One report. `stored`: it reached the server; `acknowledged`: its answer came back.
    pub fn report(&mut self, everything: bool, stored: bool, acknowledged: bool) {
        let (observations, orphans) = self.book().news(everything);
        if stored {
            for seen in &observations {
                // As the server does: what is not newer is not read.
                if self.states.get(&seen.id).is_some_and(|old| old.revision >= seen.revision) {
                    continue;
                }
                for life in &seen.lives {
                    let lives = self.stored.entry(seen.id.clone()).or_default();
                    lives.entry(life.seq).and_modify(|mine| mine.absorb(life)).or_insert_with(|| life.clone());
                }
                self.states.insert(seen.id.clone(), seen.clone());
            }
        }
        if stored && acknowledged {
            let unknown: Vec<IntentId> =
                observations.iter().map(|o| o.id.clone()).filter(|id| !self.intents.contains_key(id)).collect();
            let _ = self.book().told(&observations, orphans.as_deref(), &ReportAnswer { unknown });
        }
    }

    pub fn run_for(&mut self, seconds: u64) {
        self.run_agent_alone(seconds);
        self.report(true, true, true);
    }

    pub fn run_agent_alone(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for id in self.book().ids() {
                self.pass(&id);
            }
            self.watch();
            self.clock.advance(Duration::from_secs(1));
        }
    }

    /// Good weather: everything comes to rest, and the server has heard of it.
    pub fn calm(&mut self) {
        self.hypervisor.set_faults(Faults::default());
        self.hypervisor.set_answering(true);
        self.hypervisor.settle();
        self.restart_agent();
        self.deliver_all();
        self.run_for(20);
        self.report(true, true, true);
    }

    /// Everything that must be true once it is calm.
    pub fn audit(&self) {
        assert_eq!(self.hypervisor.violations(), Vec::<String>::new());
        let truth: BTreeMap<IntentId, _> = self.hypervisor.truth().into_iter().map(|f| (f.id.clone(), f)).collect();
        for (id, intent) in &self.intents {
            let state = self.states.get(id).unwrap_or_else(|| panic!("nothing was ever said of {id}"));
            assert_eq!(state.generation, intent.generation, "{id}");
            match &intent.desired {
                Desired::Absent => {
                    assert!(!truth.contains_key(id), "{id} is still there");
                    assert_eq!((state.state, state.converged), (MachineState::Absent, true), "{id}: {state:?}");
                }
                Desired::Machine(spec) => {
                    let found = truth.get(id).unwrap_or_else(|| panic!("{id} is not there: {state:?}"));
                    let waits = state.problem.as_ref().map(|problem| problem.code.as_str());
                    match waits {
                        Some("machine.shut_down_inside") => assert!(!found.lives()),
                        Some("machine.restart_needed") => assert!(found.lives()),
                        None => {
                            assert!(state.converged, "{id}: {state:?}");
                            assert_eq!(found.power(), spec.power, "{id}");
                            assert_eq!(found.digest, spec_digest(spec), "{id}");
                        }
                        Some(other) => panic!("{id} has a problem in good weather: {other}"),
                    }
                    assert_eq!(found.lives(), state.lives.iter().any(|life| life.end.is_none()), "{id}");
                }
                Desired::Unknown => {}
            }
        }
        self.audit_lives(&truth);
    }

    pub fn audit_lives(&self, truth: &BTreeMap<IntentId, crate::hypervisor::Found>) {
        for (id, lives) in &self.stored {
            let lives: Vec<&Life> = lives.values().collect();
            for (at, life) in lives.iter().enumerate() {
                assert_eq!(life.seq, at as u64 + 1, "{id}: a gap in {lives:?}");
                let span = life.last_seen_at.duration_since(life.started_at).as_millis();
                assert!(i128::from(life.ran_ms) <= span + 1, "{id}: ran longer than it was seen: {life:?}");
                if let Some(end) = &life.end {
                    assert!(end.at >= life.last_seen_at, "{id}: {life:?}");
                }
                if let Some(next) = lives.get(at + 1) {
                    let end = life.end.as_ref().unwrap_or_else(|| panic!("{id}: two lives at once: {lives:?}"));
                    assert!(end.at <= next.started_at, "{id}: lives overlap: {life:?} {next:?}");
                }
            }
            let open = lives.last().is_some_and(|life| life.end.is_none());
            let living = truth.get(id).is_some_and(crate::hypervisor::Found::lives);
            assert_eq!(open, living, "{id}: {lives:?}");
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.book = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
