//! Shipping on a real database, on both engines, to real places: directories, an rsyslog, an S3 server, a
//! listener for webhooks.

mod peers;
mod places;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::id::TenantId;
use db::testing::{Scratch, sqlite};
use gate::audit::{Key, Report, Sequencer, Verify};
use gate::testing::{gate, somebody};
use gate::{Action, Catalogue, Effect, Gate};
use web::hub::HubSettings;

use super::actions::*;
use super::work::{Desk, backoff, is_due};
use super::*;

static NOTE: Action<String, ()> = Action {
    name: "thing.note",
    summary: "Touches a thing.",
    effect: Effect::Change,
    run: |tx, id| {
        let owner = tx.cx().tenant();
        tx.touch("thing", id, owner, 1);
        Ok(())
    },
};

const OPERATOR: TenantId = TenantId(1);

/// A log, the keys beside it, and a directory for whatever the other side keeps.
struct House {
    gate: Gate,
    keys: Scratch,
    other: Scratch,
    data: Scratch,
    hub: Hub,
}

impl House {
    fn new((_, db, data): (&'static str, Db, Scratch)) -> House {
        let catalogue = Catalogue::default().actions(&[&NOTE]).actions(ACTIONS).actions(gate::audit::actions::ACTIONS);
        let gate = gate(db, catalogue);
        let keys = Scratch::new();
        gate.install(Arc::new(Keys::open(keys.path()).unwrap()));
        let hub = Hub::new(&[], "", HubSettings { private_targets: true, ..HubSettings::default() });
        House { gate, keys, other: Scratch::new(), data, hub }
    }

    /// So many entries with personal data, and a signed head over all that there are.
    fn add(&self, n: usize) {
        for number in 0..n {
            let cx = somebody(OPERATOR).because(format!("TICKET-{number} 陳小姐"));
            self.gate.run(&cx, &NOTE, format!("thing-{number} 陳")).unwrap();
        }
        self.sign();
    }

    fn sign(&self) {
        self.sql("UPDATE leases SET until = 0");
        Sequencer::start(&self.gate, self.key()).unwrap().stop();
    }

    fn key(&self) -> Key {
        Key::open_or_make(self.keys.path()).unwrap()
    }

    fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.gate.db().write(move |conn| conn.execute(&sql, &[])).unwrap();
    }

    fn courier(&self) -> Courier {
        let (hub, keys) = (self.hub.clone(), Keys::open(self.keys.path()).unwrap());
        Courier { hub, keys, key: self.key().public().clone() }
    }

    fn desk(&self) -> Desk {
        Desk::new(self.gate.clone(), self.courier())
    }

    fn make(&self, name: &str, target: Target) -> MadeAuditPlace {
        let new = NewAuditPlace { name: name.into(), target, entries: None, every_seconds: None, behind_seconds: None };
        self.gate.run(&somebody(OPERATOR), &CREATE, new).unwrap()
    }

    /// A place that is a directory; made in it already.
    fn directory(&self, name: &str) -> (AuditPlaceId, PathBuf) {
        let path = self.other.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let target = Target::Directory { path: path.display().to_string() };
        (self.make(name, target).place.id, path)
    }

    /// Ships what there is; gives the pieces that arrived.
    fn ship(&self, id: AuditPlaceId) -> usize {
        self.desk().ship(id).unwrap()
    }

    fn place(&self, id: AuditPlaceId) -> AuditPlace {
        self.gate.run(&somebody(OPERATOR), &GET, AuditPlaceRef { id }).unwrap()
    }

    fn against(&self, kept: &Kept) -> Report {
        let with = Verify { directory: Some(self.keys.path()), key: None, kept: Some(kept) };
        gate::audit::verify(self.gate.db(), &with).unwrap()
    }

