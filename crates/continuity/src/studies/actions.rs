//! The use cases as values.

use std::collections::{BTreeMap, BTreeSet};

use base::id::TenantId;
use base::{Error, Result, limits};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::{Loaded, load};
use crate::impact::{self, Back, Kind, Loss, NodeIx, Stop, Study, Why};
use crate::inventory::whose;

/// Most things that fail at once.
const FAILED_MAX: usize = 10;
/// Most reasons that are told of one thing.
const CAUSES_MAX: usize = 10;

/// What is lost.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct WhatIf {
    /// In whose inventory; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
    /// The things that are lost at one moment: ids, or keys.
    pub failed: Vec<String>,
    /// How long people take to decide, in seconds, beside what the platform takes.
    pub decide_seconds: u64,
}

/// A thing, by its id and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub tenant: TenantId,
}

/// When something runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// So many seconds after the incident; absent where it does not come back by anything that is known.
    pub after_seconds: Option<u64>,
    /// Why not.
    pub never: Option<WhyNot>,
}

/// Why something does not come back by anything that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WhyNot {
    /// Nobody said how long its repair takes.
    NoRepair,
    /// No copy of it is left that can be read.
    NoCopy,
    /// No host has room for it.
    NoRoom,
    /// There are copies and room, and no restore from there was ever measured.
    NeverMeasured,
    /// What it needs does not come back.
    Needs,
    /// It waits for something that waits for it.
    Circular,
}

impl From<Why> for WhyNot {
    fn from(why: Why) -> Self {
        match why {
            Why::NoRepair => WhyNot::NoRepair,
            Why::NoCopy => WhyNot::NoCopy,
            Why::NoRoom => WhyNot::NoRoom,
            Why::NotMeasured => WhyNot::NeverMeasured,
            Why::Needs => WhyNot::Needs,
            Why::Circular => WhyNot::Circular,
        }
    }
}

impl From<Back> for Again {
    fn from(back: Back) -> Self {
        match back {
            Back::At(seconds) => Again { after_seconds: Some(seconds), never: None },
            Back::Never(why) => Again { after_seconds: None, never: Some(why.into()) },
        }
    }
}

/// What keeps something else from coming back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// What.
    #[serde(flatten)]
    pub what: Named,
    /// Why it does not come back itself.
    pub why: WhyNot,
}

/// What of data is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The last so many seconds.
    pub seconds: Option<u64>,
    /// Whether it is all of it.
    pub everything: bool,
}

impl From<Loss> for Lost {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Seconds(seconds) => Lost { seconds: Some(seconds), everything: false },
            Loss::All => Lost { seconds: None, everything: true },
        }
    }
}

/// An activity that stops, or a service that no activity needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// What stops.
    #[serde(flatten)]
    pub what: Named,
    /// When it runs again.
    pub back: Again,
    /// Where it does not: what keeps it from it, at the root.
    pub causes: Vec<Cause>,
    /// What of its data is gone; nothing where none is.
    pub loss: Option<Lost>,
    /// What that harms, in the unit of the scale.
    pub harm: u64,
    /// Its recovery time objective, in seconds.
    pub rto_seconds: Option<u64>,
    /// Its recovery point objective, in seconds.
    pub rpo_seconds: Option<u64>,
    /// For how long it can be borne, in seconds.
    pub mtpd_seconds: Option<u64>,
    /// It is back later than its recovery time objective.
    pub rto_missed: bool,
    /// It is back later than can be borne.
    pub mtpd_missed: bool,
    /// More is gone than its recovery point objective allows.
    pub rpo_missed: bool,
}

/// Something that stands still meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Still {
    /// What.
    #[serde(flatten)]
    pub what: Named,
    /// When it runs again.
    pub back: Again,
    /// What of its own data is gone; nothing where none is.
    pub loss: Option<Lost>,
}

/// A machine that is restored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Which.
    #[serde(flatten)]
    pub what: Named,
    /// From the copy at this place.
    pub from: String,
    /// Onto this host.
    pub to: String,
    /// The restore begins so many seconds after the incident.
    pub start_seconds: u64,
    /// The data is there.
    pub end_seconds: u64,
    /// How much of the newest data it lacks, in seconds.
    pub loses_seconds: u64,
}

/// What a loss leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What is lost.
    pub failed: Vec<Named>,
    /// Activities that stop, and services that no activity needs: the most harmful first.
    pub activities: Vec<Stopped>,
    /// Everything that stands still meanwhile.
    pub stopped: Vec<Still>,
    /// What is restored elsewhere, in this order.
    pub moves: Vec<Moved>,
    /// The harm of all.
    pub harm: u64,
    /// What harm is in.
    pub unit: String,
    /// When the first restore begins, in seconds after the incident.
    pub react_seconds: u64,
    /// What drills measured of that: choosing a copy, reserving a host, fetching the key. Absent where
    /// it was never measured.
    pub measured_seconds: Option<u64>,
}

