//! Guided start: a few plain questions make a first plan from what runs already. What would be made
//! is shown first, and made in one transaction; what is there already is left as it is, so that
//! asking twice doubles nothing.
//!
//! Everything is made by the actions that people use, with the rights of whoever asks. **Not here**:
//! what these things mean (`plan`, `inventory`, `bia`, `backups`, `drills`).

use std::collections::BTreeSet;
use std::time::Duration;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result};
use gate::{Action, AnyAction, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backups::offers;
use crate::backups::points::ServiceRef;
use crate::backups::policies::{self, BackupPolicy};
use crate::backups::protections::{self, Protect};
use crate::backups::schedule::Schedule;
use crate::bia::{self, Assess, HarmAt};
use crate::drills::plans::{self, ListPlans, NewPlan, Scenario, Terms};
use crate::drills::rules::Objectives;
use crate::drills::scope::Scope;
use crate::exercises::{self, Mode, NewExercise};
use crate::inventory::actions::NewThing;
use crate::inventory::{self, Kind, Needs, Said};
use crate::plan::contacts::{self, ChangePerson, Contact, Person};
use crate::plan::links;
use crate::plan::steps::{self, State};
use crate::plan::words;
use crate::runbooks::{self, draft};
use crate::{BackupPolicyId, ContactId};

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[&PREVIEW, &MAKE];

/// A day, in seconds.
const DAY: u64 = 86_400;
/// Most services of one start.
pub const SERVICES_MAX: usize = 50;

/// Somebody who leads, or stands in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Who {
    /// Their name.
    pub name: String,
    /// Where they can be called.
    pub phone: String,
}

/// How urgent a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Urgent {
    /// The service.
    pub service: String,
    /// It must be back after so long.
    pub rto_seconds: u64,
    /// So much of the newest data may be lost.
    pub rpo_seconds: u64,
    /// By which policy it is backed up where it is not yet; otherwise by that of all.
    #[serde(default)]
    pub policy: Option<BackupPolicyId>,
}

/// The answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Answers {
    /// In which language names and texts are written: `en`, or `zh-TW`.
    pub locale: String,
    /// What the firm does and must go on doing.
    pub purpose: String,
    /// Who leads when something has happened.
    pub lead: Who,
    /// Who stands in for them; nobody yet where the name is empty.
    pub deputy: Who,
    /// The services that must come back.
    pub services: Vec<Urgent>,
    /// By which policy services are backed up that are not yet and name none of their own; an offered one,
    /// but for whoever may attach any.
    pub policy: Option<BackupPolicyId>,
}

/// Something that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Made {
    /// Somebody of the team.
    Contact {
        /// Their name.
        name: String,
    },
    /// An activity with its objectives, that needs the service.
    Activity {
        /// The service.
        service: String,
        /// What it is called.
        name: String,
    },
    /// A protection by the policy.
    Protection {
        /// The service.
        service: String,
        /// What it is called.
        name: String,
        /// What the policy is called.
        policy: String,
    },
    /// A drill plan that promises the objectives, every month.
    DrillPlan {
        /// The service.
        service: String,
        /// What it is called.
        name: String,
    },
    /// A runbook, from what is known.
    Runbook {
        /// The service.
        service: String,
        /// What it is called.
        name: String,
    },
    /// A table-top exercise, in a month.
    Exercise {
        /// What it is called.
        name: String,
    },
    /// A step's owner and date.
    Step {
        /// Which.
        number: i64,
        /// By when.
        #[schemars(with = "String")]
        due_at: Timestamp,
    },
}

/// What is made, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// In the order in which it is made; empty where everything is there already.
    pub items: Vec<Made>,
}

/// Shows what would be made.
pub static PREVIEW: Action<Answers, Started> = Action {
    name: "start.preview",
    summary: "Shows what a guided start would make of these answers. Makes nothing.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = steps::own(tx, "start.preview")?;
        Ok(Started { items: missing(tx, tenant, &checked(input)?)? })
    },
};

