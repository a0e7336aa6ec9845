//! Asking for a second person right where one is needed.
//!
//! A caller who says why ([`HEADER`]) has what needs a second person asked for with the same input, and is
//! answered 202 with the request that waits. Whoever says nothing gets the refusal.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use base::Error;
use gate::{Cx, audit};
use serde_json::{Value as Json, json};

use crate::Web;
use crate::reply::{Reply, json_text};
use crate::tmf::query;

/// Why whoever calls wants what needs a second person, percent-encoded UTF-8.
pub const HEADER: &str = "approval-reason";

/// The refusal that can be answered by asking, and the action that asks.
const REQUIRED: &str = "approval.required";
const REQUEST: &str = "approval.request";

/// The reason that a caller gave, if one.
pub(crate) fn reason(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER).and_then(|value| value.to_str().ok())
}

/// Asks for what was refused, where whoever called said why.
pub(crate) async fn ask(web: &Web, cx: &Cx, refused: Error, reason: Option<(&str, &str, Json)>) -> Reply {
    let (Some((reason, action, input)), Some(request)) = (reason, web.gate().catalogue().find(REQUEST)) else {
        return Err(refused.into());
    };
    if refused.code() != REQUIRED {
        return Err(refused.into());
    }
    let reason = query::decode(reason).map_err(|e| e.at("Approval-Reason"))?;
    let input = json!({ "action": action, "input": input, "reason": reason });
    let digest = audit::digest(&input);
    let asked =
        web.gate().perform_async(cx, request.name(), request.effect(), digest, move |tx| request.run_in(tx, &input));
    let asked = asked.await?;
    let mut response = json_text(StatusCode::ACCEPTED, asked.to_string()).into_response();
    let at = asked.get("id").and_then(Json::as_str).map(|id| format!("{}/approvals/{id}", crate::api::BASE));
    if let Some(at) = at.and_then(|at| header::HeaderValue::from_str(&at).ok()) {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Ok(response)
}