fn named(loaded: &Loaded, ix: NodeIx) -> Named {
    let one = loaded.thing(ix);
    Named { id: one.id.clone(), name: one.name.clone(), kind: one.kind, tenant: one.tenant }
}

/// What keeps a thing from coming back, at the root: over unmet needs and places that do not come
/// back either, down to those that have a reason of their own.
fn causes(loaded: &Loaded, never: &BTreeMap<NodeIx, Why>, from: NodeIx) -> Vec<(NodeIx, Why)> {
    let (mut way, mut seen, mut found) = (vec![from], BTreeSet::new(), Vec::new());
    while let Some(ix) = way.pop() {
        let Some(why) = never.get(&ix).filter(|_| seen.insert(ix)) else { continue };
        if !matches!(why, Why::Needs | Why::Circular) {
            found.push((ix, *why));
            continue;
        }
        let node = loaded.graph.node(ix);
        let missing = |of: &[NodeIx]| of.iter().filter(|member| never.contains_key(member)).count();
        let unmet = node.needs.iter().filter(|need| need.of.len() - missing(&need.of) < need.at_least as usize);
        way.extend(unmet.flat_map(|need| need.of.iter().copied()).chain(node.within));
    }
    found.sort_unstable();
    found
}

/// What does not come back, and why.
fn never(found: &impact::Outcome) -> BTreeMap<NodeIx, Why> {
    let why = |(ix, back): &(NodeIx, Back)| match back {
        Back::Never(why) => Some((*ix, *why)),
        Back::At(_) => None,
    };
    found.stopped.iter().filter_map(why).collect()
}

fn stopped(loaded: &Loaded, stop: &Stop, never: &BTreeMap<NodeIx, Why>) -> Stopped {
    let causes = causes(loaded, never, stop.activity).into_iter().take(CAUSES_MAX);
    let activity = loaded.graph.node(stop.activity).activity.clone().unwrap_or_default();
    Stopped {
        what: named(loaded, stop.activity),
        back: stop.back.into(),
        causes: causes.map(|(ix, why)| Cause { what: named(loaded, ix), why: why.into() }).collect(),
        loss: stop.loss.map(Lost::from),
        harm: stop.harm,
        rto_seconds: activity.rto_seconds,
        rpo_seconds: activity.rpo_seconds,
        mtpd_seconds: activity.mtpd_seconds,
        rto_missed: stop.rto_missed,
        mtpd_missed: stop.mtpd_missed,
        rpo_missed: stop.rpo_missed,
    }
}

fn study(loaded: &Loaded, failed: &[NodeIx]) -> Outcome {
    let found = Study::new(&loaded.graph, loaded.react.seconds).lose(failed);
    let loss = |ix: NodeIx| found.losses.iter().find(|(of, _)| *of == ix).map(|(_, loss)| Lost::from(*loss));
    let never = never(&found);
    let mut activities: Vec<_> = found.activities.iter().collect();
    activities.sort_by_key(|stop| (std::cmp::Reverse((stop.harm, stop.back)), stop.activity));
    Outcome {
        failed: failed.iter().map(|ix| named(loaded, *ix)).collect(),
        activities: activities.into_iter().map(|stop| stopped(loaded, stop, &never)).collect(),
        stopped: found
            .stopped
            .iter()
            .filter(|(ix, _)| loaded.in_sight(*ix))
            .map(|(ix, back)| Still { what: named(loaded, *ix), back: (*back).into(), loss: loss(*ix) })
            .collect(),
        moves: found
            .moves
            .iter()
            .map(|one| Moved {
                what: named(loaded, one.node),
                from: loaded.thing(one.from).name.clone(),
                to: loaded.thing(one.to).name.clone(),
                start_seconds: one.start_seconds,
                end_seconds: one.end_seconds,
                loses_seconds: one.age_seconds,
            })
            .collect(),
        harm: found.harm,
        unit: loaded.unit.clone(),
        react_seconds: loaded.react.seconds,
        measured_seconds: loaded.react.measured,
    }
}

