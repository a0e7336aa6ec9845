//! A provider that is played here: it says what a test has it say, slowly or wrongly, and notes what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base::id::AccountId;
use base::limits;
use gate::Cx;
use serde_json::{Value as Json, json};

use super::super::actions::{
    CONFIRM_DOMAIN, CREATE, DomainOf, GET, NewProvider, ProviderRef, REMOVE, UPDATE, UpdateProvider,
};
use super::super::sign_in::{
    AtProvider, BEGIN, BeginAtProvider, COMPLETE, CONNECT, CameBack, Connection, DISCONNECT, OPEN,
};
use super::super::{GroupRole, Provider, ProviderId, ProviderState, Settings, install};
use super::{Signer, with};
use crate::accounts::actions::{REMOVE as REMOVE_ACCOUNT, RemoveAccount};
use crate::factors::actions::{ACTIVATE, ActivateFactor, ENROL, EnrolFactor};
use crate::factors::totp;
use crate::mail::links;
use crate::passwords::actions::{RESET, ResetPassword};
use crate::roles::actions::{GRANT, GrantRole};
use crate::service_accounts::actions::{CREATE as CREATE_PROGRAM, NewServiceAccount};
use crate::sessions::actions::{Opened, SignedIn};
use crate::sessions::confirm::{CONFIRM, ConfirmSession};
use crate::tenants::actions::{SUSPEND as SUSPEND_TENANT, TenantRef};
use crate::testing::House;
use crate::{Authenticator, Secret};

const DOMAIN: &str = "brightwater.example";

/// What the provider has heard, and what it says.
struct Part {
    issuer: String,
    signer: Signer,
    /// Members of the discovery document beside the usual ones.
    document: Mutex<Json>,
    /// What the next ID token says beside what all say.
    claims: Mutex<Json>,
    /// What the UserInfo endpoint says.
    info: Mutex<Json>,
    /// Where it was asked, with what.
    asked: Mutex<Vec<(String, String)>>,
    /// Held while it is not to answer with tokens.
    tokens: Mutex<()>,
    /// Where it answers nothing that reads.
    broken: Mutex<&'static str>,
}

/// The provider, as long as the process lives.
#[derive(Clone)]
struct Played(Arc<Part>);

fn held<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap()
}

impl Played {
    fn new() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let played = Played(Arc::new(Part {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            signer: Signer::new(Some("one")),
            document: Mutex::new(json!({})),
            claims: Mutex::default(),
            info: Mutex::default(),
            asked: Mutex::default(),
            tokens: Mutex::default(),
            broken: Mutex::default(),
        }));
        let part = played.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let part = part.clone();
                std::thread::spawn(move || part.answer(&stream.unwrap()));
            }
        });
        played
    }

    fn answer(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut allowed) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            match header.trim().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("authorization", value)) => allowed = value.to_owned(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(path != "/userinfo" || allowed == "bearer for the rest", "{allowed}");
        held(&self.0.asked).push((path.clone(), body.clone()));
        let said = self.said(&path, &body).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", said.len());
        let _ = (&*stream).write_all(format!("{head}{said}").as_bytes());
    }

    fn said(&self, path: &str, body: &str) -> Json {
        let at = &self.0.issuer;
        match path {
            _ if path == *held(&self.0.broken) => json!("nothing that anybody wanted"),
            "/.well-known/openid-configuration" => {
                let document = json!({
                    "issuer": at, "authorization_endpoint": format!("{at}/auth"),
                    "token_endpoint": format!("{at}/token"), "jwks_uri": format!("{at}/keys"),
                });
                with(document, held(&self.0.document).clone())
            }
            "/keys" => json!({ "keys": [self.0.signer.public] }),
            "/token" => {
                drop(held(&self.0.tokens));
                // The code that the tests make up is the nonce that belongs into the token.
                let code = body.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap();
                let all = json!({ "iss": at, "aud": "yunwei", "nonce": code });
                let claims = with(all, held(&self.0.claims).clone());
                json!({ "id_token": self.0.signer.sign(&super::header(), &claims), "access_token": "for the rest" })
            }
            "/userinfo" => held(&self.0.info).clone(),
            other => panic!("nobody asks a provider for {other}"),
        }
    }

    /// Waits until it was asked there so often.
    fn until_asked(&self, path: &str, times: usize) {
        let tries = (0..1_000).find(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.asked(path) >= times
        });
        tries.unwrap_or_else(|| panic!("{path} was asked {} times, not {times}", self.asked(path)));
    }

    /// How often it was asked there.
    fn asked(&self, path: &str) -> usize {
        held(&self.0.asked).iter().filter(|(at, _)| at == path).count()
    }
}

