//! Images that are sent through a browser.

use super::*;
use std::path::PathBuf;

const AT: &str = "/operator/images/upload";
const BYTES: &str = "a disk, as far as this test is concerned\r\n--but not the end\r\n";
const DIGEST: &str = "7f3b0ed1d8a5d3c7f3d1e1c7b9c2a6c4f0a5d6f1e2b3c4d5e6f708192a3b4c5d";

/// A form with a file as browsers send it; `cut` ends it in the file's midst.
async fn send(browser: &mut Browser<'_>, csrf: Option<&str>, fields: &[(&str, &str)], file: Option<&str>, cut: bool) {
    let own = browser.page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf = csrf.or(own).unwrap_or_default().to_owned();
    let mut body = String::new();
    for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
        body.push_str(&format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    if let Some(file) = file {
        let kind = "content-type: application/octet-stream";
        let head = "content-disposition: form-data; name=\"file\"; filename=\"disk\"";
        body.push_str(&format!("--edge\r\n{head}\r\n{kind}\r\n\r\n{file}"));
    }
    if !cut {
        body.push_str("\r\n--edge--\r\n");
    }
    let request = Request::post(AT).header("content-type", "multipart/form-data; boundary=edge");
    browser.send(request.header("sec-fetch-site", "same-origin"), body).await;
}

fn kept(house: &House) -> Vec<PathBuf> {
    std::fs::read_dir(&house.portal.images).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn digest(text: &str) -> String {
    base::hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_sent_checked_kept_and_recorded() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    browser.get("/operator/images").await.expect(StatusCode::OK, AT);
    browser.get(&format!("{AT}?lang=zh")).await.expect(StatusCode::OK, "上傳映像檔");
    browser.get(&format!("{AT}?lang=en")).await.expect(StatusCode::OK, "enctype=\"multipart/form-data\"");
    let sha256 = digest(BYTES);
    let fields = [("name", "debian-12"), ("format", "raw"), ("sha256", sha256.as_str())];
    send(&mut browser, None, &fields, Some(BYTES), false).await;
    assert_eq!((browser.status, browser.location.as_str()), (StatusCode::SEE_OTHER, "/operator/images"));
    assert_eq!(kept(&house), [house.portal.images.join(&sha256)]);
    assert_eq!(std::fs::read_to_string(house.portal.images.join(&sha256)).unwrap(), BYTES);
    browser.get("/operator/images").await.expect(StatusCode::OK, &sha256);
    assert!(browser.page.contains("debian-12") && browser.page.contains("Saved."), "{}", browser.page);
    let recorded = "SELECT outcome FROM audit_entries WHERE action = 'image.register'";
    let outcomes = house.gate.db().read(|conn| conn.query(recorded, &[], |row| row.get::<String>(0))).unwrap();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    // Once more: the name is taken, which is said at its field, and what was typed is kept.
    browser.get(AT).await;
    send(&mut browser, None, &fields, Some(BYTES), false).await;
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "there is an image called debian-12 already");
    assert!(browser.page.contains(&format!("value=\"{sha256}\"")), "{}", browser.page);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_announced_or_does_not_come_whole_is_not_kept() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    let form = |name, sha256| [("name", name), ("format", "qcow2"), ("sha256", sha256)];
    for (fields, file, cut, words) in [
        (form("a", DIGEST), Some(BYTES), false, "it was not kept"),
        (form("a", "no digest"), Some(BYTES), false, "SHA-256"),
        (form("", ""), Some(BYTES), false, "id=\"f-name-error\""),
        (form("a", ""), Some(BYTES), true, "the form does not read"),
        (form("a", ""), Some(""), false, "Choose a file."),
        (form("a", ""), None, false, "Choose a file."),
    ] {
        browser.get(AT).await;
        send(&mut browser, None, &fields, file, cut).await;
        browser.expect(StatusCode::UNPROCESSABLE_ENTITY, words);
        assert!(kept(&house).is_empty(), "{words}: {:?}", kept(&house));
    }
    // A browser that sends no file at all.
    browser.get(AT).await.post(AT, &[("name", "a"), ("format", "raw")]).await;
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "Choose a file.");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_an_image_who_may_not_register_one() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let fields = [("name", "a"), ("format", "raw"), ("sha256", "")];
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/account").await;
    send(&mut owner, None, &fields, Some(BYTES), false).await;
    assert_eq!(owner.status, StatusCode::FORBIDDEN, "{}", owner.page);
    let mut stranger = Browser::new(&house);
    stranger.get("/sign-in").await;
    send(&mut stranger, None, &fields, Some(BYTES), false).await;
    assert!(stranger.location.starts_with("/sign-in?next="), "{} {}", stranger.status, stranger.location);
    let mut admin = Browser::new(&house);
    admin.sign_in("admin@example.com").await.get(AT).await;
    send(&mut admin, Some("guess"), &fields, Some(BYTES), false).await;
    admin.expect(StatusCode::FORBIDDEN, "has expired");
    assert!(kept(&house).is_empty());
}
