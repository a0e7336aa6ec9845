//! The end of a service needs a second person, by whatever way it is asked for, and is done by two; so do changes of
//! records and removals, where a rule says so.

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

/// Two people of a tenant of whom each can decide what the other asks for.
struct Two<'a> {
    api: &'a Api,
    hand: Browser,
    at: &'a Api,
}

impl Two<'_> {
    /// Refused alone; asked for with a reason: the request that waits.
    fn asked(&self, method: &str, path: &str, body: &Json) -> Json {
        let send = |reason: Option<&str>| {
            let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            let mut headers = vec![("content-type", kind)];
            headers.extend(reason.map(|reason| ("approval-reason", reason)));
            let body = body.to_string();
            self.api.send(method, path, &headers, Some(body.as_bytes()).filter(|_| method != "DELETE")).unwrap()
        };
        let refused = send(None);
        assert_eq!(
            (refused.status, &refused.json["code"]),
            (403, &json!("approval.required")),
            "{path}: {}",
            refused.text
        );
        let asked = send(Some("because"));
        assert_eq!(asked.status, 202, "{path}: {}", asked.text);
        asked.json
    }

    fn approved(&self, asked: &Json) -> Json {
        let path = format!("/api/v1/approvals/{}/approve", asked["id"].as_str().unwrap());
        let done = self.hand.post(self.at, &path, &json!({ "digest": asked["digest"] }));
        assert_eq!(done.status, 200, "{}", done.text);
        done.json
    }
}

#[test]
fn prices_are_changed_and_people_removed_by_two_where_a_rule_says_so() {
    let house = House::new("approvals-records", Plan::default());
    let second = house.person(&house.admin, "second@yunwei.example", "administrator");
    house.admin.post("/api/v1/catalog/seed", &json!({})).unwrap();
    house.gate.db().write(|conn| conn.execute("UPDATE role_grants SET granted_at = 0", &[]).map(drop)).unwrap();
    let actions = ["productOfferingPrice.update", "productOfferingPrice.delete", "contact.remove"];
    let rule = send(&house.admin, "PUT", "/api/v1/approvals/rule", None, &json!({ "actions": actions }));
    assert_eq!(rule.status, 200, "{}", rule.text);
    let two = Two { api: &house.admin, hand: Browser::open(&house.admin, "second@yunwei.example"), at: &house.admin };

    // A price: as it is asked for, and only while it is what it was.
    const PRICES: &str = "/tmf-api/productCatalogManagement/v4/productOfferingPrice";
    let price = house.admin.get(PRICES).unwrap()[0].clone();
    let path = format!("{PRICES}/{}", price["id"].as_str().unwrap());
    let (first, other) = (json!({ "description": "first" }), json!({ "description": "other" }));
    let (asked, late) = (two.asked("PATCH", &path, &first), two.asked("PATCH", &path, &other));
    assert_eq!((&asked["amountsTo"], &asked["objectName"]), (&json!("productOfferingPrice.update"), &price["name"]));
    assert_eq!(asked["input"], json!({ "id": price["id"], "patch": first }));
    assert_eq!(house.admin.get(&path).unwrap()["description"], price["description"], "nothing was done yet");
    assert_eq!(two.approved(&asked)["state"], "done");
    assert_eq!(house.admin.get(&path).unwrap()["description"], "first");
    let failed = two.approved(&late);
    assert_eq!((&failed["state"], &failed["problem"]["code"]), (&json!("failed"), &json!("approval.object_changed")));
    // And one that nobody buys by is removed.
    let mut spare = price.clone();
    ["id", "href", "lastUpdate", "lifecycleStatus"]
        .iter()
        .for_each(|name| drop(spare.as_object_mut().unwrap().remove(*name)));
    let spare = house.admin.post(PRICES, &spare).unwrap()["id"].clone();
    let path = format!("{PRICES}/{}", spare.as_str().unwrap());
    let end = two.asked("DELETE", &path, &json!({}));
    assert_eq!((&end["amountsTo"], &end["input"]), (&json!("productOfferingPrice.delete"), &json!({ "id": spare })));
    assert_eq!(two.approved(&end)["state"], "done");
    assert_eq!(send(&house.admin, "GET", &path, None, &json!({})).status, 404);

    // Somebody of the plan's team: what is kept of it names nobody else.
    let person = |name: &str| json!({ "name": name, "duty": "decides", "phone": "0912 345 678" });
    let gone = house.admin.post("/api/v1/plan/contacts", &person("Lin")).unwrap();
    house.admin.post("/api/v1/plan/contacts", &person("Chen")).unwrap();
    let asked = two.asked("DELETE", &format!("/api/v1/plan/contacts/{}", gone["id"].as_str().unwrap()), &json!({}));
    assert_eq!((&asked["objectName"], &asked["object"]["kind"]), (&json!("Lin"), &json!("contact")), "{asked:#}");
    let done = two.approved(&asked);
    assert_eq!((&done["state"], &done["result"]), (&json!("done"), &json!({})), "{done:#}");
    let team = second.get("/api/v1/plan/contacts").unwrap();
    assert!(!team.to_string().contains("Lin") && team.to_string().contains("Chen"), "{team:#}");
}
