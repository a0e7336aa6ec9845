//! Evidence of real runs, what changing it is called, and another program's opinion of it.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use commerce::testing::member;
use serde_json::Value as Json;

use super::verify::verify;
use super::*;
use crate::backups::tests::CUSTOMER;
use crate::drills::plans::Scenario;
use crate::drills::tests::{drilled, one, plan, terms};

/// The evidence of a drill that passed, as its file, and the key that signed it.
fn evidence() -> (String, String) {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, world, _, _) = one(db);
    let run = drilled(&house, &world, &plan(&house, terms(&house, Scenario::HostLost)));
    let file = house.gate().run(&member(CUSTOMER), &GET, DrillRef { id: run.id }).unwrap();
    (serde_json::to_string_pretty(&file).unwrap(), file.key)
}

fn changed(file: &str, pointer: &str, to: Json) -> String {
    let mut json: Json = serde_json::from_str(file).unwrap();
    *json.pointer_mut(pointer).unwrap() = to;
    json.to_string()
}

#[test]
fn evidence_is_good_as_long_as_nobody_touches_it() {
    let (file, key) = evidence();
    let report = verify(&file, None).unwrap();
    assert_eq!((report.ok, report.pinned, report.verdict.as_deref()), (true, false, Some("passed")), "{report:?}");
    let report = verify(&file, Some(&key)).unwrap();
    assert!(report.ok && report.pinned && report.run.unwrap().starts_with("drun_"));
    // However it is laid out.
    let flat: Json = serde_json::from_str(&file).unwrap();
    assert!(verify(&flat.to_string(), Some(&key)).unwrap().ok);
}

#[test]
fn what_was_changed_is_named() {
    let (file, key) = evidence();
    let table = [
        ("/document/services/0/rtoMilliseconds", json!(1), "/services/0/rtoMilliseconds: the document says 1"),
        ("/document/objectives/rtoSeconds", json!(9), "/objectives/rtoSeconds: the document says 9, the note 3600"),
        ("/document/plan/owner", json!("Someone"), "/plan/owner: the document says \"Someone\", the note \"Ops\""),
        ("/document/services", json!([]), "/services: the document says []"),
    ];
    for (pointer, to, words) in table {
        let report = verify(&changed(&file, pointer, to), Some(&key)).unwrap();
        assert!(!report.ok && report.problems.iter().any(|told| told.starts_with(words)), "{pointer}: {report:?}");
    }
    let note = serde_json::from_str::<Json>(&file).unwrap()["note"].as_str().unwrap().to_owned();
    let forged = note.replacen("\"rtoSeconds\":3600", "\"rtoSeconds\":9600", 1);
    let report = verify(&changed(&file, "/note", json!(forged)), Some(&key)).unwrap();
    let at = note.find("\"rtoSeconds\":3600").unwrap() + "\"rtoSeconds\":".len() + 1;
    assert!(report.problems[0].ends_with(&format!("the note was changed at its byte {at}")), "{report:?}");
    let unsigned = note.split("\n\n").next().unwrap().to_owned();
    assert_eq!(
        verify(&changed(&file, "/note", json!(unsigned)), None).unwrap().problems,
        ["the note has no signature"]
    );
}

#[test]
fn nothing_is_said_twice() {
    let (file, key) = evidence();
    // One who reads the first of them would be told something else than who reads the last.
    for (there, more) in [("\"verdict\"", "\"verdict\": \"failed\", "), ("\"document\"", "\"document\": {}, ")] {
        let twice = file.replacen(there, &format!("{more}{there}"), 1);
        assert_eq!(verify(&twice, Some(&key)).unwrap_err().code(), "evidence.unread", "{there}");
    }
}

#[test]
fn every_byte_of_the_file_counts() {
    let (file, key) = evidence();
    for at in (0..file.len()).step_by(7) {
        let mut bytes = file.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        // Blanks between members are nobody's.
        if file.as_bytes()[at].is_ascii_whitespace() {
            continue;
        }
        let good = verify(&text, Some(&key)).is_ok_and(|report| report.ok);
        assert!(!good, "byte {at} was changed and nobody noticed");
    }
}

#[test]
fn evidence_of_another_key_is_good_for_nobody_who_knows_the_right_one() {
    let ((file, key), (other, other_key)) = (evidence(), evidence());
    assert!(verify(&other, None).unwrap().ok && key != other_key);
    let report = verify(&other, Some(&key)).unwrap();
    assert!(!report.ok && report.problems[0].contains("another key"), "{report:?}");
    // Nor with the right key's name on it.
    let report = verify(&changed(&other, "/key", json!(key)), Some(&key)).unwrap();
    assert!(!report.ok, "{report:?}");
    assert_eq!(verify(&file[..file.len() / 2], None).unwrap_err().code(), "evidence.unread");
    assert_eq!(verify("{}", None).unwrap_err().code(), "evidence.unread");
}

#[test]
fn a_pass_that_does_not_follow_from_what_was_measured_is_found_even_if_signed() {
    let scratch = db::testing::Scratch::new();
    let key = Key::open_or_make(scratch.path()).unwrap();
    let (file, _) = evidence();
    for (pointer, to, words) in [
        ("/services/0/rtoMilliseconds", json!(3_600_001), "did not meet its objectives"),
        ("/services/0/rpoMilliseconds", json!(null), "did not meet its objectives"),
        ("/services/0/phases/5/milliseconds", json!(1), "its phases are"),
        ("/misses", json!([{ "code": "x" }]), "something was missed"),
        ("/services", json!([]), "nothing was restored"),
    ] {
        let mut document = serde_json::from_str::<File>(&file).unwrap().document;
        *document.pointer_mut(pointer).unwrap() = to;
        let text = format!("{TITLE}\n{}\n", canonical::canonical(&document).unwrap());
        let forged = File { document, key: key.public().text(), note: key.sign_text(&text) };
        let report = verify(&serde_json::to_string(&forged).unwrap(), None).unwrap();
        assert!(!report.ok && report.problems.iter().any(|told| told.contains(words)), "{pointer}: {report:?}");
    }
}

#[test]
fn openssl_is_of_the_same_opinion() {
    let scratch = db::testing::Scratch::new();
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let (file, key) = evidence();
    let note = serde_json::from_str::<File>(&file).unwrap().note;
    let (text, signature) = note.rsplit_once("\n\n").unwrap();
    let signature = BASE64.decode(signature.trim_end().rsplit_once(' ').unwrap().1).unwrap();
    let public = BASE64.decode(key.splitn(3, '+').nth(2).unwrap()).unwrap();
    // An Ed25519 public key as X.509 writes it (RFC 8410), around the 32 bytes of the note's key.
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &public[1..]].concat();
    let path = |name: &str| scratch.path().join(name);
    std::fs::write(path("key"), der).unwrap();
    std::fs::write(path("signature"), &signature[4..]).unwrap();
    let says = |text: String| {
        std::fs::write(path("text"), text).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"]).arg(path("key"));
        command.arg("-in").arg(path("text")).arg("-sigfile").arg(path("signature")).output().unwrap().status.success()
    };
    assert!(says(format!("{text}\n")));
    assert!(!says(format!("{}\n", text.replacen("passed", "failed", 1))));
}
