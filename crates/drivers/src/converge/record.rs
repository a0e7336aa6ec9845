//! What an agent must not forget about one intent, and how looking turns into lives.

use base::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hypervisor::{Activity, Found, Run, Stopped};
use crate::moment::Moment;
use crate::wire::{Desired, Intent, IntentId, Life, LifeEnd, MachineSpec, MachineState, Power};

/// A life counts as watched to its end when it was seen running this long before, or later. Above
/// the default pause between two looks, with room for a slow hypervisor.
const WATCHED_MS: u64 = 5_000;

/// A machine that dies younger than this is in a loop, and started again with growing pauses.
pub(super) const YOUNG_MS: u64 = 60_000;

/// One intent, as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub id: IntentId,
    pub generation: u64,
    pub desired: Desired,
    /// The sequence number of the next life. A tombstone keeps it.
    pub next_seq: u64,
    /// The present life.
    pub life: Option<OpenLife>,
    /// Lives that ended and that the server has not acknowledged.
    pub ended: Vec<Life>,
    /// The reboot that was last acted on.
    pub rebooted: Option<String>,
    /// A reboot under way: done as soon as the run it names is over.
    pub reboot: Option<Reboot>,
    /// The run that was last asked to stop. Written before asking, so that its orderly end is never
    /// taken for the guest's own wish.
    pub stopping: Option<String>,
    /// The guest shut itself down while this generation wanted it to run.
    pub shut_down_inside: Option<u64>,
    /// Up to when lives have been told. A run that is found to go on after all goes on in a new life
    /// from there: the hypervisor had not told the truth about its end, or the agent has lost its memory.
    pub last: Option<LastLife>,
    /// Set once an absence was confirmed.
    pub gone_at: Option<Timestamp>,
    /// The state that was last seen, and since when it is so.
    pub state: MachineState,
    pub since: Timestamp,
}

/// The present life, with what is needed to recognise it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenLife {
    pub life: Life,
    pub run: String,
    pub boot: String,
    pub began_steady_ms: u64,
    pub seen_steady_ms: u64,
}

/// The end of the last life, by both clocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LastLife {
    pub boot: String,
    pub at: Timestamp,
    pub steady_ms: u64,
}

/// A reboot under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Reboot {
    pub token: String,
    pub from_run: String,
}

/// What became of an intent that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is newer: taken.
    Newer,
    /// It is what is held.
    Same,
    /// It is older than what is held: ignored.
    Older,
    /// It says something else under the number that is held: the server has lost its memory.
    Reused,
}

impl Record {
    pub fn new(intent: Intent, now: &Moment) -> Self {
        let rebooted = token(&intent.desired);
        // Lives that we do not remember: what of a run lies before now may have been told already.
        let told = (intent.lives_known > 0).then(|| LastLife {
            boot: now.boot.to_string(),
            at: now.wall,
            steady_ms: now.steady_ms,
        });
        Self {
            id: intent.id,
            generation: intent.generation,
            desired: intent.desired,
            next_seq: intent.lives_known.saturating_add(1),
            life: None,
            ended: Vec::new(),
            rebooted,
            reboot: None,
            stopping: None,
            shut_down_inside: None,
            last: told,
            gone_at: None,
            state: MachineState::Unknown,
            since: now.wall,
        }
    }

    /// The machine that should be there.
    pub fn spec(&self) -> Option<&MachineSpec> {
        match &self.desired {
            Desired::Machine(spec) => Some(spec),
            _ => None,
        }
    }

    /// Takes a newer generation; everything else is left aside.
    pub fn accept(&mut self, intent: Intent) -> Accepted {
        if intent.generation < self.generation {
            return Accepted::Older;
        }
        if intent.generation == self.generation {
            return if intent.desired == self.desired { Accepted::Same } else { Accepted::Reused };
        }
        self.generation = intent.generation;
        self.desired = intent.desired;
        self.gone_at = None;
        let wanted = token(&self.desired);
        let under_way = self.reboot.as_ref().map(|reboot| &reboot.token);
        if wanted.is_some() && wanted != self.rebooted && wanted.as_ref() != under_way {
            match (&self.life, wanted) {
                (Some(open), Some(token)) => self.reboot = Some(Reboot { token, from_run: open.run.clone() }),
                (_, token) => self.rebooted = token,
            }
        }
        Accepted::Newer
    }