/// Makes it.
pub static MAKE: Action<Answers, Started> = Action {
    name: "start.make",
    summary: "Makes a first plan of these answers: team, activities, drill plans, runbooks, an exercise, owners and dates. All or nothing; what is there already stays.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = steps::own(tx, "start.make")?;
        let answers = checked(input)?;
        let items = missing(tx, tenant, &answers)?;
        for item in &items {
            make(tx, tenant, &answers, item)?;
        }
        Ok(Started { items })
    },
};

fn invalid(code: &'static str, message: &str, at: &str) -> Error {
    Error::invalid(code, message.to_owned()).at(at.to_owned())
}

fn checked(input: &Answers) -> Result<Answers> {
    let mut answers = input.clone();
    answers.purpose = words::told(&input.purpose, "purpose")?;
    answers.lead.name = words::named(&input.lead.name, "lead.name")?;
    answers.lead.phone = words::named(&input.lead.phone, "lead.phone")?;
    answers.deputy.name = words::line(&input.deputy.name, "deputy.name")?;
    answers.deputy.phone = words::line(&input.deputy.phone, "deputy.phone")?;
    if !answers.deputy.name.is_empty() && answers.deputy.phone.is_empty() {
        return Err(invalid("start.deputy", "whoever stands in must be reachable: a telephone", "deputy.phone"));
    }
    if answers.services.len() > SERVICES_MAX {
        return Err(invalid("start.services", "begin with at most 50 services, the most urgent", "services"));
    }
    let distinct: BTreeSet<&String> = answers.services.iter().map(|one| &one.service).collect();
    if distinct.len() != answers.services.len() {
        return Err(invalid("start.services", "each service is named once", "services"));
    }
    if answers.deputy.name == answers.lead.name {
        return Err(invalid("start.deputy", "whoever stands in is somebody else than whoever leads", "deputy.name"));
    }
    if answers.services.iter().any(|one| one.rto_seconds == 0 || one.rpo_seconds == 0) {
        return Err(invalid("start.objectives", "an objective is a second at least", "services"));
    }
    Ok(answers)
}

/// What there is not yet, in the order in which it is made.
fn missing(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers) -> Result<Vec<Made>> {
    let mut items = Vec::new();
    let team = contacts::all(tx, tenant)?;
    for who in [&answers.lead, &answers.deputy] {
        let known = who.name.is_empty() || team.iter().any(|contact| contact.name == who.name);
        items.extend((!known).then(|| Made::Contact { name: who.name.clone() }));
    }
    of_services(tx, tenant, answers, &mut items)?;
    let tried = exercises::all(tx, tenant)?;
    if !tried.iter().any(|one| matches!(one.state, exercises::State::Planned | exercises::State::Passed)) {
        items.push(Made::Exercise { name: in_words(answers, "桌上推演", "Table-top exercise") });
    }
    for said in steps::all(tx, tenant)?.into_iter().filter(|said| said.revision == 0) {
        let days = u64::try_from(said.number).unwrap_or(1) * 7;
        items.push(Made::Step { number: said.number, due_at: tx.now + Duration::from_secs(days * DAY) });
    }
    Ok(items)
}

fn of_services(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers, items: &mut Vec<Made>) -> Result<()> {
    let there = links::services(tx, tenant)?;
    let ids: Vec<String> = there.iter().map(|service| service.id.clone()).collect();
    let inherited = bia::objectives_of(tx, tenant, &ids)?;
    let list = ListPlans { tenant: Some(tenant), ..ListPlans::default() };
    let drills = (plans::LIST.run)(tx, &list)?.items;
    let described = runbooks::services(tx, tenant)?;
    for urgent in &answers.services {
        let unknown = || Error::dangling("service.absent", format!("there is no service {} that runs", urgent.service));
        let found = there.iter().find(|one| one.id == urgent.service).ok_or_else(|| unknown().at("services"))?;
        let (service, name) = (found.id.clone(), found.name.clone());
        if !inherited.contains_key(&service) {
            items.push(Made::Activity { service: service.clone(), name: name.clone() });
        }
        let wanted = urgent.policy.or(answers.policy);
        if let Some(wanted) = wanted
            && unprotected(tx, &service)?
        {
            let policy = chosen(tx, wanted)?.name;
            items.push(Made::Protection { service: service.clone(), name: name.clone(), policy });
        }
        let mut drilled = false;
        for plan in &drills {
            drilled |= plan.terms.scope.has(tx, &service)?;
        }
        if !drilled {
            items.push(Made::DrillPlan { service: service.clone(), name: name.clone() });
        }
        if !described.contains(&service) {
            items.push(Made::Runbook { service, name });
        }
    }
    Ok(())
}

