//! Two-step sign-in as a program does it, with the codes of another implementation: oathtool.

use std::process::Command;

use serde_json::{Value as Json, json};
use testkit::{Answer, Api, Binaries, Installation};

use crate::house::{House, Plan};

const EMAIL: &str = "owner@first.example";

/// What oathtool shows for the secret, at that instant; `None`, said aloud, where it is not
/// installed and `YUNWEI_TEST_OATHTOOL=require` is not set.
fn shown(secret: &str, at: &str) -> Option<String> {
    let output = Command::new("oathtool").args(["--totp", "--base32", secret, "--now", at]).output();
    let Ok(output) = output else {
        let required = std::env::var("YUNWEI_TEST_OATHTOOL").is_ok_and(|word| word == "require");
        assert!(!required, "oathtool is not installed; script/setup --test installs it");
        eprintln!("SKIPPED: oathtool is not installed (script/setup --test)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A browser's session: what it sends along.
struct Session {
    api: Api,
    cookie: String,
    csrf: String,
}

impl Session {
    fn of(nobody: &Api, signed_in: &Json) -> Session {
        let word = |name: &str| signed_in[name].as_str().unwrap_or_else(|| panic!("{signed_in}")).to_owned();
        let cookie = format!("yunwei_session={}", word("secret"));
        Session { api: nobody.clone(), cookie, csrf: word("csrf") }
    }

    fn post(&self, path: &str, body: &Json) -> Answer {
        let headers = [("content-type", "application/json"), ("cookie", &self.cookie), ("x-csrf-token", &self.csrf)];
        self.api.send("POST", path, &headers, Some(body.to_string().as_bytes())).unwrap()
    }
}

#[test]
fn oathtools_codes_sign_in_and_each_of_them_once() {
    let house = House::new("factors", Plan::default());
    house.customer("First");
    let nobody = house.admin.as_token("");
    let password = json!({ "email": EMAIL, "password": Installation::PASSWORD });
    let opened = nobody.post("/api/v1/sessions", &password).unwrap();
    assert_eq!(opened["state"], "signedIn", "{opened}");
    let first = Session::of(&nobody, &opened);
    let enrolled = first.post("/api/v1/factors", &json!({ "name": "oathtool" }));
    assert_eq!(enrolled.status, 201, "{}", enrolled.text);
    let secret = enrolled.json["secret"].as_str().unwrap().to_owned();
    let Some(code) = shown(&secret, "now") else { return };
    let path = format!("/api/v1/factors/{}/activate", enrolled.json["factor"]["id"].as_str().unwrap());
    let active = first.post(&path, &json!({ "code": code }));
    assert_eq!(active.json["recovery_codes"].as_array().map(Vec::len), Some(10), "{}", active.text);

    let half = nobody.post("/api/v1/sessions", &password).unwrap();
    assert_eq!((half["state"].as_str(), half.get("secret")), (Some("factorNeeded"), None), "{half}");
    let ticket = half["ticket"].as_str().unwrap();
    // The ticket opens no other door.
    for headers in [
        [("authorization", format!("Bearer {ticket}")), ("accept", "*/*".into())],
        [("cookie", format!("yunwei_session={ticket}")), ("accept", "*/*".into())],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(nobody.send("GET", "/api/v1/whoami", &headers, None).unwrap().status, 401);
    }
    let confirm = |ticket: &str, code: &str| {
        let body = json!({ "ticket": ticket, "code": code }).to_string();
        let headers = [("content-type", "application/json")];
        nobody.send("POST", "/api/v1/sessions/confirm", &headers, Some(body.as_bytes())).unwrap()
    };
    assert_eq!(confirm(ticket, &code).status, 401, "the code of the confirmation was taken");
    let next = shown(&secret, "now + 30 seconds").unwrap();
    let signed = confirm(ticket, &next);
    assert_eq!(signed.status, 201, "{}", signed.text);
    let again = nobody.post("/api/v1/sessions", &password).unwrap();
    assert_eq!(confirm(again["ticket"].as_str().unwrap(), &next).json["code"], "factor.code_wrong");

    // Sensitive or not: the session has shown its factor; a plain token may not, whatever the account has.
    let second = Session::of(&nobody, &signed.json);
    let plain = second.post("/api/v1/tokens", &json!({ "name": "ci" }));
    assert_eq!(plain.status, 201, "{}", plain.text);
    let plain = nobody.as_token(plain.json["secret"].as_str().unwrap());
    let headers = [("content-type", "application/json")];
    let refused = plain.send("POST", "/api/v1/tokens", &headers, Some(b"{\"name\":\"more\"}")).unwrap();
    assert_eq!((refused.status, refused.json["code"].as_str()), (403, Some("token.not_sensitive")));
    assert!(plain.get("/api/v1/whoami").is_ok());
    assert!(plain.post("/api/v1/sessions/step-up", &json!({ "code": "123456" })).is_err());

    // The record says how each had shown who they were.
    let said = |action: &str| {
        let path = format!("/api/v1/audit/entries?action={action}&limit=50");
        let found = house.admin.get(&path).unwrap();
        let items = found["items"].as_array().unwrap().clone();
        items.iter().map(|entry| entry["strength"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    crate::house::until("the entries in the tree", || said("token.create").contains(&"token".to_owned()).then_some(()));
    let said = said("token.create");
    assert!(said.contains(&"password+code".to_owned()) && said.contains(&"password".to_owned()), "{said:?}");
}

/// A tokens' program and a person's second factor: the command line asks for what the account shows.
#[test]
fn the_command_line_decides_with_a_code_where_the_account_has_a_factor() {
    let house = House::new("by-hand", Plan::default());
    let (_, owner) = house.customer("First");
    let token = house.person(&owner, "second@first.example", "owner");
    let clerk = house.person(&owner, "clerk@first.example", "member").get("/api/v1/whoami").unwrap();
    house.gate.db().write(|conn| conn.execute("UPDATE role_grants SET granted_at = 0", &[]).map(drop)).unwrap();

    let nobody = house.admin.as_token("");
    let password = json!({ "email": "second@first.example", "password": Installation::PASSWORD });
    let session = Session::of(&nobody, &nobody.post("/api/v1/sessions", &password).unwrap());
    let enrolled = session.post("/api/v1/factors", &json!({ "name": "oathtool" })).json;
    let Some(code) = shown(enrolled["secret"].as_str().unwrap(), "now") else { return };
    let path = format!("/api/v1/factors/{}/activate", enrolled["factor"]["id"].as_str().unwrap());
    let spare = session.post(&path, &json!({ "code": code })).json["recovery_codes"].clone();

    let headers = [("content-type", "application/json"), ("approval-reason", "why")];
    let send = |method: &str, path: &str, body: &Json| {
        owner.send(method, path, &headers, Some(body.to_string().as_bytes())).unwrap()
    };
    let ruled = send("PUT", "/api/v1/approvals/rule", &json!({ "actions": ["role.grant"] }));
    assert_eq!(ruled.status, 200, "{}", ruled.text);
    let path = format!("/api/v1/accounts/{}/grant", clerk["account"]["id"].as_str().unwrap());
    let asked = send("POST", &path, &json!({ "role": "viewer" }));
    assert_eq!(asked.status, 202, "{}", asked.text);

    let file = std::env::temp_dir().join(format!("yw-code-by-hand-{}", std::process::id()));
    std::fs::write(&file, Installation::PASSWORD).unwrap();
    let approve = |code: &[&str]| {
        let mut command = Binaries::find().unwrap().yunwei();
        command.env("YUNWEI_URL", &token.url).env("YUNWEI_TOKEN", &token.token).stdin(std::process::Stdio::null());
        command.args(["--json", "approval", "approve", asked.json["id"].as_str().unwrap()]);
        command.args(["--email", "second@first.example", "--password-file"]).arg(&file).args(code);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (done, said) = approve(&[]);
    assert!(!done && said.contains("give --code"), "{said}");
    let (done, said) = approve(&["--code", "0000-0000-0000-0000"]);
    assert!(!done && said.contains("factor.code_wrong"), "{said}");
    let (done, said) = approve(&["--code", spare[0].as_str().unwrap()]);
    assert!(done && said.contains("\"done\""), "{said}");
    std::fs::remove_file(&file).unwrap();
}
