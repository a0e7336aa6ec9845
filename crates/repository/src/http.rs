//! restic's REST protocol, version 2, and what each role may do of it.
//!
//! | | read | append | maintain |
//! |---|---|---|---|
//! | list, read | yes | yes | yes |
//! | make a repository, add a file | | yes | yes |
//! | change a file | | | |
//! | remove a lock | | yes | yes |
//! | remove anything else but the config | | | yes |

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use vault::place::Kind;

use crate::credentials::{self, Credential, Role, is_name};
use crate::shelf::{self, Refusal, Shelf};

/// The form of lists that has sizes.
const V2: &str = "application/vnd.x.restic.rest.v2";
/// Why room was refused: `quota` or `full`.
const REASON: HeaderName = HeaderName::from_static("x-yunwei-reason");
/// Requests of one credential that run at a time; more wait.
const AT_ONCE: usize = 32;
/// How long the other side may stand still, in seconds.
const STILL_SECONDS: u64 = 30;
/// How slow an upload may be over all, in bytes a second.
const RATE_MIN: u64 = 32 << 10;
/// Pieces of a body on their way to or from the disk.
const PIECES: usize = 8;
/// Bytes read from the disk at a time.
const PIECE: usize = 256 << 10;

/// Largest file of a kind, in bytes.
fn largest(kind: Kind) -> u64 {
    match kind {
        Kind::Config | Kind::Keys | Kind::Locks => 64 << 10,
        Kind::Snapshots => 16 << 20,
        Kind::Index => 256 << 20,
        Kind::Data => 1 << 30,
    }
}

#[derive(Debug)]
struct Server {
    data: PathBuf,
    shelf: Shelf,
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The routes over the repositories of a data directory.
///
/// # Errors
/// Where the directory cannot be used.
pub fn router(data: &Path) -> std::io::Result<Router> {
    let server = Server { data: data.to_owned(), shelf: Shelf::new(data)?, turns: Mutex::default() };
    Ok(Router::new().fallback(answer).with_state(Arc::new(server)))
}

/// What a path names within a repository.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Whole,
    List(Kind),
    File(Kind, String),
}

/// The repository and what of it a path names. Only what restic itself would write passes.
fn target(path: &str) -> Option<(String, Target)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let repository = parts.next().filter(|name| is_name(name))?;
    let (first, second, more) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    if more.is_some() {
        return None;
    }
    let kind = Kind::FOLDERS.into_iter().find(|kind| kind.name() == first);
    let is_hash =
        |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let target = match (kind, first, second) {
        (None, "", None) => Target::Whole,
        (None, "config", None) => Target::File(Kind::Config, "config".to_owned()),
        (Some(kind), _, None | Some("")) => Target::List(kind),
        (Some(kind), _, Some(name)) if is_hash(name) => Target::File(kind, name.to_owned()),
        _ => return None,
    };
    Some((repository.to_owned(), target))
}