fn unprotected(tx: &mut Tx<'_>, service: &str) -> Result<bool> {
    Ok((protections::GET.run)(tx, &ServiceRef { id: service.to_owned() })?.policy.is_none())
}

/// The policy that somebody wants: one that is offered, or any where they may attach any.
fn chosen(tx: &mut Tx<'_>, policy: BackupPolicyId) -> Result<BackupPolicy> {
    let offered = offers::find(tx, policy).map_err(|e| e.at("services"));
    match tx.require(protections::SET.name) {
        Ok(()) => policies::operators(tx, policy),
        Err(_) => offered,
    }
}

fn in_words(answers: &Answers, zh: &str, en: &str) -> String {
    if answers.locale == "en" { en.to_owned() } else { zh.to_owned() }
}

fn make(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers, item: &Made) -> Result<()> {
    let wanted = |service: &String| {
        let found = answers.services.iter().find(|one| one.service == *service).cloned();
        found.ok_or_else(|| Error::bug("start.service", "a service is made that nobody named"))
    };
    match item {
        Made::Contact { name } => contact(tx, tenant, answers, name),
        Made::Activity { service, name } => activity(tx, answers, &wanted(service)?, name),
        Made::Protection { service, .. } => protect(tx, answers, &wanted(service)?),
        Made::DrillPlan { service, name } => drill(tx, answers, &wanted(service)?, name),
        Made::Runbook { service, .. } => runbook(tx, tenant, answers, service),
        Made::Exercise { name } => exercise(tx, answers, name),
        Made::Step { number, due_at } => step(tx, tenant, answers, *number, *due_at),
    }
}

fn named(tx: &mut Tx<'_>, tenant: TenantId, name: &str) -> Result<Option<Contact>> {
    Ok(contacts::all(tx, tenant)?.into_iter().find(|contact| contact.name == name))
}

/// The lead begins the calls; the deputy is called by them and stands in for them.
fn contact(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers, name: &str) -> Result<()> {
    tx.require(contacts::CREATE.name)?;
    let leads = name == answers.lead.name;
    let (phone, duty) = match leads {
        true => (&answers.lead.phone, in_words(answers, "總指揮", "Leads")),
        false => (&answers.deputy.phone, in_words(answers, "代理總指揮", "Stands in for whoever leads")),
    };
    let lead = named(tx, tenant, &answers.lead.name)?;
    let called_by = lead.as_ref().filter(|_| !leads).map(|lead| lead.id);
    let person = Person { name: name.to_owned(), duty, phone: phone.clone(), called_by, ..Person::default() };
    let id = contacts::add(tx, tenant, &person)?;
    match lead.filter(|lead| !leads && lead.deputy.is_none()) {
        Some(lead) => stand_in(tx, lead, id),
        None => Ok(()),
    }
}

fn stand_in(tx: &mut Tx<'_>, lead: Contact, deputy: ContactId) -> Result<()> {
    let Contact { id, name, duty, phone, email, called_by, .. } = lead;
    let person = Person { name, duty, phone, email, deputy: Some(deputy), called_by };
    (contacts::UPDATE.run)(tx, &ChangePerson { id, person }).map(drop)
}

