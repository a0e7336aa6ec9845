//! A new kind of product goes on sale through the API alone, step by step as
//! `docs/how-to/sell-a-new-product.md` says, and is ordered, delivered and billed.

use serde_json::{Value as Json, json};
use testkit::Api;

use crate::house::{House, Plan, ended, until};

const RESOURCES: &str = "/tmf-api/resourceCatalog/v4/resourceSpecification";
const SERVICES: &str = "/tmf-api/serviceCatalogManagement/v4/serviceSpecification";
const CATALOG: &str = "/tmf-api/productCatalogManagement/v4";
const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";

/// A database with a standby: two machines apart, sized by what is stored.
fn put_on_sale(manager: &Api) -> Json {
    let make = |path: &str, body: Json| manager.post(path, &body).unwrap()["id"].clone();
    let machine = make(
        RESOURCES,
        json!({
            "name": "Database node", "category": "virtualMachine", "lifecycleStatus": "Active",
            "resourceSpecCharacteristic": [
                { "name": "vcpus", "valueType": "integer", "minCardinality": 1 },
                { "name": "memoryMib", "valueType": "integer", "minCardinality": 1 },
                { "name": "diskMib", "valueType": "integer", "minCardinality": 1, "resourceSpecCharacteristicValue": [{ "value": 512, "isDefault": true }] },
                { "name": "dataDiskMib", "valueType": "integer", "minCardinality": 1 },
                { "name": "image", "valueType": "string", "minCardinality": 1, "resourceSpecCharacteristicValue": [{ "value": "tiny", "isDefault": true }] },
                { "name": "port", "valueType": "integer", "resourceSpecCharacteristicValue": [{ "value": 5432, "isDefault": true }] },
                { "name": "part", "valueType": "string" },
            ],
        }),
    );
    let node = make(
        SERVICES,
        json!({
            "name": "Database node on a host", "lifecycleStatus": "Active",
            "specCharacteristic": [{ "name": "stored", "valueType": "integer", "minCardinality": 1 }, { "name": "part", "valueType": "string" }],
            "resourceSpecification": [{ "id": machine, "@type": "MappedSpecificationRef", "characteristicMapping": [
                { "name": "vcpus", "cel": "parent.stored > 50 ? 4 : 2" },
                { "name": "memoryMib", "cel": "256 + parent.stored * 16" },
                { "name": "dataDiskMib", "cel": "parent.stored * 1024" },
            ] }],
        }),
    );
    let rests_on = |role: &str| {
        json!({
            "id": node, "relationshipType": "dependency", "role": role, "@type": "MappedServiceSpecRelationship",
            "characteristicMapping": [{ "name": "part", "cel": "order.name + '/' + order.role" }],
        })
    };
    let database = make(
        SERVICES,
        json!({
            "name": "Database with a standby", "lifecycleStatus": "Active",
            "specCharacteristic": [{ "name": "stored", "valueType": "integer", "minCardinality": 1 }],
            "serviceSpecRelationship": [rests_on("primary"), rests_on("standby")],
        }),
    );
    let product = make(
        &format!("{CATALOG}/productSpecification"),
        json!({
            "name": "Database", "lifecycleStatus": "Active", "serviceSpecification": [{ "id": database }],
            "productSpecCharacteristic": [{ "name": "stored", "description": "GiB stored", "valueType": "integer", "minCardinality": 1,
                "productSpecCharacteristicValue": [{ "valueFrom": 1, "valueTo": 200 }] }],
        }),
    );
    let tax = json!([{ "taxCategory": "Business tax", "taxRate": 5 }]);
    let price = |body: Json| {
        let mut all = json!({ "lifecycleStatus": "Active", "@type": "ScaledPrice", "tax": tax });
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        json!({ "id": make(&format!("{CATALOG}/productOfferingPrice"), all) })
    };
    let prices = [
        price(json!({ "name": "Migration", "priceType": "oneTime", "price": { "unit": "TWD", "value": 1500 } })),
        price(
            json!({ "name": "By the GiB", "priceType": "recurring", "recurringChargePeriodType": "month", "recurringChargePeriodLength": 1,
            "quantityFrom": "stored", "price": { "unit": "TWD", "value": 12.5 } }),
        ),
        price(
            json!({ "name": "By the hour", "priceType": "usage", "unitOfMeasure": { "amount": 1, "units": "vCPU-hour" },
            "price": { "unit": "TWD", "value": 3600 } }),
        ),
    ];
    let offering = json!({
        "name": "Database with a standby", "lifecycleStatus": "In test", "isSellable": true, "@type": "TranslatedProductOffering",
        "translation": { "zh-TW": { "name": "備援資料庫" } }, "productSpecification": { "id": product }, "productOfferingPrice": prices,
    });
    manager.post(&format!("{CATALOG}/productOffering"), &offering).unwrap()
}