/// Whether a role may do that.
fn may(role: Role, method: &Method, target: &Target) -> bool {
    match (method.as_str(), target) {
        ("GET" | "HEAD", _) => true,
        ("POST", Target::Whole | Target::File(..)) => role != Role::Read,
        ("DELETE", Target::File(Kind::Locks, _)) => role != Role::Read,
        ("DELETE", Target::File(Kind::Config, _)) => false,
        ("DELETE", Target::File(..)) => role == Role::Maintain,
        _ => false,
    }
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn refused(refusal: &Refusal) -> Response {
    let (status, reason) = match refusal {
        Refusal::Missing => (StatusCode::NOT_FOUND, ""),
        Refusal::Taken => (StatusCode::FORBIDDEN, "taken"),
        Refusal::Mismatch => (StatusCode::BAD_REQUEST, "mismatch"),
        Refusal::Length => (StatusCode::BAD_REQUEST, "length"),
        Refusal::Quota => (StatusCode::INSUFFICIENT_STORAGE, "quota"),
        Refusal::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
        Refusal::Broken(error) => {
            tracing::error!(%error, "the disk of the repositories fails");
            (StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    };
    let mut response = plain(status);
    if !reason.is_empty() {
        response.headers_mut().insert(REASON, HeaderValue::from_static(reason));
    }
    response
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let response = server.decide(head, &mut body).await;
    if let Some(unread) = body {
        // Who is still sending does not hear the answer.
        drop(timeout(Duration::from_secs(STILL_SECONDS), discard(unread)).await);
    }
    response
}

/// Reads on, up to a bound, and keeps nothing of it.
async fn discard(body: Body) {
    let (mut stream, mut seen) = (body.into_data_stream(), 0);
    while let Some(Ok(chunk)) = stream.next().await {
        seen += chunk.len();
        if seen > base::limits::BODY_DISCARDED_MAX {
            return;
        }
    }
}

/// Work for a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(Refusal::Broken(std::io::Error::other(e))))
}

impl Server {
    /// The answer to a request, whose body is taken where it is read.
    async fn decide(self: Arc<Self>, head: Parts, body: &mut Option<Body>) -> Response {
        let Some(credential) = self.who(&head.headers).await else {
            let mut response = plain(StatusCode::UNAUTHORIZED);
            let realm = HeaderValue::from_static("Basic realm=\"repository\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            return response;
        };
        let Some((repository, target)) = target(head.uri.path()) else { return plain(StatusCode::NOT_FOUND) };
        if credential.repository != repository || !may(credential.role, &head.method, &target) {
            tracing::warn!(credential = credential.name, method = %head.method, path = head.uri.path(), "refused");
            return plain(StatusCode::FORBIDDEN);
        }
        let Some(turn) = self.turn(&credential.name).await else { return plain(StatusCode::SERVICE_UNAVAILABLE) };
        let done = match (head.method.as_str(), target) {
            ("POST", Target::Whole) => self.make(head.uri.query(), &repository).await,
            ("POST", Target::File(kind, name)) => self.add(&head.headers, body, credential, kind, name).await,
            ("DELETE", Target::File(kind, name)) => {
                blocking(move || self.shelf.remove(&repository, kind, &name).map(|()| plain(StatusCode::OK))).await
            }
            ("HEAD", Target::File(kind, name)) => self.head(repository, kind, name).await,
            ("GET", Target::File(kind, name)) => self.read(&head.headers, &repository, kind, &name, turn).await,
            ("GET", Target::List(kind)) => self.list(&head.headers, repository, kind).await,
            _ => Ok(plain(StatusCode::METHOD_NOT_ALLOWED)),
        };
        done.unwrap_or_else(|refusal| refused(&refusal))
    }

    /// Whose request it is.
    async fn who(&self, headers: &HeaderMap) -> Option<Credential> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let given = String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok()?;
        let data = self.data.clone();
        spawn_blocking(move || {
            given.split_once(':').and_then(|(name, secret)| credentials::verify(&data, name, secret))
        })
        .await
        .ok()?
    }

    /// Waits until the credential has less than its share of requests running.
    async fn turn(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        timeout(Duration::from_secs(STILL_SECONDS), turns.acquire_owned()).await.ok()?.ok()
    }

    async fn make(self: Arc<Self>, query: Option<&str>, repository: &str) -> Result<Response, Refusal> {
        if query != Some("create=true") {
            return Ok(plain(StatusCode::BAD_REQUEST));
        }
        let folder = self.shelf.folder(repository);
        blocking(move || Ok(folder.make()?)).await?;
        Ok(plain(StatusCode::OK))
    }

    async fn list(self: Arc<Self>, headers: &HeaderMap, repository: String, kind: Kind) -> Result<Response, Refusal> {
        let names = blocking(move || Ok(self.shelf.folder(&repository).names(kind)?)).await?;
        let sized = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == V2.as_bytes());
        let text = if sized {
            let rows: Vec<_> =
                names.iter().map(|(name, size)| serde_json::json!({"name": name, "size": size})).collect();
            serde_json::to_vec(&rows)
        } else {
            serde_json::to_vec(&names.iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let mut response = Response::new(Body::from(text.map_err(|e| Refusal::Broken(e.into()))?));
        let form = if sized { V2 } else { "application/vnd.x.restic.rest.v1" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        Ok(response)
    }

    async fn head(self: Arc<Self>, repository: String, kind: Kind, name: String) -> Result<Response, Refusal> {
        let (_, size) = blocking(move || shelf::open(&self.shelf.folder(&repository).path(kind, &name))).await?;
        let mut response = plain(StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        Ok(response)
    }

    async fn read(
        self: Arc<Self>,
        headers: &HeaderMap,
        repository: &str,
        kind: Kind,
        name: &str,
        turn: OwnedSemaphorePermit,
    ) -> Result<Response, Refusal> {
        let path = self.shelf.folder(repository).path(kind, name);
        let (file, size) = blocking(move || shelf::open(&path)).await?;
        let asked = headers.get(header::RANGE).map(|range| span(range.to_str().unwrap_or_default(), size));
        let (start, end) = match asked {
            None => (0, size),
            Some(Some(span)) => span,
            Some(None) => return Ok(plain(StatusCode::RANGE_NOT_SATISFIABLE)),
        };
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(PIECE);
        file.seek(std::io::SeekFrom::Start(start)).await?;
        let (pieces, body) = channel(PIECES);
        tokio::spawn(async move {
            send(file, end - start, pieces).await;
            drop(turn);
        });
        let body = stream::unfold(body, |mut body| async { body.recv().await.map(|piece| (piece, body)) });
        let mut response = Response::new(Body::from_stream(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, (end - start).into());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if asked.is_some() {
            let range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
            if let Ok(range) = HeaderValue::from_str(&range) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }

    async fn add(
        self: Arc<Self>,
        headers: &HeaderMap,
        body: &mut Option<Body>,
        credential: Credential,
        kind: Kind,
        name: String,
    ) -> Result<Response, Refusal> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
        let Some(length) = length else { return Ok(plain(StatusCode::LENGTH_REQUIRED)) };
        if length > largest(kind) {
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let (sender, pieces) = channel(PIECES);
        let writer = spawn_blocking(move || {
            self.shelf.put(&credential.repository, kind, &name, length, credential.quota_bytes, pieces)
        });
        let arrived = pass_on(body.take().unwrap_or_default(), length, sender).await;
        let done = writer.await.unwrap_or_else(|e| Err(Refusal::Broken(std::io::Error::other(e))));
        match done {
            Err(Refusal::Length) if !arrived => Ok(plain(StatusCode::REQUEST_TIMEOUT)),
            Err(refusal) => Err(refusal),
            Ok(()) => Ok(plain(StatusCode::OK)),
        }
    }
}

/// Hands a body to the thread that writes it; whether all of it came in time.
async fn pass_on(body: Body, length: u64, pieces: Sender<Bytes>) -> bool {
    let last = Instant::now() + Duration::from_secs(STILL_SECONDS + length / RATE_MIN);
    let mut body = body.into_data_stream();
    loop {
        let patience = last.min(Instant::now() + Duration::from_secs(STILL_SECONDS));
        match timeout_at(patience, body.next()).await {
            Ok(Some(Ok(piece))) => {
                // Refused already, when nobody takes it; why is the writer's to say. The rest is read
                // all the same: who is still sending does not hear.
                let _ = pieces.send(piece).await;
            }
            Ok(None) => return true,
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}

/// Hands a file to a connection, piece by piece, as long as the other side takes them.
async fn send(mut file: tokio::fs::File, length: u64, pieces: Sender<std::io::Result<Bytes>>) {
    let mut left = length;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        let read = file.read_exact(&mut piece).await.map(|_| Bytes::from(piece));
        let failed = read.is_err();
        left -= read.as_ref().map_or(0, |piece| piece.len() as u64);
        let sent = pieces.send_timeout(read, Duration::from_secs(STILL_SECONDS)).await;
        if sent.is_err() || failed {
            return;
        }
    }
}

/// The half-open span of `bytes=A-B` or `bytes=A-` in a file of some size.
fn span(range: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if end.is_empty() { size } else { end.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn paths_are_what_restic_writes_and_nothing_else() {
        let file = Target::File(Kind::Data, HASH.to_owned());
        assert_eq!(target(&format!("/acme/data/{HASH}")), Some(("acme".to_owned(), file)));
        assert_eq!(target("/acme/"), Some(("acme".to_owned(), Target::Whole)));
        assert_eq!(target("/acme/locks/"), Some(("acme".to_owned(), Target::List(Kind::Locks))));
        for odd in [
            "",
            "/",
            "//",
            "/../x",
            "/acme/..",
            "/acme/data/../config",
            "/acme/data/x",
            "/ACME/",
            "/a%2fb/",
            "/.part-1/",
        ] {
            assert_eq!(target(odd), None, "{odd}");
        }
        assert_eq!(target(&format!("/acme/data/{}", HASH.to_uppercase())), None);
    }

    #[test]
    fn nobody_changes_and_only_maintenance_removes() {
        for kind in [Kind::Keys, Kind::Snapshots, Kind::Index, Kind::Data] {
            let file = Target::File(kind, HASH.to_owned());
            assert!(!may(Role::Read, &Method::DELETE, &file) && !may(Role::Append, &Method::DELETE, &file));
            assert!(may(Role::Maintain, &Method::DELETE, &file));
            assert!(!may(Role::Read, &Method::POST, &file) && may(Role::Append, &Method::POST, &file));
            assert!(!may(Role::Maintain, &Method::PUT, &file) && !may(Role::Maintain, &Method::PATCH, &file));
        }
        assert!(!may(Role::Maintain, &Method::DELETE, &Target::File(Kind::Config, "config".to_owned())));
        assert!(!may(Role::Maintain, &Method::DELETE, &Target::Whole));
        assert!(may(Role::Append, &Method::DELETE, &Target::File(Kind::Locks, HASH.to_owned())));
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_its_repository(path in "[/.a-z%0-9A-Z_-]{0,90}") {
            if let Some((repository, Target::File(_, name))) = target(&path) {
                prop_assert!(is_name(&repository));
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()));
            }
        }

        #[test]
        fn a_span_lies_within_its_file(start in 0_u64..200, end in proptest::option::of(0_u64..200), size in 0_u64..150) {
            let range = format!("bytes={start}-{}", end.map(|e| e.to_string()).unwrap_or_default());
            if let Some((from, to)) = span(&range, size) {
                prop_assert!(from == start && from < to && to <= size);
            }
        }
    }
}
