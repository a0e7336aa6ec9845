use base::Kind as ErrorKind;
use gate::Catalogue;
use gate::testing::gate;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::characteristics::{Given, Specification, read_list, write_list};
use super::mapping::{self, Child, Rule, Source};
use super::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION, prices, translated};
use crate::testing::{body, make, manager, member, offering, price, specification};

fn catalogue() -> Catalogue {
    Catalogue::default().kinds(crate::KINDS).actions(crate::ACTIONS)
}

fn machine() -> Specification {
    let json = json!({ "name": "Machine", "specCharacteristic": [
        { "name": "size", "valueType": "integer", "minCardinality": 1,
          "characteristicValueSpecification": [{ "valueFrom": 1, "valueTo": 8, "rangeInterval": "closedBottom" }, { "value": 16 }] },
        { "name": "colour", "valueType": "string", "regex": "[a-z]+",
          "characteristicValueSpecification": [{ "value": "red", "isDefault": true }, { "regex": "gr[ae]y" }] },
        { "name": "keys", "valueType": "string", "maxCardinality": 2 },
        { "name": "zone", "valueType": "string", "configurable": false, "characteristicValueSpecification": [{ "value": "tpe", "isDefault": true }] }
    ]});
    Specification::read(&body(json)).unwrap()
}

#[test]
fn characteristics_are_completed_or_the_wrong_one_is_named() {
    let machine = machine();
    let complete = |json: Json| machine.complete(&body(json), Given::ByCustomer);
    assert_eq!(
        Json::Object(complete(json!({"size": 7, "keys": ["a"]})).unwrap()),
        json!({"size": 7, "colour": "red", "keys": ["a"], "zone": "tpe"})
    );
    assert!(complete(json!({"size": 16, "colour": "grey", "zone": "tpe"})).is_ok());
    for (chosen, attribute, code) in [
        (json!({}), "size", "characteristic.missing"),
        (json!({"size": "7"}), "size", "characteristic.type"),
        (json!({"size": 8}), "size", "characteristic.not_allowed"),
        (json!({"size": 0}), "size", "characteristic.not_allowed"),
        (json!({"size": 1, "colour": "blue"}), "colour", "characteristic.not_allowed"),
        (json!({"size": 1, "colour": "gr\u{0}y"}), "colour", "characteristic.pattern"),
        (json!({"size": 1, "colour": "greyish"}), "colour", "characteristic.not_allowed"),
        (json!({"size": 1, "keys": "a"}), "keys", "characteristic.type"),
        (json!({"size": 1, "keys": ["a", "b", "c"]}), "keys", "characteristic.cardinality"),
        (json!({"size": 1, "keys": ["x".repeat(40_000)]}), "keys", "characteristic.too_large"),
        (json!({"size": 1, "zone": "khh"}), "zone", "characteristic.not_allowed"),
        (json!({"size": 1, "shape": "round"}), "shape", "characteristic.unknown"),
    ] {
        let error = complete(chosen.clone()).unwrap_err();
        assert_eq!((error.attribute(), error.code()), (Some(attribute), code), "{chosen}");
    }
}

#[test]
fn a_specification_that_cannot_be_met_is_refused_when_it_is_written() {
    for characteristic in [
        json!({ "name": "" }),
        json!({ "name": "a", "regex": "(" }),
        json!({ "name": "a", "regex": "(a{1000}){1000}" }),
        json!({ "name": "a", "valueType": "integer", "characteristicValueSpecification": [{ "value": "x", "isDefault": true }] }),
        json!({ "name": "a", "configurable": false, "minCardinality": 1 }),
    ] {
        let specification = body(json!({ "name": "S", "specCharacteristic": [characteristic] }));
        assert_eq!(Specification::read(&specification).unwrap_err().kind(), ErrorKind::Invalid, "{characteristic}");
    }
}

proptest! {
    #[test]
    fn what_is_completed_is_valid(size in -2i64..20, colour in "[a-z]{0,5}", keys in proptest::collection::vec("[a-z]{1,3}", 0..4)) {
        let machine = machine();
        let mut chosen = body(json!({ "size": size, "colour": colour }));
        if !keys.is_empty() {
            chosen.insert("keys".to_owned(), keys.into());
        }
        if let Ok(complete) = machine.complete(&chosen, Given::ByCustomer) {
            prop_assert!((1..8).contains(&size) || size == 16);
            for one in machine.characteristics() {
                prop_assert!(complete.get(&one.name).map_or(one.min == 0, |value| one.check(value).is_ok()));
            }
            let again = machine.complete(&complete, Given::ByPlatform);
            prop_assert_eq!(again.unwrap(), complete.clone());
            prop_assert_eq!(read_list(Some(&write_list(&complete)), "").unwrap(), complete);
        }
    }
}

fn rule(name: &str, source: Source) -> Rule {
    Rule { name: name.to_owned(), source }
}

