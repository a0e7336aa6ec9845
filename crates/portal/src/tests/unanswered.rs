//! What no handler answers: people get a page in their language, programs a document.

use super::*;
use axum::routing::get;

/// The whole of a server: pages, its outermost layers, and something broken.
fn server(house: &House, address_rate: u32) -> Router {
    let settings = web::Settings { address_rate, ..web::Settings::default() };
    let web = web::Web::new(house.gate.clone(), house.portal.authenticator.clone(), settings);
    let broken = get(async || -> &'static str { panic!("a secret of ours") });
    let all = routes(house.portal.clone()).with_state(()).route("/broken", broken);
    crate::legible(house.portal.clone(), web::layers::dress(all, &web))
}

async fn asked(
    router: &Router,
    path: &str,
    accept: &str,
    language: &str,
) -> (StatusCode, axum::http::HeaderMap, String) {
    let asking = Request::get(path).header("accept", accept).header("accept-language", language);
    let mut request = asking.header("x-request-id", "asked-7").body(Body::empty()).unwrap();
    let peer = "192.0.2.7:40000".parse().unwrap();
    request.extensions_mut().insert(web::serve::Connection { peer, secure: false, certificates: Vec::new().into() });
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    (parts.status, parts.headers, text)
}

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn expect_page(headers: &axum::http::HeaderMap, text: &str, words: &str) {
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("style-src 'self'"), "{headers:?}");
    assert_eq!(headers["x-request-id"], "asked-7");
    assert!(text.contains(words) && text.contains("asked-7") && !text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_breaks_is_told_to_readers_as_a_page() {
    let house = House::new();
    let router = server(&house, 0);
    for (language, words) in [("en", "Something went wrong on our side"), ("zh-TW", "我們這邊出錯了")] {
        let (status, headers, text) = asked(&router, "/broken", BROWSER, language).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        expect_page(&headers, &text, words);
    }
    let (status, headers, text) = asked(&router, "/broken", "*/*", "en").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(headers["content-type"], "application/json");
    assert!(text.contains("\"server.fault\"") && text.contains("asked-7"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_is_told_in_their_language_to_wait() {
    let house = House::new();
    let router = server(&house, 1);
    while asked(&router, "/sign-in", "*/*", "en").await.0 != StatusCode::TOO_MANY_REQUESTS {}
    for (language, words) in [("en", "You can try again in 1 s."), ("zh-TW", "1 秒後可以再試。")] {
        let (status, headers, text) = asked(&router, "/sign-in", BROWSER, language).await;
        assert_eq!((status, &headers["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap()));
        expect_page(&headers, &text, words);
    }
    let (status, headers, text) = asked(&router, "/sign-in", "application/json", "en").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::TOO_MANY_REQUESTS, &"application/json".parse().unwrap())
    );
    assert!(text.contains("\"rate.exceeded\""), "{text}");
}
