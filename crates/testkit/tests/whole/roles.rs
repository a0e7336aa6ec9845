//! Who may do what, over HTTP: every operation of the OpenAPI documents as
//! nobody, in every role and across tenants. What is expected stands in the
//! committed table `docs/reference/permissions.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use testkit::{Answer, Api};

use crate::house::{House, Plan, ended, until};

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    method: String,
    path: String,
    /// The action that it runs.
    action: String,
    /// Parameters in the path that are numbers.
    numbers: bool,
    /// Whether the document says that one need not be signed in.
    open: bool,
}

fn operations(api: &Api) -> Vec<Operation> {
    let mut all = Vec::new();
    for document in ["/api/v1/openapi.json", "/tmf-api/openapi.json"] {
        let document = api.get(document).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().unwrap();
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    action: operation["operationId"].as_str().unwrap().split('@').next().unwrap().to_owned(),
                    numbers: parameters.iter().any(|p| p["in"] == "path" && p["schema"]["type"] == "integer"),
                    open: operation["security"] == json!([]),
                });
            }
        }
    }
    assert!(all.len() > 220, "only {} operations were found", all.len());
    all
}

impl Operation {
    /// Its path with `id` in every place.
    fn at(&self, id: &str) -> String {
        let id = if self.numbers { "0" } else { id };
        self.path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/")
    }

    /// Asks for it with a body that says nothing.
    fn ask(&self, api: &Api, id: &str, acting: Option<&str>) -> Answer {
        let kind = if self.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut headers = vec![("content-type", kind)];
        headers.extend(acting.map(|tenant| ("x-yunwei-tenant", tenant)));
        let body = match self.action.as_str() {
            "hub.subscribe" => "{\"callback\":\"https://example.com/\"}",
            // What is asked of a provider comes before the transaction that decides, and reading before that.
            "identityProvider.create" => "{\"name\":\"x\",\"issuer\":\"https://192.0.2.1\",\"client_id\":\"x\"}",
            "identityLink.complete" => {
                "{\"provider\":\"idp_00000000000000000000000000\",\"ticket\":\"x\",\"state\":\"x\",\"code\":\"x\"}"
            }
            _ => "{}",
        };
        let body = matches!(self.method.as_str(), "POST" | "PATCH" | "PUT").then_some(body.as_bytes());
        let path = self.at(id);
        let sent = api.send(&self.method, &path, &headers, body);
        sent.unwrap_or_else(|error| panic!("{} {path}: {error}", self.method))
    }
}

/// The committed table: what stands for each action in the column of each role.
fn permissions() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/permissions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let head = cells(page.lines().find(|line| line.starts_with("| action |")).unwrap());
    let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains('.'));
    let row = |line: &str| {
        let mut cells = cells(line).into_iter();
        let action = cells.next().unwrap().trim_matches('`').to_owned();
        (action, head.iter().skip(1).cloned().zip(cells).collect())
    };
    rows.map(row).collect()
}

const OPERATORS: [&str; 6] = ["administrator", "operations", "product-manager", "billing-clerk", "auditor", "support"];
const CUSTOMERS: [&str; 4] = ["owner", "member", "billing-viewer", "viewer"];
/// What only the operator's staff may ever ask about: it knows no tenants.
const INSIDE: [&str; 12] = [
    "job",
    "reconciler",
    "host",
    "hostInvitation",
    "pool",
    "site",
    "subnet",
    "capacity",
    "reservation",
    "claim",
    "intent",
    "orphan",
];

