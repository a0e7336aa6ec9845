//! Orders, services and products on good days.

use base::Kind as ErrorKind;
use commerce::catalog::PRODUCT_OFFERING;
use commerce::orders::PRODUCT_ORDER;
use commerce::products::PRODUCT;
use commerce::testing::{OPERATOR, body, item, manager, member};
use db::records::{Query, Scope};
use drivers::wire::MachineState;
use resources::testing::{Mood, agent};
use serde_json::{Value as Json, json};

use crate::orders::{CANCEL_SERVICE_ORDER, SERVICE_ORDER};
use crate::services::{self, REBOOT, SERVICE, START, STATUS, STOP, ServiceId, TERMINATE};
use crate::testing::Town;

fn each_town(test: impl Fn(&'static str, Town)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, Town::new(db));
    }
}

fn facts(town: &Town) -> Vec<String> {
    let all = "SELECT name FROM facts WHERE name IN ('OrderAccepted', 'ServiceActivated', 'ServiceReleased', 'ServiceTerminated', 'OrderEnded') ORDER BY seq";
    town.gate.db().read(move |c| c.query(all, &[], |r| r.get(0))).unwrap()
}

fn id(service: &db::Record) -> ServiceId {
    ServiceId { id: service.id.clone() }
}

#[test]
fn an_order_becomes_a_service_that_answers() {
    each_town(|engine, town| {
        let order = town.order(2);
        assert_eq!(order.state.as_deref(), Some("acknowledged"), "{engine}");
        town.settle(Mood::Willing);
        let order = town.read(&PRODUCT_ORDER, &order.id);
        assert_eq!(order.state.as_deref(), Some("completed"));
        let service = &town.services(&order.id)[0];
        assert_eq!((service.state.as_deref(), service.tenant), (Some("active"), order.tenant));
        let address = service.at("place.name").and_then(Json::as_str).unwrap();
        assert!(address.starts_with("http://127.0.0.1:2000"), "{address}");
        assert_eq!(services::characteristic(service, "address").unwrap(), address);
        let product = town.read(&PRODUCT, service.at("product.id").unwrap().as_str().unwrap());
        assert_eq!(product.body["productPrice"], order.body["productOrderItem"][0]["itemPrice"]);
        let below = town.read(&SERVICE, &services::supporting(service)[0]);
        assert_eq!((below.state.as_deref(), below.body["serviceType"].as_str()), (Some("active"), Some("RFS")));
        let resource = below.at("supportingResource.id").and_then(Json::as_str).unwrap();
        assert!(town.read(&resources::inventory::RESOURCE, resource).id.starts_with("res_"));
        assert_eq!(town.count("SELECT COUNT(*) FROM reservations WHERE state = 'inUse'"), 1);
        assert_eq!(facts(&town), ["OrderAccepted", "ServiceActivated", "OrderEnded"]);
        town.assert_sound();
    });
}

#[test]
fn the_machine_is_what_was_ordered() {
    each_town(|engine, town| {
        let measured = town.of_catalog(&PRODUCT_OFFERING, "measured");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJx customer@example";
        let wanted = json!({ "vcpu": 3, "memory": 5, "disk": 7, "greeting": "哈囉", "colour": "olive", "sshKeys": [key], "userData": "#cloud-config\nruncmd: [true]" });
        let order = body(json!({ "productOrderItem": [item("1", &measured, wanted)] }));
        PRODUCT_ORDER.create(&town.gate, &member(2), order).unwrap();
        town.engine.settle().unwrap();
        let intents = town.gate.db().read({
            let host = town.hosts[0];
            move |conn| resources::intents::on_host(conn, host)
        });
        let spec = intents.unwrap().remove(0).desired.unwrap();
        assert_eq!((spec.vcpus, spec.memory_mib, spec.disks.len()), (3, 5 * 1_024, 2), "{engine}");
        assert_eq!(spec.disks[1].size_mib, 7 * 1_024);
        assert!(spec.cloud_init.meta_data.contains("哈囉") && spec.cloud_init.meta_data.contains("olive"));
        assert!(spec.cloud_init.user_data.contains(key) && spec.cloud_init.user_data.contains("runcmd: [true]"));
        spec.check().unwrap();
    });
}

