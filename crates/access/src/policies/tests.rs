use std::collections::BTreeSet;

use super::{POLICIES, named_actions, table};
use crate::roles::ROLES;

#[test]
fn the_policies_fit_together_and_speak_of_every_action_here() {
    let names: Vec<String> = named_actions().into_iter().collect();
    let policies = gate::Policies::parse(POLICIES, &names).unwrap();
    for action in crate::actions() {
        assert!(policies.mentions(action.name()), "no policy speaks of {}", action.name());
    }
}

#[test]
fn policies_and_roles_know_each_other() {
    let compared: BTreeSet<&str> =
        POLICIES.split("roles.contains(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let known: BTreeSet<&str> = ROLES.iter().map(|role| role.name).collect();
    assert_eq!(compared, known);
}

#[test]
fn permissions_page_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/permissions.md");
    let table = table().unwrap();
    if std::env::var_os("YUNWEI_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "run YUNWEI_WRITE_DOCS=1 cargo test -p access permissions_page");
}
