use base::{Kind as ErrorKind, Result};
use db::Record;
use gate::testing::gate;
use gate::{Catalogue, Cx, Effect, Gate};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::progress::{self, End, Reason};
use super::types::{ItemAction, items};
use super::{CANCEL_PRODUCT_ORDER, ORDER_PRICE, PRODUCT_ORDER, PriceInput, PriceItem, rules};
use crate::catalog::{PRODUCT_OFFERING, PRODUCT_OFFERING_PRICE, PRODUCT_SPECIFICATION};
use crate::products::{self, PRODUCT};
use crate::testing::{body, item, make, manager, member, offering, order, specification};

fn shop(db: db::Db) -> (Gate, Record) {
    let gate = gate(db, Catalogue::default().kinds(crate::KINDS).actions(crate::ACTIONS));
    let machines = specification(&gate, json!([]));
    let small = offering(&gate, &machines);
    (gate, small)
}

fn facts(gate: &Gate, id: &str) -> Vec<String> {
    let id = id.to_owned();
    gate.db()
        .read(move |c| c.query("SELECT name FROM facts WHERE object_id = $1 ORDER BY seq", db::args![id], |r| r.get(0)))
        .unwrap()
}

/// Does what `provisioning` would, as the platform.
fn deliver<T: Send + 'static>(
    gate: &Gate,
    cx: &Cx,
    work: impl Fn(&mut gate::Tx<'_>) -> Result<T> + Send + 'static,
) -> T {
    let system = Cx::system("provisioning", cx.tenant());
    gate.perform(&system, "productOrder.update", Effect::Change, [0; 32], work).unwrap()
}

fn begin(gate: &Gate, cx: &Cx, order: &str, item: &'static str) -> bool {
    let order = order.to_owned();
    deliver(gate, cx, move |tx| {
        let mut order = tx.peek(&PRODUCT_ORDER, &order)?;
        progress::begin(tx, &mut order, item)
    })
}

fn end(gate: &Gate, cx: &Cx, order: &str, item: &'static str, how: End) {
    let order = order.to_owned();
    deliver(gate, cx, move |tx| {
        let mut order = tx.peek(&PRODUCT_ORDER, &order)?;
        progress::end(tx, &mut order, item, &how)
    });
}

fn failed() -> End {
    End::Failed(Reason {
        code: "capacity.none_fits".into(),
        english: "full".into(),
        chinese: "已滿".into(),
        who: "operator",
    })
}

/// Activates the product of an item, as the last step of its flow does.
fn activate(gate: &Gate, cx: &Cx, order: &str, item: &'static str) -> String {
    let order = order.to_owned();
    deliver(gate, cx, move |tx| {
        let mut order = tx.peek(&PRODUCT_ORDER, &order)?;
        let json =
            order.body["productOrderItem"].as_array().unwrap().iter().find(|json| json["id"] == item).unwrap().clone();
        let product = products::activate(tx, &order, &json, &[])?;
        progress::end(tx, &mut order, item, &End::Completed(product.id.clone()))?;
        Ok(product.id.clone())
    })
}

#[test]
fn an_accepted_order_is_complete_and_priced() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let made = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({ "vcpu": 2, "memory": 4 }))).unwrap();
        assert_eq!(made.state.as_deref(), Some("acknowledged"), "{engine}");
        let item = &items(&made).unwrap()[0];
        assert_eq!((item.name.as_str(), item.action, item.state.as_str()), ("Small", ItemAction::Add, "acknowledged"));
        assert_eq!(
            Json::Object(item.characteristics.clone()),
            json!({ "vcpu": 2, "memory": 4, "greeting": "Hello", "image": "tiny" })
        );
        let prices = made.body["productOrderItem"][0]["itemPrice"].as_array().unwrap();
        let lines: Vec<(&str, String)> = prices
            .iter()
            .map(|p| (p["priceType"].as_str().unwrap(), p["price"]["dutyFreeAmount"]["value"].to_string()))
            .collect();
        assert_eq!(
            lines,
            [("oneTime", "100".to_owned()), ("recurring", "200".to_owned()), ("usage", "0.35".to_owned())]
        );
        assert_eq!(prices[1]["recurringChargePeriod"], "month");
        assert_eq!(prices[2]["unitOfMeasure"], "vCPU-hour");
        assert_eq!(made.body["orderTotalPrice"].as_array().unwrap().len(), 2);
        assert_eq!(facts(&gate, &made.id), ["OrderAccepted"]);
    }
}

