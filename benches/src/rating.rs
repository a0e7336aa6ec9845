//! Rating: pieces of usage turned into quantities and amounts, beside the plain
//! decimal arithmetic that they need; and a whole bill, beside the durable rows
//! that it writes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::figures::report;
use base::id::TenantId;
use base::time::{Timestamp, from_micros, micros};
use billing::bills::{RUN, RunInput};
use billing::rating::{self, Calendar, Price, Used};
use billing::usage::{self, Basis, LifeEnd, LifeSeen, MeterStart};
use gate::{Catalogue, Cx, Effect};
use rust_decimal::Decimal;
use serde_json::json;

const SLICES: u32 = 400_000;
const LIVES: i64 = 2_000;

fn tariff() -> Vec<Price> {
    let price = |name: &str, unit: &str, value: f64| json!({ "id": name, "name": name, "priceType": "usage", "unitOfMeasure": unit, "price": { "unit": "TWD", "value": value } });
    rating::prices(&[price("Processor", "vCPU-hour", 0.35), price("Memory", "GiB-hour", 0.12)]).unwrap()
}

pub fn run() {
    let slices = pure();
    let plain = arithmetic();
    report("slices rated at two prices, one core", slices, "/s", "of the bare decimal arithmetic", plain);
    let (bill, rows) = whole_bill();
    report("usage entries settled, rated and billed", bill, "/s", "of plain durable rows", rows);
}

fn pure() -> f64 {
    let calendar = Calendar::of("Asia/Taipei").unwrap();
    let month = calendar.month("2026-07-10T00:00:00Z".parse().unwrap()).unwrap();
    let prices = tariff();
    let sizes: BTreeMap<String, Decimal> =
        [("running", 1), ("vcpu", 2), ("memory", 4)].map(|(name, size)| (name.to_owned(), size.into())).into();
    let began = Instant::now();
    let mut sums = vec![None; prices.len()];
    for n in 0..SLICES {
        let used = Used { basis: Basis::Run, micros: i64::from(n) * 1_000 + 7, sign: 1, sizes: &sizes, month: &month };
        for (price, sum) in prices.iter().zip(&mut sums) {
            let quantity = rating::quantity(price, &used, &calendar).unwrap().unwrap();
            *sum = Some(match sum.take() {
                None => quantity,
                Some(before) => quantity.plus(before).unwrap(),
            });
        }
    }
    for (price, sum) in prices.iter().zip(sums) {
        black_box(rating::charge(price, Decimal::ZERO, sum.unwrap()).unwrap());
    }
    f64::from(SLICES) / began.elapsed().as_secs_f64()
}

fn arithmetic() -> f64 {
    let began = Instant::now();
    let sizes = [Decimal::from(2), Decimal::from(4)];
    let mut sums = [Decimal::ZERO; 2];
    for n in 0..SLICES {
        for (size, sum) in sizes.iter().zip(&mut sums) {
            *sum += *size * Decimal::from(i64::from(n) * 1_000 + 7);
        }
    }
    black_box(sums);
    f64::from(SLICES) / began.elapsed().as_secs_f64()
}

/// Entries of one bill a second, and rows a second that the same store takes in one transaction.
fn whole_bill() -> (f64, f64) {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate::testing::gate(db, Catalogue::default().actions(billing::ACTIONS).kinds(billing::KINDS));
    let operator = TenantId(1);
    let customer = TenantId(2);
    gate.db()
        .write(move |conn| {
            for (id, parent, kind) in [(operator, None, "operator"), (customer, Some(operator), "customer")] {
                let path = format!("{id}/");
                conn.execute(
                    "INSERT INTO tenants (id, parent, path, kind) VALUES ($1, $2, $3, $4)",
                    db::args![id, parent, path, kind],
                )?;
            }
            conn.execute("CREATE TABLE bench (a BIGINT, b TEXT)", &[]).map(drop)
        })
        .unwrap();
    let cx = Cx::system("bench", operator);
    let start = gate.now();
    let at = move |seconds: i64| -> Timestamp { from_micros(micros(start) + seconds * 1_000_000).unwrap() };
    gate.perform(&cx, "bill.run", Effect::Change, [0; 32], move |tx| {
        let machines = vec!["machine".to_owned()];
        let sizes = BTreeMap::new();
        let (service, product, name) = ("svc".to_owned(), "prd".to_owned(), "bench".to_owned());
        usage::start(
            tx,
            &MeterStart {
                service,
                product,
                name,
                tenant: customer,
                account: None,
                machines,
                at: at(0),
                sizes,
                prices: tariff(),
            },
        )?;
        for life in 1..=LIVES {
            let (from, until) = (at(life * 60), at(life * 60 + 50));
            usage::life_seen(
                tx,
                &LifeSeen {
                    machine: "machine".to_owned(),
                    life,
                    started: from,
                    started_certain: true,
                    last_seen: until,
                    ran_us: 50_000_000,
                    end: Some(LifeEnd { at: until, certain: true }),
                    vcpus: 2,
                    memory_mib: 4096,
                },
            )?;
        }
        Ok(())
    })
    .unwrap();
    gate.clock().advance(Duration::from_secs(86_400 * 20));
    let began = Instant::now();
    let made = gate.run(&cx, &RUN, RunInput::default()).unwrap();
    let billed = LIVES as f64 / began.elapsed().as_secs_f64();
    assert_eq!(made.bills.len(), 1);
    let began = Instant::now();
    gate.db()
        .write(|conn| {
            (0..LIVES).try_for_each(|n| {
                conn.execute("INSERT INTO bench VALUES ($1, $2)", db::args![n, "a row of a plain kind"]).map(drop)
            })
        })
        .unwrap();
    (billed, LIVES as f64 / began.elapsed().as_secs_f64())
}