/// A house whose first customer has set a provider up and switched it on.
struct Scene {
    at: Played,
    house: House,
    owner: Cx,
    provider: Provider,
}

fn makes() -> Settings {
    Settings { makes_accounts: true, default_roles: vec!["viewer".to_owned()], ..Settings::default() }
}

fn mei() -> Json {
    json!({ "sub": "mei", "email": format!("mei@{DOMAIN}"), "email_verified": true, "name": "Mei" })
}

fn code<T>(result: base::Result<T>) -> String {
    result.map_or_else(|e| e.code().to_owned(), |_| "done".to_owned())
}

/// Sets a provider up, and switches it on.
fn set_up(house: &House, owner: &Cx, at: &Played, settings: Settings) -> Provider {
    let wish = NewProvider {
        tenant: None,
        name: "Firm".to_owned(),
        issuer: at.0.issuer.clone(),
        client_id: "yunwei".to_owned(),
        domains: vec![],
        settings,
    };
    let made = CREATE.run(&house.gate, owner, wish).unwrap();
    change(house, owner, made.id, |change| change.state = Some(ProviderState::Active))
}

fn change(house: &House, owner: &Cx, provider: ProviderId, how: impl FnOnce(&mut UpdateProvider)) -> Provider {
    let mut change: UpdateProvider = serde_json::from_value(json!({ "provider": provider })).unwrap();
    how(&mut change);
    house.gate.run(owner, &UPDATE, change).unwrap()
}

impl Scene {
    fn new(db: db::Db, settings: Settings) -> Scene {
        let (at, house) = (Played::new(), House::new(db));
        install(&house.gate, "http://localhost", web::Outgoing::new(true, &[]));
        let owner = house.with_role("owner", house.first);
        let provider = set_up(&house, &owner, &at, settings);
        let scene = Scene { at, house, owner, provider };
        scene.change(|change| change.domains = Some(vec![DOMAIN.to_owned()]));
        let admin = scene.house.person("admin@example.com", scene.house.operator, &["administrator", "support"]);
        let admin = scene.house.cx(admin, None).unwrap();
        let domain = DomainOf { provider: scene.provider.id, domain: DOMAIN.to_owned() };
        scene.house.gate.run(&admin, &CONFIRM_DOMAIN, domain).unwrap();
        scene
    }

    fn change(&self, how: impl FnOnce(&mut UpdateProvider)) {
        change(&self.house, &self.owner, self.provider.id, how);
    }

    fn nobody(&self) -> Cx {
        Cx::nobody(self.house.operator)
    }

    fn begin(&self, provider: ProviderId) -> base::Result<AtProvider> {
        self.begin_anew(provider, false)
    }

    fn begin_anew(&self, provider: ProviderId, anew: bool) -> base::Result<AtProvider> {
        let input = BeginAtProvider { provider: Some(provider), email: None, anew };
        BEGIN.run(&self.house.gate, &self.nobody(), input)
    }

    fn open(&self, input: CameBack) -> base::Result<Opened> {
        OPEN.run(&self.house.gate, &self.nobody(), input)
    }

    /// What the provider's next ID token says.
    fn says(&self, claims: Json) {
        let now = self.house.gate.now().as_second();
        *held(&self.at.0.claims) = with(json!({ "iat": now, "exp": now + 300 }), claims);
    }

    /// Connects an account with whom the provider means.
    fn connect(&self, account: AccountId, claims: Json) -> base::Result<Connection> {
        self.says(claims);
        let cx = self.house.cx(account, None)?.in_session("ses_01arz3ndektsv4rrffq69g5fav");
        let input = BeginAtProvider { provider: Some(self.provider.id), ..Default::default() };
        let way = CONNECT.run(&self.house.gate, &cx, input)?;
        COMPLETE.run(&self.house.gate, &cx, came(&way, self.provider.id))
    }

    fn disconnect(&self, account: AccountId) -> String {
        let cx = self.house.cx(account, None).unwrap();
        code(self.house.gate.run(&cx, &DISCONNECT, ProviderRef { provider: self.provider.id }))
    }

    fn roles(&self, account: AccountId) -> Vec<String> {
        let tenant = self.house.first;
        self.house.gate.db().read(move |c| crate::roles::store::held(c, account, tenant)).unwrap()
    }

