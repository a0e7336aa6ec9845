//! Asking for a second person right where one is needed.
//!
//! A caller who says why ([`HEADER`]) has what needs a second person asked for with the same input, and is
//! answered 202 with the request that waits. Whoever says nothing gets the refusal.
//!
//! Invariant: a request that is repeated under its `Idempotency-Key` asks once, also when what was asked for
//! was done in between (`tests::second::a_second_person_is_asked_once_for_a_request_that_is_repeated`).

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use base::Error;
use gate::{Cx, audit};
use serde_json::{Value as Json, json};

use crate::Web;
use crate::idempotency::{self, Answer, Key};
use crate::reply::Reply;
use crate::tmf::query;

/// Why whoever calls wants what needs a second person, percent-encoded UTF-8.
pub const HEADER: &str = "approval-reason";

/// The refusal that can be answered by asking, and the action that asks.
const REQUIRED: &str = "approval.required";
pub(crate) const REQUEST: &str = "approval.request";

/// What is asked for where it is refused: of a caller who said why.
#[derive(Debug)]
pub(crate) struct Wish {
    reason: String,
    action: String,
    input: Json,
    key: Option<Key>,
}

impl Wish {
    /// For `action` with that input, sent under that key.
    pub fn read(headers: &HeaderMap, action: &str, input: &Json, key: Option<&Key>) -> Option<Wish> {
        let reason = headers.get(HEADER)?.to_str().ok()?.to_owned();
        Some(Wish { reason, action: action.to_owned(), input: input.clone(), key: key.cloned() })
    }
}

/// Asks for what was refused, where whoever called said why.
pub(crate) async fn ask(web: &Web, cx: &Cx, refused: Error, wish: Option<Wish>) -> Reply {
    let (Some(wish), Some(request)) = (wish, web.gate().catalogue().find(REQUEST)) else {
        return Err(refused.into());
    };
    if refused.code() != REQUIRED {
        return Err(refused.into());
    }
    let reason = query::decode(&wish.reason).map_err(|e| e.at("Approval-Reason"))?;
    let input = json!({ "action": wish.action, "input": wish.input, "reason": reason });
    let digest = audit::digest(&input);
    let asked = web.gate().perform_async(cx, request.name(), request.effect(), digest, move |tx| {
        idempotency::once(tx, wish.key.as_ref(), |tx| Ok(waiting(&request.run_in(tx, &input)?)))
    });
    Ok(asked.await?.into_response())
}

/// The answer: the request that waits, and where it is looked at.
fn waiting(asked: &Json) -> Answer {
    let id = asked.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    Answer {
        status: StatusCode::ACCEPTED.as_u16(),
        kind: "approval".to_owned(),
        location: Some(format!("{}/approvals/{id}", crate::api::BASE)),
        id,
        revision: 0,
        body: asked.to_string(),
        secret: false,
    }
}
