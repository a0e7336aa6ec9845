//! Prices as they were frozen when something was ordered.

use base::money::Currency;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What something costs. Before tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The productOfferingPrice it was frozen from, or its name.
    pub key: String,
    /// What the bill calls it.
    pub name: String,
    /// What it is charged for.
    pub charge: Charge,
    /// The amount for one unit, exact, in whole units of the currency.
    #[schemars(with = "String")]
    pub amount: Decimal,
    /// In what.
    pub currency: Currency,
    /// The rate of tax, in per cent.
    #[schemars(with = "String")]
    pub tax_percent: Decimal,
    /// Units of each calendar month that cost nothing.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    #[schemars(with = "String")]
    pub allowance: Decimal,
    /// Other amounts for what a calendar month's units go beyond; each applies to
    /// the units above its threshold only. In rising order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// From how many units on another amount applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Units of the month after which it applies.
    #[schemars(with = "String")]
    pub above: Decimal,
    /// The amount for one unit.
    #[schemars(with = "String")]
    pub amount: Decimal,
}

/// What a price is charged for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Charge {
    /// Once, at activation.
    OneTime,
    /// For each period that the product is active, in arrears, by the second.
    Recurring {
        /// The period.
        cycle: Cycle,
        /// How many of them one amount covers.
        length: u32,
    },
    /// For what was used.
    Usage {
        /// What is measured: `running`, `vcpu`, `memory`, `disk`, or the name of another characteristic.
        measure: String,
        /// For how long it must be used to make one unit; `None` for what is counted.
        time: Option<TimeUnit>,
        /// How much of it makes one unit.
        #[schemars(with = "String")]
        per: Decimal,
    },
}

/// The period of a recurring price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cycle {
    /// 3,600 seconds.
    Hour,
    /// 24 hours.
    Day,
    /// 7 days of 24 hours.
    Week,
    /// The calendar month that the use lies in, 28 to 31 days.
    Month,
    /// The calendar year that the use lies in.
    Year,
}

/// A unit of time that usage is priced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimeUnit {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 24 hours.
    Day,
}

impl TimeUnit {
    /// Its length in microseconds.
    pub fn micros(self) -> i64 {
        1_000_000
            * match self {
                TimeUnit::Second => 1,
                TimeUnit::Minute => 60,
                TimeUnit::Hour => 3_600,
                TimeUnit::Day => 86_400,
            }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            TimeUnit::Second => "second",
            TimeUnit::Minute => "minute",
            TimeUnit::Hour => "hour",
            TimeUnit::Day => "day",
        }
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "s" | "sec" | "second" | "seconds" => Some(TimeUnit::Second),
            "min" | "minute" | "minutes" => Some(TimeUnit::Minute),
            "h" | "hour" | "hours" => Some(TimeUnit::Hour),
            "d" | "day" | "days" => Some(TimeUnit::Day),
            _ => None,
        }
    }
}

impl Cycle {
    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "hour" | "hourly" => Some(Cycle::Hour),
            "day" | "daily" => Some(Cycle::Day),
            "week" | "weekly" => Some(Cycle::Week),
            "month" | "monthly" => Some(Cycle::Month),
            "year" | "yearly" | "annual" => Some(Cycle::Year),
            _ => None,
        }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Cycle::Hour => "hour",
            Cycle::Day => "day",
            Cycle::Week => "week",
            Cycle::Month => "month",
            Cycle::Year => "year",
        }
    }
}

impl Price {
    /// What tells this price from another on one product: all that decides an
    /// amount. Usage that was rated at it in a month is remembered under it.
    pub fn identity(&self) -> String {
        let mut bare = self.clone();
        bare.name.clear();
        serde_json::to_string(&bare).unwrap_or_default()
    }

    /// The unit in words, as a bill shows it: `vCPU-hour`, `month`, `once`.
    pub fn unit(&self) -> String {
        match &self.charge {
            Charge::OneTime => "once".to_owned(),
            Charge::Recurring { cycle, length: 1 } => cycle.word().to_owned(),
            Charge::Recurring { cycle, length } => format!("{length} {}s", cycle.word()),
            Charge::Usage { measure, time, per } => {
                let what = match measure.as_str() {
                    "running" => "",
                    "vcpu" => "vCPU",
                    "memory" => "GiB memory",
                    "disk" => "GiB disk",
                    other => other,
                };
                let one = match time {
                    Some(time) if what.is_empty() => time.word().to_owned(),
                    Some(time) => format!("{what}-{}", time.word()),
                    None => what.to_owned(),
                };
                if *per == Decimal::ONE { one } else { format!("{} {one}", per.normalize()) }
            }
        }
    }

    /// The kind of charge in TM Forum's words (TMF678 `type`).
    pub fn kind(&self) -> &'static str {
        match self.charge {
            Charge::OneTime => "oneTimeCharge",
            Charge::Recurring { .. } => "recurringCharge",
            Charge::Usage { .. } => "usageCharge",
        }
    }
}

/// The one name of a measure, whatever a catalog or a specification calls it.
///
/// Letters and digits count, case does not: `diskGiB`, `disk_gib` and
/// `GiB disk` are all `disk`. What is not known keeps its own name.
pub fn measure(name: &str) -> String {
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let known = match bare.as_str() {
        "" | "running" | "runningtime" | "machine" | "instance" => "running",
        "vcpu" | "vcpus" | "cpu" | "cpus" | "core" | "cores" => "vcpu",
        "gib" | "memory" | "memorygib" | "gibmemory" | "ram" | "ramgib" | "gibram" | "memgib" => "memory",
        "disk" | "diskgib" | "gibdisk" | "storage" | "storagegib" | "gibstorage" | "disksize" | "datadisk"
        | "datadiskgib" => "disk",
        _ => return bare,
    };
    known.to_owned()
}
