//! The house rules that a compiler does not know. A test runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may depend on whom; a crate that is not named may not be depended on.
const ARROWS: [(&str, &str); 21] = [
    ("base", ""),
    ("db", "base"),
    ("gate", "base db"),
    ("ledger", "base db gate"),
    ("durable", "base db gate"),
    ("drivers", "base"),
    ("vault", "base"),
    ("web", "base db gate durable"),
    ("guard", "base db gate vault web"),
    ("repository", "base vault web"),
    ("access", "base db gate durable drivers web"),
    ("commerce", "base db gate durable"),
    ("resources", "base db gate ledger durable drivers"),
    ("provisioning", "base db gate ledger durable drivers resources commerce"),
    ("billing", "base db gate ledger durable commerce provisioning resources"),
    ("continuity", "base db gate guard ledger durable drivers vault access commerce provisioning resources"),
    ("agent", "base drivers vault"),
    ("portal", "*"),
    ("server", "*"),
    ("testkit", "*"),
    ("xtask", ""),
];

const BANNED_NAMES: [&str; 8] = ["common", "utils", "util", "helpers", "helper", "misc", "manager", "models"];
/// Split, so that this file does not find itself.
const BANNED_WORDS: [&str; 6] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("dbg", "!("),
    concat!("#[ign", "ore"),
];
const LINES_MAX: usize = 800;

/// All faults found, one line each.
pub fn check(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    arrows(root, &mut faults);
    let files = rust_files(root);
    for file in &files {
        names(root, file, &mut faults);
        contents(root, file, &mut faults);
    }
    owners(root, &files, &mut faults);
    migrations(root, &mut faults);
    decisions(root, &mut faults);
    faults
}

/// Every decision begins with its number, which is its own, and is in the book's index.
fn decisions(root: &Path, faults: &mut Vec<String>) {
    let index = fs::read_to_string(root.join("docs/README.md")).unwrap_or_default();
    let mut numbers = BTreeMap::new();
    for entry in fs::read_dir(root.join("docs/decisions")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if !text.starts_with(&format!("# {number} ")) {
            faults.push(format!("docs/decisions/{name}: does not begin with `# {number} ` and a title"));
        }
        if !index.contains(&format!("- [{number}](decisions/{name}) ")) {
            faults.push(format!("docs/README.md: does not list docs/decisions/{name}"));
        }
        if let Some(other) = numbers.insert(number, name.clone()) {
            faults.push(format!("docs/decisions: {other} and {name} have one number"));
        }
    }
}

fn shown<'p>(root: &Path, file: &'p Path) -> std::path::Display<'p> {
    file.strip_prefix(root).unwrap_or(file).display()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let skipped = path.file_name().is_some_and(|name| name == "target" || name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !skipped {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&root.join("crates"), &mut files);
    walk(&root.join("xtask"), &mut files);
    files.sort();
    files
}

/// The names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside
            && let Some(name) = line.split(['.', '=', ' ']).next().filter(|n| !n.is_empty() && !n.starts_with('#'))
        {
            found.insert(name.to_owned());
        }
    }
    found
}

fn arrows(root: &Path, faults: &mut Vec<String>) {
    let ours: BTreeMap<&str, &str> = ARROWS.into();
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(allowed) = ours.get(name.as_str()) else {
            faults.push(format!("crates/{name}: not on the map in xtask/src/tidy.rs; say there what it may depend on"));
            continue;
        };
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        for dependency in dependencies(&manifest) {
            let known = ours.contains_key(dependency.as_str());
            if known && *allowed != "*" && !allowed.split(' ').any(|a| a == dependency) {
                faults.push(format!(
                    "crates/{name}: may not depend on {dependency}; a lower crate states a fact instead"
                ));
            }
        }
    }
}

