//! What is really there for each step: looked up whenever the plan is shown, kept nowhere.
//!
//! One function for each step. What a step is held against is *met*, *not met*, or *not proven*
//! where nobody has tried; what only informs is *told*.

use std::collections::BTreeSet;

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use db::args;
use db::records::{Condition, Op, Query, Scope};
use gate::Tx;
use provisioning::services::{CUSTOMER_FACING, SERVICE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::contacts::{self, Contact};
use super::findings::{self, Finding};
use super::steps::Said;
use super::{reviews, versions};
use crate::backups::digits::Standing as DigitStanding;
use crate::backups::points::ServiceRef;
use crate::backups::protections;
use crate::bia::Inherited;
use crate::drills::corrective::{self, ListActions};
use crate::drills::plans::{self, DrillPlan, ListPlans};
use crate::drills::runs;
use crate::inventory::{self, Kind, Thing, View};
use crate::studies;
use crate::studies::actions::{By, RankAsk};
use crate::{DrillPlanId, bia, exercises, runbooks};

/// Most services that are looked at one by one.
const SERVICES_MAX: u32 = 500;
/// How long an exercise counts, in seconds: a year.
const EXERCISE_SECONDS: i64 = 366 * 86_400;
/// Most names in one link.
const NAMES_MAX: usize = 10;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Purpose, scope and goals are written down.
    Scope,
    /// People of the team; two at least.
    People,
    /// People of the team with a telephone.
    Telephones,
    /// People who call others and have a deputy.
    Deputies,
    /// Services that run.
    Services,
    /// Activities of the inventory; one at least.
    Activities,
    /// Things whose loss alone stops something; the worst are named.
    SinglePoints,
    /// Those of them whose likelihood was judged; the highest risks, likelihood times harm, are named.
    Risks,
    /// Activities whose impact was assessed, and is not to be assessed anew.
    Assessed,
    /// Services that an assessed activity depends on, with a drill plan that promises what they inherit.
    Objectives,
    /// Activities of which is known what they need.
    Needs,
    /// Services that are backed up.
    Protected,
    /// Protected services whose newest recovery point keeps all of 3-2-1-1-0.
    Copies,
    /// Services with a runbook.
    Runbooks,
    /// Drill plans whose last drill passed.
    Drills,
    /// Exercises of the last year that passed.
    Exercises,
    /// Open corrective actions; those whose time has passed are named.
    CorrectiveActions,
    /// Open findings; those whose time has passed are named.
    Findings,
    /// A review, the next of which is not due yet.
    Review,
    /// An approved version.
    Version,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// As it should be.
    Met,
    /// Not as it should be.
    NotMet,
    /// Nobody has tried.
    NotProven,
    /// Only told.
    Told,
}

/// Something that is really there, or is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// What was looked at.
    pub what: What,
    /// How it stands.
    pub standing: Standing,
    /// How many were found as they should be.
    pub found: usize,
    /// Of how many.
    pub of: Option<usize>,
    /// What is not as it should be, by name; the first few.
    pub names: Vec<String>,
    /// Since when, or until when.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

impl Link {
    /// Whether a step that says *done* is contradicted by it.
    pub fn fails(&self) -> bool {
        matches!(self.standing, Standing::NotMet | Standing::NotProven)
    }

    fn new(what: What, standing: Standing, found: usize) -> Link {
        Link { what, standing, found, of: None, names: Vec::new(), at: None }
    }

    fn check(what: What, kept: bool, found: usize) -> Link {
        Link::new(what, if kept { Standing::Met } else { Standing::NotMet }, found)
    }

    /// All of these must be as they should be, and there must be one: (name, whether it is).
    fn each(what: What, all: impl IntoIterator<Item = (String, bool)>) -> Link {
        let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, kept)| *kept);
        let of = good.len() + bad.len();
        let standing = match (of, bad.is_empty()) {
            (0, _) => Standing::NotProven,
            (_, true) => Standing::Met,
            (_, false) => Standing::NotMet,
        };
        let names = bad.into_iter().map(|(name, _)| name).take(NAMES_MAX).collect();
        Link { of: Some(of), names, ..Link::new(what, standing, good.len()) }
    }

    /// Open work: as it should be while nothing of it is late.
    fn open(what: What, all: impl IntoIterator<Item = (String, bool)>) -> Link {
        let all: Vec<_> = all.into_iter().collect();
        let late: Vec<_> = all.iter().filter(|(_, late)| *late).map(|(name, _)| name.clone()).collect();
        let link = Link::check(what, late.is_empty(), all.len());
        Link { names: late.into_iter().take(NAMES_MAX).collect(), ..link }
    }
}

/// A service that runs or could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub id: String,
    pub name: String,
}

