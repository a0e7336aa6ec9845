//! A repository in S3-compatible object storage, in restic's layout.
//!
//! `object_store` knows S3: signatures, lists, errors. Its HTTP is ours ([`Plain`]), so that the
//! same TLS and time limits hold as for our own servers, and no second HTTP client is built.

use std::ops::Range;

use base::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};
use ureq::Agent;

use super::lock::Probe;
use super::{Kind, Store, http};
use crate::fault;
use crate::request::Bucket as Named;

#[derive(Debug)]
pub(crate) struct Bucket {
    store: AmazonS3,
    prefix: String,
    location: String,
    runtime: Runtime,
    /// For what `object_store` has no word for.
    http: Plain,
    credential: AwsCredential,
    region: String,
    url: String,
}

impl Bucket {
    pub(crate) fn new(named: &Named) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| {
            fault::error(fault::REQUEST_INVALID, format!("the bucket cannot be used as described: {e}"))
        };
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let http = Plain(http::agent(named.authority.as_deref())?);
        let store = AmazonS3Builder::new()
            .with_endpoint(&named.endpoint)
            .with_allow_http(named.endpoint.starts_with("http://"))
            .with_bucket_name(&named.bucket)
            .with_region(&named.region)
            .with_access_key_id(&named.access_key)
            .with_secret_access_key(named.secret_key.reveal())
            .with_virtual_hosted_style_request(named.virtual_hosted)
            .with_http_connector(http.clone())
            // Tried again by the bridge, for all places alike.
            .with_retry(retry)
            .build()
            .map_err(|e| wrong(&e))?;
        let runtime = Builder::new_current_thread().enable_time().build().map_err(|e| wrong(&e))?;
        let prefix = named.prefix.trim_matches('/').to_owned();
        let location = format!("{}/{}/{prefix}", named.endpoint, named.bucket);
        let endpoint = named.endpoint.trim_end_matches('/');
        let url = if named.virtual_hosted { endpoint.to_owned() } else { format!("{endpoint}/{}", named.bucket) };
        let (key_id, secret_key) = (named.access_key.clone(), named.secret_key.reveal().to_owned());
        let credential = AwsCredential { key_id, secret_key, token: None };
        Ok(Bucket { store, prefix, location, runtime, http, credential, region: named.region.clone(), url })
    }

    fn path(&self, kind: Kind, name: &str) -> Path {
        let prefix = &self.prefix;
        Path::from(match kind {
            Kind::Config => format!("{prefix}/config"),
            Kind::Data => format!("{prefix}/data/{}/{name}", name.get(..2).unwrap_or("00")),
            _ => format!("{prefix}/{}/{name}", kind.name()),
        })
    }
}

impl Bucket {
    /// A listing finds nothing where nothing is: what is not found is the bucket itself.
    fn unlisted(&self, error: &object_store::Error, what: &str) -> Error {
        let is_gone = matches!(error, object_store::Error::NotFound { .. }) || error.to_string().contains("code: 404");
        if is_gone {
            let message =
                format!("{what}: there is no bucket at {}; make it, or put the place's address right", self.url);
            return fault::error(fault::REPOSITORY_MISSING, message);
        }
        meaning(error, what)
    }
}

