//! Whether a bucket keeps what is in it from whoever wrote it (S3 Object Lock).
//!
//! What a thief with this very credential would do is done to an object of our own: its version is removed and
//! its retention shortened, each past the governance mode where the credential may go past it. What then lies
//! there is looked at; the storage's word alone is not taken.
//!
//! Where the repository's own first file was written without a lock there is none to try, and nothing is written.
//! The object is written anew once a day at the most; each of its versions stays until its time has come.

use base::Result;
use base::time::{Clock, Timestamp};
use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::HttpService as _;
use rustic_core::jiff::fmt::rfc2822;
use tokio::runtime::Runtime;
use ureq::http::{HeaderMap, Method, Request};

use super::bucket::Plain;
use crate::fault;

/// What is written.
const CONTENT: &[u8] = b"Whoever wrote this tries now and then to remove it. See the place's immutability.\n";
/// Its name, beside the repository's own files; restic leaves it alone.
const NAME: &str = "immutability-probe";
/// The repository's first file.
const CONFIG: &str = "config";
/// How old it may be, in seconds.
const AGE_MAX: i64 = 86_400;
/// How long it must still be kept to be worth trying, in seconds; and how far its time is brought forward.
const SOON: i64 = 120;

/// One object, and what lets one in there.
pub(super) struct Probe<'a> {
    pub(super) http: &'a Plain,
    pub(super) runtime: &'a Runtime,
    pub(super) credential: &'a AwsCredential,
    pub(super) region: &'a str,
    /// Of the bucket.
    pub(super) url: &'a str,
    /// Of the repository in it.
    pub(super) prefix: &'a str,
}

/// A version of it as it lies there.
struct Lies {
    version: Option<String>,
    /// The mode and until when, where it is locked.
    lock: Option<(String, String)>,
    written: Option<Timestamp>,
}

impl Probe<'_> {
    /// Whether it is kept from this credential.
    pub(super) fn is_kept(&self) -> Result<bool> {
        if self.seen(CONFIG, "")?.is_none_or(|config| config.lock.is_none()) {
            return Ok(false);
        }
        let Some(lies) = self.there()? else { return Ok(false) };
        let (Some(version), Some((mode, until))) = (&lies.version, &lies.lock) else { return Ok(false) };
        let bypass = ("x-amz-bypass-governance-retention", "true".to_owned());
        let of = format!("?versionId={}", encoded(version));
        self.refused(Method::DELETE, &of, vec![bypass.clone()], Bytes::new())?;
        if self.seen(NAME, &of)?.is_none() {
            return Ok(false);
        }
        let soon = std::time::Duration::from_secs(SOON.unsigned_abs());
        let sooner = (Clock::System.now() + soon).strftime("%Y-%m-%dT%H:%M:%SZ");
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{mode}</Mode><RetainUntilDate>{sooner}</RetainUntilDate></Retention>"
        );
        self.refused(Method::PUT, &format!("?retention&versionId={}", encoded(version)), vec![bypass], body.into())?;
        let lock = self.seen(NAME, &of)?.and_then(|lies| lies.lock);
        Ok(lock.is_some_and(|(_, now)| now == *until))
    }

    /// The object as it lies there, written today; nothing where the storage keeps no versions.
    fn there(&self) -> Result<Option<Lies>> {
        let now = Clock::System.now().as_second();
        let fresh = |lies: &Lies| lies.written.is_some_and(|at| now - at.as_second() < AGE_MAX);
        let kept = |lies: &Lies| {
            let until = lies.lock.as_ref().and_then(|(_, until)| until.parse::<Timestamp>().ok());
            until.is_some_and(|until| until.as_second() > now + 2 * SOON)
        };
        if let Some(lies) = self.seen(NAME, "")?.filter(|lies| fresh(lies) && kept(lies) && lies.version.is_some()) {
            return Ok(Some(lies));
        }
        let (status, _) = self.ask(NAME, Method::PUT, "", Vec::new(), Bytes::from_static(CONTENT))?;
        match status {
            200..300 => self.seen(NAME, ""),
            status => Err(unclear("writing it", status)),
        }
    }

    fn seen(&self, name: &str, of: &str) -> Result<Option<Lies>> {
        let (status, headers) = self.ask(name, Method::HEAD, of, Vec::new(), Bytes::new())?;
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match status {
            200..300 => Ok(Some(Lies {
                version: said("x-amz-version-id").filter(|version| version != "null"),
                lock: said("x-amz-object-lock-mode").zip(said("x-amz-object-lock-retain-until-date")),
                written: said("last-modified").and_then(|at| Some(rfc2822::parse(&at).ok()?.timestamp())),
            })),
            404 | 405 => Ok(None),
            status => Err(unclear("looking at it", status)),
        }
    }

    /// Does what is to be refused. Whether it was, shows in what then lies there; but a storage that fails has
    /// refused nothing.
    fn refused(&self, method: Method, of: &str, headers: Vec<(&'static str, String)>, body: Bytes) -> Result<()> {
        match self.ask(NAME, method, of, headers, body)?.0 {
            200..500 => Ok(()),
            status => Err(unclear("trying to remove it", status)),
        }
    }

    fn ask(
        &self,
        name: &str,
        method: Method,
        of: &str,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<(u16, HeaderMap)> {
        let what = |e: &dyn std::fmt::Display| {
            fault::error(fault::REPOSITORY_UNREACHABLE, format!("trying the object lock: {e}; look at the network"))
        };
        let path = [self.prefix, name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        let path = path.split('/').map(encoded).collect::<Vec<_>>().join("/");
        let mut request = Request::builder().method(method).uri(format!("{}/{path}{of}", self.url));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(body.into()).map_err(|e| what(&e))?;
        AwsAuthorizer::new(self.credential, "s3", self.region)
            .try_authorize(&mut request, None)
            .map_err(|e| what(&e))?;
        let answer = self.runtime.block_on(self.http.call(request)).map_err(|e| what(&e))?;
        Ok((answer.status().as_u16(), answer.headers().clone()))
    }
}

fn unclear(what: &str, status: u16) -> base::Error {
    fault::error(fault::REPOSITORY_UNUSABLE, format!("trying the object lock, {what}: the storage answers {status}"))
}

/// A part of an address.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let one = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_nothing_that_means_something_else() {
        assert_eq!(encoded("ten_01-a.b~c"), "ten_01-a.b~c");
        assert_eq!(encoded("a b/é?#%"), "a%20b%2F%C3%A9%3F%23%25");
    }
}