#[test]
fn characteristics_are_mapped_by_name_by_path_by_expression_and_by_constant() {
    let target = Specification::read(&body(json!({ "name": "VM", "specCharacteristic": [
        { "name": "vcpus", "valueType": "integer", "minCardinality": 1 },
        { "name": "memoryMib", "valueType": "integer", "minCardinality": 1 },
        { "name": "image", "valueType": "string", "minCardinality": 1 },
        { "name": "greeting", "valueType": "string" },
        { "name": "label", "valueType": "string" },
        { "name": "port", "valueType": "integer", "characteristicValueSpecification": [{ "value": 80, "isDefault": true }] },
    ]})))
    .unwrap();
    let child = Child {
        id: "x".into(),
        role: "machine".into(),
        rules: vec![
            rule("vcpus", Source::From("vcpu".into())),
            rule("memoryMib", Source::Cel("parent.memory * 1024".into())),
            rule("image", Source::Value(json!("tiny"))),
            rule("label", Source::Cel("order.role + '-' + order.name".into())),
        ],
    };
    let parent = body(json!({ "vcpu": 2, "memory": 3, "greeting": "hi", "other": true }));
    let order = body(json!({ "name": "web", "role": "machine" }));
    let mapped = mapping::apply(&child, &parent, &order, &target).unwrap();
    assert_eq!(
        Json::Object(mapped),
        json!({ "vcpus": 2, "memoryMib": 3072, "image": "tiny", "greeting": "hi", "label": "machine-web", "port": 80 })
    );
    let wrong = Child { rules: vec![rule("gpus", Source::From("vcpu".into()))], ..child.clone() };
    assert_eq!(mapping::apply(&wrong, &parent, &order, &target).unwrap_err().code(), "mapping.unknown_characteristic");
    let missing = Child { rules: vec![], ..child };
    assert_eq!(mapping::apply(&missing, &parent, &order, &target).unwrap_err().attribute(), Some("vcpus"));
}

#[test]
fn wrong_mapping_rules_are_refused_when_they_are_written() {
    for rule in [
        json!({ "name": "a" }),
        json!({ "name": "a", "cel": "parent." }),
        json!({ "name": "a", "cel": "stranger.vcpu" }),
        json!({ "name": "a", "cel": "parent.a.all(x, parent.a.all(y, x == y))" }),
        json!({ "name": "a", "cel": format!("1{}", " + 1".repeat(600)) }),
    ] {
        let specification = body(json!({ "serviceSpecification": [{ "id": "s", "characteristicMapping": [rule] }] }));
        let error = mapping::children(&specification, "serviceSpecification").unwrap_err();
        assert!(error.attribute().unwrap().starts_with("serviceSpecification[0].characteristicMapping"), "{error:?}");
    }
}

#[test]
fn the_life_cycle_is_kept_and_decides_who_sees() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate(db, catalogue());
        let draft = make(&gate, &PRODUCT_OFFERING, json!({ "name": "Coming" }));
        assert_eq!(draft.state.as_deref(), Some("In study"), "{engine}");
        assert_eq!(PRODUCT_OFFERING.get(&gate, &member(2), &draft.id).unwrap_err().kind(), ErrorKind::NotFound);
        let go = |state: &str| {
            PRODUCT_OFFERING.update(&gate, &manager(), &draft.id, None, body(json!({ "lifecycleStatus": state })))
        };
        assert_eq!(go("Launched").unwrap_err().kind(), ErrorKind::Conflict);
        for state in ["In design", "In test", "Active"] {
            go(state).unwrap();
        }
        assert!(PRODUCT_OFFERING.get(&gate, &member(2), &draft.id).is_ok());
        assert_eq!(go("Launched").unwrap_err().code(), "offering.incomplete");
        assert_eq!(PRODUCT_OFFERING.delete(&gate, &manager(), &draft.id, None).unwrap_err().code(), "catalog.on_sale");
        go("Retired").unwrap();
        go("Obsolete").unwrap();
        PRODUCT_OFFERING.delete(&gate, &manager(), &draft.id, None).unwrap();
    }
}