/// Objects by name, beside what repositories are made of.
impl Bucket {
    fn object(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    pub(crate) fn put_object(&self, name: &str, body: Bytes) -> Result<()> {
        let done = self.runtime.block_on(self.store.put(&self.object(name), body.into()));
        done.map(drop).map_err(|e| meaning(&e, &format!("writing {name}")))
    }

    pub(crate) fn get_object(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.object(name);
        match self.runtime.block_on(async { self.store.get(&path).await?.bytes().await }) {
            Ok(body) => Ok(Some(body)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(meaning(&error, &format!("reading {name}"))),
        }
    }

    pub(crate) fn list_objects(&self) -> Result<Vec<String>> {
        let folder = Some(Path::from(self.prefix.as_str())).filter(|path| !path.as_ref().is_empty());
        let found = self.runtime.block_on(self.store.list(folder.as_ref()).try_collect::<Vec<_>>());
        let found = found.map_err(|e| meaning(&e, "listing"))?;
        Ok(found.into_iter().filter_map(|meta| Some(meta.location.filename()?.to_owned())).collect())
    }
}

/// What a failure of object storage means.
fn meaning(error: &object_store::Error, what: &str) -> Error {
    use object_store::Error as E;
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default().to_owned();
    let slow = chain(error).any(|e| e.downcast_ref::<HttpError>().is_some_and(|e| e.kind() == HttpErrorKind::Timeout));
    let (code, advice) = match error {
        E::NotFound { .. } => {
            (fault::REPOSITORY_INCOMPLETE, "something that should be there is gone; use another copy")
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (fault::REPOSITORY_REFUSED, "the object storage refuses this key; look at its rights")
        }
        _ if slow => (fault::REPOSITORY_SLOW, "the object storage answers too slowly; look at the network"),
        _ if text.contains("416") => (fault::REPOSITORY_DAMAGED, "it is shorter than it should be; use another copy"),
        _ => {
            (fault::REPOSITORY_UNREACHABLE, "the object storage cannot be reached; look at its address and the network")
        }
    };
    fault::error(code, format!("{what}: {text}; {advice}"))
}

/// An error and what caused it.
fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

impl Store for Bucket {
    fn describe(&self) -> String {
        self.location.clone()
    }

    fn create(&self) -> Result<()> {
        // The bucket is made by whoever pays for it; whether it is there shows now.
        self.list(Kind::Keys).map(drop)
    }

    fn list(&self, kind: Kind) -> Result<Vec<(String, u64)>> {
        let what = format!("listing {}", kind.name());
        if kind == Kind::Config {
            return match self.runtime.block_on(self.store.head(&self.path(kind, ""))) {
                Ok(meta) => Ok(vec![("config".to_owned(), meta.size)]),
                Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
                Err(error) => Err(meaning(&error, &what)),
            };
        }
        let folder = Path::from(format!("{}/{}", self.prefix, kind.name()));
        let found: std::result::Result<Vec<_>, _> =
            self.runtime.block_on(self.store.list(Some(&folder)).try_collect::<Vec<_>>());
        let found = found.map_err(|e| self.unlisted(&e, &what))?;
        Ok(found.into_iter().filter_map(|meta| Some((meta.location.filename()?.to_owned(), meta.size))).collect())
    }

    fn read(&self, kind: Kind, name: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let what = format!("reading {}/{name}", kind.name());
        let wanted = range.as_ref().map(|range| range.end - range.start);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let path = self.path(kind, name);
        let data = self.runtime.block_on(async { self.store.get_opts(&path, options).await?.bytes().await });
        let data = data.map_err(|e| meaning(&e, &what))?;
        if wanted.is_some_and(|wanted| wanted != data.len() as u64) {
            let message = format!("{what}: it is shorter than it should be; use another copy");
            return Err(fault::error(fault::REPOSITORY_DAMAGED, message));
        }
        Ok(data)
    }

    fn write(&self, kind: Kind, name: &str, parts: &[Bytes]) -> Result<()> {
        let payload: PutPayload = parts.iter().cloned().collect();
        let done = self.runtime.block_on(self.store.put(&self.path(kind, name), payload));
        done.map(drop).map_err(|e| meaning(&e, &format!("writing {}/{name}", kind.name())))
    }

    fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        match self.runtime.block_on(self.store.delete(&self.path(kind, name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(meaning(&error, &format!("removing {}/{name}", kind.name()))),
        }
    }

    /// Tries what a thief with this credential would, on an object that nobody misses.
    fn guarded(&self) -> Result<Option<bool>> {
        let probe = Probe {
            http: &self.http,
            runtime: &self.runtime,
            credential: &self.credential,
            region: &self.region,
            url: &self.url,
            prefix: &self.prefix,
        };
        probe.is_kept().map(Some)
    }
}

/// Our HTTP for `object_store`. It blocks: whoever asks has a thread of its own.
#[derive(Debug, Clone)]
pub(super) struct Plain(Agent);

impl HttpConnector for Plain {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn failed(error: ureq::Error) -> HttpError {
    let kind = if http::was_slow(&error) { HttpErrorKind::Timeout } else { HttpErrorKind::Connect };
    HttpError::new(kind, error)
}

#[async_trait::async_trait]
impl HttpService for Plain {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.method == ureq::http::Method::PUT {
            // A bucket that locks its objects for a time takes none without this digest, which every S3 knows.
            let digest = BASE64_STANDARD.encode(Md5::digest(&body));
            let digest = digest.parse().map_err(|e| HttpError::new(HttpErrorKind::Request, e))?;
            head.headers.insert("content-md5", digest);
        }
        let answer = if body.is_empty() && head.method != ureq::http::Method::PUT {
            self.0.run(ureq::http::Request::from_parts(head, ())).map_err(failed)?
        } else {
            self.0.run(ureq::http::Request::from_parts(head, &body[..])).map_err(failed)?
        };
        let (head, body) = answer.into_parts();
        let data = body.into_with_config().limit(1 << 32).read_to_vec().map_err(failed)?;
        Ok(HttpResponse::from_parts(head, data.into()))
    }
}