#[test]
fn what_an_item_realises_is_told_once_with_all_its_machines() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = town.services(&order.id)[0].id.clone();
        let found = town.gate.perform(&manager(), "service.status", gate::Effect::Read, [0; 32], move |tx| {
            services::realised(tx, &service)
        });
        let found = found.unwrap().unwrap();
        assert_eq!(
            (found.machines.len(), found.prices.len(), found.name.as_str()),
            (1, 4, "Cloud machine S"),
            "{engine}"
        );
        assert_eq!(found.characteristics["vcpu"], 1);
    });
}

#[test]
fn a_services_state_is_what_is_seen_of_it() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = &town.services(&order.id)[0];
        let cx = member(2);
        let state = || town.read(&SERVICE, &service.id).state.unwrap();
        let condition = || town.gate.run(&cx, &STATUS, id(service)).unwrap().condition;
        assert_eq!((state().as_str(), condition().as_str()), ("active", "running"), "{engine}");
        assert_eq!(town.gate.run(&cx, &STOP, id(service)).unwrap().condition, "stopping");
        assert_eq!(state(), "active", "asked for is not seen");
        town.settle(Mood::Willing);
        assert_eq!((state().as_str(), condition().as_str()), ("inactive", "stopped"));
        assert_eq!(town.gate.run(&cx, &REBOOT, id(service)).unwrap_err().code(), "service.stopped");
        town.gate.run(&cx, &START, id(service)).unwrap();
        assert_eq!(condition(), "starting");
        town.settle(Mood::Willing);
        assert_eq!((state().as_str(), condition().as_str()), ("active", "running"));
        town.gate.run(&cx, &REBOOT, id(service)).unwrap();
        // The host falls silent: the record keeps what was seen, the status says unknown.
        town.gate.clock().advance(std::time::Duration::from_secs(3_600));
        resources::work::silence(&town.gate, base::time::Timestamp::UNIX_EPOCH).unwrap();
        let seen = town.gate.run(&cx, &STATUS, id(service)).unwrap();
        assert_eq!(
            (seen.condition.as_str(), seen.machines[0].state, seen.state.as_str()),
            ("unknown", MachineState::Unknown, "active")
        );
        let entries = town.count("SELECT COUNT(*) FROM audit_entries");
        crate::reconcile::unseen(&town.gate).unwrap();
        assert_eq!(town.count("SELECT COUNT(*) FROM audit_entries"), entries, "what cannot be seen is not set right");
    });
}

#[test]
fn a_product_ends_with_everything_that_it_held() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = town.services(&order.id)[0].clone();
        let ending = town.gate.run(&member(2), &TERMINATE, id(&service)).unwrap();
        assert_eq!(
            town.gate.run(&member(2), &TERMINATE, id(&service)).unwrap_err().code(),
            "product.ending",
            "{engine}"
        );
        town.engine.settle().unwrap();
        assert_eq!(town.read(&SERVICE, &service.id).state.as_deref(), Some("active"), "until it is seen to be gone");
        assert_eq!(facts(&town).last().unwrap(), "ServiceReleased", "though it is not paid for any more");
        assert_eq!(town.cancel(2, &ending.product_order).unwrap_err().code(), "order.past_no_return");
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &ending.product_order).state.as_deref(), Some("completed"));
        let product = service.at("product.id").unwrap().as_str().unwrap();
        assert_eq!(town.read(&PRODUCT, product).state.as_deref(), Some("terminated"));
        assert_eq!(
            facts(&town),
            [
                "OrderAccepted",
                "ServiceActivated",
                "OrderEnded",
                "OrderAccepted",
                "ServiceReleased",
                "ServiceTerminated",
                "OrderEnded"
            ]
        );
        town.assert_nothing_is_held();
    });
}

#[test]
fn another_tenants_service_does_not_exist() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = &town.services(&order.id)[0];
        let stranger = member(3);
        for refused in [
            town.gate.run(&stranger, &STOP, id(service)).unwrap_err(),
            town.gate.run(&stranger, &STATUS, id(service)).unwrap_err(),
            town.gate.run(&stranger, &TERMINATE, id(service)).map(drop).unwrap_err(),
            SERVICE.get(&town.gate, &stranger, &service.id).unwrap_err(),
            PRODUCT_ORDER.get(&town.gate, &stranger, &order.id).unwrap_err(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::NotFound, "{engine}");
        }
        for kind in [&SERVICE, &PRODUCT, &SERVICE_ORDER, &PRODUCT_ORDER] {
            let seen = kind.list(&town.gate, &stranger, true, move |scope| Query {
                kind: kind.name,
                scope,
                conditions: vec![],
                sort: None,
                descending: false,
                after: None,
                offset: 0,
                limit: 10,
            });
            assert!(seen.unwrap().records.is_empty(), "{engine}: {}", kind.name);
        }
    });
}

