//! The room on a real database, on both engines.

mod agents;
mod capacity;
mod enrolment;
mod entrance;
mod story;
mod tasks;

use std::path::Path;
use std::sync::Arc;

use base::Result;
use base::id::{HostId, Ids, TenantId};
use base::time::{Clock, Timestamp};
use db::Db;
use db::testing::Scratch;
use drivers::wire::{
    Accelerator, DiskSource, DiskSpec, EnrolRequest, HostReport, IntentId, MachineSpec, MachineState, Observation,
    PROTOCOL, Power, Report,
};
use gate::{Catalogue, Cx, Effect, Gate, Tx};

use crate::ca::Ca;
use crate::capacity::{Ask, Reservation};
use crate::door::{Door, Guest};
use crate::intents::{self, Intent, Want};
use crate::placement::{Demand, Policy};
use crate::places::{CREATE_POOL, CREATE_SITE, Factors, NewPool, NewSite, Pool, Ratio};
use crate::{ACTIONS, KINDS, hosts};

pub const OPERATOR: TenantId = TenantId(1);
pub const CUSTOMER: TenantId = TenantId(2);
const START: &str = "2026-01-01T00:00:00Z";

/// The room with an operator, a pool and an entrance.
pub struct House {
    pub engine: &'static str,
    pub gate: Gate,
    pub door: Arc<Door>,
    pub pool: Pool,
    pub scratch: Scratch,
}

pub fn each_engine(test: impl Fn(House)) {
    for (engine, db, scratch) in db::testing::databases() {
        test(House::new(engine, db, scratch, Clock::fixed(START.parse().unwrap())));
    }
}

