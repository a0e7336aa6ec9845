mod proofs;
mod stolen;

use std::path::Path;
use std::process::Command;

use base::id::TenantId;
use base::{Kind as ErrorKind, hex};
use db::testing::Scratch;
use db::{Db, Location, args};
use proptest::prelude::*;

use super::actions::{self, EraseActor, ListEntries, Newest, OneEntry, ProveEntry, ProveGrowth};
use super::key::{Key, VerifyingKey};
use super::sequencer::Desk;
use super::tree::{
    Frontier, Hash, consistency_path, inclusion_path, leaf_hash, node_hash, root_from_inclusion, split,
    verify_consistency,
};
use super::{Filter, Format, Report, Sequencer, Verify, export, sha256, verify};
use crate::testing::{gate, somebody};
use crate::{Action, Catalogue, Cx, Effect, Gate};

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

fn catalogue() -> Catalogue {
    Catalogue::default().actions(&[&NOTE]).actions(actions::ACTIONS)
}

/// A log with `n` entries, every third with personal data.
struct Log {
    gate: Gate,
    keys: Scratch,
    _data: Scratch,
}

impl Log {
    fn over(db: Db, data: Scratch, n: usize) -> Log {
        let log = Log { gate: gate(db, catalogue()), keys: Scratch::new(), _data: data };
        log.add(n);
        log
    }

    fn add(&self, n: usize) {
        for number in 0..n {
            let cx = somebody(TenantId(1 + (number % 2) as u128))
                .for_request(format!("req-{number}"), None)
                .in_session("ses_1");
            let cx = if number % 3 == 0 { cx.because(format!("TICKET-{number} 陳小姐")) } else { cx };
            self.gate.run(&cx, &NOTE, format!("thing-{number}")).unwrap();
            self.gate.clock().advance(std::time::Duration::from_millis(10));
        }
    }

    fn desk(&self) -> Desk {
        Desk::open(self.gate.db().clone(), self.gate.clock().clone(), Key::open_or_make(self.keys.path()).unwrap())
            .unwrap()
    }

    fn verify(&self) -> Report {
        verify(self.gate.db(), &Verify { directory: Some(self.keys.path()), ..Verify::default() }).unwrap()
    }

    fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.gate.db().write(move |conn| conn.execute(&sql, &[])).unwrap();
    }
}

fn rfc_root(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => sha256(&[]),
        1 => leaves[0],
        n => {
            let (left, right) = leaves.split_at(split(n as u64) as usize);
            node_hash(&rfc_root(left), &rfc_root(right))
        }
    }
}

