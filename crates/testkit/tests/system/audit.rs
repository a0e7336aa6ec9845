//! Tampering with the audit log, found through the real command line and by the
//! second verifier, which shares no code with it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};
use testkit::{Binaries, Installation, Options};

use crate::Scratch;

/// What `yunwei audit verify` says of a directory: its exit status and its report.
fn ours(binaries: &Binaries, data: &Path) -> (i32, Json) {
    let output = binaries.yunwei().args(["audit", "verify", "--json", "--data"]).arg(data).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// What the second verifier says of an export of it, with the key and the checkpoints from beside the database.
fn theirs(binaries: &Binaries, data: &Path) -> (i32, Json) {
    let export = data.join("log.jsonl");
    let exported = binaries.yunwei().args(["audit", "export", "--data"]).arg(data).arg("--out").arg(&export).output();
    let exported = exported.unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let key = std::fs::read_to_string(data.join("keys/audit.pub")).unwrap();
    let output = Command::new("python3")
        .arg(binaries.checkout.join("tests/audit/verify.py"))
        .arg(&export)
        .args(["--key", key.trim(), "--checkpoints"])
        .arg(data.join("keys/audit.checkpoints"))
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// Both verifiers find everything as it was; gives the number of entries and of those erased.
fn both_find_all_well(binaries: &Binaries, data: &Path) -> (u64, u64) {
    let ((status, first), (second_status, second)) = (ours(binaries, data), theirs(binaries, data));
    assert_eq!((status, &first["ok"]), (0, &json!(true)), "{first:#}");
    assert_eq!((second_status, &second["ok"]), (0, &json!(true)), "{second:#}");
    assert_eq!((&first["entries"], &first["erased"]), (&second["entries"], &second["erased"]));
    assert_eq!(first["checkpoint"]["size"], second["checkpoint"]);
    (first["entries"].as_u64().unwrap(), first["erased"].as_u64().unwrap())
}

fn both_name(binaries: &Binaries, data: &Path, kind: &str, place: u64) {
    let ((status, first), (second_status, second)) = (ours(binaries, data), theirs(binaries, data));
    assert_eq!((status, second_status), (1, 1), "{kind}: {first:#} {second:#}");
    assert_eq!(first["first_bad"]["index"], place, "{kind}: {first:#}");
    assert_eq!(second["first_bad"], place, "{kind}: {second:#}");
}

/// A server's directory with a story in it, signed twice and stopped.
fn story(house: &mut Installation) {
    house.customer("First", "one@first.example").unwrap();
    house.stop_server().unwrap();
    house.start_server().unwrap();
    house.customer("Second", "two@second.example").unwrap();
    for n in 0..5 {
        let site = json!({ "name": format!("site-{n}"), "place": "Taipei" });
        house.api.post("/api/v1/sites", &site).unwrap();
    }
    assert_eq!(house.api.as_token("").send("GET", "/api/v1/hosts", &[], None).unwrap().status, 401);
    let with_reason = json!({ "actor": "nobody", "reason": "asked for by 陳小姐" });
    house.api.post("/api/v1/audit/erase", &with_reason).unwrap();
}

fn change(data: &Path, statements: &[String]) {
    let database = rusqlite::Connection::open(data.join("yunwei.db")).unwrap();
    statements.iter().for_each(|sql| database.execute_batch(sql).unwrap());
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// The first entry that has personal data.
fn with_personal_data(data: &Path) -> u64 {
    let database = rusqlite::Connection::open(data.join("yunwei.db")).unwrap();
    let sql = "SELECT MIN(e.leaf_index) FROM audit_entries e JOIN audit_private p ON p.entry = e.seq";
    database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

/// What an intruder with the database does, and the first entry that is not what it was.
fn tamperings(entries: u64, private: u64) -> Vec<(&'static str, Vec<String>, u64)> {
    let entry = |sql: &str, index: u64| vec![format!("UPDATE audit_entries SET {sql} WHERE leaf_index = {index}")];
    let last = entries - 1;
    vec![
        ("a byte of an entry", entry("actor = 'x' || substr(actor, 2)", 4), 4),
        ("who did it", entry("actor = 'system:nobody'", 6), 6),
        ("when", entry("at = at + 1", 3), 3),
        ("what came of it", entry("outcome = 'refused:' || outcome", last), last),
        ("a leaf's hash", entry("leaf_hash = zeroblob(32)", 5), 5),
        ("a head", entry("root = zeroblob(32)", 7), 7),
        ("an entry removed", vec!["DELETE FROM audit_entries WHERE leaf_index = 6".into()], 6),
        (
            "an entry removed and the gap closed",
            vec![
                "DELETE FROM audit_entries WHERE leaf_index = 6".into(),
                "UPDATE audit_entries SET leaf_index = -leaf_index WHERE leaf_index > 6".into(),
                "UPDATE audit_entries SET leaf_index = -leaf_index - 1 WHERE leaf_index < 0".into(),
                "UPDATE audit_tree SET size = size - 1".into(),
            ],
            6,
        ),
        (
            "two entries exchanged",
            vec![
                "UPDATE audit_entries SET leaf_index = -1 WHERE leaf_index = 3".into(),
                "UPDATE audit_entries SET leaf_index = 3 WHERE leaf_index = 8".into(),
                "UPDATE audit_entries SET leaf_index = 8 WHERE leaf_index = -1".into(),
            ],
            3,
        ),
        (
            "the tail cut, with every trace of it in the database",
            vec![
                format!("DELETE FROM audit_entries WHERE leaf_index >= {}", last - 1),
                format!("DELETE FROM audit_checkpoints WHERE size > {}", last - 1),
                format!("UPDATE audit_tree SET size = {}", last - 1),
            ],
            last - 1,
        ),
        (
            "personal data",
            vec![format!(
                "UPDATE audit_private SET body = replace(body, '1', '2') || ' ' WHERE entry = (SELECT seq FROM audit_entries WHERE leaf_index = {private})"
            )],
            private,
        ),
        (
            "a checkpoint's signature",
            vec![
                "UPDATE audit_checkpoints SET note = substr(note, 1, length(note) - 8) || 'AAAAAAA' || char(10)".into(),
            ],
            last,
        ),
    ]
}

#[test]
fn every_tampering_is_named_to_the_entry_by_two_verifiers() {
    let scratch = Scratch::new("tamper");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    story(&mut house);
    // Beside the running server, and without changing anything.
    assert_eq!(ours(&house.binaries, &house.data()).1["ok"], true);
    house.stop_server().unwrap();
    let (entries, erased) = both_find_all_well(&house.binaries, &house.data());
    assert!(entries > 12, "only {entries} entries");
    assert!(erased > 0, "personal data was erased, and both say so");

    let private = with_personal_data(&house.data());
    for (n, (kind, statements, place)) in tamperings(entries, private).into_iter().enumerate() {
        let victim = scratch.0.join(format!("victim-{n}"));
        copy(&house.data(), &victim);
        change(&victim, &statements);
        both_name(&house.binaries, &victim, kind, place);
        std::fs::remove_dir_all(&victim).unwrap();
    }
    let file = house.data().join("keys/audit.checkpoints");
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, kept.replacen("\nyunwei/audit/", "\nyunwei/Audit/", 1)).unwrap();
    both_name(&house.binaries, &house.data(), "a checkpoint in the file", entries - 1);
    std::fs::write(&file, kept).unwrap();
    both_find_all_well(&house.binaries, &house.data());
}

#[test]
fn a_log_is_exported_beside_its_server_whole_or_by_time() {
    let scratch = Scratch::new("export");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    house.customer("First", "one@first.example").unwrap();
    let data = house.data().display().to_string();
    let export = |words: &[&str]| {
        let output = house.binaries.yunwei().args(["audit", "export", "--data", &data]).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Json>>()
    };
    let leaves = |lines: &[Json]| lines.iter().filter(|line| line["leaf"].is_string()).count();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let all = loop {
        let lines = export(&[]);
        if leaves(&lines) > 5 {
            break lines;
        }
        assert!(std::time::Instant::now() < until, "nothing is placed");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let leaf: Json = serde_json::from_str(all[3]["leaf"].as_str().unwrap()).unwrap();
    let at = std::time::Duration::from_micros(leaf["at"].as_u64().unwrap());
    let at = format!("{}.{:06}", at.as_secs(), at.subsec_micros());
    let shown = Command::new("date").args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%S.%6NZ"]).output().unwrap();
    let at = String::from_utf8(shown.stdout).unwrap().trim().to_owned();
    let (before, after) = (export(&["--until", &at]), export(&["--since", &at]));
    assert_eq!(after[0]["log"]["since"], at.trim_end_matches('Z').trim_end_matches('0').to_owned() + "Z");
    assert_eq!(leaves(&before), 2, "the entries before the third");
    assert!(leaves(&after) + leaves(&before) >= leaves(&all));

    let refused = |words: &[&str]| {
        let output = house.binaries.yunwei().args(["audit", "export", "--json"]).args(words).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(refused(&["--data", &data, "--since", "yesterday"]).0, 2);
    let (status, said) = refused(&["--data", &data, "--out", "/nowhere/at/all.jsonl"]);
    assert_eq!(status, 6, "{said}");
    assert!(said.contains("/nowhere/at/all"), "{said}");
    let (status, said) = refused(&["--data", "/nowhere/at/all"]);
    assert_eq!(status, 4, "{said}");
}
