//! The store: durable writes through the gate beside the plain grouped
//! transaction of the same engine, and that beside the disk's own sync.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::figures::{rate, report};
use base::id::TenantId;
use db::Class;
use db::records::Key;
use gate::shape::{Field, Shape, Type};
use gate::{Catalogue, Kind, Verb, free};
use serde_json::json;

static NOTE: Kind = Kind {
    name: "note",
    prefix: "not",
    path: "/note",
    class: Class::Internal,
    shape: &Shape { name: "Note", fields: &[Field::new("name", Type::Text).required()] },
    keys: &[Key::text("name")],
    states: None,
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

const SPAN: Duration = Duration::from_secs(3);

pub fn run() {
    let scratch = db::testing::Scratch::new();
    let syncs = disk(scratch.path());
    println!("{:<44} {syncs:>12.0} /s", "fdatasync of the disk");
    let plain = plain_groups(scratch.path());
    println!("{:<44} {plain:>12.0} rows/s", "SQLite itself, 512 rows a transaction");

    let (_, db, _keep) = db::testing::sqlite();
    db.write(|c| c.execute("CREATE TABLE bench (a BIGINT, b TEXT)", &[])).unwrap();
    let writes = rate(64, SPAN, |_| {
        db.write(|c| c.execute("INSERT INTO bench VALUES ($1, $2)", db::args![1i64, "a row of a plain kind"])).unwrap();
    });
    report("one row, durable, 64 callers", writes, "/s", "of SQLite itself", plain);

    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate::testing::gate(db, Catalogue::default().kinds(&[&NOTE]));
    let cx = gate::testing::somebody(TenantId(1));
    let body = json!({"name": "a note"}).as_object().unwrap().clone();
    let creates = rate(64, SPAN, |_| drop(NOTE.create(&gate, &cx, body.clone()).unwrap()));
    report("a record through the gate, 64 callers", creates, "/s", "of one durable row", writes);
    let made = NOTE.create(&gate, &cx, body).unwrap();
    let reads = rate(2, SPAN, |_| drop(NOTE.get(&gate, &cx, &made.id).unwrap()));
    println!("{:<44} {reads:>12.0} /s", "a record read through the gate, 2 callers");
}

fn disk(folder: &std::path::Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let began = Instant::now();
    let mut done = 0u32;
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

fn plain_groups(folder: &std::path::Path) -> f64 {
    let mut conn = rusqlite::Connection::open(folder.join("plain.db")).unwrap();
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE bench (a INTEGER, b TEXT)")
        .unwrap();
    let began = Instant::now();
    let mut rows = 0u32;
    while began.elapsed() < SPAN {
        let tx = conn.transaction().unwrap();
        for _ in 0..512 {
            tx.prepare_cached("INSERT INTO bench VALUES (?1, ?2)")
                .unwrap()
                .execute((1, "a row of a plain kind"))
                .unwrap();
            rows += 1;
        }
        tx.commit().unwrap();
    }
    f64::from(rows) / began.elapsed().as_secs_f64()
}
