//! Whole bills on both engines: scenarios by the calendar, races, crashes, and
//! a second program that computes each bill again.

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

#[test]
fn a_machine_from_19_july_to_1_august_makes_this_bill_to_the_dollar() {
    for house in houses() {
        // 19 July, 10:00 in Taipei, to 1 August, 00:00: 12 days and 14 hours, 302 hours.
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-02T00:00:00Z");
        // Ran for 100 hours, stopped for a day, ran again until long after the month's end; some of it told twice and in disorder.
        house.see(seen("web", 2, "2026-07-24T06:00:00Z", 13 * DAYS));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 40 * HOURS));
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 100 * HOURS)));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 70 * HOURS));
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 100 * HOURS)));
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        // Second life: 24 July 14:00 to 1 August 00:00 in Taipei is 178 hours; in all 278 hours of running.
        // Rent: 310 × 302 h / 744 h = 125.83; disk: 40 × 302 × 0.01 = 120.8.
        assert_eq!(
            shown(&bill),
            [
                "2026-07 Setup 1 once 100",
                "2026-07 Rent 0.405914 month 126",
                "2026-07 Processor 556 vCPU-hour 278",
                "2026-07 Memory 1112 GiB memory-hour 278",
                "2026-07 Disk 12080 GiB disk-hour 121",
            ],
            "{}",
            house.engine
        );
        // 903 × 5 % = 45.15.
        assert_eq!(sums(&bill), (903, 45, 948));
        assert_eq!((bill.bill.number.as_str(), bill.bill.state.as_str()), ("00000001", "new"));
        assert!(bill.unknown.is_empty());
        assert_eq!(
            house.run(&account, "2026-07-31T16:00:00Z").unwrap().unwrap().id,
            bill.bill.id,
            "again makes no second bill"
        );
        // August so far: a day and eight hours of each; nothing of July comes back.
        let next = house.bill(&account, "2026-08-02T00:00:00Z");
        assert_eq!(
            shown(&next),
            [
                "2026-08 Rent 0.043011 month 13",
                "2026-08 Processor 64 vCPU-hour 32",
                "2026-08 Memory 128 GiB memory-hour 32",
                "2026-08 Disk 1280 GiB disk-hour 13",
            ]
        );
    }
}

#[test]
fn a_machine_that_starts_at_ten_and_runs_thirty_seconds_is_worth_a_bill() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        // It booted 1.5 seconds before it was handed over; that is not charged.
        house.see(seen("web", 1, "2026-07-19T01:59:58.500Z", 32));
        house.jump("2026-07-19T02:00:45Z");
        let account = house.account(CUSTOMER);
        let bill = house.bill(&account, "2026-07-19T02:00:45Z");
        assert_eq!((shown(&bill), sums(&bill)), (vec!["2026-07 Processor 61 vCPU-second 61".to_owned()], (61, 3, 64)));
        let behind = house
            .gate
            .run(&clerk(), &LINE_USAGE, LineUsageInput { line: bill.lines[0].id.clone(), after: None, limit: None })
            .unwrap();
        assert_eq!(behind.usage.len(), 1);
        assert_eq!((behind.usage[0].quantity, behind.usage[0].entry.origin.as_str()), (61.into(), "int_web"));
        assert_eq!(
            (behind.usage[0].entry.from, behind.usage[0].entry.until),
            (at("2026-07-19T02:00:00Z"), at("2026-07-19T02:00:30.500Z"))
        );
    }
}

#[test]
fn what_is_unknown_is_shown_and_billed_when_it_is_known() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let account = house.account(CUSTOMER);
        // The agent went silent two hours before the month ended.
        let known = micros(at("2026-07-31T14:00:00Z")) - micros(at("2026-07-19T02:00:00Z"));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", known / 1_000_000));
        house.jump("2026-07-31T17:00:00Z");
        let july = house.bill(&account, "2026-07-31T16:00:00Z");
        assert_eq!(july.lines[0].amount.0.minor, 2 * known / 1_000_000);
        assert_eq!(july.unknown.len(), 1);
        assert_eq!(
            (july.unknown[0].since, july.unknown[0].until, july.unknown[0].forgone),
            (at("2026-07-31T14:00:00Z"), at("2026-07-31T16:00:00Z"), false)
        );
        // It comes back with the same life: the two hours are July's, on August's bill.
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", known / 1_000_000 + 3 * HOURS)));
        house.jump("2026-08-31T17:00:00Z");
        let august = house.bill(&account, "2026-08-31T16:00:00Z");
        assert_eq!(
            shown(&august),
            ["2026-07 Processor 14400 vCPU-second 14400", "2026-08 Processor 7200 vCPU-second 7200"]
        );
        assert!(august.unknown.is_empty());
    }
}

