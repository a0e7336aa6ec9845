//! On the way to an identity provider, and back.
//!
//! Two things make both ways a page rather than a redirect. A form may lead nowhere but here (the content
//! security policy), so a page of ours leads on. And the cookie of a session does not come along from another
//! site, so whoever comes back takes one more step from a page of ours. Neither needs a script.

use crate::Portal;
use crate::door::{add_cookie, let_in, sign_in_failed};
use crate::http::encode;
use crate::identity_providers;
use crate::page::{Page, show};
use crate::visit::{Answer, Anybody, Signed, Visit, done};
use access::Secret;
use access::providers::ProviderId;
use access::providers::sign_in::{self, AtProvider, BEGIN, BeginAtProvider, COMPLETE, CameBack, OPEN};
use access::sessions::actions::Opened;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use base::{Error, Kind, limits};

/// A page that leads on by itself, with a link for whom it does not lead.
#[derive(Template)]
#[template(path = "door/going.html")]
pub(crate) struct Going<'a> {
    pub p: &'a Page,
    pub title: String,
    pub body: &'static str,
    pub to: String,
    pub label: &'static str,
}

/// A provider's button, on a page of its own.
#[derive(Template)]
#[template(path = "door/with.html")]
pub(crate) struct With<'a> {
    pub p: &'a Page,
    pub title: String,
    pub id: String,
    pub next: String,
}

/// Leads to a provider; the browser keeps what belongs to this way, and where it wanted to go.
pub(crate) fn going(portal: &Portal, visit: &Visit, way: &AtProvider, next: &str) -> Response {
    let (p, t) = (&visit.page, &visit.page.t.identity_providers);
    let title = p.with(t.going, &way.name);
    let mut response =
        show(StatusCode::OK, &Going { p, title, body: t.going_body, to: way.url.clone(), label: t.going_link });
    let kept = format!("{}.{}", way.ticket, encode(next));
    add_cookie(&mut response, &portal.cookie(portal.provider_cookie(), &kept, Some(limits::SIGN_IN_SECONDS)));
    response
}

/// `GET /sign-in/with/{id}`: the address that an organisation gives its people.
pub(crate) async fn with(portal: Portal, Anybody(visit): Anybody, Path(id): Path<String>) -> Answer {
    let (p, t) = (&visit.page, &visit.page.t.identity_providers);
    let name = match id.parse() {
        Ok(provider) => sign_in::name_of(&portal.gate, provider).await?,
        Err(_) => None,
    };
    Ok(match name {
        // Whose sign-in this is, people read before they go there.
        Some(name) => {
            let (title, next) = (p.with(t.with_one, &name), crate::door::next(&visit));
            show(StatusCode::OK, &With { p, title, id, next })
        }
        None => sign_in_failed(&visit, t.none, StatusCode::NOT_FOUND),
    })
}

/// `POST /sign-in/with`: by the provider, or by the domain of the address that was typed.
pub(crate) async fn begin(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let form = &visit.form;
    let provider = form.get("provider").parse().ok();
    let email = Some(form.get("email").to_owned()).filter(|_| provider.is_none());
    let input = BeginAtProvider { provider, email, anew: form.has("anew") };
    match BEGIN.call(&portal.gate, &portal.stranger(&visit)?, input).await {
        Ok(way) => Ok(going(&portal, &visit, &way, &crate::door::next(&visit))),
        Err(error) => failed(&visit, error),
    }
}

/// What a sign-in at a provider can fail by, on the page where one begins again.
fn failed(visit: &Visit, error: Error) -> Answer {
    let t = &visit.page.t.identity_providers;
    let (words, status) = match error.code() {
        "provider.none" => (t.none.to_owned(), StatusCode::NOT_FOUND),
        "provider.over" => (t.over.to_owned(), StatusCode::UNAUTHORIZED),
        "account.suspended" => (visit.page.t.door.account_suspended.to_owned(), StatusCode::FORBIDDEN),
        code if code.starts_with("provider.") || error.kind() == Kind::Throttled => {
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::UNAUTHORIZED);
            (visit.page.error(&error), status)
        }
        _ => return Err(error.into()),
    };
    Ok(sign_in_failed(visit, &words, status))
}

