//! A PostgreSQL server as of an instant, by its logs.

use super::*;

fn with_logs(server: &Server) -> DataSource {
    DataSource::Postgresql { server: server.at.clone(), databases: vec![], logs: true }
}

fn at(instant: &str, logs: Option<&str>) -> DataTarget {
    let at = (!instant.is_empty()).then(|| instant.parse().unwrap());
    DataTarget::Instant { below: None, at, logs: logs.map(str::to_owned) }
}

/// The server's own clock.
fn now(server: &Server) -> String {
    std::thread::sleep(Duration::from_millis(50));
    let sql = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let now = psql(server, "postgres", sql).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    now
}

/// What a data directory holds, by a server of the test's own.
fn asked(room: &Room, data: &str, sql: &str) -> String {
    let tool = super::super::program::Tool { names: &["postgres"], package: "postgresql" };
    let socket = owned_room();
    let hba = socket.0.join("hba");
    fs::write(&hba, "local all all trust\n").unwrap();
    let conf = socket.0.join("conf");
    fs::write(&conf, "").unwrap();
    if rustix::process::geteuid().is_root() {
        let place = Path::new(data).parent().unwrap();
        let own = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&socket.0).arg(place).status();
        assert!(own.unwrap().success());
    }
    let child = ordinary(&tool.find().unwrap(), &room.0)
        .arg("-D")
        .arg(data)
        .arg("-k")
        .arg(&socket.0)
        .args(["-c", "listen_addresses=", "-c", &format!("config_file={}", conf.display()), "-c"])
        .arg(format!("hba_file={}", hba.display()))
        .spawn()
        .unwrap();
    let at =
        DatabaseServer { socket: Some(socket.0.display().to_string()), host: None, port: None, user: "keeper".into() };
    let server = Server { child, _room: socket, at };
    wait_for("the restored database", || psql(&server, "postgres", "SELECT 1").is_ok());
    psql(&server, "postgres", sql).unwrap()
}

#[test]
fn a_server_with_its_logs_comes_back_as_of_any_instant() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    let source = with_logs(&server);
    let rows = "SELECT string_agg(n, ',' ORDER BY id) FROM t";
    psql(&server, "postgres", "CREATE TABLE t (id SERIAL, n TEXT); INSERT INTO t (n) VALUES ('before')").unwrap();
    let proof = host.room.0.join("proof");
    fs::create_dir(&proof).unwrap();
    fs::set_permissions(&proof, fs::Permissions::from_mode(0o777)).unwrap();
    let hostile = format!("ALTER SYSTEM SET recovery_end_command = 'touch {}/ran'", proof.display());
    psql(&server, "postgres", &hostile).unwrap();
    let first = host.take("one", &source, Some(PASSWORD)).unwrap();
    assert_eq!(first.consistency, Consistency::Transaction);
    let span = first.data.span.clone().unwrap();
    assert!(span.from <= span.until, "{span:?}");
    assert_eq!(host.take("one", &source, Some(PASSWORD)).unwrap().data.span, first.data.span, "told again by itself");

    psql(&server, "postgres", "INSERT INTO t (n) VALUES ('kept')").unwrap();
    let kept = now(&server);
    psql(&server, "postgres", "INSERT INTO t (n) VALUES ('mistake')").unwrap();
    psql(&server, "postgres", "DELETE FROM t WHERE n = 'kept'").unwrap();
    let later = now(&server);
    let second = host.take("two", &source, Some(PASSWORD)).unwrap();
    assert!(host.restic(&["ls", &second.snapshot]).contains("/data-sets/dset_1/base/backup_manifest"));

    // From the first base, by the second one's logs, to the instant before the mistake.
    let back = host.restore("drst_1", &source, &first.snapshot, at(&kept, Some(&second.snapshot)), None).unwrap();
    assert!(back.newest.unwrap() <= kept.parse().unwrap(), "{back:?}");
    assert_eq!(asked(&host.room, &back.at, rows), "before,kept");
    let left = fs::read_dir(Path::new(&back.at).parent().unwrap()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["data"], "nothing that it took to get there stays");
    assert!(fs::read_dir(&proof).unwrap().next().is_none(), "commands that were set there are not run here");
    let settings = fs::read_to_string(Path::new(&back.at).join("postgresql.auto.conf"));
    assert!(settings.unwrap().contains("recovery_end_command"), "and are still its own");
    // The newest that the second one holds, and an instant at which nothing was written any more.
    let newest = host.restore("drst_2", &source, &second.snapshot, at("", None), None).unwrap();
    assert_eq!(asked(&host.room, &newest.at, rows), "before,mistake");
    let idle = host.restore("drst_3", &source, &first.snapshot, at(&later, Some(&second.snapshot)), None).unwrap();
    assert_eq!(asked(&host.room, &idle.at, rows), "before,mistake");

    // Where no logs lead there is no going, and nothing is left of trying.
    for (name, to) in [("drst_4", at(&kept, None)), ("drst_5", at("2001-01-01T00:00:00Z", None))] {
        let error = host.restore(name, &source, &first.snapshot, to, None).unwrap_err();
        assert_eq!(error.code(), "dataRestore.beyond_logs", "{error:?}");
        assert!(!host.hands.data.join("restored").join(name).exists());
    }
    // The point between is lost: the one after it still leads back over it.
    psql(&server, "postgres", "INSERT INTO t (n) VALUES ('more')").unwrap();
    let more = now(&server);
    let third = host.take("three", &source, Some(PASSWORD)).unwrap();
    let over = host.restore("drst_6", &source, &first.snapshot, at(&more, Some(&third.snapshot)), None).unwrap();
    assert_eq!(asked(&host.room, &over.at, rows), "before,mistake,more");

    // It ends: the server keeps nothing for us any more, and neither do we.
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(psql(&server, "postgres", slots).unwrap(), "1");
    let end = Work::EndData { set: "dset_1".into(), source };
    host.run("htsk_end", end, host.access(&["own"], Some(PASSWORD))).unwrap();
    assert_eq!(psql(&server, "postgres", slots).unwrap(), "0");
    assert!(!host.hands.data.join("logs/dset_1").exists());
}

