//! Nouns.

use std::collections::HashMap;
use std::net::IpAddr;

use base::address::Network;
use base::id::{AccountId, TenantId};
use base::time::{Timestamp, from_micros};
use gate::Effect;
use gate::audit::{Leaf, Private};
use serde::Serialize;

use super::Figures;

/// What kind of thing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Somebody's data was looked at, or was reached for and refused.
    Look,
    /// Something was made, changed or removed.
    Change,
    /// A second person was asked to agree.
    Ask,
    /// A second person agreed.
    Agree,
}

impl Doing {
    /// What an action of that name and effect is.
    pub fn of(action: &str, effect: Effect) -> Doing {
        match (action, effect) {
            ("approval.request", _) => Doing::Ask,
            ("approval.approve", _) => Doing::Agree,
            (_, Effect::Read) => Doing::Look,
            _ => Doing::Change,
        }
    }
}

/// An entry of the audit log, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activity<'a> {
    /// Its place in the log.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub account: AccountId,
    /// What kind of thing was done.
    pub doing: Doing,
    /// What was done: `noun.verb`.
    pub action: &'a str,
    /// To which object; empty where there was none.
    pub object: &'a str,
    /// Whose the object is.
    pub tenant: TenantId,
    /// Whether it was refused.
    pub refused: bool,
    /// Where the request came from; none where that was erased or there was none.
    pub address: Option<IpAddr>,
    /// Why, in the actor's words.
    pub reason: &'a str,
}

impl<'a> Activity<'a> {
    /// Reads an entry. `None` where no account did it (agents, the platform's workers, strangers): those are not
    /// watched here.
    pub fn of(entry: u64, leaf: &'a Leaf, private: Option<&'a Private>, effect: Effect) -> Option<Activity<'a>> {
        Some(Activity {
            entry,
            at: from_micros(leaf.at).ok()?,
            account: leaf.actor.parse().ok()?,
            doing: Doing::of(&leaf.action, effect),
            action: &leaf.action,
            object: &leaf.object_id,
            tenant: leaf.object_tenant.parse().ok()?,
            refused: leaf.outcome.starts_with("refused:"),
            address: private.and_then(|private| private.address.as_deref()).and_then(|text| text.parse().ok()),
            reason: private.map_or("", |private| &private.reason),
        })
    }
}

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A person's.
    Person,
    /// A program's.
    Service,
}

/// What the platform knows of an account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Whose it is.
    pub sort: Sort,
    /// The account under which all accounts of one person are counted; its own where there is one only.
    pub person: AccountId,
    /// Its home.
    pub tenant: TenantId,
    /// Its role there; accounts with one role in one tenant are peers.
    pub role: String,
    /// Who answers for what it does; none at the top.
    pub answers_to: Option<AccountId>,
}

/// That an account works for a tenant for a while.
#[derive(Debug, Clone, Copy)]
pub struct Assignment {
    /// Who.
    pub account: AccountId,
    /// For whom.
    pub tenant: TenantId,
    /// From then on.
    pub from: Timestamp,
    /// Until then; none: still.
    pub until: Option<Timestamp>,
}

/// A ticket that a reason may name.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    /// About whose things; none: about any tenant's (a change, a night on call).
    pub tenant: Option<TenantId>,
    /// Who opened it, where an account did. It explains nothing of what they do themself.
    pub opened_by: Option<AccountId>,
    /// Open from then on.
    pub from: Timestamp,
    /// Until then; none: still.
    pub until: Option<Timestamp>,
}

/// What the platform knows beside the log, in the week that is looked at.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Accounts. One that is not here has no peers, and nobody who answers for it.
    pub accounts: HashMap<AccountId, Account>,
    /// Who works for whom. An account with none here is not held against assignments.
    pub assignments: Vec<Assignment>,
    /// Tickets by their identifier as it is written in reasons: `INC-1027`.
    pub tickets: HashMap<String, Ticket>,
}

/// Networks that the tenant has named as one place, and where that is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its networks. One through which people come from anywhere (a VPN) belongs to no place.
    pub networks: Vec<Network>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// How it is looked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Hours of the day are those of this many seconds east of UTC.
    pub utc_offset_seconds: i32,
    /// Places, at most 250. Without any, nothing is said about travel.
    pub places: Vec<Place>,
    /// Faster than this between two places is impossible, in kilometres an hour. An airliner does 900.
    pub speed_kmh_max: f64,
    /// What subjects are hashed with, so that nobody can choose identifiers that hide in the sketches. Secret, and
    /// the same from week to week.
    pub seed: u64,
    /// Multiplies every limit: above 1 fewer findings, below 1 more.
    pub strictness: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { utc_offset_seconds: 0, places: Vec::new(), speed_kmh_max: 900.0, seed: 0, strictness: 1.0 }
    }
}