#[test]
fn a_price_stays_what_it_was_when_ordered() {
    let (_, db, _keep) = db::testing::sqlite();
    let (gate, small) = shop(db);
    let made = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({}))).unwrap();
    for reference in small.body["productOfferingPrice"].as_array().unwrap() {
        let dearer = body(json!({ "price": { "unit": "TWD", "value": 999 } }));
        PRODUCT_OFFERING_PRICE.update(&gate, &manager(), reference["id"].as_str().unwrap(), None, dearer).unwrap();
    }
    let after = PRODUCT_ORDER.get(&gate, &member(2), &made.id).unwrap();
    assert_eq!(after.body, made.body);
    let cheap = json!({ "productOrderItem": [{ "id": "1", "action": "add", "itemPrice": [] }] });
    assert_eq!(
        PRODUCT_ORDER.update(&gate, &member(2), &made.id, None, body(cheap)).unwrap_err().code(),
        "order.settled"
    );
    let bargain = body(json!({ "orderTotalPrice": [] }));
    assert_eq!(PRODUCT_ORDER.update(&gate, &member(2), &made.id, None, bargain).unwrap_err().code(), "order.settled");
    begin(&gate, &member(2), &made.id, "1");
    let product = activate(&gate, &member(2), &made.id, "1");
    let product = PRODUCT.get(&gate, &member(2), &product).unwrap();
    assert_eq!(product.body["productPrice"], made.body["productOrderItem"][0]["itemPrice"]);
}

#[test]
fn what_an_orderer_says_of_price_and_state_counts_for_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let honest = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({}))).unwrap();
        let free = json!([{ "priceType": "recurring", "price": { "dutyFreeAmount": { "unit": "TWD", "value": 0 } } }]);
        let mut lie = item("1", &small, json!({}));
        (lie["itemPrice"], lie["itemTotalPrice"], lie["state"]) = (free.clone(), free.clone(), "completed".into());
        let product = &mut lie["product"];
        (product["productPrice"], product["status"]) = (free.clone(), "terminated".into());
        (product["startDate"], product["terminationDate"]) =
            ("2999-01-01T00:00:00Z".into(), "2001-01-01T00:00:00Z".into());
        let document = body(json!({ "productOrderItem": [lie], "orderTotalPrice": free }));
        let made = PRODUCT_ORDER.create(&gate, &member(2), document).unwrap();
        for settled in ["productOrderItem", "orderTotalPrice", "state"] {
            assert_eq!(made.body[settled], honest.body[settled], "{engine}");
        }
    }
}

#[test]
fn wrong_and_hostile_orders_are_refused_and_change_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let secret = make(&gate, &PRODUCT_OFFERING, json!({ "name": "Coming" }));
        let with = |change: fn(&mut Json), characteristics: Json| {
            let mut item = item("1", &small, characteristics);
            change(&mut item);
            json!({ "productOrderItem": [item] })
        };
        let many: Vec<Json> = (0..51).map(|n| item(&n.to_string(), &small, json!({}))).collect();
        for (document, attribute, kind) in [
            (json!({}), "productOrderItem", ErrorKind::Invalid),
            (json!({ "productOrderItem": [] }), "productOrderItem", ErrorKind::Invalid),
            (json!({ "productOrderItem": "all" }), "productOrderItem", ErrorKind::Invalid),
            (json!({ "productOrderItem": many }), "productOrderItem[50].id", ErrorKind::Invalid),
            (
                json!({ "productOrderItem": [item("1", &secret, json!({}))] }),
                "productOrderItem[0].productOffering.id",
                ErrorKind::Dangling,
            ),
            (
                json!({ "productOrderItem": [item("1", &small, json!({})), item("1", &small, json!({}))] }),
                "productOrderItem[1].id",
                ErrorKind::Invalid,
            ),
            (with(|i| i["action"] = "explode".into(), json!({})), "productOrderItem[0].action", ErrorKind::Invalid),
            (with(|i| i["action"] = "modify".into(), json!({})), "productOrderItem[0].action", ErrorKind::Invalid),
            (with(|i| i["quantity"] = 0.into(), json!({})), "productOrderItem[0].quantity", ErrorKind::Invalid),
            (with(|i| i["quantity"] = i64::MAX.into(), json!({})), "productOrderItem[0].quantity", ErrorKind::Invalid),
            (with(|i| i["id"] = "x".repeat(65).into(), json!({})), "productOrderItem[0].id", ErrorKind::Invalid),
            (
                with(|i| i["productOffering"]["id"] = "pof_nowhere".into(), json!({})),
                "productOrderItem[0].productOffering.id",
                ErrorKind::Dangling,
            ),
            (
                with(|i| i["product"]["name"] = "x".repeat(999).into(), json!({})),
                "productOrderItem[0].product.name",
                ErrorKind::Invalid,
            ),
            (
                with(|_| (), json!({ "vcpu": 3 })),
                "productOrderItem[0].product.productCharacteristic.vcpu",
                ErrorKind::Invalid,
            ),
            (
                with(|_| (), json!({ "vcpu": "2" })),
                "productOrderItem[0].product.productCharacteristic.vcpu",
                ErrorKind::Invalid,
            ),
            (
                with(|_| (), json!({ "image": "../../etc/passwd" })),
                "productOrderItem[0].product.productCharacteristic.image",
                ErrorKind::Invalid,
            ),
            (
                with(|_| (), json!({ "greeting": "a\u{1b}[31m" })),
                "productOrderItem[0].product.productCharacteristic.greeting",
                ErrorKind::Invalid,
            ),
            (
                with(|_| (), json!({ "discount": 100 })),
                "productOrderItem[0].product.productCharacteristic.discount",
                ErrorKind::Invalid,
            ),
        ] {
            let error = PRODUCT_ORDER.create(&gate, &member(2), body(document.clone())).unwrap_err();
            assert_eq!((error.attribute(), error.kind()), (Some(attribute), kind), "{engine}: {document}");
        }
        let left = PRODUCT_ORDER.list(&gate, &manager(), true, |scope| db::records::Query {
            kind: "productOrder",
            scope,
            conditions: vec![],
            sort: None,
            descending: false,
            after: None,
            offset: 0,
            limit: 10,
        });
        assert_eq!(left.unwrap().total, Some(0));
    }
}

