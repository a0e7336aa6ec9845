//! Language and theme: kept in cookies, so that they hold before sign-in too.

use crate::Portal;
use crate::http::is_local;
use crate::page::Theme;
use crate::visit::Anybody;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};

const YEAR: i64 = 365 * 86_400;

/// From now on this browser reads that language, before and after signing in.
pub(crate) fn speak(portal: &Portal, response: &mut Response, lang: crate::i18n::Lang) {
    if let Ok(value) = HeaderValue::from_str(&portal.cookie("yunwei_lang", lang.code(), Some(YEAR))) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `POST /preferences`
pub(crate) async fn save(portal: Portal, Anybody(visit): Anybody) -> Response {
    let back = visit.form.get("back");
    let mut response = Redirect::to(if is_local(back) { back } else { "/" }).into_response();
    if visit.form.has("theme") {
        let theme = Theme::parse(visit.form.get("theme"));
        if let Ok(value) = HeaderValue::from_str(&portal.cookie("yunwei_theme", theme.code(), Some(YEAR))) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}
