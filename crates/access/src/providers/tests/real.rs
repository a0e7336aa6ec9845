//! Signing in at a real provider: `oidc-provider`, certified by the OpenID Foundation, in a process of its own
//! (`tests/oidc`). The browser is played.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use base::id::{AccountId, Ids};
use base::time::Clock;
use gate::{Catalogue, Cx, Gate, Strength};
use serde_json::{Value as Json, json};

use super::super::actions::{
    CONFIRM_DOMAIN, CREATE, DomainOf, LIST, NewProvider, ProviderRef, ProvidersOf, REMOVE, SET_SECRET, SetSecret,
    UPDATE, UpdateProvider,
};
use super::super::sign_in::{
    AtProvider, BEGIN, BeginAtProvider, COMPLETE, CONNECT, CONNECTED, CameBack, DISCONNECT, OPEN,
};
use super::super::{GroupRole, Provider, ProviderState, Settings, install};
use crate::accounts::actions::{AccountRef, SUSPEND};
use crate::factors::actions::{ACTIVATE, ActivateFactor, ENROL, EnrolFactor};
use crate::factors::totp;
use crate::roles::actions::{GRANT, GrantRole, Nothing};
use crate::sessions::actions::{self as sessions, OpenSession, Opened, SignedIn};
use crate::sign_in_rules::actions::{UPDATE as SET_RULES, UpdateRules};
use crate::testing::{House, PASSWORD};
use crate::{Authenticator, Secret};

const SECRET: &str = "a secret that the test knows & sends";
const RETURN: &str = "http://localhost/sign-in/provider";

/// The provider's process.
struct Idp {
    child: Child,
    /// It ends when this is closed.
    _stdin: ChildStdin,
    issuer: String,
}

impl Drop for Idp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A provider; nothing where there is none and none is required.
fn idp() -> Option<Idp> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc");
    let required = std::env::var("YUNWEI_TEST_OIDC").is_ok_and(|word| word == "require");
    if !folder.join("node_modules/oidc-provider").exists() {
        assert!(!required, "install the provider: (cd tests/oidc && npm install)");
        eprintln!(
            "SKIPPED: no OpenID provider is installed; (cd tests/oidc && npm install), or YUNWEI_TEST_OIDC=require"
        );
        return None;
    }
    let mut child = Command::new("node")
        .args(["provider.mjs", RETURN])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("node runs the provider");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Json = serde_json::from_str(&line).expect("the provider says where it is");
    let stdin = child.stdin.take().unwrap();
    Some(Idp { child, _stdin: stdin, issuer: said["issuer"].as_str().unwrap().to_owned() })
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().into()
}

impl Idp {
    /// Who signs in there next.
    fn next(&self, person: &Json) {
        agent().post(format!("{}/test", self.issuer)).send(person.to_string()).unwrap();
    }

    fn rotate_keys(&self) {
        agent().post(format!("{}/test/rotate", self.issuer)).send("").unwrap();
    }
}

/// Goes to the provider with a new browser, and comes back.
fn visit(url: &str) -> BTreeMap<String, String> {
    let (agent, mut cookies, mut at) = (agent(), BTreeMap::new(), url.to_owned());
    for _ in 0..10 {
        let sent: Vec<String> =
            cookies.iter().map(|(name, value): (&String, &String)| format!("{name}={value}")).collect();
        let answer = agent.get(&at).header("cookie", sent.join("; ")).call().unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let to = to.unwrap_or_else(|| panic!("{at} leads nowhere: {}", answer.status()));
        if let Some(back) = to.strip_prefix(RETURN) {
            let (provider, query) = back.trim_start_matches('/').split_once('?').unwrap();
            let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).map(decoded);
            return pairs.chain([("provider".to_owned(), provider.to_owned())]).collect();
        }
        let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
        at = if to.starts_with('/') { format!("{origin}{to}") } else { to };
    }
    panic!("the provider leads round and round");
}

fn decoded((name, value): (&str, &str)) -> (String, String) {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    (name.to_owned(), String::from_utf8(bytes).unwrap())
}

