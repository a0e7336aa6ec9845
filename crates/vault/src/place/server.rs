//! A repository on a server that speaks restic's REST protocol: ours, or rest-server.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;

use base::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes};
use serde::Deserialize;
use ureq::http::{Response, header};
use ureq::{Agent, Body, SendBody};

use super::{Kind, Store, http};
use crate::fault;
use crate::request::Secret;

/// The form of lists that has sizes.
const V2: &str = "application/vnd.x.restic.rest.v2";
/// Why room was refused, where the server says so.
const REASON: &str = "x-yunwei-reason";
/// The largest answer that is read, in bytes: a pack, or a list of ten million files.
const ANSWER_MAX: u64 = 1 << 30;

#[derive(Debug)]
pub(crate) struct Server {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Server {
    pub(crate) fn new(url: &str, user: &str, secret: &Secret, authority: Option<&str>) -> Result<Self> {
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains('@') {
            let message = "the repository's address begins with https:// and holds no credential";
            return Err(fault::error(fault::REQUEST_INVALID, message));
        }
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", secret.reveal())));
        let base = format!("{}/", url.trim_end_matches('/'));
        Ok(Server { agent: http::agent(authority)?, base, authorization })
    }

    fn url(&self, kind: Kind, name: &str) -> String {
        if kind == Kind::Config {
            format!("{}config", self.base)
        } else {
            format!("{}{}/{name}", self.base, kind.name())
        }
    }

    fn get(&self, url: &str, extra: Option<(&str, &str)>, what: &str) -> Result<Response<Body>> {
        let mut request = self.agent.get(url).header(header::AUTHORIZATION, &self.authorization);
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        passed(request.call().map_err(|e| http::unreached(&e, what))?, what)
    }

    fn post(&self, url: &str, parts: &[Bytes], what: &str) -> Result<()> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let mut body = Parts(parts.iter().cloned().collect());
        let request = self
            .agent
            .post(url)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length.to_string());
        let answer = request.send(SendBody::from_reader(&mut body)).map_err(|e| http::unreached(&e, what))?;
        passed(answer, what).map(drop)
    }
}

/// The pieces of a file as one stream.
struct Parts(VecDeque<Bytes>);

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(first) = self.0.front_mut() {
            if first.has_remaining() {
                let length = first.remaining().min(buffer.len());
                first.copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
                return Ok(length);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

/// The answer when it is a good one, else what it means.
fn passed(answer: Response<Body>, what: &str) -> Result<Response<Body>> {
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(answer);
    }
    let reason = answer.headers().get(REASON).and_then(|reason| reason.to_str().ok()).unwrap_or_default();
    Err(meaning(status, reason, what))
}

fn meaning(status: u16, reason: &str, what: &str) -> Error {
    let (code, advice) = match (status, reason) {
        (401, _) => (fault::REPOSITORY_REFUSED, "the server does not know this credential; make a new one there"),
        (403, "taken") => (fault::REPOSITORY_APPEND_ONLY, "there is something else under that name already"),
        (403, _) => (fault::REPOSITORY_APPEND_ONLY, "this credential may not do that; removing is for maintenance"),
        (404, _) => {
            (fault::REPOSITORY_INCOMPLETE, "something that the repository should hold is gone; use another copy")
        }
        (408 | 504, _) => (fault::REPOSITORY_SLOW, "it took too long; look at the network"),
        (413 | 507, "full") => (fault::REPOSITORY_FULL, "the server's disk is full; free space there"),
        (413 | 507, _) => (fault::REPOSITORY_QUOTA, "the quota there is used up; raise it"),
        (400, "mismatch" | "length") => {
            (fault::REPOSITORY_UNREACHABLE, "it arrived otherwise than it was sent; try again")
        }
        (400..500, _) => (fault::REPOSITORY_UNUSABLE, "this is no repository server, or its address is wrong"),
        _ => (fault::REPOSITORY_UNREACHABLE, "the server fails; look at its log"),
    };
    fault::error(code, format!("{what}: the server answers {status}; {advice}"))
}

/// A row of a list.
#[derive(Deserialize)]
struct Row {
    name: String,
    size: u64,
}

/// Reads an answer's body whole.
fn body(answer: Response<Body>, what: &str) -> Result<Vec<u8>> {
    let read = answer.into_body().into_with_config().limit(ANSWER_MAX).read_to_vec();
    read.map_err(|e| http::unreached(&e, what))
}

impl Store for Server {
    fn describe(&self) -> String {
        self.base.clone()
    }

    fn create(&self) -> Result<()> {
        self.post(&format!("{}?create=true", self.base), &[], "making the repository")
    }

    fn list(&self, kind: Kind) -> Result<Vec<(String, u64)>> {
        let what = format!("listing {}", kind.name());
        if kind == Kind::Config {
            return match self.read(kind, "config", None) {
                Ok(config) => Ok(vec![("config".to_owned(), config.len() as u64)]),
                Err(error) if error.code() == fault::REPOSITORY_INCOMPLETE => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let answer = self.get(&self.url(kind, ""), Some(("accept", V2)), &what)?;
        let rows: Vec<Row> = serde_json::from_slice(&body(answer, &what)?).map_err(|_| {
            fault::error(
                fault::REPOSITORY_UNUSABLE,
                format!("{what}: this server does not tell sizes; use a newer one"),
            )
        })?;
        Ok(rows.into_iter().map(|row| (row.name, row.size)).collect())
    }

    fn read(&self, kind: Kind, name: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let what = format!("reading {}/{name}", kind.name());
        let wanted = range.as_ref().map(|range| range.end - range.start);
        let header = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let asked = self.get(&self.url(kind, name), header.as_deref().map(|value| ("range", value)), &what);
        let short = || {
            let message = format!("{what}: it is shorter than it should be; use another copy");
            fault::error(fault::REPOSITORY_DAMAGED, message)
        };
        let answer = match asked {
            Err(error) if wanted.is_some() && error.code() == fault::REPOSITORY_UNUSABLE => return Err(short()),
            asked => asked?,
        };
        let data = body(answer, &what)?;
        if wanted.is_some_and(|wanted| wanted != data.len() as u64) {
            return Err(short());
        }
        Ok(data.into())
    }

    fn write(&self, kind: Kind, name: &str, parts: &[Bytes]) -> Result<()> {
        self.post(&self.url(kind, name), parts, &format!("writing {}/{name}", kind.name()))
    }

    fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        let what = format!("removing {}/{name}", kind.name());
        let request = self.agent.delete(self.url(kind, name)).header(header::AUTHORIZATION, &self.authorization);
        match passed(request.call().map_err(|e| http::unreached(&e, &what))?, &what) {
            Err(error) if error.code() == fault::REPOSITORY_INCOMPLETE => Ok(()),
            done => done.map(drop),
        }
    }

    /// Asks it to remove what is not there: one that keeps data refuses before it looks.
    fn guarded(&self) -> Result<Option<bool>> {
        match self.remove(Kind::Data, &"0".repeat(64)) {
            Err(error) if error.code() == fault::REPOSITORY_APPEND_ONLY => Ok(Some(true)),
            done => done.map(|()| Some(false)),
        }
    }
}