#[test]
fn the_tree_is_that_of_rfc_6962() {
    // The known heads of the reference implementation's test data (RFC 6962 trees over d(0)..).
    let data: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let heads = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::default();
    assert_eq!(hex::encode(&tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (leaf, head) in data.iter().zip(heads) {
        tree.push(leaf_hash(&hex::decode(leaf).unwrap()), |_, _, _| {});
        assert_eq!(hex::encode(&tree.root()), head);
    }
}

proptest! {
    #[test]
    fn proofs_of_any_tree_hold_and_wrong_ones_do_not(size in 1u64..200, index in 0u64..200, old in 1u64..200, flip in 0usize..64) {
        let (index, old) = (index % size, 1 + old % size);
        let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let of = |start: u64, end: u64| rfc_root(&leaves[start as usize..end as usize]);
        let (root, old_root) = (of(0, size), of(0, old));
        let mut proof: Vec<Hash> = inclusion_path(index, size).into_iter().map(|(start, end)| of(start, end)).collect();
        prop_assert_eq!(root_from_inclusion(leaves[index as usize], index, size, &proof), Some(root));
        let mut growth: Vec<Hash> = consistency_path(old, size).into_iter().map(|(start, end)| of(start, end)).collect();
        prop_assert!(verify_consistency(old, old_root, size, root, &growth));
        prop_assert!(old == size || !verify_consistency(old, root, size, root, &growth));
        if !proof.is_empty() {
            let n = flip % proof.len();
            proof[n][0] ^= 1;
            prop_assert_ne!(root_from_inclusion(leaves[index as usize], index, size, &proof), Some(root));
        }
        if !growth.is_empty() {
            let n = flip % growth.len();
            growth[n][0] ^= 1;
            prop_assert!(!verify_consistency(old, old_root, size, root, &growth));
        }
    }
}

#[test]
fn a_checkpoint_is_a_signed_note_and_survives_its_text() {
    let scratch = Scratch::new();
    let key = Key::open_or_make(scratch.path()).unwrap();
    let note = key.sign(7, &[9; 32]);
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!((lines[1], lines[3]), ("7", ""));
    assert!(lines[4].starts_with("\u{2014} yunwei/audit/"));
    let public = VerifyingKey::in_directory(scratch.path()).unwrap();
    assert_eq!(VerifyingKey::read(&public.text()).unwrap(), public);
    assert_eq!(public.open(&note).unwrap().size, 7);
    assert_eq!(Key::open_or_make(scratch.path()).unwrap().public(), &public, "the key is kept");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(scratch.path().join("audit.key")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    for wrong in
        [note.replacen('7', "8", 1), note.replace("yunwei", "someone"), note.replace("\n\n", "\n"), String::new()]
    {
        assert!(public.open(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_untouched_log_verifies_on_both_engines() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 30);
        let mut desk = log.desk();
        desk.turn(true).unwrap();
        log.add(20);
        let before = log.verify();
        assert_eq!((before.entries, before.verified, before.pending), (30, 30, 20), "{engine}");
        desk.turn(true).unwrap();
        let report = log.verify();
        assert!(report.is_good(), "{engine}: {report:?}");
        assert_eq!((report.entries, report.verified, report.pending), (50, 50, 0));
        assert_eq!(report.checkpoint.unwrap().size, 50);
    }
}

#[test]
fn one_sequencer_at_a_time() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 5);
        let (mut one, mut two) = (log.desk(), log.desk());
        one.turn(false).unwrap();
        log.add(5);
        two.turn(true).unwrap();
        assert_eq!(log.verify().entries, 5, "{engine}: the second waits while the first holds the lease");
        log.gate.clock().advance(std::time::Duration::from_secs(60));
        two.turn(true).unwrap();
        log.add(5);
        one.turn(true).unwrap();
        assert_eq!(log.verify().entries, 10);
        two.turn(true).unwrap();
        assert!(log.verify().is_good());
        assert_eq!(log.verify().entries, 15);
    }
}

#[test]
fn writers_and_two_sequencers_at_once_lose_nothing() {
    let Some(url) = db::testing::postgres_url() else { return };
    let open = || gate(Db::open(&Location::Postgres(url.clone())).unwrap(), catalogue());
    let (one, two) = (open(), open());
    let keys = Scratch::new();
    let running: Vec<Sequencer> = [&one, &two]
        .into_iter()
        .map(|gate| Sequencer::start(gate, Key::open_or_make(keys.path()).unwrap()).unwrap())
        .collect();
    std::thread::scope(|s| {
        for gate in [&one, &two, &one, &two] {
            s.spawn(move || (0..50).for_each(|n| gate.run(&somebody(TenantId(1)), &NOTE, format!("t{n}")).unwrap()));
        }
    });
    drop(running);
    let report = verify(one.db(), &Verify { directory: Some(keys.path()), ..Verify::default() }).unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.entries + report.pending, report.first_bad), (200, None));
}

