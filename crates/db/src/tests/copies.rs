//! Copies of a database, taken while it is written to.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::testing::{Scratch, postgres_url};
use crate::{Db, Location, args, copies};

/// An open database of each engine, where it is, and where another of its kind may come to be.
fn pairs() -> Vec<(&'static str, Location, Location, [Scratch; 2])> {
    let folders = || [Scratch::new(), Scratch::new()];
    let two = folders();
    let place = |scratch: &Scratch| Location::Directory(scratch.path().to_owned());
    let mut all = vec![("sqlite", place(&two[0]), place(&two[1]), two)];
    if let (Some(one), Some(other)) = (postgres_url(), postgres_url()) {
        all.push(("postgres", Location::Postgres(one), Location::Postgres(other), folders()));
    }
    all
}

fn rows(db: &Db) -> (i64, i64) {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM counted";
    db.read(|conn| conn.query_one(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))).unwrap()
}

#[test]
fn a_copy_is_of_one_instant_and_a_database_is_made_of_it_again() {
    for (engine, from, to, _keep) in pairs() {
        let db = Db::open(&from).unwrap();
        db.write(|conn| conn.execute("CREATE TABLE counted (n BIGINT NOT NULL)", &[]).map(drop)).unwrap();
        let copy = Scratch::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Each transaction adds two rows whose sum is nothing: a copy from between would show it.
            scope.spawn(|| {
                for n in 1.. {
                    let pair = "INSERT INTO counted (n) VALUES ($1), (-$1)";
                    db.write(move |conn| conn.execute(pair, args![n as i64]).map(drop)).unwrap();
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            while rows(&db).0 < 20 {
                std::thread::yield_now();
            }
            copies::take(&from, copy.path()).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        copies::bring(&to, copy.path()).unwrap();
        let (count, sum) = rows(&Db::open(&to).unwrap());
        assert!(count >= 20 && count % 2 == 0 && sum == 0, "{engine}: {count} rows, in all {sum}");
        assert!(count <= rows(&db).0, "{engine}");
        let again = copies::bring(&to, copy.path()).unwrap_err();
        assert_eq!(again.code(), "db.occupied", "{engine}: nothing is put in the place of what is there");
    }
}

#[test]
fn a_copy_that_is_damaged_or_of_another_engine_becomes_no_database() {
    for (engine, from, to, _keep) in pairs() {
        let db = Db::open(&from).unwrap();
        drop(db);
        let copy = Scratch::new();
        copies::take(&from, copy.path()).unwrap();
        let elsewhere = match &to {
            Location::Directory(_) => Location::Postgres("host=/nowhere".to_owned()),
            Location::Postgres(_) => Location::Directory(copy.path().to_owned()),
        };
        assert_eq!(copies::bring(&elsewhere, copy.path()).unwrap_err().code(), "db.copy_other", "{engine}");
        let file = std::fs::read_dir(copy.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(copies::bring(&to, copy.path()).is_err(), "{engine}: half of a copy");
        std::fs::write(&file, &whole).unwrap();
        copies::bring(&to, copy.path()).unwrap();
    }
}

/// Whether our table is in a PostgreSQL database.
fn is_counted(db: &Db) -> bool {
    let sql = "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'counted'";
    db.read(move |conn| conn.query_one(sql, &[], |row| row.get::<i64>(0))).unwrap() > 0
}

#[test]
fn a_database_beside_another_is_fresh_each_time_and_goes_without_a_trace() {
    for (engine, own, _, _keep) in pairs() {
        let folder = Scratch::new();
        let there = folder.path().join("data");
        let name = format!("beside_{}", std::process::id());
        let own_db = Db::open(&own).unwrap();
        own_db.write(|conn| conn.execute("CREATE TABLE counted (n BIGINT NOT NULL)", &[]).map(drop)).unwrap();
        let beside = copies::beside(&own, &there, &name).unwrap();
        assert_ne!(beside, own, "{engine}");
        if let Location::Directory(place) = &beside {
            assert!(*place == there && !there.exists(), "{engine}: where it is to be, and nothing was made there");
            copies::remove_beside(&own, &name).unwrap();
            continue;
        }
        copies::expect_none(&beside).unwrap();
        let first = Db::open(&beside).unwrap();
        first.write(|conn| conn.execute("CREATE TABLE counted (n BIGINT NOT NULL)", &[]).map(drop)).unwrap();
        // An attempt that was cut off still holds its connections: the next one begins with nothing all the same.
        let again = copies::beside(&own, &there, &name).unwrap();
        copies::expect_none(&again).unwrap();
        drop(first);
        let second = Db::open(&again).unwrap();
        assert!(!is_counted(&second) && is_counted(&own_db), "{engine}: the platform's own is as it was");
        copies::remove_beside(&own, &name).unwrap();
        assert!(Db::open(&again).is_err(), "{engine}: it is gone, whoever used it");
        copies::remove_beside(&own, &name).unwrap();
        assert!(is_counted(&own_db), "{engine}");
    }
}

#[test]
fn no_name_gets_into_a_statement_and_who_may_make_no_database_is_told() {
    let Some(url) = postgres_url() else { return };
    let (own, folder) = (Location::Postgres(url.clone()), Scratch::new());
    for name in ["", "Drill", "1st", "a b", "a;DROP DATABASE postgres", "a\"b", &"x".repeat(64)] {
        for refused in
            [copies::beside(&own, folder.path(), name).unwrap_err(), copies::remove_beside(&own, name).unwrap_err()]
        {
            assert_eq!(refused.code(), "db.name", "{name}");
        }
    }
    let role = format!("weak_{}", std::process::id());
    let mut admin = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN")).unwrap();
    let weak = Location::Postgres(format!("{url} user={role}"));
    let refused = copies::beside(&weak, folder.path(), &format!("drill_{}", std::process::id())).unwrap_err();
    assert_eq!(refused.code(), "db.may_not_create");
    assert!(refused.message().contains(&format!("ALTER ROLE {role} CREATEDB")), "{refused}");
    admin.batch_execute(&format!("DROP ROLE {role}")).unwrap();
}