    /// Those who are in that session.
    fn cx(&self, signed_in: &SignedIn) -> Cx {
        Authenticator::new(self.house.gate.clone()).recognise(&signed_in.secret, None).unwrap().cx
    }

    /// Signs somebody in at the provider and here.
    fn sign_in(&self, claims: Json) -> base::Result<SignedIn> {
        self.says(claims);
        let way = self.begin(self.provider.id)?;
        self.open(came(&way, self.provider.id)).map(|opened| opened.signed_in().expect("no second factor is asked for"))
    }
}

/// What comes back to the address of a provider from where a way led.
fn came(way: &AtProvider, provider: ProviderId) -> CameBack {
    let sent = |name: &str| {
        let pair = way.url.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).unwrap();
        Secret::new(pair.trim_start_matches('='))
    };
    CameBack {
        provider,
        ticket: Secret::new(way.ticket.clone()),
        state: sent("state"),
        code: sent("nonce"),
        iss: None,
        user_agent: "Firefox".to_owned(),
    }
}

#[test]
fn a_code_that_came_to_the_address_of_another_provider_is_sent_to_nobody() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    // Another tenant's provider leads the people who go to it on to the first one, with all that belongs to the way.
    let (theirs, other) = (Played::new(), scene.house.with_role("owner", scene.house.second));
    let evil = set_up(&scene.house, &other, &theirs, makes());
    assert_ne!(evil.redirect, scene.provider.redirect);
    assert_eq!(scene.provider.redirect, format!("http://localhost/sign-in/provider/{}", scene.provider.id));
    let way = scene.begin(evil.id).unwrap();
    let redirect = format!("redirect_uri=http%3A%2F%2Flocalhost%2Fsign-in%2Fprovider%2F{}&", evil.id);
    assert!(way.url.contains(&redirect), "{}", way.url);
    scene.says(mei());
    // The first one knows its own address alone, and sends the browser there.
    assert_eq!(code(scene.open(came(&way, scene.provider.id))), "provider.mixed_up");
    assert_eq!((theirs.asked("/token"), scene.at.asked("/token")), (0, 0), "the code went nowhere");
    assert!(scene.sign_in(mei()).is_ok());
}

#[test]
fn who_does_not_say_when_somebody_was_asked_has_shown_nothing_and_is_asked_anew() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let gate = &scene.house.gate;
    let enrol = |cx: &Cx| code(gate.run(cx, &ENROL, EnrolFactor::default()));
    let now = || gate.now().as_second();
    let cx = scene.cx(&scene.sign_in(mei()).unwrap());
    assert_eq!(enrol(&cx), "session.step_up", "nothing was said of when they were asked");
    let remembered = with(mei(), json!({ "auth_time": now() - 700 }));
    assert_eq!(enrol(&scene.cx(&scene.sign_in(remembered.clone()).unwrap())), "session.step_up");

    // Neither a password nor a factor: the provider asks again, and has to say that it did.
    let anew = |claims: Json| {
        scene.says(claims);
        let way = scene.begin_anew(scene.provider.id, true).unwrap();
        assert!(way.url.ends_with("&prompt=login&max_age=0"), "{}", way.url);
        OPEN.run(gate, &cx, came(&way, scene.provider.id)).map(|opened| opened.signed_in().unwrap())
    };
    assert_eq!(code(anew(mei())), "provider.not_shown");
    assert_eq!(code(anew(remembered)), "provider.not_shown");
    let shown = anew(with(mei(), json!({ "auth_time": now() }))).unwrap();
    assert_eq!(enrol(&scene.cx(&shown)), "done");
    assert!(!scene.begin(scene.provider.id).unwrap().url.contains("prompt="));
}

#[test]
fn what_came_back_is_used_up_before_the_provider_is_asked() {
    for (engine, db, _keep) in db::testing::databases() {
        let scene = Scene::new(db, makes());
        scene.says(mei());
        let way = scene.begin(scene.provider.id).unwrap();
        std::thread::scope(|s| {
            let slow = held(&scene.at.0.tokens);
            let first = s.spawn(|| code(scene.open(came(&way, scene.provider.id))));
            scene.at.until_asked("/token", 1);
            assert_eq!(code(scene.open(came(&way, scene.provider.id))), "provider.over", "{engine}");
            drop(slow);
            assert_eq!(first.join().unwrap(), "done", "{engine}");
        });
        assert_eq!(scene.at.asked("/token"), 1, "{engine}");
    }
}

