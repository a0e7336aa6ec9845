use std::collections::BTreeMap;

use base::money::{Currency, Money};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use super::{
    Calendar, Charge, Cycle, Month, Price, Quantity, Tier, TimeUnit, Used, charge, measure, prices, quantity, tax,
};
use crate::usage::Basis;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn july() -> (Calendar, Month) {
    let calendar = Calendar::of("Asia/Taipei").unwrap();
    let month = calendar.month("2026-07-10T00:00:00Z".parse().unwrap()).unwrap();
    (calendar, month)
}

fn price(charge: Charge, amount: &str) -> Price {
    Price {
        key: "p".into(),
        name: "P".into(),
        charge,
        amount: dec(amount),
        currency: Currency::Twd,
        tax_percent: dec("5"),
        allowance: Decimal::ZERO,
        tiers: vec![],
    }
}

fn per_hour(measure: &str, amount: &str) -> Price {
    price(Charge::Usage { measure: measure.into(), time: Some(TimeUnit::Hour), per: Decimal::ONE }, amount)
}

fn sizes(list: &[(&str, &str)]) -> BTreeMap<String, Decimal> {
    list.iter().map(|(name, size)| ((*name).to_owned(), dec(size))).collect()
}

const HOUR: i64 = 3_600_000_000;

#[test]
fn quantities_are_size_times_time() {
    let (calendar, month) = july();
    let machine = sizes(&[("running", "1"), ("vcpu", "2"), ("memory", "0.5")]);
    let used = |basis| Used { basis, micros: 90 * 60_000_000, sign: 1, sizes: &machine, month: &month };
    for (what, basis, shown) in [
        ("vcpu", Basis::Run, Some("3")),
        ("memory", Basis::Run, Some("0.75")),
        ("running", Basis::Run, Some("1.5")),
        ("disk", Basis::Run, None),
        ("vcpu", Basis::Once, None),
    ] {
        let found = quantity(&per_hour(what, "1"), &used(basis), &calendar).unwrap();
        assert_eq!(found.map(|q| q.shown()), shown.map(dec), "{what} {basis:?}");
    }
}

#[test]
fn a_recurring_price_is_charged_for_the_part_of_the_period_that_was_held() {
    let (calendar, month) = july();
    let nothing = BTreeMap::new();
    let held = |micros| Used { basis: Basis::Held, micros, sign: 1, sizes: &nothing, month: &month };
    for (cycle, length, amount, micros, minor) in [
        (Cycle::Month, 1, "310", 31 * 24 * HOUR, 310),
        (Cycle::Month, 1, "310", 24 * HOUR, 10),
        (Cycle::Month, 3, "930", 31 * 24 * HOUR, 310),
        (Cycle::Day, 1, "10", 36 * HOUR, 15),
        (Cycle::Week, 1, "70", 24 * HOUR, 10),
        (Cycle::Year, 1, "3650", 24 * HOUR, 10),
        (Cycle::Hour, 1, "2", HOUR / 4, 1),
    ] {
        let price = price(Charge::Recurring { cycle, length }, amount);
        let quantity = quantity(&price, &held(micros), &calendar).unwrap().unwrap();
        assert_eq!(charge(&price, Decimal::ZERO, quantity).unwrap().minor, minor, "{cycle:?} {length} {amount}");
    }
}

#[test]
fn allowances_and_tiers_apply_to_what_lies_beyond_them() {
    let mut price = per_hour("vcpu", "1");
    price.allowance = dec("10");
    price.tiers = vec![Tier { above: dec("100"), amount: dec("0.5") }, Tier { above: dec("200"), amount: dec("0.1") }];
    let units = |n: i64| Quantity { numerator: Decimal::from(n * HOUR), denominator: Decimal::from(HOUR) };
    for (before, now, minor) in
        [(0, 10, 0), (0, 11, 1), (0, 110, 100), (0, 120, 105), (0, 310, 160), (110, 10, 5), (300, 10, 1), (5, 10, 5)]
    {
        assert_eq!(charge(&price, units(before).numerator, units(now)).unwrap().minor, minor, "{now} after {before}");
    }
    assert_eq!(
        charge(&price, units(120).numerator, units(-10)).unwrap().minor,
        -5,
        "taking back gives back what it cost"
    );
}

