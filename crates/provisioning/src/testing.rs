//! A whole town for the tests of this and higher rooms: an operator with the
//! starter catalog, hosts whose agents are played, and the reactions between
//! the rooms.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

use std::any::Any;

use base::Result;
use base::id::{HostId, Ids, RunId};
use base::time::{Clock, Timestamp};
use commerce::orders::{CANCEL_PRODUCT_ORDER, PRODUCT_ORDER};
use commerce::testing::{OPERATOR, manager, member, order};
use db::{Db, Record};
use durable::{Engine, Registry, flows};
use gate::{Catalogue, Fact, Gate, Kind, Tx};
use resources::testing::{Mood, facts, host, image, play, pool};
use serde_json::{Map, Value as Json, json};

use crate::services::SERVICE;
use crate::{fulfilment, services, starter};

/// What the house does about facts, as far as these rooms go.
///
/// # Errors
/// Those of the reactions.
pub fn react(tx: &mut Tx<'_>, fact: &dyn Fact) -> Result<()> {
    let any: &dyn Any = fact;
    if let Some(fact) = any.downcast_ref::<commerce::Fact>() {
        return match fact {
            commerce::Fact::OrderAccepted { order, .. } => fulfilment::accepted(tx, order),
            commerce::Fact::OrderCancellationRequested { order, .. } => fulfilment::cancelled(tx, order),
            commerce::Fact::OrderEnded { .. } => Ok(()),
        };
    }
    if let Some(fact) = any.downcast_ref::<durable::Fact>() {
        return fulfilment::ended(tx, fact);
    }
    match any.downcast_ref::<resources::Fact>() {
        Some(resources::Fact::MachineObserved { intent, service }) => {
            flows::wake(tx, &format!("intent:{intent}"))?;
            services::observe(tx, service)
        }
        Some(resources::Fact::MachineFreed { intent, .. }) => flows::wake(tx, &format!("intent:{intent}")).map(drop),
        _ => Ok(()),
    }
}

/// The steps, flows and reconcilers of these rooms.
pub fn registry() -> Registry {
    crate::register(Registry::default())
}

/// The town.
pub struct Town {
    /// The gate.
    pub gate: Gate,
    /// The engine, not started: [`Town::settle`] does what is due.
    pub engine: Engine,
    /// The hosts.
    pub hosts: Vec<HostId>,
    /// The starter catalog, by key.
    pub catalog: starter::Seeded,
}

/// A gate over `db` with these rooms, their reactions and an operator.
pub fn gate(db: Db, clock: Clock) -> Gate {
    db.write(|conn| {
        conn.execute("CREATE TABLE IF NOT EXISTS tenants (id TEXT PRIMARY KEY, parent TEXT, path TEXT NOT NULL)", &[])?;
        conn.execute("INSERT INTO tenants (id, parent, path) VALUES ($1, NULL, 'o/')", db::args![OPERATOR])
    })
    .unwrap();
    let catalogue = Catalogue::default()
        .kinds(commerce::KINDS)
        .kinds(crate::KINDS)
        .kinds(resources::KINDS)
        .actions(commerce::ACTIONS)
        .actions(crate::ACTIONS)
        .actions(resources::ACTIONS)
        .actions(&durable::actions());
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    let policies =
        format!("permit(principal, action in [{}], resource) unless {{ principal is Nobody }};", names.join(", "));
    let gate = Gate::new(db, clock, Ids::seeded(1), &policies, catalogue).unwrap();
    gate.react_with(Box::new(react));
    gate
}

impl Town {
    /// A town over `db` with a clock that stands, and one large host.
    pub fn new(db: Db) -> Town {
        let start: Timestamp = gate::testing::START.parse().unwrap();
        Town::with_clock(db, Clock::fixed(start))
    }

    /// A town over `db` with one large host.
    pub fn with_clock(db: Db, clock: Clock) -> Town {
        let gate = gate(db, clock);
        let engine = Engine::new(gate.clone(), registry()).unwrap();
        let staff = manager();
        let pool = pool(&gate, &staff);
        image(&gate, &staff, "tiny");
        let hosts = vec![host(&gate, &staff, pool.id, facts("h1", 64, 256 << 10, 4 << 20))];
        let catalog = gate.run(&staff, &starter::SEED, starter::Seed::default()).unwrap();
        Town { gate, engine, hosts, catalog }
    }

