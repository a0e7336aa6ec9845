//! `POST …/hub` and `DELETE …/hub/{id}` at each API.

use axum::Router;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use base::{Error, Result};
use gate::shape::{Shape, text};
use gate::{Effect, audit};
use serde_json::{Value as Json, json};

use super::{Hub, SUBSCRIBE, SubscriptionInput, UNSUBSCRIBE};
use crate::asking::Caller;
use crate::idempotency::{self, Answer, Key};
use crate::reply::{Refusal, Reply};
use crate::{Web, body, tmf};

static INPUT: Shape = Shape { name: "EventSubscriptionInput", fields: &[text("callback").required(), text("query")] };

impl Hub {
    /// The hub of every API.
    pub fn routes(&self) -> Router<Web> {
        let mut router = Router::new();
        for api in self.apis().into_keys() {
            let hub = self.clone();
            let collection = move |State(web): State<Web>, request: Request| {
                let hub = hub.clone();
                async move { hub.subscribe(api, web, request).await.unwrap_or_else(Refusal::into_response) }
            };
            let one = move |State(web): State<Web>, request: Request| async move {
                unsubscribe(api, web, request).await.unwrap_or_else(Refusal::into_response)
            };
            router = router.route(&format!("{api}/hub"), any(collection)).route(&format!("{api}/hub/{{id}}"), any(one));
        }
        router
    }

    async fn subscribe(&self, api: &'static str, web: Web, request: Request) -> Reply {
        let (mut parts, content) = request.into_parts();
        if parts.method != Method::POST {
            return not_offered(&parts.method, "POST, OPTIONS");
        }
        let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
        body::expect_json_wanted(&parts.headers)?;
        body::expect_no_condition(&parts.headers)?;
        let document = body::object(&parts.headers, content, body::JSON).await?;
        INPUT.check(&document, &mut Vec::new())?;
        let said = |name: &str| document.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let digest = audit::digest(&document);
        let route = format!("{api}/hub");
        let key = Key::read(&parts.headers, &route, digest)?;
        let draft = self.draft(api, &said("callback"), &said("query"))?;
        let done = web.gate().perform_async(&cx, SUBSCRIBE.name, Effect::Create, digest, move |tx| {
            draft.require(tx)?;
            idempotency::once(tx, key.as_ref(), |tx| {
                let made = draft.make(tx)?;
                let shown = json!({
                    "@type": "SignedEventSubscription",
                    "id": made.id, "callback": made.callback, "query": made.query, "secret": draft.secret(),
                });
                let location = Some(format!("{route}/{}", made.id));
                Ok(Answer {
                    status: 201,
                    kind: "hub".into(),
                    id: made.id,
                    revision: 0,
                    location,
                    body: shown.to_string(),
                    secret: true,
                })
            })
        });
        let mut response = done.await?.into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

async fn unsubscribe(api: &'static str, web: Web, request: Request) -> Reply {
    let (mut parts, _) = request.into_parts();
    if parts.method != Method::DELETE {
        return not_offered(&parts.method, "DELETE, OPTIONS");
    }
    let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
    body::expect_no_condition(&parts.headers)?;
    let id = tmf::query::decode(parts.uri.path().rsplit('/').next().unwrap_or(""))?;
    let digest = audit::digest(&id);
    let done = web.gate().perform_async(&cx, UNSUBSCRIBE.name, Effect::Delete, digest, move |tx| {
        here(tx, api, &id)?;
        (UNSUBSCRIBE.run)(tx, &SubscriptionInput { id: id.clone() })
    });
    done.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A subscription is found at its own API only.
fn here(tx: &mut gate::Tx<'_>, api: &str, id: &str) -> Result<()> {
    let found = super::store::find(tx, id)?.filter(|found| found.api == api);
    found.map(drop).ok_or_else(|| Error::not_found("hub.not_found", format!("there is no hub {id}")))
}

fn not_offered(method: &Method, allow: &str) -> Result<Response, Refusal> {
    if method == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, allow.to_owned())]).into_response());
    }
    let message = format!("{method} is not offered here");
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method.not_offered", message).with(header::ALLOW, allow))
}
