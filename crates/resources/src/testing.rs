//! Hosts for the tests of this and higher rooms: let in without an entrance,
//! with agents that are played or run inside the process.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use base::id::{HostId, TenantId};
use base::{Error, Result, limits};
use db::args;
use db::records::Scope;
use drivers::converge::ControlPlane;
use drivers::wire::{
    Accelerator, CheckResult, ConsoleTail, Desired, DiskSource, DiskSpec, HostReport, ImageRef, IntentId, Intents,
    Life, MachineState, Observation, PROTOCOL, Power, Recovered, RecoveryAccess, RecoveryId, Report, ReportAnswer,
    TaskId,
};
use gate::{Actor, Cx, Gate};

use crate::hosts::{self, Enrol};
use crate::images::{NewImage, REGISTER};
use crate::observe::{OBSERVE, POLL, Poll};
use crate::places::{CREATE_POOL, CREATE_SITE, Factors, NewPool, NewSite, Pool, Ratio};
use crate::{PoolId, console, tasks};

/// A site with a pool that sells what its hosts have, and ports from 20000 on.
pub fn pool(gate: &Gate, staff: &Cx) -> Pool {
    let site = gate.run(staff, &CREATE_SITE, NewSite { name: "Taipei".into(), place: "Taipei".into() }).unwrap();
    let one = Ratio { over: 1, under: 1 };
    let new = NewPool {
        site: site.id,
        name: "general".into(),
        factors: Factors { vcpu: one, memory: one, disk: one },
        port_first: Some(20_000),
        port_last: Some(39_999),
    };
    gate.run(staff, &CREATE_POOL, new).unwrap()
}

/// An image of that name.
pub fn image(gate: &Gate, staff: &Cx, name: &str) {
    let new = NewImage {
        name: name.to_owned(),
        sha256: "ab".repeat(32).parse().unwrap(),
        bytes: 1 << 20,
        format: Default::default(),
        url: None,
    };
    gate.run(staff, &REGISTER, new).unwrap();
}

/// A host of that size.
pub fn facts(name: &str, cores: u32, memory_mib: u64, disk_mib: u64) -> HostReport {
    HostReport {
        hostname: name.to_owned(),
        cpu_cores: cores,
        memory_mib,
        disk_mib,
        disk_free_mib: disk_mib,
        accelerator: Accelerator::Simulated,
        hypervisor: "memory".into(),
        agent_version: "0.0.0".into(),
        booted_at: None,
        images: vec![],
        bridges: vec![],
        warnings: vec![],
    }
}

/// Lets a host in and makes it active.
pub fn host(gate: &Gate, staff: &Cx, pool: PoolId, facts: HostReport) -> HostId {
    let (tenant, secret) = (staff.tenant(), format!("secret of {}", facts.hostname));
    let now = gate.now();
    let (row, id) = (secret.clone(), crate::InvitationId::fresh(gate.ids(), now));
    gate.db()
        .write(move |conn| {
            conn.execute(
                "INSERT INTO host_invitations (id, tenant, pool, secret_sha256, note, created_at, expires_at) VALUES ($6, $2, $3, $1, '', $4, $5)",
                args![row, tenant, pool, now, now + Duration::from_secs(3_600), id],
            )
        })
        .unwrap();
    let enrol = Enrol { key_sha256: format!("key of {secret}"), secret_sha256: secret, host: facts };
    let host = gate.run(staff, &hosts::ENROL, enrol).unwrap().host;
    gate.run(staff, &hosts::ACTIVATE, hosts::HostRef { id: host }).unwrap();
    host
}

/// The agent of a host, acting.
pub fn agent(host: HostId, operator: TenantId) -> Cx {
    Cx::new(Actor::Agent(host), operator, Scope::Tenants { own: vec![], above: vec![] }, BTreeSet::new())
}

/// How a played agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Makes everything as wanted, at once.
    Willing,
    /// Cannot make machines.
    Failing,
    /// Makes machines that do not answer.
    Mute,
    /// Says nothing.
    Silent,
}

/// Plays a host's agent for one round: takes up every intent and reports it.
/// Says whether it had anything new to say.
pub fn play(gate: &Gate, host: HostId, operator: TenantId, mood: Mood) -> bool {
    if mood == Mood::Silent {
        return false;
    }
    let cx = agent(host, operator);
    let wanted = gate.run(&cx, &POLL, Poll { after: 0 }).unwrap();
    let now = gate.now();
    let news: Vec<Observation> = wanted
        .intents
        .into_iter()
        .filter_map(|intent| {
            let state = match &intent.desired {
                Desired::Absent => MachineState::Absent,
                _ if mood == Mood::Failing => MachineState::Failed,
                Desired::Machine(spec) if spec.power == Power::Stopped => MachineState::Stopped,
                _ => MachineState::Running,
            };
            let answers = mood == Mood::Willing && state == MachineState::Running;
            let told = last_seen(gate, &intent.id);
            let answered = |seen: &Observation| seen.check.as_ref().is_some_and(|check| check.ok);
            let known = |seen: &Observation| (seen.generation, seen.state, answered(seen));
            if told.as_ref().map(known) == Some((intent.generation, state, answers)) {
                return None;
            }
            let revision = told.map_or(1, |seen| seen.revision + 1);
            let mut seen = observation(&intent.id, intent.generation, revision, state, answers, now);
            if let Desired::Machine(spec) = &intent.desired
                && state == MachineState::Running
            {
                seen.recovered = spec.disks.iter().filter_map(recovered).collect();
            }
            Some(seen)
        })
        .collect();
    if news.is_empty() {
        return false;
    }
    let report =
        Report { protocol: PROTOCOL, sent_at: now, host: None, observations: news, orphans: None, tasks: vec![] };
    gate.run(&cx, &OBSERVE, report).unwrap();
    true
}

