//! From what is known of a stretch to the pieces of it that are not yet in the ledger.

use base::Result;
use base::time::{Timestamp, micros};
use rust_decimal::Decimal;

use super::life::LifeSeen;
use super::types::{Basis, Meter, Sizes, after};
use crate::rating::Calendar;

/// Something that grows and is metered: a life, or the holding of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// On what ground it counts.
    pub basis: Basis,
    /// A machine's intent, or the meter.
    pub origin: String,
    /// Which life.
    pub epoch: i64,
    /// When it began.
    pub started: Timestamp,
    /// How long it certainly is, in microseconds.
    pub known_us: i64,
    /// The machine's own sizes, where there is one.
    pub machine: Option<Sizes>,
}

/// A piece of a stretch: an entry of the ledger to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// On what ground it counts.
    pub basis: Basis,
    /// Of what it is a piece.
    pub origin: String,
    /// Which life.
    pub epoch: i64,
    /// Where it begins within the stretch, in microseconds.
    pub from_us: i64,
    /// Where it ends.
    pub until_us: i64,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
    /// The calendar month that it lies in.
    pub month: String,
    /// The version of the terms in force.
    pub version: i64,
    /// How much of each measure there was.
    pub sizes: Sizes,
}

impl Stretch {
    /// The stretch that a machine's life is.
    pub fn of_life(life: &LifeSeen) -> Self {
        let sizes = Sizes::from([
            ("running".to_owned(), Decimal::ONE),
            ("vcpu".to_owned(), Decimal::from(life.vcpus)),
            // A power of two below the binary point has a finite decimal: exact.
            ("memory".to_owned(), Decimal::from(life.memory_mib) / Decimal::from(1024)),
        ]);
        Stretch {
            basis: Basis::Run,
            origin: life.machine.clone(),
            epoch: life.life,
            started: life.started,
            known_us: life.ran_us,
            machine: Some(sizes),
        }
    }

    /// The stretch that the holding of a service is, known up to `now`.
    pub fn of_holding(meter: &Meter, now: Timestamp) -> Self {
        let until = meter.ended.map_or(now, |ended| ended.min(now));
        Stretch {
            basis: Basis::Held,
            origin: meter.id.clone(),
            epoch: 0,
            started: meter.started,
            known_us: (micros(until) - micros(meter.started)).max(0),
            machine: None,
        }
    }

    fn sizes(&self, meter: &Meter, ordered: &Sizes) -> Sizes {
        match &self.machine {
            Some(own) => own.clone(),
            // With machines, processors and memory count while they run; without, everything counts while it is held.
            None if meter.machines.is_empty() => {
                let mut all = ordered.clone();
                all.entry("running".to_owned()).or_insert(Decimal::ONE);
                all
            }
            None => {
                let held = |name: &&String| !matches!(name.as_str(), "running" | "vcpu" | "memory");
                ordered.keys().filter(held).filter_map(|name| Some((name.clone(), *ordered.get(name)?))).collect()
            }
        }
    }
}

/// The pieces of `stretch` from `done_us` on, as far as they are known and lie
/// before `until`: cut at the starts of months and of terms, not before the
/// meter began nor after it ended, and of a machine only while it served.
///
/// # Errors
/// `Bug` at the ends of the calendar.
pub fn pieces(
    meter: &Meter,
    stretch: &Stretch,
    done_us: i64,
    until: Timestamp,
    calendar: &Calendar,
) -> Result<Vec<Piece>> {
    let offset = |at: Timestamp| micros(at) - micros(stretch.started);
    let (begun, ended) = meter.span(&stretch.origin);
    let last = ended.map_or(until, |ended| ended.min(until));
    let first_us = done_us.max(offset(begun)).max(0);
    let last_us = stretch.known_us.min(offset(last));
    if first_us >= last_us {
        return Ok(Vec::new());
    }
    let (first, end) = (after(stretch.started, first_us)?, after(stretch.started, last_us)?);
    let mut cuts = calendar.month_starts(first, end)?;
    cuts.extend(meter.terms.iter().map(|terms| terms.from).filter(|at| first < *at && *at < end));
    cuts.push(end);
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces = Vec::with_capacity(cuts.len());
    let mut from = first;
    for cut in cuts {
        if let Some(terms) = meter.terms_at(from) {
            pieces.push(Piece {
                basis: stretch.basis,
                origin: stretch.origin.clone(),
                epoch: stretch.epoch,
                from_us: offset(from),
                until_us: offset(cut),
                from,
                until: cut,
                month: calendar.month(from)?.label,
                version: terms.version,
                sizes: stretch.sizes(meter, &terms.sizes),
            });
        }
        from = cut;
    }
    Ok(pieces)
}
