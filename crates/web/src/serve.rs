//! Listening: TCP, TLS, HTTP/1.1, and an end that lets requests finish.
//!
//! A silent or slow caller costs one slot and nobody else's time: handshakes
//! run off the accepting loop, and handshake and request head have time limits.
//! No address holds more than its share of the slots; this machine and the
//! proxies, which bring everybody, may.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use base::address::Connections;
use base::{Error, Result, limits};
use futures_util::{StreamExt as _, stream};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::Network;

/// What is known of the connection that a request came over; an extension of every request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub secure: bool,
    /// The certificates that the other end showed, its own first; empty without mutual TLS.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

/// How long requests may go on after the end was asked for.
const LAST_SECONDS: u64 = 20;

/// Reads a certificate chain and its key (PEM), for a listener without client certificates.
///
/// # Errors
/// `Invalid` where they do not read or do not belong together.
pub fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let wrong = |what: &str, path: &Path, e: &dyn std::fmt::Display| {
        Error::invalid("tls.unreadable", format!("the {what} in {} does not read: {e}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| wrong("certificate", certificate, &e))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong("key", key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::bug("tls.versions", "no TLS version is usable").because(e))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| wrong("certificate", certificate, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves `router` until `shutdown` is done, then lets what runs finish for a while.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    proxies: &[Network],
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let connections = Arc::new(Connections::default());
    let unlimited =
        |peer: IpAddr| peer.to_canonical().is_loopback() || proxies.iter().any(|network| network.contains(peer));
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let (ending, ended) = watch::channel(false);
    let acceptor = tls.map(TlsAcceptor::from);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // Closed never: the semaphore lives as long as this loop.
            let slot = slots.clone().acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let held = connections.hold(peer.ip());
                if held.is_none() && !unlimited(peer.ip()) {
                    tracing::debug!(%peer, "holds too many connections");
                    continue;
                }
                let (acceptor, router, ended) = (acceptor.clone(), router.clone(), ended.clone());
                tokio::spawn(async move {
                    connection(stream, peer, acceptor, router, ended).await;
                    drop((slot, held));
                });
            }
            Err(e) => {
                // Out of file descriptors, most likely: wait until some come back.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _ = ending.send(true);
    let all = u32::try_from(limits::CONNECTIONS_MAX).unwrap_or(u32::MAX);
    if tokio::time::timeout(Duration::from_secs(LAST_SECONDS), slots.acquire_many(all)).await.is_err() {
        tracing::warn!("requests that still ran were cut off");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    ended: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    // Whoever asks and does not read the answer would hold a place for ever (tcp(7), TCP_USER_TIMEOUT: also
    // while the other side's window is closed).
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, limits::UNREAD_SECONDS_MAX * 1_000);
    let Some(acceptor) = acceptor else {
        let known = Connection { peer, secure: false, certificates: Arc::default() };
        return http(stream, known, router, ended).await;
    };
    let handshake = tokio::time::timeout(Duration::from_secs(limits::HANDSHAKE_SECONDS_MAX), acceptor.accept(stream));
    match handshake.await {
        Ok(Ok(stream)) => {
            let certificates = stream
                .get_ref()
                .1
                .peer_certificates()
                .map(|chain| chain.iter().map(|c| c.clone().into_owned()).collect());
            let known = Connection { peer, secure: true, certificates: certificates.unwrap_or_default() };
            http(stream, known, router, ended).await;
        }
        Ok(Err(e)) => tracing::debug!(%peer, error = %e, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// The body, which tells when all of it was read.
fn watched(body: Body, read: &Arc<AtomicBool>) -> Body {
    if read.load(Ordering::Relaxed) {
        return body;
    }
    let (read, mut body) = (read.clone(), body.into_data_stream());
    Body::from_stream(stream::poll_fn(move |cx| {
        let next = body.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(None)) {
            read.store(true, Ordering::Relaxed);
        }
        next
    }))
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    known: Connection,
    router: Router,
    mut ended: watch::Receiver<bool>,
) {
    let peer = known.peer;
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let mut request: Request = request.map(|body| watched(Body::new(body), &read));
        request.extensions_mut().insert(known.clone());
        let router = router.clone();
        async move {
            let mut answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
            // What was refused before its body was read leaves the rest of it on the line, and hyper
            // closes that: the caller has to know, or its next request falls into the closing.
            if !read.load(Ordering::Relaxed) {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::HEAD_SECONDS_MAX))
        .max_buf_size(64 << 10);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = &mut connection => result,
        () = async { drop(ended.wait_for(|ended| *ended).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = result {
        tracing::debug!(%peer, error = %e, "a connection broke off");
    }
}

/// Tells whoever started us, where that is systemd, that the server answers: the
/// unit counts as started then and not before (sd_notify(3)).
pub fn tell_ready() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd could not be told that the server is ready");
    }
}
