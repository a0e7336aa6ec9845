//! An identity provider is set up on pages; people are led to it and back. Signing in itself, at a real one:
//! `access::providers`.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

/// Somebody who says what a provider's discovery document says, and nothing else.
fn discovery() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let document = serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth?kept=1"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            let body = document.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    issuer
}

fn attribute<'p>(page: &'p str, before: &str) -> &'p str {
    page.split(before).nth(1).unwrap_or_else(|| panic!("no {before}: {page}")).split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_set_up_and_people_are_led_there_and_back() {
    let house = House::new();
    access::providers::install(&house.gate, "http://localhost", web::Outgoing::new(true, &[]));
    customer(&house, "Brightwater", "owner@example.com");
    let issuer = discovery();
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/members").await.expect(StatusCode::OK, "href=\"/identity-providers\"");
    owner.get("/identity-providers/new").await;
    let wrong = [("name", "Firm"), ("issuer", "http://127.0.0.1:1"), ("client_id", "yunwei")];
    owner.post("/identity-providers/new", &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-issuer-error");
    let right = [("name", "<b>Firm"), ("issuer", &*issuer), ("client_id", "yunwei"), ("domains", "example.com")];
    owner.post("/identity-providers/new", &right).await;
    assert_eq!(owner.status, StatusCode::SEE_OTHER, "{}", owner.page);
    let at = owner.location.clone();
    owner.get(&at).await.expect(StatusCode::OK, "The client secret has not been set");
    owner.expect(StatusCode::OK, "to be confirmed by the operator");
    let provider = at.rsplit('/').next().unwrap().to_owned();
    // The address to come back to is this provider's alone.
    let back = format!("/sign-in/provider/{provider}");
    owner.expect(StatusCode::OK, &format!("http://localhost{back}"));
    assert!(!owner.page.contains("<b>Firm") && !owner.page.contains("Confirm that it is theirs"));
    owner.get(&format!("{at}/secret")).await.expect(StatusCode::OK, "type=\"password\"");
    owner.post(&format!("{at}/secret"), &[("secret", "let me in")]).await;
    assert_eq!(owner.location, at, "{}", owner.page);
    owner.get(&at).await;
    assert!(!owner.page.contains("let me in") && !owner.page.contains("has not been set"));
    let settings = |role: &'static str| {
        [
            ("issuer-shown", "1"),
            ("name", "Firm"),
            ("domains", "example.com"),
            ("scopes", "email, profile"),
            ("makes_accounts", "true"),
            ("default_roles", "viewer"),
            ("groups_claim", "groups"),
            ("group_roles", role),
            ("passwords", "true"),
        ]
    };
    owner.post(&at, &settings("ops = king")).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-group_roles-error");
    owner.expect(StatusCode::UNPROCESSABLE_ENTITY, "ops = king");
    owner.post(&at, &settings("ops = member")).await;
    assert_eq!(owner.location, at, "{}", owner.page);
    owner.get(&at).await.expect(StatusCode::OK, "ops = member");
    // What somebody else has changed meanwhile is not overwritten by a form from before.
    let old = [&settings("ops = viewer")[..], &[("revision", "1")]].concat();
    owner.post(&at, &old).await;
    assert_eq!(owner.status, StatusCode::PRECONDITION_FAILED, "{}", owner.page);
    owner.get(&at).await.expect(StatusCode::OK, "ops = member");

    // Off, and not confirmed: the address leads nowhere, whoever has an account.
    let mut stranger = Browser::new(&house);
    stranger.get("/sign-in?lang=en").await.expect(StatusCode::OK, "formaction=\"/sign-in/with\"");
    for email in ["owner@example.com", "nobody@example.com", "x@elsewhere.example", "", "x"] {
        stranger.post("/sign-in/with", &[("email", email), ("password", "")]).await;
        stranger.expect(StatusCode::NOT_FOUND, "No organisation&#39;s sign-in is set up for that address");
    }
    let button = format!("/sign-in/with/{provider}");
    // What is off is not named to strangers, nor what is not there.
    for nowhere in [&*button, "/sign-in/with/idp_00000000000000000000000000", "/sign-in/with/x"] {
        stranger.get(nowhere).await.expect(StatusCode::NOT_FOUND, "No organisation&#39;s sign-in is set up");
    }
    owner.post(&format!("{at}/state"), &[("state", "active")]).await;
    stranger.get(&format!("{button}?next=%2Fservices&lang=en")).await;
    stranger.expect(StatusCode::OK, "Sign in with Firm");
    assert_eq!(attribute(&stranger.page, "name=\"provider\" value=\""), provider);
    stranger.post("/sign-in/with", &[("provider", &provider), ("next", "/services")]).await;
    stranger.expect(StatusCode::OK, "On to Firm");
    let to = attribute(&stranger.page, "http-equiv=\"refresh\" content=\"0; url=").replace("&#38;", "&");
    assert!(to.starts_with(&format!("{issuer}/auth?kept=1&response_type=code&client_id=yunwei")), "{to}");
    for part in ["code_challenge_method=S256", "scope=openid%20email%20profile", "nonce=", "state="] {
        assert!(to.contains(part), "{part}: {to}");
    }
    assert!(to.contains(&format!("redirect_uri=http%3A%2F%2Flocalhost%2Fsign-in%2Fprovider%2F{provider}&")), "{to}");

    // Back: a step of our own, and nothing of what came is run.
    stranger.get(&format!("{back}?code=%22%3E%3Cscript%3E&state=x&iss=y&evil=1")).await;
    stranger.expect(StatusCode::OK, &format!("{back}/finish?code=%22%3E%3Cscript%3E"));
    assert!(!attribute(&stranger.page, "http-equiv=\"refresh\" content=\"0; url=").contains("evil"));
    stranger.get(&format!("{back}/finish?code=x&state=x")).await;
    stranger.expect(StatusCode::UNAUTHORIZED, "took too long, is done, or began in another browser");
    stranger.get(&format!("{back}/finish?code=x&state=x")).await;
    stranger.expect(StatusCode::UNAUTHORIZED, "took too long, is done, or began in another browser");
    stranger.post("/sign-in/with", &[("provider", &provider), ("next", "https://evil.example/")]).await;
    stranger.get(&format!("{back}/finish?error=access_denied")).await;
    stranger.expect(StatusCode::UNAUTHORIZED, "did not let you in");

    // Connecting one's account, and taking it all away.
    owner.get("/account/providers").await.expect(StatusCode::OK, "not connected");
    owner.post(&format!("/account/providers/{provider}"), &[]).await.expect(StatusCode::OK, "On to Firm");
    owner.get(&format!("{back}/finish?code=x&state=x")).await.expect(StatusCode::CONFLICT, "took too long");
    owner.get(&format!("{at}/remove")).await.expect(StatusCode::OK, "Remove Firm?");
    owner.post(&format!("{at}/remove"), &[]).await;
    assert_eq!(owner.location, "/identity-providers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_confirms_a_customers_domain_inside_it() {
    let house = House::new();
    access::providers::install(&house.gate, "http://localhost", web::Outgoing::new(true, &[]));
    let tenant = customer(&house, "Brightwater", "owner@example.com");
    let issuer = discovery();
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/identity-providers/new").await;
    let right = [("name", "Firm"), ("issuer", &*issuer), ("client_id", "yunwei"), ("domains", "example.com")];
    owner.post("/identity-providers/new", &right).await;
    let at = owner.location.clone();
    owner.get(&at).await.post(&format!("{at}/confirm-domain"), &[("domain", "example.com")]).await;
    assert_eq!(owner.status, StatusCode::FORBIDDEN, "{}", owner.page);
    owner.get(&at).await.post(&format!("{at}/state"), &[("state", "active")]).await;
    let mut admin = Browser::new(&house);
    admin.sign_in("admin@example.com").await.get(&format!("/operator/customers/{tenant}")).await;
    admin.post(&format!("/operator/customers/{tenant}/enter"), &[("reason", "ticket 4711")]).await;
    admin.get(&at).await.expect(StatusCode::OK, "Confirm that it is theirs");
    admin.post(&format!("{at}/confirm-domain"), &[("domain", "example.com")]).await;
    assert_eq!(admin.location, at, "{}", admin.page);
    // From now on its addresses lead there, whoever has an account.
    let mut stranger = Browser::new(&house);
    for email in ["owner@example.com", "nobody@Example.com"] {
        stranger.get("/sign-in?lang=en").await.post("/sign-in/with", &[("email", email)]).await;
        stranger.expect(StatusCode::OK, "On to Firm");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_again_who_they_are_can_show_it_at_their_provider() {
    let house = House::new();
    access::providers::install(&house.gate, "http://localhost", web::Outgoing::new(true, &[]));
    customer(&house, "Brightwater", "owner@example.com");
    let issuer = discovery();
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/identity-providers/new").await;
    let right = [("name", "Firm"), ("issuer", &*issuer), ("client_id", "yunwei"), ("domains", "")];
    owner.post("/identity-providers/new", &right).await;
    let at = owner.location.clone();
    owner.get(&at).await.post(&format!("{at}/state"), &[("state", "active")]).await;
    let provider = at.rsplit('/').next().unwrap().to_owned();
    let connect = provider.clone();
    let connected_and_stale = move |conn: &mut db::Conn<'_>| {
        conn.execute(
            "INSERT INTO provider_accounts (provider, subject, account, made, bound_at)
             SELECT $1, 'owner', id, 0, 0 FROM accounts WHERE email = 'owner@example.com'",
            db::args![connect],
        )?;
        conn.execute("UPDATE sessions SET proven_at = 0", &[]).map(drop)
    };
    house.gate.db().write(connected_and_stale).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3_100)).await;
    owner.get("/account/providers").await.post(&format!("/account/providers/{provider}"), &[]).await;
    owner.expect(StatusCode::FORBIDDEN, "Sign in again with Firm");
    owner.expect(StatusCode::FORBIDDEN, "name=\"next\" value=\"/account\"");
    let anew = [("provider", &*provider), ("next", "/account"), ("anew", "1")];
    owner.post("/sign-in/with", &anew).await.expect(StatusCode::OK, "On to Firm");
    let to = attribute(&owner.page, "http-equiv=\"refresh\" content=\"0; url=").replace("&#38;", "&");
    assert!(to.ends_with("&prompt=login&max_age=0"), "{to}");
}