#[test]
fn an_end_that_nobody_saw_is_not_charged_beyond_what_is_certain() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let life = seen("web", 1, "2026-07-19T02:00:00Z", 600);
        house.see(LifeSeen { end: Some(LifeEnd { at: at("2026-07-19T05:00:00Z"), certain: false }), ..life });
        house.jump("2026-07-20T00:00:00Z");
        let account = house.account(CUSTOMER);
        let bill = house.bill(&account, "2026-07-20T00:00:00Z");
        assert_eq!(bill.lines[0].amount.0.minor, 1_200);
        assert!(bill.unknown[0].forgone);
    }
}

#[test]
fn what_never_ran_or_never_became_active_is_not_billed() {
    for house in houses() {
        let account = house.account(CUSTOMER);
        house.see(ended(seen("ghost", 1, "2026-07-19T02:00:00Z", 500)));
        house.start(start("idle", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        house.jump("2026-07-20T00:00:00Z");
        assert_eq!(house.run(&account, "2026-07-20T00:00:00Z").unwrap(), None);
        assert_eq!((house.count("bills"), house.count("usage_entries"), house.count("bill_numbers")), (0, 0, 0));
    }
}

#[test]
fn a_change_of_size_splits_the_charges_and_a_departure_ends_them() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 10 * HOURS)));
        house.jump("2026-07-19T12:00:00Z");
        let bigger =
            [("vcpu", 4), ("memory", 4), ("diskGiB", 100)].map(|(name, size)| (name.to_owned(), size.into())).into();
        house.act(move |tx| usage::change(tx, "web", tx.now, &bigger, &tariff())).unwrap();
        let mut second = seen("web", 2, "2026-07-19T12:00:00Z", 5 * HOURS);
        second.vcpus = 4;
        house.see(ended(second));
        house.jump("2026-07-19T17:00:00Z");
        house.act(|tx| usage::end(tx, "web", tx.now)).unwrap();
        house.jump("2026-07-31T17:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        // Processors: 2 × 10 h + 4 × 5 h; disk: 40 × 10 h + 100 × 5 h; rent: 15 h of 744.
        assert_eq!(
            shown(&bill),
            [
                "2026-07 Setup 1 once 100",
                "2026-07 Rent 0.020161 month 6",
                "2026-07 Processor 40 vCPU-hour 20",
                "2026-07 Memory 60 GiB memory-hour 15",
                "2026-07 Disk 900 GiB disk-hour 9",
            ]
        );
        house.jump("2026-08-31T17:00:00Z");
        assert_eq!(house.run(&account, "2026-08-31T16:00:00Z").unwrap(), None, "nothing after the end");
    }
}

#[test]
fn allowances_and_tiers_count_the_month_over_several_bills() {
    for house in houses() {
        let mut prices = by_second();
        prices[0].allowance = 100.into();
        prices[0].tiers = vec![rating::Tier { above: 200.into(), amount: "0.5".parse().unwrap() }];
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", prices));
        let account = house.account(CUSTOMER);
        let mut amounts = Vec::new();
        for (n, until) in (1..).zip(["2026-07-20T00:00:00Z", "2026-07-21T00:00:00Z", "2026-07-22T00:00:00Z"]) {
            let from = format!("2026-07-19T1{n}:00:00Z");
            house.see(ended(seen("web", n, &from, 100)));
            house.jump(until);
            amounts.push(house.bill(&account, until).lines[0].amount.0.minor);
        }
        // 200 units each: 100 free and 100 at 1; then 100 more at 1 and 100 at a half; then 200 at a half.
        assert_eq!(amounts, [100, 150, 100]);
    }
}

