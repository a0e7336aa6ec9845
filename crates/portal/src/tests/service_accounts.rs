//! An owner makes a program's account and its keys on pages; others do not see it.

use super::*;

fn after<'p>(page: &'p str, mark: &str) -> &'p str {
    page.split(mark).nth(1).unwrap_or_else(|| panic!("no {mark}: {page}")).split(['"', '<']).next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_an_account_and_a_key_that_is_shown_once_rotated_and_revoked() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/members").await.expect(StatusCode::OK, "href=\"/service-accounts\"");
    owner.get("/service-accounts").await.expect(StatusCode::OK, "No service accounts yet");
    owner.get("/service-accounts/new").await;
    owner.post("/service-accounts/new", &[("name", "Deploy"), ("purpose", "")]).await;
    owner.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-roles-error");
    owner.post("/service-accounts/new", &[("name", "<b>Deploy"), ("roles", "member"), ("purpose", "Nightly")]).await;
    assert_eq!(owner.status, StatusCode::SEE_OTHER, "{}", owner.page);
    let at = owner.location.clone();
    owner.get(&at).await.expect(StatusCode::OK, "No keys yet");
    assert!(!owner.page.contains("<b>Deploy"), "a name is shown, never run");

    let keys = format!("{at}/keys");
    let wrong = [("name", "ci"), ("reach", "some"), ("scopes", "everything")];
    owner.post(&keys, &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-scopes-error");
    owner.expect(StatusCode::UNPROCESSABLE_ENTITY, ">everything</textarea>");
    let wrong = [("name", "ci"), ("reach", "read"), ("networks", "10.0.0.0/99")];
    owner.post(&keys, &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-networks-error");
    let right = [("name", "ci"), ("reach", "some"), ("scopes", "service:read\nservice.reboot"), ("days", "30")];
    owner.post(&keys, &right).await.expect(StatusCode::OK, "ywt_");
    let secret = after(&owner.page, "<code id=\"token\" tabindex=\"0\">").to_owned();
    owner.get(&at).await.expect(StatusCode::OK, "service.reboot, service:read");
    assert!(!owner.page.contains(&secret), "it is shown once");
    let visitor = house.portal.authenticator.recognise(&secret, None).unwrap();
    assert_eq!(visitor.cx.account().map(|id| format!("/service-accounts/{id}")).as_deref(), Some(at.as_str()));

    let rotate = after(&owner.page, "method=\"post\" action=\"").to_owned();
    assert!(rotate.ends_with("/rotate"), "{rotate}");
    owner.post(&rotate, &[]).await.expect(StatusCode::OK, "ywt_");
    let next = after(&owner.page, "<code id=\"token\" tabindex=\"0\">").to_owned();
    assert!(next != secret && house.portal.authenticator.recognise(&secret, None).is_ok(), "both work for a while");
    owner.get(&at).await.expect(StatusCode::OK, "replaced");
    let revoke = owner.page.split("href=\"").map(|rest| rest.split('"').next().unwrap());
    let all: Vec<String> = revoke.filter(|href| href.ends_with("/revoke")).map(ToOwned::to_owned).collect();
    assert_eq!(all.len(), 2);
    for path in &all {
        owner.get(path).await.expect(StatusCode::OK, "Revoke");
        owner.post(path, &[]).await;
        assert_eq!(owner.location, at);
    }
    assert!(house.portal.authenticator.recognise(&next, None).is_err());
    owner.get(&at).await.expect(StatusCode::OK, "No keys yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_changed_suspended_and_removed_and_is_nobody_elses_business() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    customer(&house, "Neighbour", "other@example.com");
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/service-accounts/new").await;
    owner.post("/service-accounts/new", &[("name", "Deploy"), ("roles", "member")]).await;
    let at = owner.location.clone();
    let mut other = join(&house, "other@example.com").await;
    for path in [at.clone(), format!("{at}/edit"), format!("{at}/remove")] {
        other.get(&path).await.expect(StatusCode::NOT_FOUND, "request-id");
    }
    other.get("/account").await;
    for verb in ["suspend", "resume", "remove", "edit", "keys"] {
        other.post(&format!("{at}/{verb}"), &[("name", "x"), ("reach", "read")]).await;
        assert!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&other.status), "{verb}: {}", other.status);
    }
    owner.get(&format!("{at}/edit")).await.expect(StatusCode::OK, "value=\"Deploy\"");
    owner.post(&format!("{at}/edit"), &[("name", "Nightly"), ("purpose", "x"), ("sensitive", "true")]).await;
    assert_eq!(owner.location, at, "{}", owner.page);
    owner.get(&at).await.expect(StatusCode::OK, "its keys may be for them");
    owner.post(&format!("{at}/suspend"), &[]).await;
    owner.get(&at).await.expect(StatusCode::OK, "Resume");
    owner.post(&format!("{at}/resume"), &[]).await;
    owner.get(&format!("{at}/remove")).await.expect(StatusCode::OK, "Remove the service account Nightly?");
    owner.post(&format!("{at}/remove"), &[]).await;
    assert_eq!(owner.location, "/service-accounts");
    owner.get("/service-accounts").await.expect(StatusCode::OK, "No service accounts yet");
}
