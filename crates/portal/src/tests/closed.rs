//! Who is let in where: every page against nobody, against a lesser role, and
//! against people of another tenant.

use super::*;
use access::invitations::actions as invitations;

/// The portal's routes as `lib.rs` declares them: path, and whether it takes GET and POST.
fn declared() -> Vec<(String, bool, bool)> {
    let source = include_str!("../lib.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| {
        let (path, rest) = rest.split_once('"')?;
        let call = rest.split("\n        .").next().unwrap_or_default();
        Some((path.to_owned(), call.contains("get("), call.contains("post(")))
    });
    let found: Vec<_> = routes.collect();
    assert!(found.len() > 60, "the routes were read: {}", found.len());
    found
}

/// Open to everybody: who one is, is settled there.
const DOORS: [&str; 16] = [
    "/sign-in",
    "/sign-in/with",
    "/sign-in/with/{id}",
    "/sign-in/provider/{id}",
    "/sign-in/provider/{id}/finish",
    "/sign-in/code",
    "/sign-in/passkey",
    "/passkey-challenge",
    "/sign-out",
    "/invitation",
    "/forgotten",
    "/reset",
    "/preferences",
    "/design",
    "/assets/{name}",
    "/favicon.ico",
];

/// A path with something plausible in each gap.
fn filled(path: &str) -> String {
    let id = "00000000000000000000000000";
    let of = |prefix: &str| path.replace("{id}", &format!("{prefix}_{id}"));
    let path = match path.split('/').nth(if path.starts_with("/operator") { 2 } else { 1 }).unwrap_or_default() {
        "orders" => of("pord"),
        "services" => of("svc"),
        "bills" => of("bill"),
        "catalog" | "offerings" => of("pof"),
        "service-accounts" => path.replace("{id}", &format!("acc_{id}")).replace("{key}", &format!("tok_{id}")),
        "identity-providers" => of("idp"),
        "account" if path.starts_with("/account/providers") => of("idp"),
        "members" => {
            path.replace("invitations/{id}", &format!("invitations/inv_{id}")).replace("{id}", &format!("acc_{id}"))
        }
        "flows" => of("run"),
        "jobs" => of("job"),
        "hosts" => of("hst"),
        "customers" => of("ten"),
        "backups" if path.contains("/places/") => of("bkpl"),
        "backups" => of("bkpo"),
        "webhooks" => of("hub"),
        "announcements" => of("annc"),
        "approvals" => of("apr"),
        "plan" => match path.split('/').nth(2).unwrap_or_default() {
            "team" => of("cont"),
            "findings" => of("find"),
            "exercises" => of("exer"),
            _ => of("rnbk"),
        },
        _ => path.replace("tokens/{id}", &format!("tokens/tok_{id}")).replace("{id}", &format!("ses_{id}")),
    };
    path.replace("{number}", "1").replace("{verb}", "retry").replace("{line}", "acbr_1").replace("{delivery}", "dlv_1")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_signing_in() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    for (path, get, post) in declared().into_iter().filter(|(path, ..)| !DOORS.contains(&path.as_str())) {
        let path = filled(&path);
        if get {
            browser.get(&path).await;
            assert_eq!(browser.status, StatusCode::SEE_OTHER, "GET {path}");
            assert!(browser.location.starts_with("/sign-in?next="), "GET {path} leads to {}", browser.location);
        }
        if post {
            browser.get("/sign-in").await.post(&path, &[("reason", "none")]).await;
            assert_eq!(browser.status, StatusCode::SEE_OTHER, "POST {path}: {}", browser.page);
            assert!(browser.location.starts_with("/sign-in?next="), "POST {path} leads to {}", browser.location);
        }
    }
}