/// An activity that needs the service. Beyond twice the time that was named the harm counts as
/// intolerable, until the firm judges it itself.
fn activity(tx: &mut Tx<'_>, answers: &Answers, wanted: &Urgent, name: &str) -> Result<()> {
    let note = in_words(answers, "由導引建立，請自行評估。", "Made by the guided start: to be judged by yourselves.");
    let said = Said { owner: answers.lead.name.clone(), note, ..Said::default() };
    let needs = vec![Needs::one(wanted.service.clone())];
    let (kind, name) = (Kind::Activity, name.to_owned());
    let added = (inventory::actions::ADD.run)(
        tx,
        &NewThing { tenant: None, kind, name, key: None, within: None, needs, said },
    )?;
    let scale = (bia::GET_SCALE.run)(tx, &bia::ScaleRef::default())?;
    let today = tx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let review = today.checked_add(jiff::Span::new().days(90));
    let review = review.map_err(|e| Error::bug("start.date", "there is no day in 90 days").because(e))?;
    let assess = Assess {
        id: added.thing.id,
        tenant: None,
        revision: None,
        harm: vec![HarmAt { after_seconds: wanted.rto_seconds.saturating_mul(2), level: scale.intolerable }],
        rto_seconds: Some(wanted.rto_seconds),
        rpo_seconds: Some(wanted.rpo_seconds),
        minimum: String::new(),
        assessed_by: answers.lead.name.clone(),
        assessed_on: today.to_string(),
        review_by: review.to_string(),
    };
    (bia::ASSESS.run)(tx, &assess).map(drop)
}

fn protect(tx: &mut Tx<'_>, answers: &Answers, wanted: &Urgent) -> Result<()> {
    let Some(policy) = wanted.policy.or(answers.policy) else { return Ok(()) };
    let offered = chosen(tx, policy)?.terms.offered;
    let action = if offered { &offers::CHOOSE } else { &protections::SET };
    tx.require(action.name)?;
    (action.run)(tx, &Protect { id: wanted.service.clone(), policy }).map(drop)
}

fn drill(tx: &mut Tx<'_>, answers: &Answers, wanted: &Urgent, name: &str) -> Result<()> {
    let Urgent { service, rto_seconds, rpo_seconds, .. } = wanted.clone();
    let calendar = Schedule { calendar: "monthly 1 03:00".into(), jitter_minutes: 60, time_zone: "Asia/Taipei".into() };
    let terms = Terms {
        scope: Scope::of(vec![service]),
        scenario: Scenario::MachineLost,
        place: None,
        objectives: Some(Objectives { rto_seconds, rpo_seconds }),
        schedule: Some(calendar),
        negative_every: 3,
        owner: answers.lead.name.clone(),
        record: plans::RecordAt::default(),
        action_days: 14,
    };
    let name = format!("{name} · {}", in_words(answers, "每月還原演練", "monthly drill"));
    (plans::CREATE.run)(tx, &NewPlan { name, terms }).map(drop)
}

fn runbook(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers, service: &str) -> Result<()> {
    let of = draft::DraftOf { id: service.to_owned(), locale: answers.locale.clone() };
    let contents = (draft::DRAFT.run)(tx, &of)?;
    runbooks::make(tx, runbooks::CREATE.name, tenant, &contents).map(drop)
}

fn exercise(tx: &mut Tx<'_>, answers: &Answers, name: &str) -> Result<()> {
    let scenario = in_words(
        answers,
        "早上八點，所有服務都沒有回應，負責的人聯絡不上。誰先做什麼？",
        "At eight in the morning no service answers, and whoever looks after them cannot be reached. Who does what first?",
    );
    let participants = [&answers.lead.name, &answers.deputy.name].into_iter().filter(|name| !name.is_empty());
    let terms = exercises::Terms {
        name: name.to_owned(),
        mode: Mode::TableTop,
        scenario,
        lead: answers.lead.name.clone(),
        participants: participants.cloned().collect(),
        observers: Vec::new(),
    };
    let planned_at = tx.now + Duration::from_secs(30 * DAY);
    (exercises::CREATE.run)(tx, &NewExercise { planned_at, terms }).map(drop)
}

fn step(tx: &mut Tx<'_>, tenant: TenantId, answers: &Answers, number: i64, due_at: Timestamp) -> Result<()> {
    let first = number == 1;
    let said = steps::Said {
        number,
        owner: answers.lead.name.clone(),
        due_at: Some(due_at),
        state: if first { State::InProgress } else { State::NotStarted },
        text: if first { answers.purpose.clone() } else { String::new() },
        revision: 0,
    };
    steps::say(tx, tenant, &said)
}