/// Says what a loss would lead to. Nothing is touched.
pub static STUDY: Action<WhatIf, Outcome> = Action {
    name: "impact.study",
    summary: "Says what the loss of these things leads to: which activities stop, for how long, what data is lost, what is restored where. Touches nothing.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "impact.study", input.tenant)?;
        if input.failed.is_empty() || input.failed.len() > FAILED_MAX {
            let message = format!("name from 1 to {FAILED_MAX} things that are lost");
            return Err(Error::invalid("impact.failed", message).at("failed"));
        }
        let loaded = load(tx, view, input.decide_seconds)?;
        let failed: Result<Vec<NodeIx>> = input.failed.iter().map(|id| loaded.node(id)).collect();
        let mut failed = failed.map_err(|e| e.at("failed"))?;
        failed.sort_unstable();
        failed.dedup();
        Ok(study(&loaded, &failed))
    },
};

/// Which single failures.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RankAsk {
    /// In whose inventory; the acting tenant's unless said otherwise.
    pub tenant: Option<TenantId>,
    /// How many, the worst first.
    pub limit: Option<u32>,
    /// What is the worst.
    pub by: By,
}

/// By what single losses are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// By the harm that they would do.
    #[default]
    Harm,
    /// By their risk: how likely they are, times that harm. Those whose likelihood nobody judged come last,
    /// by harm.
    Risk,
}

/// What the loss of one thing alone means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Single {
    /// What.
    #[serde(flatten)]
    pub what: Named,
    /// The harm of losing it, in the unit of the scale.
    pub harm: u64,
    /// How likely that is, from 1 to 5; absent where nobody judged it.
    pub likelihood: Option<u8>,
    /// Likelihood times harm: only for ranking one against another.
    pub risk: Option<u64>,
    /// How many activities stop, and services that no activity needs.
    pub activities: u32,
    /// How many of them do not come back by anything that is known.
    pub never: u32,
    /// How many of those only because no restore from there was ever measured.
    pub unmeasured: u32,
    /// How many miss an objective.
    pub missed: u32,
}

/// Single failures, ranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ranking {
    /// Everything whose loss alone stops something, the worst first.
    pub items: Vec<Single>,
    /// How many such things there are.
    pub total: usize,
    /// Of how many of them somebody judged how likely their loss is.
    pub judged: usize,
    /// How many things were tried.
    pub tried: usize,
    /// What harm is in.
    pub unit: String,
}

/// How many of those that stop do not come back only because nothing was measured.
fn unmeasured(loaded: &Loaded, found: &impact::Outcome) -> u32 {
    let never = never(found);
    let only = |stop: &&Stop| {
        let causes = causes(loaded, &never, stop.activity);
        !causes.is_empty() && causes.iter().all(|(_, why)| *why == Why::NotMeasured)
    };
    found.activities.iter().filter(only).count() as u32
}

/// Ranks every single failure.
pub static RANK: Action<RankAsk, Ranking> = Action {
    name: "impact.rank",
    summary: "Ranks every single failure of an inventory by the harm that it would do, or by its risk, which is likelihood times harm: single points of failure first.",
    effect: Effect::Read,
    run: |tx, input| {
        let view = whose(tx, "impact.rank", input.tenant)?;
        let loaded = load(tx, view, 0)?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX) as usize;
        let mut study = Study::new(&loaded.graph, loaded.react.seconds);
        let mut ranks = study.single_points();
        // An activity does not fail by itself; hosts beyond the inventory are nobody's question.
        ranks.retain(|rank| loaded.in_sight(rank.node) && loaded.graph.node(rank.node).kind != Kind::Activity);
        let likelihood = |node| loaded.thing(node).said.likelihood;
        let risk = |rank: &impact::Rank| Some(u64::from(likelihood(rank.node)?).saturating_mul(rank.harm));
        let worst = |rank: &impact::Rank| (rank.harm, rank.never, rank.missed, rank.activities);
        match input.by {
            By::Harm => ranks.sort_by_key(|rank| std::cmp::Reverse(worst(rank))),
            // What nobody judged is no risk of nothing: it stands apart, below.
            By::Risk => ranks.sort_by_key(|rank| std::cmp::Reverse((risk(rank), worst(rank)))),
        }
        let judged = ranks.iter().filter(|rank| likelihood(rank.node).is_some()).count();
        let items = ranks.iter().take(limit).map(|rank| Single {
            what: named(&loaded, rank.node),
            harm: rank.harm,
            likelihood: likelihood(rank.node),
            risk: risk(rank),
            activities: rank.activities,
            never: rank.never,
            unmeasured: if rank.never > 0 { unmeasured(&loaded, &study.lose(&[rank.node])) } else { 0 },
            missed: rank.missed,
        });
        Ok(Ranking {
            items: items.collect(),
            total: ranks.len(),
            judged,
            tried: loaded.there.things.len(),
            unit: loaded.unit.clone(),
        })
    },
};
