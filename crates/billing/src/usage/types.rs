//! The nouns of metering.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::time::{Timestamp, micros};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rating::{Month, Price, Used, measure};

/// How much of each measure there is: `vcpu` → 2, `memory` → 4 (GiB), `disk` → 40 (GiB).
pub type Sizes = BTreeMap<String, Decimal>;

/// On what ground usage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// A machine was observed running.
    Run,
    /// The service was there for its customer, running or not.
    Held,
    /// It became active.
    Once,
    /// Somebody counted it and handed it in.
    Count,
}

impl Basis {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Basis::Run => "run",
            Basis::Held => "held",
            Basis::Once => "once",
            Basis::Count => "count",
        }
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        [Basis::Run, Basis::Held, Basis::Once, Basis::Count].into_iter().find(|basis| basis.word() == word)
    }
}

/// What a meter is attached with.
#[derive(Debug, Clone)]
pub struct MeterStart {
    /// The service; it has one meter.
    pub service: String,
    /// The product that it is sold as.
    pub product: String,
    /// What the bill calls it.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The billing account that pays; `None` for the tenant's own.
    pub account: Option<String>,
    /// The intents of its machines; none for a service without machines.
    pub machines: Vec<String>,
    /// When it became active.
    pub at: Timestamp,
    /// Its numeric characteristics by name; see [`crate::rating::measure`] for the names known here.
    pub sizes: Sizes,
    /// The prices frozen on its order item.
    pub prices: Vec<Price>,
}

/// What was agreed, from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Counts from 1.
    pub version: i64,
    /// From when.
    pub from: Timestamp,
    /// The sizes that were ordered, by measure.
    pub sizes: Sizes,
    /// The prices.
    pub prices: Vec<Price>,
}

/// A meter with its terms in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// Its id.
    pub id: String,
    /// The billing account that pays.
    pub account: String,
    /// Whose service it is.
    pub tenant: TenantId,
    /// The product.
    pub product: String,
    /// The service.
    pub service: String,
    /// What the bill calls it.
    pub name: String,
    /// Since when.
    pub started: Timestamp,
    /// Until when.
    pub ended: Option<Timestamp>,
    /// Its machines, those that were replaced too.
    pub machines: Vec<Metered>,
    /// From the first to the present.
    pub terms: Vec<Terms>,
}

/// A machine that a meter reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// Its intent.
    pub intent: String,
    /// Since when it serves, where it took another one's place.
    pub from: Option<Timestamp>,
    /// Until when it served, where another one took its place.
    pub until: Option<Timestamp>,
}

impl Meter {
    /// From when until when what a stretch is of counts here. A machine that comes back after
    /// another one took its place costs nothing, however long it runs.
    pub(crate) fn span(&self, origin: &str) -> (Timestamp, Option<Timestamp>) {
        let machine = self.machines.iter().find(|machine| machine.intent == origin);
        let from = machine.and_then(|machine| machine.from).map_or(self.started, |from| from.max(self.started));
        let until = [machine.and_then(|machine| machine.until), self.ended].into_iter().flatten().min();
        (from, until)
    }

    /// The terms in force at an instant; the first ones before they began.
    pub fn terms_at(&self, at: Timestamp) -> Option<&Terms> {
        self.terms.iter().rev().find(|terms| terms.from <= at).or(self.terms.first())
    }

    /// The terms of that version.
    pub fn terms_of(&self, version: i64) -> Option<&Terms> {
        self.terms.iter().find(|terms| terms.version == version)
    }
}

/// One entry of the usage ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its id; also that of its TMF635 usage, where it has one.
    pub id: String,
    /// The meter.
    pub meter: String,
    /// Under which terms.
    pub version: i64,
    /// On what ground it counts.
    pub basis: Basis,
    /// Of what it is a piece: a machine's intent, a meter, an import, the entry that it corrects.
    pub origin: String,
    /// Which life of the machine, or which correction.
    pub epoch: i64,
    /// Where the piece begins within its origin, in microseconds.
    pub from_us: i64,
    /// Where it ends.
    pub until_us: i64,
    /// When it began.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// The calendar month that it counts in, `2026-07`.
    pub month: String,
    /// 1, or -1 where it takes back another entry.
    pub sign: i64,
    /// How much of each measure there was.
    #[schemars(with = "BTreeMap<String, String>")]
    pub sizes: Sizes,
    /// The entry that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<String>,
    /// Why, for a correction.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was written down.
    #[schemars(with = "String")]
    pub recorded: Timestamp,
}

impl Entry {
    /// Its length in microseconds.
    pub fn micros(&self) -> i64 {
        self.until_us - self.from_us
    }

    /// What a price looks at. `month` is the one that the entry names.
    pub fn used<'a>(&'a self, month: &'a Month) -> Used<'a> {
        Used { basis: self.basis, micros: self.micros(), sign: self.sign, sizes: &self.sizes, month }
    }
}

/// A stretch of a machine's life of which nobody can say yet, or ever, whether it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unknown {
    /// The service.
    pub service: String,
    /// The machine's intent.
    pub machine: String,
    /// The last instant at which it certainly ran.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// To where nothing is known.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// `true`: its end was not seen, and it will not be billed. `false`: it will be billed when it is known.
    pub forgone: bool,
}

/// Sizes under the names known here; what comes under two names counts once.
pub(super) fn measured(sizes: &Sizes) -> Sizes {
    sizes.iter().map(|(name, size)| (measure(name), *size)).collect()
}

/// The instant `us` microseconds after `start`.
pub(super) fn after(start: Timestamp, us: i64) -> base::Result<Timestamp> {
    base::time::from_micros(micros(start).saturating_add(us))
}
