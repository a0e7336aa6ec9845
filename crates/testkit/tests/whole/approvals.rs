//! The end of a service needs a second person, by whatever way it is asked for, and is done by two.

use serde_json::{Value as Json, json};
use testkit::{Answer, Api, Installation};

use crate::house::{House, Plan, ended, until};

const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";

/// A session as a browser has it: its cookie, and what its scripts send along.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    fn open(api: &Api, email: &str) -> Browser {
        let nobody = api.as_token("");
        let body = json!({ "email": email, "password": Installation::PASSWORD });
        let opened = nobody.post("/api/v1/sessions", &body).unwrap();
        let word = |name: &str| opened[name].as_str().unwrap().to_owned();
        Browser { cookie: format!("yunwei_session={}", word("secret")), csrf: word("csrf") }
    }

    fn post(&self, api: &Api, path: &str, body: &Json) -> Answer {
        let headers =
            [("cookie", self.cookie.as_str()), ("x-csrf-token", &self.csrf), ("content-type", "application/json")];
        api.as_token("").send("POST", path, &headers, Some(body.to_string().as_bytes())).unwrap()
    }
}

fn send(api: &Api, method: &str, path: &str, reason: Option<&str>, body: &Json) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(reason.map(|reason| ("approval-reason", reason)));
    api.send(method, path, &headers, Some(body.to_string().as_bytes())).unwrap()
}

#[test]
fn a_service_is_ended_by_two_people_and_by_no_other_way() {
    let house = House::with_machines("approvals", Plan::default());
    let (_, owner) = house.customer("First");
    let second = house.person(&owner, "second@first.example", "owner");
    let offerings = owner.get("/tmf-api/productCatalogManagement/v4/productOffering?lifecycleStatus=Launched").unwrap();
    let item = json!({ "id": "1", "action": "add", "productOffering": { "id": offerings[0]["id"] }, "product": { "name": "shop" } });
    let order = owner.post(ORDERS, &json!({ "productOrderItem": [item] })).unwrap();
    assert_eq!(ended(&owner, &order)["state"], "completed");
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let service = owner.get(services).unwrap()[0].clone();
    let product = owner.get("/tmf-api/productInventory/v4/product").unwrap()[0]["id"].clone();
    let terminate = format!("/api/v1/services/{}/terminate", service["id"].as_str().unwrap());
    let deleting = json!({ "productOrderItem": [{ "id": "1", "action": "delete", "product": { "id": product } }] });

    let rule = send(&owner, "PUT", "/api/v1/approvals/rule", None, &json!({ "actions": ["service.terminate"] }));
    assert_eq!(rule.status, 200, "{}", rule.text);
    // Alone: by its own name, and as the order that does the same.
    for (path, body) in [(terminate.as_str(), json!({})), (ORDERS, deleting.clone())] {
        let refused = send(&owner, "POST", path, None, &body);
        assert_eq!((refused.status, refused.json["code"].as_str()), (403, Some("approval.required")), "{path}");
    }
    // Whoever says why has it asked for, with the same input.
    let asked = |path: &str, body: &Json| {
        let answer = send(&owner, "POST", path, Some("%E7%A5%A8%204711"), body);
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.json["reason"], "票 4711");
        let at = format!("/api/v1/approvals/{}", answer.json["id"].as_str().unwrap());
        assert_eq!(answer.header("location"), Some(at.as_str()));
        answer.json
    };
    let (plain, by_order) = (asked(&terminate, &json!({})), asked(ORDERS, &deleting));
    assert_eq!(plain["amountsTo"], by_order["amountsTo"]);
    assert_eq!((plain["objectName"].as_str(), plain["object"]["kind"].as_str()), (Some("shop"), Some("service")));
    assert_eq!(by_order["object"]["kind"], "product");
    assert!(!house.machines.as_ref().unwrap().truth().is_empty());

    // A day passes, for those who were made owners today.
    house.gate.db().write(|conn| conn.execute("UPDATE role_grants SET granted_at = 0", &[]).map(drop)).unwrap();
    let decide = |approval: &Json| format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    let digest = |approval: &Json| json!({ "digest": approval["digest"] });
    let by_token = send(&second, "POST", &decide(&plain), None, &digest(&plain));
    assert_eq!(by_token.json["code"], "approval.by_hand", "{}", by_token.text);
    let own = Browser::open(&house.admin, "owner@first.example").post(&house.admin, &decide(&plain), &digest(&plain));
    assert_eq!(own.json["code"], "approval.own", "{}", own.text);
    let hand = Browser::open(&house.admin, "second@first.example");
    let done = hand.post(&house.admin, &decide(&plain), &digest(&plain));
    assert_eq!((done.status, done.json["state"].as_str()), (200, Some("done")), "{}", done.text);
    let order = json!({ "id": done.json["result"]["productOrder"] });
    assert_eq!(ended(&owner, &order)["state"], "completed");
    until("the end of the machine", || house.machines.as_ref().unwrap().truth().is_empty().then_some(()));

    // The other way to the same end finds it changed: approved, it does nothing.
    let late = hand.post(&house.admin, &decide(&by_order), &digest(&by_order));
    assert_eq!((late.status, late.json["state"].as_str()), (200, Some("failed")), "{}", late.text);
    // To need nobody any more takes two.
    let alone = send(&owner, "PUT", "/api/v1/approvals/rule", None, &json!({ "actions": [] }));
    assert_eq!(alone.json["code"], "approval.required", "{}", alone.text);
}