#[test]
fn what_is_not_on_sale_is_not_sold() {
    let (_, db, _keep) = db::testing::sqlite();
    let (gate, small) = shop(db);
    let retire = |kind: &'static gate::Kind, id: &str| {
        kind.update(&gate, &manager(), id, None, body(json!({ "lifecycleStatus": "Retired" }))).unwrap()
    };
    let one = small.at("productOfferingPrice.id").unwrap().as_str().unwrap().to_owned();
    retire(&PRODUCT_OFFERING_PRICE, &one);
    let made = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({}))).unwrap();
    assert_eq!(
        made.body["productOrderItem"][0]["itemPrice"].as_array().unwrap().len(),
        2,
        "a retired price is no longer charged"
    );
    retire(&PRODUCT_OFFERING, &small.id);
    let error = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({}))).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "offering.not_on_sale"));
}

#[test]
fn several_of_a_thing_are_delivered_one_by_one() {
    let (_, db, _keep) = db::testing::sqlite();
    let (gate, small) = shop(db);
    let mut three = item("web", &small, json!({}));
    three["quantity"] = 3.into();
    let made = PRODUCT_ORDER.create(&gate, &member(2), body(json!({ "productOrderItem": [three] }))).unwrap();
    let ids: Vec<String> = items(&made).unwrap().into_iter().map(|item| item.id).collect();
    assert_eq!(ids, ["web", "web.2", "web.3"]);
    assert_eq!(made.body["orderTotalPrice"][0]["price"]["dutyFreeAmount"]["value"], 300);
}

#[test]
fn the_price_shown_is_the_price_ordered() {
    let (_, db, _keep) = db::testing::sqlite();
    let (gate, small) = shop(db);
    let chosen = json!({ "vcpu": 4 });
    let ask = PriceItem { product_offering: small.id.clone(), characteristics: body(chosen.clone()), quantity: 2 };
    let shown = gate.run(&member(2), &ORDER_PRICE, PriceInput { items: vec![ask] }).unwrap();
    let mut wanted = item("1", &small, chosen);
    wanted["quantity"] = 2.into();
    let made = PRODUCT_ORDER.create(&gate, &member(2), body(json!({ "productOrderItem": [wanted] }))).unwrap();
    assert_eq!(made.body["orderTotalPrice"], Json::Array(shown.total));
    assert_eq!(made.body["productOrderItem"][1]["itemPrice"], Json::Array(shown.items[0].prices.clone()));
}