#[test]
fn concurrent_runs_make_one_bill_and_numbers_have_no_gap() {
    for house in houses() {
        let accounts: Vec<String> = [CUSTOMER, TenantId(3)].iter().map(|tenant| house.account(*tenant)).collect();
        for (service, tenant) in [("web", CUSTOMER), ("db", TenantId(4)), ("shop", TenantId(3))] {
            house.start(start(service, tenant, "2026-07-19T02:00:00Z", tariff()));
            house.see(ended(seen(service, 1, "2026-07-19T02:00:00Z", 3 * HOURS)));
        }
        house.jump("2026-08-01T00:00:00Z");
        let ids: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let (gate, account) = (house.gate.clone(), accounts[n % 2].clone());
                    scope.spawn(move || {
                        let account = (n < 6).then_some(account);
                        let input = RunInput { account, period_end: Some(at("2026-07-31T16:00:00Z")), after: None };
                        gate.run(&clerk(), &RUN, input).unwrap().bills.into_iter().map(|bill| bill.id).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let different: std::collections::BTreeSet<&String> = ids.iter().flatten().collect();
        assert_eq!((different.len(), house.count("bills")), (2, 2), "{}", house.engine);
        let numbers: Vec<i64> = house
            .gate
            .db()
            .read(|c| c.query("SELECT number FROM bills ORDER BY number", &[], |row| row.get(0)))
            .unwrap();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(house.count("billed_entries"), house.count("usage_entries"));
        // The department's machine is on the bill of the organisation that it belongs to.
        let bill = house.bill(&accounts[0], "2026-07-31T16:00:00Z");
        assert_eq!(bill.lines.iter().filter(|line| line.name == "db machine").count(), 5);
    }
}

#[test]
fn a_bill_that_is_not_issued_leaves_nothing_and_no_gap() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 3 * HOURS));
        house.jump("2026-08-01T00:00:00Z");
        let before = house.count("facts");
        let failing = account.clone();
        let failed = house.act(move |tx| {
            run_account(tx, &failing, at("2026-07-31T16:00:00Z"))?;
            Err::<(), _>(Error::unavailable("test.crash", "the process ends here"))
        });
        assert_eq!(failed.unwrap_err().code(), "test.crash");
        for table in ["bills", "bill_lines", "charges", "billed_entries", "bill_numbers", "ledger_transfers"] {
            assert_eq!(house.count(table), 0, "{table}");
        }
        assert_eq!((house.count("facts"), house.count("usage_entries")), (before, 1), "the activation alone");
        assert_eq!(house.bill(&account, "2026-07-31T16:00:00Z").bill.number, "00000001");
    }
}

#[test]
fn bills_are_posted_to_the_ledger_and_settled_there() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let (net, tax, total) = sums(&bill);
        let owed = format!("money:receivable:{account}");
        let balance =
            |id: String| house.gate.db().read(move |c| Ok(ledger::account(c, &id)?.unwrap().balance())).unwrap();
        assert_eq!(balance(owed.clone()), -total);
        assert_eq!(balance(format!("money:revenue:{OPERATOR}:TWD")), net);
        assert_eq!(balance(format!("money:tax:{OPERATOR}:TWD")), tax);
        let record = accounts::BILLING_ACCOUNT.get(&house.gate, &owner(CUSTOMER), &account).unwrap();
        assert_eq!(record.at("accountBalance.amount.value"), Some(&json!(total)));
        for state in ["validated", "sent", "settled"] {
            let input = MoveInput { bill: bill.bill.id.clone(), state: state.to_owned() };
            assert_eq!(house.gate.run(&clerk(), &MOVE, input.clone()).unwrap().state, state);
            assert_eq!(house.gate.run(&owner(CUSTOMER), &MOVE, input).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        assert_eq!(balance(owed), 0);
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bill.bill.id).unwrap();
        assert_eq!(record.at("remainingAmount.value"), Some(&json!(0)));
    }
}

