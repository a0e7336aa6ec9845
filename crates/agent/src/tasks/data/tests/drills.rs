//! Databases that are brought back, asked for their newest record, and gone again.

use drivers::wire::{DataDrilled, Marker, drilled_database};

use super::*;

fn marker(table: &str, column: &str) -> Marker {
    Marker { schema: None, table: table.into(), column: column.into() }
}

fn work(source: &DataSource, snapshot: &str, marker: Marker) -> Work {
    Work::DrillData {
        set: "dset_1".into(),
        source: source.clone(),
        drill: "rcvy_1".into(),
        snapshot: snapshot.into(),
        database: "shop".into(),
        at: None,
        logs: None,
        marker,
    }
}

impl Host {
    fn drill(&self, source: &DataSource, snapshot: &str, marker: Marker) -> base::Result<DataDrilled> {
        match self.run("htsk_drill", work(source, snapshot, marker), self.access(&["own"], Some(PASSWORD)))? {
            Outcome::DataDrilled(drilled) => Ok(drilled),
            other => panic!("{other:?}"),
        }
    }

    fn assert_nothing_is_left(&self, databases: impl Fn() -> String) {
        assert!(!databases().contains("yunwei_drill"), "{}", databases());
        let dirs = [self.hands.scratch.clone(), self.hands.data.join("restored")];
        let left: Vec<_> = dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The instant that psql itself reckons, in microseconds.
fn micros(server: &Server, database: &str, expression: &str) -> i64 {
    let sql = format!("SELECT (extract(epoch FROM ({expression})) * 1000000)::bigint");
    psql(server, database, &sql).unwrap().parse().unwrap()
}

fn names(server: &Server) -> String {
    psql(server, "postgres", "SELECT string_agg(datname, ' ') FROM pg_database").unwrap()
}

#[test]
fn a_dropped_postgresql_database_tells_of_its_newest_record_and_is_gone_again() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(&server, "shop", "CREATE SCHEMA sales; CREATE TABLE sales.sale (at timestamptz, plain timestamp, s bigint, ms bigint, note text, far timestamptz, nothing timestamptz)").unwrap();
    psql(&server, "shop", "INSERT INTO sales.sale SELECT now() - n * interval '1 minute', (now() - n * interval '1 minute') AT TIME ZONE 'UTC', extract(epoch FROM now())::bigint - 60 * n, 1000 * (extract(epoch FROM now())::bigint - 60 * n), 'x', 'infinity' FROM generate_series(1, 500) n").unwrap();
    psql(
        &server,
        "shop",
        "CREATE VIEW sales.view AS SELECT at FROM sales.sale; CREATE TABLE sales.none (at timestamptz)",
    )
    .unwrap();
    let newest = micros(&server, "shop", "SELECT max(at) FROM sales.sale");
    let source = all_of(&server);
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    psql(&server, "shop", "INSERT INTO sales.sale (at) VALUES (now())").unwrap();
    psql(&server, "postgres", "DROP DATABASE shop WITH (FORCE)").unwrap();

    let of = |table: &str, column: &str| Marker { schema: Some("sales".into()), ..marker(table, column) };
    for column in ["at", "plain", "s", "ms"] {
        let drilled = host.drill(&source, &taken.snapshot, of("sale", column)).unwrap();
        let told = drilled.newest.unwrap().as_microsecond();
        match column {
            "at" | "plain" => assert_eq!(told, newest, "{column}"),
            _ => assert!((newest - told).abs() < 1_000_000, "{column}: {told} {newest}"),
        }
        assert_eq!((drilled.tables, drilled.digest.len(), &drilled.unread), (Some(2), 64, &None), "{drilled:?}");
        assert!(
            drilled.fetch_seconds > 0.0 && drilled.answer_seconds > 0.0 && drilled.read_seconds > 0.0,
            "{drilled:?}"
        );
        host.assert_nothing_is_left(|| names(&server));
    }
    for (bad, why) in [
        (marker("sale", "at"), "no table"),
        (of("gone", "at"), "no table"),
        (of("sale", "gone"), "no column"),
        (of("view", "at"), "is no table"),
        (of("sale", "note"), "is text"),
        (of("sale", "far"), "no instant"),
        (of("sale", "nothing"), "holds nothing"),
        (of("none", "at"), "holds nothing"),
    ] {
        let drilled = host.drill(&source, &taken.snapshot, bad.clone()).unwrap();
        assert!(drilled.newest.is_none() && drilled.unread.as_ref().unwrap().contains(why), "{bad:?}: {drilled:?}");
    }
    // What an earlier try has left is replaced; a dump of everything does not take it along.
    let half = drilled_database("rcvy_1");
    psql(&server, "postgres", &format!("CREATE DATABASE {half}")).unwrap();
    let second = host.take("two", &source, Some(PASSWORD)).unwrap();
    assert_eq!(second.data.databases, ["postgres"]);
    host.drill(&source, &taken.snapshot, of("sale", "at")).unwrap();
    // What a crash leaves, the end of the drill takes away; nothing to take away is no error.
    for leave in [true, false] {
        if leave {
            psql(&server, "postgres", &format!("CREATE DATABASE {half}")).unwrap();
            fs::create_dir_all(host.hands.data.join("restored/rcvy_1/data")).unwrap();
        }
        let end = Work::EndDrill { source: source.clone(), drill: "rcvy_1".into() };
        host.run("htsk_end", end, json!({ "repositories": [], "password": PASSWORD })).unwrap();
        host.assert_nothing_is_left(|| names(&server));
    }
    let absent = host.drill(&source, &second.snapshot, of("sale", "at")).unwrap_err();
    assert_eq!(absent.code(), "dataRestore.database");
    host.assert_nothing_is_left(|| names(&server));
}

#[test]
fn a_drill_that_is_cancelled_in_the_middle_leaves_nothing() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(
        &server,
        "shop",
        "CREATE TABLE sale AS SELECT now() AS at, repeat(md5(n::text), 30) t FROM generate_series(1, 60000) n",
    )
    .unwrap();
    let source = all_of(&server);
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    let (cancel, work) = (Cancel::default(), work(&source, &taken.snapshot, marker("sale", "at")));
    let task = HostTask { id: "htsk_drill".parse().unwrap(), work };
    let seen = std::sync::atomic::AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("the drill's database", || names(&server).contains("yunwei_drill"));
            seen.store(true, Ordering::Relaxed);
            cancel.ask();
        });
        host.hands.run(&task, host.access(&["own"], Some(PASSWORD)), &cancel, &mut |_| {}).unwrap_err()
    });
    assert!(seen.into_inner() && error.code() == vault::fault::CANCELLED, "{error:?}");
    host.assert_nothing_is_left(|| names(&server));
}