fn order(customer: &Api, offering: &Json, stored: Json) -> testkit::Answer {
    let item = json!({
        "id": "1", "action": "add", "quantity": 1, "productOffering": { "id": offering["id"] },
        "product": { "name": "books", "productCharacteristic": [{ "name": "stored", "value": stored }] },
    });
    let body = json!({ "productOrderItem": [item] }).to_string();
    customer.send("POST", ORDERS, &[("content-type", "application/json")], Some(body.as_bytes())).unwrap()
}

#[test]
fn a_new_kind_of_product_is_sold_delivered_and_billed_without_a_release() {
    let house = House::with_machines("sale", Plan::default());
    let manager = house.person(&house.admin, "manager@yunwei.example", "product-manager");
    let (_, customer) = house.customer("Bookshop");
    let offering = put_on_sale(&manager);
    let at = format!("{CATALOG}/productOffering/{}", offering["id"].as_str().unwrap());

    // What is in preparation is nobody else's business; what is on sale is priced and checked.
    assert_eq!(customer.send("GET", &at, &[], None).unwrap().status, 404);
    assert_eq!(order(&customer, &offering, json!(80)).status, 422);
    manager.patch(&at, &json!({ "lifecycleStatus": "Active" })).unwrap();
    assert_eq!(customer.get(&at).unwrap()["translation"]["zh-TW"]["name"], "備援資料庫");
    for (wrong, value) in [("too much", json!(201)), ("not a number", json!("lots")), ("nothing", Json::Null)] {
        assert_eq!(order(&customer, &offering, value).status, 400, "{wrong}");
    }
    let ask = json!({ "items": [{ "productOffering": offering["id"], "characteristics": { "stored": 80 } }] });
    let priced = customer.post("/api/v1/orders/price", &ask).unwrap();
    assert!(priced.to_string().contains("1000"), "80 GiB at 12.5 are 1000 a month: {priced:#}");

    let placed = order(&customer, &offering, json!(80));
    assert_eq!(placed.status, 201, "{}", placed.text);
    let done = ended(&customer, &placed.json);
    assert_eq!(done["state"], "completed", "{done:#}");

    // Two machines as the rules say, and nothing else.
    let machines = house.machines.as_ref().unwrap().truth();
    assert_eq!(machines.len(), 2);
    for machine in &machines {
        assert_eq!((machine.vcpus, machine.memory_mib), (4, 256 + 80 * 16));
    }
    let services = customer.get("/tmf-api/serviceInventory/v4/service?limit=100").unwrap();
    let parts: Vec<&str> =
        ["books/primary", "books/standby"].into_iter().filter(|part| services.to_string().contains(part)).collect();
    assert_eq!(parts.len(), 2, "{services:#}");

    // The bill speaks of the new prices.
    let lines = until("a line by the hour", || {
        house.admin.post("/api/v1/bills/run", &json!({})).unwrap();
        let lines = customer.get("/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate?limit=100").unwrap();
        lines.to_string().contains("By the hour").then_some(lines)
    });
    let migration = lines.as_array().unwrap().iter().find(|line| line["name"] == "Migration").unwrap();
    assert_eq!(migration["taxExcludedAmount"], json!({ "unit": "TWD", "value": 1500 }));

    // Taken off sale: nobody orders it any more, and what was sold stays.
    manager.patch(&at, &json!({ "lifecycleStatus": "Retired" })).unwrap();
    assert_eq!(order(&customer, &offering, json!(80)).status, 409);
    let products = customer.get("/tmf-api/productInventory/v4/product").unwrap();
    assert_eq!((products.as_array().unwrap().len(), &products[0]["status"]), (1, &json!("active")));
}
