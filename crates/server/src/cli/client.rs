//! The client side: one server, one token, JSON in and out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};

/// What `yunwei login` keeps, in `~/.config/yunwei/login.json`, readable by its owner only.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    /// The server's address.
    pub url: String,
    /// The API token.
    pub token: String,
    /// A file with the authority that signed the server's certificate, where it is not a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Authorities that this machine trusts, where Debian keeps them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

impl Login {
    /// Where it is kept.
    pub fn path() -> Result<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        config.map(|dir| dir.join("yunwei/login.json")).ok_or_else(|| {
            Error::invalid("login.home", "neither XDG_CONFIG_HOME nor HOME is set, so there is nowhere to keep a login")
        })
    }

    /// From `YUNWEI_URL` and `YUNWEI_TOKEN` (and `YUNWEI_CA`), else from what `yunwei login` kept.
    pub fn find() -> Result<Login> {
        if let (Ok(url), Ok(token)) = (std::env::var("YUNWEI_URL"), std::env::var("YUNWEI_TOKEN")) {
            return Ok(Login { url, token, ca: std::env::var_os("YUNWEI_CA").map(PathBuf::from) });
        }
        let text = std::fs::read_to_string(Login::path()?).map_err(|_| {
            Error::unauthenticated(
                "login.absent",
                "not signed in: run `yunwei login URL`, or set YUNWEI_URL and YUNWEI_TOKEN",
            )
        })?;
        serde_json::from_str(&text).map_err(|e| {
            Error::invalid("login.damaged", "the kept login does not read; run `yunwei login` again").because(e)
        })
    }
}

/// Why whoever calls wants what needs a second person (`--ask`); said with every change.
pub static ASK: OnceLock<String> = OnceLock::new();

/// A session that a person opened for one decision.
pub struct ByHand {
    cookie: String,
    csrf: String,
    tenant: String,
}

/// A connection to a server.
pub struct Client {
    agent: ureq::Agent,
    login: Login,
}

impl Client {
    /// To the server that [`Login::find`] names.
    pub fn connect() -> Result<Client> {
        Client::to(Login::find()?)
    }

    /// To a certain server.
    pub fn to(login: Login) -> Result<Client> {
        let form = "the server's address must be of the form https://cloud.example.com";
        let url: ureq::http::Uri = login.url.parse().map_err(|e| Error::invalid("login.url", form).because(e))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return Err(Error::invalid("login.url", form));
        }
        if login.token.is_empty() || !login.token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid("login.token", "that is no API token; make one on the page “API tokens”"));
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(authorities(login.ca.as_deref())?)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        // No redirects: a token is for the server that it was kept for.
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(Client { agent, login })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.login.url.trim_end_matches('/'))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.login.token)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Json> {
        answer(self.agent.get(self.url(path)).header("authorization", self.bearer()).call())
    }

    /// POST with a fresh Idempotency-Key, so that a repeat by a proxy does nothing twice.
    pub fn post(&self, path: &str, body: &Json) -> Result<Json> {
        let key = base::id::Ids::default().text("key", base::time::Clock::System.now());
        let request =
            self.agent.post(self.url(path)).header("authorization", self.bearer()).header("idempotency-key", key);
        answer(asking(request).send_json(body))
    }

    /// PUT of the whole.
    pub fn put(&self, path: &str, body: &Json) -> Result<Json> {
        answer(asking(self.agent.put(self.url(path)).header("authorization", self.bearer())).send_json(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Result<Json> {
        answer(asking(self.agent.delete(self.url(path)).header("authorization", self.bearer())).call())
    }

    /// Signs a person in, who then acts in `tenant`; `code` is asked where the account has a second factor.
    pub fn sign_in(
        &self,
        email: &str,
        password: &str,
        tenant: &str,
        code: impl FnOnce() -> Result<String>,
    ) -> Result<ByHand> {
        let body = serde_json::json!({ "email": email, "password": password, "user_agent": "yunwei" });
        let mut opened = answer(self.agent.post(self.url("/api/v1/sessions")).send_json(&body))?;
        if let Some(ticket) = opened["ticket"].as_str() {
            let body = serde_json::json!({ "ticket": ticket, "code": code()? });
            opened = answer(self.agent.post(self.url("/api/v1/sessions/confirm")).send_json(&body))?;
        }
        let word = |name: &str| opened[name].as_str().map(str::to_owned).ok_or_else(|| strange(201));
        // Which of the two names the server looks at follows from how it is reached.
        let secret = word("secret")?;
        let cookie = format!("yunwei_session={secret}; __Host-yunwei_session={secret}");
        Ok(ByHand { cookie, csrf: word("csrf")?, tenant: tenant.to_owned() })
    }

    /// POST in a person's session.
    pub fn post_by_hand(&self, hand: &ByHand, path: &str, body: &Json) -> Result<Json> {
        let request = self.agent.post(self.url(path)).header("cookie", &hand.cookie).header("x-csrf-token", &hand.csrf);
        answer(request.header("x-yunwei-tenant", &hand.tenant).send_json(body))
    }

    /// GET of a file, as it comes: its bytes.
    pub fn download(&self, path: &str, into: &mut dyn std::io::Write) -> Result<u64> {
        let away =
            |e: ureq::Error| Error::unavailable("server.away", format!("the server cannot be reached: {e}")).because(e);
        let request = self.agent.get(self.url(path)).header("authorization", self.bearer());
        let config = request.config().timeout_global(None).timeout_per_read(Some(Duration::from_secs(60)));
        let mut response = config.build().call().map_err(away)?;
        if !response.status().is_success() {
            return match answer(Ok(response)) {
                Err(refusal) => Err(refusal),
                Ok(_) => Err(strange(0)),
            };
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        std::io::copy(&mut body, into)
            .map_err(|e| Error::unavailable("server.answer", format!("the file broke off: {e}")))
    }

    /// PATCH with the members that change.
    pub fn patch(&self, path: &str, body: &Json) -> Result<Json> {
        answer(asking(self.agent.patch(self.url(path)).header("authorization", self.bearer())).send_json(body))
    }

    /// Every entry of a collection, page after page, up to `most`.
    pub fn list(&self, path: &str, most: usize) -> Result<Vec<Json>> {
        let mut all = Vec::new();
        while all.len() < most {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{join}offset={}&limit=100", all.len()))?;
            let entries = page.as_array().cloned().unwrap_or_default();
            let last = entries.len() < 100;
            all.extend(entries);
            if last {
                break;
            }
        }
        Ok(all)
    }
}

/// An id as a part of an address: nothing that would lead elsewhere.
pub fn known(id: &str) -> Result<&str> {
    let plain = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    plain.then_some(id).ok_or_else(|| {
        let shown: String = id.chars().take(40).collect();
        Error::invalid("id.malformed", format!("`{}` is not an id; `ls` lists them", shown.escape_debug()))
    })
}

/// Whom to believe: the file that was named, else the machine's own list, else the browsers'.
fn authorities(file: Option<&Path>) -> Result<RootCerts> {
    let (path, named) = match file {
        Some(path) => (path, true),
        None => (Path::new(SYSTEM_AUTHORITIES), false),
    };
    let fault = |e: &dyn std::fmt::Display| Error::invalid("login.ca", format!("cannot read {}: {e}", path.display()));
    let pem = match std::fs::read(path) {
        Ok(pem) => pem,
        Err(_) if !named => return Ok(RootCerts::WebPki),
        Err(e) => return Err(fault(&e)),
    };
    let read = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    });
    let found = read.collect::<std::result::Result<Vec<Certificate<'static>>, _>>().map_err(|e| fault(&e))?;
    match found.is_empty() {
        true => Err(fault(&"there is no certificate in it")),
        false => Ok(RootCerts::Specific(Arc::new(found))),
    }
}

/// With the reason for asking a second person, where one was given: any text, percent-encoded.
fn asking<Body>(request: ureq::RequestBuilder<Body>) -> ureq::RequestBuilder<Body> {
    let Some(reason) = ASK.get() else { return request };
    request.header(web::second::HEADER, encoded(reason))
}

/// Any text, percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() => encoded.push(char::from(b)),
            b => encoded.push_str(&format!("%{b:02X}")),
        }
    }
    encoded
}