#[test]
fn a_provider_that_is_slow_holds_up_its_own_people_alone() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let (quick, other) = (Played::new(), scene.house.with_role("owner", scene.house.second));
    let theirs = set_up(&scene.house, &other, &quick, Settings::default());
    scene.says(mei());
    let ways: Vec<_> =
        (0..limits::AT_PROVIDERS_PER_TENANT_MAX).map(|_| scene.begin(scene.provider.id).unwrap()).collect();
    std::thread::scope(|s| {
        let slow = held(&scene.at.0.tokens);
        let scene = &scene;
        let waiting: Vec<_> =
            ways.iter().map(|way| s.spawn(move || code(scene.open(came(way, scene.provider.id))))).collect();
        scene.at.until_asked("/token", ways.len());
        assert_eq!(code(scene.begin(scene.provider.id)), "provider.busy");
        assert_eq!(code(scene.begin(theirs.id)), "done");
        drop(slow);
        assert!(waiting.into_iter().all(|one| one.join().unwrap() == "done"));
    });
    assert_eq!(code(scene.begin(scene.provider.id)), "done");
}

#[test]
fn an_issuer_is_asked_once_by_many_and_what_failed_is_not_asked_again_at_once() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let (clock, document) = (scene.house.gate.clock(), "/.well-known/openid-configuration");
    assert_eq!(scene.at.asked(document), 1);
    clock.advance(Duration::from_secs(600));
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| scene.begin(scene.provider.id).unwrap());
        }
    });
    assert_eq!(scene.at.asked(document), 2, "one asked for all four");
    *held(&scene.at.0.broken) = "/keys";
    for _ in 0..3 {
        assert_eq!(code(scene.sign_in(mei())), "provider.unreachable");
    }
    assert_eq!(scene.at.asked("/keys"), 1);
    *held(&scene.at.0.broken) = "";
    clock.advance(Duration::from_secs(30));
    assert_eq!(code(scene.sign_in(mei())), "done");
}

#[test]
fn sign_ins_that_come_to_nothing_are_counted_by_where_they_come_from() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let begin = |from: &str| {
        let cx = scene.nobody().for_request("req", Some(from.parse().unwrap()));
        let input = BeginAtProvider { provider: Some(scene.provider.id), ..Default::default() };
        code(BEGIN.run(&scene.house.gate, &cx, input))
    };
    assert!((0..limits::ATTEMPTS_AT_PROVIDERS).all(|_| begin("192.0.2.1") == "done"));
    assert_eq!(begin("192.0.2.1"), "attempts.too_many");
    assert_eq!(begin("192.0.2.2"), "done");
}

#[test]
fn people_end_no_connection_that_their_firm_wants() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let house = &scene.house;
    let reset = |account: AccountId| {
        let input = ResetPassword {
            token: house.link(links::RESET, account.to_string()),
            password: Secret::new("nine kettles under the bridge"),
        };
        code(RESET.run(&house.gate, &scene.nobody(), input))
    };
    let mei = scene.sign_in(mei()).unwrap().account.id;
    assert_eq!(reset(mei), "done");
    assert_eq!(scene.disconnect(mei), "provider.kept", "the account was made for it");

    let own = house.person("own@example.com", house.first, &["member"]);
    house.set_password(own);
    scene.connect(own, with(self::mei(), json!({ "sub": "own" }))).unwrap();
    scene.change(|change| change.settings = Some(Settings { passwords: false, ..makes() }));
    assert_eq!(scene.disconnect(own), "provider.kept");
    assert_eq!((reset(own), reset(mei)), ("provider.only".to_owned(), "provider.only".to_owned()));
    scene.change(|change| change.state = Some(ProviderState::Off));
    assert_eq!((reset(own), scene.disconnect(own)), ("done".to_owned(), "done".to_owned()));
    assert_eq!(scene.disconnect(mei), "provider.kept");
}