#[test]
fn records_that_follow_from_what_is_seen_are_not_patched() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = &town.services(&order.id)[0];
        let patch = |json: Json| SERVICE.update(&town.gate, &member(2), &service.id, None, body(json));
        assert_eq!(patch(json!({ "state": "inactive" })).unwrap_err().code(), "service.by_order", "{engine}");
        assert_eq!(patch(json!({ "serviceCharacteristic": [] })).unwrap_err().code(), "service.by_order");
        assert_eq!(patch(json!({ "description": "our web" })).unwrap().body["description"], "our web");
        assert_eq!(SERVICE.delete(&town.gate, &member(2), &service.id, None).unwrap_err().code(), "service.in_use");
        let carried_out = service.at("serviceOrderItem.serviceOrderId").unwrap().as_str().unwrap();
        let cancel = body(json!({ "serviceOrder": { "id": carried_out } }));
        assert_eq!(
            CANCEL_SERVICE_ORDER.create(&town.gate, &member(2), cancel).unwrap_err().code(),
            "order.of_product_order"
        );
        assert_eq!(town.read(&SERVICE_ORDER, carried_out).state.as_deref(), Some("completed"));
    });
}

#[test]
fn service_orders_of_other_systems_are_kept_for_them() {
    each_town(|engine, town| {
        let specification = &town.catalog.made["reachable"];
        let document = |reference: Json| json!({ "externalReference": reference, "serviceOrderItem": [{ "id": "1", "action": "add", "service": { "serviceSpecification": { "id": specification } } }] });
        let made = SERVICE_ORDER.create(&town.gate, &manager(), body(document(json!([])))).unwrap();
        assert_eq!(made.state.as_deref(), Some("acknowledged"), "{engine}");
        assert!(made.at("note.text").unwrap().as_str().unwrap().contains("No flow was started"));
        assert_eq!(town.count("SELECT COUNT(*) FROM flow_runs"), 0);
        let claimed = document(json!([{ "id": "pord_1", "name": "1", "externalReferenceType": "ProductOrder" }]));
        assert_eq!(
            SERVICE_ORDER.create(&town.gate, &manager(), body(claimed)).unwrap_err().code(),
            "order.reference_reserved"
        );
        let cancel = body(json!({ "serviceOrder": { "id": made.id } }));
        assert_eq!(CANCEL_SERVICE_ORDER.create(&town.gate, &manager(), cancel).unwrap().state.as_deref(), Some("done"));
        assert_eq!(town.read(&SERVICE_ORDER, &made.id).state.as_deref(), Some("cancelled"));
    });
}

#[test]
fn several_items_are_delivered_each_by_itself() {
    each_town(|engine, town| {
        let small = town.of_catalog(&PRODUCT_OFFERING, "small");
        let mut three = item("web", &small, json!({}));
        three["quantity"] = 3.into();
        let order = PRODUCT_ORDER.create(&town.gate, &member(2), body(json!({ "productOrderItem": [three] }))).unwrap();
        town.settle(Mood::Willing);
        assert_eq!(town.read(&PRODUCT_ORDER, &order.id).state.as_deref(), Some("completed"), "{engine}");
        let addresses: std::collections::BTreeSet<String> =
            town.services(&order.id).iter().map(|service| service.at("place.name").unwrap().to_string()).collect();
        assert_eq!(addresses.len(), 3);
        let records = town.gate.db().read(|conn| {
            db::records::total(
                conn,
                &Query {
                    kind: "serviceOrder",
                    scope: &Scope::All,
                    conditions: vec![],
                    sort: None,
                    descending: false,
                    after: None,
                    offset: 0,
                    limit: 1,
                },
            )
        });
        assert_eq!(records.unwrap(), Some(3));
    });
}

#[test]
fn an_agent_cannot_act_as_a_customer() {
    each_town(|engine, town| {
        let order = town.order(2);
        town.settle(Mood::Willing);
        let service = &town.services(&order.id)[0];
        let refused = town.gate.run(&agent(town.hosts[0], OPERATOR), &STOP, id(service)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{engine}");
    });
}
