//! What is seen of a service, and the state that follows from it.

use base::Result;
use base::time::Timestamp;
use gate::Tx;
use resources::intents::{self, Intent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{SERVICE, characteristic, supporting};
use drivers::wire::{MachineState, Power};

/// A service as it was seen last.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSeen {
    /// The service.
    pub service: String,
    /// Its TMF state: what was seen last.
    pub state: String,
    /// In one word: `running`, `stopped`, `starting`, `stopping`, `failed`, `ended`, or
    /// `unknown` where it cannot be seen.
    pub condition: String,
    /// Where it answers.
    pub address: Option<String>,
    /// When it was seen, of the machine that was seen longest ago.
    #[schemars(with = "Option<String>")]
    pub observed_at: Option<Timestamp>,
    /// Its machines.
    pub machines: Vec<MachineSeen>,
}

/// A machine as it was seen last.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineSeen {
    /// The machine.
    pub id: String,
    /// What is there; unknown where its host is silent.
    pub state: MachineState,
    /// Whether its host was heard of lately.
    pub reachable: bool,
    /// Whether it is as wanted.
    pub converged: bool,
    /// Whether it answers as a customer would ask.
    pub answers: bool,
    /// From the start of its present life to its first answer.
    pub boot_milliseconds: Option<u64>,
    /// Why it is not as wanted.
    pub problem: Option<String>,
    /// The code of that, for programs and translations.
    pub problem_code: Option<String>,
    /// When it was seen.
    #[schemars(with = "Option<String>")]
    pub observed_at: Option<Timestamp>,
}

impl MachineSeen {
    fn of(intent: &Intent) -> Self {
        let check = intent.current().and_then(|seen| seen.check.as_ref());
        MachineSeen {
            id: intent.id.to_string(),
            state: intent.state(),
            reachable: intent.reachable,
            converged: intent.is_converged(),
            answers: intent.reachable && intent.answers(),
            boot_milliseconds: check.and_then(|check| check.boot_ms),
            problem: intent.current().and_then(|seen| seen.problem.as_ref()).map(|problem| problem.message.clone()),
            problem_code: intent.current().and_then(|seen| seen.problem.as_ref()).map(|problem| problem.code.clone()),
            observed_at: intent.observed_at,
        }
    }
}

/// What is seen of a service now. The caller has decided that it may be shown.
///
/// # Errors
/// `Dangling` where there is no such service.
pub fn status(tx: &mut Tx<'_>, service: &str) -> Result<ServiceSeen> {
    let record = tx.peek(&SERVICE, service)?;
    let intents = intents::of_service(tx, service)?;
    let state = record.state.clone().unwrap_or_default();
    Ok(ServiceSeen {
        service: service.to_owned(),
        condition: condition(&state, &intents).to_owned(),
        address: characteristic(&record, "address").and_then(Json::as_str).map(str::to_owned),
        observed_at: intents.iter().filter_map(|intent| intent.observed_at).min(),
        machines: intents.iter().map(MachineSeen::of).collect(),
        state,
    })
}

/// One word for several machines: the worst of them counts.
fn condition(state: &str, intents: &[Intent]) -> &'static str {
    let any = |what: &dyn Fn(&Intent) -> bool| intents.iter().any(what);
    let wants = |power: Power| move |intent: &Intent| intent.desired.as_ref().is_some_and(|spec| spec.power == power);
    match () {
        () if state == "terminated" => "ended",
        () if intents.is_empty() => "unknown",
        () if any(&|intent| intent.state() == MachineState::Unknown && !intent.is_gone()) => "unknown",
        () if any(&|intent| intent.failure().is_some() || intent.state() == MachineState::Failed) => "failed",
        () if any(&|intent| wants(Power::Running)(intent) && !intent.answers()) => "starting",
        () if any(&|intent| wants(Power::Stopped)(intent) && !intent.is_converged()) => "stopping",
        () if any(&|intent| intent.desired.is_none()) => "stopping",
        () if any(&wants(Power::Stopped)) => "stopped",
        () => "running",
    }
}

/// The state of a service whose machines are seen so; `None` where too little is seen to tell.
pub(crate) fn follows(machines: &[Intent]) -> Option<&'static str> {
    let runs = |machine: &Intent| machine.state() == MachineState::Running;
    let rests = |machine: &Intent| {
        use MachineState::{Absent, Crashed, Failed, Stopped};
        matches!(machine.state(), Stopped | Crashed | Failed | Absent)
    };
    match () {
        () if machines.is_empty() => None,
        () if machines.iter().all(runs) => Some("active"),
        () if machines.iter().all(|machine| runs(machine) || rests(machine)) => Some("inactive"),
        () => None,
    }
}

/// A machine of this service was seen to be different: the service's state
/// follows. What cannot be seen changes nothing.
///
/// # Errors
/// Those of the database.
pub fn observe(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    // Looked at first: most sights are of machines that are only being made.
    let state = db::records::state(tx, SERVICE.name, service)?;
    let Some(state @ ("active" | "inactive")) = state.as_deref() else { return Ok(()) };
    let next = match follows(&intents::of_service(tx, service)?) {
        Some(next) if next != state => next,
        _ => return Ok(()),
    };
    let record = tx.peek(&SERVICE, service)?;
    let mut all = vec![record.id.clone()];
    all.extend(supporting(&record));
    for id in all {
        let mut service = tx.peek(&SERVICE, &id)?;
        if matches!(service.state.as_deref(), Some("active" | "inactive")) && service.state.as_deref() != Some(next) {
            service.set_state("state", next);
            service.body_mut().insert("isServiceEnabled".to_owned(), (next == "active").into());
            tx.save(&SERVICE, &mut service)?;
        }
    }
    Ok(())
}