/// `GET /sign-in/provider/{id}`: whoever comes back takes one more step, which is ours.
pub(crate) async fn back(Anybody(visit): Anybody, Path(id): Path<String>) -> Response {
    let (p, t, query) = (&visit.page, &visit.page.t.identity_providers, &visit.query);
    let kept = ["code", "state", "iss", "error"].into_iter().filter(|name| query.has(name));
    let pairs: Vec<String> = kept.map(|name| format!("{name}={}", encode(query.raw(name)))).collect();
    let to = format!("/sign-in/provider/{}/finish?{}", encode(&id), pairs.join("&"));
    show(StatusCode::OK, &Going { p, title: t.coming.to_owned(), body: t.coming_body, to, label: t.coming_link })
}

/// `GET /sign-in/provider/{id}/finish`
pub(crate) async fn finish(portal: Portal, Anybody(visit): Anybody, Path(id): Path<String>) -> Answer {
    let forget = portal.cookie(portal.provider_cookie(), "", Some(0));
    let mut answer = finished(&portal, &visit, id.parse().ok()).await?;
    add_cookie(&mut answer, &forget);
    Ok(answer)
}

async fn finished(portal: &Portal, visit: &Visit, provider: Option<ProviderId>) -> Answer {
    let t = &visit.page.t.identity_providers;
    let kept = visit.at_provider.as_deref().and_then(|kept| kept.split_once('.'));
    let (Some(provider), Some((ticket, next))) = (provider, kept) else {
        return Ok(sign_in_failed(visit, t.over, StatusCode::UNAUTHORIZED));
    };
    let query = &visit.query;
    if query.has("error") {
        return Ok(sign_in_failed(visit, t.refused, StatusCode::UNAUTHORIZED));
    }
    let input = CameBack {
        provider,
        ticket: Secret::new(ticket),
        state: Secret::new(query.raw("state")),
        code: Secret::new(query.raw("code")),
        iss: query.has("iss").then(|| query.raw("iss").to_owned()),
        user_agent: visit.agent.clone(),
    };
    if ticket.starts_with("ywc_") {
        return connected(portal, visit, input).await;
    }
    let cx = match &visit.cx {
        Some(cx) => cx.clone(),
        None => portal.stranger(visit)?,
    };
    let next = crate::door::local(&crate::http::decode(next));
    match OPEN.call(&portal.gate, &cx, input).await {
        Ok(Opened::SignedIn(signed_in)) => Ok(let_in(portal, &next, &signed_in)),
        Ok(Opened::FactorNeeded(needed)) => {
            let mut response = Redirect::to(&format!("/sign-in/code?next={}", encode(&next))).into_response();
            let kept = portal.cookie(portal.sign_in_cookie(), &needed.ticket, Some(limits::SIGN_IN_SECONDS));
            add_cookie(&mut response, &kept);
            Ok(response)
        }
        Err(error) => failed(visit, error),
    }
}

/// The end of connecting one's account.
async fn connected(portal: &Portal, visit: &Visit, input: CameBack) -> Answer {
    let Some(cx) = &visit.cx else {
        return Ok(sign_in_failed(visit, visit.page.t.identity_providers.over, StatusCode::UNAUTHORIZED));
    };
    match COMPLETE.call(&portal.gate, cx, input).await {
        Ok(_) => Ok(done(portal, "/account/providers", "saved")),
        Err(error) if matches!(error.kind(), Kind::Bug) => Err(error.into()),
        Err(error) => {
            let signed = Signed { portal: portal.clone(), cx: cx.clone(), visit: std::sync::Arc::new(visit.clone()) };
            identity_providers::refused(&signed, error).await
        }
    }
}
