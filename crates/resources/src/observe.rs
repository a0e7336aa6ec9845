//! What agents say: polls for what is wanted, reports of what is there.
//!
//! **Invariants** (tests: `tests/agents.rs`).
//! - An agent speaks of its own host only: what it says of another host's
//!   intents is not stored, and named in the answer as unknown.
//! - Old news changes nothing: an observation carries a revision, a life is
//!   merged ([`Life::absorb`]).
//! - What a machine held is freed in the transaction that stores the sight of
//!   its absence at the generation that wanted nothing.
//! - No agent can make a machine older or larger than its intent: what its lives
//!   claim to have run, all together, is cut to the time since then, and their
//!   size to what was reserved for it ([`plausible`]).
//! - A machine that an agent removed in a generation that we lost (we were restored from a copy)
//!   is not made again: its contents are gone, and an empty one in its place would hide that. It
//!   is withheld until somebody restores it or ends its service ([`withheld`]).
//! - No agent can use up the numbers of generations: one that is out of all
//!   proportion refuses the report.
//!
//! Not here: who the agent is (`door`).

use base::id::HostId;
use base::time::micros;
use base::{Error, Result, limits};
use db::args;
use drivers::wire::{
    ConsoleRequest, Desired, HostReport, Intent as WireIntent, Intents, Life, MachineState, Observation, PROTOCOL,
    Problem, Report, ReportAnswer,
};
use gate::{Action, Actor, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::intents::{self, Intent};
use crate::{Fact, capacity, hosts, inventory, orphans, tasks};

/// The host whose agent acts.
pub(crate) fn speaker(tx: &Tx<'_>) -> Result<HostId> {
    match tx.cx().actor() {
        Actor::Agent(host) => Ok(*host),
        _ => Err(Error::forbidden("agent.only", "only a host's agent may do this")),
    }
}

/// What an agent asks for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// The cursor of the last answer; 0 asks for everything.
    pub after: u64,
}