#[test]
fn an_issued_bill_changes_in_nothing_but_its_state() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    house.jump("2026-08-01T00:00:00Z");
    let bill = house.bill(&account, "2026-07-31T16:00:00Z").bill.id;
    let change =
        |patch: Json| CUSTOMER_BILL.update(&house.gate, &Cx::system("clerk", OPERATOR), &bill, None, body(patch));
    for patch in [
        json!({ "taxIncludedAmount": { "unit": "TWD", "value": 1 } }),
        json!({ "billNo": "7" }),
        json!({ "billingPeriod": null }),
        json!({ "remainingAmount": { "unit": "TWD", "value": 0 } }),
    ] {
        assert_eq!(change(patch.clone()).unwrap_err().kind(), ErrorKind::Invalid, "{patch}");
    }
    assert_eq!(change(json!({ "state": "settled" })).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(change(json!({ "state": "onHold" })).unwrap().state.as_deref(), Some("onHold"));
}

#[test]
fn what_was_wrong_is_put_right_on_the_next_bill() {
    for house in houses() {
        product(&house, "prd_web");
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let account = house.account(CUSTOMER);
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 1_000)));
        house.see(ended(seen("web", 2, "2026-07-19T05:00:00Z", 500)));
        house.jump("2026-08-01T00:00:00Z");
        let first = house.bill(&account, "2026-07-31T16:00:00Z");
        assert_eq!(sums(&first), (3_000, 150, 3_150));
        let platform = Cx::system("clerk", OPERATOR);
        let usages = USAGE.list(&house.gate, &owner(CUSTOMER), true, page).unwrap().records;
        let of = |life: i64| {
            let is = |record: &db::Record| {
                record.body["usageCharacteristic"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|c| c["name"] == "life" && c["value"] == life)
            };
            usages.iter().map(|(record, _)| record.clone()).find(is).unwrap()
        };
        assert_eq!(of(1).state.as_deref(), Some("billed"));
        // The first life lasted 900 seconds, not 1,000; the second never was.
        let mut patch = json!({ "usageCharacteristic": of(1).body["usageCharacteristic"] });
        for entry in patch["usageCharacteristic"].as_array_mut().unwrap() {
            if entry["name"] == "duration" {
                entry["value"] = json!(900);
            }
        }
        let corrected = USAGE.update(&house.gate, &platform, &of(1).id, None, body(patch)).unwrap();
        assert_eq!(corrected.state.as_deref(), Some("rerated"));
        USAGE.delete(&house.gate, &platform, &of(2).id, None).unwrap();
        let credit = AdjustInput {
            account: account.clone(),
            amount: json!(-50),
            tax_percent: None,
            reason: "Service credit".into(),
            bill: Some(first.bill.id.clone()),
        };
        house.gate.run(&clerk(), &ADJUST, credit).unwrap();
        let again = house.gate.run(&clerk(), &GET, BillRef { bill: first.bill.id.clone() }).unwrap();
        assert_eq!(again, first, "the issued bill stays");
        house.jump("2026-08-31T17:00:00Z");
        let next = house.bill(&account, "2026-08-31T16:00:00Z");
        assert_eq!(shown(&next), ["2026-07 Processor -1200 vCPU-second -1200", "2026-08 Service credit 1 once -50"]);
        assert_eq!(sums(&next), (-1_250, -63, -1_313));
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &next.bill.id).unwrap();
        assert_eq!(
            (record.body["category"].as_str(), record.at("amountDue.value")),
            (Some("credit note"), Some(&json!(0)))
        );
        assert_eq!(house.run(&account, "2026-08-31T17:00:00Z").unwrap(), None);
    }
}

fn page(scope: &Scope) -> Query<'_> {
    Query {
        kind: "usage",
        scope,
        conditions: vec![],
        sort: None,
        descending: false,
        after: None,
        offset: 0,
        limit: 100,
    }
}