impl House {
    pub fn new(engine: &'static str, db: Db, scratch: Scratch, clock: Clock) -> House {
        db.write(|conn| {
            conn.execute(
                "CREATE TABLE IF NOT EXISTS tenants (id TEXT PRIMARY KEY, parent TEXT, path TEXT NOT NULL)",
                &[],
            )?;
            conn.execute("INSERT INTO tenants (id, parent, path) VALUES ($1, NULL, 'o/')", db::args![OPERATOR])
        })
        .unwrap();
        let catalogue = Catalogue::default().actions(ACTIONS).kinds(KINDS);
        let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
        let policies = format!(
            "permit(principal, action in [{}], resource) unless {{ principal is Nobody || principal is Agent }};
             permit(principal is Nobody, action == Action::\"host.enrol\", resource);
             permit(principal is Agent, action in [Action::\"agent.poll\", Action::\"agent.observe\", Action::\"agent.console\", Action::\"agent.image\", Action::\"agent.renew\", Action::\"agent.access\", Action::\"agent.hand_over\", Action::\"agent.recover\"], resource);",
            names.join(", ")
        );
        let gate = Gate::new(db, clock, Ids::seeded(1), &policies, catalogue).unwrap();
        let ca = Arc::new(Ca::open(&scratch.path().join("ca"), gate.now()).unwrap());
        let door = Door::open(gate.clone(), ca, scratch.path().join("images")).unwrap();
        let site = gate.run(&staff(), &CREATE_SITE, NewSite { name: "Taipei".into(), place: "Taipei".into() }).unwrap();
        let one = Ratio { over: 1, under: 1 };
        let factors = Factors { vcpu: Ratio { over: 2, under: 1 }, memory: one, disk: one };
        let pool = NewPool {
            site: site.id,
            name: "general".into(),
            factors,
            port_first: Some(20_000),
            port_last: Some(20_099),
        };
        let pool = gate.run(&staff(), &CREATE_POOL, pool).unwrap();
        House { engine, gate, door, pool, scratch }
    }

    /// Runs as the platform, in one transaction.
    pub fn tx<T: Send + 'static>(&self, work: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        self.gate.perform(&Cx::system("test", OPERATOR), "resource.reconcile", Effect::Change, [0; 32], work)
    }

    pub fn token(&self) -> String {
        self.gate
            .run(&staff(), &hosts::INVITE, hosts::Invite { pool: self.pool.id, hours: None, note: String::new() })
            .unwrap()
            .token
    }

    /// Lets a host in and makes it active.
    pub fn host(&self, name: &str) -> (HostId, Guest) {
        let (request, _) = enrol_request(&self.token(), name);
        let answer = wait(self.door.enrol(request, |cx| cx)).unwrap();
        let host: HostId = answer.host_id.parse().unwrap();
        self.gate.run(&staff(), &hosts::ACTIVATE, hosts::HostRef { id: host }).unwrap();
        (host, self.guest(&answer.certificate_pem))
    }

    pub fn guest(&self, certificate_pem: &str) -> Guest {
        wait(self.door.admit(&der(certificate_pem))).unwrap()
    }

    pub fn reserve(&self, id: &str, demand: Demand) -> Result<Reservation> {
        let ask = ask(id, demand);
        self.tx(move |tx| crate::capacity::reserve(tx, &ask))
    }

    /// Reserves for a machine and wants it to run. Gives where.
    pub fn order(&self, id: &str) -> HostId {
        let ask = ask(id, Demand::of_machine(&spec(id)));
        self.tx(move |tx| {
            let host = crate::capacity::reserve(tx, &ask)?.host;
            intents::put(
                tx,
                &Want {
                    id: &ask.machine,
                    host,
                    spec: &spec(&ask.service),
                    tenant: CUSTOMER,
                    service: &ask.service,
                    standing: crate::intents::Standing::Serving,
                },
            )?;
            Ok(host)
        })
        .unwrap()
    }

    pub fn intent(&self, id: &str) -> Intent {
        let id: IntentId = id.parse().unwrap();
        self.gate.db().read(move |conn| intents::get(conn, &id)).unwrap().unwrap()
    }

    pub fn report(&self, guest: &Guest, observations: Vec<Observation>) -> Vec<String> {
        let report = Report {
            protocol: PROTOCOL,
            sent_at: self.gate.now(),
            host: None,
            observations,
            orphans: None,
            tasks: vec![],
        };
        wait(self.door.observe(guest, report)).unwrap().unknown.iter().map(ToString::to_string).collect()
    }

    pub fn facts(&self) -> Vec<String> {
        self.gate.db().read(|conn| conn.query("SELECT name FROM facts ORDER BY seq", &[], |row| row.get(0))).unwrap()
    }

    /// Nothing is out of step: the ledger's sums, and what is held by nobody.
    pub fn assert_sound(&self) {
        let faults = self.gate.db().read(ledger::audit).unwrap();
        assert!(faults.is_empty(), "{}: {faults:?}", self.engine);
        let stray: i64 = self
            .gate
            .db()
            .read(|conn| {
                conn.query_one(
                    "SELECT COUNT(*) FROM claims c JOIN intents i ON i.id = c.machine WHERE i.freed_at IS NOT NULL",
                    &[],
                    |row| row.get(0),
                )
            })
            .unwrap();
        assert_eq!(stray, 0, "{}", self.engine);
    }

    pub fn free(&self, host: HostId) -> [i64; 3] {
        self.gate.db().read(move |conn| crate::capacity::fill(conn, host)).unwrap().free.amounts()
    }
}

/// The operator's staff.
pub fn staff() -> Cx {
    gate::testing::somebody(OPERATOR)
}

pub fn ask(id: &str, demand: Demand) -> Ask {
    Ask {
        machine: id.parse().unwrap(),
        tenant: CUSTOMER,
        service: format!("svc-{id}"),
        run: None,
        demand,
        policy: Policy::default(),
    }
}

pub fn spec(name: &str) -> MachineSpec {
    MachineSpec {
        name: name.to_owned(),
        vcpus: 2,
        memory_mib: 1_024,
        disks: vec![DiskSpec { name: "data".into(), size_mib: 500, source: DiskSource::Blank { filesystem: None } }],
        networks: vec![],
        cloud_init: Default::default(),
        power: Power::Running,
        reboot_token: None,
        check: None,
    }
}

/// A host with 8 cores (16 for sale), 16 GiB and 100 GB.
pub fn facts(name: &str) -> HostReport {
    HostReport {
        hostname: name.to_owned(),
        cpu_cores: 8,
        memory_mib: 16_384,
        disk_mib: 100_000,
        disk_free_mib: 90_000,
        accelerator: Accelerator::Simulated,
        hypervisor: "memory".into(),
        agent_version: "0.1.0".into(),
        booted_at: None,
        images: vec![],
        bridges: vec![],
        warnings: vec![],
    }
}

pub fn csr(key: &rcgen::KeyPair) -> String {
    rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

pub fn enrol_request(token: &str, name: &str) -> (EnrolRequest, rcgen::KeyPair) {
    let token: drivers::wire::EnrolToken = token.parse().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    (EnrolRequest { protocol: PROTOCOL, secret: token.secret, csr_pem: csr(&key), host: facts(name) }, key)
}

pub fn seen(id: &str, generation: u64, revision: u64, state: MachineState, at: Timestamp) -> Observation {
    Observation {
        id: id.parse().unwrap(),
        generation,
        revision,
        state,
        converged: true,
        since: at,
        power: None,
        reboot_token: None,
        lives: vec![],
        check: None,
        recovered: vec![],
        recovering: vec![],
        console_bytes: 0,
        problem: None,
        observed_at: at,
    }
}

pub fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// Runs an async call to its end.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    RUNTIME.block_on(work)
}

/// What a program of the machine says, where it is installed.
pub fn openssl(folder: &Path, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new("openssl").current_dir(folder).args(args).output().ok()?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}
