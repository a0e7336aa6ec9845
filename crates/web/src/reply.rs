//! Answers: documents, and errors in TM Forum's form.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Error, Kind};
use serde_json::json;

use crate::Web;

tokio::task_local! {
    /// The identifier of the request that this task answers, and the house that answers.
    pub(crate) static REQUEST: (Arc<str>, Web);
}

/// The identifier of the request that is being answered; empty outside of one.
pub(crate) fn request_id() -> Arc<str> {
    REQUEST.try_with(|(id, _)| id.clone()).unwrap_or_else(|_| "".into())
}

/// Where whoever is refused is told why, and what to do.
fn explanation() -> Option<String> {
    REQUEST.try_with(|(id, web)| format!("{}/api/v1/refusals/{id}", web.site())).ok()
}

/// An error on its way to the caller.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: StatusCode,
    error: Error,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Refusal {
    /// An error with a status of its own: for what only HTTP knows (405, 406, 413, 415).
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, error: Error::invalid(code, message), headers: Vec::new() }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// What is answered.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal { status, error, headers: Vec::new() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal { status, error, headers } = self;
        let request = request_id();
        log(&error, &request);
        let (code, message) = match error.kind() {
            Kind::Bug => ("server.fault", format!("something went wrong here; its trace is request {request}")),
            _ => (error.code(), error.message().to_owned()),
        };
        let mut body = json!({
            "@type": "Error",
            "code": code,
            "reason": status.canonical_reason().unwrap_or("Error"),
            "message": message,
            "status": status.as_str(),
        });
        if let Some(attribute) = error.attribute() {
            body["attribute"] = attribute.into();
        }
        // Not of what is not there: that is no refusal.
        if let Some(at) = explanation().filter(|_| error.kind() == Kind::Forbidden) {
            body["referenceError"] = at.into();
        }
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) =
            error.wait().or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(5)))
        {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response.headers_mut().extend(headers);
        response
    }
}

/// Each kind of error has its level; see the table of errors in the reference.
fn log(error: &Error, request: &str) {
    match error.kind() {
        Kind::Bug => tracing::error!(%request, ?error, "a fault of ours"),
        Kind::Unavailable | Kind::Uncertain => tracing::warn!(%request, ?error, "unavailable"),
        Kind::Forbidden | Kind::Throttled | Kind::Exhausted => tracing::info!(%request, ?error, "refused"),
        _ => tracing::debug!(%request, ?error, "refused"),
    }
}

/// The result of a handler.
pub type Reply = Result<Response, Refusal>;

/// A JSON document that is already text.
pub(crate) fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