fn names(root: &Path, file: &Path, faults: &mut Vec<String>) {
    let inside = file.strip_prefix(root).unwrap_or(file);
    for part in inside.components() {
        let word = part.as_os_str().to_string_lossy();
        if BANNED_NAMES.contains(&word.trim_end_matches(".rs")) {
            faults.push(format!("{}: the name {word} says nothing about what is inside", inside.display()));
        }
    }
}

fn contents(root: &Path, file: &Path, faults: &mut Vec<String>) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!("{}: {lines} lines are more than a sitting ({LINES_MAX})", shown(root, file)));
    }
    for (number, line) in text.lines().enumerate() {
        for word in BANNED_WORDS.iter().filter(|word| line.contains(**word)) {
            faults.push(format!("{}:{}: {word}", shown(root, file), number + 1));
        }
    }
    for line in examples(&text) {
        faults.push(format!(
            "{}:{line}: an example that nobody compiles; write it as a test, or say what it is",
            shown(root, file)
        ));
    }
}

/// The lines at which an example in the documentation would be taken for Rust, which no test compiles.
fn examples(text: &str) -> Vec<usize> {
    let documented = |line: &'_ str| {
        line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']).trim().to_owned())
    };
    let (mut found, mut inside) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let Some(fence) = documented(line).and_then(|said| said.strip_prefix("```").map(str::to_owned)) else {
            continue;
        };
        if !inside && (fence.is_empty() || fence.starts_with("rust")) {
            found.push(number + 1);
        }
        inside = !inside;
    }
    found
}

/// `CREATE TABLE name` of every migration.
fn tables(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root.join("migrations")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(
            text.split("CREATE TABLE ")
                .skip(1)
                .filter_map(|rest| rest.split([' ', '(', '\n']).next())
                .map(str::to_owned),
        );
    }
    found
}

/// Every table is written by one crate alone. Looking is not owning: the front
/// doors and tests may read.
fn owners(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) {
    let mut writers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tables = tables(root);
    for file in files {
        let inside = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
        let is_test = inside.contains("/tests")
            || inside.contains("testing")
            || inside.contains("/benches/")
            || inside.contains("testkit");
        let Some(room) = inside.split('/').nth(1).filter(|_| inside.starts_with("crates/") && !is_test) else {
            continue;
        };
        let text = fs::read_to_string(file).unwrap_or_default();
        for table in &tables {
            let writes = ["INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|verb| mentions(&text, verb, table));
            if writes {
                writers.entry(table.clone()).or_default().insert(room.to_owned());
            }
        }
    }
    for (table, rooms) in writers.iter().filter(|(_, rooms)| rooms.len() > 1) {
        faults.push(format!(
            "table {table} is written by {}; a table has one owner",
            rooms.iter().cloned().collect::<Vec<_>>().join(" and ")
        ));
    }
}

fn mentions(text: &str, verb: &str, table: &str) -> bool {
    text.match_indices(verb).any(|(at, _)| {
        let rest = &text[at + verb.len()..];
        rest.strip_prefix(table)
            .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    })
}

fn migrations(root: &Path, faults: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(root.join("migrations")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.split('_').next().unwrap_or_default().to_owned();
        if let Some(other) = seen.insert(number, name.clone()) {
            faults.push(format!("migrations/{name} and migrations/{other} have the same number"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let faults = check(&root.canonicalize().unwrap());
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }

    #[test]
    fn an_example_says_what_it_is() {
        let fence = "`".repeat(3);
        let text = |kind: &str| format!("//! {fence}{kind}\n//! a\n//! {fence}\nfn f() {{}}\n");
        assert_eq!(examples(&text("text")), Vec::<usize>::new());
        assert_eq!((examples(&text("")), examples(&text("rust"))), (vec![1], vec![1]));
    }

    #[test]
    fn a_table_is_found_as_a_whole_word() {
        assert!(mentions("UPDATE hosts SET", "UPDATE ", "hosts"));
        assert!(!mentions("UPDATE hosts_old SET", "UPDATE ", "hosts"));
    }
}