fn came(way: &AtProvider, back: &BTreeMap<String, String>) -> CameBack {
    let of = |name: &str| Secret::new(back.get(name).cloned().unwrap_or_default());
    CameBack {
        provider: back["provider"].parse().unwrap(),
        ticket: Secret::new(way.ticket.clone()),
        state: of("state"),
        code: of("code"),
        iss: back.get("iss").cloned(),
        user_agent: "Firefox".to_owned(),
    }
}

/// A house whose first customer has set the provider up and switched it on.
struct Stage {
    idp: Idp,
    house: House,
    owner: Cx,
    provider: Provider,
}

const DOMAIN: &str = "brightwater.example";

fn house(db: db::Db) -> House {
    let catalogue = crate::guarded(Catalogue::default().actions(&crate::actions()));
    // Tokens are made by the machine's clock.
    let clock = Clock::fixed(Clock::System.now());
    let gate = Gate::new(db, clock, Ids::seeded(5), &crate::testing::policies(), catalogue).unwrap();
    let house = House::over(gate);
    install(&house.gate, "http://localhost", web::Outgoing::new(true, &[]));
    house
}

fn wish(idp: &Idp, settings: Settings) -> NewProvider {
    NewProvider {
        tenant: None,
        name: "Brightwater".to_owned(),
        issuer: idp.issuer.clone(),
        client_id: "yunwei".to_owned(),
        domains: vec![DOMAIN.to_owned()],
        settings,
    }
}

impl Stage {
    fn new(db: db::Db, settings: Settings) -> Option<Stage> {
        let idp = idp()?;
        let house = house(db);
        let owner = house.with_role("owner", house.first);
        let provider = CREATE.run(&house.gate, &owner, wish(&idp, settings)).unwrap();
        let stage = Stage { idp, house, owner, provider };
        stage.run_secret(SECRET);
        stage.change(|change| change.state = Some(ProviderState::Active));
        let admin = stage.house.person("admin@example.com", stage.house.operator, &["administrator", "support"]);
        let admin = stage.house.cx(admin, None).unwrap();
        let domain = DomainOf { provider: stage.provider.id, domain: DOMAIN.to_owned() };
        stage.house.gate.run(&admin, &CONFIRM_DOMAIN, domain).unwrap();
        Some(stage)
    }

    fn run_secret(&self, secret: &str) {
        let input = SetSecret { provider: self.provider.id, secret: Secret::new(secret) };
        self.house.gate.run(&self.owner, &SET_SECRET, input).unwrap();
    }

    fn change(&self, how: impl FnOnce(&mut UpdateProvider)) {
        let mut change: UpdateProvider = serde_json::from_value(json!({ "provider": self.provider.id })).unwrap();
        how(&mut change);
        self.house.gate.run(&self.owner, &UPDATE, change).unwrap();
    }

    fn nobody(&self) -> Cx {
        Cx::nobody(self.house.operator)
    }

    fn begin(&self, email: &str) -> AtProvider {
        let input = BeginAtProvider { email: Some(email.to_owned()), ..Default::default() };
        BEGIN.run(&self.house.gate, &self.nobody(), input).unwrap()
    }

    fn open(&self, input: CameBack) -> base::Result<Opened> {
        OPEN.run(&self.house.gate, &self.nobody(), input)
    }

    /// Signs somebody in at the provider and here.
    fn sign_in(&self, sub: &str, claims: Json) -> base::Result<SignedIn> {
        self.idp.next(&json!({ "sub": sub, "claims": claims }));
        let way = self.begin(&format!("x@{DOMAIN}"));
        self.open(came(&way, &visit(&way.url))).map(|opened| opened.signed_in().expect("no second factor is asked for"))
    }

    fn roles(&self, account: AccountId) -> Vec<String> {
        let tenant = self.house.first;
        self.house.gate.db().read(move |c| crate::roles::store::held(c, account, tenant)).unwrap()
    }

    fn strength(&self, signed_in: &SignedIn) -> Strength {
        let cx = Authenticator::new(self.house.gate.clone()).recognise(&signed_in.secret, None).unwrap().cx;
        cx.proof().unwrap().strength
    }
}