    /// Notes what is there now. `watched`: the caller has just made it so, so that the change
    /// happened at this moment. Answers whether there is something that must be stored.
    pub fn observe(&mut self, found: Option<&Found>, now: &Moment, watched: bool) -> bool {
        let run = found.and_then(|f| f.activity.run());
        let mut changed = false;
        if let Some(open) = &mut self.life {
            if run.is_some_and(|run| run.name == open.run) {
                open.see(now);
            } else {
                self.close(found, now, watched);
                changed = true;
            }
        }
        if let (Some(found), Some(run), None) = (found, run, &self.life) {
            self.open(found, run, now, watched);
            changed = true;
        }
        let over = |reboot: &Reboot| self.life.as_ref().is_none_or(|open| open.run != reboot.from_run);
        if self.reboot.as_ref().is_some_and(over) {
            self.rebooted = self.reboot.take().map(|reboot| reboot.token);
            changed = true;
        }
        changed
    }

    /// Every life that the server may not know in its present form.
    pub fn lives(&self) -> Vec<Life> {
        self.ended.iter().chain(self.life.as_ref().map(|open| &open.life)).cloned().collect()
    }

    /// Forgets ended lives that the server has stored.
    pub fn acknowledge(&mut self, lives: &[Life]) -> bool {
        let before = self.ended.len();
        self.ended.retain(|mine| !lives.iter().any(|theirs| theirs == mine));
        self.ended.len() != before
    }

    fn open(&mut self, found: &Found, run: &Run, now: &Moment, watched: bool) {
        let mut began_steady_ms = run.began.map_or(now.steady_ms, |began| began.steady_ms.min(now.steady_ms));
        let mut started_at = run.began.map_or(now.wall, |began| began.at);
        let mut certain = watched || run.began.is_some();
        if let Some(last) = &self.last {
            // Never twice for the same time, whatever clocks and hypervisors say.
            started_at = started_at.max(last.at);
            if *last.boot == *now.boot && began_steady_ms < last.steady_ms {
                began_steady_ms = last.steady_ms.min(now.steady_ms);
                certain = false;
            }
        }
        self.life = Some(OpenLife {
            life: Life {
                seq: self.next_seq,
                started_at,
                started_certain: certain,
                last_seen_at: now.wall.max(started_at),
                ran_ms: now.steady_ms - began_steady_ms,
                end: None,
                vcpus: found.vcpus,
                memory_mib: found.memory_mib,
            },
            run: run.name.clone(),
            boot: now.boot.to_string(),
            began_steady_ms,
            seen_steady_ms: now.steady_ms,
        });
        self.next_seq += 1;
        self.shut_down_inside = None;
    }

    fn close(&mut self, found: Option<&Found>, now: &Moment, watched: bool) {
        let Some(mut open) = self.life.take() else { return };
        let same_boot = *open.boot == *now.boot;
        if watched && same_boot {
            open.see(now);
        }
        let certain = same_boot && now.steady_ms.saturating_sub(open.seen_steady_ms) <= WATCHED_MS;
        let asked = self.stopping.as_deref() == Some(&open.run);
        let how = match found.map(|f| &f.activity) {
            Some(Activity::Stopped { how }) => Some(*how),
            _ => None,
        };
        let reason = match how {
            None if found.is_none() => "removed",
            None => "lost",
            Some(_) if asked => "stopped",
            Some(Stopped::Shutdown) => "shutdown",
            Some(Stopped::Destroyed) => "destroyed",
            Some(Stopped::Crashed) => "crashed",
            Some(Stopped::Never | Stopped::Unknown) => "lost",
        };
        // Another run was found in its place: it ended before that one began.
        let other = found.and_then(|f| f.activity.run()).filter(|run| run.name != open.run).and_then(|run| run.began);
        let at = other.map_or(now.wall, |began| began.at.min(now.wall)).max(open.life.last_seen_at);
        let steady_ms = other.map_or(now.steady_ms, |began| began.steady_ms);
        self.last = Some(LastLife { boot: now.boot.to_string(), at, steady_ms });
        open.life.end = Some(LifeEnd { at, certain, reason: reason.to_owned() });
        let wanted = self.spec().is_some_and(|spec| spec.power == Power::Running);
        if how == Some(Stopped::Shutdown) && !asked && wanted && self.reboot.is_none() {
            self.shut_down_inside = Some(self.generation);
        }
        self.ended.push(open.life);
    }
}

impl OpenLife {
    fn see(&mut self, now: &Moment) {
        self.life.last_seen_at = self.life.last_seen_at.max(now.wall);
        if *self.boot == *now.boot {
            self.life.ran_ms = self.life.ran_ms.max(now.steady_ms.saturating_sub(self.began_steady_ms));
            self.seen_steady_ms = now.steady_ms;
        }
    }
}

fn token(desired: &Desired) -> Option<String> {
    match desired {
        Desired::Machine(spec) => spec.reboot_token.clone(),
        _ => None,
    }
}
