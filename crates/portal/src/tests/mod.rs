//! The pages over the real rooms: a private database, the product's policies
//! and catalog, and a browser that is played.

mod approvals;
mod closed;
mod factors;
mod identity_providers;
mod inventory;
mod permissions;
mod platform;
mod restoring;
mod rules;
mod search;
mod service_accounts;
mod shipping;
mod skipping;
mod unanswered;
mod uploads;

use crate::{Portal, routes};
use std::any::Any;
use std::sync::{Arc, Mutex};

use access::Secret;
use access::accounts::NewPerson;
use access::operator::{INIT, InitOperator};
use access::tenants::actions as tenants;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use base::id::{Ids, TenantId};
use base::time::Clock;
use db::testing::Scratch;
use drivers::mail::{Letter, Mail};
use durable::{Engine, Handle, Registry};
use futures_util::StreamExt as _;
use gate::{Catalogue, Cx, Gate};
use tower::ServiceExt as _;

const PASSWORD: &str = "seven lamps over the harbour";

/// Where nothing of the platform itself is brought back.
fn nowhere() -> continuity::control_plane::Installation {
    let path = std::path::PathBuf::new();
    let database = db::Location::Directory(path.clone());
    continuity::control_plane::Installation { data: path.clone(), database, program: path.clone(), server: path }
}

/// Letters that were sent, for whoever waits for one.
#[derive(Clone, Default)]
struct Letters(Arc<Mutex<Vec<Letter>>>);

impl Mail for Letters {
    fn send(&self, letter: &Letter) -> base::Result<()> {
        self.0.lock().unwrap().push(letter.clone());
        Ok(())
    }
}

/// The house without a server around it.
struct House {
    router: Router,
    portal: Portal,
    gate: Gate,
    letters: Letters,
    /// Who does what lasts; without them it stands still.
    workers: Option<Handle>,
    _scratch: Scratch,
}

fn catalogue() -> Catalogue {
    access::guarded(Catalogue::default())
        .actions(&durable::actions())
        .actions(&access::actions())
        .actions(commerce::ACTIONS)
        .actions(resources::ACTIONS)
        .actions(provisioning::ACTIONS)
        .actions(billing::ACTIONS)
        .actions(continuity::alarms::ACTIONS)
        .actions(continuity::backups::ACTIONS)
        .actions(continuity::control_plane::ACTIONS)
        .actions(continuity::datasets::ACTIONS)
        .actions(continuity::drills::ACTIONS)
        .actions(continuity::readings::ACTIONS)
        .actions(continuity::restores::ACTIONS)
        .actions(continuity::inventory::ACTIONS)
        .actions(continuity::bia::ACTIONS)
        .actions(continuity::studies::ACTIONS)
        .actions(continuity::plan::ACTIONS)
        .actions(continuity::start::ACTIONS)
        .actions(&web::hub::actions())
        .actions(gate::audit::actions::ACTIONS)
        .actions(guard::shipping::ACTIONS)
        .actions(gate::search::ACTIONS)
        .findable(access::FINDABLE)
        .findable(resources::FINDABLE)
        .findable(continuity::FINDABLE)
        .findable(durable::FINDABLE)
        .findable(web::hub::FINDABLE)
        .findable(gate::audit::actions::FINDABLE)
        .kinds(commerce::KINDS)
        .kinds(resources::KINDS)
        .kinds(provisioning::KINDS)
        .kinds(billing::KINDS)
        .guarded(&access::approvals::guard::GUARD)
}

