//! The nouns of a study of impact. Times are seconds from the incident.

use resources::placement::Demand;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The place of a node in its [`Graph`](super::Graph).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIx(pub u32);

impl NodeIx {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a node is (the inventory of ISO 22301, 8.2: activities and the resources
/// that they need). The engine treats all alike; people sort by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// What the organisation does, and is harmed by not doing.
    Activity,
    /// A service that activities use.
    Service,
    /// A machine, disk, database, address.
    Resource,
    /// A host that machines run on.
    Host,
    /// A rack with hosts.
    Rack,
    /// A place with racks.
    Site,
    /// A feed of power.
    Power,
    /// A cooling circuit.
    Cooling,
    /// What finds fire or puts it out.
    FireProtection,
    /// A network route or link.
    Route,
    /// A firm that delivers something.
    Supplier,
    /// What is used up or kept in store: spare parts, fuel, paper.
    Material,
    /// How things get here: a carrier, a road, a warehouse.
    Logistics,
    /// Somebody without whom it does not go.
    Person,
    /// A service of somebody else that is used as it is.
    Outside,
    /// A place where copies lie.
    BackupPlace,
}

impl Kind {
    /// All of them, in the order in which people read them: from what is done to what it stands on.
    pub const ALL: [Kind; 16] = [
        Kind::Activity,
        Kind::Service,
        Kind::Outside,
        Kind::Resource,
        Kind::Host,
        Kind::Rack,
        Kind::Site,
        Kind::Power,
        Kind::Cooling,
        Kind::FireProtection,
        Kind::Route,
        Kind::BackupPlace,
        Kind::Supplier,
        Kind::Material,
        Kind::Logistics,
        Kind::Person,
    ];

    /// The word in JSON, in files and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Activity => "activity",
            Kind::Service => "service",
            Kind::Resource => "resource",
            Kind::Host => "host",
            Kind::Rack => "rack",
            Kind::Site => "site",
            Kind::Power => "power",
            Kind::Cooling => "cooling",
            Kind::FireProtection => "fireProtection",
            Kind::Route => "route",
            Kind::Supplier => "supplier",
            Kind::Material => "material",
            Kind::Logistics => "logistics",
            Kind::Person => "person",
            Kind::Outside => "outside",
            Kind::BackupPlace => "backupPlace",
        }
    }

    /// The kind of that word.
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that can be lost or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// What it stands in: lost with it, stopped with it.
    pub within: Option<NodeIx>,
    /// What must run for it to run; all of them.
    pub needs: Vec<Need>,
    /// How long until it is there again after a loss; nothing where nobody can say.
    pub repair_seconds: Option<u64>,
    /// How long it takes to start, once all that it needs is there.
    pub start_seconds: u64,
    /// Where it is a machine whose disks can be restored elsewhere.
    pub data: Option<Data>,
    /// Where it is a host that others may be restored onto.
    pub host: Option<Host>,
    /// Where it is a place that holds copies.
    pub source: Option<Source>,
    /// Where it is an activity.
    pub activity: Option<Activity>,
}

impl Node {
    /// A node of which nothing is known but what it is.
    pub fn new(kind: Kind) -> Self {
        Node {
            kind,
            within: None,
            needs: Vec::new(),
            repair_seconds: None,
            start_seconds: 0,
            data: None,
            host: None,
            source: None,
            activity: None,
        }
    }
}

/// So many of these must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    /// How many.
    pub at_least: u32,
    /// Of which, each once.
    pub of: Vec<NodeIx>,
}

/// What a machine takes, and where copies of it lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// What it takes of a host.
    pub demand: Demand,
    /// Hosts of this pool can take it.
    pub pool: u32,
    /// Bytes to bring back.
    pub bytes: u64,
    /// Where from.
    pub copies: Vec<Copy>,
}

/// A copy of a machine's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// Where it lies; the place has a [`Source`].
    pub place: NodeIx,
    /// How old its newest record is at the incident, in seconds.
    pub age_seconds: u64,
    /// The host that alone reaches it, where it is a directory there.
    pub only: Option<NodeIx>,
}

/// What a host can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Its pool.
    pub pool: u32,
    /// What is free of it before the incident.
    pub free: Demand,
    /// How many restores it takes at a time, and how fast each was seen to be.
    pub restores: Source,
}

/// How fast copies go through a place: measured, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// How many at a time; at least one.
    pub lanes: u32,
    /// Bytes in a second for each, as measured; nothing where it never was.
    pub bytes_per_second: Option<u64>,
}

/// Objectives of an activity (ISO 22301, 8.2.2: impact over time, maximum
/// tolerable period of disruption, recovery time objective).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// What it costs to be without it for so long, on the scale that the firm
    /// sets; ascending in time.
    pub harm: Vec<Harm>,
    /// Recovery time objective.
    pub rto_seconds: Option<u64>,
    /// Recovery point objective.
    pub rpo_seconds: Option<u64>,
    /// Maximum tolerable period of disruption.
    pub mtpd_seconds: Option<u64>,
}

/// From this moment on the harm is so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Harm {
    /// After so long without.
    pub after_seconds: u64,
    /// So much, altogether, on the firm's scale.
    pub amount: u64,
}

impl Activity {
    /// The harm of being without it until `back`.
    pub fn harm_until(&self, back: Back) -> u64 {
        let reached = |step: &&Harm| match back {
            Back::At(seconds) => step.after_seconds <= seconds,
            Back::Never(_) => true,
        };
        self.harm.iter().rev().find(reached).map_or(0, |step| step.amount)
    }
}

/// When a stopped node runs again. Later is greater, and never is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Back {
    /// So many seconds after the incident.
    At(u64),
    /// Not by anything that is known.
    Never(Why),
}

/// Why something does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// Nobody said how long its repair takes.
    NoRepair,
    /// No copy of it is left that can be read.
    NoCopy,
    /// No host has room for it.
    NoRoom,
    /// There are copies and room, and no speed was ever measured: what was not
    /// measured is not promised.
    NotMeasured,
    /// What it needs does not come back.
    Needs,
    /// It waits for something that waits for it.
    Circular,
}

/// What is missing from restored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// The last so many seconds.
    Seconds(u64),
    /// All of it.
    All,
}

/// A machine brought back elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Which.
    pub node: NodeIx,
    /// From the copy here.
    pub from: NodeIx,
    /// Onto this host.
    pub to: NodeIx,
    /// The restore begins.
    pub start_seconds: u64,
    /// The data is there.
    pub end_seconds: u64,
    /// How much of the newest data it lacks.
    pub age_seconds: u64,
}

/// An activity that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Which.
    pub activity: NodeIx,
    /// Until when.
    pub back: Back,
    /// What of its data is gone; nothing where none is.
    pub loss: Option<Loss>,
    /// What it costs.
    pub harm: u64,
    /// It is back later than its recovery time objective.
    pub rto_missed: bool,
    /// It is back later than can be borne.
    pub mtpd_missed: bool,
    /// More is gone than its recovery point objective allows.
    pub rpo_missed: bool,
}

/// What a loss leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What failed.
    pub failed: Vec<NodeIx>,
    /// Everything that stops, ascending, with the moment of its return.
    pub stopped: Vec<(NodeIx, Back)>,
    /// What is restored elsewhere, in the order of its urgency.
    pub moves: Vec<Move>,
    /// What of which machine's data is gone.
    pub losses: Vec<(NodeIx, Loss)>,
    /// The activities among the stopped.
    pub activities: Vec<Stop>,
    /// The harm of all of them.
    pub harm: u64,
}
