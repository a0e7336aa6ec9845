//! A whole house in this process: the server as `yunwei serve` puts it
//! together, listening on loopback, and one host whose machines exist in memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::time::Clock;
use db::Location;
use drivers::converge::{Agent, Settings as AgentSettings, Store};
use drivers::hypervisor::Hypervisor as _;
use drivers::hypervisor::memory::Memory;
use drivers::moment::HostClock;
use gate::audit::{Key, Sequencer};
use gate::{Actor, Cx, Gate};
use portal::Portal;
use resources::local::Local;
use serde_json::{Value as Json, json};
use server::app::{self, Folder};
use testkit::{Api, Installation};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use web::hub::HubSettings;
use web::{Settings, Web};

/// A folder that goes with its handle.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("yw-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How long a machine takes to answer: long enough to cancel its order.
const BOOT: Duration = Duration::from_secs(2);

/// The house. Everything in it ends with it.
pub struct House {
    /// The API as the first administrator.
    pub admin: Api,
    /// The one door, for what a test must set right behind the house's back.
    pub gate: Gate,
    /// The machines of the one host, where there is one.
    pub machines: Option<Arc<Memory>>,
    agent: Option<Agent>,
    work: Option<durable::Handle>,
    log: Option<Sequencer>,
    door: Arc<resources::door::Door>,
    stop: Option<oneshot::Sender<()>>,
    front: Option<tokio::task::JoinHandle<()>>,
    runtime: Option<Runtime>,
    scratch: Scratch,
}

/// What a house is to be like.
#[derive(Default)]
pub struct Plan {
    /// Where notifications may go and how long to wait between attempts.
    pub hub: HubSettings,
    /// Whether there are limits on how often one may ask.
    pub limited: bool,
    /// An empty PostgreSQL database instead of SQLite.
    pub database: Option<String>,
}

impl House {
    /// A house without a host.
    pub fn new(name: &str, plan: Plan) -> House {
        let scratch = Scratch::new(name);
        let folder = Folder::open(&scratch.0).unwrap();
        let location = plan.database.map_or_else(|| Location::Directory(scratch.0.clone()), Location::Postgres);
        let gate = app::open_gate(&location, Clock::System).unwrap();
        let token = first_administrator(&gate);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let site = format!("http://{address}");
        let outbox =
            drivers::mail::open(&format!("file://{}", folder.outbox().display()), "Yunwei <y@localhost>").unwrap();
        let postman = access::Postman::new(outbox, &site);
        let house = app::assemble(gate.clone(), &folder, &location, postman, &site, plan.hub).unwrap();
        let authenticator = access::Authenticator::new(gate.clone());
        let mut settings = Settings { site: site.clone(), ..Settings::default() };
        if !plan.limited {
            (settings.actor_rate, settings.address_rate) = (0, 0);
        }
        let web = Web::new(gate.clone(), authenticator.clone(), settings);
        let (hub, agents) = (house.hub.clone(), "https://127.0.0.1:1".into());
        let portal = Portal { gate: gate.clone(), authenticator, hub, tls: false, agents, images: folder.images() };
        let router = server::routes::router(&house, &web, portal);
        let log = Sequencer::start(&gate, Key::open_or_make(&folder.keys()).unwrap()).unwrap();
        let work = house.engine.start().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let front = runtime.spawn(async move {
            web::serve::serve(listener, None, &[], router, async { drop(stopped.await) }).await;
        });
        let (hub, notified) = (house.hub.clone(), gate.clone());
        runtime.spawn(async move { hub.deliver(notified).await });
        House {
            admin: Api::new(&site, &token),
            gate: gate.clone(),
            machines: None,
            agent: None,
            work: Some(work),
            log: Some(log),
            door: house.door.clone(),
            stop: Some(stop),
            front: Some(front),
            runtime: Some(runtime),
            scratch,
        }
    }

