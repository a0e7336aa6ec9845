use super::*;
use std::path::Path;

/// Codes that no page can lead to: of programs' doors, files, command lines
/// and the platform's start.
const ELSEWHERE: &[&str] = &[
    "agent.",
    "audit.key_",
    "audit.thread",
    "authority.unusable",
    "body.",
    "csr.",
    "cursor.",
    "data.",
    "database.",
    "db.threads",
    "durable.",
    "enrolment.",
    "export.",
    "fields.",
    "filter.",
    "hub.authorities",
    "idempotency.",
    "if_match.",
    "invitation.refused",
    "lease.",
    "ledger.account",
    "ledger.batch",
    "ledger.transfer",
    "ledger.unit",
    "observation.",
    "orphan.generation",
    "policy.",
    "price.",
    "query.",
    "report.",
    "schema.",
    "sort.",
    "testing.",
    "text.",
    "tls.",
    "token.malformed",
    "usage.",
];

/// The codes in the sources of a room: the text after `Error::…(`.
fn codes(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "testing", "gallery"].contains(&name.as_str()) {
            codes(&path, found);
        }
        if path.extension().is_none_or(|e| e != "rs") || ["tests", "testing"].contains(&name.as_str()) {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
        for call in source.split("Error::").skip(1).filter(|call| !call.starts_with("bug(")) {
            let Some((_, rest)) = call.split_once('(') else { continue };
            let first: String = rest.chars().take(80).collect();
            let Some(code) = first.split('"').nth(1) else { continue };
            let is_code = code.split_once('.').is_some_and(|(noun, reason)| {
                [noun, reason].iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            });
            let before = first.split('"').next().unwrap_or_default();
            if is_code
                && before
                    .trim_end_matches([' ', '\n', ','])
                    .chars()
                    .all(|c| c.is_alphanumeric() || ":_ \n,".contains(c))
            {
                found.push((code.to_owned(), path.display().to_string()));
            }
        }
    }
}

#[test]
fn every_code_that_a_page_can_show_is_said_in_chinese() {
    let mut found = Vec::new();
    for room in [
        "access",
        "billing",
        "commerce",
        "continuity",
        "durable",
        "gate",
        "guard",
        "provisioning",
        "resources",
        "web",
        "portal",
    ] {
        codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room).join("src"), &mut found);
    }
    assert!(found.len() > 200, "the sources were read: {}", found.len());
    found.retain(|(code, _)| find(code).is_none() && !ELSEWHERE.iter().any(|prefix| code.starts_with(prefix)));
    assert!(found.is_empty(), "nobody says these in Chinese: {found:#?}");
}

#[test]
fn every_end_of_a_backup_is_said_in_chinese() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vault/src/fault.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let table = source.split("faults! {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let codes: Vec<&str> = table.lines().filter_map(|line| line.split(" = \"").nth(1)?.split('"').next()).collect();
    assert!(codes.len() > 20, "the table was read: {codes:?}");
    let unsaid: Vec<_> = codes.into_iter().filter(|code| find(code).is_none()).collect();
    assert!(unsaid.is_empty(), "nobody says these in Chinese: {unsaid:?}");
}

#[test]
fn a_code_is_there_once_and_in_order() {
    assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn an_error_speaks_the_readers_language_and_else_its_own() {
    let known = Error::conflict("service.stopped", "the service is stopped; start it instead");
    assert_eq!(words(Lang::Zh, &known), "服務已停止，請改用啟動。");
    assert_eq!(words(Lang::En, &known), "the service is stopped; start it instead");
    let new = Error::conflict("unheard.of", "nobody said this before");
    assert_eq!(words(Lang::Zh, &new), "nobody said this before");
}