fn code<T>(result: base::Result<T>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(e) => e.code().to_owned(),
    }
}

fn mei() -> Json {
    json!({ "email": format!("mei@{DOMAIN}"), "email_verified": true, "name": "Mei", "groups": ["ops"] })
}

fn makes() -> Settings {
    Settings {
        scopes: vec!["email".to_owned(), "profile".to_owned(), "groups".to_owned()],
        makes_accounts: true,
        default_roles: vec!["viewer".to_owned()],
        groups_claim: "groups".to_owned(),
        group_roles: vec![GroupRole { group: "ops".to_owned(), role: "member".to_owned() }],
        ..Settings::default()
    }
}

#[test]
fn who_comes_first_gets_an_account_and_its_groups_roles_and_is_the_same_the_next_time() {
    for (engine, db, _keep) in db::testing::databases() {
        let Some(stage) = Stage::new(db, makes()) else { return };
        let first = stage.sign_in("mei", mei()).unwrap();
        assert_eq!((&*first.account.name, first.account.home), ("Mei", stage.house.first), "{engine}");
        assert_eq!(stage.roles(first.account.id), ["member", "viewer"], "{engine}");
        assert_eq!(stage.strength(&first), Strength::Provider);
        // What people gave stays, what the provider gave follows it.
        let grant = GrantRole { account: first.account.id, tenant: None, role: "billing-viewer".to_owned() };
        stage.house.gate.run(&stage.owner, &GRANT, grant).unwrap();
        let mut claims = mei();
        claims["groups"] = json!([]);
        claims["email"] = json!(format!("mei.lin@{DOMAIN}"));
        let again = stage.sign_in("mei", claims).unwrap();
        assert_eq!(again.account.id, first.account.id, "{engine}: known by the provider's own name, not the address");
        assert_eq!(stage.roles(first.account.id), ["billing-viewer", "viewer"], "{engine}");
        // Somebody else there is somebody else here, also with the address that was mei's.
        assert_eq!(code(stage.sign_in("eve", mei())), "provider.no_account", "{engine}");
        // Keys are changed; a token names one that was not there.
        stage.idp.rotate_keys();
        stage.house.gate.clock().advance(Duration::from_secs(31));
        assert_eq!(stage.sign_in("mei", mei()).unwrap().account.id, first.account.id, "{engine}");
        // Who is suspended here is not let in by a provider.
        stage.house.gate.run(&stage.owner, &SUSPEND, AccountRef { account: first.account.id }).unwrap();
        assert_eq!(code(stage.sign_in("mei", mei())), "account.suspended", "{engine}");
    }
}

#[test]
fn what_came_back_counts_once_for_its_browser_and_its_provider() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(stage) = Stage::new(db, makes()) else { return };
    stage.idp.next(&json!({ "sub": "mei", "claims": mei() }));
    let way = stage.begin("anybody@BRIGHTWATER.example");
    let other = stage.begin(&format!("x@{DOMAIN}"));
    let back = visit(&way.url);
    let good = || came(&way, &back);
    // Another browser, another state, none.
    assert_eq!(code(stage.open(CameBack { ticket: Secret::new(other.ticket.clone()), ..good() })), "provider.over");
    let theirs = CameBack { state: came(&other, &visit(&other.url)).state, ..good() };
    assert_eq!(code(stage.open(theirs)), "provider.over");
    for rubbish in ["", "x", "ywo_", &format!("ywo_{}", "A".repeat(43)), &way.ticket.replace("ywo_", "ywc_")] {
        assert_eq!(code(stage.open(CameBack { ticket: Secret::new(rubbish), ..good() })), "provider.over");
        assert_eq!(code(stage.open(CameBack { state: Secret::new(rubbish), ..good() })), "provider.over");
    }
    // Said to be of another provider, or of none although this one always says so.
    let another = || {
        let way = stage.begin(&format!("x@{DOMAIN}"));
        came(&way, &visit(&way.url))
    };
    let mixed = CameBack { iss: Some("https://evil.example".to_owned()), ..another() };
    assert_eq!(code(stage.open(mixed)), "provider.mixed_up");
    assert_eq!(code(stage.open(CameBack { iss: None, ..another() })), "provider.mixed_up");
    assert_eq!(code(stage.open(CameBack { code: Secret::new("guess"), ..another() })), "provider.refused");
    assert_eq!(code(stage.open(good())), "done");
    assert_eq!(code(stage.open(good())), "provider.over", "it is used up");
    // Too late.
    let way = stage.begin(&format!("x@{DOMAIN}"));
    let back = visit(&way.url);
    stage.house.gate.clock().advance(Duration::from_secs(600));
    assert_eq!(code(stage.open(came(&way, &back))), "provider.over");
}