#[test]
fn an_order_is_what_its_items_are() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let cx = member(2);
        let two = body(json!({ "productOrderItem": [item("1", &small, json!({})), item("2", &small, json!({}))] }));
        let made = PRODUCT_ORDER.create(&gate, &cx, two).unwrap();
        let state = || PRODUCT_ORDER.get(&gate, &cx, &made.id).unwrap().state.unwrap();
        assert!(begin(&gate, &cx, &made.id, "1"), "{engine}");
        assert!(begin(&gate, &cx, &made.id, "1"), "beginning again changes nothing");
        assert_eq!(state(), "inProgress");
        activate(&gate, &cx, &made.id, "1");
        assert_eq!(state(), "inProgress");
        begin(&gate, &cx, &made.id, "2");
        end(&gate, &cx, &made.id, "2", failed());
        assert_eq!(state(), "partial");
        end(&gate, &cx, &made.id, "2", failed());
        let order = PRODUCT_ORDER.get(&gate, &cx, &made.id).unwrap();
        let notes = order.body["note"].as_array().unwrap();
        assert_eq!(
            (notes.len(), notes[0]["code"].as_str(), notes[0]["translation"]["zh-TW"]["text"].as_str()),
            (1, Some("capacity.none_fits"), Some("已滿"))
        );
        assert_eq!(facts(&gate, &made.id).iter().filter(|name| *name == "OrderEnded").count(), 1);
        assert!(order.body.contains_key("completionDate"));
    }
}

fn cancellation(order: &str) -> Map<String, Json> {
    body(json!({ "productOrder": { "id": order }, "cancellationReason": "no longer needed" }))
}

#[test]
fn of_many_who_cancel_at_once_one_does() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let cx = member(2);
        let made = PRODUCT_ORDER.create(&gate, &cx, order(&small, json!({}))).unwrap();
        begin(&gate, &cx, &made.id, "1");
        let results: Vec<Result<Record>> = std::thread::scope(|s| {
            let asked: Vec<_> =
                (0..6).map(|_| s.spawn(|| CANCEL_PRODUCT_ORDER.create(&gate, &cx, cancellation(&made.id)))).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 5), "{engine}");
        let codes: Vec<&str> = refused.iter().map(|r| r.as_ref().unwrap_err().code()).collect();
        assert_eq!(codes, ["order.already_cancelling"; 5]);
        assert!(!begin(&gate, &cx, &made.id, "1"), "what is being cancelled is not begun again");
        end(&gate, &cx, &made.id, "1", End::Cancelled);
        assert_eq!(PRODUCT_ORDER.get(&gate, &cx, &made.id).unwrap().state.as_deref(), Some("cancelled"));
        let request = CANCEL_PRODUCT_ORDER.get(&gate, &cx, &done[0].as_ref().unwrap().id).unwrap();
        assert_eq!(request.state.as_deref(), Some("done"));
        assert_eq!(
            CANCEL_PRODUCT_ORDER.create(&gate, &cx, cancellation(&made.id)).unwrap_err().code(),
            "order.already_cancelled"
        );
    }
}

#[test]
fn an_order_cannot_be_made_to_answer_another_ones_cancellation() {
    for (_, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let cx = member(2);
        let [mine, other] = [1, 2].map(|_| PRODUCT_ORDER.create(&gate, &cx, order(&small, json!({}))).unwrap());
        for made in [&mine, &other] {
            assert!(begin(&gate, &cx, &made.id, "1"));
        }
        let asked = CANCEL_PRODUCT_ORDER.create(&gate, &cx, cancellation(&other.id)).unwrap();
        CANCEL_PRODUCT_ORDER.create(&gate, &cx, cancellation(&mine.id)).unwrap();
        for lie in [
            json!({ "cancelProductOrder": { "id": asked.id } }),
            json!({ "cancelProductOrder": { "id": "pcan_of_nobody" } }),
            json!({ "cancelProductOrder": null, "cancellationReason": null }),
        ] {
            let refused = PRODUCT_ORDER.update(&gate, &cx, &mine.id, None, body(lie)).unwrap_err();
            assert_eq!(refused.code(), "order.settled");
        }
        end(&gate, &cx, &mine.id, "1", End::Cancelled);
        assert_eq!(PRODUCT_ORDER.get(&gate, &cx, &mine.id).unwrap().state.as_deref(), Some("cancelled"));
        assert_eq!(CANCEL_PRODUCT_ORDER.get(&gate, &cx, &asked.id).unwrap().state.as_deref(), Some("inProgress"));
    }
}

