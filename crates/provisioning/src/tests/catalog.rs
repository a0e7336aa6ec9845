//! The starter catalog, and putting other products on sale without a release.

use commerce::catalog::{PRODUCT_OFFERING, PRODUCT_SPECIFICATION, translated};
use commerce::orders::{ORDER_PRICE, PRODUCT_ORDER, PriceInput, PriceItem};
use commerce::testing::{body, make, manager, member, order, price};
use resources::inventory::RESOURCE_SPECIFICATION;
use resources::testing::Mood;
use serde_json::{Map, Value as Json, json};

use crate::specifications::SERVICE_SPECIFICATION;
use crate::starter::{SEED, Seed};
use crate::testing::Town;

fn towns() -> impl Iterator<Item = (Town, db::testing::Scratch)> {
    db::testing::databases().into_iter().map(|(_, db, keep)| (Town::new(db), keep))
}

#[test]
fn the_starter_catalog_is_on_sale_in_both_languages() {
    for (town, _keep) in towns() {
        for key in ["small", "medium", "large", "measured"] {
            let offering = town.of_catalog(&PRODUCT_OFFERING, key);
            assert_ne!(translated(&offering.body, "name", "zh-TW"), translated(&offering.body, "name", "en"), "{key}");
            let ask = PriceItem { product_offering: offering.id.clone(), characteristics: Map::new(), quantity: 1 };
            let priced = town.gate.run(&member(2), &ORDER_PRICE, PriceInput { items: vec![ask] }).unwrap();
            let kinds: Vec<&str> =
                priced.items[0].prices.iter().map(|price| price["priceType"].as_str().unwrap()).collect();
            assert_eq!(kinds, ["oneTime", "recurring", "usage", "usage"], "{key}");
        }
        town.assert_sound();
    }
}

#[test]
fn seeding_again_changes_nothing() {
    for (town, _keep) in towns() {
        let again = town.gate.run(&manager(), &SEED, Seed::default()).unwrap();
        assert!(again.made.is_empty());
        assert_eq!(again.kept, town.catalog.made);
        assert_eq!(town.gate.run(&member(2), &SEED, Seed::default()).unwrap_err().code(), "catalog.not_the_operator");
        for (yaml, code) in [
            ("- {", "catalog.malformed"),
            ("- { key: a, kind: account, body: {} }", "catalog.kind"),
            ("- { key: a, kind: catalog, body: { name: x, category: [{ id: '@b' }] } }", "catalog.key"),
        ] {
            assert_eq!(
                town.gate.run(&manager(), &SEED, Seed { yaml: Some(yaml.to_owned()) }).unwrap_err().code(),
                code
            );
        }
    }
}

/// A web pair: two machines apart from each other, sized by the number of
/// visitors, and a third that only answers itself. Made through the open
/// documents alone.
fn web_pair(town: &Town) -> db::Record {
    let gate = &town.gate;
    let machine = make(
        gate,
        &RESOURCE_SPECIFICATION,
        json!({
            "name": "Web node", "category": "virtualMachine", "lifecycleStatus": "Active",
            "resourceSpecCharacteristic": [
                { "name": "vcpus", "valueType": "integer", "minCardinality": 1 },
                { "name": "memoryMib", "valueType": "integer", "minCardinality": 1 },
                { "name": "diskMib", "valueType": "integer", "minCardinality": 1, "resourceSpecCharacteristicValue": [{ "value": 512, "isDefault": true }] },
                { "name": "image", "valueType": "string", "minCardinality": 1, "resourceSpecCharacteristicValue": [{ "value": "tiny", "isDefault": true }] },
                { "name": "port", "valueType": "integer", "resourceSpecCharacteristicValue": [{ "value": 8080, "isDefault": true }] },
                { "name": "node", "valueType": "string" }
            ]
        }),
    );
    let node = make(
        gate,
        &SERVICE_SPECIFICATION,
        json!({
            "name": "Web node on a host", "lifecycleStatus": "Active",
            "specCharacteristic": [{ "name": "visitors", "valueType": "integer", "minCardinality": 1 }, { "name": "node", "valueType": "string" }],
            "resourceSpecification": [{ "id": machine.id, "@type": "Mapped", "characteristicMapping": [
                { "name": "vcpus", "cel": "parent.visitors > 1000 ? 4 : 2" },
                { "name": "memoryMib", "cel": "512 + parent.visitors / 10 * 8" },
            ] }]
        }),
    );
    let below = |role: &str| {
        json!({
            "id": node.id, "relationshipType": "dependency", "role": role, "@type": "Mapped",
            "characteristicMapping": [{ "name": "node", "cel": "order.name + '/' + order.role" }]
        })
    };
    let pair = make(
        gate,
        &SERVICE_SPECIFICATION,
        json!({
            "name": "Web site", "lifecycleStatus": "Active",
            "specCharacteristic": [{ "name": "visitors", "valueType": "integer", "minCardinality": 1 }],
            "serviceSpecRelationship": [below("first"), below("second")]
        }),
    );
    let test = make(
        gate,
        &SERVICE_SPECIFICATION,
        json!({
            "name": "Trial site", "lifecycleStatus": "Active",
            "specCharacteristic": [{ "name": "visitors", "valueType": "integer", "minCardinality": 1 }],
            "serviceSpecRelationship": [below("trial")]
        }),
    );
    let product = make(
        gate,
        &PRODUCT_SPECIFICATION,
        json!({
            "name": "Web pair", "lifecycleStatus": "Active",
            "productSpecCharacteristic": [{ "name": "visitors", "description": "Visitors an hour", "valueType": "integer", "minCardinality": 1,
                "productSpecCharacteristicValue": [{ "valueFrom": 1, "valueTo": 100_000 }, { "value": 100, "isDefault": true }] }],
            "serviceSpecification": [
                { "id": pair.id, "role": "site" },
                { "id": test.id, "role": "trial", "@type": "Mapped", "characteristicMapping": [{ "name": "visitors", "value": 10 }] }
            ]
        }),
    );
    let rent = price(
        gate,
        json!({ "name": "By the visitor", "priceType": "recurring", "recurringChargePeriodType": "month", "quantityFrom": "visitors", "@type": "Scaled", "price": { "unit": "TWD", "value": 2.5 } }),
    );
    make(
        gate,
        &PRODUCT_OFFERING,
        json!({ "name": "Web pair", "lifecycleStatus": "Active", "productSpecification": { "id": product.id }, "productOfferingPrice": [{ "id": rent.id }] }),
    )
}

