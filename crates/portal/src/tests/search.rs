//! Everything is found by those who may list it, and by nobody else.

use super::*;
use continuity::backups::{places as backup_places, policies};
use gate::AnyAction;
use gate::search::{FIND, Found, Search};
use resources::{images, places};
use serde_json::{Value as Json, json};

/// Does something as the platform for `tenant`, and gives the identifier of what it made.
fn make(house: &House, tenant: TenantId, action: &'static dyn AnyAction, input: Json) -> String {
    let made = action.run_json(&house.gate, &Cx::system("test", tenant), input).unwrap();
    made["id"].as_str().unwrap_or_default().to_owned()
}

/// The kinds of which something is found, as the platform sees it from `tenant`.
fn found(house: &House, cx: &Cx, q: &str) -> Found {
    house.gate.run(cx, &FIND, Search { q: q.to_owned(), ..Default::default() }).unwrap()
}

fn kinds(found: &Found) -> Vec<&str> {
    found.groups.iter().map(|group| group.kind.as_str()).collect()
}

/// Things of many kinds that all have a word beginning with `harbour`.
fn filled(house: &House) -> Vec<(&'static str, String)> {
    let operator = house.gate.operator().unwrap();
    let site = make(house, operator, &places::CREATE_SITE, json!({ "name": "Harbour east", "place": "Kaohsiung" }));
    let pool = make(house, operator, &places::CREATE_POOL, json!({ "name": "harbour-pool", "site": site }));
    let subnet =
        json!({ "name": "Harbour net", "pool": pool, "cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "bridge": "br0" });
    let subnet = make(house, operator, &places::CREATE_SUBNET, subnet);
    let image = json!({ "name": "harbour-image", "sha256": "ab".repeat(32), "bytes": 10 });
    let image = make(house, operator, &images::REGISTER, image);
    let place = |name: &str| {
        let location = json!({ "type": "server", "url": format!("https://{name}.example.com:8430") });
        let input = json!({ "name": format!("Harbour {name}"), "location": location, "site": "elsewhere" });
        make(house, operator, &backup_places::CREATE, input)
    };
    let (place, second) = (place("vault"), place("cellar"));
    let rules = json!({
        "name": "Harbour nightly", "schedule": { "calendar": "daily 02:00", "timeZone": "Asia/Taipei" },
        "places": [place, second],
    });
    let policy = make(house, operator, &policies::CREATE, rules);
    let runbook = json!({ "title": "Harbour flood", "purpose": "Stay dry", "steps": [{ "text": "Close the gates" }] });
    let runbook = make(house, operator, &continuity::runbooks::CREATE, runbook);
    let person =
        json!({ "name": "Harbour Wu", "duty": "Leads", "phone": "+886 2 5555 0000", "email": "wu@example.com" });
    let contact = make(house, operator, &continuity::plan::contacts::CREATE, person);
    let thing = json!({ "kind": "power", "name": "Harbour feed" });
    let thing = make(house, operator, &continuity::inventory::actions::ADD, thing);
    vec![
        ("site", site),
        ("pool", pool),
        ("subnet", subnet),
        ("image", image),
        ("backupPlace", place),
        ("backupPolicy", policy),
        ("runbook", runbook),
        ("contact", contact),
        ("inventory", thing),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn things_of_every_kind_are_found_by_name_and_by_identifier() {
    let house = House::new();
    let made = filled(&house);
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/search?q=harbour").await;
    for (kind, id) in &made {
        b.expect(StatusCode::OK, id);
        b.get(&format!("/search?q={}", &id[..id.len() - 2])).await.expect(StatusCode::OK, id);
        b.get(&format!("/search?q={id}&lang=zh")).await.expect(StatusCode::OK, id);
        assert!(b.page.contains("稽核紀錄") || b.page.contains("lang=\"zh-Hant-TW\""), "{kind}: {}", b.page);
        b.get("/search?q=harbour&lang=en").await;
    }
    for words in ["Backup places", "Continuity team", "Runbooks", "Subnets", "Images"] {
        b.expect(StatusCode::OK, words);
    }
    // Whoever has only the address finds who holds it; here the subnet keeps its gateway.
    b.get("/search?q=192.0.2.1").await.expect(StatusCode::OK, "Addresses and ports");
    b.get("/search?q=machine%20S").await.expect(StatusCode::OK, "/operator/offerings/pof_");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_that_is_found_has_its_name_and_its_place_on_the_page() {
    let catalogue = catalogue();
    let shown: std::collections::BTreeSet<&str> = crate::search::KINDS.iter().map(|(kind, ..)| *kind).collect();
    let all: std::collections::BTreeSet<&str> = catalogue.kinds_found().collect();
    assert_eq!(shown, all);
    assert_eq!(shown.len(), crate::search::KINDS.len(), "none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_finds_nothing_of_the_operators_and_nothing_of_a_neighbours() {
    let house = House::new();
    let made = filled(&house);
    let brightwater = customer(&house, "Brightwater", "owner@example.com");
    customer(&house, "Neighbour", "other@example.com");
    let notes = json!({ "title": "Harbour rules", "purpose": "Ours", "steps": [{ "text": "Read them" }] });
    let theirs = make(&house, brightwater, &continuity::runbooks::CREATE, notes);
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/search?q=harbour").await.expect(StatusCode::OK, &theirs);
    let mut other = join(&house, "other@example.com").await;
    for (_, id) in made.iter().map(|(kind, id)| (kind, id.as_str())).chain([(&"runbook", theirs.as_str())]) {
        for q in ["harbour", id, &id[..8]] {
            other.get(&format!("/search?q={q}")).await;
            // What was typed stands on the page; a thing of that name or a link to it does not.
            assert!(!other.page.contains("<th scope=\"row\">"), "{q}: {}", other.page);
        }
    }
    for q in ["192.0.2.1", "1", "ten_0", "acc_0", "Brightwater"] {
        other.get(&format!("/search?q={q}")).await;
        assert!(!other.page.contains("Brightwater</a>") && !other.page.contains("Cloud &#38; Co</a>"), "{q}");
        assert!(!other.page.contains("Addresses and ports"), "{q}");
    }
}

/// What others have does not stand in the way, however much it is and however many departments one looks into.
#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_is_half_remembered_is_found_among_many_of_others() {
    let house = House::new();
    let (own, neighbour) = (customer(&house, "Own", "o@example.com"), customer(&house, "Neighbour", "n@example.com"));
    let runbook = |tenant| {
        let notes = json!({ "title": "Rules", "purpose": "Ours", "steps": [{ "text": "Read them" }] });
        make(&house, tenant, &continuity::runbooks::CREATE, notes)
    };
    let others: Vec<String> = (0..200).map(|_| runbook(neighbour)).collect();
    let wanted = runbook(own);
    let begin: String = wanted.chars().zip(others[0].chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let departments = (1_000..1_020).map(base::id::TenantId);
    let scope = db::records::Scope::Tenants { own: departments.chain([own]).collect(), above: vec![] };
    let cx = Cx::new(gate::Actor::Account(base::id::AccountId(7)), own, scope, ["owner".to_owned()].into());
    let seen = found(&house, &cx, &begin);
    let ids: Vec<&str> = seen.groups.iter().flat_map(|group| &group.hits).map(|hit| hit.id.as_str()).collect();
    assert_eq!(ids, [wanted.as_str()], "{begin}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_that_there_are_more() {
    let house = House::new();
    for number in 0..=base::limits::SEARCH_MAX {
        customer(&house, &format!("Wang {number}"), &format!("wang{number}@example.com"));
    }
    let operator = house.gate.operator().unwrap();
    let cx = Cx::new(
        gate::Actor::Account(base::id::AccountId(7)),
        operator,
        db::records::Scope::All,
        ["administrator".to_owned()].into(),
    );
    let seen = found(&house, &cx, "wang");
    let tenants = seen.groups.iter().find(|group| group.kind == "tenant").unwrap();
    assert_eq!((tenants.hits.len(), tenants.more), (base::limits::SEARCH_MAX, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesser_role_finds_what_its_lists_show_and_no_more() {
    let house = House::new();
    filled(&house);
    let operator = house.gate.operator().unwrap();
    // A product manager lists pools and images, and neither sites nor places nor the team.
    let cx = |role: &str| {
        let scope = db::records::Scope::Tenants { own: vec![operator], above: vec![] };
        Cx::new(gate::Actor::Account(base::id::AccountId(7)), operator, scope, [role.to_owned()].into())
    };
    let seen = found(&house, &cx("product-manager"), "harbour");
    assert_eq!(kinds(&seen), ["pool", "image"]);
    assert_eq!(kinds(&found(&house, &cx("billing-clerk"), "harbour")), [""; 0]);
    let auditor = found(&house, &cx("auditor"), "harbour");
    let all = ["site", "pool", "subnet", "image", "backupPlace", "backupPolicy", "inventory", "runbook", "contact"];
    assert_eq!(kinds(&auditor), all);
    let nobody = Cx::nobody(operator);
    let refused = house.gate.run(&nobody, &FIND, Search { q: "harbour".into(), ..Default::default() }).unwrap_err();
    assert_eq!(refused.kind(), base::Kind::Unauthenticated);
    // What is asked for by a kind that is not there is said; so is what is too long.
    for (input, code) in [
        (Search { q: "x".into(), kind: Some("hosts".into()), lang: None }, "search.kind_unknown"),
        (Search { q: "x".repeat(201), ..Default::default() }, "search.too_long"),
    ] {
        assert_eq!(house.gate.run(&cx("auditor"), &FIND, input).unwrap_err().code(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_people_find_customers_things_only_where_they_see_inside() {
    let house = House::new();
    let brightwater = customer(&house, "Brightwater", "owner@example.com");
    let operator = house.gate.operator().unwrap();
    let plan = json!({ "title": "Harbour rules", "purpose": "Ours", "steps": [{ "text": "Read them" }] });
    make(&house, brightwater, &continuity::runbooks::CREATE, plan);
    let hook = json!({ "kind": "power", "name": "Harbour lamp" });
    make(&house, brightwater, &continuity::inventory::actions::ADD, hook);
    let cx = |roles: &[&str], scope| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Cx::new(gate::Actor::Account(base::id::AccountId(7)), operator, scope, roles)
    };
    let outside = db::records::Scope::Tenants { own: vec![operator], above: vec![] };
    let without = cx(&["administrator"], outside);
    assert_eq!(kinds(&found(&house, &without, "bright")), ["tenant"], "who is a customer is no secret here");
    join(&house, "owner@example.com").await;
    assert_eq!(kinds(&found(&house, &without, "owner@example.com")), [""; 0], "their people are theirs");
    let within = cx(&["administrator", "support"], db::records::Scope::All);
    assert_eq!(kinds(&found(&house, &within, "owner@example.com")), ["account"]);
    // The plan and what it rests on are shown to those who act in the tenant.
    assert_eq!(kinds(&found(&house, &within, "harbour")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_renamed_removed_or_told_is_found_as_it_is_now() {
    let house = House::new();
    let operator = house.gate.operator().unwrap();
    let system = Cx::system("test", operator);
    let site = make(&house, operator, &places::CREATE_SITE, json!({ "name": "Pier" }));
    let pool = make(&house, operator, &places::CREATE_POOL, json!({ "name": "lighthouse", "site": site }));
    let renamed = serde_json::from_value(json!({ "id": pool, "name": "beacon" })).unwrap();
    house.gate.run(&system, &places::UPDATE_POOL, renamed).unwrap();
    assert_eq!(kinds(&found(&house, &system, "lighthouse")), [""; 0]);
    assert_eq!(kinds(&found(&house, &system, "beac")), ["pool"]);

    let person = json!({ "name": "Keeper Lin", "duty": "Lamp", "phone": "1", "email": "lin@example.com" });
    let contact = make(&house, operator, &continuity::plan::contacts::CREATE, person);
    assert_eq!(kinds(&found(&house, &system, "keeper")), ["contact"]);
    let gone = serde_json::from_value(json!({ "id": contact })).unwrap();
    house.gate.run(&system, &continuity::plan::contacts::REMOVE, gone).unwrap();
    assert_eq!(kinds(&found(&house, &system, "keeper")), [""; 0]);

    // What somebody was told they find; others of their tenant who were told nothing do not.
    let mut admin = Browser::new(&house);
    admin.sign_in("admin@example.com").await;
    customer(&house, "Brightwater", "owner@example.com");
    let mut owner = join(&house, "owner@example.com").await;
    let fields = [("title", "Foghorn test"), ("text", "On Friday."), ("audience", "customers")];
    admin.get("/announcements/new").await.post("/announcements/new", &fields).await;
    assert_eq!(admin.status, StatusCode::SEE_OTHER, "{}", admin.page);
    owner.get("/search?q=foghorn").await.expect(StatusCode::OK, "Announcements");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_a_thing_is_found_by_its_identifier() {
    let house = House::new();
    let operator = house.gate.operator().unwrap();
    let site = make(&house, operator, &places::CREATE_SITE, json!({ "name": "Pier" }));
    let now = house.gate.now();
    house.gate.db().write(move |conn| gate::audit::sequence(conn, "test", now)).unwrap();
    let system = Cx::system("test", operator);
    let of_site = found(&house, &system, &site);
    assert_eq!(kinds(&of_site), ["site", "auditEntry"]);
    let entry = &of_site.groups[1].hits[0];
    assert_eq!((entry.name.as_str(), entry.about.as_str()), ("site.create", site.as_str()));
    // An entry is found by its number as well.
    let by_number = found(&house, &system, &entry.id);
    assert!(by_number.groups.iter().any(|group| group.kind == "auditEntry" && group.hits[0].id == entry.id));
}