#[test]
fn what_was_delivered_is_ended_and_not_cancelled() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let cx = member(2);
        let made = PRODUCT_ORDER.create(&gate, &cx, order(&small, json!({}))).unwrap();
        begin(&gate, &cx, &made.id, "1");
        let product = activate(&gate, &cx, &made.id, "1");
        let refused = CANCEL_PRODUCT_ORDER.create(&gate, &cx, cancellation(&made.id)).unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "order.ended"), "{engine}");
        let ending =
            || body(json!({ "productOrderItem": [{ "id": "1", "action": "delete", "product": { "id": product } }] }));
        assert_eq!(PRODUCT_ORDER.create(&gate, &member(3), ending()).unwrap_err().kind(), ErrorKind::Dangling);
        let last = PRODUCT_ORDER.create(&gate, &cx, ending()).unwrap();
        assert_eq!(PRODUCT_ORDER.create(&gate, &cx, ending()).unwrap_err().code(), "product.ending");
        begin(&gate, &cx, &last.id, "1");
        end(&gate, &cx, &last.id, "1", failed());
        assert_eq!(
            PRODUCT.get(&gate, &cx, &product).unwrap().state.as_deref(),
            Some("active"),
            "a failed end leaves the product as it was"
        );
        let last = PRODUCT_ORDER.create(&gate, &cx, ending()).unwrap();
        begin(&gate, &cx, &last.id, "1");
        let gone = product.clone();
        deliver(&gate, &cx, move |tx| products::terminate(tx, &gone));
        end(&gate, &cx, &last.id, "1", End::Completed(product.clone()));
        assert_eq!(PRODUCT.get(&gate, &cx, &product).unwrap().state.as_deref(), Some("terminated"));
        assert_eq!(PRODUCT_ORDER.create(&gate, &cx, ending()).unwrap_err().code(), "product.not_active");
    }
}

#[test]
fn another_tenants_order_is_invisible() {
    for (engine, db, _keep) in db::testing::databases() {
        let (gate, small) = shop(db);
        let made = PRODUCT_ORDER.create(&gate, &member(2), order(&small, json!({}))).unwrap();
        let stranger = member(3);
        assert_eq!(PRODUCT_ORDER.get(&gate, &stranger, &made.id).unwrap_err().kind(), ErrorKind::NotFound, "{engine}");
        assert_eq!(
            PRODUCT_ORDER
                .update(&gate, &stranger, &made.id, None, body(json!({ "description": "mine" })))
                .unwrap_err()
                .kind(),
            ErrorKind::NotFound
        );
        let refused = CANCEL_PRODUCT_ORDER.create(&gate, &stranger, cancellation(&made.id)).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::NotFound | ErrorKind::Dangling));
        assert!(
            PRODUCT_SPECIFICATION
                .list(&gate, &stranger, true, |scope| db::records::Query {
                    kind: "productOrder",
                    scope,
                    conditions: vec![],
                    sort: None,
                    descending: false,
                    after: None,
                    offset: 0,
                    limit: 10,
                })
                .unwrap()
                .records
                .is_empty()
        );
    }
}

fn state() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["acknowledged", "inProgress", "pendingCancellation", "completed", "failed", "cancelled"])
}

proptest! {
    #[test]
    fn an_orders_state_follows_its_items_along_legal_moves(start in 1usize..5, moves in prop::collection::vec((0usize..5, state()), 0..30)) {
        let mut items = vec!["acknowledged"; start];
        let mut order = rules::derive(items.iter().copied());
        prop_assert_eq!(order, "acknowledged");
        for (place, to) in moves {
            let place = place % items.len();
            if !rules::item_may_go(items[place], to) {
                continue;
            }
            items[place] = to;
            let next = rules::derive(items.iter().copied());
            prop_assert!(PRODUCT_ORDER.check_move(Some(order), Some(next)).is_ok(), "{} to {} with {:?}", order, next, items);
            prop_assert_eq!(rules::is_ended(next), items.iter().all(|item| rules::is_ended(item)));
            prop_assert_eq!(next == "completed", items.iter().all(|item| *item == "completed"));
            order = next;
        }
    }

    #[test]
    fn a_completed_item_is_never_cancelled(items in prop::collection::vec((state(), any::<bool>()), 1..6)) {
        let order = rules::derive(items.iter().map(|(state, _)| *state));
        let legal = rules::cancellable(order, items.iter().copied()).is_ok();
        if items.iter().any(|(state, _)| *state == "completed") {
            prop_assert!(!legal);
        }
        if legal {
            prop_assert!(items.iter().any(|(state, _)| !rules::is_ended(state)));
        }
    }
}
