//! Root on the server: somebody who has the database *and* the key, and writes a history that agrees with
//! itself. What was kept elsewhere disagrees.

use super::*;
use crate::audit::{Kept, prove_growth};

/// Another one each time; `YUNWEI_SEED` plays one again.
pub(super) fn seed() -> u64 {
    let named = std::env::var("YUNWEI_SEED").ok().and_then(|text| text.parse().ok());
    let now = base::time::micros(base::time::Clock::System.now()) as u64;
    let seed = named.unwrap_or(now);
    println!("YUNWEI_SEED={seed}");
    seed
}

impl Log {
    /// Builds the tree again over whatever the table holds now, and signs it with the real key.
    fn rewrite(&self) {
        self.sql("UPDATE audit_entries SET leaf_index = NULL, leaf_hash = NULL, root = NULL");
        for table in ["audit_tree", "audit_nodes", "audit_checkpoints"] {
            self.sql(&format!("DELETE FROM {table}"));
        }
        self.sql("UPDATE leases SET until = 0");
        let _ = std::fs::remove_file(self.keys.path().join("audit.checkpoints"));
        self.desk().turn(true).unwrap();
    }

    fn against(&self, kept: &Kept) -> Report {
        let with = Verify { directory: Some(self.keys.path()), key: None, kept: Some(kept) };
        verify(self.gate.db(), &with).unwrap()
    }

    /// The signed heads so far, as they lie in the file.
    fn heads(&self) -> Kept {
        Kept::at(&self.keys.path().join("audit.checkpoints")).unwrap()
    }

    /// Heads and entries so far.
    fn everything(&self) -> Kept {
        Kept::of(self.exported(Filter::default(), Format::JsonLines).as_bytes()).unwrap()
    }
}

#[test]
fn a_history_rewritten_with_the_stolen_key_is_betrayed_by_what_was_kept_elsewhere() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 20);
        let mut desk = log.desk();
        desk.turn(true).unwrap();
        let early = log.heads();
        log.add(20);
        desk.turn(true).unwrap();
        drop(desk);
        let (heads, everything) = (log.heads(), log.everything());
        let grown = |kept: &Kept| prove_growth(log.gate.db(), &log.key(), &kept.notes[0]);
        assert!(log.against(&heads).is_good() && log.against(&everything).is_good() && grown(&early).is_ok());

        log.sql("UPDATE audit_entries SET actor = 'acc_somebody_else' WHERE leaf_index = 27");
        log.rewrite();
        let plain = log.verify();
        assert!(plain.is_good(), "{engine}: who has the key can please who asks nobody else: {plain:?}");
        assert!(log.against(&early).is_good(), "what was kept before the entry knows nothing of it");
        let found = log.against(&heads).first_bad.unwrap();
        assert_eq!(found.index, 20, "after the last head that holds: {found:?}");
        let found = log.against(&everything).first_bad.unwrap();
        assert_eq!(found.index, 27, "the very entry: {found:?}");

        log.sql("UPDATE audit_entries SET actor = 'acc_somebody_else' WHERE leaf_index = 3");
        log.rewrite();
        assert!(log.verify().is_good());
        assert_eq!(log.against(&early).first_bad.unwrap().index, 0);
        assert_eq!(grown(&early).unwrap_err().code(), "audit.rewritten");
    }
}

#[test]
fn another_key_in_the_place_of_the_logs_is_seen() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 10);
    log.desk().turn(true).unwrap();
    let (kept, known) = (log.heads(), VerifyingKey::in_directory(log.keys.path()).unwrap().text());
    for file in ["audit.key", "audit.pub"] {
        std::fs::remove_file(log.keys.path().join(file)).unwrap();
    }
    log.rewrite();
    assert!(log.verify().is_good());
    let reason = log.against(&kept).first_bad.unwrap().reason;
    assert!(reason.contains("kept elsewhere is not signed"), "{reason}");
    let with = Verify { directory: Some(log.keys.path()), key: Some(&known), kept: None };
    assert!(!verify(log.gate.db(), &with).unwrap().is_good(), "the key that was kept did not sign what lies there");
}

/// One way to bend the history before it is signed again: statements, and the first entry that differs then.
fn bend(dice: &mut Dice, entries: u64) -> (&'static str, Vec<String>, u64) {
    let a = dice.roll(entries);
    let b = (a + 1 + dice.roll(entries - 1)) % entries;
    let (first, second) = (a.min(b), a.max(b));
    // A log that one sequencer wrote from its beginning: entry n has the number n + 1.
    let number = |n: u64| n + 1;
    match dice.roll(5) {
        0 => ("flip", vec![format!("UPDATE audit_entries SET at = at + 1 WHERE leaf_index = {a}")], a),
        1 => ("drop", vec![format!("DELETE FROM audit_entries WHERE leaf_index = {a}")], a),
        2 => (
            // The tree is built in the order of their numbers.
            "swap",
            vec![
                format!("UPDATE audit_entries SET seq = -seq WHERE leaf_index IN ({first}, {second})"),
                format!("UPDATE audit_entries SET seq = {} WHERE leaf_index = {first}", number(second)),
                format!("UPDATE audit_entries SET seq = {} WHERE leaf_index = {second}", number(first)),
            ],
            first,
        ),
        3 => ("truncate", vec![format!("DELETE FROM audit_entries WHERE leaf_index >= {a}")], a),
        _ => (
            "rewrite",
            vec![format!(
                "UPDATE audit_entries SET actor = 'acc_x', action = 'thing.other', object_id = object_id || 'x' WHERE seq >= {}",
                number(a)
            )],
            a,
        ),
    }
}

#[test]
fn every_bending_of_a_history_that_is_signed_again_is_found_at_its_first_entry() {
    const ENTRIES: u64 = 40;
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, ENTRIES as usize);
    log.desk().turn(true).unwrap();
    let (heads, everything, seed) = (log.heads(), log.everything(), seed());
    for table in TABLES {
        log.sql(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    let mut dice = Dice(seed);
    for round in 0..250 {
        let (how, statements, first) = bend(&mut dice, ENTRIES);
        statements.iter().for_each(|sql| log.sql(sql));
        // Personal data that has lost its entry says nothing; who cleans up so far removes it as well.
        log.sql("DELETE FROM audit_private");
        log.rewrite();
        let told = format!("seed {seed}, round {round}: {how} at {first}");
        assert!(log.verify().is_good(), "{told}: it agrees with itself: {:?}", log.verify());
        let bad = log.against(&everything).first_bad.unwrap_or_else(|| panic!("{told}: was not found"));
        assert_eq!(bad.index, first, "{told}: {bad:?}");
        assert!(!log.against(&heads).is_good(), "{told}: signed heads alone betray it too");
        for table in TABLES {
            log.sql(&format!("DELETE FROM {table}"));
            log.sql(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"));
        }
    }
}