#[test]
fn every_operation_is_open_to_those_roles_that_the_table_says_and_to_no_other() {
    let house = House::new("roles", Plan::default());
    let (_, owner) = house.customer("First");
    let (operations, table) = (operations(&house.admin), permissions());
    let mut wrong = Vec::new();
    let nobody = house.admin.as_token("");
    for operation in &operations {
        let (status, open) = (operation.ask(&nobody, "none", None).status, &table[&operation.action]["nobody"]);
        let fits = match operation.action.as_str() {
            _ if !open.is_empty() => status != 401 && status < 500,
            // Hashing comes before the transaction that decides, and reading before hashing.
            "password.change" => status == 400,
            _ => status == 401,
        };
        assert_eq!(operation.open, !open.is_empty(), "{operation:?}");
        wrong.extend((!fits).then(|| format!("nobody: {operation:?} is answered {status}")));
    }
    let people = OPERATORS.into_iter().chain(CUSTOMERS).map(|role| {
        let inviting = if OPERATORS.contains(&role) { &house.admin } else { &owner };
        (role, house.person(inviting, &format!("{role}@people.example"), role))
    });
    let people: Vec<(&str, Api)> = people.collect();
    std::thread::scope(|scope| {
        let tries: Vec<_> =
            people.iter().map(|(role, api)| scope.spawn(|| beyond(role, api, &operations, &table))).collect();
        tries.into_iter().for_each(|tried| wrong.extend(tried.join().unwrap()));
    });
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// What somebody in that role is answered otherwise than the table says.
fn beyond(
    role: &str,
    api: &Api,
    operations: &[Operation],
    table: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for operation in operations {
        let holds = |action: &str| !table[action][role].is_empty();
        // Whoever subscribes hears of everything at that API, and must be allowed to read it.
        let heard = operation.path.strip_suffix("/hub").unwrap_or("?");
        let mut reads = operations.iter().filter(|o| o.action.ends_with(".get") && o.path.starts_with(heard));
        let may = holds(&operation.action) && reads.all(|o| holds(&o.action));
        let noun = operation.action.split('.').next().unwrap();
        assert!(!may || OPERATORS.contains(&role) || !INSIDE.contains(&noun), "{role} reaches {}", operation.action);
        let answer = operation.ask(api, "none", None);
        let fits = answer.status < 500 && answer.status != 401 && (answer.status == 403) != may;
        wrong.extend((!fits).then(|| format!("{role}, may: {may}: {operation:?} is answered {}", answer.text)));
    }
    wrong
}

/// Everything that somebody sees in all lists, by path.
fn lists(api: &Api, operations: &[Operation]) -> BTreeMap<String, Json> {
    let mut seen = BTreeMap::new();
    for operation in operations.iter().filter(|o| o.method == "GET" && !o.path.contains('{')) {
        let path =
            format!("{}{}", operation.path, if operation.path.starts_with("/tmf-api") { "?limit=1000" } else { "" });
        let answer = api.send("GET", &path, &[], None).unwrap();
        if answer.status == 200 {
            seen.insert(operation.path.clone(), answer.json);
        }
    }
    seen
}

/// Every identifier in a document: `prefix_` and 26 letters.
fn ids(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => {
            found.extend(text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter_map(|word| {
                let (prefix, rest) = word.rsplit_once('_')?;
                (!prefix.is_empty() && rest.len() == 26).then(|| word.to_owned())
            }))
        }
        Json::Array(entries) => entries.iter().for_each(|entry| ids(entry, found)),
        Json::Object(body) => body.values().for_each(|value| ids(value, found)),
        _ => {}
    }
}

fn all_ids(lists: &BTreeMap<String, Json>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    lists.values().for_each(|json| ids(json, &mut found));
    found
}

/// A record of every kind that a customer can have, ended so that it stays as it is.
fn furnish(house: &House, owner: &Api) {
    let make = |path: &str, body: Json| owner.post(path, &body).unwrap();
    let party = make("/tmf-api/party/v4/organization", json!({ "tradingName": "Secret partner" }));
    make("/tmf-api/party/v4/individual", json!({ "givenName": "Secret", "familyName": "Person" }));
    let reference = json!({ "id": party["id"], "@referredType": "Organization", "name": "Secret partner" });
    make("/tmf-api/customerManagement/v4/customer", json!({ "name": "Secret customer", "engagedParty": reference }));
    make(
        "/tmf-api/accountManagement/v4/billingAccount",
        json!({ "name": "Secret account", "relatedParty": [reference] }),
    );
    make("/tmf-api/productOrderingManagement/v4/hub", json!({ "callback": "https://secret.example/" }));
    make("/api/v1/invitations", json!({ "email": "secret@first.example", "name": "Secret", "roles": ["viewer"] }));
    let offerings = owner.get("/tmf-api/productCatalogManagement/v4/productOffering?lifecycleStatus=Launched").unwrap();
    let item = json!({ "id": "1", "action": "add", "productOffering": { "id": offerings[0]["id"] }, "product": { "name": "secret" } });
    let orders = "/tmf-api/productOrderingManagement/v4/productOrder";
    let order = |wanted: &str| {
        let done = ended(owner, &make(orders, json!({ "productOrderItem": [item], "description": "secret" })));
        assert_eq!(done["state"], wanted, "{done:#}");
    };
    order("completed");
    let open = make(orders, json!({ "productOrderItem": [item] }));
    make("/tmf-api/productOrderingManagement/v4/cancelProductOrder", json!({ "productOrder": { "id": open["id"] } }));
    assert_eq!(ended(owner, &open)["state"], "cancelled");
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let services = owner.get(services).unwrap();
    make(&format!("/api/v1/services/{}/terminate", services[0]["id"].as_str().unwrap()), json!({}));
    until("the end of the machine", || house.machines.as_ref().unwrap().truth().is_empty().then_some(()));
    until("a bill", || {
        house.admin.post("/api/v1/bills/run", &json!({})).unwrap();
        let bills = owner.get("/tmf-api/customerBillManagement/v4/customerBill").unwrap();
        (!bills.as_array().unwrap().is_empty()).then_some(())
    });
    let flows = || owner.get("/api/v1/flows").unwrap().to_string();
    until("the end of all flows", || (!flows().contains("\"running\"")).then_some(()));
}