/// What is wanted on the agent's host: everything, or what changed.
pub static POLL: Action<Poll, Intents> = Action {
    name: "agent.poll",
    summary: "Gives a host's agent what is wanted there.",
    effect: Effect::Read,
    run: |tx, input| {
        let host = speaker(tx)?;
        let feeds: Option<(i64, i64)> = tx.query_opt(
            "SELECT feed, feed_floor FROM hosts WHERE id = $1 AND state <> 'retired'",
            args![host],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let (feed, floor) = feeds.ok_or_else(|| hosts::not_found(host))?;
        let after = i64::try_from(input.after).unwrap_or(0);
        // A cursor that was given before the entrance was last opened may be of a future that
        // we lost when we were restored from a copy: it is answered with everything.
        let known = (floor..=feed).contains(&after);
        let sql = "SELECT id, generation, desired, (SELECT COALESCE(MAX(seq), 0) FROM lives l WHERE l.intent = intents.id), feed FROM intents WHERE host = $1 AND feed > $2 AND ($3 = 1 OR freed_at IS NULL) AND (withheld_at IS NULL OR desired IS NULL) ORDER BY feed LIMIT $4";
        let since = if known { after } else { -1 };
        let rows = tx.query(sql, args![host, since, known, limits::INTENTS_PAGE_MAX], |row| {
            let (id, desired): (String, Option<String>) = (row.get(0)?, row.get(2)?);
            Ok((to_wire(&id, row.get(1)?, desired.as_deref(), row.get(3)?)?, row.get::<i64>(4)?))
        })?;
        // A page that is full is continued where it ends.
        let is_all = rows.len() < usize::try_from(limits::INTENTS_PAGE_MAX).unwrap_or(usize::MAX);
        let cursor = rows.last().filter(|_| !is_all).map_or(feed, |(_, last)| *last);
        let intents = rows.into_iter().map(|(intent, _)| intent).collect();
        let console_requests = consoles_asked(tx, host)?;
        Ok(Intents {
            protocol: PROTOCOL,
            cursor: u64::try_from(cursor).unwrap_or(0),
            full: !known,
            intents,
            console_requests,
            tasks: tasks::wanted(tx, host)?,
        })
    },
};

fn to_wire(id: &str, generation: u64, desired: Option<&str>, lives_known: u64) -> Result<WireIntent> {
    let id = id.parse().map_err(|e: String| Error::bug("intent.damaged", e))?;
    let desired = match desired {
        None => Desired::Absent,
        Some(text) => Desired::Machine(Box::new(
            serde_json::from_str(text)
                .map_err(|e| Error::bug("intent.damaged", "a stored specification does not read").because(e))?,
        )),
    };
    Ok(WireIntent { id, generation, desired, lives_known })
}

fn consoles_asked(tx: &mut Tx<'_>, host: HostId) -> Result<Vec<ConsoleRequest>> {
    tx.query(
        "SELECT c.intent, c.request, c.bytes_max FROM consoles c JOIN intents i ON i.id = c.intent
         WHERE i.host = $1 AND c.answered = 0 AND i.freed_at IS NULL ORDER BY c.asked_at LIMIT $2",
        args![host, limits::CONSOLE_REQUESTS_MAX],
        |row| {
            let id: String = row.get(0)?;
            Ok(ConsoleRequest {
                id: id.parse().map_err(|e: String| Error::bug("intent.damaged", e))?,
                request: row.get(1)?,
                bytes_max: row.get(2)?,
            })
        },
    )
}

/// Stores what an agent saw.
pub static OBSERVE: Action<Report, ReportAnswer> = Action {
    name: "agent.observe",
    summary: "Stores what a host's agent saw: machines, their lives, orphans, how tasks go, the host itself.",
    effect: Effect::Report,
    run: |tx, report| {
        let host = speaker(tx)?;
        let lives: usize = report.observations.iter().map(|seen| seen.lives.len()).sum();
        let tasks = report.tasks.len();
        if report.observations.len() > limits::REPORT_OBSERVATIONS_MAX
            || lives > limits::REPORT_LIVES_MAX
            || tasks > limits::HOST_TASKS_MAX
        {
            let most = (limits::REPORT_OBSERVATIONS_MAX, limits::HOST_TASKS_MAX);
            let message = format!("a report has at most {} observations and {} tasks", most.0, most.1);
            return Err(Error::invalid("report.too_large", message));
        }
        let told = report.observations.iter().map(|seen| seen.generation);
        let marked = report.orphans.iter().flatten().map(|orphan| orphan.generation);
        if told.chain(marked).any(|generation| generation > limits::GENERATION_MAX) {
            return Err(Error::invalid("observation.generation", "a generation is out of range"));
        }
        hosts::heard(tx, host, report.sent_at)?;
        if let Some(facts) = &report.host {
            host_facts(tx, host, facts)?;
        }
        let mut answer = ReportAnswer::default();
        for seen in &report.observations {
            match intents::get(tx, &seen.id)? {
                Some(intent)
                    if intent.host == host && (intent.freed_at.is_none() || seen.state == MachineState::Absent) =>
                {
                    machine(tx, intent, seen)?
                }
                _ => answer.unknown.push(seen.id.clone()),
            }
        }
        if let Some(found) = &report.orphans {
            orphans::reported(tx, host, found)?;
        }
        for told in &report.tasks {
            tasks::reported(tx, host, told)?;
        }
        Ok(answer)
    },
};

/// What the host is may have changed, and with it what may be sold of it.
fn host_facts(tx: &mut Tx<'_>, host: HostId, facts: &HostReport) -> Result<()> {
    let found = hosts::load(tx, host)?;
    let now = tx.now;
    let text = hosts::facts_text(facts)?;
    tx.execute("UPDATE hosts SET facts = $2, reported_at = $3 WHERE id = $1", args![host, text, now])?;
    // What is free on the disk changes by itself and is no news.
    if (HostReport { disk_free_mib: facts.disk_free_mib, ..found.facts.clone() }) == *facts {
        return Ok(());
    }
    hosts::supply(tx, host)?;
    inventory::host_changed(tx, host)?;
    tx.fact(Fact::HostChanged { host: host.to_string() }, found.tenant)
}

/// Why a machine is not made again that its host had removed.
fn withheld() -> Problem {
    let message = "its host removed this machine in a time that the platform has lost with its database; restore it from a backup, or end the service";
    Problem { code: intents::WITHHELD.to_owned(), message: message.to_owned(), retrying: false }
}

/// What is kept of an observation: no longer than it may be, and no figure larger than JSON carries
/// exactly (RFC 8259, 6): a host that reckons wrongly must not be able to spoil what is made of it.
fn bounded(seen: &Observation) -> Observation {
    const NUMBER_MAX: u64 = (1 << 53) - 1;
    let mut kept = seen.clone();
    kept.lives.clear();
    if let Some(check) = &mut kept.check {
        check.boot_ms = check.boot_ms.map(|boot| boot.min(NUMBER_MAX));
        if let Some(body) = &mut check.body {
            body.truncate(body.floor_char_boundary(limits::CHECK_BODY_BYTES_MAX));
        }
    }
    for disk in &mut kept.recovered {
        disk.bytes = disk.bytes.min(NUMBER_MAX);
        disk.seconds = disk.seconds.clamp(0.0, 1e9);
        disk.verify_seconds = disk.verify_seconds.clamp(0.0, 1e9);
    }
    kept.recovering.truncate(limits::MACHINE_DISKS_MAX);
    for disk in &mut kept.recovering {
        disk.total = disk.total.min(NUMBER_MAX);
        disk.done = disk.done.min(disk.total);
        disk.seconds = disk.seconds.clamp(0.0, 1e9);
    }
    kept
}

fn machine(tx: &mut Tx<'_>, intent: Intent, seen: &Observation) -> Result<()> {
    let held = intent.observed.as_ref();
    if held.is_some_and(|held| seen.revision <= held.revision) || intent.freed_at.is_some() {
        return Ok(());
    }
    let id = intent.id.as_str();
    let mut kept = bounded(seen);
    let now = tx.now;
    let removed_meanwhile =
        seen.generation > intent.generation && seen.state == MachineState::Absent && intent.desired.is_some();
    if removed_meanwhile {
        (kept.converged, kept.problem) = (false, Some(withheld()));
        tx.execute("UPDATE intents SET withheld_at = $2 WHERE id = $1", args![id, now])?;
    }
    let text = serde_json::to_string(&kept)
        .map_err(|e| Error::bug("observation.text", "an observation cannot be written").because(e))?;
    tx.execute(
        "UPDATE intents SET observed = $2, observed_generation = $3, observed_revision = $4, observed_at = $5 WHERE id = $1",
        args![id, text, seen.generation, seen.revision, now],
    )?;
    if seen.generation > intent.generation && !removed_meanwhile {
        intents::overtake(tx, id, intent.host, seen.generation)?;
    }
    if seen.state == MachineState::Running
        && capacity::of(tx, id)?.is_some_and(|reserved| reserved.state == capacity::State::Held)
    {
        capacity::in_use(tx, &intent.id)?;
    }
    for life in &seen.lives {
        life_seen(tx, &intent, life)?;
    }
    if held.is_none_or(|held| news(held) != news(seen)) {
        inventory::machine_seen(tx, &intent, seen)?;
        tx.fact(Fact::MachineObserved { intent: id.to_owned(), service: intent.service.clone() }, intent.tenant)?;
    }
    let wanted_away = intent.desired.is_none() && seen.generation == intent.generation;
    if wanted_away && seen.state == MachineState::Absent && seen.converged {
        capacity::gone(tx, id, &intent.service, intent.tenant)?;
    }
    Ok(())
}

/// What makes an observation worth telling of.
fn news(seen: &Observation) -> impl PartialEq + '_ {
    (
        seen.generation,
        seen.state,
        seen.converged,
        seen.power,
        seen.reboot_token.as_deref(),
        seen.recovered.len(),
        seen.check.as_ref().map(|check| (check.ok, check.life, check.body.is_some())),
        seen.problem.as_ref().map(|problem| (problem.code.as_str(), problem.retrying)),
    )
}

