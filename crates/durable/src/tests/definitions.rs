use base::Kind;

use super::{Shared, YAML, registry};
use crate::flows::Definition;
use crate::flows::plan::Plan;

fn complaint(from: &str, to: &str) -> String {
    assert!(YAML.contains(from), "{from}");
    let yaml = YAML.replacen(from, to, 1);
    let planned =
        Definition::from_yaml(&yaml).and_then(|definition| Plan::new(definition, &registry(&Shared::default())));
    let error = planned.map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    error.message().to_owned()
}

#[test]
fn a_definition_survives_yaml_and_json() {
    let definition = Definition::from_yaml(YAML).unwrap();
    assert_eq!(Definition::from_yaml(&definition.to_yaml().unwrap()).unwrap(), definition);
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(Definition::from_yaml(&json).unwrap(), definition);
}

#[test]
fn what_is_wrong_with_a_definition_is_said_with_step_and_path() {
    for (from, to, says) in [
        (
            "$.steps.reserve.host",
            "$.steps.reserve.hots",
            "step 3 `make`: with.host: $.steps.reserve.hots: there is no `hots`, only host, note",
        ),
        ("$.steps.reserve.host", "$.steps.reserve.note", "with.host: $.steps.reserve.note: it can be null"),
        ("$.steps.reserve.host", "$.steps.probe.host", "there is no step `probe` before it, only reserve, spare"),
        ("$.steps.reserve.host", "$.steps.spare.host", "with.host may be absent, but is needed"),
        ("$.input.cpu", "$.input.name", "with.amount: $.input.name: it can be string, but integer is needed"),
        ("$.input.cpu", "$.input.spare", "boolean"),
        ("$.input.cpu", "\"many\"", "with.amount must be integer, not string"),
        ("amount: $.input.cpu", "amuont: $.input.cpu", "there is no `amuont`, only amount"),
        (", host: $.steps.reserve.host", "", "with.host is needed and not given"),
        ("$.input.cpu", "$input.cpu", "is not a path"),
        ("step: machine.make", "step: machine.mkae", "there is no registered step `machine.mkae`"),
        ("    pointOfNoReturn: true\n", "", "must be declared the point of no return"),
        ("id: spare", "id: reserve", "another step has the same id"),
        ("input.spare\n", "inputs.spare\n", "speaks of `inputs`"),
        ("has(input.spare) && input.spare", "steps.make.x", "there is no step `make` before it"),
        ("attempts: 4", "attempts: 400", "retry.attempts"),
        ("timeout: 10m", "timeout: 10 minutes", "is not a length of time"),
        ("timeout: 10m", "timeuot: 10m", "timeuot"),
        ("minLength: 1", "pattern: x", "the keyword `pattern` is not understood"),
        ("version: 1", "version: 0", "version from 1"),
    ] {
        let said = complaint(from, to);
        assert!(said.contains(says), "{from} → {to}: {said}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_a_definition_panic(at in 0usize..1_400, junk in "[ -~\\n]{0,6}", cut in 0usize..40) {
        let mut yaml = YAML.to_owned();
        let at = (0..=at.min(yaml.len())).rev().find(|n| yaml.is_char_boundary(*n)).unwrap();
        let end = (at..=(at + cut).min(yaml.len())).rev().find(|n| yaml.is_char_boundary(*n)).unwrap();
        yaml.replace_range(at..end, &junk);
        if let Ok(definition) = Definition::from_yaml(&yaml) {
            let _ = Plan::new(definition, &registry(&Shared::default()));
        }
    }
}

#[test]
fn a_document_cannot_swell_or_reach_for_files() {
    let bomb = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let before = n - 1;
        format!("{text}a{n}: &a{n} [*a{before}, *a{before}, *a{before}]\n")
    });
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for hostile in [bomb.as_str(), deep.as_str()] {
        assert!(serde_saphyr::from_str::<serde_json::Value>(hostile).is_err());
        assert_eq!(Definition::from_yaml(hostile).unwrap_err().kind(), Kind::Invalid);
    }
    let file = serde_saphyr::from_str::<serde_json::Value>("a: !include /etc/hostname\nb: ${HOME}\n");
    let told = file.map_or_else(|e| e.to_string(), |read| read.to_string());
    let [hostname, home] = [std::fs::read_to_string("/etc/hostname"), Ok(std::env::var("HOME").unwrap_or_default())];
    for secret in [hostname.unwrap_or_default().trim(), home.unwrap().as_str()] {
        assert!(secret.is_empty() || !told.contains(secret), "{told}");
    }
}