    /// A house with a host and the starter catalog on sale.
    pub fn with_machines(name: &str, plan: Plan) -> House {
        let mut house = House::new(name, plan);
        let site = house.admin.post("/api/v1/sites", &json!({ "name": "taipei", "place": "Taipei" })).unwrap();
        let pool = json!({ "site": site["id"], "name": "general", "portFirst": 20_000, "portLast": 39_999 });
        let pool = house.admin.post("/api/v1/pools", &pool).unwrap();
        let invited =
            house.admin.post("/api/v1/hosts/invitations", &json!({ "pool": pool["id"], "note": "" })).unwrap();
        let memory = Arc::new(Memory::new(HostClock::system()));
        memory.set_boot_time(BOOT);
        let runtime = house.runtime.as_ref().unwrap().handle().clone();
        let said = memory.host().unwrap();
        let plane = Local::enrol(house.door.clone(), invited["token"].as_str().unwrap(), said, runtime).unwrap();
        house.admin.post(&format!("/api/v1/hosts/{}/activate", plane.host), &json!({})).unwrap();
        let settings = AgentSettings {
            poll_wait: Duration::from_secs(1),
            watch_every: Duration::from_millis(50),
            report_every: Duration::from_millis(200),
            grace: Duration::from_millis(10),
            retry_min: Duration::from_millis(5),
            ..AgentSettings::default()
        };
        let store = Store::open(&house.scratch.0.join("agent.db")).unwrap();
        let agent = Agent::start(settings, memory.clone(), Arc::new(plane), store, HostClock::system()).unwrap();
        (house.machines, house.agent) = (Some(memory), Some(agent));
        let image = json!({ "name": "tiny", "sha256": "ab".repeat(32), "bytes": 1 << 20, "format": "qcow2" });
        house.admin.post("/api/v1/images", &image).unwrap();
        house.admin.post("/api/v1/catalog/seed", &json!({})).unwrap();
        house
    }

    /// A customer and the API as its owner.
    pub fn customer(&self, name: &str) -> (String, Api) {
        let email = format!("owner@{}.example", name.to_lowercase());
        let owner = json!({ "name": name, "owner": { "email": email, "name": name } });
        let tenant = self.admin.post("/api/v1/tenants", &owner).unwrap();
        (tenant["id"].as_str().unwrap().to_owned(), self.accept(&email))
    }

    /// Somebody new with that role in the tenant that `who` acts in.
    pub fn person(&self, who: &Api, email: &str, role: &str) -> Api {
        let asked = json!({ "email": email, "name": role, "roles": [role] });
        who.post("/api/v1/invitations", &asked).unwrap();
        self.accept(email)
    }

    /// Takes up an invitation and makes a token.
    fn accept(&self, email: &str) -> Api {
        let token = testkit::mailed_token(&self.scratch.0.join("outbox"), email).unwrap();
        let nobody = self.admin.as_token("");
        let answer = json!({ "token": token, "name": email, "password": Installation::PASSWORD });
        nobody.post("/api/v1/invitations/accept", &answer).unwrap();
        testkit::sign_in(&nobody, email).unwrap()
    }
}

/// Makes the operator as `yunwei admin init` does; gives the administrator's token.
fn first_administrator(gate: &Gate) -> String {
    let tenant = base::id::TenantId::fresh(gate.ids(), gate.now());
    let cx = Cx::new(Actor::System("init"), tenant, db::records::Scope::All, Default::default());
    let input = access::operator::InitOperator {
        name: "Yunwei".into(),
        email: Installation::ADMINISTRATOR.into(),
        administrator: None,
        locale: Some("en".into()),
        time_zone: Some("Asia/Taipei".into()),
        password: Some(access::Secret::new(Installation::PASSWORD)),
        without_support: false,
    };
    access::operator::INIT.run(gate, &cx, input).unwrap().token
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.agent.take());
        drop(self.stop.take());
        self.door.close();
        if let (Some(runtime), Some(front)) = (self.runtime.take(), self.front.take()) {
            let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), front).await });
            if let Some(work) = self.work.take() {
                work.stop();
            }
            if let Some(log) = self.log.take() {
                log.stop();
            }
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Looks again and again until something is found; says what did not come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until an order has come to its end; gives the order.
pub fn ended(api: &Api, order: &Json) -> Json {
    let path = format!("/tmf-api/productOrderingManagement/v4/productOrder/{}", order["id"].as_str().unwrap());
    until("the order's end", || {
        let order = api.get(&path).unwrap();
        let ended = ["completed", "failed", "partial", "cancelled", "rejected"];
        ended.contains(&order["state"].as_str().unwrap()).then_some(order)
    })
}
