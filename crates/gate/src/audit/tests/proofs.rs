//! Proofs that stand alone, and exports: what leaves the house.

use std::io::Read as _;

use super::*;
use crate::audit::{Kept, Proven, check, prove, prove_growth};

impl Log {
    pub(super) fn key(&self) -> VerifyingKey {
        VerifyingKey::in_directory(self.keys.path()).unwrap()
    }

    fn prove(&self, index: u64) -> String {
        prove(self.gate.db(), &self.key(), index).unwrap()
    }

    fn newest(&self) -> String {
        let cx = Cx::system("test", TenantId(1));
        self.gate.run(&cx, &actions::CHECKPOINT, Newest {}).unwrap().note
    }

    pub(super) fn exported(&self, filter: Filter, format: Format) -> String {
        let scratch = Scratch::new();
        let path = scratch.path().join("export");
        let out = std::fs::File::create(&path).unwrap();
        export(self.gate.db(), &self.key(), Vec::new(), (filter, format), out).unwrap();
        let mut text = String::new();
        std::fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

/// What the independent verifier says of some proofs; `None` where there is no Python.
fn second(log: &Log, from: &str, proofs: &[String]) -> Option<Vec<serde_json::Value>> {
    let (scratch, mut command) = (Scratch::new(), Command::new("python3"));
    let kept = scratch.path().join("kept");
    std::fs::write(&kept, from).unwrap();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/audit/proof.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg("--key").arg(log.key().text()).arg("--from").arg(kept);
    for (number, proof) in proofs.iter().enumerate() {
        let file = scratch.path().join(format!("{number}.tlog-proof"));
        std::fs::write(&file, proof).unwrap();
        command.arg(file);
    }
    let Ok(output) = command.output() else {
        db::testing::pass_over(db::testing::TOOLS, "python3 is not installed");
        return None;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let all: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), proofs.len(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(all)
}

#[test]
fn proofs_stand_alone_and_a_second_verifier_agrees() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 300);
        let mut desk = log.desk();
        desk.turn(true).unwrap();
        let kept = log.newest();
        log.add(45);
        desk.turn(true).unwrap();
        let mut proofs: Vec<String> = [0, 6, 255, 256, 299, 344].map(|index| log.prove(index)).into();
        proofs.push(prove_growth(log.gate.db(), &log.key(), &kept).unwrap());
        proofs.push(prove_growth(log.gate.db(), &log.key(), &log.newest()).unwrap());
        let both = format!("{kept}\n{}", log.newest());
        for proof in &proofs {
            check(proof, &log.key(), Some(&both)).unwrap();
        }
        let Proven::Entry { index, leaf, size } = check(&proofs[1], &log.key(), None).unwrap() else {
            panic!("an entry was asked for")
        };
        assert_eq!((index, size, leaf["objectId"].as_str()), (6, 345, Some("thing-6")), "{engine}");
        assert!(!proofs[1].contains("TICKET"), "personal data stays in the house");
        let Some(theirs) = second(&log, &both, &proofs) else { return };
        assert!(theirs.iter().all(|one| one["ok"] == true), "{theirs:?}");
        assert_eq!(theirs[1]["leaf"], leaf);
        assert_eq!((&theirs[6]["from"], &theirs[6]["size"]), (&300.into(), &345.into()));
    }
}