#[test]
fn tax_is_five_per_cent_rounded_half_up_to_the_dollar() {
    for (net, expected) in [(100, 5), (110, 6), (109, 5), (130, 7), (0, 0), (-110, -6), (9, 0), (10, 1)] {
        let net = Money { minor: net, currency: Currency::Twd };
        assert_eq!(tax(net, dec("5")).unwrap().minor, expected, "{net:?}");
    }
    assert_eq!(tax(Money { minor: 1010, currency: Currency::Usd }, dec("5")).unwrap().minor, 51);
}

#[test]
fn measures_have_one_name() {
    for (given, name) in [
        ("vCPU", "vcpu"),
        ("CPU", "vcpu"),
        ("GiB", "memory"),
        ("memory GiB", "memory"),
        ("disk_gib", "disk"),
        ("GiB disk", "disk"),
        ("storageGiB", "disk"),
        ("", "running"),
        ("Requests", "requests"),
    ] {
        assert_eq!(measure(given), name, "{given}");
    }
}

#[test]
fn prices_are_read_from_catalog_and_from_order() {
    let found = prices(&[
        json!({ "id": "pop_1", "name": "Setup", "priceType": "oneTime", "price": { "unit": "TWD", "value": 100 } }),
        json!({ "name": "Rent", "priceType": "recurring", "recurringChargePeriod": "3 month",
                "price": { "dutyFreeAmount": { "unit": "TWD", "value": 300 }, "taxRate": 5 }, "productOfferingPrice": { "id": "pop_2" } }),
        json!({ "name": "Processor", "priceType": "usage", "unitOfMeasure": "vCPU-hour",
                "price": { "dutyFreeAmount": { "unit": "TWD", "value": 0.35 }, "taxRate": 0 }, "productOfferingPrice": { "id": "pop_3" } }),
        json!({ "id": "pop_4", "name": "Disk", "priceType": "usage", "unitOfMeasure": { "amount": 100, "units": "GiB disk-hour" },
                "price": { "unit": "TWD", "value": 1 }, "allowance": 10, "tier": [{ "above": 20, "amount": "0.5" }] }),
        json!({ "id": "pop_5", "name": "Calls", "priceType": "usage", "unitOfMeasure": "request", "price": { "unit": "TWD", "value": 1 } }),
        json!({ "id": "pop_6", "name": "Time", "priceType": "usage", "unitOfMeasure": "second", "price": { "unit": "TWD", "value": 1 } }),
    ])
    .unwrap();
    let units: Vec<String> = found.iter().map(Price::unit).collect();
    assert_eq!(units, ["once", "3 months", "vCPU-hour", "100 GiB disk-hour", "request", "second"]);
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["pop_1", "pop_2", "pop_3", "pop_4", "pop_5", "pop_6"]);
    assert_eq!((found[0].tax_percent, found[2].tax_percent), (dec("5"), dec("0")));
    assert_eq!((found[3].allowance, found[3].tiers[0].amount), (dec("10"), dec("0.5")));
    assert_eq!(found[2].amount, dec("0.35"));
}

#[test]
fn what_makes_no_price_is_refused_by_name() {
    let money = json!({ "unit": "TWD", "value": 1 });
    for (document, code) in [
        (json!({ "priceType": "oneTime" }), "price.amount_missing"),
        (json!({ "priceType": "sometimes", "price": money }), "price.type_unknown"),
        (json!({ "priceType": "usage", "price": money }), "price.unit_missing"),
        (json!({ "priceType": "recurring", "recurringChargePeriod": "moon", "price": money }), "price.period_unknown"),
        (json!({ "priceType": "oneTime", "price": { "unit": "XAU", "value": 1 } }), "currency.unknown"),
        (
            json!({ "priceType": "oneTime", "price": { "unit": "TWD", "value": 1 }, "tax": [{ "taxRate": 500 }] }),
            "price.tax_rate",
        ),
        (
            json!({ "priceType": "usage", "unitOfMeasure": "hour", "price": money, "tier": [{ "above": 5, "amount": 1 }, { "above": 5, "amount": 2 }] }),
            "price.tier",
        ),
    ] {
        assert_eq!(prices(std::slice::from_ref(&document)).unwrap_err().code(), code, "{document}");
    }
}

#[test]
fn the_stored_form_of_a_price_stays() {
    let stored = r#"{"key":"p","name":"P","charge":{"type":"usage","measure":"vcpu","time":"hour","per":"1"},"amount":"0.35","currency":"TWD","taxPercent":"5"}"#;
    let read: Price = serde_json::from_str(stored).unwrap();
    assert_eq!(read, per_hour("vcpu", "0.35"));
    assert_eq!(serde_json::to_string(&read).unwrap(), stored);
}