/// What kind of thing stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Abnormally repeated look-ups: one subject again and again, or very many in a day.
    Repeated,
    /// Look-ups outside role or assignments.
    Outside,
    /// At hours at which neither the account nor its peers work.
    Hours,
    /// Few a day, over weeks more than anybody.
    Harvest,
    /// A service account's key in a person's hands.
    Service,
    /// In two places between which nobody travels so fast.
    Travel,
    /// Approvals between the same two people.
    Pair,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] =
        [Kind::Repeated, Kind::Outside, Kind::Hours, Kind::Harvest, Kind::Service, Kind::Travel, Kind::Pair];

    /// The word that programs read.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Repeated => "repeated",
            Kind::Outside => "outside",
            Kind::Hours => "hours",
            Kind::Harvest => "harvest",
            Kind::Service => "service",
            Kind::Travel => "travel",
            Kind::Pair => "pair",
        }
    }
}

/// Entries that show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Their places in the log, the first of them, in order.
    pub entries: Vec<u64>,
    /// How many there are in all; an estimate where there are very many.
    pub total: u64,
}

/// What stands out, in figures; the sentences are [`Why::en`] and [`Why::zh_tw`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Why {
    /// One subject was looked up again and again.
    Again {
        /// In how many different hours.
        times: u32,
        /// How many are usual at the most for one subject.
        usual: u32,
    },
    /// Very many subjects in one day.
    Burst {
        /// How many.
        subjects: u32,
        /// How many are usual on somebody's fullest day of a week.
        usual: u32,
    },
    /// Subjects of tenants that the account does not work for.
    OutsideAssignments {
        /// How many subjects.
        subjects: u32,
    },
    /// Kinds of look-ups that nobody in the role makes.
    OutsideRole {
        /// How many subjects.
        subjects: u32,
    },
    /// At unusual hours.
    Hours {
        /// How many subjects.
        subjects: u32,
    },
    /// Slow harvesting.
    Harvest {
        /// Different subjects within four weeks.
        subjects: u32,
        /// How many are usual.
        usual: u32,
    },
    /// A key where a person works.
    Hands {
        /// How many subjects.
        subjects: u32,
        /// Whether it came from where a person was working that day; otherwise from a new network, doing what it never did.
        beside_person: bool,
    },
    /// Impossible travel.
    Travel {
        /// From here …
        from: String,
        /// … to there, …
        to: String,
        /// … so far apart, in kilometres, …
        kilometres: u32,
        /// … within so many minutes.
        minutes: u32,
        /// How often in the week.
        times: u32,
    },
    /// Approvals between the same two.
    Pair {
        /// Requests of the one that the other agreed to, within eight weeks.
        agreed: u32,
        /// Requests of the one that anybody agreed to.
        asked: u32,
        /// Requests of their team-mates that the other agreed to, in percent.
        others_percent: u32,
        /// Requests of the other that the one agreed to.
        returned: u32,
    },
}

/// Something that a responsible person should look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Whose account; of several of one person, the one that they are counted under.
    pub account: AccountId,
    /// Who else it is about: the other of a pair, people at whose place a key was used.
    pub with: Vec<AccountId>,
    /// The first instant of what was looked at.
    pub since: Timestamp,
    /// The instant after the last.
    pub until: Timestamp,
    /// How many times over its limit it is; at least 1.
    pub score: f64,
    /// What stands out.
    pub why: Why,
    /// What shows it.
    pub evidence: Evidence,
}

impl Finding {
    /// Everybody that it is about.
    pub fn about(&self) -> impl Iterator<Item = AccountId> {
        std::iter::once(self.account).chain(self.with.iter().copied())
    }
}

/// What a week of the log showed.
#[derive(Debug, Clone, Default)]
pub struct Week {
    /// What stands out, the most first.
    pub findings: Vec<Finding>,
    /// What was counted of every account that did anything.
    pub figures: Vec<(AccountId, Figures)>,
    /// Entries that were looked at.
    pub entries: u64,
    /// Those of them that something explains.
    pub explained: u64,
    /// Those that claim a time outside the week: a clock was wrong. Counted, and not held against hours or places.
    pub strays: u64,
    /// Entries of accounts beyond [`super::ACCOUNTS_MAX`], which were not looked at.
    pub unwatched: u64,
}