#[test]
fn logs_that_are_missing_are_found_missing() {
    let Some(server) = postgres() else { return };
    let host = Host::new();
    let source = with_logs(&server);
    psql(&server, "postgres", "CREATE TABLE t (n INT)").unwrap();
    let first = host.take("one", &source, Some(PASSWORD)).unwrap();
    // Somebody drops the slot and the logs: the chain is broken, and the next point begins it anew.
    host.run(
        "htsk_end",
        Work::EndData { set: "dset_1".into(), source: source.clone() },
        host.access(&["own"], Some(PASSWORD)),
    )
    .unwrap();
    psql(&server, "postgres", "INSERT INTO t VALUES (1); SELECT pg_switch_wal(); CHECKPOINT").unwrap();
    psql(&server, "postgres", "INSERT INTO t VALUES (2); SELECT pg_switch_wal(); CHECKPOINT").unwrap();
    let between = now(&server);
    let second = host.take("two", &source, Some(PASSWORD)).unwrap();
    let error =
        host.restore("drst_1", &source, &first.snapshot, at(&between, Some(&second.snapshot)), None).unwrap_err();
    assert_eq!(error.code(), "dataSet.logs_gap", "{error:?}");
    let own = host.restore("drst_2", &source, &second.snapshot, at("", None), None).unwrap();
    assert_eq!(asked(&host.room, &own.at, "SELECT sum(n) FROM t"), "3");
    // The same where the server itself threw away what nobody fetched.
    psql(&server, "postgres", "ALTER SYSTEM SET max_slot_wal_keep_size = '48MB'").unwrap();
    psql(&server, "postgres", "ALTER SYSTEM SET min_wal_size = '32MB'").unwrap();
    psql(&server, "postgres", "ALTER SYSTEM SET max_wal_size = '32MB'").unwrap();
    psql(&server, "postgres", "SELECT pg_reload_conf()").unwrap();
    let lost = || psql(&server, "postgres", "SELECT wal_status FROM pg_replication_slots").unwrap() == "lost";
    for _ in 0..40 {
        psql(&server, "postgres", "INSERT INTO t VALUES (0)").unwrap();
        psql(&server, "postgres", "SELECT pg_switch_wal()").unwrap();
        psql(&server, "postgres", "CHECKPOINT").unwrap();
        if lost() {
            break;
        }
    }
    assert!(lost(), "the server keeps no more than it was told");
    let third = host.take("three", &source, Some(PASSWORD)).unwrap();
    let own = host.restore("drst_3", &source, &third.snapshot, at("", None), None).unwrap();
    assert_eq!(asked(&host.room, &own.at, "SELECT sum(n) FROM t"), "3");
    assert_eq!(host.take("four", &source, Some("wrong")).unwrap_err().code(), "database.refused");
    assert_eq!(host.snapshots(), 3);
}