/// Any price by usage, with or without an allowance and tiers.
fn any_price() -> impl Strategy<Value = Price> {
    let tiers = prop::collection::btree_set(1u32..500, 0..3).prop_flat_map(|above| {
        let rates = prop::collection::vec(0i64..5_000, above.len());
        (Just(above), rates)
    });
    (0i64..10_000, prop_oneof![Just(0i64), 1i64..100], tiers, prop_oneof![Just(Currency::Twd), Just(Currency::Usd)])
        .prop_map(|(amount, allowance, (above, rates), currency)| Price {
            amount: Decimal::new(amount, 3),
            allowance: Decimal::from(allowance),
            tiers: above
                .into_iter()
                .zip(rates)
                .map(|(above, rate)| Tier { above: Decimal::from(above), amount: Decimal::new(rate, 3) })
                .collect(),
            currency,
            ..per_hour("vcpu", "0")
        })
}

proptest! {
    #[test]
    fn splitting_and_reordering_usage_never_changes_an_amount(
        price in any_price(),
        parts in prop::collection::vec(1i64..(40 * HOUR), 1..12),
        seed in any::<u64>(),
    ) {
        let denominator = Decimal::from(HOUR);
        let whole = Quantity { numerator: parts.iter().map(|p| Decimal::from(*p)).sum(), denominator };
        let mut shuffled = parts.clone();
        let length = shuffled.len();
        for n in 0..length {
            shuffled.swap(n, (seed.rotate_left(n as u32) % length as u64) as usize);
        }
        let added = shuffled.iter().try_fold(Quantity { numerator: Decimal::ZERO, denominator }, |sum, part| {
            sum.plus(Quantity { numerator: Decimal::from(*part), denominator })
        }).unwrap();
        prop_assert_eq!(charge(&price, Decimal::ZERO, added).unwrap(), charge(&price, Decimal::ZERO, whole).unwrap());
    }

    #[test]
    fn charging_in_parts_comes_to_the_whole_but_for_one_rounding_each(
        price in any_price(),
        parts in prop::collection::vec(1i64..(40 * HOUR), 1..8),
    ) {
        let denominator = Decimal::from(HOUR);
        let mut before = Decimal::ZERO;
        let mut charged = 0i64;
        for part in &parts {
            let now = Quantity { numerator: Decimal::from(*part), denominator };
            charged += charge(&price, before, now).unwrap().minor;
            before += now.numerator;
        }
        let whole = charge(&price, Decimal::ZERO, Quantity { numerator: before, denominator }).unwrap().minor;
        prop_assert!((charged - whole).abs() <= parts.len() as i64, "{} against {}", charged, whole);
    }

    #[test]
    fn taking_everything_back_leaves_nothing(price in any_price(), micros in 1i64..(4_000 * HOUR), before in 0i64..(100 * HOUR)) {
        let denominator = Decimal::from(HOUR);
        let before = Decimal::from(before);
        let there = charge(&price, before, Quantity { numerator: Decimal::from(micros), denominator }).unwrap();
        let back = charge(&price, before + Decimal::from(micros), Quantity { numerator: Decimal::from(-micros), denominator }).unwrap();
        prop_assert_eq!(there.minor + back.minor, 0);
    }
}

#[test]
fn an_estimate_is_what_the_same_month_would_be_billed() {
    let rent = price(Charge::Recurring { cycle: Cycle::Month, length: 1 }, "300");
    let setup = price(Charge::OneTime, "100");
    let metered = price(Charge::Usage { measure: "requests".into(), time: None, per: dec("1000") }, "2");
    let list = [setup, rent, per_hour("vcpu", "0.35"), per_hour("memory", "0.1"), per_hour("running", "1"), metered];
    let found = super::month(&list, &sizes(&[("vcpus", "2"), ("memory", "4")])).unwrap();
    let amounts: Vec<Option<i64>> = found.iter().map(|e| e.amount.map(|money| money.minor)).collect();
    assert_eq!(amounts, [None, Some(300), Some(504), Some(288), Some(720), None]);
    assert_eq!(found[2].units, Some(dec("1440")));
    // Half of it twice is the whole: the estimate follows the bill's own rules.
    let more = super::month(&list, &sizes(&[("vcpus", "4"), ("memory", "4")])).unwrap();
    assert_eq!(more[2].amount.unwrap().minor, 1008);
}