#[test]
fn a_second_kind_of_product_is_put_on_sale_and_delivered_without_a_release() {
    for (town, _keep) in towns() {
        let offering = web_pair(&town);
        let order =
            PRODUCT_ORDER.create(&town.gate, &member(2), order(&offering, json!({ "visitors": 2_000 }))).unwrap();
        assert_eq!(order.at("orderTotalPrice.price.dutyFreeAmount.value").unwrap(), 5_000);
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("completed"));
        let services = town.services(&order.id);
        let names: Vec<&str> = services.iter().map(|service| service.body["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Web pair · site", "Web pair · trial"]);
        let intents = town.gate.db().read({
            let host = town.hosts[0];
            move |conn| resources::intents::on_host(conn, host)
        });
        let specs: Vec<_> = intents.unwrap().into_iter().filter_map(|intent| intent.desired).collect();
        let sizes: Vec<(u32, u64)> = specs.iter().map(|spec| (spec.vcpus, spec.memory_mib)).collect();
        assert_eq!(sizes, [(4, 2_112), (4, 2_112), (2, 520)]);
        assert!(specs[1].cloud_init.meta_data.contains("Web pair/second"));
        let realised: Vec<bool> = services
            .iter()
            .map(|service| {
                let id = service.id.clone();
                let found = town.gate.perform(&manager(), "service.status", gate::Effect::Read, [0; 32], move |tx| {
                    crate::services::realised(tx, &id)
                });
                found.unwrap().is_some_and(|realised| realised.machines.len() == 3)
            })
            .collect();
        assert_eq!(realised, [true, false], "a product is billed once, with all its machines");
        town.assert_sound();
    }
}

#[test]
fn specifications_in_a_circle_or_without_an_end_fail_the_order_and_say_so() {
    let (_, db, _keep) = db::testing::sqlite();
    let town = Town::new(db);
    let gate = &town.gate;
    let sell = |services: Json| {
        let product = make(
            gate,
            &PRODUCT_SPECIFICATION,
            json!({ "name": "Odd", "lifecycleStatus": "Active", "serviceSpecification": services }),
        );
        let offering = make(
            gate,
            &PRODUCT_OFFERING,
            json!({ "name": "Odd", "lifecycleStatus": "Active", "productSpecification": { "id": product.id } }),
        );
        let order = PRODUCT_ORDER.create(gate, &member(2), order(&offering, json!({}))).unwrap();
        town.settle(Mood::Willing);
        let order = town.read(&PRODUCT_ORDER, &order.id);
        (order.state.clone().unwrap(), order.at("note.code").cloned().unwrap())
    };
    let ring = make(gate, &SERVICE_SPECIFICATION, json!({ "name": "Ring" }));
    let itself = json!({ "serviceSpecRelationship": [{ "id": ring.id, "relationshipType": "dependency" }, { "id": ring.id, "relationshipType": "dependency" }] });
    SERVICE_SPECIFICATION.update(gate, &manager(), &ring.id, None, body(itself)).unwrap();
    assert_eq!(sell(json!([{ "id": ring.id }])), ("failed".into(), json!("specification.too_deep")));
    assert_eq!(sell(json!([])), ("failed".into(), json!("specification.empty")));
    let tape = make(gate, &RESOURCE_SPECIFICATION, json!({ "name": "Tape", "category": "tape" }));
    let archive =
        make(gate, &SERVICE_SPECIFICATION, json!({ "name": "Archive", "resourceSpecification": [{ "id": tape.id }] }));
    assert_eq!(sell(json!([{ "id": archive.id }])), ("failed".into(), json!("specification.resource_unknown")));
    let wrong = make(
        gate,
        &SERVICE_SPECIFICATION,
        json!({ "name": "Wrong", "specCharacteristic": [{ "name": "size", "valueType": "integer", "minCardinality": 1 }] }),
    );
    let mapped = json!([{ "id": wrong.id, "@type": "Mapped", "characteristicMapping": [{ "name": "size", "cel": "parent.nothing + 1" }] }]);
    assert_eq!(sell(mapped), ("failed".into(), json!("expression.invalid")));
    town.assert_nothing_is_held();
}