/// What is asked for, as an address carries it behind its question mark. Values are any text.
pub fn query(asked: &[(&str, &str)]) -> String {
    asked.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

/// Reads an answer; a refusal becomes the error that the server meant.
fn answer(result: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Json> {
    let mut response = result.map_err(|e| {
        let message =
            format!("the server cannot be reached ({e}); is the address right? `yunwei login URL` keeps another");
        Error::unavailable("server.away", message).because(e)
    })?;
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|e| Error::uncertain("server.answer", "the answer broke off").because(e))?;
    let json: Option<Json> = serde_json::from_str(&text).ok();
    if let (202, Some(asked)) = (status, &json) {
        let id = asked["id"].as_str().unwrap_or_default();
        let message = format!(
            "not done yet: a second person was asked to agree ({id}); `yunwei approval show {id}` says how far it is"
        );
        return Err(Error::conflict("approval.asked", message));
    }
    if status < 300 {
        return match json {
            Some(json) => Ok(json),
            None if text.is_empty() => Ok(Json::Null),
            None => Err(strange(status)),
        };
    }
    let Some(json) = json.filter(|json| json.is_object() && status >= 400) else { return Err(strange(status)) };
    let word = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let message = word("message").or_else(|| word("reason")).unwrap_or_else(|| format!("the server answered {status}"));
    let message = match word("referenceError").as_deref().and_then(|at| at.rsplit('/').next()) {
        Some(id) => format!("{message} (`yunwei why {id}` says more)"),
        None => message,
    };
    let error = Error::new(kind(status), word("code").unwrap_or_else(|| "server.refused".into()), message);
    Err(match word("attribute") {
        Some(attribute) => error.at(attribute),
        None => error,
    })
}

/// What answers there is something else.
fn strange(status: u16) -> Error {
    let message = format!("what answers there ({status}) does not speak like a yunwei server; is the address right?");
    Error::unavailable("server.strange", message)
}

fn kind(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        412 => Kind::Stale,
        422 => Kind::Dangling,
        429 => Kind::Throttled,
        503 => Kind::Unavailable,
        400..=499 => Kind::Invalid,
        _ => Kind::Bug,
    }
}
