//! What happens to writes that share a commit when one of them goes wrong.

use std::sync::mpsc::channel;

use base::{Error, Kind, Result};

use crate::testing::{databases, postgres, sqlite};
use crate::{Conn, Db, args};

/// Queues these writes behind one that holds the writer, so that they share its
/// commit; gives what each was told.
fn grouped(db: &Db, bytes: &[usize]) -> Vec<Result<()>> {
    let (go, wait) = channel::<()>();
    let (tell, told) = channel();
    let wait = std::sync::Mutex::new(wait);
    db.submit(move |_: &mut Conn<'_>| wait.lock().unwrap().recv().map_err(|_| Error::bug("test", "gone")), |_| {});
    for (n, bytes) in bytes.iter().copied().enumerate() {
        let tell = tell.clone();
        let write = move |conn: &mut Conn<'_>| {
            conn.execute("INSERT INTO things (n, body) VALUES ($1, $2)", args![n, vec![7u8; bytes]])?;
            // A second statement: after the database took the first back it must not stand alone.
            conn.execute("INSERT INTO things (n, body) VALUES ($1, $2)", args![n, vec![8u8]]).map(drop)
        };
        db.submit(write, move |result| tell.send((n, result)).unwrap());
    }
    go.send(()).unwrap();
    let mut all: Vec<_> = told.iter().take(bytes.len()).collect();
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, result)| result).collect()
}

fn rows(db: &Db, n: usize) -> i64 {
    db.read(move |conn| conn.query_one("SELECT COUNT(*) FROM things WHERE n = $1", args![n], |row| row.get(0))).unwrap()
}

#[test]
fn what_writers_are_told_is_true_when_the_disk_fills_in_the_middle_of_a_group() {
    let (_, db, _keep) = sqlite();
    db.write(|conn| conn.execute("CREATE TABLE things (n BIGINT, body BYTEA)", &[])).unwrap();
    db.write(|conn| {
        let pages: i64 = conn.query_one("PRAGMA page_count", &[], |row| row.get(0))?;
        conn.query(&format!("PRAGMA max_page_count = {}", pages + 20), &[], |_| Ok(())).map(drop)
    })
    .unwrap();
    let told = grouped(&db, &[10, 1_000_000, 10, 10]);
    assert_eq!(told[1].as_ref().unwrap_err().kind(), Kind::Unavailable, "{told:?}");
    for (n, result) in told.iter().enumerate() {
        assert_eq!(rows(&db, n), if result.is_ok() { 2 } else { 0 }, "write {n} was told {result:?}");
    }
    assert!(grouped(&db, &[10]).iter().all(Result::is_ok), "what fits is written afterwards");
}

#[test]
fn a_failure_that_is_passed_over_does_not_undo_a_write_in_silence() {
    let Some((_, db, _keep)) = postgres() else { return };
    db.write(|conn| conn.execute("CREATE TABLE things (n BIGINT PRIMARY KEY)", &[])).unwrap();
    let told = db.write(|conn| {
        conn.execute("INSERT INTO things VALUES (1)", &[])?;
        // PostgreSQL has given the whole transaction up here, and would answer COMMIT with a rollback.
        let _ = conn.execute("INSERT INTO things VALUES (1)", &[]);
        Ok(())
    });
    assert_eq!(told.unwrap_err().code(), "db.failure_ignored");
    let told = db.write(|conn| {
        conn.execute("INSERT INTO things VALUES (2)", &[])?;
        conn.execute("SAVEPOINT attempt", &[])?;
        let _ = conn.execute("INSERT INTO things VALUES (2)", &[]);
        conn.execute("ROLLBACK TO SAVEPOINT attempt", &[])?;
        conn.execute("RELEASE SAVEPOINT attempt", &[])
    });
    assert!(told.is_ok());
    let kept: Vec<i64> = db.read(|conn| conn.query("SELECT n FROM things", &[], |row| row.get(0))).unwrap();
    assert_eq!(kept, [2]);
}

#[test]
fn a_write_that_fails_half_way_leaves_its_neighbours_and_a_part_that_fails_what_came_before_it() {
    for (engine, db, _keep) in databases() {
        db.write(|conn| conn.execute("CREATE TABLE things (n BIGINT)", &[])).unwrap();
        let insert = |conn: &mut Conn<'_>, n: i64| conn.execute("INSERT INTO things VALUES ($1)", args![n]);
        let part = move |conn: &mut Conn<'_>, n: i64, keep: bool| {
            let mark = conn.mark()?;
            insert(conn, n)?;
            conn.settle(mark, keep)
        };
        let (go, wait) = channel::<()>();
        let (tell, told) = channel();
        let wait = std::sync::Mutex::new(wait);
        let held = move |_: &mut Conn<'_>| {
            // Held once: a write may be run again.
            let _ = wait.lock().unwrap().recv();
            Ok(())
        };
        db.submit(held, |_| {});
        for number in 0..5 {
            let tell = tell.clone();
            let write = move |conn: &mut Conn<'_>| {
                insert(conn, number * 10)?;
                match number {
                    1 => Err(Error::conflict("test.half", "half of it is written")),
                    2 => panic!("half of it is written"),
                    3 => {
                        part(conn, 31, true)?;
                        part(conn, 32, false)?;
                        part(conn, 33, true)
                    }
                    // Asked to be run again, and deaf to it: run again all the same.
                    4 => part(conn, 41, false).or(Ok(())),
                    _ => Ok(()),
                }
            };
            db.submit(write, move |result: Result<()>| tell.send((number, result.is_ok())).unwrap());
        }
        drop(go);
        let mut all: Vec<_> = told.iter().take(5).collect();
        all.sort_unstable();
        assert_eq!(all, [(0, true), (1, false), (2, false), (3, true), (4, true)], "{engine}");
        let kept: Vec<i64> =
            db.read(|conn| conn.query("SELECT n FROM things ORDER BY n", &[], |row| row.get(0))).unwrap();
        assert_eq!(kept, [0, 30, 31, 33, 40], "{engine}");
    }
}