#[test]
fn the_roles_that_a_provider_gave_go_with_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let group = |group: &str, role: &str| GroupRole { group: group.to_owned(), role: role.to_owned() };
        let group_roles = vec![group("heads", "owner"), group("ops", "member")];
        let scene = Scene::new(db, Settings { groups_claim: "groups".to_owned(), group_roles, ..makes() });
        let house = &scene.house;
        let groups = json!({ "groups": ["ops", "heads"] });
        let mei = scene.sign_in(with(mei(), groups.clone())).unwrap().account.id;
        let lin = json!({ "sub": "lin", "email": format!("lin@{DOMAIN}") });
        let lin = scene.sign_in(with(self::mei(), with(groups, lin))).unwrap().account.id;
        let grant = GrantRole { account: mei, tenant: None, role: "billing-viewer".to_owned() };
        house.gate.run(&scene.owner, &GRANT, grant).unwrap();
        // Who set it up has left: the two are the owners.
        let first = scene.owner.account().unwrap();
        let by_mei = house.cx(mei, None).unwrap();
        let suspend = crate::accounts::actions::AccountRef { account: first };
        house.gate.run(&by_mei, &crate::accounts::actions::SUSPEND, suspend).unwrap();
        house.gate.run(&by_mei, &REMOVE, ProviderRef { provider: scene.provider.id }).unwrap();
        let (mei, lin) = (scene.roles(mei), scene.roles(lin));
        assert_eq!(mei.iter().filter(|role| *role == "billing-viewer").count(), 1, "{engine}: what people gave stays");
        assert_eq!(mei.iter().chain(&lin).filter(|role| *role == "owner").count(), 1, "{engine}: one owner stays");
        assert_eq!(mei.len() + lin.len(), 2, "{engine}: {mei:?} {lin:?}");
    }
}

#[test]
fn who_was_removed_is_not_back_with_the_next_sign_in() {
    for (engine, db, _keep) in db::testing::databases() {
        let scene = Scene::new(db, makes());
        let house = &scene.house;
        let remove = |account: AccountId| {
            let input = RemoveAccount { account, tenant: None };
            house.gate.run(&scene.owner, &REMOVE_ACCOUNT, input).unwrap().left
        };
        let gone = scene.sign_in(mei()).unwrap().account.id;
        assert!(remove(gone), "{engine}");
        assert_eq!(code(scene.sign_in(mei())), "provider.removed", "{engine}");
        // Invited again, they have an account, and connect it themselves.
        let back = house.person(&format!("mei@{DOMAIN}"), house.first, &["member"]);
        scene.connect(back, mei()).unwrap();
        assert_eq!(scene.sign_in(mei()).unwrap().account.id, back, "{engine}");
        assert!(remove(back), "{engine}");
        assert_eq!(code(scene.sign_in(mei())), "provider.removed", "{engine}: also one that was connected by hand");

        // Somebody who stays elsewhere comes in there, and has nothing here any more.
        let lin = with(mei(), json!({ "sub": "lin", "email": format!("lin@{DOMAIN}") }));
        let lin_is = scene.sign_in(lin.clone()).unwrap().account.id;
        let (second, now) = (house.second, house.gate.now());
        let grant = move |c: &mut db::Conn<'_>| crate::roles::store::insert(c, lin_is, second, "member", "test", now);
        house.gate.db().write(grant).unwrap();
        assert!(!remove(lin_is), "{engine}");
        assert_eq!(code(scene.sign_in(lin)), "provider.removed", "{engine}");
        assert_eq!(scene.roles(lin_is), Vec::<String>::new(), "{engine}");
    }
}

#[test]
fn a_group_that_is_lost_leaves_programs_without_an_owner_and_their_managers_are_told() {
    let (_, db, _keep) = db::testing::sqlite();
    let group_roles = vec![GroupRole { group: "ops".to_owned(), role: "member".to_owned() }];
    let settings = Settings { default_roles: vec![], groups_claim: "groups".to_owned(), group_roles, ..makes() };
    let scene = Scene::new(db, settings);
    let person = scene.sign_in(with(mei(), json!({ "groups": ["ops"] }))).unwrap().account.id;
    let program = NewServiceAccount {
        name: "deploy".to_owned(),
        responsible: Some(person),
        roles: vec!["viewer".to_owned()],
        ..Default::default()
    };
    scene.house.gate.run(&scene.owner, &CREATE_PROGRAM, program).unwrap();
    let mails = || -> i64 {
        let sql = "SELECT COUNT(*) FROM jobs WHERE kind = 'access.mail'";
        scene.house.gate.db().read(move |c| c.query_one(sql, &[], |row| row.get(0))).unwrap()
    };
    let before = mails();
    scene.sign_in(with(mei(), json!({ "groups": [] }))).unwrap();
    assert_eq!((scene.roles(person).len(), mails()), (0, before + 1));
}

#[test]
fn the_provider_of_an_organisation_that_is_closed_lets_nobody_in() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    scene.says(mei());
    let way = scene.begin(scene.provider.id).unwrap();
    let admin = scene.house.person("head@example.com", scene.house.operator, &["administrator", "support"]);
    let admin = scene.house.cx(admin, None).unwrap();
    let tenant = TenantRef { tenant: scene.house.first };
    scene.house.gate.run(&admin, &SUSPEND_TENANT, tenant).unwrap();
    assert_eq!(code(scene.begin(scene.provider.id)), "provider.none");
    assert_eq!(code(scene.open(came(&way, scene.provider.id))), "provider.none");
    assert_eq!(scene.at.asked("/token"), 0);
}

