//! The agents' entrance over HTTPS: routes, and a listener of its own.
//!
//! The listener asks for a client certificate and takes none as well: the
//! handlers decide ([`Door::admit`]), since enrolment has none yet. Handshakes
//! run beside the accept loop, each with a time limit, and so do requests up to
//! the head of their answer, so that a silent or slow client holds nobody up.

use std::io::SeekFrom;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base::address::Connections;
use base::{Error, Result, limits};
use drivers::wire::{
    ConsoleTail, EnrolAnswer, EnrolRequest, FileTaken, IntentId, Intents, RenewAnswer, RenewRequest, Report,
    ReportAnswer, path,
};
use futures_util::StreamExt as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::WebPkiClientVerifier;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::ca::Resolver;
use crate::door::{Door, Guest};
use crate::tasks::Recovery;

/// What the listener knows of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: IpAddr,
    /// The client's certificate, verified, DER.
    pub certificate: Option<Vec<u8>>,
}

/// The routes. Each request carries an extension [`Peer`].
pub fn router(door: Arc<Door>) -> axum::Router {
    axum::Router::new()
        .route(path::ENROL, post(enrol))
        .route(path::INTENTS, get(intents))
        .route(path::OBSERVATIONS, post(observations).layer(DefaultBodyLimit::max(limits::REPORT_BYTES_MAX)))
        .route(path::RENEW, post(renew))
        .route(path::CONSOLE, post(console))
        .route(&format!("{}/{{sha256}}", path::IMAGES), get(image))
        .route(&format!("{}/{{id}}/access", path::TASKS), get(access))
        .route(&format!("{}/{{recovery}}/access", path::RECOVERIES), get(recover))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn(in_time))
        // A file takes its time, and is bound by its own limits.
        .route(&format!("{}/{{id}}/file", path::TASKS), put(file))
        .with_state(door)
}

/// A poll may wait; whoever sends a body drop by drop may not. An image that
/// follows the head of its answer may take its time.
async fn in_time(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let most = Duration::from_secs(limits::POLL_SECONDS_MAX + limits::REQUEST_SECONDS_MAX);
    let slow = || Refusal(Error::unavailable("request.too_slow", "the request took too long")).into_response();
    tokio::time::timeout(most, next.run(request)).await.unwrap_or_else(|_| slow())
}

/// An error as agents read it.
struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal(error)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Refusal(Error::invalid("body.malformed", rejection.body_text()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = self.0;
        let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = if status.is_server_error() {
            tracing::warn!(error = ?error, "an agent's request failed");
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                "something went wrong on the server"
            } else {
                error.message()
            }
        } else {
            error.message()
        };
        let body =
            Json(serde_json::json!({ "code": error.code(), "message": message, "attribute": error.attribute() }));
        let mut response = (status, body).into_response();
        if let Some(wait) = error.wait()
            && let Ok(value) = wait.as_secs().max(1).to_string().parse()
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

type Answer<T> = Result<T, Refusal>;

async fn admit(door: &Door, peer: &Peer) -> Result<Guest> {
    let none = || Error::unauthenticated("agent.certificate", "a client certificate is needed; enrol this host first");
    let mut guest = door.admit(peer.certificate.as_deref().ok_or_else(none)?).await?;
    guest.cx = guest.cx.for_request("", Some(peer.address));
    Ok(guest)
}

async fn enrol(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<EnrolRequest>, JsonRejection>,
) -> Answer<Json<EnrolAnswer>> {
    let address = peer.address;
    Ok(Json(door.enrol(body?.0, |cx| cx.for_request("", Some(address))).await?))
}

#[derive(Debug, Deserialize)]
struct PollQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait: u64,
}