/// A small generator, so that a failing round can be played again.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// One way to tamper; gives the statements and the first entry that must be named.
fn tamper(dice: &mut Dice, entries: u64) -> (Vec<String>, u64) {
    const TEXTS: [&str; 10] = [
        "actor",
        "tenant",
        "object_tenant",
        "action",
        "object_kind",
        "object_id",
        "outcome",
        "session",
        "strength",
        "request",
    ];
    let a = dice.roll(entries);
    let b = (a + 1 + dice.roll(entries - 1)) % entries;
    let first = a.min(b);
    let at = |n: u64| format!("WHERE leaf_index = {n}");
    match dice.roll(9) {
        0 => {
            let column = TEXTS[dice.roll(TEXTS.len() as u64) as usize];
            (vec![format!("UPDATE audit_entries SET {column} = {column} || 'x' {}", at(a))], a)
        }
        1 => {
            let column = ["at", "revision"][dice.roll(2) as usize];
            (vec![format!("UPDATE audit_entries SET {column} = {column} + 1 {}", at(a))], a)
        }
        2 => {
            let column = ["input_hash", "leaf_hash", "root"][dice.roll(3) as usize];
            (vec![format!("UPDATE audit_entries SET {column} = zeroblob(32) {}", at(a))], a)
        }
        3 => (vec![format!("DELETE FROM audit_entries {}", at(a))], a),
        4 => (
            // Two entries change places, hashes and all.
            vec![
                format!("UPDATE audit_entries SET leaf_index = -1 {}", at(a)),
                format!("UPDATE audit_entries SET leaf_index = {a} {}", at(b)),
                format!("UPDATE audit_entries SET leaf_index = {b} WHERE leaf_index = -1"),
            ],
            first,
        ),
        5 => (
            // One is removed and those after it move up.
            vec![
                format!("DELETE FROM audit_entries {}", at(a)),
                format!("UPDATE audit_entries SET leaf_index = -leaf_index WHERE leaf_index > {a}"),
                "UPDATE audit_entries SET leaf_index = -leaf_index - 1 WHERE leaf_index < 0".to_owned(),
            ],
            a,
        ),
        6 => (vec![format!("DELETE FROM audit_entries WHERE leaf_index >= {a}")], a),
        7 => (
            // The tail is cut, and the sequencer's own row with it.
            vec![
                format!("DELETE FROM audit_entries WHERE leaf_index >= {a}"),
                format!("UPDATE audit_tree SET size = {a}"),
                "DELETE FROM audit_checkpoints".to_owned(),
            ],
            a,
        ),
        _ => {
            let a = a / 3 * 3;
            (
                vec![format!(
                    "UPDATE audit_private SET body = replace(body, 'TICKET', 'ticket') WHERE entry = (SELECT seq FROM audit_entries {})",
                    at(a)
                )],
                a,
            )
        }
    }
}

#[test]
fn every_one_of_a_thousand_tamperings_is_found_at_the_first_entry_it_touched() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 60);
    log.desk().turn(true).unwrap();
    let victim = log.gate.db();
    // What a round breaks is mended from a copy of the tables.
    for table in TABLES {
        log.sql(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    let mut dice = Dice(7);
    for round in 0..1_000 {
        let (statements, first) = tamper(&mut dice, 60);
        let said = statements.join("; ");
        victim
            .write(move |conn| {
                statements.iter().try_for_each(|sql| {
                    conn.execute(sql, &[])?;
                    Ok(())
                })
            })
            .unwrap();
        let report = log.verify();
        let bad = report.first_bad.unwrap_or_else(|| panic!("round {round} was not found: {said}"));
        assert_eq!(bad.index, first, "round {round}: {said}: {bad:?}");
        assert_eq!(report.verified, first);
        victim
            .write(|conn| {
                for table in TABLES {
                    conn.execute(&format!("DELETE FROM {table}"), &[])?;
                    conn.execute(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"), &[])?;
                }
                Ok(())
            })
            .unwrap();
    }
    assert!(log.verify().is_good());
}

const TABLES: [&str; 5] = ["audit_entries", "audit_private", "audit_tree", "audit_nodes", "audit_checkpoints"];

#[test]
fn a_rewritten_tree_is_betrayed_by_what_was_signed() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 20);
    let mut desk = log.desk();
    desk.turn(true).unwrap();
    log.add(20);
    desk.turn(true).unwrap();
    // Somebody with the database's password changes an entry and builds the whole tree again.
    log.sql("UPDATE audit_entries SET action = 'thing.other' WHERE leaf_index = 25");
    log.sql("UPDATE audit_entries SET leaf_index = NULL, leaf_hash = NULL, root = NULL");
    for table in ["audit_tree", "audit_nodes", "audit_checkpoints"] {
        log.sql(&format!("DELETE FROM {table}"));
    }
    let now = log.gate.now();
    log.gate
        .db()
        .write(move |conn| {
            conn.execute("UPDATE leases SET until = 0", &[])?;
            super::sequence(conn, "intruder", now)
        })
        .unwrap();
    let bad = log.verify().first_bad.unwrap();
    assert_eq!(bad.index, 20, "the checkpoint over 20 still holds: {bad:?}");
    assert!(bad.reason.contains("in the file"));
    // The sequencer does not sign it either.
    log.add(1);
    log.gate.clock().advance(std::time::Duration::from_secs(60));
    assert_eq!(log.desk().turn(true).unwrap_err().code(), "audit.tampered");
}

