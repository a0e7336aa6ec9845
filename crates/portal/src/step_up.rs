//! Showing anew who one is, before what touches access and keys.
//!
//! An action that wants it is refused (`session.step_up`). The answer is then a page that asks for
//! a code, and whose form carries everything that was asked for to where it was asked: with the
//! right code the request goes on as if it had just come. Nothing waits on the server, and no
//! script is needed. What was asked with a password in it is not written into a page; it is asked
//! again.

use crate::Portal;
use crate::factors::code_field;
use crate::page::{Page, show};
use crate::ui::{Field, Summary};
use crate::visit::{Answer, Signed, Visit, done};
use access::Secret;
use access::providers::sign_in;
use access::roles::actions::Nothing;
use access::sessions::confirm::{STEP_UP, StepUp};
use askama::Template;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base::{Error, Kind, Result};

/// What the field is called: no other form has one of that name.
pub(crate) const FIELD: &str = "step_up";
/// The code of the refusal that leads here.
pub(crate) const WANTED: &str = "session.step_up";
/// Fields that are not written into a page.
const SECRETS: &[&str] = &["password", "current", "again", "secret", "shares", "kit"];

/// Whether a field is not written into a page.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

/// The question.
#[derive(Template)]
#[template(path = "factors/step_up.html")]
pub(crate) struct Question<'a> {
    pub p: &'a Page,
    pub body: &'static str,
    /// What was asked for has to be asked again.
    pub again: bool,
    pub summary: Summary,
    pub action: String,
    pub hidden: Vec<(String, String)>,
    pub field: Field,
    /// The identity providers at which they can sign in anew instead: identifier and name.
    pub providers: Vec<(String, String)>,
    /// Where they go on from there.
    pub next: String,
    pub back: String,
}

/// Whether the visitor's account has a second factor to show.
fn has_factor(visit: &Visit) -> bool {
    visit.cx.as_ref().and_then(|cx| cx.proof()).is_some_and(|proof| proof.has_factor)
}

/// The field that asks: for a code, or for the password where there is no second factor.
pub(crate) fn field(visit: &Visit) -> Field {
    match has_factor(visit) {
        true => code_field(&visit.page, FIELD),
        false => Field::line(FIELD, visit.page.t.door.password, "").kind("password", "current-password"),
    }
}

/// Shows who the visitor is with what the form brought for that.
///
/// # Errors
/// `Forbidden` where it was not right, `Throttled`; those of the action.
pub(crate) async fn answer(portal: &Portal, visit: &Visit) -> Result<()> {
    let Some(cx) = &visit.cx else {
        return Err(Error::unauthenticated("session.required", "sign in to do this"));
    };
    let shown = Some(Secret::new(visit.form.raw(FIELD)));
    let input = match has_factor(visit) {
        true => StepUp { code: shown, password: None },
        false => StepUp { code: None, password: shown },
    };
    STEP_UP.call(&portal.gate, cx, input).await.map(drop)
}

/// Whether an error of [`answer`] is about what was shown: the question is then asked again.
pub(crate) fn is_wrong(error: &Error) -> bool {
    matches!(error.code(), "factor.code_wrong" | "password.wrong")
        || error.code().starts_with("passkey.")
        || error.kind() == Kind::Throttled
}

/// The providers at which the visitor can show who they are: who has a second factor shows that.
async fn providers(portal: &Portal, visit: &Visit) -> Result<Vec<(String, String)>> {
    let Some(cx) = visit.cx.clone().filter(|_| !has_factor(visit)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for one in portal.gate.call(&cx, &sign_in::CONNECTED, Nothing {}).await? {
        let name = if one.bound_at.is_some() { sign_in::name_of(&portal.gate, one.provider).await? } else { None };
        found.extend(name.map(|name| (one.provider.to_string(), name)));
    }
    Ok(found)
}

/// The page that asks, with what was wrong with the last answer.
pub(crate) async fn page(portal: &Portal, visit: &Visit, method: &Method, wrong: Option<&Error>) -> Response {
    let (p, f) = (&visit.page, &visit.page.t.factors);
    let path = p.path.clone();
    let sent = || visit.form.pairs().filter(|(name, _)| !matches!(*name, "csrf" | FIELD));
    let secret = sent().any(|(name, value)| is_secret(name) && !value.is_empty());
    let next = if method == Method::POST { "/account".to_owned() } else { path.clone() };
    // Without them the question can still be answered.
    let providers = providers(portal, visit).await.unwrap_or_default();
    let asked = |next: String| ("/account/step-up".to_owned(), vec![("next".to_owned(), next)], true);
    let (action, hidden, again) = match method == Method::POST {
        true if secret => asked("/account".to_owned()),
        true => (path, sent().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), false),
        false => asked(path),
    };
    let words = match wrong {
        None => String::new(),
        Some(error) if error.kind() == Kind::Throttled => {
            p.with(f.slow, p.span(error.wait().map_or(60, |wait| i64::try_from(wait.as_secs().max(1)).unwrap_or(60))))
        }
        Some(error) if error.code() == "password.wrong" => f.password_wrong.to_owned(),
        Some(error) if error.code().starts_with("passkey.") => f.passkey_wrong.to_owned(),
        Some(_) => f.wrong.to_owned(),
    };
    let field = field(visit).error(words).focus();
    let body = if has_factor(visit) { f.step_body_code } else { f.step_body_password };
    let summary = Summary::gather(p.t.frame.form_wrong, &[&field], "");
    let status = wrong.map_or(403, |error| error.kind().status());
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let (again, back) = (again && secret, "/".to_owned());
    show(status, &Question { p, body, again, summary, action, hidden, field, providers, next, back })
}

/// `POST /account/step-up`: the layer around all pages has taken what was shown; on from here.
pub(crate) async fn confirmed(s: Signed) -> Answer {
    let next = s.visit.form.get("next");
    let next = if crate::http::is_local(next) { next } else { "/" };
    Ok(done(&s.portal, next, "stepped-up"))
}
