//! Looking at evidence without anybody's help: no network, no installation, no database.
//!
//! The file says everything twice: once to be read, once as the text that was signed. So what
//! was changed can be named: which member of the document, what it says, and what was signed.

use std::collections::BTreeSet;

use base::{Error, Result};
use gate::audit::VerifyingKey;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::canonical::canonical;
use super::{File, TITLE};
use crate::drills::rules::{self, Objectives};

/// Most differences that are told.
const DIFFERENCES_MAX: usize = 20;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether the document is what was signed, by the key that was asked for, and says nothing against itself.
    pub ok: bool,
    /// The key's name and hash: the same as the installation publishes.
    pub key: String,
    /// Whether the key was named by who asked, and not by the file alone.
    pub pinned: bool,
    /// The run that it is about.
    pub run: Option<String>,
    /// What it came to.
    pub verdict: Option<String>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// Looks at a file. With `pin`, the key must be that one.
///
/// # Errors
/// `Invalid` (`evidence.unread`, `audit.key`) where it is no evidence at all.
pub fn verify(text: &str, pin: Option<&str>) -> Result<Report> {
    let unread = |e: serde_json::Error| {
        let message = format!("this is no evidence: line {}, column {}: {e}", e.line(), e.column());
        Error::invalid("evidence.unread", message)
    };
    once(text).map_err(unread)?;
    let file: File = serde_json::from_str(text).map_err(unread)?;
    let named = VerifyingKey::read(&file.key)?;
    let mut problems = Vec::new();
    let key = match pin.map(VerifyingKey::read).transpose()? {
        Some(wanted) if wanted != named => {
            problems.push("the file names another key than the one that was asked for".to_owned());
            wanted
        }
        _ => named,
    };
    signature(&key, &file, &mut problems);
    said(&file.document, &mut problems);
    let told = |pointer: &str| file.document.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    let shown = key.text();
    Ok(Report {
        ok: problems.is_empty(),
        key: shown.rsplit_once('+').map_or(shown.clone(), |(start, _)| start.to_owned()),
        pinned: pin.is_some(),
        run: told("/run/id"),
        verdict: told("/run/verdict"),
        problems,
    })
}

/// That no object has a name twice: readers differ in which of the two they show.
fn once(text: &str) -> serde_json::Result<()> {
    struct Once;
    impl<'de> DeserializeSeed<'de> for Once {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
            from.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for Once {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
            let mut names = BTreeSet::new();
            while let Some(name) = map.next_key::<String>()? {
                map.next_value_seed(Once)?;
                if let Some(twice) = names.replace(name) {
                    return Err(serde::de::Error::custom(format!("the name {twice:?} is there twice")));
                }
            }
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> std::result::Result<(), A::Error> {
            while all.next_element_seed(Once)?.is_some() {}
            Ok(())
        }
        fn visit_unit<E>(self) -> std::result::Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Once.deserialize(&mut reader)
}

/// Whether the key signed the note, and the note says what the document does.
fn signature(key: &VerifyingKey, file: &File, problems: &mut Vec<String>) {
    let Some((text, signatures)) = file.note.rsplit_once("\n\n") else {
        problems.push("the note has no signature".to_owned());
        return;
    };
    let text = format!("{text}\n");
    let written = match canonical(&file.document) {
        Ok(written) => format!("{TITLE}\n{written}\n"),
        Err(e) => {
            problems.push(format!("the document cannot have been signed: {}", e.message()));
            return;
        }
    };
    let (note_is_signed, document_is_signed) = (key.signed(&text, signatures), key.signed(&written, signatures));
    match (note_is_signed, document_is_signed) {
        (true, true) => {}
        (true, false) => {
            problems.push("the document is not what was signed".to_owned());
            different(&file.document, &text, problems);
        }
        (false, true) => {
            let at = text.bytes().zip(written.bytes()).take_while(|(a, b)| a == b).count();
            problems.push(format!("the document is what was signed; the note was changed at its byte {}", at + 1));
        }
        (false, false) => {
            problems.push("the signature is not this key's, or of another text".to_owned());
            if text != written {
                different(&file.document, &text, problems);
            }
        }
    }
}

/// Names every member that is not as in the note.
fn different(document: &Json, text: &str, problems: &mut Vec<String>) {
    let note = text.strip_prefix(TITLE).map(str::trim).and_then(|line| serde_json::from_str::<Json>(line).ok());
    match note {
        Some(note) => {
            let mut found = Vec::new();
            compare("", document, &note, &mut found);
            problems.extend(found.into_iter().take(DIFFERENCES_MAX));
        }
        None => problems.push("the note's text does not read as a document".to_owned()),
    }
}

fn compare(path: &str, says: &Json, signed: &Json, found: &mut Vec<String>) {
    match (says, signed) {
        (Json::Object(a), Json::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let below = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => compare(&below, a, b, found),
                    (Some(_), None) => found.push(format!("{below}: the document has it, the note has not")),
                    _ => found.push(format!("{below}: the note has it, the document has not")),
                }
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{at}"), a, b, found);
            }
        }
        _ if says == signed => {}
        _ => found.push(format!("{path}: the document says {says}, the note {signed}")),
    }
}

/// Reckons again what the document says of itself: a verdict must follow from what was measured.
fn said(document: &Json, problems: &mut Vec<String>) {
    let Ok(objectives) = serde_json::from_value::<Objectives>(document["objectives"].clone()) else {
        problems.push("/objectives: no objectives can be read".to_owned());
        return;
    };
    let verdict = document["run"]["verdict"].as_str().unwrap_or_default();
    let services = document["services"].as_array().cloned().unwrap_or_default();
    for (at, service) in services.iter().enumerate() {
        phases_add_up(at, service, problems);
        let (rto, rpo) = (service["rtoMilliseconds"].as_u64(), service["rpoMilliseconds"].as_u64());
        let kept = |value: Option<u64>, seconds: u64| value.is_some_and(|value| value <= seconds.saturating_mul(1_000));
        if verdict == "passed" && !(kept(rto, objectives.rto_seconds) && kept(rpo, objectives.rpo_seconds)) {
            problems.push(format!("/services/{at}: the run passed, and this service did not meet its objectives"));
        }
    }
    if document["run"]["stopped"].is_object() != (verdict == "stopped") {
        problems.push("/run/verdict: a run that somebody stopped is stopped, and no other is".to_owned());
    }
    let missed = document["misses"].as_array().is_none_or(|misses| !misses.is_empty());
    if verdict == "passed" && (missed || services.is_empty()) {
        problems.push("/run/verdict: it says passed, and something was missed or nothing was restored".to_owned());
    }
}

fn phases_add_up(at: usize, service: &Json, problems: &mut Vec<String>) {
    let phases: Vec<rules::Measured> = serde_json::from_value(service["phases"].clone()).unwrap_or_default();
    let before = |one: &&rules::Measured| one.phase != rules::Phase::Verify;
    let sum: Option<u64> = phases.iter().filter(before).map(|one| one.milliseconds).sum();
    let told = service["rtoMilliseconds"].as_u64();
    // Each phase is rounded up to its own millisecond.
    let slack = phases.len() as u64;
    if let (Some(sum), Some(told)) = (sum, told)
        && !(told..=told + slack).contains(&sum)
    {
        problems.push(format!("/services/{at}: its phases are {sum} ms together, and its RTO is {told} ms"));
    }
}