/// A product record, so that references to it lead somewhere.
fn product(house: &House, id: &'static str) {
    house
        .gate
        .db()
        .write(move |conn| {
            let now = at("2026-07-01T00:00:00Z");
            let record = db::Record {
                id: id.to_owned(),
                kind: "product".to_owned(),
                tenant: CUSTOMER,
                revision: 1,
                state: None,
                class: Class::Internal,
                body: Map::new(),
                created: now,
                updated: now,
            };
            db::records::insert(conn, &record, &[])
        })
        .unwrap();
}

#[test]
fn usage_that_somebody_else_counted_is_taken_in_once() {
    for house in houses() {
        let prices = rating::prices(&[json!({ "name": "Calls", "priceType": "usage", "unitOfMeasure": { "amount": 1000, "units": "request" }, "price": { "unit": "TWD", "value": 3 } })]).unwrap();
        product(&house, "prd_api");
        house.start(MeterStart { machines: vec![], ..start("api", CUSTOMER, "2026-07-19T02:00:00Z", prices) });
        let account = house.account(CUSTOMER);
        house.jump("2026-07-20T00:00:00Z");
        let importer = Cx::new(Actor::Account(AccountId(1)), OPERATOR, Scope::All, ["billing-clerk".to_owned()].into());
        let usage = |id: &str, requests: i64| {
            body(json!({
                "usageDate": "2026-07-19T03:00:00Z", "usageType": "requests", "ratedProductUsage": [{ "productRef": { "id": "prd_api" } }],
                "usageCharacteristic": [{ "name": "externalId", "value": id }, { "name": "request", "value": requests }],
            }))
        };
        let first = USAGE.create(&house.gate, &importer, usage("a", 1_500)).unwrap();
        assert_eq!((first.state.as_deref(), first.tenant), (Some("guided"), CUSTOMER));
        USAGE.create(&house.gate, &importer, usage("b", 1_000)).unwrap();
        assert_eq!(USAGE.create(&house.gate, &importer, usage("a", 1_500)).unwrap_err().code(), "usage.duplicate");
        let stranger = USAGE.create(&house.gate, &owner(CUSTOMER), usage("c", 1)).unwrap_err();
        assert_eq!(stranger.kind(), ErrorKind::Forbidden, "a customer does not write their own bill");
        let loose =
            USAGE.create(&house.gate, &owner(CUSTOMER), body(json!({ "description": "of nothing we sell" }))).unwrap();
        assert_eq!(loose.state.as_deref(), Some("received"));
        let bill = house.bill(&account, "2026-07-20T00:00:00Z");
        assert_eq!(shown(&bill), ["2026-07 Calls 2.5 1000 request 8"]);
    }
}

#[test]
fn another_tenant_sees_nothing() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let (line, id) = (bill.lines[0].id.clone(), bill.bill.id.clone());
        let stranger = owner(TenantId(3));
        let gate = &house.gate;
        assert!(gate.run(&stranger, &LIST, ListInput::default()).unwrap().bills.is_empty());
        assert!(gate.run(&stranger, &USAGE_SUMMARY, SummaryInput::default()).unwrap().services.is_empty());
        for error in [
            gate.run(&stranger, &GET, BillRef { bill: id.clone() }).unwrap_err(),
            gate.run(&stranger, &EXPORT, BillRef { bill: id.clone() }).unwrap_err(),
            gate.run(&stranger, &LINE_USAGE, LineUsageInput { line: line.clone(), after: None, limit: None })
                .unwrap_err(),
            gate.run(&stranger, &PREVIEW, PreviewInput { account: account.clone(), period_end: None }).unwrap_err(),
            gate.run(
                &stranger,
                &USAGE_SUMMARY,
                SummaryInput { service: Some("web".into()), ..SummaryInput::default() },
            )
            .unwrap_err(),
            CUSTOMER_BILL.get(gate, &stranger, &id).unwrap_err(),
            APPLIED_CUSTOMER_BILLING_RATE.get(gate, &stranger, &line).unwrap_err(),
            accounts::BILLING_ACCOUNT.get(gate, &stranger, &account).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        }
        for input in [RunInput { account: Some(account.clone()), ..RunInput::default() }, RunInput::default()] {
            assert_eq!(gate.run(&stranger, &RUN, input).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        let own = gate.run(&owner(CUSTOMER), &GET, BillRef { bill: id.clone() }).unwrap();
        assert_eq!(own, bill);
        assert_eq!(gate.run(&owner(CUSTOMER), &LIST, ListInput::default()).unwrap().bills.len(), 1);
        assert_eq!(gate.run(&clerk(), &LIST, ListInput::default()).unwrap().bills.len(), 1);
        assert!(
            gate.run(&clerk(), &USAGE_SUMMARY, SummaryInput { service: Some("web".into()), ..SummaryInput::default() })
                .is_ok()
        );
    }
}