    /// Somebody has the database and the key, and builds another history that agrees with itself.
    fn rewrite(&self, change: &str) {
        self.sql(change);
        self.sql("UPDATE audit_entries SET leaf_index = NULL, leaf_hash = NULL, root = NULL");
        for table in ["audit_tree", "audit_nodes", "audit_checkpoints"] {
            self.sql(&format!("DELETE FROM {table}"));
        }
        std::fs::remove_file(self.keys.path().join("audit.checkpoints")).unwrap();
        self.sign();
        assert!(self.against(&Kept::default()).is_good(), "it agrees with itself");
    }

    fn pass(&self, seconds: u64) {
        self.gate.clock().advance(Duration::from_secs(seconds));
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

/// Waits for something that another thread or program does.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: it did not come about");
}

#[test]
fn what_was_signed_lies_elsewhere_and_agrees() {
    for house in db::testing::databases() {
        let house = House::new(house);
        let (id, path) = house.directory("far");
        assert_eq!((house.ship(id), house.place(id).state), (0, State::Waiting), "nothing is signed yet");
        house.add(5);
        assert_eq!(house.ship(id), 1);
        let shipped = house.place(id).shipped;
        house.add(3);
        assert_eq!((house.ship(id), house.ship(id)), (1, 0));
        let place = house.place(id);
        assert_eq!((place.state, place.behind_since, place.problem.as_ref()), (State::Current, None, None));
        let kept = Kept::at(&path).unwrap();
        assert_eq!((kept.entries.len() as i64, kept.notes.len()), (place.shipped, 2));
        assert!(house.against(&kept).is_good());
        assert!(files(&path)[0].starts_with("audit-000000000000-"), "{:?}", files(&path));
        let text = std::fs::read_to_string(path.join(&files(&path)[1])).unwrap();
        assert!(!text.contains("TICKET"), "personal data stays in the house: {text}");
        assert!(text.contains(&format!("\"from\":{shipped}")), "the second piece begins where the first ended: {text}");
    }
}

#[test]
fn a_crash_between_sending_and_remembering_sends_twice_and_skips_nothing() {
    let house = House::new(sqlite());
    let (id, path) = house.directory("far");
    house.add(4);
    assert_eq!(house.ship(id), 1);
    // As if it had died before it wrote that down; once with nothing new since, once with more.
    house.sql("UPDATE audit_places SET shipped = 0, shipped_at = NULL");
    assert_eq!((house.ship(id), files(&path).len()), (1, 1), "the same piece is the same file");
    house.sql("UPDATE audit_places SET shipped = 0, shipped_at = NULL");
    house.add(4);
    assert_eq!((house.ship(id), files(&path).len()), (1, 2));
    let kept = Kept::at(&path).unwrap();
    assert_eq!((kept.entries.len() as i64, kept.twice), (house.place(id).shipped, None));
    assert!(house.against(&kept).is_good());
}

#[test]
fn a_backlog_goes_in_pieces_that_each_have_the_newest_head() {
    let house = House::new(sqlite());
    let (id, path) = house.directory("far");
    house.add(20);
    let size = house.gate.db().read(|conn| Shipment::next(conn, 0, Some(7))).unwrap().unwrap();
    assert_eq!((size.to, size.leaves.len() as u64, size.size > 7), (7, 7, true));
    let heads = NewAuditPlace {
        name: "heads".into(),
        target: Target::Directory { path: path.display().to_string() },
        entries: Some(false),
        every_seconds: None,
        behind_seconds: None,
    };
    let heads = house.gate.run(&somebody(OPERATOR), &CREATE, heads).unwrap().place.id;
    house.sign();
    assert_eq!(house.ship(heads), 1);
    let kept = Kept::at(&path).unwrap();
    assert_eq!((kept.entries.len(), kept.notes.len()), (0, 1), "heads alone, where no more was wanted");
    house.rewrite("UPDATE audit_entries SET actor = 'acc_x' WHERE leaf_index = 12");
    assert!(!house.against(&kept).is_good(), "and they are enough to betray it");
    assert_eq!(house.place(id).shipped, 0);
}

#[test]
fn a_rewritten_log_is_betrayed_and_does_not_mend_what_was_shipped() {
    let house = House::new(sqlite());
    let (id, path) = house.directory("far");
    house.add(12);
    house.ship(id);
    house.rewrite("UPDATE audit_entries SET actor = 'acc_x' WHERE leaf_index = 7");
    let location = Location::Directory(house.data.path().to_owned());
    let kept = kept_at(&location, house.keys.path(), "far").unwrap();
    assert_eq!(kept, Kept::at(&path).unwrap());
    assert_eq!(house.against(&kept).first_bad.unwrap().index, 7);
    // To ship the new history over the old one fails, and so does to take the old one for the new.
    house.sql("UPDATE audit_places SET shipped = 0");
    assert_eq!(house.ship(id), 0);
    let problem = house.place(id).problem.unwrap();
    assert_eq!(problem.code, "shipping.taken");
    // A log that is shorter than what was shipped of it is told of.
    house.sql("UPDATE audit_places SET shipped = 1000000, problem = NULL, attempts = 0");
    assert_eq!(house.ship(id), 0);
    let place = house.place(id);
    assert_eq!((place.state, place.problem.unwrap().code.as_str()), (State::Behind, "audit.cut"));
    let now = house.gate.now();
    assert_eq!(house.gate.db().read(move |conn| late(conn, now)).unwrap().len(), 1);
    assert_eq!(kept_at(&location, house.keys.path(), "nowhere").unwrap_err().code(), "auditPlace.not_found");
}

#[test]
fn a_place_that_is_away_is_tried_again_and_is_late_after_its_limit() {
    let house = House::new(sqlite());
    let (id, path) = house.directory("far");
    std::fs::remove_dir(&path).unwrap();
    house.add(3);
    assert_eq!(house.ship(id), 0);
    let place = house.place(id);
    let problem = place.problem.clone().unwrap();
    assert_eq!((place.state, place.attempts, problem.code.as_str()), (State::Failing, 1, "shipping.directory"));
    assert!(problem.message.contains("mounted") && !path.exists(), "no directory is made in its place");
    assert!(!is_due(&place, house.gate.now()));
    let late = |house: &House| {
        let now = house.gate.now();
        house.gate.db().read(move |conn| late(conn, now)).unwrap()
    };
    assert!(late(&house).is_empty());
    house.pass(901);
    assert_eq!((house.place(id).state, late(&house).len()), (State::Behind, 1));
    assert!(is_due(&house.place(id), house.gate.now()));
    std::fs::create_dir(&path).unwrap();
    assert_eq!(house.ship(id), 1);
    assert_eq!((house.place(id).state, house.place(id).attempts, late(&house).len()), (State::Current, 0, 0));
    assert_eq!([0, 1, 5, 7, 8, 60].map(backoff), [5, 10, 160, 640, 900, 900]);
}

#[test]
fn a_clock_that_was_set_back_puts_nothing_off() {
    let house = House::new(sqlite());
    let (id, _) = house.directory("far");
    house.add(1);
    house.ship(id);
    house.add(1);
    let place = house.place(id);
    assert!(!is_due(&place, house.gate.now()));
    assert!(is_due(&place, house.gate.now() - Duration::from_secs(7_200)));
}

#[test]
fn no_place_waits_for_another_and_stopping_ships_what_is_new() {
    let house = House::new(sqlite());
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let slow = house.make("slow", Target::Webhook { url }).place.id;
    let (id, path) = house.directory("far");
    let start = || {
        let courier = house.courier();
        Shipper::start(&house.gate, courier.hub, courier.keys, courier.key).unwrap()
    };
    let shipper = start();
    house.add(2);
    until("the directory has its piece", || house.place(id).shipped > 0);
    assert_eq!(house.place(slow).shipped, 0);
    // Its next turn is a minute away; the end of the server is its turn too.
    house.add(2);
    let newest = house.place(id);
    assert!(newest.behind_since.is_some());
    house.sql(&format!("DELETE FROM audit_places WHERE id = '{slow}'"));
    shipper.stop();
    assert_eq!((house.place(id).behind_since, files(&path).len()), (None, 2));
    drop(silent);
}