#[test]
fn personal_data_can_be_erased_and_the_tree_stays_whole() {
    for (_, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 9);
        log.desk().turn(true).unwrap();
        let cx = somebody(TenantId(1)).because("request 12 of the data subject");
        let actor = cx.actor().to_string();
        let erased = log.gate.run(&cx, &actions::ERASE, EraseActor { actor, reason: "asked for".into() }).unwrap();
        assert_eq!(erased.entries, 3);
        let report = log.verify();
        assert!(report.is_good(), "{report:?}");
        assert_eq!(report.erased, 3);
        // What is not there cannot be slipped in again in other words.
        log.gate.db().write(|conn| conn.execute("INSERT INTO audit_private (entry, salt, body) VALUES ((SELECT seq FROM audit_entries WHERE leaf_index = 3), $1, '{}')", args![[0u8; 32]])).unwrap();
        assert_eq!(log.verify().first_bad.unwrap().index, 3);
    }
}

#[test]
fn the_log_is_listed_by_tenant_and_its_proofs_hold() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 700);
        log.desk().turn(true).unwrap();
        let mine = somebody(TenantId(1));
        let list = |input| log.gate.run(&mine, &actions::LIST, input).unwrap();
        let page = list(ListEntries { limit: Some(10), ..Default::default() });
        assert!(page.items.iter().all(|entry| entry.object_tenant == TenantId(1).to_string()), "{engine}");
        let next = list(ListEntries { before: page.next, limit: Some(1_000), ..Default::default() });
        assert_eq!(page.items.len() + next.items.len(), 350);
        assert_eq!(
            list(ListEntries { object: Some("thing-6".into()), ..Default::default() }).items[0].reason.as_deref(),
            Some("TICKET-6 陳小姐")
        );
        assert_eq!(
            list(ListEntries { action: Some("thing.".into()), limit: Some(1), ..Default::default() }).items.len(),
            1
        );
        assert!(list(ListEntries { outcome: Some("refused".into()), ..Default::default() }).items.is_empty());
        let other = log.gate.run(&mine, &actions::GET, OneEntry { index: 1 }).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::NotFound);
        let everything = Cx::system("test", TenantId(1));
        for (index, size) in [(0, None), (6, None), (299, Some(300)), (511, Some(699)), (698, None)] {
            let detail = log.gate.run(&everything, &actions::GET, OneEntry { index }).unwrap();
            let proof = log.gate.run(&everything, &actions::PROOF, ProveEntry { index, size }).unwrap();
            let hash = |text: &String| Hash::try_from(hex::decode(text).unwrap()).unwrap();
            let hashes: Vec<Hash> = proof.hashes.iter().map(hash).collect();
            let root = root_from_inclusion(leaf_hash(detail.leaf.as_bytes()), index as u64, proof.size as u64, &hashes);
            assert_eq!(root.map(|root| hex::encode(&root)), Some(proof.root), "{engine} {index}");
        }
        let (old, new) = (ProveGrowth { from: 300, size: None }, ProveGrowth { from: 300, size: Some(300) });
        let root_at = log.gate.run(&everything, &actions::CONSISTENCY, new).unwrap().root;
        let growth = log.gate.run(&everything, &actions::CONSISTENCY, old).unwrap();
        let hash = |text: &str| Hash::try_from(hex::decode(text).unwrap()).unwrap();
        let hashes: Vec<Hash> = growth.hashes.iter().map(|text| hash(text)).collect();
        assert!(verify_consistency(300, hash(&root_at), growth.size as u64, hash(&growth.root), &hashes));
        let note = log.gate.run(&everything, &actions::CHECKPOINT, Newest {}).unwrap().note;
        assert!(VerifyingKey::in_directory(log.keys.path()).unwrap().open(&note).is_ok());
    }
}