/// A disk that came back: half a mebibyte in a second and a half.
fn recovered(disk: &DiskSpec) -> Option<Recovered> {
    let DiskSource::Recovery { recovery, .. } = &disk.source else { return None };
    let (disk, recovery, digest) = (disk.name.clone(), recovery.clone(), "0".repeat(64));
    Some(Recovered { disk, recovery, bytes: 1 << 19, seconds: 1.0, verify_seconds: 0.5, digest })
}

fn last_seen(gate: &Gate, id: &drivers::wire::IntentId) -> Option<Observation> {
    let id = id.clone();
    gate.db().read(move |conn| crate::intents::get(conn, &id)).unwrap().and_then(|intent| intent.observed)
}

fn observation(
    id: &drivers::wire::IntentId,
    generation: u64,
    revision: u64,
    state: MachineState,
    answers: bool,
    at: base::time::Timestamp,
) -> Observation {
    let failed = state == MachineState::Failed;
    let runs = state == MachineState::Running;
    let life = Life {
        seq: 1,
        started_at: at,
        started_certain: true,
        last_seen_at: at,
        ran_ms: 1,
        end: None,
        vcpus: 1,
        memory_mib: 1_024,
    };
    Observation {
        id: id.clone(),
        generation,
        revision,
        state,
        converged: !failed,
        since: at,
        power: Some(if runs { Power::Running } else { Power::Stopped }),
        reboot_token: None,
        lives: if runs { vec![life] } else { vec![] },
        check: runs.then(|| CheckResult {
            ok: answers,
            life: 1,
            answered_at: answers.then_some(at),
            boot_ms: answers.then_some(10),
            detail: if answers { "200".into() } else { "connection refused".into() },
            body: None,
            checked_at: at,
        }),
        recovered: vec![],
        recovering: vec![],
        console_bytes: 0,
        problem: failed.then(|| drivers::wire::Problem {
            code: "hypervisor.refused".into(),
            message: "the hypervisor refuses".into(),
            retrying: false,
        }),
        observed_at: at,
    }
}

/// The server, as an agent in the same process sees it.
pub struct InProcess {
    gate: Gate,
    host: HostId,
    cx: Cx,
}

impl InProcess {
    /// For the agent of `host`.
    pub fn new(gate: Gate, host: HostId, operator: TenantId) -> Self {
        InProcess { gate, host, cx: agent(host, operator) }
    }
}

impl ControlPlane for InProcess {
    fn intents(&self, after: u64, wait: Duration) -> Result<Intents> {
        let until = Instant::now() + wait;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| Error::unavailable("runtime.absent", "no runtime").because(e))?;
        loop {
            let signal = crate::wake::signal(self.host);
            let notified = signal.notified();
            let found = self.gate.run(&self.cx, &POLL, Poll { after })?;
            let left = until.saturating_duration_since(Instant::now());
            if found.full
                || found.cursor != after
                || !found.intents.is_empty()
                || !found.console_requests.is_empty()
                || left.is_zero()
            {
                return Ok(found);
            }
            let step = left.min(Duration::from_millis(20));
            runtime.block_on(async { drop(tokio::time::timeout(step, notified).await) });
        }
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer> {
        self.gate.run(&self.cx, &OBSERVE, report.clone())
    }

    fn console(&self, tail: &ConsoleTail) -> Result<()> {
        self.gate.run(&self.cx, &console::ANSWER, tail.clone())
    }

    fn access(&self, task: &TaskId) -> Result<serde_json::Value> {
        self.gate.run(&self.cx, &tasks::ACCESS, tasks::TaskRef { id: task.clone() })
    }

    fn recover(&self, _: &IntentId, recovery: &RecoveryId, _: &str) -> Result<RecoveryAccess> {
        Err(Error::not_found("recovery.not_here", format!("{recovery} is not served here")))
    }

    fn image(&self, image: &ImageRef, _: u64, _: &mut dyn Write) -> Result<()> {
        let most = limits::IMAGE_BYTES_MAX;
        Err(Error::not_found("image.not_here", format!("{} is not served here (at most {most} bytes)", image.name)))
    }
}
