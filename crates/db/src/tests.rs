mod copies;
mod groups;
mod lists;
mod log;

use base::Kind;

use crate::testing::{Scratch, databases};
use crate::{Db, Location, args};

#[test]
fn both_engines_take_the_same_statements() {
    for (engine, db, _keep) in databases() {
        let rows: Vec<(i64, Option<String>, Vec<u8>)> = db
            .write(|conn| {
                conn.execute("CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT, c BIGINT CHECK (c >= 0))", &[])?;
                conn.execute("INSERT INTO t (c, b, a) VALUES ($3, $2, $1)", args![1i64, "x", 5i64])?;
                conn.execute("INSERT INTO t (a, b, c) VALUES ($1, $2, $1)", args![2i64, None::<String>])?;
                conn.query("SELECT a, b, c FROM t WHERE (a, c) > ($1, $2) ORDER BY a", args![0i64, 0i64], |row| {
                    Ok((row.get(0)?, row.get(1)?, vec![]))
                })
            })
            .unwrap();
        assert_eq!(rows, [(1, Some("x".to_owned()), vec![]), (2, None, vec![])], "{engine}");
        let duplicate = db.write(|conn| conn.execute("INSERT INTO t (a) VALUES (1)", &[])).unwrap_err();
        assert_eq!((duplicate.kind(), duplicate.code()), (Kind::Conflict, "db.duplicate"), "{engine}");
        let check = db.write(|conn| conn.execute("UPDATE t SET c = -1", &[])).unwrap_err();
        assert_eq!(check.code(), "db.check", "{engine}");
    }
}

#[test]
fn concurrent_increments_are_all_kept() {
    for (engine, db, _keep) in databases() {
        db.write(|conn| {
            conn.execute("CREATE TABLE n (v BIGINT)", &[])?;
            conn.execute("INSERT INTO n VALUES (0)", &[])
        })
        .unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..25 {
                        db.write(|conn| {
                            let v: i64 = conn.query_one("SELECT v FROM n", &[], |row| row.get(0))?;
                            conn.execute("UPDATE n SET v = $1", args![v + 1])
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(
            db.read(|conn| conn.query_one("SELECT v FROM n", &[], |row| row.get::<i64>(0))).unwrap(),
            100,
            "{engine}"
        );
    }
}

#[test]
fn a_panic_in_a_transaction_is_its_own_error_and_writes_nothing() {
    for (engine, db, _keep) in databases() {
        db.write(|conn| conn.execute("CREATE TABLE p (v BIGINT)", &[])).unwrap();
        let error = db
            .write(|conn| -> base::Result<()> {
                conn.execute("INSERT INTO p VALUES (1)", &[])?;
                panic!("an invariant is broken")
            })
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Bug, "{engine}");
        assert_eq!(
            db.write(|conn| conn.query_one("SELECT COUNT(*) FROM p", &[], |row| row.get::<i64>(0))).unwrap(),
            0,
            "{engine}"
        );
    }
}

#[test]
fn a_second_server_on_one_directory_is_refused_and_told_why() {
    let scratch = Scratch::new();
    let location = Location::Directory(scratch.path().to_owned());
    let first = Db::open(&location).unwrap();
    let error = Db::open(&location).map(drop).unwrap_err();
    assert_eq!(error.code(), "data.in_use");
    assert!(error.message().contains("in use by another yunwei process"));
    Db::open_read_only(&location)
        .unwrap()
        .read(|conn| conn.query_one("SELECT COUNT(*) FROM records", &[], |r| r.get::<i64>(0)))
        .unwrap();
    drop(first);
    Db::open(&location).unwrap();
}

#[test]
fn nobody_else_on_the_machine_reads_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    let _db = Db::open(&Location::Directory(scratch.path().to_owned())).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scratch.path()), 0o700);
    for file in ["yunwei.db", "yunwei.db-wal", "yunwei.db-shm"] {
        assert_eq!(mode(&scratch.path().join(file)), 0o600, "{file}");
    }
}

#[test]
fn who_only_looks_changes_nothing_and_refuses_another_schema() {
    let scratch = Scratch::new();
    let mut locations = vec![Location::Directory(scratch.path().to_owned())];
    locations.extend(crate::testing::postgres_url().map(Location::Postgres));
    for location in locations {
        assert_eq!(Db::open_read_only(&location).map(drop).unwrap_err().code(), "data.absent");
        let change =
            |sql: &'static str| Db::open(&location).unwrap().write(move |conn| conn.execute(sql, &[])).unwrap();
        change("UPDATE schema_history SET name = name");
        let looking = Db::open_read_only(&location).unwrap();
        let counted = looking.read(|conn| conn.query_one("SELECT COUNT(*) FROM records", &[], |r| r.get::<i64>(0)));
        assert_eq!(counted.unwrap(), 0);
        assert!(looking.write(|conn| conn.execute("DELETE FROM schema_history", &[])).is_err());
        drop(looking);
        change("DELETE FROM schema_history WHERE number > 1");
        for _ in 0..2 {
            assert_eq!(Db::open_read_only(&location).map(drop).unwrap_err().code(), "schema.older");
        }
    }
}

#[test]
fn what_another_edition_of_a_migration_has_shaped_is_refused() {
    let scratch = Scratch::new();
    let locations =
        [Some(Location::Directory(scratch.path().to_owned())), crate::testing::postgres_url().map(Location::Postgres)];
    for location in locations.into_iter().flatten() {
        let shaped = "UPDATE schema_history SET name = '0002_gate.sql 0123456789abcdef' WHERE number = 2";
        Db::open(&location).unwrap().write(move |conn| conn.execute(shaped, &[])).unwrap();
        let refused = Db::open(&location).map(drop).unwrap_err();
        assert!(refused.code() == "schema.other" && refused.message().contains("0002_gate.sql"), "{refused}");
        assert_eq!(Db::open_read_only(&location).map(drop).unwrap_err().code(), "schema.other");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let scratch = Scratch::new();
    let location = Location::Directory(scratch.path().to_owned());
    Db::open(&location)
        .unwrap()
        .write(|conn| conn.execute("INSERT INTO schema_history VALUES (9999, 'later')", &[]))
        .unwrap();
    let error = Db::open(&location).map(drop).unwrap_err();
    assert_eq!(error.code(), "schema.newer");
    if let Some(url) = crate::testing::postgres_url() {
        let location = Location::Postgres(url);
        Db::open(&location)
            .unwrap()
            .write(|conn| conn.execute("INSERT INTO schema_history VALUES (9999, 'later')", &[]))
            .unwrap();
        assert_eq!(Db::open(&location).map(drop).unwrap_err().code(), "schema.newer");
    }
}