/// A tenant's customer-facing services that have not ended.
pub(crate) fn services(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Service>> {
    let of = |path: &str, values: &[&str]| Condition {
        path: path.to_owned(),
        op: Op::Eq,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let query = Query {
        kind: SERVICE.name,
        scope: &Scope::Tenants { own: vec![tenant], above: vec![] },
        conditions: vec![of("category", &[CUSTOMER_FACING]), of("state", &["active", "inactive"])],
        sort: None,
        descending: false,
        after: None,
        offset: 0,
        limit: SERVICES_MAX,
    };
    let name = |record: &db::Record| record.body.get("name").and_then(Json::as_str).unwrap_or(&record.id).to_owned();
    let found = db::records::list(tx, &query)?;
    Ok(found.into_iter().map(|(record, _)| Service { name: name(&record), id: record.id }).collect())
}

/// What there is for each of the nine steps, in order.
pub(crate) fn gather(tx: &mut Tx<'_>, tenant: TenantId, said: &[Said]) -> Result<Vec<Vec<Link>>> {
    let services = services(tx, tenant)?;
    let list = ListPlans { tenant: Some(tenant), ..ListPlans::default() };
    let drills = (plans::LIST.run)(tx, &list)?.items;
    let firm = activities(tx, tenant)?;
    Ok(vec![
        scope(said),
        team(&contacts::all(tx, tenant)?),
        operations(tx, tenant, &services, &firm)?,
        objectives(tx, tenant, &firm, &drills)?,
        needs(&firm),
        measures(tx, &services)?,
        recovery(&services, &runbooks::services(tx, tenant)?),
        trials(tx, tenant, &drills)?,
        improvement(tx, tenant)?,
    ])
}

fn scope(said: &[Said]) -> Vec<Link> {
    let written = said.first().is_some_and(|said| !said.text.is_empty());
    vec![Link::check(What::Scope, written, usize::from(written))]
}

fn team(contacts: &[Contact]) -> Vec<Link> {
    let callers: BTreeSet<_> = contacts.iter().filter_map(|contact| contact.called_by).collect();
    let leads = contacts.iter().filter(|contact| contact.called_by.is_none() || callers.contains(&contact.id));
    vec![
        Link::check(What::People, contacts.len() >= 2, contacts.len()),
        Link::each(What::Telephones, contacts.iter().map(|one| (one.name.clone(), !one.phone.is_empty()))),
        Link::each(What::Deputies, leads.map(|one| (one.name.clone(), one.deputy.is_some()))),
    ]
}

/// What the firm does, as its inventory has it; without names for those who may not look into it.
fn activities(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Thing>> {
    let operator = tx.operator()? == tenant;
    let (there, _) = inventory::read(tx, View { tenant, operator })?;
    let mut firm: Vec<Thing> = there.things.into_iter().filter(|thing| thing.kind == Kind::Activity).collect();
    if tx.require(inventory::actions::LIST.name).is_err() {
        firm.iter_mut().for_each(|thing| thing.name = thing.kind.word().to_owned());
    }
    Ok(firm)
}

fn operations(tx: &mut Tx<'_>, tenant: TenantId, services: &[Service], firm: &[Thing]) -> Result<Vec<Link>> {
    let known = if firm.is_empty() { Standing::NotProven } else { Standing::Met };
    let mut links =
        vec![Link::new(What::Activities, known, firm.len()), Link::new(What::Services, Standing::Told, services.len())];
    // What would do harm is not for everybody who sees the plan.
    if tx.require(studies::RANK.name).is_ok() {
        let ask = RankAsk { tenant: Some(tenant), limit: u32::try_from(NAMES_MAX).ok(), ..RankAsk::default() };
        match (studies::RANK.run)(tx, &ask) {
            Ok(worst) => {
                let names = worst.items.into_iter().map(|single| single.what.name).collect();
                links.push(Link { names, ..Link::new(What::SinglePoints, Standing::Told, worst.total) });
                let ranked = (studies::RANK.run)(tx, &RankAsk { by: By::Risk, ..ask })?;
                let judged = ranked.items.into_iter().filter(|single| single.risk.is_some());
                let names = judged.map(|single| single.what.name).collect();
                let link = Link::new(What::Risks, Standing::Told, ranked.judged);
                links.push(Link { names, of: Some(ranked.total), ..link });
            }
            // An inventory that cannot be ranked is no reason not to show the plan.
            Err(e) if e.kind() == base::Kind::Invalid || e.kind() == base::Kind::Exhausted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(links)
}

/// Whether a drill plan promises at least what a service inherits; one that says nothing follows it.
fn promises(tx: &mut Tx<'_>, plan: &DrillPlan, service: &str, inherited: &Inherited) -> Result<bool> {
    let within = |promised: u64, wanted: Option<u64>| wanted.is_none_or(|wanted| promised <= wanted);
    let enough = plan.terms.objectives.is_none_or(|own| {
        within(own.rto_seconds, inherited.rto_seconds) && within(own.rpo_seconds, inherited.rpo_seconds)
    });
    Ok(enough && plan.terms.scope.has(tx, service)?)
}

/// Whether any drill plan does.
fn any_promises(tx: &mut Tx<'_>, drills: &[DrillPlan], service: &str, inherited: &Inherited) -> Result<bool> {
    for plan in drills {
        if promises(tx, plan, service, inherited)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn objectives(tx: &mut Tx<'_>, tenant: TenantId, firm: &[Thing], drills: &[DrillPlan]) -> Result<Vec<Link>> {
    let assessed = bia::assessed(tx, tenant)?;
    let judged = |one: &Thing| assessed.get(&one.id).is_some_and(|found| !found.review_overdue);
    let services = services(tx, tenant)?;
    let ids: Vec<String> = services.iter().map(|service| service.id.clone()).collect();
    let inherited = bia::objectives_of(tx, tenant, &ids)?;
    let wanted = services.iter().filter_map(|one| Some((one, inherited.get(&one.id)?)));
    let mut kept = Vec::new();
    for (one, wanted) in wanted {
        kept.push((one.name.clone(), any_promises(tx, drills, &one.id, wanted)?));
    }
    Ok(vec![
        Link::each(What::Assessed, firm.iter().map(|one| (one.name.clone(), judged(one)))),
        Link::each(What::Objectives, kept.into_iter()),
    ])
}

fn needs(firm: &[Thing]) -> Vec<Link> {
    vec![Link::each(What::Needs, firm.iter().map(|one| (one.name.clone(), !one.needs.is_empty())))]
}

fn measures(tx: &mut Tx<'_>, services: &[Service]) -> Result<Vec<Link>> {
    let (mut protected, mut copies) = (Vec::new(), Vec::new());
    for service in services {
        let seen = (protections::GET.run)(tx, &ServiceRef { id: service.id.clone() })?;
        protected.push((service.name.clone(), seen.policy.is_some()));
        if seen.policy.is_some() {
            let kept = seen.digits.iter().all(|digit| digit.standing == DigitStanding::Met);
            copies.push((service.name.clone(), kept));
        }
    }
    Ok(vec![Link::each(What::Protected, protected), Link::each(What::Copies, copies)])
}

fn recovery(services: &[Service], described: &BTreeSet<String>) -> Vec<Link> {
    vec![Link::each(What::Runbooks, services.iter().map(|one| (one.name.clone(), described.contains(&one.id))))]
}

/// Whether the last drill of a plan that came to something passed, and when it was.
pub(crate) fn last(tx: &mut Tx<'_>, plan: DrillPlanId) -> Result<Option<(bool, Timestamp)>> {
    let sql = "SELECT state, incident_at FROM drill_runs WHERE plan = $1 AND state NOT IN ('running', 'stopped') ORDER BY id DESC LIMIT 1";
    let passed = runs::State::Passed.word();
    tx.query_opt(sql, args![plan], |row| Ok((row.text(0)? == passed, row.get(1)?)))
}

fn trials(tx: &mut Tx<'_>, tenant: TenantId, drills: &[DrillPlan]) -> Result<Vec<Link>> {
    let (mut passed, mut newest) = (Vec::new(), None);
    for plan in drills {
        let seen = last(tx, plan.id)?;
        newest = newest.max(seen.map(|(_, at)| at));
        passed.push((plan.name.clone(), seen.is_some_and(|(passed, _)| passed)));
    }
    let since = tx.now - jiff::SignedDuration::from_secs(EXERCISE_SECONDS);
    let exercised = exercises::passed_since(tx, tenant, since)?;
    let list = ListActions { tenant: Some(tenant), ..ListActions::default() };
    let actions = (corrective::LIST.run)(tx, &list)?.items;
    let exercise = if exercised > 0 { Standing::Met } else { Standing::NotProven };
    Ok(vec![
        Link { at: newest, ..Link::each(What::Drills, passed) },
        Link::new(What::Exercises, exercise, exercised),
        Link::open(What::CorrectiveActions, actions.into_iter().map(|one| (one.message, one.overdue))),
    ])
}

fn improvement(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Link>> {
    let now = tx.now;
    let review = reviews::newest(tx, tenant)?;
    let standing = match &review {
        None => Standing::NotProven,
        Some(review) if review.next_due < now => Standing::NotMet,
        Some(_) => Standing::Met,
    };
    let reviewed = Link::new(What::Review, standing, usize::from(review.is_some()));
    let open = findings::open(tx, tenant)?;
    let version = versions::newest(tx, tenant, versions::State::Approved)?;
    let approved = Link::check(What::Version, version.is_some(), usize::from(version.is_some()));
    Ok(vec![
        Link { at: review.map(|review| review.next_due), ..reviewed },
        Link::open(What::Findings, open.into_iter().map(|Finding { text, overdue, .. }| (text, overdue))),
        Link { at: version.and_then(|version| version.decided_at), ..approved },
    ])
}
