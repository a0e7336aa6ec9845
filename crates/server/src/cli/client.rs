//! The client side: one server, one token, JSON in and out.

use std::path::PathBuf;
use std::time::Duration;

use base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What `yunwei login` keeps, in `~/.config/yunwei/login.json`, readable by its owner only.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    /// The server's address.
    pub url: String,
    /// The API token.
    pub token: String,
}

impl Login {
    /// Where it is kept.
    pub fn path() -> Result<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        config.map(|dir| dir.join("yunwei/login.json")).ok_or_else(|| {
            Error::invalid("login.home", "neither XDG_CONFIG_HOME nor HOME is set, so there is nowhere to keep a login")
        })
    }

    /// From `YUNWEI_URL` and `YUNWEI_TOKEN`, else from what `yunwei login` kept.
    pub fn find() -> Result<Login> {
        if let (Ok(url), Ok(token)) = (std::env::var("YUNWEI_URL"), std::env::var("YUNWEI_TOKEN")) {
            return Ok(Login { url, token });
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

/// A connection to a server.
pub struct Client {
    agent: ureq::Agent,
    login: Login,
}

impl Client {
    /// To the server that [`Login::find`] names.
    pub fn connect() -> Result<Client> {
        Ok(Client::to(Login::find()?))
    }

    /// To a certain server.
    pub fn to(login: Login) -> Client {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Client { agent, login }
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
        answer(request.send_json(body))
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

/// Reads an answer; a refusal becomes the error that the server meant.
fn answer(result: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Json> {
    let mut response = result
        .map_err(|e| Error::unavailable("server.away", format!("the server cannot be reached: {e}")).because(e))?;
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|e| Error::uncertain("server.answer", "the answer broke off").because(e))?;
    let json: Json = serde_json::from_str(&text).unwrap_or(Json::Null);
    if status < 400 {
        return Ok(json);
    }
    let word = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let message = word("message").or_else(|| word("reason")).unwrap_or_else(|| format!("the server answered {status}"));
    let error = Error::new(kind(status), word("code").unwrap_or_else(|| "server.refused".into()), message);
    Err(match word("attribute") {
        Some(attribute) => error.at(attribute),
        None => error,
    })
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