impl House {
    fn new() -> House {
        let (_, db, scratch) = db::testing::sqlite();
        let gate = Gate::new(db, Clock::System, Ids::default(), access::POLICIES, catalogue()).unwrap();
        gate.react_with(Box::new(|tx, fact| {
            let any: &dyn Any = fact;
            match any.downcast_ref::<commerce::Fact>() {
                Some(commerce::Fact::OrderAccepted { order, .. }) => provisioning::fulfilment::accepted(tx, order),
                _ => Ok(()),
            }
        }));
        // What seals credentials of places.
        let keys = gate::keys::Keys::open(scratch.path()).unwrap();
        continuity::backups::repositories::install(&gate, keys).unwrap();
        let registry = provisioning::register(resources::register(Registry::default()));
        let registry = continuity::drills::register(registry, nowhere());
        let letters = Letters::default();
        let postman = access::Postman::new(Box::new(letters.clone()), "http://localhost");
        let engine = Engine::new(gate.clone(), access::mail::work(registry, postman)).unwrap();
        let workers = engine.start().unwrap();
        let operator = TenantId::fresh(gate.ids(), gate.now());
        let input = InitOperator {
            name: "Cloud & Co".into(),
            email: "admin@example.com".into(),
            administrator: Some("Ada <admin>".into()),
            locale: Some("en".into()),
            time_zone: None,
            password: Some(Secret::new(PASSWORD)),
            without_support: false,
        };
        let admin = Cx::system("admin", operator);
        INIT.run(&gate, &admin, input).unwrap();
        gate.run(&admin, &provisioning::starter::SEED, Default::default()).unwrap();
        let portal = Portal {
            authenticator: access::Authenticator::new(gate.clone()),
            gate: gate.clone(),
            hub: web::hub::Hub::new(catalogue().all_kinds(), "http://localhost", web::hub::HubSettings::default()),
            tls: false,
            agents: String::new(),
            images: scratch.path().join("images"),
        };
        House { router: routes(portal.clone()), portal, gate, letters, workers: Some(workers), _scratch: scratch }
    }
}

/// A browser: keeps cookies, sends forms with the token of the page.
struct Browser<'h> {
    house: &'h House,
    cookies: Vec<(String, String)>,
    page: String,
    status: StatusCode,
    location: String,
}

impl<'h> Browser<'h> {
    fn new(house: &'h House) -> Self {
        Browser { house, cookies: vec![], page: String::new(), status: StatusCode::OK, location: String::new() }
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: String) -> &mut Self {
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request = request.header("cookie", cookies.join("; ")).header("host", "localhost").body(Body::from(body));
        let response = self.house.router.clone().oneshot(request.unwrap()).await.unwrap();
        for set in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value));
            }
        }
        assert!(response.headers().contains_key("content-security-policy"));
        self.status = response.status();
        let location = response.headers().get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned());
        self.location = location.unwrap_or_default();
        self.page = String::from_utf8(to_bytes(response.into_body(), 1 << 22).await.unwrap().to_vec()).unwrap();
        self
    }

    async fn get(&mut self, path: &str) -> &mut Self {
        self.send(Request::get(path), String::new()).await
    }

    /// Sends a form from the present page.
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> &mut Self {
        let csrf = self.page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let mut body = format!("csrf={}", csrf.unwrap_or_default());
        for (name, value) in fields {
            body.push_str(&format!("&{}={}", crate::http::encode(name), crate::http::encode(value)));
        }
        let form = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header("content-type", form).header("sec-fetch-site", "same-origin"), body).await
    }

    async fn sign_in(&mut self, email: &str) -> &mut Self {
        self.get("/sign-in?lang=en").await.post("/sign-in", &[("email", email), ("password", PASSWORD)]).await
    }

    fn expect(&self, status: StatusCode, words: &str) {
        assert_eq!(self.status, status, "{}", self.page);
        assert!(self.page.contains(words), "{words} is not on the page: {}", self.page);
    }
}