#[test]
fn a_proof_that_was_touched_shows_nothing() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 100);
    let mut desk = log.desk();
    desk.turn(true).unwrap();
    let kept = log.newest();
    log.add(50);
    desk.turn(true).unwrap();
    let (entry, growth) = (log.prove(70), prove_growth(log.gate.db(), &log.key(), &kept).unwrap());
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let joined = |lines: Vec<String>| format!("{}\n", lines.join("\n"));
    let with = |text: &str, change: &dyn Fn(&mut Vec<String>)| {
        let mut all = lines(text);
        change(&mut all);
        joined(all)
    };
    let other = log.prove(71);
    let wrong = vec![
        with(&entry, &|l| l[2] = "index 71".to_owned()),
        with(&entry, &|l| l[2] = "index 070".to_owned()),
        with(&entry, &|l| l[1] = lines(&other)[1].clone()),
        with(&entry, &|l| l.swap(3, 4)),
        with(&entry, &|l| drop(l.remove(5))),
        with(&entry, &|l| l.insert(3, lines(&entry)[3].clone())),
        entry.replace("\n150\n", "\n151\n"),
        entry.replacen("extra ", "extra: ", 1),
        with(&growth, &|l| l[0] = "old 99".to_owned()),
        with(&growth, &|l| l.swap(1, 2)),
        with(&growth, &|l| drop(l.remove(1))),
        growth.replace("\n150\n", "\n149\n"),
        String::new(),
    ];
    for text in &wrong {
        assert!(check(text, &log.key(), Some(&kept)).is_err(), "{text}");
    }
    // Another log's signature is none, whatever it says.
    let elsewhere = Scratch::new();
    let stranger = Key::open_or_make(elsewhere.path()).unwrap();
    assert_eq!(check(&entry, stranger.public(), None).unwrap_err().code(), "audit.checkpoint_bad");
    assert_eq!(check(&growth, &log.key(), None).unwrap_err().code(), "proof.from");
    assert_eq!(check(&kept, &log.key(), None).unwrap(), Proven::Checkpoint { size: 100 });
    let Some(theirs) = second(&log, &kept, &wrong) else { return };
    assert!(theirs.iter().all(|one| one["ok"] == false), "{theirs:?}");
}

#[test]
fn no_flip_of_a_bit_makes_a_proof_show_something_else() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 40);
    log.desk().turn(true).unwrap();
    let (proof, key, seed) = (log.prove(17), log.key(), stolen::seed());
    let (shown, mut dice) = (check(&proof, &key, None).unwrap(), Dice(seed));
    for round in 0..2_000 {
        let mut bytes = proof.clone().into_bytes();
        let at = dice.roll(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << dice.roll(8);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(other) = check(&text, &key, None) {
            assert_eq!(other, shown, "seed {seed}, round {round}: {text}");
        }
    }
}

#[test]
fn what_nothing_signed_covers_is_not_proven_yet() {
    let (_, db, data) = db::testing::sqlite();
    let log = Log::over(db, data, 5);
    let refused = |index| prove(log.gate.db(), &log.key(), index).unwrap_err().code().to_owned();
    let mut desk = log.desk();
    assert_eq!(refused(0), "audit.unsigned");
    desk.turn(true).unwrap();
    assert_eq!(
        (log.prove(4).lines().next(), refused(5)),
        (Some("c2sp.org/tlog-proof@v1"), "audit.unsigned".to_owned())
    );
    let nothing = prove_growth(log.gate.db(), &log.key(), "no checkpoint").unwrap_err();
    assert_eq!(nothing.code(), "proof.from");
    // Whoever changed the hashes from which proofs are made gets none.
    log.sql("UPDATE audit_entries SET leaf_hash = zeroblob(32) WHERE leaf_index = 3");
    assert_eq!(refused(4), "audit.damaged");
}

