//! Two-step sign-in, showing anew who one is, and sign-in rules, as pages without a script.

use super::*;

/// What follows `mark` in a page, up to the next quote.
fn after<'p>(page: &'p str, mark: &str) -> &'p str {
    page.split(mark).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{mark}: {page}"))
}

/// What an app that was given the secret shows, `later` steps from now (RFC 6238).
fn shown(secret: &str, later: i64) -> String {
    let mut bits = 0u64;
    let mut held = 0;
    let mut bytes = Vec::new();
    for letter in secret.bytes() {
        let five = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
        bits = (bits << 5) | five as u64;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    let step = base::time::Clock::System.now().as_second() / 30 + later;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Enrols an app on the pages; its secret and the recovery codes.
async fn enrol(browser: &mut Browser<'_>) -> (String, Vec<String>) {
    browser.get("/account/factors").await.expect(StatusCode::OK, "Add an authenticator app");
    browser.post("/account/factors", &[("name", "Phone")]).await.expect(StatusCode::OK, "class=\"qr\"");
    let secret = after(&browser.page, "name=\"secret\" value=\"").to_owned();
    let uri = after(&browser.page, "name=\"uri\" value=\"").replace("&#38;", "&");
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(&secret));
    let action = after(&browser.page, "action=\"/account/factors/").to_owned();
    let path = format!("/account/factors/{action}");
    let with = |code: String| [("uri", uri.clone()), ("secret", secret.clone()), ("code", code)];
    let wrong = with("000 000".to_owned());
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post(&path, &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "class=\"qr\"");
    let right = with(shown(&secret, 0));
    let right: Vec<(&str, &str)> = right.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post(&path, &right).await.expect(StatusCode::OK, "Keep your recovery codes now");
    let codes = browser.page.split("<ul class=\"codes mono\">").nth(1).unwrap().split("</ul>").next().unwrap();
    let codes: Vec<String> =
        codes.split("<li>").skip(1).map(|one| one.replace("</li>", "").trim().to_owned()).collect();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_code_and_with_a_recovery_code() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.get("/sign-in/code").await;
    assert_eq!(browser.location, "/sign-in");
    browser.sign_in("admin@example.com").await;
    let (secret, codes) = enrol(&mut browser).await;
    browser.get("/account/factors").await.expect(StatusCode::OK, "10 recovery codes are left");
    browser.post("/sign-out", &[]).await;
    browser.get("/sign-in?next=%2Fmembers&lang=en").await;
    let right = [("email", "admin@example.com"), ("password", PASSWORD), ("next", "/members")];
    browser.post("/sign-in", &right).await;
    assert_eq!(browser.location, "/sign-in/code?next=%2Fmembers");
    // Nothing is open before the second step.
    browser.get("/members").await;
    assert!(browser.location.starts_with("/sign-in?"));
    browser.get("/sign-in/code?next=%2Fmembers").await.expect(StatusCode::OK, "Enter your code");
    let wrong = [("code", "000000"), ("next", "/members")];
    browser.post("/sign-in/code", &wrong).await.expect(StatusCode::UNAUTHORIZED, "used already");
    let code = shown(&secret, 1);
    browser.post("/sign-in/code", &[("code", &code), ("next", "/members")]).await;
    assert_eq!((browser.status, browser.location.as_str()), (StatusCode::SEE_OTHER, "/members"));
    browser.get("/account/sessions").await.expect(StatusCode::OK, "Password and code");
    browser.post("/sign-out", &[]).await;
    browser.sign_in("admin@example.com").await;
    browser.get("/sign-in/code").await.post("/sign-in/code", &[("code", &codes[0])]).await;
    assert_eq!(browser.location, "/");
    browser.get("/account/sessions").await.expect(StatusCode::OK, "Password and recovery code");
    browser.get("/account/factors").await.expect(StatusCode::OK, "9 recovery codes are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_goes_on_after_a_code() {
    let house = House::new();
    // Two browsers are signed in; the second one knows nothing of the factor.
    let (mut browser, mut other) = (Browser::new(&house), Browser::new(&house));
    browser.sign_in("admin@example.com").await;
    other.sign_in("admin@example.com").await;
    let (secret, codes) = enrol(&mut browser).await;
    browser.get("/account/tokens").await.post("/account/tokens", &[("name", "own"), ("days", "7")]).await;
    browser.expect(StatusCode::OK, "Copy the token now");
    let asked = [("name", "CI <deploy>"), ("days", "7")];
    other.get("/account/tokens?lang=en").await.post("/account/tokens", &asked).await;
    other.expect(StatusCode::FORBIDDEN, "Confirm that it is you");
    other.expect(StatusCode::FORBIDDEN, "name=\"name\" value=\"CI &#60;deploy&#62;\"");
    let wrong = [("name", "CI <deploy>"), ("days", "7"), ("step_up", "000000")];
    other.post("/account/tokens", &wrong).await.expect(StatusCode::FORBIDDEN, "used already");
    let code = shown(&secret, 1);
    let right = [("name", "CI <deploy>"), ("days", "7"), ("step_up", &code)];
    other.post("/account/tokens", &right).await.expect(StatusCode::OK, "Copy the token now");
    other.expect(StatusCode::OK, "CI &#60;deploy&#62;");

    // A form with a password in it is not carried through a page.
    let mut third = Browser::new(&house);
    third.sign_in("admin@example.com").await;
    third.get("/sign-in/code").await.post("/sign-in/code", &[("code", &codes[1])]).await;
    assert_eq!(third.location, "/");
    let session = house.gate.db().read(|conn| {
        conn.query_one("SELECT id FROM sessions ORDER BY id DESC LIMIT 1", &[], |row| row.get::<String>(0))
    });
    let session = session.unwrap();
    let stale = move |conn: &mut db::Conn<'_>| {
        conn.execute("UPDATE sessions SET proven_at = 0 WHERE id = $1", db::args![session]).map(drop)
    };
    house.gate.db().write(stale).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3_100)).await;
    third.get("/account?lang=en").await.expect(StatusCode::OK, "name=\"step_up\"");
    let new = "eleven drums behind the wall";
    let change = [("current", PASSWORD), ("password", new), ("again", new)];
    third.post("/account/password", &change).await.expect(StatusCode::FORBIDDEN, "action=\"/account/step-up\"");
    assert!(!third.page.contains(new) && !third.page.contains(PASSWORD));
    third.get("/account").await;
    let change = [("current", PASSWORD), ("password", new), ("again", new), ("step_up", &codes[2])];
    third.post("/account/password", &change).await;
    assert_eq!((third.status, third.location.as_str()), (StatusCode::SEE_OTHER, "/account"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_leads_to_enrolment_and_lets_on_afterwards() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    browser.get("/sign-in-rules").await.expect(StatusCode::OK, "Roles that must use two-step sign-in");
    let rules = [("role", "administrator"), ("idle", "900"), ("session", "14400"), ("history", "3")];
    browser.post("/sign-in-rules", &rules).await;
    assert_eq!(browser.location, "/sign-in-rules");
    for path in ["/members", "/account/tokens", "/operator/hosts", "/"] {
        browser.get(path).await;
        assert_eq!((browser.status, browser.location.as_str()), (StatusCode::SEE_OTHER, "/account/factors"), "{path}");
    }
    browser.get("/account/factors").await.expect(StatusCode::OK, "asks people in your role");
    enrol(&mut browser).await;
    browser.get("/sign-in-rules").await.expect(StatusCode::OK, "value=\"900\" selected");
    // A form of the gate's, not only a way that the pages lead: programs meet it, too.
    let refused = house.gate.db().read(|conn| {
        let sql = "SELECT COUNT(*) FROM audit_entries WHERE outcome = 'refused:factor.required'";
        conn.query_one(sql, &[], |row| row.get::<i64>(0))
    });
    assert_eq!(refused.unwrap(), 0, "the pages ask for nothing that would be refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_factor_is_reset_by_an_administrator_with_a_reason() {
    let house = House::new();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await.get("/members").await;
    let person = [("name", "Bo"), ("email", "bo@example.com"), ("role", "operations")];
    browser.post("/members", &person).await;
    let link = loop {
        let letters = house.letters.0.lock().unwrap().clone();
        if let Some(letter) = letters.iter().find(|letter| letter.to == "bo@example.com") {
            break letter.text.split("token=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let mut bo = Browser::new(&house);
    bo.get(&format!("/invitation?token={link}&lang=en")).await;
    bo.post("/invitation", &[("token", &link), ("name", "Bo"), ("password", PASSWORD), ("again", PASSWORD)]).await;
    bo.sign_in("bo@example.com").await;
    enrol(&mut bo).await;
    browser.get("/members").await;
    // The only member but oneself.
    let id = after(&browser.page, "href=\"/members/").split('/').next().unwrap().to_owned();
    let path = format!("/members/{id}/factors");
    browser.get(&path).await.expect(StatusCode::OK, "Reset the second factors of Bo");
    browser.post(&path, &[("reason", "")]).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "Bo");
    browser.post(&path, &[("reason", "seen in person")]).await;
    assert_eq!(browser.location, "/members");
    bo.get("/account").await;
    assert!(bo.location.starts_with("/sign-in"), "all sessions have ended");
    bo.sign_in("bo@example.com").await;
    assert_eq!(bo.location, "/", "the password alone signs in again");
    for _ in 0..500 {
        let told = house.letters.0.lock().unwrap().iter().any(|letter| letter.text.contains("seen in person"));
        if told {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nobody was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_offered_where_the_server_has_a_name_and_rubbish_opens_nothing() {
    let house = House::new();
    let mut b = Browser::new(&house);
    b.get("/sign-in?lang=en").await;
    assert!(!b.page.contains("Sign in with a passkey"), "there is no name yet");
    access::factors::passkeys::install(&house.gate, "http://localhost");
    b.get("/sign-in?lang=en").await.expect(StatusCode::OK, "Sign in with a passkey");
    b.post("/passkey-challenge?for=sign-in", &[]).await.expect(StatusCode::OK, "\"userVerification\":\"required\"");
    for rubbish in ["", "{}", "123456", "{\"id\":\"AA\",\"response\":{}}"] {
        b.get("/sign-in?lang=en").await.post("/sign-in/passkey", &[("credential", rubbish)]).await;
        b.expect(StatusCode::UNAUTHORIZED, "That passkey does not open this");
    }
    b.sign_in("admin@example.com").await;
    b.get("/account/factors").await.expect(StatusCode::OK, "Add a passkey or security key");
    b.post("/account/passkeys/new", &[]).await.expect(StatusCode::OK, "data-creation=");
    b.post("/account/passkeys", &[("name", ""), ("credential", "{}")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-name-error");
    b.post("/account/passkeys", &[("name", "Laptop"), ("credential", "{}")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "does not read");
    b.get("/account/factors").await.expect(StatusCode::OK, "Not set up yet");
}