/// A customer whose owner has joined by the link of the invitation.
fn customer(house: &House, name: &str, email: &str) -> TenantId {
    let operator = house.gate.operator().unwrap();
    let cx = Cx::system("admin", operator);
    let owner = NewPerson { email: email.into(), name: "Mei".into(), locale: Some("en".into()) };
    let input =
        tenants::CreateTenant { parent: None, name: name.into(), locale: None, time_zone: None, owner: Some(owner) };
    house.gate.run(&cx, &tenants::CREATE, input).unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_led_to_the_door_and_back() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.get("/orders?state=open").await;
    assert_eq!(browser.location, "/sign-in?next=%2Forders%3Fstate%3Dopen");
    let to = browser.location.clone();
    browser.get(&format!("{to}&lang=en")).await.expect(StatusCode::OK, "Sign in to Yunwei");
    let wrong = [("email", "admin@example.com"), ("password", "not the password at all")];
    browser.post("/sign-in", &wrong).await.expect(StatusCode::UNAUTHORIZED, "value=\"admin@example.com\"");
    let right = [("email", "admin@example.com"), ("password", PASSWORD), ("next", "/orders?state=open")];
    browser.post("/sign-in", &right).await;
    assert_eq!((browser.status, browser.location.as_str()), (StatusCode::SEE_OTHER, "/orders?state=open"));
    browser.get("/").await.expect(StatusCode::OK, "Cloud &#38; Co");
    assert!(!browser.page.contains("<admin>"), "a name is shown, never run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_changes_nothing() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    let form = "application/x-www-form-urlencoded";
    let forged = Request::post("/sign-out").header("content-type", form).header("sec-fetch-site", "cross-site");
    browser.send(forged, "csrf=guess".into()).await.expect(StatusCode::FORBIDDEN, "did not come from here");
    let stale = Request::post("/sign-out").header("content-type", form).header("sec-fetch-site", "same-origin");
    browser.send(stale, "csrf=guess".into()).await.expect(StatusCode::FORBIDDEN, "has expired");
    browser.get("/").await.expect(StatusCode::OK, "Ada");
    browser.post("/sign-out", &[]).await;
    assert_eq!(browser.location, "/sign-in");
    browser.get("/").await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_the_operator_opens() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    for path in [
        "/",
        "/operator/orders",
        "/operator/flows",
        "/operator/flows?show=all",
        "/operator/hosts",
        "/operator/hosts/enrol",
        "/operator/sites",
        "/operator/images",
        "/operator/backups",
        "/operator/backups/places/new",
        "/operator/backups/policies/new",
        "/operator/customers",
        "/operator/customers/new",
        "/operator/offerings",
        "/operator/audit",
        "/operator/jobs",
        "/operator/images/new",
        "/operator/images/upload",
        "/webhooks",
        "/account",
        "/search?q=bright",
        "/members",
        "/service-accounts",
        "/service-accounts/new",
        "/who",
        "/who?action=role.grant",
        "/why",
        "/identity-providers",
        "/identity-providers/new",
        "/account/providers",
        "/sign-in-rules",
        "/account/tokens",
        "/account/sessions",
        "/bills",
        "/design",
    ] {
        browser.get(path).await;
        assert_eq!(browser.status, StatusCode::OK, "{path}: {}", browser.page);
    }
    browser.get("/operator/customers").await.expect(StatusCode::OK, "Brightwater");
    browser.get("/search?q=bright").await.expect(StatusCode::OK, "Brightwater");
    browser.send(Request::get("/no/such/page").header("accept", "text/html"), String::new()).await;
    browser.expect(StatusCode::NOT_FOUND, "request-id");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_field_and_what_was_typed_is_kept() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    browser.get("/operator/customers/new").await;
    let fields = [("name", "Brightwater"), ("owner-name", "Mei"), ("owner-email", "not an address"), ("locale", "en")];
    browser.post("/operator/customers/new", &fields).await;
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-owner-email-error");
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "value=\"Brightwater\"");
    let fields = [("name", "Brightwater"), ("owner-name", "Mei"), ("owner-email", "mei@example.com"), ("locale", "en")];
    browser.post("/operator/customers/new", &fields).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER, "{}", browser.page);
    let to = browser.location.clone();
    browser.get(&to).await.expect(StatusCode::OK, "has been created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_can_be_revoked() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    browser.get("/account/tokens").await;
    browser.post("/account/tokens", &[("name", "deploy"), ("days", "7")]).await.expect(StatusCode::OK, "ywt_");
    let secret = browser.page.split("<code id=\"token\" tabindex=\"0\">").nth(1).unwrap();
    let secret = secret.split('<').next().unwrap().to_owned();
    browser.get("/account/tokens").await.expect(StatusCode::OK, "deploy");
    assert!(!browser.page.contains(&secret));
}