#[test]
fn a_wrong_secret_a_lost_provider_and_one_that_is_off_let_nobody_in() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(stage) = Stage::new(db, makes()) else { return };
    stage.run_secret("not the secret");
    assert_eq!(code(stage.sign_in("mei", mei())), "provider.refused");
    stage.run_secret(SECRET);
    stage.sign_in("mei", mei()).unwrap();
    let way = stage.begin(&format!("x@{DOMAIN}"));
    let back = visit(&way.url);
    stage.change(|change| change.state = Some(ProviderState::Off));
    assert_eq!(code(stage.open(came(&way, &back))), "provider.none");
    let begin = |email: &str| {
        let input = BeginAtProvider { email: Some(email.to_owned()), ..Default::default() };
        code(BEGIN.run(&stage.house.gate, &stage.nobody(), input))
    };
    // The same as for addresses that lead nowhere: nothing is said of who has an account.
    assert_eq!(begin(&format!("mei@{DOMAIN}")), "provider.none");
    for email in ["mei@elsewhere.example", "mei", "", "mei@brightwater.example@evil.example"] {
        assert_eq!(begin(email), "provider.none", "{email}");
    }
    let gone = ProviderRef { provider: stage.provider.id };
    stage.house.gate.run(&stage.owner, &REMOVE, gone).unwrap();
    let left = stage.house.gate.run(&stage.owner, &LIST, ProvidersOf::default()).unwrap();
    assert_eq!(left.items.len(), 0);
}

#[test]
fn no_account_is_taken_over_or_made_by_an_address() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(stage) = Stage::new(db, makes()) else { return };
    let house = &stage.house;
    let mine = house.person(&format!("mei@{DOMAIN}"), house.first, &["owner"]);
    house.set_password(mine);
    assert_eq!(code(stage.sign_in("mei", mei())), "provider.no_account");
    let mut unverified = mei();
    unverified["email_verified"] = json!(false);
    assert_eq!(code(stage.sign_in("mei", unverified)), "provider.domain");
    let mut elsewhere = mei();
    elsewhere["email"] = json!("mei@elsewhere.example");
    assert_eq!(code(stage.sign_in("mei", elsewhere)), "provider.domain");

    // The person connects it, in a session of their own.
    let open = || {
        let input =
            OpenSession { email: format!("mei@{DOMAIN}"), password: Secret::new(PASSWORD), user_agent: String::new() };
        sessions::OPEN.run(&house.gate, &stage.nobody(), input)
    };
    let auth = Authenticator::new(house.gate.clone());
    let cx = |signed_in: &SignedIn| auth.recognise(&signed_in.secret, None).unwrap().cx;
    let (one, other) = (open().unwrap().signed_in().unwrap(), open().unwrap().signed_in().unwrap());
    stage.idp.next(&json!({ "sub": "mei", "claims": mei() }));
    let at = BeginAtProvider { provider: Some(stage.provider.id), ..Default::default() };
    let way = CONNECT.run(&house.gate, &cx(&one), at.clone()).unwrap();
    let back = visit(&way.url);
    assert_eq!(code(COMPLETE.run(&house.gate, &cx(&other), came(&way, &back))), "provider.over", "another session");
    assert_eq!(code(stage.open(came(&way, &back))), "provider.over", "it is for connecting, not for signing in");
    COMPLETE.run(&house.gate, &cx(&one), came(&way, &back)).unwrap();
    assert_eq!(stage.sign_in("mei", mei()).unwrap().account.id, mine);
    assert_eq!(stage.roles(mine), ["owner"], "what people gave is not the provider's to change");
    let listed = house.gate.run(&cx(&one), &CONNECTED, Nothing {}).unwrap();
    assert!(listed[0].bound_at.is_some() && listed[0].used_at.is_some());

    // Passwords of those who are connected go, and come back when the provider is off.
    stage.change(|change| change.settings = Some(Settings { passwords: false, ..makes() }));
    assert_eq!(code(open()), "provider.only");
    stage.change(|change| change.state = Some(ProviderState::Off));
    assert_eq!(code(open()), "done");
    let which = ProviderRef { provider: stage.provider.id };
    house.gate.run(&cx(&one), &DISCONNECT, which).unwrap();

    // A stranger's account is none of this provider's business.
    let far = house.person("far@example.com", house.second, &["owner"]);
    let far = house.cx(far, None).unwrap().in_session("ses_01arz3ndektsv4rrffq69g5fav");
    stage.change(|change| change.state = Some(ProviderState::Active));
    assert_eq!(code(CONNECT.run(&house.gate, &far, at)), "provider.none");
}