/// Runs the independent verifier on an export; gives its report.
fn python(log: &Log, db: &Db) -> Option<serde_json::Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/audit/verify.py");
    let scratch = Scratch::new();
    let file = scratch.path().join("log.jsonl");
    let key = VerifyingKey::in_directory(log.keys.path()).unwrap();
    let out = std::fs::File::create(&file).unwrap();
    export(db, &key, Vec::new(), (Filter::default(), Format::default()), out).unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg(&file).arg("--key").arg(key.text());
    command.arg("--checkpoints").arg(log.keys.path().join("audit.checkpoints"));
    match command.output() {
        Ok(output) => Some(
            serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))),
        ),
        Err(_) => {
            db::testing::pass_over(db::testing::TOOLS, "python3 is not installed");
            None
        }
    }
}

#[test]
fn a_second_verifier_in_another_language_agrees() {
    let kinds: [(&str, &[&str]); 7] = [
        ("nothing", &[]),
        ("a byte", &["UPDATE audit_entries SET object_id = 'thing-x' WHERE leaf_index = 7"]),
        (
            "personal data",
            &[
                "UPDATE audit_private SET body = replace(body, 'TICKET', 'ticket') WHERE entry = (SELECT seq FROM audit_entries WHERE leaf_index = 9)",
            ],
        ),
        ("an entry", &["DELETE FROM audit_entries WHERE leaf_index = 12"]),
        (
            "the order",
            &[
                "UPDATE audit_entries SET leaf_index = -1 WHERE leaf_index = 4",
                "UPDATE audit_entries SET leaf_index = 4 WHERE leaf_index = 14",
                "UPDATE audit_entries SET leaf_index = 14 WHERE leaf_index = -1",
            ],
        ),
        ("the tail", &["DELETE FROM audit_entries WHERE leaf_index >= 25"]),
        (
            "the tail and what was signed",
            &["DELETE FROM audit_entries WHERE leaf_index >= 15", "DELETE FROM audit_checkpoints"],
        ),
    ];
    for (kind, statements) in kinds {
        let (_, db, data) = db::testing::sqlite();
        let log = Log::over(db, data, 10);
        let mut desk = log.desk();
        desk.turn(true).unwrap();
        log.add(20);
        desk.turn(true).unwrap();
        statements.iter().for_each(|sql| log.sql(sql));
        let ours = log.verify();
        let Some(theirs) = python(&log, log.gate.db()) else { return };
        assert_eq!(theirs["ok"], ours.is_good(), "{kind}: {theirs} {ours:?}");
        assert_eq!(ours.is_good(), kind == "nothing");
        if kind == "nothing" {
            assert_eq!((theirs["entries"].as_u64(), theirs["checkpoint"].as_u64()), (Some(30), Some(30)));
        } else {
            let named = ours.first_bad.as_ref().map(|bad| bad.index);
            assert_eq!(theirs["first_bad"].as_u64(), named, "{kind}: {theirs} {ours:?}");
        }
    }
}

#[test]
fn a_running_log_can_be_verified_beside_its_server() {
    let (_, db, data) = db::testing::sqlite();
    let path = data.path().to_owned();
    let log = Log::over(db, data, 5);
    let sequencer = Sequencer::start(&log.gate, Key::open_or_make(log.keys.path()).unwrap()).unwrap();
    for _ in 0..500 {
        let beside = Db::open_read_only(&Location::Directory(path.clone())).unwrap();
        if verify(&beside, &Verify { directory: Some(log.keys.path()), ..Verify::default() }).unwrap().entries == 5 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    log.add(3);
    sequencer.stop();
    let beside = Db::open_read_only(&Location::Directory(path.clone())).unwrap();
    let report = verify(&beside, &Verify { directory: Some(log.keys.path()), ..Verify::default() }).unwrap();
    assert!(report.is_good());
    assert_eq!((report.entries, report.checkpoint.unwrap().size), (8, 8), "a last checkpoint is signed on the way out");
}