/// The token of the link in the newest letter to that address.
async fn link(house: &House, to: &str) -> String {
    for _ in 0..200 {
        let letters = house.letters.0.lock().unwrap().clone();
        if let Some(letter) = letters.iter().rev().find(|letter| letter.to.contains(to)) {
            let token = letter.text.split("token=").nth(1).unwrap();
            return token.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next().unwrap().into();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no letter came to {to}");
}

/// Accepts the owner's invitation on its page, and signs in.
async fn join<'h>(house: &'h House, email: &str) -> Browser<'h> {
    let mut browser = Browser::new(house);
    let token = link(house, email).await;
    browser.get(&format!("/invitation?token={token}&lang=en")).await.expect(StatusCode::OK, "Join");
    let short = [("token", token.as_str()), ("name", "Mei"), ("password", "short"), ("again", "short")];
    browser.post("/invitation", &short).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-password-error");
    let fields = [("token", token.as_str()), ("name", "Mei"), ("password", PASSWORD), ("again", PASSWORD)];
    browser.post("/invitation", &fields).await;
    assert_eq!((browser.status, browser.location.as_str()), (StatusCode::SEE_OTHER, "/sign-in"), "{}", browser.page);
    browser.get(&format!("/invitation?token={token}")).await;
    assert_eq!(browser.status, StatusCode::GONE);
    browser.sign_in(email).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER, "{}", browser.page);
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_joins_orders_and_sees_the_order() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut browser = join(&house, "owner@example.com").await;
    for path in [
        "/",
        "/catalog",
        "/orders",
        "/services",
        "/bills",
        "/members",
        "/activity",
        "/webhooks",
        "/account",
        "/account/sessions",
    ] {
        browser.get(path).await;
        assert_eq!(browser.status, StatusCode::OK, "{path}: {}", browser.page);
    }
    browser.get("/members").await.expect(StatusCode::OK, "admin@example.com");
    browser.get("/catalog").await;
    let offering = browser.page.split("href=\"/catalog/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.get(&format!("/catalog/{offering}")).await.expect(StatusCode::OK, "NT$");
    let once = browser.page.split("name=\"once\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let path = format!("/catalog/{offering}");
    let form = configured(&browser.page);
    browser.post(&path, &[("once", &once)]).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-name-error");
    let mut fields: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.retain(|(name, _)| *name != "name" && *name != "csrf");
    fields.push(("name", "web site"));
    browser.post(&format!("{path}/price"), &fields).await.expect(StatusCode::OK, "NT$");
    browser.get(&path).await;
    browser.post(&path, &fields).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER, "{}", browser.page);
    let order = browser.location.clone();
    browser.get(&path).await.post(&path, &fields).await;
    assert_eq!(browser.location, order, "the same press makes the same order");
    browser.get(&order).await.expect(StatusCode::OK, "web site");
    assert!(browser.page.contains("class=\"step"), "its steps are shown: {}", browser.page);
    browser.expect(StatusCode::OK, "<dt>Placed by</dt><dd>Mei</dd>");
    browser.get("/orders").await.expect(StatusCode::OK, &order);
    // Somebody else's order is not there.
    customer(&house, "Neighbour", "other@example.com");
    let mut other = join(&house, "other@example.com").await;
    other.get(&order).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    other.get("/operator/hosts").await;
    assert!(matches!(other.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{}", other.status);
    // What is watched live is not shown a moment longer than the session lasts.
    let cookies: Vec<String> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let watching = Request::get(format!("{order}/events")).header("cookie", cookies.join("; "));
    let watched = house.router.clone().oneshot(watching.body(Body::empty()).unwrap()).await.unwrap();
    let mut frames = watched.into_body().into_data_stream();
    let shown = frames.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&shown).contains("event: fragment"), "{shown:?}");
    browser.get("/orders").await.post("/sign-out", &[]).await;
    assert_eq!(browser.location, "/sign-in");
    assert!(frames.next().await.is_none());
}

