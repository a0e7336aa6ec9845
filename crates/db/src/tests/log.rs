//! SQLite's log is taken into the database while the writer goes on.

use std::time::{Duration, Instant};

use base::limits;

use crate::args;
use crate::testing::{Scratch, sqlite};

const PAGE: u64 = 4_096;

fn pages(scratch: &Scratch, name: &str) -> u64 {
    std::fs::metadata(scratch.path().join(name)).map_or(0, |file| file.len() / PAGE)
}

#[test]
fn the_log_is_taken_in_beside_the_writer_and_does_not_grow_for_ever() {
    let (_, db, scratch) = sqlite();
    db.write(|conn| conn.execute("CREATE TABLE things (body BYTEA)", &[])).unwrap();
    let fill = || {
        let body = vec![7u8; 1 << 20];
        db.write(move |conn| conn.execute("INSERT INTO things (body) VALUES ($1)", args![body]).map(drop)).unwrap();
    };
    (0..24).for_each(|_| fill());
    let end = Instant::now() + Duration::from_secs(60);
    while pages(&scratch, "yunwei.db") < limits::WAL_PAGES as u64 {
        assert!(Instant::now() < end, "nobody took the log in");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut written = 24;
    while pages(&scratch, "yunwei.db-wal") >= written * (1 << 20) / PAGE {
        assert!(written < 1_000, "the log grows for ever");
        fill();
        written += 1;
    }
    let kept: u64 = db.read(|conn| conn.query_one("SELECT COUNT(*) FROM things", &[], |row| row.get(0))).unwrap();
    assert_eq!(kept, written);
}