#[test]
fn notes_with_more_or_less_than_their_form_are_none() {
    let scratch = Scratch::new();
    let key = Key::open_or_make(scratch.path()).unwrap();
    let note = key.sign(7, &[9; 32]);
    let good = |note: &str| key.public().open(note).is_ok();
    let name = note.lines().next().unwrap().to_owned();
    assert!(good(&note));
    // Signatures of others are passed over, as signed-note wants it, and so are lines of extension.
    assert!(good(&format!("{note}\u{2014} witness.example/w1 jWbPPwAAAABkGFDL\n")));
    assert!(good(&key.sign_text(&format!("{name}\n7\n{}\nmore\n", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="))));
    for wrong in [
        note.trim_end().to_owned(),
        format!("{note}\n"),
        format!("{note}something\n"),
        format!("{note}\u{2014} two words AAAAAAAA\n"),
        note.replace('\n', "\r\n"),
        key.sign_text(&format!("{name}\n07\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n")),
        key.sign_text(&format!("{name}\n7\nCQkJ\n")),
        key.sign_text(&format!("{name}\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\nmore\n")),
    ] {
        assert!(!good(&wrong), "{wrong:?}");
    }
}

#[test]
fn what_was_kept_is_read_in_every_form() {
    let scratch = Scratch::new();
    let key = Key::open_or_make(scratch.path()).unwrap();
    let (one, two) = (key.sign(1, &[1; 32]), key.sign(2, &[2; 32]));
    let json = |note: &str| serde_json::json!({ "checkpoint": note }).to_string();
    let entry = |index: u64| serde_json::json!({ "index": index, "leaf": format!("leaf {index}") }).to_string();
    let (head, entries) =
        ("<110>1 2026-11-23T00:00:00Z host yunwei - checkpoint - ", format!("{}\n{}", entry(0), entry(1)));
    let forms = [
        format!("{one}\n{two}\n"),
        format!("{one}{two}"),
        format!("{}\n{}\n", json(&one), json(&two)),
        format!("{head}{}\nNov 23 host cron[7]: something else\n{head}{}\n{{\"cut", json(&one), json(&two)),
    ];
    for form in forms {
        let kept = Kept::of(form.as_bytes()).unwrap();
        assert_eq!(kept.notes, [one.clone(), two.clone()], "{form}");
    }
    let body = serde_json::json!({ "checkpoint": two, "entries": [{ "index": 0, "leaf": "leaf 0" }, { "index": 1, "leaf": "leaf 1" }] });
    for form in [format!("{entries}\n{}\n", json(&two)), body.to_string()] {
        let kept = Kept::of(form.as_bytes()).unwrap();
        assert_eq!((kept.notes.len(), kept.entries.len(), kept.twice), (1, 2, None), "{form}");
        assert_eq!(kept.entries[&1], leaf_hash(b"leaf 1"));
    }
    let mut kept = Kept::of(entries.as_bytes()).unwrap();
    kept.join(Kept::of(&b"{\"index\":1,\"leaf\":\"another\"}"[..]).unwrap());
    assert_eq!(kept.twice, Some(1));
}

#[test]
fn an_export_is_what_was_asked_for() {
    for (engine, db, data) in db::testing::databases() {
        let log = Log::over(db, data, 30);
        log.desk().turn(true).unwrap();
        let csv = log.exported(Filter::default(), Format::Csv);
        let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert_eq!((rows.len(), rows[0].split(',').count()), (31, 16), "{engine}");
        assert!(rows[1].ends_with(",TICKET-0 陳小姐") && rows[4].starts_with("3,"), "{csv}");
        let mine = Filter { tenant: Some(TenantId(1).to_string()), ..Filter::default() };
        let cef = log.exported(mine, Format::Cef);
        assert_eq!(cef.lines().count(), 15);
        assert!(
            cef.starts_with("CEF:0|Yunwei|Yunwei|") && cef.contains("|thing.note|thing.note|3|externalId=0 rt="),
            "{cef}"
        );
        let one = Filter { action: Some("thing.".into()), object: Some("thing-7".into()), ..Filter::default() };
        let lines = log.exported(one, Format::JsonLines);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["log"]["object"], &lines[1]["index"]), (&"thing-7".into(), &7.into()));
        assert_eq!(lines.iter().filter(|line| line["leaf"].is_string()).count(), 1);
        let refused = Filter { outcome: Some("refused".into()), ..Filter::default() };
        assert_eq!(log.exported(refused, Format::Cef), "");
    }
}