fn life_seen(tx: &mut Tx<'_>, intent: &Intent, told: &Life) -> Result<()> {
    let id = intent.id.as_str();
    let Ok(seq) = i64::try_from(told.seq) else { return Ok(()) };
    let Some(told) = plausible(tx, intent, told.clone())? else { return Ok(()) };
    let merged = match intents::life(tx, id, seq)? {
        None => told,
        Some(known) => {
            let mut merged = known.clone();
            merged.absorb(&told);
            if merged == known {
                return Ok(());
            }
            merged
        }
    };
    let text =
        serde_json::to_string(&merged).map_err(|e| Error::bug("life.text", "a life cannot be written").because(e))?;
    let ended = merged.end.as_ref().map(|end| end.at);
    let now = tx.now;
    tx.execute(
        "INSERT INTO lives (intent, seq, host, tenant, service, life, started_at, ran_ms, ended_at, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (intent, seq) DO UPDATE SET life = $6, started_at = $7, ran_ms = $8, ended_at = $9, received_at = $10",
        args![id, seq, intent.host, intent.tenant, intent.service, text, merged.started_at, merged.ran_ms, ended, now],
    )?;
    tx.fact(Fact::LifeObserved { intent: id.to_owned(), seq, service: intent.service.clone() }, intent.tenant)
}

/// Cuts what cannot be, since customers pay for it: a machine lives one life at a
/// time, so that all its lives together are no longer than it was wanted, and none
/// is larger than what was reserved. `None`: there cannot have been so many.
fn plausible(tx: &mut Tx<'_>, intent: &Intent, mut life: Life) -> Result<Option<Life>> {
    const SLACK_MS: i64 = 60_000;
    let (id, told) = (intent.id.as_str(), life.clone());
    let age = u64::try_from((micros(tx.now) - micros(intent.created_at)) / 1_000 + SLACK_MS).unwrap_or(0);
    // There cannot have been more lives than seconds.
    if life.seq == 0 || life.seq > 1 + age / 1_000 {
        return Ok(None);
    }
    // No life is older than its machine: a host whose clock was wrong at boot would place it years ago,
    // beyond all that is billed.
    life.started_at = life.started_at.max(intent.created_at);
    let others: u64 = tx.query_one(
        "SELECT CAST(COALESCE(SUM(ran_ms), 0) AS BIGINT) FROM lives WHERE intent = $1 AND seq <> $2",
        args![id, life.seq],
        |row| row.get(0),
    )?;
    life.ran_ms = life.ran_ms.min(age.saturating_sub(others));
    if let Some(held) = capacity::of(tx, id)? {
        life.vcpus = life.vcpus.min(u32::try_from(held.demand.vcpu).unwrap_or(u32::MAX));
        life.memory_mib = life.memory_mib.min(u64::try_from(held.demand.memory_mib).unwrap_or(u64::MAX));
    }
    if life != told {
        tracing::warn!(intent = id, host = %intent.host, ?told, "a longer or larger life than possible was reported");
    }
    life.last_seen_at = life.last_seen_at.max(life.started_at);
    Ok(Some(life))
}