/// What a browser would send of the form on the page as it stands.
fn configured(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1)?;
        value.split('"').next().map(str::to_owned)
    };
    let mut fields = Vec::new();
    for tag in page.split("<input").skip(1).filter_map(|rest| rest.split('>').next()) {
        let choice = tag.contains("type=\"radio\"") || tag.contains("type=\"checkbox\"");
        if let Some(name) = attribute(tag, "name").filter(|_| !choice || tag.contains(" checked")) {
            fields.push((name, attribute(tag, "value").unwrap_or_default()));
        }
    }
    for select in page.split("<select").skip(1) {
        let name = attribute(select.split('>').next().unwrap_or_default(), "name");
        let chosen = select.split("<option").skip(1).find(|option| option.contains(" selected"));
        if let (Some(name), Some(chosen)) = (name, chosen) {
            fields.push((name, attribute(chosen.split('>').next().unwrap_or_default(), "value").unwrap_or_default()));
        }
    }
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_found_by_how_their_names_begin_whatever_their_age() {
    let house = House::new();
    for n in 0..12 {
        customer(&house, &format!("Filler {n}"), &format!("filler{n}@example.com"));
    }
    customer(&house, "青雲 Design Studio", "owner@brightwater.example");
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    for words in ["design", "STUD", "雲", "青雲 studio"] {
        browser
            .get(&format!("/search?q={}", crate::http::encode(words)))
            .await
            .expect(StatusCode::OK, "青雲 Design Studio");
        assert!(!browser.page.contains("Filler 3"), "{words}");
    }
    browser.get("/search?q=admin").await.expect(StatusCode::OK, "admin@example.com");
    browser.get("/search?q=machine%20S").await.expect(StatusCode::OK, "Cloud machine S");
    browser.get("/search?q=nothing-of-that-name").await.expect(StatusCode::OK, "Nothing found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_looks_after_ones_own_account() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    let mut elsewhere = Browser::new(&house);
    elsewhere.sign_in("admin@example.com").await;
    browser.get("/account").await.expect(StatusCode::OK, "admin@example.com");
    browser.post("/account", &[("name", ""), ("locale", "en")]).await;
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-name-error");
    browser.post("/account", &[("name", "Ada Lovelace"), ("locale", "zh-TW")]).await;
    browser.get("/account").await.expect(StatusCode::OK, "value=\"Ada Lovelace\"");
    assert!(browser.page.contains("lang=\"zh-Hant-TW\""), "the pages speak the new language at once");
    let wrong = [
        ("current", "not the password at all"),
        ("password", "nine candles by the door"),
        ("again", "nine candles by the door"),
    ];
    browser.post("/account/password", &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "目前的密碼不正確");
    let differs = [("current", PASSWORD), ("password", "nine candles by the door"), ("again", "another")];
    browser.post("/account/password", &differs).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-again-error");
    let right =
        [("current", PASSWORD), ("password", "nine candles by the door"), ("again", "nine candles by the door")];
    browser.post("/account/password", &right).await;
    assert_eq!(browser.location, "/account");
    browser.get("/account").await.expect(StatusCode::OK, "密碼已更換");
    elsewhere.get("/account").await;
    assert_eq!(elsewhere.status, StatusCode::SEE_OTHER, "other sessions have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_readers_get_a_page_and_programs_a_document() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    let page = |path: &str| Request::get(path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    browser.send(page("/nowhere?lang=zh"), String::new()).await.expect(StatusCode::NOT_FOUND, "找不到這一頁");
    browser
        .send(page("/api/v1/nowhere?lang=en"), String::new())
        .await
        .expect(StatusCode::NOT_FOUND, "There is nothing here");
    let program = Request::get("/api/v1/nowhere").header("accept", "application/json");
    let request = program.header("host", "localhost").body(Body::empty()).unwrap();
    let response = house.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap();
    assert!(text.contains("\"route.none\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_for_tls_exactly_where_the_request_came_over_it() {
    let house = House::new();
    let over = |secure: bool| {
        let mut request = Request::get("/sign-in").header("host", "localhost").body(Body::empty()).unwrap();
        request.extensions_mut().insert(web::Traced { request: "req_1".into(), address: None, secure });
        request
    };
    for (secure, name) in [(true, "__Host-yunwei_visit="), (false, "yunwei_visit=")] {
        let response = house.router.clone().oneshot(over(secure)).await.unwrap();
        let set = response.headers().get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned());
        let set: Vec<String> = set.filter(|cookie| cookie.contains("visit")).collect();
        assert!(set.len() == 1 && set[0].starts_with(name) && set[0].contains("; Secure") == secure, "{set:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_follows_what_is_chosen() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut browser = join(&house, "owner@example.com").await;
    browser.get("/catalog").await;
    let names: Vec<&str> = browser.page.split("<h2>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    let sizes = ["Cloud machine S", "Cloud machine M", "Cloud machine L", "Cloud machine made to measure"];
    assert_eq!(names, sizes, "the small before the large, what is made to measure last");
    let last = browser.page.rsplit("href=\"/catalog/").next().unwrap().split('"').next().unwrap().to_owned();
    let path = format!("/catalog/{last}");
    // 25 for the disk, (360 + 120) an hour, 720 hours.
    browser.get(&path).await.expect(StatusCode::OK, "NT$345,625");
    let form = [("c.vcpu", "2"), ("c.memory", "3"), ("c.disk", "10"), ("once", "o1")];
    browser.post(&format!("{path}/price"), &form).await.expect(StatusCode::OK, "NT$777,850");
    let form = [("c.vcpu", "900"), ("c.memory", "3"), ("c.disk", "10"), ("once", "o1")];
    browser.post(&format!("{path}/price"), &form).await;
    assert!(browser.status.is_client_error() || !browser.page.contains("NT$388,800,"), "{}", browser.page);
}