/// What the owner sees, without what is noted of every look.
fn still(api: &Api, operations: &[Operation]) -> BTreeMap<String, Json> {
    let mut seen = lists(api, operations);
    for noted in
        ["/api/v1/tokens", "/api/v1/sessions", "/api/v1/audit/entries", "/api/v1/audit/checkpoint", "/api/v1/jobs"]
    {
        seen.remove(noted);
    }
    // What is put together when it is asked for says when that was.
    for answer in seen.values_mut().filter_map(Json::as_object_mut) {
        answer.remove("printedAt");
    }
    seen
}

#[test]
fn nothing_of_one_tenant_is_seen_found_or_changed_by_another() {
    let house = House::with_machines("tenants", Plan::default());
    let (_, stranger) = house.customer("Second");
    let operations = operations(&house.admin);
    let common = all_ids(&lists(&stranger, &operations));
    let (tenant, owner) = house.customer("First");
    furnish(&house, &owner);
    let before = still(&owner, &operations);
    let own: BTreeSet<String> = all_ids(&lists(&owner, &operations)).difference(&common).cloned().collect();
    let kinds: BTreeSet<&str> = own.iter().filter_map(|id| id.rsplit_once('_').map(|(prefix, _)| prefix)).collect();
    println!("{} identifiers of {} sorts: {kinds:?}", own.len(), kinds.len());
    assert!(kinds.len() >= 20, "{kinds:?}");

    let operator = |role: &str| house.person(&house.admin, &format!("{role}@staff.example"), role);
    // The operator sees its own orders, hosts and bills of this customer, so for it only acting inside is tried.
    let everybody = [
        ("another customer", stranger, true),
        ("operations", operator("operations"), false),
        ("auditor", operator("auditor"), false),
    ];
    for (who, api, elsewhere) in &everybody {
        if *elsewhere {
            let seen = lists(api, &operations);
            for (path, json) in &seen {
                let mut there = BTreeSet::new();
                ids(json, &mut there);
                let leaked: Vec<&String> = there.intersection(&own).collect();
                assert!(leaked.is_empty() && !json.to_string().contains("ecret"), "{who} sees {leaked:?} at {path}");
            }
        }
        for operation in &operations {
            let inside = operation.ask(api, "none", Some(&tenant));
            // What stays the same wherever one acts (who am I, my password) is not about a tenant.
            let about_oneself = ["session", "password", "token", "account", "invitation"]
                .contains(&operation.action.split('.').next().unwrap());
            assert!(
                matches!(inside.status, 403 | 404) || about_oneself && inside.status < 500,
                "{who} acts inside: {operation:?} {}",
                inside.text
            );
        }
    }
    let (who, stranger, _) = &everybody[0];
    let one_of_each = kinds.iter().filter_map(|kind| own.iter().find(|id| id.starts_with(&format!("{kind}_"))));
    let one_of_each: Vec<&String> = one_of_each.collect();
    let mut tried = 0;
    for operation in operations.iter().filter(|o| o.path.contains('{') && !o.numbers) {
        for id in &one_of_each {
            let answer = operation.ask(stranger, id, None);
            assert!(
                matches!(answer.status, 400 | 403 | 404),
                "{who}: {operation:?} of {id} is answered {}",
                answer.text
            );
            let said = answer.json["message"].as_str().unwrap_or_default();
            assert!(answer.json["@type"] == "Error" && !said.contains("ecret"), "{}", answer.text);
            tried += 1;
        }
    }
    assert!(tried > 2_500, "{tried}");
    let after = still(&owner, &operations);
    for (path, json) in &before {
        assert_eq!(json, &after[path], "{path} changed");
    }
}