    /// The record that the starter catalog made under `key`.
    pub fn of_catalog(&self, kind: &'static Kind, key: &str) -> Record {
        kind.get(&self.gate, &manager(), &self.catalog.made[key]).unwrap()
    }

    /// An order of tenant `tenant` for a small machine.
    pub fn order(&self, tenant: u128) -> Record {
        let small = self.of_catalog(&commerce::catalog::PRODUCT_OFFERING, "small");
        PRODUCT_ORDER.create(&self.gate, &member(tenant), order(&small, json!({}))).unwrap()
    }

    /// An order as it is now.
    pub fn read(&self, kind: &'static Kind, id: &str) -> Record {
        kind.get(&self.gate, &manager(), id).unwrap()
    }

    /// The run that carries out an item of an order.
    pub fn run_of(&self, order: &str, item: &str) -> flows::Run {
        let (order, item) = (order.to_owned(), item.to_owned());
        let runs = self.gate.db().read(move |c| flows::of_subject(c, PRODUCT_ORDER.name, &order)).unwrap();
        runs.into_iter().rfind(|run| run.input["item"] == item.as_str()).unwrap()
    }

    /// The id of that run.
    pub fn run_id(&self, order: &str) -> RunId {
        self.run_of(order, "1").id
    }

    /// Does everything that is due and plays the agents, until nothing happens any more.
    pub fn settle(&self, mood: Mood) {
        loop {
            self.engine.settle().unwrap();
            if !self.play(mood) {
                return;
            }
        }
    }

    /// Plays every agent for one round.
    pub fn play(&self, mood: Mood) -> bool {
        self.hosts.iter().filter(|host| play(&self.gate, **host, OPERATOR, mood)).count() > 0
    }

    /// The services of an order's items, customer-facing ones only.
    pub fn services(&self, order: &str) -> Vec<Record> {
        let order = self.read(&PRODUCT_ORDER, order);
        let products = order.values("productOrderItem.product.id").into_iter().filter_map(Json::as_str);
        let products: Vec<Record> = products.map(|id| self.read(&commerce::products::PRODUCT, id)).collect();
        let services = products.iter().flat_map(|product| product.values("realizingService.id"));
        services.filter_map(Json::as_str).map(|id| self.read(&SERVICE, id)).collect()
    }

    /// Asks for an order to be cancelled.
    ///
    /// # Errors
    /// Those of the rules.
    pub fn cancel(&self, tenant: u128, order: &str) -> Result<Record> {
        let body: Map<String, Json> = commerce::testing::body(json!({ "productOrder": { "id": order } }));
        CANCEL_PRODUCT_ORDER.create(&self.gate, &member(tenant), body)
    }

    /// How many rows a condition finds.
    pub fn count(&self, sql: &'static str) -> i64 {
        self.gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get(0))).unwrap()
    }

    /// Panics where anything is still held: capacity, claims, machines.
    pub fn assert_nothing_is_held(&self) {
        for (what, sql) in [
            ("reservations", "SELECT COUNT(*) FROM reservations WHERE state <> 'released'"),
            ("claims", "SELECT COUNT(*) FROM claims"),
            ("intents", "SELECT COUNT(*) FROM intents WHERE freed_at IS NULL"),
            (
                "ledger",
                "SELECT CAST(COALESCE(SUM(debits_pending + credits_pending), 0) AS BIGINT) FROM ledger_accounts",
            ),
        ] {
            assert_eq!(self.count(sql), 0, "{what} are left");
        }
        let living = "SELECT COUNT(*) FROM records WHERE kind = 'service' AND state <> 'terminated'";
        assert_eq!(self.count(living), 0, "services are left");
        self.assert_sound();
    }

    /// Panics where the books are out of step or a document is not as its shape says.
    pub fn assert_sound(&self) {
        let kinds: Vec<&'static Kind> = self.gate.catalogue().all_kinds().to_vec();
        let records = self
            .gate
            .db()
            .read(move |conn| {
                let mut all = Vec::new();
                for kind in kinds {
                    let ids: Vec<String> =
                        conn.query("SELECT id FROM records WHERE kind = $1", db::args![kind.name], |row| row.get(0))?;
                    for id in ids {
                        all.extend(db::records::load(conn, kind.name, &id)?.map(|record| (kind, record)));
                    }
                }
                Ok(all)
            })
            .unwrap();
        for (kind, record) in records {
            let result = kind.shape.check(&record.body, &mut Vec::new());
            assert!(result.is_ok(), "{} {}: {:?}", kind.name, record.id, result.err());
        }
    }
}