#[test]
fn a_preview_is_the_bill_that_comes() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 30 * HOURS));
        let account = house.account(CUSTOMER);
        house.jump("2026-07-21T00:00:00Z");
        let entries = house.count("usage_entries");
        let input = PreviewInput { account: account.clone(), period_end: Some(at("2026-07-20T20:00:00Z")) };
        let preview = house.gate.run(&owner(CUSTOMER), &PREVIEW, input).unwrap();
        assert_eq!(house.count("usage_entries"), entries, "looking writes nothing");
        let summary = house.gate.run(&owner(CUSTOMER), &USAGE_SUMMARY, SummaryInput::default()).unwrap();
        assert_eq!((summary.services.len(), summary.services[0].unknown.len()), (1, 1));
        let bill = house.bill(&account, "2026-07-20T20:00:00Z");
        assert_eq!((shown(&preview), sums(&preview), &preview.unknown), (shown(&bill), sums(&bill), &bill.unknown));
    }
}

#[test]
fn the_future_and_a_closed_period_cannot_be_billed() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    house.jump("2026-07-20T00:00:00Z");
    assert_eq!(house.run(&account, "2026-07-20T00:00:01Z").unwrap_err().code(), "bill.future");
    house.bill(&account, "2026-07-20T00:00:00Z");
    assert_eq!(house.run(&account, "2026-07-19T12:00:00Z").unwrap_err().code(), "bill.period_closed");
}

#[test]
fn an_exempt_account_pays_no_tax() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    let exemption = json!({ "taxExemption": [{ "issuingJurisdiction": "Taiwan", "validFor": { "startDateTime": "2026-01-01T00:00:00Z" } }] });
    let ask = |cx: &Cx| accounts::BILLING_ACCOUNT.update(&house.gate, cx, &account, None, body(exemption.clone()));
    assert_eq!(ask(&owner(CUSTOMER)).unwrap_err().code(), "billingAccount.issuer", "nobody exempts themselves");
    ask(&Cx::system("clerk", OPERATOR)).unwrap();
    house.jump("2026-08-01T00:00:00Z");
    let bill = house.bill(&account, "2026-07-31T16:00:00Z");
    assert_eq!((bill.bill.tax.0.minor, bill.bill.net, bill.bill.total), (0, bill.bill.total, bill.bill.net));
}

#[test]
fn a_month_is_closed_once_by_the_calendar_of_the_operator() {
    for house in houses() {
        let registry = work::register(durable::Registry::default());
        let engine = durable::Engine::new(house.gate.clone(), registry).unwrap();
        for (service, tenant) in [("web", CUSTOMER), ("shop", TenantId(3))] {
            house.start(start(service, tenant, "2026-07-19T02:00:00Z", tariff()));
        }
        // Half an hour into August in Taipei the agents may still have news of July.
        house.jump("2026-07-31T16:30:00Z");
        let now = house.gate.run(&Cx::system("billing", OPERATOR), &CLOSE, CloseInput {}).unwrap();
        assert_eq!((now.month.as_str(), now.accounts), ("2026-06", 0), "{}: nobody was here in June", house.engine);
        house.jump("2026-07-31T18:00:00Z");
        for _ in 0..3 {
            let asked = house.gate.run(&Cx::system("billing", OPERATOR), &CLOSE, CloseInput {}).unwrap();
            assert_eq!((asked.month.as_str(), asked.more), ("2026-07", false));
            engine.settle().unwrap();
        }
        let bills = house.gate.run(&clerk(), &LIST, ListInput::default()).unwrap().bills;
        assert_eq!(bills.len(), 2);
        assert!(bills.iter().all(|bill| bill.period_end == at("2026-07-31T16:00:00Z")));
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bills[1].id).unwrap();
        assert_eq!(
            (record.body["runType"].as_str(), record.body["nextBillDate"].as_str()),
            (Some("onCycle"), Some("2026-08-31T16:00:00Z"))
        );
    }
}