#[test]
fn accounts_are_made_only_in_domains_that_the_operator_confirmed() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(stage) = Stage::new(db, makes()) else { return };
    stage.change(|change| change.domains = Some(vec!["other.example".to_owned(), DOMAIN.to_owned()]));
    let claims = json!({ "email": "mei@other.example", "email_verified": true });
    assert_eq!(code(stage.sign_in("mei", claims)), "provider.no_account");
    let owner = DomainOf { provider: stage.provider.id, domain: "other.example".to_owned() };
    assert_eq!(code(stage.house.gate.run(&stage.owner, &CONFIRM_DOMAIN, owner)), "action.forbidden");
    // What stays keeps its confirmation.
    assert!(stage.sign_in("mei", mei()).is_ok());
    // Without any role nobody comes in, and nothing is left behind.
    stage.change(|change| change.settings = Some(Settings { makes_accounts: true, ..Settings::default() }));
    let claims = json!({ "email": format!("new@{DOMAIN}"), "email_verified": true });
    assert_eq!(code(stage.sign_in("new", claims.clone())), "provider.no_role");
    // Who had one and has it no longer comes in to nothing, and keeps it for no token either.
    let gone = stage.sign_in("mei", mei()).unwrap().account.id;
    assert_eq!(stage.roles(gone), Vec::<String>::new());
    let key = format!("new@{DOMAIN}");
    let made = stage.house.gate.db().read(move |c| crate::accounts::store::by_email(c, &key)).unwrap();
    assert!(made.is_none());
    stage.change(|change| change.settings = Some(Settings { makes_accounts: false, ..makes() }));
    assert_eq!(code(stage.sign_in("new", claims)), "provider.no_account");
}

#[test]
fn two_factors_there_count_where_the_rules_say_so() {
    let (_, db, _keep) = db::testing::sqlite();
    let settings = Settings { two_factor_amr: vec!["mfa".to_owned()], ..makes() };
    let Some(stage) = Stage::new(db, settings) else { return };
    let with_amr = |amr: Json| {
        stage.idp.next(&json!({ "sub": "mei", "claims": mei(), "amr": amr }));
        let way = stage.begin(&format!("x@{DOMAIN}"));
        stage.open(came(&way, &visit(&way.url))).unwrap()
    };
    let rules = |provider_factors| {
        let rules =
            UpdateRules { factor_roles: Some(vec!["member".to_owned()]), provider_factors, ..Default::default() };
        stage.house.gate.run(&stage.owner, &SET_RULES, rules).unwrap();
    };
    let auth = Authenticator::new(stage.house.gate.clone());
    let cx = |opened: Opened| auth.recognise(&opened.signed_in().unwrap().secret, None).unwrap().cx;
    let must_enrol = |cx: &Cx| cx.proof().unwrap().must_enrol;
    rules(None);
    assert!(must_enrol(&cx(with_amr(json!(["pwd", "mfa"])))), "nobody says that it counts");
    rules(Some(true));
    let strong = cx(with_amr(json!(["pwd", "mfa"])));
    assert_eq!((strong.proof().unwrap().strength, must_enrol(&strong)), (Strength::ProviderFactor, false));
    let weak = cx(with_amr(json!(["pwd"])));
    assert_eq!((weak.proof().unwrap().strength, must_enrol(&weak)), (Strength::Provider, true));
    // A factor of our own is asked for where theirs does not count.
    let made = stage.house.gate.run(&weak, &ENROL, EnrolFactor::default()).unwrap();
    let now = stage.house.gate.now();
    let bytes = data_encoding::BASE32_NOPAD.decode(made.secret.as_bytes()).unwrap();
    let app = totp::code(&bytes, totp::step_at(now));
    let input = ActivateFactor { factor: made.factor.id, code: Secret::new(app) };
    stage.house.gate.run(&weak, &ACTIVATE, input).unwrap();
    assert!(matches!(with_amr(json!(["pwd"])), Opened::FactorNeeded(_)));
    assert!(matches!(with_amr(json!(["mfa"])), Opened::SignedIn(_)));
}