#[test]
fn prices_that_cannot_be_charged_do_not_go_on_sale() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    for (wrong, attribute) in [
        (json!({ "name": "P", "priceType": "sometimes" }), "priceType"),
        (json!({ "name": "P", "priceType": "oneTime", "price": { "unit": "BTC", "value": 1 } }), "price.unit"),
        (json!({ "name": "P", "priceType": "oneTime", "price": { "unit": "TWD", "value": -1 } }), "price.value"),
        (json!({ "name": "P", "priceType": "recurring" }), "recurringChargePeriodType"),
        (json!({ "name": "P", "priceType": "usage" }), "unitOfMeasure.units"),
        (
            json!({ "name": "P", "priceType": "usage", "unitOfMeasure": { "amount": 3, "units": "request" } }),
            "unitOfMeasure.amount",
        ),
        (json!({ "name": "P", "priceType": "oneTime", "price": { "unit": "TWD", "value": 1e12 } }), "price.value"),
        // What is frozen is the price of one: thresholds for a thousand would be of one.
        (
            json!({ "name": "P", "priceType": "usage", "unitOfMeasure": { "amount": 1000, "units": "request" },
                "@type": "GradedPrice", "tier": [{ "above": 5, "amount": 0.5 }] }),
            "unitOfMeasure.amount",
        ),
        (
            json!({ "name": "P", "priceType": "usage", "unitOfMeasure": { "amount": 1, "units": "request" }, "@type": "GradedPrice", "quantityFrom": "vcpu", "allowance": 5 }),
            "unitOfMeasure.amount",
        ),
    ] {
        let mut all = body(json!({ "lifecycleStatus": "Active", "price": { "unit": "TWD", "value": 1 } }));
        all.extend(body(wrong.clone()));
        let error = PRODUCT_OFFERING_PRICE.create(&gate, &manager(), all).unwrap_err();
        assert_eq!((error.kind(), error.attribute()), (ErrorKind::Invalid, Some(attribute)), "{wrong}");
    }
    price(&gate, json!({ "name": "P", "priceType": "recurring", "recurringChargePeriodType": "monthly" }));
    let by_thousand =
        json!({ "name": "P", "priceType": "usage", "unitOfMeasure": { "amount": 1000, "units": "request" } });
    price(&gate, by_thousand);
}

#[test]
fn sums_keep_kinds_and_periods_apart_and_refuse_two_currencies() {
    let frozen = |kind: &str, period: &str, unit: &str, value: f64| json!({ "priceType": kind, "recurringChargePeriod": period, "price": { "dutyFreeAmount": { "unit": unit, "value": value } } });
    let all = [
        frozen("oneTime", "", "TWD", 100.0),
        frozen("recurring", "month", "TWD", 0.1),
        frozen("recurring", "month", "TWD", 0.2),
        frozen("usage", "", "TWD", 9.0),
    ];
    let sums = prices::totals(&all).unwrap();
    assert_eq!(sums.len(), 2);
    assert_eq!(sums[1]["price"]["dutyFreeAmount"]["value"].to_string(), "0.3");
    assert!(prices::totals(&[frozen("oneTime", "", "TWD", 1.0), frozen("oneTime", "", "USD", 1.0)]).is_err());
}

#[test]
fn an_offering_narrows_what_its_specification_lets_be_chosen() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let machines = specification(&gate, json!([]));
    let narrowed = |uses: Json| {
        let sale = json!({ "name": "Fixed", "lifecycleStatus": "Launched", "productSpecification": { "id": machines.id }, "prodSpecCharValueUse": uses });
        PRODUCT_OFFERING.create(&gate, &manager(), body(sale))
    };
    let large =
        narrowed(json!([{ "name": "vcpu", "productSpecCharacteristicValue": [{ "value": 4, "isDefault": true }] }]))
            .unwrap();
    let cx = member(2);
    let asked = |vcpu: i64| {
        let item = crate::orders::PriceItem {
            product_offering: large.id.clone(),
            characteristics: body(json!({ "vcpu": vcpu })),
            quantity: 1,
        };
        gate.run(&cx, &crate::orders::ORDER_PRICE, crate::orders::PriceInput { items: vec![item] })
    };
    assert_eq!(asked(4).unwrap().items[0].characteristics["vcpu"], 4);
    assert_eq!(asked(1).unwrap_err().code(), "characteristic.not_allowed");
    assert_eq!(narrowed(json!([{ "name": "wheels" }])).unwrap_err().code(), "characteristic.unknown");
}

#[test]
fn texts_are_given_in_the_readers_language() {
    let record = body(json!({ "name": "Small machine", "translation": { "zh-TW": { "name": "小型機" } } }));
    assert_eq!(
        (
            translated(&record, "name", "zh-TW"),
            translated(&record, "name", "en"),
            translated(&record, "description", "en")
        ),
        ("小型機", "Small machine", "")
    );
}

#[test]
fn extensions_of_catalog_records_are_kept() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate(db, catalogue());
    let machines = specification(&gate, json!([]));
    let kept = offering(&gate, &machines);
    let read =
        PRODUCT_OFFERING_PRICE.get(&gate, &member(3), kept.at("productOfferingPrice.id").unwrap().as_str().unwrap());
    assert!(read.is_ok());
    let translated = json!({ "name": "S", "@type": "TranslatedProductSpecification", "translation": { "zh-TW": { "name": "規格" } } });
    assert_eq!(make(&gate, &PRODUCT_SPECIFICATION, translated).body["translation"]["zh-TW"]["name"], "規格");
}
