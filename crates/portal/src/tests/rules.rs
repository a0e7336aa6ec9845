//! Places and policies are made and changed on their pages, as an operator would.

use super::*;

/// The address in the page that begins so.
fn address(page: &str, begins: &str) -> String {
    let rest = page.split(&format!("href=\"{begins}")).nth(1).unwrap_or_else(|| panic!("no link to {begins}: {page}"));
    format!("{begins}{}", rest.split('"').next().unwrap())
}

/// What a browser would send of the form, with some fields otherwise.
async fn send(b: &mut Browser<'_>, path: &str, but: &[(&str, &str)]) {
    let mut fields = configured(&b.page);
    fields.retain(|(name, _)| name != "csrf" && !but.iter().any(|(other, _)| other == name));
    let mut all: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.extend(but);
    b.post(path, &all).await;
}

/// Makes a place at a repository server, and keeps what lets one in there.
async fn server(b: &mut Browser<'_>, name: &str) {
    b.get("/operator/backups/places/new").await;
    let url = format!("https://{name}.example.com:8430");
    let said =
        [("name", name), ("kind", "server"), ("url", &url), ("site", "elsewhere"), ("immutability", "appendOnly")];
    send(b, "/operator/backups/places/new", &said).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    let credential = b.location.clone();
    assert!(credential.ends_with("/credential"), "a server lets nobody in yet: {credential}");
    b.get(&credential).await.expect(StatusCode::OK, "type=\"password\"");
    send(b, &credential, &[("name", "host"), ("secret", "")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-secret-error");
    send(b, &credential, &[("name", "host"), ("secret", "let me in")]).await;
    assert_eq!(b.location, "/operator/backups", "{}", b.page);
    assert!(!b.page.contains("let me in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_a_policy_are_made_previewed_changed_and_offered() {
    let house = House::new();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/operator/backups").await.expect(StatusCode::OK, "No places yet");

    // What cannot be is said at its field, and what was typed is kept.
    b.get("/operator/backups/places/new").await;
    let wrong = [("name", "far"), ("url", "http://backup.example.com"), ("site", "elsewhere")];
    send(&mut b, "/operator/backups/places/new", &wrong).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-url-error");
    assert!(b.page.contains("value=\"http://backup.example.com\""), "{}", b.page);
    send(&mut b, "/operator/backups/places/new", &[("kind", "folder"), ("name", "near")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-host-error");
    server(&mut b, "east").await;
    server(&mut b, "west").await;
    b.get("/operator/backups").await.expect(StatusCode::OK, "https://west.example.com:8430");

    // A place is renamed; where it is stays.
    let place = address(&b.page, "/operator/backups/places/bkpl_");
    b.get(&place).await.expect(StatusCode::OK, "https://east.example.com:8430");
    send(&mut b, &place, &[("name", "Taichung <1>")]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get(&place).await.expect(StatusCode::OK, "value=\"Taichung &#60;1&#62;\"");
    send(&mut b, &place, &[("name", "old"), ("revision", "1")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "revision 2 by now");

    // Where something is whole, or nothing was ever kept, there is nothing to begin anew.
    let renew = format!("{place}/renew");
    b.get(&renew).await.expect(StatusCode::OK, "Begin anew at “Taichung");
    b.post(&renew, &[]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "nothing at Taichung");

    // A policy names two places at the least.
    b.get("/operator/backups/policies/new").await;
    let ids: Vec<String> = b
        .page
        .split("<option value=\"bkpl_")
        .skip(1)
        .take(2)
        .map(|rest| format!("bkpl_{}", rest.split('"').next().unwrap()))
        .collect();
    let one = [("name", "nightly"), ("calendar", "daily 02:00"), ("daily", "7"), ("place", ids[0].as_str())];
    send(&mut b, "/operator/backups/policies/new", &one).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "one copy is none");
    b.get("/operator/backups/policies/new").await;
    let both = [one.to_vec(), vec![("place", ids[1].as_str())]].concat();
    send(&mut b, "/operator/backups/policies/new", &both).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get("/operator/backups").await.expect(StatusCode::OK, "7 daily");
    assert!(!b.page.contains("offered</span>"), "{}", b.page);

    // It shows what other rules would let go before it is changed.
    let policy = address(&b.page, "/operator/backups/policies/bkpo_");
    b.get(&policy).await.expect(StatusCode::OK, "Revision 1");
    send(&mut b, &policy, &[("daily", "1"), ("preview", "true")]).await;
    b.expect(StatusCode::OK, "No service has this policy");
    assert!(b.page.contains("name=\"daily\" type=\"number\" inputmode=\"decimal\" value=\"1\""), "{}", b.page);
    send(&mut b, &policy, &[("calendar", "sometimes")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-calendar-error");
    b.get(&policy).await;
    send(&mut b, &policy, &[("daily", "3"), ("offered", "true")]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get("/operator/backups").await.expect(StatusCode::OK, "3 daily");
    assert!(b.page.contains("offered</span>"), "{}", b.page);
    b.get(&policy).await.expect(StatusCode::OK, "Revision 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_reaches_no_place_and_no_policy() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut b = join(&house, "owner@example.com").await;
    for path in [
        "/operator/backups",
        "/operator/backups/policies/new",
        "/operator/backups/places/bkpl_00000000000000000000000000",
    ] {
        b.get(path).await;
        assert!(matches!(b.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{path}: {}", b.status);
    }
    b.get("/plan/start?lang=en").await.expect(StatusCode::OK, "No services run here");
    assert!(!b.page.contains("offers no policy"), "nothing is unprotected: {}", b.page);
}
