//! Whole bills on both engines: scenarios by the calendar, races, crashes, and
//! a second program that computes each bill again.

mod calendar;
mod proofs;

use base::id::{AccountId, TenantId};
use base::time::{Timestamp, micros};
use base::{Error, Kind as ErrorKind, Result};
use db::Class;
use db::records::{Query, Scope};
use gate::{Actor, Catalogue, Cx, Effect, Gate, Tx};
use serde_json::{Map, Value as Json, json};

use super::*;

use crate::usage::{LifeEnd, LifeSeen, MeterStart, USAGE};
use crate::{accounts, rating, usage};

const OPERATOR: TenantId = TenantId(1);
const CUSTOMER: TenantId = TenantId(2);

/// A house with an operator and two customers, its clock in July 2026.
struct House {
    gate: Gate,
    _keep: db::testing::Scratch,
    engine: &'static str,
}

fn houses() -> Vec<House> {
    let mut all = Vec::new();
    for (engine, db, keep) in db::testing::databases() {
        let gate = gate::testing::gate(db, Catalogue::default().actions(crate::ACTIONS).kinds(crate::KINDS));
        gate.db()
            .write(|conn| {
                for (id, parent, kind, name) in [
                    (OPERATOR, None, "operator", "雲維"),
                    (CUSTOMER, Some(OPERATOR), "customer", "明水設計"),
                    (TenantId(3), Some(OPERATOR), "customer", "Third"),
                    (TenantId(4), Some(CUSTOMER), "department", "Design"),
                ] {
                    let path = format!("{id}/");
                    conn.execute(
                        "INSERT INTO tenants (id, parent, path, kind, name) VALUES ($1, $2, $3, $4, $5)",
                        db::args![id, parent, path, kind, name],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        let house = House { gate, _keep: keep, engine };
        house.jump("2026-07-19T02:00:00Z");
        all.push(house);
    }
    all
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn clerk() -> Cx {
    let scope = Scope::Tenants { own: vec![OPERATOR], above: vec![] };
    Cx::new(Actor::Account(AccountId(1)), OPERATOR, scope, ["billing-clerk".to_owned()].into())
}

fn owner(tenant: TenantId) -> Cx {
    gate::testing::somebody(tenant)
}

fn body(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn taiwan(value: f64) -> Json {
    json!({ "dutyFreeAmount": { "unit": "TWD", "value": value }, "taxRate": 5 })
}

/// Setup 100; 310 a month; 0.5 a vCPU-hour; 0.25 a GiB-hour of memory; 0.01 a GiB-hour of disk.
fn tariff() -> Vec<rating::Price> {
    let pop = |id: &str| json!({ "id": id });
    rating::prices(&[
        json!({ "name": "Setup", "priceType": "oneTime", "price": taiwan(100.0), "productOfferingPrice": pop("pop_1") }),
        json!({ "name": "Rent", "priceType": "recurring", "recurringChargePeriod": "month", "price": taiwan(310.0), "productOfferingPrice": pop("pop_2") }),
        json!({ "name": "Processor", "priceType": "usage", "unitOfMeasure": "vCPU-hour", "price": taiwan(0.5), "productOfferingPrice": pop("pop_3") }),
        json!({ "name": "Memory", "priceType": "usage", "unitOfMeasure": "GiB-hour", "price": taiwan(0.25), "productOfferingPrice": pop("pop_4") }),
        json!({ "name": "Disk", "priceType": "usage", "unitOfMeasure": "GiB disk-hour", "price": taiwan(0.01), "productOfferingPrice": pop("pop_5") }),
    ])
    .unwrap()
}

/// A price by use of the processor alone, 3,600 an hour: a dollar for each second of each.
fn by_second() -> Vec<rating::Price> {
    rating::prices(&[
        json!({ "name": "Processor", "priceType": "usage", "unitOfMeasure": "vCPU-second", "price": taiwan(1.0) }),
    ])
    .unwrap()
}

fn start(service: &str, tenant: TenantId, from: &str, prices: Vec<rating::Price>) -> MeterStart {
    MeterStart {
        service: service.to_owned(),
        product: format!("prd_{service}"),
        name: format!("{service} machine"),
        tenant,
        account: None,
        machines: vec![format!("int_{service}")],
        at: at(from),
        sizes: [("vcpu", 2), ("memory", 4), ("diskGiB", 40)].map(|(name, size)| (name.to_owned(), size.into())).into(),
        prices,
    }
}

fn seen(service: &str, life: i64, from: &str, ran_seconds: i64) -> LifeSeen {
    let last = micros(at(from)) + ran_seconds * 1_000_000;
    LifeSeen {
        machine: format!("int_{service}"),
        life,
        started: at(from),
        started_certain: true,
        last_seen: base::time::from_micros(last).unwrap(),
        ran_us: ran_seconds * 1_000_000,
        end: None,
        vcpus: 2,
        memory_mib: 4096,
    }
}

fn ended(life: LifeSeen) -> LifeSeen {
    LifeSeen { end: Some(LifeEnd { at: life.last_seen, certain: true }), ..life }
}

const HOURS: i64 = 3_600;
const DAYS: i64 = 24 * HOURS;

impl House {
    fn jump(&self, to: &str) {
        let by = micros(at(to)) - micros(self.gate.now());
        self.gate.clock().advance(std::time::Duration::from_micros(u64::try_from(by).unwrap()));
    }

    fn act<T: Send + 'static>(&self, work: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        self.gate.perform(&Cx::system("test", OPERATOR), "bill.run", Effect::Change, [0; 32], work)
    }

    fn start(&self, new: MeterStart) {
        self.act(move |tx| usage::start(tx, &new)).unwrap();
    }

    fn see(&self, life: LifeSeen) {
        self.act(move |tx| usage::life_seen(tx, &life)).unwrap();
    }

    fn account(&self, tenant: TenantId) -> String {
        self.act(move |tx| accounts::open(tx, tenant, None)).unwrap().id
    }

    fn run(&self, account: &str, until: &str) -> Result<Option<BillRow>> {
        let input = RunInput { account: Some(account.to_owned()), period_end: Some(at(until)), after: None };
        Ok(self.gate.run(&clerk(), &RUN, input)?.bills.into_iter().next())
    }

    fn bill(&self, account: &str, until: &str) -> BillView {
        let row = self.run(account, until).unwrap().expect("there is something to bill");
        self.gate.run(&clerk(), &GET, BillRef { bill: row.id }).unwrap()
    }

    fn count(&self, table: &'static str) -> i64 {
        self.gate
            .db()
            .read(move |c| c.query_one(&format!("SELECT COUNT(*) FROM {table}"), &[], |row| row.get(0)))
            .unwrap()
    }

    fn export(&self, bill: &str) -> Json {
        serde_json::to_value(self.gate.run(&clerk(), &EXPORT, BillRef { bill: bill.to_owned() }).unwrap()).unwrap()
    }
}

/// `label quantity unit amount` of each line.
fn shown(bill: &BillView) -> Vec<String> {
    bill.lines
        .iter()
        .map(|l| format!("{} {} {} {} {}", l.month, l.label, l.quantity, l.unit, l.amount.0.minor))
        .collect()
}

fn sums(bill: &BillView) -> (i64, i64, i64) {
    (bill.bill.net.0.minor, bill.bill.tax.0.minor, bill.bill.total.0.minor)
}

/// A product record, so that references to it lead somewhere.
fn product(house: &House, id: &'static str) {
    store_record(house, id, "product", Map::new());
}

fn store_record(house: &House, id: &'static str, kind: &'static str, body: Map<String, Json>) {
    let now = at("2026-07-01T00:00:00Z");
    let (id, kind) = (id.to_owned(), kind.to_owned());
    let record = db::Record {
        id,
        kind,
        tenant: CUSTOMER,
        revision: 1,
        state: None,
        class: Class::Internal,
        body,
        created: now,
        updated: now,
    };
    house.gate.db().write(move |conn| db::records::insert(conn, &record, &[])).unwrap();
}

/// Numbers that look random and are the same each time.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % sides
    }
}