#[test]
fn a_second_step_counts_no_longer_than_the_provider_that_the_first_was_at() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let (gate, shown) = (&scene.house.gate, json!({ "auth_time": scene.house.gate.now().as_second() }));
    let cx = scene.cx(&scene.sign_in(with(mei(), shown)).unwrap());
    let made = gate.run(&cx, &ENROL, EnrolFactor::default()).unwrap();
    let bytes = data_encoding::BASE32_NOPAD.decode(made.secret.as_bytes()).unwrap();
    let app = |later: i64| Secret::new(totp::code(&bytes, totp::step_at(gate.now()) + later));
    gate.run(&cx, &ACTIVATE, ActivateFactor { factor: made.factor.id, code: app(0) }).unwrap();
    let first = || {
        scene.says(mei());
        let way = scene.begin(scene.provider.id).unwrap();
        match scene.open(came(&way, scene.provider.id)).unwrap() {
            Opened::FactorNeeded(needed) => Secret::new(needed.ticket),
            Opened::SignedIn(_) => panic!("no second factor was asked for"),
        }
    };
    let confirm = |ticket: Secret| {
        let input = ConfirmSession { ticket, code: app(1) };
        code(CONFIRM.run(gate, &scene.nobody(), input))
    };
    let ticket = first();
    scene.change(|change| change.state = Some(ProviderState::Off));
    assert_eq!(confirm(ticket), "session.sign_in_over");
    scene.change(|change| change.state = Some(ProviderState::Active));
    assert_eq!(confirm(first()), "done");
}

#[test]
fn what_is_said_only_at_the_user_info_endpoint_counts_like_what_the_token_says() {
    let (_, db, _keep) = db::testing::sqlite();
    let group_roles = vec![GroupRole { group: "ops".to_owned(), role: "member".to_owned() }];
    let scene = Scene::new(db, Settings { groups_claim: "groups".to_owned(), group_roles, ..makes() });
    let info = format!("{}/userinfo", scene.at.0.issuer);
    *held(&scene.at.0.document) = json!({ "userinfo_endpoint": info });
    scene.house.gate.clock().advance(Duration::from_secs(600));
    let says = |info: Json| *held(&scene.at.0.info) = info;
    let bare = || json!({ "sub": "mei" });
    says(with(mei(), json!({ "sub": "eve" })));
    assert_eq!(code(scene.sign_in(bare())), "provider.token", "it speaks of somebody else");
    // The token is signed, and an address is verified together with what says so.
    says(with(mei(), json!({ "groups": ["ops"] })));
    let other = json!({ "sub": "mei", "email": "mei@elsewhere.example" });
    assert_eq!(code(scene.sign_in(other)), "provider.domain");
    let first = scene.sign_in(bare()).unwrap();
    assert_eq!((&*first.account.name, scene.roles(first.account.id).len()), ("Mei", 2));
    // Whoever is not told of groups because nobody answers keeps what they have.
    *held(&scene.at.0.broken) = "/userinfo";
    assert_eq!(code(scene.sign_in(bare())), "provider.unreachable");
    assert_eq!(scene.roles(first.account.id), ["member", "viewer"]);
    // Where the token says it all nobody is asked.
    let asked = scene.at.asked("/userinfo");
    scene.sign_in(with(mei(), json!({ "groups": [] }))).unwrap();
    assert_eq!((scene.at.asked("/userinfo"), scene.roles(first.account.id)), (asked, vec!["viewer".to_owned()]));
}

#[test]
fn of_two_who_change_a_provider_at_once_the_second_is_told() {
    let (_, db, _keep) = db::testing::sqlite();
    let scene = Scene::new(db, makes());
    let seen = scene.house.gate.run(&scene.owner, &GET, ProviderRef { provider: scene.provider.id }).unwrap().revision;
    let settles = |settings: Settings| {
        let change = json!({ "provider": scene.provider.id, "settings": settings, "revision": seen });
        code(scene.house.gate.run(&scene.owner, &UPDATE, serde_json::from_value(change).unwrap()))
    };
    assert_eq!(settles(Settings { passwords: false, ..makes() }), "done");
    assert_eq!(settles(makes()), "identityProvider.stale");
}