async fn intents(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    query: Result<Query<PollQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Json<Intents>> {
    let guest = admit(&door, &peer).await?;
    let Query(query) = query.map_err(|e| Error::invalid("query.malformed", e.body_text()))?;
    Ok(Json(door.intents(&guest, query.after, Duration::from_secs(query.wait)).await?))
}

async fn observations(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<Report>, JsonRejection>,
) -> Answer<Json<ReportAnswer>> {
    let guest = admit(&door, &peer).await?;
    Ok(Json(door.observe(&guest, body?.0).await?))
}

async fn renew(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<RenewRequest>, JsonRejection>,
) -> Answer<Json<RenewAnswer>> {
    let guest = admit(&door, &peer).await?;
    Ok(Json(door.renew(&guest, body?.0).await?))
}

async fn console(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<ConsoleTail>, JsonRejection>,
) -> Answer<StatusCode> {
    let guest = admit(&door, &peer).await?;
    door.console(&guest, body?.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn access(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
) -> Answer<Response> {
    let guest = admit(&door, &peer).await?;
    let id = id.parse().map_err(|e: String| Error::invalid("task.id", e))?;
    Ok(secret(door.access(&guest, id).await?))
}

/// Takes the file that a task fetched.
async fn file(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<FileTaken>> {
    let most = Duration::from_secs(limits::UPLOAD_SECONDS_MAX);
    let slow = || Error::unavailable("request.too_slow", "the file took too long");
    Ok(tokio::time::timeout(most, take(&door, &peer, id, &headers, body)).await.map_err(|_| slow())??)
}

async fn take(door: &Door, peer: &Peer, id: String, headers: &HeaderMap, body: Body) -> Result<Json<FileTaken>> {
    let guest = admit(door, peer).await?;
    let id = id.parse().map_err(|e: String| Error::invalid("task.id", e))?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
    let length = length.ok_or_else(|| Error::invalid("download.length", "say with Content-Length how much comes"))?;
    let mut coming = door.hand_over(&guest, id, length).await?;
    let mut chunks = body.into_data_stream();
    loop {
        let silence = Duration::from_secs(limits::UPLOAD_SILENCE_SECONDS);
        let silent = |_| Error::unavailable("request.too_slow", "nothing came for a while");
        let cut = |e: axum::Error| Error::unavailable("request.broken_off", format!("the file broke off: {e}"));
        let next = tokio::time::timeout(silence, chunks.next()).await.map_err(silent)?;
        let Some(chunk) = next.transpose().map_err(cut)? else { break };
        coming = aside(move || coming.write(&chunk).map(|()| coming)).await?;
    }
    Ok(Json(aside(move || coming.finish()).await?))
}

/// Work on disk, beside the tasks that answer others.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Error::bug("task.panic", "keeping a file stopped on a broken invariant").because(e)))
}

#[derive(Debug, Deserialize)]
struct RecoveryQuery {
    machine: IntentId,
    disk: String,
}

async fn recover(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path(recovery): Path<String>,
    query: Result<Query<RecoveryQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Response> {
    let guest = admit(&door, &peer).await?;
    let Query(RecoveryQuery { machine, disk }) = query.map_err(|e| Error::invalid("query.malformed", e.body_text()))?;
    let recovery = recovery.parse().map_err(|e: String| Error::invalid("recovery.id", e))?;
    Ok(secret(door.recover(&guest, Recovery { machine, recovery, disk }).await?))
}

/// An answer that nobody on the way may keep.
fn secret(body: serde_json::Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn image(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Answer<Response> {
    let guest = admit(&door, &peer).await?;
    let sha256 = sha256.parse().map_err(|e: String| Error::invalid("image.digest", e))?;
    let (mut file, bytes) = door.image(&guest, sha256).await?;
    let start = headers.get(header::RANGE).and_then(|range| first_byte(range.to_str().ok()?)).unwrap_or(0);
    let interrupted =
        |e: std::io::Error| Error::unavailable("image.unreadable", "the image's file cannot be read").because(e);
    if start >= bytes {
        return Ok(
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{bytes}"))]).into_response()
        );
    }
    file.seek(SeekFrom::Start(start)).await.map_err(interrupted)?;
    let chunks = futures_util::stream::try_unfold((file, bytes - start), |(mut file, left)| async move {
        let mut chunk = vec![0u8; 256 << 10];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(read));
        let left = left - chunk.len() as u64;
        Ok::<_, std::io::Error>((!chunk.is_empty()).then(|| (Bytes::from(chunk), (file, left))))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    head.insert(header::CONTENT_LENGTH, (bytes - start).into());
    if start > 0 {
        let range = format!("bytes {start}-{}/{bytes}", bytes - 1);
        head.insert(
            header::CONTENT_RANGE,
            range.parse().map_err(|_| Error::bug("image.range", "a range cannot be written"))?,
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The start of `bytes=N-`; other ranges are answered with the whole.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// TLS as the entrance speaks it.
///
/// # Errors
/// `Bug` where it cannot be set up.
pub fn tls(door: &Door) -> Result<rustls::ServerConfig> {
    let unusable =
        |what: &'static str| move |e: &dyn std::fmt::Display| Error::bug("agents.tls", format!("{what}: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(door.ca().certificate().clone()).map_err(|e| unusable("the authority is not one")(&e))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| unusable("client certificates cannot be checked")(&e))?;
    let resolver = Arc::new(Resolver::new(door.ca().clone(), door.gate().clock().clone())?);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("no protocol version is left")(&e))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves the entrance until `stop` is done, then lets what is under way end, for a moment.
///
/// # Errors
/// `Bug` where TLS cannot be set up.
pub async fn serve(listener: TcpListener, door: Arc<Door>, stop: impl Future<Output = ()> + Send) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(&door)?));
    let routes = router(door.clone());
    let places = Arc::new(tokio::sync::Semaphore::new(limits::AGENT_CONNECTIONS_MAX));
    let connections = Arc::new(Connections::default());
    let mut under_way = tokio::task::JoinSet::new();
    let (closing, closed) = tokio::sync::watch::channel(false);
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = under_way.join_next(), if !under_way.is_empty() => continue,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors, most likely: a pause lets some come free.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let held = connections.hold(address.ip());
        if held.is_none() && !address.ip().to_canonical().is_loopback() {
            continue;
        }
        let (acceptor, routes, closed) = (acceptor.clone(), routes.clone(), closed.clone());
        under_way.spawn(async move {
            connection(stream, address, acceptor, routes, closed).await;
            drop((place, held));
        });
    }
    drop(listener);
    door.close();
    closing.send_replace(true);
    let all = async { while under_way.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    routes: axum::Router,
    mut closed: tokio::sync::watch::Receiver<bool>,
) {
    let patience = Duration::from_secs(limits::HANDSHAKE_SECONDS);
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return tracing::debug!(%address, error = %e, "an agent's handshake failed"),
        Err(_) => return tracing::debug!(%address, "an agent's handshake took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    let service = TowerToHyperService::new(routes.layer(Extension(Peer { address: address.ip(), certificate })));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    let serving = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            result = serving.as_mut() => {
                if let Err(e) = result {
                    tracing::debug!(%address, error = %e, "an agent's connection ended");
                }
                return;
            }
            Ok(()) = closed.changed() => serving.as_mut().graceful_shutdown(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_plain_open_range_is_a_range() {
        let read = super::first_byte;
        assert_eq!((read("bytes=0-"), read("bytes=17-")), (Some(0), Some(17)));
        for other in ["bytes=-5", "bytes=1-2", "bytes=a-", "items=1-", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
