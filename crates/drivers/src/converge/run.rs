//! The threads of an agent, joined to a hypervisor and a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::error::Kind;
use base::{Error, Result, limits};

use super::board::{Board, Lane};
use super::book::Book;
use super::loss;
use super::pass::pass;
use super::queue::Queue;
use super::{ControlPlane, Settings, Store};
use crate::hypervisor::Hypervisor;
use crate::moment::HostClock;
use crate::tasks::{Cancel, Worker};
use crate::wire::{ConsoleRequest, ConsoleTail, HostReport, HostTask, Observation, PROTOCOL, Problem, Report, Work};

/// Tells the threads of an agent to come to an end.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopInner>);

#[derive(Default)]
struct StopInner {
    asked: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    /// Asks for the end.
    pub fn ask(&self) {
        let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.asked.store(true, Ordering::SeqCst);
        self.0.changed.notify_all();
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Sleeps, but not past the end. Answers whether the end was asked for.
    pub fn wait(&self, patience: Duration) -> bool {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let still = |(): &mut ()| !self.asked();
        let _ = self.0.changed.wait_timeout_while(guard, patience, still);
        self.asked()
    }
}

/// A running agent. Dropping it stops it; the machines go on.
pub struct Agent {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    book: Book,
    hypervisor: Arc<dyn Hypervisor>,
    server: Arc<dyn ControlPlane>,
    board: Board,
    worker: Option<Arc<dyn Worker>>,
    passes: Queue,
    probes: Queue,
    stop: Stop,
    news: (Mutex<bool>, Condvar),
    /// Whether the server has spoken since this agent started.
    spoken: (Mutex<bool>, Condvar),
    /// Unset by the reporter whenever the server was away: it may be another one now.
    host_told: Mutex<Option<(Instant, HostReport)>>,
}

impl Agent {
    /// Starts an agent that does no tasks: it takes up what `store` holds, and works until it is stopped.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn start(
        settings: Settings,
        hypervisor: Arc<dyn Hypervisor>,
        server: Arc<dyn ControlPlane>,
        store: Store,
        clock: HostClock,
    ) -> Result<Self> {
        Self::start_with(settings, hypervisor, server, store, clock, None)
    }

