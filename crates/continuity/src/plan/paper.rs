//! The plan on paper: everything that is needed when all systems are down, in one answer. What is
//! made of it (a page that prints, lines of text) is the front doors'.

use std::collections::BTreeMap;

use base::Result;
use base::time::Timestamp;
use db::Class;
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contacts::{self, Call};
use super::findings::{self, Finding};
use super::steps::{self, Plan};
use super::{Nothing, links};
use crate::drills::plans::{self, ListPlans, Scenario};
use crate::drills::rules::Objectives;
use crate::exercises::{self, Exercise};
use crate::runbooks::{self, Runbook};

/// What is promised of services, and whether it was ever shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promise {
    /// The drill plan's name.
    pub name: String,
    /// The services, by name, in the order in which they come back.
    pub services: Vec<String>,
    /// What is lost.
    pub scenario: Scenario,
    /// How fast they are back, with how little loss; absent where nobody says it any more.
    pub objectives: Option<Objectives>,
    /// Who sees to it.
    pub owner: String,
    /// Whether the last drill passed, and when it was; absent where there was none.
    pub last: Option<LastDrill>,
}

/// The last drill of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDrill {
    /// Whether it passed.
    pub passed: bool,
    /// When it was.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// Everything.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paper {
    /// When this was put together.
    #[schemars(with = "String")]
    pub printed_at: Timestamp,
    /// The nine steps and the version in force.
    pub plan: Plan,
    /// What the accounts are called that asked for and approved it, by id.
    pub people: BTreeMap<String, String>,
    /// Who is called by whom.
    pub calls: Vec<Call>,
    /// What is promised of services.
    pub promises: Vec<Promise>,
    /// What to do, step by step.
    pub runbooks: Vec<Runbook>,
    /// Exercises that are still to come.
    pub exercises: Vec<Exercise>,
    /// What is still to be put right.
    pub findings: Vec<Finding>,
}

/// What the accounts are called that have to do with the plan's versions.
fn people(tx: &mut Tx<'_>, plan: &Plan) -> Result<BTreeMap<String, String>> {
    let versions = plan.approved.iter().chain(&plan.waiting);
    let ids = versions.flat_map(|version| std::iter::once(&version.asked_by).chain(&version.decided_by));
    let mut known = BTreeMap::new();
    for id in ids.cloned().collect::<Vec<_>>() {
        if let Some(name) = access::accounts::called(tx, &id)? {
            known.insert(id, name);
        }
    }
    Ok(known)
}

fn promises(tx: &mut Tx<'_>, plan: &Plan) -> Result<Vec<Promise>> {
    let services: BTreeMap<String, String> =
        links::services(tx, plan.tenant)?.into_iter().map(|service| (service.id, service.name)).collect();
    let list = ListPlans { tenant: Some(plan.tenant), ..ListPlans::default() };
    let mut promises = Vec::new();
    for drill in (plans::LIST.run)(tx, &list)?.items {
        let last = links::last(tx, drill.id)?.map(|(passed, at)| LastDrill { passed, at });
        let name = |id: &String| services.get(id).unwrap_or(id).clone();
        promises.push(Promise {
            services: drill.terms.scope.standing(tx)?.iter().map(name).collect(),
            name: drill.name,
            scenario: drill.terms.scenario.clone(),
            // Nothing where the impact analysis does not say any more what it follows.
            objectives: plans::promised(tx, plan.tenant, &drill.terms).ok().map(|promised| promised.objectives),
            owner: drill.terms.owner,
            last,
        });
    }
    Ok(promises)
}

/// Puts the plan together for printing.
pub static PRINT: Action<Nothing, Paper> = Action {
    name: "plan.print",
    summary: "Puts everything together that is needed on paper: steps, contact tree, objectives, runbooks.",
    effect: Effect::Read,
    run: |tx, _| {
        let tenant = tx.cx().tenant();
        tx.grant("plan.print", "tenant", &tenant.to_string(), tenant, Class::Personal, ())?;
        let plan = steps::plan(tx, tenant)?;
        let coming = exercises::all(tx, tenant)?;
        Ok(Paper {
            printed_at: tx.now,
            people: people(tx, &plan)?,
            calls: contacts::tree(&contacts::all(tx, tenant)?),
            promises: promises(tx, &plan)?,
            runbooks: runbooks::all(tx, tenant)?,
            exercises: coming.into_iter().filter(|one| one.state == exercises::State::Planned).collect(),
            findings: findings::open(tx, tenant)?,
            plan,
        })
    },
};
