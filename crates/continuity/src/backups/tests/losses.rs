//! A repository with more points than are said to be lost at a time: all are in the end, whoever dies over it, and
//! what was found whole meanwhile stays so.

use drivers::wire::ReadShare;
use durable::testing as job_testing;

use super::*;
use crate::RepositoryId;
use crate::backups::findings;
use crate::backups::points::CopyState;

/// Points beside the one that was really taken.
const MANY: u128 = 250;

fn registry() -> durable::Registry {
    super::super::register(provisioning::testing::registry(), program())
}

/// A service with very many points in one place; in the other they are gone already.
fn crowded(db: Db) -> (House, RepositoryId) {
    let house = House::new(db);
    let (host, _) = house.machine();
    let places = ["first", "second"].map(|name| house.folder(name, host).id);
    house.protect(&house.policy(&places, Retention::default()));
    let first = house.taken();
    let repository = first.copies().next().unwrap().repository;
    house.within(move |tx| fill(tx, first.id)).unwrap();
    (house, repository)
}

/// As many points again, each with the copies of the first.
fn fill(tx: &mut Tx<'_>, first: RecoveryPointId) -> Result<()> {
    for number in 1..=MANY {
        let id = RecoveryPointId(first.0 + number);
        for (table, columns) in [
            (
                "recovery_points",
                "service, tenant, policy, revision, cause, state, attempts, requested_at, taken_at, closed_at, kept_at",
            ),
            ("recovery_parts", "part, kind, host, spec, taken"),
            ("recovery_copies", "part, position, repository, state, snapshot, stored_at, checked_at"),
        ] {
            let key = if table == "recovery_points" { "id" } else { "point" };
            let sql =
                format!("INSERT INTO {table} ({key}, {columns}) SELECT $1, {columns} FROM {table} WHERE {key} = $2");
            tx.execute(&sql, db::args![id, first])?;
        }
    }
    let sql = "UPDATE recovery_copies SET state = 'missing' WHERE position = 1";
    tx.execute(sql, &[])?;
    tx.execute("UPDATE recovery_points SET state = 'degraded'", &[]).map(drop)
}

/// The repository is found to be gone.
fn find_gone(house: &House, repository: RepositoryId) {
    house.gate().clock().advance(Duration::from_secs(60));
    house
        .within(move |tx| {
            let gone = crate::backups::work::problem("repository.missing", "there is none");
            let most = base::limits::LOST_POINTS_MAX;
            findings::lose_some(tx, repository, (CopyState::Missing, ReadShare::Nothing), &gone, most)
        })
        .unwrap();
}

const LOST: &str = "SELECT COUNT(*) FROM recovery_points WHERE state = 'lost'";
const WHOLE: &str = "SELECT COUNT(*) FROM recovery_copies WHERE state = 'verified'";

#[test]
fn a_repository_of_many_points_is_lost_a_few_at_a_time_the_newest_first() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, repository) = crowded(db);
        let all = i64::try_from(MANY).unwrap() + 1;
        find_gone(&house, repository);
        let at_once = i64::try_from(base::limits::LOST_POINTS_MAX).unwrap();
        assert_eq!((house.count(LOST), house.count(WHOLE)), (at_once, all - at_once), "{engine}");
        let newest_good = "SELECT COUNT(*) FROM recovery_points WHERE state = 'degraded' AND id > (SELECT MIN(id) FROM recovery_points WHERE state = 'lost')";
        assert_eq!(house.count(newest_good), 0, "{engine}: whoever restores takes the newest");
        // One is found whole before its turn has come.
        let oldest = "UPDATE recovery_copies SET checked_at = checked_at + 3600000000 WHERE position = 0 AND point = (SELECT MIN(id) FROM recovery_points)";
        house.within(move |tx| tx.execute(oldest, &[]).map(drop)).unwrap();
        Engine::new(house.gate().clone(), registry()).unwrap().settle().unwrap();
        assert_eq!((house.count(LOST), house.count(WHOLE)), (all - 1, 1), "{engine}");
    }
}

#[test]
fn a_server_killed_at_every_moment_of_a_loss_still_says_it_of_every_point() {
    let (_, db, keep) = db::testing::sqlite();
    let (house, repository) = crowded(db);
    let house = Arc::new(house);
    let (asking, done) = (house.clone(), house.clone());
    let tried = job_testing::JobHouse {
        engine: Engine::new(house.gate().clone(), registry()).unwrap(),
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        ask: Box::new(move |_| {
            // As if they had never been lost.
            let whole = |tx: &mut Tx<'_>| {
                tx.execute("UPDATE recovery_copies SET state = 'verified', problem = NULL WHERE position = 0", &[])?;
                tx.execute("UPDATE recovery_points SET state = 'degraded'", &[]).map(drop)
            };
            asking.within(whole).unwrap();
            find_gone(&asking, repository);
        }),
        done: Box::new(move |_| {
            let all = i64::try_from(MANY).unwrap() + 1;
            assert_eq!((done.count(LOST), done.count(WHOLE)), (all, 0));
            assert_eq!(done.count("SELECT COUNT(*) FROM jobs WHERE kind = 'backup.lose'"), 0);
        }),
        keep: Box::new(keep),
    };
    assert_eq!(job_testing::kill_at_each_moment(tried), 2 + 2 * 2, "begun, two more batches, ended");
}
