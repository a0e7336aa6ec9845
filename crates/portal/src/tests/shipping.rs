//! Places that the audit log is shipped to, on their pages.

use super::*;

/// What a browser would send of the form, with some fields otherwise.
async fn send(b: &mut Browser<'_>, path: &str, but: &[(&str, &str)]) {
    let mut fields = configured(&b.page);
    fields.retain(|(name, _)| name != "csrf" && !but.iter().any(|(other, _)| other == name));
    let mut all: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.extend(but);
    b.post(path, &all).await;
}

const PLACES: &str = "/operator/audit/places";

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_named_changed_shipped_to_and_removed_for_a_reason() {
    let house = House::new();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/operator/audit").await.expect(StatusCode::OK, PLACES);
    b.get(PLACES).await.expect(StatusCode::OK, "leaves this server for nowhere");

    let new = format!("{PLACES}/new");
    b.get(&new).await.expect(StatusCode::OK, "type=\"radio\"");
    send(&mut b, &new, &[("name", "far"), ("path", "relative")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-path-error");
    send(&mut b, &new, &[("name", "siem"), ("kind", "syslog"), ("address", "log.example.com:6514")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-authority-error");
    send(&mut b, &new, &[("name", "far <1>"), ("kind", "directory"), ("path", "/mnt/far/audit")]).await;
    assert_eq!((b.status, b.location.as_str()), (StatusCode::SEE_OTHER, PLACES), "{}", b.page);
    b.get(PLACES).await.expect(StatusCode::OK, "/mnt/far/audit");
    assert!(b.page.contains("far &#60;1&#62;") && b.page.contains("waiting"), "{}", b.page);

    // A webhook's secret is shown once.
    b.get(&new).await;
    send(&mut b, &new, &[("name", "auditor"), ("kind", "webhook"), ("url", "https://audit.example.com/")]).await;
    b.expect(StatusCode::OK, "whsec_");
    b.get(PLACES).await.expect(StatusCode::OK, "https://audit.example.com/");
    assert!(!b.page.contains("whsec_"));

    // A bucket wants its key next.
    b.get(&new).await;
    let bucket = [("endpoint", "https://s3.example.com"), ("bucket", "audit"), ("region", "tw-1")];
    send(&mut b, &new, &[&[("name", "cloud"), ("kind", "bucket")][..], &bucket].concat()).await;
    let credential = b.location.clone();
    assert!(credential.ends_with("/credential"), "{}", b.page);
    b.get(&credential).await.expect(StatusCode::OK, "type=\"password\"");
    send(&mut b, &credential, &[("name", "yunwei"), ("secret", "let me in")]).await;
    assert_eq!(b.location, PLACES, "{}", b.page);

    let place = credential.trim_end_matches("/credential").to_owned();
    b.get(&place).await.expect(StatusCode::OK, "value=\"900\"");
    send(&mut b, &place, &[("everySeconds", "1")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-everySeconds-error");
    send(&mut b, &place, &[("everySeconds", "30")]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get(PLACES).await;
    b.post(&format!("{place}/ship"), &[]).await;
    assert_eq!(b.location, PLACES, "{}", b.page);

    let remove = format!("{place}/remove");
    b.get(&remove).await.expect(StatusCode::OK, "Ship to cloud no more?");
    send(&mut b, &remove, &[("reason", "")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-reason-error");
    send(&mut b, &remove, &[("reason", "CHG-1")]).await;
    assert_eq!(b.location, PLACES, "{}", b.page);
    b.get(PLACES).await;
    assert!(!b.page.contains("https://s3.example.com"), "{}", b.page);
}
