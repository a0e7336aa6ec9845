//! The house as a whole, put together in this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops on its first surprise")]

use base::time::Clock;
use db::Location;
use db::testing::Scratch;

#[test]
fn every_action_is_spoken_of_by_a_policy() {
    let scratch = Scratch::new();
    server::app::open_gate(&Location::Directory(scratch.path().to_owned()), Clock::System).unwrap();
}

#[test]
fn the_committed_openapi_document_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let now = format!("{:#}\n", server::routes::document());
    if std::env::var_os("YUNWEI_WRITE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "docs/reference/openapi.json is not current: run `YUNWEI_WRITE_DOCS=1 cargo test -p server`"
    );
}

#[test]
fn what_is_sensitive_and_what_the_unenrolled_may_are_actions_that_exist() {
    let catalogue = server::app::catalogue();
    let names = catalogue.names();
    let marked: Vec<&str> = catalogue.sensitive_names().collect();
    assert!(marked.len() > 10, "{marked:?}");
    for name in marked.iter().chain(access::sign_in_rules::OPEN_TO_UNENROLLED) {
        assert!(names.iter().any(|known| known == name), "{name} is no action");
    }
}