#[test]
fn a_server_with_its_logs_tells_of_its_newest_record_and_is_gone_again() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    psql(&server, "postgres", "CREATE DATABASE shop").unwrap();
    psql(&server, "shop", "CREATE TABLE sale (at timestamptz); INSERT INTO sale VALUES (now())").unwrap();
    let source = DataSource::Postgresql { server: server.at.clone(), databases: vec![], logs: true };
    let newest = micros(&server, "shop", "SELECT max(at) FROM sale");
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    psql(&server, "postgres", "DROP DATABASE shop WITH (FORCE)").unwrap();
    let drilled = host.drill(&source, &taken.snapshot, marker("sale", "at")).unwrap();
    assert_eq!(drilled.newest.unwrap().as_microsecond(), newest, "{drilled:?}");
    assert!(drilled.answer_seconds > 0.0 && drilled.fetch_seconds > 0.0, "{drilled:?}");
    host.assert_nothing_is_left(|| names(&server));
    let gone = Work::DrillData {
        set: "dset_1".into(),
        source: source.clone(),
        drill: "rcvy_1".into(),
        snapshot: taken.snapshot.clone(),
        database: "none".into(),
        at: None,
        logs: None,
        marker: marker("sale", "at"),
    };
    host.run("htsk_gone", gone, host.access(&["own"], None)).unwrap_err();
    host.assert_nothing_is_left(|| names(&server));
    // A copy that is damaged on purpose does not come back.
    let path = "/data-sets/dset_1".to_owned();
    let tried =
        host.run("htsk_bad", Work::RestoreDamaged { snapshot: taken.snapshot, path }, host.access(&["own"], None));
    assert!(matches!(tried, Ok(Outcome::DamageTried { found: Some(_), .. })), "{tried:?}");
}

#[test]
fn a_dropped_mariadb_database_tells_of_its_newest_record_and_is_gone_again() {
    let Some(server) = mariadb() else { return };
    let host = Host::new();
    sql(&server, "root", "", "CREATE DATABASE shop").unwrap();
    sql(&server, "root", "shop", "SET time_zone = '+00:00'; CREATE TABLE sale (at TIMESTAMP(6) NULL, plain DATETIME, s BIGINT, note TEXT, nothing DATETIME); INSERT INTO sale SELECT UTC_TIMESTAMP(6) - INTERVAL seq MINUTE, UTC_TIMESTAMP() - INTERVAL seq MINUTE, UNIX_TIMESTAMP() - 60 * seq, 'x', NULL FROM seq_1_to_500; CREATE VIEW v AS SELECT * FROM sale").unwrap();
    let newest: f64 =
        sql(&server, "root", "shop", "SET time_zone = '+00:00'; SELECT UNIX_TIMESTAMP(MAX(at)) FROM sale")
            .unwrap()
            .parse()
            .unwrap();
    let source = DataSource::Mysql { server: server.at.clone(), databases: vec!["shop".into()] };
    let taken = host.take("one", &source, Some(PASSWORD)).unwrap();
    sql(&server, "root", "", "DROP DATABASE shop").unwrap();
    let there = || sql(&server, "root", "", "SHOW DATABASES").unwrap();
    for column in ["at", "plain", "s"] {
        let drilled = host.drill(&source, &taken.snapshot, marker("sale", column)).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of our days")]
        let told = drilled.newest.unwrap().as_microsecond() as f64 / 1e6;
        assert!((told - newest).abs() < if column == "at" { 1e-5 } else { 1.5 }, "{column}: {told} {newest}");
        host.assert_nothing_is_left(there);
    }
    for (bad, why) in [
        (marker("gone", "at"), "no table"),
        (marker("v", "at"), "is no table"),
        (marker("sale", "gone"), "no column"),
        (marker("sale", "note"), "is text"),
        (marker("sale", "nothing"), "holds nothing"),
    ] {
        let drilled = host.drill(&source, &taken.snapshot, bad.clone()).unwrap();
        assert!(drilled.newest.is_none() && drilled.unread.as_ref().unwrap().contains(why), "{bad:?}: {drilled:?}");
    }
    sql(&server, "root", "", "CREATE DATABASE yunwei_drill_rcvy_1").unwrap();
    let end = Work::EndDrill { source, drill: "rcvy_1".into() };
    host.run("htsk_end", end, json!({ "repositories": [], "password": PASSWORD })).unwrap();
    host.assert_nothing_is_left(there);
}
