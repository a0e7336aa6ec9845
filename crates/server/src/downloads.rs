//! Files that were fetched from recovery points, as programs take them.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use web::{Caller, Refusal, Web};

/// `GET /api/v1/readings/{id}/file`: the bytes.
pub fn routes() -> Router<Web> {
    Router::new().route("/api/v1/readings/{id}/file", axum::routing::get(file))
}

async fn file(State(web): State<Web>, Caller(cx): Caller, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (ticket, file) = continuity::readings::take(web.gate(), &cx, &id).await?;
    Ok(web::attachment(&ticket.name, ticket.bytes, file)?)
}