#[test]
fn a_provider_at_a_private_address_or_of_another_name_is_not_asked() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(idp) = idp() else { return };
    let house = house(db);
    let owner = house.with_role("owner", house.first);
    let create = |input: NewProvider| CREATE.run(&house.gate, &owner, input);
    for issuer in [
        "http://127.0.0.1:1",
        "ftp://id.example.com",
        "not an address",
        "https://user:password@id.example.com",
        &format!("{}?x=y", idp.issuer),
        // It is there, and says another name of itself.
        &idp.issuer.replace("127.0.0.1", "localhost"),
        &format!("{}/", idp.issuer),
    ] {
        let error = create(NewProvider { issuer: issuer.to_owned(), ..wish(&idp, makes()) }).unwrap_err();
        assert_eq!(error.attribute(), Some("issuer"), "{issuer}: {error:?}");
    }
    for (settings, attribute) in [
        (Settings { default_roles: vec!["administrator".to_owned()], ..makes() }, "default_roles"),
        (Settings { groups_claim: String::new(), ..makes() }, "groups_claim"),
        (Settings { scopes: vec!["two words".to_owned()], ..makes() }, "scopes"),
        (Settings { two_factor_amr: vec!["x".repeat(101)], ..makes() }, "two_factor_amr"),
    ] {
        assert_eq!(create(wish(&idp, settings)).unwrap_err().attribute(), Some(attribute));
    }
    let made = create(wish(&idp, makes())).unwrap();
    assert_eq!(made.redirect, format!("{RETURN}/{}", made.id));
    assert_eq!((made.state, made.has_secret), (ProviderState::Off, false), "nobody comes in by one that is new");
    assert_eq!(code(create(wish(&idp, makes()))), "provider.known");
    // Where the operator does not allow it, nothing on this machine is asked.
    install(&house.gate, "http://localhost", web::Outgoing::default());
    assert_eq!(
        code(create(NewProvider { client_id: "yunwei-ec".to_owned(), ..wish(&idp, makes()) })),
        "provider.issuer"
    );
}

#[test]
fn es256_is_verified_like_rs256() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(idp) = idp() else { return };
    let house = house(db);
    let owner = house.with_role("owner", house.first);
    let wish =
        NewProvider { client_id: "yunwei-ec".to_owned(), domains: Vec::new(), ..wish(&idp, Settings::default()) };
    let provider = CREATE.run(&house.gate, &owner, wish).unwrap();
    let stage = Stage { idp, house, owner, provider };
    stage.run_secret(SECRET);
    stage.change(|change| change.state = Some(ProviderState::Active));
    stage.idp.next(&json!({ "sub": "mei", "claims": {} }));
    let input = BeginAtProvider { provider: Some(stage.provider.id), ..Default::default() };
    let way = BEGIN.run(&stage.house.gate, &stage.nobody(), input).unwrap();
    // The token counts; nobody is connected with whom it names.
    assert_eq!(code(stage.open(came(&way, &visit(&way.url)))), "provider.no_account");
}