/// Compares with a file beside this one; `YUNWEI_BLESS=1` writes it anew.
fn golden(name: &str, found: &Json) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bills/golden").join(name);
    let found = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("YUNWEI_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, kept, "{name} has changed; if that is meant, run again with YUNWEI_BLESS=1");
}

#[test]
fn tmf678_documents_stay_as_they_are() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 30 * HOURS));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let shown = |record: db::Record| {
            let mut body = record.body;
            body.insert("id".to_owned(), record.id.into());
            Json::Object(body)
        };
        golden("customerBill.json", &shown(CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bill.bill.id).unwrap()));
        golden(
            "appliedCustomerBillingRate.json",
            &shown(APPLIED_CUSTOMER_BILLING_RATE.get(&house.gate, &owner(CUSTOMER), &bill.lines[2].id).unwrap()),
        );
        golden("bill.json", &serde_json::to_value(&bill).unwrap());
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % sides
    }
}

#[test]
fn another_program_computes_the_same_bills() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/billing/rebill.py");
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: python3 is not installed; bills are computed by one program only");
        return;
    }
    let house = houses().remove(0);
    let mut dice = Dice(20_260_719);
    let account = house.account(CUSTOMER);
    let mut exports = Vec::new();
    for n in 0..12 {
        let mut prices = tariff();
        for price in &mut prices {
            price.amount = rust_decimal::Decimal::new(dice.roll(9_999) + 1, 3);
        }
        prices[2].allowance = dice.roll(40).into();
        prices[3].tiers = vec![rating::Tier {
            above: (dice.roll(50) + 1).into(),
            amount: rust_decimal::Decimal::new(dice.roll(500), 4),
        }];
        let service = format!("s{n}");
        house.start(start(&service, CUSTOMER, "2026-07-19T02:00:00Z", prices));
    }
    let begun = micros(at("2026-07-19T02:00:00Z"));
    for (round, until) in
        ["2026-07-25T03:04:05.678901Z", "2026-07-31T16:00:00Z", "2026-09-02T00:00:00Z"].into_iter().enumerate()
    {
        let span = (micros(at(until)) - begun) / 1_000_000;
        for n in 0..12 {
            let from =
                base::time::from_micros(begun + (span - dice.roll(span / 2) - 1) * 1_000_000 + dice.roll(1_000_000))
                    .unwrap();
            let ran = dice.roll((micros(at(until)) - micros(from)) / 1_000_000 + 1);
            let life = seen(&format!("s{n}"), round as i64 + 1, &from.to_string(), ran);
            house.see(if dice.roll(2) == 0 { ended(life) } else { life });
        }
        house.jump(until);
        let bill = house.bill(&account, until);
        exports.push(house.export(&bill.bill.id));
        let credit = AdjustInput {
            account: account.clone(),
            amount: json!(-dice.roll(500) - 1),
            tax_percent: None,
            reason: "Credit".into(),
            bill: None,
        };
        house.gate.run(&clerk(), &ADJUST, credit).unwrap();
    }
    let scratch = db::testing::Scratch::new();
    let file = scratch.path().join("bills.json");
    std::fs::write(&file, serde_json::to_string(&exports).unwrap()).unwrap();
    let checked = std::process::Command::new("python3").arg(&script).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.contains("3 bills agree"), "{said}");
    // And it notices: one dollar more is one too many.
    exports[0]["bill"]["lines"][0]["amount"]["value"] =
        json!(exports[0]["bill"]["lines"][0]["amount"]["value"].as_i64().unwrap() + 1);
    std::fs::write(&file, serde_json::to_string(&exports).unwrap()).unwrap();
    assert!(!std::process::Command::new("python3").arg(&script).arg(&file).output().unwrap().status.success());
}
