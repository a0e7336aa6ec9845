//! The use cases as values.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::{Error, Result};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{Assess, Assessment, HarmScale, Inherited, SetScale};
use super::{assessed, rules, scale, store};
use crate::inventory::{self, KIND, Kind, View, whose};

/// Of what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssessmentRef {
    /// The thing in the inventory: its id, or its key.
    pub id: String,
    /// In whose inventory; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// What is known of how urgent a thing is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assessed {
    /// The thing.
    pub id: String,
    /// What was judged of it, where it is an activity and somebody did.
    pub assessment: Option<Assessment>,
    /// What it inherits from the activities that depend on it, itself included.
    pub objectives: Inherited,
    /// The scale that harm is on.
    pub scale: HarmScale,
}

fn look(tx: &mut Tx<'_>, view: View, id: &str) -> Result<Assessed> {
    let (there, _) = inventory::read(tx, view)?;
    let id = there.require(id)?.id.clone();
    let mut all = assessed(tx, view.tenant)?;
    let objectives = rules::roll(&there, &all).remove(&id).unwrap_or_default();
    Ok(Assessed { assessment: all.remove(&id), objectives, scale: scale(tx, view.tenant)?, id })
}

/// Shows how urgent a thing is.
pub static GET: Action<AssessmentRef, Assessed> = Action {
    name: "assessment.get",
    summary: "Shows what it would mean to be without an activity, and what a thing inherits from those that need it.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "assessment.get", input.tenant)?;
        look(tx, view, &input.id)
    },
};

/// Whose assessments.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListAssessments {
    /// Whose; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
}

/// The activities of a tenant, and what was judged of them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssessmentList {
    /// What was judged, by activity.
    pub items: Vec<Assessment>,
    /// What activities are called, by id: those without an assessment too.
    pub activities: BTreeMap<String, String>,
    /// The scale that harm is on.
    pub scale: HarmScale,
}

/// Lists what was judged of a tenant's activities.
pub static LIST: Action<ListAssessments, AssessmentList> = Action {
    name: "assessment.list",
    summary: "Lists a tenant's activities with what was judged of them: harm over time and objectives.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "assessment.list", input.tenant)?;
        let (there, _) = inventory::read(tx, view)?;
        let activities = there.things.into_iter().filter(|one| one.kind == Kind::Activity);
        let activities: BTreeMap<_, _> = activities.map(|one| (one.id, one.name)).collect();
        let mut items: Vec<_> = assessed(tx, view.tenant)?.into_values().collect();
        items.retain(|one| activities.contains_key(&one.activity));
        Ok(AssessmentList { items, activities, scale: scale(tx, view.tenant)? })
    },
};

/// Notes what it would mean to be without an activity.
pub static ASSESS: Action<Assess, Assessed> = Action {
    name: "assessment.set",
    summary: "Notes what it would mean to be without an activity: harm over time, RTO, RPO, minimum level.",
    effect: Effect::Change,
    run: |tx, input| {
        let view = whose(tx, "assessment.set", input.tenant)?;
        let (there, _) = inventory::read(tx, view)?;
        let found = there.require(&input.id)?;
        if found.kind != Kind::Activity {
            let message = "harm is judged of activities; what they need inherits it";
            return Err(Error::conflict("assessment.no_activity", message));
        }
        let now = assessed(tx, view.tenant)?.get(&found.id).map_or(0, |one| one.revision);
        expect(input.revision, now)?;
        rules::check(input, &scale(tx, view.tenant)?)?;
        tx.about(KIND, &found.id, now + 1);
        store::put(tx, view.tenant, &found.id, input)?;
        look(tx, view, &found.id)
    },
};

fn expect(wanted: Option<i64>, now: i64) -> Result<()> {
    match wanted.is_none_or(|wanted| wanted == now) {
        true => Ok(()),
        false => Err(Error::stale("assessment.stale", format!("it is at revision {now} by now"))),
    }
}

/// Whose scale.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ScaleRef {
    /// Whose; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
}

/// Shows by which scale a firm judges.
pub static GET_SCALE: Action<ScaleRef, HarmScale> = Action {
    name: "harmScale.get",
    summary: "Shows by which scale a tenant says how bad something is.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "harmScale.get", input.tenant)?;
        scale(tx, view.tenant)
    },
};

/// Sets by which scale a firm judges.
pub static SET_SCALE: Action<SetScale, HarmScale> = Action {
    name: "harmScale.set",
    summary: "Sets the scale by which a tenant says how bad something is: levels, amounts, and which cannot be borne.",
    effect: Effect::Change,
    run: |tx, input| {
        let view = whose(tx, "harmScale.set", input.tenant)?;
        expect(input.revision, scale(tx, view.tenant)?.revision)?;
        rules::check_scale(input)?;
        let (there, _) = inventory::read(tx, view)?;
        let next = HarmScale {
            unit: input.unit.trim().to_owned(),
            levels: input.levels.clone(),
            intolerable: input.intolerable,
            revision: 0,
        };
        for one in store::assessments(tx, view.tenant)? {
            rules::fits(&one, &next).map_err(|e| {
                let message = format!("{}: {}", there.name(&one.activity), e.message());
                Error::conflict("scale.in_use", message).at("levels")
            })?;
        }
        store::put_scale(tx, view.tenant, input)?;
        let set = scale(tx, view.tenant)?;
        tx.about("harmScale", &view.tenant.to_string(), set.revision);
        Ok(set)
    },
};

/// Whose services.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListObjectives {
    /// Whose; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
}

/// What a service must keep.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceObjectives {
    /// The service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What it inherits; empty where no assessed activity depends on it.
    #[serde(flatten)]
    pub objectives: Inherited,
}

/// What a tenant's services must keep.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ObjectiveList {
    /// The services, the most urgent first.
    pub items: Vec<ServiceObjectives>,
}

/// Lists what services inherit.
pub static OBJECTIVES: Action<ListObjectives, ObjectiveList> = Action {
    name: "objective.list",
    summary: "Lists how fast each service must be back and how much may be lost, and because of which activities.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "objective.list", input.tenant)?;
        let (there, _) = inventory::read(tx, view)?;
        let mut all = rules::roll(&there, &assessed(tx, view.tenant)?);
        let services = there.things.into_iter().filter(|one| one.kind == Kind::Service);
        let mut items: Vec<_> = services
            .map(|one| ServiceObjectives {
                objectives: all.remove(&one.id).unwrap_or_default(),
                service: one.id,
                name: one.name,
            })
            .collect();
        items.sort_by_key(|one| (one.objectives.rto_seconds.unwrap_or(u64::MAX), one.service.clone()));
        Ok(ObjectiveList { items })
    },
};
