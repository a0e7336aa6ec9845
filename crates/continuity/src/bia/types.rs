//! Nouns: one struct each, the same for row, value and JSON.

use base::id::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad something is, in the firm's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Level {
    /// What the firm calls it.
    pub name: String,
    /// How much that is, in the unit of the scale.
    pub amount: u64,
}

/// By which a firm says how bad something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HarmScale {
    /// What amounts are in: a currency, or points.
    pub unit: String,
    /// The levels, from the least.
    pub levels: Vec<Level>,
    /// From which level on it cannot be borne: its place in the list, from 0.
    pub intolerable: usize,
    /// Counts its changes; 0 while the firm has set none.
    pub revision: i64,
}

impl HarmScale {
    /// A scale to begin with, in points.
    pub fn to_begin_with() -> HarmScale {
        let level = |name: &str, amount| Level { name: name.to_owned(), amount };
        HarmScale {
            unit: "points".to_owned(),
            levels: vec![level("slight", 1), level("noticeable", 10), level("serious", 100), level("ruinous", 1_000)],
            intolerable: 3,
            revision: 0,
        }
    }

    /// How much a level is.
    pub fn amount(&self, level: usize) -> u64 {
        self.levels.get(level).map_or(0, |level| level.amount)
    }
}

/// A scale to be set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetScale {
    /// Whose; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// What amounts are in: a currency, or points.
    pub unit: String,
    /// The levels, from the least.
    pub levels: Vec<Level>,
    /// From which level on it cannot be borne: its place in the list, from 0.
    pub intolerable: usize,
}

/// From this moment on it is so bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HarmAt {
    /// After so long without the activity, in seconds.
    pub after_seconds: u64,
    /// The level: its place in the scale, from 0.
    pub level: usize,
}

/// What it would mean to be without an activity, to be noted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assess {
    /// The activity: its id, or its key.
    pub id: String,
    /// In whose inventory; the acting tenant's unless said otherwise.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Harm over time, in ascending order.
    pub harm: Vec<HarmAt>,
    /// It must be back after so long, in seconds; shorter than what can be borne.
    #[serde(default)]
    pub rto_seconds: Option<u64>,
    /// So much of the newest data may be lost, in seconds.
    #[serde(default)]
    pub rpo_seconds: Option<u64>,
    /// The least that must go on meanwhile, in words.
    #[serde(default)]
    pub minimum: String,
    /// Who judged.
    pub assessed_by: String,
    /// When, as YYYY-MM-DD.
    pub assessed_on: String,
    /// By when it is to be judged anew, as YYYY-MM-DD.
    pub review_by: String,
}

/// What it would mean to be without an activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    /// The activity.
    pub activity: String,
    /// Harm over time, in ascending order.
    pub harm: Vec<HarmAt>,
    /// The maximum tolerable period of disruption, in seconds: the first moment at which the harm
    /// cannot be borne; nothing where it always can.
    pub mtpd_seconds: Option<u64>,
    /// It must be back after so long, in seconds.
    pub rto_seconds: Option<u64>,
    /// So much of the newest data may be lost, in seconds.
    pub rpo_seconds: Option<u64>,
    /// The least that must go on meanwhile, in words.
    pub minimum: String,
    /// Who judged.
    pub assessed_by: String,
    /// When, as YYYY-MM-DD.
    pub assessed_on: String,
    /// By when it is to be judged anew, as YYYY-MM-DD.
    pub review_by: String,
    /// Whether that day has passed.
    pub review_overdue: bool,
    /// Counts its changes.
    pub revision: i64,
}

/// An activity because of which an objective is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Because {
    /// The activity.
    pub activity: String,
    /// Its name.
    pub name: String,
    /// Its own recovery time objective.
    pub rto_seconds: Option<u64>,
    /// Its own recovery point objective.
    pub rpo_seconds: Option<u64>,
}

/// What something inherits from the activities that depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inherited {
    /// The least recovery time objective of all of them, in seconds.
    pub rto_seconds: Option<u64>,
    /// The least recovery point objective of all of them, in seconds.
    pub rpo_seconds: Option<u64>,
    /// The activities, the most urgent first.
    pub because: Vec<Because>,
}