/// What anybody may change who is signed in: what is their own.
const OWN: [&str; 10] = [
    "/account/factors",
    "/account/factors/recovery-codes",
    "/account/step-up",
    "/preferences",
    "/account",
    "/account/password",
    "/account/tokens",
    "/account/sessions/end",
    "/account/sessions/{id}/end",
    "/account/tokens/{id}/revoke",
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_only_look_changes_nothing_and_sees_no_back_office() {
    let house = House::new();
    let tenant = customer(&house, "Brightwater", "owner@example.com");
    let invite = invitations::InviteAccount {
        tenant: Some(tenant),
        email: "viewer@example.com".into(),
        name: "Vera".into(),
        locale: Some("en".into()),
        roles: vec!["viewer".into()],
    };
    house.gate.run(&Cx::system("admin", tenant), &invitations::INVITE, invite).unwrap();
    let mut viewer = join(&house, "viewer@example.com").await;
    for (path, get, post) in declared().into_iter().filter(|(path, ..)| !DOORS.contains(&path.as_str())) {
        let at = filled(&path);
        if get && path.starts_with("/operator") {
            viewer.get(&at).await;
            // A form that says nothing of anybody is no secret; sending it is refused below.
            let blank = [
                "/operator/customers/new",
                "/operator/images/new",
                "/operator/images/upload",
                "/operator/jobs/{id}/{verb}",
            ]
            .contains(&path.as_str());
            let refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&viewer.status);
            let empty = viewer.status == StatusCode::OK
                && ["/operator/orders", "/operator/flows", "/operator/offerings", "/operator/customers"]
                    .contains(&path.as_str());
            assert!(refused || blank || empty, "GET {at}: {} {}", viewer.status, viewer.page);
        }
        if post && !OWN.contains(&path.as_str()) {
            let fields = [
                ("reason", "because"),
                ("name", "x"),
                ("email", "x@example.com"),
                ("role", "viewer"),
                ("owner-name", "x"),
                ("owner-email", "x@example.com"),
                ("place", "x"),
                ("pool-name", "x"),
                ("site", "sit_00000000000000000000000000"),
                ("pool", "pol_00000000000000000000000000"),
                ("tenant", "ten_00000000000000000000000000"),
                ("note", "x"),
                ("callback", "https://example.com/hook"),
                ("api", "/tmf-api/productOrderingManagement/v4"),
                ("sha256", "0f1a5c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a9988"),
                ("bytes", "1"),
                ("format", "raw"),
            ];
            viewer.get("/account").await.post(&at, &fields).await;
            assert!(viewer.status.is_client_error(), "POST {at}: {} {}", viewer.status, viewer.location);
        }
    }
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/webhooks").await.expect(StatusCode::OK, "No subscriptions yet");
    owner.get("/members").await;
    assert!(!owner.page.contains("x@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_webhook_and_people_are_nobodys_business() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    customer(&house, "Neighbour", "other@example.com");
    let mut owner = join(&house, "owner@example.com").await;
    let fields =
        [("api", "/tmf-api/productOrderingManagement/v4"), ("callback", "https://203.0.113.9/hook"), ("query", "")];
    owner.get("/webhooks").await.post("/webhooks", &fields).await;
    owner.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-callback-error");
    let fields = [
        ("api", "/tmf-api/productOrderingManagement/v4"),
        ("callback", "https://example.com/hook"),
        ("query", "nonsense"),
    ];
    owner.post("/webhooks", &fields).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-query-error");
    let fields =
        [("api", "/tmf-api/productOrderingManagement/v4"), ("callback", "https://example.com/hook"), ("query", "")];
    owner.post("/webhooks", &fields).await.expect(StatusCode::OK, "whsec_");
    owner.get("/webhooks").await.expect(StatusCode::OK, "https://example.com/hook");
    assert!(!owner.page.contains("whsec_"), "the secret is shown once");
    let hook = owner.page.split("href=\"/webhooks/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    owner.get(&format!("/webhooks/{hook}")).await.expect(StatusCode::OK, "No notifications yet");
    let mut other = join(&house, "other@example.com").await;
    other.get(&format!("/webhooks/{hook}")).await.expect(StatusCode::NOT_FOUND, "request-id");
    other.get(&format!("/webhooks/{hook}/end")).await.expect(StatusCode::NOT_FOUND, "request-id");
    other.get("/account").await.post(&format!("/webhooks/{hook}/end"), &[]).await;
    assert!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&other.status), "{}", other.status);
    other.get("/search?q=owner").await.expect(StatusCode::OK, "Nothing found");
    other.get("/search?q=neighb").await;
    assert!(!other.page.contains("Brightwater"));
    owner.get(&format!("/webhooks/{hook}/end")).await.post(&format!("/webhooks/{hook}/end"), &[]).await;
    assert_eq!(owner.location, "/webhooks");
    owner.get("/webhooks").await.expect(StatusCode::OK, "No subscriptions yet");
}
