//! What shows a secret wants to know why, and that stands on the audit log.

use serde_json::{Value as Json, json};
use testkit::{Answer, Api};

use crate::house::{House, Plan, ended, until};

const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";

/// The repository of a customer's service, as if a host had made it.
fn repository(house: &House, owner: &Api) -> String {
    let offerings = owner.get("/tmf-api/productCatalogManagement/v4/productOffering?lifecycleStatus=Launched").unwrap();
    let item = json!({ "id": "1", "action": "add", "productOffering": { "id": offerings[0]["id"] }, "product": { "name": "shop" } });
    let order = owner.post(ORDERS, &json!({ "productOrderItem": [item] })).unwrap();
    assert_eq!(ended(owner, &order)["state"], "completed");
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let service = format!("/api/v1/services/{}", owner.get(services).unwrap()[0]["id"].as_str().unwrap());
    let location = json!({ "type": "server", "url": "https://far.example" });
    let places = ["far", "farther"].map(|name| {
        let place = json!({ "name": name, "location": location, "site": "elsewhere", "immutability": "none" });
        house.admin.post("/api/v1/backup-places", &place).unwrap()["id"].clone()
    });
    let policy = json!({
        "name": "nightly", "places": places, "pruneDelayHours": 72,
        "schedule": { "calendar": "daily 02:00", "timeZone": "Asia/Taipei" }, "retention": { "last": 3 },
    });
    let policy = house.admin.post("/api/v1/backup-policies", &policy).unwrap();
    house.admin.post(&format!("{service}/protection"), &json!({ "policy": policy["id"] })).unwrap();
    owner.post(&format!("{service}/backup"), &json!({})).unwrap();
    let found = until("the repository", || {
        let all = owner.get("/api/v1/backup-repositories").unwrap();
        all["items"][0]["id"].as_str().map(str::to_owned)
    });
    let made = "UPDATE backup_repositories SET state = 'made', made_at = 0";
    house.gate.db().write(move |conn| conn.execute(made, &[]).map(drop)).unwrap();
    found
}

fn reveal(api: &Api, path: &str, body: &Json) -> Answer {
    api.send("POST", path, &[("content-type", "application/json")], Some(body.to_string().as_bytes())).unwrap()
}

#[test]
fn an_escrow_password_is_shown_for_a_reason_that_stands_on_the_audit_log() {
    let house = House::with_machines("reasons", Plan::default());
    let (_, owner) = house.customer("First");
    let path = format!("/api/v1/backup-repositories/{}/reveal-escrow", repository(&house, &owner));

    let long = "x".repeat(base::limits::REASON_BYTES_MAX + 1);
    for body in [json!({}), json!({ "reason": "" }), json!({ "reason": "  " }), json!({ "reason": long })] {
        let refused = reveal(&owner, &path, &body);
        let said = (refused.status, &refused.json["code"], &refused.json["attribute"]);
        assert_eq!(said, (400, &json!("reason.missing"), &json!("reason")), "{}", refused.text);
    }
    let senseless = reveal(&owner, &path, &json!({ "reason": 7 }));
    assert_eq!((senseless.status, &senseless.json["code"]), (400, &json!("input.malformed")), "{}", senseless.text);

    let told = reveal(&owner, &path, &json!({ "reason": " 我們要換供應商 " }));
    let password = told.json["password"].as_str().unwrap_or_else(|| panic!("{}", told.text));
    assert!(told.status == 200 && password.len() > 20);
    let shown = "/api/v1/audit/entries?action=backup.reveal_escrow&outcome=done";
    let entries = until("the entry", || Some(owner.get(shown).unwrap()).filter(|all| all["items"][0].is_object()));
    let items = entries["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["reason"]), (1, &json!("我們要換供應商")), "{entries:#}");
    assert!(!entries.to_string().contains(password), "the log says who was shown it, and not what");
    let repositories = owner.get("/api/v1/backup-repositories").unwrap();
    assert!(repositories["items"][0]["revealedAt"].is_string(), "{repositories:#}");
}
