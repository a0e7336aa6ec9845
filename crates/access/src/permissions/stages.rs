//! Which gate says which code, and what each says in words. Pure.

use super::Stage;

/// Refusals of the gate and of those who stand before it.
const GATES: &[(&str, Stage)] = &[
    ("account.left", Stage::SignIn),
    ("account.suspended", Stage::SignIn),
    ("action.forbidden", Stage::Policy),
    ("agent.certificate", Stage::SignIn),
    ("approval.required", Stage::SecondPerson),
    ("factor.required", Stage::Proof),
    ("session.csrf", Stage::SignIn),
    ("session.over", Stage::SignIn),
    ("session.required", Stage::SignIn),
    ("session.step_up", Stage::Proof),
    ("tenant.no_role", Stage::Tenant),
    ("tenant.suspended", Stage::Tenant),
    ("token.expired", Stage::SignIn),
    ("token.network", Stage::Token),
    ("token.not_sensitive", Stage::Proof),
    ("token.out_of_scope", Stage::Token),
    ("token.revoked", Stage::SignIn),
    ("token.unknown", Stage::SignIn),
];

/// What actions refuse by rules of their own. A code that stands nowhere here is not explained to whoever met it:
/// it could be the answer for something that is hidden from them. A test holds this to the sources.
const RULES: &[&str] = &[
    "account.not_at_home",
    "agent.only",
    "agent.wrong_server",
    "announcement.person",
    "approval.by_hand",
    "approval.not_entitled",
    "approval.not_yours",
    "approval.own",
    "approval.person",
    "approval.requester_gone",
    "bill.issuer",
    "billingAccount.issuer",
    "catalog.not_the_operator",
    "dataRestore.operator",
    "dataRestore.own_files",
    "dataSet.own_files",
    "factor.code_wrong",
    "hub.address",
    "invitation.refused",
    "passkey.copied",
    "passkey.refused",
    "password.limited_token",
    "planVersion.own",
    "planVersion.person",
    "provider.domain",
    "provider.mixed_up",
    "provider.no_account",
    "provider.no_role",
    "provider.not_shown",
    "provider.only",
    "provider.over",
    "provider.removed",
    "provider.token",
    "role.above_own",
    "session.refused",
    "session.sign_in_over",
    "token.not_own",
    "token.wrong",
    "usage.foreign",
];

/// The gate that says a code; nothing where no refusal has that code. `on_object`: the request had come as far
/// as an object.
pub(super) fn of(code: &str, on_object: bool) -> Option<Stage> {
    match GATES.iter().find(|(known, _)| *known == code).map(|(_, stage)| *stage) {
        Some(Stage::Policy) if on_object => Some(Stage::Object),
        None if RULES.contains(&code) => Some(Stage::Rule),
        found => found,
    }
}

/// What was refused, in a sentence.
pub(super) fn says(stage: Stage, code: &str) -> &'static str {
    match (stage, code) {
        (_, "account.left") => "The account is closed.",
        (_, "account.suspended") => "The account is suspended.",
        (_, "session.csrf") => "The request did not come from a page of this session.",
        (_, "token.expired") => "The API token had expired.",
        (_, "token.network") => "The API token is not for requests from that address.",
        (_, "token.not_sensitive") => "The API token was not made for sensitive actions.",
        (_, "token.revoked") => "The API token had been revoked.",
        (_, "token.unknown") => "The API token is not known.",
        (_, "tenant.suspended") => "The organisation is suspended.",
        (_, "factor.required") => "The organisation asks for a second factor, and the account has none yet.",
        (Stage::SignIn, _) => "Nobody was signed in.",
        (Stage::Tenant, _) => "There is no such organisation, or the account has no role in it.",
        (Stage::Token, _) => "The API token was not made for this action.",
        (Stage::Policy, _) => "No role of the account permits the action.",
        (Stage::Proof, _) => "The action wants to know again, and lately, who it is.",
        (Stage::Object, _) => "The account's roles do not permit the action on this object.",
        (Stage::Rule, _) => "The action's own rules refuse it.",
        (Stage::SecondPerson, _) => "A second person has to agree.",
    }
}

/// What to do about it.
pub(super) fn next(stage: Stage, code: &str) -> &'static str {
    match (stage, code) {
        (_, "account.left" | "account.suspended") => "Ask an administrator of the organisation.",
        (_, "session.csrf") => "Load the page again and repeat it.",
        (_, "tenant.suspended") => "Ask the provider.",
        (_, "token.network") => "Make a token whose networks hold that address, or come from one that it is for.",
        (_, "token.not_sensitive") => "Sign in and do it there, or make a token that is for sensitive actions.",
        (_, "factor.required") => "Sign in and enrol a second factor.",
        (Stage::SignIn, _) => "Sign in, or send an API token that is in force.",
        (Stage::Tenant, _) => "Act in an organisation in which you have a role, or ask for one there.",
        (Stage::Token, _) => "Make a token whose scopes name the action.",
        (Stage::Policy | Stage::Object, _) => "Ask somebody who can grant one of the roles that permit it.",
        (Stage::Proof, _) => "Confirm the session with your second factor or password, and repeat it.",
        (Stage::Rule, _) => "Look up the code in the reference of errors.",
        (Stage::SecondPerson, _) => {
            "Ask for it with the same input: on the page, with `yunwei --ask REASON`, or with `approval.request`."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Refusals that come before anybody is known, or on the command line: none of them is an entry.
    const ELSEWHERE: &[&str] = &["database.forbidden", "database.refused", "login.absent"];

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "testing", "gallery"].contains(&name.as_str()) {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !["tests", "testing"].contains(&name.as_str()) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_refusal_of_the_house_stands_at_a_gate_or_is_a_rule() {
        let mut all = Vec::new();
        let rooms = ["access", "billing", "commerce", "continuity", "durable", "gate", "guard", "provisioning"];
        for room in rooms.iter().chain(&["resources", "web"]) {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room).join("src"), &mut all);
        }
        let calls = all.iter().flat_map(|text| {
            text.split("Error::forbidden(").skip(1).chain(text.split("Error::unauthenticated(").skip(1))
        });
        let codes = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
        let codes: Vec<&str> = codes.filter(|code| !ELSEWHERE.contains(code)).collect();
        assert!(codes.len() > 50, "the sources were read: {}", codes.len());
        let unknown: Vec<_> = codes.into_iter().filter(|code| of(code, false).is_none()).collect();
        assert!(unknown.is_empty(), "these refusals are explained to nobody: {unknown:?}");
    }

    #[test]
    fn codes_stand_once_and_in_order() {
        assert!(GATES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(RULES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(RULES.iter().all(|code| GATES.iter().all(|(gate, _)| gate != code)));
    }

    #[test]
    fn a_refusal_on_an_object_is_told_from_one_at_the_beginning() {
        assert_eq!(of("action.forbidden", false), Some(Stage::Policy));
        assert_eq!(of("action.forbidden", true), Some(Stage::Object));
        assert_eq!(of("service.not_found", true), None, "what is hidden has no gate");
    }
}