    /// [`Agent::start`] with somebody who does tasks.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_with(
        settings: Settings,
        hypervisor: Arc<dyn Hypervisor>,
        server: Arc<dyn ControlPlane>,
        store: Store,
        clock: HostClock,
        worker: Option<Arc<dyn Worker>>,
    ) -> Result<Self> {
        let book = Book::open(store, settings.clone(), clock)?;
        let shared = Arc::new(Shared {
            board: Board::open(&book)?,
            book,
            worker,
            hypervisor,
            server,
            passes: Queue::default(),
            probes: Queue::default(),
            stop: Stop::default(),
            news: (Mutex::new(true), Condvar::new()),
            spoken: (Mutex::new(false), Condvar::new()),
            host_told: Mutex::new(None),
        });
        for id in shared.book.ids() {
            shared.passes.push(&id, Duration::ZERO);
        }
        let mut agent = Self { shared, threads: Vec::new() };
        agent.spawn("intents", Shared::poll_intents)?;
        agent.spawn("report", Shared::report_news)?;
        agent.spawn("watch", Shared::watch_host)?;
        for _ in 0..settings.workers.max(1) {
            agent.spawn("work", Shared::work)?;
        }
        for _ in 0..settings.probers.max(1) {
            agent.spawn("probe", Shared::probe)?;
        }
        if let Some(worker) = &agent.shared.worker {
            agent.shared.log("what cut-off tasks left", worker.tidy());
        }
        for _ in 0..settings.tasks.max(1) {
            agent.spawn("task", |shared| shared.do_tasks(Lane::Long))?;
        }
        // Whoever looks into a backup does not wait until the others are through with theirs.
        agent.spawn("look", |shared| shared.do_tasks(Lane::Look))?;
        agent.spawn("fetch", |shared| shared.do_tasks(Lane::Fetch))?;
        agent.spawn("reading", |shared| shared.do_tasks(Lane::Reading))?;
        agent.spawn("loss", |shared| shared.do_tasks(Lane::Loss))?;
        Ok(agent)
    }

    fn spawn(&mut self, name: &str, body: fn(&Shared)) -> Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(format!("agent-{name}")).spawn(move || body(&shared));
        let thread = thread.map_err(|e| Error::unavailable("agent.no_thread", "cannot start a thread").because(e))?;
        self.threads.push(thread);
        Ok(())
    }

    /// What the agent would report now about every intent it holds, sorted by id.
    pub fn observations(&self) -> Vec<Observation> {
        self.shared.book.observations()
    }

    /// Stops the agent and waits until its threads are gone. Machines go on as they are.
    pub fn stop(self) {}
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.stop.ask();
        self.shared.hear();
        self.shared.board.close();
        self.shared.passes.close();
        self.shared.probes.close();
        self.shared.wake_reporter();
        self.shared.server.hang_up();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Asks for intents, for ever.
    fn poll_intents(&self) {
        let (mut cursor, mut tries) = (0, 0_u32);
        while !self.stop.asked() {
            match self.server.intents(cursor, self.book.settings.poll_wait).and_then(|intents| self.take(intents)) {
                Ok(next) => (cursor, tries) = (next, 0),
                Err(error) => {
                    tries += 1;
                    if error.kind() == Kind::Stale {
                        cursor = 0;
                    }
                    tracing::warn!(code = error.code(), tries, "no intents from the server: {error}");
                    let pause = error.wait().unwrap_or_else(|| self.book.settings.pause(tries));
                    self.stop.wait(pause.min(Duration::from_secs(15)));
                }
            }
        }
    }

    fn take(&self, intents: crate::wire::Intents) -> Result<u64> {
        if intents.protocol != PROTOCOL {
            let message = format!("the server speaks protocol {}, this agent {PROTOCOL}", intents.protocol);
            return Err(Error::invalid("agent.protocol_unsupported", message));
        }
        let (cursor, consoles) = (intents.cursor, intents.console_requests.clone());
        let tasks = intents.tasks.clone();
        for id in self.book.accept(intents)? {
            self.passes.push(&id, Duration::ZERO);
        }
        self.board.accept(tasks, &self.book)?;
        self.hear();
        self.wake_reporter();
        for request in consoles.iter().take(limits::CONSOLE_REQUESTS_MAX) {
            if let Err(error) = self.send_console(request) {
                tracing::warn!(id = %request.id, code = error.code(), "console not handed over: {error}");
            }
        }
        Ok(cursor)
    }

    fn hear(&self) {
        *self.spoken.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.spoken.1.notify_all();
    }

    /// Waits until the server has said what is wanted by now, but not for ever: machines that nobody
    /// told otherwise are worth more running.
    fn await_first_word(&self) {
        let guard = self.spoken.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |spoken: &mut bool| !*spoken && !self.stop.asked();
        let _ = self.spoken.1.wait_timeout_while(guard, self.book.settings.first_word, silent);
    }

    fn send_console(&self, request: &ConsoleRequest) -> Result<()> {
        let bytes_max = request.bytes_max.min(limits::CONSOLE_BYTES_MAX);
        let read = self.hypervisor.console(&request.id, bytes_max);
        let (text, truncated, problem) = match read {
            Ok(console) => (String::from_utf8_lossy(&console.bytes).into_owned(), console.truncated, None),
            Err(e) => {
                let problem = Problem { code: e.code().to_owned(), message: e.to_string(), retrying: false };
                (String::new(), false, Some(problem))
            }
        };
        self.server.console(&ConsoleTail {
            id: request.id.clone(),
            request: request.request.clone(),
            captured_at: self.book.clock.now().wall,
            text,
            truncated,
            problem,
        })
    }

    /// Takes machines from the queue and gives each a pass.
    fn work(&self) {
        self.await_first_word();
        while let Some(id) = self.passes.pop() {
            match pass(&self.book, &*self.hypervisor, &id) {
                Ok(after) => {
                    if after.probe {
                        self.probes.push(&id, Duration::ZERO);
                    }
                    if let Some(again) = after.again {
                        self.passes.push(&id, again);
                    }
                }
                Err(error) => {
                    tracing::error!(%id, code = error.code(), "a pass could not be finished: {error}");
                    self.passes.push(&id, Duration::from_secs(1));
                }
            }
            self.passes.done(&id);
            if self.book.has_news() {
                self.wake_reporter();
            }
        }
    }

    /// Does tasks, one after the other.
    fn do_tasks(&self, lane: Lane) {
        while let Some((task, cancel)) = self.board.take(lane) {
            self.wake_reporter();
            tracing::info!(id = %task.id, "a task begins");
            match self.server.access(&task.id) {
                Ok(access) => self.do_task(&task, access, &cancel),
                Err(error) => {
                    tracing::warn!(id = %task.id, code = error.code(), "what opens a task's repositories cannot be had: {error}");
                    self.board.held_up(&task.id, &error, |tries| {
                        error.wait().unwrap_or_else(|| self.book.settings.pause(tries))
                    });
                }
            }
            self.wake_reporter();
        }
    }

    fn do_task(&self, task: &HostTask, access: serde_json::Value, cancel: &Cancel) {
        let mut progress = |progress| {
            if self.board.progressed(&task.id, progress) {
                self.wake_reporter();
            }
        };
        let result = match (&task.work, &self.worker) {
            (Work::LoseMachine { machine, recovery }, _) => {
                loss::tried(&self.book, &*self.hypervisor, (machine, recovery), cancel)
            }
            (_, Some(worker)) => worker.run(task, access, cancel, &mut progress),
            (_, None) => Err(Error::invalid("task.unsupported", "this agent does no tasks")),
        };
        match &result {
            Ok(_) => tracing::info!(id = %task.id, "a task is done"),
            Err(error) => tracing::warn!(id = %task.id, code = error.code(), "a task was not done: {error}"),
        }
        self.board.ended(&task.id, result, self.book.clock.now().wall, &self.book);
    }

    /// Tries the checks of machines that have one.
    fn probe(&self) {
        while let Some(id) = self.probes.pop() {
            if let Some(probe) = self.book.probe(&id) {
                let answer = self.hypervisor.check(&id, &probe.spec, probe.patience);
                if let Some(again) = self.book.checked(&id, probe.life, answer) {
                    self.probes.push(&id, again);
                }
            }
            self.probes.done(&id);
            if self.book.has_news() {
                self.wake_reporter();
            }
        }
    }

    /// Looks at the whole host now and then, and passes on what changed by itself.
    fn watch_host(&self) {
        let settings = &self.book.settings;
        let (mut resynced, mut checkpointed) = (Instant::now(), Instant::now());
        let mut tries = 0;
        while !self.stop.asked() {
            match self.hypervisor.list() {
                Ok(listed) => {
                    tries = 0;
                    for id in self.book.watch(&listed) {
                        self.passes.push(&id, Duration::ZERO);
                    }
                    if self.book.has_news() {
                        self.wake_reporter();
                    }
                }
                Err(error) => {
                    tries += 1;
                    tracing::warn!(code = error.code(), tries, "the hypervisor cannot be asked: {error}");
                    if tries == 3 {
                        self.push_all();
                    }
                }
            }
            if resynced.elapsed() >= settings.resync_every {
                resynced = Instant::now();
                self.push_all();
                self.log("tombstones", self.book.bury());
            }
            if checkpointed.elapsed() >= settings.report_every {
                checkpointed = Instant::now();
                self.log("checkpoint", self.book.checkpoint());
            }
            for id in self.hypervisor.changes(settings.watch_every) {
                self.passes.push(&id, Duration::ZERO);
            }
        }
    }

    fn push_all(&self) {
        for id in self.book.ids() {
            self.passes.push(&id, Duration::ZERO);
        }
    }

    fn log(&self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            tracing::error!(code = error.code(), "{what}: {error}");
        }
    }

    /// Sends news at once, and a sign of life now and then.
    fn report_news(&self) {
        let settings = &self.book.settings;
        let mut last_full: Option<Instant> = None;
        let mut tries = 0;
        while !self.stop.asked() {
            let everything = last_full.is_none_or(|at| at.elapsed() >= settings.report_every);
            match self.report_once(everything) {
                Ok(more) => {
                    tries = 0;
                    if everything {
                        last_full = Some(Instant::now());
                    }
                    if more {
                        continue;
                    }
                    let left =
                        last_full.map_or(Duration::ZERO, |at| settings.report_every.saturating_sub(at.elapsed()));
                    self.wait_for_news(left);
                }
                Err(error) => {
                    tries += 1;
                    *self.host_told.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    last_full = None;
                    tracing::warn!(code = error.code(), tries, "the report did not reach the server: {error}");
                    let pause = error.wait().unwrap_or_else(|| settings.pause(tries));
                    self.stop.wait(pause.min(Duration::from_secs(15)));
                }
            }
        }
    }

    /// Sends one report. Answers whether there is more to say at once.
    fn report_once(&self, everything: bool) -> Result<bool> {
        let (observations, orphans) = self.book.news(everything);
        let host = if everything { self.host_news() } else { None };
        if !observations.is_empty() || orphans.is_some() || host.is_some() || everything {
            let sent_at = self.book.clock.now().wall;
            let report =
                Report { protocol: PROTOCOL, sent_at, host: host.clone(), observations, orphans, tasks: vec![] };
            let answer = self.server.report(&report)?;
            self.book.told(&report.observations, report.orphans.as_deref(), &answer)?;
            if let Some(host) = host {
                *self.host_told.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), host));
            }
            if self.book.has_news() && !report.observations.is_empty() {
                return Ok(true);
            }
        }
        self.report_tasks()
    }

    /// Tells how tasks go, by itself: where the server cannot take that, it still hears of the machines.
    fn report_tasks(&self) -> Result<bool> {
        let sent_at = self.book.clock.now().wall;
        let tasks = self.board.news(sent_at);
        if tasks.is_empty() {
            return Ok(false);
        }
        let report = Report { protocol: PROTOCOL, sent_at, host: None, observations: vec![], orphans: None, tasks };
        self.server.report(&report).inspect_err(|_| self.board.untold(&report.tasks))?;
        self.board.told(&report.tasks, &self.book)?;
        Ok(self.board.has_news())
    }

    /// The host, if the server has not heard of it as it is now.
    fn host_news(&self) -> Option<HostReport> {
        let host = match self.hypervisor.host() {
            Ok(host) => host,
            Err(error) => {
                tracing::warn!(code = error.code(), "the host cannot be described: {error}");
                return None;
            }
        };
        let told = self.host_told.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = told.as_ref().is_none_or(|(at, before)| {
            // What is free changes all the time and is no news by itself.
            let same = HostReport { disk_free_mib: before.disk_free_mib, ..host.clone() } == *before;
            !same || at.elapsed() >= self.book.settings.host_every
        });
        stale.then_some(host)
    }

    fn wake_reporter(&self) {
        *self.news.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.news.1.notify_all();
    }

    fn wait_for_news(&self, patience: Duration) {
        let guard = self.news.0.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |news: &mut bool| !*news && !self.stop.asked();
        let (mut news, _) =
            self.news.1.wait_timeout_while(guard, patience, quiet).unwrap_or_else(PoisonError::into_inner);
        *news = false;
    }
}
